/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon: what is the same in each program that works on a state folder until it is told to stop.
 * The options that all take, the log, one process a state folder, the signals (base/mainloop.h),
 * the control socket with a command `status`. The program fills in hooks. Main thread only.
 *
 * Exit status: 0 stopped, or only asked for help or version; 1 failed; 2 wrong command line.
 */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

#include "base/control.h"
#include "base/error.h"
#include "base/json.h"
#include "base/mainloop.h"

/* --NAME TEXT or, where there is a flag, --NAME. Texts are the command line's own. */
struct daemon_option {
	const char *name;
	const char **text;
	bool *flag;
};

#define DAEMON_OPTIONS_MAX 12

struct daemon_program {
	const char *name;    /* "hostd", of the program remora-hostd */
	const char *version; /* "0.1.0" */
	const char *usage;   /* all of it, with the end of its last line */
	const char *status_help;
	const char *socket; /* in the state folder; NULL: "control.sock" */
	struct daemon_option
		options[DAEMON_OPTIONS_MAX];	/* besides the common ones; to name NULL */
	const struct control_command *commands; /* besides `status`; given `arg` */
	size_t n_commands;
	size_t message_limit; /* of the control socket, as there */
	/* In place of the lock on the state folder that keeps others out. NULL: that. Nobody
	 * catches signals yet. */
	bool (*lock)(void *arg, struct error *e);
	/* Begins all that it does; the state folder is there and locked. */
	bool (*begin)(void *arg, struct error *e);
	void (*status)(void *arg, struct json_object *o); /* fills in what `status` answers */
	/* In place of mainloop's of the same names. */
	void (*stop)(void *arg, int signal);
	bool (*is_busy)(void *arg);
	void (*hang_up)(void *arg); /* SIGHUP came, and the log was opened anew */
	/* Ends what has begun, also after a begin that failed. */
	void (*end)(void *arg);
};

/* What all take: --state (must be given), --listen, --password-file, --log-file, --log-level. */
struct daemon_options {
	const char *state, *listen, *password_file, *log_file, *log_level;
};

struct daemon {
	struct daemon_options options; /* NULL where not given */
	struct mainloop mainloop;
	const struct daemon_program *program;
	void *arg;
	struct control *control;
	int lock;
};

/* The whole life of the program; its exit status. `d` is the caller's, who may read options and
 * loop from within the hooks. */
int daemon_main(struct daemon *d, const struct daemon_program *program, void *arg, int argc,
		char **argv);

/* Ends it as a signal would that asks for the end; later, from the loop. */
void daemon_stop(struct daemon *d);

/* Ends the control socket, before the process does. Not from within a command. */
void daemon_fall_silent(struct daemon *d);

/* STATE/NAME, to be freed. */
char *daemon_path(const struct daemon *d, const char *name);

#endif

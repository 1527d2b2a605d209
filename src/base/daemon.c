/* SPDX-License-Identifier: Apache-2.0 */
#include "base/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/control.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

LOG_MODULE("daemon");

enum {
	EXIT_STOPPED = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	ENDING_US = 2000000,
	COMMON_OPTIONS = 5, /* members of struct daemon_options */
	OPTION_VERSION = COMMON_OPTIONS + DAEMON_OPTIONS_MAX,
	OPTION_HELP,
	OPTION_WRONG = '?', /* getopt's; must not be one of ours */
};
_Static_assert(OPTION_HELP < OPTION_WRONG, "an option has getopt's number for a wrong one");

/* ---- command line ---- */

enum line {
	LINE_GOOD,
	LINE_ANSWERED, /* it asked for what was printed; nothing more to do */
	LINE_WRONG,
};

/* Reads the line into what `all` points to; an option's index is its number for getopt. */
static enum line line_read(const struct daemon_program *p, const struct daemon_option *all,
			   int argc, char **argv)
{
	struct option known[OPTION_HELP + 2] = { 0 };
	size_t n = 0;
	int c;

	for (; all[n].name != NULL; n++) {
		bool takes_text = all[n].flag == NULL;
		known[n] =
			(struct option){ all[n].name, takes_text ? required_argument : no_argument,
					 NULL, (int)n };
	}
	known[n++] = (struct option){ "version", no_argument, NULL, OPTION_VERSION };
	known[n] = (struct option){ "help", no_argument, NULL, OPTION_HELP };
	optind = 0; /* glibc: from the beginning, whatever was read before */
	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (c == OPTION_VERSION) {
			printf("remora-%s %s\n", p->name, p->version);
			return LINE_ANSWERED;
		}
		if (c == OPTION_HELP || c == 'h') {
			fputs(p->usage, stdout);
			return LINE_ANSWERED;
		}
		if (c == OPTION_WRONG) {
			return LINE_WRONG;
		}
		if (all[c].flag != NULL) {
			*all[c].flag = true;
		} else {
			*all[c].text = optarg;
		}
	}
	return optind == argc ? LINE_GOOD : LINE_WRONG;
}

static enum line options_read(struct daemon *d, int argc, char **argv)
{
	struct daemon_options *o = &d->options;
	struct daemon_option all[COMMON_OPTIONS + DAEMON_OPTIONS_MAX + 1] = {
		{ .name = "state", .text = &o->state },
		{ .name = "listen", .text = &o->listen },
		{ .name = "password-file", .text = &o->password_file },
		{ .name = "log-file", .text = &o->log_file },
		{ .name = "log-level", .text = &o->log_level },
	};

	for (size_t i = 0; i < DAEMON_OPTIONS_MAX && d->program->options[i].name != NULL; i++) {
		all[COMMON_OPTIONS + i] = d->program->options[i];
	}
	enum line line = line_read(d->program, all, argc, argv);
	if (line == LINE_WRONG || (line == LINE_GOOD && o->state == NULL)) {
		fputs(d->program->usage, stderr);
		return LINE_WRONG;
	}
	return line;
}

/* ---- state folder ---- */

char *daemon_path(const struct daemon *d, const char *name)
{
	return mem_printf("%s/%s", d->options.state, name);
}

/* One process a state folder: two would fight over what is in it. */
static bool state_lock(struct daemon *d, struct error *e)
{
	char *path = daemon_path(d, "lock");

	d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bool ok = d->lock >= 0 || error_set_sys(e, errno, "\"%s\"", path);
	if (ok && flock(d->lock, LOCK_EX | LOCK_NB) != 0) {
		ok = error_set(e, ERROR_BUSY, "another remora-%s works on \"%s\"", d->program->name,
			       d->options.state);
	}
	free(path);
	return ok;
}

/* ---- control socket ---- */

static void status_reply(void *arg, struct rpc_call *call)
{
	struct daemon *d = arg;
	struct json_object *o = json_object_new_object();

	d->program->status(d->arg, o);
	rpc_call_reply(call, o);
}

static bool control_begin(struct daemon *d, struct control_command *status, struct error *e)
{
	const char *name = d->program->socket;
	char *path = daemon_path(d, name != NULL ? name : "control.sock");
	struct control_options options = { .path = path,
					   .program = d->program->name,
					   .version = d->program->version,
					   .message_limit = d->program->message_limit };

	*status = (struct control_command){
		.name = "status", .params = "", .help = d->program->status_help, .fn = status_reply
	};
	/* Who was here before, and has let go of the lock, may be about to end. */
	int64_t end = clock_mono_us(clock_real()) + (d->program->lock != NULL ? ENDING_US : 0);
	while ((d->control = control_new(&d->mainloop.loop, &options, e)) == NULL &&
	       e->kind == ERROR_EXISTS && clock_mono_us(clock_real()) < end) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	free(path);
	if (d->control == NULL) {
		return false;
	}
	control_register(d->control, status, d);
	for (size_t i = 0; i < d->program->n_commands; i++) {
		control_register(d->control, &d->program->commands[i], d->arg);
	}
	return true;
}

/* ---- life ---- */

static void on_stop(void *arg, int number)
{
	struct daemon *d = arg;

	if (d->program->stop != NULL) {
		d->program->stop(d->arg, number);
	}
}

static bool on_is_busy(void *arg)
{
	struct daemon *d = arg;

	return d->program->is_busy != NULL && d->program->is_busy(d->arg);
}

static void log_reopen(void *arg)
{
	struct daemon *d = arg;
	struct error e;

	if (d->options.log_file != NULL && !log_set_file(d->options.log_file, &e)) {
		log_error("%s", e.msg);
	}
	if (d->program->hang_up != NULL) {
		d->program->hang_up(d->arg);
	}
}

void daemon_fall_silent(struct daemon *d)
{
	control_free(d->control);
	d->control = NULL;
}

void daemon_stop(struct daemon *d)
{
	mainloop_stop(&d->mainloop);
}

static bool daemon_live(struct daemon *d, struct error *e)
{
	struct control_command status;

	const struct daemon_program *p = d->program;

	if (!file_make_dirs(d->options.state, 0700, e) ||
	    !(p->lock != NULL ? p->lock(d->arg, e) : state_lock(d, e)) || !p->begin(d->arg, e) ||
	    !control_begin(d, &status, e)) {
		return false;
	}
	mainloop_catch_signals(&d->mainloop);
	mainloop_run(&d->mainloop);
	control_free(d->control);
	d->control = NULL;
	return true;
}

int daemon_main(struct daemon *d, const struct daemon_program *program, void *arg, int argc,
		char **argv)
{
	static const struct mainloop_hooks hooks = {
		.stop = on_stop,
		.is_busy = on_is_busy,
		.hangup = log_reopen,
	};
	struct error e = { 0 };

	*d = (struct daemon){ .program = program, .arg = arg, .lock = -1 };
	enum line line = options_read(d, argc, argv);
	if (line != LINE_GOOD) {
		return line == LINE_ANSWERED ? EXIT_STOPPED : EXIT_USAGE;
	}
	if ((d->options.log_level != NULL && !log_set_level(d->options.log_level, &e)) ||
	    (d->options.log_file != NULL && !log_set_file(d->options.log_file, &e))) {
		fprintf(stderr, "remora-%s: %s\n", program->name, e.msg);
		return EXIT_USAGE;
	}
	umask(0077);
	mainloop_init(&d->mainloop, &hooks, d);
	bool ok = daemon_live(d, &e);
	if (ok) {
		log_info("stopped");
	} else {
		log_error("%s", e.msg);
	}
	program->end(arg);
	mainloop_fini(&d->mainloop);
	if (d->lock >= 0) {
		close(d->lock);
	}
	return ok ? EXIT_STOPPED : EXIT_FAILED;
}

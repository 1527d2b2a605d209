/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of a machine that is a QEMU process, shared by the files that drive it:
 * driver_qemu.c (its life), qemu_start.c and qemu_sandbox.c (its beginning), qemu_steps.c
 * (orders), qemu_state.c (saving, loading, adopting), qemu_move.h (to other nodes).
 * All on the loop's thread.
 */
#pragma once

#include <uv.h>

#include "base/process.h"
#include "base/timer.h"
#include "base/vec.h"
#include "host/driver_impl.h"
#include "host/driver_qemu.h"
#include "host/placement.h"
#include "host/qemu_run.h"
#include "host/qmp.h"
#include "host/sandbox.h"
#include "host/uid_lease.h"

struct qemu_driver {
	struct driver base;
	uv_loop_t *loop;
	struct clock *clock;
	char *program;	    /* NULL: by architecture */
	char *firmware_dir; /* NULL: Debian's */
	struct sandbox_support support;
	char *confinement; /* of machines to be started, for people */
	struct uid_range uids;
	char *lease_dir;
	struct placement placement; /* while is_placed */
	bool is_placed;
};

struct qemu_step {
	const char *command;
	struct json_object *arguments; /* owned; NULL: none */
	bool tolerant;		       /* a refusal does not end the sequence */
	int fd;			       /* > 0: passed along */
	bool owned;		       /* the fd is closed with the step */
};

/* A file as it is called by people, and its set, by which QEMU knows it (host/qemu_argv.h). */
struct qemu_name {
	int32_t set;
	char *path;
};

struct qemu_sync; /* an fsync() on the way, qemu_state.c */
struct qemu_move; /* qemu_move.h */

struct qemu_machine {
	struct machine base;
	char *name, *uuid, *state_file, *part_file; /* the last two NULL where it cannot suspend */
	struct qemu_run run;
	VEC(int32_t) cut_nics; /* without a link at power-on */
	VEC(struct qemu_name) names;
	VEC(char *) logs;    /* of serial ports */
	VEC(char *) sockets; /* of serial ports, to be removed when it ends */

	unsigned layers;   /* SANDBOX_BIT()s that confine it */
	uint32_t uid;	   /* its own user number; 0: ours */
	char *confinement; /* for people; NULL: not known */

	enum machine_arch arch;
	enum machine_accel accel;      /* as QEMU says, of one that was adopted */
	enum machine_accel host_accel; /* of what this host starts now */
	struct machine_nic nic;	       /* the one being plugged in */
	char nic_mac[18];
	char unplugged[24]; /* the device being taken out; "": none */
	bool is_unplugged;  /* the guest has let go of it */
	bool is_waiting_unplug;

	struct process *process;
	struct qmp *qmp;
	struct timer *timer;
	void (*tick)(struct qemu_machine *m); /* what the timer calls next */
	struct timer *reconnect;	      /* while it is up and cannot be talked to */
	struct timer *revive;		      /* while is_stalled */
	int64_t give_up_us;		      /* monotonic: when trying again ends */

	VEC(struct qemu_step) steps; /* the sequence that runs */
	size_t n_steps_done;
	/* Its end: the last step's value, or the error that ended it. */
	void (*after)(struct qemu_machine *m, const struct json_at *value, const struct error *e);

	struct qemu_move *move; /* NULL: it is not on its way */
	bool has_nvme;		/* whose state QEMU cannot save */
	uint64_t memory;	/* of the guest, bytes */
	int state_fd;		/* state file being read or written; -1 */
	struct qemu_sync *sync; /* NULL: none on the way */

	bool is_up;	      /* power-on is complete */
	bool is_ending;	      /* stop, quit or kill was ordered: replies do not matter any more */
	bool is_saved;	      /* the state file is complete: its end means suspended */
	bool is_discarded;    /* nothing of a guest is in what was adopted: it is ended */
	bool is_guest_off;    /* the guest powered off */
	bool is_stalled;      /* the processors stand though nobody asked */
	int64_t stalled_us;   /* monotonic: when that was last told */
	int64_t reset_us;     /* monotonic: when the guest last reset itself */
	struct error failure; /* why power-on failed; kind NONE: it did not */
};

struct qemu_machine *qemu_machine(struct machine *m);
struct qemu_driver *qemu_driver_of(const struct qemu_machine *m);

/* driver_qemu.c */

/* Power-on has failed: ends QEMU, if there is one, and reports when it is gone. */
void qemu_machine_fail(struct qemu_machine *m, const struct error *e);
/* Power-on is complete: the guest runs. */
void qemu_machine_up(struct qemu_machine *m);
/* The guest is here and nowhere else, and QEMU did not do, or say, what was to let it run: the
 * machine is up, and its processors are set going again until they run. */
void qemu_machine_up_stalled(struct qemu_machine *m, const struct error *e);
/* Calls tick(m) once after ms. */
void qemu_machine_tick(struct qemu_machine *m, int64_t ms, void (*tick)(struct qemu_machine *m));
/* Watches QEMU and talks to it; errors where it cannot be reached yet. */
bool qemu_machine_connect(struct qemu_machine *m, struct error *e);
bool qemu_machine_watch(struct qemu_machine *m, pid_t pid, struct error *e);
/* The processors stand, because of a full disk or a suspend that failed half-way: they are set
 * going again until they run. */
void qemu_machine_stall(struct qemu_machine *m, const char *why);
/* Nothing of it is left on this host but its disks and perhaps its state file. */
void qemu_machine_clean(struct qemu_machine *m, bool with_log);
/* The files of a set are called so from now on. */
void qemu_machine_name(struct qemu_machine *m, int32_t set, const char *path);
/* Puts the names of files in QEMU's words where QEMU says /dev/fdset/N; cut to fit. */
void qemu_machine_translate(const struct qemu_machine *m, char *text, size_t size);
/* There is no process; reports so from the loop's next turn. */
void qemu_machine_none(struct qemu_machine *m);

/* qemu_steps.c */
void qemu_step_add(struct qemu_machine *m, const char *command, struct json_object *arguments);
void qemu_step_add_tolerant(struct qemu_machine *m, const char *command,
			    struct json_object *arguments);
/* Lets `fd` be known to QEMU as `name`. */
void qemu_step_add_fd(struct qemu_machine *m, const char *name, int fd);
/* Gives QEMU an open file as one of a set (host/qemu_argv.h); takes over `fd`. */
void qemu_step_add_file(struct qemu_machine *m, int32_t set, const char *path, int fd);
/* A command with a descriptor of the caller's, which stays open until the step is done. */
void qemu_step_add_passed(struct qemu_machine *m, const char *command,
			  struct json_object *arguments, int fd);
/* Runs what was added, in order; `after` is called once, later, except when the machine ends. */
void qemu_steps_run(struct qemu_machine *m,
		    void (*after)(struct qemu_machine *m, const struct json_at *value,
				  const struct error *e));
void qemu_steps_clear(struct qemu_machine *m);
bool qemu_steps_reset(struct machine *m, struct error *e);
bool qemu_steps_powerdown(struct machine *m, struct error *e);
bool qemu_steps_set_medium(struct machine *m, int32_t key, const char *path, struct error *e);
bool qemu_steps_set_link(struct machine *m, int32_t key, bool connected, struct error *e);

/* qemu_nic.c */
bool qemu_nic_add(struct machine *m, const struct machine_nic *nic, struct error *e);
bool qemu_nic_remove(struct machine *m, int32_t key, struct error *e);
/* QEMU says that a device is gone. */
void qemu_nic_take_deleted(struct qemu_machine *m, const struct json_at *data);

/* qemu_state.c */

/* QEMU answers for the first time: goes on with the power-on in base.op. */
void qemu_state_power_on(struct qemu_machine *m);
bool qemu_state_suspend(struct machine *m, struct error *e);
/* Adds the steps that pull the cables that are to be out at power-on. */
void qemu_state_add_links(struct qemu_machine *m);
/* Starts looking for a QEMU of an earlier process. */
void qemu_state_adopt(struct qemu_machine *m);
/* The machine is let go or has ended. */
void qemu_state_drop(struct qemu_machine *m);

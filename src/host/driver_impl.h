/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For those who write a driver. driver.c checks states, keeps replies and calls back; a driver
 * only does the work and reports with machine_done(), machine_gone(), machine_was_reset() and
 * machine_has_stalled().
 *
 * A driver embeds struct driver and struct machine as first members of its own. Every op may
 * refuse at once (false, `e` set, nothing changed); else it ends later, from the loop, with one
 * machine_done() or machine_gone(). `stop` may come while another op is under way.
 */
#pragma once

#include "host/driver.h"

enum machine_op {
	MACHINE_OP_NONE,
	MACHINE_OP_START,
	MACHINE_OP_RESUME,
	MACHINE_OP_ADOPT,
	MACHINE_OP_RESET,
	MACHINE_OP_POWERDOWN,
	MACHINE_OP_SUSPEND,
	MACHINE_OP_MEDIUM,
	MACHINE_OP_LINK,
	MACHINE_OP_NIC,
};

struct driver_ops {
	const char *name;
	void (*free)(struct driver *d);
	struct machine *(*machine_new)(struct driver *d); /* zeroed; driver.c fills the base */
	void (*machine_free)(struct machine *m);	  /* lets go; a running VM runs on */
	/* START, RESUME, ADOPT: ends with machine_done(m, NULL), it runs, or machine_gone() */
	bool (*power_on)(struct machine *m, enum machine_op how, const struct machine_spec *s,
			 struct error *e);
	bool (*stop)(struct machine *m, struct error *e);    /* ends with machine_gone() */
	bool (*suspend)(struct machine *m, struct error *e); /* machine_gone(), or done with e */
	bool (*reset)(struct machine *m, struct error *e);
	bool (*powerdown)(struct machine *m, struct error *e);
	bool (*set_medium)(struct machine *m, int32_t key, const char *path, struct error *e);
	bool (*set_link)(struct machine *m, int32_t key, bool connected, struct error *e);
	bool (*add_nic)(struct machine *m, const struct machine_nic *nic, struct error *e);
	bool (*remove_nic)(struct machine *m, int32_t key, struct error *e);
	void (*tidy)(struct machine *m); /* NULL: nothing to do */
	bool (*usage)(const struct machine *m, struct machine_usage *out, struct error *e);
	const char *(*driver_confinement)(const struct driver *d);   /* NULL: none */
	const char *(*machine_confinement)(const struct machine *m); /* NULL: none */
};

struct driver {
	const struct driver_ops *ops;
	size_t n_machines;
};

struct machine {
	struct driver *driver;
	const struct machine_listener *listener;
	void *arg;
	struct machine_reply reply;	 /* of `op` */
	struct machine_reply stop_reply; /* while STOPPING */
	enum machine_state state : 8;
	enum machine_op op : 8;
	bool freed : 1;
	unsigned calls : 7; /* callbacks on the stack; freed when the last returns */
};

/* The op under way ended. May free m where a callback did so: touch it no more, or hold it with
 * machine_hold() and machine_release(). */
void machine_done(struct machine *m, const struct error *e);

/* No VM any more: it ended, or never came up (then `e` says why). Answers stop and the op. */
void machine_gone(struct machine *m, enum machine_exit why, const struct error *e);

void machine_was_reset(struct machine *m);

void machine_has_stalled(struct machine *m, const char *why);

/* Between the two m stays, even where a callback calls machine_free(); false: it is gone now. */
void machine_hold(struct machine *m);
bool machine_release(struct machine *m);

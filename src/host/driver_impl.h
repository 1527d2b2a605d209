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
	MACHINE_OP_RECEIVE,
	MACHINE_OP_STREAM,
	MACHINE_OP_RUN,
	MACHINE_OP_SEND,
	MACHINE_OP_REVIVE,
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
	/* From node to node: all of them, or NULL. Ends with machine_done(m, NULL), it waits, or
	 * machine_gone() */
	bool (*receive)(struct machine *m, const struct machine_spec *s,
			const struct machine_incoming *in, struct error *e);
	bool (*receive_stream)(struct machine *m, int fd, struct error *e); /* the same */
	bool (*receive_run)(struct machine *m, struct error *e);
	bool (*can_send)(const struct machine *m, struct error *e); /* NULL: all can be */
	/* machine_send_stopped(), and after `send_go` machine_done(m, NULL), or machine_done() with
	 * e: it runs on */
	bool (*send)(struct machine *m, const struct machine_outgoing *out, struct error *e);
	bool (*send_go)(struct machine *m, struct error *e);
	bool (*send_cancel)(struct machine *m, struct error *e);
	bool (*send_revive)(struct machine *m, struct error *e);
	void (*tidy)(struct machine *m); /* NULL: nothing to do */
	bool (*usage)(const struct machine *m, struct machine_usage *out, struct error *e);
	void (*place)(struct driver *d, const struct placement *p);  /* NULL: nothing to do */
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
	const struct machine_send_listener *send_listener;
	void *send_arg;
	enum machine_state state : 8;
	enum machine_op op : 8;
	enum machine_state adopted : 8; /* set by the driver that adopts: RECEIVING, SENT */
	bool freed : 1;
	bool is_send_stopped : 1; /* machine_send_go() may come */
	bool is_send_going : 1;	  /* it came */
	unsigned calls : 7;	  /* callbacks on the stack; freed when the last returns */
};

/* The op under way ended. May free m where a callback did so: touch it no more, or hold it with
 * machine_hold() and machine_release(). */
void machine_done(struct machine *m, const struct error *e);

/* No VM any more: it ended, or never came up (then `e` says why). Answers stop and the op. */
void machine_gone(struct machine *m, enum machine_exit why, const struct error *e);

void machine_was_reset(struct machine *m);

/* Of a SENDING one. */
void machine_send_progress(struct machine *m, uint64_t done, uint64_t total);
void machine_send_stands(struct machine *m);
void machine_send_stopped(struct machine *m);

void machine_has_stalled(struct machine *m, const char *why);

/* Between the two m stays, even where a callback calls machine_free(); false: it is gone now. */
void machine_hold(struct machine *m);
bool machine_release(struct machine *m);

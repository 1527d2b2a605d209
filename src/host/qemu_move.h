/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine on its way from one QEMU to another; the insides of qemu_move.c (what both ends need),
 * qemu_receive.c, qemu_send.c, qemu_send_undo.c and qemu_move_adopt.c.
 *
 * In the run folder:
 *     vm-UUID.move  how far it has got, for the hostd that finds it: enum qemu_mark
 *     vm-UUID.tls   a folder that every QEMU may look into; empty but while it moves
 * Loop's thread.
 */
#pragma once

#include "host/qemu_machine.h"

#define QEMU_MOVE_CREDENTIALS "move-tls" /* what QEMU calls them */
#define QEMU_MOVE_FOLDER      "/tls"	 /* they lie there in a file system of the machine's own */

enum qemu_mark {
	QEMU_MARK_NONE,
	QEMU_MARK_IN,  /* waits for its guest, which must not run by itself */
	QEMU_MARK_RUN, /* the guest was ordered to run here */
	QEMU_MARK_OUT, /* the guest leaves; its memory tells how far it is */
};

struct qemu_mirror {
	int32_t key;
	int fd; /* a copy of the caller's, by which a connection can be cut */
};

/* NULL in a machine that stays where it is. */
struct qemu_move {
	char *certificate, *key, *peer, *peer_name; /* until QEMU has them */
	uint64_t bandwidth;
	int stream;		       /* a copy of the caller's; -1 */
	int exports;		       /* the same, listening; -1 */
	VEC(struct qemu_mirror) disks; /* fd -1 at the receiver's */
	size_t n_made;		       /* mirrors that have been begun */
	uint64_t disk_done, disk_total;
	unsigned downtime_ms; /* sender: that the guest may stand still */
	int64_t downtime_us;  /* sender: since when, monotonic */
	/* What is called when QEMU has news, or when time is up; NULL: nobody waits. */
	void (*poll)(struct qemu_machine *m);
	unsigned n_hung_up;	      /* receiver: how often the stream was found ended too early */
	bool is_streaming, is_loaded; /* receiver */
	bool is_cancelled, is_going, is_undoing; /* sender */
	struct error why; /* sender: of what has gone wrong; kind NONE: nothing */
};

/* ---- qemu_move.c ---- */

/* Whether a machine finds its folder for certificates: one with a user of its own, but no file
 * system of its own, does not, and cannot move while it runs. */
bool qemu_move_sees_folder(const struct qemu_machine *m);
/* Before a QEMU is started: that folder, empty, and readable by its user. */
bool qemu_move_make_folder(const struct qemu_machine *m, struct error *e);
/* Of one that is gone. */
void qemu_move_clean(const struct qemu_run *r);

bool qemu_move_mark(const struct qemu_machine *m, enum qemu_mark mark, struct error *e);
enum qemu_mark qemu_move_marked(const struct qemu_machine *m);

/* Whether machines of this hardware can move. */
bool qemu_move_is_possible(const struct qemu_machine *m, struct error *e);
struct qemu_move *qemu_move_new(const struct machine_credentials *tls);
/* Sets *out to a copy of fd; the caller's stays the caller's. */
bool qemu_move_keep(int fd, int *out, struct error *e);
/* Ends what connections there are: QEMU notices at once. */
void qemu_move_cut(struct qemu_move *v);
/* Lets go: a guest on its way goes on where it was. NULL is fine in m->move. */
void qemu_move_drop(struct qemu_machine *m);
/* QEMU forgets its part, too; with qemu_steps_run() by the caller. */
void qemu_move_add_end(struct qemu_machine *m);

/* Puts the certificates where QEMU sees them, and the step that loads them. */
bool qemu_move_add_credentials(struct qemu_machine *m, bool is_server, struct error *e);
void qemu_move_remove_credentials(const struct qemu_machine *m);

/* Adds the step that sets a capability of migrations. */
void qemu_move_add_capability(struct qemu_machine *m, const char *name, bool on);
/* Calls poll(m) after ms, or at once when QEMU has news. */
void qemu_move_wait(struct qemu_machine *m, int64_t ms, void (*poll)(struct qemu_machine *m));
void qemu_move_take_event(struct qemu_machine *m, const char *name, const struct json_at *data);

/* A member that is a text; "" where there is none. */
const char *qemu_move_text(const struct json_at *value, const char *key);
/* "mirror-KEY": the job, and the node it writes to. */
void qemu_move_mirror_name(int32_t key, char out[24]);
/* The jobs that copy disks, of query-block-jobs. */
struct qemu_mirror_state {
	size_t n, n_ready, n_failed; /* those that failed are paused */
	uint64_t done, total;
};
struct qemu_mirror_state qemu_move_mirrors(const struct json_at *jobs);
void qemu_move_set_failed(const struct qemu_machine *m, const char *what, struct error *e);

/* ---- qemu_receive.c ---- */
bool qemu_receive_prepare(struct qemu_machine *m, const struct machine_incoming *in,
			  struct error *e);
/* QEMU answers for the first time. */
void qemu_receive_begin(struct qemu_machine *m);
bool qemu_receive_stream(struct machine *base, int fd, struct error *e);
bool qemu_receive_run(struct machine *base, struct error *e);

/* ---- qemu_send.c ---- */
bool qemu_send(struct machine *base, const struct machine_outgoing *out, struct error *e);
bool qemu_send_go(struct machine *base, struct error *e);
bool qemu_send_cancel(struct machine *base, struct error *e);
bool qemu_send_revive(struct machine *base, struct error *e);

/* ---- qemu_send_undo.c ---- */

/* Puts an end to it for m->move->why: the guest goes on here. Ends the operation. */
void qemu_send_undo(struct qemu_machine *m);

/* ---- qemu_move_adopt.c ---- */

/* A QEMU that was found in the midst. */
void qemu_move_adopt(struct qemu_machine *m);

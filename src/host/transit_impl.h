/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of migrations (transit.c, transit_source.c, transit_target.c, …) know of
 * each other; everyone else includes host/transit.h. Event-loop thread only. */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "base/uuid.h"
#include "host/transit.h"
#include "host/transit_identity.h"
#include "host/vm_impl.h"
#include "vim/peer.h"
#include "vim/server.h"

enum {
	TRANSITS_MAX = 256, /* at a time, the ended ones not counted */
	TRANSIT_ENDED_MAX = 1024,
	TRANSIT_BODY_MAX = 1 << 20,
	TRANSIT_CHUNK_MAX = 16 << 20, /* bytes of one request between hosts */
	TRANSIT_TOKEN_SIZE = 65,
	TRANSIT_POLL_MS = 10000,
	TRANSIT_TICK_MS = 1000,
	TRANSIT_IDLE_MS = 600000, /* a target that hears nothing so long gives up */
};

enum transit_state {
	TRANSIT_PREPARED,
	TRANSIT_COPYING,
	TRANSIT_SWITCHING,
	TRANSIT_OFFERED,
	TRANSIT_DONE,
	TRANSIT_FAILED,
	TRANSIT_CANCELLED,
};

/* Why not, as managers are told. */
struct transit_refusal {
	int status; /* HTTP */
	char object[128], reason[240], fault[64];
	int64_t limit, requested, unreserved; /* -1: none */
};

/* A file that goes over: a disk's content, or one of the VM's own files. */
struct transit_item {
	int32_t disk;	    /* device key; 0: a file */
	const char *ending; /* of a file: "nvram", "vmss" */
	uint64_t size;
	struct datastore *ds;
	const char *path; /* beneath ds: of a disk its descriptor */
	/* of disks */
	enum disk_format format;
	const char *adapter_type, *uuid, *ds_path;
	/* the content, while it is open: source and target */
	int fd;		 /* -1 */
	uint64_t offset; /* source: where to go on */
};

struct transit {
	struct list_node link; /* host_transits.all */
	struct host_transits *all;
	struct arena *arena;
	char id[UUID_TEXT_SIZE];
	bool is_source;
	enum transit_state state;
	uint64_t version;
	uint64_t bytes_done, bytes_total;
	int64_t begun_us, total_us;	/* monotonic; duration, 0: not over */
	int64_t heard_us;		/* target: of the source, monotonic */
	struct transit_refusal why;	/* FAILED */
	char *name;			/* of the VM */
	uint32_t vm;			/* its id here */
	char token[TRANSIT_TOKEN_SIZE]; /* opens the target to the source */
	bool is_shared;			/* files stay where they are */
	bool is_known;			/* the source has heard that the target took it */
	bool is_forgotten;		/* the manager wants to know no more */
	bool is_cancelling;		/* source: as soon as what is under way has ended */
	bool is_busy;			/* work is under way that needs it */
	struct vm *entity;		/* until it has left, or come */
	struct vm_op *op;		/* source: what keeps others off it */
	struct transit_item *items;	/* in the arena */
	size_t n_items, at;
	struct vm_leftover *leftover; /* files to be removed */
	VEC(struct host_datastore *) held;
	char *claim; /* target: the new folder, "[ds] dir"; or NULL */
	struct vm_save save;
	struct vm_removal removal;
	struct vm_file_work work;
	/* source: */
	char *url, *thumbprint; /* of the target */
	struct peer *peer;
	struct peer_request *request;
	struct peer_request *carrying; /* its guest's connections */
	struct peer_request *greeting; /* keeps a connection to the target open */
	int64_t greeted_us;
	/* target: */
	const char *path;		/* "[ds] dir/x.vmx" */
	const char *folder;		/* to be made, beneath its datastore; or NULL */
	const struct value *config;	/* kept: as it is to be written; or NULL */
	bool writes_vmx;		/* it differs from what the source has written */
	struct error e;			/* of work on a worker */
	struct http_request *preparing; /* the PUT that waits; or NULL */
	/* of a VM that runs: */
	bool is_live;
	struct transit_identity identity; /* of our QEMU */
	char *issuer;			  /* of the other's certificate, PEM */
	char *uuid;			  /* target: config.uuid, by which its QEMU is found */
	struct transit_gate *gate;	  /* target: where the guest comes in; or NULL */
	bool is_loaded;			  /* target: it is here, whole */
	bool wants_commit;		  /* target: as soon as it is */
	struct machine *stray;		  /* target: what an earlier run left waiting; or NULL */
	bool is_sent;			  /* source: it has gone over whole */
	int64_t stopped_us, downtime_us;  /* source: monotonic; its guest stood so long */
};

/* Who waits for news. */
struct transit_waiter {
	struct list_node link; /* host_transits.waiters */
	char id[UUID_TEXT_SIZE];
	struct http_request *request;
	uint64_t after;
	bool until_end; /* waits for an end, whatever the version */
	int64_t until_us;
};

struct host_transits {
	struct host *host;
	struct list all; /* struct transit */
	struct list waiters;
	struct timer *tick;
	char thumbprint[32 * 3]; /* of this node's certificate; "": not served */
};

/* ---- transit.c ---- */

struct transit *transit_new(struct host_transits *all, const char *id, bool is_source);
/* It is gone, with what it holds but its files. */
void transit_free(struct transit *m);
struct transit *transit_find(struct host_transits *all, const char *id);
bool transit_has_ended(const struct transit *m);
/* A machine's reply that comes because the host ends: the migration may be gone already. */
bool transit_is_let_go(const struct error *e);
struct vm_layer *transit_layer(const struct transit *m);
const char *transit_state_name(enum transit_state s);

/* News: who waits is answered. */
void transit_set_state(struct transit *m, enum transit_state s);
void transit_changed(struct transit *m);
/* Ends it; the reason is m->why's where it FAILED. */
void transit_end(struct transit *m, enum transit_state s);
/* Writes STATE/migrations.json. */
bool transits_save(struct host_transits *all, struct error *e);

void transit_hold(struct transit *m, struct host_datastore *d);
/* Closes what is open of the items; datastores and claims are let go of. */
void transit_release(struct transit *m);
/* Removes what m->leftover names, on a worker, then done(m). */
void transit_remove_files(struct transit *m, void (*done)(struct transit *m));

struct json_object *transit_json(const struct transit *m);
/* Waits until its version is above `after`, it has ended (until_end), or time is up. */
void transit_wait(struct transit *m, struct http_request *r, uint64_t after, bool until_end);
void transit_wait_end(struct host_transits *all, const struct http_request *r);

void transit_respond(struct http_request *r, int status, struct json_object *o);
void transit_respond_refusal(struct http_request *r, const struct transit_refusal *why);
struct json_object *transit_refusal_json(const struct transit_refusal *why);

/* Always false. `fault`: a type's name; NULL: follows from the error. */
bool transit_refuse(struct transit_refusal *why, int status, const char *fault, const char *object,
		    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
bool transit_refuse_error(struct transit_refusal *why, const char *object, const struct error *e);
bool transit_refuse_vm(struct transit_refusal *why, const char *object, const struct vm_refusal *r);

/* What this node's guests see, for the other end; the caller's. */
struct json_object *transit_cpu(const struct host *h);

/* ---- transit_source.c ---- */

/* PUT: claims the VM. The answer, or NULL with the refusal. */
struct json_object *transit_source_prepare(struct host_transits *all, const char *id,
					   const struct json_at *body, struct transit_refusal *why);
bool transit_source_start(struct transit *m, const struct json_at *body,
			  struct transit_refusal *why);
void transit_source_cancel(struct transit *m);
/* OFFERED, of an earlier run: asks the target. */
void transit_source_resume(struct transit *m);
/* Lets go of the VM; what was offered stays so on disk. */
void transit_source_stop(struct transit *m);
/* Now and then. */
void transit_source_tick(struct transit *m);

/* ---- transit_arrival.c ---- */

/* The VM can come: path, folder, items, config of `m` are set, datastores held, the folder claimed.
 * False: transit_free() undoes it. */
bool transit_arrival(struct transit *m, const struct json_at *body, struct transit_refusal *why);

/* ---- transit_target.c ---- */

/* PUT: checks and reserves. False: refused; else it is answered, now or later. */
bool transit_target_prepare(struct host_transits *all, const char *id, const struct json_at *body,
			    struct http_request *r, struct transit_refusal *why);
/* All that was announced is here: take the VM. */
void transit_target_commit(struct transit *m);
/* Gives up: CANCELLED or FAILED, as `why` (NULL: cancelled) says. */
void transit_target_give_up(struct transit *m, const struct transit_refusal *why);
void transit_target_fail(struct transit *m, const struct error *e);
void transit_target_tick(struct transit *m);

/* For transit_live.c: what was under way has ended; e NULL: well. False: nothing goes on. */
bool transit_target_go_on(struct transit *m, const struct error *e);
/* All is ready, the PUT can be answered; the machine is stopped; the guest runs. */
void transit_target_ready(struct transit *m);
void transit_target_stopped(struct transit *m);
void transit_target_runs(struct transit *m, const struct error *e);

/* ---- transit_live.c: the target's machine ---- */

/* Shows the VM and has its machine wait for the guest; transit_target_go_on() tells how that ended.
 */
void transit_live_open(struct transit *m);
/* Ports, and who we are, for the ticket. */
void transit_live_ticket(struct transit *m, struct json_object *ticket);
void transit_live_run(struct transit *m);
/* Throws the machine away; false: there is none any more, else transit_target_stopped() comes. */
bool transit_live_stop(struct transit *m);
/* Nobody comes in any more. */
void transit_live_close(struct transit *m);
/* What an earlier run left waiting under m->uuid ends; then m goes, too. */
void transit_live_clear(struct transit *m);

/* ---- transit_send.c: the source's machine ---- */

/* Of a connection between QEMUs: what is written goes out at once (TCP_NODELAY). They set it for
 * disks at one end and for memory at none; each of their agreements on TLS waits for a delayed
 * acknowledgement without it, with the source's guest standing still, and a source whose target
 * dies in that time stands still for ever: of a flight of which only a part could be sent, QEMU
 * waits to send the rest, in a loop that runs when the wait is over (QEMU 7.2).
 *
 * And one whose other end takes nothing for 20 s ends, since the guest may stand, or wait with what
 * it writes. A listening socket hands all of this on. */
void transit_set_up_socket(int fd);
bool transit_send_start(struct transit *m, const struct json_at *ticket,
			struct transit_refusal *why);
void transit_send_cancel(struct transit *m);
/* Now and then while it is copied. */
void transit_send_tick(struct transit *m);
/* For it: */
void transit_source_offer(struct transit *m);
void transit_source_ask(struct transit *m);
void transit_source_failed(struct transit *m, const struct error *e);

/* Machines that a transit has to do with: see vm_power.c's listener. */
struct transit *transit_of_vm(const struct vm *vm);

/* The cards' ports, "UUID.KEY"; in the arena. */
const char *const *transit_ports(struct transit *m, size_t *n);
/* "source.ID", "target.ID" */
const char *transit_peer_name(struct transit *m, bool of_source);

/* ---- transit_describe.c: what the source says of the VM, and the target reads ---- */

struct transit_disk {
	int32_t key;
	const char *url, *path; /* of its datastore; beneath it */
	uint64_t bytes;
	enum disk_format format;
	const char *adapter_type, *uuid;
};

struct transit_description {
	const char *name, *url, *path; /* path: of the .vmx beneath the datastore with that URL */
	const char *vmx;
	bool is_suspended, is_on;
	const char *issuer; /* of the source's certificate, where it is on */
	uint64_t memory_mib;
	struct transit_disk *disks;
	size_t n_disks;
	uint64_t nvram, vmss;	 /* bytes; 0: there is none */
	struct json_object *cpu; /* borrowed */
};

/* The answer to a source's PUT; m->items are filled in. NULL with the refusal. */
struct json_object *transit_describe(struct transit *m, struct transit_refusal *why);
/* From a peer, hostile; strings are the document's. */
bool transit_description_read(struct arena *a, const struct json_at *at,
			      struct transit_description *out, struct transit_refusal *why);

/* ---- transit_receive.c ---- */
void transit_receive_add(struct server *s, struct host *h);

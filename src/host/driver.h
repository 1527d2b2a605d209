/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs machines (host/machine.h). Two drivers stand behind this interface: driver_qemu.h, one QEMU
 * process a machine, and driver_sim.h, which only pretends. driver_impl.h is for those who write
 * another.
 *
 * A struct machine is the handle of one VM, owned by who made it with machine_new(); it goes
 * through
 *
 *     OFF -start-> STARTING -> RUNNING -stop, guest, crash-> OFF
 *     OFF -resume-> STARTING       RUNNING -suspend-> SUSPENDING -> OFF
 *     OFF -adopt-> ADOPTING -> RUNNING, RECEIVING, SENT or OFF
 *
 * and, from node to node (docs/internals/migration.md),
 *
 *     OFF -receive-> STARTING -> RECEIVING -receive_stream, receive_run-> RUNNING
 *     RUNNING -send-> SENDING -send_go-> SENT -stop-> OFF    SENT -send_revive-> RUNNING
 *     SENDING -failure, send_cancel-> RUNNING
 *
 * Operations return false with `e` set when they are refused at once; nothing has changed then and
 * the reply is not called. Otherwise the reply is called exactly once, later, never from within
 * the operation, with e == NULL on success. One operation runs at a time (others: ERROR_BUSY),
 * except that machine_stop() overtakes any other, which then ends with ERROR_CANCELED.
 *
 * VMs outlive the process: machine_free() and driver_free() let go of a running VM without
 * touching it; machine_adopt() finds it again, in this process or the next.
 *
 * All functions and callbacks: on the thread of the driver's loop. Callbacks may call any function
 * here, machine_free() of their own machine included.
 */
#pragma once

#include "host/machine.h"

struct driver;
struct machine;

enum machine_state {
	MACHINE_OFF,
	MACHINE_ADOPTING,
	MACHINE_STARTING, /* or resuming */
	MACHINE_RUNNING,
	MACHINE_SUSPENDING,
	MACHINE_STOPPING,
	MACHINE_RECEIVING, /* waits for a guest that comes from another node; it has not run here */
	MACHINE_SENDING,   /* its guest is on the way to another node, and runs on here till then */
	MACHINE_SENT,	   /* all of it is over there; here it stands, and never runs by itself */
};

enum machine_exit {
	MACHINE_EXIT_STOPPED, /* machine_stop() */
	MACHINE_EXIT_GUEST, /* the guest powered itself off, asked by machine_powerdown() or not */
	MACHINE_EXIT_SUSPENDED, /* machine_suspend(); the memory is in the state file */
	MACHINE_EXIT_FAILED,	/* crashed or killed from outside; `e` says what is known */
};

/* What the layer above hears unasked. Static; any function may be NULL. */
struct machine_listener {
	/* The guest restarted itself (machine_reset() is not told here). */
	void (*reset)(void *arg, struct machine *m);
	/* A machine that was RUNNING is OFF now; after the replies of what was under way. Not
	 * called for a start, resume or adoption that failed: their reply says so. */
	void (*exited)(void *arg, struct machine *m, enum machine_exit why, const struct error *e);
	/* Its processors stand though nobody asked for it, as a rule because the storage beneath a
	 * disk is full. It is set going again every second until it runs. Not told more often
	 * than once a minute. */
	void (*stalled)(void *arg, struct machine *m, const char *why);
};

struct machine_reply {
	void (*done)(void *arg, struct machine *m, const struct error *e); /* NULL: nobody asks */
	void *arg;
};

/* What a running machine uses of its host. */
struct machine_usage {
	int64_t pid;	    /* 0 with the simulating driver */
	uint64_t cpu_us;    /* CPU time since power-on, all threads */
	uint64_t resident;  /* bytes of the host's memory, guest memory included */
	int64_t started_us; /* wall time of power-on, 1970; 0 where unknown */
};

/* All its machines must have been freed; not from within a callback. NULL is fine. */
void driver_free(struct driver *d);
const char *driver_name(const struct driver *d); /* "qemu", "sim" */

/* What confines the machines that are started here, for people: "own user, mount namespace, …;
 * without …". "" with the simulating driver. */
const char *driver_confinement(const struct driver *d);

/* Where machines that are started or adopted from now on may run, and their weight; those that run
 * are the caller's to move. Nothing with the simulating driver. */
struct placement;
void driver_place(struct driver *d, const struct placement *p);

/* `l` outlives the machine. */
struct machine *machine_new(struct driver *d, const struct machine_listener *l, void *arg);
/* What is under way ends with ERROR_CANCELED; a running VM runs on. NULL is fine. */
void machine_free(struct machine *m);

enum machine_state machine_state(const struct machine *m);

/* Powers on. Success: the guest's processors run. ERROR_BUSY: a VM of this UUID runs already
 * (adopt it), or a disk is in use. */
bool machine_start(struct machine *m, const struct machine_spec *s, const struct machine_reply *r,
		   struct error *e);

/* Powers on with the memory in the state file, which is removed before the guest goes on. The
 * spec must name the same hardware as at suspend. On failure the state file is still there. */
bool machine_resume(struct machine *m, const struct machine_spec *s, const struct machine_reply *r,
		    struct error *e);

/* Looks for a VM left running by an earlier process and goes on with it; finishes what was half
 * done (a start becomes complete, an unfinished suspend or migration is undone). ERROR_NOT_FOUND:
 * none runs, and traces of a dead one have been cleaned away. If the state file exists then, it is
 * suspended. On success it is RUNNING, or RECEIVING or SENT, where only the caller can know what
 * has been agreed with the other node: machine_receive_run(), machine_send_revive(), or
 * machine_stop(). A stream that was not whole when the earlier process died is given up. */
bool machine_adopt(struct machine *m, const struct machine_spec *s, const struct machine_reply *r,
		   struct error *e);

/* Pulls the plug. The reply comes when the VM is gone and its files are closed. */
bool machine_stop(struct machine *m, const struct machine_reply *r, struct error *e);
bool machine_reset(struct machine *m, const struct machine_reply *r, struct error *e);
/* Presses the power button; success says no more than that. */
bool machine_powerdown(struct machine *m, const struct machine_reply *r, struct error *e);
/* Writes memory and devices into the spec's state file and goes off. On failure it runs on. */
bool machine_suspend(struct machine *m, const struct machine_reply *r, struct error *e);

/* Puts the ISO at `path` into the CD-ROM drive `key`; NULL takes the medium out, even where the
 * guest has locked the drive. */
bool machine_set_medium(struct machine *m, int32_t key, const char *path,
			const struct machine_reply *r, struct error *e);
/* Plugs the NIC's cable in or out. */
bool machine_set_link(struct machine *m, int32_t key, bool connected, const struct machine_reply *r,
		      struct error *e);

/* Plugs in another network card, by its key 4000 to 4009, with a wire or without; or takes one out,
 * which needs a guest that lets go of it: ERROR_TIMEOUT where it does not, the card is there then.
 * Only on machines with slots for it: ERROR_UNSUPPORTED. */
bool machine_add_nic(struct machine *m, const struct machine_nic *nic,
		     const struct machine_reply *r, struct error *e);
bool machine_remove_nic(struct machine *m, int32_t key, const struct machine_reply *r,
			struct error *e);

/* ---- from node to node ---- */

/* Of one migration: QEMUs talk TLS to each other, and each takes nobody but the other. */
struct machine_credentials {
	const char *certificate, *key; /* PEM, its own; the key is made for this migration */
	const char *peer;	       /* PEM, the other's certificate, or what has issued it */
	const char *peer_name;	       /* a name that the other's certificate bears */
};

struct machine_incoming {
	struct machine_credentials tls;
	/* Disks, by key, whose content comes over as well: the other side writes them through
	 * `export_fd`, a listening socket, as exports of their names (machine_export_name()). */
	const int32_t *disks;
	size_t n_disks;
	int export_fd; /* still the caller's; -1 without disks */
};

/* Starts an empty machine of this hardware that waits for a guest. The reply comes when it waits,
 * RECEIVING. Until then, and from then on, machine_stop() throws it away. */
bool machine_receive(struct machine *m, const struct machine_spec *s,
		     const struct machine_incoming *in, const struct machine_reply *r,
		     struct error *e);
/* The connection that the guest comes by; `fd` is still the caller's. Once. The reply comes when
 * all is there; where it fails the machine is gone. */
bool machine_receive_stream(struct machine *m, int fd, const struct machine_reply *r,
			    struct error *e);
/* Lets the guest run; only when the other side never will again. Success: RUNNING, perhaps
 * stalled, where what runs it does not answer. */
bool machine_receive_run(struct machine *m, const struct machine_reply *r, struct error *e);

struct machine_mirror {
	int32_t key; /* of the disk */
	int fd;	     /* a connection to the other side's export_fd; still the caller's */
};

struct machine_outgoing {
	struct machine_credentials tls;
	int stream_fd; /* a connection that the other side gives to machine_receive_stream() */
	const struct machine_mirror *disks;
	size_t n_disks;
	uint64_t bandwidth; /* bytes a second; 0: as fast as it goes */
};

/* What the caller of machine_send() hears. Callbacks may call any function here. */
struct machine_send_listener {
	/* Bytes of disks and memory; the total grows where a guest writes. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* The guest stands still from now on; more of it goes over. NULL: nobody asks. */
	void (*stands)(void *arg);
	/* It does, and its disks are whole over there; next is machine_send_go(). */
	void (*stopped)(void *arg);
	/* All of it has gone over: SENT. */
	void (*sent)(void *arg);
	/* It did not, or was cancelled: the guest runs on here, RUNNING. Not called when the
	 * machine itself ends; the machine's listener hears that. */
	void (*failed)(void *arg, const struct error *e);
};

/* Whether what it is made of can be moved at all; why not, for as long as it is powered on. */
bool machine_can_send(const struct machine *m, struct error *e);
bool machine_send(struct machine *m, const struct machine_outgoing *out,
		  const struct machine_send_listener *l, void *arg, struct error *e);
/* After `stopped`: gives the rest away. Cannot be cancelled any more. */
bool machine_send_go(struct machine *m, struct error *e);
/* Before machine_send_go(); `failed` follows, with ERROR_CANCELED. */
bool machine_send_cancel(struct machine *m, struct error *e);
/* SENT: the guest goes on here; only when the other side never will. Success: RUNNING, perhaps
 * stalled, as above. */
bool machine_send_revive(struct machine *m, const struct machine_reply *r, struct error *e);

/* The name under which a disk's content is taken in; out of at least 24 bytes. */
void machine_export_name(int32_t key, char out[24]);

/* Keeps logs that its guest can fill short; to be called now and then while it runs. Of a serial
 * port's log that has more than 8 MiB the last MiB stays, as LOG.1. */
void machine_tidy(struct machine *m);

/* At once, without asking the VM. ERROR_STATE where nothing runs. */
bool machine_usage(const struct machine *m, struct machine_usage *out, struct error *e);

/* What confines this one; NULL where it does not run, or nothing is known. */
const char *machine_confinement(const struct machine *m);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a program that is not trusted: under a user of its own, in namespaces of its own where it
 * sees a handful of files, under Landlock, with limits and without any privilege. How much of this
 * the kernel and our own rights allow is found out by trying (sandbox_probe()).
 *
 * What the program works with it gets as open descriptors. The view holds only what it must open
 * by name: itself, libraries, firmware, devices.
 *
 * The caller owns plans and views. Loop's thread: starting blocks for some milliseconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/vec.h"

struct placement;

enum sandbox_layer {
	SANDBOX_USER,		/* uid and gid of its own; root only */
	SANDBOX_USER_NAMESPACE, /* what gives an ordinary user the right to the next five */
	SANDBOX_MOUNT,		/* a root of its own: nothing but the view, read-only */
	SANDBOX_PID,
	SANDBOX_IPC,
	SANDBOX_UTS,
	SANDBOX_NET, /* no interface at all */
	SANDBOX_LANDLOCK,
	SANDBOX_LAYERS,
};

#define SANDBOX_BIT(layer) (1U << (layer))

/* "own user", "mount namespace", … */
const char *sandbox_layer_name(enum sandbox_layer l);
/* "own user, mount namespace, …" of a set of bits; "none". */
void sandbox_layers_text(unsigned set, struct buf *out);

/* ---- what it sees ---- */

enum sandbox_entry_kind {
	SANDBOX_FOLDER, /* an empty one on the way to others */
	SANDBOX_LINK,
	SANDBOX_FILE,
	SANDBOX_TREE,
	SANDBOX_DEVICE,
	SANDBOX_SOCKETS, /* a folder that it may make and remove sockets in */
};

struct sandbox_entry {
	enum sandbox_entry_kind kind;
	char *path;   /* absolute, inside */
	char *target; /* of a LINK; of a TREE where it is outside, NULL: at the same path */
	dev_t device;
};

/* Entries stand in the order in which they are to be made. Zero-initialised is empty. */
struct sandbox_view {
	VEC(struct sandbox_entry) entries;
};

/* Adds what `path` names, and the symbolic links on the way as they are. What does not exist is
 * left out. `root` stands before each path looked at: "" but for tests. */
void sandbox_view_add(struct sandbox_view *v, const char *root, const char *path);
/* Shows an existing folder under a name at the root ("/name"), not its path. */
void sandbox_view_add_folder(struct sandbox_view *v, const char *folder, const char *name);
void sandbox_view_add_sockets(struct sandbox_view *v, const char *root, const char *folder);
/* What a dynamically linked program installed in PREFIX/bin needs to start: itself (absolute),
 * the system's libraries and the linker's cache. */
void sandbox_view_add_program(struct sandbox_view *v, const char *root, const char *program);
void sandbox_view_fini(struct sandbox_view *v);

/* ---- starting ---- */

struct sandbox_limit {
	int resource; /* RLIMIT_… */
	rlim_t value; /* soft and hard */
};

struct sandbox_plan {
	unsigned layers; /* SANDBOX_BIT()s */
	uid_t uid;	 /* with SANDBOX_USER */
	gid_t gid;
	gid_t group;	    /* with SANDBOX_USER: one more; 0: none */
	const char *folder; /* with SANDBOX_MOUNT: an existing one, for a mount point unseen by
			       others */
	const struct sandbox_view *view;
	const char *const *argv; /* argv[0] is an absolute path */
	const char *const *env;
	const int *fds; /* become 0, 1, 2, … */
	size_t n_fds;
	const struct sandbox_limit *limits;
	size_t n_limits;
	const char *pid_file; /* written before the program starts; NULL: none */
	/* Given before it does anything (host/placement.h); NULL: ours. Where it cannot be had it
	 * is told, and the program runs all the same. */
	const struct placement *placement;
	bool is_trial; /* all but the last step: it ends with status 0 instead */
};

/* The program runs in a session of its own, with no capabilities and no new privileges, all
 * signals at their defaults, in "/", umask 077. Returns its pid, our child; it must be waited for.
 * -1: nothing runs. Killed at any moment we leave no program running whose pid file is not
 * written. */
pid_t sandbox_spawn(const struct sandbox_plan *p, struct error *e);

/* ---- what works here ---- */

struct sandbox_support {
	unsigned layers;
	int landlock_abi;	       /* 0: the kernel has none */
	char why[SANDBOX_LAYERS][240]; /* of those that are missing */
};

/* Tries a plan whose `layers`, argv and descriptors do not matter, by starting trials. */
void sandbox_probe(const struct sandbox_plan *p, struct sandbox_support *out);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world around VMs for tests: a host of its own with one datastore "ds1" in a folder, an
 * API, a manual clock and the simulating driver. Methods are called as the program itself would.
 */
#pragma once

#include <uv.h>

#include "base/arena.h"
#include "host/host.h"
#include "host/vm.h"
#include "vim/api.h"

struct world {
	uv_loop_t loop;
	struct clock *clock;
	struct user_store *users;
	struct api *api;
	struct hardware hardware;
	struct node node;
	struct driver *driver;
	struct host *host;
	struct arena *arena; /* for arguments */
	char folder[256];    /* holds state and datastore */
	bool simulated;
	struct session *as; /* who calls; NULL: the program itself, which may do all */
	size_t n_kept;	    /* values at the beginning; as many are left at the end */
	/* of the last call */
	const struct value *result; /* kept, or NULL */
	const struct value *fault;  /* kept; NULL: it went well */
	char text[512];
};

/* A new empty folder, in memory where the system has that; world_folder_remove() takes it away. */
void world_folder_make(char out[64]);
void world_folder_remove(const char *folder);
/* `folder` exists. Simulated: nothing is kept in it. */
void world_up(struct world *w, const char *folder, bool simulated);
/* The same; `prepare` may change the driver before the host starts. */
void world_up_with(struct world *w, const char *folder, bool simulated,
		   void (*prepare)(struct world *w));
/* As when the program ends: machines of the simulating driver are forgotten. */
void world_down(struct world *w);
/* Turns the loop and moves the clock until `done` says so, at most some seconds. */
void world_wait(struct world *w, bool (*done)(void *arg), void *arg);
void world_turn(struct world *w);

/* Runs a method, and the task that it returns to its end; false with w->fault. */
bool world_call(struct world *w, struct object *self, uint16_t method, const struct value *args);
/* The same without waiting for the task, which is returned. */
struct object *world_begin(struct world *w, struct object *self, uint16_t method,
			   const struct value *args);
bool world_task_wait(struct world *w, struct object *task);

/* A spec with a disk of `disk_kb` (0: none), a network card and a serial port. */
struct value *world_spec(struct world *w, const char *name, int64_t disk_kb);
struct value *world_change(struct world *w, struct value *spec, int op, struct value *device);
/* CreateVM_Task; NULL with w->fault. */
struct vm *world_create(struct world *w, const struct value *spec);
bool world_power(struct world *w, struct vm *vm, uint16_t method);
bool world_reconfigure(struct world *w, struct vm *vm, const struct value *spec);
struct vm *world_find(struct world *w, const char *name);
/* Is there such a file beneath the datastore? */
bool world_has_file(struct world *w, const char *path);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the manager's own inventory have in common: a manager with a database, in `t`,
 * calls of its API that end at once, and hosts and VMs that are only objects. One test at a time.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "center/center.h"

struct center_rig {
	char state[64];
	uv_loop_t loop;
	struct user_store *users;
	struct api *api;
	struct center *c;
	struct arena *a;
	const struct value *result; /* of the last call, kept */
	uint16_t fault;		    /* its type, T_none: none */
	char text[256];
};
extern struct center_rig t;

int setup(void **state);
int teardown(void **state);
/* start_refused(): where the database cannot be used; *e says why. */
void start(void);
void start_refused(struct error *e);
void stop(void);
void restart(void);

/* A method that ends at once; of a task, what it came to. */
void call(struct object *self, uint16_t method, const struct value *args);
struct value *args_of(uint16_t method);
struct object *made(void); /* what the last call refers to */
void succeeded(void);
void refused(uint16_t fault);

/* Calls. */
void create_named(struct object *folder, uint16_t method, unsigned arg, const char *name);
void create_folder(struct object *folder, const char *name);
void create_cluster(struct object *folder, const char *name, const struct value *spec);
void rename_to(struct object *o, const char *name);
void move_to(struct object *folder, struct object *o);
void destroy(struct object *o);
/* Of a CPU reservation. */
struct value *pool_spec(int64_t mhz, bool expandable);
void create_pool(struct object *parent, const char *name, const struct value *spec);
struct object *new_datacenter(const char *name);

/* Looking. */
struct object *folder_of(struct object *dc, unsigned prop);
struct object *at(const char *path); /* by path below the root: "DC/vm/f" */

/* Hosts and VMs that are only objects. */
struct object *new_host(const char *id, struct object *compute, const char *name);
struct object *new_vm(const char *id, const char *name, struct object *folder, struct object *pool,
		      struct object *host);

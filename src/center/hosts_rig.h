/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the layer of hosts have in common: a manager with a datacenter, in `t`, calls that
 * turn the loop until they are answered, and fake hosts to add. One test at a time.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "center/center.h"
#include "center/fake_host.h"

enum {
	PATIENCE_MS = 15000
};

#define UUID_1 "11111111-1111-4111-8111-111111111111"
#define UUID_2 "22222222-2222-4222-8222-222222222222"

struct hosts_rig {
	char folder[64], state[80];
	bool is_kept; /* with a database */
	uv_loop_t loop;
	uv_timer_t tick;
	struct user_store *users;
	struct api *api;
	struct center *c;
	struct object *dc, *hosts, *vms;
	struct arena *a;
	struct fake_host *host[3];
	/* the last call */
	const struct value *result, *fault; /* kept */
	char text[400];
	bool is_answered;
};
extern struct hosts_rig t;

/* Turns the loop until the condition holds. */
#define wait_for(condition)                                                                        \
	do {                                                                                       \
		uint64_t end_ = uv_hrtime() + PATIENCE_MS * UINT64_C(1000000);                     \
		while (!(condition) && uv_hrtime() < end_) {                                       \
			uv_run(&t.loop, UV_RUN_ONCE);                                              \
		}                                                                                  \
		assert_true(condition);                                                            \
	} while (0)

/* Turns the loop that often without waiting. */
void turn(unsigned n);

/* setup_kept(): with a database. */
int setup(void **state);
int setup_kept(void **state);
int teardown(void **state);
void start(void);
void stop(void);
void restart(void);

/* Begins a call as the system; its answer is in t.result and t.fault, now or later. */
struct value *args_of(uint16_t method);
void begin(struct object *self, uint16_t method, const struct value *args);
void on_done(void *arg, const struct value *result, const struct value *fault, const char *text);
/* Waits for the answer and, of a task, for its result or fault. */
void call(struct object *self, uint16_t method, const struct value *args);
const struct value *task_info(void); /* of the task in t.result */
void take_task(void);		     /* waits for the end of the task in t.result */
void expect_ok(void);
void expect_fault(uint16_t type);
struct object *result_object(void);

/* Hosts. */
struct value *host_spec(const struct fake_host *h);
void add_by(const struct value *spec);
struct object *add_remote(int i, const char *name, const char *uuid);
struct object *add_local(int i, const char *name, const char *uuid);

/* Of CreateVM_Task. path: "[datastore1]". */
struct value *create_args(const char *name, const char *path, struct object *host);

/* What the manager shows. */
int64_t num(struct object *o, unsigned prop, unsigned field);
int64_t host_state(struct object *o);
int64_t vm_power(struct object *o);
struct object *vm_here(const char *name);

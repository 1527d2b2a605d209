/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A QEMU found in the midst of a migration, after we died at any moment. What it is follows from
 * the mark that was left and from what QEMU says:
 *   IN,  still waiting or loading: nobody else knows of the guest in it, it is ended (NOT_FOUND)
 *   IN,  loaded:                   RECEIVING; only the caller knows whether it may run
 *   RUN:                           was to run here and nowhere else: runs
 *   OUT, handed over whole:        SENT; only the caller knows whether it may go on
 *   OUT, anything before:          the guest stays, nobody else has all of it
 */
#include <string.h>

#include "base/log.h"
#include "base/number.h"
#include "host/qemu_argv.h"
#include "host/qemu_move.h"

LOG_MODULE("qemu");

#define POLL_MS 50

static void ask(struct qemu_machine *m);

static void found(struct qemu_machine *m, enum machine_state state)
{
	log_info("\"%s\": found %s, as process %d", m->name,
		 state == MACHINE_SENT ? "after its guest has left" : "with the guest that came",
		 (int)process_pid(m->process));
	m->is_up = true;
	m->base.adopted = state;
	machine_done(&m->base, NULL);
}

static void discard(struct qemu_machine *m)
{
	struct error e = { 0 };
	error_set(&e, ERROR_NOT_FOUND, "\"%s\": its guest had not arrived", m->name);
	m->is_discarded = true;
	qemu_machine_fail(m, &e);
}

static void after_loaded(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	if (e) {
		qemu_machine_fail(m, e);
		return;
	}
	qemu_move_remove_credentials(m);
	m->move->is_streaming = m->move->is_loaded = true;
	found(m, MACHINE_RECEIVING);
}

static void after_run(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	if (e) {
		qemu_machine_fail(m, e);
		return;
	}
	qemu_move_mark(m, QEMU_MARK_NONE, NULL);
	qemu_move_drop(m);
	qemu_machine_up(m);
}

static void take_in(struct qemu_machine *m, const char *status, enum qemu_mark mark)
{
	if (strcmp(status, "inmigrate") == 0) {
		discard(m);
	} else if (mark == QEMU_MARK_RUN) {
		qemu_state_add_links(m);
		qemu_step_add(m, "cont", NULL);
		qemu_steps_run(m, after_run);
	} else {
		qemu_step_add_tolerant(m, "nbd-server-stop", NULL);
		qemu_state_add_links(m);
		qemu_move_add_end(m);
		qemu_steps_run(m, after_loaded);
	}
}

/* Which disks were being mirrored QEMU alone knows: the spec that a machine is adopted by names
 * none. A mirror left alone would never end, for one that is idle does not notice that the other
 * side has gone. */
static void after_nodes(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	size_t n = e == NULL && json_as_array(value, NULL) ? json_array_n(value) : 0;

	if (e) {
		qemu_machine_fail(m, e);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct json_at node = json_item(value, i);
		const char *name =
			json_as_object(&node, NULL) ? qemu_move_text(&node, "node-name") : "";
		int32_t key;
		if (strncmp(name, "mirror-", 7) == 0 && number_i32(name + 7, &key)) {
			vec_push(&m->move->disks, (struct qemu_mirror){ .key = key, .fd = -1 });
		}
	}
	error_set(&m->move->why, ERROR_CANCELED,
		  "\"%s\": the migration ended with the process that had begun it", m->name);
	qemu_send_undo(m);
}

static void stay(struct qemu_machine *m)
{
	struct json_object *o = json_object_new_object();

	json_put_bool(o, "flat", true);
	qemu_step_add(m, "query-named-block-nodes", o);
	qemu_steps_run(m, after_nodes);
}

static void after_migrate(struct qemu_machine *m, const struct json_at *value,
			  const struct error *e)
{
	const char *status = qemu_move_text(value, "status");
	if (e) {
		qemu_machine_fail(m, e);
	} else if (strcmp(status, "completed") == 0) {
		qemu_move_remove_credentials(m);
		qemu_move_drop(m);
		found(m, MACHINE_SENT);
	} else if (strcmp(status, "device") == 0) {
		qemu_move_wait(m, POLL_MS, ask);
	} else {
		stay(m);
	}
}

/* That a migration is complete may be said of the one by which the guest came here; but then it
 * does not stand after a migration. */
static void take_out(struct qemu_machine *m, const char *status)
{
	if (strcmp(status, "postmigrate") == 0 || strcmp(status, "finish-migrate") == 0) {
		qemu_step_add(m, "query-migrate", NULL);
		qemu_steps_run(m, after_migrate);
	} else {
		stay(m);
	}
}

static void after_status(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	const char *status = qemu_move_text(value, "status");
	enum qemu_mark mark = qemu_move_marked(m);
	if (e) {
		qemu_machine_fail(m, e);
		return;
	}
	log_debug("\"%s\": found %s on its way", m->name, status);
	if (mark == QEMU_MARK_OUT) {
		take_out(m, status);
	} else {
		take_in(m, status, mark);
	}
}

static void ask(struct qemu_machine *m)
{
	qemu_step_add(m, "query-status", NULL);
	qemu_steps_run(m, after_status);
}

void qemu_move_adopt(struct qemu_machine *m)
{
	m->move = qemu_move_new(NULL);
	ask(m);
}

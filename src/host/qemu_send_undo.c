/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that was to leave stays. QEMU is told until it has done so: ask(), over and over where
 * it cannot be reached; only its end ends that.
 *
 * The guest stands while its mirrors end, for some milliseconds. In QEMU 7.2 to 10.0 at least, a
 * mirror that ends otherwise than well frees its bitmap of requests in flight and does not wait
 * for what the guest just then writes through it (copy-mode write-blocking), which clears its bits
 * afterwards: in memory that is something else's by then. "stop" waits for those writes, and no
 * new ones come. For the same reason a mirror that fails must not end by itself.
 */
#include <string.h>

#include "base/log.h"
#include "host/qemu_argv.h"
#include "host/qemu_move.h"

LOG_MODULE("qemu");

#define POLL_MS	 20
#define AGAIN_MS 1000

static void ask(struct qemu_machine *m);
static void ask_jobs(struct qemu_machine *m);

static bool is_lost(const struct error *e)
{
	return e->kind == ERROR_UNREACHABLE || e->kind == ERROR_TIMEOUT;
}

/* It runs on, or stands for a reason of its own. */
static void end(struct qemu_machine *m, const struct error *stands)
{
	struct error why = m->move->why;
	bool adopts = m->base.op == MACHINE_OP_ADOPT;
	qemu_move_remove_credentials(m);
	qemu_move_mark(m, QEMU_MARK_NONE, NULL);
	qemu_move_drop(m);
	log_info("\"%s\": its guest stays: %s", m->name, why.msg);
	if (adopts) {
		m->is_stalled = stands != NULL;
		qemu_machine_up(m);
		return;
	}
	machine_hold(&m->base);
	machine_done(&m->base, &why);
	if (machine_release(&m->base) && stands != NULL && m->base.state == MACHINE_RUNNING) {
		qemu_machine_stall(m, stands->msg);
	}
}

static void after_cont(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	if (e && is_lost(e)) {
		qemu_move_wait(m, AGAIN_MS, ask);
	} else if (e && strstr(e->msg, "not finalized") != NULL) {
		qemu_move_wait(m, POLL_MS, ask);
	} else {
		end(m, e);
	}
}

static void go_on(struct qemu_machine *m)
{
	vec_each (&m->move->disks, d) {
		char name[24];
		struct json_object *o = json_object_new_object();
		qemu_move_mirror_name(d->key, name);
		json_put_str(o, "node-name", name);
		qemu_step_add_tolerant(m, "blockdev-del", o);
	}
	qemu_move_add_end(m);
	qemu_move_add_capability(m, "pause-before-switchover", false);
	qemu_step_add(m, "cont", NULL);
	qemu_steps_run(m, after_cont);
}

static void after_jobs(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	if (e) {
		qemu_move_wait(m, AGAIN_MS, ask);
	} else if (qemu_move_mirrors(value).n > 0) {
		qemu_move_wait(m, POLL_MS, ask_jobs);
	} else {
		go_on(m);
	}
}

static void ask_jobs(struct qemu_machine *m)
{
	qemu_step_add(m, "query-block-jobs", NULL);
	qemu_steps_run(m, after_jobs);
}

/* Its memory goes nowhere any more: nobody but us lets the guest run again. */
static void end_mirrors(struct qemu_machine *m)
{
	if (m->move->disks.n > 0) {
		qemu_step_add(m, "stop", NULL);
	}
	vec_each (&m->move->disks, d) {
		char name[24];
		struct json_object *o = json_object_new_object();
		qemu_move_mirror_name(d->key, name);
		json_put_str(o, "device", name);
		json_put_bool(o, "force", true);
		qemu_step_add_tolerant(m, "block-job-cancel", o);
	}
	ask_jobs(m);
}

static void after_ask(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	static const char *const under_way[] = { "setup",	   "active", "cancelling",
						 "pre-switchover", "device", "wait-unplug" };
	const char *status = qemu_move_text(value, "status");
	if (e) {
		qemu_move_wait(m, AGAIN_MS, ask);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(under_way); i++) {
		if (strcmp(status, under_way[i]) == 0) {
			qemu_move_wait(m, POLL_MS, ask);
			return;
		}
	}
	end_mirrors(m);
}

static void ask(struct qemu_machine *m)
{
	qemu_step_add_tolerant(m, "migrate_cancel", NULL);
	qemu_step_add(m, "query-migrate", NULL);
	qemu_steps_run(m, after_ask);
}

void qemu_send_undo(struct qemu_machine *m)
{
	m->move->is_undoing = true;
	qemu_move_cut(m->move);
	ask(m);
}

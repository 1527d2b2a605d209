/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end that a guest leaves.
 *
 *     RUNNING -qemu_send()-> mirrors are made -make_next()-> copied -poll_disks()-> all are ready
 *     -begin_memory()-> memory goes over -poll_memory(): pre-switchover-> the guest stands
 *     -end_mirrors()-> machine_send_stopped() -qemu_send_go()-> go() -poll_going()-> SENT
 *     any before SENT -failure, qemu_send_cancel(): qemu_send_undo()-> RUNNING
 *
 * Invariants
 * 1. The mark says QEMU_MARK_OUT from before QEMU hears the first word until the guest is known to
 *    go on here, or the QEMU has ended.
 * 2. QEMU stops by itself before the last of the guest leaves it (pause-before-switchover), where
 *    it was not stopped before (loses_writes()), and goes on only when told to; mirrors end while
 *    it stands.
 * 3. After it was told to go on, what QEMU says decides and nothing else: without an answer it is
 *    asked again.
 * 4. No mirror ends while the guest runs: one that fails is paused (see qemu_send_undo.c).
 * 5. One sequence of steps at a time: a cancellation waits for its end, and cuts the connections
 *    so that the end comes.
 */
#include <string.h>

#include "base/log.h"
#include "host/qemu_argv.h"
#include "host/qemu_move.h"

LOG_MODULE("qemu");

#define POLL_MS	      200
#define POLL_SOON_MS  5
#define AGAIN_MS      500
#define BANDWIDTH_MAX (INT64_C(1) << 40) /* bytes a second: as fast as the network takes it */
/* How long QEMU may reckon that the guest stands still while the last of its memory goes over: it
 * begins low, and doubles while the guest writes too much for that. */
#define DOWNTIME_MIN_MS	 15
#define DOWNTIME_MAX_MS	 480
#define DOWNTIME_EACH_US INT64_C(1500000)

/* Whether it ends here: cancelled, or something failed. */
static bool is_over(struct qemu_machine *m, const struct error *e)
{
	struct qemu_move *v = m->move;
	if (v->is_cancelled) {
		v->why = (struct error){ 0 };
		error_set(&v->why, ERROR_CANCELED, "\"%s\": the migration was cancelled", m->name);
	} else if (e && v->why.kind == ERROR_NONE) {
		v->why = *e;
	}
	if (v->why.kind == ERROR_NONE) {
		return false;
	}
	qemu_send_undo(m);
	return true;
}

/* ---- the switch-over ---- */

static void ask_going(struct qemu_machine *m);

static void sent(struct qemu_machine *m)
{
	qemu_move_remove_credentials(m);
	qemu_move_drop(m);
	log_info("\"%s\": its guest has left", m->name);
	machine_done(&m->base, NULL);
}

static void after_ask_going(struct qemu_machine *m, const struct json_at *value,
			    const struct error *e)
{
	const char *status = qemu_move_text(value, "status");
	if (e) {
		qemu_move_wait(m, AGAIN_MS, ask_going);
	} else if (strcmp(status, "completed") == 0) {
		sent(m);
	} else if (strcmp(status, "pre-switchover") == 0) {
		qemu_send_go(&m->base, NULL); /* it has not heard it */
	} else if (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0) {
		error_set(&m->move->why, ERROR_IO, "\"%s\": handing over the guest failed: %s",
			  m->name, qemu_move_text(value, "error-desc"));
		qemu_send_undo(m);
	} else {
		qemu_move_wait(m, POLL_SOON_MS, ask_going);
	}
}

static void ask_going(struct qemu_machine *m)
{
	qemu_step_add(m, "query-migrate", NULL);
	qemu_steps_run(m, after_ask_going);
}

static void go(struct qemu_machine *m)
{
	struct json_object *o = json_object_new_object();
	json_put_str(o, "state", "pre-switchover");
	qemu_step_add_tolerant(m, "migrate-continue", o);
	qemu_step_add(m, "query-migrate", NULL);
	qemu_steps_run(m, after_ask_going);
}

bool qemu_send_go(struct machine *base, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	if (m->move->is_cancelled || m->move->is_undoing) {
		return error_set(e, ERROR_CANCELED, "\"%s\": the migration was cancelled", m->name);
	}
	m->move->is_going = true;
	qemu_move_wait(m, 0, go);
	return true;
}

/* ---- the guest stands; the mirrors end ---- */

static void ask_ended(struct qemu_machine *m);

static void after_mirrors(struct qemu_machine *m, const struct json_at *value,
			  const struct error *e)
{
	(void)value;
	if (!is_over(m, e)) {
		machine_send_stopped(&m->base); /* may free m */
	}
}

static void after_ask_ended(struct qemu_machine *m, const struct json_at *value,
			    const struct error *e)
{
	if (is_over(m, e)) {
		return;
	}
	struct qemu_mirror_state s = qemu_move_mirrors(value);
	if (s.n_failed > 0) {
		struct error why = { 0 };
		qemu_move_set_failed(m, "it was broken off", &why);
		is_over(m, &why);
		return;
	}
	if (s.n > 0) {
		qemu_move_wait(m, POLL_SOON_MS, ask_ended);
		return;
	}
	vec_each (&m->move->disks, d) {
		char name[24];
		struct json_object *o = json_object_new_object();
		qemu_move_mirror_name(d->key, name);
		json_put_str(o, "node-name", name);
		qemu_step_add(m, "blockdev-del", o);
	}
	qemu_steps_run(m, after_mirrors);
}

static void ask_ended(struct qemu_machine *m)
{
	qemu_step_add(m, "query-block-jobs", NULL);
	qemu_steps_run(m, after_ask_ended);
}

/* A mirror that is ready and told to end leaves a whole copy. */
static void end_mirrors(struct qemu_machine *m)
{
	if (m->move->disks.n == 0) {
		machine_send_stopped(&m->base); /* may free m */
		return;
	}
	vec_each (&m->move->disks, d) {
		char name[24];
		struct json_object *o = json_object_new_object();
		qemu_move_mirror_name(d->key, name);
		json_put_str(o, "device", name);
		qemu_step_add(m, "block-job-cancel", o);
	}
	qemu_step_add(m, "query-block-jobs", NULL);
	qemu_steps_run(m, after_ask_ended);
}

/* ---- memory ---- */

static void ask_memory(struct qemu_machine *m);

/* False: somebody let the machine go, or ended it. */
static bool tell_progress(struct qemu_machine *m, const struct json_at *migrate)
{
	uint64_t left = 0, total = m->memory;
	struct json_at ram;
	struct qemu_move *v = m->move;
	if (migrate && json_has(migrate, "ram") && json_get_object(migrate, "ram", &ram, NULL)) {
		json_get_u64(&ram, "remaining", &left, NULL);
		json_get_u64(&ram, "total", &total, NULL);
	} else {
		left = total;
	}
	left = left < total ? left : total;
	machine_hold(&m->base);
	machine_send_progress(&m->base, v->disk_done + total - left, v->disk_total + total);
	return machine_release(&m->base) && m->base.state == MACHINE_SENDING;
}

/* The same. */
static bool tell_stands(struct qemu_machine *m)
{
	machine_hold(&m->base);
	machine_send_stands(&m->base);
	return machine_release(&m->base) && m->base.state == MACHINE_SENDING;
}

static void add_downtime(struct qemu_machine *m, unsigned ms)
{
	struct json_object *o = json_object_new_object();
	m->move->downtime_ms = ms;
	m->move->downtime_us = clock_mono_us(qemu_driver_of(m)->clock);
	json_put_i64(o, "downtime-limit", ms);
	qemu_step_add(m, "migrate-set-parameters", o);
}

static void after_ask_memory(struct qemu_machine *m, const struct json_at *value,
			     const struct error *e)
{
	struct error why = { 0 };
	const char *status = qemu_move_text(value, "status");
	if (is_over(m, e)) {
		return;
	}
	if (strcmp(status, "pre-switchover") == 0) {
		if (tell_stands(m)) {
			end_mirrors(m);
		}
	} else if (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0 ||
		   strcmp(status, "completed") == 0) {
		error_set(&why, ERROR_IO, "\"%s\": sending its memory failed: %s", m->name,
			  qemu_move_text(value, "error-desc"));
		is_over(m, &why);
	} else if (tell_progress(m, value)) {
		qemu_move_wait(m, m->move->is_cancelled ? 0 : POLL_MS, ask_memory);
	}
}

static void ask_memory(struct qemu_machine *m)
{
	struct qemu_move *v = m->move;
	if (v->downtime_ms < DOWNTIME_MAX_MS &&
	    clock_mono_us(qemu_driver_of(m)->clock) - v->downtime_us >= DOWNTIME_EACH_US) {
		add_downtime(m, 2 * v->downtime_ms);
	}
	qemu_step_add(m, "query-migrate", NULL);
	qemu_steps_run(m, after_ask_memory);
}

static void add_migrate(struct qemu_machine *m)
{
	struct json_object *o = json_object_new_object();
	json_put_str(o, "uri", "fd:stream");
	qemu_step_add_fd(m, "stream", m->move->stream);
	qemu_step_add(m, "migrate", o);
}

static void after_migrate(struct qemu_machine *m, const struct json_at *value,
			  const struct error *e)
{
	(void)value;
	if (!is_over(m, e)) {
		ask_memory(m);
	}
}

static void after_stop(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	if (is_over(m, e)) {
		return;
	}
	if (tell_stands(m)) {
		add_migrate(m);
		qemu_steps_run(m, after_migrate);
	}
}

/* Of what an emulated guest writes while its memory goes over, QEMU before version 9 forgets a
 * part: where it has looked which pages were written, it does not look again at those that the
 * processor writes without asking. Such a guest must stand still meanwhile. */
static bool loses_writes(const struct qemu_machine *m)
{
	return m->accel == MACHINE_TCG && qmp_major(m->qmp) < 9;
}

static void begin_memory(struct qemu_machine *m)
{
	struct json_object *parameters = json_object_new_object();
	uint64_t bandwidth = m->move->bandwidth;
	json_put_str(parameters, "tls-creds", QEMU_MOVE_CREDENTIALS);
	json_put_str(parameters, "tls-hostname", m->move->peer_name);
	json_put_i64(parameters, "max-bandwidth",
		     bandwidth > 0 && bandwidth < (uint64_t)BANDWIDTH_MAX ? (int64_t)bandwidth
									  : BANDWIDTH_MAX);
	qemu_step_add(m, "migrate-set-parameters", parameters);
	add_downtime(m, DOWNTIME_MIN_MS);
	qemu_move_add_capability(m, "pause-before-switchover", true);
	qemu_move_add_capability(m, "auto-converge", true);
	qemu_move_add_capability(m, "events", true);
	if (loses_writes(m)) {
		qemu_step_add(m, "stop", NULL);
		qemu_steps_run(m, after_stop);
	} else {
		add_migrate(m);
		qemu_steps_run(m, after_migrate);
	}
}

/* ---- disks ---- */

static void ask_disks(struct qemu_machine *m);

static void after_ask_disks(struct qemu_machine *m, const struct json_at *value,
			    const struct error *e)
{
	struct error why = { 0 };
	if (is_over(m, e)) {
		return;
	}
	struct qemu_mirror_state s = qemu_move_mirrors(value);
	m->move->disk_done = s.done;
	m->move->disk_total = s.total;
	if (s.n_failed > 0 || s.n < m->move->disks.n) {
		qemu_move_set_failed(m, "it was broken off", &why);
		is_over(m, &why);
	} else if (s.n_ready == s.n) {
		begin_memory(m);
	} else if (tell_progress(m, NULL)) {
		qemu_move_wait(m, m->move->is_cancelled ? 0 : POLL_MS, ask_disks);
	}
}

static void ask_disks(struct qemu_machine *m)
{
	qemu_step_add(m, "query-block-jobs", NULL);
	qemu_steps_run(m, after_ask_disks);
}

static void make_next(struct qemu_machine *m);

static void after_mirror(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	if (!is_over(m, e)) {
		m->move->n_made++;
		make_next(m);
	}
}

static struct json_object *mirror_target(const struct qemu_machine *m, int32_t key)
{
	char name[24], export[24];
	struct json_object *server = json_object_new_object();
	struct json_object *o = json_object_new_object();
	qemu_move_mirror_name(key, name);
	machine_export_name(key, export);
	json_put_str(server, "type", "fd");
	json_put_str(server, "str", name);
	json_put_str(o, "driver", "nbd");
	json_put_str(o, "node-name", name);
	json_put(o, "server", server);
	json_put_str(o, "export", export);
	json_put_str(o, "tls-creds", QEMU_MOVE_CREDENTIALS);
	json_put_str(o, "tls-hostname", m->move->peer_name);
	json_put_str(o, "discard", "unmap");
	return o;
}

static struct json_object *mirror_job(const struct qemu_machine *m, int32_t key)
{
	char name[24], medium[24];
	struct json_object *o = json_object_new_object();
	qemu_move_mirror_name(key, name);
	qemu_argv_medium_name(key, medium);
	json_put_str(o, "job-id", name);
	json_put_str(o, "device", medium);
	json_put_str(o, "target", name);
	json_put_str(o, "sync", "full");
	/* What the guest writes goes over before it hears that it is written: so it converges. */
	json_put_str(o, "copy-mode", "write-blocking");
	/* A job that ended while the guest writes would take QEMU with it: see qemu_send_undo.c. */
	json_put_str(o, "on-source-error", "stop");
	json_put_str(o, "on-target-error", "stop");
	if (m->move->bandwidth > 0 && m->move->bandwidth < (uint64_t)BANDWIDTH_MAX) {
		json_put_u64(o, "speed", m->move->bandwidth);
	}
	return o;
}

static void make_next(struct qemu_machine *m)
{
	struct qemu_move *v = m->move;
	if (v->n_made == v->disks.n) {
		if (v->disks.n > 0) {
			ask_disks(m);
		} else {
			begin_memory(m);
		}
		return;
	}
	const struct qemu_mirror *d = &v->disks.items[v->n_made];
	char name[24];
	qemu_move_mirror_name(d->key, name);
	qemu_step_add_fd(m, name, d->fd);
	qemu_step_add(m, "blockdev-add", mirror_target(m, d->key));
	qemu_step_add(m, "blockdev-mirror", mirror_job(m, d->key));
	qemu_steps_run(m, after_mirror);
}

static void after_credentials(struct qemu_machine *m, const struct json_at *value,
			      const struct error *e)
{
	(void)value;
	if (!is_over(m, e)) {
		make_next(m);
	}
}

/* ---- the operations ---- */

static bool keep_all(struct qemu_move *v, const struct machine_outgoing *out, struct error *e)
{
	bool ok = qemu_move_keep(out->stream_fd, &v->stream, e);
	for (size_t i = 0; ok && i < out->n_disks; i++) {
		struct qemu_mirror d = { .key = out->disks[i].key, .fd = -1 };
		ok = qemu_move_keep(out->disks[i].fd, &d.fd, e);
		vec_push(&v->disks, d);
	}
	v->bandwidth = out->bandwidth;
	return ok;
}

bool qemu_send(struct machine *base, const struct machine_outgoing *out, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	if (!qmp_is_ready(m->qmp)) {
		return error_set(e, ERROR_UNREACHABLE, "\"%s\": QEMU does not answer", m->name);
	}
	if (!qemu_move_is_possible(m, e)) {
		return false;
	}
	m->move = qemu_move_new(&out->tls);
	if (!keep_all(m->move, out, e) || !qemu_move_add_credentials(m, false, e) ||
	    !qemu_move_mark(m, QEMU_MARK_OUT, e)) {
		qemu_steps_clear(m);
		qemu_move_remove_credentials(m);
		m->move->is_going = true; /* the connections are the caller's still */
		qemu_move_drop(m);
		return false;
	}
	qemu_steps_run(m, after_credentials);
	return true;
}

bool qemu_send_cancel(struct machine *base, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	struct qemu_move *v = m->move;
	(void)e;
	if (v->is_cancelled || v->is_undoing) {
		return true;
	}
	v->is_cancelled = true;
	qemu_move_cut(v);
	if (m->after == NULL) { /* it waits: for time to pass, or to be told to go */
		v->poll = NULL;
		error_set(&v->why, ERROR_CANCELED, "\"%s\": the migration was cancelled", m->name);
		qemu_machine_tick(m, 0, qemu_send_undo);
	}
	return true;
}

static void after_revive(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	qemu_move_mark(m, QEMU_MARK_NONE, NULL);
	if (e) {
		qemu_machine_up_stalled(m, e);
		return;
	}
	machine_done(&m->base, NULL);
}

bool qemu_send_revive(struct machine *base, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	(void)e;
	qemu_move_add_end(m);
	qemu_move_add_capability(m, "pause-before-switchover", false);
	qemu_step_add(m, "cont", NULL);
	qemu_steps_run(m, after_revive);
	return true;
}

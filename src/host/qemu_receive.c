/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end that a guest comes to.
 *
 *     power-on -qemu_receive_begin()-> RECEIVING -qemu_receive_stream()-> streaming
 *     streaming -poll_stream(): completed-> loaded, RECEIVING -qemu_receive_run()-> RUNNING
 *     any -failure-> the machine is gone
 *
 * Invariants
 * 1. The mark says QEMU_MARK_IN from before QEMU is started until the caller orders the guest to
 *    run: whoever finds the QEMU does not let it run by itself.
 * 2. Disks stay the exports' until the stream is whole; the machine takes them at `cont`.
 * 3. Nothing is announced to networks before `cont`.
 */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "host/qemu_argv.h"
#include "host/qemu_move.h"

LOG_MODULE("qemu");

#define POLL_MS		25
#define HUNG_UP_POLLS	20
#define ANNOUNCE_MS	50
#define ANNOUNCE_MAX_MS 550
#define ANNOUNCE_ROUNDS 5

bool qemu_receive_prepare(struct qemu_machine *m, const struct machine_incoming *in,
			  struct error *e)
{
	if (!qemu_move_is_possible(m, e)) {
		return false;
	}
	struct qemu_move *v = m->move = qemu_move_new(&in->tls);
	for (size_t i = 0; i < in->n_disks; i++) {
		vec_push(&v->disks, (struct qemu_mirror){ .key = in->disks[i], .fd = -1 });
	}
	return in->n_disks == 0 || qemu_move_keep(in->export_fd, &v->exports, e);
}

/* ---- waiting ---- */

static void after_begin(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	if (e) {
		qemu_machine_fail(m, e);
		return;
	}
	if (m->move->exports >= 0) {
		close(m->move->exports);
		m->move->exports = -1;
	}
	m->is_up = true;
	log_info("\"%s\": waits for its guest as process %d", m->name,
		 (int)process_pid(m->process));
	machine_done(&m->base, NULL);
}

static void add_export(struct qemu_machine *m, int32_t key)
{
	char medium[24], name[24];
	struct json_object *o = json_object_new_object();
	qemu_argv_medium_name(key, medium);
	machine_export_name(key, name);
	json_put_str(o, "type", "nbd");
	json_put_str(o, "id", name);
	json_put_str(o, "name", name);
	json_put_str(o, "node-name", medium);
	json_put_bool(o, "writable", true);
	qemu_step_add(m, "block-export-add", o);
}

static void add_exports(struct qemu_machine *m)
{
	struct json_object *name = json_object_new_object();
	struct json_object *address = json_object_new_object();
	struct json_object *o = json_object_new_object();
	json_put_str(name, "str", "exports");
	json_put_str(address, "type", "fd");
	json_put(address, "data", name);
	json_put(o, "addr", address);
	json_put_str(o, "tls-creds", QEMU_MOVE_CREDENTIALS);
	qemu_step_add_fd(m, "exports", m->move->exports);
	qemu_step_add(m, "nbd-server-start", o);
	vec_each (&m->move->disks, d) {
		add_export(m, d->key);
	}
}

void qemu_receive_begin(struct qemu_machine *m)
{
	struct error e = { 0 };
	struct json_object *o = json_object_new_object();
	if (!qemu_move_add_credentials(m, true, &e)) {
		json_object_put(o);
		qemu_machine_fail(m, &e);
		return;
	}
	json_put_str(o, "tls-creds", QEMU_MOVE_CREDENTIALS);
	json_put_i64(o, "announce-rounds", 0);
	qemu_step_add(m, "migrate-set-parameters", o);
	qemu_move_add_capability(m, "late-block-activate", true);
	qemu_move_add_capability(m, "events", true);
	if (m->move->disks.n > 0) {
		add_exports(m);
	}
	qemu_steps_run(m, after_begin);
}

/* ---- loading ---- */

static void ask_stream(struct qemu_machine *m);

static void after_loaded(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	qemu_move_remove_credentials(m);
	if (e) {
		qemu_machine_fail(m, e);
		return;
	}
	m->move->is_loaded = true;
	machine_done(&m->base, NULL);
}

/* A stream that ends before QEMUs have agreed on TLS leaves the receiving one waiting for ever.
 * What is on its way may be overtaken by the question: it is asked for half a second. */
static bool is_hung_up(struct qemu_move *v, const char *status)
{
	struct pollfd p = { .fd = v->stream, .events = POLLRDHUP };
	bool hung_up = strcmp(status, "active") != 0 && poll(&p, 1, 0) == 1;
	v->n_hung_up = hung_up ? v->n_hung_up + 1 : 0;
	return v->n_hung_up > HUNG_UP_POLLS;
}

static void after_ask_stream(struct qemu_machine *m, const struct json_at *value,
			     const struct error *e)
{
	struct error why = { 0 };
	const char *status = qemu_move_text(value, "status");
	if (e) {
		qemu_machine_fail(m, e);
	} else if (strcmp(status, "completed") == 0) {
		if (m->move->disks.n > 0) {
			qemu_step_add(m, "nbd-server-stop", NULL);
		}
		qemu_state_add_links(m);
		qemu_move_add_end(m);
		qemu_steps_run(m, after_loaded);
	} else if (strcmp(status, "failed") == 0) {
		error_set(&why, ERROR_IO, "\"%s\": its guest did not arrive: %s", m->name,
			  qemu_move_text(value, "error-desc"));
		qemu_machine_fail(m, &why);
	} else if (is_hung_up(m->move, status)) {
		error_set(&why, ERROR_IO, "\"%s\": the connection ended before its guest came",
			  m->name);
		qemu_machine_fail(m, &why);
	} else {
		qemu_move_wait(m, POLL_MS, ask_stream);
	}
}

static void ask_stream(struct qemu_machine *m)
{
	qemu_step_add(m, "query-migrate", NULL);
	qemu_steps_run(m, after_ask_stream);
}

static void after_incoming(struct qemu_machine *m, const struct json_at *value,
			   const struct error *e)
{
	(void)value;
	if (e) {
		qemu_machine_fail(m, e);
	} else {
		ask_stream(m);
	}
}

bool qemu_receive_stream(struct machine *base, int fd, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	if (m->move == NULL || m->move->is_streaming) {
		return error_set(e, ERROR_STATE, "\"%s\": its guest has come already", m->name);
	}
	if (!qmp_is_ready(m->qmp)) {
		return error_set(e, ERROR_UNREACHABLE, "\"%s\": QEMU does not answer", m->name);
	}
	if (!qemu_move_keep(fd, &m->move->stream, e)) {
		return false;
	}
	struct json_object *o = json_object_new_object();
	json_put_str(o, "uri", "fd:stream");
	m->move->is_streaming = true;
	qemu_step_add_fd(m, "stream", m->move->stream);
	qemu_step_add(m, "migrate-incoming", o);
	qemu_steps_run(m, after_incoming);
	return true;
}

/* ---- running ---- */

/* A QEMU that does not answer may do what it was told when it can; and it has the only guest. */
static void after_run(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	qemu_move_drop(m);
	if (e) {
		qemu_machine_up_stalled(m, e); /* marked still: the next process lets it run, too */
		return;
	}
	qemu_move_mark(m, QEMU_MARK_NONE, NULL);
	qemu_machine_up(m);
}

bool qemu_receive_run(struct machine *base, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	struct error why = { 0 };
	if (m->move == NULL || !m->move->is_loaded) {
		return error_set(e, ERROR_STATE, "\"%s\": its guest has not arrived", m->name);
	}
	/* Without it the next process finds a guest that came, and the caller lets it run. */
	if (!qemu_move_mark(m, QEMU_MARK_RUN, &why)) {
		log_warn("\"%s\": %s", m->name, why.msg);
	}
	struct json_object *o = json_object_new_object();
	json_put_i64(o, "initial", ANNOUNCE_MS);
	json_put_i64(o, "max", ANNOUNCE_MAX_MS);
	json_put_i64(o, "rounds", ANNOUNCE_ROUNDS);
	json_put_i64(o, "step", ANNOUNCE_MS);
	qemu_step_add(m, "cont", NULL);
	qemu_step_add_tolerant(m, "announce-self", o);
	qemu_steps_run(m, after_run);
	return true;
}

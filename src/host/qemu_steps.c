/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of QMP commands, one after the other, and the operations that are no more than that. */
#include <fcntl.h>
#include <unistd.h>

#include "host/qemu_argv.h"
#include "host/qemu_machine.h"
#include "host/qemu_start.h"

static void add_step(struct qemu_machine *m, const struct qemu_step *s)
{
	vec_push(&m->steps, *s);
}

void qemu_step_add(struct qemu_machine *m, const char *command, struct json_object *arguments)
{
	add_step(m, &(struct qemu_step){ .command = command, .arguments = arguments });
}

void qemu_step_add_tolerant(struct qemu_machine *m, const char *command,
			    struct json_object *arguments)
{
	add_step(m, &(struct qemu_step){
			    .command = command, .arguments = arguments, .tolerant = true });
}

void qemu_step_add_fd(struct qemu_machine *m, const char *name, int fd)
{
	struct json_object *arguments = json_object_new_object();
	json_put_str(arguments, "fdname", name);
	add_step(m, &(struct qemu_step){ .command = "getfd", .arguments = arguments, .fd = fd });
}

void qemu_step_add_passed(struct qemu_machine *m, const char *command,
			  struct json_object *arguments, int fd)
{
	add_step(m, &(struct qemu_step){ .command = command, .arguments = arguments, .fd = fd });
}

void qemu_step_add_file(struct qemu_machine *m, int32_t set, const char *path, int fd)
{
	struct json_object *arguments = json_object_new_object();
	json_put_i64(arguments, "fdset-id", set);
	json_put_str(arguments, "opaque", path);
	add_step(m, &(struct qemu_step){
			    .command = "add-fd", .arguments = arguments, .fd = fd, .owned = true });
}

void qemu_steps_clear(struct qemu_machine *m)
{
	vec_each (&m->steps, s) {
		json_object_put(s->arguments);
		if (s->owned) {
			close(s->fd);
		}
	}
	vec_clear(&m->steps);
	m->n_steps_done = 0;
}

static void run_next(struct qemu_machine *m);

static void finish(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	void (*after)(struct qemu_machine *, const struct json_at *, const struct error *) =
		m->after;
	qemu_steps_clear(m);
	m->after = NULL;
	if (!m->is_ending) {
		after(m, value, e);
	}
}

static void on_step_done(void *arg, const struct json_at *value, const struct error *e)
{
	struct qemu_machine *m = arg;
	bool tolerant = m->steps.items[m->n_steps_done].tolerant;
	m->n_steps_done++;
	bool lost = e && (e->kind == ERROR_UNREACHABLE || e->kind == ERROR_TIMEOUT);
	if (e && (!tolerant || lost)) {
		struct error why = *e;
		qemu_machine_translate(m, why.msg, sizeof(why.msg));
		finish(m, NULL, &why);
	} else if (m->n_steps_done == m->steps.n) {
		finish(m, e ? NULL : value, NULL);
	} else {
		run_next(m);
	}
}

/* When no connection is left, the same as a refusal, but never from within the caller. */
static void on_unreachable(struct qemu_machine *m)
{
	struct error e = { 0 };
	error_set(&e, ERROR_UNREACHABLE, "\"%s\": no connection to QEMU", m->name);
	finish(m, NULL, &e);
}

static void run_next(struct qemu_machine *m)
{
	struct qemu_step *s = &m->steps.items[m->n_steps_done];
	struct qmp_call call = { .done = on_step_done, .arg = m, .fd = s->fd };
	struct json_object *arguments = s->arguments;
	s->arguments = NULL;
	if (!m->qmp) {
		json_object_put(arguments);
		qemu_machine_tick(m, 0, on_unreachable);
	} else if (!qmp_execute(m->qmp, s->command, arguments, &call, NULL)) {
		qemu_machine_tick(m, 0, on_unreachable);
	}
}

void qemu_steps_run(struct qemu_machine *m,
		    void (*after)(struct qemu_machine *m, const struct json_at *value,
				  const struct error *e))
{
	m->after = after;
	m->n_steps_done = 0;
	run_next(m);
}

static void after_op(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	machine_done(&m->base, e);
}

static bool want_connection(struct qemu_machine *m, struct error *e)
{
	return qmp_is_ready(m->qmp) ||
	       error_set(e, ERROR_UNREACHABLE, "\"%s\": QEMU does not answer", m->name);
}

static bool run_one(struct qemu_machine *m, const char *command, struct json_object *arguments,
		    struct error *e)
{
	if (!want_connection(m, e)) {
		json_object_put(arguments);
		return false;
	}
	qemu_step_add(m, command, arguments);
	qemu_steps_run(m, after_op);
	return true;
}

bool qemu_steps_reset(struct machine *m, struct error *e)
{
	return run_one(qemu_machine(m), "system_reset", NULL, e);
}

bool qemu_steps_powerdown(struct machine *m, struct error *e)
{
	return run_one(qemu_machine(m), "system_powerdown", NULL, e);
}

bool qemu_steps_set_link(struct machine *m, int32_t key, bool connected, struct error *e)
{
	char name[24];
	qemu_argv_nic_name(key, name);
	struct json_object *arguments = json_object_new_object();
	json_put_str(arguments, "name", name);
	json_put_bool(arguments, "up", connected);
	return run_one(qemu_machine(m), "set_link", arguments, e);
}

static struct json_object *one_member(const char *key, const char *value)
{
	struct json_object *o = json_object_new_object();
	json_put_str(o, key, value);
	return o;
}

/* What QEMU is to open, in place of what is in the drive; opened before that is out. */
static struct json_object *medium_of(const char *device, int32_t set)
{
	char path[32];
	qemu_argv_file_name(set, path);
	struct json_object *o = one_member("id", device);
	json_put_str(o, "filename", path);
	json_put_str(o, "format", "raw");
	json_put_str(o, "read-only-mode", "read-only");
	json_put_bool(o, "force", true);
	return o;
}

/* One command opens the tray, changes the medium and closes it: between several the guest may
 * close the tray itself. */
bool qemu_steps_set_medium(struct machine *base, int32_t key, const char *path, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	char device[24], medium[24];
	qemu_argv_disk_name(key, device);
	qemu_argv_medium_name(key, medium);
	if (!want_connection(m, e)) {
		return false;
	}
	/* refused before the old medium is out */
	int fd = path ? qemu_start_open(path, O_RDONLY, false, e) : -1;
	if (path && fd < 0) {
		return false;
	}
	/* QEMU lets go of the old file when the drive does; there is none in an empty drive. */
	struct json_object *old = json_object_new_object();
	json_put_i64(old, "fdset-id", key);
	qemu_step_add_tolerant(m, "remove-fd", old);
	if (path) {
		qemu_machine_name(m, key, path);
		qemu_step_add_file(m, key, path, fd);
		qemu_step_add(m, "blockdev-change-medium", medium_of(device, key));
	} else {
		struct json_object *eject = one_member("id", device);
		json_put_bool(eject, "force", true);
		qemu_step_add(m, "eject", eject);
	}
	/* what was in it at power-on stays known by this name until it is deleted */
	qemu_step_add_tolerant(m, "blockdev-del", one_member("node-name", medium));
	qemu_steps_run(m, after_op);
	return true;
}

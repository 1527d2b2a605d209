/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a machine comes up once QEMU answers, how its memory is saved and loaded, and how one is
 * found again after we died at any moment.
 *
 * Suspend: QEMU stops the guest and writes to STATE.part; when all is written and on disk that is
 * renamed to STATE and QEMU ends. Resume: QEMU loads STATE; when all is loaded STATE is removed
 * and the guest goes on. Hence, whenever we die:
 *   1. STATE exists and QEMU's run state is "postmigrate": it was saved; QEMU is of no use.
 *   2. STATE exists and something else was loaded ("paused"): STATE is stale once the guest runs,
 *      so it is removed before `cont`.
 *   3. STATE does not exist: the truth is in QEMU; STATE.part is rubbish.
 * A guest that ran never has a STATE beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/qemu_argv.h"
#include "host/qemu_move.h"

LOG_MODULE("qemu");

#define POLL_MS		  50
#define ADOPT_MS	  30000 /* to wait for a QEMU that lives and cannot be reached yet */
#define MIGRATE_BANDWIDTH (INT64_C(1) << 40) /* bytes a second: as fast as the disk takes it */

struct qemu_sync {
	uv_fs_t request;
	struct qemu_machine *machine; /* NULL: it does not wait any more */
	int fd;
};

static void close_state(struct qemu_machine *m)
{
	if (m->state_fd >= 0) {
		close(m->state_fd);
		m->state_fd = -1;
	}
}

void qemu_state_drop(struct qemu_machine *m)
{
	close_state(m);
	if (m->sync) {
		m->sync->machine = NULL;
		m->sync = NULL;
	}
}

static bool state_exists(const struct qemu_machine *m)
{
	return m->state_file && access(m->state_file, F_OK) == 0;
}

static bool sync_folder_of(const char *path, struct error *e)
{
	const char *slash = strrchr(path, '/');
	char *folder = mem_strndup(path, (size_t)(slash - path) + 1);
	bool ok = file_sync_dir(AT_FDCWD, folder, e);
	free(folder);
	return ok;
}

static const char *text_of(const struct json_at *value, const char *key)
{
	const char *text;
	return value && json_has(value, key) && json_get_str(value, key, &text, NULL) ? text : "";
}

/* The guest goes on. */

static void ask_status(struct qemu_machine *m);

/* A suspend that our predecessor began may end while we look: what was found is not so any more,
 * and is looked at again. */
static bool may_ask_again(const struct qemu_machine *m, const struct error *e)
{
	return m->base.op == MACHINE_OP_ADOPT && e->kind == ERROR_IO &&
	       clock_mono_us(qemu_driver_of(m)->clock) < m->give_up_us;
}

static void after_cont(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	if (e && may_ask_again(m, e)) {
		qemu_machine_tick(m, POLL_MS, ask_status);
	} else if (e) {
		qemu_machine_fail(m, e);
	} else {
		qemu_machine_up(m);
	}
}

void qemu_state_add_links(struct qemu_machine *m)
{
	vec_each (&m->cut_nics, key) {
		char name[24];
		struct json_object *arguments = json_object_new_object();
		qemu_argv_nic_name(*key, name);
		json_put_str(arguments, "name", name);
		json_put_bool(arguments, "up", false);
		qemu_step_add(m, "set_link", arguments);
	}
}

static void go_on(struct qemu_machine *m)
{
	qemu_state_add_links(m);
	qemu_step_add(m, "cont", NULL);
	qemu_steps_run(m, after_cont);
}

/* Loading. */

static void go_on_without_state(struct qemu_machine *m)
{
	struct error e = { 0 };
	close_state(m);
	if (state_exists(m) &&
	    (unlink(m->state_file) != 0 || !sync_folder_of(m->state_file, NULL))) {
		error_set_sys(&e, errno, "removing \"%s\"", m->state_file);
		qemu_machine_fail(m, &e);
		return;
	}
	go_on(m);
}

static void ask_loaded(struct qemu_machine *m);

static void after_ask_loaded(struct qemu_machine *m, const struct json_at *value,
			     const struct error *e)
{
	struct error why = { 0 };
	const char *status = text_of(value, "status");
	if (e) {
		qemu_machine_fail(m, e);
	} else if (strcmp(status, "completed") == 0) {
		go_on_without_state(m);
	} else if (strcmp(status, "failed") == 0) {
		error_set(&why, ERROR_CORRUPT, "\"%s\" cannot be loaded: %s", m->state_file,
			  text_of(value, "error-desc"));
		qemu_machine_fail(m, &why);
	} else {
		qemu_machine_tick(m, POLL_MS, ask_loaded);
	}
}

static void ask_loaded(struct qemu_machine *m)
{
	qemu_step_add(m, "query-migrate", NULL);
	qemu_steps_run(m, after_ask_loaded);
}

static void after_incoming(struct qemu_machine *m, const struct json_at *value,
			   const struct error *e)
{
	(void)value;
	if (e) {
		qemu_machine_fail(m, e);
	} else {
		ask_loaded(m);
	}
}

static void load(struct qemu_machine *m)
{
	struct json_object *arguments = json_object_new_object();
	json_put_str(arguments, "uri", "fd:state");
	qemu_step_add_fd(m, "state", m->state_fd);
	qemu_step_add(m, "migrate-incoming", arguments);
	qemu_steps_run(m, after_incoming);
}

/* Saving. */

static void after_undo(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	struct error why = m->failure;
	m->failure = (struct error){ 0 };
	machine_hold(&m->base);
	machine_done(&m->base, &why);
	if (machine_release(&m->base) && e) {
		qemu_machine_stall(m, e->msg);
	}
}

static void undo(struct qemu_machine *m, const struct error *e)
{
	m->failure = *e;
	close_state(m);
	unlink(m->part_file);
	qemu_step_add_tolerant(m, "migrate_cancel", NULL);
	qemu_step_add(m, "cont", NULL);
	qemu_steps_run(m, after_undo);
}

static void on_synced(uv_fs_t *request)
{
	struct qemu_sync *s = CONTAINER_OF(request, struct qemu_sync, request);
	struct qemu_machine *m = s->machine;
	int rc = (int)request->result;
	uv_fs_req_cleanup(request);
	close(s->fd);
	free(s);
	if (!m) {
		return;
	}
	m->sync = NULL;
	struct error e = { 0 };
	if (m->is_ending) {
		return;
	}
	if (rc < 0) {
		error_set_sys(&e, -rc, "writing \"%s\"", m->part_file);
		undo(m, &e);
	} else if (rename(m->part_file, m->state_file) != 0) {
		error_set_sys(&e, errno, "\"%s\"", m->state_file);
		undo(m, &e);
	} else {
		m->is_saved = true;
		m->is_ending = true;
		if (!sync_folder_of(m->state_file, &e)) {
			log_warn("\"%s\": %s", m->name, e.msg);
		}
		process_stop(m->process, 10000);
	}
}

/* What QEMU wrote goes to disk on a worker: it may be gigabytes. */
static void start_sync(struct qemu_machine *m)
{
	struct qemu_sync *s = mem_zalloc(sizeof(*s));
	s->machine = m;
	s->fd = m->state_fd;
	m->state_fd = -1;
	m->sync = s;
	uv_fs_fsync(qemu_driver_of(m)->loop, &s->request, s->fd, on_synced);
}

static void ask_saved(struct qemu_machine *m);

static void after_ask_saved(struct qemu_machine *m, const struct json_at *value,
			    const struct error *e)
{
	struct error why = { 0 };
	const char *status = text_of(value, "status");
	if (e) {
		undo(m, e);
	} else if (strcmp(status, "completed") == 0) {
		start_sync(m);
	} else if (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0) {
		const char *desc = text_of(value, "error-desc");
		error_set(&why, qmp_error_kind(desc), "writing \"%s\": %s", m->part_file, desc);
		undo(m, &why);
	} else {
		qemu_machine_tick(m, POLL_MS, ask_saved);
	}
}

static void ask_saved(struct qemu_machine *m)
{
	qemu_step_add(m, "query-migrate", NULL);
	qemu_steps_run(m, after_ask_saved);
}

static void after_migrate(struct qemu_machine *m, const struct json_at *value,
			  const struct error *e)
{
	(void)value;
	if (e) {
		undo(m, e);
	} else {
		ask_saved(m);
	}
}

bool qemu_state_suspend(struct machine *base, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	if (!m->state_file) {
		return error_set(e, ERROR_UNSUPPORTED, "\"%s\": no state file to suspend to",
				 m->name);
	}
	if (!qmp_is_ready(m->qmp)) {
		return error_set(e, ERROR_UNREACHABLE, "\"%s\": QEMU does not answer", m->name);
	}
	m->state_fd =
		open(m->part_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->state_fd < 0) {
		return error_set_sys(e, errno, "\"%s\"", m->part_file);
	}
	struct json_object *parameters = json_object_new_object();
	json_put_i64(parameters, "max-bandwidth", MIGRATE_BANDWIDTH);
	struct json_object *where = json_object_new_object();
	json_put_str(where, "uri", "fd:state");
	qemu_step_add_tolerant(m, "migrate-set-parameters", parameters);
	qemu_step_add(m, "stop", NULL);
	qemu_step_add_fd(m, "state", m->state_fd);
	qemu_step_add(m, "migrate", where);
	qemu_steps_run(m, after_migrate);
	return true;
}

/* Adopting. */

/* Nothing of the guest is in this QEMU, or all of it is in the state file. */
static void end_useless(struct qemu_machine *m)
{
	struct error e = { 0 };
	error_set(&e, ERROR_NOT_FOUND, "\"%s\": suspended", m->name);
	m->is_saved = true;
	qemu_machine_fail(m, &e);
}

static void after_adopt_migrate(struct qemu_machine *m, const struct json_at *value,
				const struct error *e)
{
	const char *status = text_of(value, "status");
	if (e) {
		qemu_machine_fail(m, e);
	} else if (strcmp(status, "completed") == 0) {
		go_on_without_state(m);
	} else if (!status[0] && state_exists(m)) {
		end_useless(m); /* we died before loading began */
	} else {
		qemu_machine_tick(m, POLL_MS, ask_status);
	}
}

static void after_status(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	const char *status = text_of(value, "status");
	if (e) {
		qemu_machine_fail(m, e);
		return;
	}
	log_debug("\"%s\": found %s", m->name, status);
	if (strcmp(status, "inmigrate") == 0) {
		qemu_step_add(m, "query-migrate", NULL);
		qemu_steps_run(m, after_adopt_migrate);
	} else if (strcmp(status, "postmigrate") == 0 && state_exists(m)) {
		end_useless(m);
	} else if (strcmp(status, "finish-migrate") == 0 || strcmp(status, "restore-vm") == 0) {
		qemu_machine_tick(m, POLL_MS, ask_status);
	} else if (strcmp(status, "prelaunch") == 0 || strcmp(status, "postmigrate") == 0) {
		go_on(m);
	} else if (strcmp(status, "paused") == 0) {
		go_on_without_state(m);
	} else if (strcmp(status, "io-error") == 0) {
		m->is_stalled = true;
		qemu_machine_up(m);
	} else {
		qemu_machine_up(m); /* running, or stopped by something the guest did */
	}
}

static void ask_status(struct qemu_machine *m)
{
	unlink(m->part_file ? m->part_file : "");
	qemu_step_add_tolerant(m, "migrate_cancel", NULL);
	qemu_step_add(m, "query-status", NULL);
	qemu_steps_run(m, after_status);
}

static void on_adopt_tick(struct qemu_machine *m)
{
	struct error e = { 0 };
	pid_t pid;
	if (!qemu_run_is_alive(&m->run)) {
		qemu_machine_none(m);
		return;
	}
	bool ok = qemu_run_pid(&m->run, &pid);
	if (!ok) {
		error_set(&e, ERROR_UNREACHABLE, "\"%s\": its process id is not known", m->name);
	}
	ok = ok && (m->process || qemu_machine_watch(m, pid, &e));
	if (ok && qemu_machine_connect(m, &e)) {
		return;
	}
	if (clock_mono_us(qemu_driver_of(m)->clock) > m->give_up_us) {
		error_prefix(&e, "a QEMU runs that cannot be reached: ");
		qemu_machine_fail(m, &e);
		return;
	}
	qemu_machine_tick(m, POLL_MS, on_adopt_tick);
}

void qemu_state_adopt(struct qemu_machine *m)
{
	m->give_up_us = clock_mono_us(qemu_driver_of(m)->clock) + ADOPT_MS * INT64_C(1000);
	qemu_machine_tick(m, 0, on_adopt_tick);
}

static void after_uuid(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	struct error why = { 0 };
	const char *uuid = text_of(value, "UUID");
	if (e) {
		qemu_machine_fail(m, e);
	} else if (strcmp(uuid, m->uuid) != 0) {
		error_set(&why, ERROR_STATE, "\"%s\": the QEMU found is machine \"%.40s\"", m->name,
			  uuid);
		qemu_machine_fail(m, &why);
	} else if (m->base.op == MACHINE_OP_RECEIVE) {
		qemu_receive_begin(m);
	} else if (m->base.op == MACHINE_OP_ADOPT && qemu_move_marked(m) != QEMU_MARK_NONE) {
		qemu_move_adopt(m);
	} else if (m->base.op == MACHINE_OP_ADOPT) {
		ask_status(m);
	} else if (m->base.op == MACHINE_OP_RESUME) {
		load(m);
	} else {
		go_on(m);
	}
}

void qemu_state_power_on(struct qemu_machine *m)
{
	qemu_step_add(m, "query-uuid", NULL);
	qemu_steps_run(m, after_uuid);
}

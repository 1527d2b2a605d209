/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a machine that is a QEMU process.
 *
 *     OFF -power_on(): qemu_start()-> greeting -qemu_state_power_on()-> qemu_machine_up()
 *     OFF -power_on(): qemu_state_adopt()-> greeting -qemu_state_power_on()-> qemu_machine_up()
 *     up -on_closed()-> no connection -on_reconnect()-> up
 *     up -qemu_machine_stall()-> stalled -on_revive()-> up
 *     any -on_exit(): end()-> OFF
 *
 * Invariants
 * 1. The lock in the run folder is taken before QEMU is started and handed to it: no moment at
 *    which a started QEMU could be missed. It listens on sockets that were made before it, so
 *    that they can be connected to from the start.
 * 2. From qemu_start() or qemu_machine_watch() until end() `process` watches QEMU; only its exit
 *    ends the machine, losing the connection does not.
 * 3. A guest's processors run only after `cont`, which is the last thing of a power-on.
 * 4. An adopted QEMU is never killed for what we do not understand, only let go.
 * 5. `timer` belongs to the operation under way; reconnecting and reviving have timers of their
 *    own, so that neither takes its next step away.
 */
#include "host/driver_qemu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "host/qemu_argv.h"
#include "host/qemu_move.h"
#include "host/qemu_sandbox.h"
#include "host/qemu_start.h"

LOG_MODULE("qemu");

#define STOP_GRACE_MS	5000
#define RECONNECT_MS	1000
#define RESET_QUIET_MS	2000
#define REVIVE_MS	1000
#define STALL_QUIET_MS	60000
#define SERIAL_LOG_MAX	(8 << 20)
#define SERIAL_LOG_KEPT (1 << 20)
#define OWN_LOG_MAX	(1 << 20) /* what QEMU says, perhaps made to by its guest */

struct qemu_machine *qemu_machine(struct machine *m)
{
	return CONTAINER_OF(m, struct qemu_machine, base);
}

struct qemu_driver *qemu_driver_of(const struct qemu_machine *m)
{
	return CONTAINER_OF(m->base.driver, struct qemu_driver, base);
}

/* Telling the layer above. */

/* Forgets the VM; the handle may power on another. */
static void forget(struct qemu_machine *m)
{
	qemu_steps_clear(m);
	qemu_state_drop(m);
	qemu_move_drop(m);
	qmp_free(m->qmp);
	m->qmp = NULL;
	process_free(m->process);
	m->process = NULL;
	timer_stop(m->timer);
	timer_stop(m->reconnect);
	timer_stop(m->revive);
	free(m->name);
	free(m->uuid);
	free(m->state_file);
	free(m->part_file);
	m->name = m->uuid = m->state_file = m->part_file = NULL;
	qemu_run_fini(&m->run);
	vec_clear(&m->cut_nics);
	vec_each (&m->sockets, path) {
		free(*path);
	}
	vec_clear(&m->sockets);
	vec_each (&m->logs, path) {
		free(*path);
	}
	vec_clear(&m->logs);
	vec_each (&m->names, n) {
		free(n->path);
	}
	vec_clear(&m->names);
	free(m->confinement);
	m->confinement = NULL;
	m->layers = 0;
	m->uid = 0;
	m->after = NULL;
	m->unplugged[0] = '\0';
	m->is_unplugged = m->is_waiting_unplug = false;
	m->is_up = m->is_ending = m->is_saved = m->is_discarded = false;
	m->is_guest_off = m->is_stalled = false;
	m->reset_us = m->stalled_us = 0;
	m->failure = (struct error){ 0 };
}

static void on_timer(void *arg)
{
	struct qemu_machine *m = arg;
	m->tick(m);
}

void qemu_machine_tick(struct qemu_machine *m, int64_t ms, void (*tick)(struct qemu_machine *m))
{
	m->tick = tick;
	timer_start(m->timer, ms, 0);
}

void qemu_machine_clean(struct qemu_machine *m, bool with_log)
{
	qemu_sandbox_end(m);
	qemu_move_clean(&m->run);
	qemu_run_clean(&m->run, with_log);
	vec_each (&m->sockets, path) {
		unlink(*path);
	}
	if (m->part_file) {
		unlink(m->part_file);
	}
}

static void on_none(struct qemu_machine *m)
{
	struct error e = m->failure;
	forget(m);
	machine_gone(&m->base, MACHINE_EXIT_FAILED, &e);
}

void qemu_machine_none(struct qemu_machine *m)
{
	error_set(&m->failure, ERROR_NOT_FOUND, "\"%s\": not running", m->name);
	qemu_machine_clean(m, true);
	qemu_machine_tick(m, 0, on_none);
}

void qemu_machine_fail(struct qemu_machine *m, const struct error *e)
{
	if (m->is_ending) {
		return;
	}
	m->failure = *e;
	m->is_ending = true;
	bool kill = m->base.op != MACHINE_OP_ADOPT || m->is_saved || m->is_discarded;
	if (kill && m->process) {
		process_stop(m->process, STOP_GRACE_MS);
	} else {
		qemu_machine_tick(m, 0, on_none);
	}
}

void qemu_machine_up(struct qemu_machine *m)
{
	m->is_up = true;
	if (m->is_stalled) {
		timer_start(m->revive, REVIVE_MS, 0);
	}
	log_info("\"%s\": runs as process %d, confined by %s", m->name,
		 (int)process_pid(m->process),
		 m->confinement ? m->confinement : "what an earlier version gave it");
	machine_done(&m->base, NULL);
}

void qemu_machine_up_stalled(struct qemu_machine *m, const struct error *e)
{
	machine_hold(&m->base);
	qemu_machine_up(m);
	if (machine_release(&m->base) && m->base.state == MACHINE_RUNNING) {
		qemu_machine_stall(m, e->msg);
	}
}

void qemu_machine_name(struct qemu_machine *m, int32_t set, const char *path)
{
	vec_each (&m->names, n) {
		if (n->set == set) {
			free(n->path);
			n->path = mem_strdup(path);
			return;
		}
	}
	vec_push(&m->names, (struct qemu_name){ .set = set, .path = mem_strdup(path) });
}

void qemu_machine_translate(const struct qemu_machine *m, char *text, size_t size)
{
	for (size_t i = 0; i < m->names.n; i++) {
		const struct qemu_name *n = &m->names.items[i];
		char name[32];
		qemu_argv_file_name(n->set, name);
		char *at = strstr(text, name);
		char *rest = at ? at + strlen(name) : NULL;
		if (!at || (*rest >= '0' && *rest <= '9')) {
			continue;
		}
		char *whole = mem_printf("%.*s%s%s", (int)(at - text), text, n->path, rest);
		snprintf(text, size, "%s", whole);
		free(whole);
	}
}

/* What is known about an end nobody ordered. */
static void explain_exit(const struct qemu_machine *m, const struct process_exit *how,
			 struct error *e)
{
	char words[512];
	if (how->is_known && how->signal) {
		error_set(e, ERROR_INTERNAL, "\"%s\": QEMU was ended by signal %d (%s)", m->name,
			  how->signal, strsignal(how->signal));
	} else if (qemu_run_last_words(&m->run, words, sizeof(words))) {
		qemu_machine_translate(m, words, sizeof(words));
		error_set(e, qmp_error_kind(words), "\"%s\": QEMU ended: %s", m->name, words);
	} else {
		error_set(e, ERROR_INTERNAL, "\"%s\": QEMU ended", m->name);
	}
}

static void end(struct qemu_machine *m, const struct process_exit *how)
{
	struct error e = { 0 };
	enum machine_exit why = MACHINE_EXIT_FAILED;
	bool stopping = m->base.state == MACHINE_STOPPING;
	if (stopping) {
		why = MACHINE_EXIT_STOPPED;
		if (m->is_saved) {
			unlink(m->state_file); /* powered off after all */
		}
	} else if (m->failure.kind != ERROR_NONE) {
		e = m->failure;
		if (e.kind == ERROR_UNREACHABLE) {
			explain_exit(m, how, &e);
		}
	} else if (m->is_saved) {
		why = MACHINE_EXIT_SUSPENDED;
	} else if (m->is_guest_off) {
		why = MACHINE_EXIT_GUEST;
	} else {
		explain_exit(m, how, &e);
	}
	/* found, and gone before it was looked at: its guest had not arrived */
	bool was_empty = m->base.op == MACHINE_OP_ADOPT && qemu_move_marked(m) == QEMU_MARK_IN;
	if (was_empty) {
		e.kind = ERROR_NOT_FOUND;
	}
	bool failed = why == MACHINE_EXIT_FAILED && e.kind != ERROR_NOT_FOUND;
	if (failed) {
		log_warn("%s", e.msg);
	} else {
		log_info("\"%s\": off", m->name);
	}
	qemu_machine_clean(m, !failed);
	forget(m);
	machine_gone(&m->base, why, why == MACHINE_EXIT_FAILED ? &e : NULL);
}

static void on_exit_seen(void *arg, const struct process_exit *how)
{
	struct qemu_machine *m = arg;
	machine_hold(&m->base);
	if (m->qmp) {
		qmp_drain(m->qmp); /* its last words say why */
	}
	if (machine_release(&m->base)) {
		end(m, how);
	}
}

/* The connection. */

/* What happened while nobody listened. */
static void on_status(void *arg, const struct json_at *value, const struct error *e)
{
	struct qemu_machine *m = arg;
	const char *status;
	if (!e && json_has(value, "status") && json_get_str(value, "status", &status, NULL) &&
	    strcmp(status, "io-error") == 0) {
		qemu_machine_stall(m, "the storage of a disk fails");
	}
}

static void on_kvm(void *arg, const struct json_at *value, const struct error *e)
{
	struct qemu_machine *m = arg;
	bool enabled;
	if (!e && json_has(value, "enabled") && json_get_bool(value, "enabled", &enabled, NULL)) {
		m->accel = enabled ? MACHINE_KVM : MACHINE_TCG;
	}
}

static void on_ready(void *arg)
{
	struct qemu_machine *m = arg;
	const struct qmp_call call = { .done = on_status, .arg = m };
	const struct qmp_call kvm_call = { .done = on_kvm, .arg = m };
	if (m->is_up || m->base.op == MACHINE_OP_ADOPT) {
		/* who started it may have found another accelerator here */
		qmp_execute(m->qmp, "query-kvm", NULL, &kvm_call, NULL);
	}
	if (m->is_up) {
		qmp_execute(m->qmp, "query-status", NULL, &call, NULL);
	} else if (!m->is_ending) {
		qemu_state_power_on(m);
	}
}

/* A guest that reboots tries one way after the other, and firmware that finds itself reset resets
 * once more: they are one. */
static void take_reset(struct qemu_machine *m, bool by_guest)
{
	int64_t now_us = clock_mono_us(qemu_driver_of(m)->clock);
	bool again = m->reset_us && now_us - m->reset_us < RESET_QUIET_MS * INT64_C(1000);
	m->reset_us = now_us;
	if (by_guest && !again && m->is_up) {
		machine_was_reset(&m->base);
	}
}

static void on_revived(void *arg, const struct json_at *value, const struct error *e)
{
	struct qemu_machine *m = arg;
	(void)value;
	if (e) {
		qemu_machine_stall(m, e->msg);
	} else if (m->base.op == MACHINE_OP_NONE) {
		qemu_move_mark(m, QEMU_MARK_NONE, NULL); /* it may have come here */
	}
}

/* An operation decides itself whether the processors run: none is disturbed. */
static void on_revive(void *arg)
{
	struct qemu_machine *m = arg;
	const struct qmp_call call = { .done = on_revived, .arg = m };
	if (m->is_ending) {
		return;
	}
	bool runs_here = m->base.state == MACHINE_RUNNING;
	if (!runs_here || m->base.op != MACHINE_OP_NONE || !qmp_is_ready(m->qmp)) {
		timer_start(m->revive, REVIVE_MS, 0);
		return;
	}
	m->is_stalled = false;
	qmp_execute(m->qmp, "migrate_cancel", NULL, NULL, NULL);
	qmp_execute(m->qmp, "cont", NULL, &call, NULL);
}

void qemu_machine_stall(struct qemu_machine *m, const char *why)
{
	int64_t now_us = clock_mono_us(qemu_driver_of(m)->clock);
	bool told = m->stalled_us && now_us - m->stalled_us < STALL_QUIET_MS * INT64_C(1000);
	if (m->is_ending || !m->is_up) {
		return;
	}
	m->is_stalled = true;
	timer_start(m->revive, REVIVE_MS, 0);
	if (!told) {
		m->stalled_us = now_us;
		log_warn("\"%s\": stands still: %s", m->name, why);
		machine_has_stalled(&m->base, why); /* may free m */
	}
}

/* A write that found no room: QEMU stops the guest and keeps the write for when it goes on. */
static void take_io_error(struct qemu_machine *m, const struct json_at *data)
{
	const char *action, *reason = "the storage of a disk fails";
	if (json_has(data, "action") && json_get_str(data, "action", &action, NULL) &&
	    strcmp(action, "stop") == 0) {
		json_get_str(data, "reason", &reason, NULL);
		qemu_machine_stall(m, reason);
	}
}

static void on_event(void *arg, const char *name, const struct json_at *data)
{
	struct qemu_machine *m = arg;
	bool by_guest;
	qemu_move_take_event(m, name, data);
	if (strcmp(name, "DEVICE_DELETED") == 0) {
		qemu_nic_take_deleted(m, data);
		return;
	}
	if (strcmp(name, "BLOCK_IO_ERROR") == 0) {
		take_io_error(m, data);
		return;
	}
	if (!json_has(data, "guest") || !json_get_bool(data, "guest", &by_guest, NULL)) {
		return;
	}
	if (strcmp(name, "SHUTDOWN") == 0 && by_guest) {
		m->is_guest_off = true;
	} else if (strcmp(name, "RESET") == 0) {
		take_reset(m, by_guest);
	}
}

static void on_reconnect(void *arg)
{
	struct qemu_machine *m = arg;
	struct error e = { 0 };
	if (!m->is_ending && !qemu_machine_connect(m, &e)) {
		log_limited_warn("\"%s\": %s", m->name, e.msg);
		timer_start(m->reconnect, RECONNECT_MS, 0);
	}
}

static void on_closed(void *arg, const struct error *e)
{
	struct qemu_machine *m = arg;
	qmp_free(m->qmp);
	m->qmp = NULL;
	if (m->is_ending) {
		return;
	}
	if (m->is_up) {
		log_debug("\"%s\": %s", m->name, e->msg);
		timer_start(m->reconnect, RECONNECT_MS, 0);
	} else if (m->base.op == MACHINE_OP_ADOPT && e->kind == ERROR_TIMEOUT &&
		   qemu_move_marked(m) == QEMU_MARK_NONE) {
		log_warn("\"%s\": runs, but does not answer: %s", m->name, e->msg);
		timer_start(m->reconnect, RECONNECT_MS, 0);
		qemu_machine_up(m);
	} else {
		qemu_machine_fail(m, e);
	}
}

bool qemu_machine_connect(struct qemu_machine *m, struct error *e)
{
	struct qemu_driver *d = qemu_driver_of(m);
	const struct qmp_handler handler = {
		.ready = on_ready, .event = on_event, .closed = on_closed, .arg = m
	};
	int fd = qemu_run_connect(m->run.qmp, e);
	if (fd < 0) {
		return false;
	}
	m->qmp = qmp_new(d->loop, d->clock, fd, &handler);
	return true;
}

/* The one who started it may have had other processors for machines, or none. */
static void place_again(struct qemu_machine *m, pid_t pid)
{
	const struct qemu_driver *d = qemu_driver_of(m);
	struct error e = { 0 };
	if (!d->is_placed) {
		return;
	}
	if (!placement_spread(pid, &d->placement, &e)) {
		log_warn("\"%s\" stays on the processors that it has: %s", m->name, e.msg);
	}
	placement_weigh_session(pid, d->placement.nice);
}

bool qemu_machine_watch(struct qemu_machine *m, pid_t pid, struct error *e)
{
	struct process_identity who;
	if (!process_identity_of(pid, &who, e)) {
		return false;
	}
	m->process = process_adopt(qemu_driver_of(m)->loop, &who, on_exit_seen, m, e);
	if (m->process) {
		place_again(m, pid);
	}
	return m->process != NULL;
}

/* Starting. */

static void remember_files(struct qemu_machine *m, const struct machine_spec *s)
{
	const struct qemu_argv_options o = { .firmware = "EFI firmware" };
	struct qemu_files files = qemu_argv_files(s, &o);
	vec_each (&files.all, f) {
		qemu_machine_name(m, f->set, f->path);
	}
	vec_free(&files.all);
}

static void remember(struct qemu_machine *m, const struct machine_spec *s)
{
	m->name = mem_strdup(s->name);
	m->arch = s->arch;
	m->memory = s->memory_mib << 20;
	m->accel = m->host_accel = s->accel;
	m->uuid = mem_strdup(s->uuid);
	if (s->state_file && s->state_file[0]) {
		m->state_file = mem_strdup(s->state_file);
		m->part_file = mem_printf("%s.part", s->state_file);
	}
	qemu_run_init(&m->run, s->run, s->uuid);
	remember_files(m, s);
	m->has_nvme = false;
	for (size_t i = 0; i < s->n_disks; i++) {
		m->has_nvme = m->has_nvme || s->disks[i].controller == MACHINE_NVME;
	}
	for (size_t i = 0; i < s->n_nics; i++) {
		if (!s->nics[i].connected) {
			vec_push(&m->cut_nics, s->nics[i].key);
		}
	}
	for (size_t i = 0; i < s->n_serials; i++) {
		if (s->serials[i].kind == MACHINE_SERIAL_SOCKET) {
			vec_push(&m->sockets, mem_strdup(s->serials[i].path));
		}
		if (s->serials[i].log && s->serials[i].log[0]) {
			vec_push(&m->logs, mem_strdup(s->serials[i].log));
		}
	}
}

static bool power_on(struct machine *base, enum machine_op how, const struct machine_spec *s,
		     struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	if (!file_make_dirs(s->run, 0700, e)) {
		return false;
	}
	remember(m, s);
	if (how == MACHINE_OP_ADOPT) {
		qemu_sandbox_recall(m);
		qemu_state_adopt(m);
		return true;
	}
	if (!qemu_start(m, how, s, on_exit_seen, e)) {
		forget(m);
		return false;
	}
	return true;
}

static bool receive(struct machine *base, const struct machine_spec *s,
		    const struct machine_incoming *in, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	if (!file_make_dirs(s->run, 0700, e)) {
		return false;
	}
	remember(m, s);
	if (!qemu_receive_prepare(m, in, e) ||
	    !qemu_start(m, MACHINE_OP_RECEIVE, s, on_exit_seen, e)) {
		forget(m);
		return false;
	}
	return true;
}

static bool stop(struct machine *base, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	(void)e;
	m->is_ending = true;
	/* No guest ran yet. QEMU may not yet listen to a gentle signal: the first process of a pid
	 * namespace is spared those that it has no handler for. */
	process_stop(m->process, m->is_up ? STOP_GRACE_MS : 0);
	return true;
}

static struct machine *new_machine(struct driver *base)
{
	struct qemu_driver *d = CONTAINER_OF(base, struct qemu_driver, base);
	struct qemu_machine *m = mem_zalloc(sizeof(*m));
	m->state_fd = -1;
	m->timer = timer_new(d->loop, d->clock, on_timer, m);
	m->reconnect = timer_new(d->loop, d->clock, on_reconnect, m);
	m->revive = timer_new(d->loop, d->clock, on_revive, m);
	return &m->base;
}

static void free_machine(struct machine *base)
{
	struct qemu_machine *m = qemu_machine(base);
	forget(m);
	timer_free(m->timer);
	timer_free(m->reconnect);
	timer_free(m->revive);
	vec_free(&m->steps);
	vec_free(&m->cut_nics);
	vec_free(&m->sockets);
	vec_free(&m->logs);
	vec_free(&m->names);
	free(m);
}

static void tidy(struct machine *base)
{
	struct qemu_machine *m = qemu_machine(base);
	vec_each (&m->logs, log) {
		qemu_run_trim(*log, SERIAL_LOG_MAX, SERIAL_LOG_KEPT);
	}
	qemu_run_trim(m->run.log, OWN_LOG_MAX, 0);
}

/* Fields of /proc/PID/stat, proc(5), counted from the state, which is the third. */
enum stat_field {
	STAT_USER = 14,
	STAT_SYSTEM = 15,
	STAT_START = 22,
	STAT_RESIDENT = 24,
	STAT_FIELDS,
};

static bool read_stat(pid_t pid, uint64_t fields[STAT_FIELDS])
{
	char path[40];
	struct buf b = BUF_INIT;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	/* the second field, a name in brackets, may hold anything, blanks as well */
	const char *at = file_read(path, 4096, &b, NULL) ? strrchr(b.data, ')') : NULL;
	int i = 3;
	for (at = at ? at + 1 : ""; *at && i < STAT_FIELDS; i++) {
		at += strspn(at, " ");
		size_t n = strcspn(at, " ");
		fields[i] = 0; /* what is negative or a letter is none of ours */
		number_u64_n(at, n, &fields[i]);
		at += n;
	}
	buf_free(&b);
	return i == STAT_FIELDS;
}

static bool usage(const struct machine *base, struct machine_usage *out, struct error *e)
{
	const struct qemu_machine *m = (const struct qemu_machine *)(const void *)base;
	uint64_t fields[STAT_FIELDS], hz = (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec boot;
	if (!m->process || !read_stat(process_pid(m->process), fields)) {
		return error_set(e, ERROR_STATE, "\"%s\": its process is gone", m->name);
	}
	clock_gettime(CLOCK_BOOTTIME, &boot);
	int64_t boot_us = (int64_t)boot.tv_sec * 1000000 + boot.tv_nsec / 1000;
	int64_t age_us = boot_us - (int64_t)(fields[STAT_START] * 1000000 / hz);
	*out = (struct machine_usage){
		.pid = process_pid(m->process),
		.cpu_us = (fields[STAT_USER] + fields[STAT_SYSTEM]) * 1000000 / hz,
		.resident = fields[STAT_RESIDENT] * (uint64_t)sysconf(_SC_PAGESIZE),
		.started_us = clock_wall_us(qemu_driver_of(m)->clock) - age_us,
	};
	return true;
}

static void free_driver(struct driver *base)
{
	struct qemu_driver *d = CONTAINER_OF(base, struct qemu_driver, base);
	free(d->program);
	free(d->firmware_dir);
	free(d->confinement);
	free(d->lease_dir);
	free(d);
}

static const char *driver_words(const struct driver *base)
{
	return ((const struct qemu_driver *)(const void *)base)->confinement;
}

static const char *machine_words(const struct machine *base)
{
	return ((const struct qemu_machine *)(const void *)base)->confinement;
}

static bool can_send(const struct machine *base, struct error *e)
{
	return qemu_move_is_possible((const struct qemu_machine *)(const void *)base, e);
}

static void place(struct driver *base, const struct placement *p)
{
	struct qemu_driver *d = CONTAINER_OF(base, struct qemu_driver, base);
	d->placement = *p;
	d->is_placed = true;
}

static const struct driver_ops qemu_ops = {
	.name = "qemu",
	.free = free_driver,
	.machine_new = new_machine,
	.machine_free = free_machine,
	.power_on = power_on,
	.stop = stop,
	.suspend = qemu_state_suspend,
	.reset = qemu_steps_reset,
	.powerdown = qemu_steps_powerdown,
	.set_medium = qemu_steps_set_medium,
	.set_link = qemu_steps_set_link,
	.add_nic = qemu_nic_add,
	.remove_nic = qemu_nic_remove,
	.receive = receive,
	.receive_stream = qemu_receive_stream,
	.receive_run = qemu_receive_run,
	.can_send = can_send,
	.send = qemu_send,
	.send_go = qemu_send_go,
	.send_cancel = qemu_send_cancel,
	.send_revive = qemu_send_revive,
	.tidy = tidy,
	.usage = usage,
	.place = place,
	.driver_confinement = driver_words,
	.machine_confinement = machine_words,
};

struct driver *driver_qemu_new(uv_loop_t *loop, const struct driver_qemu_options *o)
{
	struct qemu_driver *d = mem_zalloc(sizeof(*d));
	d->base.ops = &qemu_ops;
	d->loop = loop;
	d->clock = clock_real();
	d->program = o && o->program ? mem_strdup(o->program) : NULL;
	d->firmware_dir = o && o->firmware_dir ? mem_strdup(o->firmware_dir) : NULL;
	d->uids = o && o->uids.n ? o->uids : (struct uid_range){ UID_RANGE_FIRST, UID_RANGE_N };
	qemu_sandbox_probe(d, o && o->run ? o->run : "/tmp");
	return &d->base;
}

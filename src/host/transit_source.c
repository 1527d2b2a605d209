/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's half: the VM is claimed, its files go over, the target is asked to take it, and what
 * was the VM's goes away here. What holds in which state is said in transit.h.
 *
 *   prepare -> PREPARED; start -> COPYING: send_next() … -> offer() -> OFFERED: ask() until the
 *   target has said what it is -> leave() -> DONE, or the VM stays and it FAILED
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/transit_impl.h"
#include "host/vm_device.h"
#include "vim/fault.h"

LOG_MODULE("migration");

#define PEER_PATH "/remora/v1/migrating/"

enum {
	GAP = 1 << 20, /* holes smaller than this are sent */
	ANSWER_MAX = 64 << 10,
	CHUNK_LIMIT_MS = 120000,
	ASK_LIMIT_MS = 30000,
};

/* ---- prepare ---- */

/* The VM is everybody's again. */
static void let_go(struct transit *m)
{
	struct vm_op *op = m->op;

	m->op = NULL;
	m->entity = NULL;
	if (op == NULL) {
		return;
	}
	if (m->state == TRANSIT_DONE) {
		vm_op_done(op, NULL);
	} else {
		vm_op_fault(op, fault_new(op->arena, T_MigrationFault), "\"%s\" did not move: %s",
			    m->name, m->why.reason[0] == '\0' ? "it was cancelled" : m->why.reason);
	}
}

static struct vm *vm_of_id(struct vm_layer *l, const char *id)
{
	struct object *o = inventory_find(l->host->inventory, id);

	return o != NULL && schema_is_a(o->type, T_VirtualMachine) ? vm_from_object(o) : NULL;
}

static bool may_leave(struct vm *vm, struct transit_refusal *why)
{
	const char *name = vm_name(vm);
	struct error e = { 0 };

	if (vm->op != NULL) {
		return transit_refuse(why, 409, "TaskInProgress", name,
				      "another task is at work on it");
	}
	if (vm_config(vm) == NULL || vm->connection != E_VirtualMachineConnectionState_connected) {
		return transit_refuse(why, 409, "InvalidState", name,
				      "its configuration cannot be read, or it does not answer");
	}
	if (vm->power == E_VirtualMachinePowerState_poweredOn && vm_network_borrows(vm)) {
		return transit_refuse(why, 400, "NotSupported", name,
				      "has a network card that is a function of the server's card, "
				      "which stays behind");
	}
	if (vm->machine != NULL && !machine_can_send(vm->machine, &e)) {
		return transit_refuse_error(why, name, &e);
	}
	return true;
}

struct json_object *transit_source_prepare(struct host_transits *all, const char *id,
					   const struct json_at *body, struct transit_refusal *why)
{
	struct vm_layer *l = all->host->vm_layer;
	const char *name;
	struct error e = { 0 };

	if (!json_get_str(body, "vm", &name, &e)) {
		transit_refuse_error(why, "vm", &e);
		return NULL;
	}
	struct vm *vm = vm_of_id(l, name);
	if (vm == NULL) {
		transit_refuse(why, 400, "ManagedObjectNotFound", name,
			       "there is no such virtual machine on this host");
		return NULL;
	}
	if (!may_leave(vm, why)) {
		return NULL;
	}
	struct transit *m = transit_new(all, id, true);
	m->entity = vm;
	m->vm = vm->id;
	m->name = mem_strdup(vm_name(vm));
	m->is_live = vm->power == E_VirtualMachinePowerState_poweredOn;
	m->op = vm_op_begin_internal(vm, "MigrateVM_Task", "VirtualMachine.migrate");
	bool ok = !m->is_live ||
		  transit_identity_make(transit_peer_name(m, true), &m->identity, &e) ||
		  transit_refuse_error(why, m->name, &e);
	struct json_object *description = ok ? transit_describe(m, why) : NULL;
	if (description == NULL) {
		m->why = *why;
		m->state = TRANSIT_FAILED;
		let_go(m);
		transit_free(m);
		return NULL;
	}
	struct json_object *o = transit_json(m);
	json_put(o, "description", description);
	json_put_str(o, "name", m->name);
	return o;
}

/* ---- ends ---- */

static void fail(struct transit *m)
{
	m->state = TRANSIT_FAILED;
	let_go(m);
	transit_end(m, TRANSIT_FAILED);
}

static void forgotten(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct transit *m = arg;

	(void)answer;
	(void)e;
	m->request = NULL;
}

/* Tells the target to give up, or that all is well; it finds out by itself if that gets lost. */
static void tell(struct transit *m, const char *method, const char *rest)
{
	char path[160];

	if (m->peer == NULL || m->request != NULL) {
		return;
	}
	snprintf(path, sizeof(path), PEER_PATH "%s%s", m->id, rest);
	m->request = peer_send(m->peer, &(struct peer_order){ .method = method,
							      .path = path,
							      .timeout_ms = ASK_LIMIT_MS,
							      .done = forgotten,
							      .arg = m });
}

static void cancelled(struct transit *m)
{
	tell(m, "DELETE", "");
	m->state = TRANSIT_CANCELLED;
	let_go(m);
	transit_end(m, TRANSIT_CANCELLED);
}

static void fail_telling(struct transit *m)
{
	tell(m, "DELETE", "");
	fail(m);
}

/* ---- the VM leaves ---- */

static void left_files(struct transit *m)
{
	(void)m; /* the target was told before; nothing is left to do */
}

static void leave(struct transit *m);

static void left(void *arg, const struct error *e)
{
	struct transit *m = arg;
	struct vm *vm = m->entity;

	m->is_busy = false;
	if (e != NULL) {
		log_warn("that \"%s\" has moved could not be kept yet: %s", m->name, e->msg);
		vm->leaving = false;
		vm_leftover_free(m->leftover);
		m->leftover = NULL;
		return; /* with the next tick again */
	}
	vm_event_plain(vm, m->op, T_VmRemovedEvent, "has moved to another host");
	m->op->vm = NULL;
	m->state = TRANSIT_DONE;
	let_go(m);
	vm_withdraw(vm);
	tell(m, "POST", "/known");
	transit_end(m, TRANSIT_DONE);
	if (m->leftover != NULL) {
		transit_remove_files(m, left_files);
	}
}

/* What stands here of the guest goes before anything else: it runs over there. */
static void machine_left(void *arg, struct machine *machine, const struct error *e)
{
	struct transit *m = arg;

	(void)machine;
	if (transit_is_let_go(e)) {
		return;
	}
	m->is_busy = false;
	if (e != NULL) {
		log_warn("the machine that \"%s\" has left does not end: %s", m->name, e->msg);
		return; /* with the next tick again */
	}
	vm_is_off(m->entity, E_VirtualMachinePowerState_poweredOff);
	leave(m);
}

static void leave(struct transit *m)
{
	struct vm *vm = m->entity;
	const struct value *devices = vm_devices(vm_config(vm));
	struct machine_reply reply = { .done = machine_left, .arg = m };

	if (m->is_live && m->downtime_us == 0 && m->stopped_us != 0) {
		m->downtime_us = clock_mono_us(m->all->host->clock) - m->stopped_us;
	}
	if (vm->machine != NULL && machine_state(vm->machine) != MACHINE_OFF) {
		m->is_busy = machine_stop(vm->machine, &reply, NULL);
		return;
	}
	vm->leaving = true;
	if (!m->is_shared) {
		m->leftover = vm_leftover_new(vm->layer, vm_path(vm));
		m->leftover->ran = true;
	}
	for (size_t i = 0; m->leftover != NULL && i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		if (vm_device_role(value_type(d)) == VM_ROLE_DISK) {
			vm_leftover_add(m->leftover,
					value_get_str(value_get_value(d, F_VirtualDevice_backing),
						      F_VirtualDeviceFileBackingInfo_fileName));
		}
	}
	m->is_busy = true;
	m->save = (struct vm_save){ .done = left, .arg = m };
	vm_store_save(vm->layer, &m->save);
}

/* ---- the target is asked to take it ---- */

static void revived(void *arg, struct machine *machine, const struct error *e)
{
	struct transit *m = arg;

	(void)machine;
	if (transit_is_let_go(e)) {
		return;
	}
	m->is_busy = false;
	if (e != NULL) {
		log_error("\"%s\" did not move and cannot go on here: %s", m->name, e->msg);
	}
	fail(m);
}

/* The target will never run it: it goes on here. */
static void stay(struct transit *m)
{
	struct machine *machine = m->entity->machine;
	struct machine_reply reply = { .done = revived, .arg = m };
	struct error e = { 0 };

	if (machine == NULL || machine_state(machine) != MACHINE_SENT) {
		fail(m);
		return;
	}
	m->is_busy = true;
	if (!machine_send_revive(machine, &reply, &e)) {
		revived(m, machine, &e);
	}
}

static void read_answer(struct transit *m, const struct peer_answer *answer)
{
	struct json_object *o = json_parse(answer->body, answer->len, ANSWER_MAX, 8, NULL);
	struct json_at at = json_root(o), error;
	const char *state = "", *reason = "it gave up", *fault = "MigrationFault", *object = "";

	if (o != NULL && answer->status == 200 && json_has(&at, "state")) {
		json_get_str(&at, "state", &state, NULL);
	}
	if (strcmp(state, "done") == 0) {
		json_object_put(o);
		leave(m);
		return;
	}
	bool has_failed = strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
	if (has_failed && json_has(&at, "error") && json_get_object(&at, "error", &error, NULL)) {
		json_get_str(&error, "object", &object, NULL);
		json_get_str(&error, "reason", &reason, NULL);
		json_get_str(&error, "fault", &fault, NULL);
	}
	if (has_failed || answer->status == 404) {
		transit_refuse(&m->why, 500, fault, object, "the target says: %.180s", reason);
		json_object_put(o);
		stay(m);
		return;
	}
	json_object_put(o); /* anything else says nothing about the VM: ask again */
}

static void answered(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct transit *m = arg;

	m->request = NULL;
	if (m->peer == NULL || transit_has_ended(m)) {
		return; /* let go */
	}
	if (answer == NULL) {
		log_debug("migration %s: the target does not say what has become of it: %s", m->id,
			  e->msg);
		return;
	}
	read_answer(m, answer);
}

void transit_source_ask(struct transit *m)
{
	char path[160];

	snprintf(path, sizeof(path), PEER_PATH "%s/commit", m->id);
	m->request = peer_send(m->peer, &(struct peer_order){ .method = "POST",
							      .path = path,
							      .timeout_ms = ASK_LIMIT_MS,
							      .max_bytes = ANSWER_MAX,
							      .done = answered,
							      .arg = m });
}

/* On disk; false: it could not be written, and nothing was offered. */
static bool offer_keep(struct transit *m, struct error *e)
{
	enum transit_state was = m->state;

	m->state = TRANSIT_OFFERED;
	if (!transits_save(m->all, e)) {
		m->state = was;
		return false;
	}
	transit_changed(m);
	return true;
}

static void offer(struct transit *m)
{
	struct error e = { 0 };

	if (m->is_cancelling) {
		cancelled(m);
	} else if (!offer_keep(m, &e)) {
		transit_refuse_error(&m->why, m->name, &e);
		fail_telling(m);
	} else {
		transit_source_ask(m);
	}
}

/* The guest stands still, all but its devices is over there. */
void transit_source_offer(struct transit *m)
{
	struct machine *machine = m->entity->machine;
	struct error e = { 0 };

	if (machine == NULL) { /* it ended while its connections were asked for */
		error_set(&e, ERROR_UNREACHABLE, "its machine has ended");
		transit_source_failed(m, &e);
		return;
	}
	if (m->is_cancelling) {
		machine_send_cancel(machine, NULL); /* `failed` follows */
		return;
	}
	if (!offer_keep(m, &e) || !machine_send_go(machine, &e)) {
		log_warn("migration %s of \"%s\": %s", m->id, m->name, e.msg);
		transit_refuse_error(&m->why, m->name, &e);
		machine_send_cancel(machine, NULL);
	}
}

/* The guest runs on here. */
void transit_source_failed(struct transit *m, const struct error *e)
{
	if (transit_has_ended(m)) {
		return;
	}
	if (m->is_cancelling) {
		cancelled(m);
		return;
	}
	if (m->why.reason[0] == '\0') {
		transit_refuse_error(&m->why, m->name, e);
	}
	fail_telling(m);
}

/* ---- files go over ---- */

/* The next piece that has data, from item->offset on; false: there is none. */
static bool next_piece(struct transit_item *item, uint64_t *at, uint64_t *len)
{
	off_t data = lseek(item->fd, (off_t)item->offset, SEEK_DATA);

	if (data < 0 || (uint64_t)data >= item->size) {
		return false;
	}
	off_t end = lseek(item->fd, data, SEEK_HOLE);
	while (end > 0 && end - data < TRANSIT_CHUNK_MAX) {
		off_t more = lseek(item->fd, end, SEEK_DATA);
		if (more < 0 || more - end > GAP) {
			break;
		}
		end = lseek(item->fd, more, SEEK_HOLE);
	}
	*at = (uint64_t)data;
	*len = MIN((uint64_t)(end < data ? data : end), item->size) - *at;
	*len = MIN(*len, (uint64_t)TRANSIT_CHUNK_MAX);
	return *len > 0 && lseek(item->fd, data, SEEK_SET) == data;
}

static void send_next(struct transit *m);

static void sent(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct transit *m = arg;
	struct transit_item *item = &m->items[m->at];

	m->request = NULL;
	if (m->peer == NULL || transit_has_ended(m)) {
		return;
	}
	if (m->is_cancelling) {
		cancelled(m);
		return;
	}
	if (answer == NULL) {
		transit_refuse_error(&m->why, m->name, e);
		fail_telling(m);
		return;
	}
	if (answer->status != 200) {
		transit_refuse(&m->why, 500, "MigrationFault", item->path,
			       "the target answers %d: %.150s", answer->status, answer->body);
		fail_telling(m);
		return;
	}
	transit_changed(m);
	send_next(m);
}

static void send_piece(struct transit *m, struct transit_item *item, uint64_t at, uint64_t len)
{
	struct peer_file file = { .fd = item->fd, .length = len };
	char path[200], name[32];

	if (item->disk != 0) {
		snprintf(name, sizeof(name), "disks/%d", item->disk);
	} else {
		snprintf(name, sizeof(name), "files/%s", item->ending);
	}
	snprintf(path, sizeof(path), PEER_PATH "%s/%s?offset=%llu", m->id, name,
		 (unsigned long long)at);
	item->offset = at + len;
	m->bytes_done = MIN(m->bytes_done + len, m->bytes_total);
	m->request =
		peer_send(m->peer, &(struct peer_order){ .method = "PUT",
							 .path = path,
							 .content_type = "application/octet-stream",
							 .source = &file,
							 .timeout_ms = CHUNK_LIMIT_MS,
							 .max_bytes = ANSWER_MAX,
							 .done = sent,
							 .arg = m });
}

static void send_next(struct transit *m)
{
	uint64_t at, len;

	while (m->at < m->n_items) {
		struct transit_item *item = &m->items[m->at];
		if (next_piece(item, &at, &len)) {
			send_piece(m, item, at, len);
			return;
		}
		m->at++;
	}
	offer(m);
}

static bool open_items(struct transit *m, struct transit_refusal *why)
{
	for (size_t i = 0; i < m->n_items; i++) {
		struct transit_item *item = &m->items[i];
		struct stat st = { 0 };
		struct error e = { 0 };
		item->fd = file_open_beneath(datastore_root(item->ds), item->path,
					     O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0, &e);
		if (item->fd < 0) {
			return transit_refuse_error(why, item->path, &e);
		}
		if (fstat(item->fd, &st) == 0) {
			m->bytes_total += MIN((uint64_t)st.st_blocks * 512, item->size);
		}
	}
	return true;
}

/* ---- start ---- */

static bool open_peer(struct transit *m, struct transit_refusal *why)
{
	struct error e = { 0 };
	struct peer_config config = { .loop = m->all->host->loop,
				      .url = m->url,
				      .thumbprint = m->thumbprint,
				      .max_connections = 2 };

	struct peer *old = m->peer; /* of a ticket that was refused */
	m->peer = NULL;
	peer_free(old);
	m->peer = peer_new(&config, &e);
	if (m->peer == NULL) {
		return transit_refuse_error(why, "ticket", &e);
	}
	peer_set_cookie(m->peer, m->token);
	return true;
}

static bool read_ticket(struct transit *m, const struct json_at *body, struct transit_refusal *why)
{
	struct json_at ticket;
	const char *url, *print, *token;
	struct error e = { 0 };

	if (!json_get_object(body, "ticket", &ticket, &e) ||
	    !json_get_str(&ticket, "url", &url, &e) ||
	    !json_get_str(&ticket, "thumbprint", &print, &e) ||
	    !json_get_str(&ticket, "token", &token, &e) ||
	    !json_get_bool(&ticket, "shared", &m->is_shared, &e)) {
		return transit_refuse_error(why, "ticket", &e);
	}
	if (strlen(token) != TRANSIT_TOKEN_SIZE - 1 ||
	    strspn(token, "0123456789abcdef") != TRANSIT_TOKEN_SIZE - 1) {
		return transit_refuse(why, 400, "InvalidArgument", "ticket",
				      "the token must have %d hex digits", TRANSIT_TOKEN_SIZE - 1);
	}
	snprintf(m->token, sizeof(m->token), "%s", token);
	free(m->url);
	free(m->thumbprint);
	m->url = mem_strdup(url);
	m->thumbprint = mem_strdup(print);
	return true;
}

bool transit_source_start(struct transit *m, const struct json_at *body,
			  struct transit_refusal *why)
{
	if (m->state != TRANSIT_PREPARED) {
		return transit_refuse(why, 409, "InvalidState", m->name, "it is %s already",
				      transit_state_name(m->state));
	}
	if (!read_ticket(m, body, why) || !open_peer(m, why)) {
		return false;
	}
	if (m->is_shared) {
		m->n_items = 0;
	}
	if (m->is_live) {
		struct json_at ticket;
		json_get_object(body, "ticket", &ticket, NULL);
		return transit_send_start(m, &ticket, why);
	}
	if (!open_items(m, why)) {
		m->why = *why;
		fail_telling(m);
		return false;
	}
	transit_set_state(m, TRANSIT_COPYING);
	send_next(m);
	return true;
}

void transit_source_cancel(struct transit *m)
{
	if (m->state == TRANSIT_PREPARED) {
		cancelled(m);
	} else if (m->state == TRANSIT_COPYING || m->state == TRANSIT_SWITCHING) {
		m->is_cancelling = true; /* what is under way is short */
		if (m->is_live) {
			transit_send_cancel(m);
		}
	}
}

void transit_source_stop(struct transit *m)
{
	struct peer *peer = m->peer;

	if (m->is_live && !m->is_cancelling &&
	    (m->state == TRANSIT_COPYING || m->state == TRANSIT_SWITCHING)) {
		/* Its guest may stand, and would until the next start; the VM is held meanwhile,
		 * so that the host does not end before it runs again, or time is up. */
		transit_source_cancel(m);
		return;
	}
	if (transit_has_ended(m) || m->is_busy) {
		return; /* it is leaving: that is soon done */
	}
	m->peer = NULL;
	peer_free(peer);
	let_go(m);
}

void transit_source_resume(struct transit *m)
{
	struct transit_refusal why;

	m->op = vm_op_begin_internal(m->entity, "MigrateVM_Task", "VirtualMachine.migrate");
	if (!open_peer(m, &why)) {
		log_error("migration %s of \"%s\": the target's address is bad: %s", m->id, m->name,
			  why.reason);
	}
}

void transit_source_tick(struct transit *m)
{
	struct machine *machine = m->entity == NULL ? NULL : m->entity->machine;
	enum machine_state s = machine == NULL ? MACHINE_OFF : machine_state(machine);
	struct error e = { 0 };

	if (m->is_live) {
		transit_send_tick(m);
	}
	if (m->state != TRANSIT_OFFERED || m->request != NULL || m->carrying != NULL ||
	    m->is_busy || m->peer == NULL) {
		return;
	}
	if (s ==
	    MACHINE_RUNNING) { /* killed before it had gone over: nobody was asked to take it */
		error_set(&e, ERROR_CANCELED, "the host was restarted meanwhile");
		transit_source_failed(m, &e);
	} else if (s == MACHINE_SENT || s == MACHINE_OFF) {
		transit_source_ask(m);
	}
}

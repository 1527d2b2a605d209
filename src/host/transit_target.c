/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's half: what the source says of the VM is checked as hostile input, room and names are
 * reserved, disks are made, and the VM becomes this host's. What holds in which state is said in
 * transit.h.
 *
 *   prepare: vms.json names what may be left over -> disks are made -> answered, PREPARED
 *   commit:  the .vmx is written -> the record says SWITCHING, of one that runs it says PREPARED
 *            since it is awaited -> vms.json names the VM -> DONE
 *   give up: vms.json does not name the VM -> files go -> FAILED or CANCELLED
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/cpu_model.h"
#include "host/transit_impl.h"
#include "host/vm_device.h"
#include "vim/fault.h"

LOG_MODULE("migration");

/* ---- the end of one that did not come ---- */

static void given_up(struct transit *m)
{
	transit_end(m, m->why.reason[0] == '\0' ? TRANSIT_CANCELLED : TRANSIT_FAILED);
	if (m->preparing != NULL) {
		struct http_request *r = m->preparing;
		m->preparing = NULL;
		transit_respond_refusal(r, &m->why);
	}
}

static void unnamed(void *arg, const struct error *e)
{
	struct transit *m = arg;

	m->is_busy = false;
	if (e != NULL) {
		return; /* with the next tick again: the answer must be true after a restart */
	}
	if (m->op != NULL) {
		m->op->vm = NULL;
		vm_op_fault(m->op, fault_new(m->op->arena, T_MigrationFault),
			    "\"%s\" has not come: %s", m->name,
			    m->why.reason[0] == '\0' ? "it was cancelled" : m->why.reason);
		m->op = NULL;
	}
	if (m->entity->object != NULL) {
		m->entity->op = NULL;
		vm_withdraw(m->entity);
	} else {
		vm_free(m->entity);
	}
	m->entity = NULL;
	if (m->leftover != NULL) {
		transit_remove_files(m, given_up);
	} else {
		given_up(m);
	}
}

static void unname(struct transit *m)
{
	m->is_busy = true;
	if (transit_live_stop(m)) {
		return; /* goes on when the machine has ended */
	}
	m->entity->leaving = true;
	m->save = (struct vm_save){ .done = unnamed, .arg = m };
	vm_store_save(transit_layer(m), &m->save);
}

void transit_target_give_up(struct transit *m, const struct transit_refusal *why)
{
	if (transit_has_ended(m) || m->is_cancelling) {
		return;
	}
	if (why != NULL) {
		m->why = *why;
	}
	m->is_cancelling = true;
	if (!m->is_busy) {
		unname(m);
	}
}

void transit_target_fail(struct transit *m, const struct error *e)
{
	struct transit_refusal why;

	transit_refuse_error(&why, m->name, e);
	transit_target_give_up(m, &why);
}

/* Nothing is under way any more. */
static void fail(struct transit *m, const struct error *e)
{
	m->is_busy = false;
	transit_target_fail(m, e);
}

/* Work has ended that nobody may interrupt. False: there is nothing to go on with. */
static bool go_on(struct transit *m, const struct error *e)
{
	m->is_busy = false;
	if (m->is_cancelling) {
		unname(m);
		return false;
	}
	if (e != NULL) {
		fail(m, e);
		return false;
	}
	return true;
}

bool transit_target_go_on(struct transit *m, const struct error *e)
{
	return go_on(m, e);
}

void transit_target_stopped(struct transit *m)
{
	unname(m);
}

/* ---- prepare ---- */

static bool prepare_vmx(struct transit *m, struct error *e);

static bool item_make(struct transit_item *item, struct error *e)
{
	struct disk_place at = { .datastore = item->ds, .path = item->path };
	struct disk_spec spec = { .capacity = item->size,
				  .format = item->format,
				  .adapter_type = item->adapter_type };
	struct disk_info info;
	const char *path = item->path;

	if (item->disk != 0) {
		if (!disk_create(&at, &spec, NULL, e) ||
		    (item->uuid != NULL && !disk_set_uuid(&at, item->uuid, e)) ||
		    !disk_query(&at, &info, e)) {
			return false;
		}
		path = info.extent_path;
	}
	int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC | (item->disk == 0 ? O_CREAT | O_EXCL : 0);
	item->fd = file_open_beneath(datastore_root(item->ds), path, flags, 0600, e);
	return item->fd >= 0;
}

static bool make_run(void *data, struct progress *p, struct error *e)
{
	struct transit *m = data;
	struct datastore_entry entry;

	for (size_t i = 0; i < m->n_items; i++) {
		struct transit_item *item = &m->items[i];
		if (datastore_stat(item->ds, m->folder, &entry, NULL)) {
			datastore_entry_fini(&entry);
		} else if (!datastore_make_folder(item->ds, m->folder, true, e)) {
			return false;
		}
		if (!item_make(item, e)) {
			return false;
		}
		if (m->is_live) { /* its QEMU writes it */
			close(item->fd);
			item->fd = -1;
		}
	}
	return !m->is_live || m->is_shared || vm_file_work_run(&m->work, p, e);
}

static void answer_prepared(struct transit *m)
{
	struct http_request *r = m->preparing;
	struct host *h = m->all->host;
	struct json_object *ticket = json_object_new_object();
	const char *address = http_header(r, "Host");
	const char *own =
		h->node.migration_address[0] != '\0' ? h->node.migration_address : h->node.address;
	bool is_any = address_is_any(own);
	char url[300];

	/* One that listens everywhere is reached where its manager reaches it. */
	if (is_any && address != NULL) {
		snprintf(url, sizeof(url), "https://%.255s", address);
	} else if (strchr(own, ':') != NULL) {
		snprintf(url, sizeof(url), "https://[%s]:%u", own, h->node.port);
	} else {
		snprintf(url, sizeof(url), "https://%s:%u", own, h->node.port);
	}
	json_put_str(ticket, "url", url);
	json_put_str(ticket, "thumbprint", m->all->thumbprint);
	json_put_str(ticket, "token", m->token);
	json_put_bool(ticket, "shared", m->is_shared);
	if (m->is_live) {
		char *host = url + strlen("https://"), *port = strrchr(host, ':');
		bool is_v6 = host[0] == '[';
		if (port != NULL && (!is_v6 || port[-1] == ']')) {
			*port = '\0';
		}
		size_t n = strlen(host);
		json_put(ticket, "host",
			 is_v6 && n > 2 ? json_object_new_string_len(host + 1, (int)n - 2)
					: json_new_str(host));
		transit_live_ticket(m, ticket);
	}
	struct json_object *o = transit_json(m);
	json_put(o, "ticket", ticket);
	m->preparing = NULL;
	transit_respond(r, 200, o);
}

static void made(void *arg, const struct error *e)
{
	struct transit *m = arg;

	if (!go_on(m, e)) {
		return;
	}
	if (m->is_live) {
		m->is_busy = true;
		transit_live_open(m);
		return;
	}
	transit_target_ready(m);
}

void transit_target_ready(struct transit *m)
{
	if (m->preparing == NULL) { /* who asked has gone: nobody has the ticket */
		transit_target_give_up(m, NULL);
		return;
	}
	answer_prepared(m);
}

static void named(void *arg, const struct error *e)
{
	struct transit *m = arg;

	if (!go_on(m, e)) {
		return;
	}
	struct job_work work = { .run = make_run, .data = m };
	struct job_handler h = { .loop = m->all->host->loop, .done = made, .arg = m };
	struct error why = { 0 };
	/* Should we be killed, the next start finds the machine that waits by this record. */
	if (m->is_live && (!transits_save(m->all, &why) || !prepare_vmx(m, &why))) {
		fail(m, &why);
		return;
	}
	m->is_busy = true;
	job_start(&h, &work);
}

static void reserve(struct transit *m)
{
	struct vm_layer *l = transit_layer(m);

	m->vm = ++l->last_id;
	m->entity = vm_new(l, m->vm, m->path, m->name);
	m->entity->leaving = true; /* not this host's yet */
	m->is_busy = true;
	m->save = (struct vm_save){ .done = named, .arg = m };
	if (!m->is_shared) {
		m->leftover = vm_leftover_new(l, m->path);
		m->leftover->ran = true;
		for (size_t i = 0; i < m->n_items; i++) {
			if (m->items[i].disk != 0) {
				vm_leftover_add(m->leftover, m->items[i].ds_path);
			}
		}
	}
	vm_store_save(l, &m->save);
}

bool transit_target_prepare(struct host_transits *all, const char *id, const struct json_at *body,
			    struct http_request *r, struct transit_refusal *why)
{
	struct transit *m = transit_new(all, id, false);

	if (!transit_arrival(m, body, why)) {
		transit_free(m);
		return false;
	}
	m->writes_vmx = m->writes_vmx || !m->is_shared;
	m->preparing = r;
	reserve(m);
	return true;
}

/* ---- commit ---- */

static void taken(struct transit *m, const struct value *config)
{
	struct vm *vm = m->entity;

	m->entity = NULL;
	vm->suspend_us = vm_suspended_at(vm);
	if (vm->suspend_us != 0) {
		vm->power = E_VirtualMachinePowerState_suspended;
	}
	vm_publish(&vm, &config, 1, vm_pool(vm->layer, vm->pool));
	vm_event_plain(vm, NULL, T_VmRegisteredEvent, "has come from another host");
	transit_end(m, TRANSIT_DONE);
}

/* The guest runs, or the machine that held it has ended: it is ours in either case. */
void transit_target_runs(struct transit *m, const struct error *e)
{
	struct vm *vm = m->entity;

	m->is_busy = false;
	if (e != NULL) {
		log_error("\"%s\" has come, and does not run: %s", m->name, e->msg);
		vm_is_off(vm, E_VirtualMachinePowerState_poweredOff);
	} else {
		vm_is_on(vm, 0);
		vm_event_plain(vm, m->op, T_VmRegisteredEvent,
			       "has come from another host, running");
	}
	m->entity = NULL;
	vm_op_done(m->op, NULL);
	m->op = NULL;
	transit_end(m, TRANSIT_DONE);
}

/* vms.json names the VM, or could not be written: then it must be without it again. */
static void took(void *arg, const struct error *e)
{
	struct transit *m = arg;
	struct vm_layer *l = transit_layer(m);
	struct vm_refusal r = { 0 };

	if (e != NULL) {
		if (!m->is_shared) {
			m->leftover = vm_leftover_new(l, m->path);
			m->leftover->ran = true;
			for (size_t i = 0; i < m->n_items; i++) {
				if (m->items[i].disk != 0) {
					vm_leftover_add(m->leftover, m->items[i].ds_path);
				}
			}
		}
		fail(m, e);
		return;
	}
	m->is_busy = false;
	if (m->is_live) {
		m->is_busy = true;
		transit_live_run(m);
		return;
	}
	const struct value *config = vm_read_config(l, m->path, VM_RELOAD, m->arena, &r, NULL);
	if (config == NULL) {
		log_warn("virtual machine \"%s\": %s", m->name, r.text);
	}
	taken(m, config);
}

static bool write_run(void *data, struct progress *p, struct error *e)
{
	struct transit *m = data;

	for (size_t i = 0; i < m->n_items && !m->is_live; i++) {
		if (fsync(m->items[i].fd) != 0) {
			return error_set_sys(e, errno, "\"%s\" cannot be brought to disk",
					     m->items[i].path);
		}
	}
	bool is_there = m->is_live && !m->is_shared;
	return !m->writes_vmx || is_there || vm_file_work_run(&m->work, p, e);
}

static void written(void *arg, const struct error *e)
{
	struct transit *m = arg;
	struct error why = { 0 };

	if (!go_on(m, e)) {
		return;
	}
	/* Should we be killed between the two writes, the next start finds no such VM: not taken.
	 * Of one that runs there is a record since it was announced. */
	if (!m->is_live && !transits_save(m->all, &why)) {
		fail(m, &why);
		return;
	}
	m->is_busy = true;
	m->entity->leaving = false;
	vm_leftover_free(m->leftover);
	m->leftover = NULL;
	m->save = (struct vm_save){ .done = took, .arg = m };
	vm_store_save(transit_layer(m), &m->save);
}

/* What is to be written of the .vmx. */
static bool prepare_vmx(struct transit *m, struct error *e)
{
	struct datastore_path at;
	struct datastore_entry entry;

	buf_free(&m->work.vmx);
	m->work = (struct vm_file_work){ .vmx_path = strchr(m->path, ']') + 2,
					 .vmx_is_new = !m->is_shared };
	struct host_datastore *d = host_datastore_of_path(m->all->host, m->path, &at, e);
	m->work.ds = d == NULL ? NULL : host_datastore_open(d, e);
	if (m->work.ds == NULL) {
		return false;
	}
	/* A VM without disks and other files has no folder yet. */
	if (m->n_items == 0) {
		m->work.folder = m->folder;
	} else if (m->folder != NULL && datastore_stat(m->work.ds, m->folder, &entry, NULL)) {
		datastore_entry_fini(&entry);
	} else if (!m->is_live) {
		m->work.folder = m->folder;
	}
	vm_config_text(m->config, &m->work.vmx);
	return true;
}

void transit_target_commit(struct transit *m)
{
	struct error e = { 0 };

	if (m->is_live && !m->is_loaded) {
		m->wants_commit = true;
		return;
	}
	if (m->is_busy || m->is_cancelling || m->state > TRANSIT_COPYING) {
		return; /* who asks waits for the end */
	}
	if (!prepare_vmx(m, &e)) {
		fail(m, &e);
		return;
	}
	m->is_busy = true;
	transit_set_state(m, TRANSIT_SWITCHING);
	struct job_work work = { .run = write_run, .data = m };
	struct job_handler h = { .loop = m->all->host->loop, .done = written, .arg = m };
	job_start(&h, &work);
}

void transit_target_tick(struct transit *m)
{
	int64_t now = clock_mono_us(m->all->host->clock);
	struct transit_refusal why;

	if (transit_has_ended(m) || m->is_busy) {
		return;
	}
	if (m->is_cancelling) {
		unname(m);
	} else if (m->state <= TRANSIT_COPYING &&
		   (!m->is_live || m->state == TRANSIT_PREPARED || m->is_loaded) &&
		   now - m->heard_us > TRANSIT_IDLE_MS * INT64_C(1000)) {
		transit_refuse(&why, 500, "HostCommunication", m->name,
			       "the source has not been heard of for %d s", TRANSIT_IDLE_MS / 1000);
		transit_target_give_up(m, &why);
	}
}

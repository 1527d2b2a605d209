/* SPDX-License-Identifier: Apache-2.0 */
/* All migrations of a host: their states, what is kept of them, and who waits for news. */
#include "host/transit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "host/cpu_model.h"
#include "host/host_datastore.h"
#include "host/transit_impl.h"
#include "host/vm_device.h"
#include "vim/fault.h"

LOG_MODULE("migration");

#define RECORD "migrations.json"

static const char *const state_names[] = {
	[TRANSIT_PREPARED] = "prepared",   [TRANSIT_COPYING] = "copying",
	[TRANSIT_SWITCHING] = "switching", [TRANSIT_OFFERED] = "offered",
	[TRANSIT_DONE] = "done",	   [TRANSIT_FAILED] = "failed",
	[TRANSIT_CANCELLED] = "cancelled",
};

const char *transit_state_name(enum transit_state s)
{
	return state_names[s];
}

bool transit_has_ended(const struct transit *m)
{
	return m->state >= TRANSIT_DONE;
}

bool transit_is_let_go(const struct error *e)
{
	return e != NULL && e->kind == ERROR_CANCELED;
}

struct vm_layer *transit_layer(const struct transit *m)
{
	return m->all->host->vm_layer;
}

struct json_object *transit_cpu(const struct host *h)
{
	return cpu_model_describe(&h->hardware->cpu, accel_arch(), &h->accel);
}

/* ---- refusals ---- */

bool transit_refuse(struct transit_refusal *why, int status, const char *fault, const char *object,
		    const char *fmt, ...)
{
	va_list args;

	*why = (struct transit_refusal){
		.status = status, .limit = -1, .requested = -1, .unreserved = -1
	};
	snprintf(why->object, sizeof(why->object), "%s", object);
	snprintf(why->fault, sizeof(why->fault), "%s", fault);
	va_start(args, fmt);
	vsnprintf(why->reason, sizeof(why->reason), fmt, args);
	va_end(args);
	return false;
}

bool transit_refuse_error(struct transit_refusal *why, const char *object, const struct error *e)
{
	static const struct {
		enum error_kind kind;
		int status;
		const char *fault;
	} table[] = {
		{ ERROR_INVALID, 400, "InvalidArgument" },
		{ ERROR_NOT_FOUND, 404, "FileNotFound" },
		{ ERROR_EXISTS, 409, "FileAlreadyExists" },
		{ ERROR_NO_SPACE, 507, "NoDiskSpace" },
		{ ERROR_BUSY, 409, "FileLocked" },
		{ ERROR_STATE, 409, "InvalidState" },
		{ ERROR_UNSUPPORTED, 400, "NotSupported" },
		{ ERROR_UNREACHABLE, 503, "HostCommunication" },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].kind == e->kind) {
			/* 404 would say that there is no such migration. */
			return transit_refuse(why, table[i].status == 404 ? 400 : table[i].status,
					      table[i].fault, object, "%s", e->msg);
		}
	}
	return transit_refuse(why, 500, "MigrationFault", object, "%s", e->msg);
}

bool transit_refuse_vm(struct transit_refusal *why, const char *object, const struct vm_refusal *r)
{
	return transit_refuse(why, 400, schema_type_name(value_type(r->fault)), object, "%s",
			      r->text);
}

struct json_object *transit_refusal_json(const struct transit_refusal *why)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "object", why->object);
	json_put_str(o, "reason", why->reason);
	if (why->limit >= 0) {
		json_put_i64(o, "limit", why->limit);
	} else {
		json_put(o, "limit", NULL);
	}
	json_put_str(o, "fault", why->fault);
	if (why->requested >= 0) {
		json_put_i64(o, "requested", why->requested);
		json_put_i64(o, "unreserved", why->unreserved);
	}
	return o;
}

void transit_respond(struct http_request *r, int status, struct json_object *o)
{
	struct buf b = BUF_INIT;

	json_add_text(&b, o);
	buf_addc(&b, '\n');
	http_respond(r, status, "application/json", &b);
	buf_free(&b);
	json_object_put(o);
}

void transit_respond_refusal(struct http_request *r, const struct transit_refusal *why)
{
	transit_respond(r, why->status, transit_refusal_json(why));
}

/* ---- one ---- */

struct transit *transit_new(struct host_transits *all, const char *id, bool is_source)
{
	struct transit *m = mem_zalloc(sizeof(*m));

	m->all = all;
	m->arena = arena_new(0);
	m->is_source = is_source;
	m->version = 1;
	m->begun_us = m->heard_us = clock_mono_us(all->host->clock);
	snprintf(m->id, sizeof(m->id), "%s", id);
	random_hex(m->token, (TRANSIT_TOKEN_SIZE - 1) / 2);
	list_push_back(&all->all, &m->link);
	return m;
}

void transit_hold(struct transit *m, struct host_datastore *d)
{
	for (size_t i = 0; i < m->held.n; i++) {
		if (m->held.items[i] == d) {
			return;
		}
	}
	host_datastore_hold(d);
	vec_push(&m->held, d);
}

void transit_release(struct transit *m)
{
	for (size_t i = 0; i < m->n_items; i++) {
		if (m->items[i].fd >= 0) {
			close(m->items[i].fd);
			m->items[i].fd = -1;
		}
	}
	for (size_t i = 0; i < m->held.n; i++) {
		host_datastore_refresh(m->held.items[i]);
		host_datastore_release(m->held.items[i]);
	}
	vec_free(&m->held);
	if (m->claim != NULL) {
		host_file_unclaim(m->all->host, m->claim);
		free(m->claim);
		m->claim = NULL;
	}
	value_drop(m->config);
	m->config = NULL;
	buf_free(&m->work.vmx);
	m->work.vmx = (struct buf)BUF_INIT;
}

void transit_free(struct transit *m)
{
	struct peer *peer = m->peer;

	m->peer = NULL;
	peer_free(peer);
	transit_release(m);
	transit_live_close(m);
	machine_free(m->stray);
	transit_identity_fini(&m->identity);
	free(m->issuer);
	free(m->uuid);
	list_remove(&m->link);
	free(m->name);
	free(m->url);
	free(m->thumbprint);
	arena_free(m->arena);
	free(m);
}

struct transit *transit_of_vm(const struct vm *vm)
{
	struct host_transits *all = vm->layer->host->transits;

	if (all != NULL) {
		list_each (struct transit, m, &all->all, link) {
			if (m->entity == vm && !transit_has_ended(m)) {
				return m;
			}
		}
	}
	return NULL;
}

bool transit_machine_ended(struct vm *vm, const struct error *e)
{
	struct transit *m = transit_of_vm(vm);
	struct error why = { 0 };

	if (m == NULL) {
		return false;
	}
	error_set(&why, ERROR_UNREACHABLE, "its machine has ended%s%s", e == NULL ? "" : ": ",
		  e == NULL ? "" : e->msg);
	if (!m->is_source) {
		if (vm->leaving) {
			transit_target_fail(m, &why);
		}
		return vm->leaving;
	}
	if (m->state == TRANSIT_COPYING || m->state == TRANSIT_SWITCHING) {
		if (!m->is_busy) {
			transit_source_failed(m, &why);
		}
	} /* one that was OFFERED the target may have whole: it is asked */
	return false;
}

const char *transit_peer_name(struct transit *m, bool of_source)
{
	return arena_printf(m->arena, "%s.%s", of_source ? "source" : "target", m->id);
}

const char *const *transit_ports(struct transit *m, size_t *n)
{
	const struct value *config = vm_config(m->entity), *devices = vm_devices(config);
	const char **ports = arena_alloc(m->arena, (value_count(devices) + 1) * sizeof(*ports));

	*n = 0;
	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		if (vm_device_role(value_type(d)) == VM_ROLE_NIC) {
			ports[(*n)++] = arena_printf(
				m->arena, "%s.%d",
				value_get_str(config, F_VirtualMachineConfigInfo_instanceUuid),
				(int)value_get_num(d, F_VirtualDevice_key, 0));
		}
	}
	return ports;
}

struct transit *transit_find(struct host_transits *all, const char *id)
{
	list_each (struct transit, m, &all->all, link) {
		if (strcmp(m->id, id) == 0) {
			return m;
		}
	}
	return NULL;
}

/* ---- news ---- */

struct json_object *transit_json(const struct transit *m)
{
	struct json_object *o = json_object_new_object();
	char vm[16];
	uint64_t percent = m->state == TRANSIT_DONE ? 100
			   : m->bytes_total == 0    ? 0
						    : m->bytes_done * 99 / m->bytes_total;

	json_put_u64(o, "version", m->version);
	json_put_str(o, "role", m->is_source ? "source" : "target");
	json_put_str(o, "state", state_names[m->state]);
	json_put_u64(o, "percent", MIN(percent, UINT64_C(100)));
	json_put_u64(o, "bytes_done", m->bytes_done);
	json_put_u64(o, "bytes_total", m->bytes_total);
	json_put_i64(o, "downtime_us", m->downtime_us);
	json_put_i64(o, "total_us",
		     m->total_us != 0 ? m->total_us
				      : clock_mono_us(m->all->host->clock) - m->begun_us);
	json_put(o, "error", m->state == TRANSIT_FAILED ? transit_refusal_json(&m->why) : NULL);
	snprintf(vm, sizeof(vm), "%u", m->vm);
	json_put_str(o, "vm", vm);
	return o;
}

static void waiter_end(struct transit_waiter *w, struct json_object *o)
{
	struct http_request *r = w->request;

	list_remove(&w->link);
	free(w);
	transit_respond(r, 200, o);
}

static bool is_due(const struct transit_waiter *w, const struct transit *m)
{
	return w->until_end ? transit_has_ended(m) : m->version > w->after;
}

void transit_changed(struct transit *m)
{
	m->version++;
	list_each_safe (struct transit_waiter, w, &m->all->waiters, link) {
		if (strcmp(w->id, m->id) == 0 && is_due(w, m)) {
			waiter_end(w, transit_json(m));
		}
	}
}

void transit_wait(struct transit *m, struct http_request *r, uint64_t after, bool until_end)
{
	struct transit_waiter w = {
		.request = r,
		.after = after,
		.until_end = until_end,
		.until_us = clock_mono_us(m->all->host->clock) + TRANSIT_POLL_MS * INT64_C(1000),
	};

	if (is_due(&w, m) || (!until_end && transit_has_ended(m))) {
		transit_respond(r, 200, transit_json(m));
		return;
	}
	struct transit_waiter *kept = mem_zalloc(sizeof(*kept));
	*kept = w;
	memcpy(kept->id, m->id, sizeof(kept->id));
	list_push_back(&m->all->waiters, &kept->link);
}

void transit_wait_end(struct host_transits *all, const struct http_request *r)
{
	list_each_safe (struct transit_waiter, w, &all->waiters, link) {
		if (w->request == r) {
			list_remove(&w->link);
			free(w);
		}
	}
	list_each (struct transit, m, &all->all, link) {
		if (m->preparing == r) {
			m->preparing = NULL;
		}
	}
}

void transit_set_state(struct transit *m, enum transit_state s)
{
	if (m->state != s) {
		m->state = s;
		log_info("migration %s of \"%s\": %s", m->id, m->name, state_names[s]);
		transit_changed(m);
	}
}

void transit_end(struct transit *m, enum transit_state s)
{
	struct error e = { 0 };

	m->total_us = clock_mono_us(m->all->host->clock) - m->begun_us;
	if (s == TRANSIT_FAILED) {
		log_warn("migration %s of \"%s\" failed: \"%s\": %s", m->id, m->name, m->why.object,
			 m->why.reason);
	}
	transit_release(m);
	m->heard_us = clock_mono_us(m->all->host->clock);
	m->state = s;
	if (!transits_save(m->all, &e)) {
		log_warn("the end of migration %s could not be kept: %s", m->id, e.msg);
	}
	log_info("migration %s of \"%s\": %s", m->id, m->name, state_names[s]);
	transit_changed(m);
}

/* ---- removing files ---- */

struct removing {
	struct transit *m;
	void (*done)(struct transit *m);
};

static void files_removed(void *arg, const struct error *e)
{
	struct removing *x = arg;
	struct transit *m = x->m;

	if (e != NULL) {
		log_warn("files of \"%s\" could not be removed: %s", m->name, e->msg);
	} else {
		vm_leftover_free(m->leftover);
		vm_store_save(transit_layer(m), NULL);
	}
	m->leftover = NULL;
	m->is_busy = false;
	if (transit_has_ended(m)) {
		transit_release(m);
	}
	x->done(m);
}

static struct datastore *store_of(struct transit *m, const char *ds_path, struct datastore_path *at)
{
	struct host_datastore *d = host_datastore_of_path(m->all->host, ds_path, at, NULL);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, NULL);

	if (ds != NULL) {
		transit_hold(m, d);
	}
	return ds;
}

void transit_remove_files(struct transit *m, void (*done)(struct transit *m))
{
	struct vm_leftover *x = m->leftover;
	struct vm_layer *l = transit_layer(m);
	struct removing *wait = arena_alloc(m->arena, sizeof(*wait));
	struct vm_removal *r = &m->removal;

	*wait = (struct removing){ .m = m, .done = done };
	*r = (struct vm_removal){ .ran = true };
	m->is_busy = true;
	r->disks = arena_alloc(m->arena, (x->n_disks + 1) * sizeof(*r->disks));
	for (size_t i = 0; i < x->n_disks; i++) {
		struct datastore_path *at = arena_alloc(m->arena, sizeof(*at));
		struct datastore *ds = store_of(m, x->disks[i], at);
		if (ds != NULL && !vm_disk_is_registered(l, x->disks[i])) {
			r->disks[r->n_disks++] =
				(struct vm_disk_work){ .ds = ds, .path = at->path };
		}
	}
	if (x->path != NULL) {
		struct datastore_path *at = arena_alloc(m->arena, sizeof(*at));
		r->ds = store_of(m, x->path, at);
		r->path = at->path;
	}
	struct job_work work = { .run = vm_removal_run, .data = r };
	struct job_handler h = { .loop = l->host->loop, .done = files_removed, .arg = wait };
	job_start(&h, &work);
}

/* ---- what is kept ---- */

/* Of those that have not ended only what was offered matters to the next start, and what was taken;
 * all others are undone by vms.json's leftovers, or were never begun. */
static bool is_kept(const struct transit *m)
{
	return transit_has_ended(m) || m->state == TRANSIT_OFFERED ||
	       (!m->is_source && (m->is_live || m->state == TRANSIT_SWITCHING));
}

static struct json_object *record_of(const struct transit *m)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "id", m->id);
	json_put_bool(o, "source", m->is_source);
	json_put_str(o, "state", state_names[m->state]);
	json_put_str(o, "name", m->name);
	json_put_u64(o, "vm", m->vm);
	json_put_str(o, "token", m->token);
	json_put_bool(o, "shared", m->is_shared);
	json_put_bool(o, "known", m->is_known);
	json_put_bool(o, "forgotten", m->is_forgotten);
	if (m->uuid != NULL) {
		json_put_str(o, "uuid", m->uuid);
	}
	if (m->url != NULL) {
		json_put_str(o, "url", m->url);
		json_put_str(o, "thumbprint", m->thumbprint);
	}
	if (m->state == TRANSIT_FAILED) {
		json_put(o, "error", transit_refusal_json(&m->why));
	}
	return o;
}

bool transits_save(struct host_transits *all, struct error *e)
{
	struct json_object *doc = json_object_new_object(), *list = json_object_new_array();

	list_each (struct transit, m, &all->all, link) {
		if (is_kept(m)) {
			json_object_array_add(list, record_of(m));
		}
	}
	json_put(doc, "migrations", list);
	bool ok = host_state_write(all->host, RECORD, doc, e);
	json_object_put(doc);
	return ok;
}

static void read_reason(const struct json_at *at, struct transit_refusal *why)
{
	struct json_at error;
	const char *object = "", *reason = "", *fault = "MigrationFault";

	if (json_has(at, "error") && json_get_object(at, "error", &error, NULL)) {
		json_get_str(&error, "object", &object, NULL);
		json_get_str(&error, "reason", &reason, NULL);
		json_get_str(&error, "fault", &fault, NULL);
	}
	transit_refuse(why, 500, fault, object, "%s", reason);
}

static bool read_state(const char *text, enum transit_state *out)
{
	for (size_t i = 0; i < ARRAY_LEN(state_names); i++) {
		if (strcmp(text, state_names[i]) == 0) {
			*out = (enum transit_state)i;
			return true;
		}
	}
	return false;
}

static bool read_one(struct host_transits *all, const struct json_at *at, struct error *e)
{
	const char *id, *state, *name, *token, *url, *print;
	bool is_source, shared, known, forgotten;
	enum transit_state s;
	uint32_t vm;

	if (!json_get_str(at, "id", &id, e) || !json_get_bool(at, "source", &is_source, e) ||
	    !json_get_str(at, "state", &state, e) || !json_get_str(at, "name", &name, e) ||
	    !json_get_u32(at, "vm", &vm, e) || !json_get_str(at, "token", &token, e) ||
	    !json_get_bool(at, "shared", &shared, e) || !json_get_bool(at, "known", &known, e) ||
	    !json_get_bool(at, "forgotten", &forgotten, e)) {
		return false;
	}
	if (!read_state(state, &s)) {
		return json_error(at, e, "\"%.40s\" is no state", state);
	}
	struct transit *m = transit_new(all, id, is_source);
	m->state = s;
	m->name = mem_strdup(name);
	m->vm = vm;
	m->is_shared = shared;
	m->is_known = known;
	m->is_forgotten = forgotten;
	snprintf(m->token, sizeof(m->token), "%s", token);
	read_reason(at, &m->why);
	if (json_has(at, "uuid") && json_get_str(at, "uuid", &url, e)) {
		m->uuid = mem_strdup(url);
		m->is_live = true;
	}
	if (json_has(at, "url") && json_get_str(at, "url", &url, e) &&
	    json_get_str(at, "thumbprint", &print, e)) {
		m->url = mem_strdup(url);
		m->thumbprint = mem_strdup(print);
	}
	if (is_source && s == TRANSIT_OFFERED && m->url == NULL) {
		return json_error(at, e, "\"url\" is missing");
	}
	return true;
}

static struct vm *vm_by_id(struct vm_layer *l, uint32_t id)
{
	list_each (struct vm, vm, &l->vms, link) {
		if (vm->id == id) {
			return vm;
		}
	}
	return NULL;
}

/* What vms.json says counts: the VM is there, or it is not. That it has come is on disk before
 * anybody can touch it: once it were removed again, nothing else would say so. */
static void go_on(struct host_transits *all)
{
	bool is_changed = false;
	struct error e = { 0 };

	list_each_safe (struct transit, m, &all->all, link) {
		struct vm *vm = vm_by_id(all->host->vm_layer, m->vm);
		if (m->is_source && m->state == TRANSIT_OFFERED) {
			m->entity = vm;
			m->is_live = vm != NULL && vm->machine != NULL;
			m->is_sent = m->is_live && machine_state(vm->machine) == MACHINE_SENT;
			if (vm == NULL) {
				m->state = TRANSIT_DONE;
				is_changed = true;
			} else {
				transit_source_resume(m);
			}
		} else if (!m->is_source && !transit_has_ended(m)) {
			if (vm == NULL && m->is_live) {
				transit_live_clear(m);
			} else if (vm == NULL) {
				transit_free(m);
			} else {
				m->state = TRANSIT_DONE;
				is_changed = true;
			}
		}
	}
	if (is_changed && !transits_save(all, &e)) {
		log_warn("what has become of migrations could not be kept: %s", e.msg);
	}
}

/* Of those that were sent nothing is known but that they were: nobody was asked to take them, or
 * all was over but for the guest to go on here. */
static void revive_strays(struct host_transits *all)
{
	struct vm_layer *l = all->host->vm_layer;

	list_each (struct vm, vm, &l->vms, link) {
		if (vm->machine != NULL && machine_state(vm->machine) == MACHINE_SENT &&
		    transit_of_vm(vm) == NULL) {
			log_warn("virtual machine \"%s\" goes on here", vm_name(vm));
			machine_send_revive(vm->machine, NULL, NULL);
		}
	}
}

static bool read_all(struct host_transits *all, struct error *e)
{
	struct error why = { 0 };
	struct json_at list;
	struct json_object *doc = host_state_read(all->host, RECORD, &why);

	if (doc == NULL) {
		if (why.kind != ERROR_NOT_FOUND && e != NULL) {
			*e = why;
		}
		return why.kind == ERROR_NOT_FOUND;
	}
	struct json_at root = json_root(doc);
	bool ok = json_get_array(&root, "migrations", &list, e);
	for (size_t i = 0; ok && i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		ok = read_one(all, &item, e);
	}
	json_object_put(doc);
	return ok || error_prefix(e, "\"%s/%s\": ", all->host->state, RECORD);
}

/* ---- all ---- */

/* Ended ones that nobody asks for any more; too many of them: the oldest. */
static void forget(struct host_transits *all)
{
	size_t n = 0;
	bool is_changed = false;

	list_each (struct transit, m, &all->all, link) {
		n += transit_has_ended(m);
	}
	list_each_safe (struct transit, m, &all->all, link) {
		bool is_needed = !m->is_source && m->state == TRANSIT_DONE && !m->is_known;
		if (transit_has_ended(m) && !m->is_busy && m->request == NULL &&
		    ((m->is_forgotten && !is_needed) || n > TRANSIT_ENDED_MAX)) {
			transit_free(m);
			n--;
			is_changed = true;
		}
	}
	if (is_changed) {
		transits_save(all, NULL);
	}
}

static void tick(void *arg)
{
	struct host_transits *all = arg;
	int64_t now = clock_mono_us(all->host->clock);

	list_each_safe (struct transit_waiter, w, &all->waiters, link) {
		struct transit *m = transit_find(all, w->id);
		if (m == NULL || now >= w->until_us) {
			waiter_end(w, m == NULL ? json_object_new_object() : transit_json(m));
		}
	}
	list_each_safe (struct transit, m, &all->all, link) {
		if (m->is_source) {
			transit_source_tick(m);
		} else {
			transit_target_tick(m);
		}
	}
	forget(all);
}

void transits_stop(struct host *h)
{
	if (h->transits == NULL) {
		return;
	}
	list_each (struct transit, m, &h->transits->all, link) {
		if (m->is_source) {
			transit_source_stop(m);
		} else if (m->state <= TRANSIT_COPYING) {
			transit_target_give_up(m, NULL);
		}
	}
}

bool transits_open(struct host *h, struct error *e)
{
	struct host_transits *all = mem_zalloc(sizeof(*all));

	all->host = h;
	list_init(&all->all);
	list_init(&all->waiters);
	h->transits = all;
	if (!read_all(all, e)) {
		return false;
	}
	go_on(all);
	revive_strays(all);
	all->tick = timer_new(h->loop, h->clock, tick, all);
	timer_start(all->tick, TRANSIT_TICK_MS, TRANSIT_TICK_MS);
	return true;
}

void transits_close(struct host *h)
{
	struct host_transits *all = h->transits;
	struct list_node *n;

	if (all == NULL) {
		return;
	}
	timer_free(all->tick);
	transits_stop(h);
	while ((n = list_front(&all->all)) != NULL) {
		transit_free(CONTAINER_OF(n, struct transit, link));
	}
	while ((n = list_pop_front(&all->waiters)) != NULL) {
		free(CONTAINER_OF(n, struct transit_waiter, link));
	}
	free(all);
	h->transits = NULL;
}

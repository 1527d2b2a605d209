/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/service_fake.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "vim/fault.h"

struct handler {
	uint16_t managed, method;
	call_fn *fn;
	void *arg;
};

struct service {
	struct fake *fake;
	struct session *acting;
	VEC(struct handler) handlers;
};

struct session {
	struct service *service;
	char *user;
	char id[24];
	struct list items;
	VEC(const struct object *) hidden;
};

/* The call in progress; `pub` first. */
struct fake_state {
	struct call pub;
	struct fake *fake;
	const struct handler *handler;
	bool arena_taken, ended;
};

/* ---- service.h ---- */

struct inventory *service_inventory(struct service *s)
{
	return s->fake->inventory;
}

uv_loop_t *service_loop(struct service *s)
{
	(void)s;
	return NULL;
}

struct clock *service_clock(struct service *s)
{
	return s->fake->clock;
}

struct object *service_root(struct service *s)
{
	return s->fake->root;
}

struct session *service_acting(const struct service *s)
{
	return s->acting;
}

struct session *service_act_as(struct service *s, struct session *session)
{
	struct session *old = s->acting;

	s->acting = session;
	return old;
}

void service_handle(struct service *s, uint16_t managed, uint16_t method, call_fn *fn, void *arg)
{
	vec_push(&s->handlers, (struct handler){ managed, method, fn, arg });
}

static struct fake_state *state_of(const struct call *c)
{
	return (struct fake_state *)(uintptr_t)c; /* pub is its first member */
}

void *call_arg(const struct call *c)
{
	return state_of(c)->handler->arg;
}

struct arena *call_take_arena(struct call *c)
{
	state_of(c)->arena_taken = true;
	return c->arena;
}

static void call_end(struct call *c)
{
	assert(!state_of(c)->ended);
	state_of(c)->ended = true;
}

void call_return(struct call *pub, const struct value *v)
{
	call_end(pub);
	state_of(pub)->fake->result = value_keep(v);
}

void call_fault(struct call *c, const struct value *fault, const char *fmt, ...)
{
	struct fake *f = state_of(c)->fake;
	va_list args;

	call_end(c);
	f->fault = value_keep(fault);
	va_start(args, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, args);
	va_end(args);
}

void call_error(struct call *c, const struct error *e)
{
	call_fault(c, fault_from_error(c->arena, e), "%s", e->msg);
}

bool call_require(struct call *c, struct object *o, const char *privilege)
{
	if (session_may(c->session, o, privilege)) {
		return true;
	}
	call_fault(c, fault_no_permission(c->arena, o->ref, privilege), "no %s", privilege);
	return false;
}

struct object *call_object(struct call *c, unsigned arg, uint16_t managed, bool *ok)
{
	const struct value *ref = value_get_value(c->args, arg);
	struct object *o = inventory_find_ref(state_of(c)->fake->inventory, ref);

	*ok = ref == NULL || (o != NULL && schema_is_a(o->type, managed));
	if (!*ok) {
		call_fault(c, fault_not_found(c->arena, ref), "no '%s'", value_bytes(ref));
		return NULL;
	}
	return o;
}

/* ---- session.h ---- */

const char *session_user(const struct session *s)
{
	return s->user;
}

const char *session_id(const struct session *s)
{
	return s->id;
}

void session_own(struct session *s, struct session_item *item)
{
	list_push_back(&s->items, &item->link);
}

void session_disown(struct session_item *item)
{
	list_remove(&item->link);
}

bool session_may(const struct session *s, struct object *o, const char *privilege)
{
	(void)privilege;
	for (size_t i = 0; i < s->hidden.n; i++) {
		if (s->hidden.items[i] == o) {
			return false;
		}
	}
	return true;
}

bool session_may_all(const struct session *s)
{
	(void)s;
	return false;
}

bool session_may_read(const struct session *s, struct object *o, unsigned prop)
{
	(void)prop;
	return session_may(s, o, "System.Read");
}

struct service *session_service(const struct session *s)
{
	return s->service;
}

struct session *fake_session_new(struct fake *f, const char *user)
{
	static unsigned n;
	struct session *s = mem_zalloc(sizeof(*s));

	s->service = f->service;
	s->user = mem_strdup(user);
	snprintf(s->id, sizeof(s->id), "s-%u", ++n);
	list_init(&s->items);
	return s;
}

void fake_session_end(struct session *s)
{
	for (struct list_node *n = list_pop_front(&s->items); n != NULL;
	     n = list_pop_front(&s->items)) {
		struct session_item *item = CONTAINER_OF(n, struct session_item, link);
		item->end(item);
	}
	vec_free(&s->hidden);
	free(s->user);
	free(s);
}

void fake_hide(struct session *s, struct object *o)
{
	vec_push(&s->hidden, o);
}

/* ---- the harness ---- */

static struct object *entity(struct fake *f, uint16_t type, const char *id, const char *name,
			     const struct object *parent)
{
	struct object *o = inventory_add(f->inventory, type, id, NULL, NULL);

	inventory_set_str(o, P_ManagedEntity_name, name);
	inventory_set_ref(o, P_ManagedEntity_parent, parent);
	return o;
}

static struct object *virtual_machine(struct fake *f, const char *id, const char *name,
				      const struct object *host)
{
	struct object *o = entity(f, T_VirtualMachine, id, name, f->vm_folder);
	const unsigned path[] = { F_VirtualMachineRuntimeInfo_host };

	inventory_set_nested(o, P_VirtualMachine_runtime, path, 1, host->ref);
	return o;
}

void fake_setup(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	f->clock = clock_manual_new(INT64_C(1700000000) * 1000000);
	f->inventory = inventory_new(f->clock);
	f->arena = arena_new(0);
	f->service = mem_zalloc(sizeof(*f->service));
	f->service->fake = f;
	f->root = entity(f, T_Folder, "group-d1", "Datacenters", NULL);
	f->dc = entity(f, T_Datacenter, "datacenter-1", "DC0", f->root);
	f->vm_folder = entity(f, T_Folder, "group-v1", "vm", f->dc);
	f->host_folder = entity(f, T_Folder, "group-h1", "host", f->dc);
	f->cluster = entity(f, T_ClusterComputeResource, "domain-c1", "C0", f->host_folder);
	f->host[0] = entity(f, T_HostSystem, "host-1", "H0", f->cluster);
	f->host[1] = entity(f, T_HostSystem, "host-2", "H1", f->cluster);
	f->vm[0] = virtual_machine(f, "vm-1", "edge-1", f->host[0]);
	f->vm[1] = virtual_machine(f, "vm-2", "web-1", f->host[1]);
	f->datastore = entity(f, T_Datastore, "datastore-1", "local", f->dc);
}

static void answer_clear(struct fake *f)
{
	value_drop(f->result);
	value_drop(f->fault);
	f->result = f->fault = NULL;
	f->text[0] = '\0';
}

void fake_teardown(struct fake *f)
{
	answer_clear(f);
	vec_free(&f->service->handlers);
	free(f->service);
	inventory_free(f->inventory);
	arena_free(f->arena);
	clock_manual_free(f->clock);
}

static const struct handler *handler_find(struct service *s, uint16_t type, uint16_t method)
{
	const struct handler *best = NULL;

	vec_each (&s->handlers, h) {
		if (h->method == method && schema_is_a(type, h->managed) &&
		    (best == NULL || schema_is_a(h->managed, best->managed))) {
			best = h;
		}
	}
	return best;
}

bool fake_call(struct fake *f, struct session *s, struct object *self, uint16_t method,
	       const struct value *args)
{
	struct fake_state state = {
		.pub = { .service = f->service,
			 .session = s,
			 .self = self,
			 .arena = arena_new(0),
			 .method = method },
		.fake = f,
		.handler = handler_find(f->service, self->type, method),
	};
	struct arena *a = state.pub.arena;

	answer_clear(f);
	assert(state.handler != NULL);
	/* A call has its arguments in its own arena. */
	const struct value *kept = value_keep(args);
	state.pub.args =
		kept != NULL ? value_edit(a, kept) : value_new(a, schema_method(method)->args);
	struct session *old = service_act_as(f->service, s);
	state.handler->fn(&state.pub);
	service_act_as(f->service, old);
	assert(state.ended);
	if (!state.arena_taken) {
		arena_free(a);
	}
	value_drop(kept);
	arena_reset(f->arena);
	return f->fault == NULL;
}

struct object *fake_result_object(struct fake *f)
{
	return inventory_find_ref(f->inventory, f->result);
}

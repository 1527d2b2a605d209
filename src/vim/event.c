/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/event.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vim/entity.h"
#include "vim/event_record.h"

enum {
	F_ARGUMENT_REF = F_EntityEventArgument_name + 1
};
_Static_assert((int)F_VmEventArgument_vm == (int)F_ARGUMENT_REF &&
		       (int)F_HostEventArgument_host == (int)F_ARGUMENT_REF &&
		       (int)F_ManagedEntityEventArgument_entity == (int)F_ARGUMENT_REF,
	       "an argument's reference follows its name");

int32_t event_next_key(const struct event_manager *m)
{
	return m->last_key == INT32_MAX ? 1 : m->last_key + 1;
}

struct value *event_argument(struct arena *a, uint16_t type, struct object *o)
{
	struct value *arg = value_new(a, type);
	const struct value *name = object_get(o, P_ManagedEntity_name, a);

	if (name == NULL) {
		value_set_str(a, arg, F_EntityEventArgument_name, object_id(o));
	} else {
		value_set(a, arg, F_EntityEventArgument_name, name);
	}
	if (schema_type(type)->n_fields > F_ARGUMENT_REF) {
		value_set(a, arg, F_ARGUMENT_REF, o->ref);
	}
	return arg;
}

/* ---- what an event is about ---- */

/* Reference in the argument at that field, or NULL. */
static const struct value *argument_ref(const struct value *event, unsigned field)
{
	const struct value *arg = value_get_value(event, field);

	return value_is_a(arg, T_EntityEventArgument) &&
			       schema_type(value_type(arg))->n_fields > F_ARGUMENT_REF
		       ? value_get_value(arg, F_ARGUMENT_REF)
		       : NULL;
}

static const struct value *own_argument_ref(const struct value *event)
{
	for (unsigned i = schema_type(T_Event)->n_fields;
	     i < schema_type(value_type(event))->n_fields; i++) {
		const struct schema_field *f = schema_field(value_type(event), i);
		if (f->kind == KIND_STRUCT && (f->flags & FIELD_ARRAY) == 0) {
			const struct value *ref = argument_ref(event, i);
			if (ref != NULL) {
				return ref;
			}
		}
	}
	return NULL;
}

const struct value *event_subject(const struct value *event)
{
	static const unsigned fields[] = {
		F_Event_ds,	   F_Event_net, F_Event_dvs, F_Event_host, F_Event_computeResource,
		F_Event_datacenter
	};
	const struct value *ref = argument_ref(event, F_Event_vm);

	if (ref == NULL && value_is_a(event, T_TaskEvent)) {
		ref = value_get_value(value_get_value(event, F_TaskEvent_info), F_TaskInfo_entity);
	}
	if (ref == NULL) {
		ref = own_argument_ref(event);
	}
	for (size_t i = 0; ref == NULL && i < ARRAY_LEN(fields); i++) {
		ref = argument_ref(event, fields[i]);
	}
	return ref;
}

static void fill(struct arena *a, struct value *event, unsigned field, uint16_t type,
		 struct object *o)
{
	if (o != NULL && !value_has(event, field)) {
		value_set(a, event, field, event_argument(a, type, o));
	}
}

/* The arguments that say where an entity is and what it is. */
static void fill_arguments(struct arena *a, struct value *event, struct object *o)
{
	struct object *host = schema_is_a(o->type, T_HostSystem) ? o : entity_host(o, a);
	struct object *compute = entity_above(host != NULL ? host : o, T_ComputeResource, a);

	if (schema_is_a(o->type, T_VirtualMachine)) {
		fill(a, event, F_Event_vm, T_VmEventArgument, o);
	} else if (schema_is_a(o->type, T_Datastore)) {
		fill(a, event, F_Event_ds, T_DatastoreEventArgument, o);
	} else if (schema_is_a(o->type, T_Network)) {
		fill(a, event, F_Event_net, T_NetworkEventArgument, o);
	} else if (schema_is_a(o->type, T_DistributedVirtualSwitch)) {
		fill(a, event, F_Event_dvs, T_DvsEventArgument, o);
	}
	fill(a, event, F_Event_host, T_HostEventArgument, host);
	fill(a, event, F_Event_computeResource, T_ComputeResourceEventArgument, compute);
	fill(a, event, F_Event_datacenter, T_DatacenterEventArgument,
	     entity_above(o, T_Datacenter, a));
}

/* VmEvent.template is required; a virtual machine knows it of itself. */
static void fill_template(struct arena *a, struct value *event, struct object *o)
{
	const struct value *summary = NULL;

	if (!value_is_a(event, T_VmEvent) || value_has(event, F_VmEvent_template)) {
		return;
	}
	if (o != NULL && schema_is_a(o->type, T_VirtualMachine)) {
		summary = object_get(o, P_VirtualMachine_summary, a);
	}
	const struct value *config = value_get_value(summary, F_VirtualMachineSummary_config);
	value_set_bool(a, event, F_VmEvent_template,
		       value_get_bool(config, F_VirtualMachineConfigSummary_template, false));
}

/* ---- posting ---- */

void event_record_add(struct event_manager *m, const struct value *event,
		      const struct value *subject, const struct value *above)
{
	struct event_record *r = mem_zalloc(sizeof(*r));

	r->manager = m;
	r->event = event;
	r->subject = subject;
	r->above = above;
	history_add(m->history, r);
	inventory_touch(m->object, P_EventManager_latestEvent, "latestEvent");
}

int32_t event_post(struct event_manager *m, struct arena *a, struct value *event,
		   struct object *entity, const char *user, const char *fmt, ...)
{
	int32_t key = m->last_key = event_next_key(m);
	char *text = NULL;
	va_list args;

	assert(value_is_a(event, T_Event));
	value_set_num(a, event, F_Event_key, key);
	if (!value_has(event, F_Event_chainId)) {
		value_set_num(a, event, F_Event_chainId, key);
	}
	if (!value_has(event, F_Event_createdTime)) {
		value_set_num(a, event, F_Event_createdTime,
			      clock_wall_us(service_clock(m->service)));
	}
	value_set_str(a, event, F_Event_userName, user);
	if (entity != NULL) {
		fill_arguments(a, event, entity);
	}
	fill_template(a, event, entity);
	va_start(args, fmt);
	int n = vasprintf(&text, fmt, args);
	va_end(args);
	value_set_str(a, event, F_Event_fullFormattedMessage, n < 0 ? "" : text);
	free(text);
	struct object *parent = entity == NULL ? NULL : entity_parent(entity, a);
	const struct value *kept = value_keep(event);
	event_record_add(m, kept,
			 entity == NULL ? value_keep(event_subject(kept)) : value_hold(entity->ref),
			 parent == NULL ? NULL : value_hold(parent->ref));
	for (size_t i = 0; i < m->listeners.n; i++) {
		m->listeners.items[i].fn(m->listeners.items[i].arg, kept);
	}
	return key;
}

void event_listen(struct event_manager *m, void (*fn)(void *arg, const struct value *event),
		  void *arg)
{
	vec_push(&m->listeners, (struct event_listener){ .fn = fn, .arg = arg });
}

void event_unlisten(struct event_manager *m, const void *arg)
{
	for (size_t i = m->listeners.n; i-- > 0;) {
		if (m->listeners.items[i].arg == arg) {
			vec_remove(&m->listeners, i);
		}
	}
}

void event_restore(struct event_manager *m, const struct value *event)
{
	const struct value *kept = value_keep(event);
	const struct value *subject = value_keep(event_subject(kept));
	struct object *o = inventory_find_ref(m->inventory, subject);
	struct arena *a = arena_new(0);
	struct object *parent = o == NULL ? NULL : entity_parent(o, a);

	arena_free(a);
	m->last_key = MAX(m->last_key, (int32_t)value_get_num(kept, F_Event_key, 0));
	event_record_add(m, kept, subject, parent == NULL ? NULL : value_hold(parent->ref));
}

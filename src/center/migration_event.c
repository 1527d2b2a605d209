/* SPDX-License-Identifier: Apache-2.0 */
/* Events of migrations, as vCenter posts them (vSphere API VmEvent). */
#include "center/compute.h"
#include "center/member.h"
#include "center/migration_impl.h"
#include "center/place.h"
#include "vim/event.h"
#include "vim/fault.h"

static void post(const struct migration *m, struct arena *a, struct value *event, const char *text)
{
	struct object *vm = migration_vm(m);

	if (m->task != NULL) {
		value_set_num(a, event, F_Event_chainId, task_chain_id(m->task));
	}
	if (vm != NULL) {
		center_post(m->all->c, a, event, vm, m->user, text);
	}
}

static struct object *host_of(const struct migration *m, int which)
{
	return inventory_find(m->all->c->inventory, m->sides[which].host);
}

static const char *name_of(struct object *o)
{
	return o == NULL ? "" : place_name(o);
}

static void set_place(struct arena *a, struct value *event, unsigned host, unsigned dc,
		      struct object *system)
{
	struct object *datacenter = system == NULL ? NULL : place_datacenter(system);

	if (system != NULL) {
		value_set(a, event, host, event_argument(a, T_HostEventArgument, system));
	}
	if (datacenter != NULL) {
		value_set(a, event, dc, event_argument(a, T_DatacenterEventArgument, datacenter));
	}
}

void migration_post_begin(const struct migration *m)
{
	struct arena *a = arena_new(0);
	struct object *to = host_of(m, TARGET);
	struct value *event;

	if (m->is_relocation) {
		event = value_new(a, T_VmBeingRelocatedEvent);
		set_place(a, event, F_VmBeingRelocatedEvent_destHost,
			  F_VmBeingRelocatedEvent_destDatacenter, to);
	} else if (m->is_hot) {
		event = value_new(a, T_VmBeingHotMigratedEvent);
		set_place(a, event, F_VmBeingHotMigratedEvent_destHost,
			  F_VmBeingHotMigratedEvent_destDatacenter, to);
	} else {
		event = value_new(a, T_VmBeingMigratedEvent);
		set_place(a, event, F_VmBeingMigratedEvent_destHost,
			  F_VmBeingMigratedEvent_destDatacenter, to);
	}
	post(m, a, event,
	     arena_printf(a, "Migrating %s from %s to %s", name_of(migration_vm(m)),
			  name_of(host_of(m, SOURCE)), name_of(to)));
	arena_free(a);
}

void migration_post_end(const struct migration *m)
{
	struct arena *a = arena_new(0);
	struct object *from = host_of(m, SOURCE);
	struct value *event;

	if (m->is_relocation) {
		event = value_new(a, T_VmRelocatedEvent);
		set_place(a, event, F_VmRelocatedEvent_sourceHost,
			  F_VmRelocatedEvent_sourceDatacenter, from);
	} else {
		event = value_new(a, T_VmMigratedEvent);
		set_place(a, event, F_VmMigratedEvent_sourceHost,
			  F_VmMigratedEvent_sourceDatacenter, from);
	}
	const char *stopped =
		!m->is_hot || m->downtime_us < 0
			? ""
			: arena_printf(a, "; it stood still for %d ms",
				       (int)MIN(m->downtime_us / 1000, INT64_C(1000000000)));
	post(m, a, event,
	     arena_printf(a, "%s has moved from %s to %s%s", name_of(migration_vm(m)),
			  name_of(from), name_of(host_of(m, TARGET)), stopped));
	arena_free(a);
}

void migration_post_failure(const struct migration *m, const struct value *fault, const char *text)
{
	struct arena *a = arena_new(0);
	struct object *to = host_of(m, TARGET);
	const struct value *reason = fault_localized(a, fault, text);
	struct value *event;

	if (m->is_relocation) {
		event = value_new(a, T_VmRelocateFailedEvent);
		set_place(a, event, F_VmRelocateFailedEvent_destHost,
			  F_VmRelocateFailedEvent_destDatacenter, to);
		value_set(a, event, F_VmRelocateFailedEvent_reason, reason);
	} else {
		event = value_new(a, T_VmFailedMigrateEvent);
		set_place(a, event, F_VmFailedMigrateEvent_destHost,
			  F_VmFailedMigrateEvent_destDatacenter, to);
		value_set(a, event, F_VmFailedMigrateEvent_reason, reason);
	}
	post(m, a, event,
	     arena_printf(a, "Cannot migrate %s from %s to %s: %s", name_of(migration_vm(m)),
			  name_of(host_of(m, SOURCE)), name_of(to), text));
	arena_free(a);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What VMs are connected to. Their host tells which of its own networks they use; port groups of
 * distributed switches, which are the manager's, are named by the backings of their cards.
 */
#include "center/mirror_enter.h"

#include "center/dvs_port.h"
#include "center/member.h"

static bool has(const struct value *list, const struct value *ref)
{
	for (size_t i = 0; i < value_count(list); i++) {
		if (value_equal(value_item(list, i), ref)) {
			return true;
		}
	}
	return false;
}

/* The port group that a card is connected to, or NULL. */
static struct object *portgroup_of(struct inventory *inv, const struct value *device)
{
	const struct value *b = value_get_value(device, F_VirtualDevice_backing);

	if (!value_is_a(b, T_VirtualEthernetCardDistributedVirtualPortBackingInfo)) {
		return NULL;
	}
	const struct value *port =
		value_get_value(b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port);
	const char *key =
		value_get_str(port, F_DistributedVirtualSwitchPortConnection_portgroupKey);
	struct object *o = key == NULL ? NULL : inventory_find(inv, key);
	return o != NULL && schema_is_a(o->type, T_DistributedVirtualPortgroup) ? o : NULL;
}

static const struct value *devices_of(const struct mirror_source *s, struct arena *a)
{
	const struct value *config = object_get(s->object, P_VirtualMachine_config, a);
	const struct value *hardware =
		config == NULL ? NULL
			       : value_get_value(config, F_VirtualMachineConfigInfo_hardware);

	return hardware == NULL ? NULL : value_get_value(hardware, F_VirtualHardware_device);
}

static struct value *networks_of(const struct mirror_source *s, const struct value *devices,
				 struct arena *a)
{
	struct object *vm = s->object;
	struct inventory *inv = s->of->object->inventory;
	struct value *all = value_new_array(a, T_Network);
	const struct value *own =
		mirror_import(s->mirror, object_get(vm, P_VirtualMachine_network, a), a);

	for (size_t i = 0; i < value_count(own); i++) {
		value_push(a, all, value_item(own, i));
	}
	for (size_t i = 0; i < value_count(devices); i++) {
		struct object *pg = portgroup_of(inv, value_item(devices, i));
		if (pg != NULL && !has(all, pg->ref)) {
			value_push(a, all, pg->ref);
		}
	}
	return all;
}

/* Port groups that are in `list` and not in `other` gain the VM, or lose it. */
static void portgroups_tell(struct object *vm, const struct value *list, const struct value *other,
			    bool gain)
{
	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *ref = value_item(list, i);
		struct object *pg = schema_is_a(value_type(ref), T_DistributedVirtualPortgroup) &&
						    !has(other, ref)
					    ? inventory_find_ref(vm->inventory, ref)
					    : NULL;
		if (pg != NULL && gain) {
			inventory_add_ref(pg, P_Network_vm, vm);
		} else if (pg != NULL) {
			inventory_drop_ref(pg, P_Network_vm, vm);
		}
	}
}

bool mirror_connect(struct mirror_source *s)
{
	struct object *vm = s->of->object;
	struct arena *a = arena_new(0);
	const struct value *devices = devices_of(s, a);
	const struct value *old = object_get(vm, P_VirtualMachine_network, NULL);
	const struct value *now = networks_of(s, devices, a);
	bool is_written = dvs_ports_follow(s->mirror->member->center, vm, devices);

	portgroups_tell(vm, old, now, false);
	portgroups_tell(vm, now, old, true);
	inventory_set(vm, P_VirtualMachine_network, now);
	arena_free(a);
	return is_written;
}

void mirror_disconnect(struct center *c, struct object *vm)
{
	dvs_ports_forget(c, vm);
	portgroups_tell(vm, object_get(vm, P_VirtualMachine_network, NULL), NULL, false);
}

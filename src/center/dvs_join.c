/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_join.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "center/dvs_member.h"
#include "center/dvs_policy.h"
#include "center/dvs_port.h"
#include "center/place.h"
#include "center/portgroup.h"
#include "vim/fault.h"

struct dvs_join {
	struct center *center;
	VEC(int64_t) keys;	       /* of the ports reserved */
	const struct value *vm, *host; /* kept references; vm NULL: it is yet to be made */
	struct forward *forward;       /* of dvs_join_forward() */
	struct call *call;
};

/* ---- what is asked ---- */

/* The connection that an added or edited card names, or NULL. */
static const struct value *connection_of(const struct value *change)
{
	const struct value *device = value_get_value(change, F_VirtualDeviceConfigSpec_device);
	int64_t op = value_get_num(change, F_VirtualDeviceConfigSpec_operation,
				   E_VirtualDeviceConfigSpecOperation_edit);

	if (op == E_VirtualDeviceConfigSpecOperation_remove ||
	    !value_is_a(device, T_VirtualEthernetCard)) {
		return NULL;
	}
	const struct value *b = value_get_value(device, F_VirtualDevice_backing);
	return value_is_a(b, T_VirtualEthernetCardDistributedVirtualPortBackingInfo)
		       ? value_get_value(
				 b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port)
		       : NULL;
}

bool dvs_join_is_asked(const struct value *spec)
{
	const struct value *changes =
		spec == NULL ? NULL
			     : value_get_value(spec, F_VirtualMachineConfigSpec_deviceChange);

	for (size_t i = 0; i < value_count(changes); i++) {
		if (connection_of(value_item(changes, i)) != NULL) {
			return true;
		}
	}
	return false;
}

/* ---- one card ---- */

struct joining {
	struct dvs_join *join;
	struct call *call;
	struct object *host, *vm;
	int index; /* of the change */
};

static struct object *refused(const struct joining *x, const char *fmt, ...) PRINTF_LIKE(2, 3);
static struct object *refused(const struct joining *x, const char *fmt, ...)
{
	struct value *fault = fault_new(x->call->arena, T_InvalidDeviceBacking);
	char text[300];
	va_list args;

	value_set_str(x->call->arena, fault, F_InvalidVmConfig_property,
		      "deviceChange.device.backing.port");
	value_set_num(x->call->arena, fault, F_InvalidDeviceSpec_deviceIndex, x->index);
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	call_fault(x->call, fault, "%s", text);
	return NULL;
}

/* The port group that a connection names, where the host can have it; NULL: the call is over. */
static struct object *group_of(const struct joining *x, const struct value *connection)
{
	const char *uuid =
		value_get_str(connection, F_DistributedVirtualSwitchPortConnection_switchUuid);
	const char *key =
		value_get_str(connection, F_DistributedVirtualSwitchPortConnection_portgroupKey);
	struct object *pg = key == NULL ? NULL : inventory_find(x->join->center->inventory, key);
	struct object *dvs = pg == NULL || !schema_is_a(pg->type, T_DistributedVirtualPortgroup)
				     ? NULL
				     : portgroup_dvs(pg);

	if (dvs == NULL || uuid == NULL ||
	    strcmp(object_get_str(dvs, P_DistributedVirtualSwitch_uuid), uuid) != 0) {
		return refused(x, "switch \"%.60s\" has no port group \"%.60s\"",
			       uuid == NULL ? "" : uuid, key == NULL ? "" : key);
	}
	if (portgroup_is_uplink(pg)) {
		return refused(x, "the ports of \"%s\" are for uplinks of hosts", place_name(pg));
	}
	if (dvs_member_of(object_get(dvs, P_DistributedVirtualSwitch_config, x->call->arena),
			  x->host) == NULL) {
		return refused(x, "host \"%s\" is not a member of switch \"%s\"",
			       place_name(x->host), place_name(dvs));
	}
	return call_require(x->call, pg, "Network.Assign") ? pg : NULL;
}

/* The change with port and cookie named; NULL: the call is over. */
static const struct value *join_one(const struct joining *x, const struct value *change)
{
	struct arena *a = x->call->arena;
	struct center *c = x->join->center;
	const struct value *given = connection_of(change);
	const struct value *device = value_get_value(change, F_VirtualDeviceConfigSpec_device);
	const char *wanted = value_get_str(given, F_DistributedVirtualSwitchPortConnection_portKey);
	bool is_edit = value_get_num(change, F_VirtualDeviceConfigSpec_operation,
				     E_VirtualDeviceConfigSpecOperation_edit) ==
		       E_VirtualDeviceConfigSpecOperation_edit;
	struct refusal r = { 0 };

	struct object *pg = group_of(x, given);
	if (pg == NULL) {
		return NULL;
	}
	/* A card that is new has no port, whatever it is called. */
	struct dvs_port_wish wish = {
		.portgroup = pg,
		.key = wanted != NULL && wanted[0] != '\0' ? wanted : NULL,
		.vm = is_edit ? x->vm : NULL,
		.nic = (int32_t)value_get_num(device, F_VirtualDevice_key, -1),
	};
	struct dvs_port *port = dvs_port_allot(c, a, &wish, &r);
	if (port == NULL) {
		refusal_to_call(x->call, &r);
		return NULL;
	}
	vec_push(&x->join->keys, port->key);
	struct value *connection = value_edit(a, given), *out = value_edit(a, change);
	struct value *d = value_edit(a, device);
	struct value *b = value_edit(a, value_get_value(device, F_VirtualDevice_backing));
	value_set_strf(a, connection, F_DistributedVirtualSwitchPortConnection_portKey, "%" PRId64,
		       port->key);
	value_set_num(a, connection, F_DistributedVirtualSwitchPortConnection_connectionCookie,
		      port->cookie);
	value_set(a, b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port, connection);
	value_set(a, d, F_VirtualDevice_backing, b);
	value_set(a, out, F_VirtualDeviceConfigSpec_device, d);
	return out;
}

/* ---- all of them ---- */

struct dvs_join *dvs_join_begin(struct call *c, struct member *m, struct object *vm,
				const struct value **spec)
{
	struct dvs_join *j = mem_zalloc(sizeof(*j));
	const struct value *changes =
		value_get_value(*spec, F_VirtualMachineConfigSpec_deviceChange);
	struct value *list = value_new_array(c->arena, T_VirtualDeviceConfigSpec);
	struct joining x = { .join = j, .call = c, .host = member_system(m), .vm = vm };

	j->center = m->center;
	j->host = value_hold(member_system(m)->ref);
	j->vm = vm == NULL ? NULL : value_hold(vm->ref);
	for (size_t i = 0; i < value_count(changes); i++) {
		const struct value *change = value_item(changes, i);
		x.index = (int)i;
		if (connection_of(change) != NULL) {
			change = join_one(&x, change);
		}
		if (change == NULL) {
			dvs_join_end(j);
			return NULL;
		}
		value_push(c->arena, list, change);
	}
	struct value *edit = value_edit(c->arena, *spec);
	value_set(c->arena, edit, F_VirtualMachineConfigSpec_deviceChange, list);
	*spec = edit;
	return j;
}

void dvs_join_end(struct dvs_join *j)
{
	if (j == NULL) {
		return;
	}
	vec_each (&j->keys, it) {
		dvs_port_release(j->center, *it);
	}
	vec_free(&j->keys);
	value_drop(j->vm);
	value_drop(j->host);
	free(j);
}

/* ---- when the host is ready ---- */

static struct mirror *mirror_now(const struct dvs_join *j, const struct value **self)
{
	struct inventory *inv = j->center->inventory;
	struct object *host = inventory_find_ref(inv, j->host);
	struct member *m = host == NULL ? NULL : member_of_host(host);

	if (m == NULL) {
		return NULL;
	}
	if (j->vm == NULL) {
		*self = m->mirror.folders[0];
		return *self == NULL ? NULL : &m->mirror;
	}
	struct object *vm = inventory_find_ref(inv, j->vm);
	struct mirrored *of = vm == NULL ? NULL : mirrored_of(vm);
	if (of == NULL) {
		return NULL;
	}
	struct mirror_source *s = mirrored_source(of);
	*self = s->remote;
	return s->mirror;
}

static void on_ready(void *arg, const struct error *e)
{
	struct dvs_join *j = arg;
	struct forward *f = j->forward;
	struct call *c = j->call;
	const struct value *self = NULL;
	struct mirror *mirror = mirror_now(j, &self);

	if (e != NULL || mirror == NULL) {
		const struct value *ref = j->vm != NULL ? j->vm : j->host;
		if (e != NULL) {
			call_error(c, e);
		} else {
			call_fault(c, fault_not_found(c->arena, ref),
				   "\"%s\" does not exist any more", value_bytes(ref));
		}
		f->end(f);
		return;
	}
	f->mirror = mirror;
	f->self = self;
	forward_call(f, c);
}

void dvs_join_forward(struct dvs_join *j, struct forward *f, struct call *c)
{
	struct object *host = inventory_find_ref(j->center->inventory, j->host);

	j->forward = f;
	j->call = c;
	dvs_policy_wait(member_of_host(host), on_ready, j);
}

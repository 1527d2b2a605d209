/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_fetch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/number.h"
#include "center/dvs_config.h"
#include "center/dvs_member.h"
#include "center/dvs_port.h"
#include "center/dvs_setting.h"
#include "center/member.h"
#include "center/node_policy.h"
#include "center/place.h"
#include "center/portgroup.h"
#include "vim/fault.h"

/* What one host said. */
struct fetch_host {
	struct fetch *of;
	char id[CENTER_ID_MAX];
	struct json_object *answer; /* NULL: nothing, yet or at all */
	struct map ports;	    /* name → its object in the answer, borrowed */
};

/* One call that waits for hosts. */
struct fetch {
	struct center *c;
	struct call *call;
	const struct value *dvs; /* kept reference */
	const struct value *criteria;
	uint16_t type;	  /* T_DistributedVirtualPort, T_string, or T_none for nothing but asking */
	struct map hosts; /* id → struct fetch_host */
	unsigned n_waiting;
};

/* ---- one port ---- */

/* What is known of it without the plane. */
struct port_facts {
	const char *key;
	struct object *dvs, *pg;
	struct object *host;	   /* NULL: nobody's */
	const char *name;	   /* of an uplink's port; "" else */
	const char *device;	   /* adapter of an uplink's port, or NULL */
	const struct dvs_port *at; /* of a card, or NULL */
	char plane[64];		   /* its name in the plane; "": none */
	const char *mac;	   /* or NULL */
};

static struct object *host_of_vm(struct object *vm, struct arena *a)
{
	const struct member *m = mirrored_member(vm);

	if (m != NULL) {
		return member_system(m);
	}
	const struct value *runtime = object_get(vm, P_VirtualMachine_runtime, a);
	const struct value *ref =
		runtime == NULL ? NULL : value_get_value(runtime, F_VirtualMachineRuntimeInfo_host);
	return ref == NULL ? NULL : inventory_find_ref(vm->inventory, ref);
}

static void facts_of_card(struct port_facts *x, struct arena *a)
{
	const struct value *config = object_get(x->at->vm, P_VirtualMachine_config, a);
	const struct value *hardware =
		config == NULL ? NULL
			       : value_get_value(config, F_VirtualMachineConfigInfo_hardware);
	const struct value *devices =
		hardware == NULL ? NULL : value_get_value(hardware, F_VirtualHardware_device);
	const char *uuid = value_get_str(config, F_VirtualMachineConfigInfo_instanceUuid);

	x->host = host_of_vm(x->at->vm, a);
	if (uuid != NULL) {
		snprintf(x->plane, sizeof(x->plane), "%s.%" PRId32, uuid, x->at->nic);
	}
	for (size_t i = 0; i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		if (value_is_a(d, T_VirtualEthernetCard) &&
		    value_get_num(d, F_VirtualDevice_key, -1) == x->at->nic) {
			x->mac = value_get_str(d, F_VirtualEthernetCard_macAddress);
		}
	}
}

static size_t text_at(const struct value *list, const char *text)
{
	for (size_t i = 0; i < value_count(list); i++) {
		if (strcmp(value_bytes(value_item(list, i)), text) == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

static void facts_of_uplink(struct port_facts *x, struct arena *a)
{
	const struct value *config = object_get(x->dvs, P_DistributedVirtualSwitch_config, a);
	const struct value *list = value_get_value(config, F_DVSConfigInfo_host);

	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *member = value_item(list, i);
		const struct value *its =
			value_get_value(member, F_DistributedVirtualSwitchHostMember_config);
		const struct value *pnics = dvs_member_pnics(member);
		size_t at = text_at(
			value_get_value(member, F_DistributedVirtualSwitchHostMember_uplinkPortKey),
			x->key);
		if (at == SIZE_MAX || at >= value_count(dvs_uplink_names(config))) {
			continue;
		}
		x->name = value_bytes(value_item(dvs_uplink_names(config), at));
		x->host = inventory_find_ref(
			x->dvs->inventory,
			value_get_value(its, F_DistributedVirtualSwitchHostMemberConfigInfo_host));
		for (size_t j = 0; j < value_count(pnics); j++) {
			const char *key = value_get_str(
				value_item(pnics, j),
				F_DistributedVirtualSwitchHostMemberPnicSpec_uplinkPortKey);
			if (key != NULL && strcmp(key, x->key) == 0) {
				x->device = value_get_str(
					value_item(pnics, j),
					F_DistributedVirtualSwitchHostMemberPnicSpec_pnicDevice);
				snprintf(x->plane, sizeof(x->plane), "%s", x->device);
			}
		}
		return;
	}
}

static void facts_of(struct port_facts *x, struct center *c, struct object *dvs, struct object *pg,
		     const char *key, struct arena *a)
{
	*x = (struct port_facts){ .key = key, .dvs = dvs, .pg = pg, .name = "" };
	if (portgroup_is_uplink(pg)) {
		facts_of_uplink(x, a);
		return;
	}
	const struct dvs_port *port = dvs_port_find(c, key);
	if (port != NULL && port->vm != NULL) {
		x->at = port;
		facts_of_card(x, a);
	}
}

/* ---- its value ---- */

static int64_t figure(const struct json_at *at, const char *name)
{
	int64_t n;

	return json_has(at, name) && json_get_i64(at, name, &n, NULL) && n >= 0 ? n : 0;
}

static struct value *stats_value(struct arena *a, const struct json_at *at)
{
	static const unsigned all[] = {
		F_DistributedVirtualSwitchPortStatistics_packetsInMulticast,
		F_DistributedVirtualSwitchPortStatistics_packetsOutMulticast,
		F_DistributedVirtualSwitchPortStatistics_bytesInMulticast,
		F_DistributedVirtualSwitchPortStatistics_bytesOutMulticast,
		F_DistributedVirtualSwitchPortStatistics_packetsInBroadcast,
		F_DistributedVirtualSwitchPortStatistics_packetsOutBroadcast,
		F_DistributedVirtualSwitchPortStatistics_bytesInBroadcast,
		F_DistributedVirtualSwitchPortStatistics_bytesOutBroadcast,
		F_DistributedVirtualSwitchPortStatistics_packetsInDropped,
		F_DistributedVirtualSwitchPortStatistics_packetsInException,
		F_DistributedVirtualSwitchPortStatistics_packetsOutException,
	};
	struct value *v = value_new(a, T_DistributedVirtualSwitchPortStatistics);

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		value_set_num(a, v, all[i], 0);
	}
	value_set_num(a, v, F_DistributedVirtualSwitchPortStatistics_packetsInUnicast,
		      figure(at, "rx_packets"));
	value_set_num(a, v, F_DistributedVirtualSwitchPortStatistics_bytesInUnicast,
		      figure(at, "rx_bytes"));
	value_set_num(a, v, F_DistributedVirtualSwitchPortStatistics_packetsOutUnicast,
		      figure(at, "tx_packets"));
	value_set_num(a, v, F_DistributedVirtualSwitchPortStatistics_bytesOutUnicast,
		      figure(at, "tx_bytes"));
	value_set_num(a, v, F_DistributedVirtualSwitchPortStatistics_packetsOutDropped,
		      figure(at, "drops"));
	return v;
}

static void vlans_show(struct arena *a, struct value *status, const struct value *setting)
{
	const struct value *vlan = value_is_a(setting, T_VMwareDVSPortSetting)
					   ? value_get_value(setting, F_VMwareDVSPortSetting_vlan)
					   : NULL;
	bool is_trunk = value_is_a(vlan, T_VmwareDistributedVirtualSwitchTrunkVlanSpec);
	struct value *ranges = value_new_array(a, T_NumericRange);

	value_set_bool(a, status, F_DVPortStatus_trunkingMode, is_trunk);
	if (is_trunk) {
		value_set(a, status, F_DVPortStatus_vlanIds,
			  value_get_value(vlan,
					  F_VmwareDistributedVirtualSwitchTrunkVlanSpec_vlanId));
		return;
	}
	int64_t id = value_get_num(vlan, F_VmwareDistributedVirtualSwitchVlanIdSpec_vlanId, 0);
	struct value *range = value_new(a, T_NumericRange);
	value_set_num(a, range, F_NumericRange_start, id);
	value_set_num(a, range, F_NumericRange_end, id);
	value_push(a, ranges, range);
	value_set(a, status, F_DVPortStatus_vlanIds, ranges);
}

static bool json_flag(const struct json_at *at, const char *name)
{
	bool b;

	return json_has(at, name) && json_get_bool(at, name, &b, NULL) && b;
}

/* What the plane says of it. */
static struct value *state_value(struct arena *a, const struct port_facts *x,
				 struct json_object *said, const struct value *setting)
{
	const struct json_at at = json_root(said);
	const struct value *config = object_get(x->dvs, P_DistributedVirtualSwitch_config, a);
	struct value *v = value_new(a, T_DVPortState), *status = value_new(a, T_DVPortStatus);

	value_set_bool(a, status, F_DVPortStatus_linkUp, json_flag(&at, "up"));
	value_set_bool(a, status, F_DVPortStatus_blocked,
		       setting_bool(setting, F_DVPortSetting_blocked));
	vlans_show(a, status, setting);
	if (value_is_a(config, T_VMwareDVSConfigInfo)) {
		value_set_num(a, status, F_DVPortStatus_mtu,
			      value_get_num(config, F_VMwareDVSConfigInfo_maxMtu, 1500));
	}
	if (x->at != NULL) {
		value_set_strf(a, status, F_DVPortStatus_linkPeer, "%s.eth%" PRId32,
			       place_name(x->at->vm), MAX(x->at->nic - 4000, 0));
		value_set_str(a, status, F_DVPortStatus_macAddress, x->mac);
	} else {
		value_set_str(a, status, F_DVPortStatus_linkPeer, x->device);
	}
	value_set(a, v, F_DVPortState_runtimeInfo, status);
	value_set(a, v, F_DVPortState_stats, stats_value(a, &at));
	return v;
}

static struct value *connectee_value(struct arena *a, const struct port_facts *x)
{
	struct value *v = value_new(a, T_DistributedVirtualSwitchPortConnectee);

	if (x->at != NULL) {
		value_set(a, v, F_DistributedVirtualSwitchPortConnectee_connectedEntity,
			  x->at->vm->ref);
		value_set_strf(a, v, F_DistributedVirtualSwitchPortConnectee_nicKey, "%" PRId32,
			       x->at->nic);
		value_set_str(a, v, F_DistributedVirtualSwitchPortConnectee_type, "vmVnic");
		value_set_str(a, v, F_DistributedVirtualSwitchPortConnectee_addressHint, x->mac);
	} else {
		value_set(a, v, F_DistributedVirtualSwitchPortConnectee_connectedEntity,
			  x->host->ref);
		value_set_str(a, v, F_DistributedVirtualSwitchPortConnectee_nicKey, x->device);
		value_set_str(a, v, F_DistributedVirtualSwitchPortConnectee_type, "pnic");
	}
	return v;
}

static struct value *port_value(struct arena *a, const struct port_facts *x,
				struct json_object *said)
{
	struct value *v = value_new(a, T_DistributedVirtualPort);
	struct value *config = value_new(a, T_DVPortConfigInfo);
	const struct value *group = object_get(x->pg, P_DistributedVirtualPortgroup_config, a);
	const struct value *dvs = object_get(x->dvs, P_DistributedVirtualSwitch_config, a);
	const struct value *setting =
		value_get_value(group, F_DVPortgroupConfigInfo_defaultPortConfig);

	value_set_str(a, config, F_DVPortConfigInfo_name, x->name);
	value_set_str(a, config, F_DVPortConfigInfo_configVersion, "0");
	value_set(a, config, F_DVPortConfigInfo_setting, setting);
	value_set_str(a, v, F_DistributedVirtualPort_key, x->key);
	value_set(a, v, F_DistributedVirtualPort_config, config);
	value_set_str(a, v, F_DistributedVirtualPort_dvsUuid,
		      object_get_str(x->dvs, P_DistributedVirtualSwitch_uuid));
	value_set_str(a, v, F_DistributedVirtualPort_portgroupKey, object_id(x->pg));
	value_set_bool(a, v, F_DistributedVirtualPort_conflict, false);
	value_set_num(a, v, F_DistributedVirtualPort_lastStatusChange,
		      x->at != NULL ? x->at->since_us
				    : value_get_num(dvs, F_DVSConfigInfo_createTime, 0));
	if (x->host != NULL) {
		value_set(a, v, F_DistributedVirtualPort_proxyHost, x->host->ref);
	}
	if (x->at != NULL || (x->device != NULL && x->host != NULL)) {
		value_set(a, v, F_DistributedVirtualPort_connectee, connectee_value(a, x));
	}
	if (x->at != NULL) {
		value_set_num(a, v, F_DistributedVirtualPort_connectionCookie, x->at->cookie);
	}
	if (said != NULL) {
		value_set(a, v, F_DistributedVirtualPort_state, state_value(a, x, said, setting));
	}
	return v;
}

/* ---- which ports ---- */

static bool has_ref(const struct value *list, const struct object *o)
{
	for (size_t i = 0; o != NULL && i < value_count(list); i++) {
		if (value_equal(value_item(list, i), o->ref)) {
			return true;
		}
	}
	return false;
}

static bool group_is_asked(const struct value *criteria, struct object *pg)
{
	const struct value *groups =
		value_get_value(criteria, F_DistributedVirtualSwitchPortCriteria_portgroupKey);
	bool is_uplink = portgroup_is_uplink(pg);

	if (criteria == NULL) {
		return true;
	}
	if (value_get_bool(criteria, F_DistributedVirtualSwitchPortCriteria_uplinkPort,
			   is_uplink) != is_uplink ||
	    value_get_bool(criteria, F_DistributedVirtualSwitchPortCriteria_nsxPort, false)) {
		return false;
	}
	return groups == NULL ||
	       (text_at(groups, object_id(pg)) != SIZE_MAX) ==
		       value_get_bool(criteria, F_DistributedVirtualSwitchPortCriteria_inside,
				      true);
}

static bool port_is_asked(const struct value *criteria, const struct port_facts *x,
			  struct json_object *said)
{
	bool is_connected = x->at != NULL || x->device != NULL;
	const struct json_at at = json_root(said);
	bool is_active = said != NULL && json_flag(&at, "up");

	if (criteria == NULL) {
		return true;
	}
	const struct value *keys =
		value_get_value(criteria, F_DistributedVirtualSwitchPortCriteria_portKey);
	const struct value *hosts =
		value_get_value(criteria, F_DistributedVirtualSwitchPortCriteria_host);
	return (keys == NULL || text_at(keys, x->key) != SIZE_MAX) &&
	       (hosts == NULL || has_ref(hosts, x->host)) &&
	       value_get_bool(criteria, F_DistributedVirtualSwitchPortCriteria_connected,
			      is_connected) == is_connected &&
	       value_get_bool(criteria, F_DistributedVirtualSwitchPortCriteria_active, is_active) ==
		       is_active;
}

typedef void port_fn(struct fetch *f, const struct port_facts *x, void *arg);

static void each_port(struct fetch *f, struct object *dvs, port_fn *fn, void *arg)
{
	struct arena *a = f->call->arena;

	for (size_t i = 0; i < place_count(dvs, P_DistributedVirtualSwitch_portgroup); i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		if (pg == NULL || !group_is_asked(f->criteria, pg)) {
			continue;
		}
		const struct value *keys =
			object_get(pg, P_DistributedVirtualPortgroup_portKeys, a);
		for (size_t j = 0; j < value_count(keys); j++) {
			struct port_facts x;
			facts_of(&x, f->c, dvs, pg, value_bytes(value_item(keys, j)), a);
			fn(f, &x, arg);
		}
	}
}

/* ---- hosts ---- */

static struct json_object *said_of(const struct fetch *f, const struct port_facts *x)
{
	const struct fetch_host *h =
		x->host == NULL ? NULL : map_get(&f->hosts, object_id(x->host));

	return h == NULL || x->plane[0] == '\0' ? NULL : map_get(&h->ports, x->plane);
}

static void note_host(struct fetch *f, const struct port_facts *x, void *arg)
{
	(void)arg;
	const struct member *m =
		x->host == NULL || x->plane[0] == '\0' ? NULL : member_of_host(x->host);

	if (m == NULL || m->state != MEMBER_CONNECTED ||
	    map_get(&f->hosts, object_id(x->host)) != NULL) {
		return;
	}
	struct fetch_host *h = mem_zalloc(sizeof(*h));
	h->of = f;
	snprintf(h->id, sizeof(h->id), "%s", object_id(x->host));
	map_set(&f->hosts, h->id, h);
}

static void host_free(void *p)
{
	struct fetch_host *h = p;

	map_free(&h->ports);
	json_object_put(h->answer);
	free(h);
}

static void take_answer(struct fetch_host *h, struct json_object *answer)
{
	const struct json_at root = json_root(answer);
	struct json_at ports;

	h->answer = json_object_get(answer);
	if (!json_get_array(&root, "ports", &ports, NULL)) {
		return;
	}
	for (size_t i = 0; i < json_array_n(&ports); i++) {
		struct json_at port = json_item(&ports, i);
		const char *name;
		if (json_get_str(&port, "port", &name, NULL)) {
			map_set(&h->ports, name, port.value);
		}
	}
}

/* ---- the answer ---- */

static void add_port(struct fetch *f, const struct port_facts *x, void *arg)
{
	struct value *out = arg;
	struct json_object *said = said_of(f, x);

	if (!port_is_asked(f->criteria, x, said)) {
		return;
	}
	if (f->type == T_string) {
		value_push_str(f->call->arena, out, x->key);
	} else {
		value_push(f->call->arena, out, port_value(f->call->arena, x, said));
	}
}

static void fetch_end(struct fetch *f)
{
	struct call *call = f->call;
	struct object *dvs = inventory_find_ref(f->c->inventory, f->dvs);

	if (dvs == NULL) {
		call_fault(call, fault_not_found(call->arena, f->dvs),
			   "\"%s\" does not exist any more", value_bytes(f->dvs));
	} else if (f->type == T_none) {
		call_return(call, NULL);
	} else {
		struct value *out = value_new_array(call->arena, f->type);
		each_port(f, dvs, add_port, out);
		call_return(call, value_count(out) == 0 ? NULL : out);
	}
	map_free_values(&f->hosts, host_free);
	value_drop(f->dvs);
	free(f);
}

static void on_answer(void *arg, struct json_object *answer, const struct error *e)
{
	struct fetch_host *h = arg;
	struct fetch *f = h->of;

	if (e == NULL && answer != NULL) {
		take_answer(h, answer);
	}
	if (--f->n_waiting == 0) {
		fetch_end(f);
	}
}

/* criteria: in the call's arguments, or NULL. */
static void fetch_begin(struct call *call, const struct value *criteria, uint16_t type)
{
	struct fetch *f = mem_zalloc(sizeof(*f));
	bool wants_state = type != T_string ||
			   value_has(criteria, F_DistributedVirtualSwitchPortCriteria_active);

	f->c = call_arg(call);
	f->call = call;
	f->dvs = value_hold(call->self->ref);
	f->criteria = criteria;
	f->type = type;
	f->n_waiting = 1;
	if (wants_state) {
		each_port(f, call->self, note_host, NULL);
	}
	map_each (&f->hosts, it) {
		struct fetch_host *h = it->value;
		struct member *m = member_by_id(f->c->hosts, h->id);
		f->n_waiting++;
		node_policy_ask(m, on_answer, h);
	}
	if (--f->n_waiting == 0) {
		fetch_end(f);
	}
}

static void fetch_ports(struct call *call)
{
	fetch_begin(call,
		    value_get_value(call->args, A_DistributedVirtualSwitch_FetchDVPorts_criteria),
		    T_DistributedVirtualPort);
}

static void fetch_keys(struct call *call)
{
	fetch_begin(
		call,
		value_get_value(call->args, A_DistributedVirtualSwitch_FetchDVPortKeys_criteria),
		T_string);
}

static bool has_port(struct object *dvs, const char *key, struct arena *a)
{
	for (size_t i = 0; i < place_count(dvs, P_DistributedVirtualSwitch_portgroup); i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		if (pg != NULL && text_at(object_get(pg, P_DistributedVirtualPortgroup_portKeys, a),
					  key) != SIZE_MAX) {
			return true;
		}
	}
	return false;
}

/* State is asked of the hosts whenever it is fetched; here they are asked, and it is known. */
static void refresh_state(struct call *call)
{
	const struct value *keys =
		value_get_value(call->args, A_DistributedVirtualSwitch_RefreshDVPortState_portKeys);

	for (size_t i = 0; i < value_count(keys); i++) {
		const char *key = value_bytes(value_item(keys, i));
		if (!has_port(call->self, key, call->arena)) {
			call_fault(call, fault_new(call->arena, T_NotFound),
				   "switch \"%s\" has no port \"%.40s\"", place_name(call->self),
				   key);
			return;
		}
	}
	fetch_begin(call, NULL, T_none);
}

void dvs_fetch_register(struct center *c)
{
	static const struct {
		uint16_t method;
		call_fn *fn;
	} methods[] = {
		{ M_DistributedVirtualSwitch_FetchDVPorts, fetch_ports },
		{ M_DistributedVirtualSwitch_FetchDVPortKeys, fetch_keys },
		{ M_DistributedVirtualSwitch_RefreshDVPortState, refresh_state },
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(c->api->service, T_DistributedVirtualSwitch, methods[i].method,
			       methods[i].fn, c);
	}
}

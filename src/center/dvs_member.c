/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_member.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/random.h"
#include "center/dvs_config.h"
#include "center/dvs_policy.h"
#include "center/member.h"
#include "center/place.h"
#include "center/portgroup.h"
#include "vim/fault.h"

/* ---- reading ---- */

static const struct value *list_of(const struct value *config)
{
	return value_get_value(config, F_DVSConfigInfo_host);
}

static const struct value *config_of(const struct value *member)
{
	return value_get_value(member, F_DistributedVirtualSwitchHostMember_config);
}

static const struct value *host_of(const struct value *member)
{
	return value_get_value(config_of(member),
			       F_DistributedVirtualSwitchHostMemberConfigInfo_host);
}

const struct value *dvs_member_pnics(const struct value *member)
{
	const struct value *backing = value_get_value(
		config_of(member), F_DistributedVirtualSwitchHostMemberConfigInfo_backing);

	return value_is_a(backing, T_DistributedVirtualSwitchHostMemberPnicBacking)
		       ? value_get_value(backing,
					 F_DistributedVirtualSwitchHostMemberPnicBacking_pnicSpec)
		       : NULL;
}

static size_t index_of(const struct value *list, const struct object *host)
{
	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *ref = host_of(value_item(list, i));
		if (ref != NULL && value_equal(ref, host->ref)) {
			return i;
		}
	}
	return SIZE_MAX;
}

const struct value *dvs_member_of(const struct value *config, const struct object *host)
{
	size_t at = index_of(list_of(config), host);

	return at == SIZE_MAX ? NULL : value_item(list_of(config), at);
}

struct value *dvs_members_hosts(struct arena *a, const struct value *config)
{
	struct value *hosts = value_new_array(a, T_HostSystem);
	const struct value *list = list_of(config);

	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *ref = host_of(value_item(list, i));
		if (ref != NULL) {
			value_push(a, hosts, ref);
		}
	}
	return hosts;
}

static struct value *without(struct arena *a, const struct value *list, size_t at)
{
	struct value *v = value_new_array(a, T_DistributedVirtualSwitchHostMember);

	for (size_t i = 0; i < value_count(list); i++) {
		if (i != at) {
			value_push(a, v, value_item(list, i));
		}
	}
	return v;
}

struct value *dvs_members_without(struct arena *a, const struct value *config,
				  const struct object *host)
{
	struct value *v = value_edit(a, config);

	value_set(a, v, F_DVSConfigInfo_host,
		  without(a, list_of(config), index_of(list_of(config), host)));
	return v;
}

/* ---- adapters of a host ---- */

static const struct value *network_of(struct object *host, struct arena *a)
{
	const struct value *config = object_get(host, P_HostSystem_config, a);

	return config == NULL ? NULL : value_get_value(config, F_HostConfigInfo_network);
}

const struct value *dvs_host_pnic(struct object *host, const char *device, struct arena *a)
{
	const struct value *network = network_of(host, a);
	const struct value *list =
		network == NULL ? NULL : value_get_value(network, F_HostNetworkInfo_pnic);

	for (size_t i = 0; i < value_count(list); i++) {
		const char *name = value_get_str(value_item(list, i), F_PhysicalNic_device);
		if (name != NULL && strcmp(name, device) == 0) {
			return value_item(list, i);
		}
	}
	return NULL;
}

/* A card that lends nothing yet shows as an adapter of that driver, which carries no traffic. */
bool dvs_pnic_is_offloaded(const struct value *pnic)
{
	const char *dpu = pnic == NULL ? NULL : value_get_str(pnic, F_PhysicalNic_dpuId);
	const char *driver = pnic == NULL ? NULL : value_get_str(pnic, F_PhysicalNic_driver);

	return dpu != NULL && dpu[0] != '\0' &&
	       (driver == NULL || strcmp(driver, "remora-link") != 0);
}

/* The host's standard switch that has the adapter, or NULL. */
static const char *standard_switch_of(struct object *host, const char *device, struct arena *a)
{
	const struct value *network = network_of(host, a);
	const struct value *list =
		network == NULL ? NULL : value_get_value(network, F_HostNetworkInfo_vswitch);

	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *pnics =
			value_get_value(value_item(list, i), F_HostVirtualSwitch_pnic);
		for (size_t j = 0; j < value_count(pnics); j++) {
			const char *key = value_bytes(value_item(pnics, j));
			const char *dash = strrchr(key, '-');
			if (strcmp(dash == NULL ? key : dash + 1, device) == 0) {
				return value_get_str(value_item(list, i), F_HostVirtualSwitch_name);
			}
		}
	}
	return NULL;
}

static bool has_pnic(const struct value *pnics, const char *device, size_t before)
{
	for (size_t i = 0; i < value_count(pnics) && i < before; i++) {
		if (strcmp(value_get_str(value_item(pnics, i),
					 F_DistributedVirtualSwitchHostMemberPnicSpec_pnicDevice),
			   device) == 0) {
			return true;
		}
	}
	return false;
}

/* Another distributed switch that has the adapter, or NULL; and how many have the host. */
static struct object *distributed_switch_of(struct center *c, const struct object *dvs,
					    struct object *host, const char *device, size_t *n)
{
	struct object *found = NULL;

	*n = 0;
	vec_each (&c->switches, it) {
		struct object *o = *it;
		if (o == dvs) {
			continue;
		}
		const struct value *member =
			dvs_member_of(object_get(o, P_DistributedVirtualSwitch_config, NULL), host);
		*n += member != NULL;
		if (member != NULL && device != NULL &&
		    has_pnic(dvs_member_pnics(member), device, SIZE_MAX)) {
			found = o;
		}
	}
	return found;
}

const char *dvs_pnic_user(struct center *c, const struct object *dvs, struct object *host,
			  const char *device, struct arena *a)
{
	const char *standard = standard_switch_of(host, device, a);
	size_t n;

	if (standard != NULL) {
		return standard;
	}
	struct object *other = distributed_switch_of(c, dvs, host, device, &n);
	return other == NULL ? NULL : place_name(other);
}

static bool pnic_in_use(const struct member_change *x, struct object *host, const char *device,
			const char *by)
{
	struct value *fault = fault_new(x->a, T_ResourceInUse);

	value_set_str(x->a, fault, F_ResourceInUse_type, "PhysicalNic");
	value_set_str(x->a, fault, F_ResourceInUse_name, device);
	return refuse(x->r, fault, "adapter \"%s\" of host \"%s\" is used by switch \"%s\"", device,
		      place_name(host), by);
}

static bool pnic_check(const struct member_change *x, struct object *host,
		       const struct value *pnics, size_t i, bool is_offload)
{
	const char *device = value_get_str(value_item(pnics, i),
					   F_DistributedVirtualSwitchHostMemberPnicSpec_pnicDevice);
	const struct value *pnic = dvs_host_pnic(host, device, x->a);

	if (pnic == NULL) {
		return refuse(x->r, fault_invalid_argument(x->a, "spec.host.backing.pnicSpec"),
			      "host \"%s\" has no adapter \"%.40s\"", place_name(host), device);
	}
	if (has_pnic(pnics, device, i)) {
		return refuse(x->r, fault_invalid_argument(x->a, "spec.host.backing.pnicSpec"),
			      "adapter \"%s\" of host \"%s\" is named twice", device,
			      place_name(host));
	}
	const char *user = dvs_pnic_user(x->c, x->dvs, host, device, x->a);
	if (user != NULL) {
		return pnic_in_use(x, host, device, user);
	}
	return !is_offload || dvs_pnic_is_offloaded(pnic) ||
	       refuse(x->r, fault_invalid_argument(x->a, "spec.host.backing.pnicSpec"),
		      "adapter \"%s\" of host \"%s\" is not lent by a card, which the offload of "
		      "switch \"%s\" needs",
		      device, place_name(host), x->name);
}

static bool backing_check(const struct member_change *x, const struct value *config,
			  struct object *host, const struct value *backing)
{
	const struct value *pnics;
	size_t n_uplinks = value_count(dvs_uplink_names(config));
	bool is_offload = dvs_is_offload(
		value_is_a(config, T_VMwareDVSConfigInfo)
			? value_get_str(config, F_VMwareDVSConfigInfo_networkOffloadSpecId)
			: NULL);

	if (backing == NULL) {
		return true;
	}
	if (!value_is_a(backing, T_DistributedVirtualSwitchHostMemberPnicBacking)) {
		return refuse(x->r, fault_new(x->a, T_NotSupported),
			      "host \"%s\" takes part by its adapters only", place_name(host));
	}
	pnics = value_get_value(backing, F_DistributedVirtualSwitchHostMemberPnicBacking_pnicSpec);
	if (value_count(pnics) > n_uplinks) {
		return refuse(x->r, fault_invalid_argument(x->a, "spec.host.backing.pnicSpec"),
			      "%zu adapters of host \"%s\", switch \"%s\" has %zu uplinks",
			      value_count(pnics), place_name(host), x->name, n_uplinks);
	}
	for (size_t i = 0; i < value_count(pnics); i++) {
		if (!pnic_check(x, host, pnics, i, is_offload)) {
			return false;
		}
	}
	return true;
}

/* ---- changes ---- */

static struct value *membership_new(struct arena *a, const struct object *host,
				    const struct value *product)
{
	struct value *v = value_new(a, T_DistributedVirtualSwitchHostMember);
	struct value *config = value_new(a, T_DistributedVirtualSwitchHostMemberConfigInfo);

	value_set(a, config, F_DistributedVirtualSwitchHostMemberConfigInfo_host, host->ref);
	value_set_num(a, config, F_DistributedVirtualSwitchHostMemberConfigInfo_maxProxySwitchPorts,
		      512);
	value_set(a, config, F_DistributedVirtualSwitchHostMemberConfigInfo_backing,
		  value_new(a, T_DistributedVirtualSwitchHostMemberPnicBacking));
	value_set(a, v, F_DistributedVirtualSwitchHostMember_config, config);
	value_set(a, v, F_DistributedVirtualSwitchHostMember_productInfo, product);
	value_set_str(a, v, F_DistributedVirtualSwitchHostMember_status, "pending");
	return v;
}

/* The member as the specification has it; what it leaves out stays. */
static struct value *membership_edit(struct arena *a, const struct value *member,
				     const struct value *spec)
{
	struct value *v = value_edit(a, member), *config = value_edit(a, config_of(member));
	const struct value *backing =
		value_get_value(spec, F_DistributedVirtualSwitchHostMemberConfigSpec_backing);
	int64_t n = value_get_num(
		spec, F_DistributedVirtualSwitchHostMemberConfigSpec_maxProxySwitchPorts, 0);

	value_set(
		a, config, F_DistributedVirtualSwitchHostMemberConfigInfo_backing,
		backing != NULL
			? backing
			: value_get_value(config,
					  F_DistributedVirtualSwitchHostMemberConfigInfo_backing));
	if (n > 0) {
		value_set_num(a, config,
			      F_DistributedVirtualSwitchHostMemberConfigInfo_maxProxySwitchPorts,
			      n);
	}
	value_set(a, v, F_DistributedVirtualSwitchHostMember_config, config);
	return v;
}

/* A VM of the host that is connected to the switch, or NULL. */
static struct object *vm_on(const struct member_change *x, struct object *host)
{
	const struct value *vms = object_get(host, P_HostSystem_vm, x->a);

	for (size_t i = 0; i < value_count(vms); i++) {
		struct object *vm = inventory_find_ref(x->c->inventory, value_item(vms, i));
		for (size_t j = 0; vm != NULL && j < place_count(vm, P_VirtualMachine_network);
		     j++) {
			struct object *pg = place_at(vm, P_VirtualMachine_network, j);
			if (pg != NULL && schema_is_a(pg->type, T_DistributedVirtualPortgroup) &&
			    portgroup_dvs(pg) == x->dvs) {
				return vm;
			}
		}
	}
	return NULL;
}

static bool remove_check(const struct member_change *x, struct object *host)
{
	struct object *vm = x->dvs == NULL ? NULL : vm_on(x, host);

	if (vm == NULL) {
		return true;
	}
	struct value *fault = fault_new(x->a, T_ResourceInUse);
	value_set_str(x->a, fault, F_ResourceInUse_type, "DistributedVirtualSwitch");
	value_set_str(x->a, fault, F_ResourceInUse_name, x->name);
	return refuse(x->r, fault, "VM \"%s\" of host \"%s\" is connected to switch \"%s\"",
		      place_name(vm), place_name(host), x->name);
}

static bool add_check(const struct member_change *x, struct object *host, size_t n_members,
		      bool is_there)
{
	size_t n;

	if (is_there) {
		return refuse(x->r, fault_new(x->a, T_AlreadyExists),
			      "host \"%s\" is a member of switch \"%s\" already", place_name(host),
			      x->name);
	}
	if (place_datacenter(host) != place_datacenter(x->folder)) {
		return refuse(x->r, fault_invalid_argument(x->a, "spec.host"),
			      "host \"%s\" is not in the datacenter of switch \"%s\"",
			      place_name(host), x->name);
	}
	distributed_switch_of(x->c, x->dvs, host, NULL, &n);
	if (n_members >= DVS_MEMBERS_MAX || n >= DVS_OF_HOST_MAX) {
		return refuse(x->r, fault_new(x->a, T_LimitExceeded),
			      "switch \"%s\" has %zu hosts and host \"%s\" %zu switches: at most "
			      "%d and %d",
			      x->name, n_members, place_name(host), n, DVS_MEMBERS_MAX,
			      DVS_OF_HOST_MAX);
	}
	return true;
}

/* One change of the list of members; NULL: refused. */
static const struct value *change_one(const struct member_change *x, const struct value *config,
				      const struct value *list, const struct value *spec)
{
	const char *op =
		value_get_str(spec, F_DistributedVirtualSwitchHostMemberConfigSpec_operation);
	const struct value *ref =
		value_get_value(spec, F_DistributedVirtualSwitchHostMemberConfigSpec_host);
	struct object *host = inventory_find_ref(x->c->inventory, ref);
	bool is_add = strcmp(op, "add") == 0, is_remove = strcmp(op, "remove") == 0;

	if (!is_add && !is_remove && strcmp(op, "edit") != 0) {
		refuse(x->r, fault_invalid_argument(x->a, "spec.host.operation"),
		       "\"%.40s\" is none of add, edit and remove", op);
		return NULL;
	}
	if (host == NULL || !schema_is_a(host->type, T_HostSystem)) {
		refuse(x->r, fault_not_found(x->a, ref), "host \"%s\" does not exist",
		       value_bytes(ref));
		return NULL;
	}
	size_t at = index_of(list, host);
	if (!is_add && at == SIZE_MAX) {
		refuse(x->r, fault_new(x->a, T_NotFound),
		       "host \"%s\" is no member of switch \"%s\"", place_name(host), x->name);
		return NULL;
	}
	if (x->session != NULL &&
	    !refusal_may(x->r, x->a, x->session, host, "Host.Config.Network")) {
		return NULL;
	}
	if (is_remove) {
		return remove_check(x, host) ? without(x->a, list, at) : NULL;
	}
	if ((is_add && !add_check(x, host, value_count(list), at != SIZE_MAX)) ||
	    !backing_check(x, config, host,
			   value_get_value(
				   spec, F_DistributedVirtualSwitchHostMemberConfigSpec_backing))) {
		return NULL;
	}
	const struct value *member =
		is_add ? membership_new(x->a, host,
					value_get_value(config, F_DVSConfigInfo_productInfo))
		       : value_item(list, at);
	struct value *v = without(x->a, list, at);
	value_push(x->a, v, membership_edit(x->a, member, spec));
	return v;
}

bool dvs_members_apply(const struct member_change *x, struct value *config,
		       const struct value *specs)
{
	const struct value *list = list_of(config);

	for (size_t i = 0; i < value_count(specs); i++) {
		list = change_one(x, config, list, value_item(specs, i));
		if (list == NULL) {
			return false;
		}
	}
	if (value_count(specs) > 0) {
		value_set(x->a, config, F_DVSConfigInfo_host, list);
	}
	return true;
}

void dvs_members_add(struct arena *a, struct value *config, struct object *const *hosts, size_t n)
{
	struct value *list = without(a, list_of(config), SIZE_MAX);

	for (size_t i = 0; i < n; i++) {
		value_push(a, list,
			   membership_new(a, hosts[i],
					  value_get_value(config, F_DVSConfigInfo_productInfo)));
	}
	value_set(a, config, F_DVSConfigInfo_host, list);
}

/* ---- which adapter has which uplink ---- */

/* The place of a member among the ports of the uplink port group; SIZE_MAX: it has none yet. */
static size_t slot_of(const struct value *member, int64_t first_key)
{
	const struct value *keys =
		value_get_value(member, F_DistributedVirtualSwitchHostMember_uplinkPortKey);
	int64_t n;

	if (value_count(keys) == 0 || !number_i64(value_bytes(value_item(keys, 0)), &n) ||
	    n < first_key) {
		return SIZE_MAX;
	}
	return (size_t)((n - first_key) / DVS_UPLINKS_MAX);
}

static size_t free_slot(const bool *taken)
{
	size_t i = 0;

	while (i < DVS_MEMBERS_MAX && taken[i]) {
		i++;
	}
	return i;
}

static size_t key_at(const struct value *keys, const char *key)
{
	for (size_t i = 0; i < value_count(keys); i++) {
		if (strcmp(value_bytes(value_item(keys, i)), key) == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

/* Uplinks that adapters ask for; false: one is not the host's, or asked for twice. */
static bool pnics_claim(struct arena *a, const struct value *pnics, const struct value *keys,
			const char *host, bool *taken, struct refusal *r)
{
	for (size_t i = 0; i < value_count(pnics); i++) {
		const char *key =
			value_get_str(value_item(pnics, i),
				      F_DistributedVirtualSwitchHostMemberPnicSpec_uplinkPortKey);
		size_t at = key == NULL || key[0] == '\0' ? SIZE_MAX : key_at(keys, key);
		if (at == SIZE_MAX && key != NULL && key[0] != '\0') {
			return refuse(r, fault_invalid_argument(a, "pnicSpec.uplinkPortKey"),
				      "\"%.40s\" is no uplink port of host \"%s\"", key, host);
		}
		if (at != SIZE_MAX && taken[at]) {
			return refuse(r, fault_invalid_argument(a, "pnicSpec.uplinkPortKey"),
				      "two adapters of host \"%s\" have uplink port \"%.40s\"",
				      host, key);
		}
		if (at != SIZE_MAX) {
			taken[at] = true;
		}
	}
	return true;
}

static struct value *pnic_place(struct arena *a, const struct value *given,
				const struct value *keys, const char *group, bool *taken)
{
	struct value *pnic = value_edit(a, given);
	const char *key =
		value_get_str(given, F_DistributedVirtualSwitchHostMemberPnicSpec_uplinkPortKey);
	size_t at = 0;

	if (key == NULL || key[0] == '\0') {
		while (at + 1 < value_count(keys) && taken[at]) {
			at++;
		}
		taken[at] = true;
		value_set(a, pnic, F_DistributedVirtualSwitchHostMemberPnicSpec_uplinkPortKey,
			  value_item(keys, at));
	}
	value_set_str(a, pnic, F_DistributedVirtualSwitchHostMemberPnicSpec_uplinkPortgroupKey,
		      group);
	if (!value_has(pnic, F_DistributedVirtualSwitchHostMemberPnicSpec_connectionCookie)) {
		value_set_num(a, pnic,
			      F_DistributedVirtualSwitchHostMemberPnicSpec_connectionCookie,
			      (int64_t)random_below(INT32_MAX - 1) + 1);
	}
	return pnic;
}

static bool member_place(struct arena *a, struct value *member, const struct value *keys,
			 const char *group, struct refusal *r)
{
	const struct value *pnics = dvs_member_pnics(member);
	struct value *config = value_edit(a, config_of(member));
	struct value *backing = value_new(a, T_DistributedVirtualSwitchHostMemberPnicBacking);
	struct value *placed = value_new_array(a, T_DistributedVirtualSwitchHostMemberPnicSpec);
	bool taken[DVS_UPLINKS_MAX] = { false };

	if (value_count(pnics) > value_count(keys)) {
		return refuse(r, fault_invalid_argument(a, "spec.uplinkPortPolicy"),
			      "host \"%s\" has %zu adapters for %zu uplinks",
			      value_bytes(host_of(member)), value_count(pnics), value_count(keys));
	}
	if (!pnics_claim(a, pnics, keys, value_bytes(host_of(member)), taken, r)) {
		return false;
	}
	for (size_t i = 0; i < value_count(pnics); i++) {
		value_push(a, placed, pnic_place(a, value_item(pnics, i), keys, group, taken));
	}
	if (value_count(placed) > 0) {
		value_set(a, backing, F_DistributedVirtualSwitchHostMemberPnicBacking_pnicSpec,
			  placed);
	}
	value_set(a, config, F_DistributedVirtualSwitchHostMemberConfigInfo_backing, backing);
	value_set(a, member, F_DistributedVirtualSwitchHostMember_config, config);
	value_set(a, member, F_DistributedVirtualSwitchHostMember_uplinkPortKey, keys);
	return true;
}

bool dvs_members_place(struct arena *a, struct value *config, const char *uplink_group,
		       int64_t first_key, struct refusal *r)
{
	const struct value *list = list_of(config);
	struct value *out = value_new_array(a, T_DistributedVirtualSwitchHostMember);
	size_t n_uplinks = value_count(dvs_uplink_names(config));
	bool taken[DVS_MEMBERS_MAX + 1] = { false };

	for (size_t i = 0; i < value_count(list); i++) {
		size_t slot = slot_of(value_item(list, i), first_key);
		if (slot < DVS_MEMBERS_MAX) {
			taken[slot] = true;
		}
	}
	for (size_t i = 0; i < value_count(list); i++) {
		struct value *member = value_edit(a, value_item(list, i));
		struct value *keys = value_new_array(a, T_string);
		size_t slot = slot_of(member, first_key);
		if (slot >= DVS_MEMBERS_MAX) {
			slot = free_slot(taken);
			taken[slot] = true;
		}
		for (size_t j = 0; j < n_uplinks; j++) {
			value_push_str(
				a, keys,
				arena_printf(a, "%" PRId64,
					     first_key + (int64_t)(slot * DVS_UPLINKS_MAX + j)));
		}
		if (!member_place(a, member, keys, uplink_group, r)) {
			return false;
		}
		value_push(a, out, member);
	}
	if (list != NULL) {
		value_set(a, config, F_DVSConfigInfo_host, out);
	}
	return true;
}

struct value *dvs_members_keys(struct arena *a, const struct value *config)
{
	const struct value *list = list_of(config);
	struct value *all = value_new_array(a, T_string);

	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *keys = value_get_value(
			value_item(list, i), F_DistributedVirtualSwitchHostMember_uplinkPortKey);
		for (size_t j = 0; j < value_count(keys); j++) {
			value_push(a, all, value_item(keys, j));
		}
	}
	return all;
}

/* ---- how they are ---- */

static const char *status_of(const struct member *m, const char **detail)
{
	*detail = "";
	if (m == NULL || m->state != MEMBER_CONNECTED) {
		*detail = "the host is not connected";
		return "disconnected";
	}
	return dvs_plane_status(m, detail);
}

static bool is_offloaded(const struct value *config, const struct value *member,
			 struct object *host, struct arena *a)
{
	const struct value *pnics = dvs_member_pnics(member);
	const char *id = value_is_a(config, T_VMwareDVSConfigInfo)
				 ? value_get_str(config, F_VMwareDVSConfigInfo_networkOffloadSpecId)
				 : NULL;

	if (!dvs_is_offload(id) || host == NULL || value_count(pnics) == 0) {
		return false;
	}
	for (size_t i = 0; i < value_count(pnics); i++) {
		const char *device =
			value_get_str(value_item(pnics, i),
				      F_DistributedVirtualSwitchHostMemberPnicSpec_pnicDevice);
		if (!dvs_pnic_is_offloaded(dvs_host_pnic(host, device, a))) {
			return false;
		}
	}
	return true;
}

void dvs_members_judge(struct center *c, struct arena *a, struct value *config)
{
	const struct value *list = list_of(config);
	struct value *out = value_new_array(a, T_DistributedVirtualSwitchHostMember);

	for (size_t i = 0; i < value_count(list); i++) {
		struct value *member = value_edit(a, value_item(list, i));
		struct value *its = value_edit(a, config_of(member));
		struct object *host = inventory_find_ref(c->inventory, host_of(member));
		const char *detail;
		const char *status = status_of(host == NULL ? NULL : member_of_host(host), &detail);
		value_set_bool(
			a, its,
			F_DistributedVirtualSwitchHostMemberConfigInfo_networkOffloadingEnabled,
			is_offloaded(config, member, host, a));
		value_set(a, member, F_DistributedVirtualSwitchHostMember_config, its);
		value_set_str(a, member, F_DistributedVirtualSwitchHostMember_status, status);
		value_set_str(a, member, F_DistributedVirtualSwitchHostMember_statusDetail, detail);
		value_push(a, out, member);
	}
	if (list != NULL) {
		value_set(a, config, F_DVSConfigInfo_host, out);
	}
}

size_t dvs_members_offloaded(const struct value *config)
{
	const struct value *list = list_of(config);
	size_t n = 0;

	for (size_t i = 0; i < value_count(list); i++) {
		n += value_get_bool(
			config_of(value_item(list, i)),
			F_DistributedVirtualSwitchHostMemberConfigInfo_networkOffloadingEnabled,
			false);
	}
	return n;
}

struct value *dvs_members_runtime(struct arena *a, const struct value *config)
{
	const struct value *list = list_of(config);
	struct value *out = value_new_array(a, T_HostMemberRuntimeInfo);

	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *member = value_item(list, i);
		struct value *v = value_new(a, T_HostMemberRuntimeInfo);
		if (host_of(member) == NULL) {
			continue;
		}
		value_set(a, v, F_HostMemberRuntimeInfo_host, host_of(member));
		value_set_str(a, v, F_HostMemberRuntimeInfo_status,
			      value_get_str(member, F_DistributedVirtualSwitchHostMember_status));
		value_set_str(
			a, v, F_HostMemberRuntimeInfo_statusDetail,
			value_get_str(member, F_DistributedVirtualSwitchHostMember_statusDetail));
		value_push(a, out, v);
	}
	return out;
}

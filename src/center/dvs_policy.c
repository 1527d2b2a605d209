/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_policy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/timer.h"
#include "center/dvs.h"
#include "center/dvs_config.h"
#include "center/dvs_filter.h"
#include "center/dvs_member.h"
#include "center/dvs_port.h"
#include "center/dvs_setting.h"
#include "center/member.h"
#include "center/node_policy.h"
#include "center/place.h"
#include "center/portgroup.h"

enum {
	WAIT_MS = 10000
};

/* Ids of the filters' rules in a node's firewall: clear of those of the firewall itself. */
#define RULE_ID_FIRST (INT64_C(1) << 52)

struct waiter {
	struct list_node link; /* dvs_policy.waiters */
	struct dvs_policy *p;
	const struct value *host; /* kept */
	struct timer *limit;
	dvs_policy_done_fn *done;
	void *arg;
};

struct dvs_policy {
	struct center *c;
	struct timer *look; /* something about nodes' policies is new */
	struct list waiters;
};

/* ---- a port group ---- */

static void write_vlan(const struct value *vlan, struct json_object *out)
{
	if (!value_is_a(vlan, T_VmwareDistributedVirtualSwitchTrunkVlanSpec)) {
		json_put_i64(out, "vlan",
			     value_is_a(vlan, T_VmwareDistributedVirtualSwitchVlanIdSpec)
				     ? value_get_num(
					       vlan,
					       F_VmwareDistributedVirtualSwitchVlanIdSpec_vlanId, 0)
				     : 0);
		return;
	}
	const struct value *ranges =
		value_get_value(vlan, F_VmwareDistributedVirtualSwitchTrunkVlanSpec_vlanId);
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < value_count(ranges); i++) {
		struct json_object *range = json_object_new_object();
		json_put_i64(range, "start",
			     value_get_num(value_item(ranges, i), F_NumericRange_start, 0));
		json_put_i64(range, "end",
			     value_get_num(value_item(ranges, i), F_NumericRange_end, 0));
		json_object_array_add(list, range);
	}
	json_put(out, "trunk", list);
}

static void write_limit(const struct value *shaping, const char *name, struct json_object *out)
{
	if (!setting_bool(shaping, F_DVSTrafficShapingPolicy_enabled)) {
		return;
	}
	struct json_object *limit = json_object_new_object();
	json_put_i64(limit, "bits_per_second",
		     setting_long(shaping, F_DVSTrafficShapingPolicy_averageBandwidth, 0));
	if (value_has(shaping, F_DVSTrafficShapingPolicy_burstSize)) {
		json_put_i64(limit, "burst_bytes",
			     setting_long(shaping, F_DVSTrafficShapingPolicy_burstSize, 0));
	}
	json_put(out, name, limit);
}

static void write_security(const struct value *setting, struct json_object *out)
{
	const struct value *security =
		value_get_value(setting, F_VMwareDVSPortSetting_securityPolicy);
	const struct value *mac =
		value_get_value(setting, F_VMwareDVSPortSetting_macManagementPolicy);
	const struct value *learning =
		mac == NULL ? NULL
			    : value_get_value(mac, F_DVSMacManagementPolicy_macLearningPolicy);

	json_put_bool(out, "promiscuous",
		      setting_bool(security, F_DVSSecurityPolicy_allowPromiscuous));
	json_put_bool(out, "forged_transmits",
		      setting_bool(security, F_DVSSecurityPolicy_forgedTransmits));
	json_put_bool(out, "mac_changes", setting_bool(security, F_DVSSecurityPolicy_macChanges));
	json_put_bool(out, "learning",
		      value_get_bool(learning, F_DVSMacLearningPolicy_enabled, false));
}

static bool write_filter(struct object *pg, const struct value *setting, struct json_object *out,
			 struct error *e)
{
	struct json_object *rules = json_object_new_array(), *groups = json_object_new_array();
	int64_t first = RULE_ID_FIRST + dvs_port_first(object_id(pg)) / 10000 * FILTER_RULES_MAX;
	bool ok = filter_write(value_get_value(setting, F_DVPortSetting_filterPolicy),
			       object_id(pg), first, rules, groups, e);

	if (ok && json_object_array_length(rules) > 0) {
		json_put(out, "rules", json_object_get(rules));
		json_put(out, "groups", json_object_get(groups));
	}
	json_object_put(rules);
	json_object_put(groups);
	return ok;
}

static bool write_portgroup(struct object *pg, struct json_object *list, struct error *e)
{
	const struct value *config = object_get(pg, P_DistributedVirtualPortgroup_config, NULL);
	const struct value *setting =
		value_get_value(config, F_DVPortgroupConfigInfo_defaultPortConfig);
	struct json_object *out = json_object_new_object();
	bool is_vmware = value_is_a(setting, T_VMwareDVSPortSetting);

	json_object_array_add(list, out);
	json_put_str(out, "key", object_id(pg));
	json_put_str(out, "name", place_name(pg));
	if (portgroup_is_uplink(pg)) {
		json_put_bool(out, "uplink", true);
	}
	if (setting == NULL) {
		return true;
	}
	json_put_bool(out, "blocked", setting_bool(setting, F_DVPortSetting_blocked));
	write_limit(value_get_value(setting, F_DVPortSetting_inShapingPolicy), "from", out);
	write_limit(value_get_value(setting, F_DVPortSetting_outShapingPolicy), "to", out);
	if (is_vmware) {
		write_vlan(value_get_value(setting, F_VMwareDVSPortSetting_vlan), out);
		write_security(setting, out);
	}
	return write_filter(pg, setting, out, e);
}

/* ---- a switch ---- */

/* The member's adapter for the uplink of that name, or NULL. */
static const char *device_of(const struct value *config, const struct value *member,
			     const struct value *name)
{
	const struct value *names = dvs_uplink_names(config);
	const struct value *keys =
		value_get_value(member, F_DistributedVirtualSwitchHostMember_uplinkPortKey);
	const struct value *pnics = dvs_member_pnics(member);
	size_t at = 0;

	while (at < value_count(names) && !value_equal(value_item(names, at), name)) {
		at++;
	}
	for (size_t i = 0; at < value_count(keys) && i < value_count(pnics); i++) {
		const char *key =
			value_get_str(value_item(pnics, i),
				      F_DistributedVirtualSwitchHostMemberPnicSpec_uplinkPortKey);
		if (key != NULL && strcmp(key, value_bytes(value_item(keys, at))) == 0) {
			return value_get_str(
				value_item(pnics, i),
				F_DistributedVirtualSwitchHostMemberPnicSpec_pnicDevice);
		}
	}
	return NULL;
}

/* In their order; those that only stand by have no part in a team that shares flows out. */
static void write_uplinks(const struct value *config, const struct value *member, struct arena *a,
			  struct json_object *out)
{
	const struct value *setting = value_get_value(config, F_DVSConfigInfo_defaultPortConfig);
	const char *teaming = setting_teaming(setting);
	struct json_object *list = json_object_new_array();
	size_t n_active;
	const struct value *names = setting_uplinks(a, setting, &n_active);
	size_t n = teaming != NULL && strcmp(teaming, "flow_hash") == 0 ? n_active
									: value_count(names);

	for (size_t i = 0; i < n; i++) {
		const char *device = device_of(config, member, value_item(names, i));
		if (device != NULL) {
			json_object_array_add(list, json_new_str(device));
		}
	}
	json_put(out, "uplinks", list);
	if (teaming != NULL) {
		json_put_str(out, "teaming", teaming);
	}
}

static bool write_switch(struct object *dvs, const struct value *member, struct arena *a,
			 struct json_object *list, struct error *e)
{
	const struct value *config = object_get(dvs, P_DistributedVirtualSwitch_config, a);
	const struct value *its =
		value_get_value(member, F_DistributedVirtualSwitchHostMember_config);
	struct json_object *out = json_object_new_object();
	struct json_object *groups = json_object_new_array();

	json_object_array_add(list, out);
	json_put_str(out, "uuid", object_get_str(dvs, P_DistributedVirtualSwitch_uuid));
	json_put_str(out, "name", place_name(dvs));
	if (value_is_a(config, T_VMwareDVSConfigInfo)) {
		json_put_i64(out, "mtu", value_get_num(config, F_VMwareDVSConfigInfo_maxMtu, 1500));
	}
	write_uplinks(config, member, a, out);
	json_put_bool(
		out, "offload",
		value_get_bool(
			its,
			F_DistributedVirtualSwitchHostMemberConfigInfo_networkOffloadingEnabled,
			false));
	json_put(out, "portgroups", groups);
	for (size_t i = 0; i < place_count(dvs, P_DistributedVirtualSwitch_portgroup); i++) {
		struct object *pg = place_at(dvs, P_DistributedVirtualSwitch_portgroup, i);
		if (pg != NULL && !write_portgroup(pg, groups, e)) {
			return false;
		}
	}
	return true;
}

bool dvs_write_switches(struct center *c, struct member *m, struct json_object *out,
			struct error *e)
{
	struct object *host = member_system(m);
	struct arena *a = arena_new(0);
	bool ok = true;

	for (size_t i = 0; ok && host != NULL && i < c->switches.n; i++) {
		struct object *dvs = c->switches.items[i];
		const struct value *member =
			dvs_member_of(object_get(dvs, P_DistributedVirtualSwitch_config, a), host);
		if (member != NULL) {
			ok = write_switch(dvs, member, a, out, e);
		}
	}
	arena_free(a);
	return ok;
}

/* ---- does it run? ---- */

const char *dvs_plane_status(const struct member *m, const char **detail)
{
	*detail = "";
	if (m->address == NULL) {
		return "up"; /* within the process: there is no plane to wait for */
	}
	switch (node_policy_state(m, detail)) {
	case NODE_POLICY_REALIZED:
		*detail = "";
		return "up";
	case NODE_POLICY_ERROR:
		return "outOfSync";
	case NODE_POLICY_NONE:
		*detail = "the host takes no policy";
		return "pending";
	case NODE_POLICY_PENDING:
	default:
		return "pending";
	}
}

/* ---- waiting ---- */

static void waiter_end(struct waiter *w, const struct error *e)
{
	dvs_policy_done_fn *done = w->done;
	void *arg = w->arg;

	list_remove(&w->link);
	timer_free(w->limit);
	value_drop(w->host);
	free(w);
	done(arg, e);
}

static struct member *waiter_member(const struct waiter *w)
{
	struct object *host = inventory_find_ref(w->p->c->inventory, w->host);

	return host == NULL ? NULL : member_of_host(host);
}

static void on_limit(void *arg)
{
	struct waiter *w = arg;
	const struct member *m = waiter_member(w);
	const char *reason = "";
	struct error e;

	if (m != NULL) {
		node_policy_state(m, &reason);
	}
	error_set(&e, ERROR_TIMEOUT, "host \"%s\" does not run its distributed switches yet%s%s",
		  m == NULL ? "" : member_name(m), reason[0] == '\0' ? "" : ": ", reason);
	waiter_end(w, &e);
}

void dvs_policy_wait(struct member *m, dvs_policy_done_fn *done, void *arg)
{
	struct dvs_policy *p = m->center->dvs_policy;

	if (p == NULL || node_policy_state(m, NULL) != NODE_POLICY_PENDING) {
		done(arg, NULL);
		return;
	}
	struct waiter *w = mem_zalloc(sizeof(*w));
	w->p = p;
	w->host = value_hold(member_system(m)->ref);
	w->done = done;
	w->arg = arg;
	w->limit = timer_new(p->c->loop, p->c->clock, on_limit, w);
	timer_start(w->limit, WAIT_MS, 0);
	list_push_back(&p->waiters, &w->link);
}

/* Who has waited long enough may begin to wait for something else. */
static void waiters_look(struct dvs_policy *p)
{
	struct waiter *ready;

	do {
		ready = NULL;
		list_each (struct waiter, w, &p->waiters, link) {
			const struct member *m = waiter_member(w);
			if (ready == NULL &&
			    (m == NULL || node_policy_state(m, NULL) != NODE_POLICY_PENDING)) {
				ready = w;
			}
		}
		if (ready != NULL) {
			waiter_end(ready, NULL);
		}
	} while (ready != NULL);
}

/* ---- life ---- */

static void on_look(void *arg)
{
	struct dvs_policy *p = arg;

	dvs_policies_changed(p->c);
	waiters_look(p);
}

static void on_nodes_changed(struct center *c)
{
	if (c->dvs_policy != NULL) {
		timer_start(c->dvs_policy->look, 0, 0);
	}
}

void dvs_policy_changed(struct center *c)
{
	node_policy_changed(c);
}

struct dvs_policy *dvs_policy_new(struct center *c)
{
	struct dvs_policy *p = mem_zalloc(sizeof(*p));

	p->c = c;
	list_init(&p->waiters);
	p->look = timer_new(c->loop, c->clock, on_look, p);
	node_policy_set_switches(c, dvs_write_switches);
	node_policy_set_listener(c, on_nodes_changed);
	return p;
}

void dvs_policy_free(struct dvs_policy *p)
{
	if (p == NULL) {
		return;
	}
	struct error e;
	error_set(&e, ERROR_CANCELED, "the manager ends");
	list_each_safe (struct waiter, w, &p->waiters, link) {
		waiter_end(w, &e);
	}
	timer_free(p->look);
	free(p);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "center/cluster_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/uuid.h"
#include "vim/fault.h"
#include "vim/weight.h"

enum {
	CONFIG_MAX = 1 << 20, /* bytes that a configuration may weigh */
	KEY_MAX = 300
};

/* Structures of the specification and where they go; merged field by field. */
static const struct {
	unsigned spec, config;
} parts[] = {
	{ F_ClusterConfigSpecEx_dasConfig, F_ClusterConfigInfoEx_dasConfig },
	{ F_ClusterConfigSpecEx_drsConfig, F_ClusterConfigInfoEx_drsConfig },
	{ F_ClusterConfigSpecEx_orchestration, F_ClusterConfigInfoEx_orchestration },
	{ F_ClusterConfigSpecEx_dpmConfig, F_ClusterConfigInfoEx_dpmConfigInfo },
	{ F_ClusterConfigSpecEx_proactiveDrsConfig, F_ClusterConfigInfoEx_proactiveDrsConfig },
};

/* Lists of changes (ArrayUpdateSpec), the arrays they change, and what the items go by. */
static const struct update_list {
	unsigned spec, config, info, key;
	uint16_t type;
} lists[] = {
	{ F_ClusterConfigSpecEx_dasVmConfigSpec, F_ClusterConfigInfoEx_dasVmConfig,
	  F_ClusterDasVmConfigSpec_info, F_ClusterDasVmConfigInfo_key, T_ClusterDasVmConfigInfo },
	{ F_ClusterConfigSpecEx_drsVmConfigSpec, F_ClusterConfigInfoEx_drsVmConfig,
	  F_ClusterDrsVmConfigSpec_info, F_ClusterDrsVmConfigInfo_key, T_ClusterDrsVmConfigInfo },
	{ F_ClusterConfigSpecEx_groupSpec, F_ClusterConfigInfoEx_group, F_ClusterGroupSpec_info,
	  F_ClusterGroupInfo_name, T_ClusterGroupInfo },
	{ F_ClusterConfigSpecEx_rulesSpec, F_ClusterConfigInfoEx_rule, F_ClusterRuleSpec_info,
	  F_ClusterRuleInfo_key, T_ClusterRuleInfo },
	{ F_ClusterConfigSpecEx_vmOrchestrationSpec, F_ClusterConfigInfoEx_vmOrchestration,
	  F_ClusterVmOrchestrationSpec_info, F_ClusterVmOrchestrationInfo_vm,
	  T_ClusterVmOrchestrationInfo },
	{ F_ClusterConfigSpecEx_dpmHostConfigSpec, F_ClusterConfigInfoEx_dpmHostConfig,
	  F_ClusterDpmHostConfigSpec_info, F_ClusterDpmHostConfigInfo_key,
	  T_ClusterDpmHostConfigInfo },
};

/* ---- defaults ---- */

static struct value *das_default(struct arena *a)
{
	struct value *v = value_new(a, T_ClusterDasConfigInfo);
	struct value *vm = value_new(a, T_ClusterDasVmSettings);
	struct value *policy = value_new(a, T_ClusterFailoverLevelAdmissionControlPolicy);

	value_set_num(a, policy, F_ClusterFailoverLevelAdmissionControlPolicy_failoverLevel, 1);
	value_set_str(a, vm, F_ClusterDasVmSettings_restartPriority, "medium");
	value_set_str(a, vm, F_ClusterDasVmSettings_isolationResponse, "none");
	value_set_bool(a, v, F_ClusterDasConfigInfo_enabled, false);
	value_set_str(a, v, F_ClusterDasConfigInfo_vmMonitoring, "vmMonitoringDisabled");
	value_set_str(a, v, F_ClusterDasConfigInfo_hostMonitoring, "enabled");
	value_set_num(a, v, F_ClusterDasConfigInfo_failoverLevel, 1);
	value_set(a, v, F_ClusterDasConfigInfo_admissionControlPolicy, policy);
	value_set_bool(a, v, F_ClusterDasConfigInfo_admissionControlEnabled, true);
	value_set(a, v, F_ClusterDasConfigInfo_defaultVmSettings, vm);
	return v;
}

static struct value *drs_default(struct arena *a)
{
	struct value *v = value_new(a, T_ClusterDrsConfigInfo);

	value_set_bool(a, v, F_ClusterDrsConfigInfo_enabled, false);
	value_set_bool(a, v, F_ClusterDrsConfigInfo_enableVmBehaviorOverrides, true);
	value_set_num(a, v, F_ClusterDrsConfigInfo_defaultVmBehavior, E_DrsBehavior_fullyAutomated);
	value_set_num(a, v, F_ClusterDrsConfigInfo_vmotionRate, 3);
	return v;
}

struct value *cluster_config_default(struct arena *a)
{
	struct value *v = value_new(a, T_ClusterConfigInfoEx);
	struct value *dpm = value_new(a, T_ClusterDpmConfigInfo);
	struct value *vsan = value_new(a, T_VsanClusterConfigInfo);

	value_set_bool(a, dpm, F_ClusterDpmConfigInfo_enabled, false);
	value_set_bool(a, vsan, F_VsanClusterConfigInfo_enabled, false);
	value_set_str(a, v, F_ComputeResourceConfigInfo_vmSwapPlacement, "vmDirectory");
	value_set_bool(a, v, F_ComputeResourceConfigInfo_spbmEnabled, false);
	value_set(a, v, F_ClusterConfigInfoEx_dasConfig, das_default(a));
	value_set(a, v, F_ClusterConfigInfoEx_drsConfig, drs_default(a));
	value_set(a, v, F_ClusterConfigInfoEx_dpmConfigInfo, dpm);
	value_set(a, v, F_ClusterConfigInfoEx_vsanConfigInfo, vsan);
	return v;
}

static void copy_field(struct arena *a, struct value *to, unsigned to_field,
		       const struct value *from, unsigned from_field)
{
	value_set(a, to, to_field, value_get_value(from, from_field));
}

const struct value *cluster_config_from_old(struct arena *a, const struct value *spec)
{
	struct value *v = value_new(a, T_ClusterConfigSpecEx);

	copy_field(a, v, F_ClusterConfigSpecEx_dasConfig, spec, F_ClusterConfigSpec_dasConfig);
	copy_field(a, v, F_ClusterConfigSpecEx_dasVmConfigSpec, spec,
		   F_ClusterConfigSpec_dasVmConfigSpec);
	copy_field(a, v, F_ClusterConfigSpecEx_drsConfig, spec, F_ClusterConfigSpec_drsConfig);
	copy_field(a, v, F_ClusterConfigSpecEx_drsVmConfigSpec, spec,
		   F_ClusterConfigSpec_drsVmConfigSpec);
	copy_field(a, v, F_ClusterConfigSpecEx_rulesSpec, spec, F_ClusterConfigSpec_rulesSpec);
	return v;
}

struct value *cluster_config_old(struct arena *a, const struct value *config)
{
	struct value *v = value_new(a, T_ClusterConfigInfo);

	copy_field(a, v, F_ClusterConfigInfo_dasConfig, config, F_ClusterConfigInfoEx_dasConfig);
	copy_field(a, v, F_ClusterConfigInfo_dasVmConfig, config,
		   F_ClusterConfigInfoEx_dasVmConfig);
	copy_field(a, v, F_ClusterConfigInfo_drsConfig, config, F_ClusterConfigInfoEx_drsConfig);
	copy_field(a, v, F_ClusterConfigInfo_drsVmConfig, config,
		   F_ClusterConfigInfoEx_drsVmConfig);
	copy_field(a, v, F_ClusterConfigInfo_rule, config, F_ClusterConfigInfoEx_rule);
	return v;
}

/* ---- what may not be ---- */

/* What would need something that is not there must not look as if it were. */
static bool is_possible(struct arena *a, const struct value *spec, struct refusal *r)
{
	static const struct {
		unsigned field, enabled;
		const char *what;
	} impossible[] = {
		{ F_ClusterConfigSpecEx_vsanConfig, F_VsanClusterConfigInfo_enabled, "vSAN" },
		{ F_ClusterConfigSpecEx_infraUpdateHaConfig,
		  F_ClusterInfraUpdateHaConfigInfo_enabled, "Proactive HA" },
	};

	for (size_t i = 0; i < ARRAY_LEN(impossible); i++) {
		const struct value *v = value_get_value(spec, impossible[i].field);
		if (value_get_bool(v, impossible[i].enabled, false)) {
			return refuse(r, fault_new(a, T_NotSupported), "there is no %s here",
				      impossible[i].what);
		}
	}
	if (value_has(spec, F_ClusterConfigSpecEx_cryptoConfig)) {
		return refuse(r, fault_new(a, T_NotSupported),
			      "clusters have no encryption settings here");
	}
	return true;
}

static bool refs_exist(struct arena *a, struct inventory *inv, const struct value *v,
		       struct refusal *r)
{
	union slot s;

	if (v->kind == KIND_REF) {
		return inventory_find_ref(inv, v) != NULL ||
		       refuse(r, fault_not_found(a, v), "\"%s\" does not exist", value_bytes(v));
	}
	if (v->kind == KIND_ARRAY && !schema_kind_is_scalar(v->item)) {
		for (size_t i = 0; i < value_count(v); i++) {
			if (!refs_exist(a, inv, value_item(v, i), r)) {
				return false;
			}
		}
	}
	for (int i = -1; v->kind == KIND_STRUCT && value_next(v, &i, &s);) {
		const struct schema_field *f = schema_field(v->type, (unsigned)i);
		bool is_scalar = schema_kind_is_scalar(f->kind) && !(f->flags & FIELD_ARRAY);
		/* What is taken out may be gone itself. */
		bool is_key = value_is_a(v, T_ArrayUpdateSpec) && i == F_ArrayUpdateSpec_removeKey;
		if (!is_scalar && !is_key && !refs_exist(a, inv, s.value, r)) {
			return false;
		}
	}
	return true;
}

/* ---- items of lists ---- */

/* What an item goes by, as text. */
static void key_text(const struct value *v, char out[KEY_MAX])
{
	out[0] = '\0';
	if (v == NULL) {
		return;
	}
	if (v->kind == KIND_STRING || v->kind == KIND_REF) {
		snprintf(out, KEY_MAX, "%s", value_bytes(v));
	} else if (schema_kind_is_scalar(v->kind)) {
		snprintf(out, KEY_MAX, "%" PRId64, value_scalar(v).num);
	}
}

static void item_key(const struct update_list *l, const struct value *item, char out[KEY_MAX])
{
	out[0] = '\0';
	if (l->type != T_ClusterRuleInfo) {
		key_text(value_get_value(item, l->key), out);
	} else if (value_has(item, l->key)) {
		snprintf(out, KEY_MAX, "%" PRId64, value_get_num(item, l->key, 0));
	}
}

static size_t item_find(const struct update_list *l, const struct value *items, const char *key)
{
	char other[KEY_MAX];

	for (size_t i = 0; i < value_count(items); i++) {
		item_key(l, value_item(items, i), other);
		if (strcmp(key, other) == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

static struct value *merge(struct arena *a, const struct value *old, const struct value *with)
{
	union slot s;

	if (old == NULL || old->type != with->type) {
		return value_edit(a, with);
	}
	struct value *v = value_edit(a, old);
	for (int i = -1; value_next(with, &i, &s);) {
		value_set_slot(v, (unsigned)i, s);
	}
	return v;
}

/* What a change of lists is part of. */
struct list_change {
	struct arena *a;
	const struct object *owner; /* the cluster, or the folder it is to be made in */
	struct refusal *r;
};

static bool rule_check(const struct list_change *c, const struct value *items,
		       const struct value *rule, size_t own)
{
	struct arena *a = c->a;
	struct refusal *r = c->r;
	const char *name = value_get_str(rule, F_ClusterRuleInfo_name);

	if (name == NULL || name[0] == '\0') {
		return refuse(r, fault_invalid_argument(a, "spec.rulesSpec.info.name"),
			      "a rule needs a name");
	}
	for (size_t i = 0; i < value_count(items); i++) {
		const char *other = value_get_str(value_item(items, i), F_ClusterRuleInfo_name);
		if (i != own && other != NULL && strcmp(name, other) == 0) {
			return refuse(r, fault_duplicate_name(a, name, c->owner),
				      "a rule \"%s\" exists already", name);
		}
	}
	return true;
}

static struct value *rule_complete(struct arena *a, const struct value *items,
				   const struct value *given)
{
	struct value *rule = value_edit(a, given);
	int64_t key = 0;
	char text[UUID_TEXT_SIZE];

	for (size_t i = 0; i < value_count(items); i++) {
		key = MAX(key, value_get_num(value_item(items, i), F_ClusterRuleInfo_key, 0));
	}
	uuid_random_text(text);
	value_set_num(a, rule, F_ClusterRuleInfo_key, key + 1);
	value_set_num(a, rule, F_ClusterRuleInfo_status, E_ManagedEntityStatus_green);
	value_set_bool(a, rule, F_ClusterRuleInfo_userCreated, true);
	value_set_bool(a, rule, F_ClusterRuleInfo_inCompliance, true);
	value_set_str(a, rule, F_ClusterRuleInfo_ruleUuid, text);
	if (!value_has(rule, F_ClusterRuleInfo_enabled)) {
		value_set_bool(a, rule, F_ClusterRuleInfo_enabled, false);
	}
	if (!value_has(rule, F_ClusterRuleInfo_mandatory)) {
		value_set_bool(a, rule, F_ClusterRuleInfo_mandatory, false);
	}
	return rule;
}

/* A new array with item `at` replaced, taken out (item NULL) or appended (at SIZE_MAX). */
static struct value *items_change(struct arena *a, const struct value *items, uint16_t type,
				  size_t at, const struct value *item)
{
	struct value *v = value_new_array(a, type);

	for (size_t i = 0; i < value_count(items); i++) {
		if (i != at) {
			value_push(a, v, value_item(items, i));
		} else if (item != NULL) {
			value_push(a, v, item);
		}
	}
	if (at == SIZE_MAX) {
		value_push(a, v, item);
	}
	return v;
}

static bool item_put(const struct list_change *c, const struct update_list *l,
		     const struct value **items, const struct value *info, bool is_new)
{
	struct arena *a = c->a;
	struct refusal *r = c->r;
	char key[KEY_MAX];
	bool is_rule = l->type == T_ClusterRuleInfo;

	item_key(l, info, key);
	size_t at = is_rule && is_new ? SIZE_MAX : item_find(l, *items, key);
	if (is_new && at != SIZE_MAX) {
		return refuse(r, fault_duplicate_name(a, key, c->owner), "\"%s\" exists already",
			      key);
	}
	if (!is_new && at == SIZE_MAX) {
		return refuse(r, fault_invalid_argument(a, "spec"), "there is no \"%s\" to edit",
			      key);
	}
	const struct value *item = is_new ? (is_rule ? rule_complete(a, *items, info) : info)
					  : merge(a, value_item(*items, at), info);
	if (is_rule && !rule_check(c, *items, item, at)) {
		return false;
	}
	*items = items_change(a, *items, l->type, at, item);
	return true;
}

static bool item_remove(const struct list_change *c, const struct update_list *l,
			const struct value **items, const struct value *change)
{
	struct arena *a = c->a;
	char key[KEY_MAX];

	key_text(value_get_value(change, F_ArrayUpdateSpec_removeKey), key);
	size_t at = item_find(l, *items, key);
	if (at == SIZE_MAX) {
		return refuse(c->r, fault_invalid_argument(a, "spec"),
			      "there is no \"%s\" to remove", key);
	}
	*items = items_change(a, *items, l->type, at, NULL);
	return true;
}

static bool list_apply(const struct list_change *c, const struct update_list *l,
		       struct value *config, const struct value *changes)
{
	struct arena *a = c->a;
	const struct value *items = value_get_value(config, l->config);

	for (size_t i = 0; i < value_count(changes); i++) {
		const struct value *change = value_item(changes, i);
		int64_t op = value_get_num(change, F_ArrayUpdateSpec_operation, 0);
		const struct value *info = value_get_value(change, l->info);
		if (op == E_ArrayUpdateOperation_remove) {
			if (!item_remove(c, l, &items, change)) {
				return false;
			}
		} else if (info == NULL) {
			return refuse(c->r, fault_invalid_argument(a, "spec"),
				      "an entry to add or edit is not given");
		} else if (!item_put(c, l, &items, info, op == E_ArrayUpdateOperation_add)) {
			return false;
		}
	}
	value_set(a, config, l->config, value_count(items) == 0 ? NULL : items);
	if (value_count(items) == 0) {
		value_unset(config, l->config);
	}
	return true;
}

/* ---- all of it ---- */

static void base_apply(struct arena *a, struct value *config, const struct value *spec)
{
	const char *swap = value_get_str(spec, F_ComputeResourceConfigSpec_vmSwapPlacement);
	const char *hardware =
		value_get_str(spec, F_ComputeResourceConfigSpec_defaultHardwareVersionKey);

	if (swap != NULL) {
		value_set_str(a, config, F_ComputeResourceConfigInfo_vmSwapPlacement, swap);
	}
	if (hardware != NULL) {
		value_set_str(a, config, F_ComputeResourceConfigInfo_defaultHardwareVersionKey,
			      hardware);
	}
}

static bool groups_exist(struct arena *a, const struct value *config, struct refusal *r)
{
	static const unsigned named[] = {
		F_ClusterVmHostRuleInfo_vmGroupName,
		F_ClusterVmHostRuleInfo_affineHostGroupName,
		F_ClusterVmHostRuleInfo_antiAffineHostGroupName,
	};
	const struct value *rules = value_get_value(config, F_ClusterConfigInfoEx_rule);
	const struct value *groups = value_get_value(config, F_ClusterConfigInfoEx_group);

	for (size_t i = 0; i < value_count(rules); i++) {
		const struct value *rule = value_item(rules, i);
		if (!value_is_a(rule, T_ClusterVmHostRuleInfo)) {
			continue;
		}
		for (size_t j = 0; j < ARRAY_LEN(named); j++) {
			const char *name = value_get_str(rule, named[j]);
			if (name != NULL && item_find(&lists[2], groups, name) == SIZE_MAX) {
				return refuse(r, fault_invalid_argument(a, "spec.rulesSpec"),
					      "rule \"%s\" names group \"%s\", which is not there",
					      value_get_str(rule, F_ClusterRuleInfo_name), name);
			}
		}
	}
	return true;
}

const struct value *cluster_config_apply(struct arena *a, const struct object *owner,
					 const struct value *config, const struct value *spec,
					 bool modify, struct refusal *r)
{
	struct value *v = modify ? value_edit(a, config) : cluster_config_default(a);

	const struct list_change change = { .a = a, .owner = owner, .r = r };

	if (!is_possible(a, spec, r) || !refs_exist(a, owner->inventory, spec, r)) {
		return NULL;
	}
	base_apply(a, v, spec);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const struct value *part = value_get_value(spec, parts[i].spec);
		if (part != NULL) {
			value_set(a, v, parts[i].config,
				  merge(a, value_get_value(v, parts[i].config), part));
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct value *changes = value_get_value(spec, lists[i].spec);
		if (changes != NULL && !list_apply(&change, &lists[i], v, changes)) {
			return NULL;
		}
	}
	if (!groups_exist(a, v, r)) {
		return NULL;
	}
	if (!weight_within(v, CONFIG_MAX)) {
		refuse(r, fault_invalid_argument(a, "spec"),
		       "the configuration would be larger than %d bytes", CONFIG_MAX);
		return NULL;
	}
	return v;
}

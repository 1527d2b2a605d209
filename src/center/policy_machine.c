/* SPDX-License-Identifier: Apache-2.0 */
/* VMs with their tags, and who is in a group. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "center/intent_card.h"
#include "center/intent_group.h"
#include "center/intent_meaning.h"
#include "center/member.h"
#include "center/policy_call.h"

enum {
	TAGS_MAX = 30
};

/* ---- showing ---- */

static const char *power_of(struct object *vm)
{
	struct arena *a = arena_new(0);
	const struct value *runtime = object_get(vm, P_VirtualMachine_runtime, a);
	int64_t state = value_get_num(runtime, F_VirtualMachineRuntimeInfo_powerState, -1);
	const char *text = state == E_VirtualMachinePowerState_poweredOn    ? "VM_RUNNING"
			   : state == E_VirtualMachinePowerState_poweredOff ? "VM_STOPPED"
			   : state == E_VirtualMachinePowerState_suspended  ? "VM_SUSPENDED"
									    : "UNKNOWN";

	arena_free(a);
	return text;
}

static struct json_object *tags_shown(const struct intent_vm *vm)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; vm->tags != NULL && i < vm->tags->meaning->tags.n; i += 2) {
		struct json_object *tag = json_object_new_object();
		json_put_str(tag, "scope", vm->tags->meaning->tags.items[i]);
		json_put_str(tag, "tag", vm->tags->meaning->tags.items[i + 1]);
		json_object_array_add(list, tag);
	}
	return list;
}

static struct json_object *machine_shown(const struct intent_vm *vm)
{
	struct json_object *o = json_object_new_object(), *ids = json_object_new_array();
	char id[64];

	json_put_str(o, "resource_type", "VirtualMachine");
	json_put_str(o, "display_name", vm->name);
	json_put_str(o, "external_id", vm->uuid);
	if (vm->member != NULL) {
		json_put_str(o, "host_id", vm->member->id);
	}
	json_put_str(o, "power_state", power_of(vm->object));
	json_put_str(o, "type", "REGULAR");
	snprintf(id, sizeof(id), "instanceUuid:%s", vm->uuid);
	json_object_array_add(ids, json_new_str(id));
	snprintf(id, sizeof(id), "moRef:%s", vm->id);
	json_object_array_add(ids, json_new_str(id));
	json_put(o, "compute_ids", ids);
	json_put(o, "tags", tags_shown(vm));
	return o;
}

static bool is_asked_for(const char *wanted, const char *is)
{
	return wanted == NULL || strcmp(wanted, is) == 0;
}

void machine_list(struct policy_call *call)
{
	const char *name = policy_call_query(call, "display_name");
	const char *uuid = policy_call_query(call, "external_id");
	struct json_object *results = json_object_new_array();

	map_each (&call->in->cards->vms, it) {
		const struct intent_vm *vm = it->value;
		if (is_asked_for(name, vm->name) && is_asked_for(uuid, vm->uuid)) {
			json_object_array_add(results, machine_shown(vm));
		}
	}
	policy_answer_list(call, results);
}

/* ---- tags ---- */

static const char *text_of(struct json_object *tag, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(tag, key, &v) ? json_object_get_string(v) : "";
}

static bool same_tag(struct json_object *a, struct json_object *b)
{
	return strcmp(text_of(a, "scope"), text_of(b, "scope")) == 0 &&
	       strcmp(text_of(a, "tag"), text_of(b, "tag")) == 0;
}

static bool has_tag(struct json_object *list, struct json_object *tag)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		if (same_tag(json_object_array_get_idx(list, i), tag)) {
			return true;
		}
	}
	return false;
}

static void add_tags(struct json_object *to, struct json_object *from, struct json_object *but)
{
	for (size_t i = 0; i < json_object_array_length(from); i++) {
		struct json_object *tag = json_object_array_get_idx(from, i);
		if (!has_tag(to, tag) && (but == NULL || !has_tag(but, tag))) {
			json_object_array_add(to, json_object_get(tag));
		}
	}
}

/* Of the VM afterwards; NULL: there is no such action. */
static struct json_object *tags_after(const char *action, struct json_object *now,
				      struct json_object *given)
{
	struct json_object *out = json_object_new_array();

	if (strcmp(action, "add_tags") == 0) {
		add_tags(out, now, NULL);
		add_tags(out, given, NULL);
	} else if (strcmp(action, "remove_tags") == 0) {
		add_tags(out, now, given);
	} else if (strcmp(action, "update_tags") == 0) {
		add_tags(out, given, NULL);
	} else {
		json_object_put(out);
		return NULL;
	}
	return out;
}

static void tags_apply(struct policy_call *call, const struct intent_vm *vm,
		       struct json_object *tags)
{
	struct intent_edit edit = { .kind = INTENT_VM_TAGS };
	struct error e = { 0 };
	char path[96];

	snprintf(path, sizeof(path), "/fabric/virtual-machines/%s", vm->uuid);
	edit.path = path;
	if (json_object_array_length(tags) > 0) {
		edit.body = json_object_new_object();
		json_put(edit.body, "tags", tags);
	} else {
		json_object_put(tags);
	}
	bool is_nothing = edit.body == NULL && intent_find(call->in, path) == NULL;
	if (is_nothing || intent_apply(call->in, &edit, 1, call->user, &e)) {
		policy_answer_nothing(call);
	} else {
		policy_answer_error(call, &e);
	}
}

void machine_tags(struct policy_call *call)
{
	const char *action = policy_call_query(call, "action"), *uuid = NULL;
	struct json_at at = json_root(call->body), tags;
	struct error e = { 0 };

	if (!policy_check(call->api, call->body_def, call->body, &e) ||
	    !json_get_str(&at, "external_id", &uuid, &e) ||
	    !json_get_array(&at, "tags", &tags, &e)) {
		policy_answer_error(call, &e);
		return;
	}
	const struct intent_vm *vm = intent_vm_by_uuid(call->in, uuid);
	if (vm == NULL) {
		policy_answer_absent(call, uuid);
		return;
	}
	struct json_object *now = tags_shown(vm);
	struct json_object *after = tags_after(action == NULL ? "" : action, now, tags.value);
	json_object_put(now);
	if (after == NULL) {
		policy_refuse(call, 400, POLICY_CODE_INVALID,
			      "\"action\": must be add_tags, remove_tags or update_tags");
	} else if (json_object_array_length(after) > TAGS_MAX) {
		json_object_put(after);
		policy_refuse(call, 400, POLICY_CODE_LIMIT, "VM \"%s\" may have %d tags", uuid,
			      TAGS_MAX);
	} else {
		tags_apply(call, vm, after);
	}
}

/* ---- members of groups ---- */

void group_machines(struct policy_call *call)
{
	const struct intent_object *group =
		policy_call_subject(call, INTENT_GROUP, "/members/virtual-machines");

	if (group == NULL) {
		return;
	}
	struct json_object *results = json_object_new_array();
	map_each (&call->in->cards->vms, it) {
		const struct intent_vm *vm = it->value;
		bool is_in = false;
		for (size_t i = 0; i < vm->cards.n; i++) {
			is_in |= intent_group_has(group, vm->cards.items[i]);
		}
		if (is_in) {
			json_object_array_add(results, machine_shown(vm));
		}
	}
	policy_answer_list(call, results);
}

void group_addresses(struct policy_call *call)
{
	struct intent_object *group =
		policy_call_subject(call, INTENT_GROUP, "/members/ip-addresses");
	struct buf text = BUF_INIT;
	size_t n;

	if (group == NULL) {
		return;
	}
	const struct intent_text *t = intent_group_addresses(call->in, group, &n);
	buf_addc(&text, '[');
	buf_add(&text, t->b.data, t->b.len);
	buf_addc(&text, ']');
	struct json_object *results = json_parse(text.data, text.len, SIZE_MAX, 4, NULL);
	buf_free(&text);
	policy_answer_list(call, results != NULL ? results : json_object_new_array());
}

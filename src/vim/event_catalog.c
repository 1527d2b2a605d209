/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema says which types of events there are and what they carry, not how bad they are; that
 * follows from their names: words of trouble make an error or a warning.
 */
#include "vim/event_catalog.h"

#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "vim/wording.h"

/* First match counts. */
static const struct {
	const char *word;
	const char *category;
} categories[] = {
	{ "GeneralUserEvent", "user" },
	{ "UserUpgradeEvent", "user" },
	{ "ErrorOk", "info" },
	{ "Warning", "warning" },
	{ "Failed", "error" },
	{ "Failure", "error" },
	{ "Error", "error" },
	{ "ConnectionLost", "error" },
	{ "Conflict", "error" },
	{ "Insufficient", "error" },
	{ "NotEnough", "error" },
	{ "Unavailable", "error" },
	{ "Unreadable", "error" },
	{ "BadUsername", "error" },
	{ "NoAccess", "error" },
	{ "DuplicateIp", "error" },
	{ "Crashed", "error" },
	{ "NoLicense", "error" },
	{ "InventoryFull", "error" },
	{ "DasHostIsolated", "error" },
	{ "DasClusterIsolated", "error" },
	{ "Expired", "warning" },
	{ "Mismatch", "warning" },
	{ "MisMatch", "warning" },
	{ "NotSupport", "warning" },
	{ "Violat", "warning" },
	{ "Overcommitted", "warning" },
	{ "OutOfSync", "warning" },
	{ "Orphaned", "warning" },
	{ "Missing", "warning" },
	{ "NonCompl", "warning" },
	{ "Inconsistent", "warning" },
	{ "TimedOut", "warning" },
	{ "Timedout", "warning" },
	{ "Timeout", "warning" },
	{ "NotChanged", "warning" },
	{ "Misconfigured", "warning" },
	{ "NoNetworkAccess", "warning" },
	{ "NoRedundant", "warning" },
	{ "NoCompatible", "warning" },
	{ "NonVIWorkload", "warning" },
	{ "Unlicensed", "warning" },
	{ "DVPortgroupDestroyed", "info" },
};

const char *event_type_category(uint16_t type)
{
	const char *name = schema_type_name(type);

	for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
		if (strstr(name, categories[i].word) != NULL) {
			return categories[i].category;
		}
	}
	return "info";
}

const char *event_category(const struct value *event)
{
	const char *severity =
		value_is_a(event, T_EventEx) ? value_get_str(event, F_EventEx_severity) : NULL;

	return severity != NULL && severity[0] != '\0' ? severity
						       : event_type_category(value_type(event));
}

const char *event_type_id(const struct value *event)
{
	const char *id = NULL;

	if (value_is_a(event, T_EventEx)) {
		id = value_get_str(event, F_EventEx_eventTypeId);
	} else if (value_is_a(event, T_ExtendedEvent)) {
		id = value_get_str(event, F_ExtendedEvent_eventTypeId);
	}
	return id != NULL ? id : schema_type_name(value_type(event));
}

uint16_t event_type_find(const char *name)
{
	static const char package[] = "vim.event.";

	if (strncmp(name, package, strlen(package)) == 0) {
		name += strlen(package);
	}
	uint16_t type = schema_type_find(name, strlen(name));
	return type != T_none && schema_is_a(type, T_Event) ? type : T_none;
}

/* ---- the description ---- */

/* "Virtual machine powered on" for VmPoweredOnEvent. */
static void description_add(struct buf *b, uint16_t type)
{
	const char *name = schema_type_name(type);
	size_t len = strlen(name), from = b->len;

	if (len > 5 && strcmp(name + len - 5, "Event") == 0) {
		len -= 5;
	} else if (len > 7 && strcmp(name + len - 7, "EventEx") == 0) {
		len -= 2;
	}
	wording_add(b, name, len);
	wording_capital(b, from);
}

static bool is_text(const struct schema_field *f)
{
	return f->kind != KIND_STRUCT && f->kind != KIND_ANY && f->kind != KIND_REF &&
	       (f->flags & FIELD_ARRAY) == 0;
}

/* What a type's own fields say: " (oldName: {oldName}, newName: {newName})". */
static void own_fields_add(struct buf *b, uint16_t type)
{
	unsigned base = schema_type(T_Event)->n_fields, n = 0;

	if (schema_is_a(type, T_VmEvent)) {
		base = schema_type(T_VmEvent)->n_fields;
	}
	for (unsigned i = base; i < schema_type(type)->n_fields; i++) {
		const struct schema_field *f = schema_field(type, i);
		const char *name = schema_field_name(f);
		bool entity = f->kind == KIND_STRUCT && schema_is_a(f->type, T_EntityEventArgument);
		if (!is_text(f) && !entity) {
			continue;
		}
		buf_addf(b, "%s%s: {%s%s}", n++ == 0 ? " (" : ", ", name, name,
			 entity ? ".name" : "");
	}
	buf_adds(b, n == 0 ? "" : ")");
}

/* Message as seen from an entity: what is above it, and itself, goes without saying. */
static void format_set(struct arena *a, struct value *detail, unsigned field, uint16_t type,
		       int above)
{
	static const char *const places[] = { "{datacenter.name}", "{computeResource.name}",
					      "{host.name}", "{vm.name}" };
	bool about[] = { true, schema_is_a(type, T_ClusterEvent),
			 schema_is_a(type, T_HostEvent) || schema_is_a(type, T_VmEvent),
			 schema_is_a(type, T_VmEvent) };
	struct buf b = BUF_INIT;

	if (schema_is_a(type, T_EventEx) || schema_is_a(type, T_GeneralEvent)) {
		buf_adds(&b, "{message}");
	} else {
		description_add(&b, type);
		own_fields_add(&b, type);
		const char *joint = ": ";
		for (int i = 3; i > above; i--) {
			if (about[i] && (i > 0 || about[1] || about[2] || about[3])) {
				buf_addf(&b, "%s%s", joint, places[i]);
				joint = i == 3 ? " on " : " in ";
			}
		}
	}
	value_set_str(a, detail, field, b.data);
	buf_free(&b);
}

static void detail_push(struct arena *a, struct value *details, uint16_t type)
{
	struct value *d = value_new(a, T_EventDescriptionEventDetail);
	struct buf b = BUF_INIT;

	description_add(&b, type);
	value_set_str(a, d, F_EventDescriptionEventDetail_key, schema_type_name(type));
	value_set_str(a, d, F_EventDescriptionEventDetail_description, b.data);
	value_set_str(a, d, F_EventDescriptionEventDetail_category, event_type_category(type));
	format_set(a, d, F_EventDescriptionEventDetail_formatOnDatacenter, type, 0);
	format_set(a, d, F_EventDescriptionEventDetail_formatOnComputeResource, type, 1);
	format_set(a, d, F_EventDescriptionEventDetail_formatOnHost, type, 2);
	format_set(a, d, F_EventDescriptionEventDetail_formatOnVm, type, 3);
	format_set(a, d, F_EventDescriptionEventDetail_fullFormat, type, -1);
	value_push(a, details, d);
	buf_free(&b);
}

static struct value *catalog_new(struct arena *a)
{
	static const char *const keys[] = { "info", "warning", "error", "user" };
	static const char *const labels[] = { "Information", "Warning", "Error", "User" };
	struct value *description = value_new(a, T_EventDescription);
	struct value *names = value_new_array(a, T_ElementDescription);
	struct value *details = value_new_array(a, T_EventDescriptionEventDetail);

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct value *e = value_new(a, T_ElementDescription);
		value_set_str(a, e, F_Description_label, labels[i]);
		value_set_str(a, e, F_Description_summary, labels[i]);
		value_set_str(a, e, F_ElementDescription_key, keys[i]);
		value_push(a, names, e);
	}
	for (uint16_t type = T_Event; type <= schema_type(T_Event)->last; type++) {
		if (schema_type(type)->since <= schema_version_served) {
			detail_push(a, details, type);
		}
	}
	value_set(a, description, F_EventDescription_category, names);
	value_set(a, description, F_EventDescription_eventInfo, details);
	return description;
}

const struct value *event_catalog(void)
{
	static const struct value *catalog;

	if (catalog == NULL) {
		struct arena *a = arena_new(0);
		catalog = value_keep(catalog_new(a));
		arena_free(a);
	}
	return catalog;
}

struct value *event_arguments_describe(struct arena *a, uint16_t type)
{
	struct value *out = value_new_array(a, T_EventArgDesc);

	for (unsigned i = F_Event_datacenter; i < schema_type(type)->n_fields; i++) {
		const struct schema_field *f = schema_field(type, i);
		const char *name = schema_field_name(f);
		if (i == F_Event_fullFormattedMessage || i == F_Event_changeTag ||
		    f->since > schema_version_served) {
			continue;
		}
		struct value *d = value_new(a, T_EventArgDesc);
		struct value *e = value_new(a, T_ElementDescription);
		struct buf words = BUF_INIT;
		wording_add(&words, name, strlen(name));
		wording_capital(&words, 0);
		value_set_str(a, e, F_Description_label, words.data);
		value_set_str(a, e, F_Description_summary, words.data);
		value_set_str(a, e, F_ElementDescription_key, name);
		value_set_str(a, d, F_EventArgDesc_name, name);
		value_set_str(a, d, F_EventArgDesc_type, schema_type_name(f->type));
		value_set(a, d, F_EventArgDesc_description, e);
		value_push(a, out, d);
		buf_free(&words);
	}
	return out;
}

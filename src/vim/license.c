/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file holds everything: LicenseAssignmentManagerLicenseAssignment structures, those of keys
 * that are assigned to nothing with an empty entityId.
 */
#include "vim/license.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vim/fault.h"
#include "vim/value_file.h"
#include "vim/weight.h"

enum {
	LICENSES_MAX = 1000,
	ASSIGNMENTS_MAX = 10000,
	ENTITY_ID_MAX = 255
};

static const char evaluation_key[] = "00000-00000-00000-00000-00000";

struct license_manager {
	struct inventory *inventory;
	struct object *object, *assignment; /* assignment: NULL where not wanted */
	char *path;
	const struct value *licenses; /* kept LicenseManagerLicenseInfo array; evaluation first */
	const struct value *assignments; /* kept LicenseAssignmentManagerLicenseAssignment array */
};

/* ---- licences ---- */

static void feature_push(struct arena *a, struct value *properties, const char *key,
			 const char *name)
{
	struct value *feature = value_new(a, T_KeyValue);
	struct value *property = value_new(a, T_KeyAnyValue);

	value_set_str(a, feature, F_KeyValue_key, key);
	value_set_str(a, feature, F_KeyValue_value, name);
	value_set_str(a, property, F_KeyAnyValue_key, "feature");
	value_set(a, property, F_KeyAnyValue_value, feature);
	value_push(a, properties, property);
}

static void text_push(struct arena *a, struct value *properties, const char *key, const char *text)
{
	struct value *property = value_new(a, T_KeyAnyValue);

	value_set_str(a, property, F_KeyAnyValue_key, key);
	value_set(a, property, F_KeyAnyValue_value, value_new_str(a, text));
	value_push(a, properties, property);
}

static struct value *license_new(struct arena *a, const char *key, const char *edition,
				 const char *name)
{
	struct value *l = value_new(a, T_LicenseManagerLicenseInfo);

	value_set_str(a, l, F_LicenseManagerLicenseInfo_licenseKey, key);
	value_set_str(a, l, F_LicenseManagerLicenseInfo_editionKey, edition);
	value_set_str(a, l, F_LicenseManagerLicenseInfo_name, name);
	value_set_num(a, l, F_LicenseManagerLicenseInfo_total, 0);
	value_set_str(a, l, F_LicenseManagerLicenseInfo_costUnit, "");
	return l;
}

static struct value *evaluation_new(struct arena *a)
{
	struct value *l = license_new(a, evaluation_key, "eval", "Evaluation Mode");
	struct value *properties = value_new_array(a, T_KeyAnyValue);

	feature_push(a, properties, "serialuri:2", "Remote virtual serial ports");
	feature_push(a, properties, "dvs", "Distributed switch");
	value_set(a, l, F_LicenseManagerLicenseInfo_properties, properties);
	return l;
}

static const char *license_key(const struct value *license)
{
	return value_get_str(license, F_LicenseManagerLicenseInfo_licenseKey);
}

static const struct value *license_find(const struct license_manager *m, const char *key)
{
	for (size_t i = 0; i < value_count(m->licenses); i++) {
		if (strcmp(license_key(value_item(m->licenses, i)), key) == 0) {
			return value_item(m->licenses, i);
		}
	}
	return NULL;
}

/* Five groups of five letters or digits. */
static bool key_is_well_formed(const char *key)
{
	for (size_t i = 0; i < 29; i++) {
		if (i % 6 == 5 ? key[i] != '-' : !isalnum((unsigned char)key[i])) {
			return false;
		}
	}
	return key[29] == '\0';
}

static struct value *recorded_new(struct arena *a, const char *key)
{
	return license_new(a, key, "recorded", "Recorded key, of no effect");
}

/* ---- storing ---- */

static const char *entity_of(const struct value *assignment)
{
	return value_get_str(assignment, F_LicenseAssignmentManagerLicenseAssignment_entityId);
}

static const struct value *license_of(const struct value *assignment)
{
	const unsigned field = F_LicenseAssignmentManagerLicenseAssignment_assignedLicense;

	return value_get_value(assignment, field);
}

static struct value *assignment_new(struct arena *a, const char *entity, const char *name,
				    const struct value *license)
{
	struct value *as = value_new(a, T_LicenseAssignmentManagerLicenseAssignment);

	value_set_str(a, as, F_LicenseAssignmentManagerLicenseAssignment_entityId, entity);
	value_set_str(a, as, F_LicenseAssignmentManagerLicenseAssignment_entityDisplayName, name);
	value_set(a, as, F_LicenseAssignmentManagerLicenseAssignment_assignedLicense, license);
	return as;
}

/* Stores and shows new lists; false and the call is over when they cannot be stored. */
static bool lists_set(struct call *c, struct license_manager *m, const struct value *licenses,
		      const struct value *assignments)
{
	struct value *stored =
		value_new_array(c->arena, T_LicenseAssignmentManagerLicenseAssignment);
	struct error e = { 0 };

	for (size_t i = 1; i < value_count(licenses); i++) {
		value_push(c->arena, stored,
			   assignment_new(c->arena, "", NULL, value_item(licenses, i)));
	}
	for (size_t i = 0; i < value_count(assignments); i++) {
		value_push(c->arena, stored, value_item(assignments, i));
	}
	if (!value_file_save(m->path, stored, &e)) {
		call_error(c, &e);
		return false;
	}
	const struct value *old[] = { m->licenses, m->assignments };
	m->licenses = value_keep(licenses);
	m->assignments = value_keep(assignments);
	value_drop(old[0]);
	value_drop(old[1]);
	inventory_set(m->object, P_LicenseManager_licenses, m->licenses);
	return true;
}

static bool stored_take(struct license_manager *m, struct arena *a, struct error *e)
{
	const struct value *stored =
		value_file_load(m->path, T_LicenseAssignmentManagerLicenseAssignment, a, e);
	struct value *licenses = value_new_array(a, T_LicenseManagerLicenseInfo);
	struct value *assignments = value_new_array(a, T_LicenseAssignmentManagerLicenseAssignment);

	value_push(a, licenses, evaluation_new(a));
	for (size_t i = 0; i < value_count(stored); i++) {
		const struct value *as = value_item(stored, i);
		if (entity_of(as)[0] != '\0') {
			value_push(a, assignments, as);
		} else {
			value_push(a, licenses, license_of(as));
		}
	}
	m->licenses = value_keep(licenses);
	m->assignments = value_keep(assignments);
	return stored != NULL;
}

/* ---- LicenseManager ---- */

static bool key_check(struct call *c, const char *key)
{
	if (key_is_well_formed(key)) {
		return true;
	}
	call_fault(c, fault_invalid_argument(c->arena, "licenseKey"),
		   "\"%.80s\" is no licence key: five groups of five letters or digits", key);
	return false;
}

static void decode_license(struct call *c)
{
	struct license_manager *m = call_arg(c);
	const char *key = value_get_str(c->args, A_LicenseManager_DecodeLicense_licenseKey);
	const struct value *known = license_find(m, key);

	if (key_check(c, key)) {
		call_return(c, known != NULL ? known : recorded_new(c->arena, key));
	}
}

/* The licence with other labels (NULL: as they are), known ones replaced, new ones put at the end.
 */
static void license_put(struct call *c, const char *key, const struct value *labels)
{
	struct license_manager *m = call_arg(c);
	struct arena *a = c->arena;
	const struct value *known = license_find(m, key);
	struct value *now = known == NULL ? recorded_new(a, key) : value_edit(a, known);
	struct value *list = value_new_array(a, T_LicenseManagerLicenseInfo);

	if (!key_check(c, key)) {
		return;
	}
	if ((known == NULL && value_count(m->licenses) >= LICENSES_MAX) ||
	    !weight_within(labels, WEIGHT_KEPT_MAX)) {
		call_fault(c, fault_new(a, T_LimitExceeded),
			   "There are %zu licence keys, at most %d with labels of %d bytes",
			   value_count(m->licenses), LICENSES_MAX, WEIGHT_KEPT_MAX);
		return;
	}
	if (labels != NULL) {
		value_set(a, now, F_LicenseManagerLicenseInfo_labels, labels);
	}
	for (size_t i = 0; i < value_count(m->licenses); i++) {
		const struct value *l = value_item(m->licenses, i);
		value_push(a, list, l == known ? now : l);
	}
	if (known == NULL) {
		value_push(a, list, now);
	}
	if (lists_set(c, m, list, m->assignments)) {
		call_return(c, schema_method(c->method)->result.kind == KIND_NONE ? NULL : now);
	}
}

static void add_license(struct call *c)
{
	license_put(c, value_get_str(c->args, A_LicenseManager_AddLicense_licenseKey),
		    value_get_value(c->args, A_LicenseManager_AddLicense_labels));
}

/* The licence that an argument names, or NULL and the call is over. */
static const struct value *license_argument(struct call *c, const char *key)
{
	const struct value *l = license_find(call_arg(c), key);

	if (l == NULL) {
		call_fault(c, fault_invalid_argument(c->arena, "licenseKey"),
			   "There is no licence key \"%.80s\"", key);
	}
	return l;
}

static void update_license(struct call *c)
{
	const char *key = value_get_str(c->args, A_LicenseManager_UpdateLicense_licenseKey);

	if (license_argument(c, key) != NULL) {
		license_put(c, key,
			    value_get_value(c->args, A_LicenseManager_UpdateLicense_labels));
	}
}

static void update_label(struct call *c)
{
	const char *key = value_get_str(c->args, A_LicenseManager_UpdateLicenseLabel_licenseKey);
	const char *label = value_get_str(c->args, A_LicenseManager_UpdateLicenseLabel_labelKey);
	const struct value *l = license_argument(c, key);
	const struct value *old = value_get_value(l, F_LicenseManagerLicenseInfo_labels);
	struct value *labels = value_new_array(c->arena, T_KeyValue);
	struct value *pair = value_new(c->arena, T_KeyValue);

	if (l == NULL) {
		return;
	}
	for (size_t i = 0; i < value_count(old); i++) {
		if (strcmp(value_get_str(value_item(old, i), F_KeyValue_key), label) != 0) {
			value_push(c->arena, labels, value_item(old, i));
		}
	}
	value_set_str(c->arena, pair, F_KeyValue_key, label);
	value_set_str(c->arena, pair, F_KeyValue_value,
		      value_get_str(c->args, A_LicenseManager_UpdateLicenseLabel_labelValue));
	value_push(c->arena, labels, pair);
	license_put(c, key, labels);
}

static void remove_license(struct call *c)
{
	struct license_manager *m = call_arg(c);
	const char *key = value_get_str(c->args, A_LicenseManager_RemoveLicense_licenseKey);
	const struct value *gone = license_argument(c, key);
	struct value *list = value_new_array(c->arena, T_LicenseManagerLicenseInfo);

	if (gone == NULL) {
		return;
	}
	if (strcmp(key, evaluation_key) == 0) {
		call_fault(c, fault_invalid_argument(c->arena, "licenseKey"),
			   "The evaluation licence stays");
		return;
	}
	for (size_t i = 0; i < value_count(m->assignments); i++) {
		const struct value *as = value_item(m->assignments, i);
		if (strcmp(license_key(license_of(as)), key) == 0) {
			call_fault(c, fault_new(c->arena, T_ResourceInUse),
				   "Licence key \"%s\" is assigned", key);
			return;
		}
	}
	for (size_t i = 0; i < value_count(m->licenses); i++) {
		if (value_item(m->licenses, i) != gone) {
			value_push(c->arena, list, value_item(m->licenses, i));
		}
	}
	if (lists_set(c, m, list, m->assignments)) {
		call_return(c, NULL);
	}
}

/* ---- LicenseAssignmentManager ---- */

/* Assignments without the one of that entity. */
static struct value *assignments_without(struct license_manager *m, const char *entity,
					 struct arena *a)
{
	struct value *list = value_new_array(a, T_LicenseAssignmentManagerLicenseAssignment);

	for (size_t i = 0; i < value_count(m->assignments); i++) {
		if (strcmp(entity_of(value_item(m->assignments, i)), entity) != 0) {
			value_push(a, list, value_item(m->assignments, i));
		}
	}
	return list;
}

/* What nobody assigned otherwise has the evaluation licence. */
static void query_assigned(struct call *c)
{
	struct license_manager *m = call_arg(c);
	const char *entity =
		value_get_str(c->args, A_LicenseAssignmentManager_QueryAssignedLicenses_entityId);
	struct value *out = value_new_array(c->arena, T_LicenseAssignmentManagerLicenseAssignment);

	for (size_t i = 0; i < value_count(m->assignments); i++) {
		const struct value *as = value_item(m->assignments, i);
		if (entity == NULL || strcmp(entity_of(as), entity) == 0) {
			value_push(c->arena, out, as);
		}
	}
	if (value_count(out) == 0 && entity != NULL) {
		struct object *o = inventory_find(m->inventory, entity);
		value_push(
			c->arena, out,
			assignment_new(c->arena, entity,
				       o == NULL ? NULL : object_get_str(o, P_ManagedEntity_name),
				       license_find(m, evaluation_key)));
	}
	call_return(c, value_count(out) == 0 ? NULL : out);
}

static void update_assigned(struct call *c)
{
	struct license_manager *m = call_arg(c);
	const struct value *args = c->args;
	const char *entity =
		value_get_str(args, A_LicenseAssignmentManager_UpdateAssignedLicense_entity);
	const char *name = value_get_str(
		args, A_LicenseAssignmentManager_UpdateAssignedLicense_entityDisplayName);
	const struct value *license = license_argument(
		c,
		value_get_str(args, A_LicenseAssignmentManager_UpdateAssignedLicense_licenseKey));

	if (license == NULL) {
		return;
	}
	struct value *list = assignments_without(m, entity, c->arena);
	if (entity[0] == '\0' || strlen(entity) > ENTITY_ID_MAX ||
	    value_count(list) >= ASSIGNMENTS_MAX || !weight_within(args, WEIGHT_KEPT_MAX)) {
		call_fault(c, fault_invalid_argument(c->arena, "entity"),
			   "\"%.80s\" is no id of 1 to %d bytes, or %d are assigned already",
			   entity, ENTITY_ID_MAX, ASSIGNMENTS_MAX);
		return;
	}
	value_push(c->arena, list, assignment_new(c->arena, entity, name, license));
	if (lists_set(c, m, m->licenses, list)) {
		call_return(c, license);
	}
}

static void remove_assigned(struct call *c)
{
	struct license_manager *m = call_arg(c);
	const char *entity =
		value_get_str(c->args, A_LicenseAssignmentManager_RemoveAssignedLicense_entityId);
	struct value *list = assignments_without(m, entity, c->arena);

	if (value_count(list) == value_count(m->assignments)) {
		struct value *fault = fault_new(c->arena, T_LicenseEntityNotFound);
		value_set_str(c->arena, fault, F_LicenseEntityNotFound_entityId, entity);
		call_fault(c, fault, "Nothing is assigned to \"%.80s\"", entity);
		return;
	}
	if (lists_set(c, m, m->licenses, list)) {
		call_return(c, NULL);
	}
}

/* ---- the managers ---- */

static void properties_set(struct license_manager *m, const char *edition, struct arena *a)
{
	struct value *evaluation = value_new(a, T_LicenseManagerEvaluationInfo);
	struct value *properties = value_new_array(a, T_KeyAnyValue);

	text_push(a, properties, "diagnostic", "This product needs no licence");
	value_set(a, evaluation, F_LicenseManagerEvaluationInfo_properties, properties);
	inventory_set(m->object, P_LicenseManager_source, value_new(a, T_EvaluationLicenseSource));
	inventory_set_bool(m->object, P_LicenseManager_sourceAvailable, true);
	inventory_set_str(m->object, P_LicenseManager_licensedEdition, edition);
	inventory_set(m->object, P_LicenseManager_licenses, m->licenses);
	inventory_set(m->object, P_LicenseManager_evaluation, evaluation);
	if (m->assignment != NULL) {
		inventory_set_ref(m->object, P_LicenseManager_licenseAssignmentManager,
				  m->assignment);
	}
}

static void methods_register(struct license_manager *m, struct service *s)
{
	static const struct {
		uint16_t type, method;
		call_fn *fn;
	} methods[] = {
		{ T_LicenseManager, M_LicenseManager_AddLicense, add_license },
		{ T_LicenseManager, M_LicenseManager_DecodeLicense, decode_license },
		{ T_LicenseManager, M_LicenseManager_UpdateLicense, update_license },
		{ T_LicenseManager, M_LicenseManager_UpdateLicenseLabel, update_label },
		{ T_LicenseManager, M_LicenseManager_RemoveLicense, remove_license },
		{ T_LicenseAssignmentManager, M_LicenseAssignmentManager_QueryAssignedLicenses,
		  query_assigned },
		{ T_LicenseAssignmentManager, M_LicenseAssignmentManager_UpdateAssignedLicense,
		  update_assigned },
		{ T_LicenseAssignmentManager, M_LicenseAssignmentManager_RemoveAssignedLicense,
		  remove_assigned },
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(s, methods[i].type, methods[i].method, methods[i].fn, m);
	}
}

struct license_manager *license_manager_new(struct service *s, const struct license_config *config,
					    struct error *e)
{
	struct license_manager *m = mem_zalloc(sizeof(*m));
	struct arena *a = arena_new(0);

	m->inventory = service_inventory(s);
	m->path = config->path == NULL ? NULL : mem_strdup(config->path);
	if (!stored_take(m, a, e)) {
		arena_free(a);
		license_manager_free(m);
		return NULL;
	}
	m->object = inventory_add(m->inventory, T_LicenseManager, config->id, NULL, m);
	if (config->assignment_id != NULL) {
		m->assignment = inventory_add(m->inventory, T_LicenseAssignmentManager,
					      config->assignment_id, NULL, m);
	}
	properties_set(m, config->edition, a);
	methods_register(m, s);
	arena_free(a);
	return m;
}

void license_manager_free(struct license_manager *m)
{
	if (m == NULL) {
		return;
	}
	inventory_remove(m->object);
	inventory_remove(m->assignment);
	value_drop(m->licenses);
	value_drop(m->assignments);
	free(m->path);
	free(m);
}

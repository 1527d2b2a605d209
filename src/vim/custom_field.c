/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/custom_field.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vim/fault.h"
#include "vim/value_file.h"
#include "vim/weight.h"

enum {
	FIELDS_MAX = 1000,
	NAME_MAX_BYTES = 255,
	VALUE_MAX_BYTES = 4096
};

struct custom_field_manager {
	struct inventory *inventory;
	struct object *object;
	char *path;
	const struct value *fields; /* kept CustomFieldDef array, by key */
	int32_t last_key;
	bool (*store)(void *arg, struct object *entity, const struct value *values,
		      struct error *e);
	void *arg;
};

/* ---- definitions ---- */

static const struct value *field_by_key(const struct custom_field_manager *m, int64_t key)
{
	for (size_t i = 0; i < value_count(m->fields); i++) {
		const struct value *f = value_item(m->fields, i);
		if (value_get_num(f, F_CustomFieldDef_key, 0) == key) {
			return f;
		}
	}
	return NULL;
}

/* Managed type that a field is for; T_ManagedEntity: every entity. */
static uint16_t field_type(const struct value *field)
{
	const char *name = value_get_str(field, F_CustomFieldDef_managedObjectType);

	return name == NULL ? T_ManagedEntity : schema_type_find(name, strlen(name));
}

static bool field_fits(const struct value *field, const struct object *o)
{
	return schema_is_a(o->type, field_type(field));
}

/* Among fields for one type (or for all) a name stands for one field. */
static const struct value *field_by_name(const struct custom_field_manager *m, const char *name,
					 uint16_t wanted)
{
	for (size_t i = 0; i < value_count(m->fields); i++) {
		const struct value *f = value_item(m->fields, i);
		uint16_t shown_on = field_type(f);
		if (strcmp(value_get_str(f, F_CustomFieldDef_name), name) == 0 &&
		    (schema_is_a(shown_on, wanted) || schema_is_a(wanted, shown_on))) {
			return f;
		}
	}
	return NULL;
}

/* The fields that an entity may have. */
static void available_show(const struct custom_field_manager *m, struct object *entity)
{
	struct arena *a = arena_new(0);
	struct value *fit = value_new_array(a, T_CustomFieldDef);

	for (size_t i = 0; i < value_count(m->fields); i++) {
		if (field_fits(value_item(m->fields, i), entity)) {
			value_push(a, fit, value_item(m->fields, i));
		}
	}
	inventory_set(entity, P_ExtensibleManagedObject_availableField, fit);
	arena_free(a);
}

static void fields_show(struct custom_field_manager *m)
{
	uint32_t i = 0;

	inventory_set(m->object, P_CustomFieldsManager_field, m->fields);
	for (struct object *o; (o = inventory_each(m->inventory, &i)) != NULL;) {
		if (schema_is_a(o->type, T_ManagedEntity)) {
			available_show(m, o);
		}
	}
}

/* Stores and shows a new list of definitions; false and the call is over when that fails. */
static bool fields_set(struct call *c, struct custom_field_manager *m, const struct value *fields)
{
	struct error e = { 0 };

	if (!value_file_save(m->path, fields, &e)) {
		call_error(c, &e);
		return false;
	}
	const struct value *kept = value_keep(fields);
	value_drop(m->fields);
	m->fields = kept;
	fields_show(m);
	return true;
}

static bool name_check(struct call *c, const struct custom_field_manager *m, const char *name,
		       uint16_t type)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_MAX_BYTES) {
		call_fault(c, fault_invalid_argument(c->arena, "name"),
			   "A custom field's name has 1 to %d bytes, this one has %zu",
			   NAME_MAX_BYTES, len);
		return false;
	}
	if (field_by_name(m, name, type) != NULL) {
		call_fault(c, fault_duplicate_name(c->arena, name, m->object),
			   "The custom field \"%s\" exists already", name);
		return false;
	}
	return true;
}

/* The definition that the key argument names, or NULL and the call is over. */
static const struct value *field_argument(struct call *c, const struct custom_field_manager *m,
					  unsigned arg)
{
	int64_t key = value_get_num(c->args, arg, 0);
	const struct value *f = field_by_key(m, key);

	if (f == NULL) {
		call_fault(c, fault_invalid_argument(c->arena, "key"),
			   "There is no custom field with key %d", (int)key);
	}
	return f;
}

/* The privilege that a policy asks for, or the usual one. */
static const char *policy_privilege(const struct value *field, unsigned policy, unsigned which,
				    const char *otherwise)
{
	const char *name = value_get_str(value_get_value(field, policy), which);

	return name != NULL && name[0] != '\0' ? name : otherwise;
}

static bool type_argument(struct call *c, uint16_t *type)
{
	const char *name = value_get_str(c->args, A_CustomFieldsManager_AddCustomFieldDef_moType);

	*type = T_ManagedEntity;
	if (name == NULL || name[0] == '\0') {
		return true;
	}
	*type = schema_type_find(name, strlen(name));
	if (*type == T_none || !schema_is_a(*type, T_ManagedEntity)) {
		call_fault(c, fault_invalid_argument(c->arena, "moType"),
			   "\"%.80s\" is no type of entities", name);
		return false;
	}
	return true;
}

static void add_field(struct call *c)
{
	struct custom_field_manager *m = call_arg(c);
	const char *name = value_get_str(c->args, A_CustomFieldsManager_AddCustomFieldDef_name);
	uint16_t type;

	if (!type_argument(c, &type) || !name_check(c, m, name, type)) {
		return;
	}
	if (value_count(m->fields) >= FIELDS_MAX || m->last_key == INT32_MAX ||
	    !weight_within(c->args, WEIGHT_KEPT_MAX)) {
		call_fault(c, fault_new(c->arena, T_LimitExceeded),
			   "There are %zu custom fields, at most %d of %d bytes",
			   value_count(m->fields), FIELDS_MAX, WEIGHT_KEPT_MAX);
		return;
	}
	struct arena *a = c->arena;
	struct value *f = value_new(a, T_CustomFieldDef);
	value_set_num(a, f, F_CustomFieldDef_key, m->last_key + 1);
	value_set_str(a, f, F_CustomFieldDef_name, name);
	value_set_str(a, f, F_CustomFieldDef_type, "string");
	value_set_str(a, f, F_CustomFieldDef_managedObjectType,
		      type == T_ManagedEntity ? NULL : schema_type_name(type));
	value_set(a, f, F_CustomFieldDef_fieldDefPrivileges,
		  value_get_value(c->args, A_CustomFieldsManager_AddCustomFieldDef_fieldDefPolicy));
	value_set(a, f, F_CustomFieldDef_fieldInstancePrivileges,
		  value_get_value(c->args, A_CustomFieldsManager_AddCustomFieldDef_fieldPolicy));
	struct value *fields =
		m->fields == NULL ? value_new_array(a, T_CustomFieldDef) : value_edit(a, m->fields);
	value_push(a, fields, f);
	if (fields_set(c, m, fields)) {
		m->last_key++;
		call_return(c, f);
	}
}

static void rename_field(struct call *c)
{
	struct custom_field_manager *m = call_arg(c);
	const struct value *f =
		field_argument(c, m, A_CustomFieldsManager_RenameCustomFieldDef_key);
	const char *name = value_get_str(c->args, A_CustomFieldsManager_RenameCustomFieldDef_name);
	struct arena *a = c->arena;

	if (f == NULL || !call_require(c, c->self,
				       policy_privilege(f, F_CustomFieldDef_fieldDefPrivileges,
							F_PrivilegePolicyDef_updatePrivilege,
							"Global.ManageCustomFields"))) {
		return;
	}
	if (strcmp(value_get_str(f, F_CustomFieldDef_name), name) == 0) {
		call_return(c, NULL);
		return;
	}
	if (!name_check(c, m, name, field_type(f))) {
		return;
	}
	struct value *fields = value_new_array(a, T_CustomFieldDef);
	for (size_t i = 0; i < value_count(m->fields); i++) {
		const struct value *at = value_item(m->fields, i);
		if (at == f) {
			struct value *renamed = value_edit(a, f);
			value_set_str(a, renamed, F_CustomFieldDef_name, name);
			at = renamed;
		}
		value_push(a, fields, at);
	}
	if (fields_set(c, m, fields)) {
		call_return(c, NULL);
	}
}

/* ---- values ---- */

/* An entity's values with one of them replaced, or taken out where text is NULL or empty. */
static struct value *values_edit(struct arena *a, struct object *entity, int64_t key,
				 const char *text)
{
	const struct value *old = object_get(entity, P_ManagedEntity_customValue, a);
	struct value *values = value_new_array(a, T_CustomFieldValue);

	for (size_t i = 0; i < value_count(old); i++) {
		const struct value *v = value_item(old, i);
		if (value_get_num(v, F_CustomFieldValue_key, 0) != key) {
			value_push(a, values, v);
		}
	}
	if (text != NULL && text[0] != '\0') {
		struct value *v = value_new(a, T_CustomFieldStringValue);
		value_set_num(a, v, F_CustomFieldValue_key, key);
		value_set_str(a, v, F_CustomFieldStringValue_value, text);
		value_push(a, values, v);
	}
	return values;
}

static void values_show(struct object *entity, const struct value *values)
{
	inventory_set(entity, P_ExtensibleManagedObject_value, values);
	inventory_set(entity, P_ManagedEntity_customValue, values);
}

static bool values_set(struct custom_field_manager *m, struct object *entity,
		       const struct value *values, struct error *e)
{
	if (m->store != NULL && !m->store(m->arg, entity, values, e)) {
		return false;
	}
	values_show(entity, values);
	return true;
}

static void value_set_on(struct call *c, struct custom_field_manager *m, const struct value *field,
			 struct object *entity, const char *text)
{
	int64_t key = value_get_num(field, F_CustomFieldDef_key, 0);
	struct error e = { 0 };

	if (!field_fits(field, entity)) {
		call_fault(c, fault_invalid_argument(c->arena, "entity"),
			   "Custom field \"%s\" is not for \"%s\"",
			   value_get_str(field, F_CustomFieldDef_name), object_id(entity));
		return;
	}
	if (!call_require(c, entity,
			  policy_privilege(field, F_CustomFieldDef_fieldInstancePrivileges,
					   F_PrivilegePolicyDef_updatePrivilege,
					   "Global.SetCustomField"))) {
		return;
	}
	if (strlen(text) > VALUE_MAX_BYTES) {
		call_fault(c, fault_invalid_argument(c->arena, "value"),
			   "A custom field's value has at most %d bytes, this one has %zu",
			   VALUE_MAX_BYTES, strlen(text));
		return;
	}
	if (!values_set(m, entity, values_edit(c->arena, entity, key, text), &e)) {
		call_error(c, &e);
		return;
	}
	call_return(c, NULL);
}

static void set_field(struct call *c)
{
	struct custom_field_manager *m = call_arg(c);
	bool ok;
	struct object *entity =
		call_object(c, A_CustomFieldsManager_SetField_entity, T_ManagedEntity, &ok);

	if (entity == NULL) {
		return;
	}
	const struct value *field = field_argument(c, m, A_CustomFieldsManager_SetField_key);
	if (field != NULL) {
		value_set_on(c, m, field, entity,
			     value_get_str(c->args, A_CustomFieldsManager_SetField_value));
	}
}

static void set_custom_value(struct call *c)
{
	struct custom_field_manager *m = call_arg(c);
	const char *name = value_get_str(c->args, A_ExtensibleManagedObject_setCustomValue_key);
	const struct value *field = field_by_name(m, name, c->self->type);

	if (field == NULL) {
		call_fault(c, fault_invalid_argument(c->arena, "key"),
			   "There is no custom field \"%.80s\" for \"%s\"", name,
			   object_id(c->self));
		return;
	}
	value_set_on(c, m, field, c->self,
		     value_get_str(c->args, A_ExtensibleManagedObject_setCustomValue_value));
}

static bool has_value(struct object *o, int64_t key)
{
	const struct value *values = object_get(o, P_ManagedEntity_customValue, NULL);

	for (size_t i = 0; i < value_count(values); i++) {
		if (value_get_num(value_item(values, i), F_CustomFieldValue_key, 0) == key) {
			return true;
		}
	}
	return false;
}

/* Values go first: a field that is still there because its removal failed loses only those that
 * were taken out before. */
static bool values_remove(struct custom_field_manager *m, int64_t key, struct error *e)
{
	struct arena *a = arena_new(0);
	bool ok = true;
	uint32_t i = 0;

	for (struct object *o; ok && (o = inventory_each(m->inventory, &i)) != NULL;) {
		if (schema_is_a(o->type, T_ManagedEntity) && has_value(o, key)) {
			ok = values_set(m, o, values_edit(a, o, key, NULL), e);
		}
	}
	arena_free(a);
	return ok;
}

static void remove_field(struct call *c)
{
	struct custom_field_manager *m = call_arg(c);
	const struct value *f =
		field_argument(c, m, A_CustomFieldsManager_RemoveCustomFieldDef_key);
	struct error e = { 0 };

	if (f == NULL || !call_require(c, c->self,
				       policy_privilege(f, F_CustomFieldDef_fieldDefPrivileges,
							F_PrivilegePolicyDef_deletePrivilege,
							"Global.ManageCustomFields"))) {
		return;
	}
	if (!values_remove(m, value_get_num(f, F_CustomFieldDef_key, 0), &e)) {
		call_error(c, &e);
		return;
	}
	struct value *fields = value_new_array(c->arena, T_CustomFieldDef);
	for (size_t i = 0; i < value_count(m->fields); i++) {
		if (value_item(m->fields, i) != f) {
			value_push(c->arena, fields, value_item(m->fields, i));
		}
	}
	if (fields_set(c, m, fields)) {
		call_return(c, NULL);
	}
}

void custom_field_attach(struct custom_field_manager *m, struct object *entity,
			 const struct value *values)
{
	available_show(m, entity);
	if (value_count(values) > 0) {
		values_show(entity, values);
	}
}

/* ---- the manager ---- */

struct custom_field_manager *custom_field_manager_new(struct service *s,
						      const struct custom_field_config *config,
						      struct error *e)
{
	struct arena *a = arena_new(0);
	const struct value *fields = value_file_load(config->path, T_CustomFieldDef, a, e);

	if (fields == NULL) {
		arena_free(a);
		return NULL;
	}
	struct custom_field_manager *m = mem_zalloc(sizeof(*m));
	m->inventory = service_inventory(s);
	m->path = config->path == NULL ? NULL : mem_strdup(config->path);
	m->store = config->store;
	m->arg = config->arg;
	m->fields = value_keep(fields);
	for (size_t i = 0; i < value_count(fields); i++) {
		m->last_key = MAX(m->last_key, (int32_t)value_get_num(value_item(fields, i),
								      F_CustomFieldDef_key, 0));
	}
	m->object = inventory_add(m->inventory, T_CustomFieldsManager, config->id, NULL, m);
	fields_show(m);
	service_handle(s, T_CustomFieldsManager, M_CustomFieldsManager_AddCustomFieldDef, add_field,
		       m);
	service_handle(s, T_CustomFieldsManager, M_CustomFieldsManager_RemoveCustomFieldDef,
		       remove_field, m);
	service_handle(s, T_CustomFieldsManager, M_CustomFieldsManager_RenameCustomFieldDef,
		       rename_field, m);
	service_handle(s, T_CustomFieldsManager, M_CustomFieldsManager_SetField, set_field, m);
	service_handle(s, T_ManagedEntity, M_ExtensibleManagedObject_setCustomValue,
		       set_custom_value, m);
	arena_free(a);
	return m;
}

void custom_field_manager_free(struct custom_field_manager *m)
{
	if (m == NULL) {
		return;
	}
	inventory_remove(m->object);
	value_drop(m->fields);
	free(m->path);
	free(m);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/stranger.h"

#include <string.h>

#include "vim/fault.h"

static const char text[] = "The session is not authenticated.";

/* The specs of the call; NULL when it is no retrieval. */
static const struct value *specs_of(const struct call *c)
{
	switch (c->method) {
	case M_PropertyCollector_RetrieveProperties:
		return value_get_value(c->args, A_PropertyCollector_RetrieveProperties_specSet);
	case M_PropertyCollector_RetrievePropertiesEx:
		return value_get_value(c->args, A_PropertyCollector_RetrievePropertiesEx_specSet);
	default:
		return NULL;
	}
}

static bool is_about_sessions(const struct value *spec)
{
	const struct value *objects = value_get_value(spec, F_PropertyFilterSpec_objectSet);
	const struct value *props = value_get_value(spec, F_PropertyFilterSpec_propSet);

	for (size_t i = 0; i < value_count(objects); i++) {
		const struct value *o = value_item(objects, i);
		if (value_type(value_get_value(o, F_ObjectSpec_obj)) != T_SessionManager ||
		    value_count(value_get_value(o, F_ObjectSpec_selectSet)) != 0) {
			return false;
		}
	}
	for (size_t i = 0; i < value_count(props); i++) {
		const char *type = value_get_str(value_item(props, i), F_PropertySpec_type);
		if (strcmp(type, "SessionManager") != 0) {
			return false;
		}
	}
	return value_count(objects) == 1 && value_count(props) == 1;
}

/* ObjectContent: all paths are missing. */
static struct value *missing(const struct value *spec, struct arena *a)
{
	const struct value *object =
		value_item(value_get_value(spec, F_PropertyFilterSpec_objectSet), 0);
	const struct value *prop =
		value_item(value_get_value(spec, F_PropertyFilterSpec_propSet), 0);
	const struct value *paths = value_get_value(prop, F_PropertySpec_pathSet);
	const struct value *ref = value_get_value(object, F_ObjectSpec_obj);
	struct value *list = value_new_array(a, T_MissingProperty);
	struct value *fault = fault_new(a, T_NotAuthenticated);
	struct value *v = value_new(a, T_ObjectContent);

	value_set(a, fault, F_NoPermission_object, ref);
	value_set_str(a, fault, F_NoPermission_privilegeId, "System.View");
	for (size_t i = 0; i < value_count(paths); i++) {
		struct value *m = value_new(a, T_MissingProperty);
		value_set(a, m, F_MissingProperty_path, value_item(paths, i));
		value_set(a, m, F_MissingProperty_fault, fault_localized(a, fault, text));
		value_push(a, list, m);
	}
	value_set(a, v, F_ObjectContent_obj, ref);
	value_set(a, v, F_ObjectContent_missingSet, list);
	return v;
}

bool stranger_answer(struct call *c)
{
	const struct value *specs = specs_of(c);

	if (value_count(specs) != 1 || !is_about_sessions(value_item(specs, 0))) {
		return false;
	}
	struct value *objects = value_new_array(c->arena, T_ObjectContent);
	value_push(c->arena, objects, missing(value_item(specs, 0), c->arena));
	if (c->method == M_PropertyCollector_RetrieveProperties) {
		call_return(c, objects);
		return true;
	}
	struct value *result = value_new(c->arena, T_RetrieveResult);
	value_set(c->arena, result, F_RetrieveResult_objects, objects);
	call_return(c, result);
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/option.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "vim/fault.h"
#include "vim/value_file.h"

enum {
	KEY_MAX = 255,
	TEXT_MAX = 4096,
	OPEN_MAX = 1000 /* settings that clients added */
};

struct option {
	const struct option_spec *spec; /* NULL: a client added it */
	const struct value *value;	/* kept, boxed */
};

struct option_manager {
	struct object *object;
	char *path, *privilege, *open_prefix;
	struct map options; /* key → struct option, in order of the specs */
	size_t n_open;
	void (*changed)(void *arg, const char *key, const struct value *value);
	void *arg;
	VEC(struct option_spec) specs;
};

/* ---- specs ---- */

static void spec_copy(struct option_spec *to, const struct option_spec *from)
{
	size_t n = 0;

	*to = *from;
	to->key = mem_strdup(from->key);
	to->label = mem_strdup(from->label);
	to->summary = mem_strdup(from->summary);
	to->text = from->text == NULL ? NULL : mem_strdup(from->text);
	if (from->kind == OPTION_CHOICE) {
		while (from->choices[n] != NULL) {
			n++;
		}
		char **choices = mem_calloc(n + 1, sizeof(*choices));
		for (size_t i = 0; i < n; i++) {
			choices[i] = mem_strdup(from->choices[i]);
		}
		to->choices = (const char *const *)choices;
	}
}

static struct value *spec_default(struct arena *a, const struct option_spec *spec)
{
	switch (spec->kind) {
	case OPTION_BOOL:
		return value_new_bool(a, spec->number != 0);
	case OPTION_INT:
		return value_new_int(a, (int32_t)spec->number);
	case OPTION_LONG:
		return value_new_long(a, spec->number);
	case OPTION_STRING:
	case OPTION_CHOICE:
		break;
	}
	return value_new_str(a, spec->text == NULL ? "" : spec->text);
}

static struct value *choice_type(struct arena *a, const struct option_spec *spec)
{
	struct value *type = value_new(a, T_ChoiceOption);
	struct value *list = value_new_array(a, T_ElementDescription);

	for (int i = 0; spec->choices[i] != NULL; i++) {
		struct value *e = value_new(a, T_ElementDescription);
		value_set_str(a, e, F_Description_label, spec->choices[i]);
		value_set_str(a, e, F_Description_summary, spec->choices[i]);
		value_set_str(a, e, F_ElementDescription_key, spec->choices[i]);
		value_push(a, list, e);
		if (spec->text != NULL && strcmp(spec->text, spec->choices[i]) == 0) {
			value_set_num(a, type, F_ChoiceOption_defaultIndex, i);
		}
	}
	value_set(a, type, F_ChoiceOption_choiceInfo, list);
	return type;
}

static struct value *option_type(struct arena *a, const struct option_spec *spec)
{
	struct value *type = NULL;

	switch (spec->kind) {
	case OPTION_BOOL:
		type = value_new(a, T_BoolOption);
		value_set_bool(a, type, F_BoolOption_supported, true);
		value_set_bool(a, type, F_BoolOption_defaultValue, spec->number != 0);
		break;
	case OPTION_INT:
		type = value_new(a, T_IntOption);
		value_set_num(a, type, F_IntOption_min, spec->min);
		value_set_num(a, type, F_IntOption_max, spec->max);
		value_set_num(a, type, F_IntOption_defaultValue, spec->number);
		break;
	case OPTION_LONG:
		type = value_new(a, T_LongOption);
		value_set_num(a, type, F_LongOption_min, spec->min);
		value_set_num(a, type, F_LongOption_max, spec->max);
		value_set_num(a, type, F_LongOption_defaultValue, spec->number);
		break;
	case OPTION_CHOICE:
		type = choice_type(a, spec);
		break;
	case OPTION_STRING:
		type = value_new(a, T_StringOption);
		value_set_str(a, type, F_StringOption_defaultValue,
			      spec->text == NULL ? "" : spec->text);
		break;
	}
	value_set_bool(a, type, F_OptionType_valueIsReadonly, spec->readonly);
	return type;
}

static void supported_publish(struct option_manager *m, struct arena *a)
{
	struct value *defs = value_new_array(a, T_OptionDef);

	vec_each (&m->specs, spec) {
		struct value *def = value_new(a, T_OptionDef);
		value_set_str(a, def, F_Description_label, spec->label);
		value_set_str(a, def, F_Description_summary, spec->summary);
		value_set_str(a, def, F_ElementDescription_key, spec->key);
		value_set(a, def, F_OptionDef_optionType, option_type(a, spec));
		value_push(a, defs, def);
	}
	inventory_set(m->object, P_OptionManager_supportedOption, defs);
}

/* ---- values ---- */

static struct value *option_value(struct arena *a, const char *key, const struct value *value)
{
	struct value *o = value_new(a, T_OptionValue);

	value_set_str(a, o, F_OptionValue_key, key);
	value_set(a, o, F_OptionValue_value, value);
	return o;
}

static void setting_publish(struct option_manager *m, struct arena *a)
{
	struct value *list = value_new_array(a, T_OptionValue);

	map_each (&m->options, it) {
		value_push(a, list, option_value(a, it->key, ((struct option *)it->value)->value));
	}
	inventory_set(m->object, P_OptionManager_setting, list);
}

static bool is_default(const struct option *o, struct arena *a)
{
	return o->spec != NULL && value_equal(o->value, spec_default(a, o->spec));
}

/* The number that v stands for; false when it is none. Clients write int where a long is meant. */
static bool number_from(const struct value *v, int64_t *out)
{
	if (value_kind(v) < KIND_BYTE || value_kind(v) > KIND_LONG) {
		return false;
	}
	*out = value_scalar(v).num;
	return true;
}

static bool is_text(const struct value *v)
{
	return value_kind(v) == KIND_STRING && value_len(v) <= TEXT_MAX &&
	       strlen(value_bytes(v)) == value_len(v);
}

static bool is_choice(const struct option_spec *spec, const char *text)
{
	for (int i = 0; spec->choices[i] != NULL; i++) {
		if (strcmp(spec->choices[i], text) == 0) {
			return true;
		}
	}
	return false;
}

/* v as the option holds it, or NULL with the reason. */
static const struct value *value_check(const struct option_spec *spec, const char *key,
				       const struct value *v, struct arena *a, struct error *e)
{
	int64_t n = 0;

	if (spec == NULL || spec->kind == OPTION_STRING || spec->kind == OPTION_CHOICE) {
		if (!is_text(v)) {
			error_set(e, ERROR_INVALID,
				  "option \"%s\" takes a text of at most %d bytes", key, TEXT_MAX);
			return NULL;
		}
		if (spec != NULL && spec->kind == OPTION_CHOICE &&
		    !is_choice(spec, value_bytes(v))) {
			error_set(e, ERROR_INVALID, "\"%.80s\" is no choice of option \"%s\"",
				  value_bytes(v), key);
			return NULL;
		}
		return v;
	}
	if (spec->kind == OPTION_BOOL) {
		if (value_kind(v) != KIND_BOOL) {
			error_set(e, ERROR_INVALID, "option \"%s\" takes true or false", key);
			return NULL;
		}
		return v;
	}
	if (!number_from(v, &n) || n < spec->min || n > spec->max) {
		error_set(e, ERROR_INVALID,
			  "option \"%s\" takes a number from %" PRId64 " to %" PRId64, key,
			  spec->min, spec->max);
		return NULL;
	}
	return spec->kind == OPTION_INT ? value_new_int(a, (int32_t)n) : value_new_long(a, n);
}

const struct value *option_get(const struct option_manager *m, const char *key)
{
	const struct option *o = map_get(&m->options, key);

	return o == NULL ? NULL : o->value;
}

int64_t option_get_num(const struct option_manager *m, const char *key, int64_t otherwise)
{
	const struct value *v = option_get(m, key);

	return v != NULL && schema_kind_is_scalar(v->kind) ? value_scalar(v).num : otherwise;
}

static struct option *option_add(struct option_manager *m, const char *key,
				 const struct option_spec *spec)
{
	struct option *o = mem_zalloc(sizeof(*o));

	o->spec = spec;
	map_set(&m->options, key, o);
	m->n_open += spec == NULL;
	return o;
}

static bool is_open(const struct option_manager *m, const char *key)
{
	return m->open_prefix != NULL && strlen(key) <= KEY_MAX &&
	       strncmp(key, m->open_prefix, strlen(m->open_prefix)) == 0;
}

/* ---- methods ---- */

static const struct object_class option_class;

/* The manager that the call is for; else the call is over: other parts of a program may have
 * OptionManager objects of their own. */
static struct option_manager *manager_of(struct call *c)
{
	if (c->self->class == &option_class) {
		return c->self->owner;
	}
	call_fault(c, fault_new(c->arena, T_NotSupported), "\"%s\" keeps no options here",
		   object_id(c->self));
	return NULL;
}

static void refuse_name(struct call *c, const char *name)
{
	call_fault(c, fault_invalid_name(c->arena, name, NULL), "There is no option \"%.80s\"",
		   name);
}

/* An exact name, or every option below a name that ends in a dot. */
static void query_options(struct call *c)
{
	struct option_manager *m = manager_of(c);
	const char *name = value_get_str(c->args, A_OptionManager_QueryOptions_name);
	size_t len = name == NULL ? 0 : strlen(name);
	bool prefix = len == 0 || name[len - 1] == '.';
	struct value *out = value_new_array(c->arena, T_OptionValue);

	if (m == NULL) {
		return;
	}
	map_each (&m->options, it) {
		if (prefix ? strncmp(it->key, name == NULL ? "" : name, len) == 0
			   : strcmp(it->key, name) == 0) {
			value_push(c->arena, out,
				   option_value(c->arena, it->key,
						((struct option *)it->value)->value));
		}
	}
	if (value_count(out) == 0 && len > 0) {
		refuse_name(c, name);
		return;
	}
	call_return(c, value_count(out) == 0 ? NULL : out);
}

/* One changed value as it will be held; false and the call is over when it may not be. */
static bool change_check(struct call *c, struct option_manager *m, const struct value *change,
			 struct value *checked, size_t *n_new)
{
	const char *key = value_get_str(change, F_OptionValue_key);
	const struct option *o = map_get(&m->options, key);
	const struct option_spec *spec = o == NULL ? NULL : o->spec;
	struct error e = { 0 };

	if (o == NULL && !is_open(m, key)) {
		refuse_name(c, key);
		return false;
	}
	*n_new += o == NULL;
	if (m->n_open + *n_new > OPEN_MAX) {
		call_fault(c, fault_new(c->arena, T_LimitExceeded),
			   "There are %zu added options already, at most %d", m->n_open, OPEN_MAX);
		return false;
	}
	if (spec != NULL && spec->readonly) {
		call_fault(c, fault_invalid_argument(c->arena, key),
			   "Option \"%s\" cannot be changed", key);
		return false;
	}
	const struct value *v =
		value_check(spec, key, value_get_value(change, F_OptionValue_value), c->arena, &e);
	if (v == NULL) {
		call_fault(c, fault_invalid_argument(c->arena, key), "%s", e.msg);
		return false;
	}
	value_push(c->arena, checked, option_value(c->arena, key, v));
	return true;
}

/* What the file would say after the changes: everything that is not as it was delivered. */
static bool changes_save(const struct option_manager *m, const struct value *changes,
			 struct arena *a, struct error *e)
{
	struct value *stored = value_new_array(a, T_OptionValue);
	struct map changed = { 0 };

	for (size_t i = 0; i < value_count(changes); i++) {
		const struct value *change = value_item(changes, i);
		map_set(&changed, value_get_str(change, F_OptionValue_key), NULL);
	}
	map_each (&m->options, it) {
		const struct option *o = it->value;
		if (!map_has(&changed, it->key) && !is_default(o, a)) {
			value_push(a, stored, option_value(a, it->key, o->value));
		}
	}
	for (size_t i = 0; i < value_count(changes); i++) {
		value_push(a, stored, value_item(changes, i));
	}
	map_free(&changed);
	return value_file_save(m->path, stored, e);
}

static void change_apply(struct option_manager *m, const struct value *change)
{
	const char *key = value_get_str(change, F_OptionValue_key);
	struct option *o = map_get(&m->options, key);
	const struct value *now = value_keep(value_get_value(change, F_OptionValue_value));

	if (o == NULL) {
		o = option_add(m, key, NULL);
	}
	bool differs = now != o->value;
	value_drop(o->value);
	o->value = now;
	if (differs && m->changed != NULL) {
		m->changed(m->arg, key, now);
	}
}

void option_set_fact(struct option_manager *m, const char *key, const char *text)
{
	struct option *o = map_get(&m->options, key);
	struct arena *a = arena_new(0);

	assert(o != NULL && o->spec != NULL && o->spec->readonly && o->spec->kind == OPTION_STRING);
	struct option_spec *spec = &m->specs.items[o->spec - m->specs.items];
	char *mine = mem_strdup(text);
	free((char *)(uintptr_t)spec->text);
	spec->text = mine;
	change_apply(m, option_value(a, key, value_new_str(a, text)));
	supported_publish(m, a);
	setting_publish(m, a);
	arena_free(a);
}

static void update_options(struct call *c)
{
	struct option_manager *m = manager_of(c);
	const struct value *changes =
		value_get_value(c->args, A_OptionManager_UpdateOptions_changedValue);
	struct value *checked = value_new_array(c->arena, T_OptionValue);
	struct error e = { 0 };
	size_t n_new = 0;

	if (m == NULL || !call_require(c, c->self, m->privilege)) {
		return;
	}
	for (size_t i = 0; i < value_count(changes); i++) {
		if (!change_check(c, m, value_item(changes, i), checked, &n_new)) {
			return;
		}
	}
	if (!changes_save(m, checked, c->arena, &e)) {
		call_error(c, &e);
		return;
	}
	for (size_t i = 0; i < value_count(checked); i++) {
		change_apply(m, value_item(checked, i));
	}
	setting_publish(m, c->arena);
	call_return(c, NULL);
}

/* ---- the manager ---- */

static void specs_take(struct option_manager *m, const struct option_config *config,
		       struct arena *a)
{
	vec_reserve(&m->specs, config->n_specs);
	for (size_t i = 0; i < config->n_specs; i++) {
		struct option_spec *spec = &m->specs.items[m->specs.n++];
		spec_copy(spec, &config->specs[i]);
		option_add(m, spec->key, spec)->value = value_keep(spec_default(a, spec));
	}
}

/* Stored values; what the present version does not know or allow is left out. */
static bool stored_take(struct option_manager *m, struct arena *a, struct error *e)
{
	const struct value *stored = value_file_load(m->path, T_OptionValue, a, e);

	for (size_t i = 0; i < value_count(stored); i++) {
		const struct value *o = value_item(stored, i);
		const char *key = value_get_str(o, F_OptionValue_key);
		const struct option *known = map_get(&m->options, key);
		const struct value *v = value_get_value(o, F_OptionValue_value);
		if (known == NULL && (!is_open(m, key) || m->n_open >= OPEN_MAX)) {
			continue;
		}
		v = value_check(known == NULL ? NULL : known->spec, key, v, a, NULL);
		if (v != NULL) {
			change_apply(m, option_value(a, key, v));
		}
	}
	return stored != NULL;
}

struct option_manager *option_manager_new(struct service *s, const struct option_config *config,
					  struct error *e)
{
	struct option_manager *m = mem_zalloc(sizeof(*m));
	struct arena *a = arena_new(0);

	m->path = config->path == NULL ? NULL : mem_strdup(config->path);
	m->privilege =
		mem_strdup(config->privilege == NULL ? "Global.Settings" : config->privilege);
	m->open_prefix = config->open_prefix == NULL ? NULL : mem_strdup(config->open_prefix);
	specs_take(m, config, a);
	if (!stored_take(m, a, e)) {
		arena_free(a);
		option_manager_free(m);
		return NULL;
	}
	m->changed = config->changed;
	m->arg = config->arg;
	m->object =
		inventory_add(service_inventory(s), T_OptionManager, config->id, &option_class, m);
	supported_publish(m, a);
	setting_publish(m, a);
	service_handle(s, T_OptionManager, M_OptionManager_QueryOptions, query_options, NULL);
	service_handle(s, T_OptionManager, M_OptionManager_UpdateOptions, update_options, NULL);
	arena_free(a);
	return m;
}

static void spec_free(struct option_spec *spec)
{
	union {
		const char *const *shared;
		char **own;
	} choices = { .shared = spec->choices };
	union {
		const char *shared;
		char *own;
	} text[] = { { spec->key }, { spec->label }, { spec->summary }, { spec->text } };

	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		free(text[i].own);
	}
	if (spec->kind == OPTION_CHOICE) {
		for (char **at = choices.own; *at != NULL; at++) {
			free(*at);
		}
		free(choices.own);
	}
}

void option_manager_free(struct option_manager *m)
{
	if (m == NULL) {
		return;
	}
	inventory_remove(m->object);
	map_each (&m->options, it) {
		struct option *o = it->value;
		value_drop(o->value);
		free(o);
	}
	map_free(&m->options);
	vec_each (&m->specs, spec) {
		spec_free(spec);
	}
	vec_free(&m->specs);
	free(m->path);
	free(m->privilege);
	free(m->open_prefix);
	free(m);
}

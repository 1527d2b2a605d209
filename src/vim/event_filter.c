/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which events a client sees: what EventFilterSpec selects and the session may read. What this
 * server cannot select by (alarms, scheduled tasks, tags) is refused, so that nobody takes the
 * answer for something else.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "vim/entity.h"
#include "vim/event_catalog.h"
#include "vim/event_record.h"
#include "vim/fault.h"
#include "vim/weight.h"

struct event_filter {
	struct event_manager *manager;
	const struct value *spec;   /* kept EventFilterSpec */
	const struct value *entity; /* kept reference, or NULL: any */
	int recursion;
	uint16_t *types; /* n_types of `type` and `eventTypeId`; T_none: an id of EventEx */
	size_t n_types;
};

void event_filter_free(void *filter)
{
	struct event_filter *f = filter;

	if (f == NULL) {
		return;
	}
	value_drop(f->spec);
	value_drop(f->entity);
	free(f->types);
	free(f);
}

/* ---- matching ---- */

/* References that say where the event happened, from near to far. */
enum {
	N_PLACES = 5
};
static void places(const struct event_record *r, const struct value *out[N_PLACES])
{
	static const unsigned fields[] = { F_Event_host, F_Event_computeResource,
					   F_Event_datacenter };

	out[0] = r->subject;
	out[1] = r->above;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		out[2 + i] = value_get_value(value_get_value(r->event, fields[i]),
					     F_EntityEventArgument_name + 1);
	}
}

/* "children" is what lies below the entity, "all" that and the entity itself. */
static bool entity_matches(const struct event_record *r, const struct event_filter *f,
			   struct arena *a)
{
	const struct value *refs[N_PLACES];

	if (f->entity == NULL) {
		return true;
	}
	if (r->subject == f->entity || f->recursion == E_EventFilterSpecRecursionOption_self) {
		return r->subject == f->entity &&
		       f->recursion != E_EventFilterSpecRecursionOption_children;
	}
	struct object *top = inventory_find_ref(f->manager->inventory, f->entity);
	bool is_placed = false;
	places(r, refs);
	for (size_t i = 0; i < N_PLACES; i++) {
		is_placed = is_placed || refs[i] != NULL;
		struct object *o = inventory_find_ref(f->manager->inventory, refs[i]);
		if ((refs[i] != NULL && refs[i] == f->entity) ||
		    (o != NULL && top != NULL && entity_is_within(o, top, a))) {
			return true;
		}
	}
	/* What concerns no entity (logins) is the whole inventory's. */
	return !is_placed && top != NULL && entity_parent(top, a) == NULL &&
	       f->recursion == E_EventFilterSpecRecursionOption_all;
}

/* EventFilterSpecByUsername: no list stands for every user that is not the system. */
static bool user_matches(const struct value *by, const char *user)
{
	const struct value *list = value_get_value(by, F_EventFilterSpecByUsername_userList);

	if (by == NULL) {
		return true;
	}
	if (user == NULL || user[0] == '\0') {
		return value_get_bool(by, F_EventFilterSpecByUsername_systemUser, false);
	}
	for (size_t i = 0; i < value_count(list); i++) {
		if (strcmp(value_bytes(value_item(list, i)), user) == 0) {
			return true;
		}
	}
	return value_count(list) == 0;
}

static bool time_matches(const struct value *by, int64_t at)
{
	return at >= value_get_num(by, F_EventFilterSpecByTime_beginTime, INT64_MIN) &&
	       at <= value_get_num(by, F_EventFilterSpecByTime_endTime, INT64_MAX);
}

static bool category_matches(const struct value *wanted, const struct value *event)
{
	const char *category = value_count(wanted) == 0 ? NULL : event_category(event);

	for (size_t i = 0; i < value_count(wanted); i++) {
		if (strcmp(value_bytes(value_item(wanted, i)), category) == 0) {
			return true;
		}
	}
	return value_count(wanted) == 0;
}

/* The i-th name of the two lists, `type` first. */
static const char *type_name(const struct value *spec, size_t i)
{
	const struct value *type = value_get_value(spec, F_EventFilterSpec_type);
	const struct value *id = value_get_value(spec, F_EventFilterSpec_eventTypeId);
	size_t n = value_count(type);

	return value_bytes(i < n ? value_item(type, i) : value_item(id, i - n));
}

static bool type_matches(const struct event_filter *f, const struct value *event)
{
	for (size_t i = 0; i < f->n_types; i++) {
		if (f->types[i] != T_none
			    ? schema_is_a(value_type(event), f->types[i])
			    : strcmp(type_name(f->spec, i), event_type_id(event)) == 0) {
			return true;
		}
	}
	return f->n_types == 0;
}

static bool chain_matches(const struct value *spec, const struct value *event)
{
	return !value_has(spec, F_EventFilterSpec_eventChainId) ||
	       value_get_num(spec, F_EventFilterSpec_eventChainId, 0) ==
		       value_get_num(event, F_Event_chainId, 0);
}

static bool match(const void *item, const void *filter, struct arena *a)
{
	const struct event_record *r = item;
	const struct event_filter *f = filter;
	const struct value *s = f->spec, *event = r->event;

	return type_matches(f, event) && chain_matches(s, event) &&
	       user_matches(value_get_value(s, F_EventFilterSpec_userName),
			    value_get_str(event, F_Event_userName)) &&
	       time_matches(value_get_value(s, F_EventFilterSpec_time),
			    value_get_num(event, F_Event_createdTime, 0)) &&
	       category_matches(value_get_value(s, F_EventFilterSpec_category), event) &&
	       entity_matches(r, f, a);
}

/* The nearest place that still exists decides; for what has none, the root. */
static bool may_read(const void *item, const struct session *s, struct arena *a)
{
	const struct event_record *r = item;
	const struct value *refs[N_PLACES];
	struct object *o = NULL;

	(void)a;
	places(r, refs);
	for (size_t i = 0; o == NULL && i < N_PLACES; i++) {
		o = inventory_find_ref(r->manager->inventory, refs[i]);
	}
	if (o == NULL) {
		o = service_root(r->manager->service);
	}
	return o != NULL && session_may(s, o, "System.Read");
}

static const struct value *show(const void *item, const void *filter, struct arena *a)
{
	const struct event_record *r = item;
	const struct event_filter *f = filter;

	if (!value_get_bool(f->spec, F_EventFilterSpec_disableFullMessage, false)) {
		return r->event;
	}
	struct value *event = value_edit(a, r->event);
	value_unset(event, F_Event_fullFormattedMessage);
	return event;
}

static void drop(void *item)
{
	struct event_record *r = item;

	value_drop(r->event);
	value_drop(r->subject);
	value_drop(r->above);
	free(r);
}

const struct history_ops event_history_ops = {
	.collector = T_EventHistoryCollector,
	.item = T_Event,
	.read_next = M_EventHistoryCollector_ReadNextEvents,
	.read_previous = M_EventHistoryCollector_ReadPreviousEvents,
	.show = show,
	.match = match,
	.concerns = match,
	.may_read = may_read,
	.drop = drop,
	.filter_free = event_filter_free,
};

/* ---- making ---- */

static bool members_check(struct call *c, const struct value *spec)
{
	static const struct {
		unsigned field;
		const char *path;
	} unsupported[] = {
		{ F_EventFilterSpec_alarm, "filter.alarm" },
		{ F_EventFilterSpec_scheduledTask, "filter.scheduledTask" },
		{ F_EventFilterSpec_tag, "filter.tag" },
	};

	for (size_t i = 0; i < ARRAY_LEN(unsupported); i++) {
		if (value_has(spec, unsupported[i].field)) {
			call_fault(c, fault_invalid_argument(c->arena, unsupported[i].path),
				   "'%s' is set, and events cannot be selected by that here",
				   unsupported[i].path);
			return false;
		}
	}
	return true;
}

static bool categories_check(struct call *c, const struct value *spec)
{
	const struct value *list = value_get_value(spec, F_EventFilterSpec_category);

	for (size_t i = 0; i < value_count(list); i++) {
		const char *name = value_bytes(value_item(list, i));
		if (schema_enum_find(T_EventCategory, name, strlen(name)) < 0) {
			call_fault(c, fault_invalid_argument(c->arena, "filter.category"),
				   "'%.80s' is no category of events: info, warning, error, user",
				   name);
			return false;
		}
	}
	return true;
}

static bool counts_check(struct call *c, const struct value *spec)
{
	size_t n = value_count(value_get_value(spec, F_EventFilterSpec_type)) +
		   value_count(value_get_value(spec, F_EventFilterSpec_eventTypeId));
	int64_t max = value_get_num(spec, F_EventFilterSpec_maxCount, 1);

	if (n > EVENT_FILTER_TYPES || !weight_within(spec, WEIGHT_KEPT_MAX)) {
		call_fault(c, fault_invalid_argument(c->arena, "filter"),
			   "the filter is too large: %zu types of events, at most %d", n,
			   EVENT_FILTER_TYPES);
		return false;
	}
	if (max < 1) {
		call_fault(c, fault_invalid_argument(c->arena, "filter.maxCount"),
			   "maxCount %" PRId64 " is less than 1", max);
		return false;
	}
	return true;
}

static void types_find(struct event_filter *f)
{
	f->n_types = value_count(value_get_value(f->spec, F_EventFilterSpec_type)) +
		     value_count(value_get_value(f->spec, F_EventFilterSpec_eventTypeId));
	f->types = mem_calloc(f->n_types + 1, sizeof(*f->types));
	for (size_t i = 0; i < f->n_types; i++) {
		f->types[i] = event_type_find(type_name(f->spec, i));
	}
}

struct event_filter *event_filter_new(struct call *c, struct event_manager *m,
				      const struct value *spec)
{
	const struct value *by = value_get_value(spec, F_EventFilterSpec_entity);
	const struct value *ref = value_get_value(by, F_EventFilterSpecByEntity_entity);
	struct object *entity = inventory_find_ref(m->inventory, ref);

	if (!members_check(c, spec) || !categories_check(c, spec) || !counts_check(c, spec)) {
		return NULL;
	}
	if (ref != NULL && entity == NULL) {
		call_fault(c, fault_not_found(c->arena, ref), "entity '%s' does not exist",
			   value_bytes(ref));
		return NULL;
	}
	struct event_filter *f = mem_zalloc(sizeof(*f));
	f->manager = m;
	f->spec = value_keep(spec);
	f->entity = entity == NULL ? NULL : value_hold(entity->ref);
	f->recursion = (int)value_get_num(by, F_EventFilterSpecByEntity_recursion, 0);
	types_find(f);
	return f;
}

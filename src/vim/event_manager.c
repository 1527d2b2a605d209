/* SPDX-License-Identifier: Apache-2.0 */
/* The EventManager object and its methods (vSphere API EventManager). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vim/entity.h"
#include "vim/event_catalog.h"
#include "vim/event_record.h"
#include "vim/fault.h"
#include "vim/weight.h"

/* ---- properties ---- */

static const struct value *latest_event(struct event_manager *m, struct arena *a)
{
	const struct session *reader = service_acting(m->service);
	uint64_t end = history_end(m->history);
	const struct event_record *r = end == 0 ? NULL : history_item(m->history, end - 1);

	if (r == NULL || (reader != NULL && !event_history_ops.may_read(r, reader, a))) {
		return NULL;
	}
	return r->event;
}

static const struct value *manager_compute(struct object *o, unsigned prop, struct arena *a)
{
	return prop == P_EventManager_description ? event_catalog() : latest_event(o->owner, a);
}

static const struct object_class manager_class = {
	.computed = UINT64_C(1) << P_EventManager_description |
		    UINT64_C(1) << P_EventManager_latestEvent,
	.compute = manager_compute,
};

/* ---- reading ---- */

static void create_collector(struct call *c)
{
	struct event_manager *m = call_arg(c);
	const struct value *spec =
		value_get_value(c->args, A_EventManager_CreateCollectorForEvents_filter);
	struct event_filter *f = event_filter_new(c, m, spec);
	int64_t page = value_get_num(spec, F_EventFilterSpec_maxCount, HISTORY_PAGE);

	if (f != NULL) {
		history_collect(m->history, c, spec, f,
				(size_t)MIN(page, (int64_t)HISTORY_PAGE_MAX));
	}
}

/* The newest that match, oldest of them first. */
static void query_events(struct call *c)
{
	struct event_manager *m = call_arg(c);
	const struct value *spec = value_get_value(c->args, A_EventManager_QueryEvents_filter);
	struct event_filter *f = event_filter_new(c, m, spec);

	if (f == NULL) {
		return;
	}
	size_t max = (size_t)MIN(value_get_num(spec, F_EventFilterSpec_maxCount, EVENT_QUERY_MAX),
				 EVENT_QUERY_MAX);
	const struct event_record *found[EVENT_QUERY_MAX];
	size_t n = 0;
	for (uint64_t at = history_end(m->history); at > history_first(m->history) && n < max;) {
		const struct event_record *r = history_item(m->history, --at);
		if (event_history_ops.match(r, f, c->arena) &&
		    event_history_ops.may_read(r, c->session, c->arena)) {
			found[n++] = r;
		}
	}
	struct value *out = value_new_array(c->arena, T_Event);
	while (n > 0) {
		value_push(c->arena, out, event_history_ops.show(found[--n], f, c->arena));
	}
	call_return(c, value_count(out) == 0 ? NULL : out);
	event_filter_free(f);
}

static void retrieve_argument_description(struct call *c)
{
	const char *id =
		value_get_str(c->args, A_EventManager_RetrieveArgumentDescription_eventTypeId);
	uint16_t type = event_type_find(id);

	if (type == T_none) {
		call_fault(c, fault_invalid_argument(c->arena, "eventTypeId"),
			   "'%.80s' is no type of events", id);
		return;
	}
	call_return(c, event_arguments_describe(c->arena, type));
}

/* ---- posting ---- */

static bool weight_check(struct call *c, const struct value *v, const char *argument)
{
	if (weight_within(v, WEIGHT_KEPT_MAX)) {
		return true;
	}
	call_fault(c, fault_invalid_argument(c->arena, argument),
		   "'%s' is larger than %d bytes, the most that is kept", argument,
		   WEIGHT_KEPT_MAX);
	return false;
}

static void log_user_event(struct call *c)
{
	struct event_manager *m = call_arg(c);
	bool ok;
	struct object *o = call_object(c, A_EventManager_LogUserEvent_entity, T_ManagedEntity, &ok);
	const char *text = value_get_str(c->args, A_EventManager_LogUserEvent_msg);

	if (o == NULL || !call_require(c, o, "Global.LogEvent") ||
	    !weight_check(c, c->args, "msg")) {
		return;
	}
	struct value *event = value_new(c->arena, T_GeneralUserEvent);
	value_set_str(c->arena, event, F_GeneralEvent_message, text);
	value_set(c->arena, event, F_GeneralUserEvent_entity,
		  event_argument(c->arena, T_ManagedEntityEventArgument, o));
	event_post(m, c->arena, event, o, session_user(c->session), "User logged event: %s", text);
	call_return(c, NULL);
}

/* The text of an event that a client made, when it did not write one out. */
static const char *client_text(const struct value *event)
{
	const char *text = value_get_str(event, F_Event_fullFormattedMessage);

	if (text == NULL && value_is_a(event, T_EventEx)) {
		text = value_get_str(event, F_EventEx_message);
	}
	if (text == NULL && value_is_a(event, T_GeneralEvent)) {
		text = value_get_str(event, F_GeneralEvent_message);
	}
	return text != NULL ? text : event_type_id(event);
}

static bool severity_check(struct call *c, const struct value *event)
{
	const char *severity =
		value_is_a(event, T_EventEx) ? value_get_str(event, F_EventEx_severity) : NULL;

	if (severity == NULL ||
	    schema_enum_find(T_EventEventSeverity, severity, strlen(severity)) >= 0) {
		return true;
	}
	call_fault(c, fault_new(c->arena, T_InvalidEvent), "'%.80s' is no severity of events",
		   severity);
	return false;
}

/* A client's event gets its key, time and user from us; what it is about must exist. */
static void post_event(struct call *c)
{
	struct event_manager *m = call_arg(c);
	const struct value *given = value_get_value(c->args, A_EventManager_PostEvent_eventToPost);
	const struct value *task = value_get_value(c->args, A_EventManager_PostEvent_taskInfo);
	const struct value *ref = event_subject(given);
	struct object *entity = inventory_find_ref(m->inventory, ref);

	if (!weight_check(c, given, "eventToPost") || !severity_check(c, given)) {
		return;
	}
	if (ref != NULL && entity == NULL) {
		call_fault(c, fault_new(c->arena, T_InvalidEvent),
			   "the event is about '%s', which does not exist", value_bytes(ref));
		return;
	}
	if (entity != NULL && !call_require(c, entity, "Global.LogEvent")) {
		return;
	}
	struct value *event = value_edit(c->arena, given);
	const char *text = client_text(given);
	value_unset(event, F_Event_createdTime);
	value_unset(event, F_Event_chainId);
	if (task != NULL) {
		value_set_num(c->arena, event, F_Event_chainId,
			      value_get_num(task, F_TaskInfo_eventChainId, 0));
	}
	event_post(m, c->arena, event, entity, session_user(c->session), "%s", text);
	call_return(c, NULL);
}

/* ---- the manager ---- */

struct event_manager *event_manager_new(struct service *s, const char *id)
{
	struct event_manager *m = mem_zalloc(sizeof(*m));
	struct arena *a = arena_new(0);

	m->service = s;
	m->inventory = service_inventory(s);
	m->object = inventory_add(m->inventory, T_EventManager, id, &manager_class, m);
	inventory_set(m->object, P_EventManager_maxCollector,
		      value_new_int(a, HISTORY_COLLECTORS_MAX));
	arena_free(a);
	m->history = history_new(s, &event_history_ops, EVENT_HISTORY_MAX);
	service_handle(s, T_EventManager, M_EventManager_CreateCollectorForEvents, create_collector,
		       m);
	service_handle(s, T_EventManager, M_EventManager_QueryEvents, query_events, m);
	service_handle(s, T_EventManager, M_EventManager_PostEvent, post_event, m);
	service_handle(s, T_EventManager, M_EventManager_LogUserEvent, log_user_event, m);
	service_handle(s, T_EventManager, M_EventManager_RetrieveArgumentDescription,
		       retrieve_argument_description, m);
	return m;
}

void event_manager_free(struct event_manager *m)
{
	if (m == NULL) {
		return;
	}
	history_free(m->history);
	inventory_remove(m->object);
	vec_free(&m->listeners);
	free(m);
}

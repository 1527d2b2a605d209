/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where tasks come into being, become old and go. TaskManager.recentTask is derived when it is
 * read, so that ten thousand tasks do not rewrite a long array ten thousand times; recentTask of an
 * entity is a short stored array.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "vim/task_description.h"
#include "vim/task_record.h"

_Static_assert((int)F_TypeDescription_key == (int)F_ElementDescription_key,
	       "both descriptions have their key in the same place");

/* ---- recentTask ---- */

/* The oldest finished task that TaskManager.recentTask shows, or the list's head. */
static struct list_node *recent_first(const struct task_manager *m)
{
	struct list_node *n = m->finished.head.next;

	if (m->n_finished > TASK_RECENT_FINISHED) {
		n = m->finished.head.prev;
		for (size_t i = 1; i < TASK_RECENT_FINISHED; i++) {
			n = n->prev;
		}
	}
	return n;
}

/* Finished ones first (the newest TASK_RECENT_FINISHED of them), then what is queued or runs; what
 * the one who asks may read. */
static const struct value *recent_tasks(const struct task_manager *m, struct arena *a)
{
	const struct session *reader = service_acting(m->service);
	struct value *refs = value_new_array(a, T_Task);

	for (struct list_node *n = recent_first(m); n != &m->finished.head; n = n->next) {
		const struct task *t = CONTAINER_OF(n, struct task, link);
		if (!t->is_hidden && (reader == NULL || task_may_read(t, reader))) {
			value_push(a, refs, t->object->ref);
		}
	}
	list_each (struct task, t, &m->open, link) {
		if (!t->is_hidden && (reader == NULL || task_may_read(t, reader))) {
			value_push(a, refs, t->object->ref);
		}
	}
	return refs;
}

static const struct value *manager_compute(struct object *o, unsigned prop, struct arena *a)
{
	return prop == P_TaskManager_description ? task_description() : recent_tasks(o->owner, a);
}

static const struct object_class manager_class = {
	.computed = UINT64_C(1) << P_TaskManager_recentTask | UINT64_C(1)
								      << P_TaskManager_description,
	.compute = manager_compute,
};

static const struct object_class task_class;

static void recent_changed(struct task_manager *m)
{
	inventory_touch(m->object, P_TaskManager_recentTask, "recentTask");
}

/* Entity's recentTask without one task's reference, then with it at the end if `add`; the oldest
 * gives way where there are too many. */
static void entity_recent(struct task *t, bool add)
{
	struct object *entity = task_entity(t);
	struct arena *a = t->manager->scratch;

	if (entity == NULL) {
		return;
	}
	arena_reset(a);
	const struct value *old = object_get(entity, P_ManagedEntity_recentTask, a);
	struct value *refs = value_new_array(a, T_Task);
	size_t n = value_count(old);
	for (size_t i = add && n >= TASK_RECENT_ENTITY ? n + 1 - TASK_RECENT_ENTITY : 0; i < n;
	     i++) {
		if (value_item(old, i) != t->object->ref) {
			value_push(a, refs, value_item(old, i));
		}
	}
	if (add) {
		value_push(a, refs, t->object->ref);
	}
	inventory_set(entity, P_ManagedEntity_recentTask, refs);
}

void task_hide(struct task *t)
{
	t->is_hidden = true;
	entity_recent(t, false);
	recent_changed(t->manager);
}

/* ---- the end of the story ---- */

void task_record_free(struct task *t)
{
	if (t->object != NULL || t->in_history) {
		return;
	}
	value_drop(t->info);
	free(t);
}

/* The task that finished first stops being an object. */
static void expire_first(struct task_manager *m)
{
	struct list_node *n = list_pop_front(&m->finished);

	assert(n != NULL);
	struct task *t = CONTAINER_OF(n, struct task, link);
	entity_recent(t, false);
	m->n_finished--;
	inventory_remove(t->object);
	t->object = NULL;
	task_record_free(t);
}

static void expiry_arm(struct task_manager *m)
{
	struct task *oldest = list_entry(list_front(&m->finished), struct task, link);

	if (oldest != NULL) {
		int64_t age_us = clock_mono_us(service_clock(m->service)) - oldest->ended_us;
		timer_start(m->expiry, MAX(INT64_C(1), TASK_KEEP_S * INT64_C(1000) - age_us / 1000),
			    0);
	}
}

static void expiry_due(void *arg)
{
	struct task_manager *m = arg;
	int64_t before = clock_mono_us(service_clock(m->service)) - TASK_KEEP_S * INT64_C(1000000);
	struct task *t;

	while ((t = list_entry(list_front(&m->finished), struct task, link)) != NULL &&
	       t->ended_us <= before) {
		expire_first(m);
	}
	recent_changed(m);
	expiry_arm(m);
}

void task_ended(struct task *t)
{
	struct task_manager *m = t->manager;

	arena_free(t->arena);
	t->arena = NULL;
	t->args = NULL;
	t->cancel = NULL;
	m->n_client -= t->client;
	t->ended_us = clock_mono_us(service_clock(m->service));
	list_remove(&t->link);
	list_push_back(&m->finished, &t->link);
	m->n_finished++;
	if (m->n_finished > TASK_FINISHED_MAX) {
		expire_first(m);
	}
	if (!timer_is_active(m->expiry)) {
		expiry_arm(m);
	}
	recent_changed(m);
	if (m->ended != NULL && !t->is_hidden) {
		m->ended(m->ended_arg, t->info);
	}
}

/* ---- storage ---- */

void task_listen(struct task_manager *m, void (*fn)(void *arg, const struct value *info), void *arg)
{
	m->ended = fn;
	m->ended_arg = arg;
}

void task_restore(struct task_manager *m, const struct value *info)
{
	struct task *t = mem_zalloc(sizeof(*t));

	t->manager = m;
	t->info = value_keep(info);
	t->in_history = true;
	t->number = history_add(m->history, t);
}

/* ---- beginnings ---- */

static struct value *reason_new(struct arena *a, const char *user)
{
	if (user[0] == '\0') {
		return value_new(a, T_TaskReasonSystem);
	}
	struct value *reason = value_new(a, T_TaskReasonUser);
	value_set_str(a, reason, F_TaskReasonUser_userName, user);
	return reason;
}

static struct value *info_new(struct task_manager *m, const struct task_spec *spec, const char *id)
{
	struct arena *a = m->scratch;
	struct value *info = value_new(a, T_TaskInfo);
	int64_t now = clock_wall_us(service_clock(m->service));

	value_set_str(a, info, F_TaskInfo_key, id);
	value_set_ref(a, info, F_TaskInfo_task, T_Task, id);
	value_set_str(a, info, F_TaskInfo_name, spec->name);
	value_set_str(a, info, F_TaskInfo_descriptionId, spec->description_id);
	if (spec->entity != NULL && schema_is_a(spec->entity->type, T_ManagedEntity)) {
		value_set(a, info, F_TaskInfo_entity, spec->entity->ref);
		value_set_str(a, info, F_TaskInfo_entityName,
			      object_get_str(spec->entity, P_ManagedEntity_name));
	}
	value_set_num(a, info, F_TaskInfo_state, spec->state);
	value_set_bool(a, info, F_TaskInfo_cancelled, false);
	value_set_bool(a, info, F_TaskInfo_cancelable, spec->cancelable);
	value_set(a, info, F_TaskInfo_reason, reason_new(a, spec->user));
	value_set_num(a, info, F_TaskInfo_queueTime, now);
	if (spec->state == E_TaskInfoState_running) {
		value_set_num(a, info, F_TaskInfo_startTime, now);
	}
	value_set_num(a, info, F_TaskInfo_eventChainId,
		      m->events != NULL ? (uint32_t)event_next_key(m->events) : m->n_begun);
	value_set_str(a, info, F_TaskInfo_parentTaskKey, spec->parent_key);
	value_set_str(a, info, F_TaskInfo_activationId, spec->activation_id);
	return info;
}

/* The event that a task has begun, first of its chain. */
static void event_of_begin(struct task *t)
{
	struct task_manager *m = t->manager;

	if (m->events == NULL) {
		return;
	}
	struct arena *a = arena_new(0);
	struct value *event = value_new(a, T_TaskEvent);
	const char *name = value_get_str(t->info, F_TaskInfo_name);
	value_set(a, event, F_TaskEvent_info, t->info);
	event_post(m->events, a, event, task_entity(t), task_user(t), "Task: %s",
		   name != NULL ? task_label(a, name)
				: value_get_str(t->info, F_TaskInfo_descriptionId));
	arena_free(a);
}

void task_manager_post_events(struct task_manager *m, struct event_manager *events)
{
	m->events = events;
}

struct task *task_new(struct task_manager *m, const struct task_spec *spec)
{
	struct task *t = mem_zalloc(sizeof(*t));
	char id[40];

	m->n_begun = m->n_begun == INT32_MAX ? 1 : m->n_begun + 1;
	snprintf(id, sizeof(id), "task-%s-%u", m->start_id, m->n_begun);
	t->manager = m;
	t->client = spec->client;
	t->progress = -1;
	m->n_client += spec->client;
	arena_reset(m->scratch);
	struct value *info = info_new(m, spec, id);
	t->object = inventory_add(m->inventory, T_Task, id, &task_class, t);
	inventory_set(t->object, P_Task_info, info);
	t->info = value_hold(object_get(t->object, P_Task_info, NULL));
	list_push_back(&m->open, &t->link);
	entity_recent(t, true);
	t->in_history = true;
	t->number = history_add(m->history, t);
	recent_changed(m);
	event_of_begin(t);
	return t;
}

struct task *task_of(struct object *o)
{
	assert(o->class == &task_class);
	return o->owner;
}

struct task *task_begin(struct call *c, struct task_manager *m)
{
	arena_reset(m->scratch);
	const struct task_spec spec = {
		.entity = c->self,
		.name = schema_method_name(c->method),
		.description_id = task_description_id(c->arena, c->self->type, c->method),
		.user = c->session == NULL ? "" : session_user(c->session),
		.state = E_TaskInfoState_running,
	};
	struct task *t = task_new(m, &spec);

	t->args = c->args;
	t->arena = call_take_arena(c);
	call_return(c, t->object->ref);
	return t;
}

struct task *task_begin_internal(struct task_manager *m, struct object *entity, const char *name,
				 const char *description_id, const char *user)
{
	const struct task_spec spec = {
		.entity = entity,
		.name = name,
		.description_id = description_id,
		.user = user,
		.state = E_TaskInfoState_running,
	};
	struct task *t = task_new(m, &spec);

	t->arena = arena_new(0);
	return t;
}

/* ---- the manager ---- */

struct task_manager *task_manager_new(struct service *s, const char *id)
{
	struct task_manager *m = mem_zalloc(sizeof(*m));

	m->service = s;
	m->inventory = service_inventory(s);
	m->scratch = arena_new(0);
	list_init(&m->open);
	list_init(&m->finished);
	random_hex(m->start_id, (sizeof(m->start_id) - 1) / 2);
	m->expiry = timer_new(service_loop(s), service_clock(s), expiry_due, m);
	m->object = inventory_add(m->inventory, T_TaskManager, id, &manager_class, m);
	inventory_set(m->object, P_TaskManager_maxCollector,
		      value_new_int(m->scratch, HISTORY_COLLECTORS_MAX));
	m->history = task_history_new(m);
	task_methods_register(m);
	return m;
}

void task_manager_free(struct task_manager *m)
{
	if (m == NULL) {
		return;
	}
	timer_free(m->expiry);
	history_free(m->history);
	list_each_safe (struct task, open, &m->open, link) {
		arena_free(open->arena);
		inventory_remove(open->object);
		open->object = NULL;
		task_record_free(open);
	}
	list_each_safe (struct task, t, &m->finished, link) {
		inventory_remove(t->object);
		t->object = NULL;
		task_record_free(t);
	}
	inventory_remove(m->object);
	arena_free(m->scratch);
	free(m);
}

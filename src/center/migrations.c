/* SPDX-License-Identifier: Apache-2.0 */
/* All migrations: found by VM and host, looked at in time, brought back by the next manager. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/timer.h"
#include "center/database.h"
#include "center/member.h"
#include "center/migration_impl.h"
#include "vim/fault.h"

LOG_MODULE("migration");

/* ---- looking up ---- */

struct member *migration_member(const struct migration_side *s)
{
	struct hosts *hs = s->m->all->c->hosts;

	return hs == NULL ? NULL : member_by_id(hs, s->host);
}

struct migration *migration_of_vm(struct center *c, const char *vm)
{
	if (c->migrations == NULL) {
		return NULL;
	}
	list_each (struct migration, m, &c->migrations->all, link) {
		if (m->phase != PHASE_FORGETTING && strcmp(m->vm, vm) == 0) {
			return m;
		}
	}
	return NULL;
}

bool migration_is_under_way(struct center *c, const struct object *vm, struct object **task)
{
	const struct migration *m = migration_of_vm(c, object_id(vm));

	if (m != NULL && task != NULL) {
		*task = m->task == NULL ? NULL : task_object(m->task);
	}
	return m != NULL;
}

/* The VM as that host has it; NULL: not known there. */
struct mirror_source *migration_source_at(const struct migration_side *s)
{
	struct object *vm = migration_vm(s->m);
	struct mirrored *of = vm == NULL ? NULL : mirrored_of(vm);

	for (struct mirror_source *it = of == NULL ? NULL : of->sources; it != NULL;
	     it = it->next) {
		if (strcmp(it->mirror->member->id, s->host) == 0) {
			return it;
		}
	}
	return NULL;
}

static bool has_host(const struct migration *m, const char *host)
{
	return strcmp(m->sides[SOURCE].host, host) == 0 || strcmp(m->sides[TARGET].host, host) == 0;
}

bool migration_has_room(const struct migration *m)
{
	unsigned n[2] = { 0 };

	list_each (struct migration, other, &m->all->all, link) {
		if (other->phase == PHASE_WAITING || other->phase == PHASE_FORGETTING) {
			continue;
		}
		n[SOURCE] += has_host(other, m->sides[SOURCE].host);
		n[TARGET] += has_host(other, m->sides[TARGET].host);
	}
	return n[SOURCE] < MIGRATIONS_OF_HOST_MAX && n[TARGET] < MIGRATIONS_OF_HOST_MAX;
}

/* ---- events ---- */

void migration_note(const struct migration_side *s, uint16_t type)
{
	struct migrations *all = s->m->all;
	struct migration_trace *t = &all->traces[all->n_traces % ARRAY_LEN(all->traces)];

	if (s->remote == NULL) {
		return;
	}
	free(t->remote);
	t->remote = mem_strdup(s->remote);
	t->type = type;
	snprintf(t->host, sizeof(t->host), "%s", s->host);
	all->n_traces++;
}

static bool is_vm(const struct migration_side *s, const struct member *m, const struct value *ref)
{
	const struct value *here = mirror_local_ref(&m->mirror, ref);

	if (strcmp(s->host, m->id) != 0) {
		return false;
	}
	return (s->remote != NULL && strcmp(s->remote, value_bytes(ref)) == 0) ||
	       (here != NULL && strcmp(s->m->vm, value_bytes(here)) == 0);
}

/* Hosts tell before it is known here what has become of it. */
static bool is_passing(const struct migrations *all, const struct member *m,
		       const struct value *ref)
{
	list_each (struct migration, it, &all->all, link) {
		if (is_vm(&it->sides[TARGET], m, ref) ||
		    (it->is_started && is_vm(&it->sides[SOURCE], m, ref))) {
			return true;
		}
	}
	return false;
}

bool migration_explains(const struct member *m, const struct value *event)
{
	const struct migrations *all = m->center->migrations;
	const struct value *vm = value_get_value(event, F_Event_vm);
	const struct value *ref = vm == NULL ? NULL : value_get_value(vm, F_VmEventArgument_vm);

	if (all == NULL || ref == NULL ||
	    (!value_is_a(event, T_VmRegisteredEvent) && !value_is_a(event, T_VmRemovedEvent))) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(all->traces); i++) {
		const struct migration_trace *t = &all->traces[i];
		if (t->remote != NULL && value_type(event) == t->type &&
		    strcmp(t->host, m->id) == 0 && strcmp(t->remote, value_bytes(ref)) == 0) {
			return true;
		}
	}
	return is_passing(all, m, ref);
}

/* ---- time ---- */

static void on_tick(void *arg)
{
	struct migrations *all = arg;

	list_each_safe (struct migration, m, &all->all, link) {
		migration_step(m);
		if (m->is_over) {
			migration_requests_end(m);
			migration_free(m);
		}
	}
	if (list_is_empty(&all->all)) {
		timer_stop(all->tick);
	}
}

void migration_look(struct center *c)
{
	if (c->migrations != NULL && !list_is_empty(&c->migrations->all)) {
		timer_start(c->migrations->tick, 0, MIGRATION_TICK_MS);
	}
}

/* ---- the mirror asks ---- */

struct object *migration_arrival(struct mirror *mirror, struct object *remote, struct arena *a)
{
	struct center *c = mirror->member->center;
	const char *uuid = NULL;

	if (c->migrations == NULL) {
		return NULL;
	}
	list_each (struct migration, m, &c->migrations->all, link) {
		const struct migration_side *s = &m->sides[TARGET];
		if (strcmp(s->host, mirror->member->id) != 0 || migration_source_at(s) != NULL) {
			continue;
		}
		uuid = uuid == NULL ? migration_instance_uuid(remote, a) : uuid;
		bool is_it = (s->remote != NULL && strcmp(s->remote, object_id(remote)) == 0) ||
			     (m->uuid[0] != '\0' && strcasecmp(m->uuid, uuid) == 0);
		if (is_it) {
			migration_look(c);
			return migration_vm(m);
		}
	}
	return NULL;
}

bool migration_holds(const struct mirror_source *s)
{
	const struct migration *m =
		migration_of_vm(s->mirror->member->center, object_id(s->of->object));

	return m != NULL && strcmp(m->sides[SOURCE].host, s->mirror->member->id) == 0;
}

/* ---- hosts that go ---- */

void migration_drop_member(struct member *member)
{
	if (member->center->migrations == NULL) {
		return;
	}
	list_each (struct migration, m, &member->center->migrations->all, link) {
		if (has_host(m, member->id)) {
			database_drop_migration(member->center->db, m->id);
		}
	}
}

void migration_forget_member(struct member *member)
{
	struct migrations *all = member->center->migrations;

	if (all == NULL || all->is_stopping) {
		return;
	}
	list_each (struct migration, m, &all->all, link) {
		if (!has_host(m, member->id)) {
			continue;
		}
		struct task *t = m->task;
		m->task = NULL;
		m->phase = PHASE_FORGETTING; /* nothing of what ends now leads on */
		m->is_over = true;
		migration_set_moving(m, NULL);
		migration_requests_end(m);
		if (t != NULL) {
			task_fail(t, fault_new(task_arena(t), T_HostNotConnected),
				  "host \"%s\" was removed in the middle of the migration",
				  member_name(member));
		}
	}
	migration_look(member->center);
}

/* ---- life ---- */

static struct metric *counter(const char *result)
{
	return metric_with(metric_counter("remora_center_migrations_total",
					  "Migrations of VMs between hosts that have ended",
					  "result"),
			   &result);
}

struct migrations *migrations_new(struct center *c)
{
	struct migrations *all = mem_zalloc(sizeof(*all));

	all->c = c;
	list_init(&all->all);
	all->tick = timer_new(c->loop, c->clock, on_tick, all);
	all->n_moved = counter("moved");
	all->n_stayed = counter("failed");
	all->n_cancelled = counter("cancelled");
	return all;
}

static void take_row(void *arg, const char *id, const char *data)
{
	struct migrations *all = arg;
	struct migration *m = migration_read(all, id, data);

	if (m == NULL) {
		log_warn("what is kept of migration \"%s\" cannot be read; it is left alone", id);
		return;
	}
	migration_heard(m);
	migration_note(&m->sides[TARGET], m->has_moved ? T_VmRegisteredEvent : T_VmRemovedEvent);
	if (m->has_moved) {
		migration_note(&m->sides[SOURCE], T_VmRemovedEvent);
	}
	/* Of two hosts that have it. */
	struct mirror_source *s = migration_source_at(&m->sides[m->has_moved ? TARGET : SOURCE]);
	if (s != NULL && s->of->sources->next != NULL) {
		s->of->chosen = s;
	}
}

bool migrations_load(struct center *c, struct error *e)
{
	return database_each_migration(c->db, take_row, c->migrations, e);
}

void migrations_start(struct center *c)
{
	list_each (struct migration, m, &c->migrations->all, link) {
		if (m->phase == PHASE_RUNNING) {
			migration_set_moving(m, migration_member(&m->sides[TARGET]));
		}
	}
	migration_look(c);
}

void migrations_free(struct migrations *all)
{
	if (all == NULL) {
		return;
	}
	all->is_stopping = true;
	list_each_safe (struct migration, m, &all->all, link) {
		migration_requests_end(m);
		migration_free(m);
	}
	all->c->migrations = NULL;
	for (size_t i = 0; i < ARRAY_LEN(all->traces); i++) {
		free(all->traces[i].remote);
	}
	timer_free(all->tick);
	free(all);
}

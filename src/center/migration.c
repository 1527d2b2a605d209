/* SPDX-License-Identifier: Apache-2.0 */
#include "center/migration.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/timer.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/dvs_policy.h"
#include "center/intent_card.h"
#include "center/lend.h"
#include "center/member.h"
#include "center/migration_impl.h"
#include "center/mirror_enter.h"
#include "center/node_policy.h"
#include "center/place.h"
#include "vim/fault.h"

LOG_MODULE("migration");

enum {
	QUICK_MAX = 20, /* questions to a host in a row that it answers with news at once */
	PATIENCE_S = 60 /* that a task lasts while nothing is heard of the hosts */
};

/* ---- looking up ---- */

static bool is_shown(const struct migration_side *s)
{
	const struct mirror_source *it = migration_source_at(s);

	return it != NULL && it->object != NULL && !it->object->removed;
}

static const char *name_of(const struct migration_side *s)
{
	const struct member *m = migration_member(s);

	return m == NULL ? s->host : member_name(m);
}

static bool keep_row(const struct migration *m, struct error *e)
{
	database_begin(m->all->c->db);
	migration_write(m);
	return database_commit(m->all->c->db, e);
}

void migration_set_moving(const struct migration *m, struct member *to)
{
	struct intent *in = m->all->c->intent;
	struct object *vm = migration_vm(m);

	if (in != NULL && vm != NULL) {
		intent_cards_moving(in, vm, to);
	}
}

/* ---- requests ---- */

void migration_requests_end(struct migration *m)
{
	for (int i = SOURCE; i <= TARGET; i++) {
		peer_cancel(m->sides[i].request);
		peer_cancel(m->sides[i].cancelling);
	}
}

static bool ask(struct migration_side *s, const char *method, const char *rest,
		struct json_object *body, peer_done_fn *done)
{
	struct member *to = migration_member(s);

	s->request = to == NULL ? NULL
				: migration_request(to,
						    &(struct migration_question){ .method = method,
										  .id = s->m->id,
										  .rest = rest,
										  .body = body },
						    done, s);
	return s->request != NULL;
}

/* ---- how it ends ---- */

/* Everything but the hosts' own records is over. */
static void forget(struct migration *m)
{
	struct error e;

	m->phase = PHASE_FORGETTING;
	m->has_moved = false;
	migration_requests_end(m);
	migration_set_moving(m, NULL);
	if (!keep_row(m, &e)) {
		log_error("the end of the migration of \"%s\" cannot be kept: %s", m->vm, e.msg);
	}
}

/* The VM is where it was. */
static void stay(struct migration *m, const struct value *fault, const char *text)
{
	struct task *t = m->task;

	if (m->phase == PHASE_FORGETTING || m->all->is_stopping) {
		return;
	}
	log_info("\"%s\" stays on \"%s\": %s", m->vm, name_of(&m->sides[SOURCE]), text);
	migration_post_failure(m, fault, text);
	metric_inc(m->is_cancelled ? m->all->n_cancelled : m->all->n_stayed);
	m->task = NULL;
	migration_note(&m->sides[TARGET], T_VmRemovedEvent);
	forget(m);
	mirror_release(migration_source_at(&m->sides[SOURCE]));
	if (t != NULL) {
		task_fail(t, fault, "%s", text);
	}
	migration_step(m);
}

static void stay_simply(struct migration *m, uint16_t type, const char *text)
{
	struct arena *a = arena_new(0);

	if (m->is_cancelled) {
		type = T_RequestCanceled;
		text = "the migration was cancelled";
	}
	stay(m, fault_new(a, type), text);
	arena_free(a);
}

static void stay_for(struct migration *m, const struct migration_side *s,
		     const struct migration_status *why)
{
	struct object *vm = migration_vm(m);
	struct object *host = inventory_find(m->all->c->inventory, s->host);
	char text[480];

	migration_status_text(why, name_of(s), text, sizeof(text));
	if (m->is_cancelled || !why->has_refusal || vm == NULL || host == NULL) {
		bool is_lost = why->state == MIGRATION_UNKNOWN && !why->has_refusal;
		stay_simply(m, is_lost ? T_HostNotReachable : T_MigrationFault, text);
		return;
	}
	struct arena *a = arena_new(0);
	stay(m, migration_status_fault(why, vm, host, a), text);
	arena_free(a);
}

/* False: it is over. */
static bool goes_on(struct migration *m)
{
	bool is_cancelled = m->is_cancelled;

	if (is_cancelled) {
		stay_simply(m, T_RequestCanceled, "");
	}
	return !is_cancelled;
}

/* ---- it has moved ---- */

static bool keep_place(struct migration *m, struct object *vm, struct object *pool,
		       struct object *folder, struct error *e)
{
	struct database *db = m->all->c->db;

	m->phase = PHASE_FORGETTING;
	m->has_moved = true;
	database_begin(db);
	if (pool != NULL) {
		database_set_pool(db, object_id(vm), object_id(pool));
	}
	if (folder != NULL) {
		database_set_parent(db, object_id(vm), object_id(folder));
	}
	migration_write(m);
	if (database_commit(db, e)) {
		return true;
	}
	m->phase = PHASE_ARRIVING;
	m->has_moved = false;
	return false;
}

/* What was free when it began may be taken by now. */
static struct object *folder_now(const struct migration *m, struct object *vm)
{
	struct center *c = m->all->c;
	struct object *folder = m->folder == NULL ? NULL : inventory_find(c->inventory, m->folder);

	return folder == NULL || place_child(c, folder, place_name(vm)) != NULL ? NULL : folder;
}

static struct object *pool_now(const struct migration *m)
{
	struct object *pool =
		m->pool == NULL ? NULL : inventory_find(m->all->c->inventory, m->pool);
	const struct member *to = migration_member(&m->sides[TARGET]);

	return m->pool != NULL && pool == NULL && to != NULL
		       ? compute_root_pool(compute_of_host(to->system))
		       : pool;
}

/* The target shows the VM: from now on it is that one. */
static void settle(struct migration *m, struct object *vm)
{
	struct center *c = m->all->c;
	struct object *pool = pool_now(m);
	struct object *folder = folder_now(m, vm);
	struct error e;

	if (!keep_place(m, vm, pool, folder, &e)) {
		log_limited_error("that \"%s\" has moved cannot be kept: %s", m->vm, e.msg);
		return;
	}
	mirror_choose(migration_source_at(&m->sides[TARGET]));
	if (pool != NULL) {
		place_set_pool(c, vm, pool);
	}
	if (folder != NULL) {
		place_move(c, vm, folder);
	}
	migration_set_moving(m, NULL);
	migration_requests_end(m);
	log_info("\"%s\" has moved to \"%s\"", m->vm, name_of(&m->sides[TARGET]));
	metric_inc(m->all->n_moved);
	migration_note(&m->sides[SOURCE], T_VmRemovedEvent);
	migration_post_end(m);
	struct task *t = m->task;
	m->task = NULL;
	if (t != NULL) {
		task_done(t, NULL);
	}
	hosts_wake(c->hosts);
	migration_step(m);
}

static void arrive(struct migration *m)
{
	struct object *vm = migration_vm(m);

	m->phase = PHASE_ARRIVING;
	if (vm == NULL) {
		stay_simply(m, T_ManagedObjectNotFound, "the VM does not exist any more");
	} else if (is_shown(&m->sides[TARGET])) {
		settle(m, vm);
	}
}

/* ---- following ---- */

void migration_heard(struct migration *m)
{
	m->heard_us = clock_mono_us(m->all->c->clock);
}

/* Neither of the hosts knows of it. */
static void decide_by_sight(struct migration *m)
{
	if (is_shown(&m->sides[TARGET]) && !is_shown(&m->sides[SOURCE])) {
		arrive(m);
	} else {
		stay_simply(m, T_MigrationFault, "both hosts have forgotten the migration");
	}
}

static void source_told(struct migration *m, const struct migration_status *s);

static void on_cancelled(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct migration_side *s = arg;
	struct migration_status status;

	s->cancelling = NULL;
	if (s->m->all->is_stopping || s->m->phase != PHASE_RUNNING) {
		return;
	}
	migration_status_read(&status, answer, e);
	if (status.state != MIGRATION_UNKNOWN) {
		source_told(s->m, &status);
	}
}

static void send_cancel(struct migration *m)
{
	struct migration_side *s = &m->sides[SOURCE];
	struct member *to = migration_member(s);

	if (to != NULL && s->cancelling == NULL) {
		s->cancelling = migration_request(
			to,
			&(struct migration_question){ .method = "DELETE", .id = m->id, .rest = "" },
			on_cancelled, s);
	}
}

static void source_told(struct migration *m, const struct migration_status *s)
{
	migration_heard(m);
	m->asks_target = false;
	switch (s->state) {
	case MIGRATION_DONE:
		m->downtime_us = s->downtime_us;
		arrive(m);
		return;
	case MIGRATION_FAILED:
	case MIGRATION_CANCELLED:
		stay_for(m, &m->sides[SOURCE], s);
		return;
	case MIGRATION_GONE:
		m->sides[SOURCE].is_gone = true;
		m->asks_target = true;
		break;
	case MIGRATION_PREPARED:
		if (!m->is_started) { /* and never will be */
			send_cancel(m);
		}
		break;
	case MIGRATION_COPYING:
	case MIGRATION_SWITCHING:
	case MIGRATION_OFFERED:
		m->is_started = true;
		if (m->task != NULL && s->percent >= 0) {
			task_progress(m->task, MIN(s->percent, 99));
		}
		break;
	case MIGRATION_UNKNOWN:
	default:
		break;
	}
}

static void poll(struct migration *m);

static void on_source(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct migration_side *s = arg;
	struct migration *m = s->m;
	struct migration_status status;

	s->request = NULL;
	if (m->all->is_stopping || m->phase != PHASE_RUNNING) {
		return;
	}
	migration_status_read(&status, answer, e);
	if (status.state == MIGRATION_UNKNOWN) {
		m->asks_target = true; /* with the next tick */
		return;
	}
	bool is_news = (status.version > m->version || status.state == MIGRATION_GONE) &&
		       m->n_quick++ < QUICK_MAX;
	m->version = MAX(m->version, status.version);
	source_told(m, &status);
	if (m->phase == PHASE_RUNNING && is_news) {
		poll(m);
	}
}

static void on_target(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct migration_side *s = arg;
	struct migration *m = s->m;
	struct migration_status status;

	s->request = NULL;
	if (m->all->is_stopping || m->phase != PHASE_RUNNING) {
		return;
	}
	migration_status_read(&status, answer, e);
	bool is_over = status.state == MIGRATION_GONE || status.state == MIGRATION_FAILED ||
		       status.state == MIGRATION_CANCELLED;
	/* For a source that sends nothing any more. */
	bool is_waiting = status.state == MIGRATION_PREPARED || status.state == MIGRATION_COPYING;
	if (status.state == MIGRATION_DONE) {
		arrive(m);
	} else if (is_over && m->sides[SOURCE].is_gone) {
		decide_by_sight(m);
	} else if (is_waiting && m->sides[SOURCE].is_gone) {
		stay_simply(m, T_MigrationFault, "the host that has the VM has given up");
	} else {
		m->asks_target = m->sides[SOURCE].is_gone;
	}
}

static void poll(struct migration *m)
{
	char after[40];

	if (m->sides[SOURCE].request != NULL || m->sides[TARGET].request != NULL) {
		return;
	}
	snprintf(after, sizeof(after), "?after=%" PRIu64, m->version);
	if (!m->asks_target && ask(&m->sides[SOURCE], "GET", after, NULL, on_source)) {
		return;
	}
	m->asks_target = m->sides[SOURCE].is_gone;
	ask(&m->sides[TARGET], "GET", "?after=0", NULL, on_target);
}

/* ---- beginning ---- */

static void on_started(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct migration_side *s = arg;
	struct migration *m = s->m;
	struct migration_status status;

	s->request = NULL;
	if (m->all->is_stopping || m->phase != PHASE_STARTING) {
		return;
	}
	migration_status_read(&status, answer, e);
	migration_heard(m);
	if (answer != NULL && answer->status >= 400 && answer->status < 500) {
		stay_for(m, s, &status);
		return;
	}
	m->is_started = answer != NULL && answer->status >= 200 && answer->status < 300;
	m->phase = PHASE_RUNNING;
	if (m->is_cancelled) {
		send_cancel(m);
	}
	poll(m);
}

static void send_start(struct migration *m)
{
	struct migration_side *s = &m->sides[SOURCE];
	struct json_object *body = json_object_new_object();

	m->phase = PHASE_STARTING;
	json_put(body, "ticket", m->ticket);
	m->ticket = NULL;
	if (!ask(s, "POST", "/start", body, on_started)) {
		stay_simply(m, T_HostNotReachable, "the host that has the VM is not connected");
	}
	json_object_put(body);
}

/* The member of an answer with status 200; NULL: there is none. */
static struct json_object *take_member(const struct peer_answer *answer, const char *key, char **vm)
{
	struct json_object *o = answer == NULL || answer->status != 200
					? NULL
					: json_parse(answer->body, answer->len, 4 << 20, 32, NULL);
	struct json_at at = json_root(o), found;
	struct json_object *taken = NULL;
	const char *text = NULL;

	if (o != NULL && json_has(&at, key) && json_get(&at, key, &found, NULL)) {
		taken = json_object_get(found.value);
	}
	if (taken != NULL && vm != NULL && json_has(&at, "vm") &&
	    json_get_str(&at, "vm", &text, NULL)) {
		*vm = mem_strdup(text);
	}
	json_object_put(o);
	return taken;
}

static void on_prepared(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct migration_side *s = arg;
	struct migration *m = s->m;
	struct migration_status status;
	struct error why;

	s->request = NULL;
	if (m->all->is_stopping || m->phase != PHASE_PREPARING) {
		return;
	}
	free(s->remote);
	s->remote = NULL;
	m->ticket = take_member(answer, "ticket", &s->remote);
	if (m->ticket == NULL || s->remote == NULL) {
		migration_status_read(&status, answer, e);
		stay_for(m, s, &status);
		return;
	}
	migration_note(s, T_VmRegisteredEvent);
	if (!keep_row(m, &why)) {
		stay_simply(m, T_SystemError, why.msg);
	} else if (goes_on(m)) {
		send_start(m);
	}
}

static void send_prepare(struct migration *m)
{
	struct migration_side *s = &m->sides[TARGET];

	m->phase = PHASE_PREPARING;
	if (!ask(s, "PUT", "", m->target, on_prepared)) {
		stay_simply(m, T_HostNotReachable, "the host that the VM shall go to is away");
	}
	json_object_put(m->target);
	m->target = NULL;
}

/* Which migration waits for the policy of its target, then of the card in that which lends it
 * functions. */
struct arrangement {
	struct center *c;
	bool is_card;
	char id[UUID_TEXT_SIZE];
};

static struct migration *arranged(const struct arrangement *x)
{
	if (x->c->migrations == NULL) {
		return NULL;
	}
	list_each (struct migration, m, &x->c->migrations->all, link) {
		if (strcmp(m->id, x->id) == 0 && m->phase == PHASE_ARRANGING) {
			return m;
		}
	}
	return NULL;
}

static void arrange(struct migration *m, struct member *node, bool is_card);

/* The node runs its policy, or does not. */
static void arranged_at(struct migration *m, struct member *node, bool is_card,
			const struct error *e)
{
	struct member *card = is_card ? NULL : lend_card_in(m->all->c, node);
	const char *reason = "";
	char text[400];

	if (e != NULL || node_policy_state(node, &reason) == NODE_POLICY_ERROR) {
		snprintf(text, sizeof(text), "host \"%s\" does not run its policy: %s",
			 member_name(node), e != NULL ? e->msg : reason);
		stay_simply(m, T_MigrationFault, text);
	} else if (card != NULL) {
		arrange(m, card, true);
	} else {
		send_prepare(m);
	}
}

static void on_arranged(void *arg, const struct error *e)
{
	struct arrangement *x = arg;
	struct migration *m = arranged(x);
	bool is_card = x->is_card;

	free(x);
	if (m == NULL || !goes_on(m)) {
		return;
	}
	struct member *to = migration_member(&m->sides[TARGET]);
	struct member *node = to == NULL || !is_card ? to : lend_card_in(m->all->c, to);
	if (node == NULL) {
		stay_simply(m, T_HostNotReachable, "the host that the VM shall go to is away");
	} else {
		arranged_at(m, node, is_card, e);
	}
}

static void arrange(struct migration *m, struct member *node, bool is_card)
{
	struct arrangement *x = mem_zalloc(sizeof(*x));

	x->c = m->all->c;
	x->is_card = is_card;
	snprintf(x->id, sizeof(x->id), "%s", m->id);
	m->phase = PHASE_ARRANGING;
	dvs_policy_wait(node, on_arranged, x);
}

static void on_claimed(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct migration_side *s = arg;
	struct migration *m = s->m;
	struct migration_status status;

	s->request = NULL;
	if (m->all->is_stopping || m->phase != PHASE_CLAIMING) {
		return;
	}
	migration_heard(m);
	struct json_object *description = take_member(answer, "description", NULL);
	if (description == NULL && answer != NULL && answer->status == 404) {
		stay_simply(m, T_NotSupported, "the host that has the VM moves none");
		return;
	}
	if (description == NULL) {
		migration_status_read(&status, answer, e);
		stay_for(m, s, &status);
		return;
	}
	json_put(m->target, "description", description);
	struct member *to = migration_member(&m->sides[TARGET]);
	if (!goes_on(m)) {
		return;
	}
	if (to == NULL) {
		stay_simply(m, T_HostNotReachable, "the host that the VM shall go to is away");
		return;
	}
	migration_set_moving(m, to);
	arrange(m, to, false);
}

static void send_claim(struct migration *m)
{
	struct migration_side *s = &m->sides[SOURCE];
	struct json_object *body = json_object_new_object();

	m->phase = PHASE_CLAIMING;
	json_put_str(body, "role", "source");
	json_put_str(body, "vm", s->remote);
	if (!ask(s, "PUT", "", body, on_claimed)) {
		stay_simply(m, T_HostNotReachable, "the host that has the VM is not connected");
	}
	json_object_put(body);
}

/* ---- forgetting ---- */

static void on_forgotten(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct migration_side *s = arg;
	struct migration_status status;

	s->request = NULL;
	if (s->m->all->is_stopping) {
		return;
	}
	migration_status_read(&status, answer, e);
	s->is_gone = status.state == MIGRATION_GONE || status.state == MIGRATION_DONE ||
		     status.state == MIGRATION_FAILED || status.state == MIGRATION_CANCELLED;
	migration_step(s->m); /* else again with the next tick */
}

static bool is_forgotten(struct migration_side *s)
{
	if (migration_member(s) == NULL) {
		return true;
	}
	return s->is_gone && s->request == NULL;
}

static void forgetting(struct migration *m)
{
	struct migration_side *left = &m->sides[m->has_moved ? SOURCE : TARGET];

	for (int i = SOURCE; i <= TARGET; i++) {
		struct migration_side *s = &m->sides[i];
		if (!s->is_gone && s->request == NULL) {
			ask(s, "DELETE", "", NULL, on_forgotten);
		}
	}
	if (is_forgotten(&m->sides[SOURCE]) && is_forgotten(&m->sides[TARGET]) &&
	    migration_source_at(left) == NULL) {
		database_drop_migration(m->all->c->db, m->id);
		m->is_over = true; /* whoever calls may still look at it */
		migration_look(m->all->c);
	}
}

/* ---- steps ---- */

static void lose_patience(struct migration *m)
{
	int64_t limit = m->heard_us + PATIENCE_S * INT64_C(1000000);
	struct task *t = m->task;

	if (t == NULL || clock_mono_us(m->all->c->clock) < limit) {
		return;
	}
	m->task = NULL;
	task_fail(t, fault_new(task_arena(t), T_HostNotReachable),
		  "nothing was heard of the migration from \"%s\" to \"%s\" for %d seconds; "
		  "what has become of it will show",
		  name_of(&m->sides[SOURCE]), name_of(&m->sides[TARGET]), PATIENCE_S);
}

void migration_step(struct migration *m)
{
	if (m->is_over) {
		return;
	}
	switch (m->phase) {
	case PHASE_WAITING:
		if (goes_on(m) && migration_has_room(m)) {
			migration_heard(m);
			send_claim(m);
		}
		break;
	case PHASE_RUNNING:
		m->n_quick = 0;
		lose_patience(m);
		poll(m);
		break;
	case PHASE_ARRIVING:
		lose_patience(m);
		arrive(m);
		break;
	case PHASE_FORGETTING:
		forgetting(m);
		break;
	case PHASE_CLAIMING:
	case PHASE_ARRANGING:
	case PHASE_PREPARING:
	case PHASE_STARTING:
	default:
		break;
	}
}

/* ---- a client wants it ---- */

static void on_cancel(void *arg)
{
	struct migration *m = arg;

	m->is_cancelled = true;
	if (m->phase == PHASE_RUNNING) {
		send_cancel(m);
	}
}

const char *migration_instance_uuid(struct object *vm, struct arena *a)
{
	const struct value *config = object_get(vm, P_VirtualMachine_config, a);
	const char *uuid = value_get_str(config, F_VirtualMachineConfigInfo_instanceUuid);

	return uuid == NULL ? "" : uuid;
}

static char *id_of(const struct object *o)
{
	return o == NULL ? NULL : mem_strdup(object_id(o));
}

void migration_begin(struct call *c, const struct migration_order *order)
{
	struct center *center = order->from->center;
	struct migration *m = migration_new(center->migrations);
	struct mirror_source *s = mirrored_source(mirrored_of(order->vm));
	struct error e;

	uuid_random_text(m->id);
	m->vm = id_of(order->vm);
	m->uuid = mem_strdup(migration_instance_uuid(order->vm, c->arena));
	m->pool = id_of(order->pool);
	m->folder = id_of(order->folder);
	m->user = mem_strdup(c->session == NULL ? "" : session_user(c->session));
	m->target = order->target;
	json_put_str(m->target, "role", "target");
	m->is_relocation = order->is_relocation;
	m->is_hot = order->is_hot;
	snprintf(m->sides[SOURCE].host, CENTER_ID_MAX, "%s", order->from->id);
	snprintf(m->sides[TARGET].host, CENTER_ID_MAX, "%s", order->to->id);
	m->sides[SOURCE].remote = mem_strdup(value_bytes(s->remote));
	migration_heard(m);
	if (!keep_row(m, &e)) {
		migration_free(m);
		call_error(c, &e);
		return;
	}
	m->task = task_begin(c, center->api->tasks);
	task_set_cancel(m->task, on_cancel, m);
	migration_post_begin(m);
	timer_start(center->migrations->tick, MIGRATION_TICK_MS, MIGRATION_TICK_MS);
	migration_step(m);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following a host's inventory. At the end of a turn in which it changed, everything newer than the
 * reader's version is looked at, oldest first: what came enters, what went leaves, and what changed
 * is noted with its paths in the journal of the manager's object. Then the tasks, so that whoever
 * waits for one sees what it did.
 *
 * 1. Of every source in by_remote, `remote` is held, and the object in `of` is in the inventory.
 * 2. source->object is cleared in the same look at the host's inventory that sees it go; until
 *    then the reader keeps its tombstone.
 */
#include "center/mirror.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "center/database.h"
#include "center/member.h"
#include "center/mirror_enter.h"
#include "center/pairing.h"
#include "center/place.h"
#include "center/remote_task.h"

LOG_MODULE("mirror");

static struct mirror_source *source_of(const struct mirror *m, const struct object *remote)
{
	return map64_get(&m->by_remote, (uint64_t)(uintptr_t)remote->ref);
}

/* ---- changes of one object ---- */

/* The path as the manager's journal has it: elements that come and go, and keys that are other
 * here than there, make the whole array count. */
static size_t path_length(const struct change *c)
{
	const char *bracket = c->op == CHANGE_ASSIGN ? memchr(c->path, '"', c->path_len)
						     : memrchr(c->path, '[', c->path_len);

	if (bracket == NULL) {
		return c->path_len;
	}
	while (bracket > c->path && *bracket != '[') {
		bracket--;
	}
	return bracket > c->path ? (size_t)(bracket - c->path) : c->path_len;
}

static void touch(struct object *o, const struct change *c)
{
	char path[512];
	size_t n = path_length(c);

	if (((o->class->computed >> c->prop) & 1) == 0) {
		return;
	}
	if (n == c->path_len) {
		inventory_touch(o, c->prop, c->path);
		return;
	}
	if (n >= sizeof(path)) {
		inventory_touch(o, c->prop, schema_field_name(schema_field(o->type, c->prop)));
		return;
	}
	memcpy(path, c->path, n);
	path[n] = '\0';
	inventory_touch(o, c->prop, path);
}

/* Figures of use, which change all the time. */
static bool is_use(const struct change *c)
{
	static const char *const paths[] = { "summary.quickStats", "summary.storage" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (strncmp(c->path, paths[i], strlen(paths[i])) == 0) {
			return true;
		}
	}
	return false;
}

/* True when a row was written. */
static bool touch_since(struct mirror_source *s, const struct object *remote, uint64_t since)
{
	struct object *o = s->of->object;
	bool is_vm = schema_is_a(o->type, T_VirtualMachine);
	bool is_renamed = false, is_news = false, is_moved = false;

	for (uint32_t i = 0; i < remote->n_journal; i++) {
		const struct change *c = &remote->journal[i];
		if (c->version <= since) {
			continue;
		}
		touch(o, c);
		is_news |= mirror_is_noted(o, c->prop) && !is_use(c);
		if (c->prop == P_ManagedEntity_name && schema_is_a(o->type, T_ManagedEntity)) {
			is_renamed = true;
		}
		is_moved |= is_vm && (c->prop == P_VirtualMachine_network ||
				      c->prop == P_VirtualMachine_config);
	}
	if (is_renamed) {
		mirror_renamed(s);
	}
	bool is_connected = is_moved && mirror_connect(s);
	if (is_news) {
		mirror_note(s);
	}
	return is_renamed || is_news || is_connected;
}

/* Has its configuration changed? */
static bool is_configured(const struct object *system, uint64_t since)
{
	for (uint32_t i = 0; i < system->n_journal; i++) {
		const struct change *c = &system->journal[i];
		if (c->version > since && c->prop == P_HostSystem_config) {
			return true;
		}
	}
	return false;
}

static void touch_all(struct object *o)
{
	for (unsigned prop = 0; prop < o->n_props && prop < 64; prop++) {
		if ((o->class->computed >> prop) & 1) {
			inventory_touch(o, prop, schema_field_name(schema_field(o->type, prop)));
		}
	}
}

/* An object known from earlier is there. */
static void hear_of(struct mirror_source *s, struct object *remote)
{
	s->object = remote;
	touch_all(s->of->object);
	mirror_bound(s);
	mirror_note(s);
}

/* ---- looking at what is new ---- */

struct look {
	struct mirror *m;
	uint64_t since;
	VEC(struct object *) changed; /* newest first */
	bool written;		      /* rows were, and must be committed */
	bool system_changed;	      /* more than its figures of use */
};

static void look_at(struct look *l, struct object *remote)
{
	struct mirror *m = l->m;
	struct mirror_source *s = source_of(m, remote);

	if (remote->removed) {
		if (s != NULL && s->object == remote) {
			mirror_leave(s);
			l->written = true;
		}
		return;
	}
	if (s != NULL && s->of->chosen != NULL && s->of->chosen != s) {
		s->object = remote; /* another host's account of it counts */
	} else if (s != NULL && s->object != remote) {
		l->written = true;
		hear_of(s, remote); /* for the first time, or gone and come back in between */
	} else if (s != NULL) {
		bool written = touch_since(s, remote, l->since);
		l->written |= written;
		l->system_changed |= schema_is_a(remote->type, T_HostSystem) &&
				     (written || is_configured(remote, l->since));
	} else if (mirror_enter(m, remote)) {
		l->written = true;
	}
}

static bool look_done(struct look *l, struct error *e)
{
	struct mirror *m = l->m;
	struct database *db = m->member->center->db;

	if (!l->written && !m->is_unsaved) {
		database_rollback(db);
		return true;
	}
	if (m->is_unsaved) {
		center_keep_ids(m->member->center);
		map64_each(&m->by_remote, it)
		{
			mirror_save(it->value);
		}
	}
	m->is_unsaved = !database_commit(db, e);
	return !m->is_unsaved;
}

static bool update(struct mirror *m, struct error *e)
{
	struct look l = { .m = m, .since = m->reader.version };
	uint64_t now = inventory_version(m->source);
	struct object *o;

	if (now == l.since) {
		return true;
	}
	for (o = inventory_newest(m->source); o != NULL && o->version > l.since;
	     o = object_older(o)) {
		vec_push(&l.changed, o);
	}
	database_begin(m->member->center->db);
	for (size_t i = l.changed.n; i-- > 0;) {
		look_at(&l, l.changed.items[i]);
	}
	bool ok = look_done(&l, e);
	if (l.system_changed) {
		pairing_look(m->member);
	}
	/* Also when nothing could be kept: the host has done what it has done. */
	for (size_t i = l.changed.n; i-- > 0;) {
		if (l.changed.items[i]->type == T_Task) {
			remote_task_changed(m, l.changed.items[i]);
		}
	}
	vec_free(&l.changed);
	/* Tasks that ended may have led to more; that is for the next look. */
	inventory_reader_advance(m->source, &m->reader, now);
	return ok;
}

static void on_change(void *arg)
{
	struct mirror *m = arg;
	struct error e;

	if (!update(m, &e)) {
		log_error("what is new on \"%s\" cannot be kept: %s", member_name(m->member),
			  e.msg);
	}
	hosts_wake(m->member->hosts);
}

/* ---- attaching ---- */

/* Which objects over there stand for the manager's own. */
static void find_own(struct mirror *m, struct object *o)
{
	static const unsigned folders[] = { P_Datacenter_vmFolder, P_Datacenter_hostFolder,
					    P_Datacenter_datastoreFolder,
					    P_Datacenter_networkFolder };

	if (schema_is_a(o->type, T_Datacenter) && m->datacenter == NULL) {
		m->datacenter = value_hold(o->ref);
		for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
			m->folders[i] = value_keep(object_get(o, folders[i], NULL));
		}
	} else if (schema_is_a(o->type, T_ComputeResource) && m->compute == NULL) {
		m->compute = value_hold(o->ref);
		m->pool = value_keep(object_get(o, P_ComputeResource_resourcePool, NULL));
		m->browser = value_keep(object_get(o, P_ComputeResource_environmentBrowser, NULL));
	}
}

static void forget_own(struct mirror *m)
{
	value_drop(m->datacenter);
	value_drop(m->compute);
	value_drop(m->pool);
	value_drop(m->browser);
	m->datacenter = m->compute = m->pool = m->browser = NULL;
	for (size_t i = 0; i < ARRAY_LEN(m->folders); i++) {
		value_drop(m->folders[i]);
		m->folders[i] = NULL;
	}
}

/* Sources that nothing over there belongs to. */
static void leave_unheard(struct mirror *m)
{
	map64_each(&m->by_remote, it)
	{
		struct mirror_source *s = it->value;
		if (s->object == NULL && !schema_is_a(s->of->object->type, T_HostSystem)) {
			mirror_leave(s);
		}
	}
}

static bool attach_all(struct mirror *m, struct error *e)
{
	struct look l = { .m = m, .written = true };
	struct object *o;

	for (uint32_t i = 0; (o = inventory_each(m->source, &i)) != NULL;) {
		find_own(m, o);
	}
	database_begin(m->member->center->db);
	for (uint32_t i = 0; (o = inventory_each(m->source, &i)) != NULL;) {
		look_at(&l, o);
	}
	leave_unheard(m);
	return look_done(&l, e);
}

bool mirror_attach(struct mirror *m, struct link *l, struct error *e)
{
	if (mirror_is_attached(m)) {
		bool ok = update(m, e);
		hosts_wake(m->member->hosts);
		return ok;
	}
	m->source = link_inventory(l);
	inventory_reader_add(m->source, &m->reader);
	bool ok = attach_all(m, e);
	m->listener = inventory_subscribe(m->source, on_change, m);
	hosts_wake(m->member->hosts);
	return ok;
}

void mirror_detach(struct mirror *m)
{
	if (mirror_is_attached(m)) {
		inventory_unsubscribe(m->listener);
		inventory_reader_remove(m->source, &m->reader);
		m->listener = NULL;
	}
	m->source = NULL;
	forget_own(m);
	map64_each(&m->by_remote, it)
	{
		((struct mirror_source *)it->value)->object = NULL;
	}
}

void mirror_detach_known(struct mirror *m)
{
	map64_each(&m->by_remote, it)
	{
		mirror_remember(it->value);
	}
	mirror_detach(m);
}

bool mirror_is_attached(const struct mirror *m)
{
	return m->listener != NULL;
}

void mirror_init(struct mirror *m, struct member *member)
{
	m->member = member;
}

void mirror_fini(struct mirror *m)
{
	mirror_detach(m);
	mirror_clear(m);
	map64_free(&m->by_remote);
	map64_free(&m->tasks);
	vec_free(&m->stores);
}

/* ---- VMs that move ---- */

static void commit(struct mirror *m)
{
	struct error e;

	if (!database_commit(m->member->center->db, &e)) {
		m->is_unsaved = true;
		log_error("what is new on \"%s\" cannot be kept: %s", member_name(m->member),
			  e.msg);
	}
}

void mirror_choose(struct mirror_source *s)
{
	struct mirrored *of = s->of;

	of->chosen = of->sources->next == NULL ? NULL : s;
	database_begin(s->mirror->member->center->db);
	for (struct mirror_source *it = of->sources, *next; it != NULL; it = next) {
		next = it->next;
		if (it != s && it->object == NULL && mirror_is_attached(it->mirror)) {
			mirror_leave(it);
		}
	}
	hear_of(s, s->object);
	commit(s->mirror);
}

void mirror_release(struct mirror_source *s)
{
	if (s != NULL && s->object == NULL && mirror_is_attached(s->mirror)) {
		database_begin(s->mirror->member->center->db);
		mirror_leave(s);
		commit(s->mirror);
	}
}

/* ---- the connection ---- */

void mirror_touch_state(struct mirror *m)
{
	map64_each(&m->by_remote, it)
	{
		struct object *o = ((struct mirror_source *)it->value)->of->object;
		if (schema_is_a(o->type, T_HostSystem)) {
			inventory_touch(o, P_HostSystem_runtime, "runtime.connectionState");
			inventory_touch(o, P_HostSystem_summary, "summary.runtime.connectionState");
		} else if (schema_is_a(o->type, T_VirtualMachine)) {
			inventory_touch(o, P_VirtualMachine_runtime, "runtime.connectionState");
			inventory_touch(o, P_VirtualMachine_summary,
					"summary.runtime.connectionState");
		} else if (schema_is_a(o->type, T_Datastore)) {
			inventory_touch(o, P_Datastore_summary, "summary.accessible");
		}
	}
	hosts_wake(m->member->hosts);
}

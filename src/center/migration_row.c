/* SPDX-License-Identifier: Apache-2.0 */
/* A migration as it is kept in the database, for the manager's next start. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "center/database.h"
#include "center/migration_impl.h"

struct migration *migration_new(struct migrations *all)
{
	struct migration *m = mem_zalloc(sizeof(*m));

	m->all = all;
	m->downtime_us = -1;
	for (int i = SOURCE; i <= TARGET; i++) {
		m->sides[i].m = m;
		m->sides[i].is_target = i == TARGET;
	}
	list_push_back(&all->all, &m->link);
	return m;
}

void migration_free(struct migration *m)
{
	list_remove(&m->link);
	for (int i = SOURCE; i <= TARGET; i++) {
		free(m->sides[i].remote);
	}
	json_object_put(m->target);
	json_object_put(m->ticket);
	free(m->vm);
	free(m->uuid);
	free(m->pool);
	free(m->folder);
	free(m->user);
	free(m);
}

static void put(struct json_object *o, const char *key, const char *text)
{
	if (text != NULL) {
		json_put_str(o, key, text);
	}
}

void migration_write(const struct migration *m)
{
	struct json_object *o = json_object_new_object();
	struct buf text = BUF_INIT;

	put(o, "vm", m->vm);
	put(o, "uuid", m->uuid);
	put(o, "source", m->sides[SOURCE].host);
	put(o, "target", m->sides[TARGET].host);
	put(o, "source_vm", m->sides[SOURCE].remote);
	put(o, "target_vm", m->sides[TARGET].remote);
	put(o, "pool", m->pool);
	put(o, "folder", m->folder);
	put(o, "user", m->user);
	json_put_bool(o, "relocation", m->is_relocation);
	json_put_bool(o, "hot", m->is_hot);
	if (m->phase == PHASE_FORGETTING) {
		put(o, "outcome", m->has_moved ? "moved" : "stayed");
	}
	json_add_text(&text, o);
	database_put_migration(m->all->c->db, m->id, text.data);
	buf_free(&text);
	json_object_put(o);
}

static char *get(const struct json_at *at, const char *key)
{
	const char *text = NULL;

	return json_has(at, key) && json_get_str(at, key, &text, NULL) ? mem_strdup(text) : NULL;
}

static bool get_host(const struct json_at *at, const char *key, struct migration_side *s)
{
	char *host = get(at, key);
	bool ok = host != NULL && strlen(host) < sizeof(s->host);

	if (ok) {
		snprintf(s->host, sizeof(s->host), "%s", host);
	}
	free(host);
	return ok;
}

struct migration *migration_read(struct migrations *all, const char *id, const char *data)
{
	struct json_object *o = json_parse(data, strlen(data), 1 << 20, 8, NULL);
	struct json_at at = json_root(o);

	if (o == NULL || strlen(id) >= UUID_TEXT_SIZE) {
		json_object_put(o);
		return NULL;
	}
	struct migration *m = migration_new(all);
	snprintf(m->id, sizeof(m->id), "%s", id);
	m->vm = get(&at, "vm");
	m->uuid = get(&at, "uuid");
	m->sides[SOURCE].remote = get(&at, "source_vm");
	m->sides[TARGET].remote = get(&at, "target_vm");
	m->pool = get(&at, "pool");
	m->folder = get(&at, "folder");
	m->user = get(&at, "user");
	json_get_bool(&at, "relocation", &m->is_relocation, NULL);
	json_get_bool(&at, "hot", &m->is_hot, NULL);
	char *outcome = get(&at, "outcome");
	m->phase = outcome == NULL ? PHASE_RUNNING : PHASE_FORGETTING;
	m->has_moved = outcome != NULL && strcmp(outcome, "moved") == 0;
	free(outcome);
	bool ok = m->vm != NULL && m->user != NULL && get_host(&at, "source", &m->sides[SOURCE]) &&
		  get_host(&at, "target", &m->sides[TARGET]);
	json_object_put(o);
	if (!ok) {
		migration_free(m);
		return NULL;
	}
	if (m->uuid == NULL) {
		m->uuid = mem_strdup("");
	}
	return m;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading the records of a database. */
#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "center/database_impl.h"
#include "vim/soap.h"

#define ENTITY_COLUMNS                                                                             \
	"entity.id, entity.type, entity.parent, entity.name, entity.pool, entity.data"

const char *const database_sql[SQL_COUNT] = {
	[SQL_PUT_ENTITY] = "INSERT INTO entity (id, type, parent, name, pool, data)"
			   " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
			   " type = excluded.type, parent = excluded.parent, name = excluded.name,"
			   " pool = excluded.pool, data = excluded.data",
	[SQL_DROP_ENTITY] = "DELETE FROM entity WHERE id = ?",
	[SQL_DROP_REF] = "DELETE FROM reference WHERE host = ? AND remote = ?",
	[SQL_DROP_ENTITY_REFS] = "DELETE FROM reference WHERE local = ?",
	[SQL_DROP_CUSTOM] = "DELETE FROM custom WHERE id = ?",
	[SQL_SET_CUSTOM] = "INSERT OR REPLACE INTO custom (id, data) VALUES (?, ?)",
	[SQL_CUSTOM] = "SELECT data FROM custom WHERE id = ?",
	[SQL_SET_PARENT] = "UPDATE entity SET parent = ?2 WHERE id = ?1",
	[SQL_SET_NAME] = "UPDATE entity SET name = ?2 WHERE id = ?1",
	[SQL_SET_POOL] = "UPDATE entity SET pool = ?2 WHERE id = ?1",
	[SQL_SET_DATA] = "UPDATE entity SET data = ?2 WHERE id = ?1",
	[SQL_ENTITIES] = "SELECT " ENTITY_COLUMNS " FROM entity ORDER BY rowid",
	[SQL_ENTITIES_OF_TYPE] =
		"SELECT " ENTITY_COLUMNS " FROM entity WHERE type = ? ORDER BY rowid",
	[SQL_PUT_REF] = "INSERT INTO reference (host, remote, local) VALUES (?, ?, ?)"
			" ON CONFLICT (host, remote) DO UPDATE SET local = excluded.local",
	[SQL_REFS] = "SELECT " ENTITY_COLUMNS ", reference.host, reference.remote, reference.local"
		     " FROM reference LEFT JOIN entity ON entity.id = reference.local"
		     " WHERE reference.host = ? ORDER BY entity.rowid",
	[SQL_PUT_HOST] = "INSERT INTO host (id, address, port, user, credential, thumbprint, uuid,"
			 " is_connected, last_event) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
			 " ON CONFLICT (id) DO UPDATE SET address = excluded.address,"
			 " port = excluded.port, user = excluded.user,"
			 " credential = excluded.credential, thumbprint = excluded.thumbprint,"
			 " uuid = excluded.uuid, is_connected = excluded.is_connected,"
			 " last_event = excluded.last_event",
	[SQL_DROP_HOST] = "DELETE FROM host WHERE id = ?",
	[SQL_DROP_HOST_ENTITIES] = "DELETE FROM entity WHERE id IN"
				   " (SELECT local FROM reference WHERE host = ?1) AND NOT EXISTS"
				   " (SELECT 1 FROM reference WHERE local = id AND host <> ?1)",
	[SQL_DROP_HOST_CUSTOM] = "DELETE FROM custom WHERE id IN"
				 " (SELECT local FROM reference WHERE host = ?1) AND NOT EXISTS"
				 " (SELECT 1 FROM reference WHERE local = id AND host <> ?1)",
	[SQL_DROP_HOST_CARDS] = "DELETE FROM cards WHERE vm IN"
				" (SELECT local FROM reference WHERE host = ?1)",
	[SQL_DROP_HOST_REFS] = "DELETE FROM reference WHERE host = ?",
	[SQL_SET_LAST_EVENT] = "UPDATE host SET last_event = ?2 WHERE id = ?1",
	[SQL_HOSTS] = "SELECT id, address, port, user, credential, thumbprint, uuid, is_connected,"
		      " last_event FROM host ORDER BY id",
	[SQL_PUT_EVENT] = "INSERT OR REPLACE INTO event (key, data) VALUES (?, ?)",
	[SQL_TRIM_EVENTS] = "DELETE FROM event WHERE key <= ?",
	[SQL_EVENTS] = "SELECT data FROM event ORDER BY key",
	[SQL_PUT_TASK] = "INSERT INTO task (key, data) VALUES (?, ?)"
			 " ON CONFLICT (key) DO UPDATE SET data = excluded.data",
	[SQL_TRIM_TASKS] = "DELETE FROM task WHERE number <= (SELECT max(number) FROM task) - ?",
	[SQL_TASKS] = "SELECT data FROM task ORDER BY number",
	[SQL_PUT_INTENT] = "INSERT INTO intent (path, kind, data) VALUES (?, ?, ?)"
			   " ON CONFLICT (path) DO UPDATE SET data = excluded.data",
	[SQL_DROP_INTENT] = "DELETE FROM intent WHERE path = ?",
	[SQL_INTENTS] = "SELECT path, kind, data FROM intent ORDER BY rowid",
	[SQL_PUT_CARDS] = "INSERT OR REPLACE INTO cards (vm, data) VALUES (?, ?)",
	[SQL_DROP_CARDS] = "DELETE FROM cards WHERE vm = ?",
	[SQL_CARDS] = "SELECT data FROM cards WHERE vm = ?",
	[SQL_SET_FACT] = "INSERT INTO fact (name, value) VALUES (?, ?)"
			 " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	[SQL_DROP_FACT] = "DELETE FROM fact WHERE name = ?",
	[SQL_FACT] = "SELECT value FROM fact WHERE name = ?",
	[SQL_PUT_DVPORT] = "INSERT OR REPLACE INTO dvport (key, portgroup, vm, nic, cookie, since)"
			   " VALUES (?, ?, ?, ?, ?, ?)",
	[SQL_DROP_DVPORT] = "DELETE FROM dvport WHERE key = ?",
	[SQL_DROP_DVPORTS] = "DELETE FROM dvport WHERE vm = ?1 OR portgroup = ?1",
	[SQL_DROP_LOST_DVPORTS] = "DELETE FROM dvport WHERE vm NOT IN (SELECT id FROM entity)",
	[SQL_DVPORTS] = "SELECT key, portgroup, vm, nic, cookie, since FROM dvport",
	[SQL_PUT_MIGRATION] = "INSERT OR REPLACE INTO migration (id, data) VALUES (?, ?)",
	[SQL_DROP_MIGRATION] = "DELETE FROM migration WHERE id = ?",
	[SQL_MIGRATIONS] = "SELECT id, data FROM migration ORDER BY id",
};

sqlite3_stmt *database_statement(struct database *db, enum database_sql which)
{
	sqlite3_stmt **s = &db->statements[which];

	if (*s == NULL && sqlite3_prepare_v3(db->sql, database_sql[which], -1,
					     SQLITE_PREPARE_PERSISTENT, s, NULL) != SQLITE_OK) {
		database_note(db, "prepare");
		return NULL;
	}
	sqlite3_reset(*s);
	sqlite3_clear_bindings(*s);
	return *s;
}

/* ---- writing ---- */

/* A statement in an open transaction; NULL: an error is noted. */
static sqlite3_stmt *write_begin(struct database *db, enum database_sql which)
{
	return database_ensure(db) ? database_statement(db, which) : NULL;
}

/* Texts live until write_end(). */
static void bind_text(sqlite3_stmt *s, int i, const char *text)
{
	if (text != NULL) {
		sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
	}
}

static void write_end(struct database *db, sqlite3_stmt *s)
{
	if (sqlite3_step(s) != SQLITE_DONE) {
		database_note(db, "write");
	}
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
}

static void write_texts(struct database *db, enum database_sql which, const char *first,
			const char *second)
{
	sqlite3_stmt *s = db == NULL ? NULL : write_begin(db, which);

	if (s != NULL) {
		bind_text(s, 1, first);
		if (sqlite3_bind_parameter_count(s) > 1) {
			bind_text(s, 2, second);
		}
		write_end(db, s);
	}
}

void database_put_entity(struct database *db, const struct database_entity *entity)
{
	sqlite3_stmt *s = db == NULL ? NULL : write_begin(db, SQL_PUT_ENTITY);

	if (s != NULL) {
		bind_text(s, 1, entity->id);
		bind_text(s, 2, entity->type);
		bind_text(s, 3, entity->parent);
		bind_text(s, 4, entity->name);
		bind_text(s, 5, entity->pool);
		bind_text(s, 6, entity->data);
		write_end(db, s);
	}
}

void database_drop_entity(struct database *db, const char *id)
{
	write_texts(db, SQL_DROP_ENTITY, id, NULL);
	write_texts(db, SQL_DROP_ENTITY_REFS, id, NULL);
	write_texts(db, SQL_DROP_CUSTOM, id, NULL);
	write_texts(db, SQL_DROP_CARDS, id, NULL);
	write_texts(db, SQL_DROP_DVPORTS, id, NULL);
}

void database_set_custom(struct database *db, const char *id, const char *data)
{
	write_texts(db, data == NULL ? SQL_DROP_CUSTOM : SQL_SET_CUSTOM, id, data);
}

void database_set_parent(struct database *db, const char *id, const char *parent)
{
	write_texts(db, SQL_SET_PARENT, id, parent);
}

void database_set_name(struct database *db, const char *id, const char *name)
{
	write_texts(db, SQL_SET_NAME, id, name);
}

void database_set_pool(struct database *db, const char *id, const char *pool)
{
	write_texts(db, SQL_SET_POOL, id, pool);
}

void database_set_data(struct database *db, const char *id, const char *data)
{
	write_texts(db, SQL_SET_DATA, id, data);
}

void database_put_ref(struct database *db, const struct database_ref *ref)
{
	sqlite3_stmt *s = db == NULL ? NULL : write_begin(db, SQL_PUT_REF);

	if (s != NULL) {
		bind_text(s, 1, ref->host);
		bind_text(s, 2, ref->remote);
		bind_text(s, 3, ref->local);
		write_end(db, s);
	}
}

void database_drop_ref(struct database *db, const char *host, const char *remote)
{
	write_texts(db, SQL_DROP_REF, host, remote);
}

void database_put_host(struct database *db, const struct database_host *host)
{
	sqlite3_stmt *s = db == NULL ? NULL : write_begin(db, SQL_PUT_HOST);

	if (s != NULL) {
		bind_text(s, 1, host->id);
		bind_text(s, 2, host->address);
		sqlite3_bind_int(s, 3, host->port);
		bind_text(s, 4, host->user);
		bind_text(s, 5, host->credential);
		bind_text(s, 6, host->thumbprint);
		bind_text(s, 7, host->uuid);
		sqlite3_bind_int(s, 8, host->is_connected);
		sqlite3_bind_int(s, 9, host->last_event);
		write_end(db, s);
	}
}

void database_drop_host(struct database *db, const char *id)
{
	write_texts(db, SQL_DROP_HOST_ENTITIES, id, NULL);
	write_texts(db, SQL_DROP_HOST_CUSTOM, id, NULL);
	write_texts(db, SQL_DROP_HOST_CARDS, id, NULL);
	write_texts(db, SQL_DROP_HOST_REFS, id, NULL);
	write_texts(db, SQL_DROP_HOST, id, NULL);
	database_drop_entity(db, id);
	sqlite3_stmt *s = db == NULL ? NULL : write_begin(db, SQL_DROP_LOST_DVPORTS);
	if (s != NULL) {
		write_end(db, s);
	}
}

void database_put_dvport(struct database *db, const struct database_dvport *port)
{
	sqlite3_stmt *s = db == NULL ? NULL : write_begin(db, SQL_PUT_DVPORT);

	if (s != NULL) {
		sqlite3_bind_int64(s, 1, port->key);
		bind_text(s, 2, port->portgroup);
		bind_text(s, 3, port->vm);
		sqlite3_bind_int(s, 4, port->nic);
		sqlite3_bind_int(s, 5, port->cookie);
		sqlite3_bind_int64(s, 6, port->since_us);
		write_end(db, s);
	}
}

void database_drop_dvport(struct database *db, int64_t key)
{
	sqlite3_stmt *s = db == NULL ? NULL : write_begin(db, SQL_DROP_DVPORT);

	if (s != NULL) {
		sqlite3_bind_int64(s, 1, key);
		write_end(db, s);
	}
}

void database_set_last_event(struct database *db, const char *id, int32_t key)
{
	sqlite3_stmt *s = db == NULL ? NULL : write_begin(db, SQL_SET_LAST_EVENT);

	if (s != NULL) {
		bind_text(s, 1, id);
		sqlite3_bind_int(s, 2, key);
		write_end(db, s);
	}
}

/* Deletes what is older than the newest `max`. */
static void trim(struct database *db, enum database_sql which, int64_t limit)
{
	sqlite3_stmt *s = write_begin(db, which);

	if (s != NULL) {
		sqlite3_bind_int64(s, 1, limit);
		write_end(db, s);
	}
}

void database_put_event(struct database *db, int64_t key, const char *data)
{
	sqlite3_stmt *s = db == NULL ? NULL : write_begin(db, SQL_PUT_EVENT);

	if (s != NULL) {
		sqlite3_bind_int64(s, 1, key);
		bind_text(s, 2, data);
		write_end(db, s);
		trim(db, SQL_TRIM_EVENTS, key - DATABASE_EVENTS_MAX);
	}
}

void database_put_task(struct database *db, const char *key, const char *data)
{
	if (db != NULL) {
		write_texts(db, SQL_PUT_TASK, key, data);
		trim(db, SQL_TRIM_TASKS, DATABASE_TASKS_MAX);
	}
}

void database_set_fact(struct database *db, const char *name, const char *value)
{
	write_texts(db, value == NULL ? SQL_DROP_FACT : SQL_SET_FACT, name, value);
}

/* ---- reading ---- */

static const char *text_at(sqlite3_stmt *s, int column)
{
	return (const char *)sqlite3_column_text(s, column);
}

static struct database_entity entity_at(sqlite3_stmt *s)
{
	return (struct database_entity){
		.id = text_at(s, 0),
		.type = text_at(s, 1),
		.parent = text_at(s, 2),
		.name = text_at(s, 3),
		.pool = text_at(s, 4),
		.data = text_at(s, 5),
	};
}

static bool read_end(struct database *db, sqlite3_stmt *s, int code, struct error *e)
{
	bool ok = code == SQLITE_DONE || database_error(db, "read", e);

	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return ok;
}

bool database_each_entity(struct database *db, const char *type,
			  void (*fn)(void *arg, const struct database_entity *entity), void *arg,
			  struct error *e)
{
	if (db == NULL) {
		return true;
	}
	sqlite3_stmt *s =
		database_statement(db, type == NULL ? SQL_ENTITIES : SQL_ENTITIES_OF_TYPE);
	if (s == NULL) {
		return database_error(db, "read", e);
	}
	if (type != NULL) {
		bind_text(s, 1, type);
	}
	int code;
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		struct database_entity entity = entity_at(s);
		fn(arg, &entity);
	}
	return read_end(db, s, code, e);
}

bool database_each_ref(struct database *db, const char *host,
		       void (*fn)(void *arg, const struct database_ref *ref,
				  const struct database_entity *entity),
		       void *arg, struct error *e)
{
	if (db == NULL) {
		return true;
	}
	sqlite3_stmt *s = database_statement(db, SQL_REFS);
	if (s == NULL) {
		return database_error(db, "read", e);
	}
	bind_text(s, 1, host);
	int code;
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		struct database_entity entity = entity_at(s);
		struct database_ref ref = {
			.host = text_at(s, 6),
			.remote = text_at(s, 7),
			.local = text_at(s, 8),
		};
		entity.id = ref.local;
		fn(arg, &ref, &entity);
	}
	return read_end(db, s, code, e);
}

bool database_each_host(struct database *db,
			void (*fn)(void *arg, const struct database_host *host), void *arg,
			struct error *e)
{
	if (db == NULL) {
		return true;
	}
	sqlite3_stmt *s = database_statement(db, SQL_HOSTS);
	if (s == NULL) {
		return database_error(db, "read", e);
	}
	int code;
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		struct database_host host = {
			.id = text_at(s, 0),
			.address = text_at(s, 1),
			.port = (uint16_t)sqlite3_column_int(s, 2),
			.user = text_at(s, 3),
			.credential = text_at(s, 4),
			.thumbprint = text_at(s, 5),
			.uuid = text_at(s, 6),
			.is_connected = sqlite3_column_int(s, 7) != 0,
			.last_event = sqlite3_column_int(s, 8),
		};
		fn(arg, &host);
	}
	return read_end(db, s, code, e);
}

bool database_each_dvport(struct database *db,
			  void (*fn)(void *arg, const struct database_dvport *port), void *arg,
			  struct error *e)
{
	if (db == NULL) {
		return true;
	}
	sqlite3_stmt *s = database_statement(db, SQL_DVPORTS);
	if (s == NULL) {
		return database_error(db, "read", e);
	}
	int code;
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		struct database_dvport port = {
			.key = sqlite3_column_int64(s, 0),
			.portgroup = text_at(s, 1),
			.vm = text_at(s, 2),
			.nic = sqlite3_column_int(s, 3),
			.cookie = sqlite3_column_int(s, 4),
			.since_us = sqlite3_column_int64(s, 5),
		};
		fn(arg, &port);
	}
	return read_end(db, s, code, e);
}

void database_put_migration(struct database *db, const char *id, const char *data)
{
	write_texts(db, SQL_PUT_MIGRATION, id, data);
}

void database_drop_migration(struct database *db, const char *id)
{
	write_texts(db, SQL_DROP_MIGRATION, id, NULL);
}

bool database_each_migration(struct database *db,
			     void (*fn)(void *arg, const char *id, const char *data), void *arg,
			     struct error *e)
{
	if (db == NULL) {
		return true;
	}
	sqlite3_stmt *s = database_statement(db, SQL_MIGRATIONS);
	if (s == NULL) {
		return database_error(db, "read", e);
	}
	int code;
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		fn(arg, text_at(s, 0), text_at(s, 1));
	}
	return read_end(db, s, code, e);
}

static bool each_text(struct database *db, enum database_sql which,
		      void (*fn)(void *arg, const char *data), void *arg, struct error *e)
{
	if (db == NULL) {
		return true;
	}
	sqlite3_stmt *s = database_statement(db, which);
	if (s == NULL) {
		return database_error(db, "read", e);
	}
	int code;
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		fn(arg, text_at(s, 0));
	}
	return read_end(db, s, code, e);
}

bool database_each_event(struct database *db, void (*fn)(void *arg, const char *data), void *arg,
			 struct error *e)
{
	return each_text(db, SQL_EVENTS, fn, arg, e);
}

bool database_each_task(struct database *db, void (*fn)(void *arg, const char *data), void *arg,
			struct error *e)
{
	return each_text(db, SQL_TASKS, fn, arg, e);
}

static const char *text_of(struct database *db, enum database_sql which, const char *key,
			   struct arena *a)
{
	sqlite3_stmt *s = db == NULL ? NULL : database_statement(db, which);
	const char *value = NULL;

	if (s != NULL) {
		bind_text(s, 1, key);
		if (sqlite3_step(s) == SQLITE_ROW) {
			value = arena_strdup(a, text_at(s, 0));
		}
		sqlite3_reset(s);
		sqlite3_clear_bindings(s);
	}
	return value;
}

const char *database_fact(struct database *db, const char *name, struct arena *a)
{
	return text_of(db, SQL_FACT, name, a);
}

const char *database_custom(struct database *db, const char *id, struct arena *a)
{
	return text_of(db, SQL_CUSTOM, id, a);
}

/* ---- policy ---- */

void database_put_intent(struct database *db, const char *path, const char *kind, const char *data)
{
	sqlite3_stmt *s = db == NULL ? NULL : write_begin(db, SQL_PUT_INTENT);

	if (s != NULL) {
		bind_text(s, 1, path);
		bind_text(s, 2, kind);
		bind_text(s, 3, data);
		write_end(db, s);
	}
}

void database_drop_intent(struct database *db, const char *path)
{
	write_texts(db, SQL_DROP_INTENT, path, NULL);
}

bool database_each_intent(struct database *db,
			  void (*fn)(void *arg, const char *path, const char *kind,
				     const char *data),
			  void *arg, struct error *e)
{
	if (db == NULL) {
		return true;
	}
	sqlite3_stmt *s = database_statement(db, SQL_INTENTS);
	if (s == NULL) {
		return database_error(db, "read", e);
	}
	int code;
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		fn(arg, text_at(s, 0), text_at(s, 1), text_at(s, 2));
	}
	return read_end(db, s, code, e);
}

void database_put_cards(struct database *db, const char *vm, const char *data)
{
	write_texts(db, data == NULL ? SQL_DROP_CARDS : SQL_PUT_CARDS, vm, data);
}

const char *database_cards(struct database *db, const char *vm, struct arena *a)
{
	return text_of(db, SQL_CARDS, vm, a);
}

/* ---- structures ---- */

#define STORED_TAG "<value"
#define STORED_SPACE                                                                               \
	STORED_TAG " xmlns=\"urn:vim25\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\""           \
		   " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""

const char *database_text(struct arena *a, const struct value *v)
{
	if (v == NULL) {
		return NULL;
	}
	struct buf b = BUF_INIT;
	soap_write_any(&b, "value", v, schema_version_served);
	assert(strncmp(b.data, STORED_TAG, strlen(STORED_TAG)) == 0);
	char *text = arena_printf(a, "%s%s", STORED_SPACE, b.data + strlen(STORED_TAG));
	buf_free(&b);
	return text;
}

const struct value *database_value(struct arena *a, uint16_t type, const char *text,
				   struct error *e)
{
	const struct value *v = NULL;

	if (!soap_read_value(&v, type, text, strlen(text), a, e)) {
		return NULL;
	}
	return v;
}

/* XML cannot hold it, and the writer lets none through. */
#define STORED_BETWEEN '\x1e'

const char *database_array_text(struct arena *a, const struct value *array)
{
	struct buf b = BUF_INIT;

	if (value_count(array) == 0) {
		return NULL;
	}
	for (size_t i = 0; i < value_count(array); i++) {
		if (i > 0) {
			buf_addc(&b, STORED_BETWEEN);
		}
		buf_adds(&b, database_text(a, value_item(array, i)));
	}
	const char *text = arena_strdup(a, b.data);
	buf_free(&b);
	return text;
}

const struct value *database_array(struct arena *a, uint16_t type, const char *text,
				   struct error *e)
{
	struct value *array = value_new_array(a, type);

	for (const char *end; *text != '\0'; text = end + (*end != '\0')) {
		end = strchrnul(text, STORED_BETWEEN);
		const char *one = arena_strndup(a, text, (size_t)(end - text));
		const struct value *v = database_value(a, type, one, e);
		if (v == NULL) {
			return NULL;
		}
		value_push(a, array, v);
	}
	return array;
}

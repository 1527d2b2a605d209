/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file, its version, and transactions.
 *
 *   closed --first write--> open --database_begin()--> begun --commit--> closed
 *                            |  \--end of turn--> closed  \--rollback--> open
 *
 * 1. "Begun" is a savepoint within the open transaction: what others wrote before it survives its
 *    rollback.
 * 2. The file is locked for as long as it is open: one process at a time.
 * 3. A write that fails while begun is remembered, and commit turns into rollback; one that fails
 *    otherwise is only logged, as nobody was told that it would last.
 */
#include "center/database.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "center/database_impl.h"

LOG_MODULE("database");

/* Step i brings version i to i + 1. Never changed once released, only added to. */
static const char *const steps[] = {
	"CREATE TABLE entity (id TEXT PRIMARY KEY NOT NULL, type TEXT NOT NULL, parent TEXT,"
	" name TEXT, pool TEXT, data TEXT);"
	"CREATE TABLE custom (id TEXT PRIMARY KEY NOT NULL, data TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE reference (host TEXT NOT NULL, remote TEXT NOT NULL, local TEXT NOT NULL,"
	" PRIMARY KEY (host, remote)) WITHOUT ROWID;"
	"CREATE INDEX reference_local ON reference (local);"
	"CREATE TABLE host (id TEXT PRIMARY KEY NOT NULL, address TEXT NOT NULL,"
	" port INTEGER NOT NULL, user TEXT, credential TEXT, thumbprint TEXT, uuid TEXT,"
	" is_connected INTEGER NOT NULL, last_event INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE event (key INTEGER PRIMARY KEY, data TEXT NOT NULL);"
	"CREATE TABLE task (number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL,"
	" data TEXT NOT NULL);"
	"CREATE TABLE fact (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;",
	"CREATE TABLE intent (path TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL,"
	" data TEXT NOT NULL);"
	"CREATE TABLE cards (vm TEXT PRIMARY KEY NOT NULL, data TEXT NOT NULL) WITHOUT ROWID;",
	"CREATE TABLE dvport (key INTEGER PRIMARY KEY NOT NULL, portgroup TEXT NOT NULL,"
	" vm TEXT NOT NULL, nic INTEGER NOT NULL, cookie INTEGER NOT NULL, since INTEGER NOT NULL);"
	"CREATE INDEX dvport_vm ON dvport (vm);",
	"CREATE TABLE migration (id TEXT PRIMARY KEY NOT NULL, data TEXT NOT NULL) WITHOUT ROWID;",
};

static enum error_kind kind_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		return ERROR_NO_SPACE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERROR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERROR_BUSY;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return ERROR_PERMISSION;
	default:
		return ERROR_IO;
	}
}

bool database_error(const struct database *db, const char *doing, struct error *e)
{
	return error_set(e, kind_of(sqlite3_errcode(db->sql)), "database \"%s\": %s: %s", db->path,
			 doing, sqlite3_errmsg(db->sql));
}

void database_note(struct database *db, const char *doing)
{
	struct error e = { 0 };

	database_error(db, doing, &e);
	if (!db->is_begun) {
		log_limited_error("%s", e.msg);
	} else if (db->error.kind == ERROR_NONE) {
		db->error = e;
	}
}

/* ---- transactions ---- */

static bool run(struct database *db, const char *sql)
{
	return sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static void transaction_over(struct database *db)
{
	db->is_open = false;
	if (db->has_loop) {
		uv_prepare_stop(&db->before_poll);
		uv_check_stop(&db->after_poll);
	}
}

static bool finish(struct database *db)
{
	transaction_over(db);
	return run(db, "COMMIT");
}

/* Nobody waits for what is committed here. */
static void finish_turn(struct database *db)
{
	if (db->is_open && !db->is_begun && !finish(db)) {
		database_note(db, "commit");
		run(db, "ROLLBACK");
	}
}

static void on_prepare(uv_prepare_t *h)
{
	finish_turn(h->data);
}

static void on_check(uv_check_t *h)
{
	finish_turn(h->data);
}

bool database_ensure(struct database *db)
{
	if (db->is_open) {
		return true;
	}
	if (!run(db, "BEGIN IMMEDIATE")) {
		database_note(db, "begin");
		return false;
	}
	db->is_open = true;
	if (db->has_loop) {
		uv_prepare_start(&db->before_poll, on_prepare);
		uv_check_start(&db->after_poll, on_check);
	}
	return true;
}

void database_begin(struct database *db)
{
	if (db == NULL) {
		return;
	}
	assert(!db->is_begun);
	db->is_begun = true;
	db->error = (struct error){ 0 };
	if (database_ensure(db) && !run(db, "SAVEPOINT change")) {
		database_note(db, "begin");
	}
}

void database_rollback(struct database *db)
{
	if (db == NULL) {
		return;
	}
	assert(db->is_begun);
	db->is_begun = false;
	if (db->is_open) {
		run(db, "ROLLBACK TO change");
		run(db, "RELEASE change");
	}
	/* After some errors (a full disk) SQLite has rolled back everything by itself. */
	if (db->is_open && sqlite3_get_autocommit(db->sql) != 0) {
		transaction_over(db);
	}
}

bool database_commit(struct database *db, struct error *e)
{
	if (db == NULL) {
		return true;
	}
	assert(db->is_begun);
	if (db->error.kind != ERROR_NONE) {
		struct error found = db->error;
		database_rollback(db);
		log_limited_error("%s", found.msg);
		return error_set(e, found.kind, "%s", found.msg);
	}
	db->is_begun = false;
	if (run(db, "RELEASE change") && finish(db)) {
		return true;
	}
	database_error(db, "commit", e);
	log_limited_error("database \"%s\": commit: %s", db->path, sqlite3_errmsg(db->sql));
	run(db, "ROLLBACK");
	transaction_over(db);
	return false;
}

/* ---- opening ---- */

static bool version_read(struct database *db, int *version, struct error *e)
{
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(db->sql, "PRAGMA user_version", -1, &s, NULL) != SQLITE_OK ||
	    sqlite3_step(s) != SQLITE_ROW) {
		sqlite3_finalize(s);
		return database_error(db, "read its version", e);
	}
	*version = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return true;
}

static bool migrate_step(struct database *db, int from)
{
	char mark[48];

	snprintf(mark, sizeof(mark), "PRAGMA user_version = %d", from + 1);
	return run(db, "BEGIN EXCLUSIVE") && run(db, steps[from]) && run(db, mark) &&
	       run(db, "COMMIT");
}

static bool migrate(struct database *db, struct error *e)
{
	int version = 0;

	if (!version_read(db, &version, e)) {
		return false;
	}
	if (version < 0 || version > (int)ARRAY_LEN(steps)) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "database \"%s\" has version %d, this program knows up to %d",
				 db->path, version, (int)ARRAY_LEN(steps));
	}
	for (; version < (int)ARRAY_LEN(steps); version++) {
		if (!migrate_step(db, version)) {
			database_error(db, "bring up to date", e);
			run(db, "ROLLBACK");
			return false;
		}
	}
	return true;
}

/* SQLite gives its other files the mode of this one. */
static bool file_make(const char *path, struct error *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0) {
		return error_set_sys(e, errno, "database \"%s\"", path);
	}
	close(fd);
	return true;
}

static bool settings_set(struct database *db, struct error *e)
{
	sqlite3_busy_timeout(db->sql, 2000);
	sqlite3_extended_result_codes(db->sql, 1);
	if (!run(db, "PRAGMA locking_mode = EXCLUSIVE") || !run(db, "PRAGMA journal_mode = WAL") ||
	    !run(db, "PRAGMA synchronous = FULL") || !run(db, "BEGIN EXCLUSIVE") ||
	    !run(db, "COMMIT")) {
		return database_error(db, "open", e);
	}
	return true;
}

struct database *database_open(const char *path, uv_loop_t *loop, struct error *e)
{
	if (!file_make(path, e)) {
		return NULL;
	}
	struct database *db = mem_zalloc(sizeof(*db));
	db->path = mem_strdup(path);
	if (sqlite3_open_v2(path, &db->sql, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		database_error(db, "open", e);
		database_close(db);
		return NULL;
	}
	if (!settings_set(db, e) || !migrate(db, e)) {
		database_close(db);
		return NULL;
	}
	if (loop != NULL) {
		db->has_loop = true;
		uv_prepare_init(loop, &db->before_poll);
		uv_check_init(loop, &db->after_poll);
		db->before_poll.data = db;
		db->after_poll.data = db;
	}
	return db;
}

static void on_closed(uv_handle_t *h)
{
	struct database *db = h->data;

	if (--db->n_closing == 0) {
		free(db);
	}
}

void database_close(struct database *db)
{
	if (db == NULL) {
		return;
	}
	assert(!db->is_begun);
	finish_turn(db);
	for (size_t i = 0; i < SQL_COUNT; i++) {
		sqlite3_finalize(db->statements[i]);
	}
	sqlite3_close(db->sql);
	free(db->path);
	if (!db->has_loop) {
		free(db);
		return;
	}
	db->n_closing = 2;
	uv_close((uv_handle_t *)&db->before_poll, on_closed);
	uv_close((uv_handle_t *)&db->after_poll, on_closed);
}

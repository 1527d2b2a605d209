/* SPDX-License-Identifier: Apache-2.0 */
/* What database.c (file, transactions) and database_record.c (statements) share. */
#pragma once

#include <sqlite3.h>

#include "center/database.h"

/* Statements, prepared at first use. */
enum database_sql {
	SQL_PUT_ENTITY,
	SQL_DROP_ENTITY,
	SQL_DROP_REF,
	SQL_DROP_ENTITY_REFS,
	SQL_DROP_CUSTOM,
	SQL_SET_CUSTOM,
	SQL_CUSTOM,
	SQL_SET_PARENT,
	SQL_SET_NAME,
	SQL_SET_POOL,
	SQL_SET_DATA,
	SQL_ENTITIES,
	SQL_ENTITIES_OF_TYPE,
	SQL_PUT_REF,
	SQL_REFS,
	SQL_PUT_HOST,
	SQL_DROP_HOST,
	SQL_DROP_HOST_ENTITIES,
	SQL_DROP_HOST_REFS,
	SQL_DROP_HOST_CUSTOM,
	SQL_DROP_HOST_CARDS,
	SQL_SET_LAST_EVENT,
	SQL_HOSTS,
	SQL_PUT_EVENT,
	SQL_TRIM_EVENTS,
	SQL_EVENTS,
	SQL_PUT_TASK,
	SQL_TRIM_TASKS,
	SQL_TASKS,
	SQL_PUT_INTENT,
	SQL_DROP_INTENT,
	SQL_INTENTS,
	SQL_PUT_CARDS,
	SQL_DROP_CARDS,
	SQL_CARDS,
	SQL_SET_FACT,
	SQL_DROP_FACT,
	SQL_FACT,
	SQL_PUT_DVPORT,
	SQL_DROP_DVPORT,
	SQL_DROP_DVPORTS,
	SQL_DROP_LOST_DVPORTS,
	SQL_DVPORTS,
	SQL_PUT_MIGRATION,
	SQL_DROP_MIGRATION,
	SQL_MIGRATIONS,
	SQL_COUNT
};
extern const char *const database_sql[SQL_COUNT];

struct database {
	sqlite3 *sql;
	char *path;
	sqlite3_stmt *statements[SQL_COUNT];
	bool is_open;  /* a transaction is */
	bool is_begun; /* between database_begin() and its end */
	bool has_loop;
	struct error error; /* first that failed since begin */
	uv_prepare_t before_poll;
	uv_check_t after_poll;
	int n_closing;
};

/* The prepared statement, reset; NULL after noting an error. */
sqlite3_stmt *database_statement(struct database *db, enum database_sql which);
/* Opens a transaction where none is. */
bool database_ensure(struct database *db);
/* Notes the error of the last call, unless one is noted already. */
void database_note(struct database *db, const char *doing);
/* Writes the error of the last call into e; false. */
bool database_error(const struct database *db, const char *doing, struct error *e);

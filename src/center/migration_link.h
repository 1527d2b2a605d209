/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host says of a migration, /remora/v1/migrations/ID: requests and their answers, read as
 * hostile input. For migration.c. Event-loop thread only.
 */
#pragma once

#include "base/json.h"
#include "vim/peer.h"
#include "vim/value.h"

struct member;
struct object;

enum migration_state {
	MIGRATION_UNKNOWN, /* it did not answer, or not in this form */
	MIGRATION_GONE,	   /* it knows no such migration */
	MIGRATION_PREPARED,
	MIGRATION_COPYING,
	MIGRATION_SWITCHING,
	MIGRATION_OFFERED,
	MIGRATION_DONE,
	MIGRATION_FAILED,
	MIGRATION_CANCELLED
};

struct migration_status {
	enum migration_state state;
	uint64_t version;
	int percent;	  /* -1: not said */
	bool has_refusal; /* a refusal, or the reason of a failure: */
	char object[128], reason[200], fault[64];
	int64_t limit, requested, unreserved; /* -1: not said */
	int64_t downtime_us, total_us;	      /* -1: not said */
};

/* Of an answer with a status, or of the lack of one (answer NULL). A refusal leaves state UNKNOWN.
 */
void migration_status_read(struct migration_status *s, const struct peer_answer *answer,
			   const struct error *e);

struct migration_question {
	const char *method, *id;
	const char *rest;	  /* "/start", "?after=3" or "" */
	struct json_object *body; /* borrowed; may be NULL */
};

/* Begins a request to the host. NULL: it is not connected. */
struct peer_request *migration_request(struct member *m, const struct migration_question *q,
				       peer_done_fn *done, void *arg);

/* Does the host serve migrations at all? Not one of this process. */
bool migration_is_served(const struct member *m);

/* "\"object\": reason (limit)" */
void migration_status_text(const struct migration_status *s, const char *host, char *out,
			   size_t size);
/* The vSphere fault for a refusal or failure; host: the one that it is about. */
struct value *migration_status_fault(const struct migration_status *s, struct object *vm,
				     struct object *host, struct arena *a);

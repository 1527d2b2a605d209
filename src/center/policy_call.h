/* SPDX-License-Identifier: Apache-2.0 */
/* A request to the policy interface while it is handled. For policy_*.c. Each handler answers its
 * call once, now or later; that frees the call. */
#pragma once

#include "base/json.h"
#include "center/intent.h"
#include "center/policy_api.h"

struct policy_call {
	struct policy_api *api;
	struct center *c;
	struct intent *in;
	struct policy_request request; /* done NULL: abandoned */
	char *path;		       /* below the base: "/infra/segments/web" */
	const char *user;
	enum intent_kind kind;	  /* of the route; INTENT_N_KINDS: of none */
	const char *body_def;	  /* what the body must be; NULL: there is none */
	struct json_object *body; /* NULL: none */
};

typedef void policy_handler(struct policy_call *call);

/* The rest of the path of the object that a sub-path like ".../statistics" is about. */
struct intent_object *policy_call_subject(struct policy_call *call, enum intent_kind kind,
					  const char *suffix);

/* Answers. They take the JSON over. */
void policy_answer(struct policy_call *call, int status, struct json_object *o);
void policy_answer_nothing(struct policy_call *call);
void policy_answer_text(struct policy_call *call, const char *json, size_t len);
/* {"results": …, "result_count": …, "cursor": …} with the page that is asked for. */
void policy_answer_list(struct policy_call *call, struct json_object *results);
/* By the kind of the error. */
void policy_answer_error(struct policy_call *call, const struct error *e);
void policy_refuse(struct policy_call *call, int status, int code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
void policy_answer_absent(struct policy_call *call, const char *path);

enum {
	POLICY_CODE_NO_ROUTE = 404,
	POLICY_CODE_METHOD = 405,
	POLICY_CODE_RIGHTS = 403,
	POLICY_CODE_BODY = 220,
	POLICY_CODE_INVALID = 255,
	POLICY_CODE_ABSENT = 600,
	POLICY_CODE_REVISION = 604,
	POLICY_CODE_IN_USE = 500030,
	POLICY_CODE_EXISTS = 500127,
	POLICY_CODE_LIMIT = 500154,
	POLICY_CODE_FAILED = 98
};

/* A parameter of the query; NULL: not given. */
const char *policy_call_query(const struct policy_call *call, const char *name);
/* Which part of a list is wanted. False: it is answered. */
bool policy_call_page(struct policy_call *call, size_t *size, const char **cursor);

/* The body is what its definition says, with what lies in expressions and entries. */
bool policy_check(const struct policy_api *api, const char *def, struct json_object *body,
		  struct error *e);

/* Handlers, named in schema/policy-api.json. */
policy_handler object_list, object_read, object_put, object_patch, object_delete;
policy_handler policy_statistics, rule_statistics, group_machines, group_addresses;
policy_handler realized_status, realized_entities, enforcement_points, enforcement_point;
policy_handler transport_zones, machine_list, machine_tags, openapi;

/* SPDX-License-Identifier: Apache-2.0 */
#include "center/policy_api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "center/policy_api_routes.h"
#include "center/policy_call.h"
#include "center/policy_checks.h"
#include "center/policy_document.h"
#include "plane/document_schema.h"

enum {
	BODY_MAX = 16 << 20,
	BODY_DEPTH = 12,
	PAGE_MAX = 1000
};

struct policy_api {
	struct center *c;
	struct document_schema *checks;
	struct server *server;
};

static const struct route {
	const char *method, *path;
	policy_handler *handler;
	enum intent_kind kind;
	const char *body;
} routes[] = {
#define ROUTE(method, path, handler, kind, body) { method, path, handler, kind, body },
	POLICY_API_ROUTES(ROUTE)
#undef ROUTE
};

/* ---- answers ---- */

static void call_free(struct policy_call *call)
{
	json_object_put(call->body);
	free(call->path);
	free(call);
}

static void call_done(struct policy_call *call, int status, struct buf *body)
{
	if (call->request.done != NULL) {
		call->request.done(call->request.arg, status, body);
	}
	buf_free(body);
	call_free(call);
}

void policy_answer(struct policy_call *call, int status, struct json_object *o)
{
	struct buf body = BUF_INIT;

	json_add_text(&body, o);
	buf_addc(&body, '\n');
	json_object_put(o);
	call_done(call, status, &body);
}

void policy_answer_nothing(struct policy_call *call)
{
	struct buf body = BUF_INIT;

	call_done(call, 200, &body);
}

void policy_answer_text(struct policy_call *call, const char *json, size_t len)
{
	struct buf body = BUF_INIT;

	buf_add(&body, json, len);
	call_done(call, 200, &body);
}

static const char *status_name(int status)
{
	switch (status) {
	case 400:
		return "BAD_REQUEST";
	case 403:
		return "FORBIDDEN";
	case 404:
		return "NOT_FOUND";
	case 405:
		return "METHOD_NOT_ALLOWED";
	case 409:
		return "CONFLICT";
	case 412:
		return "PRECONDITION_FAILED";
	case 413:
		return "PAYLOAD_TOO_LARGE";
	case 415:
		return "UNSUPPORTED_MEDIA_TYPE";
	case 503:
		return "SERVICE_UNAVAILABLE";
	default:
		return "INTERNAL_SERVER_ERROR";
	}
}

static struct json_object *error_body(int status, int code, const char *text)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "httpStatus", status_name(status));
	json_put_i64(o, "error_code", code);
	json_put_str(o, "module_name", "policy");
	json_put_str(o, "error_message", text);
	return o;
}

void policy_refuse(struct policy_call *call, int status, int code, const char *fmt, ...)
{
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	policy_answer(call, status, error_body(status, code, text));
}

void policy_answer_absent(struct policy_call *call, const char *path)
{
	policy_refuse(call, 404, POLICY_CODE_ABSENT, "there is no object \"%.200s\"", path);
}

void policy_answer_error(struct policy_call *call, const struct error *e)
{
	static const struct {
		enum error_kind kind;
		int status, code;
	} table[] = {
		{ ERROR_INVALID, 400, POLICY_CODE_INVALID },
		{ ERROR_NAME, 400, POLICY_CODE_INVALID },
		{ ERROR_NOT_FOUND, 400, POLICY_CODE_ABSENT }, /* what the body refers to */
		{ ERROR_EXISTS, 400, POLICY_CODE_EXISTS },
		{ ERROR_BUSY, 400, POLICY_CODE_IN_USE },
		{ ERROR_LIMIT, 400, POLICY_CODE_LIMIT },
		{ ERROR_PERMISSION, 403, POLICY_CODE_RIGHTS },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].kind == e->kind) {
			policy_refuse(call, table[i].status, table[i].code, "%s", e->msg);
			return;
		}
	}
	policy_refuse(call, 500, POLICY_CODE_FAILED, "%s", e->msg);
}

/* ---- lists ---- */

const char *policy_call_query(const struct policy_call *call, const char *name)
{
	return call->request.query == NULL ? NULL
					   : call->request.query(call->request.query_arg, name);
}

bool policy_call_page(struct policy_call *call, size_t *size, const char **cursor)
{
	const char *text = policy_call_query(call, "page_size");
	uint32_t n = PAGE_MAX;

	*cursor = policy_call_query(call, "cursor");
	if (text != NULL && (!number_u32(text, &n) || n == 0 || n > PAGE_MAX)) {
		policy_refuse(call, 400, POLICY_CODE_INVALID,
			      "\"page_size\": must be a whole number from 1 to %d", PAGE_MAX);
		return false;
	}
	*size = n;
	return true;
}

void policy_answer_list(struct policy_call *call, struct json_object *results)
{
	size_t n = json_object_array_length(results), size;
	struct json_object *o, *page;
	const char *cursor;
	uint64_t from = 0;

	if (!policy_call_page(call, &size, &cursor)) {
		json_object_put(results);
		return;
	}
	if (cursor != NULL && (!number_u64(cursor, &from) || from > n)) {
		json_object_put(results);
		policy_refuse(call, 400, POLICY_CODE_INVALID,
			      "\"cursor\": \"%.100s\" is none of this list", cursor);
		return;
	}
	o = json_object_new_object();
	page = json_object_new_array();
	for (size_t i = from; i < n && i < from + size; i++) {
		json_object_array_add(page, json_object_get(json_object_array_get_idx(results, i)));
	}
	json_put(o, "results", page);
	json_put_u64(o, "result_count", n);
	if (from + size < n) {
		char next[24];
		snprintf(next, sizeof(next), "%zu", (size_t)from + size);
		json_put_str(o, "cursor", next);
	}
	json_object_put(results);
	policy_answer(call, 200, o);
}

/* ---- bodies ---- */

/* Expressions of a group and entries of a service are each one of several types. */
static bool check_each(const struct policy_api *api, const struct json_at *body, const char *key,
		       const char *const *types, struct error *e)
{
	struct json_at list;

	if (!json_has(body, key)) {
		return true;
	}
	if (!json_get_array(body, key, &list, e)) {
		return false;
	}
	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		const char *type = NULL;
		bool is_known = false;
		if (!json_get_str(&item, "resource_type", &type, e)) {
			return false;
		}
		for (size_t t = 0; types[t] != NULL; t++) {
			is_known |= strcmp(types[t], type) == 0;
		}
		if (!is_known) {
			return json_error(&item, e, "resource_type \"%.100s\" is not supported",
					  type);
		}
		if (!document_schema_check_part(api->checks, type, &item, e)) {
			return false;
		}
	}
	return true;
}

bool policy_check(const struct policy_api *api, const char *def, struct json_object *body,
		  struct error *e)
{
	static const char *const expressions[] = {
		"Condition",	  "ConjunctionOperator",  "IPAddressExpression",
		"PathExpression", "ExternalIDExpression", NULL
	};
	static const char *const entries[] = { "L4PortSetServiceEntry", "ICMPTypeServiceEntry",
					       "IPProtocolServiceEntry", NULL };
	struct json_at at = json_root(body);

	return document_schema_check_part(api->checks, def, &at, e) &&
	       (strcmp(def, "Group") != 0 || check_each(api, &at, "expression", expressions, e)) &&
	       (strcmp(def, "Service") != 0 || check_each(api, &at, "service_entries", entries, e));
}

/* False: it is answered. */
static bool body_read(struct policy_call *call)
{
	struct error e = { 0 };

	if (call->body_def == NULL) {
		if (call->request.len > 0) {
			policy_refuse(call, 400, POLICY_CODE_BODY, "%s takes no body here",
				      call->request.method);
		}
		return call->request.len == 0;
	}
	call->body = json_parse(call->request.body == NULL ? "" : call->request.body,
				call->request.len, BODY_MAX, BODY_DEPTH, &e);
	if (call->body != NULL && json_object_is_type(call->body, json_type_object)) {
		return true;
	}
	policy_refuse(call, 400, POLICY_CODE_BODY, "the body must be an object in JSON%s%s",
		      call->body == NULL ? ": " : "", call->body == NULL ? e.msg : "");
	return false;
}

/* ---- routes ---- */

/* "{…}" in the template stands for one part of the path. */
static bool path_matches(const char *template, const char *path)
{
	while (*template != '\0' && *path != '\0') {
		if (*template == '{') {
			size_t n = strcspn(path, "/");
			if (n == 0) {
				return false;
			}
			path += n;
			template += strcspn(template, "}") + 1;
		} else if (*template ++ != *path++) {
			return false;
		}
	}
	return *template == *path;
}

static const struct route *route_find(const char *method, const char *path, bool *has_path)
{
	*has_path = false;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (path_matches(routes[i].path, path)) {
			*has_path = true;
			if (strcmp(routes[i].method, method) == 0) {
				return &routes[i];
			}
		}
	}
	return NULL;
}

static bool may(struct policy_call *call)
{
	bool is_read = strcmp(call->request.method, "GET") == 0;
	const char *privilege = is_read ? "System.Read" : "DVSwitch.Modify";

	if (session_may(call->request.session, call->c->root, privilege)) {
		return true;
	}
	policy_refuse(call, 403, POLICY_CODE_RIGHTS,
		      "this needs the privilege %s on the root folder", privilege);
	return false;
}

struct intent_object *policy_call_subject(struct policy_call *call, enum intent_kind kind,
					  const char *suffix)
{
	size_t n = strlen(call->path) - strlen(suffix);
	struct intent_object *o = map_get_n(&call->in->objects, call->path, n);

	if (o != NULL && o->kind == kind) {
		return o;
	}
	char *path = mem_strndup(call->path, n);
	policy_answer_absent(call, path);
	free(path);
	return NULL;
}

struct policy_call *policy_api_call(struct policy_api *api, const struct policy_request *request)
{
	struct policy_call *call = mem_zalloc(sizeof(*call));
	const size_t base = strlen(POLICY_API_BASE);
	bool is_below = strncmp(request->path, POLICY_API_BASE, base) == 0, has_path;

	call->api = api;
	call->c = api->c;
	call->in = api->c->intent;
	call->request = *request;
	call->path = mem_strdup(is_below ? request->path + base : request->path);
	call->user = session_user(request->session);
	const struct route *route = route_find(request->method, call->path, &has_path);
	if (!is_below || route == NULL) {
		policy_refuse(call, has_path ? 405 : 404,
			      has_path ? POLICY_CODE_METHOD : POLICY_CODE_NO_ROUTE,
			      has_path ? "\"%.200s\" takes no %s"
				       : "there is nothing at \"%.200s\"",
			      request->path, request->method);
		return NULL;
	}
	call->kind = route->kind;
	call->body_def = route->body;
	if (!may(call) || !body_read(call)) {
		return NULL;
	}
	call->request.body = NULL; /* gone when this returns */
	route->handler(call);
	return call;
}

void policy_call_abandon(struct policy_call *call)
{
	call->request.done = NULL;
}

void openapi(struct policy_call *call)
{
	policy_answer_text(call, policy_document, policy_document_size);
}

/* ---- HTTP ---- */

struct incoming {
	struct policy_api *api;
	struct http_request *request;
	struct buf body;
	bool is_refused, is_answered;
	struct policy_call *call; /* until it is answered */
};

static void http_answer(struct http_request *r, int status, int code, const char *text)
{
	struct json_object *o = error_body(status, code, text);
	struct buf body = BUF_INIT;

	json_add_text(&body, o);
	buf_addc(&body, '\n');
	json_object_put(o);
	http_respond(r, status, "application/json", &body);
	buf_free(&body);
}

static bool is_json(struct http_request *r)
{
	const char *type = http_header(r, "Content-Type");

	return type != NULL && strncasecmp(type, "application/json", 16) == 0 &&
	       (type[16] == '\0' || type[16] == ';' || type[16] == ' ');
}

static bool on_begin(struct http_request *r)
{
	if (r->content_length > BODY_MAX) {
		http_answer(r, 413, POLICY_CODE_BODY, "a body has at most 16 MiB");
		return true;
	}
	/* What a page of somebody else's can make a browser send is no JSON by its name. */
	if (r->content_length != 0 && !is_json(r)) {
		http_answer(r, 415, POLICY_CODE_BODY, "the body must be application/json");
		return true;
	}
	struct incoming *x = mem_zalloc(sizeof(*x));
	x->api = r->arg;
	x->request = r;
	r->state = x;
	return true;
}

static size_t on_body(struct http_request *r, const char *data, size_t len)
{
	struct incoming *x = r->state;

	if (x == NULL || x->is_refused) {
		return len;
	}
	if (x->body.len + len > BODY_MAX) {
		x->is_refused = true;
		http_answer(r, 413, POLICY_CODE_BODY, "a body has at most 16 MiB");
		return len;
	}
	buf_add(&x->body, data, len);
	return len;
}

static void on_done(void *arg, int status, struct buf *body)
{
	struct incoming *x = arg;

	x->is_answered = true;
	x->call = NULL;
	http_respond(x->request, status, "application/json", body);
}

static const char *query_of(void *arg, const char *name)
{
	return http_query(arg, name);
}

static void on_complete(struct http_request *r)
{
	struct incoming *x = r->state;

	if (x == NULL || x->is_refused) {
		return;
	}
	struct policy_call *call =
		policy_api_call(x->api, &(struct policy_request){ .session = r->session,
								  .method = r->method,
								  .path = r->path,
								  .query = query_of,
								  .query_arg = r,
								  .body = x->body.data,
								  .len = x->body.len,
								  .done = on_done,
								  .arg = x });
	x->call = x->is_answered ? NULL : call;
}

static void on_finish(struct http_request *r, bool ok)
{
	struct incoming *x = r->state;

	(void)ok;
	if (x != NULL) {
		if (x->call != NULL) {
			policy_call_abandon(x->call);
		}
		buf_free(&x->body);
		free(x);
	}
}

void policy_api_serve(struct policy_api *api, struct server *server)
{
	server_route(server, &(struct http_route){ .prefix = POLICY_API_BASE,
						   .needs_session = true,
						   .begin = on_begin,
						   .body = on_body,
						   .complete = on_complete,
						   .finish = on_finish,
						   .arg = api });
}

/* ---- life ---- */

struct policy_api *policy_api_new(struct center *c, struct error *e)
{
	struct json_object *schema =
		json_parse(policy_checks, policy_checks_size, SIZE_MAX, JSON_DEPTH_DEFAULT, e);
	struct document_schema *checks = schema == NULL ? NULL : document_schema_new(schema, e);

	json_object_put(schema);
	if (checks == NULL) {
		return NULL;
	}
	struct policy_api *api = mem_zalloc(sizeof(*api));
	api->c = c;
	api->checks = checks;
	return api;
}

void policy_api_free(struct policy_api *api)
{
	if (api != NULL) {
		document_schema_free(api->checks);
		free(api);
	}
}

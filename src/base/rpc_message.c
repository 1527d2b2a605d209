/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rpc_message.h"

#include <string.h>

#include "base/macro.h"

#define DEPTH_MAX  32
#define METHOD_MAX 128 /* bytes of a method's name */

void rpc_message_fini(struct rpc_message *m)
{
	json_object_put(m->root);
	*m = (struct rpc_message){ 0 };
}

static bool is_id(struct json_object *id)
{
	return !id || json_object_is_type(id, json_type_string) ||
	       json_object_is_type(id, json_type_int);
}

static bool read_request(const struct json_at *root, struct rpc_message *m, struct error *e)
{
	static const char *const members[] = { "jsonrpc", "id", "method", "params" };
	struct json_at params;
	bool has_id = json_object_object_get_ex(root->value, "id", &m->id);
	m->kind = has_id ? RPC_REQUEST : RPC_NOTIFICATION;
	if (!json_check_members(root, members, ARRAY_LEN(members), e) ||
	    !json_get_str(root, "method", &m->method, e)) {
		return false;
	}
	if (strlen(m->method) > METHOD_MAX) {
		return error_set(e, ERROR_LIMIT, "\"method\": longer than %d bytes", METHOD_MAX);
	}
	if (json_has(root, "params")) {
		if (!json_get(root, "params", &params, e)) {
			return false;
		}
		m->body = params.value;
		return json_object_is_type(m->body, json_type_object) ||
		       json_object_is_type(m->body, json_type_array) ||
		       json_error(&params, e, "must be an object or array");
	}
	return true;
}

static bool read_answer(const struct json_at *root, struct rpc_message *m, struct error *e)
{
	bool has_result = json_object_object_get_ex(root->value, "result", &m->body);
	json_object_object_get_ex(root->value, "id", &m->id);
	m->kind = has_result ? RPC_RESULT : RPC_ERROR;
	if (has_result) {
		return !json_has(root, "error") || json_error(root, e, "has result and error");
	}
	struct json_at body;
	if (!json_get_object(root, "error", &body, e)) {
		return false;
	}
	m->body = body.value;
	return true;
}

bool rpc_message_parse(const char *line, size_t n, struct rpc_message *out, enum rpc_code *code,
		       struct error *e)
{
	struct rpc_message m = { 0 };
	m.root = json_parse(line, n, n, DEPTH_MAX, e);
	if (!m.root) {
		*code = RPC_PARSE_ERROR;
		return false;
	}
	struct json_at root = json_root(m.root);
	const char *version;
	bool ok = json_get_str(&root, "jsonrpc", &version, e) &&
		  (strcmp(version, "2.0") == 0 ||
		   error_set(e, ERROR_INVALID, "\"jsonrpc\": must be \"2.0\""));
	if (ok) {
		ok = json_has(&root, "method") ? read_request(&root, &m, e)
					       : read_answer(&root, &m, e);
	}
	if (ok && !is_id(m.id)) {
		ok = error_set(e, ERROR_INVALID, "\"id\": must be a string or whole number");
	}
	if (!ok) {
		*code = RPC_INVALID_REQUEST;
		rpc_message_fini(&m);
		return false;
	}
	*out = m;
	return true;
}

void rpc_message_read_error(struct json_object *body, int *code, struct json_at *data,
			    struct error *out)
{
	struct json_at at = json_root(body);
	int64_t number = RPC_INTERNAL_ERROR;
	const char *text = "no message";
	const char *name = NULL;
	enum error_kind kind = ERROR_INTERNAL;
	json_get_i64(&at, "code", &number, NULL);
	json_get_str(&at, "message", &text, NULL);
	struct json_at found = { 0 };
	if (json_get_object(&at, "data", &found, NULL)) {
		found.parent = NULL; /* `at` ends here */
		*data = found;
		json_get_str(&found, "kind", &name, NULL);
	}
	if (!name || !error_kind_from_name(name, &kind) || kind == ERROR_NONE) {
		kind = number == RPC_METHOD_NOT_FOUND ? ERROR_UNSUPPORTED
		       : number == RPC_INVALID_PARAMS ? ERROR_INVALID
						      : ERROR_INTERNAL;
	}
	*code = number < INT32_MIN || number > INT32_MAX ? RPC_INTERNAL_ERROR : (int)number;
	error_set(out, kind, "%s", text);
}

static void finish(struct buf *out, struct json_object *root)
{
	json_add_text(out, root);
	buf_addc(out, '\n');
	json_object_put(root);
}

static struct json_object *new_root(void)
{
	struct json_object *root = json_object_new_object();
	json_put_str(root, "jsonrpc", "2.0");
	return root;
}

void rpc_message_add_request(struct buf *out, const char *method, struct json_object *params,
			     uint64_t id)
{
	struct json_object *root = new_root();
	if (id) {
		json_put_u64(root, "id", id);
	}
	json_put_str(root, "method", method);
	if (params) {
		json_put(root, "params", json_object_get(params));
	}
	finish(out, root);
}

void rpc_message_add_result(struct buf *out, struct json_object *id, struct json_object *result)
{
	struct json_object *root = new_root();
	json_put(root, "id", json_object_get(id));
	json_put(root, "result", json_object_get(result));
	finish(out, root);
}

void rpc_message_add_error(struct buf *out, struct json_object *id, enum rpc_code code,
			   const struct error *e, struct json_object *data)
{
	struct json_object *root = new_root();
	struct json_object *body = json_object_new_object();
	json_put_i64(body, "code", code);
	json_put_str(body, "message", e->msg);
	struct json_object *all = data ? json_object_get(data) : json_object_new_object();
	json_put_str(all, "kind", error_kind_name(e->kind));
	json_put(body, "data", all);
	json_put(root, "id", json_object_get(id));
	json_put(root, "error", body);
	finish(out, root);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call is one request of the peer, or, for a login, two after another. It is freed when its last
 * request has ended and done() has returned.
 */
#include "vim/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vim/soap.h"

enum {
	CALL_TIMEOUT_MS = 60000,
	RESPONSE_MAX = 256 << 20,
	/* A value takes at most so many bytes in memory for one of its XML's. */
	EXPANSION = 8
};

struct client {
	struct peer *peer;
	char *path;
	char *soap_action;
	uint8_t version;
	int64_t timeout_ms;
	size_t max_response;
	const struct value *content; /* kept */
};

struct client_call {
	struct client *client;
	struct peer_request *request;
	uint16_t method;
	char *user, *password; /* a login that waits for the service content */
	client_done_fn *done;
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	void (*file_done)(void *arg, const struct error *error);
	void *arg;
};

struct client *client_new(const struct client_config *config, struct error *e)
{
	struct peer_config peer = { .loop = config->loop,
				    .url = config->url,
				    .thumbprint = config->thumbprint,
				    .trust_any = config->trust_any };
	struct peer *p = peer_new(&peer, e);

	if (p == NULL) {
		return NULL;
	}
	struct client *c = mem_zalloc(sizeof(*c));
	c->peer = p;
	c->version = config->version != 0 ? config->version : schema_version_served;
	c->timeout_ms = config->timeout_ms > 0 ? config->timeout_ms : CALL_TIMEOUT_MS;
	c->max_response = config->max_response > 0 ? config->max_response : RESPONSE_MAX;
	c->path = mem_strdup(peer_path(p)[0] != '\0' ? peer_path(p) : "/sdk");
	c->soap_action = mem_printf("\"urn:vim25/%s\"", schema_version_name(c->version));
	return c;
}

void client_free(struct client *c)
{
	if (c == NULL) {
		return;
	}
	peer_free(c->peer);
	value_drop(c->content);
	free(c->path);
	free(c->soap_action);
	free(c);
}

struct peer *client_peer(const struct client *c)
{
	return c->peer;
}

const struct value *client_content(const struct client *c)
{
	return c->content;
}

static void forget(char *secret)
{
	if (secret != NULL) {
		explicit_bzero(secret, strlen(secret));
		free(secret);
	}
}

static void call_end(struct client_call *call, const struct client_answer *answer)
{
	call->done(call->arg, answer);
	free(call->user);
	forget(call->password);
	free(call);
}

/* ---- method calls ---- */

static bool call_send(struct client_call *call, const struct value *self, const struct value *args,
		      peer_done_fn *ended)
{
	struct client *c = call->client;
	struct buf body = BUF_INIT;

	soap_write_request(&body, call->method, self, args, c->version);
	call->request = peer_send(
		c->peer, &(struct peer_order){ .method = "POST",
					       .path = c->path,
					       .content_type = "text/xml; charset=\"utf-8\"",
					       .soap_action = c->soap_action,
					       .body = &body,
					       .max_bytes = c->max_response,
					       .timeout_ms = c->timeout_ms,
					       .done = ended,
					       .arg = call });
	return call->request != NULL;
}

/* Understands an HTTP answer. The values live in the arena. */
static bool call_read(struct client_call *call, const struct peer_answer *http, struct arena *a,
		      struct client_answer *out, struct error *e)
{
	struct soap_response soap;
	const char *origin = peer_origin(call->client->peer);
	const char *name = schema_method_name(call->method);

	if (http->status != 200 && http->status != 500) {
		enum error_kind kind = http->status == 404   ? ERROR_NOT_FOUND
				       : http->status == 503 ? ERROR_UNREACHABLE
							     : ERROR_CORRUPT;
		return error_set(e, kind, "\"%s\" answers %s with HTTP status %d", origin, name,
				 http->status);
	}
	if (!soap_read_response(&soap, call->method, http->body, http->len, a, e)) {
		e->kind = e->kind == ERROR_LIMIT ? ERROR_LIMIT : ERROR_CORRUPT;
		return error_prefix(e, "answer of \"%s\" to %s: ", origin, name);
	}
	*out = (struct client_answer){ .result = soap.result };
	if (soap.fault_text != NULL) {
		const struct value *unknown = value_new(a, T_MethodFault);
		out->result = NULL;
		out->fault = soap.fault != NULL ? soap.fault : unknown;
		out->text = soap.fault_text;
	}
	return true;
}

static void on_called(void *arg, const struct peer_answer *http, const struct error *e)
{
	struct client_call *call = arg;
	struct client_answer answer = { .error = e };
	struct error error;

	if (e != NULL) {
		call_end(call, &answer);
		return;
	}
	struct arena *a = arena_new(call->client->max_response * EXPANSION);
	if (!call_read(call, http, a, &answer, &error)) {
		answer = (struct client_answer){ .error = &error };
	}
	call_end(call, &answer);
	arena_free(a);
}

static struct client_call *call_new(struct client *c, uint16_t method, client_done_fn *done,
				    void *arg)
{
	struct client_call *call = mem_zalloc(sizeof(*call));

	call->client = c;
	call->method = method;
	call->done = done;
	call->arg = arg;
	return call;
}

struct client_call *client_call(struct client *c, uint16_t method, const struct value *self,
				const struct value *args, client_done_fn *done, void *arg)
{
	struct client_call *call = call_new(c, method, done, arg);

	if (!call_send(call, self, args, on_called)) {
		free(call);
		return NULL;
	}
	return call;
}

void client_set_timeout(struct client_call *call, int64_t timeout_ms)
{
	if (call != NULL) {
		peer_set_timeout(call->request, timeout_ms);
	}
}

void client_hurry(struct client_call *call)
{
	if (call != NULL) {
		peer_hurry(call->request);
	}
}

void client_cancel(struct client_call *call)
{
	if (call != NULL) {
		peer_cancel(call->request);
	}
}

/* ---- session ---- */

static bool call_login(struct client_call *call, struct arena *a)
{
	const struct value *content = call->client->content;
	struct value *args = value_new(a, schema_method(M_SessionManager_Login)->args);

	call->method = M_SessionManager_Login;
	value_set_str(a, args, A_SessionManager_Login_userName, call->user);
	value_set_str(a, args, A_SessionManager_Login_password, call->password);
	value_set_str(a, args, A_SessionManager_Login_locale, "en");
	return call_send(call, value_get_value(content, F_ServiceContent_sessionManager), args,
			 on_called);
}

static bool call_take_content(struct client_call *call, const struct client_answer *answer,
			      struct error *e)
{
	struct client *c = call->client;

	if (!value_is_a(answer->result, T_ServiceContent) ||
	    (call->user != NULL && !value_has(answer->result, F_ServiceContent_sessionManager))) {
		return error_set(e, ERROR_CORRUPT, "\"%s\" has no service content to log in with",
				 peer_origin(c->peer));
	}
	value_drop(c->content);
	c->content = value_keep(answer->result);
	return true;
}

static void on_content(void *arg, const struct peer_answer *http, const struct error *e)
{
	struct client_call *call = arg;
	struct client_answer answer = { .error = e };
	struct error error = { 0 };
	struct arena *a = arena_new(call->client->max_response * EXPANSION);

	if (e == NULL) {
		bool ok = call_read(call, http, a, &answer, &error);
		if (ok && answer.fault == NULL) {
			ok = call_take_content(call, &answer, &error);
		}
		if (!ok) {
			answer = (struct client_answer){ .error = &error };
		}
		if (ok && answer.fault == NULL && call->user != NULL && call_login(call, a)) {
			arena_free(a);
			return;
		}
	}
	call_end(call, &answer);
	arena_free(a);
}

static struct client_call *connect_with(struct client *c, const char *user, const char *password,
					client_done_fn *done, void *arg)
{
	struct client_call *call = call_new(c, M_ServiceInstance_RetrieveServiceContent, done, arg);
	struct arena *a = arena_new(0);
	const struct value *self = value_new_ref(a, T_ServiceInstance, "ServiceInstance");

	call->user = user == NULL ? NULL : mem_strdup(user);
	call->password = password == NULL ? NULL : mem_strdup(password);
	bool ok = call_send(call, self, NULL, on_content);
	arena_free(a);
	if (!ok) {
		free(call->user);
		forget(call->password);
		free(call);
		return NULL;
	}
	return call;
}

struct client_call *client_connect(struct client *c, client_done_fn *done, void *arg)
{
	return connect_with(c, NULL, NULL, done, arg);
}

struct client_call *client_login(struct client *c, const char *user, const char *password,
				 client_done_fn *done, void *arg)
{
	return connect_with(c, user, password, done, arg);
}

struct client_call *client_logout(struct client *c, client_done_fn *done, void *arg)
{
	struct arena *a = arena_new(0);
	const struct value *manager = value_get_value(c->content, F_ServiceContent_sessionManager);

	if (manager == NULL) {
		manager = value_new_ref(a, T_SessionManager, "SessionManager");
	}
	struct client_call *call =
		client_call(c, M_SessionManager_Logout, manager, NULL, done, arg);
	arena_free(a);
	return call;
}

/* ---- files ---- */

/* Percent-encodes all but unreserved characters (RFC 3986 §2.3) and those in `also`. */
static void add_encoded(struct buf *b, const char *s, const char *also)
{
	for (; *s != '\0'; s++) {
		bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			      (*s >= '0' && *s <= '9');
		if (letter || strchr("-._~", *s) != NULL || strchr(also, *s) != NULL) {
			buf_addc(b, *s);
		} else {
			buf_addf(b, "%%%02X", (unsigned char)*s);
		}
	}
}

void client_folder_path(struct buf *out, const char *datacenter, const char *datastore,
			const char *file)
{
	buf_adds(out, "/folder/");
	add_encoded(out, file, "/");
	buf_adds(out, "?dcPath=");
	add_encoded(out, datacenter, "");
	buf_adds(out, "&dsName=");
	add_encoded(out, datastore, "");
}

static bool status_error(struct client_call *call, const struct peer_answer *http, struct error *e)
{
	enum error_kind kind = ERROR_IO;

	if (http->status >= 200 && http->status < 300) {
		return true;
	}
	if (http->status == 404) {
		kind = ERROR_NOT_FOUND;
	} else if (http->status == 401 || http->status == 403) {
		kind = ERROR_PERMISSION;
	} else if (http->status == 507) {
		kind = ERROR_NO_SPACE;
	}
	return error_set(e, kind, "\"%s\" refuses the file with HTTP status %d: %.100s",
			 peer_origin(call->client->peer), http->status, http->body);
}

static void on_file(void *arg, const struct peer_answer *http, const struct error *e)
{
	struct client_call *call = arg;
	struct error error;

	if (e == NULL && !status_error(call, http, &error)) {
		e = &error;
	}
	call->file_done(call->arg, e);
	free(call);
}

static bool on_file_progress(void *arg, uint64_t done, uint64_t total)
{
	struct client_call *call = arg;

	return call->progress(call->arg, done, total);
}

static struct client_call *file_send(struct client *c, const struct client_file *file,
				     struct peer_order *order)
{
	struct client_call *call = mem_zalloc(sizeof(*call));

	call->client = c;
	call->arg = file->arg;
	call->file_done = file->done;
	call->progress = file->progress;
	order->path = file->path;
	order->progress = file->progress == NULL ? NULL : on_file_progress;
	order->done = on_file;
	order->arg = call;
	call->request = peer_send(c->peer, order);
	if (call->request == NULL) {
		free(call);
		return NULL;
	}
	return call;
}

struct client_call *client_put(struct client *c, const struct client_file *file)
{
	struct peer_file source = { .fd = file->fd, .length = file->length };

	return file_send(c, file,
			 &(struct peer_order){ .method = "PUT",
					       .content_type = "application/octet-stream",
					       .source = &source });
}

struct client_call *client_get(struct client *c, const struct client_file *file)
{
	struct peer_file sink = { .fd = file->fd };

	return file_send(c, file, &(struct peer_order){ .method = "GET", .sink = &sink });
}

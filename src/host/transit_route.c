/* SPDX-License-Identifier: Apache-2.0 */
#include "host/transit_route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "host/transit_impl.h"
#include "vim/certificate.h"

#define PREFIX "/remora/v1/migrations/"

enum {
	DEPTH = 16,
};

/* A request with a body. */
struct exchange {
	struct buf body;
	bool is_refused; /* answered before the body was there */
};

static void refuse(struct http_request *r, int status, const char *object, const char *text)
{
	struct transit_refusal why;

	transit_refuse(&why, status, status == 403 ? "NoPermission" : "InvalidArgument", object,
		       "%s", text);
	transit_respond_refusal(r, &why);
}

/* ID and what follows it, "" or "start". */
static bool path_read(const struct http_request *r, char id[UUID_TEXT_SIZE], const char **rest)
{
	const char *at = r->path + strlen(PREFIX) - 1;
	struct uuid uuid;

	if (at[0] != '/' || strlen(at + 1) < UUID_TEXT_SIZE - 1) {
		return false;
	}
	snprintf(id, UUID_TEXT_SIZE, "%s", at + 1);
	*rest = at + UUID_TEXT_SIZE;
	if ((*rest)[0] == '/') {
		(*rest)++;
	} else if ((*rest)[0] != '\0') {
		return false;
	}
	return uuid_parse(id, &uuid);
}

/* ---- PUT, POST ---- */

static size_t n_under_way(const struct host_transits *all)
{
	size_t n = 0;

	list_each (struct transit, m, &all->all, link) {
		n += !transit_has_ended(m);
	}
	return n;
}

static bool put(struct http_request *r, struct host_transits *all, const char *id,
		const struct json_at *body, struct transit_refusal *why)
{
	const char *role;
	struct error e = { 0 };

	if (!json_get_str(body, "role", &role, &e)) {
		return transit_refuse_error(why, "role", &e);
	}
	if (transit_find(all, id) != NULL) {
		return transit_refuse(why, 409, "AlreadyExists", id,
				      "there is such a migration already");
	}
	if (n_under_way(all) >= TRANSITS_MAX) {
		transit_refuse(why, 503, "MigrationFault", all->host->node.name,
			       "has too many migrations under way");
		why->limit = TRANSITS_MAX;
		return false;
	}
	if (strcmp(role, "target") == 0) {
		return transit_target_prepare(all, id, body, r, why);
	}
	if (strcmp(role, "source") != 0) {
		return transit_refuse(why, 400, "InvalidArgument", "role",
				      "must be \"source\" or \"target\", is \"%.40s\"", role);
	}
	struct json_object *o = transit_source_prepare(all, id, body, why);
	if (o != NULL) {
		transit_respond(r, 200, o);
	}
	return o != NULL;
}

static bool start(struct http_request *r, struct host_transits *all, const char *id,
		  const struct json_at *body, struct transit_refusal *why)
{
	struct transit *m = transit_find(all, id);

	if (m == NULL || !m->is_source || m->is_forgotten) {
		return transit_refuse(why, 404, "NotFound", id,
				      "there is no such migration from this host");
	}
	if (!transit_source_start(m, body, why)) {
		return false;
	}
	transit_respond(r, 202, transit_json(m));
	return true;
}

static void on_complete(struct http_request *r)
{
	struct host *h = r->arg;
	struct exchange *x = r->state;
	struct transit_refusal why;
	char id[UUID_TEXT_SIZE];
	const char *rest;
	struct error e = { 0 };

	if (x == NULL || x->is_refused || !path_read(r, id, &rest)) {
		return;
	}
	struct json_object *doc = json_parse(x->body.data == NULL ? "" : x->body.data, x->body.len,
					     TRANSIT_BODY_MAX, DEPTH, &e);
	struct json_at body = json_root(doc);
	if (doc == NULL || !json_as_object(&body, &e)) {
		transit_refuse_error(&why, "body", &e);
		transit_respond_refusal(r, &why);
	} else if (strcmp(r->method, "PUT") == 0 ? !put(r, h->transits, id, &body, &why)
						 : !start(r, h->transits, id, &body, &why)) {
		transit_respond_refusal(r, &why);
	}
	json_object_put(doc);
}

/* ---- GET, DELETE ---- */

static void get(struct http_request *r, struct transit *m)
{
	const char *text = http_query(r, "after");
	uint64_t after = 0;

	if (text == NULL) {
		transit_respond(r, 200, transit_json(m));
	} else if (!number_u64(text, &after)) {
		refuse(r, 400, "after", "must be a version");
	} else {
		transit_wait(m, r, after, false);
	}
}

static void remove_or_cancel(struct http_request *r, struct transit *m)
{
	if (m->is_source) {
		transit_source_cancel(m);
	} else if (m->state <= TRANSIT_COPYING) {
		transit_target_give_up(m, NULL);
	}
	if (transit_has_ended(m)) {
		m->is_forgotten = true;
		transits_save(m->all, NULL);
	}
	transit_respond(r, 200, transit_json(m));
}

/* ---- requests ---- */

static bool may(const struct http_request *r, const struct host *h)
{
	return session_may(r->session, h->system, "Host.Config.Network") &&
	       session_may(r->session, h->vm_folder, "Resource.ColdMigrate");
}

static bool begin_body(struct http_request *r)
{
	if (r->content_length > TRANSIT_BODY_MAX) {
		refuse(r, 413, "body", "is larger than 1 MiB");
		return false;
	}
	r->state = mem_zalloc(sizeof(struct exchange));
	return true;
}

static bool on_begin(struct http_request *r)
{
	struct host *h = r->arg;
	char id[UUID_TEXT_SIZE];
	const char *rest;

	if (!path_read(r, id, &rest) || (rest[0] != '\0' && strcmp(rest, "start") != 0)) {
		refuse(r, 404, r->path, "there is nothing here");
		return false;
	}
	if (!may(r, h)) {
		refuse(r, 403, id,
		       "you lack the privileges Host.Config.Network and Resource.ColdMigrate");
		return false;
	}
	bool is_start = rest[0] != '\0';
	if (strcmp(r->method, is_start ? "POST" : "PUT") == 0) {
		return begin_body(r);
	}
	bool is_get = strcmp(r->method, "GET") == 0;
	if (is_start || (!is_get && strcmp(r->method, "DELETE") != 0)) {
		http_reply_header(r, "Allow", is_start ? "POST" : "GET, PUT, DELETE");
		refuse(r, 405, r->method, "is not understood here");
		return false;
	}
	struct transit *m = transit_find(h->transits, id);
	if (m == NULL || m->is_forgotten) {
		refuse(r, 404, id, "there is no such migration on this host");
	} else if (is_get) {
		get(r, m);
	} else {
		remove_or_cancel(r, m);
	}
	return true;
}

static size_t on_body(struct http_request *r, const char *data, size_t len)
{
	struct exchange *x = r->state;

	if (x == NULL || x->is_refused) {
		return len;
	}
	if (x->body.len + len > TRANSIT_BODY_MAX) {
		x->is_refused = true;
		refuse(r, 413, "body", "is larger than 1 MiB");
		return len;
	}
	buf_add(&x->body, data, len);
	return len;
}

static void on_finish(struct http_request *r, bool ok)
{
	struct host *h = r->arg;
	struct exchange *x = r->state;

	(void)ok;
	if (h->transits != NULL) {
		transit_wait_end(h->transits, r);
	}
	if (x != NULL) {
		r->state = NULL;
		buf_free(&x->body);
		free(x);
	}
}

void transit_route_add(struct server *s, struct host *h, const char *cert_path)
{
	struct certificate_thumbprints prints;

	if (h->transits == NULL || !certificate_thumbprints(cert_path, &prints, NULL)) {
		return;
	}
	snprintf(h->transits->thumbprint, sizeof(h->transits->thumbprint), "%s", prints.sha256);
	server_route(s, &(struct http_route){ .prefix = "/remora/v1/migrations",
					      .needs_session = true,
					      .begin = on_begin,
					      .body = on_body,
					      .complete = on_complete,
					      .finish = on_finish,
					      .arg = h });
	transit_receive_add(s, h);
}

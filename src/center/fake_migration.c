/* SPDX-License-Identifier: Apache-2.0 */
#include "center/fake_migration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PREFIX "/remora/v1/migrations"

static void respond(struct http_request *r, int status, const char *text)
{
	struct buf out = BUF_INIT;

	buf_adds(&out, text);
	http_respond(r, status, "application/json", &out);
	buf_free(&out);
}

static void answer_state(const struct fake_migration *f, struct http_request *r)
{
	char text[512];

	if (f->state == NULL) {
		respond(r, 404, "{\"object\":\"migration\",\"reason\":\"is not known\"}");
		return;
	}
	snprintf(
		text, sizeof(text),
		"{\"version\":%u,\"role\":\"source\",\"state\":\"%s\",\"percent\":%u,"
		"\"bytes_done\":0,\"bytes_total\":0,\"downtime_us\":0,\"total_us\":0,\"error\":%s}",
		f->version, f->state, f->percent, f->error == NULL ? "null" : f->error);
	respond(r, 200, text);
}

static bool has_ended(const struct fake_migration *f)
{
	return f->state != NULL &&
	       (strcmp(f->state, "done") == 0 || strcmp(f->state, "failed") == 0 ||
		strcmp(f->state, "cancelled") == 0);
}

static void answer_get(struct fake_migration *f, struct http_request *r)
{
	const char *after = http_query(r, "after");

	if (f->state != NULL && after != NULL && strtoul(after, NULL, 10) >= f->version) {
		f->waiting = r;
		return;
	}
	answer_state(f, r);
}

static void answer_delete(struct fake_migration *f, struct http_request *r)
{
	f->n_deletes++;
	if (f->state != NULL && !has_ended(f)) {
		f->state = f->on_delete == NULL ? "cancelled" : f->on_delete;
		f->version++;
	}
	answer_state(f, r);
	if (has_ended(f)) {
		struct http_request *waiting = f->waiting;
		f->waiting = NULL;
		f->state = NULL;
		if (waiting != NULL) {
			answer_state(f, waiting);
		}
	}
}

static void answer_put(struct fake_migration *f, struct http_request *r)
{
	char text[512];

	f->n_puts++;
	if (f->refusal != NULL) {
		respond(r, 400, f->refusal);
		return;
	}
	snprintf(f->id, sizeof(f->id), "%.60s", strrchr(r->path, '/') + 1);
	f->state = "prepared";
	f->version = 1;
	snprintf(text, sizeof(text),
		 "{\"description\":{\"fake\":true},\"name\":\"x\",\"vm\":\"%u\",\"ticket\":"
		 "{\"token\":\"secret\"}}",
		 f->host->next_vm + 1);
	respond(r, 200, text);
}

static void answer_post(struct fake_migration *f, struct http_request *r)
{
	f->n_starts++;
	f->state = "copying";
	f->version++;
	respond(r, 202, "{}");
}

static void answer(struct fake_migration *f, struct http_request *r)
{
	if (strcmp(r->method, "GET") == 0) {
		answer_get(f, r);
		return;
	}
	if (strcmp(r->method, "DELETE") == 0) {
		answer_delete(f, r);
		return;
	}
	json_object_put(f->last);
	f->last = json_parse(f->body.data, f->body.len, SIZE_MAX, 32, NULL);
	assert_non_null(f->last);
	if (strcmp(r->method, "PUT") == 0) {
		answer_put(f, r);
	} else {
		answer_post(f, r);
	}
}

static bool on_begin(struct http_request *r)
{
	struct fake_migration *f = r->arg;

	if (strcmp(r->method, "PUT") == 0 || strcmp(r->method, "POST") == 0) {
		buf_clear(&f->body);
		return true;
	}
	if (f->is_mute) {
		f->n_mute++;
		f->waiting = r;
	} else {
		answer(f, r);
	}
	return true;
}

static size_t on_body(struct http_request *r, const char *data, size_t len)
{
	struct fake_migration *f = r->arg;

	buf_add(&f->body, data, len);
	return len;
}

static void on_complete(struct http_request *r)
{
	struct fake_migration *f = r->arg;

	if (strcmp(r->method, "PUT") != 0 && strcmp(r->method, "POST") != 0) {
		return;
	}
	if (f->is_mute) {
		f->n_mute++;
		f->waiting = r;
	} else {
		answer(f, r);
	}
}

static void on_finish(struct http_request *r, bool ok)
{
	struct fake_migration *f = r->arg;

	(void)ok;
	if (f->waiting == r) {
		f->waiting = NULL;
	}
}

void fake_migration_serve(struct fake_migration *f, struct fake_host *h)
{
	f->host = h;
	server_route(h->server, &(struct http_route){ .prefix = PREFIX,
						      .needs_session = true,
						      .begin = on_begin,
						      .body = on_body,
						      .complete = on_complete,
						      .finish = on_finish,
						      .arg = f });
}

void fake_migration_set(struct fake_migration *f, const char *state, unsigned percent)
{
	struct http_request *r = f->waiting;

	f->state = state;
	f->percent = percent;
	f->version++;
	f->waiting = NULL;
	if (r != NULL) {
		answer_state(f, r);
	}
}

void fake_migration_speak(struct fake_migration *f)
{
	struct http_request *r = f->waiting;

	f->is_mute = false;
	f->waiting = NULL;
	if (r != NULL) {
		answer(f, r);
	}
}

void fake_migration_fini(struct fake_migration *f)
{
	json_object_put(f->last);
	buf_free(&f->body);
	*f = (struct fake_migration){ 0 };
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /remora/v1/migrating/ID: what the other host brings. It has no session: the token of the
 * migration, which the manager handed to it, stands in its cookie.
 *
 *   PUT disks/KEY?offset=N, files/nvram?offset=N, files/vmss?offset=N    a piece of the content
 *   PUT connections                                the switch's, of a guest that runs
 *   POST commit     all is there: answers when the VM has been taken, or not
 *   POST known      the source has heard that it was
 *   GET, DELETE     the state; give up
 *
 * A piece, from inside: body() fills `in`, a worker writes `out`. While it does, `out` is its own;
 * the migration counts as busy from the first byte to the last write.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "host/plane_connections.h"
#include "host/transit_impl.h"
#include "vim/http_text.h"

LOG_MODULE("migration");

#define PREFIX "/remora/v1/migrating/"

enum {
	BUFFER_MAX = 1 << 20,
	CONNECTIONS_MAX = 32 << 20,
	CONNECTIONS_DEPTH = 16,
};

struct piece {
	struct http_request *request; /* NULL: gone */
	struct transit *m;
	struct transit_item *item;
	uint64_t offset, end; /* where the next byte goes; where the last has gone */
	struct buf in, out;
	bool is_writing, is_complete;
	bool is_connections; /* `in` collects them all */
};

static bool has_token(struct http_request *r, const struct transit *m)
{
	const char *header = http_header(r, "Cookie");
	char token[TRANSIT_TOKEN_SIZE] = "";

	return header != NULL && cookie_find(header, "vmware_soap_session", token, sizeof(token)) &&
	       strlen(token) == sizeof(token) - 1 &&
	       gnutls_memcmp(token, m->token, sizeof(token)) == 0;
}

static void refuse(struct http_request *r, int status, const char *object, const char *text)
{
	struct transit_refusal why;

	transit_refuse(&why, status, "MigrationFault", object, "%s", text);
	transit_respond_refusal(r, &why);
}

/* ---- pieces ---- */

/* The migration may go on without it. */
static void piece_release(struct piece *p)
{
	struct transit *m = p->m;

	p->m = NULL;
	if (m == NULL) {
		return;
	}
	m->is_busy = false;
	if (m->is_cancelling) {
		transit_target_tick(m); /* it waited for this */
	}
}

static void piece_free(struct piece *p)
{
	piece_release(p);
	buf_free(&p->in);
	buf_free(&p->out);
	free(p);
}

static bool piece_run(void *data, struct progress *progress, struct error *e)
{
	struct piece *p = data;
	uint64_t at = p->offset;

	(void)progress;
	for (size_t done = 0; done < p->out.len;) {
		ssize_t n = pwrite(p->item->fd, p->out.data + done, p->out.len - done,
				   (off_t)(at + done));
		if (n < 0 && errno != EINTR) {
			return error_set_sys(e, errno, "\"%s\" cannot be written", p->item->path);
		}
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static void piece_written(void *arg, const struct error *e);

static void piece_write(struct piece *p)
{
	struct buf full = p->in;
	struct job_work work = { .run = piece_run, .data = p, .is_brief = true };
	struct job_handler h = { .loop = p->m->all->host->loop, .done = piece_written, .arg = p };

	p->in = p->out;
	p->out = full;
	buf_clear(&p->in);
	p->is_writing = true;
	job_start(&h, &work);
}

static void piece_failed(struct piece *p, const struct error *e)
{
	struct transit *m = p->m;
	struct transit_refusal why;

	transit_refuse_error(&why, m->name, e);
	transit_respond_refusal(p->request, &why);
	piece_release(p);
	transit_target_give_up(m, &why);
}

static void piece_written(void *arg, const struct error *e)
{
	struct piece *p = arg;

	p->is_writing = false;
	if (p->m == NULL) {
		return; /* answered */
	}
	p->offset += p->out.len;
	p->m->bytes_done += p->out.len;
	buf_clear(&p->out);
	p->m->heard_us = clock_mono_us(p->m->all->host->clock);
	if (p->request == NULL) {
		piece_free(p);
	} else if (e != NULL) {
		piece_failed(p, e);
	} else if (p->in.len > 0) {
		piece_write(p);
		http_resume(p->request);
	} else if (!p->is_complete) {
		http_resume(p->request);
	} else if (p->offset != p->end) {
		piece_release(p);
		refuse(p->request, 400, p->item->path, "the piece is shorter than announced");
	} else {
		struct json_object *o = transit_json(p->m);
		piece_release(p); /* the next one may come before this request has ended */
		transit_respond(p->request, 200, o);
	}
}

static struct transit_item *item_of(struct transit *m, const char *rest)
{
	uint64_t key = 0;
	bool is_disk = strncmp(rest, "disks/", 6) == 0 && number_u64(rest + 6, &key);
	bool is_file = strncmp(rest, "files/", 6) == 0;

	for (size_t i = 0; i < m->n_items; i++) {
		struct transit_item *item = &m->items[i];
		if (is_disk ? item->disk != 0 && (uint64_t)item->disk == key
			    : is_file && item->disk == 0 && strcmp(item->ending, rest + 6) == 0) {
			return item;
		}
	}
	return NULL;
}

static void piece_begin(struct http_request *r, struct transit *m, const char *rest)
{
	struct transit_item *item = item_of(m, rest);
	const char *text = http_query(r, "offset");
	uint64_t offset;

	if (item == NULL || item->fd < 0) {
		refuse(r, 400, rest, "is not one of the files that were announced");
		return;
	}
	if (m->is_busy || m->is_cancelling || m->state > TRANSIT_COPYING) {
		refuse(r, 409, m->name, "the migration takes no piece now");
		return;
	}
	if (text == NULL || !number_u64(text, &offset) || offset > item->size ||
	    r->content_length <= 0 || r->content_length > TRANSIT_CHUNK_MAX ||
	    (uint64_t)r->content_length > item->size - offset) {
		refuse(r, 400, rest, "the piece does not lie within what was announced");
		return;
	}
	struct piece *p = mem_zalloc(sizeof(*p));
	p->request = r;
	p->m = m;
	p->item = item;
	p->offset = offset;
	p->end = offset + (uint64_t)r->content_length;
	r->state = p;
	m->is_busy = true;
	transit_set_state(m, TRANSIT_COPYING);
}

/* ---- connections ---- */

static void connections_begin(struct http_request *r, struct transit *m)
{
	if (m->is_busy || m->is_cancelling || !m->is_live || m->state > TRANSIT_COPYING ||
	    r->content_length > CONNECTIONS_MAX) {
		refuse(r, 409, m->name, "the migration takes no connections now, or not so many");
		return;
	}
	struct piece *p = mem_zalloc(sizeof(*p));
	p->request = r;
	p->m = m;
	p->is_connections = true;
	r->state = p;
	m->is_busy = true;
}

static void imported(void *arg, size_t n_taken, size_t n_left, const struct error *e)
{
	struct piece *p = arg;

	p->is_writing = false;
	if (p->m == NULL || p->request == NULL) {
		piece_free(p);
		return;
	}
	if (e != NULL) {
		log_warn("connections of \"%s\" were not taken: %s", p->m->name, e->msg);
	}
	log_info("\"%s\" comes with %zu connections, %zu stay behind", p->m->name, n_taken, n_left);
	struct json_object *o = transit_json(p->m);
	piece_release(p);
	transit_respond(p->request, 200, o);
}

/* They find their way by the rules where this fails: the guest comes all the same. */
static void connections_complete(struct piece *p)
{
	struct error e = { 0 };
	struct json_object *o = json_parse(p->in.data == NULL ? "" : p->in.data, p->in.len,
					   CONNECTIONS_MAX, CONNECTIONS_DEPTH, &e);

	if (o == NULL) {
		imported(p, 0, 0, &e);
		return;
	}
	size_t n = 0;
	const char *const *ports = p->m->entity == NULL ? NULL : transit_ports(p->m, &n);
	p->is_writing = true;
	host_plane_import_connections(p->m->all->host, ports, n, o, imported, p);
	json_object_put(o);
}

/* ---- requests ---- */

static void do_post(struct http_request *r, struct transit *m, const char *rest)
{
	if (strcmp(rest, "known") == 0 && m->state == TRANSIT_DONE) {
		m->is_known = true;
		transits_save(m->all, NULL);
		transit_respond(r, 200, transit_json(m));
	} else if (strcmp(rest, "commit") == 0) {
		transit_target_commit(m);
		transit_wait(m, r, 0, true);
	} else {
		refuse(r, 400, rest, "is not understood");
	}
}

static bool on_begin(struct http_request *r)
{
	struct host *h = r->arg;
	const char *at = r->path + strlen(PREFIX) - 1;
	char id[UUID_TEXT_SIZE] = "";

	if (at[0] == '/' && strlen(at + 1) >= sizeof(id) - 1) {
		snprintf(id, sizeof(id), "%s", at + 1);
	}
	struct transit *m = id[0] == '\0' ? NULL : transit_find(h->transits, id);
	/* Whom the token does not open is told nothing. */
	if (m == NULL || m->is_source || !has_token(r, m)) {
		refuse(r, 404, id, "there is no such migration here");
		return false;
	}
	const char *rest = at + sizeof(id);
	rest += rest[0] == '/';
	m->heard_us = clock_mono_us(h->clock);
	if (strcmp(r->method, "PUT") == 0) {
		if (strcmp(rest, "connections") == 0) {
			connections_begin(r, m);
		} else {
			piece_begin(r, m, rest);
		}
		return r->state != NULL;
	}
	if (strcmp(r->method, "POST") == 0) {
		do_post(r, m, rest);
	} else if (strcmp(r->method, "GET") == 0) {
		transit_respond(r, 200, transit_json(m));
	} else if (strcmp(r->method, "DELETE") == 0) {
		if (m->state <= TRANSIT_COPYING) {
			transit_target_give_up(m, NULL);
		}
		transit_respond(r, 200, transit_json(m));
	} else {
		refuse(r, 405, r->method, "is not understood");
	}
	return true;
}

static size_t on_body(struct http_request *r, const char *data, size_t len)
{
	struct piece *p = r->state;

	if (p == NULL || p->m == NULL) {
		return len;
	}
	if (p->is_connections) {
		if (p->in.len + len > CONNECTIONS_MAX) {
			piece_release(p);
			refuse(r, 413, "connections", "are larger than 32 MiB");
			return len;
		}
		buf_add(&p->in, data, len);
		return len;
	}
	if (p->in.len >= BUFFER_MAX) {
		return 0; /* resumed when the worker is done */
	}
	buf_add(&p->in, data, len);
	if (!p->is_writing) {
		piece_write(p);
	}
	return len;
}

static void on_complete(struct http_request *r)
{
	struct piece *p = r->state;

	if (p == NULL || p->m == NULL) {
		return;
	}
	p->is_complete = true;
	if (p->is_connections) {
		connections_complete(p);
		return;
	}
	if (!p->is_writing) {
		piece_written(p, NULL);
	}
}

static void on_finish(struct http_request *r, bool ok)
{
	struct host *h = r->arg;
	struct piece *p = r->state;

	(void)ok;
	if (h->transits != NULL) {
		transit_wait_end(h->transits, r);
	}
	if (p != NULL) {
		r->state = NULL;
		p->request = NULL;
		if (!p->is_writing) {
			piece_free(p);
		}
	}
}

void transit_receive_add(struct server *s, struct host *h)
{
	server_route(s, &(struct http_route){ .prefix = "/remora/v1/migrating",
					      .begin = on_begin,
					      .body = on_body,
					      .complete = on_complete,
					      .finish = on_finish,
					      .arg = h });
}

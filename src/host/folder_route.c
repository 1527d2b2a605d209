/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upload, from inside:
 *
 *   begin -> (body: `in` fills, a worker writes `out`) … complete -> last write -> commit -> answer
 *
 * 1. While a job runs, `out` and the upload belong to the worker; body() only fills `in`.
 * 2. finish() comes once. If a job runs then, `is_gone` is set and the job's end cleans up.
 */
#include "host/folder_route.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "host/file_op.h"

LOG_MODULE("folder");

enum {
	BUFFER_MAX = 1 << 20,
};

enum transfer_step {
	STEP_RECEIVE,
	STEP_COMMIT,
	STEP_LIST,
	STEP_DELETE,
	STEP_ABORT,
};

/* What a request works on. Freed by transfer_end(). */
struct transfer {
	struct host *host;
	struct http_request *request; /* NULL once it is gone */
	struct host_datastore *d;
	struct datastore *ds;
	char path[DATASTORE_PATH_MAX + 1];
	char *ds_path;
	bool is_claimed;
	enum transfer_step step;
	bool is_working;  /* a job runs */
	bool is_complete; /* the whole body has come */
	bool existed;
	struct datastore_upload *upload; /* NULL: committed or none */
	struct buf in, out;
	struct datastore_results results;
};

/* ---- answers ---- */

static int status_of(const struct error *e)
{
	static const struct {
		enum error_kind kind;
		int status;
	} table[] = {
		{ ERROR_INVALID, 400 },	    { ERROR_NAME, 400 },  { ERROR_NOT_FOUND, 404 },
		{ ERROR_EXISTS, 409 },	    { ERROR_BUSY, 409 },  { ERROR_STATE, 409 },
		{ ERROR_NO_SPACE, 507 },    { ERROR_LIMIT, 413 }, { ERROR_PERMISSION, 403 },
		{ ERROR_UNSUPPORTED, 501 },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].kind == e->kind) {
			return table[i].status;
		}
	}
	return 500;
}

static void respond_error(struct http_request *r, const struct error *e)
{
	http_respond_text(r, status_of(e), "%s\n", e->msg);
}

static void transfer_work(struct transfer *t, enum transfer_step step);

/* An upload that was broken off may be large, and removing it take its time. */
static void transfer_end(struct transfer *t)
{
	if (t->upload != NULL) {
		transfer_work(t, STEP_ABORT);
		return;
	}
	if (t->is_claimed) {
		host_file_unclaim(t->host, t->ds_path);
	}
	datastore_results_free(&t->results);
	host_datastore_release(t->d);
	buf_free(&t->in);
	buf_free(&t->out);
	free(t->ds_path);
	free(t);
}

static void add_html(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		switch (*s) {
		case '&':
			buf_adds(b, "&amp;");
			break;
		case '<':
			buf_adds(b, "&lt;");
			break;
		case '>':
			buf_adds(b, "&gt;");
			break;
		case '"':
			buf_adds(b, "&quot;");
			break;
		default:
			buf_addc(b, *s);
			break;
		}
	}
}

static void add_url(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		if (isalnum(c) || strchr("-._~/", c) != NULL) {
			buf_addc(b, *s);
		} else {
			buf_addf(b, "%%%02X", c);
		}
	}
}

static void html_begin(struct buf *b, const char *title)
{
	buf_adds(b, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>");
	add_html(b, title);
	buf_adds(b, "</title></head><body><h1>");
	add_html(b, title);
	buf_adds(b, "</h1>\n<table><tr><th>Name</th><th>Last modified</th><th>Size</th></tr>\n");
}

static void html_entry(struct buf *b, const struct transfer *t, const struct datastore_entry *x)
{
	char when[32];
	time_t s = (time_t)(x->mtime_us / 1000000);
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M", gmtime_r(&s, &tm));
	buf_adds(b, "<tr><td><a href=\"/folder/");
	add_url(b, t->path);
	buf_adds(b, t->path[0] == '\0' ? "" : "/");
	add_url(b, x->name);
	buf_adds(b, "?dcPath=ha-datacenter&amp;dsName=");
	add_url(b, t->d->name);
	buf_adds(b, "\">");
	add_html(b, x->name);
	buf_addf(b, "%s</a></td><td>%s</td><td>", x->is_folder ? "/" : "", when);
	if (x->is_folder) {
		buf_adds(b, "-");
	} else {
		buf_add_u64(b, x->size);
	}
	buf_adds(b, "</td></tr>\n");
}

static void respond_listing(struct transfer *t)
{
	struct buf b = BUF_INIT;

	html_begin(&b, t->ds_path);
	for (size_t i = 0; i < t->results.n_folders; i++) {
		for (size_t n = 0; n < t->results.folders[i].n_entries; n++) {
			html_entry(&b, t, &t->results.folders[i].entries[n]);
		}
	}
	buf_adds(&b, "</table></body></html>\n");
	http_respond(t->request, 200, "text/html; charset=utf-8", &b);
	buf_free(&b);
}

/* "/folder" alone: the datastores that the session may look into. */
static void respond_datastores(struct http_request *r, struct host *h)
{
	struct buf b = BUF_INIT;

	html_begin(&b, "Datastores");
	list_each (struct host_datastore, d, &h->datastores, link) {
		if (!session_may(r->session, d->object, "Datastore.Browse")) {
			continue;
		}
		buf_adds(&b, "<tr><td><a href=\"/folder?dcPath=ha-datacenter&amp;dsName=");
		add_url(&b, d->name);
		buf_adds(&b, "\">");
		add_html(&b, d->name);
		buf_addf(&b, "</a></td><td></td><td>%llu</td></tr>\n",
			 (unsigned long long)d->shown.capacity);
	}
	buf_adds(&b, "</table></body></html>\n");
	http_respond(r, 200, "text/html; charset=utf-8", &b);
	buf_free(&b);
}

/* ---- work ---- */

static bool transfer_run(void *data, struct progress *p, struct error *e)
{
	struct transfer *t = data;
	struct datastore_search all = { .folders_first = true };

	switch (t->step) {
	case STEP_RECEIVE:
		return datastore_upload_write(t->upload, t->out.data, t->out.len, e);
	case STEP_COMMIT: {
		struct datastore_upload *u = t->upload;
		t->upload = NULL;
		return datastore_upload_commit(u, e);
	}
	case STEP_ABORT:
		datastore_upload_abort(t->upload);
		t->upload = NULL;
		return true;
	case STEP_LIST:
		return datastore_search(t->ds, t->path, &all, &t->results, p, e);
	case STEP_DELETE:
	default:
		return datastore_delete(t->ds, t->path, p, e);
	}
}

static void transfer_done(void *arg, const struct error *e);

static void transfer_work(struct transfer *t, enum transfer_step step)
{
	struct job_handler handler = { .loop = t->host->loop, .done = transfer_done, .arg = t };
	struct job_work work = { .run = transfer_run, .data = t, .is_brief = true };

	t->step = step;
	t->is_working = true;
	job_start(&handler, &work);
}

/* Something of the body waits and nobody writes: write it. */
static void upload_write_on(struct transfer *t)
{
	struct buf full = t->in;

	t->in = t->out;
	t->out = full;
	buf_clear(&t->in);
	transfer_work(t, STEP_RECEIVE);
}

static void upload_advance(struct transfer *t)
{
	if (t->in.len > 0) {
		upload_write_on(t);
	} else if (t->is_complete) {
		transfer_work(t, STEP_COMMIT);
		return;
	}
	if (!t->is_complete) {
		http_resume(t->request);
	}
}

static void transfer_done(void *arg, const struct error *e)
{
	struct transfer *t = arg;

	t->is_working = false;
	if (t->step == STEP_COMMIT || t->step == STEP_DELETE) {
		host_datastore_refresh(t->d);
	}
	if (t->request == NULL) {
		transfer_end(t);
	} else if (e != NULL) {
		respond_error(t->request, e);
	} else if (t->step == STEP_RECEIVE) {
		upload_advance(t);
	} else if (t->step == STEP_COMMIT) {
		http_respond_text(t->request, t->existed ? 200 : 201, "\"%s\" is stored\n",
				  t->ds_path);
	} else if (t->step == STEP_LIST) {
		respond_listing(t);
	} else {
		http_respond_text(t->request, 200, "\"%s\" is deleted\n", t->ds_path);
	}
}

/* ---- requests ---- */

static bool is_reading(const struct http_request *r)
{
	return strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
}

/* Which file of which datastore; false: answered. */
static bool request_place(struct http_request *r, struct transfer *t)
{
	struct host *h = r->arg;
	const char *dc = http_query(r, "dcPath"), *name = http_query(r, "dsName");
	const char *path = r->path + strlen("/folder");
	const char *need = is_reading(r) ? "Datastore.Browse" : "Datastore.FileManagement";
	struct error e;

	while (dc != NULL && dc[0] == '/') {
		dc++;
	}
	/* A simulated host may be asked by its manager, which has checked its own datacenter. */
	if (dc != NULL && !h->simulated && strcmp(dc, "ha-datacenter") != 0) {
		http_respond_text(r, 404, "There is no datacenter \"%.100s\" on this host.\n", dc);
		return false;
	}
	while (path[0] == '/') {
		path++;
	}
	t->d = host_datastore_find(h, name);
	if (t->d == NULL) {
		http_respond_text(r, 404, "There is no datastore \"%.100s\" on this host.\n", name);
		return false;
	}
	if (!session_may(r->session, t->d->object, need)) {
		http_respond_text(r, 403, "You lack the privilege %s on datastore \"%s\".\n", need,
				  name);
		return false;
	}
	t->ds = host_datastore_open(t->d, &e);
	if (t->ds == NULL || !datastore_path_check(path, t->path, &e)) {
		respond_error(r, &e);
		return false;
	}
	return true;
}

static struct transfer *transfer_new(struct http_request *r)
{
	struct transfer *t = mem_zalloc(sizeof(*t));

	t->host = r->arg;
	if (!request_place(r, t)) {
		free(t);
		return NULL;
	}
	t->request = r;
	t->ds_path = datastore_path_format(t->d->name, t->path);
	host_datastore_hold(t->d);
	r->state = t;
	return t;
}

static bool begin_read(struct http_request *r, struct transfer *t)
{
	struct datastore_entry x;
	struct error e;
	uint64_t size;

	if (t->path[0] != '\0') {
		if (!datastore_stat(t->ds, t->path, &x, &e)) {
			respond_error(r, &e);
			return true;
		}
		bool is_folder = x.is_folder;
		datastore_entry_fini(&x);
		if (!is_folder) {
			int fd = datastore_read_open(t->ds, t->path, &size, &e);
			if (fd < 0) {
				respond_error(r, &e);
			} else {
				http_respond_file(r, "application/octet-stream", fd, size);
			}
			return true;
		}
	}
	transfer_work(t, STEP_LIST);
	return true;
}

/* False: answered. */
static bool claim(struct http_request *r, struct transfer *t)
{
	struct error e;

	if (t->path[0] == '\0') {
		http_respond_text(r, 400, "\"%s\" is the datastore itself: name a file in it.\n",
				  t->ds_path);
		return false;
	}
	if (!file_is_free(t->host, t->ds_path, &e) || !host_file_claim(t->host, t->ds_path, &e)) {
		respond_error(r, &e);
		return false;
	}
	t->is_claimed = true;
	return true;
}

static bool begin_upload(struct http_request *r, struct transfer *t)
{
	struct datastore_upload_spec spec = {
		.path = t->path,
		.size = r->content_length > 0 ? (uint64_t)r->content_length : 0,
		.overwrite = true,
	};
	struct datastore_entry x;
	struct error e;

	if (!claim(r, t)) {
		return true;
	}
	t->existed = datastore_stat(t->ds, t->path, &x, &e);
	if (t->existed) {
		datastore_entry_fini(&x);
	}
	t->upload = datastore_upload_open(t->ds, &spec, &e);
	if (t->upload == NULL) {
		respond_error(r, &e);
	}
	return true;
}

static bool folder_begin(struct http_request *r)
{
	bool is_upload = strcmp(r->method, "PUT") == 0 || strcmp(r->method, "POST") == 0;
	bool is_delete = strcmp(r->method, "DELETE") == 0;

	if (strncmp(r->path, "/folder", 7) != 0 || (r->path[7] != '\0' && r->path[7] != '/')) {
		http_respond_text(r, 404, "There is nothing at \"%.200s\".\n", r->path);
		return true;
	}
	if (!is_reading(r) && !is_upload && !is_delete) {
		http_respond_text(r, 405, "Files take GET, HEAD, PUT and DELETE.\n");
		return true;
	}
	if (http_query(r, "dsName") == NULL) {
		if (is_reading(r)) {
			respond_datastores(r, r->arg);
		} else {
			http_respond_text(r, 400, "Name the datastore: ?dsName=…\n");
		}
		return true;
	}
	struct transfer *t = transfer_new(r);
	if (t == NULL) {
		return true;
	}
	if (is_upload) {
		return begin_upload(r, t);
	}
	if (is_delete) {
		if (claim(r, t)) {
			transfer_work(t, STEP_DELETE);
		}
		return true;
	}
	return begin_read(r, t);
}

static size_t folder_body(struct http_request *r, const char *data, size_t len)
{
	struct transfer *t = r->state;

	if (t == NULL || t->upload == NULL || (t->is_working && t->step != STEP_RECEIVE)) {
		return len; /* answered already, or no upload: what comes is not wanted */
	}
	size_t room = t->in.len < BUFFER_MAX ? BUFFER_MAX - t->in.len : 0;
	size_t n = MIN(len, room);
	buf_add(&t->in, data, n);
	if (!t->is_working && t->in.len > 0) {
		upload_write_on(t);
	}
	return n;
}

static void folder_complete(struct http_request *r)
{
	struct transfer *t = r->state;

	if (t == NULL || t->upload == NULL) {
		return;
	}
	t->is_complete = true;
	if (!t->is_working) {
		upload_advance(t);
	}
}

static void folder_finish(struct http_request *r, bool ok)
{
	struct transfer *t = r->state;

	(void)ok;
	if (t == NULL) {
		return;
	}
	r->state = NULL;
	t->request = NULL;
	if (!t->is_working) {
		transfer_end(t);
	}
}

struct http_route folder_route(struct host *h)
{
	return (struct http_route){
		.prefix = "/folder",
		.needs_session = true,
		.begin = folder_begin,
		.body = folder_body,
		.complete = folder_complete,
		.finish = folder_finish,
		.arg = h,
	};
}

void folder_route_add(struct server *s, struct host *h)
{
	struct http_route route = folder_route(h);

	server_route(s, &route);
}

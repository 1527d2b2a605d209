/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /folder of the manager: files of a datastore, streamed from and to the host that has it. The host
 * sees a request of the manager's session; who may do what is decided here.
 *
 *   begun --host's answer begins--> answering --host's answer ends--> over
 *
 * 1. A transfer has two ends, the client's request and the host's; it is freed when both are over,
 *    from a timer, as either may be calling.
 * 2. `up` holds what the client sent and the host has not taken, `down` the other way round; a side
 *    that finds its buffer full or empty is stopped and told when that changes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "center/hosts.h"
#include "center/member.h"
#include "center/place.h"
#include "vim/client.h"
#include "vim/server.h"

enum {
	ROOM = 512 << 10,	 /* of either buffer */
	ERROR_TEXT_MAX = 4 << 10 /* of the host's words when it refuses */
};

struct transfer {
	struct hosts *hs;
	struct http_request *request; /* NULL: over */
	struct peer *peer;
	struct peer_request *there; /* NULL: over */
	struct timer *later;
	struct buf up, down;
	size_t up_taken, down_taken; /* from the beginning of either */
	bool is_complete;	     /* the client has sent everything */
	bool is_answered;	     /* with a stream */
	bool is_failed;		     /* the host went away in the middle */
	bool up_waits;		     /* the host's side waits for more of `up` */
	bool down_waits;	     /* for room in `down` */
	bool reader_waits;	     /* the client's side waits for more of `down` */
	bool has_reader;	     /* the answer's stream is not done */
};

/* ---- the end ---- */

static void transfer_free(void *arg)
{
	struct transfer *t = arg;

	peer_free(t->peer);
	timer_free(t->later);
	buf_free(&t->up);
	buf_free(&t->down);
	free(t);
}

static void transfer_release(struct transfer *t)
{
	if (t->request == NULL && t->there == NULL && !t->has_reader) {
		timer_start(t->later, 0, 0);
	}
}

/* Forgets what was taken from the beginning, now and then. */
static void buf_trim(struct buf *b, size_t *taken)
{
	if (*taken == b->len) {
		buf_clear(b);
		*taken = 0;
	} else if (*taken > ROOM) {
		memmove(b->data, b->data + *taken, b->len - *taken);
		b->len -= *taken;
		*taken = 0;
	}
}

/* ---- to the client ---- */

static ssize_t stream_read(void *arg, char *data, size_t max)
{
	struct transfer *t = arg;
	size_t n = MIN(max, t->down.len - t->down_taken);

	t->reader_waits = false;
	if (n > 0) {
		memcpy(data, t->down.data + t->down_taken, n);
		t->down_taken += n;
		buf_trim(&t->down, &t->down_taken);
		if (t->down_waits && t->there != NULL) {
			t->down_waits = false;
			peer_resume(t->there);
		}
		return (ssize_t)n;
	}
	if (t->there == NULL) {
		return t->is_failed ? -2 : -1;
	}
	t->reader_waits = true;
	return 0;
}

static void stream_done(void *arg)
{
	struct transfer *t = arg;

	t->has_reader = false;
	transfer_release(t);
}

static void reader_wake(struct transfer *t)
{
	if (t->reader_waits && t->request != NULL) {
		t->reader_waits = false;
		http_resume(t->request);
	}
}

/* ---- from the host ---- */

static void copy_header(struct transfer *t, const char *name)
{
	const char *value = t->there == NULL ? NULL : peer_header(t->there, name);

	if (value != NULL) {
		http_reply_header(t->request, name, value);
	}
}

static void there_head(void *arg, int status)
{
	struct transfer *t = arg;
	const char *length = t->there == NULL ? NULL : peer_header(t->there, "Content-Length");
	const char *type = t->there == NULL ? NULL : peer_header(t->there, "Content-Type");
	bool is_reading = t->request != NULL && (strcmp(t->request->method, "GET") == 0 ||
						 strcmp(t->request->method, "HEAD") == 0);
	int64_t n = -1;

	if (!is_reading || status < 200 || status > 299) {
		return;
	}
	if (length != NULL && !number_i64(length, &n)) {
		n = -1;
	}
	copy_header(t, "Content-Range");
	copy_header(t, "Accept-Ranges");
	copy_header(t, "Last-Modified");
	t->is_answered = t->has_reader = true;
	http_respond_stream(t->request, status, type != NULL ? type : "application/octet-stream",
			    &(struct http_stream){
				    .read = stream_read, .done = stream_done, .arg = t, .len = n });
}

/* The host's side may ask for more of `up`. */
static void sender_wake(struct transfer *t)
{
	if (t->up_waits && t->there != NULL) {
		t->up_waits = false;
		peer_resume(t->there);
	}
}

static bool there_write(void *arg, const char *data, size_t n)
{
	struct transfer *t = arg;

	if (!t->is_answered) {	/* a refusal's words */
		sender_wake(t); /* libcurl waits for what it no longer wants, else */
		if (t->down.len < ERROR_TEXT_MAX) {
			buf_add(&t->down, data, MIN(n, ERROR_TEXT_MAX - t->down.len));
		}
		return true;
	}
	if (t->has_reader && t->down.len - t->down_taken >= ROOM) {
		t->down_waits = true;
		return false;
	}
	if (t->has_reader) {
		buf_add(&t->down, data, n);
		reader_wake(t);
	}
	return true;
}

static void there_done(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct transfer *t = arg;

	t->there = NULL;
	if (t->is_answered) {
		t->is_failed = e != NULL;
		reader_wake(t);
	} else if (t->request != NULL && answer != NULL) {
		int status = answer->status == 401 ? 502 : answer->status;
		http_respond_text(t->request, status, "%.*s", (int)t->down.len,
				  t->down.data == NULL ? "" : t->down.data);
	} else if (t->request != NULL) {
		http_respond_text(t->request, 502, "The host does not answer: %s\n",
				  e == NULL ? "" : e->msg);
	}
	transfer_release(t);
}

/* ---- to the host ---- */

static ssize_t there_read(void *arg, char *data, size_t max)
{
	struct transfer *t = arg;
	size_t n = MIN(max, t->up.len - t->up_taken);

	if (n == 0) {
		t->up_waits = !t->is_complete;
		return t->is_complete ? -1 : 0;
	}
	memcpy(data, t->up.data + t->up_taken, n);
	t->up_taken += n;
	buf_trim(&t->up, &t->up_taken);
	if (t->request != NULL && !t->is_complete) {
		http_resume(t->request);
	}
	return (ssize_t)n;
}

/* ---- where to ---- */

/* The datacenter at the end of the path "a/b", names as they are shown; NULL. */
static struct object *datacenter_find(struct center *c, const char *path)
{
	struct object *o = c->root;
	struct arena *a = arena_new(0);

	while (o != NULL && *path != '\0') {
		size_t n = strcspn(path, "/");
		if (n > 0) {
			o = place_child(c, o, arena_strndup(a, path, n));
		}
		path += n + (path[n] == '/');
	}
	arena_free(a);
	return o != NULL && schema_is_a(o->type, T_Datacenter) ? o : NULL;
}

/* A host, connected if any is, with the datastore; NULL. */
static struct member *find(struct hosts *hs, const struct object *dc, const char *name)
{
	struct member *best = NULL;

	list_each (struct member, m, &hs->members, link_node) {
		if ((dc == NULL || place_datacenter(m->system) == dc) &&
		    mirror_has_datastore(&m->mirror, name, strlen(name)) &&
		    (best == NULL || best->state != MEMBER_CONNECTED)) {
			best = m;
		}
	}
	return best;
}

static bool is_method(const struct http_request *r, const char *method)
{
	return strcmp(r->method, method) == 0;
}

/* The host, when the session may do that; else the request is answered, NULL. */
static struct member *choose(struct http_request *r)
{
	struct hosts *hs = r->arg;
	const char *dc_path = http_query(r, "dcPath"), *name = http_query(r, "dsName");
	const char *privilege = is_method(r, "GET") || is_method(r, "HEAD")
					? "Datastore.Browse"
					: "Datastore.FileManagement";
	struct object *dc = dc_path == NULL ? NULL : datacenter_find(hs->center, dc_path);

	if (name == NULL) {
		http_respond_text(r, 400, "Name the datastore: ?dsName=…\n");
		return NULL;
	}
	if (dc_path != NULL && dc == NULL) {
		http_respond_text(r, 404, "There is no datacenter \"%.200s\".\n", dc_path);
		return NULL;
	}
	struct member *m = find(hs, dc, name);
	if (m == NULL) {
		http_respond_text(r, 404, "There is no datastore \"%.200s\".\n", name);
		return NULL;
	}
	struct object *store = mirror_datastore(&m->mirror, name, strlen(name));
	if (!session_may(r->session, store, privilege)) {
		http_respond_text(r, 403, "You lack the privilege %s on datastore \"%s\".\n",
				  privilege, name);
		return NULL;
	}
	if (m->state != MEMBER_CONNECTED ||
	    (link_client(m->link) == NULL && m->folder.begin == NULL)) {
		http_respond_text(r, 503, "The host \"%s\" is not connected.\n", member_name(m));
		return NULL;
	}
	return m;
}

/* Path and query as the host knows them. */
static void path_there(struct http_request *r, const struct member *m, struct buf *out)
{
	const char *name = http_query(r, "dsName");
	const char *path = r->path + strlen("/folder");
	const struct object *store = mirror_datastore(&m->mirror, name, strlen(name));

	while (*path == '/') {
		path++;
	}
	vec_each (&m->mirror.stores, it) {
		if ((*it)->of->object == store && (*it)->object != NULL) {
			name = object_get_str((*it)->object, P_ManagedEntity_name);
		}
	}
	client_folder_path(out, "ha-datacenter", name, path);
}

/* ---- requests ---- */

static bool begin_transfer(struct http_request *r, struct member *m)
{
	struct transfer *t = mem_zalloc(sizeof(*t));
	struct peer *session = client_peer(link_client(m->link));
	bool has_body = is_method(r, "PUT") || is_method(r, "POST");
	struct peer_config config = {
		.loop = m->center->loop,
		.url = peer_origin(session),
		.thumbprint = peer_sha256(session), /* the one that the session trusts */
		.max_connections = 1,
	};
	struct buf path = BUF_INIT;
	struct error e;

	t->hs = m->hosts;
	t->later = timer_new(m->center->loop, m->center->clock, transfer_free, t);
	t->peer = peer_new(&config, &e);
	if (t->peer == NULL) {
		http_respond_text(r, 502, "%s\n", e.msg);
		transfer_free(t);
		return true;
	}
	peer_set_cookie(t->peer, peer_cookie(session));
	path_there(r, m, &path);
	struct peer_stream stream = {
		.read = has_body ? there_read : NULL,
		.length = r->content_length,
		.head = there_head,
		.write = there_write,
		.arg = t,
	};
	t->request = r;
	t->is_complete = !has_body;
	r->state = t;
	t->there = peer_send(t->peer, &(struct peer_order){
					      .method = has_body ? "PUT" : r->method,
					      .path = path.data,
					      .content_type = http_header(r, "Content-Type"),
					      .range = http_header(r, "Range"),
					      .stream = &stream,
					      .done = there_done,
					      .arg = t,
				      });
	buf_free(&path);
	return true;
}

/* A host in this process answers by itself, and checks again as its own. */
static bool hand_on(struct http_request *r, struct member *m)
{
	struct hosts *hs = m->hosts;
	struct session *session = r->session;
	struct http_route *route = mem_zalloc(sizeof(*route));

	*route = m->folder;
	map64_set(&hs->handed_on, (uint64_t)(uintptr_t)r, route);
	r->arg = route->arg;
	r->session = m->session;
	bool wants_body = route->begin(r);
	r->arg = hs;
	r->session = session;
	return wants_body;
}

static const struct http_route *handed_on_to(const struct http_request *r)
{
	struct hosts *hs = r->arg;

	return map64_get(&hs->handed_on, (uint64_t)(uintptr_t)r);
}

static bool proxy_begin(struct http_request *r)
{
	static const char *const methods[] = { "GET", "HEAD", "PUT", "POST", "DELETE" };
	bool is_known = false;

	if (strncmp(r->path, "/folder", 7) != 0 || (r->path[7] != '\0' && r->path[7] != '/')) {
		http_respond_text(r, 404, "There is nothing at \"%.200s\".\n", r->path);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		is_known |= is_method(r, methods[i]);
	}
	if (!is_known) {
		http_respond_text(r, 405, "Files take GET, HEAD, PUT and DELETE.\n");
		return true;
	}
	struct member *m = choose(r);
	if (m != NULL && m->folder.begin != NULL) {
		return hand_on(r, m);
	}
	return m == NULL || begin_transfer(r, m);
}

static size_t proxy_body(struct http_request *r, const char *data, size_t len)
{
	const struct http_route *route = handed_on_to(r);
	struct transfer *t = r->state;

	if (route != NULL) {
		return route->body(r, data, len);
	}
	if (t == NULL || t->there == NULL) {
		return len; /* answered already: what still comes is not wanted */
	}
	size_t held = t->up.len - t->up_taken;
	size_t n = MIN(len, held < ROOM ? ROOM - held : 0);
	buf_add(&t->up, data, n);
	sender_wake(t);
	return n;
}

static void proxy_complete(struct http_request *r)
{
	const struct http_route *route = handed_on_to(r);
	struct transfer *t = r->state;

	if (route != NULL) {
		route->complete(r);
	} else if (t != NULL) {
		t->is_complete = true;
		sender_wake(t);
	}
}

static void proxy_finish(struct http_request *r, bool ok)
{
	struct hosts *hs = r->arg;
	struct http_route *route = map64_remove(&hs->handed_on, (uint64_t)(uintptr_t)r);
	struct transfer *t = r->state;

	if (route != NULL) {
		route->finish(r, ok);
		free(route);
	} else if (t != NULL) {
		t->request = NULL;
		peer_cancel(t->there);
		transfer_release(t);
	}
}

void hosts_serve(struct hosts *hs, struct server *server)
{
	server_route(server, &(struct http_route){
				     .prefix = "/folder",
				     .needs_session = true,
				     .begin = proxy_begin,
				     .body = proxy_body,
				     .complete = proxy_complete,
				     .finish = proxy_finish,
				     .arg = hs,
			     });
}

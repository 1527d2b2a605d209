/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's life: peer_send() → it waits for a connection → curl works → on_ended() or
 * peer_cancel() → request_end(), which alone calls done() and frees. What ended is known by the
 * request's own error, where a callback of curl set one, else by curl's result.
 *
 * Waiting is done here and not by curl, which counts a request's limits from when it is given it: a
 * thousand of them would end by time-out without ever having been sent.
 */
#include "vim/peer.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/encoding.h"
#include "base/list.h"
#include "base/mem.h"
#include "vim/peer_loop.h"

#define COOKIE_NAME "vmware_soap_session"

enum {
	SHA1_BYTES = 20,
	SHA256_BYTES = 32,
	CONNECT_TIMEOUT_MS = 10000,
	MAX_CONNECTIONS = 8,
	URGENT_CONNECTIONS = 1,
	ANSWER_MAX = 1 << 20,
	ERROR_BODY_MAX = 16 << 10, /* of an answer other than 2xx to a download */
	STALL_S = 30,
	ALIVE_AFTER_S = 15, /* keep-alive probes notice a host that vanished during a long wait */
	ALIVE_EVERY_S = 5,
	UNACKED_MS = 20000,
	COOKIE_MAX = 256
};

struct peer {
	struct peer_loop *loop;
	char *origin, *path;
	uint8_t pin[SHA256_BYTES];
	size_t n_pin; /* bytes; 0: no thumbprint is known */
	bool trust_any, is_tls, is_unknown, closing;
	int64_t connect_timeout_ms;
	uint8_t seen[SHA256_BYTES]; /* SHA-256 of the last certificate */
	char *sha1, *sha256;	    /* text of the same */
	char cookie[COOKIE_MAX];
	unsigned n_sent, n_sent_max;
	struct list requests; /* that curl works at */
	struct list waiting;  /* until fewer than n_sent_max do; oldest first */
};

struct peer_request {
	struct list_node link;
	struct peer *peer;
	CURL *easy;
	struct curl_slist *headers;
	struct buf body, answer;
	size_t body_sent;
	struct peer_file source, sink;
	bool has_source, has_sink;
	struct peer_stream stream;
	bool has_stream, has_streamed, is_waiting;
	off_t source_start;
	uint64_t source_at;
	size_t max_bytes;
	struct error error; /* what a callback found wrong */
	char curl_text[CURL_ERROR_SIZE];
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	peer_done_fn *done;
	void *arg;
};

/* ---- making ---- */

/* "AB:CD:…" or "abcd…" of 20 or 32 bytes. */
static bool read_thumbprint(const char *text, uint8_t *out, size_t *n)
{
	char hex[2 * SHA256_BYTES + 1];
	size_t len = 0;

	for (const char *s = text; *s != '\0'; s++) {
		if (*s == ':' || *s == ' ') {
			continue;
		}
		if (len == sizeof(hex) - 1) {
			return false;
		}
		hex[len++] = *s;
	}
	hex[len] = '\0';
	*n = len / 2;
	return len % 2 == 0 && (*n == SHA1_BYTES || *n == SHA256_BYTES) && hex_decode(hex, out, *n);
}

static bool take_part(CURLU *u, CURLUPart part, struct buf *out, const char *before)
{
	char *text = NULL;

	if (curl_url_get(u, part, &text, 0) != CURLUE_OK) {
		return false;
	}
	buf_adds(out, before);
	buf_adds(out, text);
	curl_free(text);
	return true;
}

/* Splits the URL into origin and path. */
static bool peer_read_url(struct peer *p, const char *url, struct error *e)
{
	CURLU *u = curl_url();
	struct buf origin = BUF_INIT, path = BUF_INIT;
	const char *scheme = strstr(url, "://") == NULL ? "https://" : "";
	char *whole = mem_printf("%s%s", scheme, url);
	bool ok = curl_url_set(u, CURLUPART_URL, whole, 0) == CURLUE_OK &&
		  take_part(u, CURLUPART_SCHEME, &origin, "") &&
		  take_part(u, CURLUPART_HOST, &origin, "://");

	if (ok) {
		take_part(u, CURLUPART_PORT, &origin, ":");
		take_part(u, CURLUPART_PATH, &path, "");
		p->is_tls = strncmp(origin.data, "https://", 8) == 0;
		ok = p->is_tls || strncmp(origin.data, "http://", 7) == 0;
	}
	free(whole);
	curl_url_cleanup(u);
	p->origin = buf_take(&origin);
	p->path = buf_take(&path);
	if (strcmp(p->path, "/") == 0) {
		p->path[0] = '\0';
	}
	return ok || error_set(e, ERROR_INVALID, "\"%s\" is not the URL of an HTTPS server", url);
}

static void on_ended(void *arg, CURL *easy, CURLcode result);

static void peer_destroy(struct peer *p)
{
	free(p->origin);
	free(p->path);
	free(p->sha1);
	free(p->sha256);
	explicit_bzero(p->cookie, sizeof(p->cookie));
	free(p);
}

struct peer *peer_new(const struct peer_config *config, struct error *e)
{
	struct peer *p = mem_zalloc(sizeof(*p));

	/* Counted by curl: further calls cost nothing. */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	list_init(&p->requests);
	list_init(&p->waiting);
	if (!peer_read_url(p, config->url, e)) {
		peer_destroy(p);
		return NULL;
	}
	if (config->thumbprint != NULL && config->thumbprint[0] != '\0' &&
	    !read_thumbprint(config->thumbprint, p->pin, &p->n_pin)) {
		error_set(e, ERROR_INVALID, "\"%.100s\" is not a SHA-1 or SHA-256 thumbprint",
			  config->thumbprint);
		peer_destroy(p);
		return NULL;
	}
	p->trust_any = config->trust_any;
	p->connect_timeout_ms =
		config->connect_timeout_ms > 0 ? config->connect_timeout_ms : CONNECT_TIMEOUT_MS;
	p->loop = peer_loop_new(config->loop, on_ended, p);
	p->n_sent_max = config->max_connections > 0 ? config->max_connections : MAX_CONNECTIONS;
	long max = (long)p->n_sent_max + URGENT_CONNECTIONS;
	curl_multi_setopt(peer_loop_multi(p->loop), CURLMOPT_MAX_TOTAL_CONNECTIONS, max);
	curl_multi_setopt(peer_loop_multi(p->loop), CURLMOPT_MAXCONNECTS, max);
	return p;
}

const char *peer_origin(const struct peer *p)
{
	return p->origin;
}

const char *peer_path(const struct peer *p)
{
	return p->path;
}

const char *peer_sha1(const struct peer *p)
{
	return p->sha1;
}

const char *peer_sha256(const struct peer *p)
{
	return p->sha256;
}

bool peer_is_unknown(const struct peer *p)
{
	return p->is_unknown;
}

const char *peer_cookie(const struct peer *p)
{
	return p->cookie;
}

void peer_set_cookie(struct peer *p, const char *value)
{
	size_t n = strlen(value);

	/* A cookie goes into a header: what could end it is not a cookie. */
	if (n >= sizeof(p->cookie) || strcspn(value, "\r\n;") != n) {
		n = 0;
	}
	memcpy(p->cookie, value, n);
	p->cookie[n] = '\0';
}

/* ---- the certificate ---- */

static char *thumbprint_text(const uint8_t *digest, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	char *text = mem_alloc(3 * n);

	for (size_t i = 0; i < n; i++) {
		text[3 * i] = digits[digest[i] >> 4];
		text[3 * i + 1] = digits[digest[i] & 15];
		text[3 * i + 2] = i + 1 < n ? ':' : '\0';
	}
	return text;
}

/* The connection's certificate as the server sent it, or NULL. */
static const gnutls_datum_t *request_certificate(struct peer_request *r)
{
	struct curl_tlssessioninfo *tls = NULL;
	unsigned n = 0;

	if (curl_easy_getinfo(r->easy, CURLINFO_TLS_SSL_PTR, &tls) != CURLE_OK || tls == NULL ||
	    tls->backend != CURLSSLBACKEND_GNUTLS || tls->internals == NULL) {
		return NULL;
	}
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls->internals, &n);
	return n > 0 ? chain : NULL;
}

/* Notes the certificate's thumbprints; false when it is not the pinned one. */
static bool certificate_is_pinned(struct peer *p, const gnutls_datum_t *cert)
{
	uint8_t sha1[SHA1_BYTES], sha256[SHA256_BYTES];

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, cert->data, cert->size, sha256) < 0) {
		return false;
	}
	if (p->sha256 == NULL || memcmp(sha256, p->seen, SHA256_BYTES) != 0) {
		if (gnutls_hash_fast(GNUTLS_DIG_SHA1, cert->data, cert->size, sha1) < 0) {
			return false;
		}
		free(p->sha1);
		free(p->sha256);
		p->sha1 = thumbprint_text(sha1, SHA1_BYTES);
		p->sha256 = thumbprint_text(sha256, SHA256_BYTES);
		memcpy(p->seen, sha256, SHA256_BYTES);
	}
	if (p->n_pin == SHA256_BYTES) {
		return memcmp(sha256, p->pin, SHA256_BYTES) == 0;
	}
	if (p->n_pin == SHA1_BYTES) {
		char *pin = thumbprint_text(p->pin, SHA1_BYTES);
		bool same = strcmp(pin, p->sha1) == 0;
		free(pin);
		return same;
	}
	return p->trust_any;
}

/* Called for each request on its connection, new or kept, before anything of it is sent.
 * Form: libcurl's. NOLINTNEXTLINE(readability-non-const-parameter) */
static int on_connected(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct peer_request *r = arg;
	struct peer *p = r->peer;

	(void)ip, (void)local_ip, (void)port, (void)local_port;
	if (!p->is_tls) {
		return CURL_PREREQFUNC_OK;
	}
	const gnutls_datum_t *cert = request_certificate(r);
	if (cert == NULL) {
		error_set(&r->error, ERROR_UNREACHABLE, "\"%s\" shows no certificate", p->origin);
		return CURL_PREREQFUNC_ABORT;
	}
	p->is_unknown = !certificate_is_pinned(p, cert);
	if (!p->is_unknown) {
		return CURL_PREREQFUNC_OK;
	}
	error_set(&r->error, ERROR_PERMISSION, "the certificate of \"%s\" has thumbprint %s, %s",
		  p->origin, p->sha1,
		  p->n_pin > 0 ? "not the expected one" : "which nobody has accepted yet");
	return CURL_PREREQFUNC_ABORT;
}

/* ---- data in and out ---- */

static size_t on_read_body(char *at, size_t size, size_t n, void *arg)
{
	struct peer_request *r = arg;

	size_t room = size * n;
	if (r->has_stream) {
		ssize_t got = r->stream.read(r->stream.arg, at, room);
		r->has_streamed |= got > 0;
		return got > 0 ? (size_t)got : got == 0 ? CURL_READFUNC_PAUSE : 0;
	}
	if (!r->has_source) {
		size_t some = MIN(room, r->body.len - r->body_sent);
		memcpy(at, r->body.data + r->body_sent, some);
		r->body_sent += some;
		return some;
	}
	uint64_t left = r->source.length - r->source_at;
	size_t want = left < room ? (size_t)left : room;
	if (want == 0) {
		return 0;
	}
	ssize_t got = pread(r->source.fd, at, want, r->source_start + (off_t)r->source_at);
	if (got <= 0) {
		if (got < 0) {
			error_set_sys(&r->error, errno, "cannot read the file to send");
		} else {
			error_set(&r->error, ERROR_IO, "the file to send ends %llu bytes early",
				  (unsigned long long)left);
		}
		return CURL_READFUNC_ABORT;
	}
	r->source_at += (uint64_t)got;
	return (size_t)got;
}

/* curl sends again when a kept connection turns out to be dead. */
static int on_seek_body(void *arg, curl_off_t offset, int origin)
{
	struct peer_request *r = arg;

	if (origin != SEEK_SET || offset < 0 || r->has_streamed) {
		return CURL_SEEKFUNC_CANTSEEK;
	}
	r->source_at = (uint64_t)offset;
	r->body_sent = MIN((size_t)offset, r->body.len);
	return CURL_SEEKFUNC_OK;
}

static bool write_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, data, n);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done < 0) {
			return false;
		}
		data += done;
		n -= (size_t)done;
	}
	return true;
}

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct peer_request *r = arg;
	size_t len = size * n;
	long status = 0;

	if (r->has_stream) {
		return r->stream.write(r->stream.arg, data, len) ? len : CURL_WRITEFUNC_PAUSE;
	}
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	bool to_file = r->has_sink && status >= 200 && status < 300;
	if (to_file) {
		if (!write_all(r->sink.fd, data, len)) {
			error_set_sys(&r->error, errno, "cannot write the received file");
			return 0;
		}
		return len;
	}
	size_t max = r->has_sink ? (size_t)ERROR_BODY_MAX : r->max_bytes;
	if (len > max - r->answer.len) {
		if (r->has_sink) {
			return len; /* enough of an error's text */
		}
		error_set(&r->error, ERROR_LIMIT, "the answer of \"%s\" exceeds %zu bytes",
			  r->peer->origin, max);
		return 0;
	}
	buf_add(&r->answer, data, len);
	return len;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct peer_request *r = arg;
	static const char name[] = "set-cookie: " COOKIE_NAME "=";
	size_t len = size * n, from = sizeof(name) - 1;
	char value[COOKIE_MAX];
	long status = 0;

	if (r->has_stream && len <= 2 && (line[0] == '\r' || line[0] == '\n')) {
		curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status >= 200) {
			r->stream.head(r->stream.arg, (int)status);
		}
		return len;
	}

	if (len <= from || strncasecmp(line, name, from) != 0) {
		return len;
	}
	size_t to = from;
	while (to < len && line[to] != ';' && line[to] != '\r' && line[to] != '\n') {
		to++;
	}
	if (to - from < sizeof(value)) {
		memcpy(value, line + from, to - from);
		value[to - from] = '\0';
		peer_set_cookie(r->peer, value);
	}
	return len;
}

static int on_progress(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
		       curl_off_t up)
{
	struct peer_request *r = arg;
	bool sends = r->has_source;

	if (!r->progress(r->arg, (uint64_t)(sends ? up : down),
			 (uint64_t)(sends ? up_all : down_all))) {
		error_set(&r->error, ERROR_CANCELED, "the transfer was canceled");
		return 1;
	}
	return 0;
}

static int on_socket_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	unsigned timeout = UNACKED_MS;

	(void)arg, (void)purpose;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	return CURL_SOCKOPT_OK;
}

/* ---- requests ---- */

static void request_header(struct peer_request *r, const char *name, const char *value)
{
	char *line = mem_printf("%s%s", name, value);

	r->headers = curl_slist_append(r->headers, line);
	free(line);
}

static void request_set_connection(struct peer_request *r)
{
	CURL *c = r->easy;

	curl_easy_setopt(c, CURLOPT_PRIVATE, r);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->curl_text);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)r->peer->connect_timeout_ms);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPIDLE, (long)ALIVE_AFTER_S);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPINTVL, (long)ALIVE_EVERY_S);
	curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
	/* The thumbprint decides, in on_connected(). */
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(c, CURLOPT_PREREQDATA, r);
}

static void request_set_headers(struct peer_request *r, const struct peer_order *o)
{
	request_header(r, "Expect:", ""); /* no waiting for permission to send */
	if (o->content_type != NULL) {
		request_header(r, "Content-Type: ", o->content_type);
	}
	if (o->soap_action != NULL) {
		request_header(r, "SOAPAction: ", o->soap_action);
	}
	if (r->peer->cookie[0] != '\0') {
		request_header(r, "Cookie: " COOKIE_NAME "=", r->peer->cookie);
	}
	if (o->range != NULL) {
		request_header(r, "Range: ", o->range);
	}
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
	curl_easy_setopt(r->easy, CURLOPT_USERAGENT, "remora");
}

static void request_set_body(struct peer_request *r, const struct peer_order *o)
{
	CURL *c = r->easy;

	if (strcmp(o->method, "HEAD") == 0) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (r->has_source || o->body != NULL || r->stream.read != NULL) {
		curl_off_t len = r->has_stream	 ? r->stream.length
				 : r->has_source ? (curl_off_t)r->source.length
						 : (curl_off_t)r->body.len;
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, len);
		curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read_body);
		curl_easy_setopt(c, CURLOPT_READDATA, r);
		curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek_body);
		curl_easy_setopt(c, CURLOPT_SEEKDATA, r);
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, o->method);
	} else {
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, o->method);
	}
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
	if (r->progress != NULL) {
		curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(c, CURLOPT_XFERINFODATA, r);
	}
	if (o->timeout_ms > 0) {
		curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
	} else {
		curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	}
}

static void request_begin(struct peer_request *r)
{
	struct peer *p = r->peer;

	r->is_waiting = false;
	p->n_sent++;
	list_push_back(&p->requests, &r->link);
	CURLMcode code = curl_multi_add_handle(peer_loop_multi(p->loop), r->easy);
	assert(code == CURLM_OK);
	(void)code;
}

/* A connection is free. */
static void begin_waiting(struct peer *p)
{
	while (!p->closing && p->n_sent < p->n_sent_max && !list_is_empty(&p->waiting)) {
		struct list_node *n = list_pop_front(&p->waiting);
		request_begin(CONTAINER_OF(n, struct peer_request, link));
	}
}

struct peer_request *peer_send(struct peer *p, const struct peer_order *order)
{
	if (p->closing) {
		buf_free(order->body);
		return NULL;
	}
	struct peer_request *r = mem_zalloc(sizeof(*r));
	r->peer = p;
	r->done = order->done;
	r->arg = order->arg;
	r->progress = order->progress;
	r->max_bytes = order->max_bytes > 0 ? order->max_bytes : ANSWER_MAX;
	r->body = (struct buf)BUF_INIT;
	r->answer = (struct buf)BUF_INIT;
	if (order->body != NULL) {
		r->body = *order->body;
		*order->body = (struct buf)BUF_INIT;
	}
	if (order->source != NULL) {
		r->source = *order->source;
		r->has_source = true;
		r->source_start = lseek(r->source.fd, 0, SEEK_CUR);
		r->source_start = r->source_start < 0 ? 0 : r->source_start;
	}
	if (order->sink != NULL) {
		r->sink = *order->sink;
		r->has_sink = true;
	}
	if (order->stream != NULL) {
		r->stream = *order->stream;
		r->has_stream = true;
	}
	r->easy = curl_easy_init();
	assert(r->easy != NULL); /* only when memory runs out */
	request_set_connection(r);
	request_set_headers(r, order);
	request_set_body(r, order);
	char *url = mem_printf("%s%s", p->origin, order->path);
	curl_easy_setopt(r->easy, CURLOPT_URL, url);
	free(url);
	r->is_waiting = true;
	list_push_back(&p->waiting, &r->link);
	begin_waiting(p);
	return r;
}

void peer_hurry(struct peer_request *r)
{
	if (r->is_waiting) {
		list_remove(&r->link);
		request_begin(r);
	}
}

void peer_resume(struct peer_request *r)
{
	curl_easy_pause(r->easy, CURLPAUSE_CONT);
}

const char *peer_header(struct peer_request *r, const char *name)
{
	struct curl_header *h = NULL;

	return curl_easy_header(r->easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value
										     : NULL;
}

/* curl reads its options when the loop turns. */
void peer_set_timeout(struct peer_request *r, int64_t timeout_ms)
{
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
}

/* Tells the owner and frees. The peer may be gone afterwards. */
static void request_end(struct peer_request *r, const struct peer_answer *answer,
			const struct error *e)
{
	struct peer *p = r->peer;

	list_remove(&r->link);
	if (!r->is_waiting) {
		curl_multi_remove_handle(peer_loop_multi(p->loop), r->easy);
		p->n_sent--;
		begin_waiting(p);
	}
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->headers);
	r->done(r->arg, answer, e);
	buf_free(&r->body);
	buf_free(&r->answer);
	free(r);
}

/* What curl's result means, where no callback said it better. */
static void request_explain(struct peer_request *r, CURLcode result)
{
	const char *text = r->curl_text[0] != '\0' ? r->curl_text : curl_easy_strerror(result);
	enum error_kind kind = ERROR_UNREACHABLE;

	if (r->error.kind != ERROR_NONE) {
		return;
	}
	if (result == CURLE_OUT_OF_MEMORY || result == CURLE_URL_MALFORMAT ||
	    result == CURLE_UNSUPPORTED_PROTOCOL) {
		kind = ERROR_INVALID;
	}
	error_set(&r->error, kind, "\"%s\": %s", r->peer->origin, text);
}

static void on_ended(void *arg, CURL *easy, CURLcode result)
{
	struct peer_answer answer = { 0 };
	char *private = NULL;
	long status = 0;

	(void)arg;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
	struct peer_request *r = (struct peer_request *)(void *)private;
	if (result != CURLE_OK) {
		request_explain(r, result);
		request_end(r, NULL, &r->error);
		return;
	}
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	answer.status = (int)status;
	answer.body = r->answer.data;
	answer.len = r->answer.len;
	request_end(r, &answer, NULL);
}

void peer_cancel(struct peer_request *r)
{
	if (r != NULL) {
		error_set(&r->error, ERROR_CANCELED, "the request to \"%s\" was canceled",
			  r->peer->origin);
		request_end(r, NULL, &r->error);
	}
}

void peer_free(struct peer *p)
{
	if (p == NULL) {
		return;
	}
	p->closing = true;
	while (!list_is_empty(&p->waiting) || !list_is_empty(&p->requests)) {
		struct list *of = list_is_empty(&p->waiting) ? &p->requests : &p->waiting;
		peer_cancel(CONTAINER_OF(list_front(of), struct peer_request, link));
	}
	peer_loop_free(p->loop);
	peer_destroy(p);
}

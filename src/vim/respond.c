/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of HTTP requests, and what their handlers ask about them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <sys/socket.h>

#include "base/encoding.h"
#include "base/mem.h"
#include "vim/caller.h"
#include "vim/exchange.h"
#include "vim/http_text.h"

enum {
	STREAM_BLOCK = 64 << 10,
	FILE_BLOCK = 128 << 10
};

/* ---- questions ---- */

const char *http_header(struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(exchange_of(r)->connection, MHD_HEADER_KIND, name);
}

const char *http_query(struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(exchange_of(r)->connection, MHD_GET_ARGUMENT_KIND, name);
}

bool http_basic_auth(struct http_request *r, const char **user, const char **password)
{
	struct exchange *x = exchange_of(r);
	const char *header = http_header(r, "Authorization");
	struct buf text = BUF_INIT;

	if (header == NULL || strncasecmp(header, "Basic ", 6) != 0) {
		return false;
	}
	header += 6;
	if (!base64_decode(&text, header, strlen(header)) || text.len == 0 ||
	    memchr(text.data, '\0', text.len) != NULL || strchr(text.data, ':') == NULL) {
		buf_free(&text);
		return false;
	}
	char *copy = arena_strndup(x->arena, text.data, text.len);
	memset(text.data, 0, text.len);
	buf_free(&text);
	char *colon = strchr(copy, ':');
	*colon = '\0';
	*user = copy;
	*password = colon + 1;
	return true;
}

/* ---- answers ---- */

void http_reply_header(struct http_request *r, const char *name, const char *value)
{
	struct exchange *x = exchange_of(r);

	if (x->n_headers < EXCHANGE_HEADERS_MAX) {
		x->headers[x->n_headers].name = arena_strdup(x->arena, name);
		x->headers[x->n_headers].value = arena_strdup(x->arena, value);
		x->n_headers++;
	}
}

static void respond(struct exchange *x, int status, struct MHD_Response *response,
		    const char *content_type)
{
	if (content_type != NULL) {
		MHD_add_response_header(response, "Content-Type", content_type);
	}
	x->response = response;
	x->status = (unsigned)status;
	exchange_continue(x);
}

void respond_out(struct exchange *x, int status, const char *content_type)
{
	if (x->response != NULL) {
		return;
	}
	x->is_whole = true;
	respond(x, status,
		MHD_create_response_from_buffer(x->out.len, x->out.data, MHD_RESPMEM_PERSISTENT),
		content_type);
}

void http_respond(struct http_request *r, int status, const char *content_type, struct buf *body)
{
	struct exchange *x = exchange_of(r);
	struct buf old = x->out;

	if (x->response != NULL) {
		buf_clear(body);
		return;
	}
	x->out = *body;
	*body = old;
	buf_clear(body);
	respond_out(x, status, content_type);
}

void http_respond_text(struct http_request *r, int status, const char *fmt, ...)
{
	struct exchange *x = exchange_of(r);
	char text[1024];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	buf_clear(&x->out);
	if (n > 0) {
		buf_adds(&x->out, text);
	}
	respond_out(x, status, "text/plain; charset=utf-8");
}

/* Straight to the client: with TLS through its session. */
static void send_now(struct exchange *x, const char *data, size_t n)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	if (info == NULL || info->tls_session == NULL) {
		(void)!send(x->caller->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		(void)!gnutls_record_send((gnutls_session_t)info->tls_session, data, n);
	}
}

void respond_at_once(struct exchange *x)
{
	struct buf b = BUF_INIT;

	if (x->caller == NULL || x->is_cut || x->stream != NULL) {
		return;
	}
	x->is_cut = true;
	buf_addf(&b, "HTTP/1.1 %u %s\r\nConnection: close\r\n", x->status,
		 MHD_get_reason_phrase_for(x->status));
	for (unsigned i = 0; i < x->n_headers; i++) {
		buf_addf(&b, "%s: %s\r\n", x->headers[i].name, x->headers[i].value);
	}
	buf_addf(&b, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n\r\n",
		 x->out.len);
	if (x->out.len > 0) {
		buf_add(&b, x->out.data, x->out.len);
	}
	send_now(x, b.data, b.len);
	buf_free(&b);
}

/* ---- streams ---- */

/* Copies what is left of the stream's buffer; 0: nothing is. */
static size_t stream_take(struct stream *st, char *data, size_t max)
{
	size_t n = MIN(max, st->out.len - st->n_sent);

	memcpy(data, st->out.data + st->n_sent, n);
	st->n_sent += n;
	if (st->n_sent == st->out.len) {
		buf_clear(&st->out);
		st->n_sent = 0;
	}
	return n;
}

static ssize_t stream_pulled(struct stream *st, char *data, size_t max)
{
	size_t n;

	while ((n = stream_take(st, data, max)) == 0) {
		if (st->is_last) {
			return MHD_CONTENT_READER_END_OF_STREAM;
		}
		st->is_last = !st->pull(st->source.arg, &st->out);
	}
	return (ssize_t)n;
}

static ssize_t stream_read(void *arg, uint64_t pos, char *data, size_t max)
{
	struct stream *st = arg;

	(void)pos;
	if (st->pull != NULL) {
		st->server->n_callbacks++;
		return stream_pulled(st, data, max);
	}
	if (st->exchange == NULL || st->exchange->is_gone) {
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	st->server->n_callbacks++;
	st->exchange->is_resumed = false;
	ssize_t n = st->source.read(st->source.arg, data, max);
	if (n == -1) {
		return MHD_CONTENT_READER_END_OF_STREAM;
	}
	if (n < 0) {
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (n == 0 && !st->exchange->is_resumed) {
		exchange_suspend(st->exchange, WAIT_STREAM);
	}
	return n;
}

static void stream_free(void *arg)
{
	struct stream *st = arg;

	if (st->exchange != NULL) {
		st->exchange->stream = NULL;
	}
	st->source.done(st->source.arg);
	buf_free(&st->out);
	free(st);
}

static void respond_stream(struct exchange *x, int status, const char *content_type,
			   struct stream *st)
{
	uint64_t len = st->source.len < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)st->source.len;

	st->exchange = x;
	st->server = x->server;
	st->out = (struct buf)BUF_INIT;
	x->stream = st;
	respond(x, status,
		MHD_create_response_from_callback(len, STREAM_BLOCK, stream_read, st, stream_free),
		content_type);
}

void respond_pull(struct exchange *x, const char *content_type,
		  bool (*pull)(void *arg, struct buf *out), void (*done)(void *arg), void *arg)
{
	struct stream *st = mem_zalloc(sizeof(*st));

	st->pull = pull;
	st->source = (struct http_stream){ .done = done, .arg = arg, .len = -1 };
	respond_stream(x, 200, content_type, st);
}

void http_respond_stream(struct http_request *r, int status, const char *content_type,
			 const struct http_stream *stream)
{
	struct exchange *x = exchange_of(r);

	if (x->response != NULL) {
		stream->done(stream->arg);
		return;
	}
	struct stream *st = mem_zalloc(sizeof(*st));
	st->source = *stream;
	respond_stream(x, status, content_type, st);
}

/* ---- files ---- */

struct file_part {
	int fd;
	uint64_t offset;
};

static ssize_t file_read_part(void *arg, uint64_t pos, char *data, size_t max)
{
	const struct file_part *f = arg;
	ssize_t n = pread(f->fd, data, max, (off_t)(f->offset + pos));

	return n <= 0 ? MHD_CONTENT_READER_END_WITH_ERROR : n;
}

static void file_part_free(void *arg)
{
	struct file_part *f = arg;

	close(f->fd);
	free(f);
}

void http_respond_fd(struct http_request *r, int status, const char *content_type, int fd,
		     uint64_t offset, uint64_t len)
{
	struct exchange *x = exchange_of(r);

	if (x->response != NULL) {
		close(fd);
		return;
	}
	posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_SEQUENTIAL);
	if (x->server->config.plain_http) { /* then the kernel copies */
		respond(x, status, MHD_create_response_from_fd_at_offset64(len, fd, offset),
			content_type);
		return;
	}
	struct file_part *f = mem_zalloc(sizeof(*f));
	*f = (struct file_part){ .fd = fd, .offset = offset };
	respond(x, status,
		MHD_create_response_from_callback(len, FILE_BLOCK, file_read_part, f,
						  file_part_free),
		content_type);
}

void http_respond_file(struct http_request *r, const char *content_type, int fd, uint64_t size)
{
	uint64_t offset = 0, len = size;
	char text[96];

	http_reply_header(r, "Accept-Ranges", "bytes");
	switch (range_parse(http_header(r, "Range"), size, &offset, &len)) {
	case RANGE_NONE:
		http_respond_fd(r, 200, content_type, fd, 0, size);
		return;
	case RANGE_PART:
		snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)offset,
			 (unsigned long long)(offset + len - 1), (unsigned long long)size);
		http_reply_header(r, "Content-Range", text);
		http_respond_fd(r, 206, content_type, fd, offset, len);
		return;
	case RANGE_INVALID:
		break;
	}
	close(fd);
	snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)size);
	http_reply_header(r, "Content-Range", text);
	http_respond_text(r, 416, "The file has %llu bytes.\n", (unsigned long long)size);
}

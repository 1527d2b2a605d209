/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/switch_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encoding.h"
#include "base/file.h"
#include "base/json.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/socket.h"
#include "base/vec.h"

enum {
	MESSAGE_MAX = 16 << 20,
	FILE_LIMIT = 1 << 30,
	IFACES_MAX = 4096,
	/* Blocks of pcapng. */
	SECTION = 0x0a0d0d0a,
	INTERFACE = 1,
	PACKET = 6,
	NAME = 2,
};

/* ---- asking ---- */

static bool put_number(struct json_object *o, const char *key, const char *text, struct error *e)
{
	uint64_t v;

	if (text == NULL) {
		return true;
	}
	if (!number_u64(text, &v)) {
		return error_set(e, ERROR_INVALID, "--%s: \"%.40s\" is no number", key, text);
	}
	json_put_u64(o, key, v);
	return true;
}

static void put_stages(struct json_object *o, const char *text)
{
	struct json_object *list = json_object_new_array();

	for (const char *at = text; *at != '\0';) {
		size_t n = strcspn(at, ",");
		json_object_array_add(list, json_object_new_string_len(at, (int)n));
		at += n + (at[n] == ',');
	}
	json_put(o, "stages", list);
}

static struct json_object *request_of(const struct switch_capture_options *o, struct error *e)
{
	struct json_object *params = json_object_new_object(), *request;

	if (!put_number(params, "snap", o->snap, e) || !put_number(params, "count", o->count, e)) {
		json_object_put(params);
		return NULL;
	}
	if (o->port != NULL) {
		json_put_str(params, "port", o->port);
	}
	if (o->filter != NULL) {
		json_put_str(params, "filter", o->filter);
	}
	if (o->stages != NULL) {
		put_stages(params, o->stages);
	}
	request = json_object_new_object();
	json_put_str(request, "jsonrpc", "2.0");
	json_put_i64(request, "id", 1);
	json_put_str(request, "method", "plane.capture");
	json_put(request, "params", params);
	return request;
}

static bool send_request(int peer, const struct switch_capture_options *o, struct error *e)
{
	struct json_object *request = request_of(o, e);

	if (request == NULL) {
		return false;
	}
	bool ok = dprintf(peer, "%s\n",
			  json_object_to_json_string_ext(request, JSON_C_TO_STRING_NOSLASHESCAPE)) >
		  0;
	json_object_put(request);
	return ok || error_set(e, ERROR_IO, "the switch does not listen");
}

/* ---- what comes ---- */

static bool write_blocks(FILE *to, const struct json_at *params, struct error *e)
{
	struct buf bytes = BUF_INIT;
	const char *text;

	if (!json_get_str(params, "blocks", &text, e)) {
		return false;
	}
	bool ok = base64_decode(&bytes, text, strlen(text));
	if (!ok) {
		error_set(e, ERROR_INVALID, "the switch sent blocks that are no base64");
	} else if (fwrite(bytes.data, 1, bytes.len, to) != bytes.len || fflush(to) != 0) {
		ok = error_set_sys(e, errno, "what was captured cannot be written");
	}
	buf_free(&bytes);
	return ok;
}

static void print_end(const struct json_at *params)
{
	uint64_t captured = 0, lost = 0;
	struct error e;

	(void)(json_get_u64(params, "captured", &captured, &e) &&
	       json_get_u64(params, "lost", &lost, &e));
	fprintf(stderr, "%llu packets captured, %llu lost\n", (unsigned long long)captured,
		(unsigned long long)lost);
}

/* One message. *is_over: it was the last. */
static bool take_message(const char *line, size_t n, FILE *to, bool *is_over, struct error *e)
{
	struct json_object *o = json_parse(line, n, MESSAGE_MAX, 16, e);
	struct json_at root = json_root(o), part;
	const char *text;
	bool ok = o != NULL;

	if (ok && json_has(&root, "error")) {
		ok = json_get_object(&root, "error", &part, e) &&
		     json_get_str(&part, "message", &text, e) &&
		     error_set(e, ERROR_INVALID, "%s", text);
	} else if (ok && json_has(&root, "method")) {
		ok = json_get_object(&root, "params", &part, e);
		if (ok && json_has(&part, "end")) {
			print_end(&part);
			*is_over = true;
		} else if (ok) {
			ok = write_blocks(to, &part, e);
		}
	}
	json_object_put(o);
	return ok;
}

static bool take_messages(FILE *peer, FILE *to, struct error *e)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	bool ok = true, is_over = false;

	while (ok && !is_over && (n = getline(&line, &room, peer)) > 0) {
		ok = take_message(line, (size_t)n, to, &is_over, e);
	}
	free(line);
	if (ok && !is_over) {
		ok = error_set(e, ERROR_UNREACHABLE, "the switch has gone");
	}
	return ok;
}

bool switch_capture_run(const char *path, const struct switch_capture_options *o, struct error *e)
{
	if (o->write == NULL && isatty(STDOUT_FILENO)) {
		return error_set(e, ERROR_INVALID,
				 "packets are no text: --write FILE, or a pipe such as "
				 "\"| tcpdump -r -\"");
	}
	int fd = socket_connect_unix(path, e);
	if (fd < 0) {
		return false;
	}
	/* What follows waits. */
	FILE *peer =
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0 ? fdopen(fd, "re") : NULL;
	FILE *to = stdout;
	if (peer == NULL) {
		close(fd);
		return error_set_sys(e, errno, "\"%s\"", path);
	}
	if (o->write != NULL) {
		to = fopen(o->write, "wbe");
	}
	bool ok = to != NULL ? send_request(fd, o, e) && take_messages(peer, to, e)
			     : error_set_sys(e, errno, "\"%s\" cannot be written", o->write);
	fclose(peer);
	if (o->write != NULL && to != NULL && fclose(to) != 0 && ok) {
		ok = error_set_sys(e, errno, "\"%s\" cannot be written", o->write);
	}
	return ok;
}

/* ---- finding a packet in a file ---- */

struct reader {
	const char *path;
	const uint8_t *at, *end;
	VEC(char *) ifaces;
	uint64_t n_packets;
};

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The name among an interface's options. */
static char *name_of(const uint8_t *o, const uint8_t *end)
{
	while (end - o >= 4 && get16(o) != 0) {
		size_t n = get16(o + 2), padded = (n + 3) / 4 * 4;
		if (padded > (size_t)(end - o) - 4) {
			break;
		}
		if (get16(o) == NAME) {
			return mem_strndup((const char *)o + 4, n);
		}
		o += 4 + padded;
	}
	return mem_strdup("");
}

/* The next block; its body between *body and *body_end. False: none, or no good. */
static bool next_block(struct reader *r, uint32_t *type, const uint8_t **body,
		       const uint8_t **body_end, struct error *e)
{
	size_t left = (size_t)(r->end - r->at);

	if (left == 0) {
		return error_set(e, ERROR_NOT_FOUND, "\"%s\" has %llu packets", r->path,
				 (unsigned long long)r->n_packets);
	}
	uint32_t n = left < 12 ? 0 : get32(r->at + 4);
	if (n < 12 || n % 4 != 0 || n > left) {
		return error_set(e, ERROR_INVALID,
				 "\"%s\" is no whole pcapng file of this kind of "
				 "machine",
				 r->path);
	}
	*type = get32(r->at);
	*body = r->at + 8;
	*body_end = r->at + n - 4;
	r->at += n;
	return true;
}

static bool take_packet(const struct reader *r, const uint8_t *body, size_t n,
			struct switch_capture_packet *out, struct error *e)
{
	uint32_t iface = n < 20 ? UINT32_MAX : get32(body);

	if (iface >= r->ifaces.n || get32(body + 12) > n - 20) {
		return error_set(e, ERROR_INVALID, "\"%s\": packet %llu is no good", r->path,
				 (unsigned long long)r->n_packets);
	}
	out->port = mem_strdup(r->ifaces.items[iface]);
	out->size = get32(body + 16);
	out->bytes = (struct buf)BUF_INIT;
	buf_add(&out->bytes, body + 20, get32(body + 12));
	return true;
}

static bool find_packet(struct reader *r, uint64_t number, struct switch_capture_packet *out,
			struct error *e)
{
	const uint8_t *body = NULL, *end = NULL;
	uint32_t type = 0;

	while (next_block(r, &type, &body, &end, e)) {
		size_t n = (size_t)(end - body);
		if (type == INTERFACE && n >= 8 && r->ifaces.n < IFACES_MAX) {
			vec_push(&r->ifaces, name_of(body + 8, end));
		}
		if (type == PACKET && ++r->n_packets == number) {
			return take_packet(r, body, n, out, e);
		}
	}
	return false;
}

bool switch_capture_find(const char *path, uint64_t number, struct switch_capture_packet *out,
			 struct error *e)
{
	struct buf text = BUF_INIT;

	if (!file_read(path, FILE_LIMIT, &text, e)) {
		return false;
	}
	struct reader r = { .path = path,
			    .at = (const uint8_t *)text.data,
			    .end = (const uint8_t *)text.data + text.len };
	bool ok = (text.len >= 4 && get32(r.at) == (uint32_t)SECTION) ||
		  error_set(e, ERROR_INVALID, "\"%s\" is no pcapng file", path);
	ok = ok && find_packet(&r, number, out, e);
	vec_each (&r.ifaces, name) {
		free(*name);
	}
	vec_free(&r.ifaces);
	buf_free(&text);
	return ok;
}

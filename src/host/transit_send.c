/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's machine: its guest goes over while it runs.
 *
 *   connect (on a worker) -> machine_send -> stopped: the guest stands -> OFFERED on disk -> the
 *   rest of it, and its connections -> both are over there -> the target is asked to take it
 *   (transit_source.c)
 *
 * Until OFFERED any failure lets the guest run on here, and so does one after it, before `sent`:
 * the target was not asked yet.
 *
 * What can be done before the guest stands is: a connection to the target is open by then, since
 * agreeing on TLS takes longer than all that is said on it.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/plane_connections.h"
#include "host/transit_impl.h"

LOG_MODULE("migration");

enum {
	CONNECT_S = 10,
	CONNECTIONS_LIMIT_MS = 20000,
	CONNECTIONS_MAX = 32 << 20,
	GREETING_EVERY_US = 10 * 1000 * 1000,
	GREETING_LIMIT_MS = 10000,
	ALIVE_AFTER_S = 10,
	ALIVE_EVERY_S = 5,
	SILENT_MS = 20000
};

/* Connections on the way; belongs to the worker, then to the loop. */
struct connecting {
	struct transit *m;
	char *host;
	char stream_port[8], export_port[8];
	char token[TRANSIT_TOKEN_SIZE];
	int stream;
	struct machine_mirror *disks;
	size_t n_disks;
};

/* ---- connections ---- */

void transit_set_up_socket(int fd)
{
	int on = 1, after_s = ALIVE_AFTER_S, every_s = ALIVE_EVERY_S;
	unsigned silent_ms = SILENT_MS;

	if (fd >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof(silent_ms));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &after_s, sizeof(after_s));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	}
}

static int connect_one(const struct addrinfo *a)
{
	struct timeval limit = { .tv_sec = CONNECT_S };
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);

	if (fd < 0) {
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
		int sys = errno;
		close(fd);
		errno = sys;
		return -1;
	}
	transit_set_up_socket(fd);
	limit.tv_sec = 0;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

static int connect_to(const char *host, const char *port, struct error *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	int fd = -1, rc = getaddrinfo(host, port, &hints, &list);

	if (rc != 0) {
		error_set(e, ERROR_UNREACHABLE, "\"%.100s\": %s", host, gai_strerror(rc));
		return -1;
	}
	for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
		fd = connect_one(a);
	}
	if (fd < 0) {
		error_set(e, ERROR_UNREACHABLE, "\"%.100s\" port %s: %s", host, port,
			  strerror(errno));
	}
	freeaddrinfo(list);
	return fd;
}

static bool connect_run(void *data, struct progress *p, struct error *e)
{
	struct connecting *x = data;

	(void)p;
	x->stream = connect_to(x->host, x->stream_port, e);
	if (x->stream < 0 ||
	    !file_write_all(x->stream, x->token, sizeof(x->token) - 1, "the stream", e)) {
		return false;
	}
	for (size_t i = 0; i < x->n_disks; i++) {
		x->disks[i].fd = connect_to(x->host, x->export_port, e);
		if (x->disks[i].fd < 0) {
			return false;
		}
	}
	return true;
}

static void connecting_free(struct connecting *x)
{
	if (x->stream >= 0) {
		close(x->stream);
	}
	for (size_t i = 0; i < x->n_disks; i++) {
		if (x->disks[i].fd >= 0) {
			close(x->disks[i].fd);
		}
	}
	free(x->disks);
	free(x->host);
	free(x);
}

/* ---- what the machine says ---- */

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct transit *m = arg;
	uint64_t was = m->bytes_total == 0 ? 0 : m->bytes_done * 100 / m->bytes_total;

	m->bytes_done = done;
	m->bytes_total = total;
	if (total != 0 && done * 100 / total != was) {
		transit_changed(m);
	}
}

static void ask_when_over(struct transit *m)
{
	if (m->is_sent && m->peer != NULL && m->request == NULL && m->carrying == NULL) {
		transit_source_ask(m);
	}
}

static void connections_sent(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct transit *m = arg;

	m->carrying = NULL;
	if (m->peer == NULL || transit_has_ended(m)) {
		return;
	}
	if (answer == NULL || answer->status != 200) {
		log_warn("connections of \"%s\" did not go with it: %s", m->name,
			 answer == NULL ? e->msg : answer->body);
	}
	ask_when_over(m);
}

static void exported(void *arg, struct json_object *document, const struct error *e)
{
	struct transit *m = arg;
	struct buf body = BUF_INIT;
	char path[160];

	m->is_busy = false;
	if (m->peer == NULL || transit_has_ended(m)) {
		return;
	}
	if (document == NULL) {
		log_warn("connections of \"%s\" do not go with it: %s", m->name, e->msg);
		transit_source_offer(m);
		return;
	}
	json_add_text(&body, document);
	snprintf(path, sizeof(path), "/remora/v1/migrating/%s/connections", m->id);
	m->carrying = peer_send(m->peer, &(struct peer_order){ .method = "PUT",
							       .path = path,
							       .content_type = "application/json",
							       .body = &body,
							       .timeout_ms = CONNECTIONS_LIMIT_MS,
							       .done = connections_sent,
							       .arg = m });
	buf_free(&body);
	transit_source_offer(m);
}

static void on_stands(void *arg)
{
	struct transit *m = arg;

	m->stopped_us = m->stopped_us != 0 ? m->stopped_us : clock_mono_us(m->all->host->clock);
}

static void on_stopped(void *arg)
{
	struct transit *m = arg;
	size_t n;

	if (m->peer == NULL || transit_has_ended(m)) {
		return; /* the host ends */
	}
	on_stands(m);
	transit_set_state(m, TRANSIT_SWITCHING);
	if (m->all->host->plane == NULL || m->is_cancelling) {
		transit_source_offer(m);
		return;
	}
	const char *const *ports = transit_ports(m, &n);
	m->is_busy = true;
	host_plane_export_connections(m->all->host, ports, n, exported, m);
}

static void on_sent(void *arg)
{
	struct transit *m = arg;

	m->is_sent = true;
	ask_when_over(m);
}

static void on_failed(void *arg, const struct error *e)
{
	transit_source_failed(arg, e);
}

static const struct machine_send_listener send_listener = {
	.progress = on_progress,
	.stands = on_stands,
	.stopped = on_stopped,
	.sent = on_sent,
	.failed = on_failed,
};

static void begin(struct transit *m, struct connecting *x)
{
	struct machine_outgoing out = {
		.tls = { .certificate = m->identity.certificate,
			 .key = m->identity.key,
			 .peer = m->issuer,
			 .peer_name = transit_peer_name(m, false) },
		.stream_fd = x->stream,
		.disks = x->disks,
		.n_disks = x->n_disks,
	};
	struct error e = { 0 };

	if (!machine_send(m->entity->machine, &out, &send_listener, m, &e)) {
		transit_source_failed(m, &e);
	}
}

static void connected(void *arg, const struct error *e)
{
	struct connecting *x = arg;
	struct transit *m = x->m;
	struct error why = { 0 };

	m->is_busy = false;
	if (m->peer == NULL || transit_has_ended(m)) {
		connecting_free(x);
		return;
	}
	if (m->is_cancelling || m->entity->machine == NULL) {
		error_set(&why, ERROR_CANCELED, "its guest has ended");
		e = &why;
	}
	if (e != NULL) {
		transit_source_failed(m, e);
	} else {
		begin(m, x);
	}
	connecting_free(x);
}

/* ---- start, cancel ---- */

static void greeted(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct transit *m = arg;

	(void)answer;
	m->greeting = NULL;
	if (e != NULL && m->peer != NULL) {
		log_debug("migration %s: the target does not answer: %s", m->id, e->msg);
	}
}

void transit_send_tick(struct transit *m)
{
	int64_t now = clock_mono_us(m->all->host->clock);
	char path[160];

	if (m->peer == NULL || m->greeting != NULL || m->state != TRANSIT_COPYING ||
	    (m->greeted_us != 0 && now - m->greeted_us < GREETING_EVERY_US)) {
		return;
	}
	m->greeted_us = now;
	snprintf(path, sizeof(path), "/remora/v1/migrating/%s", m->id);
	m->greeting = peer_send(m->peer, &(struct peer_order){ .method = "GET",
							       .path = path,
							       .timeout_ms = GREETING_LIMIT_MS,
							       .done = greeted,
							       .arg = m });
}

static bool read_port(const struct json_at *ticket, const char *key, char out[8], struct error *e)
{
	uint32_t port;

	if (!json_get_u32(ticket, key, &port, e)) {
		return false;
	}
	if (port > 65535) {
		return error_set(e, ERROR_INVALID, "\"%s\" is %u, which is no port", key, port);
	}
	snprintf(out, 8, "%u", port);
	return true;
}

bool transit_send_start(struct transit *m, const struct json_at *ticket,
			struct transit_refusal *why)
{
	struct connecting *x = mem_zalloc(sizeof(*x));
	const char *host, *issuer;
	struct error e = { 0 };

	x->m = m;
	x->stream = -1;
	if (!json_get_str(ticket, "host", &host, &e) ||
	    !json_get_str(ticket, "issuer", &issuer, &e) ||
	    !transit_certificate_check(issuer, &e) ||
	    !read_port(ticket, "stream_port", x->stream_port, &e) ||
	    !read_port(ticket, "export_port", x->export_port, &e)) {
		connecting_free(x);
		return transit_refuse_error(why, "ticket", &e);
	}
	x->host = mem_strdup(host);
	free(m->issuer);
	m->issuer = mem_strdup(issuer);
	memcpy(x->token, m->token, sizeof(x->token));
	x->disks = mem_calloc(m->n_items + 1, sizeof(*x->disks));
	for (size_t i = 0; i < m->n_items; i++) {
		if (m->items[i].disk != 0) {
			x->disks[x->n_disks++] =
				(struct machine_mirror){ .key = m->items[i].disk, .fd = -1 };
		}
	}
	m->is_busy = true;
	transit_set_state(m, TRANSIT_COPYING);
	transit_send_tick(m);
	struct job_work work = { .run = connect_run, .data = x };
	struct job_handler h = { .loop = m->all->host->loop, .done = connected, .arg = x };
	job_start(&h, &work);
	return true;
}

void transit_send_cancel(struct transit *m)
{
	struct machine *machine = m->entity->machine;

	if (machine != NULL && machine_state(machine) == MACHINE_SENDING) {
		machine_send_cancel(machine, NULL);
	}
}

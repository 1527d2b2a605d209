/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd runs in its external mode: its epoll descriptor stands in the loop's, and
 * server_run() lets it work whenever that is readable. The descriptor is edge-triggered inside, so
 * server_run() goes on until MHD_get_timeout() is no longer 0 (or others have waited long enough).
 *
 * libmicrohttpd 0.9.75 says 0 also where only the client can go on: during a TLS handshake, and for
 * ever when a request line does not fit its buffer. So without progress (a callback) server_run()
 * soon pauses, longer each time; what a client sends wakes it anyhow.
 *
 * Nor does it go on when all requests are answered: it would only learn from each socket that there
 * is nothing to read. A client that sent its next request along with the last is answered REST_MS
 * later.
 */
#include "vim/server.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/socket.h"
#include "vim/caller.h"
#include "vim/exchange.h"
#include "vim/http_text.h"
#include "vim/server_metrics.h"

LOG_MODULE("server");

enum {
	RUNS_MAX = 16,	      /* of libmicrohttpd, before others have their turn */
	TIMER_MS = 2000,      /* at least so often */
	IDLE_S = 900,	      /* a kept-alive connection is closed after */
	FIRST_REQUEST_S = 60, /* a new one without a whole request */
	SILENT_MAX = 256,     /* when more have not even begun one */
	SILENT_S = 5,
	STALE_MAX = 5, /* whole heads are read in fewer runs, see READ_STEP */
	STALE_SENDING_MAX = 64,
	REST_MS = 5, /* when all is answered, see server_run() */
	PAUSE_MAX_MS = 1024,
	STOP_MS = 1000,
	BACKLOG = 1024,
	PER_ADDRESS_MAX = 1024,
	PEM_LIMIT = 1 << 16,
	READ_STEP = 8 << 10 /* by so much a buffer grows; all of a head is at most 32 KiB */
};

static const char tls_priorities[] =
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"
	"+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"
	"%SERVER_PRECEDENCE";

/* ---- connections ---- */

/* On the listening socket: connections inherit it. */
static void socket_keep_alive(int fd)
{
	const int on = 1, idle_s = 60, interval_s = 15, n = 4;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &n, sizeof(n));
}

static void connection_notify(void *arg, struct MHD_Connection *connection, void **context,
			      enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = caller_new(arg, connection);
	} else {
		caller_free(*context);
		*context = NULL;
	}
}

/* Ends connections that have not brought a whole request for too long; sooner when there are many.
 */
static void server_sweep(struct server *s)
{
	int64_t now = clock_mono_us(clock_real());
	int64_t limit_s = s->n_silent > SILENT_MAX ? SILENT_S : FIRST_REQUEST_S;

	list_each (struct caller, p, &s->young, link) {
		if (now - p->since_us < limit_s * 1000000) {
			break;
		}
		shutdown(p->fd, SHUT_RDWR); /* libmicrohttpd sees the end and closes */
	}
}

/* ---- the loop ---- */

static void again_fired(uv_timer_t *timer)
{
	server_run(timer->data);
}

static void timer_fired(uv_timer_t *timer)
{
	struct server *s = timer->data;

	server_sweep(s);
	exchange_sweep(s);
	linger_sweep(&s->lingering);
	server_run(s);
}

static void poll_fired(uv_poll_t *poll, int status, int events)
{
	struct server *s = poll->data;

	(void)status;
	(void)events;
	s->n_stale = 0;
	server_run(s);
}

/*
 * How often libmicrohttpd is run again without sign of progress. It sends a large answer without
 * telling anybody, 16 KiB a time, so that while one is being sent it gets more.
 */
static unsigned server_stale_max(const struct server *s)
{
	return s->n_sending > 0 ? STALE_SENDING_MAX : STALE_MAX;
}

/* Until when to leave it alone, as it says that it is busy but gets nowhere. */
static unsigned server_pause(struct server *s)
{
	unsigned ms = s->n_sending > 0 ? 1 : s->pause_ms;

	s->n_stale = 0;
	s->pause_ms = MIN(s->pause_ms * 2, (unsigned)PAUSE_MAX_MS);
	return ms;
}

static void server_progress(struct server *s)
{
	s->n_stale = 0;
	s->pause_ms = 1;
}

void server_run(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG wait_ms = 0;

	for (int i = 0; i < RUNS_MAX; i++) {
		uint64_t before = s->n_callbacks;
		MHD_run(s->daemon);
		callers_release(s);
		bool has_timeout = MHD_get_timeout(s->daemon, &wait_ms) == MHD_YES;
		bool is_busy = has_timeout && wait_ms == 0;
		if (s->n_callbacks != before || !is_busy) {
			server_progress(s);
		}
		if (!has_timeout) {
			return;
		}
		if (!is_busy) {
			break;
		}
		if (s->n_callbacks != before && s->n_running == 0 && s->n_ahead == 0) {
			wait_ms = REST_MS;
			break;
		}
		if (s->n_callbacks == before && ++s->n_stale >= server_stale_max(s)) {
			wait_ms = server_pause(s);
			break;
		}
	}
	if (wait_ms < TIMER_MS) {
		uv_timer_start(&s->again, again_fired, wait_ms, 0);
	}
}

void server_wake(struct server *s)
{
	uv_timer_start(&s->again, again_fired, 0, 0);
}

/* ---- routes ---- */

void server_route(struct server *s, const struct http_route *route)
{
	assert(s->n_routes < SERVER_ROUTES_MAX);
	s->routes[s->n_routes++] = *route;
}

/* The prefix ends where a component of the path ends. */
const struct http_route *server_find_route(const struct server *s, const char *path)
{
	const struct http_route *best = NULL;
	size_t best_len = 0;

	for (unsigned i = 0; i < s->n_routes; i++) {
		const struct http_route *r = &s->routes[i];
		size_t n = strlen(r->prefix);
		bool fits = strncmp(path, r->prefix, n) == 0 &&
			    (path[n] == '\0' || path[n] == '/' || (n > 0 && path[n - 1] == '/'));
		if (fits && (best == NULL || n > best_len)) {
			best = r;
			best_len = n;
		}
	}
	return best;
}

/* ---- starting ---- */

static size_t unescape(void *arg, struct MHD_Connection *connection, char *s)
{
	(void)arg;
	(void)connection;
	return percent_decode(s);
}

static bool address_is_loopback(const char *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	return (uv_ip4_addr(address, 0, &v4) == 0 && ntohl(v4.sin_addr.s_addr) >> 24 == 127) ||
	       (uv_ip6_addr(address, 0, &v6) == 0 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr));
}

static int listen_open(struct server *s, struct error *e)
{
	const struct server_config *config = &s->config;

	s->is_loopback = address_is_loopback(config->address);
	if (config->plain_http && !s->is_loopback) {
		error_set(e, ERROR_INVALID, "HTTP without TLS is for loopback only, not for \"%s\"",
			  config->address);
		return -1;
	}
	int fd = socket_listen_tcp(config->address, config->port, BACKLOG, e);
	if (fd >= 0) {
		socket_keep_alive(fd);
		s->port = socket_port(fd);
	}
	return fd;
}

/* Key and certificate; they are copied by libmicrohttpd. */
struct pem {
	struct buf cert, key;
};

static bool tls_open(struct server *s, struct pem *pem, struct error *e)
{
	if (s->config.plain_http) {
		return true;
	}
	if (!file_read(s->config.cert_path, PEM_LIMIT, &pem->cert, e) ||
	    !file_read(s->config.key_path, PEM_LIMIT, &pem->key, e)) {
		return false;
	}
	gnutls_datum_t *key = mem_zalloc(sizeof(*key));
	s->ticket_key = key;
	if (gnutls_session_ticket_key_generate(key) != 0) {
		return error_set(e, ERROR_INTERNAL, "cannot make a key for TLS session tickets");
	}
	return true;
}

static struct MHD_Daemon *daemon_start(struct server *s, int fd, const struct pem *pem)
{
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO |
			 (s->config.plain_http ? 0 : MHD_USE_TLS);
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, pem->cert.data },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, pem->key.data },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem plain[] = { { MHD_OPTION_END, 0, NULL } };

	return MHD_start_daemon(
		flags, 0, NULL, NULL, exchange_step, s, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)SERVER_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)READ_STEP,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned)(s->is_loopback ? 0 : PER_ADDRESS_MAX), MHD_OPTION_NOTIFY_COMPLETED,
		exchange_finished, s, MHD_OPTION_NOTIFY_CONNECTION, connection_notify, s,
		MHD_OPTION_URI_LOG_CALLBACK, exchange_new, s, MHD_OPTION_UNESCAPE_CALLBACK,
		unescape, s, MHD_OPTION_ARRAY, s->config.plain_http ? plain : tls, MHD_OPTION_END);
}

static void loop_attach(struct server *s)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);

	s->n_handles = 3;
	uv_poll_init(s->config.loop, &s->poll, info->epoll_fd);
	uv_timer_init(s->config.loop, &s->timer);
	uv_timer_init(s->config.loop, &s->again);
	s->poll.data = s->timer.data = s->again.data = s;
	uv_poll_start(&s->poll, UV_READABLE, poll_fired);
	uv_timer_start(&s->timer, timer_fired, TIMER_MS, TIMER_MS);
}

static void server_dispose(struct server *s)
{
	gnutls_datum_t *key = s->ticket_key;

	if (key != NULL) {
		gnutls_memset(key->data, 0, key->size);
		gnutls_free(key->data);
		free(key);
	}
	list_each_safe (struct exchange, x, &s->idle, link) {
		exchange_dispose(x);
	}
	free(s);
}

struct server *server_new(const struct server_config *config, struct error *e)
{
	struct server *s = mem_zalloc(sizeof(*s));
	struct pem pem = { BUF_INIT, BUF_INIT };

	signal(SIGPIPE, SIG_IGN);
	s->config = *config;
	s->pause_ms = 1;
	list_init(&s->exchanges);
	list_init(&s->idle);
	list_init(&s->young);
	list_init(&s->held);
	linger_init(&s->lingering);
	int fd = listen_open(s, e);
	if (fd >= 0 && tls_open(s, &pem, e)) {
		s->daemon = daemon_start(s, fd, &pem);
		if (s->daemon == NULL) {
			error_set(e, ERROR_INVALID,
				  "the HTTP server does not start with the certificate \"%s\"",
				  config->cert_path == NULL ? "" : config->cert_path);
		}
	}
	if (pem.key.len > 0) {
		gnutls_memset(pem.key.data, 0, pem.key.len);
	}
	buf_free(&pem.cert);
	buf_free(&pem.key);
	if (s->daemon == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		server_dispose(s);
		return NULL;
	}
	loop_attach(s);
	s->metrics = server_metrics_new(s, config, s->is_loopback);
	log_info("serving on %s port %u", config->address, s->port);
	return s;
}

uint16_t server_port(const struct server *s)
{
	return s->port;
}

/* ---- stopping ---- */

static void handle_closed(uv_handle_t *handle)
{
	struct server *s = handle->data;

	if (--s->n_handles == 0) {
		server_dispose(s);
	}
}

/* Requests that wait for something get no answer any more; those being sent go on. */
static void exchanges_abandon(struct server *s)
{
	list_each_safe (struct exchange, x, &s->exchanges, link) {
		if (x->wait != WAIT_NOTHING) {
			exchange_abandon(x);
		}
	}
}

void server_extend_metrics(struct server *s,
			   void (*ask)(void *arg, void (*done)(void *ctx, const char *text),
				       void *ctx),
			   void *arg)
{
	server_metrics_extend(s->metrics, ask, arg);
}

void server_free(struct server *s)
{
	if (s == NULL) {
		return;
	}
	s->is_stopping = true;
	int listener = MHD_quiesce_daemon(s->daemon);
	exchanges_abandon(s);
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd poll_fd = { .fd = info->epoll_fd, .events = POLLIN };
	int64_t end_us = clock_mono_us(clock_real()) + STOP_MS * INT64_C(1000);
	MHD_run(s->daemon);
	while (!list_is_empty(&s->exchanges) && clock_mono_us(clock_real()) < end_us) {
		poll(&poll_fd, 1, 20);
		exchanges_abandon(s);
		MHD_run(s->daemon);
	}
	linger_end(&s->lingering);
	uv_poll_stop(&s->poll);
	MHD_stop_daemon(s->daemon);
	if (listener >= 0) {
		close(listener);
	}
	server_metrics_free(s->metrics);
	uv_close((uv_handle_t *)&s->poll, handle_closed);
	uv_close((uv_handle_t *)&s->timer, handle_closed);
	uv_close((uv_handle_t *)&s->again, handle_closed);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/caller.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>

#include "base/address.h"
#include "base/log.h"
#include "base/mem.h"

LOG_MODULE("server");

enum {
	HOLD_MAX = 12 << 10 /* with its head, a body of this size fits into a TLS record */
};

/* ---- receiving ---- */

/* For GnuTLS. libmicrohttpd reads on until it is told EAGAIN, so nothing is forgotten here. */
static ssize_t caller_pull(gnutls_transport_ptr_t arg, void *data, size_t n)
{
	struct caller *p = arg;

	if (p->ahead_n == 0) {
		bool is_large = n >= sizeof(p->ahead);
		ssize_t got =
			recv(p->fd, is_large ? data : p->ahead, is_large ? n : sizeof(p->ahead), 0);
		if (got <= 0 || is_large) {
			return got;
		}
		p->ahead_at = 0;
		p->ahead_n = (uint16_t)got;
		p->server->n_ahead++;
	}
	n = MIN(n, p->ahead_n);
	memcpy(data, p->ahead + p->ahead_at, n);
	p->ahead_at = (uint16_t)(p->ahead_at + n);
	p->ahead_n = (uint16_t)(p->ahead_n - n);
	p->server->n_ahead -= p->ahead_n == 0 ? 1 : 0;
	return (ssize_t)n;
}

/* Is there anything to pull within so many milliseconds? */
static int caller_wait(gnutls_transport_ptr_t arg, unsigned ms)
{
	struct caller *p = arg;
	struct pollfd look = { .fd = p->fd, .events = POLLIN };

	return p->ahead_n > 0 ? 1 : poll(&look, 1, (int)MIN(ms, 1000U));
}

/* ---- sending ---- */

void caller_hold(struct caller *p, size_t n)
{
	if (p->tls != NULL && n <= HOLD_MAX && !list_is_linked(&p->held)) {
		gnutls_record_cork(p->tls);
		list_push_back(&p->server->held, &p->held);
	}
}

/*
 * libmicrohttpd corks the socket before it sends the head of an answer that is to leave at once
 * with its body, and pushes both out after the body; by then GnuTLS has sent neither. It does so
 * once, as it believes the socket corked from then on.
 */
static void caller_uncork(struct caller *p)
{
	const int off = 0;
	int is_corked = 0;
	socklen_t len = sizeof(is_corked);

	if (!p->is_uncorked && getsockopt(p->fd, IPPROTO_TCP, TCP_CORK, &is_corked, &len) == 0 &&
	    is_corked != 0) {
		setsockopt(p->fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
		p->is_uncorked = true;
	}
}

/*
 * There is room for a small answer in the socket unless the client sends requests without reading
 * what it gets. Nothing could be said to it any more, so it goes; the end is libmicrohttpd's to
 * see.
 */
static void caller_release(struct caller *p)
{
	list_remove(&p->held);
	caller_uncork(p);
	int n = gnutls_record_uncork(p->tls, 0);
	if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
		log_limited_info("closed the connection of %s, which does not read its answers",
				 p->name);
	}
	if (n < 0) {
		shutdown(p->fd, SHUT_RDWR);
	}
}

void callers_release(struct server *s)
{
	list_each_safe (struct caller, p, &s->held, held) {
		caller_release(p);
	}
}

/* ---- beginning and end ---- */

static void caller_attach(struct caller *p)
{
	gnutls_session_ticket_enable_server(p->tls, p->server->ticket_key);
	gnutls_transport_set_ptr2(p->tls, p, (gnutls_transport_ptr_t)(intptr_t)p->fd);
	gnutls_transport_set_pull_function(p->tls, caller_pull);
	gnutls_transport_set_pull_timeout_function(p->tls, caller_wait);
}

struct caller *caller_new(struct server *s, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info;
	struct caller *p = mem_zalloc(sizeof(*p));

	p->server = s;
	p->since_us = clock_mono_us(clock_real());
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	p->fd = info->connect_fd;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	address_name(info->client_addr, p->name);
	if (s->ticket_key != NULL) {
		info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
		p->tls = (gnutls_session_t)info->tls_session;
		caller_attach(p);
	}
	list_push_back(&s->young, &p->link);
	p->is_silent = true;
	s->n_silent++;
	return p;
}

void caller_free(struct caller *p)
{
	if (p == NULL) {
		return;
	}
	p->server->n_silent -= p->is_silent ? 1 : 0;
	p->server->n_ahead -= p->ahead_n > 0 ? 1 : 0;
	list_remove(&p->link);
	list_remove(&p->held);
	free(p);
}

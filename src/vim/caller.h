/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection, between libmicrohttpd and GnuTLS: for server.c and exchange.c only.
 *
 * libmicrohttpd owns the connection, this stands by it (as its socket context) from its start to
 * its end. It reads ahead what TLS asks for in small pieces, and lets an answer's head and body
 * leave in one TLS record. Event-loop thread only.
 */
#ifndef VIM_CALLER_H
#define VIM_CALLER_H

#include "vim/exchange.h"

struct caller {
	struct list_node link; /* in server->young until its first request is complete */
	struct server *server;
	int fd;
	bool is_silent; /* no request has begun: perhaps still in the TLS handshake */
	int64_t since_us;
	char name[INET6_ADDRSTRLEN];
	struct gnutls_session_int *tls; /* GnuTLS's gnutls_session_t; NULL: plain HTTP */
	struct list_node held;		/* in server->held: GnuTLS is told to wait for more */
	bool is_uncorked;		/* TCP_CORK was found set and is not any more */
	/* Bytes that came with what TLS asked for: it asks for five, then for the rest. */
	uint16_t ahead_at, ahead_n;
	char ahead[2048];
};

struct caller *caller_new(struct server *s, struct MHD_Connection *connection);
void caller_free(struct caller *p); /* NULL: nothing */

/*
 * The next answer has a body of n bytes: if that is small, it leaves with callers_release(), head
 * and body together. The connection must stay open after it.
 */
void caller_hold(struct caller *p, size_t n);

/* Sends what is held. To be called after libmicrohttpd was run. */
void callers_release(struct server *s);

#endif

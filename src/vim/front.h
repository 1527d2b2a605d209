/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node shows to the world: the HTTPS server at the port it got, with the certificate of its
 * state folder. Loop thread only.
 */
#ifndef VIM_FRONT_H
#define VIM_FRONT_H

#include "vim/server.h"

struct front_config {
	uv_loop_t *loop;
	const char *cert_path; /* see certificate.h; made where there is none */
	const char *key_path;
	const char *name;    /* the node's */
	const char *address; /* numeric */
	uint16_t port;	     /* 0: any; 443: or 8443 where this process cannot have it */
	struct service *service;
	struct session_manager *sessions;
};

/* The server, to be freed with server_free(); logs where it serves and the thumbprints. */
struct server *front_open(const struct front_config *c, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics of a server, and the figures of the API engine in it. For server.c only. */
#ifndef VIM_SERVER_METRICS_H
#define VIM_SERVER_METRICS_H

#include "vim/server.h"

struct server_metrics;
/* Adds the route. Readable without a session only on loopback. */
struct server_metrics *server_metrics_new(struct server *s, const struct server_config *config,
					  bool is_loopback);
/* server_extend_metrics() */
void server_metrics_extend(struct server_metrics *m,
			   void (*ask)(void *arg, void (*done)(void *ctx, const char *text),
				       void *ctx),
			   void *arg);
void server_metrics_free(struct server_metrics *m);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's multi interface on a uv loop: watches curl's sockets and its timer. For peer.c only.
 * The owner makes and frees it on the loop's thread.
 */
#ifndef VIM_PEER_LOOP_H
#define VIM_PEER_LOOP_H

#include <curl/curl.h>
#include <uv.h>

struct peer_loop;

/* ended(arg, easy, result) for each transfer that is over, outside of curl's own callbacks. */
struct peer_loop *peer_loop_new(uv_loop_t *loop,
				void (*ended)(void *arg, CURL *easy, CURLcode result), void *arg);
CURLM *peer_loop_multi(struct peer_loop *l);
/* All easy handles have been removed. Allowed within ended(). */
void peer_loop_free(struct peer_loop *l);

#endif

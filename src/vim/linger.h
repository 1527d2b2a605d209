/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that were answered before the client had sent its whole request. Closing them at once
 * would make the kernel answer what still comes with a reset, and the client would lose the answer
 * over it. So what comes is thrown away for a while: until the client closes, is silent for some
 * seconds, or the time is over. Never are more than LINGER_MAX kept; the oldest go first.
 *
 * Each has a descriptor of its own for the socket: the HTTP server closes its own when it likes.
 * One thread, the loop's.
 */
#ifndef VIM_LINGER_H
#define VIM_LINGER_H

#include <uv.h>

#include "base/list.h"

enum {
	LINGER_MAX = 64,
	LINGER_S = 60,	       /* in all */
	LINGER_SILENT_S = 5,   /* without a byte */
	LINGER_TURN = 4 << 20, /* bytes thrown away before others have their turn */
};

struct linger_list {
	struct list items; /* oldest first */
	unsigned n;
};

void linger_init(struct linger_list *l);
/* fd is not taken; nothing happens where it cannot be watched. */
void linger_add(struct linger_list *l, uv_loop_t *loop, int fd);
/* Ends those whose time is over; now and then. */
void linger_sweep(struct linger_list *l);
/* Ends all. Their memory goes in the loop's next turn. */
void linger_end(struct linger_list *l);

#endif

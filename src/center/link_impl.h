/* SPDX-License-Identifier: Apache-2.0 */
/* What kinds of links implement; everyone else includes link.h. */
#pragma once

#include "center/link.h"

struct link_ops {
	void (*free)(struct link *l);
	void (*open)(struct link *l);
	void (*close)(struct link *l);
	void (*call)(struct link *l, const struct value *self, uint16_t method,
		     const struct value *args, link_done_fn *done, void *arg);
	void (*settle)(struct link *l, void (*fn)(void *arg), void *arg);
	void (*watch_task)(struct link *l, const struct value *task);	/* may be NULL */
	void (*unwatch_task)(struct link *l, const struct value *task); /* may be NULL */
	const struct value *(*content)(const struct link *l, struct arena *a);
	struct client *(*client)(const struct link *l); /* may be NULL */
};

enum link_state {
	LINK_CLOSED,
	LINK_OPENING,
	LINK_UP
};

/* First member of each kind. */
struct link {
	const struct link_ops *ops;
	struct link_listener listener;
	struct inventory *inventory;
	enum link_state state;
	int32_t last_event;
};

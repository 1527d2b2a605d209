/* SPDX-License-Identifier: Apache-2.0 */
#include "center/link.h"

#include "center/link_impl.h"

void link_free(struct link *l)
{
	if (l != NULL) {
		l->ops->close(l);
		l->ops->free(l);
	}
}

void link_open(struct link *l)
{
	if (l->state == LINK_CLOSED) {
		l->state = LINK_OPENING;
		l->ops->open(l);
	}
}

void link_close(struct link *l)
{
	if (l->state != LINK_CLOSED) {
		l->state = LINK_CLOSED;
		l->ops->close(l);
	}
}

bool link_is_up(const struct link *l)
{
	return l->state == LINK_UP;
}

struct inventory *link_inventory(const struct link *l)
{
	return l->inventory;
}

void link_call(struct link *l, const struct value *self, uint16_t method, const struct value *args,
	       link_done_fn *done, void *arg)
{
	if (l->state != LINK_UP) {
		done(arg,
		     &(struct link_answer){ .lost = true, .text = "the host is not connected" });
		return;
	}
	l->ops->call(l, self, method, args, done, arg);
}

void link_settle(struct link *l, void (*fn)(void *arg), void *arg)
{
	if (l->state != LINK_UP) {
		fn(arg);
		return;
	}
	l->ops->settle(l, fn, arg);
}

void link_watch_task(struct link *l, const struct value *task)
{
	if (l->state == LINK_UP && l->ops->watch_task != NULL) {
		l->ops->watch_task(l, task);
	}
}

void link_unwatch_task(struct link *l, const struct value *task)
{
	if (l->state == LINK_UP && l->ops->unwatch_task != NULL) {
		l->ops->unwatch_task(l, task);
	}
}

void link_set_last_event(struct link *l, int32_t key)
{
	l->last_event = key;
}

struct client *link_client(const struct link *l)
{
	return l->ops->client == NULL ? NULL : l->ops->client(l);
}

const struct value *link_content(const struct link *l, struct arena *a)
{
	return l->ops->content(l, a);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A host in the same process: its inventory is read where it is, its methods are called directly.
 */
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "center/link_impl.h"

struct link_local {
	struct link base;
	struct session *session;
	struct event_manager *events;
	struct list calls; /* struct local_call, under way */
};

struct local_call {
	struct list_node link;
	link_done_fn *done; /* NULL: ended as lost, the answer does not matter any more */
	void *arg;
};

static struct link_local *local_of(struct link *l)
{
	return CONTAINER_OF(l, struct link_local, base);
}

static void local_open(struct link *l)
{
	l->state = LINK_UP;
	l->listener.up(l->listener.arg);
}

static void local_close(struct link *l)
{
	struct link_local *local = local_of(l);
	struct list_node *n;

	l->state = LINK_CLOSED;
	while ((n = list_pop_front(&local->calls)) != NULL) {
		struct local_call *call = CONTAINER_OF(n, struct local_call, link);
		link_done_fn *done = call->done;
		call->done = NULL;
		done(call->arg,
		     &(struct link_answer){ .lost = true, .text = "the host was disconnected" });
	}
}

static void local_free(struct link *l)
{
	struct link_local *local = local_of(l);

	if (local->events != NULL) {
		event_unlisten(local->events, l);
	}
	free(local);
}

static void call_done(void *arg, const struct value *result, const struct value *fault,
		      const char *text)
{
	struct local_call *call = arg;

	if (call->done != NULL) {
		list_remove(&call->link);
		call->done(call->arg, &(struct link_answer){ .result = result,
							     .fault = fault,
							     .text = text == NULL ? "" : text });
	}
	free(call);
}

static void local_call(struct link *l, const struct value *self, uint16_t method,
		       const struct value *args, link_done_fn *done, void *arg)
{
	struct link_local *local = local_of(l);
	struct object *o = inventory_find_ref(l->inventory, self);

	if (o == NULL) {
		struct arena *a = arena_new(0);
		struct value *fault = value_new(a, T_ManagedObjectNotFound);
		value_set(a, fault, F_ManagedObjectNotFound_obj, self);
		done(arg,
		     &(struct link_answer){ .fault = fault,
					    .text = "The object is not on the host any more" });
		arena_free(a);
		return;
	}
	struct local_call *call = mem_zalloc(sizeof(*call));
	call->done = done;
	call->arg = arg;
	list_push_back(&local->calls, &call->link);
	service_call(local->session, o, method, args, call_done, call);
}

/* What there is, is shown already. */
static void local_watch_task(struct link *l, const struct value *task)
{
	if (inventory_find_ref(l->inventory, task) == NULL && l->listener.task_gone != NULL) {
		l->listener.task_gone(l->listener.arg, task);
	}
}

static void local_settle(struct link *l, void (*fn)(void *arg), void *arg)
{
	inventory_publish(l->inventory);
	fn(arg);
}

static const struct value *local_content(const struct link *l, struct arena *a)
{
	struct object *o = inventory_find(l->inventory, "ServiceInstance");

	return o == NULL ? NULL : object_get(o, P_ServiceInstance_content, a);
}

static void on_event(void *arg, const struct value *event)
{
	struct link *l = arg;

	if (l->state == LINK_UP && l->listener.event != NULL) {
		l->listener.event(l->listener.arg, event);
	}
}

static const struct link_ops local_ops = {
	.free = local_free,
	.open = local_open,
	.close = local_close,
	.call = local_call,
	.settle = local_settle,
	.watch_task = local_watch_task,
	.content = local_content,
};

struct link *link_local_new(const struct link_local_config *config,
			    const struct link_listener *listener)
{
	struct link_local *local = mem_zalloc(sizeof(*local));

	local->base = (struct link){
		.ops = &local_ops,
		.listener = *listener,
		.inventory = config->inventory,
	};
	local->session = config->session;
	local->events = config->events;
	list_init(&local->calls);
	if (config->events != NULL) {
		event_listen(config->events, on_event, &local->base);
	}
	return &local->base;
}

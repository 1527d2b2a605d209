/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: typed records of what happened (vSphere API Event, EventManager, EventHistoryCollector).
 *
 * The newest 10,000 are kept in memory (`limit`), each a kept value; a listener may store them
 * for good. Keys count up from 1 and survive restarts when the program restores them.
 * Event-loop thread only.
 */
#ifndef VIM_EVENT_H
#define VIM_EVENT_H

#include "vim/service.h"

struct event_manager;

/* Makes the EventManager object with that id and its methods (QueryEvents,
 * CreateCollectorForEvents, PostEvent, LogUserEvent, history collectors with latestPage). */
struct event_manager *event_manager_new(struct service *s, const char *id);
void event_manager_free(struct event_manager *m);

/* Posts an event: `event` is a draft structure deriving from Event with its own fields set; key,
 * chainId (= key when unset), createdTime (now when unset), and from `entity` (VM, host, …) the vm,
 * host, computeResource, datacenter, ds, net, dvs arguments where unset are filled in;
 * fullFormattedMessage is the text. entity may be NULL (a login). Returns the key. */
int32_t event_post(struct event_manager *m, struct arena *a, struct value *event,
		   struct object *entity, const char *user, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

/* The key that the next event will get. */
int32_t event_next_key(const struct event_manager *m);

/* An argument that names an entity: `type` derives from EntityEventArgument and its reference field
 * fits o, e.g. T_VmEventArgument, T_ManagedEntityEventArgument. */
struct value *event_argument(struct arena *a, uint16_t type, struct object *o);

/* For storage and mirroring: fn for each event posted; event_restore() puts an old one back at
 * start (oldest first) without telling listeners. */
void event_listen(struct event_manager *m, void (*fn)(void *arg, const struct value *event),
		  void *arg);
/* Takes out the listeners with that arg. */
void event_unlisten(struct event_manager *m, const void *arg);
void event_restore(struct event_manager *m, const struct value *event);

#endif

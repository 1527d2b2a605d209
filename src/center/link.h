/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host as the manager reaches it: an inventory that says what the host has, under the host's own
 * identifiers, and method calls on its objects.
 *
 * Two kinds: over the network (link_remote.c: the inventory is a replica, fed by the host's
 * property collector), and within the process (link_local.c: the inventory is the host's). Readers
 * cannot tell them apart: they subscribe to the inventory and read objects and journals.
 *
 * States: CLOSED --link_open()--> OPENING --up()--> UP --down()--> CLOSED. A link that was lost is
 * closed; whoever owns it opens it again when it likes. The inventory outlives all that: while
 * nothing is heard of the host, it says what was known last.
 *
 * The link owns its inventory if it is a replica. Callbacks come from the event loop or from within
 * link_open() and link_call(); a callback may close the link, but not free it. Event-loop thread
 * only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"
#include "vim/event.h"
#include "vim/inventory.h"
#include "vim/service.h"
#include "vim/session.h"

struct link;

/* Why a link did not come up or was lost. */
enum link_trouble {
	LINK_UNREACHABLE, /* no connection, no answer */
	LINK_CERTIFICATE, /* another certificate than expected, or none is known yet */
	LINK_LOGIN,	  /* wrong user or password */
	LINK_NO_HOST,	  /* it answers, but not as a host does */
};
struct link_failure {
	enum link_trouble trouble;
	const char *thumbprint; /* LINK_CERTIFICATE: what the host showed; else NULL */
	const char *text;
};

struct link_listener {
	/* The inventory is complete: for the first time, or anew after the link was opened again.
	 */
	void (*up)(void *arg);
	void (*down)(void *arg, const struct link_failure *why);
	/* A task that is watched is not known to the host, or not any more. May be NULL. */
	void (*task_gone)(void *arg, const struct value *task);
	/* An event of the host's, each once, in order; key > link_set_last_event(). */
	void (*event)(void *arg, const struct value *event);
	void *arg;
};

/* What a call came to. lost: the link went down first, or the call was never sent. Values are valid
 * during done() only. */
struct link_answer {
	const struct value *result;
	const struct value *fault;
	const char *text; /* of the fault, or why it is lost */
	bool lost;
};
typedef void link_done_fn(void *arg, const struct link_answer *answer);

struct link_remote_config {
	uv_loop_t *loop;
	struct clock *clock;
	const char *address;
	uint16_t port;
	const char *user, *password;
	const char *thumbprint; /* NULL: none is known, LINK_CERTIFICATE will tell it */
};
/* NULL with ERROR_INVALID: address or thumbprint have no such form. Strings are copied. */
struct link *link_remote_new(const struct link_remote_config *config,
			     const struct link_listener *listener, struct error *e);

struct link_local_config {
	struct inventory *inventory;
	struct session *session;      /* that calls are made for */
	struct event_manager *events; /* may be NULL: its events are not heard */
};
struct link *link_local_new(const struct link_local_config *config,
			    const struct link_listener *listener);

/* Calls under way end as lost. */
void link_free(struct link *l);

/* Begins to connect; does nothing unless closed. */
void link_open(struct link *l);
/* Calls under way end as lost; down() is not called. */
void link_close(struct link *l);
bool link_is_up(const struct link *l);

struct inventory *link_inventory(const struct link *l);

/* Calls a method (M_…) on an object of the host. self and args have the host's references; args
 * stay valid until done(), which is called exactly once. May call done() before it returns. */
void link_call(struct link *l, const struct value *self, uint16_t method, const struct value *args,
	       link_done_fn *done, void *arg);

/* fn(arg) soon, after the inventory shows what calls that are already answered have changed. */
void link_settle(struct link *l, void (*fn)(void *arg), void *arg);

/* Shows the Task object in the inventory, or tells task_gone(), perhaps before it returns; until
 * the next link_open() or link_unwatch_task(). No other task need be shown. */
void link_watch_task(struct link *l, const struct value *task);
void link_unwatch_task(struct link *l, const struct value *task);

/* Events up to this key are known already; INT32_MAX: all that happened before the link is up. */
void link_set_last_event(struct link *l, int32_t key);

/* The host's ServiceContent, in `a` or kept; NULL while it is not known. */
const struct value *link_content(const struct link *l, struct arena *a);

/* Files over HTTP: the client's, or NULL within the process. */
struct client *link_client(const struct link *l);

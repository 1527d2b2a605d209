/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host over the network.
 *
 * A connection goes through login, ContainerView, ListView of tasks, PropertyFilter, and then a
 * waiting WaitForUpdatesEx for as long as it lives; beside it run the calls of the manager's users,
 * a heartbeat, and the reading of events.
 *
 * 1. A connection that is over (closed, lost) is `conn` no more: what its client still answers is
 *    ignored, and it is freed from a timer, as it may be the client's callback that ended it.
 * 2. The replica stays over connections. A new one tells everything anew; what is not named in its
 *    first account is gone.
 * 3. The replica is published only when an update is complete, so that readers see the VM before
 *    the task that made it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timer.h"
#include "base/vec.h"
#include "center/link_impl.h"
#include "center/link_spec.h"
#include "center/replica.h"
#include "center/task_watch.h"
#include "vim/client.h"

LOG_MODULE("link");

enum {
	WAIT_S = 60, /* of a WaitForUpdatesEx */
	WAIT_EXTRA_MS = 30000,
	FIRST_WAIT_MS = 180000, /* the whole account of a large host */
	CALL_MS = 120000,
	BEAT_MS = 2000,
	BEAT_LIMIT_MS = 6000, /* a host that has not answered for so long is lost */
	SETTLE_MS = 60,
	SOON_MS = 100,	/* an answer without news that comes sooner */
	PAUSE_MS = 500, /* is asked for anew only then */
	EVENTS_AT_ONCE = 500,
	OLD_PAGES_MAX = 1000 /* of events known before; more is no history but a ring */
};

struct connection {
	struct list_node link; /* among the dying */
	struct link_remote *owner;
	struct client *client;
	struct client_call *waiting;
	char *version;
	int64_t asked_us;
	bool has_account;	       /* the first one is complete */
	const struct value *collector; /* of events; kept */
	bool is_reading, read_again;
	unsigned n_old_pages; /* since the last event that was new */
	bool is_beating;
	const struct value *view; /* of the host's entities; kept */
	struct task_watch *watch; /* NULL: not there yet */
};

struct link_remote {
	struct link base;
	uv_loop_t *loop;
	struct clock *clock;
	struct replica *replica;
	char *url, *user, *password, *thumbprint;
	char *shown; /* thumbprint that the host showed last */
	struct connection *conn;
	struct list dying; /* struct connection */
	struct list calls; /* struct remote_call */
	VEC(struct settler) settlers;
	struct timer *beat, *settle, *bury, *pause;
};

struct settler {
	void (*fn)(void *arg);
	void *arg;
};

struct remote_call {
	struct list_node link;
	struct connection *conn;
	link_done_fn *done; /* NULL: ended as lost */
	void *arg;
};

static struct link_remote *remote_of(const struct link *l)
{
	return CONTAINER_OF((struct link *)(uintptr_t)l, struct link_remote, base);
}

/* ---- the end of a connection ---- */

static void connection_free(struct connection *conn)
{
	client_free(conn->client); /* ends what is under way first */
	task_watch_free(conn->watch);
	value_drop(conn->view);
	value_drop(conn->collector);
	free(conn->version);
	free(conn);
}

static void bury(void *arg)
{
	struct link_remote *r = arg;
	struct list_node *n;

	while ((n = list_pop_front(&r->dying)) != NULL) {
		connection_free(CONTAINER_OF(n, struct connection, link));
	}
}

/* Runs the first n; what they bring waits for the next time. */
static void settlers_run(struct link_remote *r, size_t n)
{
	struct settler *items = r->settlers.items;
	size_t all = r->settlers.n;

	r->settlers.items = NULL;
	r->settlers.n = r->settlers.cap = 0;
	for (size_t i = n; i < all; i++) {
		vec_push(&r->settlers, items[i]);
	}
	for (size_t i = 0; i < n; i++) {
		items[i].fn(items[i].arg);
	}
	free(items);
}

static void calls_lose(struct link_remote *r, const char *why)
{
	struct list_node *n;

	while ((n = list_pop_front(&r->calls)) != NULL) {
		struct remote_call *call = CONTAINER_OF(n, struct remote_call, link);
		link_done_fn *done = call->done;
		call->done = NULL;
		done(call->arg, &(struct link_answer){ .lost = true, .text = why });
	}
}

static void connection_end(struct link_remote *r, const char *why)
{
	if (r->conn != NULL) {
		list_push_back(&r->dying, &r->conn->link);
		r->conn = NULL;
		timer_start(r->bury, 0, 0);
	}
	timer_stop(r->beat);
	timer_stop(r->settle);
	timer_stop(r->pause);
	r->base.state = LINK_CLOSED;
	calls_lose(r, why);
	settlers_run(r, r->settlers.n);
}

static void remote_lost(struct connection *conn, enum link_trouble trouble, const char *text)
{
	struct link_remote *r = conn->owner;
	char *why = mem_strdup(text);

	connection_end(r, why);
	r->base.listener.down(
		r->base.listener.arg,
		&(struct link_failure){ .trouble = trouble,
					.thumbprint = trouble == LINK_CERTIFICATE ? r->shown : NULL,
					.text = why });
	free(why);
}

static void remote_close(struct link *l)
{
	connection_end(remote_of(l), "the host was disconnected");
}

static void remote_free(struct link *l)
{
	struct link_remote *r = remote_of(l);

	bury(r);
	timer_free(r->beat);
	timer_free(r->settle);
	timer_free(r->bury);
	timer_free(r->pause);
	replica_free(r->replica);
	free(r->url);
	free(r->user);
	explicit_bzero(r->password, strlen(r->password));
	free(r->password);
	free(r->thumbprint);
	free(r->shown);
	vec_free(&r->settlers);
	free(r);
}

/* ---- answers of the chain of calls that a connection makes itself ---- */

/* True when the call succeeded and the connection is still the one that counts. */
static bool chain_ok(struct connection *conn, const struct client_answer *answer)
{
	struct link_remote *r = conn->owner;

	if (r->conn != conn) {
		return false;
	}
	const char *shown = peer_sha1(client_peer(conn->client));
	if (shown != NULL) {
		free(r->shown);
		r->shown = mem_strdup(shown);
	}
	if (answer->error != NULL) {
		bool refused = answer->error->kind == ERROR_PERMISSION &&
			       peer_is_unknown(client_peer(conn->client));
		remote_lost(conn, refused ? LINK_CERTIFICATE : LINK_UNREACHABLE,
			    answer->error->msg);
		return false;
	}
	if (answer->fault != NULL) {
		bool is_login = value_is_a(answer->fault, T_InvalidLogin) ||
				value_is_a(answer->fault, T_NoPermission);
		remote_lost(conn, is_login ? LINK_LOGIN : LINK_UNREACHABLE, answer->text);
		return false;
	}
	return true;
}

/* ---- events ---- */

static void events_read(struct connection *conn);

static void events_on_read(void *arg, const struct client_answer *answer)
{
	struct connection *conn = arg;
	struct link_remote *r = conn->owner;

	if (r->conn != conn) {
		return;
	}
	conn->is_reading = false;
	if (answer->error != NULL || answer->fault != NULL) {
		log_limited_warn("events of \"%s\" cannot be read: %s", r->url,
				 answer->error != NULL ? answer->error->msg : answer->text);
		return;
	}
	size_t n = value_count(answer->result);
	conn->n_old_pages++;
	for (size_t i = 0; i < n && r->conn == conn; i++) {
		const struct value *event = value_item(answer->result, i);
		int32_t key = (int32_t)value_get_num(event, F_Event_key, 0);
		if (key > r->base.last_event) {
			conn->n_old_pages = 0;
			r->base.last_event = key;
			r->base.listener.event(r->base.listener.arg, event);
		}
	}
	if (r->conn == conn && (n == EVENTS_AT_ONCE || conn->read_again) &&
	    conn->n_old_pages < OLD_PAGES_MAX) {
		events_read(conn);
	}
}

static void events_read(struct connection *conn)
{
	if (conn->collector == NULL || conn->is_reading) {
		conn->read_again = true;
		return;
	}
	struct arena *a = arena_new(0);
	struct value *args =
		value_new(a, schema_method(M_EventHistoryCollector_ReadNextEvents)->args);
	value_set_num(a, args, A_EventHistoryCollector_ReadNextEvents_maxCount, EVENTS_AT_ONCE);
	conn->is_reading = true;
	conn->read_again = false;
	client_call(conn->client, M_EventHistoryCollector_ReadNextEvents, conn->collector, args,
		    events_on_read, conn);
	arena_free(a);
}

static void events_on_collector(void *arg, const struct client_answer *answer)
{
	struct connection *conn = arg;

	if (conn->owner->conn != conn) {
		return;
	}
	if (answer->result == NULL || answer->result->kind != KIND_REF) {
		log_limited_warn("\"%s\" shows no events", conn->owner->url);
		return;
	}
	conn->collector = value_keep(answer->result);
	events_read(conn);
}

static int32_t latest_event(struct link_remote *r)
{
	const struct value *ref =
		value_get_value(client_content(r->conn->client), F_ServiceContent_eventManager);
	struct object *o = inventory_find_ref(r->base.inventory, ref);
	const struct value *event =
		o == NULL ? NULL : object_get(o, P_EventManager_latestEvent, NULL);

	return (int32_t)value_get_num(event, F_Event_key, 0);
}

static void events_begin(struct connection *conn)
{
	struct link_remote *r = conn->owner;
	int32_t latest = latest_event(r);

	/* A host that counts anew has news only. */
	if (r->base.last_event == INT32_MAX) {
		r->base.last_event = latest;
	} else if (latest < r->base.last_event) {
		r->base.last_event = 0;
	}
	if (r->base.listener.event == NULL) {
		return;
	}
	struct arena *a = arena_new(0);
	struct value *args =
		value_new(a, schema_method(M_EventManager_CreateCollectorForEvents)->args);
	value_set(a, args, A_EventManager_CreateCollectorForEvents_filter,
		  value_new(a, T_EventFilterSpec));
	client_call(conn->client, M_EventManager_CreateCollectorForEvents,
		    value_get_value(client_content(conn->client), F_ServiceContent_eventManager),
		    args, events_on_collector, conn);
	arena_free(a);
}

/* ---- heartbeat ---- */

static void on_beat(void *arg, const struct client_answer *answer)
{
	struct connection *conn = arg;

	conn->is_beating = false;
	if (conn->owner->conn == conn && answer->error != NULL) {
		remote_lost(conn, LINK_UNREACHABLE, answer->error->msg);
	}
}

static void beat(void *arg)
{
	struct link_remote *r = arg;
	struct connection *conn = r->conn;

	if (conn == NULL) {
		return;
	}
	task_watch_check(conn->watch, r->base.inventory);
	if (conn->is_beating) {
		return;
	}
	struct arena *a = arena_new(0);
	conn->is_beating = true;
	struct client_call *call = client_call(
		conn->client, M_ServiceInstance_CurrentTime,
		value_new_ref(a, T_ServiceInstance, "ServiceInstance"), NULL, on_beat, conn);
	client_set_timeout(call, BEAT_LIMIT_MS);
	client_hurry(call);
	arena_free(a);
}

/* ---- updates ---- */

static void wait_for_updates(struct connection *conn);

/* The first account is complete. */
static void account_complete(struct connection *conn)
{
	struct link_remote *r = conn->owner;

	conn->has_account = true;
	replica_end(r->replica);
	r->base.state = LINK_UP;
	timer_start(r->beat, BEAT_MS, BEAT_MS);
	r->base.listener.up(r->base.listener.arg);
	inventory_publish(r->base.inventory);
	if (r->conn == conn) {
		events_begin(conn);
	}
}

static void updates_apply(struct connection *conn, const struct value *set)
{
	struct link_remote *r = conn->owner;
	struct error e;
	int32_t before = conn->has_account ? latest_event(r) : 0;

	if (!replica_apply(r->replica, set, &e)) {
		remote_lost(conn, LINK_UNREACHABLE, e.msg);
		return;
	}
	free(conn->version);
	conn->version = mem_strdup(value_get_str(set, F_UpdateSet_version));
	if (value_get_bool(set, F_UpdateSet_truncated, false)) {
		return;
	}
	if (!conn->has_account) {
		account_complete(conn);
		return;
	}
	size_t n_settlers = r->settlers.n;
	inventory_publish(r->base.inventory);
	if (r->conn != conn) {
		return; /* and all settlers have run */
	}
	if (latest_event(r) != before) {
		events_read(conn);
	}
	settlers_run(r, n_settlers);
}

static void on_updates(void *arg, const struct client_answer *answer)
{
	struct connection *conn = arg;

	conn->waiting = NULL;
	if (!chain_ok(conn, answer)) {
		return;
	}
	struct link_remote *r = conn->owner;
	bool has_news = answer->result != NULL &&
			value_get_str(answer->result, F_UpdateSet_version) != NULL;
	if (has_news) {
		updates_apply(conn, answer->result);
	}
	if (r->conn != conn) {
		return;
	}
	if (has_news || clock_mono_us(r->clock) - conn->asked_us > SOON_MS * INT64_C(1000)) {
		wait_for_updates(conn);
	} else {
		timer_start(r->pause, PAUSE_MS, 0);
	}
}

/* A host that does not wait is not asked without end. */
static void pause_over(void *arg)
{
	struct link_remote *r = arg;

	if (r->conn != NULL) {
		wait_for_updates(r->conn);
	}
}

static void wait_for_updates(struct connection *conn)
{
	struct arena *a = arena_new(0);
	struct value *args =
		value_new(a, schema_method(M_PropertyCollector_WaitForUpdatesEx)->args);
	struct value *options = value_new(a, T_WaitOptions);

	value_set_num(a, options, F_WaitOptions_maxWaitSeconds, WAIT_S);
	value_set_str(a, args, A_PropertyCollector_WaitForUpdatesEx_version, conn->version);
	value_set(a, args, A_PropertyCollector_WaitForUpdatesEx_options, options);
	conn->asked_us = clock_mono_us(conn->owner->clock);
	conn->waiting = client_call(
		conn->client, M_PropertyCollector_WaitForUpdatesEx,
		value_get_value(client_content(conn->client), F_ServiceContent_propertyCollector),
		args, on_updates, conn);
	client_set_timeout(conn->waiting,
			   conn->has_account ? WAIT_S * 1000 + WAIT_EXTRA_MS : FIRST_WAIT_MS);
	arena_free(a);
}

/* ---- the beginning of a connection ---- */

static void on_filter(void *arg, const struct client_answer *answer)
{
	struct connection *conn = arg;

	if (chain_ok(conn, answer)) {
		replica_begin(conn->owner->replica);
		wait_for_updates(conn);
	}
}

static void on_task_gone(void *arg, const struct value *task)
{
	struct connection *conn = arg;
	struct link_remote *r = conn->owner;

	if (r->conn == conn && r->base.listener.task_gone != NULL) {
		r->base.listener.task_gone(r->base.listener.arg, task);
	}
}

/* The reference that a call of the chain made; NULL: the connection is over. */
static const struct value *made(struct connection *conn, const struct client_answer *answer)
{
	if (!chain_ok(conn, answer)) {
		return NULL;
	}
	if (answer->result == NULL || answer->result->kind != KIND_REF) {
		remote_lost(conn, LINK_NO_HOST, "the host makes no views of its inventory");
		return NULL;
	}
	return answer->result;
}

static void on_task_view(void *arg, const struct client_answer *answer)
{
	struct connection *conn = arg;
	const struct value *view = made(conn, answer);

	if (view == NULL) {
		return;
	}
	const struct value *content = client_content(conn->client);
	struct arena *a = arena_new(0);
	struct value *args = value_new(a, schema_method(M_PropertyCollector_CreateFilter)->args);
	conn->watch = task_watch_new(conn->client, view, on_task_gone, conn);
	value_set(a, args, A_PropertyCollector_CreateFilter_spec,
		  link_filter_spec(a, content, conn->view, view));
	value_set_bool(a, args, A_PropertyCollector_CreateFilter_partialUpdates, false);
	client_call(conn->client, M_PropertyCollector_CreateFilter,
		    value_get_value(content, F_ServiceContent_propertyCollector), args, on_filter,
		    conn);
	arena_free(a);
}

static void on_view(void *arg, const struct client_answer *answer)
{
	struct connection *conn = arg;
	const struct value *view = made(conn, answer);

	if (view == NULL) {
		return;
	}
	conn->view = value_keep(view);
	client_call(conn->client, M_ViewManager_CreateListView,
		    value_get_value(client_content(conn->client), F_ServiceContent_viewManager),
		    NULL, on_task_view, conn);
}

static void on_login(void *arg, const struct client_answer *answer)
{
	struct connection *conn = arg;

	if (!chain_ok(conn, answer)) {
		return;
	}
	const struct value *content = client_content(conn->client);
	const struct value *about = value_get_value(content, F_ServiceContent_about);
	const char *kind = value_get_str(about, F_AboutInfo_apiType);
	if (kind == NULL || strcmp(kind, "HostAgent") != 0) {
		remote_lost(conn, LINK_NO_HOST, "what answers there is no host, but a manager");
		return;
	}
	if (!value_has(content, F_ServiceContent_viewManager) ||
	    !value_has(content, F_ServiceContent_eventManager)) {
		remote_lost(conn, LINK_NO_HOST, "the host has no views or events");
		return;
	}
	struct arena *a = arena_new(0);
	struct value *args = value_new(a, schema_method(M_ViewManager_CreateContainerView)->args);
	value_set(a, args, A_ViewManager_CreateContainerView_container,
		  value_get_value(content, F_ServiceContent_rootFolder));
	value_set_bool(a, args, A_ViewManager_CreateContainerView_recursive, true);
	client_call(conn->client, M_ViewManager_CreateContainerView,
		    value_get_value(content, F_ServiceContent_viewManager), args, on_view, conn);
	arena_free(a);
}

/* Without a thumbprint nothing is sent; the attempt shows the one that there is. */
static void remote_open(struct link *l)
{
	struct link_remote *r = remote_of(l);
	struct error e;
	struct client_config config = {
		.loop = r->loop,
		.url = r->url,
		.thumbprint = r->thumbprint,
	};
	struct connection *conn = mem_zalloc(sizeof(*conn));

	conn->owner = r;
	r->conn = conn;
	conn->client = client_new(&config, &e);
	if (conn->client == NULL) {
		remote_lost(conn, LINK_UNREACHABLE, e.msg);
		return;
	}
	conn->version = mem_strdup("");
	client_login(conn->client, r->user, r->password, on_login, conn);
}

/* ---- calls ---- */

static void call_done(void *arg, const struct client_answer *answer)
{
	struct remote_call *call = arg;
	struct connection *conn = call->conn;

	if (call->done == NULL) {
		free(call);
		return;
	}
	bool ended = value_is_a(answer->fault, T_NotAuthenticated);
	if (ended || (answer->error != NULL && answer->error->kind == ERROR_UNREACHABLE)) {
		/* Ends this call with the others. */
		remote_lost(conn, LINK_UNREACHABLE,
			    ended ? "the host has ended the session" : answer->error->msg);
		free(call);
		return;
	}
	list_remove(&call->link);
	struct link_answer out = {
		.result = answer->result,
		.fault = answer->fault,
		.text = answer->error != NULL ? answer->error->msg : answer->text,
		.lost = answer->error != NULL,
	};
	call->done(call->arg, &out);
	free(call);
}

static void remote_call(struct link *l, const struct value *self, uint16_t method,
			const struct value *args, link_done_fn *done, void *arg)
{
	struct link_remote *r = remote_of(l);
	struct remote_call *call = mem_zalloc(sizeof(*call));

	call->conn = r->conn;
	call->done = done;
	call->arg = arg;
	list_push_back(&r->calls, &call->link);
	client_set_timeout(client_call(r->conn->client, method, self, args, call_done, call),
			   CALL_MS);
}

/* ---- tasks ---- */

static void remote_watch_task(struct link *l, const struct value *task)
{
	task_watch_add(remote_of(l)->conn->watch, task);
}

static void remote_unwatch_task(struct link *l, const struct value *task)
{
	task_watch_drop(remote_of(l)->conn->watch, task);
}

static void settle_timeout(void *arg)
{
	struct link_remote *r = arg;

	settlers_run(r, r->settlers.n);
}

static void remote_settle(struct link *l, void (*fn)(void *arg), void *arg)
{
	struct link_remote *r = remote_of(l);

	vec_push(&r->settlers, (struct settler){ .fn = fn, .arg = arg });
	timer_start(r->settle, SETTLE_MS, 0);
}

static const struct value *remote_content(const struct link *l, struct arena *a)
{
	const struct link_remote *r = remote_of(l);

	(void)a;
	return r->conn == NULL ? NULL : client_content(r->conn->client);
}

static struct client *remote_client(const struct link *l)
{
	const struct link_remote *r = remote_of(l);

	return r->conn == NULL ? NULL : r->conn->client;
}

static const struct link_ops remote_ops = {
	.free = remote_free,
	.open = remote_open,
	.close = remote_close,
	.call = remote_call,
	.settle = remote_settle,
	.watch_task = remote_watch_task,
	.unwatch_task = remote_unwatch_task,
	.content = remote_content,
	.client = remote_client,
};

struct link *link_remote_new(const struct link_remote_config *config,
			     const struct link_listener *listener, struct error *e)
{
	bool is_v6 = strchr(config->address, ':') != NULL;
	char *url = mem_printf("https://%s%s%s:%u/sdk", is_v6 ? "[" : "", config->address,
			       is_v6 ? "]" : "", (unsigned)config->port);
	struct client_config probe = {
		.loop = config->loop,
		.url = url,
		.thumbprint = config->thumbprint,
	};
	struct client *c = client_new(&probe, e);

	if (c == NULL) {
		free(url);
		return NULL;
	}
	client_free(c);
	struct link_remote *r = mem_zalloc(sizeof(*r));
	r->replica = replica_new(config->clock);
	r->base = (struct link){
		.ops = &remote_ops,
		.listener = *listener,
		.inventory = replica_inventory(r->replica),
	};
	r->loop = config->loop;
	r->clock = config->clock;
	r->url = url;
	r->user = mem_strdup(config->user);
	r->password = mem_strdup(config->password);
	r->thumbprint = config->thumbprint == NULL ? NULL : mem_strdup(config->thumbprint);
	list_init(&r->dying);
	list_init(&r->calls);
	r->beat = timer_new(r->loop, r->clock, beat, r);
	r->settle = timer_new(r->loop, r->clock, settle_timeout, r);
	r->bury = timer_new(r->loop, r->clock, bury, r);
	r->pause = timer_new(r->loop, r->clock, pause_over, r);
	return &r->base;
}

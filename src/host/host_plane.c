/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     idle -host_plane_changed(), a policy-> due -run()-> applying -on_applied()-> idle or due
 *
 * 1. One document is on its way at a time. It holds all that was so when it was made, with at most
 *    one policy that is not yet taken (`trying`).
 * 2. `policy` has been run by the switch, or was kept from an earlier life. One that was refused,
 * or of which nobody knows, is forgotten, and a document without it follows.
 * 3. `document` is what the switch runs, as generation `running`, or NULL where that is not known
 *    for sure; while it is there, the switch is told only what differs. What it does not take so it
 *    is given whole, and what it says to that counts.
 * 4. Who waits is in `waiting` until the document that holds what they wait for is on its way, then
 *    in `flying`. Each hears once.
 */
#include "host/host_plane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timer.h"
#include "host/host_impl.h"
#include "host/host_lend.h"
#include "host/host_network.h"
#include "host/job.h"
#include "host/switch_link.h"
#include "plane/document_difference.h"

LOG_MODULE("plane");

enum {
	WAIT_US = 20000000, /* for a switch that does not answer */
	CHECK_MS = 1000,
	SOCKET_MAX = 107, /* of an address, unix(7) */
	POLICY_MAX = 80 << 20,
	CHANGES_MAX = 4096, /* more than these: a document is given whole */
};

struct plane_wait {
	struct list_node node;
	void (*done)(void *arg, const struct error *e);
	void *arg;
	int64_t until_us;
};

struct plane_put {
	struct list_node node;
	struct host_plane *plane;
	struct json_object *policy;
	void (*done)(void *arg, const struct plane_verdict *v);
	void *arg;
	struct buf text; /* as it is kept */
	char *path;
};

struct host_plane {
	struct host *host;
	struct switch_link *link;
	char *sockets; /* folder */
	struct timer *timer, *check;
	uint64_t generation; /* of the last document made */
	uint64_t running;    /* of what the switch runs, as far as we know */
	struct json_object *policy;
	struct json_object *ports;	     /* of the last document made; NULL: none yet */
	struct json_object *document, *next; /* that runs, and that is on its way; NULL: none */
	struct plane_ports seen;
	struct list puts; /* struct plane_put, not yet tried */
	struct plane_put *trying;
	struct list waiting, flying; /* struct plane_wait */
	bool is_begun, is_due, is_applying;
	bool must_be_whole;   /* the switch has refused `next` as changes */
	struct error refused; /* why the last document was; kind NONE: it was not */
};

/* ---- telling ---- */

static void wait_end(struct plane_wait *w, const struct error *e)
{
	list_remove(&w->node);
	w->done(w->arg, e);
	free(w);
}

static void move_all(struct list *to, struct list *from)
{
	for (struct list_node *n; (n = list_pop_front(from)) != NULL;) {
		list_push_back(to, n);
	}
}

/* Those who come while others are told wait for the next document. */
static void tell_all(struct list *l, const struct error *e)
{
	struct list now;

	list_init(&now);
	move_all(&now, l);
	for (struct list_node *n; (n = list_front(&now)) != NULL;) {
		wait_end(CONTAINER_OF(n, struct plane_wait, node), e);
	}
}

static void wait_again(struct host_plane *p)
{
	move_all(&p->flying, &p->waiting);
	move_all(&p->waiting, &p->flying);
}

static void put_end(struct plane_put *x, int status, const struct error *e)
{
	struct plane_verdict v = { .status = status };
	struct json_at at = json_root(x->policy);

	(void)json_get_u64(&at, "generation", &v.generation, NULL);
	if (e != NULL) {
		v.why = *e;
	}
	x->done(x->arg, &v);
	json_object_put(x->policy);
	buf_free(&x->text);
	free(x->path);
	free(x);
}

/* ---- the policy ---- */

static const char *manager_of(struct json_object *policy, uint64_t *generation)
{
	struct json_at at = json_root(policy);
	const char *manager = "";

	(void)json_get_str(&at, "manager", &manager, NULL);
	(void)json_get_u64(&at, "generation", generation, NULL);
	return manager;
}

/* Not older than what the same manager gave. */
static bool is_newer(const struct host_plane *p, struct json_object *policy, struct error *e)
{
	uint64_t had = 0, has = 0;

	if (p->policy == NULL ||
	    strcmp(manager_of(p->policy, &had), manager_of(policy, &has)) != 0) {
		return true;
	}
	return has >= had ||
	       error_set(e, ERROR_STATE, "\"generation\": %llu is older than %llu, which holds",
			 (unsigned long long)has, (unsigned long long)had);
}

static bool policy_write(void *data, struct progress *progress, struct error *e)
{
	struct plane_put *x = data;

	(void)progress;
	return file_write_atomic(x->path, x->text.data, x->text.len, 0600, e);
}

static void run(void *arg);

static void policy_written(void *arg, const struct error *e)
{
	struct plane_put *x = arg;
	struct host_plane *p = x->plane;

	p->trying = NULL;
	p->is_applying = false;
	if (e != NULL) {
		p->is_due = true; /* without it */
		log_warn("a policy could not be kept: %s", e->msg);
		put_end(x, 500, e);
	} else {
		struct json_object *before = p->policy;
		p->policy = json_object_get(x->policy);
		host_network_publish(p->host);
		host_lend_changed(p->host);
		put_end(x, 200, NULL);
		json_object_put(before); /* which takes its time where it was large */
	}
	run(p);
}

/* The switch runs it: it is kept before that is said. */
static void policy_keep(struct plane_put *x)
{
	struct host *h = x->plane->host;
	struct job_work work = { .run = policy_write, .data = x, .is_brief = true };
	struct job_handler handler = { .loop = h->loop, .done = policy_written, .arg = x };

	x->path = mem_printf("%s/policy.json", h->state);
	job_start(&handler, &work);
}

static bool policy_load(struct host_plane *p, struct error *e)
{
	char *path = mem_printf("%s/policy.json", p->host->state);
	struct error why = { 0 };

	p->policy = json_parse_file(path, POLICY_MAX, &why);
	free(path);
	if (p->policy == NULL && why.kind != ERROR_NOT_FOUND) {
		if (e != NULL) {
			*e = why;
		}
		return false;
	}
	return true;
}

/* ---- applying ---- */

static struct json_object *document(struct host_plane *p)
{
	struct host *h = p->host;
	struct arena *a = arena_new(0);
	struct plane_cards cards = { 0 };
	struct plane_world w = { .node = &h->node,
				 .first_uplink = h->hardware->n_nics,
				 .policy = p->trying != NULL ? p->trying->policy : p->policy };

	network_plane(h, a, &w);
	if (h->vm_ops != NULL && h->vm_ops->cards != NULL) {
		h->vm_ops->cards(h, a, &cards);
	}
	host_lend_cards(h, w.policy, a, &cards);
	w.cards = cards.all.items;
	w.n_cards = cards.all.n;
	struct json_object *o = plane_document_make(&w);
	vec_free(&cards.all);
	arena_free(a);
	json_object_put(p->ports);
	p->ports = json_object_get(json_object_object_get(o, "ports"));
	plane_ports_keep(&p->seen, p->ports);
	return o;
}

static bool is_lost(const struct error *e)
{
	return e->kind == ERROR_UNREACHABLE || e->kind == ERROR_TIMEOUT ||
	       e->kind == ERROR_CANCELED;
}

static void forget(struct json_object **document)
{
	json_object_put(*document);
	*document = NULL;
}

static void applied_not(struct host_plane *p, const struct error *e)
{
	struct plane_put *x = p->trying;

	p->trying = NULL;
	p->is_applying = false;
	p->must_be_whole = false;
	forget(&p->next);
	if (is_lost(e)) {
		forget(&p->document); /* either of the two may run */
	}
	if (is_lost(e) || x != NULL) {
		p->is_due = true;
		wait_again(p);
	} else {
		p->refused = *e;
		log_warn("the switch refuses what this host wants of it: %s", e->msg);
		tell_all(&p->flying, e);
	}
	if (x != NULL) {
		put_end(x, is_lost(e) ? 503 : 400, e);
	}
	run(p);
}

/* The switch runs `next`, as the last generation. */
static void applied(struct host_plane *p)
{
	p->running = p->generation;
	p->refused = (struct error){ 0 };
	host_lend_changed(p->host);
	forget(&p->document);
	p->document = p->next;
	p->next = NULL;
	if (p->trying != NULL) {
		tell_all(&p->flying, NULL);
		policy_keep(p->trying);
		return;
	}
	p->is_applying = false;
	tell_all(&p->flying, NULL);
	run(p);
}

static void on_applied(void *arg, const struct rpc_reply *reply)
{
	struct host_plane *p = arg;

	if (p->link == NULL) {
		return; /* letting go */
	}
	if (reply->error != NULL) {
		struct error e = *reply->error;
		applied_not(p, &e);
		return;
	}
	applied(p);
}

static void give_whole(struct host_plane *p)
{
	struct json_object *params = json_object_new_object();

	json_put_u64(params, "generation", p->generation);
	json_put(params, "document", json_object_get(p->next));
	switch_link_call(p->link, "plane.apply", params, on_applied, p);
}

/* The answer to what it runs: nothing differs from that, or it did not take what does. Somebody
 * else may have given it another document. */
static void on_status(void *arg, const struct rpc_reply *reply)
{
	struct host_plane *p = arg;
	uint64_t generation = 0;

	if (p->link == NULL || reply->error != NULL) {
		on_applied(p, reply);
		return;
	}
	(void)json_get_u64(&reply->result, "generation", &generation, NULL);
	if (generation != p->running) {
		forget(&p->document);
	}
	if (generation != p->running || p->must_be_whole) {
		p->must_be_whole = false;
		p->generation = MAX(p->generation, generation) + 1;
		give_whole(p);
	} else {
		p->generation = generation;
		applied(p);
	}
}

static void on_changed(void *arg, const struct rpc_reply *reply)
{
	struct host_plane *p = arg;

	if (p->link == NULL || reply->error == NULL || is_lost(reply->error)) {
		on_applied(p, reply);
		return;
	}
	log_info("the switch takes no changes to generation %llu: %s",
		 (unsigned long long)p->running, reply->error->msg);
	p->must_be_whole = true;
	switch_link_call(p->link, "plane.status", NULL, on_status, p);
}

/* `next` is given to the switch. */
static void give(struct host_plane *p)
{
	struct json_object *changes =
		p->document == NULL ? NULL : document_difference(p->document, p->next, CHANGES_MAX);

	if (changes != NULL && json_object_array_length(changes) == 0) {
		json_object_put(changes);
		switch_link_call(p->link, "plane.status", NULL, on_status, p);
		return;
	}
	p->generation++;
	if (changes == NULL) {
		give_whole(p);
		return;
	}
	struct json_object *params = json_object_new_object();
	json_put_u64(params, "base", p->running);
	json_put_u64(params, "generation", p->generation);
	json_put(params, "changes", changes);
	switch_link_call(p->link, "plane.change", params, on_changed, p);
}

/* The next policy that may be tried; others are answered. */
static struct plane_put *next_put(struct host_plane *p)
{
	for (struct list_node *n; (n = list_pop_front(&p->puts)) != NULL;) {
		struct plane_put *x = CONTAINER_OF(n, struct plane_put, node);
		struct error e = { 0 };
		if (is_newer(p, x->policy, &e)) {
			return x;
		}
		put_end(x, 409, &e);
	}
	return NULL;
}

static void run(void *arg)
{
	struct host_plane *p = arg;

	if (p->is_applying || !p->is_begun || !switch_link_is_up(p->link)) {
		return;
	}
	struct plane_put *x = next_put(p);
	if (x == NULL && !p->is_due && list_is_empty(&p->waiting)) {
		return;
	}
	p->trying = x;
	p->is_due = false;
	p->is_applying = true;
	move_all(&p->flying, &p->waiting);
	p->next = document(p);
	give(p);
}

static void soon(struct host_plane *p)
{
	if (!timer_is_active(p->timer)) {
		timer_start(p->timer, 0, 0);
	}
}

/* ---- the switch comes and goes ---- */

static void fail_puts(struct host_plane *p)
{
	struct error e = { 0 };

	error_set(&e, ERROR_UNREACHABLE, "the switch of this host does not answer");
	for (struct list_node *n; (n = list_pop_front(&p->puts)) != NULL;) {
		put_end(CONTAINER_OF(n, struct plane_put, node), 503, &e);
	}
}

/* Cards are told to their VMs, uplinks in the host's own list of adapters. */
static void tell_port(struct host_plane *p, const char *port)
{
	struct host *h = p->host;

	if (!p->is_begun) {
		return;
	}
	if (port == NULL || strncmp(port, "vmnic", 5) == 0) {
		host_network_publish(h);
	}
	if (h->vm_ops != NULL && h->vm_ops->wire_changed != NULL) {
		h->vm_ops->wire_changed(h, port);
	}
	host_lend_changed(h);
}

static void on_event(void *arg, const struct json_at *params)
{
	struct host_plane *p = arg;
	const char *port = plane_ports_take(&p->seen, params);

	if (port != NULL) {
		tell_port(p, port);
	}
}

static void on_watched(void *arg, const struct rpc_reply *reply)
{
	struct host_plane *p = arg;

	if (p->link != NULL && reply->error != NULL) {
		log_warn("the switch does not tell of its ports: %s", reply->error->msg);
	}
}

static void on_up(void *arg, uint64_t generation)
{
	struct host_plane *p = arg;

	if (p->running == 0 || generation != p->running) {
		p->is_due = true;
		forget(&p->document);
	}
	p->generation = MAX(p->generation, generation);
	p->running = generation;
	switch_link_call(p->link, "plane.watch", NULL, on_watched, p);
	soon(p);
}

static void on_down(void *arg)
{
	struct host_plane *p = arg;

	fail_puts(p);
	plane_ports_down(&p->seen);
	tell_port(p, NULL);
}

static void on_check(void *arg)
{
	struct host_plane *p = arg;
	int64_t now_us = clock_mono_us(clock_real());
	struct error e = { 0 };
	struct list late;

	list_init(&late);
	list_each_safe (struct plane_wait, w, &p->waiting, node) {
		if (w->until_us < now_us) {
			list_remove(&w->node);
			list_push_back(&late, &w->node);
		}
	}
	if (list_is_empty(&late)) {
		return;
	}
	const char *why = switch_link_trouble(p->link);
	error_set(&e, ERROR_UNREACHABLE, "the switch of this host does not answer%s%s",
		  why[0] != '\0' ? ": " : "", why);
	tell_all(&late, &e);
}

/* ---- life ---- */

/* On tmpfs where there is one that this process may use: records cost no disk writes there. */
static char *flows_folder(const struct host *h, const char *state)
{
	return access("/dev/shm", W_OK | X_OK) == 0 ? mem_printf("/dev/shm/remora-%s", h->node.uuid)
						    : mem_strdup(state);
}

/* In the state folder, or a short-named one where a socket's address would be too long for it. */
static char *sockets_folder(const struct host *h, struct error *e)
{
	char *folder = mem_printf("%s/net", h->state); /* not in the run folder: machines hide it */
	struct stat st;

	if (strlen(folder) + strlen("/UUID-of-36-characters-0000000000000/net-4000.sock") >
	    SOCKET_MAX) {
		free(folder);
		folder = mem_printf("/tmp/remora-%s", h->node.uuid);
	}
	if (!file_make_dirs(folder, 0700, e)) {
		free(folder);
		return NULL;
	}
	if (lstat(folder, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077) != 0) {
		error_set(e, ERROR_PERMISSION, "\"%s\" is not a folder of this user alone", folder);
		free(folder);
		return NULL;
	}
	return folder;
}

bool host_plane_start(struct host *h, const struct host_plane_config *c, struct error *e)
{
	struct host_plane *p = mem_zalloc(sizeof(*p));
	char *state = mem_printf("%s/switchd", h->state);
	char *flows = flows_folder(h, state);
	struct switch_link_config link = {
		.loop = h->loop,
		.program = c->program,
		.state = state,
		.flows_folder = flows,
		.flows = h->node.flows != 0 ? h->node.flows : NODE_FLOWS,
		.up = on_up,
		.down = on_down,
		.event = on_event,
		.arg = p,
	};

	p->host = h;
	list_init(&p->puts);
	list_init(&p->waiting);
	list_init(&p->flying);
	p->sockets = sockets_folder(h, e);
	bool ok = p->sockets != NULL && policy_load(p, e);
	if (ok) {
		p->timer = timer_new(h->loop, clock_real(), run, p);
		p->check = timer_new(h->loop, clock_real(), on_check, p);
		timer_start(p->check, CHECK_MS, CHECK_MS);
		p->link = switch_link_new(&link);
		h->plane = p;
		host_network_publish(h); /* with what the policy has */
	} else {
		free(p->sockets);
		free(p);
	}
	free(state);
	free(flows);
	return ok;
}

void host_plane_begin(struct host *h)
{
	if (h->plane != NULL) {
		h->plane->is_begun = true;
		h->plane->is_due = true;
		tell_port(h->plane, NULL); /* what was told meanwhile */
		soon(h->plane);
	}
}

static void drop_waits(struct list *l)
{
	for (struct list_node *n; (n = list_pop_front(l)) != NULL;) {
		free(CONTAINER_OF(n, struct plane_wait, node));
	}
}

void host_plane_stop(struct host *h)
{
	struct host_plane *p = h->plane;
	struct switch_link *link = p == NULL ? NULL : p->link;

	if (p == NULL) {
		return;
	}
	p->link = NULL;
	switch_link_free(link);
	drop_waits(&p->waiting);
	drop_waits(&p->flying);
	fail_puts(p);
	if (p->trying != NULL) {
		list_push_back(&p->puts, &p->trying->node);
		fail_puts(p);
	}
	timer_free(p->timer);
	timer_free(p->check);
	json_object_put(p->policy);
	json_object_put(p->ports);
	forget(&p->document);
	forget(&p->next);
	plane_ports_fini(&p->seen);
	free(p->sockets);
	free(p);
	h->plane = NULL;
}

/* ---- for others ---- */

void host_plane_changed(struct host *h)
{
	if (h->plane != NULL) {
		h->plane->is_due = true;
		soon(h->plane);
	}
}

void host_plane_wait(struct host *h, void (*done)(void *arg, const struct error *e), void *arg)
{
	struct plane_wait *w = mem_zalloc(sizeof(*w));

	w->done = done;
	w->arg = arg;
	w->until_us = clock_mono_us(clock_real()) + WAIT_US;
	list_push_back(&h->plane->waiting, &w->node);
	host_plane_changed(h);
}

void host_plane_socket(const struct host *h, const char *uuid, int32_t key, char *out, size_t size)
{
	snprintf(out, size, "%s/%s/net-%d.sock", h->plane->sockets, uuid, key);
}

void host_plane_socket_folder(const struct host *h, const char *uuid, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", h->plane->sockets, uuid);
}

void host_plane_put_policy(struct host *h, struct json_object *policy, struct buf *text,
			   void (*done)(void *arg, const struct plane_verdict *v), void *arg)
{
	struct plane_put *x = mem_zalloc(sizeof(*x));
	struct error e = { 0 };

	x->policy = policy;
	x->text = *text;
	*text = (struct buf)BUF_INIT;
	x->done = done;
	x->arg = arg;
	x->plane = h->plane;
	if (h->plane == NULL || !switch_link_is_up(h->plane->link)) {
		error_set(&e, ERROR_UNREACHABLE,
			  h->plane == NULL ? "this host has no switch"
					   : "the switch of this host does not answer");
		put_end(x, 503, &e);
		return;
	}
	list_push_back(&h->plane->puts, &x->node);
	soon(h->plane);
}

bool host_plane_is_busy(const struct host *h)
{
	return h->plane != NULL && h->plane->trying != NULL && h->plane->trying->path != NULL;
}

struct json_object *host_plane_policy(const struct host *h)
{
	return h->plane == NULL ? NULL : h->plane->policy;
}

bool host_plane_is_realized(const struct host *h, struct error *why)
{
	const struct host_plane *p = h->plane;

	if (p == NULL || p->policy == NULL) {
		return error_set(why, ERROR_NOT_FOUND, "no policy was given");
	}
	if (!switch_link_is_up(p->link)) {
		return error_set(why, ERROR_UNREACHABLE, "the switch of this host does not answer");
	}
	if (p->refused.kind != ERROR_NONE) {
		*why = p->refused;
		return false;
	}
	return p->running != 0 && p->running == p->generation
		       ? true
		       : error_set(why, ERROR_STATE, "a document is on its way");
}

const struct plane_port_state *host_plane_seen(const struct host *h, const char *port)
{
	return h->plane == NULL ? NULL : plane_ports_get(&h->plane->seen, port);
}

bool host_plane_is_up(const struct host *h)
{
	return h->plane != NULL && switch_link_is_up(h->plane->link);
}

struct json_object *host_plane_port(const struct host *h, const char *name)
{
	struct json_object *ports = h->plane == NULL ? NULL : h->plane->ports, *v;

	for (size_t i = 0; ports != NULL && i < json_object_array_length(ports); i++) {
		struct json_object *o = json_object_array_get_idx(ports, i);
		if (json_object_object_get_ex(o, "name", &v) &&
		    strcmp(json_object_get_string(v), name) == 0) {
			return o;
		}
	}
	return NULL;
}

void host_plane_call(struct host *h, const char *method, struct json_object *params,
		     void (*on_reply)(void *arg, const struct rpc_reply *reply), void *arg)
{
	switch_link_call(h->plane->link, method, params, on_reply, arg);
}

void host_plane_ask(struct host *h, const char *what,
		    void (*on_reply)(void *arg, const struct rpc_reply *reply), void *arg)
{
	struct json_object *params = json_object_new_object();

	json_put_str(params, "what", what);
	host_plane_call(h, "plane.show", params, on_reply, arg);
}

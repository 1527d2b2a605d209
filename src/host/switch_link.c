/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     away -look(): nobody holds the lock-> started -on_connect()-> greeted -on_status()-> up
 *     away -look(): somebody does-> on_connect() …
 *     any -on_disconnect()-> away
 *
 * 1. At most one child of ours runs; while it does, nobody looks at the lock.
 * 2. `up` and `down` alternate, `up` first.
 */
#include "host/switch_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/list.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/timer.h"

LOG_MODULE("switch");

enum {
	LOOK_MS = 1000,
	PAUSE_MIN_MS = 100, /* before it is started again, where it did not live long */
	PAUSE_MAX_MS = 10000,
	STABLE_US = 5000000,
	CALL_MS = 60000, /* compiling a large document takes a while */
	MESSAGE_LIMIT = 256 << 20,
};

struct switch_link {
	struct switch_link_config config; /* texts are copies */
	char *program, *state, *flows_folder, *socket;
	struct rpc_client *client;
	struct process *child; /* NULL: none of ours */
	struct timer *look;
	int64_t started_us, pause_ms;
	bool is_up, is_freed;
	struct list refusals; /* struct refusal, that are yet to be told */
	char trouble[240];
};

/* ---- starting ---- */

static void trouble(struct switch_link *l, const char *what)
{
	if (strcmp(l->trouble, what) != 0) {
		snprintf(l->trouble, sizeof(l->trouble), "%s", what);
		if (what[0] != '\0') {
			log_warn("%s", what);
		}
	}
}

/* Nobody works on the state folder. */
static bool is_away(const struct switch_link *l)
{
	char *path = mem_printf("%s/lock", l->state);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool away = fd < 0 ? errno == ENOENT : flock(fd, LOCK_EX | LOCK_NB) == 0;

	if (fd >= 0) {
		close(fd);
	}
	free(path);
	return away;
}

static void on_exit_seen(void *arg, const struct process_exit *how)
{
	struct switch_link *l = arg;
	int64_t lived_us = clock_mono_us(clock_real()) - l->started_us;
	char what[160];

	process_free(l->child);
	l->child = NULL;
	if (how->is_known && how->signal != 0) {
		snprintf(what, sizeof(what), "the switch was ended by signal %d", how->signal);
	} else {
		snprintf(what, sizeof(what), "the switch ended with status %d, see %.90s/log",
			 how->status, l->state);
	}
	trouble(l, what);
	l->pause_ms = lived_us > STABLE_US ? 0
					   : MIN(MAX(l->pause_ms * 2, (int64_t)PAUSE_MIN_MS),
						 (int64_t)PAUSE_MAX_MS);
	timer_start(l->look, l->pause_ms, LOOK_MS);
}

static bool spawn(struct switch_link *l, int log, struct error *e)
{
	char flows[16];
	const char *argv[] = { l->program, "--state",	     l->state,	      "--flows",
			       flows,	   "--flows-folder", l->flows_folder, NULL };
	struct process_options o = {
		.argv = argv, .stdout_fd = log, .stderr_fd = log, .is_detached = true
	};

	snprintf(flows, sizeof(flows), "%u", l->config.flows);
	l->child = process_spawn(l->config.loop, &o, on_exit_seen, l, e);
	return l->child != NULL;
}

static void start(struct switch_link *l)
{
	struct error e = { 0 };
	char *path = mem_printf("%s/log", l->state);
	int log = -1;

	l->started_us = clock_mono_us(clock_real());
	if (file_make_dirs(l->state, 0700, &e) && file_make_dirs(l->flows_folder, 0700, &e)) {
		log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (log < 0) {
			error_set_sys(&e, errno, "\"%s\"", path);
		} else if (spawn(l, log, &e)) {
			log_info("the switch is started as process %d", (int)process_pid(l->child));
		}
	}
	if (l->child == NULL) {
		error_prefix(&e, "the switch cannot be started: ");
		trouble(l, e.msg);
	}
	if (log >= 0) {
		close(log);
	}
	free(path);
}

static void on_look(void *arg)
{
	struct switch_link *l = arg;

	if (!l->is_up && l->child == NULL && l->program != NULL && is_away(l)) {
		start(l);
	}
}

/* ---- talking ---- */

static void on_status(void *arg, const struct rpc_reply *reply)
{
	struct switch_link *l = arg;
	uint64_t generation = 0;
	struct error e = { 0 };

	if (l->is_freed || l->is_up) {
		return;
	}
	if (reply->error != NULL || !json_get_u64(&reply->result, "generation", &generation, &e)) {
		trouble(l, reply->error != NULL ? reply->error->msg : e.msg);
		return; /* where the connection is gone, the next one asks again */
	}
	l->is_up = true;
	l->pause_ms = 0;
	trouble(l, "");
	log_info("the switch answers and runs generation %llu", (unsigned long long)generation);
	l->config.up(l->config.arg, generation);
}

static void on_connect(void *arg, struct rpc_peer *peer)
{
	rpc_peer_call(peer, "plane.status", NULL, CALL_MS, on_status, arg);
}

static void on_disconnect(void *arg, struct rpc_peer *peer)
{
	struct switch_link *l = arg;

	(void)peer;
	if (l->is_freed || !l->is_up) {
		return;
	}
	l->is_up = false;
	trouble(l, "the switch has gone away");
	l->config.down(l->config.arg);
	timer_start(l->look, 0, LOOK_MS);
}

static void on_notification(void *arg, struct rpc_peer *peer, const char *method,
			    const struct json_at *params)
{
	struct switch_link *l = arg;

	(void)peer;
	if (l->is_up && l->config.event != NULL && strcmp(method, "plane.event") == 0) {
		l->config.event(l->config.arg, params);
	}
}

/* An answer to a question that could not be asked. */
struct refusal {
	struct list_node node;
	struct timer *timer;
	void (*on_reply)(void *arg, const struct rpc_reply *reply);
	void *arg;
};

static void refusal_end(struct refusal *r, enum error_kind kind)
{
	struct error e = { 0 };
	const struct rpc_reply reply = { .error = &e };

	list_remove(&r->node);
	timer_free(r->timer);
	error_set(&e, kind, "the switch of this host does not answer");
	r->on_reply(r->arg, &reply);
	free(r);
}

static void refuse(void *arg)
{
	refusal_end(arg, ERROR_UNREACHABLE);
}

void switch_link_call(struct switch_link *l, const char *method, struct json_object *params,
		      void (*on_reply)(void *arg, const struct rpc_reply *reply), void *arg)
{
	struct rpc_peer *peer = l->is_up ? rpc_client_peer(l->client) : NULL;

	if (peer != NULL) {
		rpc_peer_call(peer, method, params, CALL_MS, on_reply, arg);
		return;
	}
	struct refusal *r = mem_zalloc(sizeof(*r));
	json_object_put(params);
	r->on_reply = on_reply;
	r->arg = arg;
	r->timer = timer_new(l->config.loop, clock_real(), refuse, r);
	timer_start(r->timer, 0, 0);
	list_push_back(&l->refusals, &r->node);
}

/* ---- life ---- */

struct switch_link *switch_link_new(const struct switch_link_config *c)
{
	struct switch_link *l = mem_zalloc(sizeof(*l));

	l->config = *c;
	list_init(&l->refusals);
	l->program = c->program == NULL ? NULL : mem_strdup(c->program);
	l->state = mem_strdup(c->state);
	l->flows_folder = mem_strdup(c->flows_folder);
	l->socket = mem_printf("%s/control.sock", c->state);
	struct rpc_options o = {
		.path = l->socket,
		.message_limit = MESSAGE_LIMIT,
		.on_connect = on_connect,
		.on_disconnect = on_disconnect,
		.on_notification = on_notification,
		.arg = l,
	};
	l->client = rpc_client_new(c->loop, &o);
	l->look = timer_new(c->loop, clock_real(), on_look, l);
	timer_start(l->look, 0, LOOK_MS);
	return l;
}

void switch_link_free(struct switch_link *l)
{
	if (l == NULL) {
		return;
	}
	l->is_freed = true;
	l->is_up = false;
	rpc_client_free(l->client);
	for (struct list_node *n; (n = list_front(&l->refusals)) != NULL;) {
		refusal_end(CONTAINER_OF(n, struct refusal, node), ERROR_CANCELED);
	}
	process_free(l->child);
	timer_free(l->look);
	free(l->program);
	free(l->state);
	free(l->flows_folder);
	free(l->socket);
	free(l);
}

bool switch_link_is_up(const struct switch_link *l)
{
	return l->is_up;
}

const char *switch_link_trouble(const struct switch_link *l)
{
	return l->trouble;
}

char *switch_link_program(void)
{
	char own[1024];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (n <= 0) {
		return NULL;
	}
	own[n] = '\0';
	char *slash = strrchr(own, '/');
	char *path = mem_printf("%.*s/remora-switchd", (int)(slash - own), own);
	if (access(path, X_OK) != 0) {
		free(path);
		path = NULL;
	}
	return path;
}

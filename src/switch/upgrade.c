/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/upgrade.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/timer.h"

enum {
	CONNECT_MS = 2000,
	ANSWER_MS = 70000, /* longer than the keeper's patience */
	LET_GO_MS = 20,	   /* the answer is on its way by then */
};

struct upgrade {
	uv_loop_t *loop;
	const char *state;
	void (*let_go)(void *arg);
	void *arg;
	struct rpc_call *call; /* under way, or NULL */
	struct rpc_client *keeper;
	struct json_object *params; /* not yet sent */
	struct timer *timer;	    /* for the connection, then before it lets go */
	bool is_granted;
};

/* Never from within the client's callbacks. */
static void forget_keeper(struct upgrade *u)
{
	rpc_client_free(u->keeper);
	u->keeper = NULL;
	json_object_put(u->params);
	u->params = NULL;
}

static void refuse(struct upgrade *u, const struct error *e)
{
	struct rpc_call *call = u->call;

	u->call = NULL;
	timer_start(u->timer, 0, 0);
	rpc_call_fail(call, e);
}

static void on_answer(void *arg, const struct rpc_reply *reply)
{
	struct upgrade *u = arg;

	if (u->call == NULL) {
		return;
	}
	if (reply->error != NULL) {
		refuse(u, reply->error);
		return;
	}
	rpc_call_reply(u->call, json_object_get(reply->result.value));
	u->call = NULL;
	u->is_granted = true;
	timer_start(u->timer, LET_GO_MS, 0);
}

static void on_connect(void *arg, struct rpc_peer *peer)
{
	struct upgrade *u = arg;

	if (u->params != NULL) {
		timer_stop(u->timer);
		rpc_peer_call(peer, "keeper.upgrade", u->params, ANSWER_MS, on_answer, u);
		u->params = NULL;
	}
}

static void on_timer(void *arg)
{
	struct upgrade *u = arg;
	struct error e;

	if (u->is_granted) {
		u->let_go(u->arg);
		return;
	}
	if (u->call != NULL) {
		error_set(&e, ERROR_UNREACHABLE,
			  "there is no keeper to start another process: start remora-switchd with "
			  "this state folder once more");
		refuse(u, &e);
	}
	forget_keeper(u);
}

void upgrade_ask(struct upgrade *u, struct rpc_call *call)
{
	static const char *const members[] = { "binary" };
	const struct json_at *params = rpc_call_params(call);
	struct error e;

	if (params->value != NULL && !json_check_members(params, members, 1, &e)) {
		rpc_call_fail(call, &e);
		return;
	}
	if (u->call != NULL || u->is_granted) {
		error_set(&e, ERROR_BUSY, "an upgrade is under way");
		rpc_call_fail(call, &e);
		return;
	}
	forget_keeper(u);
	char *path = mem_printf("%s/keeper.sock", u->state);
	const struct rpc_options o = { .path = path, .on_connect = on_connect, .arg = u };
	u->call = call;
	u->params =
		params->value != NULL ? json_object_get(params->value) : json_object_new_object();
	u->keeper = rpc_client_new(u->loop, &o);
	timer_start(u->timer, CONNECT_MS, 0);
	free(path);
}

struct upgrade *upgrade_new(uv_loop_t *loop, const char *state, void (*let_go)(void *arg),
			    void *arg)
{
	struct upgrade *u = mem_zalloc(sizeof(*u));

	*u = (struct upgrade){ .loop = loop, .state = state, .let_go = let_go, .arg = arg };
	u->timer = timer_new(loop, clock_real(), on_timer, u);
	return u;
}

void upgrade_free(struct upgrade *u)
{
	struct error e;

	if (u == NULL) {
		return;
	}
	if (u->call != NULL) {
		struct rpc_call *call = u->call;
		u->call = NULL;
		error_set(&e, ERROR_CANCELED, "the switch ends");
		rpc_call_fail(call, &e);
	}
	forget_keeper(u);
	timer_free(u->timer);
	free(u);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST interface for networks and their policy, below /policy/api/v1, in the shape of the NSX
 * Policy API: objects (intent.h) by path, PUT and PATCH and DELETE, statistics, realization, tags
 * of VMs. Routes, shapes of bodies and the OpenAPI document are made from schema/policy-api.json.
 *
 * Reading needs System.Read on the root folder, changing DVSwitch.Modify. Errors are
 * {"httpStatus", "error_code", "error_message", "module_name"}. Event-loop thread only.
 */
#pragma once

#include "center/center.h"
#include "vim/server.h"

struct policy_api;

/* NULL with `e` never happens but by a mistake in the schema. The center must outlive it. */
struct policy_api *policy_api_new(struct center *c, struct error *e);
void policy_api_free(struct policy_api *api);

/* Takes requests over HTTP; the server goes first. */
void policy_api_serve(struct policy_api *api, struct server *server);

/* One request without HTTP. done() is called exactly once, perhaps before this returns. */
struct policy_request {
	struct session *session;
	const char *method;
	const char *path;				   /* "/policy/api/v1/infra/segments" */
	const char *(*query)(void *arg, const char *name); /* decoded; NULL: not given */
	void *query_arg;
	const char *body;
	size_t len;
	void (*done)(void *arg, int status, struct buf *body); /* takes the body's content */
	void *arg;
};
struct policy_call;
/* What is returned is gone once done() was called. */
struct policy_call *policy_api_call(struct policy_api *api, const struct policy_request *request);
/* Nobody waits for the answer any more; done() is not called. */
void policy_call_abandon(struct policy_call *call);

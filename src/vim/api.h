/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API engine put together, as a host or as a manager serves it: one call makes the service, the
 * ServiceInstance and the managers that every endpoint has, under the identifiers that clients
 * expect. Programs add the rest: the root folder (id api_root_id()), their own managers
 * (api_content_set()) and their handlers.
 *
 * What AboutInfo says: `name`, `productLineId` and `apiType` are identifiers that clients compare
 * (libvirt wants productLineId embeddedEsx or vpx and an apiVersion of numbers, Terraform a `build`
 * of digits, scripts look for the two values of `name`), so they are the ones of the product whose
 * API this is; `vendor`, `fullName` and `licenseProductName` say what this really is.
 *
 * The struct is made by api_new() and owns all it points to, but for the loop, the clock and the
 * users. Event-loop thread only.
 */
#ifndef VIM_API_H
#define VIM_API_H

#include <uv.h>

#include "base/clock.h"
#include "base/error.h"
#include "vim/inventory.h"
#include "vim/service.h"
#include "vim/session.h"
#include "vim/user.h"

enum api_kind {
	API_HOST,  /* as ESXi: HostAgent, "ha-folder-root" */
	API_CENTER /* as vCenter: VirtualCenter, "group-d1" */
};

struct api_config {
	enum api_kind kind;
	uv_loop_t *loop;
	struct clock *clock;
	const char *instance_uuid; /* the node's; stays the same over restarts */
	const char *build;	   /* digits; NULL: "1" */
	struct user_store *users;
	const char *admin;	      /* see session_config; NULL: root */
	const char *permissions_path; /* NULL: only in memory */
	int64_t idle_limit_ms;	      /* of sessions; 0: 30 minutes */
};

struct api {
	enum api_kind kind;
	struct inventory *inventory;
	struct service *service;
	struct session_manager *sessions;
	struct collector_manager *collectors;
	struct view_manager *views;
	struct search_index *search;
	struct task_manager *tasks;
	struct event_manager *events;
	struct object *instance; /* ServiceInstance */
	struct api_turn *turn;	 /* publishes changes at the end of each turn of the loop */
};

/* NULL when what is stored (permissions) cannot be read. */
struct api *api_new(const struct api_config *config, struct error *e);
/* After server_free() and whatever uses its members; the objects that programs added go with the
 * inventory. The loop must turn once more before it is closed. */
void api_free(struct api *api);

const char *api_root_id(enum api_kind kind);

/* Names a manager in ServiceContent: field is F_ServiceContent_…; its type must fit. */
void api_content_set(struct api *api, unsigned field, const struct object *manager);

#endif

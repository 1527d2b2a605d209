/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding hosts, and looking at one without adding it (vSphere API Folder.AddStandaloneHost_Task,
 * ClusterComputeResource.AddHost_Task, Datacenter.QueryConnectionInfo).
 *
 *   checked --link up--> its whole inventory is known --> entered, or shown and forgotten
 *           \--link down--> failed with a typed fault
 *
 * Nothing is in database or inventory before the host has shown what it has.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "center/folder.h"
#include "center/member.h"
#include "center/member_methods.h"
#include "center/place.h"
#include "vim/fault.h"

LOG_MODULE("host");

struct adding {
	struct list_node link; /* hosts.addings */
	struct hosts *hs;
	struct member *m;
	struct task *task;	   /* adding, or NULL: */
	struct call *call;	   /* only looking */
	struct arena *arena;	   /* of either, as long as it is there */
	const struct value *place; /* kept reference: host folder or cluster */
	char *name;		   /* as the client calls it */
	bool as_connected;
	bool is_forced;
	struct timer *later; /* to free what calls us */
};

/* ---- the end ---- */

static void adding_free(struct adding *x)
{
	list_remove(&x->link);
	if (x->m != NULL) {
		x->m->adding = NULL;
		member_free(x->m);
	}
	timer_free(x->later);
	value_drop(x->place);
	free(x->name);
	free(x);
}

static void on_later(void *arg)
{
	adding_free(arg);
}

/* Answers, and frees what the link is about to return into. */
static void adding_fail(struct adding *x, const struct value *fault, const char *text)
{
	char why[300];

	snprintf(why, sizeof(why), "%s", text);
	if (x->task != NULL) {
		struct arena *a = task_arena(x->task);
		struct value *event = value_new(a, T_HostAddFailedEvent);
		char said[400];
		value_set_str(a, event, F_HostAddFailedEvent_hostname, x->name);
		snprintf(said, sizeof(said), "Cannot add host %s: %s", x->name, why);
		center_post(x->hs->center, a, event,
			    inventory_find_ref(x->hs->center->inventory, x->place),
			    task_user(x->task), said);
		task_fail(x->task, fault, "%s", why);
	} else if (x->call != NULL) {
		call_fault(x->call, fault, "%s", why);
	}
	x->task = NULL;
	x->call = NULL;
	timer_start(x->later, 0, 0);
}

void adding_stop(struct hosts *hs)
{
	list_each_safe (struct adding, x, &hs->addings, link) {
		if (x->task != NULL || x->call != NULL) {
			adding_fail(x, fault_new(x->arena, T_RequestCanceled),
				    "the manager is being stopped");
		}
		adding_free(x);
	}
}

/* ---- what the host says of itself ---- */

static struct object *system_over_there(const struct adding *x)
{
	struct inventory *inv = link_inventory(x->m->link);
	struct object *o;

	for (uint32_t i = 0; (o = inventory_each(inv, &i)) != NULL;) {
		if (schema_is_a(o->type, T_HostSystem)) {
			return o;
		}
	}
	return NULL;
}

static const char *uuid_of(struct object *system, struct arena *a)
{
	const struct value *hw = value_get_value(object_get(system, P_HostSystem_summary, a),
						 F_HostListSummary_hardware);

	return value_get_str(hw, F_HostHardwareSummary_uuid);
}

static bool is_address(const char *s)
{
	struct in6_addr any;

	return inet_pton(AF_INET, s, &any) == 1 || inet_pton(AF_INET6, s, &any) == 1;
}

/* Whoever adds a host by a bare address sees it under the name that it has of itself. */
static const char *shown_name(struct adding *x, struct object *system, struct object *folder)
{
	const char *own = object_get_str(system, P_ManagedEntity_name);

	if (!is_address(x->name) || own == NULL || own[0] == '\0' || is_address(own) ||
	    strncmp(own, "localhost", 9) == 0 || place_child(x->hs->center, folder, own) != NULL) {
		return x->name;
	}
	return own;
}

static struct member *member_by_uuid(struct hosts *hs, const char *uuid)
{
	list_each (struct member, m, &hs->members, link_node) {
		if (m->uuid != NULL && m->uuid[0] != '\0' && strcmp(m->uuid, uuid) == 0) {
			return m;
		}
	}
	return NULL;
}

static struct member *member_by_address(struct hosts *hs, const char *address, uint16_t port)
{
	list_each (struct member, m, &hs->members, link_node) {
		if (m->address != NULL && strcasecmp(m->address, address) == 0 && m->port == port) {
			return m;
		}
	}
	return NULL;
}

static struct value *already_connected(struct arena *a, const struct member *m)
{
	struct value *fault = fault_new(a, T_AlreadyConnected);

	value_set_str(a, fault, F_AlreadyConnected_name, member_name(m));
	return fault;
}

/* ---- the link is up ---- */

static bool is_managed(struct adding *x, struct object *system)
{
	struct arena *a = x->arena;
	const char *by = value_get_str(object_get(system, P_HostSystem_summary, a),
				       F_HostListSummary_managementServerIp);

	if (by == NULL || by[0] == '\0' || x->is_forced) {
		return false;
	}
	struct value *fault = fault_new(a, T_AlreadyBeingManaged);
	value_set_str(a, fault, F_AlreadyBeingManaged_ipAddress, by);
	adding_fail(x, fault, "the host is managed by another manager");
	return true;
}

static void entered(struct adding *x)
{
	struct member *m = x->m;
	struct object *result = m->system;
	struct object *place = inventory_find_ref(x->hs->center->inventory, x->place);

	member_post(m, T_HostAddedEvent, task_user(x->task), "Added host %s to datacenter %s",
		    member_name(m), place_name(place_datacenter(m->system)));
	member_post(m, T_HostConnectedEvent, "", "Established a connection to host %s",
		    member_name(m));
	if (!x->as_connected) {
		member_disconnect(m);
		database_begin(m->center->db);
		member_write(m);
		database_commit(m->center->db, NULL);
	}
	if (schema_is_a(place->type, T_Folder)) {
		result = place_parent(m->system);
	}
	log_info("host \"%s\" was added", member_name(m));
	m->adding = NULL;
	x->m = NULL;
	task_done(x->task, result->ref);
	x->task = NULL;
	timer_start(x->later, 0, 0);
}

static void enter(struct adding *x, struct object *system)
{
	struct center *c = x->hs->center;
	struct arena *a = x->arena;
	struct object *place = inventory_find_ref(c->inventory, x->place);
	struct error e;

	if (place == NULL) {
		adding_fail(x, fault_not_found(a, x->place), "the place for it has gone meanwhile");
		return;
	}
	const char *name = shown_name(x, system, place);
	struct object *other = place_child(c, place, name);
	if (other != NULL) {
		adding_fail(x, fault_duplicate_name(a, name, other),
			    arena_printf(a, "the name \"%s\" exists already in \"%s\"", name,
					 place_name(place)));
		return;
	}
	const char *uuid = uuid_of(system, a);
	free(x->m->uuid);
	x->m->uuid = mem_strdup(uuid == NULL ? "" : uuid);
	if (!member_enter(x->m, place, name, &e)) {
		adding_fail(x, fault_from_error(a, &e), e.msg);
		return;
	}
	entered(x);
}

void adding_up(struct adding *x)
{
	struct object *system = system_over_there(x);
	struct arena *a = x->arena;
	const char *uuid = system == NULL ? NULL : uuid_of(system, a);
	struct member *same = uuid == NULL ? NULL : member_by_uuid(x->hs, uuid);

	if (system == NULL) {
		adding_fail(x, fault_new(a, T_NotSupportedHost),
			    "it shows no host in its inventory");
		return;
	}
	if (x->call != NULL) {
		call_return(x->call, member_connect_info(x->m, system, a));
		x->call = NULL;
		timer_start(x->later, 0, 0);
		return;
	}
	if (same == NULL) { /* added while this one was on its way */
		same = member_by_address(x->hs, x->m->address, x->m->port);
	}
	if (same != NULL) {
		adding_fail(x, already_connected(a, same),
			    arena_printf(a, "it is managed already, as \"%s\"", member_name(same)));
		return;
	}
	if (!is_managed(x, system)) {
		enter(x, system);
	}
}

void adding_down(struct adding *x, const struct link_failure *why)
{
	if (x->task != NULL || x->call != NULL) {
		adding_fail(x, member_fault(x->arena, x->name, why), why->text);
	}
}

/* ---- beginning ---- */

/* "host:8443" says the port, too, for clients that have no other place for it. */
static const char *address_of(const struct value *spec, struct arena *a, int64_t *port)
{
	const char *name = value_get_str(spec, F_HostConnectSpec_hostName);
	const char *colon = name == NULL ? NULL : strchr(name, ':');

	*port = value_get_num(spec, F_HostConnectSpec_port, 443);
	if (colon != NULL && strchr(colon + 1, ':') == NULL && number_i64(colon + 1, port)) {
		return arena_strndup(a, name, (size_t)(colon - name));
	}
	return name == NULL ? "" : name;
}

/* False and *fault set when the specification itself is no good. */
static bool spec_check(struct hosts *hs, const char *name, int64_t port, struct arena *a,
		       const struct value **fault, const char **text)
{
	if (name[0] == '\0' || strlen(name) > 253 || strpbrk(name, " /\\%@?#[]\t\r\n") != NULL) {
		*fault = fault_invalid_argument(a, "spec.hostName");
		*text = arena_printf(a, "\"%.60s\" is no name or address of a host", name);
		return false;
	}
	if (port < 1 || port > UINT16_MAX) {
		*fault = fault_invalid_argument(a, "spec.port");
		*text = arena_printf(a, "port %lld is not between 1 and 65535", (long long)port);
		return false;
	}
	struct member *same = member_by_address(hs, name, (uint16_t)port);
	if (same != NULL) {
		*fault = already_connected(a, same);
		*text = arena_printf(a, "it is managed already, as \"%s\"", member_name(same));
	}
	return same == NULL;
}

static const char *or_empty(const char *s)
{
	return s == NULL ? "" : s;
}

/* x->task or x->call is set. */
static void adding_begin(struct adding *x, const struct value *spec)
{
	struct arena *a = x->arena;
	const struct value *fault = NULL;
	const char *text = NULL;
	struct error e;
	int64_t port;
	const char *address = address_of(spec, a, &port);
	struct member_address at = {
		.address = address,
		.port = (uint16_t)port,
		.user = or_empty(value_get_str(spec, F_HostConnectSpec_userName)),
		.password = or_empty(value_get_str(spec, F_HostConnectSpec_password)),
		.thumbprint = value_get_str(spec, F_HostConnectSpec_sslThumbprint),
	};

	x->name = mem_strdup(address);
	x->is_forced = value_get_bool(spec, F_HostConnectSpec_force, false);
	x->later = timer_new(x->hs->center->loop, x->hs->center->clock, on_later, x);
	list_push_back(&x->hs->addings, &x->link);
	if (!spec_check(x->hs, address, port, a, &fault, &text)) {
		adding_fail(x, fault, text);
		return;
	}
	x->m = member_new(x->hs, &at);
	x->m->adding = x;
	if (!member_make_link(x->m, &e)) {
		adding_fail(x, fault_invalid_argument(a, "spec.sslThumbprint"), e.msg);
		return;
	}
	link_open(x->m->link);
}

static struct adding *adding_new(struct call *c)
{
	struct adding *x = mem_zalloc(sizeof(*x));

	x->hs = call_arg(c);
	x->place = value_hold(c->self->ref);
	return x;
}

static void add(struct call *c, unsigned spec, unsigned connected)
{
	struct adding *x = adding_new(c);

	x->as_connected = value_get_bool(c->args, connected, true);
	x->task = task_begin(c, x->hs->center->api->tasks);
	x->arena = task_arena(x->task);
	adding_begin(x, value_get_value(task_args(x->task), spec));
}

static void add_standalone(struct call *c)
{
	if (folder_kind(c->self) != FOLDER_HOST) {
		call_fault(c, fault_new(c->arena, T_NotSupported),
			   "folder \"%s\" is not one for hosts", place_name(c->self));
		return;
	}
	add(c, A_Folder_AddStandaloneHost_Task_spec, A_Folder_AddStandaloneHost_Task_addConnected);
}

static void add_to_cluster(struct call *c)
{
	add(c, A_ClusterComputeResource_AddHost_Task_spec,
	    A_ClusterComputeResource_AddHost_Task_asConnected);
}

static void query_connection(struct call *c)
{
	struct value *spec = value_new(c->arena, T_HostConnectSpec);

	value_set_str(c->arena, spec, F_HostConnectSpec_hostName,
		      value_get_str(c->args, A_Datacenter_QueryConnectionInfo_hostname));
	value_set_num(c->arena, spec, F_HostConnectSpec_port,
		      value_get_num(c->args, A_Datacenter_QueryConnectionInfo_port, 443));
	value_set_str(c->arena, spec, F_HostConnectSpec_userName,
		      value_get_str(c->args, A_Datacenter_QueryConnectionInfo_username));
	value_set_str(c->arena, spec, F_HostConnectSpec_password,
		      value_get_str(c->args, A_Datacenter_QueryConnectionInfo_password));
	value_set_str(c->arena, spec, F_HostConnectSpec_sslThumbprint,
		      value_get_str(c->args, A_Datacenter_QueryConnectionInfo_sslThumbprint));
	struct adding *x = adding_new(c);
	x->call = c;
	x->arena = c->arena;
	adding_begin(x, spec);
}

static void query_connection_spec(struct call *c)
{
	struct adding *x = adding_new(c);

	x->call = c;
	x->arena = c->arena;
	adding_begin(x, value_get_value(c->args, A_Datacenter_QueryConnectionInfoViaSpec_spec));
}

void member_register_adding(struct hosts *hs)
{
	struct service *s = hs->center->api->service;

	service_handle(s, T_Folder, M_Folder_AddStandaloneHost_Task, add_standalone, hs);
	service_handle(s, T_ClusterComputeResource, M_ClusterComputeResource_AddHost_Task,
		       add_to_cluster, hs);
	service_handle(s, T_Datacenter, M_Datacenter_QueryConnectionInfo, query_connection, hs);
	service_handle(s, T_Datacenter, M_Datacenter_QueryConnectionInfoViaSpec,
		       query_connection_spec, hs);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of HostSystem that are the manager's: connecting, removing, telling of the connection. */
#include "center/member_methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/place.h"
#include "vim/fault.h"

LOG_MODULE("host");

/* NULL: the call is over, the object is no host that can be reached. */
static struct member *member_of_call(struct call *c)
{
	struct member *m = member_of_host(c->self);

	if (m == NULL) {
		call_fault(c, fault_new(c->arena, T_NotSupported), "\"%s\" is no connected host",
			   object_id(c->self));
	}
	return m;
}

static bool write_now(struct member *m, struct error *e)
{
	database_begin(m->center->db);
	member_write(m);
	return database_commit(m->center->db, e);
}

/* ---- disconnecting, connecting ---- */

static void disconnect(struct call *c)
{
	struct hosts *hs = call_arg(c);
	struct member *m = member_of_call(c);
	struct error e;

	if (m == NULL) {
		return;
	}
	struct task *t = task_begin(c, hs->center->api->tasks);
	if (m->state == MEMBER_DISCONNECTED) {
		task_fail(t, fault_new(task_arena(t), T_InvalidState),
			  "host \"%s\" is disconnected already", member_name(m));
		return;
	}
	m->is_wanted = false;
	if (!write_now(m, &e)) {
		m->is_wanted = true;
		task_fail_error(t, &e);
		return;
	}
	member_disconnect(m);
	member_post(m, T_HostDisconnectedEvent, task_user(t), "Disconnected from host %s",
		    member_name(m));
	log_info("host \"%s\" was disconnected", member_name(m));
	task_done(t, NULL);
}

static void replace(char **field, const char *with)
{
	if (with != NULL) {
		free(*field);
		*field = mem_strdup(with);
	}
}

/* New credentials make a new link; what was seen through the old one is seen anew. */
static bool readdress(struct member *m, const struct value *spec, struct error *e)
{
	char *thumbprint = m->thumbprint == NULL ? NULL : mem_strdup(m->thumbprint);
	struct link *old = m->link;

	replace(&m->user, value_get_str(spec, F_HostConnectSpec_userName));
	replace(&m->password, value_get_str(spec, F_HostConnectSpec_password));
	replace(&m->thumbprint, value_get_str(spec, F_HostConnectSpec_sslThumbprint));
	if (!member_make_link(m, e)) {
		m->link = old;
		free(m->thumbprint);
		m->thumbprint = thumbprint;
		return false;
	}
	free(thumbprint);
	mirror_detach_known(&m->mirror);
	link_free(old);
	return true;
}

static void reconnect(struct call *c)
{
	struct hosts *hs = call_arg(c);
	struct member *m = member_of_call(c);
	struct error e;

	if (m == NULL) {
		return;
	}
	struct task *t = task_begin(c, hs->center->api->tasks);
	const struct value *spec =
		value_get_value(task_args(t), A_HostSystem_ReconnectHost_Task_cnxSpec);
	if (m->state == MEMBER_CONNECTED && spec == NULL) {
		task_fail(t, fault_new(task_arena(t), T_InvalidState),
			  "host \"%s\" is connected already", member_name(m));
		return;
	}
	if (m->reconnect != NULL) {
		task_fail(t, fault_new(task_arena(t), T_TaskInProgress),
			  "host \"%s\" is being connected", member_name(m));
		return;
	}
	if (spec != NULL && m->address != NULL) {
		member_disconnect(m);
		if (!readdress(m, spec, &e)) {
			task_fail(t, fault_invalid_argument(task_arena(t), "cnxSpec"), "%s", e.msg);
			return;
		}
	}
	m->is_wanted = true;
	if (!write_now(m, &e)) {
		m->is_wanted = m->state != MEMBER_DISCONNECTED;
		task_fail_error(t, &e);
		return;
	}
	m->reconnect = t;
	member_connect(m);
}

/* ---- removing ---- */

static void destroy(struct call *c)
{
	struct hosts *hs = call_arg(c);
	struct member *m = member_of_call(c);

	if (m == NULL || !call_require(c, c->self, "Host.Inventory.RemoveHostFromCluster")) {
		return;
	}
	struct task *t = task_begin(c, hs->center->api->tasks);
	struct error e;
	char *name = mem_strdup(member_name(m));
	struct object *dc = place_datacenter(m->system);
	const struct value *in_maintenance =
		object_get(m->system, P_HostSystem_runtime, task_arena(t));

	if (m->state == MEMBER_CONNECTED && compute_is_cluster(compute_of_host(m->system)) &&
	    !value_get_bool(in_maintenance, F_HostRuntimeInfo_inMaintenanceMode, false)) {
		task_fail(t, fault_new(task_arena(t), T_InvalidState),
			  "host \"%s\" is neither disconnected nor in maintenance mode", name);
		free(name);
		return;
	}
	if (!member_remove(m, &e)) {
		task_fail_error(t, &e);
		free(name);
		return;
	}
	struct arena *a = task_arena(t);
	char text[320];
	snprintf(text, sizeof(text), "Removed host %s", name);
	center_post(hs->center, a, value_new(a, T_HostRemovedEvent), dc, task_user(t), text);
	log_info("host \"%s\" was removed", name);
	free(name);
	task_done(t, NULL);
}

/* ---- telling ---- */

static struct value *connect_network(struct object *network, struct arena *a)
{
	struct value *v = value_new(a, T_HostNewNetworkConnectInfo);

	value_set(a, v, F_HostConnectInfoNetworkInfo_summary,
		  object_get(network, P_Network_summary, a));
	return v;
}

static struct value *connect_datastore(struct object *store, struct arena *a)
{
	struct value *v = value_new(a, T_HostDatastoreConnectInfo);

	value_set(a, v, F_HostDatastoreConnectInfo_summary,
		  object_get(store, P_Datastore_summary, a));
	return v;
}

struct value *member_connect_info(struct member *m, struct object *system, struct arena *a)
{
	struct inventory *inv = link_inventory(m->link);
	struct value *v = value_new(a, T_HostConnectInfo);
	struct value *vms = value_new_array(a, T_VirtualMachineSummary);
	struct value *networks = value_new_array(a, T_HostConnectInfoNetworkInfo);
	struct value *stores = value_new_array(a, T_HostDatastoreConnectInfo);
	struct object *o;

	for (uint32_t i = 0; (o = inventory_each(inv, &i)) != NULL;) {
		if (schema_is_a(o->type, T_VirtualMachine)) {
			value_push(a, vms, object_get(o, P_VirtualMachine_summary, a));
		} else if (schema_is_a(o->type, T_Network)) {
			value_push(a, networks, connect_network(o, a));
		} else if (schema_is_a(o->type, T_Datastore)) {
			value_push(a, stores, connect_datastore(o, a));
		}
	}
	value_set(a, v, F_HostConnectInfo_host, object_get(system, P_HostSystem_summary, a));
	value_set(a, v, F_HostConnectInfo_vm, vms);
	value_set(a, v, F_HostConnectInfo_network, networks);
	value_set(a, v, F_HostConnectInfo_datastore, stores);
	value_set_bool(a, v, F_HostConnectInfo_vimAccountNameRequired, false);
	value_set_bool(a, v, F_HostConnectInfo_clusterSupported, true);
	return v;
}

static void query_connection(struct call *c)
{
	struct member *m = member_of_call(c);

	if (m == NULL) {
		return;
	}
	struct mirror_source *s = mirrored_source(mirrored_of(c->self));
	if (m->state != MEMBER_CONNECTED || s->object == NULL) {
		call_fault(c, fault_new(c->arena, T_HostNotConnected),
			   "host \"%s\" is not connected", member_name(m));
		return;
	}
	call_return(c, mirror_import(&m->mirror, member_connect_info(m, s->object, c->arena),
				     c->arena));
}

void member_register(struct hosts *hs)
{
	struct service *s = hs->center->api->service;

	member_register_adding(hs);
	service_handle(s, T_HostSystem, M_HostSystem_DisconnectHost_Task, disconnect, hs);
	service_handle(s, T_HostSystem, M_HostSystem_ReconnectHost_Task, reconnect, hs);
	service_handle(s, T_HostSystem, M_ManagedEntity_Destroy_Task, destroy, hs);
	service_handle(s, T_HostSystem, M_HostSystem_QueryHostConnectionInfo, query_connection, hs);
}

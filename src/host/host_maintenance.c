/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maintenance mode, and the questions that a manager asks of a host (vSphere API HostSystem).
 *
 * Entering waits until no VM runs any more:
 *
 *   normal --EnterMaintenanceMode_Task--> entering --no VM really runs--> maintenance
 *   entering --time-out, cancel--> normal     maintenance --ExitMaintenanceMode_Task--> normal
 *
 * 1. While entering and in maintenance no VM is made or started: host_accepts_vms().
 * 2. Maintenance mode is on disk (host.json) before the task ends.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/draft.h"
#include "host/host_impl.h"
#include "vim/fault.h"

LOG_MODULE("host");

enum {
	POLL_MS = 500
};

struct host_maintenance {
	struct task *entering; /* NULL: not entering */
	struct timer *timer;   /* looks whether VMs still run */
	int64_t deadline_us;   /* monotonic; 0: none */
};

static bool maintenance_save(struct host *h, bool on, struct error *e)
{
	struct json_object *doc = json_object_new_object();

	json_put_bool(doc, "maintenance", on);
	bool ok = host_state_write(h, "host.json", doc, e);
	json_object_put(doc);
	return ok;
}

static void maintenance_load(struct host *h)
{
	struct error e;
	struct json_object *doc = host_state_read(h, "host.json", &e);

	if (doc == NULL) {
		if (e.kind != ERROR_NOT_FOUND) {
			log_warn("%s", e.msg);
		}
		return;
	}
	struct json_at at = json_root(doc);
	if (!json_get_bool(&at, "maintenance", &h->in_maintenance, &e)) {
		log_warn("host.json: %s", e.msg);
	}
	json_object_put(doc);
	host_system_set_runtime(h);
}

static void host_event(struct host *h, uint16_t type, const char *user, const char *what)
{
	struct arena *a = arena_new(0);

	event_post(h->api.events, a, value_new(a, type), h->system, user, "Host %s %s",
		   h->node.name, what);
	arena_free(a);
}

/* The task that waited is over, one way or another. */
static struct task *entering_end(struct host *h)
{
	struct task *t = h->maintenance->entering;

	h->maintenance->entering = NULL;
	h->is_entering_maintenance = false;
	timer_stop(h->maintenance->timer);
	task_set_cancel(t, NULL, NULL);
	return t;
}

static void maintenance_set(struct host *h, struct task *t, bool on)
{
	struct error e;

	if (!maintenance_save(h, on, &e)) {
		task_fail_error(t, &e);
		return;
	}
	h->in_maintenance = on;
	host_system_set_runtime(h);
	host_event(h, on ? T_EnteredMaintenanceModeEvent : T_ExitMaintenanceModeEvent, task_user(t),
		   on ? "has entered maintenance mode" : "has left maintenance mode");
	task_done(t, NULL);
}

static void entering_check(void *arg)
{
	struct host *h = arg;
	struct host_maintenance *m = h->maintenance;
	size_t n = host_n_running(h);

	if (n == 0) {
		maintenance_set(h, entering_end(h), true);
	} else if (m->deadline_us != 0 && clock_mono_us(h->clock) >= m->deadline_us) {
		struct task *t = entering_end(h);
		task_fail(t, fault_new(task_arena(t), T_Timedout),
			  "host \"%s\" still runs %zu VM(s): it does not enter maintenance mode",
			  h->node.name, n);
	}
}

static void entering_cancel(void *arg)
{
	struct host *h = arg;
	struct task *t = entering_end(h);

	task_fail(t, fault_new(task_arena(t), T_RequestCanceled),
		  "The task was canceled by a user.");
}

static void enter_maintenance(struct call *c)
{
	struct host *h = call_arg(c);
	struct host_maintenance *m = h->maintenance;
	int64_t timeout_s =
		value_get_num(c->args, A_HostSystem_EnterMaintenanceMode_Task_timeout, 0);

	if (h->in_maintenance || m->entering != NULL) {
		call_fault(c, fault_new(c->arena, T_InvalidState),
			   "host \"%s\" is in maintenance mode or about to enter it", h->node.name);
		return;
	}
	m->entering = task_begin(c, h->api.tasks);
	h->is_entering_maintenance = true;
	m->deadline_us = timeout_s <= 0 ? 0 : clock_mono_us(h->clock) + timeout_s * 1000000;
	task_set_cancel(m->entering, entering_cancel, h);
	host_event(h, T_EnteringMaintenanceModeEvent, task_user(m->entering),
		   "has started to enter maintenance mode");
	/* Where VMs only pretend to run, nobody is there to move them or to shut them down. */
	if (h->simulated || host_n_running(h) == 0) {
		maintenance_set(h, entering_end(h), true);
	} else {
		timer_start(m->timer, POLL_MS, POLL_MS);
	}
}

static void exit_maintenance(struct call *c)
{
	struct host *h = call_arg(c);

	if (!h->in_maintenance) {
		call_fault(c, fault_new(c->arena, T_InvalidState),
			   "host \"%s\" is not in maintenance mode", h->node.name);
		return;
	}
	maintenance_set(h, task_begin(c, h->api.tasks), false);
}

/* ---- what a manager asks before it adds the host ---- */

static struct value *connect_vms(struct host *h, struct arena *a)
{
	const struct value *vms = object_get(h->system, P_HostSystem_vm, a);
	struct value *list = value_new_array(a, T_VirtualMachineSummary);

	for (size_t i = 0; i < value_count(vms); i++) {
		struct object *vm = inventory_find_ref(h->inventory, value_item(vms, i));
		const struct value *s =
			vm == NULL ? NULL : object_get(vm, P_VirtualMachine_summary, a);
		if (s != NULL) {
			value_push(a, list, s);
		}
	}
	return list;
}

static void query_connection_info(struct call *c)
{
	struct host *h = call_arg(c);
	struct arena *a = c->arena;
	struct value *v = value_new(a, T_HostConnectInfo);
	struct value *nets = value_new_array(a, T_HostConnectInfoNetworkInfo);
	struct value *stores = value_new_array(a, T_HostDatastoreConnectInfo);
	const struct value *summary = object_get(h->system, P_HostSystem_summary, a);

	list_each (struct host_network, net, &h->networks, link) {
		struct value *x = value_new(a, T_HostConnectInfoNetworkInfo);
		value_set(a, x, F_HostConnectInfoNetworkInfo_summary,
			  object_get(net->object, P_Network_summary, a));
		value_push(a, nets, x);
	}
	list_each (struct host_datastore, d, &h->datastores, link) {
		struct value *x = value_new(a, T_HostDatastoreConnectInfo);
		value_set(a, x, F_HostDatastoreConnectInfo_summary,
			  object_get(d->object, P_Datastore_summary, a));
		value_push(a, stores, x);
	}
	const char *manager = value_get_str(summary, F_HostListSummary_managementServerIp);
	if (manager != NULL) {
		value_set_str(a, v, F_HostConnectInfo_serverIp, manager);
	}
	value_set(a, v, F_HostConnectInfo_host, summary);
	value_set(a, v, F_HostConnectInfo_vm, connect_vms(h, a));
	value_set_bool(a, v, F_HostConnectInfo_vimAccountNameRequired, false);
	value_set_bool(a, v, F_HostConnectInfo_clusterSupported, true);
	value_set(a, v, F_HostConnectInfo_network, nets);
	value_set(a, v, F_HostConnectInfo_datastore, stores);
	value_set(a, v, F_HostConnectInfo_capability,
		  object_get(h->system, P_HostSystem_capability, a));
	call_return(c, v);
}

static void hardware_uptime(struct call *c)
{
	struct host *h = call_arg(c);

	call_return(
		c, value_new_long(c->arena, (clock_wall_us(h->clock) - h->boot_time_us) / 1000000));
}

void host_maintenance_register(struct host *h)
{
	struct service *s = h->api.service;

	h->maintenance = mem_zalloc(sizeof(*h->maintenance));
	h->maintenance->timer = timer_new(h->loop, h->clock, entering_check, h);
	maintenance_load(h);
	service_handle(s, T_HostSystem, M_HostSystem_EnterMaintenanceMode_Task, enter_maintenance,
		       h);
	service_handle(s, T_HostSystem, M_HostSystem_ExitMaintenanceMode_Task, exit_maintenance, h);
	service_handle(s, T_HostSystem, M_HostSystem_QueryHostConnectionInfo, query_connection_info,
		       h);
	service_handle(s, T_HostSystem, M_HostSystem_RetrieveHardwareUptime, hardware_uptime, h);
}

void host_maintenance_stop(struct host *h)
{
	struct host_maintenance *m = h->maintenance;

	if (m == NULL) {
		return;
	}
	if (m->entering != NULL) {
		struct task *t = entering_end(h);
		task_fail(t, fault_new(task_arena(t), T_RequestCanceled), "the host's agent ends");
	}
	timer_free(m->timer);
	free(m);
	h->maintenance = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs come into being: which host is to have one, and where it then stands here (vSphere API
 * Folder.CreateVM_Task, Folder.RegisterVM_Task).
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "center/compute.h"
#include "center/dvs_join.h"
#include "center/expectation.h"
#include "center/folder.h"
#include "center/forward.h"
#include "center/place.h"
#include "vim/fault.h"

struct creation {
	struct forward f;
	struct expectation expectation;
	struct dvs_join *join; /* NULL: no card joins a distributed switch */
};

static struct creation *creation_of(struct forward *f)
{
	return CONTAINER_OF(f, struct creation, f);
}

static void creation_end(struct forward *f)
{
	struct creation *x = creation_of(f);

	expect_end(&x->expectation);
	dvs_join_end(x->join);
	free(x);
}

/* ---- which host ---- */

/* Name in "[name] …"; its length, or 0. */
static size_t store_name(const char *path)
{
	const char *end = path != NULL && path[0] == '[' ? strchr(path, ']') : NULL;

	return end == NULL ? 0 : (size_t)(end - path - 1);
}

/* Share of memory in use, in thousandths; INT64_MAX: takes no VMs. */
static int64_t load_of(struct member *m, const char *path, struct arena *a)
{
	const struct value *summary = object_get(m->system, P_HostSystem_summary, a);
	const struct value *hw = value_get_value(summary, F_HostListSummary_hardware);
	const struct value *stats = value_get_value(summary, F_HostListSummary_quickStats);
	const struct value *runtime = value_get_value(summary, F_HostListSummary_runtime);
	int64_t mib = value_get_num(hw, F_HostHardwareSummary_memorySize, 0) >> 20;
	int64_t used = value_get_num(stats, F_HostListSummaryQuickStats_overallMemoryUsage, 0);
	size_t n = store_name(path);

	if (m->state != MEMBER_CONNECTED ||
	    value_get_bool(runtime, F_HostRuntimeInfo_inMaintenanceMode, false) ||
	    (n > 0 && !mirror_has_datastore(&m->mirror, path + 1, n))) {
		return INT64_MAX;
	}
	return mib <= 0 ? INT64_MAX - 1 : used * 1000 / mib;
}

static struct member *least_loaded(struct object *compute, const char *path, struct arena *a)
{
	struct member *best = NULL;
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < place_count(compute, P_ComputeResource_host); i++) {
		struct object *host = place_at(compute, P_ComputeResource_host, i);
		struct member *m = host == NULL ? NULL : member_of_host(host);
		int64_t load = m == NULL ? INT64_MAX : load_of(m, path, a);
		if (load < least) {
			best = m;
			least = load;
		}
	}
	return best;
}

/* The call is over when it returns NULL. */
static struct member *choose(struct call *c, struct object *compute, struct object *host,
			     const char *path)
{
	if (host != NULL) {
		if (compute_of_host(host) != compute) {
			call_fault(c, fault_invalid_argument(c->arena, "host"),
				   "host \"%s\" is not in \"%s\", where the pool is",
				   place_name(host), place_name(compute));
			return NULL;
		}
		return member_of_host(host);
	}
	if (!compute_is_cluster(compute)) {
		host = place_at(compute, P_ComputeResource_host, 0);
		return host == NULL ? NULL : member_of_host(host);
	}
	struct member *m = least_loaded(compute, path, c->arena);
	if (m == NULL) {
		call_fault(c, fault_new(c->arena, T_NoCompatibleHost),
			   "no host of \"%s\" is connected and has the datastore of \"%s\"",
			   place_name(compute), path == NULL ? "" : path);
	}
	return m;
}

/* ---- creating, registering ---- */

struct order {
	unsigned pool, host;	    /* arguments */
	const char *name;	    /* of the VM; NULL: the file says it */
	const char *path;	    /* "[datastore] …" */
	const struct value *config; /* what it is made from; NULL: the file says it */
};

static bool folder_ok(struct call *c, const char *name)
{
	struct hosts *hs = call_arg(c);
	struct object *other = name == NULL ? NULL : place_child(hs->center, c->self, name);

	if (folder_kind(c->self) != FOLDER_VM) {
		call_fault(c, fault_new(c->arena, T_NotSupported),
			   "folder \"%s\" is not one for VMs", place_name(c->self));
		return false;
	}
	if (other != NULL) {
		call_fault(c, fault_duplicate_name(c->arena, name, other),
			   "the name \"%s\" exists already in \"%s\"", name, place_name(c->self));
		return false;
	}
	return true;
}

/* The arguments with the host named: a cluster's pool is not enough over there. */
static struct value *with_host(struct call *c, unsigned arg, const struct member *m)
{
	struct value *args = value_edit(c->arena, c->args);

	value_set(c->arena, args, arg, m->system->ref);
	return args;
}

/* The order goes to the host; with cards that join switches, once these are there. */
static void creation_send(struct call *c, struct creation *x, const struct value *config)
{
	struct member *m = x->f.mirror->member;

	if (!dvs_join_is_asked(config)) {
		forward_call(&x->f, c);
		return;
	}
	x->join = dvs_join_begin(c, m, NULL, &config);
	if (x->join == NULL) {
		creation_end(&x->f);
		return;
	}
	struct value *args = value_edit(c->arena, x->f.args);
	value_set(c->arena, args, A_Folder_CreateVM_Task_config, config);
	x->f.args = args;
	dvs_join_forward(x->join, &x->f, c);
}

static void begin(struct call *c, const struct order *order, struct object *pool,
		  struct object *host)
{
	struct object *compute = compute_of_pool(pool);
	struct member *m = choose(c, compute, host, order->path);

	if (m == NULL) {
		return;
	}
	if (!forward_is_reachable(m, c)) {
		return;
	}
	if (!call_require(c, pool, "Resource.AssignVMToPool")) {
		return;
	}
	struct creation *x = mem_zalloc(sizeof(*x));
	const struct value *there = NULL;
	if (order->name == NULL && order->path != NULL &&
	    mirror_export(&m->mirror, value_new_str(c->arena, order->path), c->arena, &there,
			  NULL)) {
		expect(&x->expectation, &m->mirror, NULL, value_bytes(there), c->self, pool);
	} else {
		expect(&x->expectation, &m->mirror, order->name, NULL, c->self, pool);
	}
	x->f.mirror = &m->mirror;
	x->f.self = m->mirror.folders[0];
	x->f.method = c->method;
	x->f.args = with_host(c, order->host, m);
	x->f.end = creation_end;
	creation_send(c, x, order->config);
}

/* As the host will show it; one that is no good is for the host to refuse. */
static const char *escaped(struct call *c, const char *name)
{
	const char *shown = name == NULL ? NULL : place_escape(c->arena, name, NULL);

	return shown != NULL ? shown : name;
}

static void create_vm(struct call *c)
{
	const struct value *config = value_get_value(c->args, A_Folder_CreateVM_Task_config);
	struct order order = {
		.pool = A_Folder_CreateVM_Task_pool,
		.host = A_Folder_CreateVM_Task_host,
		.name = escaped(c, value_get_str(config, F_VirtualMachineConfigSpec_name)),
		.path = value_get_str(value_get_value(config, F_VirtualMachineConfigSpec_files),
				      F_VirtualMachineFileInfo_vmPathName),
		.config = config,
	};
	bool ok;
	struct object *pool = call_object(c, order.pool, T_ResourcePool, &ok);

	if (!ok) {
		return;
	}
	struct object *host = call_object(c, order.host, T_HostSystem, &ok);
	if (ok && folder_ok(c, order.name)) {
		begin(c, &order, pool, host);
	}
}

static void register_vm(struct call *c)
{
	struct order order = {
		.pool = A_Folder_RegisterVM_Task_pool,
		.host = A_Folder_RegisterVM_Task_host,
		.name = escaped(c, value_get_str(c->args, A_Folder_RegisterVM_Task_name)),
		.path = value_get_str(c->args, A_Folder_RegisterVM_Task_path),
	};
	bool ok;
	struct object *pool = call_object(c, order.pool, T_ResourcePool, &ok);

	if (!ok) {
		return;
	}
	struct object *host = call_object(c, order.host, T_HostSystem, &ok);
	if (!ok || !folder_ok(c, order.name)) {
		return;
	}
	if (pool == NULL && host != NULL) { /* a template needs no pool */
		pool = compute_root_pool(compute_of_host(host));
	}
	if (pool == NULL) {
		call_fault(c, fault_invalid_argument(c->arena, "pool"),
			   "neither a pool nor a host is named");
		return;
	}
	begin(c, &order, pool, host);
}

void forward_register_create(struct hosts *hs)
{
	struct service *s = hs->center->api->service;

	service_handle(s, T_Folder, M_Folder_CreateVM_Task, create_vm, hs);
	service_handle(s, T_Folder, M_Folder_RegisterVM_Task, register_vm, hs);
}

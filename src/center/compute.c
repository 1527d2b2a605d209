/* SPDX-License-Identifier: Apache-2.0 */
#include "center/compute.h"

#include <stdio.h>
#include <string.h>

#include "center/cluster.h"
#include "center/folder.h"
#include "center/place.h"
#include "center/pool.h"
#include "vim/fault.h"

bool compute_is_cluster(const struct object *compute)
{
	return schema_is_a(compute->type, T_ClusterComputeResource);
}

struct object *compute_root_pool(struct object *compute)
{
	return place_ref(compute, P_ComputeResource_resourcePool);
}

struct object *compute_of_host(struct object *host)
{
	struct object *parent = place_parent(host);

	return parent != NULL && schema_is_a(parent->type, T_ComputeResource) ? parent : NULL;
}

struct object *compute_of_pool(struct object *pool)
{
	return place_ref(pool, P_ResourcePool_owner);
}

/* ---- making ---- */

static struct object *compute_new(struct center *c, uint16_t type, const char *id, const char *name,
				  struct object *folder)
{
	struct object *o = place_new(c, type, id, name, folder);
	struct arena *a = arena_new(0);

	inventory_set(o, P_ComputeResource_host, value_new_array(a, T_HostSystem));
	inventory_set(o, P_ComputeResource_datastore, value_new_array(a, T_Datastore));
	inventory_set(o, P_ComputeResource_network, value_new_array(a, T_Network));
	if (type == T_ComputeResource) {
		struct value *config = value_new(a, T_ComputeResourceConfigInfo);
		value_set_str(a, config, F_ComputeResourceConfigInfo_vmSwapPlacement,
			      "vmDirectory");
		value_set_bool(a, config, F_ComputeResourceConfigInfo_spbmEnabled, false);
		inventory_set(o, P_ComputeResource_configurationEx, config);
	}
	arena_free(a);
	return o;
}

struct object *compute_new_cluster(struct center *c, const char *id, const char *name,
				   struct object *folder)
{
	return compute_new(c, T_ClusterComputeResource, id, name, folder);
}

struct object *compute_new_standalone(struct center *c, struct object *folder, const char *name)
{
	char id[CENTER_ID_MAX], pool_id[CENTER_ID_MAX];

	center_new_id(c, "domain-s", id, sizeof(id));
	database_put_entity(c->db, &(struct database_entity){ .id = id,
							      .type = "ComputeResource",
							      .parent = object_id(folder),
							      .name = name });
	pool_write_root(c, pool_id, id);
	struct object *o = compute_new(c, T_ComputeResource, id, name, folder);
	pool_new_root(c, pool_id, o);
	return o;
}

bool compute_load(struct center *c, const struct database_entity *row, struct object *parent,
		  struct error *e)
{
	if (!schema_is_a(parent->type, T_Folder) || folder_kind(parent) != FOLDER_HOST) {
		return error_set(e, ERROR_CORRUPT, "compute resource \"%s\" is in no host folder",
				 row->id);
	}
	if (strcmp(row->type, "ComputeResource") == 0) {
		compute_new(c, T_ComputeResource, row->id, row->name, parent);
		return true;
	}
	struct object *o = compute_new(c, T_ClusterComputeResource, row->id, row->name, parent);
	return cluster_load(o, row, e);
}

/* ---- taking out ---- */

void compute_drop(struct center *c, struct object *compute)
{
	pool_drop_tree(c, compute_root_pool(compute));
	database_drop_entity(c->db, object_id(compute));
}

void compute_remove(struct center *c, struct object *compute)
{
	pool_remove_tree(c, compute_root_pool(compute));
	place_leave(c, compute);
	inventory_remove(compute);
}

/* ---- hosts ---- */

void compute_attach(struct center *c, struct object *compute, struct object *host, const char *name)
{
	if (place_name(host) == NULL) {
		place_enter(c, host, name, compute);
	} else {
		place_move(c, host, compute);
		place_rename(c, host, name);
	}
	inventory_add_ref(compute, P_ComputeResource_host, host);
}

void compute_detach(struct center *c, struct object *host)
{
	struct object *compute = compute_of_host(host);

	if (compute != NULL) {
		inventory_drop_ref(compute, P_ComputeResource_host, host);
	}
	place_leave(c, host);
}

static bool is_emptied_by(struct object *compute, const struct object *host)
{
	return !compute_is_cluster(compute) && place_count(compute, P_ComputeResource_host) == 1 &&
	       compute_of_host(place_at(compute, P_ComputeResource_host, 0)) == compute &&
	       place_at(compute, P_ComputeResource_host, 0) == host;
}

void compute_write_host_move(struct center *c, struct object *host, struct object *to)
{
	struct object *from = compute_of_host(host);
	const char *pool = object_id(compute_root_pool(to));

	database_set_parent(c->db, object_id(host), object_id(to));
	for (size_t i = 0; i < place_count(host, P_HostSystem_vm); i++) {
		struct object *vm = place_at(host, P_HostSystem_vm, i);
		if (vm != NULL) {
			database_set_pool(c->db, object_id(vm), pool);
		}
	}
	if (from != NULL && is_emptied_by(from, host)) {
		compute_drop(c, from);
	}
}

void compute_move_host(struct center *c, struct object *host, struct object *to)
{
	struct object *from = compute_of_host(host);
	bool is_last = from != NULL && is_emptied_by(from, host);
	char name[256];

	snprintf(name, sizeof(name), "%s", place_name(host));
	for (size_t i = 0; i < place_count(host, P_HostSystem_vm); i++) {
		struct object *vm = place_at(host, P_HostSystem_vm, i);
		if (vm != NULL) {
			place_set_pool(c, vm, compute_root_pool(to));
		}
	}
	compute_detach(c, host);
	compute_attach(c, to, host, name);
	if (is_last) {
		compute_remove(c, from);
	}
}

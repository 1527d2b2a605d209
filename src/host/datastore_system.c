/* SPDX-License-Identifier: Apache-2.0 */
/* HostDatastoreSystem's and Datastore's methods (vSphere API): datastores come, change, go. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/draft.h"
#include "host/host_datastore.h"
#include "vim/fault.h"

/* ---- names and users ---- */

static bool name_is_free(struct call *c, struct host *h, const char *name,
			 const struct host_datastore *but)
{
	struct host_datastore *other = host_datastore_find(h, name);
	struct error e;

	if (!datastore_name_check("datastore name", name, &e) ||
	    strlen(name) > DATASTORE_NAME_MAX || strchr(name, '[') != NULL ||
	    strchr(name, ']') != NULL) {
		call_fault(
			c, fault_invalid_name(c->arena, name, h->datastore_folder),
			"\"%.80s\" cannot name a datastore: 1 to %d bytes, no \"/\", no brackets",
			name, DATASTORE_NAME_MAX);
		return false;
	}
	if (other != NULL && other != but) {
		call_fault(c, fault_duplicate_name(c->arena, name, other->object),
			   "a datastore \"%s\" exists already", name);
		return false;
	}
	return true;
}

static bool answer_in_use(struct call *c, const struct host_datastore *d)
{
	const struct value *vms = object_get(d->object, P_Datastore_vm, c->arena);

	if (value_count(vms) == 0 && d->n_users == 0) {
		return false;
	}
	struct value *f = fault_new(c->arena, T_ResourceInUse);
	value_set_str(c->arena, f, F_ResourceInUse_type, "Datastore");
	value_set_str(c->arena, f, F_ResourceInUse_name, d->name);
	call_fault(c, f, "datastore \"%s\" is in use by %zu VM(s) and %u operation(s)", d->name,
		   value_count(vms), d->n_users);
	return true;
}

/* ---- coming ---- */

/* Both as realpath(3) gives them. */
static bool lies_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strcmp(folder, "/") == 0 ||
	       (strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/'));
}

/* What the host keeps for itself, keys and users among it, is in no datastore. */
static bool is_own_folder(const char *folder, const char *path)
{
	char own[PATH_MAX];

	return folder != NULL && realpath(folder, own) != NULL &&
	       (lies_in(path, own) || lies_in(own, path));
}

/* The folder is on this machine's file system, and no other datastore lies in it or around it. */
static bool folder_check(struct host *h, const char *path, char out[PATH_MAX], struct error *e)
{
	struct stat st;

	if (path[0] != '/' || realpath(path, out) == NULL || stat(out, &st) != 0 ||
	    !S_ISDIR(st.st_mode)) {
		return error_set(e, ERROR_NOT_FOUND, "there is no folder \"%.150s\" on this host",
				 path);
	}
	if (is_own_folder(h->state, out) || is_own_folder(h->run, out)) {
		return error_set(
			e, ERROR_EXISTS,
			"the folder \"%.150s\" belongs to the host itself, or holds what does",
			path);
	}
	list_each (struct host_datastore, d, &h->datastores, link) {
		char other[PATH_MAX];
		if (d->folder == NULL || realpath(d->folder, other) == NULL) {
			continue;
		}
		if (lies_in(out, other) || lies_in(other, out)) {
			return error_set(e, ERROR_EXISTS,
					 "the folder \"%.100s\" belongs to datastore \"%s\"", path,
					 d->name);
		}
	}
	return true;
}

static void create_local(struct call *c)
{
	struct host *h = call_arg(c);
	const char *name = value_get_str(c->args, A_HostDatastoreSystem_CreateLocalDatastore_name);
	const char *path = value_get_str(c->args, A_HostDatastoreSystem_CreateLocalDatastore_path);
	char folder[PATH_MAX];
	struct error e;

	if (!name_is_free(c, h, name, NULL)) {
		return;
	}
	if (h->simulated) {
		folder[0] = '\0';
	} else if (!folder_check(h, path, folder, &e)) {
		call_fault(c, fault_from_file_error(c->arena, &e, path), "%s", e.msg);
		return;
	}
	struct host_datastore *d =
		host_datastore_create(h, name, folder[0] == '\0' ? NULL : folder, &e);
	if (d == NULL) {
		call_fault(c, fault_new(c->arena, T_HostConfigFault), "%s", e.msg);
		return;
	}
	call_return(c, d->object->ref);
}

/* ---- going ---- */

static void remove_datastore(struct call *c, struct host_datastore *d)
{
	struct error e;

	if (d == NULL) {
		call_fault(c, fault_new(c->arena, T_NotFound), "there is no such datastore");
	} else if (answer_in_use(c, d)) {
		return;
	} else if (!host_datastore_remove(d, &e)) {
		call_fault(c, fault_new(c->arena, T_HostConfigFault), "%s", e.msg);
	} else {
		call_return(c, NULL);
	}
}

static void remove_by_system(struct call *c)
{
	const struct value *ref =
		value_get_value(c->args, A_HostDatastoreSystem_RemoveDatastore_datastore);

	remove_datastore(c, host_datastore_by_ref(call_arg(c), ref));
}

static void destroy_datastore(struct call *c)
{
	remove_datastore(c, host_datastore_by_object(call_arg(c), c->self));
}

static void destroy_task(struct call *c)
{
	struct host *h = call_arg(c);
	struct host_datastore *d = host_datastore_by_object(h, c->self);
	struct error e;

	if (!call_require(c, d->object, "Datastore.Delete") || answer_in_use(c, d)) {
		return;
	}
	struct task *t = task_begin(c, h->api.tasks);
	if (host_datastore_remove(d, &e)) {
		task_done(t, NULL);
	} else {
		task_fail_error(t, &e);
	}
}

/* ---- changing ---- */

static void rename_datastore(struct call *c)
{
	struct host *h = call_arg(c);
	struct host_datastore *d = host_datastore_by_object(h, c->self);
	const char *name = value_get_str(c->args, A_Datastore_RenameDatastore_newName);
	struct error e;

	if (!name_is_free(c, h, name, d) || answer_in_use(c, d)) {
		return;
	}
	if (!host_datastore_rename(d, name, &e)) {
		call_error(c, &e);
		return;
	}
	call_return(c, NULL);
}

static void rename_task(struct call *c)
{
	struct host *h = call_arg(c);
	struct host_datastore *d = host_datastore_by_object(h, c->self);
	const char *name = value_get_str(c->args, A_ManagedEntity_Rename_Task_newName);
	struct error e;

	if (!call_require(c, d->object, "Datastore.Rename") || !name_is_free(c, h, name, d) ||
	    answer_in_use(c, d)) {
		return;
	}
	struct task *t = task_begin(c, h->api.tasks);
	if (host_datastore_rename(
		    d, value_get_str(task_args(t), A_ManagedEntity_Rename_Task_newName), &e)) {
		task_done(t, NULL);
	} else {
		task_fail_error(t, &e);
	}
}

static void refresh_datastore(struct call *c)
{
	struct host_datastore *d = host_datastore_by_object(call_arg(c), c->self);

	host_datastore_glance(d);
	host_datastore_refresh(d);
	call_return(c, NULL);
}

/* Blocks of this host's disks are its operating system's: none is free for a file system. */
static void no_disks(struct call *c)
{
	call_return(c, value_new_array(c->arena, T_HostScsiDisk));
}

void datastore_system_register(struct host *h)
{
	struct service *s = h->api.service;

	service_handle(s, T_HostDatastoreSystem, M_HostDatastoreSystem_CreateLocalDatastore,
		       create_local, h);
	service_handle(s, T_HostDatastoreSystem, M_HostDatastoreSystem_RemoveDatastore,
		       remove_by_system, h);
	service_handle(s, T_HostDatastoreSystem, M_HostDatastoreSystem_QueryAvailableDisksForVmfs,
		       no_disks, h);
	service_handle(s, T_Datastore, M_Datastore_RefreshDatastore, refresh_datastore, h);
	service_handle(s, T_Datastore, M_Datastore_RefreshDatastoreStorageInfo, refresh_datastore,
		       h);
	service_handle(s, T_Datastore, M_Datastore_DestroyDatastore, destroy_datastore, h);
	service_handle(s, T_Datastore, M_ManagedEntity_Destroy_Task, destroy_task, h);
	service_handle(s, T_Datastore, M_Datastore_RenameDatastore, rename_datastore, h);
	service_handle(s, T_Datastore, M_ManagedEntity_Rename_Task, rename_task, h);
}

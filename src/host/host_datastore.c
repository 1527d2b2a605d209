/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datastores of a host: Datastore objects, HostDatastoreSystem, and the files beneath. Which
 * there are is kept in datastores.json: name and folder each.
 */
#include "host/host_datastore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "host/draft.h"
#include "host/host_impl.h"
#include "host/simulated_storage.h"
#include "host/vmdk.h"
#include "vim/fault.h"

LOG_MODULE("datastore");

enum {
	FREE_STEP = 4 << 20, /* bytes: how finely free space is told unasked */
};

/* ---- finding ---- */

struct host_datastore *host_datastore_find(struct host *h, const char *name)
{
	list_each (struct host_datastore, d, &h->datastores, link) {
		if (strcmp(d->name, name) == 0) {
			return d;
		}
	}
	return NULL;
}

struct host_datastore *host_datastore_by_object(struct host *h, const struct object *o)
{
	list_each (struct host_datastore, d, &h->datastores, link) {
		if (o != NULL && (d->object == o || d->browser == o)) {
			return d;
		}
	}
	return NULL;
}

struct host_datastore *host_datastore_by_ref(struct host *h, const struct value *ref)
{
	return ref == NULL ? NULL
			   : host_datastore_by_object(h, inventory_find_ref(h->inventory, ref));
}

/* "[ds] ./a/./b" means "[ds] a/b": clients build paths like that. */
static char *without_dots(const char *ds_path)
{
	const char *p = strchr(ds_path, ']');
	struct buf b = BUF_INIT;

	if (p == NULL || strchr(p, '.') == NULL) {
		return mem_strdup(ds_path);
	}
	p += p[1] == ' ' ? 2 : 1;
	buf_add(&b, ds_path, (size_t)(p - ds_path));
	while (*p != '\0') {
		size_t n = strcspn(p, "/");
		bool has_more = p[n] == '/';
		if (n != 1 || p[0] != '.') {
			buf_add(&b, p, n + has_more);
		}
		p += n + has_more;
	}
	return buf_take(&b);
}

struct host_datastore *host_datastore_of_path(struct host *h, const char *ds_path,
					      struct datastore_path *out, struct error *e)
{
	char *path = without_dots(ds_path);
	bool ok = datastore_path_parse(path, out, e);

	free(path);
	if (!ok) {
		return NULL;
	}
	struct host_datastore *d = host_datastore_find(h, out->datastore);
	if (d == NULL) {
		error_set(e, ERROR_NOT_FOUND, "there is no datastore \"%.60s\" on this host",
			  out->datastore);
	}
	return d;
}

char *host_file_path(struct host *h, const char *ds_path, struct error *e)
{
	struct datastore_path at;
	struct host_datastore *d = host_datastore_of_path(h, ds_path, &at, e);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, e);

	return ds == NULL ? NULL : mem_printf("%s/%s", datastore_folder(ds), at.path);
}

void host_datastore_hold(struct host_datastore *d)
{
	d->n_users++;
}

void host_datastore_release(struct host_datastore *d)
{
	d->n_users--;
}

/* ---- files ---- */

/* A folder in a temporary place, shared with other hosts or not. */
static bool folder_make(struct host_datastore *d, struct error *e)
{
	char made[] = "/tmp/remora-datastore-XXXXXX";

	if (d->host->storage != NULL) {
		const char *shared = simulated_storage_folder(d->host->storage, d->name, e);
		d->folder = shared == NULL ? NULL : mem_strdup(shared);
		return shared != NULL;
	}
	if (mkdtemp(made) == NULL) {
		return error_set_sys(e, errno, "cannot make a folder for datastore \"%s\"",
				     d->name);
	}
	d->folder = mem_strdup(made);
	d->is_temporary = true;
	return true;
}

struct datastore *host_datastore_open(struct host_datastore *d, struct error *e)
{
	struct host *h = d->host;

	if (d->ds != NULL) {
		return d->ds;
	}
	if (d->folder == NULL && !folder_make(d, e)) {
		return NULL;
	}
	if (d->is_missing) {
		error_set(e, ERROR_UNREACHABLE, "datastore \"%s\" is not accessible", d->name);
		return NULL;
	}
	struct datastore_config c = { .name = d->name, .folder = d->folder };
	d->ds = datastore_open(&c, e);
	if (d->ds != NULL && h->vm_ops != NULL && h->vm_ops->materialise != NULL) {
		h->vm_ops->materialise(h, d);
	}
	if (d->ds != NULL && h->storage != NULL) {
		simulated_storage_opened(h->storage, d->name);
	}
	return d->ds;
}

static bool recover(struct datastore *ds, struct error *e)
{
	size_t n = 0;

	if (!datastore_recover(ds, &n, e)) {
		return false;
	}
	if (n > 0) {
		log_info("datastore \"%s\": %zu unfinished file(s) removed", datastore_name(ds), n);
	}
	return true;
}

/* What was listed with that uuid is in its folder, and nothing else. */
static bool open_listed(struct host_datastore *d, struct error *e)
{
	struct datastore_config c = { .name = d->name, .folder = d->folder, .uuid = d->uuid };

	d->ds = datastore_open(&c, e);
	if (d->ds != NULL && !recover(d->ds, e)) {
		datastore_close(d->ds);
		d->ds = NULL;
	}
	d->is_missing = d->ds == NULL;
	return !d->is_missing;
}

/* ---- what the API shows ---- */

static struct value *mount_info(const struct host_datastore *d, struct arena *a)
{
	struct value *v = value_new(a, T_HostMountInfo);

	value_set_strf(a, v, F_HostMountInfo_path, "/vmfs/volumes/%s", object_id(d->object));
	value_set_str(a, v, F_HostMountInfo_accessMode, "readWrite");
	value_set_bool(a, v, F_HostMountInfo_mounted, !d->is_missing);
	value_set_bool(a, v, F_HostMountInfo_accessible, !d->is_missing);
	return v;
}

static struct value *datastore_capability(struct arena *a)
{
	struct value *v = value_new(a, T_DatastoreCapability);

	draft_fill(a, v);
	value_set_bool(a, v, F_DatastoreCapability_directoryHierarchySupported, true);
	value_set_bool(a, v, F_DatastoreCapability_perFileThinProvisioningSupported, true);
	value_set_bool(a, v, F_DatastoreCapability_topLevelDirectoryCreateSupported, true);
	value_set_bool(a, v, F_DatastoreCapability_vmdkExpandSupported, true);
	return v;
}

/* Bytes that VMs may still claim of the datastore are not known: `uncommitted` stays unset. */
static struct value *datastore_summary(const struct host_datastore *d,
				       const struct datastore_space *space, struct arena *a)
{
	struct value *v = value_new(a, T_DatastoreSummary);

	draft_set_object(a, v, F_DatastoreSummary_datastore, d->object);
	value_set_str(a, v, F_DatastoreSummary_name, d->name);
	value_set_str(a, v, F_DatastoreSummary_url, d->url);
	value_set_num(a, v, F_DatastoreSummary_capacity, (int64_t)space->capacity);
	value_set_num(a, v, F_DatastoreSummary_freeSpace, (int64_t)space->free);
	value_set_bool(a, v, F_DatastoreSummary_accessible, !d->is_missing);
	value_set_bool(a, v, F_DatastoreSummary_multipleHostAccess, d->host->storage != NULL);
	value_set_str(a, v, F_DatastoreSummary_type, "OTHER");
	value_set_str(a, v, F_DatastoreSummary_maintenanceMode, "normal");
	return v;
}

static struct value *datastore_info(const struct host_datastore *d,
				    const struct datastore_space *space, struct arena *a)
{
	struct value *v = value_new(a, T_LocalDatastoreInfo);

	value_set_str(a, v, F_DatastoreInfo_name, d->name);
	value_set_str(a, v, F_DatastoreInfo_url, d->url);
	value_set_num(a, v, F_DatastoreInfo_freeSpace, (int64_t)space->free);
	value_set_num(a, v, F_DatastoreInfo_maxFileSize, INT64_C(0x7ffffffff000));
	value_set_num(a, v, F_DatastoreInfo_maxVirtualDiskCapacity, (int64_t)VMDK_CAPACITY_MAX);
	value_set_num(a, v, F_DatastoreInfo_maxMemoryFileSize, INT64_C(0x7ffffffff000));
	value_set_strf(a, v, F_LocalDatastoreInfo_path, "/vmfs/volumes/%s", object_id(d->object));
	return v;
}

static bool space_of(struct host_datastore *d, struct datastore_space *out)
{
	struct error e;

	if (d->is_missing) {
		*out = (struct datastore_space){ 0 };
		return true;
	}
	if (d->ds == NULL) {
		*out = (struct datastore_space){ .capacity = UINT64_C(1) << 40,
						 .free = UINT64_C(1) << 40 };
		return true;
	}
	if (!datastore_space(d->ds, out, &e)) {
		log_limited_warn("%s", e.msg);
		return false;
	}
	return true;
}

static void show_space(struct host_datastore *d, const struct datastore_space *space)
{
	struct arena *a = arena_new(0);

	inventory_set(d->object, P_Datastore_summary, datastore_summary(d, space, a));
	inventory_set(d->object, P_Datastore_info, datastore_info(d, space, a));
	d->shown = *space;
	arena_free(a);
}

static void show_mounts(struct host *h);

static void show_host(struct host_datastore *d)
{
	struct arena *a = arena_new(0);
	struct value *mounts = value_new_array(a, T_DatastoreHostMount);
	struct value *mount = value_new(a, T_DatastoreHostMount);

	draft_set_object(a, mount, F_DatastoreHostMount_key, d->host->system);
	value_set(a, mount, F_DatastoreHostMount_mountInfo, mount_info(d, a));
	value_push(a, mounts, mount);
	inventory_set(d->object, P_Datastore_host, mounts);
	arena_free(a);
}

/* Looks whether a datastore that was missing is there now. */
static bool found_again(struct host_datastore *d)
{
	struct host *h = d->host;

	if (!open_listed(d, NULL)) {
		return false;
	}
	log_info("datastore \"%s\" is accessible again", d->name);
	host_datastore_refresh(d);
	show_host(d);
	show_mounts(h);
	if (h->vm_ops != NULL && h->vm_ops->found != NULL) {
		h->vm_ops->found(h, d);
	}
	return true;
}

void host_datastore_refresh(struct host_datastore *d)
{
	struct datastore_space space;

	if (space_of(d, &space)) {
		show_space(d, &space);
	}
}

void host_datastore_glance(struct host_datastore *d)
{
	struct datastore_space space;

	if (d->is_missing && !found_again(d)) {
		return;
	}
	if (space_of(d, &space) &&
	    (space.capacity != d->shown.capacity || space.free > d->shown.free + FREE_STEP ||
	     space.free + FREE_STEP < d->shown.free)) {
		show_space(d, &space);
	}
}

/* Tells HostDatastoreSystem, HostSystem and the others which datastores there are. */
static void show_list(struct host *h)
{
	struct object *all[DATASTORES_MAX];
	size_t n = 0;

	list_each (struct host_datastore, d, &h->datastores, link) {
		if (n < DATASTORES_MAX) {
			all[n++] = d->object;
		}
	}
	inventory_set_refs(h->datastore_system, P_HostDatastoreSystem_datastore, all, n);
	inventory_set_refs(h->system, P_HostSystem_datastore, all, n);
	inventory_set_refs(h->compute, P_ComputeResource_datastore, all, n);
	inventory_set_refs(h->datacenter, P_Datacenter_datastore, all, n);
	struct object *browser = inventory_find(h->inventory, HOST_BROWSER_ID);
	inventory_set_refs(browser, P_HostDatastoreBrowser_datastore, all, n);
	show_mounts(h);
}

static void show_mounts(struct host *h)
{
	struct arena *a = arena_new(0);
	struct value *mounts = host_datastore_mounts(h, a);

	host_system_set_config(h, F_HostConfigInfo_fileSystemVolume, mounts);
	struct object *storage = inventory_find(h->inventory, "storageSystem");
	if (storage != NULL) {
		inventory_set(storage, P_HostStorageSystem_fileSystemVolumeInfo, mounts);
	}
	arena_free(a);
}

struct value *host_datastore_mounts(struct host *h, struct arena *a)
{
	static const char *const types[] = { "OTHER", NULL };
	struct value *v = value_new(a, T_HostFileSystemVolumeInfo);
	struct value *list = value_new_array(a, T_HostFileSystemMountInfo);

	list_each (struct host_datastore, d, &h->datastores, link) {
		struct value *m = value_new(a, T_HostFileSystemMountInfo);
		struct value *volume = value_new(a, T_HostFileSystemVolume);
		value_set_str(a, volume, F_HostFileSystemVolume_type, "OTHER");
		value_set_str(a, volume, F_HostFileSystemVolume_name, d->name);
		value_set_num(a, volume, F_HostFileSystemVolume_capacity,
			      (int64_t)d->shown.capacity);
		value_set(a, m, F_HostFileSystemMountInfo_mountInfo, mount_info(d, a));
		value_set(a, m, F_HostFileSystemMountInfo_volume, volume);
		value_push(a, list, m);
	}
	value_set(a, v, F_HostFileSystemVolumeInfo_volumeTypeList, draft_strings(a, types));
	value_set(a, v, F_HostFileSystemVolumeInfo_mountInfo, list);
	return v;
}

/* ---- objects ---- */

static void supported_types(struct object *browser, struct arena *a)
{
	static const uint16_t types[] = {
		T_FolderFileQuery, T_FloppyImageFileQuery, T_IsoImageFileQuery, T_VmConfigFileQuery,
		T_VmDiskFileQuery, T_VmLogFileQuery,	   T_VmNvramFileQuery,
	};
	struct value *list = value_new_array(a, T_FileQuery);

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		value_push(a, list, value_new(a, types[i]));
	}
	inventory_set(browser, P_HostDatastoreBrowser_supportedType, list);
}

static void datastore_show(struct host_datastore *d, const char *uuid)
{
	struct host *h = d->host;
	struct arena *a = arena_new(0);
	char *browser_id = mem_printf("%s-datastorebrowser", uuid);

	d->url = mem_printf("ds:///vmfs/volumes/%s/", uuid);
	d->object = host_entity_new(h, T_Datastore, uuid, d->name, h->datastore_folder);
	d->browser = inventory_add(h->inventory, T_HostDatastoreBrowser, browser_id, NULL, h);
	inventory_set_subject(d->browser, d->object);
	inventory_set_refs(d->browser, P_HostDatastoreBrowser_datastore, &d->object, 1);
	supported_types(d->browser, a);
	inventory_set_ref(d->object, P_Datastore_browser, d->browser);
	inventory_set(d->object, P_Datastore_capability, datastore_capability(a));
	show_host(d);
	host_datastore_refresh(d);
	free(browser_id);
	arena_free(a);
}

/* folder NULL: in a temporary place, when somebody looks. */
static struct host_datastore *datastore_new(struct host *h, const char *name, const char *folder)
{
	struct host_datastore *d = mem_zalloc(sizeof(*d));

	d->host = h;
	d->name = mem_strdup(name);
	d->folder = folder == NULL ? NULL : mem_strdup(folder);
	return d;
}

static struct host_datastore *datastore_add(struct host *h, const char *name, const char *folder,
					    struct error *e)
{
	struct host_datastore *d = datastore_new(h, name, folder);

	if (h->simulated) {
		const char *whose =
			h->storage == NULL ? h->node.uuid : simulated_storage_identity(h->storage);
		char *seed = mem_printf("%s/%s", whose, name);
		struct uuid u = uuid_from_name(seed);
		uuid_format(&u, d->uuid);
		free(seed);
	} else {
		if (host_datastore_open(d, e) == NULL || !recover(d->ds, e)) {
			datastore_close(d->ds);
			free(d->folder);
			free(d->name);
			free(d);
			return NULL;
		}
		snprintf(d->uuid, sizeof(d->uuid), "%s", datastore_uuid(d->ds));
	}
	list_push_back(&h->datastores, &d->link);
	datastore_show(d, d->uuid);
	return d;
}

/* One of datastores.json. That it is missing keeps the host from nothing else. */
static bool datastore_add_listed(struct host *h, const struct json_at *at, struct error *e)
{
	const char *name, *folder, *uuid = NULL;
	struct error why;
	struct uuid u;

	if (!json_get_str(at, "name", &name, e) || !json_get_str(at, "folder", &folder, e) ||
	    (json_has(at, "uuid") && !json_get_str(at, "uuid", &uuid, e))) {
		return error_prefix(e, "datastores.json: ");
	}
	if (uuid == NULL || !uuid_parse(uuid, &u) || h->simulated) {
		return datastore_add(h, name, folder[0] == '\0' ? NULL : folder, e) != NULL;
	}
	struct host_datastore *d = datastore_new(h, name, folder);
	uuid_format(&u, d->uuid);
	if (!open_listed(d, &why)) {
		log_warn("datastore \"%s\" is not accessible: %s", name, why.msg);
	}
	list_push_back(&h->datastores, &d->link);
	datastore_show(d, d->uuid);
	return true;
}

static void temporary_remove(const struct host_datastore *d)
{
	struct error e;
	const char *slash = strrchr(d->folder, '/');

	if (slash != NULL && !file_remove_tree_at(AT_FDCWD, d->folder, &e)) {
		log_warn("%s", e.msg);
	}
}

static void datastore_drop(struct host_datastore *d)
{
	struct host *h = d->host;

	inventory_drop_ref(h->datastore_folder, P_Folder_childEntity, d->object);
	inventory_remove(d->browser);
	inventory_remove(d->object);
	list_remove(&d->link);
	datastore_close(d->ds);
	if (d->is_temporary) {
		temporary_remove(d);
	}
	free(d->folder);
	free(d->url);
	free(d->name);
	free(d);
}

/* ---- which there are ---- */

static bool list_save(struct host *h, struct error *e)
{
	struct json_object *doc = json_object_new_object();
	struct json_object *list = json_object_new_array();

	list_each (struct host_datastore, d, &h->datastores, link) {
		struct json_object *o = json_object_new_object();
		json_put_str(o, "name", d->name);
		json_put_str(o, "folder", d->folder == NULL ? "" : d->folder);
		json_put_str(o, "uuid", d->uuid);
		json_object_array_add(list, o);
	}
	json_put(doc, "datastores", list);
	bool ok = host_state_write(h, "datastores.json", doc, e);
	json_object_put(doc);
	return ok;
}

static bool list_load(struct host *h, struct json_object *doc, struct error *e)
{
	struct json_at root = json_root(doc), list;
	bool is_old = false;

	if (!json_get_array(&root, "datastores", &list, e)) {
		return error_prefix(e, "datastores.json: ");
	}
	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at at = json_item(&list, i);
		if (!datastore_add_listed(h, &at, e)) {
			return false;
		}
		is_old = is_old || !json_has(&at, "uuid");
	}
	return !is_old || list_save(h, e); /* as earlier versions wrote it: without uuids */
}

static bool list_make(struct host *h, const struct host_config *c, struct error *e)
{
	static const char *const one[] = { "datastore1" };
	const char *const *names = c->datastores == NULL ? one : c->datastores;
	size_t n = c->datastores == NULL ? 1 : c->n_datastores;

	for (size_t i = 0; i < n; i++) {
		char *folder = h->state == NULL
				       ? NULL
				       : mem_printf("%s/datastores/%s", h->state, names[i]);
		bool ok = (folder == NULL || file_make_dirs(folder, 0755, e)) &&
			  datastore_add(h, names[i], folder, e) != NULL;
		free(folder);
		if (!ok) {
			return false;
		}
	}
	return list_save(h, e);
}

static void objects_build(struct host *h)
{
	static const unsigned in_manager[] = { F_HostConfigManager_datastoreSystem };
	struct arena *a = arena_new(0);
	struct value *c = value_new(a, T_HostDatastoreSystemCapabilities);

	draft_fill(a, c);
	value_set_bool(a, c, F_HostDatastoreSystemCapabilities_localDatastoreSupported, true);
	h->datastore_system =
		inventory_add(h->inventory, T_HostDatastoreSystem, "ha-datastoresystem", NULL, h);
	inventory_set_subject(h->datastore_system, h->system);
	inventory_set(h->datastore_system, P_HostDatastoreSystem_capabilities, c);
	host_system_set_config(h, F_HostConfigInfo_datastoreCapabilities, c);
	inventory_set_nested(h->system, P_HostSystem_configManager, in_manager, 1,
			     h->datastore_system->ref);
	struct object *browser =
		inventory_add(h->inventory, T_HostDatastoreBrowser, HOST_BROWSER_ID, NULL, h);
	inventory_set_subject(browser, h->system);
	supported_types(browser, a);
	inventory_set_ref(h->system, P_HostSystem_datastoreBrowser, browser);
	inventory_set_ref(h->environment, P_EnvironmentBrowser_datastoreBrowser, browser);
	arena_free(a);
}

bool host_datastores_build(struct host *h, const struct host_config *c, struct error *e)
{
	struct error why;

	if (h->storage != NULL) {
		simulated_storage_join(h->storage, h);
	}
	objects_build(h);
	struct json_object *doc = host_state_read(h, "datastores.json", &why);
	bool ok;
	if (doc != NULL) {
		ok = list_load(h, doc, e);
		json_object_put(doc);
	} else if (why.kind == ERROR_NOT_FOUND) {
		ok = list_make(h, c, e);
	} else {
		*e = why;
		ok = false;
	}
	show_list(h);
	datastore_system_register(h);
	return ok;
}

void host_datastores_free(struct host *h)
{
	list_each_safe (struct host_datastore, d, &h->datastores, link) {
		datastore_drop(d);
	}
	inventory_remove(inventory_find(h->inventory, HOST_BROWSER_ID));
	inventory_remove(h->datastore_system);
	if (h->storage != NULL) {
		simulated_storage_leave(h->storage, h);
	}
}

/* ---- changes ---- */

struct host_datastore *host_datastore_create(struct host *h, const char *name, const char *folder,
					     struct error *e)
{
	size_t n = list_length(&h->datastores);

	if (n >= DATASTORES_MAX) {
		error_set(e, ERROR_LIMIT, "a host has at most %d datastores", DATASTORES_MAX);
		return NULL;
	}
	struct host_datastore *d = datastore_add(h, name, folder, e);
	if (d == NULL) {
		return NULL;
	}
	if (!list_save(h, e)) {
		datastore_drop(d);
		return NULL;
	}
	show_list(h);
	return d;
}

bool host_datastore_remove(struct host_datastore *d, struct error *e)
{
	struct host *h = d->host;

	list_remove(&d->link);
	if (!list_save(h, e)) {
		list_push_back(&h->datastores, &d->link);
		return false;
	}
	list_push_back(&h->datastores, &d->link);
	datastore_drop(d);
	show_list(h);
	return true;
}

bool host_datastore_rename(struct host_datastore *d, const char *name, struct error *e)
{
	struct host *h = d->host;
	struct datastore_config c = { .name = name, .folder = d->folder };
	char *old = d->name;
	struct datastore *ds = d->folder == NULL ? NULL : datastore_open(&c, e);

	if (d->folder != NULL && ds == NULL) {
		return false;
	}
	d->name = mem_strdup(name);
	if (!list_save(h, e)) {
		free(d->name);
		d->name = old;
		datastore_close(ds);
		return false;
	}
	datastore_close(d->ds);
	d->ds = ds;
	free(old);
	inventory_set_str(d->object, P_ManagedEntity_name, name);
	host_datastore_refresh(d);
	show_list(h);
	return true;
}

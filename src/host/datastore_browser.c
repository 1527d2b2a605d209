/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HostDatastoreBrowser's searches (vSphere API). A worker looks at files and, where the query asks,
 * into disk descriptors; the loop turns what it found into values.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "host/draft.h"
#include "host/file_op.h"
#include "vim/fault.h"

#define BROWSE	"Datastore.Browse"
#define SPEC(f) F_HostDatastoreBrowserSearchSpec_##f

enum {
	DISKS_LOOKED_INTO = 10000, /* of one search */
};

/* ---- kinds of files ---- */

struct file_kind {
	const char *suffix; /* NULL: a folder; "": any file */
	uint16_t query, info;
};

static const struct file_kind kinds[] = {
	{ NULL, T_FolderFileQuery, T_FolderFileInfo },
	{ ".vmdk", T_VmDiskFileQuery, T_VmDiskFileInfo },
	{ ".vmx", T_VmConfigFileQuery, T_VmConfigFileInfo },
	{ ".vmtx", T_TemplateConfigFileQuery, T_TemplateConfigFileInfo },
	{ ".iso", T_IsoImageFileQuery, T_IsoImageFileInfo },
	{ ".flp", T_FloppyImageFileQuery, T_FloppyImageFileInfo },
	{ ".log", T_VmLogFileQuery, T_VmLogFileInfo },
	{ ".nvram", T_VmNvramFileQuery, T_VmNvramFileInfo },
	{ ".vmsn", T_VmSnapshotFileQuery, T_VmSnapshotFileInfo },
	{ ".vmsd", T_VmSnapshotFileQuery, T_VmSnapshotFileInfo },
};
static const struct file_kind any_file = { "", T_FileQuery, T_FileInfo };

static bool has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n > m && strcasecmp(s + n - m, suffix) == 0;
}

static const struct file_kind *kind_of(const struct datastore_entry *x)
{
	if (x->is_folder) {
		return &kinds[0];
	}
	/* An extent is part of the disk whose descriptor stands beside it. */
	if (has_suffix(x->name, "-flat.vmdk")) {
		return &any_file;
	}
	for (size_t i = 1; i < ARRAY_LEN(kinds); i++) {
		if (has_suffix(x->name, kinds[i].suffix)) {
			return &kinds[i];
		}
	}
	return &any_file;
}

/* The query of the spec that takes the file; NULL and *all = false: none does. */
static const struct value *query_for(const struct value *queries, const struct file_kind *kind,
				     bool *taken)
{
	*taken = value_count(queries) == 0;
	for (size_t i = 0; i < value_count(queries); i++) {
		const struct value *q = value_item(queries, i);
		if (value_type(q) == T_FileQuery || value_type(q) == kind->query) {
			*taken = true;
			return q;
		}
	}
	return NULL;
}

/* ---- the search ---- */

struct disk_found {
	bool is_known;
	struct disk_info info;
};

struct search {
	struct datastore *ds;
	const char *path;
	struct datastore_search how;
	const char **patterns;
	const struct value *spec; /* in the task's arena; NULL: none */
	bool looks_into_disks;
	struct datastore_results found;
	struct disk_found *disks; /* in order of the entries that are disks */
	size_t n_disks;
};

static void search_free(void *data)
{
	struct search *s = data;

	datastore_results_free(&s->found);
	free(s->patterns);
	free(s->disks);
	free(s);
}

static void look_into(struct search *s, const struct datastore_listing *folder,
		      const struct datastore_entry *x, struct disk_found *out)
{
	char *path = folder->path[0] == '\0' ? mem_strdup(x->name)
					     : mem_printf("%s/%s", folder->path, x->name);
	struct disk_place at = { .datastore = s->ds, .path = path };

	out->is_known = disk_query(&at, &out->info, NULL);
	free(path);
}

static bool search_run(void *data, struct progress *p, struct error *e)
{
	struct search *s = ((struct file_op *)data)->data;
	size_t cap = 0;

	if (!datastore_search(s->ds, s->path, &s->how, &s->found, p, e)) {
		return false;
	}
	for (size_t i = 0; s->looks_into_disks && i < s->found.n_folders; i++) {
		const struct datastore_listing *folder = &s->found.folders[i];
		for (size_t n = 0; n < folder->n_entries; n++) {
			if (kind_of(&folder->entries[n])->query != T_VmDiskFileQuery ||
			    s->n_disks == DISKS_LOOKED_INTO) {
				continue;
			}
			if (!progress_go_on(p, e)) {
				return false;
			}
			if (s->n_disks == cap) {
				cap = cap == 0 ? 16 : cap * 2;
				s->disks = mem_realloc_array(s->disks, cap, sizeof(*s->disks));
			}
			look_into(s, folder, &folder->entries[n], &s->disks[s->n_disks++]);
		}
	}
	return true;
}

/* ---- results ---- */

static void disk_details(struct arena *a, struct value *v, const struct value *flags,
			 const struct disk_info *d)
{
	if (value_get_bool(flags, F_VmDiskFileQueryFlags_diskType, false)) {
		value_set_str(a, v, F_VmDiskFileInfo_diskType, "VirtualDiskFlatVer2BackingInfo");
	}
	if (value_get_bool(flags, F_VmDiskFileQueryFlags_capacityKb, false)) {
		value_set_num(a, v, F_VmDiskFileInfo_capacityKb, (int64_t)(d->capacity / 1024));
	}
	if (value_get_bool(flags, F_VmDiskFileQueryFlags_controllerType, false)) {
		const char *type =
			strcmp(d->adapter_type, "ide") == 0	   ? "VirtualIDEController"
			: strcmp(d->adapter_type, "buslogic") == 0 ? "VirtualBusLogicController"
			: strcmp(d->adapter_type, "pvscsi") == 0   ? "ParaVirtualSCSIController"
								   : "VirtualLsiLogicController";
		value_set_str(a, v, F_VmDiskFileInfo_controllerType, type);
	}
	if (value_get_bool(flags, F_VmDiskFileQueryFlags_diskExtents, false)) {
		struct value *extents = value_new_array(a, T_string);
		const char *slash = strrchr(d->extent_path, '/');
		value_push_str(a, extents, slash == NULL ? d->extent_path : slash + 1);
		value_set(a, v, F_VmDiskFileInfo_diskExtents, extents);
	}
	if (value_get_bool(flags, F_VmDiskFileQueryFlags_thin, false)) {
		value_set_bool(a, v, F_VmDiskFileInfo_thin, d->format == DISK_THIN);
	}
}

static void file_details(struct arena *a, struct value *v, const struct value *flags,
			 const struct datastore_entry *x)
{
	if (flags == NULL) {
		return;
	}
	if (value_get_bool(flags, F_FileQueryFlags_fileSize, false)) {
		value_set_num(a, v, F_FileInfo_fileSize, (int64_t)(x->is_folder ? 0 : x->size));
	}
	if (value_get_bool(flags, F_FileQueryFlags_modification, false)) {
		value_set_num(a, v, F_FileInfo_modification, x->mtime_us);
	}
	if (value_get_bool(flags, F_FileQueryFlags_fileOwner, false)) {
		value_set_str(a, v, F_FileInfo_owner, x->owner);
	}
}

/* NULL when the spec's queries do not take the file. */
static struct value *file_info(struct arena *a, const struct search *s,
			       const struct datastore_entry *x, const struct disk_found *disk)
{
	const struct file_kind *kind = kind_of(x);
	const struct value *queries =
		s->spec == NULL ? NULL : value_get_value(s->spec, SPEC(query));
	const struct value *flags =
		s->spec == NULL ? NULL : value_get_value(s->spec, SPEC(details));
	bool taken;
	const struct value *query = query_for(queries, kind, &taken);

	if (!taken) {
		return NULL;
	}
	bool is_typed = query != NULL || value_get_bool(flags, F_FileQueryFlags_fileType, false);
	struct value *v = value_new(a, is_typed ? kind->info : T_FileInfo);
	value_set_str(a, v, F_FileInfo_path, x->name);
	if (kind->query == T_VmDiskFileQuery && disk != NULL && disk->is_known) {
		/* A disk's size is what its data take. */
		struct datastore_entry whole = *x;
		whole.size = disk->info.allocated;
		file_details(a, v, flags, &whole);
		if (value_is_a(query, T_VmDiskFileQuery)) {
			disk_details(a, v, value_get_value(query, F_VmDiskFileQuery_details),
				     &disk->info);
		}
	} else {
		file_details(a, v, flags, x);
	}
	return v;
}

static struct value *folder_results(struct arena *a, const struct file_op *op, size_t i,
				    size_t *next_disk)
{
	const struct search *s = op->data;
	const struct datastore_listing *folder = &s->found.folders[i];
	struct value *v = value_new(a, T_HostDatastoreBrowserSearchResults);
	struct value *files = value_new_array(a, T_FileInfo);

	for (size_t n = 0; n < folder->n_entries; n++) {
		const struct datastore_entry *x = &folder->entries[n];
		const struct disk_found *disk = NULL;
		if (s->looks_into_disks && kind_of(x)->query == T_VmDiskFileQuery &&
		    *next_disk < s->n_disks) {
			disk = &s->disks[(*next_disk)++];
		}
		struct value *info = file_info(a, s, x, disk);
		if (info != NULL) {
			value_push(a, files, info);
		}
	}
	draft_set_object(a, v, F_HostDatastoreBrowserSearchResults_datastore,
			 op->places[0].d->object);
	value_set_str(a, v, F_HostDatastoreBrowserSearchResults_folderPath,
		      arena_printf(a, "[%s] %s%s", op->places[0].d->name, folder->path,
				   folder->path[0] == '\0' ? "" : "/"));
	value_set(a, v, F_HostDatastoreBrowserSearchResults_file, files);
	return v;
}

static void finish(struct file_op *op)
{
	const struct search *s = op->data;
	struct arena *a = task_arena(op->task);
	size_t next_disk = 0;

	if (!s->how.recursive) {
		task_done(op->task, folder_results(a, op, 0, &next_disk));
		return;
	}
	struct value *list = value_new_array(a, T_HostDatastoreBrowserSearchResults);
	for (size_t i = 0; i < s->found.n_folders; i++) {
		value_push(a, list, folder_results(a, op, i, &next_disk));
	}
	task_done(op->task, list);
}

/* ---- beginning ---- */

static bool wants_disks(const struct value *spec)
{
	const struct value *queries = spec == NULL ? NULL : value_get_value(spec, SPEC(query));

	for (size_t i = 0; i < value_count(queries); i++) {
		if (value_is_a(value_item(queries, i), T_VmDiskFileQuery)) {
			return true;
		}
	}
	return false;
}

static void search_take_spec(struct search *s, const struct value *spec)
{
	const struct value *patterns =
		spec == NULL ? NULL : value_get_value(spec, SPEC(matchPattern));
	size_t n = value_count(patterns);

	s->spec = spec;
	s->looks_into_disks = wants_disks(spec);
	s->how.ignore_case = value_get_bool(spec, SPEC(searchCaseInsensitive), false);
	s->how.folders_first = value_get_bool(spec, SPEC(sortFoldersFirst), false);
	s->patterns = mem_calloc(n + 1, sizeof(*s->patterns));
	for (size_t i = 0; i < n; i++) {
		s->patterns[i] = value_bytes(value_item(patterns, i));
	}
	s->how.patterns = s->patterns;
	s->how.n_patterns = n;
}

static void search_begin(struct call *c, unsigned path_arg, unsigned spec_arg, bool recursive)
{
	struct file_arg where = { path_arg, FILE_NO_DATACENTER, BROWSE };
	struct file_op *op = file_op_new(c);

	if (!file_op_place(op, c, &where) || !file_op_begin(op, c, 0)) {
		return;
	}
	struct search *s = mem_zalloc(sizeof(*s));
	s->ds = op->places[0].ds;
	s->path = op->places[0].at.path;
	s->how.recursive = recursive;
	search_take_spec(s, value_get_value(task_args(op->task), spec_arg));
	op->data = s;
	op->release = search_free;
	op->finish = finish;
	struct job_handler handler = file_op_handler(op);
	struct job_work work = { .run = search_run, .data = op };
	op->job = job_start(&handler, &work);
}

static void search_folder(struct call *c)
{
	search_begin(c, A_HostDatastoreBrowser_SearchDatastore_Task_datastorePath,
		     A_HostDatastoreBrowser_SearchDatastore_Task_searchSpec, false);
}

static void search_tree(struct call *c)
{
	search_begin(c, A_HostDatastoreBrowser_SearchDatastoreSubFolders_Task_datastorePath,
		     A_HostDatastoreBrowser_SearchDatastoreSubFolders_Task_searchSpec, true);
}

void datastore_browser_register(struct host *h)
{
	struct service *s = h->api.service;

	service_handle(s, T_HostDatastoreBrowser, M_HostDatastoreBrowser_SearchDatastore_Task,
		       search_folder, h);
	service_handle(s, T_HostDatastoreBrowser,
		       M_HostDatastoreBrowser_SearchDatastoreSubFolders_Task, search_tree, h);
}

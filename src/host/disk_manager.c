/* SPDX-License-Identifier: Apache-2.0 */
/* VirtualDiskManager (vSphere API): virtual disks by path, whether a VM has them or not. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "host/disk_space.h"
#include "host/file_op.h"
#include "host/text.h"
#include "host/vmdk.h"
#include "vim/fault.h"

#define MANAGE	  "Datastore.FileManagement"
#define ARG(m, a) A_VirtualDiskManager_##m##_##a
#define WHERE(m)                                                                                   \
	{                                                                                          \
		ARG(m, name), ARG(m, datacenter), MANAGE                                           \
	}

/* ---- what a spec says ---- */

static bool format_of(const char *type, enum disk_format *out, struct error *e)
{
	static const struct {
		const char *name;
		enum disk_format format;
	} known[] = {
		{ "thin", DISK_THIN },
		{ "preallocated", DISK_LAZY_ZEROED },
		{ "thick", DISK_LAZY_ZEROED },
		{ "lazyZeroedThick", DISK_LAZY_ZEROED },
		{ "eagerZeroedThick", DISK_EAGER_ZEROED },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(type, known[i].name) == 0) {
			*out = known[i].format;
			return true;
		}
	}
	return error_set(e, ERROR_UNSUPPORTED, "disks of type \"%.60s\" are not supported", type);
}

static bool adapter_of(const char *type, const char **out, struct error *e)
{
	static const char *const known[] = { "lsilogic", "buslogic", "ide", "pvscsi" };

	*out = NULL;
	if (type == NULL || type[0] == '\0') {
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcasecmp(type, known[i]) == 0) {
			*out = known[i];
			return true;
		}
	}
	return error_set(e, ERROR_UNSUPPORTED, "the disk adapter \"%.60s\" is not known", type);
}

static bool capacity_of(int64_t kb, uint64_t *out, struct error *e)
{
	if (kb <= 0 || (uint64_t)kb > VMDK_CAPACITY_MAX / 1024) {
		return error_set(e, ERROR_INVALID,
				 "a disk of %lld KB is not possible: 1 to %llu KB", (long long)kb,
				 (unsigned long long)(VMDK_CAPACITY_MAX / 1024));
	}
	*out = (uint64_t)kb * 1024;
	return true;
}

/* ---- create, extend, delete ---- */

static bool create_spec(const struct value *v, struct disk_spec *out, struct error *e)
{
	if (!value_is_a(v, T_FileBackedVirtualDiskSpec)) {
		return error_set(e, ERROR_UNSUPPORTED, "only disks backed by files can be made");
	}
	return format_of(value_get_str(v, F_VirtualDiskSpec_diskType), &out->format, e) &&
	       adapter_of(value_get_str(v, F_VirtualDiskSpec_adapterType), &out->adapter_type, e) &&
	       capacity_of(value_get_num(v, F_FileBackedVirtualDiskSpec_capacityKb, 0),
			   &out->capacity, e);
}

/* info.result of CreateVirtualDisk_Task is the disk's path. */
static void finish_with_path(struct file_op *op)
{
	task_done(op->task,
		  value_new_str(task_arena(op->task), op->places[op->n_places - 1].ds_path));
}

static void create_disk(struct call *c)
{
	static const struct file_arg where = WHERE(CreateVirtualDisk_Task);
	struct disk_spec spec = { 0 };
	struct error e;

	if (!create_spec(value_get_value(c->args, ARG(CreateVirtualDisk_Task, spec)), &spec, &e)) {
		call_error(c, &e);
		return;
	}
	struct file_op *op = file_op_new(c);
	if (file_op_place(op, c, &where) && file_op_begin(op, c, 1)) {
		struct disk_place at = file_op_disk(op, 0);
		struct job_handler handler = file_op_handler(op);
		op->finish = finish_with_path;
		op->job = disk_create_start(&at, &spec, &handler);
	}
}

static void extend_disk(struct call *c)
{
	static const struct file_arg where = WHERE(ExtendVirtualDisk_Task);
	bool eager = value_get_bool(c->args, ARG(ExtendVirtualDisk_Task, eagerZero), false);
	struct error e;
	uint64_t capacity = 0;

	if (!capacity_of(value_get_num(c->args, ARG(ExtendVirtualDisk_Task, newCapacityKb), 0),
			 &capacity, &e)) {
		call_error(c, &e);
		return;
	}
	struct file_op *op = file_op_new(c);
	if (file_op_place(op, c, &where) && file_op_begin(op, c, 1)) {
		struct disk_place at = file_op_disk(op, 0);
		struct job_handler handler = file_op_handler(op);
		op->job = disk_extend_start(&at, capacity, eager, &handler);
	}
}

static void delete_disk(struct call *c)
{
	static const struct file_arg where = WHERE(DeleteVirtualDisk_Task);
	struct file_op *op = file_op_new(c);

	if (file_op_place(op, c, &where) && file_op_begin(op, c, 1)) {
		struct disk_place at = file_op_disk(op, 0);
		struct job_handler handler = file_op_handler(op);
		op->job = disk_delete_start(&at, &handler);
	}
}

/* ---- copy and move ---- */

static bool copy_spec(const struct value *v, struct disk_copy *out, struct error *e)
{
	out->format = DISK_THIN;
	if (v == NULL) {
		return true;
	}
	return format_of(value_get_str(v, F_VirtualDiskSpec_diskType), &out->format, e) &&
	       adapter_of(value_get_str(v, F_VirtualDiskSpec_adapterType), &out->adapter_type, e);
}

static void copy_disk(struct call *c)
{
	static const struct file_arg where[] = {
		{ ARG(CopyVirtualDisk_Task, sourceName),
		  ARG(CopyVirtualDisk_Task, sourceDatacenter), MANAGE },
		{ ARG(CopyVirtualDisk_Task, destName), ARG(CopyVirtualDisk_Task, destDatacenter),
		  MANAGE },
	};
	struct disk_copy copy = {
		.force = value_get_bool(c->args, ARG(CopyVirtualDisk_Task, force), false),
	};
	struct error e;

	if (!copy_spec(value_get_value(c->args, ARG(CopyVirtualDisk_Task, destSpec)), &copy, &e)) {
		call_error(c, &e);
		return;
	}
	struct file_op *op = file_op_new(c);
	if (file_op_place(op, c, &where[0]) && file_op_place(op, c, &where[1]) &&
	    file_op_begin(op, c, 2)) {
		struct job_handler handler = file_op_handler(op);
		copy.from = file_op_disk(op, 0);
		copy.to = file_op_disk(op, 1);
		op->job = disk_copy_start(&copy, &handler);
	}
}

static void move_disk(struct call *c)
{
	static const struct file_arg where[] = {
		{ ARG(MoveVirtualDisk_Task, sourceName),
		  ARG(MoveVirtualDisk_Task, sourceDatacenter), MANAGE },
		{ ARG(MoveVirtualDisk_Task, destName), ARG(MoveVirtualDisk_Task, destDatacenter),
		  MANAGE },
	};
	struct file_op *op = file_op_new(c);

	if (file_op_place(op, c, &where[0]) && file_op_place(op, c, &where[1]) &&
	    file_op_begin(op, c, 3)) {
		struct job_handler handler = file_op_handler(op);
		struct disk_place from = file_op_disk(op, 0), to = file_op_disk(op, 1);
		op->job = disk_move_start(&from, &to, &handler);
	}
}

/* ---- what the data take ---- */

static bool inflate_run(void *data, struct progress *p, struct error *e)
{
	struct disk_place at = file_op_disk(data, 0);

	return disk_inflate(&at, p, e);
}

static bool shrink_run(void *data, struct progress *p, struct error *e)
{
	struct disk_place at = file_op_disk(data, 0);

	return disk_shrink(&at, p, e);
}

static bool zero_run(void *data, struct progress *p, struct error *e)
{
	struct disk_place at = file_op_disk(data, 0);

	return disk_zero(&at, p, e);
}

/* `name` and `datacenter` are the first arguments of all methods that work on one disk. */
static void work_begin(struct call *c, bool (*run)(void *, struct progress *, struct error *))
{
	static const struct file_arg where = WHERE(InflateVirtualDisk_Task);
	struct file_op *op = file_op_new(c);

	if (file_op_place(op, c, &where) && file_op_begin(op, c, 1)) {
		struct job_handler handler = file_op_handler(op);
		struct job_work work = { .run = run, .data = op };
		op->job = job_start(&handler, &work);
	}
}

static void inflate_disk(struct call *c)
{
	work_begin(c, inflate_run);
}

static void shrink_disk(struct call *c)
{
	work_begin(c, shrink_run);
}

static void zero_disk(struct call *c)
{
	work_begin(c, zero_run);
}

static bool exists_run(void *data, struct progress *p, struct error *e)
{
	const struct file_op *op = data;
	struct disk_place at = file_op_disk(op, 0);
	struct disk_info info;

	(void)p;
	return disk_query(&at, &info, e);
}

/* Extents are raw files: there is nothing in them to defragment, once the disk is sound. */
static void defragment_disk(struct call *c)
{
	work_begin(c, exists_run);
}

/* ---- questions ---- */

static bool query(struct call *c, const struct file_arg *where, struct disk_info *out)
{
	struct file_place p;
	struct error e;

	if (!file_place_find(&p, c, call_arg(c), where)) {
		return false;
	}
	struct disk_place at = { .datastore = p.ds, .path = p.at.path };
	bool ok = disk_query(&at, out, &e);
	if (!ok) {
		call_file_error(c, &e, p.ds_path);
	}
	file_place_fini(&p);
	return ok;
}

/* QueryVirtualDiskInfo_Task: a disk and its parents. Disks here have none: vmdk_check(). */
static void info_finish(struct file_op *op)
{
	struct disk_place at = file_op_disk(op, 0);
	struct arena *a = task_arena(op->task);
	struct value *list = value_new_array(a, T_VirtualDiskInfo);
	struct value *v = value_new(a, T_VirtualDiskInfo);
	struct value *unit = value_new(a, T_VirtualDiskInfoUnit);
	struct disk_info info;
	struct error e;

	if (!disk_query(&at, &info, &e)) {
		task_fail_file(op->task, &e, op->places[0].ds_path);
		return;
	}
	value_set_str(a, unit, F_VirtualDiskInfoUnit_name, op->places[0].ds_path);
	value_set(a, v, F_VirtualDiskInfo_unit, unit);
	value_set_str(a, v, F_VirtualDiskInfo_diskType,
		      info.format == DISK_THIN		 ? "thin"
		      : info.format == DISK_EAGER_ZEROED ? "eagerZeroedThick"
							 : "preallocated");
	value_push(a, list, v);
	task_done(op->task, list);
}

static void query_info(struct call *c)
{
	static const struct file_arg where = WHERE(QueryVirtualDiskInfo_Task);
	struct file_op *op = file_op_new(c);

	if (file_op_place(op, c, &where) && file_op_begin(op, c, 0)) {
		struct job_handler handler = file_op_handler(op);
		struct job_work work = { .run = exists_run, .data = op };
		task_hide(op->task); /* its result is of a type that only few clients know */
		op->finish = info_finish;
		op->job = job_start(&handler, &work);
	}
}

static void query_uuid(struct call *c)
{
	static const struct file_arg where = WHERE(QueryVirtualDiskUuid);
	char text[TEXT_ESX_UUID_SIZE];
	struct disk_info info;

	if (query(c, &where, &info)) {
		bool ok = text_uuid_to_esx(info.uuid, text);
		call_return(c, value_new_str(c->arena, ok ? text : ""));
	}
}

static void query_geometry(struct call *c)
{
	static const struct file_arg where = WHERE(QueryVirtualDiskGeometry);
	struct disk_info info;

	if (!query(c, &where, &info)) {
		return;
	}
	struct value *v = value_new(c->arena, T_HostDiskDimensionsChs);
	int64_t heads = info.capacity < (UINT64_C(1) << 30) ? 64 : 255;
	int64_t sectors = info.capacity < (UINT64_C(1) << 30) ? 32 : 63;
	value_set_num(c->arena, v, F_HostDiskDimensionsChs_cylinder,
		      (int64_t)info.capacity / VMDK_SECTOR / heads / sectors);
	value_set_num(c->arena, v, F_HostDiskDimensionsChs_head, heads);
	value_set_num(c->arena, v, F_HostDiskDimensionsChs_sector, sectors);
	call_return(c, v);
}

static void set_uuid(struct call *c)
{
	static const struct file_arg where = WHERE(SetVirtualDiskUuid);
	const char *text = value_get_str(c->args, ARG(SetVirtualDiskUuid, uuid));
	struct host *h = call_arg(c);
	struct file_place p;
	struct error e;
	char uuid[37];

	if (!text_uuid_from_esx(text, uuid)) {
		call_fault(c, fault_invalid_argument(c->arena, "uuid"),
			   "\"%.80s\" is no disk uuid: 32 hex digits", text);
		return;
	}
	if (!file_place_find(&p, c, h, &where)) {
		return;
	}
	struct disk_place at = { .datastore = p.ds, .path = p.at.path };
	if (!file_is_free(h, p.ds_path, &e) || !disk_set_uuid(&at, uuid, &e)) {
		call_file_error(c, &e, p.ds_path);
	} else {
		call_return(c, NULL);
	}
	file_place_fini(&p);
}

/* ---- the object ---- */

void disk_manager_build(struct host *h)
{
	static const unsigned in_content[] = { F_ServiceContent_virtualDiskManager };
	static const struct {
		uint16_t method;
		call_fn *fn;
	} methods[] = {
		{ M_VirtualDiskManager_CreateVirtualDisk_Task, create_disk },
		{ M_VirtualDiskManager_DeleteVirtualDisk_Task, delete_disk },
		{ M_VirtualDiskManager_ExtendVirtualDisk_Task, extend_disk },
		{ M_VirtualDiskManager_CopyVirtualDisk_Task, copy_disk },
		{ M_VirtualDiskManager_MoveVirtualDisk_Task, move_disk },
		{ M_VirtualDiskManager_InflateVirtualDisk_Task, inflate_disk },
		{ M_VirtualDiskManager_EagerZeroVirtualDisk_Task, inflate_disk },
		{ M_VirtualDiskManager_ShrinkVirtualDisk_Task, shrink_disk },
		{ M_VirtualDiskManager_ZeroFillVirtualDisk_Task, zero_disk },
		{ M_VirtualDiskManager_DefragmentVirtualDisk_Task, defragment_disk },
		{ M_VirtualDiskManager_QueryVirtualDiskInfo_Task, query_info },
		{ M_VirtualDiskManager_QueryVirtualDiskUuid, query_uuid },
		{ M_VirtualDiskManager_SetVirtualDiskUuid, set_uuid },
		{ M_VirtualDiskManager_QueryVirtualDiskGeometry, query_geometry },
	};
	struct object *o =
		inventory_add(h->inventory, T_VirtualDiskManager, "ha-vdiskmanager", NULL, h);
	struct object *si = inventory_find(h->inventory, "ServiceInstance");

	if (si != NULL) {
		inventory_set_nested(si, P_ServiceInstance_content, in_content, 1, o->ref);
	}
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(h->api.service, T_VirtualDiskManager, methods[i].method,
			       methods[i].fn, h);
	}
}

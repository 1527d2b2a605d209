/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a source says of its VM, as JSON that the manager passes on unread:
 *
 *   {"version": 1, "name", "power": "poweredOff" | …, "vmx": the text of the .vmx,
 *    "datastore_url", "path": of the .vmx beneath it, "cpu": cpu_model.h, "memory_mib",
 *    "disks": [{"key", "datastore_url", "path", "bytes", "format", "adapter", "uuid"}],
 *    "files": {"nvram": bytes, "vmss": bytes}, "networks": [{"key", "mac"}],
 *    "issuer": of the certificate of its QEMU, PEM; where it is poweredOn}
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/transit_impl.h"
#include "host/vm_device.h"
#include "host/vmdk.h"
#include "vim/fault.h"

#define CONFIG(f)	F_VirtualMachineConfigInfo_##f
#define DISK_BACKING(f) F_VirtualDiskFlatVer2BackingInfo_##f

enum {
	VMX_MAX = 512 << 10,
	DISKS_MAX = 256,
};

static const char *const formats[] = {
	[DISK_THIN] = "thin",
	[DISK_LAZY_ZEROED] = "lazyZeroed",
	[DISK_EAGER_ZEROED] = "eagerZeroed",
};

static const char *const endings[] = { "nvram", "vmss" };

/* ---- of a VM here ---- */

static bool describe_disk(struct transit *m, const struct value *device, struct json_object *list,
			  struct transit_refusal *why)
{
	struct host *h = m->all->host;
	const struct value *b = value_get_value(device, F_VirtualDevice_backing);
	const char *ds_path = value_get_str(b, F_VirtualDeviceFileBackingInfo_fileName);
	struct datastore_path *at = arena_alloc(m->arena, sizeof(*at));
	struct disk_info info;
	struct error e = { 0 };

	struct host_datastore *d = host_datastore_of_path(h, ds_path, at, &e);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, &e);
	struct disk_place place = { .datastore = ds, .path = at->path };
	if (ds == NULL || !disk_query(&place, &info, &e) || !vm_op_claim(m->op, ds_path, &e)) {
		return transit_refuse_error(why, ds_path, &e);
	}
	if (info.n_extents != 1) {
		return transit_refuse(why, 400, "NotSupported", ds_path,
				      "has %zu extents; only disks of one are moved",
				      info.n_extents);
	}
	vm_op_hold(m->op, d);
	struct transit_item *item = &m->items[m->n_items++];
	*item = (struct transit_item){
		.disk = (int32_t)value_get_num(device, F_VirtualDevice_key, 0),
		.size = info.capacity,
		.ds = ds,
		.path = arena_strdup(m->arena, info.extent_path),
		.ds_path = arena_strdup(m->arena, ds_path),
		.fd = -1,
	};
	struct json_object *o = json_object_new_object();
	json_put_i64(o, "key", item->disk);
	json_put_str(o, "datastore_url", datastore_url(ds));
	json_put_str(o, "path", at->path);
	json_put_u64(o, "bytes", info.capacity);
	json_put_str(o, "format", formats[info.format]);
	json_put_str(o, "adapter", info.adapter_type);
	json_put_str(o, "uuid", info.uuid);
	json_object_array_add(list, o);
	return true;
}

/* The VM's own files beside the .vmx that go with it. */
static void describe_files(struct transit *m, struct datastore *ds, const char *vmx,
			   struct json_object *files)
{
	const char *dot = strrchr(vmx, '.');

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		const char *path = arena_printf(
			m->arena, "%.*s.%s", (int)(dot == NULL ? strlen(vmx) : (size_t)(dot - vmx)),
			vmx, endings[i]);
		struct stat st = { 0 };
		int fd = file_open_beneath(datastore_root(ds), path,
					   O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, NULL);
		if (fd < 0) {
			continue;
		}
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
			m->items[m->n_items++] = (struct transit_item){
				.ending = endings[i],
				.size = (uint64_t)st.st_size,
				.ds = ds,
				.path = path,
				.fd = -1,
			};
			json_put_i64(files, endings[i], st.st_size);
		}
		close(fd);
	}
}

static void describe_card(const struct value *device, struct json_object *networks)
{
	const char *mac = value_get_str(device, F_VirtualEthernetCard_macAddress);
	struct json_object *o = json_object_new_object();

	json_put_i64(o, "key", value_get_num(device, F_VirtualDevice_key, 0));
	json_put_str(o, "mac", mac == NULL ? "" : mac);
	json_object_array_add(networks, o);
}

static bool describe_devices(struct transit *m, struct json_object *o, struct transit_refusal *why)
{
	const struct value *devices = vm_devices(vm_config(m->entity));
	struct json_object *disks = json_object_new_array(), *networks = json_object_new_array();
	bool ok = true;

	m->items = arena_alloc(m->arena,
			       (value_count(devices) + ARRAY_LEN(endings) + 1) * sizeof(*m->items));
	for (size_t i = 0; ok && i < value_count(devices); i++) {
		const struct value *d = value_item(devices, i);
		enum vm_role role = vm_device_role(value_type(d));
		if (role == VM_ROLE_DISK) {
			ok = describe_disk(m, d, disks, why);
		} else if (role == VM_ROLE_NIC) {
			describe_card(d, networks);
		}
	}
	json_put(o, "disks", disks);
	json_put(o, "networks", networks);
	return ok;
}

static void describe_vmx(struct transit *m, struct json_object *o)
{
	struct buf text = BUF_INIT;

	vm_config_text(vm_config(m->entity), &text);
	buf_addc(&text, '\0');
	json_put_str(o, "vmx", text.data);
	buf_free(&text);
}

struct json_object *transit_describe(struct transit *m, struct transit_refusal *why)
{
	struct vm *vm = m->entity;
	struct json_object *o = json_object_new_object(), *files = json_object_new_object();
	struct datastore_path *at = arena_alloc(m->arena, sizeof(*at));
	struct error e = { 0 };

	struct host_datastore *d = host_datastore_of_path(m->all->host, vm_path(vm), at, &e);
	struct datastore *ds = d == NULL ? NULL : host_datastore_open(d, &e);
	if (ds == NULL) {
		transit_refuse_error(why, vm_path(vm), &e);
	} else {
		vm_op_hold(m->op, d);
	}
	if (ds == NULL || !describe_devices(m, o, why)) {
		json_object_put(files);
		json_object_put(o);
		return NULL;
	}
	describe_files(m, ds, at->path, files);
	json_put_u64(o, "version", 1);
	json_put_str(o, "name", vm_name(vm));
	json_put_str(o, "power",
		     m->is_live						 ? "poweredOn"
		     : vm->power == E_VirtualMachinePowerState_suspended ? "suspended"
									 : "poweredOff");
	if (m->is_live) {
		json_put_str(o, "issuer", m->identity.issuer);
	}
	describe_vmx(m, o);
	json_put_str(o, "datastore_url", datastore_url(ds));
	json_put_str(o, "path", at->path);
	json_put(o, "cpu", transit_cpu(m->all->host));
	json_put_i64(o, "memory_mib",
		     value_get_num(value_get_value(vm_config(vm), CONFIG(hardware)),
				   F_VirtualHardware_memoryMB, 0));
	json_put(o, "files", files);
	return o;
}

/* ---- of a VM elsewhere ---- */

static bool read_format(const struct json_at *at, const char *text, enum disk_format *out,
			struct error *e)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (strcmp(text, formats[i]) == 0) {
			*out = (enum disk_format)i;
			return true;
		}
	}
	return json_error(at, e, "\"%.40s\" is no format of a disk", text);
}

static bool read_path(const struct json_at *at, const char *key, const char **out, struct error *e)
{
	char normal[DATASTORE_PATH_MAX + 1];

	return json_get_str(at, key, out, e) && datastore_path_check(*out, normal, e) &&
	       ((*out)[0] != '\0' || json_error(at, e, "\"%s\" is empty", key));
}

static bool read_disk(const struct json_at *at, struct transit_disk *out, struct error *e)
{
	const char *format;
	struct uuid uuid;
	int64_t key;

	if (!json_get_i64(at, "key", &key, e) || !json_get_str(at, "datastore_url", &out->url, e) ||
	    !read_path(at, "path", &out->path, e) || !json_get_u64(at, "bytes", &out->bytes, e) ||
	    !json_get_str(at, "format", &format, e) ||
	    !json_get_str(at, "adapter", &out->adapter_type, e) ||
	    !json_get_str(at, "uuid", &out->uuid, e) || !read_format(at, format, &out->format, e)) {
		return false;
	}
	if (key < 1 || key > INT32_MAX) {
		return json_error(at, e, "key %lld is not from 1 to %d", (long long)key, INT32_MAX);
	}
	if (out->bytes == 0 || out->bytes % 512 != 0 || out->bytes > VMDK_CAPACITY_MAX) {
		return json_error(at, e, "%llu bytes are not a multiple of 512 up to %llu",
				  (unsigned long long)out->bytes,
				  (unsigned long long)VMDK_CAPACITY_MAX);
	}
	out->key = (int32_t)key;
	if (out->uuid[0] == '\0') {
		out->uuid = NULL;
	} else if (!uuid_parse(out->uuid, &uuid)) {
		return json_error(at, e, "\"%.60s\" is no UUID", out->uuid);
	}
	return true;
}

static bool read_disks(struct arena *a, const struct json_at *at, struct transit_description *out,
		       struct error *e)
{
	size_t n = json_array_n(at);

	if (n > DISKS_MAX) {
		return json_error(at, e, "%zu disks are more than %d", n, DISKS_MAX);
	}
	out->disks = arena_alloc(a, (n + 1) * sizeof(*out->disks));
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(at, i);
		if (!read_disk(&item, &out->disks[i], e)) {
			return false;
		}
		for (size_t k = 0; k < i; k++) {
			if (out->disks[k].key == out->disks[i].key) {
				return json_error(&item, e, "key %d is twice there",
						  out->disks[i].key);
			}
		}
	}
	out->n_disks = n;
	return true;
}

static bool read_file(const struct json_at *files, const char *key, uint64_t limit, uint64_t *out,
		      struct error *e)
{
	if (!json_has(files, key)) {
		return true;
	}
	return json_get_u64(files, key, out, e) &&
	       (*out <= limit || json_error(files, e, "%s: %llu bytes are more than %llu", key,
					    (unsigned long long)*out, (unsigned long long)limit));
}

static bool read_members(struct arena *a, const struct json_at *at, struct transit_description *out,
			 struct error *e)
{
	struct json_at disks, files, cpu;
	const char *power;
	uint64_t version, memory;

	if (!json_get_u64(at, "version", &version, e)) {
		return false;
	}
	if (version != 1) {
		return json_error(at, e, "version %llu is not known; this host knows 1",
				  (unsigned long long)version);
	}
	if (!json_get_str(at, "name", &out->name, e) || !json_get_str(at, "power", &power, e) ||
	    !json_get_str(at, "vmx", &out->vmx, e) ||
	    !json_get_str(at, "datastore_url", &out->url, e) ||
	    !read_path(at, "path", &out->path, e) || !json_get_object(at, "cpu", &cpu, e) ||
	    !json_get_u64(at, "memory_mib", &memory, e) ||
	    !json_get_array(at, "disks", &disks, e) || !json_get_object(at, "files", &files, e)) {
		return false;
	}
	out->cpu = cpu.value;
	out->is_suspended = strcmp(power, "suspended") == 0;
	out->is_on = strcmp(power, "poweredOn") == 0;
	if (out->is_on && (!json_get_str(at, "issuer", &out->issuer, e) ||
			   !transit_certificate_check(out->issuer, e))) {
		return false;
	}
	if (!out->is_suspended && !out->is_on && strcmp(power, "poweredOff") != 0) {
		return json_error(at, e, "a VM that is \"%.40s\" cannot come here", power);
	}
	if (strlen(out->vmx) > VMX_MAX) {
		return json_error(at, e, "a .vmx has at most %d bytes", VMX_MAX);
	}
	if (memory > MACHINE_MEMORY_MAX) {
		return json_error(at, e, "%llu MiB of memory are more than %d",
				  (unsigned long long)memory, MACHINE_MEMORY_MAX);
	}
	out->memory_mib = memory;
	return read_disks(a, &disks, out, e) &&
	       read_file(&files, "nvram", UINT64_C(64) << 20, &out->nvram, e) &&
	       read_file(&files, "vmss", (memory + 1024) * 2 << 20, &out->vmss, e);
}

bool transit_description_read(struct arena *a, const struct json_at *at,
			      struct transit_description *out, struct transit_refusal *why)
{
	struct error e = { 0 };

	*out = (struct transit_description){ 0 };
	return read_members(a, at, out, &e) || transit_refuse_error(why, "description", &e);
}

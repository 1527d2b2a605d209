/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the lab up. Every step looks first whether its work is done already: a second call, or one
 * after a failure, goes on from where things stand.
 */
#include "cli/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/process.h"
#include "cli/lab_guest.h"
#include "host/vmdk.h"

enum {
	LOGIN_WAIT_S = 150,
	LOGIN_CARD_WAIT_S = 600, /* a guest in an emulated machine */
	LOGIN_POLL_MS = 100,
	HOST_WAIT_MS = 60000,
	POWER_ON_WAIT_S = 120,
	HOST_POLL_MS = 100,
	LOGIN_CARD_POLL_MS = 1000,
	CONSOLE_MAX = 16 << 20,
	GUEST_MEMORY_MB = 128
};

#define DATACENTER "lab"
#define DATASTORE  "datastore1"
#define IMAGE	   "images/guest"

static const struct {
	const char *vm, *node;
	const char *address; /* on the overlay segment */
} lab_vms[] = { { "edge-1", "dpu-1", "10.1.0.11" },
		{ "edge-2", "dpu-2", "10.1.0.12" },
		{ "web-1", "server-1", "10.1.0.21" } };

/* ---- the manager's inventory ---- */

static const struct value *content(struct remote *r, unsigned field)
{
	return value_get_value(remote_content(r), field);
}

/* The object of that type and name below the root folder; *out NULL when there is none. */
static bool find(struct remote *r, const char *type, const char *name, const struct value **out,
		 struct error *e)
{
	const struct value *all = NULL;

	*out = NULL;
	if (!remote_list(r, type, "name", &all, e)) {
		return false;
	}
	for (size_t i = 0; i < value_count(all) && *out == NULL; i++) {
		const struct value *set =
			value_get_value(value_item(all, i), F_ObjectContent_propSet);
		const struct value *text =
			value_count(set) == 0
				? NULL
				: value_get_value(value_item(set, 0), F_DynamicProperty_val);
		if (text != NULL && strcmp(value_bytes(text), name) == 0) {
			*out = value_get_value(value_item(all, i), F_ObjectContent_obj);
		}
	}
	return true;
}

static bool datacenter(struct remote *r, const struct value **out, struct error *e)
{
	if (!find(r, "Datacenter", DATACENTER, out, e) || *out != NULL) {
		return *out != NULL;
	}
	struct value *args =
		value_new(remote_arena(r), schema_method(M_Folder_CreateDatacenter)->args);
	value_set_str(remote_arena(r), args, A_Folder_CreateDatacenter_name, DATACENTER);
	return remote_call(r, M_Folder_CreateDatacenter, content(r, F_ServiceContent_rootFolder),
			   args, out, e);
}

/* One that was stopped and has just been started: the manager tries it now and then. */
static bool host_wait(struct remote *r, const struct value *host, const char *name, struct error *e)
{
	const struct value *state = NULL;

	for (int i = 0; i < HOST_WAIT_MS / HOST_POLL_MS; i++) {
		if (!remote_get(r, host, "runtime.connectionState", &state, e)) {
			return false;
		}
		if (state != NULL &&
		    value_scalar(state).num == E_HostSystemConnectionState_connected) {
			return true;
		}
		nanosleep(&(struct timespec){ .tv_nsec = HOST_POLL_MS * 1000000L }, NULL);
	}
	return error_set(e, ERROR_TIMEOUT, "the manager has not found host \"%s\" again in %d s",
			 name, HOST_WAIT_MS / 1000);
}

static bool host_add(const struct lab *lab, struct remote *r, const struct value *dc,
		     const struct lab_node *n, struct error *e)
{
	struct arena *a = remote_arena(r);
	const struct value *folder = NULL, *host = NULL;

	if (!find(r, "HostSystem", n->name, &host, e)) {
		return false;
	}
	if (host != NULL) {
		return host_wait(r, host, n->name, e);
	}
	struct remote *direct = lab_node_connect(lab, n, e);
	if (direct == NULL || !remote_get(r, dc, "hostFolder", &folder, e)) {
		remote_close(direct);
		return false;
	}
	struct value *spec = value_new(a, T_HostConnectSpec);
	struct value *args = value_new(a, schema_method(M_Folder_AddStandaloneHost_Task)->args);
	value_set_str(a, spec, F_HostConnectSpec_hostName, n->address);
	value_set_num(a, spec, F_HostConnectSpec_port, LAB_PORT);
	value_set_str(a, spec, F_HostConnectSpec_sslThumbprint, remote_thumbprint(direct));
	value_set_str(a, spec, F_HostConnectSpec_userName, LAB_HOST_USER);
	value_set_str(a, spec, F_HostConnectSpec_password, lab->password);
	value_set_bool(a, spec, F_HostConnectSpec_force, false);
	value_set(a, args, A_Folder_AddStandaloneHost_Task_spec, spec);
	value_set_bool(a, args, A_Folder_AddStandaloneHost_Task_addConnected, true);
	bool good = remote_task(r, M_Folder_AddStandaloneHost_Task, folder, args, NULL, e);
	remote_close(direct);
	return good;
}

/* ---- the guest's disk ---- */

static bool put_file(struct remote *r, const char *from, const char *to, struct error *e)
{
	struct stat st;
	int fd = open(from, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0) {
		int sys = errno;
		if (fd >= 0) {
			close(fd);
		}
		return error_set_sys(e, sys, "\"%s\"", from);
	}
	bool good = remote_put(r,
			       &(struct remote_upload){ .datacenter = "ha-datacenter",
							.datastore = DATASTORE,
							.file = to,
							.fd = fd,
							.length = (uint64_t)st.st_size },
			       e);
	close(fd);
	return good;
}

static bool descriptor_write(const char *raw, const char *path, struct error *e)
{
	struct stat st;
	struct buf text = BUF_INIT;

	if (stat(raw, &st) != 0) {
		return error_set_sys(e, errno, "\"%s\"", raw);
	}
	struct vmdk *d = vmdk_new(&(struct vmdk_spec){ .capacity = (uint64_t)st.st_size,
						       .extent_file = "guest-flat.vmdk",
						       .adapter_type = "lsilogic",
						       .thin = true },
				  e);
	if (d == NULL) {
		return false;
	}
	vmdk_write(d, &text);
	vmdk_free(d);
	bool good = file_write_atomic(path, text.data, text.len, 0600, e);
	buf_free(&text);
	return good;
}

static bool make_folder(struct remote *r, const char *path, struct error *e)
{
	struct arena *a = remote_arena(r);
	struct value *args = value_new(a, schema_method(M_FileManager_MakeDirectory)->args);

	value_set_str(a, args, A_FileManager_MakeDirectory_name, path);
	value_set_bool(a, args, A_FileManager_MakeDirectory_createParentDirectories, true);
	return remote_call(r, M_FileManager_MakeDirectory, content(r, F_ServiceContent_fileManager),
			   args, NULL, e) ||
	       remote_fault(r) == T_FileAlreadyExists;
}

static bool image_upload(const struct lab *lab, const struct lab_node *n, const char *raw,
			 struct error *e)
{
	char *descriptor = lab_path(lab, "guest/guest.vmdk");
	struct remote *r = lab_node_connect(lab, n, e);
	bool good = r != NULL && make_folder(r, "[" DATASTORE "] images", e) &&
		    descriptor_write(raw, descriptor, e) &&
		    put_file(r, raw, IMAGE "-flat.vmdk", e) &&
		    put_file(r, descriptor, IMAGE ".vmdk", e);

	remote_close(r);
	free(descriptor);
	return good;
}

/* ---- the VM ---- */

static void device_add(struct arena *a, struct value *changes, struct value *device)
{
	struct value *change = value_new(a, T_VirtualDeviceConfigSpec);

	value_set_num(a, change, F_VirtualDeviceConfigSpec_operation,
		      E_VirtualDeviceConfigSpecOperation_add);
	value_set(a, change, F_VirtualDeviceConfigSpec_device, device);
	value_push(a, changes, change);
}

/* On the overlay, by the fast path; on a server this is a function of its card. */
static struct value *vm_network_card(struct arena *a)
{
	struct value *nic = value_new(a, T_VirtualVmxnet3);
	struct value *backing = value_new(a, T_VirtualEthernetCardOpaqueNetworkBackingInfo);

	value_set_str(a, backing, F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId,
		      LAB_SEGMENT);
	value_set_str(a, backing, F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkType,
		      "nsx.LogicalSwitch");
	value_set_bool(a, nic, F_VirtualVmxnet3_uptv2Enabled, true);
	value_set(a, nic, F_VirtualDevice_backing, backing);
	value_set_num(a, nic, F_VirtualDevice_key, -3);
	return nic;
}

/* The controller that the disk is on: firmware for 64-bit Arm has no driver for SATA, and a machine
 * with NVMe cannot move while it runs. */
enum {
	SATA_KEY = 15000,
	SCSI_KEY = 1000,
};

static struct value *vm_spec(struct arena *a, size_t i, bool is_arm64, const char *datastore)
{
	struct value *spec = value_new(a, T_VirtualMachineConfigSpec);
	struct value *files = value_new(a, T_VirtualMachineFileInfo);
	struct value *changes = value_new_array(a, T_VirtualDeviceConfigSpec);
	struct value *controller =
		value_new(a, is_arm64 ? T_ParaVirtualSCSIController : T_VirtualAHCIController);
	struct value *serial = value_new(a, T_VirtualSerialPort);
	struct value *uri = value_new(a, T_VirtualSerialPortURIBackingInfo);

	value_set_str(a, spec, F_VirtualMachineConfigSpec_name, lab_vms[i].vm);
	value_set_str(a, spec, F_VirtualMachineConfigSpec_guestId, "other6xLinux64Guest");
	value_set_str(a, spec, F_VirtualMachineConfigSpec_annotation, "made by remora lab up");
	value_set_num(a, spec, F_VirtualMachineConfigSpec_memoryMB, GUEST_MEMORY_MB);
	value_set_num(a, spec, F_VirtualMachineConfigSpec_numCPUs, 1);
	value_set_strf(a, files, F_VirtualMachineFileInfo_vmPathName, "[%s]", datastore);
	value_set(a, spec, F_VirtualMachineConfigSpec_files, files);
	value_set_num(a, controller, F_VirtualDevice_key, -1);
	value_set_num(a, controller, F_VirtualController_busNumber, 0);
	if (is_arm64) {
		value_set_num(a, controller, F_VirtualSCSIController_sharedBus,
			      E_VirtualSCSISharing_noSharing);
	}
	device_add(a, changes, controller);
	value_set_str(a, uri, F_VirtualDeviceURIBackingInfo_serviceURI, "");
	value_set_str(a, uri, F_VirtualDeviceURIBackingInfo_direction, "server");
	value_set(a, serial, F_VirtualDevice_backing, uri);
	value_set_num(a, serial, F_VirtualDevice_key, -2);
	value_set_bool(a, serial, F_VirtualSerialPort_yieldOnPoll, true);
	device_add(a, changes, serial);
	device_add(a, changes, vm_network_card(a));
	value_set(a, spec, F_VirtualMachineConfigSpec_deviceChange, changes);
	return spec;
}

/* Name of the host's first datastore as the manager calls it. */
static bool datastore_name(struct remote *r, const struct value *host, const char **out,
			   struct error *e)
{
	const struct value *all = NULL, *name = NULL;

	if (!remote_get(r, host, "datastore", &all, e)) {
		return false;
	}
	if (value_count(all) == 0 || !remote_get(r, value_item(all, 0), "name", &name, e)) {
		return error_set(e, ERROR_NOT_FOUND, "the host has no datastore");
	}
	*out = value_bytes(name);
	return true;
}

/* Where a new VM goes. */
struct place {
	const struct value *dc, *host;
	const char *datastore; /* as the manager calls it */
	bool is_arm64;
};

static bool vm_create(struct remote *r, const struct place *at, size_t i, const struct value **vm,
		      struct error *e)
{
	struct arena *a = remote_arena(r);
	struct value *args = value_new(a, schema_method(M_Folder_CreateVM_Task)->args);
	const struct value *folder = NULL, *parent = NULL, *pool = NULL;

	if (!remote_get(r, at->dc, "vmFolder", &folder, e) ||
	    !remote_get(r, at->host, "parent", &parent, e) ||
	    !remote_get(r, parent, "resourcePool", &pool, e)) {
		return false;
	}
	value_set(a, args, A_Folder_CreateVM_Task_config,
		  vm_spec(a, i, at->is_arm64, at->datastore));
	value_set(a, args, A_Folder_CreateVM_Task_pool, pool);
	value_set(a, args, A_Folder_CreateVM_Task_host, at->host);
	return remote_task(r, M_Folder_CreateVM_Task, folder, args, vm, e);
}

static bool disk_copy_to(struct remote *r, const struct value *dc, const char *datastore,
			 const char *name, struct error *e)
{
	struct arena *a = remote_arena(r);
	struct value *args =
		value_new(a, schema_method(M_VirtualDiskManager_CopyVirtualDisk_Task)->args);

	value_set_strf(a, args, A_VirtualDiskManager_CopyVirtualDisk_Task_sourceName,
		       "[%s] " IMAGE ".vmdk", datastore);
	value_set(a, args, A_VirtualDiskManager_CopyVirtualDisk_Task_sourceDatacenter, dc);
	value_set_strf(a, args, A_VirtualDiskManager_CopyVirtualDisk_Task_destName,
		       "[%s] %s/%s.vmdk", datastore, name, name);
	value_set(a, args, A_VirtualDiskManager_CopyVirtualDisk_Task_destDatacenter, dc);
	return remote_task(r, M_VirtualDiskManager_CopyVirtualDisk_Task,
			   content(r, F_ServiceContent_virtualDiskManager), args, NULL, e);
}

static bool disk_attach(struct remote *r, const struct value *vm, const struct place *at,
			const char *name, struct error *e)
{
	struct arena *a = remote_arena(r);
	struct value *args = value_new(a, schema_method(M_VirtualMachine_ReconfigVM_Task)->args);
	struct value *spec = value_new(a, T_VirtualMachineConfigSpec);
	struct value *changes = value_new_array(a, T_VirtualDeviceConfigSpec);
	struct value *disk = value_new(a, T_VirtualDisk);
	struct value *backing = value_new(a, T_VirtualDiskFlatVer2BackingInfo);

	value_set_strf(a, backing, F_VirtualDeviceFileBackingInfo_fileName, "[%s] %s/%s.vmdk",
		       at->datastore, name, name);
	value_set_str(a, backing, F_VirtualDiskFlatVer2BackingInfo_diskMode, "persistent");
	value_set(a, disk, F_VirtualDevice_backing, backing);
	value_set_num(a, disk, F_VirtualDevice_key, -1);
	value_set_num(a, disk, F_VirtualDevice_controllerKey, at->is_arm64 ? SCSI_KEY : SATA_KEY);
	value_set_num(a, disk, F_VirtualDisk_capacityInKB, 0);
	device_add(a, changes, disk);
	value_set(a, spec, F_VirtualMachineConfigSpec_deviceChange, changes);
	value_set(a, args, A_VirtualMachine_ReconfigVM_Task_spec, spec);
	return remote_task(r, M_VirtualMachine_ReconfigVM_Task, vm, args, NULL, e);
}

static bool disk_is_there(struct remote *r, const struct value *vm)
{
	const struct value *devices = NULL;
	struct error e;

	if (!remote_get(r, vm, "config.hardware.device", &devices, &e)) {
		return false;
	}
	for (size_t i = 0; i < value_count(devices); i++) {
		if (value_is_a(value_item(devices, i), T_VirtualDisk)) {
			return true;
		}
	}
	return false;
}

/* Creates the VM and its disk, or what is missing of them. */
static bool vm_make(const struct lab *lab, struct remote *r, const struct value *dc, size_t i,
		    const struct value **vm, struct error *e)
{
	const char *name = lab_vms[i].vm;
	const struct lab_node *n = lab_node_find(lab, lab_vms[i].node);
	struct place at = { .dc = dc, .is_arm64 = n != NULL && n->cpu != NULL };

	if (!find(r, "VirtualMachine", name, vm, e)) {
		return false;
	}
	if (*vm != NULL && disk_is_there(r, *vm)) {
		return true;
	}
	char *raw = NULL;
	bool good = n != NULL && find(r, "HostSystem", n->name, &at.host, e) &&
		    (at.host != NULL || error_set(e, ERROR_NOT_FOUND, "no such host")) &&
		    datastore_name(r, at.host, &at.datastore, e) &&
		    lab_guest_path(lab, n->cpu != NULL, &raw, e) && image_upload(lab, n, raw, e);
	if (good) {
		lab_say("the guest disk is on %s's datastore", n->name);
	}
	good = good && (*vm != NULL || vm_create(r, &at, i, vm, e)) &&
	       (disk_copy_to(r, dc, at.datastore, name, e) ||
		remote_fault(r) == T_FileAlreadyExists) &&
	       disk_attach(r, *vm, &at, name, e);
	free(raw);
	return good || error_prefix(e, "%s: ", name);
}

/* The VM's network card gets its address on the overlay. */
static bool vm_bind(struct remote *r, const struct value *vm, size_t i, struct error *e)
{
	const struct value *devices = NULL, *uuid = NULL;

	if (!remote_get(r, vm, "config.hardware.device", &devices, e) ||
	    !remote_get(r, vm, "config.instanceUuid", &uuid, e)) {
		return false;
	}
	for (size_t k = 0; k < value_count(devices); k++) {
		const struct value *d = value_item(devices, k);
		if (value_is_a(d, T_VirtualEthernetCard)) {
			struct lab_card card = {
				.vm = lab_vms[i].vm,
				.uuid = value_bytes(uuid),
				.mac = value_get_str(d, F_VirtualEthernetCard_macAddress),
				.address = lab_vms[i].address,
				.key = (int32_t)value_get_num(d, F_VirtualDevice_key, 0),
			};
			return lab_network_bind(r, &card, e);
		}
	}
	return error_set(e, ERROR_NOT_FOUND, "\"%s\" has no network card", lab_vms[i].vm);
}

/* Its host, which has just come up, may be about to do so, too: who is second waits for the end. */
static bool vm_power_on(struct remote *r, const struct value *vm, struct error *e)
{
	int64_t end = clock_mono_us(clock_real()) + POWER_ON_WAIT_S * INT64_C(1000000);

	for (;;) {
		const struct value *state = NULL;
		if (!remote_get(r, vm, "runtime.powerState", &state, e)) {
			return false;
		}
		if (state != NULL &&
		    value_scalar(state).num == E_VirtualMachinePowerState_poweredOn) {
			return true;
		}
		if (remote_task(r, M_VirtualMachine_PowerOnVM_Task, vm, NULL, NULL, e)) {
			return true;
		}
		bool is_second = remote_fault(r) == T_TaskInProgress ||
				 remote_fault(r) == T_InvalidPowerState;
		if (!is_second || clock_mono_us(clock_real()) > end) {
			return false;
		}
		nanosleep(&(struct timespec){ .tv_nsec = HOST_POLL_MS * 1000000L }, NULL);
	}
}

/* It starts again with its host. */
static bool vm_start_with_host(struct remote *r, const struct value *vm, struct error *e)
{
	struct arena *a = remote_arena(r);
	struct value *args =
		value_new(a, schema_method(M_HostAutoStartManager_ReconfigureAutostart)->args);
	struct value *spec = value_new(a, T_HostAutoStartManagerConfig);
	struct value *defaults = value_new(a, T_AutoStartDefaults);
	struct value *info = value_new(a, T_AutoStartPowerInfo);
	struct value *infos = value_new_array(a, T_AutoStartPowerInfo);
	const struct value *host = NULL, *manager = NULL;

	if (!remote_get(r, vm, "runtime.host", &host, e) ||
	    !remote_get(r, host, "configManager.autoStartManager", &manager, e)) {
		return false;
	}
	value_set_bool(a, defaults, F_AutoStartDefaults_enabled, true);
	value_set_num(a, defaults, F_AutoStartDefaults_startDelay, 0);
	value_set(a, spec, F_HostAutoStartManagerConfig_defaults, defaults);
	value_set(a, info, F_AutoStartPowerInfo_key, vm);
	value_set_num(a, info, F_AutoStartPowerInfo_startOrder, -1);
	value_set_num(a, info, F_AutoStartPowerInfo_startDelay, -1);
	value_set_num(a, info, F_AutoStartPowerInfo_waitForHeartbeat,
		      E_AutoStartWaitHeartbeatSetting_systemDefault);
	value_set_str(a, info, F_AutoStartPowerInfo_startAction, "powerOn");
	value_set_num(a, info, F_AutoStartPowerInfo_stopDelay, -1);
	value_set_str(a, info, F_AutoStartPowerInfo_stopAction, "systemDefault");
	value_push(a, infos, info);
	value_set(a, spec, F_HostAutoStartManagerConfig_powerInfo, infos);
	value_set(a, args, A_HostAutoStartManager_ReconfigureAutostart_spec, spec);
	return remote_call(r, M_HostAutoStartManager_ReconfigureAutostart, manager, args, NULL, e);
}

/* ---- consoles ---- */

static bool console_read(const struct lab *lab, const struct lab_node *n, const char *vm,
			 struct buf *out)
{
	char *log = lab_path(lab, "nodes/%s/datastores/" DATASTORE "/%s/serial0.log", n->name, vm);
	bool good;
	struct error e;

	if (n->cpu != NULL) {
		char *file = mem_printf("%s/serial0.log", vm);
		struct remote *r = lab_node_connect(lab, n, &e);
		good = r != NULL && remote_read(r,
						&(struct remote_download){ .datastore = DATASTORE,
									   .file = file,
									   .max = CONSOLE_MAX },
						out, &e);
		remote_close(r);
		free(file);
	} else {
		good = file_read(log, CONSOLE_MAX, out, NULL);
	}
	free(log);
	return good && out->len > 0;
}

/* Does the VM's console show "NAME login:"? */
static bool at_login(const struct lab *lab, size_t i)
{
	const struct lab_node *n = lab_node_find(lab, lab_vms[i].node);
	char *prompt = mem_printf("%s login:", lab_vms[i].vm);
	struct buf b = BUF_INIT;
	bool there = console_read(lab, n, lab_vms[i].vm, &b) &&
		     memmem(b.data, b.len, prompt, strlen(prompt)) != NULL;

	buf_free(&b);
	free(prompt);
	return there;
}

static bool wait_logins(const struct lab *lab, struct error *e)
{
	int limit = lab->is_arm64 ? LOGIN_CARD_WAIT_S : LOGIN_WAIT_S;
	int64_t end = clock_mono_us(clock_real()) + limit * INT64_C(1000000);
	int poll_ms = lab->is_arm64 ? LOGIN_CARD_POLL_MS : LOGIN_POLL_MS;
	bool seen[ARRAY_LEN(lab_vms)] = { false };

	for (size_t n = 0; n < ARRAY_LEN(lab_vms);) {
		size_t waits = 0;
		for (size_t i = 0; i < ARRAY_LEN(lab_vms); i++) {
			if (!seen[i] && lab_node_find(lab, lab_vms[i].node) == NULL) {
				seen[i] = true;
				n++;
			}
			if (!seen[i] && at_login(lab, i)) {
				seen[i] = true;
				n++;
				lab_say("%s is at its login prompt on %s", lab_vms[i].vm,
					lab_vms[i].node);
			}
			waits = seen[i] ? waits : i;
		}
		if (n < ARRAY_LEN(lab_vms) && clock_mono_us(clock_real()) > end) {
			return error_set(
				e, ERROR_TIMEOUT,
				"no login prompt after %d s: see \"remora lab console %s\"", limit,
				lab_vms[waits].vm);
		}
		nanosleep(&(struct timespec){ .tv_sec = poll_ms / 1000,
					      .tv_nsec = poll_ms % 1000 * 1000000L },
			  NULL);
	}
	return true;
}

/* ---- all of it ---- */

static bool nodes_start(const struct lab *lab, struct error *e)
{
	for (size_t i = 0; i < lab->n_nodes; i++) {
		bool ran = lab_node_is_running(lab, &lab->nodes[i]);
		if (!lab_node_start(lab, &lab->nodes[i], e)) {
			return false;
		}
		const char *word = ran ? "is running" : "is up";
		if (lab->nodes[i].address == NULL) {
			lab_say("%s %s, the switch between the cards", lab->nodes[i].name, word);
		} else {
			lab_say("%s %s at https://%s:%d", lab->nodes[i].name, word,
				lab->nodes[i].address, LAB_PORT);
		}
	}
	return true;
}

static bool inventory_make(const struct lab *lab, struct remote *r, struct error *e)
{
	const struct value *dc = NULL, *vm = NULL;

	if (!datacenter(r, &dc, e)) {
		return false;
	}
	for (size_t i = 0; i < lab->n_nodes; i++) {
		if (lab_node_is_host(&lab->nodes[i]) && !host_add(lab, r, dc, &lab->nodes[i], e)) {
			return error_prefix(e, "%s: ", lab->nodes[i].name);
		}
	}
	lab_say("the manager has its hosts");
	if (!lab_network_make(r, e)) {
		return false;
	}
	lab_say("segment " LAB_SEGMENT " is in force on the cards");
	for (size_t i = 0; i < ARRAY_LEN(lab_vms); i++) {
		if (lab_node_find(lab, lab_vms[i].node) == NULL) {
			continue; /* a lab of another architecture has fewer servers */
		}
		if (!vm_make(lab, r, dc, i, &vm, e) || !vm_bind(r, vm, i, e) ||
		    !vm_power_on(r, vm, e) || !vm_start_with_host(r, vm, e)) {
			return false;
		}
		lab_say("%s is powered on on %s", lab_vms[i].vm, lab_vms[i].node);
	}
	return true;
}

static void tell(const struct lab *lab)
{
	const struct lab_node *c = &lab->nodes[LAB_CENTER];

	if (lab->is_arm64) {
		printf("\nThe lab is up: edge-1 runs under KVM on dpu-1, an emulated 64-bit Arm "
		       "card,\nedge-2 on dpu-2, a part of this machine; both are on " LAB_SEGMENT
		       ".\n\n");
	} else {
		printf("\nThe lab is up: edge-1 and edge-2 run on the DPUs (dpu-1, dpu-2), web-1 "
		       "on "
		       "the\nserver (server-1), by a function that dpu-1 lends; all are "
		       "on " LAB_SEGMENT ".\n\n");
	}
	printf("  manager   https://%s:%d/sdk    %s\n", c->address, LAB_PORT, LAB_CENTER_USER);
	for (size_t i = 0; i < lab->n_nodes; i++) {
		if (!lab_node_is_host(&lab->nodes[i])) {
			continue;
		}
		printf("  %-9s https://%s:%d/sdk   %s\n", lab->nodes[i].name, lab->nodes[i].address,
		       LAB_PORT, LAB_HOST_USER);
	}
	printf("  password  %s\n\nTry:\n\n", lab->password);
	printf("  export GOVC_URL='https://%s:%s@%s:%d/sdk' GOVC_INSECURE=1\n",
	       "administrator%40vsphere.local", lab->password, c->address, LAB_PORT);
	printf("  govc find -l /\n  govc host.info -host dpu-1\n  govc vm.info -e edge-1\n");
	printf("  curl -sku '%s:%s' https://%s:%d/policy/api/v1/infra/segments\n", LAB_CENTER_USER,
	       lab->password, c->address, LAB_PORT);
	printf("  %s/remora switch --state %s/nodes/%s/switchd show ports\n", lab->bin, lab->folder,
	       lab->is_arm64 ? "dpu-2" : "dpu-1");
	printf("  %s/remora lab console edge-1      (root, no password; ping 10.1.0.12; Ctrl-] "
	       "lets go)\n",
	       lab->bin);
	if (lab->is_arm64) {
		printf("  %s/remora lab console dpu-1       (the card's own console)\n", lab->bin);
	} else {
		printf("  %s/remora lab stop server-1       (edge-1 on the DPU runs on)\n",
		       lab->bin);
	}
}

int lab_up(struct lab *lab)
{
	struct error e;
	bool good = lab_guest_begin(lab, &e) && nodes_start(lab, &e);
	struct remote *r = good ? lab_node_connect(lab, &lab->nodes[LAB_CENTER], &e) : NULL;

	good = r != NULL && inventory_make(lab, r, &e) && wait_logins(lab, &e);
	remote_close(r);
	lab_guest_end();
	if (!good) {
		return lab_complain(&e);
	}
	tell(lab);
	return 0;
}

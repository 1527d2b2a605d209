/* SPDX-License-Identifier: Apache-2.0 */
#include "host/vm_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"
#include "base/number.h"
#include "base/uuid.h"
#include "host/vm_device.h"
#include "host/vm_device_change.h"
#include "host/vm_setting.h"
#include "vim/soap.h"

#define INFO(f) F_VirtualMachineConfigInfo_##f
#define SPEC(f) F_VirtualMachineConfigSpec_##f

void vm_plan_fini(struct vm_plan *p)
{
	vec_free(&p->disk_ops);
}

/* ---- names ---- */

static bool utf8_is_clean(const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f) {
			return false;
		}
	}
	return true;
}

static const char *name_escape(struct arena *a, const char *name)
{
	struct buf b = BUF_INIT;

	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '/' || *p == '\\') {
			buf_adds(&b, *p == '/' ? "%2f" : "%5c");
		} else if (*p == '%' && strncasecmp(p, "%2f", 3) != 0 &&
			   strncasecmp(p, "%5c", 3) != 0 && strncasecmp(p, "%25", 3) != 0) {
			buf_adds(&b, "%25");
		} else {
			buf_addc(&b, *p);
		}
	}
	const char *out = arena_strndup(a, b.data, b.len);
	buf_free(&b);
	return out;
}

bool vm_name_check(struct arena *a, const char *name, const char **out, struct vm_refusal *r)
{
	const char *why = NULL;

	if (name == NULL || name[0] == '\0') {
		why = "a VM needs a name";
	} else if (strlen(name) > VM_NAME_MAX) {
		why = "a VM's name has at most 80 bytes";
	} else if (!utf8_is_clean(name)) {
		why = "a VM's name has no control characters";
	} else if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		why = "\".\" and \"..\" are folders, not names";
	}
	if (why != NULL) {
		struct value *f = value_new(a, T_InvalidName);
		value_set_strf(a, f, F_InvalidName_name, "%.120s", name == NULL ? "" : name);
		return vm_refuse(r, f, "the name \"%.100s\" is invalid: %s",
				 name == NULL ? "" : name, why);
	}
	*out = name_escape(a, name);
	return true;
}

const char *vm_guest_full_name(const char *guest_id)
{
	static const struct {
		const char *id, *name;
	} guests[] = {
		{ "otherGuest", "Other (32-bit)" },
		{ "otherGuest64", "Other (64-bit)" },
		{ "otherLinuxGuest", "Other Linux (32-bit)" },
		{ "otherLinux64Guest", "Other Linux (64-bit)" },
		{ "other5xLinux64Guest", "Other 5.x or later Linux (64-bit)" },
		{ "other6xLinux64Guest", "Other 6.x or later Linux (64-bit)" },
		{ "debian11_64Guest", "Debian GNU/Linux 11 (64-bit)" },
		{ "debian12_64Guest", "Debian GNU/Linux 12 (64-bit)" },
		{ "ubuntu64Guest", "Ubuntu Linux (64-bit)" },
		{ "centos8_64Guest", "CentOS 8 (64-bit)" },
		{ "rhel9_64Guest", "Red Hat Enterprise Linux 9 (64-bit)" },
		{ "freebsd13_64Guest", "FreeBSD 13 or later versions (64-bit)" },
		{ "windows2019srv_64Guest", "Microsoft Windows Server 2019 (64-bit)" },
		{ "windows2022srvNext_64Guest", "Microsoft Windows Server 2025 (64-bit)" },
		{ "vmkernel8Guest", "VMware ESXi 8.0 or later" },
	};

	for (size_t i = 0; i < ARRAY_LEN(guests); i++) {
		if (strcmp(guests[i].id, guest_id) == 0) {
			return guests[i].name;
		}
	}
	return guest_id;
}

/* ---- defaults of a new VM ---- */

static struct value *allocation(struct arena *a, int64_t shares)
{
	struct value *x = value_new(a, T_ResourceAllocationInfo);
	struct value *s = value_new(a, T_SharesInfo);

	value_set_num(a, x, F_ResourceAllocationInfo_reservation, 0);
	value_set_bool(a, x, F_ResourceAllocationInfo_expandableReservation, false);
	value_set_num(a, x, F_ResourceAllocationInfo_limit, -1);
	value_set_num(a, s, F_SharesInfo_shares, shares);
	value_set_num(a, s, F_SharesInfo_level, E_SharesLevel_normal);
	value_set(a, x, F_ResourceAllocationInfo_shares, s);
	return x;
}

static void default_groups(struct arena *a, struct value *c)
{
	struct value *flags = value_new(a, T_VirtualMachineFlagInfo);
	value_set_bool(a, flags, F_VirtualMachineFlagInfo_disableAcceleration, false);
	value_set_bool(a, flags, F_VirtualMachineFlagInfo_enableLogging, true);
	value_set_bool(a, flags, F_VirtualMachineFlagInfo_useToe, false);
	value_set_bool(a, flags, F_VirtualMachineFlagInfo_runWithDebugInfo, false);
	value_set_str(a, flags, F_VirtualMachineFlagInfo_monitorType, "release");
	value_set_str(a, flags, F_VirtualMachineFlagInfo_htSharing, "any");
	value_set_bool(a, flags, F_VirtualMachineFlagInfo_snapshotDisabled, false);
	value_set_bool(a, flags, F_VirtualMachineFlagInfo_snapshotLocked, false);
	value_set_bool(a, flags, F_VirtualMachineFlagInfo_diskUuidEnabled, false);
	value_set(a, c, INFO(flags), flags);

	struct value *ops = value_new(a, T_VirtualMachineDefaultPowerOpInfo);
	value_set_str(a, ops, F_VirtualMachineDefaultPowerOpInfo_powerOffType, "soft");
	value_set_str(a, ops, F_VirtualMachineDefaultPowerOpInfo_suspendType, "hard");
	value_set_str(a, ops, F_VirtualMachineDefaultPowerOpInfo_resetType, "soft");
	value_set_str(a, ops, F_VirtualMachineDefaultPowerOpInfo_defaultPowerOffType, "soft");
	value_set_str(a, ops, F_VirtualMachineDefaultPowerOpInfo_defaultSuspendType, "hard");
	value_set_str(a, ops, F_VirtualMachineDefaultPowerOpInfo_defaultResetType, "soft");
	value_set_str(a, ops, F_VirtualMachineDefaultPowerOpInfo_standbyAction, "checkpoint");
	value_set(a, c, INFO(defaultPowerOps), ops);

	struct value *tools = value_new(a, T_ToolsConfigInfo);
	value_set_num(a, tools, F_ToolsConfigInfo_toolsVersion, 0);
	value_set_bool(a, tools, F_ToolsConfigInfo_afterPowerOn, true);
	value_set_bool(a, tools, F_ToolsConfigInfo_afterResume, true);
	value_set_bool(a, tools, F_ToolsConfigInfo_beforeGuestStandby, true);
	value_set_bool(a, tools, F_ToolsConfigInfo_beforeGuestShutdown, true);
	value_set_str(a, tools, F_ToolsConfigInfo_toolsUpgradePolicy, "manual");
	value_set_bool(a, tools, F_ToolsConfigInfo_syncTimeWithHost, false);
	value_set(a, c, INFO(tools), tools);

	struct value *boot = value_new(a, T_VirtualMachineBootOptions);
	value_set_num(a, boot, F_VirtualMachineBootOptions_bootDelay, 0);
	value_set_bool(a, boot, F_VirtualMachineBootOptions_enterBIOSSetup, false);
	value_set_bool(a, boot, F_VirtualMachineBootOptions_efiSecureBootEnabled, false);
	value_set_bool(a, boot, F_VirtualMachineBootOptions_bootRetryEnabled, false);
	value_set_num(a, boot, F_VirtualMachineBootOptions_bootRetryDelay, 10000);
	value_set(a, c, INFO(bootOptions), boot);
}

static struct value *config_default(struct arena *a, const char *path, const struct vm_env *env)
{
	struct value *c = value_new(a, T_VirtualMachineConfigInfo);
	struct value *files = value_new(a, T_VirtualMachineFileInfo);
	struct value *latency = value_new(a, T_LatencySensitivity);
	struct value *hardware = value_new(a, T_VirtualHardware);

	value_set_str(a, c, INFO(version), "vmx-19");
	value_set_bool(a, c, INFO(template), false);
	value_set_str(a, c, INFO(guestId), "otherGuest");
	value_set_str(a, c, INFO(guestFullName), vm_guest_full_name("otherGuest"));
	value_set_str(a, c, INFO(alternateGuestName), "");
	value_set_str(a, c, INFO(annotation), "");
	value_set_str(a, c, INFO(swapPlacement), "inherit");
	value_set_str(a, c, INFO(firmware), "bios");
	value_set_num(a, c, INFO(maxMksConnections), 40);
	value_set_num(a, c, INFO(modified), env->now_us);
	static const unsigned off[] = {
		INFO(memoryHotAddEnabled),     INFO(cpuHotAddEnabled),
		INFO(cpuHotRemoveEnabled),     INFO(vAssertsEnabled),
		INFO(changeTrackingEnabled),   INFO(memoryReservationLockedToMax),
		INFO(nestedHVEnabled),	       INFO(vPMCEnabled),
		INFO(messageBusTunnelEnabled),
	};
	for (size_t i = 0; i < ARRAY_LEN(off); i++) {
		value_set_bool(a, c, off[i], false);
	}
	value_set_bool(a, c, INFO(guestAutoLockEnabled), true);
	const char *folder = arena_strndup(a, path, (size_t)(strrchr(path, '/') - path));
	value_set_str(a, files, F_VirtualMachineFileInfo_vmPathName, path);
	value_set_strf(a, files, F_VirtualMachineFileInfo_snapshotDirectory, "%s/", folder);
	value_set_strf(a, files, F_VirtualMachineFileInfo_suspendDirectory, "%s/", folder);
	value_set_strf(a, files, F_VirtualMachineFileInfo_logDirectory, "%s/", folder);
	value_set(a, c, INFO(files), files);
	default_groups(a, c);
	value_set_num(a, latency, F_LatencySensitivity_level,
		      E_LatencySensitivitySensitivityLevel_normal);
	value_set(a, c, INFO(latencySensitivity), latency);
	value_set_num(a, hardware, F_VirtualHardware_numCPU, 1);
	value_set_num(a, hardware, F_VirtualHardware_numCoresPerSocket, 1);
	value_set_num(a, hardware, F_VirtualHardware_memoryMB, 32);
	value_set_bool(a, hardware, F_VirtualHardware_virtualICH7MPresent, false);
	value_set_bool(a, hardware, F_VirtualHardware_virtualSMCPresent, false);
	value_set(a, hardware, F_VirtualHardware_device, vm_fixed_devices(a));
	value_set(a, c, INFO(hardware), hardware);
	value_set(a, c, INFO(cpuAllocation), allocation(a, 1000));
	value_set(a, c, INFO(memoryAllocation), allocation(a, 320));
	return c;
}

/* ---- the parts of a spec that need thought ---- */

struct apply {
	struct arena *a;
	struct value *config;
	const struct value *spec;
	const struct vm_env *env;
	struct vm_plan *plan;
	struct vm_refusal *r;
};

static bool apply_uuid(struct apply *x, unsigned spec_field, unsigned info_field, const char *name)
{
	const char *text = value_get_str(x->spec, spec_field);
	char out[UUID_TEXT_SIZE];
	struct uuid uuid;

	if (text == NULL || text[0] == '\0') {
		return true;
	}
	if (!uuid_parse(text, &uuid)) {
		return vm_refuse_argument(x->a, x->r, name, "not a UUID");
	}
	uuid_format(&uuid, out);
	value_set_str(x->a, x->config, info_field, out);
	return true;
}

static bool apply_identity(struct apply *x)
{
	const char *name = value_get_str(x->spec, SPEC(name));
	const char *version = value_get_str(x->spec, SPEC(version));
	const char *guest = value_get_str(x->spec, SPEC(guestId));
	const char *firmware = value_get_str(x->spec, SPEC(firmware));

	if (name != NULL) {
		if (!vm_name_check(x->a, name, &name, x->r)) {
			return false;
		}
		value_set_str(x->a, x->config, INFO(name), name);
	}
	if (version != NULL && version[0] != '\0') {
		uint64_t n = 0;
		if (strncmp(version, "vmx-", 4) != 0 || !number_u64(version + 4, &n) || n < 4 ||
		    n > 21) {
			return vm_refuse(
				x->r, value_new(x->a, T_VirtualHardwareVersionNotSupported),
				"configSpec.version: \"%.40s\" is not one of vmx-04 … vmx-21",
				version);
		}
		value_set_str(x->a, x->config, INFO(version), version);
	}
	if (guest != NULL && guest[0] != '\0') {
		if (schema_enum_find(T_VirtualMachineGuestOsIdentifier, guest, strlen(guest)) < 0) {
			return vm_refuse_argument(x->a, x->r, "guestId",
						  "unknown guest identifier");
		}
		value_set_str(x->a, x->config, INFO(guestId), guest);
		value_set_str(x->a, x->config, INFO(guestFullName), vm_guest_full_name(guest));
	}
	if (firmware != NULL && firmware[0] != '\0') {
		if (strcmp(firmware, "bios") != 0 && strcmp(firmware, "efi") != 0) {
			return vm_refuse_argument(x->a, x->r, "firmware", "\"bios\" or \"efi\"");
		}
		value_set_str(x->a, x->config, INFO(firmware), firmware);
	}
	return apply_uuid(x, SPEC(uuid), INFO(uuid), "uuid") &&
	       apply_uuid(x, SPEC(instanceUuid), INFO(instanceUuid), "instanceUuid");
}

static bool refuse_memory(struct apply *x, int64_t mb)
{
	struct value *f = value_new(x->a, T_MemorySizeNotSupported);

	value_set_num(x->a, f, F_MemorySizeNotSupported_memorySizeMB,
		      mb > INT32_MAX   ? INT32_MAX
		      : mb < INT32_MIN ? INT32_MIN
				       : mb);
	value_set_num(x->a, f, F_MemorySizeNotSupported_minMemorySizeMB, 4);
	value_set_num(x->a, f, F_MemorySizeNotSupported_maxMemorySizeMB, VM_MEMORY_MAX_MB);
	return vm_refuse(x->r, f, "configSpec.memoryMB: %lld is not between 4 and %d",
			 (long long)mb, VM_MEMORY_MAX_MB);
}

static void needs_off(struct apply *x, const char *why)
{
	if (!x->plan->needs_power_off) {
		x->plan->needs_power_off = true;
		x->plan->needs_power_off_why = why;
	}
}

static bool apply_hardware(struct apply *x)
{
	struct value *hw = value_edit(x->a, value_get_value(x->config, INFO(hardware)));
	int64_t had_cpus = value_get_num(hw, F_VirtualHardware_numCPU, 1);
	int64_t had_mb = value_get_num(hw, F_VirtualHardware_memoryMB, 32);
	int64_t cpus = value_get_num(x->spec, SPEC(numCPUs), had_cpus);
	int64_t mb = value_get_num(x->spec, SPEC(memoryMB), had_mb);
	int64_t cores = value_get_num(x->spec, SPEC(numCoresPerSocket),
				      value_get_num(hw, F_VirtualHardware_numCoresPerSocket, 1));

	if (cpus < 1 || cpus > VM_CPUS_MAX) {
		return vm_refuse_argument(x->a, x->r, "numCPUs", "a VM has 1 to 255 CPUs");
	}
	if (mb < 4 || mb > VM_MEMORY_MAX_MB) {
		return refuse_memory(x, mb);
	}
	if (mb % 4 != 0) {
		return vm_refuse_argument(x->a, x->r, "memoryMB",
					  "memory comes in multiples of 4 MB");
	}
	if (cores < 1 || (cpus % cores != 0 && value_has(x->spec, SPEC(numCoresPerSocket)))) {
		return vm_refuse_argument(x->a, x->r, "numCoresPerSocket",
					  "the CPUs cannot be divided into such sockets");
	}
	if (cpus % cores != 0) {
		cores = 1;
	}
	if (cpus != had_cpus || mb != had_mb) {
		needs_off(x, cpus != had_cpus ? "numCPUs" : "memoryMB");
	}
	value_set_num(x->a, hw, F_VirtualHardware_numCPU, cpus);
	value_set_num(x->a, hw, F_VirtualHardware_numCoresPerSocket, cores);
	value_set_num(x->a, hw, F_VirtualHardware_memoryMB, mb);
	value_set(x->a, x->config, INFO(hardware), hw);
	return true;
}

static int64_t shares_of(int level, int64_t custom, int64_t per_unit, int64_t units)
{
	switch (level) {
	case E_SharesLevel_low:
		return per_unit / 2 * units;
	case E_SharesLevel_high:
		return per_unit * 2 * units;
	case E_SharesLevel_custom:
		return custom;
	default:
		return per_unit * units;
	}
}

/* Reservation, limit and shares; the number of shares follows from level and size. */
static bool apply_allocation(struct apply *x, unsigned spec_field, unsigned info_field,
			     const char *name, int64_t per_unit, int64_t units)
{
	const struct value *given = value_get_value(x->spec, spec_field);
	struct value *now = value_edit(x->a, value_get_value(x->config, info_field));
	union slot s;

	for (int i = -1; given != NULL && value_next(given, &i, &s);) {
		if ((i == F_ResourceAllocationInfo_reservation && s.num < 0) ||
		    (i == F_ResourceAllocationInfo_limit && s.num < -1)) {
			return vm_refuse_argument(x->a, x->r, name,
						  "negative reservation or limit");
		}
		value_set_slot(now, (unsigned)i, s);
	}
	const struct value *shares = value_get_value(now, F_ResourceAllocationInfo_shares);
	if (shares != NULL) {
		struct value *edit = value_edit(x->a, shares);
		int level = (int)value_get_num(shares, F_SharesInfo_level, E_SharesLevel_normal);
		value_set_num(x->a, edit, F_SharesInfo_shares,
			      shares_of(level, value_get_num(shares, F_SharesInfo_shares, 0),
					per_unit, units));
		value_set(x->a, now, F_ResourceAllocationInfo_shares, edit);
	}
	value_set(x->a, x->config, info_field, now);
	return true;
}

static bool apply_allocations(struct apply *x)
{
	const struct value *hw = value_get_value(x->config, INFO(hardware));
	const struct value *latency = value_get_value(x->spec, SPEC(latencySensitivity));

	if (latency != NULL) {
		value_set(x->a, x->config, INFO(latencySensitivity), latency);
	}
	return apply_allocation(x, SPEC(cpuAllocation), INFO(cpuAllocation), "cpuAllocation", 1000,
				value_get_num(hw, F_VirtualHardware_numCPU, 1)) &&
	       apply_allocation(x, SPEC(memoryAllocation), INFO(memoryAllocation),
				"memoryAllocation", 10,
				value_get_num(hw, F_VirtualHardware_memoryMB, 1));
}

/* The same key replaces, an empty text removes. */
static bool apply_extra(struct apply *x)
{
	const struct value *given = value_get_value(x->spec, SPEC(extraConfig));
	const struct value *old = value_get_value(x->config, INFO(extraConfig));
	struct value *all = value_new_array(x->a, T_OptionValue);

	if (given == NULL) {
		return true;
	}
	for (size_t i = 0; i < value_count(old); i++) {
		const char *key = value_get_str(value_item(old, i), F_OptionValue_key);
		bool replaced = false;
		for (size_t k = 0; k < value_count(given) && !replaced; k++) {
			const char *other = value_get_str(value_item(given, k), F_OptionValue_key);
			replaced = other != NULL && strcasecmp(other, key) == 0;
		}
		if (!replaced) {
			value_push(x->a, all, value_item(old, i));
		}
	}
	for (size_t i = 0; i < value_count(given); i++) {
		const struct value *item = value_item(given, i);
		const char *key = value_get_str(item, F_OptionValue_key);
		const struct value *v = value_get_value(item, F_OptionValue_value);
		if (key == NULL || key[0] == '\0' || strlen(key) > VMX_KEY_MAX ||
		    strpbrk(key, "=\"\n\r #") != NULL) {
			return vm_refuse_argument(x->a, x->r, "extraConfig",
						  "not a key of a .vmx file");
		}
		if (v == NULL || v->kind != KIND_STRING || value_len(v) > VMX_VALUE_MAX) {
			return vm_refuse_argument(x->a, x->r, "extraConfig",
						  "values are strings of at most 64 KiB");
		}
		if (value_len(v) > 0) {
			value_push(x->a, all, item);
		}
	}
	if (value_count(all) > VM_EXTRA_MAX) {
		return vm_refuse_argument(x->a, x->r, "extraConfig", "too many entries");
	}
	value_unset(x->config, INFO(extraConfig));
	if (value_count(all) > 0) {
		value_set(x->a, x->config, INFO(extraConfig), all);
	}
	return true;
}

static bool apply_devices(struct apply *x)
{
	struct value *hw = value_edit(x->a, value_get_value(x->config, INFO(hardware)));
	const struct value *old = value_get_value(hw, F_VirtualHardware_device);
	const char *path = value_get_str(value_get_value(x->config, INFO(files)),
					 F_VirtualMachineFileInfo_vmPathName);
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(path, '.');
	struct vm_device_edit edit = {
		.a = x->a,
		.env = x->env,
		.plan = x->plan,
		.r = x->r,
		.folder = arena_strndup(x->a, path, (size_t)(slash - path)),
		.base_name =
			arena_strndup(x->a, slash + 1,
				      dot > slash ? (size_t)(dot - slash - 1) : strlen(slash + 1)),
	};

	for (size_t i = 0; i < value_count(old); i++) {
		vec_push(&edit.devices, value_item(old, i));
	}
	bool good = vm_devices_change(&edit, value_get_value(x->spec, SPEC(deviceChange)));
	if (good) {
		value_set(x->a, hw, F_VirtualHardware_device, vm_devices_finish(&edit));
		value_set(x->a, x->config, INFO(hardware), hw);
	}
	vec_free(&edit.devices);
	vec_free(&edit.renamed);
	return good;
}

/* Which datastores the VM's files are on, with their URLs. */
static void set_datastores(struct arena *a, struct value *config, const struct vm_env *env)
{
	const struct value *devices =
		value_get_value(value_get_value(config, INFO(hardware)), F_VirtualHardware_device);
	struct value *all = value_new_array(a, T_VirtualMachineConfigInfoDatastoreUrlPair);

	for (size_t i = 0; i <= value_count(devices); i++) {
		const struct value *from = value_get_value(config, INFO(files));
		unsigned field = F_VirtualMachineFileInfo_vmPathName;
		if (i > 0) {
			from = value_get_value(value_item(devices, i - 1), F_VirtualDevice_backing);
			field = F_VirtualDeviceFileBackingInfo_fileName;
			if (!value_is_a(from, T_VirtualDeviceFileBackingInfo)) {
				continue;
			}
		}
		const char *path = value_get_str(from, field);
		const char *end = path == NULL ? NULL : strchr(path, ']');
		if (end == NULL || path[0] != '[') {
			continue;
		}
		const char *name = arena_strndup(a, path + 1, (size_t)(end - path - 1));
		bool known = false;
		for (size_t k = 0; k < value_count(all) && !known; k++) {
			known = strcmp(value_get_str(
					       value_item(all, k),
					       F_VirtualMachineConfigInfoDatastoreUrlPair_name),
				       name) == 0;
		}
		const char *url = known ? NULL : env->datastore_url(env->arg, name);
		if (url != NULL) {
			struct value *pair =
				value_new(a, T_VirtualMachineConfigInfoDatastoreUrlPair);
			value_set_str(a, pair, F_VirtualMachineConfigInfoDatastoreUrlPair_name,
				      name);
			value_set_str(a, pair, F_VirtualMachineConfigInfoDatastoreUrlPair_url, url);
			value_push(a, all, pair);
		}
	}
	value_set(a, config, INFO(datastoreUrl), all);
}

static bool apply_all(struct apply *x)
{
	char stamp[40];
	struct buf b = BUF_INIT;

	if (!apply_identity(x) || !vm_settings_apply(x->a, x->config, x->spec, x->r) ||
	    !apply_hardware(x) || !apply_allocations(x) || !apply_devices(x) || !apply_extra(x)) {
		return false;
	}
	value_set(x->a, x->config, INFO(managedBy), value_get_value(x->spec, SPEC(managedBy)));
	set_datastores(x->a, x->config, x->env);
	soap_write_time(&b, x->env->now_us);
	snprintf(stamp, sizeof(stamp), "%s", b.data);
	buf_free(&b);
	value_set_str(x->a, x->config, INFO(changeVersion), stamp);
	value_set_num(x->a, x->config, INFO(modified), x->env->now_us);
	x->plan->config = x->config;
	return true;
}

bool vm_config_create(struct arena *a, const struct value *spec, const char *path,
		      const struct vm_env *env, struct vm_plan *out, struct vm_refusal *r)
{
	char uuid[UUID_TEXT_SIZE];
	struct value *c = config_default(a, path, env);
	struct apply x = { .a = a, .config = c, .spec = spec, .env = env, .plan = out, .r = r };

	*out = (struct vm_plan){ 0 };
	if (!value_has(spec, SPEC(name))) {
		const char *none;
		return vm_name_check(a, "", &none, r);
	}
	uuid_random_text(uuid);
	value_set_str(a, c, INFO(uuid), uuid);
	uuid_random_text(uuid);
	value_set_str(a, c, INFO(instanceUuid), uuid);
	value_set_num(a, c, INFO(createDate), env->now_us);
	if (!apply_all(&x)) {
		vm_plan_fini(out);
		return false;
	}
	out->needs_power_off = false;
	return true;
}

bool vm_config_apply(struct arena *a, const struct value *config, const struct value *spec,
		     const struct vm_env *env, struct vm_plan *out, struct vm_refusal *r)
{
	const char *version = value_get_str(spec, SPEC(changeVersion));
	struct apply x = { .a = a,
			   .config = value_edit(a, config),
			   .spec = spec,
			   .env = env,
			   .plan = out,
			   .r = r };

	*out = (struct vm_plan){ 0 };
	if (version != NULL && version[0] != '\0' &&
	    strcmp(version, value_get_str(config, INFO(changeVersion))) != 0) {
		return vm_refuse(
			r, value_new(a, T_ConcurrentAccess),
			"configSpec.changeVersion: the configuration has changed since \"%.60s\"",
			version);
	}
	if (!apply_all(&x)) {
		vm_plan_fini(out);
		return false;
	}
	return true;
}

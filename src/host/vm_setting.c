/* SPDX-License-Identifier: Apache-2.0 */
#include "host/vm_setting.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"

enum {
	TOP = -1
};

#define INFO(f)	 F_VirtualMachineConfigInfo_##f
#define SPEC(f)	 F_VirtualMachineConfigSpec_##f
#define SAME(f)	 SPEC(f), INFO(f), TOP
#define FLAG(f)	 SPEC(flags), INFO(flags), F_VirtualMachineFlagInfo_##f
#define BOOT(f)	 SPEC(bootOptions), INFO(bootOptions), F_VirtualMachineBootOptions_##f
#define TOOL(f)	 SPEC(tools), INFO(tools), F_ToolsConfigInfo_##f
#define POWER(f) SPEC(powerOpInfo), INFO(defaultPowerOps), F_VirtualMachineDefaultPowerOpInfo_##f

static const struct setting {
	int spec, info, inner; /* inner: field of the structure there, or TOP */
	const char *key;
} settings[] = {
	{ SAME(alternateGuestName), "guestOSAltName" },
	{ SAME(annotation), "annotation" },
	{ SAME(locationId), "uuid.location" },
	{ SAME(memoryHotAddEnabled), "mem.hotadd" },
	{ SAME(cpuHotAddEnabled), "vcpu.hotadd" },
	{ SAME(cpuHotRemoveEnabled), "vcpu.hotremove" },
	{ SAME(swapPlacement), "sched.swap.placement" },
	{ SAME(changeTrackingEnabled), "ctkEnabled" },
	{ SAME(vAssertsEnabled), "vassert.enabled" },
	{ SAME(maxMksConnections), "RemoteDisplay.maxConnections" },
	{ SAME(guestAutoLockEnabled), "tools.guest.desktop.autolock" },
	{ SAME(memoryReservationLockedToMax), "sched.mem.pin" },
	{ SAME(nestedHVEnabled), "vhv.enable" },
	{ SAME(vPMCEnabled), "vpmc.enable" },
	{ SAME(messageBusTunnelEnabled), "messageBus.tunnelEnabled" },
	{ SAME(migrateEncryption), "migrate.encryptionMode" },
	{ SAME(ftEncryptionMode), "ftcpt.encryptionMode" },
	{ SAME(vmxStatsCollectionEnabled), "vmxstats.enabled" },
	{ SAME(rebootPowerOff), "chipset.rebootPowerOff" },
	{ FLAG(disableAcceleration), "monitor.disableAcceleration" },
	{ FLAG(enableLogging), "logging" },
	{ FLAG(useToe), "useToe" },
	{ FLAG(runWithDebugInfo), "monitor.debugInfo" },
	{ FLAG(monitorType), "monitor.type" },
	{ FLAG(htSharing), "sched.cpu.htsharing" },
	{ FLAG(snapshotDisabled), "snapshot.disabled" },
	{ FLAG(snapshotLocked), "snapshot.locked" },
	{ FLAG(diskUuidEnabled), "disk.EnableUUID" },
	{ FLAG(virtualMmuUsage), "monitor.virtual_mmu" },
	{ FLAG(virtualExecUsage), "monitor.virtual_exec" },
	{ FLAG(snapshotPowerOffBehavior), "snapshot.powerOffBehavior" },
	{ FLAG(cbrcCacheEnabled), "cbrc.enabled" },
	{ FLAG(vvtdEnabled), "vvtd.enable" },
	{ FLAG(vbsEnabled), "windows.vbs.enabled" },
	{ BOOT(bootDelay), "bios.bootDelay" },
	{ BOOT(enterBIOSSetup), "bios.forceSetupOnce" },
	{ BOOT(efiSecureBootEnabled), "uefi.secureBoot.enabled" },
	{ BOOT(bootRetryEnabled), "bios.bootRetry.enabled" },
	{ BOOT(bootRetryDelay), "bios.bootRetry.delay" },
	{ BOOT(networkBootProtocol), "bios.networkBootProtocol" },
	{ TOOL(afterPowerOn), "toolScripts.afterPowerOn" },
	{ TOOL(afterResume), "toolScripts.afterResume" },
	{ TOOL(beforeGuestStandby), "toolScripts.beforeSuspend" },
	{ TOOL(beforeGuestShutdown), "toolScripts.beforePowerOff" },
	{ TOOL(beforeGuestReboot), "toolScripts.beforeReboot" },
	{ TOOL(toolsUpgradePolicy), "tools.upgrade.policy" },
	{ TOOL(syncTimeWithHostAllowed), "time.synchronize.allow" },
	{ TOOL(syncTimeWithHost), "tools.syncTime" },
	{ POWER(powerOffType), "powerType.powerOff" },
	{ POWER(suspendType), "powerType.suspend" },
	{ POWER(resetType), "powerType.reset" },
	{ POWER(standbyAction), "chipset.standbyAction" },
};

/* Handled by vm_config.c, field by field. */
static const int special[] = {
	SPEC(changeVersion),
	SPEC(name),
	SPEC(version),
	SPEC(createDate),
	SPEC(uuid),
	SPEC(instanceUuid),
	SPEC(guestId),
	SPEC(files),
	SPEC(numCPUs),
	SPEC(numCoresPerSocket),
	SPEC(memoryMB),
	SPEC(deviceChange),
	SPEC(cpuAllocation),
	SPEC(memoryAllocation),
	SPEC(latencySensitivity),
	SPEC(extraConfig),
	SPEC(firmware),
	SPEC(managedBy),
};

bool vm_refuse(struct vm_refusal *r, const struct value *fault, const char *fmt, ...)
{
	va_list args;

	r->fault = fault;
	va_start(args, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, args);
	va_end(args);
	return false;
}

bool vm_refuse_argument(struct arena *a, struct vm_refusal *r, const char *property,
			const char *why)
{
	struct value *f = value_new(a, T_InvalidArgument);

	value_set_strf(a, f, F_InvalidArgument_invalidProperty, "configSpec.%s", property);
	return vm_refuse(r, f, "configSpec.%s: %s", property, why);
}

bool vm_setting_is_special(unsigned spec_field)
{
	for (size_t i = 0; i < ARRAY_LEN(special); i++) {
		if (special[i] == (int)spec_field) {
			return true;
		}
	}
	return false;
}

bool vm_setting_owns_key(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (strcasecmp(settings[i].key, key) == 0) {
			return true;
		}
	}
	return false;
}

static const struct setting *setting_find(int spec, int inner)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (settings[i].spec == spec && settings[i].inner == inner) {
			return &settings[i];
		}
	}
	return NULL;
}

/* Does the slot say "off"? Such a setting may be given even where this host does not have it. */
static bool slot_is_off(const struct schema_field *f, union slot s)
{
	if (f->flags & FIELD_ARRAY) {
		return value_count(s.value) == 0;
	}
	if (schema_kind_is_scalar(f->kind)) {
		return s.num == 0;
	}
	return f->kind == KIND_STRING && value_len(s.value) == 0;
}

static bool refuse_setting(struct arena *a, struct vm_refusal *r, const struct schema_field *outer,
			   const struct schema_field *inner)
{
	return vm_refuse(r, value_new(a, T_NotSupported),
			 "configSpec.%s%s%s: this host does not have it", schema_field_name(outer),
			 inner == NULL ? "" : ".", inner == NULL ? "" : schema_field_name(inner));
}

/* One structure of settings (flags, tools, …): field by field into the configuration's. */
static bool group_apply(struct arena *a, struct value *config, int spec_field,
			const struct value *given, struct vm_refusal *r)
{
	int info = -1;
	union slot s;

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (settings[i].spec == spec_field) {
			info = settings[i].info;
		}
	}
	const struct value *old = value_get_value(config, (unsigned)info);
	struct value *group = old == NULL ? value_new(a, given->type) : value_edit(a, old);
	for (int i = -1; value_next(given, &i, &s);) {
		const struct schema_field *f = schema_field(given->type, (unsigned)i);
		if (setting_find(spec_field, i) != NULL ||
		    (spec_field == SPEC(bootOptions) &&
		     i == F_VirtualMachineBootOptions_bootOrder)) {
			value_set_slot(group, (unsigned)i, s);
		} else if (!slot_is_off(f, s) && spec_field != SPEC(tools) &&
			   spec_field != SPEC(powerOpInfo)) {
			return refuse_setting(
				a, r,
				schema_field(T_VirtualMachineConfigSpec, (unsigned)spec_field), f);
		}
	}
	value_set(a, config, (unsigned)info, group);
	return true;
}

bool vm_settings_apply(struct arena *a, struct value *config, const struct value *spec,
		       struct vm_refusal *r)
{
	union slot s;

	for (int i = -1; value_next(spec, &i, &s);) {
		const struct schema_field *f =
			schema_field(T_VirtualMachineConfigSpec, (unsigned)i);
		if (vm_setting_is_special((unsigned)i)) {
			continue;
		}
		const struct setting *t = setting_find(i, TOP);
		if (t != NULL) {
			value_set_slot(config, (unsigned)t->info, s);
		} else if (i == SPEC(flags) || i == SPEC(bootOptions) || i == SPEC(tools) ||
			   i == SPEC(powerOpInfo)) {
			if (!group_apply(a, config, i, s.value, r)) {
				return false;
			}
		} else if (!slot_is_off(f, s)) {
			return refuse_setting(a, r, f, NULL);
		}
	}
	return true;
}

/* ---- .vmx ---- */

static bool setting_read(struct arena *a, struct value *into, unsigned field, const char *key,
			 const struct vmx *vmx, struct error *e)
{
	const struct schema_field *f = schema_field(into->type, field);
	struct vmx_range range = { .min = -1, .max = INT32_MAX, .fallback = 0 };
	int64_t n;
	bool b;

	if (f->kind == KIND_BOOL) {
		if (!vmx_get_bool(vmx, key, false, &b, e)) {
			return false;
		}
		value_set_bool(a, into, field, b);
	} else if (f->kind == KIND_STRING) {
		value_set_str(a, into, field, vmx_get(vmx, key));
	} else {
		if (!vmx_get_int(vmx, key, &range, &n, e)) {
			return false;
		}
		value_set_num(a, into, field, n);
	}
	return true;
}

bool vm_settings_from_vmx(struct arena *a, struct value *config, const struct vmx *vmx,
			  struct error *e)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct setting *t = &settings[i];
		if (vmx_get(vmx, t->key) == NULL) {
			continue;
		}
		if (t->inner == TOP) {
			if (!setting_read(a, config, (unsigned)t->info, t->key, vmx, e)) {
				return false;
			}
			continue;
		}
		const struct schema_field *f =
			schema_field(T_VirtualMachineConfigInfo, (unsigned)t->info);
		const struct value *old = value_get_value(config, (unsigned)t->info);
		struct value *group = old == NULL ? value_new(a, f->type) : value_edit(a, old);
		if (!setting_read(a, group, (unsigned)t->inner, t->key, vmx, e)) {
			return false;
		}
		value_set(a, config, (unsigned)t->info, group);
	}
	return true;
}

void vm_settings_to_vmx(const struct value *config, struct vmx *vmx)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct setting *t = &settings[i];
		const struct value *from =
			t->inner == TOP ? config : value_get_value(config, (unsigned)t->info);
		unsigned field = (unsigned)(t->inner == TOP ? t->info : t->inner);
		union slot s;
		if (from == NULL || !value_get(from, field, &s)) {
			continue;
		}
		const struct schema_field *f = schema_field(from->type, field);
		if (f->kind == KIND_BOOL) {
			vmx_set_bool(vmx, t->key, s.num != 0, NULL);
		} else if (f->kind == KIND_STRING) {
			vmx_set(vmx, t->key, value_bytes(s.value), NULL);
		} else {
			vmx_set_int(vmx, t->key, s.num, NULL);
		}
	}
}

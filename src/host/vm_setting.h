/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simple settings of a VM: one line each says where a setting lives in
 * VirtualMachineConfigSpec, in VirtualMachineConfigInfo and under which key in a .vmx file. For
 * vm_config.c and vm_vmx.c.
 */
#pragma once

#include "host/vm_config.h"

/* Copies what the spec sets into the draft. A setting that this host does not have is refused with
 * NotSupported, unless it is set to what "off" means (false, 0, ""). */
bool vm_settings_apply(struct arena *a, struct value *config, const struct value *spec,
		       struct vm_refusal *r);

/* Fields of the spec that are not simple settings but are handled elsewhere. */
bool vm_setting_is_special(unsigned spec_field);

bool vm_settings_from_vmx(struct arena *a, struct value *config, const struct vmx *vmx,
			  struct error *e);
void vm_settings_to_vmx(const struct value *config, struct vmx *vmx);

/* True for keys that a setting's line names. */
bool vm_setting_owns_key(const char *key);

/* Refusals that several places make. */
bool vm_refuse_argument(struct arena *a, struct vm_refusal *r, const char *property,
			const char *why);

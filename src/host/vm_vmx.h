/* SPDX-License-Identifier: Apache-2.0 */
/* Names and spellings that reading and writing a .vmx share; for vm_vmx_read.c and vm_vmx_write.c.
 */
#pragma once

#include "host/vm_config.h"

/* ".vmx" spelling of a guest id: "debian12_64Guest" → "debian12-64"; and back, NULL when unknown.
 */
void vm_guest_to_vmx(const char *guest_id, char out[64]);
const char *vm_guest_from_vmx(const char *name);

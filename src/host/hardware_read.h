/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of host/hardware.h: the readers of its parts. Each writes only its own fields. */
#ifndef HOST_HARDWARE_READ_H
#define HOST_HARDWARE_READ_H

#include "host/hardware.h"

void hardware_read_cpu(struct hardware *h, const char *root);	 /* cpu, numa */
void hardware_read_pci(struct hardware *h, const char *root);	 /* pci */
void hardware_read_nics(struct hardware *h, const char *root);	 /* nics */
void hardware_read_blocks(struct hardware *h, const char *root); /* blocks */

/* What firmware says of the processors' speed; 0: nothing. */
uint64_t hardware_firmware_hz(const char *root);

#endif

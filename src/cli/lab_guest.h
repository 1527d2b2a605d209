/* SPDX-License-Identifier: Apache-2.0 */
/* The lab's guest disks, one for each architecture in it, built by lab/guest/build beside other
 * work. */
#ifndef CLI_LAB_GUEST_H
#define CLI_LAB_GUEST_H

#include "cli/lab.h"

/* Begins to build them in the background unless they are there. */
bool lab_guest_begin(const struct lab *lab, struct error *e);
/* Waits for one; *path is freed by the caller. */
bool lab_guest_path(const struct lab *lab, bool is_arm64, char **path, struct error *e);
void lab_guest_end(void);

#endif

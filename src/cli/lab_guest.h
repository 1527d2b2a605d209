/* SPDX-License-Identifier: Apache-2.0 */
/* The lab's guest disk, built by lab/guest/build beside other work. */
#ifndef CLI_LAB_GUEST_H
#define CLI_LAB_GUEST_H

#include "cli/lab.h"

/* Begins to build it in the background unless it is there. */
bool lab_guest_begin(const struct lab *lab, struct error *e);
/* Waits for it; *path is freed by the caller. */
bool lab_guest_path(const struct lab *lab, char **path, struct error *e);
void lab_guest_end(void);

#endif

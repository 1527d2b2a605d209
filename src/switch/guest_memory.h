/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do when memory that a guest shares is not there: a front end may say that it shares more
 * than its file holds, or cut the file while its rings are in use, and who touches what is gone
 * gets SIGBUS. Zeros take the place of such memory then, for this process alone, and the port's
 * rings hold nothing any more; all else goes on.
 *
 * Only shared mappings of files are replaced, and none that was said to be ours. Set up by the
 * control thread before workers run; the signal is taken on whichever thread touches.
 */
#ifndef SWITCH_GUEST_MEMORY_H
#define SWITCH_GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
	GUEST_MEMORY_OURS_MAX = 16,
};

bool guest_memory_begin(struct error *e);
/* The mapping that holds this address is ours: an end to the process where it is gone. */
void guest_memory_is_ours(const void *address);
/* How often something was missing; any thread. */
uint64_t guest_memory_n_missing(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory a value that a client sent would take if it were kept. */
#ifndef VIM_WEIGHT_H
#define VIM_WEIGHT_H

#include "vim/value.h"

enum {
	WEIGHT_KEPT_MAX = 65536 /* of one value that a client may have kept for it */
};

/* False when v weighs more than `max` bytes or is nested too deep to say. NULL weighs nothing. */
bool weight_within(const struct value *v, size_t max);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of a line (range_map.h), each once: many rules speak of few. {0} is an empty set; it owns
 * its list. One thread.
 */
#ifndef SWITCH_RANGE_SET_H
#define SWITCH_RANGE_SET_H

#include "base/vec.h"
#include "switch/range_map.h"

struct range_set {
	VEC(struct range) list; /* by identifier */
	uint32_t *index;	/* identifier + 1, by content */
	uint32_t index_mask;
};

/* The identifier of a range; it is added where it is new. */
uint32_t range_set_name(struct range_set *s, uint32_t from, uint32_t to);
void range_set_fini(struct range_set *s);

#endif

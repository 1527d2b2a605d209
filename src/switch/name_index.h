/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From names that somebody else keeps to numbers: for hundred thousands of names that are looked up
 * for a moment, where a struct map's copies cost too much. {0} is empty. One thread.
 */
#ifndef SWITCH_NAME_INDEX_H
#define SWITCH_NAME_INDEX_H

#include <stdbool.h>
#include <stdint.h>

struct name_index {
	struct name_slot {
		const char *name; /* borrowed; NULL: free */
		uint32_t hash;
		uint32_t number;
	} * slots;
	uint32_t n, mask;
};

/* The number of a name; false where it is not there. */
bool name_index_find(const struct name_index *x, const char *name, uint32_t *number);
/* False where the name is there already. `name` must outlive the index. */
bool name_index_add(struct name_index *x, const char *name, uint32_t number);
/* Usable again afterwards. */
void name_index_free(struct name_index *x);

#endif

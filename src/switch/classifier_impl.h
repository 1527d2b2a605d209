/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a compilation of rules, for classifier.c (making) and classifier_find.c (asking).
 */
#ifndef SWITCH_CLASSIFIER_IMPL_H
#define SWITCH_CLASSIFIER_IMPL_H

#include "base/vec.h"
#include "switch/address_map.h"
#include "switch/classifier.h"
#include "switch/range_map.h"

#define WORDS 8		   /* of a bit string */
#define CHUNK (WORDS * 64) /* entries */
#define ZERO  0		   /* the string without a bit */

enum {
	SOURCE,
	DESTINATION,
	SOURCE_PORT,
	SERVICE,
	PORT_OUT,
	PORT_IN,
	N_DIMENSIONS,
	N_OWN = 4, /* a connection's own; the others are a port's */
};

struct bits {
	uint64_t w[WORDS];
};

/* One dimension: for each class, where its rules are. `words` is the length of a set of chunks. */
struct dimension {
	uint32_t n_classes;
	uint64_t *some;	 /* [class][words]: chunks with any bit */
	uint64_t *own;	 /* [class][words]: chunks where the string is not the usual one */
	uint32_t *first; /* [class]: in ids, of its own strings in order of chunks */
	VEC(uint32_t) ids;
	uint32_t *usual; /* [chunk] */
};

struct classifier {
	struct dimension dimensions[N_DIMENSIONS];
	struct address_map *sources, *destinations;
	uint64_t prints[2]; /* of what these two were made of */
	struct range_map *source_ports, *services;
	uint32_t *port_classes[2]; /* [out, in][port] */
	struct bits *strings;
	uint32_t n_strings, cap_strings;
	uint32_t n_chunks, words;
	struct classifier_match fallback;
	/* What an entry stands for: most rules are one entry, those that tell services by their
	 * source ports several. */
	VEC(int32_t) positions;
	struct classifier_match *matches; /* by position */
	size_t n_rules;
};

#endif

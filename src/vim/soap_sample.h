/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests only: random values of any type of the schema, as an old or the newest client may see
 * them. Values live in the arena given.
 */
#ifndef VIM_SOAP_SAMPLE_H
#define VIM_SOAP_SAMPLE_H

#include "vim/value.h"

struct sample {
	struct arena *arena;
	uint64_t state;	 /* of the random numbers; not 0 */
	uint8_t version; /* nothing newer is made */
};

uint64_t sample_random(struct sample *s);
/* A structure of that type: required fields always, others sometimes, nested up to `depth`. */
struct value *sample_struct(struct sample *s, uint16_t type, unsigned depth);

#endif

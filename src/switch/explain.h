/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would become of a frame that came in at a port, with nothing sent or changed: the worker's
 * way, from the live tables and records, told stage by stage. Any thread; records that a worker
 * changes meanwhile may be seen half-changed, as `show` sees them.
 */
#ifndef SWITCH_EXPLAIN_H
#define SWITCH_EXPLAIN_H

#include "switch/fate.h"
#include "switch/flow.h"
#include "switch/fragment.h"

struct explain_input {
	const struct tables *tables;
	const struct learned *learned;
	const struct fragments *fragments;
	const struct seen *seen; /* NULL: nothing was seen */
	const struct flow_table *flows;
	uint16_t port; /* index in the configuration */
	uint16_t way;  /* that its team sends by; of a guest's port: anything */
	const uint8_t *frame;
	size_t n, size; /* bytes at hand, and of the whole frame */
	uint32_t now;	/* tick */
	const struct fate_trace *trace;
};

/* Copies, if any, are written to out->copies, which is the caller's to set before. Limits of rates
 * and quotas are not asked. */
void explain_frame(const struct explain_input *in, struct fate *out);

const char *explain_answer_name(enum fate_answer a); /* "none", "reset", … */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-time retrieval of properties (vSphere API PropertyCollector.RetrievePropertiesEx and its
 * kin). Small answers are written at once, large ones are streamed object by object; an object that
 * vanishes before its turn is left out.
 *
 * Each function ends the call. Event-loop thread only.
 */
#ifndef VIM_RETRIEVE_H
#define VIM_RETRIEVE_H

#include "base/list.h"
#include "vim/service.h"

/* Retrievals of which pages are still to be fetched; belongs to a collector. */
struct retrievals {
	struct list open; /* oldest first */
	unsigned n;
	uint64_t last_id;
	size_t *n_held; /* objects of open retrievals, of all collectors of the session */
};

void retrievals_init(struct retrievals *r, size_t *n_held);
void retrievals_fini(struct retrievals *r);

/* `scratch` is used and reset. */
void retrieve_properties(struct call *c, struct arena *scratch);
void retrieve_properties_ex(struct call *c, struct retrievals *r, struct arena *scratch);
void retrieve_continue(struct call *c, struct retrievals *r);
void retrieve_cancel(struct call *c, struct retrievals *r);

#endif

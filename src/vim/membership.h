/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies below a container (vSphere API ContainerView): by `parent`; of virtual machines also by
 * resource pool, vApp and host; of datastores and networks also by the hosts that have them. Told
 * from below, so that one changed object costs one look upward.
 *
 * Event-loop thread only.
 */
#ifndef VIM_MEMBERSHIP_H
#define VIM_MEMBERSHIP_H

#include "vim/bitmap.h"
#include "vim/inventory.h"

/* A container and what was found out about the objects above others. Ready when zeroed and with
 * the first two set; what was found out is good until the inventory changes. */
struct membership {
	struct object *container; /* NULL: gone, nothing lies below it */
	struct arena *scratch;	  /* for computed values on the way; the caller's */
	struct bitmap inside, outside;
};

void membership_free(struct membership *m);

/* Is o below the container, at any depth or (not deep) directly? The container itself is not. */
bool membership_has(struct membership *m, struct object *o, bool deep);

/* What may have changed about an object since a version. */
enum membership_change {
	MEMBERSHIP_SAME,
	MEMBERSHIP_OWN, /* where it is itself */
	MEMBERSHIP_ALL	/* and where everything below it is */
};
enum membership_change membership_changed(const struct object *o, uint64_t since);

#endif

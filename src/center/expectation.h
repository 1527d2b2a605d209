/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a VM that is about to appear on a host shall stand in the manager's inventory. Made by
 * whoever has it created, used by the mirror when the VM appears. Event-loop thread only.
 */
#pragma once

#include "base/list.h"
#include "center/member.h"

struct expectation {
	struct list_node link; /* hosts.expectations */
	struct mirror *mirror;
	char *name;			   /* of the VM, or NULL: */
	char *path;			   /* of its configuration file, as the host says it */
	const struct value *folder, *pool; /* kept references here */
};

void expect(struct expectation *x, struct mirror *m, const char *name, const char *path,
	    const struct object *folder, const struct object *pool);
void expect_end(struct expectation *x);

/* For the VM over there; NULL: nobody expects it. */
const struct expectation *expected(struct mirror *m, struct object *remote_vm, struct arena *a);

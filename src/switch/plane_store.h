/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a plane document is kept: `plane.json`, the last one that was given whole, and
 * `plane.changes`, the changes since, one line each; in the state folder. What is kept before an
 * answer is there after a kill or a power cut. A line says its generation, so that lines which the
 * whole document has already been are passed over. When the lines have become many, the document is
 * written whole again. Owns no configuration. Control thread only.
 */
#ifndef SWITCH_PLANE_STORE_H
#define SWITCH_PLANE_STORE_H

#include "base/error.h"
#include "plane/document_schema.h"
#include "switch/config.h"

enum {
	PLANE_DOCUMENT_MAX = 256 << 20, /* bytes */
};

struct plane_store;

/* Opens nothing yet. */
struct plane_store *plane_store_new(const char *folder);
void plane_store_free(struct plane_store *s);

/* What was kept; *out NULL where nothing was. A last line that was not written to its end is as if
 * it had never been. */
bool plane_store_load(struct plane_store *s, const struct document_schema *schema,
		      struct switch_config **out, uint64_t *generation, struct error *e);
/* Follows what another process keeps: reads what is new since the last time, where `before` is what
 * came out then (NULL: nothing did). *out NULL: nothing is new, and *generation stays. */
bool plane_store_follow(struct plane_store *s, const struct document_schema *schema,
			const struct switch_config *before, uint64_t *generation,
			struct switch_config **out, struct error *e);
/* The next time, reads all. */
void plane_store_forget(struct plane_store *s);
/* Keeps a whole document. On an error the last one is there. */
bool plane_store_put(struct plane_store *s, uint64_t generation, const struct switch_config *c,
		     struct error *e);
/* Keeps changes, which make `after` of what was kept. */
bool plane_store_add(struct plane_store *s, uint64_t generation, struct json_object *changes,
		     const struct switch_config *after, struct error *e);

#endif

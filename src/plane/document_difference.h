/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plane.change is to be told (schema/plane-switch.json, "changes") so that one plane document
 * becomes another. Rules and sections come to stand as the other one has them; of the other lists
 * the order means nothing, and stays as it is. Pure; any thread.
 */
#ifndef PLANE_DOCUMENT_DIFFERENCE_H
#define PLANE_DOCUMENT_DIFFERENCE_H

#include <stddef.h>

#include "base/json.h"

/* The list of changes, empty where nothing differs; the caller's, with parts of `to` in it by
 * reference. `from` is a document that a switch has taken. NULL where `to` had better be given
 * whole: more than `most` changes, or something about it that a switch is to refuse by its place
 * in the document, such as a name that is there twice. */
struct json_object *document_difference(struct json_object *from, struct json_object *to,
					size_t most);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents against a JSON Schema (draft 2020-12), so that what a plane takes is described in one
 * place for programs and people. The subset that our schemas use: type, enum, properties,
 * required, additionalProperties false, items, $ref to "#/$defs/NAME", minimum, maximum,
 * minLength and maxLength (bytes), pattern (POSIX extended, RFC 8259 strings without NUL),
 * minItems, maxItems; title, description and $schema are passed over. A schema with anything else
 * is refused, so that nothing is silently not checked.
 *
 * A compiled schema is immutable: any thread may check with it.
 */
#ifndef PLANE_DOCUMENT_SCHEMA_H
#define PLANE_DOCUMENT_SCHEMA_H

#include "base/error.h"
#include "base/json.h"

struct document_schema;

struct document_schema *document_schema_new(struct json_object *schema, struct error *e);
void document_schema_free(struct document_schema *s);

/* False and an error that names the place, what is wrong and the limit. */
bool document_schema_check(const struct document_schema *s, const struct json_at *document,
			   struct error *e);
/* The same for what $defs calls `part`; it must be there. */
bool document_schema_check_part(const struct document_schema *s, const char *part,
				const struct json_at *value, struct error *e);

#endif

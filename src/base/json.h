/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259) over json-c, with strict reading.
 *
 * Parsing bounds size and depth and refuses invalid UTF-8. Reading goes through struct json_at,
 * a place in a document: it lives on the caller's stack, points to its parent (which must
 * outlive it) and so knows its path for messages such as
 * `"disks[2].size": must be a whole number from 1 to 4096`. Getters never convert: a string is
 * no number, 1.0 is no integer, nothing is cut. Outputs are written only on success; strings
 * belong to the document. One thread at a time per document.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/error.h"

#define JSON_DEPTH_DEFAULT 32

/* The document of n bytes at text; the caller owns it (json_object_put()). NULL and an error for
 * what is no JSON, is larger than `limit` bytes or deeper than `depth`. A document `null` is
 * refused too. */
struct json_object *json_parse(const char *text, size_t n, size_t limit, int depth,
			       struct error *e);
/* Reads and parses a file; the message names it. */
struct json_object *json_parse_file(const char *path, size_t limit, struct error *e);

struct json_at {
	struct json_object *value; /* borrowed */
	const struct json_at *parent;
	const char *key; /* in parent, or NULL: index counts */
	size_t index;
};

struct json_at json_root(struct json_object *value);

/* "a.b[2]", "" for the root, into out. */
void json_path(const struct json_at *at, char *out, size_t size);
/* An error that names the place: "\"path\": text". Always false. */
bool json_error(const struct json_at *at, struct error *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
#ifdef __clang_analyzer__
#define json_error(...) error_is_false(json_error(__VA_ARGS__)) /* as in base/error.h */
#endif

/* Whether an object has the member and it is not null. */
bool json_has(const struct json_at *at, const char *key);
/* The member whatever its type; ERROR_INVALID where absent or null, or `at` is no object. */
bool json_get(const struct json_at *at, const char *key, struct json_at *out, struct error *e);
/* Members of an object; each is required: ask json_has() first for optional ones. */
bool json_get_object(const struct json_at *at, const char *key, struct json_at *out,
		     struct error *e);
bool json_get_array(const struct json_at *at, const char *key, struct json_at *out,
		    struct error *e);
bool json_get_str(const struct json_at *at, const char *key, const char **out, struct error *e);
bool json_get_bool(const struct json_at *at, const char *key, bool *out, struct error *e);
bool json_get_i64(const struct json_at *at, const char *key, int64_t *out, struct error *e);
bool json_get_u64(const struct json_at *at, const char *key, uint64_t *out, struct error *e);
bool json_get_u32(const struct json_at *at, const char *key, uint32_t *out, struct error *e);
bool json_get_double(const struct json_at *at, const char *key, double *out, struct error *e);

/* The place itself, read as a type. A string with a NUL in it is refused. */
bool json_as_object(const struct json_at *at, struct error *e);
bool json_as_array(const struct json_at *at, struct error *e);
bool json_as_str(const struct json_at *at, const char **out, struct error *e);
bool json_as_bool(const struct json_at *at, bool *out, struct error *e);
bool json_as_i64(const struct json_at *at, int64_t *out, struct error *e);
bool json_as_u64(const struct json_at *at, uint64_t *out, struct error *e);
bool json_as_u32(const struct json_at *at, uint32_t *out, struct error *e);
bool json_as_double(const struct json_at *at, double *out, struct error *e);

size_t json_array_n(const struct json_at *at); /* 0 where it is no array */
struct json_at json_item(const struct json_at *array, size_t i);

/* Refuses an object with a member that is not among the n names. */
bool json_check_members(const struct json_at *at, const char *const *names, size_t n,
			struct error *e);

/* Writing. Bytes that are no UTF-8 become U+FFFD; put takes over the reference to `value`. */
void json_put(struct json_object *o, const char *key, struct json_object *value);
void json_put_str(struct json_object *o, const char *key, const char *s);
void json_put_bool(struct json_object *o, const char *key, bool v);
void json_put_i64(struct json_object *o, const char *key, int64_t v);
void json_put_u64(struct json_object *o, const char *key, uint64_t v);
void json_put_double(struct json_object *o, const char *key, double v);
struct json_object *json_new_str(const char *s);
void json_add_text(struct buf *out, struct json_object *value); /* compact, one line */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"

#define PATH_DEPTH 64  /* steps of a path that a message shows */
#define PATH_TEXT  128 /* bytes of a path that a message shows */
#define KEY_SHOWN  48  /* bytes of a foreign key that a message shows */

static bool is_blank(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!memchr(" \t\r\n", s[i], 4)) {
			return false;
		}
	}
	return true;
}

static size_t digits(const char *s, size_t n)
{
	size_t i = 0;
	while (i < n && s[i] >= '0' && s[i] <= '9') {
		i++;
	}
	return i;
}

/* Whether n bytes are a number as RFC 8259, part 6, has it, and, where whole, one of 64 bits. */
static bool is_number(const char *s, size_t n)
{
	size_t at = n > 0 && s[0] == '-';
	size_t whole = digits(s + at, n - at);
	if (whole == 0 || (s[at] == '0' && whole > 1)) {
		return false;
	}
	at += whole;
	if (at == n) {
		int64_t i;
		uint64_t u;
		return number_i64_n(s, n, &i) || number_u64_n(s, n, &u);
	}
	if (s[at] == '.') {
		size_t fraction = digits(s + at + 1, n - at - 1);
		if (fraction == 0) {
			return false;
		}
		at += 1 + fraction;
	}
	if (at < n && (s[at] == 'e' || s[at] == 'E')) {
		at++;
		at += at < n && (s[at] == '+' || s[at] == '-');
		size_t exponent = digits(s + at, n - at);
		if (exponent == 0) {
			return false;
		}
		at += exponent;
	}
	return at == n;
}

/* What json-c would take or bend though RFC 8259 has it otherwise: numbers beyond 64 bits, "1.",
 * NaN, Infinity, bare control characters in strings. */
static bool check_strictly(const char *text, size_t n, struct error *e)
{
	bool in_string = false;
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (in_string && (unsigned char)c < 0x20) {
			return error_set(e, ERROR_INVALID,
					 "JSON: control character in a string at byte %zu", i);
		}
		if (in_string && c == '\\') {
			i++; /* whatever follows does not end the string */
		}
		in_string ^= c == '"';
		if (in_string || (!strchr("-NI", c) && !digits(&c, 1))) {
			continue;
		}
		size_t len = 1;
		while (i + len < n && text[i + len] && strchr("0123456789+-.eE", text[i + len])) {
			len++;
		}
		if (!is_number(text + i, len)) {
			return error_set(e, ERROR_INVALID, "JSON: bad number at byte %zu", i);
		}
		i += len - 1;
	}
	return true;
}

struct json_object *json_parse(const char *text, size_t n, size_t limit, int depth, struct error *e)
{
	if (n > limit || n > INT32_MAX - 1) {
		error_set(e, ERROR_LIMIT, "JSON: %zu bytes, more than %zu", n, limit);
		return NULL;
	}
	if (!check_strictly(text, n, e)) {
		return NULL;
	}
	struct json_tokener *t = json_tokener_new_ex(depth);
	if (!t) {
		error_set(e, ERROR_INTERNAL, "JSON: no parser for depth %d", depth);
		return NULL;
	}
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *o = json_tokener_parse_ex(t, text, (int)n);
	enum json_tokener_error why = json_tokener_get_error(t);
	size_t end = json_tokener_get_parse_end(t);
	if (why == json_tokener_continue) { /* a NUL ends a number at the end of the text */
		o = json_tokener_parse_ex(t, "", 1);
		why = json_tokener_get_error(t);
		end = n;
	}
	if (why == json_tokener_error_depth) {
		error_set(e, ERROR_LIMIT, "JSON: more than %d levels deep", depth);
	} else if (why != json_tokener_success) {
		error_set(e, ERROR_INVALID, "JSON: %s at byte %zu",
			  why == json_tokener_continue ? "ends too early"
						       : json_tokener_error_desc(why),
			  end);
	} else if (!is_blank(text + end, n - end)) {
		error_set(e, ERROR_INVALID, "JSON: more text at byte %zu after the value", end);
		json_object_put(o);
		o = NULL;
	} else if (!o) {
		error_set(e, ERROR_INVALID, "JSON: null where a value must be");
	}
	json_tokener_free(t);
	return why == json_tokener_success ? o : NULL;
}

struct json_object *json_parse_file(const char *path, size_t limit, struct error *e)
{
	struct buf text = BUF_INIT;
	struct json_object *o = NULL;
	if (file_read(path, limit, &text, e)) {
		o = json_parse(text.data, text.len, limit, JSON_DEPTH_DEFAULT, e);
		if (!o) {
			error_prefix(e, "file \"%s\": ", path);
		}
	}
	buf_free(&text);
	return o;
}

struct json_at json_root(struct json_object *value)
{
	return (struct json_at){ .value = value };
}

static struct json_at member(const struct json_at *at, const char *key)
{
	struct json_at m = { .parent = at, .key = key };
	json_object_object_get_ex(at->value, key, &m.value);
	return m;
}

struct json_at json_item(const struct json_at *array, size_t i)
{
	return (struct json_at){ .value = json_object_array_get_idx(array->value, i),
				 .parent = array,
				 .index = i };
}

size_t json_array_n(const struct json_at *at)
{
	return json_object_is_type(at->value, json_type_array) ? json_object_array_length(at->value)
							       : 0;
}

void json_path(const struct json_at *at, char *out, size_t size)
{
	const struct json_at *steps[PATH_DEPTH];
	size_t n = 0;
	for (; at->parent && n < PATH_DEPTH; at = at->parent) {
		steps[n++] = at;
	}
	size_t len = 0;
	out[0] = '\0';
	while (n-- && len < size) {
		int more;
		if (steps[n]->key) {
			more = snprintf(out + len, size - len, "%s%s", len ? "." : "",
					steps[n]->key);
		} else {
			more = snprintf(out + len, size - len, "[%zu]", steps[n]->index);
		}
		len += more > 0 ? (size_t)more : 0;
	}
}

/* In parentheses because under the analyser it is a macro as well. */
bool(json_error)(const struct json_at *at, struct error *e, const char *fmt, ...)
{
	char text[sizeof(e->msg)];
	char path[PATH_TEXT];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_path(at, path, sizeof(path));
	return error_set(e, ERROR_INVALID, "\"%s\": %s", path[0] ? path : ".", text);
}

bool json_has(const struct json_at *at, const char *key)
{
	return json_object_is_type(at->value, json_type_object) && member(at, key).value;
}

bool json_get(const struct json_at *at, const char *key, struct json_at *out, struct error *e)
{
	if (!json_as_object(at, e)) {
		return false;
	}
	struct json_at m = member(at, key);
	if (!m.value) {
		return json_error(&m, e, "is missing");
	}
	*out = m;
	return true;
}

bool json_as_object(const struct json_at *at, struct error *e)
{
	return json_object_is_type(at->value, json_type_object) ||
	       json_error(at, e, "must be an object");
}

bool json_as_array(const struct json_at *at, struct error *e)
{
	return json_object_is_type(at->value, json_type_array) ||
	       json_error(at, e, "must be an array");
}

bool json_as_str(const struct json_at *at, const char **out, struct error *e)
{
	if (!json_object_is_type(at->value, json_type_string)) {
		return json_error(at, e, "must be a string");
	}
	const char *s = json_object_get_string(at->value);
	if (strlen(s) != (size_t)json_object_get_string_len(at->value)) {
		return json_error(at, e, "must not contain a NUL character");
	}
	*out = s;
	return true;
}

bool json_as_bool(const struct json_at *at, bool *out, struct error *e)
{
	if (!json_object_is_type(at->value, json_type_boolean)) {
		return json_error(at, e, "must be true or false");
	}
	*out = json_object_get_boolean(at->value);
	return true;
}

bool json_as_i64(const struct json_at *at, int64_t *out, struct error *e)
{
	if (!json_object_is_type(at->value, json_type_int) ||
	    json_object_get_uint64(at->value) > INT64_MAX) {
		return json_error(at, e, "must be a whole number of 64 bits with sign");
	}
	*out = json_object_get_int64(at->value);
	return true;
}

/* json-c gives 0 for a negative number asked for as unsigned, and INT64_MAX for a large one asked
 * for as signed; so a number is negative exactly where the signed form is. */
bool json_as_u64(const struct json_at *at, uint64_t *out, struct error *e)
{
	if (!json_object_is_type(at->value, json_type_int) ||
	    json_object_get_int64(at->value) < 0) {
		return json_error(at, e, "must be a whole number of 64 bits, 0 or more");
	}
	*out = json_object_get_uint64(at->value);
	return true;
}

bool json_as_u32(const struct json_at *at, uint32_t *out, struct error *e)
{
	uint64_t v;
	if (!json_as_u64(at, &v, NULL) || v > UINT32_MAX) {
		return json_error(at, e, "must be a whole number from 0 to %u", UINT32_MAX);
	}
	*out = (uint32_t)v;
	return true;
}

bool json_as_double(const struct json_at *at, double *out, struct error *e)
{
	if (!json_object_is_type(at->value, json_type_double) &&
	    !json_object_is_type(at->value, json_type_int)) {
		return json_error(at, e, "must be a number");
	}
	double v = json_object_get_double(at->value);
	if (!isfinite(v)) {
		return json_error(at, e, "must be a finite number");
	}
	*out = v;
	return true;
}

bool json_get_object(const struct json_at *at, const char *key, struct json_at *out,
		     struct error *e)
{
	struct json_at m;
	if (!json_get(at, key, &m, e) || !json_as_object(&m, e)) {
		return false;
	}
	*out = m;
	return true;
}

bool json_get_array(const struct json_at *at, const char *key, struct json_at *out, struct error *e)
{
	struct json_at m;
	if (!json_get(at, key, &m, e) || !json_as_array(&m, e)) {
		return false;
	}
	*out = m;
	return true;
}

bool json_get_str(const struct json_at *at, const char *key, const char **out, struct error *e)
{
	struct json_at m;
	return json_get(at, key, &m, e) && json_as_str(&m, out, e);
}

bool json_get_bool(const struct json_at *at, const char *key, bool *out, struct error *e)
{
	struct json_at m;
	return json_get(at, key, &m, e) && json_as_bool(&m, out, e);
}

bool json_get_i64(const struct json_at *at, const char *key, int64_t *out, struct error *e)
{
	struct json_at m;
	return json_get(at, key, &m, e) && json_as_i64(&m, out, e);
}

bool json_get_u64(const struct json_at *at, const char *key, uint64_t *out, struct error *e)
{
	struct json_at m;
	return json_get(at, key, &m, e) && json_as_u64(&m, out, e);
}

bool json_get_u32(const struct json_at *at, const char *key, uint32_t *out, struct error *e)
{
	struct json_at m;
	return json_get(at, key, &m, e) && json_as_u32(&m, out, e);
}

bool json_get_double(const struct json_at *at, const char *key, double *out, struct error *e)
{
	struct json_at m;
	return json_get(at, key, &m, e) && json_as_double(&m, out, e);
}

bool json_check_members(const struct json_at *at, const char *const *names, size_t n,
			struct error *e)
{
	if (!json_as_object(at, e)) {
		return false;
	}
	struct json_object_iterator it = json_object_iter_begin(at->value);
	struct json_object_iterator end = json_object_iter_end(at->value);
	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
		const char *key = json_object_iter_peek_name(&it);
		size_t i = 0;
		while (i < n && strcmp(names[i], key) != 0) {
			i++;
		}
		if (i == n) {
			return json_error(at, e, "has an unknown member \"%.*s\"", KEY_SHOWN, key);
		}
	}
	return true;
}

/* Length of the UTF-8 sequence at s (RFC 3629), 0 where it is none. */
static size_t utf8_length(const unsigned char *s)
{
	if (s[0] < 0x80) {
		return 1;
	}
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || (s[0] == 0xe0 && s[1] < 0xa0) ||
	    (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f)) {
		return 0;
	}
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return n;
}

struct json_object *json_new_str(const char *s)
{
	struct buf clean = BUF_INIT;
	while (*s) {
		size_t n = utf8_length((const unsigned char *)s);
		if (n) {
			buf_add(&clean, s, n);
		} else {
			buf_adds(&clean, "\xef\xbf\xbd");
		}
		s += n ? n : 1;
	}
	struct json_object *o = json_object_new_string_len(clean.data, (int)clean.len);
	buf_free(&clean);
	return o;
}

void json_put(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

void json_put_str(struct json_object *o, const char *key, const char *s)
{
	json_put(o, key, json_new_str(s));
}

void json_put_bool(struct json_object *o, const char *key, bool v)
{
	json_put(o, key, json_object_new_boolean(v));
}

void json_put_i64(struct json_object *o, const char *key, int64_t v)
{
	json_put(o, key, json_object_new_int64(v));
}

void json_put_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_put(o, key, json_object_new_uint64(v));
}

void json_put_double(struct json_object *o, const char *key, double v)
{
	json_put(o, key, json_object_new_double(v));
}

void json_add_text(struct buf *out, struct json_object *value)
{
	size_t n = 0;
	const char *s = json_object_to_json_string_length(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	buf_add(out, s, n);
}

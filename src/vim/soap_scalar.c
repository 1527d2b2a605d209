/* SPDX-License-Identifier: Apache-2.0 */
/* Text of leaf elements to values: the lexical forms of XML Schema Part 2. */
#include <math.h>
#include <stdlib.h>

#include "base/encoding.h"
#include "base/number.h"
#include "vim/soap_reader.h"

enum {
	SHOWN_TEXT_MAX = 60
};

struct span {
	const char *s;
	size_t n;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Text without the white space around it. Ends the text in place, so that s is a string. */
static struct span trim(struct buf *b)
{
	size_t from = 0, to = b->len;

	while (from < to && is_space(b->data[from])) {
		from++;
	}
	while (to > from && is_space(b->data[to - 1])) {
		to--;
	}
	if (to < b->len) {
		b->data[to] = '\0';
	}
	return (struct span){ b->data + from, to - from };
}

static bool fail_text(struct reader *r, const struct frame *f, struct span t)
{
	int shown = (int)MIN(t.n, (size_t)SHOWN_TEXT_MAX);

	return reader_fail(r, ERROR_INVALID, "element \"%s\": \"%.*s\" is not a valid %s", f->name,
			   shown, t.s, schema_type_name(f->type));
}

/* 1: in the kind's range; 0: not. */
static bool in_range(unsigned kind, int64_t n)
{
	switch (kind) {
	case KIND_BYTE:
		return n >= INT8_MIN && n <= INT8_MAX;
	case KIND_SHORT:
		return n >= INT16_MIN && n <= INT16_MAX;
	case KIND_INT:
		return n >= INT32_MIN && n <= INT32_MAX;
	default:
		return true;
	}
}

static bool read_real(struct span t, double *out)
{
	if (number_double(t.s, out)) {
		return true;
	}
	if (t.n == 3 && memcmp(t.s, "NaN", 3) == 0) {
		*out = (double)NAN;
		return true;
	}
	if (t.n == 3 && memcmp(t.s, "INF", 3) == 0) {
		*out = (double)INFINITY;
		return true;
	}
	if (t.n == 4 && memcmp(t.s, "-INF", 4) == 0) {
		*out = -(double)INFINITY;
		return true;
	}
	return false;
}

static bool read_bool(struct span t, int64_t *out)
{
	bool b;

	if (!number_bool(t.s, &b)) {
		return false;
	}
	*out = b;
	return true;
}

static bool read_enum(struct reader *r, const struct frame *f, union slot *out)
{
	struct span t = trim(&r->text);
	int ordinal = schema_enum_find(f->type, t.s, t.n);

	if (ordinal < 0) {
		return r->lenient ? false : fail_text(r, f, t);
	}
	out->num = ordinal;
	return true;
}

static bool read_binary(struct reader *r, const struct frame *f, union slot *out)
{
	buf_clear(&r->scratch);
	if (!base64_decode(&r->scratch, r->text.data, r->text.len)) {
		return fail_text(r, f, trim(&r->text));
	}
	out->value = value_new_binary(r->arena, r->scratch.data, r->scratch.len);
	return out->value != NULL || reader_fail_memory(r);
}

static bool read_ref(struct reader *r, const struct frame *f, union slot *out)
{
	struct span t = trim(&r->text);

	if (t.n == 0) {
		return reader_fail(r, ERROR_INVALID, "element \"%s\": empty object reference",
				   f->name);
	}
	out->value = value_new_refn(r->arena, f->type, t.s, t.n);
	return out->value != NULL || reader_fail_memory(r);
}

static bool read_number(struct reader *r, const struct frame *f, union slot *out)
{
	struct span t = trim(&r->text);
	bool ok;

	switch (f->leaf_kind) {
	case KIND_BOOL:
		ok = read_bool(t, &out->num);
		break;
	case KIND_FLOAT:
		ok = read_real(t, &out->real);
		out->real = ok ? (double)(float)out->real : 0;
		break;
	case KIND_DOUBLE:
		ok = read_real(t, &out->real);
		break;
	case KIND_DATETIME:
		ok = soap_read_time(t.s, t.n, &out->num);
		break;
	default:
		ok = number_i64_n(t.s, t.n, &out->num) && in_range(f->leaf_kind, out->num);
		break;
	}
	return ok || fail_text(r, f, t);
}

bool scalar_read(struct reader *r, const struct frame *f, union slot *out)
{
	switch (f->leaf_kind) {
	case KIND_STRING:
		out->value = value_new_strn(r->arena, r->text.data, r->text.len);
		return out->value != NULL || reader_fail_memory(r);
	case KIND_BINARY:
		return read_binary(r, f, out);
	case KIND_REF:
		return read_ref(r, f, out);
	case KIND_ENUM:
		return read_enum(r, f, out);
	default:
		return read_number(r, f, out);
	}
}

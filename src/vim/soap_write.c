/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values to XML. What the client's version does not know is left out: newer fields; a structure of
 * a newer type is written as its nearest base that the client knows, with that base's fields only;
 * references to newer kinds of objects disappear.
 */
#include "vim/soap.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encoding.h"

#define LITERAL(b, s) buf_add((b), (s), sizeof(s) - 1)

/* An element's name. */
struct name {
	const char *s;
	size_t n;
};

static struct name field_name(const struct schema_field *f)
{
	return (struct name){ schema_field_name(f), f->name_len };
}

static struct name type_name(uint16_t type)
{
	return (struct name){ schema_type_name(type), schema_types[type].name_len };
}

static void write_any(struct buf *b, struct name name, const struct value *v, uint8_t version);

static void open_tag(struct buf *b, struct name name)
{
	char *at = buf_reserve(b, name.n + 2);

	*at = '<';
	memcpy(at + 1, name.s, name.n);
	at[name.n + 1] = '>';
	buf_commit(b, name.n + 2);
}

static void close_tag(struct buf *b, struct name name)
{
	char *at = buf_reserve(b, name.n + 3);

	at[0] = '<';
	at[1] = '/';
	memcpy(at + 2, name.s, name.n);
	at[name.n + 2] = '>';
	buf_commit(b, name.n + 3);
}

/* <name xsi:type="prefix+type"> */
static void open_typed_tag(struct buf *b, struct name name, const char *prefix, struct name type)
{
	buf_addc(b, '<');
	buf_add(b, name.s, name.n);
	LITERAL(b, " xsi:type=\"");
	buf_adds(b, prefix);
	buf_add(b, type.s, type.n);
	buf_add(b, "\">", 2);
}

/* The type itself or its nearest base that the version knows; T_none: none. */
static uint16_t known_type(uint16_t type, uint8_t version)
{
	while (type != T_none && schema_types[type].since > version) {
		type = schema_types[type].base;
	}
	return type;
}

/* The fewest digits that read back as the same number. */
static void write_real(struct buf *b, unsigned kind, double d)
{
	char text[40];
	int n = 0;

	if (isnan(d)) {
		LITERAL(b, "NaN");
		return;
	}
	if (isinf(d)) {
		buf_adds(b, d < 0 ? "-INF" : "INF");
		return;
	}
	if (d > -1e15 && d < 1e15 && d == (double)(int64_t)d && !(d == 0 && signbit(d))) {
		buf_add_i64(b, (int64_t)d);
		return;
	}
	for (int digits = kind == KIND_FLOAT ? 6 : 15; digits <= 17; digits++) {
		n = snprintf(text, sizeof(text), "%.*g", digits, d);
		double back = strtod(text, NULL);
		if (back == d || (kind == KIND_FLOAT && (float)back == (float)d)) {
			break;
		}
	}
	buf_add(b, text, (size_t)n);
}

static void write_scalar(struct buf *b, unsigned kind, uint16_t type, union slot s)
{
	switch (kind) {
	case KIND_BOOL:
		buf_adds(b, s.num != 0 ? "true" : "false");
		break;
	case KIND_FLOAT:
	case KIND_DOUBLE:
		write_real(b, kind, s.real);
		break;
	case KIND_DATETIME:
		soap_write_time(b, s.num);
		break;
	case KIND_ENUM:
		buf_adds(b, schema_enum_name(type, (unsigned)s.num));
		break;
	default:
		buf_add_i64(b, s.num);
		break;
	}
}

/* Fields that `type`, perhaps a base of v's own type, has. */
static void write_fields(struct buf *b, const struct value *v, uint16_t type, uint8_t version)
{
	const struct schema_type *t = schema_type(type);
	struct value_walk walk;
	union slot s;
	unsigned i;

	value_walk_begin(&walk, v);
	while (value_walk(&walk, &i, &s) && i < t->n_fields) {
		const struct schema_field *f = &schema_fields[t->first_field + i];
		if (f->since <= version) {
			soap_write_field(b, f, s, version);
		}
	}
}

/* A structure where one of type `declared` (T_none: any) is expected. */
static void write_struct(struct buf *b, struct name name, const struct value *v, uint16_t declared,
			 bool typed, uint8_t version)
{
	uint16_t type = known_type(value_type(v), version);

	if (type == T_none || (declared != T_none && !schema_is_a(type, declared))) {
		return;
	}
	if (typed) {
		open_typed_tag(b, name, "", type_name(type));
	} else {
		open_tag(b, name);
	}
	write_fields(b, v, type, version);
	close_tag(b, name);
}

static void write_ref(struct buf *b, struct name name, const struct value *v, bool typed,
		      uint8_t version)
{
	const struct schema_type *t = schema_type(value_type(v));

	if (t->since > version) {
		return;
	}
	buf_addc(b, '<');
	buf_add(b, name.s, name.n);
	LITERAL(b, " type=\"");
	buf_add(b, schema_strings + t->name, t->name_len);
	if (typed) {
		LITERAL(b, "\" xsi:type=\"ManagedObjectReference\">");
	} else {
		buf_add(b, "\">", 2);
	}
	soap_write_text(b, value_bytes(v), value_len(v));
	close_tag(b, name);
}

/* An element without xsi:type for a value other than a structure, a reference or an array. */
static void write_leaf(struct buf *b, struct name name, const struct schema_field *f, union slot s)
{
	open_tag(b, name);
	if (f->kind == KIND_STRING) {
		soap_write_text(b, value_bytes(s.value), value_len(s.value));
	} else if (f->kind == KIND_BINARY) {
		base64_encode(b, value_bytes(s.value), value_len(s.value));
	} else {
		write_scalar(b, f->kind, f->type, s);
	}
	close_tag(b, name);
}

/* One element of a declared type. */
static void write_one(struct buf *b, struct name name, const struct schema_field *f, union slot s,
		      uint8_t version)
{
	switch (f->kind) {
	case KIND_STRUCT:
		write_struct(b, name, s.value, f->type, f->flags & FIELD_XSITYPE, version);
		break;
	case KIND_REF:
		write_ref(b, name, s.value, false, version);
		break;
	case KIND_ANY:
		write_any(b, name, s.value, version);
		break;
	default:
		write_leaf(b, name, f, s);
		break;
	}
}

static void write_declared(struct buf *b, struct name name, const struct schema_field *f,
			   union slot s, uint8_t version)
{
	if (!(f->flags & FIELD_ARRAY)) {
		write_one(b, name, f, s, version);
		return;
	}
	size_t n = value_count(s.value);
	for (size_t i = 0; i < n; i++) {
		write_one(b, name, f, value_at(s.value, i), version);
	}
}

void soap_write_field(struct buf *b, const struct schema_field *f, union slot s, uint8_t version)
{
	write_declared(b, field_name(f), f, s, version);
}

/* ---- values that say their type ---- */

static void write_any_leaf(struct buf *b, struct name name, uint16_t type, union slot s,
			   uint8_t version)
{
	unsigned kind = schema_type_kind(type);
	struct schema_field f = { .type = type, .kind = (uint8_t)kind };
	struct name string = { "string", 6 };

	if (kind != KIND_ENUM) {
		open_typed_tag(b, name, "xsd:", type_name(type));
	} else if (schema_types[type].since <= version) {
		open_typed_tag(b, name, "", type_name(type));
	} else {
		open_typed_tag(b, name, "xsd:", string);
	}
	if (kind == KIND_STRING) {
		soap_write_text(b, value_bytes(s.value), value_len(s.value));
	} else if (kind == KIND_BINARY) {
		base64_encode(b, value_bytes(s.value), value_len(s.value));
	} else {
		write_scalar(b, f.kind, type, s);
	}
	close_tag(b, name);
}

/* <name xsi:type="ArrayOfX"><X xsi:type="Y">…</X>…</name> */
static void write_any_array(struct buf *b, struct name name, const struct value *v, uint8_t version)
{
	uint16_t type =
		v->item == KIND_REF ? T_ManagedObjectReference : known_type(value_type(v), version);
	if (type == T_none) {
		return;
	}
	const char *array = schema_array_name(type);
	struct name item = type_name(type);
	open_typed_tag(b, name, "ArrayOf", (struct name){ array, strlen(array) });
	for (size_t i = 0; i < v->n; i++) {
		union slot s = value_at(v, i);
		if (schema_kind_is_scalar(v->item)) {
			write_any_leaf(b, item, value_type(v), s, version);
		} else {
			write_any(b, item, s.value, version);
		}
	}
	close_tag(b, name);
}

static void write_any(struct buf *b, struct name name, const struct value *v, uint8_t version)
{
	switch (v->kind) {
	case KIND_STRUCT:
		write_struct(b, name, v, T_none, true, version);
		break;
	case KIND_REF:
		write_ref(b, name, v, true, version);
		break;
	case KIND_ARRAY:
		write_any_array(b, name, v, version);
		break;
	case KIND_STRING:
	case KIND_BINARY:
		write_any_leaf(b, name, value_type(v), (union slot){ .value = v }, version);
		break;
	default:
		write_any_leaf(b, name, value_type(v), value_scalar(v), version);
		break;
	}
}

void soap_write_any(struct buf *b, const char *element, const struct value *v, uint8_t version)
{
	write_any(b, (struct name){ element, strlen(element) }, v, version);
}

/* ---- documents ---- */

void soap_envelope_begin(struct buf *b)
{
	LITERAL(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\""
		   " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\""
		   " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n"
		   "<soapenv:Body>\n");
}

void soap_envelope_end(struct buf *b)
{
	LITERAL(b, "\n</soapenv:Body>\n</soapenv:Envelope>\n");
}

void soap_response_begin(struct buf *b, const char *method_name, const char *ns)
{
	soap_envelope_begin(b);
	buf_addc(b, '<');
	buf_adds(b, method_name);
	LITERAL(b, "Response xmlns=\"");
	buf_adds(b, ns == NULL ? "urn:vim25" : ns);
	buf_add(b, "\">", 2);
}

void soap_response_end(struct buf *b, const char *method_name)
{
	buf_add(b, "</", 2);
	buf_adds(b, method_name);
	LITERAL(b, "Response>");
	soap_envelope_end(b);
}

void soap_write_response(struct buf *b, const char *method_name, const char *ns,
			 const struct schema_field *result, const struct value *v, uint8_t version)
{
	struct name name = { "returnval", 9 };

	soap_response_begin(b, method_name, ns);
	if (v != NULL && result != NULL && result->kind != KIND_NONE) {
		bool boxed = schema_kind_is_scalar(result->kind) && value_kind(v) != KIND_ARRAY;
		write_declared(b, name, result,
			       boxed ? value_scalar(v) : (union slot){ .value = v }, version);
	}
	soap_response_end(b, method_name);
}

void soap_write_fault(struct buf *b, const char *code, const char *text, const struct value *fault,
		      uint8_t version)
{
	uint16_t type = fault == NULL ? T_none : known_type(value_type(fault), version);

	soap_envelope_begin(b);
	LITERAL(b, "<soapenv:Fault><faultcode>");
	buf_adds(b, code);
	LITERAL(b, "</faultcode><faultstring>");
	if (text == NULL || *text == '\0') {
		text = type == T_none ? "fault" : schema_type_name(type);
	}
	soap_write_text(b, text, strlen(text));
	LITERAL(b, "</faultstring>");
	if (type != T_none) {
		struct name name = type_name(type);
		LITERAL(b, "<detail><");
		buf_add(b, name.s, name.n);
		LITERAL(b, "Fault xmlns=\"urn:vim25\" xsi:type=\"");
		buf_add(b, name.s, name.n);
		buf_add(b, "\">", 2);
		write_fields(b, fault, type, version);
		buf_add(b, "</", 2);
		buf_add(b, name.s, name.n);
		LITERAL(b, "Fault></detail>");
	}
	LITERAL(b, "</soapenv:Fault>");
	soap_envelope_end(b);
}

void soap_write_request(struct buf *b, uint16_t method, const struct value *self,
			const struct value *args, uint8_t version)
{
	const char *text = schema_method_name(method);
	struct name name = { text, strlen(text) };

	soap_envelope_begin(b);
	buf_addc(b, '<');
	buf_add(b, name.s, name.n);
	LITERAL(b, " xmlns=\"urn:vim25\">");
	write_ref(b, (struct name){ "_this", 5 }, self, false, version);
	if (args != NULL) {
		write_fields(b, args, value_type(args), version);
	}
	close_tag(b, name);
	soap_envelope_end(b);
}

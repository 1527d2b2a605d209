/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML 1.0 (fifth edition) and Namespaces in XML 1.0, cut down. Each function goes on at p->at and
 * returns false where the document stops being plain.
 */
#include "vim/soap_plain.h"

#include <string.h>

enum {
	BINDINGS_MAX = 32,   /* namespace declarations in scope */
	ATTRIBUTES_MAX = 16, /* of an element */
	NAME_MAX_BYTES = 100
};

enum {
	IS_FIRST = 1, /* of a name */
	IS_NAME = 2,
	IS_TEXT = 4, /* stands for itself between tags */
	IS_VALUE = 8 /* and in an attribute's value */
};

#define T IS_TEXT
#define V IS_VALUE
#define M (IS_TEXT | IS_VALUE)		 /* marks */
#define D (IS_NAME | IS_TEXT | IS_VALUE) /* digits, '-' and '.' */
#define L (D | IS_FIRST)		 /* letters and '_' */

/* Classes of ASCII, sixteen a line. Zero is not plain: controls, '<', '&', all beyond ASCII. */
/* clang-format off */
static const uint8_t classes[256] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, T, T, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	M, M, T, M, M, M, 0, T, M, M, M, M, M, D, D, M,
	D, D, D, D, D, D, D, D, D, D, M, M, 0, M, M, M,
	M, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
	L, L, L, L, L, L, L, L, L, L, L, M, M, V, M, L,
	M, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
	L, L, L, L, L, L, L, L, L, L, L, M, M, M, M, 0,
};
/* clang-format on */
#undef T
#undef V
#undef M
#undef D
#undef L

struct span {
	const char *at;
	size_t len;
};

#define SPAN(text)                                                                                 \
	{                                                                                          \
		(text), sizeof(text) - 1                                                           \
	}

static const struct span declarations[] = {
	SPAN("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"),
	SPAN("<?xml version=\"1.0\" encoding=\"utf-8\"?>"),
	SPAN("<?xml version='1.0' encoding='UTF-8'?>"),
	SPAN("<?xml version='1.0' encoding='utf-8'?>"),
	SPAN("<?xml version=\"1.0\"?>"),
};

static const struct span namespaces[] = {
	SPAN("urn:vim25"),
	SPAN(NS_ENVELOPE),
	SPAN(NS_INSTANCE),
	SPAN("http://www.w3.org/2001/XMLSchema"),
	SPAN("http://schemas.xmlsoap.org/soap/encoding/"),
	SPAN("urn:internalvim25"),
};

struct binding {
	struct span prefix; /* empty: the default namespace */
	const char *ns;	    /* one of `namespaces` */
	unsigned depth;	    /* of the element that declares it */
};

struct attribute {
	struct span prefix, name, value;
};

struct plain {
	struct reader *r;
	const char *at, *end;
	unsigned depth;			      /* of the innermost open element; 0: none */
	struct span open[SOAP_MAX_DEPTH + 1]; /* names as written, with prefix */
	struct binding bindings[BINDINGS_MAX];
	unsigned n_bindings;
};

static bool span_is(struct span a, struct span b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static bool is_class(char c, unsigned class)
{
	return (classes[(unsigned char)c] & class) != 0;
}

/* To where the class ends. */
static const char *skip(const struct plain *p, const char *at, unsigned class)
{
	while (at < p->end && is_class(*at, class)) {
		at++;
	}
	return at;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\t';
}

static size_t skip_blanks(struct plain *p)
{
	const char *from = p->at;

	while (p->at < p->end && is_blank(*p->at)) {
		p->at++;
	}
	return (size_t)(p->at - from);
}

static bool take(struct plain *p, char c)
{
	if (p->at == p->end || *p->at != c) {
		return false;
	}
	p->at++;
	return true;
}

/* ---- names ---- */

static bool read_part(struct plain *p, struct span *out)
{
	const char *from = p->at;

	if (p->at == p->end || !is_class(*p->at, IS_FIRST)) {
		return false;
	}
	p->at = skip(p, from, IS_NAME);
	*out = (struct span){ from, (size_t)(p->at - from) };
	return out->len <= NAME_MAX_BYTES;
}

static bool read_name(struct plain *p, struct span *prefix, struct span *local)
{
	*prefix = (struct span){ p->at, 0 };
	if (!read_part(p, local)) {
		return false;
	}
	if (p->at < p->end && *p->at == ':') {
		p->at++;
		*prefix = *local;
		return read_part(p, local);
	}
	return true;
}

/* ---- namespaces ---- */

/* NULL: not declared. */
static const char *find_namespace(const struct plain *p, struct span prefix)
{
	for (unsigned i = p->n_bindings; i > 0; i--) {
		if (span_is(p->bindings[i - 1].prefix, prefix)) {
			return p->bindings[i - 1].ns;
		}
	}
	return NULL;
}

/* For the element that is being opened. */
static bool bind_namespace(struct plain *p, struct span prefix, struct span uri)
{
	static const struct span xml = SPAN("xml"), xmlns = SPAN("xmlns");
	unsigned depth = p->depth + 1;

	if (p->n_bindings == BINDINGS_MAX || span_is(prefix, xml) || span_is(prefix, xmlns)) {
		return false;
	}
	for (unsigned i = p->n_bindings; i > 0 && p->bindings[i - 1].depth == depth; i--) {
		if (span_is(p->bindings[i - 1].prefix, prefix)) {
			return false;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
		if (span_is(namespaces[i], uri)) {
			p->bindings[p->n_bindings++] =
				(struct binding){ prefix, namespaces[i].at, depth };
			return true;
		}
	}
	return false;
}

/* ---- attributes ---- */

static bool read_value(struct plain *p, struct span *out)
{
	if (p->at >= p->end || (*p->at != '"' && *p->at != '\'')) {
		return false;
	}
	char quote = *p->at;
	const char *from = ++p->at;
	p->at = skip(p, from, IS_VALUE);
	*out = (struct span){ from, (size_t)(p->at - from) };
	return take(p, quote);
}

/* One attribute, or a namespace for the element. */
static bool read_attribute(struct plain *p, struct attribute *list, unsigned *n)
{
	static const struct span xmlns = SPAN("xmlns"), none = { "", 0 };
	struct attribute a;

	if (!read_name(p, &a.prefix, &a.name) || !take(p, '=') || !read_value(p, &a.value)) {
		return false;
	}
	if (span_is(a.prefix, xmlns)) {
		return bind_namespace(p, a.name, a.value);
	}
	if (a.prefix.len == 0 && span_is(a.name, xmlns)) {
		return bind_namespace(p, none, a.value);
	}
	if (*n == ATTRIBUTES_MAX) {
		return false;
	}
	list[(*n)++] = a;
	return true;
}

/* Attributes of the same name in the same namespace are none. */
static bool give_attributes(const struct plain *p, const struct attribute *list, unsigned n,
			    struct element *el)
{
	const char *ns[ATTRIBUTES_MAX];

	for (unsigned i = 0; i < n; i++) {
		const struct attribute *a = &list[i];
		ns[i] = a->prefix.len == 0 ? NULL : find_namespace(p, a->prefix);
		if (a->prefix.len != 0 && ns[i] == NULL) {
			return false;
		}
		for (unsigned k = 0; k < i; k++) {
			if (ns[k] == ns[i] && span_is(list[k].name, a->name)) {
				return false;
			}
		}
		element_attribute(el, ns[i], a->name.at, a->name.len, a->value.at, a->value.len);
	}
	return true;
}

/* ---- tags ---- */

static void leave(struct plain *p)
{
	reader_close(p->r);
	p->depth--;
	while (p->n_bindings > 0 && p->bindings[p->n_bindings - 1].depth > p->depth) {
		p->n_bindings--;
	}
}

/* Until behind "/>" or ">". */
static bool read_attributes(struct plain *p, struct attribute *list, unsigned *n, bool *is_empty)
{
	*n = 0;
	for (;;) {
		bool is_apart = skip_blanks(p) > 0;
		*is_empty = take(p, '/');
		if (take(p, '>')) {
			return true;
		}
		if (*is_empty || !is_apart || !read_attribute(p, list, n)) {
			return false;
		}
	}
}

/* Behind "<". */
static bool read_start(struct plain *p)
{
	struct attribute attributes[ATTRIBUTES_MAX];
	const char *from = p->at;
	struct span prefix, local;
	unsigned n;
	bool is_empty;

	if (p->depth == SOAP_MAX_DEPTH || !read_name(p, &prefix, &local)) {
		return false;
	}
	p->open[p->depth + 1] = (struct span){ from, (size_t)(p->at - from) };
	if (!read_attributes(p, attributes, &n, &is_empty)) {
		return false;
	}
	const char *ns = find_namespace(p, prefix);
	const char *name = arena_strndup(p->r->arena, local.at, local.len);
	if (name == NULL || (ns == NULL && prefix.len > 0)) {
		return false;
	}
	struct element el = { .name = name, .name_len = local.len, .ns = ns == NULL ? "" : ns };
	if (!give_attributes(p, attributes, n, &el)) {
		return false;
	}
	p->depth++;
	reader_open(p->r, &el);
	if (is_empty) {
		leave(p);
	}
	return true;
}

/* Behind "</". */
static bool read_end(struct plain *p)
{
	struct span name = p->open[p->depth];

	if (p->depth == 0 || (size_t)(p->end - p->at) < name.len ||
	    memcmp(p->at, name.at, name.len) != 0) {
		return false;
	}
	p->at += name.len;
	skip_blanks(p);
	if (!take(p, '>')) {
		return false;
	}
	leave(p);
	return true;
}

/* Up to "<". A ']' stands for itself unless another follows, which might begin "]]>". */
static bool read_text(struct plain *p)
{
	const char *from = p->at, *at = skip(p, from, IS_TEXT);

	while (at < p->end && *at == ']') {
		at++;
		if (at < p->end && *at == ']') {
			return false;
		}
		at = skip(p, at, IS_TEXT);
	}
	p->at = at;
	if (at > from) {
		reader_text(p->r, from, (size_t)(at - from));
	}
	return true;
}

static void skip_declaration(struct plain *p)
{
	size_t left = (size_t)(p->end - p->at);

	for (size_t i = 0; i < ARRAY_LEN(declarations); i++) {
		const struct span *d = &declarations[i];
		if (d->len <= left && memcmp(p->at, d->at, d->len) == 0) {
			p->at += d->len;
			skip_blanks(p);
			return;
		}
	}
}

bool plain_read(struct reader *r, const char *data, size_t len)
{
	struct plain p;

	p.r = r;
	p.at = data;
	p.end = data + len;
	p.depth = 0;
	p.n_bindings = 0;
	skip_declaration(&p);
	do {
		if ((p.depth > 0 && !read_text(&p)) || !take(&p, '<')) {
			return false;
		}
		bool is_read = take(&p, '/') ? read_end(&p) : read_start(&p);
		if (!is_read || r->failed) {
			return false;
		}
	} while (p.depth > 0);
	skip_blanks(&p);
	return p.at == p.end;
}

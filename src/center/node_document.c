/* SPDX-License-Identifier: Apache-2.0 */
#include "center/node_document.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void node_document_init(struct node_document *d)
{
	*d = (struct node_document){ .a = arena_new(0) };
}

void node_document_fini(struct node_document *d)
{
	vec_free(&d->pieces);
	arena_free(d->a);
	map64_free(&d->objects);
}

void node_document_add_hashed(struct node_document *d, const char *data, size_t len, uint64_t hash)
{
	const uint64_t state[3] = { d->hash, hash, len };

	vec_push(&d->pieces, (struct node_piece){ data, len });
	d->hash = map_hash(state, sizeof(state));
}

void node_document_add(struct node_document *d, const char *text)
{
	size_t len = strlen(text);

	node_document_add_hashed(d, text, len, map_hash(text, len));
}

void node_document_addf(struct node_document *d, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	assert(n >= 0 && (size_t)n < sizeof(text));
	node_document_add(d, arena_strndup(d->a, text, (size_t)n));
}

void node_document_add_copy(struct node_document *d, const struct buf *b)
{
	if (b->len == 0) {
		return;
	}
	node_document_add_hashed(d, arena_strndup(d->a, b->data, b->len), b->len,
				 map_hash(b->data, b->len));
}

void node_document_write(const struct node_document *d, struct buf *out)
{
	for (size_t i = 0; i < d->pieces.n; i++) {
		buf_add(out, d->pieces.items[i].data, d->pieces.items[i].len);
	}
}

size_t node_document_size(const struct node_document *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->pieces.n; i++) {
		n += d->pieces.items[i].len;
	}
	return n;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's policy document in the making: pieces of text that mostly belong to whoever keeps them
 * from one document to the next, so that to see whether it differs from the last one costs no look
 * at the text. For node_policy.c and what it asks; event-loop thread only.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/map.h"
#include "base/vec.h"

struct node_piece {
	const char *data;
	size_t len;
};

struct node_document {
	VEC(struct node_piece) pieces;
	struct arena *a;      /* text that was made for this document alone */
	struct map64 objects; /* policy_object.serial of what is in it */
	uint64_t hash;	      /* 0: empty */
	bool is_failed;
	struct error error; /* why it cannot be sent */
};

void node_document_init(struct node_document *d);
void node_document_fini(struct node_document *d);

/* The text must live until the document has been sent or dropped; hash: of the text. */
void node_document_add_hashed(struct node_document *d, const char *data, size_t len, uint64_t hash);
void node_document_add(struct node_document *d, const char *text); /* a constant */
void node_document_addf(struct node_document *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
void node_document_add_copy(struct node_document *d, const struct buf *b);

/* Appends the text. */
void node_document_write(const struct node_document *d, struct buf *out);
size_t node_document_size(const struct node_document *d);

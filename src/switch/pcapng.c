/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/pcapng.h"

#include <string.h>

enum {
	SECTION = 0x0a0d0d0a,
	INTERFACE = 1,
	PACKET = 6,
	MAGIC = 0x1a2b3c4d,
	LINK_ETHERNET = 1,
	/* Options. */
	COMMENT = 1,
	NAME = 2,
	FLAGS = 2,
	RESOLUTION = 9,
};

static void add16(struct buf *out, uint32_t v)
{
	uint16_t n = (uint16_t)v;

	buf_add(out, &n, sizeof(n));
}

static void add32(struct buf *out, uint32_t v)
{
	buf_add(out, &v, sizeof(v));
}

static void add_padded(struct buf *out, const void *p, size_t n)
{
	buf_add(out, p, n);
	buf_add(out, "\0\0\0", (4 - n % 4) % 4);
}

static void add_option(struct buf *out, uint32_t code, const void *p, size_t n)
{
	add16(out, code);
	add16(out, (uint32_t)n);
	add_padded(out, p, n);
}

/* A block around what it holds: its length stands before and behind. */
static void add_block(struct buf *out, uint32_t type, const struct buf *body)
{
	add32(out, type);
	add32(out, (uint32_t)body->len + 12);
	buf_add(out, body->data, body->len);
	add32(out, (uint32_t)body->len + 12);
}

void pcapng_add_header(struct buf *out)
{
	struct buf body = BUF_INIT;

	add32(&body, MAGIC);
	add16(&body, 1); /* version 1.0 */
	add16(&body, 0);
	add32(&body, UINT32_MAX); /* how long it gets is not known */
	add32(&body, UINT32_MAX);
	add_block(out, (uint32_t)SECTION, &body);
	buf_free(&body);
}

void pcapng_add_interface(struct buf *out, const char *name, uint32_t snap)
{
	struct buf body = BUF_INIT;
	const uint8_t nanoseconds = 9;

	add16(&body, LINK_ETHERNET);
	add16(&body, 0);
	add32(&body, snap);
	add_option(&body, NAME, name, strlen(name));
	add_option(&body, RESOLUTION, &nanoseconds, 1);
	add32(&body, 0); /* end of options */
	add_block(out, INTERFACE, &body);
	buf_free(&body);
}

void pcapng_add_packet(struct buf *out, const struct pcapng_packet *p)
{
	struct buf body = BUF_INIT;
	uint32_t flags = p->is_outbound ? 2 : 1;

	add32(&body, p->iface);
	add32(&body, (uint32_t)(p->ns >> 32));
	add32(&body, (uint32_t)p->ns);
	add32(&body, p->n);
	add32(&body, p->size);
	add_padded(&body, p->bytes, p->n);
	add_option(&body, COMMENT, p->comment, strlen(p->comment));
	add_option(&body, FLAGS, &flags, sizeof(flags));
	add32(&body, 0);
	add_block(out, PACKET, &body);
	buf_free(&body);
}

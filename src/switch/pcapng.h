/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing pcapng, the format of captures that tcpdump and Wireshark read
 * (draft-ietf-opsawg-pcapng): blocks are appended to a buffer. Numbers are in the machine's order,
 * as the format has it. Any thread; no state.
 */
#ifndef SWITCH_PCAPNG_H
#define SWITCH_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* The beginning of a file. */
void pcapng_add_header(struct buf *out);
/* The next interface; its first is 0. */
void pcapng_add_interface(struct buf *out, const char *name, uint32_t snap);

struct pcapng_packet {
	uint32_t iface;
	uint64_t ns; /* since 1970 */
	const void *bytes;
	uint32_t n, size; /* bytes that are here, and of the frame */
	bool is_outbound;
	const char *comment;
};
void pcapng_add_packet(struct buf *out, const struct pcapng_packet *p);

#endif

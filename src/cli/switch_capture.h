/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remora switch capture: takes packets from a switch through its control socket and writes them as
 * pcapng; and finds packets in such a file. For command lines: calls block.
 */
#ifndef CLI_SWITCH_CAPTURE_H
#define CLI_SWITCH_CAPTURE_H

#include "base/buf.h"
#include "base/error.h"

/* As they were given; NULL: not. */
struct switch_capture_options {
	const char *port, *filter, *snap, *count;
	const char *stages; /* with commas */
	const char *write;  /* a file; else standard output */
};

/* Until the count is reached, the switch goes, or a signal. */
bool switch_capture_run(const char *socket, const struct switch_capture_options *o,
			struct error *e);

/* A packet of a file: the text of its port's name is the caller's. */
struct switch_capture_packet {
	char *port;
	uint32_t size; /* of the frame; `bytes` may have less of it */
	struct buf bytes;
};
/* The n-th packet of a pcapng file, from 1. */
bool switch_capture_find(const char *path, uint64_t number, struct switch_capture_packet *out,
			 struct error *e);

#endif

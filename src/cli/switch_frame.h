/* SPDX-License-Identifier: Apache-2.0 */
/* The frame that `remora switch explain` describes in words: Ethernet, a VLAN tag, IPv4 or IPv6,
 * TCP (SYN), UDP, an ICMP echo request, or the bare header of another protocol. */
#ifndef CLI_SWITCH_FRAME_H
#define CLI_SWITCH_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
	SWITCH_FRAME_MAX = 128,
};

/* As they stand on the command line; NULL: not given. */
struct switch_frame {
	const char *src_mac, *dst_mac; /* needed */
	const char *src, *dst;	       /* addresses of one family, needed */
	const char *proto;	       /* tcp, udp, icmp or a number; NULL: icmp */
	const char *sport, *dport;     /* of tcp and udp; NULL: 1024 and 80 */
	const char *vlan;
};

/* Returns the frame's size; 0 and an error that names the option. */
size_t switch_frame_make(const struct switch_frame *f, uint8_t out[SWITCH_FRAME_MAX],
			 struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The generator's flows, the rules that they meet, and their frames. Rule r of n and flow f are
 * functions of their numbers, so that flows are spread evenly over the rules and nothing is stored.
 * One thread; flows_prepare() first.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_kind {
	FRAME_UDP,
	FRAME_SYN,
	FRAME_SYN_ACK,
	FRAME_ACK,
	FRAME_FIN,
	FRAME_FIN_ACK,
	FRAME_LAST_ACK,
	FRAME_KINDS,
};

enum {
	SIDE_A, /* the client */
	SIDE_B, /* the server; with tunnels the underlay */
	FRAME_SIZE = 64,
	TUNNEL_SIZE = 50,
	GENEVE_VNI = 100,
};

/* Seen from the client, whatever the direction of a frame. */
struct tuple {
	uint32_t client, server;
	uint16_t client_port, server_port;
};

struct flow_rule {
	uint32_t source, destination;
	uint8_t source_length, destination_length;
	uint16_t port;
};

struct flow_rule flow_rule(uint32_t number, uint32_t n_rules);
struct tuple flow_tuple(uint64_t number, uint32_t n_rules);

/* Makes the templates of all frames. */
void flows_prepare(void);

/*
 * Writes a frame of `kind` that `from` sends into `at`, which has room for
 * FRAME_SIZE + TUNNEL_SIZE bytes; in Geneve if `tunnel`. Returns its length.
 */
size_t frame_write(uint8_t *at, enum frame_kind kind, int from, const struct tuple *t, bool tunnel);
/* Whether a frame of `size` bytes is one of ours, also inside a tunnel. */
bool frame_is_ours(const uint8_t *at, size_t size);
/* TCP flags and tuple of a frame of ours without a tunnel that `from` has sent. */
uint8_t frame_read(const uint8_t *at, int from, struct tuple *t);
/* A gratuitous ARP of a side, FRAME_SIZE bytes: what switches learn its place from. */
void frame_announce(uint8_t *at, int side, bool tunnel);

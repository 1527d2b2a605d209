/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of a guest on its way to another node's switch: what a flow record (flow.h) says,
 * without anything that is a number of this node only. The guest's own end is the port that is
 * asked for; the other end is whoever has that MAC address on that segment, wherever he is there.
 *
 * As JSON: {"protocol": 6, "state": "open", "fins": 0, "scales": [7, 7], "replied": true,
 * "ends_in_ms": 43200000, "ends": [{…}, {…}]}; ends[0] has opened it. An end: {"address", "port",
 * "packets", "bytes", "sent", "edge"} (sent, edge: TCP's tcp_end and tcp_edge), of the guest
 * {"vlan"} where it is tagged, of the other one {"mac"} and, where that is not the guest's own,
 * {"segment"}. state, fins, scales, sent and edge are of TCP only.
 *
 * Reading believes nothing. Pure; any thread.
 */
#ifndef SWITCH_CONNECTION_H
#define SWITCH_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "switch/flow.h"
#include "switch/tables.h"

enum {
	CONNECTION_VERSION = 1,
	CONNECTION_PORTION = 1000, /* of one question or answer */
};

struct learned;

/* The record, but for the numbers of interfaces, and where its ends are. */
struct connection {
	struct flow flow; /* expires: ticks that are left */
	struct connection_end {
		bool is_guests;
		uint16_t vlan; /* the guest's; PACKET_NO_VLAN */
		uint8_t mac[6];
		const char *segment; /* NULL: the guest's; borrowed */
	} ends[2];
};

/* What a record says by these tables, of the guest at `port`. False: it is of no connection of that
 * guest, or of one that nobody could go on with. */
bool connection_of(const struct flow *f, const struct tables *t, uint16_t port, uint32_t now,
		   struct connection *out);
struct json_object *connection_write(const struct connection *c);
/* Strings are the document's. */
bool connection_read(const struct json_at *at, struct connection *out, struct error *e);
/* Where its ends are by these tables for the guest at `port`, into flow.iface and flow.tunnel.
 * NULL, or why it has no place. */
const char *connection_place(struct connection *c, const struct tables *t,
			     const struct learned *learned, uint16_t port, uint32_t now);

#endif

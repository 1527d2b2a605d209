/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DHCP server's part for guests whose address the configuration knows (RFC 2131, options of
 * RFC 2132): nothing is allotted or remembered here, who asks is told what is his. Requests are a
 * guest's bytes and believed in nothing. Pure; any thread.
 */
#ifndef SWITCH_DHCP_H
#define SWITCH_DHCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "switch/config.h"
#include "switch/packet.h"

/* What a guest is told; all borrowed from the configuration. */
struct dhcp_lease {
	const struct config_dhcp *options;
	const struct gateway *gateway; /* router, and the server's own address */
	const struct address *address; /* the guest's */
	uint16_t mtu;		       /* of the segment */
};

/* From a client's port to a server's, and not cut short by fragmenting? */
bool dhcp_is_request(const struct packet *p);

/* The lease of a port's guest with that MAC address; false: there is none, let others answer. */
bool dhcp_find_lease(const struct config_segment *s, const struct config_port *port,
		     const uint8_t mac[6], struct dhcp_lease *out);

/* The server's answer from `mac`, at most `room` bytes, without a VLAN tag: an offer,
 * acknowledgement or refusal. 0: nothing is to be said, as to what is malformed, meant for another
 * server, or only tells us something. */
size_t dhcp_answer(const struct packet *p, const struct dhcp_lease *lease, const uint8_t mac[6],
		   uint8_t *out, size_t room);

#endif

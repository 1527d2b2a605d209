/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/dhcp.h"

#include <endian.h>
#include <string.h>

#include "base/macro.h"
#include "switch/frame_make.h"

/* Offsets in a message: RFC 2131 §2. */
enum {
	OP = 0,
	HARDWARE = 1,
	HARDWARE_SIZE = 2,
	TRANSACTION = 4,
	FLAGS = 10,
	CLIENT_ADDRESS = 12,
	YOUR_ADDRESS = 16,
	RELAY_ADDRESS = 24,
	CLIENT_MAC = 28,
	COOKIE = 236,
	OPTIONS = 240,
	MESSAGE_MIN = 300, /* RFC 1542 §2.1 */
};

enum option {
	OPTION_PAD = 0,
	OPTION_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_DNS = 6,
	OPTION_DOMAIN = 15,
	OPTION_MTU = 26,
	OPTION_REQUESTED = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_END = 255,
};

enum message {
	DISCOVER = 1,
	OFFER,
	REQUEST,
	DECLINE,
	ACK,
	NAK,
	RELEASE,
	INFORM,
};

static const uint8_t cookie[4] = { 99, 130, 83, 99 };

/* What a client's message says; pointers into it, NULL where not said. */
struct asked {
	const uint8_t *message;
	const uint8_t *requested, *server; /* four bytes each */
	uint8_t type;
};

bool dhcp_is_request(const struct packet *p)
{
	return p->key.ip == 4 && p->key.proto == 17 && p->l4 != 0 && be16toh(p->key.dport) == 67 &&
	       be16toh(p->key.sport) == 68 && (p->flags & PACKET_FRAGMENT) == 0;
}

static bool is_on_network(const struct gateway *g, const struct address *a)
{
	uint32_t ours, theirs;

	if (g->address.ip != 4 || a->ip != 4) {
		return false;
	}
	uint32_t mask = g->prefix_length == 0 ? 0 : UINT32_MAX << (32 - g->prefix_length);
	memcpy(&ours, g->address.bytes, 4);
	memcpy(&theirs, a->bytes, 4);
	return ((ours ^ theirs) & htobe32(mask)) == 0;
}

bool dhcp_find_lease(const struct config_segment *s, const struct config_port *port,
		     const uint8_t mac[6], struct dhcp_lease *out)
{
	if (!port->has_mac || memcmp(port->mac, mac, 6) != 0) {
		return false;
	}
	for (size_t i = 0; i < port->n_addresses; i++) {
		for (size_t g = 0; g < s->n_gateways; g++) {
			if (is_on_network(&s->gateways[g], &port->addresses[i])) {
				*out = (struct dhcp_lease){ s->dhcp, &s->gateways[g],
							    &port->addresses[i], s->mtu };
				return true;
			}
		}
	}
	return false;
}

static bool read_options(const uint8_t *at, const uint8_t *end, struct asked *out)
{
	while (at < end && *at != OPTION_END) {
		if (*at == OPTION_PAD) {
			at++;
			continue;
		}
		if (end - at < 2 || end - at - 2 < at[1]) {
			return false;
		}
		if (at[0] == OPTION_TYPE && at[1] == 1) {
			out->type = at[2];
		} else if (at[0] == OPTION_REQUESTED && at[1] == 4) {
			out->requested = at + 2;
		} else if (at[0] == OPTION_SERVER && at[1] == 4) {
			out->server = at + 2;
		}
		at += 2 + at[1];
	}
	return out->type != 0;
}

static bool read_request(const struct packet *p, struct asked *out)
{
	size_t end = MIN((size_t)p->head, (size_t)p->l3 + p->l3_size);
	const uint8_t *m = p->data + p->payload;

	*out = (struct asked){ .message = m };
	/* Of a relayed request the answer would go to the relay: guests are not behind one here. */
	return end >= (size_t)p->payload + OPTIONS && m[OP] == 1 && m[HARDWARE] == 1 &&
	       m[HARDWARE_SIZE] == 6 && memcmp(m + CLIENT_MAC, p->data + 6, 6) == 0 &&
	       memcmp(m + RELAY_ADDRESS, "\0\0\0\0", 4) == 0 &&
	       memcmp(m + COOKIE, cookie, 4) == 0 && read_options(m + OPTIONS, p->data + end, out);
}

/* RFC 2131 §4.3: what follows from a message; 0: silence. */
static uint8_t decide(const struct asked *a, const struct dhcp_lease *lease)
{
	const uint8_t *wants = a->requested != NULL ? a->requested : a->message + CLIENT_ADDRESS;

	if (a->server != NULL && memcmp(a->server, lease->gateway->address.bytes, 4) != 0) {
		return 0; /* it has taken another server's offer */
	}
	switch (a->type) {
	case DISCOVER:
		return OFFER;
	case REQUEST:
		return memcmp(wants, lease->address->bytes, 4) == 0 ? ACK : NAK;
	case INFORM:
		return ACK;
	default:
		return 0;
	}
}

/* ---- writing ---- */

static uint8_t *put(uint8_t *at, uint8_t option, const void *bytes, size_t n)
{
	at[0] = option;
	at[1] = (uint8_t)n;
	memcpy(at + 2, bytes, n);
	return at + 2 + n;
}

static uint8_t *put_number(uint8_t *at, uint8_t option, uint32_t v)
{
	uint8_t bytes[4];

	frame_put32(bytes, v);
	return put(at, option, bytes, 4);
}

/* Those that fit: names of any length that the schema allows do. */
static uint8_t *put_settings(uint8_t *at, const struct dhcp_lease *lease)
{
	const struct config_dhcp *d = lease->options;
	unsigned bits = lease->gateway->prefix_length;
	uint8_t mtu[2], dns[16];

	at = put_number(at, OPTION_MASK, bits == 0 ? 0 : UINT32_MAX << (32 - bits));
	at = put(at, OPTION_ROUTER, lease->gateway->address.bytes, 4);
	frame_put16(mtu, lease->mtu);
	at = put(at, OPTION_MTU, mtu, 2);
	for (size_t i = 0; i < d->n_dns; i++) {
		memcpy(dns + i * 4, d->dns[i].bytes, 4);
	}
	at = d->n_dns == 0 ? at : put(at, OPTION_DNS, dns, d->n_dns * 4);
	return d->domain == NULL ? at : put(at, OPTION_DOMAIN, d->domain, strlen(d->domain));
}

static size_t make_message(const struct asked *a, uint8_t type, const struct dhcp_lease *lease,
			   uint8_t *m)
{
	memset(m, 0, MESSAGE_MIN);
	memcpy(m, a->message, OPTIONS);
	m[OP] = 2;
	memset(m + TRANSACTION + 4, 0, 2); /* seconds */
	memset(m + YOUR_ADDRESS, 0, CLIENT_MAC - YOUR_ADDRESS);
	memset(m + CLIENT_MAC + 6, 0, COOKIE - CLIENT_MAC - 6);
	if (type == NAK) {
		memset(m + CLIENT_ADDRESS, 0, 4);
	}
	if (type != NAK && a->type != INFORM) {
		memcpy(m + YOUR_ADDRESS, lease->address->bytes, 4);
	}
	uint8_t *at = put(m + OPTIONS, OPTION_TYPE, &type, 1);
	at = put(at, OPTION_SERVER, lease->gateway->address.bytes, 4);
	if (type != NAK && a->type != INFORM) {
		at = put_number(at, OPTION_LEASE, lease->options->lease_seconds);
	}
	at = type == NAK ? at : put_settings(at, lease);
	*at++ = OPTION_END;
	return MAX((size_t)(at - m), (size_t)MESSAGE_MIN);
}

size_t dhcp_answer(const struct packet *p, const struct dhcp_lease *lease, const uint8_t mac[6],
		   uint8_t *out, size_t room)
{
	static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };
	static const struct address all = { .bytes = { 255, 255, 255, 255 }, .ip = 4 };
	struct address to = *lease->address;
	uint8_t message[MESSAGE_MIN + 512];
	struct asked a;
	uint8_t type;

	if (!read_request(p, &a) || (type = decide(&a, lease)) == 0) {
		return 0;
	}
	size_t n = make_message(&a, type, lease, message);
	bool has_address = memcmp(a.message + CLIENT_ADDRESS, "\0\0\0\0", 4) != 0;
	bool to_all = type == NAK || (!has_address && (a.message[FLAGS] & 0x80) != 0);
	if (has_address && !to_all) {
		memcpy(to.bytes, a.message + CLIENT_ADDRESS, 4);
	}
	to = to_all ? all : to;
	if (room < FRAME_ETHER + 28 + n) {
		return 0;
	}
	frame_put_ether(out, to_all ? broadcast : p->data + 6, mac, 0x0800);
	uint8_t *udp = frame_put_ip(out, &lease->gateway->address, &to, 17, 8 + n, FRAME_TTL);
	frame_put16(udp, 67);
	frame_put16(udp + 2, 68);
	frame_put16(udp + 4, (uint32_t)(8 + n));
	frame_put16(udp + 6, 0);
	memcpy(udp + 8, message, n);
	uint16_t sum = frame_fold(frame_sum_of(udp, 8 + n) +
				  frame_pseudo_sum(&lease->gateway->address, &to, 17, 8 + n));
	frame_put16(udp + 6, sum == 0 ? 0xffff : sum);
	return FRAME_ETHER + 28 + n;
}

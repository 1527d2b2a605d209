/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/connection.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "switch/learned.h"
#include "switch/tcp_track.h"

enum {
	TCP = 6,
	FINS = 3,
	SCALE_NONE = 15,
	LIFE_TICKS_MAX = 43200 * (1000 / FLOW_TICK_MS),
};

static const char *const members[] = { "protocol", "state",	 "fins", "scales",
				       "replied",  "ends_in_ms", "ends" };
static const char *const end_members[] = { "address", "port", "packets", "bytes",  "sent",
					   "edge",    "vlan", "mac",	 "segment" };

/* ---- out of a record ---- */

bool connection_of(const struct flow *f, const struct tables *t, uint16_t port, uint32_t now,
		   struct connection *out)
{
	const struct switch_config *config = tables_config(t);
	const struct iface *ifaces[2] = { tables_iface(t, f->iface[0]),
					  tables_iface(t, f->iface[1]) };
	int own = -1;

	*out = (struct connection){ .flow = *f };
	for (int i = 0; i < 2; i++) {
		out->ends[i].vlan = ifaces[i]->vlan;
		out->ends[i].is_guests = ifaces[i]->kind == IFACE_PORT && ifaces[i]->port == port;
		own = own < 0 && out->ends[i].is_guests ? i : own;
		memcpy(out->ends[i].mac, f->mac[i] + 6, 6);
	}
	int32_t left = (int32_t)(f->expires - now);
	if (own < 0 || left <= 0 || ifaces[1 - own]->kind == IFACE_NONE ||
	    (f->tcp & 15) >= TRACK_RESET) {
		return false;
	}
	out->flow.expires = MIN((uint32_t)left, (uint32_t)LIFE_TICKS_MAX);
	if (ifaces[1 - own]->segment != ifaces[own]->segment) {
		out->ends[1 - own].segment = config->segments[ifaces[1 - own]->segment].name;
	}
	return true;
}

/* ---- as JSON ---- */

static struct json_object *write_end(const struct connection *c, unsigned i)
{
	const struct flow *f = &c->flow;
	const struct connection_end *end = &c->ends[i];
	struct json_object *o = json_object_new_object();
	char text[INET6_ADDRSTRLEN] = "";
	bool is6 = (f->flags & FLOW_IP6) != 0;
	uint32_t a[4];

	memcpy(a, f->high[i], 12);
	a[3] = f->address[i];
	inet_ntop(is6 ? AF_INET6 : AF_INET, is6 ? a : &a[3], text, sizeof(text));
	json_put_str(o, "address", text);
	json_put_u64(o, "port", ntohs(f->port[i]));
	json_put_u64(o, "packets", f->packets[i]);
	json_put_u64(o, "bytes", f->bytes[i]);
	if (f->proto == TCP) {
		json_put_u64(o, "sent", f->tcp_end[i]);
		json_put_u64(o, "edge", f->tcp_edge[i]);
	}
	if (end->is_guests) {
		if (end->vlan != PACKET_NO_VLAN) {
			json_put_u64(o, "vlan", end->vlan);
		}
		return o;
	}
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", end->mac[0], end->mac[1],
		 end->mac[2], end->mac[3], end->mac[4], end->mac[5]);
	json_put_str(o, "mac", text);
	if (end->segment != NULL) {
		json_put_str(o, "segment", end->segment);
	}
	return o;
}

struct json_object *connection_write(const struct connection *c)
{
	const struct flow *f = &c->flow;
	struct json_object *o = json_object_new_object(), *ends = json_object_new_array();

	json_put_u64(o, "protocol", f->proto);
	json_put_bool(o, "replied", (f->flags & FLOW_REPLIED) != 0);
	json_put_u64(o, "ends_in_ms", (uint64_t)f->expires * FLOW_TICK_MS);
	if (f->proto == TCP) {
		struct json_object *scales = json_object_new_array();
		json_object_array_add(scales, json_object_new_int(f->scale & 15));
		json_object_array_add(scales, json_object_new_int(f->scale >> 4));
		json_put_str(o, "state", tcp_state_name((enum tcp_state)(f->tcp & 15)));
		json_put_u64(o, "fins", f->tcp >> 4);
		json_put(o, "scales", scales);
	}
	json_object_array_add(ends, write_end(c, 0));
	json_object_array_add(ends, write_end(c, 1));
	json_put(o, "ends", ends);
	return o;
}

/* ---- out of JSON ---- */

static bool get_number(const struct json_at *at, const char *key, uint64_t max, uint64_t *out,
		       struct error *e)
{
	struct json_at member;
	uint64_t v;

	if (!json_get(at, key, &member, e) || !json_as_u64(&member, &v, e)) {
		return false;
	}
	if (v > max) {
		return json_error(&member, e, "%llu is more than %llu", (unsigned long long)v,
				  (unsigned long long)max);
	}
	*out = v;
	return true;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static bool read_mac(const struct json_at *at, uint8_t out[6], struct error *e)
{
	const char *text;

	if (!json_get_str(at, "mac", &text, e)) {
		return false;
	}
	for (size_t i = 0; i < 17; i++) {
		bool is_good = i % 3 == 2 ? text[i] == ':' : hex_digit(text[i]) >= 0;
		if (!is_good) {
			return json_error(at, e, "\"mac\": \"%.32s\" is no MAC address", text);
		}
		if (i % 3 == 1) {
			out[i / 3] = (uint8_t)(hex_digit(text[i - 1]) << 4 | hex_digit(text[i]));
		}
	}
	return (text[17] == '\0' && (out[0] & 1) == 0) ||
	       json_error(at, e, "\"mac\": \"%.32s\" is no host's MAC address", text);
}

static bool read_address(const struct json_at *at, struct flow *f, unsigned i, struct error *e)
{
	const char *text;
	uint32_t a[4] = { 0 };

	if (!json_get_str(at, "address", &text, e)) {
		return false;
	}
	bool is6 = inet_pton(AF_INET6, text, a) == 1;
	if (!is6 && inet_pton(AF_INET, text, &a[3]) != 1) {
		return json_error(at, e, "\"address\": \"%.64s\" is no address", text);
	}
	if (i == 1 && is6 != ((f->flags & FLOW_IP6) != 0)) {
		return json_error(at, e, "\"address\": both ends have one IP version");
	}
	f->flags |= is6 ? FLOW_IP6 : 0;
	memcpy(f->high[i], a, 12);
	f->address[i] = a[3];
	return true;
}

static bool read_end(const struct json_at *at, struct connection *c, unsigned i, struct error *e)
{
	struct flow *f = &c->flow;
	struct connection_end *end = &c->ends[i];
	uint64_t port = 0, packets = 0, bytes = 0, sent = 0, edge = 0, vlan = PACKET_NO_VLAN;

	if (!json_check_members(at, end_members, ARRAY_LEN(end_members), e) ||
	    !read_address(at, f, i, e) || !get_number(at, "port", UINT16_MAX, &port, e) ||
	    !get_number(at, "packets", UINT32_MAX, &packets, e) ||
	    !get_number(at, "bytes", INT64_MAX, &bytes, e) ||
	    (f->proto == TCP && (!get_number(at, "sent", UINT32_MAX, &sent, e) ||
				 !get_number(at, "edge", UINT32_MAX, &edge, e))) ||
	    (json_has(at, "vlan") && !get_number(at, "vlan", 4094, &vlan, e)) ||
	    (json_has(at, "segment") && !json_get_str(at, "segment", &end->segment, e))) {
		return false;
	}
	f->port[i] = htons((uint16_t)port);
	f->packets[i] = (uint32_t)packets;
	f->bytes[i] = bytes;
	f->tcp_end[i] = (uint32_t)sent;
	f->tcp_edge[i] = (uint32_t)edge;
	end->vlan = (uint16_t)vlan;
	end->is_guests = !json_has(at, "mac");
	if (end->is_guests) {
		return end->segment == NULL ||
		       json_error(at, e, "\"segment\" is said of the other end only");
	}
	return read_mac(at, end->mac, e);
}

static bool read_tcp(const struct json_at *at, struct flow *f, struct error *e)
{
	struct json_at scales, item;
	const char *name;
	uint64_t fins = 0, scale[2] = { 0 };
	int state = -1;

	if (!json_get_str(at, "state", &name, e) || !get_number(at, "fins", FINS, &fins, e) ||
	    !json_get_array(at, "scales", &scales, e)) {
		return false;
	}
	for (int i = 0; i < TRACK_RESET; i++) {
		state = strcmp(tcp_state_name((enum tcp_state)i), name) == 0 ? i : state;
	}
	if (state < 0) {
		return json_error(at, e, "\"state\": there is no \"%.32s\"", name);
	}
	for (size_t i = 0; i < 2; i++) {
		item = json_item(&scales, i);
		if (json_array_n(&scales) != 2 || !json_as_u64(&item, &scale[i], e) ||
		    scale[i] > SCALE_NONE) {
			return json_error(&scales, e, "two numbers up to %d are wanted",
					  SCALE_NONE);
		}
	}
	f->tcp = (uint8_t)(fins << 4 | (unsigned)state);
	f->scale = (uint8_t)(scale[1] << 4 | scale[0]);
	return true;
}

bool connection_read(const struct json_at *at, struct connection *out, struct error *e)
{
	struct connection c = { .flow = { .proto = 0 } };
	struct json_at ends;
	uint64_t proto = 0, left = 0;
	bool is_replied = false;

	if (!json_check_members(at, members, ARRAY_LEN(members), e) ||
	    !get_number(at, "protocol", 255, &proto, e) ||
	    !get_number(at, "ends_in_ms", (uint64_t)LIFE_TICKS_MAX * FLOW_TICK_MS, &left, e) ||
	    !json_get_bool(at, "replied", &is_replied, e) ||
	    !json_get_array(at, "ends", &ends, e)) {
		return false;
	}
	c.flow.proto = (uint8_t)proto;
	c.flow.expires = (uint32_t)(left / FLOW_TICK_MS);
	c.flow.flags = is_replied ? FLOW_REPLIED : 0;
	if (json_array_n(&ends) != 2) {
		return json_error(&ends, e, "a connection has 2");
	}
	if (proto == TCP && !read_tcp(at, &c.flow, e)) {
		return false;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct json_at item = json_item(&ends, i);
		if (!read_end(&item, &c, i, e)) {
			return false;
		}
	}
	if (!c.ends[0].is_guests && !c.ends[1].is_guests) {
		return json_error(&ends, e, "neither is the guest's");
	}
	*out = c;
	return true;
}

/* ---- into the tables ---- */

static int32_t find_segment(const struct switch_config *c, const char *name)
{
	for (size_t i = 0; i < c->n_segments; i++) {
		if (strcmp(c->segments[i].name, name) == 0) {
			return (int32_t)i;
		}
	}
	return -1;
}

const char *connection_place(struct connection *c, const struct tables *t,
			     const struct learned *learned, uint16_t port, uint32_t now)
{
	unsigned own = c->ends[0].is_guests ? 0 : 1;
	struct whereabouts at = { .iface = 0 };

	for (unsigned i = 0; i < 2; i++) {
		if (c->ends[i].is_guests) {
			c->flow.iface[i] = tables_ingress(t, port, c->ends[i].vlan);
			if (c->flow.iface[i] == 0) {
				return "no_vlan";
			}
		}
	}
	const struct connection_end *other = &c->ends[1 - own];
	if (other->is_guests) { /* which routes between VLANs of its own */
		return c->flow.iface[0] == c->flow.iface[1] ? "no_peer" : NULL;
	}
	int32_t segment = other->segment == NULL ? tables_iface(t, c->flow.iface[own])->segment
						 : find_segment(tables_config(t), other->segment);
	if (segment < 0) {
		return "no_segment";
	}
	if (!tables_find_mac(t, (uint16_t)segment, other->mac, &at) &&
	    (learned == NULL ||
	     !learned_find_mac(learned, (uint16_t)segment, other->mac, &at.iface, now))) {
		at.iface = tables_segment(t, (uint16_t)segment)->out;
	}
	if (at.iface == 0 || at.iface == c->flow.iface[own] ||
	    tables_iface(t, at.iface)->segment != segment) {
		return "no_peer";
	}
	c->flow.iface[1 - own] = at.iface;
	c->flow.tunnel = at.endpoint;
	return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/macro.h"
#include "base/mem.h"
#include "switch/config_read.h"

/* ---- what all objects need ---- */

void *config_array(struct config_reader *r, size_t n, size_t size)
{
	return n == 0 ? NULL : arena_alloc(r->arena, n * size);
}

struct json_at config_list(const struct json_at *at, const char *key)
{
	struct json_at list = { NULL, at, key, 0 };
	struct error e;

	if (json_has(at, key) && !json_get_array(at, key, &list, &e)) {
		list.value = NULL;
	}
	return list;
}

const char *config_str(struct config_reader *r, const struct json_at *at, const char *key)
{
	const char *s;
	struct error e;

	return json_has(at, key) && json_get_str(at, key, &s, &e) ? arena_strdup(r->arena, s)
								  : NULL;
}

bool config_bool(const struct json_at *at, const char *key, bool otherwise)
{
	bool v = otherwise;
	struct error e;

	return json_has(at, key) && json_get_bool(at, key, &v, &e) ? v : otherwise;
}

uint64_t config_u64(const struct json_at *at, const char *key, uint64_t otherwise)
{
	uint64_t v = otherwise;
	struct error e;

	return json_has(at, key) && json_get_u64(at, key, &v, &e) ? v : otherwise;
}

bool config_name(struct config_reader *r, struct map *names, const struct json_at *at,
		 const char *name, size_t index)
{
	if (map_has(names, name)) {
		return json_error(at, r->e, "\"%s\" is there twice", name);
	}
	map_set(names, name, (void *)(uintptr_t)(index + 1));
	return true;
}

bool config_find(struct config_reader *r, const struct map *names, const struct json_at *at,
		 const char *what, uint32_t *out)
{
	const char *name;

	if (!json_as_str(at, &name, r->e)) {
		return false;
	}
	uintptr_t found = (uintptr_t)map_get(names, name);
	if (found == 0) {
		return json_error(at, r->e, "there is no %s \"%s\"", what, name);
	}
	*out = (uint32_t)(found - 1);
	return true;
}

/* A member that names another object; -1 where it is absent. */
static bool find_member(struct config_reader *r, const struct map *names, const struct json_at *at,
			const char *key, int32_t *out)
{
	struct json_at member;
	uint32_t index;

	*out = -1;
	if (!json_has(at, key)) {
		return true;
	}
	if (!json_get(at, key, &member, r->e) || !config_find(r, names, &member, key, &index)) {
		return false;
	}
	*out = (int32_t)index;
	return true;
}

static bool address_parse(const char *text, struct address *out)
{
	struct address a = { .ip = strchr(text, ':') != NULL ? 6 : 4 };

	if (inet_pton(a.ip == 4 ? AF_INET : AF_INET6, text, a.bytes) != 1) {
		return false;
	}
	*out = a;
	return true;
}

bool config_address(struct config_reader *r, const struct json_at *at, struct address *out)
{
	const char *text;

	if (!json_as_str(at, &text, r->e)) {
		return false;
	}
	return address_parse(text, out) || json_error(at, r->e, "\"%s\" is no IP address", text);
}

static bool read_addresses(struct config_reader *r, const struct json_at *at, const char *key,
			   struct address **out, size_t *n)
{
	struct json_at list = config_list(at, key);

	*n = json_array_n(&list);
	*out = config_array(r, *n, sizeof(**out));
	for (size_t i = 0; i < *n; i++) {
		struct json_at item = json_item(&list, i);
		if (!config_address(r, &item, &(*out)[i])) {
			return false;
		}
	}
	return true;
}

/* "10.0.0.1/24": an address with the length of its network. */
static bool read_gateway(struct config_reader *r, const struct json_at *at, struct gateway *out)
{
	const char *text;
	char address[64];

	if (!json_as_str(at, &text, r->e)) {
		return false;
	}
	const char *slash = strchr(text, '/');
	size_t n = slash == NULL ? 0 : (size_t)(slash - text);
	struct prefix p;
	char whole[80];
	if (n == 0 || n >= sizeof(address)) {
		return json_error(at, r->e, "\"%s\" is no address/length", text);
	}
	memcpy(address, text, n);
	address[n] = '\0';
	if (!address_parse(address, &out->address)) {
		return json_error(at, r->e, "\"%s\" is no IP address", address);
	}
	/* The length is read as a prefix's is: that of the network which is all zeros. */
	snprintf(whole, sizeof(whole), "%s%s", out->address.ip == 4 ? "0.0.0.0" : "::", slash);
	if (!prefix_parse(whole, &p)) {
		return json_error(at, r->e, "\"%s\" has no length that can be", text);
	}
	out->prefix_length = p.length;
	return true;
}

static bool read_mac(struct config_reader *r, const struct json_at *at, uint8_t mac[6], bool *has)
{
	const char *text = config_str(r, at, "mac");

	*has = text != NULL;
	for (int i = 0; text != NULL && i < 6; i++) {
		mac[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
	}
	if (text != NULL && (mac[0] & 1) != 0) {
		return json_error(at, r->e, "MAC address \"%s\" is a group's", text);
	}
	return true;
}

/* The index of a name among n, for what the schema allows. */
static int choice(const char *text, const char *const *names, int n, int otherwise)
{
	for (int i = 0; text != NULL && i < n; i++) {
		if (strcmp(text, names[i]) == 0) {
			return i;
		}
	}
	return otherwise;
}

/* ---- ports ---- */

static void read_limit(const struct json_at *at, const char *key, struct qos_limit *out)
{
	struct json_at member;
	struct error e;

	if (!json_has(at, key) || !json_get_object(at, key, &member, &e)) {
		return;
	}
	out->bits_per_second = config_u64(&member, "bits_per_second", 0);
	out->burst_bytes = config_u64(&member, "burst_bytes",
				      MAX(out->bits_per_second / 800, (uint64_t)65536));
}

static void read_guard(const struct json_at *at, struct port_guard *out)
{
	struct json_at guard;
	struct error e;

	if (!json_has(at, "guard") || !json_get_object(at, "guard", &guard, &e)) {
		return;
	}
	out->forged_transmits = config_bool(&guard, "forged_transmits", false);
	out->mac_changes = config_bool(&guard, "mac_changes", false);
	out->promiscuous = config_bool(&guard, "promiscuous", false);
	out->dhcp_server = config_bool(&guard, "dhcp_server", false);
	out->router = config_bool(&guard, "router", false);
	out->any_address = config_bool(&guard, "any_address", false);
}

static bool read_trunk(struct config_reader *r, const struct json_at *at, struct config_port *p)
{
	struct json_at list = config_list(at, "trunk");
	uint64_t seen[64] = { 0 };

	p->n_trunk = json_array_n(&list);
	p->trunk = config_array(r, p->n_trunk, sizeof(*p->trunk));
	for (size_t i = 0; i < p->n_trunk; i++) {
		struct json_at item = json_item(&list, i);
		int32_t segment;
		uint16_t vlan = (uint16_t)config_u64(&item, "vlan", 0);
		if (!find_member(r, &r->segments, &item, "segment", &segment)) {
			return false;
		}
		if ((seen[vlan / 64] >> (vlan % 64) & 1) != 0) {
			return json_error(&item, r->e, "VLAN %u is there twice", vlan);
		}
		seen[vlan / 64] |= (uint64_t)1 << (vlan % 64);
		p->trunk[i] = (struct trunk_vlan){ vlan, (uint16_t)segment };
	}
	return true;
}

/* After the guard. */
static bool read_learning(struct config_reader *r, const struct json_at *at, struct config_port *p)
{
	struct json_at learning;

	if (!json_has(at, "learning")) {
		return true;
	}
	if (!json_get_object(at, "learning", &learning, r->e)) {
		return false;
	}
	p->learning_limit = (uint32_t)config_u64(&learning, "limit", CONFIG_LEARNING);
	return p->guard.forged_transmits ||
	       json_error(&learning, r->e, "is for ports whose guard allows \"forged_transmits\"");
}

static bool read_port(struct config_reader *r, const struct json_at *at, struct config_port *p)
{
	static const char *const kinds[] = { "vhost",	  "memif",  "stream", "tap",
					     "af_packet", "af_xdp", "device" };

	p->kind = (enum port_kind)choice(config_str(r, at, "kind"), kinds, ARRAY_LEN(kinds), 0);
	p->label = json_has(at, "label") ? config_str(r, at, "label") : "";
	p->path = config_str(r, at, "path");
	if (p->kind != PORT_DEVICE && strchr(p->path, ',') != NULL) {
		/* DPDK would take what follows for arguments of the device. */
		return json_error(at, r->e, "\"path\" has a comma");
	}
	p->is_server = config_bool(at, "server", false);
	p->is_blocked = config_bool(at, "blocked", false);
	p->n_queues = (uint16_t)config_u64(at, "queues", 1);
	p->mtu = (uint16_t)config_u64(at, "mtu", CONFIG_MTU);
	p->memif_id = (uint32_t)config_u64(at, "id", 0);
	p->flows_max = (uint32_t)config_u64(at, "flows", 0);
	p->new_flows_per_second = (uint32_t)config_u64(at, "new_flows_per_second", 0);
	p->team = -1;
	read_guard(at, &p->guard);
	read_limit(at, "from", &p->from);
	read_limit(at, "to", &p->to);
	return read_learning(r, at, p) &&
	       find_member(r, &r->segments, at, "segment", &p->segment) && read_trunk(r, at, p) &&
	       read_mac(r, at, p->mac, &p->has_mac) &&
	       read_addresses(r, at, "addresses", &p->addresses, &p->n_addresses);
}

/* ---- teams ---- */

static bool read_team_ports(struct config_reader *r, const struct json_at *at,
			    struct config_team *t, size_t index)
{
	struct json_at list = config_list(at, "ports");

	t->n_ports = json_array_n(&list);
	t->ports = config_array(r, t->n_ports, sizeof(*t->ports));
	for (size_t i = 0; i < t->n_ports; i++) {
		struct json_at item = json_item(&list, i);
		uint32_t port;
		if (!config_find(r, &r->ports, &item, "port", &port)) {
			return false;
		}
		struct config_port *p = &r->config->ports[port];
		if (p->team >= 0) {
			return json_error(&item, r->e, "port \"%s\" belongs to team \"%s\" already",
					  p->name, r->config->teams[p->team].name);
		}
		if (p->segment >= 0 || p->n_trunk > 0) {
			return json_error(&item, r->e, "port \"%s\" has segments of its own",
					  p->name);
		}
		p->team = (int32_t)index;
		t->ports[i] = (uint16_t)port;
	}
	return true;
}

static bool read_team_address(struct config_reader *r, const struct json_at *at,
			      struct config_team *t)
{
	struct json_at member;
	struct gateway g;

	if (json_has(at, "address")) {
		if (!json_get(at, "address", &member, r->e) || !read_gateway(r, &member, &g)) {
			return false;
		}
		t->address = g.address;
		t->prefix_length = g.prefix_length;
	}
	if (json_has(at, "gateway")) {
		return json_get(at, "gateway", &member, r->e) &&
		       config_address(r, &member, &t->gateway);
	}
	return true;
}

static bool read_team(struct config_reader *r, const struct json_at *at, struct config_team *t,
		      size_t index)
{
	static const char *const policies[] = { "active_standby", "flow_hash" };
	bool has_mac;

	t->policy = (enum team_policy)choice(config_str(r, at, "policy"), policies,
					     ARRAY_LEN(policies), TEAM_ACTIVE_STANDBY);
	t->mtu = (uint16_t)config_u64(at, "mtu", CONFIG_MTU);
	t->vlan = (uint16_t)config_u64(at, "vlan", PACKET_NO_VLAN);
	if (!read_mac(r, at, t->mac, &has_mac) || !read_team_address(r, at, t)) {
		return false;
	}
	if (t->address.ip != 0 && !has_mac) {
		return json_error(at, r->e, "has an address, so it needs a \"mac\"");
	}
	return read_team_ports(r, at, t, index);
}

/* ---- segments ---- */

static bool read_endpoint(struct config_reader *r, const struct json_at *at, uint16_t *out)
{
	struct switch_config *c = r->config;
	struct address a;
	char text[INET6_ADDRSTRLEN];

	if (!config_address(r, at, &a)) {
		return false;
	}
	inet_ntop(a.ip == 4 ? AF_INET : AF_INET6, a.bytes, text, sizeof(text));
	uintptr_t found = (uintptr_t)map_get(&r->endpoints, text);
	if (found == 0) {
		if (c->n_endpoints == CONFIG_ENDPOINTS_MAX) {
			return json_error(at, r->e,
					  "is one more than the %d endpoints there can be",
					  CONFIG_ENDPOINTS_MAX);
		}
		c->endpoints[c->n_endpoints++] = a;
		found = c->n_endpoints;
		map_set(&r->endpoints, text, (void *)found);
	}
	*out = (uint16_t)(found - 1);
	return true;
}

static bool read_remote(struct config_reader *r, const struct json_at *at, struct config_remote *m)
{
	struct json_at endpoint;
	uint16_t to = 0;
	bool has_mac, moves = json_has(at, "moving_to");

	if (moves &&
	    (!json_get(at, "moving_to", &endpoint, r->e) || !read_endpoint(r, &endpoint, &to))) {
		return false;
	}
	m->moving_to = moves ? to : -1;
	m->is_leaving = config_bool(at, "leaving", false);
	return read_mac(r, at, m->mac, &has_mac) && json_get(at, "endpoint", &endpoint, r->e) &&
	       read_endpoint(r, &endpoint, &m->endpoint) &&
	       read_addresses(r, at, "addresses", &m->addresses, &m->n_addresses);
}

static bool read_segment_lists(struct config_reader *r, const struct json_at *at,
			       struct config_segment *s)
{
	struct json_at gateways = config_list(at, "gateways"), flood = config_list(at, "flood"),
		       remotes = config_list(at, "remotes");

	s->n_gateways = json_array_n(&gateways);
	s->n_flood = json_array_n(&flood);
	s->n_remotes = json_array_n(&remotes);
	s->gateways = config_array(r, s->n_gateways, sizeof(*s->gateways));
	s->flood = config_array(r, s->n_flood, sizeof(*s->flood));
	s->remotes = config_array(r, s->n_remotes, sizeof(*s->remotes));
	for (size_t i = 0; i < s->n_gateways; i++) {
		struct json_at item = json_item(&gateways, i);
		if (!read_gateway(r, &item, &s->gateways[i])) {
			return false;
		}
	}
	for (size_t i = 0; i < s->n_flood; i++) {
		struct json_at item = json_item(&flood, i);
		if (!read_endpoint(r, &item, &s->flood[i])) {
			return false;
		}
	}
	for (size_t i = 0; i < s->n_remotes; i++) {
		struct json_at item = json_item(&remotes, i);
		if (!read_remote(r, &item, &s->remotes[i])) {
			return false;
		}
	}
	return true;
}

/* After the gateways. */
static bool read_dhcp(struct config_reader *r, const struct json_at *at, struct config_segment *s)
{
	struct config_dhcp *d = config_array(r, 1, sizeof(*d));
	struct json_at member;
	bool has_gateway = false;

	if (!json_has(at, "dhcp")) {
		return true;
	}
	if (!json_get(at, "dhcp", &member, r->e) ||
	    !read_addresses(r, &member, "dns", &d->dns, &d->n_dns)) {
		return false;
	}
	for (size_t i = 0; i < s->n_gateways; i++) {
		has_gateway |= s->gateways[i].address.ip == 4;
	}
	for (size_t i = 0; i < d->n_dns; i++) {
		if (d->dns[i].ip != 4) {
			return json_error(&member, r->e, "has a \"dns\" that is not IPv4");
		}
	}
	d->lease_seconds = (uint32_t)config_u64(&member, "lease_seconds", CONFIG_LEASE_SECONDS);
	d->domain = config_str(r, &member, "domain");
	s->dhcp = d;
	return has_gateway ||
	       json_error(&member, r->e, "is for segments that have an IPv4 gateway");
}

static bool is_tunnel(const struct config_segment *s)
{
	return s->encapsulation == ENCAP_GENEVE || s->encapsulation == ENCAP_VXLAN;
}

/* What encapsulation, team and sizes say of each other. */
static bool check_segment(struct config_reader *r, const struct json_at *at,
			  const struct config_segment *s)
{
	const struct config_team *t = s->team < 0 ? NULL : &r->config->teams[s->team];

	if (s->n_gateways > 0 && s->router < 0) {
		return json_error(at, r->e, "has gateways but no \"router\"");
	}
	if (!is_tunnel(s)) {
		return s->n_flood + s->n_remotes == 0 ||
		       json_error(at, r->e, "has remote endpoints but is no tunnel's");
	}
	if (t == NULL || t->address.ip == 0) {
		return json_error(at, r->e, "is tunnelled: it needs a \"team\" with an address");
	}
	if (s->vni == 0) {
		return json_error(at, r->e, "is tunnelled: it needs a \"vni\"");
	}
	int overhead = t->address.ip == 4 ? CONFIG_OVERHEAD_IP4 : CONFIG_OVERHEAD_IP6;
	if (s->mtu + overhead > t->mtu) {
		return json_error(at, r->e,
				  "MTU %u does not fit into team \"%s\", whose MTU of %u leaves %d",
				  s->mtu, t->name, t->mtu, t->mtu - overhead);
	}
	for (size_t i = 0; i < s->n_remotes; i++) {
		const struct config_remote *m = &s->remotes[i];
		if (r->config->endpoints[m->endpoint].ip != t->address.ip ||
		    (m->moving_to >= 0 && r->config->endpoints[m->moving_to].ip != t->address.ip)) {
			return json_error(at, r->e,
					  "has an endpoint of another IP version than the "
					  "team's address");
		}
	}
	return true;
}

/* No two segments look alike on the wire. */
static bool check_segment_identity(struct config_reader *r, const struct json_at *at,
				   const struct config_segment *s, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		const struct config_segment *o = &r->config->segments[i];
		if (s->encapsulation != o->encapsulation || s->team < 0 ||
		    (s->encapsulation == ENCAP_VLAN && s->team != o->team)) {
			continue;
		}
		if (is_tunnel(s) ? s->vni == o->vni : s->vlan == o->vlan) {
			return json_error(at, r->e, "segment \"%s\" has the same %s", o->name,
					  is_tunnel(s) ? "VNI" : "VLAN on the team");
		}
	}
	return true;
}

/* FNV-1a */
static uint64_t id_of(const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;

	while (*name != '\0') {
		h = (h ^ (uint8_t)*name++) * 0x100000001b3u;
	}
	return h;
}

static bool read_segment(struct config_reader *r, const struct json_at *at,
			 struct config_segment *s, size_t index)
{
	static const char *const names[] = { "none", "vlan", "geneve", "vxlan" };

	s->encapsulation = (enum encapsulation)choice(config_str(r, at, "encapsulation"), names,
						      ARRAY_LEN(names), ENCAP_VLAN);
	s->id = id_of(s->name);
	s->vlan = (uint16_t)config_u64(at, "vlan", PACKET_NO_VLAN);
	s->vni = (uint32_t)config_u64(at, "vni", 0);
	s->learning = config_bool(at, "learning", !is_tunnel(s));
	if (!find_member(r, &r->teams, at, "team", &s->team) ||
	    !find_member(r, &r->routers, at, "router", &s->router)) {
		return false;
	}
	const struct config_team *t = s->team < 0 ? NULL : &r->config->teams[s->team];
	uint16_t mtu = t == NULL ? CONFIG_MTU : t->mtu;
	if (is_tunnel(s) && t != NULL) {
		mtu = (uint16_t)(mtu -
				 (t->address.ip == 6 ? CONFIG_OVERHEAD_IP6 : CONFIG_OVERHEAD_IP4));
	}
	s->mtu = (uint16_t)config_u64(at, "mtu", mtu);
	return read_segment_lists(r, at, s) && read_dhcp(r, at, s) && check_segment(r, at, s) &&
	       check_segment_identity(r, at, s, index);
}

/* ---- routers ---- */

static bool read_route(struct config_reader *r, const struct json_at *at, struct route *out)
{
	const char *text = config_str(r, at, "prefix");

	if (!prefix_parse(text, &out->prefix)) {
		return json_error(at, r->e, "\"%s\" is no prefix, or has bits beyond its length",
				  text);
	}
	return read_addresses(r, at, "next_hops", &out->next_hops, &out->n_next_hops);
}

static bool read_router(struct config_reader *r, const struct json_at *at, struct config_router *o)
{
	struct json_at list = config_list(at, "routes");
	bool has_mac;

	o->n_routes = json_array_n(&list);
	o->routes = config_array(r, o->n_routes, sizeof(*o->routes));
	for (size_t i = 0; i < o->n_routes; i++) {
		struct json_at item = json_item(&list, i);
		if (!read_route(r, &item, &o->routes[i])) {
			return false;
		}
	}
	return read_mac(r, at, o->mac, &has_mac);
}

/* ---- what objects say of each other ---- */

static bool address_equal(const struct address *a, const struct address *b)
{
	return a->ip == b->ip && memcmp(a->bytes, b->bytes, 16) == 0;
}

/* A MAC or IP address that two ports of a segment claim. */
static bool check_port_claims(struct config_reader *r, const struct json_at *ports)
{
	struct map seen = { 0 };
	bool ok = true;

	for (size_t i = 0; ok && i < r->config->n_ports; i++) {
		const struct config_port *p = &r->config->ports[i];
		struct json_at at = json_item(ports, i);
		for (size_t k = 0; ok && p->segment >= 0 && k <= p->n_addresses; k++) {
			char what[INET6_ADDRSTRLEN + 32], text[INET6_ADDRSTRLEN];
			if (k == p->n_addresses) {
				snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x",
					 p->mac[0], p->mac[1], p->mac[2], p->mac[3], p->mac[4],
					 p->mac[5]);
			} else {
				inet_ntop(p->addresses[k].ip == 4 ? AF_INET : AF_INET6,
					  p->addresses[k].bytes, text, sizeof(text));
			}
			snprintf(what, sizeof(what), "%d %s", p->segment, text);
			if (k == p->n_addresses && !p->has_mac) {
				continue;
			}
			const char *other = map_set(&seen, what, (void *)(uintptr_t)p->name);
			if (other != NULL && other != p->name) {
				ok = json_error(&at, r->e, "\"%s\" has %s too", other, text);
			}
		}
	}
	map_free(&seen);
	return ok;
}

static bool check_router_addresses(struct config_reader *r, const struct json_at *segments)
{
	const struct switch_config *c = r->config;

	for (size_t i = 0; i < c->n_segments; i++) {
		struct json_at at = json_item(segments, i);
		for (size_t k = 0; k < i; k++) {
			const struct config_segment *a = &c->segments[i], *b = &c->segments[k];
			for (size_t n = 0; a->router >= 0 && a->router == b->router &&
					   n < a->n_gateways * b->n_gateways;
			     n++) {
				if (address_equal(&a->gateways[n / b->n_gateways].address,
						  &b->gateways[n % b->n_gateways].address)) {
					return json_error(
						&at, r->e,
						"segment \"%s\" of the same router has the "
						"same gateway address",
						b->name);
				}
			}
		}
	}
	return true;
}

/* ---- the document ---- */

/* A list of objects that is being begun. The name is each item's first member. */
struct list {
	const char *key;
	struct map *names;
	size_t size; /* of an item */
	size_t max;  /* items */
	void *items;
	size_t n;
	struct json_at at;
};

/* Makes room for a list's objects and notes their names, so that they can be referred to from
 * anywhere. */
static bool begin_list(struct config_reader *r, const struct json_at *document, struct list *l)
{
	l->at = config_list(document, l->key);
	l->n = json_array_n(&l->at);
	if (l->n > l->max) {
		return error_set(r->e, ERROR_LIMIT, "%zu %s; there can be %zu", l->n, l->key,
				 l->max);
	}
	l->items = config_array(r, l->n, l->size);
	for (size_t i = 0; i < l->n; i++) {
		struct json_at item = json_item(&l->at, i);
		const char *name = config_str(r, &item, "name");
		memcpy((char *)l->items + i * l->size, &name, sizeof(name));
		if (!config_name(r, l->names, &item, name, i)) {
			return false;
		}
	}
	return true;
}

static bool count_limits(struct config_reader *r)
{
	const struct switch_config *c = r->config;
	size_t n_routes = 0, n_remotes = 0;

	for (size_t i = 0; i < c->n_routers; i++) {
		n_routes += c->routers[i].n_routes;
	}
	for (size_t i = 0; i < c->n_segments; i++) {
		n_remotes += c->segments[i].n_remotes;
	}
	if (n_routes > CONFIG_ROUTES_MAX) {
		return error_set(r->e, ERROR_LIMIT, "%zu routes; there can be %d", n_routes,
				 CONFIG_ROUTES_MAX);
	}
	return n_remotes <= CONFIG_REMOTES_MAX ||
	       error_set(r->e, ERROR_LIMIT, "%zu remote guests; there can be %d", n_remotes,
			 CONFIG_REMOTES_MAX);
}

static bool read_objects(struct config_reader *r, const struct json_at *ports,
			 const struct json_at *teams, const struct json_at *segments,
			 const struct json_at *routers)
{
	struct switch_config *c = r->config;

	for (size_t i = 0; i < c->n_ports; i++) {
		struct json_at item = json_item(ports, i);
		if (!read_port(r, &item, &c->ports[i])) {
			return false;
		}
	}
	for (size_t i = 0; i < c->n_teams; i++) {
		struct json_at item = json_item(teams, i);
		if (!read_team(r, &item, &c->teams[i], i)) {
			return false;
		}
	}
	for (size_t i = 0; i < c->n_routers; i++) {
		struct json_at item = json_item(routers, i);
		if (!read_router(r, &item, &c->routers[i])) {
			return false;
		}
	}
	for (size_t i = 0; i < c->n_segments; i++) {
		struct json_at item = json_item(segments, i);
		if (!read_segment(r, &item, &c->segments[i], i)) {
			return false;
		}
	}
	return true;
}

static bool read_document(struct config_reader *r, const struct json_at *document)
{
	struct switch_config *c = r->config;
	struct list ports = { .key = "ports",
			      .names = &r->ports,
			      .size = sizeof(*c->ports),
			      .max = CONFIG_PORTS_MAX };
	struct list teams = { .key = "teams",
			      .names = &r->teams,
			      .size = sizeof(*c->teams),
			      .max = CONFIG_TEAMS_MAX };
	struct list segments = { .key = "segments",
				 .names = &r->segments,
				 .size = sizeof(*c->segments),
				 .max = CONFIG_SEGMENTS_MAX };
	struct list routers = { .key = "routers",
				.names = &r->routers,
				.size = sizeof(*c->routers),
				.max = CONFIG_ROUTERS_MAX };

	const char *mode = config_str(r, document, "mode");
	c->is_performance = mode != NULL && strcmp(mode, "performance") == 0;
	c->endpoints = config_array(r, CONFIG_ENDPOINTS_MAX, sizeof(*c->endpoints));
	if (!begin_list(r, document, &ports) || !begin_list(r, document, &teams) ||
	    !begin_list(r, document, &segments) || !begin_list(r, document, &routers)) {
		return false;
	}
	c->ports = ports.items;
	c->n_ports = ports.n;
	c->teams = teams.items;
	c->n_teams = teams.n;
	c->segments = segments.items;
	c->n_segments = segments.n;
	c->routers = routers.items;
	c->n_routers = routers.n;
	return read_objects(r, &ports.at, &teams.at, &segments.at, &routers.at) &&
	       check_port_claims(r, &ports.at) && check_router_addresses(r, &segments.at) &&
	       count_limits(r);
}

bool config_read_objects(struct config_reader *r, const struct json_at *document)
{
	struct arena *outer = r->arena;

	r->config->objects = config_part_new();
	r->arena = r->config->objects->arena;
	bool ok = read_document(r, document);
	if (ok) {
		config_keep_lists(r, document);
	}
	r->arena = outer;
	return ok;
}

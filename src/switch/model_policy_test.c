/* SPDX-License-Identifier: Apache-2.0 */
/* Random policies. */
#include "switch/model_test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"

uint32_t rng_below(struct rng *r, uint32_t n)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return n == 0 ? 0 : (uint32_t)((r->state * 0x2545f4914f6cdd1du) >> 33) % n;
}

bool rng_chance(struct rng *r, uint32_t percent)
{
	return rng_below(r, 100) < percent;
}

static int below(struct rng *r, int n)
{
	return (int)rng_below(r, (uint32_t)n);
}

/* ---- addresses ---- */

struct address m_address(const char *text)
{
	struct address a = { .ip = strchr(text, ':') != NULL ? 6 : 4 };

	(void)inet_pton(a.ip == 4 ? AF_INET : AF_INET6, text, a.bytes);
	return a;
}

void m_address_text(const struct address *a, char out[64])
{
	(void)inet_ntop(a->ip == 6 ? AF_INET6 : AF_INET, a->bytes, out, 64);
}

bool m_address_equal(const struct address *a, const struct address *b)
{
	return a->ip == b->ip && memcmp(a->bytes, b->bytes, a->ip == 4 ? 4 : 16) == 0;
}

bool m_prefix_has(const struct prefix *p, const struct address *a)
{
	if (p->ip != a->ip) {
		return false;
	}
	for (int bit = 0; bit < p->length; bit++) {
		int mask = 0x80 >> (bit % 8);
		if ((p->address[bit / 8] & mask) != (a->bytes[bit / 8] & mask)) {
			return false;
		}
	}
	return true;
}

static struct address host(int segment, int number, int ip)
{
	char text[64];

	snprintf(text, sizeof(text), ip == 4 ? "10.%d.0.%d" : "fd00:%d::%x", segment + 1, number);
	return m_address(text);
}

static void put_mac(uint8_t mac[6], int kind, int number)
{
	memcpy(mac, "\2\0\0\0", 4);
	mac[4] = (uint8_t)kind;
	mac[5] = (uint8_t)number;
}

static struct prefix network(struct address a, int length)
{
	struct prefix p = { .length = (uint8_t)length, .ip = a.ip };

	memcpy(p.address, a.bytes, 16);
	for (int bit = length; bit < 128; bit++) {
		p.address[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
	}
	return p;
}

/* ---- making ---- */

static void make_team(struct m_policy *p, struct rng *r, int index, int first_port)
{
	struct m_team *t = &p->teams[index];
	bool is_6 = rng_chance(r, 30);

	*t = (struct m_team){ first_port, 1 + below(r, 2), 1700,       M_NO,
			      { 0 },	  { .ip = 0 },	   { .ip = 0 } };
	put_mac(t->mac, 3, index);
	for (int i = 0; i < t->n_ports; i++) {
		p->ports[first_port + i] =
			(struct m_port){ .team = index, .segment = M_NO, .mtu = 1700 };
	}
	t->vlan = rng_chance(r, 30) ? 900 + index : M_NO;
	for (int i = 0; i < M_ENDPOINTS; i++) {
		char text[64];
		/* The last is beyond the gateway. */
		int far = i == M_ENDPOINTS - 1;
		snprintf(text, sizeof(text), is_6 ? "fd99:%d:%d::%d" : "172.16.1%d%d.%d", index,
			 far, 10 + i);
		p->endpoints[index][i] = m_address(text);
	}
	char own[64], gateway[64];
	snprintf(own, sizeof(own), is_6 ? "fd99:%d::1" : "172.16.1%d0.1", index);
	snprintf(gateway, sizeof(gateway), is_6 ? "fd99:%d::fe" : "172.16.1%d0.254", index);
	t->address = m_address(own);
	t->gateway = m_address(gateway);
}

static void make_segment(struct m_policy *p, struct rng *r, int index)
{
	struct m_segment *s = &p->segments[index];

	*s = (struct m_segment){ .kind = ENCAP_VLAN,
				 .team = M_NO,
				 .router = M_NO,
				 .vlan = M_NO,
				 .vni = 0,
				 .mtu = 1500 };
	s->team = rng_chance(r, 80) ? below(r, p->n_teams) : M_NO;
	if (s->team != M_NO && rng_chance(r, 60)) {
		s->kind = rng_chance(r, 70) ? ENCAP_GENEVE : ENCAP_VXLAN;
		s->vni = 100 + index;
		for (int i = 0; i < M_ENDPOINTS; i++) {
			if (rng_chance(r, 60)) {
				s->flood[s->n_flood++] = i;
			}
		}
		s->n_remotes = below(r, M_REMOTES + 1);
		for (int i = 0; i < s->n_remotes; i++) {
			struct m_remote *m = &s->remotes[i];
			put_mac(m->mac, 4 + index, i);
			m->endpoint = below(r, M_ENDPOINTS);
			m->addresses[0] = host(index, 100 + i, 4);
			m->addresses[1] = host(index, 100 + i, 6);
			m->n_addresses = below(r, 3);
		}
	} else if (s->team != M_NO && rng_chance(r, 80)) {
		s->vlan = 10 + index;
	}
	/* One untagged segment a team. */
	for (int i = 0; i < index && s->kind == ENCAP_VLAN && s->team != M_NO; i++) {
		if (p->segments[i].kind == ENCAP_VLAN && p->segments[i].team == s->team &&
		    p->segments[i].vlan == s->vlan) {
			s->vlan = 10 + index;
		}
	}
	if (rng_chance(r, 75)) {
		s->router = below(r, p->n_routers);
		s->gateways[0] = (struct gateway){ host(index, 1, 4), 24 };
		s->gateways[1] = (struct gateway){ host(index, 1, 6), 64 };
		s->n_gateways = 1 + below(r, 2);
	}
}

static void make_guard(struct m_port *p, struct rng *r)
{
	bool is_loose = rng_chance(r, 30);

	p->forged = is_loose && rng_chance(r, 50);
	p->learns = p->forged && rng_chance(r, 40);
	p->mac_changes = rng_chance(r, 10);
	p->promiscuous = rng_chance(r, 8);
	p->dhcp_server = rng_chance(r, 20);
	p->router = rng_chance(r, 20);
	p->any_address = is_loose || rng_chance(r, 20);
	p->is_blocked = rng_chance(r, 4);
	p->mtu = rng_chance(r, 20) ? 1300 : 1500;
}

static void make_guest(struct m_policy *p, struct rng *r, int index)
{
	struct m_port *g = &p->ports[index];

	*g = (struct m_port){ .team = M_NO, .segment = M_NO };
	g->segment = rng_chance(r, 90) ? below(r, p->n_segments) : M_NO;
	if (rng_chance(r, 25)) {
		g->n_trunk = 1 + below(r, M_TRUNK);
		for (int i = 0; i < g->n_trunk; i++) {
			g->trunk[i].vlan = 5 + i;
			/* Of another segment each: its addresses are on all of them. */
			g->trunk[i].segment = (g->segment + 1 + i) % p->n_segments;
		}
	}
	g->has_mac = rng_chance(r, 92);
	put_mac(g->mac, 1, index);
	int home = g->segment != M_NO ? g->segment : g->n_trunk > 0 ? g->trunk[0].segment : 0;
	g->n_addresses = below(r, M_ADDRESSES + 1);
	g->addresses[0] = host(home, 10 + index, 4);
	g->addresses[1] = host(home, 10 + index, 6);
	g->addresses[2] = host(home, 30 + index, 4);
	make_guard(g, r);
}

static struct address any_address(const struct m_policy *p, struct rng *r)
{
	int ip = rng_chance(r, 65) ? 4 : 6;
	char text[64];

	if (rng_chance(r, 75)) {
		return host(below(r, p->n_segments), 10 + below(r, p->n_ports), ip);
	}
	snprintf(text, sizeof(text), ip == 4 ? "192.0.2.%d" : "2001:db8::%x", 1 + below(r, 4));
	return m_address(text);
}

static void make_group(struct m_policy *p, struct rng *r, struct m_group *g)
{
	*g = (struct m_group){ .n_prefixes = below(r, M_LIST + 1),
			       .n_ports = below(r, M_LIST + 1) };
	for (int i = 0; i < g->n_prefixes; i++) {
		struct address a = any_address(p, r);
		static const int lengths[2][5] = { { 0, 8, 24, 28, 32 }, { 0, 32, 64, 126, 128 } };
		g->prefixes[i] = network(a, lengths[a.ip == 6][below(r, 5)]);
	}
	for (int i = 0; i < g->n_ports; i++) {
		g->ports[i] = below(r, p->n_ports);
	}
}

static int make_list(struct rng *r, int *list, int n, int chance)
{
	int count = rng_chance(r, (uint32_t)chance) ? 1 + below(r, M_LIST) : 0;

	for (int i = 0; i < count; i++) {
		list[i] = below(r, n);
	}
	return count;
}

static struct m_service make_service(struct rng *r)
{
	static const int protos[] = { 6, 6, 17, 17, 1, 58, 132, 47 };
	struct m_service s = {
		protos[below(r, ARRAY_LEN(protos))], M_NO, M_NO, M_NO, M_NO, M_NO, M_NO
	};
	bool has_ports = s.proto == 6 || s.proto == 17 || s.proto == 132;

	if (has_ports && rng_chance(r, 80)) {
		s.from = 80 + below(r, 6);
		s.to = s.from + below(r, 4);
	}
	if (has_ports && rng_chance(r, 20)) {
		s.source_from = 1000 + below(r, 6);
		s.source_to = s.source_from + below(r, 4);
	}
	if ((s.proto == 1 || s.proto == 58) && rng_chance(r, 70)) {
		s.type = s.proto == 1 ? 8 : 128;
		s.code = rng_chance(r, 50) ? 0 : M_NO;
	}
	return s;
}

static void make_rule(const struct m_policy *p, struct rng *r, struct m_rule *rule)
{
	*rule = (struct m_rule){ .direction = RULE_IN_OUT };
	rule->n_sources = make_list(r, rule->sources, p->n_groups, 50);
	rule->n_destinations = make_list(r, rule->destinations, p->n_groups, 50);
	rule->n_applied_to = make_list(r, rule->applied_to, p->n_groups, 30);
	rule->n_services = rng_chance(r, 60) ? 1 + below(r, M_LIST) : 0;
	for (int i = 0; i < rule->n_services; i++) {
		rule->services[i] = make_service(r);
	}
	rule->direction = rng_chance(r, 60) ? RULE_IN_OUT : 1 + below(r, 2);
	rule->ip = rng_chance(r, 80) ? 0 : rng_chance(r, 50) ? 4 : 6;
	rule->action = rng_chance(r, 60) ? RULE_ALLOW : rng_chance(r, 60) ? RULE_DROP : RULE_REJECT;
}

static void make_rules(struct m_policy *p, struct rng *r)
{
	p->n_groups = 1 + below(r, M_GROUPS);
	for (int i = 0; i < p->n_groups; i++) {
		make_group(p, r, &p->groups[i]);
	}
	p->n_rules = rng_chance(r, 15) ? 0 : 1 + below(r, M_RULES);
	for (int i = 0; i < p->n_rules; i++) {
		make_rule(p, r, &p->rules[i]);
	}
	p->fallback = rng_chance(r, 65) ? RULE_ALLOW : rng_chance(r, 50) ? RULE_DROP : RULE_REJECT;
}

static void make_routes(struct m_policy *p, struct rng *r, struct m_router *router)
{
	router->n_routes = below(r, M_ROUTES + 1);
	for (int i = 0; i < router->n_routes; i++) {
		struct m_route *route = &router->routes[i];
		int ip = rng_chance(r, 65) ? 4 : 6;
		struct address to = m_address(ip == 4 ? "192.0.2.0" : "2001:db8::");
		static const int lengths[2][4] = { { 0, 24, 30, 32 }, { 0, 32, 126, 128 } };
		route->prefix = network(to, lengths[ip == 6][i]); /* none is there twice */
		route->n_hops = 1 + below(r, M_HOPS);
		for (int h = 0; h < route->n_hops; h++) {
			route->hops[h] =
				host(below(r, p->n_segments), 10 + below(r, p->n_ports), ip);
			if (rng_chance(r, 50)) {
				route->hops[h].bytes[ip == 4 ? 3 : 15] = (uint8_t)(200 + h);
			}
		}
	}
}

void model_policy_make(struct m_policy *p, struct rng *r)
{
	memset(p, 0, sizeof(*p));
	p->n_teams = 1 + below(r, M_TEAMS);
	p->n_segments = 1 + below(r, M_SEGMENTS);
	p->n_routers = 1 + below(r, M_ROUTERS);
	int n_guests = 2 + below(r, M_PORTS - 2 * M_TEAMS - 1);
	p->n_ports = n_guests;
	for (int i = 0; i < p->n_teams; i++) {
		make_team(p, r, i, p->n_ports);
		p->n_ports += p->teams[i].n_ports;
	}
	for (int i = 0; i < p->n_segments; i++) {
		make_segment(p, r, i);
	}
	for (int i = 0; i < n_guests; i++) {
		make_guest(p, r, i);
	}
	for (int i = 0; i < p->n_routers; i++) {
		put_mac(p->routers[i].mac, 2, i);
		make_routes(p, r, &p->routers[i]);
	}
	make_rules(p, r);
}

void model_policy_change(struct m_policy *p, struct rng *r)
{
	if (rng_chance(r, 70)) {
		make_rules(p, r);
	} else if (p->n_rules > 0) {
		make_rule(p, r, &p->rules[below(r, p->n_rules)]);
	}
	for (int i = 0; i < p->n_ports; i++) {
		if (p->ports[i].team == M_NO && rng_chance(r, 20)) {
			make_guard(&p->ports[i], r);
		}
	}
	for (int i = 0; i < p->n_routers; i++) {
		if (rng_chance(r, 30)) {
			make_routes(p, r, &p->routers[i]);
		}
	}
}

/* ---- the document ---- */

static void add_mac(struct buf *b, const uint8_t m[6])
{
	buf_addf(b, "\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\"", m[0], m[1], m[2], m[3], m[4],
		 m[5]);
}

static void add_address(struct buf *b, const struct address *a)
{
	char text[64];

	m_address_text(a, text);
	buf_addf(b, "\"%s\"", text);
}

static void add_prefix(struct buf *b, const struct prefix *p)
{
	struct address a = { .ip = p->ip };
	char text[64];

	memcpy(a.bytes, p->address, 16);
	m_address_text(&a, text);
	buf_addf(b, "\"%s/%d\"", text, p->length);
}

static void add_addresses(struct buf *b, const char *key, const struct address *list, int n)
{
	buf_addf(b, ",\"%s\":[", key);
	for (int i = 0; i < n; i++) {
		buf_adds(b, i == 0 ? "" : ",");
		add_address(b, &list[i]);
	}
	buf_addc(b, ']');
}

static void add_flag(struct buf *b, const char *name, bool value)
{
	buf_addf(b, "\"%s\":%s%s", name, value ? "true" : "false",
		 strcmp(name, "any_address") == 0 ? "" : ",");
}

static void write_port(struct buf *b, const struct m_port *p, int index)
{
	buf_addf(b, "%s{\"name\":\"p%d\",\"kind\":\"device\",\"path\":\"none\",\"mtu\":%d",
		 index == 0 ? "" : ",", index, p->mtu);
	if (p->team != M_NO) {
		buf_addc(b, '}');
		return;
	}
	if (p->segment != M_NO) {
		buf_addf(b, ",\"segment\":\"s%d\"", p->segment);
	}
	buf_adds(b, ",\"trunk\":[");
	for (int i = 0; i < p->n_trunk; i++) {
		buf_addf(b, "%s{\"vlan\":%d,\"segment\":\"s%d\"}", i == 0 ? "" : ",",
			 p->trunk[i].vlan, p->trunk[i].segment);
	}
	buf_addc(b, ']');
	if (p->has_mac) {
		buf_addc(b, ',');
		add_mac(b, p->mac);
	}
	add_addresses(b, "addresses", p->addresses, p->n_addresses);
	if (p->learns) {
		buf_adds(b, ",\"learning\":{}");
	}
	buf_addf(b, ",\"blocked\":%s,\"guard\":{", p->is_blocked ? "true" : "false");
	add_flag(b, "forged_transmits", p->forged);
	add_flag(b, "mac_changes", p->mac_changes);
	add_flag(b, "promiscuous", p->promiscuous);
	add_flag(b, "dhcp_server", p->dhcp_server);
	add_flag(b, "router", p->router);
	add_flag(b, "any_address", p->any_address);
	buf_adds(b, "}}");
}

static void write_team(struct buf *b, const struct m_team *t, int index)
{
	char text[64];

	m_address_text(&t->address, text);
	buf_addf(b, "%s{\"name\":\"t%d\",\"mtu\":%d,\"address\":\"%s/%d\",", index == 0 ? "" : ",",
		 index, t->mtu, text, t->address.ip == 4 ? 24 : 48);
	m_address_text(&t->gateway, text);
	buf_addf(b, "\"gateway\":\"%s\",", text);
	if (t->vlan != M_NO) {
		buf_addf(b, "\"vlan\":%d,", t->vlan);
	}
	add_mac(b, t->mac);
	for (int i = 0; i < t->n_ports; i++) {
		buf_addf(b, "%s\"p%d\"", i == 0 ? ",\"ports\":[" : ",", t->first_port + i);
	}
	buf_adds(b, "]}");
}

static void write_segment(struct buf *b, const struct m_policy *p, int index)
{
	static const char *const kinds[] = { "", "vlan", "geneve", "vxlan" };
	const struct m_segment *s = &p->segments[index];

	buf_addf(b, "%s{\"name\":\"s%d\",\"encapsulation\":\"%s\",\"mtu\":%d",
		 index == 0 ? "" : ",", index, kinds[s->kind], s->mtu);
	if (s->team != M_NO) {
		buf_addf(b, ",\"team\":\"t%d\"", s->team);
	}
	if (s->vlan != M_NO) {
		buf_addf(b, ",\"vlan\":%d", s->vlan);
	}
	if (s->router != M_NO) {
		buf_addf(b, ",\"router\":\"r%d\",\"gateways\":[", s->router);
		for (int i = 0; i < s->n_gateways; i++) {
			char text[64];
			m_address_text(&s->gateways[i].address, text);
			buf_addf(b, "%s\"%s/%d\"", i == 0 ? "" : ",", text,
				 s->gateways[i].prefix_length);
		}
		buf_addc(b, ']');
	}
	if (s->kind != ENCAP_VLAN) {
		struct address flood[M_ENDPOINTS];
		for (int i = 0; i < s->n_flood; i++) {
			flood[i] = p->endpoints[s->team][s->flood[i]];
		}
		buf_addf(b, ",\"vni\":%d", s->vni);
		add_addresses(b, "flood", flood, s->n_flood);
		buf_adds(b, ",\"remotes\":[");
		for (int i = 0; i < s->n_remotes; i++) {
			const struct m_remote *m = &s->remotes[i];
			buf_adds(b, i == 0 ? "{" : ",{");
			add_mac(b, m->mac);
			add_addresses(b, "addresses", m->addresses, m->n_addresses);
			buf_adds(b, ",\"endpoint\":");
			add_address(b, &p->endpoints[s->team][m->endpoint]);
			buf_addc(b, '}');
		}
		buf_addc(b, ']');
	}
	buf_addc(b, '}');
}

static void write_router(struct buf *b, const struct m_router *r, int index)
{
	buf_addf(b, "%s{\"name\":\"r%d\",", index == 0 ? "" : ",", index);
	add_mac(b, r->mac);
	buf_adds(b, ",\"routes\":[");
	for (int i = 0; i < r->n_routes; i++) {
		buf_adds(b, i == 0 ? "{\"prefix\":" : ",{\"prefix\":");
		add_prefix(b, &r->routes[i].prefix);
		add_addresses(b, "next_hops", r->routes[i].hops, r->routes[i].n_hops);
		buf_addc(b, '}');
	}
	buf_adds(b, "]}");
}

static void write_group(struct buf *b, const struct m_group *g, int index)
{
	buf_addf(b, "%s{\"name\":\"g%d\",\"addresses\":[", index == 0 ? "" : ",", index);
	for (int i = 0; i < g->n_prefixes; i++) {
		buf_adds(b, i == 0 ? "" : ",");
		add_prefix(b, &g->prefixes[i]);
	}
	buf_adds(b, "],\"ports\":[");
	for (int i = 0; i < g->n_ports; i++) {
		buf_addf(b, "%s\"p%d\"", i == 0 ? "" : ",", g->ports[i]);
	}
	buf_adds(b, "]}");
}

static void add_groups(struct buf *b, const char *key, const int *list, int n)
{
	buf_addf(b, ",\"%s\":[", key);
	for (int i = 0; i < n; i++) {
		buf_addf(b, "%s\"g%d\"", i == 0 ? "" : ",", list[i]);
	}
	buf_addc(b, ']');
}

static void write_service(struct buf *b, const struct m_service *s, bool is_first)
{
	buf_addf(b, "%s{\"protocol\":%d", is_first ? "" : ",", s->proto);
	if (s->from != M_NO) {
		buf_addf(b, ",\"ports\":[\"%d-%d\"]", s->from, s->to);
	}
	if (s->source_from != M_NO) {
		buf_addf(b, ",\"source_ports\":[\"%d-%d\"]", s->source_from, s->source_to);
	}
	if (s->type != M_NO) {
		buf_addf(b, ",\"type\":%d", s->type);
	}
	if (s->code != M_NO) {
		buf_addf(b, ",\"code\":%d", s->code);
	}
	buf_addc(b, '}');
}

static void write_rule(struct buf *b, const struct m_rule *r, int index)
{
	static const char *const actions[] = { "allow", "drop", "reject" };
	static const char *const directions[] = { "", "in", "out", "in_out" };

	buf_addf(b, "%s{\"id\":%d,\"action\":\"%s\",\"direction\":\"%s\"", index == 0 ? "" : ",",
		 index + 1, actions[r->action], directions[r->direction]);
	if (r->ip != 0) {
		buf_addf(b, ",\"ip\":%d", r->ip);
	}
	add_groups(b, "sources", r->sources, r->n_sources);
	add_groups(b, "destinations", r->destinations, r->n_destinations);
	add_groups(b, "applied_to", r->applied_to, r->n_applied_to);
	buf_adds(b, ",\"services\":[");
	for (int i = 0; i < r->n_services; i++) {
		write_service(b, &r->services[i], i == 0);
	}
	buf_adds(b, "]}");
}

void model_policy_write(const struct m_policy *p, struct buf *b)
{
	static const char *const actions[] = { "allow", "drop", "reject" };

	buf_adds(b, "{\"ports\":[");
	for (int i = 0; i < p->n_ports; i++) {
		write_port(b, &p->ports[i], i);
	}
	buf_adds(b, "],\"teams\":[");
	for (int i = 0; i < p->n_teams; i++) {
		write_team(b, &p->teams[i], i);
	}
	buf_adds(b, "],\"segments\":[");
	for (int i = 0; i < p->n_segments; i++) {
		write_segment(b, p, i);
	}
	buf_adds(b, "],\"routers\":[");
	for (int i = 0; i < p->n_routers; i++) {
		write_router(b, &p->routers[i], i);
	}
	buf_adds(b, "],\"groups\":[");
	for (int i = 0; i < p->n_groups; i++) {
		write_group(b, &p->groups[i], i);
	}
	buf_addf(b, "],\"firewall\":{\"default\":\"%s\",\"sections\":[{\"name\":\"x\",\"rules\":[",
		 actions[p->fallback]);
	for (int i = 0; i < p->n_rules; i++) {
		write_rule(b, &p->rules[i], i);
	}
	buf_adds(b, "]}]}}");
}

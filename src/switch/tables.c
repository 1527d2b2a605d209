/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/tables.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/vec.h"
#include "switch/address_map.h"
#include "switch/flow.h"

/* ---- a hash of fixed keys: MAC and IP addresses of a segment ---- */

/* Put together in registers: it is made for each first packet. */
struct place_key {
	uint64_t w[2]; /* MAC in the first six bytes, or an address */
	uint32_t what; /* segment << 8 | kind: 4 and 6 an address, 1 a MAC; 0: free */
};

struct place {
	struct place_key key;
	struct whereabouts at;
};

struct places {
	struct place *items;
	uint32_t mask;
	uint32_t n;
};

static uint64_t place_hash(const struct place_key *k)
{
	uint64_t h = (k->w[0] ^ (uint64_t)k->what << 40) * 0x9e3779b97f4a7c15u;

	h = (h ^ (h >> 32) ^ k->w[1]) * 0xd6e8feb86659fd93u;
	return h ^ (h >> 32);
}

static bool place_is(const struct place_key *a, const struct place_key *b)
{
	return ((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) | (a->what ^ b->what)) == 0;
}

static const struct place *places_find(const struct places *p, const struct place_key *k)
{
	for (uint32_t at = (uint32_t)place_hash(k) & p->mask; p->items[at].key.what != 0;
	     at = (at + 1) & p->mask) {
		if (place_is(&p->items[at].key, k)) {
			return &p->items[at];
		}
	}
	return NULL;
}

/* The first that claims an address has it; the configuration's reader refuses quarrels. */
static void places_add(struct places *p, const struct place_key *k, const struct whereabouts *at)
{
	uint32_t i = (uint32_t)place_hash(k) & p->mask;

	for (; p->items[i].key.what != 0; i = (i + 1) & p->mask) {
		if (place_is(&p->items[i].key, k)) {
			return;
		}
	}
	p->items[i] = (struct place){ *k, *at };
	p->n++;
}

static struct place_key mac_key(uint16_t segment, const uint8_t mac[6])
{
	uint32_t low;
	uint16_t high;

	memcpy(&low, mac, 4);
	memcpy(&high, mac + 4, 2);
	return (struct place_key){ { (uint64_t)high << 32 | low, 0 }, (uint32_t)segment << 8 | 1 };
}

static struct place_key address_key(uint16_t segment, const struct address *a)
{
	struct place_key k = { .what = (uint32_t)segment << 8 | a->ip };

	memcpy(&k.w[0], a->bytes, 8);
	memcpy(&k.w[1], a->bytes + 8, 8);
	return k;
}

/* ---- the tables ---- */

/* A router: its routes by longest prefix. A route's group in the map is its index. */
struct router {
	struct address_map *map;
	/* Of each route: connected (n_next_hops 0, `segment` counts), or the next hops. */
	struct router_route {
		uint16_t segment;
		const struct route *route;
	} * routes;
};

/* A guest that moves. Only which of its places it is at changes: a worker writes, all read. */
struct moving {
	uint8_t mac[6];
	uint16_t segment;
	struct {
		uint16_t iface, endpoint;
	} places[2];	 /* where it comes from, and goes to */
	bool is_leaving; /* it is a port's, and goes to another node */
	unsigned at;	 /* atomic */
};

struct tables {
	struct switch_config *config;
	VEC(struct moving) moving; /* struct whereabouts: index plus one */
	uint16_t epoch;
	struct classifier *classifier;
	struct iface ifaces[FLOW_IFACES_MAX];
	const char *iface_names[FLOW_IFACES_MAX];
	uint16_t *access;  /* [port]: interface of untagged frames */
	uint16_t **tagged; /* [port]: NULL, or [4096] */
	struct segment_ifaces *segments;
	struct places places;
	struct places vnis; /* segment 0, encapsulation and VNI in the bytes */
	struct places endpoints;
	struct router *routers;
};

static struct place_key vni_key(enum encapsulation encapsulation, uint32_t vni)
{
	return (struct place_key){ { vni, 0 }, (uint32_t)encapsulation << 8 | 1 };
}

static void places_new(struct places *p, size_t n)
{
	uint32_t size = 16;

	while (size < n * 2 + 2) {
		size *= 2;
	}
	p->items = mem_calloc(size, sizeof(*p->items));
	p->mask = size - 1;
}

/* ---- interfaces ---- */

static uint16_t add_iface(struct tables *t, const struct iface_index *index, const char *name,
			  const struct iface *iface, struct error *e)
{
	uint16_t i = index->fn(index->arg, name);

	if (i == 0 || i >= FLOW_IFACES_MAX) {
		error_set(e, ERROR_LIMIT,
			  "%s: there can be %d interfaces, counting those that "
			  "connections still speak of",
			  name, FLOW_IFACES_MAX - 1);
		return 0;
	}
	t->ifaces[i] = *iface;
	t->iface_names[i] = name;
	return i;
}

static bool add_port_ifaces(struct tables *t, const struct iface_index *index, size_t port,
			    struct error *e)
{
	const struct config_port *p = &t->config->ports[port];
	struct arena *a = t->config->arena;

	if (p->segment >= 0) {
		struct iface i = { IFACE_PORT, (uint16_t)port, (uint16_t)p->segment, PACKET_NO_VLAN,
				   0 };
		t->access[port] = add_iface(t, index, arena_printf(a, "port %s", p->name), &i, e);
		if (t->access[port] == 0) {
			return false;
		}
	}
	for (size_t k = 0; k < p->n_trunk; k++) {
		struct iface i = { IFACE_PORT, (uint16_t)port, p->trunk[k].segment,
				   p->trunk[k].vlan, 0 };
		if (t->tagged[port] == NULL) {
			t->tagged[port] = mem_calloc(4096, sizeof(uint16_t));
		}
		uint16_t n = add_iface(t, index,
				       arena_printf(a, "port %s VLAN %u", p->name, i.vlan), &i, e);
		if (n == 0) {
			return false;
		}
		t->tagged[port][i.vlan] = n;
	}
	return true;
}

/* The interface toward a segment's team, reached from each of the team's ports. */
static bool add_segment_iface(struct tables *t, const struct iface_index *index, size_t segment,
			      struct error *e)
{
	const struct config_segment *s = &t->config->segments[segment];
	bool is_vlan = s->encapsulation == ENCAP_VLAN;

	if (s->team < 0) {
		return true;
	}
	struct iface i = { is_vlan ? IFACE_VLAN : IFACE_TUNNEL, 0, (uint16_t)segment,
			   is_vlan ? s->vlan : PACKET_NO_VLAN, (uint16_t)s->team };
	uint16_t n =
		add_iface(t, index, arena_printf(t->config->arena, "segment %s", s->name), &i, e);
	if (n == 0) {
		return false;
	}
	t->segments[segment].out = n;
	if (!is_vlan) {
		struct place_key k = vni_key(s->encapsulation, s->vni);
		places_add(&t->vnis, &k, &(struct whereabouts){ .iface = n });
		return true;
	}
	const struct config_team *team = &t->config->teams[s->team];
	for (size_t p = 0; p < team->n_ports; p++) {
		uint16_t port = team->ports[p];
		if (s->vlan == PACKET_NO_VLAN) {
			t->access[port] = n;
			continue;
		}
		if (t->tagged[port] == NULL) {
			t->tagged[port] = mem_calloc(4096, sizeof(uint16_t));
		}
		t->tagged[port][s->vlan] = n;
	}
	return true;
}

static void count_guests(struct tables *t)
{
	const struct switch_config *c = t->config;
	size_t *n = mem_calloc(c->n_segments + 1, sizeof(*n));

	for (uint32_t i = 1; i < FLOW_IFACES_MAX; i++) {
		n[t->ifaces[i].segment] += t->ifaces[i].kind == IFACE_PORT;
	}
	uint16_t **lists = mem_calloc(c->n_segments + 1, sizeof(*lists));
	for (size_t s = 0; s < c->n_segments; s++) {
		lists[s] = arena_alloc(c->arena, (n[s] + 1) * sizeof(uint16_t));
		t->segments[s].guests = lists[s];
	}
	for (uint32_t i = 1; i < FLOW_IFACES_MAX; i++) {
		if (t->ifaces[i].kind == IFACE_PORT) {
			struct segment_ifaces *s = &t->segments[t->ifaces[i].segment];
			lists[t->ifaces[i].segment][s->n_guests++] = (uint16_t)i;
			s->has_promiscuous |= c->ports[t->ifaces[i].port].guard.promiscuous;
			s->has_learning |= c->ports[t->ifaces[i].port].learning_limit > 0;
		}
	}
	free(n);
	free(lists);
}

/* ---- addresses ---- */

static void add_places(struct tables *t, const struct whereabouts *at, uint16_t segment,
		       const struct address *addresses, size_t n)
{
	struct place_key k = mac_key(segment, at->mac);

	places_add(&t->places, &k, at);
	for (size_t i = 0; i < n; i++) {
		k = address_key(segment, &addresses[i]);
		places_add(&t->places, &k, at);
	}
}

static struct place *own_place(struct tables *t, const struct place_key *k)
{
	const struct place *p = places_find(&t->places, k);

	return p == NULL ? NULL : &t->places.items[p - t->places.items];
}

/* Addresses of a port that has a guest's MAC address are where that guest is. */
static void mark_moving(struct tables *t, uint16_t segment, const struct address *addresses,
			size_t n, const struct whereabouts *here)
{
	for (size_t i = 0; i < n; i++) {
		struct place_key k = address_key(segment, &addresses[i]);
		struct place *p = own_place(t, &k);
		if (p != NULL && p->at.iface == here->iface) {
			p->at.moving = here->moving;
		}
	}
}

/* A remote guest; where its MAC address is a port's as well, it comes here or leaves. */
static void add_remote(struct tables *t, uint16_t segment, const struct config_remote *m)
{
	struct whereabouts at = { .iface = t->segments[segment].out, .endpoint = m->endpoint };
	struct place_key k = mac_key(segment, m->mac);
	struct place *own = own_place(t, &k);
	bool has_port = own != NULL && t->ifaces[own->at.iface].kind == IFACE_PORT;

	memcpy(at.mac, m->mac, 6);
	if ((has_port ? own->at.moving == 0 : own == NULL && m->moving_to >= 0) &&
	    t->moving.n < UINT16_MAX) {
		struct moving v = { .segment = segment,
				    .places = { { at.iface, m->endpoint },
						{ at.iface, (uint16_t)m->moving_to } } };
		memcpy(v.mac, m->mac, 6);
		if (has_port) {
			v.is_leaving = m->is_leaving;
			v.places[1] = v.places[0];
			v.places[!m->is_leaving].iface = own->at.iface;
			v.places[!m->is_leaving].endpoint = 0;
		}
		vec_push(&t->moving, v);
		at.moving = (uint16_t)t->moving.n;
	}
	if (has_port && at.moving != 0) {
		const struct config_port *p = &t->config->ports[t->ifaces[own->at.iface].port];
		own->at.moving = at.moving;
		mark_moving(t, segment, p->addresses, p->n_addresses, &own->at);
	}
	add_places(t, &at, segment, m->addresses, m->n_addresses);
}

static void add_all_places(struct tables *t)
{
	const struct switch_config *c = t->config;

	for (size_t i = 0; i < c->n_ports; i++) {
		const struct config_port *p = &c->ports[i];
		struct whereabouts at = { .iface = t->access[i] };
		memcpy(at.mac, p->mac, 6);
		if (!p->has_mac || p->team >= 0) {
			continue;
		}
		if (p->segment >= 0) {
			add_places(t, &at, (uint16_t)p->segment, p->addresses, p->n_addresses);
		}
		for (size_t k = 0; k < p->n_trunk; k++) {
			at.iface = t->tagged[i][p->trunk[k].vlan];
			add_places(t, &at, p->trunk[k].segment, p->addresses, p->n_addresses);
		}
	}
	for (size_t s = 0; s < c->n_segments; s++) {
		for (size_t i = 0; i < c->segments[s].n_remotes; i++) {
			add_remote(t, (uint16_t)s, &c->segments[s].remotes[i]);
		}
	}
	for (size_t i = 0; i < c->n_endpoints; i++) {
		struct place_key k = address_key(0, &c->endpoints[i]);
		places_add(&t->endpoints, &k, &(struct whereabouts){ .endpoint = (uint16_t)i });
	}
}

static size_t count_places(const struct switch_config *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_ports; i++) {
		n += (1 + c->ports[i].n_addresses) * (1 + c->ports[i].n_trunk);
	}
	for (size_t s = 0; s < c->n_segments; s++) {
		for (size_t i = 0; i < c->segments[s].n_remotes; i++) {
			n += 1 + c->segments[s].remotes[i].n_addresses;
		}
	}
	return n;
}

/* ---- routers ---- */

static struct prefix network_of(const struct gateway *g)
{
	struct prefix p = { .length = g->prefix_length, .ip = g->address.ip };

	memcpy(p.address, g->address.bytes, sizeof(p.address));
	for (unsigned bit = p.length; bit < 128; bit++) {
		p.address[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
	}
	return p;
}

static void make_router(struct tables *t, size_t index)
{
	const struct switch_config *c = t->config;
	const struct config_router *cr = &c->routers[index];
	struct router *r = &t->routers[index];
	VEC(struct address_member) members = { 0 };
	VEC(struct router_route) routes = { 0 };

	for (size_t s = 0; s < c->n_segments; s++) {
		const struct config_segment *segment = &c->segments[s];
		for (size_t g = 0; segment->router == (int32_t)index && g < segment->n_gateways;
		     g++) {
			vec_push(&members,
				 (struct address_member){ network_of(&segment->gateways[g]),
							  (uint32_t)routes.n });
			vec_push(&routes, (struct router_route){ (uint16_t)s, NULL });
		}
	}
	for (size_t i = 0; i < cr->n_routes; i++) {
		vec_push(&members,
			 (struct address_member){ cr->routes[i].prefix, (uint32_t)routes.n });
		vec_push(&routes, (struct router_route){ 0, &cr->routes[i] });
	}
	r->map = address_map_new(members.items, members.n);
	r->routes = routes.items;
	vec_free(&members);
}

/* ---- making and ending ---- */

static bool make_ifaces(struct tables *t, const struct iface_index *index, struct error *e)
{
	const struct switch_config *c = t->config;

	t->access = mem_calloc(c->n_ports + 1, sizeof(*t->access));
	t->tagged = mem_calloc(c->n_ports + 1, sizeof(*t->tagged));
	t->segments = mem_calloc(c->n_segments + 1, sizeof(*t->segments));
	places_new(&t->vnis, c->n_segments);
	for (size_t i = 0; i < c->n_ports; i++) {
		if (!add_port_ifaces(t, index, i, e)) {
			return false;
		}
	}
	for (size_t s = 0; s < c->n_segments; s++) {
		if (!add_segment_iface(t, index, s, e)) {
			return false;
		}
	}
	count_guests(t);
	return true;
}

struct tables *tables_new(struct switch_config *config, uint16_t epoch,
			  const struct iface_index *index, struct error *e)
{
	return tables_next(NULL, config, epoch, index, e);
}

struct tables *tables_next(const struct tables *before, struct switch_config *config,
			   uint16_t epoch, const struct iface_index *index, struct error *e)
{
	struct tables *t = mem_zalloc(sizeof(*t));
	struct classifier_input rules = { .rules = config->rules,
					  .n_rules = config->n_rules,
					  .groups = config->groups,
					  .n_groups = config->n_groups,
					  .fallback = config->fallback,
					  .before = before == NULL ? NULL : before->classifier };

	t->config = config;
	t->epoch = epoch;
	t->classifier = classifier_new(&rules, e);
	if (t->classifier == NULL || !make_ifaces(t, index, e)) {
		t->config = NULL; /* stays the caller's */
		for (size_t i = 0; t->tagged != NULL && i < config->n_ports; i++) {
			free(t->tagged[i]);
		}
		tables_free(t);
		return NULL;
	}
	places_new(&t->places, count_places(config));
	places_new(&t->endpoints, config->n_endpoints);
	add_all_places(t);
	t->routers = mem_calloc(config->n_routers + 1, sizeof(*t->routers));
	for (size_t i = 0; i < config->n_routers; i++) {
		make_router(t, i);
	}
	return t;
}

void tables_free(struct tables *t)
{
	if (t == NULL) {
		return;
	}
	for (size_t i = 0; t->config != NULL && i < t->config->n_ports; i++) {
		free(t->tagged[i]);
	}
	for (size_t i = 0; t->config != NULL && i < t->config->n_routers; i++) {
		address_map_free(t->routers[i].map);
		free(t->routers[i].routes);
	}
	free(t->routers);
	free(t->access);
	free(t->tagged);
	free(t->segments);
	free(t->places.items);
	free(t->vnis.items);
	free(t->endpoints.items);
	vec_free(&t->moving);
	classifier_free(t->classifier);
	switch_config_free(t->config);
	free(t);
}

/* ---- questions ---- */

const struct switch_config *tables_config(const struct tables *t)
{
	return t->config;
}

void tables_set_epoch(struct tables *t, uint16_t epoch)
{
	t->epoch = epoch;
}

uint16_t tables_epoch(const struct tables *t)
{
	return t->epoch;
}

const struct classifier *tables_classifier(const struct tables *t)
{
	return t->classifier;
}

const struct iface *tables_iface(const struct tables *t, uint16_t iface)
{
	return &t->ifaces[iface < FLOW_IFACES_MAX ? iface : 0];
}

uint16_t tables_mtu(const struct tables *t, uint16_t iface)
{
	const struct iface *i = tables_iface(t, iface);
	uint16_t mtu = t->config->segments[i->segment].mtu;

	return i->kind == IFACE_PORT && t->config->ports[i->port].mtu < mtu
		       ? t->config->ports[i->port].mtu
		       : mtu;
}

const char *tables_iface_name(const struct tables *t, uint16_t iface)
{
	const char *name = iface < FLOW_IFACES_MAX ? t->iface_names[iface] : NULL;

	return name == NULL ? "?" : name;
}

uint16_t tables_ingress(const struct tables *t, uint16_t port, uint16_t vlan)
{
	if (port >= t->config->n_ports) {
		return 0;
	}
	if (vlan == PACKET_NO_VLAN) {
		return t->access[port];
	}
	return t->tagged[port] == NULL ? 0 : t->tagged[port][vlan & 0xfff];
}

uint16_t tables_tunnel_ingress(const struct tables *t, uint16_t team,
			       enum encapsulation encapsulation, uint32_t vni)
{
	struct place_key k = vni_key(encapsulation, vni);
	const struct place *p = places_find(&t->vnis, &k);

	return p == NULL || t->ifaces[p->at.iface].team != team ? 0 : p->at.iface;
}

int32_t tables_endpoint(const struct tables *t, const struct address *address)
{
	struct place_key k = address_key(0, address);
	const struct place *p = places_find(&t->endpoints, &k);

	return p == NULL ? -1 : p->at.endpoint;
}

const struct segment_ifaces *tables_segment(const struct tables *t, uint16_t segment)
{
	return &t->segments[segment];
}

static bool find_place(const struct tables *t, const struct place_key *k, struct whereabouts *out)
{
	const struct place *p = places_find(&t->places, k);

	if (p == NULL) {
		return false;
	}
	*out = p->at;
	if (UNLIKELY(out->moving != 0)) {
		const struct moving *m = &t->moving.items[out->moving - 1];
		unsigned at = __atomic_load_n(&m->at, __ATOMIC_RELAXED);
		out->iface = m->places[at].iface;
		out->endpoint = m->places[at].endpoint;
	}
	return true;
}

bool tables_find_mac(const struct tables *t, uint16_t segment, const uint8_t mac[6],
		     struct whereabouts *out)
{
	struct place_key k = mac_key(segment, mac);

	return find_place(t, &k, out);
}

bool tables_find_address(const struct tables *t, uint16_t segment, const struct address *address,
			 struct whereabouts *out)
{
	struct place_key k = address_key(segment, address);

	return find_place(t, &k, out);
}

/* ---- guests that move ---- */

size_t tables_n_moving(const struct tables *t)
{
	return t->moving.n;
}

void tables_hear(const struct tables *t, uint16_t segment, const uint8_t mac[6], uint16_t iface,
		 uint16_t endpoint)
{
	struct place_key k = mac_key(segment, mac);
	const struct place *p = places_find(&t->places, &k);

	if (p == NULL || p->at.moving == 0) {
		return;
	}
	struct moving *m = &t->moving.items[p->at.moving - 1];
	for (unsigned i = 0; i < 2; i++) {
		if (m->places[i].iface == iface && m->places[i].endpoint == endpoint) {
			__atomic_store_n(&m->at, i, __ATOMIC_RELAXED);
		}
	}
}

/* Interfaces keep their numbers, endpoints need not. */
static bool is_place(const struct tables *t, const struct moving *m, unsigned i,
		     const struct tables *before, const struct moving *was)
{
	const struct address *a = &t->config->endpoints[m->places[i].endpoint],
			     *b = &before->config->endpoints[was->places[was->at].endpoint];

	if (m->places[i].iface != was->places[was->at].iface) {
		return false;
	}
	return t->ifaces[m->places[i].iface].kind != IFACE_TUNNEL ||
	       (a->ip == b->ip && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0);
}

/* The guest's entry in tables where its segment is another number, or is not there. */
static const struct moving *find_moving(const struct tables *t, int32_t segment,
					const uint8_t mac[6])
{
	if (segment < 0) {
		return NULL;
	}
	struct place_key k = mac_key((uint16_t)segment, mac);
	const struct place *p = places_find(&t->places, &k);
	return p == NULL || p->at.moving == 0 ? NULL : &t->moving.items[p->at.moving - 1];
}

static int32_t find_segment(const struct tables *t, uint64_t id)
{
	for (size_t i = 0; i < t->config->n_segments; i++) {
		if (t->config->segments[i].id == id) {
			return (int32_t)i;
		}
	}
	return -1;
}

void tables_follow_moving(struct tables *t, const struct tables *before)
{
	int32_t segment = -1, there = -1;

	if (before->moving.n == 0) {
		return;
	}
	/* They stand by segments: each is looked for once. */
	vec_each (&t->moving, m) {
		if (m->segment != segment) {
			segment = m->segment;
			there = find_segment(before, t->config->segments[segment].id);
		}
		const struct moving *was = find_moving(before, there, m->mac);
		/* Who left and now comes from there has gone there. */
		bool follows = was != NULL && was->is_leaving == m->is_leaving;
		for (unsigned i = 0; follows && i < 2; i++) {
			if (is_place(t, m, i, before, was)) {
				m->at = i;
			}
		}
	}
}

bool tables_is_gateway(const struct tables *t, uint16_t segment, const struct address *address)
{
	const struct config_segment *s = &t->config->segments[segment];

	for (size_t i = 0; i < s->n_gateways; i++) {
		const struct address *g = &s->gateways[i].address;
		if (g->ip == address->ip && memcmp(g->bytes, address->bytes, 16) == 0) {
			return true;
		}
	}
	return false;
}

/* The most special route to an address, or NULL. */
static const struct router_route *find_route(const struct router *r, const struct address *a)
{
	uint32_t v4, class;
	size_t n = 0;
	const uint32_t *own = NULL;

	if (a->ip == 4) {
		memcpy(&v4, a->bytes, 4);
		class = address_map_find4(r->map, v4);
	} else {
		class = address_map_find6(r->map, a->bytes);
	}
	own = address_map_own(r->map, class, &n);
	return n == 0 ? NULL : &r->routes[own[0]];
}

bool tables_route(const struct tables *t, uint16_t router, const struct address *address,
		  uint32_t hash, struct next_hop *out)
{
	const struct router *r = &t->routers[router];
	const struct router_route *route = find_route(r, address);

	if (route == NULL) {
		return false;
	}
	if (route->route == NULL) {
		*out = (struct next_hop){ route->segment, *address };
		return true;
	}
	const struct address *hop = &route->route->next_hops[hash % route->route->n_next_hops];
	const struct router_route *there = find_route(r, hop);
	if (there == NULL || there->route != NULL) {
		return false; /* the next hop is on no network of this router */
	}
	*out = (struct next_hop){ there->segment, *hop };
	return true;
}

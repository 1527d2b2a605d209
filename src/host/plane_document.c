/* SPDX-License-Identifier: Apache-2.0 */
#include "host/plane_document.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/map.h"
#include "base/mem.h"

enum {
	VLAN_MAX = 4094,
	TRUNK_MAX = 256, /* VLANs of a trunk that get segments though no port group has them */
	TEAMS_MAX = 16,
	MTU_MIN = 1280,
	MTU_DEFAULT = 1500,
	MTU_TUNNEL = 1600,	 /* what tunnels ask of a network, with a guest's 1500 inside */
	MTU_TUNNEL_LOCAL = 9000, /* between switches that share memory */
	BURST_MIN = 9018,
	BURST_MAX = 1 << 30,
	BITS_MIN = 8000,
};

#define BITS_MAX UINT64_C(400000000000)

/* A port group with a traffic filter, and those of its cards that are here. */
struct filter {
	struct json_object *group; /* the policy's */
	struct json_object *ports; /* owned */
};

/* A document in the making. */
struct maker {
	const struct plane_world *w;
	struct json_object *ports, *teams, *segments, *groups, *sections;
	struct map names;    /* "KIND what" -> the name given (owned) */
	struct map taken;    /* "KIND name" */
	struct map bindings; /* port -> its addresses (borrowed) */
	struct map filters;  /* "SWITCH PORTGROUP" -> struct filter (owned) */
	bool in_team[NODE_UPLINKS_MAX];
};

/* ---- reading the policy, which has passed its schema ---- */

static struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return o != NULL && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

static const char *text(struct json_object *o, const char *key)
{
	struct json_object *v = member(o, key);

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

static bool flag(struct json_object *o, const char *key)
{
	return json_object_get_boolean(member(o, key));
}

static uint32_t number(struct json_object *o, const char *key)
{
	return (uint32_t)json_object_get_int64(member(o, key));
}

static size_t list_n(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

static struct json_object *list_item(struct json_object *list, size_t i)
{
	return json_object_array_get_idx(list, i);
}

struct json_object *plane_policy_portgroup(struct json_object *policy, const char *switch_uuid,
					   const char *key)
{
	struct json_object *switches = member(policy, "switches");

	for (size_t i = 0; switch_uuid != NULL && i < list_n(switches); i++) {
		struct json_object *s = list_item(switches, i), *groups = member(s, "portgroups");
		for (size_t k = 0; strcmp(text(s, "uuid"), switch_uuid) == 0 && k < list_n(groups);
		     k++) {
			if (strcmp(text(list_item(groups, k), "key"), key) == 0) {
				return list_item(groups, k);
			}
		}
	}
	return NULL;
}

struct json_object *plane_policy_segment(struct json_object *policy, const char *id)
{
	struct json_object *segments = member(policy, "segments");

	for (size_t i = 0; i < list_n(segments); i++) {
		if (strcmp(text(list_item(segments, i), "id"), id) == 0) {
			return list_item(segments, i);
		}
	}
	return NULL;
}

/* ---- names ---- */

/* The name of `what`, always the same within a document: itself, cut, with a number where that
 * name belongs to something else. */
static const char *name_of(struct maker *m, const char *kind, const char *what)
{
	char *key = mem_printf("%s %s", kind, what);
	char *name = map_get(&m->names, key);

	for (unsigned n = 1; name == NULL; n++) {
		char suffix[16] = "";
		if (n > 1) {
			snprintf(suffix, sizeof(suffix), "~%u", n);
		}
		size_t room = PLANE_NAME_SIZE - 1 - strlen(suffix), len = strlen(what);
		while (len > room ||
		       (len > 0 && len < strlen(what) && (what[len] & 0xc0) == 0x80)) {
			len--;
		}
		/* Team and segment names are apart; kinds that share a list share what is taken. */
		char *wanted = mem_printf("%.1s %.*s%s", kind, (int)len, what, suffix);
		if (!map_has(&m->taken, wanted)) {
			map_set(&m->taken, wanted, NULL);
			name = mem_strdup(wanted + 2);
			map_set(&m->names, key, name);
		}
		free(wanted);
	}
	free(key);
	return name;
}

/* Kinds by their list: "s…" in segments, "t…" in teams. */
#define SEGMENT_VLAN	"s-vlan"
#define SEGMENT_OVERLAY "s-overlay"
#define TEAM_STANDARD	"t-standard"
#define TEAM_DVS	"t-dvs"
#define TEAM_TUNNEL	"t-tunnel"

/* ---- uplinks and teams ---- */

/* Which of the node's uplinks is "vmnicN"; -1: none. */
static int uplink_of(const struct maker *m, const char *device)
{
	char name[32];

	for (size_t i = 0; i < m->w->node->n_uplinks; i++) {
		snprintf(name, sizeof(name), "vmnic%zu", m->w->first_uplink + i);
		if (strcmp(name, device) == 0) {
			return (int)i;
		}
	}
	return -1;
}

struct team {
	const char *kind, *what;
	bool is_flow_hash;
	uint32_t mtu;
	int uplinks[NODE_UPLINKS_MAX];
	size_t n;
};

static void team_add_uplink(struct maker *m, struct team *t, const char *device)
{
	int at = uplink_of(m, device);

	if (at >= 0 && !m->in_team[at] && t->n < NODE_UPLINKS_MAX) {
		m->in_team[at] = true;
		t->uplinks[t->n++] = at;
	}
}

static void put_uplink(struct maker *m, size_t i, uint32_t mtu)
{
	const struct node_uplink *u = &m->w->node->uplinks[i];
	struct json_object *o = json_object_new_object();
	char name[32];

	snprintf(name, sizeof(name), "vmnic%zu", m->w->first_uplink + i);
	json_put_str(o, "name", name);
	json_put_str(o, "kind", u->kind);
	json_put_str(o, "path", u->path);
	if (strcmp(u->kind, "memif") == 0) {
		json_put_u64(o, "id", u->id);
	}
	if (u->server) {
		json_put_bool(o, "server", true);
	}
	if (mtu != MTU_DEFAULT) {
		json_put_u64(o, "mtu", mtu);
	}
	json_object_array_add(m->ports, o);
}

/* What the team's ports carry: what its switch says, at least what tunnels need where it has the
 * endpoint. */
static uint32_t team_mtu(const struct maker *m, const struct team *t, bool has_endpoint)
{
	const char *kind = m->w->node->uplinks[t->uplinks[0]].kind;
	bool is_local = strcmp(kind, "memif") == 0 || strcmp(kind, "stream") == 0;
	uint32_t least = !has_endpoint ? MTU_DEFAULT : is_local ? MTU_TUNNEL_LOCAL : MTU_TUNNEL;

	return t->mtu > least ? t->mtu : least;
}

/* Its name; NULL where it has no uplink. */
static const char *put_team(struct maker *m, const struct team *t)
{
	const struct node *node = m->w->node;
	struct json_object *o, *ports;
	bool has_endpoint = false;
	char name[32], mac[18];

	if (t->n == 0 || json_object_array_length(m->teams) == TEAMS_MAX) {
		return NULL;
	}
	for (size_t i = 0; i < t->n; i++) {
		has_endpoint |= t->uplinks[i] == 0 && node->endpoint[0] != '\0';
	}
	uint32_t mtu = team_mtu(m, t, has_endpoint);
	o = json_object_new_object();
	ports = json_object_new_array();
	json_put_str(o, "name", name_of(m, t->kind, t->what));
	for (size_t i = 0; i < t->n; i++) {
		snprintf(name, sizeof(name), "vmnic%zu",
			 m->w->first_uplink + (size_t)t->uplinks[i]);
		json_object_array_add(ports, json_object_new_string(name));
		put_uplink(m, (size_t)t->uplinks[i], mtu);
	}
	json_put(o, "ports", ports);
	json_put_str(o, "policy", t->is_flow_hash ? "flow_hash" : "active_standby");
	if (mtu != MTU_DEFAULT) {
		json_put_u64(o, "mtu", mtu);
	}
	node_uplink_mac(node, (size_t)t->uplinks[0], mac);
	json_put_str(o, "mac", mac);
	if (has_endpoint) {
		json_put_str(o, "address", node->endpoint);
		if (node->endpoint_gateway[0] != '\0') {
			json_put_str(o, "gateway", node->endpoint_gateway);
		}
	}
	json_object_array_add(m->teams, o);
	return name_of(m, t->kind, t->what);
}

static void put_standard_team(struct maker *m, const struct plane_switch *s)
{
	struct team t = { .kind = TEAM_STANDARD,
			  .what = s->name,
			  .is_flow_hash = s->is_flow_hash,
			  .mtu = s->mtu };

	for (size_t i = 0; i < s->n_uplinks; i++) {
		team_add_uplink(m, &t, s->uplinks[i]);
	}
	put_team(m, &t);
}

static void put_distributed_team(struct maker *m, struct json_object *s)
{
	struct json_object *uplinks = member(s, "uplinks");
	struct team t = { .kind = TEAM_DVS,
			  .what = text(s, "name"),
			  .is_flow_hash = strcmp(text(s, "teaming"), "flow_hash") == 0,
			  .mtu = number(s, "mtu") };

	for (size_t i = 0; i < list_n(uplinks); i++) {
		team_add_uplink(m, &t, json_object_get_string(list_item(uplinks, i)));
	}
	put_team(m, &t);
}

/* Standard switches come first: an uplink that a manager gives a second time stays where it is. */
static void put_teams(struct maker *m)
{
	struct json_object *switches = member(m->w->policy, "switches");
	struct team tunnel = { .kind = TEAM_TUNNEL, .what = "tunnel" };
	char first[32];

	for (size_t i = 0; i < m->w->n_switches; i++) {
		put_standard_team(m, &m->w->switches[i]);
	}
	for (size_t i = 0; i < list_n(switches); i++) {
		put_distributed_team(m, list_item(switches, i));
	}
	if (m->w->node->n_uplinks > 0) {
		snprintf(first, sizeof(first), "vmnic%zu", m->w->first_uplink);
		team_add_uplink(m, &tunnel, first);
		put_team(m, &tunnel);
	}
}

/* The team of that name, if it was made; by its place in the document. */
static struct json_object *team_named(const struct maker *m, const char *name)
{
	for (size_t i = 0; i < list_n(m->teams); i++) {
		if (strcmp(text(list_item(m->teams, i), "name"), name) == 0) {
			return list_item(m->teams, i);
		}
	}
	return NULL;
}

/* ---- segments of switches ---- */

/* A switch of either make, as a place for segments. */
struct place {
	const char *team_kind, *name;
	uint32_t mtu;
};

/* The segment of a VLAN there, made when first asked for. */
static const char *vlan_segment(struct maker *m, const struct place *p, uint32_t vlan)
{
	char *what = mem_printf("%s/%u", p->name, vlan);
	/* Two switches of one name, one of each make, have segments of their own. */
	char *kind = mem_printf(SEGMENT_VLAN " %s", p->team_kind);
	char *key = mem_printf("%s %s", kind, what);
	bool is_new = !map_has(&m->names, key);
	const char *name = name_of(m, kind, what);

	if (is_new) {
		struct json_object *o = json_object_new_object();
		struct json_object *team = team_named(m, name_of(m, p->team_kind, p->name));
		json_put_str(o, "name", name);
		if (team != NULL) {
			json_put_str(o, "team", text(team, "name"));
		}
		if (vlan != 0) {
			json_put_u64(o, "vlan", vlan);
		}
		if (p->mtu >= MTU_MIN && p->mtu != MTU_DEFAULT) {
			json_put_u64(o, "mtu", p->mtu);
		} else if (team != NULL && member(team, "mtu") != NULL) {
			json_put_u64(o, "mtu", MTU_DEFAULT); /* the team's is for its tunnels */
		}
		json_object_array_add(m->segments, o);
	}
	free(what);
	free(kind);
	free(key);
	return name;
}

static void trunk_add(struct maker *m, const struct place *p, struct json_object *trunk,
		      uint32_t vlan)
{
	struct json_object *o = json_object_new_object();

	json_put_u64(o, "vlan", vlan);
	json_put_str(o, "segment", vlan_segment(m, p, vlan));
	json_object_array_add(trunk, o);
}

/* ---- cards ---- */

static void put_limit(struct json_object *o, const char *key, const struct plane_limit *l)
{
	if (l->bits_per_second == 0) {
		return;
	}
	struct json_object *v = json_object_new_object();
	json_put_u64(v, "bits_per_second",
		     MIN(MAX(l->bits_per_second, (uint64_t)BITS_MIN), BITS_MAX));
	if (l->burst_bytes != 0) {
		json_put_u64(v, "burst_bytes",
			     MIN(MAX(l->burst_bytes, (uint64_t)BURST_MIN), (uint64_t)BURST_MAX));
	}
	json_put(o, key, v);
}

static void put_guard(struct json_object *o, const struct plane_security *s, bool any_address)
{
	struct json_object *g = json_object_new_object();

	json_put_bool(g, "promiscuous", s->promiscuous);
	json_put_bool(g, "mac_changes", s->mac_changes);
	json_put_bool(g, "forged_transmits", s->forged_transmits);
	json_put_bool(g, "any_address", any_address);
	json_put(o, "guard", g);
}

static const struct plane_group *find_group(const struct maker *m, const char *name)
{
	for (size_t i = 0; i < m->w->n_groups; i++) {
		if (strcmp(m->w->groups[i].name, name) == 0) {
			return &m->w->groups[i];
		}
	}
	return NULL;
}

static void join_standard(struct maker *m, const struct plane_group *g, struct json_object *port)
{
	struct place p = { .team_kind = TEAM_STANDARD, .name = g->on };

	for (size_t i = 0; i < m->w->n_switches; i++) {
		if (strcmp(m->w->switches[i].name, g->on) == 0) {
			p.mtu = m->w->switches[i].mtu;
		}
	}
	if (g->vlan != PLANE_VLAN_TRUNK) {
		json_put_str(port, "segment", vlan_segment(m, &p, g->vlan));
	} else {
		struct json_object *trunk = json_object_new_array();
		uint8_t seen[VLAN_MAX + 1] = { 0 };
		json_put_str(port, "segment", vlan_segment(m, &p, 0));
		for (size_t i = 0; i < m->w->n_groups; i++) {
			const struct plane_group *o = &m->w->groups[i];
			if (strcmp(o->on, g->on) == 0 && o->vlan >= 1 && o->vlan <= VLAN_MAX &&
			    !seen[o->vlan]) {
				seen[o->vlan] = 1;
				trunk_add(m, &p, trunk, o->vlan);
			}
		}
		json_put(port, "trunk", trunk);
	}
	if (p.mtu >= MTU_MIN && p.mtu != MTU_DEFAULT) {
		json_put_u64(port, "mtu", p.mtu);
	}
	put_guard(port, &g->security, true);
	put_limit(port, "from", &g->from);
}

/* The VLANs of a distributed trunk that get segments: all of a narrow one, else those that other
 * port groups of the switch have. */
static void join_trunk(struct maker *m, const struct place *p, struct json_object *s,
		       struct json_object *ranges, struct json_object *port)
{
	struct json_object *trunk = json_object_new_array(), *groups = member(s, "portgroups");
	uint8_t wanted[VLAN_MAX + 1] = { 0 }, used[VLAN_MAX + 1] = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < list_n(ranges); i++) {
		struct json_object *r = list_item(ranges, i);
		for (uint32_t v = number(r, "start"); v <= number(r, "end") && v <= VLAN_MAX; v++) {
			n += !wanted[v];
			wanted[v] = 1;
		}
	}
	for (size_t i = 0; i < list_n(groups); i++) {
		used[number(list_item(groups, i), "vlan")] = 1;
	}
	for (uint32_t v = 1; v <= VLAN_MAX; v++) {
		if (wanted[v] && (used[v] || n <= TRUNK_MAX)) {
			trunk_add(m, p, trunk, v);
		}
	}
	if (wanted[0]) {
		json_put_str(port, "segment", vlan_segment(m, p, 0));
	}
	json_put(port, "trunk", trunk);
}

/* Notes that the port is one that the traffic filter of its port group holds for. */
static void note_filter(struct maker *m, const struct plane_card *c, struct json_object *group)
{
	char *key = mem_printf("%s %s", c->switch_uuid, c->network);
	struct filter *f = map_get(&m->filters, key);

	if (f == NULL) {
		f = mem_zalloc(sizeof(*f));
		f->group = group;
		f->ports = json_object_new_array();
		map_set(&m->filters, key, f);
	}
	json_object_array_add(f->ports, json_object_new_string(c->port));
	free(key);
}

static void filter_free(void *value)
{
	struct filter *f = value;

	json_object_put(f->ports);
	free(f);
}

static void share(struct json_object *to, const char *key, struct json_object *from,
		  const char *from_key)
{
	struct json_object *v = member(from, from_key);

	if (v != NULL) {
		json_put(to, key, json_object_get(v));
	}
}

static void join_distributed(struct maker *m, const struct plane_card *c, struct json_object *g,
			     struct json_object *port)
{
	struct json_object *switches = member(m->w->policy, "switches"), *s = NULL;
	struct plane_security security = { .promiscuous = flag(g, "promiscuous"),
					   .mac_changes = flag(g, "mac_changes"),
					   .forged_transmits = flag(g, "forged_transmits") };

	for (size_t i = 0; i < list_n(switches); i++) {
		if (strcmp(text(list_item(switches, i), "uuid"), c->switch_uuid) == 0) {
			s = list_item(switches, i);
		}
	}
	struct place p = { .team_kind = TEAM_DVS,
			   .name = text(s, "name"),
			   .mtu = number(s, "mtu") };
	if (list_n(member(g, "trunk")) > 0) {
		join_trunk(m, &p, s, member(g, "trunk"), port);
	} else {
		json_put_str(port, "segment", vlan_segment(m, &p, number(g, "vlan")));
	}
	if (flag(g, "blocked")) {
		json_put_bool(port, "blocked", true);
	}
	if (p.mtu >= MTU_MIN && p.mtu != MTU_DEFAULT) {
		json_put_u64(port, "mtu", p.mtu);
	}
	if (flag(g, "learning") && security.forged_transmits) {
		json_put(port, "learning", json_object_new_object());
	}
	put_guard(port, &security, !map_has(&m->bindings, c->port));
	share(port, "from", g, "from");
	share(port, "to", g, "to");
	if (list_n(member(g, "rules")) > 0) {
		note_filter(m, c, g);
	}
}

static void join_segment(struct maker *m, const struct plane_card *c, struct json_object *s,
			 struct json_object *port)
{
	static const struct plane_security none;

	json_put_str(port, "segment", name_of(m, SEGMENT_OVERLAY, text(s, "id")));
	share(port, "mtu", s, "mtu");
	put_guard(port, &none, !map_has(&m->bindings, c->port));
}

static void put_mac(struct json_object *o, const char *mac)
{
	char lower[18] = "";

	for (size_t i = 0; mac != NULL && mac[i] != '\0' && i < 17; i++) {
		lower[i] = (char)tolower((unsigned char)mac[i]);
		lower[i + 1] = '\0';
	}
	json_put_str(o, "mac", lower);
}

static void put_card(struct maker *m, const struct plane_card *c)
{
	struct json_object *o = json_object_new_object(), *of = NULL;
	const struct plane_group *g = NULL;

	json_put_str(o, "name", c->port);
	json_put_str(o, "label", c->label);
	json_put_str(o, "kind", c->is_stream ? "stream" : "vhost");
	json_put_str(o, "path", c->path);
	put_mac(o, c->mac);
	switch (c->kind) {
	case PLANE_STANDARD:
		g = find_group(m, c->network);
		if (g != NULL) {
			join_standard(m, g, o);
		}
		break;
	case PLANE_DISTRIBUTED:
		of = plane_policy_portgroup(m->w->policy, c->switch_uuid, c->network);
		if (of != NULL) {
			join_distributed(m, c, of, o);
		}
		break;
	case PLANE_OPAQUE:
		of = plane_policy_segment(m->w->policy, c->network);
		if (of != NULL) {
			join_segment(m, c, of, o);
		}
		break;
	case PLANE_GONE:
	default:
		break;
	}
	if ((g == NULL && of == NULL) || !c->is_connected) {
		json_put_bool(o, "blocked", true);
	}
	struct json_object *addresses = map_get(&m->bindings, c->port);
	if (addresses != NULL) {
		json_put(o, "addresses", json_object_get(addresses));
	}
	json_object_array_add(m->ports, o);
}

/* ---- what the manager says ---- */

/* All members but those that are the policy's own. */
static struct json_object *copy_but(struct json_object *from, const char *const *but)
{
	struct json_object *o = json_object_new_object();

	json_object_object_foreach(from, key, v)
	{
		bool is_left_out = false;
		for (size_t i = 0; but[i] != NULL; i++) {
			is_left_out |= strcmp(but[i], key) == 0;
		}
		if (!is_left_out) {
			json_put(o, key, json_object_get(v));
		}
	}
	return o;
}

/* Overlay segments leave by the team that has the endpoint; a node without one has none. */
static void put_segments(struct maker *m)
{
	static const char *const own[] = { "id", "name", NULL };
	struct json_object *list = member(m->w->policy, "segments");
	const char *team = NULL;

	for (size_t i = 0; i < list_n(m->teams); i++) {
		if (member(list_item(m->teams, i), "address") != NULL) {
			team = text(list_item(m->teams, i), "name");
		}
	}
	for (size_t i = 0; i < list_n(list); i++) {
		static const char *const tunnel[] = { "id",  "name",  "encapsulation",
						      "vni", "flood", "remotes",
						      NULL };
		struct json_object *s = list_item(list, i);
		struct json_object *o = copy_but(s, team != NULL ? own : tunnel);
		json_put_str(o, "name", name_of(m, SEGMENT_OVERLAY, text(s, "id")));
		if (team != NULL) {
			json_put_str(o, "team", team);
		}
		if (member(s, "mtu") == NULL) {
			json_put_u64(o, "mtu", MTU_DEFAULT); /* not all that the team leaves */
		}
		json_object_array_add(m->segments, o);
	}
}

/* Groups as the manager has them, with those of their ports that this node has. */
static void put_groups(struct maker *m)
{
	static const char *const ports_only[] = { "ports", NULL };
	struct json_object *list = member(m->w->policy, "groups");
	struct map cards = { 0 };

	for (size_t i = 0; i < m->w->n_cards; i++) {
		map_set(&cards, m->w->cards[i].port, NULL);
	}
	for (size_t i = 0; i < list_n(list); i++) {
		struct json_object *g = list_item(list, i), *ports = member(g, "ports");
		if (ports == NULL) {
			json_object_array_add(m->groups, json_object_get(g));
			continue;
		}
		struct json_object *o = copy_but(g, ports_only), *here = json_object_new_array();
		for (size_t k = 0; k < list_n(ports); k++) {
			struct json_object *p = list_item(ports, k);
			if (map_has(&cards, json_object_get_string(p))) {
				json_object_array_add(here, json_object_get(p));
			}
		}
		json_put(o, "ports", here);
		json_object_array_add(m->groups, o);
	}
	map_free(&cards);
}

/* A port group's rules, for its cards only. */
static void put_filter(struct maker *m, const char *key, const struct filter *f)
{
	struct json_object *groups = member(f->group, "groups");
	struct json_object *rules = member(f->group, "rules"), *all = json_object_new_array();
	struct json_object *section = json_object_new_object(), *group = json_object_new_object();
	char *name = mem_printf("portgroup %s", key);

	json_put_str(group, "name", name);
	json_put(group, "ports", json_object_get(f->ports));
	json_object_array_add(m->groups, group);
	for (size_t i = 0; i < list_n(groups); i++) {
		json_object_array_add(m->groups, json_object_get(list_item(groups, i)));
	}
	for (size_t i = 0; i < list_n(rules); i++) {
		static const char *const applied[] = { "applied_to", NULL };
		struct json_object *rule = copy_but(list_item(rules, i), applied);
		struct json_object *to = json_object_new_array();
		json_object_array_add(to, json_new_str(name));
		json_put(rule, "applied_to", to);
		json_object_array_add(all, rule);
	}
	json_put_str(section, "name", name);
	json_put(section, "rules", all);
	json_object_array_add(m->sections, section);
	free(name);
}

static struct json_object *make_firewall(struct maker *m)
{
	struct json_object *given = member(m->w->policy, "firewall");
	struct json_object *o = json_object_new_object(), *list = member(given, "sections");

	map_each (&m->filters, entry) {
		put_filter(m, entry->key, entry->value);
	}
	for (size_t i = 0; i < list_n(list); i++) {
		json_object_array_add(m->sections, json_object_get(list_item(list, i)));
	}
	share(o, "default", given, "default");
	json_put(o, "sections", json_object_get(m->sections));
	return o;
}

/* ---- the whole ---- */

static void read_bindings(struct maker *m)
{
	struct json_object *list = member(m->w->policy, "bindings");

	for (size_t i = 0; i < list_n(list); i++) {
		struct json_object *b = list_item(list, i);
		map_set(&m->bindings, text(b, "port"), member(b, "addresses"));
	}
}

struct json_object *plane_document_make(const struct plane_world *w)
{
	struct maker m = { .w = w,
			   .ports = json_object_new_array(),
			   .teams = json_object_new_array(),
			   .segments = json_object_new_array(),
			   .groups = json_object_new_array(),
			   .sections = json_object_new_array() };
	struct json_object *o = json_object_new_object();

	read_bindings(&m);
	put_teams(&m);
	put_segments(&m);
	for (size_t i = 0; i < w->n_cards; i++) {
		put_card(&m, &w->cards[i]);
	}
	put_groups(&m);
	json_put(o, "firewall", make_firewall(&m));
	json_put(o, "ports", m.ports);
	json_put(o, "teams", m.teams);
	json_put(o, "segments", m.segments);
	json_put(o, "groups", m.groups);
	share(o, "routers", w->policy, "routers");
	json_object_put(m.sections);
	map_free_values(&m.names, free);
	map_free(&m.names);
	map_free(&m.taken);
	map_free(&m.bindings);
	map_free_values(&m.filters, filter_free);
	map_free(&m.filters);
	return o;
}

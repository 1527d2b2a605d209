/* SPDX-License-Identifier: Apache-2.0 */
#include "center/intent_write.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "center/intent_card.h"
#include "center/intent_group.h"
#include "center/intent_meaning.h"
#include "center/member.h"
#include "center/node_policy.h"

/* Distributed routers answer with one address everywhere, locally administered. */
#define ROUTER_MAC "02:52:65:6d:6f:72"

enum {
	USED_ADDRESSES = 1,
	USED_PORTS = 2,
	LABEL_MAX = 127,	     /* of plane-switch.json */
	GROUP_ADDRESSES_MAX = 100000 /* of plane-switch.json */
};

struct writing {
	struct intent *in;
	struct member *m;
	struct intent_host *host;
	struct node_document *d;
	struct map64 segments, routers; /* serial → object */
	struct map64 groups;		/* serial → struct used */
	struct map64 rules;		/* serial → rule that is in, with networks of its own */
};

struct used {
	struct intent_object *group;
	unsigned how;
	bool has_ports; /* looked for already */
	struct buf ports;
};

/* ---- kept texts ---- */

static struct intent_text *text_of(struct intent_object *o)
{
	if (o->text == NULL) {
		o->text = mem_zalloc(sizeof(*o->text));
	}
	return o->text;
}

static void text_done(struct intent_text *t)
{
	t->hash = map_hash(t->b.data, t->b.len);
	t->is_fresh = true;
}

static void add_kept(struct node_document *d, const struct intent_text *t)
{
	node_document_add_hashed(d, t->b.data, t->b.len, t->hash);
}

static void add_string(struct buf *b, const char *s)
{
	struct json_object *o = json_new_str(s);

	json_add_text(b, o);
	json_object_put(o);
}

static const char *display_name(const struct intent_object *o)
{
	struct json_at at = json_root(o->body);
	const char *name = o->id;

	json_get_str(&at, "display_name", &name, NULL);
	return name;
}

static const char *word(const struct intent_object *o, const char *key, const char *otherwise)
{
	struct json_at at = json_root(o->body);

	if (json_has(&at, key)) {
		json_get_str(&at, key, &otherwise, NULL);
	}
	return otherwise;
}

static bool flag(const struct intent_object *o, const char *key)
{
	struct json_at at = json_root(o->body);
	bool v = false;

	if (json_has(&at, key)) {
		json_get_bool(&at, key, &v, NULL);
	}
	return v;
}

static void note(struct writing *w, const struct intent_object *o)
{
	map64_set(&w->d->objects, o->serial, NULL);
}

/* ---- segments ---- */

static const struct intent_text *segment_text(struct intent_object *o)
{
	struct intent_text *t = text_of(o);
	const struct intent_meaning *m = o->meaning;

	if (t->is_fresh) {
		return t;
	}
	buf_clear(&t->b);
	buf_adds(&t->b, "{\"id\":");
	add_string(&t->b, o->id);
	buf_adds(&t->b, ",\"name\":");
	add_string(&t->b, display_name(o));
	buf_addf(&t->b, ",\"encapsulation\":\"%s\",\"vni\":%" PRIu32,
		 m->is_vxlan ? "vxlan" : "geneve", m->vni);
	if (m->router != NULL) {
		buf_adds(&t->b, ",\"router\":");
		add_string(&t->b, m->router->id);
		buf_adds(&t->b, ",\"gateways\":[");
		for (size_t i = 0; i < m->gateways.n; i++) {
			buf_addf(&t->b, "%s\"%s\"", i == 0 ? "" : ",", m->gateways.items[i]);
		}
		buf_addc(&t->b, ']');
		if (m->dhcp.len > 0) {
			buf_addf(&t->b, ",\"dhcp\":%s", m->dhcp.data);
		}
	}
	text_done(t);
	return t;
}

/* The guest stands at `endpoint` or, while it moves, at either of two; or it leaves the node that
 * reads this, to go there. */
static void write_remote(struct buf *b, const struct intent_card *card, const char *endpoint,
			 const char *moving_to, bool is_leaving)
{
	buf_addf(b, "%s{\"mac\":\"%s\",\"endpoint\":\"%s\"", b->len == 0 ? "" : ",", card->mac,
		 endpoint);
	if (moving_to != NULL) {
		buf_addf(b, ",\"moving_to\":\"%s\"", moving_to);
	}
	buf_adds(b, is_leaving ? ",\"leaving\":true,\"addresses\":[" : ",\"addresses\":[");
	for (size_t i = 0; i < card->all.n; i++) {
		buf_addf(b, "%s\"%s\"", i == 0 ? "" : ",", card->all.items[i].text);
	}
	buf_adds(b, "]}");
}

/* For all but the node that some of the guests move to, which is `reader`. */
static void write_part(struct buf *b, const struct intent_part *p, const char *endpoint,
		       const struct member *reader)
{
	for (size_t i = 0; i < p->cards.n; i++) {
		const struct intent_card *card = p->cards.items[i];
		const char *to = card->to == NULL || card->to == reader
					 ? NULL
					 : node_policy_endpoint(card->to);
		if (card->mac[0] != '\0') {
			write_remote(b, card, endpoint, to, false);
		}
	}
}

static void part_write(struct intent_part *p, const char *endpoint)
{
	buf_clear(&p->remotes);
	write_part(&p->remotes, p, endpoint, NULL);
	p->hash = map_hash(p->remotes.data, p->remotes.len);
	p->is_fresh = true;
}

/* What moves to the node, or from it to this part, is told to it alone. */
static bool is_own(const struct intent_part *p, const struct member *m)
{
	for (size_t i = 0; i < p->cards.n; i++) {
		if (p->cards.items[i]->to == m) {
			return true;
		}
	}
	for (size_t i = 0; i < p->coming.n; i++) {
		if (p->coming.items[i]->at == m) {
			return true;
		}
	}
	return false;
}

static bool add_own_part(struct writing *w, const struct intent_part *p, const char *endpoint,
			 const char *between)
{
	struct buf b = BUF_INIT;

	write_part(&b, p, endpoint, w->m);
	for (size_t i = 0; i < p->coming.n; i++) {
		const struct intent_card *card = p->coming.items[i];
		if (card->at == w->m && card->mac[0] != '\0') {
			write_remote(&b, card, endpoint, NULL, true);
		}
	}
	bool any = b.len > 0;
	if (any) {
		node_document_add(w->d, between);
		node_document_add_copy(w->d, &b);
	}
	buf_free(&b);
	return any;
}

/* A part as the node is told of it; false: nothing. */
static bool add_part(struct writing *w, struct intent_part *p, const char *between)
{
	const char *endpoint = node_policy_endpoint(p->member);

	if (endpoint == NULL || p->member == w->m) {
		return false;
	}
	if (is_own(p, w->m)) {
		return add_own_part(w, p, endpoint, between);
	}
	if (!p->is_fresh) {
		part_write(p, endpoint);
	}
	if (p->remotes.len == 0) {
		return false;
	}
	node_document_add(w->d, between);
	node_document_add_hashed(w->d, p->remotes.data, p->remotes.len, p->hash);
	return true;
}

/* Other nodes with guests on the segment: where broadcasts go, and who is where. */
static void add_others(struct writing *w, const struct intent_network *n)
{
	const char *between = "";

	node_document_add(w->d, ",\"flood\":[");
	for (size_t i = 0; n != NULL && i < n->parts.n; i++) {
		const struct intent_part *p = n->parts.items[i];
		const char *endpoint = node_policy_endpoint(p->member);
		if (p->member != w->m && p->cards.n + p->coming.n > 0 && endpoint != NULL) {
			node_document_addf(w->d, "%s\"%s\"", between, endpoint);
			between = ",";
		}
	}
	between = "";
	node_document_add(w->d, "],\"remotes\":[");
	for (size_t i = 0; n != NULL && i < n->parts.n; i++) {
		if (add_part(w, n->parts.items[i], between)) {
			between = ",";
		}
	}
	node_document_add(w->d, "]");
}

static void segment_use(struct writing *w, struct intent_object *segment)
{
	map64_set(&w->segments, segment->serial, segment);
	if (segment->meaning->router != NULL) {
		map64_set(&w->routers, segment->meaning->router->serial, segment->meaning->router);
	}
}

/* Those whose guests elsewhere the node must know: of its own cards, and all that routers join to
 * them. */
static void segments_find(struct writing *w)
{
	vec_each (&w->host->cards, it) {
		char path[128];
		if ((*it)->network == NULL) {
			continue;
		}
		snprintf(path, sizeof(path), "/infra/segments/%.80s", (*it)->network);
		struct intent_object *segment = intent_find(w->in, path);
		if (segment != NULL && segment->kind == INTENT_SEGMENT) {
			segment_use(w, segment);
		}
	}
	if (map64_n(&w->routers) == 0) {
		return;
	}
	list_each (struct intent_object, segment, &w->in->kinds[INTENT_SEGMENT], link) {
		const struct intent_object *router = segment->meaning->router;
		if (router != NULL && map64_has(&w->routers, router->serial)) {
			map64_set(&w->segments, segment->serial, segment);
		}
	}
}

static void add_routers(struct writing *w)
{
	const char *between = "";

	if (list_is_empty(&w->in->kinds[INTENT_TIER1])) {
		return;
	}
	node_document_add(w->d, ",\"routers\":[");
	list_each (struct intent_object, router, &w->in->kinds[INTENT_TIER1], link) {
		note(w, router);
		node_document_addf(w->d, "%s{\"name\":\"%s\",\"mac\":\"%s\"}", between, router->id,
				   ROUTER_MAC);
		between = ",";
	}
	node_document_add(w->d, "]");
}

/* All of them, as any may be given to a card of any node. */
static void add_segments(struct writing *w)
{
	const char *between = "";

	if (w->host != NULL) {
		segments_find(w);
	}
	if (list_is_empty(&w->in->kinds[INTENT_SEGMENT])) {
		return;
	}
	node_document_add(w->d, ",\"segments\":[");
	list_each (struct intent_object, segment, &w->in->kinds[INTENT_SEGMENT], link) {
		note(w, segment);
		node_document_add(w->d, between);
		add_kept(w->d, segment_text(segment));
		if (map64_has(&w->segments, segment->serial)) {
			add_others(w, intent_network_of(w->in, segment->id));
		}
		node_document_add(w->d, "}");
		between = ",";
	}
	node_document_add(w->d, "]");
}

static void add_bindings(struct writing *w)
{
	struct buf b = BUF_INIT;

	vec_each (&w->host->cards, it) {
		const struct intent_card *card = *it;
		if (card->port != NULL) {
			note(w, card->port);
		}
		if (card->bound.n == 0) {
			continue;
		}
		buf_addf(&b, "%s{\"port\":\"%s\",\"addresses\":[", b.len == 0 ? "" : ",",
			 card->name);
		for (size_t i = 0; i < card->bound.n; i++) {
			buf_addf(&b, "%s\"%s\"", i == 0 ? "" : ",", card->bound.items[i].text);
		}
		buf_adds(&b, "]}");
	}
	if (b.len > 0) {
		node_document_add(w->d, ",\"bindings\":[");
		node_document_add_copy(w->d, &b);
		node_document_add(w->d, "]");
	}
	buf_free(&b);
}

/* ---- functions ---- */

/* At most LABEL_MAX bytes, no character in half, no controls. */
static void write_label(struct buf *b, const char *text)
{
	char label[LABEL_MAX + 1];
	size_t n = 0;

	while (text[n] != '\0' && n < LABEL_MAX) {
		label[n] = (unsigned char)text[n] < ' ' || text[n] == 0x7f ? ' ' : text[n];
		n++;
	}
	while (n > 0 && text[n] != '\0' && (text[n] & 0xc0) == 0x80) {
		n--;
	}
	label[n] = '\0';
	add_string(b, label);
}

/* Those that the node, a card, lends to VMs of its server, on segments that there are. */
static void add_functions(struct writing *w)
{
	struct buf b = BUF_INIT;

	vec_each (&w->host->cards, it) {
		const struct intent_card *card = *it;
		char path[128];
		snprintf(path, sizeof(path), "/infra/segments/%.80s",
			 card->network == NULL ? "" : card->network);
		const struct intent_object *segment = intent_find(w->in, path);
		int function = card->at == w->m ? card->function : card->to_function;
		if (function < 0 || card->mac[0] == '\0' || segment == NULL ||
		    segment->kind != INTENT_SEGMENT || strcmp(segment->id, card->network) != 0) {
			continue;
		}
		buf_addf(&b, "%s{\"name\":\"net-%d\",\"card\":\"%s\",\"mac\":\"%s\",\"segment\":",
			 b.len == 0 ? "" : ",", function, card->name, card->mac);
		add_string(&b, segment->id);
		buf_adds(&b, ",\"label\":");
		write_label(&b, card->vm->name);
		buf_adds(&b, card->is_cut ? ",\"connected\":false}" : "}");
	}
	if (b.len > 0) {
		node_document_add(w->d, ",\"functions\":[");
		node_document_add_copy(w->d, &b);
		node_document_add(w->d, "]");
	}
	buf_free(&b);
}

/* ---- rules ---- */

/* Where the rule holds; a policy's scope goes before its rules'. */
static const struct intent_meaning *scope_of(const struct intent_object *rule)
{
	return rule->parent->meaning->scope.n > 0 ? rule->parent->meaning : rule->meaning;
}

static void write_side(struct buf *b, const struct intent_object *rule, const char *key,
		       const struct intent_side *side)
{
	if (side->groups.n == 0 && side->prefixes.n == 0) {
		return;
	}
	buf_addf(b, ",\"%s\":[", key);
	for (size_t i = 0; i < side->groups.n; i++) {
		buf_adds(b, i == 0 ? "" : ",");
		add_string(b, side->groups.items[i]->id);
	}
	if (side->prefixes.n > 0) { /* no id of a group has a colon */
		buf_addf(b, "%s\"%" PRIu64 ":%s\"", side->groups.n == 0 ? "" : ",",
			 rule->meaning->number, key);
	}
	buf_addc(b, ']');
}

static void write_services(struct buf *b, const struct intent_meaning *m)
{
	size_t n = 0;

	if (m->services.n == 0) {
		return;
	}
	buf_adds(b, ",\"services\":[");
	vec_each (&m->services, it) {
		buf_adds(b, n++ == 0 ? "" : ",");
		buf_add(b, (*it)->meaning->entries.data, (*it)->meaning->entries.len);
	}
	buf_addc(b, ']');
}

static void write_words(struct buf *b, const struct intent_object *rule)
{
	const char *action = word(rule, "action", "ALLOW");
	const char *direction = word(rule, "direction", "IN_OUT");
	const char *ip = word(rule, "ip_protocol", "IPV4_IPV6");

	buf_addf(b, ",\"action\":\"%s\"",
		 strcmp(action, "ALLOW") == 0  ? "allow"
		 : strcmp(action, "DROP") == 0 ? "drop"
					       : "reject");
	if (strcmp(direction, "IN_OUT") != 0) {
		buf_addf(b, ",\"direction\":\"%s\"", strcmp(direction, "IN") == 0 ? "in" : "out");
	}
	if (strcmp(ip, "IPV4_IPV6") != 0) {
		buf_addf(b, ",\"ip\":%d", strcmp(ip, "IPV4") == 0 ? 4 : 6);
	}
	if (flag(rule, "logged")) {
		buf_adds(b, ",\"log\":true");
	}
}

static const struct intent_text *rule_text(struct intent_object *rule)
{
	struct intent_text *t = text_of(rule);
	const struct intent_meaning *m = rule->meaning, *where = scope_of(rule);

	if (t->is_fresh) {
		return t;
	}
	buf_clear(&t->b);
	buf_addf(&t->b, "{\"id\":%" PRIu64 ",\"name\":", m->number);
	add_string(&t->b, display_name(rule));
	write_side(&t->b, rule, "sources", &m->sources);
	write_side(&t->b, rule, "destinations", &m->destinations);
	write_services(&t->b, m);
	for (size_t i = 0; i < where->scope.n; i++) {
		buf_adds(&t->b, i == 0 ? ",\"applied_to\":[" : ",");
		add_string(&t->b, where->scope.items[i]->id);
	}
	buf_adds(&t->b, where->scope.n > 0 ? "]" : "");
	write_words(&t->b, rule);
	buf_addc(&t->b, '}');
	text_done(t);
	return t;
}

static struct used *use(struct writing *w, struct intent_object *group, unsigned how)
{
	struct used *u = map64_get(&w->groups, group->serial);

	if (u == NULL) {
		u = mem_zalloc(sizeof(*u));
		u->group = group;
		map64_set(&w->groups, group->serial, u);
	}
	u->how |= how;
	return u;
}

static bool has_ports(struct writing *w, struct intent_object *group)
{
	struct used *u = use(w, group, 0);

	if (!u->has_ports) {
		u->has_ports = true;
		vec_each (&w->host->cards, it) {
			if (intent_group_has(group, *it)) {
				buf_addf(&u->ports, "%s\"%s\"", u->ports.len == 0 ? "" : ",",
					 (*it)->name);
			}
		}
	}
	return u->ports.len > 0;
}

/* Does it hold for a card of this node? */
static bool rule_concerns(struct writing *w, const struct intent_object *rule)
{
	const struct intent_meaning *where = scope_of(rule);
	bool found = where->scope.n == 0;

	for (size_t i = 0; i < where->scope.n && !found; i++) {
		found = has_ports(w, where->scope.items[i]);
	}
	return found && !flag(rule, "disabled");
}

static void rule_use(struct writing *w, struct intent_object *rule)
{
	const struct intent_meaning *m = rule->meaning, *where = scope_of(rule);

	note(w, rule);
	for (size_t i = 0; i < where->scope.n; i++) {
		has_ports(w, where->scope.items[i]);
		use(w, where->scope.items[i], USED_PORTS);
	}
	for (size_t i = 0; i < m->sources.groups.n; i++) {
		use(w, m->sources.groups.items[i], USED_ADDRESSES);
	}
	for (size_t i = 0; i < m->destinations.groups.n; i++) {
		use(w, m->destinations.groups.items[i], USED_ADDRESSES);
	}
	for (size_t i = 0; i < m->services.n; i++) {
		note(w, m->services.items[i]);
	}
	if (m->sources.prefixes.n + m->destinations.prefixes.n > 0) {
		map64_set(&w->rules, rule->serial, rule);
	}
}

static void add_section(struct writing *w, const struct intent_section *s, bool *is_first)
{
	bool is_open = false;

	for (size_t i = 0; i < s->n_rules; i++) {
		if (!rule_concerns(w, s->rules[i])) {
			continue;
		}
		rule_use(w, s->rules[i]);
		if (!is_open) {
			note(w, s->policy);
			node_document_addf(w->d, "%s{\"name\":\"%s\",\"rules\":[",
					   *is_first ? "" : ",", s->policy->id);
			*is_first = false;
		}
		node_document_add(w->d, is_open ? "," : "");
		is_open = true;
		add_kept(w->d, rule_text(s->rules[i]));
	}
	node_document_add(w->d, is_open ? "]}" : "");
}

static void add_firewall(struct writing *w)
{
	const struct intent_order *order = intent_ordered(w->in);
	bool is_first = true;

	node_document_add(w->d, ",\"firewall\":{\"sections\":[");
	for (size_t i = 0; i < order->n; i++) {
		add_section(w, &order->sections[i], &is_first);
	}
	node_document_add(w->d, "]}");
}

/* ---- groups ---- */

static void add_group(struct writing *w, struct used *u)
{
	note(w, u->group);
	vec_each (&u->group->meaning->refs, it) {
		note(w, *it);
	}
	node_document_addf(w->d, "{\"name\":\"%s\"", u->group->id);
	if (u->how & USED_ADDRESSES) {
		size_t n = 0;
		const struct intent_text *t = intent_group_addresses(w->in, u->group, &n);
		node_document_add(w->d, ",\"addresses\":[");
		add_kept(w->d, t);
		node_document_add(w->d, "]");
		if (n > GROUP_ADDRESSES_MAX) {
			w->d->is_failed = true;
			error_set(&w->d->error, ERROR_LIMIT,
				  "group \"%.150s\" has %zu addresses; there may be %d",
				  u->group->path, n, GROUP_ADDRESSES_MAX);
		}
	}
	if (u->how & USED_PORTS) {
		node_document_add(w->d, ",\"ports\":[");
		node_document_add_copy(w->d, &u->ports);
		node_document_add(w->d, "]");
	}
	node_document_add(w->d, "}");
}

static void add_own_group(struct writing *w, const struct intent_object *rule, const char *key,
			  const struct intent_side *side)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < side->prefixes.n; i++) {
		buf_addf(&b, "%s\"%s\"", i == 0 ? "" : ",", side->prefixes.items[i]);
	}
	node_document_addf(w->d, "{\"name\":\"%" PRIu64 ":%s\",\"addresses\":[",
			   rule->meaning->number, key);
	node_document_add_copy(w->d, &b);
	node_document_add(w->d, "]}");
	buf_free(&b);
}

static void add_groups(struct writing *w)
{
	const char *between = "";

	node_document_add(w->d, ",\"groups\":[");
	map64_each(&w->groups, it)
	{
		struct used *u = it->value;
		if (u->how != 0) {
			node_document_add(w->d, between);
			add_group(w, u);
			between = ",";
		}
	}
	map64_each(&w->rules, it)
	{
		const struct intent_object *rule = it->value;
		if (rule->meaning->sources.prefixes.n > 0) {
			node_document_add(w->d, between);
			add_own_group(w, rule, "sources", &rule->meaning->sources);
			between = ",";
		}
		if (rule->meaning->destinations.prefixes.n > 0) {
			node_document_add(w->d, between);
			add_own_group(w, rule, "destinations", &rule->meaning->destinations);
			between = ",";
		}
	}
	node_document_add(w->d, "]");
}

static void used_free(void *p)
{
	struct used *u = p;

	buf_free(&u->ports);
	free(u);
}

void intent_write(struct intent *in, struct member *m, struct node_document *d)
{
	struct writing w = { .in = in, .m = m, .d = d, .host = intent_host_of(in, m) };

	add_segments(&w);
	add_routers(&w);
	if (w.host != NULL) {
		add_functions(&w);
		add_bindings(&w);
	}
	if (w.host != NULL && w.host->cards.n > 0 && !list_is_empty(&in->kinds[INTENT_RULE])) {
		add_firewall(&w);
		add_groups(&w);
	}
	map64_free(&w.segments);
	map64_free(&w.routers);
	map64_free(&w.rules);
	map64_free_values(&w.groups, used_free);
}

/* ---- changes ---- */

static void text_stale(struct intent_object *o)
{
	if (o->text != NULL) {
		o->text->is_fresh = false;
	}
}

static bool uses(const struct intent_object *rule, const struct intent_object *service)
{
	for (size_t i = 0; i < rule->meaning->services.n; i++) {
		if (rule->meaning->services.items[i] == service) {
			return true;
		}
	}
	return false;
}

void intent_write_object(struct intent *in, struct intent_object *o)
{
	text_stale(o);
	if (o->kind == INTENT_SECURITY_POLICY) {
		list_each (struct intent_object, rule, &o->children, sibling) {
			text_stale(rule);
		}
	} else if (o->kind == INTENT_SERVICE && o->n_referents > 0) {
		list_each (struct intent_object, rule, &in->kinds[INTENT_RULE], link) {
			if (uses(rule, o)) {
				text_stale(rule);
			}
		}
	}
}

void intent_write_gone(struct intent *in, struct intent_object *o)
{
	(void)in;
	if (o->text != NULL) {
		buf_free(&o->text->b);
		free(o->text);
		o->text = NULL;
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes against whole documents: random changes are made to a configuration, and by the plainest
 * of means to a document; what the document reads as must be what the changes came to, in text and
 * in what the rules say of packets. What one of the two ways refuses the other refuses as well.
 * Argument: the schema of the switch's document.
 */
#include "switch/config.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "plane/document_schema.h"

enum {
	NAMES = 6, /* of objects of a kind */
	RULES = 24,
	SEEDS = 150,
	CHANGES = 40,
};

static struct document_schema *schema;
static uint64_t seed;

static uint32_t draw(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static struct json_object *parse(const char *text, size_t n)
{
	struct error e;
	struct json_object *o = json_parse(text, n, 1 << 20, 32, &e);

	if (o == NULL) {
		fail_msg("%s: %.200s", e.msg, text);
	}
	return o;
}

/* ---- random objects, as text ---- */

static void add_strings(struct buf *b, const char *key, char kind, uint32_t n)
{
	buf_addf(b, ",\"%s\":[", key);
	for (uint32_t i = 0; i < n; i++) {
		buf_addf(b, "%s\"%c%u\"", i == 0 ? "" : ",", kind, draw(NAMES));
	}
	buf_addc(b, ']');
}

static void add_prefixes(struct buf *b, const char *key, uint32_t n)
{
	buf_addf(b, ",\"%s\":[", key);
	for (uint32_t i = 0; i < n; i++) {
		buf_addf(b, draw(2) == 0 ? "%s\"10.0.%u.0/24\"" : "%s\"10.0.%u.7\"",
			 i == 0 ? "" : ",", draw(4));
	}
	buf_addc(b, ']');
}

static void add_rule(struct buf *b, uint32_t id)
{
	static const char *const actions[] = { "allow", "drop", "reject" };

	buf_addf(b, "{\"id\":%u,\"action\":\"%s\",\"name\":\"n/%u\"", id, actions[draw(3)],
		 draw(3));
	if (draw(2) == 0) {
		add_strings(b, "sources", 'g', 1 + draw(2));
	}
	if (draw(2) == 0) {
		add_strings(b, "destinations", 'g', 1 + draw(2));
	}
	if (draw(4) == 0) {
		add_strings(b, "applied_to", 'g', 1);
	}
	if (draw(2) == 0) {
		buf_addf(b, ",\"services\":[{\"protocol\":\"tcp\",\"ports\":[\"%u-%u\"]}]", draw(4),
			 4 + draw(100));
	}
	buf_adds(b, draw(6) == 0 ? ",\"disabled\":true}" : "}");
}

static void add_section(struct buf *b)
{
	uint32_t n = draw(4), from = draw(RULES);

	buf_addf(b, "{\"name\":\"s%u\",\"rules\":[", draw(NAMES));
	for (uint32_t i = 0; i < n; i++) {
		buf_adds(b, i == 0 ? "" : ",");
		add_rule(b, 1 + (from + i) % RULES);
	}
	buf_adds(b, "]}");
}

static void add_group(struct buf *b)
{
	buf_addf(b, "{\"name\":\"g%u\"", draw(NAMES));
	add_prefixes(b, "addresses", draw(4));
	add_strings(b, "ports", 'p', draw(2));
	buf_addc(b, '}');
}

static void add_port(struct buf *b)
{
	uint32_t name = draw(NAMES);

	buf_addf(b,
		 "{\"name\":\"p%u\",\"kind\":\"vhost\",\"path\":\"/p%u\",\"segment\":\"n%u\","
		 "\"mac\":\"02:00:00:00:00:%02x\",\"mtu\":%u}",
		 name, name, draw(NAMES), name, 1400 + draw(3));
}

static void add_remote(struct buf *b)
{
	buf_addf(b,
		 "{\"mac\":\"02:00:00:00:01:%02x\",\"endpoint\":\"172.16.0.%u\","
		 "\"addresses\":[\"10.9.0.%u\"]}",
		 draw(8), 2 + draw(5), draw(8));
}

static void add_segment(struct buf *b)
{
	uint32_t name = draw(NAMES), n = draw(3);

	buf_addf(b,
		 "{\"name\":\"n%u\",\"team\":\"t\",\"encapsulation\":\"geneve\",\"vni\":%u,"
		 "\"remotes\":[",
		 name, 100 + name);
	for (uint32_t i = 0; i < n; i++) {
		buf_addf(b, "%s{\"mac\":\"02:00:00:00:01:%02x\",\"endpoint\":\"172.16.0.%u\"}",
			 i == 0 ? "" : ",", 2 * i + draw(2), 2 + draw(5));
	}
	buf_adds(b, "]}");
}

static void add_reference(struct buf *b, bool is_rule)
{
	if (draw(3) > 0) {
		return;
	}
	buf_addf(b, ",\"%s\":", draw(2) == 0 ? "before" : "after");
	if (is_rule) {
		buf_addf(b, "%u", 1 + draw(RULES));
	} else {
		buf_addf(b, "\"s%u\"", draw(NAMES));
	}
}

/* One change. */
static void add_change(struct buf *b)
{
	switch (draw(16)) {
	case 0:
		buf_addf(b, "{\"remove_rule\":%u}", 1 + draw(RULES));
		break;
	case 1:
		buf_addf(b, "{\"remove_section\":\"s%u\"}", draw(NAMES));
		break;
	case 2:
		buf_addf(b, "{\"remove_group\":\"g%u\"}", draw(NAMES));
		break;
	case 3:
		buf_addf(b, "{\"remove_port\":\"p%u\"}", draw(NAMES));
		break;
	case 4:
		buf_addf(b, "{\"remove_segment\":\"n%u\"}", draw(NAMES));
		break;
	case 5:
		buf_addf(b, "{\"default\":\"%s\"}", draw(2) == 0 ? "allow" : "drop");
		break;
	case 6:
		buf_adds(b, "{\"put_section\":");
		add_section(b);
		add_reference(b, false);
		buf_addc(b, '}');
		break;
	case 7:
	case 8:
		buf_adds(b, "{\"put_group\":");
		add_group(b);
		buf_addc(b, '}');
		break;
	case 9:
		buf_adds(b, "{\"put_port\":");
		add_port(b);
		buf_addc(b, '}');
		break;
	case 10:
		buf_adds(b, "{\"put_segment\":");
		add_segment(b);
		buf_addc(b, '}');
		break;
	case 11:
		buf_addf(b, "{\"segment\":\"n%u\",\"put_remotes\":[", draw(NAMES));
		add_remote(b);
		buf_adds(b, "]}");
		break;
	case 12:
		buf_addf(b, "{\"group\":\"g%u\"", draw(NAMES));
		add_prefixes(b, draw(2) == 0 ? "add_addresses" : "remove_addresses", 1 + draw(2));
		buf_addc(b, '}');
		break;
	default:
		buf_adds(b, "{\"put_rule\":");
		add_rule(b, 1 + draw(RULES));
		if (draw(4) > 0) {
			buf_addf(b, ",\"section\":\"s%u\"", draw(NAMES));
		}
		add_reference(b, true);
		buf_addc(b, '}');
		break;
	}
}

/* ---- the same changes to a document ---- */

static struct json_object *member(struct json_object *o, const char *key)
{
	return json_object_object_get(o, key);
}

static const char *str(struct json_object *o, const char *key)
{
	struct json_object *v = member(o, key);

	return v == NULL ? NULL : json_object_get_string(v);
}

static size_t length(struct json_object *list)
{
	return json_object_array_length(list);
}

static struct json_object *item(struct json_object *list, size_t i)
{
	return json_object_array_get_idx(list, i);
}

static size_t find(struct json_object *list, const char *key, const char *value)
{
	for (size_t i = 0; i < length(list); i++) {
		if (strcmp(str(item(list, i), key), value) == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

static void insert(struct json_object *list, size_t at, struct json_object *o)
{
	json_object_array_add(list, NULL);
	for (size_t i = length(list) - 1; i > at; i--) {
		json_object_array_put_idx(list, i, json_object_get(item(list, i - 1)));
	}
	json_object_array_put_idx(list, at, o);
}

static bool take_out(struct json_object *list, const char *key, const char *value)
{
	size_t i = find(list, key, value);

	if (i == SIZE_MAX) {
		return false;
	}
	json_object_array_del_idx(list, i, 1);
	return true;
}

static struct json_object *copy(struct json_object *o)
{
	struct json_object *c = NULL;

	assert_int_equal(json_object_deep_copy(o, &c, NULL), 0);
	return c;
}

static void put(struct json_object *list, const char *key, struct json_object *o)
{
	size_t i = find(list, key, str(o, key));

	if (i == SIZE_MAX) {
		json_object_array_add(list, copy(o));
	} else {
		json_object_array_put_idx(list, i, copy(o));
	}
}

static struct json_object *sections_of(struct json_object *document)
{
	return member(member(document, "firewall"), "sections");
}

/* The section that a rule is in, and its place. */
static struct json_object *find_rule(struct json_object *document, const char *id, size_t *at)
{
	struct json_object *sections = sections_of(document);

	for (size_t i = 0; i < length(sections); i++) {
		*at = find(member(item(sections, i), "rules"), "id", id);
		if (*at != SIZE_MAX) {
			return item(sections, i);
		}
	}
	return NULL;
}

static bool model_put_rule(struct json_object *document, struct json_object *change)
{
	struct json_object *rule = member(change, "put_rule"), *sections = sections_of(document);
	const char *before = str(change, "before"), *after = str(change, "after");
	const char *reference = before != NULL ? before : after, *name = str(change, "section");
	size_t at, there;
	struct json_object *is_in = find_rule(document, str(rule, "id"), &at), *to = is_in;

	if (name != NULL) {
		size_t i = find(sections, "name", name);
		if (i == SIZE_MAX) {
			return false;
		}
		to = item(sections, i);
	}
	if (reference == NULL) {
		if (to == NULL) {
			return false;
		}
		if (to == is_in) {
			json_object_array_put_idx(member(is_in, "rules"), at, copy(rule));
			return true;
		}
		if (is_in != NULL) {
			json_object_array_del_idx(member(is_in, "rules"), at, 1);
		}
		json_object_array_add(member(to, "rules"), copy(rule));
		return true;
	}
	if (strcmp(reference, str(rule, "id")) == 0) {
		return false;
	}
	struct json_object *other = find_rule(document, reference, &there);
	if (other == NULL || (name != NULL && other != to)) {
		return false;
	}
	if (is_in != NULL) {
		json_object_array_del_idx(member(is_in, "rules"), at, 1);
	}
	other = find_rule(document, reference, &there);
	insert(member(other, "rules"), there + (after != NULL), copy(rule));
	return true;
}

static bool model_put_section(struct json_object *document, struct json_object *change)
{
	struct json_object *section = member(change, "put_section");
	struct json_object *sections = sections_of(document);
	const char *before = str(change, "before"), *after = str(change, "after");
	const char *reference = before != NULL ? before : after;

	if (reference == NULL) {
		put(sections, "name", section);
		return true;
	}
	if (strcmp(reference, str(section, "name")) == 0 ||
	    find(sections, "name", reference) == SIZE_MAX) {
		return false;
	}
	(void)take_out(sections, "name", str(section, "name"));
	insert(sections, find(sections, "name", reference) + (after != NULL), copy(section));
	return true;
}

/* Addresses are drawn so that equal ones are written equally. */
static size_t find_string(struct json_object *list, const char *value)
{
	for (size_t i = 0; i < length(list); i++) {
		if (strcmp(json_object_get_string(item(list, i)), value) == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

static bool model_addresses(struct json_object *document, struct json_object *change)
{
	struct json_object *groups = member(document, "groups");
	size_t g = find(groups, "name", str(change, "group"));
	struct json_object *add = member(change, "add_addresses");
	struct json_object *remove = member(change, "remove_addresses");

	if (g == SIZE_MAX) {
		return false;
	}
	struct json_object *list = member(item(groups, g), "addresses");
	for (size_t i = 0; remove != NULL && i < length(remove); i++) {
		const char *text = json_object_get_string(item(remove, i));
		if (find_string(list, text) == SIZE_MAX) {
			return false;
		}
		for (size_t k; (k = find_string(list, text)) != SIZE_MAX;) {
			json_object_array_del_idx(list, k, 1);
		}
	}
	for (size_t i = 0; add != NULL && i < length(add); i++) {
		if (find_string(list, json_object_get_string(item(add, i))) == SIZE_MAX) {
			json_object_array_add(list, json_object_get(item(add, i)));
		}
	}
	return true;
}

static bool model_remotes(struct json_object *document, struct json_object *change)
{
	struct json_object *segments = member(document, "segments");
	size_t i = find(segments, "name", str(change, "segment"));

	if (i == SIZE_MAX) {
		return false;
	}
	put(member(item(segments, i), "remotes"), "mac", item(member(change, "put_remotes"), 0));
	return true;
}

static bool model_change(struct json_object *document, struct json_object *change)
{
	static const struct {
		const char *put, *remove, *list;
	} lists[] = { { "put_port", "remove_port", "ports" },
		      { "put_segment", "remove_segment", "segments" },
		      { "put_group", "remove_group", "groups" } };
	size_t at;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct json_object *list = member(document, lists[i].list);
		if (member(change, lists[i].put) != NULL) {
			put(list, "name", member(change, lists[i].put));
			return true;
		}
		if (member(change, lists[i].remove) != NULL) {
			return take_out(list, "name", str(change, lists[i].remove));
		}
	}
	if (member(change, "remove_rule") != NULL) {
		struct json_object *s = find_rule(document, str(change, "remove_rule"), &at);
		if (s != NULL) {
			json_object_array_del_idx(member(s, "rules"), at, 1);
		}
		return s != NULL;
	}
	if (member(change, "remove_section") != NULL) {
		return take_out(sections_of(document), "name", str(change, "remove_section"));
	}
	if (member(change, "default") != NULL) {
		json_put_str(member(document, "firewall"), "default", str(change, "default"));
		return true;
	}
	if (member(change, "group") != NULL) {
		return model_addresses(document, change);
	}
	if (member(change, "segment") != NULL) {
		return model_remotes(document, change);
	}
	return member(change, "put_section") != NULL ? model_put_section(document, change)
						     : model_put_rule(document, change);
}

/* ---- comparing ---- */

static int compare_names(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;

	return strcmp(str(*x, "name"), str(*y, "name"));
}

static int compare_strings(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;

	return strcmp(json_object_get_string(*x), json_object_get_string(*y));
}

/* The document of a configuration, groups and their addresses in order of names. */
static struct json_object *written(const struct switch_config *c)
{
	struct buf text = BUF_INIT;

	switch_config_write(c, &text);
	struct json_object *o = parse(text.data, text.len);
	buf_free(&text);
	struct json_object *groups = member(o, "groups");
	json_object_array_sort(groups, compare_names);
	for (size_t i = 0; i < length(groups); i++) {
		struct json_object *list = member(item(groups, i), "addresses");
		if (list != NULL) {
			json_object_array_sort(list, compare_strings);
		}
	}
	return o;
}

static struct switch_config *read_document(struct json_object *document, struct error *e)
{
	struct json_at root = json_root(document);

	return document_schema_check(schema, &root, e) ? switch_config_read(&root, e) : NULL;
}

static struct classifier *compile(const struct switch_config *c, const struct classifier *before)
{
	struct classifier_input in = { c->rules,    c->n_rules,	 c->groups,
				       c->n_groups, c->fallback, before };
	struct error e;
	struct classifier *made = classifier_new(&in, &e);

	assert_non_null(made);
	return made;
}

static void compare_fates(const struct switch_config *x, const struct classifier *a,
			  const struct switch_config *y, const struct classifier *b)
{
	for (int i = 0; i < 60; i++) {
		struct flow_key k = { .ip = 4,
				      .proto = draw(2) == 0 ? 6 : 17,
				      .src = htobe32(0x0a000007 | draw(4) << 8 | draw(2) << 3),
				      .dst = htobe32(0x0a000007 | draw(4) << 8 | draw(2) << 3),
				      .sport = 1,
				      .dport = htobe16((uint16_t)draw(110)) };
		enum rule_direction d = draw(2) == 0 ? RULE_IN : RULE_OUT;
		size_t port = draw(NAMES), other = port;
		/* Ports may stand in another order: the same one is meant. */
		for (size_t n = 0; port < x->n_ports && n < y->n_ports; n++) {
			if (strcmp(x->ports[port].name, y->ports[n].name) == 0) {
				other = n;
			}
		}
		struct classifier_match m = classifier_find(a, &k, (uint16_t)port, d);
		struct classifier_match n = classifier_find(b, &k, (uint16_t)other, d);
		assert_int_equal(m.position, n.position);
		assert_int_equal(m.id, n.id);
		assert_int_equal(m.action, n.action);
	}
}

static void compare(const struct switch_config *x, const struct switch_config *y)
{
	struct json_object *a = written(x), *b = written(y);

	if (!json_object_equal(a, b)) {
		fail_msg("seed %llu:\n%s\nis not\n%s", (unsigned long long)seed,
			 json_object_to_json_string(a), json_object_to_json_string(b));
	}
	json_object_put(a);
	json_object_put(b);
	assert_int_equal(x->n_endpoints, y->n_endpoints);
	for (size_t i = 0; i < x->n_rules; i++) {
		assert_string_equal(x->rule_names[i], y->rule_names[i]);
	}
}

/* ---- tests ---- */

/* A document with all that changes may speak of, but rules. */
static struct json_object *begin(void)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, "{\"mode\":\"standard\",\"teams\":[{\"name\":\"t\",\"ports\":[\"u\"],"
		     "\"mac\":\"02:00:00:00:02:01\",\"address\":\"172.16.0.1/24\"}],"
		     "\"ports\":[{\"name\":\"u\",\"kind\":\"memif\",\"path\":\"/u\"}");
	for (int i = 0; i < NAMES; i++) {
		buf_addf(&b, ",{\"name\":\"p%d\",\"kind\":\"vhost\",\"path\":\"/p%d\"}", i, i);
	}
	buf_adds(&b, "],\"segments\":[");
	for (int i = 0; i < NAMES; i++) {
		buf_addf(&b, "%s{\"name\":\"n%d\",\"remotes\":[]}", i == 0 ? "" : ",", i);
	}
	buf_adds(&b, "],\"groups\":[");
	for (int i = 0; i < NAMES; i++) {
		buf_addf(&b, "%s{\"name\":\"g%d\",\"addresses\":[\"10.0.%d.0/24\"]}",
			 i == 0 ? "" : ",", i, i % 4);
	}
	buf_adds(&b, "],\"firewall\":{\"default\":\"drop\",\"sections\":[");
	for (int i = 0; i < NAMES; i++) {
		buf_addf(&b, "%s{\"name\":\"s%d\",\"rules\":[]}", i == 0 ? "" : ",", i);
	}
	buf_adds(&b, "]}}");
	struct json_object *o = parse(b.data, b.len);
	buf_free(&b);
	return o;
}

struct world {
	struct json_object *model; /* the document */
	struct switch_config *config;
	struct classifier *classifier;
	struct json_object *journal; /* all changes that were taken */
	unsigned n_taken, n_refused;
};

/* Makes one to three changes at once, in both ways. */
static void step(struct world *w)
{
	struct buf text = BUF_INIT;
	struct json_object *model = copy(w->model);
	struct switch_config *whole = NULL;
	struct error e = { 0 }, why = { 0 };
	bool ok = true;

	buf_addc(&text, '[');
	for (uint32_t i = 0, n = draw(4) == 0 ? 1 + draw(3) : 1; i < n; i++) {
		buf_adds(&text, i == 0 ? "" : ",");
		add_change(&text);
	}
	buf_addc(&text, ']');
	struct json_object *changes = parse(text.data, text.len);
	bool holds_between = true; /* what the changes before the last have made is whole, too */
	for (size_t i = 0; ok && i < length(changes); i++) {
		ok = model_change(model, item(changes, i));
		switch_config_free(whole);
		whole = ok ? read_document(model, &e) : NULL;
		holds_between = holds_between && (whole != NULL || i + 1 == length(changes));
	}
	struct json_at root = json_root(changes);
	if (!document_schema_check_part(schema, "changes", &root, &why)) {
		fail_msg("%s: %s", why.msg, text.data);
	}
	struct switch_config *next = switch_config_change(w->config, &root, &why);
	if (next == NULL && !holds_between) {
		switch_config_free(whole); /* such a way may be refused though its end is whole */
		whole = NULL;
	}
	if ((whole == NULL) != (next == NULL)) {
		fail_msg("%s\nby change: %s; whole: %s", text.data,
			 next == NULL ? why.msg : "taken", whole != NULL ? "taken" : e.msg);
	}
	if (whole == NULL) {
		json_object_put(model);
		w->n_refused++;
	} else {
		struct classifier *a = compile(next, w->classifier), *b = compile(whole, NULL);
		compare(next, whole);
		compare_fates(next, a, whole, b);
		classifier_free(w->classifier);
		classifier_free(b);
		switch_config_free(whole);
		switch_config_free(w->config);
		json_object_put(w->model);
		w->model = model;
		w->config = next;
		w->classifier = a;
		for (size_t i = 0; i < length(changes); i++) {
			json_object_array_add(w->journal, json_object_get(item(changes, i)));
		}
		w->n_taken++;
	}
	json_object_put(changes);
	buf_free(&text);
}

static void changes_are_as_the_whole_document(void **state)
{
	unsigned n_taken = 0;

	(void)state;
	for (uint64_t s = 1; s <= SEEDS; s++) {
		struct world w = { .model = begin(), .journal = json_object_new_array() };
		struct error e = { 0 };
		seed = s;
		w.config = read_document(w.model, &e);
		if (w.config == NULL) {
			fail_msg("%s", e.msg);
			return;
		}
		w.classifier = compile(w.config, NULL);
		struct switch_config *first = read_document(w.model, &e);
		/* Now and then so many that what configurations share is put together anew. */
		for (int i = 0, n = s % 30 == 0 ? 12 * CHANGES : CHANGES; i < n; i++) {
			step(&w);
		}
		/* All of them at once, as after a restart. */
		if (length(w.journal) > 0) {
			struct json_at root = json_root(w.journal);
			struct switch_config *again = switch_config_change(first, &root, &e);
			if (again == NULL) {
				fail_msg("seed %llu: %s", (unsigned long long)s, e.msg);
			}
			compare(again, w.config);
			switch_config_free(again);
		}
		switch_config_free(first);
		n_taken += w.n_taken;
		classifier_free(w.classifier);
		switch_config_free(w.config);
		json_object_put(w.model);
		json_object_put(w.journal);
	}
	assert_true(n_taken > SEEDS * CHANGES / 3);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *changes, *message;
	} bad[] = {
		{ "[{}]", "\"[0]\": says nothing to do" },
		{ "[{\"before\":1}]", "says nothing to do" },
		{ "[{\"remove_rule\":1,\"remove_group\":\"g0\"}]",
		  "has both \"remove_rule\" and \"remove_group\"" },
		{ "[{\"remove_rule\":1}]", "\"[0].remove_rule\": there is no rule 1" },
		{ "[{\"remove_group\":\"g0\",\"before\":1}]",
		  "has \"before\", which does not go with \"remove_group\"" },
		{ "[{\"remove_group\":\"x\"}]", "\"[0].remove_group\": there is no group \"x\"" },
		{ "[{\"remove_team\":\"x\"}]", "there is no team \"x\"" },
		{ "[{\"remove_section\":\"x\"}]", "there is no section \"x\"" },
		{ "[{\"put_rule\":{\"id\":1,\"action\":\"drop\"}}]", "says no \"section\"" },
		{ "[{\"put_rule\":{\"id\":1,\"action\":\"drop\"},\"section\":\"s0\",\"before\":2}]",
		  "\"[0].before\": there is no rule 2" },
		{ "[{\"put_rule\":{\"id\":1,\"action\":\"drop\"},\"section\":\"s0\",\"before\":2,"
		  "\"after\":3}]",
		  "has both \"before\" and \"after\"" },
		{ "[{\"put_rule\":{\"id\":1,\"action\":\"drop\",\"sources\":[\"x\"]},"
		  "\"section\":\"s0\"}]",
		  "rule 1 of section \"s0\": \"sources[0]\": there is no group \"x\"" },
		{ "[{\"put_rule\":{\"id\":1,\"action\":\"drop\",\"sources\":[\"g0\"]},"
		  "\"section\":\"s0\"},{\"remove_group\":\"g0\"}]",
		  "there is no group \"g0\"" },
		{ "[{\"group\":\"g0\",\"remove_addresses\":[\"1.2.3.4\"]}]",
		  "is not in the group" },
		{ "[{\"group\":\"g0\",\"add_addresses\":[\"1.2.3.4/8\"]}]", "is no prefix" },
		{ "[{\"segment\":\"n0\",\"remove_remotes\":[\"02:00:00:00:00:01\"]}]",
		  "there is no guest \"02:00:00:00:00:01\"" },
		{ "[{\"remove_port\":\"u\"}]", "there is no port \"u\"" },
		{ "[{\"put_section\":{\"name\":\"s0\",\"rules\":[]},\"before\":\"s0\"}]",
		  "is the section itself" },
	};
	struct json_object *document = begin();
	struct error e = { 0 };
	struct switch_config *c = read_document(document, &e);

	(void)state;
	assert_non_null(c);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct json_object *o = parse(bad[i].changes, strlen(bad[i].changes));
		struct json_at root = json_root(o);
		e.msg[0] = '\0';
		assert_null(switch_config_change(c, &root, &e));
		if (strstr(e.msg, bad[i].message) == NULL) {
			fail_msg("%s: %s", bad[i].changes, e.msg);
		}
		json_object_put(o);
	}
	switch_config_free(c);
	json_object_put(document);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_as_the_whole_document),
		cmocka_unit_test(what_is_wrong_is_named),
	};
	struct error e;

	if (argc != 2) {
		return 2;
	}
	struct json_object *text = json_parse_file(argv[1], 1 << 20, &e);
	schema = text == NULL ? NULL : document_schema_new(text, &e);
	json_object_put(text);
	int failed = schema == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	document_schema_free(schema);
	return failed;
}

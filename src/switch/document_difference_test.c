/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differences against whole documents: a switch's configuration follows random documents by the
 * changes that make one of the other, and must always be what the document reads as. Argument: the
 * schema of the switch's document.
 */
#include "plane/document_difference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "plane/document_schema.h"
#include "switch/config.h"

enum {
	NAMES = 6, /* of objects of a kind */
	RULES = 40,
	SEEDS = 60,
	STEPS = 40,
	MOST = 10000,
};

static struct document_schema *schema;
static uint64_t seed;

static uint32_t draw(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static struct json_object *parse(const char *text)
{
	struct error e;
	struct json_object *o = json_parse(text, strlen(text), 1 << 20, 32, &e);

	if (o == NULL) {
		fail_msg("%s: %.200s", e.msg, text);
	}
	return o;
}

static struct json_object *member(struct json_object *o, const char *key)
{
	return json_object_object_get(o, key);
}

static size_t length(struct json_object *list)
{
	return json_object_array_length(list);
}

static struct json_object *item(struct json_object *list, size_t i)
{
	return json_object_array_get_idx(list, i);
}

static struct json_object *copy(struct json_object *o)
{
	struct json_object *c = NULL;

	assert_int_equal(json_object_deep_copy(o, &c, NULL), 0);
	return c;
}

/* ---- random documents ---- */

/* A random order of n numbers, of which all but the first k are left out. */
static void shuffle(uint32_t *numbers, uint32_t n, uint32_t k)
{
	for (uint32_t i = 0; i < n; i++) {
		numbers[i] = i;
	}
	for (uint32_t i = 0; i < k; i++) {
		uint32_t other = i + draw(n - i), kept = numbers[i];
		numbers[i] = numbers[other];
		numbers[other] = kept;
	}
}

struct names {
	uint32_t n, is[NAMES];
};

static struct names draw_names(void)
{
	struct names names = { .n = draw(NAMES + 1) };

	shuffle(names.is, NAMES, names.n);
	return names;
}

/* A member with some of these names. */
static void add_names(struct buf *b, const char *key, char kind, const struct names *names)
{
	if (names->n == 0 || draw(2) == 0) {
		return;
	}
	buf_addf(b, ",\"%s\":[\"%c%u\"]", key, kind, names->is[draw(names->n)]);
}

static void add_rule(struct buf *b, uint32_t id, const struct names *groups)
{
	static const char *const actions[] = { "allow", "drop", "reject" };

	buf_addf(b, "{\"id\":%u,\"action\":\"%s\"", id, actions[draw(3)]);
	add_names(b, "sources", 'g', groups);
	add_names(b, "applied_to", 'g', groups);
	buf_addf(b, draw(3) == 0 ? ",\"name\":\"n%u\"}" : "}", draw(3));
}

static void add_sections(struct buf *b, const struct names *groups)
{
	struct names sections = draw_names();
	uint32_t ids[RULES], n = sections.n == 0 ? 0 : draw(RULES), used = 0;

	shuffle(ids, RULES, n);
	buf_addf(b, "\"default\":\"%s\",\"sections\":[", draw(2) == 0 ? "allow" : "drop");
	for (uint32_t i = 0; i < sections.n; i++) {
		uint32_t end = i + 1 == sections.n ? n : used + draw(n - used + 1), from = used;
		buf_addf(b, "%s{\"name\":\"s%u\",\"rules\":[", i == 0 ? "" : ",", sections.is[i]);
		for (; used < end; used++) {
			buf_adds(b, used == from ? "" : ",");
			add_rule(b, 1 + ids[used], groups);
		}
		buf_adds(b, "]}");
	}
	buf_addc(b, ']');
}

static void add_objects(struct buf *b, const struct names *groups)
{
	struct names ports = draw_names(), segments = draw_names(), routers = draw_names();

	buf_adds(b, "{\"ports\":[");
	for (uint32_t i = 0; i < ports.n; i++) {
		buf_addf(b, "%s{\"name\":\"p%u\",\"kind\":\"vhost\",\"path\":\"/p%u\",\"mtu\":%u",
			 i == 0 ? "" : ",", ports.is[i], ports.is[i], 1400 + draw(2));
		buf_addf(b, segments.n == 0 ? "}" : ",\"segment\":\"n%u\"}",
			 segments.n == 0 ? 0 : segments.is[draw(segments.n)]);
	}
	buf_adds(b, "],\"segments\":[");
	for (uint32_t i = 0; i < segments.n; i++) {
		buf_addf(b, "%s{\"name\":\"n%u\",\"mtu\":%u}", i == 0 ? "" : ",", segments.is[i],
			 1500 + draw(2));
	}
	buf_adds(b, "],\"routers\":[");
	for (uint32_t i = 0; i < routers.n; i++) {
		buf_addf(b, "%s{\"name\":\"r%u\",\"mac\":\"02:00:00:00:00:%02x\"}",
			 i == 0 ? "" : ",", routers.is[i], draw(2));
	}
	buf_adds(b, "],\"groups\":[");
	for (uint32_t i = 0; i < groups->n; i++) {
		buf_addf(b, "%s{\"name\":\"g%u\",\"addresses\":[\"10.0.%u.0/24\"]",
			 i == 0 ? "" : ",", groups->is[i], draw(3));
		add_names(b, "ports", 'p', &ports);
		buf_addc(b, '}');
	}
	buf_adds(b, "],");
}

static struct json_object *draw_document(void)
{
	struct buf b = BUF_INIT;
	struct names groups = draw_names();

	add_objects(&b, &groups);
	buf_adds(&b, "\"firewall\":{");
	add_sections(&b, &groups);
	buf_adds(&b, "}}");
	struct json_object *o = parse(b.data);
	buf_free(&b);
	return o;
}

/* A list with one item less, or in another place. */
static void disorder(struct json_object *list, bool is_removed)
{
	size_t n = length(list);

	if (n == 0) {
		return;
	}
	size_t from = draw((uint32_t)n);
	struct json_object *o = json_object_get(item(list, from));
	json_object_array_del_idx(list, from, 1);
	if (is_removed) {
		json_object_put(o);
		return;
	}
	size_t to = draw((uint32_t)n);
	json_object_array_add(list, NULL);
	for (size_t i = n - 1; i > to; i--) {
		json_object_array_put_idx(list, i, json_object_get(item(list, i - 1)));
	}
	json_object_array_put_idx(list, to, o);
}

/* The same document but for a few things. */
static struct json_object *disturb(struct json_object *document)
{
	struct json_object *o = copy(document),
			   *sections = member(member(o, "firewall"), "sections");

	for (uint32_t n = 1 + draw(4); n > 0 && length(sections) > 0; n--) {
		struct json_object *rules =
			member(item(sections, draw((uint32_t)length(sections))), "rules");
		if (draw(8) == 0) {
			disorder(sections, draw(2) == 0);
		} else if (draw(3) == 0 && length(rules) > 0) {
			json_put_str(item(rules, draw((uint32_t)length(rules))), "action", "drop");
		} else {
			disorder(rules, draw(4) == 0);
		}
	}
	return o;
}

/* ---- the switch's side ---- */

static struct switch_config *read_config(struct json_object *document)
{
	struct json_at root = json_root(document);
	struct error e = { 0 };
	struct switch_config *c =
		document_schema_check(schema, &root, &e) ? switch_config_read(&root, &e) : NULL;

	if (c == NULL) {
		fail_msg("%s in %s", e.msg, json_object_to_json_string(document));
	}
	return c;
}

static int by_name(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;

	return strcmp(json_object_get_string(member(*x, "name")),
		      json_object_get_string(member(*y, "name")));
}

/* A configuration as a document whose lists have one order, but for rules and sections. */
static struct json_object *written(const struct switch_config *c)
{
	static const char *const lists[] = { "ports", "teams", "segments", "routers", "groups" };
	struct buf b = BUF_INIT;

	switch_config_write(c, &b);
	struct json_object *o = parse(b.data);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct json_object *list = member(o, lists[i]);
		if (list != NULL) {
			json_object_array_sort(list, by_name);
		}
	}
	buf_free(&b);
	return o;
}

/* Makes the changes; the configuration after them. */
static struct switch_config *follow(struct switch_config *before, struct json_object *changes)
{
	struct json_at at = json_root(changes);
	struct error e = { 0 };

	if (length(changes) == 0) {
		return before;
	}
	struct switch_config *c = document_schema_check_part(schema, "changes", &at, &e)
					  ? switch_config_change(before, &at, &e)
					  : NULL;
	if (c == NULL) {
		fail_msg("%s in %s", e.msg, json_object_to_json_string(changes));
	}
	switch_config_free(before);
	return c;
}

static void check(const struct switch_config *c, struct json_object *document,
		  struct json_object *changes)
{
	struct switch_config *wanted = read_config(document);
	struct json_object *is = written(c), *should = written(wanted);

	if (!json_object_equal(is, should)) {
		fail_msg("%s\nis\n%s\nbut should be\n%s", json_object_to_json_string(changes),
			 json_object_to_json_string(is), json_object_to_json_string(should));
	}
	switch_config_free(wanted);
	json_object_put(is);
	json_object_put(should);
}

static void test_a_switch_follows_documents(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SEEDS; i++) {
		seed = i;
		struct json_object *document = draw_document();
		struct switch_config *c = read_config(document);
		for (uint32_t k = 0; k < STEPS; k++) {
			struct json_object *next =
				draw(3) == 0 ? draw_document() : disturb(document);
			struct json_object *changes = document_difference(document, next, MOST);
			assert_non_null(changes);
			c = follow(c, changes);
			check(c, next, changes);
			json_object_put(changes);
			json_object_put(document);
			document = next;
		}
		switch_config_free(c);
		json_object_put(document);
	}
}

/* ---- by hand ---- */

static const char document_text[] =
	"{\"ports\":[{\"name\":\"a\",\"kind\":\"vhost\",\"path\":\"/a\"}],\"groups\":[{\"name\":"
	"\"g\"}],\"firewall\":{\"sections\":[{\"name\":\"s\",\"rules\":[{\"id\":1,\"action\":"
	"\"drop\"},{\"id\":2,\"action\":\"drop\"},{\"id\":3,\"action\":\"drop\"},{\"id\":4,"
	"\"action\":\"drop\"}]},{\"name\":\"t\",\"rules\":[]}]}}";

static struct json_object *section(struct json_object *document, size_t i)
{
	return item(member(member(document, "firewall"), "sections"), i);
}

static void assert_changes(struct json_object *to, const char *wanted)
{
	struct json_object *from = parse(document_text), *expected = parse(wanted);
	struct json_object *is = document_difference(from, to, MOST);

	if (!json_object_equal(is, expected)) {
		fail_msg("%s, not %s", json_object_to_json_string(is), wanted);
	}
	json_object_put(is);
	json_object_put(expected);
	json_object_put(from);
	json_object_put(to);
}

static void test_little_is_said_of_little(void **state)
{
	struct json_object *o = parse(document_text);

	(void)state;
	assert_changes(o, "[]");
	o = parse(document_text);
	json_put_str(item(member(section(o, 0), "rules"), 2), "action", "allow");
	assert_changes(o, "[{\"put_rule\":{\"id\":3,\"action\":\"allow\"}}]");
	o = parse(document_text); /* the last one becomes the first */
	struct json_object *rules = member(section(o, 0), "rules");
	struct json_object *last = json_object_get(item(rules, 3));
	for (size_t i = 3; i > 0; i--) {
		json_object_array_put_idx(rules, i, json_object_get(item(rules, i - 1)));
	}
	json_object_array_put_idx(rules, 0, last);
	assert_changes(o, "[{\"put_rule\":{\"id\":4,\"action\":\"drop\"},\"section\":\"s\","
			  "\"before\":1}]");
	o = parse(document_text);
	json_object_array_del_idx(member(section(o, 0), "rules"), 1, 1);
	assert_changes(o, "[{\"remove_rule\":2}]");
	o = parse(document_text);
	json_object_array_del_idx(member(o, "ports"), 0, 1);
	json_put_str(member(o, "firewall"), "default", "drop");
	assert_changes(o, "[{\"remove_port\":\"a\"},{\"default\":\"drop\"}]");
}

static void assert_whole(struct json_object *to, size_t most)
{
	struct json_object *from = parse(document_text);

	assert_null(document_difference(from, to, most));
	json_object_put(from);
	json_object_put(to);
}

/* What a switch is to refuse, it is to see. */
static void test_what_is_wrong_is_given_whole(void **state)
{
	struct json_object *o = parse(document_text);

	(void)state;
	json_object_array_add(member(o, "groups"), parse("{\"name\":\"g\"}"));
	assert_whole(o, MOST);
	o = parse(document_text);
	json_object_array_add(member(section(o, 1), "rules"),
			      parse("{\"id\":2,\"action\":\"drop\"}"));
	assert_whole(o, MOST);
	o = parse(document_text);
	json_object_array_add(member(section(o, 1), "rules"),
			      parse("{\"id\":9,\"action\":\"drop\"}"));
	json_object_array_add(member(section(o, 1), "rules"),
			      parse("{\"id\":9,\"action\":\"drop\"}"));
	assert_whole(o, MOST);
	o = parse(document_text);
	json_object_array_add(member(member(o, "firewall"), "sections"),
			      parse("{\"name\":\"s\",\"rules\":[]}"));
	assert_whole(o, MOST);
	o = parse(document_text);
	json_put_str(o, "mode", "performance");
	assert_whole(o, MOST);
	o = parse(document_text);
	json_object_array_add(member(o, "groups"), parse("{\"name\":\"h\"}"));
	json_object_array_add(member(o, "groups"), parse("{\"name\":\"i\"}"));
	assert_whole(json_object_get(o), 1);
	assert_changes(o, "[{\"put_group\":{\"name\":\"h\"}},{\"put_group\":{\"name\":\"i\"}}]");
}

int main(int argc, char **argv)
{
	struct error e;
	struct json_object *text;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_switch_follows_documents),
		cmocka_unit_test(test_little_is_said_of_little),
		cmocka_unit_test(test_what_is_wrong_is_given_whole),
	};

	if (argc != 2 || (text = json_parse_file(argv[1], 1 << 20, &e)) == NULL) {
		return 2;
	}
	schema = document_schema_new(text, &e);
	json_object_put(text);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	document_schema_free(schema);
	return failed;
}

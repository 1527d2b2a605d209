/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/switch_table.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "base/mem.h"

enum {
	COLUMNS_MAX = 10,
};

struct column {
	const char *title, *member;
};

static const struct table {
	const char *what;
	struct column columns[COLUMNS_MAX];
} tables[] = {
	{ "ports",
	  { { "PORT", "name" },
	    { "LABEL", "label" },
	    { "UP", "up" },
	    { "RX", "rx_packets" },
	    { "RX BYTES", "rx_bytes" },
	    { "TX", "tx_packets" },
	    { "TX BYTES", "tx_bytes" },
	    { "DROPPED", "drops" },
	    { "NOT OPEN", "reason" } } },
	{ "flows",
	  { { "PROTO", "protocol" },
	    { "FROM", "from" },
	    { "PORT", "from_port" },
	    { "TO", "to" },
	    { "PORT", "to_port" },
	    { "STATE", "state" },
	    { "PACKETS", "from_packets" },
	    { "BACK", "to_packets" },
	    { "ENDS IN S", "ends_in_s" } } },
	{ "rules",
	  { { "ID", "id" },
	    { "RULE", "name" },
	    { "ACTION", "action" },
	    { "HITS", "hits" },
	    { "PACKETS", "packets" },
	    { "BYTES", "bytes" } } },
	{ "segments",
	  { { "SEGMENT", "name" },
	    { "VNI", "vni" },
	    { "MTU", "mtu" },
	    { "GUESTS", "guests" },
	    { "REMOTES", "remotes" } } },
	{ "macs",
	  { { "MAC", "mac" },
	    { "SEGMENT", "segment" },
	    { "PORT", "port" },
	    { "AGE S", "age_s" } } },
};

/* ---- cells ---- */

static struct json_object *member_of(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, name, &v) ? v : NULL;
}

/* Names come from whoever wrote the document: no control characters to the terminal. */
static void add_text(struct buf *b, const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		buf_addc(b, (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
	}
}

static void add_members(struct buf *b, struct json_object *o)
{
	bool is_first = true;

	json_object_object_foreach(o, key, value)
	{
		buf_adds(b, is_first ? "" : ", ");
		add_text(b, key);
		buf_addc(b, ' ');
		add_text(b, json_object_get_string(value));
		is_first = false;
	}
	if (is_first) {
		buf_addc(b, '-');
	}
}

static char *cell(struct json_object *v)
{
	struct buf b = BUF_INIT;

	switch (json_object_get_type(v)) {
	case json_type_null:
		buf_addc(&b, '-');
		break;
	case json_type_boolean:
		buf_adds(&b, json_object_get_boolean(v) ? "yes" : "no");
		break;
	case json_type_object:
		add_members(&b, v);
		break;
	case json_type_double:
	case json_type_int:
	case json_type_array:
	case json_type_string:
		add_text(&b, json_object_get_string(v));
		break;
	}
	return buf_take(&b);
}

static bool is_number(struct json_object *v)
{
	return json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double);
}

/* ---- tables ---- */

static size_t width_of(struct json_object *rows, const struct column *c)
{
	size_t width = strlen(c->title), n = json_object_array_length(rows);

	for (size_t i = 0; i < n; i++) {
		char *text = cell(member_of(json_object_array_get_idx(rows, i), c->member));
		width = MAX(width, strlen(text));
		free(text);
	}
	return width;
}

static void print_row(const struct table *t, const size_t *widths, struct json_object *row)
{
	for (size_t k = 0; k < COLUMNS_MAX && t->columns[k].title != NULL; k++) {
		bool is_last = k + 1 == COLUMNS_MAX || t->columns[k + 1].title == NULL;
		struct json_object *v = member_of(row, t->columns[k].member);
		char *text = row == NULL ? mem_strdup(t->columns[k].title) : cell(v);
		int width = is_last && !is_number(v) ? 0 : (int)widths[k];
		printf("%*s%s", is_number(v) ? width : -width, text, is_last ? "\n" : "  ");
		free(text);
	}
}

static void print_table(const struct table *t, struct json_object *rows)
{
	size_t widths[COLUMNS_MAX] = { 0 }, n = json_object_array_length(rows);

	for (size_t k = 0; k < COLUMNS_MAX && t->columns[k].title != NULL; k++) {
		widths[k] = width_of(rows, &t->columns[k]);
	}
	print_row(t, widths, NULL);
	for (size_t i = 0; i < n; i++) {
		print_row(t, widths, json_object_array_get_idx(rows, i));
	}
}

void switch_table_print(const char *what, struct json_object *rows)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		if (strcmp(tables[i].what, what) == 0 &&
		    json_object_is_type(rows, json_type_array)) {
			print_table(&tables[i], rows);
			return;
		}
	}
	puts(json_object_to_json_string_ext(rows, JSON_C_TO_STRING_PRETTY));
}

void switch_table_print_members(struct json_object *o)
{
	json_object_object_foreach(o, key, value)
	{
		char *text = cell(value);
		printf("%-18s %s\n", key, text);
		free(text);
	}
}

void switch_table_print_explained(struct json_object *o)
{
	struct json_object *stages = member_of(o, "stages"), *out = member_of(o, "out");
	size_t n =
		json_object_is_type(stages, json_type_array) ? json_object_array_length(stages) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *stage = json_object_array_get_idx(stages, i);
		char *name = cell(member_of(stage, "stage"));
		char *text = cell(member_of(stage, "text"));
		printf("%-12s %s\n", name, text);
		free(name);
		free(text);
	}
	char *fate = cell(member_of(o, "fate")), *reason = cell(member_of(o, "reason"));
	char *copies = cell(member_of(o, "copies"));
	char *where = cell(out);
	if (strcmp(fate, "drop") == 0) {
		printf("fate         drop: %s\n", reason);
	} else if (out != NULL) {
		printf("fate         forward by %s\n", where);
	} else {
		printf("fate         forward as %s copies\n", copies);
	}
	free(fate);
	free(reason);
	free(copies);
	free(where);
}

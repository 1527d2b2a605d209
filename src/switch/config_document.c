/* SPDX-License-Identifier: Apache-2.0 */
/* A whole document: read, written, and what its configuration owns. */
#include "switch/config_read.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/vec.h"

/* ---- who owns what ---- */

struct config_part *config_part_new(void)
{
	struct config_part *p = mem_zalloc(sizeof(*p));

	p->n_owners = 1;
	p->arena = arena_new(0);
	return p;
}

struct config_part *config_part_again(struct config_part *p)
{
	p->n_owners++;
	return p;
}

void config_part_free(struct config_part *p)
{
	if (p != NULL && --p->n_owners == 0) {
		arena_free(p->arena);
		free(p);
	}
}

struct switch_config *switch_config_begin(void)
{
	struct switch_config *c = mem_zalloc(sizeof(*c));

	c->arena = arena_new(0);
	return c;
}

void config_add_part(struct switch_config *c, struct config_part *p)
{
	c->parts = mem_realloc_array(c->parts, c->n_parts + 1, sizeof(struct config_part *));
	c->parts[c->n_parts++] = p;
}

void switch_config_free(struct switch_config *c)
{
	if (c == NULL) {
		return;
	}
	config_part_free(c->objects);
	for (size_t i = 0; i < c->n_parts; i++) {
		config_part_free(c->parts[i]);
	}
	free(c->parts);
	arena_free(c->arena);
	free(c);
}

void config_reader_fini(struct config_reader *r)
{
	map_free(&r->ports);
	map_free(&r->teams);
	map_free(&r->segments);
	map_free(&r->routers);
	map_free(&r->endpoints);
	name_index_free(&r->groups);
}

const char *const config_list_names[CONFIG_LISTS] = { "ports", "teams", "segments", "routers" };

void config_keep_lists(struct config_reader *r, const struct json_at *document)
{
	for (int i = 0; i < CONFIG_LISTS; i++) {
		struct json_at list = config_list(document, config_list_names[i]);
		if (json_array_n(&list) > 0) {
			struct buf text = BUF_INIT;
			json_add_text(&text, list.value);
			r->config->lists[i] = arena_strndup(r->arena, text.data, text.len);
			buf_free(&text);
		}
	}
}

struct switch_config *switch_config_read(const struct json_at *document, struct error *e)
{
	struct switch_config *c = switch_config_begin();
	struct config_reader r = { .config = c, .e = e };
	struct config_part *part = config_part_new();

	config_add_part(c, part);
	r.arena = part->arena;
	bool ok = config_read_objects(&r, document) && config_read_firewall(&r, document);
	config_reader_fini(&r);
	if (!ok) {
		switch_config_free(c);
		return NULL;
	}
	return c;
}

/* ---- writing ---- */

static void write_str(struct buf *out, const char *s)
{
	struct json_object *o = json_new_str(s);

	json_add_text(out, o);
	json_object_put(o);
}

static void write_group(const struct switch_config *c, size_t i, struct buf *out)
{
	const struct rule_group *g = &c->groups[i];
	char text[PREFIX_TEXT_MAX];

	buf_adds(out, "{\"name\":");
	write_str(out, c->group_names[i]);
	for (size_t k = 0; k < g->n_prefixes; k++) {
		prefix_text(&g->prefixes[k], text);
		buf_addf(out, "%s\"%s\"", k == 0 ? ",\"addresses\":[" : ",", text);
	}
	buf_adds(out, g->n_prefixes > 0 ? "]" : "");
	for (size_t k = 0; k < g->n_ports; k++) {
		buf_adds(out, k == 0 ? ",\"ports\":[" : ",");
		write_str(out, c->ports[g->ports[k]].name);
	}
	buf_adds(out, g->n_ports > 0 ? "]}" : "}");
}

static void write_groups(const struct switch_config *c, struct buf *out)
{
	bool is_first = true;

	buf_adds(out, ",\"groups\":[");
	for (size_t i = 0; i < c->n_groups; i++) {
		if (c->group_names[i] != NULL) {
			buf_adds(out, is_first ? "" : ",");
			write_group(c, i, out);
			is_first = false;
		}
	}
	buf_addc(out, ']');
}

static void write_sections(const struct switch_config *c, struct buf *out)
{
	size_t rule = 0;

	for (size_t i = 0; i < c->n_sections; i++) {
		buf_adds(out, i == 0 ? "{\"name\":" : ",{\"name\":");
		write_str(out, c->sections[i].name);
		buf_adds(out, ",\"rules\":[");
		for (size_t k = 0; k < c->sections[i].n_rules; k++) {
			buf_adds(out, k == 0 ? "" : ",");
			buf_adds(out, c->rule_texts[rule++]);
		}
		buf_adds(out, "]}");
	}
}

void switch_config_write(const struct switch_config *c, struct buf *out)
{
	buf_addf(out, "{\"mode\":\"%s\"", c->is_performance ? "performance" : "standard");
	for (int i = 0; i < CONFIG_LISTS; i++) {
		if (c->lists[i] != NULL) {
			buf_addf(out, ",\"%s\":", config_list_names[i]);
			buf_adds(out, c->lists[i]);
		}
	}
	write_groups(c, out);
	buf_addf(out, ",\"firewall\":{\"default\":\"%s\",\"sections\":[",
		 config_action_name(c->fallback));
	write_sections(c, out);
	buf_adds(out, "]}}");
}

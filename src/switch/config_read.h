/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a plane document: what the files config*.c share. The document has passed its
 * schema, so types and single values are right; here names are resolved and what objects say of
 * each other is checked.
 */
#ifndef SWITCH_CONFIG_READ_H
#define SWITCH_CONFIG_READ_H

#include "base/arena.h"
#include "base/map.h"
#include "switch/config.h"
#include "switch/name_index.h"

struct config_reader {
	struct switch_config *config;
	struct arena *arena; /* of what is being read */
	struct error *e;
	/* Names to index + 1. */
	struct map ports, teams, segments, routers, endpoints;
	struct name_index groups;
};

/* n zeroed items of a size in the arena; NULL only for n 0. */
void *config_array(struct config_reader *r, size_t n, size_t size);
/* A list member, or an empty list where there is none. */
struct json_at config_list(const struct json_at *at, const char *key);
const char *config_str(struct config_reader *r, const struct json_at *at, const char *key);
bool config_bool(const struct json_at *at, const char *key, bool otherwise);
uint64_t config_u64(const struct json_at *at, const char *key, uint64_t otherwise);
/* Notes that item `index` of a list has that name; false where another has it. */
bool config_name(struct config_reader *r, struct map *names, const struct json_at *at,
		 const char *name, size_t index);
/* The index of what the string at `at` names; `what`: "segment". */
bool config_find(struct config_reader *r, const struct map *names, const struct json_at *at,
		 const char *what, uint32_t *out);
bool config_address(struct config_reader *r, const struct json_at *at, struct address *out);

/* A new part, to be owned by one. */
struct config_part *config_part_new(void);
struct config_part *config_part_again(struct config_part *p);
void config_part_free(struct config_part *p);
/* A configuration with an arena of its own and nothing else. */
struct switch_config *switch_config_begin(void);
/* One more part that groups and rules are in; the configuration owns it. */
void config_add_part(struct switch_config *c, struct config_part *p);
void config_reader_fini(struct config_reader *r);

/* Mode, ports, teams, segments and routers, from a document that may have other members too, into
 * a new part; `objects` and `lists` of the configuration are set. */
bool config_read_objects(struct config_reader *r, const struct json_at *document);
extern const char *const config_list_names[CONFIG_LISTS];
/* Notes the text of these lists, into r->arena. */
void config_keep_lists(struct config_reader *r, const struct json_at *document);

/* Groups and rules, into r->arena; the arrays of them into the configuration's. */
bool config_read_firewall(struct config_reader *r, const struct json_at *document);
bool config_read_prefixes(struct config_reader *r, const struct json_at *group,
			  struct rule_group *out);
bool config_read_group_ports(struct config_reader *r, const struct json_at *group,
			     struct rule_group *out);
/* A rule that stands in a section, into its place in the configuration's arrays. */
bool config_read_rule(struct config_reader *r, const struct json_at *at, const char *section,
		      size_t index);
enum rule_action config_action(const char *text, enum rule_action otherwise);
const char *config_action_name(enum rule_action action);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a plane document: what config.c and config_firewall.c share. The document has passed its
 * schema, so types and single values are right; here names are resolved and what objects say of
 * each other is checked.
 */
#ifndef SWITCH_CONFIG_READ_H
#define SWITCH_CONFIG_READ_H

#include "base/arena.h"
#include "base/map.h"
#include "switch/config.h"

struct config_reader {
	struct switch_config *config;
	struct arena *arena; /* the config's */
	struct error *e;
	/* Names to index + 1. */
	struct map ports, teams, segments, routers, groups, endpoints;
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

bool config_read_firewall(struct config_reader *r, const struct json_at *document);

#endif

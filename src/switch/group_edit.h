/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups of a configuration while they are being changed. A group keeps its index as long as
 * it lives, so that rules which name it need not be touched; a place that is empty since an earlier
 * change is taken by the next new group. Names and JSON are borrowed. One thread.
 */
#ifndef SWITCH_GROUP_EDIT_H
#define SWITCH_GROUP_EDIT_H

#include "base/vec.h"
#include "switch/config_read.h"

struct group_edit;

/* r->groups, which is empty, becomes the names of the groups; r->arena takes what they come to
 * hold. */
struct group_edit *group_edit_new(const struct switch_config *before, struct config_reader *r);
void group_edit_free(struct group_edit *g);

bool group_edit_put(struct group_edit *g, const struct json_at *group);
bool group_edit_remove(struct group_edit *g, const struct json_at *name);
/* A change with "group", "add_addresses" and "remove_addresses". */
bool group_edit_addresses(struct group_edit *g, const struct json_at *change);

/* Writes the groups into r->config, whose ports are there, with their names in r->ports.
 * `ports_moved`: they are not those of the configuration before. */
bool group_edit_end(struct group_edit *g, bool ports_moved);
/* Of a rule of before: does every group that it names still stand? */
bool group_edit_check_rule(const struct group_edit *g, const struct rule *rule);

#endif

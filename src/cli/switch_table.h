/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the switch as tables that a person reads, to standard output. */
#ifndef CLI_SWITCH_TABLE_H
#define CLI_SWITCH_TABLE_H

#include <json-c/json.h>

/* An array of objects, as `plane.show` answers for `what`. */
void switch_table_print(const char *what, struct json_object *rows);
/* One object: a member a line. */
void switch_table_print_members(struct json_object *o);
/* What `plane.explain` answers. */
void switch_table_print_explained(struct json_object *o);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a configuration while they are being changed: sections in order, rules in order in
 * each, taken out and put in anywhere without moving the rest. Rules are known by number, sections
 * by name; both are there once. Names and JSON are borrowed from the configuration and from the
 * changes. One thread.
 */
#ifndef SWITCH_RULE_ORDER_H
#define SWITCH_RULE_ORDER_H

#include "base/error.h"
#include "base/json.h"
#include "switch/config.h"

struct rule_order;

struct rule_order *rule_order_new(const struct switch_config *c);
void rule_order_free(struct rule_order *o);

/* `at` is a change with "put_rule" or "put_section", and with "section", "before" or "after" where
 * it says so. False and an error that names the place in it. */
bool rule_order_put_rule(struct rule_order *o, const struct json_at *at, struct error *e);
bool rule_order_put_section(struct rule_order *o, const struct json_at *at, struct error *e);
/* `at` is the number or name. */
bool rule_order_remove_rule(struct rule_order *o, const struct json_at *at, struct error *e);
bool rule_order_remove_section(struct rule_order *o, const struct json_at *at, struct error *e);

size_t rule_order_n_rules(const struct rule_order *o);
size_t rule_order_n_sections(const struct rule_order *o);

/* One rule as it comes: `was` is its position in the configuration, or -1 for one that was put,
 * whose JSON is given. */
struct rule_order_item {
	const char *section;
	int32_t was;
	struct json_object *rule;
};
/* Calls on_section for each section and on_rule for each of its rules, in order, until one says
 * false. */
struct rule_order_visit {
	bool (*on_section)(void *arg, const char *name, size_t n_rules);
	bool (*on_rule)(void *arg, const struct rule_order_item *item);
	void *arg;
};
bool rule_order_visit(const struct rule_order *o, const struct rule_order_visit *v);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The distributed firewall's rules, compiled: which rule, in order, is the first to match a new
 * connection at a port. Lookups cost about the same with ten rules or a hundred thousand.
 *
 * Each dimension (source address, destination address, source port, service, the port it is
 * applied to with the direction) maps a packet's value to a class: values that the same rules care
 * for. Rules stand in chunks of 512 in order; for each chunk and class there is a bit string of
 * the rules that match, equal strings stored once, and those that are as for any other value not
 * at all. A lookup intersects, chunk by chunk, the strings of the classes and takes the first bit;
 * per class a summary says which chunks are worth a look.
 *
 * A compilation is immutable: any thread may look up. Making and freeing are the control thread's.
 */
#ifndef SWITCH_CLASSIFIER_H
#define SWITCH_CLASSIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "switch/packet.h"
#include "switch/prefix.h"

enum {
	CLASSIFIER_RULES_MAX = 200000,
	CLASSIFIER_GROUPS_MAX = 262144,
	CLASSIFIER_PREFIXES_MAX = 2000000, /* of all groups */
	CLASSIFIER_PORTS_MAX = 4096,
	CLASSIFIER_ANY = -1,
};

enum rule_action {
	RULE_ALLOW,
	RULE_DROP,
	RULE_REJECT
};

/* As the port sees it: OUT is what its VM sends. */
enum rule_direction {
	RULE_IN = 1,
	RULE_OUT = 2,
	RULE_IN_OUT = 3
};

/* Prefixes count where a rule names the group as source or destination, ports where it is applied
 * to the group; either may be empty, and matches nothing then. Borrowed. */
struct rule_group {
	const struct prefix *prefixes;
	size_t n_prefixes;
	const uint16_t *ports; /* port indexes, see tables.h */
	size_t n_ports;
};

/* Both ends belong to a range. proto 0: any, ports are not looked at. ICMP: type << 8 | code as
 * destination. */
struct rule_service {
	uint8_t proto;
	uint16_t source_from, source_to;
	uint16_t destination_from, destination_to;
};

struct rule {
	uint64_t id;		/* the administrator's */
	const int32_t *sources; /* indexes of groups; n 0: any */
	const int32_t *destinations;
	const int32_t *applied_to;	     /* n 0: every port */
	const struct rule_service *services; /* n 0: any */
	uint16_t n_sources, n_destinations, n_applied_to, n_services;
	uint8_t action;	   /* enum rule_action */
	uint8_t direction; /* enum rule_direction */
	uint8_t ip;	   /* 0 both, 4, 6 */
	bool log;
	bool is_disabled; /* has its place and matches nothing */
};

struct classifier;

struct classifier_input {
	const struct rule *rules; /* in order of evaluation */
	size_t n_rules;
	const struct rule_group *groups;
	size_t n_groups;
	enum rule_action fallback;	 /* where none matches */
	const struct classifier *before; /* NULL, or one whose unchanged parts may serve again */
};

/* Nothing of the arguments is kept, but parts of `before` are shared. NULL where a limit above is
 * passed. */
struct classifier *classifier_new(const struct classifier_input *in, struct error *e);
void classifier_free(struct classifier *c);

struct classifier_match {
	int32_t position; /* of the rule in order; CLASSIFIER_ANY: the fallback */
	uint64_t id;	  /* 0: the fallback */
	enum rule_action action;
	bool log;
};

/* A connection's classes, for whoever asks at more than one port. */
struct classifier_classes {
	uint32_t of[4];
};
void classifier_classify(const struct classifier *c, const struct flow_key *k,
			 struct classifier_classes *out);
/* A port that is asked about a connection, and how it sees its first packet. */
struct classifier_ask {
	uint16_t port;
	enum rule_direction direction;
};
/* Of each of n ports, 1 or 2, the first rule that matches. */
void classifier_find_each(const struct classifier *c, const struct classifier_classes *k,
			  const struct classifier_ask *asks, unsigned n,
			  struct classifier_match *out);

/* The first rule for a connection's first packet as port `port` sees it in that direction. */
struct classifier_match classifier_find(const struct classifier *c, const struct flow_key *k,
					uint16_t port, enum rule_direction direction);
struct classifier_stats {
	size_t n_rules, n_chunks, n_strings;
	size_t n_classes[6]; /* source, destination, source port, service, port out, port in */
	size_t bytes;
};
void classifier_stats(const struct classifier *c, struct classifier_stats *out);

#endif

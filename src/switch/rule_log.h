/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What firewall rules with `log` have done: a worker puts a record of each connection that such a
 * rule lets begin and of each packet that it stops, another thread takes them out and writes lines.
 * The ring is bounded; what does not fit is counted and lost. One worker puts, one thread takes;
 * the worker never waits.
 *
 * A line is words of the form key=value, parted by blanks; a value in double quotes has JSON's
 * escapes. Keys and their order are part of the interface (docs/man/remora-switchd.8).
 */
#ifndef SWITCH_RULE_LOG_H
#define SWITCH_RULE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	RULE_LOG_SLOTS = 8192,
};

struct rule_log_record {
	uint64_t ns;   /* since 1970; set by rule_log_put() */
	int32_t rule;  /* position among the rules of `epoch`'s tables */
	uint32_t size; /* of the frame, without tags and tunnel */
	uint16_t port; /* the guest's, whose rules were asked; index */
	uint16_t epoch;
	uint16_t source_port, destination_port; /* ICMP: type and code */
	uint8_t direction;			/* enum rule_direction: how the packet goes there */
	uint8_t proto, ip, tcp_flags;
	bool has_ports; /* source_port, destination_port and tcp_flags are set */
	uint8_t source[16], destination[16]; /* IPv4 in the first four */
};

struct rule_log;

struct rule_log *rule_log_new(void);
void rule_log_free(struct rule_log *l);

/* The worker's. */
void rule_log_put(struct rule_log *l, const struct rule_log_record *r);
/* Counts n that were not put. */
void rule_log_lose(struct rule_log *l, uint64_t n);

/* The other thread's: the oldest one, or NULL; it stays until rule_log_pop(). */
const struct rule_log_record *rule_log_peek(const struct rule_log *l);
void rule_log_pop(struct rule_log *l);
uint64_t rule_log_n_lost(const struct rule_log *l);

/* What a record's numbers stand for. */
struct rule_log_names {
	uint64_t rule;
	const char *rule_name, *action, *port, *label;
};
/* Appends a line. suppressed: records of the rule that were left out since its last line. */
void rule_log_write(const struct rule_log_record *r, const struct rule_log_names *names,
		    uint64_t suppressed, struct buf *out);
/* Appends a line that says how many records, of any rule, were left out before it. */
void rule_log_write_suppressed(uint64_t ns, uint64_t n, struct buf *out);

#endif

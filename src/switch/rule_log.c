/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/rule_log.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <time.h>

#include "base/macro.h"
#include "base/mem.h"
#include "switch/classifier.h"

/* How many were put, taken, and had no room; each is written by one side. */
struct rule_log {
	struct rule_log_record *slots;
	uint64_t n_put, n_taken, n_lost;
};

struct rule_log *rule_log_new(void)
{
	struct rule_log *l = mem_zalloc(sizeof(*l));

	l->slots = mem_calloc(RULE_LOG_SLOTS, sizeof(*l->slots));
	return l;
}

void rule_log_free(struct rule_log *l)
{
	if (l != NULL) {
		free(l->slots);
		free(l);
	}
}

void rule_log_lose(struct rule_log *l, uint64_t n)
{
	__atomic_store_n(&l->n_lost, l->n_lost + n, __ATOMIC_RELAXED);
}

void rule_log_put(struct rule_log *l, const struct rule_log_record *r)
{
	struct timespec now;

	if (l->n_put - __atomic_load_n(&l->n_taken, __ATOMIC_ACQUIRE) == RULE_LOG_SLOTS) {
		rule_log_lose(l, 1);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	struct rule_log_record *slot = &l->slots[l->n_put % RULE_LOG_SLOTS];
	*slot = *r;
	slot->ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	__atomic_store_n(&l->n_put, l->n_put + 1, __ATOMIC_RELEASE);
}

const struct rule_log_record *rule_log_peek(const struct rule_log *l)
{
	return __atomic_load_n(&l->n_put, __ATOMIC_ACQUIRE) == l->n_taken
		       ? NULL
		       : &l->slots[l->n_taken % RULE_LOG_SLOTS];
}

void rule_log_pop(struct rule_log *l)
{
	__atomic_store_n(&l->n_taken, l->n_taken + 1, __ATOMIC_RELEASE);
}

uint64_t rule_log_n_lost(const struct rule_log *l)
{
	return __atomic_load_n(&l->n_lost, __ATOMIC_RELAXED);
}

/* ---- lines ---- */

static void add_time(struct buf *out, uint64_t ns)
{
	time_t s = (time_t)(ns / 1000000000);
	struct tm tm;

	gmtime_r(&s, &tm);
	buf_addf(out, "time=%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(ns % 1000000000 / 1000));
}

/* Names come from whoever wrote the document: none can make a line of its own. */
static void add_quoted(struct buf *out, const char *key, const char *text)
{
	buf_addf(out, " %s=\"", key);
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		if (c < ' ' || c == 0x7f) {
			buf_addf(out, "\\u%04x", c);
		} else {
			buf_adds(out, c == '"' || c == '\\' ? "\\" : "");
			buf_addc(out, *p);
		}
	}
	buf_addc(out, '"');
}

static void add_protocol(struct buf *out, const struct rule_log_record *r)
{
	static const struct {
		uint8_t number;
		const char *name;
	} names[] = { { 1, "icmp" }, { 6, "tcp" },    { 17, "udp" }, { 47, "gre" },
		      { 50, "esp" }, { 58, "icmp6" }, { 2, "igmp" }, { 132, "sctp" } };

	buf_adds(out, " protocol=");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].number == r->proto) {
			buf_adds(out, names[i].name);
			return;
		}
	}
	buf_addf(out, "%u", r->proto);
}

static bool is_icmp(const struct rule_log_record *r)
{
	return r->proto == 1 || r->proto == 58;
}

static void add_end(struct buf *out, const struct rule_log_record *r, const char *key,
		    const uint8_t *address, uint16_t port)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(r->ip == 6 ? AF_INET6 : AF_INET, address, text, sizeof(text));
	buf_addf(out, " %s=%s", key, text);
	if (r->has_ports && !is_icmp(r)) {
		buf_addf(out, " %s_port=%u", key, port);
	}
}

static void add_flags(struct buf *out, uint8_t flags)
{
	static const char letters[] = "FSRPAU";

	buf_adds(out, flags == 0 ? " flags=none" : " flags=");
	for (unsigned i = 0; letters[i] != '\0'; i++) {
		if ((flags >> i & 1) != 0) {
			buf_addc(out, letters[i]);
		}
	}
}

void rule_log_write(const struct rule_log_record *r, const struct rule_log_names *names,
		    uint64_t suppressed, struct buf *out)
{
	add_time(out, r->ns);
	buf_addf(out, " rule=%llu", (unsigned long long)names->rule);
	add_quoted(out, "name", names->rule_name);
	buf_addf(out, " action=%s direction=%s", names->action,
		 r->direction == RULE_IN ? "in" : "out");
	add_quoted(out, "port", names->port);
	add_quoted(out, "label", names->label);
	add_protocol(out, r);
	add_end(out, r, "source", r->source, r->source_port);
	add_end(out, r, "destination", r->destination, r->destination_port);
	if (r->has_ports && is_icmp(r)) {
		buf_addf(out, " type=%u code=%u", r->source_port, r->destination_port);
	}
	buf_addf(out, " size=%u", r->size);
	if (r->has_ports && r->proto == 6) {
		add_flags(out, r->tcp_flags);
	}
	buf_addf(out, " suppressed=%llu\n", (unsigned long long)suppressed);
}

void rule_log_write_suppressed(uint64_t ns, uint64_t n, struct buf *out)
{
	add_time(out, ns);
	buf_addf(out, " event=suppressed records=%llu\n", (unsigned long long)n);
}

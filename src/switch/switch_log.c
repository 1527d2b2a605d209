/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/switch_log.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/timer.h"
#include "switch/bucket.h"
#include "switch/rule_log.h"
#include "switch/rule_log_file.h"
#include "switch/switch_impl.h"

enum {
	LOOK_MS = 50,
	LINES_PER_SECOND = 800,
	FIRST_PER_SECOND = 200, /* that are kept for rules which had none in this second */
	SUMMARY_US = 1000000,
	FILE_MAX = 16 << 20, /* bytes of each of two */
};

/* What is known of a rule. */
struct told {
	uint32_t left_out; /* records since its last line */
	uint32_t second;   /* of that line, by the monotonic clock */
};

struct switch_log {
	struct softswitch *s;
	struct timer *timer;
	struct rule_log_file *file;
	struct bucket lines_left, first_left;
	struct told *told;    /* by rule's position; NULL: nothing of any */
	uint64_t n_ring_lost; /* that are counted already */
	uint64_t n_left_out;  /* that no line has told of */
	int64_t summary_us;   /* when one did */
	struct buf lines;     /* that are to be written */
	struct metric *written, *lost_ring, *lost_rate, *lost_file;
};

static struct metric *lost(const char *where)
{
	const char *const values[] = { where };

	return metric_with(metric_counter("remora_switch_firewall_log_lost_total",
					  "Records of rules that log which were not written: no "
					  "room in the worker's ring, above the rate, or the file "
					  "could not take them.",
					  "reason"),
			   values);
}

static void look(void *arg);

struct switch_log *switch_log_new(struct softswitch *s, uv_loop_t *loop, const char *state)
{
	struct switch_log *sl = mem_zalloc(sizeof(*sl));
	char *path = mem_printf("%s/firewall.log", state);

	sl->s = s;
	sl->timer = timer_new(loop, clock_real(), look, sl);
	sl->file = rule_log_file_new(path, FILE_MAX);
	free(path);
	uint64_t now = (uint64_t)clock_mono_us(clock_real());
	bucket_begin(&sl->lines_left, LINES_PER_SECOND, LINES_PER_SECOND, 1000000, now);
	bucket_begin(&sl->first_left, FIRST_PER_SECOND, FIRST_PER_SECOND, 1000000, now);
	sl->written = metric_with(metric_counter("remora_switch_firewall_log_lines_total",
						 "Lines written of rules that log.", ""),
				  NULL);
	sl->lost_ring = lost("ring");
	sl->lost_rate = lost("rate");
	sl->lost_file = lost("file");
	s->log = sl;
	return sl;
}

void switch_log_free(struct switch_log *sl)
{
	if (sl != NULL) {
		switch_log_flush(sl);
		sl->s->log = NULL;
		timer_free(sl->timer);
		rule_log_file_free(sl->file);
		buf_free(&sl->lines);
		free(sl->told);
		free(sl);
	}
}

/* ---- out of the ring ---- */

/* Has a rule another line? Those that have had none for a second go before. */
static bool may_tell(struct switch_log *sl, struct told *t, uint64_t now_us)
{
	uint32_t second = (uint32_t)(now_us / 1000000);
	bool may = (t->second != second && bucket_take(&sl->first_left, now_us, 1)) ||
		   bucket_take(&sl->lines_left, now_us, 1);

	if (may) {
		t->second = second;
	} else {
		t->left_out++;
		sl->n_left_out++;
		metric_inc(sl->lost_rate);
	}
	return may;
}

static void add_line(struct switch_log *sl, const struct switch_config *c,
		     const struct rule_log_record *r)
{
	static const char *const actions[] = { "allow", "drop", "reject" };
	const struct config_port *port = &c->ports[r->port];
	const struct rule_log_names names = { .rule = c->rules[r->rule].id,
					      .rule_name = c->rule_names[r->rule],
					      .action = actions[c->rules[r->rule].action],
					      .port = port->name,
					      .label = port->label };
	struct told *t = &sl->told[r->rule];

	rule_log_write(r, &names, t->left_out, &sl->lines);
	t->left_out = 0;
}

/* What was put under a wiring's tables; how many lines that makes. */
static size_t drain(struct switch_log *sl, const struct wiring *w)
{
	struct rule_log *ring = sl->s->rule_log;
	uint64_t now = (uint64_t)clock_mono_us(clock_real());
	const struct rule_log_record *r;
	size_t n = 0;

	while ((r = rule_log_peek(ring)) != NULL && r->epoch == w->epoch) {
		if ((size_t)r->rule < w->config->n_rules && r->port < w->config->n_ports) {
			if (sl->told == NULL) {
				sl->told = mem_calloc(w->config->n_rules, sizeof(*sl->told));
			}
			if (may_tell(sl, &sl->told[r->rule], now)) {
				add_line(sl, w->config, r);
				n++;
			}
		}
		rule_log_pop(ring);
	}
	return n;
}

/* ---- to the file ---- */

static void write_lines(struct switch_log *sl, size_t n)
{
	size_t n_lost = rule_log_file_add(sl->file, sl->lines.data, sl->lines.len);

	buf_clear(&sl->lines);
	metric_add(sl->written, n - n_lost);
	metric_add(sl->lost_file, n_lost);
	sl->n_left_out += n_lost;
}

static void write_summary(struct switch_log *sl)
{
	int64_t now = clock_mono_us(clock_real());
	uint64_t n_ring = rule_log_n_lost(sl->s->rule_log);

	metric_add(sl->lost_ring, n_ring - sl->n_ring_lost);
	sl->n_left_out += n_ring - sl->n_ring_lost;
	sl->n_ring_lost = n_ring;
	if (sl->n_left_out == 0 || now - sl->summary_us < SUMMARY_US) {
		return;
	}
	sl->summary_us = now;
	rule_log_write_suppressed((uint64_t)clock_wall_us(clock_real()) * 1000, sl->n_left_out,
				  &sl->lines);
	if (rule_log_file_add(sl->file, sl->lines.data, sl->lines.len) == 0) {
		sl->n_left_out = 0;
	}
	buf_clear(&sl->lines);
}

static void look(void *arg)
{
	struct switch_log *sl = arg;
	size_t n = sl->s->wiring == NULL ? 0 : drain(sl, sl->s->wiring);

	if (n > 0) {
		write_lines(sl, n);
	}
	write_summary(sl);
}

void switch_log_flush(struct switch_log *sl)
{
	sl->summary_us -= SUMMARY_US;
	look(sl);
}

/* ---- another document ---- */

static bool has_log(const struct switch_config *c)
{
	bool found = false;

	for (size_t i = 0; i < c->n_rules && !found; i++) {
		found = c->rules[i].log && !c->rules[i].is_disabled;
	}
	return found;
}

void switch_log_follow(struct switch_log *sl, const struct wiring *before,
		       const struct wiring *next)
{
	struct rule_log *ring;
	const struct rule_log_record *r;

	if (sl == NULL) {
		return;
	}
	ring = sl->s->rule_log;
	if (before != NULL) {
		size_t n = drain(sl, before);
		if (n > 0) {
			write_lines(sl, n);
		}
	}
	while ((r = rule_log_peek(ring)) != NULL && r->epoch != next->epoch) {
		rule_log_pop(ring); /* whose names nobody knows any more */
	}
	free(sl->told);
	sl->told = NULL;
	if (!has_log(next->config)) {
		write_summary(sl);
		timer_stop(sl->timer);
	} else if (!timer_is_active(sl->timer)) {
		timer_start(sl->timer, LOOK_MS, LOOK_MS);
	}
}

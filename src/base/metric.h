/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms of this process, as Prometheus text (exposition format 0.0.4).
 *
 * A family is made once, at start, and lives as long as the process; its metrics, one per set of
 * label values, are found or made by metric_with(): keep the pointer where it is hot. A metric
 * may be dropped when the object it speaks of is gone. Names are remora_<part>_<noun>_<unit>,
 * counters end in _total. Updates are atomic and may come from any thread; so may all the rest.
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define METRIC_LABELS_MAX  8
#define METRIC_SERIES_MAX  10000 /* per family; what comes later shares one, labelled "other" */
#define METRIC_BUCKETS_MAX 32

struct metric_family;
struct metric;

/* labels: comma-separated names, "" for none. Asking again for the same name gives the same. */
struct metric_family *metric_counter(const char *name, const char *help, const char *labels);
struct metric_family *metric_gauge(const char *name, const char *help, const char *labels);
/* Upper bounds of n buckets, rising; NULL: seconds from 100 us to 10 s. */
struct metric_family *metric_histogram(const char *name, const char *help, const char *labels,
				       const double *bounds, size_t n);

/* One value per label, in their order. For a family without labels: metric_with(f, NULL). */
struct metric *metric_with(struct metric_family *f, const char *const *values);
void metric_remove(struct metric_family *f, const char *const *values);

void metric_add(struct metric *m, uint64_t n);	 /* counter */
void metric_set(struct metric *m, double v);	 /* gauge */
void metric_change(struct metric *m, double by); /* gauge */
void metric_observe(struct metric *m, double v); /* histogram */

static inline void metric_inc(struct metric *m)
{
	metric_add(m, 1);
}

/* fn is called before each metric_text(), to set gauges that are cheaper asked than kept; it runs
 * on the thread that asks. metric_drop_collector() takes the same pair. */
void metric_add_collector(void (*fn)(void *arg), void *arg);
void metric_drop_collector(void (*fn)(void *arg), void *arg);

/* Appends all families in order of name. */
void metric_text(struct buf *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"

enum metric_kind {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_HISTOGRAM
};

static const char *const kind_names[] = { "counter", "gauge", "histogram" };

static const double default_bounds[] = { 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05,
					 0.1,	 0.5,	 1,	5,     10 };

struct metric {
	struct metric_family *family;
	char *labels;	    /* as in the text, without the brackets */
	uint64_t count;	    /* atomic: counter, or number of observations */
	uint64_t value;	    /* atomic: bits of a double: gauge, or sum of observations */
	uint64_t buckets[]; /* atomic; each alone, not yet added up */
};

struct metric_family {
	char *name, *help;
	enum metric_kind kind;
	char *labels[METRIC_LABELS_MAX];
	size_t n_labels;
	double bounds[METRIC_BUCKETS_MAX];
	size_t n_bounds;
	struct map series; /* labels -> struct metric */
};

struct collector {
	void (*fn)(void *arg);
	void *arg;
};

static struct {
	pthread_mutex_t lock; /* guards all here, and every family's series */
	struct map families;
	VEC(struct collector) collectors;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void set_labels(struct metric_family *f, const char *labels)
{
	while (*labels) {
		size_t n = strcspn(labels, ",");
		assert(f->n_labels < METRIC_LABELS_MAX && n > 0);
		f->labels[f->n_labels++] = mem_strndup(labels, n);
		labels += n + (labels[n] == ',');
	}
}

static void check_name(enum metric_kind kind, const char *name)
{
	size_t n = strlen(name);
	assert(strncmp(name, "remora_", 7) == 0);
	assert(name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0');
	bool is_total = n > 6 && strcmp(name + n - 6, "_total") == 0;
	assert(is_total == (kind == METRIC_COUNTER));
}

static struct metric_family *family(enum metric_kind kind, const char *name, const char *help,
				    const char *labels)
{
	check_name(kind, name);
	pthread_mutex_lock(&registry.lock);
	struct metric_family *f = map_get(&registry.families, name);
	if (!f) {
		f = mem_zalloc(sizeof(*f));
		f->name = mem_strdup(name);
		f->help = mem_strdup(help);
		f->kind = kind;
		set_labels(f, labels);
		map_set(&registry.families, name, f);
	}
	assert(f->kind == kind);
	pthread_mutex_unlock(&registry.lock);
	return f;
}

struct metric_family *metric_counter(const char *name, const char *help, const char *labels)
{
	return family(METRIC_COUNTER, name, help, labels);
}

struct metric_family *metric_gauge(const char *name, const char *help, const char *labels)
{
	return family(METRIC_GAUGE, name, help, labels);
}

struct metric_family *metric_histogram(const char *name, const char *help, const char *labels,
				       const double *bounds, size_t n)
{
	struct metric_family *f = family(METRIC_HISTOGRAM, name, help, labels);
	if (!bounds) {
		bounds = default_bounds;
		n = ARRAY_LEN(default_bounds);
	}
	assert(n <= METRIC_BUCKETS_MAX);
	pthread_mutex_lock(&registry.lock);
	if (!f->n_bounds) {
		memcpy(f->bounds, bounds, n * sizeof(*bounds));
		f->n_bounds = n;
	}
	pthread_mutex_unlock(&registry.lock);
	return f;
}

static void add_escaped(struct buf *out, const char *s, bool is_label)
{
	for (; *s; s++) {
		if (*s == '\n') {
			buf_adds(out, "\\n");
		} else if (*s == '\\' || (*s == '"' && is_label)) {
			buf_addc(out, '\\');
			buf_addc(out, *s);
		} else {
			buf_addc(out, *s);
		}
	}
}

static char *labels_text(const struct metric_family *f, const char *const *values)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < f->n_labels; i++) {
		buf_addf(&b, "%s%s=\"", i ? "," : "", f->labels[i]);
		add_escaped(&b, values[i], true);
		buf_addc(&b, '"');
	}
	return buf_take(&b);
}

struct metric *metric_with(struct metric_family *f, const char *const *values)
{
	static const char *const other[METRIC_LABELS_MAX] = { "other", "other", "other", "other",
							      "other", "other", "other", "other" };
	assert(values || f->n_labels == 0);
	char *labels = labels_text(f, values);
	pthread_mutex_lock(&registry.lock);
	struct metric *m = map_get(&f->series, labels);
	if (!m && map_n(&f->series) >= METRIC_SERIES_MAX) {
		free(labels);
		labels = labels_text(f, other);
		m = map_get(&f->series, labels);
	}
	if (!m) {
		m = mem_zalloc(sizeof(*m) + f->n_bounds * sizeof(m->buckets[0]));
		m->family = f;
		m->labels = labels;
		map_set(&f->series, labels, m);
		labels = NULL;
	}
	pthread_mutex_unlock(&registry.lock);
	free(labels);
	return m;
}

void metric_remove(struct metric_family *f, const char *const *values)
{
	char *labels = labels_text(f, values);
	pthread_mutex_lock(&registry.lock);
	struct metric *m = map_remove(&f->series, labels);
	pthread_mutex_unlock(&registry.lock);
	if (m) {
		free(m->labels);
		free(m);
	}
	free(labels);
}

static double double_from_bits(uint64_t bits)
{
	double v;
	memcpy(&v, &bits, sizeof(v));
	return v;
}

static uint64_t bits_from_double(double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

/* clang-tidy does not see that the exchange writes. */
static void add_double(uint64_t *to /* NOLINT(readability-non-const-parameter) */, double by)
{
	uint64_t old = __atomic_load_n(to, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(to, &old, bits_from_double(double_from_bits(old) + by),
					    true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
}

void metric_add(struct metric *m, uint64_t n)
{
	__atomic_fetch_add(&m->count, n, __ATOMIC_RELAXED);
}

void metric_set(struct metric *m, double v)
{
	__atomic_store_n(&m->value, bits_from_double(v), __ATOMIC_RELAXED);
}

void metric_change(struct metric *m, double by)
{
	add_double(&m->value, by);
}

void metric_observe(struct metric *m, double v)
{
	const struct metric_family *f = m->family;
	for (size_t i = 0; i < f->n_bounds; i++) {
		if (v <= f->bounds[i]) {
			__atomic_fetch_add(&m->buckets[i], 1, __ATOMIC_RELAXED);
			break;
		}
	}
	__atomic_fetch_add(&m->count, 1, __ATOMIC_RELAXED);
	add_double(&m->value, v);
}

void metric_add_collector(void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&registry.lock);
	vec_push(&registry.collectors, (struct collector){ fn, arg });
	pthread_mutex_unlock(&registry.lock);
}

void metric_drop_collector(void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&registry.lock);
	for (size_t i = 0; i < registry.collectors.n; i++) {
		if (registry.collectors.items[i].fn == fn &&
		    registry.collectors.items[i].arg == arg) {
			vec_remove(&registry.collectors, i);
			break;
		}
	}
	pthread_mutex_unlock(&registry.lock);
}

/* Collectors set metrics, which takes the lock; so they run on a copy, without it. */
static void run_collectors(void)
{
	VEC(struct collector) copy = { 0 };
	pthread_mutex_lock(&registry.lock);
	vec_each (&registry.collectors, c) {
		vec_push(&copy, *c);
	}
	pthread_mutex_unlock(&registry.lock);
	vec_each (&copy, c) {
		c->fn(c->arg);
	}
	vec_free(&copy);
}

static void add_number(struct buf *out, double v)
{
	if (isfinite(v)) {
		buf_addf(out, "%.15g", v);
	} else {
		buf_adds(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
	}
}

/* `name_suffix{labels,le="…"} ` up to the value. */
static void add_series(struct buf *out, const struct metric *m, const char *suffix, const char *le)
{
	bool has_labels = m->labels[0] != '\0';
	buf_addf(out, "%s%s", m->family->name, suffix);
	if (has_labels || le) {
		buf_addf(out, "{%s%s", m->labels, has_labels && le ? "," : "");
		if (le) {
			buf_addf(out, "le=\"%s\"", le);
		}
		buf_addc(out, '}');
	}
	buf_addc(out, ' ');
}

static void add_histogram(struct buf *out, const struct metric *m)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < m->family->n_bounds; i++) {
		struct buf le = BUF_INIT;
		add_number(&le, m->family->bounds[i]);
		add_series(out, m, "_bucket", le.data);
		sum += __atomic_load_n(&m->buckets[i], __ATOMIC_RELAXED);
		buf_add_u64(out, sum);
		buf_addc(out, '\n');
		buf_free(&le);
	}
	/* Updates come in between: the last bucket must not be less than the one before. */
	uint64_t count = MAX(sum, __atomic_load_n(&m->count, __ATOMIC_RELAXED));
	add_series(out, m, "_bucket", "+Inf");
	buf_addf(out, "%ju\n", (uintmax_t)count);
	add_series(out, m, "_sum", NULL);
	add_number(out, double_from_bits(__atomic_load_n(&m->value, __ATOMIC_RELAXED)));
	buf_addc(out, '\n');
	add_series(out, m, "_count", NULL);
	buf_addf(out, "%ju\n", (uintmax_t)count);
}

static void add_metric(struct buf *out, const struct metric *m)
{
	if (m->family->kind == METRIC_HISTOGRAM) {
		add_histogram(out, m);
		return;
	}
	add_series(out, m, "", NULL);
	if (m->family->kind == METRIC_COUNTER) {
		buf_add_u64(out, __atomic_load_n(&m->count, __ATOMIC_RELAXED));
	} else {
		add_number(out, double_from_bits(__atomic_load_n(&m->value, __ATOMIC_RELAXED)));
	}
	buf_addc(out, '\n');
}

static int compare_families(const void *a, const void *b)
{
	const struct metric_family *const *x = a;
	const struct metric_family *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

void metric_text(struct buf *out)
{
	VEC(const struct metric_family *) all = { 0 };
	run_collectors();
	pthread_mutex_lock(&registry.lock);
	map_each (&registry.families, e) {
		vec_push(&all, e->value);
	}
	vec_sort(&all, compare_families);
	vec_each (&all, f) {
		buf_addf(out, "# HELP %s ", (*f)->name);
		add_escaped(out, (*f)->help, false);
		buf_addf(out, "\n# TYPE %s %s\n", (*f)->name, kind_names[(*f)->kind]);
		map_each (&(*f)->series, e) {
			add_metric(out, e->value);
		}
	}
	pthread_mutex_unlock(&registry.lock);
	vec_free(&all);
}

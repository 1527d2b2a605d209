/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/vec.h"

#define US_PER_S      1000000
#define TEXT_MAX      4096 /* bytes of one message before escaping */
#define SPEC_PARTS    64
#define SPEC_NAME_MAX 64

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const int journal_priority[] = { 3, 4, 6, 7 }; /* sd-daemon(3) */

static struct {
	pthread_mutex_t lock; /* guards all below, and every log_limit */
	struct log_module *modules;
	int default_level; /* of modules that come later */
	int file_fd;
	char *file_path; /* NULL: none */
	uint64_t n_written;
	bool is_stderr_off;
	int in_journal; /* -1: not yet known */
	void (*sink)(void *arg, enum log_level level, const char *line);
	void *sink_arg;
} state = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.default_level = LOG_INFO,
	.file_fd = -1,
	.in_journal = -1,
};

void log_register(struct log_module *m)
{
	pthread_mutex_lock(&state.lock);
	m->level = state.default_level;
	m->next = state.modules;
	state.modules = m;
	pthread_mutex_unlock(&state.lock);
}

/* Whether stderr is the journal's stream, as systemd.exec(5) tells by JOURNAL_STREAM. */
static bool is_in_journal(void)
{
	if (state.in_journal < 0) {
		const char *stream = getenv("JOURNAL_STREAM");
		struct stat st;
		char here[64] = "";
		if (stream && fstat(STDERR_FILENO, &st) == 0) {
			snprintf(here, sizeof(here), "%ju:%ju", (uintmax_t)st.st_dev,
				 (uintmax_t)st.st_ino);
		}
		state.in_journal = stream && strcmp(stream, here) == 0;
	}
	return state.in_journal > 0;
}

static void add_time(struct buf *out, int64_t wall_us)
{
	time_t s = (time_t)(wall_us / US_PER_S);
	struct tm tm;
	gmtime_r(&s, &tm);
	buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ ", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_us % US_PER_S));
}

static void add_escaped(struct buf *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			buf_addf(out, "\\x%02x", c);
		} else {
			buf_addc(out, *s);
		}
	}
}

static void write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done <= 0) {
			return; /* nobody to tell */
		}
		p += done;
		n -= (size_t)done;
	}
}

static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

/* With the lock held. The file is PATH.1 from now on, unless another process that writes it was
 * first; where no new one can be made the old one goes on. */
static void turn_file_over(void)
{
	char old[PATH_MAX];
	struct stat ours, there;
	int fd = -1;
	if (fstat(state.file_fd, &ours) != 0) {
		return;
	}
	state.n_written = (uint64_t)ours.st_size;
	bool is_there = stat(state.file_path, &there) == 0 && there.st_dev == ours.st_dev &&
			there.st_ino == ours.st_ino;
	if (is_there && state.n_written <= LOG_FILE_MAX) {
		return;
	}
	int n = snprintf(old, sizeof(old), "%s.1", state.file_path);
	if (n > 0 && (size_t)n < sizeof(old) && (!is_there || rename(state.file_path, old) == 0)) {
		fd = open_file(state.file_path);
	}
	state.n_written = 0; /* tried again after as much */
	if (fd >= 0) {
		close(state.file_fd);
		state.file_fd = fd;
	}
}

/* With the lock held. */
static void write_line(enum log_level level, const char *name, const char *text)
{
	struct buf line = BUF_INIT;
	add_time(&line, clock_wall_us(clock_real()));
	size_t stamp = line.len;
	buf_addf(&line, "%s %s: ", level_names[level], name);
	add_escaped(&line, text);
	if (state.sink) {
		state.sink(state.sink_arg, level, line.data);
	}
	buf_addc(&line, '\n');
	if (state.file_fd >= 0) {
		write_all(state.file_fd, line.data, line.len);
		state.n_written += line.len;
		if (state.n_written > LOG_FILE_MAX) {
			turn_file_over();
		}
	}
	if (!state.is_stderr_off && is_in_journal()) {
		struct buf entry = BUF_INIT;
		buf_addf(&entry, "<%d>%s", journal_priority[level], line.data + stamp);
		write_all(STDERR_FILENO, entry.data, entry.len);
		buf_free(&entry);
	} else if (!state.is_stderr_off) {
		write_all(STDERR_FILENO, line.data, line.len);
	}
	buf_free(&line);
}

void log_write(const struct log_module *m, enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	char text[TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&state.lock);
	write_line(level, m->name, text);
	pthread_mutex_unlock(&state.lock);
	errno = saved;
}

bool log_limit_pass(struct log_limit *l, const struct log_module *m, enum log_level level)
{
	int64_t now = clock_mono_us(clock_real());
	pthread_mutex_lock(&state.lock);
	if (l->n == 0 || now - l->since_us >= LOG_LIMIT_MS * 1000LL) {
		l->since_us = now;
		l->n = 0;
	}
	bool ok = l->n < LOG_LIMIT_BURST;
	if (!ok) {
		l->n_dropped++;
	} else {
		l->n++;
	}
	if (ok && l->n_dropped) {
		char text[64];
		snprintf(text, sizeof(text), "%u lines like the next were left out", l->n_dropped);
		l->n_dropped = 0;
		write_line(level, m->name, text);
	}
	pthread_mutex_unlock(&state.lock);
	return ok;
}

static bool level_from_name(const char *name, size_t n, int *out)
{
	for (size_t i = 0; i != ARRAY_LEN(level_names); i++) {
		if (strlen(level_names[i]) == n && memcmp(level_names[i], name, n) == 0) {
			*out = (int)i;
			return true;
		}
	}
	return false;
}

struct spec_part {
	char name[SPEC_NAME_MAX];
	int level;
};

static bool is_module(const char *name)
{
	for (const struct log_module *m = state.modules; m; m = m->next) {
		if (strcmp(m->name, name) == 0) {
			return true;
		}
	}
	return strcmp(name, "*") == 0;
}

/* One "module=level" or "level" of n bytes. */
static bool parse_part(const char *s, size_t n, struct spec_part *out, struct error *e)
{
	const char *eq = memchr(s, '=', n);
	size_t n_name = eq ? (size_t)(eq - s) : 0;
	const char *level = eq ? eq + 1 : s;
	size_t n_level = n - (size_t)(level - s);
	int shown = n > 80 ? 80 : (int)n;
	if (n_name >= sizeof(out->name) || (eq && n_name == 0)) {
		return error_set(e, ERROR_INVALID, "log level \"%.*s\": bad module name", shown, s);
	}
	if (!level_from_name(level, n_level, &out->level)) {
		return error_set(e, ERROR_INVALID,
				 "log level \"%.*s\": not one of error, warn, info, debug", shown,
				 s);
	}
	memcpy(out->name, eq ? s : "*", eq ? n_name : 1);
	out->name[eq ? n_name : 1] = '\0';
	if (!is_module(out->name)) {
		return error_set(e, ERROR_NOT_FOUND,
				 "log module \"%s\": there is none of this name", out->name);
	}
	return true;
}

static void apply_part(const struct spec_part *part)
{
	bool is_all = strcmp(part->name, "*") == 0;
	if (is_all) {
		state.default_level = part->level;
	}
	for (struct log_module *m = state.modules; m; m = m->next) {
		if (is_all || strcmp(m->name, part->name) == 0) {
			__atomic_store_n(&m->level, part->level, __ATOMIC_RELAXED);
		}
	}
}

bool log_set_level(const char *spec, struct error *e)
{
	struct spec_part parts[SPEC_PARTS];
	size_t n = 0;
	bool ok = true;
	pthread_mutex_lock(&state.lock);
	for (const char *s = spec; ok; s += strcspn(s, ",") + 1) {
		size_t len = strcspn(s, ",");
		if (n == SPEC_PARTS) {
			ok = error_set(e, ERROR_LIMIT, "log levels: more than %d parts",
				       SPEC_PARTS);
		} else {
			ok = parse_part(s, len, &parts[n++], e);
		}
		if (!s[len]) {
			break;
		}
	}
	for (size_t i = 0; ok && i < n; i++) {
		apply_part(&parts[i]);
	}
	pthread_mutex_unlock(&state.lock);
	return ok;
}

static int compare_modules(const void *a, const void *b)
{
	const struct log_module *const *x = a;
	const struct log_module *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

void log_get_levels(struct buf *out)
{
	VEC(const struct log_module *) all = { 0 };
	pthread_mutex_lock(&state.lock);
	for (const struct log_module *m = state.modules; m; m = m->next) {
		vec_push(&all, m);
	}
	vec_sort(&all, compare_modules);
	const char *last = NULL;
	vec_each (&all, m) {
		if (last && strcmp(last, (*m)->name) == 0) {
			continue; /* files that share a name share the level */
		}
		buf_addf(out, "%s%s=%s", last ? "," : "", (*m)->name, level_names[(*m)->level]);
		last = (*m)->name;
	}
	pthread_mutex_unlock(&state.lock);
	vec_free(&all);
}

bool log_set_file(const char *path, struct error *e)
{
	int fd = -1;
	if (path) {
		fd = open_file(path);
		if (fd < 0) {
			return error_set_sys(e, errno, "log file \"%s\"", path);
		}
	}
	struct stat st;
	char *copy = path ? mem_strdup(path) : NULL;
	pthread_mutex_lock(&state.lock);
	int old = state.file_fd;
	free(state.file_path);
	state.file_path = copy;
	state.file_fd = fd;
	state.n_written = fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	pthread_mutex_unlock(&state.lock);
	if (old >= 0) {
		close(old);
	}
	return true;
}

void log_set_stderr(bool is_on)
{
	pthread_mutex_lock(&state.lock);
	state.is_stderr_off = !is_on;
	pthread_mutex_unlock(&state.lock);
}

void log_set_sink(void (*fn)(void *arg, enum log_level level, const char *line), void *arg)
{
	pthread_mutex_lock(&state.lock);
	state.sink = fn;
	state.sink_arg = arg;
	pthread_mutex_unlock(&state.lock);
}

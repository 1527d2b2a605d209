/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line an event, to stderr and, where asked, to a file.
 *
 * A file names its module once, at the top: LOG_MODULE("qmp"); several files may share a name.
 * A call below its module's level costs one comparison. Lines are
 * `2026-01-31T12:00:00.123456Z info qmp: text`; under systemd's journal the time is left to the
 * journal and the level goes before as <N>. Control characters in the text are written as \xNN:
 * what a client sends cannot forge a line. Any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/macro.h"

#define LOG_FILE_MAX (UINT64_C(32) << 20)

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG
};

struct log_module {
	const char *name;
	int level; /* atomic */
	struct log_module *next;
};

/* Per call site: at most LOG_LIMIT_BURST lines in LOG_LIMIT_MS, then a count of what was left
 * out with the next line. */
#define LOG_LIMIT_BURST 10
#define LOG_LIMIT_MS	10000
struct log_limit {
	int64_t since_us;
	uint32_t n, n_dropped;
};

#define LOG_MODULE(module_name)                                                                    \
	static struct log_module log_module_ = { .name = (module_name), .level = LOG_INFO };       \
	__attribute__((constructor)) static void log_module_register_(void)                        \
	{                                                                                          \
		log_register(&log_module_);                                                        \
	}                                                                                          \
	struct log_module

#define log_is_on(lvl) (__atomic_load_n(&log_module_.level, __ATOMIC_RELAXED) >= (int)(lvl))
#define log_at_(lvl, ...)                                                                          \
	do {                                                                                       \
		if (log_is_on(lvl)) {                                                              \
			log_write(&log_module_, (lvl), __VA_ARGS__);                               \
		}                                                                                  \
	} while (0)
#define log_limited_at_(lvl, ...)                                                                  \
	do {                                                                                       \
		static struct log_limit log_limit_;                                                \
		if (log_is_on(lvl) && log_limit_pass(&log_limit_, &log_module_, (lvl))) {          \
			log_write(&log_module_, (lvl), __VA_ARGS__);                               \
		}                                                                                  \
	} while (0)

#define log_error(...) log_at_(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at_(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at_(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at_(LOG_DEBUG, __VA_ARGS__)

/* For what a client, peer or guest can cause at will. */
#define log_limited_error(...) log_limited_at_(LOG_ERROR, __VA_ARGS__)
#define log_limited_warn(...)  log_limited_at_(LOG_WARN, __VA_ARGS__)
#define log_limited_info(...)  log_limited_at_(LOG_INFO, __VA_ARGS__)
#define log_limited_debug(...) log_limited_at_(LOG_DEBUG, __VA_ARGS__)

/* Levels by module, e.g. "qmp=debug,*=info"; later parts win; a bare level means "*". An unknown
 * level or module is refused and nothing is changed. */
bool log_set_level(const char *spec, struct error *e);

/* Appends "module=level" for every module, comma-separated, in order of name. */
void log_get_levels(struct buf *out);

/* Writes to this file as well (appending, mode 0640); NULL: no longer. Call it again with the
 * same path after rotation. Beyond LOG_FILE_MAX bytes it is renamed to PATH.1, over the one
 * before, and a new one is begun. */
bool log_set_file(const char *path, struct error *e);
void log_set_stderr(bool is_on); /* default: on */

/* Takes each line as well, without its end; called with the log locked. NULL: none. */
void log_set_sink(void (*fn)(void *arg, enum log_level level, const char *line), void *arg);

void log_register(struct log_module *m);
void log_write(const struct log_module *m, enum log_level level, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
bool log_limit_pass(struct log_limit *l, const struct log_module *m, enum log_level level);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/rule_log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/mem.h"

enum {
	LINE_MAX_SIZE = 4096, /* at least as long as any line */
};

struct rule_log_file {
	char *path, *old;
	uint64_t max, size;
	int fd; /* -1: not open */
	dev_t device;
	ino_t inode;
};

struct rule_log_file *rule_log_file_new(const char *path, uint64_t max)
{
	struct rule_log_file *f = mem_zalloc(sizeof(*f));

	f->path = mem_strdup(path);
	f->old = mem_printf("%s.1", path);
	f->max = max;
	f->fd = -1;
	return f;
}

static void shut(struct rule_log_file *f)
{
	if (f->fd >= 0) {
		close(f->fd);
		f->fd = -1;
	}
}

void rule_log_file_free(struct rule_log_file *f)
{
	if (f != NULL) {
		shut(f);
		free(f->path);
		free(f->old);
		free(f);
	}
}

/* What was killed in the middle of a line: that goes. */
static void cut_half_line(struct rule_log_file *f)
{
	char tail[LINE_MAX_SIZE];
	size_t n = (size_t)MIN(f->size, (uint64_t)sizeof(tail));
	ssize_t got = pread(f->fd, tail, n, (off_t)(f->size - n));
	const char *end = got <= 0 ? NULL : memrchr(tail, '\n', (size_t)got);
	uint64_t size = end == NULL ? f->size - n : f->size - n + (uint64_t)(end - tail) + 1;

	if (got == (ssize_t)n && size != f->size && ftruncate(f->fd, (off_t)size) == 0) {
		f->size = size;
	}
}

static bool is_open(struct rule_log_file *f)
{
	struct stat st;

	if (f->fd >= 0 &&
	    (stat(f->path, &st) != 0 || st.st_ino != f->inode || st.st_dev != f->device)) {
		shut(f);
	}
	if (f->fd >= 0) {
		return true;
	}
	f->fd = open(f->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		     0600);
	if (f->fd < 0) {
		return false;
	}
	if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		shut(f);
		return false;
	}
	f->device = st.st_dev;
	f->inode = st.st_ino;
	f->size = (uint64_t)st.st_size;
	cut_half_line(f);
	return true;
}

static bool has_room(struct rule_log_file *f, size_t n)
{
	if (!is_open(f)) {
		return false;
	}
	if (f->size == 0 || f->size + n <= f->max) {
		return true;
	}
	if (rename(f->path, f->old) != 0) {
		return false;
	}
	shut(f);
	return is_open(f);
}

static size_t count_lines(const char *lines, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		count += lines[i] == '\n';
	}
	return count;
}

/* Bytes of whole lines that got in. */
static size_t put(struct rule_log_file *f, const char *lines, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = write(f->fd, lines + done, n - done);
		if (r < 0 && errno == EINTR) {
			continue;
		}
		if (r <= 0) {
			break;
		}
		done += (size_t)r;
	}
	if (done < n) {
		const char *end = done == 0 ? NULL : memrchr(lines, '\n', done);
		done = end == NULL ? 0 : (size_t)(end - lines) + 1;
		if (ftruncate(f->fd, (off_t)(f->size + done)) != 0) {
			shut(f); /* what is half there is looked at when it is opened */
		}
	}
	f->size += done;
	return done;
}

size_t rule_log_file_add(struct rule_log_file *f, const char *lines, size_t n)
{
	size_t done = n > 0 && has_room(f, n) ? put(f, lines, n) : 0;

	return count_lines(lines + done, n - done);
}

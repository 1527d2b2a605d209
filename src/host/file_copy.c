/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/mem.h"
#include "host/datastore_files.h"

/* Between two looks at the cancel flag; also what one copy_file_range() is asked for. */
#define PIECE  (16u << 20)
#define BUFFER (1u << 20)

struct copier {
	const struct file_copy *c;
	struct progress *p;
	char *buffer; /* made when copy_file_range() does not do it */
};

static bool write_all(int fd, const char *data, size_t len, uint64_t at, struct error *e)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, (off_t)at);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return error_set_sys(e, n < 0 ? errno : EIO, "writing");
		}
		data += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

/* Copies up to `want` bytes at `at` (counted from the piece's start); *n of 0: the source ended. */
static bool copy_some(struct copier *k, uint64_t at, size_t want, size_t *n, struct error *e)
{
	const struct file_copy *c = k->c;
	if (k->buffer == NULL) {
		off_t from = (off_t)(c->from_offset + at), to = (off_t)(c->to_offset + at);
		ssize_t rc = copy_file_range(c->from, &from, c->to, &to, want, 0);
		if (rc >= 0) {
			*n = (size_t)rc;
			return true;
		}
		if (errno == EINTR) {
			*n = 0;
			return copy_some(k, at, want, n, e);
		}
		if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP &&
		    errno != EPERM) {
			return error_set_sys(e, errno, "copying");
		}
		k->buffer = mem_alloc(BUFFER);
	}
	ssize_t rc;
	do {
		rc = pread(c->from, k->buffer, MIN(want, BUFFER), (off_t)(c->from_offset + at));
	} while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		return error_set_sys(e, errno, "reading");
	}
	*n = (size_t)rc;
	return write_all(c->to, k->buffer, *n, c->to_offset + at, e);
}

static bool copy_data(struct copier *k, uint64_t at, uint64_t end, struct error *e)
{
	while (at < end) {
		size_t n = 0;
		if (!progress_go_on(k->p, e) ||
		    !copy_some(k, at, (size_t)MIN(end - at, (uint64_t)PIECE), &n, e)) {
			return false;
		}
		if (n == 0) {
			return error_set(e, ERROR_IO, "the source became shorter while copying");
		}
		at += n;
		progress_set(k->p, k->c->before + at, k->c->total);
	}
	return true;
}

/* The next stretch of data at or after `at`: false when there is none. Where the file system knows
 * no holes, all is data. */
static bool next_data(const struct file_copy *c, uint64_t at, uint64_t *start, uint64_t *end)
{
	off_t data = lseek(c->from, (off_t)(c->from_offset + at), SEEK_DATA);
	if (data < 0 && errno == ENXIO) {
		return false;
	}
	if (data < 0) {
		*start = at;
		*end = c->len;
		return true;
	}
	off_t hole = lseek(c->from, data, SEEK_HOLE);
	*start = (uint64_t)data - c->from_offset;
	*end = hole < 0 ? c->len : MIN((uint64_t)hole - c->from_offset, c->len);
	return *start < c->len;
}

bool file_copy(const struct file_copy *c, struct progress *p, struct error *e)
{
	struct copier k = { .c = c, .p = p };
	uint64_t at = 0, start, end;
	bool ok = true;
	while (ok && at < c->len && next_data(c, at, &start, &end)) {
		ok = copy_data(&k, start, end, e);
		at = end;
	}
	free(k.buffer);
	if (ok && ftruncate(c->to, (off_t)(c->to_offset + c->len)) != 0) {
		ok = error_set_sys(e, errno, "setting the length");
	}
	if (ok) {
		progress_set(p, c->before + c->len, c->total);
	}
	return ok;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sparse.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/macro.h"
#include "base/mem.h"
#include "host/vmdk.h"

#define FLAG_ZERO_GRAINS (1u << 2)
#define FLAG_COMPRESSED	 (1u << 16)
#define DIRECTORY_AT_END UINT64_MAX /* then a footer like the header has the place */
#define FOOTER_FROM_END	 1024u	    /* behind it there is the end-of-stream marker */
#define TABLE_MAX	 512	    /* entries; what all writers use */
#define GRAIN_MAX	 (1u << 20) /* bytes */
#define PACKED_MAX	 2097152u   /* bytes of a packed grain */
#define MARKER_SIZE	 12	    /* uint64 LBA, uint32 size, then the data */
#define DIRECTORY_CHUNK	 1024	    /* entries read at a time */
#define DESCRIPTOR_MAX	 (64u << 10)
#define ROOM_STEP	 (64ull << 20) /* bytes between two questions for room */

/* The header's members that are used, decoded. Byte offsets in it as in the technical note. */
struct header {
	uint32_t version, flags, n_per_table;
	uint64_t capacity, grain_sectors, descriptor, n_descriptor, directory; /* sectors */
	uint16_t compression;
};

/* One copy on its way. */
struct copier {
	const struct sparse_image *s;
	int to;
	const struct datastore *room;
	struct progress *p;
	uint64_t used;	  /* bytes of the file that grains took so far */
	uint64_t written; /* bytes since the room was asked for */
	char *grain, *packed;
};

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const unsigned char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static bool read_at(const struct sparse_image *s, uint64_t at, void *out, size_t len,
		    const char *what, struct error *e)
{
	if (at > s->size || len > s->size - at) {
		return error_set(e, ERROR_CORRUPT,
				 "the image is truncated: %s would be at byte %" PRIu64
				 ", it has %" PRIu64,
				 what, at, s->size);
	}
	for (char *to = out; len > 0;) {
		ssize_t n = pread(s->fd, to, len, (off_t)at);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return error_set_sys(e, n < 0 ? errno : EIO, "reading %s", what);
		}
		to += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

/* ---- opening ---- */

static bool read_header(const struct sparse_image *s, uint64_t at, struct header *out,
			struct error *e)
{
	unsigned char b[VMDK_SECTOR];
	if (!read_at(s, at, b, sizeof(b), "the header", e)) {
		return false;
	}
	if (memcmp(b, "COWD", 4) == 0) {
		return error_set(e, ERROR_UNSUPPORTED, "a COWD image is not supported");
	}
	if (memcmp(b, "KDMV", 4) != 0) {
		return error_set(e, ERROR_CORRUPT, "the image has no KDMV at byte %" PRIu64, at);
	}
	/* These four are there to show what a transfer as text does to a file. */
	if (memcmp(b + 73, "\n \r\n", 4) != 0) {
		return error_set(e, ERROR_CORRUPT, "the image was damaged by a transfer as text");
	}
	*out = (struct header){
		.version = get32(b + 4),
		.flags = get32(b + 8),
		.capacity = get64(b + 12),
		.grain_sectors = get64(b + 20),
		.descriptor = get64(b + 28),
		.n_descriptor = get64(b + 36),
		.n_per_table = get32(b + 44),
		.directory = get64(b + 56),
		.compression = (uint16_t)(b[77] | b[78] << 8),
	};
	return true;
}

static bool check_header(const struct header *h, struct error *e)
{
	bool compressed = (h->flags & FLAG_COMPRESSED) != 0;
	if (h->version < 1 || h->version > 3) {
		return error_set(e, ERROR_UNSUPPORTED, "image version %u is not supported",
				 h->version);
	}
	if (compressed && h->compression != 1) {
		return error_set(e, ERROR_UNSUPPORTED, "compression %u is not supported",
				 (unsigned)h->compression);
	}
	if (h->capacity == 0 || h->capacity > VMDK_CAPACITY_MAX / VMDK_SECTOR) {
		return error_set(e, ERROR_LIMIT,
				 "the image's disk has %" PRIu64
				 " sectors, it may have 1 to 62 TiB",
				 h->capacity);
	}
	if (h->grain_sectors < 8 || h->grain_sectors > GRAIN_MAX / VMDK_SECTOR ||
	    (h->grain_sectors & (h->grain_sectors - 1)) != 0) {
		return error_set(e, ERROR_CORRUPT, "grains of %" PRIu64 " sectors",
				 h->grain_sectors);
	}
	if (h->n_per_table < 1 || h->n_per_table > TABLE_MAX) {
		return error_set(e, ERROR_CORRUPT, "grain tables of %u entries", h->n_per_table);
	}
	return true;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

static uint64_t count_tables(const struct sparse_image *s)
{
	return divide_up(divide_up(s->capacity, s->grain_size), s->n_per_table);
}

/* The descriptor inside says what the disk was made for; nothing depends on it. */
static void read_descriptor(struct sparse_image *s, const struct header *h)
{
	uint64_t len = h->n_descriptor * VMDK_SECTOR;
	if (h->n_descriptor == 0 || h->n_descriptor > DESCRIPTOR_MAX / VMDK_SECTOR ||
	    h->descriptor > s->size / VMDK_SECTOR) {
		return;
	}
	char *text = mem_alloc(len);
	if (read_at(s, h->descriptor * VMDK_SECTOR, text, len, "the descriptor", NULL)) {
		struct vmdk *d = vmdk_parse(text, strnlen(text, len), NULL);
		const char *adapter = d != NULL ? vmdk_get(d, "ddb.adapterType") : NULL;
		if (adapter != NULL && vmdk_adapter_is_known(adapter)) {
			snprintf(s->adapter_type, sizeof(s->adapter_type), "%.31s", adapter);
		}
		vmdk_free(d);
	}
	free(text);
}

bool sparse_open(int fd, struct sparse_image *out, struct error *e)
{
	struct stat st;
	struct header h;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		return error_set(e, ERROR_INVALID, "the image is not a regular file");
	}
	struct sparse_image s = { .fd = fd, .size = (uint64_t)st.st_size };
	if (!read_header(&s, 0, &h, e) || !check_header(&h, e)) {
		return false;
	}
	read_descriptor(&s, &h);
	if (h.directory == DIRECTORY_AT_END) {
		uint64_t at = s.size >= FOOTER_FROM_END ? s.size - FOOTER_FROM_END : s.size;
		if (!read_header(&s, at, &h, e) || !check_header(&h, e)) {
			return error_prefix(e, "the footer: ");
		}
	}
	s.capacity = h.capacity * VMDK_SECTOR;
	s.grain_size = h.grain_sectors * VMDK_SECTOR;
	s.n_per_table = h.n_per_table;
	s.is_compressed = (h.flags & FLAG_COMPRESSED) != 0;
	s.has_zero_grains = (h.flags & FLAG_ZERO_GRAINS) != 0;
	if (h.directory == 0 || h.directory > s.size / VMDK_SECTOR ||
	    count_tables(&s) * 4 > s.size - h.directory * VMDK_SECTOR) {
		return error_set(e, ERROR_CORRUPT,
				 "the image is truncated: its grain directory of %" PRIu64
				 " entries would be at sector %" PRIu64,
				 count_tables(&s), h.directory);
	}
	s.directory = h.directory * VMDK_SECTOR;
	*out = s;
	return true;
}

/* ---- copying ---- */

/* Counts what grains take of the file: honest ones do not overlap, so the sum has a limit. */
static bool count_used(struct copier *k, uint64_t bytes, struct error *e)
{
	k->used += bytes;
	return k->used <= k->s->size || error_set(e, ERROR_CORRUPT, "grains of the image overlap");
}

static bool inflate_grain(struct copier *k, uint64_t at, uint64_t lba, size_t *n, struct error *e)
{
	unsigned char marker[MARKER_SIZE];
	if (!read_at(k->s, at, marker, sizeof(marker), "a grain", e)) {
		return false;
	}
	uint32_t len = get32(marker + 8);
	if (get64(marker) != lba || len == 0 || len > PACKED_MAX) {
		return error_set(e, ERROR_CORRUPT,
				 "the grain at byte %" PRIu64 " is not that of sector %" PRIu64, at,
				 lba);
	}
	if (!count_used(k, MARKER_SIZE + len, e) ||
	    !read_at(k->s, at + MARKER_SIZE, k->packed, len, "a grain", e)) {
		return false;
	}
	uLongf n_out = k->s->grain_size;
	int rc = uncompress((Bytef *)k->grain, &n_out, (const Bytef *)k->packed, len);
	if (rc != Z_OK) {
		return error_set(e, ERROR_CORRUPT, "the grain at byte %" PRIu64 " does not unpack",
				 at);
	}
	*n = n_out;
	return true;
}

static bool is_zero(const char *data, size_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static bool ask_for_room(struct copier *k, size_t len, struct error *e)
{
	if (k->room != NULL && k->written >= ROOM_STEP) {
		if (!datastore_has_room(k->room, len, e)) {
			return false;
		}
		k->written = 0;
	}
	k->written += len;
	return true;
}

static bool write_grain(struct copier *k, uint64_t where, size_t len, struct error *e)
{
	const char *data = k->grain;
	len = MIN(len, (size_t)(k->s->capacity - where));
	if (is_zero(data, len)) {
		return true;
	}
	if (!ask_for_room(k, len, e)) {
		return false;
	}
	while (len > 0) {
		ssize_t n = pwrite(k->to, data, len, (off_t)where);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return error_set_sys(e, n < 0 ? errno : EIO, "writing");
		}
		data += n;
		where += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

/* `sector`: where the grain is in the file; `index`: which one of the disk it is. */
static bool copy_grain(struct copier *k, uint32_t sector, uint64_t index, struct error *e)
{
	const struct sparse_image *s = k->s;
	uint64_t at = (uint64_t)sector * VMDK_SECTOR, where = index * s->grain_size;
	size_t len = s->grain_size;
	if (s->is_compressed) {
		if (!inflate_grain(k, at, where / VMDK_SECTOR, &len, e)) {
			return false;
		}
	} else {
		/* The last grain may end with the disk. */
		len = MIN(len, (size_t)(s->capacity - where));
		if (!count_used(k, len, e) || !read_at(s, at, k->grain, len, "a grain", e)) {
			return false;
		}
	}
	return write_grain(k, where, len, e);
}

static bool copy_table(struct copier *k, uint32_t sector, uint64_t first, struct error *e)
{
	const struct sparse_image *s = k->s;
	unsigned char table[TABLE_MAX * 4];
	uint64_t n_grains = divide_up(s->capacity, s->grain_size);
	uint64_t n = MIN(n_grains - first, (uint64_t)s->n_per_table);
	if (!progress_go_on(k->p, e) ||
	    !read_at(s, (uint64_t)sector * VMDK_SECTOR, table, n * 4, "a grain table", e)) {
		return false;
	}
	for (uint64_t i = 0; i < n; i++) {
		uint32_t grain = get32(table + i * 4);
		if (grain == 0 || (grain == 1 && s->has_zero_grains)) {
			continue;
		}
		if (!progress_go_on(k->p, e) || !copy_grain(k, grain, first + i, e)) {
			return false;
		}
	}
	progress_set(k->p, MIN((first + n) * s->grain_size, s->capacity), s->capacity);
	return true;
}

static bool copy_tables(struct copier *k, struct error *e)
{
	const struct sparse_image *s = k->s;
	unsigned char chunk[DIRECTORY_CHUNK * 4];
	uint64_t n_tables = count_tables(s);
	for (uint64_t i = 0; i < n_tables; i++) {
		size_t in_chunk = (size_t)(i % DIRECTORY_CHUNK);
		size_t n = (size_t)MIN(n_tables - i, (uint64_t)DIRECTORY_CHUNK);
		if (in_chunk == 0 &&
		    !read_at(s, s->directory + i * 4, chunk, n * 4, "the grain directory", e)) {
			return false;
		}
		uint32_t table = get32(chunk + in_chunk * 4);
		if (table != 0 && !copy_table(k, table, i * s->n_per_table, e)) {
			return false;
		}
	}
	return true;
}

bool sparse_copy(const struct sparse_image *s, int to, const struct datastore *room,
		 struct progress *p, struct error *e)
{
	struct copier k = { .s = s, .to = to, .room = room, .p = p, .written = ROOM_STEP };
	k.grain = mem_alloc(s->grain_size);
	k.packed = mem_alloc(PACKED_MAX);
	bool ok = copy_tables(&k, e);
	free(k.grain);
	free(k.packed);
	if (ok && ftruncate(to, (off_t)s->capacity) != 0) {
		ok = error_set_sys(e, errno, "setting the length");
	}
	return ok;
}

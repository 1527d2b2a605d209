/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of a disk's files, and what datastore_recover() makes of each:
 *   none -> declared        disk_declare(): a .remora-disk- file names the extents to come
 *   declared -> filled      the extent has its final name and its data; recover: removed
 *   filled -> valid         place_commit(): the declaration becomes the descriptor
 *   valid -> gone           disk_delete(): the descriptor becomes a declaration; recover: removed
 * Invariants:
 *   1. An extent exists only while a descriptor or a declaration in its folder names it.
 *   2. A declaration never removes what a descriptor names.
 *   3. A descriptor is replaced, never changed, and only after the data it speaks of is on disk.
 */
#include "host/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "base/uuid.h"
#include "host/disk_impl.h"

#define RESERVE_STEP (1ull << 30) /* bytes between two looks at the cancel flag */

static const char suffix[] = ".vmdk";
static const char eager_key[] = "ddb.remora.eagerZeroed";

bool disk_seat_open(const struct disk_place *at, struct disk_seat *out, struct error *e)
{
	if (!datastore_path_check(at->path, out->path, e)) {
		return false;
	}
	size_t len = strlen(out->path), n = sizeof(suffix) - 1;
	if (len <= n || strcasecmp(out->path + len - n, suffix) != 0 ||
	    out->path[len - n - 1] == '/') {
		return error_set(e, ERROR_NAME, "disk \"%.120s\": the name has to end in .vmdk",
				 out->path);
	}
	out->ds = at->datastore;
	return place_open(datastore_root(at->datastore), out->path, &out->place, e);
}

void disk_seat_close(struct disk_seat *s)
{
	place_close(&s->place);
}

bool disk_seat_check_free(const struct disk_seat *s, struct error *e)
{
	struct stat st;
	if (fstatat(s->place.folder, s->place.name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		return error_set(e, ERROR_EXISTS, "disk \"%.120s\" is there already", s->path);
	}
	return errno == ENOENT || error_set_sys(e, errno, "disk \"%.120s\"", s->path);
}

struct vmdk *disk_seat_load(const struct disk_seat *s, struct error *e)
{
	struct vmdk *d = vmdk_load(s->place.folder, s->place.name, e);
	if (d != NULL && !vmdk_check(d, s->place.folder, s->place.name, e)) {
		vmdk_free(d);
		d = NULL;
	}
	return d;
}

static bool is_free(int folder, const char *name)
{
	struct stat st;
	return folder < 0 ||
	       (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT);
}

bool disk_extent_name(const struct disk_seat *s, int also, char out[256], struct error *e)
{
	char mark[10] = "";
	int base = (int)(strlen(s->place.name) - (sizeof(suffix) - 1));
	for (int i = 0; i < 8; i++) {
		int n = snprintf(out, 256, "%.*s%s-flat.vmdk", base, s->place.name, mark);
		if (n > DATASTORE_COMPONENT_MAX) {
			return error_set(e, ERROR_NAME, "disk \"%.120s\": the name is too long",
					 s->path);
		}
		if (is_free(s->place.folder, out) && is_free(also, out)) {
			return true;
		}
		mark[0] = '-';
		random_hex(mark + 1, 4);
	}
	return error_set(e, ERROR_EXISTS, "disk \"%.120s\": no free name for its data", s->path);
}

bool disk_declare(const struct disk_seat *s, const struct vmdk *d, char temp[DATASTORE_TEMP_SIZE],
		  struct error *e)
{
	struct buf b = BUF_INIT;
	vmdk_write(d, &b);
	struct file_content c = { .data = b.data, .n = b.len, .mode = 0600 };
	place_temp_name("disk", temp);
	bool ok = place_write_temp(&s->place, temp, &c, e);
	buf_free(&b);
	if (ok && fsync(s->place.folder) != 0) {
		ok = error_set_sys(e, errno, "disk \"%.120s\"", s->path);
		unlinkat(s->place.folder, temp, 0);
	}
	return ok;
}

/* ---- making ---- */

static bool check_room(const struct disk_seat *s, const struct disk_spec *spec, struct error *e)
{
	/* A thin disk takes next to nothing now. */
	uint64_t bytes = spec->format == DISK_THIN ? 4096 : spec->capacity;
	return datastore_has_room(s->ds, bytes, e) || error_prefix(e, "disk \"%.80s\": ", s->path);
}

static bool open_extent(struct disk_draft *f, struct error *e)
{
	f->fd = openat(f->seat.place.folder, f->d->extents[0].file,
		       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return f->fd >= 0 || error_set_sys(e, errno, "disk \"%.120s\"", f->seat.path);
}

bool disk_draft_open(const struct disk_place *at, const struct disk_spec *s, bool force,
		     struct disk_draft *f, struct error *e)
{
	char extent[256];
	*f = (struct disk_draft){ .fd = -1 };
	if (!disk_seat_open(at, &f->seat, e)) {
		return false;
	}
	bool ok = (force || disk_seat_check_free(&f->seat, e)) &&
		  disk_extent_name(&f->seat, -1, extent, e);
	if (ok) {
		struct vmdk_spec spec = { .capacity = s->capacity,
					  .extent_file = extent,
					  .adapter_type = s->adapter_type,
					  .thin = s->format == DISK_THIN };
		f->d = vmdk_new(&spec, e);
		ok = f->d != NULL || error_prefix(e, "disk \"%.80s\": ", f->seat.path);
	}
	if (ok && s->format == DISK_EAGER_ZEROED) {
		ok = vmdk_set(f->d, eager_key, "1", e);
	}
	ok = ok && check_room(&f->seat, s, e) && disk_declare(&f->seat, f->d, f->temp, e);
	if (!ok) {
		vmdk_free(f->d);
		disk_seat_close(&f->seat);
		return false;
	}
	return open_extent(f, e) || disk_draft_end(f, false, force, e);
}

/* The old disk's extents are declared before its descriptor is replaced, and go afterwards. */
static bool commit_over(struct disk_draft *f, struct error *e)
{
	struct vmdk *old = vmdk_load(f->seat.place.folder, f->seat.place.name, NULL);
	char old_temp[DATASTORE_TEMP_SIZE];
	if (old != NULL && !disk_declare(&f->seat, old, old_temp, e)) {
		vmdk_free(old);
		return false;
	}
	bool ok = place_commit(&f->seat.place, f->temp, true, f->seat.path, e);
	if (old != NULL) {
		place_settle_disk(f->seat.place.folder, old_temp, NULL);
	}
	vmdk_free(old);
	return ok;
}

bool disk_draft_end(struct disk_draft *f, bool ok, bool force, struct error *e)
{
	if (ok && fsync(f->fd) != 0) {
		ok = error_set_sys(e, errno, "disk \"%.120s\"", f->seat.path);
	}
	if (f->fd >= 0) {
		close(f->fd);
	}
	if (ok) {
		ok = force ? commit_over(f, e)
			   : place_commit(&f->seat.place, f->temp, false, f->seat.path, e);
	}
	if (!ok) {
		place_settle_disk(f->seat.place.folder, f->temp, NULL);
	}
	vmdk_free(f->d);
	disk_seat_close(&f->seat);
	return ok;
}

bool disk_reserve(int fd, uint64_t at, uint64_t end, struct progress *p, struct error *e)
{
	uint64_t start = at;
	while (at < end) {
		uint64_t n = MIN(end - at, (uint64_t)RESERVE_STEP);
		if (!progress_go_on(p, e)) {
			return false;
		}
		int rc = fallocate(fd, 0, (off_t)at, (off_t)n);
		if (rc != 0 && errno == EINTR) {
			continue;
		}
		if (rc != 0) {
			return error_set_sys(e, errno, "reserving %" PRIu64 " bytes", end - start);
		}
		at += n;
		progress_set(p, at - start, end - start);
	}
	return true;
}

bool disk_create(const struct disk_place *at, const struct disk_spec *s, struct progress *p,
		 struct error *e)
{
	struct disk_draft f;
	if (!disk_draft_open(at, s, false, &f, e)) {
		return false;
	}
	bool ok = ftruncate(f.fd, (off_t)s->capacity) == 0 ||
		  error_set_sys(e, errno, "disk \"%.120s\"", f.seat.path);
	if (ok && s->format != DISK_THIN) {
		ok = disk_reserve(f.fd, 0, s->capacity, p, e) ||
		     error_prefix(e, "disk \"%.80s\": ", f.seat.path);
	}
	return disk_draft_end(&f, ok, false, e);
}

/* ---- looking ---- */

enum disk_format disk_format_of(const struct vmdk *d)
{
	const char *eager = vmdk_get(d, eager_key);
	if (vmdk_is_thin(d)) {
		return DISK_THIN;
	}
	return eager != NULL && strcmp(eager, "1") == 0 ? DISK_EAGER_ZEROED : DISK_LAZY_ZEROED;
}

static uint64_t allocated_bytes(int folder, const struct vmdk *d)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < d->n_extents; i++) {
		struct stat st;
		if (fstatat(folder, d->extents[i].file, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			sum += (uint64_t)st.st_blocks * 512;
		}
	}
	return sum;
}

bool disk_query(const struct disk_place *at, struct disk_info *out, struct error *e)
{
	struct disk_seat s;
	struct disk_info info = { 0 };
	if (!disk_seat_open(at, &s, e)) {
		return false;
	}
	struct vmdk *d = disk_seat_load(&s, e);
	bool ok = d != NULL && vmdk_extent_path(s.path, &d->extents[0], info.extent_path, e);
	if (ok) {
		const char *adapter = vmdk_get(d, "ddb.adapterType");
		info.capacity = vmdk_capacity(d);
		info.allocated = allocated_bytes(s.place.folder, d);
		info.format = disk_format_of(d);
		info.n_extents = d->n_extents;
		snprintf(info.adapter_type, sizeof(info.adapter_type), "%.31s",
			 adapter != NULL ? adapter : "lsilogic");
		if (!vmdk_uuid(d, info.uuid)) {
			info.uuid[0] = '\0';
		}
		*out = info;
	}
	vmdk_free(d);
	disk_seat_close(&s);
	return ok;
}

/* ---- changing ---- */

static bool save(const struct disk_seat *s, const struct vmdk *d, struct error *e)
{
	return vmdk_save(d, s->place.folder, s->place.name, e) ||
	       error_prefix(e, "disk \"%.80s\": ", s->path);
}

/* Makes the last extent's file longer; shorter again when that fails. */
static bool grow_file(const struct disk_seat *s, const struct vmdk_extent *x, uint64_t n_sectors,
		      bool reserve, struct progress *p, struct error *e)
{
	uint64_t old = (x->offset_sectors + x->n_sectors) * VMDK_SECTOR;
	uint64_t new = (x->offset_sectors + n_sectors) * VMDK_SECTOR;
	int fd = openat(s->place.folder, x->file, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return error_set_sys(e, errno, "\"%.120s\"", x->file);
	}
	/* What is behind the old end may be an earlier attempt's; it has to read as zero. */
	bool ok = (ftruncate(fd, (off_t)old) == 0 && ftruncate(fd, (off_t) new) == 0) ||
		  error_set_sys(e, errno, "\"%.120s\"", x->file);
	ok = ok && (!reserve || disk_reserve(fd, old, new, p, e));
	ok = ok && (fsync(fd) == 0 || error_set_sys(e, errno, "\"%.120s\"", x->file));
	if (!ok && ftruncate(fd, (off_t)old) != 0) {
		error_prefix(e, "(and \"%.60s\" keeps its new length) ", x->file);
	}
	close(fd);
	return ok;
}

static bool extend_loaded(const struct disk_seat *s, struct vmdk *d, uint64_t capacity, bool eager,
			  struct progress *p, struct error *e)
{
	uint64_t old = vmdk_capacity(d);
	struct vmdk_extent *last = &d->extents[d->n_extents - 1];
	bool reserve = eager || !vmdk_is_thin(d);
	if (capacity < old || capacity % VMDK_SECTOR != 0) {
		return error_set(e, ERROR_INVALID,
				 "disk \"%.80s\" has %" PRIu64
				 " bytes: it cannot be given %" PRIu64,
				 s->path, old, capacity);
	}
	if (capacity > VMDK_CAPACITY_MAX) {
		return error_set(e, ERROR_LIMIT, "disk \"%.80s\": the limit is 62 TiB", s->path);
	}
	if (capacity == old) {
		return true;
	}
	uint64_t n_sectors = last->n_sectors + (capacity - old) / VMDK_SECTOR;
	if ((reserve && !datastore_has_room(s->ds, capacity - old, e)) ||
	    !grow_file(s, last, n_sectors, reserve, p, e)) {
		return error_prefix(e, "disk \"%.80s\": ", s->path);
	}
	last->n_sectors = n_sectors;
	return vmdk_set_geometry(d, e) && save(s, d, e);
}

bool disk_extend(const struct disk_place *at, uint64_t capacity, bool eager, struct progress *p,
		 struct error *e)
{
	struct disk_seat s;
	if (!disk_seat_open(at, &s, e)) {
		return false;
	}
	struct vmdk *d = disk_seat_load(&s, e);
	bool ok = d != NULL && extend_loaded(&s, d, capacity, eager, p, e);
	vmdk_free(d);
	disk_seat_close(&s);
	return ok;
}

bool disk_set_uuid(const struct disk_place *at, const char *uuid, struct error *e)
{
	struct disk_seat s;
	if (!disk_seat_open(at, &s, e)) {
		return false;
	}
	struct vmdk *d = disk_seat_load(&s, e);
	bool ok = d != NULL && vmdk_set_uuid(d, uuid, e) && save(&s, d, e);
	vmdk_free(d);
	disk_seat_close(&s);
	return ok;
}

static bool delete_seated(const struct disk_seat *s, struct error *e)
{
	char temp[DATASTORE_TEMP_SIZE];
	/* Only a descriptor is declared void; its extents may be missing or short. */
	struct vmdk *d = vmdk_load(s->place.folder, s->place.name, e);
	if (d == NULL) {
		return false;
	}
	vmdk_free(d);
	place_temp_name("disk", temp);
	if (renameat(s->place.folder, s->place.name, s->place.folder, temp) != 0 ||
	    fsync(s->place.folder) != 0) {
		return error_set_sys(e, errno, "disk \"%.120s\"", s->path);
	}
	return place_settle_disk(s->place.folder, temp, e);
}

bool disk_delete(const struct disk_place *at, struct progress *p, struct error *e)
{
	struct disk_seat s;
	if (!progress_go_on(p, e) || !disk_seat_open(at, &s, e)) {
		return false;
	}
	bool ok = delete_seated(&s, e);
	disk_seat_close(&s);
	return ok;
}

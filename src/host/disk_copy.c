/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/disk_impl.h"
#include "host/sparse.h"

/* ---- copying ---- */

static bool copy_extents(const struct disk_seat *from, const struct vmdk *d, int to,
			 struct progress *p, struct error *e)
{
	uint64_t total = vmdk_capacity(d), before = 0;
	for (size_t i = 0; i < d->n_extents; i++) {
		const struct vmdk_extent *x = &d->extents[i];
		int fd = openat(from->place.folder, x->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			return error_set_sys(e, errno, "\"%.120s\"", x->file);
		}
		struct file_copy c = { .from = fd,
				       .to = to,
				       .from_offset = x->offset_sectors * VMDK_SECTOR,
				       .to_offset = before,
				       .len = x->n_sectors * VMDK_SECTOR,
				       .before = before,
				       .total = total };
		bool ok = file_copy(&c, p, e);
		close(fd);
		if (!ok) {
			return error_prefix(e, "\"%.80s\": ", x->file);
		}
		before += c.len;
	}
	return true;
}

/* What the copy is made for: as asked, else as the source was, where that is still known. */
static const char *choose_adapter(const struct disk_copy *c, const char *source)
{
	if (c->adapter_type != NULL) {
		return c->adapter_type;
	}
	return source != NULL && vmdk_adapter_is_known(source) ? source : NULL;
}

static bool copy_loaded(const struct disk_copy *c, const struct disk_seat *from,
			const struct vmdk *d, struct progress *p, struct error *e)
{
	struct disk_draft f;
	const char *adapter = choose_adapter(c, vmdk_get(d, "ddb.adapterType"));
	struct disk_spec spec = { .capacity = vmdk_capacity(d),
				  .format = c->format,
				  .adapter_type = adapter };
	if (!disk_draft_open(&c->to, &spec, c->force, &f, e)) {
		return false;
	}
	/* The space first: then a full datastore shows at once. */
	bool ok = c->format == DISK_THIN || disk_reserve(f.fd, 0, spec.capacity, NULL, e);
	ok = ok && copy_extents(from, d, f.fd, p, e);
	ok = ok || error_prefix(e, "disk \"%.80s\": ", from->path);
	return disk_draft_end(&f, ok, c->force, e);
}

static bool copy_sparse(const struct disk_copy *c, const struct disk_seat *from, int fd,
			struct progress *p, struct error *e)
{
	struct sparse_image s;
	struct disk_draft f;
	if (!sparse_open(fd, &s, e)) {
		return error_prefix(e, "disk \"%.80s\": ", from->path);
	}
	struct disk_spec spec = { .capacity = s.capacity,
				  .format = c->format,
				  .adapter_type = choose_adapter(c, s.adapter_type) };
	if (!disk_draft_open(&c->to, &spec, c->force, &f, e)) {
		return false;
	}
	bool ok = c->format == DISK_THIN || disk_reserve(f.fd, 0, spec.capacity, NULL, e);
	/* What was reserved is taken from the free space already. */
	const struct datastore *room = c->format == DISK_THIN ? c->to.datastore : NULL;
	ok = ok && sparse_copy(&s, f.fd, room, p, e);
	ok = ok || error_prefix(e, "disk \"%.80s\": ", from->path);
	return disk_draft_end(&f, ok, c->force, e);
}

/* The source, opened, when it is an image rather than a descriptor; else -1. */
static int open_image(const struct disk_seat *s)
{
	char magic[4];
	int fd = openat(s->place.folder, s->place.name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && (pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) ||
			!vmdk_is_sparse_image(magic, sizeof(magic)))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static bool is_same_file(const struct disk_seat *a, const struct disk_seat *b)
{
	struct stat x, y;
	return fstatat(a->place.folder, a->place.name, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(b->place.folder, b->place.name, &y, AT_SYMLINK_NOFOLLOW) == 0 &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool check_apart(const struct disk_seat *from, const struct disk_place *to, struct error *e)
{
	struct disk_seat s;
	if (!disk_seat_open(to, &s, e)) {
		return false;
	}
	bool same = is_same_file(from, &s);
	disk_seat_close(&s);
	return !same ||
	       error_set(e, ERROR_EXISTS, "disk \"%.120s\" is source and target", from->path);
}

static bool copy_disk(const struct disk_copy *c, const struct disk_seat *from, struct progress *p,
		      struct error *e)
{
	struct vmdk *d = disk_seat_load(from, e);
	bool ok = d != NULL && copy_loaded(c, from, d, p, e);
	vmdk_free(d);
	return ok;
}

bool disk_copy(const struct disk_copy *c, struct progress *p, struct error *e)
{
	struct disk_seat from;
	if (!disk_seat_open(&c->from, &from, e)) {
		return false;
	}
	bool ok = check_apart(&from, &c->to, e);
	int image = ok ? open_image(&from) : -1;
	if (image >= 0) {
		ok = copy_sparse(c, &from, image, p, e);
		close(image);
	} else {
		ok = ok && copy_disk(c, &from, p, e);
	}
	disk_seat_close(&from);
	return ok;
}

/* ---- moving ----
 *
 * Hard links let the data be in both places at once, so that the descriptor's rename decides:
 *   1. declare, in both folders, every name involved
 *   2. link the extents in the old folder under their new names, and point the descriptor there
 *   3. link them into the new folder
 *   4. rename the descriptor: now the disk has moved
 *   5. settle both declarations: names that no descriptor uses go
 * Interrupted before 4, the disk is where it was; the same settling cleans up.
 */

struct mover {
	struct disk_seat from, to;
	struct vmdk *d;	     /* as it is */
	struct vmdk *target; /* with the new extent names */
	bool same_folder;
	char from_temp[DATASTORE_TEMP_SIZE], to_temp[DATASTORE_TEMP_SIZE];
};

/* The names that a declaration in the old folder is about: the old and the new ones. */
static bool declare_both(struct mover *m, struct error *e)
{
	struct vmdk *all = mem_alloc(sizeof(*all));
	size_t n = m->d->n_extents;
	*all = *m->d; /* borrows everything but the array of extents */
	all->extents = mem_calloc(2 * n, sizeof(all->extents[0]));
	memcpy(all->extents, m->d->extents, n * sizeof(all->extents[0]));
	memcpy(all->extents + n, m->target->extents, n * sizeof(all->extents[0]));
	all->n_extents = 2 * n;
	for (size_t i = 0; i < all->n_extents; i++) {
		all->extents[i].n_sectors = 1; /* names matter here, and the sum has a limit */
	}
	bool ok = disk_declare(&m->from, all, m->from_temp, e);
	free(all->extents);
	free(all);
	if (ok && !m->same_folder) {
		ok = disk_declare(&m->to, m->target, m->to_temp, e);
	}
	return ok;
}

static bool is_free_in(int folder, const char *name)
{
	struct stat st;
	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

/* Chooses the new names. A disk with one extent is renamed after its descriptor; the parts of a
 * split one keep their names, which only have to be free. */
static bool choose_names(struct mover *m, struct error *e)
{
	if (m->d->n_extents == 1) {
		char name[256];
		if (!disk_extent_name(&m->to, m->from.place.folder, name, e)) {
			return false;
		}
		/* Into another folder under the same name: the data keeps its name, too. */
		if (strcmp(m->from.place.name, m->to.place.name) == 0 &&
		    is_free_in(m->to.place.folder, m->d->extents[0].file)) {
			return true;
		}
		free(m->target->extents[0].file);
		m->target->extents[0].file = mem_strdup(name);
		return true;
	}
	for (size_t i = 0; i < m->d->n_extents; i++) {
		const char *file = m->d->extents[i].file;
		if (!m->same_folder && !is_free_in(m->to.place.folder, file)) {
			return error_set(e, ERROR_EXISTS, "\"%.120s\" is there already", file);
		}
	}
	return true;
}

static bool link_extents(struct mover *m, struct error *e)
{
	bool renamed = false;
	for (size_t i = 0; i < m->d->n_extents; i++) {
		const char *old = m->d->extents[i].file, *new = m->target->extents[i].file;
		if (strcmp(old, new) == 0) {
			continue;
		}
		if (linkat(m->from.place.folder, old, m->from.place.folder, new, 0) != 0) {
			return error_set_sys(e, errno, "\"%.120s\"", new);
		}
		renamed = true;
	}
	if (renamed && !vmdk_save(m->target, m->from.place.folder, m->from.place.name, e)) {
		return false;
	}
	for (size_t i = 0; !m->same_folder && i < m->d->n_extents; i++) {
		const char *new = m->target->extents[i].file;
		if (linkat(m->from.place.folder, new, m->to.place.folder, new, 0) != 0) {
			return error_set_sys(e, errno, "\"%.120s\"", new);
		}
	}
	return true;
}

static bool relocate(struct mover *m, struct error *e)
{
	if (!link_extents(m, e)) {
		return false;
	}
	if (fsync(m->to.place.folder) != 0 ||
	    renameat2(m->from.place.folder, m->from.place.name, m->to.place.folder,
		      m->to.place.name, RENAME_NOREPLACE) != 0 ||
	    fsync(m->to.place.folder) != 0 || fsync(m->from.place.folder) != 0) {
		return error_set_sys(e, errno, "disk \"%.120s\"", m->to.path);
	}
	return true;
}

static bool move_linked(struct mover *m, struct error *e)
{
	m->target = vmdk_load(m->from.place.folder, m->from.place.name, e);
	bool ok = m->target != NULL && choose_names(m, e) && declare_both(m, e) && relocate(m, e);
	if (m->from_temp[0] != '\0') {
		place_settle_disk(m->from.place.folder, m->from_temp, NULL);
	}
	if (m->to_temp[0] != '\0') {
		place_settle_disk(m->to.place.folder, m->to_temp, NULL);
	}
	vmdk_free(m->target);
	return ok;
}

/* Between file systems, or where there are no hard links: a copy with the same uuid, then the
 * original goes. In between both exist, each whole. */
static bool move_copied(const struct mover *m, const struct disk_place *from,
			const struct disk_place *to, struct progress *p, struct error *e)
{
	char uuid[37];
	struct disk_copy c = { .from = *from, .to = *to, .format = disk_format_of(m->d) };
	return disk_copy(&c, p, e) && (!vmdk_uuid(m->d, uuid) || disk_set_uuid(to, uuid, e)) &&
	       disk_delete(from, NULL, e);
}

static bool move_loaded(struct mover *m, const struct disk_place *from, const struct disk_place *to,
			struct progress *p, struct error *e)
{
	struct stat a, b;
	if (fstat(m->from.place.folder, &a) != 0 || fstat(m->to.place.folder, &b) != 0) {
		return error_set_sys(e, errno, "disk \"%.120s\"", m->from.path);
	}
	m->same_folder = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
	if (a.st_dev == b.st_dev) {
		struct error why = { 0 };
		if (move_linked(m, &why)) {
			return true;
		}
		if (why.sys != EPERM && why.sys != EOPNOTSUPP && why.sys != EXDEV &&
		    why.sys != EMLINK) {
			if (e != NULL) {
				*e = why;
			}
			return false;
		}
	}
	return move_copied(m, from, to, p, e);
}

bool disk_move(const struct disk_place *from, const struct disk_place *to, struct progress *p,
	       struct error *e)
{
	struct mover m = { 0 };
	if (!progress_go_on(p, e) || !disk_seat_open(from, &m.from, e)) {
		return false;
	}
	bool ok = disk_seat_open(to, &m.to, e);
	if (ok) {
		m.d = disk_seat_load(&m.from, e);
		ok = m.d != NULL && disk_seat_check_free(&m.to, e) &&
		     move_loaded(&m, from, to, p, e);
		vmdk_free(m.d);
		disk_seat_close(&m.to);
	}
	disk_seat_close(&m.from);
	return ok;
}

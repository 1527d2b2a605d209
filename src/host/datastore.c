/* SPDX-License-Identifier: Apache-2.0 */
#include "host/datastore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "host/datastore_files.h"
#include "host/datastore_impl.h"

/* How long a sum over all files is good for; only datastores with a quota need one. */
#define USAGE_AGE_US 2000000

static const char identity[] = DATASTORE_OWN_PREFIX "uuid";

/* Reads the identity, or makes one where none is wanted. */
static bool read_uuid(struct datastore *ds, const char *wanted, struct error *e)
{
	struct buf b = BUF_INIT;
	struct error why = { 0 };
	struct uuid u;
	bool ok = place_read(ds->root, identity, 64, &b, &why);
	if (ok) {
		while (b.len > 0 && b.data[b.len - 1] == '\n') {
			b.data[--b.len] = '\0';
		}
		ok = uuid_parse(b.data, &u) ||
		     error_set(e, ERROR_CORRUPT, "\"%s\" holds no uuid", identity);
	} else if (why.kind == ERROR_NOT_FOUND && wanted != NULL) {
		error_set(e, ERROR_NOT_FOUND, "its folder holds no datastore");
	} else if (why.kind == ERROR_NOT_FOUND) {
		u = uuid_random();
		uuid_format(&u, ds->uuid);
		struct file_content content = { .data = ds->uuid,
						.n = strlen(ds->uuid),
						.mode = 0644 };
		ok = place_write(ds->root, identity, &content, e);
	} else if (e != NULL) {
		*e = why;
	}
	if (ok) {
		uuid_format(&u, ds->uuid);
		snprintf(ds->url, sizeof(ds->url), "ds:///vmfs/volumes/%s/", ds->uuid);
		ok = wanted == NULL || strcmp(wanted, ds->uuid) == 0 ||
		     error_set(e, ERROR_NOT_FOUND, "its folder holds another datastore, %s",
			       ds->uuid);
	}
	buf_free(&b);
	return ok;
}

static bool check_name(const char *name, struct error *e)
{
	if (!datastore_name_check("datastore name", name, e)) {
		return false;
	}
	if (strpbrk(name, "[]\\") != NULL) {
		return error_set(e, ERROR_NAME, "datastore name \"%.60s\" has one of []\\ in it",
				 name);
	}
	size_t n = 0;
	for (const char *s = name; *s != '\0'; s++) {
		n += (*s & 0xc0) != 0x80;
	}
	return n <= DATASTORE_NAME_MAX ||
	       error_set(e, ERROR_NAME,
			 "datastore name \"%.60s\" has %zu characters, the limit is %d", name, n,
			 DATASTORE_NAME_MAX);
}

struct datastore *datastore_open(const struct datastore_config *c, struct error *e)
{
	if (!check_name(c->name, e)) {
		return NULL;
	}
	if (c->uuid == NULL && mkdir(c->folder, 0750) != 0 && errno != EEXIST) {
		error_set_sys(e, errno, "datastore \"%s\": folder \"%.120s\"", c->name, c->folder);
		return NULL;
	}
	int root = open(c->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		error_set_sys(e, errno, "datastore \"%s\": folder \"%.120s\"", c->name, c->folder);
		return NULL;
	}
	struct datastore *ds = mem_zalloc(sizeof(*ds));
	ds->root = root;
	ds->quota = c->quota;
	ds->name = mem_strdup(c->name);
	ds->folder = mem_strdup(c->folder);
	pthread_mutex_init(&ds->usage_lock, NULL);
	if (!read_uuid(ds, c->uuid, e)) {
		error_prefix(e, "datastore \"%s\": ", c->name);
		datastore_close(ds);
		return NULL;
	}
	return ds;
}

void datastore_close(struct datastore *ds)
{
	if (ds == NULL) {
		return;
	}
	close(ds->root);
	pthread_mutex_destroy(&ds->usage_lock);
	free(ds->name);
	free(ds->folder);
	free(ds);
}

const char *datastore_name(const struct datastore *ds)
{
	return ds->name;
}

const char *datastore_uuid(const struct datastore *ds)
{
	return ds->uuid;
}

const char *datastore_url(const struct datastore *ds)
{
	return ds->url;
}

const char *datastore_folder(const struct datastore *ds)
{
	return ds->folder;
}

int datastore_root(const struct datastore *ds)
{
	return ds->root;
}

static uint64_t find_usage(const struct datastore *const_ds, bool fresh)
{
	/* The cache is no part of what the datastore is; its lock makes it safe from any thread. */
	struct datastore *ds = (struct datastore *)(uintptr_t)const_ds;
	int64_t now = clock_mono_us(clock_real());
	pthread_mutex_lock(&ds->usage_lock);
	if (fresh || ds->usage_at == 0 || now - ds->usage_at > USAGE_AGE_US) {
		ds->usage = place_usage(ds->root);
		ds->usage_at = now;
	}
	uint64_t usage = ds->usage;
	pthread_mutex_unlock(&ds->usage_lock);
	return usage;
}

static bool find_space(const struct datastore *ds, bool fresh, struct datastore_space *out,
		       struct error *e)
{
	struct statvfs st;
	if (fstatvfs(ds->root, &st) != 0) {
		return error_set_sys(e, errno, "datastore \"%s\"", ds->name);
	}
	*out = (struct datastore_space){ .capacity = (uint64_t)st.f_blocks * st.f_frsize,
					 .free = (uint64_t)st.f_bavail * st.f_frsize };
	if (ds->quota > 0) {
		uint64_t used = find_usage(ds, fresh);
		uint64_t left = ds->quota > used ? ds->quota - used : 0;
		out->capacity = ds->quota;
		out->free = MIN(out->free, left);
	}
	return true;
}

bool datastore_space(const struct datastore *ds, struct datastore_space *out, struct error *e)
{
	return find_space(ds, false, out, e);
}

bool datastore_has_room(const struct datastore *ds, uint64_t bytes, struct error *e)
{
	struct datastore_space space;
	if (!find_space(ds, true, &space, e)) {
		return false;
	}
	return bytes <= space.free ||
	       error_set(e, ERROR_NO_SPACE,
			 "datastore \"%s\": %" PRIu64 " bytes are needed, %" PRIu64 " are free",
			 ds->name, bytes, space.free);
}

bool datastore_make_folder(const struct datastore *ds, const char *path, bool parents,
			   struct error *e)
{
	char normal[DATASTORE_PATH_MAX + 1];
	struct place p;
	if (!datastore_path_check(path, normal, e)) {
		return false;
	}
	if (normal[0] == '\0') {
		return error_set(e, ERROR_EXISTS, "the folder of the datastore is there already");
	}
	for (char *s = strchr(normal, '/'); parents && s != NULL; s = strchr(s + 1, '/')) {
		*s = '\0';
		struct error why = { 0 };
		bool ok = datastore_make_folder(ds, normal, false, &why);
		*s = '/';
		if (!ok && why.kind != ERROR_EXISTS) {
			if (e != NULL) {
				*e = why;
			}
			return false;
		}
	}
	if (!place_open(ds->root, normal, &p, e)) {
		return false;
	}
	bool ok = mkdirat(p.folder, p.name, 0750) == 0 && fsync(p.folder) == 0;
	if (!ok) {
		error_set_sys(e, errno, "folder \"%.120s\"", normal);
	}
	place_close(&p);
	return ok;
}

int datastore_read_open(const struct datastore *ds, const char *path, uint64_t *size,
			struct error *e)
{
	char normal[DATASTORE_PATH_MAX + 1];
	struct stat st;
	if (!datastore_path_check(path, normal, e)) {
		return -1;
	}
	/* O_NONBLOCK: a FIFO in the way must not hold the caller. */
	int fd = file_open_beneath(ds->root, normal[0] != '\0' ? normal : ".",
				   O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
	if (fd < 0) {
		return -1;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		error_set(e, ERROR_INVALID, "\"%.120s\" is not a file", normal);
		return -1;
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

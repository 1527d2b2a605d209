/* SPDX-License-Identifier: Apache-2.0 */
/* What an interrupted process left behind, and how it is told from what is valid. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "host/datastore_files.h"
#include "host/datastore_impl.h"
#include "host/vmdk.h"

LOG_MODULE("datastore");

static bool names_extent(const struct vmdk *d, const char *file)
{
	for (size_t i = 0; i < d->n_extents; i++) {
		if (d->extents[i].file != NULL && strcmp(d->extents[i].file, file) == 0) {
			return true;
		}
	}
	return false;
}

static DIR *open_dir(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL && fd >= 0) {
		close(fd);
	}
	return dir;
}

/* Whether one of the folder's valid descriptors names the file. A folder that cannot be read says
 * yes: nothing is removed in doubt. */
static bool is_in_use(int folder, const char *file)
{
	DIR *dir = open_dir(folder);
	if (dir == NULL) {
		return true;
	}
	bool found = false;
	struct dirent *x;
	while (!found && (x = readdir(dir)) != NULL) {
		size_t len = strlen(x->d_name);
		struct stat st;
		if (len < 5 || strcasecmp(x->d_name + len - 5, ".vmdk") != 0 ||
		    place_is_own_name(x->d_name) ||
		    fstatat(folder, x->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(st.st_mode) || st.st_size > VMDK_FILE_MAX) {
			continue; /* large ones are extents */
		}
		struct vmdk *d = vmdk_load(folder, x->d_name, NULL);
		found = d != NULL && names_extent(d, file);
		vmdk_free(d);
	}
	closedir(dir);
	return found;
}

bool place_settle_disk(int folder, const char *temp, struct error *e)
{
	/* One that cannot be read was never finished, so its extents were not yet made. */
	struct vmdk *d = vmdk_load(folder, temp, NULL);
	bool ok = true;
	for (size_t i = 0; d != NULL && i < d->n_extents; i++) {
		const char *file = d->extents[i].file;
		if (file == NULL || strcmp(file, temp) == 0 ||
		    !datastore_name_check("extent", file, NULL) || is_in_use(folder, file)) {
			continue;
		}
		if (unlinkat(folder, file, 0) != 0 && errno != ENOENT) {
			ok = error_set_sys(e, errno, "\"%.120s\"", file);
		}
	}
	vmdk_free(d);
	if (ok && unlinkat(folder, temp, 0) != 0 && errno != ENOENT) {
		ok = error_set_sys(e, errno, "\"%.120s\"", temp);
	}
	return ok;
}

static bool has_kind(const char *name, const char *kind)
{
	const char *s = name + sizeof(DATASTORE_OWN_PREFIX) - 1;
	size_t len = strlen(kind);
	return place_is_own_name(name) && strncmp(s, kind, len) == 0 && s[len] == '-';
}

static bool recover_entry(int folder, const char *name, size_t *n_removed, struct error *e)
{
	bool ok;
	if (has_kind(name, "disk")) {
		ok = place_settle_disk(folder, name, e);
	} else if (has_kind(name, "part") || has_kind(name, "gone")) {
		ok = place_remove(folder, name, e);
	} else {
		return true;
	}
	if (ok) {
		log_info("removed \"%s\", left by an interrupted operation", name);
		(*n_removed)++;
	}
	return ok;
}

static bool recover_folder(int folder, unsigned depth, size_t *n_removed, struct error *e)
{
	DIR *dir = open_dir(folder);
	if (dir == NULL) {
		return error_set_sys(e, errno, "reading a folder of the datastore");
	}
	bool ok = true;
	struct dirent *x;
	while (ok && (x = readdir(dir)) != NULL) {
		struct stat st;
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0) {
			continue;
		}
		if (place_is_own_name(x->d_name)) {
			ok = recover_entry(folder, x->d_name, n_removed, e);
			continue;
		}
		if (depth >= DATASTORE_DEPTH_MAX ||
		    fstatat(folder, x->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISDIR(st.st_mode)) {
			continue;
		}
		int sub =
			openat(folder, x->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0) {
			ok = recover_folder(sub, depth + 1, n_removed, e);
			close(sub);
		}
	}
	closedir(dir);
	return ok;
}

bool datastore_recover(struct datastore *ds, size_t *n_removed, struct error *e)
{
	*n_removed = 0;
	return recover_folder(ds->root, 0, n_removed, e) ||
	       error_prefix(e, "datastore \"%s\": ", ds->name);
}

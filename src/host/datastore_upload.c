/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/datastore_files.h"
#include "host/datastore_impl.h"

/* How much an upload of unknown size writes before its quota is looked at again. */
#define QUOTA_STEP (16u << 20)

/* Owner: the caller, from open to commit or abort. */
struct datastore_upload {
	const struct datastore *ds;
	struct place at;
	char temp[DATASTORE_TEMP_SIZE];
	char path[DATASTORE_PATH_MAX + 1]; /* for messages */
	int fd;
	bool overwrite;
	uint64_t announced, written, next_check; /* bytes */
};

static bool check_target(const struct datastore_upload *u, struct error *e)
{
	struct stat st;
	if (fstatat(u->at.folder, u->at.name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		return errno == ENOENT || error_set_sys(e, errno, "\"%.120s\"", u->path);
	}
	if (S_ISDIR(st.st_mode)) {
		return error_set(e, ERROR_EXISTS, "\"%.120s\" is a folder", u->path);
	}
	return u->overwrite || error_set(e, ERROR_EXISTS, "\"%.120s\" is there already", u->path);
}

static bool open_temp(struct datastore_upload *u, struct error *e)
{
	place_temp_name("part", u->temp);
	u->fd = openat(u->at.folder, u->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       0640);
	return u->fd >= 0 || error_set_sys(e, errno, "\"%.120s\"", u->path);
}

struct datastore_upload *datastore_upload_open(const struct datastore *ds,
					       const struct datastore_upload_spec *s,
					       struct error *e)
{
	if (s->append) {
		error_set(e, ERROR_UNSUPPORTED,
			  "\"%.120s\": appending is not possible, a file is uploaded as a whole",
			  s->path);
		return NULL;
	}
	struct datastore_upload *u = mem_zalloc(sizeof(*u));
	*u = (struct datastore_upload){
		.ds = ds, .fd = -1, .overwrite = s->overwrite, .announced = s->size
	};
	u->at.folder = -1;
	u->next_check = QUOTA_STEP;
	bool ok = datastore_path_check(s->path, u->path, e) &&
		  (u->path[0] != '\0' || error_set(e, ERROR_NAME, "the file name is missing")) &&
		  place_open(ds->root, u->path, &u->at, e) && check_target(u, e) &&
		  datastore_has_room(ds, s->size, e) && open_temp(u, e);
	if (!ok) {
		datastore_upload_abort(u);
		return NULL;
	}
	return u;
}

bool datastore_upload_write(struct datastore_upload *u, const void *data, size_t len,
			    struct error *e)
{
	if (u->announced > 0 && len > u->announced - u->written) {
		return error_set(e, ERROR_INVALID,
				 "\"%.120s\": more than the announced %" PRIu64 " bytes came",
				 u->path, u->announced);
	}
	if (u->announced == 0 && u->written + len > u->next_check) {
		if (!datastore_has_room(u->ds, len, e)) {
			return false;
		}
		u->next_check = u->written + len + QUOTA_STEP;
	}
	if (!file_write_all(u->fd, data, len, u->path, e)) {
		return false;
	}
	u->written += len;
	return true;
}

uint64_t datastore_upload_size(const struct datastore_upload *u)
{
	return u->written;
}

static bool finish(struct datastore_upload *u, struct error *e)
{
	if (u->announced > 0 && u->written != u->announced) {
		return error_set(e, ERROR_INVALID,
				 "\"%.120s\": %" PRIu64 " bytes were announced, %" PRIu64 " came",
				 u->path, u->announced, u->written);
	}
	if (fsync(u->fd) != 0) {
		return error_set_sys(e, errno, "\"%.120s\"", u->path);
	}
	if (!place_commit(&u->at, u->temp, u->overwrite, u->path, e)) {
		return false;
	}
	u->temp[0] = '\0'; /* it has its name now */
	return true;
}

bool datastore_upload_commit(struct datastore_upload *u, struct error *e)
{
	bool ok = finish(u, e);
	datastore_upload_abort(u);
	return ok;
}

void datastore_upload_abort(struct datastore_upload *u)
{
	if (u == NULL) {
		return;
	}
	if (u->fd >= 0) {
		close(u->fd);
	}
	if (u->fd >= 0 && u->temp[0] != '\0') {
		unlinkat(u->at.folder, u->temp, 0);
	}
	place_close(&u->at);
	free(u);
}

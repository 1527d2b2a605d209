/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/first_user.h"

#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"

LOG_MODULE("user");

enum {
	PASSWORD_MAX = 1024,
	PASSWORD_BYTES = 9
};

static bool password_read(const char *path, struct buf *out, struct error *e)
{
	if (!file_read(path, PASSWORD_MAX, out, e)) {
		return false;
	}
	out->len = strcspn(out->data, "\r\n");
	out->data[out->len] = '\0';
	return out->len > 0 || error_set(e, ERROR_INVALID, "\"%s\" holds no password", path);
}

/* A file that only the administrator of this machine reads. */
static bool password_make(const struct first_user *f, struct buf *out, struct error *e)
{
	char text[2 * PASSWORD_BYTES + 1];

	random_hex(text, PASSWORD_BYTES);
	buf_adds(out, text);
	bool ok = file_write_atomic(f->made_path, text, strlen(text), 0600, e);
	explicit_bzero(text, sizeof(text));
	if (ok) {
		log_info("the first password of \"%s\" is in \"%s\"", f->name, f->made_path);
	}
	return ok;
}

static bool first_user_add(struct user_store *s, const struct first_user *f, struct error *e)
{
	struct buf password = BUF_INIT;
	bool ok = f->password_file != NULL ? password_read(f->password_file, &password, e)
					   : password_make(f, &password, e);

	ok = ok && user_set(s, f->name, password.data, "Administrator", e);
	if (password.data != NULL) {
		explicit_bzero(password.data, password.len);
	}
	buf_free(&password);
	return ok;
}

struct user_store *first_user_open(const struct first_user *f, struct error *e)
{
	struct user_store *s = user_store_open(f->users_path, e);

	if (s != NULL && user_count(s) == 0 && !first_user_add(s, f, e)) {
		user_store_free(s);
		return NULL;
	}
	return s;
}

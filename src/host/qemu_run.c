/* SPDX-License-Identifier: Apache-2.0 */
#include "host/qemu_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"

#define LOG_TAIL 1024 /* bytes looked at for the last line */

void qemu_run_init(struct qemu_run *r, const char *folder, const char *uuid)
{
	r->lock = mem_printf("%s/vm-%s.lock", folder, uuid);
	r->pid = mem_printf("%s/vm-%s.pid", folder, uuid);
	r->qmp = mem_printf("%s/vm-%s.qmp", folder, uuid);
	r->log = mem_printf("%s/vm-%s.log", folder, uuid);
	r->record = mem_printf("%s/vm-%s.json", folder, uuid);
	r->move = mem_printf("%s/vm-%s.move", folder, uuid);
	r->root = mem_printf("%s/vm-%s.root", folder, uuid);
	r->tls = mem_printf("%s/vm-%s.tls", folder, uuid);
}

void qemu_run_fini(struct qemu_run *r)
{
	free(r->lock);
	free(r->pid);
	free(r->qmp);
	free(r->log);
	free(r->record);
	free(r->move);
	free(r->tls);
	free(r->root);
	*r = (struct qemu_run){ 0 };
}

int qemu_run_lock(const struct qemu_run *r, struct error *e)
{
	int fd = open(r->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error_set_sys(e, errno, "\"%s\"", r->lock);
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		return fd;
	}
	if (errno == EWOULDBLOCK) {
		error_set(e, ERROR_BUSY, "\"%s\": a VM of this UUID runs already", r->lock);
	} else {
		error_set_sys(e, errno, "locking \"%s\"", r->lock);
	}
	close(fd);
	return -1;
}

bool qemu_run_is_alive(const struct qemu_run *r)
{
	int fd = open(r->lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		return errno != ENOENT; /* in doubt it lives: nothing is started twice */
	}
	bool alive = flock(fd, LOCK_EX | LOCK_NB) != 0;
	close(fd);
	return alive;
}

bool qemu_run_pid(const struct qemu_run *r, pid_t *out)
{
	char text[32];
	int32_t pid;
	int fd = open(r->pid, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		return false;
	}
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0 || text[n - 1] != '\n') {
		return false; /* half written */
	}
	text[n - 1] = '\0';
	if (!number_i32(text, &pid) || pid <= 1) {
		return false;
	}
	*out = pid;
	return true;
}

/* The address of `path` seen from an open folder, so that its length does not matter. */
static bool make_address(const char *path, struct sockaddr_un *a, int *dir, struct error *e)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char *folder = slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup(".");
	*dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int sys = errno;
	free(folder);
	if (*dir < 0) {
		return error_set_sys(e, sys, "\"%s\"", path);
	}
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int n = snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s", *dir, name);
	if (n < 0 || (size_t)n >= sizeof(a->sun_path)) {
		close(*dir);
		return error_set(e, ERROR_LIMIT, "\"%s\": the socket's name is too long", path);
	}
	return true;
}

int qemu_run_listen(const char *path, struct error *e)
{
	struct sockaddr_un a;
	int dir;
	if (!make_address(path, &a, &dir, e)) {
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0;
	if (ok) {
		fchmod(fd, 0600); /* what bind() gives the file, whatever the umask */
		unlink(path);
		ok = bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 8) == 0;
	}
	if (!ok) {
		error_set_sys(e, errno, "listening on \"%s\"", path);
		if (fd >= 0) {
			close(fd);
		}
		fd = -1;
	}
	close(dir);
	return fd;
}

int qemu_run_connect(const char *path, struct error *e)
{
	struct sockaddr_un a;
	int dir;
	if (!make_address(path, &a, &dir, e)) {
		return -1;
	}
	/* not blocking: a full backlog of a hung QEMU must not hang us */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) != 0) {
		error_set_sys(e, errno, "connecting to \"%s\"", path);
		if (fd >= 0) {
			close(fd);
		}
		fd = -1;
	}
	close(dir);
	return fd;
}

int qemu_run_open_log(const struct qemu_run *r, struct error *e)
{
	int fd = open(r->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		      0600);
	if (fd < 0) {
		error_set_sys(e, errno, "\"%s\"", r->log);
	}
	return fd;
}

bool qemu_run_last_words(const struct qemu_run *r, char *out, size_t size)
{
	char tail[LOG_TAIL + 1];
	int fd = open(r->log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		return false;
	}
	off_t end = lseek(fd, 0, SEEK_END);
	ssize_t n = pread(fd, tail, LOG_TAIL, end > LOG_TAIL ? end - LOG_TAIL : 0);
	close(fd);
	tail[n > 0 ? n : 0] = '\0';
	char *line = NULL;
	for (char *at = tail, *next; at; at = next) {
		next = strchr(at, '\n');
		if (next) {
			*next++ = '\0';
		}
		if (at[0] && !strstr(at, "warning: ")) {
			line = at;
		}
	}
	if (!line) {
		return false;
	}
	/* after "qemu-system-x86_64: ", which says nothing here */
	char *colon = strstr(line, ": ");
	if (strncmp(line, "qemu-system-", 12) == 0 && colon) {
		line = colon + 2;
		colon = strstr(line, ": ");
	}
	if (line[0] == '-' && colon) { /* our own option, repeated */
		line = colon + 2;
	}
	snprintf(out, size, "%s", line);
	return true;
}

/* The last n bytes of the open file, as another file. */
static void keep_tail(int fd, off_t size, size_t n, const char *path)
{
	char *tail = mem_alloc(n);
	ssize_t got = pread(fd, tail, n, size - (off_t)n);
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (to >= 0) {
		if (got > 0 && write(to, tail, (size_t)got) != got) {
			unlink(path); /* no room: rather no old log than half of one */
		}
		close(to);
	}
	free(tail);
}

void qemu_run_trim(const char *path, size_t max, size_t keep)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		return;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > (off_t)max) {
		char *old = mem_printf("%s.1", path);
		if (keep > 0) {
			keep_tail(fd, st.st_size, keep, old);
		}
		(void)!ftruncate(fd, 0); /* it is tried again */
		free(old);
	}
	close(fd);
}

void qemu_run_clean(const struct qemu_run *r, bool with_log)
{
	unlink(r->qmp);
	unlink(r->pid);
	unlink(r->record);
	rmdir(r->root);
	if (with_log) {
		unlink(r->log);
	}
	unlink(r->lock); /* last: while it is there the rest is looked for */
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

#include "base/mem.h"
#include "base/random.h"

#define BACKLOG 128

/* Fills the address; where the path is too long for it, by way of its folder's descriptor, which
 * is then in *dir for the caller to close after use (else -1). */
static bool set_address(const char *path, struct sockaddr_un *out, int *dir, struct error *e)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*dir = -1;
	size_t n = strlen(path);
	if (n > 0 && n < sizeof(out->sun_path)) {
		memcpy(out->sun_path, path, n + 1);
		return true;
	}
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char *parent = mem_strndup(path, slash ? (size_t)(slash - path) : 0);
	*dir = open(slash ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int sys = errno;
	free(parent);
	if (*dir < 0) {
		return error_set_sys(e, sys, "socket \"%s\"", path);
	}
	int len = snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", *dir, name);
	if (n == 0 || len < 0 || (size_t)len >= sizeof(out->sun_path)) {
		close(*dir);
		*dir = -1;
		return error_set(e, ERROR_NAME, "socket \"%s\": bad or too long name", path);
	}
	return true;
}

static int new_socket(struct error *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		error_set_sys(e, errno, "unix socket");
	}
	return fd;
}

int socket_connect_unix(const char *path, struct error *e)
{
	struct sockaddr_un address;
	int dir;
	if (!set_address(path, &address, &dir, e)) {
		return -1;
	}
	int fd = new_socket(e);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		error_set_sys(e, errno, "socket \"%s\"", path);
		close(fd);
		fd = -1;
	}
	if (dir >= 0) {
		close(dir);
	}
	return fd;
}

static bool is_free_to_take(const char *path, struct error *e)
{
	struct stat st;
	if (lstat(path, &st) < 0) {
		return errno == ENOENT || error_set_sys(e, errno, "socket \"%s\"", path);
	}
	if (!S_ISSOCK(st.st_mode)) {
		return error_set(e, ERROR_EXISTS, "socket \"%s\": another file is in its place",
				 path);
	}
	struct error why = { 0 };
	int fd = socket_connect_unix(path, &why);
	if (fd >= 0) {
		close(fd);
	}
	if (fd >= 0 || why.kind == ERROR_BUSY) {
		return error_set(e, ERROR_EXISTS, "socket \"%s\": another process listens on it",
				 path);
	}
	return true;
}

bool socket_clear_unix(const char *path, struct error *e)
{
	return is_free_to_take(path, e) && (unlink(path) == 0 || errno == ENOENT ||
					    error_set_sys(e, errno, "socket \"%s\"", path));
}

/* Binds under a name of its own and moves the ready socket into place. */
static bool bind_and_move(int fd, const char *path, mode_t mode, struct error *e)
{
	char mark[9];
	random_hex(mark, 4);
	char *temporary = mem_printf("%s.%s", path, mark);
	struct sockaddr_un address;
	int dir;
	bool ok = set_address(temporary, &address, &dir, e);
	if (ok && bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		ok = error_set_sys(e, errno, "socket \"%s\"", path);
	} else if (ok && (chmod(temporary, mode) < 0 || listen(fd, BACKLOG) < 0 ||
			  rename(temporary, path) < 0)) {
		ok = error_set_sys(e, errno, "socket \"%s\"", path);
		unlink(temporary);
	}
	if (dir >= 0) {
		close(dir);
	}
	free(temporary);
	return ok;
}

int socket_listen_unix(const char *path, mode_t mode, struct error *e)
{
	if (!is_free_to_take(path, e)) {
		return -1;
	}
	int fd = new_socket(e);
	if (fd >= 0 && !bind_and_move(fd, path, mode, e)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- TCP ---- */

union place {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage all;
};

static int socket_bound(const union place *at, socklen_t len, int backlog)
{
	const int on = 1, off = 0;
	int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at->any.sa_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	}
	if (bind(fd, &at->any, len) != 0 || listen(fd, backlog) != 0) {
		int sys = errno;
		close(fd);
		errno = sys;
		return -1;
	}
	return fd;
}

int socket_listen_tcp(const char *address, uint16_t port, int backlog, struct error *e)
{
	union place at = { 0 };
	socklen_t len = sizeof(at.v4);

	if (uv_ip4_addr(address, port, &at.v4) != 0) {
		if (uv_ip6_addr(address, port, &at.v6) != 0) {
			error_set(e, ERROR_INVALID, "\"%.100s\" is not an IP address", address);
			return -1;
		}
		len = sizeof(at.v6);
	}
	int fd = socket_bound(&at, len, backlog);
	if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) &&
	    strcmp(address, "::") == 0) {
		uv_ip4_addr("0.0.0.0", port, &at.v4);
		fd = socket_bound(&at, sizeof(at.v4), backlog);
	}
	if (fd < 0) {
		error_set_sys(e, errno, "cannot listen on \"%s\" port %u", address, port);
	}
	return fd;
}

uint16_t socket_port(int fd)
{
	union place at = { 0 };
	socklen_t len = sizeof(at);

	if (fd < 0 || getsockname(fd, &at.any, &len) != 0) {
		return 0;
	}
	return ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix stream sockets by path. Paths longer than sockaddr_un takes work too. The descriptors are
 * O_CLOEXEC and non-blocking and belong to the caller. Any thread.
 */
#ifndef BASE_SOCKET_H
#define BASE_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* Listens at path, which appears only once connections are accepted, with `mode` (e.g. 0600).
 * A socket left behind there is replaced; ERROR_EXISTS where somebody still listens on it or
 * where it is no socket. -1 on failure. */
int socket_listen_unix(const char *path, mode_t mode, struct error *e);

/* For libraries that bind by themselves: removes a socket left behind at path. ERROR_EXISTS as
 * above. */
bool socket_clear_unix(const char *path, struct error *e);

/* ERROR_NOT_FOUND or ERROR_UNREACHABLE where nobody listens, ERROR_BUSY where the queue of the
 * listener is full. -1 on failure. */
int socket_connect_unix(const char *path, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream sockets: Unix ones by path, longer than sockaddr_un takes too, and TCP ones that listen.
 * The descriptors are O_CLOEXEC and non-blocking and belong to the caller. Any thread.
 */
#ifndef BASE_SOCKET_H
#define BASE_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
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

/* Listens for TCP on a numeric address, non-blocking; port 0: any. "::" takes IPv4 as well, and
 * only that where the kernel has no IPv6. The descriptor, or -1. */
int socket_listen_tcp(const char *address, uint16_t port, int backlog, struct error *e);
/* The port that a socket is bound to; 0: none. */
uint16_t socket_port(int fd);

#endif

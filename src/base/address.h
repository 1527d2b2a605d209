/* SPDX-License-Identifier: Apache-2.0 */
/* Where to listen or connect, as people write it. Pure functions; any thread. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Takes "127.0.0.1:8443", "host", "[::1]:0", "::1", ":8989" apart. `host` gets `size` bytes at the
 * most, "" where none is named; `port` stays as it is where none is named. On error both stay. */
bool address_split(const char *text, char *host, size_t size, uint16_t *port, struct error *e);

/* "0.0.0.0", "::" and "": whatever this machine has. */
bool address_is_any(const char *address);

/* Who that is, as text: IPv4 that came to a socket of both families is IPv4. "" for others. */
void address_name(const struct sockaddr *from, char out[INET6_ADDRSTRLEN]);

#endif

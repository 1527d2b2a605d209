/* SPDX-License-Identifier: Apache-2.0 */
/* Where to listen or connect, as people write it. Pure functions; any thread. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Takes "127.0.0.1:8443", "host", "[::1]:0", "::1", ":8989" apart. `host` gets `size` bytes at the
 * most, "" where none is named; `port` stays as it is where none is named. On error both stay. */
bool address_split(const char *text, char *host, size_t size, uint16_t *port, struct error *e);

#endif

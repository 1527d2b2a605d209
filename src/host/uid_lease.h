/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User numbers for processes that are to share nothing with anybody: taken from a range, one for
 * each, and free again when the process is gone.
 *
 * A number is taken by locking a file of its name. The process inherits the lock, so the number is
 * its own for as long as it lives, whatever happens to us, and among all programs that keep their
 * locks in the same folder. No name is made for it: numbers that belong to a user or a group are
 * left out. Loop's thread; needs root.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define UID_RANGE_FIRST 1900000000U /* what neither Debian, systemd nor shadow's subids use */
#define UID_RANGE_N	65536U
#define UID_LEASE_DIR	"/run/remora/uids"

struct uid_range {
	uint32_t first, n;
};

/* "FIRST-LAST", 1000 to 4294967293; errors say what is wrong with the text. */
bool uid_range_parse(const char *text, struct uid_range *out, struct error *e);

/* Where the search for a number begins: the same for the same name. */
uint32_t uid_range_begin(const struct uid_range *r, const char *name);

/* A number that nobody else has, near that of `name`. Returns the lock, to be inherited and closed.
 * ERROR_NO_SPACE where all are taken. -1. */
int uid_lease_take(const struct uid_range *r, const char *dir, const char *name, uint32_t *uid,
		   struct error *e);

/* Tidies up after a process that is gone; nothing where somebody has the number. */
void uid_lease_end(const char *dir, uint32_t uid);

/* The same for all whose process went while nobody looked. */
void uid_lease_sweep(const char *dir);

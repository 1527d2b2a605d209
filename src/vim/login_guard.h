/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slows down guessing: after five failures of one user from one address within a minute, further
 * attempts of that pair are refused until a minute after the first of them. Other addresses are not
 * affected, so nobody can lock a user out from elsewhere. Remembers at most 10,000 pairs; when
 * more fail at once all are forgotten but the log says so.
 */
#ifndef VIM_LOGIN_GUARD_H
#define VIM_LOGIN_GUARD_H

#include <stdbool.h>

#include "base/clock.h"

struct login_guard;
struct login_guard *login_guard_new(struct clock *clock);
void login_guard_free(struct login_guard *g);

bool login_guard_allows(struct login_guard *g, const char *user, const char *peer);
void login_guard_failed(struct login_guard *g, const char *user, const char *peer);
void login_guard_passed(struct login_guard *g, const char *user, const char *peer);
void login_guard_sweep(struct login_guard *g); /* drops what counts no more */

#endif

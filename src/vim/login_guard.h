/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slows down guessing: after five failures of one user from one address within a minute, further
 * attempts of that pair are refused until a minute after the first of them. Attempts whose password
 * is still being checked count as if they would fail, so that many at once gain nothing: what comes
 * beyond has to wait for their end. Other addresses are not affected, so nobody can lock a user out
 * from elsewhere. Remembers at most 10,000 pairs; when more fail at once all are forgotten but the
 * log says so.
 */
#ifndef VIM_LOGIN_GUARD_H
#define VIM_LOGIN_GUARD_H

#include <stdbool.h>

#include "base/clock.h"

struct login_guard;
struct login_guard *login_guard_new(struct clock *clock);
void login_guard_free(struct login_guard *g);

enum login_verdict {
	LOGIN_GO,      /* check the password, then say login_guard_leave() */
	LOGIN_WAIT,    /* ask again when an attempt has ended */
	LOGIN_REFUSED, /* too many have failed */
};
enum login_verdict login_guard_enter(struct login_guard *g, const char *user, const char *peer);
/* An attempt that was let go has ended. */
void login_guard_leave(struct login_guard *g, const char *user, const char *peer, bool ok);
void login_guard_sweep(struct login_guard *g); /* drops what counts no more */

#endif

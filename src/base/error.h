/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, for people and for the table that maps kinds to vSphere faults.
 *
 * A struct error lives on the caller's stack and owns nothing. Functions that can fail return
 * bool and take `struct error *e` last; e may be NULL where the caller does not care. Messages
 * name the object in quotes, then the reason and the limit, without a full stop. Any thread.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

#include "base/macro.h"

enum error_kind {
	ERROR_NONE,
	ERROR_INVALID, /* the request or a value in it is wrong */
	ERROR_NAME,    /* a name that may not be used */
	ERROR_NOT_FOUND,
	ERROR_EXISTS,
	ERROR_NO_SPACE, /* disk or another countable resource is used up */
	ERROR_BUSY,	/* in use by somebody else now */
	ERROR_STATE,	/* not possible in the object's state */
	ERROR_LIMIT,	/* larger, longer, deeper or more than allowed */
	ERROR_PERMISSION,
	ERROR_UNREACHABLE, /* the peer cannot be reached or went away */
	ERROR_TIMEOUT,
	ERROR_CANCELED,
	ERROR_IO,
	ERROR_CORRUPT, /* stored data is not what was written */
	ERROR_UNSUPPORTED,
	ERROR_INTERNAL,
};

struct error {
	enum error_kind kind;
	int sys; /* errno value, 0 where none */
	char msg[240];
};

/* Always false, so that callers can write `return error_set(e, …);`. Arguments may point into
 * e->msg. A longer message is cut at a UTF-8 boundary. */
bool error_set(struct error *e, enum error_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The kind follows from the errno value `sys`; ": <its text>" is appended. Always false. */
bool error_set_sys(struct error *e, int sys, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts text before the message, nothing in between. Always false. */
bool error_prefix(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

enum error_kind error_kind_from_errno(int sys);

#ifdef __clang_analyzer__
/* The analyser sees no other file: without this it follows paths on which these return true. */
static inline bool error_is_false(bool result)
{
	(void)result;
	return false;
}
#define error_set(...)	   error_is_false(error_set(__VA_ARGS__))
#define error_set_sys(...) error_is_false(error_set_sys(__VA_ARGS__))
#define error_prefix(...)  error_is_false(error_prefix(__VA_ARGS__))
#endif

/* "invalid", "not-found", …: stable names for logs and wire formats; and back (false: unknown). */
const char *error_kind_name(enum error_kind kind);
bool error_kind_from_name(const char *name, enum error_kind *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef error_set
#undef error_set_sys
#undef error_prefix

#define TEXT_SIZE sizeof(((struct error *)0)->msg)

static const char *const kind_names[] = {
	[ERROR_NONE] = "none",
	[ERROR_INVALID] = "invalid",
	[ERROR_NAME] = "name",
	[ERROR_NOT_FOUND] = "not-found",
	[ERROR_EXISTS] = "exists",
	[ERROR_NO_SPACE] = "no-space",
	[ERROR_BUSY] = "busy",
	[ERROR_STATE] = "state",
	[ERROR_LIMIT] = "limit",
	[ERROR_PERMISSION] = "permission",
	[ERROR_UNREACHABLE] = "unreachable",
	[ERROR_TIMEOUT] = "timeout",
	[ERROR_CANCELED] = "canceled",
	[ERROR_IO] = "io",
	[ERROR_CORRUPT] = "corrupt",
	[ERROR_UNSUPPORTED] = "unsupported",
	[ERROR_INTERNAL] = "internal",
};

/* Drops an incomplete UTF-8 sequence from the end of a cut text of n bytes. */
static void trim_cut(char *s, size_t n)
{
	size_t at = n;
	while (at > 0 && n - at < 3 && ((unsigned char)s[at - 1] & 0xc0) == 0x80) {
		at--;
	}
	if (at == 0) {
		return;
	}
	unsigned char lead = (unsigned char)s[at - 1];
	size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (n - (at - 1) < want) {
		s[at - 1] = '\0';
	}
}

/* Appends formatted text to the n bytes in s; returns the new length. */
static size_t append(char *s, size_t n, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);
static size_t append(char *s, size_t n, const char *fmt, va_list ap)
{
	int len = vsnprintf(s + n, TEXT_SIZE - n, fmt, ap);
	if (len < 0) {
		s[n] = '\0';
		return n;
	}
	if ((size_t)len >= TEXT_SIZE - n) {
		trim_cut(s, TEXT_SIZE - 1);
		return strlen(s);
	}
	return n + (size_t)len;
}

static size_t append_text(char *s, size_t n, const char *fmt, ...) PRINTF_LIKE(3, 4);
static size_t append_text(char *s, size_t n, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	n = append(s, n, fmt, ap);
	va_end(ap);
	return n;
}

bool error_set(struct error *e, enum error_kind kind, const char *fmt, ...)
{
	if (!e) {
		return false;
	}
	char text[TEXT_SIZE];
	va_list ap;
	va_start(ap, fmt);
	size_t n = append(text, 0, fmt, ap);
	va_end(ap);
	e->kind = kind;
	e->sys = 0;
	memcpy(e->msg, text, n + 1);
	return false;
}

bool error_set_sys(struct error *e, int sys, const char *fmt, ...)
{
	if (!e) {
		return false;
	}
	char text[TEXT_SIZE];
	va_list ap;
	va_start(ap, fmt);
	size_t n = append(text, 0, fmt, ap);
	va_end(ap);
	char reason[96];
	n = append_text(text, n, ": %s", strerror_r(sys, reason, sizeof(reason)));
	e->kind = error_kind_from_errno(sys);
	e->sys = sys;
	memcpy(e->msg, text, n + 1);
	return false;
}

bool error_prefix(struct error *e, const char *fmt, ...)
{
	if (!e) {
		return false;
	}
	char text[TEXT_SIZE];
	va_list ap;
	va_start(ap, fmt);
	size_t n = append(text, 0, fmt, ap);
	va_end(ap);
	n = append_text(text, n, "%s", e->msg);
	memcpy(e->msg, text, n + 1);
	return false;
}

enum error_kind error_kind_from_errno(int sys)
{
	switch (sys) {
	case 0:
		return ERROR_NONE;
	case ENOENT:
	case ESRCH:
	case ENXIO:
	case ENODEV:
		return ERROR_NOT_FOUND;
	case EEXIST:
	case ENOTEMPTY:
	case EADDRINUSE:
		return ERROR_EXISTS;
	case ENOSPC:
	case EDQUOT:
	case ENOMEM:
	case ENFILE:
	case EMFILE:
		return ERROR_NO_SPACE;
	case EBUSY:
	case ETXTBSY:
	case EAGAIN:
		return ERROR_BUSY;
	case EPERM:
	case EACCES:
	case EROFS:
		return ERROR_PERMISSION;
	case EINVAL:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case EXDEV:
	case EDOM:
		return ERROR_INVALID;
	case ENAMETOOLONG:
		return ERROR_NAME;
	case EFBIG:
	case E2BIG:
	case ERANGE:
	case EOVERFLOW:
	case EMSGSIZE:
		return ERROR_LIMIT;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ENOTCONN:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
		return ERROR_UNREACHABLE;
	case ETIMEDOUT:
		return ERROR_TIMEOUT;
	case ECANCELED:
		return ERROR_CANCELED;
	case ENOSYS:
	case ENOTSUP:
	case EPROTONOSUPPORT:
	case EAFNOSUPPORT:
		return ERROR_UNSUPPORTED;
	default:
		return ERROR_IO;
	}
}

const char *error_kind_name(enum error_kind kind)
{
	return (size_t)kind < ARRAY_LEN(kind_names) ? kind_names[kind] : "unknown";
}

bool error_kind_from_name(const char *name, enum error_kind *out)
{
	for (size_t i = 0; i != ARRAY_LEN(kind_names); i++) {
		if (strcmp(kind_names[i], name) == 0) {
			*out = (enum error_kind)i;
			return true;
		}
	}
	return false;
}

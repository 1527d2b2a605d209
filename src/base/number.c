/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"

static bool digits_u64(const char *s, size_t n, uint64_t *out)
{
	uint64_t v = 0;
	if (n == 0) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v)) {
			return false;
		}
	}
	*out = v;
	return true;
}

bool number_u64_n(const char *s, size_t n, uint64_t *out)
{
	size_t sign = n > 0 && s[0] == '+';
	return digits_u64(s + sign, n - sign, out);
}

bool number_i64_n(const char *s, size_t n, int64_t *out)
{
	bool is_negative = n > 0 && s[0] == '-';
	size_t sign = is_negative || (n > 0 && s[0] == '+');
	uint64_t v;
	if (!digits_u64(s + sign, n - sign, &v) || v > (uint64_t)INT64_MAX + is_negative) {
		return false;
	}
	*out = (int64_t)(is_negative ? 0 - v : v);
	return true;
}

bool number_i64(const char *s, int64_t *out)
{
	return number_i64_n(s, strlen(s), out);
}

bool number_u64(const char *s, uint64_t *out)
{
	return number_u64_n(s, strlen(s), out);
}

bool number_i32(const char *s, int32_t *out)
{
	int64_t v;
	if (!number_i64(s, &v) || v < INT32_MIN || v > INT32_MAX) {
		return false;
	}
	*out = (int32_t)v;
	return true;
}

bool number_u32(const char *s, uint32_t *out)
{
	uint64_t v;
	if (!number_u64(s, &v) || v > UINT32_MAX) {
		return false;
	}
	*out = (uint32_t)v;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	char lower = (char)(c | 0x20);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool number_hex_u64(const char *s, uint64_t *out)
{
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		s += 2;
	}
	size_t n = strlen(s);
	uint64_t v = 0;
	if (n == 0) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		int digit = hex_digit(s[i]);
		if (digit < 0 || v >> 60) {
			return false;
		}
		v = v << 4 | (uint64_t)digit;
	}
	*out = v;
	return true;
}

bool number_double(const char *s, double *out)
{
	if (!s[0] || s[strspn(s, "0123456789+-.eE")]) {
		return false; /* keeps blanks, hex, inf and nan from strtod */
	}
	char *end;
	errno = 0;
	double v = strtod(s, &end);
	if (*end || !isfinite(v)) {
		return false;
	}
	*out = v;
	return true;
}

bool number_bool(const char *s, bool *out)
{
	bool is_true = strcmp(s, "true") == 0 || strcmp(s, "1") == 0;
	if (!is_true && strcmp(s, "false") != 0 && strcmp(s, "0") != 0) {
		return false;
	}
	*out = is_true;
	return true;
}

bool number_port(const char *s, uint16_t *out)
{
	uint64_t v;
	if (!number_u64(s, &v) || v < 1 || v > UINT16_MAX) {
		return false;
	}
	*out = (uint16_t)v;
	return true;
}

bool number_bytes(const char *s, uint64_t *out)
{
	static const struct {
		const char *unit;
		unsigned shift;
	} units[] = { { "", 0 },     { "k", 10 },   { "m", 20 },   { "g", 30 },	 { "t", 40 },
		      { "kib", 10 }, { "mib", 20 }, { "gib", 30 }, { "tib", 40 } };
	size_t n = strspn(s, "0123456789");
	uint64_t v;
	if (!digits_u64(s, n, &v)) {
		return false;
	}
	for (size_t i = 0; i != ARRAY_LEN(units); i++) {
		if (strcasecmp(s + n, units[i].unit) == 0) {
			return v <= UINT64_MAX >> units[i].shift
				       ? (*out = v << units[i].shift, true)
				       : false;
		}
	}
	return false;
}

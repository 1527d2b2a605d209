/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encoding.h"

#include <string.h>

#include <sodium.h>

void hex_encode(struct buf *out, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *b = p;
	char *at = buf_reserve(out, n * 2);
	for (size_t i = 0; i < n; i++) {
		at[2 * i] = digits[b[i] >> 4];
		at[2 * i + 1] = digits[b[i] & 15];
	}
	buf_commit(out, n * 2);
}

bool hex_decode(const char *s, void *p, size_t n)
{
	size_t len = 0;
	return strlen(s) == n * 2 && sodium_hex2bin(p, n, s, n * 2, NULL, &len, NULL) == 0 &&
	       len == n;
}

void base64_encode(struct buf *out, const void *p, size_t n)
{
	size_t len = sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_ORIGINAL);
	char *at = buf_reserve(out, len);
	sodium_bin2base64(at, len, p, n, sodium_base64_VARIANT_ORIGINAL);
	buf_commit(out, len - 1);
}

bool base64_decode(struct buf *out, const char *s, size_t n)
{
	size_t max = n / 4 * 3 + 3;
	size_t len = 0;
	const char *end = NULL;
	char *at = buf_reserve(out, max);
	bool ok = sodium_base642bin((unsigned char *)at, max, s, n, " \t\r\n", &len, &end,
				    sodium_base64_VARIANT_ORIGINAL) == 0 &&
		  end == s + n;
	buf_commit(out, ok ? len : 0);
	return ok;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <sodium.h>

void random_bytes(void *p, size_t n)
{
	randombytes_buf(p, n);
}

uint64_t random_u64(void)
{
	uint64_t v;
	randombytes_buf(&v, sizeof(v));
	return v;
}

uint32_t random_below(uint32_t n)
{
	return randombytes_uniform(n);
}

void random_hex(char *out, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	/* The bytes go into the second half; the digits overtake them only at the end. */
	randombytes_buf(out + n, n);
	for (size_t i = 0; i < n; i++) {
		unsigned char byte = (unsigned char)out[n + i];
		out[2 * i] = digits[byte >> 4];
		out[2 * i + 1] = digits[byte & 15];
	}
	out[2 * n] = '\0';
}

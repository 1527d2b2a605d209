/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include <string.h>

#include <sodium.h>

#include "base/random.h"

#define TEXT_LEN (UUID_TEXT_SIZE - 1)

static bool is_dash_at(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

static void set_version(struct uuid *u, unsigned version)
{
	u->b[6] = (uint8_t)((u->b[6] & 0x0f) | version << 4);
	u->b[8] = (uint8_t)((u->b[8] & 0x3f) | 0x80);
}

struct uuid uuid_random(void)
{
	struct uuid u;
	random_bytes(u.b, sizeof(u.b));
	set_version(&u, 4);
	return u;
}

struct uuid uuid_from_name(const char *name)
{
	struct uuid u;
	crypto_generichash(u.b, sizeof(u.b), (const unsigned char *)name, strlen(name), NULL, 0);
	set_version(&u, 8);
	return u;
}

void uuid_format(const struct uuid *u, char out[UUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	size_t byte = 0;
	for (size_t i = 0; i < TEXT_LEN;) {
		if (is_dash_at(i)) {
			out[i++] = '-';
			continue;
		}
		out[i++] = digits[u->b[byte] >> 4];
		out[i++] = digits[u->b[byte++] & 15];
	}
	out[TEXT_LEN] = '\0';
}

void uuid_random_text(char out[UUID_TEXT_SIZE])
{
	struct uuid u = uuid_random();
	uuid_format(&u, out);
}

bool uuid_parse(const char *s, struct uuid *out)
{
	char hex[sizeof(out->b) * 2 + 1];
	size_t n = 0;
	if (strlen(s) != TEXT_LEN) {
		return false;
	}
	for (size_t i = 0; i < TEXT_LEN; i++) {
		if (is_dash_at(i) != (s[i] == '-')) {
			return false;
		}
		if (s[i] != '-') {
			hex[n++] = s[i];
		}
	}
	hex[n] = '\0';
	struct uuid u;
	if (!hex_decode(hex, u.b, sizeof(u.b))) {
		return false;
	}
	*out = u;
	return true;
}

bool uuid_is_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/text.h"

#include "base/macro.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/encoding.h"
#include "base/macro.h"
#include "base/uuid.h"

/* Length of the well-formed sequence at s, 0 when it is not one. */
static size_t sequence_length(const unsigned char *s, size_t len)
{
	unsigned char lead = s[0];
	if (lead < 0x80) {
		return lead != 0;
	}
	size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead < 0xc2 || lead > 0xf4 || len < n) {
		return 0;
	}
	/* The second byte's range depends on the lead: no overlong forms, surrogates, > U+10FFFF.
	 */
	unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
	if (s[1] < low || s[1] > high) {
		return 0;
	}
	for (size_t i = 2; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return n;
}

bool text_is_utf8(const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = sequence_length((const unsigned char *)s + i, len - i);
		if (n == 0) {
			return false;
		}
		i += n;
	}
	return true;
}

bool text_has_control(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c < 0x20 || c == 0x7f) {
			return true;
		}
	}
	return false;
}

void text_clean(char *out, size_t size, const char *s, size_t len)
{
	size_t o = 0;
	bool blank = false;
	for (size_t i = 0; i < len && s[i] != '\0';) {
		unsigned char c = (unsigned char)s[i];
		if (c <= 0x20 || c == 0x7f) {
			blank = o > 0;
			i++;
			continue;
		}
		size_t n = sequence_length((const unsigned char *)s + i, len - i);
		const char *from = n > 0 ? s + i : "?";
		size_t n_out = n > 0 ? n : 1;
		if (o + (blank ? 1 : 0) + n_out >= size) {
			break;
		}
		if (blank) {
			out[o++] = ' ';
			blank = false;
		}
		memcpy(out + o, from, n_out);
		o += n_out;
		i += n > 0 ? n : 1;
	}
	out[o] = '\0';
}

bool text_uuid_from_esx(const char *s, char out[37])
{
	char hex[33];
	size_t n = 0;
	for (; *s != '\0' && n < ARRAY_LEN(hex); s++) {
		if (*s != ' ' && *s != '-') {
			hex[n++] = *s;
		}
	}
	if (n != 32) {
		return false;
	}
	hex[32] = '\0';
	struct uuid u;
	if (!hex_decode(hex, u.b, sizeof(u.b))) {
		return false;
	}
	uuid_format(&u, out);
	return true;
}

bool text_uuid_to_esx(const char *uuid, char out[TEXT_ESX_UUID_SIZE])
{
	struct uuid u;
	if (!uuid_parse(uuid, &u)) {
		return false;
	}
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(u.b); i++) {
		const char *gap = i == 0 ? "" : i == 8 ? "-" : " ";
		n += (size_t)snprintf(out + n, TEXT_ESX_UUID_SIZE - n, "%s%02x", gap, u.b[i]);
	}
	return true;
}

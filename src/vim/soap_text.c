/* SPDX-License-Identifier: Apache-2.0 */
/* Character data for XML 1.0: escapes, and U+FFFD for what may not stand in a document. */
#include <string.h>

#include "vim/soap.h"

#define REPLACEMENT "\xEF\xBF\xBD"

enum class {
	PLAIN,
	ESCAPED,
	FORBIDDEN,
	MULTIBYTE
};

/* For bytes below 0x80; the members of enum class by number. */
static const uint8_t class_of[128] = {
	/* clang-format off */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 2, 2, 1, 2, 2,
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
	0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	/* clang-format on */
};

static bool is_tail(uint8_t c)
{
	return (c & 0xC0) == 0x80;
}

static enum class class_at(uint8_t c) {
	return c < 0x80 ? (enum class)class_of[c] : MULTIBYTE;
}

/* Length of the UTF-8 character at s, or 0 when it is malformed or not an XML character. */
static size_t character_len(const uint8_t *s, size_t left)
{
	if (s[0] >= 0xC2 && s[0] <= 0xDF) {
		return left >= 2 && is_tail(s[1]) ? 2 : 0;
	}
	if (s[0] >= 0xE0 && s[0] <= 0xEF) {
		if (left < 3 || !is_tail(s[1]) || !is_tail(s[2])) {
			return 0;
		}
		bool overlong = s[0] == 0xE0 && s[1] < 0xA0;
		bool surrogate = s[0] == 0xED && s[1] >= 0xA0;
		bool noncharacter = s[0] == 0xEF && s[1] == 0xBF && s[2] >= 0xBE;
		return overlong || surrogate || noncharacter ? 0 : 3;
	}
	if (s[0] >= 0xF0 && s[0] <= 0xF4) {
		if (left < 4 || !is_tail(s[1]) || !is_tail(s[2]) || !is_tail(s[3])) {
			return 0;
		}
		bool overlong = s[0] == 0xF0 && s[1] < 0x90;
		bool too_high = s[0] == 0xF4 && s[1] > 0x8F;
		return overlong || too_high ? 0 : 4;
	}
	return 0;
}

static void add_escape(struct buf *b, uint8_t c)
{
	switch (c) {
	case '&':
		buf_add(b, "&amp;", 5);
		break;
	case '<':
		buf_add(b, "&lt;", 4);
		break;
	case '>':
		buf_add(b, "&gt;", 4);
		break;
	case '"':
		buf_add(b, "&quot;", 6);
		break;
	default: /* a parser would make a line feed of a bare carriage return */
		buf_add(b, "&#xD;", 5);
		break;
	}
}

/* High bits of bytes of w that are less than c, c at most 128; only whether there is one counts. */
static uint64_t less(uint64_t w, uint8_t c)
{
	return (w - UINT64_C(0x0101010101010101) * c) & ~w;
}

static uint64_t equal(uint64_t w, uint8_t c)
{
	return less(w ^ UINT64_C(0x0101010101010101) * c, 1);
}

/* Do eight bytes stand as they are? Not told of tabs and line feeds, which do as well. */
static bool are_plain(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	uint64_t odd =
		w | less(w, 0x20) | equal(w, '"') | equal(w, '&') | equal(w, '<') | equal(w, '>');
	return (odd & UINT64_C(0x8080808080808080)) == 0;
}

void soap_write_text(struct buf *b, const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t clean = 0, i = 0;

	while (i < len) {
		if (len - i >= 8 && are_plain(p + i)) {
			i += 8;
			continue;
		}
		enum class class = class_at(p[i]);
		if (class == PLAIN) {
			i++;
			continue;
		}
		size_t n = class == MULTIBYTE ? character_len(p + i, len - i) : 0;
		if (n > 0) {
			i += n;
			continue;
		}
		buf_add(b, s + clean, i - clean);
		if (class == ESCAPED) {
			add_escape(b, p[i]);
		} else {
			buf_add(b, REPLACEMENT, 3);
		}
		clean = ++i;
	}
	buf_add(b, s + clean, len - clean);
}

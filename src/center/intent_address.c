/* SPDX-License-Identifier: Apache-2.0 */
#include "center/intent_address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

struct address {
	uint8_t bytes[16]; /* IPv4: the first four */
	int family;
	unsigned bits; /* 32 or 128 */
};

static bool read_address(const char *text, size_t len, struct address *out)
{
	char copy[INTENT_ADDRESS_MAX];

	if (len >= sizeof(copy)) {
		return false;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	*out = (struct address){ .family = strchr(copy, ':') == NULL ? AF_INET : AF_INET6 };
	out->bits = out->family == AF_INET ? 32 : 128;
	return inet_pton(out->family, copy, out->bytes) == 1;
}

static bool bit(const struct address *a, unsigned i)
{
	return (a->bytes[i / 8] >> (7 - i % 8) & 1) != 0;
}

static void set_bit(struct address *a, unsigned i, bool v)
{
	uint8_t mask = (uint8_t)(1U << (7 - i % 8));

	a->bytes[i / 8] = (uint8_t)(v ? a->bytes[i / 8] | mask : a->bytes[i / 8] & ~mask);
}

static void fill(struct address *a, unsigned from, bool v)
{
	for (unsigned i = from; i < a->bits; i++) {
		set_bit(a, i, v);
	}
}

static void write_prefix(const struct address *a, unsigned length, char out[INTENT_PREFIX_MAX])
{
	char text[INTENT_ADDRESS_MAX];

	inet_ntop(a->family, a->bytes, text, sizeof(text));
	if (length == a->bits) {
		snprintf(out, INTENT_PREFIX_MAX, "%s", text);
	} else {
		snprintf(out, INTENT_PREFIX_MAX, "%s/%u", text, (unsigned)(uint8_t)length);
	}
}

bool intent_address(const char *text, char out[INTENT_ADDRESS_MAX])
{
	struct address a;

	return read_address(text, strlen(text), &a) &&
	       inet_ntop(a.family, a.bytes, out, INTENT_ADDRESS_MAX) != NULL;
}

/* "10.1.0.1/24"; false: no length, or too long a one. */
static bool read_network(const char *text, struct address *out, unsigned *length)
{
	const char *slash = strchr(text, '/');
	uint32_t n;

	if (slash == NULL || !read_address(text, (size_t)(slash - text), out) || slash[1] == '+' ||
	    !number_u32(slash + 1, &n) || n > out->bits) {
		return false;
	}
	*length = n;
	return true;
}

bool intent_gateway(const char *text, char out[INTENT_PREFIX_MAX])
{
	struct address a;
	char address[INTENT_ADDRESS_MAX];
	unsigned length = 0;

	if (!read_network(text, &a, &length) || length == 0 ||
	    inet_ntop(a.family, a.bytes, address, sizeof(address)) == NULL) {
		return false;
	}
	snprintf(out, INTENT_PREFIX_MAX, "%s/%u", address, (unsigned)(uint8_t)length);
	return true;
}

/* ---- ranges ---- */

/* The length of the largest network that begins at `a` and does not go beyond `last`. */
static unsigned widest(const struct address *a, const struct address *last)
{
	unsigned length = a->bits;

	while (length > 0 && !bit(a, length - 1)) {
		struct address end = *a;
		fill(&end, length - 1, true);
		if (memcmp(end.bytes, last->bytes, sizeof(end.bytes)) > 0) {
			break;
		}
		length--;
	}
	return length;
}

/* The address after the network; false: there is none. */
static bool go_behind(struct address *a, unsigned length)
{
	for (unsigned i = length; i-- > 0;) {
		if (!bit(a, i)) {
			set_bit(a, i, true);
			fill(a, i + 1, false);
			return true;
		}
	}
	return false;
}

static bool range_prefixes(const char *text, const char *dash,
			   void (*fn)(void *arg, const char *prefix), void *arg)
{
	struct address at, last;
	char prefix[INTENT_PREFIX_MAX];

	if (!read_address(text, (size_t)(dash - text), &at) ||
	    !read_address(dash + 1, strlen(dash + 1), &last) || at.family != last.family ||
	    memcmp(at.bytes, last.bytes, sizeof(at.bytes)) > 0) {
		return false;
	}
	for (;;) {
		unsigned length = widest(&at, &last);
		write_prefix(&at, length, prefix);
		fn(arg, prefix);
		if (!go_behind(&at, length) || memcmp(at.bytes, last.bytes, sizeof(at.bytes)) > 0) {
			return true;
		}
	}
}

bool intent_prefixes(const char *text, void (*fn)(void *arg, const char *prefix), void *arg)
{
	const char *dash = strchr(text, '-');
	char prefix[INTENT_PREFIX_MAX];
	struct address a;
	unsigned length = 0;

	if (dash != NULL) {
		return range_prefixes(text, dash, fn, arg);
	}
	if (strchr(text, '/') == NULL) {
		if (!read_address(text, strlen(text), &a)) {
			return false;
		}
		length = a.bits;
	} else if (!read_network(text, &a, &length)) {
		return false;
	}
	fill(&a, length, false);
	write_prefix(&a, length, prefix);
	fn(arg, prefix);
	return true;
}

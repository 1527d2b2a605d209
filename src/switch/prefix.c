/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/prefix.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

static unsigned width(const struct prefix *p)
{
	return p->ip == 4 ? 32 : 128;
}

/* Of byte i: the bits that the length covers. */
static uint8_t mask_byte(unsigned length, unsigned i)
{
	unsigned bits = length <= i * 8 ? 0 : length - i * 8;

	return bits >= 8 ? 0xff : (uint8_t)(0xff00u >> bits);
}

static bool has_stray_bits(const struct prefix *p)
{
	for (unsigned i = 0; i < width(p) / 8; i++) {
		if ((p->address[i] & (uint8_t)~mask_byte(p->length, i)) != 0) {
			return true;
		}
	}
	return false;
}

bool prefix_parse(const char *text, struct prefix *out)
{
	struct prefix p = { .ip = strchr(text, ':') != NULL ? 6 : 4 };
	const char *slash = strchr(text, '/');
	size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);
	char address[INET6_ADDRSTRLEN];
	uint64_t length = width(&p);

	if (n >= sizeof(address)) {
		return false;
	}
	memcpy(address, text, n);
	address[n] = '\0';
	if (inet_pton(p.ip == 4 ? AF_INET : AF_INET6, address, p.address) != 1 ||
	    (slash != NULL &&
	     (slash[1] == '+' || !number_u64(slash + 1, &length) || length > width(&p)))) {
		return false;
	}
	p.length = (uint8_t)length;
	if (has_stray_bits(&p)) {
		return false;
	}
	*out = p;
	return true;
}

void prefix_text(const struct prefix *p, char out[PREFIX_TEXT_MAX])
{
	char address[INET6_ADDRSTRLEN] = "?";

	inet_ntop(p->ip == 4 ? AF_INET : AF_INET6, p->address, address, sizeof(address));
	snprintf(out, PREFIX_TEXT_MAX, "%s/%u", address, p->length);
}

bool prefix_contains(const struct prefix *p, const uint8_t *address)
{
	for (unsigned i = 0; i * 8 < p->length; i++) {
		if ((address[i] & mask_byte(p->length, i)) != p->address[i]) {
			return false;
		}
	}
	return true;
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	if (a->ip != b->ip) {
		return a->ip < b->ip ? -1 : 1;
	}
	int c = memcmp(a->address, b->address, width(a) / 8);
	return c != 0 ? c : (int)a->length - (int)b->length;
}

void prefix_last(const struct prefix *p, uint8_t out[16])
{
	memcpy(out, p->address, 16);
	for (unsigned i = 0; i < width(p) / 8; i++) {
		out[i] |= (uint8_t)~mask_byte(p->length, i);
	}
}

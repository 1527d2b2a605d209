/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/http_text.h"

#include <string.h>

#include "base/number.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t percent_decode(char *s)
{
	char *out = s;

	for (const char *p = s; *p != '\0';) {
		int high = p[0] == '%' ? hex_digit(p[1]) : -1;
		int low = high >= 0 ? hex_digit(p[2]) : -1;
		if (low >= 0 && (high | low) != 0) {
			*out++ = (char)(high << 4 | low);
			p += 3;
		} else {
			*out++ = *p++;
		}
	}
	*out = '\0';
	return (size_t)(out - s);
}

bool path_is_safe(const char *path)
{
	if (path[0] != '/') {
		return false;
	}
	for (const char *p = path; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			return false;
		}
		if (*p == '/' && p[1] == '.' &&
		    (p[2] == '/' || p[2] == '\0' ||
		     (p[2] == '.' && (p[3] == '/' || p[3] == '\0')))) {
			return false;
		}
	}
	return true;
}

bool cookie_find(const char *header, const char *name, char *out, size_t size)
{
	size_t name_len = strlen(name);

	for (const char *p = header; p != NULL && *p != '\0';) {
		p += strspn(p, " \t;,");
		size_t n = strcspn(p, ";");
		if (n > name_len && strncmp(p, name, name_len) == 0 && p[name_len] == '=') {
			const char *value = p + name_len + 1;
			size_t len = n - name_len - 1;
			while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t')) {
				len--;
			}
			if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
				value++;
				len -= 2;
			}
			if (len == 0 || len >= size) {
				return false;
			}
			memcpy(out, value, len);
			out[len] = '\0';
			return true;
		}
		p += n;
	}
	return false;
}

enum range_result range_parse(const char *header, uint64_t size, uint64_t *offset, uint64_t *len)
{
	uint64_t first, last;

	if (header == NULL || strncmp(header, "bytes=", 6) != 0 || strchr(header, ',') != NULL) {
		return RANGE_NONE;
	}
	const char *spec = header + 6;
	const char *dash = strchr(spec, '-');
	if (dash == NULL) {
		return RANGE_NONE;
	}
	size_t n = (size_t)(dash - spec);
	if (n == 0) { /* the last so many bytes */
		if (!number_u64(dash + 1, &last)) {
			return RANGE_NONE;
		}
		if (last == 0 || size == 0) {
			return RANGE_INVALID;
		}
		*len = last < size ? last : size;
		*offset = size - *len;
		return RANGE_PART;
	}
	if (!number_u64_n(spec, n, &first)) {
		return RANGE_NONE;
	}
	if (dash[1] == '\0') {
		last = UINT64_MAX;
	} else if (!number_u64(dash + 1, &last) || last < first) {
		return RANGE_NONE;
	}
	if (first >= size) {
		return RANGE_INVALID;
	}
	*offset = first;
	*len = (last < size ? last : size - 1) - first + 1;
	return RANGE_PART;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <string.h>

#include "base/number.h"

bool address_split(const char *text, char *host, size_t size, uint16_t *port, struct error *e)
{
	bool has_bracket = text[0] == '[';
	const char *from = has_bracket ? text + 1 : text;
	const char *end = strchr(from, has_bracket ? ']' : ':');
	const char *rest = "";
	uint64_t number;

	if (has_bracket && end == NULL) {
		return error_set(e, ERROR_INVALID, "\"%.100s\": the bracket is not closed", text);
	}
	if (!has_bracket && end != NULL && strchr(end + 1, ':') != NULL) {
		end = NULL; /* IPv6 by itself: no port */
	}
	if (end != NULL) {
		rest = has_bracket ? end + 1 : end;
	}
	size_t len = end == NULL ? strlen(from) : (size_t)(end - from);
	if (len >= size) {
		return error_set(e, ERROR_INVALID, "\"%.100s\" is no address", text);
	}
	if (rest[0] != '\0') {
		if (rest[0] != ':' || !number_u64(rest + 1, &number) || number > UINT16_MAX) {
			return error_set(e, ERROR_INVALID, "\"%.100s\": no port from 0 to 65535",
					 text);
		}
		*port = (uint16_t)number;
	}
	memcpy(host, from, len);
	host[len] = '\0';
	return true;
}

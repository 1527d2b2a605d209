/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <string.h>

#include <uv.h>

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

bool address_is_any(const char *address)
{
	return address[0] == '\0' || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

void address_name(const struct sockaddr *from, char out[INET6_ADDRSTRLEN])
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	out[0] = '\0';
	if (from->sa_family == AF_INET) {
		memcpy(&v4, from, sizeof(v4));
		uv_ip4_name(&v4, out, INET6_ADDRSTRLEN);
	} else if (from->sa_family == AF_INET6) {
		memcpy(&v6, from, sizeof(v6));
		const uint8_t *bytes = v6.sin6_addr.s6_addr;
		if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
			uv_inet_ntop(AF_INET, bytes + 12, out, INET6_ADDRSTRLEN);
		} else {
			uv_ip6_name(&v6, out, INET6_ADDRSTRLEN);
		}
	}
}

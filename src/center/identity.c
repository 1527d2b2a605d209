/* SPDX-License-Identifier: Apache-2.0 */
#include "center/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/uuid.h"

enum {
	FILE_MAX = 65536,
	PORT_FIRST = 443,
};

static bool text_get(const struct json_at *at, const char *key, char *out, size_t size,
		     struct error *e)
{
	const char *s;

	if (!json_get_str(at, key, &s, e)) {
		return false;
	}
	if (s[0] == '\0' || strlen(s) >= size) {
		return error_set(e, ERROR_INVALID, "\"%s\": must have 1 to %zu bytes", key,
				 size - 1);
	}
	memcpy(out, s, strlen(s) + 1);
	return true;
}

static bool identity_read(const struct json_at *at, struct identity *i, struct error *e)
{
	const char *role;
	struct uuid uuid;
	uint32_t port;

	if (!text_get(at, "uuid", i->uuid, sizeof(i->uuid), e) ||
	    !text_get(at, "name", i->name, sizeof(i->name), e) ||
	    !text_get(at, "address", i->address, sizeof(i->address), e) ||
	    !json_get_u32(at, "port", &port, e) || !json_get_str(at, "role", &role, e)) {
		return false;
	}
	if (!uuid_parse(i->uuid, &uuid)) {
		return error_set(e, ERROR_INVALID, "\"uuid\": \"%s\" is none", i->uuid);
	}
	if (strcmp(role, "manager") != 0) {
		return error_set(e, ERROR_INVALID, "\"role\": \"%.40s\" is not \"manager\"", role);
	}
	if (port == 0 || port > UINT16_MAX) {
		return error_set(e, ERROR_INVALID, "\"port\": %u is none", port);
	}
	i->port = (uint16_t)port;
	return true;
}

static bool identity_make(const char *path, struct identity *i, struct error *e)
{
	struct json_object *doc = json_object_new_object();
	struct buf b = BUF_INIT;

	uuid_random_text(i->uuid);
	if (gethostname(i->name, sizeof(i->name)) != 0 || i->name[0] == '\0') {
		snprintf(i->name, sizeof(i->name), "manager");
	}
	i->name[sizeof(i->name) - 1] = '\0';
	snprintf(i->address, sizeof(i->address), "::");
	i->port = PORT_FIRST;
	json_put_str(doc, "uuid", i->uuid);
	json_put_str(doc, "name", i->name);
	json_put_str(doc, "role", "manager");
	json_put_str(doc, "address", i->address);
	json_put_u64(doc, "port", i->port);
	json_add_text(&b, doc);
	buf_addc(&b, '\n');
	bool ok = file_write_atomic(path, b.data, b.len, 0600, e);
	json_object_put(doc);
	buf_free(&b);
	return ok;
}

bool identity_load_or_make(const char *state, struct identity *out, struct error *e)
{
	char *path = mem_printf("%s/node.json", state);
	struct error why = { 0 };
	struct identity i = { 0 };
	struct json_object *doc = json_parse_file(path, FILE_MAX, &why);
	bool ok;

	if (doc != NULL) {
		struct json_at at = json_root(doc);
		ok = identity_read(&at, &i, &why) || error_prefix(&why, "\"%.100s\": ", path);
		json_object_put(doc);
	} else {
		ok = why.kind == ERROR_NOT_FOUND && identity_make(path, &i, &why);
	}
	free(path);
	if (!ok) {
		return error_set(e, why.kind, "%s", why.msg);
	}
	*out = i;
	return true;
}

bool identity_set_listen(struct identity *i, const char *text, struct error *e)
{
	char address[sizeof(i->address)];
	uint16_t port = i->port;

	if (!address_split(text, address, sizeof(address), &port, e)) {
		return false;
	}
	if (address[0] == '\0') {
		return error_set(e, ERROR_INVALID, "\"%.100s\" has no address", text);
	}
	memcpy(i->address, address, sizeof(address));
	i->port = port;
	return true;
}

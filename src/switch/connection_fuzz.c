/* SPDX-License-Identifier: Apache-2.0 */
/* Connections as any node may give them: what is taken says the same again when it is written. */
#include "switch/connection.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	SIZE_MOST = 1 << 14,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct connection c, again;
	struct error e;
	struct json_object *o =
		size > SIZE_MOST ? NULL : json_parse((const char *)data, size, SIZE_MOST, 32, &e);
	struct json_at root = json_root(o);

	if (o != NULL && connection_read(&root, &c, &e)) {
		struct json_object *written = connection_write(&c);
		struct json_at at = json_root(written);
		assert(connection_read(&at, &again, &e));
		assert(memcmp(&c.flow, &again.flow, sizeof(c.flow)) == 0);
		json_object_put(written);
	}
	json_object_put(o);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a host may answer about a migration: read, told, and made a fault of, whatever it is. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "center/migration_link.h"
#include "vim/inventory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fault(const struct value *f)
{
	uint16_t type = value_type(f);

	assert(schema_is_a(type, T_MethodFault));
	for (unsigned i = 0; i < schema_type(type)->n_fields; i++) {
		assert((schema_field(type, i)->flags & FIELD_OPTIONAL) != 0 || value_has(f, i));
	}
}

/* The first byte chooses the HTTP status. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = { 200, 202, 400, 404, 409, 500 };
	static struct inventory *inv;
	static struct object *vm, *host;
	struct migration_status s;
	char text[480];

	if (inv == NULL) {
		inv = inventory_new(NULL);
		vm = inventory_add(inv, T_VirtualMachine, "vm-1", NULL, NULL);
		host = inventory_add(inv, T_HostSystem, "host-1", NULL, NULL);
	}
	if (size == 0) {
		return 0;
	}
	char *body = mem_alloc(size);
	memcpy(body, data + 1, size - 1);
	body[size - 1] = '\0';
	migration_status_read(&s,
			      &(struct peer_answer){ .status = statuses[data[0] % 6],
						     .body = body,
						     .len = size - 1 },
			      NULL);
	migration_status_text(&s, "host", text, sizeof(text));
	struct arena *a = arena_new(0);
	check_fault(migration_status_fault(&s, vm, host, a));
	arena_free(a);
	free(body);
	return 0;
}

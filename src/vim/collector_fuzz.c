/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as the content of a request's body, from a client that is logged in, on a
 * service with collector, views and search index. What a request leaves behind (filters, views)
 * stays for the next ones.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vim/rig.h"

enum {
	N_VMS = 20,
	MAX_RUNS = 2000 /* with one rig: what accumulates must not hide what is new */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rig *make_rig(char key[64])
{
	struct rig *r = rig_new();
	char id[32];

	for (int i = 0; i < N_VMS; i++) {
		snprintf(id, sizeof(id), "vm-%d", i);
		rig_add_vm(r, id, id);
	}
	snprintf(key, 64, "%s", session_key(rig_login(r, "root", "secret")));
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig *r;
	static char key[64];
	static unsigned runs;

	if (r != NULL && (runs++ % MAX_RUNS == 0 || session_find(r->sessions, key) == NULL)) {
		rig_free(r);
		r = NULL;
	}
	if (r == NULL) {
		r = make_rig(key);
	}
	char *content = malloc(size + 1);
	if (content == NULL) {
		return 0;
	}
	memcpy(content, data, size);
	content[size] = '\0';
	struct call *c = rig_post(r, key, content);
	free(content);
	struct object *vm = inventory_find(r->inventory, "vm-7");
	if (vm != NULL) {
		rig_set_power(r, vm, (int)(runs & 1));
	}
	inventory_publish(r->inventory);
	if (c != NULL && r->status == 0) {
		service_abort(c);
	}
	arena_reset(r->arena);
	return 0;
}

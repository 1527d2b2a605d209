/* SPDX-License-Identifier: Apache-2.0 */
/* What parses must come out of the writer so that it parses to the same descriptor. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "host/vmdk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_equal(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void compare(const struct vmdk *a, const struct vmdk *b)
{
	assert(a->version == b->version && a->cid == b->cid && a->parent_cid == b->parent_cid);
	assert(is_equal(a->create_type, b->create_type));
	assert(is_equal(a->parent_file, b->parent_file));
	assert(a->n_extents == b->n_extents && a->n_settings == b->n_settings);
	for (size_t i = 0; i < a->n_extents; i++) {
		const struct vmdk_extent *x = &a->extents[i], *y = &b->extents[i];
		assert(x->access == y->access && x->kind == y->kind);
		assert(x->n_sectors == y->n_sectors && x->offset_sectors == y->offset_sectors);
		assert(is_equal(x->kind_name, y->kind_name) && is_equal(x->file, y->file));
	}
	for (size_t i = 0; i < a->n_settings; i++) {
		assert(is_equal(vmdk_get(b, a->settings[i].key), a->settings[i].value));
	}
	assert(vmdk_capacity(a) == vmdk_capacity(b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error e;
	char path[4097];
	struct vmdk *d = vmdk_parse((const char *)data, size, &e);
	if (d == NULL) {
		return 0;
	}
	for (size_t i = 0; i < d->n_extents; i++) {
		vmdk_extent_path("folder/disk.vmdk", &d->extents[i], path, &e);
	}
	struct buf b = BUF_INIT;
	vmdk_write(d, &b);
	if (b.len <= VMDK_FILE_MAX) {
		struct vmdk *again = vmdk_parse(b.data, b.len, &e);
		assert(again != NULL);
		compare(d, again);
		vmdk_free(again);
	}
	buf_free(&b);
	vmdk_free(d);
	return 0;
}

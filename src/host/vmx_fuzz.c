/* SPDX-License-Identifier: Apache-2.0 */
/* What parses must come out of the writer so that it parses to the same entries. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "host/vmx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_getters(const struct vmx *v, const char *key)
{
	struct vmx_range range = { .min = 0, .max = 100, .fallback = 1 };
	struct vmx_file file;
	struct error e;
	char uuid[37];
	int64_t number;
	bool flag;
	vmx_get_int(v, key, &range, &number, &e);
	vmx_get_bool(v, key, false, &flag, &e);
	vmx_get_file(v, key, &file, &e);
	vmx_get_uuid(v, key, uuid, &e);
}

static void compare(const struct vmx *a, const struct vmx *b)
{
	assert(vmx_n_entries(a) == vmx_n_entries(b));
	for (size_t i = 0; i < vmx_n_entries(a); i++) {
		const char *key, *value, *other_key, *other_value;
		vmx_entry(a, i, &key, &value);
		vmx_entry(b, i, &other_key, &other_value);
		assert(strcmp(key, other_key) == 0 && strcmp(value, other_value) == 0);
		if (i < 64) {
			use_getters(a, key);
		}
	}
}

/* Writes every value anew, so that the escapes are tried and not only the kept lines. */
static struct vmx *rewrite(const struct vmx *v)
{
	struct vmx *out = vmx_new();
	vmx_remove(out, ".encoding");
	for (size_t i = 0; i < vmx_n_entries(v); i++) {
		const char *key, *value;
		vmx_entry(v, i, &key, &value);
		assert(vmx_set(out, key, value, NULL));
	}
	return out;
}

static void check_round_trip(const struct vmx *v)
{
	struct buf b = BUF_INIT;
	vmx_write(v, &b);
	if (b.len <= VMX_FILE_MAX) {
		struct vmx *again = vmx_parse(b.data, b.len, NULL);
		assert(again != NULL);
		compare(v, again);
		vmx_free(again);
	}
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error e;
	struct vmx *v = vmx_parse((const char *)data, size, &e);
	if (v == NULL) {
		return 0;
	}
	check_round_trip(v);
	if (vmx_n_entries(v) < 500) {
		struct vmx *anew = rewrite(v);
		const char *encoding = vmx_get(v, ".encoding");
		if (encoding == NULL || strcmp(encoding, "UTF-8") == 0) {
			check_round_trip(anew);
		}
		vmx_free(anew);
	}
	vmx_free(v);
	return 0;
}

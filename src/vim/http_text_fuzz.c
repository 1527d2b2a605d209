/* SPDX-License-Identifier: Apache-2.0 */
/* Cookies, ranges, percent encoding: any text, checked against what must hold of the results. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vim/http_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size);
	char value[32];
	uint64_t offset = 0, len = 0;

	if (cookie_find(text, "vmware_soap_session", value, sizeof(value))) {
		size_t n = strlen(value);
		assert(n > 0 && n < sizeof(value) && strchr(value, ';') == NULL);
	}
	for (uint64_t total = 0; total < 300; total += 99) {
		if (range_parse(text, total, &offset, &len) == RANGE_PART) {
			assert(len > 0 && offset < total && len <= total - offset);
		}
	}
	size_t before = strlen(text);
	size_t after = percent_decode(text);
	assert(after <= before && strlen(text) == after);
	if (path_is_safe(text)) {
		assert(text[0] == '/' && strstr(text, "/../") == NULL);
	}
	free(text);
	return 0;
}

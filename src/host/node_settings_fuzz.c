/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken is fit for a shell and for node.json, whatever the file says. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "host/node_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing that a shell would make anything of may come out. */
static void check_shell(const struct node_settings *s)
{
	struct buf b = BUF_INIT;

	node_settings_to_shell(s, &b);
	assert(strpbrk(b.data, " \t;&|<>$`\\\"'(){}*?[]#~!") == NULL);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct node_settings s;
	struct buf wrong = BUF_INIT;
	struct node n = { .uuid = "6f3e1c86-7c4c-4a54-9a0a-0b8f4d3c2a10" };

	if (node_settings_read((const char *)data, size, &s, &wrong)) {
		assert(wrong.len == 0);
		check_shell(&s);
		node_settings_to_node(&s, &n);
		assert(n.n_uplinks <= NODE_UPLINKS_MAX);
	} else {
		assert(wrong.len > 0);
	}
	buf_free(&wrong);
	return 0;
}

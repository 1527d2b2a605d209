/* SPDX-License-Identifier: Apache-2.0 */
/* What front ends may say, one message after another: what is taken must keep the promises that
 * vhost's library is trusted with. The input: messages of a byte each for the request, the size in
 * units of 8 bytes, and how much of the payload follows. */
#include "switch/vhost_message.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	HEAD = 3,
	ODD = 0x80, /* a size of one byte more */
};

static bool is_size(const struct vhost_session *s, uint32_t n)
{
	return n <= 32768 && ((s->features & 1ULL << 34) != 0 || (n & (n - 1)) == 0);
}

static void check(const struct vhost_session *before, const struct vhost_session *s)
{
	bool has_size = false;

	for (int i = 0; i < VHOST_RINGS_MAX; i++) {
		has_size |= before->size[i] != 0 && s->size[i] != 0;
		assert(is_size(s, s->size[i]));
		assert(!s->is_placed[i] || s->size[i] != 0);
		assert(!before->is_placed[i] || !s->is_placed[i] || s->size[i] == before->size[i]);
	}
	assert(!has_size || ((before->features ^ s->features) & ~(1ULL << 26)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_session s = { 0 };

	while (size >= HEAD) {
		struct vhost_message m = { .request = data[0], .flags = 1 };
		size_t n = data[2];
		m.size = (uint32_t)(data[1] & ~ODD) * 8 + ((data[1] & ODD) != 0);
		data += HEAD;
		size -= HEAD;
		n = n < size ? n : size;
		memcpy(m.payload, data, n);
		data += n;
		size -= n;
		struct vhost_session before = s;
		if (vhost_session_take(&s, &m) == NULL) {
			check(&before, &s);
		} else {
			assert(memcmp(&before, &s, sizeof(s)) == 0);
		}
	}
	return 0;
}

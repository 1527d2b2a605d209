/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as guests may make them. What is accepted must keep the parser's promises: offsets within
 * the frame, and a key that is found again by its reverse. */
#include "switch/packet.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet p;

	if (size > UINT16_MAX) {
		return 0;
	}
	/* Memory of just that size, so that a look beyond is seen. */
	uint8_t *frame = malloc(size + 1);
	memcpy(frame, data, size);
	for (int trusted = 0; trusted < 2; trusted++) {
		if (packet_parse(&p, frame, (uint16_t)size, (uint32_t)size, trusted != 0) !=
		    DROP_NONE) {
			continue;
		}
		struct packet_neighbor n;
		if ((p.flags & PACKET_NEIGHBOR) != 0) {
			(void)packet_neighbor(&p, &n);
		}
		if (p.key.ip != 0) {
			assert(p.l3 + p.l3_size <= p.size && p.l4 <= p.l3 + p.l3_size);
			assert(p.payload <= p.l3 + p.l3_size);
			struct flow_key back = flow_key_reverse(&p.key, 5);
			back = flow_key_reverse(&back, p.key.iface);
			assert(flow_key_equal(&p.key, &back));
			assert(flow_key_hash(&p.key, 7) == flow_key_hash(&back, 7));
		}
	}
	free(frame);
	return 0;
}

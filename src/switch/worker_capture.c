/* SPDX-License-Identifier: Apache-2.0 */
/* What a capture sees of packets, and when it begins and ends. */
#include "switch/worker_impl.h"

#include <time.h>

#include "switch/sleep.h"

void worker_capture_packet(struct worker *w, enum capture_stage stage, enum drop_reason r,
			   uint16_t port, const struct rte_mbuf *m)
{
	struct capture_packet p = { .stage = stage,
				    .reason = r,
				    .port = port,
				    .epoch = w->wiring->epoch,
				    .head = rte_pktmbuf_mtod(m, const uint8_t *),
				    .n_head = m->data_len,
				    .size = m->pkt_len };

	capture_put(w->capturing, &p);
}

void worker_set_capture(struct worker *w, struct capture *c)
{
	static const struct timespec pause = { .tv_nsec = 20000 };

	__atomic_store_n(&w->capture, c, __ATOMIC_RELEASE);
	sleep_wake();
	while (__atomic_load_n(&w->capturing, __ATOMIC_ACQUIRE) != c) {
		nanosleep(&pause, NULL);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "switch/dpdk_test.h"
#include "switch/frame_make.h"

enum {
	BUFFERS = 1023,
	FIN = 1,
	PSH = 8,
	ACK = 16,
	CWR = 0x80,
};

static struct rte_mempool *pool;

/* What a guest may give: headers, and n bytes of payload that count up, in buffers that are full.
 */
struct whole {
	bool is_ipv6;
	uint16_t tag;	  /* 0: none */
	uint16_t options; /* bytes of TCP's */
	uint32_t n;
	uint8_t flags;
};

static struct rte_mbuf *append(struct rte_mbuf *m, const uint8_t *data, uint32_t n)
{
	while (n > 0) {
		struct rte_mbuf *last = rte_pktmbuf_lastseg(m);
		uint32_t k = MIN(n, rte_pktmbuf_tailroom(last));
		if (k == 0) {
			last->next = rte_pktmbuf_alloc(pool);
			assert_non_null(last->next);
			m->nb_segs++;
			continue;
		}
		memcpy(rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), data, k);
		last->data_len = (uint16_t)(last->data_len + k);
		m->pkt_len += k;
		data += k;
		n -= k;
	}
	return m;
}

static struct rte_mbuf *make(const struct whole *w, struct segment_hint *hint)
{
	static uint8_t frame[70000];
	uint8_t *ip = frame + (w->tag == 0 ? 14 : 18);
	uint8_t *tcp = ip + (w->is_ipv6 ? 40 : 20), *payload = tcp + 20 + w->options;
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	memset(frame, 0, 200);
	memcpy(frame, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	if (w->tag != 0) {
		frame_put16(frame + 12, 0x8100);
		frame_put16(frame + 14, w->tag);
	}
	frame_put16(ip - 2, w->is_ipv6 ? 0x86dd : 0x0800);
	if (w->is_ipv6) {
		ip[0] = 0x60;
		ip[6] = 6;
		memset(ip + 8, 0xfd, 32);
	} else {
		ip[0] = 0x45;
		ip[9] = 6;
		frame_put16(ip + 4, 0xfffe); /* the identification goes over its end */
		memset(ip + 12, 10, 8);
	}
	frame_put32(tcp + 4, 0xfffffff0);
	tcp[12] = (uint8_t)((20 + w->options) / 4 << 4);
	tcp[13] = w->flags;
	memset(tcp + 20, 1, w->options);
	for (uint32_t i = 0; i < w->n; i++) {
		payload[i] = (uint8_t)(i * 7 >> 3);
	}
	hint->is_ipv6 = w->is_ipv6;
	hint->tcp_at = (uint16_t)(tcp - frame);
	return append(m, frame, (uint32_t)(payload - frame) + w->n);
}

/* All of a frame; its size. */
static uint32_t flatten(const struct rte_mbuf *m, uint8_t *out)
{
	uint32_t n = 0;

	for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
		memcpy(out + n, rte_pktmbuf_mtod(s, const uint8_t *), s->data_len);
		n += s->data_len;
	}
	assert_int_equal(n, m->pkt_len);
	return n;
}

/* A whole one's checksum is right where the sum over it is nothing. */
static void check_sums(const uint8_t *ip, const uint8_t *tcp, uint32_t size, bool is_ipv6)
{
	uint32_t sum = size + 6 + frame_sum_of(tcp, size);

	if (!is_ipv6) {
		assert_int_equal(frame_fold(frame_sum_of(ip, (size_t)(tcp - ip))), 0);
		assert_int_equal(frame_get16(ip + 2), (uint32_t)(tcp - ip) + size);
	} else {
		assert_int_equal(frame_get16(ip + 4), size);
	}
	sum += is_ipv6 ? frame_sum_of(ip + 8, 32) : frame_sum_of(ip + 12, 8);
	assert_int_equal(frame_fold(sum), 0);
}

static void cut_and_check(const struct whole *w, uint16_t bytes)
{
	static uint8_t frame[70000];
	struct segment_hint hint = { .bytes = bytes };
	struct rte_mbuf *m = make(w, &hint), *out[SEGMENTS_MAX];
	uint32_t at = 0;

	assert_true(segment_mark(m, &hint));
	assert_true(segment_is_marked(m));
	assert_int_equal(segment_is_ipv6(m), w->is_ipv6);
	unsigned n = segment_cut(m, pool, out);
	assert_int_equal(n, (w->n + bytes - 1) / bytes);
	for (unsigned i = 0; i < n; i++) {
		uint32_t size = flatten(out[i], frame);
		const uint8_t *ip = frame + (w->tag == 0 ? 14 : 18), *tcp = frame + hint.tcp_at;
		const uint8_t *payload = tcp + 20 + w->options;
		assert_true(size - (w->tag == 0 ? 0 : 4) <= segment_frame(m));
		assert_false(segment_is_marked(out[i]));
		check_sums(ip, tcp, size - hint.tcp_at, w->is_ipv6);
		assert_int_equal(frame_get32(tcp + 4), 0xfffffff0 + at);
		if (!w->is_ipv6) {
			assert_int_equal(frame_get16(ip + 4), (0xfffe + i) & 0xffff);
		}
		uint8_t flags = w->flags;
		flags &= (uint8_t)(i + 1 < n ? ~(FIN | PSH) : 0xff);
		flags &= (uint8_t)(i > 0 ? ~CWR : 0xff);
		assert_int_equal(tcp[13], flags);
		for (const uint8_t *p = payload; p < frame + size; p++, at++) {
			assert_int_equal(*p, (uint8_t)(at * 7 >> 3));
		}
		rte_pktmbuf_free(out[i]);
	}
	assert_int_equal(at, w->n);
	rte_pktmbuf_free(m);
	assert_int_equal(rte_mempool_avail_count(pool), BUFFERS);
}

static void segments_carry_what_the_whole_did(void **state)
{
	static const struct whole wholes[] = {
		{ .n = 1, .flags = ACK },
		{ .n = 1448, .flags = ACK | PSH, .options = 12 },
		{ .n = 1449, .flags = ACK | PSH | FIN, .options = 12 },
		{ .n = 65000, .flags = ACK | PSH, .options = 40 },
		{ .n = 30001, .flags = ACK | CWR, .tag = 7 },
		{ .is_ipv6 = true, .n = 65000, .flags = ACK | FIN | CWR, .options = 12 },
		{ .is_ipv6 = true, .n = 4321, .flags = ACK, .tag = 4095 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wholes); i++) {
		cut_and_check(&wholes[i], 1448);
		cut_and_check(&wholes[i], 8948); /* segments of several buffers */
		cut_and_check(&wholes[i], 511);
	}
}

static void a_guest_is_told_what_another_said(void **state)
{
	struct whole w = { .is_ipv6 = true, .n = 9000, .flags = ACK, .options = 12 };
	struct segment_hint hint = { .bytes = 1428 }, told;
	struct rte_mbuf *m = make(&w, &hint);
	uint16_t headers;

	(void)state;
	assert_true(segment_mark(m, &hint));
	segment_describe(m, &told, &headers);
	assert_int_equal(told.is_ipv6, hint.is_ipv6);
	assert_int_equal(told.tcp_at, hint.tcp_at);
	assert_int_equal(told.bytes, hint.bytes);
	assert_int_equal(headers, 14 + 40 + 32);
	assert_int_equal(segment_frame(m), 14 + 40 + 32 + 1428);
	rte_pktmbuf_free(m);
}

static void what_cannot_be_right_is_not_marked(void **state)
{
	struct whole w = { .n = 3000, .flags = ACK };
	struct segment_hint good = { .bytes = 1000 }, h;
	struct rte_mbuf *m = make(&w, &good);
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	(void)state;
	h = good, h.bytes = 0;
	assert_false(segment_mark(m, &h));
	h = good, h.bytes = 11; /* 273 segments */
	assert_false(segment_mark(m, &h));
	h = good, h.is_ipv6 = true;
	assert_false(segment_mark(m, &h));
	h = good, h.tcp_at = 14;
	assert_false(segment_mark(m, &h));
	h = good, h.tcp_at = 38;
	assert_false(segment_mark(m, &h));
	h = good, h.tcp_at = 0xffff;
	assert_false(segment_mark(m, &h));
	frame[34 + 12] = 0x40; /* a header shorter than TCP's */
	assert_false(segment_mark(m, &good));
	frame[34 + 12] = 0x50;
	frame[14 + 9] = 17;
	assert_false(segment_mark(m, &good));
	frame[14 + 9] = 6;
	frame[14 + 6] = 0x20; /* a fragment */
	assert_false(segment_mark(m, &good));
	frame[14 + 6] = 0x40;
	h = good, h.tcp_at = 34 + 2;
	assert_false(segment_mark(m, &h));
	assert_true(segment_mark(m, &good));
	rte_pktmbuf_free(m);
}

/* Between its headers and TCP are options; where the guest says that TCP is are ports, then. */
static void other_places_than_tcps_are_not_marked(void **state)
{
	struct whole w = { .is_ipv6 = true, .n = 3000, .flags = ACK };
	struct segment_hint good = { .bytes = 1000 }, h;
	struct rte_mbuf *m = make(&w, &good);
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	(void)state;
	frame[14 + 6] = 60;
	memset(frame + 54, 0x60, 40);
	for (unsigned at = 54; at < 70; at++) {
		h = good, h.tcp_at = (uint16_t)at;
		assert_false(segment_mark(m, &h));
	}
	rte_pktmbuf_free(m);
}

static void without_buffers_nothing_is_lost(void **state)
{
	struct whole w = { .n = 65000, .flags = ACK };
	struct segment_hint hint = { .bytes = 1000 };
	struct rte_mbuf *m = make(&w, &hint), *kept[BUFFERS], *out[SEGMENTS_MAX];
	unsigned n = rte_mempool_avail_count(pool) - 30;

	(void)state;
	assert_true(segment_mark(m, &hint));
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, kept, n), 0);
	assert_int_equal(segment_cut(m, pool, out), 0);
	assert_int_equal(rte_mempool_avail_count(pool), 30);
	rte_pktmbuf_free_bulk(kept, n);
	rte_pktmbuf_free(m);
	assert_int_equal(rte_mempool_avail_count(pool), BUFFERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_carry_what_the_whole_did),
		cmocka_unit_test(a_guest_is_told_what_another_said),
		cmocka_unit_test(what_cannot_be_right_is_not_marked),
		cmocka_unit_test(other_places_than_tcps_are_not_marked),
		cmocka_unit_test(without_buffers_nothing_is_lost),
	};

	pool = dpdk_test_begin(BUFFERS, 64);
	return pool == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}

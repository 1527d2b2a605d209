/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/tcp_track.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	FIN = 1,
	SYN = 2,
	RST = 4,
	ACK = 16
};

static uint8_t frame[128];

/* One segment over IPv4, with a window scale option where scale is not -1. */
static struct packet segment(uint8_t flags, uint32_t seq, uint32_t ack, uint16_t window,
			     uint16_t n_data, int scale)
{
	uint8_t option[4] = { 3, 3, (uint8_t)scale, 0 };
	uint16_t header = scale < 0 ? 20 : 24, total = (uint16_t)(20 + header + n_data);
	struct packet p;

	memset(frame, 0, sizeof(frame));
	memcpy(frame + 12, "\x08\x00\x45", 3);
	frame[16] = (uint8_t)(total >> 8);
	frame[17] = (uint8_t)total;
	memcpy(frame + 22, "\x40\x06", 2);
	memcpy(frame + 26, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
	uint8_t *t = frame + 34;
	for (int i = 0; i < 4; i++) {
		t[4 + i] = (uint8_t)(seq >> (24 - 8 * i));
		t[8 + i] = (uint8_t)(ack >> (24 - 8 * i));
	}
	t[12] = (uint8_t)(header / 4 << 4);
	t[13] = flags;
	t[14] = (uint8_t)(window >> 8);
	t[15] = (uint8_t)window;
	if (scale >= 0) {
		memcpy(t + 20, option, 4);
	}
	assert_int_equal(packet_parse(&p, frame, (uint16_t)(34 + header), 14u + total, true),
			 DROP_NONE);
	return p;
}

static struct flow flow;

static enum tcp_verdict send_from(unsigned d, uint8_t flags, uint32_t seq, uint32_t ack,
				  uint16_t window, uint16_t n_data)
{
	struct packet p = segment(flags, seq, ack, window, n_data, -1);

	return tcp_follow(&flow, d, &p);
}

/* An open connection: end 0 is at 1001, end 1 at 5001; windows of 1000 << scale. */
static void open_connection(int scale0, int scale1)
{
	struct packet syn = segment(SYN, 1000, 0, 1000, 0, scale0);

	flow = (struct flow){ 0 };
	assert_true(tcp_opens(&syn));
	tcp_begin(&flow, &syn);
	struct packet answer = segment(SYN | ACK, 5000, 1001, 1000, 0, scale1);
	assert_int_equal(tcp_follow(&flow, 1, &answer), TCP_GOOD);
	assert_int_equal(send_from(0, ACK, 1001, 5001, 1000, 0), TCP_GOOD);
	assert_int_equal(flow.tcp & 15, TRACK_OPEN);
}

static void a_connection_opens_talks_and_ends(void **state)
{
	(void)state;
	open_connection(-1, -1);
	assert_int_equal(send_from(0, ACK, 1001, 5001, 1000, 500), TCP_GOOD);
	assert_int_equal(send_from(1, ACK, 5001, 1501, 1000, 300), TCP_GOOD);
	assert_int_equal(send_from(0, FIN | ACK, 1501, 5301, 1000, 0), TCP_GOOD);
	assert_int_equal(flow.tcp & 15, TRACK_HALF_CLOSED);
	assert_int_equal(send_from(1, ACK, 5301, 1502, 1000, 100), TCP_GOOD);
	assert_int_equal(send_from(1, FIN | ACK, 5401, 1502, 1000, 0), TCP_GOOD);
	assert_int_equal(flow.tcp & 15, TRACK_CLOSING);
	assert_int_equal(send_from(0, ACK, 1502, 5402, 1000, 0), TCP_GOOD);
	assert_int_equal(flow.tcp & 15, TRACK_WAITING);
	assert_int_equal(send_from(0, SYN, 90000, 0, 1000, 0), TCP_AGAIN);
}

static void what_is_outside_of_the_window_is_refused(void **state)
{
	(void)state;
	open_connection(-1, -1);
	assert_int_equal(send_from(0, ACK, 2001, 5001, 1000, 10), TCP_GOOD); /* its edge */
	assert_int_equal(send_from(0, ACK, 2002, 5001, 1000, 10), TCP_BAD_WINDOW);
	assert_int_equal(send_from(0, ACK, 1001u - 70000, 5001, 1000, 10), TCP_BAD_WINDOW);
	assert_int_equal(send_from(0, ACK, 1001, 5002, 1000, 10), TCP_BAD_WINDOW); /* unsent */
	assert_int_equal(send_from(1, RST, 900000, 0, 0, 0), TCP_BAD_WINDOW);
	assert_int_equal(flow.tcp & 15, TRACK_OPEN);
	assert_int_equal(send_from(1, RST, 5001, 0, 0, 0), TCP_GOOD);
	assert_int_equal(flow.tcp & 15, TRACK_RESET);
}

static void windows_are_scaled_where_both_offer(void **state)
{
	(void)state;
	open_connection(7, 3);
	/* End 1 takes 1000 << 3 from its next segment on; its SYN's window counted as it stood. */
	assert_int_equal(send_from(1, ACK, 5001, 1001, 1000, 0), TCP_GOOD);
	assert_int_equal(send_from(0, ACK, 9001, 5001, 1000, 1), TCP_GOOD);
	assert_int_equal(send_from(0, ACK, 9002, 5001, 1000, 1), TCP_BAD_WINDOW);
	assert_int_equal(send_from(1, ACK, 5001 + 128000, 1001, 1000, 1), TCP_GOOD);
	assert_int_equal(send_from(1, ACK, 5002 + 128000, 1001, 1000, 1), TCP_BAD_WINDOW);
	open_connection(7, -1);
	assert_int_equal(send_from(1, ACK, 6002, 1001, 1000, 1), TCP_BAD_WINDOW);
}

static void a_connection_is_opened_in_order_only(void **state)
{
	struct packet p = segment(ACK, 1000, 1, 1000, 0, -1);

	(void)state;
	assert_false(tcp_opens(&p));
	p = segment(SYN | ACK, 1000, 1, 1000, 0, -1);
	assert_false(tcp_opens(&p));
	p = segment(SYN, 1000, 0, 1000, 0, -1);
	flow = (struct flow){ 0 };
	tcp_begin(&flow, &p);
	assert_int_equal(send_from(0, ACK, 1001, 1, 1000, 5), TCP_BAD_STATE);
	assert_int_equal(send_from(1, ACK, 1, 1001, 1000, 5), TCP_BAD_STATE);
	assert_int_equal(send_from(1, SYN | ACK, 5000, 999, 1000, 0), TCP_BAD_WINDOW);
	assert_int_equal(send_from(0, SYN, 2000, 0, 1000, 0), TCP_GOOD); /* anew */
	assert_int_equal(send_from(1, SYN | ACK, 5000, 2001, 1000, 0), TCP_GOOD);
	assert_int_equal(send_from(1, SYN | ACK, 5000, 2001, 1000, 0), TCP_GOOD); /* again */
	assert_int_equal(send_from(0, ACK, 2001, 5001, 1000, 0), TCP_GOOD);
	assert_int_equal(send_from(0, SYN, 2001, 0, 1000, 0), TCP_BAD_STATE);
}

/* A segment that is larger than a frame comes in fragments, of which the first has the header. */
static void a_fragmented_segment_may_be_acknowledged(void **state)
{
	struct packet p;

	(void)state;
	open_connection(7, 7);
	p = segment(ACK, 1001, 5001, 1000, 40, -1);
	p.flags |= PACKET_FRAGMENT;
	assert_int_equal(tcp_follow(&flow, 0, &p), TCP_GOOD);
	assert_int_equal(send_from(1, ACK, 5001, 1001 + 9000, 1000, 0), TCP_GOOD);
	assert_int_equal(send_from(1, ACK, 5001, 1001 + 65536, 1000, 0), TCP_BAD_WINDOW);
}

static void sequence_numbers_wrap(void **state)
{
	struct packet p = segment(SYN, 0xfffffff0, 0, 1000, 0, -1);

	(void)state;
	flow = (struct flow){ 0 };
	tcp_begin(&flow, &p);
	assert_int_equal(send_from(1, SYN | ACK, 0xffffffff, 0xfffffff1, 1000, 0), TCP_GOOD);
	assert_int_equal(send_from(0, ACK, 0xfffffff1, 0, 1000, 100), TCP_GOOD);
	assert_int_equal(send_from(1, ACK, 0, 0xfffffff1 + 100, 1000, 100), TCP_GOOD);
	assert_int_equal(send_from(0, ACK, 0xfffffff1 + 100, 100, 1000, 100), TCP_GOOD);
	assert_int_equal(send_from(0, ACK, 0xfffffff1 + 100, 101, 1000, 100), TCP_BAD_WINDOW);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_opens_talks_and_ends),
		cmocka_unit_test(what_is_outside_of_the_window_is_refused),
		cmocka_unit_test(windows_are_scaled_where_both_offer),
		cmocka_unit_test(a_connection_is_opened_in_order_only),
		cmocka_unit_test(a_fragmented_segment_may_be_acknowledged),
		cmocka_unit_test(sequence_numbers_wrap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/tcp_track.h"

#include "base/macro.h"

enum {
	FIN = 1,
	SYN = 2,
	RST = 4,
	ACK = 16,

	NO_SCALE = 15,
	SCALE_MAX = 14, /* RFC 7323 §2.3 */
	/* Bits of the record's `tcp` beside the state: who has sent FIN. */
	STATE_MASK = 0x0f,
	FIN_OF_0 = 0x10,
};

static const struct {
	const char *name;
	uint32_t timeout_s;
} states[TRACK_N_STATES] = {
	[TRACK_NONE] = { "untracked", 43200 },	       [TRACK_SYN_SENT] = { "syn-sent", 30 },
	[TRACK_SYN_ANSWERED] = { "syn-answered", 30 }, [TRACK_OPEN] = { "open", 43200 },
	[TRACK_HALF_CLOSED] = { "half-closed", 120 },  [TRACK_CLOSING] = { "closing", 30 },
	[TRACK_WAITING] = { "waiting", 20 },	       [TRACK_RESET] = { "reset", 2 },
};

/* The fields of a segment; length counts SYN and FIN (RFC 9293 §3.4). */
struct segment {
	uint32_t seq, ack, end, length;
	uint32_t window; /* unscaled */
	uint8_t flags;
};

static uint32_t read32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static struct segment segment_of(const struct packet *p)
{
	const uint8_t *t = p->data + p->l4;
	struct segment s = { .seq = read32(t + 4),
			     .ack = read32(t + 8),
			     .window = (uint32_t)(t[14] << 8 | t[15]),
			     .flags = p->tcp_flags };

	s.length = (uint32_t)p->l3 + p->l3_size - p->payload + ((s.flags & SYN) != 0) +
		   ((s.flags & FIN) != 0);
	if ((p->flags & PACKET_FRAGMENT) != 0) {
		s.length = UINT16_MAX; /* how much follows in later fragments is not known yet */
	}
	s.end = s.seq + s.length;
	return s;
}

static bool is_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* The window scale option of a SYN, or NO_SCALE; options that run over are no options. */
static uint8_t scale_option(const struct packet *p)
{
	const uint8_t *o = p->data + p->l4 + 20;
	uint32_t n = (uint32_t)p->payload - p->l4 - 20;

	n = MIN(n, (uint32_t)p->head - p->l4 - 20);
	for (uint32_t i = 0; i < n && o[i] != 0;) {
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= n || o[i + 1] < 2 || i + o[i + 1] > n) {
			break;
		}
		if (o[i] == 3 && o[i + 1] == 3) {
			return o[i + 2] < SCALE_MAX ? o[i + 2] : SCALE_MAX;
		}
		i += o[i + 1];
	}
	return NO_SCALE;
}

static uint8_t scale_of(const struct flow *f, unsigned d)
{
	return d == 0 ? f->scale & 15 : f->scale >> 4;
}

static void set_scale(struct flow *f, unsigned d, uint8_t scale)
{
	f->scale = d == 0 ? (uint8_t)((f->scale & 0xf0) | scale)
			  : (uint8_t)((f->scale & 0x0f) | scale << 4);
}

/* By how much end d's windows are to be multiplied: only where both ends offered to. */
static uint8_t shift_of(const struct flow *f, unsigned d)
{
	return scale_of(f, 0) == NO_SCALE || scale_of(f, 1) == NO_SCALE ? 0 : scale_of(f, d);
}

static enum tcp_state state_of(const struct flow *f)
{
	return (enum tcp_state)(f->tcp & STATE_MASK);
}

static void set_state(struct flow *f, enum tcp_state s)
{
	f->tcp = (uint8_t)((f->tcp & (0xff ^ STATE_MASK)) | s);
}

bool tcp_opens(const struct packet *p)
{
	return (p->tcp_flags & (SYN | ACK | RST | FIN)) == SYN;
}

void tcp_begin(struct flow *f, const struct packet *p)
{
	struct segment s = segment_of(p);

	f->tcp = TRACK_SYN_SENT;
	f->scale = (uint8_t)(NO_SCALE << 4 | scale_option(p));
	f->tcp_end[0] = s.end;
	f->tcp_edge[0] = s.end; /* until the other says more */
	f->tcp_end[1] = f->tcp_edge[1] = 0;
}

/* The answer to a SYN, or a SYN that crosses it. */
static enum tcp_verdict follow_opening(struct flow *f, unsigned d, const struct packet *p,
				       const struct segment *s)
{
	if (d == 0) {
		if (!tcp_opens(p)) {
			return TCP_BAD_STATE;
		}
		tcp_begin(f, p); /* sent again, maybe with another beginning */
		return TCP_GOOD;
	}
	bool has_ack = (s->flags & ACK) != 0;
	if (has_ack && s->ack != f->tcp_end[0]) {
		return TCP_BAD_WINDOW;
	}
	if ((s->flags & RST) != 0) {
		if (!has_ack) {
			return TCP_BAD_STATE;
		}
		set_state(f, TRACK_RESET);
		return TCP_GOOD;
	}
	if ((s->flags & SYN) == 0) {
		return TCP_BAD_STATE;
	}
	set_scale(f, 1, scale_option(p));
	f->tcp_end[1] = s->end;
	f->tcp_edge[1] = s->end;
	f->tcp_edge[0] = f->tcp_end[0] + s->window; /* a SYN's window is never scaled */
	set_state(f, TRACK_SYN_ANSWERED);
	return TCP_GOOD;
}

static bool is_in_window(const struct flow *f, unsigned d, const struct segment *s)
{
	uint32_t largest = (uint32_t)UINT16_MAX << shift_of(f, 1 - d);

	if (is_after(s->seq, f->tcp_edge[d]) || is_after(f->tcp_end[d] - largest, s->end)) {
		return false;
	}
	return (s->flags & ACK) == 0 || !is_after(s->ack, f->tcp_end[1 - d]);
}

static void note_fin(struct flow *f, unsigned d)
{
	uint8_t mine = (uint8_t)(FIN_OF_0 << d), both = FIN_OF_0 | FIN_OF_0 << 1;

	f->tcp |= mine;
	set_state(f, (f->tcp & both) == both ? TRACK_CLOSING : TRACK_HALF_CLOSED);
}

static void move_on(struct flow *f, unsigned d, const struct segment *s)
{
	enum tcp_state state = state_of(f);

	if ((s->flags & RST) != 0) {
		set_state(f, TRACK_RESET);
		return;
	}
	if (state == TRACK_SYN_ANSWERED && d == 0 && (s->flags & (SYN | ACK)) == ACK) {
		set_state(f, TRACK_OPEN);
	}
	if ((s->flags & FIN) != 0) {
		note_fin(f, d);
	} else if (state == TRACK_CLOSING && s->ack == f->tcp_end[1 - d]) {
		set_state(f, TRACK_WAITING);
	}
}

enum tcp_verdict tcp_follow(struct flow *f, unsigned d, const struct packet *p)
{
	struct segment s = segment_of(p);
	enum tcp_state state = state_of(f);

	if (state == TRACK_NONE) {
		return TCP_GOOD;
	}
	if (state >= TRACK_WAITING && tcp_opens(p)) {
		return TCP_AGAIN;
	}
	if (state == TRACK_SYN_SENT) {
		return follow_opening(f, d, p, &s);
	}
	if ((s.flags & SYN) != 0 && state != TRACK_SYN_ANSWERED) {
		return TCP_BAD_STATE;
	}
	if (!is_in_window(f, d, &s)) {
		return TCP_BAD_WINDOW;
	}
	if (is_after(s.end, f->tcp_end[d])) {
		f->tcp_end[d] = s.end;
	}
	if ((s.flags & ACK) != 0) {
		uint8_t shift = (s.flags & SYN) != 0 ? 0 : shift_of(f, d);
		uint32_t edge = s.ack + (s.window << shift);
		if (is_after(edge, f->tcp_edge[1 - d])) {
			f->tcp_edge[1 - d] = edge;
		}
	}
	move_on(f, d, &s);
	return TCP_GOOD;
}

const char *tcp_state_name(enum tcp_state s)
{
	return (unsigned)s < TRACK_N_STATES ? states[s].name : "?";
}

uint32_t tcp_timeout(enum tcp_state s)
{
	return ((unsigned)s < TRACK_N_STATES ? states[s].timeout_s : 0) * (1000 / FLOW_TICK_MS);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/switch_capture.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/timer.h"
#include "switch/capture.h"
#include "switch/pcapng.h"
#include "switch/switch_impl.h"

LOG_MODULE("capture");

enum {
	LOOK_MS = 20,
	BLOCKS_MAX = 256 << 10, /* bytes of a notification */
	BACKLOG_MAX = 4 << 20,	/* of who does not read: the ring fills up then */
};

/* States: capture NULL: none runs; else peer is who gets it. */
struct switch_capture {
	struct softswitch *s;
	struct timer *timer;
	struct capture *capture;
	struct rpc_peer *peer;
	char *port; /* NULL: all */
	uint32_t snap;
	struct map ifaces; /* name to pcapng's number + 1 */
	uint64_t n_captured;
};

static void look(void *arg);

struct switch_capture *switch_capture_new(struct softswitch *s, uv_loop_t *loop)
{
	struct switch_capture *sc = mem_zalloc(sizeof(*sc));

	sc->s = s;
	sc->timer = timer_new(loop, clock_real(), look, sc);
	s->capture = sc;
	return sc;
}

/* ---- ending ---- */

static void end(struct switch_capture *sc)
{
	if (sc->capture == NULL) {
		return;
	}
	log_info("a capture ends: %llu packets, %llu lost", (unsigned long long)sc->n_captured,
		 (unsigned long long)capture_n_lost(sc->capture));
	timer_stop(sc->timer);
	if (sc->s->is_running) {
		worker_set_capture(sc->s->workers[0], NULL);
	}
	capture_free(sc->capture);
	sc->capture = NULL;
	sc->peer = NULL;
	free(sc->port);
	sc->port = NULL;
	map_free(&sc->ifaces);
	sc->ifaces = (struct map){ 0 };
	sc->n_captured = 0;
}

static void on_gone(void *arg, struct rpc_peer *peer)
{
	struct switch_capture *sc = arg;

	if (sc->peer == peer) {
		end(sc);
	}
}

void switch_capture_free(struct switch_capture *sc)
{
	if (sc != NULL) {
		if (sc->peer != NULL) {
			rpc_peer_set_end(sc->peer, NULL, NULL);
		}
		end(sc);
		sc->s->capture = NULL;
		timer_free(sc->timer);
		free(sc);
	}
}

/* ---- what was captured ---- */

static uint32_t iface_of(struct switch_capture *sc, const char *name, struct buf *out)
{
	uintptr_t known = (uintptr_t)map_get(&sc->ifaces, name);

	if (known == 0) {
		known = sc->ifaces.n + 1;
		map_set(&sc->ifaces, name, (void *)known);
		pcapng_add_interface(out, name, sc->snap);
	}
	return (uint32_t)(known - 1);
}

static void add_packet(struct switch_capture *sc, const struct captured *p,
		       const struct switch_config *c, struct buf *out)
{
	enum drop_reason r = (enum drop_reason)p->reason;
	const char *stage = capture_stage_name((enum capture_stage)p->stage);
	const char *name = p->port < c->n_ports ? c->ports[p->port].name : "?";
	char *comment =
		p->stage == CAPTURE_DROPPED
			? mem_printf("%s: %s (%s)", stage, drop_reason_name(r), drop_reason_text(r))
			: mem_strdup(stage);
	struct pcapng_packet packet = { .iface = iface_of(sc, name, out),
					.ns = p->ns,
					.bytes = p->bytes,
					.n = p->n,
					.size = p->size,
					.is_outbound = p->stage == CAPTURE_SENT,
					.comment = comment };
	pcapng_add_packet(out, &packet);
	free(comment);
	sc->n_captured++;
}

static void send_blocks(struct switch_capture *sc, struct buf *blocks)
{
	struct buf text = BUF_INIT;
	struct json_object *o = json_object_new_object();

	base64_encode(&text, blocks->data, blocks->len);
	json_put_str(o, "blocks", text.data);
	rpc_peer_notify(sc->peer, "plane.captured", o);
	buf_free(&text);
	blocks->len = 0;
}

/* Takes what was captured under a wiring's tables out of the ring, as much as the reader takes. */
static void drain(struct switch_capture *sc, const struct wiring *w)
{
	struct buf blocks = BUF_INIT;
	const struct captured *p;

	while (sc->capture != NULL && rpc_peer_backlog(sc->peer) < BACKLOG_MAX &&
	       (p = capture_peek(sc->capture)) != NULL && p->epoch == w->epoch) {
		add_packet(sc, p, w->config, &blocks);
		capture_pop(sc->capture);
		if (blocks.len > BLOCKS_MAX) {
			send_blocks(sc, &blocks);
		}
	}
	if (blocks.len > 0 && sc->capture != NULL) {
		send_blocks(sc, &blocks);
	}
	buf_free(&blocks);
}

static void send_end(struct switch_capture *sc)
{
	struct json_object *o = json_object_new_object();

	json_put_bool(o, "end", true);
	json_put_u64(o, "captured", sc->n_captured);
	json_put_u64(o, "lost", capture_n_lost(sc->capture));
	rpc_peer_notify(sc->peer, "plane.captured", o);
	rpc_peer_set_end(sc->peer, NULL, NULL);
}

static void look(void *arg)
{
	struct switch_capture *sc = arg;

	if (sc->s->wiring != NULL) {
		drain(sc, sc->s->wiring);
	}
	if (sc->capture != NULL && capture_is_done(sc->capture) &&
	    capture_peek(sc->capture) == NULL) {
		send_end(sc);
		end(sc);
	}
}

static int32_t port_of(const struct wiring *w, const char *name)
{
	for (size_t i = 0; name != NULL && w != NULL && i < w->config->n_ports; i++) {
		if (strcmp(w->config->ports[i].name, name) == 0) {
			return (int32_t)i;
		}
	}
	return name == NULL ? CAPTURE_ANY_PORT : CAPTURE_NO_PORT;
}

void switch_capture_follow(struct switch_capture *sc, const struct wiring *before,
			   const struct wiring *next)
{
	if (sc == NULL || sc->capture == NULL) {
		return;
	}
	if (before != NULL) {
		drain(sc, before);
		const struct captured *p;
		while (sc->capture != NULL && (p = capture_peek(sc->capture)) != NULL &&
		       p->epoch == before->epoch) {
			capture_pop(sc->capture); /* whose names nobody knows any more */
		}
	}
	if (sc->capture != NULL) {
		capture_set_port(sc->capture, port_of(next, sc->port));
	}
}

/* ---- beginning ---- */

static bool read_stages(const struct json_at *params, unsigned *out, struct error *e)
{
	struct json_at list;

	*out = (1u << CAPTURE_N_STAGES) - 1;
	if (!json_has(params, "stages")) {
		return true;
	}
	if (!json_get_array(params, "stages", &list, e)) {
		return false;
	}
	*out = 0;
	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		const char *name;
		int s = 0;
		if (!json_as_str(&item, &name, e)) {
			return false;
		}
		while (s < CAPTURE_N_STAGES &&
		       strcmp(capture_stage_name((enum capture_stage)s), name) != 0) {
			s++;
		}
		if (s == CAPTURE_N_STAGES) {
			return json_error(&item, e,
					  "\"%s\": there are received, guarded, sent and dropped",
					  name);
		}
		*out |= 1u << s;
	}
	return true;
}

static bool read_options(struct switch_capture *sc, const struct json_at *params,
			 struct capture_options *o, struct error *e)
{
	static const char *const members[] = { "port", "filter", "snap", "count", "stages" };
	uint64_t snap = CAPTURE_SNAP;
	const char *port = NULL;

	if (params->value == NULL) {
		return read_stages(params, &o->stages, e);
	}
	if (!json_check_members(params, members, ARRAY_LEN(members), e) ||
	    (json_has(params, "port") && !json_get_str(params, "port", &port, e)) ||
	    (json_has(params, "filter") && !json_get_str(params, "filter", &o->filter, e)) ||
	    (json_has(params, "snap") && !json_get_u64(params, "snap", &snap, e)) ||
	    (json_has(params, "count") && !json_get_u64(params, "count", &o->count, e)) ||
	    !read_stages(params, &o->stages, e)) {
		return false;
	}
	if (snap < 16 || snap > CAPTURE_SNAP_MAX) {
		return error_set(e, ERROR_INVALID, "\"snap\": %llu; 16 to %d bytes can be captured",
				 (unsigned long long)snap, CAPTURE_SNAP_MAX);
	}
	if (o->filter != NULL && strlen(o->filter) > CAPTURE_FILTER_MAX) {
		return error_set(e, ERROR_LIMIT, "\"filter\": %zu bytes; there may be %d",
				 strlen(o->filter), CAPTURE_FILTER_MAX);
	}
	o->snap = (uint32_t)snap;
	o->port = port_of(sc->s->wiring, port);
	if (o->port == CAPTURE_NO_PORT) {
		return error_set(e, ERROR_NOT_FOUND, "there is no port \"%s\"", port);
	}
	sc->port = port == NULL ? NULL : mem_strdup(port);
	return true;
}

void switch_capture_start(struct switch_capture *sc, struct rpc_call *call)
{
	struct capture_options o = { .port = CAPTURE_ANY_PORT, .snap = CAPTURE_SNAP };
	struct rpc_peer *peer = rpc_call_peer(call);
	struct error e;

	if (sc->capture != NULL || !sc->s->is_running) {
		error_set(&e, ERROR_BUSY,
			  sc->capture != NULL ? "a capture runs already; there can be one"
					      : "nothing is forwarded yet");
		rpc_call_fail(call, &e);
		return;
	}
	struct capture *c =
		read_options(sc, rpc_call_params(call), &o, &e) ? capture_new(&o, &e) : NULL;
	if (c == NULL || peer == NULL) {
		free(sc->port);
		sc->port = NULL;
		capture_free(c);
		rpc_call_fail(call, &e);
		return;
	}
	sc->capture = c;
	sc->peer = peer;
	sc->snap = o.snap;
	rpc_peer_set_end(peer, on_gone, sc);
	rpc_call_reply(call, json_object_new_object());
	struct buf header = BUF_INIT;
	pcapng_add_header(&header);
	send_blocks(sc, &header);
	buf_free(&header);
	worker_set_capture(sc->s->workers[0], c);
	timer_start(sc->timer, LOOK_MS, LOOK_MS);
	log_info("a capture begins%s%s", sc->port == NULL ? "" : " at port ",
		 sc->port == NULL ? "" : sc->port);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All machines share one timer. A machine with something under way stands in one of two queues,
 * each in order of its due time because all that enter it wait equally long: `now` for what is
 * done at the next turn, `slow` for power operations with a delay.
 *
 * A machine that moves to another simulated one sends a line over the stream, in place of its
 * memory; the other waits for that line, so that what cuts the stream is noticed as it is by QEMU.
 */
#include "host/driver_sim.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/timer.h"
#include "host/driver_impl.h"

#define STREAM_LINE "a simulated machine\n"

struct sim_driver {
	struct driver base;
	uv_loop_t *loop;
	struct clock *clock;
	struct timer *timer;
	int64_t delay_us;
	struct list now, slow;
};

/* The end of a stream that a machine comes by. */
struct sim_stream {
	uv_poll_t poll;
	struct sim_machine *machine; /* NULL: it does not wait any more */
	int fd;
	char line[sizeof(STREAM_LINE)];
	size_t n;
};

struct sim_machine {
	struct machine base;
	struct list_node node; /* in now or slow */
	int64_t due_us;
	int64_t started_us; /* wall time */
	struct sim_stream *incoming;
	int outgoing; /* a stream, -1 */
	bool is_loaded, is_cancelled;
};

static struct sim_driver *sim_driver(const struct machine *m)
{
	return CONTAINER_OF(m->driver, struct sim_driver, base);
}

static struct sim_machine *sim_machine(struct machine *m)
{
	return CONTAINER_OF(m, struct sim_machine, base);
}

static void arm(struct sim_driver *d)
{
	if (!list_is_empty(&d->now)) {
		timer_start(d->timer, 0, 0);
		return;
	}
	struct sim_machine *first = list_entry(list_front(&d->slow), struct sim_machine, node);
	if (first) {
		int64_t left_us = first->due_us - clock_mono_us(d->clock);
		timer_start(d->timer, left_us > 0 ? (left_us + 999) / 1000 : 0, 0);
	}
}

static void enqueue(struct machine *m, int64_t delay_us)
{
	struct sim_driver *d = sim_driver(m);
	struct sim_machine *sim = sim_machine(m);
	list_remove(&sim->node); /* a stop takes the place of what it overtakes */
	bool is_next = delay_us == 0 && list_is_empty(&d->now);
	sim->due_us = clock_mono_us(d->clock) + delay_us;
	list_push_back(delay_us ? &d->slow : &d->now, &sim->node);
	if (is_next || !timer_is_active(d->timer)) {
		arm(d);
	}
}

static void on_stream_closed(uv_handle_t *h)
{
	struct sim_stream *s = h->data;
	close(s->fd);
	free(s);
}

static void drop_streams(struct sim_machine *sim)
{
	if (sim->incoming) {
		sim->incoming->machine = NULL;
		uv_close((uv_handle_t *)&sim->incoming->poll, on_stream_closed);
		sim->incoming = NULL;
	}
	if (sim->outgoing >= 0) {
		close(sim->outgoing);
		sim->outgoing = -1;
	}
}

/* A machine on its way: as far as it goes by itself. */
static void finish_send(struct sim_machine *sim)
{
	struct machine *m = &sim->base;
	struct error e = { 0 };
	bool ok = !sim->is_cancelled;
	if (!ok) {
		error_set(&e, ERROR_CANCELED, "the migration was cancelled");
	} else if (!m->is_send_stopped) {
		machine_hold(m);
		machine_send_progress(m, 1, 1);
		if (machine_release(m) && m->state == MACHINE_SENDING && !sim->is_cancelled) {
			machine_send_stopped(m);
		}
		return;
	} else if (send(sim->outgoing, STREAM_LINE, strlen(STREAM_LINE), MSG_NOSIGNAL) !=
		   (ssize_t)strlen(STREAM_LINE)) {
		ok = error_set_sys(&e, errno, "sending the machine");
	}
	drop_streams(sim);
	machine_done(m, ok ? NULL : &e);
}

static void finish(struct sim_machine *sim)
{
	struct machine *m = &sim->base;
	struct error none = { 0 };
	if (m->state == MACHINE_STOPPING) {
		drop_streams(sim);
		machine_gone(m, MACHINE_EXIT_STOPPED, NULL);
	} else if (m->op == MACHINE_OP_ADOPT) {
		error_set(&none, ERROR_NOT_FOUND, "no such machine runs");
		machine_gone(m, MACHINE_EXIT_FAILED, &none);
	} else if (m->op == MACHINE_OP_SUSPEND) {
		machine_gone(m, MACHINE_EXIT_SUSPENDED, NULL);
	} else if (m->op == MACHINE_OP_SEND) {
		finish_send(sim);
	} else if (m->op == MACHINE_OP_POWERDOWN) {
		machine_hold(m);
		machine_done(m, NULL);
		if (machine_release(m) && m->state == MACHINE_RUNNING && m->op == MACHINE_OP_NONE) {
			machine_gone(m, MACHINE_EXIT_GUEST, NULL);
		}
	} else {
		if (m->state == MACHINE_STARTING || m->op == MACHINE_OP_RUN) {
			sim->started_us = clock_wall_us(sim_driver(m)->clock);
		}
		machine_done(m, NULL);
	}
}

/* Only what waited at the beginning: a callback that starts the next operation waits its turn. */
static void on_timer(void *arg)
{
	struct sim_driver *d = arg;
	int64_t now_us = clock_mono_us(d->clock);
	struct list due;
	list_init(&due);
	struct list_node *node;
	while ((node = list_pop_front(&d->now))) {
		list_push_back(&due, node);
	}
	for (;;) {
		struct sim_machine *sim =
			list_entry(list_front(&d->slow), struct sim_machine, node);
		if (!sim || sim->due_us > now_us) {
			break;
		}
		list_remove(&sim->node);
		list_push_back(&due, &sim->node);
	}
	while ((node = list_pop_front(&due))) {
		finish(CONTAINER_OF(node, struct sim_machine, node));
	}
	arm(d);
}

static struct machine *sim_machine_new(struct driver *d)
{
	(void)d;
	struct sim_machine *sim = mem_zalloc(sizeof(*sim));
	sim->outgoing = -1;
	return &sim->base;
}

static void sim_machine_free(struct machine *m)
{
	list_remove(&sim_machine(m)->node);
	drop_streams(sim_machine(m));
	free(sim_machine(m));
}

static bool sim_power_on(struct machine *m, enum machine_op how, const struct machine_spec *s,
			 struct error *e)
{
	(void)s, (void)e;
	enqueue(m, how == MACHINE_OP_ADOPT ? 0 : sim_driver(m)->delay_us);
	return true;
}

static bool sim_power(struct machine *m, struct error *e)
{
	(void)e;
	enqueue(m, sim_driver(m)->delay_us);
	return true;
}

static bool sim_set_medium(struct machine *m, int32_t key, const char *path, struct error *e)
{
	(void)key, (void)path, (void)e;
	enqueue(m, 0);
	return true;
}

static bool sim_set_link(struct machine *m, int32_t key, bool connected, struct error *e)
{
	(void)key, (void)connected, (void)e;
	enqueue(m, 0);
	return true;
}

static bool sim_add_nic(struct machine *m, const struct machine_nic *nic, struct error *e)
{
	(void)nic, (void)e;
	enqueue(m, 0);
	return true;
}

static bool sim_remove_nic(struct machine *m, int32_t key, struct error *e)
{
	(void)key, (void)e;
	enqueue(m, 0);
	return true;
}

static bool sim_receive(struct machine *m, const struct machine_spec *s,
			const struct machine_incoming *in, struct error *e)
{
	(void)s, (void)in, (void)e;
	sim_machine(m)->is_loaded = false;
	enqueue(m, sim_driver(m)->delay_us);
	return true;
}

static void on_stream(uv_poll_t *poll, int status, int events)
{
	struct sim_stream *s = poll->data;
	struct sim_machine *sim = s->machine;
	struct error e = { 0 };
	size_t room = strlen(STREAM_LINE) - s->n;
	(void)events;
	ssize_t n = status == 0 ? read(s->fd, s->line + s->n, room) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	s->n += n > 0 ? (size_t)n : 0;
	if (n > 0 && s->n < strlen(STREAM_LINE)) {
		return;
	}
	bool ok = strcmp(s->line, STREAM_LINE) == 0;
	drop_streams(sim);
	if (sim->base.state == MACHINE_STOPPING) {
		return;
	}
	sim->is_loaded = ok;
	if (ok) {
		machine_done(&sim->base, NULL);
	} else {
		error_set(&e, ERROR_UNREACHABLE, "the stream ended before the machine was there");
		machine_gone(&sim->base, MACHINE_EXIT_FAILED, &e);
	}
}

static bool sim_receive_stream(struct machine *m, int fd, struct error *e)
{
	struct sim_machine *sim = sim_machine(m);
	int own = sim_driver(m)->loop ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (own < 0) {
		return error_set_sys(e, sim_driver(m)->loop ? errno : EINVAL, "the stream");
	}
	struct sim_stream *s = mem_zalloc(sizeof(*s));
	s->machine = sim;
	s->fd = own;
	s->poll.data = s;
	int rc = uv_poll_init(sim_driver(m)->loop, &s->poll, own);
	if (rc != 0) {
		close(own);
		free(s);
		return error_set_sys(e, -rc, "the stream");
	}
	uv_poll_start(&s->poll, UV_READABLE, on_stream);
	sim->incoming = s;
	return true;
}

static bool sim_receive_run(struct machine *m, struct error *e)
{
	if (!sim_machine(m)->is_loaded) {
		return error_set(e, ERROR_STATE, "the guest has not arrived");
	}
	enqueue(m, 0);
	return true;
}

static bool sim_send(struct machine *m, const struct machine_outgoing *out, struct error *e)
{
	struct sim_machine *sim = sim_machine(m);
	sim->outgoing = fcntl(out->stream_fd, F_DUPFD_CLOEXEC, 0);
	if (sim->outgoing < 0) {
		return error_set_sys(e, errno, "the stream");
	}
	sim->is_cancelled = false;
	enqueue(m, sim_driver(m)->delay_us);
	return true;
}

static bool sim_send_go(struct machine *m, struct error *e)
{
	if (sim_machine(m)->is_cancelled) {
		return error_set(e, ERROR_CANCELED, "the migration was cancelled");
	}
	enqueue(m, 0);
	return true;
}

static bool sim_send_cancel(struct machine *m, struct error *e)
{
	(void)e;
	sim_machine(m)->is_cancelled = true;
	enqueue(m, 0);
	return true;
}

static bool sim_send_revive(struct machine *m, struct error *e)
{
	(void)e;
	enqueue(m, 0);
	return true;
}

static bool sim_usage(const struct machine *m, struct machine_usage *out, struct error *e)
{
	(void)e;
	const struct sim_machine *sim = (const struct sim_machine *)(const void *)m;
	*out = (struct machine_usage){ .started_us = sim->started_us };
	return true;
}

static void sim_free(struct driver *base)
{
	struct sim_driver *d = CONTAINER_OF(base, struct sim_driver, base);
	timer_free(d->timer);
	free(d);
}

static const struct driver_ops sim_ops = {
	.name = "sim",
	.free = sim_free,
	.machine_new = sim_machine_new,
	.machine_free = sim_machine_free,
	.power_on = sim_power_on,
	.stop = sim_power,
	.suspend = sim_power,
	.reset = sim_power,
	.powerdown = sim_power,
	.set_medium = sim_set_medium,
	.set_link = sim_set_link,
	.add_nic = sim_add_nic,
	.remove_nic = sim_remove_nic,
	.receive = sim_receive,
	.receive_stream = sim_receive_stream,
	.receive_run = sim_receive_run,
	.send = sim_send,
	.send_go = sim_send_go,
	.send_cancel = sim_send_cancel,
	.send_revive = sim_send_revive,
	.usage = sim_usage,
};

struct driver *driver_sim_new(uv_loop_t *loop, struct clock *c, int64_t delay_ms)
{
	assert(delay_ms >= 0);
	struct sim_driver *d = mem_zalloc(sizeof(*d));
	d->base.ops = &sim_ops;
	d->loop = loop;
	d->clock = c;
	d->delay_us = delay_ms * 1000;
	list_init(&d->now);
	list_init(&d->slow);
	d->timer = timer_new(loop, c, on_timer, d);
	return &d->base;
}

void driver_sim_guest_reset(struct machine *m)
{
	assert(m->driver->ops == &sim_ops && m->state == MACHINE_RUNNING);
	machine_was_reset(m);
}

void driver_sim_guest_off(struct machine *m)
{
	assert(m->driver->ops == &sim_ops && m->state == MACHINE_RUNNING);
	list_remove(&sim_machine(m)->node);
	machine_gone(m, MACHINE_EXIT_GUEST, NULL);
}

void driver_sim_found(struct machine *m, int64_t started_us)
{
	assert(m->driver->ops == &sim_ops && m->state == MACHINE_OFF);
	m->state = MACHINE_RUNNING;
	sim_machine(m)->started_us = started_us;
}

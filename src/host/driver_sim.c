/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All machines share one timer. A machine with something under way stands in one of two queues,
 * each in order of its due time because all that enter it wait equally long: `now` for what is
 * done at the next turn, `slow` for power operations with a delay.
 */
#include "host/driver_sim.h"

#include <assert.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/timer.h"
#include "host/driver_impl.h"

struct sim_driver {
	struct driver base;
	struct clock *clock;
	struct timer *timer;
	int64_t delay_us;
	struct list now, slow;
};

struct sim_machine {
	struct machine base;
	struct list_node node; /* in now or slow */
	int64_t due_us;
	int64_t started_us; /* wall time */
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

static void finish(struct sim_machine *sim)
{
	struct machine *m = &sim->base;
	struct error none = { 0 };
	if (m->state == MACHINE_STOPPING) {
		machine_gone(m, MACHINE_EXIT_STOPPED, NULL);
	} else if (m->op == MACHINE_OP_ADOPT) {
		error_set(&none, ERROR_NOT_FOUND, "no such machine runs");
		machine_gone(m, MACHINE_EXIT_FAILED, &none);
	} else if (m->op == MACHINE_OP_SUSPEND) {
		machine_gone(m, MACHINE_EXIT_SUSPENDED, NULL);
	} else if (m->op == MACHINE_OP_POWERDOWN) {
		machine_hold(m);
		machine_done(m, NULL);
		if (machine_release(m) && m->state == MACHINE_RUNNING && m->op == MACHINE_OP_NONE) {
			machine_gone(m, MACHINE_EXIT_GUEST, NULL);
		}
	} else {
		if (m->state == MACHINE_STARTING) {
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
	return &sim->base;
}

static void sim_machine_free(struct machine *m)
{
	list_remove(&sim_machine(m)->node);
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
	.usage = sim_usage,
};

struct driver *driver_sim_new(uv_loop_t *loop, struct clock *c, int64_t delay_ms)
{
	assert(delay_ms >= 0);
	struct sim_driver *d = mem_zalloc(sizeof(*d));
	d->base.ops = &sim_ops;
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

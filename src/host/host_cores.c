/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processors of a host, shared out between the planes and VMs (host/cores.h), and kept so:
 *
 * 1. This process is where the planes are before it starts anything, so what it starts begins
 *    there, too; the switch puts its worker on the last of them.
 * 2. VMs are given their processors before they do anything, and again when they are adopted.
 * 3. Every ten seconds it is looked whether processors have come or gone. Then all are moved, and
 *    what the API shows of it changes. Where the plan is to have planes and VMs apart, the switch
 * is looked at each time: one that an earlier life of ours started may be elsewhere.
 *
 * Nobody is stopped by what the kernel refuses: it is told, and they run where they can.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "host/host_impl.h"
#include "host/placement.h"
#include "host/vm.h"

LOG_MODULE("cores");

enum {
	LOOK_MS = 10000
};

struct host_cores {
	struct cores_config config;
	struct cores plan;
	struct timer *timer;
	int nice;	   /* of this process, as it was started */
	char trouble[240]; /* why it is not as it was wanted; "": it is */
};

/* ---- the plan ---- */

/* False: it is as before. */
static bool look(struct host_cores *c)
{
	struct cores was = c->plan;
	struct error e = { 0 };

	bool ok = cores_plan(&c->plan, &c->config, &e);
	if (strcmp(c->trouble, ok ? "" : e.msg) != 0) {
		snprintf(c->trouble, sizeof(c->trouble), "%s", ok ? "" : e.msg);
		if (!ok) {
			log_warn("%s; all share them", e.msg);
		}
	}
	return !cores_equal(&was, &c->plan);
}

const struct cores *host_cores_plan(const struct host *h)
{
	return h->cores == NULL ? NULL : &h->cores->plan;
}

void host_cores_text(const struct host *h, char *out, size_t size)
{
	if (h->cores == NULL) {
		snprintf(out, size, "all processors are for VMs");
	} else {
		cores_text(&h->cores->plan, out, size);
	}
}

/* ---- places ---- */

static struct placement for_vms(const struct host_cores *c)
{
	return (struct placement){ .cpus = c->plan.vms, .nice = MIN(c->nice + CORES_VM_NICE, 19) };
}

static void place_self(const struct host_cores *c)
{
	struct placement p = { .cpus = c->plan.planes, .nice = c->nice };
	struct error e = { 0 };

	if (c->plan.kind != CORES_SHARE && !placement_spread(getpid(), &p, &e)) {
		log_warn("the agent stays on the processors that it has: %s", e.msg);
	}
}

static void place_vm(void *arg, const char *name, const struct machine *m)
{
	const struct placement *p = arg;
	struct machine_usage u;
	struct error e = { 0 };

	if (!machine_usage(m, &u, NULL) || u.pid <= 0 || u.pid > INT32_MAX) {
		return;
	}
	if (!placement_spread((pid_t)u.pid, p, &e)) {
		log_warn("\"%s\" stays on the processors that it has: %s", name, e.msg);
	}
	placement_weigh_session((pid_t)u.pid, p->nice);
}

static void place_switch(const struct host *h)
{
	if (!h->has_switch || h->state == NULL || h->cores->plan.kind == CORES_SHARE) {
		return;
	}
	char *state = mem_printf("%s/switchd", h->state);
	placement_switch(state, &h->cores->plan.planes);
	free(state);
}

static void tell(const struct host *h)
{
	char text[240];

	host_cores_text(h, text, sizeof(text));
	log_info("processors: %s", text);
}

/* ---- looking again ---- */

static void show(struct host *h)
{
	static const unsigned in_summary[] = { F_ComputeResourceSummary_effectiveCpu };
	struct arena *a = arena_new(0);

	host_budget_make(h);
	inventory_set_nested(
		h->compute, P_ComputeResource_summary, in_summary, 1,
		value_new_int(a, (int32_t)MIN(host_mhz_for_vms(h), (uint64_t)INT32_MAX)));
	arena_free(a);
	resource_pools_refresh(h);
	host_options_set_cores(h);
}

void host_cores_look(struct host *h)
{
	bool is_new = look(h->cores);

	if (is_new) {
		struct placement p = for_vms(h->cores);
		tell(h);
		place_self(h->cores);
		driver_place(h->driver, &p);
		if (h->vm_layer != NULL) {
			vm_each_machine(h, place_vm, &p);
		}
		show(h);
	}
	if (is_new || h->cores->plan.kind == CORES_APART) {
		place_switch(h);
	}
}

static void on_tick(void *arg)
{
	host_cores_look(arg);
}

/* ---- life ---- */

void host_cores_begin(struct host *h, const struct cores_config *c)
{
	if (c == NULL) {
		return;
	}
	h->cores = mem_zalloc(sizeof(*h->cores));
	h->cores->config = *c;
	h->cores->nice = getpriority(PRIO_PROCESS, 0);
	look(h->cores);
	struct placement p = for_vms(h->cores);
	tell(h);
	place_self(h->cores);
	driver_place(h->driver, &p);
}

void host_cores_start(struct host *h)
{
	if (h->cores != NULL) {
		place_switch(h);
		h->cores->timer = timer_new(h->loop, h->clock, on_tick, h);
		timer_start(h->cores->timer, LOOK_MS, LOOK_MS);
	}
}

void host_cores_stop(struct host *h)
{
	if (h->cores != NULL) {
		timer_free(h->cores->timer);
		free(h->cores);
		h->cores = NULL;
	}
}

struct json_object *host_cores_status(const struct host *h)
{
	struct json_object *o = json_object_new_object();
	char text[240];

	host_cores_text(h, text, sizeof(text));
	json_put_str(o, "text", text);
	if (h->cores == NULL) {
		return o;
	}
	const struct cores *p = &h->cores->plan;
	json_put_str(o, "kind", cores_kind_name(p->kind));
	cores_list(&p->planes, text, sizeof(text));
	json_put_str(o, "planes", text);
	cores_list(&p->vms, text, sizeof(text));
	json_put_str(o, "vms", text);
	json_put_u64(o, "vms_mhz", h->budget.vms_mhz);
	if (h->cores->trouble[0] != '\0') {
		json_put_str(o, "trouble", h->cores->trouble);
	}
	return o;
}

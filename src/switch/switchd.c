/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remora-switchd: the network and security data plane of one node. Runs the last document it was
 * given, alone; hostd gives it another over its socket (`plane.apply`). Workers forward on cores of
 * their own; this thread only listens, compiles and counts.
 */
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "base/buf.h"
#include "base/control.h"
#include "base/daemon.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/timer.h"
#include "base/vec.h"
#include "switch/switch.h"
#include "switch/switch_watch.h"

LOG_MODULE("switchd");

enum {
	FLOWS = 1 << 17,
	MEMORY_MIB = 256, /* of packet buffers and devices, where there are no huge pages */
	FRAME_MAX = 9216,
	TEND_MS = 100,
	SETTLE_MS = 100,
	MESSAGE_LIMIT = 256 << 20, /* of a document */
};

struct switchd {
	struct daemon daemon;
	const char *cores, *flows, *flows_folder, *huge_folder, *devices;
	bool is_dpdk_up;
	struct softswitch *sw;
	struct timer *tend;   /* lost peers are looked for */
	struct timer *settle; /* after a document: memory that reading it took is given back */
	struct switch_watch *watch;
};

/* ---- DPDK ---- */

/* "0@(0-1),1@1": this thread on all CPUs it may use, workers 1, 2, … on one each: those asked for,
 * or the last. NULL: the text is no list of CPUs. */
static char *lcores(const char *cores, struct error *e)
{
	cpu_set_t may;
	struct buf out = BUF_INIT;
	unsigned n = 0;
	unsigned last = 0;

	if (sched_getaffinity(0, sizeof(may), &may) != 0) {
		CPU_ZERO(&may);
		CPU_SET(0, &may);
	}
	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &may)) {
			buf_addf(&out, "%s%u", out.len == 0 ? "0@(" : ",", i);
			last = i;
		}
	}
	buf_addc(&out, ')');
	for (const char *at = cores; at != NULL && *at != '\0';) {
		size_t size = strcspn(at, ",");
		uint64_t cpu;
		if (!number_u64_n(at, size, &cpu) || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &may)) {
			error_set(e, ERROR_INVALID, "--cores: \"%.40s\" is no list of CPUs of ours",
				  cores);
			buf_free(&out);
			return NULL;
		}
		buf_addf(&out, ",%u@%llu", ++n, (unsigned long long)cpu);
		at += size + (at[size] == ',');
	}
	if (n == 0) {
		buf_addf(&out, ",1@%u", last);
	}
	return buf_take(&out);
}

static bool dpdk_begin(struct switchd *d, struct error *e)
{
	VEC(char *) argv = { 0 };
	char *cores = lcores(d->cores, e);

	if (cores == NULL) {
		return false;
	}
	vec_push(&argv, mem_strdup("remora-switchd"));
	vec_push(&argv, mem_printf("--lcores=%s", cores));
	free(cores);
	vec_push(&argv, mem_strdup("--no-telemetry"));
	vec_push(&argv, mem_strdup("--log-level=4"));
	/* A peer that is not there yet is no error; port states are told by us. */
	vec_push(&argv, mem_strdup("--log-level=pmd.net.memif:2"));
	if (d->huge_folder != NULL) {
		vec_push(&argv, mem_strdup("--in-memory"));
		vec_push(&argv, mem_printf("--huge-dir=%s", d->huge_folder));
	} else {
		vec_push(&argv, mem_strdup("--no-huge"));
		vec_push(&argv, mem_strdup("--no-shconf"));
		vec_push(&argv, mem_printf("-m%d", MEMORY_MIB));
	}
	if (d->devices != NULL) {
		vec_push(&argv, mem_printf("--allow=%s", d->devices));
	} else {
		vec_push(&argv, mem_strdup("--no-pci"));
	}
	/* It puts its arguments in another order. */
	char **sorted = mem_calloc(argv.n + 1, sizeof(*sorted));
	memcpy(sorted, argv.items, argv.n * sizeof(*sorted));
	int r = rte_eal_init((int)argv.n, sorted);
	free(sorted);
	vec_each (&argv, a) {
		free(*a);
	}
	vec_free(&argv);
	if (r < 0) {
		return error_set(e, ERROR_IO, "DPDK does not begin: %s", rte_strerror(rte_errno));
	}
	d->is_dpdk_up = true;
	return true;
}

/* ---- commands ---- */

static void fail(struct rpc_call *call, const struct error *e)
{
	rpc_call_fail(call, e);
}

static void on_hello(void *arg, struct rpc_call *call)
{
	struct switchd *d = arg;
	struct json_object *o = json_object_new_object();

	json_put_str(o, "version", REMORA_VERSION);
	json_put(o, "capacity", switch_capacity(d->sw));
	rpc_call_reply(call, o);
}

static void settle(void *arg)
{
	(void)arg;
	(void)malloc_trim(0);
}

static void on_apply(void *arg, struct rpc_call *call)
{
	static const char *const members[] = { "generation", "document" };
	struct switchd *d = arg;
	const struct json_at *params = rpc_call_params(call);
	struct json_at document;
	uint64_t generation;
	struct error e;

	if (!json_check_members(params, members, 2, &e) ||
	    !json_get_u64(params, "generation", &generation, &e) ||
	    !json_get_object(params, "document", &document, &e) ||
	    !switch_apply(d->sw, generation, document.value, &e)) {
		fail(call, &e);
		return;
	}
	timer_start(d->settle, SETTLE_MS, 0);
	struct json_object *o = json_object_new_object();
	json_put_u64(o, "generation", generation);
	rpc_call_reply(call, o);
}

static void on_change(void *arg, struct rpc_call *call)
{
	static const char *const members[] = { "base", "generation", "changes" };
	struct switchd *d = arg;
	const struct json_at *params = rpc_call_params(call);
	struct json_at changes;
	uint64_t base, generation;
	struct error e;

	if (!json_check_members(params, members, ARRAY_LEN(members), &e) ||
	    !json_get_u64(params, "base", &base, &e) ||
	    !json_get_u64(params, "generation", &generation, &e) ||
	    !json_get_array(params, "changes", &changes, &e) ||
	    !switch_change(d->sw, base, generation, &changes, &e)) {
		fail(call, &e);
		return;
	}
	struct json_object *o = json_object_new_object();
	json_put_u64(o, "generation", generation);
	rpc_call_reply(call, o);
}

static void on_status(void *arg, struct rpc_call *call)
{
	struct switchd *d = arg;

	rpc_call_reply(call, switch_status(d->sw));
}

static void on_show(void *arg, struct rpc_call *call)
{
	struct switchd *d = arg;
	const char *what;
	struct error e;

	struct json_object *o = json_get_str(rpc_call_params(call), "what", &what, &e)
					? switch_show(d->sw, what, &e)
					: NULL;
	if (o == NULL) {
		fail(call, &e);
	} else {
		rpc_call_reply(call, o);
	}
}

static void on_watch(void *arg, struct rpc_call *call)
{
	struct switchd *d = arg;

	switch_watch_add(d->watch, call);
}

/* A frame in hex digits. */
static bool read_frame(const struct json_at *params, uint8_t frame[FRAME_MAX], size_t *n,
		       struct error *e)
{
	const char *text;

	if (!json_get_str(params, "frame", &text, e)) {
		return false;
	}
	*n = strlen(text) / 2;
	if (strlen(text) % 2 != 0 || *n > FRAME_MAX) {
		return error_set(e, ERROR_INVALID,
				 "\"frame\": %zu hex digits; a whole frame of at most %d bytes "
				 "is wanted",
				 strlen(text), FRAME_MAX);
	}
	for (size_t i = 0; i < *n; i++) {
		char digits[3] = { text[2 * i], text[2 * i + 1], '\0' };
		uint64_t v;
		if (digits[1] == 'x' || !number_hex_u64(digits, &v)) {
			return error_set(e, ERROR_INVALID, "\"frame\": \"%s\" is no hex number",
					 digits);
		}
		frame[i] = (uint8_t)v;
	}
	return true;
}

static void on_explain(void *arg, struct rpc_call *call)
{
	struct switchd *d = arg;
	const struct json_at *params = rpc_call_params(call);
	uint8_t frame[FRAME_MAX];
	struct json_object *o = NULL;
	const char *port;
	struct error e;
	size_t n;

	if (json_get_str(params, "port", &port, &e) && read_frame(params, frame, &n, &e)) {
		o = switch_explain(d->sw, port, frame, n, &e);
	}
	if (o == NULL) {
		fail(call, &e);
	} else {
		rpc_call_reply(call, o);
	}
}

static const struct control_command commands[] = {
	{ "plane.hello", "", "version and capacity", on_hello },
	{ "plane.apply", "{generation, document}", "run a document", on_apply },
	{ "plane.change", "{base, generation, changes}", "change the document that runs",
	  on_change },
	{ "plane.status", "", "the generation that runs, and counts", on_status },
	{ "plane.show", "{what}", "a table: ports, flows, rules, segments, macs", on_show },
	{ "plane.watch", "", "from now on, notifications of what changes at ports", on_watch },
	{ "plane.explain", "{port, frame}", "what becomes of a frame, by the live tables",
	  on_explain },
};

/* ---- the daemon ---- */

static void tend(void *arg)
{
	struct switchd *d = arg;

	switch_tend(d->sw);
}

static bool begin(void *arg, struct error *e)
{
	struct switchd *d = arg;
	const struct daemon_options *o = &d->daemon.options;
	uint32_t flows = FLOWS;

	if (o->listen != NULL || o->password_file != NULL) {
		return error_set(
			e, ERROR_INVALID,
			"--listen, --password-file: a switch serves nothing over a network");
	}
	if (d->flows != NULL && !number_u32(d->flows, &flows)) {
		return error_set(e, ERROR_INVALID, "--flows: \"%.40s\" is no number", d->flows);
	}
	if (!dpdk_begin(d, e)) {
		return false;
	}
	struct switch_options options = {
		.state = o->state,
		.flows_folder = d->flows_folder != NULL ? d->flows_folder : o->state,
		.flows = flows,
	};
	d->tend = timer_new(&d->daemon.mainloop.loop, clock_real(), tend, d);
	d->settle = timer_new(&d->daemon.mainloop.loop, clock_real(), settle, d);
	d->sw = switch_new(&options, e);
	if (d->sw == NULL) {
		return false;
	}
	d->watch = switch_watch_new(d->sw, &d->daemon.mainloop.loop);
	if (!switch_load(d->sw, e)) {
		return false;
	}
	settle(d);
	timer_start(d->tend, TEND_MS, TEND_MS);
	return true;
}

static void status(void *arg, struct json_object *o)
{
	struct switchd *d = arg;

	json_put_u64(o, "generation", switch_generation(d->sw));
}

static void end(void *arg)
{
	struct switchd *d = arg;

	timer_free(d->tend);
	timer_free(d->settle);
	switch_watch_free(d->watch);
	switch_free(d->sw);
	if (d->is_dpdk_up) {
		(void)rte_eal_cleanup();
	}
}

int main(int argc, char **argv)
{
	static struct switchd d;

	(void)mallopt(M_MXFAST, 0);
	(void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
	const struct daemon_program program = {
		.name = "switchd",
		.version = REMORA_VERSION,
		.usage = "usage: remora-switchd --state DIR [--cores LIST] [--flows N]\n"
			 "           [--flows-folder DIR] [--huge-folder DIR] [--devices ADDRESS]\n"
			 "           [--log-file FILE] [--log-level SPEC]\n"
			 "           [--version] [--help]\n",
		.status_help = "the generation that runs",
		.options = { { .name = "cores", .text = &d.cores },
			     { .name = "flows", .text = &d.flows },
			     { .name = "flows-folder", .text = &d.flows_folder },
			     { .name = "huge-folder", .text = &d.huge_folder },
			     { .name = "devices", .text = &d.devices } },
		.commands = commands,
		.n_commands = ARRAY_LEN(commands),
		.message_limit = MESSAGE_LIMIT,
		.begin = begin,
		.status = status,
		.end = end,
	};
	return daemon_main(&d.daemon, &program, &d, argc, argv);
}

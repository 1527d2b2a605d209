/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remora-switchd: the network and security data plane of one node. What is started is the keeper
 * (keeper.h), which starts the processes that are the switch, one after the other (standby.h). The
 * active one runs the last document it was given, alone; hostd gives it another over its socket
 * (`plane.apply`). Workers forward on cores of their own; this thread only listens, compiles and
 * counts.
 */
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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
#include "switch/connection.h"
#include "switch/keeper.h"
#include "switch/standby.h"
#include "switch/switch.h"
#include "switch/switch_capture.h"
#include "switch/switch_log.h"
#include "switch/switch_move.h"
#include "switch/switch_watch.h"
#include "switch/upgrade.h"

LOG_MODULE("switchd");

enum {
	FLOWS = 1 << 17,
	MEMORY_MIB = 256, /* of packet buffers and devices, where there are no huge pages */
	FRAME_MAX = 9216,
	TEND_MS = 100,
	SETTLE_MS = 100,
	MESSAGE_LIMIT = 256 << 20, /* of a document */
	HOME_MS = 2000,
};

struct switchd {
	struct daemon daemon;
	const char *cores, *flows, *flows_folder, *huge_folder, *devices, *part;
	bool without_standby;
	bool is_dpdk_up;
	struct softswitch *sw;
	struct timer *tend;   /* lost peers are looked for */
	struct timer *settle; /* after a document: memory that reading it took is given back */
	struct switch_watch *watch;
	struct switch_capture *capture;
	struct switch_log *log;
	struct standby *standby;
	struct upgrade *upgrade;
	struct timer *home; /* is the state folder still there? */
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

static void on_capture(void *arg, struct rpc_call *call)
{
	struct switchd *d = arg;

	switch_capture_start(d->capture, call);
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

/* Of the whole frame, where only its first bytes are there. */
static bool read_size(const struct json_at *params, size_t n, uint64_t *out, struct error *e)
{
	*out = n;
	if (!json_has(params, "size")) {
		return true;
	}
	return json_get_u64(params, "size", out, e) &&
	       ((*out >= n && *out <= UINT16_MAX) ||
		error_set(e, ERROR_INVALID,
			  "\"size\": %llu is no size of a frame that begins with "
			  "%zu bytes",
			  (unsigned long long)*out, n));
}

static void on_explain(void *arg, struct rpc_call *call)
{
	struct switchd *d = arg;
	const struct json_at *params = rpc_call_params(call);
	uint8_t frame[FRAME_MAX];
	struct json_object *o = NULL;
	const char *port;
	struct error e;
	uint64_t size;
	size_t n;

	if (json_get_str(params, "port", &port, &e) && read_frame(params, frame, &n, &e) &&
	    read_size(params, n, &size, &e)) {
		o = switch_explain(d->sw, port, frame, n, (size_t)size, &e);
	}
	if (o == NULL) {
		fail(call, &e);
	} else {
		rpc_call_reply(call, o);
	}
}

static void let_go(void *arg)
{
	struct switchd *d = arg;

	log_info("another process takes over");
	daemon_fall_silent(&d->daemon);
	switch_halt(d->sw);
	switch_log_flush(d->log);
	/* As if killed: sockets of guests are closed before the lock is, so that the other one
	 * connects when QEMU is ready for it. */
	_exit(0);
}

static void on_export(void *arg, struct rpc_call *call)
{
	static const char *const members[] = { "port", "after" };
	struct switchd *d = arg;
	const struct json_at *params = rpc_call_params(call);
	struct json_object *o = NULL;
	uint32_t after = 0;
	const char *port;
	struct error e;

	if (json_check_members(params, members, ARRAY_LEN(members), &e) &&
	    json_get_str(params, "port", &port, &e) &&
	    (!json_has(params, "after") || json_get_u32(params, "after", &after, &e))) {
		o = switch_connections_export(d->sw, port, after, &e);
	}
	if (o == NULL) {
		fail(call, &e);
	} else {
		rpc_call_reply(call, o);
	}
}

static void on_import(void *arg, struct rpc_call *call)
{
	static const char *const members[] = { "port", "version", "connections" };
	struct switchd *d = arg;
	const struct json_at *params = rpc_call_params(call);
	struct json_object *o = NULL;
	struct json_at connections;
	uint64_t version;
	const char *port;
	struct error e;

	if (json_check_members(params, members, ARRAY_LEN(members), &e) &&
	    json_get_str(params, "port", &port, &e) &&
	    json_get_u64(params, "version", &version, &e) &&
	    json_get_array(params, "connections", &connections, &e)) {
		if (version == CONNECTION_VERSION) {
			o = switch_connections_import(d->sw, port, &connections, &e);
		} else {
			error_set(&e, ERROR_UNSUPPORTED, "\"version\": %llu; this switch has %d",
				  (unsigned long long)version, CONNECTION_VERSION);
		}
	}
	if (o == NULL) {
		fail(call, &e);
	} else {
		rpc_call_reply(call, o);
	}
}

static void on_announce(void *arg, struct rpc_call *call)
{
	struct switchd *d = arg;
	const char *port;
	struct error e;
	unsigned n;

	if (!json_get_str(rpc_call_params(call), "port", &port, &e) ||
	    !switch_announce(d->sw, port, &n, &e)) {
		fail(call, &e);
		return;
	}
	struct json_object *o = json_object_new_object();
	json_put_u64(o, "frames", n);
	rpc_call_reply(call, o);
}

static void on_upgrade(void *arg, struct rpc_call *call)
{
	struct switchd *d = arg;

	upgrade_ask(d->upgrade, call);
}

static const struct control_command commands[] = {
	{ "plane.hello", "", "version and capacity", on_hello },
	{ "plane.apply", "{generation, document}", "run a document", on_apply },
	{ "plane.change", "{base, generation, changes}", "change the document that runs",
	  on_change },
	{ "plane.status", "", "the generation that runs, and counts", on_status },
	{ "plane.show", "{what}", "a table: ports, flows, rules, segments, macs", on_show },
	{ "plane.watch", "", "from now on, notifications of what changes at ports", on_watch },
	{ "plane.explain", "{port, frame, size?}", "what becomes of a frame, by the live tables",
	  on_explain },
	{ "plane.capture", "{port?, filter?, snap?, count?, stages?}",
	  "from now on, notifications with packets, as pcapng", on_capture },
	{ "plane.connections.export", "{port, after?}", "connections of a port, for another node",
	  on_export },
	{ "plane.connections.import", "{port, version, connections}",
	  "go on with connections of a guest that comes here", on_import },
	{ "plane.announce", "{port}", "tell the networks that a port's guest is here",
	  on_announce },
	{ "plane.upgrade", "{binary?}", "hand over to a process of another binary", on_upgrade },
};

/* ---- the daemon ---- */

static void tend(void *arg)
{
	struct switchd *d = arg;

	switch_tend(d->sw);
}

static bool check(const struct switchd *d, uint32_t *flows, struct error *e)
{
	const struct daemon_options *o = &d->daemon.options;

	if (o->listen != NULL || o->password_file != NULL) {
		return error_set(
			e, ERROR_INVALID,
			"--listen, --password-file: a switch serves nothing over a network");
	}
	*flows = FLOWS;
	if (d->flows != NULL && !number_u32(d->flows, flows)) {
		return error_set(e, ERROR_INVALID, "--flows: \"%.40s\" is no number", d->flows);
	}
	return true;
}

static bool make_ready(void *arg, struct error *e)
{
	struct switchd *d = arg;
	const struct daemon_options *o = &d->daemon.options;
	struct switch_options options = {
		.state = o->state,
		.flows_folder = d->flows_folder != NULL ? d->flows_folder : o->state,
	};

	if (!check(d, &options.flows, e) || !dpdk_begin(d, e)) {
		return false;
	}
	d->sw = switch_new(&options, e);
	return d->sw != NULL && switch_prepare(d->sw, e);
}

static void follow(void *arg)
{
	struct switchd *d = arg;
	struct error e;

	if (!switch_prepare(d->sw, &e)) {
		log_warn("%s", e.msg);
	}
}

static bool wait_for_turn(void *arg, struct error *e)
{
	struct switchd *d = arg;
	const struct standby_options o = { .loop = &d->daemon.mainloop.loop,
					   .state = d->daemon.options.state,
					   .version = REMORA_VERSION,
					   .make_ready = make_ready,
					   .follow = follow,
					   .arg = d };

	(void)prctl(PR_SET_NAME, "remora-switchd");
	d->standby = standby_new(&o);
	return standby_wait(d->standby, e);
}

static void look_home(void *arg)
{
	struct switchd *d = arg;

	if (!standby_is_at_home(d->standby)) {
		log_warn("\"%s\" is not there any more", d->daemon.options.state);
		timer_stop(d->home);
		daemon_stop(&d->daemon);
	}
}

static bool begin(void *arg, struct error *e)
{
	struct switchd *d = arg;
	uv_loop_t *loop = &d->daemon.mainloop.loop;

	d->watch = switch_watch_new(d->sw, loop);
	d->capture = switch_capture_new(d->sw, loop);
	d->log = switch_log_new(d->sw, loop, d->daemon.options.state);
	if (!switch_load(d->sw, e)) {
		return false;
	}
	d->tend = timer_new(loop, clock_real(), tend, d);
	timer_start(d->tend, TEND_MS, TEND_MS);
	d->settle = timer_new(loop, clock_real(), settle, d);
	timer_start(d->settle, SETTLE_MS, 0);
	d->upgrade = upgrade_new(loop, d->daemon.options.state, let_go, d);
	d->home = timer_new(loop, clock_real(), look_home, d);
	timer_start(d->home, HOME_MS, HOME_MS);
	standby_tell(d->standby, "active", NULL);
	return true;
}

static void status(void *arg, struct json_object *o)
{
	struct switchd *d = arg;

	json_put_u64(o, "generation", switch_generation(d->sw));
}

static void stop(void *arg, int number)
{
	struct switchd *d = arg;

	(void)number;
	standby_end(d->standby);
}

static void end(void *arg)
{
	struct switchd *d = arg;

	timer_free(d->tend);
	timer_free(d->settle);
	switch_watch_free(d->watch);
	switch_capture_free(d->capture);
	switch_log_free(d->log);
	timer_free(d->home);
	upgrade_free(d->upgrade);
	switch_free(d->sw);
	if (d->is_dpdk_up) {
		(void)rte_eal_cleanup();
	}
	standby_free(d->standby);
}

/* The process of a part (standby.h); without it, the keeper. Only what the keeper starts has it,
 * as its first word. */
static bool has_part(int argc, char **argv)
{
	return argc > 1 && strncmp(argv[1], "--part", 6) == 0;
}

int main(int argc, char **argv)
{
	static struct switchd d;
	struct daemon_program program = {
		.name = "switchd",
		.version = REMORA_VERSION,
		.usage = "usage: remora-switchd --state DIR [--cores LIST] [--flows N]\n"
			 "           [--flows-folder DIR] [--huge-folder DIR] [--devices ADDRESS]\n"
			 "           [--no-standby] [--log-file FILE] [--log-level SPEC]\n"
			 "           [--version] [--help]\n",
		.status_help = "the generation that runs",
		.options = { { .name = "cores", .text = &d.cores },
			     { .name = "flows", .text = &d.flows },
			     { .name = "flows-folder", .text = &d.flows_folder },
			     { .name = "huge-folder", .text = &d.huge_folder },
			     { .name = "devices", .text = &d.devices },
			     { .name = "no-standby", .flag = &d.without_standby },
			     { .name = "part", .text = &d.part } },
		.commands = commands,
		.n_commands = ARRAY_LEN(commands),
		.message_limit = MESSAGE_LIMIT,
		.lock = wait_for_turn,
		.begin = begin,
		.status = status,
		.stop = stop,
		.end = end,
	};
	(void)mallopt(M_MXFAST, 0);
	(void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
	if (has_part(argc, argv)) {
		return daemon_main(&d.daemon, &program, &d, argc, argv);
	}
	struct keeper *k = keeper_new(&d.daemon, argv, &d.without_standby);
	keeper_program(&program);
	return keeper_free(k, daemon_main(&d.daemon, &program, k, argc, argv));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/control.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/number.h"
#include "base/vec.h"

LOG_MODULE("control");

#define MESSAGE_LIMIT ((size_t)1024 * 1024)

struct registered {
	const struct control_command *command;
	void *arg;
};

struct control {
	struct rpc_server *server;
	struct map commands; /* name -> struct registered */
	const char *program, *version;
	int64_t start_us;
};

static int compare_registered(const void *a, const void *b)
{
	struct registered *const *x = a;
	struct registered *const *y = b;
	return strcmp((*x)->command->name, (*y)->command->name);
}

static void command_help(void *arg, struct rpc_call *call)
{
	struct control *c = arg;
	VEC(struct registered *) all = { 0 };
	map_each (&c->commands, e) {
		vec_push(&all, e->value);
	}
	vec_sort(&all, compare_registered);
	struct json_object *list = json_object_new_array();
	vec_each (&all, r) {
		struct json_object *o = json_object_new_object();
		json_put_str(o, "name", (*r)->command->name);
		json_put_str(o, "params", (*r)->command->params);
		json_put_str(o, "help", (*r)->command->help);
		json_object_array_add(list, o);
	}
	vec_free(&all);
	rpc_call_reply(call, list);
}

static void command_version(void *arg, struct rpc_call *call)
{
	const struct control *c = arg;
	struct json_object *o = json_object_new_object();
	json_put_str(o, "program", c->program);
	json_put_str(o, "version", c->version);
	json_put_i64(o, "pid", getpid());
	json_put_i64(o, "uptime_ms", (clock_mono_us(clock_real()) - c->start_us) / 1000);
	rpc_call_reply(call, o);
}

/* Resident bytes, from the second number of /proc/self/statm, proc(5); 0 where unknown. */
static uint64_t resident_bytes(void)
{
	struct buf text = BUF_INIT;
	uint64_t pages = 0;
	if (file_read("/proc/self/statm", 256, &text, NULL)) {
		const char *at = strchr(text.data, ' ');
		if (at) {
			number_u64_n(at + 1, strcspn(at + 1, " "), &pages);
		}
	}
	buf_free(&text);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void command_memory(void *arg, struct rpc_call *call)
{
	(void)arg;
	struct mallinfo2 info = mallinfo2();
	struct json_object *o = json_object_new_object();
	json_put_u64(o, "resident_bytes", resident_bytes());
	json_put_u64(o, "heap_bytes", info.arena + info.hblkhd);
	json_put_u64(o, "heap_used_bytes", info.uordblks + info.hblkhd);
	rpc_call_reply(call, o);
}

static void command_metrics(void *arg, struct rpc_call *call)
{
	(void)arg;
	struct buf text = BUF_INIT;
	metric_text(&text);
	struct json_object *s = json_new_str(text.data);
	buf_free(&text);
	rpc_call_reply(call, s);
}

static void reply_levels(struct rpc_call *call)
{
	struct buf text = BUF_INIT;
	log_get_levels(&text);
	struct json_object *o = json_object_new_object();
	json_put_str(o, "levels", text.data);
	buf_free(&text);
	rpc_call_reply(call, o);
}

static void command_log_get(void *arg, struct rpc_call *call)
{
	(void)arg;
	reply_levels(call);
}

static void command_log_set(void *arg, struct rpc_call *call)
{
	(void)arg;
	static const char *const members[] = { "levels" };
	const struct json_at *params = rpc_call_params(call);
	const char *levels;
	struct error e;
	if (!json_check_members(params, members, ARRAY_LEN(members), &e) ||
	    !json_get_str(params, "levels", &levels, &e) || !log_set_level(levels, &e)) {
		rpc_call_fail(call, &e);
		return;
	}
	log_info("log levels set to \"%s\"", levels);
	reply_levels(call);
}

static const struct control_command built_in[] = {
	{ "help", "", "lists the commands", command_help },
	{ "version", "", "says which program this is and since when it runs", command_version },
	{ "memory", "", "says how much memory is used", command_memory },
	{ "metrics", "", "gives all metrics as Prometheus text", command_metrics },
	{ "log.get", "", "says what each module logs", command_log_get },
	{ "log.set", "{levels}", "sets what modules log, e.g. \"qmp=debug,*=info\"",
	  command_log_set },
};

static void on_request(void *arg, struct rpc_call *call)
{
	struct control *c = arg;
	const char *name = rpc_call_method(call);
	struct registered *r = map_get(&c->commands, name);
	if (!r) {
		struct error e;
		error_set(&e, ERROR_UNSUPPORTED,
			  "command \"%s\": there is none of this name, see \"help\"", name);
		rpc_call_fail(call, &e);
		return;
	}
	r->command->fn(r->arg, call);
}

struct control *control_new(uv_loop_t *loop, const struct control_options *options, struct error *e)
{
	struct control *c = mem_zalloc(sizeof(*c));
	const struct rpc_options rpc = {
		.path = options->path,
		.message_limit =
			options->message_limit != 0 ? options->message_limit : MESSAGE_LIMIT,
		.on_request = on_request,
		.arg = c,
	};
	c->program = options->program;
	c->version = options->version;
	c->start_us = clock_mono_us(clock_real());
	for (size_t i = 0; i != ARRAY_LEN(built_in); i++) {
		control_register(c, &built_in[i], c);
	}
	c->server = rpc_server_new(loop, &rpc, e);
	if (!c->server) {
		control_free(c);
		return NULL;
	}
	return c;
}

void control_free(struct control *c)
{
	if (c) {
		rpc_server_free(c->server);
		map_free_values(&c->commands, free);
		free(c);
	}
}

void control_register(struct control *c, const struct control_command *command, void *arg)
{
	assert(!map_has(&c->commands, command->name));
	struct registered *r = mem_zalloc(sizeof(*r));
	r->command = command;
	r->arg = arg;
	map_set(&c->commands, command->name, r);
}

void control_unregister(struct control *c, const char *name)
{
	free(map_remove(&c->commands, name));
}

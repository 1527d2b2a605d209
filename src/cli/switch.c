/* SPDX-License-Identifier: Apache-2.0 */
/* remora switch: looks at a remora-switchd on this machine and gives it documents, through its
 * control socket. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/rpc.h"
#include "cli/command.h"
#include "cli/switch_capture.h"
#include "cli/switch_frame.h"
#include "cli/switch_log.h"
#include "cli/switch_table.h"

#define STATE_DEFAULT "/var/lib/remora-switchd"

enum {
	TIMEOUT_MS = 60000, /* compiling a large document takes a while */
	DOCUMENT_MAX = 256 << 20,
	HAND_OVER_US = 20000000,
	FIRST_OF_FRAME = 12, /* among the options: those that describe a frame */
};

struct request {
	const char *words[2]; /* the verb and what it is about */
	size_t n_words;
	const char *state, *hex, *binary, *file, *number;
	struct switch_capture_options capture;
	struct switch_log_options log; /* its port is the capture's */
	struct switch_frame frame;
	bool is_json, is_described; /* an option of the frame is there */
};

static int complain(const struct error *e)
{
	fprintf(stderr, "remora: %s\n", e->msg);
	return 1;
}

static int usage(FILE *to, int status)
{
	fputs("usage: remora switch [--state DIR] [--json] COMMAND\n"
	      "  status               the generation that runs, and counts of connections\n"
	      "  show WHAT            a table: ports, flows, rules, segments or macs\n"
	      "  explain PORT --hex FRAME\n"
	      "  explain PORT --dst ADDRESS [--src ADDRESS] [--src-mac MAC] [--dst-mac MAC]\n"
	      "          [--proto tcp|udp|icmp|N] [--sport N] [--dport N] [--vlan N]\n"
	      "                       what becomes of a frame that comes in there; nothing is "
	      "sent\n"
	      "  explain [PORT] --capture FILE [--number N]\n"
	      "                       the same, of the N-th packet of a capture\n"
	      "  capture [--port NAME] [--filter EXPRESSION] [--snap BYTES] [--count N]\n"
	      "          [--stages LIST] [--write FILE]\n"
	      "                       packets as they pass, as pcapng; the expression is as of\n"
	      "                       tcpdump, stages are received,guarded,sent,dropped\n"
	      "  log [--follow] [--rule ID] [--port NAME]\n"
	      "                       what firewall rules that log let begin or stopped; the port\n"
	      "                       by name or label\n"
	      "  apply FILE           run a plane document (JSON)\n"
	      "  upgrade [--binary PATH]\n"
	      "                       hand over to a new process; connections go on\n"
	      "DIR is the switch's state folder; else $REMORA_SWITCH, else " STATE_DEFAULT "\n",
	      to);
	return status;
}

/* ---- asking ---- */

static const char *state_of(const struct request *r)
{
	const char *from = getenv("REMORA_SWITCH");

	return r->state != NULL ? r->state : from != NULL && *from != '\0' ? from : STATE_DEFAULT;
}

static struct json_object *ask(const struct request *r, const char *method,
			       struct json_object *params, struct error *e)
{
	const char *from = state_of(r);
	struct json_object *result = NULL;
	char *path = mem_printf("%s/control.sock", from);

	if (!rpc_request(path, method, params, TIMEOUT_MS, &result, e)) {
		if (e->kind == ERROR_UNREACHABLE || e->kind == ERROR_NOT_FOUND) {
			error_prefix(e,
				     "is remora-switchd running with --state %s? "
				     "(another: --state DIR): ",
				     from);
		}
		result = NULL;
	} else if (result == NULL) {
		error_set(e, ERROR_INTERNAL, "%s: \"%s\" was answered with nothing", path, method);
	}
	free(path);
	return result;
}

/* Prints an answer, which is ended: as JSON or by fn. */
static int answer(const struct request *r, struct json_object *result,
		  void (*fn)(struct json_object *o), const struct error *e)
{
	if (result == NULL) {
		return complain(e);
	}
	if (r->is_json || !json_object_is_type(result, json_type_object)) {
		puts(json_object_to_json_string_ext(
			result, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
					JSON_C_TO_STRING_NOSLASHESCAPE));
	} else {
		fn(result);
	}
	json_object_put(result);
	return 0;
}

static int run_status(struct request *r)
{
	struct error e;
	struct json_object *o = ask(r, "plane.status", NULL, &e);

	return answer(r, o, switch_table_print_members, &e);
}

static struct json_object *show(const struct request *r, const char *what, struct error *e)
{
	struct json_object *params = json_object_new_object();

	json_put_str(params, "what", what);
	return ask(r, "plane.show", params, e);
}

static int run_show(struct request *r)
{
	struct error e;
	struct json_object *o = show(r, r->words[1], &e);

	if (o == NULL || r->is_json) {
		return answer(r, o, NULL, &e);
	}
	switch_table_print(r->words[1], o);
	json_object_put(o);
	return 0;
}

/* ---- explain ---- */

static const char *text_of(struct json_object *o, const char *member)
{
	struct json_object *v;

	return json_object_object_get_ex(o, member, &v) && json_object_is_type(v, json_type_string)
		       ? json_object_get_string(v)
		       : NULL;
}

/* Takes what was not said from the ports: the sender's addresses, and whose the target is. */
static void complete_frame(struct switch_frame *f, const char *port, struct json_object *ports)
{
	for (size_t i = 0; i < json_object_array_length(ports); i++) {
		struct json_object *o = json_object_array_get_idx(ports, i), *list = NULL;
		const char *name = text_of(o, "name"), *mac = text_of(o, "mac");
		bool is_own = name != NULL && strcmp(name, port) == 0;

		f->src_mac = is_own && f->src_mac == NULL ? mac : f->src_mac;
		if (!json_object_object_get_ex(o, "addresses", &list) ||
		    !json_object_is_type(list, json_type_array)) {
			continue;
		}
		for (size_t k = 0; k < json_object_array_length(list); k++) {
			const char *a = json_object_get_string(json_object_array_get_idx(list, k));
			bool is_same_family =
				f->dst != NULL &&
				(strchr(a, ':') == NULL) == (strchr(f->dst, ':') == NULL);
			f->src = is_own && f->src == NULL && is_same_family ? a : f->src;
			if (f->dst_mac == NULL && f->dst != NULL && strcmp(a, f->dst) == 0) {
				f->dst_mac = mac;
			}
		}
	}
}

static char *described(struct request *r, struct error *e)
{
	uint8_t frame[SWITCH_FRAME_MAX];
	struct buf hex = BUF_INIT;
	struct json_object *ports = show(r, "ports", e);

	if (ports == NULL) {
		return NULL;
	}
	if (json_object_is_type(ports, json_type_array)) {
		complete_frame(&r->frame, r->words[1], ports);
	}
	size_t n = switch_frame_make(&r->frame, frame, e);
	json_object_put(ports);
	for (size_t i = 0; i < n; i++) {
		buf_addf(&hex, "%02x", frame[i]);
	}
	return n == 0 ? NULL : buf_take(&hex);
}

/* A packet of a capture, that came in at the port it says or at another. */
static int explain_captured(struct request *r)
{
	struct switch_capture_packet p;
	struct buf hex = BUF_INIT;
	uint64_t number = 1;
	struct error e;

	if (r->number != NULL && (!number_u64(r->number, &number) || number == 0)) {
		fprintf(stderr, "remora: --number: \"%.40s\" is no number from 1\n", r->number);
		return 2;
	}
	if (!switch_capture_find(r->file, number, &p, &e)) {
		return complain(&e);
	}
	struct json_object *params = json_object_new_object();
	hex_encode(&hex, p.bytes.data, p.bytes.len);
	json_put_str(params, "port", r->n_words > 1 ? r->words[1] : p.port);
	json_put_str(params, "frame", hex.len == 0 ? "" : hex.data);
	json_put_u64(params, "size", p.size);
	buf_free(&hex);
	buf_free(&p.bytes);
	free(p.port);
	struct json_object *o = ask(r, "plane.explain", params, &e);
	return answer(r, o, switch_table_print_explained, &e);
}

static int run_explain(struct request *r)
{
	struct error e;

	if (r->file != NULL && r->hex == NULL && !r->is_described) {
		return explain_captured(r);
	}
	if (r->n_words < 2 || (r->hex != NULL) == r->is_described) {
		fputs("remora: explain takes a port and either --hex, or --dst and what else "
		      "describes the frame; or --capture\n",
		      stderr);
		return 2;
	}
	char *hex = r->hex != NULL ? mem_strdup(r->hex) : described(r, &e);
	if (hex == NULL) {
		return complain(&e);
	}
	struct json_object *params = json_object_new_object();
	json_put_str(params, "port", r->words[1]);
	json_put_str(params, "frame", hex);
	free(hex);
	struct json_object *o = ask(r, "plane.explain", params, &e);
	return answer(r, o, switch_table_print_explained, &e);
}

/* ---- apply ---- */

static int run_apply(struct request *r)
{
	struct error e;
	struct json_object *document = json_parse_file(r->words[1], DOCUMENT_MAX, &e), *v;

	if (document == NULL) {
		return complain(&e);
	}
	struct json_object *status = ask(r, "plane.status", NULL, &e);
	if (status == NULL) {
		json_object_put(document);
		return complain(&e);
	}
	uint64_t generation = json_object_object_get_ex(status, "generation", &v)
				      ? json_object_get_uint64(v) + 1
				      : 1;
	json_object_put(status);
	struct json_object *params = json_object_new_object();
	json_put_u64(params, "generation", generation);
	json_put(params, "document", document);
	struct json_object *o = ask(r, "plane.apply", params, &e);
	if (o == NULL) {
		error_prefix(&e, "%s: ", r->words[1]);
	}
	return answer(r, o, switch_table_print_members, &e);
}

/* ---- upgrade ---- */

/* Waits until that process answers in place of the one before. */
static bool wait_for(const struct request *r, uint64_t pid, struct error *e)
{
	int64_t end = clock_mono_us(clock_real()) + HAND_OVER_US;

	while (clock_mono_us(clock_real()) < end) {
		struct json_object *o = ask(r, "version", NULL, e), *v = NULL;
		bool is_it = o != NULL && json_object_object_get_ex(o, "pid", &v) &&
			     json_object_get_uint64(v) == pid;
		json_object_put(o);
		if (is_it) {
			return true;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	}
	return error_set(e, ERROR_TIMEOUT, "process %llu was ready, and has not taken over",
			 (unsigned long long)pid);
}

static int run_upgrade(struct request *r)
{
	struct json_object *params = json_object_new_object(), *o = NULL, *v = NULL;
	char path[PATH_MAX];
	struct error e;

	if (r->binary != NULL) {
		if (realpath(r->binary, path) == NULL) {
			json_object_put(params);
			error_set_sys(&e, errno, "\"%s\"", r->binary);
			return complain(&e);
		}
		json_put_str(params, "binary", path);
	}
	o = ask(r, "plane.upgrade", params, &e);
	if (o != NULL && (!json_object_object_get_ex(o, "pid", &v) ||
			  !wait_for(r, json_object_get_uint64(v), &e))) {
		json_object_put(o);
		o = NULL;
	}
	return answer(r, o, switch_table_print_members, &e);
}

static int run_capture(struct request *r)
{
	char *path = mem_printf("%s/control.sock", state_of(r));
	struct error e;
	bool ok = switch_capture_run(path, &r->capture, &e);

	free(path);
	return ok ? 0 : complain(&e);
}

static int run_log(struct request *r)
{
	struct error e;

	r->log.port = r->capture.port;
	r->log.is_json = r->is_json;
	return switch_log_run(state_of(r), &r->log, &e) ? 0 : complain(&e);
}

/* ---- the command line ---- */

static bool read_option(struct request *r, const char *name, const char *value)
{
	const struct {
		const char *name;
		const char **to;
	} options[] = { { "--state", &r->state },
			{ "--binary", &r->binary },
			{ "--hex", &r->hex },
			{ "--capture", &r->file },
			{ "--number", &r->number },
			{ "--port", &r->capture.port },
			{ "--filter", &r->capture.filter },
			{ "--snap", &r->capture.snap },
			{ "--count", &r->capture.count },
			{ "--stages", &r->capture.stages },
			{ "--write", &r->capture.write },
			{ "--rule", &r->log.rule },
			{ "--src-mac", &r->frame.src_mac },
			{ "--dst-mac", &r->frame.dst_mac },
			{ "--src", &r->frame.src },
			{ "--dst", &r->frame.dst },
			{ "--proto", &r->frame.proto },
			{ "--sport", &r->frame.sport },
			{ "--dport", &r->frame.dport },
			{ "--vlan", &r->frame.vlan } };

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(options[i].name, name) == 0) {
			if (value == NULL) {
				fprintf(stderr, "remora: %s needs a value\n", name);
				return false;
			}
			*options[i].to = value;
			r->is_described |= i >= FIRST_OF_FRAME;
			return true;
		}
	}
	fprintf(stderr, "remora: switch has no option \"%s\"; see remora switch --help\n", name);
	return false;
}

static bool read_words(struct request *r, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			r->is_json = true;
		} else if (strcmp(argv[i], "--follow") == 0) {
			r->log.follows = true;
		} else if (strncmp(argv[i], "--", 2) == 0) {
			if (!read_option(r, argv[i], i + 1 < argc ? argv[i + 1] : NULL)) {
				return false;
			}
			i++;
		} else if (r->n_words < ARRAY_LEN(r->words)) {
			r->words[r->n_words++] = argv[i];
		} else {
			fprintf(stderr, "remora: \"%s\" is one word too many\n", argv[i]);
			return false;
		}
	}
	return true;
}

int command_switch(int argc, char **argv)
{
	static const struct {
		const char *verb;
		size_t n_words;
		int (*run)(struct request *r);
	} verbs[] = { { "status", 1, run_status },   { "show", 2, run_show },
		      { "explain", 1, run_explain }, { "explain", 2, run_explain },
		      { "capture", 1, run_capture }, { "log", 1, run_log },
		      { "apply", 2, run_apply },     { "upgrade", 1, run_upgrade } };
	struct request r = { .n_words = 0 };

	if (argc > 1 && command_wants_help(argv[1])) {
		return usage(stdout, 0);
	}
	if (!read_words(&r, argc, argv)) {
		return 2;
	}
	for (size_t i = 0; r.n_words > 0 && i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].verb, r.words[0]) == 0 && verbs[i].n_words == r.n_words) {
			return verbs[i].run(&r);
		}
	}
	return usage(stderr, 2);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate_options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"
#include "base/number.h"

enum kind {
	NUMBER,
	TEXT,
	FLAG
};

#define AT(member) offsetof(struct simulate_options, member)

static const struct option {
	const char *name;
	enum kind kind;
	size_t at;
	uint32_t max; /* of a number */
	const char *help;
} options[] = {
	{ "esx", FLAG, AT(esx), 0, "one host alone, without a manager" },
	{ "dc", NUMBER, AT(dc), 100, "datacenters" },
	{ "cluster", NUMBER, AT(cluster), 100, "clusters in each datacenter" },
	{ "host", NUMBER, AT(host), 200, "hosts in each cluster" },
	{ "standalone-host", NUMBER, AT(standalone_host), 200, "single hosts in each datacenter" },
	{ "vm", NUMBER, AT(vm), 100000, "VMs on each single host, cluster pool and vApp" },
	{ "ds", NUMBER, AT(ds), 64, "datastores in each datacenter" },
	{ "pool", NUMBER, AT(pool), 100, "resource pools in each cluster" },
	{ "app", NUMBER, AT(app), 100, "vApps in each cluster" },
	{ "folder", NUMBER, AT(folder), 100, "folders around the datacenters and in them" },
	{ "pg", NUMBER, AT(pg), 1000, "distributed port groups in each datacenter" },
	{ "autostart", FLAG, AT(autostart), 0, "VMs are powered on (=false: they are not)" },
	{ "tls", FLAG, AT(tls), 0, "serve HTTPS (=false: HTTP, on loopback only)" },
	{ "tlscert", TEXT, AT(tls_cert), 0, "file with the certificate to show, with --tlskey" },
	{ "tlskey", TEXT, AT(tls_key), 0, "file with its key" },
	{ "username", TEXT, AT(username), 0, "who may log in; otherwise anybody" },
	{ "password", TEXT, AT(password), 0, "with which password; otherwise any" },
	{ "listen", TEXT, AT(listen), 0, "address and port; port 0: any free one" },
	{ "l", TEXT, AT(listen), 0, "the same" },
	{ "E", TEXT, AT(env), 0, "file for the \"export GOVC_URL=…\" line; -: standard output" },
	{ "log-level", TEXT, AT(log_level), 0, "what is logged: \"*=info\", \"server=debug\"" },
};

/* What else the simulator people know takes. Where the value leaves things as they are here, it is
 * taken too. */
static const struct foreign {
	const char *name;
	bool is_flag;
	const char *harmless; /* value, or NULL: none */
	const char *why;
} foreign[] = {
	{ "api-version", false, "8.0.3.0", "the API version is 8.0.3.0" },
	{ "delay", false, "0", "answers are not delayed" },
	{ "delay-jitter", false, "0", "answers are not delayed" },
	{ "method-delay", false, "", "answers are not delayed" },
	{ "load", false, "", "saved inventories cannot be loaded" },
	{ "nsx", false, "0", "opaque networks are not simulated" },
	{ "pg-nsx", false, "0", "opaque networks are not simulated" },
	{ "pod", false, "0", "storage pods are not simulated" },
	{ "stdinexit", true, "false", "it ends at SIGTERM and SIGINT" },
	{ "trace", true, "false", "requests are not written out" },
	{ "trace-file", false, "", "requests are not written out" },
	{ "tunnel", false, "-1", "there is no tunnel port" },
};

void simulate_options_help(void)
{
	puts("usage: remora simulate [--OPTION[=VALUE] …]\n");
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		printf("  %s%-16s %s\n", strlen(options[i].name) == 1 ? " -" : "--",
		       options[i].name, options[i].help);
	}
	puts("\nSee remora(1).");
}

static const struct option *option_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strlen(options[i].name) == len && strncmp(options[i].name, name, len) == 0) {
			return &options[i];
		}
	}
	return NULL;
}

static bool is_word(const char *const *words, size_t n, const char *value)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(words[i], value) == 0) {
			return true;
		}
	}
	return false;
}

static bool flag_set(const struct option *o, void *at, const char *value, struct error *e)
{
	static const char *const on[] = { "true", "t", "1" }, *const off[] = { "false", "f", "0" };
	bool is_on = value == NULL || is_word(on, ARRAY_LEN(on), value);

	if (!is_on && !is_word(off, ARRAY_LEN(off), value)) {
		return error_set(e, ERROR_INVALID, "\"--%s=%s\": true or false", o->name, value);
	}
	*(bool *)at = is_on;
	return true;
}

static bool option_set(const struct option *o, struct simulate_options *out, const char *value,
		       struct error *e)
{
	void *at = (char *)out + o->at;
	int64_t n;

	if (o->kind == FLAG) {
		return flag_set(o, at, value, e);
	}
	if (value == NULL) {
		return error_set(e, ERROR_INVALID, "\"--%s\" needs a value", o->name);
	}
	if (o->kind == TEXT) {
		*(const char **)at = value;
		return true;
	}
	if (!number_i64(value, &n) || n < 0 || n > o->max) {
		return error_set(e, ERROR_INVALID, "\"--%s %s\": a number from 0 to %u", o->name,
				 value, o->max);
	}
	*(uint32_t *)at = (uint32_t)n;
	return true;
}

/* What an option is worth: behind the equals sign, or the next word; NULL: nothing. */
static const char *value_take(const char *after, bool is_flag, int argc, char **argv, int *i)
{
	if (*after == '=') {
		return after + 1;
	}
	return is_flag || *i + 1 >= argc ? NULL : argv[++*i];
}

static bool foreign_take(const char *name, size_t len, int argc, char **argv, int *i,
			 struct error *e)
{
	for (size_t k = 0; k < ARRAY_LEN(foreign); k++) {
		const struct foreign *f = &foreign[k];
		if (strlen(f->name) != len || strncmp(f->name, name, len) != 0) {
			continue;
		}
		const char *value = value_take(name + len, f->is_flag, argc, argv, i);
		return (value != NULL && strcmp(value, f->harmless) == 0) ||
		       error_set(e, ERROR_INVALID, "option \"%s\" is not for this simulator: %s",
				 f->name, f->why);
	}
	return error_set(e, ERROR_INVALID, "unknown option \"%s\": see --help", argv[*i]);
}

/* What one option alone cannot tell. */
static bool options_check(struct simulate_options *o, struct error *e)
{
	if (o->ds == 0 && o->vm > 0) {
		return error_set(e, ERROR_INVALID,
				 "\"--ds 0\": VMs need a datastore; with \"--vm 0\" none");
	}
	if ((o->tls_cert == NULL) != (o->tls_key == NULL)) {
		return error_set(e, ERROR_INVALID, "\"--tlscert\" and \"--tlskey\" go together");
	}
	o->open = o->username == NULL && o->password == NULL;
	o->username = o->username == NULL ? "user" : o->username;
	o->password = o->password == NULL ? "pass" : o->password;
	return true;
}

bool simulate_options_parse(int argc, char **argv, struct simulate_options *out, struct error *e)
{
	*out = (struct simulate_options){ .autostart = true,
					  .tls = true,
					  .dc = 1,
					  .cluster = 1,
					  .host = 3,
					  .standalone_host = 1,
					  .vm = 2,
					  .ds = 1,
					  .pg = 1,
					  .listen = "127.0.0.1:8989",
					  .env = "-",
					  .log_level = "*=warn" };
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i];
		if (name[0] != '-') {
			return error_set(e, ERROR_INVALID, "\"%s\" is not an option", name);
		}
		name += name[1] == '-' ? 2 : 1;
		size_t len = strcspn(name, "=");
		if ((len == 1 && name[0] == 'h') || (len == 4 && strncmp(name, "help", 4) == 0)) {
			out->help = true;
			return true;
		}
		const struct option *o = option_find(name, len);
		if (o == NULL) {
			if (!foreign_take(name, len, argc, argv, &i, e)) {
				return false;
			}
			continue;
		}
		const char *value = value_take(name + len, o->kind == FLAG, argc, argv, &i);
		if (!option_set(o, out, value, e)) {
			return false;
		}
	}
	return options_check(out, e);
}

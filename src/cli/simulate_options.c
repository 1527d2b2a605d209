/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate_options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

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
	{ "username", TEXT, AT(username), 0, "who may log in" },
	{ "password", TEXT, AT(password), 0, "with which password" },
	{ "listen", TEXT, AT(listen), 0, "address and port; port 0: any free one" },
	{ "l", TEXT, AT(listen), 0, "the same" },
	{ "E", TEXT, AT(env), 0, "file for the \"export GOVC_URL=…\" line; -: standard output" },
	{ "log-level", TEXT, AT(log_level), 0, "what is logged: \"*=info\", \"server=debug\"" },
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

static bool flag_set(const struct option *o, void *at, const char *value, struct error *e)
{
	bool off = value != NULL && (strcmp(value, "false") == 0 || strcmp(value, "0") == 0);

	if (value != NULL && !off && strcmp(value, "true") != 0 && strcmp(value, "1") != 0) {
		return error_set(e, ERROR_INVALID, "\"--%s=%s\": true or false", o->name, value);
	}
	*(bool *)at = !off;
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
					  .username = "user",
					  .password = "pass",
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
			return error_set(e, ERROR_INVALID, "unknown option \"%s\": see --help",
					 argv[i]);
		}
		const char *value = name[len] == '=' ? name + len + 1 : NULL;
		if (value == NULL && o->kind != FLAG && i + 1 < argc) {
			value = argv[++i];
		}
		if (!option_set(o, out, value, e)) {
			return false;
		}
	}
	return true;
}

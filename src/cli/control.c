/* SPDX-License-Identifier: Apache-2.0 */
/* remora control: asks a daemon on this machine, through its control socket. */
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "base/json.h"
#include "base/rpc.h"
#include "cli/command.h"

enum {
	PARAMS_MAX = 1 << 20,
	TIMEOUT_MS = 10000
};

static int complain(const struct error *e)
{
	fprintf(stderr, "remora: %s\n", e->msg);
	return 1;
}

static int usage(FILE *to, int status)
{
	fputs("usage: remora control SOCKET [COMMAND [JSON]]\n"
	      "SOCKET is control.sock in a node's state folder; without COMMAND: which there are\n",
	      to);
	return status;
}

int command_control(int argc, char **argv)
{
	struct json_object *params = NULL, *result = NULL;
	struct error e;

	if (argc > 1 && command_wants_help(argv[1])) {
		return usage(stdout, 0);
	}
	if (argc < 2 || argc > 4) {
		return usage(stderr, 2);
	}
	if (argc == 4) {
		params = json_parse(argv[3], strlen(argv[3]), PARAMS_MAX, JSON_DEPTH_DEFAULT, &e);
		if (params == NULL) {
			return complain(&e);
		}
	}
	if (!rpc_request(argv[1], argc > 2 ? argv[2] : "help", params, TIMEOUT_MS, &result, &e)) {
		return complain(&e);
	}
	if (json_object_is_type(result, json_type_string)) {
		puts(json_object_get_string(result));
	} else {
		puts(json_object_to_json_string_ext(
			result, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
					JSON_C_TO_STRING_NOSLASHESCAPE));
	}
	json_object_put(result);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* remora(1): the command line. One file a subcommand. */
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "cli/command.h"

static const struct command {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "control", "ask a daemon on this machine", command_control },
	{ "lab", "a small data centre on this machine", command_lab },
	{ "node", "the settings file of a node's system", command_node },
	{ "simulate", "an inventory of any size that only pretends to run", command_simulate },
	{ "switch", "look at the data plane, and give it documents", command_switch },
};

bool command_wants_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static void help(FILE *to)
{
	fputs("usage: remora COMMAND [ARGUMENTS]\n\n", to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
	}
	fputs("\nSee remora(1).\n", to);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (command_wants_help(name) || strcmp(name, "help") == 0) {
		help(stdout);
		return 0;
	}
	if (strcmp(name, "--version") == 0) {
		puts("remora " REMORA_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			return commands[i].run(argc - 1, argv + 1);
		}
	}
	help(stderr);
	return 2;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of remora(1). argv[0] is the subcommand's name; each returns the exit status. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>

/* "--help" and "-h". */
bool command_wants_help(const char *word);

int command_lab(int argc, char **argv);
int command_simulate(int argc, char **argv);
int command_control(int argc, char **argv);
int command_node(int argc, char **argv);
int command_switch(int argc, char **argv);

#endif

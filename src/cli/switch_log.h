/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remora switch log: shows what firewall rules that log have done, from the files of a switch's
 * state folder, also while no switch runs. For command lines: calls block.
 */
#ifndef CLI_SWITCH_LOG_H
#define CLI_SWITCH_LOG_H

#include <stdbool.h>

#include "base/error.h"

struct switch_log_options {
	const char *rule; /* as it was given; NULL: all */
	const char *port; /* name or label; NULL: all */
	bool is_json, follows;
};

/* Until the end of the file; where it follows, until a signal. */
bool switch_log_run(const char *state, const struct switch_log_options *o, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of "remora simulate": its own form and that of the simulator people know. */
#ifndef CLI_SIMULATE_OPTIONS_H
#define CLI_SIMULATE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct simulate_options {
	bool esx;
	bool autostart; /* VMs are powered on */
	bool tls;
	/* Per datacenter, but for `dc` and `folder` themselves; hosts per cluster; VMs per single
	 * host, and per cluster (resource pool or vApp of it). */
	uint32_t dc, cluster, host, standalone_host, vm, ds, pool, app, folder, pg;
	const char *username, *password;
	bool open;			/* everybody else may log in as well */
	const char *tls_cert, *tls_key; /* files; NULL: made for this run */
	const char *listen;		/* "ADDR:PORT"; port 0: any */
	const char *env;		/* file for the export line; "-": standard output */
	const char *log_level;
	bool help;
};

/* Options begin with one dash or two; values follow as "=V" or as the next word. */
bool simulate_options_parse(int argc, char **argv, struct simulate_options *out, struct error *e);

void simulate_options_help(void);

#endif

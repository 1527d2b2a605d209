/* SPDX-License-Identifier: Apache-2.0 */
/* What host_services.c, host_option.c and host_autostart.c keep of a host's managers. */
#pragma once

#include "base/vec.h"
#include "host/host_impl.h"
#include "vim/option.h"

struct host_services {
	VEC(struct object *) objects; /* owned */
	struct option_manager *options;
	struct object *autostart;
	struct starting *starting; /* VMs that start with the host; NULL: none any more */
};

/* HostAutoStartManager: which VMs start with the host; kept in autostart.json. */
bool host_autostart_build(struct host *h, struct error *e);
void host_autostart_free(struct host *h);
/* Starts them when the configuration says so and the node has booted since they were started last:
 * not when only the daemon begins anew. In order, each when its predecessor's delay is over. */
void host_autostart_run(struct host *h);

void host_options_free(struct host *h);

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
};

/* HostAutoStartManager: which VMs start with the host; kept in autostart.json. */
bool host_autostart_build(struct host *h, struct error *e);
void host_autostart_free(struct host *h);
/* Starts them, in order, when the configuration says so. */
void host_autostart_run(struct host *h);

void host_options_free(struct host *h);

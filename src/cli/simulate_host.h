/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host of the simulator: what remora-hostd serves, in this process, on the simulating driver.
 *
 * The ground is what all hosts of a simulation stand on; it outlives them. Event-loop thread only.
 */
#ifndef CLI_SIMULATE_HOST_H
#define CLI_SIMULATE_HOST_H

#include <uv.h>

#include "base/error.h"
#include "cli/simulate_options.h"
#include "host/host.h"
#include "vim/account.h"
#include "vim/api.h"
#include "vim/license.h"

struct simulated_storage;

struct simulate_ground {
	uv_loop_t *loop;
	struct user_store *users;
	struct driver *driver;
	struct hardware hardware; /* the same for all */
	uint32_t n_datastores;	  /* LocalDS_0 and so on, of each host */
};

/* Loop set before; the options outlive it. */
bool simulate_ground_init(struct simulate_ground *g, const struct simulate_options *o,
			  struct error *e);
void simulate_ground_fini(struct simulate_ground *g);

struct simulate_host {
	struct api *api;
	struct host *host;
	/* Only where clients speak with the host itself. */
	struct account_manager *accounts;
	struct license_manager *licenses;
};

struct simulate_host_config {
	const char *name;
	const char *uuid; /* NULL: the name's, see vm_simulated_uuid() */
	const char *address;
	const char *admin;		   /* who may do everything; NULL: nobody logs in */
	struct simulated_storage *storage; /* NULL: its own */
};

/* No VMs yet, and not started. NULL with `e`. */
struct simulate_host *simulate_host_new(const struct simulate_ground *g,
					const struct simulate_host_config *c, struct error *e);
void simulate_host_free(struct simulate_host *h);

/* VMs whose names are the prefix and a number; after host_start(). */
struct simulate_vms {
	const char *prefix;
	uint32_t first, n;
	bool on;
	const struct value *network; /* backing of their cards; NULL: the host's first network */
};
bool simulate_host_add_vms(struct simulate_host *h, const struct simulate_vms *v, struct error *e);

#endif

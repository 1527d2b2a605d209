/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data centre of the simulator: a manager and its hosts, all in this process, under the names
 * that scripts written against the known simulator expect: DC0, DC0_H0, DC0_C0, DC0_C0_H0,
 * DC0_C0_RP1, DC0_C0_APP0, DC0_H0_VM0, DC0_C0_RP0_VM0 (in the cluster's root pool), LocalDS_0,
 * DVS0, DC0_DVPG0; in folders F0 and so on. Event-loop thread only.
 */
#ifndef CLI_SIMULATE_CENTER_H
#define CLI_SIMULATE_CENTER_H

#include "base/error.h"
#include "cli/simulate_host.h"
#include "cli/simulate_options.h"
#include "vim/api.h"
#include "vim/server.h"

struct simulate_center;

/* `address` is what the hosts say theirs is. NULL with `e`. */
struct simulate_center *simulate_center_new(const struct simulate_ground *g,
					    const struct simulate_options *o, const char *address,
					    struct error *e);
void simulate_center_free(struct simulate_center *s);

struct api *simulate_center_api(const struct simulate_center *s);
/* Files of datastores, beside the API. */
void simulate_center_serve(struct simulate_center *s, struct server *server);
/* Work on datastores is still under way. */
bool simulate_center_is_busy(const struct simulate_center *s);

#endif

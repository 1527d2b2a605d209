/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: whether the manager shows a host, and all that is on it, as the host itself does. */
#pragma once

#include "center/fake_host.h"

/* Gives the mirror until PATIENCE_MS (center/hosts_rig.h); then the test fails. */
void check_same(struct object *system, struct fake_host *h);

/* What is read through to the host, but for what depends on who reads. */
bool is_compared(const struct object *o, unsigned prop);

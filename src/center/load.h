/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing back the manager's own entities from the database, at start. */
#pragma once

#include "center/center.h"

/* All but mirrored entities, parents first. False with ERROR_CORRUPT and what is wrong. */
bool load_entities(struct center *c, struct error *e);

/* Events and ended tasks of earlier runs; from now on each new one is stored. */
bool load_history(struct center *c, struct error *e);

/* SPDX-License-Identifier: Apache-2.0 */
/* Other names and other places for the manager's entities: Rename_Task, MoveIntoFolder_Task. */
#pragma once

#include "center/center.h"

void rename_register(struct center *c);

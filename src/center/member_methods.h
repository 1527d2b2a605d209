/* SPDX-License-Identifier: Apache-2.0 */
/* What the files with a member's methods share. */
#pragma once

#include "center/member.h"

void member_register_adding(struct hosts *hs); /* member_add.c */

/* HostConnectInfo of a host whose link is up; `system` is its HostSystem over there. */
struct value *member_connect_info(struct member *m, struct object *system, struct arena *a);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /remora/v1/migrations/ID over HTTPS, where a manager moves VMs between hosts
 * (docs/internals/migration.md says who asks what); and /remora/v1/migrating/ID, where the other
 * host brings a VM, known by the token of that one migration. The former needs the privilege
 * Host.Config.Network and Resource.ColdMigrate. Event-loop thread only.
 */
#pragma once

#include "host/host.h"
#include "vim/server.h"

/* The host must live as long as the server. The certificate (PEM) is the server's: other hosts pin
 * it. */
void transit_route_add(struct server *s, struct host *h, const char *cert_path);

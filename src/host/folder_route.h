/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of datastores over HTTPS, as vSphere clients expect:
 * /folder/PATH?dcPath=ha-datacenter&dsName=NAME with GET, HEAD, PUT, DELETE; folders are listed as
 * HTML. Uploads and downloads stream; a broken upload leaves nothing. Event-loop thread only.
 */
#pragma once

#include "host/host.h"
#include "vim/server.h"

/* The host must live as long as the server. */
void folder_route_add(struct server *s, struct host *h);

/* The route itself, for a manager in the same process that hands requests on to its host. */
struct http_route folder_route(struct host *h);

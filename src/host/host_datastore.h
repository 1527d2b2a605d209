/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datastores of a host, for the files that make up host/host.h: their coming and going. Other
 * users know struct host_datastore from host.h. Event-loop thread only.
 */
#pragma once

#include "host/host.h"

#define HOST_BROWSER_ID "ha-host-datastorebrowser"

enum {
	DATASTORES_MAX = 256,
};

/* Kept on disk before they return. `folder` NULL: a simulated one, made when somebody looks. */
struct host_datastore *host_datastore_create(struct host *h, const char *name, const char *folder,
					     struct error *e);
/* Forgets it; its files stay. No VM and no job may use it. */
bool host_datastore_remove(struct host_datastore *d, struct error *e);
bool host_datastore_rename(struct host_datastore *d, const char *name, struct error *e);

/* Refreshes what is shown where it is off by more than a little. */
void host_datastore_glance(struct host_datastore *d);

/* HostDatastoreSystem's and Datastore's methods (datastore_system.c). */
void datastore_system_register(struct host *h);

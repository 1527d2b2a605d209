/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage that simulated hosts have in common: datastores of equal names are the same ones, with
 * the same URL and the same files. Files come to be when somebody looks, on whichever host; all
 * hosts write those of their VMs then. The folders are temporary and go with the storage.
 *
 * Owned by whoever simulates; outlives the hosts. Event-loop thread only.
 */
#pragma once

#include "base/error.h"

struct host;
struct simulated_storage;

/* `identity`: text that the datastores' URLs come from. */
struct simulated_storage *simulated_storage_new(const char *identity);
void simulated_storage_free(struct simulated_storage *s); /* all hosts have left */
const char *simulated_storage_identity(const struct simulated_storage *s);

void simulated_storage_join(struct simulated_storage *s, struct host *h);
void simulated_storage_leave(struct simulated_storage *s, struct host *h);

/* Where the datastore's files are; made at the first time. NULL with `e`. */
const char *simulated_storage_folder(struct simulated_storage *s, const char *datastore,
				     struct error *e);

/* A host looks at the datastore: all others open it, too. */
void simulated_storage_opened(struct simulated_storage *s, const char *datastore);

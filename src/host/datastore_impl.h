/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of host/datastore.h. */
#ifndef HOST_DATASTORE_IMPL_H
#define HOST_DATASTORE_IMPL_H

#include <pthread.h>
#include <stdint.h>

#include "host/datastore.h"

struct datastore {
	int root; /* the open folder */
	char *name, *folder;
	char uuid[37];
	char url[80];
	uint64_t quota;
	pthread_mutex_t usage_lock; /* guards the two members below */
	uint64_t usage;
	int64_t usage_at; /* monotonic µs; 0: never */
};

#endif

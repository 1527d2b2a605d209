/* SPDX-License-Identifier: Apache-2.0 */
#include "host/simulated_storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/host.h"

LOG_MODULE("datastore");

struct simulated_storage {
	char *identity;
	struct map folders; /* by name of the datastore: path */
	VEC(struct host *) hosts;
};

struct simulated_storage *simulated_storage_new(const char *identity)
{
	struct simulated_storage *s = mem_zalloc(sizeof(*s));

	s->identity = mem_strdup(identity);
	return s;
}

void simulated_storage_free(struct simulated_storage *s)
{
	struct error e;

	if (s == NULL) {
		return;
	}
	map_each (&s->folders, it) {
		if (!file_remove_tree_at(AT_FDCWD, it->value, &e)) {
			log_warn("%s", e.msg);
		}
		free(it->value);
	}
	map_free(&s->folders);
	vec_free(&s->hosts);
	free(s->identity);
	free(s);
}

const char *simulated_storage_identity(const struct simulated_storage *s)
{
	return s->identity;
}

void simulated_storage_join(struct simulated_storage *s, struct host *h)
{
	vec_push(&s->hosts, h);
}

void simulated_storage_leave(struct simulated_storage *s, struct host *h)
{
	for (size_t i = s->hosts.n; i-- > 0;) {
		if (s->hosts.items[i] == h) {
			vec_remove(&s->hosts, i);
			return;
		}
	}
}

const char *simulated_storage_folder(struct simulated_storage *s, const char *datastore,
				     struct error *e)
{
	char *folder = map_get(&s->folders, datastore);
	char made[] = "/tmp/remora-datastore-XXXXXX";

	if (folder != NULL) {
		return folder;
	}
	if (mkdtemp(made) == NULL) {
		error_set_sys(e, errno, "cannot make a folder for datastore \"%s\"", datastore);
		return NULL;
	}
	folder = mem_strdup(made);
	map_set(&s->folders, datastore, folder);
	return folder;
}

void simulated_storage_opened(struct simulated_storage *s, const char *datastore)
{
	struct error e;

	vec_each (&s->hosts, it) {
		struct host_datastore *d = host_datastore_find(*it, datastore);
		if (d != NULL && d->ds == NULL && host_datastore_open(d, &e) == NULL) {
			log_warn("%s", e.msg);
		}
	}
}

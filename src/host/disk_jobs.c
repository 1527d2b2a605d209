/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of host/disk.h as jobs. */
#include <stdlib.h>

#include "base/mem.h"
#include "host/disk.h"

/* One job's arguments; the strings copied, owned. */
struct disk_job {
	struct disk_place at, to;
	struct disk_spec spec;
	struct disk_copy copy;
	uint64_t capacity;
	bool eager;
	char *path, *to_path, *adapter_type;
};

static void release(void *data)
{
	struct disk_job *j = data;
	free(j->path);
	free(j->to_path);
	free(j->adapter_type);
	free(j);
}

static char *copy_text(const char *s)
{
	return s != NULL ? mem_strdup(s) : NULL;
}

static struct disk_job *make(const struct disk_place *at, const struct disk_place *to,
			     const char *adapter_type)
{
	struct disk_job *j = mem_zalloc(sizeof(*j));
	j->path = mem_strdup(at->path);
	j->at = (struct disk_place){ .datastore = at->datastore, .path = j->path };
	if (to != NULL) {
		j->to_path = mem_strdup(to->path);
		j->to = (struct disk_place){ .datastore = to->datastore, .path = j->to_path };
	}
	j->adapter_type = copy_text(adapter_type);
	return j;
}

static struct job *start(struct disk_job *j, const struct job_handler *h,
			 bool (*run)(void *, struct progress *, struct error *))
{
	return job_start(h, &(struct job_work){ .run = run, .release = release, .data = j });
}

static bool run_create(void *data, struct progress *p, struct error *e)
{
	struct disk_job *j = data;
	return disk_create(&j->at, &j->spec, p, e);
}

struct job *disk_create_start(const struct disk_place *at, const struct disk_spec *s,
			      const struct job_handler *h)
{
	struct disk_job *j = make(at, NULL, s->adapter_type);
	j->spec = *s;
	j->spec.adapter_type = j->adapter_type;
	return start(j, h, run_create);
}

static bool run_copy(void *data, struct progress *p, struct error *e)
{
	struct disk_job *j = data;
	return disk_copy(&j->copy, p, e);
}

struct job *disk_copy_start(const struct disk_copy *c, const struct job_handler *h)
{
	struct disk_job *j = make(&c->from, &c->to, c->adapter_type);
	j->copy = *c;
	j->copy.from = j->at;
	j->copy.to = j->to;
	j->copy.adapter_type = j->adapter_type;
	return start(j, h, run_copy);
}

static bool run_move(void *data, struct progress *p, struct error *e)
{
	struct disk_job *j = data;
	return disk_move(&j->at, &j->to, p, e);
}

struct job *disk_move_start(const struct disk_place *from, const struct disk_place *to,
			    const struct job_handler *h)
{
	return start(make(from, to, NULL), h, run_move);
}

static bool run_extend(void *data, struct progress *p, struct error *e)
{
	struct disk_job *j = data;
	return disk_extend(&j->at, j->capacity, j->eager, p, e);
}

struct job *disk_extend_start(const struct disk_place *at, uint64_t capacity, bool eager,
			      const struct job_handler *h)
{
	struct disk_job *j = make(at, NULL, NULL);
	j->capacity = capacity;
	j->eager = eager;
	return start(j, h, run_extend);
}

static bool run_delete(void *data, struct progress *p, struct error *e)
{
	struct disk_job *j = data;
	return disk_delete(&j->at, p, e);
}

struct job *disk_delete_start(const struct disk_place *at, const struct job_handler *h)
{
	return start(make(at, NULL, NULL), h, run_delete);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/job.h"

#include <assert.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"

#define POOL_SIZE 4 /* libuv's own, unless UV_THREADPOOL_SIZE says another */

/*
 *   waiting -start_next(), job_cancel()-> queued in libuv -on_work()-> on_done() -> freed
 *
 * Long jobs wait here, not in libuv, so that brief ones find a thread.
 */
static struct list waiting = LIST_INIT(waiting);
static unsigned n_long; /* queued or at work */

/* Owner: itself, freed when its async handle has closed. */
struct job {
	struct list_node link; /* while it waits */
	uv_work_t request;
	uv_async_t async; /* progress from the worker; several calls may become one */
	struct progress progress;
	struct job_handler handler;
	struct job_work work;
	bool ok;	    /* written by the worker, read after it */
	struct error error; /* likewise */
};

void progress_set(struct progress *p, uint64_t done, uint64_t total)
{
	if (p == NULL) {
		return;
	}
	atomic_store_explicit(&p->done, done, memory_order_relaxed);
	atomic_store_explicit(&p->total, total, memory_order_relaxed);
	if (p->changed != NULL) {
		p->changed(p);
	}
}

bool progress_go_on(const struct progress *p, struct error *e)
{
	if (p != NULL && atomic_load_explicit(&p->canceled, memory_order_relaxed)) {
		return error_set(e, ERROR_CANCELED, "canceled");
	}
	return true;
}

void progress_cancel(struct progress *p)
{
	atomic_store_explicit(&p->canceled, true, memory_order_relaxed);
}

static void on_changed(struct progress *p)
{
	struct job *j = CONTAINER_OF(p, struct job, progress);
	uv_async_send(&j->async);
}

static void on_async(uv_async_t *async)
{
	struct job *j = CONTAINER_OF(async, struct job, async);
	if (j->handler.progress != NULL) {
		j->handler.progress(j->handler.arg, atomic_load(&j->progress.done),
				    atomic_load(&j->progress.total));
	}
}

static void on_work(uv_work_t *request)
{
	struct job *j = CONTAINER_OF(request, struct job, request);
	j->ok = progress_go_on(&j->progress, &j->error) &&
		j->work.run(j->work.data, &j->progress, &j->error);
}

static void on_closed(uv_handle_t *handle)
{
	free(CONTAINER_OF(handle, struct job, async));
}

static void start_next(void);

static void on_done(uv_work_t *request, int status)
{
	struct job *j = CONTAINER_OF(request, struct job, request);
	if (!j->work.is_brief) {
		n_long--;
		start_next();
	}
	if (status != 0) {
		j->ok = error_set(&j->error, ERROR_CANCELED, "canceled");
	}
	if (j->handler.done != NULL) {
		j->handler.done(j->handler.arg, j->ok ? NULL : &j->error);
	}
	if (j->work.release != NULL) {
		j->work.release(j->work.data);
	}
	uv_close((uv_handle_t *)&j->async, on_closed);
}

static void queue(struct job *j)
{
	n_long += !j->work.is_brief;
	int rc = uv_queue_work(j->handler.loop, &j->request, on_work, on_done);
	assert(rc == 0);
}

static unsigned long_max(void)
{
	static unsigned max; /* found out once, as libuv does */
	uint32_t size = 0;
	if (max == 0) {
		const char *text = getenv("UV_THREADPOOL_SIZE");
		bool ok = text != NULL && number_u32(text, &size) && size > 0;
		max = (ok ? size : POOL_SIZE) / 2;
		max = MAX(max, 1U);
	}
	return max;
}

static void start_next(void)
{
	struct list_node *n;
	while (n_long < long_max() && (n = list_pop_front(&waiting)) != NULL) {
		queue(CONTAINER_OF(n, struct job, link));
	}
}

struct job *job_start(const struct job_handler *h, const struct job_work *w)
{
	struct job *j = mem_zalloc(sizeof(*j));
	j->handler = *h;
	j->work = *w;
	j->progress.changed = on_changed;
	int rc = uv_async_init(h->loop, &j->async, on_async);
	assert(rc == 0);
	if (w->is_brief) {
		queue(j);
	} else {
		list_push_back(&waiting, &j->link);
		start_next();
	}
	return j;
}

void job_cancel(struct job *j)
{
	progress_cancel(&j->progress);
	if (list_is_linked(&j->link)) { /* its turn is now: there is nothing left to do */
		list_remove(&j->link);
		queue(j);
		return;
	}
	uv_cancel((uv_req_t *)&j->request); /* fails when it runs already: then the flag does it */
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/server_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/metric.h"
#include "vim/service.h"
#include "vim/value.h"

struct server_metrics {
	struct service *service;
	struct session_manager *sessions;
	struct metric *requests, *faults, *waiting, *n_sessions, *objects, *kept, *kept_bytes;
	struct metric *calls[SERVICE_N_CLASSES], *calls_us[SERVICE_N_CLASSES];
	struct service_stats told;
	void (*ask)(void *arg, void (*done)(void *ctx, const char *text), void *ctx);
	void *ask_arg;
};

/* A reading that waits for what another program says. Freed when both it and that are done. */
struct reading {
	struct http_request *request; /* NULL: gone */
	bool is_asking;
};

static const char *const class_names[SERVICE_N_CLASSES] = {
	[SERVICE_READ] = "read",       [SERVICE_WAIT] = "wait",	  [SERVICE_TASK] = "task",
	[SERVICE_SESSION] = "session", [SERVICE_OTHER] = "other",
};

static void collect(void *arg)
{
	struct server_metrics *m = arg;
	struct service_stats stats;
	size_t n_kept, n_bytes;

	service_stats(m->service, &stats);
	metric_add(m->requests, stats.n_requests - m->told.n_requests);
	metric_add(m->faults, stats.n_faults - m->told.n_faults);
	for (unsigned i = 0; i < SERVICE_N_CLASSES; i++) {
		metric_add(m->calls[i], stats.classes[i].n - m->told.classes[i].n);
		metric_add(m->calls_us[i], stats.classes[i].us - m->told.classes[i].us);
	}
	m->told = stats;
	metric_set(m->waiting, stats.n_waiting);
	metric_set(m->n_sessions, m->sessions == NULL ? 0 : (double)session_count(m->sessions));
	metric_set(m->objects, (double)inventory_count(service_inventory(m->service)));
	value_stats(&n_kept, &n_bytes);
	metric_set(m->kept, (double)n_kept);
	metric_set(m->kept_bytes, (double)n_bytes);
}

static void respond(struct http_request *r, struct buf *text)
{
	http_respond(r, 200, "text/plain; version=0.0.4; charset=utf-8", text);
	buf_free(text);
}

static bool metrics_begin(struct http_request *r)
{
	const struct server_metrics *m = r->arg;
	struct buf text = BUF_INIT;

	if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0) {
		http_reply_header(r, "Allow", "GET, HEAD");
		http_respond_text(r, 405, "Metrics can only be read.\n");
		return false;
	}
	if (m->ask != NULL && r->content_length <= 0) {
		return true;
	}
	metric_text(&text);
	respond(r, &text);
	return false;
}

/* Nobody has a body to send. */
static size_t metrics_body(struct http_request *r, const char *data, size_t len)
{
	(void)r, (void)data;
	return len;
}

static void metrics_told(void *ctx, const char *more)
{
	struct reading *x = ctx;
	struct buf text = BUF_INIT;

	x->is_asking = false;
	if (x->request == NULL) {
		free(x);
		return;
	}
	metric_text(&text);
	buf_adds(&text, more);
	respond(x->request, &text);
}

static void metrics_complete(struct http_request *r)
{
	const struct server_metrics *m = r->arg;
	struct reading *x = mem_zalloc(sizeof(*x));

	r->state = x;
	x->request = r;
	x->is_asking = true;
	m->ask(m->ask_arg, metrics_told, x);
}

static void metrics_finish(struct http_request *r, bool ok)
{
	struct reading *x = r->state;

	(void)ok;
	r->state = NULL;
	if (x != NULL) {
		x->request = NULL;
		if (!x->is_asking) {
			free(x);
		}
	}
}

static struct metric *gauge(const char *name, const char *help)
{
	return metric_with(metric_gauge(name, help, ""), NULL);
}

struct server_metrics *server_metrics_new(struct server *s, const struct server_config *config,
					  bool is_loopback)
{
	struct server_metrics *m = mem_zalloc(sizeof(*m));
	struct http_route route = {
		.prefix = "/metrics",
		.needs_session = !is_loopback,
		.begin = metrics_begin,
		.body = metrics_body,
		.complete = metrics_complete,
		.finish = metrics_finish,
		.arg = m,
	};

	m->service = config->service;
	m->sessions = config->sessions;
	m->requests = metric_with(
		metric_counter("remora_vim_requests_total", "API requests taken", ""), NULL);
	m->faults = metric_with(
		metric_counter("remora_vim_faults_total", "API requests answered with a fault", ""),
		NULL);
	m->waiting = gauge("remora_vim_waiting_calls", "API requests not answered yet");
	m->n_sessions = gauge("remora_vim_sessions", "Sessions logged in");
	m->objects = gauge("remora_vim_objects", "Managed objects");
	m->kept = gauge("remora_vim_kept_values", "Distinct values in the property store");
	m->kept_bytes = gauge("remora_vim_kept_values_bytes", "Their memory");
	struct metric_family *calls =
		metric_counter("remora_vim_calls_total", "API calls answered", "class");
	struct metric_family *calls_us = metric_counter("remora_vim_calls_microseconds_total",
							"Time until they were answered", "class");
	for (unsigned i = 0; i < SERVICE_N_CLASSES; i++) {
		m->calls[i] = metric_with(calls, &class_names[i]);
		m->calls_us[i] = metric_with(calls_us, &class_names[i]);
	}
	metric_add_collector(collect, m);
	server_route(s, &route);
	return m;
}

void server_metrics_extend(struct server_metrics *m,
			   void (*ask)(void *arg, void (*done)(void *ctx, const char *text),
				       void *ctx),
			   void *arg)
{
	m->ask = ask;
	m->ask_arg = arg;
}

void server_metrics_free(struct server_metrics *m)
{
	if (m != NULL) {
		metric_drop_collector(collect, m);
		free(m);
	}
}

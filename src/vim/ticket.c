/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-time tickets: to clone a session (AcquireCloneTicket), and for one HTTP request without the
 * session's cookie (AcquireGenericServiceTicket → Cookie: vmware_cgi_ticket). Each is good for two
 * minutes, and no longer than its session. At most 10,000 at a time, 500 of one session.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "vim/fault.h"
#include "vim/http_text.h"
#include "vim/session_state.h"

enum {
	TICKETS_MAX = 10000,
	SESSION_TICKETS_MAX = 500,
	URL_MAX = 4096,
	METHOD_MAX = 16
};
#define TICKET_US (INT64_C(120) * 1000000)

struct ticket {
	char session_id[UUID_TEXT_SIZE];
	char *method; /* "GET"; NULL: a clone ticket */
	char *target; /* path and query, decoded */
	int64_t until_us;
};

static void ticket_free(void *p)
{
	struct ticket *t = p;

	free(t->method);
	free(t->target);
	free(t);
}

static int64_t now_us(const struct session_manager *m)
{
	return clock_mono_us(service_clock(m->service));
}

void tickets_sweep(struct session_manager *m)
{
	map_each (&m->tickets, it) {
		const struct ticket *t = it->value;
		if (now_us(m) >= t->until_us || session_find_id(m, t->session_id) == NULL) {
			ticket_free(map_remove(&m->tickets, it->key));
		}
	}
}

void tickets_free(struct session_manager *m)
{
	map_free_values(&m->tickets, ticket_free);
}

/* Tickets of the session that are not used yet, as far as it matters. */
static size_t session_tickets(const struct session_manager *m, const char *session_id)
{
	size_t n = 0;

	if (map_n(&m->tickets) < SESSION_TICKETS_MAX) {
		return 0;
	}
	map_each (&m->tickets, it) {
		const struct ticket *t = it->value;
		n += strcmp(t->session_id, session_id) == 0;
	}
	return n;
}

/* Makes a ticket and answers NULL when there are too many; its text in `out`. */
static struct ticket *ticket_new(struct call *c, char out[SESSION_KEY_SIZE])
{
	struct session_manager *m = call_arg(c);

	if (map_n(&m->tickets) >= TICKETS_MAX) {
		tickets_sweep(m);
	}
	struct error e;
	if (session_tickets(m, c->session->id) >= SESSION_TICKETS_MAX) {
		error_set(&e, ERROR_LIMIT, "%d tickets of the session are not used yet",
			  SESSION_TICKETS_MAX);
		call_error(c, &e);
		return NULL;
	}
	if (map_n(&m->tickets) >= TICKETS_MAX) {
		error_set(&e, ERROR_LIMIT, "more than %d tickets are not used yet", TICKETS_MAX);
		call_error(c, &e);
		return NULL;
	}
	struct ticket *t = mem_zalloc(sizeof(*t));
	memcpy(t->session_id, c->session->id, sizeof(t->session_id));
	t->until_us = now_us(m) + TICKET_US;
	random_hex(out, 16);
	map_set(&m->tickets, out, t);
	return t;
}

/* Takes a ticket that is still good and of that kind out of the table. */
static struct ticket *ticket_take(struct session_manager *m, const char *text, bool is_clone)
{
	struct ticket *t = map_get(&m->tickets, text);

	if (t == NULL || is_clone != (t->method == NULL)) {
		return NULL;
	}
	map_remove(&m->tickets, text);
	if (now_us(m) >= t->until_us) {
		ticket_free(t);
		return NULL;
	}
	return t;
}

const struct session *ticket_take_clone(struct session_manager *m, const char *text)
{
	struct ticket *t = ticket_take(m, text, true);
	const struct session *s = t == NULL ? NULL : session_find_id(m, t->session_id);

	if (t != NULL) {
		ticket_free(t);
	}
	return s == NULL ? NULL : session_find(m, s->key); /* may have expired */
}

static void acquire_clone(struct call *c)
{
	char text[SESSION_KEY_SIZE];

	if (ticket_new(c, text) != NULL) {
		call_return(c, value_new_str(c->arena, text));
	}
}

/* "httpGet" or "GET" → "GET". */
static char *method_name(const char *s)
{
	if (s == NULL) {
		return mem_strdup("GET");
	}
	if (strncmp(s, "http", 4) == 0) {
		s += 4;
	}
	char *name = mem_strdup(s);
	for (char *p = name; *p != '\0'; p++) {
		if (*p >= 'a' && *p <= 'z') {
			*p = (char)(*p - 'a' + 'A');
		}
	}
	return name;
}

/* Path and query of a URL or of what stands in a request line, decoded, to compare. */
static char *target_name(const char *url)
{
	const char *scheme = strstr(url, "://");

	if (scheme != NULL && scheme < url + 8) {
		url = scheme + 3;
		url += strcspn(url, "/");
	}
	char *name = mem_strdup(url);
	char *query = strchr(name, '?');
	for (char *p = query; p != NULL && *p != '\0'; p++) {
		if (*p == '+') {
			*p = ' ';
		}
	}
	percent_decode(name);
	return name;
}

static void acquire_service(struct call *c)
{
	const struct value *spec =
		value_get_value(c->args, A_SessionManager_AcquireGenericServiceTicket_spec);
	char text[SESSION_KEY_SIZE];

	if (c->session == NULL || c->session->is_system) {
		call_fault(c, fault_new(c->arena, T_NotAuthenticated),
			   "The session is not authenticated.");
		return;
	}
	if (!value_is_a(spec, T_SessionManagerHttpServiceRequestSpec)) {
		call_fault(c, fault_invalid_argument(c->arena, "spec"),
			   "only tickets for HTTP requests are given");
		return;
	}
	const char *url = value_get_str(spec, F_SessionManagerHttpServiceRequestSpec_url);
	const char *method = value_get_str(spec, F_SessionManagerHttpServiceRequestSpec_method);
	if (strlen(url) > URL_MAX || (method != NULL && strlen(method) > METHOD_MAX)) {
		call_fault(c, fault_invalid_argument(c->arena, "spec"),
			   "the URL has more than %d bytes, or the method more than %d", URL_MAX,
			   METHOD_MAX);
		return;
	}
	struct ticket *t = ticket_new(c, text);
	if (t == NULL) {
		return;
	}
	t->method = method_name(method);
	t->target = target_name(url);
	struct value *v = value_new(c->arena, T_SessionManagerGenericServiceTicket);
	value_set_str(c->arena, v, F_SessionManagerGenericServiceTicket_id, text);
	call_return(c, v);
}

struct session *session_from_ticket(struct session_manager *m, const char *text, const char *method,
				    const char *url)
{
	struct ticket *t = ticket_take(m, text, false);

	if (t == NULL) {
		return NULL;
	}
	char *target = target_name(url);
	bool fits = strcmp(target, t->target) == 0 &&
		    (strcmp(method, t->method) == 0 ||
		     (strcmp(method, "HEAD") == 0 && strcmp(t->method, "GET") == 0));
	struct session *s = fits ? session_find_id(m, t->session_id) : NULL;
	free(target);
	ticket_free(t);
	return s == NULL ? NULL : session_find(m, session_key(s));
}

void ticket_handle(struct session_manager *m)
{
	service_handle(m->service, T_SessionManager, M_SessionManager_AcquireCloneTicket,
		       acquire_clone, m);
	service_handle(m->service, T_SessionManager, M_SessionManager_AcquireGenericServiceTicket,
		       acquire_service, m);
}

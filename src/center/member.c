/* SPDX-License-Identifier: Apache-2.0 */
#include "center/member.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/dvs.h"
#include "center/migration.h"
#include "center/node_policy.h"
#include "center/pairing.h"
#include "center/place.h"
#include "center/remote_task.h"
#include "vim/fault.h"

LOG_MODULE("host");

enum {
	RETRY_MIN_MS = 1000,
	RETRY_MAX_MS = 15000
};

const char *member_name(const struct member *m)
{
	const char *name = m->system == NULL ? NULL : place_name(m->system);

	return name != NULL ? name : m->address != NULL ? m->address : m->id;
}

struct member *member_of_host(const struct object *host)
{
	return schema_is_a(host->type, T_HostSystem) ? mirrored_member(host) : NULL;
}

struct member *member_by_id(struct hosts *hs, const char *id)
{
	struct object *o = inventory_find(hs->center->inventory, id);

	return o == NULL ? NULL : member_of_host(o);
}

/* ---- events and faults ---- */

void member_post(struct member *m, uint16_t type, const char *user, const char *fmt, ...)
{
	struct arena *a = arena_new(0);
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	center_post(m->center, a, value_new(a, type), m->system, user, text);
	arena_free(a);
}

struct value *member_fault(struct arena *a, const char *host, const struct link_failure *why)
{
	struct value *v;

	switch (why->trouble) {
	case LINK_CERTIFICATE:
		v = fault_new(a, T_SSLVerifyFault);
		value_set_bool(a, v, F_SSLVerifyFault_selfSigned, true);
		value_set_str(a, v, F_SSLVerifyFault_thumbprint, why->thumbprint);
		return v;
	case LINK_LOGIN:
		return fault_new(a, T_InvalidLogin);
	case LINK_NO_HOST:
		return fault_new(a, T_NotSupportedHost);
	case LINK_UNREACHABLE:
	default:
		v = fault_new(a, T_NoHost);
		value_set_str(a, v, F_NoHost_name, host);
		return v;
	}
}

/* ---- state ---- */

void member_set_state(struct member *m, enum member_state state)
{
	if (m->state != state) {
		m->state = state;
		mirror_touch_state(&m->mirror);
		node_policy_look(m);
	}
}

static void reconnect_end(struct member *m, const struct link_failure *why)
{
	struct task *t = m->reconnect;

	m->reconnect = NULL;
	if (t == NULL) {
		return;
	}
	if (why == NULL) {
		task_done(t, NULL);
	} else {
		task_fail(t, member_fault(task_arena(t), member_name(m), why), "%s", why->text);
	}
}

static void on_up(void *arg)
{
	struct member *m = arg;
	struct error e;

	if (m->adding != NULL) {
		adding_up(m->adding);
		return;
	}
	if (m->system == NULL) {
		return; /* hosts_add_local() goes on */
	}
	m->n_tries = 0;
	timer_stop(m->retry);
	if (!mirror_attach(&m->mirror, m->link, &e)) {
		log_error("what host \"%s\" has cannot be kept: %s", member_name(m), e.msg);
	}
	log_info("host \"%s\" is connected", member_name(m));
	member_set_state(m, MEMBER_CONNECTED);
	member_post(m, T_HostConnectedEvent, "", "Established a connection to host %s",
		    member_name(m));
	pairing_look(m);
	reconnect_end(m, NULL);
}

static void retry_later(struct member *m)
{
	int64_t wait = (int64_t)RETRY_MIN_MS << MIN(m->n_tries, 4U);

	m->n_tries++;
	timer_start(m->retry, MIN(wait, (int64_t)RETRY_MAX_MS), 0);
}

static void on_down(void *arg, const struct link_failure *why)
{
	struct member *m = arg;
	bool was_connected = m->state == MEMBER_CONNECTED;

	if (m->adding != NULL) {
		adding_down(m->adding, why);
		return;
	}
	remote_task_lose(&m->mirror, why->text);
	if (!m->is_wanted) {
		return;
	}
	if (was_connected) {
		log_warn("host \"%s\" does not respond: %s", member_name(m), why->text);
		member_set_state(m, MEMBER_LOST);
		member_post(m, T_HostConnectionLostEvent, "", "Host %s is not responding",
			    member_name(m));
	} else {
		log_limited_warn("host \"%s\" cannot be reached: %s", member_name(m), why->text);
	}
	if (m->reconnect != NULL && why->trouble != LINK_UNREACHABLE) {
		/* It was asked for with credentials that do not work: no use trying again. */
		m->is_wanted = false;
		member_set_state(m, MEMBER_DISCONNECTED);
		reconnect_end(m, why);
		return;
	}
	reconnect_end(m, why);
	retry_later(m);
}

static void on_task_gone(void *arg, const struct value *task)
{
	struct member *m = arg;

	remote_task_gone(&m->mirror, task);
}

static void on_retry(void *arg)
{
	struct member *m = arg;

	if (m->is_wanted) {
		link_open(m->link);
	}
}

void member_connect(struct member *m)
{
	m->is_wanted = true;
	if (m->state == MEMBER_DISCONNECTED) {
		member_set_state(m, MEMBER_LOST);
	}
	timer_stop(m->retry);
	m->n_tries = 0;
	link_open(m->link);
}

/* Nobody will hear of the link any more. */
static void reconnect_cancel(struct member *m, const char *why)
{
	struct task *t = m->reconnect;

	m->reconnect = NULL;
	if (t != NULL) {
		task_fail(t, fault_new(task_arena(t), T_RequestCanceled), "%s", why);
	}
}

void member_disconnect(struct member *m)
{
	m->is_wanted = false;
	timer_stop(m->retry);
	link_close(m->link);
	remote_task_lose(&m->mirror, "the host was disconnected");
	reconnect_cancel(m, "the host was disconnected meanwhile");
	member_set_state(m, MEMBER_DISCONNECTED);
}

/* ---- life ---- */

struct member *member_new(struct hosts *hs, const struct member_address *at)
{
	struct member *m = mem_zalloc(sizeof(*m));

	m->hosts = hs;
	m->center = hs->center;
	m->state = MEMBER_DISCONNECTED;
	m->last_event = INT32_MAX;
	if (at != NULL) {
		m->address = mem_strdup(at->address);
		m->port = at->port;
		m->user = mem_strdup(at->user);
		m->password = mem_strdup(at->password);
		m->thumbprint = at->thumbprint == NULL ? NULL : mem_strdup(at->thumbprint);
	}
	mirror_init(&m->mirror, m);
	m->retry = timer_new(m->center->loop, m->center->clock, on_retry, m);
	return m;
}

void member_free(struct member *m)
{
	if (m == NULL) {
		return;
	}
	m->is_wanted = false;
	node_policy_forget(m);
	if (m->link != NULL) {
		link_close(m->link);
	}
	remote_task_lose(&m->mirror, "the host was removed");
	reconnect_cancel(m, "the host was removed meanwhile");
	mirror_fini(&m->mirror);
	link_free(m->link);
	list_remove(&m->link_node);
	timer_free(m->retry);
	pairing_forget(m);
	free(m->address);
	free(m->user);
	if (m->password != NULL) {
		explicit_bzero(m->password, strlen(m->password));
	}
	free(m->password);
	free(m->thumbprint);
	free(m->uuid);
	free(m);
}

static struct link_listener listener(struct member *m)
{
	return (struct link_listener){
		.up = on_up,
		.down = on_down,
		.task_gone = on_task_gone,
		.event = member_event,
		.arg = m,
	};
}

bool member_make_link(struct member *m, struct error *e)
{
	struct link_listener l = listener(m);
	struct link_remote_config config = {
		.loop = m->center->loop,
		.clock = m->center->clock,
		.address = m->address,
		.port = m->port,
		.user = m->user,
		.password = m->password,
		.thumbprint = m->thumbprint,
	};

	m->link = link_remote_new(&config, &l, e);
	if (m->link == NULL) {
		return false;
	}
	link_set_last_event(m->link, m->last_event);
	return true;
}

void member_make_local_link(struct member *m, const struct link_local_config *config)
{
	struct link_listener l = listener(m);

	m->link = link_local_new(config, &l);
}

/* ---- in and out ---- */

void member_write(struct member *m)
{
	/* What lives in this process is there again only if the program makes it. */
	if (m->address == NULL) {
		return;
	}
	database_put_host(m->center->db, &(struct database_host){
						 .id = m->id,
						 .address = m->address,
						 .port = m->port,
						 .user = m->user,
						 .credential = m->password,
						 .thumbprint = m->thumbprint,
						 .uuid = m->uuid,
						 .is_connected = m->is_wanted,
						 .last_event = m->last_event,
					 });
}

static struct object *remote_system(const struct member *m)
{
	struct inventory *inv = link_inventory(m->link);
	struct object *o;

	for (uint32_t i = 0; (o = inventory_each(inv, &i)) != NULL;) {
		if (schema_is_a(o->type, T_HostSystem)) {
			return o;
		}
	}
	return NULL;
}

static void write_system(struct member *m, const struct object *compute, const char *name,
			 const struct object *remote)
{
	struct database *db = m->center->db;

	database_put_entity(db, &(struct database_entity){ .id = m->id,
							   .type = "HostSystem",
							   .parent = object_id(compute),
							   .name = name });
	database_put_ref(db, &(struct database_ref){
				     .host = m->id, .remote = object_id(remote), .local = m->id });
	member_write(m);
}

bool member_enter(struct member *m, struct object *place, const char *name, struct error *e)
{
	struct center *c = m->center;
	bool is_alone = schema_is_a(place->type, T_Folder);
	struct object *remote = remote_system(m);

	if (remote == NULL) {
		return error_set(e, ERROR_INVALID, "\"%s\" shows no host in its inventory", name);
	}
	database_begin(c->db);
	struct object *compute = is_alone ? compute_new_standalone(c, place, name) : place;
	center_new_id(c, "host", m->id, sizeof(m->id));
	m->system = mirror_add_system(&m->mirror, m->id, remote->ref, NULL);
	m->is_wanted = true;
	write_system(m, compute, name, remote);
	compute_attach(c, compute, m->system, name);
	if (!database_commit(c->db, e)) {
		compute_detach(c, m->system);
		m->system = NULL;
		mirror_clear(&m->mirror);
		if (is_alone) {
			compute_remove(c, compute);
		}
		return false;
	}
	list_push_back(&m->hosts->members, &m->link_node);
	m->state = MEMBER_CONNECTED;
	if (!mirror_attach(&m->mirror, m->link, e)) {
		log_error("what host \"%s\" has cannot be kept: %s", name, e->msg);
	}
	pairing_look(m);
	node_policy_look(m);
	return true;
}

bool member_remove(struct member *m, struct error *e)
{
	struct center *c = m->center;
	struct object *compute = compute_of_host(m->system);
	bool is_alone = compute != NULL && !compute_is_cluster(compute);

	database_begin(c->db);
	dvs_drop_host(c, m->system);
	database_drop_host(c->db, m->id);
	migration_drop_member(m);
	node_policy_drop(m);
	if (is_alone) {
		compute_drop(c, compute);
	}
	if (!database_commit(c->db, e)) {
		return false;
	}
	migration_forget_member(m);
	pairing_leave(m);
	member_disconnect(m);
	dvs_forget_host(c, m->system);
	compute_detach(c, m->system);
	mirror_detach(&m->mirror);
	mirror_clear(&m->mirror);
	m->system = NULL;
	if (is_alone) {
		compute_remove(c, compute);
	}
	member_free(m);
	return true;
}

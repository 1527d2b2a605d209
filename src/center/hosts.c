/* SPDX-License-Identifier: Apache-2.0 */
#include "center/hosts.h"

#include <stdlib.h>

#include "base/mem.h"
#include "center/forward.h"
#include "center/member.h"
#include "center/place.h"

/* ---- one more turn of the loop ---- */

static void on_idle(uv_idle_t *h)
{
	uv_idle_stop(h);
}

static void on_closed(uv_handle_t *h)
{
	free(h);
}

void hosts_wake(struct hosts *hs)
{
	if (hs->wake != NULL) {
		uv_idle_start(hs->wake, on_idle);
	}
}

/* ---- life ---- */

struct hosts *hosts_new(struct center *c, struct error *e)
{
	struct hosts *hs = mem_zalloc(sizeof(*hs));

	hs->center = c;
	hs->types = translate_types_new();
	hs->scratch = arena_new(0);
	hs->wake = mem_zalloc(sizeof(*hs->wake));
	uv_idle_init(c->loop, hs->wake);
	list_init(&hs->members);
	list_init(&hs->expectations);
	list_init(&hs->addings);
	if (!member_load(hs, e)) {
		hosts_free(hs);
		return NULL;
	}
	forward_register(hs);
	member_register(hs); /* goes before what would be forwarded */
	return hs;
}

void hosts_start(struct hosts *hs)
{
	list_each_safe (struct member, m, &hs->members, link_node) {
		if (m->is_wanted) {
			member_connect(m);
		}
	}
}

void hosts_free(struct hosts *hs)
{
	if (hs == NULL) {
		return;
	}
	adding_stop(hs);
	list_each_safe (struct member, m, &hs->members, link_node) {
		member_free(m);
	}
	forward_unregister(hs);
	uv_close((uv_handle_t *)hs->wake, on_closed);
	hs->wake = NULL;
	map_free(&hs->shared);
	map64_free_values(&hs->handed_on, free);
	arena_free(hs->scratch);
	translate_types_free(hs->types);
	free(hs);
}

struct object *hosts_add_local(struct hosts *hs, const struct hosts_local *local, struct error *e)
{
	bool is_alone = schema_is_a(local->place->type, T_Folder);

	if (is_alone && place_child(hs->center, local->place, local->name) != NULL) {
		error_set(e, ERROR_EXISTS, "the name \"%s\" exists already in \"%s\"", local->name,
			  place_name(local->place));
		return NULL;
	}
	struct member *m = member_new(hs, NULL);
	struct link_local_config config = {
		.inventory = local->inventory,
		.session = local->session,
		.events = local->events,
	};
	m->datastore_folder = local->datastores;
	m->folder = local->folder;
	m->session = local->session;
	member_make_local_link(m, &config);
	link_open(m->link);
	if (!member_enter(m, local->place, local->name, e)) {
		member_free(m);
		return NULL;
	}
	m->datastore_folder = NULL;
	return m->system;
}

void hosts_set_vm_place(struct object *system, struct object *folder, struct object *pool)
{
	struct member *m = member_of_host(system);

	m->vm_folder = folder;
	m->vm_pool = pool;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts of earlier runs, with all that was seen of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "center/compute.h"
#include "center/database.h"
#include "center/member.h"
#include "center/node_policy.h"
#include "center/place.h"

LOG_MODULE("host");

struct loading {
	struct hosts *hs;
	struct member *m;
	VEC(struct member *) members;
};

static char *copy(const char *text)
{
	return mem_strdup(text == NULL ? "" : text);
}

static void take_host(void *arg, const struct database_host *row)
{
	struct loading *l = arg;
	struct member_address at = {
		.address = row->address,
		.port = row->port,
		.user = row->user == NULL ? "" : row->user,
		.password = row->credential == NULL ? "" : row->credential,
		.thumbprint = row->thumbprint,
	};
	struct member *m = member_new(l->hs, &at);

	snprintf(m->id, sizeof(m->id), "%s", row->id);
	m->uuid = copy(row->uuid);
	m->is_wanted = row->is_connected;
	m->state = row->is_connected ? MEMBER_LOST : MEMBER_DISCONNECTED;
	m->last_event = row->last_event;
	vec_push(&l->members, m);
}

static void take_system(void *arg, const struct database_ref *ref,
			const struct database_entity *row)
{
	struct loading *l = arg;
	struct member *m = l->m;
	struct center *c = l->hs->center;

	if (strcmp(ref->local, m->id) != 0 || row->name == NULL || row->parent == NULL) {
		return;
	}
	struct object *compute = inventory_find(c->inventory, row->parent);
	if (compute == NULL || !schema_is_a(compute->type, T_ComputeResource) ||
	    inventory_find(c->inventory, m->id) != NULL) {
		return;
	}
	struct arena *a = arena_new(0);
	m->system = mirror_add_system(&m->mirror, m->id,
				      value_new_ref(a, T_HostSystem, ref->remote), row->data);
	compute_attach(c, compute, m->system, row->name);
	arena_free(a);
}

static void take_ref(void *arg, const struct database_ref *ref, const struct database_entity *row)
{
	struct loading *l = arg;
	struct error e;

	if (strcmp(ref->local, l->m->id) != 0 && !mirror_restore(&l->m->mirror, ref, row, &e)) {
		log_warn("%s; it is looked for anew", e.msg);
	}
}

static bool load_one(struct loading *l, struct member *m, struct error *e)
{
	struct database *db = l->hs->center->db;

	l->m = m;
	if (!database_each_ref(db, m->id, take_system, l, e)) {
		return false;
	}
	if (m->system == NULL) {
		return error_set(e, ERROR_CORRUPT, "host \"%s\" stands in no compute resource",
				 m->id);
	}
	return database_each_ref(db, m->id, take_ref, l, e) && member_make_link(m, e);
}

bool member_load(struct hosts *hs, struct error *e)
{
	struct loading l = { .hs = hs };
	bool ok = database_each_host(hs->center->db, take_host, &l, e);

	for (size_t i = 0; i < l.members.n; i++) {
		struct member *m = l.members.items[i];
		if (ok && load_one(&l, m, e)) {
			list_push_back(&hs->members, &m->link_node);
			node_policy_look(m);
		} else {
			ok = false;
			member_free(m);
		}
	}
	vec_free(&l.members);
	return ok;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Events of hosts become events of the manager's, each once. */
#include <stdlib.h>
#include <string.h>

#include "center/database.h"
#include "center/member.h"
#include "center/migration.h"
#include "center/place.h"
#include "vim/event.h"

/* What the manager tells of itself, or causes by looking. */
static bool is_own(const struct value *event)
{
	return value_is_a(event, T_SessionEvent) || value_is_a(event, T_TaskEvent);
}

/* The manager's object that an event's argument names; NULL. */
static struct object *subject(struct member *m, const struct value *event)
{
	const struct value *vm = value_get_value(event, F_Event_vm);
	const struct value *ds = value_get_value(event, F_Event_ds);
	const struct value *net = value_get_value(event, F_Event_net);
	const struct value *ref =
		vm != NULL    ? value_get_value(vm, F_VmEventArgument_vm)
		: ds != NULL  ? value_get_value(ds, F_DatastoreEventArgument_datastore)
		: net != NULL ? value_get_value(net, F_NetworkEventArgument_network)
			      : NULL;
	const struct value *here = ref == NULL ? NULL : mirror_local_ref(&m->mirror, ref);
	struct object *o = here == NULL ? NULL : inventory_find_ref(m->center->inventory, here);

	return o != NULL ? o : m->system;
}

void member_event(void *arg, const struct value *event)
{
	struct member *m = arg;
	struct arena *a = arena_new(0);
	int32_t key = (int32_t)value_get_num(event, F_Event_key, 0);
	const char *text = value_get_str(event, F_Event_fullFormattedMessage);
	const char *user = value_get_str(event, F_Event_userName);

	m->last_event = key;
	if (m->system != NULL && !is_own(event) && !migration_explains(m, event)) {
		struct object *o = subject(m, event);
		struct value *here = value_edit(a, mirror_import(&m->mirror, event, a));
		/* Filled in anew from what the event is about, with the manager's names. */
		value_unset(here, F_Event_chainId);
		value_unset(here, F_Event_host);
		value_unset(here, F_Event_computeResource);
		value_unset(here, F_Event_datacenter);
		if (o != m->system) {
			value_unset(here, F_Event_vm);
			value_unset(here, F_Event_ds);
			value_unset(here, F_Event_net);
		}
		event_post(m->center->api->events, a, here, o, user == NULL ? "" : user, "%s",
			   text == NULL ? "" : text);
	}
	if (m->system != NULL && m->address != NULL) {
		database_set_last_event(m->center->db, m->id, key);
	}
	arena_free(a);
}

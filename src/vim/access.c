/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/access.h"

static struct object *subject(struct object *o)
{
	if (o->type != T_Task) {
		return o;
	}
	const struct value *info = object_get(o, P_Task_info, NULL);
	struct object *entity =
		info == NULL ? NULL
			     : inventory_find_ref(o->inventory,
						  value_get_value(info, F_TaskInfo_entity));
	return entity != NULL ? entity : o;
}

bool access_may_view(struct session *s, struct object *o)
{
	return session_may_all(s) || session_may(s, subject(o), "System.View");
}

bool access_may_read(struct session *s, struct object *o, unsigned prop)
{
	if (session_may_all(s)) {
		return true;
	}
	return o->type == T_Task ? session_may(s, subject(o), "System.Read")
				 : session_may_read(s, o, prop);
}

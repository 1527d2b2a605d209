/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/access.h"

#include "base/macro.h"

static bool is_open(uint16_t type)
{
	static const uint16_t open[] = {
		T_ServiceInstance, T_SessionManager, T_PropertyCollector, T_PropertyFilter, T_View,
		T_ViewManager,	   T_SearchIndex,    T_HistoryCollector,
	};

	for (size_t i = 0; i < ARRAY_LEN(open); i++) {
		if (schema_is_a(type, open[i])) {
			return true;
		}
	}
	return false;
}

static bool access_may(struct session *s, struct object *o, const char *privilege)
{
	if (!schema_is_a(o->type, T_ManagedEntity)) {
		if (is_open(o->type)) {
			return true;
		}
		if (o->type == T_Task) {
			const struct value *info = object_get(o, P_Task_info, NULL);
			struct object *entity =
				info == NULL ? NULL
					     : inventory_find_ref(
						       o->inventory,
						       value_get_value(info, F_TaskInfo_entity));
			return session_may(s, entity != NULL ? entity : o, privilege);
		}
	}
	return session_may(s, o, privilege);
}

bool access_may_view(struct session *s, struct object *o)
{
	return access_may(s, o, "System.View");
}

bool access_may_read(struct session *s, struct object *o)
{
	return access_may(s, o, "System.Read");
}

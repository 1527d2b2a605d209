/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/access.h"

#include <string.h>

static bool is_own(const struct session *s, const struct value *info)
{
	const struct value *reason = value_get_value(info, F_TaskInfo_reason);

	return reason != NULL && value_is_a(reason, T_TaskReasonUser) &&
	       strcmp(value_get_str(reason, F_TaskReasonUser_userName), session_user(s)) == 0;
}

bool access_may_read_task(const struct session *s, const struct value *info)
{
	struct service *service = session_service(s);

	if (session_may_all(s) || (info != NULL && is_own(s, info))) {
		return true;
	}
	struct object *o = inventory_find_ref(service_inventory(service),
					      value_get_value(info, F_TaskInfo_entity));
	if (o == NULL) {
		o = service_root(service);
	}
	return o != NULL && session_may(s, o, "System.Read");
}

bool access_may_view(struct session *s, struct object *o)
{
	if (session_may_all(s)) {
		return true;
	}
	return o->type == T_Task ? access_may_read_task(s, object_get(o, P_Task_info, NULL))
				 : session_may(s, o, "System.View");
}

bool access_may_read(struct session *s, struct object *o, unsigned prop)
{
	if (session_may_all(s)) {
		return true;
	}
	return o->type == T_Task ? access_may_read_task(s, object_get(o, P_Task_info, NULL))
				 : session_may_read(s, o, prop);
}

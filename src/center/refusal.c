/* SPDX-License-Identifier: Apache-2.0 */
#include "center/refusal.h"

#include <stdarg.h>
#include <stdio.h>

#include "vim/fault.h"
#include "vim/session.h"

bool refuse(struct refusal *r, const struct value *fault, const char *fmt, ...)
{
	va_list args;

	r->fault = fault;
	va_start(args, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, args);
	va_end(args);
	return false;
}

void refusal_to_call(struct call *c, const struct refusal *r)
{
	call_fault(c, r->fault, "%s", r->text);
}

void refusal_to_task(struct task *t, const struct refusal *r)
{
	task_fail(t, r->fault, "%s", r->text);
}

bool refusal_may(struct refusal *r, struct arena *a, const struct session *s, struct object *o,
		 const char *privilege)
{
	if (session_may(s, o, privilege)) {
		return true;
	}
	const char *name = schema_is_a(o->type, T_ManagedEntity)
				   ? object_get_str(o, P_ManagedEntity_name)
				   : NULL;
	return refuse(r, fault_no_permission(a, o->ref, privilege),
		      "privilege \"%s\" is missing on \"%s\"", privilege,
		      name == NULL ? object_id(o) : name);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Tells of what happens to VMs. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "host/vm_impl.h"

void vm_event(struct vm *vm, const struct vm_op *op, struct value *event, const char *fmt, ...)
{
	struct host *h = vm->layer->host;
	struct arena *a = arena_new(0);
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	int n = vasprintf(&text, fmt, args);
	va_end(args);
	value_set_bool(a, event, F_VmEvent_template,
		       value_get_bool(vm_config(vm), F_VirtualMachineConfigInfo_template, false));
	if (op != NULL && task_chain_id(op->task) != 0) {
		value_set_num(a, event, F_Event_chainId, task_chain_id(op->task));
	}
	event_post(h->api.events, a, event, vm->object, op == NULL ? "" : task_user(op->task), "%s",
		   n < 0 ? "" : text);
	free(text);
	arena_free(a);
}

void vm_event_plain(struct vm *vm, const struct vm_op *op, uint16_t type, const char *what)
{
	struct arena *a = arena_new(0);

	vm_event(vm, op, value_new(a, type), "Virtual machine \"%s\" on host \"%s\" %s",
		 vm_name(vm), vm->layer->host->node.name, what);
	arena_free(a);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "center/forward.h"

#include <stdlib.h>

#include "base/mem.h"
#include "center/link_spec.h"
#include "center/migration_call.h"
#include "center/place.h"
#include "center/remote_task.h"
#include "vim/fault.h"

static void forward_end(struct forward *f)
{
	value_drop(f->self);
	value_drop(f->remote_task);
	value_drop(f->result);
	if (f->end != NULL) {
		f->end(f);
	} else {
		free(f);
	}
}

static struct value *lost_fault(struct arena *a, const struct member *m)
{
	return fault_new(a,
			 m->state == MEMBER_DISCONNECTED ? T_HostNotConnected : T_HostNotReachable);
}

bool forward_is_reachable(const struct member *m, struct call *c)
{
	if (m->state == MEMBER_CONNECTED) {
		return true;
	}
	call_fault(c, lost_fault(c->arena, m), "host \"%s\" %s", member_name(m),
		   m->state == MEMBER_LOST ? "is not responding" : "is disconnected");
	return false;
}

/* ---- how it ends ---- */

static void fail(struct forward *f, const struct value *fault, const char *text)
{
	if (f->task != NULL) {
		task_fail(f->task, fault, "%s", text == NULL ? "" : text);
	} else {
		call_fault(f->call, fault, "%s", text == NULL ? "" : text);
	}
	forward_end(f);
}

static struct arena *arena_of(const struct forward *f)
{
	return f->task != NULL ? task_arena(f->task) : f->call->arena;
}

static void fail_lost(struct forward *f, const char *why)
{
	struct arena *a = arena_of(f);
	const struct member *m = f->mirror->member;

	fail(f, lost_fault(a, m), arena_printf(a, "host \"%s\": %s", member_name(m), why));
}

/* It is connected, and says nothing of the task; what the task has done, shows. */
static void fail_forgotten(struct forward *f, const char *why)
{
	struct arena *a = arena_of(f);

	fail(f, fault_new(a, T_HostCommunication),
	     arena_printf(a, "host \"%s\": %s", member_name(f->mirror->member), why));
}

static void fail_there(struct forward *f, const struct value *fault, const char *text)
{
	fail(f, mirror_import(f->mirror, fault, arena_of(f)), text);
}

/* ---- tasks ---- */

static void on_cancel(void *arg)
{
	struct forward *f = arg;

	if (f->remote_task != NULL && f->result == NULL) {
		remote_task_cancel(f->mirror, f->remote_task);
	}
}

static void task_on_changed(void *arg, const struct value *info)
{
	struct forward *f = arg;

	task_progress(f->task, (int)value_get_num(info, F_TaskInfo_progress, 0));
	if (value_get_bool(info, F_TaskInfo_cancelable, false)) {
		task_set_cancel(f->task, on_cancel, f);
	}
}

static void task_on_settled(void *arg)
{
	struct forward *f = arg;

	if (f->done != NULL) {
		f->done(f);
	}
	task_done(f->task, mirror_import(f->mirror, f->result, task_arena(f->task)));
	forward_end(f);
}

static void task_succeed(struct forward *f, const struct value *result)
{
	struct link *l = f->mirror->member->link;
	bool is_new = result != NULL && result->kind == KIND_REF &&
		      mirror_local_ref(f->mirror, result) == NULL;

	f->result = value_keep(result);
	if (is_new) { /* the host told of the end before it told of the object */
		link_settle(l, task_on_settled, f);
	} else {
		task_on_settled(f);
	}
}

static void task_on_ended(void *arg, const struct value *info, const char *text)
{
	struct forward *f = arg;
	const struct value *error = value_get_value(info, F_TaskInfo_error);

	if (info == NULL && link_is_up(f->mirror->member->link)) {
		fail_forgotten(f, text);
		return;
	}
	if (info == NULL) {
		fail_lost(f, text);
		return;
	}
	if (value_get_num(info, F_TaskInfo_state, 0) == E_TaskInfoState_error) {
		fail_there(f, value_get_value(error, F_LocalizedMethodFault_fault),
			   value_get_str(error, F_LocalizedMethodFault_localizedMessage));
		return;
	}
	task_succeed(f, value_get_value(info, F_TaskInfo_result));
}

static void task_on_answer(void *arg, const struct link_answer *answer)
{
	struct forward *f = arg;

	if (answer->lost) {
		fail_lost(f, answer->text);
		return;
	}
	if (answer->fault != NULL) {
		fail_there(f, answer->fault, answer->text);
		return;
	}
	if (answer->result == NULL || answer->result->kind != KIND_REF) {
		fail(f, fault_new(arena_of(f), T_HostCommunication), "the host names no task");
		return;
	}
	f->remote_task = value_keep(answer->result);
	remote_task_follow(f->mirror, f->remote_task,
			   &(struct remote_task_listener){
				   .changed = task_on_changed, .ended = task_on_ended, .arg = f });
}

/* ---- other methods ---- */

static void call_on_settled(void *arg)
{
	struct forward *f = arg;

	if (f->done != NULL) {
		f->done(f);
	}
	call_return(f->call, mirror_import(f->mirror, f->result, f->call->arena));
	forward_end(f);
}

/* What only asks need not wait for the mirror. */
static bool is_question(const struct forward *f)
{
	const struct schema_method *m = schema_method(f->method);
	const char *privilege = schema_strings + m->privilege;

	return m->result.kind != KIND_NONE && m->result.kind != KIND_REF &&
	       (privilege[0] == '\0' || strncmp(privilege, "System.", 7) == 0);
}

static void call_on_answer(void *arg, const struct link_answer *answer)
{
	struct forward *f = arg;

	if (answer->lost) {
		fail_lost(f, answer->text);
		return;
	}
	if (answer->fault != NULL) {
		fail_there(f, answer->fault, answer->text);
		return;
	}
	if (is_question(f)) {
		call_return(f->call, mirror_import(f->mirror, answer->result, f->call->arena));
		forward_end(f);
		return;
	}
	f->result = value_keep(answer->result);
	link_settle(f->mirror->member->link, call_on_settled, f);
}

/* ---- beginning ---- */

static bool is_task(uint16_t method)
{
	const struct schema_field *r = &schema_method(method)->result;

	return r->kind == KIND_REF && r->type == T_Task && (r->flags & FIELD_ARRAY) == 0;
}

void forward_call(struct forward *f, struct call *c)
{
	const struct value *args = NULL;
	struct member *m = f->mirror->member;
	struct error e;

	f->self = value_keep(f->self);
	if (!forward_is_reachable(m, c)) {
		forward_end(f);
		return;
	}
	if (!mirror_export(f->mirror, f->args, c->arena, &args, &e)) {
		call_fault(c, fault_from_error(c->arena, &e), "%s", e.msg);
		forward_end(f);
		return;
	}
	if (is_task(f->method)) {
		f->task = task_begin(c, m->center->api->tasks);
		if (f->method == M_VirtualDiskManager_QueryVirtualDiskInfo_Task) {
			task_hide(f->task); /* as on the host: few clients know its result */
		}
		link_call(m->link, f->self, f->method, args, task_on_answer, f);
	} else {
		f->call = c;
		link_call(m->link, f->self, f->method, args, call_on_answer, f);
	}
}

/* The host that a question to an environment browser is about; NULL: the browser's own. */
static struct member *browser_subject(const struct call *c)
{
	const struct value *args = c->args, *host = NULL;

	switch (c->method) {
	case M_EnvironmentBrowser_QueryConfigOption:
		host = value_get_value(args, A_EnvironmentBrowser_QueryConfigOption_host);
		break;
	case M_EnvironmentBrowser_QueryConfigOptionEx:
		args = value_get_value(args, A_EnvironmentBrowser_QueryConfigOptionEx_spec);
		host = value_get_value(args, F_EnvironmentBrowserConfigOptionQuerySpec_host);
		break;
	case M_EnvironmentBrowser_QueryConfigTarget:
		host = value_get_value(args, A_EnvironmentBrowser_QueryConfigTarget_host);
		break;
	case M_EnvironmentBrowser_QueryTargetCapabilities:
		host = value_get_value(args, A_EnvironmentBrowser_QueryTargetCapabilities_host);
		break;
	default:
		return NULL;
	}
	struct object *o = host == NULL ? NULL : inventory_find_ref(c->self->inventory, host);
	return o == NULL || !session_may(c->session, o, "System.View") ? NULL : member_of_host(o);
}

void forward_default(struct call *c)
{
	struct mirrored *of = mirrored_of(c->self);

	if (of == NULL) {
		call_pass(c);
		return;
	}
	if (!forward_may(c, of)) {
		return;
	}
	struct mirror_source *s = mirrored_source(of);
	struct forward *f = mem_zalloc(sizeof(*f));
	f->mirror = s->mirror;
	f->self = s->remote;
	/* A cluster has one browser for all its hosts. */
	struct member *subject = browser_subject(c);
	if (subject != NULL && subject->mirror.browser != NULL) {
		f->mirror = &subject->mirror;
		f->self = subject->mirror.browser;
	}
	f->method = c->method;
	f->args = c->args;
	forward_call(f, c);
}

/* ---- registering ---- */

static void register_type(struct service *s, uint16_t type, struct hosts *hs)
{
	for (uint16_t method = 1; method < SCHEMA_N_METHODS; method++) {
		uint16_t declared = schema_method(method)->managed;
		if (declared == type ||
		    (schema_is_a(type, declared) && schema_is_a(declared, T_ManagedEntity))) {
			service_handle(s, type, method, forward_default, hs);
		}
	}
}

void forward_register(struct hosts *hs)
{
	static const uint16_t types[] = {
		T_HostSystem,		T_VirtualMachine,    T_Datastore, T_VirtualMachineSnapshot,
		T_HostDatastoreBrowser, T_EnvironmentBrowser
	};
	struct service *s = hs->center->api->service;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		register_type(s, types[i], hs);
	}
	for (size_t i = 0; link_managers[i] >= 0; i++) {
		register_type(
			s, schema_field(T_HostConfigManager, (unsigned)link_managers[i])->type, hs);
	}
	forward_register_create(hs);
	forward_register_files(hs);
	forward_register_vm(hs);
	migration_register(hs);
}

void forward_unregister(struct hosts *hs)
{
	inventory_remove(hs->files);
	inventory_remove(hs->disks);
	inventory_remove(hs->provisioning);
	inventory_remove(hs->compatibility);
}

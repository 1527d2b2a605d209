/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "vim/user.h"

static void take_answer(struct service_reply *reply, int status, struct buf *body)
{
	struct rig *r = CONTAINER_OF(reply, struct rig, reply);

	r->status = status;
	free(r->body);
	r->body = buf_take(body);
}

static void take_stream(struct service_reply *reply, bool (*pull)(void *arg, struct buf *out),
			void (*done)(void *arg), void *arg)
{
	struct buf out = BUF_INIT;

	while (pull(arg, &out)) {
	}
	done(arg);
	take_answer(reply, 200, &out);
}

static void take_cookie(struct service_reply *reply, const char *key)
{
	struct rig *r = CONTAINER_OF(reply, struct rig, reply);

	snprintf(r->cookie, sizeof(r->cookie), "%s", key);
}

static void make_inventory(struct rig *r)
{
	struct inventory *inv = r->inventory;
	struct object *dc = inventory_add(inv, T_Datacenter, "datacenter-2", NULL, NULL);
	struct object *hosts = inventory_add(inv, T_Folder, "group-h4", NULL, NULL);
	struct object *cr = inventory_add(inv, T_ComputeResource, "domain-c8", NULL, NULL);

	r->vm_folder = inventory_add(inv, T_Folder, "group-v3", NULL, NULL);
	r->host = inventory_add(inv, T_HostSystem, "host-9", NULL, NULL);
	r->pool = inventory_add(inv, T_ResourcePool, "resgroup-10", NULL, NULL);
	inventory_set_str(dc, P_ManagedEntity_name, "DC0");
	inventory_set_str(r->vm_folder, P_ManagedEntity_name, "vm");
	inventory_set_str(hosts, P_ManagedEntity_name, "host");
	inventory_set_str(cr, P_ManagedEntity_name, "h0");
	inventory_set_str(r->host, P_ManagedEntity_name, "h0");
	inventory_set_str(r->pool, P_ManagedEntity_name, "Resources");
	inventory_set_ref(dc, P_ManagedEntity_parent, r->root);
	inventory_set_ref(r->vm_folder, P_ManagedEntity_parent, dc);
	inventory_set_ref(hosts, P_ManagedEntity_parent, dc);
	inventory_set_ref(cr, P_ManagedEntity_parent, hosts);
	inventory_set_ref(r->host, P_ManagedEntity_parent, cr);
	inventory_set_ref(r->pool, P_ManagedEntity_parent, cr);
	inventory_add_ref(r->root, P_Folder_childEntity, dc);
	inventory_add_ref(hosts, P_Folder_childEntity, cr);
	inventory_set_ref(dc, P_Datacenter_vmFolder, r->vm_folder);
	inventory_set_ref(dc, P_Datacenter_hostFolder, hosts);
	inventory_add_ref(cr, P_ComputeResource_host, r->host);
	inventory_set_ref(cr, P_ComputeResource_resourcePool, r->pool);
}

static void make_users(struct rig *r, const char *path)
{
	struct error e = { 0 };

	r->users = user_store_open(path, &e);
	assert_non_null(r->users);
	if (path == NULL) {
		user_store_set_cheap(r->users);
		assert_true(user_set(r->users, "root", "secret", "Administrator", &e));
		assert_true(user_set(r->users, "guest", "guest", NULL, &e));
	}
}

struct rig *rig_new_bare(const struct rig_options *options)
{
	static const struct rig_options none;
	const struct rig_options *o = options == NULL ? &none : options;
	struct rig *r = mem_zalloc(sizeof(*r));

	uv_loop_init(&r->loop);
	r->clock = o->real_clock ? clock_real() : clock_manual_new(INT64_C(1700000000) * 1000000);
	r->inventory = inventory_new(r->clock);
	r->arena = arena_new(0);
	struct service_config config = {
		.loop = &r->loop,
		.clock = r->clock,
		.inventory = r->inventory,
		.instance_id = "ServiceInstance",
		.root_folder_id = "group-d1",
	};
	r->service = service_new(&config);
	make_users(r, o->users_path);
	struct session_config sessions = {
		.id = "SessionManager",
		.authorization_id = "AuthorizationManager",
		.directory_id = "UserDirectory",
		.users = r->users,
		.permissions_path = o->permissions_path,
	};
	r->sessions = session_manager_new(r->service, &sessions);
	assert_non_null(r->sessions);
	r->session = session_system(r->sessions);
	r->root = inventory_add(r->inventory, T_Folder, "group-d1", NULL, NULL);
	inventory_set_str(r->root, P_ManagedEntity_name, "Datacenters");
	r->reply = (struct service_reply){ .send = take_answer,
					   .stream = take_stream,
					   .cookie = take_cookie };
	return r;
}

struct rig *rig_new(void)
{
	struct rig *r = rig_new_bare(NULL);

	make_inventory(r);
	r->views = view_manager_new(r->service, "ViewManager");
	r->collectors = collector_manager_new(r->service, r->sessions, "propertyCollector");
	r->search = search_index_new(r->service, "SearchIndex", "group-d1");
	r->collector = inventory_find(r->inventory, "propertyCollector");
	return r;
}

void rig_free(struct rig *r)
{
	search_index_free(r->search);
	view_manager_free(r->views);
	collector_manager_free(r->collectors);
	session_manager_free(r->sessions);
	service_free(r->service);
	user_store_free(r->users);
	inventory_free(r->inventory);
	if (r->clock != clock_real()) {
		clock_manual_free(r->clock);
	}
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r->loop), 0);
	arena_free(r->arena);
	free(r->body);
	free(r);
}

/* ---- inventory ---- */

struct object *rig_add_vm(struct rig *r, const char *id, const char *name)
{
	struct object *vm = inventory_add(r->inventory, T_VirtualMachine, id, NULL, NULL);
	const unsigned host[] = { F_VirtualMachineRuntimeInfo_host };

	inventory_set_str(vm, P_ManagedEntity_name, name);
	inventory_set_ref(vm, P_ManagedEntity_parent, r->vm_folder);
	inventory_set_ref(vm, P_VirtualMachine_resourcePool, r->pool);
	inventory_set_nested(vm, P_VirtualMachine_runtime, host, 1, r->host->ref);
	rig_set_power(r, vm, E_VirtualMachinePowerState_poweredOff);
	inventory_add_ref(r->vm_folder, P_Folder_childEntity, vm);
	inventory_add_ref(r->host, P_HostSystem_vm, vm);
	inventory_add_ref(r->pool, P_ResourcePool_vm, vm);
	r->n_vms++;
	return vm;
}

void rig_set_power(struct rig *r, struct object *vm, int state)
{
	const unsigned power[] = { F_VirtualMachineRuntimeInfo_powerState };

	inventory_set_nested(vm, P_VirtualMachine_runtime, power, 1,
			     value_new_scalar(r->arena, T_VirtualMachinePowerState,
					      (union slot){ .num = state }));
}

void rig_remove_vm(struct rig *r, struct object *vm)
{
	inventory_drop_ref(r->vm_folder, P_Folder_childEntity, vm);
	inventory_drop_ref(r->host, P_HostSystem_vm, vm);
	inventory_drop_ref(r->pool, P_ResourcePool_vm, vm);
	inventory_remove(vm);
	r->n_vms--;
}

/* ---- calls ---- */

static void call_done(void *arg, const struct value *result, const struct value *fault,
		      const char *text)
{
	struct answer *a = arg;

	assert_false(a->is_done);
	a->is_done = true;
	a->result = value_keep(result);
	a->fault = value_keep(fault);
	snprintf(a->text, sizeof(a->text), "%s", text == NULL ? "" : text);
}

void rig_start(struct rig *r, struct answer *a, struct object *self, uint16_t method,
	       const struct value *args)
{
	*a = (struct answer){ 0 };
	service_call(r->session, self, method, args, call_done, a);
}

void answer_clear(struct answer *a)
{
	value_drop(a->result);
	value_drop(a->fault);
	*a = (struct answer){ 0 };
}

const struct value *rig_call(struct rig *r, struct object *self, uint16_t method,
			     const struct value *args)
{
	struct answer a;

	rig_start(r, &a, self, method, args);
	if (!a.is_done || a.fault != NULL) {
		print_error("%s: %s\n", schema_method_name(method), a.text);
	}
	assert_true(a.is_done && a.fault == NULL);
	return a.result;
}

uint16_t rig_fault(struct rig *r, struct object *self, uint16_t method, const struct value *args)
{
	struct answer a;

	rig_start(r, &a, self, method, args);
	assert_true(a.is_done);
	uint16_t type = a.fault == NULL ? T_none : value_type(a.fault);
	assert_true(a.fault == NULL || a.text[0] != '\0');
	answer_clear(&a);
	return type;
}

struct call *rig_post(struct rig *r, const char *key, const char *content)
{
	char *body = mem_printf("<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\">"
				"<Body>%s</Body></Envelope>",
				content);
	struct service_request in = { .body = body,
				      .len = strlen(body),
				      .session_key = key,
				      .soap_action = "\"urn:vim25/6.5\"",
				      .peer = "127.0.0.1",
				      .user_agent = "test",
				      .reply = &r->reply };

	r->status = 0;
	struct call *c = service_request(r->service, &in);
	free(body);
	return c;
}

void rig_wait(struct rig *r)
{
	for (int i = 0; i < 100000 && r->status == 0; i++) {
		uv_run(&r->loop, UV_RUN_ONCE);
	}
}

bool rig_answered(const struct rig *r, int status, const char *part)
{
	bool ok = r->status == status && strstr(r->body, part) != NULL;

	if (!ok) {
		print_error("status %d, not %d with %s: %s\n", r->status, status, part,
			    r->body == NULL ? "" : r->body);
	}
	return ok;
}

struct login {
	struct session *session;
	bool is_done;
};

static void login_done(void *arg, struct session *s, const struct error *e)
{
	struct login *l = arg;

	(void)e;
	l->session = s;
	l->is_done = true;
}

struct session *rig_login(struct rig *r, const char *user, const char *password)
{
	struct login l = { 0 };

	session_login(r->sessions, user, password, "127.0.0.1", login_done, &l);
	while (!l.is_done) {
		uv_run(&r->loop, UV_RUN_ONCE);
	}
	assert_non_null(l.session);
	return l.session;
}

/* ---- specifications ---- */

struct value *rig_args(struct rig *r, uint16_t method)
{
	return value_new(r->arena, schema_method(method)->args);
}

struct value *rig_properties(struct rig *r, uint16_t type, const char *paths)
{
	struct value *v = value_new(r->arena, T_PropertySpec);
	struct value *list = value_new_array(r->arena, T_string);

	value_set_str(r->arena, v, F_PropertySpec_type, schema_type_name(type));
	if (strcmp(paths, "*") == 0) {
		value_set_bool(r->arena, v, F_PropertySpec_all, true);
		return v;
	}
	for (const char *at = paths; *at != '\0';) {
		size_t n = strcspn(at, " ");
		value_push(r->arena, list, value_new_strn(r->arena, at, n));
		at += n;
		at += *at == ' ';
	}
	value_set(r->arena, v, F_PropertySpec_pathSet, list);
	return v;
}

struct value *rig_traversal(struct rig *r, const char *name, uint16_t type, const char *path,
			    bool skip, struct value *select)
{
	struct value *v = value_new(r->arena, T_TraversalSpec);

	value_set_str(r->arena, v, F_SelectionSpec_name, name);
	value_set_str(r->arena, v, F_TraversalSpec_type, schema_type_name(type));
	value_set_str(r->arena, v, F_TraversalSpec_path, path);
	value_set_bool(r->arena, v, F_TraversalSpec_skip, skip);
	value_set(r->arena, v, F_TraversalSpec_selectSet, select);
	return v;
}

struct value *rig_named(struct rig *r, const char *name)
{
	struct value *v = value_new(r->arena, T_SelectionSpec);

	value_set_str(r->arena, v, F_SelectionSpec_name, name);
	return v;
}

struct value *rig_list(struct rig *r, uint16_t type, struct value *one, struct value *two)
{
	struct value *list = value_new_array(r->arena, type);

	if (one != NULL) {
		value_push(r->arena, list, one);
	}
	if (two != NULL) {
		value_push(r->arena, list, two);
	}
	return list;
}

struct value *rig_spec(struct rig *r, const struct value *obj, bool skip, struct value *select,
		       struct value *one, struct value *two)
{
	struct value *spec = value_new(r->arena, T_PropertyFilterSpec);
	struct value *object = value_new(r->arena, T_ObjectSpec);

	value_set(r->arena, object, F_ObjectSpec_obj, obj);
	value_set_bool(r->arena, object, F_ObjectSpec_skip, skip);
	value_set(r->arena, object, F_ObjectSpec_selectSet, select);
	value_set(r->arena, spec, F_PropertyFilterSpec_propSet,
		  rig_list(r, T_PropertySpec, one, two));
	value_set(r->arena, spec, F_PropertyFilterSpec_objectSet,
		  rig_list(r, T_ObjectSpec, object, NULL));
	return spec;
}

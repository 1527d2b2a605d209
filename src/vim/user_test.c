/* SPDX-License-Identifier: Apache-2.0 */
/* Users, roles and permissions on disk, and the methods that change users. */
#include "vim/user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>

#include "base/file.h"
#include "base/mem.h"
#include "vim/account.h"
#include "vim/authorization.h"
#include "vim/rig.h"
#include "vim/session_state.h"

struct fixture {
	struct rig *rig;
	struct account_manager *accounts;
	char dir[64], users_path[96], permissions_path[96];
	/* of the last call */
	char fault[64];
	bool is_done;
	int n_verified;
	bool is_verified;
};

static void start(struct fixture *f)
{
	f->rig = rig_new_bare(&(struct rig_options){ .users_path = f->users_path,
						     .permissions_path = f->permissions_path });
	f->accounts = account_manager_new(f->rig->service, f->rig->users, "ha-localacctmgr");
	inventory_publish(f->rig->inventory);
}

static void stop(struct fixture *f)
{
	account_manager_free(f->accounts);
	rig_free(f->rig);
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/user_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->users_path, sizeof(f->users_path), "%s/users.json", f->dir);
	snprintf(f->permissions_path, sizeof(f->permissions_path), "%s/permissions.json", f->dir);
	start(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	stop(f);
	assert_true(file_remove_tree_at(AT_FDCWD, f->dir, NULL));
	free(f);
	return 0;
}

static void verified(void *arg, bool ok)
{
	struct fixture *f = arg;

	f->n_verified++;
	f->is_verified = ok;
}

static bool verify(struct fixture *f, const char *name, const char *password)
{
	int before = f->n_verified;

	user_verify(f->rig->users, &f->rig->loop, name, password, verified, f);
	uv_run(&f->rig->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->n_verified, before + 1);
	return f->is_verified;
}

static void users_are_kept(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct stat st;

	assert_true(user_set(f->rig->users, "root", "secret", "Administrator", &e));
	assert_true(user_set(f->rig->users, "ops", "one", NULL, &e));
	assert_true(user_set(f->rig->users, "ops", NULL, "Operations", &e));
	assert_false(user_set(f->rig->users, "new", NULL, NULL, &e));
	assert_false(user_set(f->rig->users, "", "x", NULL, &e));
	assert_int_equal(e.kind, ERROR_NAME);
	assert_false(user_set(f->rig->users, "a\nb", "x", NULL, &e));
	assert_int_equal(stat(f->users_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	stop(f);
	start(f);
	assert_int_equal(user_count(f->rig->users), 2);
	assert_string_equal(user_find(f->rig->users, "ops")->description, "Operations");
	assert_true(verify(f, "ops", "one"));
	assert_true(verify(f, "ops", "one")); /* from memory */
	assert_false(verify(f, "ops", "two"));
	assert_false(verify(f, "nobody", "one"));
	assert_true(user_set(f->rig->users, "ops", "two", NULL, &e));
	assert_false(verify(f, "ops", "one"));
	assert_true(verify(f, "ops", "two"));
	assert_true(user_remove(f->rig->users, "ops", &e));
	assert_false(verify(f, "ops", "two"));
	assert_false(user_remove(f->rig->users, "ops", &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
}

static void many_checks_at_once_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	assert_true(user_set(f->rig->users, "root", "secret", NULL, &e));
	for (int i = 0; i < 200; i++) {
		user_verify(f->rig->users, &f->rig->loop, "root", "secret", verified, f);
	}
	assert_int_equal(f->n_verified, 200 - 66); /* refused: two run, 64 wait */
	uv_run(&f->rig->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->n_verified, 200);
	assert_true(f->is_verified);
	user_verify(f->rig->users, &f->rig->loop, "root", "wrong", verified, f);
	user_verify(f->rig->users, &f->rig->loop, "root", "wrong", verified, f);
	user_verify(f->rig->users, &f->rig->loop, "root", "wrong", verified, f);
	user_store_free(f->rig->users);
	assert_int_equal(f->n_verified, 201);
	uv_run(&f->rig->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->n_verified, 203);
	f->rig->users = NULL;
}

static void broken_files_are_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"{\"users\":[{\"name\":\"a\"}]}",
		"{\"users\":[{\"name\":\"a\",\"hash\":\"plain\"}]}",
	};
	struct error e = { 0 };
	char path[128];

	snprintf(path, sizeof(path), "%s/broken.json", f->dir);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_true(file_write_atomic(path, texts[i], strlen(texts[i]), 0600, &e));
		assert_null(user_store_open(path, &e));
		assert_non_null(strstr(e.msg, "broken.json"));
		struct authorization_config config = {
			.id = "x", .path = path, .admin = "root", .users = f->rig->users
		};
		assert_null(authorization_new(f->rig->service, &config, &e));
	}
}

static void permissions_are_kept(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct authorization *a = session_authorization(f->rig->sessions);
	struct privilege_set set = { 0 };

	privilege_set_add(&set, (unsigned)privilege_find("System.Read"));
	int32_t id = authorization_set_role(a, 0, "reader", &set, &e);
	assert_true(id > 0);
	assert_int_equal(authorization_set_role(a, 0, "Reader", &set, &e), 0);
	assert_int_equal(e.kind, ERROR_EXISTS);
	struct permission_vec v = authorization_copy(a);
	char entity[] = "group-d1", ops[] = "ops";
	struct permission p = { .entity = entity, .principal = ops, .role = id };
	permission_add(&v, &p);
	assert_true(authorization_replace(a, &v, &e));
	stop(f);
	start(f);
	a = session_authorization(f->rig->sessions);
	assert_string_equal(authorization_role(a, id)->name, "reader");
	assert_int_equal(a->permissions.n, 2);
	struct principal who = { .name = "ops" };
	struct object *root = service_root(f->rig->service);
	assert_true(authorization_may(a, &who, root, "System.Read"));
	assert_false(authorization_may(a, &who, root, "Host.Local.CreateVM"));
	assert_int_equal(value_count(object_get(root, P_ManagedEntity_permission, NULL)), 2);
	/* It does not propagate. */
	struct object *vm = inventory_add(f->rig->inventory, T_VirtualMachine, "vm-1", NULL, NULL);
	inventory_set_ref(vm, P_ManagedEntity_parent, root);
	assert_false(authorization_may(a, &who, vm, "System.Read"));
	who.name = "root";
	assert_true(authorization_may(a, &who, vm, "System.Read"));
	assert_true(authorization_is_admin(a, &who));
	/* The nearest one counts. */
	v = authorization_copy(a);
	char vm_id[] = "vm-1", admin[] = "root";
	p = (struct permission){ .entity = vm_id, .principal = admin, .role = ROLE_NO_ACCESS };
	permission_add(&v, &p);
	assert_true(authorization_replace(a, &v, &e));
	assert_false(authorization_is_admin(a, &who));
	assert_false(authorization_may(a, &who, vm, "System.View"));
	assert_true(authorization_may(a, &who, root, "Authorization.ModifyRoles"));
}

static void turn(struct fixture *f)
{
	inventory_publish(f->rig->inventory);
}

/* Who may change roles does not become administrator by that. */
static void roles_hold_no_more_than_their_giver_has(void **state)
{
	struct fixture *f = *state;
	struct authorization *a = session_authorization(f->rig->sessions);
	struct permission_vec v = authorization_copy(a);
	struct privilege_set set = { 0 };
	struct error e = { 0 };
	char entity[64], guest[] = "guest";

	privilege_set_add(&set, (unsigned)privilege_find("Authorization.ModifyRoles"));
	privilege_set_add(&set, (unsigned)privilege_find("Authorization.ReassignRolePermissions"));
	privilege_set_add(&set, (unsigned)privilege_find("System.View"));
	privilege_set_add(&set, (unsigned)privilege_find("System.Read"));
	privilege_set_add(&set, (unsigned)privilege_find("System.Anonymous"));
	int32_t id = authorization_set_role(a, 0, "keeper", &set, &e);
	snprintf(entity, sizeof(entity), "%s", service_root_id(f->rig->service));
	permission_add(&v, &(struct permission){ .entity = entity,
						 .principal = guest,
						 .role = id,
						 .is_propagating = true });
	assert_true(authorization_replace(a, &v, &e));
	struct rig *r = f->rig;
	r->session = session_begin(f->rig->sessions, "guest", "1", &e);
	struct value *args = rig_args(r, M_AuthorizationManager_UpdateAuthorizationRole);
	struct value *names = value_new_array(r->arena, T_string);
	value_push_str(r->arena, names, "Authorization.ModifyRoles");
	value_push_str(r->arena, names, "Authorization.ReassignRolePermissions");
	value_set_num(r->arena, args, A_AuthorizationManager_UpdateAuthorizationRole_roleId, id);
	value_set_str(r->arena, args, A_AuthorizationManager_UpdateAuthorizationRole_newName, "k");
	value_set(r->arena, args, A_AuthorizationManager_UpdateAuthorizationRole_privIds, names);
	assert_int_equal(
		rig_fault(r, a->object, M_AuthorizationManager_UpdateAuthorizationRole, args),
		T_none);
	value_push_str(r->arena, names, "VirtualMachine.Interact.PowerOff");
	assert_int_equal(
		rig_fault(r, a->object, M_AuthorizationManager_UpdateAuthorizationRole, args),
		T_NoPermission);
	args = rig_args(r, M_AuthorizationManager_MergePermissions);
	value_set_num(r->arena, args, A_AuthorizationManager_MergePermissions_srcRoleId, id);
	value_set_num(r->arena, args, A_AuthorizationManager_MergePermissions_dstRoleId,
		      ROLE_ADMIN);
	assert_int_equal(rig_fault(r, a->object, M_AuthorizationManager_MergePermissions, args),
			 T_NoPermission);
}

/* They do not come to be another's when an id does; and what is not there yet may still come. */
static void permissions_go_with_their_entity(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct authorization *a = session_authorization(f->rig->sessions);
	struct permission_vec v = authorization_copy(a);
	char now[] = "vm-1", later[] = "vm-2", ops[] = "ops";
	struct permission p = { .entity = now, .principal = ops, .role = ROLE_READ_ONLY };

	struct object *vm = inventory_add(f->rig->inventory, T_VirtualMachine, "vm-1", NULL, NULL);
	permission_add(&v, &p);
	p.entity = later;
	permission_add(&v, &p);
	assert_true(authorization_replace(a, &v, &e));
	turn(f);
	assert_int_equal(a->permissions.n, 3);
	inventory_remove(vm);
	turn(f);
	assert_int_equal(a->permissions.n, 2);
	assert_string_equal(a->permissions.items[1].entity, "vm-2");
	vm = inventory_add(f->rig->inventory, T_VirtualMachine, "vm-2", NULL, NULL);
	turn(f);
	assert_int_equal(value_count(object_get(vm, P_ManagedEntity_permission, NULL)), 1);
	inventory_remove(vm);
	turn(f);
	assert_int_equal(a->permissions.n, 1);
	/* What a kill left behind. */
	v = authorization_copy(a);
	permission_add(&v, &p);
	assert_true(authorization_replace(a, &v, &e));
	stop(f);
	start(f);
	a = session_authorization(f->rig->sessions);
	assert_int_equal(a->permissions.n, 2);
	authorization_prune(a);
	assert_int_equal(a->permissions.n, 1);
	stop(f);
	start(f);
	assert_int_equal(session_authorization(f->rig->sessions)->permissions.n, 1);
}

static void call_done(void *arg, const struct value *result, const struct value *fault,
		      const char *text)
{
	struct fixture *f = arg;

	(void)result;
	(void)text;
	f->is_done = true;
	snprintf(f->fault, sizeof(f->fault), "%s",
		 fault == NULL ? "" : schema_type_name(value_type(fault)));
}

/* Calls a method of the account manager as the system; the fault's type or "". */
static const char *account_call(struct fixture *f, uint16_t method, const char *name,
				const char *password)
{
	struct arena *a = arena_new(0);
	struct value *args = value_new(a, schema_method(method)->args);
	struct value *spec = value_new(a, T_HostPosixAccountSpec);

	if (method == M_HostLocalAccountManager_RemoveUser) {
		value_set_str(a, args, A_HostLocalAccountManager_RemoveUser_userName, name);
	} else {
		value_set_str(a, spec, F_HostAccountSpec_id, name);
		value_set_str(a, spec, F_HostAccountSpec_password, password);
		value_set(a, args, A_HostLocalAccountManager_CreateUser_user, spec);
	}
	f->is_done = false;
	service_call(session_system(f->rig->sessions), account_manager_object(f->accounts), method,
		     args, call_done, f);
	assert_true(f->is_done);
	arena_free(a);
	return f->fault;
}

static void what_is_about_an_entity_counts_as_that(void **state)
{
	struct fixture *f = *state;
	struct authorization *a = session_authorization(f->rig->sessions);
	struct object *root = inventory_find(f->rig->inventory, "group-d1");
	struct object *host = inventory_add(f->rig->inventory, T_HostSystem, "ha-host", NULL, NULL);
	struct object *vm = inventory_add(f->rig->inventory, T_VirtualMachine, "1", NULL, NULL);
	struct object *network =
		inventory_add(f->rig->inventory, T_HostNetworkSystem, "networkSystem", NULL, NULL);
	struct error e = { 0 };

	inventory_set_ref(host, P_ManagedEntity_parent, root);
	inventory_set_ref(vm, P_ManagedEntity_parent, root);
	struct permission_vec v = authorization_copy(a);
	permission_add(&v, &(struct permission){ .entity = (char *)(uintptr_t) "1",
						 .principal = (char *)(uintptr_t) "guest",
						 .role = ROLE_ADMIN,
						 .is_propagating = true });
	assert_true(authorization_replace(a, &v, &e));
	struct session *s = session_begin(f->rig->sessions, "guest", "1", &e);
	assert_true(session_may_read(s, network, P_HostNetworkSystem_networkInfo));
	inventory_set_subject(network, host);
	assert_false(session_may_read(s, network, P_HostNetworkSystem_networkInfo));
	assert_false(session_may(s, network, "Host.Config.Network"));
	inventory_set_subject(network, vm);
	assert_true(session_may_read(s, network, P_HostNetworkSystem_networkInfo));
	assert_true(session_may(s, network, "Host.Config.Network"));
	inventory_remove(vm);
	assert_null(object_subject(network));
}

static void accounts_change(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	const uint16_t create = M_HostLocalAccountManager_CreateUser;
	const uint16_t update = M_HostLocalAccountManager_UpdateUser;
	const uint16_t drop = M_HostLocalAccountManager_RemoveUser;

	assert_string_equal(account_call(f, create, "root", "secret"), "");
	assert_string_equal(account_call(f, create, "ops", "one"), "");
	assert_string_equal(account_call(f, create, "ops", "one"), "AlreadyExists");
	assert_string_equal(account_call(f, create, "none", NULL), "InvalidArgument");
	assert_string_equal(account_call(f, create, "a\tb", "x"), "InvalidArgument");
	assert_string_equal(account_call(f, update, "nobody", "x"), "UserNotFound");
	assert_string_equal(account_call(f, update, "ops", "two"), "");
	assert_true(verify(f, "ops", "two"));
	struct session *s = session_begin(f->rig->sessions, "ops", "127.0.0.1", &e);
	assert_non_null(s);
	assert_string_equal(account_call(f, drop, "ops", NULL), "");
	assert_int_equal(session_count(f->rig->sessions), 0); /* the user's ended with it */
	assert_string_equal(account_call(f, drop, "ops", NULL), "UserNotFound");
	assert_string_equal(account_call(f, drop, "root", NULL), "AuthMinimumAdminPermission");
	assert_non_null(user_find(f->rig->users, "root"));
}

static void sessions_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	char first[SESSION_KEY_SIZE], second[SESSION_KEY_SIZE];

	struct session *s = session_begin(f->rig->sessions, "a", "1", &e);
	memcpy(first, session_key(s), sizeof(first));
	session_busy(s);
	for (int i = 1; i < 2000; i++) {
		struct session *next =
			session_begin(f->rig->sessions, i % 2 == 1 ? "b" : "d", "2", &e);
		assert_non_null(next);
		if (i == 1) {
			memcpy(second, session_key(next), sizeof(second));
		}
	}
	assert_int_equal(session_count(f->rig->sessions), 2000);
	assert_non_null(session_begin(f->rig->sessions, "c", "3", &e));
	assert_int_equal(session_count(f->rig->sessions), 2000);
	assert_null(session_find(f->rig->sessions, second)); /* the oldest that was idle */
	assert_non_null(session_find(f->rig->sessions, first));
	session_idle(s);
}

static void an_open_store_lets_everybody_in(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	assert_true(user_set(f->rig->users, "root", "secret", NULL, &e));
	user_store_set_open(f->rig->users, "root");
	assert_true(verify(f, "root", "secret"));
	assert_true(verify(f, "root", "other"));
	assert_true(verify(f, "anybody@anywhere", "x"));
	assert_false(verify(f, "anybody", ""));
	assert_false(verify(f, "", "x"));
	assert_false(verify(f, "a\nb", "x"));
	assert_string_equal(user_behind(f->rig->users, "anybody")->name, "root");
	assert_null(user_find(f->rig->users, "anybody"));
	struct session *s = session_begin(f->rig->sessions, "anybody", "1", &e);
	assert_true(session_may_all(s));
	assert_string_equal(session_user(s), "anybody");
}

static void sessions_of_one_user_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	char other[SESSION_KEY_SIZE], first[SESSION_KEY_SIZE];

	struct session *s = session_begin(f->rig->sessions, "a", "1", &e);
	memcpy(other, session_key(s), sizeof(other));
	struct session *oldest = session_begin(f->rig->sessions, "b", "2", &e);
	s = oldest;
	memcpy(first, session_key(s), sizeof(first));
	for (int i = 1; i < 1000; i++) {
		assert_non_null(session_begin(f->rig->sessions, "b", "2", &e));
	}
	/* As a clone of the one that gives way to it. */
	s = session_begin(f->rig->sessions, session_user(oldest), "2", &e);
	assert_string_equal(session_user(s), "b");
	assert_int_equal(session_count(f->rig->sessions), 1001);
	assert_null(session_find(f->rig->sessions, first));
	assert_non_null(session_find(f->rig->sessions, other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(users_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(many_checks_at_once_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(permissions_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(permissions_go_with_their_entity, setup, teardown),
		cmocka_unit_test_setup_teardown(roles_hold_no_more_than_their_giver_has, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_about_an_entity_counts_as_that, setup,
						teardown),
		cmocka_unit_test_setup_teardown(accounts_change, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(an_open_store_lets_everybody_in, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_of_one_user_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests_name("user", tests, NULL, NULL);
}

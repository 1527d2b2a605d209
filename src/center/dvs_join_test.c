/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and VMs' cards join distributed switches: adapters, uplinks, ports, and what the plane
 * gets. */
#include <stdio.h>
#include <string.h>

#include "center/dvs.h"
#include "center/dvs_policy.h"
#include "center/dvs_port.h"
#include "center/hosts_rig.h"
#include "center/member.h"
#include "center/place.h"

/* ---- making ---- */

static void set_pnics(struct fake_host *h, const char *const *names, const char *dpu)
{
	struct value *config = value_new(t.a, T_HostConfigInfo);
	struct value *network = value_new(t.a, T_HostNetworkInfo);
	struct value *list = value_new_array(t.a, T_PhysicalNic);
	struct value *switches = value_new_array(t.a, T_HostVirtualSwitch);
	struct value *s = value_new(t.a, T_HostVirtualSwitch);
	struct value *pnics = value_new_array(t.a, T_string);

	for (size_t i = 0; names[i] != NULL; i++) {
		struct value *v = value_new(t.a, T_PhysicalNic);
		value_set_str(t.a, v, F_PhysicalNic_device, names[i]);
		value_set_str(t.a, v, F_PhysicalNic_pci, "");
		value_set(t.a, v, F_PhysicalNic_spec, value_new(t.a, T_PhysicalNicSpec));
		value_set_str(t.a, v, F_PhysicalNic_mac, "02:00:00:00:00:01");
		value_set_str(t.a, v, F_PhysicalNic_driver, i == 3 ? "remora-link" : "virtio");
		value_set_str(t.a, v, F_PhysicalNic_dpuId, dpu);
		value_push(t.a, list, v);
	}
	value_push_str(t.a, pnics, "key-vim.host.PhysicalNic-vmnic0");
	value_set_str(t.a, s, F_HostVirtualSwitch_name, "vSwitch0");
	value_set_str(t.a, s, F_HostVirtualSwitch_key, "key-vim.host.VirtualSwitch-vSwitch0");
	value_set(t.a, s, F_HostVirtualSwitch_pnic, pnics);
	value_set(t.a, s, F_HostVirtualSwitch_spec, value_new(t.a, T_HostVirtualSwitchSpec));
	value_push(t.a, switches, s);
	value_set(t.a, network, F_HostNetworkInfo_vswitch, switches);
	value_set(t.a, network, F_HostNetworkInfo_pnic, list);
	value_set(t.a, config, F_HostConfigInfo_network, network);
	inventory_set(h->system, P_HostSystem_config, config);
}

static struct value *member_change(struct object *host, const char *op, const char *const *pnics)
{
	struct value *v = value_new(t.a, T_DistributedVirtualSwitchHostMemberConfigSpec);
	struct value *backing = value_new(t.a, T_DistributedVirtualSwitchHostMemberPnicBacking);
	struct value *list = value_new_array(t.a, T_DistributedVirtualSwitchHostMemberPnicSpec);

	for (size_t i = 0; pnics != NULL && pnics[i] != NULL; i++) {
		struct value *p = value_new(t.a, T_DistributedVirtualSwitchHostMemberPnicSpec);
		value_set_str(t.a, p, F_DistributedVirtualSwitchHostMemberPnicSpec_pnicDevice,
			      pnics[i]);
		value_push(t.a, list, p);
	}
	value_set_str(t.a, v, F_DistributedVirtualSwitchHostMemberConfigSpec_operation, op);
	value_set(t.a, v, F_DistributedVirtualSwitchHostMemberConfigSpec_host, host->ref);
	if (pnics != NULL) {
		value_set(t.a, backing, F_DistributedVirtualSwitchHostMemberPnicBacking_pnicSpec,
			  list);
		value_set(t.a, v, F_DistributedVirtualSwitchHostMemberConfigSpec_backing, backing);
	}
	return v;
}

static void reconfigure(struct object *dvs, struct value *spec)
{
	struct value *args = args_of(M_DistributedVirtualSwitch_ReconfigureDvs_Task);

	value_set_str(t.a, spec, F_DVSConfigSpec_configVersion,
		      value_get_str(object_get(dvs, P_DistributedVirtualSwitch_config, NULL),
				    F_DVSConfigInfo_configVersion));
	value_set(t.a, args, A_DistributedVirtualSwitch_ReconfigureDvs_Task_spec, spec);
	call(dvs, M_DistributedVirtualSwitch_ReconfigureDvs_Task, args);
}

static void change_member(struct object *dvs, struct object *host, const char *op,
			  const char *const *pnics)
{
	struct value *spec = value_new(t.a, T_VMwareDVSConfigSpec);
	struct value *list = value_new_array(t.a, T_DistributedVirtualSwitchHostMemberConfigSpec);

	value_push(t.a, list, member_change(host, op, pnics));
	value_set(t.a, spec, F_DVSConfigSpec_host, list);
	reconfigure(dvs, spec);
}

static void offload(struct object *dvs, const char *id)
{
	struct value *spec = value_new(t.a, T_VMwareDVSConfigSpec);

	value_set_str(t.a, spec, F_VMwareDVSConfigSpec_networkOffloadSpecId, id);
	reconfigure(dvs, spec);
}

static void join(struct object *vm, struct object *dvs, struct object *pg, const char *port)
{
	struct value *args = args_of(M_VirtualMachine_ReconfigVM_Task);
	struct value *spec = value_new(t.a, T_VirtualMachineConfigSpec);
	struct value *list = value_new_array(t.a, T_VirtualDeviceConfigSpec);
	struct value *change = value_new(t.a, T_VirtualDeviceConfigSpec);
	struct value *nic = value_new(t.a, T_VirtualVmxnet3);
	struct value *b = value_new(t.a, T_VirtualEthernetCardDistributedVirtualPortBackingInfo);
	struct value *to = value_new(t.a, T_DistributedVirtualSwitchPortConnection);

	value_set_str(t.a, to, F_DistributedVirtualSwitchPortConnection_switchUuid,
		      object_get_str(dvs, P_DistributedVirtualSwitch_uuid));
	value_set_str(t.a, to, F_DistributedVirtualSwitchPortConnection_portgroupKey,
		      object_id(pg));
	value_set_str(t.a, to, F_DistributedVirtualSwitchPortConnection_portKey, port);
	value_set(t.a, b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port, to);
	value_set_num(t.a, nic, F_VirtualDevice_key, 4000);
	value_set(t.a, nic, F_VirtualDevice_backing, b);
	value_set_num(t.a, change, F_VirtualDeviceConfigSpec_operation,
		      E_VirtualDeviceConfigSpecOperation_edit);
	value_set(t.a, change, F_VirtualDeviceConfigSpec_device, nic);
	value_push(t.a, list, change);
	value_set(t.a, spec, F_VirtualMachineConfigSpec_deviceChange, list);
	value_set(t.a, args, A_VirtualMachine_ReconfigVM_Task_spec, spec);
	call(vm, M_VirtualMachine_ReconfigVM_Task, args);
}

static void destroy(struct object *o)
{
	call(o, M_ManagedEntity_Destroy_Task, NULL);
}

struct site {
	struct object *host, *dvs, *pg;
};

static struct site site_new(void)
{
	struct error e = { 0 };
	struct site s = { .host = add_remote(0, "h1", UUID_1) };

	s.dvs = dvs_create(t.c, place_folder(t.dc, P_Datacenter_networkFolder), "DVS0", &e);
	assert_non_null(s.dvs);
	s.pg = dvs_create_portgroup(t.c, s.dvs, "pg", &e);
	assert_non_null(s.pg);
	return s;
}

/* ---- looking ---- */

static bool has(struct object *o, unsigned prop, const struct object *what)
{
	const struct value *list = object_get(o, prop, t.a);

	for (size_t i = 0; i < value_count(list); i++) {
		if (value_equal(value_item(list, i), what->ref)) {
			return true;
		}
	}
	return false;
}

static const struct value *member_of(struct object *dvs)
{
	const struct value *list = value_get_value(
		object_get(dvs, P_DistributedVirtualSwitch_config, t.a), F_DVSConfigInfo_host);

	assert_int_equal(value_count(list), 1);
	return value_item(list, 0);
}

static bool is_offloaded(struct object *dvs)
{
	return value_get_bool(
		value_get_value(member_of(dvs), F_DistributedVirtualSwitchHostMember_config),
		F_DistributedVirtualSwitchHostMemberConfigInfo_networkOffloadingEnabled, false);
}

static const struct value *ports_of(struct object *dvs, bool connected, size_t n)
{
	struct value *args = args_of(M_DistributedVirtualSwitch_FetchDVPorts);
	struct value *criteria = value_new(t.a, T_DistributedVirtualSwitchPortCriteria);

	value_set_bool(t.a, criteria, F_DistributedVirtualSwitchPortCriteria_connected, connected);
	value_set(t.a, args, A_DistributedVirtualSwitch_FetchDVPorts_criteria, criteria);
	call(dvs, M_DistributedVirtualSwitch_FetchDVPorts, args);
	expect_ok();
	assert_int_equal(value_count(t.result), n);
	return t.result;
}

/* ---- tests ---- */

static void adapters(void **state)
{
	(void)state;
	static const char *const nics[] = { "vmnic0", "vmnic1", "vmnic2", "vmnic3", NULL };
	static const char *const used[] = { "vmnic0", NULL }, *const none[] = { "vmnic9", NULL };
	static const char *const one[] = { "vmnic1", NULL };
	static const char *const two[] = { "vmnic2", "vmnic1", NULL };
	static const char *const twice[] = { "vmnic1", "vmnic1", NULL };
	static const char *const link[] = { "vmnic3", NULL };
	struct error e = { 0 };
	struct site s = site_new();

	set_pnics(t.host[0], nics, "dpu-1");
	wait_for(object_get(s.host, P_HostSystem_config, t.a) != NULL);
	change_member(s.dvs, s.host, "add", none);
	expect_fault(T_InvalidArgument);
	change_member(s.dvs, s.host, "add", used);
	expect_fault(T_ResourceInUse);
	assert_non_null(strstr(t.text, "vSwitch0"));
	change_member(s.dvs, s.host, "add", twice);
	expect_fault(T_InvalidArgument);
	offload(s.dvs, "other");
	expect_fault(T_InvalidArgument);
	offload(s.dvs, "remora");
	expect_ok();
	change_member(s.dvs, s.host, "add", link); /* a card that lends nothing */
	expect_fault(T_InvalidArgument);
	change_member(s.dvs, s.host, "add", one);
	expect_ok();
	assert_true(is_offloaded(s.dvs));
	offload(s.dvs, "None");
	expect_fault(T_DvsFault);
	/* Uplinks: a port for each name, the adapter has the first. */
	assert_int_equal(
		value_count(value_get_value(member_of(s.dvs),
					    F_DistributedVirtualSwitchHostMember_uplinkPortKey)),
		4);
	const struct value *ports = ports_of(s.dvs, true, 1);
	const struct value *who =
		value_get_value(value_item(ports, 0), F_DistributedVirtualPort_connectee);
	assert_string_equal(value_get_str(who, F_DistributedVirtualSwitchPortConnectee_nicKey),
			    "vmnic1");
	change_member(s.dvs, s.host, "edit", two);
	expect_ok();
	struct object *other =
		dvs_create(t.c, place_folder(t.dc, P_Datacenter_networkFolder), "DVS1", &e);
	change_member(other, s.host, "add", one);
	expect_fault(T_ResourceInUse);
	assert_non_null(strstr(t.text, "DVS0"));
	assert_true(has(s.host, P_HostSystem_network, s.pg));
	change_member(s.dvs, s.host, "remove", NULL);
	expect_ok();
	assert_false(has(s.host, P_HostSystem_network, s.pg));
}

static void policy(void **state)
{
	(void)state;
	static const char *const nics[] = { "vmnic0", "vmnic1", "vmnic2", NULL };
	static const char *const two[] = { "vmnic2", "vmnic1", NULL };
	struct site s = site_new();
	struct json_object *out = json_object_new_array();
	struct error e = { 0 };
	char wanted[1200];

	set_pnics(t.host[0], nics, NULL);
	wait_for(object_get(s.host, P_HostSystem_config, t.a) != NULL);
	assert_true(dvs_write_switches(t.c, member_of_host(s.host), out, &e));
	assert_int_equal(json_object_array_length(out), 0);
	change_member(s.dvs, s.host, "add", two);
	expect_ok();
	assert_true(dvs_write_switches(t.c, member_of_host(s.host), out, &e));
	struct json_object *groups = NULL, *one = json_object_array_get_idx(out, 0);
	assert_true(json_object_object_get_ex(one, "portgroups", &groups));
	assert_int_equal(json_object_array_length(groups), 2);
	snprintf(wanted, sizeof(wanted),
		 "{\"key\":\"%s\",\"name\":\"pg\",\"blocked\":false,\"vlan\":0,"
		 "\"promiscuous\":false,\"forged_transmits\":false,\"mac_changes\":false,"
		 "\"learning\":false}",
		 object_id(s.pg));
	assert_string_equal(json_object_to_json_string_ext(json_object_array_get_idx(groups, 1),
							   JSON_C_TO_STRING_PLAIN),
			    wanted);
	json_object_object_del(one, "portgroups");
	snprintf(wanted, sizeof(wanted),
		 "{\"uuid\":\"%s\",\"name\":\"DVS0\",\"mtu\":1500,"
		 "\"uplinks\":[\"vmnic2\",\"vmnic1\"],\"teaming\":\"active_standby\","
		 "\"offload\":false}",
		 object_get_str(s.dvs, P_DistributedVirtualSwitch_uuid));
	assert_string_equal(json_object_to_json_string_ext(one, JSON_C_TO_STRING_PLAIN), wanted);
	json_object_put(out);
}

static void cards(void **state)
{
	(void)state;
	struct error e = { 0 };
	struct site s = site_new();
	fake_host_add_vm(t.host[0], "a");
	fake_host_add_vm(t.host[0], "b");
	wait_for(vm_here("a") != NULL && vm_here("b") != NULL);
	struct object *a = vm_here("a"), *b = vm_here("b");

	join(a, s.dvs, s.pg, NULL);
	expect_fault(T_InvalidDeviceBacking);
	assert_non_null(strstr(t.text, "not a member"));
	change_member(s.dvs, s.host, "add", NULL);
	expect_ok();
	struct object *uplinks = place_at(s.dvs, P_DistributedVirtualSwitch_portgroup, 0);
	join(a, s.dvs, uplinks, NULL);
	expect_fault(T_InvalidDeviceBacking);
	join(a, s.dvs, s.pg, "77");
	expect_fault(T_InvalidArgument);
	join(a, s.dvs, s.pg, NULL);
	expect_ok();
	/* Both directions, and the port. */
	assert_true(has(a, P_VirtualMachine_network, s.pg));
	assert_true(has(s.pg, P_Network_vm, a));
	struct dvs_port *port = dvs_ports_of_vm(t.c, a);
	assert_non_null(port);
	assert_int_equal(port->key, dvs_port_key(s.pg, 0));
	assert_int_equal(port->nic, 4000);
	char key[24];
	snprintf(key, sizeof(key), "%lld", (long long)port->key);
	join(b, s.dvs, s.pg, key);
	expect_fault(T_ResourceInUse);
	join(b, s.dvs, s.pg, NULL);
	expect_ok();
	assert_int_equal(dvs_ports_of_vm(t.c, b)->key, dvs_port_key(s.pg, 1));
	const struct value *ports = ports_of(s.dvs, true, 2);
	assert_non_null(value_get_value(value_item(ports, 0), F_DistributedVirtualPort_connectee));
	/* Another group: the old port is free again. */
	struct object *pg2 = dvs_create_portgroup(t.c, s.dvs, "pg2", &e);
	join(a, s.dvs, pg2, NULL);
	expect_ok();
	assert_false(has(s.pg, P_Network_vm, a));
	assert_true(has(pg2, P_Network_vm, a));
	assert_null(dvs_port_at(t.c, dvs_port_key(s.pg, 0)));
	/* What is in use stays. */
	destroy(pg2);
	expect_fault(T_ResourceInUse);
	change_member(s.dvs, s.host, "remove", NULL);
	expect_fault(T_ResourceInUse);
	assert_non_null(strstr(t.text, "\"DVS0\""));
	destroy(s.dvs);
	expect_fault(T_ResourceInUse);
	struct value *args = args_of(M_Folder_CreateFolder);
	value_set_str(t.a, args, A_Folder_CreateFolder_name, "nets");
	call(place_folder(t.dc, P_Datacenter_networkFolder), M_Folder_CreateFolder, args);
	struct object *folder = result_object();
	struct value *move = args_of(M_Folder_MoveIntoFolder_Task);
	struct value *list = value_new_array(t.a, T_ManagedEntity);
	value_push(t.a, list, pg2->ref);
	value_set(t.a, move, A_Folder_MoveIntoFolder_Task_list, list);
	call(folder, M_Folder_MoveIntoFolder_Task, move);
	if (t.fault == NULL) {
		destroy(folder);
		expect_fault(T_ResourceInUse);
	}
	destroy(b);
	expect_ok();
	wait_for(vm_here("b") == NULL);
	assert_null(dvs_port_at(t.c, dvs_port_key(s.pg, 1)));
}

static void after_a_kill(void **state)
{
	(void)state;
	struct site s = site_new();
	fake_host_add_vm(t.host[0], "a");
	wait_for(vm_here("a") != NULL);
	change_member(s.dvs, s.host, "add", NULL);
	expect_ok();
	join(vm_here("a"), s.dvs, s.pg, NULL);
	expect_ok();
	int64_t key = dvs_ports_of_vm(t.c, vm_here("a"))->key;
	int32_t cookie = dvs_ports_of_vm(t.c, vm_here("a"))->cookie;
	char id[CENTER_ID_MAX];
	snprintf(id, sizeof(id), "%s", object_id(s.pg));

	fake_host_stop(t.host[0]);
	restart();
	/* Its host is away: the port is nobody else's. */
	struct object *pg = inventory_find(t.c->inventory, id), *a = vm_here("a");
	assert_non_null(pg);
	assert_non_null(a);
	struct dvs_port *port = dvs_ports_of_vm(t.c, a);
	assert_non_null(port);
	assert_int_equal(port->key, key);
	assert_int_equal(port->cookie, cookie);
	assert_true(has(a, P_VirtualMachine_network, pg));
	assert_true(has(pg, P_Network_vm, a));
	destroy(pg);
	expect_fault(T_ResourceInUse);
	fake_host_serve(t.host[0]);
	wait_for(host_state(inventory_find_ref(t.c->inventory,
					       place_at(pg, P_Network_host, 0)->ref)) ==
		 E_HostSystemConnectionState_connected);
	assert_int_equal(dvs_ports_of_vm(t.c, a)->key, key);
	assert_true(has(pg, P_Network_vm, a));
}

static void group_args(struct object *pg, int n, const char *type)
{
	struct value *args = args_of(M_DistributedVirtualPortgroup_ReconfigureDVPortgroup_Task);
	struct value *spec = value_new(t.a, T_DVPortgroupConfigSpec);

	value_set_num(t.a, spec, F_DVPortgroupConfigSpec_numPorts, n);
	value_set_str(t.a, spec, F_DVPortgroupConfigSpec_type, type);
	value_set_bool(t.a, spec, F_DVPortgroupConfigSpec_autoExpand, false);
	value_set(t.a, args, A_DistributedVirtualPortgroup_ReconfigureDVPortgroup_Task_spec, spec);
	call(pg, M_DistributedVirtualPortgroup_ReconfigureDVPortgroup_Task, args);
}

static void how_many_ports(void **state)
{
	(void)state;
	struct site s = site_new();
	fake_host_add_vm(t.host[0], "a");
	fake_host_add_vm(t.host[0], "b");
	wait_for(vm_here("a") != NULL && vm_here("b") != NULL);
	struct object *a = vm_here("a"), *b = vm_here("b");

	change_member(s.dvs, s.host, "add", NULL);
	expect_ok();
	group_args(s.pg, 1, NULL);
	expect_ok();
	join(a, s.dvs, s.pg, NULL);
	expect_ok();
	join(b, s.dvs, s.pg, NULL);
	expect_fault(T_ResourceNotAvailable);
	group_args(s.pg, 0, NULL);
	expect_fault(T_ResourceInUse);
	group_args(s.pg, 1, "ephemeral");
	expect_fault(T_ResourceInUse);
	struct error e = { 0 };
	struct object *pg2 = dvs_create_portgroup(t.c, s.dvs, "pg2", &e);
	group_args(pg2, 0, "ephemeral");
	expect_ok();
	assert_int_equal(value_count(object_get(pg2, P_DistributedVirtualPortgroup_portKeys, t.a)),
			 0);
	join(b, s.dvs, pg2, NULL);
	expect_ok();
	assert_int_equal(value_count(object_get(pg2, P_DistributedVirtualPortgroup_portKeys, t.a)),
			 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_kept, teardown)
	const struct CMUnitTest tests[] = {
		TEST(adapters), TEST(policy), TEST(cards), TEST(after_a_kill), TEST(how_many_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

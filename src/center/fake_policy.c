/* SPDX-License-Identifier: Apache-2.0 */
#include "center/fake_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"

/* ---- the endpoint ---- */

static void answer_get(struct fake_policy *p, struct http_request *r)
{
	struct buf out = BUF_INIT;

	p->n_gets++;
	buf_addf(&out, "{\"generation\":%llu,\"manager\":\"%s\",\"realized\":true,\"endpoint\":",
		 (unsigned long long)p->generation, p->manager);
	buf_addf(&out, p->endpoint == NULL ? "null" : "\"%s\"", p->endpoint);
	buf_addf(&out, ",\"functions\":%u", p->functions);
	buf_addf(&out, ",\"ports\":[],\"rules\":%s}", p->rules == NULL ? "[]" : p->rules);
	http_respond(r, 200, "application/json", &out);
	buf_free(&out);
}

static void take(struct fake_policy *p, struct json_object *o)
{
	struct json_at at = json_root(o);
	const char *manager;

	assert_true(json_get_u64(&at, "generation", &p->generation, NULL));
	assert_true(json_get_str(&at, "manager", &manager, NULL));
	snprintf(p->manager, sizeof(p->manager), "%s", manager);
	json_object_put(p->last);
	p->last = json_object_get(o);
}

static void answer_put(struct fake_policy *p, struct http_request *r)
{
	struct json_object *o = json_parse(p->body.data, p->body.len, SIZE_MAX, 32, NULL);
	struct buf out = BUF_INIT;

	assert_non_null(o);
	if (p->status == 0) {
		take(p, o);
		buf_addf(&out, "{\"generation\":%llu}", (unsigned long long)p->generation);
	} else {
		buf_adds(&out, "{\"object\":\"segments[0]\",\"reason\":\"does not fit\"}");
	}
	http_respond(r, p->status == 0 ? 200 : p->status, "application/json", &out);
	buf_free(&out);
	json_object_put(o);
}

static bool on_begin(struct http_request *r)
{
	struct fake_policy *p = r->arg;

	if (strcmp(r->method, "GET") == 0) {
		answer_get(p, r);
		return true;
	}
	p->n_puts++;
	buf_clear(&p->body);
	return true;
}

static size_t on_body(struct http_request *r, const char *data, size_t len)
{
	struct fake_policy *p = r->arg;

	buf_add(&p->body, data, len);
	return len;
}

static void on_complete(struct http_request *r)
{
	struct fake_policy *p = r->arg;

	if (strcmp(r->method, "PUT") != 0) {
		return;
	}
	if (p->is_holding) {
		p->held = r;
	} else {
		answer_put(p, r);
	}
}

static void on_finish(struct http_request *r, bool ok)
{
	struct fake_policy *p = r->arg;

	(void)ok;
	if (p->held == r) {
		p->held = NULL;
	}
}

void fake_policy_serve(struct fake_policy *p, struct fake_host *h)
{
	p->host = h;
	server_route(h->server, &(struct http_route){ .prefix = "/remora/v1/policy",
						      .needs_session = true,
						      .begin = on_begin,
						      .body = on_body,
						      .complete = on_complete,
						      .finish = on_finish,
						      .arg = p });
}

void fake_policy_release(struct fake_policy *p)
{
	struct http_request *r = p->held;

	p->is_holding = false;
	p->held = NULL;
	if (r != NULL) {
		answer_put(p, r);
	}
}

void fake_policy_fini(struct fake_policy *p)
{
	json_object_put(p->last);
	buf_free(&p->body);
	*p = (struct fake_policy){ 0 };
}

/* ---- VMs ---- */

struct object *fake_policy_add_vm(struct fake_host *h, const char *name, const char *uuid,
				  const char *mac, const char *network)
{
	struct object *vm = fake_host_add_vm(h, name);
	struct arena *a = arena_new(0);
	struct value *config = value_edit(a, object_get(vm, P_VirtualMachine_config, a));
	struct value *hw =
		value_edit(a, value_get_value(config, F_VirtualMachineConfigInfo_hardware));
	struct value *devices = value_new_array(a, T_VirtualDevice);
	struct value *nic = value_new(a, T_VirtualVmxnet3);

	value_set_num(a, nic, F_VirtualDevice_key, 4000);
	value_set_bool(a, nic, F_VirtualVmxnet3_uptv2Enabled, true);
	value_set_str(a, nic, F_VirtualEthernetCard_macAddress, mac);
	if (network != NULL) {
		struct value *b = value_new(a, T_VirtualEthernetCardOpaqueNetworkBackingInfo);
		value_set_str(a, b, F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId,
			      network);
		value_set_str(a, b, F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkType,
			      "nsx.LogicalSwitch");
		value_set(a, nic, F_VirtualDevice_backing, b);
	}
	value_push(a, devices, nic);
	value_set(a, hw, F_VirtualHardware_device, devices);
	value_set(a, config, F_VirtualMachineConfigInfo_hardware, hw);
	value_set_str(a, config, F_VirtualMachineConfigInfo_instanceUuid, uuid);
	inventory_set(vm, P_VirtualMachine_config, config);
	arena_free(a);
	return vm;
}

void fake_policy_set_address(struct fake_host *h, struct object *vm, const char *address)
{
	struct arena *a = arena_new(0);
	struct value *guest = value_new(a, T_GuestInfo), *nics = value_new_array(a, T_GuestNicInfo);

	(void)h;
	if (address != NULL) {
		struct value *nic = value_new(a, T_GuestNicInfo);
		struct value *list = value_new_array(a, T_string);
		value_push_str(a, list, address);
		value_set(a, nic, F_GuestNicInfo_ipAddress, list);
		value_set_bool(a, nic, F_GuestNicInfo_connected, true);
		value_set_num(a, nic, F_GuestNicInfo_deviceConfigId, 4000);
		value_push(a, nics, nic);
	}
	value_set_num(a, guest, F_GuestInfo_toolsStatus, 0);
	value_set_str(a, guest, F_GuestInfo_guestState, "running");
	value_set(a, guest, F_GuestInfo_net, nics);
	inventory_set(vm, P_VirtualMachine_guest, guest);
	arena_free(a);
}

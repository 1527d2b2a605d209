/* SPDX-License-Identifier: Apache-2.0 */
/* What runs in the lab: read from the nodes themselves; a node that does not answer is said to be
 * down. JSON form: docs/ARCHITECTURE.md. */
#include "cli/lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

static void node_url(const struct lab_node *n, char out[64])
{
	snprintf(out, 64, "https://%s:%d/sdk", n->address, LAB_PORT);
}

static struct json_object *center_json(const struct lab *lab, struct remote *r)
{
	const struct lab_node *n = &lab->nodes[LAB_CENTER];
	struct json_object *o = json_object_new_object();
	char url[64];

	node_url(n, url);
	json_put_str(o, "url", url);
	json_put_str(o, "user", LAB_CENTER_USER);
	json_put_str(o, "password", lab->password);
	if (r != NULL) {
		json_put_str(o, "thumbprint", remote_thumbprint(r));
	} else {
		json_put(o, "thumbprint", NULL);
	}
	return o;
}

static struct json_object *host_json(const struct lab *lab, const struct lab_node *n)
{
	struct json_object *o = json_object_new_object();
	char url[64];

	bool has_api = n->address != NULL;

	node_url(n, url);
	json_put_str(o, "name", n->name);
	json_put_str(o, "role", n->role);
	json_put(o, "url", has_api ? json_new_str(url) : NULL);
	json_put(o, "user", has_api ? json_new_str(LAB_HOST_USER) : NULL);
	json_put(o, "password", has_api ? json_new_str(lab->password) : NULL);
	json_put_str(o, "state", lab_node_is_running(lab, n) ? "up" : "down");
	return o;
}

/* Value of the host's advanced option "Remora.accel": "kvm" or "tcg"; NULL when not told. */
static const char *accel_of(struct remote *r, const struct value *host)
{
	const struct value *options = NULL;
	struct error e;

	if (!remote_get(r, host, "config.option", &options, &e)) {
		return NULL;
	}
	for (size_t i = 0; i < value_count(options); i++) {
		const struct value *o = value_item(options, i);
		const struct value *v = value_get_value(o, F_OptionValue_value);
		if (strcmp(value_get_str(o, F_OptionValue_key), "Remora.accel") == 0 && v != NULL &&
		    v->kind == KIND_STRING) {
			return value_bytes(v);
		}
	}
	return NULL;
}

const char *lab_content_name(const struct value *content)
{
	const struct value *set = value_get_value(content, F_ObjectContent_propSet);
	const struct value *v =
		value_count(set) == 0 ? NULL
				      : value_get_value(value_item(set, 0), F_DynamicProperty_val);

	return v == NULL ? "" : value_bytes(v);
}

static struct json_object *vm_json(const struct lab *lab, const struct lab_node *n,
				   struct remote *r, const struct value *content, const char *accel)
{
	struct json_object *o = json_object_new_object();
	const struct value *vm = value_get_value(content, F_ObjectContent_obj), *state = NULL;
	const char *name = lab_content_name(content);
	struct error e;
	bool known = remote_get(r, vm, "runtime.powerState", &state, &e) && state != NULL;
	unsigned power = known ? (unsigned)value_scalar(state).num : 0;
	const struct value *ip = NULL;
	bool on = known && power == E_VirtualMachinePowerState_poweredOn;
	if (!on || !remote_get(r, vm, "guest.ipAddress", &ip, &e)) {
		ip = NULL;
	}
	/* On an emulated card the socket is inside of it. */
	char *console = n->cpu != NULL
				? mem_printf("https://%s:%d/remora/v1/consoles/%s", n->address,
					     LAB_PORT, value_bytes(vm))
				: lab_path(lab, "nodes/%s/datastores/datastore1/%s/serial0.sock",
					   n->name, name);

	json_put_str(o, "name", name);
	json_put_str(o, "host", n->name);
	json_put_str(o, "power",
		     known ? schema_enum_name(T_VirtualMachinePowerState, power) : "poweredOff");
	json_put(o, "accel", on && accel != NULL ? json_new_str(accel) : NULL);
	json_put(o, "ip", ip == NULL ? NULL : json_new_str(value_bytes(ip)));
	json_put_str(o, "console", console);
	free(console);
	return o;
}

static void host_vms(const struct lab *lab, const struct lab_node *n, struct json_object *out)
{
	struct error e;
	const struct value *vms = NULL, *hosts = NULL;
	bool is_up = lab_node_is_host(n) && lab_node_is_running(lab, n);
	struct remote *r = is_up ? lab_node_connect(lab, n, &e) : NULL;

	if (r != NULL && remote_list(r, "HostSystem", "name", &hosts, &e) &&
	    remote_list(r, "VirtualMachine", "name", &vms, &e)) {
		const char *accel = value_count(hosts) == 0
					    ? NULL
					    : accel_of(r, value_get_value(value_item(hosts, 0),
									  F_ObjectContent_obj));
		for (size_t i = 0; i < value_count(vms); i++) {
			json_object_array_add(out, vm_json(lab, n, r, value_item(vms, i), accel));
		}
	}
	remote_close(r);
}

static const char *member(struct json_object *o, const char *name)
{
	const char *s = json_object_get_string(json_object_object_get(o, name));

	return s == NULL ? "-" : s;
}

static void print_table(struct json_object *hosts, struct json_object *vms)
{
	printf("%-10s %-8s %-6s %s\n", "NODE", "ROLE", "STATE", "URL");
	for (size_t i = 0; i < json_object_array_length(hosts); i++) {
		struct json_object *h = json_object_array_get_idx(hosts, i);
		printf("%-10s %-8s %-6s %s\n", member(h, "name"), member(h, "role"),
		       member(h, "state"), member(h, "url"));
	}
	printf("\n%-10s %-10s %-11s %-6s %s\n", "VM", "HOST", "POWER", "ACCEL", "ADDRESS");
	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		struct json_object *v = json_object_array_get_idx(vms, i);
		printf("%-10s %-10s %-11s %-6s %s\n", member(v, "name"), member(v, "host"),
		       member(v, "power"), member(v, "accel"), member(v, "ip"));
	}
}

int lab_status(struct lab *lab, bool json)
{
	struct error e;
	bool up = lab_node_is_running(lab, &lab->nodes[LAB_CENTER]);
	struct remote *r = up ? lab_node_connect(lab, &lab->nodes[LAB_CENTER], &e) : NULL;
	struct json_object *all = json_object_new_object();
	struct json_object *hosts = json_object_new_array(), *vms = json_object_new_array();

	json_put(all, "center", center_json(lab, r));
	remote_close(r);
	for (size_t i = 1; i < lab->n_nodes; i++) {
		json_object_array_add(hosts, host_json(lab, &lab->nodes[i]));
		host_vms(lab, &lab->nodes[i], vms);
	}
	json_put(all, "hosts", hosts);
	json_put(all, "vms", vms);
	if (json) {
		puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY |
								 JSON_C_TO_STRING_SPACED |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
	} else {
		printf("%-10s %-8s %-6s %s\n", "center", "manager", up ? "up" : "down",
		       member(json_object_object_get(all, "center"), "url"));
		print_table(hosts, vms);
	}
	json_object_put(all);
	return 0;
}

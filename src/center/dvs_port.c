/* SPDX-License-Identifier: Apache-2.0 */
#include "center/dvs_port.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/random.h"
#include "base/vec.h"
#include "center/database.h"
#include "center/dvs_config.h"
#include "center/place.h"
#include "center/portgroup.h"
#include "vim/fault.h"

enum {
	PER_GROUP = 10000, /* keys of one group */
	GROW = 8	   /* ports that a full group gets at least */
};

struct dvs_ports {
	struct map64 by_key; /* → struct dvs_port, owned */
	struct map64 by_vm;  /* address of the VM's object → its first port */
};

struct dvs_ports *dvs_ports_new(struct center *c)
{
	(void)c;
	return mem_zalloc(sizeof(struct dvs_ports));
}

void dvs_ports_free(struct dvs_ports *p)
{
	if (p == NULL) {
		return;
	}
	map64_free_values(&p->by_key, free);
	map64_free(&p->by_vm);
	free(p);
}

/* ---- finding ---- */

int64_t dvs_port_first(const char *portgroup)
{
	const char *number = strrchr(portgroup, '-');
	int64_t n = 0;

	return number != NULL && number_i64(number + 1, &n) ? n * PER_GROUP : 0;
}

int64_t dvs_port_key(const struct object *pg, int64_t i)
{
	return dvs_port_first(object_id(pg)) + i;
}

struct dvs_port *dvs_port_at(struct center *c, int64_t key)
{
	return map64_get(&c->ports->by_key, (uint64_t)key);
}

struct dvs_port *dvs_port_find(struct center *c, const char *key)
{
	int64_t n;

	return key != NULL && number_i64(key, &n) && n > 0 ? dvs_port_at(c, n) : NULL;
}

struct dvs_port *dvs_ports_of_vm(struct center *c, const struct object *vm)
{
	return map64_get(&c->ports->by_vm, (uint64_t)(uintptr_t)vm);
}

static const struct value *config_of(struct object *pg)
{
	return object_get(pg, P_DistributedVirtualPortgroup_config, NULL);
}

int64_t dvs_ports_end(struct center *c, const struct object *pg, int64_t *n_used)
{
	int64_t first = dvs_port_key(pg, 0), end = 0, n = 0;

	map64_each(&c->ports->by_key, it)
	{
		const struct dvs_port *port = it->value;
		if (port->portgroup == pg) {
			n++;
			end = port->key - first + 1 > end ? port->key - first + 1 : end;
		}
	}
	*n_used = n;
	return end;
}

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

struct value *dvs_ports_keys(struct center *c, const struct object *pg, struct arena *a)
{
	struct value *keys = value_new_array(a, T_string);
	VEC(int64_t) numbers = { 0 };

	map64_each(&c->ports->by_key, it)
	{
		const struct dvs_port *port = it->value;
		if (port->portgroup == pg) {
			vec_push(&numbers, port->key);
		}
	}
	vec_sort(&numbers, by_number);
	vec_each (&numbers, it) {
		value_push_str(a, keys, arena_printf(a, "%" PRId64, *it));
	}
	vec_free(&numbers);
	return keys;
}

/* ---- the table ---- */

static struct dvs_port *port_new(struct center *c, int64_t key, struct object *pg)
{
	struct dvs_port *port = mem_zalloc(sizeof(*port));

	port->key = key;
	port->portgroup = pg;
	port->since_us = clock_wall_us(c->clock);
	port->cookie = (int32_t)random_below(INT32_MAX - 1) + 1;
	map64_set(&c->ports->by_key, (uint64_t)key, port);
	return port;
}

/* Frees one that neither a card nor a reservation has. */
static void port_drop(struct center *c, struct dvs_port *port)
{
	if (port->vm != NULL || port->n_reserved > 0) {
		return;
	}
	struct object *pg = port->portgroup;
	map64_remove(&c->ports->by_key, (uint64_t)port->key);
	free(port);
	if (portgroup_is_ephemeral(pg)) {
		portgroup_show_ports(c, pg);
	}
}

static void vm_link(struct center *c, struct dvs_port *port, struct object *vm)
{
	port->vm = vm;
	port->next = dvs_ports_of_vm(c, vm);
	map64_set(&c->ports->by_vm, (uint64_t)(uintptr_t)vm, port);
}

static void vm_unlink(struct center *c, struct dvs_port *port)
{
	struct object *vm = port->vm;
	struct dvs_port *first = dvs_ports_of_vm(c, vm), **at = &first;

	while (*at != port) {
		at = &(*at)->next;
	}
	*at = port->next;
	port->next = NULL;
	port->vm = NULL;
	if (first == NULL) {
		map64_remove(&c->ports->by_vm, (uint64_t)(uintptr_t)vm);
	} else {
		map64_set(&c->ports->by_vm, (uint64_t)(uintptr_t)vm, first);
	}
}

/* ---- earlier runs ---- */

static void take_row(void *arg, const struct database_dvport *row)
{
	struct center *c = arg;
	struct object *pg =
		row->portgroup == NULL ? NULL : inventory_find(c->inventory, row->portgroup);
	struct object *vm = row->vm == NULL ? NULL : inventory_find(c->inventory, row->vm);

	if (pg == NULL || !schema_is_a(pg->type, T_DistributedVirtualPortgroup) || vm == NULL ||
	    !schema_is_a(vm->type, T_VirtualMachine) || dvs_port_at(c, row->key) != NULL) {
		return;
	}
	struct dvs_port *port = port_new(c, row->key, pg);
	port->nic = row->nic;
	port->cookie = row->cookie;
	port->since_us = row->since_us;
	vm_link(c, port, vm);
	inventory_add_ref(vm, P_VirtualMachine_network, pg);
	inventory_add_ref(pg, P_Network_vm, vm);
}

bool dvs_ports_load(struct center *c, struct error *e)
{
	uint32_t i = 0;

	if (!database_each_dvport(c->db, take_row, c, e)) {
		return false;
	}
	for (struct object *o; (o = inventory_each(c->inventory, &i)) != NULL;) {
		if (!o->removed && schema_is_a(o->type, T_DistributedVirtualPortgroup) &&
		    portgroup_is_ephemeral(o)) {
			portgroup_show_ports(c, o);
		}
	}
	return true;
}

/* ---- allotting ---- */

static bool in_use(struct arena *a, struct refusal *r, const struct dvs_port *port)
{
	struct value *fault = fault_new(a, T_ResourceInUse);

	value_set_str(a, fault, F_ResourceInUse_type, "DistributedVirtualPort");
	value_set_strf(a, fault, F_ResourceInUse_name, "%" PRId64, port->key);
	return refuse(r, fault, "port \"%" PRId64 "\" of port group \"%s\" is in use%s%s",
		      port->key, place_name(port->portgroup), port->vm == NULL ? "" : " by VM ",
		      port->vm == NULL ? "" : place_name(port->vm));
}

static struct dvs_port *allot_wanted(struct center *c, struct arena *a,
				     const struct dvs_port_wish *w, struct refusal *r)
{
	struct object *pg = w->portgroup;
	int64_t n = value_get_num(config_of(pg), F_DVPortgroupConfigInfo_numPorts, 0);
	int64_t first = dvs_port_key(pg, 0), key;

	if (portgroup_is_ephemeral(pg)) {
		n = DVS_PORTS_MAX;
	}
	if (!number_i64(w->key, &key) || key < first || key >= first + n) {
		refuse(r, fault_invalid_argument(a, "port.portKey"),
		       "port group \"%s\" has no port \"%.40s\"", place_name(pg), w->key);
		return NULL;
	}
	struct dvs_port *port = dvs_port_at(c, key);
	if (port != NULL && (w->vm == NULL || port->vm != w->vm || port->nic != w->nic)) {
		in_use(a, r, port);
		return NULL;
	}
	return port != NULL ? port : port_new(c, key, pg);
}

static struct dvs_port *allot_free(struct center *c, struct arena *a, struct object *pg,
				   struct refusal *r)
{
	const struct value *config = config_of(pg);
	int64_t n = value_get_num(config, F_DVPortgroupConfigInfo_numPorts, 0);
	int64_t first = dvs_port_key(pg, 0), i = 0;
	int64_t limit = portgroup_is_ephemeral(pg) ? DVS_PORTS_MAX : n;
	struct error e = { 0 };

	while (i < limit && dvs_port_at(c, first + i) != NULL) {
		i++;
	}
	if (i < limit) {
		return port_new(c, first + i, pg);
	}
	if (!value_get_bool(config, F_DVPortgroupConfigInfo_autoExpand, false) ||
	    n + GROW > DVS_PORTS_MAX) {
		struct value *fault = fault_new(a, T_ResourceNotAvailable);
		value_set_str(a, fault, F_ResourceNotAvailable_containerType,
			      "DistributedVirtualPortgroup");
		value_set_str(a, fault, F_ResourceNotAvailable_containerName, place_name(pg));
		value_set_str(a, fault, F_ResourceNotAvailable_type, "DistributedVirtualPort");
		refuse(r, fault, "port group \"%s\" has no free port: all %" PRId64 " are in use",
		       place_name(pg), limit);
		return NULL;
	}
	if (!portgroup_set_ports(c, pg, n + GROW, &e)) {
		refuse(r, fault_from_error(a, &e), "%s", e.msg);
		return NULL;
	}
	return port_new(c, first + n, pg);
}

struct dvs_port *dvs_port_allot(struct center *c, struct arena *a, const struct dvs_port_wish *w,
				struct refusal *r)
{
	struct dvs_port *port = NULL;

	for (struct dvs_port *p = w->vm == NULL ? NULL : dvs_ports_of_vm(c, w->vm);
	     w->key == NULL && p != NULL; p = p->next) {
		if (p->portgroup == w->portgroup && p->nic == w->nic) {
			port = p;
		}
	}
	if (port == NULL) {
		port = w->key != NULL ? allot_wanted(c, a, w, r)
				      : allot_free(c, a, w->portgroup, r);
	}
	if (port != NULL) {
		port->n_reserved++;
	}
	return port;
}

void dvs_port_release(struct center *c, int64_t key)
{
	struct dvs_port *port = dvs_port_at(c, key);

	if (port != NULL && port->n_reserved > 0) {
		port->n_reserved--;
		port_drop(c, port);
	}
}

/* ---- following ---- */

static void write_row(struct center *c, const struct dvs_port *port)
{
	database_put_dvport(c->db, &(struct database_dvport){
					   .key = port->key,
					   .portgroup = object_id(port->portgroup),
					   .vm = object_id(port->vm),
					   .nic = port->nic,
					   .cookie = port->cookie,
					   .since_us = port->since_us,
				   });
}

/* The port that a card says it has; NULL: it says none, or none that is its own. */
static struct dvs_port *port_of_card(struct center *c, const struct object *vm,
				     const struct value *device)
{
	const struct value *b = value_get_value(device, F_VirtualDevice_backing);

	if (!value_is_a(b, T_VirtualEthernetCardDistributedVirtualPortBackingInfo)) {
		return NULL;
	}
	const struct value *conn =
		value_get_value(b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port);
	const char *key = value_get_str(conn, F_DistributedVirtualSwitchPortConnection_portKey);
	const char *group =
		value_get_str(conn, F_DistributedVirtualSwitchPortConnection_portgroupKey);
	struct object *pg = group == NULL ? NULL : inventory_find(c->inventory, group);
	int64_t n;

	if (key == NULL || pg == NULL || !schema_is_a(pg->type, T_DistributedVirtualPortgroup) ||
	    portgroup_is_uplink(pg) || !number_i64(key, &n)) {
		return NULL;
	}
	int64_t i = n - dvs_port_key(pg, 0);
	int64_t limit = portgroup_is_ephemeral(pg)
				? DVS_PORTS_MAX
				: value_get_num(config_of(pg), F_DVPortgroupConfigInfo_numPorts, 0);
	if (i < 0 || i >= limit) {
		return NULL;
	}
	struct dvs_port *port = dvs_port_at(c, n);
	if (port == NULL) {
		port = port_new(c, n, pg);
	}
	return port->vm == NULL || port->vm == vm ? port : NULL;
}

static bool connect_port(struct center *c, struct dvs_port *port, struct object *vm,
			 const struct value *device)
{
	const struct value *b = value_get_value(device, F_VirtualDevice_backing);
	const struct value *conn =
		value_get_value(b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port);
	int32_t nic = (int32_t)value_get_num(device, F_VirtualDevice_key, 0);
	int32_t cookie = (int32_t)value_get_num(
		conn, F_DistributedVirtualSwitchPortConnection_connectionCookie, port->cookie);

	if (port->vm == vm && port->nic == nic && port->cookie == cookie) {
		return false;
	}
	port->nic = nic;
	port->cookie = cookie;
	port->since_us = clock_wall_us(c->clock);
	if (port->vm == NULL) {
		vm_link(c, port, vm);
	}
	write_row(c, port);
	if (portgroup_is_ephemeral(port->portgroup)) {
		portgroup_show_ports(c, port->portgroup);
	}
	return true;
}

static bool is_said(const struct dvs_port *port, struct dvs_port *const *said, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (said[i] == port) {
			return true;
		}
	}
	return false;
}

bool dvs_ports_follow(struct center *c, struct object *vm, const struct value *devices)
{
	struct dvs_port *said[64];
	size_t n = 0;
	bool is_written = false;

	for (size_t i = 0; i < value_count(devices) && n < ARRAY_LEN(said); i++) {
		const struct value *device = value_item(devices, i);
		struct dvs_port *port = port_of_card(c, vm, device);
		if (port != NULL && !is_said(port, said, n)) {
			said[n++] = port;
			is_written |= connect_port(c, port, vm, device);
		}
	}
	for (struct dvs_port *port = dvs_ports_of_vm(c, vm), *next; port != NULL; port = next) {
		next = port->next;
		if (!is_said(port, said, n)) {
			database_drop_dvport(c->db, port->key);
			is_written = true;
			vm_unlink(c, port);
			port_drop(c, port);
		}
	}
	return is_written;
}

void dvs_ports_save(struct center *c, const struct object *vm)
{
	for (const struct dvs_port *port = dvs_ports_of_vm(c, vm); port != NULL;
	     port = port->next) {
		write_row(c, port);
	}
}

void dvs_ports_forget(struct center *c, struct object *vm)
{
	for (struct dvs_port *port = dvs_ports_of_vm(c, vm), *next; port != NULL; port = next) {
		next = port->next;
		vm_unlink(c, port);
		port_drop(c, port);
	}
}

void dvs_ports_forget_group(struct center *c, const struct object *pg)
{
	map64_each(&c->ports->by_key, it)
	{
		struct dvs_port *port = it->value;
		if (port->portgroup != pg) {
			continue;
		}
		if (port->vm != NULL) {
			vm_unlink(c, port);
		}
		map64_remove(&c->ports->by_key, (uint64_t)port->key);
		free(port);
	}
}

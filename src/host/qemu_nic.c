/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network cards that come and go while the guest runs.
 *
 *     qemu_nic_add(): wire's socket -> wire -> card
 *     qemu_nic_remove(): card -the guest lets go-> wire -> wire's socket
 *
 * What was made before a step failed is taken away again.
 */
#include <stdio.h>
#include <string.h>

#include "host/qemu_argv.h"
#include "host/qemu_machine.h"

#define UNPLUG_MS	20000
#define CONNECT_MS	10000
#define CONNECT_POLL_MS 50

static struct json_object *object_with(const char *key, const char *value)
{
	struct json_object *o = json_object_new_object();
	json_put_str(o, key, value);
	return o;
}

static bool want_ready(struct qemu_machine *m, int32_t key, struct error *e)
{
	if (key < QEMU_ARGV_NIC_KEY || key >= QEMU_ARGV_NIC_KEY + MACHINE_NICS_MAX) {
		return error_set(e, ERROR_LIMIT,
				 "\"%s\": no slot for network card %d; there are %d", m->name, key,
				 MACHINE_NICS_MAX);
	}
	if (m->arch != MACHINE_X86_64) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"%s\": cards are not plugged while an Arm machine runs",
				 m->name);
	}
	return qmp_is_ready(m->qmp) ||
	       error_set(e, ERROR_UNREACHABLE, "\"%s\": QEMU does not answer", m->name);
}

/* ---- plugging in ---- */

static void after_add_undone(struct qemu_machine *m, const struct json_at *value,
			     const struct error *e)
{
	(void)value, (void)e;
	struct error why = m->failure;
	m->failure = (struct error){ 0 };
	machine_done(&m->base, &why);
}

static void drop_wire(struct qemu_machine *m, int32_t key)
{
	char wire[24], socket[24];
	qemu_argv_wire_name(key, wire);
	qemu_argv_wire_socket_name(key, socket);
	qemu_step_add_tolerant(m, "netdev_del", object_with("id", wire));
	qemu_step_add_tolerant(m, "chardev-remove", object_with("id", socket));
}

static void after_add(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	if (!e) {
		machine_done(&m->base, NULL);
		return;
	}
	m->failure = *e;
	drop_wire(m, m->nic.key);
	qemu_steps_run(m, after_add_undone);
}

static void add_card(struct qemu_machine *m, bool has_wire)
{
	const struct machine_nic *n = &m->nic;
	char name[24], wire[24], slot[8];
	qemu_argv_nic_name(n->key, name);
	qemu_argv_wire_name(n->key, wire);
	snprintf(slot, sizeof(slot), "%02x.0", QEMU_ARGV_NIC_SLOT + n->key - QEMU_ARGV_NIC_KEY);
	struct json_object *o = object_with("driver", qemu_argv_nic_model(n->model));
	json_put_str(o, "id", name);
	json_put_str(o, "mac", n->mac);
	json_put_str(o, "bus", "pci.0");
	json_put_str(o, "addr", slot);
	json_put_str(o, "romfile", "");
	if (has_wire) {
		json_put_str(o, "netdev", wire);
		if (n->model == MACHINE_VIRTIO_NET) {
			json_put_bool(o, "status", false); /* as in qemu_argv.c */
		}
	}
	if (!qemu_argv_nic_has_vectors(n->model, m->accel, has_wire)) {
		json_put_i64(o, "vectors", 0);
	}
	qemu_step_add(m, "device_add", o);
	if (!n->connected) {
		struct json_object *link = object_with("name", name);
		json_put_bool(link, "up", false);
		qemu_step_add(m, "set_link", link);
	}
}

static void fail_add(struct qemu_machine *m, const struct error *e)
{
	m->failure = *e;
	drop_wire(m, m->nic.key);
	qemu_steps_run(m, after_add_undone);
}

static void ask_socket(struct qemu_machine *m);

/* With nobody at the other end QEMU would stand still until there is. */
static void after_ask_socket(struct qemu_machine *m, const struct json_at *value,
			     const struct error *e)
{
	char wire[24], socket[24];
	struct error why = { 0 };
	bool is_connected = false;
	qemu_argv_wire_name(m->nic.key, wire);
	qemu_argv_wire_socket_name(m->nic.key, socket);
	for (size_t i = 0; !e && i < json_array_n(value); i++) {
		struct json_at at = json_item(value, i);
		const char *label = "", *file = "";
		if (json_get_str(&at, "label", &label, NULL) && strcmp(label, socket) == 0 &&
		    json_get_str(&at, "filename", &file, NULL)) {
			is_connected = strncmp(file, "disconnected:", 13) != 0;
		}
	}
	if (e) {
		fail_add(m, e);
	} else if (is_connected) {
		struct json_object *o = object_with("type", "vhost-user");
		json_put_str(o, "id", wire);
		json_put_str(o, "chardev", socket);
		qemu_step_add(m, "netdev_add", o);
		add_card(m, true);
		qemu_steps_run(m, after_add);
	} else if (clock_mono_us(qemu_driver_of(m)->clock) > m->give_up_us) {
		error_set(&why, ERROR_TIMEOUT, "\"%s\": the switch does not connect to card %d",
			  m->name, m->nic.key);
		fail_add(m, &why);
	} else {
		qemu_machine_tick(m, CONNECT_POLL_MS, ask_socket);
	}
}

static void ask_socket(struct qemu_machine *m)
{
	qemu_step_add(m, "query-chardev", NULL);
	qemu_steps_run(m, after_ask_socket);
}

static void after_socket(struct qemu_machine *m, const struct json_at *value, const struct error *e)
{
	(void)value;
	if (e) {
		fail_add(m, e);
	} else {
		ask_socket(m);
	}
}

static void add_vhost_user(struct qemu_machine *m, const char *path)
{
	char socket[24];
	qemu_argv_wire_socket_name(m->nic.key, socket);
	struct json_object *addr = object_with("type", "unix"), *data = json_object_new_object();
	struct json_object *backend = object_with("type", "socket");
	struct json_object *chardev = object_with("id", socket);
	json_put(addr, "data", object_with("path", path));
	json_put(data, "addr", addr);
	json_put_bool(data, "server", true);
	json_put_bool(data, "wait", false);
	json_put(backend, "data", data);
	json_put(chardev, "backend", backend);
	m->give_up_us = clock_mono_us(qemu_driver_of(m)->clock) + CONNECT_MS * INT64_C(1000);
	qemu_step_add(m, "chardev-add", chardev);
	qemu_steps_run(m, after_socket);
}

/* A stream is listened for by another thread of QEMU's, which knows descriptors by number only. */
static void after_stream_fd(struct qemu_machine *m, const struct json_at *value,
			    const struct error *e)
{
	struct error why = { 0 };
	char wire[24], number[16];
	int64_t fd = -1;
	if (e || !json_get_i64(value, "fd", &fd, &why)) {
		why = e ? *e : why;
		machine_done(&m->base, &why);
		return;
	}
	qemu_argv_wire_name(m->nic.key, wire);
	snprintf(number, sizeof(number), "%lld", (long long)fd);
	struct json_object *addr = object_with("type", "fd"), *o = object_with("type", "stream");
	json_put_str(addr, "str", number);
	json_put_str(o, "id", wire);
	json_put_bool(o, "server", true);
	json_put(o, "addr", addr);
	qemu_step_add(m, "netdev_add", o);
	add_card(m, true);
	qemu_steps_run(m, after_add);
}

static void add_stream(struct qemu_machine *m)
{
	struct json_object *o = json_object_new_object();
	json_put_i64(o, "fdset-id", m->nic.key);
	qemu_step_add_passed(m, "add-fd", o, m->nic.wire_fd);
	qemu_steps_run(m, after_stream_fd);
}

bool qemu_nic_add(struct machine *base, const struct machine_nic *nic, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	if (!want_ready(m, nic->key, e)) {
		return false;
	}
	m->nic = *nic; /* its texts are read before this returns, but for those below */
	snprintf(m->nic_mac, sizeof(m->nic_mac), "%s", nic->mac);
	m->nic.mac = m->nic_mac;
	if (!nic->wire) {
		add_card(m, false);
		qemu_steps_run(m, after_add);
	} else if (nic->model == MACHINE_VIRTIO_NET) {
		add_vhost_user(m, nic->wire);
	} else {
		add_stream(m);
	}
	return true;
}

/* ---- taking out ---- */

static void after_wire_dropped(struct qemu_machine *m, const struct json_at *value,
			       const struct error *e)
{
	(void)value, (void)e;
	machine_done(&m->base, NULL);
}

static void unplug_end(struct qemu_machine *m)
{
	m->is_waiting_unplug = false;
	m->unplugged[0] = '\0';
	drop_wire(m, m->nic.key);
	qemu_steps_run(m, after_wire_dropped);
}

static void on_unplug_late(struct qemu_machine *m)
{
	struct error e = { 0 };
	m->is_waiting_unplug = false;
	m->unplugged[0] = '\0';
	error_set(&e, ERROR_TIMEOUT, "\"%s\": its guest does not let go of network card %d",
		  m->name, m->nic.key);
	machine_done(&m->base, &e);
}

void qemu_nic_take_deleted(struct qemu_machine *m, const struct json_at *data)
{
	const char *device;
	if (!m->unplugged[0] || !json_has(data, "device") ||
	    !json_get_str(data, "device", &device, NULL) || strcmp(device, m->unplugged) != 0) {
		return;
	}
	m->is_unplugged = true;
	if (m->is_waiting_unplug) {
		timer_stop(m->timer);
		unplug_end(m);
	}
}

static void after_device_del(struct qemu_machine *m, const struct json_at *value,
			     const struct error *e)
{
	(void)value;
	if (m->is_unplugged || (e && e->kind == ERROR_NOT_FOUND)) {
		unplug_end(m); /* an earlier try came to its end late */
	} else if (e) {
		m->unplugged[0] = '\0';
		machine_done(&m->base, e);
	} else {
		m->is_waiting_unplug = true;
		qemu_machine_tick(m, UNPLUG_MS, on_unplug_late);
	}
}

bool qemu_nic_remove(struct machine *base, int32_t key, struct error *e)
{
	struct qemu_machine *m = qemu_machine(base);
	if (!want_ready(m, key, e)) {
		return false;
	}
	m->nic = (struct machine_nic){ .key = key };
	m->is_unplugged = false;
	qemu_argv_nic_name(key, m->unplugged);
	qemu_step_add(m, "device_del", object_with("id", m->unplugged));
	qemu_steps_run(m, after_device_del);
	return true;
}

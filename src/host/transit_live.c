/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's machine: it waits for a guest that runs elsewhere, and lets it go on here.
 *
 *   open: the VM is shown -> the switch has its ports -> its machine waits -> PREPARED
 *   somebody comes with the token -> the machine takes the stream -> is_loaded
 *   commit (transit_target.c) -> run -> announced, DONE
 *
 * Who connects has to say the token first; then the connection is the machine's, whose QEMU takes
 * nobody but the source's QEMU.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/socket.h"
#include "host/host_plane.h"
#include "host/plane_connections.h"
#include "host/transit_impl.h"
#include "vim/fault.h"

LOG_MODULE("migration");

enum {
	KNOCKS_MAX = 8,
	BACKLOG = 16,
	DISKS_MAX = MACHINE_DISKS_MAX,
};

/* Somebody who has connected and not said the whole token yet. */
struct knock {
	uv_poll_t poll;
	struct transit_gate *gate; /* NULL: closed */
	int fd;
	char text[TRANSIT_TOKEN_SIZE];
	size_t n;
};

struct transit_gate {
	struct transit *m;
	uv_poll_t poll;
	int listener; /* of the stream; -1: closed */
	int exporter; /* of disks; -1: none */
	struct knock *knocks[KNOCKS_MAX];
	struct machine_spec spec;
	struct machine_nic nics[MACHINE_NICS_MAX];
	bool is_wired;
};

/* ---- the gate ---- */

static void knock_closed(uv_handle_t *h)
{
	struct knock *k = h->data;

	if (k->fd >= 0) {
		close(k->fd);
	}
	free(k);
}

static void knock_end(struct knock *k)
{
	for (size_t i = 0; k->gate != NULL && i < KNOCKS_MAX; i++) {
		if (k->gate->knocks[i] == k) {
			k->gate->knocks[i] = NULL;
		}
	}
	k->gate = NULL;
	uv_close((uv_handle_t *)&k->poll, knock_closed);
}

static void gate_closed(uv_handle_t *h)
{
	struct transit_gate *g = h->data;

	close(g->listener);
	if (g->exporter >= 0) {
		close(g->exporter);
	}
	free(g);
}

static void unwire(struct transit_gate *g)
{
	if (g->is_wired) {
		vm_wires_close(g->nics, g->spec.n_nics);
		g->is_wired = false;
	}
}

void transit_live_close(struct transit *m)
{
	struct transit_gate *g = m->gate;

	m->gate = NULL;
	if (g == NULL) {
		return;
	}
	for (size_t i = 0; i < KNOCKS_MAX; i++) {
		if (g->knocks[i] != NULL) {
			knock_end(g->knocks[i]);
		}
	}
	unwire(g);
	g->m = NULL;
	uv_close((uv_handle_t *)&g->poll, gate_closed);
}

static void loaded(void *arg, struct machine *machine, const struct error *e)
{
	struct transit *m = arg;

	(void)machine;
	if (transit_is_let_go(e) || transit_has_ended(m) || m->is_cancelling) {
		return;
	}
	if (e != NULL) {
		transit_target_fail(m, e); /* after its connections, if they come just now */
		return;
	}
	m->is_loaded = true;
	m->heard_us = clock_mono_us(m->all->host->clock);
	if (m->wants_commit) {
		transit_target_commit(m);
	}
}

/* The source's hostd it is: the rest is its QEMU's. */
static void let_in(struct transit *m, int fd)
{
	struct machine_reply reply = { .done = loaded, .arg = m };
	struct error e = { 0 };

	transit_set_state(m, TRANSIT_COPYING);
	if (!machine_receive_stream(m->entity->machine, fd, &reply, &e)) {
		transit_target_fail(m, &e);
	}
}

static void on_knock(uv_poll_t *poll, int status, int events)
{
	struct knock *k = poll->data;
	struct transit *m = k->gate->m;

	(void)events;
	ssize_t n = status < 0
			    ? 0
			    : recv(k->fd, k->text + k->n, sizeof(k->text) - 1 - k->n, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	k->n += n > 0 ? (size_t)n : 0;
	if (n > 0 && k->n < sizeof(k->text) - 1) {
		return;
	}
	bool is_source = k->n == sizeof(k->text) - 1 &&
			 gnutls_memcmp(k->text, m->token, k->n) == 0 &&
			 m->state == TRANSIT_PREPARED && !m->is_busy && !m->is_cancelling;
	int fd = is_source ? dup(k->fd) : -1;
	uv_poll_stop(poll);
	knock_end(k);
	if (fd >= 0) {
		let_in(m, fd);
		close(fd);
	}
}

static void on_connect(uv_poll_t *poll, int status, int events)
{
	struct transit_gate *g = poll->data;
	size_t i = 0;

	(void)status;
	(void)events;
	int fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (i < KNOCKS_MAX && g->knocks[i] != NULL) {
		i++;
	}
	if (fd < 0 || i == KNOCKS_MAX) {
		if (fd >= 0) {
			close(fd);
			knock_end(g->knocks[0]); /* the next one finds room */
		}
		return;
	}
	struct knock *k = mem_zalloc(sizeof(*k));
	k->gate = g;
	k->fd = fd;
	k->poll.data = k;
	if (uv_poll_init(poll->loop, &k->poll, fd) != 0) {
		close(fd);
		free(k);
		return;
	}
	g->knocks[i] = k;
	uv_poll_start(&k->poll, UV_READABLE, on_knock);
}

static int listen_on(const char *address, struct error *e)
{
	int fd = socket_listen_tcp(address[0] != '\0' ? address : "::", 0, BACKLOG, e);

	transit_set_up_socket(fd); /* what is accepted is so, too */
	return fd;
}

static bool gate_open(struct transit *m, struct error *e)
{
	struct host *h = m->all->host;
	const char *own =
		h->node.migration_address[0] != '\0' ? h->node.migration_address : h->node.address;
	struct transit_gate *g = mem_zalloc(sizeof(*g));

	g->m = m;
	g->exporter = -1;
	g->listener = listen_on(own, e);
	if (g->listener >= 0 && m->n_items > 0) {
		g->exporter = listen_on(own, e);
	}
	if (g->listener < 0 || (m->n_items > 0 && g->exporter < 0) ||
	    uv_poll_init(h->loop, &g->poll, g->listener) != 0) {
		if (g->listener >= 0) {
			close(g->listener);
		}
		if (g->exporter >= 0) {
			close(g->exporter);
		}
		free(g);
		return false;
	}
	g->poll.data = g;
	m->gate = g;
	return true;
}

void transit_live_ticket(struct transit *m, struct json_object *ticket)
{
	json_put_i64(ticket, "stream_port", socket_port(m->gate->listener));
	json_put_i64(ticket, "export_port", socket_port(m->gate->exporter));
	json_put_str(ticket, "issuer", m->identity.issuer);
	uv_poll_start(&m->gate->poll, UV_READABLE, on_connect);
}

/* ---- the machine ---- */

static void waits(void *arg, struct machine *machine, const struct error *e)
{
	struct transit *m = arg;

	(void)machine;
	if (transit_is_let_go(e)) {
		return;
	}
	if (m->gate != NULL) {
		unwire(m->gate);
	}
	if (transit_target_go_on(m, e)) {
		transit_target_ready(m);
	}
}

static void receive(struct transit *m)
{
	struct machine_reply reply = { .done = waits, .arg = m };
	int32_t *disks = arena_alloc(m->arena, (m->n_items + 1) * sizeof(*disks));
	struct machine_incoming in = {
		.tls = { .certificate = m->identity.certificate,
			 .key = m->identity.key,
			 .peer = m->issuer,
			 .peer_name = transit_peer_name(m, true) },
		.disks = disks,
		.export_fd = m->gate->exporter,
	};
	struct error e = { 0 };

	for (size_t i = 0; i < m->n_items; i++) {
		disks[in.n_disks++] = m->items[i].disk;
	}
	if (!machine_receive(m->entity->machine, &m->gate->spec, &in, &reply, &e)) {
		waits(m, NULL, &e);
	}
}

static void wired(void *arg, const struct error *e)
{
	struct transit *m = arg;

	if (e != NULL) {
		waits(m, NULL, e);
		return;
	}
	receive(m);
}

static bool wire(struct transit *m, struct error *e)
{
	struct transit_gate *g = m->gate;
	struct vm *vm = m->entity;
	char folder[256];

	memcpy(g->nics, g->spec.nics, g->spec.n_nics * sizeof(g->nics[0]));
	g->spec.nics = g->nics;
	if (!vm_wires_open(vm, m->arena, g->nics, g->spec.n_nics, e)) {
		return false;
	}
	host_plane_socket_folder(
		vm->layer->host,
		value_get_str(vm_config(vm), F_VirtualMachineConfigInfo_instanceUuid), folder,
		sizeof(folder));
	g->spec.sockets = arena_strdup(m->arena, folder);
	g->is_wired = true;
	vm_network_coming(vm, vm_devices(vm_config_start(m->arena, vm_config(vm))));
	return true;
}

static bool show(struct transit *m, struct error *e)
{
	struct vm *vm = m->entity;
	struct vm_refusal r = { 0 };
	const struct value *config =
		m->is_shared ? m->config
			     : vm_read_config(vm->layer, m->path, VM_RELOAD, m->arena, &r, NULL);

	if (config == NULL) {
		return error_set(e, ERROR_CORRUPT, "%s", r.text);
	}
	vm_publish(&vm, &config, 1, vm_pool(vm->layer, vm->pool));
	m->op = vm_op_begin_internal(vm, "MigrateVM_Task", "VirtualMachine.migrate");
	return true;
}

static bool open_machine(struct transit *m, struct error *e)
{
	struct vm *vm = m->entity;
	const char *file = NULL;

	if (!show(m, e) || !transit_identity_make(transit_peer_name(m, false), &m->identity, e) ||
	    !gate_open(m, e) || !vm_machine_spec(vm, m->arena, false, &m->gate->spec, &file, e)) {
		return false;
	}
	if (!vm_claim(vm, &file)) {
		return error_set(e, ERROR_BUSY, "\"%s\" is in use by another virtual machine",
				 file);
	}
	vm->machine = machine_new(vm->layer->host->driver, &vm_machine_listener, vm);
	return vm->layer->host->plane == NULL || m->gate->spec.n_nics == 0 || wire(m, e);
}

void transit_live_open(struct transit *m)
{
	struct error e = { 0 };

	if (!open_machine(m, &e)) {
		waits(m, NULL, &e);
	} else if (m->gate->is_wired) {
		host_plane_wait(m->all->host, wired, m);
	} else {
		receive(m);
	}
}

static void runs(void *arg, struct machine *machine, const struct error *e)
{
	struct transit *m = arg;
	size_t n;

	(void)machine;
	if (transit_is_let_go(e)) {
		return; /* the next run goes on with it */
	}
	transit_live_close(m);
	vm_network_coming(m->entity, NULL);
	if (e == NULL && m->all->host->plane != NULL) {
		const char *const *ports = transit_ports(m, &n);
		host_plane_announce(m->all->host, ports, n);
	}
	transit_target_runs(m, e);
}

void transit_live_run(struct transit *m)
{
	struct machine_reply reply = { .done = runs, .arg = m };
	struct machine *machine = m->entity->machine;
	struct error e = { 0 };

	if (machine == NULL) {
		error_set(&e, ERROR_UNREACHABLE, "its machine has ended");
		runs(m, NULL, &e);
	} else if (!machine_receive_run(machine, &reply, &e)) {
		runs(m, NULL, &e);
	}
}

static void stopped(void *arg, struct machine *machine, const struct error *e)
{
	(void)machine;
	if (!transit_is_let_go(e)) {
		transit_target_stopped(arg);
	}
}

bool transit_live_stop(struct transit *m)
{
	struct machine_reply reply = { .done = stopped, .arg = m };
	struct vm *vm = m->entity;

	transit_live_close(m);
	if (!m->is_live || vm->object == NULL) {
		return false;
	}
	vm_network_coming(vm, NULL);
	if (vm->machine == NULL || machine_state(vm->machine) == MACHINE_OFF) {
		vm_unclaim(vm);
		vm_wires_remove(vm);
		return false;
	}
	return machine_stop(vm->machine, &reply, NULL);
}

/* ---- what an earlier run left ---- */

static void cleared(void *arg, struct machine *machine, const struct error *e)
{
	struct transit *m = arg;

	(void)machine;
	if (transit_is_let_go(e)) {
		return; /* the next run finds the record again */
	}
	transit_free(m);
}

static void found(void *arg, struct machine *machine, const struct error *e)
{
	struct machine_reply reply = { .done = cleared, .arg = arg };

	if (e != NULL || !machine_stop(machine, &reply, NULL)) {
		cleared(arg, machine, e);
	}
}

void transit_live_clear(struct transit *m)
{
	static const struct machine_listener deaf = { .exited = NULL };
	struct machine_reply reply = { .done = found, .arg = m };
	struct machine_spec spec = { .name = m->name,
				     .uuid = m->uuid,
				     .folder = m->all->host->state,
				     .run = m->all->host->run,
				     .arch = accel_arch(),
				     .vcpus = 1,
				     .memory_mib = 64 };
	struct error e = { 0 };

	m->is_busy = true;
	m->stray = machine_new(m->all->host->driver, &deaf, m);
	if (!machine_adopt(m->stray, &spec, &reply, &e)) {
		log_warn("what waited for \"%s\" cannot be looked for: %s", m->name, e.msg);
		transit_free(m);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/socket.h"
#include "switch/stream.h"
#include "switch/vhost.h"
#include "switch/wiring.h"

LOG_MODULE("port");

enum {
	DESCRIPTORS = 1024,
};

struct port {
	char *name;
	char *arguments; /* of the device: what it was opened with */
	char *reason;	 /* that it cannot be opened for; NULL: it is open */
	int number;	 /* in its name; -1: the administrator named it */
	char device_name[RTE_ETH_NAME_MAX_LEN];
	uint16_t device;
	uint16_t n_queues;
	uint16_t mtu;
	bool is_attached, is_started;
	bool connects_once;    /* its driver does not try again by itself */
	struct stream *stream; /* of a stream port; else NULL */
	struct vhost *vhost;   /* the same */
};

/* "net_vhost7,iface=/run/…": driver, number and arguments of the device that serves a port. */
static char *arguments_of(const struct config_port *c, int number)
{
	unsigned q = c->n_queues;

	switch (c->kind) {
	case PORT_VHOST:
		return mem_printf("vhost,path=%s,queues=%u,server=%d", c->path, q, c->is_server);
	case PORT_MEMIF:
		return mem_printf("net_memif%d,role=%s,id=%u,socket=%s,socket-abstract=no,rsize=11",
				  number, c->is_server ? "server" : "client", c->memif_id, c->path);
	case PORT_TAP:
		return mem_printf("net_tap%d,iface=%s", number, c->path);
	case PORT_AF_PACKET:
		return mem_printf("net_af_packet%d,iface=%s,qpairs=%u", number, c->path, q);
	case PORT_AF_XDP:
		return mem_printf("net_af_xdp%d,iface=%s,queue_count=%u", number, c->path, q);
	case PORT_STREAM:
		return mem_printf("stream%d,path=%s,server=%d", number, c->path, c->is_server);
	case PORT_DEVICE:
		break;
	}
	return mem_strdup(c->path);
}

/* Numbers of devices are taken once, and given again when a port is closed. */
static bool numbers[CONFIG_PORTS_MAX];

static int number_take(void)
{
	int n = 0;

	while (n < CONFIG_PORTS_MAX - 1 && numbers[n]) {
		n++;
	}
	numbers[n] = true;
	return n;
}

static void number_give(int n)
{
	if (n >= 0) {
		numbers[n] = false;
	}
}

static bool fail(const struct config_port *c, int code, const char *what, struct error *e)
{
	return error_set(e, ERROR_IO, "port \"%s\": %s \"%s\": %s", c->name, what, c->path,
			 rte_strerror(abs(code)));
}

static bool set_up(struct port *p, const struct config_port *c, struct rte_mempool *pool,
		   struct error *e)
{
	struct rte_eth_conf conf = { 0 };
	uint16_t n_rx = DESCRIPTORS, n_tx = DESCRIPTORS;
	int r = rte_eth_dev_configure(p->device, p->n_queues, p->n_queues, &conf);

	if (r == 0) {
		r = rte_eth_dev_adjust_nb_rx_tx_desc(p->device, &n_rx, &n_tx);
	}
	for (uint16_t q = 0; r == 0 && q < p->n_queues; q++) {
		r = rte_eth_rx_queue_setup(p->device, q, n_rx, (unsigned)SOCKET_ID_ANY, NULL, pool);
		r = r != 0 ? r
			   : rte_eth_tx_queue_setup(p->device, q, n_tx, (unsigned)SOCKET_ID_ANY,
						    NULL);
	}
	if (r != 0) {
		return fail(c, r, "cannot set up", e);
	}
	(void)rte_eth_dev_set_mtu(p->device, p->mtu); /* not all drivers know how */
	r = rte_eth_dev_start(p->device);
	p->is_started = r == 0;
	if (r != 0 && !p->connects_once) {
		return fail(c, r, "cannot start", e);
	}
	(void)rte_eth_promiscuous_enable(p->device);
	return true;
}

/* A memif socket that a killed switch left behind: DPDK would not take its place. */
static void drop_stale_socket(const struct config_port *c)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (c->kind != PORT_MEMIF || !c->is_server || strlen(c->path) >= sizeof(at.sun_path)) {
		return;
	}
	memcpy(at.sun_path, c->path, strlen(c->path));
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 &&
	    errno == ECONNREFUSED) {
		(void)unlink(c->path);
	}
	if (fd >= 0) {
		close(fd);
	}
}

static bool attach(struct port *p, const struct config_port *c, struct error *e)
{
	const char *comma = strchr(p->arguments, ',');
	size_t n = comma == NULL ? strlen(p->arguments) : (size_t)(comma - p->arguments);

	if (n >= sizeof(p->device_name)) {
		return error_set(e, ERROR_INVALID, "port \"%s\": device name of %zu bytes; %zu fit",
				 c->name, n, sizeof(p->device_name) - 1);
	}
	memcpy(p->device_name, p->arguments, n);
	drop_stale_socket(c);
	int r = rte_dev_probe(p->arguments);
	if (r != 0) {
		return fail(c, r, "cannot open", e);
	}
	p->is_attached = true;
	r = rte_eth_dev_get_port_by_name(p->device_name, &p->device);
	return r == 0 || fail(c, r, "no such device", e);
}

static bool attach_stream(struct port *p, const struct config_port *c, struct rte_mempool *pool,
			  struct error *e)
{
	if (c->n_queues > 1) {
		return error_set(e, ERROR_UNSUPPORTED, "port \"%s\": %u queues; a stream has one",
				 c->name, c->n_queues);
	}
	p->stream = stream_open(&(struct stream_options){ .name = c->name,
							  .path = c->path,
							  .is_server = c->is_server,
							  .number = p->number,
							  .pool = pool },
				e);
	return p->stream != NULL || error_prefix(e, "port \"%s\": ", c->name);
}

static bool attach_vhost(struct port *p, const struct config_port *c, bool wakes,
			 struct rte_mempool *pool, struct error *e)
{
	if (c->is_server && !socket_clear_unix(c->path, e)) {
		return error_prefix(e, "port \"%s\": ", c->name);
	}
	p->vhost = vhost_open(&(struct vhost_options){ .name = c->name,
						       .path = c->path,
						       .is_server = c->is_server,
						       .wakes = wakes,
						       .n_queues = c->n_queues,
						       .pool = pool },
			      e);
	return p->vhost != NULL;
}

struct port *port_open(const struct config_port *c, bool wakes, struct rte_mempool *pool,
		       struct error *e)
{
	struct port *p = mem_zalloc(sizeof(*p));
	p->name = mem_strdup(c->name);
	p->n_queues = c->n_queues;
	p->mtu = c->mtu;
	p->connects_once = c->kind == PORT_MEMIF && !c->is_server;
	p->number = c->kind == PORT_DEVICE ? -1 : number_take();
	p->arguments = arguments_of(c, p->number);
	bool is_there = c->kind == PORT_STREAM	? attach_stream(p, c, pool, e)
			: c->kind == PORT_VHOST ? attach_vhost(p, c, wakes, pool, e)
						: attach(p, c, e) && set_up(p, c, pool, e);
	if (!is_there) {
		port_close(p);
		return NULL;
	}
	log_info("port \"%s\": %s", p->name, p->arguments);
	return p;
}

struct port *port_new_closed(const struct config_port *c, const char *reason)
{
	struct port *p = mem_zalloc(sizeof(*p));

	p->name = mem_strdup(c->name);
	p->n_queues = c->n_queues;
	p->mtu = c->mtu;
	p->number = -1;
	p->arguments = arguments_of(c, 0);
	p->reason = mem_strdup(reason);
	return p;
}

void port_set_reason(struct port *p, const char *reason)
{
	free(p->reason);
	p->reason = mem_strdup(reason);
}

const char *port_reason(const struct port *p)
{
	return p->reason;
}

void port_close(struct port *p)
{
	if (p == NULL) {
		return;
	}
	if (p->is_started) {
		(void)rte_eth_dev_stop(p->device);
	}
	if (p->is_attached) {
		struct rte_eth_dev_info info;
		if (rte_eth_dev_info_get(p->device, &info) == 0) {
			struct rte_device *d = info.device;
			(void)rte_eth_dev_close(p->device);
			(void)rte_dev_remove(d);
		}
	}
	if (p->stream != NULL) {
		stream_close(p->stream);
	}
	if (p->vhost != NULL) {
		vhost_close(p->vhost);
	}
	number_give(p->number);
	free(p->arguments);
	free(p->reason);
	free(p->name);
	free(p);
}

const char *port_name(const struct port *p)
{
	return p->name;
}

bool port_is_same(const struct port *p, const struct config_port *c)
{
	char *other = arguments_of(c, 0);
	bool is_named = c->kind == PORT_DEVICE; /* else the first word is ours */
	const char *a = is_named ? p->arguments : strchr(p->arguments, ',');
	const char *b = is_named ? other : strchr(other, ',');
	bool same = a != NULL && b != NULL && strcmp(a, b) == 0 && strcmp(p->name, c->name) == 0 &&
		    p->n_queues == c->n_queues && p->mtu == c->mtu;

	free(other);
	return same;
}

uint16_t port_device(const struct port *p)
{
	return p->is_started ? p->device : port_io(p) != NULL ? WIRING_IO : WIRING_NO_DEVICE;
}

bool port_has_lost_peer(const struct port *p)
{
	return p->connects_once && (!p->is_started || !port_is_up(p));
}

void port_connect_again(struct port *p)
{
	if (p->is_started) {
		(void)rte_eth_dev_stop(p->device);
	}
	p->is_started = rte_eth_dev_start(p->device) == 0;
}

uint16_t port_n_queues(const struct port *p)
{
	return p->n_queues;
}

const struct port_io *port_io(const struct port *p)
{
	return p->stream != NULL  ? stream_io(p->stream)
	       : p->vhost != NULL ? vhost_io(p->vhost)
				  : NULL;
}

bool port_is_up(const struct port *p)
{
	const struct port_io *io = port_io(p);
	struct rte_eth_link link;

	if (io != NULL) {
		return io->is_up(io->arg);
	}
	return p->is_attached && rte_eth_link_get_nowait(p->device, &link) == 0 &&
	       link.link_status == RTE_ETH_LINK_UP;
}

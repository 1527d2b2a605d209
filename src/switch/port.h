/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports as DPDK devices: opening one from its configuration, and closing it. A port keeps its
 * device as long as what it was opened with stays the same. Control thread only.
 */
#ifndef SWITCH_PORT_H
#define SWITCH_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "switch/config.h"

struct rte_mempool;
struct port;
struct port_io;

/* `pool`: where its packets come from; `wakes`: what comes in shall wake the worker, where the kind
 * of port can. */
struct port *port_open(const struct config_port *config, bool wakes, struct rte_mempool *pool,
		       struct error *e);
void port_close(struct port *p);

/* A port that stands closed, since it cannot be opened for a reason; it has no device and is down.
 */
struct port *port_new_closed(const struct config_port *config, const char *reason);
void port_set_reason(struct port *p, const char *reason); /* another one */
const char *port_reason(const struct port *p);		  /* NULL: it is open */

const char *port_name(const struct port *p);
/* Would this configuration open the same device? */
bool port_is_same(const struct port *p, const struct config_port *config);
/* DPDK port number; WIRING_IO: see port_io(); WIRING_NO_DEVICE: not to be used now. */
uint16_t port_device(const struct port *p);
const struct port_io *port_io(const struct port *p); /* NULL: it is a DPDK device */
uint16_t port_n_queues(const struct port *p);	     /* pairs */
bool port_is_up(const struct port *p);		     /* its other side is there */

/* A memif client whose server has gone, or never was there: DPDK connects it once only. It connects
 * again by port_connect_again(), while no worker uses the device; port_device() tells what comes of
 * that. */
bool port_has_lost_peer(const struct port *p);
void port_connect_again(struct port *p);

#endif

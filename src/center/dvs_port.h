/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of distributed switches: which network card of which VM has which port.
 *
 *   free --dvs_port_allot()--> reserved --the card shows it--> connected --the card shows another,
 *   or goes--> free;  reserved --dvs_port_release()--> free
 *
 * 1. What VMs' configurations say counts: a card is connected to the port that its backing names,
 *    if that is free. Two cards that name one port: the first has it.
 * 2. Connected ports are in the database, so a port is nobody else's while its host is away. A
 *    reservation is of this process only: what became of it shows in the VM.
 * 3. A port's key is its group's number, then four digits of its own: unique over all switches.
 *
 * A group of type "ephemeral" has the ports that are in use, others have numPorts of them and get
 * more when `autoExpand` is set. Event-loop thread only.
 */
#pragma once

#include "center/center.h"
#include "center/refusal.h"

struct dvs_port {
	int64_t key;
	struct object *portgroup;
	struct object *vm;     /* NULL: reserved */
	struct dvs_port *next; /* of the same VM */
	int64_t since_us;      /* wall clock */
	int32_t nic;	       /* key of the VM's device */
	int32_t cookie;
	unsigned n_reserved; /* times it is reserved; also by the card that has it */
};

struct dvs_ports *dvs_ports_new(struct center *c);
void dvs_ports_free(struct dvs_ports *p);
/* Those of earlier runs; VMs and port groups are there. Shows them in VirtualMachine.network and
 * DistributedVirtualPortgroup.vm until their hosts are heard of. */
bool dvs_ports_load(struct center *c, struct error *e);

/* Key of the first port of the group with that id; of the i-th of a group. */
int64_t dvs_port_first(const char *portgroup);
int64_t dvs_port_key(const struct object *pg, int64_t i);
/* Keys of the ports of a group that are in use, ascending: texts. */
struct value *dvs_ports_keys(struct center *c, const struct object *pg, struct arena *a);
/* NULL: free, or no key. */
struct dvs_port *dvs_port_find(struct center *c, const char *key);
struct dvs_port *dvs_port_at(struct center *c, int64_t key);
/* First port of a VM, then ->next; NULL: none. */
struct dvs_port *dvs_ports_of_vm(struct center *c, const struct object *vm);
/* Number behind the last port in use of a group (its least numPorts), and how many are in use. */
int64_t dvs_ports_end(struct center *c, const struct object *pg, int64_t *n_used);

/* What a VM's card wants of a port group. */
struct dvs_port_wish {
	struct object *portgroup;
	const char *key;	 /* NULL: the port that the card has, else the first free one */
	const struct object *vm; /* NULL: it is yet to be made */
	int32_t nic;
};
/* The port, reserved. NULL: refused. */
struct dvs_port *dvs_port_allot(struct center *c, struct arena *a, const struct dvs_port_wish *w,
				struct refusal *r);
/* The reservation ends; the port stays where a card has it. */
void dvs_port_release(struct center *c, int64_t key);

/* Takes over what the VM's devices say; true: rows were written, within the caller's transaction.
 */
bool dvs_ports_follow(struct center *c, struct object *vm, const struct value *devices);
/* Writes the rows of the VM's ports, again. */
void dvs_ports_save(struct center *c, const struct object *vm);
/* The VM, or the port group, leaves the inventory; the database is the caller's. */
void dvs_ports_forget(struct center *c, struct object *vm);
void dvs_ports_forget_group(struct center *c, const struct object *pg);

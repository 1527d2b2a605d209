/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network cards of VMs join port groups: what a VirtualMachineConfigSpec asks for is checked and
 * given ports, before the host hears of it, and the host hears of it when its plane runs the port
 * group. What has become of it shows in the VM (dvs_port.h). Event-loop thread only.
 */
#pragma once

#include "center/forward.h"

struct dvs_join;

/* Does the specification connect a card to a distributed switch? */
bool dvs_join_is_asked(const struct value *spec);

/* Reserves ports for the cards of a VM on that host; *spec becomes one that names them, in the
 * call's arena. vm NULL: it is yet to be made. NULL: the call is over, refused by name. */
struct dvs_join *dvs_join_begin(struct call *c, struct member *m, struct object *vm,
				const struct value **spec);
/* Ends the reservations; NULL: no effect. */
void dvs_join_end(struct dvs_join *j);

/* forward_call(f, c) once the host's plane runs what it should. f->self is found then: the VM's, or
 * the host's folder of VMs. f->end ends the join; where the host does not get there, the call is
 * refused. */
void dvs_join_forward(struct dvs_join *j, struct forward *f, struct call *c);

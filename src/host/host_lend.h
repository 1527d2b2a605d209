/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network functions that a card lends to the virtual machines of the server it sits in. Each has a
 * folder in the link, LINK/net-N, in which the server's QEMU makes a vhost-user socket; the port
 * that connects to it is on the card's switch, with its guard, firewall and segment. Whose network
 * card a function is for is said by the policy of the card ("functions" of
 * schema/node-policy.json), and the server reads it in card.json.
 *
 * The card writes the link folder itself, the server only the functions' folders. Nothing of what
 * the server does there says anything about policy. Event-loop thread only.
 */
#ifndef HOST_HOST_LEND_H
#define HOST_HOST_LEND_H

#include "base/json.h"
#include "host/host.h"
#include "host/plane_ports.h"

/* ---- the card's side; a host that lends nothing takes all of it ---- */

/* Makes the functions' folders and says in card.json what there is. After host_plane_start(): a
 * card without a switch lends nothing. */
bool host_lend_start(struct host *h, struct error *e);
void host_lend_stop(struct host *h);
/* How many network functions this host lends. */
size_t host_lend_count(const struct host *h);

/* What it tells its server; NULL: this host is no card. */
const struct card *host_lend_said(const struct host *h);

/* Whether this host has the functions that a policy speaks of; ERROR_LIMIT, ERROR_INVALID. */
bool host_lend_check(const struct host *h, struct json_object *policy, struct error *e);
/* Appends a card for each function that the policy (NULL: none) gives away, after the cards of this
 * host's own VMs. One with the name, or on a segment the MAC address, of another is left out. */
void host_lend_cards(const struct host *h, struct json_object *policy, struct arena *a,
		     struct plane_cards *out);
/* The policy in force, or what the switch sees at its ports, has changed. */
void host_lend_changed(struct host *h);

/* ---- the server's side ---- */

/* Cards on overlay segments get functions of the server's card, and nothing else. */
bool host_borrows(const struct host *h);
/* The function for a VM's network card, "UUID.KEY"; NULL: none, or the card is not to be seen. */
const struct card_function *host_borrowed(const struct host *h, const char *port);
/* What the card's switch sees there; NULL: nothing is known. */
const struct plane_port_state *host_borrowed_seen(const struct host *h, const char *port);
/* The function's folder, into `out`; the socket there is CARD_SOCKET. */
void host_borrow_folder(const struct host *h, const struct card_function *f, char *out,
			size_t size);

/* Somebody who waits for functions. */
struct borrow_wait {
	/* They are there; else *why says what is missing. */
	bool (*is_ready)(void *arg, struct error *why);
	void (*done)(void *arg, const struct error *e); /* once, never from within the call */
	void *arg;
};
void host_borrow_wait(struct host *h, const struct borrow_wait *w);
/* Why the server has no function for a card, in words for who asks for it. */
bool host_borrow_refuse(const struct host *h, const char *port, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of a card in it: what the card says of itself (card.json in the link folder)
 * becomes PhysicalNic.dpuId and a DpuStatusInfo, and VMs' network cards get the functions that it
 * lends (host_lend.h).
 *
 * A card that vanishes stays known until the program ends: its status is then "unknown".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "host/draft.h"
#include "host/host_impl.h"
#include "host/host_lend.h"
#include "host/host_plane.h"

LOG_MODULE("pairing");

enum {
	BORROW_WAIT_US = 10000000, /* for the manager to give a function, and the card to say so */
	BORROW_LOOK_MS = 100,
};

struct borrow_waiting {
	struct list_node node;
	struct borrow_wait w;
	int64_t until_us;
};

struct host_pairing {
	struct card_watch *watch;
	char *link;
	bool is_known, is_present;
	struct card card;				  /* last seen */
	struct plane_port_state seen[CARD_FUNCTIONS_MAX]; /* by its functions */
	struct list waiting;				  /* struct borrow_waiting */
	struct timer *timer;
	char why[240]; /* not present: why */
};

/* ---- what the card says ---- */

static void card_take(struct host_pairing *p, const struct card *card)
{
	p->card = *card;
	p->is_known = p->is_present = true;
	memset(p->seen, 0, sizeof(p->seen));
	for (size_t i = 0; i < card->n_functions; i++) {
		const struct card_function *f = &card->functions[i];
		p->seen[i].is_up = f->is_up;
		p->seen[i].n_addresses = f->n_addresses;
		memcpy(p->seen[i].addresses, f->addresses, sizeof(f->addresses));
	}
}

static void card_changed(void *arg, const struct card *card, const struct error *why)
{
	struct host *h = arg;
	struct host_pairing *p = h->pairing;

	if (card != NULL) {
		if (!p->is_present) {
			log_info("card \"%s\" (%s) is in this server", card->dpu_id, card->model);
		}
		card_take(p, card);
	} else {
		if (p->is_present) {
			log_warn("card \"%s\" is gone: %s", p->card.dpu_id, why->msg);
		}
		p->is_present = false;
		memcpy(p->why, why->msg, sizeof(p->why));
	}
	host_network_publish(h);
	host_system_set_runtime(h);
	host_plane_changed(h);
	if (h->vm_ops != NULL && h->vm_ops->wire_changed != NULL) {
		h->vm_ops->wire_changed(h, NULL);
	}
	if (!list_is_empty(&p->waiting)) {
		timer_start(p->timer, 0, 0);
	}
}

const char *host_pairing_dpu_id(const struct host *h, const char *mac)
{
	const struct card *card = host_pairing_card(h);

	for (size_t i = 0; card != NULL && i < card->n_functions; i++) {
		const struct card_function *f = &card->functions[i];
		if (f->kind == CARD_NET && strcmp(f->mac, mac) == 0) {
			return card->dpu_id;
		}
	}
	return NULL;
}

const struct card *host_pairing_card(const struct host *h)
{
	return h->pairing != NULL && h->pairing->is_known ? &h->pairing->card : NULL;
}

struct value *host_pairing_status(const struct host *h, struct arena *a)
{
	const struct host_pairing *p = h->pairing;

	if (p == NULL || !p->is_known) {
		return NULL;
	}
	struct value *list = value_new_array(a, T_DpuStatusInfo);
	struct value *v = value_new(a, T_DpuStatusInfo);
	struct value *fru = value_new(a, T_HostFru);
	value_set_str(a, v, F_HostHardwareElementInfo_name, p->card.model);
	value_set(a, v, F_HostHardwareElementInfo_status,
		  p->is_present ? draft_element(a, "green", "Green", "The card answers")
				: draft_element(a, "unknown", "Unknown", p->why));
	value_set_str(a, v, F_DpuStatusInfo_dpuId, p->card.dpu_id);
	value_set_str(a, fru, F_HostFru_type, "board");
	value_set_str(a, fru, F_HostFru_partName, p->card.model);
	value_set_str(a, fru, F_HostFru_partNumber, "");
	value_set_str(a, fru, F_HostFru_manufacturer, "");
	value_set_str(a, fru, F_HostFru_serialNumber, p->card.uuid);
	value_set(a, v, F_DpuStatusInfo_fru, fru);
	value_push(a, list, v);
	return list;
}

/* ---- what is borrowed ---- */

bool host_borrows(const struct host *h)
{
	const struct host_pairing *p = h->pairing;
	bool lends = false;

	for (size_t i = 0; p != NULL && i < p->card.n_functions; i++) {
		lends |= p->card.functions[i].kind == CARD_NET;
	}
	return p != NULL && (lends || !p->is_known);
}

/* Its place among the card's functions; -1: none. */
static int borrowed_at(const struct host *h, const char *port)
{
	const struct host_pairing *p = h->pairing;

	for (size_t i = 0; p != NULL && p->is_present && i < p->card.n_functions; i++) {
		const struct card_function *f = &p->card.functions[i];
		if (f->kind == CARD_NET && strcmp(f->card, port) == 0) {
			return (int)i;
		}
	}
	return -1;
}

const struct card_function *host_borrowed(const struct host *h, const char *port)
{
	int at = borrowed_at(h, port);

	return at < 0 ? NULL : &h->pairing->card.functions[at];
}

const struct plane_port_state *host_borrowed_seen(const struct host *h, const char *port)
{
	int at = borrowed_at(h, port);

	return at < 0 ? NULL : &h->pairing->seen[at];
}

void host_borrow_folder(const struct host *h, const struct card_function *f, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", h->pairing->link, f->name);
}

bool host_borrow_refuse(const struct host *h, const char *port, struct error *e)
{
	const struct host_pairing *p = h->pairing;
	size_t n = 0, n_taken = 0;

	if (!p->is_present) {
		return error_set(e, ERROR_UNREACHABLE,
				 "network card \"%s\" needs a function of this server's card, "
				 "which does not show itself in \"%.100s\"",
				 port, p->link);
	}
	for (size_t i = 0; i < p->card.n_functions; i++) {
		n += p->card.functions[i].kind == CARD_NET;
		n_taken += p->card.functions[i].card[0] != '\0';
	}
	return n_taken == n
		       ? error_set(e, ERROR_LIMIT,
				   "network card \"%s\" needs a function of card \"%s\", which "
				   "lends %zu, and all of them are taken",
				   port, p->card.dpu_id, n)
		       : error_set(e, ERROR_UNREACHABLE,
				   "network card \"%s\" has not been given one of the %zu "
				   "functions of card \"%s\": the manager does it, which is not "
				   "there or does not know this VM",
				   port, n, p->card.dpu_id);
}

static void borrow_look(void *arg)
{
	struct host_pairing *p = arg;
	int64_t now_us = clock_mono_us(clock_real());
	struct list all;

	list_init(&all);
	for (struct list_node *n; (n = list_pop_front(&p->waiting)) != NULL;) {
		list_push_back(&all, n);
	}
	for (struct list_node *n; (n = list_pop_front(&all)) != NULL;) {
		struct borrow_waiting *x = CONTAINER_OF(n, struct borrow_waiting, node);
		struct error why = { 0 };
		bool is_ready = x->w.is_ready(x->w.arg, &why);
		if (!is_ready && x->until_us > now_us) {
			list_push_back(&p->waiting, n);
			continue;
		}
		x->w.done(x->w.arg, is_ready ? NULL : &why);
		free(x);
	}
	if (!list_is_empty(&p->waiting)) {
		timer_start(p->timer, BORROW_LOOK_MS, 0);
	}
}

void host_borrow_wait(struct host *h, const struct borrow_wait *w)
{
	struct borrow_waiting *x = mem_zalloc(sizeof(*x));

	x->w = *w;
	x->until_us = clock_mono_us(clock_real()) + BORROW_WAIT_US;
	list_push_back(&h->pairing->waiting, &x->node);
	timer_start(h->pairing->timer, 0, 0);
}

/* ---- life ---- */

void host_pairing_start(struct host *h, const char *link)
{
	if (link == NULL) {
		link = h->node.role == NODE_SERVER ? h->node.link : "";
	}
	if (link[0] == '\0') {
		return;
	}
	struct card *card = mem_zalloc(sizeof(*card));
	struct error why;
	h->pairing = mem_zalloc(sizeof(*h->pairing));
	h->pairing->link = mem_strdup(link);
	h->pairing->timer = timer_new(h->loop, clock_real(), borrow_look, h->pairing);
	list_init(&h->pairing->waiting);
	if (card_read(link, card, &why)) { /* before any VM starts */
		card_take(h->pairing, card);
	}
	free(card);
	struct card_watch_config c = {
		.loop = h->loop,
		.link = link,
		.changed = card_changed,
		.arg = h,
	};
	h->pairing->watch = card_watch_new(&c);
}

void host_pairing_stop(struct host *h)
{
	if (h->pairing != NULL) {
		card_watch_free(h->pairing->watch);
		timer_free(h->pairing->timer);
		for (struct list_node *n; (n = list_pop_front(&h->pairing->waiting)) != NULL;) {
			free(CONTAINER_OF(n, struct borrow_waiting, node));
		}
		free(h->pairing->link);
		free(h->pairing);
		h->pairing = NULL;
	}
}

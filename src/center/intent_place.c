/* SPDX-License-Identifier: Apache-2.0 */
#include "center/intent_place.h"

#include <string.h>

#include "base/mem.h"
#include "center/lend.h"
#include "center/member.h"

/* ---- hosts and networks that cards are at ---- */

static struct intent_host *host_get(struct intent_cards *cs, struct member *m)
{
	struct intent_host *h = map64_get(&cs->hosts, (uint64_t)(uintptr_t)m);

	if (h == NULL) {
		h = mem_zalloc(sizeof(*h));
		h->member = m;
		map64_set(&cs->hosts, (uint64_t)(uintptr_t)m, h);
	}
	return h;
}

static struct intent_part *part_get(struct intent_cards *cs, const char *network, struct member *m)
{
	struct intent_network *n = map_get(&cs->networks, network);

	if (n == NULL) {
		n = mem_zalloc(sizeof(*n));
		n->id = mem_strdup(network);
		map_set(&cs->networks, network, n);
	}
	vec_each (&n->parts, it) {
		if ((*it)->member == m) {
			return *it;
		}
	}
	struct intent_part *p = mem_zalloc(sizeof(*p));
	p->member = m;
	vec_push(&n->parts, p);
	return p;
}

void intent_part_stale(struct intent_cards *cs, const struct intent_card *card)
{
	if (card->network != NULL && card->at != NULL) {
		part_get(cs, card->network, card->at)->is_fresh = false;
	}
}

/* A function of the card in its VM's host; -1: all are taken. */
static int function_take(struct intent_cards *cs, const struct intent_card *card,
			 struct member *dpu)
{
	struct intent_host *h = host_get(cs, dpu);
	bool is_used[LEND_MAX] = { false };

	vec_each (&h->cards, it) {
		int function = (*it)->at == dpu ? (*it)->function : (*it)->to_function;
		if (function >= 0 && function < LEND_MAX) {
			is_used[function] = true;
		}
	}
	return lend_take(cs->in->c, dpu, card->name, is_used, !cs->is_starting);
}

/* The member that the card's port is at while its VM is on the host; function: that it has there,
 * or -1. */
static struct member *place_for(struct intent_cards *cs, const struct intent_card *card,
				struct member *host, int *function)
{
	struct member *dpu =
		host == NULL || card->network == NULL ? NULL : lend_card_in(cs->in->c, host);

	*function = -1;
	if (dpu == NULL) {
		return host;
	}
	if (!card->is_virtio) {
		return NULL;
	}
	*function = function_take(cs, card, dpu);
	cs->is_waiting |= *function < 0;
	return *function < 0 ? NULL : dpu;
}

/* The VM moves: the card is known at both places. */
void intent_card_place_coming(struct intent_cards *cs, struct intent_card *card)
{
	if (card->vm->moving == NULL) {
		return;
	}
	card->to = place_for(cs, card, card->vm->moving, &card->to_function);
	if (card->to == card->at) {
		card->to = NULL;
	}
	if (card->to == NULL) {
		return;
	}
	vec_push(&host_get(cs, card->to)->cards, card);
	if (card->network != NULL) {
		vec_push(&part_get(cs, card->network, card->to)->coming, card);
	}
}

void intent_card_unplace_coming(struct intent_cards *cs, struct intent_card *card)
{
	if (card->to == NULL) {
		return;
	}
	forget_card(&host_get(cs, card->to)->cards, card);
	if (card->network != NULL) {
		forget_card(&part_get(cs, card->network, card->to)->coming, card);
	}
	card->to = NULL;
	card->to_function = -1;
}

void intent_card_place(struct intent_cards *cs, struct intent_card *card)
{
	card->at = place_for(cs, card, card->vm->member, &card->function);
	if (card->at != NULL) {
		vec_push(&host_get(cs, card->at)->cards, card);
	}
	if (card->at != NULL && card->network != NULL) {
		struct intent_part *p = part_get(cs, card->network, card->at);
		vec_push(&p->cards, card);
		p->is_fresh = false;
	}
	intent_card_place_coming(cs, card);
}

void intent_card_unplace(struct intent_cards *cs, struct intent_card *card)
{
	intent_card_unplace_coming(cs, card);
	if (card->at == NULL) {
		return;
	}
	struct intent_host *h = host_get(cs, card->at);
	forget_card(&h->cards, card);
	if (card->network != NULL) {
		struct intent_part *p = part_get(cs, card->network, card->at);
		forget_card(&p->cards, card);
		p->is_fresh = false;
	}
	card->at = NULL;
	card->function = -1;
}

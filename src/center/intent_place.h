/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a network card's port is: the node of its VM's host or, by a function that it lends, the
 * card in that; while its VM moves also where it will be. Keeps the lists of intent_card.h by node
 * and network. For intent_card.c; event-loop thread only.
 */
#pragma once

#include "center/intent_card.h"

#define forget_card(list, card)                                                                    \
	do {                                                                                       \
		for (size_t i_ = 0; i_ < (list)->n; i_++) {                                        \
			if ((list)->items[i_] == (card)) {                                         \
				vec_remove(list, i_);                                              \
				break;                                                             \
			}                                                                          \
		}                                                                                  \
	} while (0)

/* By the VM's host; card->at and ->to, which were NULL. */
void intent_card_place(struct intent_cards *cs, struct intent_card *card);
void intent_card_unplace(struct intent_cards *cs, struct intent_card *card);
/* By where the VM moves to; no effect where it does not. */
void intent_card_place_coming(struct intent_cards *cs, struct intent_card *card);
void intent_card_unplace_coming(struct intent_cards *cs, struct intent_card *card);

/* What others are told of the card's node and network is to be written anew. */
void intent_part_stale(struct intent_cards *cs, const struct intent_card *card);

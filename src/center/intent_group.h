/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is in which group. A group's expression is a question about a single network card; the answer
 * for each card is one bit, asked again for the card that changed (in all groups) or for the group
 * that changed (with those that contain it, of all cards). Addresses of a group are written out
 * only when somebody wants them and a card or an address in it is another. Event-loop thread only.
 */
#pragma once

#include "base/buf.h"
#include "center/intent.h"

struct intent_card;

/* Text that is kept for many documents. */
struct intent_text {
	struct buf b;
	uint64_t hash;
	bool is_fresh;
};

struct intent_groups *intent_groups_new(struct intent *in);
void intent_groups_free(struct intent_groups *gs);

/* The object was made or changed; it goes. */
void intent_groups_object(struct intent *in, struct intent_object *o);
void intent_groups_gone(struct intent *in, struct intent_object *o);

/* The card came, changed, or may have other addresses; it goes. */
void intent_groups_card(struct intent *in, struct intent_card *card);
void intent_groups_card_gone(struct intent *in, const struct intent_card *card);

bool intent_group_has(const struct intent_object *group, const struct intent_card *card);

/* The group's addresses and networks as JSON strings with commas between, and their number; they
 * live until something changes. */
const struct intent_text *intent_group_addresses(struct intent *in, struct intent_object *group,
						 size_t *n);
/* Networks that the group and the groups in it name, without addresses of cards. */
void intent_group_each_prefix(struct intent *in, struct intent_object *group,
			      void (*fn)(void *arg, const char *prefix), void *arg);

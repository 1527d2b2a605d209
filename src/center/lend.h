/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of its network functions a card lends to which network card of a VM on its server
 * (host/host_lend.h). How many there are is said by the card, which server it sits in by
 * pairing.h; who gets which is decided here and kept in the database, so that a manager that was
 * started again gives the same. The addresses that guests use there are the card's word, not the
 * server's. Event-loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "center/center.h"

struct member;
struct lend;

enum {
	LEND_MAX = 256 /* functions of a card */
};

struct lend *lend_new(struct center *c);
void lend_free(struct lend *l);

/* The card in the host, where that lends functions; NULL: none. */
struct member *lend_card_in(struct center *c, const struct member *host);

/* A card says how many functions it lends. */
void lend_said(struct center *c, struct member *card, uint32_t n);
/* What the card says of itself may have changed, among it the addresses seen at its functions. */
void lend_look(struct member *card);
/* Those at the function that a network card has, "10.1.0.21,fe80::1"; "": none. */
const char *lend_seen(struct center *c, const struct member *card, const char *name);
/* It is taken out of the database, in the transaction that is begun. */
void lend_drop(struct member *card);

/* The function of the card that is, or from now on shall be, for the network card `name`; -1: all
 * are taken. is_used[N]: has another one now. `again`: functions may be given whose former users
 * are not there; not while they are still being loaded. */
int lend_take(struct center *c, const struct member *card, const char *name,
	      const bool is_used[LEND_MAX], bool again);

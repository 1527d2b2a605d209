/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network cards of all VMs, as far as policy is about them: whose they are, on which host and
 * network, and which addresses they have. Read from the mirror when a VM changes, and only what
 * changed is passed on. What was seen last is kept in the database, so that a manager that was
 * started again and has not heard of a host yet takes nothing away from the others.
 *
 * An address that a running VM is not seen with any more counts for ADDRESS_LINGER_MS longer: a
 * host that was started again has to see its guests' packets first. Event-loop thread only.
 */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"
#include "center/intent.h"

struct member;

enum {
	INTENT_CARD_NAME_MAX = 48, /* "INSTANCEUUID.KEY" */
	INTENT_CARD_ADDRESSES_MAX = 64,
	ADDRESS_LINGER_MS = 10000
};

struct intent_address_text {
	char text[46];
};

struct intent_card {
	uint32_t slot; /* index of cards->slots; reused */
	struct intent_vm *vm;
	int32_t key;
	char name[INTENT_CARD_NAME_MAX];
	char mac[18];	   /* lower case; "": none yet */
	char *network;	   /* opaqueNetworkId of what it is attached to; NULL: no segment */
	char *external_id; /* or NULL */
	/* Where its port is: the VM's host or, by a function that it lends, that host's card; NULL:
	 * nowhere, as no function is left. */
	struct member *at;
	int function; /* number of the function; -1: none */
	/* Where it will be once its VM has moved; NULL: the VM does not, or nowhere. */
	struct member *to;
	int to_function;
	bool is_virtio, is_cut;
	/* In the guest, as the VM's host says; of no weight where that is not where its port is. */
	VEC(struct intent_address_text) seen;
	VEC(struct intent_address_text) bound; /* by its port */
	VEC(struct intent_address_text) all;   /* both, each once */
	struct intent_object *port;	       /* of the segment; NULL: none has it attached */
};

struct intent_vm {
	char *id; /* "vm-17" */
	struct object *object;
	struct member *member;
	struct member *moving; /* to this host; NULL: nowhere */
	char *name, *uuid;     /* instance UUID */
	char *facts;	       /* what was read last, as text */
	int64_t linger_us;     /* until when addresses that were not seen any more count; 0: none */
	VEC(struct intent_card *) cards;
	const struct intent_object *tags; /* NULL: none */
};

/* The cards at one host on one network, and what other hosts are told of them. */
struct intent_part {
	struct member *member;
	VEC(struct intent_card *) cards;
	VEC(struct intent_card *) coming; /* that are at another host yet */
	struct buf remotes;		  /* "remotes" of plane-switch.json, with commas between */
	uint64_t hash;
	bool is_fresh;
};
struct intent_network {
	char *id;
	VEC(struct intent_part *) parts;
};
struct intent_host {
	struct member *member;
	VEC(struct intent_card *) cards;
};

struct intent_cards {
	struct intent *in;
	struct map vms;			 /* id of the VM → struct intent_vm */
	struct map by_uuid;		 /* instance UUID → the same */
	struct map networks;		 /* opaqueNetworkId → struct intent_network */
	struct map ports;		 /* attachment.id → port */
	struct map64 hosts;		 /* address of the member → struct intent_host */
	VEC(struct intent_card *) slots; /* NULL: free */
	VEC(uint32_t) free_slots;
	struct inventory_listener *listener;
	struct inventory_reader reader;
	struct timer *linger;
	bool is_starting, is_waiting; /* some card for a function */
	uint64_t n_read;	      /* VMs that were read, for tests */
};

struct intent_cards *intent_cards_new(struct intent *in);
/* From now on hears of VMs; intent->cards is set. */
void intent_cards_start(struct intent_cards *cs);
void intent_cards_free(struct intent_cards *cs);

/* Name of a card on the network; NULL: there is none. */
const char *intent_card_on(const struct intent *in, const char *network);
struct intent_vm *intent_vm_by_uuid(const struct intent *in, const char *uuid);
struct intent_host *intent_host_of(const struct intent *in, const struct member *m); /* or NULL */
struct intent_network *intent_network_of(const struct intent *in, const char *id);   /* or NULL */

/* The object was made or changed; it goes. */
void intent_cards_object(struct intent *in, struct intent_object *o);
void intent_cards_gone(struct intent *in, const struct intent_object *o);

/* The member's card is another, or lends more or less. */
void intent_cards_moved(struct intent *in, const struct member *m);
/* Other addresses were seen at functions that the member lends. */
void intent_cards_seen(struct intent *in, const struct member *m);
/* The VM is on its way to the member, and known at both; NULL: it is at one place again. */
void intent_cards_moving(struct intent *in, const struct object *vm, struct member *to);
/* The member has another tunnel endpoint; it is being freed. */
void intent_cards_endpoint(struct intent *in, const struct member *m);
void intent_cards_member_gone(struct intent *in, const struct member *m);

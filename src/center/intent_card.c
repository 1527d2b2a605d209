/* SPDX-License-Identifier: Apache-2.0 */
#include "center/intent_card.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/timer.h"
#include "center/database.h"
#include "center/intent_address.h"
#include "center/intent_card_read.h"
#include "center/intent_group.h"
#include "center/intent_meaning.h"
#include "center/intent_place.h"
#include "center/lend.h"
#include "center/member.h"
#include "center/node_policy.h"
#include "center/place.h"

enum {
	LINGER_LOOK_MS = 1000
};

/* ---- looking up ---- */

const char *intent_card_on(const struct intent *in, const char *network)
{
	const struct intent_network *n = intent_network_of(in, network);

	for (size_t i = 0; n != NULL && i < n->parts.n; i++) {
		if (n->parts.items[i]->cards.n > 0) {
			return n->parts.items[i]->cards.items[0]->name;
		}
	}
	return NULL;
}

struct intent_vm *intent_vm_by_uuid(const struct intent *in, const char *uuid)
{
	return in->cards == NULL ? NULL : map_get(&in->cards->by_uuid, uuid);
}

struct intent_host *intent_host_of(const struct intent *in, const struct member *m)
{
	return in->cards == NULL ? NULL : map64_get(&in->cards->hosts, (uint64_t)(uintptr_t)m);
}

struct intent_network *intent_network_of(const struct intent *in, const char *id)
{
	return in->cards == NULL ? NULL : map_get(&in->cards->networks, id);
}

/* ---- addresses ---- */

static void add_once(struct intent_card *card, const char *text)
{
	vec_each (&card->all, it) {
		if (strcmp(it->text, text) == 0) {
			return;
		}
	}
	if (card->all.n < INTENT_CARD_ADDRESSES_MAX) {
		struct intent_address_text a;
		snprintf(a.text, sizeof(a.text), "%s", text);
		vec_push(&card->all, a);
	}
}

static struct intent_object *port_of(const struct intent_cards *cs, const struct intent_card *card)
{
	struct intent_object *port = map_get(&cs->ports, card->name);

	if (port == NULL && card->external_id != NULL) {
		port = map_get(&cs->ports, card->external_id);
	}
	return port != NULL && card->network != NULL && port->parent != NULL &&
			       strcmp(port->parent->id, card->network) == 0
		       ? port
		       : NULL;
}

/* Of a function: by the word of who lends it. */
static void add_seen_there(const struct intent_cards *cs, struct intent_card *card)
{
	const char *all = lend_seen(cs->in->c, card->at, card->name);

	while (*all != '\0') {
		char text[64], address[46];
		size_t n = strcspn(all, ",");
		snprintf(text, sizeof(text), "%.*s", (int)MIN(n, sizeof(text) - 1), all);
		if (intent_address(text, address)) {
			add_once(card, address);
		}
		all += n + (all[n] == ',');
	}
}

/* What its port and its guest say together. */
static void card_addresses(struct intent_cards *cs, struct intent_card *card)
{
	card->port = port_of(cs, card);
	vec_clear(&card->bound);
	vec_clear(&card->all);
	for (size_t i = 0; card->port != NULL && i < card->port->meaning->bindings.n; i++) {
		const struct intent_binding *b = &card->port->meaning->bindings.items[i];
		if (b->mac == NULL || strcasecmp(b->mac, card->mac) == 0) {
			struct intent_address_text a;
			snprintf(a.text, sizeof(a.text), "%s", b->address);
			vec_push(&card->bound, a);
			add_once(card, a.text);
		}
	}
	if (card->function >= 0) {
		add_seen_there(cs, card);
		return;
	}
	vec_each (&card->seen, it) {
		add_once(card, it->text);
	}
}

/* ---- functions ---- */

/* The card's port is perhaps elsewhere now. */
static void card_move(struct intent_cards *cs, struct intent_card *card)
{
	intent_card_unplace(cs, card);
	intent_card_place(cs, card);
	card_addresses(cs, card);
	intent_groups_card(cs->in, card);
	node_policy_intent_changed(cs->in->c);
}

void intent_cards_seen(struct intent *in, const struct member *m)
{
	const struct intent_host *h = intent_host_of(in, m);

	for (size_t i = 0; h != NULL && i < h->cards.n; i++) {
		struct intent_card *card = h->cards.items[i];
		if (card->function >= 0) {
			card_addresses(in->cards, card);
			intent_part_stale(in->cards, card);
			intent_groups_card(in, card);
		}
	}
	node_policy_intent_changed(in->c);
}

void intent_cards_moving(struct intent *in, const struct object *o, struct member *to)
{
	struct intent_cards *cs = in->cards;
	struct intent_vm *vm = cs == NULL ? NULL : map_get(&cs->vms, object_id(o));

	if (vm == NULL || vm->moving == to) {
		return;
	}
	vm->moving = to;
	vec_each (&vm->cards, it) {
		intent_card_unplace_coming(cs, *it);
		intent_card_place_coming(cs, *it);
		intent_part_stale(cs, *it);
	}
	node_policy_intent_changed(in->c);
}

/* Functions that have become free go to those that wait for one. */
static void functions_look(struct intent_cards *cs)
{
	if (!cs->is_waiting || cs->is_starting) {
		return;
	}
	cs->is_waiting = false;
	for (size_t i = 0; i < cs->slots.n; i++) {
		struct intent_card *card = cs->slots.items[i];
		if (card != NULL && card->at == NULL) {
			card_move(cs, card);
		}
	}
}

void intent_cards_moved(struct intent *in, const struct member *m)
{
	for (size_t i = 0; i < in->cards->slots.n; i++) {
		struct intent_card *card = in->cards->slots.items[i];
		if (card != NULL && (card->vm->member == m || card->vm->moving == m)) {
			card_move(in->cards, card);
		}
	}
	functions_look(in->cards);
}

/* ---- cards ---- */

static uint32_t slot_take(struct intent_cards *cs, struct intent_card *card)
{
	if (cs->free_slots.n > 0) {
		uint32_t slot = vec_pop(&cs->free_slots);
		cs->slots.items[slot] = card;
		return slot;
	}
	vec_push(&cs->slots, card);
	return (uint32_t)cs->slots.n - 1;
}

static struct intent_card *card_new(struct intent_cards *cs, struct intent_vm *vm,
				    const struct card_facts *f)
{
	struct intent_card *card = mem_zalloc(sizeof(*card));

	card->slot = slot_take(cs, card);
	card->to_function = -1;
	card->vm = vm;
	card->key = f->key;
	snprintf(card->name, sizeof(card->name), "%s.%d", vm->uuid, (int)f->key);
	snprintf(card->mac, sizeof(card->mac), "%s", f->mac);
	card->network = f->network[0] == '\0' ? NULL : mem_strdup(f->network);
	card->external_id = f->external_id[0] == '\0' ? NULL : mem_strdup(f->external_id);
	card->is_virtio = f->is_virtio;
	card->is_cut = f->is_cut;
	for (size_t i = 0; i < f->addresses.n; i++) {
		vec_push(&card->seen, f->addresses.items[i]);
	}
	intent_card_place(cs, card);
	card_addresses(cs, card);
	vec_push(&vm->cards, card);
	return card;
}

static void card_free(struct intent_cards *cs, struct intent_card *card)
{
	intent_groups_card_gone(cs->in, card);
	intent_card_unplace(cs, card);
	cs->slots.items[card->slot] = NULL;
	vec_push(&cs->free_slots, card->slot);
	forget_card(&card->vm->cards, card);
	free(card->network);
	free(card->external_id);
	vec_free(&card->seen);
	vec_free(&card->bound);
	vec_free(&card->all);
	free(card);
}

/* The same card but for the addresses seen? */
static bool card_is(const struct intent_card *card, const struct card_facts *f)
{
	return card->key == f->key && card->is_virtio == f->is_virtio &&
	       strcmp(card->mac, f->mac) == 0 &&
	       strcmp(card->network == NULL ? "" : card->network, f->network) == 0 &&
	       strcmp(card->external_id == NULL ? "" : card->external_id, f->external_id) == 0;
}

static bool has_address(const struct card_facts *f, const char *text)
{
	for (size_t i = 0; i < f->addresses.n; i++) {
		if (strcmp(f->addresses.items[i].text, text) == 0) {
			return true;
		}
	}
	return false;
}

/* ---- VMs ---- */

static struct intent_card *card_of(const struct intent_vm *vm, int32_t key)
{
	for (size_t i = 0; i < vm->cards.n; i++) {
		if (vm->cards.items[i]->key == key) {
			return vm->cards.items[i];
		}
	}
	return NULL;
}

static const struct card_facts *facts_of(const struct vm_facts *f, int32_t key)
{
	for (size_t i = 0; i < f->cards.n; i++) {
		if (f->cards.items[i].key == key) {
			return &f->cards.items[i];
		}
	}
	return NULL;
}

static void vm_drop(struct intent_cards *cs, struct intent_vm *vm)
{
	while (vm->cards.n > 0) {
		card_free(cs, vm->cards.items[vm->cards.n - 1]);
	}
	map_remove(&cs->vms, vm->id);
	if (vm->uuid != NULL && map_get(&cs->by_uuid, vm->uuid) == vm) {
		map_remove(&cs->by_uuid, vm->uuid);
	}
	vec_free(&vm->cards);
	free(vm->id);
	free(vm->name);
	free(vm->uuid);
	free(vm->facts);
	free(vm);
	functions_look(cs);
	node_policy_intent_changed(cs->in->c);
}

static const struct intent_object *tags_of(const struct intent *in, const char *uuid)
{
	char path[96];

	snprintf(path, sizeof(path), "/fabric/virtual-machines/%s", uuid);
	return intent_find(in, path);
}

static void put_text(char **to, const char *text)
{
	free(*to);
	*to = mem_strdup(text);
}

/* Addresses that a running VM had a moment ago go on to count. */
static void vm_linger(struct intent_cards *cs, struct intent_vm *vm, struct vm_facts *f)
{
	int64_t now = clock_mono_us(cs->in->c->clock);
	bool is_over = !f->is_on || (vm->linger_us != 0 && now >= vm->linger_us);
	bool is_missing = false;

	for (size_t i = 0; !is_over && i < f->cards.n; i++) {
		struct card_facts *card = &f->cards.items[i];
		const struct intent_card *before = card_of(vm, card->key);
		if (before == NULL || !card_is(before, card)) {
			continue;
		}
		for (size_t j = 0; j < before->seen.n; j++) {
			if (!has_address(card, before->seen.items[j].text) &&
			    card->addresses.n < INTENT_CARD_ADDRESSES_MAX) {
				vec_push(&card->addresses, before->seen.items[j]);
				is_missing = true;
			}
		}
	}
	if (!is_missing) {
		vm->linger_us = 0;
	} else if (vm->linger_us == 0) {
		vm->linger_us = now + ADDRESS_LINGER_MS * INT64_C(1000);
		if (!timer_is_active(cs->linger)) {
			timer_start(cs->linger, LINGER_LOOK_MS, LINGER_LOOK_MS);
		}
	}
}

/* Makes the VM's cards what the facts say. */
static void vm_set(struct intent_cards *cs, struct intent_vm *vm, const struct vm_facts *f)
{
	for (size_t i = vm->cards.n; i-- > 0;) {
		struct intent_card *card = vm->cards.items[i];
		const struct card_facts *now = facts_of(f, card->key);
		if (now == NULL || !card_is(card, now)) {
			card_free(cs, card);
		}
	}
	put_text(&vm->name, f->name);
	vm->tags = tags_of(cs->in, vm->uuid);
	vec_each (&f->cards, it) {
		struct intent_card *card = card_of(vm, it->key);
		if (card == NULL) {
			card = card_new(cs, vm, it);
		} else {
			card->is_cut = it->is_cut;
			vec_clear(&card->seen);
			for (size_t i = 0; i < it->addresses.n; i++) {
				vec_push(&card->seen, it->addresses.items[i]);
			}
			card_addresses(cs, card);
			intent_part_stale(cs, card);
		}
		intent_groups_card(cs->in, card);
	}
	functions_look(cs);
	node_policy_intent_changed(cs->in->c);
}

/* It has moved; what was seen of it there goes on to count for a while. */
static void vm_rehome(struct intent_cards *cs, struct intent_vm *vm, struct member *m)
{
	vm->member = m;
	vm->moving = vm->moving == m ? NULL : vm->moving;
	vec_each (&vm->cards, it) {
		card_move(cs, *it);
	}
	functions_look(cs);
}

/* Takes the facts in; nothing happens where they are what they were. */
static void vm_take(struct intent_cards *cs, struct object *o, struct vm_facts *f, bool is_new)
{
	struct intent_vm *vm = map_get(&cs->vms, object_id(o));
	struct member *m = mirrored_member(o);
	struct buf text = BUF_INIT;

	if (vm != NULL && strcmp(vm->uuid, f->uuid) != 0) {
		vm_drop(cs, vm);
		vm = NULL;
	}
	if (vm != NULL) {
		vm_linger(cs, vm, f);
	}
	if (vm != NULL && vm->member != m) {
		vm_rehome(cs, vm, m);
	}
	vm_facts_write(f, &text);
	if (vm != NULL && strcmp(vm->facts, text.data) == 0) {
		buf_free(&text);
		return;
	}
	if (vm == NULL) {
		vm = mem_zalloc(sizeof(*vm));
		vm->id = mem_strdup(object_id(o));
		vm->uuid = mem_strdup(f->uuid);
		vm->object = o;
		vm->member = m;
		map_set(&cs->vms, vm->id, vm);
		map_set(&cs->by_uuid, vm->uuid, vm);
	}
	free(vm->facts);
	vm->facts = buf_take(&text);
	if (is_new) {
		database_put_cards(cs->in->c->db, vm->id, vm->facts);
	}
	vm_set(cs, vm, f);
}

static void vm_forget(struct intent_cards *cs, const char *id)
{
	struct intent_vm *vm = map_get(&cs->vms, id);

	if (vm != NULL) {
		vm_drop(cs, vm);
	}
}

/* What its host shows, or what it showed last. */
static void vm_look(struct intent_cards *cs, struct object *o)
{
	const struct mirrored *mirrored = o->removed ? NULL : mirrored_of(o);
	struct object *there = mirrored == NULL ? NULL : mirrored_source(mirrored)->object;
	struct vm_facts f;

	if (mirrored == NULL) {
		return;
	}
	vm_facts_init(&f);
	cs->n_read++;
	if (there != NULL && !there->removed) {
		if (vm_facts_read(&f, there, place_name(o))) {
			vm_take(cs, o, &f, true);
		} else {
			vm_forget(cs, object_id(o));
		}
	} else if (!map_has(&cs->vms, object_id(o))) {
		const char *text = database_cards(cs->in->c->db, object_id(o), f.a);
		if (text != NULL && vm_facts_parse(&f, text)) {
			vm_take(cs, o, &f, false);
		}
	}
	vm_facts_fini(&f);
}

/* ---- what changed ---- */

static bool is_of_interest(const struct object *o, uint64_t since)
{
	if (o->created > since) {
		return true;
	}
	for (uint32_t i = o->n_journal; i-- > 0 && o->journal[i].version > since;) {
		unsigned prop = o->journal[i].prop;
		if (prop == P_ManagedEntity_name || prop == P_VirtualMachine_config ||
		    prop == P_VirtualMachine_guest || prop == P_VirtualMachine_runtime) {
			return true;
		}
	}
	return false;
}

static void on_change(void *arg)
{
	struct intent_cards *cs = arg;
	struct inventory *inv = cs->in->c->inventory;
	uint64_t since = cs->reader.version;

	for (struct object *o = inventory_newest(inv); o != NULL && o->version > since;
	     o = object_older(o)) {
		if (!schema_is_a(o->type, T_VirtualMachine)) {
			continue;
		}
		if (o->removed) {
			vm_forget(cs, object_id(o));
		} else if (is_of_interest(o, since)) {
			vm_look(cs, o);
		}
	}
	inventory_reader_advance(inv, &cs->reader, inventory_version(inv));
}

static void on_linger(void *arg)
{
	struct intent_cards *cs = arg;
	int64_t now = clock_mono_us(cs->in->c->clock);
	VEC(struct object *) due = { 0 };
	bool is_waiting = false;

	map_each (&cs->vms, it) {
		const struct intent_vm *vm = it->value;
		is_waiting |= vm->linger_us > now;
		if (vm->linger_us != 0 && vm->linger_us <= now) {
			vec_push(&due, vm->object);
		}
	}
	vec_each (&due, it) {
		vm_look(cs, *it);
	}
	vec_free(&due);
	if (!is_waiting) {
		timer_stop(cs->linger);
	}
}

/* ---- objects ---- */

static void ports_find(struct intent_cards *cs, const struct intent_object *without)
{
	map_clear(&cs->ports);
	list_each (struct intent_object, port, &cs->in->kinds[INTENT_SEGMENT_PORT], link) {
		if (port != without && port->meaning->attachment != NULL) {
			map_set(&cs->ports, port->meaning->attachment, port);
		}
	}
}

/* A port came, changed or goes. */
static void ports_changed(struct intent_cards *cs, const struct intent_object *port,
			  const struct intent_object *without)
{
	ports_find(cs, without);
	for (size_t i = 0; i < cs->slots.n; i++) {
		struct intent_card *card = cs->slots.items[i];
		if (card != NULL && (card->port == port || port_of(cs, card) == port)) {
			card_addresses(cs, card);
			intent_part_stale(cs, card);
			intent_groups_card(cs->in, card);
		}
	}
}

static void tags_changed(struct intent_cards *cs, const struct intent_object *o,
			 const struct intent_object *tags)
{
	struct intent_vm *vm = map_get(&cs->by_uuid, o->id);

	if (vm == NULL) {
		return;
	}
	vm->tags = tags;
	vec_each (&vm->cards, it) {
		intent_groups_card(cs->in, *it);
	}
}

void intent_cards_object(struct intent *in, struct intent_object *o)
{
	if (in->cards == NULL) {
		return;
	}
	if (o->kind == INTENT_SEGMENT_PORT) {
		ports_changed(in->cards, o, NULL);
	} else if (o->kind == INTENT_VM_TAGS) {
		tags_changed(in->cards, o, o);
	}
}

void intent_cards_gone(struct intent *in, const struct intent_object *o)
{
	if (in->cards == NULL) {
		return;
	}
	if (o->kind == INTENT_SEGMENT_PORT) {
		ports_changed(in->cards, o, o);
	} else if (o->kind == INTENT_VM_TAGS) {
		tags_changed(in->cards, o, NULL);
	}
}

void intent_cards_endpoint(struct intent *in, const struct member *m)
{
	map_each (&in->cards->networks, it) {
		const struct intent_network *n = it->value;
		for (size_t i = 0; i < n->parts.n; i++) {
			struct intent_part *p = n->parts.items[i];
			p->is_fresh &= p->member != m;
			for (size_t k = 0; k < p->cards.n; k++) {
				p->is_fresh &= p->cards.items[k]->to != m;
			}
		}
	}
}

void intent_cards_member_gone(struct intent *in, const struct member *m)
{
	struct intent_cards *cs = in->cards;

	map_each (&cs->vms, it) {
		struct intent_vm *vm = it->value;
		if (vm->moving == m) {
			intent_cards_moving(in, vm->object, NULL);
		}
		if (vm->member == m) {
			vm_drop(cs, vm);
		}
	}
	for (size_t i = 0; i < cs->slots.n; i++) {
		struct intent_card *card = cs->slots.items[i];
		if (card != NULL && card->to == m) {
			intent_card_unplace_coming(cs, card);
			intent_part_stale(cs, card);
		}
		if (card != NULL && card->at == m) {
			intent_card_unplace(cs, card);
		}
	}
	map_each (&cs->networks, it) {
		struct intent_network *n = it->value;
		for (size_t i = n->parts.n; i-- > 0;) {
			struct intent_part *p = n->parts.items[i];
			if (p->member == m) {
				vec_remove(&n->parts, i);
				vec_free(&p->cards);
				vec_free(&p->coming);
				buf_free(&p->remotes);
				free(p);
			}
		}
	}
	struct intent_host *h = map64_remove(&cs->hosts, (uint64_t)(uintptr_t)m);
	if (h != NULL) {
		vec_free(&h->cards);
		free(h);
	}
}

/* ---- life ---- */

struct intent_cards *intent_cards_new(struct intent *in)
{
	struct intent_cards *cs = mem_zalloc(sizeof(*cs));

	cs->in = in;
	cs->linger = timer_new(in->c->loop, in->c->clock, on_linger, cs);
	ports_find(cs, NULL);
	return cs;
}

void intent_cards_start(struct intent_cards *cs)
{
	struct inventory *inv = cs->in->c->inventory;
	struct object *o;

	inventory_reader_add(inv, &cs->reader);
	cs->is_starting = true;
	for (uint32_t i = 0; (o = inventory_each(inv, &i)) != NULL;) {
		if (!o->removed && schema_is_a(o->type, T_VirtualMachine)) {
			vm_look(cs, o);
		}
	}
	cs->is_starting = false;
	functions_look(cs);
	cs->listener = inventory_subscribe(inv, on_change, cs);
}

void intent_cards_free(struct intent_cards *cs)
{
	if (cs == NULL) {
		return;
	}
	cs->is_starting = true; /* nobody gets what becomes free */
	inventory_unsubscribe(cs->listener);
	inventory_reader_remove(cs->in->c->inventory, &cs->reader);
	map_each (&cs->vms, it) {
		vm_drop(cs, it->value);
	}
	map_each (&cs->networks, it) {
		struct intent_network *n = it->value;
		vec_each (&n->parts, part) {
			vec_free(&(*part)->cards);
			vec_free(&(*part)->coming);
			buf_free(&(*part)->remotes);
			free(*part);
		}
		vec_free(&n->parts);
		free(n->id);
		free(n);
	}
	map64_each(&cs->hosts, it)
	{
		struct intent_host *h = it->value;
		vec_free(&h->cards);
		free(h);
	}
	map_free(&cs->vms);
	map_free(&cs->by_uuid);
	map_free(&cs->networks);
	map_free(&cs->ports);
	map64_free(&cs->hosts);
	vec_free(&cs->slots);
	vec_free(&cs->free_slots);
	timer_free(cs->linger);
	free(cs);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM's configuration and guest say about its network cards. For intent_card.c. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"
#include "center/intent_card.h"
#include "vim/inventory.h"

struct card_facts {
	int32_t key;
	const char *mac, *network, *external_id; /* in the arena; "": none */
	bool is_virtio;				 /* uptv2Enabled */
	bool is_cut;				 /* not connected */
	VEC(struct intent_address_text) addresses;
};

struct vm_facts {
	struct arena *a;
	const char *name, *uuid;
	bool is_on;
	VEC(struct card_facts) cards;
};

/* Of an object as its host shows it; name: as the manager does. False: it has no instance UUID. */
bool vm_facts_read(struct vm_facts *f, struct object *vm, const char *name);
/* From what vm_facts_write() wrote; false: it did not. */
bool vm_facts_parse(struct vm_facts *f, const char *text);
void vm_facts_write(const struct vm_facts *f, struct buf *out);
void vm_facts_init(struct vm_facts *f);
void vm_facts_fini(struct vm_facts *f);

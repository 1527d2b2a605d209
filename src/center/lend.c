/* SPDX-License-Identifier: Apache-2.0 */
#include "center/lend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macro.h"
#include "base/map.h"
#include "base/mem.h"
#include "center/database.h"
#include "center/intent_card.h"
#include "center/member.h"
#include "center/pairing.h"

#define SEEN_KEY "remora.lent."

enum {
	USER_MAX = INTENT_CARD_NAME_MAX,
	SEEN_MAX = 4 * 46,
	TEXT_MAX = LEND_MAX * (USER_MAX + SEEN_MAX + 16)
};

/* A member as far as it lends. */
struct lender {
	uint32_t n;
	char user[LEND_MAX][USER_MAX]; /* who has, or had last, which function; "": nobody */
	char seen[LEND_MAX][SEEN_MAX]; /* the addresses there, with commas between */
};

struct lend {
	struct center *c;
	struct map lenders; /* id of the member → struct lender; NULL: it lends nothing */
};

/* ---- what is kept ---- */

static char *fact_name(const char *id)
{
	return mem_printf("lent/%s", id);
}

/* {"n": 8, "users": ["UUID.KEY", "", …], "seen": ["10.1.0.21", "", …]} */
static void lender_keep(struct center *c, const char *id, const struct lender *x)
{
	struct json_object *o = json_object_new_object(), *users = json_object_new_array();
	struct json_object *seen = json_object_new_array();
	struct buf text = BUF_INIT;
	char *name = fact_name(id);

	for (size_t i = 0; i < x->n; i++) {
		json_object_array_add(users, json_object_new_string(x->user[i]));
		json_object_array_add(seen, json_object_new_string(x->seen[i]));
	}
	json_put_u64(o, "n", x->n);
	json_put(o, "users", users);
	json_put(o, "seen", seen);
	json_add_text(&text, o);
	database_set_fact(c->db, name, text.data);
	buf_free(&text);
	json_object_put(o);
	free(name);
}

static void take_texts(const struct json_at *at, const char *key, size_t n, char *out, size_t size)
{
	struct json_at list;

	if (!json_has(at, key) || !json_get_array(at, key, &list, NULL)) {
		return;
	}
	for (size_t i = 0; i < MIN(json_array_n(&list), n); i++) {
		struct json_at item = json_item(&list, i);
		const char *text;
		if (json_as_str(&item, &text, NULL) && strlen(text) < size) {
			snprintf(out + i * size, size, "%s", text);
		}
	}
}

static struct lender *lender_parse(const char *text)
{
	struct json_object *o = json_parse(text, strlen(text), TEXT_MAX, 4, NULL);
	struct json_at at = json_root(o);
	struct lender *x = NULL;
	uint32_t n = 0;

	if (o != NULL && json_get_u32(&at, "n", &n, NULL) && n <= LEND_MAX) {
		x = mem_zalloc(sizeof(*x));
		x->n = n;
		take_texts(&at, "users", n, x->user[0], USER_MAX);
		take_texts(&at, "seen", n, x->seen[0], SEEN_MAX);
	}
	json_object_put(o);
	return x;
}

/* NULL: it lends nothing. */
static struct lender *lender_of(struct center *c, const char *id)
{
	if (!map_has(&c->lend->lenders, id)) {
		struct arena *a = arena_new(0);
		char *name = fact_name(id);
		const char *text = database_fact(c->db, name, a);
		map_set(&c->lend->lenders, id, text == NULL ? NULL : lender_parse(text));
		free(name);
		arena_free(a);
	}
	return map_get(&c->lend->lenders, id);
}

/* ---- who lends ---- */

struct member *lend_card_in(struct center *c, const struct member *host)
{
	struct member *card = host->address == NULL ? NULL : pairing_other(host);
	const struct lender *x = card == NULL ? NULL : lender_of(c, card->id);

	return x == NULL || x->n == 0 ? NULL : card;
}

void lend_said(struct center *c, struct member *card, uint32_t n)
{
	struct lender *x = lender_of(c, card->id);

	n = MIN(n, (uint32_t)LEND_MAX);
	if (n == (x == NULL ? 0 : x->n)) {
		return;
	}
	if (x == NULL) {
		x = mem_zalloc(sizeof(*x));
		map_set(&c->lend->lenders, card->id, x);
	}
	x->n = n;
	lender_keep(c, card->id, x);
	struct member *server = pairing_other(card);
	if (server != NULL && c->intent != NULL) {
		intent_cards_moved(c->intent, server);
	}
}

void lend_drop(struct member *card)
{
	char *name = fact_name(card->id);

	database_set_fact(card->center->db, name, NULL);
	free(map_remove(&card->center->lend->lenders, card->id));
	free(name);
}

/* ---- who has what ---- */

static int choose(const struct lender *x, const char *name, const bool is_used[LEND_MAX],
		  bool again)
{
	int found = -1;

	for (uint32_t i = x->n; i-- > 0;) {
		bool is_free = !is_used[i];
		if (is_free && strcmp(x->user[i], name) == 0) {
			return (int)i;
		}
		found = is_free && (again || x->user[i][0] == '\0') ? (int)i : found;
	}
	return found;
}

int lend_take(struct center *c, const struct member *card, const char *name,
	      const bool is_used[LEND_MAX], bool again)
{
	struct lender *x = lender_of(c, card->id);
	int at = x == NULL ? -1 : choose(x, name, is_used, again);

	if (at >= 0 && strcmp(x->user[at], name) != 0) {
		for (uint32_t i = 0; i < x->n; i++) {
			if (strcmp(x->user[i], name) == 0) {
				x->user[i][0] = x->seen[i][0] = '\0';
			}
		}
		snprintf(x->user[at], USER_MAX, "%s", name);
		x->seen[at][0] = '\0';
		lender_keep(c, card->id, x);
	}
	return at;
}

/* ---- what is seen there ---- */

static int at_of(const struct lender *x, const char *name)
{
	for (uint32_t i = 0; x != NULL && i < x->n; i++) {
		if (x->user[i][0] != '\0' && strcmp(x->user[i], name) == 0) {
			return (int)i;
		}
	}
	return -1;
}

/* "remora.lent.UUID.KEY" = "10.1.0.21,…"; one that is not named is as it was. */
static bool take_seen(struct lender *x, const struct value *option)
{
	const char *key = value_get_str(option, F_OptionValue_key);
	const struct value *text = value_get_value(option, F_OptionValue_value);
	size_t len = strlen(SEEN_KEY);

	if (key == NULL || strncmp(key, SEEN_KEY, len) != 0 || text == NULL ||
	    value_kind(text) != KIND_STRING || value_len(text) >= SEEN_MAX) {
		return false;
	}
	int at = at_of(x, key + len);
	if (at < 0 || strcmp(x->seen[at], value_bytes(text)) == 0) {
		return false;
	}
	snprintf(x->seen[at], SEEN_MAX, "%s", value_bytes(text));
	return true;
}

void lend_look(struct member *card)
{
	struct center *c = card->center;
	struct lender *x = lender_of(c, card->id);
	struct arena *a = arena_new(0);
	const struct value *config =
		x == NULL ? NULL : object_get(card->system, P_HostSystem_config, a);
	const struct value *network = value_get_value(config, F_HostConfigInfo_network);
	const struct value *switches = value_get_value(network, F_HostNetworkInfo_opaqueSwitch);
	bool changed = false;

	for (size_t i = 0; i < value_count(switches); i++) {
		const struct value *options =
			value_get_value(value_item(switches, i), F_HostOpaqueSwitch_extraConfig);
		for (size_t k = 0; k < value_count(options); k++) {
			changed |= take_seen(x, value_item(options, k));
		}
	}
	arena_free(a);
	if (changed) {
		lender_keep(c, card->id, x);
		if (c->intent != NULL) {
			intent_cards_seen(c->intent, card);
		}
	}
}

const char *lend_seen(struct center *c, const struct member *card, const char *name)
{
	const struct lender *x = lender_of(c, card->id);
	int at = at_of(x, name);

	return at < 0 ? "" : x->seen[at];
}

/* ---- life ---- */

struct lend *lend_new(struct center *c)
{
	struct lend *l = mem_zalloc(sizeof(*l));

	l->c = c;
	return l;
}

void lend_free(struct lend *l)
{
	if (l != NULL) {
		map_free_values(&l->lenders, free);
		map_free(&l->lenders);
		free(l);
	}
}

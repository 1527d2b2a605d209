/* SPDX-License-Identifier: Apache-2.0 */
/* The card's side of host_lend.h. */
#include "host/host_lend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/timer.h"
#include "host/host_impl.h"
#include "host/host_plane.h"

LOG_MODULE("lend");

enum {
	TELL_MS = 20,	  /* what changes within is told together */
	SOCKET_MAX = 107, /* of an address, unix(7) */
};

struct host_lending {
	struct host *host;
	struct timer *timer;
	size_t n;	  /* functions */
	struct card said; /* as card.json has it */
};

/* ---- card.json ---- */

/* What every card says of itself; blocks are lent by others and stay. */
static void describe(const struct host *h, const struct card *was, size_t n, struct card *out)
{
	const struct hardware_system *s = &h->hardware->system;

	memset(out, 0, sizeof(*out));
	snprintf(out->dpu_id, sizeof(out->dpu_id), "dpu-%s", h->node.uuid);
	snprintf(out->uuid, sizeof(out->uuid), "%s", h->node.uuid);
	snprintf(out->model, sizeof(out->model), "%s", s->model[0] != '\0' ? s->model : "DPU");
	for (size_t i = 0; i < n; i++) {
		struct card_function *f = &out->functions[out->n_functions++];
		snprintf(f->name, sizeof(f->name), "net-%u", (unsigned)i % 10000);
		node_function_mac(&h->node, i, f->mac);
	}
	for (size_t i = 0; i < was->n_functions && out->n_functions < CARD_FUNCTIONS_MAX; i++) {
		if (was->functions[i].kind == CARD_BLOCK) {
			out->functions[out->n_functions++] = was->functions[i];
		}
	}
}

static struct card_function *function_named(struct card *c, const char *name)
{
	for (size_t i = 0; i < c->n_functions; i++) {
		if (strcmp(c->functions[i].name, name) == 0) {
			return &c->functions[i];
		}
	}
	return NULL;
}

/* What was lent stays so until the switch has been told anew. */
static void keep_loans(const struct card *was, struct card *now)
{
	for (size_t i = 0; i < was->n_functions; i++) {
		const struct card_function *f = &was->functions[i];
		struct card_function *to = function_named(now, f->name);
		if (to != NULL && f->kind == CARD_NET) {
			memcpy(to->card, f->card, sizeof(to->card));
			to->is_up = f->is_up;
			to->n_addresses = f->n_addresses;
			memcpy(to->addresses, f->addresses, sizeof(to->addresses));
		}
	}
}

static bool make_folder(const char *path, mode_t mode, struct error *e)
{
	struct stat st;

	if (mkdir(path, mode) != 0 && errno != EEXIST) {
		return error_set_sys(e, errno, "cannot make the folder \"%s\"", path);
	}
	return (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) ||
	       error_set(e, ERROR_INVALID, "\"%s\" is no folder", path);
}

static size_t how_many(const struct host *h)
{
	size_t n = h->plane == NULL ? 0 : node_functions(&h->node);

	if (n > 0 && strlen(h->node.link) + strlen("/net-255/" CARD_SOCKET) > SOCKET_MAX) {
		log_warn("no functions are lent: the name of the link folder \"%s\" is too long "
			 "for a socket's address",
			 h->node.link);
		n = 0;
	}
	return n;
}

static void tell(void *arg);

bool host_lend_start(struct host *h, struct error *e)
{
	bool ok = true;

	if (h->node.role != NODE_DPU || h->node.link[0] == '\0') {
		return true;
	}
	struct host_lending *l = mem_zalloc(sizeof(*l));
	struct card *was = mem_zalloc(sizeof(*was));
	struct error why;
	l->host = h;
	l->n = how_many(h);
	l->timer = timer_new(h->loop, clock_real(), tell, l);
	h->lending = l;
	if (!card_read(h->node.link, was, &why)) {
		memset(was, 0, sizeof(*was));
	}
	describe(h, was, l->n, &l->said);
	keep_loans(was, &l->said);
	ok = make_folder(h->node.link, 0755, e);
	for (size_t i = 0; ok && i < l->n; i++) {
		char *path = mem_printf("%s/net-%zu", h->node.link, i);
		ok = make_folder(path, 0700, e);
		free(path);
	}
	ok = ok && card_write(h->node.link, &l->said, e);
	free(was);
	return ok;
}

void host_lend_stop(struct host *h)
{
	if (h->lending != NULL) {
		timer_free(h->lending->timer);
		free(h->lending);
		h->lending = NULL;
	}
}

size_t host_lend_count(const struct host *h)
{
	return h->lending == NULL ? 0 : h->lending->n;
}

const struct card *host_lend_said(const struct host *h)
{
	return h->lending == NULL ? NULL : &h->lending->said;
}

/* ---- what a policy lends ---- */

static struct json_object *loans_of(struct json_object *policy)
{
	struct json_object *v = NULL;

	return policy != NULL && json_object_object_get_ex(policy, "functions", &v) ? v : NULL;
}

static size_t n_of(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

static const char *text(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

static bool is_lent(const struct host *h, const char *name)
{
	const struct host_lending *l = h->lending;
	bool found = false;

	for (size_t i = 0; l != NULL && i < l->said.n_functions; i++) {
		found |= l->said.functions[i].kind == CARD_NET &&
			 strcmp(l->said.functions[i].name, name) == 0;
	}
	return found;
}

bool host_lend_check(const struct host *h, struct json_object *policy, struct error *e)
{
	struct json_object *list = loans_of(policy);
	struct map names = { 0 };
	bool ok = true;

	for (size_t i = 0; ok && i < n_of(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *name = text(o, "name");
		if (!is_lent(h, name)) {
			ok = error_set(e, ERROR_LIMIT,
				       "\"functions[%zu].name\": \"%s\" is none of the %zu network "
				       "functions that this node lends",
				       i, name, host_lend_count(h));
		} else if (map_has(&names, name)) {
			ok = error_set(e, ERROR_INVALID,
				       "\"functions[%zu].name\": \"%s\" is there twice", i, name);
		}
		map_set(&names, name, NULL);
	}
	map_free(&names);
	return ok;
}

/* What the server says of its VMs is behind this: it must not make the switch refuse the whole. */
static bool may_lend(const struct plane_cards *cards, const struct plane_card *card)
{
	bool is_station = strchr("02468ace", card->mac[1]) != NULL &&
			  strcmp(card->mac, "00:00:00:00:00:00") != 0;

	for (size_t i = 0; is_station && i < cards->all.n; i++) {
		const struct plane_card *c = &cards->all.items[i];
		bool is_same = c->kind == PLANE_OPAQUE && c->network != NULL && c->mac != NULL &&
			       strcmp(c->network, card->network) == 0 &&
			       strcasecmp(c->mac, card->mac) == 0;
		if (is_same || strcmp(c->port, card->port) == 0) {
			return false;
		}
	}
	return is_station;
}

void host_lend_cards(const struct host *h, struct json_object *policy, struct arena *a,
		     struct plane_cards *out)
{
	struct json_object *list = loans_of(policy), *v;

	for (size_t i = 0; i < n_of(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *name = text(o, "name");
		if (!is_lent(h, name)) {
			continue;
		}
		struct plane_card card = {
			.port = arena_strdup(a, text(o, "card")),
			.label = arena_strdup(a, text(o, "label")),
			.mac = arena_strdup(a, text(o, "mac")),
			.path = arena_printf(a, "%s/%s/" CARD_SOCKET, h->node.link, name),
			.is_connected = !json_object_object_get_ex(o, "connected", &v) ||
					json_object_get_boolean(v),
			.kind = PLANE_OPAQUE,
			.network = arena_strdup(a, text(o, "segment")),
		};
		if (may_lend(out, &card)) {
			vec_push(&out->all, card);
		}
	}
}

/* ---- telling the server ---- */

/* The switch has a port for the card, and it leads to that function. */
static bool has_port(const struct host *h, const struct card_function *f, const char *card)
{
	struct json_object *port = host_plane_port(h, card);
	char *path = mem_printf("%s/%s/" CARD_SOCKET, h->node.link, f->name);
	bool same = port != NULL && strcmp(text(port, "path"), path) == 0;

	free(path);
	return same;
}

static void take_loan(const struct host *h, struct json_object *o, struct card *out)
{
	const char *card = text(o, "card");
	struct card_function *f = function_named(out, text(o, "name"));
	const struct plane_port_state *seen = host_plane_seen(h, card);

	if (f == NULL || f->kind != CARD_NET || strlen(card) >= sizeof(f->card) ||
	    !has_port(h, f, card)) {
		return;
	}
	snprintf(f->card, sizeof(f->card), "%s", card);
	f->is_up = seen != NULL && seen->is_up;
	for (size_t i = 0; seen != NULL && i < MIN(seen->n_addresses, (size_t)CARD_ADDRESSES_MAX);
	     i++) {
		snprintf(f->addresses[f->n_addresses++], sizeof(f->addresses[0]), "%s",
			 seen->addresses[i]);
	}
}

static void tell(void *arg)
{
	struct host_lending *l = arg;
	struct json_object *list = loans_of(host_plane_policy(l->host));
	struct card *now = mem_zalloc(sizeof(*now));
	struct error e;

	describe(l->host, &l->said, l->n, now);
	for (size_t i = 0; i < n_of(list); i++) {
		take_loan(l->host, json_object_array_get_idx(list, i), now);
	}
	if (memcmp(now, &l->said, sizeof(*now)) != 0) {
		if (card_write(l->host->node.link, now, &e)) {
			l->said = *now;
			host_network_publish(l->host);
		} else {
			log_warn("the server is not told what it may use: %s", e.msg);
		}
	}
	free(now);
}

void host_lend_changed(struct host *h)
{
	if (h->lending != NULL && !timer_is_active(h->lending->timer)) {
		timer_start(h->lending->timer, TELL_MS, 0);
	}
}

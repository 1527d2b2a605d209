/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sides of a card in a server. On the server: what the card says of itself (card.json in
 * the link folder) becomes PhysicalNic.dpuId and a DpuStatusInfo. On the card: it writes that file.
 *
 * A card that vanishes stays known until the program ends: its status is then "unknown".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "host/draft.h"
#include "host/host_impl.h"

LOG_MODULE("pairing");

struct host_pairing {
	struct card_watch *watch; /* on a server */
	bool is_known, is_present;
	struct card card; /* last seen */
	char why[240];	  /* not present: why */
};

/* ---- the server's side ---- */

static void card_changed(void *arg, const struct card *card, const struct error *why)
{
	struct host *h = arg;
	struct host_pairing *p = h->pairing;

	if (card != NULL) {
		if (!p->is_present) {
			log_info("card \"%s\" (%s) is in this server", card->dpu_id, card->model);
		}
		p->card = *card;
		p->is_known = p->is_present = true;
	} else {
		if (p->is_present) {
			log_warn("card \"%s\" is gone: %s", p->card.dpu_id, why->msg);
		}
		p->is_present = false;
		memcpy(p->why, why->msg, sizeof(p->why));
	}
	host_network_publish(h);
	host_system_set_runtime(h);
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

/* ---- the card's side ---- */

static bool card_announce(struct host *h, struct error *e)
{
	struct card *card = mem_zalloc(sizeof(*card));
	const struct hardware_system *s = &h->hardware->system;
	struct error why;

	/* What functions it lends is the planes' to add: what is there stays. */
	if (!card_read(h->node.link, card, &why)) {
		memset(card, 0, sizeof(*card));
	}
	snprintf(card->dpu_id, sizeof(card->dpu_id), "dpu-%s", h->node.uuid);
	snprintf(card->uuid, sizeof(card->uuid), "%s", h->node.uuid);
	snprintf(card->model, sizeof(card->model), "%s", s->model[0] != '\0' ? s->model : "DPU");
	bool ok = true;
	if (mkdir(h->node.link, 0755) != 0 && errno != EEXIST) {
		ok = error_set_sys(e, errno, "cannot make the link folder \"%s\"", h->node.link);
	}
	ok = ok && card_write(h->node.link, card, e);
	free(card);
	return ok;
}

bool host_pairing_start(struct host *h, const char *link, struct error *e)
{
	if (h->node.role == NODE_DPU && h->node.link[0] != '\0') {
		return card_announce(h, e);
	}
	if (link == NULL) {
		link = h->node.role == NODE_SERVER ? h->node.link : "";
	}
	if (link[0] == '\0') {
		return true;
	}
	h->pairing = mem_zalloc(sizeof(*h->pairing));
	struct card_watch_config c = {
		.loop = h->loop,
		.link = link,
		.changed = card_changed,
		.arg = h,
	};
	h->pairing->watch = card_watch_new(&c);
	return true;
}

void host_pairing_stop(struct host *h)
{
	if (h->pairing != NULL) {
		card_watch_free(h->pairing->watch);
		free(h->pairing);
		h->pairing = NULL;
	}
}

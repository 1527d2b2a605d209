/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/wiring.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "switch/flow.h"

_Static_assert(ARRAY_LEN(((struct wiring *)0)->wires) == FLOW_IFACES_MAX, "one for each");

static struct wire wire_of(const struct wiring *w, const struct iface *i)
{
	const struct config_segment *s = &w->config->segments[i->segment];
	struct wire out = {
		.port = i->port, .vlan = i->vlan, .kind = i->kind, .team = i->team, .vni = s->vni
	};

	if (i->kind == IFACE_VLAN || i->kind == IFACE_TUNNEL) {
		const struct config_team *t = &w->config->teams[i->team];
		out.port = t->ports[0];
		for (size_t k = 0; k < t->n_ports; k++) {
			if (w->device[t->ports[k]] != WIRING_NO_DEVICE) {
				out.port = t->ports[k];
				break;
			}
		}
	}
	return out;
}

struct wiring *wiring_new(struct tables *tables, const uint16_t *devices, const uint16_t *n_queues)
{
	struct wiring *w = mem_zalloc(sizeof(*w));

	w->tables = tables;
	w->config = tables_config(tables);
	w->epoch = tables_epoch(tables);
	w->is_stateful = w->config->n_rules > 0;
	memset(w->device, 0xff, sizeof(w->device));
	memcpy(w->device, devices, w->config->n_ports * sizeof(*devices));
	memcpy(w->n_queues, n_queues, w->config->n_ports * sizeof(*n_queues));
	for (uint32_t i = 1; i < ARRAY_LEN(w->wires); i++) {
		const struct iface *iface = tables_iface(tables, (uint16_t)i);
		if (iface->kind != IFACE_NONE) {
			w->wires[i] = wire_of(w, iface);
		}
	}
	return w;
}

void wiring_free(struct wiring *w)
{
	if (w != NULL) {
		tables_free(w->tables);
		free(w);
	}
}

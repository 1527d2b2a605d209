/* SPDX-License-Identifier: Apache-2.0 */
#include "host/plane_ports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static struct plane_port_state *state_of(struct plane_ports *p, const char *name)
{
	struct plane_port_state *s = map_get(&p->all, name);

	if (s == NULL) {
		s = mem_zalloc(sizeof(*s));
		map_set(&p->all, name, s);
	}
	return s;
}

static void take_addresses(const struct json_at *event, struct plane_port_state *out)
{
	struct json_at list;

	out->n_addresses = 0;
	if (!json_get_array(event, "addresses", &list, NULL)) {
		return;
	}
	for (size_t i = 0; i < json_array_n(&list) && out->n_addresses < PLANE_ADDRESSES_MAX; i++) {
		struct json_at item = json_item(&list, i);
		const char *text;
		if (json_as_str(&item, &text, NULL) && strlen(text) < sizeof(out->addresses[0])) {
			snprintf(out->addresses[out->n_addresses++], sizeof(out->addresses[0]),
				 "%s", text);
		}
	}
}

const char *plane_ports_take(struct plane_ports *p, const struct json_at *event)
{
	const char *what, *name;

	if (!json_get_str(event, "event", &what, NULL) ||
	    (strcmp(what, "port") != 0 && strcmp(what, "addresses") != 0) ||
	    !json_get_str(event, "port", &name, NULL)) {
		return NULL;
	}
	struct plane_port_state *s = state_of(p, name), now = { .is_up = s->is_up };
	if (strcmp(what, "port") == 0) {
		now = *s;
		(void)json_get_bool(event, "up", &now.is_up, NULL);
	} else {
		take_addresses(event, &now);
	}
	if (memcmp(&now, s, sizeof(now)) == 0) {
		return NULL;
	}
	*s = now;
	return name;
}

const struct plane_port_state *plane_ports_get(const struct plane_ports *p, const char *name)
{
	return map_get(&p->all, name);
}

void plane_ports_keep(struct plane_ports *p, struct json_object *ports)
{
	struct map here = { 0 };
	struct json_object *v;

	for (size_t i = 0; ports != NULL && i < json_object_array_length(ports); i++) {
		if (json_object_object_get_ex(json_object_array_get_idx(ports, i), "name", &v)) {
			map_set(&here, json_object_get_string(v), NULL);
		}
	}
	map_each (&p->all, it) {
		if (!map_has(&here, it->key)) {
			free(it->value);
			map_remove(&p->all, it->key);
		}
	}
	map_free(&here);
}

void plane_ports_down(struct plane_ports *p)
{
	map_each (&p->all, it) {
		((struct plane_port_state *)it->value)->is_up = false;
	}
}

void plane_ports_fini(struct plane_ports *p)
{
	map_free_values(&p->all, free);
	map_free(&p->all);
}

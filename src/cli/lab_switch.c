/* SPDX-License-Identifier: Apache-2.0 */
/* The lab's top-of-rack switch: a remora-switchd of its own that joins the cards' uplinks as any
 * Ethernet switch would, by the addresses that it learns. */
#include "cli/lab.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rpc.h"

enum {
	ASK_MS = 20000,
	READY_S = 30,
	POLL_MS = 30,
	FABRIC_MTU = 1700, /* a guest's 1500 bytes and what Geneve adds */
	ADDRESSES_MAX = 1024,
	GENERATION = 1,
};

char *lab_switch_socket(const struct lab *lab, const struct lab_node *card)
{
	return lab_path(lab, "nodes/tor-1/%s.sock", card->name);
}

char *lab_switch_migration_socket(const struct lab *lab, const struct lab_node *card)
{
	return lab_path(lab, "nodes/tor-1/%s-migration.sock", card->name);
}

/* A port of the switch, at the end of a card's wire: `path` is taken over. */
static struct json_object *port_json(const struct lab_node *card, const char *segment, char *path)
{
	static const char *const allowed[] = { "forged_transmits", "mac_changes", "promiscuous",
					       "dhcp_server",	   "router",	  "any_address" };
	struct json_object *port = json_object_new_object(), *guard = json_object_new_object();
	struct json_object *learning = json_object_new_object();
	bool is_fabric = strcmp(segment, "fabric") == 0;
	char *name = mem_printf("%s%s", card->name, is_fabric ? "" : "-migration");

	json_put_str(port, "name", name);
	free(name);
	/* An emulated card's QEMU makes the socket: it connects only once, the switch as often as
	 * it takes. */
	json_put_str(port, "kind", card->cpu != NULL ? "stream" : "memif");
	json_put_str(port, "path", path);
	json_put(port, "server", json_object_new_boolean(card->cpu == NULL));
	json_put(port, "mtu", json_object_new_int(FABRIC_MTU));
	json_put_str(port, "segment", segment);
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		json_put(guard, allowed[i], json_object_new_boolean(true));
	}
	json_put(port, "guard", guard);
	json_put(learning, "limit", json_object_new_int(ADDRESSES_MAX));
	json_put(port, "learning", learning);
	free(path);
	return port;
}

static struct json_object *document(const struct lab *lab)
{
	struct json_object *ports = json_object_new_array(), *segments = json_object_new_array();
	struct json_object *all = json_object_new_object();
	static const char *const names[] = { "fabric", "migration" };

	for (size_t i = 0; i < lab->n_nodes; i++) {
		const struct lab_node *n = &lab->nodes[i];
		if (n->endpoint != NULL) {
			json_object_array_add(ports,
					      port_json(n, names[0], lab_switch_socket(lab, n)));
		}
		if (n->migration != NULL) {
			json_object_array_add(
				ports, port_json(n, names[1], lab_switch_migration_socket(lab, n)));
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct json_object *segment = json_object_new_object();
		json_put_str(segment, "name", names[i]);
		json_put(segment, "mtu", json_object_new_int(FABRIC_MTU));
		json_object_array_add(segments, segment);
	}
	json_put(all, "ports", ports);
	json_put(all, "segments", segments);
	return all;
}

bool lab_switch_ready(const struct lab *lab, const struct lab_node *n, struct error *e)
{
	char *path = lab_path(lab, "nodes/%s/control.sock", n->name);
	int64_t end = clock_mono_us(clock_real()) + READY_S * INT64_C(1000000);
	struct json_object *result = NULL, *params = NULL;
	bool answers = false, timed_out = false;

	while (!answers && !timed_out && lab_node_is_running(lab, n)) {
		answers = rpc_request(path, "plane.hello", NULL, ASK_MS, &result, e);
		timed_out = clock_mono_us(clock_real()) > end;
		if (!answers) {
			nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
		}
	}
	bool good = answers;
	if (good) {
		json_object_put(result);
		result = NULL;
		params = json_object_new_object();
		json_put(params, "generation", json_object_new_int(GENERATION));
		json_put(params, "document", document(lab));
		good = rpc_request(path, "plane.apply", params, ASK_MS, &result, e);
		json_object_put(result);
	} else {
		error_set(e, timed_out ? ERROR_TIMEOUT : ERROR_STATE,
			  "\"%s\" %s: see %s/nodes/%s/log", n->name,
			  timed_out ? "does not answer" : "ended at its start", lab->folder,
			  n->name);
	}
	free(path);
	return good || error_prefix(e, "%s: ", n->name);
}

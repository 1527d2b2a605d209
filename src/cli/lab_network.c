/* SPDX-License-Identifier: Apache-2.0 */
/* The lab's overlay: one segment with a router, made through the manager's policy interface as any
 * client of it would, and an address for each VM on it. */
#include "cli/lab.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

#define INFRA	"/policy/api/v1/infra"
#define ROUTER	INFRA "/tier-1s/" LAB_SEGMENT
#define SEGMENT INFRA "/segments/" LAB_SEGMENT

enum {
	VNI = 5001,
	LEASE_S = 86400,
	REALIZED_WAIT_S = 30,
	POLL_MS = 50,
};

static struct json_object *subnet(void)
{
	struct json_object *o = json_object_new_object(), *dhcp = json_object_new_object();

	json_put_str(o, "gateway_address", LAB_GATEWAY);
	json_put_str(dhcp, "resource_type", "SegmentDhcpV4Config");
	json_put_i64(dhcp, "lease_time", LEASE_S);
	json_put(o, "dhcp_config", dhcp);
	return o;
}

static bool is_realized(struct remote *r, bool *out, struct error *e)
{
	struct json_object *answer = NULL;

	if (!remote_rest(r, "GET",
			 INFRA "/realized-state/status?intent_path=/infra/segments/" LAB_SEGMENT,
			 NULL, &answer, e)) {
		return false;
	}
	struct json_at root = json_root(answer), consolidated;
	const char *text = "";
	struct error none;
	if (json_get_object(&root, "consolidated_status", &consolidated, &none)) {
		json_get_str(&consolidated, "consolidated_status", &text, &none);
	}
	*out = strcmp(text, "SUCCESS") == 0;
	bool failed = strcmp(text, "ERROR") == 0;
	if (failed) {
		error_set(e, ERROR_STATE, "segment \"" LAB_SEGMENT "\" is not in force: %s",
			  json_object_to_json_string(answer));
	}
	json_object_put(answer);
	return !failed;
}

static bool wait_realized(struct remote *r, struct error *e)
{
	int64_t end = clock_mono_us(clock_real()) + REALIZED_WAIT_S * INT64_C(1000000);
	bool done = false;

	while (is_realized(r, &done, e)) {
		if (done) {
			return true;
		}
		if (clock_mono_us(clock_real()) > end) {
			return error_set(e, ERROR_TIMEOUT,
					 "segment \"" LAB_SEGMENT "\" is not in force after %d s",
					 REALIZED_WAIT_S);
		}
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
	}
	return false;
}

bool lab_network_make(struct remote *r, struct error *e)
{
	struct json_object *segment = json_object_new_object(), *subnets = json_object_new_array(),
			   *router = json_object_new_object();

	json_object_array_add(subnets, subnet());
	json_put_str(segment, "display_name", LAB_SEGMENT);
	json_put_str(segment, "connectivity_path", "/infra/tier-1s/" LAB_SEGMENT);
	json_put_i64(segment, "overlay_id", VNI);
	json_put(segment, "subnets", subnets);
	json_put_str(router, "display_name", LAB_SEGMENT);
	if (!remote_rest(r, "PATCH", ROUTER, router, NULL, e)) {
		json_object_put(segment);
		return error_prefix(e, "router \"" LAB_SEGMENT "\": ");
	}
	return (remote_rest(r, "PATCH", SEGMENT, segment, NULL, e) && wait_realized(r, e)) ||
	       error_prefix(e, "segment \"" LAB_SEGMENT "\": ");
}

bool lab_network_bind(struct remote *r, const struct lab_card *card, struct error *e)
{
	struct json_object *port = json_object_new_object(), *bindings = json_object_new_array(),
			   *binding = json_object_new_object(),
			   *attachment = json_object_new_object();
	char *path = mem_printf(SEGMENT "/ports/%s", card->vm);
	char *id = mem_printf("%s.%d", card->uuid, (int)card->key);

	json_put_str(attachment, "id", id);
	json_put_str(binding, "ip_address", card->address);
	json_put_str(binding, "mac_address", card->mac);
	json_object_array_add(bindings, binding);
	json_put_str(port, "display_name", card->vm);
	json_put(port, "attachment", attachment);
	json_put(port, "address_bindings", bindings);
	bool good = remote_rest(r, "PATCH", path, port, NULL, e);
	free(path);
	free(id);
	return good || error_prefix(e, "address of \"%s\": ", card->vm);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "center/center.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "center/cluster.h"
#include "center/database.h"
#include "center/datacenter.h"
#include "center/destroy.h"
#include "center/dvs.h"
#include "center/dvs_policy.h"
#include "center/dvs_port.h"
#include "center/folder.h"
#include "center/follow.h"
#include "center/hosts.h"
#include "center/intent.h"
#include "center/lend.h"
#include "center/load.h"
#include "center/migration.h"
#include "center/node_policy.h"
#include "center/place.h"
#include "center/pool.h"
#include "center/portgroup.h"
#include "center/rename.h"
#include "center/rollup.h"
#include "vim/authorization.h"
#include "vim/custom_field.h"
#include "vim/extension.h"
#include "vim/license.h"
#include "vim/option.h"

/* ---- entities ---- */

static const struct value *entity_compute(struct object *o, unsigned prop, struct arena *a)
{
	const struct center *c = o->owner;

	return prop == P_ManagedEntity_effectiveRole && a != NULL
		       ? session_effective_role(o, c->api->service, a)
		       : NULL;
}

const struct object_class center_entity_class = {
	.computed = UINT64_C(1) << P_ManagedEntity_effectiveRole,
	.compute = entity_compute,
};

struct center *center_of(const struct object *o)
{
	return o->class == &center_entity_class ? o->owner : NULL;
}

void center_keep_ids(struct center *c)
{
	char next[24];

	snprintf(next, sizeof(next), "%" PRId64, c->next_id);
	database_set_fact(c->db, "next_id", next);
}

void center_new_id(struct center *c, const char *prefix, char *out, size_t size)
{
	size_t len = strlen(prefix);
	/* "group-v" and 3 make "group-v3", "vm" and 3 make "vm-3" */
	const char *dash = len >= 2 && prefix[len - 2] == '-' ? "" : "-";

	snprintf(out, size, "%s%s%" PRId64, prefix, dash, c->next_id++);
	center_keep_ids(c);
}

void center_post(struct center *c, struct arena *a, struct value *event, struct object *entity,
		 const char *user, const char *text)
{
	event_post(c->api->events, a, event, entity, user, "%s", text);
}

/* ---- managers ---- */

static const struct option_spec settings[] = {
	{ .key = "VirtualCenter.InstanceName",
	  .label = "Name of this manager",
	  .summary = "Name that clients may show for this manager",
	  .kind = OPTION_STRING,
	  .text = "remora" },
	{ .key = "event.maxKept",
	  .label = "Events kept",
	  .summary = "Number of events after which the oldest are forgotten",
	  .kind = OPTION_INT,
	  .readonly = true,
	  .number = DATABASE_EVENTS_MAX,
	  .min = DATABASE_EVENTS_MAX,
	  .max = DATABASE_EVENTS_MAX },
};

static bool custom_store(void *arg, struct object *entity, const struct value *values,
			 struct error *e)
{
	struct center *c = arg;
	struct arena *a = arena_new(0);

	database_begin(c->db);
	database_set_custom(c->db, object_id(entity), database_array_text(a, values));
	bool ok = database_commit(c->db, e);
	arena_free(a);
	return ok;
}

static char *state_path(const struct center *c, const char *name)
{
	return c->state == NULL ? NULL : mem_printf("%s/%s", c->state, name);
}

static void content_name(struct center *c, unsigned field, const char *id)
{
	struct object *o = inventory_find(c->inventory, id);

	if (o != NULL) {
		api_content_set(c->api, field, o);
	}
}

static bool managers_new(struct center *c, struct error *e)
{
	struct service *s = c->api->service;
	char *fields = state_path(c, "fields.json"), *licenses = state_path(c, "licenses.json");
	char *extensions = state_path(c, "extensions.json");
	char *options = state_path(c, "options.json");

	c->fields = custom_field_manager_new(s,
					     &(struct custom_field_config){
						     .id = "CustomFieldsManager",
						     .path = fields,
						     .store = custom_store,
						     .arg = c,
					     },
					     e);
	c->licenses =
		c->fields == NULL
			? NULL
			: license_manager_new(s,
					      &(struct license_config){
						      .id = "LicenseManager",
						      .assignment_id = "LicenseAssignmentManager",
						      .edition = "vc",
						      .path = licenses,
					      },
					      e);
	c->extensions = c->licenses == NULL
				? NULL
				: extension_manager_new(s, "ExtensionManager", extensions, e);
	c->options = c->extensions == NULL
			     ? NULL
			     : option_manager_new(s,
						  &(struct option_config){
							  .id = "VpxSettings",
							  .path = options,
							  .specs = settings,
							  .n_specs = ARRAY_LEN(settings),
							  .open_prefix = "config.",
						  },
						  e);
	free(fields);
	free(licenses);
	free(extensions);
	free(options);
	if (c->options == NULL) {
		return false;
	}
	content_name(c, F_ServiceContent_customFieldsManager, "CustomFieldsManager");
	content_name(c, F_ServiceContent_licenseManager, "LicenseManager");
	content_name(c, F_ServiceContent_extensionManager, "ExtensionManager");
	content_name(c, F_ServiceContent_setting, "VpxSettings");
	return true;
}

/* ---- life ---- */

static bool database_start(struct center *c, struct error *e)
{
	if (c->state == NULL) {
		return true;
	}
	char *path = state_path(c, "center.db");
	c->db = database_open(path, c->loop, e);
	free(path);
	return c->db != NULL;
}

static void methods_register(struct center *c)
{
	folder_register(c);
	datacenter_register(c);
	cluster_register(c);
	pool_register(c);
	dvs_register(c);
	portgroup_register(c);
	rename_register(c);
	destroy_register(c);
}

struct center *center_new(const struct center_config *config, struct error *e)
{
	struct center *c = mem_zalloc(sizeof(*c));

	c->loop = config->loop;
	c->clock = config->clock;
	c->api = config->api;
	c->inventory = config->api->inventory;
	c->state = config->state == NULL ? NULL : mem_strdup(config->state);
	list_init(&c->follows);
	c->ports = dvs_ports_new(c);
	task_manager_post_events(c->api->tasks, c->api->events);
	if (!database_start(c, e) || !managers_new(c, e)) {
		center_free(c);
		return NULL;
	}
	c->lend = lend_new(c);
	c->policy = node_policy_new(c);
	c->dvs_policy = dvs_policy_new(c);
	c->root = folder_new(c, api_root_id(API_CENTER), "Datacenters", NULL);
	methods_register(c);
	if (!load_entities(c, e) || !load_history(c, e)) {
		center_free(c);
		return NULL;
	}
	c->rollup = rollup_new(c);
	c->migrations = migrations_new(c);
	c->hosts = hosts_new(c, e);
	c->intent = c->hosts == NULL || !migrations_load(c, e) || !dvs_ports_load(c, e)
			    ? NULL
			    : intent_new(c, e);
	if (c->intent == NULL) {
		center_free(c);
		return NULL;
	}
	return c;
}

bool center_start(struct center *c, struct error *e)
{
	(void)e;
	migrations_start(c);
	authorization_prune(session_authorization(c->api->sessions));
	hosts_start(c->hosts);
	return true;
}

void center_free(struct center *c)
{
	if (c == NULL) {
		return;
	}
	migrations_free(c->migrations);
	dvs_policy_free(c->dvs_policy);
	c->dvs_policy = NULL;
	intent_free(c->intent);
	c->intent = NULL;
	hosts_free(c->hosts);
	dvs_ports_free(c->ports);
	c->hosts = NULL;
	lend_free(c->lend);
	c->lend = NULL;
	node_policy_free(c->policy);
	c->policy = NULL;
	event_unlisten(c->api->events, c);
	task_listen(c->api->tasks, NULL, NULL);
	follow_stop(c);
	rollup_free(c->rollup);
	option_manager_free(c->options);
	extension_manager_free(c->extensions);
	license_manager_free(c->licenses);
	custom_field_manager_free(c->fields);
	database_close(c->db);
	map64_free(&c->names);
	vec_free(&c->switches);
	free(c->state);
	free(c);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/api.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/mem.h"
#include "vim/collector.h"
#include "vim/event.h"
#include "vim/search.h"
#include "vim/session_event.h"
#include "vim/task.h"
#include "vim/view.h"

#define REMORA_VERSION "0.1.0"

/* What the two kinds of endpoint call themselves and their objects. */
struct api_names {
	const char *root, *sessions, *authorization, *directory, *collectors, *views, *search;
	const char *tasks, *events;
	const char *name, *full_name, *product_line, *api_type, *license;
};

static const struct api_names names[] = {
	[API_HOST] = {
		.root = "ha-folder-root",
		.sessions = "ha-sessionmgr",
		.authorization = "ha-authmgr",
		.directory = "ha-user-directory",
		.collectors = "ha-property-collector",
		.views = "ViewManager",
		.search = "ha-searchindex",
		.tasks = "ha-taskmgr",
		.events = "ha-eventmgr",
		.name = "VMware ESXi",
		.full_name = "Remora host agent " REMORA_VERSION,
		.product_line = "embeddedEsx",
		.api_type = "HostAgent",
		.license = "Remora host",
	},
	[API_CENTER] = {
		.root = "group-d1",
		.sessions = "SessionManager",
		.authorization = "AuthorizationManager",
		.directory = "UserDirectory",
		.collectors = "propertyCollector",
		.views = "ViewManager",
		.search = "SearchIndex",
		.tasks = "TaskManager",
		.events = "EventManager",
		.name = "VMware vCenter Server",
		.full_name = "Remora manager " REMORA_VERSION,
		.product_line = "vpx",
		.api_type = "VirtualCenter",
		.license = "Remora manager",
	},
};

/* Handles on the loop; freed by their close callbacks. */
struct api_turn {
	uv_prepare_t prepare;
	uv_check_t check;
	struct inventory *inventory;
	int n_open;
};

/* ---- the end of a turn ---- */

static void turn_prepare(uv_prepare_t *handle)
{
	struct api_turn *turn = handle->data;

	inventory_publish(turn->inventory);
}

static void turn_check(uv_check_t *handle)
{
	struct api_turn *turn = handle->data;

	inventory_publish(turn->inventory);
}

static void turn_closed(uv_handle_t *handle)
{
	struct api_turn *turn = handle->data;

	if (--turn->n_open == 0) {
		free(turn);
	}
}

/* After the sockets were served and before the loop sleeps: what timers did counts too. */
static struct api_turn *turn_new(uv_loop_t *loop, struct inventory *inventory)
{
	struct api_turn *turn = mem_zalloc(sizeof(*turn));

	turn->inventory = inventory;
	turn->n_open = 2;
	uv_prepare_init(loop, &turn->prepare);
	uv_check_init(loop, &turn->check);
	turn->prepare.data = turn->check.data = turn;
	uv_prepare_start(&turn->prepare, turn_prepare);
	uv_check_start(&turn->check, turn_check);
	uv_unref((uv_handle_t *)&turn->prepare);
	uv_unref((uv_handle_t *)&turn->check);
	return turn;
}

static void turn_free(struct api_turn *turn)
{
	if (turn != NULL) {
		uv_close((uv_handle_t *)&turn->prepare, turn_closed);
		uv_close((uv_handle_t *)&turn->check, turn_closed);
	}
}

/* ---- ServiceInstance ---- */

static const struct value *instance_compute(struct object *o, unsigned prop, struct arena *a)
{
	const struct api *api = o->owner;
	int64_t now = clock_wall_us(service_clock(api->service));

	(void)prop;
	return value_new_scalar(a, T_dateTime, (union slot){ .num = now });
}

static const struct object_class instance_class = {
	.computed = UINT64_C(1) << P_ServiceInstance_serverClock,
	.compute = instance_compute,
};

static void retrieve_content(struct call *c)
{
	call_return(c, object_get(c->self, P_ServiceInstance_content, c->arena));
}

static void current_time(struct call *c)
{
	call_return(c, instance_compute(c->self, P_ServiceInstance_serverClock, c->arena));
}

static struct value *about_value(struct arena *a, const struct api_config *config)
{
	const struct api_names *n = &names[config->kind];
	const char *version = schema_version_name(schema_version_served);
	struct value *v = value_new(a, T_AboutInfo);
	struct utsname os;
	bool is_arm = uname(&os) == 0 && strcmp(os.machine, "aarch64") == 0;
	/* "8.0.3.0" is version 8.0.3; the licence's is 8.0 */
	const char *dot = strrchr(version, '.');
	const char *product = arena_strndup(a, version, (size_t)(dot - version));

	value_set_str(a, v, F_AboutInfo_name, n->name);
	value_set_str(a, v, F_AboutInfo_fullName, n->full_name);
	value_set_str(a, v, F_AboutInfo_vendor, "Remora");
	value_set_str(a, v, F_AboutInfo_version, product);
	value_set_str(a, v, F_AboutInfo_build, config->build == NULL ? "1" : config->build);
	value_set_str(a, v, F_AboutInfo_localeVersion, "INTL");
	value_set_str(a, v, F_AboutInfo_localeBuild, "000");
	value_set_str(a, v, F_AboutInfo_osType, is_arm ? "linux-arm64" : "linux-x64");
	value_set_str(a, v, F_AboutInfo_productLineId, n->product_line);
	value_set_str(a, v, F_AboutInfo_apiType, n->api_type);
	value_set_str(a, v, F_AboutInfo_apiVersion, version);
	value_set_str(a, v, F_AboutInfo_instanceUuid, config->instance_uuid);
	value_set_str(a, v, F_AboutInfo_licenseProductName, n->license);
	value_set_str(a, v, F_AboutInfo_licenseProductVersion, "8.0");
	return v;
}

static void content_put(struct arena *a, struct value *content, unsigned field, const char *id)
{
	value_set_ref(a, content, field, schema_field(T_ServiceContent, field)->type, id);
}

static void instance_add(struct api *api, const struct api_config *config)
{
	const struct api_names *n = &names[config->kind];
	struct arena *a = arena_new(0);
	struct value *content = value_new(a, T_ServiceContent);
	struct value *capability = value_new(a, T_Capability);

	content_put(a, content, F_ServiceContent_rootFolder, n->root);
	content_put(a, content, F_ServiceContent_propertyCollector, n->collectors);
	content_put(a, content, F_ServiceContent_viewManager, n->views);
	value_set(a, content, F_ServiceContent_about, about_value(a, config));
	content_put(a, content, F_ServiceContent_userDirectory, n->directory);
	content_put(a, content, F_ServiceContent_sessionManager, n->sessions);
	content_put(a, content, F_ServiceContent_authorizationManager, n->authorization);
	content_put(a, content, F_ServiceContent_eventManager, n->events);
	content_put(a, content, F_ServiceContent_taskManager, n->tasks);
	content_put(a, content, F_ServiceContent_searchIndex, n->search);
	value_set_bool(a, capability, F_Capability_provisioningSupported,
		       config->kind == API_CENTER);
	value_set_bool(a, capability, F_Capability_multiHostSupported, config->kind == API_CENTER);
	value_set_bool(a, capability, F_Capability_userShellAccessSupported, false);
	api->instance = inventory_add(api->inventory, T_ServiceInstance, "ServiceInstance",
				      &instance_class, api);
	inventory_set(api->instance, P_ServiceInstance_content, content);
	inventory_set(api->instance, P_ServiceInstance_capability, capability);
	arena_free(a);
	service_handle(api->service, T_ServiceInstance, M_ServiceInstance_RetrieveServiceContent,
		       retrieve_content, api);
	service_handle(api->service, T_ServiceInstance, M_ServiceInstance_CurrentTime, current_time,
		       api);
}

void api_content_set(struct api *api, unsigned field, const struct object *manager)
{
	struct arena *a = arena_new(0);
	const struct value *old = object_get(api->instance, P_ServiceInstance_content, a);
	struct value *content = value_edit(a, old);

	assert(schema_is_a(manager->type, schema_field(T_ServiceContent, field)->type));
	value_set(a, content, field, manager->ref);
	inventory_set(api->instance, P_ServiceInstance_content, content);
	arena_free(a);
}

/* ---- all together ---- */

const char *api_root_id(enum api_kind kind)
{
	return names[kind].root;
}

static bool sessions_make(struct api *api, const struct api_config *config, struct error *e)
{
	const struct api_names *n = &names[config->kind];
	struct session_config sessions = {
		.id = n->sessions,
		.authorization_id = n->authorization,
		.directory_id = n->directory,
		.users = config->users,
		.admin = config->admin,
		.idle_limit_ms = config->idle_limit_ms,
		.permissions_path = config->permissions_path,
	};

	api->sessions = session_manager_new(api->service, &sessions);
	return api->sessions != NULL ||
	       error_set(e, ERROR_CORRUPT, "the permissions in \"%s\" cannot be used",
			 config->permissions_path);
}

struct api *api_new(const struct api_config *config, struct error *e)
{
	const struct api_names *n = &names[config->kind];
	struct api *api = mem_zalloc(sizeof(*api));

	api->kind = config->kind;
	api->inventory = inventory_new(config->clock);
	struct service_config service = {
		.loop = config->loop,
		.clock = config->clock,
		.inventory = api->inventory,
		.instance_id = "ServiceInstance",
		.root_folder_id = n->root,
	};
	api->service = service_new(&service);
	if (!sessions_make(api, config, e)) {
		api_free(api);
		return NULL;
	}
	/* Views first: they look at a change before those who wait for it are told. */
	api->views = view_manager_new(api->service, n->views);
	api->collectors = collector_manager_new(api->service, api->sessions, n->collectors);
	api->search = search_index_new(api->service, n->search, n->root);
	api->tasks = task_manager_new(api->service, n->tasks);
	api->events = event_manager_new(api->service, n->events);
	session_post_events(api->sessions, api->events);
	instance_add(api, config);
	api->turn = turn_new(config->loop, api->inventory);
	return api;
}

void api_free(struct api *api)
{
	if (api == NULL) {
		return;
	}
	turn_free(api->turn);
	session_manager_free(api->sessions); /* ends what sessions own in the others */
	event_manager_free(api->events);
	task_manager_free(api->tasks);
	search_index_free(api->search);
	view_manager_free(api->views);
	collector_manager_free(api->collectors);
	service_free(api->service);
	inventory_free(api->inventory);
	free(api);
}

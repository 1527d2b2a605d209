/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate_center.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "base/vec.h"
#include "center/center.h"
#include "center/cluster.h"
#include "center/compute.h"
#include "center/datacenter.h"
#include "center/dvs.h"
#include "center/folder.h"
#include "center/hosts.h"
#include "center/place.h"
#include "center/pool.h"
#include "host/folder_route.h"
#include "host/simulated_storage.h"

enum {
	NAME_SIZE = 96
};

/* One of the hosts. */
struct part {
	struct list_node link; /* simulate_center.parts */
	struct simulate_host *host;
	struct object *system; /* HostSystem of the manager's inventory */
};

struct simulate_center {
	const struct simulate_ground *ground;
	const struct simulate_options *options;
	const char *address;
	struct api *api;
	struct center *center;
	struct list parts;
	VEC(struct simulated_storage *) storages; /* one a datacenter */
};

/* What is being built: a datacenter. */
struct site {
	struct simulate_center *s;
	char name[NAME_SIZE];
	struct simulated_storage *storage;
	struct object *vms, *hosts, *datastores, *networks; /* folders for what is made */
	struct object *dvs;				    /* NULL: none */
	const struct value *network; /* kept backing of VMs' cards, or NULL */
	VEC(struct object *) systems;
};

/* Hosts that VMs are dealt out to. */
struct group {
	VEC(struct part *) parts;
};

static void name_make(char out[NAME_SIZE], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void name_make(char out[NAME_SIZE], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(out, NAME_SIZE, fmt, args);
	va_end(args);
}

/* ---- hosts ---- */

static struct part *part_new(struct site *site, const char *name, struct object *place,
			     struct error *e)
{
	struct simulate_center *s = site->s;
	struct simulate_host_config config = {
		.name = name,
		.address = s->address,
		.storage = site->storage,
	};
	struct part *p = mem_zalloc(sizeof(*p));

	list_push_back(&s->parts, &p->link);
	p->host = simulate_host_new(s->ground, &config, e);
	if (p->host == NULL || !host_start(p->host->host, e)) {
		return NULL;
	}
	struct hosts_local local = {
		.inventory = p->host->api->inventory,
		.session = session_system(p->host->api->sessions),
		.events = p->host->api->events,
		.name = name,
		.place = place,
		.datastores = site->datastores,
		.folder = folder_route(p->host->host),
	};
	p->system = hosts_add_local(s->center->hosts, &local, e);
	if (p->system == NULL) {
		return NULL;
	}
	vec_push(&site->systems, p->system);
	return p;
}

static void part_free(struct part *p)
{
	list_remove(&p->link);
	simulate_host_free(p->host);
	free(p);
}

/* ---- VMs ---- */

/* n VMs "PREFIX_VM0" and so on over the hosts of the group, each host a run of them. */
static bool vms_add(struct site *site, const struct group *g, const char *prefix,
		    struct object *pool, struct error *e)
{
	const struct simulate_options *o = site->s->options;
	struct simulate_vms what = { .on = o->autostart, .network = site->network };
	uint32_t n_hosts = (uint32_t)g->parts.n, each = o->vm / (n_hosts == 0 ? 1 : n_hosts);
	char name[NAME_SIZE];

	name_make(name, "%s_VM", prefix);
	what.prefix = name;
	for (uint32_t i = 0; i < n_hosts; i++) {
		struct part *p = g->parts.items[i];
		what.n = each + (i < o->vm % n_hosts);
		hosts_set_vm_place(p->system, site->vms, pool);
		if (!simulate_host_add_vms(p->host, &what, e)) {
			return false;
		}
		inventory_publish(p->host->api->inventory);
		hosts_set_vm_place(p->system, NULL, NULL);
		what.first += what.n;
	}
	return true;
}

/* ---- compute resources ---- */

static bool standalone_make(struct site *site, uint32_t i, struct error *e)
{
	struct group g = { 0 };
	char name[NAME_SIZE];

	name_make(name, "%s_H%u", site->name, i);
	struct part *p = part_new(site, name, site->hosts, e);
	if (p == NULL) {
		return false;
	}
	vec_push(&g.parts, p);
	bool ok = vms_add(site, &g, name, NULL, e);
	vec_free(&g.parts);
	return ok;
}

static bool pools_make(struct site *site, const struct group *g, const char *cluster,
		       struct object *root, struct error *e)
{
	const struct simulate_options *o = site->s->options;
	struct center *c = site->s->center;
	char name[NAME_SIZE];

	for (uint32_t i = 1; i <= o->pool; i++) {
		name_make(name, "%s_RP%u", cluster, i);
		if (pool_create(c, root, name, e) == NULL) {
			return false;
		}
	}
	name_make(name, "%s_RP%u", cluster, 0);
	if (!vms_add(site, g, name, root, e)) {
		return false;
	}
	for (uint32_t i = 0; i < o->app; i++) {
		name_make(name, "%s_APP%u", cluster, i);
		struct object *app = pool_create_vapp(c, root, name, site->vms, e);
		if (app == NULL || !vms_add(site, g, name, app, e)) {
			return false;
		}
	}
	return true;
}

static bool cluster_make(struct site *site, uint32_t i, struct error *e)
{
	const struct simulate_options *o = site->s->options;
	struct group g = { 0 };
	char name[NAME_SIZE], host[NAME_SIZE];

	name_make(name, "%s_C%u", site->name, i);
	struct object *cluster = cluster_create(site->s->center, site->hosts, name, e);
	bool ok = cluster != NULL;
	for (uint32_t k = 0; ok && k < o->host; k++) {
		name_make(host, "%s_H%u", name, k);
		struct part *p = part_new(site, host, cluster, e);
		ok = p != NULL;
		if (ok) {
			vec_push(&g.parts, p);
		}
	}
	ok = ok && pools_make(site, &g, name, compute_root_pool(cluster), e);
	vec_free(&g.parts);
	return ok;
}

/* ---- datacenters ---- */

static bool folders_make(struct site *site, struct object *dc, const char *within, struct error *e)
{
	static const unsigned props[] = { P_Datacenter_vmFolder, P_Datacenter_hostFolder,
					  P_Datacenter_datastoreFolder,
					  P_Datacenter_networkFolder };
	struct object **to[] = { &site->vms, &site->hosts, &site->datastores, &site->networks };

	for (size_t i = 0; i < ARRAY_LEN(props); i++) {
		*to[i] = place_folder(dc, props[i]);
		if (within != NULL) {
			*to[i] = folder_create(site->s->center, *to[i], within, e);
		}
		if (*to[i] == NULL) {
			return false;
		}
	}
	return true;
}

/* What the cards of VMs are backed by: the first port group. */
static const struct value *backing_of(struct object *dvs, struct object *portgroup)
{
	struct arena *a = arena_new(0);
	struct value *port = value_new(a, T_DistributedVirtualSwitchPortConnection);
	struct value *b = value_new(a, T_VirtualEthernetCardDistributedVirtualPortBackingInfo);

	value_set_str(a, port, F_DistributedVirtualSwitchPortConnection_switchUuid,
		      object_get_str(dvs, P_DistributedVirtualSwitch_uuid));
	value_set_str(a, port, F_DistributedVirtualSwitchPortConnection_portgroupKey,
		      object_id(portgroup));
	value_set(a, b, F_VirtualEthernetCardDistributedVirtualPortBackingInfo_port, port);
	const struct value *kept = value_keep(b);
	arena_free(a);
	return kept;
}

static bool networks_make(struct site *site, struct error *e)
{
	struct center *c = site->s->center;
	char name[NAME_SIZE];

	if (site->s->options->pg == 0) {
		return true;
	}
	site->dvs = dvs_create(c, site->networks, "DVS0", e);
	for (uint32_t i = 0; site->dvs != NULL && i < site->s->options->pg; i++) {
		name_make(name, "%s_DVPG%u", site->name, i);
		struct object *pg = dvs_create_portgroup(c, site->dvs, name, e);
		if (pg == NULL) {
			return false;
		}
		if (i == 0) {
			site->network = backing_of(site->dvs, pg);
		}
	}
	return site->dvs != NULL;
}

static bool compute_make(struct site *site, struct error *e)
{
	const struct simulate_options *o = site->s->options;
	struct simulate_center *s = site->s;

	for (uint32_t i = 0; i < o->standalone_host; i++) {
		if (!standalone_make(site, i, e)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < o->cluster; i++) {
		if (!cluster_make(site, i, e)) {
			return false;
		}
	}
	return site->dvs == NULL ||
	       dvs_add_hosts(s->center, site->dvs, site->systems.items, site->systems.n, e);
}

/* The last ones are in folders, which have numbers of their own. */
static bool datacenter_make(struct simulate_center *s, uint32_t i, struct error *e)
{
	const struct simulate_options *o = s->options;
	uint32_t n_outside = o->dc - MIN(o->folder, o->dc);
	bool inside = i >= n_outside;
	struct object *parent = s->center->root;
	struct site site = { .s = s };
	char folder[NAME_SIZE];

	name_make(site.name, "DC%u", i);
	name_make(folder, "F%u", inside ? i - n_outside : 0);
	if (inside) {
		parent = folder_create(s->center, parent, folder, e);
	}
	struct object *dc =
		parent == NULL ? NULL : datacenter_create(s->center, parent, site.name, e);
	if (dc == NULL) {
		return false;
	}
	char *identity = mem_printf("simulate/%s", site.name);
	site.storage = simulated_storage_new(identity);
	vec_push(&s->storages, site.storage);
	free(identity);
	bool ok = folders_make(&site, dc, inside ? folder : NULL, e) && networks_make(&site, e) &&
		  compute_make(&site, e);
	value_drop(site.network);
	vec_free(&site.systems);
	return ok;
}

/* ---- life ---- */

static bool center_begin(struct simulate_center *s, struct error *e)
{
	struct uuid uuid = uuid_from_name("simulate");
	char text[UUID_TEXT_SIZE];

	uuid_format(&uuid, text);
	s->api = api_new(&(struct api_config){ .kind = API_CENTER,
					       .loop = s->ground->loop,
					       .clock = clock_real(),
					       .instance_uuid = text,
					       .users = s->ground->users,
					       .admin = s->options->username },
			 e);
	if (s->api == NULL) {
		return false;
	}
	s->center = center_new(&(struct center_config){ .loop = s->ground->loop,
							.clock = clock_real(),
							.api = s->api },
			       e);
	return s->center != NULL && center_start(s->center, e);
}

struct simulate_center *simulate_center_new(const struct simulate_ground *g,
					    const struct simulate_options *o, const char *address,
					    struct error *e)
{
	struct simulate_center *s = mem_zalloc(sizeof(*s));

	s->ground = g;
	s->options = o;
	s->address = address;
	list_init(&s->parts);
	bool ok = center_begin(s, e);
	for (uint32_t i = 0; ok && i < o->dc; i++) {
		ok = datacenter_make(s, i, e);
	}
	if (!ok) {
		simulate_center_free(s);
		return NULL;
	}
	return s;
}

void simulate_center_free(struct simulate_center *s)
{
	if (s == NULL) {
		return;
	}
	center_free(s->center);
	for (struct list_node *n; (n = list_pop_front(&s->parts)) != NULL;) {
		part_free(CONTAINER_OF(n, struct part, link));
	}
	vec_each (&s->storages, it) {
		simulated_storage_free(*it);
	}
	vec_free(&s->storages);
	if (s->api != NULL) {
		api_free(s->api);
	}
	free(s);
}

struct api *simulate_center_api(const struct simulate_center *s)
{
	return s->api;
}

void simulate_center_serve(struct simulate_center *s, struct server *server)
{
	hosts_serve(s->center->hosts, server);
}

bool simulate_center_is_busy(const struct simulate_center *s)
{
	list_each (struct part, p, &s->parts, link) {
		if (host_is_busy(p->host->host)) {
			return true;
		}
	}
	return false;
}

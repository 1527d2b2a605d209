/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UUIDs are looked up in maps that are made when somebody asks for the first time, and brought up
 * to date when somebody asks again, from what changed since; everything else is looked for among
 * the objects. What the session may not see is not found.
 */
#include "vim/search.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "vim/access.h"
#include "vim/entity.h"
#include "vim/fault.h"
#include "vim/path.h"
#include "vim/session.h"

enum {
	MAX_LAG = 4096, /* versions; beyond them the maps are brought up to date unasked */
	MAX_NAME = 240,
	UUID_KEY = 64
};

/* The three kinds of UUID. */
enum uuid_kind {
	UUID_BIOS,
	UUID_INSTANCE,
	UUID_HOST,
	N_UUID_KINDS
};

/* One object under one UUID. UUIDs of copied machines may be equal. */
struct entry {
	struct entry *next;	 /* of the same UUID */
	struct entry *next_kind; /* of the same object */
	struct object *object;
	uint8_t kind;
	char uuid[UUID_KEY];
};

struct search_index {
	struct service *service;
	struct inventory *inventory;
	struct object *object;
	char *root_id;
	struct map by_uuid[N_UUID_KINDS]; /* first struct entry */
	struct map64 by_object;		  /* by index: first struct entry */
	struct inventory_reader reader;
	struct inventory_listener *listener; /* NULL: nobody has asked yet, there is no reader */
	struct arena *scratch;
};

/* What is looked for, and what was found so far. */
struct hunt {
	struct call *call;
	struct search_index *index;
	struct object *datacenter; /* NULL: anywhere */
	bool wants_all;
	VEC(struct object *) found;
};

/* ---- UUIDs ---- */

static void entry_remove(struct search_index *x, struct entry *e)
{
	struct entry *first = map_get(&x->by_uuid[e->kind], e->uuid);

	if (first == e && e->next == NULL) {
		map_remove(&x->by_uuid[e->kind], e->uuid);
	} else if (first == e) {
		map_set(&x->by_uuid[e->kind], e->uuid, e->next);
	} else {
		while (first != NULL && first->next != e) {
			first = first->next;
		}
		if (first != NULL) {
			first->next = e->next;
		}
	}
	free(e);
}

static void index_remove(struct search_index *x, const struct object *o)
{
	struct entry *e = map64_remove(&x->by_object, o->index);

	while (e != NULL) {
		struct entry *next = e->next_kind;
		entry_remove(x, e);
		e = next;
	}
}

static bool uuid_key(char out[UUID_KEY], const char *uuid)
{
	size_t n = strlen(uuid);

	if (n == 0 || n >= UUID_KEY) {
		return false;
	}
	for (size_t i = 0; i <= n; i++) {
		out[i] = (char)tolower((unsigned char)uuid[i]);
	}
	return true;
}

static void index_add(struct search_index *x, struct object *o, enum uuid_kind kind,
		      const char *uuid)
{
	struct entry *e = mem_zalloc(sizeof(*e));

	if (uuid == NULL || !uuid_key(e->uuid, uuid)) {
		free(e);
		return;
	}
	e->object = o;
	e->kind = (uint8_t)kind;
	e->next = map_get(&x->by_uuid[kind], e->uuid);
	map_set(&x->by_uuid[kind], e->uuid, e);
	e->next_kind = map64_get(&x->by_object, o->index);
	map64_set(&x->by_object, o->index, e);
}

/* The first of two texts that is there. */
static const char *either(const char *a, const char *b)
{
	return a != NULL ? a : b;
}

static void index_vm(struct search_index *x, struct object *o)
{
	const struct value *config = object_get(o, P_VirtualMachine_config, x->scratch);
	const struct value *summary = object_get(o, P_VirtualMachine_summary, x->scratch);
	const struct value *brief = value_get_value(summary, F_VirtualMachineSummary_config);

	index_add(x, o, UUID_BIOS,
		  either(value_get_str(config, F_VirtualMachineConfigInfo_uuid),
			 value_get_str(brief, F_VirtualMachineConfigSummary_uuid)));
	index_add(x, o, UUID_INSTANCE,
		  either(value_get_str(config, F_VirtualMachineConfigInfo_instanceUuid),
			 value_get_str(brief, F_VirtualMachineConfigSummary_instanceUuid)));
}

static void index_host(struct search_index *x, struct object *o)
{
	const struct value *hardware = object_get(o, P_HostSystem_hardware, x->scratch);
	const struct value *system = value_get_value(hardware, F_HostHardwareInfo_systemInfo);
	const struct value *summary = object_get(o, P_HostSystem_summary, x->scratch);
	const struct value *brief = value_get_value(summary, F_HostListSummary_hardware);

	index_add(x, o, UUID_HOST,
		  either(value_get_str(system, F_HostSystemInfo_uuid),
			 value_get_str(brief, F_HostHardwareSummary_uuid)));
}

/* Could the change be one of a UUID? */
static bool change_concerns(const struct change *c)
{
	static const char *const paths[] = {
		"config.uuid",
		"config.instanceUuid",
		"summary.config.uuid",
		"summary.config.instanceUuid",
		"hardware.systemInfo.uuid",
		"summary.hardware.uuid",
	};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (path_overlaps(c->path, c->path_len, paths[i], strlen(paths[i]))) {
			return true;
		}
	}
	return false;
}

static bool is_news(const struct object *o, uint64_t since)
{
	if (o->removed || o->created > since) {
		return true;
	}
	for (uint32_t i = o->n_journal; i > 0 && o->journal[i - 1].version > since; i--) {
		if (change_concerns(&o->journal[i - 1])) {
			return true;
		}
	}
	return false;
}

static void index_published(void *arg);

static void index_settle(struct search_index *x)
{
	uint64_t since = x->listener == NULL ? 0 : x->reader.version;

	if (x->listener == NULL) {
		inventory_reader_add(x->inventory, &x->reader);
		x->listener = inventory_subscribe(x->inventory, index_published, x);
	}
	struct object *o = inventory_newest(x->inventory);

	for (; o != NULL && o->version > since; o = object_older(o)) {
		bool is_vm = o->type == T_VirtualMachine;
		if ((!is_vm && !schema_is_a(o->type, T_HostSystem)) || !is_news(o, since)) {
			continue;
		}
		index_remove(x, o);
		if (!o->removed && is_vm) {
			index_vm(x, o);
		} else if (!o->removed) {
			index_host(x, o);
		}
		arena_reset(x->scratch);
	}
	inventory_reader_advance(x->inventory, &x->reader, inventory_version(x->inventory));
}

static void index_published(void *arg)
{
	struct search_index *x = arg;

	if (inventory_version(x->inventory) - x->reader.version > MAX_LAG) {
		index_settle(x);
	}
}

/* ---- hunting ---- */

/* False when no more is wanted. */
static bool hunt_found(struct hunt *h, struct object *o)
{
	if ((h->datacenter != NULL && !entity_is_within(o, h->datacenter, h->call->arena)) ||
	    !access_may_view(h->call->session, o)) {
		return true;
	}
	vec_push(&h->found, o);
	return h->wants_all;
}

/* Asks of every object of the type. */
static void hunt_all(struct hunt *h, uint16_t type,
		     bool (*is_it)(struct object *o, const char *what, struct arena *a),
		     const char *what)
{
	struct object *o;

	for (uint32_t i = 0; (o = inventory_each(h->index->inventory, &i)) != NULL;) {
		bool hit = schema_is_a(o->type, type) && is_it(o, what, h->index->scratch);
		arena_reset(h->index->scratch);
		if (hit && !hunt_found(h, o)) {
			return;
		}
	}
}

static void hunt_uuid(struct hunt *h, enum uuid_kind kind, const char *uuid)
{
	char key[UUID_KEY];

	index_settle(h->index);
	if (uuid == NULL || !uuid_key(key, uuid)) {
		return;
	}
	for (struct entry *e = map_get(&h->index->by_uuid[kind], key); e != NULL; e = e->next) {
		if (!hunt_found(h, e->object)) {
			return;
		}
	}
}

/* Begins with the optional datacenter argument; false when the call was answered. */
static bool hunt_begin(struct hunt *h, struct call *c, unsigned datacenter, bool wants_all)
{
	bool ok;

	*h = (struct hunt){ .call = c, .index = call_arg(c), .wants_all = wants_all };
	h->datacenter = call_object(c, datacenter, T_Datacenter, &ok);
	return ok;
}

static void hunt_end(struct hunt *h)
{
	struct arena *a = h->call->arena;

	if (!h->wants_all) {
		call_return(h->call, h->found.n == 0 ? NULL : h->found.items[0]->ref);
	} else {
		struct value *list = value_new_array(a, T_ManagedEntity);
		vec_each (&h->found, o) {
			value_push(a, list, (*o)->ref);
		}
		call_return(h->call, list);
	}
	vec_free(&h->found);
}

/* ---- addresses and names ---- */

static bool same_text(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcasecmp(a, b) == 0;
}

static bool vm_has_ip(struct object *o, const char *ip, struct arena *a)
{
	const struct value *guest = object_get(o, P_VirtualMachine_guest, a);
	const struct value *nics = value_get_value(guest, F_GuestInfo_net);

	if (same_text(value_get_str(guest, F_GuestInfo_ipAddress), ip)) {
		return true;
	}
	for (size_t i = 0; i < value_count(nics); i++) {
		const struct value *addresses =
			value_get_value(value_item(nics, i), F_GuestNicInfo_ipAddress);
		for (size_t j = 0; j < value_count(addresses); j++) {
			if (same_text(value_bytes(value_item(addresses, j)), ip)) {
				return true;
			}
		}
	}
	return false;
}

static const struct value *host_network(struct object *o, struct arena *a)
{
	return value_get_value(object_get(o, P_HostSystem_config, a), F_HostConfigInfo_network);
}

static bool host_has_ip(struct object *o, const char *ip, struct arena *a)
{
	const struct value *nics = value_get_value(host_network(o, a), F_HostNetworkInfo_vnic);

	for (size_t i = 0; i < value_count(nics); i++) {
		const struct value *spec =
			value_get_value(value_item(nics, i), F_HostVirtualNic_spec);
		const struct value *address = value_get_value(spec, F_HostVirtualNicSpec_ip);
		if (same_text(value_get_str(address, F_HostIpConfig_ipAddress), ip)) {
			return true;
		}
	}
	return same_text(object_get_str(o, P_ManagedEntity_name), ip);
}

static bool vm_has_dns_name(struct object *o, const char *name, struct arena *a)
{
	return same_text(
		value_get_str(object_get(o, P_VirtualMachine_guest, a), F_GuestInfo_hostName),
		name);
}

static bool host_has_dns_name(struct object *o, const char *name, struct arena *a)
{
	const struct value *dns = value_get_value(host_network(o, a), F_HostNetworkInfo_dnsConfig);
	const char *host = value_get_str(dns, F_HostDnsConfig_hostName);
	const char *domain = value_get_str(dns, F_HostDnsConfig_domainName);

	if (same_text(host, name) || same_text(object_get_str(o, P_ManagedEntity_name), name)) {
		return true;
	}
	return host != NULL && domain != NULL && domain[0] != '\0' &&
	       same_text(arena_printf(a, "%s.%s", host, domain), name);
}

static bool vm_has_file(struct object *o, const char *path, struct arena *a)
{
	const struct value *config = object_get(o, P_VirtualMachine_config, a);
	const struct value *files = value_get_value(config, F_VirtualMachineConfigInfo_files);
	const char *file = value_get_str(files, F_VirtualMachineFileInfo_vmPathName);

	if (file == NULL) {
		const struct value *summary = object_get(o, P_VirtualMachine_summary, a);
		file = value_get_str(value_get_value(summary, F_VirtualMachineSummary_config),
				     F_VirtualMachineConfigSummary_vmPathName);
	}
	return file != NULL && strcmp(file, path) == 0;
}

/* ---- children ---- */

/* Does the entity bear the name, of n bytes? Names are stored with / \ and % escaped. */
static bool is_named(struct object *o, const char *name, size_t n)
{
	const char *own = object_get_str(o, P_ManagedEntity_name);

	return own != NULL && strlen(own) == n && memcmp(own, name, n) == 0;
}

static struct object *child_in(struct object *o, unsigned prop, const char *name, size_t n,
			       struct arena *a)
{
	const struct value *v = object_get(o, prop, a);
	size_t count = v != NULL && v->kind == KIND_ARRAY ? v->n : (v != NULL);

	for (size_t i = 0; i < count; i++) {
		const struct value *ref = v->kind == KIND_ARRAY ? value_item(v, i) : v;
		struct object *child = inventory_find_ref(o->inventory, ref);
		if (child != NULL && is_named(child, name, n)) {
			return child;
		}
	}
	return NULL;
}

static struct object *child_of(struct object *o, const char *name, size_t n, struct arena *a)
{
	static const struct {
		uint16_t type;
		uint16_t prop;
	} ways[] = {
		{ T_Folder, P_Folder_childEntity },
		{ T_Datacenter, P_Datacenter_vmFolder },
		{ T_Datacenter, P_Datacenter_hostFolder },
		{ T_Datacenter, P_Datacenter_datastoreFolder },
		{ T_Datacenter, P_Datacenter_networkFolder },
		{ T_ComputeResource, P_ComputeResource_host },
		{ T_ComputeResource, P_ComputeResource_resourcePool },
		{ T_ResourcePool, P_ResourcePool_resourcePool },
		{ T_ResourcePool, P_ResourcePool_vm },
		{ T_HostSystem, P_HostSystem_vm },
	};

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct object *child = schema_is_a(o->type, ways[i].type)
					       ? child_in(o, ways[i].prop, name, n, a)
					       : NULL;
		if (child != NULL) {
			return child;
		}
	}
	return NULL;
}

/* ---- methods ---- */

static void find_uuid(struct call *c, bool wants_all)
{
	struct hunt h;

	/* Both methods have the same arguments in the same places. */
	if (!hunt_begin(&h, c, A_SearchIndex_FindByUuid_datacenter, wants_all)) {
		return;
	}
	enum uuid_kind kind = UUID_HOST;
	if (value_get_bool(c->args, A_SearchIndex_FindByUuid_vmSearch, false)) {
		kind = value_get_bool(c->args, A_SearchIndex_FindByUuid_instanceUuid, false)
			       ? UUID_INSTANCE
			       : UUID_BIOS;
	}
	hunt_uuid(&h, kind, value_get_str(c->args, A_SearchIndex_FindByUuid_uuid));
	hunt_end(&h);
}

static void find_ip(struct call *c, bool wants_all)
{
	struct hunt h;
	const char *ip = value_get_str(c->args, A_SearchIndex_FindByIp_ip);

	if (!hunt_begin(&h, c, A_SearchIndex_FindByIp_datacenter, wants_all)) {
		return;
	}
	if (value_get_bool(c->args, A_SearchIndex_FindByIp_vmSearch, false)) {
		hunt_all(&h, T_VirtualMachine, vm_has_ip, ip);
	} else {
		hunt_all(&h, T_HostSystem, host_has_ip, ip);
	}
	hunt_end(&h);
}

static void find_dns_name(struct call *c, bool wants_all)
{
	struct hunt h;
	const char *name = value_get_str(c->args, A_SearchIndex_FindByDnsName_dnsName);

	if (!hunt_begin(&h, c, A_SearchIndex_FindByDnsName_datacenter, wants_all)) {
		return;
	}
	if (value_get_bool(c->args, A_SearchIndex_FindByDnsName_vmSearch, false)) {
		hunt_all(&h, T_VirtualMachine, vm_has_dns_name, name);
	} else {
		hunt_all(&h, T_HostSystem, host_has_dns_name, name);
	}
	hunt_end(&h);
}

static void find_by_uuid(struct call *c)
{
	find_uuid(c, false);
}

static void find_all_by_uuid(struct call *c)
{
	find_uuid(c, true);
}

static void find_by_ip(struct call *c)
{
	find_ip(c, false);
}

static void find_all_by_ip(struct call *c)
{
	find_ip(c, true);
}

static void find_by_dns_name(struct call *c)
{
	find_dns_name(c, false);
}

static void find_all_by_dns_name(struct call *c)
{
	find_dns_name(c, true);
}

/* "[name] path": is there a datastore of that name that the session may know of? */
static bool datastore_is_seen(struct hunt *h, const char *path)
{
	const char *end = path != NULL && path[0] == '[' ? strchr(path, ']') : NULL;
	struct object *o;

	for (uint32_t i = 0;
	     end != NULL && (o = inventory_each(h->index->inventory, &i)) != NULL;) {
		if (schema_is_a(o->type, T_Datastore) &&
		    is_named(o, path + 1, (size_t)(end - path - 1)) &&
		    access_may_view(h->call->session, o) &&
		    (h->datacenter == NULL || entity_is_within(o, h->datacenter, h->call->arena))) {
			return true;
		}
	}
	return false;
}

static void find_by_datastore_path(struct call *c)
{
	struct hunt h;
	const char *path = value_get_str(c->args, A_SearchIndex_FindByDatastorePath_path);

	if (!hunt_begin(&h, c, A_SearchIndex_FindByDatastorePath_datacenter, false)) {
		return;
	}
	hunt_all(&h, T_VirtualMachine, vm_has_file, path);
	if (h.found.n == 0 && !datastore_is_seen(&h, path)) {
		struct value *fault = fault_new(c->arena, T_InvalidDatastore);
		value_set_str(c->arena, fault, F_InvalidDatastore_name, path);
		call_fault(c, fault, "There is no datastore for \"%.200s\"",
			   path == NULL ? "" : path);
		return;
	}
	hunt_end(&h);
}

static void find_by_inventory_path(struct call *c)
{
	struct search_index *x = call_arg(c);
	const char *at = value_get_str(c->args, A_SearchIndex_FindByInventoryPath_inventoryPath);
	struct object *o = inventory_find(x->inventory, x->root_id);

	while (o != NULL && at != NULL) {
		at += strspn(at, "/");
		size_t n = strcspn(at, "/");
		if (n == 0) {
			break;
		}
		o = n > MAX_NAME ? NULL : child_of(o, at, n, c->arena);
		at += n;
	}
	call_return(c, o != NULL && access_may_view(c->session, o) ? o->ref : NULL);
}

static void find_child(struct call *c)
{
	bool ok;
	struct object *o = call_object(c, A_SearchIndex_FindChild_entity, T_ManagedEntity, &ok);
	const char *name = value_get_str(c->args, A_SearchIndex_FindChild_name);

	if (!ok || !call_require(c, o, "System.View")) {
		return;
	}
	o = name == NULL ? NULL : child_of(o, name, strlen(name), c->arena);
	call_return(c, o != NULL && access_may_view(c->session, o) ? o->ref : NULL);
}

struct search_index *search_index_new(struct service *s, const char *id, const char *root_folder_id)
{
	static const struct {
		uint16_t method;
		call_fn *fn;
	} methods[] = {
		{ M_SearchIndex_FindByUuid, find_by_uuid },
		{ M_SearchIndex_FindAllByUuid, find_all_by_uuid },
		{ M_SearchIndex_FindByIp, find_by_ip },
		{ M_SearchIndex_FindAllByIp, find_all_by_ip },
		{ M_SearchIndex_FindByDnsName, find_by_dns_name },
		{ M_SearchIndex_FindAllByDnsName, find_all_by_dns_name },
		{ M_SearchIndex_FindByDatastorePath, find_by_datastore_path },
		{ M_SearchIndex_FindByInventoryPath, find_by_inventory_path },
		{ M_SearchIndex_FindChild, find_child },
	};
	struct search_index *x = mem_zalloc(sizeof(*x));

	x->service = s;
	x->inventory = service_inventory(s);
	x->root_id = mem_strdup(root_folder_id);
	x->scratch = arena_new(0);
	x->object = inventory_add(x->inventory, T_SearchIndex, id, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		service_handle(s, T_SearchIndex, methods[i].method, methods[i].fn, x);
	}
	return x;
}

void search_index_free(struct search_index *x)
{
	if (x == NULL) {
		return;
	}
	map64_each(&x->by_object, it)
	{
		for (struct entry *e = it->value, *next; e != NULL; e = next) {
			next = e->next_kind;
			free(e);
		}
	}
	map64_free(&x->by_object);
	for (int i = 0; i < N_UUID_KINDS; i++) {
		map_free(&x->by_uuid[i]);
	}
	if (x->listener != NULL) {
		inventory_unsubscribe(x->listener);
		inventory_reader_remove(x->inventory, &x->reader);
	}
	inventory_remove(x->object);
	arena_free(x->scratch);
	free(x->root_id);
	free(x);
}

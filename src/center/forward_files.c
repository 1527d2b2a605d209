/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FileManager and VirtualDiskManager: a call goes to a host that has the datastores that its
 * arguments name (vSphere API FileManager, VirtualDiskManager).
 */
#include <string.h>

#include "base/mem.h"
#include "center/forward.h"
#include "center/place.h"
#include "vim/api.h"
#include "vim/fault.h"

enum {
	STORES_MAX = 4 /* named by one call */
};

struct named {
	struct object *datacenter; /* NULL: any */
	struct {
		const char *name;
		size_t len;
	} stores[STORES_MAX];
	size_t n;
};

static void name_add(struct named *out, const char *path)
{
	const char *end = path[0] == '[' ? strchr(path, ']') : NULL;

	if (end != NULL && out->n < STORES_MAX) {
		out->stores[out->n].name = path + 1;
		out->stores[out->n++].len = (size_t)(end - path - 1);
	}
}

/* Datastores and the datacenter that the call's own arguments name; false: the call is over. */
static bool find_names(struct call *c, struct named *out)
{
	union slot slot;
	bool ok = true;

	for (int i = -1; ok && value_next(c->args, &i, &slot);) {
		const struct schema_field *f = schema_field(value_type(c->args), (unsigned)i);
		if ((f->flags & FIELD_ARRAY) != 0) {
			continue;
		}
		if (f->kind == KIND_STRING) {
			name_add(out, value_bytes(slot.value));
		} else if (f->kind == KIND_REF && f->type == T_Datacenter &&
			   out->datacenter == NULL) {
			out->datacenter = call_object(c, (unsigned)i, T_Datacenter, &ok);
		}
	}
	return ok;
}

/* How many of the named datastores the host has. */
static size_t has(const struct member *m, const struct named *named)
{
	size_t n = 0;

	if (named->datacenter != NULL && place_datacenter(m->system) != named->datacenter) {
		return 0;
	}
	for (size_t i = 0; i < named->n; i++) {
		n += mirror_has_datastore(&m->mirror, named->stores[i].name, named->stores[i].len);
	}
	return n;
}

static struct member *choose(struct hosts *hs, const struct named *named, size_t *most)
{
	struct member *best = NULL;

	*most = 0;
	list_each (struct member, m, &hs->members, link_node) {
		size_t n = has(m, named);
		bool is_better = best != NULL && n == *most && best->state != MEMBER_CONNECTED &&
				 m->state == MEMBER_CONNECTED;
		if (n > *most || (n > 0 && is_better)) {
			best = m;
			*most = n;
		}
	}
	return best;
}

static void refuse_names(struct call *c, const struct named *named, bool is_split)
{
	struct value *fault = fault_new(c->arena, is_split ? T_NotSupported : T_InvalidDatastore);

	if (is_split) {
		call_fault(c, fault,
			   "no host has all the datastores that are named: files are not copied "
			   "between hosts");
		return;
	}
	const char *name = arena_strndup(c->arena, named->stores[0].name, named->stores[0].len);
	value_set_str(c->arena, fault, F_InvalidDatastore_name, name);
	call_fault(c, fault, "there is no datastore \"%s\"", name);
}

/* The privilege on each datastore that is named. */
static bool may(struct call *c, const struct member *m, const struct named *named)
{
	for (size_t i = 0; i < named->n; i++) {
		struct object *store =
			mirror_datastore(&m->mirror, named->stores[i].name, named->stores[i].len);
		if (!call_require(c, store, "Datastore.FileManagement")) {
			return false;
		}
	}
	return true;
}

static void forward_file(struct call *c)
{
	struct hosts *hs = call_arg(c);
	bool is_disk = schema_is_a(c->self->type, T_VirtualDiskManager);
	struct named named = { 0 };
	size_t most;

	if (!find_names(c, &named)) {
		return;
	}
	if (named.n == 0) {
		struct value *fault = fault_new(c->arena, T_InvalidDatastorePath);
		value_set_str(c->arena, fault, F_InvalidDatastorePath_datastorePath, "");
		call_fault(c, fault,
			   "no argument is a path of the form \"[datastore] folder/file\"");
		return;
	}
	struct member *m = choose(hs, &named, &most);
	if (m == NULL || most < named.n) {
		refuse_names(c, &named, m != NULL);
		return;
	}
	if (!forward_is_reachable(m, c) || !may(c, m, &named)) {
		return;
	}
	const struct value *self = value_get_value(link_content(m->link, c->arena),
						   is_disk ? F_ServiceContent_virtualDiskManager
							   : F_ServiceContent_fileManager);
	if (self == NULL) {
		call_fault(c, fault_new(c->arena, T_NotSupported),
			   "host \"%s\" has no such manager", member_name(m));
		return;
	}
	struct forward *f = mem_zalloc(sizeof(*f));
	f->mirror = &m->mirror;
	f->self = self;
	f->method = c->method;
	f->args = c->args;
	forward_call(f, c);
}

static struct object *manager_add(struct hosts *hs, uint16_t type, const char *id, unsigned field)
{
	struct center *c = hs->center;
	struct object *o = inventory_add(c->inventory, type, id, NULL, NULL);

	for (uint16_t method = 1; method < SCHEMA_N_METHODS; method++) {
		if (schema_method(method)->managed == type) {
			service_handle(c->api->service, type, method, forward_file, hs);
		}
	}
	api_content_set(c->api, field, o);
	return o;
}

void forward_register_files(struct hosts *hs)
{
	hs->files = manager_add(hs, T_FileManager, "FileManager", F_ServiceContent_fileManager);
	hs->disks = manager_add(hs, T_VirtualDiskManager, "virtualDiskManager",
				F_ServiceContent_virtualDiskManager);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* References and names of datastores: the host's for the manager's, and the other way round. */
#include <string.h>

#include "center/compute.h"
#include "center/folder.h"
#include "center/member.h"
#include "center/place.h"

static const unsigned folder_props[] = { P_Datacenter_vmFolder, P_Datacenter_hostFolder,
					 P_Datacenter_datastoreFolder, P_Datacenter_networkFolder };
static const enum folder_kind folder_kinds[] = { FOLDER_VM, FOLDER_HOST, FOLDER_DATASTORE,
						 FOLDER_NETWORK };

/* ---- references ---- */

static const struct value *ref_of(const struct object *o)
{
	return o == NULL ? NULL : o->ref;
}

/* What stands here for what every host has of its own. */
static const struct value *local_own(const struct mirror *m, const struct value *remote)
{
	struct object *system = member_system(m->member);
	struct object *compute = compute_of_host(system);
	struct object *dc = place_datacenter(system);

	if (compute == NULL || dc == NULL) {
		return NULL;
	}
	switch (value_type(remote)) {
	case T_ResourcePool:
		return ref_of(compute_root_pool(compute));
	case T_ComputeResource:
		return compute->ref;
	case T_Datacenter:
		return dc->ref;
	case T_Folder:
		for (size_t i = 0; i < ARRAY_LEN(folder_props); i++) {
			if (m->folders[i] != NULL && value_equal(m->folders[i], remote)) {
				return ref_of(place_folder(dc, folder_props[i]));
			}
		}
		return NULL;
	default:
		return NULL;
	}
}

const struct value *mirror_local_ref(const struct mirror *m, const struct value *remote)
{
	const struct mirror_source *s = NULL;

	if (value_is_kept(remote)) {
		s = map64_get(&m->by_remote, (uint64_t)(uintptr_t)remote);
	}
	if (s == NULL && m->source != NULL) {
		struct object *o = inventory_find_ref(m->source, remote);
		s = o == NULL ? NULL : map64_get(&m->by_remote, (uint64_t)(uintptr_t)o->ref);
	}
	return s != NULL ? s->of->object->ref : local_own(m, remote);
}

static const struct value *remote_own(const struct mirror *m, struct object *o)
{
	struct object *compute = compute_of_host(member_system(m->member));

	if (schema_is_a(o->type, T_ResourcePool)) {
		return compute_of_pool(o) == compute ? m->pool : NULL;
	}
	if (schema_is_a(o->type, T_ComputeResource)) {
		return o == compute ? m->compute : NULL;
	}
	if (place_datacenter(o) != place_datacenter(compute)) {
		return NULL;
	}
	if (schema_is_a(o->type, T_Datacenter)) {
		return m->datacenter;
	}
	for (size_t i = 0; schema_is_a(o->type, T_Folder) && i < ARRAY_LEN(folder_kinds); i++) {
		if (folder_kind(o) == folder_kinds[i]) {
			return m->folders[i];
		}
	}
	return NULL;
}

const struct value *mirror_remote_ref(const struct mirror *m, const struct value *local)
{
	struct object *o = inventory_find_ref(m->member->center->inventory, local);
	const struct mirrored *of = o == NULL ? NULL : mirrored_of(o);

	if (o == NULL) {
		return NULL;
	}
	for (struct mirror_source *s = of == NULL ? NULL : of->sources; s != NULL; s = s->next) {
		if (s->mirror == m) {
			return s->remote;
		}
	}
	return of == NULL ? remote_own(m, o) : NULL;
}

/* ---- "[datastore] path" ---- */

/* Length of the name in brackets that the text begins with; 0: it does not. */
static size_t bracket_length(const struct value *text)
{
	const char *s = value_bytes(text);
	const char *end = s[0] == '[' ? memchr(s, ']', value_len(text)) : NULL;

	return end == NULL || (end[1] != '\0' && end[1] != ' ') ? 0 : (size_t)(end - s - 1);
}

static const char *store_remote_name(const struct mirror_source *s)
{
	return s->object == NULL ? NULL : object_get_str(s->object, P_ManagedEntity_name);
}

static bool is_name(const char *name, const char *s, size_t n)
{
	return name != NULL && strlen(name) == n && memcmp(name, s, n) == 0;
}

static const struct value *with_name(const struct value *text, size_t n, const char *name,
				     struct arena *a)
{
	const char *rest = value_bytes(text) + 1 + n;

	return is_name(name, value_bytes(text) + 1, n)
		       ? text
		       : value_new_str(a, arena_printf(a, "[%s%s", name, rest));
}

static const struct value *import_text(void *arg, const struct value *text, struct arena *a)
{
	const struct mirror *m = arg;
	size_t n = bracket_length(text);

	if (n > 0) {
		vec_each (&m->stores, it) {
			if (is_name(store_remote_name(*it), value_bytes(text) + 1, n)) {
				return with_name(text, n, place_name((*it)->of->object), a);
			}
		}
	}
	return text;
}

struct object *mirror_datastore(const struct mirror *m, const char *name, size_t len)
{
	vec_each (&m->stores, it) {
		if (is_name(place_name((*it)->of->object), name, len)) {
			return (*it)->of->object;
		}
	}
	return NULL;
}

bool mirror_has_datastore(const struct mirror *m, const char *name, size_t len)
{
	return mirror_datastore(m, name, len) != NULL;
}

struct export
{
	const struct mirror *m;
	const struct value *text; /* names a datastore that this host does not have */
};

static const struct value *export_text(void *arg, const struct value *text, struct arena *a)
{
	struct export *x = arg;
	size_t n = bracket_length(text);
	bool is_other = false; /* another datastore here than the one of that name there */

	if (n == 0) {
		return text;
	}
	vec_each (&x->m->stores, it) {
		const char *name = store_remote_name(*it);
		if (name != NULL &&
		    is_name(place_name((*it)->of->object), value_bytes(text) + 1, n)) {
			return with_name(text, n, name, a);
		}
		is_other |= is_name(name, value_bytes(text) + 1, n);
	}
	if (is_other) {
		x->text = text;
	}
	return text;
}

/* ---- whole values ---- */

static const struct value *import_ref(void *arg, const struct value *ref, struct arena *a)
{
	(void)a;
	return mirror_local_ref(arg, ref);
}

static void *unconst(const struct mirror *m)
{
	return (void *)(uintptr_t)m;
}

const struct value *mirror_import(const struct mirror *m, const struct value *v, struct arena *a)
{
	struct translation t = {
		.types = m->member->hosts->types,
		.ref = import_ref,
		.text = m->n_renamed > 0 ? import_text : NULL,
		.arg = unconst(m),
	};

	return translate(&t, v, a);
}

static const struct value *export_ref(void *arg, const struct value *ref, struct arena *a)
{
	const struct export *x = arg;

	(void)a;
	return mirror_remote_ref(x->m, ref);
}

bool mirror_export(const struct mirror *m, const struct value *v, struct arena *a,
		   const struct value **out, struct error *e)
{
	struct export x = { .m = m };
	struct translation t = {
		.types = m->member->hosts->types,
		.ref = export_ref,
		.text = m->n_renamed > 0 ? export_text : NULL,
		.arg = &x,
	};
	const struct value *there = translate(&t, v, a);

	if (t.missing != NULL) {
		bool is_there = inventory_find_ref(m->member->center->inventory, t.missing) != NULL;
		return error_set(e, ERROR_NOT_FOUND, "\"%s\" %s%s%s", value_bytes(t.missing),
				 is_there ? "is not on host \"" : "does not exist",
				 is_there ? member_name(m->member) : "", is_there ? "\"" : "");
	}
	if (x.text != NULL) {
		return error_set(e, ERROR_NOT_FOUND, "host \"%s\" has no datastore for \"%.150s\"",
				 member_name(m->member), value_bytes(x.text));
	}
	*out = there;
	return true;
}

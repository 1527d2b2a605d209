/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path texts are interned for the life of the process. Their number is bounded by the schema and
 * the keys that this side hands out: only arrays of virtual devices are followed element by element
 * (their keys are small numbers); every other array counts as one whole.
 */
#include "vim/journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"

enum {
	DIFF_DEPTH = 16,
	DIFF_MAX_PATHS = 32,
	KEYED_MAX = 512
};

static struct map path_texts;

static const char *path_intern(const char *path)
{
	char *known = map_get(&path_texts, path);

	if (known == NULL) {
		known = mem_strdup(path);
		map_set(&path_texts, path, known);
	}
	return known;
}

/* True when `path` is `above` or lies below it. */
static bool lies_below(const struct change *c, const char *above, size_t n)
{
	return c->path_len >= n && memcmp(c->path, above, n) == 0 &&
	       (c->path_len == n || c->path[n] == '.' || c->path[n] == '[');
}

/* Too many entries: each property keeps one, for the whole of it. */
static void fold(struct object *o)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < o->n_journal; i++) {
		struct change *c = &o->journal[i];
		bool newer = false;
		for (uint32_t j = i + 1; j < o->n_journal && !newer; j++) {
			newer = o->journal[j].prop == c->prop;
		}
		if (newer) {
			continue;
		}
		const char *name = schema_field_name(schema_field(o->type, c->prop));
		o->journal[kept++] = (struct change){ .version = c->version,
						      .path = path_intern(name),
						      .path_len = (uint32_t)strlen(name),
						      .prop = c->prop,
						      .op = CHANGE_ASSIGN };
	}
	o->n_journal = kept;
}

void journal_note(struct object *o, unsigned prop, const char *path, enum change_op op)
{
	const char *known = path_intern(path);
	size_t n = strlen(known);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < o->n_journal; i++) {
		if (!lies_below(&o->journal[i], known, n)) {
			o->journal[kept++] = o->journal[i];
		}
	}
	o->n_journal = kept;
	if (o->n_journal >= JOURNAL_MAX) {
		fold(o);
	}
	if (o->n_journal == o->journal_cap) {
		o->journal_cap = o->journal_cap == 0 ? 2 : o->journal_cap * 2;
		o->journal = mem_realloc_array(o->journal, o->journal_cap, sizeof(*o->journal));
	}
	o->journal[o->n_journal++] = (struct change){ .version = o->version,
						      .path = known,
						      .path_len = (uint32_t)n,
						      .prop = (uint8_t)prop,
						      .op = (uint8_t)op };
}

/* ---- comparing ---- */

struct diff {
	struct object *o;
	unsigned prop;
	struct buf path;
	unsigned n_paths, depth;
};

static void diff_values(struct diff *d, const struct value *old, const struct value *now);

static void diff_note(struct diff *d, enum change_op op)
{
	if (++d->n_paths <= DIFF_MAX_PATHS) {
		journal_note(d->o, d->prop, d->path.data, op);
	}
}

static void path_cut(struct diff *d, size_t len)
{
	d->path.len = len;
	d->path.data[len] = '\0';
}

static void diff_structs(struct diff *d, const struct value *old, const struct value *now)
{
	size_t len = d->path.len;
	unsigned n = schema_type(now->type)->n_fields;

	for (unsigned i = 0; i < n && d->n_paths <= DIFF_MAX_PATHS; i++) {
		const struct schema_field *f = schema_field(now->type, i);
		union slot s = { .num = 0 }, t = { .num = 0 };
		bool had = value_get(old, i, &s), has = value_get(now, i, &t);
		if (had == has && (!had || s.num == t.num)) {
			continue;
		}
		buf_addc(&d->path, '.');
		buf_add(&d->path, schema_field_name(f), f->name_len);
		bool deeper =
			had && has && ((f->flags & FIELD_ARRAY) || !schema_kind_is_scalar(f->kind));
		if (deeper) {
			diff_values(d, s.value, t.value);
		} else {
			diff_note(d, CHANGE_ASSIGN);
		}
		path_cut(d, len);
	}
}

static const struct value *device_with_key(const struct value *array, int64_t key)
{
	for (size_t i = 0; i < array->n; i++) {
		const struct value *item = value_item(array, i);
		if (value_get_num(item, F_VirtualDevice_key, -1) == key) {
			return item;
		}
	}
	return NULL;
}

static void diff_device(struct diff *d, const struct value *device, const struct value *old,
			const struct value *now)
{
	size_t len = d->path.len;
	enum change_op op = CHANGE_ASSIGN;

	if (old == NULL || now == NULL) {
		op = old == NULL ? CHANGE_ADD : CHANGE_REMOVE;
	}
	buf_addf(&d->path, "[%lld]", (long long)value_get_num(device, F_VirtualDevice_key, 0));
	if (op == CHANGE_ASSIGN) {
		diff_values(d, old, now);
	} else {
		diff_note(d, op);
	}
	path_cut(d, len);
}

static void diff_devices(struct diff *d, const struct value *old, const struct value *now)
{
	for (size_t i = 0; i < now->n; i++) {
		const struct value *item = value_item(now, i);
		const struct value *was =
			device_with_key(old, value_get_num(item, F_VirtualDevice_key, 0));
		if (was != item) {
			diff_device(d, item, was, item);
		}
	}
	for (size_t i = 0; i < old->n; i++) {
		const struct value *item = value_item(old, i);
		if (device_with_key(now, value_get_num(item, F_VirtualDevice_key, 0)) == NULL) {
			diff_device(d, item, item, NULL);
		}
	}
}

static void diff_values(struct diff *d, const struct value *old, const struct value *now)
{
	if (old == now) {
		return;
	}
	bool same_form = old != NULL && now != NULL && old->kind == now->kind &&
			 old->type == now->type && d->depth < DIFF_DEPTH;
	d->depth++;
	if (same_form && now->kind == KIND_STRUCT) {
		diff_structs(d, old, now);
	} else if (same_form && now->kind == KIND_ARRAY && now->item == KIND_STRUCT &&
		   now->type == T_VirtualDevice && old->n <= KEYED_MAX && now->n <= KEYED_MAX) {
		diff_devices(d, old, now);
	} else {
		diff_note(d, CHANGE_ASSIGN);
	}
	d->depth--;
}

void journal_diff(struct object *o, unsigned prop, const struct value *old, const struct value *now)
{
	struct diff d = { .o = o, .prop = prop };

	buf_adds(&d.path, schema_field_name(schema_field(o->type, prop)));
	size_t len = d.path.len;
	diff_values(&d, old, now);
	if (d.n_paths > DIFF_MAX_PATHS || d.n_paths == 0) {
		/* Too much to list, or only the order of devices: the whole property. */
		path_cut(&d, len);
		journal_note(o, prop, d.path.data, CHANGE_ASSIGN);
	}
	buf_free(&d.path);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Update sets as answers: XML straight from the store, all at once or, for many objects, bit by bit
 * as the client takes it; values for callers in this process.
 */
#include <string.h>

#include "vim/access.h"
#include "vim/content.h"
#include "vim/fault.h"
#include "vim/update.h"

enum {
	STREAM_FROM = 256,
	STREAM_CHUNK = 64 << 10,
	STREAM_WORK = 8192, /* properties read before others have their turn */
	PARTIAL_MAX = 16    /* more nested changes than this: the whole property */
};

/* Takes the changes of one object: as XML (b) or as PropertyChange[] (array). */
struct sink {
	struct buf *b;
	struct value *array;
	const struct reader *reader;
};

struct stream {
	struct session_item item;
	struct service *service;
	struct inventory *inventory;
	struct reader reader; /* session NULL: it has ended, and with it this answer */
	struct update_set set;
	size_t at;
	bool has_begun;
};

/* ---- changes of one object ---- */

static void sink_change(struct sink *s, const char *name, int op, const struct value *v)
{
	if (s->b != NULL) {
		buf_adds(s->b, "<changeSet><name>");
		soap_write_text(s->b, name, strlen(name));
		buf_adds(s->b, "</name><op>");
		buf_adds(s->b, schema_enum_name(T_PropertyChangeOp, (unsigned)op));
		buf_adds(s->b, "</op>");
		if (v != NULL) {
			soap_write_any(s->b, "val", v, s->reader->version);
		}
		buf_adds(s->b, "</changeSet>");
		return;
	}
	struct arena *a = s->reader->scratch;
	struct value *change = value_new(a, T_PropertyChange);
	value_set_str(a, change, F_PropertyChange_name, name);
	value_set_num(a, change, F_PropertyChange_op, op);
	value_set(a, change, F_PropertyChange_val, v);
	value_push(a, s->array, change);
}

/* All properties that are set; what may not be read is returned, as MissingProperty[]. */
static const struct value *tell_all(struct sink *s, const struct plan *p, struct object *o)
{
	struct value *missing = NULL;

	for (uint32_t i = 0; i < p->n_paths; i++) {
		const struct path *path = p->paths[i];
		if (!access_may_read(s->reader->session, o, path->prop)) {
			missing = content_missing(missing, path, o, s->reader);
			continue;
		}
		const struct value *v = path_eval(path, o, s->reader->scratch);
		if (v != NULL) {
			sink_change(s, path->asked, E_PropertyChangeOp_assign, v);
		}
	}
	return missing;
}

/* The whole of a path of the plan. A property that is unset itself is assigned nothing; one that
 * went with what it lay in was removed indirectly. */
static void tell_whole(struct sink *s, const struct path *p, struct object *o)
{
	const struct value *v = path_eval(p, o, s->reader->scratch);
	bool is_nested = p->n_steps > 1 || p->steps[0].key != NULL;

	sink_change(s, p->asked,
		    v == NULL && is_nested ? E_PropertyChangeOp_indirectRemove
					   : E_PropertyChangeOp_assign,
		    v);
}

/* One change below a path of the plan; false when it cannot be told by itself. */
static bool tell_part(struct sink *s, const struct change *c, struct object *o)
{
	struct arena *a = s->reader->scratch;
	struct error e;
	struct path *p = path_parse(a, o->type, c->path, c->path_len, &e);

	if (p == NULL) {
		return false;
	}
	if (p->since > s->reader->version) {
		return true;
	}
	const struct value *v = c->op == CHANGE_REMOVE ? NULL : path_eval(p, o, a);
	int op = E_PropertyChangeOp_assign;
	if (c->op == CHANGE_REMOVE) {
		op = E_PropertyChangeOp_remove;
	} else if (v == NULL) {
		op = E_PropertyChangeOp_indirectRemove;
	} else if (c->op == CHANGE_ADD) {
		op = E_PropertyChangeOp_add;
	}
	sink_change(s, c->path, op, v);
	return true;
}

/* Is the change part of another one that is told as well? */
static bool is_covered(const struct object *o, const struct change *c, uint64_t since)
{
	for (uint32_t i = o->n_journal; i > 0 && o->journal[i - 1].version > since; i--) {
		const struct change *d = &o->journal[i - 1];
		if (d != c && d->path_len < c->path_len &&
		    path_is_below(c->path, c->path_len, d->path, d->path_len)) {
			return true;
		}
	}
	return false;
}

/* How a path of the plan was touched: not at all (0), as a whole (-1), or in n places below. */
static int count_parts(const struct path *p, const struct object *o, uint64_t since)
{
	int n = 0;

	for (uint32_t i = o->n_journal; i > 0 && o->journal[i - 1].version > since; i--) {
		const struct change *c = &o->journal[i - 1];
		if (c->prop != p->prop || !path_overlaps(c->path, c->path_len, p->text, p->len)) {
			continue;
		}
		if (c->path_len <= p->len || ++n > PARTIAL_MAX) {
			return -1;
		}
	}
	return n;
}

static void tell_parts(struct sink *s, const struct path *p, struct object *o, uint64_t since)
{
	for (uint32_t i = 0; i < o->n_journal; i++) {
		const struct change *c = &o->journal[i];
		if (c->version <= since || c->prop != p->prop ||
		    !path_is_below(c->path, c->path_len, p->text, p->len) ||
		    is_covered(o, c, since)) {
			continue;
		}
		if (!tell_part(s, c, o)) {
			tell_whole(s, p, o);
			return;
		}
	}
}

static void tell_changes(struct sink *s, const struct plan *p, struct object *o,
			 const struct update *u)
{
	for (uint32_t i = 0; i < p->n_paths; i++) {
		if (!access_may_read(s->reader->session, o, p->paths[i]->prop)) {
			continue;
		}
		int n = count_parts(p->paths[i], o, u->since);
		if (n != 0 && (n < 0 || !u->is_partial)) {
			tell_whole(s, p->paths[i], o);
		} else if (n > 0) {
			tell_parts(s, p->paths[i], o, u->since);
		}
	}
}

/* Changes into the sink; missing properties are returned. */
static const struct value *tell(struct sink *s, const struct update *u, struct object *o)
{
	const struct plan *p = spec_plan(u->spec, o->type);

	if (u->kind == UPDATE_ENTER) {
		return tell_all(s, p, o);
	}
	tell_changes(s, p, o, u);
	return NULL;
}

/* ---- as XML ---- */

static const char *const kinds[] = { "enter", "modify", "leave" };

static void write_field(struct buf *b, uint16_t type, unsigned field, const struct value *v,
			uint8_t version)
{
	soap_write_field(b, schema_field(type, field), (union slot){ .value = v }, version);
}

static void write_missing(struct buf *b, const struct update *u, const struct reader *r)
{
	struct arena *a = r->scratch;

	buf_adds(b, "<missingSet>");
	write_field(b, T_MissingObject, F_MissingObject_obj, u->ref, r->version);
	write_field(b, T_MissingObject, F_MissingObject_fault,
		    fault_localized(a, fault_not_found(a, u->ref), "The object does not exist"),
		    r->version);
	buf_adds(b, "</missingSet>");
}

static void write_update(struct buf *b, const struct update *u, struct inventory *inv,
			 const struct reader *r)
{
	if (u->kind == UPDATE_MISSING) {
		write_missing(b, u, r);
		return;
	}
	struct object *o = u->kind == UPDATE_LEAVE ? NULL : inventory_find_ref(inv, u->ref);
	if (o == NULL && u->kind != UPDATE_LEAVE) {
		return; /* gone since; its leaving is told next time */
	}
	buf_adds(b, "<objectSet><kind>");
	buf_adds(b, kinds[u->kind]);
	buf_adds(b, "</kind>");
	write_field(b, T_ObjectUpdate, F_ObjectUpdate_obj, u->ref, r->version);
	if (o != NULL) {
		struct sink sink = { .b = b, .reader = r };
		const struct value *missing = tell(&sink, u, o);
		if (missing != NULL) {
			write_field(b, T_ObjectUpdate, F_ObjectUpdate_missingSet, missing,
				    r->version);
		}
	}
	buf_adds(b, "</objectSet>");
}

static void write_begin(struct buf *b, const struct update_set *set)
{
	char version[BOOKMARK_SIZE];

	bookmark_format(&set->next, version);
	buf_adds(b, "<returnval><version>");
	buf_adds(b, version);
	buf_adds(b, "</version>");
}

static void write_end(struct buf *b, const struct update_set *set)
{
	if (set->is_truncated) {
		buf_adds(b, "<truncated>true</truncated>");
	}
	buf_adds(b, "</returnval>");
}

/* The i-th update, with the frame of its filter where that begins or ends. */
static void write_item(struct buf *b, const struct update_set *set, size_t i, struct inventory *inv,
		       const struct reader *r)
{
	const struct update *u = &set->items.items[i];

	if (i == 0 || set->items.items[i - 1].filter != u->filter) {
		buf_adds(b, "<filterSet>");
		write_field(b, T_PropertyFilterUpdate, F_PropertyFilterUpdate_filter, u->filter,
			    r->version);
	}
	write_update(b, u, inv, r);
	if (i + 1 == set->items.n || set->items.items[i + 1].filter != u->filter) {
		buf_adds(b, "</filterSet>");
	}
}

/* ---- streamed ---- */

static bool stream_next(void *arg, struct buf *out)
{
	struct stream *s = arg;
	size_t until = out->len + STREAM_CHUNK, work = 0;
	struct session *old = service_act_as(s->service, s->reader.session);

	if (!s->has_begun) {
		s->has_begun = true;
		write_begin(out, &s->set);
	}
	while (s->at < s->set.items.n && out->len < until && work < STREAM_WORK &&
	       s->reader.session != NULL) {
		const struct update *u = &s->set.items.items[s->at];
		work += u->kind == UPDATE_MISSING ? 1
						  : spec_plan(u->spec, value_type(u->ref))->n_paths;
		write_item(out, &s->set, s->at++, s->inventory, &s->reader);
		arena_reset(s->reader.scratch);
	}
	service_act_as(s->service, old);
	if (s->at < s->set.items.n && s->reader.session != NULL) {
		return true;
	}
	if (s->at > 0 && s->at < s->set.items.n &&
	    s->set.items.items[s->at].filter == s->set.items.items[s->at - 1].filter) {
		buf_adds(out, "</filterSet>");
	}
	write_end(out, &s->set);
	return false;
}

static void stream_done(void *arg)
{
	struct stream *s = arg;

	if (s->reader.session != NULL) {
		session_disown(&s->item);
	}
	update_free(&s->set);
	arena_free(s->reader.scratch);
	free(s);
}

static void stream_session_ended(struct session_item *item)
{
	CONTAINER_OF(item, struct stream, item)->reader.session = NULL;
}

static void answer_stream(struct call *c, struct update_set *set)
{
	struct stream *s = mem_zalloc(sizeof(*s));

	s->service = c->service;
	s->inventory = service_inventory(c->service);
	s->reader = (struct reader){ c->session, c->version, arena_new(0) };
	s->set = *set;
	*set = (struct update_set){ 0 };
	s->item.end = stream_session_ended;
	session_own(c->session, &s->item);
	call_stream(c, stream_next, stream_done, s);
}

static void answer_xml(struct call *c, const struct update_set *set)
{
	struct reader reader = { c->session, c->version, c->arena };
	struct buf *b = call_xml(c);

	write_begin(b, set);
	for (size_t i = 0; i < set->items.n; i++) {
		write_item(b, set, i, service_inventory(c->service), &reader);
	}
	write_end(b, set);
	call_xml_end(c);
}

/* ---- as values ---- */

static struct value *object_update_value(const struct update *u, struct object *o,
					 const struct reader *r)
{
	struct arena *a = r->scratch;
	struct value *v = value_new(a, T_ObjectUpdate);

	value_set_num(a, v, F_ObjectUpdate_kind,
		      schema_enum_find(T_ObjectUpdateKind, kinds[u->kind], strlen(kinds[u->kind])));
	value_set(a, v, F_ObjectUpdate_obj, u->ref);
	if (o != NULL) {
		struct sink sink = { .array = value_new_array(a, T_PropertyChange), .reader = r };
		value_set(a, v, F_ObjectUpdate_missingSet, tell(&sink, u, o));
		if (value_count(sink.array) > 0) {
			value_set(a, v, F_ObjectUpdate_changeSet, sink.array);
		}
	}
	return v;
}

static struct value *missing_value(const struct update *u, struct arena *a)
{
	struct value *v = value_new(a, T_MissingObject);

	value_set(a, v, F_MissingObject_obj, u->ref);
	value_set(a, v, F_MissingObject_fault,
		  fault_localized(a, fault_not_found(a, u->ref), "The object does not exist"));
	return v;
}

/* The update of one filter, from item *at on. */
static struct value *filter_value(const struct update_set *set, size_t *at, struct inventory *inv,
				  const struct reader *r)
{
	struct arena *a = r->scratch;
	struct value *v = value_new(a, T_PropertyFilterUpdate);
	struct value *objects = value_new_array(a, T_ObjectUpdate);
	struct value *missing = value_new_array(a, T_MissingObject);
	const struct value *filter = set->items.items[*at].filter;

	value_set(a, v, F_PropertyFilterUpdate_filter, filter);
	for (; *at < set->items.n && set->items.items[*at].filter == filter; (*at)++) {
		const struct update *u = &set->items.items[*at];
		struct object *o = inventory_find_ref(inv, u->ref);
		if (u->kind == UPDATE_MISSING) {
			value_push(a, missing, missing_value(u, a));
		} else if (u->kind == UPDATE_LEAVE) {
			value_push(a, objects, object_update_value(u, NULL, r));
		} else if (o != NULL) {
			value_push(a, objects, object_update_value(u, o, r));
		}
	}
	if (value_count(objects) > 0) {
		value_set(a, v, F_PropertyFilterUpdate_objectSet, objects);
	}
	if (value_count(missing) > 0) {
		value_set(a, v, F_PropertyFilterUpdate_missingSet, missing);
	}
	return v;
}

static void answer_value(struct call *c, const struct update_set *set)
{
	struct reader reader = { c->session, c->version, c->arena };
	struct arena *a = c->arena;
	struct value *v = value_new(a, T_UpdateSet), *filters;
	char version[BOOKMARK_SIZE];

	filters = value_new_array(a, T_PropertyFilterUpdate);
	for (size_t i = 0; i < set->items.n;) {
		value_push(a, filters,
			   filter_value(set, &i, service_inventory(c->service), &reader));
	}
	bookmark_format(&set->next, version);
	value_set_str(a, v, F_UpdateSet_version, version);
	value_set(a, v, F_UpdateSet_filterSet, filters);
	if (set->is_truncated) {
		value_set_bool(a, v, F_UpdateSet_truncated, true);
	}
	call_return(c, v);
}

void update_answer(struct call *c, struct update_set *set)
{
	struct service *service = c->service; /* the call is gone when it is answered */
	struct session *old = service_act_as(service, c->session);

	if (!call_wants_xml(c)) {
		answer_value(c, set);
	} else if (set->items.n > STREAM_FROM) {
		answer_stream(c, set);
	} else {
		answer_xml(c, set);
	}
	service_act_as(service, old);
	update_free(set);
}

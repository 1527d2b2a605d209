/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/retrieve.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "vim/content.h"
#include "vim/fault.h"
#include "vim/selection.h"

enum {
	MAX_SPECS = 100,
	MAX_OPEN = 16, /* the oldest gives way */
	MAX_FOUND = 500000,
	MAX_HELD = 1000000, /* objects of open retrievals of a session */
	STREAM_WORK = 8192, /* properties read before others have their turn */
	STREAM_FROM = 256,
	STREAM_CHUNK = 64 << 10,
	TOKEN_SIZE = 48
};

struct found {
	struct spec *spec;
	const struct value *ref;
};

/* What a retrieval found, in order. When held, references and specs are counted and may outlive
 * the call. */
struct found_set {
	VEC(struct found) items;
	bool is_held;
};

struct retrieval {
	struct list_node link;
	uint64_t id;
	size_t page;
	struct found_set found;
};

/* An answer under way to a slow client. */
struct stream {
	struct session_item item;
	struct service *service;
	struct inventory *inventory;
	struct reader reader; /* session NULL: it has ended, and with it this answer */
	struct found_set found;
	size_t at;
	bool is_ex, has_begun;
	char token[TOKEN_SIZE];
};

static struct found_set found_slice(const struct found_set *from, size_t first, size_t n)
{
	struct found_set slice = { .is_held = true };

	vec_reserve(&slice.items, n);
	for (size_t i = first; i < first + n; i++) {
		struct found f = from->items.items[i];
		spec_hold(f.spec);
		value_hold(f.ref);
		vec_push(&slice.items, f);
	}
	return slice;
}

static void found_free(struct found_set *set)
{
	if (set->is_held) {
		vec_each (&set->items, f) {
			value_drop(f->ref);
			spec_drop(f->spec);
		}
	}
	vec_free(&set->items);
}

/* ---- open retrievals ---- */

static void retrieval_free(struct retrievals *r, struct retrieval *one)
{
	list_remove(&one->link);
	r->n--;
	*r->n_held -= one->found.items.n;
	found_free(&one->found);
	free(one);
}

void retrievals_init(struct retrievals *r, size_t *n_held)
{
	*r = (struct retrievals){ .n_held = n_held };
	list_init(&r->open);
}

void retrievals_fini(struct retrievals *r)
{
	list_each_safe (struct retrieval, one, &r->open, link) {
		retrieval_free(r, one);
	}
}

/* NULL when other collectors of the session hold too many objects. */
static struct retrieval *retrieval_open(struct retrievals *r, const struct found_set *found,
					size_t page)
{
	struct list_node *oldest;

	while ((oldest = list_front(&r->open)) != NULL &&
	       (r->n >= MAX_OPEN || *r->n_held + found->items.n > MAX_HELD)) {
		retrieval_free(r, CONTAINER_OF(oldest, struct retrieval, link));
	}
	if (*r->n_held + found->items.n > MAX_HELD) {
		return NULL;
	}
	struct retrieval *one = mem_zalloc(sizeof(*one));
	*r->n_held += found->items.n;
	one->id = ++r->last_id;
	one->page = page;
	one->found = found_slice(found, 0, found->items.n);
	list_push_back(&r->open, &one->link);
	r->n++;
	return one;
}

/* A token is the number of the retrieval and the place of the next object. */
static struct retrieval *retrieval_find(struct retrievals *r, const char *token, size_t *at)
{
	const char *dot = strchr(token, '-');
	uint64_t id, place;

	if (dot == NULL || !number_u64_n(token, (size_t)(dot - token), &id) ||
	    !number_u64(dot + 1, &place)) {
		return NULL;
	}
	list_each (struct retrieval, one, &r->open, link) {
		if (one->id == id && place < one->found.items.n) {
			*at = (size_t)place;
			return one;
		}
	}
	return NULL;
}

/* ---- answering ---- */

static void write_begin(struct buf *b, bool is_ex, const char *token)
{
	if (!is_ex) {
		return;
	}
	buf_adds(b, "<returnval>");
	if (token[0] != '\0') {
		buf_adds(b, "<token>");
		buf_adds(b, token);
		buf_adds(b, "</token>");
	}
}

static void write_end(struct buf *b, bool is_ex)
{
	if (is_ex) {
		buf_adds(b, "</returnval>");
	}
}

static bool stream_next(void *arg, struct buf *out)
{
	struct stream *s = arg;
	size_t until = out->len + STREAM_CHUNK, work = 0;
	struct session *old = service_act_as(s->service, s->reader.session);

	if (!s->has_begun) {
		s->has_begun = true;
		write_begin(out, s->is_ex, s->token);
	}
	while (s->at < s->found.items.n && out->len < until && work < STREAM_WORK &&
	       s->reader.session != NULL) {
		struct found *f = &s->found.items.items[s->at++];
		struct object *o = inventory_find_ref(s->inventory, f->ref);
		if (o != NULL) {
			content_write(out, s->is_ex ? "objects" : "returnval", f->spec, o,
				      &s->reader);
			work += spec_plan(f->spec, o->type)->n_paths;
			arena_reset(s->reader.scratch);
		}
	}
	service_act_as(s->service, old);
	if (s->at < s->found.items.n && s->reader.session != NULL) {
		return true;
	}
	write_end(out, s->is_ex);
	return false;
}

static void stream_done(void *arg)
{
	struct stream *s = arg;

	if (s->reader.session != NULL) {
		session_disown(&s->item);
	}
	found_free(&s->found);
	arena_free(s->reader.scratch);
	free(s);
}

static void stream_session_ended(struct session_item *item)
{
	CONTAINER_OF(item, struct stream, item)->reader.session = NULL;
}

static void answer_stream(struct call *c, struct found_set *found, bool is_ex, const char *token)
{
	struct stream *s = mem_zalloc(sizeof(*s));

	s->service = c->service;
	s->inventory = service_inventory(c->service);
	s->reader = (struct reader){ c->session, c->version, arena_new(0) };
	s->found = found_slice(found, 0, found->items.n);
	s->is_ex = is_ex;
	snprintf(s->token, sizeof(s->token), "%s", token);
	s->item.end = stream_session_ended;
	session_own(c->session, &s->item);
	call_stream(c, stream_next, stream_done, s);
}

static void answer_xml(struct call *c, struct found_set *found, bool is_ex, const char *token)
{
	struct reader reader = { c->session, c->version, c->arena };
	struct buf *b = call_xml(c);

	write_begin(b, is_ex, token);
	vec_each (&found->items, f) {
		struct object *o = inventory_find_ref(service_inventory(c->service), f->ref);
		if (o != NULL) {
			content_write(b, is_ex ? "objects" : "returnval", f->spec, o, &reader);
		}
	}
	write_end(b, is_ex);
	call_xml_end(c);
}

static void answer_value(struct call *c, struct found_set *found, bool is_ex, const char *token)
{
	struct reader reader = { c->session, c->version, c->arena };
	struct value *objects = value_new_array(c->arena, T_ObjectContent);

	vec_each (&found->items, f) {
		struct object *o = inventory_find_ref(service_inventory(c->service), f->ref);
		if (o != NULL) {
			value_push(c->arena, objects, content_value(f->spec, o, &reader));
		}
	}
	if (!is_ex) {
		call_return(c, objects);
		return;
	}
	struct value *result = value_new(c->arena, T_RetrieveResult);
	value_set(c->arena, result, F_RetrieveResult_objects, objects);
	value_set_str(c->arena, result, F_RetrieveResult_token, token[0] != '\0' ? token : NULL);
	call_return(c, result);
}

static void answer(struct call *c, struct found_set *found, bool is_ex, const char *token)
{
	if (found->items.n == 0) {
		call_return(c, NULL);
	} else if (!call_wants_xml(c)) {
		answer_value(c, found, is_ex, token);
	} else if (found->items.n > STREAM_FROM) {
		answer_stream(c, found, is_ex, token);
	} else {
		answer_xml(c, found, is_ex, token);
	}
}

/* One page from place `at` on; the last one closes the retrieval. */
static void answer_page(struct call *c, struct retrievals *r, struct retrieval *one, size_t at)
{
	size_t left = one->found.items.n - at;
	size_t n = MIN(left, one->page);
	struct found_set page = found_slice(&one->found, at, n);
	char token[TOKEN_SIZE] = "";

	if (n < left) {
		snprintf(token, sizeof(token), "%llu-%zu", (unsigned long long)one->id, at + n);
	} else {
		retrieval_free(r, one);
	}
	answer(c, &page, true, token);
	found_free(&page);
}

/* ---- finding ---- */

static bool refuse(struct call *c, const struct refusal *r)
{
	call_fault(c, r->fault, "%s", r->e.msg);
	return false;
}

static bool refuse_size(struct call *c, const char *what, size_t max)
{
	struct error e;

	error_set(&e, ERROR_LIMIT, "the request %s more than %zu objects", what, max);
	call_error(c, &e);
	return false;
}

/* A search for all that the specifications of a call are about. */
struct search {
	struct call *call;
	struct arena *scratch;
	uint64_t cost;
	struct found_set *found;
};

/* False when the call was answered with a fault. */
static bool find(struct search *at, struct spec *s)
{
	struct selection sel = { 0 };
	struct found_set *found = at->found;
	struct call *c = at->call;

	bool ok = selection_run(&sel, s, service_inventory(c->service), c->session, at->scratch,
				SELECTION_COST_MAX - at->cost);
	at->cost += sel.cost;
	if (!ok) {
		refuse_size(c, "looks at", SELECTION_COST_MAX);
	} else if (found->items.n + sel.objects.n > MAX_FOUND) {
		ok = refuse_size(c, "is about", MAX_FOUND);
	}
	if (ok) {
		vec_reserve(&found->items, found->items.n + sel.objects.n);
		vec_each (&sel.objects, o) {
			vec_push(&found->items, (struct found){ s, (*o)->ref });
		}
	}
	selection_free(&sel);
	return ok;
}

/* Finds what one specification asks for; false when the call was answered with a fault. */
static bool find_one(struct search *at, const struct value *v)
{
	struct call *c = at->call;
	struct found_set *found = at->found;
	bool is_kept = found->is_held;
	struct refusal r = { .arena = c->arena };
	struct spec *s = spec_new(is_kept ? NULL : c->arena, v, c->version, &r);

	if (s == NULL) {
		return refuse(c, &r);
	}
	const struct value *missing =
		s->report_missing ? NULL : spec_missing_root(s, service_inventory(c->service));
	if (missing != NULL) {
		call_fault(c, fault_not_found(c->arena, missing),
			   "The object '%s:%s' has already been deleted or has not been "
			   "completely created",
			   schema_type_name(value_type(missing)), value_bytes(missing));
	}
	bool ok = missing == NULL;
	if (ok) {
		size_t from = found->items.n;
		ok = find(at, s);
		/* What is held is counted once for each object. */
		for (size_t i = from; is_kept && i < found->items.n; i++) {
			spec_hold(s);
			value_hold(found->items.items[i].ref);
		}
	}
	spec_drop(s);
	return ok;
}

static bool find_all(struct call *c, const struct value *specs, struct found_set *found,
		     struct arena *scratch)
{
	struct search at = { .call = c, .scratch = scratch, .found = found };

	if (value_count(specs) > MAX_SPECS) {
		call_fault(c, fault_invalid_argument(c->arena, "specSet"),
			   "specSet: more than %d filter specifications", MAX_SPECS);
		return false;
	}
	for (size_t i = 0; i < value_count(specs); i++) {
		if (!find_one(&at, value_item(specs, i))) {
			return false;
		}
	}
	return true;
}

/* ---- methods ---- */

void retrieve_properties(struct call *c, struct arena *scratch)
{
	struct found_set found = { 0 };
	const struct value *specs =
		value_get_value(c->args, A_PropertyCollector_RetrieveProperties_specSet);

	if (find_all(c, specs, &found, scratch)) {
		answer(c, &found, false, "");
	}
	found_free(&found);
}

void retrieve_properties_ex(struct call *c, struct retrievals *r, struct arena *scratch)
{
	struct found_set found = { 0 };
	const struct value *specs =
		value_get_value(c->args, A_PropertyCollector_RetrievePropertiesEx_specSet);
	const struct value *options =
		value_get_value(c->args, A_PropertyCollector_RetrievePropertiesEx_options);
	int64_t max = value_get_num(options, F_RetrieveOptions_maxObjects, INT64_MAX);

	if (max <= 0) {
		call_fault(c, fault_invalid_argument(c->arena, "options.maxObjects"),
			   "options.maxObjects: %lld is not greater than 0", (long long)max);
		return;
	}
	found.is_held = max != INT64_MAX;
	if (!find_all(c, specs, &found, scratch)) {
		found_free(&found);
		return;
	}
	if ((int64_t)found.items.n <= max) {
		answer(c, &found, true, "");
	} else {
		struct retrieval *one = retrieval_open(r, &found, (size_t)max);
		if (one != NULL) {
			answer_page(c, r, one, 0);
		} else {
			refuse_size(c, "and others that are open have", MAX_HELD);
		}
	}
	found_free(&found);
}

/* The retrieval that a token names; answers with a fault and returns NULL when there is none. */
static struct retrieval *retrieval_of(struct call *c, struct retrievals *r, const char *token,
				      size_t *at)
{
	struct retrieval *one = retrieval_find(r, token, at);

	if (one == NULL) {
		struct value *fault = fault_new(c->arena, T_InvalidProperty);
		value_set_str(c->arena, fault, F_InvalidProperty_name, token);
		call_fault(c, fault, "token \"%.100s\" names no retrieval that goes on", token);
	}
	return one;
}

void retrieve_continue(struct call *c, struct retrievals *r)
{
	size_t at;
	const char *token =
		value_get_str(c->args, A_PropertyCollector_ContinueRetrievePropertiesEx_token);
	struct retrieval *one = retrieval_of(c, r, token == NULL ? "" : token, &at);

	if (one != NULL) {
		answer_page(c, r, one, at);
	}
}

void retrieve_cancel(struct call *c, struct retrievals *r)
{
	size_t at;
	const char *token =
		value_get_str(c->args, A_PropertyCollector_CancelRetrievePropertiesEx_token);
	struct retrieval *one = retrieval_of(c, r, token == NULL ? "" : token, &at);

	if (one != NULL) {
		retrieval_free(r, one);
		call_return(c, NULL);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/selection.h"

#include "vim/access.h"

enum {
	SCRATCH_MAX = 1 << 20
};

/* An object still to be walked from. */
struct walk_item {
	struct object *o;
	struct span next;
};

struct walk {
	struct selection *sel;
	struct spec *s;
	struct inventory *inv;
	struct session *session;
	struct arena *scratch;
	VEC(struct walk_item) todo;
	struct bitmap *visited; /* of each traversal: objects it has led to */
};

static void selection_add(struct walk *w, struct object *o)
{
	if (spec_plan(w->s, o->type)->is_wanted && bitmap_add(&w->sel->members, o->index)) {
		vec_push(&w->sel->objects, o);
	}
}

/* The traversal t leads to the object of this reference. */
static void walk_to(struct walk *w, uint16_t t, const struct value *ref)
{
	const struct traversal *tr = &w->s->traversals[t];
	struct object *o = inventory_find_ref(w->inv, ref);

	if (o == NULL || !access_may_view(w->session, o)) {
		return;
	}
	if (!tr->skip) {
		selection_add(w, o);
	}
	if (tr->next.n > 0 && bitmap_add(&w->visited[t], o->index)) {
		vec_push(&w->todo, (struct walk_item){ o, tr->next });
		w->sel->cost += 3; /* memory, above all */
	}
}

static void walk_along(struct walk *w, struct object *o, uint16_t t)
{
	struct traversal *tr = &w->s->traversals[t];

	if (!schema_is_a(o->type, tr->type)) {
		return;
	}
	const struct path *p = spec_via(w->s, tr, o->type);
	if (p == NULL) {
		return;
	}
	bitmap_add(&w->sel->walked, o->index);
	w->sel->cost++;
	const struct value *v = path_eval(p, o, w->scratch);
	if (v == NULL) {
		return;
	}
	if (v->kind == KIND_REF) {
		walk_to(w, t, v);
	} else if (v->kind == KIND_ARRAY && v->item == KIND_REF) {
		w->sel->cost += v->n;
		for (size_t i = 0; i < v->n; i++) {
			walk_to(w, t, value_item(v, i));
		}
	}
	if (arena_used(w->scratch) > SCRATCH_MAX) {
		arena_reset(w->scratch);
	}
}

static void walk_from(struct walk *w, const struct root *root)
{
	struct object *o = inventory_find_ref(w->inv, root->ref);

	if (o == NULL) {
		return;
	}
	if (!root->skip) {
		selection_add(w, o);
	}
	if (root->next.n > 0 && access_may_view(w->session, o)) {
		vec_push(&w->todo, (struct walk_item){ o, root->next });
	}
}

bool selection_run(struct selection *sel, struct spec *s, struct inventory *inv,
		   struct session *session, struct arena *scratch, uint64_t max_cost)
{
	struct walk w = { .sel = sel, .s = s, .inv = inv, .session = session, .scratch = scratch };

	bitmap_reserve(&sel->members, inventory_index_limit(inv));
	bitmap_reserve(&sel->walked, inventory_index_limit(inv));
	w.visited = mem_calloc(s->n_traversals + 1, sizeof(*w.visited));
	for (uint32_t i = 0; i < s->n_roots; i++) {
		walk_from(&w, &s->roots[i]);
	}
	sel->cost += s->n_roots;
	for (size_t at = 0; at < w.todo.n && sel->cost <= max_cost; at++) {
		struct walk_item item = w.todo.items[at];
		sel->cost += item.next.n / 4; /* looking at its type is cheap */
		for (uint32_t i = 0; i < item.next.n; i++) {
			walk_along(&w, item.o, s->choices[item.next.first + i]);
		}
	}
	for (uint32_t i = 0; i < s->n_traversals; i++) {
		bitmap_free(&w.visited[i]);
	}
	free(w.visited);
	vec_free(&w.todo);
	arena_reset(scratch);
	return sel->cost <= max_cost;
}

void selection_free(struct selection *sel)
{
	vec_free(&sel->objects);
	bitmap_free(&sel->members);
	bitmap_free(&sel->walked);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked lists: the node is a member of the object, which is in at most one
 * list per node. The list owns nothing. All operations but list_length() are O(1). A node that
 * is in no list is zeroed or made by list_node_init(). One thread at a time.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

struct list_node {
	struct list_node *next, *prev;
};

struct list {
	struct list_node head; /* a ring through the head */
};

/* clang-format off */
#define LIST_INIT(l) { { &(l).head, &(l).head } }
/* clang-format on */

static inline void list_init(struct list *l)
{
	l->head.next = l->head.prev = &l->head;
}

static inline void list_node_init(struct list_node *n)
{
	n->next = n->prev = NULL;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->head.next == &l->head;
}

static inline bool list_is_linked(const struct list_node *n)
{
	return n->next != NULL;
}

static inline void list_insert_before(struct list_node *at, struct list_node *n)
{
	n->next = at;
	n->prev = at->prev;
	at->prev->next = n;
	at->prev = n;
}

static inline void list_push_back(struct list *l, struct list_node *n)
{
	list_insert_before(&l->head, n);
}

static inline void list_push_front(struct list *l, struct list_node *n)
{
	list_insert_before(l->head.next, n);
}

/* Takes the node out of its list; nothing happens where it is in none. clang's analyzer does not
 * see that the neighbours change, and takes freed ones for neighbours still. */
static inline void list_remove(struct list_node *n)
{
	if (n->next) {
		n->next->prev = n->prev; /* NOLINT(clang-analyzer-unix.Malloc) */
		n->prev->next = n->next; /* NOLINT(clang-analyzer-unix.Malloc) */
		list_node_init(n);
	}
}

/* NULL where the list is empty. */
static inline struct list_node *list_front(const struct list *l)
{
	return list_is_empty(l) ? NULL : l->head.next;
}

static inline struct list_node *list_back(const struct list *l)
{
	return list_is_empty(l) ? NULL : l->head.prev;
}

static inline struct list_node *list_pop_front(struct list *l)
{
	struct list_node *n = list_front(l);
	if (n) {
		l->head.next = n->next;
		n->next->prev = &l->head;
		list_node_init(n);
	}
	return n;
}

static inline struct list_node *list_pop_back(struct list *l)
{
	struct list_node *n = list_back(l);
	if (n) {
		l->head.prev = n->prev;
		n->prev->next = &l->head;
		list_node_init(n);
	}
	return n;
}

static inline size_t list_length(const struct list *l)
{
	size_t n = 0;
	for (const struct list_node *at = l->head.next; at != &l->head; at = at->next) {
		n++;
	}
	return n;
}

/* The object that holds a node; NULL for NULL. */
#define list_entry(node, type, member) ((node) ? CONTAINER_OF((node), type, member) : NULL)

/* `type *it` for each object; the list must not change meanwhile. */
#define list_each(type, it, l, member)                                                             \
	for (type *it = CONTAINER_OF((l)->head.next, type, member); &it->member != &(l)->head;     \
	     it = CONTAINER_OF(it->member.next, type, member))

/* The same, and the body may remove or free `it` (only). */
#define list_each_safe(type, it, l, member)                                                        \
	for (type *it = CONTAINER_OF((l)->head.next, type, member),                                \
		  *it##_next_ = CONTAINER_OF(it->member.next, type, member);                       \
	     &it->member != &(l)->head;                                                            \
	     it = it##_next_, it##_next_ = CONTAINER_OF(it##_next_->member.next, type, member))

#endif

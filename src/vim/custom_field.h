/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Custom fields: attributes that administrators define and set on entities (vSphere API
 * CustomFieldsManager; value, customValue and availableField of entities; setCustomValue).
 *
 * Definitions are kept here and stored in a file; values live in the entities' properties and are
 * stored by the program, entity by entity. Event-loop thread only.
 */
#ifndef VIM_CUSTOM_FIELD_H
#define VIM_CUSTOM_FIELD_H

#include "vim/service.h"

struct custom_field_manager;

struct custom_field_config {
	const char *id;	  /* of the CustomFieldsManager object */
	const char *path; /* where definitions are stored; NULL: nowhere */
	/* Stores an entity's values, a CustomFieldValue array (NULL: none), before they are shown;
	 * false and an error leaves everything as it was. May be NULL. */
	bool (*store)(void *arg, struct object *entity, const struct value *values,
		      struct error *e);
	void *arg;
};

/* NULL when the stored definitions cannot be read. */
struct custom_field_manager *custom_field_manager_new(struct service *s,
						      const struct custom_field_config *config,
						      struct error *e);
void custom_field_manager_free(struct custom_field_manager *m);

/* For each entity that the program makes: shows which fields it may have, and the values that were
 * stored for it (NULL: none). */
void custom_field_attach(struct custom_field_manager *m, struct object *entity,
			 const struct value *values);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/content.h"

#include <string.h>

#include "vim/access.h"
#include "vim/fault.h"

struct value *content_missing(struct value *set, const struct path *p, struct object *o,
			      const struct reader *r)
{
	struct arena *a = r->scratch;
	struct value *missing = value_new(a, T_MissingProperty);

	value_set_str(a, missing, F_MissingProperty_path, p->asked);
	value_set(a, missing, F_MissingProperty_fault,
		  fault_localized(a, fault_no_permission(a, o->ref, "System.Read"),
				  "Permission to perform this operation was denied: it takes the "
				  "privilege System.Read"));
	if (set == NULL) {
		set = value_new_array(a, T_MissingProperty);
	}
	value_push(a, set, missing);
	return set;
}

static void write_tag(struct buf *b, const char *element, bool is_end)
{
	buf_adds(b, is_end ? "</" : "<");
	buf_adds(b, element);
	buf_addc(b, '>');
}

static void write_field(struct buf *b, unsigned field, const struct value *v, uint8_t version)
{
	soap_write_field(b, schema_field(T_ObjectContent, field), (union slot){ .value = v },
			 version);
}

static void write_property(struct buf *b, const struct path *p, const struct value *v,
			   uint8_t version)
{
	buf_adds(b, "<propSet><name>");
	soap_write_text(b, p->asked, strlen(p->asked));
	buf_adds(b, "</name>");
	soap_write_any(b, "val", v, version);
	buf_adds(b, "</propSet>");
}

void content_write(struct buf *b, const char *element, struct spec *s, struct object *o,
		   const struct reader *r)
{
	const struct plan *p = spec_plan(s, o->type);

	write_tag(b, element, false);
	write_field(b, F_ObjectContent_obj, o->ref, r->version);
	struct value *missing = NULL;
	for (uint32_t i = 0; i < p->n_paths; i++) {
		const struct path *path = p->paths[i];
		if (!access_may_read(r->session, o, path->prop)) {
			missing = content_missing(missing, path, o, r);
			continue;
		}
		const struct value *v = path_eval(path, o, r->scratch);
		if (v != NULL) {
			write_property(b, path, v, r->version);
		}
	}
	if (missing != NULL) {
		write_field(b, F_ObjectContent_missingSet, missing, r->version);
	}
	write_tag(b, element, true);
}

struct value *content_value(struct spec *s, struct object *o, const struct reader *r)
{
	struct arena *a = r->scratch;
	const struct plan *p = spec_plan(s, o->type);
	struct value *content = value_new(a, T_ObjectContent);

	value_set(a, content, F_ObjectContent_obj, o->ref);
	struct value *set = value_new_array(a, T_DynamicProperty), *missing = NULL;
	for (uint32_t i = 0; i < p->n_paths; i++) {
		const struct path *path = p->paths[i];
		if (!access_may_read(r->session, o, path->prop)) {
			missing = content_missing(missing, path, o, r);
			continue;
		}
		const struct value *v = path_eval(path, o, a);
		if (v == NULL) {
			continue;
		}
		struct value *property = value_new(a, T_DynamicProperty);
		value_set_str(a, property, F_DynamicProperty_name, path->asked);
		value_set(a, property, F_DynamicProperty_val, v);
		value_push(a, set, property);
	}
	value_set(a, content, F_ObjectContent_missingSet, missing);
	if (value_count(set) > 0) {
		value_set(a, content, F_ObjectContent_propSet, set);
	}
	return content;
}

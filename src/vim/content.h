/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one object tells under a spec (vSphere API ObjectContent): as XML straight from the store
 * for clients, as a value for callers in this process. Event-loop thread only.
 */
#ifndef VIM_CONTENT_H
#define VIM_CONTENT_H

#include "base/buf.h"
#include "vim/session.h"
#include "vim/spec.h"

/* For whom, and the arena for values on the way; whoever writes many objects resets it. */
struct reader {
	struct session *session;
	uint8_t version;
	struct arena *scratch;
};

/* <element><obj…/><propSet…/>…<missingSet…/></element> */
void content_write(struct buf *b, const char *element, struct spec *s, struct object *o,
		   const struct reader *r);

/* The same as an ObjectContent, in r->scratch. */
struct value *content_value(struct spec *s, struct object *o, const struct reader *r);

/* Appends to MissingProperty[] (made when it is NULL) that the session may not read the path. */
struct value *content_missing(struct value *set, const struct path *p, struct object *o,
			      const struct reader *r);

#endif

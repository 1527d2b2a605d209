/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the SOAP reader, which libxml2 feeds or, where the document allows, soap_plain.c:
 * soap_read.c knows documents (envelope, header, request, response,
 * fault), soap_element.c builds values from elements, soap_scalar.c reads the text of leaves.
 *
 * Elements in progress form a stack of frames. A frame is opened by its parent, which alone knows
 * what an element of that name means, and hands its value to the parent when it is closed. Only the
 * top frame collects text, and only if it is a leaf.
 */
#ifndef VIM_SOAP_READER_H
#define VIM_SOAP_READER_H

#include "vim/soap.h"

#define NS_ENVELOPE "http://schemas.xmlsoap.org/soap/envelope/"
#define NS_INSTANCE "http://www.w3.org/2001/XMLSchema-instance"

enum frame_kind {
	FRAME_SKIP, /* content is ignored */
	/* Documents. */
	FRAME_DOCUMENT,
	FRAME_ENVELOPE,
	FRAME_HEADER,
	FRAME_BODY,
	FRAME_REQUEST, /* method element before _this is known; then FRAME_STRUCT or FRAME_FETCH */
	FRAME_SELF,
	FRAME_FETCH,
	FRAME_RESPONSE,
	FRAME_FAULT,
	FRAME_DETAIL,
	FRAME_TEXT, /* its text goes to *text */
	/* Values. */
	FRAME_STRUCT,
	FRAME_ARRAY, /* ArrayOfX inside an anyType */
	FRAME_LEAF
};

struct frame {
	uint8_t kind;		  /* enum frame_kind */
	struct schema_field decl; /* what the element's value has to be (values only) */
	unsigned index;		  /* field of the parent structure that the value goes to */
	bool boxed;		  /* the parent wants a value even for a scalar */
	bool nil;		  /* xsi:nil: no value at all */
	uint8_t leaf_kind;	  /* FRAME_LEAF */
	uint16_t type;		  /* actual type */
	unsigned hint;		  /* structure: index of the field to look for first */
	struct value *value;	  /* structure or array in progress */
	const char *name;  /* element's local name: in the parser's dictionary or the arena */
	const char **text; /* FRAME_TEXT */
};

struct reader {
	struct _xmlParserCtxt *xml; /* libxml2's xmlParserCtxt */
	struct arena *arena;
	struct error *error;
	bool failed;
	bool is_plain; /* fed by soap_plain.c, whose failures are nobody's news */
	bool lenient;  /* responses: what a newer server says beyond our schema is skipped */
	bool first;    /* no element was seen yet */
	bool body_seen;
	unsigned n_elements, max_elements;
	unsigned depth; /* index of the top frame */
	struct buf text;
	struct buf scratch;
	struct frame frames[SOAP_MAX_DEPTH + 1];

	/* What is being read. */
	struct soap_request *request;
	struct soap_response *response;
	uint16_t method;
	uint16_t root_type;
	const struct value *root;
};

/* An element's start tag; strings need not end in NUL except name. */
struct element {
	const char *name, *ns;
	size_t name_len;
	const char *xsi_type; /* local part of xsi:type's value, or NULL */
	size_t xsi_type_len;
	const char *type; /* plain `type` attribute, of references; or NULL */
	size_t type_len;
	bool nil;
};

/* Records the first error and stops the parser. Always false. */
bool reader_fail(struct reader *r, enum error_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The arena's limit was reached. */
bool reader_fail_memory(struct reader *r);

/* What parsers tell: start tags, ends, text; nothing more once r->failed. */
void reader_open(struct reader *r, const struct element *el);
void reader_close(struct reader *r);
void reader_text(struct reader *r, const char *text, size_t n);
/* An attribute of the element; ns NULL: in none. */
void element_attribute(struct element *el, const char *ns, const char *name, size_t name_len,
		       const char *value, size_t len);
/* For tests: false sends all documents to libxml2. */
void reader_allow_plain(bool allow);

/* Opens a frame for an element whose value is declared as `decl`. */
bool element_open(struct reader *r, const struct schema_field *decl, const struct element *el,
		  struct frame *f);
/* Opens a child of a structure or array in progress. */
bool element_open_child(struct reader *r, struct frame *parent, const struct element *el,
			struct frame *f);
/* Ends a value: true and *out when there is one to hand on; check r->failed when false. */
bool element_close(struct reader *r, struct frame *f, union slot *out);
/* Adds a closed child's value to the structure or array in progress. */
bool element_add_child(struct reader *r, struct frame *parent, const struct frame *child,
		       union slot s);

/* Appends to the draft array what the slot of an element of that array holds. */
bool array_push(struct reader *r, struct value *array, union slot s);

/* Managed type of a reference element's `type` attribute, which must fit the declared one (a base
 * of it is accepted: some clients name ManagedEntity). Without: the declared one. T_none: failed.
 */
uint16_t element_ref_type(struct reader *r, const struct schema_field *decl,
			  const struct element *el);

/* Text of a leaf (in r->text) to a slot; strings and the like become values in the arena. False:
 * no value (unknown enumeration value of a lenient reader) or failed. */
bool scalar_read(struct reader *r, const struct frame *f, union slot *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SOAP 1.1 with the vSphere dialect: XML text <-> typed values.
 *
 * Reading: libxml2's SAX interface (and a short way for plain documents, soap_plain.h) builds
 * drafts in an arena directly from the schema's tables; no entities, no DTD, no network; limits on
 * size, depth and number of elements. Namespaces are understood, prefixes do not matter, unknown
 * attributes are ignored, unknown elements refused. Writing: own writer, straight into a buffer,
 * filtered to the client's version.
 *
 * Event-loop thread only (kept values may be reached from drafts).
 */
#ifndef VIM_SOAP_H
#define VIM_SOAP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "vim/value.h"

enum {
	SOAP_MAX_BYTES = 16 << 20,
	SOAP_MAX_DEPTH = 64,
	SOAP_MAX_ELEMENTS = 400000
};

/* What a request says. Text members live in the arena. */
struct soap_request {
	const struct value *self;   /* _this */
	uint16_t method;	    /* M_…; M_none for Fetch and for unknown methods */
	const char *method_name;    /* local name of the request element */
	const char *ns;		    /* its namespace: "urn:vim25" or "urn:internalvim25" */
	const struct value *args;   /* structure schema_method(method)->args */
	const char *fetch_prop;	    /* Fetch (undocumented, on every object): the property's name */
	const char *operation_id;   /* from the SOAP header, or NULL */
	const char *session_cookie; /* vcSessionCookie from the header, or NULL */
};

/* Reads one request. On failure `e` says what was wrong (ERROR_INVALID: malformed, unknown or
 * missing element, wrong type → InvalidRequest; ERROR_LIMIT: too large or too deep;
 * ERROR_NOT_FOUND: unknown method → MethodNotFound, then req->self and method_name are set). */
bool soap_read_request(struct soap_request *req, const char *data, size_t len, struct arena *a,
		       struct error *e);

/* Client side. What a response says: a result (NULL: none) or a fault. */
struct soap_response {
	const struct value *result; /* boxed scalars; arrays as array values */
	const struct value *fault;  /* typed fault, or NULL */
	const char *fault_text;
};

/* Reads the response to `method`. */
bool soap_read_response(struct soap_response *r, uint16_t method, const char *data, size_t len,
			struct arena *a, struct error *e);

/* Reads one value of a known type from XML text (tests, stored documents): `type` is a structure.
 */
bool soap_read_value(const struct value **out, uint16_t type, const char *data, size_t len,
		     struct arena *a, struct error *e);

/* ---- writing; `version` is the client's version index, newer fields and types are left out ----
 */

/* Prologue and epilogue of an envelope (namespaces xsd, xsi, soapenv declared). */
void soap_envelope_begin(struct buf *b);
void soap_envelope_end(struct buf *b);

/* The same with the Response element's start and end tag, for writers of its content. */
void soap_response_begin(struct buf *b, const char *method_name, const char *ns);
void soap_response_end(struct buf *b, const char *method_name);

/* Whole response: <PowerOnVM_TaskResponse xmlns="urn:vim25"><returnval …>…. v: as the method's
 * result is declared: structure, reference, string, boxed scalar, or array (repeated returnval);
 * NULL: no returnval. ns NULL: urn:vim25. */
void soap_write_response(struct buf *b, const char *method_name, const char *ns,
			 const struct schema_field *result, const struct value *v, uint8_t version);

/* Whole fault document. faultcode "ServerFaultCode" or "ClientFaultCode"; text is not empty. */
void soap_write_fault(struct buf *b, const char *code, const char *text, const struct value *fault,
		      uint8_t version);

/* Whole request, for the client. args: structure of method->args. */
void soap_write_request(struct buf *b, uint16_t method, const struct value *self,
			const struct value *args, uint8_t version);

/* One element with xsi:type always present, as DynamicProperty.val and PropertyChange.val need it:
 * <val xsi:type="xsd:string">…</val>, arrays as <val xsi:type="ArrayOfString"><string>…. Every
 * array item carries its own xsi:type (libvirt needs it). */
void soap_write_any(struct buf *b, const char *element, const struct value *v, uint8_t version);

/* One element of a declared field (repeated elements for arrays); xsi:type only where the declared
 * type has subtypes or is anyType and on references' `type` attribute. */
void soap_write_field(struct buf *b, const struct schema_field *f, union slot s, uint8_t version);

/* Text with & < > " escaped and characters that XML 1.0 forbids replaced by U+FFFD. */
void soap_write_text(struct buf *b, const char *s, size_t len);

/* dateTime text <-> microseconds since 1970 (2026-11-22T14:34:36.467259Z; offsets understood). */
void soap_write_time(struct buf *b, int64_t us);
bool soap_read_time(const char *s, size_t len, int64_t *us);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SOAP documents by libxml2's SAX interface.
 *
 * One parser serves all documents, as making one costs more than reading a small request. Its
 * dictionary keeps every name it ever saw; when hostile names have filled it, the parser is thrown
 * away and made anew. Nobody but the parser calls back into here, so one reader is enough.
 */
#include "vim/soap_reader.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vim/soap_plain.h"

enum {
	DICTIONARY_NAMES_MAX = 8192,
	DICTIONARY_BYTES_MAX = 1 << 20,
	TEXT_KEPT_MAX = 1 << 20, /* more room than this is given back after a document */
	RESPONSE_MAX_BYTES = 512 << 20,
	RESPONSE_MAX_ELEMENTS = 50000000,
	/* Parts of an attribute as libxml2's SAX2 gives it. */
	ATT_NAME = 0,
	ATT_NS = 2,
	ATT_VALUE = 3,
	ATT_END = 4,
	ATT_PARTS = 5
};

static struct reader reader;
static bool is_plain_allowed = true;

bool reader_fail(struct reader *r, enum error_kind kind, const char *fmt, ...)
{
	char text[sizeof(r->error->msg)];
	va_list args;

	if (r->failed) {
		return false;
	}
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	error_set(r->error, kind, "%s", text);
	r->failed = true;
	if (!r->is_plain) {
		xmlStopParser(r->xml);
	}
	return false;
}

bool reader_fail_memory(struct reader *r)
{
	return reader_fail(r, ERROR_LIMIT, "the document needs more memory than it may have");
}

/* ---- opening ---- */

static bool fail_unknown(struct reader *r, const struct element *el, const char *where)
{
	return reader_fail(r, ERROR_INVALID, "unknown element \"%.60s\" in %s", el->name, where);
}

static bool element_is(const struct element *el, const char *ns, const char *name)
{
	return strcmp(el->name, name) == 0 && strcmp(el->ns, ns) == 0;
}

static bool open_root(struct reader *r, const struct element *el, struct frame *f)
{
	if (r->root_type != T_none) {
		struct schema_field decl = { .type = r->root_type, .kind = KIND_STRUCT };
		return element_open(r, &decl, el, f);
	}
	if (!element_is(el, NS_ENVELOPE, "Envelope")) {
		return reader_fail(r, ERROR_INVALID, "\"%.60s\" is not a SOAP 1.1 envelope",
				   el->name);
	}
	f->kind = FRAME_ENVELOPE;
	return true;
}

static bool open_in_envelope(struct reader *r, const struct element *el, struct frame *f)
{
	if (element_is(el, NS_ENVELOPE, "Header") && !r->body_seen) {
		f->kind = FRAME_HEADER;
		return true;
	}
	if (!element_is(el, NS_ENVELOPE, "Body") || r->body_seen) {
		return fail_unknown(r, el, "the SOAP envelope");
	}
	r->body_seen = true;
	f->kind = FRAME_BODY;
	return true;
}

static bool open_in_header(struct reader *r, const struct element *el, struct frame *f)
{
	f->kind = FRAME_SKIP;
	if (r->request == NULL) {
		return true;
	}
	if (strcmp(el->name, "operationID") == 0) {
		f->text = &r->request->operation_id;
	} else if (strcmp(el->name, "vcSessionCookie") == 0) {
		f->text = &r->request->session_cookie;
	}
	if (f->text != NULL) {
		f->kind = FRAME_TEXT;
	}
	return true;
}

static bool open_request(struct reader *r, const struct element *el, struct frame *f)
{
	struct soap_request *req = r->request;

	if (req->method_name != NULL) {
		return fail_unknown(r, el, "the SOAP body, which has a request already");
	}
	req->method_name = arena_strndup(r->arena, el->name, el->name_len);
	req->ns = arena_strdup(r->arena, el->ns);
	if (req->method_name == NULL || req->ns == NULL) {
		return reader_fail_memory(r);
	}
	if (strncmp(el->ns, "urn:vim25", 9) != 0 && strcmp(el->ns, "urn:internalvim25") != 0) {
		return reader_fail(r, ERROR_INVALID, "request \"%.60s\" is in namespace \"%.60s\"",
				   el->name, el->ns);
	}
	f->kind = FRAME_REQUEST;
	return true;
}

/* Is the element <method>Response? */
static bool is_response(const struct element *el, uint16_t method)
{
	const char *name = schema_method_name(method);
	size_t n = strlen(name);

	return strncmp(el->name, name, n) == 0 && strcmp(el->name + n, "Response") == 0;
}

static bool open_in_body(struct reader *r, const struct element *el, struct frame *f)
{
	if (r->request != NULL) {
		return open_request(r, el, f);
	}
	if (element_is(el, NS_ENVELOPE, "Fault")) {
		f->kind = FRAME_FAULT;
		r->response->fault_text = "";
		return true;
	}
	if (!is_response(el, r->method)) {
		return fail_unknown(r, el, "the SOAP body");
	}
	f->kind = FRAME_RESPONSE;
	return true;
}

static bool open_self(struct reader *r, const struct element *el, struct frame *f)
{
	struct schema_field any = { .type = T_ManagedObject, .kind = KIND_REF };

	if (strcmp(el->name, "_this") != 0) {
		return reader_fail(r, ERROR_INVALID, "the first element in \"%.60s\" is not _this",
				   r->request->method_name);
	}
	f->kind = FRAME_SELF;
	f->leaf_kind = KIND_REF;
	f->type = element_ref_type(r, &any, el);
	return f->type != T_none;
}

static bool open_in_fetch(struct reader *r, const struct element *el, struct frame *f)
{
	if (strcmp(el->name, "prop") != 0 || r->request->fetch_prop != NULL) {
		return fail_unknown(r, el, "\"Fetch\"");
	}
	f->kind = FRAME_TEXT;
	f->text = &r->request->fetch_prop;
	return true;
}

static bool open_in_response(struct reader *r, const struct element *el, struct frame *f)
{
	const struct schema_field *result = &schema_method(r->method)->result;

	if (strcmp(el->name, "returnval") != 0 || result->kind == KIND_NONE) {
		f->kind = FRAME_SKIP;
		return true;
	}
	f->boxed = !(result->flags & FIELD_ARRAY);
	return element_open(r, result, el, f);
}

static bool open_in_fault(struct reader *r, const struct element *el, struct frame *f)
{
	f->kind = FRAME_SKIP;
	if (strcmp(el->name, "faultstring") == 0) {
		f->kind = FRAME_TEXT;
		f->text = &r->response->fault_text;
	} else if (strcmp(el->name, "detail") == 0) {
		f->kind = FRAME_DETAIL;
	}
	return true;
}

/* <InvalidLoginFault xsi:type="InvalidLogin">; without xsi:type the name tells. */
static bool open_in_detail(struct reader *r, const struct element *el, struct frame *f)
{
	struct schema_field decl = { .type = T_MethodFault, .kind = KIND_STRUCT };
	struct element named = *el;

	if (named.xsi_type == NULL && el->name_len > 5) {
		named.xsi_type = el->name;
		named.xsi_type_len = el->name_len - 5;
	}
	if (schema_is_a(schema_type_find(named.xsi_type, named.xsi_type_len), T_MethodFault)) {
		return element_open(r, &decl, &named, f);
	}
	f->kind = FRAME_SKIP;
	return true;
}

static bool open_child(struct reader *r, struct frame *parent, const struct element *el,
		       struct frame *f)
{
	switch (parent->kind) {
	case FRAME_DOCUMENT:
		return open_root(r, el, f);
	case FRAME_ENVELOPE:
		return open_in_envelope(r, el, f);
	case FRAME_HEADER:
		return open_in_header(r, el, f);
	case FRAME_BODY:
		return open_in_body(r, el, f);
	case FRAME_REQUEST:
		return open_self(r, el, f);
	case FRAME_FETCH:
		return open_in_fetch(r, el, f);
	case FRAME_RESPONSE:
		return open_in_response(r, el, f);
	case FRAME_FAULT:
		return open_in_fault(r, el, f);
	case FRAME_DETAIL:
		return open_in_detail(r, el, f);
	case FRAME_STRUCT:
	case FRAME_ARRAY:
		return element_open_child(r, parent, el, f);
	case FRAME_SKIP:
		if (parent->nil && !r->lenient) {
			return fail_unknown(r, el, "an element that is nil");
		}
		f->kind = FRAME_SKIP;
		return true;
	default:
		break;
	}
	return reader_fail(r, ERROR_INVALID, "element \"%.60s\" inside \"%.60s\", which is text",
			   el->name, parent->name);
}

/* ---- closing ---- */

/* _this is known: the request's frame becomes that of the method's arguments. */
static bool close_self(struct reader *r, struct frame *f, struct frame *request)
{
	struct soap_request *req = r->request;
	union slot s;

	if (!scalar_read(r, f, &s)) {
		return false;
	}
	req->self = s.value;
	size_t len = strlen(req->method_name);
	if (strcmp(req->method_name, "Fetch") == 0) {
		request->kind = FRAME_FETCH;
		return true;
	}
	req->method = schema_method_find(f->type, req->method_name, len);
	if (req->method == M_none) {
		req->method = schema_method_find_any(f->type, req->method_name, len);
	}
	if (req->method == M_none) {
		return reader_fail(r, ERROR_NOT_FOUND, "unknown method \"%.80s\" of \"%s\"",
				   req->method_name, schema_type_name(f->type));
	}
	request->kind = FRAME_STRUCT;
	request->type = schema_method(req->method)->args;
	request->value = value_new(r->arena, request->type);
	return request->value != NULL || reader_fail_memory(r);
}

static bool close_text(struct reader *r, struct frame *f)
{
	*f->text = arena_strndup(r->arena, r->text.data, r->text.len);
	return *f->text != NULL || reader_fail_memory(r);
}

static bool add_result(struct reader *r, const struct frame *f, union slot s)
{
	struct soap_response *resp = r->response;
	struct frame *response = &r->frames[r->depth - 1];

	if (f->boxed) {
		resp->result = s.value;
		return true;
	}
	if (response->value == NULL) {
		response->value = value_new_array(r->arena, f->decl.type);
		if (response->value == NULL) {
			return reader_fail_memory(r);
		}
		resp->result = response->value;
	}
	return array_push(r, response->value, s);
}

/* Hands a value to whoever opened its element. */
static bool deliver(struct reader *r, struct frame *parent, const struct frame *f, union slot s)
{
	switch (parent->kind) {
	case FRAME_DOCUMENT:
		r->root = s.value;
		return true;
	case FRAME_BODY:
		r->request->args = s.value;
		return true;
	case FRAME_RESPONSE:
		return add_result(r, f, s);
	case FRAME_DETAIL:
		r->response->fault = s.value;
		return true;
	default:
		return element_add_child(r, parent, f, s);
	}
}

static bool close_frame(struct reader *r, struct frame *parent, struct frame *f)
{
	union slot s;

	switch (f->kind) {
	case FRAME_STRUCT:
	case FRAME_ARRAY:
	case FRAME_LEAF:
		return element_close(r, f, &s) && deliver(r, parent, f, s);
	case FRAME_SELF:
		return close_self(r, f, parent);
	case FRAME_TEXT:
		return close_text(r, f);
	case FRAME_REQUEST:
		return reader_fail(r, ERROR_INVALID, "\"%.60s\" lacks \"_this\"", f->name);
	case FRAME_FETCH:
		return r->request->fetch_prop != NULL ||
		       reader_fail(r, ERROR_INVALID, "\"Fetch\" lacks \"prop\"");
	default:
		return true;
	}
}

/* ---- what parsers tell ---- */

static bool name_is(const char *name, size_t len, const char *wanted, size_t wanted_len)
{
	return len == wanted_len && memcmp(name, wanted, len) == 0;
}

void element_attribute(struct element *el, const char *ns, const char *name, size_t name_len,
		       const char *value, size_t len)
{
	bool is_type = name_is(name, name_len, "type", 4);

	if (ns == NULL) {
		if (is_type) {
			el->type = value;
			el->type_len = len;
		}
		return;
	}
	if (strcmp(ns, NS_INSTANCE) != 0) {
		return;
	}
	if (is_type) {
		const char *colon = memchr(value, ':', len);
		size_t prefix = colon == NULL ? 0 : (size_t)(colon + 1 - value);
		el->xsi_type = value + prefix;
		el->xsi_type_len = len - prefix;
	} else if (name_is(name, name_len, "nil", 3)) {
		el->nil = name_is(value, len, "true", 4) || name_is(value, len, "1", 1);
	}
}

void reader_open(struct reader *r, const struct element *el)
{
	if (r->failed) {
		return;
	}
	if (++r->n_elements > r->max_elements) {
		reader_fail(r, ERROR_LIMIT, "the document has more than %u elements",
			    r->max_elements);
		return;
	}
	if (r->depth == SOAP_MAX_DEPTH) {
		reader_fail(r, ERROR_LIMIT, "elements are nested deeper than %d levels",
			    SOAP_MAX_DEPTH);
		return;
	}
	struct frame *parent = &r->frames[r->depth], *f = parent + 1;
	*f = (struct frame){ .name = el->name };
	buf_clear(&r->text);
	if (open_child(r, parent, el, f)) {
		r->depth++;
	}
}

void reader_close(struct reader *r)
{
	if (r->failed || r->depth == 0) {
		return;
	}
	struct frame *f = &r->frames[r->depth];
	close_frame(r, f - 1, f);
	r->depth--;
	buf_clear(&r->text);
}

static bool is_blank(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] != ' ' && s[i] != '\n' && s[i] != '\t' && s[i] != '\r') {
			return false;
		}
	}
	return true;
}

void reader_text(struct reader *r, const char *text, size_t n)
{
	if (r->failed) {
		return;
	}
	const struct frame *f = &r->frames[r->depth];
	if (f->kind == FRAME_LEAF || f->kind == FRAME_TEXT || f->kind == FRAME_SELF) {
		buf_add(&r->text, text, n);
	} else if (f->kind != FRAME_SKIP && !is_blank(text, n)) {
		reader_fail(r, ERROR_INVALID, "text in \"%.60s\", which has elements only",
			    f->name == NULL ? "" : f->name);
	}
}

/* ---- libxml2 ---- */

/* Form: libxml2's startElementNsSAX2Func. */
static void on_start(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *ns,
		     int n_ns, const xmlChar **declared, int n_att, int n_default,
		     const xmlChar **att)
{
	struct element el = { .name = (const char *)name,
			      .ns = ns == NULL ? "" : (const char *)ns,
			      .name_len = strlen((const char *)name) };

	(void)prefix, (void)n_ns, (void)declared, (void)n_default;
	for (int i = 0; i < n_att; i++, att += ATT_PARTS) {
		const char *att_name = (const char *)att[ATT_NAME];
		element_attribute(&el, (const char *)att[ATT_NS], att_name, strlen(att_name),
				  (const char *)att[ATT_VALUE],
				  (size_t)(att[ATT_END] - att[ATT_VALUE]));
	}
	reader_open(user, &el);
}

static void on_end(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *ns)
{
	(void)name, (void)prefix, (void)ns;
	reader_close(user);
}

static void on_text(void *user, const xmlChar *text, int n)
{
	reader_text(user, (const char *)text, (size_t)n);
}

static void on_doctype(void *user, const xmlChar *name, const xmlChar *id, const xmlChar *uri)
{
	(void)name, (void)id, (void)uri;
	reader_fail(user, ERROR_INVALID, "a document type declaration is not allowed");
}

static void on_reference(void *user, const xmlChar *name)
{
	reader_fail(user, ERROR_INVALID, "entity \"%.60s\" is not known", (const char *)name);
}

static void on_error(void *user, xmlErrorPtr error)
{
	if (error->level < XML_ERR_ERROR) {
		return;
	}
	const char *text = error->message == NULL ? "unknown reason" : error->message;
	int n = (int)strcspn(text, "\n");
	reader_fail(user, ERROR_INVALID, "malformed XML at line %d: %.*s", error->line, n, text);
}

static const xmlSAXHandler handlers = {
	.initialized = XML_SAX2_MAGIC,
	.internalSubset = on_doctype,
	.reference = on_reference,
	.characters = on_text,
	.ignorableWhitespace = on_text,
	.cdataBlock = on_text,
	.startElementNs = on_start,
	.endElementNs = on_end,
	.serror = on_error,
};

static void reader_reset(struct reader *r)
{
	r->failed = false;
	r->body_seen = false;
	r->n_elements = 0;
	r->depth = 0;
	r->frames[0] = (struct frame){ .kind = FRAME_DOCUMENT };
	r->root = NULL;
	buf_clear(&r->text);
}

static bool reader_start(struct reader *r)
{
	if (r->xml == NULL) {
		r->xml = xmlNewParserCtxt();
		if (r->xml == NULL) {
			return error_set(r->error, ERROR_LIMIT, "no memory for an XML parser");
		}
		*r->xml->sax = handlers;
		r->xml->userData = r;
		xmlCtxtUseOptions(r->xml, XML_PARSE_NONET);
	}
	reader_reset(r);
	return true;
}

/* Gives back what a large or hostile document made grow. */
static void reader_rest(struct reader *r)
{
	if (r->text.cap > TEXT_KEPT_MAX) {
		buf_free(&r->text);
	}
	if (r->scratch.cap > TEXT_KEPT_MAX) {
		buf_free(&r->scratch);
	}
}

static void parser_rest(struct reader *r)
{
	xmlCtxtReset(r->xml);
	if (xmlDictSize(r->xml->dict) > DICTIONARY_NAMES_MAX ||
	    xmlDictGetUsage(r->xml->dict) > DICTIONARY_BYTES_MAX) {
		xmlFreeParserCtxt(r->xml);
		r->xml = NULL;
	}
}

/* The parser tries to read on whenever fewer than 250 bytes are left, for each name and each text:
 * blanks behind the document spare it that. Not where characters may be of more than a byte. */
static xmlParserInputBuffer *buffer_new(const char *data, size_t len)
{
	static const char blanks[257] = "                                                        "
					"                                                        "
					"                                                        "
					"                                                        "
					"                                ";
	xmlParserInputBuffer *in = xmlAllocParserInputBuffer(XML_CHAR_ENCODING_NONE);
	bool is_plain = len >= 2 && data[0] == '<' && data[1] != '\0';

	if (in == NULL || xmlParserInputBufferPush(in, (int)len, data) != (int)len ||
	    (is_plain && xmlParserInputBufferPush(in, sizeof(blanks) - 1, blanks) < 0)) {
		xmlFreeParserInputBuffer(in);
		return NULL;
	}
	return in;
}

static bool reader_run(struct reader *r, const char *data, size_t len)
{
	if (!reader_start(r)) {
		return false;
	}
	xmlParserInputBuffer *in = buffer_new(data, len);
	xmlParserInput *input =
		in == NULL ? NULL : xmlNewIOInputStream(r->xml, in, XML_CHAR_ENCODING_NONE);
	if (input == NULL) {
		xmlFreeParserInputBuffer(in);
		return reader_fail(r, ERROR_LIMIT, "no memory to read a document of %zu bytes",
				   len);
	}
	inputPush(r->xml, input);
	xmlParseDocument(r->xml);
	if (!r->failed && !r->xml->wellFormed) {
		reader_fail(r, ERROR_INVALID, "malformed XML");
	}
	parser_rest(r);
	reader_rest(r);
	return !r->failed;
}

void reader_allow_plain(bool allow)
{
	is_plain_allowed = allow;
}

/* False: not that way. */
static bool reader_run_plain(struct reader *r, const char *data, size_t len)
{
	struct error *error = r->error;

	if (!is_plain_allowed || len > PLAIN_MAX_BYTES) {
		return false;
	}
	reader_reset(r);
	r->error = NULL; /* what this way cannot read is no error yet */
	r->is_plain = true;
	bool is_read = plain_read(r, data, len);
	r->is_plain = false;
	r->error = error;
	reader_rest(r);
	return is_read;
}

static void reader_aim(struct arena *a, struct error *e, unsigned max_elements)
{
	reader.arena = a;
	reader.error = e;
	reader.max_elements = max_elements;
	reader.lenient = false;
	reader.request = NULL;
	reader.response = NULL;
	reader.root_type = T_none;
	reader.method = M_none;
}

bool soap_read_request(struct soap_request *req, const char *data, size_t len, struct arena *a,
		       struct error *e)
{
	*req = (struct soap_request){ .method = M_none };
	if (len > SOAP_MAX_BYTES) {
		return error_set(e, ERROR_LIMIT,
				 "the request has %zu bytes, more than the limit of %d", len,
				 SOAP_MAX_BYTES);
	}
	reader_aim(a, e, SOAP_MAX_ELEMENTS);
	reader.request = req;
	if (!reader_run_plain(&reader, data, len)) {
		*req = (struct soap_request){ .method = M_none };
		if (!reader_run(&reader, data, len)) {
			return false;
		}
	}
	if (req->method_name == NULL) {
		return error_set(e, ERROR_INVALID, "the SOAP envelope holds no request");
	}
	return true;
}

bool soap_read_response(struct soap_response *resp, uint16_t method, const char *data, size_t len,
			struct arena *a, struct error *e)
{
	*resp = (struct soap_response){ 0 };
	if (len > RESPONSE_MAX_BYTES) {
		return error_set(e, ERROR_LIMIT,
				 "the response has %zu bytes, more than the limit of %d", len,
				 RESPONSE_MAX_BYTES);
	}
	reader_aim(a, e, RESPONSE_MAX_ELEMENTS);
	reader.lenient = true;
	reader.response = resp;
	reader.method = method;
	if (!reader_run(&reader, data, len)) {
		return false;
	}
	if (!reader.body_seen) {
		return error_set(e, ERROR_INVALID, "the SOAP envelope has no body");
	}
	return true;
}

bool soap_read_value(const struct value **out, uint16_t type, const char *data, size_t len,
		     struct arena *a, struct error *e)
{
	if (len > SOAP_MAX_BYTES) {
		return error_set(e, ERROR_LIMIT,
				 "the document has %zu bytes, more than the limit of %d", len,
				 SOAP_MAX_BYTES);
	}
	reader_aim(a, e, SOAP_MAX_ELEMENTS);
	reader.root_type = type;
	if (!reader_run(&reader, data, len)) {
		return false;
	}
	if (reader.root == NULL) {
		return error_set(e, ERROR_INVALID, "the document holds no value");
	}
	*out = reader.root;
	return true;
}

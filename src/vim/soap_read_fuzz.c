/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever comes in as a request is read or refused; what was read can be written and read again;
 * and plain documents mean what libxml2 takes them for.
 */
#include <assert.h>
#include <string.h>

#include "vim/soap.h"
#include "vim/soap_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool text_is(const char *a, const char *b)
{
	return (a == NULL && b == NULL) || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void check_same(const struct soap_request *a, const struct soap_request *b)
{
	assert(a->method == b->method);
	assert(text_is(a->method_name, b->method_name));
	assert(text_is(a->ns, b->ns));
	assert(text_is(a->fetch_prop, b->fetch_prop));
	assert(text_is(a->operation_id, b->operation_id));
	assert(text_is(a->session_cookie, b->session_cookie));
	assert(value_equal(a->self, b->self));
	assert(value_equal(a->args, b->args));
}

/* By whichever way, and by libxml2. */
static void read_both_ways(const char *data, size_t size)
{
	struct arena *a = arena_new(8 << 20), *b = arena_new(8 << 20);
	struct soap_request any, by_libxml;
	struct error e = { 0 }, e_libxml = { 0 };

	bool ok = soap_read_request(&any, data, size, a, &e);
	reader_allow_plain(false);
	bool is_same = soap_read_request(&by_libxml, data, size, b, &e_libxml) == ok;
	reader_allow_plain(true);
	assert(is_same);
	check_same(&any, &by_libxml);
	if (!ok) {
		assert(e.kind == e_libxml.kind && strcmp(e.msg, e_libxml.msg) == 0);
	}
	arena_free(a);
	arena_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(8 << 20);
	struct soap_request req, again;
	struct soap_response resp;
	struct error e;

	read_both_ways((const char *)data, size);
	if (soap_read_request(&req, (const char *)data, size, a, &e) && req.method != M_none) {
		struct buf b = BUF_INIT;
		soap_write_request(&b, req.method, req.self, req.args, schema_version_count());
		struct arena *second = arena_new(0);
		bool ok = soap_read_request(&again, b.data, b.len, second, &e);
		assert(ok);
		arena_free(second);
		buf_free(&b);
	}
	soap_read_response(&resp, M_PropertyCollector_RetrievePropertiesEx, (const char *)data,
			   size, a, &e);
	arena_free(a);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever comes in as a request is read or refused; what was read can be written and read again.
 */
#include <assert.h>

#include "vim/soap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(8 << 20);
	struct soap_request req, again;
	struct soap_response resp;
	struct error e;

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

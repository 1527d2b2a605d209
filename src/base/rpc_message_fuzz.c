/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a JSON-RPC line: parsed, read by every getter, written and parsed again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"
#include "base/rpc_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct json_at *at, unsigned depth)
{
	static const char *const names[] = { "a", "kind" };
	const char *s;
	bool b;
	int64_t i;
	uint64_t u;
	uint32_t u32;
	double d;
	struct error e;
	struct json_at sub;
	json_as_str(at, &s, &e);
	json_as_bool(at, &b, &e);
	json_as_i64(at, &i, &e);
	json_as_u64(at, &u, &e);
	json_as_u32(at, &u32, &e);
	json_as_double(at, &d, &e);
	json_check_members(at, names, ARRAY_LEN(names), &e);
	for (size_t k = 0; k < json_array_n(at) && depth < 32; k++) {
		struct json_at item = json_item(at, k);
		read_all(&item, depth + 1);
	}
	for (size_t k = 0; k != ARRAY_LEN(names) && depth < 32; k++) {
		if (json_get(at, names[k], &sub, &e)) {
			read_all(&sub, depth + 1);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_message m;
	enum rpc_code code;
	struct error e;
	if (!rpc_message_parse((const char *)data, size, &m, &code, &e)) {
		return 0;
	}
	const struct json_at body = json_root(m.body);
	read_all(&body, 0);
	struct buf line = BUF_INIT;
	if (m.kind == RPC_REQUEST) {
		rpc_message_add_request(&line, m.method, m.body, 7);
	} else if (m.kind == RPC_ERROR) {
		struct json_at at = { 0 };
		int number;
		rpc_message_read_error(m.body, &number, &at, &e);
		rpc_message_add_error(&line, m.id, RPC_FAILED, &e, NULL);
	} else {
		rpc_message_add_result(&line, m.id, m.body);
	}
	rpc_message_fini(&m);
	struct rpc_message again;
	bool ok = rpc_message_parse(line.data, line.len - 1, &again, &code, &e);
	assert(ok);
	rpc_message_fini(&again);
	buf_free(&line);
	return 0;
}

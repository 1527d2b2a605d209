/* SPDX-License-Identifier: Apache-2.0 */
/* soap_bench REQUEST.xml…: how long reading and writing each of these requests takes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "vim/soap.h"

enum {
	N_ROUNDS = 100000,
	REQUEST_MAX = 1 << 20
};

static double ns_each(int64_t since_us)
{
	return (double)(clock_mono_us(clock_real()) - since_us) * 1000.0 / N_ROUNDS;
}

static int measure(const char *path)
{
	struct buf xml = BUF_INIT, out = BUF_INIT;
	struct arena *a = arena_new(0);
	struct soap_request req = { 0 };
	struct error e;

	bool ok = file_read(path, REQUEST_MAX, &xml, &e);
	int64_t start = clock_mono_us(clock_real());
	for (int i = 0; ok && i < N_ROUNDS; i++) {
		arena_reset(a);
		ok = soap_read_request(&req, xml.data, xml.len, a, &e);
	}
	double read_ns = ns_each(start);
	start = clock_mono_us(clock_real());
	for (int i = 0; ok && req.method != M_none && i < N_ROUNDS; i++) {
		buf_clear(&out);
		soap_write_request(&out, req.method, req.self, req.args, schema_version_served);
	}
	if (ok) {
		printf("%-45s read %6zu bytes %7.0f ns, write %6zu bytes %7.0f ns\n", path, xml.len,
		       read_ns, out.len, ns_each(start));
	} else {
		fprintf(stderr, "%s: %s\n", path, e.msg);
	}
	buf_free(&xml);
	buf_free(&out);
	arena_free(a);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	int rc = 0;

	for (int i = 1; i < argc; i++) {
		rc |= measure(argv[i]);
	}
	return rc;
}

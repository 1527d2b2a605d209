/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's certificate: made once, self-signed, kept over restarts, because clients pin it by its
 * thumbprint. The key is ECDSA on P-256: a signature costs a fraction of RSA's, and every client
 * that matters (OpenSSL, GnuTLS, Go, Java, browsers) takes it. Calls block; any thread.
 */
#ifndef VIM_CERTIFICATE_H
#define VIM_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct certificate_config {
	const char *cert_path; /* PEM */
	const char *key_path;  /* PEM, mode 0600 */
	const char *name;      /* the node's, e.g. "dpu-1": common name and DNS name */
	const char *address;   /* IP address it serves on; NULL or any: named nowhere */
};

/* Makes key and certificate where there is neither; checks that they belong together where they are
 * there. Never replaces what is there. Valid for ten years. */
bool certificate_ensure(const struct certificate_config *config, struct error *e);

/* Upper-case hex with colons, as vSphere clients show and pin them. */
struct certificate_thumbprints {
	char sha1[20 * 3];
	char sha256[32 * 3];
};
bool certificate_thumbprints(const char *cert_path, struct certificate_thumbprints *out,
			     struct error *e);
/* The same of a certificate in DER, e.g. a peer's. */
void certificate_thumbprints_der(const void *der, size_t n, struct certificate_thumbprints *out);

#endif

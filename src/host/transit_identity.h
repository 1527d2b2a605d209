/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the two QEMUs of one migration are to each other. Each host makes, for this migration alone,
 * an issuer (whose key is forgotten at once) and a certificate that it has issued, with its key.
 * The issuers' certificates cross through the manager, over connections whose certificates are
 * pinned; each QEMU then takes nobody but the other. The nodes' own keys never come near a QEMU,
 * which checks that an issuer is one and that the other's certificate is none: hence two of them.
 * Any thread.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

enum {
	TRANSIT_PEM_MAX = 4096,
};

struct transit_identity {
	char *certificate, *key, *issuer; /* PEM */
};

/* `name`: what the certificate is for, a DNS name; valid from a day ago, for clocks that differ,
 * for three days. False: nothing was made. */
bool transit_identity_make(const char *name, struct transit_identity *out, struct error *e);
void transit_identity_fini(struct transit_identity *id); /* the key is wiped */

/* Whether a text from outside is one certificate in PEM. */
bool transit_certificate_check(const char *pem, struct error *e);

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/transit_identity.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/mem.h"
#include "base/random.h"

enum {
	DAY_S = 86400,
	SERIAL_SIZE = 16,
};

static bool key_new(gnutls_x509_privkey_t *key)
{
	*key = NULL;
	return gnutls_x509_privkey_init(key) == 0 &&
	       gnutls_x509_privkey_generate(*key, GNUTLS_PK_ECDSA,
					    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
					    0) == 0;
}

/* What both certificates have. */
static bool certificate_begin(gnutls_x509_crt_t *crt, const char *name, gnutls_x509_privkey_t key)
{
	unsigned char serial[SERIAL_SIZE];
	time_t now = time(NULL);

	*crt = NULL;
	random_bytes(serial, sizeof(serial));
	serial[0] = (unsigned char)((serial[0] & 0x7f) | 1); /* positive (RFC 5280 §4.1.2.2) */
	return gnutls_x509_crt_init(crt) == 0 && gnutls_x509_crt_set_version(*crt, 3) == 0 &&
	       gnutls_x509_crt_set_serial(*crt, serial, sizeof(serial)) == 0 &&
	       gnutls_x509_crt_set_activation_time(*crt, now - DAY_S) == 0 &&
	       gnutls_x509_crt_set_expiration_time(*crt, now + 3 * DAY_S) == 0 &&
	       gnutls_x509_crt_set_dn_by_oid(*crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
					     (unsigned)strlen(name)) == 0 &&
	       gnutls_x509_crt_set_key(*crt, key) == 0;
}

static bool issuer_make(gnutls_x509_crt_t *crt, gnutls_x509_privkey_t key)
{
	return certificate_begin(crt, "issuer", key) &&
	       gnutls_x509_crt_set_basic_constraints(*crt, 1, 0) == 0 &&
	       gnutls_x509_crt_set_key_usage(*crt, GNUTLS_KEY_KEY_CERT_SIGN) == 0 &&
	       gnutls_x509_crt_sign2(*crt, *crt, key, GNUTLS_DIG_SHA256, 0) == 0;
}

static bool leaf_make(gnutls_x509_crt_t *crt, const char *name, gnutls_x509_privkey_t key,
		      gnutls_x509_crt_t issuer, gnutls_x509_privkey_t issuer_key)
{
	return certificate_begin(crt, name, key) &&
	       gnutls_x509_crt_set_basic_constraints(*crt, 0, -1) == 0 &&
	       gnutls_x509_crt_set_key_usage(*crt, GNUTLS_KEY_DIGITAL_SIGNATURE |
							   GNUTLS_KEY_KEY_ENCIPHERMENT) == 0 &&
	       gnutls_x509_crt_set_key_purpose_oid(*crt, GNUTLS_KP_TLS_WWW_SERVER, 0) == 0 &&
	       gnutls_x509_crt_set_key_purpose_oid(*crt, GNUTLS_KP_TLS_WWW_CLIENT, 0) == 0 &&
	       gnutls_x509_crt_set_subject_alt_name(*crt, GNUTLS_SAN_DNSNAME, name,
						    (unsigned)strlen(name), GNUTLS_FSAN_SET) == 0 &&
	       gnutls_x509_crt_sign2(*crt, issuer, issuer_key, GNUTLS_DIG_SHA256, 0) == 0;
}

/* Text in memory of our own; NULL where it cannot be told. */
static char *pem_text(gnutls_datum_t *d)
{
	char *text = mem_strndup((const char *)d->data, d->size);

	gnutls_memset(d->data, 0, d->size);
	gnutls_free(d->data);
	return text;
}

static char *certificate_pem(gnutls_x509_crt_t crt)
{
	gnutls_datum_t d = { 0 };

	return gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &d) == 0 ? pem_text(&d) : NULL;
}

static char *key_pem(gnutls_x509_privkey_t key)
{
	gnutls_datum_t d = { 0 };

	return gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
						 &d) == 0
		       ? pem_text(&d)
		       : NULL;
}

bool transit_identity_make(const char *name, struct transit_identity *out, struct error *e)
{
	gnutls_x509_privkey_t keys[2] = { NULL, NULL };
	gnutls_x509_crt_t crts[2] = { NULL, NULL };
	struct transit_identity made = { 0 };

	bool ok = key_new(&keys[0]) && key_new(&keys[1]) && issuer_make(&crts[0], keys[0]) &&
		  leaf_make(&crts[1], name, keys[1], crts[0], keys[0]);
	if (ok) {
		made.issuer = certificate_pem(crts[0]);
		made.certificate = certificate_pem(crts[1]);
		made.key = key_pem(keys[1]);
		ok = made.issuer != NULL && made.certificate != NULL && made.key != NULL;
	}
	for (int i = 0; i < 2; i++) {
		if (crts[i] != NULL) {
			gnutls_x509_crt_deinit(crts[i]);
		}
		if (keys[i] != NULL) {
			gnutls_x509_privkey_deinit(keys[i]);
		}
	}
	if (!ok) {
		transit_identity_fini(&made);
		return error_set(e, ERROR_INTERNAL, "\"%s\": its certificate cannot be made", name);
	}
	*out = made;
	return true;
}

void transit_identity_fini(struct transit_identity *id)
{
	if (id->key != NULL) {
		gnutls_memset(id->key, 0, strlen(id->key));
	}
	free(id->key);
	free(id->certificate);
	free(id->issuer);
	*id = (struct transit_identity){ 0 };
}

bool transit_certificate_check(const char *pem, struct error *e)
{
	gnutls_datum_t d = { .data = (unsigned char *)mem_strdup(pem),
			     .size = (unsigned)strlen(pem) };
	gnutls_x509_crt_t crt = NULL;
	bool ok = d.size <= TRANSIT_PEM_MAX && gnutls_x509_crt_init(&crt) == 0 &&
		  gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM) == 0;

	if (crt != NULL) {
		gnutls_x509_crt_deinit(crt);
	}
	free(d.data);
	return ok || error_set(e, ERROR_INVALID, "it is no certificate of at most %d bytes in PEM",
			       TRANSIT_PEM_MAX);
}

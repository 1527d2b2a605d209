/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/certificate.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/address.h"
#include "base/file.h"
#include "base/random.h"

enum {
	PEM_LIMIT = 1 << 16,
	DAY_S = 24 * 3600,
	VALID_DAYS = 3650,
	SERIAL_SIZE = 16
};

static bool tls_error(int code, const char *what, struct error *e)
{
	return error_set(e, ERROR_INVALID, "%s: %s", what, gnutls_strerror(code));
}

/* ---- making ---- */

static int names_set(gnutls_x509_crt_t crt, const struct certificate_config *config)
{
	unsigned char ip[16];
	int rc = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, config->name,
					       (unsigned)strlen(config->name));

	if (rc < 0) {
		return rc;
	}
	rc = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, config->name,
						  (unsigned)strlen(config->name),
						  GNUTLS_FSAN_APPEND);
	if (rc < 0 || config->address == NULL || address_is_any(config->address)) {
		return rc;
	}
	unsigned n = 0;
	if (inet_pton(AF_INET, config->address, ip) == 1) {
		n = 4;
	} else if (inet_pton(AF_INET6, config->address, ip) == 1) {
		n = 16;
	}
	return n == 0 ? 0
		      : gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, n,
							     GNUTLS_FSAN_APPEND);
}

static int fields_set(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
		      const struct certificate_config *config)
{
	unsigned char serial[SERIAL_SIZE];
	time_t now = time(NULL);

	random_bytes(serial, sizeof(serial));
	serial[0] = (unsigned char)((serial[0] & 0x3f) | 0x40); /* positive, of full length */
	int rc = names_set(crt, config);
	rc = rc < 0 ? rc : gnutls_x509_crt_set_version(crt, 3);
	rc = rc < 0 ? rc : gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	rc = rc < 0 ? rc : gnutls_x509_crt_set_activation_time(crt, now - DAY_S);
	rc = rc < 0 ? rc
		    : gnutls_x509_crt_set_expiration_time(crt, now + (time_t)VALID_DAYS * DAY_S);
	rc = rc < 0 ? rc : gnutls_x509_crt_set_key(crt, key);
	rc = rc < 0 ? rc : gnutls_x509_crt_set_basic_constraints(crt, 0, -1);
	rc = rc < 0 ? rc : gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
	rc = rc < 0 ? rc : gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
	return rc < 0 ? rc : gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
}

static bool pair_write(const struct certificate_config *config, gnutls_x509_crt_t crt,
		       gnutls_x509_privkey_t key, struct error *e)
{
	gnutls_datum_t cert_pem = { 0 }, key_pem = { 0 };
	int rc = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &cert_pem);

	rc = rc < 0 ? rc : gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &key_pem);
	bool ok = rc >= 0 || tls_error(rc, "cannot write the certificate", e);
	/* The key first: a certificate without key would be an error at the next start. */
	ok = ok && file_write_atomic(config->key_path, key_pem.data, key_pem.size, 0600, e) &&
	     file_write_atomic(config->cert_path, cert_pem.data, cert_pem.size, 0644, e);
	if (key_pem.data != NULL) {
		gnutls_memset(key_pem.data, 0, key_pem.size);
	}
	gnutls_free(key_pem.data);
	gnutls_free(cert_pem.data);
	return ok;
}

static bool pair_make(const struct certificate_config *config, struct error *e)
{
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t crt = NULL;

	int rc = gnutls_x509_privkey_init(&key);
	rc = rc < 0 ? rc
		    : gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
						   GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
						   0);
	rc = rc < 0 ? rc : gnutls_x509_crt_init(&crt);
	rc = rc < 0 ? rc : fields_set(crt, key, config);
	bool ok = rc >= 0 ? pair_write(config, crt, key, e)
			  : tls_error(rc, "cannot make a certificate", e);
	if (crt != NULL) {
		gnutls_x509_crt_deinit(crt);
	}
	if (key != NULL) {
		gnutls_x509_privkey_deinit(key);
	}
	return ok;
}

/* ---- reading ---- */

static bool crt_read(const char *path, gnutls_x509_crt_t *out, struct error *e)
{
	struct buf text = BUF_INIT;

	if (!file_read(path, PEM_LIMIT, &text, e)) {
		return false;
	}
	gnutls_datum_t pem = { .data = (unsigned char *)text.data, .size = (unsigned)text.len };
	gnutls_x509_crt_t crt = NULL;
	int rc = gnutls_x509_crt_init(&crt);
	if (rc >= 0) {
		rc = gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM);
		if (rc < 0) {
			gnutls_x509_crt_deinit(crt);
		}
	}
	buf_free(&text);
	if (rc < 0) {
		return error_set(e, ERROR_CORRUPT, "\"%s\" is no certificate: %s", path,
				 gnutls_strerror(rc));
	}
	*out = crt;
	return true;
}

static bool pair_check(const struct certificate_config *config, struct error *e)
{
	gnutls_certificate_credentials_t credentials;
	int rc = gnutls_certificate_allocate_credentials(&credentials);

	if (rc < 0) {
		return tls_error(rc, "cannot check the certificate", e);
	}
	rc = gnutls_certificate_set_x509_key_file(credentials, config->cert_path, config->key_path,
						  GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(credentials);
	if (rc < 0) {
		return error_set(e, ERROR_CORRUPT,
				 "certificate \"%s\" and key \"%s\" cannot be used: %s",
				 config->cert_path, config->key_path, gnutls_strerror(rc));
	}
	return true;
}

bool certificate_ensure(const struct certificate_config *config, struct error *e)
{
	if (access(config->cert_path, F_OK) != 0) {
		return pair_make(config, e);
	}
	return pair_check(config, e);
}

static void thumbprint(gnutls_digest_algorithm_t algorithm, const void *der, size_t n, char *out)
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char hash[32];
	unsigned len = (unsigned)gnutls_hash_get_len(algorithm);

	gnutls_hash_fast(algorithm, der, n, hash);
	for (unsigned i = 0; i < len; i++) {
		*out++ = digits[hash[i] >> 4];
		*out++ = digits[hash[i] & 15];
		*out++ = i + 1 < len ? ':' : '\0';
	}
}

void certificate_thumbprints_der(const void *der, size_t n, struct certificate_thumbprints *out)
{
	thumbprint(GNUTLS_DIG_SHA1, der, n, out->sha1);
	thumbprint(GNUTLS_DIG_SHA256, der, n, out->sha256);
}

bool certificate_thumbprints(const char *cert_path, struct certificate_thumbprints *out,
			     struct error *e)
{
	gnutls_x509_crt_t crt = NULL;
	gnutls_datum_t der = { 0 };

	if (!crt_read(cert_path, &crt, e)) {
		return false;
	}
	int rc = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der);
	gnutls_x509_crt_deinit(crt);
	if (rc < 0) {
		return tls_error(rc, "cannot read the certificate", e);
	}
	certificate_thumbprints_der(der.data, der.size, out);
	gnutls_free(der.data);
	return true;
}

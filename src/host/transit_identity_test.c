/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of one migration, judged as a QEMU judges them. */
#include "host/transit_identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

static gnutls_x509_crt_t read_certificate(const char *pem)
{
	gnutls_datum_t d = { .data = (unsigned char *)strdup(pem), .size = (unsigned)strlen(pem) };
	gnutls_x509_crt_t crt;

	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM), 0);
	free(d.data);
	return crt;
}

static unsigned judge(const char *certificate, const char *issuer)
{
	gnutls_x509_crt_t crt = read_certificate(certificate), ca = read_certificate(issuer);
	unsigned status = 0;

	assert_int_equal(gnutls_x509_crt_list_verify(&crt, 1, &ca, 1, NULL, 0, 0, &status), 0);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_crt_deinit(ca);
	return status;
}

static void each_takes_only_the_other(void **state)
{
	struct transit_identity source, target;
	struct error e;

	(void)state;
	assert_true(transit_identity_make("source.x", &source, &e));
	assert_true(transit_identity_make("target.x", &target, &e));
	assert_int_equal(judge(source.certificate, source.issuer), 0);
	assert_int_equal(judge(target.certificate, target.issuer), 0);
	assert_int_not_equal(judge(target.certificate, source.issuer), 0);
	assert_string_not_equal(source.key, target.key);
	transit_identity_fini(&source);
	transit_identity_fini(&target);
	assert_null(source.key);
	transit_identity_fini(&source);
}

/* What QEMU's tls-creds-x509 looks for before it uses them. */
static void they_are_what_they_are_for(void **state)
{
	struct transit_identity id;
	struct error e;
	unsigned critical, usage;

	(void)state;
	assert_true(transit_identity_make("target.x", &id, &e));
	gnutls_x509_crt_t leaf = read_certificate(id.certificate);
	gnutls_x509_crt_t issuer = read_certificate(id.issuer);
	assert_int_equal(gnutls_x509_crt_get_basic_constraints(leaf, &critical, NULL, NULL), 0);
	assert_int_equal(gnutls_x509_crt_get_basic_constraints(issuer, &critical, NULL, NULL), 1);
	assert_int_equal(gnutls_x509_crt_get_key_usage(leaf, &usage, &critical), 0);
	assert_int_equal(usage, GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_ENCIPHERMENT);
	assert_int_equal(gnutls_x509_crt_get_key_usage(issuer, &usage, &critical), 0);
	assert_int_equal(usage, GNUTLS_KEY_KEY_CERT_SIGN);
	assert_true(gnutls_x509_crt_check_hostname(leaf, "target.x"));
	assert_false(gnutls_x509_crt_check_hostname(leaf, "source.x"));
	gnutls_x509_crt_deinit(leaf);
	gnutls_x509_crt_deinit(issuer);
	transit_identity_fini(&id);
}

static void texts_from_outside_are_looked_at(void **state)
{
	struct transit_identity id;
	struct error e;
	char *large = calloc(1, TRANSIT_PEM_MAX + 2);

	(void)state;
	assert_true(transit_identity_make("source.x", &id, &e));
	assert_true(transit_certificate_check(id.issuer, &e));
	assert_false(transit_certificate_check("", &e));
	assert_false(transit_certificate_check(id.key, &e));
	memset(large, 'A', TRANSIT_PEM_MAX + 1);
	assert_false(transit_certificate_check(large, &e));
	free(large);
	transit_identity_fini(&id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_takes_only_the_other),
		cmocka_unit_test(they_are_what_they_are_for),
		cmocka_unit_test(texts_from_outside_are_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

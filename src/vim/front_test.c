/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/front.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "vim/api.h"
#include "vim/certificate.h"

struct fixture {
	uv_loop_t loop;
	struct user_store *users;
	struct api *api;
	char dir[64];
	char *cert, *key;
};

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));

	log_set_stderr(false);
	strncpy(f->dir, "/tmp/front_test.XXXXXX", sizeof(f->dir) - 1);
	if (mkdtemp(f->dir) == NULL || uv_loop_init(&f->loop) != 0) {
		return -1;
	}
	f->cert = mem_printf("%s/cert.pem", f->dir);
	f->key = mem_printf("%s/key.pem", f->dir);
	f->users = user_store_open(NULL, NULL);
	f->api = api_new(
		&(struct api_config){ .kind = API_HOST,
				      .loop = &f->loop,
				      .clock = clock_real(),
				      .instance_uuid = "6f1f3b0e-0000-4000-8000-000000000001",
				      .users = f->users },
		NULL);
	*state = f;
	return f->api == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	api_free(f->api);
	user_store_free(f->users);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	bool ok = uv_loop_close(&f->loop) == 0 && file_remove_tree_at(AT_FDCWD, f->dir, NULL);
	free(f->cert);
	free(f->key);
	free(f);
	log_set_stderr(true);
	return ok ? 0 : -1;
}

static struct front_config config_of(struct fixture *f)
{
	return (struct front_config){ .loop = &f->loop,
				      .cert_path = f->cert,
				      .key_path = f->key,
				      .name = "node-1",
				      .address = "127.0.0.1",
				      .service = f->api->service,
				      .sessions = f->api->sessions };
}

static void the_certificate_stays(void **state)
{
	struct fixture *f = *state;
	struct front_config config = config_of(f);
	struct certificate_thumbprints first, second;
	struct error e;

	for (int i = 0; i < 2; i++) {
		struct server *s = front_open(&config, &e);
		assert_non_null(s);
		assert_int_not_equal(server_port(s), 0);
		assert_true(certificate_thumbprints(f->cert, i == 0 ? &first : &second, &e));
		server_free(s);
	}
	assert_string_equal(first.sha256, second.sha256);
}

static void a_port_in_use_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct front_config config = config_of(f);
	struct error e = { 0 };
	struct server *s = front_open(&config, &e);

	assert_non_null(s);
	config.port = server_port(s);
	assert_null(front_open(&config, &e));
	assert_string_not_equal(e.msg, "");
	server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_certificate_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_port_in_use_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests_name("front", tests, NULL, NULL);
}

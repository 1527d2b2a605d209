/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client against a small HTTPS server with a thread per connection, which knows a few canned
 * answers. WaitForUpdatesEx waits there until the test opens the gate.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/mem.h"
#include "vim/client.h"
#include "vim/soap.h"

enum {
	FILE_BYTES = 3 << 20
};

static struct {
	struct MHD_Daemon *daemon;
	char *cert, *key;
	char url[64];
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	bool gate_open;
	int n_requests, n_waiting;
	struct buf file;
	char *content, *session, *fault, *updates; /* answers */
} server;

/* ---- server ---- */

static char *export_pem(gnutls_x509_crt_t cert, gnutls_x509_privkey_t key)
{
	gnutls_datum_t out;

	if (cert != NULL) {
		gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_PEM, &out);
	} else {
		gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &out);
	}
	char *text = mem_strndup((char *)out.data, out.size);
	gnutls_free(out.data);
	return text;
}

static void make_certificate(void)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t cert;
	time_t now = time(NULL);

	gnutls_x509_privkey_init(&key);
	gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
				     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	gnutls_x509_crt_init(&cert);
	gnutls_x509_crt_set_key(cert, key);
	gnutls_x509_crt_set_version(cert, 3);
	gnutls_x509_crt_set_serial(cert, "\1", 1);
	gnutls_x509_crt_set_dn(cert, "CN=test", NULL);
	gnutls_x509_crt_set_activation_time(cert, now - 60);
	gnutls_x509_crt_set_expiration_time(cert, now + 3600);
	gnutls_x509_crt_sign2(cert, cert, key, GNUTLS_DIG_SHA256, 0);
	server.cert = export_pem(cert, NULL);
	server.key = export_pem(NULL, key);
	gnutls_x509_crt_deinit(cert);
	gnutls_x509_privkey_deinit(key);
}

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *body, size_t n,
			     const char *cookie)
{
	void *copy = mem_alloc(n + 1);
	memcpy(copy, body, n);
	struct MHD_Response *r = MHD_create_response_from_buffer(n, copy, MHD_RESPMEM_MUST_FREE);

	if (cookie != NULL) {
		MHD_add_response_header(r, "Set-Cookie", cookie);
	}
	enum MHD_Result ok = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result reply_text(struct MHD_Connection *c, unsigned status, const char *body)
{
	return reply(c, status, body, strlen(body), NULL);
}

static enum MHD_Result wait_for_gate(struct MHD_Connection *c)
{
	pthread_mutex_lock(&server.lock);
	server.n_waiting++;
	pthread_cond_broadcast(&server.changed);
	while (!server.gate_open) {
		pthread_cond_wait(&server.changed, &server.lock);
	}
	pthread_mutex_unlock(&server.lock);
	return reply_text(c, 200, server.updates);
}

static enum MHD_Result answer_sdk(struct MHD_Connection *c, const char *body)
{
	const char *cookie = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Cookie");
	const char *action = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "SOAPAction");

	if (action == NULL || strncmp(action, "\"urn:vim25/", 11) != 0) {
		return reply_text(c, 400, "no SOAPAction");
	}
	if (strstr(body, "RetrieveServiceContent") != NULL) {
		return reply_text(c, 200, server.content);
	}
	if (strstr(body, "<password>right</password>") != NULL) {
		return reply(c, 200, server.session, strlen(server.session),
			     "vmware_soap_session=\"52ab-1\"; Path=/; HttpOnly; Secure");
	}
	if (cookie == NULL || strcmp(cookie, "vmware_soap_session=\"52ab-1\"") != 0) {
		return reply_text(c, 500, server.fault);
	}
	if (strstr(body, "WaitForUpdatesEx") != NULL) {
		return wait_for_gate(c);
	}
	if (strstr(body, "CurrentTime") != NULL) {
		return reply_text(c, 200, "not XML");
	}
	if (strstr(body, "UnregisterVM") != NULL) {
		return MHD_NO; /* closes the connection */
	}
	if (strstr(body, "QueryEvents") != NULL) {
		char *large = mem_alloc(2 << 20);
		memset(large, ' ', 2 << 20);
		enum MHD_Result ok = reply(c, 200, large, 2 << 20, NULL);
		free(large);
		return ok;
	}
	return reply_text(c, 404, "what?");
}

static enum MHD_Result answer_file(struct MHD_Connection *c, const char *method, struct buf *body)
{
	enum MHD_Result ok;

	pthread_mutex_lock(&server.lock);
	if (strcmp(method, "PUT") == 0) {
		buf_clear(&server.file);
		buf_add(&server.file, body->data, body->len);
		ok = reply_text(c, 201, "");
	} else {
		ok = reply(c, 200, server.file.data, server.file.len, NULL);
	}
	pthread_mutex_unlock(&server.lock);
	return ok;
}

/* Form: libmicrohttpd's MHD_AccessHandlerCallback. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *n, void **state)
{
	struct buf *body = *state;

	(void)arg, (void)version;
	if (body == NULL) {
		*state = mem_zalloc(sizeof(*body));
		*(struct buf *)*state = (struct buf)BUF_INIT;
		return MHD_YES;
	}
	if (*n > 0) {
		buf_add(body, data, *n);
		*n = 0;
		return MHD_YES;
	}
	pthread_mutex_lock(&server.lock);
	server.n_requests++;
	pthread_mutex_unlock(&server.lock);
	if (strcmp(url, "/sdk") == 0) {
		return answer_sdk(c, body->data);
	}
	if (strcmp(url, "/folder/a b/disk.vmdk") == 0) {
		return answer_file(c, method, body);
	}
	return reply_text(c, 404, "no such file");
}

static void on_finished(void *arg, struct MHD_Connection *c, void **state,
			enum MHD_RequestTerminationCode code)
{
	(void)arg, (void)c, (void)code;
	buf_free(*state);
	free(*state);
}

/* Answers are written before any thread runs: values belong to one thread. */
static void make_answers(void)
{
	struct arena *a = arena_new(0);
	struct buf b = BUF_INIT;
	struct value *content = value_new(a, T_ServiceContent);
	struct value *session = value_new(a, T_UserSession);
	uint8_t v = schema_version_served;

	value_set_ref(a, content, F_ServiceContent_sessionManager, T_SessionManager, "sm");
	value_set_str(a, session, F_UserSession_key, "52ab-1");
	soap_write_response(&b, "RetrieveServiceContent", NULL,
			    &schema_method(M_ServiceInstance_RetrieveServiceContent)->result,
			    content, v);
	server.content = buf_take(&b);
	soap_write_response(&b, "Login", NULL, &schema_method(M_SessionManager_Login)->result,
			    session, v);
	server.session = buf_take(&b);
	soap_write_fault(&b, "ServerFaultCode", "who are you?", value_new(a, T_InvalidLogin), v);
	server.fault = buf_take(&b);
	soap_write_response(&b, "WaitForUpdatesEx", NULL, NULL, NULL, v);
	server.updates = buf_take(&b);
	arena_free(a);
}

static int server_start(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };

	(void)state;
	pthread_mutex_init(&server.lock, NULL);
	pthread_cond_init(&server.changed, NULL);
	server.file = (struct buf)BUF_INIT;
	make_certificate();
	make_answers();
	server.daemon = MHD_start_daemon(
		MHD_USE_TLS | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0,
		NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR, &address,
		MHD_OPTION_HTTPS_MEM_CERT, server.cert, MHD_OPTION_HTTPS_MEM_KEY, server.key,
		MHD_OPTION_NOTIFY_COMPLETED, on_finished, NULL, MHD_OPTION_END);
	if (server.daemon == NULL) {
		return -1;
	}
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_BIND_PORT);
	snprintf(server.url, sizeof(server.url), "127.0.0.1:%u", (unsigned)info->port);
	return 0;
}

static void set_gate(bool open)
{
	pthread_mutex_lock(&server.lock);
	server.gate_open = open;
	server.n_waiting = 0;
	pthread_cond_broadcast(&server.changed);
	pthread_mutex_unlock(&server.lock);
}

static int server_stop(void **state)
{
	(void)state;
	set_gate(true);
	MHD_stop_daemon(server.daemon);
	buf_free(&server.file);
	free(server.cert);
	free(server.key);
	free(server.content);
	free(server.session);
	free(server.fault);
	free(server.updates);
	return 0;
}

/* ---- client ---- */

struct outcome {
	int n; /* times done() was called */
	enum error_kind kind;
	char msg[240];
	uint16_t result, fault;
	char text[64];
	struct client *free_this; /* within done() */
};

static void note_error(struct outcome *o, const struct error *e)
{
	o->n++;
	o->kind = e == NULL ? ERROR_NONE : e->kind;
	snprintf(o->msg, sizeof(o->msg), "%s", e == NULL ? "" : e->msg);
}

static void note(void *arg, const struct client_answer *answer)
{
	struct outcome *o = arg;

	note_error(o, answer->error);
	o->result = answer->result == NULL ? T_none : value_type(answer->result);
	o->fault = answer->fault == NULL ? T_none : value_type(answer->fault);
	snprintf(o->text, sizeof(o->text), "%s", answer->text == NULL ? "" : answer->text);
	client_free(o->free_this);
}

static void note_file(void *arg, const struct error *error)
{
	note_error(arg, error);
}

static uv_loop_t loop;

/* Turns the loop until done() was called. */
static void wait_for(struct outcome *o)
{
	while (o->n == 0) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	assert_int_equal(o->n, 1);
}

static struct client *new_client(const char *thumbprint, bool trust_any)
{
	struct client_config config = { .loop = &loop,
					.url = server.url,
					.thumbprint = thumbprint,
					.trust_any = trust_any,
					.max_response = 1 << 20 };
	struct error e;
	struct client *c = client_new(&config, &e);

	assert_non_null(c);
	return c;
}

static struct client *logged_in(void)
{
	struct client *c = new_client(NULL, true);
	struct outcome o = { 0 };

	assert_non_null(client_login(c, "root", "right", note, &o));
	wait_for(&o);
	if (o.kind != ERROR_NONE || o.result != T_UserSession) {
		fail_msg("login: %s %s", o.msg, o.text);
	}
	return c;
}

/* Calls a method with no arguments that matter. */
static struct client_call *begin(struct client *c, uint16_t method, int64_t timeout_ms,
				 struct outcome *o)
{
	struct arena *a = arena_new(0);
	const struct value *self = value_new_ref(a, schema_method(method)->managed, "x");

	*o = (struct outcome){ 0 };
	struct client_call *call = client_call(c, method, self, NULL, note, o);
	assert_non_null(call);
	if (timeout_ms > 0) {
		client_set_timeout(call, timeout_ms);
	}
	arena_free(a);
	return call;
}

static void finish(struct client *c)
{
	client_free(c);
	for (int i = 0; i < 3; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_false(uv_loop_alive(&loop)); /* nothing was left behind */
}

static void login_sets_the_cookie(void **state)
{
	struct client *c = logged_in();

	(void)state;
	assert_string_equal(peer_cookie(client_peer(c)), "\"52ab-1\"");
	assert_string_equal(value_get_str(client_content(c), F_ServiceContent_sessionManager),
			    "sm");
	finish(c);
}

static void wrong_password_is_a_fault(void **state)
{
	struct client *c = new_client(NULL, true);
	struct outcome o = { 0 };

	(void)state;
	client_login(c, "root", "wrong", note, &o);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_NONE);
	assert_int_equal(o.fault, T_InvalidLogin);
	assert_string_equal(o.text, "who are you?");
	finish(c);
}

static void unknown_certificate_is_refused(void **state)
{
	struct client *c = new_client(NULL, false);
	struct outcome o = { 0 };

	(void)state;
	int before = server.n_requests;
	client_connect(c, note, &o);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_PERMISSION);
	assert_int_equal(server.n_requests, before); /* nothing was sent */
	assert_true(peer_is_unknown(client_peer(c)));
	assert_int_equal(strlen(peer_sha1(client_peer(c))), 59);
	assert_non_null(strstr(o.msg, peer_sha1(client_peer(c))));
	char *sha1 = mem_strdup(peer_sha1(client_peer(c)));
	char *sha256 = mem_strdup(peer_sha256(client_peer(c)));
	finish(c);

	const char *pins[] = { sha1, sha256 };
	for (int i = 0; i < 2; i++) {
		c = new_client(pins[i], false);
		o = (struct outcome){ 0 };
		client_connect(c, note, &o);
		wait_for(&o);
		assert_int_equal(o.kind, ERROR_NONE);
		assert_int_equal(o.result, T_ServiceContent);
		assert_false(peer_is_unknown(client_peer(c)));
		finish(c);
	}
	sha1[0] = sha1[0] == '0' ? '1' : '0';
	c = new_client(sha1, true); /* a thumbprint counts for more */
	o = (struct outcome){ 0 };
	client_connect(c, note, &o);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_PERMISSION);
	assert_non_null(strstr(o.msg, "not the expected one"));
	finish(c);
	free(sha1);
	free(sha256);
}

static void waiting_call_holds_up_nobody(void **state)
{
	struct client *c = logged_in();
	struct outcome waits, quick;

	(void)state;
	set_gate(false);
	begin(c, M_PropertyCollector_WaitForUpdatesEx, 0, &waits);
	for (int i = 0; i < 5; i++) {
		quick = (struct outcome){ 0 };
		client_connect(c, note, &quick);
		wait_for(&quick);
		assert_int_equal(quick.result, T_ServiceContent);
	}
	assert_int_equal(waits.n, 0);
	set_gate(true);
	wait_for(&waits);
	assert_int_equal(waits.kind, ERROR_NONE);
	assert_int_equal(waits.result, T_none);
	finish(c);
}

static void set_true(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* Turns the loop for so long. */
static void wait_ms(uint64_t ms)
{
	uv_timer_t timer;
	bool is_over = false;

	uv_timer_init(&loop, &timer);
	timer.data = &is_over;
	uv_timer_start(&timer, set_true, ms, 0);
	while (!is_over) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

/* More calls than connections: a limit counts from when the call is sent. */
static void limits_begin_with_sending(void **state)
{
	enum {
		N = 40,
		LIMIT_MS = 2000
	};
	struct client *c = logged_in();
	struct outcome held[8], o[N], urgent = { 0 };

	(void)state;
	set_gate(false);
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		begin(c, M_PropertyCollector_WaitForUpdatesEx, 0, &held[i]);
	}
	struct client_call *unwanted = NULL;
	for (int i = 0; i < N; i++) {
		unwanted = begin(c, M_PropertyCollector_WaitForUpdatesEx, LIMIT_MS, &o[i]);
	}
	client_cancel(unwanted);
	assert_int_equal(o[N - 1].kind, ERROR_CANCELED);
	wait_ms(LIMIT_MS + 100);
	client_hurry(client_connect(c, note, &urgent));
	wait_for(&urgent);
	assert_int_equal(urgent.result, T_ServiceContent);
	for (int i = 0; i < N - 1; i++) {
		assert_int_equal(o[i].n, 0);
	}
	set_gate(true);
	for (int i = 0; i < N - 1; i++) {
		wait_for(&o[i]);
		assert_int_equal(o[i].kind, ERROR_NONE);
	}
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		wait_for(&held[i]);
	}
	finish(c);
}

static void canceled_and_freed_calls_are_told(void **state)
{
	struct client *c = logged_in();
	struct outcome first, second;

	(void)state;
	set_gate(false);
	struct client_call *call = begin(c, M_PropertyCollector_WaitForUpdatesEx, 0, &first);
	begin(c, M_PropertyCollector_WaitForUpdatesEx, 0, &second);
	client_cancel(call);
	assert_int_equal(first.n, 1);
	assert_int_equal(first.kind, ERROR_CANCELED);
	assert_int_equal(second.n, 0);
	finish(c);
	assert_int_equal(second.n, 1);
	assert_int_equal(second.kind, ERROR_CANCELED);
	set_gate(true);
}

static void client_may_be_freed_within_done(void **state)
{
	struct client *c = logged_in();
	struct outcome o = { 0 }, other;

	(void)state;
	set_gate(false);
	begin(c, M_PropertyCollector_WaitForUpdatesEx, 0, &other);
	o.free_this = c;
	client_connect(c, note, &o);
	wait_for(&o);
	assert_int_equal(other.kind, ERROR_CANCELED);
	finish(NULL);
	set_gate(true);
}

static void silence_is_unreachable(void **state)
{
	struct client *c = logged_in();
	struct outcome o;

	(void)state;
	set_gate(false);
	begin(c, M_PropertyCollector_WaitForUpdatesEx, 100, &o);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_UNREACHABLE);
	set_gate(true);
	begin(c, M_VirtualMachine_UnregisterVM, 0, &o);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_UNREACHABLE);
	finish(c);
	/* A port where nobody listens. */
	struct client_config config = { .loop = &loop, .url = "https://127.0.0.1:1/sdk" };
	c = client_new(&config, NULL);
	o = (struct outcome){ 0 };
	client_connect(c, note, &o);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_UNREACHABLE);
	finish(c);
}

static void wrong_answers_are_errors(void **state)
{
	struct client *c = logged_in();
	struct outcome o;

	(void)state;
	begin(c, M_ServiceInstance_CurrentTime, 0, &o);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_CORRUPT);
	begin(c, M_EventManager_QueryEvents, 0, &o);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_LIMIT);
	begin(c, M_VirtualMachine_PowerOnVM_Task, 0, &o);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_NOT_FOUND);
	finish(c);
}

static bool count_progress(void *arg, uint64_t done, uint64_t total)
{
	struct outcome *o = arg;

	o->result = done == total && total == FILE_BYTES ? 1 : o->result;
	return true;
}

static bool refuse_progress(void *arg, uint64_t done, uint64_t total)
{
	(void)arg, (void)total;
	return done == 0;
}

static int temporary_file(void)
{
	char name[] = "/tmp/client_test_XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);

	assert_true(fd >= 0);
	unlink(name);
	return fd;
}

static void files_go_both_ways(void **state)
{
	struct client *c = logged_in();
	struct outcome o = { 0 };
	char *data = mem_alloc(FILE_BYTES), *back = mem_alloc(FILE_BYTES);
	struct buf path = BUF_INIT;
	int fd = temporary_file(), copy = temporary_file();

	(void)state;
	for (int i = 0; i < FILE_BYTES; i++) {
		data[i] = (char)(i * 7 >> 3);
	}
	assert_int_equal(pwrite(fd, data, FILE_BYTES, 0), FILE_BYTES);
	client_folder_path(&path, "ha-datacenter", "ds 1&2", "a b/disk.vmdk");
	assert_string_equal(path.data,
			    "/folder/a%20b/disk.vmdk?dcPath=ha-datacenter&dsName=ds%201%262");
	struct client_file file = { .path = path.data,
				    .fd = fd,
				    .length = FILE_BYTES,
				    .progress = count_progress,
				    .done = note_file,
				    .arg = &o };
	client_put(c, &file);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_NONE);
	assert_int_equal(o.result, 1);
	o = (struct outcome){ 0 };
	file.fd = copy;
	client_get(c, &file);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_NONE);
	assert_int_equal(pread(copy, back, FILE_BYTES, 0), FILE_BYTES);
	assert_memory_equal(data, back, FILE_BYTES);

	o = (struct outcome){ 0 };
	file.progress = refuse_progress;
	client_get(c, &file);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_CANCELED);

	o = (struct outcome){ 0 };
	file = (struct client_file){ .path = "/nothing", .fd = copy, .done = note_file, .arg = &o };
	client_get(c, &file);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_NOT_FOUND);
	assert_non_null(strstr(o.msg, "no such file"));

	/* The file is shorter than promised. */
	o = (struct outcome){ 0 };
	file = (struct client_file){
		.path = path.data, .fd = fd, .length = FILE_BYTES + 1, .done = note_file, .arg = &o
	};
	client_put(c, &file);
	wait_for(&o);
	assert_int_equal(o.kind, ERROR_IO);
	finish(c);
	close(fd);
	close(copy);
	buf_free(&path);
	free(data);
	free(back);
}

static void bad_configurations_are_refused(void **state)
{
	struct error e;

	(void)state;
	struct client_config config = { .loop = &loop, .url = "ftp://host/" };
	assert_null(client_new(&config, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	config.url = "";
	assert_null(client_new(&config, &e));
	config.url = "host";
	config.thumbprint = "AB:CD";
	assert_null(client_new(&config, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	config.thumbprint = NULL;
	struct client *c = client_new(&config, &e);
	assert_string_equal(peer_origin(client_peer(c)), "https://host");
	peer_set_cookie(client_peer(c), "a\r\nX-Evil: 1");
	assert_string_equal(peer_cookie(client_peer(c)), "");
	finish(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(login_sets_the_cookie),
		cmocka_unit_test(wrong_password_is_a_fault),
		cmocka_unit_test(unknown_certificate_is_refused),
		cmocka_unit_test(waiting_call_holds_up_nobody),
		cmocka_unit_test(limits_begin_with_sending),
		cmocka_unit_test(canceled_and_freed_calls_are_told),
		cmocka_unit_test(client_may_be_freed_within_done),
		cmocka_unit_test(silence_is_unreachable),
		cmocka_unit_test(wrong_answers_are_errors),
		cmocka_unit_test(files_go_both_ways),
		cmocka_unit_test(bad_configurations_are_refused),
	};

	uv_loop_init(&loop);
	int rc = cmocka_run_group_tests(tests, server_start, server_stop);
	uv_loop_close(&loop);
	return rc;
}

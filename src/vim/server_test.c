/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTPS front with real connections: the server on this thread's loop, libcurl on another. */
#include "vim/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "base/mem.h"
#include "vim/certificate.h"
#include "vim/fault.h"
#include "vim/http_text.h"
#include "vim/rig.h"

struct fixture {
	struct rig *rig;
	struct server *server;
	char dir[64], cert[96], key[96];
	struct call *kept;
	bool is_aborted;
	struct buf uploaded;
	int n_finished;
	int n_pieces;
	struct http_request *stream;
	uv_async_t wake; /* the client thread is done */
	uv_timer_t late; /* closes while the loop turns: not on a stack */
};

/* One request of the client thread. */
struct exchange_plan {
	struct fixture *f;
	const char *path, *method, *body, *cookie, *user, *range;
	bool is_chunked;
	bool is_stubborn; /* sends all of the body, whatever is answered meanwhile */
	long timeout_ms;  /* the client gives up */
	/* out */
	CURLcode result;
	long status;
	struct buf answer, headers;
	bool is_done;
};

static size_t take(char *data, size_t size, size_t n, void *arg)
{
	buf_add(arg, data, size * n);
	return size * n;
}

struct upload {
	const char *at;
	size_t left;
};

static size_t give(char *data, size_t size, size_t n, void *arg)
{
	struct upload *u = arg;
	size_t len = MIN(size * n, u->left);

	memcpy(data, u->at, len);
	u->at += len;
	u->left -= len;
	return len;
}

static void *client_run(void *arg)
{
	struct exchange_plan *p = arg;
	CURL *curl = curl_easy_init();
	char *url = mem_printf("https://127.0.0.1:%u%s", server_port(p->f->server), p->path);
	struct curl_slist *headers = NULL;
	struct upload upload = { p->body, p->body == NULL ? 0 : strlen(p->body) };

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(curl, CURLOPT_CAINFO, p->f->cert);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &p->answer);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &p->headers);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, p->timeout_ms == 0 ? 20000L : p->timeout_ms);
	if (p->cookie != NULL) {
		curl_easy_setopt(curl, CURLOPT_COOKIE, p->cookie);
	}
	if (p->user != NULL) {
		curl_easy_setopt(curl, CURLOPT_USERPWD, p->user);
	}
	if (p->range != NULL) {
		curl_easy_setopt(curl, CURLOPT_RANGE, p->range);
	}
	if (p->body != NULL && strcmp(p->method, "POST") == 0 && !p->is_chunked) {
		headers = curl_slist_append(headers, "SOAPAction: \"urn:vim25/6.5\"");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, p->body);
	} else if (p->body != NULL) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
		curl_easy_setopt(curl, CURLOPT_READDATA, &upload);
		if (!p->is_chunked) {
			curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)upload.left);
		}
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, p->method);
	} else if (strcmp(p->method, "HEAD") == 0) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	}
	if (p->is_stubborn) {
		headers = curl_slist_append(headers, "Expect:");
		curl_easy_setopt(curl, CURLOPT_KEEP_SENDING_ON_ERROR, 1L);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	p->result = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &p->status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	free(url);
	__atomic_store_n(&p->is_done, true, __ATOMIC_RELEASE);
	uv_async_send(&p->f->wake);
	return NULL;
}

static void woken(uv_async_t *async)
{
	(void)async;
}

static void request_by(struct fixture *f, struct exchange_plan *p, void *(*run)(void *arg))
{
	pthread_t thread;

	p->f = f;
	p->method = p->method == NULL ? "GET" : p->method;
	assert_int_equal(pthread_create(&thread, NULL, run, p), 0);
	while (!__atomic_load_n(&p->is_done, __ATOMIC_ACQUIRE)) {
		uv_run(&f->rig->loop, UV_RUN_ONCE);
	}
	pthread_join(thread, NULL);
}

static void request(struct fixture *f, struct exchange_plan *p)
{
	request_by(f, p, client_run);
}

static void plan_free(struct exchange_plan *p)
{
	buf_free(&p->answer);
	buf_free(&p->headers);
}

#define ENVELOPE(content)                                                                          \
	"<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\"><Body>" content             \
	"</Body></Envelope>"
#define LOGIN                                                                                      \
	ENVELOPE("<Login xmlns=\"urn:vim25\"><_this type=\"SessionManager\">SessionManager"        \
		 "</_this><userName>root</userName><password>secret</password></Login>")
#define FETCH                                                                                      \
	ENVELOPE("<Fetch xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this>"              \
		 "<prop>name</prop></Fetch>")
#define DESTROY                                                                                    \
	ENVELOPE("<Destroy_Task xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1</_this>"       \
		 "</Destroy_Task>")

static void keep_abort(void *arg)
{
	struct fixture *f = arg;

	f->is_aborted = true;
	call_fault(f->kept, fault_new(f->kept->arena, T_RequestCanceled), "gone");
}

static void keep(struct call *c)
{
	struct fixture *f = call_arg(c);

	f->kept = c;
	call_on_abort(c, keep_abort, f);
}

/* Streams 100 pieces. */
static bool piece(void *arg, struct buf *out)
{
	struct fixture *f = arg;

	buf_addf(out, "<returnval>%d</returnval>", f->n_pieces);
	return ++f->n_pieces < 100;
}

static void pieces_done(void *arg)
{
	struct fixture *f = arg;

	f->n_pieces += 1000;
}

static void stream_pieces(struct call *c)
{
	call_stream(c, piece, pieces_done, call_arg(c));
}

/* ---- a route: PUT takes what comes, GET gives it back ---- */

static bool store_begin(struct http_request *r)
{
	struct fixture *f = r->arg;
	char path[96];

	if (strcmp(r->method, "PUT") == 0) {
		buf_clear(&f->uploaded);
		return true;
	}
	snprintf(path, sizeof(path), "%s/file", f->dir);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, f->uploaded.data, f->uploaded.len), (ssize_t)f->uploaded.len);
	http_respond_file(r, "application/octet-stream", fd, f->uploaded.len);
	return false;
}

/* Takes a thousand bytes at a time. */
static size_t store_body(struct http_request *r, const char *data, size_t n)
{
	struct fixture *f = r->arg;
	size_t taken = MIN(n, (size_t)1000);

	buf_add(&f->uploaded, data, taken);
	if (taken < n) {
		http_resume(r);
	}
	return taken;
}

static void store_complete(struct http_request *r)
{
	http_respond_text(r, 201, "stored for %s", session_user(r->session));
}

static void store_finish(struct http_request *r, bool ok)
{
	struct fixture *f = r->arg;

	f->n_finished += ok ? 1 : 0;
}

/* ---- a route that refuses: /refuse at once, /refuse/late after the first bytes ---- */

static bool refuse_begin(struct http_request *r)
{
	if (strcmp(r->path, "/refuse") == 0) {
		http_respond_text(r, 404, "no such place");
	}
	return true;
}

static size_t refuse_body(struct http_request *r, const char *data, size_t n)
{
	(void)data;
	http_respond_text(r, 507, "no room");
	return n;
}

static void refuse_finish(struct http_request *r, bool ok)
{
	struct fixture *f = r->arg;

	(void)ok;
	f->n_finished++;
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	struct error e = { 0 };

	f->rig = rig_new_bare(&(struct rig_options){ .real_clock = true });
	uv_async_init(&f->rig->loop, &f->wake, woken);
	service_handle(f->rig->service, T_ManagedEntity, M_ManagedEntity_Destroy_Task, keep, f);
	service_handle(f->rig->service, T_ManagedEntity, M_ManagedEntity_Reload, stream_pieces, f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/server_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->cert, sizeof(f->cert), "%s/cert.pem", f->dir);
	snprintf(f->key, sizeof(f->key), "%s/key.pem", f->dir);
	struct certificate_config certificate = {
		.cert_path = f->cert, .key_path = f->key, .name = "node-1", .address = "127.0.0.1"
	};
	assert_true(certificate_ensure(&certificate, &e));
	assert_true(certificate_ensure(&certificate, &e));
	struct server_config server = {
		.loop = &f->rig->loop,
		.address = "127.0.0.1",
		.cert_path = f->cert,
		.key_path = f->key,
		.service = f->rig->service,
		.sessions = f->rig->sessions,
	};
	f->server = server_new(&server, &e);
	assert_non_null(f->server);
	struct http_route route = {
		.prefix = "/store",
		.needs_session = true,
		.begin = store_begin,
		.body = store_body,
		.complete = store_complete,
		.finish = store_finish,
		.arg = f,
	};
	server_route(f->server, &route);
	struct http_route refuse = {
		.prefix = "/refuse",
		.begin = refuse_begin,
		.body = refuse_body,
		.finish = refuse_finish,
		.arg = f,
	};
	server_route(f->server, &refuse);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char path[96];

	server_free(f->server);
	uv_close((uv_handle_t *)&f->wake, NULL);
	rig_free(f->rig);
	snprintf(path, sizeof(path), "%s/file", f->dir);
	unlink(path);
	unlink(f->cert);
	unlink(f->key);
	assert_int_equal(rmdir(f->dir), 0);
	buf_free(&f->uploaded);
	free(f);
	return 0;
}

/* Logs in and gives the cookie as a client sends it back. */
static void login(struct fixture *f, char cookie[128])
{
	struct exchange_plan p = { .path = "/sdk", .method = "POST", .body = LOGIN };

	request(f, &p);
	assert_int_equal(p.status, 200);
	const char *at = strstr(p.headers.data, "Set-Cookie: ");
	assert_non_null(at);
	at += strlen("Set-Cookie: ");
	snprintf(cookie, 128, "%.*s", (int)strcspn(at, "\r"), at);
	assert_non_null(strstr(cookie, "; HttpOnly; Secure"));
	plan_free(&p);
}

static void api_answers_over_tls(void **state)
{
	struct fixture *f = *state;
	char cookie[128];

	login(f, cookie);
	for (int i = 0; i < 2; i++) {
		struct exchange_plan p = { .path = i == 0 ? "/sdk" : "/sdk/",
					   .method = "POST",
					   .body = FETCH,
					   .is_chunked = i == 1,
					   .cookie = cookie };
		request(f, &p);
		assert_int_equal(p.status, 200);
		assert_non_null(strstr(p.answer.data, "<returnval>Datacenters</returnval>"));
		plan_free(&p);
	}
	struct exchange_plan p = { .path = "/sdk", .method = "POST", .body = FETCH };
	request(f, &p);
	assert_int_equal(p.status, 500);
	assert_non_null(strstr(p.answer.data, "NotAuthenticated"));
	plan_free(&p);
}

static void documents_and_errors(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *path, *method;
		long status;
		const char *part;
	} cases[] = {
		{ "/sdk/vimServiceVersions.xml", "GET", 200, "<version>8.0.3.0</version>" },
		{ "/sdk/vimService.wsdl", "GET", 200, "VimService" },
		{ "/sdk", "GET", 405, "" },
		{ "/nothing", "GET", 404, "" },
		{ "/store/../sdk", "GET", 400, "" },
		{ "/store/%2e%2e/x", "GET", 400, "" },
		{ "/storehouse", "GET", 404, "" },
		{ "/store/a", "GET", 401, "" },
		{ "/metrics", "GET", 200, "remora_vim_calls_total{class=\"session\"}" },
		{ "/metrics", "HEAD", 200, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct exchange_plan p = { .path = cases[i].path, .method = cases[i].method };
		request(f, &p);
		assert_int_equal(p.result, CURLE_OK);
		assert_int_equal(p.status, cases[i].status);
		if (cases[i].part[0] != '\0') {
			assert_non_null(strstr(p.answer.data, cases[i].part));
		}
		plan_free(&p);
	}
}

/* Who has no session may not fill the memory with requests. */
static void strangers_send_little(void **state)
{
	struct fixture *f = *state;
	const size_t size = 1 << 20;
	char *body = mem_zalloc(size + 1), cookie[128];

	memset(body, ' ', size);
	memcpy(body + size - strlen(FETCH), FETCH, strlen(FETCH));
	struct exchange_plan whole = { .path = "/sdk", .method = "POST", .body = body };
	request(f, &whole);
	assert_int_equal(whole.status, 413);
	struct exchange_plan chunked = { .path = "/sdk",
					 .method = "POST",
					 .body = body,
					 .cookie = "vmware_soap_session=none",
					 .is_chunked = true };
	request(f, &chunked);
	assert_int_equal(chunked.status, 413);
	login(f, cookie);
	struct exchange_plan known = {
		.path = "/sdk", .method = "POST", .body = body, .cookie = cookie
	};
	request(f, &known);
	assert_int_equal(known.status, 200);
	plan_free(&whole);
	plan_free(&chunked);
	plan_free(&known);
	free(body);
}

static void uploads_come_in_parts(void **state)
{
	struct fixture *f = *state;
	size_t n = 300000;
	char *body = mem_alloc(n + 1);

	memset(body, 'x', n);
	body[n] = '\0';
	memcpy(body + 1000, "marker", 6);
	struct exchange_plan put = {
		.path = "/store/a", .method = "PUT", .body = body, .user = "root:secret"
	};
	request(f, &put);
	assert_int_equal(put.status, 201);
	assert_string_equal(put.answer.data, "stored for root");
	assert_int_equal(f->uploaded.len, n);
	assert_memory_equal(f->uploaded.data, body, n);
	assert_int_equal(f->n_finished, 1);
	assert_int_equal(session_count(f->rig->sessions), 0); /* Basic's ends with the request */
	plan_free(&put);
	struct exchange_plan get = { .path = "/store/a", .user = "root:secret" };
	request(f, &get);
	assert_int_equal(get.status, 200);
	assert_int_equal(get.answer.len, n);
	assert_memory_equal(get.answer.data, body, n);
	plan_free(&get);
	struct exchange_plan part = { .path = "/store/a",
				      .user = "root:secret",
				      .range = "1000-1005" };
	request(f, &part);
	assert_int_equal(part.status, 206);
	assert_string_equal(part.answer.data, "marker");
	plan_free(&part);
	struct exchange_plan beyond = { .path = "/store/a",
					.user = "root:secret",
					.range = "300000-" };
	request(f, &beyond);
	assert_int_equal(beyond.status, 416);
	plan_free(&beyond);
	struct exchange_plan wrong = { .path = "/store/a", .user = "root:wrong" };
	request(f, &wrong);
	assert_int_equal(wrong.status, 401);
	plan_free(&wrong);
	free(body);
}

/* The answer reaches who sends a large body to its end, whenever it is refused. */
static void refusals_of_large_bodies_arrive(void **state)
{
	struct fixture *f = *state;
	size_t n = 24 << 20;
	char *body = mem_alloc(n + 1);

	memset(body, 'x', n);
	body[n] = '\0';
	for (int i = 0; i < 8; i++) {
		struct exchange_plan p = { .path = (i & 1) == 0 ? "/refuse" : "/refuse/late",
					   .method = "PUT",
					   .body = body,
					   .is_chunked = (i & 2) != 0,
					   .is_stubborn = (i & 4) == 0 };
		request(f, &p);
		assert_int_equal(p.status, (i & 1) == 0 ? 404 : 507);
		assert_int_equal(p.result, CURLE_OK);
		assert_string_equal(p.answer.data, (i & 1) == 0 ? "no such place" : "no room");
		assert_int_equal(f->n_finished, i + 1);
		plan_free(&p);
	}
	struct exchange_plan after = { .path = "/sdk/vimServiceVersions.xml" };
	request(f, &after);
	assert_int_equal(after.status, 200);
	plan_free(&after);
	free(body);
}

static void vanished_clients_are_noticed(void **state)
{
	struct fixture *f = *state;
	char cookie[128];

	login(f, cookie);
	struct exchange_plan p = { .path = "/sdk",
				   .method = "POST",
				   .body = DESTROY,
				   .cookie = cookie,
				   .timeout_ms = 1500 };
	request(f, &p);
	assert_int_equal(p.result, CURLE_OPERATION_TIMEDOUT);
	for (int i = 0; i < 1000 && !f->is_aborted; i++) {
		uv_run(&f->rig->loop, UV_RUN_ONCE);
	}
	assert_true(f->is_aborted);
	plan_free(&p);
}

static void late_timer(uv_timer_t *timer)
{
	struct fixture *f = timer->data;

	if (f->kept == NULL) {
		return; /* the request is still on its way: at the next tick */
	}
	call_return(f->kept, NULL);
	uv_close((uv_handle_t *)timer, NULL);
}

static void late_answers_arrive(void **state)
{
	struct fixture *f = *state;
	char cookie[128];

	login(f, cookie);
	uv_timer_init(&f->rig->loop, &f->late);
	f->late.data = f;
	uv_timer_start(&f->late, late_timer, 300, 100);
	struct exchange_plan p = {
		.path = "/sdk", .method = "POST", .body = DESTROY, .cookie = cookie
	};
	request(f, &p);
	assert_int_equal(p.status, 200);
	assert_non_null(strstr(p.answer.data, "<Destroy_TaskResponse"));
	assert_false(f->is_aborted);
	plan_free(&p);
}

static void streams_are_whole(void **state)
{
	struct fixture *f = *state;
	char cookie[128];

	login(f, cookie);
	struct exchange_plan p = {
		.path = "/sdk",
		.method = "POST",
		.body = ENVELOPE("<Reload xmlns=\"urn:vim25\"><_this type=\"Folder\">group-d1"
				 "</_this></Reload>"),
		.cookie = cookie,
	};
	request(f, &p);
	assert_int_equal(p.status, 200);
	assert_non_null(strstr(p.answer.data, "<returnval>99</returnval></ReloadResponse>"));
	assert_int_equal(f->n_pieces, 1100);
	plan_free(&p);
}

static void tickets_open_one_request(void **state)
{
	struct fixture *f = *state;
	char cookie[128], ticket[64], ticket_cookie[96];

	login(f, cookie);
	struct exchange_plan p = {
		.path = "/sdk",
		.method = "POST",
		.body = ENVELOPE(
			"<AcquireGenericServiceTicket xmlns=\"urn:vim25\">"
			"<_this type=\"SessionManager\">SessionManager</_this>"
			"<spec xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" "
			"i:type=\"SessionManagerHttpServiceRequestSpec\"><method>httpGet</method>"
			"<url>https://host/store/a%20b?dcPath=%2FDC0</url></spec>"
			"</AcquireGenericServiceTicket>"),
		.cookie = cookie,
	};
	request(f, &p);
	assert_int_equal(p.status, 200);
	const char *at = strstr(p.answer.data, "<id>");
	assert_non_null(at);
	snprintf(ticket, sizeof(ticket), "%.*s", (int)strcspn(at + 4, "<"), at + 4);
	snprintf(ticket_cookie, sizeof(ticket_cookie), "vmware_cgi_ticket=%s", ticket);
	plan_free(&p);
	for (int i = 0; i < 2; i++) {
		struct exchange_plan get = { .path = "/store/a%20b?dcPath=%2fDC0",
					     .cookie = ticket_cookie };
		request(f, &get);
		assert_int_equal(get.status, i == 0 ? 200 : 401);
		plan_free(&get);
	}
}

#define ANSWERS_WANTED 5

/* Sends several requests in one TLS record; the last one asks for the connection's end. */
static void *pipeline_run(void *arg)
{
	struct exchange_plan *p = arg;
	CURL *curl = curl_easy_init();
	char *url = mem_printf("https://127.0.0.1:%u", server_port(p->f->server));
	struct buf out = BUF_INIT;
	char data[4096];
	size_t n;

	for (int i = 0; i < ANSWERS_WANTED; i++) {
		buf_addf(&out,
			 "POST /sdk HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n%sContent-Length: "
			 "%zu\r\n\r\n%s",
			 p->cookie, i == ANSWERS_WANTED - 1 ? "Connection: close\r\n" : "",
			 strlen(FETCH), FETCH);
	}
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CAINFO, p->f->cert);
	curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	p->result = curl_easy_perform(curl);
	if (p->result == CURLE_OK) {
		p->result = curl_easy_send(curl, out.data, out.len, &n);
	}
	for (int i = 0; p->result == CURLE_OK && i < 5000; i++) {
		CURLcode code = curl_easy_recv(curl, data, sizeof(data), &n);
		if (code == CURLE_AGAIN) {
			curl_socket_t fd = CURL_SOCKET_BAD;
			curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd);
			struct pollfd look = { .fd = fd, .events = POLLIN };
			poll(&look, 1, 1000);
			continue;
		}
		if (code != CURLE_OK || n == 0) {
			break;
		}
		buf_add(&p->answer, data, n);
	}
	buf_free(&out);
	curl_easy_cleanup(curl);
	free(url);
	__atomic_store_n(&p->is_done, true, __ATOMIC_RELEASE);
	uv_async_send(&p->f->wake);
	return NULL;
}

static int occurrences(const char *text, const char *what)
{
	int n = 0;

	for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
		n++;
	}
	return n;
}

static void requests_sent_together_are_answered(void **state)
{
	struct fixture *f = *state;
	char cookie[128];

	login(f, cookie);
	cookie[strcspn(cookie, ";")] = '\0';
	struct exchange_plan p = { .f = f, .cookie = cookie };
	request_by(f, &p, pipeline_run);
	assert_int_equal(p.result, CURLE_OK);
	assert_int_equal(occurrences(p.answer.data, "HTTP/1.1 200 OK"), ANSWERS_WANTED);
	assert_int_equal(occurrences(p.answer.data, "<returnval>Datacenters</returnval>"),
			 ANSWERS_WANTED);
	plan_free(&p);
}

static void texts_are_understood(void **state)
{
	(void)state;
	char value[64];
	uint64_t offset, len;

	assert_true(cookie_find("vmware_soap_session=\"52ab\"; Path=/; HttpOnly",
				"vmware_soap_session", value, sizeof(value)));
	assert_string_equal(value, "52ab");
	assert_true(cookie_find("a=b; vmware_soap_session=x ", "vmware_soap_session", value,
				sizeof(value)));
	assert_string_equal(value, "x");
	assert_false(cookie_find("", "vmware_soap_session", value, sizeof(value)));
	assert_false(
		cookie_find("xvmware_soap_session=1", "vmware_soap_session", value, sizeof(value)));
	assert_int_equal(range_parse("bytes=-5", 100, &offset, &len), RANGE_PART);
	assert_int_equal(offset, 95);
	assert_int_equal(range_parse("bytes=100-", 100, &offset, &len), RANGE_INVALID);
	assert_int_equal(range_parse("bytes=5-2", 100, &offset, &len), RANGE_NONE);
	assert_int_equal(range_parse("bytes=0-0,5-6", 100, &offset, &len), RANGE_NONE);
	char path[] = "/a%2Fb%00%zz%41";
	percent_decode(path);
	assert_string_equal(path, "/a/b%00%zzA");
	assert_false(path_is_safe("/a/.."));
	assert_true(path_is_safe("/a/..b/.c"));
}

static void certificates_are_kept(void **state)
{
	struct fixture *f = *state;
	struct certificate_thumbprints a, b;
	struct error e = { 0 };
	struct stat st;

	assert_true(certificate_thumbprints(f->cert, &a, &e));
	struct certificate_config config = { .cert_path = f->cert,
					     .key_path = f->key,
					     .name = "x" };
	assert_true(certificate_ensure(&config, &e));
	assert_true(certificate_thumbprints(f->cert, &b, &e));
	assert_string_equal(a.sha1, b.sha1);
	assert_int_equal(strlen(a.sha1), 59);
	assert_int_equal(strlen(a.sha256), 95);
	assert_int_equal(stat(f->key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_understood),
		cmocka_unit_test_setup_teardown(certificates_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(api_answers_over_tls, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_sent_together_are_answered, setup,
						teardown),
		cmocka_unit_test_setup_teardown(documents_and_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_send_little, setup, teardown),
		cmocka_unit_test_setup_teardown(uploads_come_in_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_of_large_bodies_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(vanished_clients_are_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(late_answers_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(streams_are_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(tickets_open_one_request, setup, teardown),
	};

	curl_global_init(CURL_GLOBAL_ALL);
	int rc = cmocka_run_group_tests_name("server", tests, NULL, NULL);
	curl_global_cleanup();
	return rc;
}

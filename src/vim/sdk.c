/* SPDX-License-Identifier: Apache-2.0 */
/* What is served under /sdk: the API by POST, and two documents that clients look at first. */
#include <string.h>

#include "base/log.h"
#include "vim/exchange.h"
#include "vim/http_text.h"
#include "vim/server_metrics.h"

enum {
	KEY_SIZE = 128,
	IDLE_BUF_MAX = 256 << 10
};

/* What bodies of requests may take together while they come: sessions', strangers'. */
static const size_t held_max[2] = { (size_t)256 << 20, (size_t)64 << 20 };

LOG_MODULE("server");

static const char xml_type[] = "text/xml; charset=utf-8";

/* ---- documents ---- */

static void answer_versions(struct exchange *x)
{
	struct buf *b = &x->out;

	buf_clear(b);
	buf_adds(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<namespaces version=\"1.0\">\n"
		    " <namespace>\n  <name>urn:vim25</name>\n");
	buf_addf(b, "  <version>%s</version>\n  <priorVersions>\n",
		 schema_version_name(schema_version_served));
	for (uint8_t i = schema_version_served; i-- > 0;) {
		buf_addf(b, "   <version>%s</version>\n", schema_version_name(i));
	}
	buf_adds(b, "  </priorVersions>\n </namespace>\n</namespaces>\n");
	respond_out(x, 200, "text/xml");
}

static void answer_wsdl(struct exchange *x)
{
	struct buf *b = &x->out;

	buf_clear(b);
	buf_adds(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		    "<definitions targetNamespace=\"urn:vim25Service\"\n"
		    "   xmlns=\"http://schemas.xmlsoap.org/wsdl/\"\n"
		    "   xmlns:soap=\"http://schemas.xmlsoap.org/wsdl/soap/\"\n"
		    "   xmlns:interface=\"urn:vim25Service\">\n"
		    " <portType name=\"VimPortType\"/>\n"
		    " <binding name=\"VimBinding\" type=\"interface:VimPortType\">\n"
		    "  <soap:binding style=\"document\" "
		    "transport=\"http://schemas.xmlsoap.org/soap/http\"/>\n </binding>\n"
		    " <service name=\"VimService\">\n"
		    "  <port binding=\"interface:VimBinding\" name=\"VimPort\">\n"
		    "   <soap:address location=\"https://localhost/sdk/vimService\"/>\n"
		    "  </port>\n </service>\n</definitions>\n");
	respond_out(x, 200, "text/xml");
}

/* ---- how an answer of the service leaves ---- */

static struct exchange *exchange_of_reply(struct service_reply *r)
{
	return CONTAINER_OF(r, struct exchange, reply);
}

static void reply_send(struct service_reply *r, int status, struct buf *body)
{
	struct exchange *x = exchange_of_reply(r);

	x->call = NULL;
	http_respond(&x->pub, status, xml_type, body);
}

static void reply_stream(struct service_reply *r, bool (*pull)(void *arg, struct buf *out),
			 void (*done)(void *arg), void *arg)
{
	struct exchange *x = exchange_of_reply(r);

	x->call = NULL;
	respond_pull(x, xml_type, pull, done, arg);
}

static void reply_cookie(struct service_reply *r, const char *key)
{
	struct exchange *x = exchange_of_reply(r);
	const char *secure = x->server->config.plain_http ? "" : "; Secure";

	http_reply_header(&x->pub, "Set-Cookie",
			  arena_printf(x->arena, "vmware_soap_session=%s; Path=/; HttpOnly%s%s",
				       key, secure, key[0] == '\0' ? "; Max-Age=0" : ""));
}

/* ---- the request ---- */

static size_t sdk_body_max(const struct exchange *x)
{
	return x->is_stranger ? (size_t)SERVICE_STRANGER_MAX : (size_t)SOAP_MAX_BYTES;
}

static void answer_too_large(struct exchange *x)
{
	http_respond_text(&x->pub, 413, "A request has at most %zu bytes%s.\n", sdk_body_max(x),
			  x->is_stranger ? " without a session" : "");
}

static bool is_api_path(const char *path)
{
	return strcmp(path, "/sdk") == 0 || strcmp(path, "/sdk/") == 0 ||
	       strcmp(path, "/sdk/vimService") == 0;
}

/* The value of the session's cookie; false: there is none. */
static bool session_key_find(struct exchange *x, char key[KEY_SIZE])
{
	const char *cookie = http_header(&x->pub, "Cookie");

	return cookie != NULL && cookie_find(cookie, "vmware_soap_session", key, KEY_SIZE);
}

/* A request of the API begins. */
static void call_begins(struct exchange *x)
{
	struct session_manager *m = x->server->config.sessions;
	char key[KEY_SIZE];

	x->is_stranger = m == NULL || !session_key_find(x, key) || session_find(m, key) == NULL;
	if (x->pub.content_length > (int64_t)sdk_body_max(x)) {
		answer_too_large(x);
	}
}

void sdk_begin(struct exchange *x)
{
	const char *path = x->pub.path;
	bool is_get = strcmp(x->pub.method, "GET") == 0 || strcmp(x->pub.method, "HEAD") == 0;

	if (strcmp(x->pub.method, "POST") == 0 && is_api_path(path)) {
		call_begins(x);
	} else if (is_get && strcmp(path, "/sdk/vimServiceVersions.xml") == 0) {
		answer_versions(x);
	} else if (is_get && (strcmp(path, "/sdk/vimService.wsdl") == 0 ||
			      (is_api_path(path) && strchr(x->target, '?') != NULL))) {
		answer_wsdl(x);
	} else if (is_api_path(path)) {
		http_reply_header(&x->pub, "Allow", "POST");
		http_respond_text(&x->pub, 405, "The API takes POST.\n");
	} else {
		http_respond_text(&x->pub, 404, "There is nothing at this path.\n");
	}
}

void sdk_drop(struct exchange *x)
{
	x->server->n_held[x->is_stranger] -= x->n_held;
	x->n_held = 0;
	if (x->in.cap > IDLE_BUF_MAX) { /* the answer may be long in coming */
		buf_free(&x->in);
	}
	buf_clear(&x->in);
}

void sdk_body(struct exchange *x, const char *data, size_t n)
{
	size_t *held = &x->server->n_held[x->is_stranger];

	if (x->in.len + n > sdk_body_max(x)) {
		answer_too_large(x);
		return;
	}
	if (*held + n > held_max[x->is_stranger]) {
		log_limited_warn("requests under way have %zu bytes: refused one of %s", *held,
				 x->pub.peer);
		http_respond_text(&x->pub, 503, "Too much is being sent; try again later.\n");
		return;
	}
	*held += n;
	x->n_held += n;
	if (x->in.len == 0 && x->pub.content_length > 0) {
		buf_reserve(&x->in, MIN((size_t)x->pub.content_length, (size_t)1 << 20));
	}
	buf_add(&x->in, data, n);
}

void sdk_complete(struct exchange *x)
{
	char key[KEY_SIZE];
	bool has_key = session_key_find(x, key);

	x->reply = (struct service_reply){ .send = reply_send,
					   .stream = reply_stream,
					   .cookie = reply_cookie };
	struct service_request request = {
		.body = x->in.data,
		.len = x->in.len,
		.session_key = has_key ? key : NULL,
		.soap_action = http_header(&x->pub, "SOAPAction"),
		.peer = x->pub.peer,
		.user_agent = http_header(&x->pub, "User-Agent"),
		.reply = &x->reply,
	};
	x->call = service_request(x->server->config.service, &request);
	sdk_drop(x);
}

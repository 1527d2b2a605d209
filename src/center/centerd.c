/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remora-centerd: the manager. Builds its inventory from the database, serves it over HTTPS,
 * follows its hosts, and answers `remora` on a control socket. Nothing but itself stops when it
 * stops.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/control.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "center/center.h"
#include "center/hosts.h"
#include "center/identity.h"
#include "vim/certificate.h"
#include "vim/server.h"

LOG_MODULE("centerd");

#define VERSION "0.1.0"
#define ADMIN	"administrator@vsphere.local"

enum {
	PORT_FIRST = 443,
	PORT_ELSE = 8443,
	PASSWORD_MAX = 1024,
	PASSWORD_BYTES = 9
};

struct options {
	const char *state, *listen, *password_file, *log_file, *log_level;
};

struct centerd {
	struct options options;
	uv_loop_t loop;
	struct identity identity;
	struct user_store *users;
	struct api *api;
	struct center *center;
	struct server *server;
	struct control *control;
	uv_signal_t signals[3];
};

/* ---- command line ---- */

static void usage(FILE *to)
{
	fputs("usage: remora-centerd --state DIR [--listen ADDRESS[:PORT]] [--password-file FILE]\n"
	      "                      [--log-level SPEC] [--log-file FILE] [--version] [--help]\n",
	      to);
}

static bool options_read(struct options *o, int argc, char **argv)
{
	static const struct option known[] = {
		{ "state", required_argument, NULL, 's' },
		{ "listen", required_argument, NULL, 'l' },
		{ "password-file", required_argument, NULL, 'p' },
		{ "log-level", required_argument, NULL, 'v' },
		{ "log-file", required_argument, NULL, 'f' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (c) {
		case 's':
			o->state = optarg;
			break;
		case 'l':
			o->listen = optarg;
			break;
		case 'p':
			o->password_file = optarg;
			break;
		case 'v':
			o->log_level = optarg;
			break;
		case 'f':
			o->log_file = optarg;
			break;
		case 'V':
			puts("remora-centerd " VERSION);
			exit(0);
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return false;
		}
	}
	return optind == argc && o->state != NULL;
}

static char *state_path(const struct centerd *d, const char *name)
{
	return mem_printf("%s/%s", d->options.state, name);
}

/* ---- users ---- */

static bool password_read(const char *path, struct buf *out, struct error *e)
{
	if (!file_read(path, PASSWORD_MAX, out, e)) {
		return false;
	}
	out->len = strcspn(out->data, "\r\n");
	out->data[out->len] = '\0';
	return out->len > 0 || error_set(e, ERROR_INVALID, "\"%s\" holds no password", path);
}

/* None was given: a random one, in a file that only the administrator of this machine reads. */
static bool password_make(struct centerd *d, struct buf *out, struct error *e)
{
	char *path = state_path(d, "initial-password");
	char text[2 * PASSWORD_BYTES + 1];

	random_hex(text, PASSWORD_BYTES);
	buf_adds(out, text);
	bool ok = file_write_atomic(path, text, strlen(text), 0600, e);
	explicit_bzero(text, sizeof(text));
	if (ok) {
		log_info("first password of \"" ADMIN "\": see \"%s\"", path);
	}
	free(path);
	return ok;
}

static bool users_begin(struct centerd *d, struct error *e)
{
	char *path = state_path(d, "users.json");
	struct buf password = BUF_INIT;

	d->users = user_store_open(path, e);
	free(path);
	if (d->users == NULL || user_count(d->users) > 0) {
		return d->users != NULL;
	}
	bool ok = d->options.password_file != NULL
			  ? password_read(d->options.password_file, &password, e)
			  : password_make(d, &password, e);
	ok = ok && user_set(d->users, ADMIN, password.data, "Administrator", e);
	if (password.data != NULL) {
		explicit_bzero(password.data, password.len);
	}
	buf_free(&password);
	return ok;
}

/* ---- what it is made of ---- */

static bool identity_begin(struct centerd *d, struct error *e)
{
	if (!file_make_dirs(d->options.state, 0700, e) ||
	    !identity_load_or_make(d->options.state, &d->identity, e)) {
		return false;
	}
	return d->options.listen == NULL ||
	       identity_set_listen(&d->identity, d->options.listen, e) ||
	       error_prefix(e, "--listen: ");
}

static bool center_begin(struct centerd *d, struct error *e)
{
	char *permissions = state_path(d, "permissions.json");

	d->api = api_new(&(struct api_config){ .kind = API_CENTER,
					       .loop = &d->loop,
					       .clock = clock_real(),
					       .instance_uuid = d->identity.uuid,
					       .users = d->users,
					       .admin = ADMIN,
					       .permissions_path = permissions },
			 e);
	free(permissions);
	if (d->api == NULL) {
		return false;
	}
	d->center = center_new(&(struct center_config){ .loop = &d->loop,
							.clock = clock_real(),
							.api = d->api,
							.state = d->options.state },
			       e);
	return d->center != NULL && center_start(d->center, e);
}

/* 443 where this process may have it and nobody else has, else 8443; another port as it is. */
static bool listen_begin(struct centerd *d, struct server_config *config, struct error *e)
{
	config->port = d->identity.port;
	d->server = server_new(config, e);
	if (d->server == NULL && config->port == PORT_FIRST) {
		config->port = PORT_ELSE;
		d->server = server_new(config, e);
	}
	return d->server != NULL;
}

static bool server_begin(struct centerd *d, struct error *e)
{
	char *cert = state_path(d, "cert.pem"), *key = state_path(d, "key.pem");
	struct certificate_thumbprints prints;
	struct server_config config = {
		.loop = &d->loop,
		.address = d->identity.address,
		.cert_path = cert,
		.key_path = key,
		.service = d->api->service,
		.sessions = d->api->sessions,
	};
	bool ok = certificate_ensure(&(struct certificate_config){ .cert_path = cert,
								   .key_path = key,
								   .name = d->identity.name,
								   .address = d->identity.address },
				     e) &&
		  listen_begin(d, &config, e) && certificate_thumbprints(cert, &prints, e);

	if (ok) {
		hosts_serve(d->center->hosts, d->server);
		d->identity.port = server_port(d->server);
		log_info("serving https://%s:%u/sdk", d->identity.address, d->identity.port);
		log_info("thumbprint SHA-1 %s", prints.sha1);
		log_info("thumbprint SHA-256 %s", prints.sha256);
	}
	free(cert);
	free(key);
	return ok;
}

/* ---- control socket ---- */

static void control_status(void *arg, struct rpc_call *call)
{
	struct centerd *d = arg;
	struct json_object *o = json_object_new_object();

	json_put_str(o, "node", d->identity.name);
	json_put_str(o, "uuid", d->identity.uuid);
	json_put_str(o, "role", "manager");
	json_put_str(o, "address", d->identity.address);
	json_put_u64(o, "port", d->identity.port);
	json_put_u64(o, "objects", inventory_count(d->api->inventory));
	json_put_u64(o, "sessions", session_count(d->api->sessions));
	rpc_call_reply(call, o);
}

static bool control_begin(struct centerd *d, struct error *e)
{
	static const struct control_command status = {
		.name = "status",
		.params = "",
		.help = "Who this manager is and how much it manages",
		.fn = control_status,
	};
	char *path = state_path(d, "control.sock");
	struct control_options options = { .path = path, .program = "centerd", .version = VERSION };

	d->control = control_new(&d->loop, &options, e);
	free(path);
	if (d->control == NULL) {
		return false;
	}
	control_register(d->control, &status, d);
	return true;
}

/* ---- life ---- */

static void on_stop(uv_signal_t *s, int number)
{
	struct centerd *d = s->data;

	log_info("signal %d: stopping", number);
	uv_stop(&d->loop);
}

static void on_hangup(uv_signal_t *s, int number)
{
	struct centerd *d = s->data;
	struct error e = { 0 };

	(void)number;
	if (d->options.log_file != NULL && !log_set_file(d->options.log_file, &e)) {
		log_error("%s", e.msg);
	}
}

static void signals_begin(struct centerd *d)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], numbers[i] == SIGHUP ? on_hangup : on_stop,
				numbers[i]);
	}
}

static void centerd_end(struct centerd *d)
{
	server_free(d->server);
	control_free(d->control);
	center_free(d->center);
	api_free(d->api);
	user_store_free(d->users);
	for (size_t i = 0; i < ARRAY_LEN(d->signals); i++) {
		if (d->signals[i].loop != NULL) {
			uv_close((uv_handle_t *)&d->signals[i], NULL);
		}
	}
	uv_run(&d->loop, UV_RUN_NOWAIT);
	uv_run(&d->loop, UV_RUN_NOWAIT);
	uv_loop_close(&d->loop);
}

int main(int argc, char **argv)
{
	struct centerd d = { 0 };
	struct error e = { 0 };

	if (!options_read(&d.options, argc, argv)) {
		usage(stderr);
		return 2;
	}
	if ((d.options.log_level != NULL && !log_set_level(d.options.log_level, &e)) ||
	    (d.options.log_file != NULL && !log_set_file(d.options.log_file, &e))) {
		fprintf(stderr, "remora-centerd: %s\n", e.msg);
		return 2;
	}
	umask(0077);
	uv_loop_init(&d.loop);
	bool ok = identity_begin(&d, &e) && users_begin(&d, &e) && center_begin(&d, &e) &&
		  server_begin(&d, &e) && control_begin(&d, &e);
	if (ok) {
		signals_begin(&d);
		uv_run(&d.loop, UV_RUN_DEFAULT);
		log_info("stopped");
	} else {
		log_error("%s", e.msg);
	}
	centerd_end(&d);
	return ok ? 0 : 1;
}

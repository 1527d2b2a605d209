/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remora-hostd: the agent of one node. Reads who the node is, builds its host, serves it over
 * HTTPS, and answers `remora` on a control socket. Running VMs are other processes: they stay when
 * this one ends, however it ends, and are taken over at the next start.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/control.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/random.h"
#include "host/driver_qemu.h"
#include "host/driver_sim.h"
#include "host/folder_route.h"
#include "host/host.h"
#include "host/vm.h"
#include "vim/account.h"
#include "vim/api.h"
#include "vim/certificate.h"
#include "vim/license.h"
#include "vim/server.h"
#include "vim/session_event.h"

LOG_MODULE("hostd");

#define VERSION "0.1.0"

enum {
	PORT_FIRST = 443,
	PORT_ELSE = 8443,
	PASSWORD_MAX = 1024,
	STOP_POLL_MS = 50,
	STOP_LIMIT_MS = 5000,
};

struct options {
	const char *state, *link, *listen, *password_file, *log_file, *log_level;
	bool simulate;
};

struct hostd {
	struct options options;
	uv_loop_t loop;
	struct node node;
	struct hardware hardware;
	struct accel accel;
	int lock;
	char *run;
	struct user_store *users;
	struct api *api;
	struct account_manager *accounts;
	struct license_manager *licenses;
	struct driver *driver;
	struct host *host;
	struct server *server;
	struct control *control;
	uv_signal_t signals[3];
	struct timer *stopping;
	int64_t stop_by_us;
};

/* ---- command line ---- */

static void usage(FILE *to)
{
	fputs("usage: remora-hostd --state DIR [--listen ADDRESS[:PORT]] [--link DIR]\n"
	      "                    [--password-file FILE] [--log-level SPEC] [--log-file FILE]\n"
	      "                    [--simulate] [--version] [--help]\n",
	      to);
}

static bool options_read(struct options *o, int argc, char **argv)
{
	static const struct option known[] = {
		{ "state", required_argument, NULL, 's' },
		{ "link", required_argument, NULL, 'l' },
		{ "listen", required_argument, NULL, 'a' },
		{ "password-file", required_argument, NULL, 'p' },
		{ "log-level", required_argument, NULL, 'v' },
		{ "log-file", required_argument, NULL, 'f' },
		{ "simulate", no_argument, NULL, 'S' },
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
			o->link = optarg;
			break;
		case 'a':
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
		case 'S':
			o->simulate = true;
			break;
		case 'V':
			puts("remora-hostd " VERSION);
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

/* "127.0.0.1:8443", "127.0.0.1", "[::1]:0" */
static bool listen_read(struct node *n, const char *text, struct error *e)
{
	const char *colon = strrchr(text, ':');
	const char *end = text[0] == '[' ? strchr(text, ']') : NULL;
	size_t len;
	uint64_t port;

	if (text[0] == '[' && end == NULL) {
		return error_set(e, ERROR_INVALID, "\"%s\": the bracket is not closed", text);
	}
	if (end != NULL) {
		text++;
		len = (size_t)(end - text);
		colon = end[1] == ':' ? end + 1 : NULL;
	} else {
		len = colon == NULL ? strlen(text) : (size_t)(colon - text);
	}
	if (len == 0 || len >= sizeof(n->address)) {
		return error_set(e, ERROR_INVALID, "\"%s\" names no address to listen on", text);
	}
	if (colon != NULL) {
		if (!number_u64(colon + 1, &port) || port > UINT16_MAX) {
			return error_set(e, ERROR_INVALID, "\"%s\" is no port", colon + 1);
		}
		n->port = (uint16_t)port;
	}
	memcpy(n->address, text, len);
	n->address[len] = '\0';
	return true;
}

/* ---- the node ---- */

/* One agent a state folder: two would fight over its VMs. */
static bool state_lock(struct hostd *d, struct error *e)
{
	char *path = mem_printf("%s/lock", d->options.state);

	d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bool ok = d->lock >= 0 || error_set_sys(e, errno, "\"%s\"", path);
	if (ok && flock(d->lock, LOCK_EX | LOCK_NB) != 0) {
		ok = error_set(e, ERROR_BUSY, "another remora-hostd works on \"%s\"",
			       d->options.state);
	}
	free(path);
	return ok;
}

static bool node_begin(struct hostd *d, struct error *e)
{
	const struct options *o = &d->options;

	d->run = mem_printf("%s/run", o->state);
	if (!file_make_dirs(o->state, 0700, e) || !file_make_dirs(d->run, 0700, e) ||
	    !state_lock(d, e) || !node_load_or_make(o->state, "", &d->node, e)) {
		return false;
	}
	if (d->node.role == NODE_MANAGER) {
		return error_set(e, ERROR_INVALID, "node \"%s\" is a manager: it has no VMs",
				 d->node.name);
	}
	if (o->listen != NULL && !listen_read(&d->node, o->listen, e)) {
		return error_prefix(e, "--listen: ");
	}
	hardware_read(&d->hardware, "");
	if (o->simulate) {
		d->accel.kind = MACHINE_TCG;
		snprintf(d->accel.why, sizeof(d->accel.why),
			 "VMs only pretend to run: started with --simulate.");
		d->driver = driver_sim_new(&d->loop, clock_real(), 0);
	} else {
		accel_probe("", &d->accel);
		d->driver = driver_qemu_new(&d->loop, &(struct driver_qemu_options){ 0 });
	}
	log_info("node \"%s\" (%s): %u CPU(s), %llu MiB. %s", d->node.name,
		 node_role_name(d->node.role), d->node.cpus, (unsigned long long)d->node.memory_mib,
		 d->accel.why);
	return true;
}

/* ---- users ---- */

static bool password_read(const char *path, struct buf *out, struct error *e)
{
	if (!file_read(path, PASSWORD_MAX, out, e)) {
		return false;
	}
	while (out->len > 0 && strchr("\r\n", out->data[out->len - 1]) != NULL) {
		out->data[--out->len] = '\0';
	}
	return out->len > 0 || error_set(e, ERROR_INVALID, "\"%s\" is empty", path);
}

/* Nobody told a password: one is made up and left for the administrator to read. */
static bool password_make(struct hostd *d, struct buf *out, struct error *e)
{
	char *path = mem_printf("%s/initial-password", d->options.state);
	char text[2 * 9 + 1];

	random_hex(text, 9);
	buf_adds(out, text);
	bool ok = file_write_atomic(path, text, strlen(text), 0600, e);
	if (ok) {
		log_info("the first password of \"root\" is in \"%s\"", path);
	}
	free(path);
	return ok;
}

static bool users_begin(struct hostd *d, struct error *e)
{
	char *path = mem_printf("%s/users.json", d->options.state);
	struct buf password = BUF_INIT;

	d->users = user_store_open(path, e);
	free(path);
	if (d->users == NULL) {
		return false;
	}
	if (user_count(d->users) > 0) {
		return true;
	}
	bool ok = d->options.password_file != NULL
			  ? password_read(d->options.password_file, &password, e)
			  : password_make(d, &password, e);
	ok = ok && user_set(d->users, "root", password.data, "Administrator", e);
	if (password.data != NULL) {
		explicit_bzero(password.data, password.len);
	}
	buf_free(&password);
	return ok;
}

/* ---- the API ---- */

static bool api_begin(struct hostd *d, struct error *e)
{
	char *permissions = mem_printf("%s/permissions.json", d->options.state);
	char *licenses = mem_printf("%s/licenses.json", d->options.state);
	struct api_config config = {
		.kind = API_HOST,
		.loop = &d->loop,
		.clock = clock_real(),
		.instance_uuid = d->node.uuid,
		.users = d->users,
		.permissions_path = permissions,
	};
	struct license_config license = {
		.id = "ha-license-manager",
		.edition = "esxBasic",
		.path = licenses,
	};

	d->api = api_new(&config, e);
	if (d->api != NULL) {
		d->accounts = account_manager_new(d->api->service, d->users, "ha-localacctmgr");
		session_post_events(d->api->sessions, d->api->events);
		api_content_set(d->api, F_ServiceContent_accountManager,
				account_manager_object(d->accounts));
		d->licenses = license_manager_new(d->api->service, &license, e);
	}
	free(permissions);
	free(licenses);
	if (d->api == NULL || d->licenses == NULL) {
		return false;
	}
	api_content_set(d->api, F_ServiceContent_licenseManager,
			inventory_find(d->api->inventory, "ha-license-manager"));
	return true;
}

static bool host_begin(struct hostd *d, struct error *e)
{
	struct host_config config = {
		.loop = &d->loop,
		.clock = clock_real(),
		.api = { .service = d->api->service,
			 .inventory = d->api->inventory,
			 .sessions = d->api->sessions,
			 .tasks = d->api->tasks,
			 .events = d->api->events },
		.node = &d->node,
		.hardware = &d->hardware,
		.accel = d->accel,
		.driver = d->driver,
		.state = d->options.state,
		.run = d->run,
		.link = d->options.link,
	};

	d->host = host_new(&config, e);
	if (d->host == NULL) {
		return false;
	}
	vm_layer_attach(d->host);
	return host_start(d->host, e);
}

static bool server_listen(struct hostd *d, struct server_config *config, struct error *e)
{
	if (d->node.port != PORT_FIRST) {
		config->port = d->node.port;
		d->server = server_new(config, e);
		return d->server != NULL;
	}
	config->port = PORT_FIRST;
	d->server = server_new(config, e);
	if (d->server == NULL) {
		config->port = PORT_ELSE;
		d->server = server_new(config, e);
	}
	return d->server != NULL;
}

static bool server_begin(struct hostd *d, struct error *e)
{
	char *cert = mem_printf("%s/cert.pem", d->options.state);
	char *key = mem_printf("%s/key.pem", d->options.state);
	struct certificate_config certificate = {
		.cert_path = cert,
		.key_path = key,
		.name = d->node.name,
		.address = d->node.address,
	};
	struct server_config config = {
		.loop = &d->loop,
		.address = d->node.address,
		.cert_path = cert,
		.key_path = key,
		.service = d->api->service,
		.sessions = d->api->sessions,
	};
	struct certificate_thumbprints prints;
	bool ok = certificate_ensure(&certificate, e) && server_listen(d, &config, e);

	if (ok) {
		folder_route_add(d->server, d->host);
		d->node.port = server_port(d->server);
		host_set_endpoint(d->host, d->node.port, cert);
		log_info("serving https://%s:%u/sdk", d->node.address, d->node.port);
		if (certificate_thumbprints(cert, &prints, NULL)) {
			log_info("thumbprint SHA-1 %s", prints.sha1);
			log_info("thumbprint SHA-256 %s", prints.sha256);
		}
	}
	free(cert);
	free(key);
	return ok;
}

/* ---- control socket ---- */

static void control_status(void *arg, struct rpc_call *call)
{
	struct hostd *d = arg;
	struct json_object *o = json_object_new_object();

	json_put_str(o, "node", d->node.name);
	json_put_str(o, "uuid", d->node.uuid);
	json_put_str(o, "role", node_role_name(d->node.role));
	json_put_str(o, "address", d->node.address);
	json_put_u64(o, "port", d->node.port);
	json_put_str(o, "driver", driver_name(d->driver));
	json_put_str(o, "accel", machine_accel_name(d->accel.kind));
	json_put_str(o, "accel_why", d->accel.why);
	json_put_bool(o, "maintenance", d->host->in_maintenance);
	json_put_u64(o, "vms", d->host->n_vms);
	json_put_u64(o, "vms_running", host_n_running(d->host));
	rpc_call_reply(call, o);
}

static bool control_begin(struct hostd *d, struct error *e)
{
	static const struct control_command status = {
		.name = "status",
		.params = "",
		.help = "Who this node is and what it does",
		.fn = control_status,
	};
	char *path = mem_printf("%s/control.sock", d->options.state);
	struct control_options options = { .path = path, .program = "hostd", .version = VERSION };

	d->control = control_new(&d->loop, &options, e);
	free(path);
	if (d->control == NULL) {
		return false;
	}
	control_register(d->control, &status, d);
	return true;
}

/* ---- stopping ---- */

static void signals_close(struct hostd *d)
{
	for (size_t i = 0; i < ARRAY_LEN(d->signals); i++) {
		if (d->signals[i].loop != NULL && !uv_is_closing((uv_handle_t *)&d->signals[i])) {
			uv_close((uv_handle_t *)&d->signals[i], NULL);
		}
	}
}

/* New requests stop at once; copies under way get a moment to end, then are broken off (what they
 * left is cleaned at the next start). */
static void stop_look(void *arg)
{
	struct hostd *d = arg;

	if (host_is_busy(d->host) && clock_mono_us(clock_real()) < d->stop_by_us) {
		return;
	}
	timer_stop(d->stopping);
	uv_stop(&d->loop);
}

static void stop_begin(uv_signal_t *s, int number)
{
	struct hostd *d = s->data;

	if (d->stopping != NULL) {
		uv_stop(&d->loop);
		return;
	}
	log_info("signal %d: stopping; %zu VM(s) run on", number, host_n_running(d->host));
	server_free(d->server);
	d->server = NULL;
	d->stop_by_us = clock_mono_us(clock_real()) + STOP_LIMIT_MS * INT64_C(1000);
	d->stopping = timer_new(&d->loop, clock_real(), stop_look, d);
	timer_start(d->stopping, 0, STOP_POLL_MS);
}

static void log_reopen(uv_signal_t *s, int number)
{
	struct hostd *d = s->data;
	struct error e;

	(void)number;
	if (d->options.log_file != NULL && !log_set_file(d->options.log_file, &e)) {
		log_error("%s", e.msg);
	}
}

static void signals_begin(struct hostd *d)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], numbers[i] == SIGHUP ? log_reopen : stop_begin,
				numbers[i]);
	}
}

static void hostd_end(struct hostd *d)
{
	server_free(d->server);
	control_free(d->control);
	host_free(d->host);
	driver_free(d->driver);
	account_manager_free(d->accounts);
	license_manager_free(d->licenses);
	if (d->api != NULL) {
		api_free(d->api);
	}
	user_store_free(d->users);
	signals_close(d);
	timer_free(d->stopping);
	uv_run(&d->loop, UV_RUN_NOWAIT);
	uv_run(&d->loop, UV_RUN_NOWAIT);
	uv_loop_close(&d->loop);
	hardware_fini(&d->hardware);
	if (d->lock >= 0) {
		close(d->lock);
	}
	free(d->run);
}

int main(int argc, char **argv)
{
	struct hostd d = { .lock = -1 };
	struct error e = { 0 };

	if (!options_read(&d.options, argc, argv)) {
		usage(stderr);
		return 2;
	}
	if ((d.options.log_level != NULL && !log_set_level(d.options.log_level, &e)) ||
	    (d.options.log_file != NULL && !log_set_file(d.options.log_file, &e))) {
		fprintf(stderr, "remora-hostd: %s\n", e.msg);
		return 2;
	}
	umask(0077);
	uv_loop_init(&d.loop);
	bool ok = node_begin(&d, &e) && users_begin(&d, &e) && api_begin(&d, &e) &&
		  host_begin(&d, &e) && server_begin(&d, &e) && control_begin(&d, &e);
	if (ok) {
		signals_begin(&d);
		uv_run(&d.loop, UV_RUN_DEFAULT);
		log_info("stopped");
	} else {
		log_error("%s", e.msg);
	}
	hostd_end(&d);
	return ok ? 0 : 1;
}

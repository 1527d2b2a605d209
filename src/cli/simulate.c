/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remora simulate: the code of the agent and of the manager in one process, on the driver that only
 * pretends to run machines. Nothing is kept; what had to be in files goes when it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mainloop.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/simulate_announce.h"
#include "cli/simulate_center.h"
#include "cli/simulate_host.h"
#include "cli/simulate_options.h"
#include "host/folder_route.h"
#include "vim/certificate.h"
#include "vim/server.h"

LOG_MODULE("simulate");

enum {
	PORT_DEFAULT = 8989
};

struct simulate {
	struct simulate_options options;
	struct mainloop mainloop;
	char address[64]; /* numeric */
	uint16_t port;
	struct simulate_ground ground;
	struct simulate_host *esx; /* either */
	struct simulate_center *center;
	struct server *server;
	struct announce *announce;
};

/* ---- where to listen ---- */

static bool listen_read(struct simulate *s, struct error *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	char name[256];

	s->port = PORT_DEFAULT;
	if (!address_split(s->options.listen, name, sizeof(name), &s->port, e)) {
		return false;
	}
	/* An address left out stands for all, as where this form comes from. */
	int rc = getaddrinfo(name[0] == '\0' ? "0.0.0.0" : name, NULL, &hints, &found);
	if (rc == 0) {
		rc = getnameinfo(found->ai_addr, found->ai_addrlen, s->address, sizeof(s->address),
				 NULL, 0, NI_NUMERICHOST);
		freeaddrinfo(found);
	}
	return rc == 0 || error_set(e, ERROR_INVALID, "\"%s\": %s", name, gai_strerror(rc));
}

/* ---- what is simulated ---- */

static bool esx_begin(struct simulate *s, struct error *e)
{
	struct simulate_host_config config = {
		.name = "localhost.localdomain",
		.uuid = "e88d4d56-9f1e-3ea1-71fa-13a8e1a7fd70",
		.address = s->address,
		.admin = s->options.username,
	};

	s->esx = simulate_host_new(&s->ground, &config, e);
	return s->esx != NULL && host_start(s->esx->host, e) &&
	       simulate_host_add_vms(s->esx,
				     &(struct simulate_vms){ .prefix = "ha-host_VM",
							     .n = s->options.vm,
							     .on = s->options.autostart },
				     e);
}

static bool model_begin(struct simulate *s, struct error *e)
{
	if (s->options.esx) {
		return esx_begin(s, e);
	}
	s->center = simulate_center_new(&s->ground, &s->options, s->address, e);
	return s->center != NULL;
}

static struct api *api_of(const struct simulate *s)
{
	return s->esx != NULL ? s->esx->api : simulate_center_api(s->center);
}

static bool is_busy(void *arg)
{
	const struct simulate *s = arg;

	return s->esx != NULL ? host_is_busy(s->esx->host) : simulate_center_is_busy(s->center);
}

/* ---- serving ---- */

static void folder_remove(const char *folder)
{
	struct error e;

	if (!file_remove_tree_at(AT_FDCWD, folder, &e)) {
		log_warn("%s", e.msg);
	}
}

static bool listen_begin(struct simulate *s, const char *folder, struct error *e)
{
	bool given = s->options.tls_cert != NULL;
	char *cert = given ? mem_strdup(s->options.tls_cert) : mem_printf("%s/cert.pem", folder);
	char *key = given ? mem_strdup(s->options.tls_key) : mem_printf("%s/key.pem", folder);
	struct certificate_config certificate = {
		.cert_path = cert,
		.key_path = key,
		.name = "localhost",
		.address = s->address,
	};
	struct server_config config = {
		.loop = &s->mainloop.loop,
		.address = s->address,
		.port = s->port,
		.cert_path = cert,
		.key_path = key,
		.plain_http = !s->options.tls,
		.service = api_of(s)->service,
		.sessions = api_of(s)->sessions,
	};

	if (!s->options.tls || given || certificate_ensure(&certificate, e)) {
		s->server = server_new(&config, e);
	}
	if (s->server != NULL) {
		s->port = server_port(s->server);
	}
	if (s->server != NULL && s->esx != NULL) {
		folder_route_add(s->server, s->esx->host);
		host_set_endpoint(s->esx->host, s->port, cert);
	} else if (s->server != NULL) {
		simulate_center_serve(s->center, s->server);
	}
	free(cert);
	free(key);
	return s->server != NULL;
}

/* Certificate and key are in files only until the server has read them. */
static bool server_begin(struct simulate *s, struct error *e)
{
	const char *base = getenv("TMPDIR");
	char *folder = mem_printf("%s/remora-simulate-XXXXXX", base == NULL ? "/tmp" : base);
	bool ok = mkdtemp(folder) != NULL || error_set_sys(e, errno, "\"%s\"", folder);

	if (ok) {
		ok = listen_begin(s, folder, e);
		folder_remove(folder);
	}
	free(folder);
	return ok;
}

static bool announce_begin(struct simulate *s, struct error *e)
{
	bool any = address_is_any(s->address);
	struct announce_config config = {
		.loop = &s->mainloop.loop,
		.path = s->options.env,
		.scheme = s->options.tls ? "https" : "http",
		.username = s->options.username,
		.password = s->options.password,
		.address = any ? "127.0.0.1" : s->address,
		.port = s->port,
	};

	s->announce = announce_new(&config, e);
	return s->announce != NULL;
}

/* ---- stopping ---- */

static void on_stop(void *arg, int signal)
{
	struct simulate *s = arg;

	(void)signal;
	server_free(s->server);
	s->server = NULL;
}

static void simulate_end(struct simulate *s)
{
	announce_free(s->announce);
	server_free(s->server);
	simulate_host_free(s->esx);
	simulate_center_free(s->center);
	simulate_ground_fini(&s->ground);
	mainloop_fini(&s->mainloop);
}

int command_simulate(int argc, char **argv)
{
	static const struct mainloop_hooks hooks = { .stop = on_stop, .is_busy = is_busy };
	struct simulate s = { 0 };
	struct error e = { 0 };

	if (!simulate_options_parse(argc, argv, &s.options, &e) ||
	    !log_set_level(s.options.log_level, &e) || !listen_read(&s, &e)) {
		fprintf(stderr, "remora simulate: %s\n", e.msg);
		return 2;
	}
	if (s.options.help) {
		simulate_options_help();
		return 0;
	}
	mainloop_init(&s.mainloop, &hooks, &s);
	mainloop_catch_signals(&s.mainloop);
	s.ground.loop = &s.mainloop.loop;
	bool ok = simulate_ground_init(&s.ground, &s.options, &e) && model_begin(&s, &e) &&
		  server_begin(&s, &e) && announce_begin(&s, &e);
	if (ok) {
		mainloop_run(&s.mainloop);
	} else {
		fprintf(stderr, "remora simulate: %s\n", e.msg);
	}
	simulate_end(&s);
	return ok ? 0 : 1;
}

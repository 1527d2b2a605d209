/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remora-centerd: the manager. Builds its inventory from the database, serves it over HTTPS,
 * follows its hosts, and answers `remora` on a control socket. Nothing but itself stops when it
 * stops.
 */
#include <stdlib.h>

#include "base/daemon.h"
#include "base/log.h"
#include "center/center.h"
#include "center/hosts.h"
#include "center/identity.h"
#include "center/policy_api.h"
#include "vim/first_user.h"
#include "vim/front.h"

LOG_MODULE("centerd");

#define ADMIN "administrator@vsphere.local"

struct centerd {
	struct daemon daemon;
	struct identity identity;
	struct user_store *users;
	struct api *api;
	struct center *center;
	struct policy_api *policy;
	struct server *server;
};

static bool identity_begin(struct centerd *d, struct error *e)
{
	const struct daemon_options *o = &d->daemon.options;

	return identity_load_or_make(o->state, &d->identity, e) &&
	       (o->listen == NULL || identity_set_listen(&d->identity, o->listen, e) ||
		error_prefix(e, "--listen: "));
}

static bool users_begin(struct centerd *d, struct error *e)
{
	char *users = daemon_path(&d->daemon, "users.json");
	char *made = daemon_path(&d->daemon, "initial-password");
	struct first_user first = { .name = ADMIN,
				    .users_path = users,
				    .password_file = d->daemon.options.password_file,
				    .made_path = made };

	d->users = first_user_open(&first, e);
	free(users);
	free(made);
	return d->users != NULL;
}

static bool center_begin(struct centerd *d, struct error *e)
{
	char *permissions = daemon_path(&d->daemon, "permissions.json");

	d->api = api_new(&(struct api_config){ .kind = API_CENTER,
					       .loop = &d->daemon.mainloop.loop,
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
	d->center = center_new(&(struct center_config){ .loop = &d->daemon.mainloop.loop,
							.clock = clock_real(),
							.api = d->api,
							.state = d->daemon.options.state },
			       e);
	d->policy = d->center == NULL ? NULL : policy_api_new(d->center, e);
	return d->policy != NULL && center_start(d->center, e);
}

static bool server_begin(struct centerd *d, struct error *e)
{
	char *cert = daemon_path(&d->daemon, "cert.pem");
	char *key = daemon_path(&d->daemon, "key.pem");
	struct front_config config = {
		.loop = &d->daemon.mainloop.loop,
		.cert_path = cert,
		.key_path = key,
		.name = d->identity.name,
		.address = d->identity.address,
		.port = d->identity.port,
		.service = d->api->service,
		.sessions = d->api->sessions,
	};

	d->server = front_open(&config, e);
	if (d->server != NULL) {
		hosts_serve(d->center->hosts, d->server);
		policy_api_serve(d->policy, d->server);
		d->identity.port = server_port(d->server);
	}
	free(cert);
	free(key);
	return d->server != NULL;
}

/* ---- hooks ---- */

static bool centerd_begin(void *arg, struct error *e)
{
	struct centerd *d = arg;

	return identity_begin(d, e) && users_begin(d, e) && center_begin(d, e) &&
	       server_begin(d, e);
}

static void centerd_status(void *arg, struct json_object *o)
{
	struct centerd *d = arg;

	json_put_str(o, "node", d->identity.name);
	json_put_str(o, "uuid", d->identity.uuid);
	json_put_str(o, "role", "manager");
	json_put_str(o, "address", d->identity.address);
	json_put_u64(o, "port", d->identity.port);
	json_put_u64(o, "objects", inventory_count(d->api->inventory));
	json_put_u64(o, "sessions", session_count(d->api->sessions));
}

static void centerd_stop(void *arg, int signal)
{
	(void)arg;
	log_info("signal %d: stopping", signal);
}

static void centerd_end(void *arg)
{
	struct centerd *d = arg;

	server_free(d->server);
	policy_api_free(d->policy);
	center_free(d->center);
	api_free(d->api);
	user_store_free(d->users);
}

int main(int argc, char **argv)
{
	static const struct daemon_program program = {
		.name = "centerd",
		.version = REMORA_VERSION,
		.usage = "usage: remora-centerd --state DIR [--listen ADDRESS[:PORT]] "
			 "[--password-file FILE]\n"
			 "                      [--log-level SPEC] [--log-file FILE] [--version] "
			 "[--help]\n",
		.status_help = "Who this manager is and how much it manages",
		.begin = centerd_begin,
		.status = centerd_status,
		.stop = centerd_stop,
		.end = centerd_end,
	};
	struct centerd d = { 0 };

	return daemon_main(&d.daemon, &program, &d, argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remora-hostd: the agent of one node. Reads who the node is, builds its host, serves it over
 * HTTPS, and answers `remora` on a control socket. Running VMs are other processes: they stay when
 * this one ends, however it ends, and are taken over at the next start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/daemon.h"
#include "base/file.h"
#include "base/log.h"
#include "host/console_route.h"
#include "host/driver_qemu.h"
#include "host/driver_sim.h"
#include "host/folder_route.h"
#include "host/host.h"
#include "host/placement.h"
#include "host/policy_route.h"
#include "host/switch_link.h"
#include "host/transit.h"
#include "host/transit_route.h"
#include "host/uid_lease.h"
#include "host/vm.h"
#include "vim/account.h"
#include "vim/api.h"
#include "vim/authorization.h"
#include "vim/first_user.h"
#include "vim/front.h"
#include "vim/license.h"
#include "vim/session_event.h"

LOG_MODULE("hostd");

struct hostd {
	struct daemon daemon;
	const char *link, *vm_uids, *switchd, *plane_cpus;
	bool simulate, no_switch;
	struct node node;
	struct hardware hardware;
	struct accel accel;
	cpu_set_t cpus; /* that we might use when we began */
	struct cores_config cores;
	char *run;
	char *switch_program;
	struct user_store *users;
	struct api *api;
	struct account_manager *accounts;
	struct license_manager *licenses;
	struct driver *driver;
	struct host *host;
	struct server *server;
	struct consoles *consoles;
};

/* ---- the node ---- */

static bool listen_take(struct node *n, const char *text, struct error *e)
{
	char address[sizeof(n->address)];
	uint16_t port = n->port;

	if (!address_split(text, address, sizeof(address), &port, e)) {
		return error_prefix(e, "--listen: ");
	}
	if (address[0] == '\0') {
		return error_set(e, ERROR_INVALID, "--listen: \"%.100s\" has no address", text);
	}
	memcpy(n->address, address, sizeof(address));
	n->port = port;
	return true;
}

static bool driver_begin(struct hostd *d, struct error *e)
{
	struct driver_qemu_options q = { .run = d->run };
	uv_loop_t *loop = &d->daemon.mainloop.loop;

	if (d->simulate) {
		d->accel.kind = MACHINE_TCG;
		snprintf(d->accel.why, sizeof(d->accel.why),
			 "VMs only pretend to run: started with --simulate.");
		d->driver = driver_sim_new(loop, clock_real(), 0);
		return true;
	}
	if (d->vm_uids != NULL && !uid_range_parse(d->vm_uids, &q.uids, e)) {
		return error_prefix(e, "--vm-uids: ");
	}
	accel_probe("", &d->accel);
	d->driver = driver_qemu_new(loop, &q);
	return true;
}

/* Before anything has been started. */
static bool cores_begin(struct hostd *d, struct error *e)
{
	if (d->plane_cpus != NULL && !cores_wanted_check(d->plane_cpus, e)) {
		return error_prefix(e, "--plane-cpus: ");
	}
	cores_own(&d->cpus, "");
	d->cores = (struct cores_config){
		.root = "",
		.own = &d->cpus,
		.is_share = d->node.cpus < d->hardware.cpu.n_threads,
		.wanted = d->plane_cpus != NULL		  ? d->plane_cpus
			  : d->node.plane_cpus[0] != '\0' ? d->node.plane_cpus
							  : NULL,
	};
	return true;
}

static bool node_begin(struct hostd *d, struct error *e)
{
	const struct daemon_options *o = &d->daemon.options;

	d->run = daemon_path(&d->daemon, "run");
	if (!file_make_dirs(d->run, 0700, e) || !node_load_or_make(o->state, "", &d->node, e)) {
		return false;
	}
	if (d->node.role == NODE_MANAGER) {
		return error_set(e, ERROR_INVALID, "node \"%s\" is a manager: it has no VMs",
				 d->node.name);
	}
	if (o->listen != NULL && !listen_take(&d->node, o->listen, e)) {
		return false;
	}
	hardware_read(&d->hardware, "");
	if (!cores_begin(d, e) || !driver_begin(d, e)) {
		return false;
	}
	log_info("node \"%s\" (%s): %u CPU(s), %llu MiB. %s", d->node.name,
		 node_role_name(d->node.role), d->node.cpus, (unsigned long long)d->node.memory_mib,
		 d->accel.why);
	return true;
}

static bool users_begin(struct hostd *d, struct error *e)
{
	char *users = daemon_path(&d->daemon, "users.json");
	char *made = daemon_path(&d->daemon, "initial-password");
	struct first_user first = { .name = "root",
				    .users_path = users,
				    .password_file = d->daemon.options.password_file,
				    .made_path = made };

	d->users = first_user_open(&first, e);
	free(users);
	free(made);
	return d->users != NULL;
}

/* ---- the API ---- */

static bool api_begin(struct hostd *d, struct error *e)
{
	char *permissions = daemon_path(&d->daemon, "permissions.json");
	char *licenses = daemon_path(&d->daemon, "licenses.json");
	struct api_config config = {
		.kind = API_HOST,
		.loop = &d->daemon.mainloop.loop,
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

/* What --switchd says, else the one beside this program; NULL: none is started. */
static const char *switch_program(struct hostd *d)
{
	if (d->switchd != NULL || d->no_switch || d->simulate) {
		return d->switchd;
	}
	d->switch_program = switch_link_program();
	return d->switch_program;
}

/* One that somebody else runs has its state folder where ours would. */
static bool has_switch(const struct hostd *d, const char *switchd)
{
	char *state = daemon_path(&d->daemon, "switchd");
	bool has = !d->no_switch && !d->simulate && (switchd != NULL || access(state, F_OK) == 0);

	if (!has && !d->no_switch && !d->simulate) {
		log_warn("there is no remora-switchd beside this program: network cards lead "
			 "nowhere");
	}
	free(state);
	return has;
}

static bool host_begin(struct hostd *d, struct error *e)
{
	struct host_config config = {
		.loop = &d->daemon.mainloop.loop,
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
		.state = d->daemon.options.state,
		.run = d->run,
		.link = d->link,
		.cores = d->simulate ? NULL : &d->cores,
		.sensors = "",
		.switch_program = switch_program(d),
	};
	config.has_switch = has_switch(d, config.switch_program);

	d->host = host_new(&config, e);
	if (d->host == NULL) {
		return false;
	}
	vm_layer_attach(d->host);
	if (!host_start(d->host, e)) {
		return false;
	}
	authorization_prune(session_authorization(d->api->sessions));
	return true;
}

static bool server_begin(struct hostd *d, struct error *e)
{
	char *cert = daemon_path(&d->daemon, "cert.pem");
	char *key = daemon_path(&d->daemon, "key.pem");
	struct front_config config = {
		.loop = &d->daemon.mainloop.loop,
		.cert_path = cert,
		.key_path = key,
		.name = d->node.name,
		.address = d->node.address,
		.port = d->node.port,
		.service = d->api->service,
		.sessions = d->api->sessions,
	};

	d->server = front_open(&config, e);
	if (d->server != NULL) {
		folder_route_add(d->server, d->host);
		policy_route_add(d->server, d->host);
		transit_route_add(d->server, d->host, cert);
		d->consoles = console_route_add(d->server, d->host);
		d->node.port = server_port(d->server);
		host_set_endpoint(d->host, d->node.port, cert);
	}
	free(cert);
	free(key);
	return d->server != NULL;
}

/* ---- hooks ---- */

static bool hostd_begin(void *arg, struct error *e)
{
	struct hostd *d = arg;

	return node_begin(d, e) && users_begin(d, e) && api_begin(d, e) && host_begin(d, e) &&
	       server_begin(d, e);
}

static void put_machine(void *arg, const char *name, const struct machine *m)
{
	struct json_object *o;
	struct machine_usage u;
	const char *confinement = machine_confinement(m);
	char cpus[256];
	int nice;

	if (confinement == NULL || !machine_usage(m, &u, NULL)) {
		return;
	}
	o = json_object_new_object();
	json_put_str(o, "name", name);
	json_put_i64(o, "pid", u.pid);
	json_put_str(o, "confinement", confinement);
	if (u.pid > 0 && u.pid <= INT32_MAX &&
	    placement_read((pid_t)u.pid, cpus, sizeof(cpus), &nice)) {
		json_put_str(o, "cpus", cpus);
		json_put_i64(o, "nice", nice);
	}
	json_object_array_add(arg, o);
}

static void hostd_status(void *arg, struct json_object *o)
{
	struct hostd *d = arg;
	struct json_object *machines = json_object_new_array();

	json_put_str(o, "node", d->node.name);
	json_put_str(o, "uuid", d->node.uuid);
	json_put_str(o, "role", node_role_name(d->node.role));
	json_put_str(o, "address", d->node.address);
	json_put_u64(o, "port", d->node.port);
	json_put_str(o, "driver", driver_name(d->driver));
	json_put_str(o, "accel", machine_accel_name(d->accel.kind));
	json_put_str(o, "accel_why", d->accel.why);
	json_put_str(o, "confinement", driver_confinement(d->driver));
	json_put(o, "cores", host_cores_status(d->host));
	json_put_bool(o, "maintenance", d->host->in_maintenance);
	json_put_u64(o, "vms", d->host->n_vms);
	json_put_u64(o, "vms_running", host_n_running(d->host));
	vm_each_machine(d->host, put_machine, machines);
	json_put(o, "machines", machines);
}

/* New requests stop at once; what copies that are broken off left is cleaned at the next start. */
static void hostd_stop(void *arg, int signal)
{
	struct hostd *d = arg;

	log_info("signal %d: stopping; %zu VM(s) run on", signal, host_n_running(d->host));
	server_free(d->server);
	d->server = NULL;
	transits_stop(d->host);
}

static bool hostd_is_busy(void *arg)
{
	struct hostd *d = arg;

	return host_is_busy(d->host);
}

static void hostd_end(void *arg)
{
	struct hostd *d = arg;

	server_free(d->server);
	consoles_free(d->consoles);
	host_free(d->host);
	driver_free(d->driver);
	account_manager_free(d->accounts);
	license_manager_free(d->licenses);
	api_free(d->api);
	user_store_free(d->users);
	hardware_fini(&d->hardware);
	free(d->run);
	free(d->switch_program);
}

int main(int argc, char **argv)
{
	struct hostd d = { 0 };
	const struct daemon_program program = {
		.name = "hostd",
		.version = REMORA_VERSION,
		.usage = "usage: remora-hostd --state DIR [--listen ADDRESS[:PORT]] [--link DIR]\n"
			 "                    [--password-file FILE] [--log-level SPEC] "
			 "[--log-file FILE]\n"
			 "                    [--vm-uids FIRST-LAST] [--simulate] "
			 "[--switchd PROGRAM]\n"
			 "                    [--no-switch] [--plane-cpus auto|none|N|LIST] "
			 "[--version] [--help]\n",
		.status_help = "Who this node is and what it does",
		.options = { { .name = "link", .text = &d.link },
			     { .name = "vm-uids", .text = &d.vm_uids },
			     { .name = "simulate", .flag = &d.simulate },
			     { .name = "switchd", .text = &d.switchd },
			     { .name = "no-switch", .flag = &d.no_switch },
			     { .name = "plane-cpus", .text = &d.plane_cpus } },
		.begin = hostd_begin,
		.status = hostd_status,
		.stop = hostd_stop,
		.is_busy = hostd_is_busy,
		.end = hostd_end,
	};

	return daemon_main(&d.daemon, &program, &d, argc, argv);
}

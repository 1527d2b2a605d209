/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host: one node's inventory as ESXi shows it, and everything that stands in it.
 *
 * A struct host owns its datastores, networks and resource pools, the VMs registered on it
 * (host/vm.h) and their machines' driver. The API that serves it (inventory, service, sessions,
 * tasks, events) belongs to the program, may be one of many in a process, and outlives the host.
 * There are no globals: a process may hold thousands of hosts, each with an inventory of its own.
 *
 * Event-loop thread only; what blocks on files goes through host/job.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/timer.h"
#include "host/accel.h"
#include "host/budget.h"
#include "host/cores.h"
#include "host/datastore.h"
#include "host/driver.h"
#include "host/hardware.h"
#include "host/node.h"
#include "host/vm_config.h"
#include "vim/event.h"
#include "vim/inventory.h"
#include "vim/service.h"
#include "vim/session.h"
#include "vim/task.h"

struct host_network_system;
struct host_plane;
struct plane_cards;
struct host_pairing;
struct host_lending;
struct host_services;
struct host_stats;
struct host_maintenance;
struct host_cores;
struct host_sensors;
struct json_object;
struct host_transits;
struct simulated_storage;

/* What the host stands on; made before it and freed after it. */
struct host_api {
	struct service *service;
	struct inventory *inventory;
	struct session_manager *sessions;
	struct task_manager *tasks;
	struct event_manager *events;
};

struct host_config {
	uv_loop_t *loop;
	struct clock *clock;
	struct host_api api;
	const struct node *node;	 /* copied */
	const struct hardware *hardware; /* borrowed for the host's life; many hosts may share it */
	struct accel accel;
	struct driver *driver; /* borrowed for the host's life */
	bool simulated;	       /* files of VMs come to be only when somebody looks */
	const char *state;     /* folder of what the host keeps; simulated hosts: NULL, nothing is
				  kept */
	const char *run;       /* folder for sockets and locks of machines; NULL where simulated */
	const char *link;      /* folder that stands for the PCIe link to a card; NULL: none */
	bool has_switch;       /* VMs' network cards are wired to a switch */
	/* How processors are shared out between the planes and VMs; copied, its `own` and texts
	 * borrowed for the host's life. NULL: they are not. */
	const struct cores_config *cores;
	const char *sensors; /* root of the sensors' files, as of hardware_read(); NULL: none */
	const char *switch_program; /* remora-switchd; NULL: one that somebody else starts */
	/* Datastores of the first start; later ones come from the state. A simulated host makes
	 * their folders beneath `state` or, without one, in a temporary place when somebody looks.
	 */
	const char *const *datastores;
	size_t n_datastores; /* those of `datastores`; where that is NULL: "datastore1" */
	/* Of a simulated host: what it shares with others; borrowed for the host's life. NULL: its
	 * datastores are its own. */
	struct simulated_storage *storage;
};

/* A datastore of the host. */
struct host_datastore {
	struct list_node link; /* host.datastores */
	struct host *host;
	char *name;
	char *url;		/* as the API shows it */
	struct object *object;	/* Datastore */
	struct object *browser; /* HostDatastoreBrowser */
	struct datastore *ds;	/* NULL: missing, or simulated and never looked at, see
				 * host_datastore_open() */
	char *folder;		/* NULL: not yet */
	bool is_temporary;	/* its folder goes with the host */
	bool is_missing;	/* not there, perhaps not mounted yet; ds is NULL then */
	char uuid[37];
	struct datastore_space shown;
	unsigned n_users; /* jobs and transfers under way */
};

/* A network that VMs attach to: a port group of a standard switch, or an overlay segment. */
struct host_network {
	struct list_node link; /* host.networks */
	struct host *host;
	char *name;
	char *opaque_id;       /* of an overlay segment; NULL: a port group */
	struct object *object; /* Network "HaNetwork-NAME", OpaqueNetwork "HaOpaqueNetwork-ID" */
};

/* What the layer of VMs does for the host; set by vm_layer_attach() (host/vm.h) before
 * host_start(). Any function may be NULL. */
struct host_vm_ops {
	/* Registers the VMs that the state names and adopts those that run; `done` once. */
	bool (*load)(struct host *h, struct error *e);
	void (*unload)(struct host *h); /* lets go of all; machines run on */
	/* A simulated datastore is about to be looked at: write what its VMs' files are. */
	void (*materialise)(struct host *h, struct host_datastore *d);
	/* A datastore that was missing is there: so are its VMs. */
	void (*found)(struct host *h, struct host_datastore *d);
	/* The network cards of VMs that run or are about to (host/host_plane.h). */
	void (*cards)(struct host *h, struct arena *a, struct plane_cards *out);
	/* Networks have come or gone: what VMs are on is to be looked at again. */
	void (*networks_changed)(struct host *h);
	/* What is known of the wire of a card has changed; NULL: of all. */
	void (*wire_changed)(struct host *h, const char *port);
};

struct host {
	uv_loop_t *loop;
	struct clock *clock;
	struct host_api api;
	struct inventory *inventory; /* = api.inventory */
	struct node node;
	const struct hardware *hardware;
	struct accel accel;
	struct budget budget;
	struct driver *driver;
	char *state, *run;		   /* may be NULL */
	struct simulated_storage *storage; /* or NULL */
	bool simulated;
	bool has_switch;
	bool in_maintenance;
	bool is_entering_maintenance; /* waits for its VMs to end */
	int64_t boot_time_us;	      /* wall clock */

	struct object *root_folder;	 /* ha-folder-root */
	struct object *datacenter;	 /* ha-datacenter */
	struct object *vm_folder;	 /* ha-folder-vm */
	struct object *host_folder;	 /* ha-folder-host */
	struct object *datastore_folder; /* ha-folder-datastore */
	struct object *network_folder;	 /* ha-folder-network */
	struct object *compute;		 /* ha-compute-res */
	struct object *pool;		 /* ha-root-pool */
	struct object *system;		 /* ha-host */
	struct object *environment;	 /* ha-env-browser, of the compute resource and of VMs */

	struct list datastores; /* struct host_datastore */
	struct list networks;	/* struct host_network */
	struct list pools;	/* struct resource_pool, see resource_pool.h */

	size_t n_vms; /* in the inventory */
	const struct host_vm_ops *vm_ops;
	void *vm_layer; /* of vm.c */

	struct map claims; /* files that operations work on: see host_file_claim() */

	struct object *network_object;	 /* ha-network-system */
	struct object *datastore_system; /* ha-datastoresystem */
	struct host_network_system *network_system;
	struct host_plane *plane; /* NULL: no switch */
	struct host_services *services;
	struct host_pairing *pairing; /* NULL: no link to a card */
	struct host_lending *lending; /* NULL: this host is no card */
	struct host_stats *stats;
	struct host_sensors *sensors; /* NULL: nobody looks at the machine's sensors */
	struct object *health;	      /* HostHealthStatusSystem; NULL where simulated */
	struct host_cores *cores;     /* NULL: processors are not shared out */
	struct host_maintenance *maintenance;
	struct host_transits *transits; /* NULL: VMs do not move */
};

/* Builds the inventory; nothing runs yet. NULL with `e`. */
struct host *host_new(const struct host_config *c, struct error *e);

/* Loads the VMs, adopts what runs, begins to refresh figures. */
bool host_start(struct host *h, struct error *e);

/* What clients connect to: the port, and the certificate (PEM) whose thumbprint the host shows. */
void host_set_endpoint(struct host *h, uint16_t port, const char *cert_path);

/* Takes all objects out; running VMs run on. Jobs under way must have ended: host_is_busy(). */
void host_free(struct host *h);

/* How processors are shared out: {text, kind, planes, vms, vms_mhz, trouble?}; of a host that
 * shares none out only `text`. */
struct json_object *host_cores_status(const struct host *h);

/* Work on datastores is still under way. */
bool host_is_busy(const struct host *h);

/* ---- datastores ---- */

struct host_datastore *host_datastore_find(struct host *h, const char *name); /* or NULL */
struct host_datastore *host_datastore_by_ref(struct host *h, const struct value *ref);
struct host_datastore *host_datastore_by_object(struct host *h, const struct object *o);

/* By "[name] path": splits and finds. ERROR_NAME, ERROR_NOT_FOUND. */
struct host_datastore *host_datastore_of_path(struct host *h, const char *ds_path,
					      struct datastore_path *out, struct error *e);

/* The files themselves; for simulated datastores they come to be now. NULL with `e`. */
struct datastore *host_datastore_open(struct host_datastore *d, struct error *e);

/* Absolute path of "[name] path" for machines; free(). NULL with `e`. */
char *host_file_path(struct host *h, const char *ds_path, struct error *e);

/* Reads capacity and free space anew; to be called after what changed much. */
void host_datastore_refresh(struct host_datastore *d);

/* Keeps a datastore from being removed while something works on it. */
void host_datastore_hold(struct host_datastore *d);
void host_datastore_release(struct host_datastore *d);

/* The VM, powered on or suspended, whose files "[ds] path" is among or, for a folder, contains;
 * NULL when it is free. Disks count by descriptor and extent. */
struct object *host_file_user(struct host *h, const char *ds_path);

/* Keeps two operations off the same file or disk: ERROR_BUSY where another has it. */
bool host_file_claim(struct host *h, const char *ds_path, struct error *e);
void host_file_unclaim(struct host *h, const char *ds_path);

/* ---- networks ---- */

/* A port group of that name, or NULL. */
struct host_network *host_network_find(struct host *h, const char *name);
struct host_network *host_network_find_opaque(struct host *h, const char *id); /* or NULL */
struct host_network *host_network_by_ref(struct host *h, const struct value *ref);

/* ---- VMs in the inventory ---- */

/* Puts the objects of VMs (type VirtualMachine) into the VM folder, the host, the compute resource
 * and their pool (NULL: the root pool). Many at once cost no more than one. */
void host_vms_enter(struct host *h, struct object *const *vms, size_t n, struct object *pool);

/* Takes a VM out of all lists (datastores and networks included); before inventory_remove(). */
void host_vm_leave(struct host *h, struct object *vm);

/* Moves it to another pool. */
void host_vm_set_pool(struct host *h, struct object *vm, struct object *pool);

/* Makes Datastore.vm and Network.vm say which VMs use them, from the VM's properties `datastore`
 * and `network`; to be called after those changed, old values given (NULL: none). Sets the VM's
 * properties, too. */
void host_vm_set_datastores(struct host *h, struct object *vm, struct object *const *ds, size_t n);
void host_vm_set_networks(struct host *h, struct object *vm, struct object *const *nets, size_t n);

/* What VM configurations are checked against (vm_config.h); valid as long as the host. */
struct vm_env host_vm_env(struct host *h, enum vm_strictness strictness);

/* Number of VMs that are powered on. */
size_t host_n_running(struct host *h);

/* ERROR_STATE with a reason while VMs may not be created or powered on here (maintenance mode). */
bool host_accepts_vms(const struct host *h, struct error *e);

/* ---- words for clients ---- */

/* Sets the name, parent and the other properties that every ManagedEntity has. */
void host_entity_init(struct object *o, const char *name, const struct object *parent);

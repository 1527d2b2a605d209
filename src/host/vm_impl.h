/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the VM layer (vm.c, vm_create.c, vm_power.c, …) know of each other; everyone
 * else includes host/vm.h.
 *
 * A VM stands in layer->vms from the moment it is to be written to vms.json; its object exists from
 * vm_publish() on, which is after that write. One operation at a time works on a VM (vm->op).
 *
 * Event-loop thread only, but for vm_files_run(), which works on a worker.
 */
#pragma once

#include "base/list.h"
#include "base/vec.h"
#include "host/host_impl.h"
#include "host/vm.h"

struct vm_op;

/* ---- the layer ---- */

/* Files that nobody needs once the operation that named them is over or was interrupted: removed at
 * the next start unless a registered VM uses them. */
struct vm_leftover {
	struct list_node link; /* layer->leftovers */
	char *path;   /* "[ds] dir/x.vmx": this VM's own files go, too; NULL: only the disks */
	bool ran;     /* it was a VM: its logs and sockets, too */
	char **disks; /* "[ds] dir/x.vmdk" */
	size_t n_disks;
};

/* Somebody who waits for vms.json to be on disk. */
struct vm_save {
	struct list_node link;
	void (*done)(void *arg, const struct error *e);
	void *arg;
};

struct vm_layer {
	struct host *host;
	struct list vms;       /* struct vm, by id */
	struct list leftovers; /* struct vm_leftover */
	uint32_t last_id;
	struct map disks_in_use;    /* "[ds] path" → struct vm that runs or starts with it */
	uint64_t memory_on_mb;	    /* of VMs that run or start… */
	size_t n_on;		    /* …and how many they are */
	uint64_t cpu_on_mhz;	    /* what they have reserved of the processors */
	const struct value *common; /* kept VirtualMachineCapability */
	struct timer *stats_timer;
	struct timer *retry_timer; /* looks again for machines that could not be asked */
	size_t n_adopting;
	struct vm *last_looked; /* simulated: its files are remembered; or NULL */
	/* writing vms.json */
	struct list saving, waiting; /* struct vm_save: of the write under way, of the next */
	bool is_saving, is_dirty;
	struct arena *scratch; /* for one function's drafts */
};

/* ---- a VM ---- */

/* One file of a VM, as it was when last looked at. */
struct vm_file {
	char *path;	  /* "[ds] dir/name" */
	const char *type; /* VirtualMachineFileLayoutExFileType */
	int32_t disk;	  /* device key of the disk it belongs to; 0: none */
	uint64_t size, allocated;
	uint64_t to_come; /* bytes a thin disk may still take */
};

struct vm_files {
	struct vm_file *items;
	size_t n, cap;
	int64_t seen_us;
};

struct vm_stats {
	uint64_t cpu_us, resident;
	int64_t at_us; /* monotonic */
	uint32_t cpu_mhz;
};

struct vm {
	struct list_node link; /* layer->vms */
	struct vm_layer *layer;
	struct object *object;	    /* NULL until published */
	struct machine *machine;    /* NULL: off, or simulated, on and never touched */
	struct vm_op *op;	    /* under way */
	const struct value *coming; /* kept: its devices as they are about to be; or NULL */
	char *path;		/* "[ds] dir/x.vmx"; NULL where simulated: the configuration says */
	char *name;		/* while there is no object */
	char *pool;		/* id, while there is no object; NULL: the root pool */
	struct vm_files *files; /* NULL: look when asked */
	struct vm_stats *stats; /* NULL: none yet */
	int64_t boot_us, suspend_us; /* wall clock; 0: none */
	uint32_t id;
	uint8_t power;	    /* E_VirtualMachinePowerState_… */
	uint8_t connection; /* E_VirtualMachineConnectionState_… */
	bool clean_off;	    /* went off in good order */
	bool leaving;	    /* not to be written to vms.json any more */
	bool has_files;	    /* simulated: they have been written */
	bool counted;	    /* in layer->memory_on_mb with `counted_mb` */
	uint32_t counted_mb;
	uint64_t counted_mhz; /* in layer->cpu_on_mhz */
};

/* vm.c */
struct vm *vm_new(struct vm_layer *l, uint32_t id, const char *path, const char *name);
void vm_free(struct vm *vm); /* the object is gone or never was */
const char *vm_path(const struct vm *vm);
const char *vm_name(const struct vm *vm);
/* The VM in the host's folder of that name, or NULL; also one that is only coming. */
struct vm *vm_by_name(struct vm_layer *l, const char *name);
struct vm *vm_by_path(struct vm_layer *l, const char *path);
/* Another VM than `but` (NULL: any) that has this uuid in that member of its configuration, or
 * NULL. Two with one config.uuid could not be told apart by what runs them. */
struct vm *vm_by_uuid(struct vm_layer *l, unsigned member, const char *uuid, const struct vm *but);
/* False, with the refusal, where another VM than `but` has the configuration's uuid. */
bool vm_uuid_is_free(struct vm_layer *l, const struct value *config, const struct vm *but,
		     struct arena *a, struct vm_refusal *r);
/* The objects of VMs come to be, all in one pool (NULL: root); config NULL: the .vmx is bad. More
 * than one: of one make and in one state, so that what the first shows goes for all. */
void vm_publish(struct vm *const *vms, const struct value *const *configs, size_t n,
		struct object *pool);
/* Takes the VM out of the inventory and frees it. */
void vm_withdraw(struct vm *vm);
/* Datastore.vm, Network.vm and the VM's own lists follow from the configuration. */
void vm_set_places(struct vm *vm);
const struct value *vm_devices(const struct value *config);

/* vm_event.c: posts an event of that type (a draft deriving from VmEvent). */
void vm_event(struct vm *vm, const struct vm_op *op, struct value *event, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The same for a type without members of its own. */
void vm_event_plain(struct vm *vm, const struct vm_op *op, uint16_t type, const char *what);

/* ---- operations ---- */

/* Something that a client asked for and that takes time. Lives in its task's arena and ends with
 * exactly one of vm_op_done() and the vm_op_fail…(), after which it is gone. */
struct vm_op {
	struct vm_layer *layer;
	struct vm *vm; /* NULL: there is none yet */
	struct task *task;
	struct call *call;   /* answered at the end; NULL: the task is the answer */
	struct arena *arena; /* of the task */
	struct vm_save save;
	struct list_node link;
	VEC(struct host_datastore *) held;
	VEC(const char *) claims; /* files, in the arena */
};

/* Begins an operation of `size` bytes, a struct that begins with struct vm_op. For methods that
 * return a task (with_task) the call is answered with it; otherwise it is answered at the end.
 * NULL: another one works on the VM, the client has been told. */
void *vm_op_begin(struct call *c, struct vm_layer *l, struct vm *vm, size_t size);
void *vm_op_begin_plain(struct call *c, struct vm *vm, const char *description_id, size_t size);
/* One that no call asked for; nothing else may be at work on the VM. */
struct vm_op *vm_op_begin_internal(struct vm *vm, const char *name, const char *description_id);
void vm_op_hold(struct vm_op *op, struct host_datastore *d);
/* Keeps others off the file until the operation ends; ERROR_BUSY. */
bool vm_op_claim(struct vm_op *op, const char *ds_path, struct error *e);
void vm_op_done(struct vm_op *op, const struct value *result);
void vm_op_fault(struct vm_op *op, const struct value *fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void vm_op_refused(struct vm_op *op, const struct vm_refusal *r);
void vm_op_fail(struct vm_op *op, const struct error *e);
void vm_op_fail_file(struct vm_op *op, const struct error *e, const char *file);
/* False, and the operation has failed with InvalidPowerState, unless the VM is in that state. */
bool vm_op_wants_power(struct vm_op *op, int wanted, int requested);
/* False, and it has failed with InvalidState, where nobody knows whether the VM runs. */
bool vm_op_wants_connection(struct vm_op *op);
/* The same, also where the VM's configuration cannot be read. */
bool vm_op_wants_config(struct vm_op *op);
/* The VM that a call is about. */
struct vm *vm_of_call(const struct call *c);
/* An optional argument that names a host names this one; else the call has been answered. */
bool vm_call_names_host(struct call *c, struct host *h, unsigned arg);
/* The session may attach VMs to the networks that the devices name; else answered. */
bool vm_call_may_use_networks(struct call *c, struct host *h, const struct value *devices);
/* The resource pool of that id, or the root pool. */
struct object *vm_pool(struct vm_layer *l, const char *id);

/* ---- properties (vm_properties.c, vm_layout.c) ---- */

extern const struct object_class vm_class;
const struct value *vm_capability_new(struct arena *a);
/* Sets runtime, guest and disabledMethod from the VM's members. */
void vm_set_runtime(struct vm *vm);

/* Around a change of what a VM is: properties that are derived from it are compared, and exactly
 * the paths that differ are told to clients. */
struct vm_change {
	struct vm *vm;
	struct arena *arena;
	const struct value *was[5];
};
void vm_change_begin(struct vm *vm, struct vm_change *c);
void vm_change_end(struct vm_change *c);

/* Looks at the VM's files. */
const struct vm_files *vm_files_of(struct vm *vm);
/* Forgets what was seen, so that the next reader looks again. */
void vm_files_forget(struct vm *vm);
struct value *vm_layout(struct vm *vm, struct arena *a);
struct value *vm_layout_ex(struct vm *vm, struct arena *a);
struct value *vm_storage(struct vm *vm, struct arena *a);
struct value *vm_storage_summary(struct vm *vm, struct arena *a);

/* ---- what is kept (vm_store.c) ---- */

/* Writes vms.json; w->done when what holds now is on disk, at once on hosts that keep nothing. w
 * NULL: nobody waits. */
void vm_store_save(struct vm_layer *l, struct vm_save *w);
/* Makes a VM of each registered one (no object yet) and the leftovers. */
bool vm_store_load(struct vm_layer *l, struct error *e);
/* Returns when no write is under way or due. */
void vm_store_finish(struct vm_layer *l);
struct vm_leftover *vm_leftover_new(struct vm_layer *l, const char *path);
void vm_leftover_add(struct vm_leftover *x, const char *disk);
void vm_leftover_free(struct vm_leftover *x); /* and out of the list; accepts NULL */

/* ---- files (vm_files.c) ---- */

/* A disk operation of a plan, and what came of it. */
struct vm_disk_work {
	struct vm_disk_op op;
	struct datastore *ds;
	const char *path; /* beneath ds */
	const char *made; /* folder made for it; NULL: none */
	bool done;
	char uuid[37];
};

/* Work on a VM's files, in this order: the folder, disks made and grown, the .vmx. What was made is
 * unmade when a later step fails. All strings belong to whoever starts it. */
struct vm_file_work {
	struct datastore *ds; /* of the VM's folder */
	const char *folder;   /* to be made; NULL: it is there */
	const char *vmx_path; /* beneath ds; NULL: leave the .vmx alone */
	struct buf vmx;
	bool vmx_is_new;
	struct vm_disk_work *disks;
	size_t n_disks;
	const char *failed; /* "[ds] path" of what could not be done */
	char ds_name[256];
	bool made_folder, made_vmx;
};
bool vm_file_work_run(void *data, struct progress *p, struct error *e);
/* Deletes everything that the work made. */
void vm_file_work_undo(struct vm_file_work *w);
/* The configuration, its new disks with the uuids that they were given. */
const struct value *vm_config_with_uuids(struct arena *a, const struct value *plan,
					 const struct vm_file_work *work);
/* Opens the datastores of a plan's disks; false with `e`, *file names which. */
bool vm_file_work_disks(struct vm_op *op, const struct vm_plan *plan, struct vm_file_work *w,
			const char **file, struct error *e);

/* Removes a VM's own files, its disks, and its folder if nothing else is in it. */
struct vm_removal {
	struct datastore *ds; /* NULL: only disks */
	const char *path;     /* of the .vmx beneath ds */
	bool ran;	      /* it was a VM: logs and sockets go, too */
	struct vm_disk_work *disks;
	size_t n_disks;
};
bool vm_removal_run(void *data, struct progress *p, struct error *e);
/* Appends the text of a configuration's .vmx. */
void vm_config_text(const struct value *config, struct buf *out);
/* Does what a leftover asks for, now. */
void vm_leftover_clean(struct vm_layer *l, struct vm_leftover *x);
/* Is the disk part of a registered VM? */
bool vm_disk_is_registered(struct vm_layer *l, const char *ds_path);

/* ---- machines (vm_machine.c) ---- */

/* What the VM's configuration means for the driver. Disks are looked at; where it is `lenient`, to
 * look for a VM that runs, they are left out, and so is what else is wrong; *file names the one
 * that is to blame. Strings in the arena. */
bool vm_machine_spec(struct vm *vm, struct arena *a, bool lenient, struct machine_spec *out,
		     const char **file, struct error *e);
/* "[ds] dir/x.vmss" */
const char *vm_state_path(const struct vm *vm, struct arena *a);

/* False, and empty, where it is not a network card with a machine's key. */
bool vm_machine_nic(const struct value *device, struct machine_nic *out);

/* ---- network cards (vm_network.c) ---- */

/* Does the guest see a virtio card, whose packets the switch takes from its memory? */
bool vm_nic_is_virtio(const struct value *nic);
/* host_vm_ops.cards */
void vm_network_cards(struct host *h, struct arena *a, struct plane_cards *out);
/* host_vm_ops.networks_changed, wire_changed */
void vm_network_networks_changed(struct host *h);
void vm_network_wire_changed(struct host *h, const char *port);
/* What the switch sees of a card; NULL: nothing is known. */
const struct plane_port_state *vm_network_seen(const struct vm *vm, const struct value *nic);
/* The name of the card's network; NULL: it is not there. */
const char *vm_network_name(const struct vm *vm, const struct value *nic);
/* The VM's devices are about to be these; NULL: they are what its configuration says. */
void vm_network_coming(struct vm *vm, const struct value *devices);
/* Functions of the server's card (host_lend.h): whether any of the VM's network cards needs one;
 * whether those can have one; whether they have (struct borrow_wait, arg: the VM). */
bool vm_network_borrows(const struct vm *vm);
bool vm_network_may_borrow(const struct vm *vm, struct error *e);
bool vm_network_has_borrowed(void *vm, struct error *why);
/* Whether a VM that runs may have these devices instead. */
bool vm_network_may_change(const struct vm *vm, const struct value *devices, struct error *e);

/* Makes the sockets that cards' wires lead to, in place of what was there; all or none. */
bool vm_wires_open(struct vm *vm, struct arena *a, struct machine_nic *nics, size_t n,
		   struct error *e);
/* Those who were to have them have them, or never will. */
void vm_wires_close(struct machine_nic *nics, size_t n);
/* Nobody listens there any more. */
void vm_wire_remove(struct vm *vm, int32_t key);
void vm_wires_remove(struct vm *vm);

/* ---- parts ---- */

/* vm_create.c: where a new VM of that name would go on the datastore. False with the refusal. */
struct vm_place {
	const char *name;
	const char *folder; /* beneath the datastore, to be made */
	const char *path;   /* "[ds] dir/x.vmx" */
};
bool vm_create_place(struct vm_layer *l, struct arena *a, struct host_datastore *d,
		     struct vm_place *place, struct vm_refusal *r);
void vm_create_register(struct vm_layer *l);
void vm_register_register(struct vm_layer *l);
void vm_remove_register(struct vm_layer *l);
void vm_reconfigure_register(struct vm_layer *l);
void vm_power_register(struct vm_layer *l);

/* The configuration as it is with the VM on or off: what is connected. Perhaps the same value. */
const struct value *vm_config_connect(struct arena *a, const struct value *config, bool on);
/* The configuration of a VM just switched on: what starts connected is connected. */
const struct value *vm_config_start(struct arena *a, const struct value *config);
/* vm_reconfigure.c: becomes what `config` says. */
void vm_set_config(struct vm *vm, const struct value *config);

/* vm_power.c: the VM's machine runs (adopted, or by the driver's word) or went off. */
extern const struct machine_listener vm_machine_listener;
void vm_is_on(struct vm *vm, int64_t boot_us);
void vm_is_off(struct vm *vm, int power);
/* Counts its memory, reservation and disks as used; false where a disk is used by another VM. */
bool vm_claim(struct vm *vm, const char **file);
void vm_unclaim(struct vm *vm);

/* ---- what there is for VMs (vm_admission.c) ---- */

struct vm_text {
	char s[400];
};
/* Why a VM cannot start on this host now, as a fault with words; NULL: it can. */
struct value *vm_admit(const struct vm *vm, struct arena *a, struct vm_text *text);
/* Whether a VM with so much memory can start or arrive; writes what is free for one, in MiB. */
bool vm_memory_fits(const struct vm_layer *l, uint64_t want_mb, uint64_t *free_mb);
/* The same of reserved processor speed. `held`: what the VM in question has reserved already. */
bool vm_cpu_fits(const struct vm_layer *l, uint64_t want_mhz, uint64_t held, uint64_t *free_mhz);
struct value *vm_cpu_fault(const struct vm *vm, uint64_t want_mhz, uint64_t free_mhz,
			   struct arena *a, struct vm_text *text);
/* MHz that a configuration reserves. */
uint64_t vm_cpu_reserved(const struct value *config);
/* A VM that runs has so much reserved from now on; nothing where it does not run. */
void vm_count_cpu(struct vm *vm, uint64_t mhz);

/* vm_load.c */
bool vm_layer_load(struct host *h, struct error *e);
void vm_retry_stop(struct vm_layer *l);
/* Finds out whether the VM, whose .vmx could not be read so far, runs; until that is known it is
 * disconnected. */
void vm_look_for(struct vm *vm);
/* The configuration in a .vmx; NULL with the refusal. *incomplete (NULL: nobody asks): it lacks an
 * identity, which was made up and should be written. */
const struct value *vm_read_config(struct vm_layer *l, const char *path,
				   enum vm_strictness strictness, struct arena *a,
				   struct vm_refusal *r, bool *incomplete);
/* When the memory beside the .vmx was saved (wall clock); 0: there is none, it is not suspended. */
int64_t vm_suspended_at(const struct vm *vm);
/* Where the .vmx of a VM cannot be read: is it the datastore, or the file? */
uint8_t vm_connection_without_config(struct vm_layer *l, const char *path);

/* vm_register.c: reads the .vmx of a VM that is off anew; false with the refusal. */
bool vm_reload(struct vm *vm, struct arena *a, struct vm_refusal *r);

/* vm_simulated.c */
void vm_materialise_all(struct host *h, struct host_datastore *d);
void vm_materialise(struct vm *vm);

/* vm_stats.c */
void vm_stats_start(struct vm_layer *l);
void vm_stats_stop(struct vm_layer *l);

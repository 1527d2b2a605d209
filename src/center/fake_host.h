/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host for tests of the manager, made of the engine alone: an inventory as a host shows it,
 * served over HTTPS on loopback if wanted, and a few methods.
 *
 *   ha-folder-root: ha-datacenter: ha-folder-vm, -host (ha-compute-res: ha-host, ha-root-pool),
 *   -datastore, -network
 *
 * What its VMs can do: PowerOnVM_Task at once; PowerOffVM_Task runs until fake_host_finish();
 * ReconfigVM_Task sets the annotation, edits devices, refuses "no", which is InvalidPowerState, and
 * is held until fake_host_release() for "hold"; ResetVM_Task names a task that there is not,
 * SuspendVM_Task the one that PowerOffVM_Task has begun; Rename_Task, Destroy_Task, UnregisterVM;
 * and the VM folder CreateVM_Task, which is held, too, for the name "later".
 */
#pragma once

#include "vim/api.h"
#include "vim/certificate.h"
#include "vim/server.h"

enum {
	FAKE_VMS_MAX = 20000,
	FAKE_HELD_MAX = 2000
};

struct fake_host {
	uv_loop_t *loop;
	char name[64], folder[128]; /* folder: where certificate and key are */
	struct user_store *users;
	struct api *api;
	struct server *server;
	uint16_t port;
	struct certificate_thumbprints thumbprints;
	struct arena *a;
	struct inventory *inventory;
	struct object *root, *dc, *vm_folder, *host_folder, *ds_folder, *net_folder;
	struct object *compute, *pool, *system, *store, *browser, *network, *network_system;
	struct object *vms[FAKE_VMS_MAX];
	size_t n_vms;
	unsigned next_vm;
	struct task *slow; /* a PowerOffVM_Task under way */
	struct object *slow_vm;
	unsigned n_cancels;
	struct task *held[FAKE_HELD_MAX];
	size_t n_held;
	struct task *creating;
};

/* uuid: of the hardware. folder NULL: no HTTPS. The user is root, the password secret. */
struct fake_host *fake_host_new(uv_loop_t *loop, const char *name, const char *uuid,
				const char *folder);
void fake_host_free(struct fake_host *h);

/* Serves on the same port as before; stops at once, with all sessions. */
void fake_host_serve(struct fake_host *h);
void fake_host_stop(struct fake_host *h);

struct object *fake_host_add_vm(struct fake_host *h, const char *name);
void fake_host_remove_vm(struct fake_host *h, struct object *vm);
void fake_host_set_power(struct fake_host *h, struct object *vm, int state);
void fake_host_set_memory(struct fake_host *h, struct object *vm, int mb);
/* Posts a VmPoweredOnEvent. */
void fake_host_post(struct fake_host *h, struct object *vm);
/* The slow task ends well; or, with a fault, ill. */
void fake_host_finish(struct fake_host *h, const struct value *fault);
/* All tasks that are held end well, at once. */
void fake_host_release(struct fake_host *h);

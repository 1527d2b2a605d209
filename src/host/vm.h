/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual machines of a host: their VirtualMachine objects, their files and their power.
 *
 * vm_layer_attach() gives a host (host/host.h) its layer of VMs: it answers the methods of
 * VirtualMachine and those of Folder that make VMs, and follows the host's life through
 * host.vm_ops. A struct vm belongs to the layer; object->owner of its inventory object is the
 * struct vm. It lives until the VM is unregistered or destroyed, or the host is freed; a machine
 * that runs (host/driver.h) runs on then.
 *
 * What is kept: each VM's .vmx is the truth about it; STATE/vms.json says which VMs are registered
 * under which id. A task that changes either succeeds only after the change is on disk. Hosts that
 * are simulated keep nothing; files of their VMs come to be when somebody looks.
 *
 * Event-loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "host/host.h"
#include "host/vm_config.h"

struct vm;
struct vm_layer;

/* Before host_start(). The layer goes with host_free(). */
void vm_layer_attach(struct host *h);

/* The VM of an object of type VirtualMachine of a host. */
struct vm *vm_from_object(const struct object *o);
struct object *vm_object(const struct vm *vm);

/* VirtualMachineConfigInfo; NULL where the .vmx cannot be read. Valid until the next turn. */
const struct value *vm_config(const struct vm *vm);

/* E_VirtualMachinePowerState_… */
int vm_power_state(const struct vm *vm);

/* The machines of VMs that are not off, with the VMs' names. */
void vm_each_machine(struct host *h,
		     void (*fn)(void *arg, const char *name, const struct machine *m), void *arg);

/* What the registered VMs are was changed from outside this layer (a VM's resource pool): it is
 * brought to disk soon. */
void vm_layer_changed(struct host *h);

/* VMs that only pretend, made in bulk; for simulated hosts. They differ in name, identity, files
 * and addresses and share everything else. Identities and addresses come from where their files
 * are, so they are the same in each run. */
struct vm_simulated {
	const char *const *names; /* unique among the host's VMs, as inventory names are */
	size_t n;
	const struct value *spec;    /* VirtualMachineConfigSpec; its name does not count; NULL:
					one CPU, 32 MB, a disk, a CD drive, a network card */
	const struct value *network; /* backing of that card; NULL: the first network */
	const char *datastore;	     /* NULL: the first */
	struct object *pool;	     /* NULL: the root pool */
	bool on;		     /* they run already */
};

/* Adds all or, where the spec does not fit (`r` says why), none. Their ids count on from the last
 * VM's. Events are not posted. */
bool vm_add_simulated(struct host *h, const struct vm_simulated *what, struct vm_refusal *r);

/* What scripts expect of simulated hosts (their names) and VMs (their paths): the UUID of version 5
 * of the text in the namespace of OIDs (RFC 4122 §4.3, appendix C). */
void vm_simulated_uuid(const char *text, struct uuid *out);

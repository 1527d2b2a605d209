/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a virtual machine is made of, as a VirtualMachineConfigInfo value: how one comes to be from
 * a VirtualMachineConfigSpec, from a .vmx file, and how it becomes a .vmx file again.
 *
 * All functions are pure: they read, check and build drafts in the caller's arena; nothing is
 * changed on disk and no VM is touched. A refusal carries the typed fault a vSphere client expects.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/vec.h"
#include "host/disk.h"
#include "host/vmx.h"
#include "vim/value.h"

enum {
	VM_NAME_MAX = 80, /* bytes after unescaping, as vSphere limits it */
	VM_CPUS_MAX = 255,
	VM_MEMORY_MAX_MB = 4 << 20,
	VM_DEVICES_MAX = 256,
	VM_EXTRA_MAX = 4096, /* entries of extraConfig */
};

/* Why a spec or file is refused: fault is a draft structure deriving from MethodFault. */
struct vm_refusal {
	const struct value *fault;
	char text[240];
};
bool vm_refuse(struct vm_refusal *r, const struct value *fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4))); /* always false */

/* How much of the world around a VM must be as its configuration says. */
enum vm_strictness {
	VM_STRICT,   /* a client's spec: networks, images and disks exist */
	VM_REGISTER, /* a .vmx from elsewhere: disks exist, networks and images may not */
	VM_RELOAD,   /* our own .vmx at start: what is missing shows when the VM is powered on */
};

/* What the configuration needs to know of the world around the VM. */
struct vm_env {
	void *arg;
	/* Reference of the datastore of that name, or NULL. */
	const struct value *(*datastore_ref)(void *arg, const char *name);
	const char *(*datastore_url)(void *arg, const char *name);
	/* Reference of the network of that name (by_name) or NULL; and the name of a given one. */
	const struct value *(*network_ref)(void *arg, const char *name);
	const char *(*network_name)(void *arg, const struct value *ref);
	/* Is the card's distributed port group or opaque network there? */
	bool (*has_portgroup)(void *arg, const char *switch_uuid, const char *key);
	bool (*has_opaque_network)(void *arg, const char *id);
	/* Facts of an existing disk "[ds] path"; false with `e`. */
	bool (*disk)(void *arg, const char *ds_path, struct disk_info *out, struct error *e);
	/* Is there such a file on a datastore? */
	bool (*file_exists)(void *arg, const char *ds_path);
	int64_t now_us;
	unsigned max_cpus; /* of this node */
	uint64_t max_memory_mb;
	enum vm_strictness strictness;
	bool hot_nics;	/* machines take network cards while they run */
	bool simulated; /* disks that say their size are believed, not looked at */
};

/* A file operation that a spec asks for, to be done before the new configuration is saved. */
enum vm_disk_action {
	VM_DISK_CREATE,
	VM_DISK_EXTEND,
	VM_DISK_DELETE
};
struct vm_disk_op {
	enum vm_disk_action action;
	char *path;	   /* "[ds] folder/name.vmdk", in the arena */
	uint64_t capacity; /* bytes */
	enum disk_format format;
	const char *adapter_type;
};

/* What applying a spec gives. */
struct vm_plan {
	const struct value *config;	 /* draft VirtualMachineConfigInfo */
	VEC(struct vm_disk_op) disk_ops; /* free with vm_plan_fini() */
	bool needs_power_off;		 /* a change that a running or suspended VM cannot take */
	bool needs_awake;		 /* one that a suspended VM cannot take */
	const char *needs_power_off_why; /* property that asks for it */
};
void vm_plan_fini(struct vm_plan *p);

/*
 * A new VM: defaults, then the spec. `path` is "[ds] folder/name.vmx", where it will live. Checks
 * everything that can be checked without doing it.
 */
bool vm_config_create(struct arena *a, const struct value *spec, const char *path,
		      const struct vm_env *env, struct vm_plan *out, struct vm_refusal *r);

/* Changes to an existing configuration (kept value); unset members of the spec leave it alone. A
 * spec whose changeVersion is not the configuration's is refused with ConcurrentAccess. */
bool vm_config_apply(struct arena *a, const struct value *config, const struct value *spec,
		     const struct vm_env *env, struct vm_plan *out, struct vm_refusal *r);

/* The configuration that a .vmx file describes. `folder` "[ds] path" of the file, `vmx_name` its
 * name. What this side does not know goes to extraConfig and comes out again. */
bool vm_config_from_vmx(struct arena *a, const struct vmx *vmx, const char *path,
			const struct vm_env *env, const struct value **out, struct vm_refusal *r);

/* And back. Never fails on a configuration that the functions above made. */
struct vmx *vm_config_to_vmx(const struct value *config);

/* Checks a VM's name: not empty, at most VM_NAME_MAX, no control characters; '/', '\' and '%' are
 * escaped as inventory names are (%2f, %5c, %25). The escaped name goes to `out`. */
bool vm_name_check(struct arena *a, const char *name, const char **out, struct vm_refusal *r);

/* Text for guestFullName. */
const char *vm_guest_full_name(const char *guest_id);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine is made of: the hardware of one VM in plain structs, free of vSphere's types.
 * The layer above translates a configuration into a struct machine_spec; a driver (host/driver.h)
 * makes it run.
 *
 * A spec owns nothing: its strings and arrays belong to whoever made it (an arena, as a rule) and
 * are read only during the call they are passed to. NULL and "" both mean "none". Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define MACHINE_VCPUS_MAX    255     /* APIC ids without an interrupt-remapping unit */
#define MACHINE_MEMORY_MIN   4	     /* MiB */
#define MACHINE_MEMORY_MAX   6291456 /* MiB: 6 TiB, as much as a vSphere VM may have */
#define MACHINE_NAME_MAX     255     /* bytes */
#define MACHINE_BUSES_MAX    4	     /* SCSI, SATA, NVMe controllers each */
#define MACHINE_NICS_MAX     10
#define MACHINE_SERIALS_MAX  4
#define MACHINE_DISKS_MAX    256
#define MACHINE_DISK_KEY_MIN 16 /* smaller numbers name files of other kinds */

enum machine_arch {
	MACHINE_X86_64,
	MACHINE_AARCH64,
};

enum machine_accel {
	MACHINE_TCG, /* emulated instruction by instruction */
	MACHINE_KVM,
};

enum machine_firmware {
	MACHINE_BIOS,
	MACHINE_EFI,
};

/* What the guest sees, with three exceptions. BusLogic has no emulation: an LSI parallel controller
 * stands in its place. IDE on Arm, which never had it, is AHCI. EFI firmware for QEMU has drivers
 * for none of the SCSI controllers, so that nothing would boot from them: with EFI all of them
 * are virtio-scsi. */
enum machine_controller {
	MACHINE_LSILOGIC,
	MACHINE_BUSLOGIC,
	MACHINE_PVSCSI,
	MACHINE_LSISAS,
	MACHINE_IDE,
	MACHINE_AHCI,
	MACHINE_NVME,
};

enum machine_nic_model {
	MACHINE_E1000E, /* also stands for every model that is not here */
	MACHINE_E1000,
	MACHINE_VMXNET3,
	MACHINE_VIRTIO_NET,
};

struct machine_disk {
	int32_t key; /* vSphere device key, unique in the machine */
	enum machine_controller controller;
	unsigned bus;	  /* 0..3; IDE 0..1 */
	unsigned unit;	  /* SCSI 0..15 without 7, SATA 0..5, NVMe 0..63, IDE 0..1 */
	const char *path; /* the raw extent or the ISO; none: an empty CD-ROM drive */
	bool read_only;
	bool cdrom;
	bool connected; /* CD-ROM: the medium is in the drive */
};

struct machine_nic {
	int32_t key; /* 4000..4009 decide the PCI slot */
	enum machine_nic_model model;
	const char *mac; /* "00:50:56:00:00:01" */
	bool connected;	 /* the guest sees a link */
	/* Where its wire leads: to whoever connects to this socket in the spec's `sockets`, or in
	 * `folder`, one of its own that is given to the machine's user likewise. virtio
	 * talks vhost-user there, on a socket that QEMU makes; other models QEMU's stream of
	 * frames, on one that the caller made and that listens. NULL: the wire leads nowhere. */
	const char *wire;
	int wire_fd;	    /* of other models: still the caller's; only to start and to add with */
	const char *folder; /* NULL: `sockets` */
};

enum machine_serial_kind {
	MACHINE_SERIAL_SOCKET, /* server on the unix socket `path`, one client at a time */
	MACHINE_SERIAL_FILE,   /* output is appended to `path` */
	MACHINE_SERIAL_NONE,   /* the guest sees a port that leads nowhere */
};

struct machine_serial {
	enum machine_serial_kind kind;
	const char *path;
	const char *log; /* socket: output is appended here as well; none: no log */
};

enum machine_boot_kind {
	MACHINE_BOOT_DISK,
	MACHINE_BOOT_CDROM,
	MACHINE_BOOT_NIC,
};

struct machine_boot {
	enum machine_boot_kind kind;
	int32_t key; /* the device; 0: all of the kind, in order of the spec */
};

struct machine_spec {
	const char *name;    /* also the chassis asset tag that the guest reads from SMBIOS */
	const char *uuid;    /* text form, lower case; SMBIOS system UUID */
	const char *folder;  /* of the VM */
	const char *run;     /* for sockets, locks and QEMU's own log of all VMs; mode 0700 */
	const char *sockets; /* an existing folder for sockets of wires, this machine's alone, which
				is given to its user; none: it has no wires */
	const char *state_file; /* where suspend puts the memory; none: cannot be suspended */
	enum machine_arch arch;
	enum machine_accel accel;
	enum machine_firmware firmware;
	const char *nvram; /* EFI: the machine's own variables, made from the template if missing */
	unsigned vcpus;
	unsigned cores_per_socket; /* divides vcpus; 0 counts as 1 */
	uint64_t memory_mib;

	const struct machine_boot *boot; /* none: disks, then CD-ROMs */
	size_t n_boot;
	const struct machine_disk *disks;
	size_t n_disks;
	const struct machine_nic *nics;
	size_t n_nics;
	const struct machine_serial *serials;
	size_t n_serials;
};

/* Whether a driver can take it: bounds, unique keys and places, MAC, UUID and path forms. Refuses
 * with ERROR_INVALID, ERROR_LIMIT, ERROR_NAME or ERROR_UNSUPPORTED. Looks at no file. */
bool machine_spec_check(const struct machine_spec *s, struct error *e);

/* "lsilogic", "pvscsi", …; "x86_64"; "kvm", "tcg" */
const char *machine_controller_name(enum machine_controller c);
const char *machine_arch_name(enum machine_arch a);
const char *machine_accel_name(enum machine_accel a);
const char *machine_nic_model_name(enum machine_nic_model m);

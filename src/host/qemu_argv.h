/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of the QEMU that is to be a machine: from a struct machine_spec to words.
 *
 * The hardware a guest sees, and where it sits on the PCI bus, follows from the spec alone, so
 * that guests keep the names of their devices, and a saved state fits, whatever else changed. Names
 * inside QEMU: `disk-KEY` the device, `medium-KEY` its medium, `nic-KEY`.
 *
 * Pure: no file is looked at. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/vec.h"
#include "host/machine.h"

#define QEMU_ARGV_MACHINE_X86 "pc-i440fx-7.2" /* the oldest QEMU that is supported: 7.2 */
#define QEMU_ARGV_MACHINE_ARM "virt-7.2"

/* What `-machine` and `-cpu` name: what a running guest needs wherever it goes on. */
const char *qemu_argv_machine(enum machine_arch arch);
const char *qemu_argv_cpu(enum machine_arch arch, enum machine_accel accel);

/* A file that QEMU does not open by itself: it gets it open, as one of the fd set `set`, and names
 * it /dev/fdset/SET. */
struct qemu_file {
	int32_t set;
	const char *path; /* of the spec or the options */
	int flags;	  /* of open(2); O_CREAT where it may be missing */
};

/* Those of disks and drives are their keys, all others lie below; see machine_spec_check(). */
#define QEMU_FILE_FIRMWARE 1
#define QEMU_FILE_NVRAM	   2
#define QEMU_FILE_SERIAL   3 /* the first port's; the others follow */

struct qemu_files {
	VEC(struct qemu_file) all;
};

/* What only the driver knows. Descriptors are numbers in the new process; -1: none. */
struct qemu_argv_options {
	const char *program;
	const char *firmware;		     /* EFI: the code image */
	int files_fd;			     /* the first of qemu_argv_files(); the others follow */
	int qmp_fd;			     /* a listening socket */
	int serial_fds[MACHINE_SERIALS_MAX]; /* listening sockets of those that are sockets */
	int nic_fds[MACHINE_NICS_MAX];	     /* the same of wires, by place in the spec */
	bool incoming;			     /* waits for a saved state instead of starting */
};

struct qemu_argv {
	char **words; /* NULL-terminated */
	size_t n;
};

/* The spec must have passed machine_spec_check(). End with qemu_argv_fini(). */
void qemu_argv_init(struct qemu_argv *out, const struct machine_spec *s,
		    const struct qemu_argv_options *o);
void qemu_argv_fini(struct qemu_argv *a);

/* The files that such a command line speaks of, in order. End with vec_free(&files.all). */
struct qemu_files qemu_argv_files(const struct machine_spec *s, const struct qemu_argv_options *o);

/* The name of a device or medium inside QEMU, into out of at least 24 bytes. */
void qemu_argv_disk_name(int32_t key, char out[24]);
void qemu_argv_medium_name(int32_t key, char out[24]);
void qemu_argv_nic_name(int32_t key, char out[24]);
/* The other end of a card's wire, and what it talks over. */
void qemu_argv_wire_name(int32_t key, char out[24]);
void qemu_argv_wire_socket_name(int32_t key, char out[24]);
/* "e1000e", … as QEMU calls them. */
const char *qemu_argv_nic_model(enum machine_nic_model m);
/* virtio without interrupt messages of its own: under TCG vhost-user makes none (before QEMU 8). */
bool qemu_argv_nic_has_vectors(enum machine_nic_model m, enum machine_accel a, bool has_wire);
#define QEMU_ARGV_NIC_SLOT 15 /* on the PCI bus, of key QEMU_ARGV_NIC_KEY; others follow */
#define QEMU_ARGV_NIC_KEY  4000
/* The path by which QEMU knows the files of a set. */
void qemu_argv_file_name(int32_t set, char out[32]);

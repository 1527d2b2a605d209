/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node is made of, read from /proc, /sys, /etc: the true facts. What cannot be found out
 * is empty or 0, never invented: a container, a board without firmware tables and a big server
 * all give an answer.
 *
 * Every reader takes a root that stands before the paths, "" in production, a recorded tree in
 * tests. Files are read with limits; a missing or odd one only leaves its field empty.
 *
 * A struct hardware owns its arrays: hardware_fini(). Strings are cleaned: printable UTF-8, single
 * blanks. Reading takes milliseconds (many small files); any thread.
 */
#ifndef HOST_HARDWARE_H
#define HOST_HARDWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HARDWARE_PCI_MAX    4096
#define HARDWARE_NICS_MAX   256
#define HARDWARE_BLOCKS_MAX 1024
#define HARDWARE_NUMA_MAX   256
#define HARDWARE_CPUS_MAX   8192

struct hardware_cpu_package {
	unsigned id;
	unsigned n_cores, n_threads;
	unsigned *threads; /* logical CPU numbers */
};

struct hardware_cpu {
	char vendor[64];       /* "intel", "amd", "arm" … as vSphere spells them, else as found */
	char model[128];       /* "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", "Cortex-A72" */
	char architecture[32]; /* "x86_64", "aarch64" */
	unsigned family, model_id, stepping; /* x86; on Arm part and revision in the latter two */
	unsigned x86_level;		     /* 1..4 for x86-64-v1..v4; 0: not x86 */
	unsigned implementer, variant;	     /* Arm: the rest of MIDR_EL1 */
	char *features;	   /* words with blanks, as the kernel has them, or NULL */
	uint64_t timer_hz; /* Arm: of the generic timer; 0: unknown */
	uint64_t hz;
	unsigned n_packages, n_cores, n_threads;
	struct hardware_cpu_package *packages;
	bool virtualization; /* /dev/kvm is there; whether it works is for the driver to find out */
};

struct hardware_numa_node {
	unsigned id;
	uint64_t memory; /* bytes */
	unsigned *cpus;
	size_t n_cpus;
};

struct hardware_system {
	char vendor[128], model[128], family[128], serial[128];
	char uuid[37]; /* as /sys shows it; empty where it is missing, all 0 or all f */
	char bios_vendor[128], bios_version[128];
	char bios_date[11]; /* YYYY-MM-DD */
	bool uefi;
};

struct hardware_pci {
	char address[16]; /* "0000:3b:00.0" */
	unsigned domain, bus, slot, function;
	uint16_t class_id; /* class and subclass */
	uint16_t vendor_id, device_id, subvendor_id, subdevice_id;
	char vendor[96], device[96]; /* from pci.ids; empty where unknown */
	char driver[64];
	char parent[16]; /* bridge it hangs on; may be empty */
	int numa_node;	 /* -1: unknown */
};

struct hardware_nic {
	char name[16];	 /* as the kernel calls it */
	char driver[64]; /* empty where the system does not say */
	char mac[18];
	char pci[16];	     /* address; empty: not a PCI device */
	uint64_t speed_mbps; /* 0: no link or unknown */
	bool full_duplex;
	bool link_up;
};

struct hardware_block {
	char name[32];
	char vendor[64], model[128], serial[128];
	uint64_t size;	 /* bytes */
	uint32_t sector; /* bytes */
	bool ssd, removable;
};

struct hardware_os {
	char kernel[128]; /* "6.1.0-18-amd64" */
	char name[128];	  /* PRETTY_NAME: "Debian GNU/Linux 12 (bookworm)" */
	char version[64]; /* VERSION_ID: "12" */
	char hostname[256];
	char boot_id[37];
	int64_t boot_time; /* seconds since 1970; 0: unknown */
};

struct board;

struct hardware {
	const struct board *board; /* host/board.h; NULL: none that is known */
	struct hardware_cpu cpu;
	struct hardware_system system;
	struct hardware_os os;
	uint64_t memory;     /* bytes the kernel manages */
	uint64_t huge_pages; /* bytes of it that are set aside for those */
	struct hardware_numa_node *numa;
	size_t n_numa;
	struct hardware_pci *pci;
	size_t n_pci;
	struct hardware_nic *nics; /* physical ones only, by PCI address, then name */
	size_t n_nics;
	struct hardware_block *blocks;
	size_t n_blocks;
};

void hardware_read(struct hardware *h, const char *root);
void hardware_fini(struct hardware *h);

/* The moving numbers. CPU time is the sum over all threads since boot: the caller keeps the last
 * sample and calls hardware_cpu_percent(). */
struct hardware_usage {
	uint64_t cpu_busy_ticks, cpu_total_ticks;
	uint64_t memory_total, memory_available; /* bytes */
	double load_1, load_5, load_15;
	uint64_t uptime_s;
};

/* False when not even /proc/meminfo and /proc/stat are there. */
bool hardware_usage_read(struct hardware_usage *u, const char *root);

/* 0..100 between two samples. */
double hardware_cpu_percent(const struct hardware_usage *before, const struct hardware_usage *now);

#endif

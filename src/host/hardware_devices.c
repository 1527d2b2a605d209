/* SPDX-License-Identifier: Apache-2.0 */
/* Network adapters and disks. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "host/facts.h"
#include "host/hardware_read.h"

#define ETHERNET_TYPE 1 /* ARPHRD_ETHER, linux/if_arp.h */

static const char net[] = "/sys/class/net/%s/%s";
static const char block[] = "/sys/block/%s/%s";

static bool is_mac(const char *s)
{
	for (size_t i = 0; i < 17; i++) {
		if (i % 3 == 2 ? s[i] != ':' : !isxdigit((unsigned char)s[i])) {
			return false;
		}
	}
	return s[17] == '\0';
}

/* A wire's end: not what the kernel made up (bridges, taps, veth have no device), no radio, no
 * virtual function, no switch port that stands for one. */
static bool is_physical(const char *root, const char *name)
{
	char port[32];
	facts_line(facts_path(root, net, name, "phys_port_name").s, port, sizeof(port));
	return facts_exists(facts_path(root, net, name, "device").s) &&
	       facts_u64(facts_path(root, net, name, "type").s, 0) == ETHERNET_TYPE &&
	       !facts_exists(facts_path(root, net, name, "phy80211").s) &&
	       !facts_exists(facts_path(root, net, name, "wireless").s) &&
	       !facts_exists(facts_path(root, net, name, "device/physfn").s) &&
	       strstr(port, "vf") == NULL && strstr(port, "sf") == NULL;
}

static bool read_nic(struct hardware_nic *n, const char *root, const char *name)
{
	char text[32];
	*n = (struct hardware_nic){ 0 };
	facts_line(facts_path(root, net, name, "address").s, text, sizeof(text));
	if (strlen(name) >= sizeof(n->name) || !is_mac(text)) {
		return false;
	}
	snprintf(n->name, sizeof(n->name), "%.15s", name);
	snprintf(n->mac, sizeof(n->mac), "%.17s", text);
	facts_link_name(facts_path(root, net, name, "device/driver").s, n->driver,
			sizeof(n->driver));
	facts_link_pci(facts_path(root, "/sys/class/net/%s", name).s, 0, n->pci, sizeof(n->pci));
	facts_line(facts_path(root, net, name, "operstate").s, text, sizeof(text));
	n->link_up = strcmp(text, "up") == 0;
	uint64_t speed = facts_u64(facts_path(root, net, name, "speed").s, 0);
	/* Without a link the kernel says -1, some drivers 4294967295. */
	n->speed_mbps = n->link_up && speed < 10000000 ? speed : 0;
	facts_line(facts_path(root, net, name, "duplex").s, text, sizeof(text));
	n->full_duplex = strcmp(text, "full") == 0;
	return true;
}

static int compare_nics(const void *a, const void *b)
{
	const struct hardware_nic *x = a, *y = b;
	int by_pci = strcmp(x->pci, y->pci);
	return by_pci != 0 ? by_pci : strcmp(x->name, y->name);
}

void hardware_read_nics(struct hardware *h, const char *root)
{
	size_t n;
	/* Among thousands of taps and veths the physical ones must be found. */
	char **names = facts_names(facts_path(root, "/sys/class/net").s, 65536, &n);
	h->nics = mem_calloc(HARDWARE_NICS_MAX, sizeof(h->nics[0]));
	for (size_t i = 0; i < n && h->n_nics < HARDWARE_NICS_MAX; i++) {
		if (is_physical(root, names[i]) && read_nic(&h->nics[h->n_nics], root, names[i])) {
			h->n_nics++;
		}
	}
	facts_names_free(names, n);
	if (h->n_nics > 0) {
		qsort(h->nics, h->n_nics, sizeof(h->nics[0]), compare_nics);
	}
}

/* A disk of its own: has a device; no optical or floppy drive, no part of a memory card that holds
 * firmware. */
static bool is_disk(const char *root, const char *name)
{
	return facts_exists(facts_path(root, block, name, "device").s) &&
	       strncmp(name, "sr", 2) != 0 && strncmp(name, "fd", 2) != 0 &&
	       !(strncmp(name, "mmcblk", 6) == 0 &&
		 (strstr(name, "boot") != NULL || strstr(name, "rpmb") != NULL));
}

/* The first of these files that says something. */
static void first_line(const char *root, const char *name, const char *const files[2], char *out,
		       size_t size)
{
	facts_line(facts_path(root, block, name, files[0]).s, out, size);
	if (out[0] == '\0') {
		facts_line(facts_path(root, block, name, files[1]).s, out, size);
	}
}

static void read_block(struct hardware_block *b, const char *root, const char *name)
{
	static const char *const models[2] = { "device/model", "device/name" };
	static const char *const serials[2] = { "device/serial", "serial" };
	uint64_t sectors = facts_u64(facts_path(root, block, name, "size").s, 0);
	uint64_t sector =
		facts_u64(facts_path(root, block, name, "queue/logical_block_size").s, 512);
	*b = (struct hardware_block){
		.size = sectors < UINT64_MAX / 512 ? sectors * 512 : 0, /* always in 512 bytes */
		.sector = sector <= 65536 ? (uint32_t)sector : 512,
		.ssd = facts_u64(facts_path(root, block, name, "queue/rotational").s, 1) == 0,
		.removable = facts_u64(facts_path(root, block, name, "removable").s, 0) == 1,
	};
	snprintf(b->name, sizeof(b->name), "%.31s", name);
	facts_line(facts_path(root, block, name, "device/vendor").s, b->vendor, sizeof(b->vendor));
	if (strncmp(b->vendor, "0x", 2) == 0) {
		b->vendor[0] = '\0'; /* virtio: a number, no name */
	}
	first_line(root, name, models, b->model, sizeof(b->model));
	first_line(root, name, serials, b->serial, sizeof(b->serial));
}

void hardware_read_blocks(struct hardware *h, const char *root)
{
	size_t n;
	char **names = facts_names(facts_path(root, "/sys/block").s, 16384, &n);
	h->blocks = mem_calloc(MIN(n, (size_t)HARDWARE_BLOCKS_MAX) + 1, sizeof(h->blocks[0]));
	for (size_t i = 0; i < n && h->n_blocks < HARDWARE_BLOCKS_MAX; i++) {
		if (is_disk(root, names[i])) {
			read_block(&h->blocks[h->n_blocks++], root, names[i]);
		}
	}
	facts_names_free(names, n);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/board.h"

#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "host/facts.h"

#define COMPATIBLE_MAX 1024
#define TABLE_HEADER   36 /* ACPI specification 6.5, 5.2.6 */

enum board_index {
	BLUEFIELD_2,
	BLUEFIELD_3,
	PENSANDO_ELBA,
	OCTEON_9,
	OCTEON_10,
	IPU_E2000,
	ALTRA,
	AMPEREONE,
	PI_4,
	PI_5,
	QEMU_VIRT,
};

static const struct board boards[] = {
	[BLUEFIELD_2] = { "bluefield-2", "BlueField-2", "NVIDIA", true, "mlx5",
			  "8 Cortex-A72; its ports and the server's functions are ConnectX-6 Dx "
			  "with representors" },
	[BLUEFIELD_3] = { "bluefield-3", "BlueField-3", "NVIDIA", true, "mlx5",
			  "16 Cortex-A78AE; its ports and the server's functions are ConnectX-7 "
			  "with representors" },
	[PENSANDO_ELBA] = { "pensando-elba", "Pensando Elba", "AMD", true, "ionic",
			    "16 Cortex-A72; started by its own firmware from eMMC" },
	[OCTEON_9] = { "octeon-9", "OCTEON TX2 (CN9x)", "Marvell", true, "cnxk",
		       "network ports are functions of the resource virtualization unit" },
	[OCTEON_10] = { "octeon-10", "OCTEON 10 (CN10K)", "Marvell", true, "cnxk",
			"Neoverse-N2; network ports are functions of the resource virtualization "
			"unit" },
	[IPU_E2000] = { "ipu-e2000", "IPU E2000", "Intel", true, "idpf",
			"up to 16 Neoverse-N1; its ports are infrastructure data path functions" },
	[ALTRA] = { "altra", "Altra", "Ampere", false, "", "Neoverse-N1, one thread a core; UEFI" },
	[AMPEREONE] = { "ampereone", "AmpereOne", "Ampere", false, "", "one thread a core; UEFI" },
	[PI_4] = { "raspberry-pi-4", "Raspberry Pi 4", "Raspberry Pi", false, "",
		   "4 Cortex-A72 without AES; GICv2: a VM has at most 8 processors" },
	[PI_5] = { "raspberry-pi-5", "Raspberry Pi 5", "Raspberry Pi", false, "",
		   "4 Cortex-A76; GICv2: a VM has at most 8 processors" },
	[QEMU_VIRT] = { "qemu-virt", "QEMU virt", "QEMU", false, "virtio",
			"an emulated machine: slow, and no measure of anything" },
};

enum evidence {
	BY_TREE, /* one of the root's `compatible` */
	BY_ACPI, /* a device of this hardware ID */
	BY_MCFG, /* OEM and table of the ACPI table of that name, 6 and 8 characters */
	BY_DMI,	 /* begin of the product's name */
	BY_PCI,	 /* vendor a, device b, the subsystem's device from c to d */
	BY_IPU,	 /* the same, and cores as it has them: servers see such functions, too */
	BY_CORE, /* implementer and part */
};

/* The first that holds decides. A card's own side is what counts: its network functions are seen by
 * the server, too, so that PCI decides only where they are not. */
static const struct rule {
	enum evidence by;
	enum board_index board;
	const char *text;
	unsigned a, b, c, d;
} rules[] = {
	/* Linux: Documentation/devicetree/bindings/arm/bcm/bcm2835.yaml and amd,pensando.yaml;
	 * QEMU: hw/arm/virt.c */
	{ BY_TREE, PI_4, "brcm,bcm2711", 0, 0, 0, 0 },
	{ BY_TREE, PI_5, "brcm,bcm2712", 0, 0, 0, 0 },
	{ BY_TREE, PENSANDO_ELBA, "amd,pensando-elba", 0, 0, 0, 0 },
	{ BY_TREE, QEMU_VIRT, "linux,dummy-virt", 0, 0, 0, 0 },
	/* Linux: drivers/gpio/gpio-mlxbf2.c, gpio-mlxbf3.c */
	{ BY_ACPI, BLUEFIELD_2, "MLNXBF22:00", 0, 0, 0, 0 },
	{ BY_ACPI, BLUEFIELD_3, "MLNXBF33:00", 0, 0, 0, 0 },
	/* Linux: drivers/acpi/pci_mcfg.c, ALTRA_ECAM_QUIRK */
	{ BY_MCFG, ALTRA, "AmpereAltra   ", 0, 0, 0, 0 },
	/* EDK2 for it: Platform/RaspberryPi, PlatformSmbiosDxe */
	{ BY_DMI, PI_4, "Raspberry Pi 4", 0, 0, 0, 0 },
	{ BY_DMI, PI_5, "Raspberry Pi 5", 0, 0, 0, 0 },
	{ BY_DMI, QEMU_VIRT, "QEMU Virtual Machine", 0, 0, 0, 0 },
	{ BY_DMI, QEMU_VIRT, "KVM Virtual Machine", 0, 0, 0, 0 },
	/* Linux: arch/arm64/include/asm/cputype.h */
	{ BY_CORE, AMPEREONE, NULL, 0xc0, 0xac3, 0, 0 },
	{ BY_CORE, AMPEREONE, NULL, 0xc0, 0xac4, 0, 0 },
	/* Linux: drivers/net/ethernet/marvell/octeontx2/af/rvu.h, ptp.c: the administrative
	 * function, which no server sees; later ones are of later generations */
	{ BY_PCI, OCTEON_10, NULL, 0x177d, 0xa065, 0xb900, 0xbd00 },
	{ BY_PCI, OCTEON_9, NULL, 0x177d, 0xa065, 0xb100, 0xb600 },
	/* Linux: drivers/net/ethernet/intel/idpf/idpf_devids.h; DPDK: drivers/net/cpfl, its control
	 * plane's function */
	{ BY_IPU, IPU_E2000, NULL, 0x8086, 0x1453, 0, 0xffff },
	{ BY_IPU, IPU_E2000, NULL, 0x8086, 0x1452, 0, 0xffff },
};

/* Device tree strings end in NUL, `compatible` is a list of them. */
static bool is_compatible(const char *root, const char *with)
{
	struct buf b = BUF_INIT;
	bool found = false;
	facts_read(facts_path(root, "/proc/device-tree/compatible").s, COMPATIBLE_MAX, &b);
	for (size_t i = 0; !found && i < b.len;) {
		size_t n = strnlen(b.data + i, b.len - i);
		/* recorded trees have lines */
		n = MIN(n, strcspn(b.data + i, "\n"));
		found = n == strlen(with) && strncmp(b.data + i, with, n) == 0;
		i += n + 1;
	}
	buf_free(&b);
	return found;
}

static bool has_mcfg_of(const char *root, const char *oem)
{
	struct buf b = BUF_INIT;
	bool ok = facts_read(facts_path(root, "/sys/firmware/acpi/tables/MCFG").s, TABLE_HEADER,
			     &b) &&
		  b.len == TABLE_HEADER && memcmp(b.data + 10, oem, strlen(oem)) == 0;
	buf_free(&b);
	return ok;
}

static bool has_pci(const struct hardware *h, const struct rule *r)
{
	for (size_t i = 0; i < h->n_pci; i++) {
		const struct hardware_pci *p = &h->pci[i];
		if (p->vendor_id == r->a && p->device_id == r->b && p->subdevice_id >= r->c &&
		    p->subdevice_id <= r->d) {
			return true;
		}
	}
	return false;
}

/* Up to 16 Neoverse-N1; servers of that core have more. */
static bool has_ipu_cores(const struct hardware *h)
{
	return h->cpu.implementer == 0x41 && h->cpu.model_id == 0xd0c && h->cpu.n_cores <= 16;
}

static bool holds(const struct rule *r, const struct hardware *h, const char *root)
{
	switch (r->by) {
	case BY_TREE:
		return is_compatible(root, r->text);
	case BY_ACPI:
		return facts_exists(facts_path(root, "/sys/bus/acpi/devices/%s", r->text).s);
	case BY_MCFG:
		return has_mcfg_of(root, r->text);
	case BY_DMI:
		return strncmp(h->system.model, r->text, strlen(r->text)) == 0;
	case BY_PCI:
		return has_pci(h, r);
	case BY_IPU:
		return has_pci(h, r) && has_ipu_cores(h);
	case BY_CORE:
		return h->cpu.implementer == r->a && h->cpu.model_id == r->b;
	}
	return false;
}

const struct board *board_find(const struct hardware *h, const char *root)
{
	/* All of them are Arm; a server that has such a card is none. */
	for (size_t i = 0; strcmp(h->cpu.architecture, "aarch64") == 0 && i < ARRAY_LEN(rules);
	     i++) {
		if (holds(&rules[i], h, root)) {
			return &boards[rules[i].board];
		}
	}
	return NULL;
}

const struct board *board_all(size_t *n)
{
	*n = ARRAY_LEN(boards);
	return boards;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "host/facts.h"
#include "host/hardware_read.h"
#include "host/text.h"

#define PCI_IDS_MAX (8u << 20) /* bytes; the file has about 1.4 MB */

static uint16_t read_id(const char *root, const char *device, const char *file)
{
	const struct facts_path path = facts_path(root, "/sys/bus/pci/devices/%s/%s", device, file);
	uint64_t id = facts_u64(path.s, 0);
	return id <= UINT16_MAX ? (uint16_t)id : 0;
}

static void read_device(struct hardware_pci *d, const char *root, const char *name)
{
	static const char format[] = "/sys/bus/pci/devices/%s/%s";
	uint64_t class = facts_u64(facts_path(root, format, name, "class").s, 0);
	uint64_t node = facts_u64(facts_path(root, format, name, "numa_node").s, UINT64_MAX);
	struct facts_pci_address a = { 0 };
	facts_pci_parse(name, &a);
	*d = (struct hardware_pci){
		.domain = a.domain,
		.bus = a.bus,
		.slot = a.slot,
		.function = a.function,
		.class_id = (uint16_t)(class >> 8), /* without the programming interface */
		.vendor_id = read_id(root, name, "vendor"),
		.device_id = read_id(root, name, "device"),
		.subvendor_id = read_id(root, name, "subsystem_vendor"),
		.subdevice_id = read_id(root, name, "subsystem_device"),
		.numa_node = node < HARDWARE_NUMA_MAX ? (int)node : -1,
	};
	snprintf(d->address, sizeof(d->address), "%.15s", name);
	facts_link_name(facts_path(root, format, name, "driver").s, d->driver, sizeof(d->driver));
	facts_link_pci(facts_path(root, "/sys/bus/pci/devices/%s", name).s, 1, d->parent,
		       sizeof(d->parent));
}

/* "8086  Intel Corporation" or, behind a tab, a device: the four digits' number. */
static bool take_id(const char *line, size_t len, uint16_t *id)
{
	char digits[5];
	uint64_t number;
	if (len < 7 || line[4] != ' ' || line[5] != ' ') {
		return false;
	}
	memcpy(digits, line, 4);
	digits[4] = '\0';
	if (!number_hex_u64(digits, &number)) {
		return false;
	}
	*id = (uint16_t)number;
	return true;
}

/* Fills in a vendor's name (vendor 0) or a device's; true when somebody has it. */
static bool name_devices(struct hardware *h, const uint16_t *vendor, uint16_t id, const char *name,
			 size_t len)
{
	bool found = false;
	for (size_t i = 0; i < h->n_pci; i++) {
		struct hardware_pci *d = &h->pci[i];
		if (vendor == NULL && d->vendor_id == id) {
			text_clean(d->vendor, sizeof(d->vendor), name, len);
			found = true;
		} else if (vendor != NULL && d->vendor_id == *vendor && d->device_id == id) {
			text_clean(d->device, sizeof(d->device), name, len);
		}
	}
	return found;
}

/* One pass over pci.ids (pciutils: pci.ids(5)). Classes at its end begin with "C ". */
static void read_names(struct hardware *h, const char *ids)
{
	uint16_t vendor = 0, id;
	bool wanted = false;
	for (const char *line = ids; *line != '\0';) {
		size_t len = strcspn(line, "\n");
		if (line[0] == '\t') {
			if (wanted && line[1] != '\t' && take_id(line + 1, len - 1, &id)) {
				name_devices(h, &vendor, id, line + 7, len - 7);
			}
		} else if (line[0] != '#' && len > 0) {
			wanted = take_id(line, len, &vendor) &&
				 name_devices(h, NULL, vendor, line + 6, len - 6);
		}
		line += len + (line[len] == '\n' ? 1 : 0);
	}
}

void hardware_read_pci(struct hardware *h, const char *root)
{
	static const char *const places[] = { "/usr/share/misc/pci.ids",
					      "/usr/share/hwdata/pci.ids" };
	size_t n;
	char **names =
		facts_names(facts_path(root, "/sys/bus/pci/devices").s, HARDWARE_PCI_MAX, &n);
	h->pci = mem_calloc(n + 1, sizeof(h->pci[0]));
	for (size_t i = 0; i < n; i++) {
		struct facts_pci_address a;
		if (facts_pci_parse(names[i], &a)) {
			read_device(&h->pci[h->n_pci++], root, names[i]);
		}
	}
	facts_names_free(names, n);
	struct buf ids = BUF_INIT;
	for (size_t i = 0; i < ARRAY_LEN(places) && ids.len == 0 && h->n_pci > 0; i++) {
		facts_read(facts_path(root, "%s", places[i]).s, PCI_IDS_MAX, &ids);
	}
	read_names(h, ids.data);
	buf_free(&ids);
}

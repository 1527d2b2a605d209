/* SPDX-License-Identifier: Apache-2.0 */
#include "host/hardware.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/board.h"
#include "host/facts.h"
#include "host/node.h"
#include "host/sensors.h"

static const char *data_folder; /* tests/data/sysfs */

/* A recorded tree, unpacked: the root to hand to the readers. */
struct tree {
	char root[64];
	int dir;
};

static void make_parent(const struct tree *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	if (slash != NULL) {
		char *parent = mem_strndup(path, (size_t)(slash - path));
		assert_true(file_make_dirs_beneath(t->dir, parent, NULL));
		free(parent);
	}
}

static int open_file(const struct tree *t, const char *path)
{
	make_parent(t, path);
	int fd = openat(t->dir, path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (fd < 0) {
		fail_msg("%s", path);
	}
	return fd;
}

static void make_link(const struct tree *t, const char *line)
{
	const char *blank = strchr(line, ' ');
	char *path = mem_strndup(line, (size_t)(blank - line));
	make_parent(t, path);
	assert_int_equal(symlinkat(blank + 1, t->dir, path), 0);
	free(path);
}

static void unpack_line(const struct tree *t, const char *line, int *fd)
{
	if (line[0] == '|') {
		assert_true(file_write_all(*fd, line + 1, strlen(line + 1), "", NULL));
		assert_true(file_write_all(*fd, "\n", 1, "", NULL));
		return;
	}
	if (*fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	if (strncmp(line, "file ", 5) == 0) {
		*fd = open_file(t, line + 5);
	} else if (strncmp(line, "link ", 5) == 0) {
		make_link(t, line + 5);
	} else if (strncmp(line, "dir ", 4) == 0) {
		assert_true(file_make_dirs_beneath(t->dir, line + 4, NULL));
	}
}

static struct tree unpack_text(char *text)
{
	struct tree t = { .root = "/tmp/hardware_test_XXXXXX" };
	int fd = -1;
	assert_non_null(mkdtemp(t.root));
	t.dir = open(t.root, O_RDONLY | O_DIRECTORY);
	for (char *line = text; *line != '\0';) {
		char *end = line + strcspn(line, "\n");
		*end = '\0';
		unpack_line(&t, line, &fd);
		line = end + 1;
	}
	if (fd >= 0) {
		close(fd);
	}
	return t;
}

static struct tree unpack(const char *name)
{
	struct buf b = BUF_INIT;
	char *path = mem_printf("%s/%s", data_folder, name);
	assert_true(file_read(path, 1 << 20, &b, NULL));
	struct tree t = unpack_text(b.data);
	free(path);
	buf_free(&b);
	return t;
}

static void drop(struct tree *t)
{
	close(t->dir);
	file_remove_tree_at(AT_FDCWD, t->root, NULL);
}

static void check_server_cpu(const struct hardware *h)
{
	assert_string_equal(h->cpu.vendor, "intel");
	assert_string_equal(h->cpu.model, "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz");
	assert_string_equal(h->cpu.architecture, "x86_64");
	assert_int_equal(h->cpu.family, 6);
	assert_int_equal(h->cpu.model_id, 106);
	assert_int_equal(h->cpu.x86_level, 4);
	assert_int_equal(h->cpu.hz, 2000000000);
	assert_int_equal(h->cpu.n_packages, 2);
	assert_int_equal(h->cpu.n_cores, 4);
	assert_int_equal(h->cpu.n_threads, 8);
	assert_int_equal(h->cpu.packages[1].n_cores, 2);
	assert_int_equal(h->cpu.packages[1].threads[3], 7);
	assert_true(h->cpu.virtualization);
	assert_int_equal(h->n_numa, 2);
	assert_int_equal(h->numa[1].memory, 64ull << 30);
	assert_int_equal(h->numa[1].n_cpus, 4);
	assert_int_equal(h->numa[1].cpus[2], 6);
}

static void check_server_devices(const struct hardware *h)
{
	assert_int_equal(h->n_pci, 7);
	const struct hardware_pci *p = &h->pci[3];
	assert_string_equal(p->address, "0000:3b:00.0");
	assert_int_equal(p->bus, 0x3b);
	assert_int_equal(p->class_id, 0x0200);
	assert_int_equal(p->vendor_id, 0x15b3);
	assert_int_equal(p->subdevice_id, 0x83);
	assert_string_equal(p->vendor, "Mellanox Technologies");
	assert_string_equal(p->device,
			    "MT42822 BlueField-2 integrated ConnectX-6 Dx network controller");
	assert_string_equal(p->driver, "mlx5_core");
	assert_string_equal(p->parent, "0000:00:1c.0");
	assert_string_equal(h->pci[0].parent, "");
	assert_int_equal(h->n_nics, 2); /* no virtual function, representor, bridge, tap */
	assert_string_equal(h->nics[0].name, "ens1f0np0");
	assert_string_equal(h->nics[0].mac, "b8:ce:f6:00:00:01");
	assert_string_equal(h->nics[0].pci, "0000:3b:00.0");
	assert_string_equal(h->nics[0].driver, "mlx5_core");
	assert_int_equal(h->nics[0].speed_mbps, 100000);
	assert_true(h->nics[0].link_up && h->nics[0].full_duplex);
	assert_int_equal(h->nics[1].speed_mbps, 0);
	assert_int_equal(h->n_blocks, 1);
	assert_string_equal(h->blocks[0].name, "nvme0n1");
	assert_string_equal(h->blocks[0].model, "Dell Ent NVMe PM1735a MU 1.6TB");
	assert_string_equal(h->blocks[0].serial, "S6UCNE0R900123");
	assert_int_equal(h->blocks[0].size, 3750748848ull * 512);
	assert_true(h->blocks[0].ssd);
}

static void test_server(void **state)
{
	(void)state;
	struct tree t = unpack("x86-server.tree");
	struct hardware h;
	hardware_read(&h, t.root);
	check_server_cpu(&h);
	check_server_devices(&h);
	assert_string_equal(h.system.vendor, "Dell Inc.");
	assert_string_equal(h.system.model, "PowerEdge R750");
	assert_string_equal(h.system.serial, "7XKQ1Z3");
	assert_string_equal(h.system.uuid, "4c4c4544-0058-4b10-8051-b7c04f315a33");
	assert_string_equal(h.system.bios_date, "2022-11-17");
	assert_true(h.system.uefi);
	assert_string_equal(h.os.kernel, "6.1.0-18-amd64");
	assert_string_equal(h.os.name, "Debian GNU/Linux 12 (bookworm)");
	assert_string_equal(h.os.version, "12");
	assert_string_equal(h.os.hostname, "esx-like-01");
	assert_int_equal(h.os.boot_time, 1700000000);
	assert_int_equal(h.memory, 131072000ull * 1024);
	hardware_fini(&h);
	drop(&t);
}

static void test_raspberry_pi(void **state)
{
	(void)state;
	struct tree t = unpack("raspberry-pi-4.tree");
	struct hardware h;
	hardware_read(&h, t.root);
	assert_string_equal(h.cpu.model, "Cortex-A72");
	assert_string_equal(h.cpu.vendor, "arm");
	assert_string_equal(h.cpu.architecture, "aarch64");
	assert_int_equal(h.cpu.n_packages, 1);
	assert_int_equal(h.cpu.n_cores, 4);
	assert_int_equal(h.cpu.hz, 1800000000);
	assert_int_equal(h.cpu.x86_level, 0);
	assert_false(h.cpu.virtualization);
	assert_string_equal(h.system.vendor, "Raspberry Pi");
	assert_string_equal(h.system.model, "Raspberry Pi 4 Model B Rev 1.4");
	assert_string_equal(h.system.serial, "10000000abcdef01");
	assert_string_equal(h.system.uuid, "");
	assert_int_equal(h.n_numa, 0);
	assert_int_equal(h.n_pci, 0);
	assert_int_equal(h.n_nics, 1); /* not the radio */
	assert_string_equal(h.nics[0].driver, "bcmgenet");
	assert_string_equal(h.nics[0].pci, "");
	assert_int_equal(h.n_blocks, 1);
	assert_string_equal(h.blocks[0].model, "SD32G");
	assert_string_equal(h.board->id, "raspberry-pi-4");
	hardware_fini(&h);
	drop(&t);
}

static void put_bytes(const struct tree *t, const char *path, const void *data, size_t size)
{
	int fd = open_file(t, path);
	assert_true(file_write_all(fd, data, size, path, NULL));
	close(fd);
}

static const char tables[] = "sys/firmware/dmi/tables/DMI";

/* A structure of SMBIOS; its strings are the caller's. Returns the size. */
static size_t processor_make(uint8_t out[64], uint8_t status, unsigned speed, unsigned most)
{
	memset(out, 0, 64);
	out[0] = 4;
	out[1] = 0x30;
	out[0x14] = (uint8_t)most;
	out[0x15] = (uint8_t)(most >> 8);
	out[0x16] = (uint8_t)speed;
	out[0x17] = (uint8_t)(speed >> 8);
	out[0x18] = status;
	return 0x30;
}

static void check_card(const struct hardware *h)
{
	assert_string_equal(h->board->id, "qemu-virt");
	assert_string_equal(h->system.vendor, "QEMU");
	assert_string_equal(h->system.serial, "");
	assert_string_equal(h->system.uuid, "");
	assert_string_equal(h->cpu.model, "Cortex-A72");
	assert_int_equal(h->cpu.n_threads, 4);
	assert_int_equal(h->n_pci, 3);
	assert_string_equal(h->pci[0].device, "QEMU PCIe Host bridge");
	assert_string_equal(h->pci[2].vendor, "Red Hat, Inc.");
	assert_string_equal(h->pci[2].device, "Virtio network device");
	assert_string_equal(h->pci[2].driver, "virtio-pci");
	assert_int_equal(h->pci[2].class_id, 0x200);
}

static void check_no_sensors(const char *root)
{
	static struct sensors s;
	sensors_read(&s, root);
	assert_int_equal(s.n + s.n_memory, 0);
}

/* As seen on the emulated card that boots our image. */
static void test_card_by_acpi(void **state)
{
	(void)state;
	struct tree t = unpack("virt-acpi.tree");
	struct hardware h;
	uint8_t processor[64];
	size_t n = processor_make(processor, 0x41, 2000, 2000);
	put_bytes(&t, tables, processor, n + 2);
	hardware_read(&h, t.root);
	check_card(&h);
	check_no_sensors(t.root);
	assert_string_equal(h.system.model, "QEMU Virtual Machine");
	assert_string_equal(h.system.bios_vendor, "EFI Development Kit II / OVMF");
	assert_string_equal(h.system.bios_version, "0.0.0");
	assert_string_equal(h.system.bios_date, "2015-02-06");
	assert_true(h.system.uefi);
	assert_int_equal(h.cpu.hz, 2000000000);
	hardware_fini(&h);
	drop(&t);
}

static void test_card_by_device_tree(void **state)
{
	(void)state;
	struct tree t = unpack("virt-tree.tree");
	struct hardware h;
	hardware_read(&h, t.root);
	check_card(&h);
	check_no_sensors(t.root);
	assert_string_equal(h.system.model, "QEMU virt");
	assert_string_equal(h.system.bios_vendor, "");
	assert_string_equal(h.system.bios_date, "");
	assert_false(h.system.uefi);
	assert_int_equal(h.cpu.hz, 0); /* nobody says */
	hardware_fini(&h);
	drop(&t);
}

/* Trees of nothing but what identifies a board. */
static const struct {
	const char *id;	   /* NULL: none */
	const char *lines; /* of a tree */
} board_trees[] = {
	{ "bluefield-2", "file sys/bus/acpi/devices/MLNXBF22:00/hid\n|MLNXBF22\n"
			 "file sys/class/dmi/id/product_name\n|BlueField SoC\n" },
	{ "bluefield-3", "file sys/bus/acpi/devices/MLNXBF33:00/hid\n|MLNXBF33\n" },
	{ "pensando-elba", "file proc/device-tree/compatible\n"
			   "|amd,pensando-elba-ortano\n|amd,pensando-elba\n" },
	{ "octeon-9", "file sys/bus/pci/devices/0002:01:00.0/vendor\n|0x177d\n"
		      "file sys/bus/pci/devices/0002:01:00.0/device\n|0xa065\n"
		      "file sys/bus/pci/devices/0002:01:00.0/subsystem_device\n|0xb200\n" },
	{ "octeon-10", "file sys/bus/pci/devices/0002:01:00.0/vendor\n|0x177d\n"
		       "file sys/bus/pci/devices/0002:01:00.0/device\n|0xa065\n"
		       "file sys/bus/pci/devices/0002:01:00.0/subsystem_device\n|0xb900\n" },
	{ "ipu-e2000", "file sys/bus/pci/devices/0000:00:01.0/vendor\n|0x8086\n"
		       "file sys/bus/pci/devices/0000:00:01.0/device\n|0x1452\n" },
	{ "octeon-10", "file sys/bus/pci/devices/0002:01:00.0/vendor\n|0x177d\n"
		       "file sys/bus/pci/devices/0002:01:00.0/device\n|0xa065\n"
		       "file sys/bus/pci/devices/0002:01:00.0/subsystem_device\n|0xba00\n" },
	{ NULL, "file sys/bus/pci/devices/0002:01:00.0/vendor\n|0x177d\n"
		"file sys/bus/pci/devices/0002:01:00.0/device\n|0xa065\n"
		"file sys/bus/pci/devices/0002:01:00.0/subsystem_device\n|0xc220\n" },
	{ "ipu-e2000", "file sys/bus/pci/devices/0000:00:01.0/vendor\n|0x8086\n"
		       "file sys/bus/pci/devices/0000:00:01.0/device\n|0x1453\n" },
	{ "altra", "file sys/firmware/acpi/tables/MCFG\n"
		   "|MCFG....r.AmpereAltra   0000aaaa0000\n"
		   "file sys/bus/pci/devices/0000:00:01.0/vendor\n|0x8086\n"
		   "file sys/bus/pci/devices/0000:00:01.0/device\n|0x1452\n" },
	{ "raspberry-pi-4", "file sys/class/dmi/id/product_name\n"
			    "|Raspberry Pi 4 Model B\n" },
	{ "raspberry-pi-5", "file proc/device-tree/compatible\n"
			    "|raspberrypi,5-model-b\n|brcm,bcm2712\n" },
	{ "qemu-virt", "file proc/device-tree/compatible\n|linux,dummy-virt\n" },
	{ NULL, "file proc/device-tree/compatible\n|brcm,bcm27112\n"
		"file sys/firmware/acpi/tables/MCFG\n|MCFG\n"
		"file sys/bus/pci/devices/0000:03:00.0/vendor\n|0x15b3\n"
		"file sys/bus/pci/devices/0000:03:00.0/device\n|0xa2d6\n" },
};

static const char arm_cpu[] = "file proc/cpuinfo\n|processor : 0\n|CPU implementer : 0x41\n"
			      "|CPU part : 0xd0c\n";
static const char other_cpu[] = "file proc/cpuinfo\n|processor : 0\n|CPU implementer : 0x41\n"
				"|CPU part : 0xd4f\n";
static const char x86_cpu[] = "file proc/cpuinfo\n|processor : 0\n|vendor_id : GenuineIntel\n";

static const struct board *board_of(const char *cpu, const char *lines)
{
	struct hardware h;
	char *text = mem_printf("%s%s", cpu, lines);
	struct tree t = unpack_text(text);
	hardware_read(&h, t.root);
	const struct board *b = h.board;
	hardware_fini(&h);
	drop(&t);
	free(text);
	return b;
}

static void test_boards(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(board_trees); i++) {
		const struct board *b = board_of(arm_cpu, board_trees[i].lines);
		const char *id = board_trees[i].id;
		if ((b == NULL) != (id == NULL) || (b != NULL && strcmp(b->id, id) != 0)) {
			fail_msg("%s: taken for %s", id ? id : "none", b ? b->id : "none");
		}
		/* A server with such a card in it is not the card. */
		assert_null(board_of(x86_cpu, board_trees[i].lines));
		b = board_of(other_cpu, board_trees[i].lines);
		if (id != NULL && strcmp(id, "ipu-e2000") == 0) {
			assert_null(b); /* its functions are seen by Arm servers, too */
		}
	}
}

static void test_nonsense_is_left_out(void **state)
{
	(void)state;
	struct tree t = unpack("bare.tree");
	struct hardware h;
	hardware_read(&h, t.root);
	assert_string_equal(h.cpu.model, "");
	assert_int_equal(h.cpu.hz, 0);
	assert_int_equal(h.cpu.n_threads, HARDWARE_CPUS_MAX); /* the kernel said more */
	assert_string_equal(h.system.vendor, "");
	assert_string_equal(h.system.uuid, "");
	assert_string_equal(h.system.bios_date, "");
	assert_int_equal(h.n_nics, 0);
	assert_int_equal(h.n_pci, 1);
	assert_int_equal(h.pci[0].vendor_id, 0);
	assert_int_equal(h.n_blocks, 1);
	assert_int_equal(h.blocks[0].size, 0);
	assert_int_equal(h.memory, 1ull << 30);
	assert_string_equal(h.os.kernel, "");
	hardware_fini(&h);
	drop(&t);
}

static uint64_t hz_of(const char *path, const void *data, size_t size)
{
	struct hardware h;
	char *text = mem_printf("%s", arm_cpu);
	struct tree t = unpack_text(text);
	free(text);
	put_bytes(&t, path, data, size);
	hardware_read(&h, t.root);
	uint64_t hz = h.cpu.hz;
	hardware_fini(&h);
	drop(&t);
	return hz;
}

static void test_speed_by_smbios(void **state)
{
	uint8_t t[256] = { 1, 8, 0, 0, 'x', 0, 0, 4, 'a', 0, 'b', 0, 0 }, *p = t + 13;

	(void)state;
	/* A socket that is empty, then one that says only how fast it can be. */
	p += processor_make(p, 0x00, 3000, 3000);
	p += 2;
	size_t n = processor_make(p, 0x41, 0, 3300);
	assert_int_equal(hz_of(tables, t, (size_t)(p - t) + n + 2), 3300000000);
	/* Cut off anywhere it says nothing, or the same; never more. */
	for (size_t size = 1; size < (size_t)(p - t) + n; size++) {
		assert_int_equal(hz_of(tables, t, size), 0);
	}
	n = processor_make(t, 0x41, 2600, 3300);
	assert_int_equal(hz_of(tables, t, n), 2600000000);
	t[1] = 0x18; /* too short for a status */
	assert_int_equal(hz_of(tables, t, n), 0);
	t[1] = 3; /* shorter than its head */
	assert_int_equal(hz_of(tables, t, n), 0);
	t[1] = 0xff;
	assert_int_equal(hz_of(tables, t, n), 0);
	memset(t, 0, sizeof(t));
	assert_int_equal(hz_of(tables, t, sizeof(t)), 0);
}

static void test_speed_by_device_tree(void **state)
{
	static const char node[] = "proc/device-tree/cpus/cpu@0/clock-frequency";
	(void)state;
	assert_int_equal(hz_of(node, "\x59\x68\x2f\x00", 4), 1500000000);
	assert_int_equal(hz_of(node, "\x00\x00\x00\x00\xb2\xd0\x5e\x00", 8), 3000000000);
	assert_int_equal(hz_of(node, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), 0);
	assert_int_equal(hz_of(node, "\x59\x68\x2f", 3), 0);
	assert_int_equal(hz_of(node, "", 0), 0);
	assert_int_equal(
		hz_of("proc/device-tree/cpus/idle-states/clock-frequency", "\x59\x68\x2f\x00", 4),
		0);
}

static void test_nothing_at_all(void **state)
{
	(void)state;
	struct hardware h;
	struct hardware_usage u;
	hardware_read(&h, "/nonexistent");
	assert_int_equal(h.cpu.n_threads, 0);
	assert_int_equal(h.memory, 0);
	hardware_fini(&h);
	assert_false(hardware_usage_read(&u, "/nonexistent"));
}

static void test_this_machine(void **state)
{
	(void)state;
	struct hardware h;
	struct hardware_usage u;
	hardware_read(&h, "");
	assert_true(h.cpu.n_threads > 0 && h.cpu.n_packages > 0 && h.memory > 0);
	assert_true(h.cpu.n_cores <= h.cpu.n_threads);
	assert_true(h.os.kernel[0] != '\0' && h.os.boot_time > 1000000000);
	assert_true(hardware_usage_read(&u, ""));
	assert_true(u.memory_available <= u.memory_total && u.memory_total == h.memory);
	hardware_fini(&h);
}

static void test_usage(void **state)
{
	(void)state;
	struct tree t = unpack("x86-server.tree");
	struct hardware_usage u;
	assert_true(hardware_usage_read(&u, t.root));
	assert_int_equal(u.cpu_total_ticks, 9625);
	assert_int_equal(u.cpu_busy_ticks, 1535);
	assert_int_equal(u.uptime_s, 86400);
	assert_true(u.load_1 > 0.51 && u.load_1 < 0.53 && u.load_15 > 1.9);
	assert_int_equal(u.memory_available, 100000000ull * 1024);
	struct hardware_usage later = u;
	later.cpu_total_ticks += 200;
	later.cpu_busy_ticks += 50;
	double percent = hardware_cpu_percent(&u, &later);
	assert_true(percent > 24.9 && percent < 25.1);
	assert_true(hardware_cpu_percent(&later, &u) == 0);
	drop(&t);
}

static void test_lists_and_addresses(void **state)
{
	(void)state;
	size_t n;
	struct facts_pci_address a;
	unsigned *list = facts_list("0-2,5,5,7-6,x,9-99999999999999999999,3", 8, &n);
	assert_int_equal(n, 5);
	assert_int_equal(list[4], 5);
	free(list);
	list = facts_list("", 8, &n);
	assert_int_equal(n, 0);
	free(list);
	assert_true(facts_pci_parse("10000:e1:1f.7", &a));
	assert_int_equal(a.domain, 0x10000);
	assert_int_equal(a.function, 7);
	assert_false(facts_pci_parse("0000:00:1f", &a));
	assert_false(facts_pci_parse("0000:00:1f.0x", &a));
	assert_false(facts_pci_parse("000:00:1f.0", &a));
	assert_false(facts_pci_parse("", &a));
}

static void test_makes_a_node(void **state)
{
	(void)state;
	struct tree t = unpack("raspberry-pi-4.tree");
	struct tree u = unpack("x86-server.tree");
	struct node n, again;
	struct error e = { 0 };
	assert_int_equal(mkdirat(t.dir, "state", 0700), 0);
	assert_int_equal(mkdirat(u.dir, "state", 0700), 0);
	char *folder = mem_printf("%s/state", t.root);
	assert_true(node_load_or_make(folder, t.root, &n, &e));
	assert_string_equal(n.name, "pi");
	assert_int_equal(n.role, NODE_SERVER);
	assert_int_equal(n.cpus, 4);
	assert_int_equal(n.memory_mib, 7995680 / 1024);
	assert_int_equal(strlen(n.uuid), 36);
	assert_true(n.port == 443 || n.port == 8443);
	assert_true(node_load_or_make(folder, "/nonexistent", &again, &e));
	assert_memory_equal(&n, &again, sizeof(n));
	free(folder);
	folder = mem_printf("%s/state", u.root);
	assert_true(node_load_or_make(folder, u.root, &n, &e));
	assert_string_equal(n.uuid, "4c4c4544-0058-4b10-8051-b7c04f315a33");
	assert_int_equal(unlinkat(u.dir, "state/node.json", 0), 0);
	assert_false(node_load_or_make(folder, "/nonexistent", &n, &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	free(folder);
	drop(&t);
	drop(&u);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_raspberry_pi),
		cmocka_unit_test(test_boards),
		cmocka_unit_test(test_card_by_acpi),
		cmocka_unit_test(test_card_by_device_tree),
		cmocka_unit_test(test_nonsense_is_left_out),
		cmocka_unit_test(test_nothing_at_all),
		cmocka_unit_test(test_this_machine),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_lists_and_addresses),
		cmocka_unit_test(test_makes_a_node),
		cmocka_unit_test(test_speed_by_smbios),
		cmocka_unit_test(test_speed_by_device_tree),
	};
	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER-OF-RECORDED-TREES\n", argv[0]);
		return 2;
	}
	data_folder = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}

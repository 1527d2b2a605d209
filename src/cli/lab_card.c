/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Emulated cards of the lab: 64-bit Arm machines with EL2, as QEMU's "virt" board has it, that boot
 * the image (image/build) from a disk of their own. What such a card is comes from remora.conf on
 * its boot partition, as on a real one.
 */
#include "cli/lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/process.h"

enum {
	READY_S = 240,
	POLL_MS = 500,
	BOOT_AT_MIB = 1, /* where the boot partition begins (image/build) */
	FABRIC_MTU = 1700,
	MIB = 1 << 20,
	COPY_BYTES = 1 << 20,
};

#define DISK_BYTES (INT64_C(6) << 30)
/* Administered locally; the last part of the card's address and the interface's number in it tell
 * them apart: QEMU gives every machine the same ones. */
#define CARD_MAC "02:52:4c:00:%02x:0"

/* ---- the image ---- */

/* Path of a file of the image, built beside us or installed; NULL: there is none. */
static char *image_file(const struct lab *lab, const char *name)
{
	static const char *const places[] = { "image/arm64", "../share/remora/image/arm64" };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		char *path = mem_printf("%s/%s/%s", lab->bin, places[i], name);
		if (access(path, R_OK) == 0) {
			return path;
		}
		free(path);
	}
	return NULL;
}

static bool copy_bytes(int from, int to, const char *path, struct error *e)
{
	char *bytes = mem_zalloc(COPY_BYTES);
	static const char zeros[4096];
	off_t at = 0;
	ssize_t n;
	bool good = true;

	/* Holes stay holes: most of a boot partition is one. */
	while (good && (n = pread(from, bytes, COPY_BYTES, at)) > 0) {
		for (ssize_t k = 0; good && k < n; k += (ssize_t)sizeof(zeros)) {
			size_t len = MIN((size_t)(n - k), sizeof(zeros));
			good = memcmp(bytes + k, zeros, len) == 0 ||
			       pwrite(to, bytes + k, len, at + k) == (ssize_t)len ||
			       error_set_sys(e, errno, "\"%s\"", path);
		}
		at += n;
	}
	free(bytes);
	return good && (ftruncate(to, DISK_BYTES) == 0 || error_set_sys(e, errno, "\"%s\"", path));
}

static bool disk_make(const struct lab *lab, const char *path, struct error *e)
{
	char *image = image_file(lab, "remora.img"), *part = mem_printf("%s.part", path);
	bool good = false;

	if (image == NULL) {
		error_set(e, ERROR_NOT_FOUND,
			  "there is no image in \"%s/image/arm64\": \"make lab ARCH=arm64\" builds "
			  "it",
			  lab->bin);
	} else {
		int from = open(image, O_RDONLY | O_CLOEXEC);
		int to = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		good = from >= 0 && to >= 0 ? copy_bytes(from, to, part, e)
					    : error_set_sys(e, errno, "\"%s\"", part);
		if (from >= 0) {
			close(from);
		}
		if (to >= 0) {
			close(to);
		}
		good = good && (rename(part, path) == 0 || error_set_sys(e, errno, "\"%s\"", path));
	}
	free(image);
	free(part);
	return good;
}

/* ---- settings ---- */

struct ending {
	bool is_over, is_good;
};

static void copy_over(void *arg, const struct process_exit *how)
{
	struct ending *end = arg;

	end->is_over = true;
	end->is_good = how->is_known && how->status == 0 && how->signal == 0;
}

/* The file into the disk's boot partition, by mtools. */
static bool settings_put(const char *disk, const char *file, struct error *e)
{
	char *where = mem_printf("%s@@%dM", disk, BOOT_AT_MIB);
	const char *argv[] = { "mcopy", "-o", "-m", "-i", where, file, "::remora.conf", NULL };
	struct ending end = { 0 };
	uv_loop_t loop;

	uv_loop_init(&loop);
	struct process *p =
		process_spawn(&loop, &(struct process_options){ .argv = argv }, copy_over, &end, e);
	while (p != NULL && !end.is_over && uv_run(&loop, UV_RUN_ONCE) != 0) {
	}
	if (p != NULL && !end.is_good) {
		error_set(e, ERROR_IO, "mcopy could not write remora.conf into \"%s\"", disk);
	}
	process_free(p);
	uv_run(&loop, UV_RUN_NOWAIT);
	uv_loop_close(&loop);
	free(where);
	return end.is_good;
}

bool lab_card_prepare(const struct lab *lab, const struct lab_node *n, const char *uuid,
		      struct error *e)
{
	char *disk = lab_path(lab, "nodes/%s/disk.img", n->name);
	char *file = lab_path(lab, "nodes/%s/remora.conf", n->name);
	struct buf text = BUF_INIT;

	buf_addf(&text,
		 "# Written by remora lab at each start of the card.\n"
		 "hostname = %s\nuuid = %s\nrole = %s\npassword = %s\n"
		 "interface = eth0\naddress = 10.0.2.15/24\ngateway = 10.0.2.2\nport = %d\n"
		 "uplinks = eth1\nendpoint = %s\n"
		 "migration_interface = eth2\nmigration_address = %s\n",
		 n->name, uuid, n->role, lab->password, LAB_PORT, n->endpoint, n->migration);
	bool good = (access(disk, F_OK) == 0 || disk_make(lab, disk, e)) &&
		    file_write_atomic(file, text.data, text.len, 0600, e) &&
		    settings_put(disk, file, e);
	buf_free(&text);
	free(disk);
	free(file);
	return good;
}

/* ---- the machine ---- */

void lab_card_argv(const struct lab *lab, const struct lab_node *n, struct arena *words,
		   const char *argv[LAB_CARD_ARGS])
{
	char *folder = lab_path(lab, "nodes/%s", n->name), *wire = lab_switch_socket(lab, n);
	char *moves = lab_switch_migration_socket(lab, n);
	char *kernel = image_file(lab, "kernel"), *initrd = image_file(lab, "initrd");
	unsigned card = ntohl(inet_addr(n->address)) & 0xff;
	const char *const all[] = {
		n->program,
		"-name",
		n->name,
		"-nodefaults",
		"-display",
		"none",
		"-no-user-config",
		"-machine",
		"virt,virtualization=on,gic-version=3",
		"-cpu",
		n->cpu,
		"-accel",
		"tcg,thread=multi",
		"-smp",
		arena_printf(words, "%u", n->cpus),
		"-m",
		arena_printf(words, "%u", n->memory_mib),
		"-kernel",
		arena_printf(words, "%s", kernel == NULL ? "" : kernel),
		"-initrd",
		arena_printf(words, "%s", initrd == NULL ? "" : initrd),
		"-append",
		"console=ttyAMA0 quiet panic=10",
		"-chardev",
		arena_printf(words,
			     "socket,id=console,server=on,wait=off,path=%s/console.sock,"
			     "logfile=%s/console.log,logappend=on",
			     folder, folder),
		"-serial",
		"chardev:console",
		"-qmp",
		arena_printf(words, "unix:%s/qmp.sock,server=on,wait=off", folder),
		"-drive",
		arena_printf(words,
			     "file=%s/disk.img,if=none,id=disk,format=raw,"
			     "discard=unmap",
			     folder),
		"-device",
		"virtio-blk-pci,drive=disk",
		"-netdev",
		arena_printf(words, "user,id=management,restrict=on,hostfwd=tcp:%s:%d-:%d",
			     n->address, LAB_PORT, LAB_PORT),
		"-device",
		arena_printf(words, "virtio-net-pci,netdev=management,romfile=,mac=" CARD_MAC "0",
			     card),
		"-netdev",
		arena_printf(words,
			     "stream,id=uplink,server=on,addr.type=unix,"
			     "addr.path=%s",
			     wire),
		"-device",
		arena_printf(words,
			     "virtio-net-pci,netdev=uplink,romfile=,mac=" CARD_MAC "1,host_mtu=%d,"
			     "csum=off,guest_csum=off,gso=off",
			     card, FABRIC_MTU),
		"-netdev",
		arena_printf(words, "stream,id=migration,server=on,addr.type=unix,addr.path=%s",
			     moves),
		"-device",
		arena_printf(words,
			     "virtio-net-pci,netdev=migration,romfile=,mac=" CARD_MAC "2,"
			     "csum=off,guest_csum=off,gso=off",
			     card),
		NULL,
	};

	_Static_assert(ARRAY_LEN(all) <= LAB_CARD_ARGS, "room for all words");
	memcpy(argv, all, sizeof(all));
	free(folder);
	free(wire);
	free(moves);
	free(kernel);
	free(initrd);
}

/* The card's console has said something: before that its network cannot be up, and a connection
 * that QEMU takes for it would hang. */
static bool has_spoken(const struct lab *lab, const struct lab_node *n)
{
	char *log = lab_path(lab, "nodes/%s/console.log", n->name);
	struct stat st;
	bool spoke = stat(log, &st) == 0 && st.st_size > 0;

	free(log);
	return spoke;
}

bool lab_card_ready(const struct lab *lab, const struct lab_node *n, struct error *e)
{
	int64_t end = clock_mono_us(clock_real()) + READY_S * INT64_C(1000000);

	for (;;) {
		struct remote *r = has_spoken(lab, n) ? lab_node_connect(lab, n, e) : NULL;
		if (r != NULL) {
			remote_close(r);
			return true;
		}
		if (!lab_node_is_running(lab, n)) {
			return error_set(e, ERROR_STATE,
					 "\"%s\" ended at its start: see %s/nodes/%s/log", n->name,
					 lab->folder, n->name);
		}
		if (clock_mono_us(clock_real()) > end) {
			return error_set(e, ERROR_TIMEOUT,
					 "\"%s\" did not let us in at %s:%d in %d s: see "
					 "%s/nodes/%s/console.log",
					 n->name, n->address, LAB_PORT, READY_S, lab->folder,
					 n->name);
		}
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places on the PCI bus (the same on pc and virt):
 *   0 host bridge, 1 PIIX3 with IDE (pc), 2 VGA (pc),
 *   3..6 SCSI buses 0..3 (function 1: units 8 to 15 where the controller has only 8),
 *   7..10 SATA, 11..14 NVMe, 15..24 NICs by key 4000..4009.
 */
#include "host/qemu_argv.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"

#define SLOT_VGA      2
#define SLOT_SCSI     3
#define SLOT_SATA     7
#define SLOT_NVME     11
#define SLOT_NIC      QEMU_ARGV_NIC_SLOT
#define NIC_KEY_FIRST QEMU_ARGV_NIC_KEY
#define SCSI_UNITS    8 /* targets of an LSI controller as QEMU has it */

/* What QEMU puts there; also the index into hbas. */
enum hba {
	HBA_LSI,
	HBA_PVSCSI,
	HBA_LSISAS,
	HBA_VIRTIO,
	HBA_IDE,
	HBA_AHCI,
	HBA_VIRTIO_ATA, /* what IDE and AHCI are to firmware that knows neither */
	HBA_NVME,
};

static const struct {
	const char *device, *prefix;
	unsigned slot, width; /* of the first bus; units a device takes */
} hbas[] = {
	[HBA_LSI] = { "lsi53c895a", "scsi", SLOT_SCSI, SCSI_UNITS },
	[HBA_PVSCSI] = { "pvscsi", "scsi", SLOT_SCSI, 16 },
	[HBA_LSISAS] = { "mptsas1068", "scsi", SLOT_SCSI, SCSI_UNITS },
	[HBA_VIRTIO] = { "virtio-scsi-pci", "scsi", SLOT_SCSI, 16 },
	[HBA_IDE] = { NULL, "ide", 0, 2 },
	[HBA_AHCI] = { "ich9-ahci", "sata", SLOT_SATA, 6 },
	[HBA_VIRTIO_ATA] = { "virtio-scsi-pci", "sata", SLOT_SATA, 64 },
	[HBA_NVME] = { "nvme", "nvme", SLOT_NVME, 64 },
};

struct args {
	VEC(char *) words;
	const struct machine_spec *spec;
	const struct qemu_argv_options *options;
	unsigned next_boot;		       /* bootindex to give next */
	unsigned disk_boot[MACHINE_DISKS_MAX]; /* by place in the spec; 0: does not boot */
	unsigned nic_boot[MACHINE_NICS_MAX];
	bool is_built[HBA_NVME + 1][MACHINE_BUSES_MAX][2];
};

static void add(struct args *a, const char *word)
{
	vec_push(&a->words, mem_strdup(word));
}

static void add2(struct args *a, const char *option, const char *value)
{
	add(a, option);
	add(a, value);
}

static void add_buf(struct args *a, const char *option, struct buf *value)
{
	add2(a, option, value->data);
	buf_free(value);
}

/* A value within an option: commas doubled. */
static void buf_add_value(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == ',') {
			buf_addc(b, ',');
		}
		buf_addc(b, *s);
	}
}

static bool has(const char *s)
{
	return s && s[0];
}

void qemu_argv_disk_name(int32_t key, char out[24])
{
	snprintf(out, 24, "disk-%d", key);
}

void qemu_argv_medium_name(int32_t key, char out[24])
{
	snprintf(out, 24, "medium-%d", key);
}

void qemu_argv_nic_name(int32_t key, char out[24])
{
	snprintf(out, 24, "nic-%d", key);
}

void qemu_argv_wire_name(int32_t key, char out[24])
{
	snprintf(out, 24, "wire-%d", key);
}

void qemu_argv_wire_socket_name(int32_t key, char out[24])
{
	snprintf(out, 24, "wire-socket-%d", key);
}

void qemu_argv_file_name(int32_t set, char out[32])
{
	snprintf(out, 32, "/dev/fdset/%d", set);
}

/* ---- files ---- */

static void add_file(struct qemu_files *f, int32_t set, const char *path, int flags)
{
	vec_push(&f->all, (struct qemu_file){ .set = set, .path = path, .flags = flags });
}

static bool has_medium(const struct machine_disk *d)
{
	return has(d->path) && (!d->cdrom || d->connected);
}

static bool is_read_only(const struct machine_disk *d)
{
	return d->read_only || d->cdrom;
}

static const char *serial_file(const struct machine_serial *p)
{
	if (p->kind == MACHINE_SERIAL_SOCKET) {
		return has(p->log) ? p->log : NULL;
	}
	return p->kind == MACHINE_SERIAL_FILE ? p->path : NULL;
}

struct qemu_files qemu_argv_files(const struct machine_spec *s, const struct qemu_argv_options *o)
{
	struct qemu_files f = { 0 };
	if (s->firmware == MACHINE_EFI) {
		add_file(&f, QEMU_FILE_FIRMWARE, o->firmware, O_RDONLY);
		add_file(&f, QEMU_FILE_NVRAM, s->nvram, O_RDWR);
	}
	for (size_t i = 0; i < s->n_serials; i++) {
		const char *path = serial_file(&s->serials[i]);
		if (path) {
			add_file(&f, QEMU_FILE_SERIAL + (int32_t)i, path,
				 O_WRONLY | O_APPEND | O_CREAT);
		}
	}
	for (size_t i = 0; i < s->n_disks; i++) {
		const struct machine_disk *d = &s->disks[i];
		if (has_medium(d)) {
			add_file(&f, d->key, d->path, is_read_only(d) ? O_RDONLY : O_RDWR);
		}
	}
	return f;
}

/* The path goes along for people who look at the command line. */
static void add_files(struct args *a)
{
	struct qemu_files f = qemu_argv_files(a->spec, a->options);
	for (size_t i = 0; i < f.all.n; i++) {
		const struct qemu_file *x = &f.all.items[i];
		struct buf b = BUF_INIT;
		buf_addf(&b, "fd=%d,set=%d,opaque=", a->options->files_fd + (int)i, x->set);
		buf_add_value(&b, x->path);
		add_buf(a, "-add-fd", &b);
	}
	vec_free(&f.all);
}

static bool is_arm(const struct args *a)
{
	return a->spec->arch == MACHINE_AARCH64;
}

static const char *pci_bus(const struct args *a)
{
	return is_arm(a) ? "pcie.0" : "pci.0";
}

/* With what stands in for a controller that this machine or its firmware does not know. */
static enum hba hba_of(const struct args *a, enum machine_controller c)
{
	bool efi = a->spec->firmware == MACHINE_EFI;
	switch (c) {
	case MACHINE_PVSCSI:
		return efi ? HBA_VIRTIO : HBA_PVSCSI;
	case MACHINE_LSISAS:
		return efi ? HBA_VIRTIO : HBA_LSISAS;
	case MACHINE_IDE:
		return is_arm(a) ? HBA_VIRTIO_ATA : HBA_IDE;
	case MACHINE_AHCI:
		return is_arm(a) ? HBA_VIRTIO_ATA : HBA_AHCI; /* AAVMF of Debian 12 has no driver */
	case MACHINE_NVME:
		return HBA_NVME;
	case MACHINE_LSILOGIC:
	case MACHINE_BUSLOGIC:
		break;
	}
	return efi ? HBA_VIRTIO : HBA_LSI;
}

static void add_boot_kind(struct args *a, const struct machine_boot *b)
{
	const struct machine_spec *s = a->spec;
	for (size_t i = 0; b->kind != MACHINE_BOOT_NIC && i < s->n_disks; i++) {
		bool fits = s->disks[i].cdrom == (b->kind == MACHINE_BOOT_CDROM);
		if (fits && (!b->key || b->key == s->disks[i].key) && !a->disk_boot[i]) {
			a->disk_boot[i] = a->next_boot++;
		}
	}
	for (size_t i = 0; b->kind == MACHINE_BOOT_NIC && i < s->n_nics; i++) {
		if ((!b->key || b->key == s->nics[i].key) && !a->nic_boot[i]) {
			a->nic_boot[i] = a->next_boot++;
		}
	}
}

static void order_boot(struct args *a)
{
	static const struct machine_boot usual[] = { { MACHINE_BOOT_DISK, 0 },
						     { MACHINE_BOOT_CDROM, 0 } };
	a->next_boot = 1;
	for (size_t i = 0; i < a->spec->n_boot; i++) {
		add_boot_kind(a, &a->spec->boot[i]);
	}
	for (size_t i = 0; a->spec->n_boot == 0 && i < ARRAY_LEN(usual); i++) {
		add_boot_kind(a, &usual[i]);
	}
}

static void add_identity(struct args *a)
{
	const struct machine_spec *s = a->spec;
	struct buf b = BUF_INIT;
	buf_adds(&b, "guest=");
	buf_add_value(&b, s->name);
	add_buf(a, "-name", &b);
	add2(a, "-uuid", s->uuid);
	add2(a, "-smbios", "type=1,manufacturer=Remora,product=Remora Virtual Machine");
	b = (struct buf)BUF_INIT;
	buf_adds(&b, "type=3,manufacturer=Remora,asset=");
	buf_add_value(&b, s->name);
	add_buf(a, "-smbios", &b);
}

const char *qemu_argv_machine(enum machine_arch arch)
{
	return arch == MACHINE_AARCH64 ? QEMU_ARGV_MACHINE_ARM : QEMU_ARGV_MACHINE_X86;
}

const char *qemu_argv_cpu(enum machine_arch arch, enum machine_accel accel)
{
	if (accel == MACHINE_KVM) {
		return "host";
	}
	return arch == MACHINE_AARCH64 ? "neoverse-n1" : "Nehalem";
}

static void add_platform(struct args *a)
{
	const struct machine_spec *s = a->spec;
	bool kvm = s->accel == MACHINE_KVM;
	if (is_arm(a)) {
		add2(a, "-machine",
		     kvm ? QEMU_ARGV_MACHINE_ARM ",gic-version=host,memory-backend=ram"
			 : QEMU_ARGV_MACHINE_ARM ",gic-version=3,memory-backend=ram");
	} else {
		add2(a, "-machine",
		     QEMU_ARGV_MACHINE_X86 ",hpet=off,vmport=off,memory-backend=ram");
	}
	add2(a, "-cpu", qemu_argv_cpu(s->arch, s->accel));
	add2(a, "-accel", kvm ? "kvm" : "tcg,thread=multi,tb-size=128");
	unsigned cores = s->cores_per_socket ? s->cores_per_socket : 1;
	struct buf b = BUF_INIT;
	buf_addf(&b, "%u,sockets=%u,cores=%u,threads=1", s->vcpus, s->vcpus / cores, cores);
	add_buf(a, "-smp", &b);
	b = (struct buf)BUF_INIT;
	buf_addf(&b, "size=%lluM", (unsigned long long)s->memory_mib);
	add_buf(a, "-m", &b);
	b = (struct buf)BUF_INIT;
	buf_addf(&b, "memory-backend-memfd,id=ram,size=%lluM,share=on",
		 (unsigned long long)s->memory_mib);
	add_buf(a, "-object", &b);
	add2(a, "-rtc", "base=utc");
}

/* Two nodes a file: the host's file and what format it has, never guessed. */
static void add_blockdev(struct args *a, const char *node, int32_t set, bool read_only)
{
	char path[32];
	struct buf b = BUF_INIT;
	qemu_argv_file_name(set, path);
	buf_addf(&b, "driver=raw,node-name=%s,read-only=%s,discard=unmap,file.driver=file,", node,
		 read_only ? "on" : "off");
	buf_addf(&b, "file.locking=on,file.filename=%s", path);
	add_buf(a, "-blockdev", &b);
}

static void add_firmware(struct args *a)
{
	if (a->spec->firmware != MACHINE_EFI) {
		return;
	}
	add_blockdev(a, "firmware", QEMU_FILE_FIRMWARE, true);
	add_blockdev(a, "nvram", QEMU_FILE_NVRAM, false);
	add2(a, "-machine", "pflash0=firmware,pflash1=nvram");
}

/* Namespace 1 belongs to the controller itself: EFI firmware finds its way to no other. */
static void add_first_namespace(const struct args *a, unsigned bus, struct buf *b)
{
	for (size_t i = 0; i < a->spec->n_disks; i++) {
		const struct machine_disk *d = &a->spec->disks[i];
		if (d->controller != MACHINE_NVME || d->bus != bus || d->unit != 0) {
			continue;
		}
		char medium[24];
		qemu_argv_medium_name(d->key, medium);
		buf_addf(b, ",drive=%s", medium);
		if (a->disk_boot[i]) {
			buf_addf(b, ",bootindex=%u", a->disk_boot[i]);
		}
	}
}

/* The controller a disk sits on, made at its first disk; its name into out. */
static void add_controller(struct args *a, const struct machine_disk *d, enum hba h, char out[24])
{
	unsigned part = d->unit / hbas[h].width;
	if (h == HBA_IDE) {
		snprintf(out, 24, "ide.%u", d->bus);
		return;
	}
	/* IDE in another's clothes keeps away from the real ones: from the other end. */
	unsigned bus = d->controller == MACHINE_IDE ? MACHINE_BUSES_MAX - 1 - d->bus : d->bus;
	snprintf(out, 24, part ? "%s%ub" : "%s%u", hbas[h].prefix, bus);
	if (a->is_built[h][bus][part]) {
		return;
	}
	a->is_built[h][bus][part] = true;
	struct buf b = BUF_INIT;
	buf_addf(&b, "%s,id=%s,bus=%s,addr=%02x.%u", hbas[h].device, out, pci_bus(a),
		 hbas[h].slot + bus, part);
	if (hbas[h].slot == SLOT_SCSI && hbas[h].width == SCSI_UNITS && part == 0) {
		buf_adds(&b, ",multifunction=on");
	}
	if (h == HBA_NVME) {
		buf_addf(&b, ",serial=remora-nvme%u", bus);
		add_first_namespace(a, bus, &b);
	}
	add_buf(a, "-device", &b);
}

/* Function 0 of a slot must be there for its function 1 to be seen. */
static void add_controllers(struct args *a, const struct machine_disk *d, enum hba h, char out[24])
{
	struct machine_disk first = *d;
	first.unit = 0;
	add_controller(a, &first, h, out);
	add_controller(a, d, h, out);
}

static void add_disk(struct args *a, size_t i)
{
	const struct machine_disk *d = &a->spec->disks[i];
	enum hba h = hba_of(a, d->controller);
	char name[24], medium[24], controller[24];
	qemu_argv_disk_name(d->key, name);
	qemu_argv_medium_name(d->key, medium);
	if (has_medium(d)) {
		add_blockdev(a, medium, d->key, is_read_only(d));
	}
	add_controllers(a, d, h, controller);
	if (h == HBA_NVME && d->unit == 0) {
		return;
	}
	struct buf b = BUF_INIT;
	switch (h) {
	case HBA_NVME:
		buf_addf(&b, "nvme-ns,id=%s,bus=%s,nsid=%u", name, controller, d->unit + 1);
		break;
	case HBA_IDE:
		buf_addf(&b, "ide-%s,id=%s,bus=%s,unit=%u", d->cdrom ? "cd" : "hd", name,
			 controller, d->unit);
		break;
	case HBA_AHCI:
		buf_addf(&b, "ide-%s,id=%s,bus=%s.%u", d->cdrom ? "cd" : "hd", name, controller,
			 d->unit);
		break;
	case HBA_LSI:
	case HBA_PVSCSI:
	case HBA_LSISAS:
	case HBA_VIRTIO:
	case HBA_VIRTIO_ATA:
		buf_addf(&b, "scsi-%s,id=%s,bus=%s.0,scsi-id=%u,lun=0", d->cdrom ? "cd" : "hd",
			 name, controller, d->unit % hbas[h].width);
		break;
	}
	if (has_medium(d)) {
		buf_addf(&b, ",drive=%s", medium);
	}
	if (a->disk_boot[i]) {
		buf_addf(&b, ",bootindex=%u", a->disk_boot[i]);
	}
	add_buf(a, "-device", &b);
}

const char *qemu_argv_nic_model(enum machine_nic_model m)
{
	switch (m) {
	case MACHINE_E1000:
		return "e1000";
	case MACHINE_VMXNET3:
		return "vmxnet3";
	case MACHINE_VIRTIO_NET:
		return "virtio-net-pci";
	case MACHINE_E1000E:
		break;
	}
	return "e1000e";
}

bool qemu_argv_nic_has_vectors(enum machine_nic_model m, enum machine_accel a, bool has_wire)
{
	return m != MACHINE_VIRTIO_NET || a == MACHINE_KVM || !has_wire;
}

static void add_wire(struct args *a, const struct machine_nic *n, int fd)
{
	char wire[24], socket[24];
	struct buf b = BUF_INIT;
	qemu_argv_wire_name(n->key, wire);
	qemu_argv_wire_socket_name(n->key, socket);
	if (n->model == MACHINE_VIRTIO_NET) {
		buf_addf(&b, "socket,id=%s,server=on,wait=off,path=", socket);
		buf_add_value(&b, n->wire);
		add_buf(a, "-chardev", &b);
		b = (struct buf)BUF_INIT;
		buf_addf(&b, "vhost-user,id=%s,chardev=%s", wire, socket);
	} else {
		buf_addf(&b, "stream,id=%s,server=on,addr.type=fd,addr.str=%d", wire, fd);
	}
	add_buf(a, "-netdev", &b);
}

/* Keys 4000 to 4009 have their slots; any other takes the first that nobody's key claims. */
static void assign_nic_slots(const struct machine_spec *s, unsigned slots[MACHINE_NICS_MAX])
{
	bool taken[MACHINE_NICS_MAX] = { false };
	for (size_t i = 0; i < s->n_nics; i++) {
		int64_t n = (int64_t)s->nics[i].key - NIC_KEY_FIRST;
		slots[i] = MACHINE_NICS_MAX;
		if (n >= 0 && n < MACHINE_NICS_MAX) {
			slots[i] = (unsigned)n;
			taken[n] = true;
		}
	}
	unsigned next = 0;
	for (size_t i = 0; i < s->n_nics; i++) {
		if (slots[i] < MACHINE_NICS_MAX) {
			continue;
		}
		while (taken[next]) {
			next++;
		}
		slots[i] = next;
		taken[next] = true;
	}
}

static void add_nics(struct args *a)
{
	unsigned slots[MACHINE_NICS_MAX];
	assign_nic_slots(a->spec, slots);
	for (size_t i = 0; i < a->spec->n_nics; i++) {
		const struct machine_nic *n = &a->spec->nics[i];
		char name[24];
		qemu_argv_nic_name(n->key, name);
		if (has(n->wire)) {
			add_wire(a, n, a->options->nic_fds[i]);
		}
		struct buf b = BUF_INIT;
		buf_addf(&b, "%s,id=%s,mac=%s,bus=%s,addr=%02x.0", qemu_argv_nic_model(n->model),
			 name, n->mac, pci_bus(a), SLOT_NIC + slots[i]);
		if (has(n->wire)) {
			char wire[24];
			qemu_argv_wire_name(n->key, wire);
			buf_addf(&b, ",netdev=%s", wire);
			/* The wire of a switch that changes hands is down for some milliseconds; a
			 * guest that sees that forgets its neighbours, and loses a second. */
			if (n->model == MACHINE_VIRTIO_NET) {
				buf_adds(&b, ",status=off");
			}
		}
		if (!qemu_argv_nic_has_vectors(n->model, a->spec->accel, has(n->wire))) {
			buf_adds(&b, ",vectors=0");
		}
		if (a->nic_boot[i]) {
			buf_addf(&b, ",bootindex=%u", a->nic_boot[i]);
		} else {
			buf_adds(&b, ",romfile="); /* nothing to load, nothing to wait for */
		}
		add_buf(a, "-device", &b);
	}
}

static void add_serials(struct args *a)
{
	for (size_t i = 0; i < a->spec->n_serials; i++) {
		const struct machine_serial *p = &a->spec->serials[i];
		int fd = a->options->serial_fds[i];
		char file[32];
		struct buf b = BUF_INIT;
		qemu_argv_file_name(QEMU_FILE_SERIAL + (int32_t)i, file);
		if (p->kind == MACHINE_SERIAL_SOCKET) {
			buf_addf(&b, "socket,id=serial%zu,fd=%d,server=on,wait=off", i, fd);
			if (serial_file(p)) {
				buf_addf(&b, ",logappend=on,logfile=%s", file);
			}
		} else if (p->kind == MACHINE_SERIAL_FILE) {
			buf_addf(&b, "file,id=serial%zu,append=on,path=%s", i, file);
		} else {
			buf_addf(&b, "null,id=serial%zu", i);
		}
		add_buf(a, "-chardev", &b);
		b = (struct buf)BUF_INIT;
		buf_addf(&b, "chardev:serial%zu", i);
		add_buf(a, "-serial", &b);
	}
}

static void add_process(struct args *a)
{
	const struct qemu_argv_options *o = a->options;
	add(a, o->program);
	add(a, "-nodefaults");
	add(a, "-no-user-config");
	add2(a, "-sandbox",
	     "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	add2(a, "-display", "none");
	add(a, "-S"); /* the guest starts when the driver says so */
	add_files(a);
	struct buf b = BUF_INIT;
	buf_addf(&b, "socket,id=qmp,fd=%d,server=on,wait=off", o->qmp_fd);
	add_buf(a, "-chardev", &b);
	add2(a, "-mon", "chardev=qmp,mode=control");
	/* A monitor that nobody talks to and that is always open: when the last one closes, QEMU
	 * closes descriptors that were handed to it later, those of wires among them. */
	add2(a, "-chardev", "ringbuf,id=always,size=4096");
	add2(a, "-mon", "chardev=always,mode=control");
	if (o->incoming) {
		add2(a, "-incoming", "defer");
	}
}

void qemu_argv_init(struct qemu_argv *out, const struct machine_spec *s,
		    const struct qemu_argv_options *o)
{
	struct args a = { .spec = s, .options = o };
	order_boot(&a);
	add_process(&a);
	add_identity(&a);
	add_platform(&a);
	add_firmware(&a);
	if (!is_arm(&a)) {
		struct buf b = BUF_INIT;
		buf_addf(&b, "VGA,bus=pci.0,addr=%02x.0,vgamem_mb=4", SLOT_VGA);
		add_buf(&a, "-device", &b);
	}
	for (size_t i = 0; i < s->n_disks; i++) {
		add_disk(&a, i);
	}
	add_nics(&a);
	add_serials(&a);
	out->n = a.words.n;
	vec_push(&a.words, NULL);
	out->words = a.words.items;
}

void qemu_argv_fini(struct qemu_argv *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->words[i]);
	}
	free(a->words);
	*a = (struct qemu_argv){ 0 };
}

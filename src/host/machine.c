/* SPDX-License-Identifier: Apache-2.0 */
#include "host/machine.h"

#include <string.h>

#include "base/macro.h"
#include "base/uuid.h"

#define PATH_LIMIT 4000 /* bytes: room for suffixes below PATH_MAX */

static const char *const controller_names[] = { "lsilogic", "buslogic", "pvscsi", "lsisas",
						"ide",	    "ahci",	"nvme" };
static const char *const nic_model_names[] = { "e1000e", "e1000", "vmxnet3", "virtio" };

const char *machine_controller_name(enum machine_controller c)
{
	return controller_names[c];
}

const char *machine_arch_name(enum machine_arch a)
{
	return a == MACHINE_AARCH64 ? "aarch64" : "x86_64";
}

const char *machine_accel_name(enum machine_accel a)
{
	return a == MACHINE_KVM ? "kvm" : "tcg";
}

const char *machine_nic_model_name(enum machine_nic_model m)
{
	return nic_model_names[m];
}

/* An absolute path without control characters; `what` for the message. */
static bool check_path(const char *path, const char *what, struct error *e)
{
	if (!path || path[0] != '/') {
		return error_set(e, ERROR_INVALID, "%s \"%s\": must be an absolute path", what,
				 path ? path : "");
	}
	size_t n = strlen(path);
	if (n > PATH_LIMIT) {
		return error_set(e, ERROR_LIMIT, "%s: path of %zu bytes, limit %d", what, n,
				 PATH_LIMIT);
	}
	for (const char *c = path; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f) {
			return error_set(e, ERROR_NAME, "%s \"%s\": control character in the path",
					 what, path);
		}
	}
	return true;
}

static bool check_name(const char *name, struct error *e)
{
	size_t n = name ? strlen(name) : 0;
	if (n == 0 || n > MACHINE_NAME_MAX) {
		return error_set(e, ERROR_NAME, "name of %zu bytes: must have 1 to %d", n,
				 MACHINE_NAME_MAX);
	}
	for (const char *c = name; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f) {
			return error_set(e, ERROR_NAME, "name \"%s\": control character", name);
		}
	}
	return true;
}

static bool check_identity(const struct machine_spec *s, struct error *e)
{
	struct uuid uuid;
	char text[UUID_TEXT_SIZE];
	if (!check_name(s->name, e)) {
		return false;
	}
	if (!s->uuid || !uuid_parse(s->uuid, &uuid)) {
		return error_set(e, ERROR_INVALID, "\"%s\": \"%s\" is no UUID", s->name,
				 s->uuid ? s->uuid : "");
	}
	uuid_format(&uuid, text);
	if (strcmp(text, s->uuid) != 0) {
		return error_set(e, ERROR_INVALID, "\"%s\": UUID \"%s\" must be in lower case",
				 s->name, s->uuid);
	}
	if (s->state_file && s->state_file[0] && !check_path(s->state_file, "state file", e)) {
		return false;
	}
	return check_path(s->folder, "folder", e) && check_path(s->run, "run folder", e);
}

static bool check_size(const struct machine_spec *s, struct error *e)
{
	if (s->vcpus < 1 || s->vcpus > MACHINE_VCPUS_MAX) {
		return error_set(e, ERROR_LIMIT, "\"%s\": %u CPUs, may have 1 to %d", s->name,
				 s->vcpus, MACHINE_VCPUS_MAX);
	}
	if (s->cores_per_socket && s->vcpus % s->cores_per_socket != 0) {
		return error_set(e, ERROR_INVALID,
				 "\"%s\": %u CPUs do not make whole sockets of %u cores", s->name,
				 s->vcpus, s->cores_per_socket);
	}
	if (s->memory_mib < MACHINE_MEMORY_MIN || s->memory_mib > MACHINE_MEMORY_MAX) {
		return error_set(e, ERROR_LIMIT, "\"%s\": %llu MiB of memory, may have %d to %d",
				 s->name, (unsigned long long)s->memory_mib, MACHINE_MEMORY_MIN,
				 MACHINE_MEMORY_MAX);
	}
	if (s->arch == MACHINE_AARCH64 && s->firmware == MACHINE_BIOS) {
		return error_set(e, ERROR_UNSUPPORTED, "\"%s\": no BIOS on Arm, only EFI", s->name);
	}
	return s->firmware == MACHINE_BIOS || check_path(s->nvram, "nvram", e);
}

static bool is_scsi(const struct machine_disk *d)
{
	return d->controller <= MACHINE_LSISAS;
}

static bool check_disk_place(const struct machine_disk *d, struct error *e)
{
	static const struct {
		unsigned buses, units;
	} limits[] = {
		[MACHINE_LSILOGIC] = { MACHINE_BUSES_MAX, 16 },
		[MACHINE_BUSLOGIC] = { MACHINE_BUSES_MAX, 16 },
		[MACHINE_PVSCSI] = { MACHINE_BUSES_MAX, 16 },
		[MACHINE_LSISAS] = { MACHINE_BUSES_MAX, 16 },
		[MACHINE_IDE] = { 2, 2 },
		[MACHINE_AHCI] = { MACHINE_BUSES_MAX, 6 },
		[MACHINE_NVME] = { MACHINE_BUSES_MAX, 64 },
	};
	if (d->key < MACHINE_DISK_KEY_MIN) {
		return error_set(e, ERROR_INVALID, "disk \"%d\": keys begin at %d", d->key,
				 MACHINE_DISK_KEY_MIN);
	}
	if ((size_t)d->controller >= ARRAY_LEN(limits)) {
		return error_set(e, ERROR_INVALID, "disk \"%d\": unknown controller %d", d->key,
				 (int)d->controller);
	}
	const char *name = machine_controller_name(d->controller);
	if (d->bus >= limits[d->controller].buses) {
		return error_set(e, ERROR_LIMIT, "disk \"%d\": %s bus %u, limit %u", d->key, name,
				 d->bus, limits[d->controller].buses - 1);
	}
	if (d->unit >= limits[d->controller].units) {
		return error_set(e, ERROR_LIMIT, "disk \"%d\": %s unit %u, limit %u", d->key, name,
				 d->unit, limits[d->controller].units - 1);
	}
	if (is_scsi(d) && d->unit == 7) {
		return error_set(e, ERROR_INVALID, "disk \"%d\": %s unit 7 is the controller's own",
				 d->key, name);
	}
	if (d->cdrom && d->controller == MACHINE_NVME) {
		return error_set(e, ERROR_UNSUPPORTED, "CD-ROM \"%d\": not on nvme", d->key);
	}
	return true;
}

static bool is_same_bus(const struct machine_disk *a, const struct machine_disk *b)
{
	return a->bus == b->bus && (a->controller == b->controller || (is_scsi(a) && is_scsi(b)));
}

static bool check_disk_pair(const struct machine_disk *a, const struct machine_disk *b,
			    struct error *e)
{
	if (a->key == b->key) {
		return error_set(e, ERROR_EXISTS, "disk \"%d\": key used twice", a->key);
	}
	if (!is_same_bus(a, b)) {
		return true;
	}
	if (a->unit == b->unit) {
		return error_set(e, ERROR_EXISTS, "disks \"%d\" and \"%d\": both on %s %u:%u",
				 a->key, b->key, machine_controller_name(a->controller), a->bus,
				 a->unit);
	}
	if (a->controller != b->controller) {
		return error_set(e, ERROR_INVALID, "SCSI bus %u: both %s and %s", a->bus,
				 machine_controller_name(a->controller),
				 machine_controller_name(b->controller));
	}
	return true;
}

static bool check_disks(const struct machine_spec *s, struct error *e)
{
	if (s->n_disks > MACHINE_DISKS_MAX) {
		return error_set(e, ERROR_LIMIT, "\"%s\": %zu disks, limit %d", s->name, s->n_disks,
				 MACHINE_DISKS_MAX);
	}
	for (size_t i = 0; i < s->n_disks; i++) {
		const struct machine_disk *d = &s->disks[i];
		bool has_medium = d->path && d->path[0];
		if (!check_disk_place(d, e)) {
			return false;
		}
		if ((has_medium || !d->cdrom) && !check_path(d->path, "disk", e)) {
			return false;
		}
		for (size_t j = 0; j < i; j++) {
			if (!check_disk_pair(&s->disks[j], d, e)) {
				return false;
			}
		}
	}
	return true;
}

static bool is_mac(const char *s)
{
	if (!s || strlen(s) != 17) {
		return false;
	}
	for (size_t i = 0; i < 17; i++) {
		bool good =
			i % 3 == 2 ? s[i] == ':' : strchr("0123456789abcdefABCDEF", s[i]) != NULL;
		if (!good) {
			return false;
		}
	}
	return strchr("02468aceACE", s[1]) != NULL; /* not a group address */
}

static bool check_nics(const struct machine_spec *s, struct error *e)
{
	if (s->n_nics > MACHINE_NICS_MAX) {
		return error_set(e, ERROR_LIMIT, "\"%s\": %zu NICs, limit %d", s->name, s->n_nics,
				 MACHINE_NICS_MAX);
	}
	for (size_t i = 0; i < s->n_nics; i++) {
		const struct machine_nic *n = &s->nics[i];
		if (!is_mac(n->mac)) {
			return error_set(e, ERROR_INVALID,
					 "NIC \"%d\": \"%s\" is no MAC address of a station",
					 n->key, n->mac ? n->mac : "");
		}
		if ((size_t)n->model >= ARRAY_LEN(nic_model_names)) {
			return error_set(e, ERROR_INVALID, "NIC \"%d\": unknown model %d", n->key,
					 (int)n->model);
		}
		for (size_t j = 0; j < i; j++) {
			if (s->nics[j].key == n->key) {
				return error_set(e, ERROR_EXISTS, "NIC \"%d\": key used twice",
						 n->key);
			}
		}
	}
	return true;
}

static bool check_serials(const struct machine_spec *s, struct error *e)
{
	if (s->n_serials > MACHINE_SERIALS_MAX) {
		return error_set(e, ERROR_LIMIT, "\"%s\": %zu serial ports, limit %d", s->name,
				 s->n_serials, MACHINE_SERIALS_MAX);
	}
	for (size_t i = 0; i < s->n_serials; i++) {
		const struct machine_serial *p = &s->serials[i];
		if (p->kind != MACHINE_SERIAL_NONE && !check_path(p->path, "serial port", e)) {
			return false;
		}
		if (p->log && p->log[0] && !check_path(p->log, "serial log", e)) {
			return false;
		}
	}
	return true;
}

bool machine_spec_check(const struct machine_spec *s, struct error *e)
{
	return check_identity(s, e) && check_size(s, e) && check_disks(s, e) && check_nics(s, e) &&
	       check_serials(s, e);
}

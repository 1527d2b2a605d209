/* SPDX-License-Identifier: Apache-2.0 */
#include "host/vmdk.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/uuid.h"
#include "host/datastore.h"
#include "host/datastore_files.h"
#include "host/text.h"

/* What new disks claim to be made for: the level that came with vSphere 7. */
static const char hardware_version[] = "17";

static void add_setting(struct vmdk *d, const char *key, const char *value)
{
	d->settings = mem_realloc_array(d->settings, d->n_settings + 1, sizeof(d->settings[0]));
	d->settings[d->n_settings++] = (struct vmdk_setting){
		.key = mem_strdup(key),
		.value = mem_strdup(value),
	};
}

static void add_number(struct vmdk *d, const char *key, uint64_t number)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, number);
	add_setting(d, key, text);
}

bool vmdk_set_geometry(struct vmdk *d, struct error *e)
{
	const char *adapter = vmdk_get(d, "ddb.adapterType");
	bool ide = adapter != NULL && strcmp(adapter, "ide") == 0;
	uint64_t heads = ide ? 16 : 255;
	uint64_t cylinders = vmdk_capacity(d) / VMDK_SECTOR / (heads * 63);
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, cylinders);
	return vmdk_set(d, "ddb.geometry.cylinders", text, e) &&
	       vmdk_set(d, "ddb.geometry.heads", ide ? "16" : "255", e) &&
	       vmdk_set(d, "ddb.geometry.sectors", "63", e);
}

bool vmdk_adapter_is_known(const char *name)
{
	static const char *const adapters[] = { "lsilogic", "buslogic", "ide", "pvscsi", "nvme" };
	for (size_t i = 0; i < ARRAY_LEN(adapters); i++) {
		if (strcmp(adapters[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static bool check_spec(const struct vmdk_spec *s, const char *adapter, struct error *e)
{
	if (s->capacity == 0 || s->capacity % VMDK_SECTOR != 0) {
		return error_set(e, ERROR_INVALID,
				 "a disk of %" PRIu64 " bytes: it has to be a multiple of 512",
				 s->capacity);
	}
	if (s->capacity > VMDK_CAPACITY_MAX) {
		return error_set(e, ERROR_LIMIT, "a disk of %" PRIu64 " bytes: the limit is 62 TiB",
				 s->capacity);
	}
	return vmdk_adapter_is_known(adapter) ||
	       error_set(e, ERROR_INVALID, "disk adapter type \"%.40s\" is not known", adapter);
}

struct vmdk *vmdk_new(const struct vmdk_spec *s, struct error *e)
{
	const char *adapter = s->adapter_type != NULL ? s->adapter_type : "lsilogic";
	char uuid[UUID_TEXT_SIZE], esx_uuid[TEXT_ESX_UUID_SIZE];
	uuid_random_text(uuid);
	const char *wanted = s->uuid != NULL ? s->uuid : uuid;
	if (!text_uuid_to_esx(wanted, esx_uuid)) {
		error_set(e, ERROR_INVALID, "\"%.60s\" is not a uuid", wanted);
		return NULL;
	}
	if (!check_spec(s, adapter, e)) {
		return NULL;
	}
	struct vmdk *d = mem_zalloc(sizeof(*d));
	d->version = 1;
	d->cid = (uint32_t)random_u64() & 0xfffffffe; /* all ones means: none */
	d->parent_cid = VMDK_NO_PARENT;
	d->create_type = mem_strdup("vmfs");
	d->extents = mem_zalloc(sizeof(d->extents[0]));
	d->n_extents = 1;
	d->extents[0] = (struct vmdk_extent){
		.access = VMDK_RW,
		.kind = VMDK_EXTENT_VMFS,
		.kind_name = mem_strdup("VMFS"),
		.n_sectors = s->capacity / VMDK_SECTOR,
		.file = mem_strdup(s->extent_file),
	};
	add_setting(d, "ddb.adapterType", adapter);
	vmdk_set_geometry(d, NULL);
	add_setting(d, "ddb.uuid", esx_uuid);
	if (s->thin) {
		add_number(d, "ddb.thinProvisioned", 1);
	}
	add_setting(d, "ddb.virtualHWVersion", hardware_version);
	return d;
}

void vmdk_free(struct vmdk *d)
{
	if (d == NULL) {
		return;
	}
	for (size_t i = 0; i < d->n_extents; i++) {
		free(d->extents[i].kind_name);
		free(d->extents[i].file);
	}
	for (size_t i = 0; i < d->n_settings; i++) {
		free(d->settings[i].key);
		free(d->settings[i].value);
	}
	free(d->extents);
	free(d->settings);
	free(d->create_type);
	free(d->parent_file);
	free(d);
}

struct vmdk *vmdk_load(int root, const char *path, struct error *e)
{
	struct buf b = BUF_INIT;
	struct vmdk *d = NULL;
	char magic[4];
	/* An image is large: its first bytes tell, before the size is held against it. */
	int fd = file_open_beneath(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
	if (fd < 0) {
		return NULL;
	}
	ssize_t n = pread(fd, magic, sizeof(magic), 0);
	close(fd);
	if (n == (ssize_t)sizeof(magic) && vmdk_is_sparse_image(magic, sizeof(magic))) {
		error_set(e, ERROR_UNSUPPORTED,
			  "\"%.120s\" is a sparse image (KDMV), which has to be imported first",
			  path);
		return NULL;
	}
	if (place_read(root, path, VMDK_FILE_MAX, &b, e)) {
		d = vmdk_parse(b.data, b.len, e);
		if (d == NULL) {
			error_prefix(e, "\"%.120s\": ", path);
		}
	}
	buf_free(&b);
	return d;
}

bool vmdk_save(const struct vmdk *d, int root, const char *path, struct error *e)
{
	struct buf b = BUF_INIT;
	vmdk_write(d, &b);
	struct file_content content = { .data = b.data, .n = b.len, .mode = 0600 };
	bool ok = place_write(root, path, &content, e);
	buf_free(&b);
	return ok;
}

bool vmdk_is_sparse_image(const void *bytes, size_t len)
{
	/* "KDMV": hosted sparse and streamOptimized; "COWD": the older ESX form. */
	return len >= 4 && (memcmp(bytes, "KDMV", 4) == 0 || memcmp(bytes, "COWD", 4) == 0);
}

uint64_t vmdk_capacity(const struct vmdk *d)
{
	uint64_t n_sectors = 0;
	for (size_t i = 0; i < d->n_extents; i++) {
		n_sectors += d->extents[i].n_sectors;
	}
	return n_sectors * VMDK_SECTOR;
}

bool vmdk_is_thin(const struct vmdk *d)
{
	const char *thin = vmdk_get(d, "ddb.thinProvisioned");
	return thin != NULL && strcmp(thin, "1") == 0;
}

static struct vmdk_setting *find_setting(const struct vmdk *d, const char *key)
{
	for (size_t i = 0; i < d->n_settings; i++) {
		if (strcasecmp(d->settings[i].key, key) == 0) {
			return &d->settings[i];
		}
	}
	return NULL;
}

const char *vmdk_get(const struct vmdk *d, const char *key)
{
	const struct vmdk_setting *s = find_setting(d, key);
	return s != NULL ? s->value : NULL;
}

bool vmdk_set(struct vmdk *d, const char *key, const char *value, struct error *e)
{
	size_t len = strlen(value);
	if (len > 1024 || strchr(value, '"') != NULL || text_has_control(value, len) ||
	    !text_is_utf8(value, len)) {
		return error_set(e, ERROR_INVALID, "\"%.60s\": the value cannot be written", key);
	}
	struct vmdk_setting *s = find_setting(d, key);
	if (s == NULL) {
		add_setting(d, key, value);
	} else {
		free(s->value);
		s->value = mem_strdup(value);
	}
	return true;
}

void vmdk_unset(struct vmdk *d, const char *key)
{
	struct vmdk_setting *s = find_setting(d, key);
	if (s != NULL) {
		free(s->key);
		free(s->value);
		size_t behind = (size_t)(d->settings + d->n_settings - (s + 1));
		memmove(s, s + 1, behind * sizeof(*s));
		d->n_settings--;
	}
}

bool vmdk_uuid(const struct vmdk *d, char out[37])
{
	const char *text = vmdk_get(d, "ddb.uuid");
	return text != NULL && text_uuid_from_esx(text, out);
}

bool vmdk_set_uuid(struct vmdk *d, const char *uuid, struct error *e)
{
	char text[TEXT_ESX_UUID_SIZE];
	if (!text_uuid_to_esx(uuid, text)) {
		return error_set(e, ERROR_INVALID, "\"%.60s\" is not a uuid", uuid);
	}
	return vmdk_set(d, "ddb.uuid", text, e);
}

bool vmdk_extent_path(const char *descriptor_path, const struct vmdk_extent *x, char out[4097],
		      struct error *e)
{
	if (x->file == NULL) {
		return error_set(e, ERROR_INVALID, "a zero extent has no file");
	}
	if (!datastore_name_check("extent file", x->file, e)) {
		return false;
	}
	const char *slash = strrchr(descriptor_path, '/');
	int folder = slash != NULL ? (int)(slash + 1 - descriptor_path) : 0;
	int n = snprintf(out, DATASTORE_PATH_MAX + 1, "%.*s%s", folder, descriptor_path, x->file);
	return n <= DATASTORE_PATH_MAX ||
	       error_set(e, ERROR_NAME, "extent \"%.80s\": the path is too long", x->file);
}

static bool check_extent(const struct vmdk_extent *x, int root, const char *descriptor_path,
			 struct error *e)
{
	char path[DATASTORE_PATH_MAX + 1];
	if (x->kind == VMDK_EXTENT_ZERO || x->kind == VMDK_EXTENT_OTHER) {
		return error_set(e, ERROR_UNSUPPORTED, "extents of kind %s are not supported",
				 x->kind_name);
	}
	if (x->access != VMDK_RW) {
		return error_set(e, ERROR_UNSUPPORTED, "an extent that is not RW");
	}
	if (!vmdk_extent_path(descriptor_path, x, path, e)) {
		return false;
	}
	int fd = file_open_beneath(root, path, O_PATH | O_NOFOLLOW, 0, e);
	if (fd < 0) {
		return false;
	}
	struct stat st;
	int rc = fstat(fd, &st);
	close(fd);
	if (rc != 0 || !S_ISREG(st.st_mode)) {
		return error_set(e, ERROR_CORRUPT, "\"%.100s\" is not a regular file", path);
	}
	uint64_t want = (x->offset_sectors + x->n_sectors) * VMDK_SECTOR;
	if ((uint64_t)st.st_size < want) {
		return error_set(e, ERROR_CORRUPT,
				 "\"%.100s\" is truncated: it has %jd bytes, the descriptor wants "
				 "%" PRIu64,
				 path, (intmax_t)st.st_size, want);
	}
	return true;
}

bool vmdk_check(const struct vmdk *d, int root, const char *descriptor_path, struct error *e)
{
	if (d->parent_cid != VMDK_NO_PARENT) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"%.100s\" is the child of another disk, which is not supported",
				 descriptor_path);
	}
	if (d->n_extents > VMDK_EXTENTS_MAX / 2) { /* a move names each twice, disk_copy.c */
		return error_set(e, ERROR_LIMIT, "\"%.100s\" has %zu extents, the limit is %d",
				 descriptor_path, d->n_extents, VMDK_EXTENTS_MAX / 2);
	}
	for (size_t i = 0; i < d->n_extents; i++) {
		if (!check_extent(&d->extents[i], root, descriptor_path, e)) {
			return error_prefix(e, "\"%.100s\": ", descriptor_path);
		}
	}
	return true;
}

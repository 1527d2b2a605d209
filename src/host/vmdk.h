/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor of a virtual disk: the small text file `name.vmdk` that names the extents holding
 * the data. Source: "VMware Virtual Disk Format 1.1" (technical note).
 *
 * Disks made here have one extent, the raw file `name-flat.vmdk`, in the form ESXi uses (createType
 * "vmfs"). Descriptors with several flat extents are read, too. Other kinds parse, so that the
 * error can say what they are, and are refused where they are to be used.
 *
 * A struct vmdk owns its strings; vmdk_free() frees all. No locks: one thread at a time.
 */
#ifndef HOST_VMDK_H
#define HOST_VMDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define VMDK_FILE_MAX	  262144 /* bytes of a descriptor */
#define VMDK_LINES_MAX	  8192
#define VMDK_EXTENTS_MAX  4096
#define VMDK_SECTOR	  512
#define VMDK_CAPACITY_MAX (62ull << 40) /* bytes, as vSphere limits it */
#define VMDK_NO_PARENT	  0xffffffffu

enum vmdk_access {
	VMDK_RW,
	VMDK_RDONLY,
	VMDK_NOACCESS,
};

enum vmdk_extent_kind {
	VMDK_EXTENT_FLAT,
	VMDK_EXTENT_VMFS,  /* the same as flat, on a datastore */
	VMDK_EXTENT_ZERO,  /* no file, reads zero */
	VMDK_EXTENT_OTHER, /* SPARSE, VMFSSPARSE, SESPARSE, VMFSRDM …: named, never opened */
};

struct vmdk_extent {
	enum vmdk_access access;
	enum vmdk_extent_kind kind;
	char *kind_name;
	uint64_t n_sectors;
	char *file;		 /* as written; NULL for a zero extent */
	uint64_t offset_sectors; /* where in the file the data begins */
};

struct vmdk_setting {
	char *key; /* with the "ddb." */
	char *value;
};

struct vmdk {
	unsigned version;
	uint32_t cid, parent_cid;
	char *create_type; /* "vmfs", "monolithicFlat", "twoGbMaxExtentFlat" … */
	char *parent_file; /* parentFileNameHint; NULL: none */
	struct vmdk_extent *extents;
	size_t n_extents;
	struct vmdk_setting *settings; /* the disk data base, in file order */
	size_t n_settings;
};

/* What a new descriptor says. */
struct vmdk_spec {
	uint64_t capacity;	  /* bytes, a multiple of 512 */
	const char *extent_file;  /* "name-flat.vmdk" */
	const char *adapter_type; /* "lsilogic", "buslogic", "ide", "pvscsi"; NULL: lsilogic */
	const char *uuid;	  /* 8-4-4-4-12; NULL: a random one */
	bool thin;
};
struct vmdk *vmdk_new(const struct vmdk_spec *spec, struct error *e);
void vmdk_free(struct vmdk *d);

/* Whether new disks can be made for this adapter. */
bool vmdk_adapter_is_known(const char *name);

/* NULL with ERROR_CORRUPT (names the line), ERROR_LIMIT, or ERROR_UNSUPPORTED for a binary
 * sparse image, which disk_copy() takes (host/sparse.h). */
struct vmdk *vmdk_parse(const char *text, size_t len, struct error *e);
void vmdk_write(const struct vmdk *d, struct buf *out);

/* Reads or atomically replaces `path` beneath the open folder `root`. */
struct vmdk *vmdk_load(int root, const char *path, struct error *e);
bool vmdk_save(const struct vmdk *d, int root, const char *path, struct error *e);

/* Whether these first bytes of a file (4 suffice) begin a binary image rather than a text. */
bool vmdk_is_sparse_image(const void *bytes, size_t len);

/* Bytes, the sum of the extents. */
uint64_t vmdk_capacity(const struct vmdk *d);
bool vmdk_is_thin(const struct vmdk *d);

/* The disk data base: value or NULL; vmdk_set() changes or appends. Keys with the "ddb.". */
const char *vmdk_get(const struct vmdk *d, const char *key);
bool vmdk_set(struct vmdk *d, const char *key, const char *value, struct error *e);

void vmdk_unset(struct vmdk *d, const char *key);

/* The uuid in 8-4-4-4-12 form; false when there is none or it is malformed. */
bool vmdk_uuid(const struct vmdk *d, char out[37]);
bool vmdk_set_uuid(struct vmdk *d, const char *uuid, struct error *e);

/* Cylinders, heads, sectors that fit capacity and adapter; after either has changed. */
bool vmdk_set_geometry(struct vmdk *d, struct error *e);

/* The path, beneath the same root, of an extent's file: descriptor's folder + name. Refuses names
 * with folders in them, `..` and absolute ones (ERROR_NAME). */
bool vmdk_extent_path(const char *descriptor_path, const struct vmdk_extent *x, char out[4097],
		      struct error *e);

/* Whether the disk can be used: kinds supported, no parent, files beneath root, regular, and as
 * long as the descriptor says. A short file is ERROR_CORRUPT, naming file, have and want. */
bool vmdk_check(const struct vmdk *d, int root, const char *descriptor_path, struct error *e);

#endif

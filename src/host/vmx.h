/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The .vmx file of a virtual machine: lines of `key = "value"`, the source of truth about the VM.
 *
 * A vmx keeps everything it read, in order: keys it does not know, comments and blank lines come
 * out again as they went in; only what vmx_set() touched is written anew. Keys are compared
 * without regard to case. A key that occurs twice is refused, as ESXi does: no program can say
 * which of the two the author meant.
 *
 * In values `|XX` (two hex digits) stands for one byte; what the getters return is the decoded
 * text, always valid UTF-8 without NUL. Files in another `.encoding` are converted when read and
 * written as UTF-8.
 *
 * Parsing accepts any well-formed file, also one whose values are nonsense: a .vmx that lies can
 * be loaded, listed, and repaired with vmx_set(). It is refused where a value is used: the typed
 * getters check form and range, and their errors name key, value and limit.
 *
 * The owner frees with vmx_free(); returned strings live until the next change of that vmx.
 * No locks: one thread at a time.
 */
#ifndef HOST_VMX_H
#define HOST_VMX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define VMX_FILE_MAX  1048576 /* bytes */
#define VMX_LINES_MAX 10000
#define VMX_KEY_MAX   256   /* bytes */
#define VMX_VALUE_MAX 65536 /* bytes, decoded */

struct vmx;

/* An empty one with `.encoding = "UTF-8"`. */
struct vmx *vmx_new(void);
void vmx_free(struct vmx *v);
struct vmx *vmx_copy(const struct vmx *v);

/* NULL with ERROR_CORRUPT (names the line), ERROR_LIMIT or ERROR_UNSUPPORTED (encoding). */
struct vmx *vmx_parse(const char *text, size_t len, struct error *e);

/* Appends the text of the file. */
void vmx_write(const struct vmx *v, struct buf *out);

/* Reads `path` beneath the open folder `root` (see base/file.h); errors name the path. */
struct vmx *vmx_load(int root, const char *path, struct error *e);

/* Replaces the file atomically: after a crash it is the old or the new one. Refuses with
 * ERROR_LIMIT, before touching the file, what vmx_load() would refuse. */
bool vmx_save(const struct vmx *v, int root, const char *path, struct error *e);

/* A key made as printf does: vmx_get(v, vmx_key("scsi%d:%d.fileName", bus, unit).s) */
struct vmx_key {
	char s[VMX_KEY_MAX + 1];
};
struct vmx_key vmx_key(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* All entries in file order, i below vmx_n_entries(). */
size_t vmx_n_entries(const struct vmx *v);
void vmx_entry(const struct vmx *v, size_t i, const char **key, const char **value);

/* The value, NULL where the key is missing. */
const char *vmx_get(const struct vmx *v, const char *key);

/* The typed getters. A missing key, or an empty value, gives the fallback. */

/* TRUE or FALSE in any case, also 1 and 0. */
bool vmx_get_bool(const struct vmx *v, const char *key, bool fallback, bool *out, struct error *e);

/* A decimal number without blanks, sign only where min < 0. */
struct vmx_range {
	int64_t min, max, fallback;
	bool required;	  /* a missing key is an error, not the fallback */
	const char *unit; /* for messages: "MiB"; may be NULL */
};
bool vmx_get_int(const struct vmx *v, const char *key, const struct vmx_range *range, int64_t *out,
		 struct error *e);

/* A file the VM uses: beneath the VM's own folder, or on a datastore where the value has the form
 * /vmfs/volumes/NAME-OR-UUID/path. Refuses other absolute paths, `..`, `.`, empty and over-long
 * components, control characters (ERROR_NAME). */
struct vmx_file {
	char datastore[256]; /* empty: relative to the VM's folder */
	char path[1024];
};
bool vmx_get_file(const struct vmx *v, const char *key, struct vmx_file *out, struct error *e);

/* ESXi's spelling of a uuid, "56 4d 3b … 8f-12 …", to the usual 8-4-4-4-12 form and back. */
bool vmx_get_uuid(const struct vmx *v, const char *key, char out[37], struct error *e);
bool vmx_set_uuid(struct vmx *v, const char *key, const char *uuid, struct error *e);

/* Changes or appends. The key: printable ASCII without blanks, quotes, `=`, `|` and, in front, `#`;
 * the value: UTF-8 without NUL. */
bool vmx_set(struct vmx *v, const char *key, const char *value, struct error *e);
bool vmx_set_int(struct vmx *v, const char *key, int64_t value, struct error *e);
bool vmx_set_bool(struct vmx *v, const char *key, bool value, struct error *e);

/* True when there was such a key. */
bool vmx_remove(struct vmx *v, const char *key);

/* Removes every key that begins with prefix ("scsi0:1."), says how many. */
size_t vmx_remove_prefix(struct vmx *v, const char *prefix);

#endif

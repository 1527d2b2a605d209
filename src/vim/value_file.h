/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structures on disk: a JSON array of strings, each the structure in the API's own XML, so that
 * nothing is lost and every type can be stored. Written all or nothing. Event-loop thread only.
 */
#ifndef VIM_VALUE_FILE_H
#define VIM_VALUE_FILE_H

#include "base/error.h"
#include "vim/value.h"

enum {
	VALUE_FILE_MAX = 64 << 20 /* bytes */
};

/* Replaces the file with the structures of the array (NULL: none). True at once without a path. */
bool value_file_save(const char *path, const struct value *array, struct error *e);

/* The structures in the file, of the declared `type` or derived from it, as an array draft in `a`;
 * an empty one where there is no file or no path. NULL and an error when it cannot be read. */
struct value *value_file_load(const char *path, uint16_t type, struct arena *a, struct error *e);

#endif

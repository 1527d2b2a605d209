/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Property paths (vSphere API PropertySpec.pathSet): "name", "runtime.powerState",
 * "config.hardware.device[4000].backing", `config.extraConfig["guestinfo.ip"]`.
 *
 * A path is parsed once against a managed type and then read from any object of that type. A field
 * that only a derived type of the declared one has is accepted and looked for by name when the
 * value is there. An index chooses the element of an array whose member `key` is equal to it or,
 * in arrays of strings, numbers and references, the element itself. As on vCenter, a path does not
 * go on behind an array without an index, nor behind a reference.
 *
 * Paths live in the arena they were parsed into. Event-loop thread only.
 */
#ifndef VIM_PATH_H
#define VIM_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "vim/inventory.h"
#include "vim/value.h"

enum {
	PATH_MAX_BYTES = 1024,
	PATH_MAX_STEPS = 32
};

struct path_step {
	const char *name;
	const char *key; /* index, or NULL */
	int64_t num;	 /* the index as a number, where it is one */
	uint32_t key_len;
	uint16_t type; /* where `field` holds, also for derived types; T_none: ask by name */
	uint16_t field;
	uint8_t name_len;
	bool key_is_num;
};

struct path {
	const char *asked; /* as the client wrote it */
	const char *text;  /* as the journals write it */
	uint32_t len;	   /* of text */
	uint16_t type;	   /* managed type */
	uint8_t prop;	   /* index of the top-level property */
	uint8_t since;	   /* version index of the newest field on the way, where known */
	uint8_t n_steps;   /* the first is the property itself */
	struct path_step *steps;
};

/* The path, or NULL with ERROR_INVALID (bad syntax, unknown name), ERROR_LIMIT (too long or too
 * deep, or the arena's limit); then nothing of the arena is used. The text is copied. */
struct path *path_parse(struct arena *a, uint16_t managed, const char *text, size_t len,
			struct error *e);

/* Could it be parsed? Takes no memory. */
bool path_is_possible(uint16_t managed, const char *text, size_t len, struct error *e);

/* The path that is one property of the type. */
struct path *path_of_property(struct arena *a, uint16_t managed, unsigned prop);

/* The value at the path, NULL when unset; o is of the path's type. Scalars are boxed in `a`. A
 * list within a structure of a VM that is there is at least empty: govc takes "config.extraConfig"
 * that is missing for a `config` that is. Not so for hosts: virsh cannot read an empty
 * "config.storageDevice.hostBusAdapter". */
const struct value *path_eval(const struct path *p, struct object *o, struct arena *a);

/* True when a change noted at one path concerns the other: they are equal or one lies below. */
bool path_overlaps(const char *one, size_t n_one, const char *other, size_t n_other);

/* True when path `below` is `above` or lies below it. */
bool path_is_below(const char *below, size_t n_below, const char *above, size_t n_above);

#endif

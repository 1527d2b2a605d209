/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults: which vSphere fault tells a client about which of our errors. One table, here.
 */
#ifndef VIM_FAULT_H
#define VIM_FAULT_H

#include "base/arena.h"
#include "base/error.h"
#include "vim/inventory.h"
#include "vim/value.h"

/* Fault for an error outside files: ERROR_INVALID → InvalidArgument, ERROR_NAME →
 * InvalidName{name}, ERROR_NOT_FOUND → NotFound, ERROR_EXISTS → AlreadyExists, ERROR_NO_SPACE →
 * NoDiskSpace, ERROR_BUSY → ResourceInUse, ERROR_STATE → InvalidState, ERROR_LIMIT → LimitExceeded,
 * ERROR_PERMISSION → RestrictedByAdministrator, ERROR_UNREACHABLE → HostCommunication,
 * ERROR_TIMEOUT → Timedout, ERROR_CANCELED → RequestCanceled, ERROR_UNSUPPORTED → NotSupported,
 * else SystemError. */
struct value *fault_from_error(struct arena *a, const struct error *e);

/* The same for an operation on a datastore file: FileNotFound, FileAlreadyExists, FileLocked,
 * NoDiskSpace, CannotAccessFile, InvalidDatastorePath …, with `file` ("[ds] dir/f.vmdk"; NULL: not
 * known) in them. */
struct value *fault_from_file_error(struct arena *a, const struct error *e, const char *file);

struct value *fault_new(struct arena *a, uint16_t type); /* of any fault type, empty */
struct value *fault_invalid_argument(struct arena *a, const char *property);
struct value *fault_invalid_name(struct arena *a, const char *name, const struct object *entity);
/* Another has the name; AlreadyExists where it is not in the inventory (NULL). */
struct value *fault_duplicate_name(struct arena *a, const char *name, const struct object *other);
struct value *fault_invalid_power_state(struct arena *a, int requested,
					int existing); /* E_VirtualMachinePowerState_… */
struct value *fault_not_found(struct arena *a, const struct value *ref); /* ManagedObjectNotFound */
struct value *fault_no_permission(struct arena *a, const struct value *entity,
				  const char *privilege);

/* LocalizedMethodFault{fault, localizedMessage} as tasks, missingSet and events carry it. */
struct value *fault_localized(struct arena *a, const struct value *fault, const char *text);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/fault.h"

#include <string.h>

/* By enum error_kind. */
static const struct {
	uint16_t plain; /* fault outside files */
	uint16_t file;	/* fault of a datastore file */
} table[] = {
	[ERROR_NONE] = { T_SystemError, T_CannotAccessFile },
	[ERROR_INVALID] = { T_InvalidArgument, T_InvalidArgument },
	[ERROR_NAME] = { T_InvalidName, T_InvalidDatastorePath },
	[ERROR_NOT_FOUND] = { T_NotFound, T_FileNotFound },
	[ERROR_EXISTS] = { T_AlreadyExists, T_FileAlreadyExists },
	[ERROR_NO_SPACE] = { T_NoDiskSpace, T_NoDiskSpace },
	[ERROR_BUSY] = { T_ResourceInUse, T_FileLocked },
	[ERROR_STATE] = { T_InvalidState, T_InvalidState },
	[ERROR_LIMIT] = { T_LimitExceeded, T_LimitExceeded },
	[ERROR_PERMISSION] = { T_RestrictedByAdministrator, T_CannotAccessFile },
	[ERROR_UNREACHABLE] = { T_HostCommunication, T_CannotAccessFile },
	[ERROR_TIMEOUT] = { T_Timedout, T_Timedout },
	[ERROR_CANCELED] = { T_RequestCanceled, T_RequestCanceled },
	[ERROR_IO] = { T_SystemError, T_CannotAccessFile },
	[ERROR_CORRUPT] = { T_SystemError, T_CannotAccessFile },
	[ERROR_UNSUPPORTED] = { T_NotSupported, T_NotSupported },
	[ERROR_INTERNAL] = { T_SystemError, T_SystemError },
};

static size_t row_of(const struct error *e)
{
	return (size_t)e->kind < ARRAY_LEN(table) ? e->kind : ERROR_INTERNAL;
}

/* The first name in quotes in the message, which by the house's rule is the object's; else all. */
static struct value *quoted_name(struct arena *a, const char *msg)
{
	const char *from = strchr(msg, '"'), *to = from == NULL ? NULL : strchr(from + 1, '"');

	return to == NULL ? value_new_str(a, msg)
			  : value_new_strn(a, from + 1, (size_t)(to - from - 1));
}

/* "ds" of "[ds] dir/file"; "" without brackets. */
static struct value *datastore_name(struct arena *a, const char *file)
{
	const char *end = file[0] == '[' ? strchr(file, ']') : NULL;

	return end == NULL ? value_new_str(a, "")
			   : value_new_strn(a, file + 1, (size_t)(end - file - 1));
}

/* Fills in what the fault's type requires. */
static struct value *fault_fill(struct arena *a, uint16_t type, const struct error *e,
				const char *file)
{
	struct value *f = value_new(a, type);

	if (schema_is_a(type, T_FileFault)) {
		value_set_str(a, f, F_FileFault_file, file);
	}
	switch (type) {
	case T_InvalidName:
		value_set(a, f, F_InvalidName_name, quoted_name(a, e->msg));
		break;
	case T_NoDiskSpace:
		value_set(a, f, F_NoDiskSpace_datastore, datastore_name(a, file));
		break;
	case T_InvalidDatastorePath:
		value_set_str(a, f, F_InvalidDatastorePath_datastorePath, file);
		break;
	case T_RestrictedByAdministrator:
		value_set_str(a, f, F_RestrictedByAdministrator_details, e->msg);
		break;
	case T_SystemError:
		value_set_str(a, f, F_SystemError_reason, e->msg);
		break;
	default:
		break;
	}
	return f;
}

struct value *fault_from_error(struct arena *a, const struct error *e)
{
	return fault_fill(a, table[row_of(e)].plain, e, "");
}

struct value *fault_from_file_error(struct arena *a, const struct error *e, const char *file)
{
	return fault_fill(a, table[row_of(e)].file, e, file == NULL ? "" : file);
}

struct value *fault_new(struct arena *a, uint16_t type)
{
	return value_new(a, type);
}

struct value *fault_invalid_argument(struct arena *a, const char *property)
{
	struct value *f = value_new(a, T_InvalidArgument);

	value_set_str(a, f, F_InvalidArgument_invalidProperty, property);
	return f;
}

struct value *fault_invalid_name(struct arena *a, const char *name, const struct object *entity)
{
	struct value *f = value_new(a, T_InvalidName);

	value_set_str(a, f, F_InvalidName_name, name);
	if (entity != NULL) {
		value_set(a, f, F_InvalidName_entity, entity->ref);
	}
	return f;
}

struct value *fault_duplicate_name(struct arena *a, const char *name, const struct object *other)
{
	if (other == NULL) {
		struct value *f = value_new(a, T_AlreadyExists);
		value_set_str(a, f, F_AlreadyExists_name, name);
		return f;
	}
	struct value *f = value_new(a, T_DuplicateName);
	value_set_str(a, f, F_DuplicateName_name, name);
	value_set(a, f, F_DuplicateName_object, other->ref);
	return f;
}

struct value *fault_invalid_power_state(struct arena *a, int requested, int existing)
{
	struct value *f = value_new(a, T_InvalidPowerState);

	value_set_num(a, f, F_InvalidPowerState_requestedState, requested);
	value_set_num(a, f, F_InvalidPowerState_existingState, existing);
	return f;
}

struct value *fault_not_found(struct arena *a, const struct value *ref)
{
	struct value *f = value_new(a, T_ManagedObjectNotFound);

	value_set(a, f, F_ManagedObjectNotFound_obj, ref);
	return f;
}

struct value *fault_no_permission(struct arena *a, const struct value *entity,
				  const char *privilege)
{
	struct value *f = value_new(a, T_NoPermission);

	value_set(a, f, F_NoPermission_object, entity);
	value_set_str(a, f, F_NoPermission_privilegeId, privilege);
	return f;
}

struct value *fault_localized(struct arena *a, const struct value *fault, const char *text)
{
	struct value *l = value_new(a, T_LocalizedMethodFault);

	value_set(a, l, F_LocalizedMethodFault_fault, fault);
	value_set_str(a, l, F_LocalizedMethodFault_localizedMessage, text);
	return l;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vSphere type system as read-only tables, compiled from schema/vim25.idl by
 * schema/compile.py into schema_ids.h (constants) and schema_tables.c (this interface's data).
 *
 * Every type has a 16-bit id (T_<name>). Ids are dealt out in depth-first order of inheritance, so
 * "is a" is one interval test. A structure's field list holds the base's fields first, in wire
 * order; the index of a field (F_<type>_<field>) is therefore valid in every derived type too.
 * Managed types list their properties the same way (P_<type>_<property>); a method's arguments
 * form a structure type of their own (method->args; indices A_<type>_<method>_<argument>).
 *
 * Nothing here owns memory; every function may be called from any thread.
 */
#ifndef VIM_SCHEMA_H
#define VIM_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vim/schema_ids.h"

/* What a value, a field or a type is made of. */
enum schema_kind {
	KIND_NONE,
	KIND_BOOL,
	KIND_BYTE,  /* xsd:byte, signed 8 bit */
	KIND_SHORT, /* xsd:short */
	KIND_INT,   /* xsd:int */
	KIND_LONG,  /* xsd:long */
	KIND_FLOAT,
	KIND_DOUBLE,
	KIND_DATETIME, /* microseconds since 1970-01-01 UTC */
	KIND_ENUM,     /* ordinal within the enumeration */
	/* Kinds above are scalars and live inside a slot; kinds below are separate values. */
	KIND_STRING, /* xsd:string, UTF-8 */
	KIND_BINARY, /* xsd:base64Binary */
	KIND_REF,    /* ManagedObjectReference */
	KIND_STRUCT,
	KIND_ANY,     /* declared kind only: any value, boxed */
	KIND_ARRAY,   /* value kind only: in a schema it is the field's `array` flag */
	KIND_MANAGED, /* type kind only: a managed object type */
};

enum schema_field_flag {
	FIELD_OPTIONAL = 1, /* may be absent (`?` and `*`) */
	FIELD_ARRAY = 2,    /* repeated element (`*` and `+`) */
	FIELD_XSITYPE = 4,  /* declared type is anyType or has subtypes: xsi:type must be written */
};

struct schema_field {
	uint32_t name; /* offset in schema_strings */
	uint16_t type; /* element type id; for references the managed type */
	uint8_t kind;  /* enum schema_kind of one element */
	uint8_t flags; /* enum schema_field_flag */
	uint8_t since; /* version index, see schema_version_parse() */
	uint8_t name_len;
};

struct schema_type {
	uint32_t name;	      /* offset in schema_strings */
	uint32_t first_field; /* index in schema_fields; enumerations: in schema_enum_names */
	uint16_t n_fields;    /* all of them, inherited first; enumerations: number of values */
	uint16_t base;	      /* type id or T_none */
	uint16_t last;	      /* last id of the subtree below this type (itself when a leaf) */
	uint8_t kind;	      /* KIND_STRUCT, KIND_ENUM, KIND_MANAGED or a primitive kind */
	uint8_t since;
	uint8_t name_len;
};

struct schema_method {
	uint32_t name;	      /* wire name, e.g. "PowerOnVM_Task" */
	uint32_t privilege;   /* e.g. "VirtualMachine.Interact.PowerOn"; "" = none needed */
	uint32_t first_fault; /* index in schema_faults */
	uint16_t n_faults;
	uint16_t managed;	    /* type that declares it */
	uint16_t args;		    /* structure type of the arguments */
	uint16_t next;		    /* next method of the same wire name, or M_none */
	struct schema_field result; /* kind KIND_NONE: void; name offset is unused */
	uint8_t since;
};

extern const struct schema_type schema_types[];
extern const struct schema_field schema_fields[];
extern const struct schema_method schema_methods[];
extern const uint32_t schema_enum_names[];
extern const uint16_t schema_faults[];
extern const char schema_strings[];

#define SCHEMA_N_TYPES	 ((uint16_t)T__count)
#define SCHEMA_N_METHODS ((uint16_t)M__count)

static inline const struct schema_type *schema_type(uint16_t type)
{
	return &schema_types[type];
}

static inline const char *schema_type_name(uint16_t type)
{
	return schema_strings + schema_types[type].name;
}

static inline enum schema_kind schema_type_kind(uint16_t type)
{
	return (enum schema_kind)schema_types[type].kind;
}

/* True when `type` is `base` or derives from it. */
static inline bool schema_is_a(uint16_t type, uint16_t base)
{
	return type >= base && type <= schema_types[base].last;
}

/* The i-th field (structure) or property (managed type); i < n_fields. */
static inline const struct schema_field *schema_field(uint16_t type, unsigned i)
{
	return &schema_fields[schema_types[type].first_field + i];
}

static inline const char *schema_field_name(const struct schema_field *f)
{
	return schema_strings + f->name;
}

static inline const char *schema_enum_name(uint16_t type, unsigned ordinal)
{
	return schema_strings + schema_enum_names[schema_types[type].first_field + ordinal];
}

static inline const struct schema_method *schema_method(uint16_t method)
{
	return &schema_methods[method];
}

static inline const char *schema_method_name(uint16_t method)
{
	return schema_strings + schema_methods[method].name;
}

/* True for kinds that live in a slot without a value of their own. */
static inline bool schema_kind_is_scalar(unsigned kind)
{
	return kind >= KIND_BOOL && kind <= KIND_ENUM;
}

/* Type id by wire name ("VirtualMachineConfigSpec", "string", "int", "ManagedObjectReference"), or
 * T_none. "ArrayOf" names are not types: see schema_array_find(). Names need no NUL. */
uint16_t schema_type_find(const char *name, size_t len);

/* Element type of "ArrayOfX", or T_none when the name is not of that form or X is unknown.
 * ArrayOfString, ArrayOfInt, … give the primitive; ArrayOfAnyType gives T_anyType. */
uint16_t schema_array_find(const char *name, size_t len);

/* Wire name of the array type of `type`, without the leading "ArrayOf": "String" for T_string. */
const char *schema_array_name(uint16_t type);

/* Index of the field of that name, looked for from `hint` onward first (wire order makes that
 * usually the first look), or -1. */
int schema_field_find(uint16_t type, const char *name, size_t len, unsigned hint);

/* Ordinal of the enumeration's value, or -1. */
int schema_enum_find(uint16_t type, const char *name, size_t len);

/* Method of that wire name on that managed type or one of its bases, or M_none. */
uint16_t schema_method_find(uint16_t managed, const char *name, size_t len);

/* Method of that wire name for callers who do not know the object's exact type: one that a type
 * derived from `managed` declares, else any of that name; or M_none. */
uint16_t schema_method_find_any(uint16_t managed, const char *name, size_t len);

/* Version index for what follows "urn:vim25/" ("6.7.1", "8.0.3.0"): the newest known version that
 * is not newer. Empty, unknown form or NULL: SCHEMA_VERSION_SERVED. */
uint8_t schema_version_parse(const char *text, size_t len);

/* Text of a version index ("8.0.3.0"); 0 is "2.0". */
const char *schema_version_name(uint8_t version);

/* Number of versions known; indices are ordered oldest to newest. */
uint8_t schema_version_count(void);

/* Newest version served to clients; what is newer is never written. */
extern const uint8_t schema_version_served;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of schema_tables.c that only schema.c reads. Hash tables: FNV-1a, open addressing, 0 =
 * free. */
#ifndef VIM_SCHEMA_TABLES_H
#define VIM_SCHEMA_TABLES_H

#include <stdint.h>

extern const uint32_t schema_version_names[];
extern const uint32_t schema_array_names[];
extern const uint16_t schema_type_hash[];
extern const uint16_t schema_array_hash[];
extern const uint16_t schema_method_hash[];
extern const uint32_t schema_type_hash_mask;
extern const uint32_t schema_array_hash_mask;
extern const uint32_t schema_method_hash_mask;
extern const uint8_t schema_n_versions;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bytes from files may become text that is shown: the checks for UTF-8 and control
 * characters, and a cleaner for strings that hardware and the kernel give. Pure functions.
 */
#ifndef HOST_TEXT_H
#define HOST_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Well-formed UTF-8 (no overlong forms, no surrogates) and no NUL; Unicode 15, table 3-7. */
bool text_is_utf8(const char *s, size_t len);

/* Has a byte below 0x20 or 0x7f. */
bool text_has_control(const char *s, size_t len);

/* Writes s to out (size bytes, at least 1), NUL-terminated: leading and trailing blanks off, runs
 * of blanks and control characters as one blank, malformed UTF-8 as '?', cut between characters. */
void text_clean(char *out, size_t size, const char *s, size_t len);

#define TEXT_ESX_UUID_SIZE 48 /* with the NUL */

/* The way .vmx and .vmdk files spell a uuid, "56 4d 3b 2a 11 22 33 44-55 66 77 88 99 aa bb cc", and
 * the usual 8-4-4-4-12 form. False when s has not 32 hex digits, besides blanks and dashes. */
bool text_uuid_from_esx(const char *s, char out[37]);
bool text_uuid_to_esx(const char *uuid, char out[TEXT_ESX_UUID_SIZE]);

#endif

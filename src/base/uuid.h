/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDs (RFC 4122): 16 bytes in network order, text in lower case with dashes. Any thread. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_TEXT_SIZE 37 /* with the NUL */

struct uuid {
	uint8_t b[16];
};

struct uuid uuid_random(void); /* version 4 */

/* The same text gives the same UUID, everywhere and always (version 8, from BLAKE2b). */
struct uuid uuid_from_name(const char *name);

void uuid_format(const struct uuid *u, char out[UUID_TEXT_SIZE]);
void uuid_random_text(char out[UUID_TEXT_SIZE]);

/* Takes xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, either case, nothing else. */
bool uuid_parse(const char *s, struct uuid *out);
bool uuid_is_equal(const struct uuid *a, const struct uuid *b);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files of /proc and /sys, read with limits: what the readers of host/hardware.h stand on.
 * `root` comes before each path. Nothing here is an error: what is missing is empty. Any thread.
 */
#ifndef HOST_FACTS_H
#define HOST_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* A path made as printf does, behind root; one that is too long names nothing. */
struct facts_path {
	char s[1024];
};
struct facts_path facts_path(const char *root, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The first `limit` bytes of a file; false when there are none. */
bool facts_read(const char *path, size_t limit, struct buf *out);

/* The first line, cleaned (host/text.h); "" where there is none. */
void facts_line(const char *path, char *out, size_t size);

/* A number, decimal or 0x…, the whole line; `fallback` where there is none. */
uint64_t facts_u64(const char *path, uint64_t fallback);

bool facts_exists(const char *path);

/* Last component of where a link leads: "../../bus/pci/drivers/e1000e" gives "e1000e". */
void facts_link_name(const char *path, char *out, size_t size);

/* The names in a folder, sorted, at most `max`, without "." and "..". NULL and n 0 where there is
 * none. Free with facts_names_free(). */
char **facts_names(const char *path, size_t max, size_t *n);
void facts_names_free(char **names, size_t n);

/* "0-3,8,10-11" as the kernel writes lists: the numbers below `below`, at most that many, each
 * once, ascending. Free with free(). */
unsigned *facts_list(const char *text, unsigned below, size_t *n);

/* The value behind "key" and a colon in lines "key : value"; cleaned; false where there is none. */
bool facts_field(const char *text, const char *key, char *out, size_t size);

/* PCI addresses "0000:3b:00.0". */
struct facts_pci_address {
	unsigned domain, bus, slot, function;
};
bool facts_pci_parse(const char *text, struct facts_pci_address *out);

/* The last PCI address among the components of the path that a link holds, "" where there is none;
 * `skip` of them are passed over, from the end. */
void facts_link_pci(const char *path, unsigned skip, char *out, size_t size);

#endif

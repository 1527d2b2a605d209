/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of host/disk.h: making disks (disk.c), copying and moving them (disk_copy.c). */
#ifndef HOST_DISK_IMPL_H
#define HOST_DISK_IMPL_H

#include "host/datastore_files.h"
#include "host/disk.h"
#include "host/vmdk.h"

/* A place for a descriptor, opened. */
struct disk_seat {
	const struct datastore *ds;
	char path[DATASTORE_PATH_MAX + 1]; /* checked */
	struct place place;		   /* the folder, and the descriptor's name */
};
bool disk_seat_open(const struct disk_place *at, struct disk_seat *out, struct error *e);
void disk_seat_close(struct disk_seat *s);

/* ERROR_EXISTS when the name is taken. */
bool disk_seat_check_free(const struct disk_seat *s, struct error *e);

/* Loads and checks the disk in the seat. */
struct vmdk *disk_seat_load(const struct disk_seat *s, struct error *e);

/* A name for the seat's extent file that is free in its folder and in `also` (-1: none): as a rule
 * "base-flat.vmdk". */
bool disk_extent_name(const struct disk_seat *s, int also, char out[256], struct error *e);

/* Writes d as .remora-disk- file in the seat's folder: the extents it names are from now on removed
 * by datastore_recover() and place_settle_disk(), unless a valid descriptor names them. */
bool disk_declare(const struct disk_seat *s, const struct vmdk *d, char temp[DATASTORE_TEMP_SIZE],
		  struct error *e);

/* A disk being made: declared, with an empty extent file open for filling. */
struct disk_draft {
	struct disk_seat seat;
	struct vmdk *d;
	char temp[DATASTORE_TEMP_SIZE];
	int fd;
};
bool disk_draft_open(const struct disk_place *at, const struct disk_spec *s, bool force,
		     struct disk_draft *out, struct error *e);

/* Makes it a disk, or (ok false) removes it again. Ends the draft; passes `ok` on. */
bool disk_draft_end(struct disk_draft *f, bool ok, bool force, struct error *e);

/* Makes [at, end) of the extent take its space, in steps that can be cancelled. */
bool disk_reserve(int fd, uint64_t at, uint64_t end, struct progress *p, struct error *e);

enum disk_format disk_format_of(const struct vmdk *d);

#endif

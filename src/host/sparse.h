/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads sparse VMDK images ("KDMV"): streamOptimized ones, in which OVF packages carry disks, and
 * monolithicSparse ones of desktop products. Source: "VMware Virtual Disk Format 1.1", hosted
 * sparse extents and stream-optimized compressed sparse extents.
 *
 * The image is hostile: every offset and size is checked against the file and the capacity, each
 * grain may take its place in the file once, so that a small file cannot fill a datastore beyond
 * what deflate can do (about a thousandfold), and the caller's room is asked for on the way.
 *
 * The image borrows its fd; it owns nothing. One thread at a time.
 */
#ifndef HOST_SPARSE_H
#define HOST_SPARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "host/datastore.h"
#include "host/job.h"

struct sparse_image {
	int fd;
	uint64_t size;	     /* bytes of the file */
	uint64_t capacity;   /* bytes of the disk */
	uint64_t grain_size; /* bytes */
	uint64_t directory;  /* where the grain directory is, bytes */
	uint32_t n_per_table;
	bool is_compressed, has_zero_grains;
	char adapter_type[32]; /* from the descriptor inside; may be empty */
};

/* ERROR_CORRUPT, naming what is wrong; ERROR_UNSUPPORTED for kinds and versions not known. */
bool sparse_open(int fd, struct sparse_image *out, struct error *e);

/* Writes the disk to `to`, an empty file: zeros stay holes, the length becomes the capacity.
 * ERROR_NO_SPACE as soon as `room` (NULL: not asked) has less free than comes next. */
bool sparse_copy(const struct sparse_image *s, int to, const struct datastore *room,
		 struct progress *p, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk's data take of the file system: taken in whole, given back where zero, or all made
 * zero. For VirtualDiskManager; a worker's work (host/job.h). Nobody else may use the disk. The
 * contents that a guest reads stay the same, but for disk_zero().
 */
#pragma once

#include "host/disk.h"

/* All blocks are taken; the disk is no longer thin. ERROR_NO_SPACE changes nothing that shows. */
bool disk_inflate(const struct disk_place *at, struct progress *p, struct error *e);

/* Blocks that hold zeros alone are given back. ERROR_STATE where the disk is not thin. */
bool disk_shrink(const struct disk_place *at, struct progress *p, struct error *e);

/* The disk reads as zeros; all that it held is lost. */
bool disk_zero(const struct disk_place *at, struct progress *p, struct error *e);

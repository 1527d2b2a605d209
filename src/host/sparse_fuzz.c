/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a sparse image: copied or refused, within the capacity it claims. */
#include <assert.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/sparse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sparse_image s;
	struct error e;
	int from = memfd_create("image", MFD_CLOEXEC);
	int to = memfd_create("disk", MFD_CLOEXEC);
	assert(from >= 0 && to >= 0);
	assert(write(from, data, size) == (ssize_t)size);
	if (sparse_open(from, &s, &e) && sparse_copy(&s, to, NULL, NULL, &e)) {
		struct stat st;
		assert(fstat(to, &st) == 0);
		assert((uint64_t)st.st_size == s.capacity);
	}
	close(from);
	close(to);
	return 0;
}

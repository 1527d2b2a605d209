/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays a fuzz corpus: feeds every regular file of the folder argv[1] to the fuzz target that
 * this is linked with. Fails when the folder cannot be read or holds no file.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1: fed, 0: not a regular file, -1: unreadable. */
static int feed(int folder, const char *name)
{
	struct stat st;
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(name);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return 0;
	}
	size_t size = (size_t)st.st_size;
	uint8_t *data = malloc(size ? size : 1); /* exact, so that overruns are seen */
	size_t at = 0;
	while (data && at < size) {
		ssize_t n = read(fd, data + at, size - at);
		if (n <= 0) {
			break;
		}
		at += (size_t)n;
	}
	close(fd);
	if (!data || at < size) {
		fprintf(stderr, "%s: cannot be read\n", name);
		free(data);
		return -1;
	}
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 1;
}

int main(int argc, char **argv)
{
	DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
	if (!folder) {
		fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
		return 2;
	}
	unsigned n_fed = 0;
	unsigned n_failed = 0;
	struct dirent *entry;
	while ((entry = readdir(folder))) {
		int fed = feed(dirfd(folder), entry->d_name);
		n_fed += fed > 0;
		n_failed += fed < 0;
	}
	closedir(folder);
	printf("%u inputs replayed, %u unreadable\n", n_fed, n_failed);
	return n_fed == 0 || n_failed ? 1 : 0;
}

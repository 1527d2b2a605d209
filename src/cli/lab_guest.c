/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lab_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/process.h"

/* One build at a time: a command is one process with one lab. */
static struct {
	uv_loop_t loop;
	bool begun, ended, good;
	struct process *process;
	char *out; /* the disk */
} build;

static void build_exit(void *arg, const struct process_exit *how)
{
	(void)arg;
	build.ended = true;
	build.good = how->is_known && how->status == 0 && how->signal == 0;
}

/* The script: beside the sources when run from the build folder, else as installed. */
static char *script_find(const struct lab *lab, bool *in_tree)
{
	static const char *const places[] = { "../lab/guest/build", "../share/remora/guest/build" };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		char *path = mem_printf("%s/%s", lab->bin, places[i]);
		if (access(path, X_OK) == 0) {
			*in_tree = i == 0;
			return path;
		}
		free(path);
	}
	return NULL;
}

bool lab_guest_begin(const struct lab *lab, struct error *e)
{
	bool in_tree = false;
	char *script = script_find(lab, &in_tree), *folder = lab_path(lab, "guest");
	char *log = lab_path(lab, "guest/log");

	if (script == NULL) {
		error_set(e, ERROR_NOT_FOUND, "lab/guest/build is not beside \"%s\"", lab->bin);
		free(folder);
		free(log);
		return false;
	}
	/* A tree keeps its disk from lab to lab. */
	build.out = in_tree ? mem_printf("%s/guest/guest.raw", lab->bin)
			    : mem_printf("%s/guest.raw", folder);
	bool good = file_make_dirs(folder, 0700, e);
	int fd = good ? open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	if (good && fd < 0) {
		good = error_set_sys(e, errno, "\"%s\"", log);
	}
	if (good) {
		const char *argv[] = { script, build.out, NULL };
		uv_loop_init(&build.loop);
		build.begun = true;
		build.process = process_spawn(
			&build.loop,
			&(struct process_options){ .argv = argv, .stdout_fd = fd, .stderr_fd = fd },
			build_exit, NULL, e);
		good = build.process != NULL;
		build.ended = !good;
	}
	if (fd >= 0) {
		close(fd);
	}
	free(script);
	free(folder);
	free(log);
	return good;
}

bool lab_guest_path(const struct lab *lab, char **path, struct error *e)
{
	if (!build.ended) {
		lab_say("building the guest disk from Debian's kernel and busybox");
	}
	while (!build.ended && uv_run(&build.loop, UV_RUN_ONCE) != 0) {
	}
	if (!build.good) {
		return error_set(e, ERROR_IO, "the guest disk could not be built: see %s/guest/log",
				 lab->folder);
	}
	*path = mem_strdup(build.out);
	return true;
}

void lab_guest_end(void)
{
	if (build.begun) {
		if (build.process != NULL && !build.ended) {
			process_stop(build.process, 1000);
			while (!build.ended && uv_run(&build.loop, UV_RUN_ONCE) != 0) {
			}
		}
		process_free(build.process);
		uv_run(&build.loop, UV_RUN_NOWAIT);
		uv_loop_close(&build.loop);
	}
	free(build.out);
}

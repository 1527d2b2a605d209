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

/* One build for each architecture: a command is one process with one lab. */
static struct build {
	uv_loop_t loop;
	bool begun, ended, good;
	struct process *process;
	char *out; /* the disk */
} builds[2];

static const char *const archs[2] = { "amd64", "arm64" };

static void build_exit(void *arg, const struct process_exit *how)
{
	struct build *build = arg;

	build->ended = true;
	build->good = how->is_known && how->status == 0 && how->signal == 0;
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

static bool begin(const struct lab *lab, size_t arch, struct error *e)
{
	struct build *build = &builds[arch];
	const char *suffix = arch == 0 ? "" : "-arm64";
	bool in_tree = false;
	char *script = script_find(lab, &in_tree), *folder = lab_path(lab, "guest");
	char *log = lab_path(lab, "guest/log%s", suffix);

	if (script == NULL) {
		error_set(e, ERROR_NOT_FOUND, "lab/guest/build is not beside \"%s\"", lab->bin);
		free(folder);
		free(log);
		return false;
	}
	/* A tree keeps its disk from lab to lab. */
	build->out = in_tree ? mem_printf("%s/guest/guest%s.raw", lab->bin, suffix)
			     : mem_printf("%s/guest%s.raw", folder, suffix);
	bool good = file_make_dirs(folder, 0700, e);
	int fd = good ? open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	if (good && fd < 0) {
		good = error_set_sys(e, errno, "\"%s\"", log);
	}
	if (good) {
		const char *argv[] = { script, "--arch", archs[arch], build->out, NULL };
		uv_loop_init(&build->loop);
		build->begun = true;
		build->process = process_spawn(
			&build->loop,
			&(struct process_options){ .argv = argv, .stdout_fd = fd, .stderr_fd = fd },
			build_exit, build, e);
		good = build->process != NULL;
		build->ended = !good;
	}
	if (fd >= 0) {
		close(fd);
	}
	free(script);
	free(folder);
	free(log);
	return good;
}

bool lab_guest_begin(const struct lab *lab, struct error *e)
{
	return begin(lab, 0, e) && (!lab->is_arm64 || begin(lab, 1, e));
}

bool lab_guest_path(const struct lab *lab, bool is_arm64, char **path, struct error *e)
{
	struct build *build = &builds[is_arm64];

	if (!build->ended) {
		uv_run(&build->loop, UV_RUN_NOWAIT); /* it may have ended while nobody looked */
	}
	if (!build->ended) {
		lab_say("building the guest disk from Debian's kernel and busybox");
	}
	while (!build->ended && uv_run(&build->loop, UV_RUN_ONCE) != 0) {
	}
	if (!build->good) {
		return error_set(e, ERROR_IO,
				 "the guest disk could not be built: see %s/guest/log%s",
				 lab->folder, is_arm64 ? "-arm64" : "");
	}
	*path = mem_strdup(build->out);
	return true;
}

static void end(struct build *build)
{
	if (build->begun) {
		if (build->process != NULL && !build->ended) {
			process_stop(build->process, 1000);
			while (!build->ended && uv_run(&build->loop, UV_RUN_ONCE) != 0) {
			}
		}
		process_free(build->process);
		uv_run(&build->loop, UV_RUN_NOWAIT);
		uv_loop_close(&build->loop);
	}
	free(build->out);
}

void lab_guest_end(void)
{
	end(&builds[0]);
	end(&builds[1]);
}

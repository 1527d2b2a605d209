/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "cli/command.h"

enum {
	KIND_MAX = 64, /* bytes of what the lab is, as it is written down */
};

/* ---- words ---- */

static int64_t began_us;

void lab_say(const char *fmt, ...)
{
	va_list args;
	int64_t now = clock_mono_us(clock_real());

	if (began_us == 0) {
		began_us = now;
	}
	printf("[%6.1f s] ", (double)(now - began_us) / 1e6);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

int lab_complain(const struct error *e)
{
	fprintf(stderr, "remora: %s\n", e->msg);
	return 1;
}

/* ---- the folder ---- */

char *lab_path(const struct lab *lab, const char *fmt, ...)
{
	char rest[PATH_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(rest, sizeof(rest), fmt, args);
	va_end(args);
	return mem_printf("%s/%s", lab->folder, rest);
}

static char *folder_default(void)
{
	const char *given = getenv("REMORA_LAB"), *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	if (given != NULL && given[0] == '/') {
		return mem_strdup(given);
	}
	if (state != NULL && state[0] == '/') {
		return mem_printf("%s/remora-lab", state);
	}
	return mem_printf("%s/.local/state/remora-lab", home == NULL ? "/tmp" : home);
}

static char *own_folder(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n < 0 ? 0 : n] = '\0';
	char *slash = strrchr(path, '/');
	if (slash != NULL) {
		*slash = '\0';
	}
	return mem_strdup(path);
}

static bool password_load(struct lab *lab, bool make, struct error *e)
{
	char *path = lab_path(lab, "password");
	struct buf b = BUF_INIT;
	bool good = file_read(path, sizeof(lab->password) - 1, &b, e);

	if (good) {
		b.data[strcspn(b.data, "\n")] = '\0';
		snprintf(lab->password, sizeof(lab->password), "%s", b.data);
	} else if (make) {
		random_hex(lab->password, 8);
		good = file_write_atomic(path, lab->password, strlen(lab->password), 0600, e);
	} else {
		error_set(e, ERROR_NOT_FOUND,
			  "there is no lab in \"%s\": \"remora lab up\" makes one", lab->folder);
	}
	buf_free(&b);
	free(path);
	return good;
}

/* What it is to be is chosen when the lab is made, and written down before its password. */
static bool kind_load(struct lab *lab, bool make, const struct lab_kind *kind, struct error *e)
{
	char *path = lab_path(lab, "arch"), *password = lab_path(lab, "password");
	bool is_new = access(password, F_OK) != 0, good = true;
	struct buf b = BUF_INIT;

	if (make && is_new) {
		const char *arch = kind->arch == NULL ? "amd64" : kind->arch;
		const char *cpu = kind->cpu == NULL ? "" : kind->cpu;
		char *words = mem_printf("%s %s", arch, cpu);
		good = file_write_atomic(path, words, strlen(words), 0600, e);
		lab_nodes_of(lab, strcmp(arch, "arm64") == 0, cpu);
		free(words);
	} else {
		bool is_arm64 = file_read(path, KIND_MAX, &b, NULL) && b.len >= 6 &&
				strncmp(b.data, "arm64 ", 6) == 0;
		const char *here = is_arm64 ? "arm64" : "amd64";
		lab_nodes_of(lab, is_arm64, is_arm64 ? b.data + 6 : "");
		good = kind == NULL || kind->arch == NULL ||
		       (strcmp(kind->arch, here) == 0 &&
			(kind->cpu == NULL || strcmp(kind->cpu, lab->cpu) == 0)) ||
		       error_set(e, ERROR_BUSY,
				 "the lab in \"%s\" is another one, of %s%s%s: \"remora lab down\" "
				 "first",
				 lab->folder, here,
				 lab->cpu[0] != '\0' ? " with a second card, " : "", lab->cpu);
	}
	buf_free(&b);
	free(path);
	free(password);
	return good;
}

bool lab_open(struct lab *lab, bool make, const struct lab_kind *kind, struct error *e)
{
	*lab = (struct lab){ .folder = folder_default(), .bin = own_folder() };
	if (make && !file_make_dirs(lab->folder, 0700, e)) {
		return false;
	}
	return kind_load(lab, make, kind, e) && password_load(lab, make, e);
}

void lab_close(struct lab *lab)
{
	free(lab->folder);
	free(lab->bin);
}

/* One command at a time changes the lab. Returns the fd that holds the lock, or -1. */
static int lock(const struct lab *lab, struct error *e)
{
	char *path = lab_path(lab, "lock");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0) {
		error_set_sys(e, errno, "\"%s\"", path);
	} else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		error_set(e, ERROR_BUSY, "another remora command is changing the lab in \"%s\"",
			  lab->folder);
		close(fd);
		fd = -1;
	}
	free(path);
	return fd;
}

/* ---- subcommands ---- */

int lab_down(struct lab *lab)
{
	struct error e;

	/* Manager first: it should not see its hosts vanish one by one. */
	for (size_t i = 0; i < lab->n_nodes; i++) {
		bool ran = lab_node_is_running(lab, &lab->nodes[i]);
		lab_node_stop(lab, &lab->nodes[i], false, &e);
		lab_node_clear(lab, &lab->nodes[i]);
		if (ran) {
			lab_say("%s is down", lab->nodes[i].name);
		}
	}
	if (!file_remove_tree_at(AT_FDCWD, lab->folder, &e)) {
		return lab_complain(&e);
	}
	lab_say("nothing is left of the lab");
	return 0;
}

static int node_command(struct lab *lab, const char *verb, const char *name)
{
	const struct lab_node *n = lab_node_find(lab, name);
	struct error e;
	bool good;

	if (n == NULL) {
		struct buf names = BUF_INIT;
		for (size_t i = 0; i < lab->n_nodes; i++) {
			buf_addf(&names, "%s%s", i == 0 ? "" : ", ", lab->nodes[i].name);
		}
		error_set(&e, ERROR_NOT_FOUND, "there is no node \"%s\": the lab has %s", name,
			  names.data);
		buf_free(&names);
		return lab_complain(&e);
	}
	if (strcmp(verb, "start") == 0) {
		good = lab_node_start(lab, n, &e);
	} else {
		good = lab_node_stop(lab, n, strcmp(verb, "kill") == 0, &e);
	}
	if (!good) {
		return lab_complain(&e);
	}
	lab_say("%s %s", n->name, strcmp(verb, "start") == 0 ? "is up" : "is down");
	return 0;
}

static int usage(FILE *to, int status)
{
	fputs("usage: remora lab up [--arch amd64|arm64 [--second-card CPU]] | down |\n"
	      "       status [--json] | console VM|NODE | start NODE | stop NODE | kill NODE\n",
	      to);
	return status;
}

static int run_locked(struct lab *lab, const char *verb, const char *name)
{
	struct error e;
	int fd = lock(lab, &e);

	if (fd < 0) {
		return lab_complain(&e);
	}
	int status = strcmp(verb, "up") == 0	 ? lab_up(lab)
		     : strcmp(verb, "down") == 0 ? lab_down(lab)
						 : node_command(lab, verb, name);
	close(fd);
	return status;
}

/* The options of `up`. What is wrong is told here. */
static bool kind_read(int argc, char **argv, struct lab_kind *kind)
{
	static const char *const cpus[] = { "cortex-a72", "neoverse-n1" };
	bool has_cpu = argc == 6 && strcmp(argv[4], "--second-card") == 0;

	if (argc != 2 && !((argc == 4 || has_cpu) && strcmp(argv[2], "--arch") == 0)) {
		usage(stderr, 2);
		return false;
	}
	kind->arch = argc == 2 ? NULL : argv[3];
	kind->cpu = has_cpu ? argv[5] : NULL;
	if (kind->arch != NULL && strcmp(kind->arch, "amd64") != 0 &&
	    strcmp(kind->arch, "arm64") != 0) {
		fprintf(stderr, "remora: no lab of \"%s\": there are amd64 and arm64\n",
			kind->arch);
		return false;
	}
	if (has_cpu && (strcmp(kind->arch, "arm64") != 0 ||
			(strcmp(kind->cpu, cpus[0]) != 0 && strcmp(kind->cpu, cpus[1]) != 0))) {
		fprintf(stderr, "remora: no second card \"%s\": with arm64 there are %s and %s\n",
			kind->cpu, cpus[0], cpus[1]);
		return false;
	}
	return true;
}

int command_lab(int argc, char **argv)
{
	struct lab lab;
	struct error e;
	const char *verb = argc > 1 ? argv[1] : "";
	bool on_node = strcmp(verb, "start") == 0 || strcmp(verb, "stop") == 0 ||
		       strcmp(verb, "kill") == 0;
	bool up = strcmp(verb, "up") == 0, down = strcmp(verb, "down") == 0;
	struct lab_kind kind = { 0 };
	bool is_known = !up || kind_read(argc, argv, &kind);
	bool status = strcmp(verb, "status") == 0, console = strcmp(verb, "console") == 0;
	bool json = status && argc == 3 && strcmp(argv[2], "--json") == 0;

	if (command_wants_help(verb)) {
		return usage(stdout, 0);
	}
	if (!is_known) {
		return 2;
	}
	if (!((down && argc == 2) || up || (on_node && argc == 3) ||
	      (status && (argc == 2 || json)) || (console && argc == 3))) {
		return usage(stderr, 2);
	}
	if (!lab_open(&lab, up, &kind, &e)) {
		lab_close(&lab);
		if (down && e.kind == ERROR_NOT_FOUND) {
			printf("there is no lab\n");
			return 0;
		}
		return lab_complain(&e);
	}
	int code = status    ? lab_status(&lab, json)
		   : console ? lab_console(&lab, argv[2])
			     : run_locked(&lab, verb, argc == 3 ? argv[2] : NULL);
	lab_close(&lab);
	return code;
}

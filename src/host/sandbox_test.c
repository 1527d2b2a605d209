/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view against a tree of links, and real sandboxes: this very program runs in one and tells
 * what it finds (main() with the word "inside"), with all layers that work here and with fewer.
 */
#include "host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

#define UID 1900099999U

static char self[4096];

/* ---- the view ---- */

static const struct sandbox_entry *find(const struct sandbox_view *v, const char *path)
{
	for (size_t i = 0; i < v->entries.n; i++) {
		if (strcmp(v->entries.items[i].path, path) == 0) {
			return &v->entries.items[i];
		}
	}
	return NULL;
}

static void assert_entry(const struct sandbox_view *v, enum sandbox_entry_kind kind,
			 const char *path)
{
	const struct sandbox_entry *x = find(v, path);
	if (!x || x->kind != kind) {
		fail_msg("%s: %s", path, x ? "another kind" : "missing");
	}
}

static void make(const char *root, const char *path, const char *target)
{
	char *at = mem_printf("%s%s", root, path);
	struct error e;
	if (target) {
		assert_int_equal(symlink(target, at), 0);
	} else if (path[strlen(path) - 1] == '/') {
		assert_true(file_make_dirs(at, 0755, &e));
	} else {
		assert_true(file_write_atomic(at, "x", 1, 0644, &e));
	}
	free(at);
}

static void test_view(void **state)
{
	char root[] = "/tmp/remora-view-XXXXXX";
	struct sandbox_view v = { 0 };
	(void)state;
	assert_non_null(mkdtemp(root));
	make(root, "/usr/lib/deep/", NULL);
	make(root, "/usr/bin/", NULL);
	make(root, "/opt/q-1/bin/", NULL);
	make(root, "/opt/q-1/bin/prog", NULL);
	make(root, "/opt/q-1/secret", NULL);
	make(root, "/lib", "usr/lib");
	make(root, "/opt/q", "q-1");
	make(root, "/usr/bin/prog", "../../opt/q/bin/prog");
	make(root, "/loop", "loop");
	make(root, "/usr/dangling", "/nowhere");

	sandbox_view_add(&v, root, "/usr/bin/prog");
	assert_entry(&v, SANDBOX_FOLDER, "/usr");
	assert_entry(&v, SANDBOX_FOLDER, "/usr/bin");
	assert_entry(&v, SANDBOX_LINK, "/usr/bin/prog");
	const struct sandbox_entry *link = find(&v, "/usr/bin/prog");
	assert_string_equal(link ? link->target : "", "../../opt/q/bin/prog");
	assert_entry(&v, SANDBOX_LINK, "/opt/q");
	assert_entry(&v, SANDBOX_FOLDER, "/opt/q-1/bin");
	assert_entry(&v, SANDBOX_FILE, "/opt/q-1/bin/prog");
	assert_null(find(&v, "/opt/q-1/secret"));

	sandbox_view_add(&v, root, "/lib");
	assert_entry(&v, SANDBOX_LINK, "/lib");
	assert_entry(&v, SANDBOX_TREE, "/usr/lib");
	size_t n = v.entries.n;
	sandbox_view_add(&v, root, "/usr/lib/deep"); /* is in the tree */
	sandbox_view_add(&v, root, "/usr/bin/prog");
	sandbox_view_add(&v, root, "/not/there");
	sandbox_view_add(&v, root, "/loop");
	sandbox_view_add(&v, root, "/usr/dangling");
	assert_int_equal(v.entries.n, n);

	/* what is made stands behind the folder that it is made in */
	for (size_t i = 0; i < n; i++) {
		char *folder = mem_strdup(v.entries.items[i].path);
		*strrchr(folder, '/') = '\0';
		const struct sandbox_entry *x = find(&v, folder);
		assert_true(!folder[0] || (x && x < &v.entries.items[i]));
		free(folder);
	}
	sandbox_view_fini(&v);
	assert_true(file_remove_tree_at(AT_FDCWD, root, NULL));
}

#if defined(__aarch64__)
#define LIB	    "/lib"
#define TRIPLET	    "aarch64-linux-gnu"
#define INTERPRETER "ld-linux-aarch64.so.1"
#else
#define LIB	    "/lib64"
#define TRIPLET	    "x86_64-linux-gnu"
#define INTERPRETER "ld-linux-x86-64.so.2"
#endif

/* Libraries by architecture are shown, not those beside them, but for what loads programs. */
static void test_view_of_a_program(void **state)
{
	char root[] = "/tmp/remora-view-XXXXXX";
	struct sandbox_view v = { 0 };
	(void)state;
	assert_non_null(mkdtemp(root));
	make(root, "/usr" LIB "/" TRIPLET "/", NULL);
	make(root, "/usr" LIB "/" TRIPLET "/loader.so", NULL);
	make(root, "/usr" LIB "/" INTERPRETER, TRIPLET "/loader.so");
	make(root, "/usr" LIB "/other.so", NULL);
	make(root, "/usr/bin/", NULL);
	make(root, "/usr/bin/prog", NULL);
	make(root, LIB, "usr" LIB);

	sandbox_view_add_program(&v, root, "/usr/bin/prog");
	assert_entry(&v, SANDBOX_FILE, "/usr/bin/prog");
	assert_entry(&v, SANDBOX_TREE, "/usr" LIB "/" TRIPLET);
	assert_entry(&v, SANDBOX_LINK, "/usr" LIB "/" INTERPRETER);
	assert_null(find(&v, "/usr" LIB "/other.so"));
	sandbox_view_fini(&v);
	assert_true(file_remove_tree_at(AT_FDCWD, root, NULL));
}

/* ---- inside ---- */

static void say(const char *what, const char *found)
{
	printf("%s=%s\n", what, found);
}

static void say_number(const char *what, long n)
{
	printf("%s=%ld\n", what, n);
}

static void say_opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);
	printf("open %s=%s\n", path, fd >= 0 ? "yes" : strerrorname_np(errno));
	if (fd >= 0) {
		close(fd);
	}
}

static _Noreturn void tell(const char *secret)
{
	struct rlimit l;
	struct stat st;
	char name[65] = "";
	sigset_t mask;
	struct sigaction pipe;
	gethostname(name, sizeof(name) - 1);
	say_number("pid", getpid());
	say_number("uid", geteuid());
	say_number("gid", getegid());
	say_number("groups", getgroups(0, NULL));
	say_number("session", getsid(0) == getpid());
	say_number("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	say_number("bounding", prctl(PR_CAPBSET_READ, 21 /* CAP_SYS_ADMIN */));
	say_number("chown", chown("/proc/self", 0, 0) == 0);
	say("host", name);
	say_opens(secret, O_RDONLY);
	say_opens("/etc/passwd", O_RDONLY);
	say_opens("/dev/null", O_RDWR);
	say_opens("/dev/zero", O_RDONLY);
	say_opens("/made", O_WRONLY | O_CREAT);
	getrlimit(RLIMIT_CORE, &l);
	say_number("core", (long)l.rlim_max);
	getrlimit(RLIMIT_NOFILE, &l);
	say_number("files", (long)l.rlim_max);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigaction(SIGPIPE, NULL, &pipe);
	say_number("signals", sigisemptyset(&mask) && pipe.sa_handler == SIG_DFL);
	say_number("fd3", fstat(3, &st) == 0 && S_ISFIFO(st.st_mode));
	say_number("fd4", fcntl(4, F_GETFD) >= 0);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_storage a = { .ss_family = AF_INET };
	say_number("bind", s >= 0 && bind(s, (struct sockaddr *)&a, 16) == 0);
	fflush(stdout);
	_exit(42); /* a sanitiser that looks for leaks at the end wants to see /proc */
}

/* ---- outside ---- */

struct fixture {
	char folder[64];
	char *secret, *pid_file;
	struct sandbox_view view;
	struct sandbox_support support;
	struct sandbox_plan plan;
	char said[4096];
};

static int set_up(void **state)
{
	static const char *const env[] = { "LC_ALL=C", NULL };
	static const char *argv[] = { self, "inside", NULL, NULL };
	static const struct sandbox_limit limits[] = { { RLIMIT_CORE, 0 }, { RLIMIT_NOFILE, 99 } };
	struct fixture *f = mem_zalloc(sizeof(*f));
	struct error e;
	snprintf(f->folder, sizeof(f->folder), "/tmp/remora-sandbox-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->secret = mem_printf("%s/secret", f->folder);
	f->pid_file = mem_printf("%s/pid", f->folder);
	assert_true(file_write_atomic(f->secret, "x", 1, 0644, &e));
	sandbox_view_add_program(&f->view, "", self);
	sandbox_view_add(&f->view, "", "/dev/null");
	argv[2] = f->secret;
	f->plan = (struct sandbox_plan){
		.uid = UID,
		.gid = UID,
		.folder = f->folder,
		.view = &f->view,
		.argv = argv,
		.env = env,
		.limits = limits,
		.n_limits = ARRAY_LEN(limits),
		.pid_file = f->pid_file,
	};
	sandbox_probe(&f->plan, &f->support);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	sandbox_view_fini(&f->view);
	assert_true(file_remove_tree_at(AT_FDCWD, f->folder, NULL));
	free(f->secret);
	free(f->pid_file);
	free(f);
	return 0;
}

/* Runs this program inside; what it said is in f->said. */
static void run(struct fixture *f, unsigned layers)
{
	int out[2], extra[2], status;
	struct buf b = BUF_INIT;
	struct error e = { 0 };
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(extra, O_CLOEXEC), 0);
	const int fds[] = { extra[0], out[1], 2, extra[1] };
	f->plan.layers = layers;
	f->plan.fds = fds;
	f->plan.n_fds = ARRAY_LEN(fds);
	pid_t pid = sandbox_spawn(&f->plan, &e);
	close(out[1]);
	close(extra[0]);
	close(extra[1]);
	if (pid < 0 && strstr(e.msg, strerror(ENOEXEC)) != NULL) {
		close(out[0]);
		print_message("%s: emulated programs cannot start others\n", e.msg);
		skip();
	}
	if (pid < 0) {
		fail_msg("%s", e.msg);
	}
	size_t n = 0;
	for (ssize_t got; (got = read(out[0], f->said + n, sizeof(f->said) - 1 - n)) > 0;) {
		n += (size_t)got;
	}
	f->said[n] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 42) {
		fail_msg("status %x: %s", (unsigned)status, f->said);
	}
	char *pid_text = mem_printf("%d\n", (int)pid);
	assert_true(file_read(f->pid_file, 64, &b, &e));
	assert_string_equal(b.data, pid_text);
	free(pid_text);
	buf_free(&b);
	unlink(f->pid_file);
}

static void assert_said(const struct fixture *f, const char *what, const char *found)
{
	char *line = mem_printf("%s=%s\n", what, found);
	if (!strstr(f->said, line)) {
		fail_msg("not \"%s=%s\" in:\n%s", what, found, f->said);
	}
	free(line);
}

static void assert_common(const struct fixture *f)
{
	assert_said(f, "session", "1");
	assert_said(f, "no_new_privs", "1");
	assert_said(f, "chown", "0");
	assert_said(f, "core", "0");
	assert_said(f, "files", "99");
	assert_said(f, "signals", "1");
	assert_said(f, "fd3", "1");
	assert_said(f, "fd4", "0");
	assert_said(f, "open /dev/null", "yes");
}

static bool has(const struct fixture *f, enum sandbox_layer l)
{
	return f->support.layers & SANDBOX_BIT(l);
}

static void test_all_layers(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;
	sandbox_layers_text(f->support.layers, &b);
	print_message("works here: %s\n", b.data);
	buf_free(&b);
	run(f, f->support.layers);
	assert_common(f);
	if (has(f, SANDBOX_USER)) {
		char uid[16];
		snprintf(uid, sizeof(uid), "%u", UID);
		assert_said(f, "uid", uid);
		assert_said(f, "gid", uid);
		assert_said(f, "groups", "0");
		assert_said(f, "bounding", "0");
	}
	if (has(f, SANDBOX_MOUNT)) {
		char *secret = mem_printf("open %s", f->secret);
		assert_said(f, secret, "ENOENT");
		assert_said(f, "open /etc/passwd", "ENOENT");
		assert_said(f, "open /dev/zero", "ENOENT");
		assert_null(strstr(f->said, "open /made=yes"));
		free(secret);
	}
	if (has(f, SANDBOX_PID)) {
		assert_said(f, "pid", "1");
	}
	if (has(f, SANDBOX_UTS)) {
		assert_said(f, "host", "vm");
	}
	if (has(f, SANDBOX_LANDLOCK) && f->support.landlock_abi >= 4) {
		assert_said(f, "bind", "0");
	}
}

static void test_no_layer(void **state)
{
	struct fixture *f = *state;
	run(f, 0);
	assert_common(f);
	char *secret = mem_printf("open %s", f->secret);
	assert_said(f, secret, "yes");
	free(secret);
}

static void test_landlock_alone(void **state)
{
	struct fixture *f = *state;
	if (!has(f, SANDBOX_LANDLOCK)) {
		print_message("the kernel has no Landlock\n");
		skip();
	}
	run(f, SANDBOX_BIT(SANDBOX_LANDLOCK));
	assert_common(f);
	char *secret = mem_printf("open %s", f->secret);
	assert_said(f, secret, "EACCES");
	assert_said(f, "open /etc/passwd", "EACCES");
	assert_said(f, "open /dev/zero", "EACCES");
	assert_null(strstr(f->said, "open /made=yes"));
	free(secret);
}

static void test_failures(void **state)
{
	struct fixture *f = *state;
	static const char *const missing[] = { "/not/there", NULL };
	struct error e = { 0 };
	f->plan.layers = 0;
	f->plan.argv = missing;
	assert_int_equal(sandbox_spawn(&f->plan, &e), -1);
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "\"/not/there\""));
	assert_int_not_equal(access(f->pid_file, F_OK), 0);

	f->plan.pid_file = "/not/there/pid";
	assert_int_equal(sandbox_spawn(&f->plan, &e), -1);
	assert_non_null(strstr(e.msg, "\"/not/there/pid\""));

	/* A mount point that is none: said with step and object; the probe finds out. */
	f->plan.pid_file = NULL;
	f->plan.folder = "/no/folder";
	if (has(f, SANDBOX_MOUNT)) {
		f->plan.layers = f->support.layers;
		assert_int_equal(sandbox_spawn(&f->plan, &e), -1);
		assert_non_null(strstr(e.msg, "mount \"/no/folder\""));
		unsigned before = f->support.layers;
		sandbox_probe(&f->plan, &f->support);
		assert_int_equal(f->support.layers, before & ~SANDBOX_BIT(SANDBOX_MOUNT));
		assert_non_null(strstr(f->support.why[SANDBOX_MOUNT], "/no/folder"));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_view),
		cmocka_unit_test(test_view_of_a_program),
		cmocka_unit_test_setup_teardown(test_all_layers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_layer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_landlock_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
	};
	if (argc == 3 && strcmp(argv[1], "inside") == 0) {
		tell(argv[2]);
	}
	if (!realpath("/proc/self/exe", self)) {
		return 2;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

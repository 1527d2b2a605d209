/* SPDX-License-Identifier: Apache-2.0 */
#include "host/qemu_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/qemu_move.h"

LOG_MODULE("qemu");

#define RECORD_MAX  4096
#define FILES_MIN   1024 /* descriptors of a machine without files */
#define FILES_EACH  4	 /* descriptors a file: its set, its node, one that replaces it */
#define THREADS_MIN 256	 /* besides the processors: requests to disks, migration */
#define KVM	    "/dev/kvm"
#define ALWAYS	    "no capabilities, no new privileges, system-call filter, limits"

/* ---- what it sees ---- */

static char *find_in_path(const char *name)
{
	const char *all = getenv("PATH");
	for (const char *at = all ? all : "/usr/bin:/bin"; *at;) {
		size_t n = strcspn(at, ":");
		char *path = mem_printf("%.*s/%s", (int)n, at, name);
		char *real = n > 0 && access(path, X_OK) == 0 ? realpath(path, NULL) : NULL;
		free(path);
		if (real) {
			return real;
		}
		at += n + (at[n] == ':');
	}
	errno = ENOENT;
	return NULL;
}

char *qemu_sandbox_program(const struct qemu_driver *d, enum machine_arch arch, struct error *e)
{
	char *name = d->program ? mem_strdup(d->program)
				: mem_printf("qemu-system-%s", machine_arch_name(arch));
	char *path = strchr(name, '/') ? realpath(name, NULL) : find_in_path(name);
	if (!path) {
		error_set_sys(e, errno, "program \"%s\"", name);
	}
	free(name);
	return path;
}

/* Firmware that QEMU itself loads; that of EFI machines it gets open. */
static void add_firmware(struct sandbox_view *v, const char *prefix)
{
	static const char *const names[] = { "share/qemu",	 "share/seabios", "share/vgabios",
					     "share/seavgabios", "share/ipxe",	  "lib/ipxe/qemu" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *path = mem_printf("%s/%s", prefix, names[i]);
		sandbox_view_add(v, "", path);
		free(path);
	}
}

static void make_view(struct sandbox_view *v, const char *program, enum machine_accel accel)
{
	const char *bin = strstr(program, "/bin/");
	char *prefix = mem_strndup(program, bin ? (size_t)(bin - program) : 0);
	sandbox_view_add_program(v, "", program);
	add_firmware(v, "/usr");
	add_firmware(v, prefix);
	free(prefix);
	sandbox_view_add(v, "", "/dev/null");
	sandbox_view_add(v, "", "/dev/urandom");
	if (accel == MACHINE_KVM) {
		sandbox_view_add(v, "", KVM);
	}
}

/* Its folder for certificates, where it can reach it. */
static void add_certificates(struct sandbox_view *v, const struct qemu_machine *m)
{
	char *real = qemu_move_sees_folder(m) ? realpath(m->run.tls, NULL) : NULL;
	if (real && (m->layers & SANDBOX_BIT(SANDBOX_MOUNT))) {
		sandbox_view_add_folder(v, real, QEMU_MOVE_FOLDER);
	} else if (real) {
		sandbox_view_add(v, "", real);
	}
	free(real);
}

/* ---- who it is ---- */

/* The group that may open the device, where that is what it takes; 0: none. */
static gid_t kvm_group(enum machine_accel accel)
{
	struct stat st;
	bool by_group = accel == MACHINE_KVM && stat(KVM, &st) == 0 &&
			(st.st_mode & 0060) == 0060 && (st.st_mode & 0006) != 0006;
	return by_group ? st.st_gid : 0;
}

static bool has(unsigned layers, enum sandbox_layer l)
{
	return layers & SANDBOX_BIT(l);
}

/* Is the kernel of that version or a later one? */
static bool kernel_is(unsigned long major, unsigned long minor)
{
	struct utsname u;
	char *end;

	if (uname(&u) != 0) {
		return false;
	}
	unsigned long is_major = strtoul(u.release, &end, 10);
	unsigned long is_minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	return is_major > major || (is_major == major && is_minor >= minor);
}

/* An ordinary user's processes are counted together, unless it has a namespace of its own: since
 * Linux 5.14 those are counted apart. */
static bool may_limit_processes(unsigned layers)
{
	return has(layers, SANDBOX_USER) ||
	       (has(layers, SANDBOX_USER_NAMESPACE) && kernel_is(5, 14));
}

static void set_text(struct qemu_machine *m)
{
	struct buf b = BUF_INIT;
	sandbox_layers_text(m->layers, &b);
	free(m->confinement);
	m->confinement = m->uid ? mem_printf("user %u; %s, " ALWAYS, m->uid, b.data)
				: mem_printf("%s, " ALWAYS, b.data);
	buf_free(&b);
}

/* ---- what works here ---- */

/* Words for what is not there: "landlock (the kernel offers none)". */
static void missing_text(const struct sandbox_support *s, struct buf *out)
{
	for (int i = 0; i < SANDBOX_LAYERS; i++) {
		if (!has(s->layers, (enum sandbox_layer)i)) {
			buf_addf(out, "%s%s (%s)", out->len ? ", " : "",
				 sandbox_layer_name((enum sandbox_layer)i), s->why[i]);
		}
	}
}

static void report(struct qemu_driver *d)
{
	struct buf with = BUF_INIT, without = BUF_INIT;
	sandbox_layers_text(d->support.layers, &with);
	missing_text(&d->support, &without);
	d->confinement = mem_printf("%s, " ALWAYS "; without %s", with.data,
				    without.len ? without.data : "nothing");
	if (has(d->support.layers, SANDBOX_MOUNT)) {
		log_info("machines are confined by %s", d->confinement);
	} else {
		log_warn("machines see the file system of this node: confined by %s",
			 d->confinement);
	}
	buf_free(&with);
	buf_free(&without);
}

static const char *lease_dir(const char *run)
{
	return geteuid() == 0 && file_make_dirs(UID_LEASE_DIR, 0700, NULL) ? UID_LEASE_DIR : run;
}

void qemu_sandbox_probe(struct qemu_driver *d, const char *run)
{
	static const int kinds[] = { MACHINE_X86_64, MACHINE_AARCH64 };
	struct sandbox_view view = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		char *program = qemu_sandbox_program(d, (enum machine_arch)kinds[i], NULL);
		if (program) {
			make_view(&view, program, MACHINE_KVM);
		}
		free(program);
	}
	/* Not the run folder itself: a program that lies in it would be hidden. */
	char *root = mem_printf("%s/probe.XXXXXX", run);
	const struct sandbox_plan p = {
		.uid = d->uids.first,
		.gid = d->uids.first,
		.group = kvm_group(MACHINE_KVM),
		.folder = mkdtemp(root) != NULL ? root : run,
		.view = &view,
	};
	sandbox_probe(&p, &d->support);
	rmdir(root);
	free(root);
	sandbox_view_fini(&view);
	d->lease_dir = mem_strdup(lease_dir(run));
	if (has(d->support.layers, SANDBOX_USER)) {
		uid_lease_sweep(d->lease_dir);
	}
	report(d);
}

/* ---- starting ---- */

static size_t make_limits(const struct qemu_start *s, unsigned layers, struct sandbox_limit out[3])
{
	size_t n = 0;
	/* its core would hold the guest's memory */
	out[n++] = (struct sandbox_limit){ RLIMIT_CORE, 0 };
	out[n++] = (struct sandbox_limit){ RLIMIT_NOFILE, FILES_MIN + FILES_EACH * s->fds.n };
	if (may_limit_processes(layers)) {
		out[n++] = (struct sandbox_limit){ RLIMIT_NPROC, THREADS_MIN + s->spec->vcpus };
	}
	return n;
}

static void record(const struct qemu_machine *m)
{
	struct json_object *o = json_object_new_object();
	struct json_object *layers = json_object_new_array();
	struct error e;
	for (int i = 0; i < SANDBOX_LAYERS; i++) {
		if (has(m->layers, (enum sandbox_layer)i)) {
			json_object_array_add(layers, json_object_new_string(sandbox_layer_name(
							      (enum sandbox_layer)i)));
		}
	}
	if (m->uid) {
		json_put_u64(o, "user", m->uid);
	}
	json_put(o, "layers", layers);
	json_put_str(o, "text", m->confinement);
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	int fd = open(m->run.record, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		log_warn("\"%s\": %s", m->run.record, strerror(errno));
	} else if (!file_write_all(fd, text, strlen(text), m->run.record, &e)) {
		log_warn("%s", e.msg);
	}
	if (fd >= 0) {
		close(fd);
	}
	json_object_put(o);
}

static bool watch(struct qemu_machine *m, pid_t pid,
		  void (*on_exit)(void *arg, const struct process_exit *how), struct error *e)
{
	m->process = process_take(qemu_driver_of(m)->loop, pid, on_exit, m, e);
	if (!m->process) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return m->process != NULL;
}

static bool give_folder(const struct qemu_machine *m, const char *folder, struct error *e)
{
	return !folder || lchown(folder, m->uid, m->uid) == 0 ||
	       error_set_sys(e, errno, "\"%s\"", folder);
}

static bool give_sockets(const struct qemu_machine *m, const struct qemu_start *s, struct error *e)
{
	const struct machine_spec *spec = s->spec;
	bool ok = give_folder(m, spec->sockets, e);
	for (size_t i = 0; ok && i < spec->n_nics; i++) {
		ok = give_folder(m, spec->nics[i].folder, e);
	}
	return ok;
}

/* The number is its own as long as it holds the lock that is among its descriptors. */
static bool take_user(struct qemu_machine *m, struct qemu_start *s, struct error *e)
{
	struct qemu_driver *d = qemu_driver_of(m);
	if (!has(m->layers, SANDBOX_USER)) {
		return true;
	}
	int fd = uid_lease_take(&d->uids, d->lease_dir, m->uuid, &m->uid, e);
	if (fd >= 0) {
		vec_push(&s->fds, fd);
	}
	return fd >= 0 && give_sockets(m, s, e);
}

/* Not the run folder itself: what is shown of that would be hidden. */
static bool make_root_folder(const struct qemu_machine *m, struct error *e)
{
	return mkdir(m->run.root, 0700) == 0 || errno == EEXIST ||
	       error_set_sys(e, errno, "\"%s\"", m->run.root);
}

bool qemu_sandbox_start(struct qemu_machine *m, struct qemu_start *s,
			void (*on_exit)(void *arg, const struct process_exit *how), struct error *e)
{
	static const char *const env[] = { "PATH=/usr/bin:/bin", "LC_ALL=C", NULL };
	struct sandbox_limit limits[3];
	struct sandbox_view view = { 0 };
	const struct qemu_driver *d = qemu_driver_of(m);
	m->layers = d->support.layers;
	if (!take_user(m, s, e) || !make_root_folder(m, e) || !qemu_move_make_folder(m, e)) {
		return false;
	}
	set_text(m);
	record(m);
	make_view(&view, s->argv[0], s->spec->accel);
	add_certificates(&view, m);
	if (s->spec->sockets) {
		sandbox_view_add_sockets(&view, "", s->spec->sockets);
	}
	for (size_t i = 0; i < s->spec->n_nics; i++) {
		if (s->spec->nics[i].folder) {
			sandbox_view_add_sockets(&view, "", s->spec->nics[i].folder);
		}
	}
	const struct sandbox_plan plan = {
		.layers = m->layers,
		.uid = m->uid,
		.gid = m->uid,
		.group = kvm_group(s->spec->accel),
		.folder = m->run.root,
		.view = &view,
		.argv = s->argv,
		.env = env,
		.fds = s->fds.items,
		.n_fds = s->fds.n,
		.limits = limits,
		.n_limits = make_limits(s, m->layers, limits),
		.pid_file = m->run.pid,
		.placement = d->is_placed ? &d->placement : NULL,
	};
	pid_t pid = sandbox_spawn(&plan, e);
	sandbox_view_fini(&view);
	if (pid > 0 && d->is_placed) {
		placement_weigh_session(pid, d->placement.nice);
	}
	return pid > 0 && watch(m, pid, on_exit, e);
}

/* ---- finding again ---- */

static unsigned layer_of(const char *name)
{
	for (int i = 0; i < SANDBOX_LAYERS; i++) {
		if (name && strcmp(name, sandbox_layer_name((enum sandbox_layer)i)) == 0) {
			return SANDBOX_BIT(i);
		}
	}
	return 0;
}

void qemu_sandbox_recall(struct qemu_machine *m)
{
	struct json_object *o = json_parse_file(m->run.record, RECORD_MAX, NULL);
	struct json_at root = json_root(o), layers;
	uint64_t uid = 0;
	if (!o || !json_get_array(&root, "layers", &layers, NULL)) {
		json_object_put(o);
		return;
	}
	for (size_t i = 0; i < json_object_array_length(layers.value); i++) {
		m->layers |= layer_of(
			json_object_get_string(json_object_array_get_idx(layers.value, i)));
	}
	if (json_has(&root, "user") && json_get_u64(&root, "user", &uid, NULL) &&
	    uid <= UINT32_MAX) {
		m->uid = (uint32_t)uid;
	}
	json_object_put(o);
	set_text(m);
}

void qemu_sandbox_end(struct qemu_machine *m)
{
	struct qemu_driver *d = qemu_driver_of(m);
	if (m->uid && d->lease_dir) {
		uid_lease_end(d->lease_dir, m->uid);
	}
}

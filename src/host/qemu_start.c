/* SPDX-License-Identifier: Apache-2.0 */
#include "host/qemu_start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "host/qemu_argv.h"
#include "host/qemu_move.h"
#include "host/qemu_sandbox.h"

#define NVRAM_MAX (64 << 20)

int qemu_start_open(const char *path, int flags, bool by_link, struct error *e)
{
	/* What waits for a peer does not make us wait. */
	int fd = open(path, flags | (by_link ? 0 : O_NOFOLLOW) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		      0640);
	struct stat st;
	if (fd < 0) {
		error_set_sys(e, errno, "\"%s\"", path);
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		fcntl(fd, F_SETFL, flags & O_APPEND);
		return fd;
	}
	close(fd);
	error_set(e, ERROR_INVALID, "\"%s\" is no file", path);
	return -1;
}

/* What a new QEMU is made of; its descriptors are ours until it has them. */
struct preparation {
	struct qemu_machine *machine;
	struct machine_spec spec; /* with the file that holds the EFI variables */
	struct qemu_start start;
	struct qemu_argv_options options;
	char *program, *code, *variables, *nvram;
	bool is_incoming; /* waits for a guest from another node */
	bool is_locked;	  /* whatever is in the run folder is ours */
};

static bool inherit(struct preparation *x, int fd)
{
	if (fd >= 0) {
		vec_push(&x->start.fds, fd);
	}
	return fd >= 0;
}

static bool inherit_open(struct preparation *x, int fd, const char *path, struct error *e)
{
	return inherit(x, fd) || error_set_sys(e, errno, "\"%s\"", path);
}

/* 0, 1, 2 and the lock: no moment at which it runs without. */
static bool prepare_first(struct preparation *x, struct error *e)
{
	const struct qemu_run *run = &x->machine->run;
	int lock = qemu_run_lock(run, e);
	if (lock < 0) {
		return false;
	}
	x->is_locked = true;
	unlink(run->pid); /* of one that is gone: we hold its lock */
	enum qemu_mark mark = x->is_incoming ? QEMU_MARK_IN : QEMU_MARK_NONE;
	bool ok = qemu_move_mark(x->machine, mark, e) &&
		  inherit_open(x, open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null", e) &&
		  inherit(x, qemu_run_open_log(run, e)) &&
		  inherit_open(x, fcntl(x->start.fds.items[1], F_DUPFD_CLOEXEC, 0), run->log, e);
	vec_push(&x->start.fds, lock);
	return ok;
}

static bool prepare_sockets(struct preparation *x, struct error *e)
{
	const struct machine_spec *s = &x->spec;
	x->options.qmp_fd = (int)x->start.fds.n;
	if (!inherit(x, qemu_run_listen(x->machine->run.qmp, e))) {
		return false;
	}
	for (size_t i = 0; i < s->n_serials; i++) {
		if (s->serials[i].kind == MACHINE_SERIAL_SOCKET) {
			x->options.serial_fds[i] = (int)x->start.fds.n;
			if (!inherit(x, qemu_run_listen(s->serials[i].path, e))) {
				return false;
			}
		}
	}
	return true;
}

static bool prepare_wires(struct preparation *x, struct error *e)
{
	const struct machine_spec *s = &x->spec;
	for (size_t i = 0; i < s->n_nics; i++) {
		const struct machine_nic *n = &s->nics[i];
		x->options.nic_fds[i] = (int)x->start.fds.n;
		if (n->wire && n->model != MACHINE_VIRTIO_NET &&
		    !inherit_open(x, fcntl(n->wire_fd, F_DUPFD_CLOEXEC, 0), n->wire, e)) {
			return false;
		}
	}
	return true;
}

static bool prepare_files(struct preparation *x, struct error *e)
{
	struct qemu_files files = qemu_argv_files(&x->spec, &x->options);
	bool ok = true;
	x->options.files_fd = (int)x->start.fds.n;
	for (size_t i = 0; ok && i < files.all.n; i++) {
		const struct qemu_file *f = &files.all.items[i];
		bool is_ours = f->set == QEMU_FILE_FIRMWARE;
		ok = inherit(x, qemu_start_open(f->path, f->flags, is_ours, e));
	}
	vec_free(&files.all);
	return ok;
}

/* The EFI variables: the file of the spec or, where that holds those of other firmware (a VM that
 * came from ESXi), one beside it; made from the template when missing. */
static char *prepare_nvram(const char *nvram, const char *template, struct error *e)
{
	struct stat want, have;
	struct buf variables = BUF_INIT;
	if (stat(template, &want) != 0) {
		error_set_sys(e, errno, "EFI firmware \"%s\"", template);
		return NULL;
	}
	char *path = mem_strdup(nvram);
	if (stat(path, &have) == 0 && have.st_size != want.st_size) {
		free(path);
		path = mem_printf("%s.efivars", nvram);
	}
	if (access(path, F_OK) == 0) {
		return path;
	}
	bool ok = file_read(template, NVRAM_MAX, &variables, e) &&
		  file_write_atomic(path, variables.data, variables.len, 0600, e);
	buf_free(&variables);
	if (!ok) {
		free(path);
		path = NULL;
	}
	return path;
}

static void firmware_paths(const struct qemu_driver *d, enum machine_arch arch, char **code,
			   char **variables)
{
	const char *dir = d->firmware_dir ? d->firmware_dir : "/usr/share";
	bool arm = arch == MACHINE_AARCH64;
	*code = mem_printf("%s/%s", dir, arm ? "AAVMF/AAVMF_CODE.fd" : "OVMF/OVMF_CODE_4M.fd");
	*variables = mem_printf("%s/%s", dir, arm ? "AAVMF/AAVMF_VARS.fd" : "OVMF/OVMF_VARS_4M.fd");
}

static bool open_state(struct qemu_machine *m, enum machine_op how, struct error *e)
{
	if (how == MACHINE_OP_RESUME) {
		m->state_fd = open(m->state_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		return m->state_fd >= 0 || error_set_sys(e, errno, "\"%s\"", m->state_file);
	}
	if (m->state_file && access(m->state_file, F_OK) == 0) {
		return error_set(e, ERROR_STATE, "\"%s\": is suspended in \"%s\"", m->name,
				 m->state_file);
	}
	return true;
}

static bool prepare_firmware(struct preparation *x, struct error *e)
{
	firmware_paths(qemu_driver_of(x->machine), x->spec.arch, &x->code, &x->variables);
	x->options.firmware = x->code;
	if (x->spec.firmware == MACHINE_EFI) {
		x->nvram = prepare_nvram(x->spec.nvram, x->variables, e);
		x->spec.nvram = x->nvram;
	}
	return x->spec.firmware != MACHINE_EFI || x->nvram;
}

static bool spawn(struct preparation *x, void (*on_exit)(void *arg, const struct process_exit *how),
		  struct error *e)
{
	struct qemu_argv argv;
	x->program = qemu_sandbox_program(qemu_driver_of(x->machine), x->spec.arch, e);
	x->options.program = x->program;
	if (!x->program || !prepare_first(x, e) || !prepare_sockets(x, e) || !prepare_wires(x, e) ||
	    !prepare_firmware(x, e) || !prepare_files(x, e)) {
		return false;
	}
	/* Connected before it runs: were there no descriptor left, it would run unseen. */
	if (!qemu_machine_connect(x->machine, e)) {
		return false;
	}
	qemu_argv_init(&argv, &x->spec, &x->options);
	x->start.argv = (const char *const *)argv.words;
	bool ok = qemu_sandbox_start(x->machine, &x->start, on_exit, e);
	qemu_argv_fini(&argv);
	return ok;
}

static void preparation_fini(struct preparation *x)
{
	vec_each (&x->start.fds, fd) {
		close(*fd);
	}
	vec_free(&x->start.fds);
	free(x->program);
	free(x->code);
	free(x->variables);
	free(x->nvram);
}

bool qemu_start(struct qemu_machine *m, enum machine_op how, const struct machine_spec *s,
		void (*on_exit)(void *arg, const struct process_exit *how), struct error *e)
{
	struct preparation x = { .machine = m,
				 .spec = *s,
				 .is_incoming = how == MACHINE_OP_RECEIVE };
	if (!open_state(m, how, e)) {
		return false;
	}
	x.start.spec = &x.spec;
	x.options.incoming = m->state_fd >= 0 || x.is_incoming;
	bool ok = spawn(&x, on_exit, e);
	preparation_fini(&x);
	if (!ok && x.is_locked) {
		qemu_machine_clean(m, true);
	}
	return ok;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real driver with a real guest: driver_qemu_test GUEST_DISK. Boots the lab's guest disk,
 * loses hostd in the worst way and finds the VM again, resets, suspends, resumes, stops. Run it
 * from the suite "system": it takes a minute where there is no KVM.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/accel.h"
#include "host/driver_qemu.h"
#include "host/qemu_run.h"

#define UUID	    "564d0001-0002-0003-0004-000500060007"
#define PATIENCE_MS 180000 /* other work may share the machine */

static const char *guest_disk;

struct fixture {
	char *folder, *disk, *state, *socket, *log, *iso, *nvram;
	uv_loop_t loop;
	struct driver *driver;
	struct machine *machine;
	struct machine_disk disks[2];
	struct machine_nic nics[2];
	struct machine_serial serial;
	struct machine_spec spec;
	bool replied, exited;
	int n_resets;
	enum machine_exit why;
	struct error error;
	uv_timer_t patience;
	bool timed_out;
};

static void on_reset(void *arg, struct machine *m)
{
	struct fixture *f = arg;
	(void)m;
	f->n_resets++;
}

static void on_exited(void *arg, struct machine *m, enum machine_exit why, const struct error *e)
{
	struct fixture *f = arg;
	(void)m;
	f->exited = true;
	f->why = why;
	uv_stop(&f->loop);
	if (e) {
		print_message("exited: %s\n", e->msg);
	}
}

static const struct machine_listener listener = { .reset = on_reset, .exited = on_exited };

static void on_done(void *arg, struct machine *m, const struct error *e)
{
	struct fixture *f = arg;
	(void)m;
	f->replied = true;
	uv_stop(&f->loop); /* a turn that began with a timer would still sleep */
	f->error = e ? *e : (struct error){ 0 };
}

static struct machine_reply reply_to(struct fixture *f)
{
	f->replied = false;
	return (struct machine_reply){ on_done, f };
}

static void on_patience(uv_timer_t *t)
{
	((struct fixture *)t->data)->timed_out = true;
}

/* Turns the loop until *flag, or until patience ends. */
static void wait_for(struct fixture *f, const bool *flag)
{
	f->timed_out = false;
	uv_timer_start(&f->patience, on_patience, PATIENCE_MS, 0);
	while (!*flag && !f->timed_out) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	uv_timer_stop(&f->patience);
	assert_false(f->timed_out);
}

static void wait_reply(struct fixture *f)
{
	wait_for(f, &f->replied);
}

static void open_driver(struct fixture *f)
{
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->patience);
	f->patience.data = f;
	f->driver = driver_qemu_new(&f->loop, NULL);
	f->machine = machine_new(f->driver, &listener, f);
}

static void close_driver(struct fixture *f)
{
	machine_free(f->machine);
	driver_free(f->driver);
	uv_close((uv_handle_t *)&f->patience, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

static void make_spec(struct fixture *f)
{
	struct accel accel;
	accel_probe("", &accel);
	print_message("%s\n", accel.why);
	f->disks[0] = (struct machine_disk){ .key = 2000,
					     .controller = MACHINE_LSILOGIC,
					     .path = f->disk };
	f->disks[1] = (struct machine_disk){
		.key = 3000, .controller = MACHINE_IDE, .cdrom = true, .read_only = true
	};
	f->nics[0] = (struct machine_nic){ .key = 4000,
					   .model = MACHINE_VMXNET3,
					   .mac = "00:50:56:00:00:01" };
	f->nics[1] = (struct machine_nic){ .key = 4001,
					   .model = MACHINE_VIRTIO_NET,
					   .mac = "00:50:56:00:00:02",
					   .connected = true };
	f->serial = (struct machine_serial){ MACHINE_SERIAL_SOCKET, f->socket, f->log };
	f->spec = (struct machine_spec){
		.name = "edge, 1",
		.uuid = UUID,
		.folder = f->folder,
		.run = f->folder,
		.state_file = f->state,
		.arch = accel_arch(),
		.accel = accel.kind,
		.vcpus = 1,
		.memory_mib = 128,
		.disks = f->disks,
		.n_disks = 2,
		.nics = f->nics,
		.n_nics = 2,
		.serials = &f->serial,
		.n_serials = 1,
	};
	if (accel_arch() == MACHINE_AARCH64) { /* it has no BIOS, and the firmware needs more */
		f->spec.firmware = MACHINE_EFI;
		f->spec.nvram = f->nvram;
		f->spec.memory_mib = 256;
	}
}

static int set_up(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	struct buf disk = BUF_INIT;
	struct error e;
	char folder[] = "/tmp/remora-driver-XXXXXX";
	assert_non_null(mkdtemp(folder));
	/* longer than a socket's address may be */
	f->folder = mem_printf("%s/a-folder-whose-name-alone-fills-the-address-of-a-unix-socket-"
			       "as-those-of-datastores-may-do-because-people-name-them",
			       folder);
	assert_true(file_make_dirs(f->folder, 0700, &e));
	f->disk = mem_printf("%s/guest-flat.vmdk", f->folder);
	f->state = mem_printf("%s/guest.vmss", f->folder);
	f->socket = mem_printf("%s/serial0.sock", f->folder);
	f->log = mem_printf("%s/serial0.log", f->folder);
	f->nvram = mem_printf("%s/guest.nvram", f->folder);
	f->iso = mem_printf("%s/some,thing.iso", f->folder);
	assert_true(file_read(guest_disk, 64 << 20, &disk, &e));
	assert_true(file_write_atomic(f->disk, disk.data, disk.len, 0600, &e));
	assert_true(file_write_atomic(f->iso, disk.data, 1 << 20, 0600, &e));
	buf_free(&disk);
	make_spec(f);
	open_driver(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char *parent = mem_strdup(f->folder);
	struct error e;
	if (machine_state(f->machine) == MACHINE_RUNNING) {
		struct machine_reply r = reply_to(f);
		machine_stop(f->machine, &r, NULL);
		wait_reply(f);
	}
	close_driver(f);
	*strrchr(parent, '/') = '\0';
	assert_true(file_remove_tree_at(AT_FDCWD, parent, &e));
	free(parent);
	free(f->folder);
	free(f->disk);
	free(f->state);
	free(f->socket);
	free(f->log);
	free(f->iso);
	free(f->nvram);
	free(f);
	return 0;
}

struct console {
	struct fixture *f;
	uv_poll_t poll;
	int fd;
	struct buf seen;
	const char *wanted;
	bool found;
};

static void on_console(uv_poll_t *p, int status, int events)
{
	struct console *c = p->data;
	char part[4096];
	(void)status, (void)events;
	ssize_t n = read(c->fd, part, sizeof(part));
	if (n > 0) {
		buf_add(&c->seen, part, (size_t)n);
		c->found = c->found || strstr(c->seen.data, c->wanted);
	} else if (n == 0) {
		uv_poll_stop(p);
	}
}

/* Types `line` (NULL: nothing) and waits until the console shows `wanted`. */
static void console_expect(struct fixture *f, const char *line, const char *wanted)
{
	struct console c = { .f = f, .seen = BUF_INIT, .wanted = wanted };
	struct error e = { 0 };
	c.fd = qemu_run_connect(f->socket, &e);
	assert_true(c.fd >= 0);
	uv_poll_init(&f->loop, &c.poll, c.fd);
	c.poll.data = &c;
	uv_poll_start(&c.poll, UV_READABLE, on_console);
	if (line) {
		assert_true(file_write_all(c.fd, line, strlen(line), "console", &e));
	}
	wait_for(f, &c.found);
	uv_poll_stop(&c.poll);
	uv_close((uv_handle_t *)&c.poll, NULL);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	close(c.fd);
	buf_free(&c.seen);
}

static void do_start(struct fixture *f)
{
	struct machine_reply r = reply_to(f);
	struct error e = { 0 };
	if (!machine_start(f->machine, &f->spec, &r, &e)) {
		fail_msg("%s", e.msg);
	}
	wait_reply(f);
	assert_string_equal(f->error.msg, "");
	assert_int_equal(machine_state(f->machine), MACHINE_RUNNING);
}

static void do_stop(struct fixture *f)
{
	struct machine_reply r = reply_to(f);
	f->exited = false;
	assert_true(machine_stop(f->machine, &r, NULL));
	wait_reply(f);
	assert_string_equal(f->error.msg, "");
	assert_true(f->exited);
	assert_int_equal(f->why, MACHINE_EXIT_STOPPED);
	assert_int_equal(machine_state(f->machine), MACHINE_OFF);
}

static void do_adopt(struct fixture *f, enum error_kind kind)
{
	struct machine_reply r = reply_to(f);
	assert_true(machine_adopt(f->machine, &f->spec, &r, NULL));
	wait_reply(f);
	if (f->error.kind != kind) {
		fail_msg("adopt: %s", f->error.msg);
	}
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void assert_no_traces(struct fixture *f)
{
	struct qemu_run run;
	qemu_run_init(&run, f->folder, UUID);
	assert_false(exists(run.lock));
	assert_false(exists(run.qmp));
	assert_false(exists(run.pid));
	assert_false(exists(f->socket));
	qemu_run_fini(&run);
}

/* Logs in and reboots. A prompt may still be on its way from before, so what counts is that the
 * machine was reset; a line typed to a console that is not ready is lost, and typed again. */
static void reboot_from_within(struct fixture *f)
{
	for (int attempt = 0; attempt < 3 && f->n_resets == 0; attempt++) {
		console_expect(f, "root\n", "# ");
		console_expect(f, "reboot -f\n", "edge1 login:");
		f->timed_out = false;
		uv_timer_start(&f->patience, on_patience, 5000, 0);
		while (f->n_resets == 0 && !f->timed_out) {
			uv_run(&f->loop, UV_RUN_ONCE);
		}
		uv_timer_stop(&f->patience);
	}
	console_expect(f, "\n", "edge1 login:");
}

static void test_whole_life(void **state)
{
	struct fixture *f = *state;
	struct machine_usage usage;
	uint64_t begin = uv_hrtime();
	do_start(f);
	console_expect(f, NULL, "edge1 login:");
	assert_true(machine_usage(f->machine, &usage, NULL));
	print_message("login after %.1f s, %.1f CPU s, %llu MiB resident\n",
		      (double)(uv_hrtime() - begin) / 1e9, (double)usage.cpu_us / 1e6,
		      (unsigned long long)(usage.resident >> 20));

	console_expect(f, "root\n", "# ");
	console_expect(f, "mount -t tmpfs m /tmp; echo lives > /tmp/x; echo o''k\n", "ok");
	console_expect(f, "cat /sys/class/net/eth0/carrier /sys/class/net/eth1/carrier\n",
		       "0\r\n1");

	struct machine_reply r = reply_to(f);
	assert_true(machine_suspend(f->machine, &r, NULL));
	assert_false(machine_reset(f->machine, &r, NULL));
	wait_reply(f);
	assert_string_equal(f->error.msg, "");
	assert_int_equal(f->why, MACHINE_EXIT_SUSPENDED);
	assert_true(exists(f->state));
	assert_no_traces(f);
	struct error e = { 0 };
	assert_false(machine_start(f->machine, &f->spec, &r, &e));
	assert_int_equal(e.kind, ERROR_STATE);

	r = reply_to(f);
	assert_true(machine_resume(f->machine, &f->spec, &r, NULL));
	wait_reply(f);
	assert_string_equal(f->error.msg, "");
	assert_false(exists(f->state));
	console_expect(f, "cat /tmp/x\n", "lives");

	r = reply_to(f);
	assert_true(machine_reset(f->machine, &r, NULL));
	wait_reply(f);
	assert_string_equal(f->error.msg, "");
	assert_int_equal(f->n_resets, 0);
	console_expect(f, NULL, "edge1 login:");
	reboot_from_within(f);
	assert_int_equal(f->n_resets, 1);

	f->exited = false;
	r = reply_to(f);
	assert_true(machine_powerdown(f->machine, &r, NULL));
	wait_reply(f);
	wait_for(f, &f->exited);
	assert_int_equal(f->why, MACHINE_EXIT_GUEST);
	assert_no_traces(f);
}

/* A hostd that is killed `after` milliseconds after it began to start (or suspend) the VM. */
static void start_and_die(struct fixture *f, bool suspend, int after_ms)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct fixture child = *f;
		open_driver(&child);
		struct machine_reply r = reply_to(&child);
		bool ok = suspend ? machine_adopt(child.machine, &child.spec, &r, NULL)
				  : machine_start(child.machine, &child.spec, &r, NULL);
		if (ok && suspend) {
			wait_reply(&child);
			machine_suspend(child.machine, &r, NULL);
		}
		child.timed_out = false;
		uv_timer_start(&child.patience, on_patience, (uint64_t)after_ms, 0);
		while (!child.timed_out) {
			uv_run(&child.loop, UV_RUN_ONCE);
		}
		kill(getpid(), SIGKILL);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_killed_while_starting(void **state)
{
	struct fixture *f = *state;
	static const int moments[] = { 0, 3, 10, 40, 100, 400 };
	for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
		start_and_die(f, false, moments[i]);
		do_adopt(f, ERROR_NONE);
		assert_int_equal(machine_state(f->machine), MACHINE_RUNNING);
		do_stop(f);
		assert_no_traces(f);
	}
	do_adopt(f, ERROR_NOT_FOUND);
}

static void test_killed_while_running(void **state)
{
	struct fixture *f = *state;
	struct machine_usage before, after;
	start_and_die(f, false, 1000);
	do_adopt(f, ERROR_NONE);
	console_expect(f, NULL, "edge1 login:");
	assert_true(machine_usage(f->machine, &before, NULL));
	machine_free(f->machine);
	f->machine = machine_new(f->driver, &listener, f);
	struct error e = { 0 };
	struct machine_reply r = reply_to(f);
	assert_false(machine_start(f->machine, &f->spec, &r, &e));
	assert_int_equal(e.kind, ERROR_BUSY);
	do_adopt(f, ERROR_NONE);
	assert_true(machine_can_send(f->machine, NULL));
	assert_true(machine_usage(f->machine, &after, NULL));
	assert_true(before.pid == after.pid);

	/* a host that finds another accelerator than the one by which it was powered on */
	enum machine_accel found = f->spec.accel;
	machine_free(f->machine);
	f->machine = machine_new(f->driver, &listener, f);
	f->spec.accel = found == MACHINE_KVM ? MACHINE_TCG : MACHINE_KVM;
	do_adopt(f, ERROR_NONE);
	assert_false(machine_can_send(f->machine, &e));
	assert_int_equal(e.kind, ERROR_UNSUPPORTED);
	f->spec.accel = found;
	console_expect(f, "root\n", "# ");

	f->exited = false; /* the end of an adopted one is noticed */
	kill((pid_t)after.pid, SIGKILL);
	wait_for(f, &f->exited);
	assert_int_equal(f->why, MACHINE_EXIT_FAILED);
	assert_int_equal(machine_state(f->machine), MACHINE_OFF);
	do_adopt(f, ERROR_NOT_FOUND);
	assert_no_traces(f);
}

static void test_killed_while_suspending(void **state)
{
	struct fixture *f = *state;
	static const int moments[] = { 0, 20, 60, 200, 500 };
	do_start(f);
	console_expect(f, NULL, "edge1 login:");
	for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
		machine_free(f->machine);
		start_and_die(f, true, moments[i]);
		f->machine = machine_new(f->driver, &listener, f);
		struct machine_reply r = reply_to(f);
		assert_true(machine_adopt(f->machine, &f->spec, &r, NULL));
		wait_reply(f);
		print_message("killed %d ms into a suspend: %s\n", moments[i],
			      f->error.kind ? f->error.msg : "runs on");
		if (f->error.kind) {
			assert_int_equal(f->error.kind, ERROR_NOT_FOUND);
			assert_true(exists(f->state));
			r = reply_to(f);
			assert_true(machine_resume(f->machine, &f->spec, &r, NULL));
			wait_reply(f);
			assert_string_equal(f->error.msg, "");
		}
		assert_false(exists(f->state));
		console_expect(f, "\n", "edge1 login:");
	}
	do_stop(f);
}

static void test_media_and_links(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	do_start(f);
	struct machine_reply r = reply_to(f);
	assert_true(machine_set_medium(f->machine, 3000, f->iso, &r, NULL));
	wait_reply(f);
	assert_string_equal(f->error.msg, "");
	r = reply_to(f);
	assert_true(machine_set_medium(f->machine, 3000, f->iso, &r, NULL));
	wait_reply(f);
	assert_string_equal(f->error.msg, "");
	r = reply_to(f);
	assert_true(machine_set_medium(f->machine, 3000, NULL, &r, NULL));
	wait_reply(f);
	assert_string_equal(f->error.msg, "");
	assert_false(machine_set_medium(f->machine, 3000, "/nowhere.iso", &r, &e));
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	r = reply_to(f);
	assert_true(machine_set_medium(f->machine, 3999, f->iso, &r, NULL));
	wait_reply(f);
	assert_int_not_equal(f->error.kind, ERROR_NONE);

	r = reply_to(f);
	assert_true(machine_set_link(f->machine, 4001, false, &r, NULL));
	wait_reply(f);
	assert_string_equal(f->error.msg, "");
	r = reply_to(f);
	assert_true(machine_set_link(f->machine, 4007, false, &r, NULL));
	wait_reply(f);
	assert_int_equal(f->error.kind, ERROR_NOT_FOUND);
	do_stop(f);
}

static void test_failures(void **state)
{
	struct fixture *f = *state;
	struct machine_reply r = reply_to(f);
	struct error e = { 0 };
	f->disks[0].path = "/nowhere/disk-flat.vmdk";
	assert_false(machine_start(f->machine, &f->spec, &r, &e));
	print_message("%s\n", e.msg);
	assert_int_equal(e.kind, ERROR_NOT_FOUND);
	assert_int_equal(machine_state(f->machine), MACHINE_OFF);
	assert_no_traces(f);
	f->disks[0].path = "/tmp"; /* no file */
	assert_false(machine_start(f->machine, &f->spec, &r, &e));
	assert_int_equal(e.kind, ERROR_INVALID);
	f->disks[0].path = f->disk;

	/* the same disk in another VM */
	do_start(f);
	struct machine_spec other = f->spec;
	other.uuid = "564d0001-0002-0003-0004-000500060008";
	other.n_serials = 0;
	struct machine *second = machine_new(f->driver, &listener, f);
	r = reply_to(f);
	assert_true(machine_start(second, &other, &r, &e));
	wait_reply(f);
	print_message("%s\n", f->error.msg);
	assert_int_equal(f->error.kind, ERROR_BUSY);
	assert_non_null(strstr(f->error.msg, f->disk)); /* not as QEMU calls it */
	machine_free(second);
	do_stop(f);

	assert_true(file_write_atomic(f->state, "no state\n", 9, 0600, &e));
	r = reply_to(f);
	assert_true(machine_resume(f->machine, &f->spec, &r, &e));
	wait_reply(f);
	print_message("%s\n", f->error.msg);
	assert_int_not_equal(f->error.kind, ERROR_NONE);
	assert_true(exists(f->state));
	unlink(f->state);
}

static void test_stop_overtakes(void **state)
{
	struct fixture *f = *state;
	struct machine_reply start = reply_to(f);
	struct machine_usage usage;
	uint64_t begin = uv_hrtime();
	assert_true(machine_start(f->machine, &f->spec, &start, NULL));
	assert_int_equal(machine_state(f->machine), MACHINE_STARTING);
	struct machine_reply stop = { 0 };
	assert_true(machine_stop(f->machine, &stop, NULL));
	wait_reply(f);
	assert_true(uv_hrtime() - begin < UINT64_C(4000000000)); /* it was not waited for */
	assert_int_equal(f->error.kind, ERROR_CANCELED);
	assert_int_equal(machine_state(f->machine), MACHINE_OFF);
	assert_no_traces(f);

	do_start(f); /* one that hangs can be stopped as well */
	assert_true(machine_usage(f->machine, &usage, NULL));
	assert_int_equal(kill((pid_t)usage.pid, SIGSTOP), 0);
	do_stop(f);
	assert_no_traces(f);
}

static void test_suspend_that_cannot_be(void **state)
{
	struct fixture *f = *state;
	f->disks[0].controller = MACHINE_NVME; /* QEMU cannot save its state */
	do_start(f);
	console_expect(f, NULL, "edge1 login:");
	struct machine_reply r = reply_to(f);
	assert_true(machine_suspend(f->machine, &r, NULL));
	wait_reply(f);
	print_message("%s\n", f->error.msg);
	assert_int_not_equal(f->error.kind, ERROR_NONE);
	assert_int_equal(machine_state(f->machine), MACHINE_RUNNING);
	assert_false(exists(f->state));
	console_expect(f, "\n", "edge1 login:");
	do_stop(f);
}

static void boot_from(struct fixture *f, enum machine_controller c)
{
	f->disks[0].controller = c;
	f->disks[0].unit = c == MACHINE_LSISAS ? 9 : 0;
	do_start(f);
	console_expect(f, NULL, "edge1 login:");
	do_stop(f);
	print_message("boots from %s\n", machine_controller_name(c));
}

static void test_boot_from_each_controller(void **state)
{
	struct fixture *f = *state;
	for (int c = MACHINE_LSILOGIC; c <= MACHINE_NVME; c++) {
		f->disks[1].unit = c == MACHINE_IDE ? 1 : 0;
		boot_from(f, (enum machine_controller)c);
	}
}

static void test_boot_efi(void **state)
{
	struct fixture *f = *state;
	f->spec.firmware = MACHINE_EFI;
	f->spec.nvram = f->nvram;
	f->spec.memory_mib = 256; /* the firmware itself needs more than 128 */
	boot_from(f, MACHINE_PVSCSI);
	boot_from(f, MACHINE_NVME);
	boot_from(f, MACHINE_AHCI);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole_life, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_killed_while_starting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_killed_while_running, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_killed_while_suspending, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_media_and_links, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stop_overtakes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_suspend_that_cannot_be, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_boot_from_each_controller, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_boot_efi, set_up, tear_down),
	};
	if (argc < 2) {
		return 2;
	}
	guest_disk = argv[1];
	if (access(guest_disk, R_OK) != 0) {
		print_message("skipped: \"%s\" is not built: lab/guest/build\n", guest_disk);
		return 77;
	}
	if (argc > 2) {
		cmocka_set_test_filter(argv[2]);
	}
	if (getenv("REMORA_LOG")) {
		log_set_level(getenv("REMORA_LOG"), NULL);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

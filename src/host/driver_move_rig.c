/* SPDX-License-Identifier: Apache-2.0 */
#include "host/driver_move_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/x509.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "host/driver_qemu.h"

#define COUNT_AT 512 /* the second sector */

/* clang-format off */
static const unsigned char guest[] = {
	0x31, 0xc0,             /*      xor ax, ax */
	0x8e, 0xd8, 0x8e, 0xc0, /*      mov ds, ax; mov es, ax */
	0xff, 0x06, 0x00, 0x80, /* next: inc word [0x8000] */
	0xba, 0xf8, 0x03,       /*      mov dx, 0x3f8 */
	0xa0, 0x00, 0x80,       /*      mov al, [0x8000] */
	0xee,                   /*      out dx, al */
	0xb8, 0x01, 0x03,       /*      mov ax, 0x0301: write a sector */
	0xbb, 0x00, 0x80,       /*      mov bx, 0x8000 */
	0xb9, 0x02, 0x00,       /*      mov cx, 2 */
	0xba, 0x80, 0x00,       /*      mov dx, 0x80 */
	0xcd, 0x13,             /*      int 0x13 */
	0xfb, 0xf4,             /*      sti; hlt; GUEST_WAITS */
	0xeb, 0xe3,             /*      jmp next */
};
/* clang-format on */

#define GUEST_WAITS (sizeof(guest) - 4)

static void on_exited(void *arg, struct machine *m, enum machine_exit why, const struct error *e)
{
	struct side *s = arg;
	(void)m;
	s->exited = true;
	s->why = why;
	s->exit_error = e ? *e : (struct error){ 0 };
	uv_stop(&s->rig->loop);
}

static const struct machine_listener listener = { .exited = on_exited };

static void on_done(void *arg, struct machine *m, const struct error *e)
{
	struct side *s = arg;
	(void)m;
	s->replied = true;
	s->error = e ? *e : (struct error){ 0 };
	uv_stop(&s->rig->loop);
}

struct machine_reply rig_reply(struct side *s)
{
	s->replied = false;
	return (struct machine_reply){ on_done, s };
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct rig *r = arg;
	assert_true(done <= total);
	r->done = done;
	r->total = total;
}

static void on_stopped(void *arg)
{
	struct rig *r = arg;
	r->stopped = true;
	uv_stop(&r->loop);
}

static void on_sent(void *arg)
{
	struct rig *r = arg;
	r->sent = true;
	uv_stop(&r->loop);
}

static void on_failed(void *arg, const struct error *e)
{
	struct rig *r = arg;
	r->failed = true;
	r->failure = *e;
	uv_stop(&r->loop);
}

static const struct machine_send_listener send_listener = {
	.progress = on_progress, .stopped = on_stopped, .sent = on_sent, .failed = on_failed
};

static void on_patience(uv_timer_t *t)
{
	struct rig *r = t->data;
	r->timed_out = true;
	uv_stop(&r->loop);
}

/* Turns the loop until *flag; `patience_ms` of 0: as long as it may take. */
bool rig_wait_some(struct rig *r, const bool *flag, uint64_t patience_ms)
{
	r->timed_out = false;
	uv_timer_start(&r->patience, on_patience, patience_ms ? patience_ms : RIG_PATIENCE_MS, 0);
	while (!*flag && !r->timed_out) {
		uv_run(&r->loop, UV_RUN_ONCE);
	}
	uv_timer_stop(&r->patience);
	return *flag;
}

void rig_wait(struct rig *r, const bool *flag)
{
	if (!rig_wait_some(r, flag, 0)) {
		print_message("from: %s; to: %s, %s; send: %s\n", r->from.error.msg,
			      r->to.error.msg, r->to.exit_error.msg, r->failure.msg);
		fail();
	}
}

/* Waits for a reply that says success. */
void rig_wait_ok(struct side *s)
{
	rig_wait(s->rig, &s->replied);
	if (s->error.kind != ERROR_NONE) {
		fail_msg("%s", s->error.msg);
	}
}

/* ---- certificates ---- */

static char *text_of(const gnutls_datum_t *d)
{
	return mem_strndup((const char *)d->data, d->size);
}

/* A key, and a certificate of its own making that bears `name`. */
void rig_make_certificate(const char *name, char **certificate, char **key)
{
	gnutls_x509_privkey_t k;
	gnutls_x509_crt_t c;
	gnutls_datum_t pem;
	unsigned bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
	gnutls_x509_privkey_init(&k);
	gnutls_x509_crt_init(&c);
	assert_int_equal(gnutls_x509_privkey_generate(k, GNUTLS_PK_ECDSA, bits, 0), 0);
	gnutls_x509_crt_set_version(c, 3);
	gnutls_x509_crt_set_serial(c, "\1", 1);
	gnutls_x509_crt_set_activation_time(c, time(NULL) - 3600);
	gnutls_x509_crt_set_expiration_time(c, time(NULL) + 3600);
	gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, name,
				      (unsigned)strlen(name));
	gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name),
					     GNUTLS_FSAN_SET);
	gnutls_x509_crt_set_key(c, k);
	assert_int_equal(gnutls_x509_crt_sign2(c, c, k, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, &pem), 0);
	*certificate = text_of(&pem);
	gnutls_free(pem.data);
	assert_int_equal(gnutls_x509_privkey_export2_pkcs8(k, GNUTLS_X509_FMT_PEM, NULL,
							   GNUTLS_PKCS_PLAIN, &pem),
			 0);
	*key = text_of(&pem);
	gnutls_free(pem.data);
	gnutls_x509_crt_deinit(c);
	gnutls_x509_privkey_deinit(k);
}

static struct machine_credentials credentials_of(const struct side *own, const struct side *peer,
						 const char *peer_name)
{
	return (struct machine_credentials){ own->certificate, own->key, peer->certificate,
					     peer_name };
}

/* ---- the two sides ---- */

void rig_open_side(struct side *s)
{
	const struct driver_qemu_options o = { .run = s->folder };
	s->driver = driver_qemu_new(&s->rig->loop, &o);
	s->machine = machine_new(s->driver, &listener, s);
}

void rig_close_side(struct side *s)
{
	machine_free(s->machine);
	driver_free(s->driver);
	s->machine = NULL;
	s->driver = NULL;
}

static void make_side(struct rig *r, struct side *s, const char *name, bool has_guest)
{
	char *content = mem_zalloc(RIG_DISK_SIZE);
	struct error e = { 0 };
	s->rig = r;
	s->folder = mem_printf("%s/%s", r->folder, name);
	s->disk = mem_printf("%s/disk-flat.vmdk", s->folder);
	s->log = mem_printf("%s/serial.log", s->folder);
	s->state = mem_printf("%s/guest.vmss", s->folder);
	assert_true(file_make_dirs(s->folder, 0700, &e));
	if (has_guest) {
		memcpy(content, guest, sizeof(guest));
		content[510] = 0x55;
		content[511] = (char)0xaa;
		memset(content + RIG_DISK_SIZE / 2, 'x', 1 << 20);
	}
	assert_true(file_write_atomic(s->disk, content, RIG_DISK_SIZE, 0600, &e));
	free(content);
	rig_make_certificate(name, &s->certificate, &s->key);
	s->disks[0] =
		(struct machine_disk){ .key = 2000, .controller = MACHINE_IDE, .path = s->disk };
	s->nics[0] = (struct machine_nic){ .key = 4000,
					   .model = MACHINE_VIRTIO_NET,
					   .mac = "00:50:56:00:00:02" };
	s->serial = (struct machine_serial){ MACHINE_SERIAL_FILE, s->log, NULL };
	s->spec = (struct machine_spec){
		.name = "mover, 1",
		.uuid = "564d0001-0002-0003-0004-000500060007",
		.folder = s->folder,
		.run = s->folder,
		.state_file = s->state,
		.arch = MACHINE_X86_64,
		.accel = MACHINE_TCG,
		.vcpus = 1,
		.memory_mib = 64,
		.disks = s->disks,
		.n_disks = 1,
		.nics = s->nics,
		.n_nics = 1,
		.serials = &s->serial,
		.n_serials = 1,
	};
	rig_open_side(s);
}

static int listen_here(struct sockaddr_in *a)
{
	socklen_t n = sizeof(*a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*a = (struct sockaddr_in){ .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)a, sizeof(*a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)a, &n), 0);
	return fd;
}

static int connect_to(const struct sockaddr_in *a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)a, sizeof(*a)), 0);
	return fd;
}

void rig_make_wires(struct rig *r)
{
	struct sockaddr_in a;
	int fd = listen_here(&a);
	r->stream[0] = connect_to(&a);
	r->stream[1] = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(r->stream[1] >= 0);
	close(fd);
	r->exports = listen_here(&a);
	r->mirror = connect_to(&a);
}

void rig_cut_wires(struct rig *r)
{
	int *all[] = { &r->stream[0], &r->stream[1], &r->exports, &r->mirror };
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (*all[i] >= 0) {
			close(*all[i]);
		}
		*all[i] = -1;
	}
}

int rig_set_up(void **state)
{
	struct rig *r = mem_zalloc(sizeof(*r));
	char folder[] = "/tmp/remora-move-XXXXXX";
	assert_non_null(mkdtemp(folder));
	r->folder = mem_strdup(folder);
	uv_loop_init(&r->loop);
	uv_timer_init(&r->loop, &r->patience);
	r->patience.data = r;
	make_side(r, &r->from, "from", true);
	make_side(r, &r->to, "to", false);
	rig_make_wires(r);
	*state = r;
	return 0;
}

static void end_side(struct side *s)
{
	if (machine_state(s->machine) != MACHINE_OFF) {
		struct machine_reply reply = rig_reply(s);
		if (machine_stop(s->machine, &reply, NULL)) {
			rig_wait(s->rig, &s->replied);
		}
	}
	rig_close_side(s);
	free(s->folder);
	free(s->disk);
	free(s->log);
	free(s->state);
	free(s->certificate);
	free(s->key);
}

int rig_set_up_busy(void **state)
{
	static const unsigned char nop[] = { 0x90, 0x90 };
	rig_set_up(state);
	struct rig *r = *state;
	int fd = open(r->from.disk, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, nop, sizeof(nop), GUEST_WAITS), sizeof(nop));
	close(fd);
	return 0;
}

int rig_tear_down(void **state)
{
	struct rig *r = *state;
	struct error e = { 0 };
	end_side(&r->from);
	end_side(&r->to);
	rig_cut_wires(r);
	uv_close((uv_handle_t *)&r->patience, NULL);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r->loop), 0);
	assert_true(file_remove_tree_at(AT_FDCWD, r->folder, &e));
	free(r->folder);
	free(r);
	return 0;
}

/* ---- what the guest says ---- */

size_t rig_said(const struct side *s)
{
	struct stat st;
	return stat(s->log, &st) == 0 ? (size_t)st.st_size : 0;
}

/* Its first or last count. */
static unsigned count_at(const struct side *s, bool last)
{
	struct buf b = BUF_INIT;
	assert_true(file_read(s->log, 1 << 20, &b, NULL));
	assert_true(b.len > 0);
	unsigned count = (unsigned char)b.data[last ? b.len - 1 : 0];
	buf_free(&b);
	return count;
}

unsigned rig_count_on_disk(const struct side *s)
{
	unsigned char count = 0;
	int fd = open(s->disk, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, &count, 1, COUNT_AT), 1);
	close(fd);
	return count;
}

/* Waits until it counts on; false: it stands for a second. */
static bool runs(struct side *s, uint64_t patience_ms)
{
	size_t before = rig_said(s);
	bool never = false;
	for (uint64_t ms = 0; ms < patience_ms; ms += 50) {
		rig_wait_some(s->rig, &never, 50);
		if (rig_said(s) >= before + 2) {
			return true;
		}
	}
	return false;
}

void rig_expect_runs(struct side *s)
{
	assert_true(runs(s, RIG_PATIENCE_MS));
}

void rig_expect_stands(struct side *s)
{
	assert_false(runs(s, 1000));
}

void rig_expect_no_traces(const struct side *s)
{
	static const char *const endings[] = {
		"lock", "pid", "qmp", "json", "move", "tls", "root"
	};
	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		char *path = mem_printf("%s/vm-%s.%s", s->folder, s->spec.uuid, endings[i]);
		if (access(path, F_OK) == 0) {
			fail_msg("\"%s\" is still there", path);
		}
		free(path);
	}
}

/* ---- steps ---- */

void rig_start(struct rig *r)
{
	struct machine_reply reply = rig_reply(&r->from);
	struct error e = { 0 };
	if (!machine_start(r->from.machine, &r->from.spec, &reply, &e)) {
		fail_msg("%s", e.msg);
	}
	rig_wait_ok(&r->from);
	print_message("%s\n", machine_confinement(r->from.machine));
	rig_expect_runs(&r->from);
}

void rig_receive(struct rig *r)
{
	static const int32_t disks[] = { 2000 };
	struct machine_reply reply = rig_reply(&r->to);
	const struct machine_incoming in = {
		.tls = credentials_of(&r->to, &r->from, "from"),
		.disks = disks,
		.n_disks = 1,
		.export_fd = r->exports,
	};
	struct error e = { 0 };
	if (!machine_receive(r->to.machine, &r->to.spec, &in, &reply, &e)) {
		fail_msg("%s", e.msg);
	}
	rig_wait_ok(&r->to);
	assert_int_equal(machine_state(r->to.machine), MACHINE_RECEIVING);
}

void rig_send(struct rig *r, const char *peer_name, uint64_t bandwidth)
{
	const struct machine_mirror mirror = { 2000, r->mirror };
	const struct machine_outgoing out = {
		.tls = credentials_of(&r->from, &r->to, peer_name),
		.stream_fd = r->stream[0],
		.disks = &mirror,
		.n_disks = 1,
		.bandwidth = bandwidth,
	};
	struct error e = { 0 };
	r->stopped = r->sent = r->failed = false;
	if (!machine_send(r->from.machine, &out, &send_listener, r, &e)) {
		fail_msg("%s", e.msg);
	}
	assert_int_equal(machine_state(r->from.machine), MACHINE_SENDING);
}

void rig_take_stream(struct rig *r)
{
	struct machine_reply reply = rig_reply(&r->to);
	struct error e = { 0 };
	if (!machine_receive_stream(r->to.machine, r->stream[1], &reply, &e)) {
		fail_msg("%s", e.msg);
	}
}

/* As far as the guest stands, and its disk is over there. */
void rig_bring_to_switch(struct rig *r)
{
	rig_start(r);
	rig_receive(r);
	rig_take_stream(r);
	rig_send(r, "to", 0);
	while (!r->stopped && !r->failed && !r->to.exited) {
		rig_wait_some(r, &r->stopped, 100);
	}
	if (!r->stopped) {
		fail_msg("%s; %s", r->failure.msg, r->to.exit_error.msg);
	}
}

void rig_run_there(struct rig *r)
{
	struct machine_reply reply = rig_reply(&r->to);
	struct error e = { 0 };
	if (!machine_receive_run(r->to.machine, &reply, &e)) {
		fail_msg("%s", e.msg);
	}
	rig_wait_ok(&r->to);
	assert_int_equal(machine_state(r->to.machine), MACHINE_RUNNING);
}

void rig_stop(struct side *s)
{
	struct machine_reply reply = rig_reply(s);
	assert_true(machine_stop(s->machine, &reply, NULL));
	rig_wait_ok(s);
	assert_int_equal(machine_state(s->machine), MACHINE_OFF);
	rig_expect_no_traces(s);
}

/* The count goes on where it was. */
void rig_expect_continued(const struct rig *r)
{
	unsigned before = count_at(&r->from, true), after = count_at(&r->to, false);
	assert_int_equal((before + 1) & 0xff, after);
}

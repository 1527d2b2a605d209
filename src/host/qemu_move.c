/* SPDX-License-Identifier: Apache-2.0 */
#include "host/qemu_move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static const char *const marks[] = { "", "in", "run", "out" };

/* All that either end may be called; QEMU wants these names. */
static const char *const credential_files[] = { "ca-cert.pem", "server-cert.pem", "server-key.pem",
						"client-cert.pem", "client-key.pem" };

/* ---- the run folder ---- */

static void empty_folder(const struct qemu_run *r)
{
	int dir = open(r->tls, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	for (size_t i = 0; dir >= 0 && i < ARRAY_LEN(credential_files); i++) {
		unlinkat(dir, credential_files[i], 0);
	}
	if (dir >= 0) {
		close(dir);
	}
}

void qemu_move_clean(const struct qemu_run *r)
{
	empty_folder(r);
	rmdir(r->tls);
	unlink(r->move);
}

bool qemu_move_sees_folder(const struct qemu_machine *m)
{
	return m->uid == 0 || (m->layers & SANDBOX_BIT(SANDBOX_MOUNT)) != 0;
}

bool qemu_move_make_folder(const struct qemu_machine *m, struct error *e)
{
	empty_folder(&m->run);
	if (mkdir(m->run.tls, 0700) != 0 && errno != EEXIST) {
		return error_set_sys(e, errno, "\"%s\"", m->run.tls);
	}
	/* it may read there, no more */
	if (m->uid != 0 && (lchown(m->run.tls, 0, m->uid) != 0 || chmod(m->run.tls, 0750) != 0)) {
		return error_set_sys(e, errno, "\"%s\"", m->run.tls);
	}
	return true;
}

/* Whole or not at all; it need not outlive this node's kernel, since QEMU does not. */
bool qemu_move_mark(const struct qemu_machine *m, enum qemu_mark mark, struct error *e)
{
	if (mark == QEMU_MARK_NONE) {
		unlink(m->run.move);
		return true;
	}
	char *part = mem_printf("%s.new", m->run.move);
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0 || error_set_sys(e, errno, "\"%s\"", part);
	ok = ok && file_write_all(fd, marks[mark], strlen(marks[mark]), part, e);
	if (fd >= 0) {
		close(fd);
	}
	if (ok && rename(part, m->run.move) != 0) {
		ok = error_set_sys(e, errno, "\"%s\"", m->run.move);
	}
	free(part);
	return ok;
}

enum qemu_mark qemu_move_marked(const struct qemu_machine *m)
{
	struct buf b = BUF_INIT;
	int mark = QEMU_MARK_NONE;
	if (file_read(m->run.move, 16, &b, NULL)) {
		for (mark = QEMU_MARK_OUT; mark > 0 && strcmp(b.data, marks[mark]) != 0;) {
			mark--;
		}
	}
	buf_free(&b);
	return (enum qemu_mark)mark;
}

/* ---- what is known of one ---- */

bool qemu_move_is_possible(const struct qemu_machine *m, struct error *e)
{
	if (m->has_nvme) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"%s\": has an NVMe controller, whose state cannot be moved",
				 m->name);
	}
	if (m->accel != m->host_accel) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"%s\": runs with %s since it was powered on, while this host "
				 "says of its machines that they run with %s; power it off and on",
				 m->name, machine_accel_name(m->accel),
				 machine_accel_name(m->host_accel));
	}
	return true;
}

struct qemu_move *qemu_move_new(const struct machine_credentials *tls)
{
	struct qemu_move *v = mem_zalloc(sizeof(*v));
	v->stream = v->exports = -1;
	if (tls != NULL) {
		v->certificate = mem_strdup(tls->certificate);
		v->key = mem_strdup(tls->key);
		v->peer = mem_strdup(tls->peer);
		v->peer_name = mem_strdup(tls->peer_name);
	}
	return v;
}

bool qemu_move_keep(int fd, int *out, struct error *e)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0) {
		return error_set_sys(e, errno, "a connection for the migration");
	}
	*out = own;
	return true;
}

static void forget_key(struct qemu_move *v)
{
	if (v->key != NULL) {
		explicit_bzero(v->key, strlen(v->key));
	}
	free(v->certificate);
	free(v->key);
	free(v->peer);
	v->certificate = v->key = v->peer = NULL;
}

void qemu_move_cut(struct qemu_move *v)
{
	if (v->stream >= 0) {
		shutdown(v->stream, SHUT_RDWR);
	}
	vec_each (&v->disks, d) {
		if (d->fd >= 0) {
			shutdown(d->fd, SHUT_RDWR);
		}
	}
}

void qemu_move_drop(struct qemu_machine *m)
{
	struct qemu_move *v = m->move;
	m->move = NULL;
	if (v == NULL) {
		return;
	}
	if (m->base.state == MACHINE_SENDING && !v->is_going) {
		qemu_move_cut(v);
	}
	vec_each (&v->disks, d) {
		if (d->fd >= 0) {
			close(d->fd);
		}
	}
	if (v->stream >= 0) {
		close(v->stream);
	}
	if (v->exports >= 0) {
		close(v->exports);
	}
	forget_key(v);
	free(v->peer_name);
	vec_free(&v->disks);
	free(v);
}

/* ---- steps ---- */

static bool write_one(int dir, const struct qemu_machine *m, const char *name, const char *text,
		      struct error *e)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return error_set_sys(e, errno, "\"%s/%s\"", m->run.tls, name);
	}
	bool ok = file_write_all(fd, text, strlen(text), name, e);
	if (ok && m->uid != 0 && (fchown(fd, 0, m->uid) != 0 || fchmod(fd, 0640) != 0)) {
		ok = error_set_sys(e, errno, "\"%s/%s\"", m->run.tls, name);
	}
	close(fd);
	return ok;
}

static bool write_credentials(const struct qemu_machine *m, bool is_server, struct error *e)
{
	const struct qemu_move *v = m->move;
	if (!qemu_move_sees_folder(m)) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"%s\": its QEMU cannot be given certificates: this node gives "
				 "machines no file system of their own",
				 m->name);
	}
	empty_folder(&m->run);
	int dir = open(m->run.tls, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "\"%s\": was powered on by a version that moved no machines",
				 m->name);
	}
	if (dir < 0) {
		return error_set_sys(e, errno, "\"%s\"", m->run.tls);
	}
	bool ok = write_one(dir, m, "ca-cert.pem", v->peer, e) &&
		  write_one(dir, m, is_server ? "server-cert.pem" : "client-cert.pem",
			    v->certificate, e) &&
		  write_one(dir, m, is_server ? "server-key.pem" : "client-key.pem", v->key, e);
	close(dir);
	return ok;
}

bool qemu_move_add_credentials(struct qemu_machine *m, bool is_server, struct error *e)
{
	bool ok = write_credentials(m, is_server, e);
	forget_key(m->move);
	char *folder = NULL;
	if (ok && (m->layers & SANDBOX_BIT(SANDBOX_MOUNT))) {
		folder = mem_strdup(QEMU_MOVE_FOLDER);
	} else if (ok) {
		folder = realpath(m->run.tls, NULL);
	}
	if (folder == NULL) {
		empty_folder(&m->run);
		return ok ? error_set_sys(e, errno, "\"%s\"", m->run.tls) : false;
	}
	struct json_object *o = json_object_new_object();
	json_put_str(o, "qom-type", "tls-creds-x509");
	json_put_str(o, "id", QEMU_MOVE_CREDENTIALS);
	json_put_str(o, "dir", folder);
	json_put_str(o, "endpoint", is_server ? "server" : "client");
	json_put_bool(o, "verify-peer", true);
	/* What stands for an authority may be the other's own certificate, made for this. */
	json_put_bool(o, "sanity-check", false);
	qemu_step_add(m, "object-add", o);
	free(folder);
	return true;
}

void qemu_move_remove_credentials(const struct qemu_machine *m)
{
	empty_folder(&m->run);
}

void qemu_move_add_capability(struct qemu_machine *m, const char *name, bool on)
{
	struct json_object *one = json_object_new_object();
	struct json_object *all = json_object_new_array();
	struct json_object *arguments = json_object_new_object();
	json_put_str(one, "capability", name);
	json_put_bool(one, "state", on);
	json_object_array_add(all, one);
	json_put(arguments, "capabilities", all);
	qemu_step_add(m, "migrate-set-capabilities", arguments);
}

/* Tolerant: some of it may never have been there. */
void qemu_move_add_end(struct qemu_machine *m)
{
	struct json_object *parameters = json_object_new_object();
	struct json_object *object = json_object_new_object();
	json_put_str(parameters, "tls-creds", "");
	json_put_str(parameters, "tls-hostname", "");
	qemu_step_add_tolerant(m, "migrate-set-parameters", parameters);
	json_put_str(object, "id", QEMU_MOVE_CREDENTIALS);
	qemu_step_add_tolerant(m, "object-del", object);
}

/* ---- news ---- */

void qemu_move_set_failed(const struct qemu_machine *m, const char *what, struct error *e)
{
	error_set(e, ERROR_IO, "\"%s\": copying a disk failed: %s", m->name, what);
}

static void on_poll(struct qemu_machine *m)
{
	void (*poll)(struct qemu_machine *) = m->move ? m->move->poll : NULL;
	if (poll != NULL) {
		m->move->poll = NULL;
		poll(m);
	}
}

void qemu_move_wait(struct qemu_machine *m, int64_t ms, void (*poll)(struct qemu_machine *m))
{
	m->move->poll = poll;
	qemu_machine_tick(m, ms, on_poll);
}

static bool is_mirror(const char *name)
{
	return strncmp(name, "mirror-", 7) == 0;
}

void qemu_move_take_event(struct qemu_machine *m, const char *name, const struct json_at *data)
{
	struct qemu_move *v = m->move;
	if (v == NULL) {
		return;
	}
	bool of_job = strncmp(name, "BLOCK_JOB_", 10) == 0;
	bool of_mirror = of_job && is_mirror(qemu_move_text(data, "device"));
	bool is_read = strcmp(qemu_move_text(data, "operation"), "read") == 0;
	if (of_mirror && v->why.kind == ERROR_NONE && json_has(data, "error")) {
		qemu_move_set_failed(m, qemu_move_text(data, "error"), &v->why);
	} else if (of_mirror && v->why.kind == ERROR_NONE && strcmp(name, "BLOCK_JOB_ERROR") == 0) {
		qemu_move_set_failed(
			m, is_read ? "it cannot be read here" : "it cannot be written there",
			&v->why);
	}
	if ((of_job || strcmp(name, "MIGRATION") == 0) && v->poll != NULL) {
		qemu_machine_tick(m, 0, on_poll);
	}
}

const char *qemu_move_text(const struct json_at *value, const char *key)
{
	const char *text;
	return value && json_has(value, key) && json_get_str(value, key, &text, NULL) ? text : "";
}

void qemu_move_mirror_name(int32_t key, char out[24])
{
	snprintf(out, 24, "mirror-%d", (int)key);
}

struct qemu_mirror_state qemu_move_mirrors(const struct json_at *jobs)
{
	struct qemu_mirror_state s = { 0 };
	size_t n = jobs && json_as_array(jobs, NULL) ? json_array_n(jobs) : 0;
	for (size_t i = 0; i < n; i++) {
		struct json_at job = json_item(jobs, i);
		uint64_t done = 0, total = 0;
		bool ready = false;
		if (!json_as_object(&job, NULL) || !is_mirror(qemu_move_text(&job, "device"))) {
			continue;
		}
		json_get_u64(&job, "offset", &done, NULL);
		json_get_u64(&job, "len", &total, NULL);
		json_get_bool(&job, "ready", &ready, NULL);
		s.n++;
		s.n_ready += ready;
		s.n_failed += strcmp(qemu_move_text(&job, "io-status"), "ok") != 0;
		s.done += done;
		s.total += total;
	}
	return s;
}

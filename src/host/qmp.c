/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GREETING -greeting-> NEGOTIATING -its reply-> READY; from each -close_with()-> CLOSED.
 *
 * Invariants
 * 1. `calls` lists what was executed and not answered, in order; what is unsent stands last.
 * 2. A call is taken off the list before its `done` is called.
 * 3. While `depth` is not 0 a callback is on the stack: qmp_free() only marks, and the outermost
 *    leave() disposes.
 *
 * A socket of our own under uv_poll rather than a uv_pipe: file descriptors travel along.
 */
#include "host/qmp.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timer.h"

LOG_MODULE("qmp");

#define READ_SIZE   16384
#define READS_MAX   64 /* in one turn of the loop: 1 MiB */
#define DEADLINE_MS 250

enum state {
	GREETING,
	NEGOTIATING,
	READY,
	CLOSED,
};

struct call {
	struct list_node node;
	uint64_t id;
	int64_t due_us;
	struct qmp_call call;
	char *command; /* its name, for messages */
	struct buf text;
	size_t n_sent;
	int fd; /* ours, until sent; -1: none */
};

struct qmp {
	uv_loop_t *loop;
	uv_poll_t poll;
	struct clock *clock;
	struct timer *timer; /* looks for calls that took too long */
	struct qmp_handler handler;
	enum state state;
	int fd;
	int events; /* what poll waits for */
	struct buf in;
	size_t n_scanned; /* of `in`: no line end before */
	struct list calls;
	size_t n_calls;
	uint64_t next_id;
	int64_t greeting_due_us;
	unsigned major; /* of QEMU's version */
	unsigned depth;
	bool freed;
};

static void call_free(struct call *c)
{
	assert(list_is_linked(&c->node));
	list_remove(&c->node);
	if (c->fd >= 0) {
		close(c->fd);
	}
	buf_free(&c->text);
	free(c->command);
	free(c);
}

static void on_poll_closed(uv_handle_t *h)
{
	struct qmp *q = CONTAINER_OF((uv_poll_t *)(void *)h, struct qmp, poll);
	free(q);
}

static void dispose(struct qmp *q)
{
	list_each_safe (struct call, c, &q->calls, node) {
		call_free(c);
	}
	timer_free(q->timer);
	buf_free(&q->in);
	uv_poll_stop(&q->poll);
	if (q->fd >= 0) {
		close(q->fd);
	}
	uv_close((uv_handle_t *)&q->poll, on_poll_closed);
}

static void enter(struct qmp *q)
{
	q->depth++;
}

/* false: q is gone or about to go; do not touch it. */
static bool leave(struct qmp *q)
{
	q->depth--;
	if (!q->freed) {
		return true;
	}
	if (q->depth == 0) {
		dispose(q);
	}
	return false;
}

void qmp_free(struct qmp *q)
{
	if (!q || q->freed) {
		return;
	}
	enter(q);
	q->freed = true;
	leave(q);
}

static void call_end(struct qmp *q, struct call *c, const struct json_at *value,
		     const struct error *e)
{
	struct qmp_call call = c->call;
	q->n_calls--;
	call_free(c);
	if (call.done && !q->freed) {
		call.done(call.arg, value, e);
	}
}

/* Within enter() and leave(). */
static void close_with(struct qmp *q, const struct error *e)
{
	if (q->state == CLOSED || q->freed) {
		return;
	}
	q->state = CLOSED;
	uv_poll_stop(&q->poll);
	timer_stop(q->timer);
	close(q->fd);
	q->fd = -1;
	list_each_safe (struct call, c, &q->calls, node) { /* nothing is added any more */
		if (q->freed) {
			break;
		}
		struct error why = *e;
		error_prefix(&why, "\"%s\": ", c->command);
		call_end(q, c, NULL, &why);
	}
	if (!q->freed && q->handler.closed) {
		q->handler.closed(q->handler.arg, e);
	}
}

static ssize_t send_part(int socket, const struct call *c)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { c->text.data + c->n_sent, c->text.len - c->n_sent };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	if (c->fd >= 0) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &c->fd, sizeof(int));
	}
	return sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* true: all is sent or the socket is full. */
static bool send_calls(struct qmp *q, bool *full, struct error *e)
{
	*full = false;
	list_each (struct call, c, &q->calls, node) {
		while (c->n_sent < c->text.len) {
			ssize_t n = send_part(q->fd, c);
			if (n < 0 && errno == EINTR) {
				continue;
			}
			if (n < 0 && errno == EAGAIN) {
				*full = true;
				return true;
			}
			if (n < 0) {
				return error_set_sys(e, errno, "sending to QEMU");
			}
			c->n_sent += (size_t)n;
			if (c->fd >= 0) {
				close(c->fd);
				c->fd = -1;
			}
		}
	}
	return true;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void poll_for(struct qmp *q, int events)
{
	if (q->state != CLOSED && q->events != events) {
		q->events = events;
		uv_poll_start(&q->poll, events, on_poll);
	}
}

enum error_kind qmp_error_kind(const char *text)
{
	static const struct {
		const char *word;
		enum error_kind kind;
	} words[] = {
		{ "Failed to get", ERROR_BUSY }, /* an image lock */
		{ "Is another process using", ERROR_BUSY },
		{ "No such file", ERROR_NOT_FOUND },
		{ "Permission denied", ERROR_PERMISSION },
		{ "No space left", ERROR_NO_SPACE },
		{ "annot allocate memory", ERROR_NO_SPACE },
	};
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strstr(text, words[i].word)) {
			return words[i].kind;
		}
	}
	return ERROR_IO;
}

/* Of the classes only these say something; the rest is in the text. */
static enum error_kind kind_from_class(const char *class, const char *text)
{
	if (strcmp(class, "CommandNotFound") == 0) {
		return ERROR_UNSUPPORTED;
	}
	if (strcmp(class, "DeviceNotFound") == 0) {
		return ERROR_NOT_FOUND;
	}
	return strcmp(class, "DeviceNotActive") == 0 ? ERROR_STATE : qmp_error_kind(text);
}

static struct call *find_call(struct qmp *q, uint64_t id)
{
	list_each (struct call, c, &q->calls, node) {
		if (c->id == id) {
			return c;
		}
	}
	return NULL;
}

static void take_reply(struct qmp *q, const struct qmp_message *m)
{
	struct call *c = m->has_id ? find_call(q, m->id) : NULL;
	if (!c) { /* gave up waiting for it, or QEMU makes things up */
		log_limited_debug("reply nobody waits for");
		return;
	}
	if (m->kind == QMP_ERROR) {
		struct error e = { 0 };
		error_set(&e, kind_from_class(m->name, m->text), "QEMU refuses \"%s\": %s",
			  c->command, m->text);
		call_end(q, c, NULL, &e);
		return;
	}
	struct json_at value = json_root(m->value);
	call_end(q, c, &value, NULL);
}

static bool add_call(struct qmp *q, const char *command, struct json_object *arguments,
		     const struct qmp_call *call, struct error *e)
{
	int fd = -1;
	if (call->fd > 0) {
		fd = fcntl(call->fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0) {
			json_object_put(arguments);
			return error_set_sys(e, errno, "\"%s\": passing a descriptor", command);
		}
	}
	struct call *c = mem_zalloc(sizeof(*c));
	c->id = ++q->next_id;
	c->call = *call;
	c->command = mem_strdup(command);
	c->fd = fd;
	int64_t timeout_ms = call->timeout_ms ? call->timeout_ms : QMP_TIMEOUT_MS;
	c->due_us = clock_mono_us(q->clock) + timeout_ms * 1000;
	struct json_object *message = json_object_new_object();
	json_put_str(message, "execute", command);
	if (arguments) {
		json_put(message, "arguments", arguments);
	}
	json_put_u64(message, "id", c->id);
	json_add_text(&c->text, message);
	buf_adds(&c->text, "\n");
	json_object_put(message);
	log_debug("> %s", c->text.data);
	list_push_back(&q->calls, &c->node);
	q->n_calls++;
	if (!timer_is_active(q->timer)) {
		timer_start(q->timer, DEADLINE_MS, DEADLINE_MS);
	}
	poll_for(q, UV_READABLE | UV_WRITABLE);
	return true;
}

bool qmp_execute(struct qmp *q, const char *command, struct json_object *arguments,
		 const struct qmp_call *call, struct error *e)
{
	static const struct qmp_call nobody = { 0 };
	if (q->state != READY) {
		json_object_put(arguments);
		return error_set(e, ERROR_UNREACHABLE, "\"%s\": no connection to QEMU", command);
	}
	if (q->n_calls >= QMP_PENDING_MAX) {
		json_object_put(arguments);
		return error_set(e, ERROR_LIMIT, "\"%s\": %zu commands wait already, limit %d",
				 command, q->n_calls, QMP_PENDING_MAX);
	}
	return add_call(q, command, arguments, call ? call : &nobody, e);
}

bool qmp_is_ready(const struct qmp *q)
{
	return q && q->state == READY;
}

static void on_negotiated(void *arg, const struct json_at *value, const struct error *e)
{
	struct qmp *q = arg;
	(void)value;
	if (e) {
		close_with(q, e);
		return;
	}
	q->state = READY;
	if (q->handler.ready) {
		q->handler.ready(q->handler.arg);
	}
}

/* It is what QEMU says in its greeting: {"QMP": {"version": {"qemu": {"major": 7, …}}}}. */
static unsigned major_of(const struct json_at *qmp)
{
	struct json_at version, qemu;
	uint32_t major = 0;

	if (json_has(qmp, "version") && json_get_object(qmp, "version", &version, NULL) &&
	    json_has(&version, "qemu") && json_get_object(&version, "qemu", &qemu, NULL) &&
	    json_has(&qemu, "major")) {
		json_get_u32(&qemu, "major", &major, NULL);
	}
	return major;
}

unsigned qmp_major(const struct qmp *q)
{
	return q->major;
}

static void take_greeting(struct qmp *q, const struct json_at *qmp)
{
	struct qmp_call call = { .done = on_negotiated, .arg = q };
	struct error e = { 0 };
	q->major = major_of(qmp);
	q->state = NEGOTIATING;
	if (!add_call(q, "qmp_capabilities", NULL, &call, &e)) {
		close_with(q, &e);
	}
}

static void take_line(struct qmp *q, const char *line, size_t n)
{
	struct qmp_message m;
	struct error e = { 0 };
	log_debug("< %.*s", (int)MIN(n, (size_t)2048), line);
	if (!qmp_message_parse(line, n, &m, &e)) {
		error_prefix(&e, "QEMU does not speak QMP: ");
		close_with(q, &e);
		return;
	}
	bool greets = m.kind == QMP_GREETING;
	if (greets != (q->state == GREETING)) {
		error_set(&e, ERROR_INVALID, "QEMU does not speak QMP: %s",
			  greets ? "it greets twice" : "it does not greet");
		close_with(q, &e);
	} else if (greets) {
		struct json_at qmp = json_root(m.value);
		take_greeting(q, &qmp);
	} else if (m.kind == QMP_EVENT) {
		struct json_at data = json_root(m.value);
		if (q->state == READY && q->handler.event) {
			q->handler.event(q->handler.arg, m.name, &data);
		}
	} else {
		take_reply(q, &m);
	}
	qmp_message_fini(&m);
}

/* Takes the whole lines of what was read. */
static void take_lines(struct qmp *q)
{
	size_t begin = 0;
	while (!q->freed && q->state != CLOSED) {
		size_t from = MAX(begin, q->n_scanned);
		const char *end = memchr(q->in.data + from, '\n', q->in.len - from);
		if (!end) {
			break;
		}
		size_t n = (size_t)(end - (q->in.data + begin));
		const char *line = q->in.data + begin;
		begin += n + 1;
		if (n > 0 && line[n - 1] == '\r') {
			n--;
		}
		if (n > 0) {
			take_line(q, line, n);
		}
	}
	buf_consume(&q->in, begin);
	q->n_scanned = q->in.len;
	if (q->in.len > QMP_LINE_MAX) {
		struct error e = { 0 };
		error_set(&e, ERROR_LIMIT, "QEMU sends a line of more than %d bytes", QMP_LINE_MAX);
		close_with(q, &e);
	}
}

/* false: nothing more for now. */
static bool read_once(struct qmp *q)
{
	struct error e = { 0 };
	ssize_t n = read(q->fd, buf_reserve(&q->in, READ_SIZE), READ_SIZE);
	if (n > 0) {
		buf_commit(&q->in, (size_t)n);
		take_lines(q);
		return !q->freed && q->state != CLOSED;
	}
	if (n < 0 && errno == EINTR) {
		return true;
	}
	if (n < 0 && errno == EAGAIN) {
		return false;
	}
	if (n == 0 || errno == ECONNRESET) {
		error_set(&e, ERROR_UNREACHABLE, "QEMU closed the connection");
	} else {
		error_set_sys(&e, errno, "reading from QEMU");
	}
	close_with(q, &e);
	return false;
}

void qmp_drain(struct qmp *q)
{
	enter(q);
	while (q->state != CLOSED && !q->freed && read_once(q)) {
	}
	leave(q);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct qmp *q = CONTAINER_OF(poll, struct qmp, poll);
	struct error e = { 0 };
	enter(q);
	if (status < 0) { /* libuv's only word for an error on the socket, which read() names */
		events = UV_READABLE;
	}
	if (q->state != CLOSED && (events & UV_WRITABLE)) {
		bool full;
		if (!send_calls(q, &full, &e)) {
			close_with(q, &e);
		} else if (!full) {
			poll_for(q, UV_READABLE);
		}
	}
	if (events & UV_READABLE) {
		for (int i = 0; i < READS_MAX && q->state != CLOSED && !q->freed; i++) {
			if (!read_once(q)) {
				break;
			}
		}
	}
	leave(q);
}

/* The first call that took too long, or NULL. */
static struct call *late_call(struct qmp *q, int64_t now_us)
{
	list_each (struct call, c, &q->calls, node) {
		if (c->due_us <= now_us) {
			return c;
		}
	}
	return NULL;
}

static void on_timer(void *arg)
{
	struct qmp *q = arg;
	int64_t now_us = clock_mono_us(q->clock);
	struct error e = { 0 };
	struct call *c;
	enter(q);
	if (q->state == GREETING && now_us >= q->greeting_due_us) {
		error_set(&e, ERROR_TIMEOUT, "QEMU did not greet in %d s", QMP_GREETING_MS / 1000);
		close_with(q, &e);
	}
	if (!q->freed && q->state != CLOSED && (c = late_call(q, now_us))) {
		timer_start(q->timer, 0, DEADLINE_MS); /* for the next one, if any */
		bool half_sent = c->n_sent > 0 && c->n_sent < c->text.len;
		error_set(&e, ERROR_TIMEOUT, "QEMU does not answer \"%s\"", c->command);
		if (half_sent) { /* the stream cannot go on without the rest */
			close_with(q, &e);
		} else {
			call_end(q, c, NULL, &e);
		}
	}
	if (!q->freed && q->state != GREETING && list_is_empty(&q->calls)) {
		timer_stop(q->timer); /* an idle machine costs no wake-ups */
	}
	leave(q);
}

struct qmp *qmp_new(uv_loop_t *loop, struct clock *c, int fd, const struct qmp_handler *h)
{
	struct qmp *q = mem_zalloc(sizeof(*q));
	q->loop = loop;
	q->clock = c;
	q->handler = *h;
	q->fd = fd;
	list_init(&q->calls);
	int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	int rc = uv_poll_init(loop, &q->poll, fd);
	assert(rc == 0); /* a socket can be polled */
	q->greeting_due_us = clock_mono_us(c) + QMP_GREETING_MS * INT64_C(1000);
	q->timer = timer_new(loop, c, on_timer, q);
	timer_start(q->timer, DEADLINE_MS, DEADLINE_MS);
	poll_for(q, UV_READABLE);
	return q;
}

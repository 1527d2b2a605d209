/* SPDX-License-Identifier: Apache-2.0 */
#include "host/console_route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/socket.h"
#include "base/timer.h"
#include "host/vm_impl.h"

#define PREFIX	  "/remora/v1/consoles/"
#define PRIVILEGE "VirtualMachine.Interact.ConsoleInteract"
#define BYTES	  "application/octet-stream"

enum {
	TICK_MS = 50,
	HELD_US = 5000000,     /* a port after the last byte that was typed */
	UNREAD_MAX = 64 << 10, /* typed, as the kernel counts, and not yet taken by the VM */
	DRAIN_TURNS = 16,      /* reads of a port in one tick */
	DRAIN_BLOCK = 16 << 10
};

/* Somebody looks. Freed by the stream's done(). */
struct viewer {
	struct list_node link;
	struct consoles *all;
	struct http_request *request; /* NULL: over */
	char *vm;		      /* id */
	int fd;			      /* the log */
	off_t at;
};

/* A VM that is typed to. */
struct port {
	struct list_node link;
	char *vm; /* id */
	int fd;
	int64_t typed_us;
};

struct consoles {
	struct host *host;
	struct list viewers, ports;
	unsigned n_viewers, n_ports;
	struct timer *tick; /* while there are viewers or ports */
};

/* A request. */
struct asked {
	struct viewer *viewer; /* GET */
	bool is_typing;	       /* POST */
	bool is_refused;       /* answered before the body was there */
	struct buf typed;
};

/* ---- VMs ---- */

/* The VM of an id that the session may look at, while it is not off; else NULL, with the reason. */
static struct vm *vm_seen(struct host *h, const char *id, const struct session *session,
			  struct error *e)
{
	struct object *o = inventory_find(h->inventory, id);

	if (o == NULL || o->type != T_VirtualMachine) {
		error_set(e, ERROR_NOT_FOUND, "there is no VM \"%.64s\" on this host", id);
		return NULL;
	}
	struct vm *vm = vm_from_object(o);
	if (session == NULL || !session_may(session, o, PRIVILEGE)) {
		error_set(e, ERROR_PERMISSION, "\"%.64s\": you lack the privilege " PRIVILEGE, id);
		return NULL;
	}
	if (h->simulated || vm_config(vm) == NULL) {
		error_set(e, ERROR_NOT_FOUND, "\"%s\" has no console, as it %s", vm_name(vm),
			  h->simulated ? "is simulated" : "has no valid configuration");
		return NULL;
	}
	if (vm_power_state(vm) != E_VirtualMachinePowerState_poweredOn) {
		error_set(e, ERROR_STATE, "\"%s\" is not powered on", vm_name(vm));
		return NULL;
	}
	return vm;
}

/* Its first serial port that is a console; the words are in the arena. */
static bool find_port(struct vm *vm, struct arena *a, struct machine_serial *out, struct error *e)
{
	struct machine_spec spec;
	const char *file;

	if (!vm_machine_spec(vm, a, true, &spec, &file, e)) {
		return false;
	}
	for (size_t i = 0; i < spec.n_serials; i++) {
		if (spec.serials[i].kind == MACHINE_SERIAL_SOCKET) {
			*out = spec.serials[i];
			return true;
		}
	}
	return error_set(e, ERROR_NOT_FOUND, "\"%s\" has no serial port that is a console",
			 vm_name(vm));
}

static int open_log(struct vm *vm, struct error *e)
{
	struct arena *a = arena_new(0);
	struct machine_serial serial;
	struct stat st;
	int fd = -1;

	if (find_port(vm, a, &serial, e)) {
		fd = open(serial.log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd < 0) {
			error_set_sys(e, errno, "\"%s\"", serial.log);
		} else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
			error_set(e, ERROR_INVALID, "\"%s\" is not a regular file", serial.log);
			close(fd);
			fd = -1;
		}
	}
	arena_free(a);
	return fd;
}

/* ---- ports ---- */

static void port_close(struct consoles *all, struct port *p)
{
	list_remove(&p->link);
	all->n_ports--;
	close(p->fd);
	free(p->vm);
	free(p);
}

/* What the guest says is in the log already. False: the VM has gone. */
static bool port_drain(struct port *p)
{
	char bytes[DRAIN_BLOCK];

	for (int i = 0; i < DRAIN_TURNS; i++) {
		ssize_t n = recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n < 0) {
			return errno == EAGAIN || errno == EINTR;
		}
		if (n == 0) {
			return false;
		}
	}
	return true;
}

static struct port *port_find(struct consoles *all, const char *vm)
{
	list_each (struct port, p, &all->ports, link) {
		if (strcmp(p->vm, vm) == 0) {
			return p;
		}
	}
	return NULL;
}

static struct port *port_open(struct consoles *all, struct vm *vm, const char *id, struct error *e)
{
	struct arena *a = arena_new(0);
	struct machine_serial serial;
	struct port *p = NULL;

	if (all->n_ports >= CONSOLE_PORTS_MAX) {
		error_set(e, ERROR_BUSY, "\"%s\": %d VMs are typed to on this host, the limit",
			  vm_name(vm), CONSOLE_PORTS_MAX);
	} else if (find_port(vm, a, &serial, e)) {
		int fd = socket_connect_unix(serial.path, e);
		if (fd >= 0) {
			p = mem_zalloc(sizeof(*p));
			p->vm = mem_strdup(id);
			p->fd = fd;
			list_push_back(&all->ports, &p->link);
			all->n_ports++;
		}
	}
	arena_free(a);
	return p;
}

/* All of it or nothing. */
static bool port_type(struct port *p, struct vm *vm, const struct buf *typed, struct error *e)
{
	int unread = 0;

	if (ioctl(p->fd, SIOCOUTQ, &unread) == 0 && unread > UNREAD_MAX) {
		return error_set(e, ERROR_BUSY,
				 "\"%s\" does not take what is typed, as somebody else holds its "
				 "port or its guest does not read; %d bytes wait, limit %d",
				 vm_name(vm), unread, UNREAD_MAX);
	}
	ssize_t n = send(p->fd, typed->data, typed->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		return error_set_sys(e, errno, "the serial port of \"%s\"", vm_name(vm));
	}
	if ((size_t)n < typed->len) {
		return error_set(e, ERROR_BUSY, "\"%s\" took %zd of %zu bytes", vm_name(vm), n,
				 typed->len);
	}
	return true;
}

/* ---- time ---- */

static bool viewer_may_stay(const struct viewer *v)
{
	struct error e;

	return v->request != NULL && vm_seen(v->all->host, v->vm, v->request->session, &e) != NULL;
}

static void tick(void *arg)
{
	struct consoles *all = arg;
	int64_t now = clock_mono_us(all->host->clock);

	list_each_safe (struct port, p, &all->ports, link) {
		if (!port_drain(p) || now - p->typed_us > HELD_US) {
			port_close(all, p);
		}
	}
	list_each_safe (struct viewer, v, &all->viewers, link) {
		struct stat st;
		if (v->request != NULL &&
		    (!viewer_may_stay(v) || fstat(v->fd, &st) != 0 || st.st_size != v->at)) {
			http_resume(v->request);
		}
	}
	if (all->n_ports + all->n_viewers == 0) {
		timer_stop(all->tick);
	}
}

static void tick_on(struct consoles *all)
{
	if (!timer_is_active(all->tick)) {
		timer_start(all->tick, TICK_MS, TICK_MS);
	}
}

/* ---- GET ---- */

static ssize_t viewer_read(void *arg, char *data, size_t max)
{
	struct viewer *v = arg;
	struct stat st;

	if (fstat(v->fd, &st) != 0) {
		return -2;
	}
	if (st.st_size < v->at) {
		v->at = 0; /* it was emptied, as it had become too long */
	}
	ssize_t n = pread(v->fd, data, max, v->at);
	if (n > 0) {
		v->at += n;
		return n;
	}
	return n < 0 ? -2 : viewer_may_stay(v) ? 0 : -1;
}

static void viewer_done(void *arg)
{
	struct viewer *v = arg;

	if (v->request != NULL && v->request->state != NULL) {
		((struct asked *)v->request->state)->viewer = NULL;
	}
	list_remove(&v->link);
	v->all->n_viewers--;
	close(v->fd);
	free(v->vm);
	free(v);
}

static bool viewers_have_room(const struct consoles *all, const char *id, struct error *e)
{
	unsigned n = 0;

	list_each (struct viewer, v, &all->viewers, link) {
		n += strcmp(v->vm, id) == 0;
	}
	if (n >= CONSOLES_OF_VM_MAX) {
		return error_set(e, ERROR_BUSY, "\"%s\": its console is shown %u times, limit %d",
				 id, n, CONSOLES_OF_VM_MAX);
	}
	if (all->n_viewers >= CONSOLES_MAX) {
		return error_set(e, ERROR_BUSY, "\"%s\": this host shows %u consoles, limit %d", id,
				 all->n_viewers, CONSOLES_MAX);
	}
	return true;
}

static bool show(struct http_request *r, struct consoles *all, struct vm *vm, const char *id,
		 struct error *e)
{
	struct asked *x = r->state;
	struct stat st;

	if (!viewers_have_room(all, id, e)) {
		return false;
	}
	int fd = open_log(vm, e);
	if (fd < 0) {
		return false;
	}
	struct viewer *v = mem_zalloc(sizeof(*v));
	bool is_long = fstat(fd, &st) == 0 && st.st_size > CONSOLE_SHOWN;
	*v = (struct viewer){ .all = all, .request = r, .vm = mem_strdup(id), .fd = fd };
	v->at = is_long ? st.st_size - CONSOLE_SHOWN : 0;
	list_push_back(&all->viewers, &v->link);
	all->n_viewers++;
	x->viewer = v;
	tick_on(all);
	http_reply_header(r, "Cache-Control", "no-store");
	http_reply_header(r, "X-Content-Type-Options", "nosniff");
	http_respond_stream(
		r, 200, BYTES,
		&(struct http_stream){
			.read = viewer_read, .done = viewer_done, .arg = v, .len = -1 });
	return true;
}

/* ---- POST ---- */

static bool type(struct consoles *all, struct vm *vm, const char *id, const struct buf *typed,
		 struct error *e)
{
	struct port *p = port_find(all, id);

	if (typed->len == 0) {
		return true;
	}
	if (p != NULL && !port_drain(p)) {
		port_close(all, p); /* of a VM that was off meanwhile */
		p = NULL;
	}
	if (p == NULL) {
		p = port_open(all, vm, id, e);
	}
	if (p == NULL || !port_type(p, vm, typed, e)) {
		return false;
	}
	p->typed_us = clock_mono_us(all->host->clock);
	tick_on(all);
	return true;
}

/* ---- requests ---- */

static void refuse(struct http_request *r, const struct error *e)
{
	int status = e->kind == ERROR_NOT_FOUND	   ? 404
		     : e->kind == ERROR_PERMISSION ? 403
		     : e->kind == ERROR_STATE	   ? 409
						   : 503;

	http_respond_text(r, status, "%s\n", e->msg);
}

static bool begin_typing(struct http_request *r, struct asked *x)
{
	const char *content_type = http_header(r, "Content-Type");

	/* No page of another site can send that without being asked about first. */
	if (content_type == NULL || strcasecmp(content_type, BYTES) != 0) {
		http_respond_text(r, 415, "What is typed must be of type " BYTES ".\n");
		return false;
	}
	if (r->content_length > CONSOLE_TYPED_MAX) {
		http_respond_text(r, 413, "%lld bytes are typed at once, limit %d.\n",
				  (long long)r->content_length, CONSOLE_TYPED_MAX);
		return false;
	}
	x->is_typing = true;
	return true;
}

static bool on_begin(struct http_request *r)
{
	struct consoles *all = r->arg;
	const char *id = r->path + strlen(PREFIX) - 1;
	bool is_get = strcmp(r->method, "GET") == 0;
	struct error e = { 0 };

	if (id[0] != '/' || id[1] == '\0' || strchr(id + 1, '/') != NULL) {
		http_respond_text(r, 404, "The console of a VM is " PREFIX "ID.\n");
		return false;
	}
	if (!is_get && strcmp(r->method, "POST") != 0) {
		http_reply_header(r, "Allow", "GET, POST");
		http_respond_text(r, 405, "\"%.20s\" is not understood here.\n", r->method);
		return false;
	}
	struct vm *vm = vm_seen(all->host, ++id, r->session, &e);
	if (vm == NULL) {
		refuse(r, &e);
		return false;
	}
	struct asked *x = mem_zalloc(sizeof(*x));
	x->typed = (struct buf)BUF_INIT;
	r->state = x;
	if (!is_get) {
		return begin_typing(r, x);
	}
	if (!show(r, all, vm, id, &e)) {
		refuse(r, &e);
	}
	return true;
}

static size_t on_body(struct http_request *r, const char *data, size_t len)
{
	struct asked *x = r->state;

	if (x == NULL || !x->is_typing || x->is_refused) {
		return len;
	}
	if (x->typed.len + len > CONSOLE_TYPED_MAX) {
		x->is_refused = true;
		http_respond_text(r, 413, "More is typed at once than %d bytes, the limit.\n",
				  CONSOLE_TYPED_MAX);
		return len;
	}
	buf_add(&x->typed, data, len);
	return len;
}

/* What could be done when it began is asked again: a slow body takes its time. */
static void on_complete(struct http_request *r)
{
	struct consoles *all = r->arg;
	struct asked *x = r->state;
	const char *id = r->path + strlen(PREFIX);
	struct error e = { 0 };

	if (x == NULL || !x->is_typing || x->is_refused) {
		return;
	}
	struct vm *vm = vm_seen(all->host, id, r->session, &e);
	if (vm == NULL || !type(all, vm, id, &x->typed, &e)) {
		refuse(r, &e);
		return;
	}
	http_respond(r, 204, NULL, &(struct buf)BUF_INIT);
}

static void on_finish(struct http_request *r, bool ok)
{
	struct asked *x = r->state;

	(void)ok;
	if (x != NULL) {
		r->state = NULL;
		if (x->viewer != NULL) {
			x->viewer->request = NULL;
		}
		buf_free(&x->typed);
		free(x);
	}
}

struct consoles *console_route_add(struct server *s, struct host *h)
{
	struct consoles *all = mem_zalloc(sizeof(*all));

	all->host = h;
	list_init(&all->viewers);
	list_init(&all->ports);
	all->tick = timer_new(h->loop, h->clock, tick, all);
	server_route(s, &(struct http_route){ .prefix = "/remora/v1/consoles",
					      .needs_session = true,
					      .begin = on_begin,
					      .body = on_body,
					      .complete = on_complete,
					      .finish = on_finish,
					      .arg = all });
	return all;
}

void consoles_free(struct consoles *all)
{
	if (all == NULL) {
		return;
	}
	list_each_safe (struct port, p, &all->ports, link) {
		port_close(all, p);
	}
	timer_free(all->tick);
	free(all);
}

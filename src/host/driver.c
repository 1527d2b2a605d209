/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all drivers share: who may do what in which state, and who is told.
 *
 * Invariants
 * 1. `op` is NONE exactly when no reply waits in `reply`; STOPPING means one waits in `stop_reply`.
 * 2. A waiting reply is taken out before it is called, so it is called once.
 * 3. A callback may free its machine: the struct stays until the last call on the stack returned,
 *    with `freed` set, and nobody is called any more.
 */
#include "host/driver.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/driver_impl.h"

static const char *const state_names[] = {
	"off",	    "being adopted",  "starting",	  "running",	"suspending",
	"stopping", "being received", "being moved away", "moved away",
};

void driver_free(struct driver *d)
{
	if (d) {
		assert(d->n_machines == 0);
		d->ops->free(d);
	}
}

const char *driver_name(const struct driver *d)
{
	return d->ops->name;
}

struct machine *machine_new(struct driver *d, const struct machine_listener *l, void *arg)
{
	struct machine *m = d->ops->machine_new(d);
	m->driver = d;
	m->listener = l;
	m->arg = arg;
	d->n_machines++;
	return m;
}

enum machine_state machine_state(const struct machine *m)
{
	return m->state;
}

void machine_hold(struct machine *m)
{
	assert(m->calls < 127);
	m->calls++;
}

bool machine_release(struct machine *m)
{
	m->calls--;
	if (!m->freed) {
		return true;
	}
	if (m->calls == 0) {
		m->driver->n_machines--;
		m->driver->ops->machine_free(m);
	}
	return false;
}

static void answer(struct machine *m, struct machine_reply *r, const struct error *e)
{
	struct machine_reply once = *r;
	*r = (struct machine_reply){ 0 };
	if (once.done && !m->freed) {
		once.done(once.arg, m, e);
	}
}

void machine_free(struct machine *m)
{
	if (!m || m->freed) {
		return;
	}
	struct error e = { 0 };
	error_set(&e, ERROR_CANCELED, "the machine was let go");
	machine_hold(m);
	m->op = MACHINE_OP_NONE;
	answer(m, &m->reply, &e);
	answer(m, &m->stop_reply, &e);
	m->freed = true;
	machine_release(m);
}

/* Where an operation that has ended leaves a machine that is there. */
static enum machine_state state_after(const struct machine *m, enum machine_op op,
				      const struct error *e)
{
	switch ((int)op) {
	case MACHINE_OP_ADOPT:
		return m->adopted != MACHINE_OFF ? m->adopted : MACHINE_RUNNING;
	case MACHINE_OP_RECEIVE:
	case MACHINE_OP_STREAM:
		return MACHINE_RECEIVING;
	case MACHINE_OP_RUN:
		return e != NULL ? MACHINE_RECEIVING : MACHINE_RUNNING;
	case MACHINE_OP_SEND:
		return e != NULL ? MACHINE_RUNNING : MACHINE_SENT;
	case MACHINE_OP_REVIVE:
		return e != NULL ? MACHINE_SENT : MACHINE_RUNNING;
	default:
		return MACHINE_RUNNING;
	}
}

static void answer_send(struct machine *m, const struct error *e)
{
	const struct machine_send_listener *l = m->send_listener;

	m->send_listener = NULL;
	m->is_send_stopped = m->is_send_going = false;
	if (l == NULL || m->freed || m->state == MACHINE_STOPPING) {
		return;
	}
	if (e != NULL) {
		l->failed(m->send_arg, e);
	} else {
		l->sent(m->send_arg);
	}
}

void machine_send_progress(struct machine *m, uint64_t done, uint64_t total)
{
	if (m->send_listener != NULL && m->send_listener->progress != NULL && !m->freed) {
		machine_hold(m);
		m->send_listener->progress(m->send_arg, done, total);
		machine_release(m);
	}
}

void machine_send_stands(struct machine *m)
{
	if (m->send_listener != NULL && m->send_listener->stands != NULL && !m->freed) {
		machine_hold(m);
		m->send_listener->stands(m->send_arg);
		machine_release(m);
	}
}

void machine_send_stopped(struct machine *m)
{
	m->is_send_stopped = true;
	if (m->send_listener != NULL && !m->freed) {
		machine_hold(m);
		m->send_listener->stopped(m->send_arg);
		machine_release(m);
	}
}

void machine_done(struct machine *m, const struct error *e)
{
	enum machine_op op = m->op;
	assert(op != MACHINE_OP_NONE);
	machine_hold(m);
	m->op = MACHINE_OP_NONE;
	if (m->state != MACHINE_STOPPING) {
		m->state = state_after(m, op, e);
	}
	if (op == MACHINE_OP_SEND) {
		answer_send(m, e);
	}
	answer(m, &m->reply, e);
	machine_release(m);
}

void machine_gone(struct machine *m, enum machine_exit why, const struct error *e)
{
	bool was_up = m->op != MACHINE_OP_START && m->op != MACHINE_OP_RESUME &&
		      m->op != MACHINE_OP_ADOPT && m->op != MACHINE_OP_RECEIVE;
	struct error canceled = { 0 };
	if (m->state == MACHINE_STOPPING) {
		error_set(&canceled, ERROR_CANCELED, "the machine was powered off");
	} else if (e) {
		canceled = *e;
	} else {
		error_set(&canceled, ERROR_STATE, "the machine went off");
	}
	bool suspended = m->op == MACHINE_OP_SUSPEND && why == MACHINE_EXIT_SUSPENDED;
	machine_hold(m);
	m->op = MACHINE_OP_NONE;
	m->state = m->adopted = MACHINE_OFF;
	m->send_listener = NULL;
	m->is_send_stopped = m->is_send_going = false;
	answer(m, &m->reply, suspended ? NULL : &canceled);
	answer(m, &m->stop_reply, NULL);
	if (was_up && !m->freed && m->listener->exited) {
		m->listener->exited(m->arg, m, why, e);
	}
	machine_release(m);
}

void machine_was_reset(struct machine *m)
{
	machine_hold(m);
	if (!m->freed && m->listener->reset) {
		m->listener->reset(m->arg, m);
	}
	machine_release(m);
}

void machine_has_stalled(struct machine *m, const char *why)
{
	machine_hold(m);
	if (!m->freed && m->listener->stalled) {
		m->listener->stalled(m->arg, m, why);
	}
	machine_release(m);
}

static bool want_state(const struct machine *m, enum machine_state s, struct error *e)
{
	if (m->state == s && m->op != MACHINE_OP_NONE) {
		return error_set(e, ERROR_BUSY, "another operation on the machine is under way");
	}
	if (m->state != s) {
		bool moving = m->state != MACHINE_OFF && m->state != MACHINE_RUNNING;
		return error_set(e, moving ? ERROR_BUSY : ERROR_STATE, "the machine is %s, not %s",
				 state_names[m->state], state_names[s]);
	}
	return true;
}

/* Before the driver is asked, so that it may look at m->op. */
static void begin(struct machine *m, enum machine_op op, const struct machine_reply *r)
{
	m->op = op;
	m->reply = r ? *r : (struct machine_reply){ 0 };
}

static bool began(struct machine *m, bool ok, enum machine_state before)
{
	if (!ok) {
		m->op = MACHINE_OP_NONE;
		m->reply = (struct machine_reply){ 0 };
		m->state = before;
	}
	return ok;
}

static bool power_on(struct machine *m, enum machine_op how, const struct machine_spec *s,
		     const struct machine_reply *r, struct error *e)
{
	if (!want_state(m, MACHINE_OFF, e) || !machine_spec_check(s, e)) {
		return false;
	}
	begin(m, how, r);
	m->state = how == MACHINE_OP_ADOPT ? MACHINE_ADOPTING : MACHINE_STARTING;
	return began(m, m->driver->ops->power_on(m, how, s, e), MACHINE_OFF);
}

bool machine_start(struct machine *m, const struct machine_spec *s, const struct machine_reply *r,
		   struct error *e)
{
	return power_on(m, MACHINE_OP_START, s, r, e);
}

bool machine_resume(struct machine *m, const struct machine_spec *s, const struct machine_reply *r,
		    struct error *e)
{
	if (!s->state_file || !s->state_file[0]) {
		return error_set(e, ERROR_INVALID, "\"%s\": no state file", s->name);
	}
	return power_on(m, MACHINE_OP_RESUME, s, r, e);
}

bool machine_adopt(struct machine *m, const struct machine_spec *s, const struct machine_reply *r,
		   struct error *e)
{
	return power_on(m, MACHINE_OP_ADOPT, s, r, e);
}

bool machine_stop(struct machine *m, const struct machine_reply *r, struct error *e)
{
	enum machine_state before = m->state;
	if (before == MACHINE_OFF) {
		return error_set(e, ERROR_STATE, "the machine is off");
	}
	if (before == MACHINE_STOPPING) {
		return error_set(e, ERROR_BUSY, "the machine is being stopped already");
	}
	if (before == MACHINE_ADOPTING) {
		return error_set(e, ERROR_BUSY, "the machine is being adopted");
	}
	m->state = MACHINE_STOPPING;
	m->stop_reply = r ? *r : (struct machine_reply){ 0 };
	if (!m->driver->ops->stop(m, e)) {
		m->state = before;
		m->stop_reply = (struct machine_reply){ 0 };
		return false;
	}
	return true;
}

bool machine_suspend(struct machine *m, const struct machine_reply *r, struct error *e)
{
	if (!want_state(m, MACHINE_RUNNING, e)) {
		return false;
	}
	begin(m, MACHINE_OP_SUSPEND, r);
	m->state = MACHINE_SUSPENDING;
	return began(m, m->driver->ops->suspend(m, e), MACHINE_RUNNING);
}

bool machine_reset(struct machine *m, const struct machine_reply *r, struct error *e)
{
	if (!want_state(m, MACHINE_RUNNING, e)) {
		return false;
	}
	begin(m, MACHINE_OP_RESET, r);
	return began(m, m->driver->ops->reset(m, e), MACHINE_RUNNING);
}

bool machine_powerdown(struct machine *m, const struct machine_reply *r, struct error *e)
{
	if (!want_state(m, MACHINE_RUNNING, e)) {
		return false;
	}
	begin(m, MACHINE_OP_POWERDOWN, r);
	return began(m, m->driver->ops->powerdown(m, e), MACHINE_RUNNING);
}

bool machine_set_medium(struct machine *m, int32_t key, const char *path,
			const struct machine_reply *r, struct error *e)
{
	if (!want_state(m, MACHINE_RUNNING, e)) {
		return false;
	}
	begin(m, MACHINE_OP_MEDIUM, r);
	return began(m, m->driver->ops->set_medium(m, key, path, e), MACHINE_RUNNING);
}

bool machine_set_link(struct machine *m, int32_t key, bool connected, const struct machine_reply *r,
		      struct error *e)
{
	if (!want_state(m, MACHINE_RUNNING, e)) {
		return false;
	}
	begin(m, MACHINE_OP_LINK, r);
	return began(m, m->driver->ops->set_link(m, key, connected, e), MACHINE_RUNNING);
}

bool machine_add_nic(struct machine *m, const struct machine_nic *nic,
		     const struct machine_reply *r, struct error *e)
{
	if (!want_state(m, MACHINE_RUNNING, e)) {
		return false;
	}
	begin(m, MACHINE_OP_NIC, r);
	return began(m, m->driver->ops->add_nic(m, nic, e), MACHINE_RUNNING);
}

bool machine_remove_nic(struct machine *m, int32_t key, const struct machine_reply *r,
			struct error *e)
{
	if (!want_state(m, MACHINE_RUNNING, e)) {
		return false;
	}
	begin(m, MACHINE_OP_NIC, r);
	return began(m, m->driver->ops->remove_nic(m, key, e), MACHINE_RUNNING);
}

void machine_export_name(int32_t key, char out[24])
{
	snprintf(out, 24, "disk-%d", (int)key);
}

/* Not all drivers move machines. */
static bool want_op(const struct machine *m, bool has, struct error *e)
{
	return has || error_set(e, ERROR_UNSUPPORTED, "the driver \"%s\" moves no machines",
				m->driver->ops->name);
}

static bool want_credentials(const struct machine_credentials *c, struct error *e)
{
	if (c->certificate == NULL || c->key == NULL || c->peer == NULL || c->peer_name == NULL ||
	    c->peer_name[0] == '\0') {
		return error_set(e, ERROR_INVALID, "a migration without certificates");
	}
	return true;
}

bool machine_receive(struct machine *m, const struct machine_spec *s,
		     const struct machine_incoming *in, const struct machine_reply *r,
		     struct error *e)
{
	if (!want_op(m, m->driver->ops->receive != NULL, e) || !want_state(m, MACHINE_OFF, e) ||
	    !machine_spec_check(s, e) || !want_credentials(&in->tls, e)) {
		return false;
	}
	begin(m, MACHINE_OP_RECEIVE, r);
	m->state = MACHINE_STARTING;
	return began(m, m->driver->ops->receive(m, s, in, e), MACHINE_OFF);
}

bool machine_receive_stream(struct machine *m, int fd, const struct machine_reply *r,
			    struct error *e)
{
	if (!want_state(m, MACHINE_RECEIVING, e)) {
		return false;
	}
	begin(m, MACHINE_OP_STREAM, r);
	return began(m, m->driver->ops->receive_stream(m, fd, e), MACHINE_RECEIVING);
}

bool machine_receive_run(struct machine *m, const struct machine_reply *r, struct error *e)
{
	if (!want_state(m, MACHINE_RECEIVING, e)) {
		return false;
	}
	begin(m, MACHINE_OP_RUN, r);
	return began(m, m->driver->ops->receive_run(m, e), MACHINE_RECEIVING);
}

bool machine_can_send(const struct machine *m, struct error *e)
{
	const struct driver_ops *ops = m->driver->ops;
	return want_op(m, ops->send != NULL, e) && (ops->can_send == NULL || ops->can_send(m, e));
}

bool machine_send(struct machine *m, const struct machine_outgoing *out,
		  const struct machine_send_listener *l, void *arg, struct error *e)
{
	if (!want_op(m, m->driver->ops->send != NULL, e) || !want_state(m, MACHINE_RUNNING, e) ||
	    !want_credentials(&out->tls, e)) {
		return false;
	}
	begin(m, MACHINE_OP_SEND, NULL);
	m->send_listener = l;
	m->send_arg = arg;
	m->is_send_stopped = m->is_send_going = false;
	m->state = MACHINE_SENDING;
	bool ok = began(m, m->driver->ops->send(m, out, e), MACHINE_RUNNING);
	m->send_listener = ok ? l : NULL;
	return ok;
}

bool machine_send_go(struct machine *m, struct error *e)
{
	if (m->state != MACHINE_SENDING || !m->is_send_stopped || m->is_send_going) {
		return error_set(e, ERROR_STATE, "the machine is %s, and not at its switch-over",
				 state_names[m->state]);
	}
	m->is_send_going = m->driver->ops->send_go(m, e);
	return m->is_send_going;
}

bool machine_send_cancel(struct machine *m, struct error *e)
{
	if (m->state != MACHINE_SENDING || m->is_send_going) {
		return error_set(e, ERROR_STATE, "the machine is %s, which cannot be cancelled%s",
				 state_names[m->state], m->is_send_going ? " any more" : "");
	}
	return m->driver->ops->send_cancel(m, e);
}

bool machine_send_revive(struct machine *m, const struct machine_reply *r, struct error *e)
{
	if (!want_state(m, MACHINE_SENT, e)) {
		return false;
	}
	begin(m, MACHINE_OP_REVIVE, r);
	return began(m, m->driver->ops->send_revive(m, e), MACHINE_SENT);
}

void machine_tidy(struct machine *m)
{
	if (m->driver->ops->tidy && m->state == MACHINE_RUNNING) {
		m->driver->ops->tidy(m);
	}
}

bool machine_usage(const struct machine *m, struct machine_usage *out, struct error *e)
{
	if (m->state == MACHINE_OFF || m->state == MACHINE_ADOPTING) {
		return error_set(e, ERROR_STATE, "the machine is %s", state_names[m->state]);
	}
	return m->driver->ops->usage(m, out, e);
}

void driver_place(struct driver *d, const struct placement *p)
{
	if (d->ops->place) {
		d->ops->place(d, p);
	}
}

const char *driver_confinement(const struct driver *d)
{
	return d->ops->driver_confinement ? d->ops->driver_confinement(d) : "";
}

const char *machine_confinement(const struct machine *m)
{
	const struct driver_ops *ops = m->driver->ops;
	return m->state != MACHINE_OFF && ops->machine_confinement ? ops->machine_confinement(m)
								   : NULL;
}

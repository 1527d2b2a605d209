/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task of a host that somebody here waits for: its progress, its end, and cancelling it. The
 * host's Task object is watched in its inventory (link_watch_task()). Each follows one task to its
 * end, or to the end of the connection, or until the host has forgotten it. Event-loop thread only.
 */
#pragma once

#include "center/mirror.h"

struct remote_task;

struct remote_task_listener {
	/* The host's TaskInfo has changed; not for the end. */
	void (*changed)(void *arg, const struct value *info);
	/* Once. info: the host's TaskInfo in state success or error, or NULL when the host is lost
	 * or has forgotten the task; then text says why. Valid during the call only. */
	void (*ended)(void *arg, const struct value *info, const char *text);
	void *arg;
};

/* May call `ended` before it returns. */
void remote_task_follow(struct mirror *m, const struct value *remote,
			const struct remote_task_listener *listener);

/* Asks the host to cancel it. */
void remote_task_cancel(struct mirror *m, const struct value *remote);

/* From the mirror: the object has changed or is gone. */
void remote_task_changed(struct mirror *m, struct object *task);

/* The host says that it has no such task. */
void remote_task_gone(struct mirror *m, const struct value *remote);

/* The host is lost: all end. */
void remote_task_lose(struct mirror *m, const char *why);

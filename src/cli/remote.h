/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vSphere API for commands: each call runs a private event loop until the answer is there, so
 * that a command reads from top to bottom. Results live as long as the connection.
 */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "vim/peer.h"
#include "vim/value.h"

struct remote;

struct remote_config {
	const char *url; /* "https://127.0.10.1:8443/sdk" */
	const char *user, *password;
	const char *thumbprint; /* NULL: take any certificate */
};

/* Connects and logs in. NULL with `e`: ERROR_UNREACHABLE, ERROR_PERMISSION (password, thumbprint).
 */
struct remote *remote_open(const struct remote_config *config, struct error *e);
void remote_close(struct remote *r); /* logs out; accepts NULL */

struct arena *remote_arena(struct remote *r);		    /* for arguments; lives as long as r */
const struct value *remote_content(const struct remote *r); /* ServiceContent */
const char *remote_thumbprint(const struct remote *r);	    /* SHA-1, colon-separated */

/* For what comes bit by bit: run the loop meanwhile, and leave nothing of yours in it. */
struct peer *remote_peer(struct remote *r);
uv_loop_t *remote_loop(struct remote *r);

/* Calls a method and writes its result (NULL: none) to *out, which may be NULL. A fault becomes `e`
 * with the server's message; its type is remote_fault(). */
bool remote_call(struct remote *r, uint16_t method, const struct value *self,
		 const struct value *args, const struct value **out, struct error *e);
uint16_t remote_fault(const struct remote *r);

/* Calls a *_Task method and waits for the task's end; *out is its result. */
bool remote_task(struct remote *r, uint16_t method, const struct value *self,
		 const struct value *args, const struct value **out, struct error *e);

/* One property ("summary.runtime.powerState"); *out NULL when unset. */
bool remote_get(struct remote *r, const struct value *object, const char *path,
		const struct value **out, struct error *e);

/* All objects of a type below the root folder with one property each: an array of ObjectContent. */
bool remote_list(struct remote *r, const char *type, const char *path, const struct value **out,
		 struct error *e);

/* Puts `length` bytes of fd into a file on a datastore. progress may be NULL. */
struct remote_upload {
	const char *datacenter, *datastore, *file;
	int fd;
	uint64_t length;
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};
bool remote_put(struct remote *r, const struct remote_upload *u, struct error *e);

/* A small file of a host's datastore, refused where it has more than `max` bytes; its name needs no
 * escapes. ERROR_NOT_FOUND: no such file. */
struct remote_download {
	const char *datastore, *file;
	size_t max;
};
bool remote_read(struct remote *r, const struct remote_download *d, struct buf *out,
		 struct error *e);

/* A request of the REST interface with the session's cookie: method "PUT", path
 * "/policy/api/v1/…". `body` is taken over, NULL: none. *out (may be NULL) is the caller's, NULL
 * where the answer is empty. A refusal becomes `e` with the server's reason: ERROR_NOT_FOUND,
 * ERROR_PERMISSION, ERROR_BUSY (503), else ERROR_INVALID. */
bool remote_rest(struct remote *r, const char *method, const char *path, struct json_object *body,
		 struct json_object **out, struct error *e);

#endif

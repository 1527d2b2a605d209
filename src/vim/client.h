/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vSphere API client: method calls as values, a session, and files over HTTP. centerd uses it
 * for its hosts, the command line for both.
 *
 * Any number of calls may be under way; a waiting WaitForUpdatesEx does not hold up others. Values
 * handed to done() are gone when it returns: value_keep() what is needed longer. done() is called
 * exactly once for each call, never before the function that began it returns, and always from the
 * event loop or from client_cancel() and client_free(). Event-loop thread only.
 */
#ifndef VIM_CLIENT_H
#define VIM_CLIENT_H

#include "vim/peer.h"
#include "vim/value.h"

struct client;
struct client_call;

struct client_config {
	uv_loop_t *loop;
	const char *url;	/* "https://127.0.10.11:8443/sdk"; "/sdk" and https are defaults */
	const char *thumbprint; /* SHA-1 or SHA-256; NULL: refused, see client_peer() */
	bool trust_any;		/* no thumbprint, any certificate: interactive tools only */
	uint8_t version;	/* API version index to speak; 0: the newest served */
	int64_t timeout_ms;	/* of a call that says none; 0: 60 s */
	size_t max_response;	/* 0: 256 MiB */
};

struct client *client_new(const struct client_config *config, struct error *e);
void client_free(struct client *c); /* ends all calls with ERROR_CANCELED first */

/* For thumbprints: after ERROR_PERMISSION from a first call, peer_is_unknown() is true and
 * peer_sha1() is what SSLVerifyFault.thumbprint needs. */
struct peer *client_peer(const struct client *c);

/* What a call came to: error NULL: the server answered, with a fault (then text is its message) or
 * with a result (NULL: void or unset). A result is as the method declares it: structure,
 * reference, string, boxed scalar, array. A fault of unknown type is a plain MethodFault. */
struct client_answer {
	const struct value *result;
	const struct value *fault;
	const char *text;
	const struct error *error; /* of peer.h; ERROR_CORRUPT: not a SOAP answer */
};
typedef void client_done_fn(void *arg, const struct client_answer *answer);

/* Calls `method` (M_…) on the object. args: structure schema_method(method)->args, or NULL; written
 * out before this returns. NULL, and no done(), only within client_free(). */
struct client_call *client_call(struct client *c, uint16_t method, const struct value *self,
				const struct value *args, client_done_fn *done, void *arg);
/* Right after client_call(): another time-out than the client's. WaitForUpdatesEx needs more than
 * its maxWaitSeconds. */
void client_set_timeout(struct client_call *call, int64_t timeout_ms);
/* Right after client_call(): however many calls wait, this one is sent at once. */
void client_hurry(struct client_call *call);
/* Stops waiting for the answer (the server may still do it); done() gets ERROR_CANCELED. NULL: no
 * effect. */
void client_cancel(struct client_call *call);

/* Fetches the service content, then logs in; the result is the UserSession. Afterwards calls carry
 * the session's cookie. Wrong password: fault InvalidLogin. */
struct client_call *client_login(struct client *c, const char *user, const char *password,
				 client_done_fn *done, void *arg);
struct client_call *client_logout(struct client *c, client_done_fn *done, void *arg);

/* ServiceContent once client_login() has succeeded (or client_connect()), else NULL. */
const struct value *client_content(const struct client *c);
/* Only the service content, no login: what AddHost asks first. The result is the ServiceContent. */
struct client_call *client_connect(struct client *c, client_done_fn *done, void *arg);

/* Puts the path and query for a file on a datastore into `out`:
 * "/folder/dir/file?dcPath=…&dsName=…". */
void client_folder_path(struct buf *out, const char *datacenter, const char *datastore,
			const char *file);

/* Sends a file with PUT, or fetches one with GET, with the session's cookie. The fd is a regular
 * file's and stays the caller's. error: as in peer.h, or by the status: ERROR_NOT_FOUND,
 * ERROR_PERMISSION, ERROR_IO. */
struct client_file {
	const char *path; /* encoded, with query */
	int fd;
	uint64_t length; /* client_put(): bytes to send from the fd's position */
	bool (*progress)(void *arg, uint64_t done, uint64_t total); /* or NULL; false: cancel */
	void (*done)(void *arg, const struct error *error);	    /* NULL: success */
	void *arg;
};
struct client_call *client_put(struct client *c, const struct client_file *file);
struct client_call *client_get(struct client *c, const struct client_file *file);

#endif

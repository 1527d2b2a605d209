/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy endpoint of a fake host (fake_host.h), for tests of the manager: it takes what it is
 * given and answers at once, refuses, or keeps the manager waiting. Event-loop thread only.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "center/fake_host.h"

struct fake_policy {
	struct fake_host *host;
	const char *endpoint;	  /* of its tunnels; NULL: none */
	unsigned functions;	  /* that it lends */
	int status;		  /* what PUT is answered; 0: 200 */
	bool is_holding;	  /* answers come with fake_policy_release() */
	struct json_object *last; /* what it took; NULL: nothing */
	uint64_t generation;
	char manager[64];
	unsigned n_puts, n_gets;
	struct http_request *held;
	struct buf body;
	const char *rules; /* of GET; NULL: "[]" */
};

/* Serves beside the host's API; again after fake_host_serve(). */
void fake_policy_serve(struct fake_policy *p, struct fake_host *h);
void fake_policy_release(struct fake_policy *p);
void fake_policy_fini(struct fake_policy *p);

/* A VM with an instance UUID and one network card, key 4000, on the overlay network (NULL: on a
 * standard one). */
struct object *fake_policy_add_vm(struct fake_host *h, const char *name, const char *uuid,
				  const char *mac, const char *network);
/* What the guest's card was seen to have; NULL: nothing. */
void fake_policy_set_address(struct fake_host *h, struct object *vm, const char *address);

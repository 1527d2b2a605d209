/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for service.c and session.c in unit tests: handlers run at once, sessions are made at
 * will and may read everything but what fake_hide() hides from them. With a small inventory:
 *
 *   group-d1 "Datacenters"
 *     datacenter-1 "DC0"
 *       group-v1 "vm": vm-1 "edge-1" on host-1, vm-2 "web-1" on host-2
 *       group-h1 "host": domain-c1 "C0": host-1 "H0", host-2 "H1"
 *       datastore-1 "local"
 */
#ifndef VIM_SERVICE_FAKE_H
#define VIM_SERVICE_FAKE_H

#include "vim/service.h"
#include "vim/session.h"

struct fake {
	struct clock *clock;
	struct inventory *inventory;
	struct service *service;
	struct object *root, *dc, *vm_folder, *host_folder, *cluster, *host[2], *vm[2], *datastore;
	struct arena *arena;	    /* for arguments; emptied by each fake_call() */
	const struct value *result; /* of the last fake_call(), kept; NULL: none */
	const struct value *fault;  /* NULL: it went well */
	char text[512];
};

void fake_setup(struct fake *f);
void fake_teardown(struct fake *f);

struct session *fake_session_new(struct fake *f, const char *user);
void fake_session_end(struct session *s);
/* From now on the session may neither read the object nor do anything to it. */
void fake_hide(struct session *s, struct object *o);

/* Runs a method. args: a draft in f->arena, or NULL. True when no fault came. */
bool fake_call(struct fake *f, struct session *s, struct object *self, uint16_t method,
	       const struct value *args);
/* The object that the last result refers to. */
struct object *fake_result_object(struct fake *f);

#endif

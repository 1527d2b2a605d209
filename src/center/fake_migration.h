/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The migrations endpoint of a fake host (fake_host.h), for tests of the manager: one migration at
 * a time, which goes on as the test says. Event-loop thread only.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "center/fake_host.h"

struct fake_migration {
	struct fake_host *host;
	char id[64];	   /* "": none */
	const char *state; /* "prepared" …; NULL: none */
	unsigned version, percent;
	const char *error;	  /* JSON, of a failure; NULL: none */
	const char *refusal;	  /* JSON; PUT is refused with it; NULL: it is not */
	const char *on_delete;	  /* state after DELETE; NULL: "cancelled" unless it has ended */
	bool is_mute;		  /* requests stay without an answer until fake_migration_speak() */
	struct json_object *last; /* body of the last PUT or POST */
	unsigned n_puts, n_starts, n_deletes, n_mute; /* the last: that were left without answer */
	struct http_request *waiting; /* a GET that waits for news, or what is_mute holds */
	struct buf body;
};

void fake_migration_serve(struct fake_migration *f, struct fake_host *h);
/* Another state; whoever waits hears of it. NULL: it has forgotten the migration. */
void fake_migration_set(struct fake_migration *f, const char *state, unsigned percent);
void fake_migration_speak(struct fake_migration *f);
void fake_migration_fini(struct fake_migration *f);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch as a whole: its workers, its open ports, and the plane document that it runs. Applying
 * a document, or changes to it, is all or nothing: it is read, compiled, its ports are opened and
 * it is kept in the state folder before the workers are given it; on an error nothing has changed.
 * It runs again after a restart, with nobody there to ask. Control thread only.
 */
#ifndef SWITCH_SWITCH_H
#define SWITCH_SWITCH_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "base/json.h"

struct switch_options {
	const char *state;	  /* folder of the document */
	const char *flows_folder; /* of the flow tables: on tmpfs or hugetlbfs */
	uint32_t flows;		  /* records a worker, a power of two */
};

struct softswitch;

/* Makes ready, while another process may still be the switch of this state folder: takes memory,
 * maps that one's connections where it has some. Needs DPDK initialised, with one worker lcore or
 * more. ERROR_UNSUPPORTED: the records are of another layout. */
struct softswitch *switch_new(const struct switch_options *options, struct error *e);
void switch_free(struct softswitch *s);

/* Compiles the document that is kept, where that is another than the last time, so that
 * switch_load() has it ready. */
bool switch_prepare(struct softswitch *s, struct error *e);
/* The other one has gone: takes connections over, and runs the document that was kept, if any. */
bool switch_load(struct softswitch *s, struct error *e);
/* Runs `document` (borrowed) under a generation. An error names the object, reason and limit. */
bool switch_apply(struct softswitch *s, uint64_t generation, struct json_object *document,
		  struct error *e);
/* Makes changes ("changes" in the schema's $defs) to the document of generation `base`, which must
 * be the one that runs; what comes out is `generation`, which must be higher. */
bool switch_change(struct softswitch *s, uint64_t base, uint64_t generation,
		   const struct json_at *changes, struct error *e);
/* Ends forwarding, between two bursts; what is left is to end. */
void switch_halt(struct softswitch *s);
uint64_t switch_generation(const struct softswitch *s); /* 0: none yet */

/* What `plane.status`, `plane.hello` and `plane.show` answer; the caller's. `what`: "ports",
 * "flows", "segments", "rules", "macs"; NULL and an error for anything else. */
struct json_object *switch_status(const struct softswitch *s);
struct json_object *switch_capacity(const struct softswitch *s);
struct json_object *switch_show(const struct softswitch *s, const char *what, struct error *e);

/* What would become of a frame that came in at a port: the stages, from the live tables. */
struct json_object *switch_explain(const struct softswitch *s, const char *port,
				   const uint8_t *frame, size_t n, size_t size, struct error *e);

/* What is to be done now and then, whatever happens: lost peers are looked for. */
void switch_tend(struct softswitch *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two machines for tests of their moving from one to the other, each of a driver of its own with
 * folders of its own. The guest is a boot sector that counts, says its count on a serial port and
 * writes it to its disk; so that a guest that runs twice, or goes back, is seen. Functions fail
 * the test. One thread.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <cmocka.h>

#include "base/error.h"
#include "host/driver.h"

#define RIG_PATIENCE_MS 120000
#define RIG_DISK_SIZE	(8 << 20)

struct rig;

/* One side: a driver with its folders. */
struct side {
	struct rig *rig;
	char *folder, *disk, *log, *state;
	struct driver *driver;
	struct machine *machine;
	struct machine_disk disks[1];
	struct machine_nic nics[1];
	struct machine_serial serial;
	struct machine_spec spec;
	char *certificate, *key;
	bool replied, exited;
	enum machine_exit why;
	struct error error, exit_error;
};

struct rig {
	uv_loop_t loop;
	uv_timer_t patience;
	bool timed_out;
	char *folder;
	struct side from, to;
	bool stopped, sent, failed;
	struct error failure;
	uint64_t done, total;
	int stream[2], exports, mirror;
};

struct machine_reply rig_reply(struct side *s);
/* Turns the loop until *flag or that long (0: as long as it may take); *flag. */
bool rig_wait_some(struct rig *r, const bool *flag, uint64_t patience_ms);
void rig_wait(struct rig *r, const bool *flag);
/* Waits for a reply that says success. */
void rig_wait_ok(struct side *s);
/* A key, and a certificate of its own making that bears `name`. */
void rig_make_certificate(const char *name, char **certificate, char **key);
void rig_open_side(struct side *s);
void rig_close_side(struct side *s);
void rig_make_wires(struct rig *r);
void rig_cut_wires(struct rig *r);
int rig_set_up(void **state);
/* The guest does nothing but write. */
int rig_set_up_busy(void **state);
int rig_tear_down(void **state);
size_t rig_said(const struct side *s);
unsigned rig_count_on_disk(const struct side *s);
void rig_expect_runs(struct side *s);
void rig_expect_stands(struct side *s);
void rig_expect_no_traces(const struct side *s);
void rig_start(struct rig *r);
void rig_receive(struct rig *r);
/* `bandwidth`: bytes a second; 0: as fast as it goes. */
void rig_send(struct rig *r, const char *peer_name, uint64_t bandwidth);
void rig_take_stream(struct rig *r);
/* As far as the guest stands, and its disk is over there. */
void rig_bring_to_switch(struct rig *r);
void rig_run_there(struct rig *r);
void rig_stop(struct side *s);
/* The count goes on where it was. */
void rig_expect_continued(const struct rig *r);

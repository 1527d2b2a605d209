/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/standby.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rpc.h"
#include "base/timer.h"
#include "switch/memory_heir.h"
#include "switch/pid_file.h"

LOG_MODULE("standby");

enum {
	FOLLOW_MS = 500,
	TELL_MS = 1000,
};

struct standby {
	struct standby_options o;
	char *pid_path;
	int pid_fd, standby_fd;
	bool has_lock;
};

struct standby *standby_new(const struct standby_options *o)
{
	struct standby *s = mem_zalloc(sizeof(*s));

	s->o = *o;
	s->pid_fd = s->standby_fd = -1;
	return s;
}

void standby_free(struct standby *s)
{
	if (s == NULL) {
		return;
	}
	if (s->pid_fd >= 0) {
		close(s->pid_fd);
	}
	if (s->standby_fd >= 0) {
		close(s->standby_fd);
	}
	free(s->pid_path);
	free(s);
}

void standby_tell(const struct standby *s, const char *state, const char *reason)
{
	struct json_object *params = json_object_new_object(), *result = NULL;
	char *path = mem_printf("%s/keeper.sock", s->o.state);
	struct error e;

	json_put_i64(params, "pid", getpid());
	json_put_str(params, "state", state);
	json_put_str(params, "version", s->o.version);
	if (reason != NULL) {
		json_put_str(params, "reason", reason);
	}
	if (rpc_request(path, "keeper.tell", params, TELL_MS, &result, &e)) {
		json_object_put(result);
	} else {
		log_debug("the keeper was not told \"%s\": %s", state, e.msg);
	}
	free(path);
}

/* ---- the two locks ---- */

static bool open_files(struct standby *s, struct error *e)
{
	char *path = mem_printf("%s/standby.pid", s->o.state);

	s->pid_path = mem_printf("%s/switchd.pid", s->o.state);
	s->pid_fd = pid_file_open(s->pid_path, e);
	s->standby_fd = s->pid_fd < 0 ? -1 : pid_file_open(path, e);
	free(path);
	return s->standby_fd >= 0;
}

static void end_if_told(const struct standby *s)
{
	if (pid_file_read(s->pid_fd) == PID_FILE_ENDED) {
		log_info("the switch was told to end");
		_exit(0);
	}
}

/* Our turn to be the standby. Until then this process is nothing without its keeper. */
static bool take_turn(struct standby *s, struct error *e)
{
	pid_t keeper = getppid();

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper || keeper == 1) {
		_exit(1);
	}
	if (!pid_file_lock(s->standby_fd, -1)) {
		return error_set(e, ERROR_IO, "\"standby.pid\" cannot be locked");
	}
	(void)prctl(PR_SET_PDEATHSIG, 0);
	end_if_told(s);
	return pid_file_write(s->standby_fd, getpid(), e);
}

static void wait_for_lock(uv_work_t *work)
{
	struct standby *s = work->data;

	s->has_lock = pid_file_lock(s->pid_fd, -1);
}

static void on_lock(uv_work_t *work, int status)
{
	(void)status;
	uv_stop(work->loop);
}

static void on_follow(void *arg)
{
	struct standby *s = arg;

	s->o.follow(s->o.arg);
}

static void wait_for_end(struct standby *s)
{
	uv_work_t work = { .data = s };
	struct timer *follow = timer_new(s->o.loop, clock_real(), on_follow, s);

	timer_start(follow, FOLLOW_MS, FOLLOW_MS);
	uv_queue_work(s->o.loop, &work, wait_for_lock, on_lock);
	uv_run(s->o.loop, UV_RUN_DEFAULT);
	timer_free(follow);
}

bool standby_wait(struct standby *s, struct error *e)
{
	memory_heir_begin();
	if (!open_files(s, e) || !take_turn(s, e)) {
		return false;
	}
	if (!s->o.make_ready(s->o.arg, e)) {
		standby_tell(s, "failed", e->msg);
		return false;
	}
	/* Ready before the lock: whoever waits for that may then let go of it. */
	if (pid_file_lock(s->pid_fd, 0)) {
		s->has_lock = true;
	} else {
		log_info("ready to take over");
		standby_tell(s, "ready", NULL);
		wait_for_end(s);
	}
	if (!s->has_lock) {
		return error_set(e, ERROR_IO, "\"%s\" cannot be locked", s->pid_path);
	}
	end_if_told(s);
	if (!pid_file_write(s->pid_fd, getpid(), e)) {
		return false;
	}
	close(s->standby_fd);
	s->standby_fd = -1;
	return true;
}

/* ---- from the active one ---- */

void standby_end(struct standby *s)
{
	struct error e;

	if (s->has_lock) {
		(void)pid_file_write(s->pid_fd, PID_FILE_ENDED, &e);
	}
}

bool standby_is_at_home(const struct standby *s)
{
	struct stat ours, there;

	return fstat(s->pid_fd, &ours) == 0 && stat(s->pid_path, &there) == 0 &&
	       ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

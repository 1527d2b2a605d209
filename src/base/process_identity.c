/* SPDX-License-Identifier: Apache-2.0 */
/* The part of base/process.h that tells processes apart. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/number.h"
#include "base/process.h"
#include "base/uuid.h"

#define STAT_MAX	 4096
#define STAT_START_FIELD 22 /* proc(5) */

static bool read_boot_id(char out[37], struct error *e)
{
	struct buf text = BUF_INIT;
	bool ok = file_read("/proc/sys/kernel/random/boot_id", 64, &text, e);
	struct uuid id;
	if (ok) {
		text.data[strcspn(text.data, "\n")] = '\0';
		ok = uuid_parse(text.data, &id) ||
		     error_set(e, ERROR_CORRUPT, "boot id \"%s\": not a UUID", text.data);
	}
	if (ok) {
		uuid_format(&id, out);
	}
	buf_free(&text);
	return ok;
}

/* State and start time from the text of /proc/PID/stat. The second field, in brackets, is the
 * program's name and may hold anything, brackets too. */
static bool parse_stat(const char *text, char *state, uint64_t *start)
{
	const char *at = strrchr(text, ')');
	if (!at || at[1] != ' ' || !at[2]) {
		return false;
	}
	at += 2; /* the third field */
	*state = *at;
	for (int field = 3; field < STAT_START_FIELD; field++) {
		at = strchr(at, ' ');
		if (!at) {
			return false;
		}
		at++;
	}
	return number_u64_n(at, strcspn(at, " \n"), start);
}

bool process_identity_of(pid_t pid, struct process_identity *out, struct error *e)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	struct buf text = BUF_INIT;
	struct process_identity who = { .pid = pid };
	char state = 0;
	bool ok = file_read(path, STAT_MAX, &text, e) && read_boot_id(who.boot_id, e);
	if (!ok && e && e->sys) {
		/* ESRCH while reading: it went away meanwhile */
		error_set(e, error_kind_from_errno(e->sys), "process %d: does not run", (int)pid);
	}
	if (ok && !parse_stat(text.data, &state, &who.start_ticks)) {
		ok = error_set(e, ERROR_CORRUPT, "file \"%s\": not understood", path);
	}
	if (ok && (state == 'Z' || state == 'X')) {
		ok = error_set(e, ERROR_NOT_FOUND, "process %d: has exited", (int)pid);
	}
	if (ok) {
		*out = who;
	}
	buf_free(&text);
	return ok;
}

void process_identity_format(const struct process_identity *who,
			     char out[PROCESS_IDENTITY_TEXT_SIZE])
{
	snprintf(out, PROCESS_IDENTITY_TEXT_SIZE, "%d:%ju:%s", (int)who->pid,
		 (uintmax_t)who->start_ticks, who->boot_id);
}

bool process_identity_parse(const char *s, struct process_identity *out)
{
	size_t n_pid = strcspn(s, ":");
	const char *ticks = s + n_pid + (s[n_pid] == ':');
	size_t n_ticks = strcspn(ticks, ":");
	const char *boot = ticks + n_ticks + (ticks[n_ticks] == ':');
	int64_t pid;
	struct process_identity who = { 0 };
	struct uuid id;
	if (!number_i64_n(s, n_pid, &pid) || pid < 1 || pid > INT32_MAX ||
	    !number_u64_n(ticks, n_ticks, &who.start_ticks) || !uuid_parse(boot, &id)) {
		return false;
	}
	who.pid = (pid_t)pid;
	uuid_format(&id, who.boot_id);
	*out = who;
	return true;
}

bool process_identity_is_running(const struct process_identity *who)
{
	struct process_identity now;
	return process_identity_of(who->pid, &now, NULL) && now.start_ticks == who->start_ticks &&
	       strcmp(now.boot_id, who->boot_id) == 0;
}

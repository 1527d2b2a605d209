/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate_announce.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timer.h"

LOG_MODULE("simulate");

enum {
	READER_POLL_MS = 20, /* a fifo does not tell when somebody opens its other end */
};

struct announce {
	char *path;
	struct buf line;
	struct timer *timer; /* NULL: it is written */
};

/* What may not stand in the user part of a URL as it is (RFC 3986 §3.2.1), and quotes, which shells
 * read. */
static void add_escaped(struct buf *b, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL;
		if (plain) {
			buf_addc(b, (char)*p);
		} else {
			buf_addf(b, "%%%02X", *p);
		}
	}
}

static void line_make(struct buf *b, const struct announce_config *c)
{
	bool v6 = strchr(c->address, ':') != NULL;

	buf_addf(b, "export GOVC_URL=%s://", c->scheme);
	add_escaped(b, c->username);
	buf_addc(b, ':');
	add_escaped(b, c->password);
	buf_addf(b, v6 ? "@[%s]:%u/sdk" : "@%s:%u/sdk", c->address, c->port);
	buf_addf(b, " GOVC_SIM_PID=%d\n", (int)getpid());
}

static bool write_to(const struct announce *a, int fd, struct error *e)
{
	bool ok = file_write_all(fd, a->line.data, a->line.len, a->path, e);

	close(fd);
	return ok;
}

static void fifo_look(void *arg)
{
	struct announce *a = arg;
	struct error e;
	int fd = open(a->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == ENXIO) {
		return;
	}
	timer_stop(a->timer);
	if (fd < 0) {
		log_warn("\"%s\": %s", a->path, strerror(errno));
	} else if (!write_to(a, fd, &e)) {
		log_warn("%s", e.msg);
	}
}

static bool begin(struct announce *a, uv_loop_t *loop, struct error *e)
{
	struct stat st;

	if (strcmp(a->path, "-") == 0) {
		fputs(a->line.data, stdout);
		return fflush(stdout) == 0 || error_set_sys(e, errno, "standard output");
	}
	if (stat(a->path, &st) == 0 && S_ISFIFO(st.st_mode)) {
		a->timer = timer_new(loop, clock_real(), fifo_look, a);
		timer_start(a->timer, 0, READER_POLL_MS);
		return true;
	}
	int fd = open(a->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		return error_set_sys(e, errno, "\"%s\"", a->path);
	}
	return write_to(a, fd, e);
}

struct announce *announce_new(const struct announce_config *c, struct error *e)
{
	struct announce *a = mem_zalloc(sizeof(*a));

	a->path = mem_strdup(c->path);
	line_make(&a->line, c);
	if (!begin(a, c->loop, e)) {
		announce_free(a);
		return NULL;
	}
	return a;
}

void announce_free(struct announce *a)
{
	if (a == NULL) {
		return;
	}
	timer_free(a->timer);
	buf_free(&a->line);
	free(a->path);
	free(a);
}

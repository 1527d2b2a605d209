/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a host's switch, among the host's own. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "host/host_plane.h"

struct figures {
	void (*done)(void *ctx, const char *text);
	void *ctx;
};

/* Lines of the switch's own families: those that each daemon has are this one's, too. */
static void add_own(struct buf *out, const char *text)
{
	static const char *const begins[] = { "remora_switch_", "# HELP remora_switch_",
					      "# TYPE remora_switch_" };

	while (*text != '\0') {
		size_t n = strcspn(text, "\n");
		for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
			if (strncmp(text, begins[i], strlen(begins[i])) == 0) {
				buf_add(out, text, n);
				buf_addc(out, '\n');
			}
		}
		text += n + (text[n] == '\n');
	}
}

static void on_figures(void *arg, const struct rpc_reply *reply)
{
	struct figures *f = arg;
	struct buf own = BUF_INIT;
	const char *text = "";

	if (reply->error == NULL && json_as_str(&reply->result, &text, NULL)) {
		add_own(&own, text);
	}
	f->done(f->ctx, own.data == NULL ? "" : own.data);
	buf_free(&own);
	free(f);
}

void host_plane_metrics(void *host, void (*done)(void *ctx, const char *text), void *ctx)
{
	struct figures *f = mem_zalloc(sizeof(*f));

	f->done = done;
	f->ctx = ctx;
	host_plane_call(host, "metrics", NULL, on_figures, f);
}

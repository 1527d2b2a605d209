/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/remote_console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "vim/peer.h"

enum {
	TYPED_MAX = 4096, /* of one request, CONSOLE_TYPED_MAX of the server */
	REFUSAL_MAX = 512,
	TYPING_MS = 30000,
	LAST_MS = 1000 /* after the end of input, for what the guest still says */
};

static const int64_t LONG_MS = INT64_C(7) * 24 * 3600 * 1000; /* a console may say nothing */

struct talk {
	struct remote *r;
	char *path;
	struct peer_request *shown;
	uv_poll_t input;
	uv_timer_t last;
	bool has_input, is_typing, is_last, is_over, is_good;
	unsigned n_handles;
	int status;
	struct buf refusal;
	struct error e;
};

static enum error_kind kind_of(int status)
{
	return status == 404			? ERROR_NOT_FOUND
	       : status == 401 || status == 403 ? ERROR_PERMISSION
	       : status == 409			? ERROR_STATE
	       : status == 503			? ERROR_BUSY
						: ERROR_INVALID;
}

static void refused(struct talk *t, int status, const char *text, size_t len)
{
	while (len > 0 && text[len - 1] == '\n') {
		len--;
	}
	if (len == 0) {
		error_set(&t->e, kind_of(status), "%s was answered with status %d", t->path,
			  status);
	} else {
		error_set(&t->e, kind_of(status), "%.*s", (int)len, text);
	}
}

static void end(struct talk *t, bool is_good)
{
	if (!t->is_over) {
		t->is_over = true;
		t->is_good = is_good;
	}
}

/* ---- what is shown ---- */

static void on_head(void *arg, int status)
{
	((struct talk *)arg)->status = status;
}

static bool on_bytes(void *arg, const char *data, size_t n)
{
	struct talk *t = arg;

	if (t->status != 200) {
		size_t room = REFUSAL_MAX - MIN(t->refusal.len, (size_t)REFUSAL_MAX);
		buf_add(&t->refusal, data, MIN(n, room));
	} else if (!t->is_over && !file_write_all(STDOUT_FILENO, data, n, "console", &t->e)) {
		end(t, false);
	}
	return true;
}

static void on_shown(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct talk *t = arg;

	t->shown = NULL;
	if (t->is_over) {
		return;
	}
	if (answer == NULL) {
		t->e = *e;
	} else if (answer->status != 200) {
		refused(t, answer->status, t->refusal.data, t->refusal.len);
	}
	end(t, answer != NULL && answer->status == 200);
}

/* ---- what is typed ---- */

static void input_on(struct talk *t);

static void on_last(uv_timer_t *timer)
{
	end(timer->data, true);
}

static void input_ended(struct talk *t)
{
	t->is_last = true;
	if (!t->is_typing) {
		uv_timer_start(&t->last, on_last, LAST_MS, 0);
	}
}

static void on_typed(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct talk *t = arg;

	t->is_typing = false;
	if (t->is_over) {
		return;
	}
	if (answer != NULL && answer->status == 204) {
		if (t->is_last) {
			input_ended(t);
		} else {
			input_on(t);
		}
		return;
	}
	if (answer == NULL) {
		t->e = *e;
	} else {
		refused(t, answer->status, answer->body, answer->len);
	}
	end(t, false);
}

static void type(struct talk *t, const char *bytes, size_t n)
{
	struct buf body = BUF_INIT;

	buf_add(&body, bytes, n);
	t->is_typing = true;
	if (t->has_input) {
		uv_poll_stop(&t->input);
	}
	peer_send(remote_peer(t->r),
		  &(struct peer_order){ .method = "POST",
					.path = t->path,
					.content_type = "application/octet-stream",
					.body = &body,
					.timeout_ms = TYPING_MS,
					.done = on_typed,
					.arg = t });
	buf_free(&body);
}

static void on_input(uv_poll_t *poll, int status, int events)
{
	struct talk *t = poll->data;
	char bytes[TYPED_MAX];

	(void)status;
	(void)events;
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		return;
	}
	if (n <= 0) {
		uv_poll_stop(poll);
		input_ended(t);
	} else if (memchr(bytes, CONSOLE_ESCAPE, (size_t)n) != NULL) {
		end(t, true);
	} else {
		type(t, bytes, (size_t)n);
	}
}

static void input_on(struct talk *t)
{
	if (t->has_input) {
		uv_poll_start(&t->input, UV_READABLE, on_input);
	}
}

/* ---- from beginning to end ---- */

static void on_closed(uv_handle_t *handle)
{
	((struct talk *)handle->data)->n_handles--;
}

static void talk_begin(struct talk *t)
{
	uv_loop_t *loop = remote_loop(t->r);

	uv_timer_init(loop, &t->last);
	t->last.data = t->input.data = t;
	t->n_handles = 1;
	t->has_input = uv_poll_init(loop, &t->input, STDIN_FILENO) == 0;
	t->n_handles += t->has_input;
	const struct peer_stream stream = { .head = on_head, .write = on_bytes, .arg = t };
	t->shown = peer_send(remote_peer(t->r), &(struct peer_order){ .method = "GET",
								      .path = t->path,
								      .stream = &stream,
								      .timeout_ms = LONG_MS,
								      .done = on_shown,
								      .arg = t });
	if (t->has_input) {
		input_on(t);
	} else {
		input_ended(t); /* a file: nobody types */
	}
}

static void talk_end(struct talk *t)
{
	uv_loop_t *loop = remote_loop(t->r);

	peer_cancel(t->shown);
	while (t->is_typing && uv_run(loop, UV_RUN_ONCE) != 0) {
	}
	uv_close((uv_handle_t *)&t->last, on_closed);
	if (t->has_input) {
		uv_close((uv_handle_t *)&t->input, on_closed);
	}
	while (t->n_handles > 0 && uv_run(loop, UV_RUN_ONCE) >= 0) {
	}
}

bool remote_console(struct remote *r, const char *vm, struct error *e)
{
	struct talk t = { .r = r, .refusal = BUF_INIT };

	t.path = mem_printf("/remora/v1/consoles/%s", vm);
	talk_begin(&t);
	while (!t.is_over && uv_run(remote_loop(r), UV_RUN_ONCE) != 0) {
	}
	talk_end(&t);
	buf_free(&t.refusal);
	free(t.path);
	if (!t.is_good) {
		*e = t.e;
	}
	return t.is_good;
}

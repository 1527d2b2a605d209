/* SPDX-License-Identifier: Apache-2.0 */
/* card.json of host/node.h: what a card says about itself in the link folder. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/uuid.h"
#include "host/datastore_files.h"
#include "host/node.h"
#include "host/text.h"

#define RECHECK_MS 5000

static const char file_name[] = "card.json";
static const char *const kind_names[] = { [CARD_NET] = "net", [CARD_BLOCK] = "blk" };

/* ---- checks ---- */

static bool is_plain_text(const char *s)
{
	size_t len = strlen(s);
	return len > 0 && text_is_utf8(s, len) && !text_has_control(s, len);
}

/* "net-0": the kind and a number below 10000 without leading zeros. */
static bool is_function_name(const struct card_function *f)
{
	const char *kind = kind_names[f->kind];
	size_t len = strlen(kind);
	uint32_t number;
	const char *digits = f->name + len + 1;
	return strncmp(f->name, kind, len) == 0 && f->name[len] == '-' &&
	       isdigit((unsigned char)digits[0]) && (digits[0] != '0' || digits[1] == '\0') &&
	       number_u32(digits, &number) && number < 10000;
}

/* Lower case, unicast, not all zero. */
static bool is_station_mac(const char *s)
{
	bool zero = true;
	for (size_t i = 0; i < 17; i++) {
		bool ok = i % 3 == 2
				  ? s[i] == ':'
				  : isxdigit((unsigned char)s[i]) && !isupper((unsigned char)s[i]);
		if (!ok) {
			return false;
		}
		zero = zero && (s[i] == ':' || s[i] == '0');
	}
	return s[17] == '\0' && !zero && strchr("02468ace", s[1]) != NULL;
}

/* "INSTANCEUUID.KEY" */
static bool is_card_name(const char *s)
{
	struct uuid u;
	char uuid[37];
	uint32_t key;

	snprintf(uuid, sizeof(uuid), "%s", s);
	return strlen(s) > 37 && s[36] == '.' && uuid_parse(uuid, &u) && number_u32(s + 37, &key);
}

static bool check_addresses(const struct card_function *f)
{
	struct in6_addr a;
	bool good = f->n_addresses <= CARD_ADDRESSES_MAX;

	for (size_t i = 0; good && i < f->n_addresses; i++) {
		good = inet_pton(AF_INET, f->addresses[i], &a) == 1 ||
		       inet_pton(AF_INET6, f->addresses[i], &a) == 1;
	}
	return good;
}

static bool check_loan(const struct card *c, size_t i, struct error *e)
{
	const struct card_function *f = &c->functions[i];

	if (f->kind == CARD_BLOCK) {
		return true;
	}
	if (!is_station_mac(f->mac)) {
		return error_set(e, ERROR_CORRUPT, "function \"%s\": \"%.17s\" is no MAC address",
				 f->name, f->mac);
	}
	if (f->card[0] != '\0' && !is_card_name(f->card)) {
		return error_set(e, ERROR_CORRUPT,
				 "function \"%s\": \"%.47s\" names no VM's network card", f->name,
				 f->card);
	}
	for (size_t k = 0; k < i && f->card[0] != '\0'; k++) {
		if (strcmp(c->functions[k].card, f->card) == 0) {
			return error_set(e, ERROR_CORRUPT,
					 "function \"%s\": card \"%s\" has another one", f->name,
					 f->card);
		}
	}
	return check_addresses(f) ||
	       error_set(e, ERROR_CORRUPT, "function \"%s\": not all are addresses", f->name);
}

static bool check_function(const struct card *c, size_t i, struct error *e)
{
	const struct card_function *f = &c->functions[i];
	if (!is_function_name(f)) {
		return error_set(e, ERROR_CORRUPT, "function \"%.15s\": the name is not %s-NUMBER",
				 f->name, kind_names[f->kind]);
	}
	for (size_t k = 0; k < i; k++) {
		if (strcmp(c->functions[k].name, f->name) == 0) {
			return error_set(e, ERROR_CORRUPT, "function \"%s\" is there twice",
					 f->name);
		}
	}
	if (f->kind == CARD_BLOCK && !is_plain_text(f->volume)) {
		return error_set(e, ERROR_CORRUPT, "function \"%s\": the volume's name is missing",
				 f->name);
	}
	return check_loan(c, i, e);
}

static bool check_card(const struct card *c, struct error *e)
{
	struct uuid u;
	if (!is_plain_text(c->dpu_id)) {
		return error_set(e, ERROR_CORRUPT, "\"dpu_id\" is empty or not plain text");
	}
	if (!is_plain_text(c->model)) {
		return error_set(e, ERROR_CORRUPT, "\"model\" is empty or not plain text");
	}
	if (!uuid_parse(c->uuid, &u)) {
		return error_set(e, ERROR_CORRUPT, "\"uuid\": \"%s\" is not a uuid", c->uuid);
	}
	if (c->n_functions > CARD_FUNCTIONS_MAX) {
		return error_set(e, ERROR_LIMIT, "%zu functions, the limit is %d", c->n_functions,
				 CARD_FUNCTIONS_MAX);
	}
	for (size_t i = 0; i < c->n_functions; i++) {
		if (!check_function(c, i, e)) {
			return false;
		}
	}
	return true;
}

/* ---- writing ---- */

static void put_loan(struct json_object *o, const struct card_function *f)
{
	if (f->card[0] == '\0') {
		return;
	}
	json_put_str(o, "card", f->card);
	json_put_bool(o, "up", f->is_up);
	if (f->n_addresses > 0) {
		struct json_object *list = json_object_new_array();
		for (size_t i = 0; i < f->n_addresses; i++) {
			json_object_array_add(list, json_object_new_string(f->addresses[i]));
		}
		json_put(o, "addresses", list);
	}
}

static struct json_object *function_json(const struct card_function *f)
{
	struct json_object *o = json_object_new_object();
	json_put_str(o, "name", f->name);
	json_put_str(o, "kind", kind_names[f->kind]);
	if (f->kind == CARD_NET) {
		json_put_str(o, "mac", f->mac);
		put_loan(o, f);
	} else {
		json_put_str(o, "volume", f->volume);
	}
	return o;
}

bool card_write(const char *link, const struct card *c, struct error *e)
{
	if (!check_card(c, e)) {
		return false;
	}
	struct json_object *doc = json_object_new_object();
	struct json_object *functions = json_object_new_array();
	json_put_str(doc, "dpu_id", c->dpu_id);
	json_put_str(doc, "uuid", c->uuid);
	json_put_str(doc, "model", c->model);
	for (size_t i = 0; i < c->n_functions; i++) {
		json_object_array_add(functions, function_json(&c->functions[i]));
	}
	json_put(doc, "functions", functions);
	struct buf b = BUF_INIT;
	json_add_text(&b, doc);
	buf_addc(&b, '\n');
	json_object_put(doc);
	char *path = mem_printf("%s/%s", link, file_name);
	bool ok = file_write_atomic(path, b.data, b.len, 0644, e);
	free(path);
	buf_free(&b);
	return ok;
}

/* ---- reading ---- */

static bool take_text(const struct json_at *at, const char *key, char *out, size_t size,
		      struct error *e)
{
	const char *text;
	if (!json_get_str(at, key, &text, e)) {
		return false;
	}
	if (strlen(text) >= size) {
		return error_set(e, ERROR_LIMIT, "\"%s\" has more than %zu bytes", key, size - 1);
	}
	snprintf(out, size, "%s", text);
	return true;
}

static bool take_addresses(const struct json_at *at, struct card_function *f, struct error *e)
{
	struct json_at list;

	if (!json_get_array(at, "addresses", &list, e)) {
		return false;
	}
	if (json_array_n(&list) > CARD_ADDRESSES_MAX) {
		return json_error(&list, e, "has more than %d items", CARD_ADDRESSES_MAX);
	}
	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		const char *text;
		if (!json_as_str(&item, &text, e)) {
			return false;
		}
		if (strlen(text) >= sizeof(f->addresses[0])) {
			return json_error(&item, e, "is no address");
		}
		snprintf(f->addresses[f->n_addresses++], sizeof(f->addresses[0]), "%s", text);
	}
	return true;
}

static bool take_loan(const struct json_at *at, struct card_function *f, struct error *e)
{
	return (!json_has(at, "card") || take_text(at, "card", f->card, sizeof(f->card), e)) &&
	       (!json_has(at, "up") || json_get_bool(at, "up", &f->is_up, e)) &&
	       (!json_has(at, "addresses") || take_addresses(at, f, e));
}

static bool take_function(const struct json_at *at, struct card_function *f, struct error *e)
{
	static const char *const net[] = { "name", "kind", "mac", "card", "up", "addresses" };
	static const char *const blk[] = { "name", "kind", "volume" };
	char kind[8];
	if (!json_as_object(at, e) || !take_text(at, "kind", kind, sizeof(kind), e) ||
	    !take_text(at, "name", f->name, sizeof(f->name), e)) {
		return false;
	}
	if (strcmp(kind, kind_names[CARD_NET]) == 0) {
		f->kind = CARD_NET;
		return json_check_members(at, net, ARRAY_LEN(net), e) &&
		       take_text(at, "mac", f->mac, sizeof(f->mac), e) && take_loan(at, f, e);
	}
	if (strcmp(kind, kind_names[CARD_BLOCK]) == 0) {
		f->kind = CARD_BLOCK;
		return json_check_members(at, blk, ARRAY_LEN(blk), e) &&
		       take_text(at, "volume", f->volume, sizeof(f->volume), e);
	}
	return json_error(at, e, "the kind \"%s\" is neither net nor blk", kind);
}

static bool take_functions(const struct json_at *at, struct card *c, struct error *e)
{
	struct json_at list;
	if (!json_get_array(at, "functions", &list, e)) {
		return false;
	}
	size_t n = json_array_n(&list);
	if (n > CARD_FUNCTIONS_MAX) {
		return error_set(e, ERROR_LIMIT, "%zu functions, the limit is %d", n,
				 CARD_FUNCTIONS_MAX);
	}
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);
		if (!take_function(&item, &c->functions[i], e)) {
			return false;
		}
	}
	c->n_functions = n;
	return true;
}

static bool parse_card(const struct buf *b, struct card *out, struct error *e)
{
	static const char *const members[] = { "dpu_id", "uuid", "model", "functions" };
	struct json_object *doc = json_parse(b->data, b->len, CARD_FILE_MAX, 8, e);
	if (doc == NULL) {
		return false;
	}
	struct json_at at = json_root(doc);
	struct card *c = mem_zalloc(sizeof(*c));
	bool ok = json_as_object(&at, e) &&
		  json_check_members(&at, members, ARRAY_LEN(members), e) &&
		  take_text(&at, "dpu_id", c->dpu_id, sizeof(c->dpu_id), e) &&
		  take_text(&at, "uuid", c->uuid, sizeof(c->uuid), e) &&
		  take_text(&at, "model", c->model, sizeof(c->model), e) &&
		  take_functions(&at, c, e) && check_card(c, e);
	if (ok) {
		*out = *c;
	}
	free(c);
	json_object_put(doc);
	return ok;
}

static bool read_text(const char *link, struct buf *out, struct error *e)
{
	int dir = open(link, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		return error_set_sys(e, errno, "link folder \"%.120s\"", link);
	}
	bool ok = place_read(dir, file_name, CARD_FILE_MAX, out, e) ||
		  error_prefix(e, "link folder \"%.100s\": ", link);
	close(dir);
	return ok;
}

bool card_read(const char *link, struct card *out, struct error *e)
{
	struct buf b = BUF_INIT;
	bool ok = read_text(link, &b, e) &&
		  (parse_card(&b, out, e) || error_prefix(e, "\"%.100s/%s\": ", link, file_name));
	buf_free(&b);
	return ok;
}

/* ---- watching ---- */

/* Owner: who made it, until card_watch_free(); then itself, until both handles are closed. */
struct card_watch {
	struct card_watch_config config;
	char *link;
	uv_timer_t timer;    /* the periodic look, and the first one */
	uv_fs_event_t event; /* on the folder: the file is replaced by renames */
	bool is_watching;    /* the event handle is started */
	bool has_looked, had_card, is_freed;
	struct buf last; /* the file's text, or the error's message, at the last look */
	unsigned n_open; /* handles that are not closed yet */
};

/* Tells of what is there now, when it is not what was there before. */
static void look(struct card_watch *w)
{
	struct buf text = BUF_INIT;
	struct error why = { 0 };
	bool ok = read_text(w->link, &text, &why);
	if (!ok) {
		buf_clear(&text);
		buf_adds(&text, why.msg);
	}
	bool same = w->has_looked && ok == w->had_card && text.len == w->last.len &&
		    memcmp(text.data, w->last.data, text.len) == 0;
	buf_free(&w->last);
	w->last = text;
	w->has_looked = true;
	w->had_card = ok;
	if (same) {
		return;
	}
	struct card *c = mem_zalloc(sizeof(*c));
	ok = ok && (parse_card(&w->last, c, &why) ||
		    error_prefix(&why, "\"%.100s/%s\": ", w->link, file_name));
	w->config.changed(w->config.arg, ok ? c : NULL, ok ? NULL : &why);
	free(c);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status);

static void start_watching(struct card_watch *w)
{
	if (!w->is_watching && !w->is_freed) {
		w->is_watching = uv_fs_event_start(&w->event, on_event, w->link, 0) == 0;
	}
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct card_watch *w = CONTAINER_OF(event, struct card_watch, event);
	(void)events;
	if (status != 0) {
		uv_fs_event_stop(event);
		w->is_watching = false;
	}
	if (!w->is_freed && (name == NULL || strcmp(name, file_name) == 0)) {
		look(w);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct card_watch *w = CONTAINER_OF(timer, struct card_watch, timer);
	/* Anew each time: the folder may be another one under the same name. */
	if (w->is_watching) {
		uv_fs_event_stop(&w->event);
		w->is_watching = false;
	}
	start_watching(w);
	look(w);
}

struct card_watch *card_watch_new(const struct card_watch_config *c)
{
	struct card_watch *w = mem_zalloc(sizeof(*w));
	uint64_t period = c->recheck_ms > 0 ? c->recheck_ms : RECHECK_MS;
	w->config = *c;
	w->link = mem_strdup(c->link);
	w->n_open = 2;
	uv_timer_init(c->loop, &w->timer);
	uv_fs_event_init(c->loop, &w->event);
	uv_timer_start(&w->timer, on_timer, 0, period);
	return w;
}

static void on_closed(uv_handle_t *handle)
{
	struct card_watch *w = handle->data;
	if (--w->n_open == 0) {
		buf_free(&w->last);
		free(w->link);
		free(w);
	}
}

void card_watch_free(struct card_watch *w)
{
	if (w == NULL || w->is_freed) {
		return;
	}
	w->is_freed = true;
	w->timer.data = w;
	w->event.data = w;
	uv_close((uv_handle_t *)&w->timer, on_closed);
	uv_close((uv_handle_t *)&w->event, on_closed);
}

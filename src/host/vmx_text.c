/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/macro.h"
#include "base/mem.h"
#include "host/text.h"
#include "host/vmx_lines.h"

/* Encodings that ESXi and its desktop cousins write; anything else is refused by name. */
static const char *const encodings[] = {
	"windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254",
	"windows-1255", "windows-1256", "windows-1257", "windows-1258", "ISO-8859-1",
	"ISO-8859-15",	"US-ASCII",	"Shift_JIS",	"EUC-JP",	"EUC-KR",
	"GBK",		"GB18030",	"Big5",
};

/* A piece of a line, not terminated. */
struct span {
	const char *s;
	size_t len;
};

struct line {
	struct span key, value; /* value: between the quotes, still with |XX */
	bool is_entry;		/* else a comment or blank */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(const char *s, size_t len)
{
	while (len > 0 && is_blank(s[0])) {
		s++;
		len--;
	}
	while (len > 0 && (is_blank(s[len - 1]) || s[len - 1] == '\r')) {
		len--;
	}
	return (struct span){ s, len };
}

static bool split_value(struct span rest, size_t line_no, struct span *value, struct error *e)
{
	if (rest.len == 0 || rest.s[0] != '"') {
		if (memchr(rest.s, '"', rest.len) != NULL) {
			return error_set(e, ERROR_CORRUPT, "line %zu: a quote inside the value",
					 line_no);
		}
		*value = rest;
		return true;
	}
	const char *end = memchr(rest.s + 1, '"', rest.len - 1);
	if (end == NULL) {
		return error_set(e, ERROR_CORRUPT, "line %zu: the closing quote is missing",
				 line_no);
	}
	*value = (struct span){ rest.s + 1, (size_t)(end - rest.s - 1) };
	struct span tail = trim(end + 1, rest.len - value->len - 2);
	if (tail.len > 0 && tail.s[0] != '#') {
		return error_set(e, ERROR_CORRUPT, "line %zu: text after the closing quote",
				 line_no);
	}
	return true;
}

static bool split_line(struct span text, size_t line_no, struct line *out, struct error *e)
{
	struct span s = trim(text.s, text.len);
	*out = (struct line){ .is_entry = s.len > 0 && s.s[0] != '#' };
	if (!out->is_entry) {
		return true;
	}
	const char *eq = memchr(s.s, '=', s.len);
	if (eq == NULL) {
		return error_set(e, ERROR_CORRUPT, "line %zu: no '=' in it", line_no);
	}
	out->key = trim(s.s, (size_t)(eq - s.s));
	if (!vmx_check_key(out->key.s, out->key.len, e)) {
		return error_prefix(e, "line %zu: ", line_no);
	}
	struct span rest = trim(eq + 1, s.len - (size_t)(eq - s.s) - 1);
	return split_value(rest, line_no, &out->value, e);
}

/* The next line of *text, without its '\n'; false at the end. */
static bool next_line(struct span *text, struct span *line)
{
	if (text->len == 0) {
		return false;
	}
	const char *nl = memchr(text->s, '\n', text->len);
	size_t len = nl != NULL ? (size_t)(nl - text->s) : text->len;
	*line = (struct span){ text->s, len };
	size_t eaten = nl != NULL ? len + 1 : len;
	text->s += eaten;
	text->len -= eaten;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	char lower = (char)(c | 0x20);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* |XX to bytes; a '|' that is not followed by two digits stands for itself. */
static char *decode(struct span raw, size_t *len)
{
	char *out = mem_alloc(raw.len + 1);
	size_t n = 0;
	for (size_t i = 0; i < raw.len; i++) {
		int high = raw.s[i] == '|' && i + 2 < raw.len ? hex_digit(raw.s[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(raw.s[i + 2]) : -1;
		if (low >= 0) {
			out[n++] = (char)(high * 16 + low);
			i += 2;
		} else {
			out[n++] = raw.s[i];
		}
	}
	out[n] = '\0';
	*len = n;
	return out;
}

static void append_line(struct buf *lines, struct span line)
{
	while (line.len > 0 && line.s[line.len - 1] == '\r') {
		line.len--;
	}
	buf_add(lines, line.s, line.len);
	buf_addc(lines, '\n');
}

struct reader {
	struct vmx *v;
	struct buf comments; /* collected since the last entry */
	size_t line_no;
};

static bool take_line(struct reader *r, struct span text, struct error *e)
{
	struct line line;
	if (++r->line_no > VMX_LINES_MAX) {
		return error_set(e, ERROR_LIMIT, "more than %d lines", VMX_LINES_MAX);
	}
	if (!split_line(text, r->line_no, &line, e)) {
		return false;
	}
	if (!line.is_entry) {
		if (!text_is_utf8(text.s, text.len)) {
			return error_set(e, ERROR_CORRUPT, "line %zu: not UTF-8", r->line_no);
		}
		append_line(&r->comments, text);
		return true;
	}
	size_t len;
	char *value = decode(line.value, &len);
	char *key = mem_strndup(line.key.s, line.key.len);
	if (!vmx_check_value(key, value, len, e)) {
		free(value);
		free(key);
		return error_prefix(e, "line %zu: ", r->line_no);
	}
	struct span raw = trim(text.s, text.len);
	/* What stands behind the value is kept too, so it has to be text. */
	bool clean = text_is_utf8(raw.s, raw.len);
	char *before = r->comments.len > 0 ? buf_take(&r->comments) : NULL;
	vmx_append(r->v, (struct vmx_item){ .before = before,
					    .raw = clean ? mem_strndup(raw.s, raw.len) : NULL,
					    .key = key,
					    .value = value });
	return true;
}

static int compare_items(const void *a, const void *b)
{
	const struct vmx_item *const *x = a;
	const struct vmx_item *const *y = b;
	return strcasecmp((*x)->key, (*y)->key);
}

static bool check_unique(const struct vmx *v, struct error *e)
{
	const struct vmx_item **sorted = mem_calloc(v->n_items + 1, sizeof(*sorted));
	for (size_t i = 0; i < v->n_items; i++) {
		sorted[i] = &v->items[i];
	}
	qsort(sorted, v->n_items, sizeof(*sorted), compare_items);
	bool ok = true;
	for (size_t i = 1; ok && i < v->n_items; i++) {
		if (compare_items(&sorted[i - 1], &sorted[i]) == 0) {
			ok = error_set(e, ERROR_CORRUPT, "\"%.80s\" is there twice",
				       sorted[i]->key);
		}
	}
	free(sorted);
	return ok;
}

static bool read_lines(struct vmx *v, struct span text, struct error *e)
{
	struct reader r = { .v = v };
	struct span line;
	bool ok = true;
	while (ok && next_line(&text, &line)) {
		ok = take_line(&r, line, e);
	}
	v->after = r.comments.len > 0 ? buf_take(&r.comments) : NULL;
	buf_free(&r.comments);
	return ok && check_unique(v, e);
}

/* The name in the .encoding line; NULL: none, that is UTF-8. Free with free(). */
static char *find_encoding(struct span text)
{
	struct span s;
	struct line line;
	while (next_line(&text, &s)) {
		if (split_line(s, 0, &line, NULL) && line.is_entry && line.key.len == 9 &&
		    strncasecmp(line.key.s, ".encoding", 9) == 0) {
			return mem_strndup(line.value.s, line.value.len);
		}
	}
	return NULL;
}

static char *convert(const char *encoding, struct span text, size_t *len, struct error *e)
{
	size_t i = 0;
	while (i < ARRAY_LEN(encodings) && strcasecmp(encodings[i], encoding) != 0) {
		i++;
	}
	if (i == ARRAY_LEN(encodings)) {
		error_set(e, ERROR_UNSUPPORTED, "encoding \"%.60s\" is not supported", encoding);
		return NULL;
	}
	iconv_t cd = iconv_open("UTF-8", encodings[i]);
	if (cd == (iconv_t)-1) {
		error_set_sys(e, errno, "encoding \"%s\"", encodings[i]);
		return NULL;
	}
	size_t room = VMX_FILE_MAX, left = text.len;
	char *out = mem_alloc(room + 1);
	char *in = mem_strndup(text.s, text.len); /* iconv() wants it writable */
	char *from = in, *to = out;
	size_t rc = iconv(cd, &from, &left, &to, &room);
	int sys = errno;
	iconv_close(cd);
	free(in);
	if (rc == (size_t)-1) {
		free(out);
		error_set(e, sys == E2BIG ? ERROR_LIMIT : ERROR_CORRUPT,
			  sys == E2BIG ? "longer than 1 MiB as UTF-8" : "not valid %s",
			  encodings[i]);
		return NULL;
	}
	*len = (size_t)(to - out);
	return out;
}

static bool parse(struct vmx *v, struct span text, struct error *e)
{
	char *encoding = find_encoding(text);
	bool utf8 = encoding == NULL || encoding[0] == '\0' || strcasecmp(encoding, "UTF-8") == 0;
	char *converted = NULL;
	bool ok = true;
	if (!utf8) {
		size_t len = 0;
		converted = convert(encoding, text, &len, e);
		text = (struct span){ converted, len };
		ok = converted != NULL;
	}
	ok = ok && read_lines(v, text, e);
	if (ok && !utf8) {
		ok = vmx_set(v, ".encoding", "UTF-8", e);
	}
	free(converted);
	free(encoding);
	return ok;
}

struct vmx *vmx_parse(const char *text, size_t len, struct error *e)
{
	if (len > VMX_FILE_MAX) {
		error_set(e, ERROR_LIMIT, "%zu bytes, the limit is %d", len, VMX_FILE_MAX);
		return NULL;
	}
	if (len > 0 && memchr(text, '\0', len) != NULL) {
		error_set(e, ERROR_CORRUPT, "not a text: it has a NUL byte");
		return NULL;
	}
	struct span s = { text, len };
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		s = (struct span){ text + 3, len - 3 };
	}
	struct vmx *v = mem_zalloc(sizeof(*v));
	if (!parse(v, s, e)) {
		vmx_free(v);
		return NULL;
	}
	return v;
}

static void write_value(struct buf *out, const char *value)
{
	for (const char *s = value; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		if (c < 0x20 || c == 0x7f || c == '"' || c == '|' || c == '#') {
			buf_addf(out, "|%02X", c);
		} else {
			buf_addc(out, *s);
		}
	}
}

void vmx_write(const struct vmx *v, struct buf *out)
{
	for (size_t i = 0; i < v->n_items; i++) {
		const struct vmx_item *x = &v->items[i];
		if (x->before != NULL) {
			buf_adds(out, x->before);
		}
		if (x->raw != NULL) {
			buf_adds(out, x->raw);
		} else {
			buf_addf(out, "%s = \"", x->key);
			write_value(out, x->value);
			buf_addc(out, '"');
		}
		buf_addc(out, '\n');
	}
	if (v->after != NULL) {
		buf_adds(out, v->after);
	}
}

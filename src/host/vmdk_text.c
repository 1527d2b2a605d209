/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "host/text.h"
#include "host/vmdk.h"

static const char title[] = "# Disk DescriptorFile";

/* A piece of a line, not terminated; words are taken off its front. */
struct span {
	const char *s;
	size_t len;
};

struct reader {
	struct vmdk *d;
	size_t line_no;
	bool has_version;
	uint64_t n_sectors; /* of the extents so far */
};

static struct span trim(struct span t)
{
	while (t.len > 0 && (t.s[0] == ' ' || t.s[0] == '\t')) {
		t.s++;
		t.len--;
	}
	while (t.len > 0 && strchr(" \t\r", t.s[t.len - 1]) != NULL) {
		t.len--;
	}
	return t;
}

/* The next word, or what stands in quotes; false where nothing is left or a quote is open. */
static bool next_word(struct span *rest, struct span *word)
{
	struct span t = trim(*rest);
	if (t.len == 0) {
		return false;
	}
	size_t end = 0;
	if (t.s[0] == '"') {
		const char *close = memchr(t.s + 1, '"', t.len - 1);
		if (close == NULL) {
			return false;
		}
		end = (size_t)(close - t.s);
		*word = (struct span){ t.s + 1, end - 1 };
		end++;
	} else {
		while (end < t.len && t.s[end] != ' ' && t.s[end] != '\t') {
			end++;
		}
		*word = (struct span){ t.s, end };
	}
	*rest = (struct span){ t.s + end, t.len - end };
	return true;
}

static bool is_word(struct span t, const char *word)
{
	return t.len == strlen(word) && strncasecmp(t.s, word, t.len) == 0;
}

static bool find_access(struct span word, enum vmdk_access *out)
{
	static const char *const names[] = { "RW", "RDONLY", "NOACCESS" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (is_word(word, names[i])) {
			*out = (enum vmdk_access)i;
			return true;
		}
	}
	return false;
}

static enum vmdk_extent_kind find_kind(struct span word)
{
	if (is_word(word, "FLAT")) {
		return VMDK_EXTENT_FLAT;
	}
	if (is_word(word, "VMFS")) {
		return VMDK_EXTENT_VMFS;
	}
	return is_word(word, "ZERO") ? VMDK_EXTENT_ZERO : VMDK_EXTENT_OTHER;
}

static bool malformed(const struct reader *r, const char *what, struct error *e)
{
	return error_set(e, ERROR_CORRUPT, "line %zu: %s", r->line_no, what);
}

static bool take_size(struct reader *r, struct span word, uint64_t *out, struct error *e)
{
	const uint64_t limit = VMDK_CAPACITY_MAX / VMDK_SECTOR;
	if (!number_u64_n(word.s, word.len, out) || *out == 0) {
		return malformed(r, "the size of the extent is not a number of sectors", e);
	}
	if (*out > limit || r->n_sectors > limit - *out) {
		return error_set(e, ERROR_LIMIT, "line %zu: the disk is larger than 62 TiB",
				 r->line_no);
	}
	return true;
}

/* Words that are written as they are: kinds, without anything that could be taken for syntax. */
static bool is_plain(struct span t)
{
	for (size_t i = 0; i < t.len; i++) {
		if (!isalnum((unsigned char)t.s[i])) {
			return false;
		}
	}
	return t.len > 0 && t.len <= 32;
}

/* ACCESS SECTORS KIND ["FILE" [OFFSET]], the access is already taken off. */
static bool take_extent(struct reader *r, enum vmdk_access access, struct span rest,
			struct error *e)
{
	struct vmdk_extent x = { .access = access };
	struct span word, file = { 0 };
	if (r->d->n_extents >= VMDK_EXTENTS_MAX) {
		return error_set(e, ERROR_LIMIT, "more than %d extents", VMDK_EXTENTS_MAX);
	}
	if (!next_word(&rest, &word)) {
		return malformed(r, "an extent without a size", e);
	}
	if (!take_size(r, word, &x.n_sectors, e)) {
		return false;
	}
	struct span kind;
	if (!next_word(&rest, &kind) || !is_plain(kind)) {
		return malformed(r, "an extent without a proper kind", e);
	}
	x.kind = find_kind(kind);
	bool has_file = next_word(&rest, &file);
	if (has_file != (x.kind != VMDK_EXTENT_ZERO) ||
	    (has_file && (file.len == 0 || memchr(file.s, '"', file.len) != NULL))) {
		return malformed(r, "the file name of the extent is missing or wrong", e);
	}
	if (next_word(&rest, &word) && x.kind != VMDK_EXTENT_OTHER &&
	    (!number_u64_n(word.s, word.len, &x.offset_sectors) ||
	     x.offset_sectors > VMDK_CAPACITY_MAX / VMDK_SECTOR)) {
		return malformed(r, "the offset of the extent is not a number of sectors", e);
	}
	x.kind_name = mem_strndup(kind.s, kind.len);
	x.file = has_file ? mem_strndup(file.s, file.len) : NULL;
	struct vmdk *d = r->d;
	d->extents = mem_realloc_array(d->extents, d->n_extents + 1, sizeof(x));
	d->extents[d->n_extents++] = x;
	r->n_sectors += x.n_sectors;
	return true;
}

static bool take_cid(struct reader *r, struct span value, uint32_t *out, struct error *e)
{
	char text[9];
	uint64_t number;
	if (value.len == 0 || value.len >= sizeof(text)) {
		return malformed(r, "a content ID has 1 to 8 hex digits", e);
	}
	memcpy(text, value.s, value.len);
	text[value.len] = '\0';
	if (!number_hex_u64(text, &number)) {
		return malformed(r, "a content ID has 1 to 8 hex digits", e);
	}
	*out = (uint32_t)number;
	return true;
}

static bool take_version(struct reader *r, struct span value, struct error *e)
{
	uint64_t number;
	if (!number_u64_n(value.s, value.len, &number) || number < 1 || number > 4) {
		return malformed(r, "the version is not 1, 2, 3 or 4", e);
	}
	r->has_version = true;
	r->d->version = (unsigned)number;
	return true;
}

static bool take_string(struct reader *r, struct span value, char **out, struct error *e)
{
	if (*out != NULL) {
		return malformed(r, "the key is there twice", e);
	}
	*out = mem_strndup(value.s, value.len);
	return true;
}

/* Printable, without blanks: what comes out again when it is written. */
static bool is_key(struct span t)
{
	for (size_t i = 0; i < t.len; i++) {
		if ((unsigned char)t.s[i] <= ' ' || t.s[i] == 0x7f) {
			return false;
		}
	}
	return t.len > 0;
}

static bool take_setting(struct reader *r, struct span key, struct span value, struct error *e)
{
	struct vmdk *d = r->d;
	if (!is_key(key)) {
		return malformed(r, "the key has blanks or control characters", e);
	}
	char *name = mem_strndup(key.s, key.len);
	if (vmdk_get(d, name) != NULL) {
		free(name);
		return malformed(r, "the key is there twice", e);
	}
	d->settings = mem_realloc_array(d->settings, d->n_settings + 1, sizeof(d->settings[0]));
	d->settings[d->n_settings++] = (struct vmdk_setting){
		.key = name,
		.value = mem_strndup(value.s, value.len),
	};
	return true;
}

static bool take_pair(struct reader *r, struct span key, struct span value, struct error *e)
{
	struct vmdk *d = r->d;
	if (is_word(key, "version")) {
		return take_version(r, value, e);
	}
	if (is_word(key, "CID")) {
		return take_cid(r, value, &d->cid, e);
	}
	if (is_word(key, "parentCID")) {
		return take_cid(r, value, &d->parent_cid, e);
	}
	if (is_word(key, "createType")) {
		return take_string(r, value, &d->create_type, e);
	}
	if (is_word(key, "parentFileNameHint")) {
		return take_string(r, value, &d->parent_file, e);
	}
	if (is_word(key, "encoding")) {
		return true; /* the text was checked to be UTF-8 and is written as such */
	}
	return take_setting(r, key, value, e);
}

static bool take_line(struct reader *r, struct span line, struct error *e)
{
	enum vmdk_access access;
	struct span rest = line, word;
	if (!next_word(&rest, &word) || line.s[0] == '#') {
		return line.len == 0 || line.s[0] == '#' || malformed(r, "an open quote", e);
	}
	if (find_access(word, &access)) {
		return take_extent(r, access, rest, e);
	}
	const char *eq = memchr(line.s, '=', line.len);
	if (eq == NULL || eq == line.s) {
		return malformed(r, "neither an extent nor key = value", e);
	}
	struct span key = trim((struct span){ line.s, (size_t)(eq - line.s) });
	struct span value = trim((struct span){ eq + 1, line.len - (size_t)(eq - line.s) - 1 });
	if (value.len > 0 && value.s[0] == '"') {
		rest = value;
		if (!next_word(&rest, &value) || trim(rest).len > 0) {
			return malformed(r, "the value's quotes do not match", e);
		}
	}
	if (memchr(key.s, '"', key.len) != NULL || memchr(value.s, '"', value.len) != NULL) {
		return malformed(r, "a quote where none may be", e);
	}
	return take_pair(r, key, value, e);
}

static bool read_lines(struct reader *r, struct span text, struct error *e)
{
	while (text.len > 0) {
		const char *nl = memchr(text.s, '\n', text.len);
		size_t len = nl != NULL ? (size_t)(nl - text.s) : text.len;
		if (++r->line_no > VMDK_LINES_MAX) {
			return error_set(e, ERROR_LIMIT, "more than %d lines", VMDK_LINES_MAX);
		}
		if (!take_line(r, trim((struct span){ text.s, len }), e)) {
			return false;
		}
		len += nl != NULL ? 1 : 0;
		text = (struct span){ text.s + len, text.len - len };
	}
	if (!r->has_version || r->d->create_type == NULL || r->d->n_extents == 0) {
		return error_set(e, ERROR_CORRUPT, "not a whole disk descriptor: %s is missing",
				 !r->has_version	     ? "version"
				 : r->d->create_type == NULL ? "createType"
							     : "the extent");
	}
	return true;
}

static bool check_text(struct span text, struct error *e)
{
	if (text.len > VMDK_FILE_MAX) {
		return error_set(e, ERROR_LIMIT, "%zu bytes, a descriptor may have %d", text.len,
				 VMDK_FILE_MAX);
	}
	if (vmdk_is_sparse_image(text.s, text.len)) {
		return error_set(e, ERROR_UNSUPPORTED,
				 "a sparse image (KDMV), which has to be imported first");
	}
	size_t len = sizeof(title) - 1;
	if (text.len < len || strncasecmp(text.s, title, len) != 0) {
		return error_set(e, ERROR_CORRUPT,
				 "not a disk descriptor: it does not begin "
				 "with \"# Disk DescriptorFile\"");
	}
	if (!text_is_utf8(text.s, text.len)) {
		return error_set(e, ERROR_CORRUPT, "not UTF-8 text");
	}
	return true;
}

struct vmdk *vmdk_parse(const char *text, size_t len, struct error *e)
{
	struct span s = { text, len };
	/* Descriptors from sparse images are padded with NULs to whole sectors. */
	while (s.len > 0 && s.s[s.len - 1] == '\0') {
		s.len--;
	}
	if (!check_text(s, e)) {
		return NULL;
	}
	struct vmdk *d = mem_zalloc(sizeof(*d));
	d->parent_cid = VMDK_NO_PARENT;
	struct reader r = { .d = d };
	if (!read_lines(&r, s, e)) {
		vmdk_free(d);
		return NULL;
	}
	return d;
}

static void write_settings(const struct vmdk *d, bool is_ddb, struct buf *out)
{
	for (size_t i = 0; i < d->n_settings; i++) {
		const struct vmdk_setting *s = &d->settings[i];
		if ((strncasecmp(s->key, "ddb.", 4) == 0) == is_ddb) {
			buf_addf(out, "%s%s\"%s\"\n", s->key, is_ddb ? " = " : "=", s->value);
		}
	}
}

static void write_extent(const struct vmdk_extent *x, struct buf *out)
{
	static const char *const access[] = {
		[VMDK_RW] = "RW", [VMDK_RDONLY] = "RDONLY", [VMDK_NOACCESS] = "NOACCESS"
	};
	buf_addf(out, "%s %" PRIu64 " %s", access[x->access], x->n_sectors, x->kind_name);
	if (x->file != NULL) {
		buf_addf(out, " \"%s\"", x->file);
	}
	if (x->kind == VMDK_EXTENT_FLAT || x->offset_sectors > 0) {
		buf_addf(out, " %" PRIu64, x->offset_sectors);
	}
	buf_addc(out, '\n');
}

void vmdk_write(const struct vmdk *d, struct buf *out)
{
	buf_addf(out, "%s\nversion=%u\nencoding=\"UTF-8\"\nCID=%08x\nparentCID=%08x\n", title,
		 d->version, d->cid, d->parent_cid);
	buf_addf(out, "createType=\"%s\"\n", d->create_type);
	if (d->parent_file != NULL) {
		buf_addf(out, "parentFileNameHint=\"%s\"\n", d->parent_file);
	}
	write_settings(d, false, out);
	buf_adds(out, "\n# Extent description\n");
	for (size_t i = 0; i < d->n_extents; i++) {
		write_extent(&d->extents[i], out);
	}
	buf_adds(out, "\n# The Disk Data Base\n#DDB\n\n");
	write_settings(d, true, out);
}

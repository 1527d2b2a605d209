/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/switch_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"

enum {
	LOOK_NS = 200000000,
	NAME_MAX_SIZE = 32, /* of a key */
};

/* ---- a line's words ---- */

/* The value in quotes that begins at *at, which is moved behind it; false: it has no end. */
static bool read_quoted(const char **at, struct buf *out)
{
	const char *p = *at + 1;

	for (; *p != '\0' && *p != '"'; p++) {
		uint64_t code;
		char digits[5] = "";
		if (*p != '\\') {
			buf_addc(out, *p);
		} else if (p[1] == 'u' && strlen(p) > 6) {
			memcpy(digits, p + 2, 4);
			if (!number_hex_u64(digits, &code) || code == 0 || code > 0x7f) {
				return false;
			}
			buf_addc(out, (char)code);
			p += 5;
		} else if (p[1] != '\0') {
			buf_addc(out, *++p);
		}
	}
	*at = p + (*p == '"');
	return *p == '"';
}

/* The next key=value; false: there is none, or it is no good. */
static bool next_word(const char **at, char key[NAME_MAX_SIZE], struct buf *value, bool *is_quoted)
{
	size_t n = strcspn(*at, "= ");

	buf_clear(value);
	if (n == 0 || n >= NAME_MAX_SIZE || (*at)[n] != '=') {
		return false;
	}
	memcpy(key, *at, n);
	key[n] = '\0';
	*at += n + 1;
	*is_quoted = **at == '"';
	if (*is_quoted) {
		if (!read_quoted(at, value)) {
			return false;
		}
	} else {
		n = strcspn(*at, " ");
		buf_add(value, *at, n);
		*at += n;
	}
	*at += **at == ' ';
	return true;
}

/* A line as an object; numbers are numbers. NULL: it is no such line. */
static struct json_object *object_of(const char *line)
{
	struct json_object *o = json_object_new_object();
	struct buf value = BUF_INIT;
	char key[NAME_MAX_SIZE];
	bool is_quoted;

	while (*line != '\0') {
		uint64_t number;
		if (!next_word(&line, key, &value, &is_quoted)) {
			json_object_put(o);
			o = NULL;
			break;
		}
		const char *text = value.len == 0 ? "" : value.data;
		if (!is_quoted && number_u64(text, &number)) {
			json_put_u64(o, key, number);
		} else {
			json_put_str(o, key, text);
		}
	}
	buf_free(&value);
	return o;
}

/* ---- what is shown ---- */

static bool is_equal(struct json_object *o, const char *key, const char *wanted)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) &&
	       strcmp(json_object_get_string(v), wanted) == 0;
}

/* Lines that say that others are missing are shown always. */
static bool is_wanted(struct json_object *line, const struct switch_log_options *o)
{
	if (json_object_object_get_ex(line, "event", NULL)) {
		return true;
	}
	return (o->rule == NULL || is_equal(line, "rule", o->rule)) &&
	       (o->port == NULL || is_equal(line, "port", o->port) ||
		is_equal(line, "label", o->port));
}

static void show_line(char *line, const struct switch_log_options *o)
{
	line[strcspn(line, "\n")] = '\0';
	struct json_object *object = object_of(line);

	if (object != NULL && is_wanted(object, o)) {
		puts(o->is_json ? json_object_to_json_string_ext(
					  object,
					  JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
				: line);
	}
	json_object_put(object);
}

/* Shows what there is from where the file stands; half a line waits for its end. */
static void show_lines(FILE *from, const struct switch_log_options *o)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, from)) > 0) {
		if (line[n - 1] != '\n') {
			(void)fseeko(from, -(off_t)n, SEEK_CUR);
			break;
		}
		show_line(line, o);
	}
	clearerr(from);
	free(line);
	(void)fflush(stdout);
}

/* Has another file taken its place? */
static bool is_old(FILE *file, const char *path)
{
	struct stat now, was;

	return fstat(fileno(file), &was) != 0 || stat(path, &now) != 0 ||
	       now.st_ino != was.st_ino || now.st_dev != was.st_dev;
}

/* Goes on with each file that takes the place of the one before. */
static void follow(const char *path, FILE *file, const struct switch_log_options *o)
{
	while (!ferror(stdout)) {
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
		bool is_over = file == NULL || is_old(file, path);
		if (file != NULL) {
			show_lines(file, o);
		}
		if (is_over) {
			FILE *next = fopen(path, "re");
			if (next != NULL && file != NULL) {
				fclose(file);
			}
			file = next != NULL ? next : file;
			if (next != NULL) {
				show_lines(file, o);
			}
		}
	}
	if (file != NULL) {
		fclose(file);
	}
}

static bool show_files(const char *path, const char *old, const struct switch_log_options *o,
		       struct error *e)
{
	FILE *before = fopen(old, "re"), *file = fopen(path, "re");
	bool is_missing = file == NULL && errno == ENOENT;

	if (file == NULL && !is_missing) {
		error_set_sys(e, errno, "\"%s\"", path);
	} else if (is_missing && before == NULL && !o->follows) {
		error_set(e, ERROR_NOT_FOUND,
			  "\"%s\" is not there: no rule with \"log\" has met anything yet, or "
			  "--state DIR says another folder",
			  path);
	}
	bool ok = file != NULL || (is_missing && (before != NULL || o->follows));
	if (before != NULL) {
		if (ok) {
			show_lines(before, o);
		}
		fclose(before);
	}
	if (ok && file != NULL) {
		show_lines(file, o);
	}
	if (ok && o->follows) {
		follow(path, file, o);
	} else if (file != NULL) {
		fclose(file);
	}
	return ok;
}

bool switch_log_run(const char *state, const struct switch_log_options *o, struct error *e)
{
	uint64_t number;

	if (o->rule != NULL && !number_u64(o->rule, &number)) {
		return error_set(e, ERROR_INVALID, "--rule: \"%.40s\" is no number of a rule",
				 o->rule);
	}
	char *path = mem_printf("%s/firewall.log", state);
	char *old = mem_printf("%s.1", path);
	bool ok = show_files(path, old, o, e);
	free(old);
	free(path);
	return ok;
}

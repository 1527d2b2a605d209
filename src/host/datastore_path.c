/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of datastore paths; no file system here. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "host/datastore.h"
#include "host/datastore_files.h"
#include "host/text.h"

static bool check_component(const char *what, const char *s, size_t len, struct error *e)
{
	int shown = len < 60 ? (int)len : 60;
	if (len > DATASTORE_COMPONENT_MAX) {
		return error_set(e, ERROR_NAME, "%s \"%.*s…\" has %zu bytes, the limit is %d", what,
				 shown, s, len, DATASTORE_COMPONENT_MAX);
	}
	if (!text_is_utf8(s, len)) {
		return error_set(e, ERROR_NAME, "%s is not UTF-8 text", what);
	}
	if (text_has_control(s, len)) {
		return error_set(e, ERROR_NAME, "%s \"%.*s\" has control characters", what, shown,
				 s);
	}
	if ((len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.')) {
		return error_set(e, ERROR_NAME, "%s \"%.*s\" is not a name", what, shown, s);
	}
	if (strncmp(s, DATASTORE_OWN_PREFIX, MIN(len, sizeof(DATASTORE_OWN_PREFIX) - 1)) == 0 &&
	    len >= sizeof(DATASTORE_OWN_PREFIX) - 1) {
		return error_set(e, ERROR_NAME,
				 "%s \"%.*s\": names in " DATASTORE_OWN_PREFIX "… are reserved",
				 what, shown, s);
	}
	return true;
}

bool datastore_name_check(const char *what, const char *name, struct error *e)
{
	size_t len = strlen(name);
	if (len == 0) {
		return error_set(e, ERROR_NAME, "the %s is empty", what);
	}
	if (memchr(name, '/', len) != NULL) {
		return error_set(e, ERROR_NAME, "%s \"%.60s\" has a slash in it", what, name);
	}
	return check_component(what, name, len, e);
}

bool datastore_path_check(const char *path, char out[DATASTORE_PATH_MAX + 1], struct error *e)
{
	size_t len = strnlen(path, DATASTORE_PATH_MAX + 1);
	if (len > DATASTORE_PATH_MAX) {
		return error_set(e, ERROR_NAME, "path \"%.60s…\" has more than %d bytes", path,
				 DATASTORE_PATH_MAX);
	}
	if (path[0] == '/') {
		return error_set(e, ERROR_NAME, "path \"%.100s\" is absolute", path);
	}
	char normal[DATASTORE_PATH_MAX + 1];
	size_t n = 0;
	for (const char *s = path; *s != '\0';) {
		size_t n_part = strcspn(s, "/");
		if (n_part > 0) {
			if (!check_component("path component", s, n_part, e)) {
				return false;
			}
			if (n > 0) {
				normal[n++] = '/';
			}
			memcpy(normal + n, s, n_part);
			n += n_part;
		}
		s += n_part + (s[n_part] == '/' ? 1 : 0);
	}
	memcpy(out, normal, n);
	out[n] = '\0';
	return true;
}

bool datastore_path_parse(const char *text, struct datastore_path *out, struct error *e)
{
	if (text[0] != '[') {
		return error_set(e, ERROR_NAME,
				 "datastore path \"%.100s\" does not begin with [datastore]", text);
	}
	const char *close = strchr(text, ']');
	if (close == NULL) {
		return error_set(e, ERROR_NAME, "datastore path \"%.100s\": ] is missing", text);
	}
	char name[sizeof(out->datastore)];
	size_t len = (size_t)(close - text) - 1;
	if (len >= sizeof(name)) {
		return error_set(e, ERROR_NAME, "datastore path \"%.60s…\": the name is too long",
				 text);
	}
	memcpy(name, text + 1, len);
	name[len] = '\0';
	if (!datastore_name_check("datastore", name, e)) {
		return false;
	}
	const char *path = close + 1;
	path += strspn(path, " ");
	if (!datastore_path_check(path, out->path, e)) {
		return false;
	}
	memcpy(out->datastore, name, len + 1);
	return true;
}

char *datastore_path_format(const char *datastore, const char *path)
{
	return mem_printf("[%s]%s%s", datastore, path[0] != '\0' ? " " : "", path);
}

/* Only ASCII folds: the names are bytes to the file system, too. */
static char fold(char c)
{
	if (c >= 'A' && c <= 'Z') {
		return (char)(c + ('a' - 'A'));
	}
	return c;
}

static bool is_equal(char a, char b, bool ignore_case)
{
	return a == b || (ignore_case && fold(a) == fold(b));
}

bool datastore_match(const char *pattern, const char *name, bool ignore_case)
{
	/* On a mismatch the last * takes one character more: at most length times length steps. */
	const char *star = NULL, *retry = NULL;
	while (*name != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			retry = name;
		} else if (*pattern != '\0' &&
			   (*pattern == '?' || is_equal(*pattern, *name, ignore_case))) {
			pattern++;
			name++;
			/* ? stands for a whole character. */
			while (pattern[-1] == '?' && (*name & 0xc0) == 0x80) {
				name++;
			}
		} else if (star != NULL) {
			pattern = star;
			name = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*') {
		pattern++;
	}
	return *pattern == '\0';
}

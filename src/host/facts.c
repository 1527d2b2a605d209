/* SPDX-License-Identifier: Apache-2.0 */
#include "host/facts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"
#include "host/text.h"

struct facts_path facts_path(const char *root, const char *fmt, ...)
{
	struct facts_path p;
	va_list ap;
	int n = snprintf(p.s, sizeof(p.s), "%s", root);
	size_t used = n < 0 ? sizeof(p.s) : (size_t)n;
	if (used < sizeof(p.s)) {
		va_start(ap, fmt);
		n = vsnprintf(p.s + used, sizeof(p.s) - used, fmt, ap);
		va_end(ap);
		used += n < 0 ? sizeof(p.s) : (size_t)n;
	}
	if (used >= sizeof(p.s)) {
		p.s[0] = '\0';
	}
	return p;
}

bool facts_read(const char *path, size_t limit, struct buf *out)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	size_t have = 0;
	while (ok && have < limit) {
		size_t room = MIN(limit - have, (size_t)65536);
		ssize_t n = read(fd, buf_reserve(out, room), room);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			break;
		}
		buf_commit(out, (size_t)n);
		have += (size_t)n;
	}
	close(fd);
	return have > 0;
}

void facts_line(const char *path, char *out, size_t size)
{
	struct buf b = BUF_INIT;
	out[0] = '\0';
	if (facts_read(path, 4096, &b)) {
		text_clean(out, size, b.data, strcspn(b.data, "\n"));
	}
	buf_free(&b);
}

uint64_t facts_u64(const char *path, uint64_t fallback)
{
	char text[32];
	uint64_t number;
	facts_line(path, text, sizeof(text));
	bool ok = strncmp(text, "0x", 2) == 0 ? number_hex_u64(text, &number)
					      : number_u64(text, &number);
	return ok ? number : fallback;
}

bool facts_exists(const char *path)
{
	return path[0] != '\0' && access(path, F_OK) == 0;
}

static bool read_link(const char *path, char out[1024])
{
	ssize_t n = readlink(path, out, 1023);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

void facts_link_name(const char *path, char *out, size_t size)
{
	char target[1024];
	out[0] = '\0';
	if (read_link(path, target)) {
		const char *slash = strrchr(target, '/');
		const char *name = slash != NULL ? slash + 1 : target;
		text_clean(out, size, name, strlen(name));
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **facts_names(const char *path, size_t max, size_t *n)
{
	*n = 0;
	DIR *dir = opendir(path);
	if (dir == NULL) {
		return NULL;
	}
	char **names = mem_calloc(max + 1, sizeof(char *));
	struct dirent *x;
	while (*n < max && (x = readdir(dir)) != NULL) {
		size_t len = strlen(x->d_name);
		if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0 &&
		    text_is_utf8(x->d_name, len) && !text_has_control(x->d_name, len)) {
			names[(*n)++] = mem_strdup(x->d_name);
		}
	}
	closedir(dir);
	if (*n > 0) {
		qsort(names, *n, sizeof(char *), compare_names);
	}
	return names;
}

void facts_names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(names[i]);
	}
	free(names);
}

unsigned *facts_list(const char *text, unsigned below, size_t *n)
{
	bool *has = mem_calloc(below + 1, sizeof(bool));
	for (const char *s = text; *s != '\0';) {
		size_t len = strcspn(s, ",");
		size_t first_len = MIN(strcspn(s, "-"), len);
		uint64_t first = 0, last = 0;
		bool ok = number_u64_n(s, first_len, &first);
		last = first;
		if (ok && first_len < len) {
			ok = number_u64_n(s + first_len + 1, len - first_len - 1, &last);
		}
		for (uint64_t i = first; ok && i <= last && i < below; i++) {
			has[i] = true;
		}
		s += len + (s[len] == ',' ? 1 : 0);
	}
	size_t count = 0;
	unsigned *list = mem_calloc(below + 1, sizeof(unsigned));
	for (unsigned i = 0; i < below; i++) {
		if (has[i]) {
			list[count++] = i;
		}
	}
	free(has);
	*n = count;
	return list;
}

bool facts_field(const char *text, const char *key, char *out, size_t size)
{
	size_t len = strlen(key);
	for (const char *line = text; *line != '\0';) {
		size_t n = strcspn(line, "\n");
		if (n > len && strncmp(line, key, len) == 0) {
			size_t at = len + strspn(line + len, " \t");
			if (line[at] == ':') {
				text_clean(out, size, line + at + 1, n - at - 1);
				return true;
			}
		}
		line += n + (line[n] == '\n' ? 1 : 0);
	}
	return false;
}

/* Exactly n hex digits at *s, which moves behind them. */
static bool take_hex(const char **s, size_t n, unsigned *out)
{
	char digits[9];
	uint64_t number;
	if (strspn(*s, "0123456789abcdef") < n || n >= sizeof(digits)) {
		return false;
	}
	memcpy(digits, *s, n);
	digits[n] = '\0';
	if (!number_hex_u64(digits, &number)) {
		return false;
	}
	*out = (unsigned)number;
	*s += n;
	return true;
}

bool facts_pci_parse(const char *text, struct facts_pci_address *out)
{
	struct facts_pci_address a;
	const char *s = text;
	size_t n_domain = strspn(s, "0123456789abcdef");
	if (n_domain < 4 || n_domain > 8 || !take_hex(&s, n_domain, &a.domain) || *s++ != ':' ||
	    !take_hex(&s, 2, &a.bus) || *s++ != ':' || !take_hex(&s, 2, &a.slot) || *s++ != '.' ||
	    !take_hex(&s, 1, &a.function) || *s != '\0') {
		return false;
	}
	*out = a;
	return true;
}

void facts_link_pci(const char *path, unsigned skip, char *out, size_t size)
{
	char target[1024];
	out[0] = '\0';
	if (!read_link(path, target)) {
		return;
	}
	for (char *slash; (slash = strrchr(target, '/')) != NULL; *slash = '\0') {
		struct facts_pci_address a;
		if (facts_pci_parse(slash + 1, &a) && skip-- == 0) {
			snprintf(out, size, "%s", slash + 1);
			return;
		}
	}
}

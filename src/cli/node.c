/* SPDX-License-Identifier: Apache-2.0 */
/* remora node: what the system of a card, board or server does with its settings file. */
#include "cli/node.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macro.h"
#include "base/mem.h"
#include "cli/command.h"
#include "vim/user.h"

#define PASSWORD_MARK_MAX 256

static int usage(FILE *to, int status)
{
	fputs("usage: remora node check FILE\n"
	      "       remora node apply --state DIR FILE\n"
	      "       remora node join --state DIR FILE\n"
	      "       remora node menu --state DIR FILE\n",
	      to);
	return status;
}

static int complain(const struct error *e)
{
	fprintf(stderr, "remora: %s\n", e->msg);
	return 1;
}

bool node_read_settings(const char *path, struct node_settings *out, struct buf *wrong,
			struct error *e)
{
	struct buf text = BUF_INIT, mistakes = BUF_INIT;
	bool ok = file_read(path, NODE_SETTINGS_MAX, &text, e);

	if (ok && !node_settings_read(text.data, text.len, out, &mistakes)) {
		ok = error_set(e, ERROR_INVALID, "\"%s\", %.*s", path,
			       (int)strcspn(mistakes.data, "\n"), mistakes.data);
		if (wrong != NULL) {
			buf_add(wrong, mistakes.data, mistakes.len);
		}
	}
	sodium_memzero(text.data, text.len);
	buf_free(&text);
	buf_free(&mistakes);
	return ok;
}

/* The same, with what is wrong told line by line. */
static bool read_file(const char *path, struct node_settings *out)
{
	struct buf wrong = BUF_INIT;
	struct error e = { 0 };
	bool ok = node_read_settings(path, out, &wrong, &e);

	if (!ok && wrong.len == 0) {
		complain(&e);
	} else if (!ok) {
		char *rest = wrong.data;
		for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
			if (line[0] != '\0') {
				fprintf(stderr, "%s, %s\n", path, line);
			}
		}
	}
	buf_free(&wrong);
	return ok;
}

static bool write_file(const char *state, const char *name, const char *text, struct error *e)
{
	char *path = mem_printf("%s/%s", state, name);
	bool ok = file_write_atomic(path, text, strlen(text), 0600, e);

	free(path);
	return ok;
}

/* True where root's password is this one because the settings said so the last time too: then one
 * that was changed meanwhile, through the API or on the console, stays. */
static bool was_applied(const char *state, const char *password)
{
	char *path = mem_printf("%s/password-applied", state);
	struct buf b = BUF_INIT;
	bool same = file_read(path, PASSWORD_MARK_MAX, &b, NULL) &&
		    crypto_pwhash_str_verify(b.data, password, strlen(password)) == 0;

	buf_free(&b);
	free(path);
	return same;
}

static bool apply_password(const char *state, const char *password, struct error *e)
{
	char *path = mem_printf("%s/users.json", state), mark[crypto_pwhash_STRBYTES];
	struct user_store *users;
	bool ok = true;

	if (password[0] != '\0' && !was_applied(state, password)) {
		users = user_store_open(path, e);
		ok = users != NULL && user_set(users, "root", password, NULL, e);
		user_store_free(users);
		if (ok && crypto_pwhash_str(mark, password, strlen(password),
					    crypto_pwhash_OPSLIMIT_INTERACTIVE,
					    crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0) {
			ok = error_set(e, ERROR_NO_SPACE, "\"password\": no memory to hash it");
		}
		ok = ok && write_file(state, "password-applied", mark, e);
	}
	if (ok && password[0] != '\0') {
		char *first = mem_printf("%s/initial-password", state);
		unlink(first); /* it is root's no more */
		free(first);
	}
	free(path);
	return ok;
}

static bool apply(const char *state, const struct node_settings *s, struct error *e)
{
	struct buf shell = BUF_INIT;
	struct node *n = mem_zalloc(sizeof(*n));
	char *host_name = mem_printf("%s\n", s->hostname);
	bool ok = node_load_or_make(state, "", n, e);

	if (ok) {
		node_settings_to_node(s, n);
		node_settings_to_shell(s, &shell);
	}
	ok = ok && node_save(state, n, e) && write_file(state, "network.env", shell.data, e) &&
	     (s->hostname[0] == '\0' || write_file(state, "hostname", host_name, e)) &&
	     apply_password(state, s->password, e);
	free(host_name);
	free(n);
	buf_free(&shell);
	return ok;
}

/* Keeps the file as it was applied. */
static bool keep(const char *state, const char *path, struct error *e)
{
	struct buf text = BUF_INIT;
	bool ok = file_read(path, NODE_SETTINGS_MAX, &text, e) &&
		  write_file(state, NODE_SETTINGS_HELD, text.data, e);

	sodium_memzero(text.data, text.len);
	buf_free(&text);
	return ok;
}

static int run_apply(const char *state, const char *path)
{
	struct node_settings *s = mem_zalloc(sizeof(*s));
	struct error e = { 0 };
	int status = 1;

	if (mkdir(state, 0700) != 0 && errno != EEXIST) {
		error_set_sys(&e, errno, "\"%s\"", state);
		complain(&e);
	} else if (!read_file(path, s)) {
		fprintf(stderr, "remora: nothing of \"%s\" is applied, what was before holds\n",
			path);
	} else if (!apply(state, s, &e) || !keep(state, path, &e)) {
		complain(&e);
	} else {
		status = 0;
	}
	sodium_memzero(s, sizeof(*s));
	free(s);
	return status;
}

static int run_check(const char *path)
{
	struct node_settings *s = mem_zalloc(sizeof(*s));
	bool ok = read_file(path, s);

	sodium_memzero(s, sizeof(*s));
	free(s);
	return ok ? 0 : 1;
}

int command_node(int argc, char **argv)
{
	struct error e = { 0 };

	if (argc > 1 && command_wants_help(argv[1])) {
		return usage(stdout, 0);
	}
	if (sodium_init() < 0) {
		return 1;
	}
	if (argc == 3 && strcmp(argv[1], "check") == 0) {
		return run_check(argv[2]);
	}
	if (argc != 5 || strcmp(argv[2], "--state") != 0) {
		return usage(stderr, 2);
	}
	const struct node_folder folder = { .state = argv[3], .settings = argv[4] };
	if (strcmp(argv[1], "apply") == 0) {
		return run_apply(folder.state, folder.settings);
	}
	if (strcmp(argv[1], "menu") == 0) {
		return node_menu(&folder);
	}
	if (strcmp(argv[1], "join") == 0) {
		return node_join(&folder, &e) ? 0 : complain(&e);
	}
	return usage(stderr, 2);
}

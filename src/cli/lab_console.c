/* SPDX-License-Identifier: Apache-2.0 */
/* Attaches the terminal to a VM's first serial port, or an emulated card's; Ctrl-] lets go. */
#include "cli/lab.h"

#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/socket.h"
#include "cli/remote_console.h"

/* Path of the VM's socket on whichever node has it; NULL: none. */
static char *console_find(const struct lab *lab, const char *vm)
{
	const struct lab_node *card = lab_node_find(lab, vm);
	char *found = NULL;

	if (card != NULL && card->cpu != NULL) {
		return lab_path(lab, "nodes/%s/console.sock", card->name);
	}
	for (size_t i = 0; i < lab->n_nodes && found == NULL; i++) {
		char *pattern = lab_path(lab, "nodes/%s/datastores/*/%s/serial0.sock",
					 lab->nodes[i].name, vm);
		glob_t g;
		if (strpbrk(vm, "*?[/") == NULL && glob(pattern, GLOB_NOSORT, NULL, &g) == 0) {
			found = mem_strdup(g.gl_pathv[0]);
			globfree(&g);
		}
		free(pattern);
	}
	return found;
}

/* Moves what is there from one fd to the other; false at the end or on the escape character. */
static bool pass(int from, int to, bool is_terminal)
{
	char bytes[4096];
	ssize_t n = read(from, bytes, sizeof(bytes));

	if (n <= 0 || (is_terminal && memchr(bytes, CONSOLE_ESCAPE, (size_t)n) != NULL)) {
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	}
	return file_write_all(to, bytes, (size_t)n, "console", NULL);
}

static void talk(int fd)
{
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
			       { .fd = fd, .events = POLLIN } };
	bool open = true;

	while (open && poll(p, 2, -1) >= 0) {
		if (p[1].revents != 0) {
			open = pass(fd, STDOUT_FILENO, false);
		}
		if (open && p[0].revents != 0) {
			open = pass(STDIN_FILENO, fd, true);
		}
	}
}

/* The VM of that name on an emulated card, whose hostd shows its console: the connection and the
 * VM's reference, which lives as long; NULL: no card has it. */
static struct remote *card_with(const struct lab *lab, const char *vm, const struct value **out)
{
	for (size_t i = 0; i < lab->n_nodes; i++) {
		const struct lab_node *n = &lab->nodes[i];
		const struct value *vms = NULL;
		struct error e;
		bool is_card = n->cpu != NULL && lab_node_is_running(lab, n);
		struct remote *r = is_card ? lab_node_connect(lab, n, &e) : NULL;
		if (r == NULL || !remote_list(r, "VirtualMachine", "name", &vms, &e)) {
			remote_close(r);
			continue;
		}
		for (size_t k = 0; k < value_count(vms); k++) {
			const struct value *content = value_item(vms, k);
			if (strcmp(lab_content_name(content), vm) == 0) {
				*out = value_get_value(content, F_ObjectContent_obj);
				return r;
			}
		}
		remote_close(r);
	}
	return NULL;
}

static bool attach(const char *path, struct remote *r, const struct value *object, struct error *e)
{
	if (path == NULL) {
		return remote_console(r, value_bytes(object), e);
	}
	int fd = socket_connect_unix(path, e);
	if (fd < 0) {
		return false;
	}
	talk(fd);
	close(fd);
	return true;
}

int lab_console(struct lab *lab, const char *vm)
{
	struct error e;
	const struct value *object = NULL;
	char *path = console_find(lab, vm);
	struct remote *r = path == NULL ? card_with(lab, vm, &object) : NULL;

	if (path == NULL && r == NULL) {
		error_set(&e, ERROR_NOT_FOUND,
			  "no running VM \"%s\" with a serial port on a node of the lab", vm);
		return lab_complain(&e);
	}
	struct termios before, raw;
	bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
	if (terminal) {
		fprintf(stderr, "console of %s; Ctrl-] lets go\n", vm);
		raw = before;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	bool ok = attach(path, r, object, &e);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
		fputs("\n", stderr);
	}
	remote_close(r);
	free(path);
	return ok ? 0 : lab_complain(&e);
}

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

enum {
	ESCAPE = 0x1d /* Ctrl-] */
};

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

	if (n <= 0 || (is_terminal && memchr(bytes, ESCAPE, (size_t)n) != NULL)) {
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

int lab_console(struct lab *lab, const char *vm)
{
	struct error e;
	char *path = console_find(lab, vm);

	if (path == NULL) {
		error_set(&e, ERROR_NOT_FOUND,
			  "no running VM \"%s\" with a serial port on a node of this machine", vm);
		return lab_complain(&e);
	}
	int fd = socket_connect_unix(path, &e);
	free(path);
	if (fd < 0) {
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
	talk(fd);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
		fputs("\n", stderr);
	}
	close(fd);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console menu of a node's system: who it is, how it is reached, and what can be set where no
 * network is needed. What is set goes into the settings file of the boot partition and is applied
 * from there (/lib/remora/change), so that both ways of setting are one.
 */
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/rpc.h"
#include "cli/node.h"
#include "vim/certificate.h"
#include "vim/user.h"

#define CHANGE	     "/lib/remora/change"
#define REFUSED	     "/run/remora/refused"
#define NOT_JOINED   "/run/remora/join.log"
#define LOGGED_IN_S  300 /* without a word */
#define ANSWER_MS    3000
#define WORD_MAX     256
#define GOING_DOWN_S 60
#define FAILED_PAUSE 2 /* seconds after a wrong password */

struct menu {
	const struct node_folder *folder;
	struct node node;
	bool has_node;
	time_t logged_in; /* last word of who is; 0: nobody */
};

/* ---- words from the console ---- */

/* A line without its end; false at the end of input. */
static bool ask(const char *question, char *out, size_t size)
{
	printf("%s", question);
	fflush(stdout);
	if (fgets(out, (int)size, stdin) == NULL) {
		return false;
	}
	size_t n = strlen(out);
	if (n > 0 && out[n - 1] == '\n') {
		out[n - 1] = '\0';
	} else {
		for (int c; (c = getchar()) != '\n' && c != EOF;) {
			/* the rest of a line that is too long */
		}
	}
	out[strcspn(out, "\r")] = '\0';
	return true;
}

static bool ask_secret(const char *question, char *out, size_t size)
{
	struct termios old;
	bool is_terminal = tcgetattr(STDIN_FILENO, &old) == 0;

	if (is_terminal) {
		struct termios quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	bool ok = ask(question, out, size);
	if (is_terminal) {
		tcsetattr(STDIN_FILENO, TCSANOW, &old);
		putchar('\n');
	}
	return ok;
}

/* ---- what is shown ---- */

static void show_addresses(const struct menu *m)
{
	struct ifaddrs *all = NULL;
	char text[64];
	bool any = false;

	if (getifaddrs(&all) != 0) {
		return;
	}
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		int family = i->ifa_addr != NULL ? i->ifa_addr->sa_family : AF_UNSPEC;
		socklen_t n = family == AF_INET6 ? sizeof(struct sockaddr_in6)
						 : sizeof(struct sockaddr_in);
		if ((family != AF_INET && family != AF_INET6) || (i->ifa_flags & IFF_LOOPBACK) ||
		    getnameinfo(i->ifa_addr, n, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0 ||
		    strncmp(text, "fe80:", 5) == 0) {
			continue;
		}
		printf("  %-12s https://%s%s%s:%u/sdk (%s)\n", any ? "" : "API",
		       family == AF_INET6 ? "[" : "", text, family == AF_INET6 ? "]" : "",
		       m->node.port, i->ifa_name);
		any = true;
	}
	freeifaddrs(all);
	if (!any) {
		printf("  %-12s no network address yet\n", "API");
	}
}

static void show_agent(const struct menu *m)
{
	char *socket = mem_printf("%s/control.sock", m->folder->state);
	struct json_object *o = NULL;
	struct error e = { 0 };
	uint64_t vms = 0, running = 0;
	const char *accel = "", *why = "";

	if (!rpc_request(socket, "status", NULL, ANSWER_MS, &o, &e)) {
		printf("  %-12s does not answer: %s\n", "Agent", e.msg);
	} else {
		struct json_at root = json_root(o);
		json_get_u64(&root, "vms", &vms, NULL);
		json_get_u64(&root, "vms_running", &running, NULL);
		json_get_str(&root, "accel", &accel, NULL);
		json_get_str(&root, "accel_why", &why, NULL);
		printf("  %-12s runs; %llu of %llu machine(s) on; %s (%s)\n", "Agent",
		       (unsigned long long)running, (unsigned long long)vms, accel, why);
	}
	json_object_put(o);
	free(socket);
}

static void show_thumbprint(const struct menu *m)
{
	char *path = mem_printf("%s/cert.pem", m->folder->state);
	struct certificate_thumbprints t;

	if (certificate_thumbprints(path, &t, NULL)) {
		printf("  %-12s %s\n", "SHA-256", t.sha256);
	}
	free(path);
}

static void show_file(const char *label, const char *path)
{
	struct buf b = BUF_INIT;

	if (file_read(path, 4096, &b, NULL) && b.len > 0) {
		char *rest = b.data;
		for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
			if (line[0] != '\0') {
				printf("  %-12s %s\n", label, line);
				label = "";
			}
		}
	}
	buf_free(&b);
}

static void show(struct menu *m)
{
	char manager[WORD_MAX];
	char *password = mem_printf("%s/initial-password", m->folder->state);

	m->has_node = node_load(m->folder->state, &m->node, NULL);
	printf("\n  Remora %s on %s\n\n", REMORA_VERSION,
	       m->has_node ? m->node.name : "a node without a name yet");
	show_addresses(m);
	show_thumbprint(m);
	show_agent(m);
	if (node_joined(m->folder->state, manager, sizeof(manager))) {
		printf("  %-12s %s\n", "Manager", manager);
	}
	show_file("Refused", REFUSED);
	show_file("No manager", NOT_JOINED);
	if (access(password, F_OK) == 0) {
		printf("  %-12s none is set: set one with 3\n", "Password");
	}
	printf("\n  1 host name   2 address   3 password   4 manager\n"
	       "  5 shell       6 restart   7 power off   Enter: look again\n\n");
	free(password);
}

/* ---- who may ---- */

static bool password_is(const struct menu *m, const char *password)
{
	char *path = mem_printf("%s/users.json", m->folder->state);
	struct user_store *users = user_store_open(path, NULL);
	const struct user *root = users != NULL ? user_find(users, "root") : NULL;
	bool ok = root != NULL &&
		  crypto_pwhash_str_verify(root->hash, password, strlen(password)) == 0;

	user_store_free(users);
	free(path);
	return ok;
}

/* Who stands at the console may set the first password; after that it is asked for. */
static bool log_in(struct menu *m)
{
	char *first = mem_printf("%s/initial-password", m->folder->state);
	char *users = mem_printf("%s/users.json", m->folder->state);
	char word[WORD_MAX];
	bool ok = (m->logged_in != 0 && time(NULL) - m->logged_in < LOGGED_IN_S) ||
		  access(first, F_OK) == 0 || access(users, F_OK) != 0;

	free(first);
	free(users);
	if (!ok) {
		ok = ask_secret("  root's password: ", word, sizeof(word)) && password_is(m, word);
		sodium_memzero(word, sizeof(word));
		if (!ok) {
			sleep(FAILED_PAUSE);
			puts("  that is not the password");
		}
	}
	m->logged_in = ok ? time(NULL) : 0;
	return ok;
}

/* ---- what is done ---- */

/* A program with the console; its exit status. */
static int run(const char *const *words)
{
	int status = -1;

	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		execv(words[0], (char *const *)(const void *)words);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		return -1;
	}
	return WEXITSTATUS(status);
}

struct change {
	const char *key, *value; /* NULL: taken out */
};

/* Puts changed settings into the boot partition's file and applies them. They begin with those
 * that hold: what is wrong in a file that was refused is gone then. */
static void change(const struct menu *m, const struct change *changes, size_t n)
{
	struct node_settings *s = mem_zalloc(sizeof(*s));
	struct buf text = BUF_INIT, wrong = BUF_INIT;
	struct error e = { 0 };
	/* There may be two menus, one on a screen. */
	char *path = mem_printf("%s.%d", m->folder->settings, (int)getpid());
	char *holds = mem_printf("%s/" NODE_SETTINGS_HELD, m->folder->state);

	file_read(holds, NODE_SETTINGS_MAX, &text, NULL); /* none yet: a new file */
	free(holds);
	for (size_t i = 0; i < n; i++) {
		struct buf next = BUF_INIT;
		node_settings_set(text.data, changes[i].key, changes[i].value, &next);
		sodium_memzero(text.data, text.len);
		buf_free(&text);
		text = next;
	}
	if (!node_settings_read(text.data, text.len, s, &wrong)) {
		printf("  refused:\n%s", wrong.data);
	} else if (!file_write_atomic(path, text.data, text.len, 0600, &e)) {
		printf("  %s\n", e.msg);
	} else {
		const char *const words[] = { CHANGE, path, NULL };
		puts(run(words) == 0 ? "  done" : "  it could not be applied, see above");
	}
	sodium_memzero(s, sizeof(*s));
	sodium_memzero(text.data, text.len);
	free(s);
	free(path);
	buf_free(&text);
	buf_free(&wrong);
}

static void set_host_name(const struct menu *m)
{
	char word[WORD_MAX];

	if (ask("  host name: ", word, sizeof(word)) && word[0] != '\0') {
		change(m, &(struct change){ "hostname", word }, 1);
	}
}

static void set_address(const struct menu *m)
{
	char address[WORD_MAX], gateway[WORD_MAX] = "", dns[WORD_MAX] = "";

	if (!ask("  address with its network's length, or dhcp: ", address, sizeof(address)) ||
	    address[0] == '\0') {
		return;
	}
	if (strcmp(address, "dhcp") != 0 &&
	    (!ask("  gateway (Enter: none): ", gateway, sizeof(gateway)) ||
	     !ask("  name server (Enter: none): ", dns, sizeof(dns)))) {
		return;
	}
	const struct change changes[] = { { "address", address },
					  { "gateway", gateway[0] != '\0' ? gateway : NULL },
					  { "dns", dns[0] != '\0' ? dns : NULL } };
	change(m, changes, ARRAY_LEN(changes));
}

static void set_password(const struct menu *m)
{
	char one[WORD_MAX], two[WORD_MAX];

	if (ask_secret("  new password of root: ", one, sizeof(one)) &&
	    ask_secret("  once more: ", two, sizeof(two))) {
		if (strcmp(one, two) != 0) {
			puts("  they differ: nothing is changed");
		} else {
			change(m, &(struct change){ "password", one }, 1);
		}
	}
	sodium_memzero(one, sizeof(one));
	sodium_memzero(two, sizeof(two));
}

static void set_manager(const struct menu *m)
{
	char manager[WORD_MAX], print[WORD_MAX], user[WORD_MAX], secret[WORD_MAX], own[WORD_MAX];

	if (ask("  manager's address: ", manager, sizeof(manager)) && manager[0] != '\0' &&
	    ask("  its SHA-256 thumbprint: ", print, sizeof(print)) &&
	    ask("  user there: ", user, sizeof(user)) &&
	    ask_secret("  that user's password: ", secret, sizeof(secret)) &&
	    ask_secret("  root's password here: ", own, sizeof(own))) {
		const struct change changes[] = { { "manager", manager },
						  { "manager_thumbprint", print },
						  { "manager_user", user },
						  { "manager_password", secret },
						  { "password", own } };
		if (password_is(m, own)) {
			change(m, changes, ARRAY_LEN(changes));
		} else {
			puts("  that is not the password");
		}
	}
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(own, sizeof(own));
}

static void act(struct menu *m, char what)
{
	static const char *const shell[] = { "/bin/sh", "-l", NULL };
	static const char *const restart[] = { "/sbin/reboot", NULL };
	static const char *const off[] = { "/sbin/poweroff", NULL };

	switch (what) {
	case '1':
		set_host_name(m);
		break;
	case '2':
		set_address(m);
		break;
	case '3':
		set_password(m);
		break;
	case '4':
		set_manager(m);
		break;
	case '5':
		run(shell);
		break;
	default:
		puts("  the node is going down; its machines are stopped");
		run(what == '6' ? restart : off);
		sleep(GOING_DOWN_S); /* init ends us meanwhile */
		break;
	}
}

int node_menu(const struct node_folder *f)
{
	struct menu *m = mem_zalloc(sizeof(*m));
	char word[WORD_MAX];

	m->folder = f;
	signal(SIGINT, SIG_IGN); /* ^C leads nowhere */
	signal(SIGQUIT, SIG_IGN);
	for (show(m); ask("  choose: ", word, sizeof(word)); show(m)) {
		if (word[0] >= '1' && word[0] <= '7' && word[1] == '\0' && log_in(m)) {
			act(m, word[0]);
		}
	}
	free(m);
	return 0;
}

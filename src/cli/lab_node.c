/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lab.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/process.h"
#include "base/uuid.h"
#include "host/node.h"

enum {
	READY_S = 30,
	STOP_S = 15,
	POLL_MS = 30,
	FREE_POLLS = 100
};

static const struct lab_node native_nodes[] = {
	{ .name = "center",
	  .role = "manager",
	  .address = "127.0.10.1",
	  .program = "remora-centerd",
	  .cpus = 1,
	  .memory_mib = 512 },
	{ .name = "tor-1", .role = "switch", .program = "remora-switchd" },
	{ .name = "server-1",
	  .role = "server",
	  .address = "127.0.10.11",
	  .program = "remora-hostd",
	  .link = "link-1",
	  .cpus = 2,
	  .memory_mib = 2048 },
	{ .name = "dpu-1",
	  .role = "dpu",
	  .address = "127.0.10.12",
	  .program = "remora-hostd",
	  .server = "server-1",
	  .link = "link-1",
	  .endpoint = "10.255.0.12/24",
	  .cpus = 2,
	  .memory_mib = 1024 },
	{ .name = "server-2",
	  .role = "server",
	  .address = "127.0.10.21",
	  .program = "remora-hostd",
	  .link = "link-2",
	  .cpus = 2,
	  .memory_mib = 2048 },
	{ .name = "dpu-2",
	  .role = "dpu",
	  .address = "127.0.10.22",
	  .program = "remora-hostd",
	  .server = "server-2",
	  .link = "link-2",
	  .endpoint = "10.255.0.22/24",
	  .cpus = 2,
	  .memory_mib = 1024 },
};

/* The same with a 64-bit Arm card, which stands alone. */
static const struct lab_node arm64_nodes[] = {
	{ .name = "center",
	  .role = "manager",
	  .address = "127.0.10.1",
	  .program = "remora-centerd",
	  .cpus = 1,
	  .memory_mib = 512 },
	{ .name = "tor-1", .role = "switch", .program = "remora-switchd" },
	{ .name = "dpu-1",
	  .role = "dpu",
	  .address = "127.0.10.12",
	  .program = "qemu-system-aarch64",
	  .endpoint = "10.255.0.12/24",
	  .cpu = "cortex-a72",
	  .migration = "10.30.0.1/24",
	  .cpus = 2,
	  .memory_mib = 2048 },
	{ .name = "server-2",
	  .role = "server",
	  .address = "127.0.10.21",
	  .program = "remora-hostd",
	  .link = "link-2",
	  .cpus = 2,
	  .memory_mib = 2048 },
	{ .name = "dpu-2",
	  .role = "dpu",
	  .address = "127.0.10.22",
	  .program = "remora-hostd",
	  .server = "server-2",
	  .link = "link-2",
	  .endpoint = "10.255.0.22/24",
	  .cpus = 2,
	  .memory_mib = 1024 },
};

/* One more, to and from which VMs move. */
static const struct lab_node second_card = {
	.name = "dpu-3",
	.role = "dpu",
	.address = "127.0.10.32",
	.program = "qemu-system-aarch64",
	.endpoint = "10.255.0.32/24",
	.migration = "10.30.0.3/24",
	.cpus = 2,
	.memory_mib = 2048,
};
_Static_assert(ARRAY_LEN(arm64_nodes) < LAB_NODES_MAX, "room for one more");

void lab_nodes_of(struct lab *lab, bool is_arm64, const char *cpu)
{
	lab->is_arm64 = is_arm64;
	lab->nodes = is_arm64 ? arm64_nodes : native_nodes;
	lab->n_nodes = is_arm64 ? ARRAY_LEN(arm64_nodes) : ARRAY_LEN(native_nodes);
	snprintf(lab->cpu, sizeof(lab->cpu), "%s", cpu);
	if (is_arm64 && cpu[0] != '\0') {
		memcpy(lab->second, arm64_nodes, sizeof(arm64_nodes));
		lab->second[lab->n_nodes] = second_card;
		lab->second[lab->n_nodes++].cpu = lab->cpu;
		lab->nodes = lab->second;
	}
}

bool lab_node_is_host(const struct lab_node *n)
{
	return n->address != NULL && strcmp(n->role, "manager") != 0;
}

const struct lab_node *lab_node_find(const struct lab *lab, const char *name)
{
	for (size_t i = 0; i < lab->n_nodes; i++) {
		if (strcmp(lab->nodes[i].name, name) == 0) {
			return &lab->nodes[i];
		}
	}
	return NULL;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
}

/* ---- identity ---- */

static void node_uuid(const struct lab *lab, const struct lab_node *n, char out[37])
{
	char *seed = mem_printf("%s %s", lab->folder, n->name);
	struct uuid u = uuid_from_name(seed);

	uuid_format(&u, out);
	free(seed);
}

static bool is_switch(const struct lab_node *n)
{
	return n->address == NULL;
}

static bool node_prepare(const struct lab *lab, const struct lab_node *n, struct error *e)
{
	char *state = lab_path(lab, "nodes/%s", n->name);
	struct node node = { .port = LAB_PORT, .cpus = n->cpus, .memory_mib = n->memory_mib };
	bool good = file_make_dirs(state, 0700, e);

	node_uuid(lab, n, node.uuid);
	if (is_switch(n) || n->cpu != NULL) {
		free(state);
		return good && (is_switch(n) || lab_card_prepare(lab, n, node.uuid, e));
	}
	snprintf(node.name, sizeof(node.name), "%s", n->name);
	snprintf(node.address, sizeof(node.address), "%s", n->address);
	node.role = strcmp(n->role, "dpu") == 0	     ? NODE_DPU
		    : strcmp(n->role, "server") == 0 ? NODE_SERVER
						     : NODE_MANAGER;
	if (good && n->link != NULL) {
		char *link = lab_path(lab, "%s", n->link);
		good = file_make_dirs(link, 0700, e);
		const struct lab_node *server =
			n->server == NULL ? NULL : lab_node_find(lab, n->server);
		if (server != NULL) {
			snprintf(node.link, sizeof(node.link), "%s", link);
			node_uuid(lab, server, node.server_uuid);
		}
		free(link);
	}
	if (n->endpoint != NULL) {
		char *socket = lab_switch_socket(lab, n);
		node.n_uplinks = 1;
		snprintf(node.uplinks[0].kind, sizeof(node.uplinks[0].kind), "memif");
		snprintf(node.uplinks[0].path, sizeof(node.uplinks[0].path), "%s", socket);
		snprintf(node.endpoint, sizeof(node.endpoint), "%s", n->endpoint);
		free(socket);
	}
	good = good && node_save(state, &node, e);
	free(state);
	return good;
}

/* ---- the daemon ---- */

static bool identity_read(const struct lab *lab, const struct lab_node *n,
			  struct process_identity *who)
{
	char *path = lab_path(lab, "nodes/%s/process", n->name);
	struct buf b = BUF_INIT;
	bool good = file_read(path, 4096, &b, NULL) && process_identity_parse(b.data, who) &&
		    process_identity_is_running(who);

	buf_free(&b);
	free(path);
	return good;
}

bool lab_node_is_running(const struct lab *lab, const struct lab_node *n)
{
	struct process_identity who;

	return identity_read(lab, n, &who);
}

static bool answers(const struct lab_node *n)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(LAB_PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, n->address, &to.sin_addr);
	bool good = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
	if (fd >= 0) {
		close(fd);
	}
	return good;
}

static bool wait_ready(const struct lab *lab, const struct lab_node *n, struct error *e)
{
	if (is_switch(n)) {
		return lab_switch_ready(lab, n, e);
	}
	if (n->cpu != NULL) {
		return lab_card_ready(lab, n, e);
	}
	int64_t end = clock_mono_us(clock_real()) + READY_S * INT64_C(1000000);

	while (!answers(n)) {
		if (!lab_node_is_running(lab, n)) {
			return error_set(e, ERROR_STATE,
					 "\"%s\" ended at its start: see %s/nodes/%s/log", n->name,
					 lab->folder, n->name);
		}
		if (clock_mono_us(clock_real()) > end) {
			return error_set(e, ERROR_TIMEOUT,
					 "\"%s\" did not answer at %s:%d in %d s: see "
					 "%s/nodes/%s/log",
					 n->name, n->address, LAB_PORT, READY_S, lab->folder,
					 n->name);
		}
		nap();
	}
	return true;
}

/* Starts the program of a node, a process of its own, and writes down which it is. */
static bool spawn(const struct lab *lab, const struct lab_node *n, const char *const argv[],
		  struct error *e)
{
	char *log = lab_path(lab, "nodes/%s/log", n->name);
	char *identity = lab_path(lab, "nodes/%s/process", n->name);
	char text[PROCESS_IDENTITY_TEXT_SIZE];
	uv_loop_t loop;
	bool good = false;

	uv_loop_init(&loop);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		error_set_sys(e, errno, "\"%s\"", log);
	} else {
		struct process *p = process_spawn(&loop,
						  &(struct process_options){ .argv = argv,
									     .stdout_fd = fd,
									     .stderr_fd = fd,
									     .is_detached = true },
						  NULL, NULL, e);
		if (p != NULL) {
			process_identity_format(process_identity(p), text);
			good = file_write_atomic(identity, text, strlen(text), 0600, e);
			process_free(p);
		}
		close(fd);
	}
	uv_run(&loop, UV_RUN_NOWAIT);
	uv_loop_close(&loop);
	free(log);
	free(identity);
	return good;
}

static bool daemon_spawn(const struct lab *lab, const struct lab_node *n, struct error *e)
{
	char *program = mem_printf("%s/%s", lab->bin, n->program);
	char *state = lab_path(lab, "nodes/%s", n->name);
	char *link = n->link == NULL ? NULL : lab_path(lab, "%s", n->link);
	char *password = lab_path(lab, "password");
	const char *argv[10] = { program, "--state", state };
	size_t argc = 3;

	if (!is_switch(n)) {
		argv[argc++] = "--password-file";
		argv[argc++] = password;
	}
	if (link != NULL && strcmp(n->role, "server") == 0) {
		argv[argc++] = "--link";
		argv[argc++] = link;
	}
	bool good = spawn(lab, n, argv, e);
	free(program);
	free(state);
	free(link);
	free(password);
	return good;
}

static bool card_spawn(const struct lab *lab, const struct lab_node *n, struct error *e)
{
	const char *argv[LAB_CARD_ARGS];
	struct arena *words = arena_new(0);

	lab_card_argv(lab, n, words, argv);
	bool good = spawn(lab, n, argv, e);
	arena_free(words);
	return good;
}

/* A daemon that is started stands for a node that boots: its VMs start with it. */
static void forget_boot(const struct lab *lab, const struct lab_node *n)
{
	char *path = lab_path(lab, "nodes/%s/booted", n->name);

	unlink(path);
	free(path);
}

/* One that has been killed just now may not be gone yet. */
static bool is_taken(const struct lab_node *n)
{
	for (int i = 0; i < FREE_POLLS; i++) {
		if (!answers(n)) {
			return false;
		}
		nap();
	}
	return true;
}

bool lab_node_start(const struct lab *lab, const struct lab_node *n, struct error *e)
{
	if (lab_node_is_running(lab, n)) {
		return wait_ready(lab, n, e);
	}
	if (!is_switch(n) && is_taken(n)) {
		return error_set(e, ERROR_BUSY,
				 "%s:%d is in use by another program (another lab?): stop it first",
				 n->address, LAB_PORT);
	}
	forget_boot(lab, n);
	return node_prepare(lab, n, e) &&
	       (n->cpu != NULL ? card_spawn(lab, n, e) : daemon_spawn(lab, n, e)) &&
	       wait_ready(lab, n, e);
}

/* ---- stopping ---- */

static int open_pid(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Ends a process that we know by pidfd; waits until it is gone. */
static void end_process(int fd, bool at_once)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	syscall(SYS_pidfd_send_signal, fd, at_once ? SIGKILL : SIGTERM, NULL, 0);
	if (poll(&p, 1, STOP_S * 1000) == 0) {
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
		poll(&p, 1, STOP_S * 1000);
	}
}

/* A pid from a file may have been given to another program since: the command line tells. */
static bool has_on_command_line(pid_t pid, const char *word, size_t len)
{
	char path[64], text[16384];
	ssize_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	return n > 0 && memmem(text, (size_t)n, word, len) != NULL;
}

/* True when the process was started for the machine "vm-UUID.pid" names: its UUID is on the command
 * line. */
static bool belongs_to(pid_t pid, const char *name)
{
	return has_on_command_line(pid, name + strlen("vm-"),
				   strlen(name) - strlen("vm-") - strlen(".pid"));
}

static void end_machine(const char *run, const char *name, bool at_once)
{
	char *path = mem_printf("%s/%s", run, name);
	struct buf b = BUF_INIT;
	int64_t pid;

	if (file_read(path, 64, &b, NULL)) {
		b.data[strcspn(b.data, "\n ")] = '\0';
		if (number_i64(b.data, &pid) && pid > 1 && pid <= INT32_MAX) {
			int fd = open_pid((pid_t)pid);
			if (fd >= 0 && belongs_to((pid_t)pid, name)) {
				end_process(fd, at_once);
			}
			if (fd >= 0) {
				close(fd);
			}
		}
	}
	buf_free(&b);
	free(path);
}

/* The VMs of a host are processes of their own: run/vm-UUID.pid names each. */
static void end_machines(const struct lab *lab, const struct lab_node *n, bool at_once)
{
	char *run = lab_path(lab, "nodes/%s/run", n->name);
	DIR *d = opendir(run);
	struct dirent *x;

	while (d != NULL && (x = readdir(d)) != NULL) {
		size_t len = strlen(x->d_name);
		if (strncmp(x->d_name, "vm-", 3) == 0 && len > 7 &&
		    strcmp(x->d_name + len - 4, ".pid") == 0) {
			end_machine(run, x->d_name, at_once);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
	free(run);
}

/* All processes of a switch, by the state folder on their command lines: its keeper first, as that
 * would start others. */
static void kill_switch(const char *state)
{
	struct buf words = BUF_INIT;

	buf_addf(&words, "--state%c%s%c", '\0', state, '\0');
	for (int round = 0; round < 2; round++) {
		DIR *d = opendir("/proc");
		struct dirent *x;
		while (d != NULL && (x = readdir(d)) != NULL) {
			int64_t pid;
			if (!number_i64(x->d_name, &pid) || pid <= 1 ||
			    !has_on_command_line((pid_t)pid, words.data, words.len)) {
				continue;
			}
			bool is_keeper = !has_on_command_line((pid_t)pid, "--part=", 7);
			if (round == 1 || is_keeper) {
				int fd = open_pid((pid_t)pid);
				if (fd >= 0) {
					end_process(fd, true);
					close(fd);
				}
			}
		}
		if (d != NULL) {
			closedir(d);
		}
	}
	buf_free(&words);
}

/* A switch in good order: the process that its pid file names, where that has the state folder on
 * its command line; it takes the others along. What is left then, such as one that was only
 * beginning, and at once all of them, are killed. */
static void end_switch(const struct lab *lab, const struct lab_node *n, bool at_once)
{
	char *state = is_switch(n) ? lab_path(lab, "nodes/%s", n->name)
				   : lab_path(lab, "nodes/%s/switchd", n->name);
	char *path = mem_printf("%s/switchd.pid", state);
	struct buf b = BUF_INIT;
	int64_t pid;

	if (!at_once && file_read(path, 64, &b, NULL) && b.len > 0) {
		b.data[strcspn(b.data, "\n ")] = '\0';
		if (number_i64(b.data, &pid) && pid > 1 && pid <= INT32_MAX) {
			int fd = open_pid((pid_t)pid);
			if (fd >= 0 && has_on_command_line((pid_t)pid, state, strlen(state))) {
				end_process(fd, false);
			}
			if (fd >= 0) {
				close(fd);
			}
		}
	}
	kill_switch(state);
	buf_free(&b);
	free(path);
	free(state);
}

void lab_node_clear(const struct lab *lab, const struct lab_node *n)
{
	char uuid[37];
	struct error e;

	node_uuid(lab, n, uuid);
	char *flows = mem_printf("/dev/shm/remora-%s", uuid);
	if (lab_node_is_host(n) && !file_remove_tree_at(AT_FDCWD, flows, &e) &&
	    e.kind != ERROR_NOT_FOUND) {
		lab_complain(&e);
	}
	free(flows);
}

bool lab_node_stop(const struct lab *lab, const struct lab_node *n, bool at_once, struct error *e)
{
	struct process_identity who;

	(void)e;
	if (identity_read(lab, n, &who)) {
		int fd = open_pid(who.pid);
		/* The pid cannot have changed hands between: it is checked after it was opened. */
		if (fd >= 0 && process_identity_is_running(&who)) {
			end_process(fd, at_once);
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	if (n->cpu != NULL) {
		return true;
	}
	if (lab_node_is_host(n)) {
		end_machines(lab, n, at_once);
	}
	if (lab_node_is_host(n) || is_switch(n)) {
		end_switch(lab, n, at_once);
	}
	return true;
}

struct remote *lab_node_connect(const struct lab *lab, const struct lab_node *n, struct error *e)
{
	char *url = mem_printf("https://%s:%d/sdk", n->address, LAB_PORT);
	bool center = n == &lab->nodes[LAB_CENTER];
	struct remote *r = remote_open(
		&(struct remote_config){ .url = url,
					 .user = center ? LAB_CENTER_USER : LAB_HOST_USER,
					 .password = lab->password },
		e);

	if (r == NULL) {
		error_prefix(e, "%s: ", n->name);
	}
	free(url);
	return r;
}

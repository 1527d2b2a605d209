/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lab: a small data centre on one machine, as an ordinary user. Everything it has lies in one
 * folder (REMORA_LAB, else ~/.local/state/remora-lab):
 *
 *   password          of root on the hosts and of the manager's administrator, mode 0600
 *   nodes/NAME/       state of a node: node.json, datastores, run/, log, process
 *   nodes/tor-1/      the top-of-rack switch: state of its remora-switchd, and a memif socket for
 *                     each card that is plugged into it
 *   link-1/, link-2/  the folders that stand for the PCIe links between servers and cards
 *   guest/            the guest disk that was built
 *   arch              "arm64": dpu-1 is an emulated 64-bit Arm card that boots the image, and has
 *                     no server; absent where all nodes are programs of this machine
 *
 * An emulated card is a QEMU: nodes/dpu-1/ has its disk.img and remora.conf, the socket of its
 * serial console (console.sock, what it said in console.log) and process as other nodes have.
 */
#ifndef CLI_LAB_H
#define CLI_LAB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "cli/remote.h"

#define LAB_CENTER_USER "administrator@vsphere.local"
#define LAB_HOST_USER	"root"

struct lab_node {
	const char *name, *role; /* role: "manager", "switch", "server", "dpu" */
	const char *address;	 /* NULL: it has no API (a switch) */
	const char *program;	 /* "remora-hostd" */
	const char *server;	 /* of a DPU: the server it sits in */
	const char *link;	 /* folder of the PCIe link below the lab's, or NULL */
	const char *endpoint; /* plugged into the top-of-rack switch, with this tunnel endpoint; or
			       * NULL */
	const char *cpu; /* an emulated card's processor, as QEMU calls it; NULL: no such card */
	const char *migration; /* its address in the network that VMs move over */
	unsigned cpus, memory_mib;
};

enum {
	LAB_NODES_MAX = 8,
};

struct lab {
	char *folder;
	char password[40];
	char *bin; /* folder of our own program: the daemons are beside it */
	const struct lab_node *nodes;
	size_t n_nodes;
	bool is_arm64; /* the cards are emulated ones */
	char cpu[32];  /* of a second emulated card; "": there is one only */
	struct lab_node second[LAB_NODES_MAX]; /* with that, what `nodes` are */
};

/* What a lab is to be: written down when it is made. */
struct lab_kind {
	const char *arch; /* "arm64", "amd64"; NULL: as it is, else "amd64" */
	const char *cpu;  /* of a second emulated card; NULL: as it is, else none */
};

enum {
	LAB_CENTER = 0,
	LAB_PORT = 8443,
	LAB_CARD_ARGS = 56
};

/* Finds the folder; `make`: makes it and the password where missing. ERROR_NOT_FOUND: there is no
 * lab; ERROR_BUSY: it is one of another kind. */
bool lab_open(struct lab *lab, bool make, const struct lab_kind *kind, struct error *e);
void lab_close(struct lab *lab);
char *lab_path(const struct lab *lab, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The nodes of such a lab; `cpu`: of a second emulated card, or "". */
void lab_nodes_of(struct lab *lab, bool is_arm64, const char *cpu);
const struct lab_node *lab_node_find(const struct lab *lab, const char *name); /* or NULL */
bool lab_node_is_host(const struct lab_node *n);
bool lab_node_is_running(const struct lab *lab, const struct lab_node *n);

/* Starts the node's daemon unless it runs, and waits until it answers; a switch is given its
 * document. */
bool lab_node_start(const struct lab *lab, const struct lab_node *n, struct error *e);
/* Stops the whole node: its daemon and, for a host, the VMs on it and its switch. at_once: SIGKILL.
 */
bool lab_node_stop(const struct lab *lab, const struct lab_node *n, bool at_once, struct error *e);

/* Takes away what a stopped node has outside of the lab's folder: its connections' records, which
 * hostd keeps in memory where it can. */
void lab_node_clear(const struct lab *lab, const struct lab_node *n);

/* Logs in at a node. */
struct remote *lab_node_connect(const struct lab *lab, const struct lab_node *n, struct error *e);

/* An emulated card: makes its disk of the image and its settings, both anew from the lab's; the
 * disk is kept once it is there. Then the command line of its QEMU, an argv whose words live as
 * long as `words`. */
bool lab_card_prepare(const struct lab *lab, const struct lab_node *n, const char *uuid,
		      struct error *e);
void lab_card_argv(const struct lab *lab, const struct lab_node *n, struct arena *words,
		   const char *argv[LAB_CARD_ARGS]);
/* Waits until its hostd lets us in. */
bool lab_card_ready(const struct lab *lab, const struct lab_node *n, struct error *e);

/* The top-of-rack switch: waits until it answers and gives it its document. */
bool lab_switch_ready(const struct lab *lab, const struct lab_node *n, struct error *e);
/* Where a card is plugged into it; free(). */
char *lab_switch_socket(const struct lab *lab, const struct lab_node *card);
/* The same of an emulated card's adapter for VMs that move. */
char *lab_switch_migration_socket(const struct lab *lab, const struct lab_node *card);

/* The overlay segment that VMs on the cards are on, with the router's address there. */
#define LAB_SEGMENT "overlay-1"
#define LAB_GATEWAY "10.1.0.254/24"
bool lab_network_make(struct remote *r, struct error *e);

/* A VM's network card on that segment is given its address. */
struct lab_card {
	const char *vm, *uuid, *mac, *address; /* uuid: the VM's instance UUID */
	int32_t key;			       /* of the device */
};
bool lab_network_bind(struct remote *r, const struct lab_card *card, struct error *e);

/* The subcommands; argc and argv begin with the subcommand's own arguments. Exit status. */
int lab_up(struct lab *lab);
int lab_down(struct lab *lab);
int lab_status(struct lab *lab, bool json);
int lab_console(struct lab *lab, const char *vm);

/* The property of a content of which only the name was asked for; "" where there is none. */
const char *lab_content_name(const struct value *content);

/* "[   1.2 s] …" on standard output. */
void lab_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "remora: …" on standard error; 1. */
int lab_complain(const struct error *e);

#endif

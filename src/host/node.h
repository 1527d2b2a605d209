/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this node is (node.json in its state folder) and, where a SmartNIC sits in a server, the
 * paper the two exchange: card.json in the folder that stands for the PCIe link. The card writes
 * it, the server reads it; both forms are fixed in docs/ARCHITECTURE.md.
 *
 * Both files are read strictly: unknown members, wrong types, values out of bounds are errors that
 * name the member. card.json comes from another machine and is bounded in size and number.
 *
 * Plain structs without pointers; a card_watch belongs to one loop and its thread.
 */
#ifndef HOST_NODE_H
#define HOST_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"

enum node_role {
	NODE_SERVER,
	NODE_DPU,
	NODE_MANAGER,
};

#define NODE_UPLINKS_MAX 8
#define NODE_FLOWS	 131072 /* unless node.json says otherwise */
#define NODE_FUNCTIONS	 8	/* the same */

/* A way out of this node that its switch uses: a port as schema/plane-switch.json has them. */
struct node_uplink {
	char kind[12];	/* memif, device, af_packet, af_xdp, tap, stream */
	char path[256]; /* socket, interface or arguments of a device */
	uint32_t id;	/* memif: interface number */
	bool server;	/* memif, stream: the switch makes the socket */
};

struct node {
	char uuid[37];
	char name[256];
	enum node_role role;
	char address[64]; /* numeric, what the node listens on */
	uint16_t port;
	uint32_t cpus;	      /* threads of the share this node may use */
	uint64_t memory_mib;  /* of the share */
	char server_uuid[37]; /* of a DPU: the server it sits in; else empty */
	char link[1024];      /* the link's folder; empty: none */
	size_t n_uplinks;
	struct node_uplink uplinks[NODE_UPLINKS_MAX];
	char endpoint[64];	    /* tunnel endpoint "10.255.0.12/24"; empty: none */
	char endpoint_gateway[64];  /* empty: none */
	char migration_address[64]; /* numeric, where VMs that move come in; empty: `address` */
	uint32_t flows;		    /* room in the switch's flow table; 0: NODE_FLOWS */
	char plane_cpus[64];	    /* host/cores.h: what is wanted; empty: nothing special */
	bool has_functions;	    /* node.json says how many: */
	uint32_t functions;	    /* network functions that a DPU lends to its server's VMs */
};

/* "server", "dpu", "manager" */
const char *node_role_name(enum node_role role);

/* The MAC address that the i-th uplink shows: made from the node's uuid, always the same. */
void node_uplink_mac(const struct node *n, size_t i, char out[18]);

/* How many network functions the node lends: 0 where it is no card, or has no link. */
size_t node_functions(const struct node *n);
/* The MAC address of the i-th of them: made from the node's uuid, always the same. */
void node_function_mac(const struct node *n, size_t i, char out[18]);

/* Reads STATE/node.json: ERROR_NOT_FOUND, ERROR_CORRUPT. */
bool node_load(const char *state, struct node *out, struct error *e);

/* Writes it atomically, mode 0600, after the same checks as reading makes. */
bool node_save(const char *state, const struct node *n, struct error *e);

/* Reads it, or at the first start makes it from the hardware beneath `root` ("" or a test's tree):
 * SMBIOS uuid (else one from the board's serial number, else a random one), host name, a card's
 * role where the board is one (board.h), all CPUs and memory, address :: (all, of both families),
 * port 443 where this process may bind it, else 8443.
 */
bool node_load_or_make(const char *state, const char *root, struct node *out, struct error *e);

enum card_function_kind {
	CARD_NET,   /* "net" */
	CARD_BLOCK, /* "blk" */
};

/* card.json: {dpu_id, uuid, model, functions: [{name, kind, mac, card?, up?, addresses?},
 * {name, kind, volume}]}. The name is its kind and a number below 10000, "net-0", "blk-1". A
 * network function has a folder LINK/NAME, in which whoever drives it makes CARD_SOCKET; it is for
 * the VM's network card that `card` names, and for nobody where that is missing. */
#define CARD_SOCKET	   "wire.sock"
#define CARD_ADDRESSES_MAX 4

struct card_function {
	enum card_function_kind kind;
	char name[16];
	char mac[18];	  /* net: "02:1a:…", lower case, unicast */
	char volume[128]; /* block */
	char card[48];	  /* net: "INSTANCEUUID.KEY"; "": free */
	bool is_up;	  /* net: its other side is connected */
	size_t n_addresses;
	char addresses[CARD_ADDRESSES_MAX][46]; /* net: seen there, as text */
};

#define CARD_FUNCTIONS_MAX 256
#define CARD_FILE_MAX	   262144

struct card { /* 110 KiB: rather on the heap */
	char dpu_id[128];
	char uuid[37];
	char model[128];
	size_t n_functions;
	struct card_function functions[CARD_FUNCTIONS_MAX];
};

bool card_write(const char *link, const struct card *c, struct error *e);
bool card_read(const char *link, struct card *out, struct error *e);

/* Calls `changed` on the loop: soon after the start, and whenever the content changed; with
 * card NULL and the reason when there is none any more or it is malformed. Besides file events it
 * looks every recheck_ms itself (0: 5000). The link folder may be missing and appear later. */
struct card_watch_config {
	uv_loop_t *loop;
	const char *link;
	uint64_t recheck_ms;
	void (*changed)(void *arg, const struct card *card, const struct error *why);
	void *arg;
};
struct card_watch;
struct card_watch *card_watch_new(const struct card_watch_config *c);

/* May be called from within `changed`; its memory goes when the loop next runs. */
void card_watch_free(struct card_watch *w);

#endif

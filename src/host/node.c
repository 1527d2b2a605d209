/* SPDX-License-Identifier: Apache-2.0 */
#include "host/node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/macro.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/uuid.h"
#include "host/board.h"
#include "host/cores.h"
#include "host/hardware.h"
#include "host/text.h"

#define NODE_FILE_MAX	65536
#define NODE_CPUS_MAX	HARDWARE_CPUS_MAX
#define NODE_MEMORY_MAX (1ull << 30) /* MiB: a PiB */

static const char *const role_names[] = {
	[NODE_SERVER] = "server", [NODE_DPU] = "dpu", [NODE_MANAGER] = "manager"
};

const char *node_role_name(enum node_role role)
{
	return role_names[role];
}

void node_uplink_mac(const struct node *n, size_t i, char out[18])
{
	char *name = mem_printf("uplink:%s:%zu", n->uuid, i);
	struct uuid u = uuid_from_name(name);

	free(name);
	snprintf(out, 18, "02:52:%02x:%02x:%02x:%02x", u.b[0], u.b[1], u.b[2], u.b[3]);
}

size_t node_functions(const struct node *n)
{
	if (n->role != NODE_DPU || n->link[0] == '\0') {
		return 0;
	}
	return n->has_functions ? n->functions : NODE_FUNCTIONS;
}

void node_function_mac(const struct node *n, size_t i, char out[18])
{
	char *name = mem_printf("function:%s:%zu", n->uuid, i);
	struct uuid u = uuid_from_name(name);

	free(name);
	snprintf(out, 18, "02:52:%02x:%02x:%02x:%02x", u.b[0], u.b[1], u.b[2], u.b[3]);
}

/* ---- checks, the same for what is read and what is to be written ---- */

static bool check_uuid(const char *member, const char *text, struct error *e)
{
	struct uuid u;
	return uuid_parse(text, &u) ||
	       error_set(e, ERROR_CORRUPT, "\"%s\": \"%.60s\" is not a uuid", member, text);
}

static bool check_address(const char *text, struct error *e)
{
	struct in6_addr a;
	return inet_pton(AF_INET, text, &a) == 1 || inet_pton(AF_INET6, text, &a) == 1 ||
	       error_set(e, ERROR_CORRUPT, "\"address\": \"%.60s\" is not a numeric IP address",
			 text);
}

static bool check_share(const struct node *n, struct error *e)
{
	if (n->cpus < 1 || n->cpus > NODE_CPUS_MAX) {
		return error_set(e, ERROR_CORRUPT, "\"cpus\": %u is not from 1 to %d", n->cpus,
				 NODE_CPUS_MAX);
	}
	return (n->memory_mib >= 1 && n->memory_mib <= NODE_MEMORY_MAX) ||
	       error_set(e, ERROR_CORRUPT, "\"memory_mib\": %llu is not from 1 to %llu",
			 (unsigned long long)n->memory_mib, NODE_MEMORY_MAX);
}

static bool check_uplinks(const struct node *n, struct error *e)
{
	static const char *const kinds[] = { "memif",  "device", "af_packet",
					     "af_xdp", "tap",	 "stream" };

	for (size_t i = 0; i < n->n_uplinks; i++) {
		const struct node_uplink *u = &n->uplinks[i];
		bool is_known = false;
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			is_known |= strcmp(kinds[k], u->kind) == 0;
		}
		if (!is_known) {
			return error_set(e, ERROR_CORRUPT,
					 "\"uplinks[%zu].kind\": \"%s\" is none of memif, device, "
					 "af_packet, af_xdp, tap, stream",
					 i, u->kind);
		}
		if (u->path[0] == '\0') {
			return error_set(e, ERROR_CORRUPT, "\"uplinks[%zu].path\" is empty", i);
		}
	}
	return true;
}

/* An address, with the length of its network where `with_length`. */
static bool check_endpoint(const char *member, const char *text, bool with_length, struct error *e)
{
	const char *slash = strchr(text, '/');
	char address[64];
	struct in6_addr a;
	uint64_t length = 0;

	snprintf(address, sizeof(address), "%.*s",
		 (int)(slash != NULL ? (size_t)(slash - text) : strlen(text)), text);
	uint64_t most = inet_pton(AF_INET, address, &a) == 1	? 32
			: inet_pton(AF_INET6, address, &a) == 1 ? 128
								: 0;
	bool good = most != 0 && (slash != NULL) == with_length &&
		    (slash == NULL || (number_u64(slash + 1, &length) && length <= most));
	return good || error_set(e, ERROR_CORRUPT, "\"%s\": \"%.60s\" is not of the form %s",
				 member, text, with_length ? "10.0.0.1/24" : "10.0.0.1");
}

static bool check_network(const struct node *n, struct error *e)
{
	if (n->endpoint[0] != '\0' && n->n_uplinks == 0) {
		return error_set(e, ERROR_CORRUPT, "\"endpoint\" needs one of \"uplinks\"");
	}
	if ((n->endpoint[0] != '\0' && !check_endpoint("endpoint", n->endpoint, true, e)) ||
	    (n->endpoint_gateway[0] != '\0' &&
	     !check_endpoint("endpoint_gateway", n->endpoint_gateway, false, e))) {
		return false;
	}
	if (n->migration_address[0] != '\0' &&
	    !check_endpoint("migration_address", n->migration_address, false, e)) {
		return false;
	}
	if (n->functions > CARD_FUNCTIONS_MAX) {
		return error_set(e, ERROR_CORRUPT, "\"functions\": %u is not from 0 to %d",
				 n->functions, CARD_FUNCTIONS_MAX);
	}
	if (n->plane_cpus[0] != '\0' && !cores_wanted_check(n->plane_cpus, e)) {
		error_prefix(e, "\"plane_cpus\": ");
		return false;
	}
	bool good = n->flows == 0 || (n->flows >= 1024 && (n->flows & (n->flows - 1)) == 0);
	return (good || error_set(e, ERROR_CORRUPT, "\"flows\": %u is no power of two from 1024 on",
				  n->flows)) &&
	       check_uplinks(n, e);
}

static bool check_node(const struct node *n, struct error *e)
{
	size_t len = strlen(n->name);
	if (len == 0 || text_has_control(n->name, len) || strchr(n->name, '/') != NULL) {
		return error_set(e, ERROR_CORRUPT, "\"name\": \"%.60s\" cannot be a node's name",
				 n->name);
	}
	if (n->port == 0) {
		return error_set(e, ERROR_CORRUPT, "\"port\": 0 is not from 1 to 65535");
	}
	if (n->link[0] != '\0' && n->link[0] != '/') {
		return error_set(e, ERROR_CORRUPT, "\"link\": \"%.100s\" is not an absolute path",
				 n->link);
	}
	if (n->server_uuid[0] != '\0' && !check_uuid("server_uuid", n->server_uuid, e)) {
		return false;
	}
	return check_uuid("uuid", n->uuid, e) && check_address(n->address, e) &&
	       check_share(n, e) && check_network(n, e);
}

/* ---- reading ---- */

/* A string member into a fixed array; false where it is longer. */
static bool take_text(const struct json_at *at, const char *key, char *out, size_t size,
		      struct error *e)
{
	const char *text;
	if (!json_get_str(at, key, &text, e)) {
		return false;
	}
	if (strlen(text) >= size) {
		return error_set(e, ERROR_LIMIT, "\"%s\" has more than %zu bytes", key, size - 1);
	}
	snprintf(out, size, "%s", text);
	return true;
}

static bool take_role(const struct json_at *at, enum node_role *out, struct error *e)
{
	char text[16];
	if (!take_text(at, "role", text, sizeof(text), e)) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
		if (strcmp(role_names[i], text) == 0) {
			*out = (enum node_role)i;
			return true;
		}
	}
	return error_set(e, ERROR_CORRUPT, "\"role\": \"%s\" is none of server, dpu, manager",
			 text);
}

static bool take_port(const struct json_at *at, uint16_t *out, struct error *e)
{
	uint32_t port;
	if (!json_get_u32(at, "port", &port, e)) {
		return false;
	}
	if (port < 1 || port > UINT16_MAX) {
		return error_set(e, ERROR_CORRUPT, "\"port\": %u is not from 1 to 65535", port);
	}
	*out = (uint16_t)port;
	return true;
}

static bool read_uplink(const struct json_at *at, struct node_uplink *u, struct error *e)
{
	static const char *const members[] = { "kind", "path", "id", "server" };

	return json_as_object(at, e) && json_check_members(at, members, ARRAY_LEN(members), e) &&
	       take_text(at, "kind", u->kind, sizeof(u->kind), e) &&
	       take_text(at, "path", u->path, sizeof(u->path), e) &&
	       (!json_has(at, "id") || json_get_u32(at, "id", &u->id, e)) &&
	       (!json_has(at, "server") || json_get_bool(at, "server", &u->server, e));
}

static bool read_network(const struct json_at *at, struct node *n, struct error *e)
{
	struct json_at list;

	n->has_functions = json_has(at, "functions");
	if (json_has(at, "uplinks")) {
		if (!json_get_array(at, "uplinks", &list, e)) {
			return false;
		}
		if (json_array_n(&list) > NODE_UPLINKS_MAX) {
			return error_set(e, ERROR_LIMIT, "\"uplinks\" has more than %d items",
					 NODE_UPLINKS_MAX);
		}
		for (size_t i = 0; i < json_array_n(&list); i++) {
			struct json_at item = json_item(&list, i);
			if (!read_uplink(&item, &n->uplinks[n->n_uplinks++], e)) {
				return false;
			}
		}
	}
	return (!json_has(at, "endpoint") ||
		take_text(at, "endpoint", n->endpoint, sizeof(n->endpoint), e)) &&
	       (!json_has(at, "endpoint_gateway") ||
		take_text(at, "endpoint_gateway", n->endpoint_gateway, sizeof(n->endpoint_gateway),
			  e)) &&
	       (!json_has(at, "migration_address") ||
		take_text(at, "migration_address", n->migration_address,
			  sizeof(n->migration_address), e)) &&
	       (!json_has(at, "plane_cpus") ||
		take_text(at, "plane_cpus", n->plane_cpus, sizeof(n->plane_cpus), e)) &&
	       (!json_has(at, "flows") || json_get_u32(at, "flows", &n->flows, e)) &&
	       (!n->has_functions || json_get_u32(at, "functions", &n->functions, e));
}

static bool read_node(const struct json_at *at, struct node *n, struct error *e)
{
	static const char *const members[] = { "uuid",	     "name",	  "role",
					       "address",    "port",	  "cpus",
					       "memory_mib", "link",	  "server_uuid",
					       "uplinks",    "endpoint",  "endpoint_gateway",
					       "flows",	     "functions", "migration_address",
					       "plane_cpus" };
	return json_as_object(at, e) && json_check_members(at, members, ARRAY_LEN(members), e) &&
	       take_text(at, "uuid", n->uuid, sizeof(n->uuid), e) &&
	       take_text(at, "name", n->name, sizeof(n->name), e) && take_role(at, &n->role, e) &&
	       take_text(at, "address", n->address, sizeof(n->address), e) &&
	       take_port(at, &n->port, e) && json_get_u32(at, "cpus", &n->cpus, e) &&
	       json_get_u64(at, "memory_mib", &n->memory_mib, e) &&
	       (!json_has(at, "server_uuid") ||
		take_text(at, "server_uuid", n->server_uuid, sizeof(n->server_uuid), e)) &&
	       (!json_has(at, "link") || take_text(at, "link", n->link, sizeof(n->link), e)) &&
	       read_network(at, n, e) && check_node(n, e);
}

bool node_load(const char *state, struct node *out, struct error *e)
{
	struct error why = { 0 };
	char *path = mem_printf("%s/node.json", state);
	struct json_object *doc = json_parse_file(path, NODE_FILE_MAX, &why);
	struct node n = { 0 };
	bool ok = doc != NULL;
	if (ok) {
		struct json_at at = json_root(doc);
		ok = read_node(&at, &n, &why) || error_prefix(&why, "\"%.100s\": ", path);
		json_object_put(doc);
	}
	if (ok) {
		*out = n;
	} else if (e != NULL) {
		*e = why;
		/* A file that says something impossible was not written by us, or was damaged. */
		e->kind = why.kind == ERROR_INVALID ? ERROR_CORRUPT : why.kind;
	}
	free(path);
	return ok;
}

static void write_network(const struct node *n, struct json_object *doc)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < n->n_uplinks; i++) {
		const struct node_uplink *u = &n->uplinks[i];
		struct json_object *o = json_object_new_object();
		json_put_str(o, "kind", u->kind);
		json_put_str(o, "path", u->path);
		if (u->id != 0) {
			json_put_u64(o, "id", u->id);
		}
		if (u->server) {
			json_put_bool(o, "server", true);
		}
		json_object_array_add(list, o);
	}
	if (n->n_uplinks > 0) {
		json_put(doc, "uplinks", list);
	} else {
		json_object_put(list);
	}
	if (n->endpoint[0] != '\0') {
		json_put_str(doc, "endpoint", n->endpoint);
	}
	if (n->endpoint_gateway[0] != '\0') {
		json_put_str(doc, "endpoint_gateway", n->endpoint_gateway);
	}
	if (n->migration_address[0] != '\0') {
		json_put_str(doc, "migration_address", n->migration_address);
	}
	if (n->plane_cpus[0] != '\0') {
		json_put_str(doc, "plane_cpus", n->plane_cpus);
	}
	if (n->flows != 0) {
		json_put_u64(doc, "flows", n->flows);
	}
	if (n->has_functions) {
		json_put_u64(doc, "functions", n->functions);
	}
}

bool node_save(const char *state, const struct node *n, struct error *e)
{
	if (!check_node(n, e)) {
		return false;
	}
	struct json_object *doc = json_object_new_object();
	json_put_str(doc, "uuid", n->uuid);
	json_put_str(doc, "name", n->name);
	json_put_str(doc, "role", node_role_name(n->role));
	json_put_str(doc, "address", n->address);
	json_put_u64(doc, "port", n->port);
	json_put_u64(doc, "cpus", n->cpus);
	json_put_u64(doc, "memory_mib", n->memory_mib);
	if (n->server_uuid[0] != '\0') {
		json_put_str(doc, "server_uuid", n->server_uuid);
	}
	if (n->link[0] != '\0') {
		json_put_str(doc, "link", n->link);
	}
	write_network(n, doc);
	struct buf b = BUF_INIT;
	json_add_text(&b, doc);
	buf_addc(&b, '\n');
	json_object_put(doc);
	char *path = mem_printf("%s/node.json", state);
	bool ok = file_write_atomic(path, b.data, b.len, 0600, e);
	free(path);
	buf_free(&b);
	return ok;
}

/* ---- making ---- */

/* 443 where this process may have it; that somebody else has it now is another matter. */
static uint16_t choose_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(443) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = fd >= 0 ? bind(fd, (const struct sockaddr *)&a, sizeof(a)) : -1;
	bool ok = rc == 0 || (fd >= 0 && errno == EADDRINUSE);
	if (fd >= 0) {
		close(fd);
	}
	return ok ? 443 : 8443;
}

static void make_uuid(const struct hardware *h, char out[37])
{
	const struct hardware_system *s = &h->system;
	if (s->uuid[0] != '\0') {
		memcpy(out, s->uuid, sizeof(s->uuid));
	} else if (s->serial[0] != '\0') {
		char *name = mem_printf("node:%s:%s:%s", s->vendor, s->model, s->serial);
		struct uuid u = uuid_from_name(name);
		uuid_format(&u, out);
		free(name);
	} else {
		uuid_random_text(out);
	}
}

static bool make_node(const char *root, struct node *n, struct error *e)
{
	struct hardware h;
	hardware_read(&h, root);
	bool is_card = h.board != NULL && h.board->is_card;
	*n = (struct node){ .role = is_card ? NODE_DPU : NODE_SERVER,
			    .address = "::",
			    .port = choose_port(),
			    .cpus = h.cpu.n_threads,
			    .memory_mib = h.memory >> 20 };
	make_uuid(&h, n->uuid);
	snprintf(n->name, sizeof(n->name), "%s",
		 h.os.hostname[0] != '\0' ? h.os.hostname : "localhost");
	bool known = h.cpu.n_threads > 0 && h.memory > 0;
	hardware_fini(&h);
	return known || error_set(e, ERROR_UNSUPPORTED,
				  "neither /proc nor /sys says how much CPU and memory there is");
}

bool node_load_or_make(const char *state, const char *root, struct node *out, struct error *e)
{
	struct error why = { 0 };
	struct node n;
	if (node_load(state, out, &why)) {
		return true;
	}
	if (why.kind != ERROR_NOT_FOUND) {
		if (e != NULL) {
			*e = why;
		}
		return false;
	}
	if (!make_node(root, &n, e) || !node_save(state, &n, e)) {
		return false;
	}
	*out = n;
	return true;
}

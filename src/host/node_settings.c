/* SPDX-License-Identifier: Apache-2.0 */
#include "host/node_settings.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/macro.h"
#include "base/number.h"
#include "base/uuid.h"

enum {
	MISTAKES_MAX = 20,
	SHOWN_MAX = 40, /* bytes of a word in a message */
};

/* Checks a value and puts it where `to` points; ERROR_INVALID says what is wanted. */
typedef bool setting_check(const char *value, void *to, size_t size, struct error *e);

static bool take_text(const char *value, void *to, size_t size, struct error *e)
{
	if (strlen(value) >= size) {
		return error_set(e, ERROR_LIMIT, "%zu bytes, at most %zu", strlen(value), size - 1);
	}
	memcpy(to, value, strlen(value) + 1);
	return true;
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A host name's label as RFC 1123, section 2.1, has it. */
static bool check_hostname(const char *value, void *to, size_t size, struct error *e)
{
	size_t n = strlen(value);
	bool ok = n > 0 && is_letter_or_digit(value[0]) && is_letter_or_digit(value[n - 1]);

	for (size_t i = 0; ok && i < n; i++) {
		ok = is_letter_or_digit(value[i]) || value[i] == '-';
	}
	if (!ok) {
		return error_set(e, ERROR_INVALID,
				 "letters, digits and, in between, \"-\" make a host name");
	}
	return take_text(value, to, size, e);
}

static bool check_interface(const char *value, void *to, size_t size, struct error *e)
{
	for (const char *p = value; *p != '\0'; p++) {
		if (!is_letter_or_digit(*p) && strchr("-_.", *p) == NULL) {
			return error_set(e, ERROR_INVALID, "no name of a network interface");
		}
	}
	return take_text(value, to, size, e);
}

/* AF_INET or AF_INET6; 0: neither. */
static int family_of(const char *text)
{
	struct in6_addr any;

	if (inet_pton(AF_INET, text, &any) == 1) {
		return AF_INET;
	}
	return inet_pton(AF_INET6, text, &any) == 1 ? AF_INET6 : 0;
}

static bool check_ip(const char *value, void *to, size_t size, struct error *e)
{
	if (value[0] != '\0' && family_of(value) == 0) {
		return error_set(e, ERROR_INVALID, "no IPv4 or IPv6 address");
	}
	return take_text(value, to, size, e);
}

static bool check_network(const char *value, void *to, size_t size, struct error *e)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(value, '/');
	size_t n = slash != NULL ? (size_t)(slash - value) : 0;
	uint32_t length = 0;
	int family = 0;

	if (value[0] == '\0') {
		return take_text(value, to, size, e);
	}
	if (n > 0 && n < sizeof(address)) {
		memcpy(address, value, n);
		address[n] = '\0';
		family = family_of(address);
	}
	if (family == 0 || !number_u32(slash + 1, &length) || slash[1] == '+' || length == 0 ||
	    length > (family == AF_INET ? 32u : 128u)) {
		return error_set(e, ERROR_INVALID,
				 "wanted is an address with its network's length, such as "
				 "192.168.1.7/24");
	}
	return take_text(value, to, size, e);
}

static bool check_address(const char *value, void *to, size_t size, struct error *e)
{
	return strcmp(value, "dhcp") == 0 ? take_text(value, to, size, e)
					  : check_network(value, to, size, e);
}

static bool check_password(const char *value, void *to, size_t size, struct error *e)
{
	if (value[0] == '\0') {
		return error_set(e, ERROR_INVALID, "it is empty");
	}
	return take_text(value, to, size, e);
}

static bool check_uuid(const char *value, void *to, size_t size, struct error *e)
{
	struct uuid u;

	if (!uuid_parse(value, &u)) {
		return error_set(e, ERROR_INVALID, "no UUID");
	}
	return take_text(value, to, size, e);
}

static bool check_manager(const char *value, void *to, size_t size, struct error *e)
{
	char host[256];
	uint16_t port = 0;

	if (!address_split(value, host, sizeof(host), &port, e)) {
		return false;
	}
	if (host[0] == '\0') {
		return error_set(e, ERROR_INVALID, "no host is named");
	}
	return take_text(value, to, size, e);
}

/* Hex pairs with colons: 20 of SHA-1 or 32 of SHA-256. */
static bool check_thumbprint(const char *value, void *to, size_t size, struct error *e)
{
	size_t n = strlen(value);
	bool ok = n == 20 * 3 - 1 || n == 32 * 3 - 1;

	for (size_t i = 0; ok && i < n; i++) {
		ok = i % 3 == 2 ? value[i] == ':'
				: strchr("0123456789abcdefABCDEF", value[i]) != NULL;
	}
	if (!ok) {
		return error_set(e, ERROR_INVALID,
				 "wanted is a SHA-1 or SHA-256 thumbprint, hex pairs with colons");
	}
	return take_text(value, to, size, e);
}

static bool check_role(const char *value, void *to, size_t size, struct error *e)
{
	if (strcmp(value, "server") != 0 && strcmp(value, "dpu") != 0) {
		return error_set(e, ERROR_INVALID, "there are \"server\" and \"dpu\"");
	}
	return take_text(value, to, size, e);
}

static bool take_number(const char *value, void *to, uint64_t most, struct error *e)
{
	uint64_t number;

	if (!number_u64(value, &number) || value[0] == '+' || number == 0 || number > most) {
		return error_set(e, ERROR_INVALID, "wanted is a number from 1 to %llu",
				 (unsigned long long)most);
	}
	memcpy(to, &number, sizeof(number));
	return true;
}

static bool check_port(const char *value, void *to, size_t size, struct error *e)
{
	(void)size;
	return take_number(value, to, 65535, e);
}

static bool check_cpus(const char *value, void *to, size_t size, struct error *e)
{
	(void)size;
	return take_number(value, to, 4096, e);
}

static bool check_memory(const char *value, void *to, size_t size, struct error *e)
{
	(void)size;
	return take_number(value, to, 1u << 30, e);
}

/* One word of `uplinks`: an interface, or KIND:WHAT. */
static bool take_uplink(const char *word, struct node_uplink *u, struct error *e)
{
	static const char *const kinds[] = { "af_packet", "af_xdp", "device" };

	*u = (struct node_uplink){ .kind = "af_packet" };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i]);
		if (strncmp(word, kinds[i], n) == 0 && word[n] == ':') {
			memcpy(u->kind, kinds[i], n + 1);
			word += n + 1;
			break;
		}
	}
	if (strcmp(u->kind, "device") == 0) {
		return take_text(word, u->path, sizeof(u->path), e);
	}
	return check_interface(word, u->path, sizeof(((struct node_settings *)0)->interface), e);
}

static bool check_uplinks(const char *value, void *to, size_t size, struct error *e)
{
	struct node_settings *s = to;
	char copy[NODE_SETTINGS_LINE_MAX + 1], *rest = copy;

	(void)size;
	memcpy(copy, value, strlen(value) + 1);
	for (char *word; (word = strsep(&rest, " \t,")) != NULL;) {
		if (word[0] == '\0') {
			continue;
		}
		if (s->n_uplinks == NODE_UPLINKS_MAX) {
			return error_set(e, ERROR_LIMIT, "more than %d", NODE_UPLINKS_MAX);
		}
		if (!take_uplink(word, &s->uplinks[s->n_uplinks], e)) {
			return error_prefix(e, "\"%.*s\": ", SHOWN_MAX, word);
		}
		s->n_uplinks++;
	}
	return true;
}

#define SETTING(member, check)                                                                     \
	{                                                                                          \
#member, check, offsetof(struct node_settings, member),                            \
			sizeof(((struct node_settings *)0)->member)                                \
	}

static const struct setting {
	const char *key;
	setting_check *check;
	size_t at, size;
} settings[] = {
	SETTING(hostname, check_hostname),
	SETTING(interface, check_interface),
	SETTING(address, check_address),
	SETTING(gateway, check_ip),
	SETTING(dns, check_ip),
	SETTING(migration_interface, check_interface),
	SETTING(migration_address, check_network),
	SETTING(password, check_password),
	SETTING(manager, check_manager),
	SETTING(manager_thumbprint, check_thumbprint),
	SETTING(manager_user, check_password),
	SETTING(manager_password, check_password),
	SETTING(uuid, check_uuid),
	SETTING(role, check_role),
	SETTING(server_uuid, check_uuid),
	SETTING(endpoint, check_network),
	SETTING(endpoint_gateway, check_ip),
	SETTING(port, check_port),
	SETTING(cpus, check_cpus),
	SETTING(memory_mib, check_memory),
	{ "uplinks", check_uplinks, 0, sizeof(struct node_settings) },
};
_Static_assert(ARRAY_LEN(settings) <= 32, "one bit each in reading.seen");

struct reading {
	struct node_settings *out;
	struct buf *wrong;
	unsigned line, mistakes;
	uint32_t seen; /* bit i: settings[i] stood there */
};

static void mistake(struct reading *r, const char *key, const char *why)
{
	if (r->mistakes++ < MISTAKES_MAX) {
		buf_addf(r->wrong, "line %u: \"%.*s\": %s\n", r->line, SHOWN_MAX, key, why);
	}
}

static char *trim(char *s)
{
	s += strspn(s, " \t");
	for (size_t n = strlen(s); n > 0 && strchr(" \t\r", s[n - 1]) != NULL; n--) {
		s[n - 1] = '\0';
	}
	return s;
}

static void read_setting(struct reading *r, const char *key, const char *value)
{
	struct error e = { 0 };
	size_t i = 0;

	while (i < ARRAY_LEN(settings) && strcmp(settings[i].key, key) != 0) {
		i++;
	}
	if (i == ARRAY_LEN(settings)) {
		mistake(r, key, "there is no such setting");
	} else if ((r->seen & 1u << i) != 0) {
		mistake(r, key, "it is there twice");
	} else if (!settings[i].check(value, (char *)r->out + settings[i].at, settings[i].size,
				      &e)) {
		mistake(r, key, e.msg);
	}
	if (i < ARRAY_LEN(settings)) {
		r->seen |= 1u << i;
	}
}

static void read_line(struct reading *r, const char *text, size_t n)
{
	char line[NODE_SETTINGS_LINE_MAX + 1];

	if (n > NODE_SETTINGS_LINE_MAX) {
		mistake(r, "", "a line has 1024 bytes at most");
		return;
	}
	memcpy(line, text, n);
	line[n] = '\0';
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)line[i];
		if ((c < ' ' && c != '\t' && c != '\r') || c == 0x7f) {
			mistake(r, "", "there is a control character in it");
			return;
		}
	}
	char *key = trim(line);
	if (key[0] == '\0' || key[0] == '#') {
		return;
	}
	char *equals = strchr(key, '=');
	if (equals == NULL) {
		mistake(r, key, "wanted is \"key = value\"");
		return;
	}
	*equals = '\0';
	read_setting(r, trim(key), trim(equals + 1));
}

/* What settings say of each other. The line is the file's end. */
static void check_together(struct reading *r)
{
	const struct node_settings *s = r->out;

	if (s->gateway[0] != '\0' && (s->address[0] == '\0' || strcmp(s->address, "dhcp") == 0)) {
		mistake(r, "gateway", "it goes with an address that is given, not with DHCP's");
	}
	if ((s->migration_address[0] == '\0') != (s->migration_interface[0] == '\0')) {
		mistake(r, "migration_address", "it and \"migration_interface\" go together");
	}
	if (s->manager[0] != '\0' &&
	    (s->manager_thumbprint[0] == '\0' || s->manager_user[0] == '\0' ||
	     s->manager_password[0] == '\0' || s->password[0] == '\0')) {
		mistake(r, "manager",
			"it goes with \"manager_thumbprint\", \"manager_user\", "
			"\"manager_password\" and \"password\"");
	}
	if (s->endpoint_gateway[0] != '\0' && s->endpoint[0] == '\0') {
		mistake(r, "endpoint_gateway", "it goes with an \"endpoint\"");
	}
	if (s->endpoint[0] != '\0' && s->n_uplinks == 0) {
		mistake(r, "endpoint", "it goes with \"uplinks\"");
	}
}

bool node_settings_read(const char *text, size_t n, struct node_settings *out, struct buf *wrong)
{
	struct reading r = { .out = out, .wrong = wrong };

	*out = (struct node_settings){ 0 };
	if (n > NODE_SETTINGS_MAX) {
		buf_addf(wrong, "%zu bytes, at most %d\n", n, NODE_SETTINGS_MAX);
		return false;
	}
	for (size_t at = 0; at < n;) {
		const char *end = memchr(text + at, '\n', n - at);
		size_t length = end != NULL ? (size_t)(end - text) - at : n - at;
		r.line++;
		read_line(&r, text + at, length);
		at += length + 1;
	}
	if (r.mistakes == 0) {
		check_together(&r);
	}
	if (r.mistakes > MISTAKES_MAX) {
		buf_addf(wrong, "and %u more\n", r.mistakes - MISTAKES_MAX);
	}
	return r.mistakes == 0;
}

/* Whether a line sets the key. */
static bool line_sets(const char *line, size_t n, const char *key)
{
	size_t k = strlen(key), i = 0;

	while (i < n && (line[i] == ' ' || line[i] == '\t')) {
		i++;
	}
	if (n - i < k || memcmp(line + i, key, k) != 0) {
		return false;
	}
	for (i += k; i < n && (line[i] == ' ' || line[i] == '\t');) {
		i++;
	}
	return i < n && line[i] == '=';
}

void node_settings_set(const char *text, const char *key, const char *value, struct buf *out)
{
	bool is_there = false;

	for (const char *line = text; line[0] != '\0';) {
		size_t n = strcspn(line, "\n");
		if (!line_sets(line, n, key)) {
			buf_add(out, line, n);
			buf_addc(out, '\n');
		} else if (value != NULL && !is_there) {
			buf_addf(out, "%s = %s\n", key, value);
			is_there = true;
		}
		line += n + (line[n] == '\n');
	}
	if (value != NULL && !is_there) {
		buf_addf(out, "%s = %s\n", key, value);
	}
}

static void put_text(char *to, size_t size, const char *from)
{
	if (from[0] != '\0') {
		size_t n = MIN(strlen(from), size - 1);
		memcpy(to, from, n);
		to[n] = '\0';
	}
}

void node_settings_to_node(const struct node_settings *s, struct node *n)
{
	put_text(n->name, sizeof(n->name), s->hostname);
	put_text(n->uuid, sizeof(n->uuid), s->uuid);
	put_text(n->server_uuid, sizeof(n->server_uuid), s->server_uuid);
	if (s->role[0] != '\0') {
		n->role = strcmp(s->role, "dpu") == 0 ? NODE_DPU : NODE_SERVER;
	}
	size_t length = strcspn(s->migration_address, "/");
	memcpy(n->migration_address, s->migration_address, length);
	n->migration_address[length] = '\0';
	n->port = s->port != 0 ? (uint16_t)s->port : n->port;
	n->cpus = s->cpus != 0 ? (uint32_t)s->cpus : n->cpus;
	n->memory_mib = s->memory_mib != 0 ? s->memory_mib : n->memory_mib;
	memcpy(n->uplinks, s->uplinks, sizeof(n->uplinks));
	n->n_uplinks = s->n_uplinks;
	memcpy(n->endpoint, s->endpoint, sizeof(n->endpoint));
	memcpy(n->endpoint_gateway, s->endpoint_gateway, sizeof(n->endpoint_gateway));
}

void node_settings_to_shell(const struct node_settings *s, struct buf *out)
{
	buf_addf(out, "INTERFACE=%s\nADDRESS=%s\nGATEWAY=%s\nDNS=%s\n", s->interface,
		 s->address[0] != '\0' ? s->address : "dhcp", s->gateway, s->dns);
	buf_addf(out, "MIGRATION_INTERFACE=%s\nMIGRATION_ADDRESS=%s\n", s->migration_interface,
		 s->migration_address);
}

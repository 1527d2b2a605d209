/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/node.h"
#include "cli/remote.h"

#define JOINED_MAX 512

static char *joined_path(const char *state)
{
	return mem_printf("%s/manager-joined", state);
}

bool node_joined(const char *state, char *out, size_t size)
{
	char *path = joined_path(state);
	struct buf b = BUF_INIT;
	bool ok = file_read(path, JOINED_MAX, &b, NULL) && b.len < size;

	if (ok) {
		memcpy(out, b.data, b.len + 1);
		out[strcspn(out, "\n")] = '\0';
	}
	buf_free(&b);
	free(path);
	return ok;
}

/* The address of ours by which the manager is reached, and thus reaches us. */
static bool own_address(const char *host, uint16_t port, char *out, size_t size, struct error *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *found = NULL;
	struct sockaddr_storage own = { 0 };
	socklen_t n = sizeof(own);
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	int rc = getaddrinfo(host, service, &hints, &found);
	if (rc != 0) {
		return error_set(e, ERROR_UNREACHABLE, "manager \"%s\": %s", host,
				 gai_strerror(rc));
	}
	int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
		  getsockname(fd, (struct sockaddr *)&own, &n) == 0 &&
		  getnameinfo((const struct sockaddr *)&own, n, out, (socklen_t)size, NULL, 0,
			      NI_NUMERICHOST) == 0;
	if (fd >= 0) {
		close(fd);
	}
	freeaddrinfo(found);
	return ok || error_set(e, ERROR_UNREACHABLE, "manager \"%s\": no way there", host);
}

/* The host folder of the manager's first datacenter. */
static bool find_folder(struct remote *manager, const struct value **out, struct error *e)
{
	const struct value *all = NULL;

	*out = NULL;
	if (!remote_list(manager, "Datacenter", "hostFolder", &all, e)) {
		return false;
	}
	if (value_count(all) > 0) {
		const struct value *set =
			value_get_value(value_item(all, 0), F_ObjectContent_propSet);
		*out = value_count(set) > 0
			       ? value_get_value(value_item(set, 0), F_DynamicProperty_val)
			       : NULL;
	}
	return *out != NULL ||
	       error_set(e, ERROR_NOT_FOUND, "the manager has no datacenter to add the node to");
}

struct joining {
	const struct node_settings *settings;
	const struct node *node;
	char address[64]; /* of ours */
	char *thumbprint;
};

/* Asks our own hostd, which so is proven to answer and to take the password. */
static bool learn_thumbprint(struct joining *j, struct error *e)
{
	char *url = mem_printf("https://127.0.0.1:%u/sdk", j->node->port);
	const struct remote_config self = { .url = url,
					    .user = "root",
					    .password = j->settings->password };
	struct remote *r = remote_open(&self, e);

	if (r != NULL) {
		j->thumbprint = mem_strdup(remote_thumbprint(r));
	}
	remote_close(r);
	free(url);
	return r != NULL;
}

static bool add_host(struct remote *manager, const struct joining *j, struct error *e)
{
	struct arena *a = remote_arena(manager);
	const struct value *folder = NULL;
	struct value *spec = value_new(a, T_HostConnectSpec);
	struct value *args = value_new(a, schema_method(M_Folder_AddStandaloneHost_Task)->args);

	if (!find_folder(manager, &folder, e)) {
		return false;
	}
	value_set_str(a, spec, F_HostConnectSpec_hostName, j->address);
	value_set_num(a, spec, F_HostConnectSpec_port, j->node->port);
	value_set_str(a, spec, F_HostConnectSpec_sslThumbprint, j->thumbprint);
	value_set_str(a, spec, F_HostConnectSpec_userName, "root");
	value_set_str(a, spec, F_HostConnectSpec_password, j->settings->password);
	value_set_bool(a, spec, F_HostConnectSpec_force, false);
	value_set(a, args, A_Folder_AddStandaloneHost_Task_spec, spec);
	value_set_bool(a, args, A_Folder_AddStandaloneHost_Task_addConnected, true);
	return remote_task(manager, M_Folder_AddStandaloneHost_Task, folder, args, NULL, e) ||
	       remote_fault(manager) == T_AlreadyConnected ||
	       remote_fault(manager) == T_DuplicateName;
}

static bool join(struct joining *j, struct error *e)
{
	const struct node_settings *s = j->settings;
	char host[256];
	uint16_t port = 443;

	if (!address_split(s->manager, host, sizeof(host), &port, e) ||
	    !own_address(host, port, j->address, sizeof(j->address), e) ||
	    !learn_thumbprint(j, e)) {
		return false;
	}
	bool is_v6 = strchr(host, ':') != NULL;
	char *url = mem_printf(is_v6 ? "https://[%s]:%u/sdk" : "https://%s:%u/sdk", host, port);
	const struct remote_config config = { .url = url,
					      .user = s->manager_user,
					      .password = s->manager_password,
					      .thumbprint = s->manager_thumbprint };
	struct remote *manager = remote_open(&config, e);
	bool ok = manager != NULL && add_host(manager, j, e);
	remote_close(manager);
	free(url);
	return ok;
}

bool node_join(const struct node_folder *f, struct error *e)
{
	struct node_settings *s = mem_zalloc(sizeof(*s));
	struct node *n = mem_zalloc(sizeof(*n));
	struct joining j = { .settings = s, .node = n };
	char before[JOINED_MAX];
	bool ok = node_read_settings(f->settings, s, NULL, e) && node_load(f->state, n, e);

	if (ok && s->manager[0] == '\0') {
		ok = error_set(e, ERROR_NOT_FOUND, "\"%s\" names no manager", f->settings);
	} else if (ok && !(node_joined(f->state, before, sizeof(before)) &&
			   strcmp(before, s->manager) == 0)) {
		char *path = joined_path(f->state);
		char *line = mem_printf("%s\n", s->manager);
		ok = join(&j, e) && file_write_atomic(path, line, strlen(line), 0600, e);
		free(line);
		free(path);
	}
	free(j.thumbprint);
	explicit_bzero(s, sizeof(*s));
	free(s);
	free(n);
	return ok;
}

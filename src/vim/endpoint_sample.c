/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small real endpoint for tests with real clients: endpoint_sample host|center DIR. Keeps its
 * certificate in DIR, serves 127.0.0.1 on any port, prints one line "PORT SHA1" and runs until its
 * standard input ends. Users: root/secret (administrator), guest/guest (nothing).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vim/api.h"
#include "vim/certificate.h"
#include "vim/fault.h"
#include "vim/server.h"

struct sample {
	uv_loop_t loop;
	struct user_store *users;
	struct api *api;
	struct server *server;
	uv_pipe_t input;
	struct object *root, *folder, *vm;
};

static void die(const struct error *e)
{
	fprintf(stderr, "endpoint_sample: %s\n", e->msg);
	exit(1);
}

/* Takes a name at once; a duplicate of the folder's is refused. */
static void rename_vm(struct call *c)
{
	struct sample *s = call_arg(c);
	const char *name = value_get_str(c->args, A_ManagedEntity_Rename_Task_newName);

	if (strcmp(name, object_get_str(s->folder, P_ManagedEntity_name)) == 0) {
		call_fault(c, fault_duplicate_name(c->arena, name, s->folder),
			   "the name \"%s\" is taken", name);
		return;
	}
	inventory_set_str(c->self, P_ManagedEntity_name, name);
	call_return(c, value_new_ref(c->arena, T_Task, "task-1"));
}

static void inventory_fill(struct sample *s)
{
	struct inventory *inv = s->api->inventory;

	s->root = inventory_add(inv, T_Folder, api_root_id(s->api->kind), NULL, NULL);
	s->folder = inventory_add(inv, T_Folder, "folder-vm", NULL, NULL);
	s->vm = inventory_add(inv, T_VirtualMachine, "vm-1", NULL, NULL);
	inventory_set_str(s->root, P_ManagedEntity_name, "Datacenters");
	inventory_set_str(s->folder, P_ManagedEntity_name, "vm");
	inventory_set_str(s->vm, P_ManagedEntity_name, "edge-1");
	inventory_set_ref(s->folder, P_ManagedEntity_parent, s->root);
	inventory_set_ref(s->vm, P_ManagedEntity_parent, s->folder);
	inventory_add_ref(s->root, P_Folder_childEntity, s->folder);
	inventory_add_ref(s->folder, P_Folder_childEntity, s->vm);
	service_handle(s->api->service, T_VirtualMachine, M_ManagedEntity_Rename_Task, rename_vm,
		       s);
}

static void input_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
	static char data[64];

	(void)handle;
	(void)wanted;
	*out = uv_buf_init(data, sizeof(data));
}

static void input_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *data)
{
	(void)data;
	if (n < 0) {
		uv_stop(stream->loop);
	}
}

static void serve(struct sample *s, const char *dir)
{
	struct certificate_thumbprints thumbprints;
	struct error e = { 0 };
	char *cert = mem_printf("%s/cert.pem", dir), *key = mem_printf("%s/key.pem", dir);
	struct certificate_config certificate = {
		.cert_path = cert, .key_path = key, .name = "localhost", .address = "127.0.0.1"
	};
	struct server_config config = { .loop = &s->loop,
					.address = "127.0.0.1",
					.cert_path = cert,
					.key_path = key,
					.service = s->api->service,
					.sessions = s->api->sessions };

	if (!certificate_ensure(&certificate, &e) ||
	    !certificate_thumbprints(cert, &thumbprints, &e) ||
	    (s->server = server_new(&config, &e)) == NULL) {
		die(&e);
	}
	printf("%u %s\n", server_port(s->server), thumbprints.sha1);
	fflush(stdout);
	free(cert);
	free(key);
}

int main(int argc, char **argv)
{
	struct sample *s = mem_zalloc(sizeof(*s));
	struct error e = { 0 };

	if (argc != 3) {
		fprintf(stderr, "usage: endpoint_sample host|center DIR\n");
		return 2;
	}
	uv_loop_init(&s->loop);
	s->users = user_store_open(NULL, &e);
	if (s->users == NULL || !user_set(s->users, "root", "secret", "Administrator", &e) ||
	    !user_set(s->users, "guest", "guest", NULL, &e)) {
		die(&e);
	}
	struct api_config config = {
		.kind = strcmp(argv[1], "host") == 0 ? API_HOST : API_CENTER,
		.loop = &s->loop,
		.clock = clock_real(),
		.instance_uuid = "52d8b8a5-0001-4000-8000-000000000001",
		.users = s->users,
	};
	s->api = api_new(&config, &e);
	if (s->api == NULL) {
		die(&e);
	}
	inventory_fill(s);
	serve(s, argv[2]);
	uv_pipe_init(&s->loop, &s->input, 0);
	uv_pipe_open(&s->input, 0);
	uv_read_start((uv_stream_t *)&s->input, input_alloc, input_read);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&s->input, NULL);
	server_free(s->server);
	api_free(s->api);
	user_store_free(s->users);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&s->loop) != 0) {
		fprintf(stderr, "endpoint_sample: something is still open\n");
		return 1;
	}
	free(s);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/remote.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "vim/client.h"
#include "vim/peer.h"

enum {
	TASK_POLL_S = 20,
	REST_MS = 60000,
	REST_ANSWER_MAX = 16 << 20
};

struct remote {
	uv_loop_t loop;
	struct client *client;
	struct arena *arena;
	VEC(const struct value *) held; /* results, counted */
	const struct value *content;
	uint16_t fault;

	/* Of the call under way. */
	bool answered;
	const struct value *result;
	struct error e;
	bool good;
};

static void answered(void *arg, const struct client_answer *answer)
{
	struct remote *r = arg;

	r->answered = true;
	r->good = answer->error == NULL && answer->fault == NULL;
	r->result = NULL;
	if (answer->error != NULL) {
		r->e = *answer->error;
	} else if (answer->fault != NULL) {
		r->fault = answer->fault->type;
		bool is_login = answer->fault->type == T_InvalidLogin;
		error_set(&r->e, is_login ? ERROR_PERMISSION : ERROR_INVALID, "%s (%s)",
			  answer->text == NULL ? "the server refused" : answer->text,
			  schema_type_name(answer->fault->type));
	} else if (answer->result != NULL) {
		r->result = value_keep(answer->result);
		vec_push(&r->held, r->result);
	}
}

static void begin(struct remote *r)
{
	r->answered = r->good = false;
	r->fault = T_none;
	error_set(&r->e, ERROR_INTERNAL, "no answer");
}

static bool wait_answer(struct remote *r, struct error *e)
{
	while (!r->answered && uv_run(&r->loop, UV_RUN_ONCE) != 0) {
	}
	if (!r->good && e != NULL) {
		*e = r->e;
	}
	return r->good;
}

struct remote *remote_open(const struct remote_config *config, struct error *e)
{
	struct remote *r = mem_zalloc(sizeof(*r));

	r->arena = arena_new(0);
	uv_loop_init(&r->loop);
	r->client = client_new(&(struct client_config){ .loop = &r->loop,
							.url = config->url,
							.thumbprint = config->thumbprint,
							.trust_any = config->thumbprint == NULL },
			       e);
	if (r->client != NULL) {
		begin(r);
		client_login(r->client, config->user, config->password, answered, r);
		if (wait_answer(r, e)) {
			r->content = value_keep(client_content(r->client));
			vec_push(&r->held, r->content);
			return r;
		}
	}
	remote_close(r);
	return NULL;
}

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h)) {
		uv_close(h, NULL);
	}
}

void remote_close(struct remote *r)
{
	if (r == NULL) {
		return;
	}
	if (r->client != NULL && r->content != NULL) {
		begin(r);
		client_set_timeout(client_logout(r->client, answered, r), 2000);
		wait_answer(r, NULL);
	}
	client_free(r->client);
	uv_run(&r->loop, UV_RUN_NOWAIT);
	uv_walk(&r->loop, close_handle, NULL);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	uv_loop_close(&r->loop);
	vec_each (&r->held, it) {
		value_drop(*it);
	}
	vec_free(&r->held);
	arena_free(r->arena);
	free(r);
}

struct arena *remote_arena(struct remote *r)
{
	return r->arena;
}

const struct value *remote_content(const struct remote *r)
{
	return r->content;
}

const char *remote_thumbprint(const struct remote *r)
{
	return peer_sha1(client_peer(r->client));
}

struct peer *remote_peer(struct remote *r)
{
	return client_peer(r->client);
}

uv_loop_t *remote_loop(struct remote *r)
{
	return &r->loop;
}

uint16_t remote_fault(const struct remote *r)
{
	return r->fault;
}

bool remote_call(struct remote *r, uint16_t method, const struct value *self,
		 const struct value *args, const struct value **out, struct error *e)
{
	begin(r);
	if (self == NULL) {
		return error_set(e, ERROR_NOT_FOUND, "%s: the server names no object for it",
				 schema_method_name(method));
	}
	client_call(r->client, method, self, args, answered, r);
	bool good = wait_answer(r, e);
	if (good && out != NULL) {
		*out = r->result;
	}
	return good;
}

/* ---- properties ---- */

static struct value *property_spec(struct remote *r, uint16_t type, const char *path)
{
	struct value *spec = value_new(r->arena, T_PropertySpec);
	struct value *paths = value_new_array(r->arena, T_string);

	value_set_str(r->arena, spec, F_PropertySpec_type, schema_type_name(type));
	value_push_str(r->arena, paths, path);
	value_set(r->arena, spec, F_PropertySpec_pathSet, paths);
	return spec;
}

static struct value *filter_spec(struct remote *r, struct value *props, struct value *object)
{
	struct value *filter = value_new(r->arena, T_PropertyFilterSpec);
	struct value *prop_set = value_new_array(r->arena, T_PropertySpec);
	struct value *object_set = value_new_array(r->arena, T_ObjectSpec);

	value_push(r->arena, prop_set, props);
	value_push(r->arena, object_set, object);
	value_set(r->arena, filter, F_PropertyFilterSpec_propSet, prop_set);
	value_set(r->arena, filter, F_PropertyFilterSpec_objectSet, object_set);
	return filter;
}

static bool retrieve(struct remote *r, struct value *filter, const struct value **out,
		     struct error *e)
{
	struct value *args =
		value_new(r->arena, schema_method(M_PropertyCollector_RetrieveProperties)->args);
	struct value *set = value_new_array(r->arena, T_PropertyFilterSpec);

	value_push(r->arena, set, filter);
	value_set(r->arena, args, A_PropertyCollector_RetrieveProperties_specSet, set);
	return remote_call(r, M_PropertyCollector_RetrieveProperties,
			   value_get_value(r->content, F_ServiceContent_propertyCollector), args,
			   out, e);
}

bool remote_get(struct remote *r, const struct value *object, const char *path,
		const struct value **out, struct error *e)
{
	struct value *spec = value_new(r->arena, T_ObjectSpec);
	const struct value *found = NULL;

	value_set(r->arena, spec, F_ObjectSpec_obj, object);
	if (!retrieve(r, filter_spec(r, property_spec(r, object->type, path), spec), &found, e)) {
		return false;
	}
	const struct value *set =
		value_count(found) == 0
			? NULL
			: value_get_value(value_item(found, 0), F_ObjectContent_propSet);
	*out = value_count(set) == 0 ? NULL
				     : value_get_value(value_item(set, 0), F_DynamicProperty_val);
	return true;
}

bool remote_list(struct remote *r, const char *type, const char *path, const struct value **out,
		 struct error *e)
{
	struct arena *a = r->arena;
	struct value *args = value_new(a, schema_method(M_ViewManager_CreateContainerView)->args);
	struct value *types = value_new_array(a, T_string);
	const struct value *view = NULL;

	value_push_str(a, types, type);
	value_set(a, args, A_ViewManager_CreateContainerView_container,
		  value_get_value(r->content, F_ServiceContent_rootFolder));
	value_set(a, args, A_ViewManager_CreateContainerView_type, types);
	value_set_bool(a, args, A_ViewManager_CreateContainerView_recursive, true);
	if (!remote_call(r, M_ViewManager_CreateContainerView,
			 value_get_value(r->content, F_ServiceContent_viewManager), args, &view,
			 e)) {
		return false;
	}
	struct value *spec = value_new(a, T_ObjectSpec), *walk = value_new(a, T_TraversalSpec);
	struct value *walks = value_new_array(a, T_SelectionSpec);
	value_set_str(a, walk, F_TraversalSpec_type, "ContainerView");
	value_set_str(a, walk, F_TraversalSpec_path, "view");
	value_set_bool(a, walk, F_TraversalSpec_skip, false);
	value_push(a, walks, walk);
	value_set(a, spec, F_ObjectSpec_obj, view);
	value_set_bool(a, spec, F_ObjectSpec_skip, true);
	value_set(a, spec, F_ObjectSpec_selectSet, walks);
	uint16_t managed = schema_type_find(type, strlen(type));
	bool good = retrieve(r, filter_spec(r, property_spec(r, managed, path), spec), out, e);
	remote_call(r, M_View_DestroyView, view, NULL, NULL, NULL);
	return good;
}

/* ---- tasks ---- */

static bool task_read(struct remote *r, const struct value *task, const struct value **info,
		      struct error *e)
{
	return remote_get(r, task, "info", info, e) &&
	       (*info != NULL ||
		error_set(e, ERROR_NOT_FOUND, "the task \"%s\" is gone", value_bytes(task)));
}

static bool task_failed(const struct value *info, struct remote *r, struct error *e)
{
	const struct value *error = value_get_value(info, F_TaskInfo_error);
	const struct value *fault = value_get_value(error, F_LocalizedMethodFault_fault);
	const char *text = value_get_str(error, F_LocalizedMethodFault_localizedMessage);

	r->fault = fault == NULL ? T_MethodFault : fault->type;
	return error_set(e, ERROR_INVALID, "%s (%s)", text == NULL ? "the task failed" : text,
			 schema_type_name(r->fault));
}

/* A collector with one filter on the task; its waits end when the task's state changes. */
static bool task_watch(struct remote *r, const struct value *task, const struct value **collector,
		       struct error *e)
{
	struct arena *a = r->arena;
	struct value *args = value_new(a, schema_method(M_PropertyCollector_CreateFilter)->args);
	struct value *object = value_new(a, T_ObjectSpec);

	if (!remote_call(r, M_PropertyCollector_CreatePropertyCollector,
			 value_get_value(r->content, F_ServiceContent_propertyCollector), NULL,
			 collector, e)) {
		return false;
	}
	value_set(a, object, F_ObjectSpec_obj, task);
	value_set(a, args, A_PropertyCollector_CreateFilter_spec,
		  filter_spec(r, property_spec(r, T_Task, "info.state"), object));
	value_set_bool(a, args, A_PropertyCollector_CreateFilter_partialUpdates, false);
	return remote_call(r, M_PropertyCollector_CreateFilter, *collector, args, NULL, e);
}

static bool task_wait(struct remote *r, const struct value *task, const struct value *collector,
		      const struct value **info, struct error *e)
{
	struct arena *a = r->arena;
	const char *version = "";

	for (;;) {
		struct value *args =
			value_new(a, schema_method(M_PropertyCollector_WaitForUpdatesEx)->args);
		struct value *options = value_new(a, T_WaitOptions);
		const struct value *set = NULL;
		if (!task_read(r, task, info, e)) {
			return false;
		}
		int64_t state = value_get_num(*info, F_TaskInfo_state, E_TaskInfoState_error);
		if (state == E_TaskInfoState_success || state == E_TaskInfoState_error) {
			return true;
		}
		value_set_num(a, options, F_WaitOptions_maxWaitSeconds, TASK_POLL_S);
		value_set_str(a, args, A_PropertyCollector_WaitForUpdatesEx_version, version);
		value_set(a, args, A_PropertyCollector_WaitForUpdatesEx_options, options);
		if (!remote_call(r, M_PropertyCollector_WaitForUpdatesEx, collector, args, &set,
				 e)) {
			return false;
		}
		if (set != NULL) {
			version = value_get_str(set, F_UpdateSet_version);
		}
	}
}

bool remote_task(struct remote *r, uint16_t method, const struct value *self,
		 const struct value *args, const struct value **out, struct error *e)
{
	const struct value *task = NULL, *collector = NULL, *info = NULL;

	if (!remote_call(r, method, self, args, &task, e) || !task_watch(r, task, &collector, e)) {
		return false;
	}
	bool good = task_wait(r, task, collector, &info, e);
	remote_call(r, M_PropertyCollector_DestroyPropertyCollector, collector, NULL, NULL, NULL);
	if (!good) {
		return false;
	}
	if (value_get_num(info, F_TaskInfo_state, E_TaskInfoState_error) !=
	    E_TaskInfoState_success) {
		return task_failed(info, r, e);
	}
	if (out != NULL) {
		*out = value_get_value(info, F_TaskInfo_result);
	}
	return out == NULL || *out != NULL ||
	       error_set(e, ERROR_INVALID, "%s ended without a result", schema_method_name(method));
}

/* ---- files ---- */

static void file_done(void *arg, const struct error *error)
{
	struct remote *r = arg;

	r->answered = true;
	r->good = error == NULL;
	if (error != NULL) {
		r->e = *error;
	}
}

struct put {
	struct remote *r;
	const struct remote_upload *u;
};

static void put_done(void *arg, const struct error *error)
{
	file_done(((struct put *)arg)->r, error);
}

static bool put_progress(void *arg, uint64_t done, uint64_t total)
{
	struct put *p = arg;

	return p->u->progress == NULL || p->u->progress(p->u->arg, done, total);
}

bool remote_put(struct remote *r, const struct remote_upload *u, struct error *e)
{
	struct buf path = BUF_INIT;
	struct put put = { .r = r, .u = u };

	client_folder_path(&path, u->datacenter, u->datastore, u->file);
	begin(r);
	client_put(r->client, &(struct client_file){ .path = path.data,
						     .fd = u->fd,
						     .length = u->length,
						     .progress = put_progress,
						     .done = put_done,
						     .arg = &put });
	bool good = wait_answer(r, e);
	buf_free(&path);
	return good;
}

/* ---- REST ---- */

struct rest {
	struct remote *r;
	const char *path;
	struct json_object *out;
};

static bool refused(const struct rest *rest, int status, struct error *e)
{
	static const char *const members[] = { "error_message", "reason", "message" };
	struct json_at at = json_root(rest->out);
	enum error_kind kind = status == 404			? ERROR_NOT_FOUND
			       : status == 401 || status == 403 ? ERROR_PERMISSION
			       : status == 503			? ERROR_BUSY
								: ERROR_INVALID;
	const char *why;
	struct error none;

	for (size_t i = 0; rest->out != NULL && i < ARRAY_LEN(members); i++) {
		if (json_get_str(&at, members[i], &why, &none)) {
			return error_set(e, kind, "%s", why);
		}
	}
	return error_set(e, kind, "%s was answered with status %d", rest->path, status);
}

static void rest_done(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct rest *rest = arg;
	struct remote *r = rest->r;

	r->answered = true;
	if (e != NULL) {
		r->e = *e;
		return;
	}
	bool is_good = answer->status >= 200 && answer->status < 300;
	if (answer->len > 0) {
		rest->out = json_parse(answer->body, answer->len, REST_ANSWER_MAX,
				       JSON_DEPTH_DEFAULT, &r->e);
	}
	r->good = is_good ? answer->len == 0 || rest->out != NULL
			  : refused(rest, answer->status, &r->e);
}

bool remote_rest(struct remote *r, const char *method, const char *path, struct json_object *body,
		 struct json_object **out, struct error *e)
{
	struct rest rest = { .r = r, .path = path };
	struct buf text = BUF_INIT;

	if (body != NULL) {
		buf_adds(&text, json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN));
		json_object_put(body);
	}
	begin(r);
	peer_send(client_peer(r->client), &(struct peer_order){ .method = method,
								.path = path,
								.content_type = "application/json",
								.body = body == NULL ? NULL : &text,
								.max_bytes = REST_ANSWER_MAX,
								.timeout_ms = REST_MS,
								.done = rest_done,
								.arg = &rest });
	bool good = wait_answer(r, e);
	buf_free(&text);
	if (good && out != NULL) {
		*out = rest.out;
	} else {
		json_object_put(rest.out);
	}
	return good;
}

/* ---- small files ---- */

struct reading {
	struct remote *r;
	const char *file;
	struct buf *out;
};

static void reading_done(void *arg, const struct peer_answer *answer, const struct error *e)
{
	struct reading *x = arg;
	struct remote *r = x->r;

	r->answered = true;
	if (e != NULL) {
		r->e = *e;
	} else if (answer->status == 200 || answer->status == 206) {
		buf_add(x->out, answer->body, answer->len);
		r->good = true;
	} else if (answer->status == 404 || answer->status == 416) {
		error_set(&r->e, ERROR_NOT_FOUND, "\"%s\" is not there", x->file);
	} else {
		error_set(&r->e, ERROR_INVALID, "\"%s\" was answered with status %d", x->file,
			  answer->status);
	}
}

bool remote_read(struct remote *r, const struct remote_download *d, struct buf *out,
		 struct error *e)
{
	struct reading x = { .r = r, .file = d->file, .out = out };
	char *path = mem_printf("/folder/%s?dcPath=ha-datacenter&dsName=%s", d->file, d->datastore);

	begin(r);
	peer_send(client_peer(r->client), &(struct peer_order){ .method = "GET",
								.path = path,
								.max_bytes = d->max,
								.timeout_ms = REST_MS,
								.done = reading_done,
								.arg = &x });
	bool good = wait_answer(r, e);
	free(path);
	return good;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "center/migration_link.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "center/member.h"
#include "center/place.h"
#include "vim/client.h"
#include "vim/fault.h"

#define ENDPOINT "/remora/v1/migrations/"

enum {
	ANSWER_MAX = 4 << 20,
	LIMIT_MS = 60000, /* of a request; a target starts a QEMU meanwhile */
	POLL_MS = 20000	  /* the host answers within 10 s */
};

/* ---- requests ---- */

static struct peer *peer_of(const struct member *m)
{
	struct client *client =
		m->state != MEMBER_CONNECTED || m->link == NULL ? NULL : link_client(m->link);

	return client == NULL ? NULL : client_peer(client);
}

bool migration_is_served(const struct member *m)
{
	return m->address != NULL;
}

struct peer_request *migration_request(struct member *m, const struct migration_question *q,
				       peer_done_fn *done, void *arg)
{
	struct peer *peer = peer_of(m);
	struct buf text = BUF_INIT;
	char path[128];

	if (peer == NULL) {
		return NULL;
	}
	snprintf(path, sizeof(path), ENDPOINT "%s%s", q->id, q->rest);
	if (q->body != NULL) {
		json_add_text(&text, q->body);
	}
	bool is_poll = strcmp(q->method, "GET") == 0;
	struct peer_request *r = peer_send(
		peer,
		&(struct peer_order){ .method = q->method,
				      .path = path,
				      .content_type = q->body == NULL ? NULL : "application/json",
				      .body = q->body == NULL ? NULL : &text,
				      .max_bytes = ANSWER_MAX,
				      .timeout_ms = is_poll ? POLL_MS : LIMIT_MS,
				      .done = done,
				      .arg = arg });
	buf_free(&text);
	return r;
}

/* ---- answers ---- */

static const struct {
	const char *name;
	enum migration_state state;
} states[] = {
	{ "prepared", MIGRATION_PREPARED },   { "copying", MIGRATION_COPYING },
	{ "switching", MIGRATION_SWITCHING }, { "offered", MIGRATION_OFFERED },
	{ "done", MIGRATION_DONE },	      { "failed", MIGRATION_FAILED },
	{ "cancelled", MIGRATION_CANCELLED },
};

/* Printable, on one line, cut between characters. */
static void copy_text(char *out, size_t size, const char *text)
{
	size_t n = 0;

	while (n + 1 < size && text[n] != '\0') {
		unsigned char c = (unsigned char)text[n];
		out[n++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	while (n > 0 && text[n] != '\0' && (text[n] & 0xc0) == 0x80) {
		n--;
	}
	out[n] = '\0';
}

static void read_text(const struct json_at *at, const char *key, char *out, size_t size)
{
	const char *text = "";

	if (json_has(at, key) && json_get_str(at, key, &text, NULL)) {
		copy_text(out, size, text);
	}
}

static int64_t read_number(const struct json_at *at, const char *key)
{
	int64_t n = -1;

	if (json_has(at, key)) {
		json_get_i64(at, key, &n, NULL);
	}
	return n < 0 ? -1 : n;
}

static void read_refusal(struct migration_status *s, const struct json_at *at)
{
	if (!json_has(at, "reason")) {
		return;
	}
	s->has_refusal = true;
	read_text(at, "object", s->object, sizeof(s->object));
	read_text(at, "reason", s->reason, sizeof(s->reason));
	read_text(at, "fault", s->fault, sizeof(s->fault));
	s->limit = read_number(at, "limit");
	s->requested = read_number(at, "requested");
	s->unreserved = read_number(at, "unreserved");
}

static void read_state(struct migration_status *s, const struct json_at *at)
{
	struct json_at error;
	const char *state = "";

	if (!json_has(at, "state") || !json_get_str(at, "state", &state, NULL)) {
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (strcmp(state, states[i].name) == 0) {
			s->state = states[i].state;
		}
	}
	int64_t percent = read_number(at, "percent"), version = read_number(at, "version");
	s->percent = percent < 0 ? -1 : (int)MIN(percent, INT64_C(100));
	s->version = version < 0 ? 0 : (uint64_t)version;
	s->downtime_us = read_number(at, "downtime_us");
	s->total_us = read_number(at, "total_us");
	if (json_has(at, "error") && json_get_object(at, "error", &error, NULL)) {
		read_refusal(s, &error);
	}
}

void migration_status_read(struct migration_status *s, const struct peer_answer *answer,
			   const struct error *e)
{
	*s = (struct migration_status){ .percent = -1,
					.limit = -1,
					.requested = -1,
					.unreserved = -1,
					.downtime_us = -1,
					.total_us = -1 };
	if (answer == NULL) {
		copy_text(s->reason, sizeof(s->reason), e->msg);
		return;
	}
	if (answer->status == 404) {
		s->state = MIGRATION_GONE;
	}
	struct json_object *o = json_parse(answer->body, answer->len, ANSWER_MAX, 32, NULL);
	struct json_at at = json_root(o);
	if (o != NULL && answer->status >= 200 && answer->status < 300) {
		read_state(s, &at);
	} else if (o != NULL && json_has(&at, "reason")) {
		read_refusal(s, &at);
	} else if (answer->status >= 300) {
		s->has_refusal = true;
		snprintf(s->reason, sizeof(s->reason), "the host answers %d", answer->status);
	}
	json_object_put(o);
}

void migration_status_text(const struct migration_status *s, const char *host, char *out,
			   size_t size)
{
	char limit[48] = "";

	if (s->limit >= 0) {
		snprintf(limit, sizeof(limit), " (limit %" PRId64 ")", s->limit);
	}
	snprintf(out, size, "host \"%s\": %s%s%s%s%s", host, s->object[0] == '\0' ? "" : "\"",
		 s->object, s->object[0] == '\0' ? "" : "\": ",
		 s->reason[0] == '\0' ? "it gives no reason" : s->reason, limit);
}

/* ---- faults ---- */

static uint16_t fault_type(const struct migration_status *s)
{
	static const struct {
		const char *name;
		uint16_t type;
	} others[] = {
		{ "NetworkNotAccessible", T_CannotAccessNetwork },
		{ "DatastoreNotAccessible", T_CannotAccessVmDisk },
	};
	uint16_t type = s->fault[0] == '\0' ? T_none : schema_type_find(s->fault, strlen(s->fault));

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (strcmp(s->fault, others[i].name) == 0) {
			type = others[i].type;
		}
	}
	return type == T_none || !schema_is_a(type, T_MethodFault) ? T_MigrationFault : type;
}

/* What a client's reader wants to be there. */
static bool fill_required(struct value *f, const struct migration_status *s, struct object *host,
			  struct arena *a)
{
	uint16_t type = value_type(f);

	for (unsigned i = 0; i < schema_type(type)->n_fields; i++) {
		const struct schema_field *field = schema_field(type, i);
		if ((field->flags & FIELD_OPTIONAL) != 0 || value_has(f, i)) {
			continue;
		}
		if ((field->flags & FIELD_ARRAY) != 0) {
			return false;
		}
		if (field->kind == KIND_STRING) {
			value_set_str(a, f, i, s->object);
		} else if (field->kind == KIND_BOOL) {
			value_set_bool(a, f, i, false);
		} else if (field->kind == KIND_REF && field->type == T_HostSystem) {
			value_set(a, f, i, host->ref);
		} else if (field->kind == KIND_STRUCT && field->type == T_LocalizedMethodFault) {
			value_set(a, f, i,
				  fault_localized(a, fault_new(a, T_MigrationFault), s->reason));
		} else if (field->kind >= KIND_BYTE && field->kind <= KIND_LONG) {
			value_set_num(a, f, i, 0);
		} else {
			return false;
		}
	}
	return true;
}

struct value *migration_status_fault(const struct migration_status *s, struct object *vm,
				     struct object *host, struct arena *a)
{
	uint16_t type = fault_type(s);
	struct value *f = fault_new(a, type);

	if (schema_is_a(type, T_InsufficientMemoryResourcesFault)) {
		int64_t limit = s->unreserved >= 0 ? s->unreserved : s->limit;
		value_set_num(a, f, F_InsufficientMemoryResourcesFault_unreserved, MAX(limit, 0));
		value_set_num(a, f, F_InsufficientMemoryResourcesFault_requested,
			      MAX(s->requested, 0));
	} else if (schema_is_a(type, T_InsufficientCpuResourcesFault)) {
		value_set_num(a, f, F_InsufficientCpuResourcesFault_unreserved,
			      MAX(s->unreserved, 0));
		value_set_num(a, f, F_InsufficientCpuResourcesFault_requested,
			      MAX(s->requested, 0));
	} else if (schema_is_a(type, T_CpuIncompatible)) {
		value_set(a, f, F_CpuIncompatible_host, host->ref);
	} else if (type == T_InvalidPowerState) {
		const struct value *runtime = object_get(vm, P_VirtualMachine_runtime, a);
		value_set_num(a, f, F_InvalidPowerState_existingState,
			      value_get_num(runtime, F_VirtualMachineRuntimeInfo_powerState, 0));
	} else if (type == T_TaskInProgress) {
		const struct value *tasks = object_get(vm, P_ManagedEntity_recentTask, a);
		if (value_count(tasks) > 0) {
			value_set(a, f, F_TaskInProgress_task, value_item(tasks, 0));
		}
	} else if (schema_is_a(type, T_NoDiskSpace)) {
		value_set_str(a, f, F_FileFault_file, "");
	}
	return fill_required(f, s, host, a) ? f : fault_new(a, T_MigrationFault);
}

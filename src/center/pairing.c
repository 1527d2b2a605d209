/* SPDX-License-Identifier: Apache-2.0 */
#include "center/pairing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "center/database.h"
#include "center/intent_card.h"
#include "center/lend.h"
#include "center/member.h"
#include "center/place.h"

LOG_MODULE("pairing");

#define DPU_FIELD    "Remora.Dpu"
#define SERVER_FIELD "Remora.Server"

enum {
	CARDS_MAX = 64 /* in one server; more is not believed */
};

/* What a host said last, and whom it is shown with. */
struct pairing {
	char *dpu_id;	   /* it is this card; NULL: it is none */
	char *server_uuid; /* that it says it sits in, or NULL */
	VEC(char *) cards; /* ids of the cards in it */
	char *other;	   /* id of the host that it is linked with, as shown; NULL: none */
};

/* ---- what a host says ---- */

static const char *identifier(const struct value *list, const char *key)
{
	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *v = value_item(list, i);
		const struct value *type =
			value_get_value(v, F_HostSystemIdentificationInfo_identifierType);
		const char *name = value_get_str(type, F_ElementDescription_key);
		if (name != NULL && strcmp(name, key) == 0) {
			return value_get_str(v, F_HostSystemIdentificationInfo_identifierValue);
		}
	}
	return NULL;
}

static bool says_card(const struct pairing *p, const char *id)
{
	for (size_t i = 0; p != NULL && i < p->cards.n; i++) {
		if (strcmp(p->cards.items[i], id) == 0) {
			return true;
		}
	}
	return false;
}

static void add_card(struct pairing *p, const char *id)
{
	if (id != NULL && id[0] != '\0' && p->cards.n < CARDS_MAX && !says_card(p, id)) {
		vec_push(&p->cards, mem_strdup(id));
	}
}

/* A card that does not answer is in its server all the same. */
static void read_cards(struct pairing *p, struct member *m, struct arena *a)
{
	const struct value *health = value_get_value(object_get(m->system, P_HostSystem_runtime, a),
						     F_HostRuntimeInfo_healthSystemRuntime);
	const struct value *status =
		value_get_value(health, F_HealthSystemRuntime_hardwareStatusInfo);
	const struct value *dpus = value_get_value(status, F_HostHardwareStatusInfo_dpuStatusInfo);
	const struct value *network = value_get_value(object_get(m->system, P_HostSystem_config, a),
						      F_HostConfigInfo_network);
	const struct value *nics = value_get_value(network, F_HostNetworkInfo_pnic);

	for (size_t i = 0; i < value_count(dpus); i++) {
		add_card(p, value_get_str(value_item(dpus, i), F_DpuStatusInfo_dpuId));
	}
	for (size_t i = 0; i < value_count(nics); i++) {
		add_card(p, value_get_str(value_item(nics, i), F_PhysicalNic_dpuId));
	}
}

static void put(char **field, const char *text)
{
	free(*field);
	*field = text == NULL ? NULL : mem_strdup(text);
}

static void forget_said(struct pairing *p)
{
	put(&p->dpu_id, NULL);
	put(&p->server_uuid, NULL);
	vec_each (&p->cards, it) {
		free(*it);
	}
	vec_clear(&p->cards);
}

/* Remembers, over restarts, whom a host is shown with. */
static void set_other(struct member *m, const char *id)
{
	char *name = mem_printf("pair/%s", m->id);

	put(&m->pairing->other, id);
	database_set_fact(m->center->db, name, id);
	free(name);
	if (m->center->intent != NULL && !m->is_gone) {
		intent_cards_moved(m->center->intent, m);
	}
}

static void recall_other(struct member *m)
{
	struct arena *a = arena_new(0);

	put(&m->pairing->other, database_fact(m->center->db, arena_printf(a, "pair/%s", m->id), a));
	arena_free(a);
}

/* False: it is of no interest here. */
static bool read_host(struct member *m)
{
	struct arena *a = arena_new(0);
	const struct value *hw = value_get_value(object_get(m->system, P_HostSystem_summary, a),
						 F_HostListSummary_hardware);
	const struct value *ids = value_get_value(hw, F_HostHardwareSummary_otherIdentifyingInfo);
	struct pairing *p = m->pairing != NULL ? m->pairing : mem_zalloc(sizeof(*p));

	forget_said(p);
	put(&p->dpu_id, identifier(ids, "RemoraDpuId"));
	put(&p->server_uuid, identifier(ids, "RemoraServerUuid"));
	read_cards(p, m, a);
	arena_free(a);
	if (m->pairing == NULL && p->dpu_id == NULL && p->cards.n == 0) {
		vec_free(&p->cards);
		free(p);
		return false;
	}
	if (m->pairing == NULL) {
		m->pairing = p;
		recall_other(m);
	}
	return true;
}

/* ---- showing it ---- */

struct shown {
	int32_t key; /* of the custom field; 0: there is none */
};

static void on_field(void *arg, const struct value *result, const struct value *fault,
		     const char *text)
{
	struct shown *s = arg;

	(void)fault;
	(void)text;
	s->key = (int32_t)value_get_num(result, F_CustomFieldDef_key, 0);
}

static void on_set(void *arg, const struct value *result, const struct value *fault,
		   const char *text)
{
	(void)arg;
	(void)result;
	if (fault != NULL) {
		log_warn("the link to a card cannot be shown: %s", text);
	}
}

/* Key of the field by name, made where there is none. */
static int32_t field_key(struct center *c, const char *name, struct arena *a)
{
	struct object *o = inventory_find(c->inventory, "CustomFieldsManager");
	const struct value *fields =
		o == NULL ? NULL : object_get(o, P_CustomFieldsManager_field, a);
	struct shown s = { 0 };

	for (size_t i = 0; i < value_count(fields); i++) {
		const struct value *f = value_item(fields, i);
		if (strcmp(value_get_str(f, F_CustomFieldDef_name), name) == 0) {
			return (int32_t)value_get_num(f, F_CustomFieldDef_key, 0);
		}
	}
	if (o != NULL) {
		struct value *args =
			value_new(a, schema_method(M_CustomFieldsManager_AddCustomFieldDef)->args);
		value_set_str(a, args, A_CustomFieldsManager_AddCustomFieldDef_name, name);
		value_set_str(a, args, A_CustomFieldsManager_AddCustomFieldDef_moType,
			      "HostSystem");
		service_call(session_system(c->api->sessions), o,
			     M_CustomFieldsManager_AddCustomFieldDef, args, on_field, &s);
	}
	return s.key;
}

static void show(struct member *m, const char *field, const char *text)
{
	struct center *c = m->center;
	struct object *o = inventory_find(c->inventory, "CustomFieldsManager");
	struct arena *a = arena_new(0);
	int32_t key = field_key(c, field, a);

	if (key != 0) {
		struct value *args =
			value_new(a, schema_method(M_CustomFieldsManager_SetField)->args);
		value_set(a, args, A_CustomFieldsManager_SetField_entity, m->system->ref);
		value_set_num(a, args, A_CustomFieldsManager_SetField_key, key);
		value_set_str(a, args, A_CustomFieldsManager_SetField_value, text);
		service_call(session_system(c->api->sessions), o, M_CustomFieldsManager_SetField,
			     args, on_set, NULL);
	}
	arena_free(a);
}

static void say(struct member *m, const char *fmt, const char *dpu, const char *server)
{
	struct arena *a = arena_new(0);
	struct value *event = value_new(a, T_EventEx);
	const char *text = arena_printf(a, "%s %s %s", dpu, fmt, server);

	value_set_str(a, event, F_EventEx_eventTypeId, "remora.dpu.pairing");
	value_set_str(a, event, F_EventEx_severity, "info");
	value_set_str(a, event, F_EventEx_message, text);
	center_post(m->center, a, event, m->system, "", text);
	arena_free(a);
	log_info("%s %s %s", dpu, fmt, server);
}

static struct member *other_of(const struct member *m)
{
	return m->pairing == NULL || m->pairing->other == NULL
		       ? NULL
		       : member_by_id(m->hosts, m->pairing->other);
}

static void separate(struct member *dpu)
{
	struct member *server = other_of(dpu);

	set_other(dpu, NULL);
	show(dpu, SERVER_FIELD, "");
	if (server != NULL) {
		if (server->pairing != NULL) {
			set_other(server, NULL);
		}
		show(server, DPU_FIELD, "");
		say(dpu, "does not sit any more in", member_name(dpu), member_name(server));
	}
}

static void join(struct member *dpu, struct member *server)
{
	set_other(dpu, server->id);
	set_other(server, dpu->id);
	show(dpu, SERVER_FIELD, member_name(server));
	show(server, DPU_FIELD, member_name(dpu));
	say(dpu, "is the DPU in", member_name(dpu), member_name(server));
}

struct member *pairing_other(const struct member *m)
{
	struct member *other = other_of(m);

	if (m->pairing == NULL) { /* not heard of since this process began */
		struct arena *a = arena_new(0);
		const char *id = database_fact(m->center->db, arena_printf(a, "pair/%s", m->id), a);
		other = id == NULL ? NULL : member_by_id(m->hosts, id);
		arena_free(a);
	}
	return other;
}

/* ---- matching ---- */

/* The server that names the card now; where one that did is only away, it keeps it. */
static struct member *server_of(struct member *dpu)
{
	list_each (struct member, m, &dpu->hosts->members, link_node) {
		if (m != dpu && m->pairing != NULL && says_card(m->pairing, dpu->pairing->dpu_id)) {
			return m;
		}
	}
	return NULL;
}

static void match(struct member *dpu)
{
	struct member *now = server_of(dpu), *shown = other_of(dpu);

	if (now == shown || (now == NULL && shown != NULL && shown->state != MEMBER_CONNECTED)) {
		return;
	}
	if (shown != NULL) {
		separate(dpu);
	}
	if (now != NULL) {
		struct member *before = other_of(now);
		if (before != NULL && before->pairing != NULL && before->pairing->dpu_id != NULL) {
			separate(before);
		}
		join(dpu, now);
	}
}

void pairing_look(struct member *m)
{
	if (m->system == NULL || !read_host(m)) {
		return;
	}
	list_each (struct member, at, &m->hosts->members, link_node) {
		if (at->pairing != NULL && at->pairing->dpu_id != NULL) {
			match(at);
		}
	}
	lend_look(m);
}

void pairing_leave(struct member *m)
{
	struct member *other = other_of(m);

	if (other != NULL && other->pairing != NULL) {
		separate(m->pairing->dpu_id != NULL ? m : other);
	}
	if (m->pairing != NULL) {
		set_other(m, NULL);
	}
}

void pairing_forget(struct member *m)
{
	struct pairing *p = m->pairing;

	if (p == NULL) {
		return;
	}
	m->pairing = NULL;
	forget_said(p);
	vec_free(&p->cards);
	free(p->other);
	free(p);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times the property collector and its kin on an inventory of 10,000 virtual machines, requests in
 * and answers out as XML, without the network. Prints one line a measure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "vim/rig.h"

enum {
	N_VMS = 10000,
	N_WAITING = 100
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void report(const char *what, double us, int n)
{
	printf("%-44s %10.2f us\n", what, us / n);
}

#define COLLECTOR "<_this type=\"PropertyCollector\">propertyCollector</_this>"
#define XSI	  "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""

/* The id that stands in the last answer's returnval. */
static void take_id(const struct rig *r, char *out, size_t size)
{
	const char *at = strstr(r->body, "<returnval"), *end = at == NULL ? NULL : strchr(at, '>');

	out[0] = '\0';
	if (end != NULL) {
		snprintf(out, size, "%.*s", (int)strcspn(end + 1, "<"), end + 1);
	}
}

static void bench_walk(struct rig *r, const char *key)
{
	double from = now_us();

	for (int i = 0; i < N_VMS; i++) {
		char *text = mem_printf(
			"<RetrievePropertiesEx xmlns=\"urn:vim25\">" COLLECTOR "<specSet>"
			"<propSet><type>ManagedEntity</type><pathSet>name</pathSet>"
			"<pathSet>parent</pathSet></propSet>"
			"<propSet><type>VirtualMachine</type><pathSet>parentVApp</pathSet></"
			"propSet>"
			"<objectSet><obj type=\"VirtualMachine\">vm-%d</obj><skip>false</skip>"
			"<selectSet " XSI " xsi:type=\"TraversalSpec\"><name>traverseParent</name>"
			"<type>ManagedEntity</type><path>parent</path><skip>false</skip>"
			"<selectSet><name>traverseParent</name></selectSet></selectSet>"
			"<selectSet " XSI " xsi:type=\"TraversalSpec\"><type>VirtualMachine</type>"
			"<path>parentVApp</path><skip>false</skip>"
			"<selectSet><name>traverseParent</name></selectSet></selectSet>"
			"</objectSet></specSet><options/></RetrievePropertiesEx>",
			i);
		rig_post(r, key, text);
		free(text);
	}
	report("ancestor walk, request to answer", now_us() - from, N_VMS);
}

static void make_view(struct rig *r, const char *key, char *id, size_t size)
{
	rig_post(
		r, key,
		"<CreateContainerView xmlns=\"urn:vim25\"><_this type=\"ViewManager\">ViewManager"
		"</_this><container type=\"Folder\">group-d1</container><type>VirtualMachine</type>"
		"<recursive>true</recursive></CreateContainerView>");
	take_id(r, id, size);
}

static char *view_request(const char *view, const char *method, const char *spec, const char *tail,
			  const char *paths)
{
	return mem_printf(
		"<%s xmlns=\"urn:vim25\">" COLLECTOR "<%s><propSet><type>VirtualMachine</type>%s"
		"</propSet><objectSet><obj type=\"ContainerView\">%s</obj><skip>true</skip>"
		"<selectSet " XSI " xsi:type=\"TraversalSpec\"><type>ContainerView</type>"
		"<path>view</path></selectSet></objectSet></%s>%s</%s>",
		method, spec, paths, view, spec, tail, method);
}

static void bench_view(struct rig *r, const char *key)
{
	static const struct {
		const char *name, *paths;
	} what[] = {
		{ "10k VMs through a view, references", "" },
		{ "10k VMs through a view, name", "<pathSet>name</pathSet>" },
		{ "10k VMs through a view, name and power",
		  "<pathSet>name</pathSet><pathSet>runtime.powerState</pathSet>" },
		{ "10k VMs through a view, all", "<all>true</all>" },
	};
	char view[200] = "";
	double from = now_us();

	for (int i = 0; i < 20; i++) {
		make_view(r, key, view, sizeof(view));
	}
	report("container view over 10k VMs, creation", now_us() - from, 20);
	for (size_t i = 0; i < ARRAY_LEN(what); i++) {
		char *text = view_request(view, "RetrievePropertiesEx", "specSet", "<options/>",
					  what[i].paths);
		from = now_us();
		for (int j = 0; j < 20; j++) {
			rig_post(r, key, text);
		}
		report(what[i].name, now_us() - from, 20);
		free(text);
	}
}

static void bench_fan_out(struct rig *r, const char *key, const char *what, bool is_view)
{
	struct answer answers[N_WAITING];
	struct object *vm = inventory_find(r->inventory, "vm-77");
	struct object *collectors[N_WAITING];
	char view[200] = "", version[N_WAITING][64];
	double us = 0, quiet = 0;

	(void)key;
	for (int i = 0; i < N_WAITING; i++) {
		const struct value *ref = rig_call(
			r, r->collector, M_PropertyCollector_CreatePropertyCollector, NULL);
		collectors[i] = inventory_find_ref(r->inventory, ref);
		value_drop(ref);
		struct value *args = rig_args(r, M_PropertyCollector_CreateFilter);
		struct value *spec = rig_spec(
			r, vm->ref, false, NULL,
			rig_properties(r, T_VirtualMachine, "name runtime.powerState"), NULL);
		if (is_view) {
			if (i == 0) {
				struct value *a = rig_args(r, M_ViewManager_CreateContainerView);
				value_set(r->arena, a, A_ViewManager_CreateContainerView_container,
					  r->root->ref);
				value_set_bool(r->arena, a,
					       A_ViewManager_CreateContainerView_recursive, true);
				ref = rig_call(r, inventory_find(r->inventory, "ViewManager"),
					       M_ViewManager_CreateContainerView, a);
				snprintf(view, sizeof(view), "%s", value_bytes(ref));
				value_drop(ref);
			}
			spec = rig_spec(
				r, inventory_find(r->inventory, view)->ref, true,
				rig_list(r, T_SelectionSpec,
					 rig_traversal(r, NULL, T_ManagedObjectView, "view", false,
						       NULL),
					 NULL),
				rig_properties(r, T_VirtualMachine, "name runtime.powerState"),
				NULL);
		}
		value_set(r->arena, args, A_PropertyCollector_CreateFilter_spec, spec);
		value_drop(rig_call(r, collectors[i], M_PropertyCollector_CreateFilter, args));
		args = rig_args(r, M_PropertyCollector_WaitForUpdates);
		const struct value *set =
			rig_call(r, collectors[i], M_PropertyCollector_WaitForUpdates, args);
		snprintf(version[i], sizeof(version[i]), "%s",
			 value_get_str(set, F_UpdateSet_version));
		value_drop(set);
	}
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < N_WAITING; i++) {
			struct value *args = rig_args(r, M_PropertyCollector_WaitForUpdates);
			value_set_str(r->arena, args, A_PropertyCollector_WaitForUpdates_version,
				      version[i]);
			rig_start(r, &answers[i], collectors[i], M_PropertyCollector_WaitForUpdates,
				  args);
		}
		inventory_publish(r->inventory);
		inventory_set_str(r->host, P_ManagedEntity_name, round % 2 ? "a" : "b");
		double from = now_us();
		inventory_publish(r->inventory);
		quiet += now_us() - from;
		rig_set_power(r, vm, (round + 1) % 2);
		from = now_us();
		inventory_publish(r->inventory);
		us += now_us() - from;
		for (int i = 0; i < N_WAITING; i++) {
			if (answers[i].result != NULL) {
				snprintf(version[i], sizeof(version[i]), "%s",
					 value_get_str(answers[i].result, F_UpdateSet_version));
			}
			answer_clear(&answers[i]);
		}
	}
	printf("%s:\n", what);
	report("  a change of no concern, each of 100", quiet, 100 * N_WAITING);
	report("  a change that is told, each of 100", us, 100 * N_WAITING);
	for (int i = 0; i < N_WAITING; i++) {
		value_drop(rig_call(r, collectors[i], M_PropertyCollector_DestroyPropertyCollector,
				    NULL));
	}
}

static void bench_search(struct rig *r, const char *key)
{
	double from = now_us();

	for (int i = 0; i < N_VMS; i++) {
		char *text =
			mem_printf("<FindByUuid xmlns=\"urn:vim25\"><_this type=\"SearchIndex\">"
				   "SearchIndex</_this><uuid>uuid-%d</uuid><vmSearch>true"
				   "</vmSearch></FindByUuid>",
				   i);
		rig_post(r, key, text);
		free(text);
	}
	report("FindByUuid, request to answer", now_us() - from, N_VMS);
	from = now_us();
	for (int i = 0; i < 100; i++) {
		rig_post(r, key,
			 "<FindByInventoryPath xmlns=\"urn:vim25\"><_this type=\"SearchIndex\">"
			 "SearchIndex</_this><inventoryPath>DC0/vm/vm-9999</inventoryPath>"
			 "</FindByInventoryPath>");
	}
	report("FindByInventoryPath in a folder of 10k", now_us() - from, 100);
}

int main(void)
{
	struct rig *r = rig_new();
	char id[32];

	for (int i = 0; i < N_VMS; i++) {
		snprintf(id, sizeof(id), "vm-%d", i);
		struct object *vm = rig_add_vm(r, id, id);
		struct value *config = value_new(r->arena, T_VirtualMachineConfigInfo);
		value_set_strf(r->arena, config, F_VirtualMachineConfigInfo_uuid, "uuid-%d", i);
		inventory_set(vm, P_VirtualMachine_config, config);
	}
	struct session *s = rig_login(r, "root", "secret");
	bench_walk(r, session_key(s));
	bench_view(r, session_key(s));
	bench_fan_out(r, session_key(s), "each waits for one VM", false);
	bench_fan_out(r, session_key(s), "each waits for all 10k VMs", true);
	bench_search(r, session_key(s));
	rig_free(r);
	return 0;
}

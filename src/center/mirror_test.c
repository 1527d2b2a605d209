/* SPDX-License-Identifier: Apache-2.0 */
/* A host's inventory here is what it is there, however it comes, and costs little. */
#include "center/mirror.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "center/compute.h"
#include "center/hosts.h"
#include "center/hosts_rig.h"
#include "center/place.h"
#include "center/same_host.h"

static void change_something(struct fake_host *h, unsigned *seed)
{
	char name[32];
	struct object *vm = h->n_vms == 0 ? NULL : h->vms[(size_t)rand_r(seed) % h->n_vms];

	switch (vm == NULL ? 0 : rand_r(seed) % 8) {
	case 0:
	case 1:
		snprintf(name, sizeof(name), "vm-%u", h->next_vm + 1);
		fake_host_add_vm(h, name);
		break;
	case 2:
		fake_host_remove_vm(h, vm);
		break;
	case 3:
		fake_host_set_power(h, vm, rand_r(seed) % 3);
		break;
	case 4:
		snprintf(name, sizeof(name), "renamed-%d", rand_r(seed));
		inventory_set_str(vm, P_ManagedEntity_name, name);
		break;
	case 5:
		inventory_drop_ref(vm, P_VirtualMachine_network, h->network);
		break;
	case 6:
		inventory_set(vm, P_VirtualMachine_config, NULL);
		break;
	default:
		fake_host_set_memory(h, vm, rand_r(seed) % 4096);
		break;
	}
}

/* What a reader saw of all mirrored properties, to find changes that were not noted. */
struct memory {
	struct map seen; /* "id/prop" → kept value */
	uint64_t version;
};

static bool is_noted(const struct object *o, unsigned prop, uint64_t since)
{
	if (o->created > since) {
		return true;
	}
	for (uint32_t i = 0; i < o->n_journal; i++) {
		if (o->journal[i].prop == prop && o->journal[i].version > since) {
			return true;
		}
	}
	return false;
}

static void check_noted(struct memory *mem)
{
	struct object *o;

	for (uint32_t i = 0; (o = inventory_each(t.c->inventory, &i)) != NULL;) {
		for (unsigned p = 0; mirrored_of(o) != NULL && p < o->n_props; p++) {
			char key[96];
			if (!is_compared(o, p)) {
				continue;
			}
			arena_reset(t.a);
			snprintf(key, sizeof(key), "%s/%u", object_id(o), p);
			const struct value *now = value_keep(object_get(o, p, t.a));
			const struct value *old = map_set(&mem->seen, key, (void *)(uintptr_t)now);
			if (now != old && !is_noted(o, p, mem->version)) {
				fail_msg("%s.%s changed, unnoted", object_id(o),
					 schema_field_name(schema_field(o->type, p)));
			}
			value_drop(old);
		}
	}
	mem->version = inventory_version(t.c->inventory);
}

static void drop_value(void *v)
{
	value_drop(v);
}

static void changes_are_followed(struct object *system, struct fake_host *h)
{
	struct memory mem = { 0 };
	unsigned seed = 7;

	check_same(system, h);
	check_noted(&mem);
	for (unsigned round = 0; round < 40; round++) {
		for (int n = rand_r(&seed) % 6; n >= 0; n--) {
			change_something(h, &seed);
		}
		check_same(system, h);
		check_noted(&mem);
	}
	map_free_values(&mem.seen, drop_value);
}

static void mirror_in_process(void **state)
{
	(void)state;
	struct object *system = add_local(0, "h0", UUID_1);

	changes_are_followed(system, t.host[0]);
}

static void mirror_over_https(void **state)
{
	(void)state;
	struct object *system = add_remote(0, "h0", UUID_1);

	changes_are_followed(system, t.host[0]);
}

/* ---- many ---- */

enum {
	MANY = 10000,
#if defined(__x86_64__)
	MANY_MS = 3000
#else
	MANY_MS = 15000 /* mostly emulated, beside other tests */
#endif
};

static void many_vms_cost_little(void **state)
{
	(void)state;
	char name[32];
	struct error e = { 0 };

	t.host[0] = fake_host_new(&t.loop, "h0", UUID_1, NULL);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "vm-%u", i);
		fake_host_add_vm(t.host[0], name);
	}
	turn(3);
	size_t before = mallinfo2().uordblks;
	uint64_t since = uv_hrtime();
	struct object *o =
		hosts_add_local(t.c->hosts,
				&(struct hosts_local){
					.inventory = t.host[0]->inventory,
					.session = session_system(t.host[0]->api->sessions),
					.name = "h0",
					.place = t.hosts,
				},
				&e);
	assert_non_null(o);
	turn(3);
	uint64_t took = (uv_hrtime() - since) / 1000000;
	size_t bytes = (mallinfo2().uordblks - before) / MANY;
	assert_int_equal(place_count(t.vms, P_Folder_childEntity), MANY);
	print_message("%d VMs: %llu ms, %zu bytes each\n", MANY, (unsigned long long)took, bytes);
#if !defined(__SANITIZE_ADDRESS__)
	assert_true(bytes <= 1536);
	assert_true(took < MANY_MS);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mirror_in_process, setup, teardown),
		cmocka_unit_test_setup_teardown(mirror_over_https, setup_kept, teardown),
		cmocka_unit_test_setup_teardown(many_vms_cost_little, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct budget make(uint64_t machine_mib, uint64_t share_mib, enum machine_accel accel,
			  unsigned gic)
{
	struct hardware h = { .memory = machine_mib << 20 };
	struct node n = { .memory_mib = share_mib, .cpus = 16 };
	struct budget b;
	budget_make(&b, &(struct budget_config){ .hardware = &h,
						 .node = &n,
						 .has_switch = true,
						 .accel = accel,
						 .gic = gic });
	return b;
}

static void test_small_card(void **state)
{
	(void)state;
	/* A card of 2 GB shows the kernel's 1960 MiB: two VMs of 512 MiB fit, a third does not. */
	struct budget b = make(1960, 1960, MACHINE_KVM, 3);
	assert_true(b.kept_mib > 300 && b.kept_mib < 600);
	assert_int_equal(b.vms_mib, 1960 - b.kept_mib);
	assert_int_equal(budget_free(&b, 0, 0), b.vms_mib - b.overhead_mib);
	assert_true(budget_free(&b, 512, 1) >= 512);
	assert_true(budget_free(&b, 1024, 2) < 512);
	/* All of them and what they take beside stay within the machine. */
	uint64_t on = 0;
	size_t n = 0;
	while (budget_free(&b, on, n) >= 64) {
		on += 64;
		n++;
	}
	assert_true(on + n * b.overhead_mib + b.kept_mib <= b.machine_mib);
}

static void test_share_of_a_machine(void **state)
{
	(void)state;
	struct budget b = make(16384, 2048, MACHINE_TCG, 0);
	assert_int_equal(b.vms_mib, 2048);
	assert_int_equal(budget_free(&b, 0, 0), 2048);
	assert_int_equal(budget_free(&b, 2000, 10), 48);
	assert_int_equal(budget_free(&b, 4096, 10), 0);
	assert_int_equal(b.vcpus_max, 16);
}

static void test_odd_machines(void **state)
{
	(void)state;
	struct budget b = make(0, 1024, MACHINE_TCG, 0); /* unknown */
	assert_int_equal(budget_free(&b, 0, 0), 1024);
	b = make(100, 100, MACHINE_KVM, 2); /* too small for anything */
	assert_int_equal(b.vms_mib, 0);
	assert_int_equal(budget_free(&b, 0, 0), 0);
	assert_int_equal(b.vcpus_max, 8);
	b = make(4096, 999999, MACHINE_KVM, 3); /* node.json promises more than there is */
	assert_true(b.vms_mib < 4096);
}

static void test_huge_pages_are_gone(void **state)
{
	struct hardware h = { .memory = UINT64_C(8) << 30, .huge_pages = UINT64_C(1) << 30 };
	struct node n = { .memory_mib = 8192, .cpus = 4 };
	struct budget with, without;
	struct budget_config c = { .hardware = &h, .node = &n, .accel = MACHINE_KVM, .gic = 3 };
	(void)state;
	budget_make(&with, &c);
	h.huge_pages = 0;
	budget_make(&without, &c);
	assert_int_equal(with.vms_mib + 1024, without.vms_mib);
}

/* Of a node with so many processors of 2 GHz; `share`: of a larger machine. */
static struct budget processors(unsigned n, unsigned n_planes, bool share, uint64_t hz)
{
	struct hardware h = { .memory = UINT64_C(8) << 30, .cpu.hz = hz };
	struct node node = { .memory_mib = 8192, .cpus = n };
	struct cores c = { .kind = share	  ? CORES_SHARE
				   : n_planes > 0 ? CORES_APART
						  : CORES_TOGETHER,
			   .n_usable = share ? 64 : n,
			   .n_vms = share ? 64 : n - n_planes,
			   .kept_percent = share	  ? 0
					   : n_planes > 0 ? 100 * n_planes
							  : CORES_KEPT_SHARED };
	struct budget b;
	budget_make(&b, &(struct budget_config){ .hardware = &h,
						 .node = &node,
						 .accel = MACHINE_KVM,
						 .gic = 3,
						 .cores = &c });
	return b;
}

static void test_processors(void **state)
{
	(void)state;
	struct budget b = processors(8, 2, false, 2000000000);
	assert_int_equal(b.share_mhz, 16000);
	assert_int_equal(b.vms_mhz, 12000);
	assert_int_equal(b.vms_cpus, 6);
	assert_int_equal(b.vcpus_max, 6);
	assert_int_equal(budget_free_mhz(&b, 5000), 7000);
	assert_int_equal(budget_free_mhz(&b, 13000), 0);
	b = processors(2, 0, false, 2000000000); /* all run everywhere */
	assert_int_equal(b.vms_mhz, 3500);
	assert_int_equal(b.vcpus_max, 2);
	b = processors(1, 0, false, 2000000000);
	assert_int_equal(b.vms_mhz, 1500);
	b = processors(4, 0, true, 2000000000);
	assert_int_equal(b.vms_mhz, 8000);
	assert_int_equal(b.vcpus_max, 4);
	b = processors(4, 1, false, 0); /* nobody knows how fast */
	assert_int_equal(b.vms_mhz, 0);
	assert_int_equal(b.vcpus_max, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_card),   cmocka_unit_test(test_share_of_a_machine),
		cmocka_unit_test(test_odd_machines), cmocka_unit_test(test_huge_pages_are_gone),
		cmocka_unit_test(test_processors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sensors.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/macro.h"
#include "base/mem.h"

static char root[64];
static struct sensors read_all;

static int up(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/sensors_test.XXXXXX");
	return mkdtemp(root) == NULL;
}

static int down(void **state)
{
	(void)state;
	return !file_remove_tree_at(AT_FDCWD, root, NULL);
}

static void put(const char *path, const char *text)
{
	char *whole = mem_printf("%s%s", root, path);
	char *slash = strrchr(whole, '/');
	struct error e;

	*slash = '\0';
	assert_true(file_make_dirs(whole, 0700, &e));
	*slash = '/';
	assert_true(file_write_atomic(whole, text, strlen(text), 0600, &e));
	free(whole);
}

static void hwmon(const char *file, const char *text)
{
	char *path = mem_printf("/sys/class/hwmon/%s", file);
	put(path, text);
	free(path);
}

static const struct sensor *find(const char *id)
{
	for (size_t i = 0; i < read_all.n; i++) {
		if (strcmp(read_all.all[i].id, id) == 0) {
			return &read_all.all[i];
		}
	}
	static const struct sensor none;
	return &none;
}

static void expect(const char *id, const char *name, enum sensor_kind kind, int64_t reading,
		   enum sensor_health health)
{
	const struct sensor *s = find(id);

	if (s->id[0] == '\0') {
		fail_msg("no sensor \"%s\"", id);
	}
	assert_string_equal(s->name, name);
	assert_int_equal(s->kind, kind);
	assert_int_equal(s->reading, reading);
	assert_int_equal(s->health, health);
}

static void read_now(void)
{
	sensors_read(&read_all, root);
}

static void test_nothing(void **state)
{
	(void)state;
	read_now();
	assert_int_equal(read_all.n, 0);
	assert_int_equal(read_all.n_memory, 0);
	sensors_read(&read_all, ""); /* whatever this machine has */
	assert_true(read_all.n <= SENSORS_MAX);
}

static void test_kinds(void **state)
{
	(void)state;
	hwmon("hwmon0/name", "coretemp\n");
	hwmon("hwmon0/temp1_input", "45000\n");
	hwmon("hwmon0/temp1_label", "Package id 0\n");
	hwmon("hwmon0/temp1_max", "80000\n");
	hwmon("hwmon0/temp1_crit", "100000\n");
	hwmon("hwmon1/name", "pwm_fan\n");
	hwmon("hwmon1/fan1_input", "2400\n");
	hwmon("hwmon1/in0_input", "12034\n");
	hwmon("hwmon1/curr1_input", "-250\n");
	hwmon("hwmon1/power1_average", "23500000\n");
	hwmon("hwmon1/power1_input", "23600000\n");
	hwmon("hwmon1/energy1_input", "1\n");
	hwmon("hwmon1/update_interval", "1000\n");
	hwmon("hwmon2/name", "nvme\n");
	hwmon("hwmon2/temp1_input", "-5150\n");
	read_now();
	assert_int_equal(read_all.n, 6);
	expect("hwmon0/temp1", "coretemp Package id 0", SENSOR_TEMPERATURE, 45000, SENSOR_GREEN);
	expect("hwmon1/fan1", "pwm_fan fan1", SENSOR_FAN, 2400, SENSOR_GREEN);
	expect("hwmon1/in0", "pwm_fan in0", SENSOR_VOLTAGE, 12034, SENSOR_GREEN);
	expect("hwmon1/curr1", "pwm_fan curr1", SENSOR_CURRENT, -250, SENSOR_GREEN);
	expect("hwmon1/power1", "pwm_fan power1", SENSOR_POWER, 23500, SENSOR_GREEN);
	expect("hwmon2/temp1", "nvme temp1", SENSOR_TEMPERATURE, -5150, SENSOR_GREEN);
	assert_int_equal(find("hwmon0/temp1")->part, SENSOR_ON_PROCESSOR);
	assert_int_equal(find("hwmon1/in0")->part, SENSOR_ON_SYSTEM);
	assert_int_equal(find("hwmon2/temp1")->part, SENSOR_ON_STORAGE);
}

static void test_health(void **state)
{
	static const struct {
		const char *files[8]; /* file, text, … */
		const char *id;
		enum sensor_health health;
	} cases[] = {
		{ { "temp1_input", "79999", "temp1_max", "80000" }, "temp1", SENSOR_GREEN },
		{ { "temp1_input", "80000", "temp1_max", "80000" }, "temp1", SENSOR_YELLOW },
		{ { "temp1_input", "90000", "temp1_max", "80000", "temp1_crit", "90000" },
		  "temp1",
		  SENSOR_RED },
		{ { "temp1_input", "20000", "temp1_crit_alarm", "1" }, "temp1", SENSOR_RED },
		{ { "temp1_input", "20000", "temp1_alarm", "1" }, "temp1", SENSOR_YELLOW },
		{ { "temp1_input", "20000", "temp1_fault", "1" }, "temp1", SENSOR_UNKNOWN },
		{ { "temp1_input", "20000", "temp1_crit", "0", "temp1_max", "x" },
		  "temp1",
		  SENSOR_GREEN },
		{ { "in3_input", "800", "in3_min", "900" }, "in3", SENSOR_YELLOW },
		{ { "in3_input", "800", "in3_lcrit", "850" }, "in3", SENSOR_RED },
		{ { "fan2_input", "0", "fan2_min", "500" }, "fan2", SENSOR_RED },
		{ { "fan2_input", "400", "fan2_min", "500" }, "fan2", SENSOR_YELLOW },
		{ { "fan2_input", "0" }, "fan2", SENSOR_GREEN }, /* may stand still */
		{ { "power1_input", "90000000", "power1_crit", "80000000" }, "power1", SENSOR_RED },
		{ { "curr1_input", "5000", "curr1_max", "4000" }, "curr1", SENSOR_YELLOW },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *chip = mem_printf("hwmon%zu", i);
		char *path = mem_printf("%s/name", chip);
		hwmon(path, "chip");
		free(path);
		for (size_t k = 0; k < ARRAY_LEN(cases[0].files) && cases[i].files[k]; k += 2) {
			path = mem_printf("%s/%s", chip, cases[i].files[k]);
			hwmon(path, cases[i].files[k + 1]);
			free(path);
		}
		free(chip);
	}
	read_now();
	assert_int_equal(read_all.n, ARRAY_LEN(cases));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *id = mem_printf("hwmon%zu/%s", i, cases[i].id);
		if (find(id)->id[0] == '\0' || find(id)->health != cases[i].health) {
			fail_msg("%s", id);
		}
		free(id);
	}
}

static void test_zones(void **state)
{
	(void)state;
	hwmon("hwmon0/name", "cpu_thermal\n");
	hwmon("hwmon0/temp1_input", "50000\n");
	put("/sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"); /* the same one */
	put("/sys/class/thermal/thermal_zone0/temp", "50000\n");
	put("/sys/class/thermal/thermal_zone1/type", "soc\n");
	put("/sys/class/thermal/thermal_zone1/temp", "96000\n");
	put("/sys/class/thermal/thermal_zone1/trip_point_0_type", "passive\n");
	put("/sys/class/thermal/thermal_zone1/trip_point_0_temp", "70000\n");
	put("/sys/class/thermal/thermal_zone1/trip_point_1_type", "hot\n");
	put("/sys/class/thermal/thermal_zone1/trip_point_1_temp", "90000\n");
	put("/sys/class/thermal/thermal_zone1/trip_point_2_type", "critical\n");
	put("/sys/class/thermal/thermal_zone1/trip_point_2_temp", "105000\n");
	put("/sys/class/thermal/thermal_zone2/type", "gpu\n"); /* cannot be read now */
	put("/sys/class/thermal/cooling_device0/type", "fan\n");
	read_now();
	assert_int_equal(read_all.n, 2);
	expect("thermal_zone1", "soc thermal_zone1", SENSOR_TEMPERATURE, 96000, SENSOR_YELLOW);
	put("/sys/class/thermal/thermal_zone1/temp", "105000\n");
	read_now();
	expect("thermal_zone1", "soc thermal_zone1", SENSOR_TEMPERATURE, 105000, SENSOR_RED);
}

static void test_memory(void **state)
{
	(void)state;
	put("/sys/devices/system/edac/mc/mc0/ce_count", "0\n");
	put("/sys/devices/system/edac/mc/mc0/ue_count", "0\n");
	put("/sys/devices/system/edac/mc/mc1/ce_count", "7\n");
	put("/sys/devices/system/edac/mc/mc1/ue_count", "0\n");
	put("/sys/devices/system/edac/mc/mc2/ce_count", "0\n");
	put("/sys/devices/system/edac/mc/mc2/ue_count", "1\n");
	put("/sys/devices/system/edac/mc/mc3/ue_count", "1\n");
	put("/sys/devices/system/edac/mc/power/ue_count", "1\n");
	read_now();
	assert_int_equal(read_all.n_memory, 3);
	assert_int_equal(read_all.memory[0].health, SENSOR_GREEN);
	assert_int_equal(read_all.memory[1].health, SENSOR_YELLOW);
	assert_int_equal(read_all.memory[2].health, SENSOR_RED);
	assert_string_equal(read_all.memory[2].name, "mc2");
}

/* Firmware and drivers may say anything. */
static void test_hostile(void **state)
{
	static const char *const readings[] = { "",	   "x",	      "0x10",
						"1e3",	   "45.5",    "99999999999999999999",
						"-300000", "1000001", "1 2" };
	char name[40], *text = mem_alloc(10000);

	(void)state;
	memset(text, 'A', 9999);
	text[9999] = '\0';
	hwmon("hwmon0/name", text);
	hwmon("hwmon0/temp0_label", "\033[31mred\n\x80\xff");
	hwmon("hwmon0/temp0_input", "1000");
	for (size_t i = 0; i < ARRAY_LEN(readings); i++) {
		snprintf(name, sizeof(name), "hwmon0/temp%zu_input", i + 1);
		hwmon(name, readings[i]);
	}
	hwmon("hwmon0/temp99999_input", "1000");
	hwmon("hwmon0/temp_input", "1000");
	hwmon("hwmon0/tempx_input", "1000");
	hwmon("hwmon0/_input", "1000");
	hwmon("hwmon0/temp1x_input", "1000");
	hwmon("hwmon1/temp1_input", "1000"); /* no name */
	read_now();
	assert_int_equal(read_all.n, 1);
	assert_true(strlen(read_all.all[0].name) < sizeof(read_all.all[0].name));
	assert_null(strpbrk(read_all.all[0].name, "\033\n\x80\xff"));
	for (int chip = 2; chip < 80; chip++) {
		snprintf(name, sizeof(name), "hwmon%d/name", chip);
		hwmon(name, "many");
		for (int i = 0; i < 6; i++) {
			snprintf(name, sizeof(name), "hwmon%d/in%d_input", chip, i);
			hwmon(name, "1");
		}
	}
	read_now();
	assert_int_equal(read_all.n, SENSORS_MAX);
	free(text);
}

static void test_noise(void **state)
{
	struct sensor a = { .kind = SENSOR_TEMPERATURE, .reading = 45000, .health = SENSOR_GREEN };
	struct sensor b = a;

	(void)state;
	b.reading = 46900;
	assert_false(sensor_differs(&a, &b));
	b.reading = 43000;
	assert_true(sensor_differs(&a, &b));
	b = a;
	b.health = SENSOR_YELLOW;
	assert_true(sensor_differs(&a, &b));
	a = b = (struct sensor){ .kind = SENSOR_FAN, .reading = 4000 };
	b.reading = 4199;
	assert_false(sensor_differs(&a, &b));
	b.reading = 3800;
	assert_true(sensor_differs(&a, &b));
	a = b = (struct sensor){ .kind = SENSOR_VOLTAGE, .reading = 12000 };
	b.reading = 12239;
	assert_false(sensor_differs(&a, &b));
	a = b = (struct sensor){ .kind = SENSOR_POWER, .reading = 0 };
	b.reading = 999;
	assert_false(sensor_differs(&a, &b));
	b.reading = 1000;
	assert_true(sensor_differs(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, up, down),
		cmocka_unit_test_setup_teardown(test_kinds, up, down),
		cmocka_unit_test_setup_teardown(test_health, up, down),
		cmocka_unit_test_setup_teardown(test_zones, up, down),
		cmocka_unit_test_setup_teardown(test_memory, up, down),
		cmocka_unit_test_setup_teardown(test_hostile, up, down),
		cmocka_unit_test(test_noise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

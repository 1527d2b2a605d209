/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node's sensors say: Linux' hwmon devices (Documentation/hwmon/sysfs-interface) and thermal
 * zones (driver-api/thermal/sysfs-api) that are not among them, and the error counts of memory
 * controllers (EDAC). A machine without sensors, as an emulated one, has none: nothing is made up.
 *
 * `root` comes before each path, "" in production, a recorded tree in tests. Files are read with
 * limits; what makes no sense leaves its sensor out. A driver may take its time to read a chip:
 * seconds where it hangs. So: not on the loop's thread; any other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SENSORS_CHIPS_MAX  64
#define SENSORS_MAX	   256 /* of all chips */
#define SENSORS_MEMORY_MAX 64  /* memory controllers */

enum sensor_kind {
	SENSOR_TEMPERATURE, /* thousandths of a degree Celsius */
	SENSOR_FAN,	    /* revolutions a minute */
	SENSOR_VOLTAGE,	    /* mV */
	SENSOR_CURRENT,	    /* mA */
	SENSOR_POWER,	    /* mW */
};

enum sensor_health {
	SENSOR_UNKNOWN, /* it says that it is faulty */
	SENSOR_GREEN,
	SENSOR_YELLOW,
	SENSOR_RED,
};

/* What a sensor is on. */
enum sensor_part {
	SENSOR_ON_SYSTEM,
	SENSOR_ON_PROCESSOR,
	SENSOR_ON_MEMORY,
	SENSOR_ON_STORAGE,
};

struct sensor {
	enum sensor_kind kind;
	enum sensor_part part;
	char id[64];   /* "hwmon2/temp1", "thermal_zone0": as in /sys, until the next start */
	char chip[64]; /* "coretemp" */
	char name[96]; /* "coretemp Core 0", "gpio_fan fan1" */
	int64_t reading;
	enum sensor_health health; /* by the thresholds that it has */
};

struct sensor_memory {
	char name[32]; /* "mc0" */
	enum sensor_health health;
};

struct sensors {
	struct sensor all[SENSORS_MAX]; /* chips in order, then zones */
	size_t n;
	struct sensor_memory memory[SENSORS_MEMORY_MAX];
	size_t n_memory;
};

void sensors_read(struct sensors *s, const char *root);

/* Whether a sensor whose reading is shown says something else now: a difference that is more than
 * noise (2 degrees; a twentieth, but for voltages a fiftieth), or another health. */
bool sensor_differs(const struct sensor *shown, const struct sensor *now);

/* The worse one. */
enum sensor_health sensor_worse(enum sensor_health a, enum sensor_health b);

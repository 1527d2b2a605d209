/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/number.h"
#include "host/facts.h"

#define INPUTS_MAX    1024 /* names looked at in the folder of a chip */
#define ZONES_MAX     64
#define TRIPS_MAX     16
#define NODES_MAX     256	    /* names in /sys/class/hwmon, /sys/class/thermal, … */
#define NOISE_DEGREES 2000	    /* thousandths */
#define READING_MAX   1000000000000 /* in any unit: beyond is nonsense */

static const struct sensor_type {
	enum sensor_kind kind;
	const char *prefix; /* of its files */
	int64_t divisor;    /* of what they say; 1 but for µW */
} types[] = {
	{ SENSOR_TEMPERATURE, "temp", 1 }, { SENSOR_FAN, "fan", 1 },
	{ SENSOR_VOLTAGE, "in", 1 },	   { SENSOR_CURRENT, "curr", 1 },
	{ SENSOR_POWER, "power", 1000 },
};

/* Drivers whose chips are part of something; else: on the board. */
static const struct {
	const char *chip;
	enum sensor_part part;
} parts[] = {
	{ "coretemp", SENSOR_ON_PROCESSOR },	{ "k10temp", SENSOR_ON_PROCESSOR },
	{ "zenpower", SENSOR_ON_PROCESSOR },	{ "cpu_thermal", SENSOR_ON_PROCESSOR },
	{ "cpu-thermal", SENSOR_ON_PROCESSOR }, { "apm_xgene", SENSOR_ON_PROCESSOR },
	{ "jc42", SENSOR_ON_MEMORY },		{ "spd5118", SENSOR_ON_MEMORY },
	{ "nvme", SENSOR_ON_STORAGE },		{ "drivetemp", SENSOR_ON_STORAGE },
};

static enum sensor_part part_of(const char *chip)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (strcmp(parts[i].chip, chip) == 0) {
			return parts[i].part;
		}
	}
	return SENSOR_ON_SYSTEM;
}

enum sensor_health sensor_worse(enum sensor_health a, enum sensor_health b)
{
	return MAX(a, b);
}

/* ---- files ---- */

/* A signed number, the whole first line. */
static bool read_number(const char *path, int64_t *out)
{
	char text[32];
	int64_t n;

	facts_line(path, text, sizeof(text));
	if (!number_i64(text, &n) || n > READING_MAX || n < -READING_MAX) {
		return false;
	}
	*out = n;
	return true;
}

/* /sys/class/hwmon/HWMON/INPUT_WHAT. */
static struct facts_path attribute(const char *root, const char *input, const char *what)
{
	return facts_path(root, "/sys/class/hwmon/%s_%s", input, what);
}

static bool is_set(const char *root, const char *input, const char *what)
{
	int64_t n;
	return read_number(attribute(root, input, what).s, &n) && n != 0;
}

/* ---- health ---- */

/* Above (or below, `sign` -1) a threshold that the chip has; one of 0 is one that nobody has set.
 */
static bool is_beyond(const char *root, const char *input, const char *what, int64_t raw, int sign)
{
	int64_t limit;
	return read_number(attribute(root, input, what).s, &limit) && limit != 0 &&
	       (sign > 0 ? raw >= limit : raw <= limit);
}

/* `raw`: as the files have it. */
static enum sensor_health judge(const char *root, const char *input, enum sensor_kind kind,
				int64_t raw)
{
	static const char *const alarms[] = { "crit_alarm", "lcrit_alarm", "emergency_alarm" };

	if (is_set(root, input, "fault")) {
		return SENSOR_UNKNOWN;
	}
	for (size_t i = 0; i < ARRAY_LEN(alarms); i++) {
		if (is_set(root, input, alarms[i])) {
			return SENSOR_RED;
		}
	}
	if (is_beyond(root, input, "crit", raw, 1) || is_beyond(root, input, "emergency", raw, 1) ||
	    is_beyond(root, input, "lcrit", raw, -1)) {
		return SENSOR_RED;
	}
	/* Fans turn slower than they should, or not at all. */
	if (kind == SENSOR_FAN) {
		return is_beyond(root, input, "min", raw, -1) || is_set(root, input, "alarm")
			       ? (raw == 0 ? SENSOR_RED : SENSOR_YELLOW)
			       : SENSOR_GREEN;
	}
	return is_beyond(root, input, "max", raw, 1) || is_beyond(root, input, "min", raw, -1) ||
			       is_set(root, input, "alarm")
		       ? SENSOR_YELLOW
		       : SENSOR_GREEN;
}

/* ---- hwmon ---- */

/* "temp12_input" gives 6, the length of "temp12", and what it is of; 0: something else. Power
 * meters that have only an average say that. */
static size_t split_input(const char *file, const struct sensor_type **type)
{
	const char *end = strrchr(file, '_');

	for (size_t i = 0; end != NULL && i < ARRAY_LEN(types); i++) {
		size_t n = strlen(types[i].prefix);
		size_t digits =
			strspn(file + n * (strncmp(file, types[i].prefix, n) == 0), "0123456789");
		if (strncmp(file, types[i].prefix, n) != 0 || digits == 0 || digits > 4 ||
		    file + n + digits != end) {
			continue;
		}
		*type = &types[i];
		bool ok = strcmp(end, "_input") == 0 ||
			  (types[i].kind == SENSOR_POWER && strcmp(end, "_average") == 0);
		return ok ? n + digits : 0;
	}
	return 0;
}

static bool has_id(const struct sensors *s, const char *id)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->all[i].id, id) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_possible(enum sensor_kind kind, int64_t reading)
{
	return kind != SENSOR_TEMPERATURE || (reading >= -273150 && reading <= 1000000);
}

static void read_input(struct sensors *s, const char *root, const char *hwmon, const char *chip,
		       const char *file)
{
	const struct sensor_type *type;
	size_t n = split_input(file, &type);
	struct sensor x = { 0 };
	char label[64];
	int64_t raw = 0;

	if (n == 0 || s->n >= SENSORS_MAX ||
	    snprintf(x.id, sizeof(x.id), "%s/%.*s", hwmon, (int)n, file) >= (int)sizeof(x.id) ||
	    has_id(s, x.id)) {
		return;
	}
	bool is_read = read_number(attribute(root, x.id, file + n + 1).s, &raw);
	x.kind = type->kind;
	x.part = part_of(chip);
	x.health = judge(root, x.id, x.kind, raw);
	/* One that is faulty may have no reading at all. */
	if ((!is_read && x.health != SENSOR_UNKNOWN) || !is_possible(x.kind, raw / type->divisor)) {
		return;
	}
	x.reading = raw / type->divisor;
	snprintf(x.chip, sizeof(x.chip), "%s", chip);
	facts_line(attribute(root, x.id, "label").s, label, sizeof(label));
	snprintf(x.name, sizeof(x.name), "%.31s %.*s", chip,
		 label[0] != '\0' ? (int)sizeof(label) : (int)n, label[0] != '\0' ? label : file);
	s->all[s->n++] = x;
}

static void read_chip(struct sensors *s, const char *root, const char *hwmon)
{
	char chip[64];
	size_t n;

	facts_line(facts_path(root, "/sys/class/hwmon/%s/name", hwmon).s, chip, sizeof(chip));
	if (chip[0] == '\0') {
		return;
	}
	char **files =
		facts_names(facts_path(root, "/sys/class/hwmon/%s", hwmon).s, INPUTS_MAX, &n);
	for (size_t i = 0; i < n; i++) {
		read_input(s, root, hwmon, chip, files[i]);
	}
	facts_names_free(files, n);
}

/* ---- thermal zones ---- */

/* The kernel shows most zones among hwmon, under the zone's type with underscores. */
static bool is_shown(const struct sensors *s, const char *type)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *a = s->all[i].chip, *b = type;
		while (*a != '\0' && (*a == *b || (*a == '_' && *b == '-'))) {
			a++;
			b++;
		}
		if (*a == '\0' && *b == '\0') {
			return true;
		}
	}
	return false;
}

static enum sensor_health judge_zone(const char *root, const char *zone, int64_t reading)
{
	static const char format[] = "/sys/class/thermal/%s/trip_point_%d_%s";
	enum sensor_health health = SENSOR_GREEN;

	for (int i = 0; i < TRIPS_MAX; i++) {
		char type[16];
		int64_t at;
		facts_line(facts_path(root, format, zone, i, "type").s, type, sizeof(type));
		if (type[0] == '\0' ||
		    !read_number(facts_path(root, format, zone, i, "temp").s, &at) || at <= 0 ||
		    reading < at) {
			continue;
		}
		if (strcmp(type, "critical") == 0) {
			return SENSOR_RED;
		}
		health = strcmp(type, "hot") == 0 ? SENSOR_YELLOW : health;
	}
	return health;
}

static void read_zone(struct sensors *s, const char *root, const char *zone)
{
	static const char format[] = "/sys/class/thermal/%s/%s";
	struct sensor x = { .kind = SENSOR_TEMPERATURE };

	facts_line(facts_path(root, format, zone, "type").s, x.chip, sizeof(x.chip));
	if (s->n >= SENSORS_MAX || x.chip[0] == '\0' || is_shown(s, x.chip) ||
	    !read_number(facts_path(root, format, zone, "temp").s, &x.reading) ||
	    !is_possible(x.kind, x.reading) ||
	    snprintf(x.id, sizeof(x.id), "%s", zone) >= (int)sizeof(x.id)) {
		return;
	}
	x.part = part_of(x.chip);
	x.health = judge_zone(root, zone, x.reading);
	snprintf(x.name, sizeof(x.name), "%s %.24s", x.chip, zone);
	s->all[s->n++] = x;
}

/* ---- memory controllers ---- */

static void read_controller(struct sensors *s, const char *root, const char *mc)
{
	static const char format[] = "/sys/devices/system/edac/mc/%s/%s";
	struct sensor_memory *m = &s->memory[s->n_memory];
	int64_t corrected, uncorrected;

	if (s->n_memory >= SENSORS_MEMORY_MAX || strncmp(mc, "mc", 2) != 0 ||
	    strlen(mc) >= sizeof(m->name) ||
	    !read_number(facts_path(root, format, mc, "ce_count").s, &corrected) ||
	    !read_number(facts_path(root, format, mc, "ue_count").s, &uncorrected)) {
		return;
	}
	snprintf(m->name, sizeof(m->name), "%s", mc);
	m->health = uncorrected > 0 ? SENSOR_RED : corrected > 0 ? SENSOR_YELLOW : SENSOR_GREEN;
	s->n_memory++;
}

/* ---- all ---- */

static void each(struct sensors *s, const char *root, const char *folder, const char *prefix,
		 size_t max, void (*fn)(struct sensors *s, const char *root, const char *name))
{
	size_t n, n_done = 0;
	char **names = facts_names(facts_path(root, "%s", folder).s, NODES_MAX, &n);

	for (size_t i = 0; i < n && n_done < max; i++) {
		if (strncmp(names[i], prefix, strlen(prefix)) == 0) {
			fn(s, root, names[i]);
			n_done++;
		}
	}
	facts_names_free(names, n);
}

void sensors_read(struct sensors *s, const char *root)
{
	s->n = 0;
	s->n_memory = 0;
	each(s, root, "/sys/class/hwmon", "hwmon", SENSORS_CHIPS_MAX, read_chip);
	each(s, root, "/sys/class/thermal", "thermal_zone", ZONES_MAX, read_zone);
	each(s, root, "/sys/devices/system/edac/mc", "mc", SENSORS_MEMORY_MAX, read_controller);
}

/* ---- noise ---- */

bool sensor_differs(const struct sensor *shown, const struct sensor *now)
{
	int64_t size = shown->reading < 0 ? -shown->reading : shown->reading;
	int64_t step = size / 20, floor = 0;
	int64_t by = now->reading - shown->reading;

	switch (shown->kind) {
	case SENSOR_TEMPERATURE:
		step = NOISE_DEGREES;
		break;
	case SENSOR_FAN:
		floor = 100;
		break;
	case SENSOR_VOLTAGE:
		step = size / 50;
		floor = 20;
		break;
	case SENSOR_CURRENT:
		floor = 100;
		break;
	case SENSOR_POWER:
		floor = 1000;
		break;
	}
	return shown->health != now->health || (by < 0 ? -by : by) >= MAX(step, floor);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sensors in the API: HostSystem.runtime.healthSystemRuntime (vSphere API HostNumericSensorInfo,
 * HostHardwareElementInfo) and the HostHealthStatusSystem that shows the same.
 *
 *     waiting -on_tick(), refresh-> reading (a worker) -on_read()-> waiting
 *
 * 1. One reading is under way at a time; a driver that hangs holds up nobody else.
 * 2. What is shown of a sensor changes when it differs by more than noise; while none does, the
 *    properties stay, and nobody who waits for them is woken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "host/draft.h"
#include "host/host_services.h"
#include "host/job.h"
#include "host/sensors.h"

enum {
	PERIOD_MS = 30000
};

struct host_sensors {
	char *root;
	struct timer *timer;
	struct sensors shown, read;
	int64_t read_us[SENSORS_MAX]; /* wall time at which `shown` was read */
	bool is_reading;
};

/* ---- values ---- */

static struct value *health_element(struct arena *a, enum sensor_health health)
{
	static const struct {
		const char *key, *label, *summary;
	} words[] = {
		[SENSOR_UNKNOWN] = { "unknown", "Unknown", "It says that it is faulty" },
		[SENSOR_GREEN] = { "green", "Green", "Within its limits" },
		[SENSOR_YELLOW] = { "yellow", "Yellow", "Beyond a limit that warns" },
		[SENSOR_RED] = { "red", "Red", "Beyond a limit that is critical" },
	};
	return draft_element(a, words[health].key, words[health].label, words[health].summary);
}

/* Their readings are whole numbers of 10^modifier units. */
static const struct {
	const char *type, *units, *rate;
	int modifier;
	int64_t step; /* of ours in one of theirs */
} forms[] = {
	[SENSOR_TEMPERATURE] = { "temperature", "Degrees C", NULL, -2, 10 },
	[SENSOR_FAN] = { "fan", "RPM", NULL, 0, 1 },
	[SENSOR_VOLTAGE] = { "voltage", "Volts", NULL, -3, 1 },
	[SENSOR_CURRENT] = { "other", "Amps", NULL, -3, 1 },
	[SENSOR_POWER] = { "power", "Watts", NULL, -3, 1 },
};

static void stamp(int64_t wall_us, char out[32])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
		out[0] = '\0';
	}
}

static struct value *sensor_value(const struct sensor *s, int64_t at_us, struct arena *a)
{
	struct value *v = value_new(a, T_HostNumericSensorInfo);
	char text[32];

	stamp(at_us, text);
	value_set_str(a, v, F_HostNumericSensorInfo_name, s->name);
	value_set(a, v, F_HostNumericSensorInfo_healthState, health_element(a, s->health));
	value_set_num(a, v, F_HostNumericSensorInfo_currentReading,
		      s->reading / forms[s->kind].step);
	value_set_num(a, v, F_HostNumericSensorInfo_unitModifier, forms[s->kind].modifier);
	value_set_str(a, v, F_HostNumericSensorInfo_baseUnits, forms[s->kind].units);
	value_set_str(a, v, F_HostNumericSensorInfo_sensorType, forms[s->kind].type);
	value_set_str(a, v, F_HostNumericSensorInfo_id, s->id);
	value_set_str(a, v, F_HostNumericSensorInfo_timeStamp, text);
	return v;
}

static void push_element(struct arena *a, struct value *list, uint16_t type, const char *name,
			 enum sensor_health health)
{
	struct value *v = value_new(a, type);

	value_set_str(a, v, F_HostHardwareElementInfo_name, name);
	value_set(a, v, F_HostHardwareElementInfo_status, health_element(a, health));
	value_push(a, list, v);
}

/* The chip of a sensor: "hwmon2", the length of it in its id. */
static size_t chip_length(const struct sensor *s)
{
	return strcspn(s->id, "/");
}

static bool same_chip(const struct sensor *a, const struct sensor *b)
{
	size_t n = chip_length(a);
	return n == chip_length(b) && strncmp(a->id, b->id, n) == 0;
}

/* A chip for each part of that kind, as ill as the worst of its sensors. They stand together. */
static void push_chips(const struct sensors *s, enum sensor_part part, uint16_t type,
		       struct arena *a, struct value *list)
{
	for (size_t i = 0, end; i < s->n; i = end) {
		const struct sensor *first = &s->all[i];
		enum sensor_health health = SENSOR_UNKNOWN;
		for (end = i; end < s->n && same_chip(first, &s->all[end]); end++) {
			health = sensor_worse(health, s->all[end].health);
		}
		if (first->part == part) {
			push_element(a, list, type,
				     arena_printf(a, "%s (%.*s)", first->chip,
						  (int)chip_length(first), first->id),
				     health);
		}
	}
}

void host_sensors_show(const struct host *h, struct arena *a, struct value *health,
		       struct value *status)
{
	const struct host_sensors *x = h->sensors;
	if (x == NULL) {
		return;
	}
	struct value *info = value_new(a, T_HostSystemHealthInfo);
	struct value *sensors = value_new_array(a, T_HostNumericSensorInfo);
	struct value *memory = value_new_array(a, T_HostHardwareElementInfo);
	struct value *cpus = value_new_array(a, T_HostHardwareElementInfo);
	struct value *storage = value_new_array(a, T_HostStorageElementInfo);

	for (size_t i = 0; i < x->shown.n; i++) {
		value_push(a, sensors, sensor_value(&x->shown.all[i], x->read_us[i], a));
	}
	for (size_t i = 0; i < x->shown.n_memory; i++) {
		const struct sensor_memory *m = &x->shown.memory[i];
		push_element(a, memory, T_HostHardwareElementInfo,
			     arena_printf(a, "Memory controller %s", m->name), m->health);
	}
	push_chips(&x->shown, SENSOR_ON_MEMORY, T_HostHardwareElementInfo, a, memory);
	push_chips(&x->shown, SENSOR_ON_PROCESSOR, T_HostHardwareElementInfo, a, cpus);
	push_chips(&x->shown, SENSOR_ON_STORAGE, T_HostStorageElementInfo, a, storage);
	value_set(a, info, F_HostSystemHealthInfo_numericSensorInfo, sensors);
	value_set(a, health, F_HealthSystemRuntime_systemHealthInfo, info);
	value_set(a, status, F_HostHardwareStatusInfo_memoryStatusInfo, memory);
	value_set(a, status, F_HostHardwareStatusInfo_cpuStatusInfo, cpus);
	value_set(a, status, F_HostHardwareStatusInfo_storageStatusInfo, storage);
}

/* ---- reading ---- */

static bool read_run(void *data, struct progress *p, struct error *e)
{
	struct host_sensors *x = data;

	(void)p;
	(void)e;
	sensors_read(&x->read, x->root);
	return true;
}

static bool same_sensor(const struct sensor *a, const struct sensor *b)
{
	return a->kind == b->kind && strcmp(a->id, b->id) == 0 && strcmp(a->name, b->name) == 0;
}

/* Takes over what was read, where it is news; false: there is none. */
static bool take(struct host_sensors *x, int64_t now_us)
{
	const struct sensors *r = &x->read;
	bool is_new = r->n != x->shown.n || r->n_memory != x->shown.n_memory ||
		      memcmp(r->memory, x->shown.memory, r->n_memory * sizeof(r->memory[0])) != 0;

	for (size_t i = 0; i < r->n; i++) {
		struct sensor *shown = &x->shown.all[i];
		bool is_known = i < x->shown.n && same_sensor(shown, &r->all[i]);
		if (!is_known || sensor_differs(shown, &r->all[i])) {
			*shown = r->all[i];
			x->read_us[i] = now_us;
			is_new = true;
		}
	}
	x->shown.n = r->n;
	memcpy(x->shown.memory, r->memory, r->n_memory * sizeof(r->memory[0]));
	x->shown.n_memory = r->n_memory;
	return is_new;
}

static void on_read(void *arg, const struct error *e)
{
	struct host *h = arg;

	h->sensors->is_reading = false;
	if (e == NULL && take(h->sensors, clock_wall_us(h->clock))) {
		host_system_set_runtime(h);
	}
}

static void on_tick(void *arg)
{
	struct host *h = arg;
	struct job_work work = { .run = read_run, .data = h->sensors, .is_brief = true };
	struct job_handler handler = { .loop = h->loop, .done = on_read, .arg = h };

	if (!h->sensors->is_reading) {
		h->sensors->is_reading = true;
		job_start(&handler, &work);
	}
}

/* ---- life ---- */

static void refresh(struct call *c)
{
	struct host *h = call_arg(c);

	if (h->sensors != NULL) {
		on_tick(h);
	}
	call_return(c, NULL);
}

void host_sensors_register(struct host *h)
{
	service_handle(h->api.service, T_HostHealthStatusSystem,
		       M_HostHealthStatusSystem_RefreshHealthStatusSystem, refresh, h);
}

void host_sensors_start(struct host *h, const char *root)
{
	if (root == NULL) {
		return;
	}
	h->sensors = mem_zalloc(sizeof(*h->sensors));
	h->sensors->root = mem_strdup(root);
	h->sensors->timer = timer_new(h->loop, h->clock, on_tick, h);
	timer_start(h->sensors->timer, 0, PERIOD_MS);
	host_system_set_runtime(h); /* none is known yet, and perhaps there is none */
}

void host_sensors_stop(struct host *h)
{
	if (h->sensors != NULL) {
		timer_free(h->sensors->timer);
		free(h->sensors->root);
		free(h->sensors);
		h->sensors = NULL;
	}
}

bool host_sensors_is_busy(const struct host *h)
{
	return h->sensors != NULL && h->sensors->is_reading;
}

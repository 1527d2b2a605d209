/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HostAutoStartManager (vSphere API): which VMs start with the host, in which order. The host asks
 * its own API to start them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timer.h"
#include "host/draft.h"
#include "host/host_services.h"
#include "vim/fault.h"
#include "vim/value_file.h"

LOG_MODULE("autostart");

#define INFO(f) F_AutoStartPowerInfo_##f

#define BOOTED "booted" /* a file: the boot that the VMs were started in, as Linux names it */

enum {
	ORDER_LAST = 1 << 30,
	DELAY_MAX_S = 24 * 3600,
};

struct order {
	const struct value **items;
	size_t n, cap;
};

/* VMs that are being started, one after the other. */
struct starting {
	const struct value *list; /* held */
	struct order order;
	size_t at;
	struct timer *timer;
};

static char *autostart_path(const struct host *h)
{
	return h->state == NULL ? NULL : mem_printf("%s/autostart.json", h->state);
}

static struct value *default_config(struct arena *a)
{
	struct value *v = value_new(a, T_HostAutoStartManagerConfig);
	struct value *d = value_new(a, T_AutoStartDefaults);

	value_set_bool(a, d, F_AutoStartDefaults_enabled, false);
	value_set_num(a, d, F_AutoStartDefaults_startDelay, 120);
	value_set_num(a, d, F_AutoStartDefaults_stopDelay, 120);
	value_set_bool(a, d, F_AutoStartDefaults_waitForHeartbeat, false);
	value_set_str(a, d, F_AutoStartDefaults_stopAction, "powerOff");
	value_set(a, v, F_HostAutoStartManagerConfig_defaults, d);
	return v;
}

static void config_show(struct host *h, const struct value *config)
{
	inventory_set(h->services->autostart, P_HostAutoStartManager_config, config);
	host_system_set_config(h, F_HostConfigInfo_autoStart, config);
}

static bool config_save(struct host *h, const struct value *config, struct arena *a,
			struct error *e)
{
	struct value *list = value_new_array(a, T_HostAutoStartManagerConfig);
	char *path = autostart_path(h);

	value_push(a, list, config);
	bool ok = value_file_save(path, list, e);
	free(path);
	return ok;
}

/* ---- starting and stopping ---- */

static void starting_end(struct host *h)
{
	struct starting *s = h->services->starting;

	h->services->starting = NULL;
	if (s != NULL) {
		timer_free(s->timer);
		vec_free(&s->order);
		value_drop(s->list);
		free(s);
	}
}

static void asked(void *arg, const struct value *result, const struct value *fault,
		  const char *text)
{
	(void)arg;
	(void)result;
	if (fault != NULL) {
		log_warn("a VM did not start or stop with the host: %s", text);
	}
}

static int64_t order_of(const struct value *info)
{
	int64_t n = value_get_num(info, INFO(startOrder), -1);

	return n < 0 ? ORDER_LAST : n;
}

static int by_order(const void *a, const void *b)
{
	int64_t x = order_of(*(const struct value *const *)a);
	int64_t y = order_of(*(const struct value *const *)b);

	return (x > y) - (x < y);
}

/* All that the configuration names, in starting order; items are borrowed from `list`. */
static void order_fill(struct order *order, const struct value *list)
{
	for (size_t i = 0; i < value_count(list); i++) {
		vec_push(order, value_item(list, i));
	}
	vec_sort(order, by_order);
}

static const struct value *config_of(struct host *h)
{
	return object_get(h->services->autostart, P_HostAutoStartManager_config, NULL);
}

/* Asks the VM, where its action is `action` and it is not there yet; false: it was not asked. */
static bool ask(struct host *h, const struct value *info, unsigned action_field, const char *action,
		int64_t state)
{
	bool is_on = state == E_VirtualMachinePowerState_poweredOn;
	const char *what = value_get_str(info, action_field);
	struct object *vm = inventory_find_ref(h->inventory, value_get_value(info, INFO(key)));

	if (vm == NULL || what == NULL || strcasecmp(what, action) != 0) {
		return false;
	}
	const struct value *runtime = object_get(vm, P_VirtualMachine_runtime, NULL);
	if (value_get_num(runtime, F_VirtualMachineRuntimeInfo_powerState, -1) == state) {
		return false;
	}
	service_call(session_system(h->api.sessions), vm,
		     is_on ? M_VirtualMachine_PowerOnVM_Task : M_VirtualMachine_PowerOffVM_Task,
		     NULL, asked, h);
	return true;
}

/* What says that the VMs were started since the node booted. */
static void booted_save(struct host *h)
{
	const char *id = h->hardware->os.boot_id;
	char *path = h->state == NULL ? NULL : mem_printf("%s/" BOOTED, h->state);
	struct error e;

	if (path != NULL && !file_write_atomic(path, id, strlen(id), 0600, &e)) {
		log_warn("VMs will start once more with the host: %s", e.msg);
	}
	free(path);
}

static bool booted_before(struct host *h)
{
	char *path = h->state == NULL ? NULL : mem_printf("%s/" BOOTED, h->state);
	struct buf b = BUF_INIT;
	bool was = path != NULL && h->hardware->os.boot_id[0] != '\0' &&
		   file_read(path, sizeof(h->hardware->os.boot_id), &b, NULL) &&
		   strcmp(b.data, h->hardware->os.boot_id) == 0;

	buf_free(&b);
	free(path);
	return was;
}

/* Starts VMs until one wants the next to wait, or all are started. */
static void start_next(void *arg)
{
	struct host *h = arg;
	struct starting *s = h->services->starting;
	const struct value *d =
		value_get_value(config_of(h), F_HostAutoStartManagerConfig_defaults);

	while (s->at < s->order.n) {
		const struct value *info = s->order.items[s->at++];
		int64_t delay = value_get_num(info, INFO(startDelay), -1);
		if (delay < 0) {
			delay = value_get_num(d, F_AutoStartDefaults_startDelay, 0);
		}
		if (ask(h, info, INFO(startAction), "powerOn",
			E_VirtualMachinePowerState_poweredOn) &&
		    delay > 0 && s->at < s->order.n) {
			timer_start(s->timer, MIN(delay, DELAY_MAX_S) * 1000, 0);
			return;
		}
	}
	booted_save(h);
	starting_end(h);
}

/* A round that runs goes on. */
static void start_all(struct host *h)
{
	if (h->services->starting != NULL) {
		return;
	}
	struct starting *s = h->services->starting = mem_zalloc(sizeof(*s));
	s->list = value_hold(value_get_value(config_of(h), F_HostAutoStartManagerConfig_powerInfo));
	order_fill(&s->order, s->list);
	s->timer = timer_new(h->loop, h->clock, start_next, h);
	start_next(h);
}

void host_autostart_run(struct host *h)
{
	const struct value *d =
		value_get_value(config_of(h), F_HostAutoStartManagerConfig_defaults);

	if (booted_before(h)) {
		return;
	}
	if (value_get_bool(d, F_AutoStartDefaults_enabled, false)) {
		start_all(h);
	} else {
		booted_save(h);
	}
}

static void power_on(struct call *c)
{
	start_all(call_arg(c));
	call_return(c, NULL);
}

static void power_off(struct call *c)
{
	struct host *h = call_arg(c);
	const struct value *list =
		value_hold(value_get_value(config_of(h), F_HostAutoStartManagerConfig_powerInfo));
	struct order order = { 0 };

	order_fill(&order, list);
	for (size_t i = 0; i < order.n; i++) {
		ask(h, order.items[i], INFO(stopAction), "powerOff",
		    E_VirtualMachinePowerState_poweredOff);
	}
	vec_free(&order);
	value_drop(list);
	call_return(c, NULL);
}

/* ---- changing ---- */

static bool info_check(struct call *c, const struct value *info)
{
	static const char *const actions[] = { "none",	   "systemDefault", "powerOn",
					       "powerOff", "guestShutdown", "suspend" };
	struct host *h = call_arg(c);
	const struct value *key = value_get_value(info, INFO(key));
	const char *text[] = { value_get_str(info, INFO(startAction)),
			       value_get_str(info, INFO(stopAction)) };

	if (inventory_find_ref(h->inventory, key) == NULL) {
		call_fault(c, fault_not_found(c->arena, key), "there is no VM \"%s\"",
			   value_bytes(key));
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		bool known = false;
		for (size_t n = 0; n < ARRAY_LEN(actions); n++) {
			known = known || strcasecmp(text[i], actions[n]) == 0;
		}
		if (!known) {
			call_fault(c, fault_invalid_argument(c->arena, "spec.powerInfo"),
				   "there is no start or stop action \"%.60s\"", text[i]);
			return false;
		}
	}
	return true;
}

/* What was there, with the VMs that `spec` names replaced. */
static struct value *infos_merge(struct arena *a, const struct value *old, const struct value *add)
{
	struct value *list = value_new_array(a, T_AutoStartPowerInfo);

	for (size_t i = 0; i < value_count(old); i++) {
		bool is_replaced = false;
		for (size_t n = 0; n < value_count(add); n++) {
			is_replaced = is_replaced ||
				      value_equal(value_get_value(value_item(old, i), INFO(key)),
						  value_get_value(value_item(add, n), INFO(key)));
		}
		if (!is_replaced) {
			value_push(a, list, value_item(old, i));
		}
	}
	for (size_t i = 0; i < value_count(add); i++) {
		value_push(a, list, value_item(add, i));
	}
	return list;
}

static void reconfigure(struct call *c)
{
	struct host *h = call_arg(c);
	const struct value *spec =
		value_get_value(c->args, A_HostAutoStartManager_ReconfigureAutostart_spec);
	const struct value *add = value_get_value(spec, F_HostAutoStartManagerConfig_powerInfo);
	const struct value *defaults = value_get_value(spec, F_HostAutoStartManagerConfig_defaults);
	const struct value *now =
		object_get(h->services->autostart, P_HostAutoStartManager_config, c->arena);
	struct error e;

	for (size_t i = 0; i < value_count(add); i++) {
		if (!info_check(c, value_item(add, i))) {
			return;
		}
	}
	struct value *v = value_edit(c->arena, now);
	if (defaults != NULL) {
		const struct value *old =
			value_get_value(now, F_HostAutoStartManagerConfig_defaults);
		struct value *d = value_edit(c->arena, old);
		int field = -1;
		union slot s;
		while (value_next(defaults, &field, &s)) {
			value_set_slot(d, (unsigned)field, s);
		}
		value_set(c->arena, v, F_HostAutoStartManagerConfig_defaults, d);
	}
	value_set(c->arena, v, F_HostAutoStartManagerConfig_powerInfo,
		  infos_merge(c->arena,
			      value_get_value(now, F_HostAutoStartManagerConfig_powerInfo), add));
	if (!config_save(h, v, c->arena, &e)) {
		call_error(c, &e);
		return;
	}
	config_show(h, v);
	call_return(c, NULL);
}

/* ---- life ---- */

bool host_autostart_build(struct host *h, struct error *e)
{
	static const unsigned in_manager[] = { F_HostConfigManager_autoStartManager };
	struct service *s = h->api.service;
	struct arena *a = arena_new(0);
	char *path = autostart_path(h);
	struct value *kept = value_file_load(path, T_HostAutoStartManagerConfig, a, e);

	free(path);
	if (kept == NULL) {
		arena_free(a);
		return false;
	}
	struct object *o =
		inventory_add(h->inventory, T_HostAutoStartManager, "ha-autostart-mgr", NULL, h);
	inventory_set_subject(o, h->system);
	h->services->autostart = o;
	config_show(h, value_count(kept) > 0 ? value_item(kept, 0) : default_config(a));
	inventory_set_nested(h->system, P_HostSystem_configManager, in_manager, 1, o->ref);
	service_handle(s, T_HostAutoStartManager, M_HostAutoStartManager_ReconfigureAutostart,
		       reconfigure, h);
	service_handle(s, T_HostAutoStartManager, M_HostAutoStartManager_AutoStartPowerOn, power_on,
		       h);
	service_handle(s, T_HostAutoStartManager, M_HostAutoStartManager_AutoStartPowerOff,
		       power_off, h);
	arena_free(a);
	return true;
}

void host_autostart_free(struct host *h)
{
	starting_end(h);
	inventory_remove(h->services->autostart);
	h->services->autostart = NULL;
}

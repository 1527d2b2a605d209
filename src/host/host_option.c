/* SPDX-License-Identifier: Apache-2.0 */
/* Advanced options of a host (vSphere API OptionManager "ha-adv-options"). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "host/board.h"
#include "host/draft.h"
#include "host/host_services.h"

/* HostSystem.config.option is what the manager shows as `setting`. */
static void options_show(struct host *h)
{
	struct object *o = inventory_find(h->inventory, "ha-adv-options");
	struct arena *a = arena_new(0);

	if (o != NULL) {
		host_system_set_config(h, F_HostConfigInfo_option,
				       object_get(o, P_OptionManager_setting, a));
	}
	arena_free(a);
}

static void option_changed(void *arg, const char *key, const struct value *value)
{
	(void)key;
	(void)value;
	options_show(arg);
}

static void memory_text(const struct host *h, char *out, size_t size)
{
	const struct budget *b = &h->budget;

	snprintf(out, size,
		 "machine %" PRIu64 ", this node's share %" PRIu64 ", kept for the system and data "
		 "planes %" PRIu64 ", for VMs %" PRIu64 ", each VM takes %" PRIu64 " more",
		 b->machine_mib, b->share_mib, b->kept_mib, host_memory_for_vms(h),
		 b->overhead_mib);
}

void host_options_set_cores(struct host *h)
{
	char text[240];

	host_cores_text(h, text, sizeof(text));
	option_set_fact(h->services->options, "Remora.cores", text);
}

static void board_text(const struct host *h, char *out, size_t size)
{
	const struct board *b = h->hardware->board;

	snprintf(out, size, "%s%s%s", b == NULL ? "" : b->name, b == NULL ? "" : ": ",
		 b == NULL ? "" : b->follows);
}

/* What was found out and nobody sets. */
static struct option_spec fact(const char *key, const char *label, const char *summary,
			       const char *text)
{
	return (struct option_spec){
		.key = key,
		.label = label,
		.summary = summary,
		.kind = OPTION_STRING,
		.readonly = true,
		.text = text,
	};
}

bool host_options_build(struct host *h, struct error *e)
{
	static const char *const roles[] = { "server", "dpu", "manager", NULL };
	char memory[200], board[200], cores[240];
	memory_text(h, memory, sizeof(memory));
	board_text(h, board, sizeof(board));
	host_cores_text(h, cores, sizeof(cores));
	const struct option_spec specs[] = {
		fact("Remora.accel", "Acceleration of VMs",
		     "kvm, or tcg where the processors do not offer virtualization",
		     h->simulated ? "simulated" : machine_accel_name(h->accel.kind)),
		fact("Remora.accelWhy", "Why this acceleration",
		     "What was found out when the host started", h->accel.why),
		fact("Remora.confinement", "What confines VMs",
		     "Layers around the process of each VM, and those missing here",
		     driver_confinement(h->driver)),
		fact("Remora.memory", "Memory",
		     "How the memory of the machine is shared out, in MiB", memory),
		fact("Remora.cores", "Processors",
		     "Which processors belong to the switch and the agent, and which to VMs",
		     cores),
		fact("Remora.board", "Board",
		     "Which of the known boards this node is, and what follows", board),
		{
			.key = "Remora.role",
			.label = "What this node is",
			.summary = "A server, or a card (DPU) in a server",
			.kind = OPTION_CHOICE,
			.readonly = true,
			.text = node_role_name(h->node.role),
			.choices = roles,
		},
		{
			.key = "Config.HostAgent.plugins.hostsvc.esxAdminsGroup",
			.label = "Administrators' group",
			.summary = "Kept for clients that set it; has no effect on this host",
			.kind = OPTION_STRING,
			.text = "",
		},
	};
	static const unsigned in_manager[] = { F_HostConfigManager_advancedOption };
	static const unsigned in_content[] = { F_ServiceContent_setting };
	char *path = h->state == NULL ? NULL : mem_printf("%s/options.json", h->state);
	struct option_config c = {
		.id = "ha-adv-options",
		.path = path,
		.privilege = "Host.Config.Settings",
		.specs = specs,
		.n_specs = ARRAY_LEN(specs),
		.changed = option_changed,
		.arg = h,
	};

	h->services->options = option_manager_new(h->api.service, &c, e);
	free(path);
	if (h->services->options == NULL) {
		return false;
	}
	struct object *o = inventory_find(h->inventory, "ha-adv-options");
	inventory_set_subject(o, h->system);
	inventory_set_nested(h->system, P_HostSystem_configManager, in_manager, 1, o->ref);
	struct object *si = inventory_find(h->inventory, "ServiceInstance");
	if (si != NULL) {
		inventory_set_nested(si, P_ServiceInstance_content, in_content, 1, o->ref);
	}
	options_show(h);
	return true;
}

void host_options_free(struct host *h)
{
	option_manager_free(h->services->options);
	h->services->options = NULL;
}

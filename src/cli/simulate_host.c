/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "host/driver_sim.h"
#include "host/vm.h"

enum {
	HOST_CPUS = 2,
	HOST_MHZ = 2294,
	HOST_MEMORY_MIB = 4095,
	HOST_NICS = 2,
};

/* ---- the ground ---- */

static void text_set(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
}

static void cpu_fill(struct hardware_cpu *cpu)
{
	text_set(cpu->vendor, sizeof(cpu->vendor), "intel");
	text_set(cpu->model, sizeof(cpu->model), "Simulated processor @ 2.29GHz");
	text_set(cpu->architecture, sizeof(cpu->architecture), "x86_64");
	cpu->family = 6;
	cpu->model_id = 58;
	cpu->x86_level = 2;
	cpu->hz = HOST_MHZ * UINT64_C(1000000);
	cpu->n_packages = HOST_CPUS;
	cpu->n_cores = HOST_CPUS;
	cpu->n_threads = HOST_CPUS;
	cpu->packages = mem_calloc(HOST_CPUS, sizeof(*cpu->packages));
	for (unsigned i = 0; i < HOST_CPUS; i++) {
		cpu->packages[i] = (struct hardware_cpu_package){
			.id = i, .n_cores = 1, .n_threads = 1, .threads = mem_alloc(sizeof(i))
		};
		cpu->packages[i].threads[0] = i;
	}
}

static void adapter_fill(struct hardware_nic *nic, struct hardware_pci *pci, unsigned i)
{
	snprintf(pci->address, sizeof(pci->address), "0000:03:00.%u", i);
	pci->bus = 3;
	pci->class_id = 0x200;
	pci->numa_node = -1;
	text_set(pci->vendor, sizeof(pci->vendor), "Remora");
	text_set(pci->device, sizeof(pci->device), "Simulated network adapter");
	snprintf(nic->name, sizeof(nic->name), "eth%u", i);
	text_set(nic->driver, sizeof(nic->driver), "simulated");
	snprintf(nic->mac, sizeof(nic->mac), "02:00:00:00:00:%02x", i + 1);
	text_set(nic->pci, sizeof(nic->pci), pci->address);
	nic->speed_mbps = 10000;
	nic->full_duplex = nic->link_up = true;
}

/* All that is plugged in: an adapter for the standard switch, and one for a distributed switch. */
static void devices_fill(struct hardware *hw)
{
	hw->nics = mem_calloc(HOST_NICS, sizeof(*hw->nics));
	hw->pci = mem_calloc(HOST_NICS, sizeof(*hw->pci));
	hw->n_nics = hw->n_pci = HOST_NICS;
	for (unsigned i = 0; i < HOST_NICS; i++) {
		adapter_fill(&hw->nics[i], &hw->pci[i], i);
	}
}

static void hardware_fill(struct hardware *hw)
{
	*hw = (struct hardware){ .memory = (uint64_t)HOST_MEMORY_MIB << 20 };
	cpu_fill(&hw->cpu);
	devices_fill(hw);
	text_set(hw->system.vendor, sizeof(hw->system.vendor), "Remora");
	text_set(hw->system.model, sizeof(hw->system.model), "Simulated host");
	text_set(hw->system.bios_vendor, sizeof(hw->system.bios_vendor), "Remora");
	text_set(hw->system.bios_version, sizeof(hw->system.bios_version), "1");
	text_set(hw->system.bios_date, sizeof(hw->system.bios_date), "2024-01-01");
}

bool simulate_ground_init(struct simulate_ground *g, const struct simulate_options *o,
			  struct error *e)
{
	g->n_datastores = o->ds;
	hardware_fill(&g->hardware);
	g->driver = driver_sim_new(g->loop, clock_real(), 0);
	g->users = user_store_open(NULL, e);
	if (g->users == NULL) {
		return false;
	}
	user_store_set_cheap(g->users);
	if (o->open) {
		user_store_set_open(g->users, o->username);
	}
	return user_set(g->users, o->username, o->password, "Administrator", e);
}

void simulate_ground_fini(struct simulate_ground *g)
{
	driver_free(g->driver);
	user_store_free(g->users);
	hardware_fini(&g->hardware);
}

/* ---- hosts ---- */

static void node_fill(struct node *n, const struct simulate_host_config *c)
{
	struct uuid uuid;

	*n = (struct node){ .role = NODE_SERVER, .cpus = HOST_CPUS, .memory_mib = HOST_MEMORY_MIB };
	if (c->uuid != NULL) {
		text_set(n->uuid, sizeof(n->uuid), c->uuid);
	} else {
		vm_simulated_uuid(c->name, &uuid);
		uuid_format(&uuid, n->uuid);
	}
	text_set(n->name, sizeof(n->name), c->name);
	text_set(n->address, sizeof(n->address), c->address);
}

static bool api_begin(struct simulate_host *h, const struct simulate_ground *g,
		      const struct simulate_host_config *c, const struct node *n, struct error *e)
{
	struct license_config license = { .id = "ha-license-manager", .edition = "esxBasic" };

	h->api = api_new(&(struct api_config){ .kind = API_HOST,
					       .loop = g->loop,
					       .clock = clock_real(),
					       .instance_uuid = n->uuid,
					       .users = g->users,
					       .admin = c->admin },
			 e);
	if (h->api == NULL || c->admin == NULL) {
		return h->api != NULL;
	}
	h->accounts = account_manager_new(h->api->service, g->users, "ha-localacctmgr");
	api_content_set(h->api, F_ServiceContent_accountManager,
			account_manager_object(h->accounts));
	h->licenses = license_manager_new(h->api->service, &license, e);
	if (h->licenses == NULL) {
		return false;
	}
	api_content_set(h->api, F_ServiceContent_licenseManager,
			inventory_find(h->api->inventory, "ha-license-manager"));
	return true;
}

static bool host_begin(struct simulate_host *h, const struct simulate_ground *g,
		       const struct simulate_host_config *c, const struct node *n, struct error *e)
{
	const char **names = mem_calloc(g->n_datastores + 1, sizeof(*names));
	struct host_config config = {
		.loop = g->loop,
		.clock = clock_real(),
		.api = { .service = h->api->service,
			 .inventory = h->api->inventory,
			 .sessions = h->api->sessions,
			 .tasks = h->api->tasks,
			 .events = h->api->events },
		.node = n,
		.hardware = &g->hardware,
		.accel = { .kind = MACHINE_TCG, .why = "Machines only pretend to run." },
		.driver = g->driver,
		.simulated = true,
		.datastores = names,
		.n_datastores = g->n_datastores,
		.storage = c->storage,
	};

	for (uint32_t i = 0; i < g->n_datastores; i++) {
		names[i] = mem_printf("LocalDS_%u", i);
	}
	h->host = host_new(&config, e);
	for (uint32_t i = 0; i < g->n_datastores; i++) {
		free((void *)(uintptr_t)names[i]);
	}
	free(names);
	if (h->host == NULL) {
		return false;
	}
	vm_layer_attach(h->host);
	return true;
}

struct simulate_host *simulate_host_new(const struct simulate_ground *g,
					const struct simulate_host_config *c, struct error *e)
{
	struct simulate_host *h = mem_zalloc(sizeof(*h));
	struct node node;

	node_fill(&node, c);
	if (!api_begin(h, g, c, &node, e) || !host_begin(h, g, c, &node, e)) {
		simulate_host_free(h);
		return NULL;
	}
	return h;
}

void simulate_host_free(struct simulate_host *h)
{
	if (h == NULL) {
		return;
	}
	host_free(h->host);
	account_manager_free(h->accounts);
	license_manager_free(h->licenses);
	if (h->api != NULL) {
		api_free(h->api);
	}
	free(h);
}

bool simulate_host_add_vms(struct simulate_host *h, const struct simulate_vms *v, struct error *e)
{
	struct vm_refusal refusal = { 0 };
	char **names = mem_calloc(v->n, sizeof(*names));

	for (uint32_t i = 0; i < v->n; i++) {
		names[i] = mem_printf("%s%u", v->prefix, v->first + i);
	}
	struct vm_simulated what = {
		.names = (const char *const *)names, .n = v->n, .network = v->network, .on = v->on
	};
	bool ok = vm_add_simulated(h->host, &what, &refusal) ||
		  error_set(e, ERROR_INVALID, "machines of \"%s\": %s", h->host->node.name,
			    refusal.text);
	for (uint32_t i = 0; i < v->n; i++) {
		free(names[i]);
	}
	free(names);
	return ok;
}

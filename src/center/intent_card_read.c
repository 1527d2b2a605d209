/* SPDX-License-Identifier: Apache-2.0 */
#include "center/intent_card_read.h"

#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "center/intent_address.h"

enum {
	CARDS_MAX = 64, /* of a VM; what exceeds it is not believed */
	MAC_LENGTH = 17,
	UUID_LENGTH = 36,
	TEXT_MAX = 255
};

void vm_facts_init(struct vm_facts *f)
{
	*f = (struct vm_facts){ .a = arena_new(0) };
}

void vm_facts_fini(struct vm_facts *f)
{
	vec_each (&f->cards, it) {
		vec_free(&it->addresses);
	}
	vec_free(&f->cards);
	arena_free(f->a);
}

static const char *short_text(struct arena *a, const char *s)
{
	return s == NULL || strlen(s) > TEXT_MAX ? "" : arena_strdup(a, s);
}

/* "00:50:56:ab:cd:ef" in lower case; "": it is none that a card can have. */
static const char *mac_text(struct arena *a, const char *s)
{
	if (s == NULL || strlen(s) != MAC_LENGTH) {
		return "";
	}
	char *copy = arena_strdup(a, s);
	for (size_t i = 0; i < MAC_LENGTH; i++) {
		copy[i] = (char)tolower((unsigned char)copy[i]);
		bool ok = i % 3 == 2 ? copy[i] == ':' : isxdigit((unsigned char)copy[i]) != 0;
		if (!ok) {
			return "";
		}
	}
	bool is_station =
		strchr("02468ace", copy[1]) != NULL && strcmp(copy, "00:00:00:00:00:00") != 0;
	return is_station ? copy : "";
}

/* Lower case; NULL: it is no UUID. */
static const char *uuid_text(struct arena *a, const char *s)
{
	if (s == NULL || strlen(s) != UUID_LENGTH) {
		return NULL;
	}
	char *copy = arena_strdup(a, s);
	for (size_t i = 0; i < UUID_LENGTH; i++) {
		copy[i] = (char)tolower((unsigned char)copy[i]);
		if (isxdigit((unsigned char)copy[i]) == 0 && copy[i] != '-') {
			return NULL;
		}
	}
	return copy;
}

static void add_address(struct card_facts *card, const char *text)
{
	struct intent_address_text a;

	if (card->addresses.n >= INTENT_CARD_ADDRESSES_MAX || !intent_address(text, a.text)) {
		return;
	}
	vec_each (&card->addresses, it) {
		if (strcmp(it->text, a.text) == 0) {
			return;
		}
	}
	vec_push(&card->addresses, a);
}

static void read_card(struct vm_facts *f, const struct value *device)
{
	const struct value *backing = value_get_value(device, F_VirtualDevice_backing);
	const struct value *connect = value_get_value(device, F_VirtualDevice_connectable);
	struct card_facts card = {
		.key = (int32_t)value_get_num(device, F_VirtualDevice_key, 0),
		.mac = mac_text(f->a, value_get_str(device, F_VirtualEthernetCard_macAddress)),
		.external_id =
			short_text(f->a, value_get_str(device, F_VirtualEthernetCard_externalId)),
		.network = "",
		.is_virtio = value_is_a(device, T_VirtualVmxnet3) &&
			     value_get_bool(device, F_VirtualVmxnet3_uptv2Enabled, false),
		.is_cut = connect != NULL &&
			  !value_get_bool(connect,
					  f->is_on ? F_VirtualDeviceConnectInfo_connected
						   : F_VirtualDeviceConnectInfo_startConnected,
					  true),
	};

	if (value_is_a(backing, T_VirtualEthernetCardOpaqueNetworkBackingInfo)) {
		card.network = short_text(
			f->a,
			value_get_str(
				backing,
				F_VirtualEthernetCardOpaqueNetworkBackingInfo_opaqueNetworkId));
	}
	if (card.key >= 0 && f->cards.n < CARDS_MAX) {
		vec_push(&f->cards, card);
	}
}

static void read_guest(struct vm_facts *f, const struct value *guest)
{
	const struct value *nics = value_get_value(guest, F_GuestInfo_net);

	for (size_t i = 0; i < value_count(nics); i++) {
		const struct value *nic = value_item(nics, i);
		const struct value *list = value_get_value(nic, F_GuestNicInfo_ipAddress);
		int64_t key = value_get_num(nic, F_GuestNicInfo_deviceConfigId, -1);
		vec_each (&f->cards, card) {
			for (size_t j = 0; card->key == key && j < value_count(list); j++) {
				add_address(card, value_bytes(value_item(list, j)));
			}
		}
	}
}

bool vm_facts_read(struct vm_facts *f, struct object *vm, const char *name)
{
	const struct value *config = object_get(vm, P_VirtualMachine_config, f->a);
	const struct value *runtime = object_get(vm, P_VirtualMachine_runtime, f->a);
	const struct value *hw = value_get_value(config, F_VirtualMachineConfigInfo_hardware);
	const struct value *devices = value_get_value(hw, F_VirtualHardware_device);

	f->uuid = uuid_text(f->a, value_get_str(config, F_VirtualMachineConfigInfo_instanceUuid));
	if (f->uuid == NULL) {
		return false;
	}
	f->name = arena_strdup(f->a, name == NULL ? "" : name);
	f->is_on = value_get_num(runtime, F_VirtualMachineRuntimeInfo_powerState, 0) !=
		   E_VirtualMachinePowerState_poweredOff;
	for (size_t i = 0; i < value_count(devices); i++) {
		if (value_is_a(value_item(devices, i), T_VirtualEthernetCard)) {
			read_card(f, value_item(devices, i));
		}
	}
	read_guest(f, object_get(vm, P_VirtualMachine_guest, f->a));
	return true;
}

/* ---- as text ---- */

void vm_facts_write(const struct vm_facts *f, struct buf *out)
{
	struct json_object *o = json_object_new_object(), *cards = json_object_new_array();

	json_put_str(o, "name", f->name);
	json_put_str(o, "uuid", f->uuid);
	vec_each (&f->cards, it) {
		struct json_object *card = json_object_new_object();
		struct json_object *addresses = json_object_new_array();
		json_put_i64(card, "key", it->key);
		json_put_str(card, "mac", it->mac);
		json_put_str(card, "network", it->network);
		json_put_str(card, "external_id", it->external_id);
		json_put_bool(card, "virtio", it->is_virtio);
		json_put_bool(card, "cut", it->is_cut);
		vec_each (&it->addresses, address) {
			json_object_array_add(addresses, json_new_str(address->text));
		}
		json_put(card, "addresses", addresses);
		json_object_array_add(cards, card);
	}
	json_put(o, "cards", cards);
	json_add_text(out, o);
	json_object_put(o);
}

static bool parse_card(struct vm_facts *f, const struct json_at *at)
{
	struct card_facts card = { 0 };
	int64_t key = 0;
	const char *mac, *network, *external_id, *address;
	struct json_at list;

	if (!json_get_i64(at, "key", &key, NULL) || !json_get_str(at, "mac", &mac, NULL) ||
	    !json_get_str(at, "network", &network, NULL) ||
	    !json_get_str(at, "external_id", &external_id, NULL) ||
	    !json_get_array(at, "addresses", &list, NULL)) {
		return false;
	}
	if (json_has(at, "virtio")) {
		json_get_bool(at, "virtio", &card.is_virtio, NULL);
	}
	if (json_has(at, "cut")) {
		json_get_bool(at, "cut", &card.is_cut, NULL);
	}
	card.key = (int32_t)key;
	card.mac = arena_strdup(f->a, mac);
	card.network = arena_strdup(f->a, network);
	card.external_id = arena_strdup(f->a, external_id);
	for (size_t i = 0; i < json_array_n(&list); i++) {
		struct json_at item = json_item(&list, i);
		if (json_as_str(&item, &address, NULL)) {
			add_address(&card, address);
		}
	}
	vec_push(&f->cards, card);
	return true;
}

bool vm_facts_parse(struct vm_facts *f, const char *text)
{
	struct json_object *o = json_parse(text, strlen(text), 1 << 20, 8, NULL);
	struct json_at at = json_root(o), cards;
	const char *name, *uuid;
	bool ok = o != NULL && json_get_str(&at, "name", &name, NULL) &&
		  json_get_str(&at, "uuid", &uuid, NULL) &&
		  json_get_array(&at, "cards", &cards, NULL) && strlen(uuid) == UUID_LENGTH;

	for (size_t i = 0; ok && i < json_array_n(&cards); i++) {
		struct json_at item = json_item(&cards, i);
		ok = parse_card(f, &item);
	}
	if (ok) {
		f->name = arena_strdup(f->a, name);
		f->uuid = arena_strdup(f->a, uuid);
	}
	json_object_put(o);
	return ok;
}

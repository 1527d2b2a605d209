/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/wording.h"

#include <stdbool.h>
#include <string.h>

#include "base/macro.h"

/* Words that are spelled out or keep their capitals. */
static const struct {
	const char *word;
	const char *text;
} known[] = {
	{ "VM", "virtual machine" },
	{ "Vm", "virtual machine" },
	{ "Vms", "virtual machines" },
	{ "VMs", "virtual machines" },
	{ "Dvs", "distributed switch" },
	{ "DVS", "distributed switch" },
	{ "Dv", "distributed" },
	{ "DV", "distributed" },
	{ "Portgroup", "port group" },
	{ "Das", "vSphere HA" },
	{ "DAS", "vSphere HA" },
	{ "Drs", "DRS" },
	{ "Cpu", "CPU" },
	{ "Nic", "NIC" },
	{ "Vnic", "virtual NIC" },
	{ "Ip", "IP" },
	{ "Mac", "MAC address" },
	{ "Wwn", "WWN" },
	{ "Vmfs", "VMFS" },
	{ "Nfs", "NFS" },
	{ "Nas", "NAS" },
	{ "Iscsi", "iSCSI" },
	{ "Scsi", "SCSI" },
	{ "Uuid", "UUID" },
	{ "Ssl", "SSL" },
	{ "Mtu", "MTU" },
	{ "Vlan", "VLAN" },
	{ "Dns", "DNS" },
	{ "Id", "ID" },
	{ "Dvx", "DVX" },
	{ "Vsan", "vSAN" },
	{ "Evc", "EVC" },
	{ "EVC", "EVC" },
	{ "Hci", "HCI" },
	{ "Lacp", "LACP" },
	{ "Ssd", "SSD" },
	{ "Ntp", "NTP" },
	{ "Dpu", "DPU" },
};

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static void word_add(struct buf *b, const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strlen(known[i].word) == len && memcmp(known[i].word, word, len) == 0) {
			buf_adds(b, known[i].text);
			return;
		}
	}
	bool abbreviation = len > 1 && is_upper(word[1]);
	for (size_t i = 0; i < len; i++) {
		buf_addc(b, (char)(!abbreviation && is_upper(word[i]) ? word[i] + 'a' - 'A'
								      : word[i]));
	}
}

/* Length of the first word: a capital with the small letters after it, or several capitals up to
 * the one that starts the next word. */
static size_t word_len(const char *s, size_t n)
{
	size_t i = 1;

	if (n > 2 && memcmp(s, "VMs", 3) == 0) {
		return 3;
	}
	if (i < n && is_upper(s[0]) && is_upper(s[1])) {
		while (i < n && is_upper(s[i]) && (i + 1 == n || !is_lower(s[i + 1]))) {
			i++;
		}
		return i;
	}
	while (i < n && !is_upper(s[i])) {
		i++;
	}
	return i;
}

void wording_add(struct buf *b, const char *name, size_t len)
{
	for (size_t at = 0; at < len;) {
		size_t n = word_len(name + at, len - at);
		if (name[at] == '_') {
			at++;
			continue;
		}
		if (at > 0) {
			buf_addc(b, ' ');
		}
		word_add(b, name + at, n);
		at += n;
	}
}

void wording_capital(struct buf *b, size_t from)
{
	if (from < b->len && is_lower(b->data[from])) {
		b->data[from] = (char)(b->data[from] + 'A' - 'a');
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What root in a guest may try: sends frames that are not its own to send, as many of each kind,
 * from a raw socket.   spoof INTERFACE OWN-ADDRESS VICTIM-MAC VICTIM-ADDRESS COUNT
 * Each frame has "LEAK" in it somewhere, so that it is known again wherever it comes out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define MARK "LEAK"

static uint8_t frame[2048], own_mac[6], victim_mac[6];
static uint8_t own[4], victim[4];
static size_t size;

static void put16(size_t at, unsigned v)
{
	frame[at] = (uint8_t)(v >> 8);
	frame[at + 1] = (uint8_t)v;
}

static void ether(const uint8_t *to, const uint8_t *from, unsigned type)
{
	memset(frame, 0, sizeof(frame));
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	put16(12, type);
}

static void ip4(const uint8_t *from, const uint8_t *to, uint8_t proto, unsigned payload)
{
	unsigned sum = 0;

	frame[14] = 0x45;
	put16(16, 20 + payload);
	frame[22] = 64;
	frame[23] = proto;
	memcpy(frame + 26, from, 4);
	memcpy(frame + 30, to, 4);
	for (size_t i = 14; i < 34; i += 2) {
		sum += (unsigned)(frame[i] << 8 | frame[i + 1]);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	put16(24, ~(sum + (sum >> 16)) & 0xffff);
	size = 34 + payload;
}

static void udp(const uint8_t *from, const uint8_t *to, unsigned sport, unsigned dport,
		unsigned payload)
{
	ip4(from, to, 17, 8 + payload);
	put16(34, sport);
	put16(36, dport);
	put16(38, 8 + payload);
}

static void ip6(uint8_t next, unsigned payload, const uint8_t *from, const uint8_t *to)
{
	frame[14] = 0x60;
	put16(18, payload);
	frame[20] = next;
	frame[21] = 255;
	memcpy(frame + 22, from, 16);
	memcpy(frame + 38, to, 16);
	size = 54 + payload;
}

static void link_local(uint8_t *out, const uint8_t *mac)
{
	static const uint8_t head[8] = { 0xfe, 0x80 };

	memcpy(out, head, 8);
	out[8] = mac[0] ^ 2;
	memcpy(out + 9, mac + 1, 2);
	out[11] = 0xff;
	out[12] = 0xfe;
	memcpy(out + 13, mac + 3, 3);
}

static void random_mac(uint8_t *out)
{
	for (int i = 0; i < 6; i++) {
		out[i] = (uint8_t)rand();
	}
	out[0] = (uint8_t)((out[0] & 0xfc) | 2);
}

/* ---- kinds ---- */

static void spoof_mac(int n)
{
	uint8_t mac[6];

	random_mac(mac);
	ether(victim_mac, n % 2 == 0 ? mac : victim_mac, 0x0800);
	udp(own, victim, 1000, 2000, 16);
	memcpy(frame + 42, MARK, 4);
}

static void spoof_ip(int n)
{
	uint8_t from[4] = { 10, (uint8_t)rand(), (uint8_t)rand(), (uint8_t)(rand() % 250 + 1) };

	ether(victim_mac, own_mac, 0x0800);
	from[1] = from[1] == own[1] ? 200 : from[1];
	udp(n % 3 == 0 ? victim : from, victim, (unsigned)rand() & 0xffff, 80, 16);
	memcpy(frame + 42, MARK, 4);
}

static void spoof_arp(int n)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
	uint8_t gateway[4] = { own[0], own[1], own[2], 254 };

	ether(n % 2 == 0 ? all : victim_mac, own_mac, 0x0806);
	memcpy(frame + 14, "\0\1\x08\0\6\4\0", 7);
	frame[21] = n % 3 == 0 ? 1 : 2;
	memcpy(frame + 22, own_mac, 6);
	memcpy(frame + 28, n % 2 == 0 ? gateway : victim, 4);
	memcpy(frame + 32, victim_mac, 6);
	memcpy(frame + 38, n % 5 == 0 ? gateway : victim, 4);
	size = 60;
	memcpy(frame + 50, MARK, 4);
}

static void spoof_neighbor(int n)
{
	static const uint8_t all[16] = { 0xff, 2, [15] = 1 };
	uint8_t from[16], target[16];

	link_local(from, n % 2 == 0 ? own_mac : victim_mac);
	link_local(target, victim_mac);
	ether((const uint8_t *)"\x33\x33\0\0\0\1", own_mac, 0x86dd);
	ip6(58, 40, from, all);
	frame[54] = 136;
	frame[58] = 0x20;
	memcpy(frame + 62, target, 16);
	frame[78] = 2;
	frame[79] = 1;
	memcpy(frame + 80, own_mac, 6);
	memcpy(frame + 90, MARK, 4);
}

static void spoof_dhcp(int n)
{
	ether(victim_mac, own_mac, 0x0800);
	udp(own, victim, 67, n % 2 == 0 ? 68 : 67, 300);
	frame[42] = 2;
	memcpy(frame + 42 + 236, "\x63\x82\x53\x63\x35\1\5", 7);
	memcpy(frame + 42 + 260, MARK, 4);
}

static void spoof_router(int n)
{
	static const uint8_t all[16] = { 0xff, 2, [15] = 1 };
	uint8_t from[16];

	link_local(from, own_mac);
	ether((const uint8_t *)"\x33\x33\0\0\0\1", own_mac, 0x86dd);
	/* Every second one hides behind an extension header: RFC 7113. */
	unsigned at = n % 2 == 0 ? 54 : 62;
	ip6(n % 2 == 0 ? 58 : 60, at - 54 + 24, from, all);
	if (at == 62) {
		frame[54] = 58;
		frame[56] = 1;
		frame[57] = 4;
	}
	frame[at] = 134;
	frame[at + 4] = 64;
	put16(at + 6, 1800);
	memcpy(frame + at + 16, MARK, 4);
}

static void spoof_vlan(int n)
{
	ether(victim_mac, own_mac, n % 2 == 0 ? 0x8100 : 0x88a8);
	put16(14, (unsigned)rand() & 0xfff);
	put16(16, n % 3 == 0 ? 0x8100 : 0x0800);
	size = 64;
	memcpy(frame + 50, MARK, 4);
}

/* A tunnel packet of its own making, toward the node and through the router; inside is a frame for
 * another tenant's segment. */
static void spoof_geneve(int n)
{
	static const uint8_t node_mac[6] = { 2, 0x52, 0x4d, 0xfe, 0, 1 };
	static const uint8_t router_mac[6] = { 2, 0x52, 0x4d, 0xff, 0, 1 };
	static const uint8_t node[4] = { 10, 255, 0, 1 };

	ether(n % 2 == 0 ? node_mac : router_mac, own_mac, 0x0800);
	udp(own, node, (unsigned)rand() & 0xffff, n % 3 == 0 ? 4789 : 6081, 8 + 60);
	if (n % 3 == 0) {
		frame[42] = 8;
	} else {
		put16(44, 0x6558);
	}
	frame[47] = 0x13;
	frame[48] = 0x8a;
	memcpy(frame + 50, "\x02\x52\x4d\0\0\x0c", 6);
	memcpy(frame + 56, victim_mac, 6);
	frame[62] = 8;
	memcpy(frame + 80, MARK, 4);
}

enum {
	N_KINDS = 8,
};

static void (*const kinds[N_KINDS])(int n) = { spoof_mac,  spoof_ip,	 spoof_arp,  spoof_neighbor,
					       spoof_dhcp, spoof_router, spoof_vlan, spoof_geneve };

int main(int argc, char **argv)
{
	struct ifreq r = { 0 };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	static const struct timespec pause = { .tv_nsec = 1000000 };
	unsigned m[6];
	long sent = 0;

	if (argc != 6 || fd < 0 || inet_pton(AF_INET, argv[2], own) != 1 ||
	    inet_pton(AF_INET, argv[4], victim) != 1 ||
	    sscanf(argv[3], "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) {
		fprintf(stderr, "usage: spoof INTERFACE OWN VICTIM-MAC VICTIM COUNT\n");
		return 2;
	}
	for (int i = 0; i < 6; i++) {
		victim_mac[i] = (uint8_t)m[i];
	}
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", argv[1]);
	ioctl(fd, SIOCGIFHWADDR, &r);
	memcpy(own_mac, r.ifr_hwaddr.sa_data, 6);
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int)if_nametoindex(argv[1]) };
	long count = strtol(argv[5], NULL, 10);
	for (int n = 0; sent < count; n++) {
		for (size_t k = 0; k < N_KINDS && sent < count; k++) {
			kinds[k](n);
			while (sendto(fd, frame, size, 0, (struct sockaddr *)&to, sizeof(to)) < 0) {
				if (errno != ENOBUFS && errno != EAGAIN) {
					perror("sendto");
					return 1;
				}
				nanosleep(&pause, NULL);
			}
			sent++;
		}
	}
	printf("sent=%ld\n", sent);
	return 0;
}

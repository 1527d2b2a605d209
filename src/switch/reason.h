/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a packet was dropped. Each packet that comes in and does not go out is counted under exactly
 * one reason, per port and worker; the names are labels of metrics and words of `explain`, and so
 * part of the interface: never reused for something else.
 */
#ifndef SWITCH_REASON_H
#define SWITCH_REASON_H

/* X(NAME, name, what it means) */
#define DROP_REASONS(X)                                                                            \
	X(NONE, "none", "the packet goes on")                                                      \
	/* The frame itself. */                                                                    \
	X(SHORT, "short", "the frame ends inside a header")                                        \
	X(LENGTH, "length", "a length field says more than there is, or less than its header")     \
	X(IP_HEADER, "ip_header", "version, header length or checksum of IP is wrong")             \
	X(IP_ADDRESS, "ip_address",                                                                \
	  "a source that no host may have: multicast, broadcast, loopback")                        \
	X(IP6_EXTENSION, "ip6_extension", "too many or malformed IPv6 extension headers")          \
	X(IP_OPTION, "ip_option", "an IPv4 option that routes, or options beyond the header")      \
	X(L4_HEADER, "l4_header", "TCP flags or header length that cannot be")                     \
	X(FRAGMENT, "fragment",                                                                    \
	  "a fragment that overlaps another or is tiny, or of a datagram that has one")            \
	X(FRAGMENT_UNKNOWN, "fragment_unknown",                                                    \
	  "a fragment of which the first one did not pass before")                                 \
	X(FRAGMENT_QUOTA, "fragment_quota", "too many datagrams in fragments are under way")       \
	X(VLAN, "vlan", "a VLAN tag that the port does not carry, or a stack of tags")             \
	X(TOO_BIG, "too_big", "larger than the way out can carry, and not to be fragmented")       \
	/* The port's guard. */                                                                    \
	X(PORT_CLOSED, "port_closed", "the port is blocked or has no segment")                     \
	X(GUARD_MAC, "guard_mac", "a source MAC address that is not the port's")                   \
	X(GUARD_IP, "guard_ip", "a source IP address that is not the port's")                      \
	X(GUARD_ARP, "guard_arp", "ARP or neighbour discovery that claims another's address")      \
	X(GUARD_DHCP, "guard_dhcp", "answers of a DHCP server from a port that is none")           \
	X(GUARD_RA, "guard_ra", "a router advertisement from a port that is no router")            \
	X(GUARD_CONTROL, "guard_control", "link-local control frames: STP, LLDP, pause")           \
	/* Policy. */                                                                              \
	X(FIREWALL, "firewall", "a rule, or the default, says drop")                               \
	X(FIREWALL_REJECT, "firewall_reject", "a rule says reject; the sender was told")           \
	X(TCP_STATE, "tcp_state", "no new connection, and of none that is known")                  \
	X(TCP_WINDOW, "tcp_window", "outside of what the other side will take")                    \
	X(ICMP_UNRELATED, "icmp_unrelated", "an ICMP error about a connection that is not known")  \
	X(FLOW_QUOTA, "flow_quota", "the port has as many flows as it may")                        \
	X(FLOW_RATE, "flow_rate", "the port opens flows faster than it may")                       \
	X(FLOW_TABLE, "flow_table", "the flow table is full")                                      \
	X(QOS, "qos", "above the port's rate")                                                     \
	/* Where to. */                                                                            \
	X(NO_DESTINATION, "no_destination",                                                        \
	  "unknown destination on a segment that does not flood")                                  \
	X(SAME_PORT, "same_port", "it would leave where it came in")                               \
	X(NO_ROUTE, "no_route", "the router has no route; the sender was told")                    \
	X(TTL, "ttl", "hop limit reached; the sender was told")                                    \
	X(NO_NEIGHBOR, "no_neighbor", "the next hop's MAC address is not known")                   \
	X(UPLINK_DOWN, "uplink_down", "no uplink of the team is up")                               \
	X(UPLINK_ECHO, "uplink_echo",                                                              \
	  "a broadcast by an uplink that stands by, or one that comes back")                       \
	X(TUNNEL_PEER, "tunnel_peer", "a tunnel packet from no known endpoint")                    \
	X(TUNNEL_HEADER, "tunnel_header",                                                          \
	  "a Geneve or VXLAN header that is malformed or critical")                                \
	X(TUNNEL_SEGMENT, "tunnel_segment", "an identifier of no segment of this node")            \
	X(CONSUMED, "consumed", "for the switch itself: answered or learned from")                 \
	/* The way out. */                                                                         \
	X(PORT_DOWN, "port_down", "the port's other side is not there")                            \
	X(PORT_FULL, "port_full", "the port's other side does not take more")                      \
	X(NO_BUFFER, "no_buffer", "no packet buffer was left")

enum drop_reason {
#define X(NAME, name, text) DROP_##NAME,
	DROP_REASONS(X)
#undef X
	DROP_N
};

const char *drop_reason_name(enum drop_reason r); /* "guard_mac" */
const char *drop_reason_text(enum drop_reason r);

#endif

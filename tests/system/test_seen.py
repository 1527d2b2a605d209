# SPDX-License-Identifier: Apache-2.0
"""Addresses that the switch sees at ports, what it does with them, and who hears of it."""

import ipaddress
import json
import os
import socket
import struct

import pytest

from conftest import need
from daemon import wait_until
from switch_rig import MAC, Peer, Switch

ALL = b"\xff" * 6
ROUTER = bytes.fromhex("02524dff0001")
ASKING = bytes.fromhex("02524dfffffe")


def mac(name):
    return bytes.fromhex(MAC[name].replace(":", ""))


def ip(text):
    return ipaddress.ip_address(text).packed


def arp(name, sender, target, operation=1, to=ALL):
    return (to + mac(name) + b"\x08\x06\0\1\x08\0\6\4" + struct.pack(">H", operation) + mac(name) +
            ip(sender) + bytes(6) + ip(target))


def udp(name, to, source, target):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 32, 0, 0, 64, 17, 0) + ip(source) + ip(target)
    total = sum(struct.unpack(">10H", head))
    total = ~(total + (total >> 16)) & 0xffff
    return (to + mac(name) + b"\x08\0" + head[:10] + struct.pack(">H", total) + head[12:] +
            struct.pack(">HHHHI", 1000, 2000, 12, 0, 7))


class Watch:
    """A connection that hears events."""

    def __init__(self, switch):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.path.join(switch.state, "control.sock"))
        self.socket.settimeout(20)
        self.socket.sendall(b'{"jsonrpc":"2.0","id":1,"method":"plane.watch"}\n')
        self.lines = self.socket.makefile()
        assert json.loads(self.lines.readline())["result"] == {}

    def hear(self, event, **members):
        """The next event like that; what comes before is passed over."""
        while True:
            heard = json.loads(self.lines.readline())
            assert heard["method"] == "plane.event"
            said = heard["params"]
            if said["event"] == event and all(said.get(k) == v for k, v in members.items()):
                return said


@pytest.fixture
def pair(rig):
    need("remora-switchd")
    switch = rig.keep(Switch(rig)).start()
    paths = {name: rig.path(f"{name}.sock") for name in MAC}
    document = {
        "ports": [{"name": name, "label": f"guest {name}", "kind": "stream", "path": path,
                   "segment": segment, "mac": MAC[name], "guard": {"any_address": True}}
                  for (name, path), segment in zip(paths.items(), ("blue", "red"))],
        "segments": [{"name": "blue", "router": "r", "gateways": ["10.1.0.1/24"]},
                     {"name": "red", "router": "r", "gateways": ["10.2.0.1/24"]}],
        "routers": [{"name": "r", "mac": "02:52:4d:ff:00:01"}]}
    switch.apply(document)
    peers = Peer(paths["a"]), Peer(paths["b"])
    wait_until(lambda: switch.port("b")["up"] and switch.port("a")["up"], 20, "both are up")
    return switch, document, *peers


def test_who_claims_an_address_is_routed_to(pair):
    switch, _, a, b = pair
    watch = Watch(switch)
    watch.hear("port", port="b", up=True)
    watch.hear("addresses", port="b", addresses=[])
    a.send(udp("a", ROUTER, "10.1.0.10", "10.2.0.20"))
    # The source is asked for, as it might be somebody's behind that guest, and so is the target.
    asked = {a.receive()[-4:], b.receive()[-4:]}
    assert asked == {ip("10.1.0.10"), ip("10.2.0.20")}
    assert switch.port("a")["addresses"] == []
    b.send(arp("b", "10.2.0.20", "10.2.0.1", 2, ROUTER))
    watch.hear("addresses", port="b", addresses=["10.2.0.20"])
    assert switch.port("b")["addresses"] == ["10.2.0.20"]
    assert switch.port("b")["label"] == "guest b"
    a.send(udp("a", ROUTER, "10.1.0.10", "10.2.0.20"))
    came = b.receive()
    assert came[:12] == mac("b") + ROUTER and came[30:34] == ip("10.2.0.20")
    # Who has it is answered for.
    a.send(arp("a", "10.1.0.10", "10.1.0.1"))
    assert a.receive()[6:12] == ROUTER
    watch.hear("addresses", port="a", addresses=["10.1.0.10"])


def test_a_quarrel_is_told_and_what_is_bound_wins(pair):
    switch, document, a, b = pair
    document["ports"][1]["segment"] = "blue"
    document["ports"][0]["addresses"] = ["10.1.0.10"]
    switch.apply(document)
    watch = Watch(switch)
    watch.hear("addresses", port="a", addresses=["10.1.0.10"])
    b.send(arp("b", "10.1.0.10", "10.1.0.10"))
    assert watch.hear("conflict") == {"event": "conflict", "port": "b", "address": "10.1.0.10",
                                      "other": "a"}
    assert switch.port("b")["drops"]["guard_arp"] == 1
    b.send(arp("b", "10.1.0.77", "10.1.0.77"))
    watch.hear("addresses", port="b", addresses=["10.1.0.77"])
    a.send(arp("a", "10.1.0.77", "10.1.0.77"))
    watch.hear("conflict", port="a", other="b", address="10.1.0.77")
    for n in range(40):
        b.send(arp("b", f"10.1.0.{100 + n}", f"10.1.0.{100 + n}"))
    watch.hear("limit", port="b", reason="addresses")
    assert len(switch.port("b")["addresses"]) == 32


def test_ports_come_and_go(pair):
    switch, document, a, _ = pair
    watch = Watch(switch)
    path = document["ports"][0]["path"]
    a.listener.close()
    a.peer.close()
    watch.hear("port", port="a", up=False)
    os.unlink(path)
    again = Peer(path)
    watch.hear("port", port="a", up=True)
    switch.apply({**document, "ports": document["ports"][:1]})
    watch.hear("port", port="b", up=False)
    again.peer.close()


def test_who_does_not_listen_gets_the_state_anew(pair):
    switch, document, a, _ = pair
    slow, quick = Watch(switch), Watch(switch)
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ports = document["ports"]
    many = [{**ports[0], "mac": f"02:52:4d:00:01:{i:02x}", "name": f"port-{i}-{'x' * 40}", "path": f"{ports[0]['path']}.{i}"}
            for i in range(20)]
    for n in range(160):
        switch.apply({**document, "ports": many if n % 2 == 0 else ports})
        name = many[0]["name"] if n % 2 == 0 else "a"
        quick.hear("addresses", port=name, addresses=[])
    slow.hear("lost")
    slow.hear("port", port="a")
    slow.hear("addresses", port="b")

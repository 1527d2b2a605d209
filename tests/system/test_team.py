# SPDX-License-Identifier: Apache-2.0
"""Teams of uplinks: who is sent by while links come and go. The ends of all wires are ours."""

import os
import struct

import pytest

from conftest import need
from daemon import wait_until
from switch_rig import Peer, Switch

GUEST = bytes.fromhex("02524d00000a")
FAR = bytes.fromhex("02524d00000b")
TAG = b"\x81\0\0\x64"


def udp(sport, to=FAR, source=GUEST, tag=b""):
    head = (struct.pack(">BBHHHBBH", 0x45, 0, 32, 0, 0, 64, 17, 0) + bytes([10, 1, 0, 10]) +
            bytes([10, 1, 0, 11]))
    total = sum(struct.unpack(">10H", head))
    total = ~(total + (total >> 16)) & 0xffff
    return (to + source + tag + b"\x08\0" + head[:10] + struct.pack(">H", total) + head[12:] +
            struct.pack(">HHHHI", sport, 2000, 12, 0, 7))


class Team:
    def __init__(self, rig):
        self.switch = rig.keep(Switch(rig)).start()
        self.paths = {name: rig.path(f"{name}.sock") for name in ("guest", "up1", "up2")}
        self.apply("active_standby")
        self.guest, self.up1, self.up2 = (Peer(path) for path in self.paths.values())
        for name in self.paths:
            self.wait(name, True)

    def apply(self, policy):
        self.switch.apply({
            "ports": [{"name": "guest", "kind": "stream", "path": self.paths["guest"],
                       "segment": "s", "mac": GUEST.hex(":"), "addresses": ["10.1.0.10"]},
                      *({"name": name, "kind": "stream", "path": self.paths[name]}
                        for name in ("up1", "up2"))],
            "teams": [{"name": "team", "ports": ["up1", "up2"], "policy": policy}],
            "segments": [{"name": "s", "team": "team", "vlan": 100}],
            "firewall": {"sections": [{"name": "x", "rules": [{"id": 1, "action": "allow"}]}]}})

    def wait(self, name, is_up):
        wait_until(lambda: self.switch.port(name)["up"] == is_up, 20, f"{name} up: {is_up}")

    def empty(self, peer):
        """Reads what waits at a peer."""
        peer.peer.settimeout(0.5)
        try:
            while peer.receive():
                pass
        except TimeoutError:
            peer.peer.settimeout(20)

    def comes_by(self, peer, frame):
        """The next frames at a peer, until that one."""
        passed = []
        while (got := peer.receive()) != frame:
            passed.append(got)
        return passed


@pytest.fixture
def team(rig):
    need("remora-switchd")
    return Team(rig)


def test_the_first_that_is_up_is_sent_by(team):
    team.guest.send(udp(1))
    team.comes_by(team.up1, udp(1, tag=TAG))
    team.up1.listener.close()
    team.up1.peer.close()
    # Those beyond are told who is here now: a reverse ARP of the guest's.
    assert team.up2.receive()[:18] == b"\xff" * 6 + GUEST + TAG + b"\x80\x35"
    made = team.switch.call("plane.status")["flows_made"]
    team.guest.send(udp(1))
    team.comes_by(team.up2, udp(1, tag=TAG))
    team.up2.send(udp(2, to=GUEST, source=FAR, tag=TAG))
    assert team.guest.receive()[:12] == GUEST + FAR
    assert team.switch.call("plane.status")["flows_made"] - made <= 1  # only what came from beyond
    os.unlink(team.paths["up1"])
    team.up1 = Peer(team.paths["up1"])
    assert team.up1.receive()[:12] == b"\xff" * 6 + GUEST
    team.guest.send(udp(3))
    team.comes_by(team.up1, udp(3, tag=TAG))


def test_broadcasts_count_once(team):
    broadcast = udp(9, to=b"\xff" * 6, source=FAR, tag=TAG)
    team.up1.send(broadcast)
    team.up2.send(broadcast)
    team.up1.send(udp(9, to=b"\xff" * 6, tag=TAG))  # the guest's own, come back
    team.up2.send(udp(10, to=GUEST, source=FAR, tag=TAG))  # to one alone: by any
    assert team.guest.receive() == udp(9, to=b"\xff" * 6, source=FAR)
    assert team.guest.receive() == udp(10, to=GUEST, source=FAR)
    wait_until(lambda: team.switch.port("up1")["drops"].get("uplink_echo") == 1 and
               team.switch.port("up2")["drops"].get("uplink_echo") == 1, 20, "both are counted")


def test_flows_are_spread_and_go_on_by_what_is_left(team):
    def sent(name):
        return team.switch.port(name)["tx_packets"]

    team.apply("flow_hash")
    for port in range(1001, 1201):
        team.guest.send(udp(port))
    wait_until(lambda: sent("up1") + sent("up2") >= 200, 20, "all have left")
    assert sent("up1") > 50 and sent("up2") > 50
    team.up2.listener.close()
    team.up2.peer.close()
    team.wait("up2", False)
    before = sent("up1")
    wait_until(lambda: all(team.guest.send(udp(n)) is None for n in range(2000, 2020)) and
               sent("up1") >= before + 20, 20, "the ways follow")
    team.empty(team.up1)  # or there is no room for what comes
    before = sent("up1")
    for port in range(1001, 1201):
        team.guest.send(udp(port))
    wait_until(lambda: sent("up1") >= before + 200, 20, "all by one")

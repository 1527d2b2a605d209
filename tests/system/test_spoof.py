# SPDX-License-Identifier: Apache-2.0
"""Root in a guest sends what is not its own: MAC and IP addresses, ARP and neighbour
advertisements, DHCP answers, router advertisements, VLAN tags, tunnel packets. None comes out."""

import os
import re
import shutil
import threading

import pytest

from conftest import need
from daemon import build_folder, wait_until
from switch_rig import ADDRESS, MAC, QEMU, Guest, Peer, Switch, compile_tool

COUNT = 100000
SOURCE = os.path.join(os.path.dirname(__file__), "spoof.c")
REASONS = ("guard_mac", "guard_ip", "guard_arp", "guard_dhcp", "guard_ra", "vlan", "ip_header",
           "no_destination", "no_route")


class Watcher(threading.Thread):
    """Reads all that leaves by a port."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.peer = Peer(path)
        self.peer.peer.settimeout(None)
        self.frames, self.leaks = 0, []
        self.start()

    def run(self):
        try:
            while frame := self.peer.receive():
                self.frames += 1
                if b"LEAK" in frame:
                    self.leaks.append(frame)
        except Exception:  # pylint: disable=broad-except
            return  # the switch has ended, and the test with it


@pytest.fixture
def world(rig):
    """Guest a on segment blue with port b; port c is another tenant's, on segment red, sees all
    that is there, and has a tunnel over port up."""
    need("remora-switchd")
    if not os.path.exists(QEMU) or not os.path.exists(f"{build_folder()}/guest/guest.raw"):
        pytest.skip("QEMU or the guest's disk is missing")
    if shutil.which("cc") is None:
        pytest.skip("there is no compiler for the guest's program")
    switch = rig.keep(Switch(rig)).start()
    guest = rig.keep(Guest(rig, "a", tool=compile_tool(SOURCE, rig.path("spoof"))))
    path = {name: rig.path(f"{name}.sock") for name in ("b", "c", "up")}
    everything = {"promiscuous": True, "any_address": True, "forged_transmits": True}
    switch.apply({
        "ports": [
            {"name": "a", "kind": "vhost", "path": guest.socket, "segment": "blue",
             "mac": MAC["a"], "addresses": [ADDRESS["a"]]},
            {"name": "b", "kind": "stream", "path": path["b"], "segment": "blue",
             "mac": MAC["b"], "addresses": [ADDRESS["b"]]},
            {"name": "c", "kind": "stream", "path": path["c"], "segment": "red",
             "mac": "02:52:4d:00:00:0c", "guard": everything},
            {"name": "up", "kind": "stream", "path": path["up"], "mtu": 1700}],
        "teams": [{"name": "tunnel", "ports": ["up"], "mtu": 1700, "mac": "02:52:4d:fe:00:01",
                   "address": "10.255.0.1/24"}],
        "routers": [{"name": "router", "mac": "02:52:4d:ff:00:01"}],
        "segments": [{"name": "blue", "router": "router", "gateways": ["10.1.0.254/24"]},
                     {"name": "red", "team": "tunnel", "encapsulation": "geneve", "vni": 5002,
                      "flood": ["10.255.0.2"]}]})
    return switch, guest, {name: Watcher(path[name]) for name in path}


def test_nothing_that_is_forged_comes_out(world):
    switch, guest, watchers = world
    guest.login()
    guest.get_tool("spoof")
    before = switch.port("a")
    said = guest.run(f"/tmp/spoof eth0 {ADDRESS['a']} {MAC['b']} {ADDRESS['b']} {COUNT}", 300)[1]
    assert int(re.search(r"sent=(\d+)", said).group(1)) == COUNT

    def dropped():
        drops = switch.port("a")["drops"]
        return {reason: drops.get(reason, 0) - before["drops"].get(reason, 0)
                for reason in REASONS}

    wait_until(lambda: switch.port("a")["rx_packets"] - before["rx_packets"] >= COUNT, 60,
               "all have come in", 0.2)
    # Each was dropped under a reason's name: an eighth is tunnel packets, half of them to nobody's
    # MAC address and half by the router; an eighth is tags, a third of which hold no IP header.
    counts = dropped()
    assert sum(counts.values()) >= COUNT, counts
    assert {reason: count // 1000 for reason, count in counts.items()} == {
        "guard_mac": 12, "guard_ip": 12, "guard_arp": 25, "guard_dhcp": 12, "guard_ra": 12,
        "vlan": 8, "ip_header": 4, "no_destination": 6, "no_route": 6}
    leaks = {name: [frame.hex() for frame in w.leaks[:3]] for name, w in watchers.items()
             if w.leaks}
    assert not leaks
    # And the guest itself is served as before.
    watchers["b"].leaks.clear()
    assert guest.run("ping -c 1 -W 2 10.1.0.254")[0] == 0

# SPDX-License-Identifier: Apache-2.0
"""Two nodes and a switch between them: guests on one segment, whose frames cross in tunnels. Any
of the three switches may be killed at any time."""

import os

import pytest

from conftest import need
from daemon import build_folder, wait_until
from switch_rig import ADDRESS, MAC, QEMU, Guest, Switch, frame_sizes

NODES = ("a", "b")
ENDPOINT = {"a": "10.255.0.1", "b": "10.255.0.2"}
TEAM_MAC = {"a": "02:52:4d:fe:00:01", "b": "02:52:4d:fe:00:02"}
OPEN = {"forged_transmits": True, "mac_changes": True, "dhcp_server": True, "router": True,
        "any_address": True}
MTU = 1700


class Fabric:
    def __init__(self, rig):
        self.path = {name: rig.path(f"up-{name}.sock") for name in NODES}
        self.rack = rig.keep(Switch(rig, "rack")).start()
        self.node = {name: rig.keep(Switch(rig, f"node-{name}")).start() for name in NODES}
        self.guest = {name: rig.keep(Guest(rig, name)) for name in NODES}
        self.encapsulation = "geneve"
        self.join()

    def join(self):
        self.rack.apply({
            "ports": [{"name": name, "kind": "memif", "path": self.path[name], "server": True,
                       "mtu": MTU, "segment": "fabric", "guard": OPEN, "learning": {"limit": 16}}
                      for name in NODES],
            "segments": [{"name": "fabric", "mtu": MTU}]})
        for name in NODES:
            self.node[name].apply(self.document(name))

    def document(self, name):
        other = NODES[1 - NODES.index(name)]
        return {
            "ports": [{"name": "vmnic0", "kind": "memif", "path": self.path[name], "mtu": MTU},
                      {"name": name, "kind": "vhost", "path": self.guest[name].socket,
                       "segment": "blue", "mac": MAC[name], "addresses": [ADDRESS[name]]}],
            "teams": [{"name": "tunnel", "ports": ["vmnic0"], "mtu": MTU, "mac": TEAM_MAC[name],
                       "address": ENDPOINT[name] + "/24"}],
            "segments": [{"name": "blue", "team": "tunnel", "encapsulation": self.encapsulation,
                          "vni": 5001, "flood": [ENDPOINT[other]],
                          "remotes": [{"mac": MAC[other], "addresses": [ADDRESS[other]],
                                       "endpoint": ENDPOINT[other]}]}],
        }


@pytest.fixture(scope="module")
def fabric(module_rig):
    need("remora-switchd")
    if not os.path.exists(QEMU):
        pytest.skip("QEMU is not installed")
    if not os.path.exists(os.path.join(build_folder(), "guest", "guest.raw")):
        pytest.skip("the guest's disk is not built")
    it = Fabric(module_rig)
    for guest in it.guest.values():
        guest.login()
    return it


def test_guests_of_two_nodes_reach_each_other(fabric):
    a, b = fabric.guest["a"], fabric.guest["b"]
    assert a.reaches(ADDRESS["b"]) and b.reaches(ADDRESS["a"])
    assert a.run(f"ping -c 2 -s 1472 {ADDRESS['b']}")[0] == 0  # as large as the segment takes
    assert {entry["mac"]: entry["interface"] for entry in
            fabric.rack.call("plane.show", what="macs")} == {
                TEAM_MAC["a"]: "port a", TEAM_MAC["b"]: "port b"}


def test_large_segments_are_cut_before_a_tunnel(fabric):
    a, b = fabric.guest["a"], fabric.guest["b"]
    sizes = {}

    def send():
        sizes["b"] = frame_sizes(fabric.node["b"], "b", lambda: a.send_file(b, 7000))[1]
    assert frame_sizes(fabric.node["a"], "a", send)[0] > 3000
    assert 1000 < sizes["b"] < 1515


def test_tcp_crosses_and_outlives_every_switch(fabric):
    a, b = fabric.guest["a"], fabric.guest["b"]
    b.run("(sleep 600 | nc -l -p 5000 > /tmp/got) &")
    a.run(f"(mkfifo /tmp/pipe; nc {ADDRESS['b']} 5000 < /tmp/pipe) & sleep 1")
    a.run("exec 3> /tmp/pipe")
    for n, switch in enumerate((fabric.rack, fabric.node["a"], fabric.node["b"], fabric.rack)):
        a.run(f"echo before-{n} >&3")
        wait_until(lambda n=n: f"before-{n}\r" in b.run("cat /tmp/got")[1], 60, "it has come", 0.5)
        switch.kill()
        switch.start()
        a.run(f"echo after-{n} >&3")
        wait_until(lambda n=n: f"after-{n}\r" in b.run("cat /tmp/got")[1], 60, "it goes on", 0.5)


def test_vxlan_as_well(fabric):
    fabric.encapsulation = "vxlan"
    try:
        for name in NODES:
            fabric.node[name].apply(fabric.document(name))
        assert fabric.guest["a"].reaches(ADDRESS["b"])
    finally:
        fabric.encapsulation = "geneve"
        for name in NODES:
            fabric.node[name].apply(fabric.document(name))

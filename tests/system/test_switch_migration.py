# SPDX-License-Identifier: Apache-2.0
"""A guest moves from one node's QEMU and switch to another's while it speaks with a guest of a third
node: its connections go with it, and the third node's switch reaches it where it is."""

import json
import os
import re
import socket

import pytest

from conftest import need
from daemon import build_folder, wait_until
from switch_rig import ADDRESS, MAC, QEMU, Guest, Switch

NODES = ("source", "target", "peer")
ENDPOINT = {"source": "10.255.0.1", "target": "10.255.0.2", "peer": "10.255.0.3"}
TEAM_MAC = {name: f"02:52:4d:fe:00:0{i + 1}" for i, name in enumerate(NODES)}
OPEN = {"forged_transmits": True, "mac_changes": True, "dhcp_server": True, "router": True,
        "any_address": True}
MTU = 1700
# A packet from the midst of a stream that no record knows is dropped.
RULES = [{"id": 1, "services": [{"protocol": "tcp", "ports": ["9000"]}], "action": "allow"},
         {"id": 2, "services": [{"protocol": "icmp"}], "action": "allow"}]


class Machine(Guest):
    """A guest that can be moved: with a QMP socket and, where it is the one that comes, waiting."""

    def __init__(self, rig, name, place, waits=False):
        self.place, self.waits = place, waits
        self.qmp_path = rig.path(f"{place}.qmp")
        self.incoming = rig.path(f"{place}.move")
        super().__init__(PlaceRig(rig, place), name)

    def card(self, model):
        card = super().card(model)
        return card + ["-qmp", f"unix:{self.qmp_path},server=on,wait=off"] + (
            ["-incoming", "defer"] if self.waits else [])

    def qmp(self, command, **arguments):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.qmp_path)
            file = s.makefile("rw")
            file.readline()
            for what in ({"execute": "qmp_capabilities"},
                         {"execute": command, "arguments": arguments}):
                file.write(json.dumps(what) + "\n")
                file.flush()
                while "event" in (answer := json.loads(file.readline())):
                    pass
            assert "return" in answer, answer
            return answer["return"]


class PlaceRig:
    """Paths of one of two machines of the same name."""

    def __init__(self, rig, place):
        self.rig, self.place = rig, place

    def path(self, name):
        return self.rig.path(f"{self.place}-{name}")


class Fabric:
    def __init__(self, rig):
        self.path = {name: rig.path(f"up-{name}.sock") for name in NODES}
        self.rack = rig.keep(Switch(rig, "rack")).start()
        self.node = {name: rig.keep(Switch(rig, f"node-{name}")).start() for name in NODES}
        self.a = rig.keep(Machine(rig, "a", "source"))
        self.b = rig.keep(Machine(rig, "b", "peer"))
        self.coming = rig.keep(Machine(rig, "a", "target", waits=True))
        self.rack.apply({
            "ports": [{"name": name, "kind": "memif", "path": self.path[name], "server": True,
                       "mtu": MTU, "segment": "fabric", "guard": OPEN, "learning": {"limit": 16}}
                      for name in NODES],
            "segments": [{"name": "fabric", "mtu": MTU}]})
        for name in NODES:
            self.node[name].apply(self.document(name))

    def document(self, node, moving=True):
        guest = {"source": self.a, "target": self.coming, "peer": self.b}[node]
        remote = {name: {"mac": MAC[name], "addresses": [ADDRESS[name]]} for name in "ab"}
        remote["b"]["endpoint"] = ENDPOINT["peer"]
        remote["a"]["endpoint"] = ENDPOINT["source"]
        if moving and node == "peer":
            remote["a"]["moving_to"] = ENDPOINT["target"]
        if node == "source":
            remote["a"].update({"endpoint": ENDPOINT["target"], "leaving": True})
        remotes = {"source": ["b", "a"] if moving else ["b"], "target": ["b", "a"],
                   "peer": ["a"]}[node]
        return {
            "ports": [{"name": "vmnic0", "kind": "memif", "path": self.path[node], "mtu": MTU},
                      {"name": guest.name, "kind": "vhost", "path": guest.socket,
                       "segment": "blue", "mac": MAC[guest.name],
                       "addresses": [ADDRESS[guest.name]]}],
            "teams": [{"name": "tunnel", "ports": ["vmnic0"], "mtu": MTU, "mac": TEAM_MAC[node],
                       "address": ENDPOINT[node] + "/24"}],
            "segments": [{"name": "blue", "team": "tunnel", "encapsulation": "geneve",
                          "vni": 5001, "flood": [ENDPOINT[n] for n in NODES if n != node],
                          "remotes": [remote[name] for name in remotes]}],
            "firewall": {"default": "drop", "sections": [{"name": "test", "rules": RULES}]},
        }

    def export(self):
        all_, after = [], 0
        while after is not None:
            answer = self.node["source"].call("plane.connections.export", port="a", after=after)
            all_ += answer["connections"]
            after = answer.get("next")
        return all_

    def move(self):
        """As hosts do it: the guest stops, its connections are taken over, it goes on, it is told
        of. Also what the target's switch said of the connections."""
        cap = [{"capability": "pause-before-switchover", "state": True}]
        for machine in (self.a, self.coming):
            machine.qmp("migrate-set-capabilities", capabilities=cap)
        self.a.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 30})
        self.coming.qmp("migrate-incoming", uri=f"unix:{self.coming.incoming}")
        self.a.qmp("migrate", uri=f"unix:{self.coming.incoming}")
        wait_until(lambda: self.a.qmp("query-migrate")["status"] == "pre-switchover", 120,
                   "the guest is stopped")
        taken = self.node["target"].call("plane.connections.import", port="a", version=1,
                                         connections=self.export())
        self.a.qmp("migrate-continue", state="pre-switchover")
        wait_until(lambda: self.coming.qmp("query-status")["status"] == "running", 60,
                   "the guest goes on")
        self.node["target"].call("plane.announce", port="a")
        return taken


@pytest.fixture(scope="module")
def fabric(module_rig):
    need("remora-switchd")
    if not os.path.exists(QEMU):
        pytest.skip("QEMU is not installed")
    if not os.path.exists(os.path.join(build_folder(), "guest", "guest.raw")):
        pytest.skip("the guest's disk is not built")
    it = Fabric(module_rig)
    it.a.login()
    it.b.login()
    return it


def test_a_guest_moves_and_its_connection_lives(fabric):
    a, b = fabric.a, fabric.b
    wait_until(lambda: b.reaches(ADDRESS["a"]), 20, "they reach each other", 0.5)
    # It is still here when its node hears that it is to move, though it says nothing of itself.
    for moving in (False, True):
        fabric.node["source"].apply(fabric.document("source", moving))
    assert b.reaches(ADDRESS["a"])
    # A line a tenth of a second, from the peer to the guest that moves; it is answered.
    a.run("(sleep 6000 | nc -l -p 9000 > /tmp/got) &")
    b.run("(sleep 1; i=0; while [ $i -lt 6000 ]; do i=$((i+1)); echo line $i; sleep 0.1; done "
          f"| nc {ADDRESS['a']} 9000) &")
    wait_until(lambda: "line 5" in a.run("cat /tmp/got")[1], 60, "lines come", 0.5)
    b.run(f"(ping -i 0.1 -W 1 {ADDRESS['a']} > /tmp/pings) &")
    taken = fabric.move()
    assert taken["taken"] >= 1 and not set(taken["left"]) - {"known"}, taken

    here = fabric.coming
    before = int(re.findall(r"line (\d+)", here.run("tail -n 1 /tmp/got")[1])[-1])
    wait_until(lambda: int(re.findall(r"line (\d+)", here.run("tail -n 1 /tmp/got")[1])[-1])
               > before + 20, 60, "lines come at the new place", 0.5)
    lines = [int(n) for n in re.findall(r"line (\d+)", here.run("cat /tmp/got")[1])]
    assert lines == list(range(lines[0], lines[0] + len(lines)))
    # The peer's switch reaches it without a new document, and the target's has its record.
    ways = [f for f in fabric.node["target"].call("plane.show", what="flows")
            if 9000 in (f["from_port"], f["to_port"])]
    assert ways and ways[0]["state"] == "open"
    b.run("killall -INT ping")
    print("pings:", b.run("tail -n 3 /tmp/pings")[1])


def test_the_target_took_all_for_a_part_of_the_connection(fabric):
    """Of the guest that has just come: what the rules allow only as a part of one was never seen
    as anything else, which counts as a drop."""
    drops = fabric.node["target"].port("vmnic0")["drops"]
    assert drops.get("tcp_state", 0) == 0, drops
    # Nor does anything come that the target would send back to where the guest was.
    assert drops.get("same_port", 0) == 0, drops

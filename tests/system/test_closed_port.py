# SPDX-License-Identifier: Apache-2.0
"""Ports that cannot be opened when a switch begins with the document that it kept: they stand closed,
the others forward, and they open when they can."""

import json
import os
import shutil
import socket
import subprocess
import time

import pytest

from conftest import need
from daemon import program, wait_until
from switch_rig import MAC, Peer, Switch, frame

KINDS = ("stream", "vhost", "memif")


class World:
    def __init__(self, rig):
        need("remora-switchd", "remora")
        self.rig = rig
        self.folder = rig.path("sub")
        os.mkdir(self.folder)
        self.switch = rig.keep(Switch(rig)).start()
        self.switch.apply(self.document())
        self.peers = {name: Peer(rig.path(f"{name}.sock")) for name in MAC}
        self.wait_until_up()

    def document(self):
        port = {"segment": "blue", "guard": {"any_address": True}}
        return {"mode": "standard", "segments": [{"name": "blue"}], "ports":
                [dict(port, name=name, kind="stream", path=self.rig.path(f"{name}.sock"),
                      mac=MAC[name]) for name in MAC] +
                [dict(port, name=f"x-{kind}", kind=kind, server=True,
                      path=os.path.join(self.folder, f"{kind}.sock")) for kind in KINDS]}

    def wait_until_up(self):
        wait_until(lambda: all(self.switch.port(name)["up"] for name in MAC), 20, "both are up")

    def kill(self):
        self.switch.kill()
        shutil.rmtree(self.folder)

    def start(self):
        self.switch.start()
        for peer in self.peers.values():
            peer.take()
        self.wait_until_up()

    def passes(self):
        for n in range(20):
            self.peers["a"].send(frame("a", "b", 46 + n))
            assert self.peers["b"].receive() == frame("a", "b", 46 + n)

    def reasons(self):
        return {port["name"]: port["reason"]
                for port in self.switch.call("plane.show", what="ports") if "reason" in port}

    def change(self, *changes):
        generation = self.switch.generation + 1
        self.switch.call("plane.change", base=generation - 1, generation=generation,
                         changes=list(changes))
        self.switch.generation = generation

    def n_fds(self):
        return len(os.listdir(f"/proc/{self.switch.pid_in('switchd.pid')}/fd"))


@pytest.fixture
def world(rig):
    return World(rig)


class Watch:
    """The last event of each port."""

    def __init__(self, switch):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(os.path.join(switch.state, "control.sock"))
        self.socket.sendall(b'{"jsonrpc":"2.0","id":1,"method":"plane.watch"}\n')
        self.file = self.socket.makefile()

    def until(self, port, condition):
        while True:
            event = json.loads(self.file.readline()).get("params", {})
            if event.get("event") == "port" and event["port"] == port and condition(event):
                return

    def close(self):
        self.file.close()
        self.socket.close()


def test_others_forward_and_it_opens_when_it_can(world):
    names = {f"x-{kind}" for kind in KINDS}
    world.kill()
    world.start()
    world.passes()
    assert set(world.reasons()) == names
    for name, text in world.reasons().items():
        assert f'port "{name}"' in text
    assert not any(world.switch.port(name)["up"] for name in names)
    shown = subprocess.run([program("remora"), "switch", "--state", world.switch.state, "show",
                            "ports"], capture_output=True, text=True, timeout=20, check=True)
    assert "NOT OPEN" in shown.stdout and world.reasons()["x-stream"] in shown.stdout
    assert all(f'remora_switch_port_closed{{port="{name}"}} 1' in world.switch.call("metrics")
               for name in names)
    watch = Watch(world.switch)
    watch.until("x-vhost", lambda event: not event["up"] and "reason" in event)
    # Trying costs nothing that stays.
    fds = world.n_fds()
    time.sleep(3)
    assert world.n_fds() <= fds + 2
    world.passes()
    os.mkdir(world.folder)
    wait_until(lambda: world.reasons() == {}, 10, "all are open")
    watch.until("x-vhost", lambda event: "reason" not in event)
    watch.close()
    assert "remora_switch_port_closed{" not in world.switch.call("metrics")
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(os.path.join(world.folder, "stream.sock"))
        wait_until(lambda: world.switch.port("x-stream")["up"], 10, "its peer is there")
        data = b"\xff" * 6 + bytes.fromhex("0200000000aa") + b"\x88\xb5" + bytes(46)
        peer.sendall(len(data).to_bytes(4, "big") + data)
        assert world.peers["a"].receive() == data
    world.peers["b"].receive()
    world.passes()


def test_who_gives_a_document_is_told(world):
    world.kill()
    world.start()
    before = world.switch.call("plane.status")["generation"]
    wrong = world.document()
    wrong["ports"].append({"name": "y", "kind": "stream", "server": True,
                           "path": os.path.join(world.folder, "y"), "segment": "blue"})
    with pytest.raises(RuntimeError) as error:
        world.switch.call("plane.apply", generation=before + 1, document=wrong)
    assert 'port "y"' in str(error.value)
    assert world.switch.call("plane.status")["generation"] == before
    with pytest.raises(RuntimeError) as error:
        world.change({"put_port": {"name": "y", "kind": "stream", "server": True,
                                   "path": os.path.join(world.folder, "y"), "segment": "blue"}})
    assert 'port "y"' in str(error.value)
    # What does not touch it is changed, and so is what takes it away.
    world.change({"put_segment": {"name": "green"}})
    assert len(world.reasons()) == 3
    world.switch.apply(world.document())
    assert len(world.reasons()) == 3
    world.change({"remove_port": "x-stream"}, {"remove_port": "x-memif"})
    assert set(world.reasons()) == {"x-vhost"}
    world.passes()
    os.mkdir(world.folder)
    world.switch.apply(world.document())
    wait_until(lambda: world.reasons() == {}, 10, "all are open")
    world.passes()


def test_a_device_that_is_gone(world):
    """An interface, and a device that DPDK does not find, named in what was kept."""
    world.change({"remove_port": "x-memif"}, {"remove_port": "x-vhost"})
    world.switch.apply(world.document())
    path = os.path.join(world.switch.state, "plane.json")
    world.kill()
    os.mkdir(world.folder)
    with open(path, encoding="utf-8") as file:
        kept = json.load(file)
    ports = kept["document"]["ports"]
    for port in ports:
        if port["name"] == "x-memif":
            port.update(kind="af_packet", path="no-such-one")
        elif port["name"] == "x-vhost":
            port.update(kind="device", path="0000:7f:1f.7")
        else:
            continue
        del port["server"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(kept, file, separators=(",", ":"))
    world.start()
    assert set(world.reasons()) == {"x-memif", "x-vhost"}
    world.passes()
    fds = world.n_fds()
    time.sleep(3)
    assert world.n_fds() <= fds + 2
    world.change({"put_segment": {"name": "green"}})
    world.passes()
    pid = world.switch.pid_in("switchd.pid")
    world.switch.kill()
    world.start()
    assert world.switch.pid_in("switchd.pid") != pid
    assert set(world.reasons()) == {"x-memif", "x-vhost"}

# SPDX-License-Identifier: Apache-2.0
"""Stream ports: a guest whose network card QEMU emulates, and peers that mean no good."""

import os
import re
import struct

import pytest

from conftest import need
from daemon import build_folder, wait_until
from switch_rig import ADDRESS, MAC, QEMU, Guest, Peer, Switch, document, frame


@pytest.fixture(scope="module")
def world(module_rig):
    need("remora-switchd")
    if not os.path.exists(QEMU):
        pytest.skip("QEMU is not installed")
    if not os.path.exists(os.path.join(build_folder(), "guest", "guest.raw")):
        pytest.skip("the guest's disk is not built")
    switch = module_rig.keep(Switch(module_rig)).start()
    guests = {"a": module_rig.keep(Guest(module_rig, "a")),
              "b": module_rig.keep(Guest(module_rig, "b", "vmxnet3"))}
    switch.apply(document(guests))
    for guest in guests.values():
        guest.login()
    return switch, guests["a"], guests["b"]


def test_an_emulated_card_reaches_a_virtual_one(world):
    switch, a, b = world
    assert a.reaches(ADDRESS["b"]) and b.reaches(ADDRESS["a"])
    assert b.run(f"ping -c 2 -i 0.2 -s 6000 {ADDRESS['a']}")[0] == 0  # in several frames
    b.run("dd if=/dev/urandom of=/tmp/sent bs=1k count=2000")
    a.run("(sleep 600 | nc -l -p 6000 > /tmp/got) &")
    b.run(f"(sleep 1; nc {ADDRESS['a']} 6000 < /tmp/sent) &")
    wanted = re.search(r"[0-9a-f]{32}", b.run("md5sum < /tmp/sent")[1]).group()
    wait_until(lambda: wanted in a.run("md5sum < /tmp/got")[1], 30, "all of it has come", 0.5)
    assert switch.port("b")["rx_packets"] > 100


def test_it_connects_again(world):
    switch, a, b = world
    switch.kill()
    switch.start()
    wait_until(lambda: a.reaches(ADDRESS["b"], 1), 60, "the card is served again", 0.5)


@pytest.fixture
def pair(rig):
    """A switch of its own with two ports, whose peers we are."""
    need("remora-switchd")
    switch = rig.keep(Switch(rig)).start()
    paths = {name: rig.path(f"{name}.sock") for name in MAC}
    switch.apply({"ports": [{"name": name, "kind": "stream", "path": path, "segment": "blue",
                             "mac": MAC[name], "guard": {"any_address": True}}
                            for name, path in paths.items()],
                  "segments": [{"name": "blue"}]})
    return switch, Peer(paths["a"]), Peer(paths["b"])


def test_frames_arrive_as_they_were_sent(pair):
    switch, a, b = pair
    wait_until(lambda: switch.port("b")["up"] and switch.port("a")["up"], 20, "both are up")
    for size in (46, 100, 1486):
        a.send(frame("a", "b", size))
        assert b.receive() == frame("a", "b", size)
    sent = b"".join(struct.pack(">I", len(f)) + f
                    for f in (frame("b", "a", 46 + n) for n in range(300)))
    for at in range(0, len(sent), 777):  # across the borders of frames
        b.peer.sendall(sent[at:at + 777])
    for n in range(300):
        assert a.receive() == frame("b", "a", 46 + n)


def test_who_breaks_the_framing_is_let_go(pair):
    switch, a, b = pair
    for wrong in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\x40\x01" + bytes(100)):
        a.peer.sendall(wrong)
        assert a.peer.recv(1) == b""
        a.take()
    a.send(frame("a", "b", 46))
    assert b.receive() == frame("a", "b", 46)


def test_short_frames_are_dropped_by_name(pair):
    switch, a, b = pair
    for n in (1, 5, 13):
        a.send(bytes(n))
    a.send(frame("a", "b", 46))
    assert b.receive() == frame("a", "b", 46)
    assert switch.port("a")["drops"]["short"] == 3


def test_who_does_not_read_loses_by_name_and_holds_nobody_up(pair):
    switch, a, b = pair
    wait_until(lambda: switch.port("b")["up"], 20, "b is up")
    for _ in range(4000):
        a.send(frame("a", "b", 1400))
    wait_until(lambda: switch.port("a")["rx_packets"] == 4000, 20, "all have come in")
    lost = switch.port("b")["drops"]["port_full"]
    assert 0 < lost < 4000
    b.send(frame("b", "a", 60))
    assert a.receive() == frame("b", "a", 60)
    for _ in range(4000 - lost):
        assert b.receive() == frame("a", "b", 1400)
    b.peer.close()
    wait_until(lambda: not switch.port("b")["up"], 20, "b is down")
    a.send(frame("a", "b", 60))
    wait_until(lambda: switch.port("b")["drops"].get("port_down") == 1, 20, "that is counted")
    b.take()
    wait_until(lambda: switch.port("b")["up"], 20, "b is up again")
    a.send(frame("a", "b", 61))
    assert b.receive() == frame("a", "b", 61)

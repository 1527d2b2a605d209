# SPDX-License-Identifier: Apache-2.0
"""Stream ports: a guest whose network card QEMU emulates, and peers that mean no good."""

import os
import re
import socket
import struct
import time

import pytest

from conftest import need
from daemon import build_folder, wait_until
from switch_rig import ADDRESS, MAC, QEMU, Guest, Peer, Switch, document, frame, frame_sizes


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
    b.send_file(a, 6000, 2000)
    assert switch.port("b")["rx_packets"] > 100


def test_large_segments_are_cut_for_an_emulated_card(world):
    switch, a, b = world
    sizes = {}

    def send():
        sizes["to b"] = frame_sizes(switch, "b", lambda: a.send_file(b, 6001))[1]
    assert frame_sizes(switch, "a", send)[0] > 3000
    assert 1000 < sizes["to b"] < 1515


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


def ip4(source, target, proto, payload):
    head = (struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, proto, 0) +
            socket.inet_aton(source) + socket.inet_aton(target))
    total = sum(struct.unpack(">10H", head))
    total = ~(total + (total >> 16)) & 0xffff
    return head[:10] + struct.pack(">H", total) + head[12:] + payload


def test_jumbo_frames_cross_tunnels_whole(rig):
    """Frames of several buffers, into a tunnel, out of one, and copied."""
    need("remora-switchd")
    switch = rig.keep(Switch(rig)).start()
    paths = {name: rig.path(f"{name}.sock") for name in ("a", "b", "up")}
    port = {"kind": "stream", "mtu": 8900, "guard": {"any_address": True}, "segment": "blue"}
    far, team = bytes.fromhex("02524d00000f"), bytes.fromhex("02524dfe0001")
    switch.apply({
        "ports": [{**port, "name": "a", "path": paths["a"], "mac": MAC["a"]},
                  {**port, "name": "b", "path": paths["b"], "mac": MAC["b"]},
                  {"name": "up", "kind": "stream", "path": paths["up"], "mtu": 9000}],
        "teams": [{"name": "t", "ports": ["up"], "mtu": 9000, "mac": team.hex(":"),
                   "address": "10.255.0.1/24"}],
        "segments": [{"name": "blue", "team": "t", "encapsulation": "geneve", "vni": 7,
                      "mtu": 8900, "flood": ["10.255.0.2"],
                      "remotes": [{"mac": far.hex(":"), "endpoint": "10.255.0.2"}]}]})
    a, b, up = (Peer(path) for path in paths.values())
    wait_until(lambda: all(switch.port(name)["up"] for name in paths), 20, "all are up")
    mac = bytes.fromhex(MAC["a"].replace(":", ""))
    data = bytes(i * 7 & 0xff for i in range(8000))
    udp = struct.pack(">HHHH", 1000, 2000, 8 + len(data), 0) + data
    frame_out = far + mac + b"\x08\0" + ip4("10.1.0.1", "10.1.0.2", 17, udp)
    # Who the endpoint is, before anybody asks.
    up.send(team + far + b"\x08\6\0\1\x08\0\6\4\0\2" + far + socket.inet_aton("10.255.0.2") + team +
            socket.inet_aton("10.255.0.1"))
    wait_until(lambda: switch.port("up")["rx_packets"] == 1, 20, "that is heard")
    a.send(frame_out)
    while len(came := up.receive()) < 8000:  # questions come first
        pass
    assert came[:12] == far + team and came[50:] == frame_out
    assert struct.unpack(">H", came[38:40])[0] == len(came) - 34  # UDP says all of it
    frame_in = mac + far + b"\x08\0" + ip4("10.1.0.2", "10.1.0.1", 17, udp)
    outer = struct.pack(">HHHH", 5000, 6081, 16 + len(frame_in), 0) + b"\0\0\x65\x58\0\0\7\0"
    up.send(team + far + b"\x08\0" + ip4("10.255.0.2", "10.255.0.1", 17, outer + frame_in))
    while len(came := a.receive()) < 8000:
        pass
    assert came == frame_in
    everybody = b"\xff" * 6 + mac + b"\x88\xb5" + data
    a.send(everybody)
    while len(came := b.receive()) < 8000:
        pass
    assert came == everybody
    while len(came := up.receive()) < 8000:
        pass
    assert came[50:] == everybody


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_idle_switch_sleeps_and_wakes(pair):
    switch, a, b = pair
    wait_until(lambda: switch.port("b")["up"] and switch.port("a")["up"], 20, "both are up")
    pid = switch.call("version")["pid"]
    time.sleep(0.3)  # what it does at first
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(3)
    assert (cpu_seconds(pid) - before) / (time.monotonic() - began) < 0.02
    took = []
    for n in range(21):
        time.sleep(0.11)
        began = time.monotonic()
        a.send(frame("a", "b", 60 + n))
        assert b.receive() == frame("a", "b", 60 + n)
        took.append(time.monotonic() - began)
    assert sorted(took)[10] < 0.03  # by itself it would sleep for 0.1 s

# SPDX-License-Identifier: Apache-2.0
"""A guest whose card has several queues: what comes in by any of them passes, and each connection's
packets go to it by one, in order, some connections by each."""

import struct

import pytest

import vhost_front as vhost
from conftest import need
from daemon import wait_until
from switch_rig import Switch
from vhost_front import BUFFERS, HEADER, RING, WRITE, Front

MAC = {"a": bytes([2, 0, 0, 0, 0, 1]), "b": bytes([2, 0, 0, 0, 0, 2])}
FEATURES = vhost.VERSION_1 | vhost.MRG_RXBUF | vhost.PROTOCOL_FEATURES | 1 << 22
CONNECTIONS, EACH = 40, 20


def datagram(source, target, connection, number):
    """UDP; its port says which connection it is of."""
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 48, 0, 0, 64, 17, 0,
                       bytes([10, 1, 0, MAC[source][5]]), bytes([10, 1, 0, MAC[target][5]]))
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack(">H", 0xFFFF & ~((total & 0xFFFF) + (total >> 16))) + head[12:]
    udp = struct.pack(">HHHHI", 1000 + connection, 2000, 28, 0, number).ljust(28, b"\0")
    return MAC[target] + MAC[source] + b"\x08\x00" + head + udp


class Pairs(Front):
    """Two pairs of queues: 0 and 2 are received from, 1 and 3 sent by."""

    def steps(self, features=FEATURES):
        steps = super().steps(features)
        for queue in (2, 3):
            steps += [lambda q=queue: self.send_ring(q),
                      lambda q=queue: self.send(vhost.SET_VRING_CALL, struct.pack("<Q", q),
                                                [self.event()]),
                      lambda q=queue: self.send(vhost.SET_VRING_KICK, struct.pack("<Q", q),
                                                [self.event()]),
                      lambda q=queue: self.send(vhost.SET_VRING_ENABLE,
                                                struct.pack("<II", q, 1))]
        return steps

    def begin(self, **more):
        super().begin(**more)
        self.taken_by = {0: 0, 2: 0}
        for i in range(RING):
            self.put_desc(2, i, BUFFERS + (2 * RING + i) * 2048, 2048, WRITE)
            self.push(2, i)

    def send_by(self, queue, frame):
        index = self.sent % RING
        at = BUFFERS + (RING + index) * 2048
        data = bytes(HEADER) + frame
        self.memory[at:at + len(data)] = data
        self.put_desc(queue, index, at, len(data))
        self.push(queue, index)
        self.sent += 1

    def receive_by(self, queue):
        frames = []
        while self.taken_by[queue] % 65536 != self.used(queue):
            at = vhost.used_at(queue) + 4 + 8 * (self.taken_by[queue] % RING)
            index, size = struct.unpack_from("<II", self.memory, at)
            start = BUFFERS + (queue * RING + index) * 2048
            frames.append(bytes(self.memory[start + HEADER:start + size]))
            self.push(queue, index)
            self.taken_by[queue] += 1
        return frames


@pytest.fixture
def world(rig):
    need("remora-switchd")
    switch = rig.keep(Switch(rig)).start()
    fronts = {name: (Pairs if name == "b" else Front)(rig.path(f"{name}.sock")) for name in MAC}
    switch.apply({"segments": [{"name": "s"}], "ports": [
        {"name": name, "kind": "vhost", "server": True, "segment": "s", "path": front.path,
         "mac": MAC[name].hex(":"), "queues": 2, "guard": {"any_address": True}}
        for name, front in fronts.items()]})
    for front in fronts.values():
        front.begin()
        assert front.ask_u64(vhost.GET_FEATURES) != 0  # what was said before has been heard
    wait_until(lambda: all(switch.port(name)["up"] for name in MAC), 20, "both are up")
    yield switch, fronts["a"], fronts["b"]
    for front in fronts.values():
        front.end()


def test_connections_are_spread_and_stay_in_order(world):
    _, a, b = world
    got = {0: {}, 2: {}}

    def take():
        for queue, connections in got.items():
            for frame in b.receive_by(queue):
                port, = struct.unpack(">H", frame[34:36])
                connections.setdefault(port - 1000, []).append(
                    struct.unpack(">I", frame[42:46])[0])
        return sum(len(numbers) for of in got.values() for numbers in of.values())

    for number in range(EACH):
        for connection in range(CONNECTIONS):
            a.send_frame(datagram("a", "b", connection, number))
        wait_until(lambda n=number: take() == (n + 1) * CONNECTIONS, 20, "all have come")
    assert len(got[0]) >= 5 and len(got[2]) >= 5 and not set(got[0]) & set(got[2])
    for connections in got.values():
        assert all(numbers == list(range(EACH)) for numbers in connections.values())


def test_both_queues_are_served(world):
    switch, a, b = world
    for queue in (1, 3):
        b.send_by(queue, datagram("b", "a", 0, queue))
    frames = []
    wait_until(lambda: frames.extend(a.receive()) or len(frames) == 2, 20, "both have come")
    assert sorted(struct.unpack(">I", frame[42:46])[0] for frame in frames) == [1, 3]
    assert switch.port("b")["rx_packets"] == 2


def test_a_queue_that_is_closed_gets_nothing(world):
    _, a, b = world
    b.send(vhost.SET_VRING_ENABLE, struct.pack("<II", 2, 0))
    assert b.ask_u64(vhost.GET_FEATURES) != 0
    frames = []
    for connection in range(CONNECTIONS):
        a.send_frame(datagram("a", "b", connection, connection))
    wait_until(lambda: frames.extend(b.receive_by(0)) or len(frames) == CONNECTIONS, 20,
               "all come by the other")
    b.send(vhost.SET_VRING_ENABLE, struct.pack("<II", 2, 1))
    assert b.ask_u64(vhost.GET_FEATURES) != 0
    for connection in range(CONNECTIONS):
        a.send_frame(datagram("a", "b", connection, connection))
    both = {0: [], 2: []}
    wait_until(lambda: [both[q].extend(b.receive_by(q)) for q in both] and both[2], 20,
               "it gets some again")

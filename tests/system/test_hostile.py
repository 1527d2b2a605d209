# SPDX-License-Identifier: Apache-2.0
"""Front ends that lie or die: whatever comes over a port's socket or its rings, the switch lives, two
other ports talk on meanwhile, and nothing is left behind when it is over.

REMORA_FUZZ_SECONDS=600 lets the one that changes messages at random go on for so long."""

import fcntl
import os
import random
import socket
import struct
import threading
import time

import pytest

import vhost_front as vhost
from conftest import need
from daemon import wait_until
from switch_rig import Switch
from vhost_front import BUFFERS, INDIRECT, NEXT, RING, SIZE, USER, WRITE, Front

NAMES = ("a", "b", "bad")
MAC = {name: bytes([2, 0, 0, 0, 0, i + 1]) for i, name in enumerate(NAMES)}


def frame(source, destination, number, size=100):
    """An IPv4 datagram that bears a number."""
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size - 14, 0, 0, 64, 17, 0,
                       bytes([10, 1, 0, MAC[source][5]]), bytes([10, 1, 0, MAC[destination][5]]))
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = 0xFFFF & ~((total & 0xFFFF) + (total >> 16))
    head = head[:10] + struct.pack(">H", total) + head[12:]
    udp = struct.pack(">HHHHI", 1000, 2000, size - 34, 0, number)
    return (MAC[destination] + MAC[source] + b"\x08\x00" + head + udp).ljust(size, b"\0")


class Pair(threading.Thread):
    """Two honest front ends that talk until told to stop. Both are used by this thread alone."""

    def __init__(self, rig):
        super().__init__(daemon=True)
        self.fronts = [Front(rig.path("a.sock")), Front(rig.path("b.sock"), packed=True)]
        self.sent = self.got = 0
        self.wrong = []
        self.others = []
        self.is_over = False

    def exchange(self):
        a, b = self.fronts
        if self.sent - self.got < RING // 2:
            a.send_frame(frame("a", "b", self.sent))
            self.sent += 1
        self.take(b)

    def take(self, b):
        """Frames of the other honest one; a bad one may send to everybody, as any guest may."""
        frames = b.receive()
        for f in frames:
            if f[:12] == MAC["b"] + MAC["a"]:
                number = struct.unpack(">I", f[42:46])[0]
                if number != self.got:
                    self.wrong.append(f"{number} in the place of {self.got}")
                self.got += 1
        self.others += [f for f in frames if f[:12] != MAC["b"] + MAC["a"]][:max(0, 3 - len(self.others))]

    def talk(self, n):
        """n more frames have come through, counted from now."""
        wanted = self.got + n
        wait_until(lambda: self.got >= wanted, 10, "frames pass between the honest ports")

    def run(self):
        while not self.is_over:
            self.exchange()
            time.sleep(0.002)

    def stop(self):
        self.is_over = True
        self.join()
        end = time.monotonic() + 5
        while self.got < self.sent and time.monotonic() < end:
            self.take(self.fronts[1])
            time.sleep(0.01)
        for front in self.fronts:
            front.end()


def document(rig):
    port = {"kind": "vhost", "server": True, "segment": "s", "guard": {"any_address": True}}
    return {"segments": [{"name": "s"}],
            "ports": [dict(port, name=name, path=rig.path(f"{name}.sock"),
                           mac=":".join(f"{byte:02x}" for byte in MAC[name])) for name in NAMES]
            + [{"name": "stream", "kind": "stream", "path": rig.path("stream.sock"),
                "server": True, "segment": "s", "guard": {"any_address": True}},
               {"name": "memif", "kind": "memif", "path": rig.path("memif.sock"), "server": True,
                "segment": "s", "guard": {"any_address": True}}]}


class World:
    def __init__(self, rig):
        self.rig = rig
        self.switch = rig.keep(Switch(rig)).start()
        self.switch.apply(document(rig))
        self.change({"mode": "standard"})
        self.pid = self.switch.pid_in("switchd.pid")
        self.pair = Pair(rig)
        for front in self.pair.fronts:
            front.begin()
        self.pair.start()
        self.pair.talk(10)
        self.front = Front(rig.path("bad.sock"))
        self.check()
        self.fds = self.n_fds()

    def change(self, *changes):
        generation = self.switch.generation + 1
        self.switch.call("plane.change", base=generation - 1, generation=generation,
                         changes=changes)
        self.switch.generation = generation

    def n_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self):
        """Resident, KiB."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def lives(self):
        """The process that forwards; should it die, another takes over, which must not happen here."""
        return self.switch.pid_in("switchd.pid") == self.pid

    def check(self):
        """Lives, passes frames, and takes an honest front end at the port where a bad one was."""
        assert self.lives(), "the switch died"
        self.pair.talk(5)
        self.front.begin()
        wait_until(lambda: self.passes(), 10, "the port serves an honest front end again")
        self.front.close()

    def passes(self):
        before = self.switch.port("bad")["rx_packets"]
        self.front.send_frame(frame("bad", "a", 0))
        time.sleep(0.05)
        return self.switch.port("bad")["rx_packets"] > before

    def check_leaks(self):
        """What is left after a connection goes a little later, when another one says something."""
        allowed, self.fds = self.fds, self.n_fds()

        def is_clean():
            if self.n_fds() > allowed:
                self.front.connect()
                self.front.ask_u64(vhost.GET_FEATURES)
                self.front.close()
            return self.n_fds() <= allowed
        wait_until(is_clean, 10, "what front ends gave is closed", 0.2)
        self.fds = allowed

    def end(self):
        self.pair.stop()
        self.front.end()
        assert self.pair.wrong[:3] == [], "honest ports get what was not sent"
        assert self.pair.got == self.pair.sent, "honest ports lost frames"


@pytest.fixture(scope="module")
def world(module_rig):
    need("remora-switchd")
    it = World(module_rig)
    yield it
    it.end()


@pytest.fixture(autouse=True)
def afterwards(world):
    yield
    world.check()
    world.check_leaks()
    world.front.packed = False


@pytest.fixture(params=[False, True], ids=["split", "packed"])
def packed(world, request):
    """The bad front end's rings are of either kind."""
    world.front.packed = request.param
    return request.param


def lie(world, message, steps=6):
    """An honest beginning of so many steps, then a message; the switch may hang up on it."""
    front = world.front
    front.restart()
    front.connect()
    try:
        for step in front.steps()[:steps]:
            step()
        message(front)
        for step in front.steps()[steps:]:
            step()
        front.offer()
        front.send_frame(frame("bad", "a", 1))
        time.sleep(0.05)
    except OSError:
        pass
    front.close()


# ---- dying ----


def test_it_dies_at_each_step(world, packed):
    for n in range(len(world.front.steps()) + 1):
        world.front.restart()
        world.front.connect()
        for step in world.front.steps()[:n]:
            step()
        world.front.close()
        world.pair.talk(1)


def test_it_dies_within_a_message(world):
    for cut in (1, 4, 11, 12, 13, 15):
        world.front.connect()
        text = struct.pack("<IIIQ", vhost.SET_FEATURES, 1, 8, 0)
        world.front.socket.sendall(text[:cut])
        world.front.close()
        world.pair.talk(1)


def test_it_comes_again_and_again(world):
    before = world.memory()
    for i in range(200):
        world.front.restart()
        world.front.connect()
        for step in world.front.steps()[:i % 15]:
            step()
        world.front.close()
    world.check()
    world.check_leaks()
    assert world.memory() < before + 8192, "memory grows with each connection"


def test_it_dies_with_frames_in_its_rings(world):
    for _ in range(20):
        world.front.begin()
        for i in range(100):
            world.front.send_frame(frame("bad", "a", i))
        world.front.close()


# ---- lying about memory ----

BIG = 1 << 63
REGIONS = {
    "none": [],
    "empty": [(0, 0, USER, 0)],
    "huge": [(0, BIG, USER, 0)],
    "all": [(0, (1 << 64) - 1, USER, 0)],
    "wraps": [((1 << 64) - 4096, SIZE, USER, 0)],
    "wraps in the front end": [(0, SIZE, (1 << 64) - 4096, 0)],
    "offset beyond the file": [(0, SIZE, USER, 1 << 40)],
    "offset wraps": [(0, SIZE, USER, (1 << 64) - SIZE)],
    "odd offset": [(0, SIZE - 4096, USER, 123)],
    "larger than the file": [(0, SIZE * 64, USER, 0)],
    "overlap": [(0, SIZE, USER, 0), (4096, SIZE - 4096, USER + 4096, 4096)],
    "same twice": [(0, SIZE, USER, 0), (0, SIZE, USER, 0)],
    "eight": [(i * SIZE, SIZE, USER + i * SIZE, 0) for i in range(8)],
}


@pytest.mark.parametrize("regions", REGIONS.values(), ids=REGIONS.keys())
def test_it_lies_about_memory(world, regions):
    lie(world, lambda front: front.send_memory(regions))


@pytest.mark.parametrize("count, n_fds", [(0, 1), (1, 0), (8, 1), (9, 1), (1000, 1), (1, 8),
                                          (0xFFFFFFFF, 1)])
def test_it_lies_about_the_number_of_regions(world, count, n_fds):
    lie(world, lambda front: front.send_memory(count=count, fds=[front.fd] * n_fds))


def test_its_memory_is_no_memory(world):
    with open("/dev/null", "rb") as null, socket.socket() as other:
        for fd in (null.fileno(), other.fileno()):
            lie(world, lambda front, fd=fd: front.send_memory(fds=[fd]))


def test_it_gives_memory_again_and_again(world):
    def message(front):
        for _ in range(50):
            front.send_memory()
    lie(world, message)
    lie(world, message, steps=14)


def test_it_takes_its_memory_away(world, packed):
    """The file is cut while its rings are in use."""
    front = Front(world.front.path, packed)
    front.begin()
    for i in range(50):
        front.send_frame(frame("bad", "a", i))
    os.ftruncate(front.fd, 0)
    world.pair.talk(20)
    front.close()


def test_its_memory_is_shorter_than_it_says(world, packed):
    front = Front(world.front.path, packed)
    front.begin()
    os.ftruncate(front.fd, 4096 * 70)  # the rings stay, buffers go
    world.pair.talk(20)
    front.close()


# ---- lying about rings ----

RINGS = {
    "outside": {"desc": USER + SIZE * 4},
    "at nothing": {"desc": 0, "avail": 0, "used": 0},
    "used outside": {"used": 1},
    "avail outside": {"avail": (1 << 64) - 8},
    "beyond the end": {"desc": USER + SIZE - 16},
    "used beyond the end": {"used": USER + SIZE - 4},
    "odd": {"desc": USER + 3, "avail": USER + 0x1001, "used": USER + 0x2003},
    "one place": {"desc": USER, "avail": USER, "used": USER},
    "size 0": {"number": 0},
    "size 3": {"number": 3},
    "size 32768": {"number": 32768},
    "size 65536": {"number": 65536},
    "size 2^31": {"number": 1 << 31},
    "base 65535": {"base": 65535},
    "base beyond": {"base": 1 << 20},
}


@pytest.mark.parametrize("ring", RINGS.values(), ids=RINGS.keys())
@pytest.mark.parametrize("queue", [0, 1])
def test_it_lies_about_a_ring(world, packed, queue, ring):
    lie(world, lambda front: front.send_ring(queue, **ring), steps=8 if queue == 0 else 12)


@pytest.mark.parametrize("queue", [2, 15, 16, 255, 256, 65535, 0xFFFFFFFF])
def test_it_names_a_queue_that_is_none(world, queue):
    def message(front):
        front.send(vhost.SET_VRING_NUM, struct.pack("<II", queue, 256))
        front.send(vhost.SET_VRING_ADDR, struct.pack("<IIQQQQ", queue, 0, USER, USER, USER, 0))
        front.send(vhost.SET_VRING_KICK, struct.pack("<Q", queue & 0xFF), [front.event()])
        front.send(vhost.SET_VRING_ENABLE, struct.pack("<II", queue, 1))
    lie(world, message)


def indirect(*descs):
    return b"".join(struct.pack("<QIHH", *desc) for desc in descs)


# Chains that are wrong: descriptors (address, size, flags, next), and what lies in memory at
# BUFFERS. A packed ring's follow one another instead, and end somewhere unless they fill the ring.
CHAINS = {
    "itself": [(BUFFERS, 100, NEXT, 0)],
    "a loop": [(BUFFERS, 100, NEXT, 1), (BUFFERS, 100, NEXT, 0)],
    "a long loop": [(BUFFERS, 2000, NEXT, (i + 1) % 200) for i in range(200)],
    "all in a loop": [(BUFFERS, 100, NEXT, (i + 1) % RING) for i in range(RING)],
    "to nowhere": [(BUFFERS, 100, NEXT, 60000)],
    "4 GiB": [(BUFFERS, 0xFFFFFFFF, 0, 0)],
    "4 GiB twice": [(BUFFERS, 0xFFFFFFFF, NEXT, 1), (BUFFERS, 0xFFFFFFFF, 0, 0)],
    "outside": [(SIZE * 8, 100, 0, 0)],
    "beyond the end": [(SIZE - 50, 100, 0, 0)],
    "wraps": [((1 << 64) - 50, 100, 0, 0)],
    "nothing": [(BUFFERS, 0, 0, 0)],
    "less than a header": [(BUFFERS, 5, 0, 0)],
    "a header alone": [(BUFFERS, 12, 0, 0)],
    "the other way": [(BUFFERS, 100, WRITE, 0)],
    "both ways": [(BUFFERS, 100, NEXT, 1), (BUFFERS, 100, WRITE, 0)],
    "an indirect in an indirect": [(BUFFERS, 16, INDIRECT, 0)],
    "an odd indirect": [(BUFFERS, 17, INDIRECT, 0)],
    "an indirect at an odd place": [(BUFFERS + 17, 16, INDIRECT, 0)],
    "an empty indirect": [(BUFFERS, 0, INDIRECT, 0)],
    "an indirect that goes on": [(BUFFERS + 64, 16, INDIRECT | NEXT, 1), (BUFFERS, 100, 0, 0)],
    "an indirect loop": [(BUFFERS + 64, 16, INDIRECT, 0)],
    "an indirect outside": [(SIZE * 8, 64, INDIRECT, 0)],
    "a huge indirect": [(BUFFERS, 0xFFFFFFF0, INDIRECT, 0)],
    "a long indirect": [(BUFFERS, 1 << 20, INDIRECT, 0)],
}
TABLES = indirect((BUFFERS, 64, INDIRECT, 0)).ljust(64, b"\0") + indirect((BUFFERS, 64, NEXT, 0))


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_a_chain_is_wrong(world, packed, chain):
    front = world.front
    front.begin(more=1 << 28)
    front.memory[BUFFERS:BUFFERS + len(TABLES)] = TABLES
    front.push_chain(1, chain)
    time.sleep(0.03)
    front.close()


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_a_receive_chain_is_wrong(world, packed, chain):
    """What others send to it goes into chains like these."""
    front = world.front
    front.restart()
    front.connect()
    for step in front.steps(more=1 << 28):
        step()
    front.memory[BUFFERS:BUFFERS + len(TABLES)] = TABLES
    front.push_chain(0, [(at, size, flags ^ WRITE, following)
                         for at, size, flags, following in chain])
    send_to(world)
    front.close()


def send_to(world, n=20):
    """A frame from itself to everybody is not sent back, so these go the stream port's way."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(world.rig.path("stream.sock"))
        data = MAC["bad"] + MAC["a"] + frame("a", "bad", 1)[12:]
        for _ in range(n):
            stream.sendall(struct.pack(">I", len(data)) + data)
        time.sleep(0.05)


@pytest.mark.parametrize("index", [256, 65535])
def test_there_is_no_such_descriptor(world, packed, index):
    front = world.front
    front.begin()
    if packed:
        front.put_packed(1, [(BUFFERS, 100, 0)], index)
    else:
        front.push(1, index)
    time.sleep(0.03)
    front.close()


@pytest.mark.parametrize("by", [257, 1000, 32768, 65535])
def test_more_is_available_than_there_is_room(world, packed, by):
    front = world.front
    front.begin()
    front.push(1, 0, by)
    front.push(0, 0, by)
    time.sleep(0.03)
    front.close()


# ---- calls ----


def full_event():
    fd = os.eventfd(0, os.EFD_CLOEXEC)
    os.eventfd_write(fd, (1 << 64) - 2)
    return [fd]


def full_pipe():
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    try:
        while True:
            os.write(ends[1], bytes(65536))
    except BlockingIOError:
        os.set_blocking(ends[1], True)
    return ends[::-1]


def broken_pipe():
    ends = os.pipe()
    os.close(ends[0])
    return ends[1:]


@pytest.mark.parametrize("make", [full_event, full_pipe, broken_pipe])
def test_its_call_holds_nobody_up(world, packed, make):
    """Files that block who writes to them, in the place of those that it is called by."""
    fds = make()
    front = world.front
    front.begin()
    for queue in (0, 1):
        front.send(vhost.SET_VRING_CALL, struct.pack("<Q", queue), [fds[0]])
    front.ask_u64(vhost.GET_FEATURES)
    for i in range(20):
        front.send_frame(frame("bad", "a", i))
    send_to(world)
    try:
        world.pair.talk(20)
    finally:
        front.close()
        for fd in fds:
            os.close(fd)


# ---- lying about what it can do ----

@pytest.mark.parametrize("features", [
    0, (1 << 64) - 1, 1 << 33 | vhost.VERSION_1, 1 << 34 | vhost.VERSION_1, 1 << 26, 1 << 63,
    1 << 33 | vhost.VERSION_1 | vhost.PROTOCOL_FEATURES, vhost.VERSION_1 | 1 << 28 | 1 << 29])
def test_it_takes_features_that_are_wrong(world, features):
    lie(world, lambda front: front.send_u64(vhost.SET_FEATURES, features), steps=5)
    lie(world, lambda front: front.send_u64(vhost.SET_FEATURES, features), steps=14)
    lie(world, lambda front: front.send_u64(vhost.SET_PROTOCOL_FEATURES, features), steps=3)


@pytest.mark.parametrize("request_", range(vhost.LAST_REQUEST))
def test_any_request_with_any_size(world, request_):
    for size, fds in ((0, 0), (1, 0), (8, 1), (40, 8), (264, 2), (1 << 31, 0), (0xFFFFFFFF, 1)):
        n = min(size, 300)
        lie(world, lambda front, size=size, fds=fds, n=n: front.send(
            request_, b"\xff" * n, [front.fd] * fds, size=size), steps=14 if size == 8 else 3)


def test_it_fills_the_file_that_it_is_called_by(world):
    """And lets it block again after the switch has said that it shall not."""
    front = world.front
    front.begin()
    front.ask_u64(vhost.GET_FEATURES)  # what was said before has been heard
    calls = (front.events[0], front.events[2])
    for call in calls:
        fcntl.fcntl(call, fcntl.F_SETFL, fcntl.fcntl(call, fcntl.F_GETFL) & ~os.O_NONBLOCK)
        os.eventfd_write(call, (1 << 64) - 2)
    front.send_frame(frame("bad", "a", 0))
    world.pair.talk(20)
    front.close()


# ---- holding a message back ----

def test_a_message_without_end_holds_nobody_else_up(world):
    """One front end says that more is to come, and nothing comes: others connect meanwhile."""
    slow = Front(world.rig.path("bad.sock"))
    slow.connect()
    slow.socket.sendall(struct.pack("<III", vhost.SET_FEATURES, 1, 8))
    try:
        time.sleep(0.1)
        other = Front(world.rig.path("a2.sock"))
        world.change({"put_port": {"name": "a2", "kind": "vhost", "server": True, "segment": "s",
                                   "path": other.path}})
        other.connect()
        other.socket.settimeout(3)
        assert other.ask_u64(vhost.GET_FEATURES) != 0
        other.end()
    finally:
        slow.end()
        world.change({"remove_port": "a2"})


# ---- other sockets ----

@pytest.mark.parametrize("data", [
    b"", b"\0", b"\0\0\0\0" * 100, b"\xff\xff\xff\xff" + bytes(1000),
    b"\0\0\x3f\xff" + bytes(10), b"\0\0\x40\x01" + bytes(20000), b"\0\0\0\x01x",
    b"\0\0\0\x0d" + bytes(13), b"\0\0\x05\xdc" + bytes(1500), os.urandom(65536)])
def test_a_stream_peer_breaks_the_framing(world, data):
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(2)
            peer.connect(world.rig.path("stream.sock"))
            try:
                peer.sendall(data)
            except OSError:
                pass
    world.pair.talk(5)


def memif_peer(world, peer):
    """Connects; the listener has room for one that waits."""
    peer.settimeout(2)

    def connect():
        try:
            peer.connect(world.rig.path("memif.sock"))
            return True
        except BlockingIOError:
            return False
    wait_until(connect, 10, "a memif peer is taken")


def test_a_memif_peer_comes_and_goes(world):
    """Such a peer is another switch and trusted with more than this."""
    for i in range(100):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            memif_peer(world, peer)
            if i % 2 == 0:
                peer.recv(200)
    world.pair.talk(5)


def test_a_memif_peer_says_nonsense(world):
    generator = random.Random(7)
    for i in range(200):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            memif_peer(world, peer)
            try:
                if i % 3 == 0:
                    peer.recv(200)
                for _ in range(generator.randrange(5)):
                    kind = generator.randrange(10)
                    peer.send(struct.pack("<H", kind) + generator.randbytes(
                        generator.choice((0, 10, 126, 126, 126, 200))))
            except OSError:
                pass
    world.pair.talk(5)


# ---- anything ----

def mutate(generator, front):
    """One message, often nearly right."""
    request = generator.randrange(1, vhost.LAST_REQUEST)
    kind = generator.randrange(8)
    if kind == 0:
        front.send(request, generator.randbytes(generator.choice((0, 4, 8, 8, 12, 40, 72, 300))),
                   [front.fd] * generator.choice((0, 0, 1, 2, 8)),
                   flags=generator.choice((1, 1, 1, 9, 0, 0xFFFFFFFF)))
    elif kind == 1:
        front.send_memory([tuple(generator.choice((0, 1, 4096, SIZE, USER, USER + SIZE, BIG,
                                                   (1 << 64) - 1, generator.getrandbits(64)))
                                 for _ in range(4)) for _ in range(generator.randrange(1, 9))])
    elif kind == 2:
        front.send_ring(generator.choice((0, 1, 1, 2, 255)),
                        generator.choice((0, 1, 128, 256, 256, 1024, 32768, 65535)),
                        *(generator.choice((None, USER, USER + SIZE - 8, 0, BIG))
                          for _ in range(3)), base=generator.choice((0, 0, 255, 65535)))
    elif kind == 3:
        front.send(vhost.SET_VRING_ENABLE, struct.pack("<II", generator.randrange(3),
                                                       generator.randrange(3)))
    elif kind == 4:
        front.send(generator.choice((vhost.SET_VRING_KICK, vhost.SET_VRING_CALL)),
                   struct.pack("<Q", generator.choice((0, 1, 0x100, 0x101, 2, 255))),
                   [front.event()] if generator.randrange(3) else [])
    elif kind == 5:
        at = generator.randrange(0, 0x13000)
        front.memory[at:at + 16] = generator.randbytes(16)
        front.push(1, generator.randrange(300), generator.choice((1, 1, 2, 300)))
    elif kind == 6:
        for _ in range(generator.randrange(20)):
            front.put_desc(generator.randrange(2), generator.randrange(RING),
                           generator.choice((BUFFERS, SIZE - 10, BIG, 0)),
                           generator.choice((0, 12, 100, 5000, 70000, 0xFFFFFFFF)),
                           generator.randrange(8), generator.choice((0, 1, 255, 256, 65535)))
    else:
        generator.choice(front.steps())()


def test_messages_at_random(world):
    seconds = float(os.environ.get("REMORA_FUZZ_SECONDS", "5"))
    seed = int(os.environ.get("REMORA_FUZZ_SEED", "1"))
    generator = random.Random(seed)
    end = time.monotonic() + seconds
    n_connections = n_messages = 0
    while time.monotonic() < end:
        front = world.front
        front.packed = generator.randrange(2) == 1
        front.restart()
        front.connect()
        front.socket.settimeout(0.3)
        try:
            for step in front.steps()[:generator.choice((0, 5, 6, 10, 14, 14, 14))]:
                step()
            for _ in range(generator.randrange(1, 12)):
                mutate(generator, front)
                n_messages += 1
        except (OSError, struct.error):  # it hung up, or answers what was asked before
            pass
        front.close()
        n_connections += 1
        assert world.lives(), f"died: seed {seed}, {n_connections}"
    print(f"seed {seed}: {n_messages} messages in {n_connections} connections")

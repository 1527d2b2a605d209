# SPDX-License-Identifier: Apache-2.0
"""A vhost-user front end in a few lines, honest or not: what QEMU is toward the switch, without a
machine behind it. Split rings or packed ones, one pair of queues.

    front = Front(path)
    front.connect()
    for step in front.steps():
        step()
    front.send_frame(frame)

The messages are those of QEMU's docs/interop/vhost-user.rst; the rings those of virtio 1.1, 2.6 and 2.7.
"""

import array
import ctypes
import mmap
import os
import socket
import struct

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_LOG_BASE, SET_LOG_FD, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE = 6, 7, 8, 9, 10
GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 11, 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = 15, 16, 17, 18
LAST_REQUEST = 42

VERSION_1, MRG_RXBUF, PROTOCOL_FEATURES = 1 << 32, 1 << 15, 1 << 30
PACKED = 1 << 34
PROTOCOL_REPLY_ACK = 1 << 3
NEXT, WRITE, INDIRECT = 1, 2, 4
AVAILABLE, USED = 1 << 7, 1 << 15  # of a packed ring's descriptors

USER = 0x7F0000000000  # where the front end says that it has its memory
SIZE = 2 << 20
RING = 256
BUFFERS = 0x40000
HEADER = 12  # of virtio-net


def desc_at(queue):
    return queue * 0x10000


def avail_at(queue):
    return queue * 0x10000 + 0x1000


def used_at(queue):
    return queue * 0x10000 + 0x2000


class Front:
    def __init__(self, path, packed=False):
        self.path = path
        self.packed = packed
        self.socket = None
        self.fd = os.memfd_create("guest", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, SIZE)
        self.memory = mmap.mmap(self.fd, SIZE)
        self.words = (ctypes.c_uint16 * (SIZE // 2)).from_buffer(self.memory)
        self.events = []
        self.restart()

    def restart(self):
        """As a guest that begins anew: rings are empty."""
        self.memory[:BUFFERS] = bytes(BUFFERS)
        self.sent, self.taken = 0, 0
        self.next = [(0, True), (0, True)]  # of a packed ring: the place to write, and its wrap
        self.seen = (0, True)  # of the first: the place to take from

    # ---- messages ----

    def connect(self):
        self.close()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(self.path)

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        for event in self.events:
            os.close(event)
        self.events = []

    def end(self):
        self.close()
        del self.words
        self.memory.close()
        os.close(self.fd)

    def send(self, request, payload=b"", fds=(), flags=1, size=None):
        head = struct.pack("<III", request, flags, len(payload) if size is None else size)
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([head + payload], control)

    def send_u64(self, request, value):
        self.send(request, struct.pack("<Q", value))

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError("the switch hung up")
            data += more
        return data

    def answer(self):
        size = struct.unpack("<III", self.read(12))[2]
        return self.read(size)

    def ask_u64(self, request):
        self.send(request)
        return struct.unpack("<Q", self.answer())[0]

    def event(self):
        self.events.append(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        return self.events[-1]

    def send_memory(self, regions=None, count=None, fds=None):
        """regions: (guest address, size, our address, offset in the file)."""
        regions = [(0, SIZE, USER, 0)] if regions is None else regions
        payload = struct.pack("<II", len(regions) if count is None else count, 0)
        for region in regions:
            payload += struct.pack("<QQQQ", *(value & (1 << 64) - 1 for value in region))
        self.send(SET_MEM_TABLE, payload, [self.fd] * len(regions) if fds is None else fds)

    def send_ring(self, queue, number=RING, desc=None, avail=None, used=None, base=None):
        if base is None:
            base = 1 << 15 if self.packed else 0
        self.send(SET_VRING_NUM, struct.pack("<II", queue, number))
        self.send(SET_VRING_BASE, struct.pack("<II", queue, base))
        self.send(SET_VRING_ADDR, struct.pack(
            "<IIQQQQ", queue, 0, USER + desc_at(queue) if desc is None else desc,
            USER + used_at(queue) if used is None else used,
            USER + avail_at(queue) if avail is None else avail, 0))

    def steps(self, more=0):
        """An honest beginning, as a list of calls; `more`: features."""
        features = VERSION_1 | MRG_RXBUF | PROTOCOL_FEATURES | more | (PACKED if self.packed else 0)
        steps = [lambda: self.ask_u64(GET_FEATURES),
                 lambda: self.ask_u64(GET_PROTOCOL_FEATURES),
                 lambda: self.send_u64(SET_PROTOCOL_FEATURES, 0),
                 lambda: self.send(SET_OWNER),
                 lambda: self.send_u64(SET_FEATURES, features),
                 self.send_memory]
        for queue in (0, 1):
            steps += [lambda q=queue: self.send_ring(q),
                      lambda q=queue: self.send(SET_VRING_CALL, struct.pack("<Q", q),
                                                [self.event()]),
                      lambda q=queue: self.send(SET_VRING_KICK, struct.pack("<Q", q),
                                                [self.event()]),
                      lambda q=queue: self.send(SET_VRING_ENABLE, struct.pack("<II", q, 1))]
        return steps

    def begin(self, **more):
        self.restart()
        self.connect()
        for step in self.steps(**more):
            step()
        self.offer()

    # ---- rings ----

    def put(self, at, form, *values):
        struct.pack_into(form, self.memory, at, *values)

    def get(self, at, form):
        return struct.unpack_from(form, self.memory, at)[0]

    # The other side looks at indexes meanwhile, so they are read and written at once, which struct
    # does not: it writes zeros first.

    def put_index(self, at, value):
        self.words[at // 2] = value & 0xFFFF

    def get_index(self, at):
        return self.words[at // 2]

    def put_desc(self, queue, index, address, size, flags=0, following=0):
        if self.packed:
            flags, following = following, flags
        self.put(desc_at(queue) + 16 * index, "<QIHH", address & (1 << 64) - 1, size, flags,
                 following)

    def put_packed(self, queue, descs, number=0):
        """Makes a chain of (address, size, flags) available at a packed ring's next places."""
        place, wrap = self.next[queue]
        first = None
        for address, size, flags in descs:
            at = desc_at(queue) + 16 * place
            self.put(at, "<QIH", address & (1 << 64) - 1, size, number)
            flags |= AVAILABLE if wrap else USED
            if first is None:
                first = at + 14, flags
            else:
                self.put_index(at + 14, flags)
            place, wrap = (place + 1, wrap) if place + 1 < RING else (0, not wrap)
        self.put_index(*first)
        self.next[queue] = place, wrap

    def push_places(self, queue, n):
        """Makes what is at a packed ring's next places available."""
        place, wrap = self.next[queue]
        for _ in range(n):
            at = desc_at(queue) + 16 * place + 14
            self.put_index(at, self.get_index(at) & ~(AVAILABLE | USED) | (AVAILABLE if wrap else USED))
            place, wrap = (place + 1, wrap) if place + 1 < RING else (0, not wrap)
        self.next[queue] = place, wrap

    def push_chain(self, queue, descs):
        """Makes a chain of (address, size, flags, index of the next) available."""
        if self.packed:
            self.put_packed(queue, [desc[:3] for desc in descs])
            return
        for i, desc in enumerate(descs):
            self.put_desc(queue, i, *desc)
        self.push(queue, 0)

    def push(self, queue, index, by=1):
        """Makes a chain available, by its first descriptor; of a packed ring, as many places."""
        if self.packed:
            self.push_places(queue, min(by, 2 * RING))
            return
        at = self.get_index(avail_at(queue) + 2)
        self.put_index(avail_at(queue) + 4 + 2 * (at % RING), index)
        self.put_index(avail_at(queue) + 2, at + by)

    def used(self, queue):
        return self.get_index(used_at(queue) + 2)

    def offer(self):
        """All receive buffers."""
        for i in range(RING):
            if self.packed:
                self.put_packed(0, [(BUFFERS + i * 2048, 2048, WRITE)], i)
                continue
            self.put_desc(0, i, BUFFERS + i * 2048, 2048, WRITE)
            self.push(0, i)

    def send_frame(self, frame):
        index = self.sent % RING
        at = BUFFERS + (RING + index) * 2048
        data = bytes(HEADER) + frame
        self.memory[at:at + len(data)] = data
        self.sent += 1
        if self.packed:
            self.put_packed(1, [(at, len(data), 0)], index)
            return
        self.put_desc(1, index, at, len(data))
        self.push(1, index)

    def receive(self):
        """The frames that came since it was asked last."""
        if self.packed:
            return self.receive_packed()
        frames = []
        while self.taken % 65536 != self.used(0):
            at = used_at(0) + 4 + 8 * (self.taken % RING)
            index, size = struct.unpack_from("<II", self.memory, at)
            start = BUFFERS + index * 2048
            frames.append(bytes(self.memory[start + HEADER:start + size]))
            self.push(0, index)
            self.taken += 1
        return frames

    def receive_packed(self):
        frames = []
        while True:
            place, wrap = self.seen
            at = desc_at(0) + 16 * place
            if self.get_index(at + 14) & (AVAILABLE | USED) != (AVAILABLE | USED if wrap else 0):
                return frames
            size, index = struct.unpack_from("<IH", self.memory, at + 8)
            start = BUFFERS + index * 2048
            frames.append(bytes(self.memory[start + HEADER:start + size]))
            self.put_packed(0, [(start, 2048, WRITE)], index)
            self.seen = (place + 1, wrap) if place + 1 < RING else (0, not wrap)

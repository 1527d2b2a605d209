# SPDX-License-Identifier: Apache-2.0
"""A switch and guests on it, for tests: real processes, commands over control socket and console."""

import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

from daemon import build_folder, program, wait_until

QEMU = "/usr/bin/qemu-system-x86_64"
MAC = {"a": "02:52:4d:00:00:0a", "b": "02:52:4d:00:00:0b"}
ADDRESS = {"a": "10.1.0.10", "b": "10.1.0.11"}


class Switch:
    """With a standby, it survives kill_active(); kill() ends all of its processes. `within`: what
    puts a command into a namespace."""

    def __init__(self, rig, name="switch", within=(),
                 options=("--flows", "1024", "--no-standby")):
        self.within, self.options = within, options
        self.state = rig.path(name)
        self.log = open(rig.path(f"{name}.log"), "ab")
        self.process = None
        self.generation = 0

    def start(self):
        self.process = subprocess.Popen(
            [*self.within, program("remora-switchd"), "--state", self.state, *self.options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        wait_until(lambda: self.process.poll() is None and self.is_answering(), 30,
                   "the switch answers")
        return self

    def call(self, method, at="control.sock", **params):
        """The result, or the error's message as an exception."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(os.path.join(self.state, at))
            s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                                  "params": params}).encode() + b"\n")
            answer = json.loads(s.makefile().readline())
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        return answer["result"]

    def is_answering(self):
        try:
            return bool(self.call("plane.hello"))
        except OSError:
            return False

    def apply(self, document):
        self.generation += 1
        self.call("plane.apply", generation=self.generation, document=document)

    def port(self, name):
        return next(p for p in self.call("plane.show", what="ports") if p["name"] == name)

    def pid_in(self, name):
        try:
            with open(os.path.join(self.state, name), encoding="ascii") as file:
                return int(file.read())
        except (OSError, ValueError):
            return None

    def kill_active(self):
        """The process that forwards; its pid."""
        pid = self.pid_in("switchd.pid")
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill(self):
        """All processes at once, as a power cut does."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(20)
        wait_until(self.is_unlocked, 20, "the other processes are gone")

    def is_unlocked(self):
        try:
            with open(os.path.join(self.state, "switchd.pid"), "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        except BlockingIOError:
            return False
        except FileNotFoundError:
            return True

    def stop(self):
        """Its exit status."""
        self.process.terminate()
        return self.process.wait(20)

    def wreck(self):
        if self.process is not None:
            self.kill()
        self.log.close()


def compile_tool(source, path):
    """A guest's program, of whole sectors."""
    subprocess.run(["cc", "-D_GNU_SOURCE", "-static", "-O2", "-s", "-o", path, source],
                   check=True, timeout=60)
    os.truncate(path, (os.path.getsize(path) + 511) // 512 * 512)
    return path


class Guest:
    """A machine that boots the lab's disk; commands go over its serial port. Its network card is
    virtio over vhost-user or, where a model is named, emulated and on a stream socket."""

    def __init__(self, rig, name, model=None, memory_mib=96, tool=None):
        """tool: a program from compile_tool(), as a second disk; see get_tool()."""
        self.name = name
        self.kind = "vhost" if model is None else "stream"
        self.socket = rig.path(f"{name}.sock")
        serial = rig.path(f"{name}.serial")
        self.process = subprocess.Popen(
            [QEMU, "-nodefaults", "-display", "none", "-machine", "q35", "-accel", "tcg",
             "-m", f"{memory_mib}",
             "-object", f"memory-backend-memfd,id=m,size={memory_mib}M,share=on",
             "-numa", "node,memdev=m", "-snapshot",
             "-drive", f"file={build_folder()}/guest/guest.raw,format=raw,if=virtio",
             "-chardev", f"socket,id=s,path={serial},server=on,wait=off", "-serial", "chardev:s",
             *self.card(model), *self.second_disk(tool)],
            stdin=subprocess.DEVNULL)
        self.console = socket.socket(socket.AF_UNIX)
        wait_until(lambda: self.connect(serial), 20, "the serial port")
        self.text = ""

    def card(self, model):
        if model is not None:
            return ["-netdev", f"stream,id=n0,server=on,addr.type=unix,addr.path={self.socket}",
                    "-device", f"{model},netdev=n0,mac={MAC[self.name]}"]
        return ["-chardev", f"socket,id=n,path={self.socket},server=on,wait=off",
                "-netdev", "vhost-user,id=n0,chardev=n",
                "-device", f"virtio-net-pci,netdev=n0,mac={MAC[self.name]},"
                "vectors=0,status=off"]

    @staticmethod
    def second_disk(path):
        return [] if path is None else ["-drive", f"file={path},format=raw,if=virtio"]

    def get_tool(self, name):
        """The program on the second disk, as /tmp/NAME."""
        status, said = self.run(f"modprobe virtio_blk && cat /dev/vdb > /tmp/{name} && chmod +x /tmp/{name}")
        assert status == 0, said

    def connect(self, path):
        try:
            self.console.connect(path)
            self.console.settimeout(0.2)
            return True
        except OSError:
            return False

    def expect(self, pattern, seconds=60):
        """What the console says until a pattern; that is taken away."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text, re.S)):
            assert time.monotonic() < end, f"{self.name}: no {pattern!r} in {self.text[-400:]!r}"
            try:
                self.text += self.console.recv(4096).decode(errors="replace")
            except TimeoutError:
                pass
        before = self.text[:found.end()]
        self.text = self.text[found.end():]
        return before

    def run(self, command, seconds=60):
        """The output of a command and its status."""
        self.console.sendall(f"{command}\necho end:$?:\n".encode())
        said = self.expect(r"end:(\d+):", seconds)
        return int(re.search(r"end:(\d+):$", said).group(1)), said

    def login(self):
        self.console.sendall(b"\n")
        self.expect("login:", 120)
        self.console.sendall(b"root\n")
        self.expect("# ")
        assert self.run(f"ip addr add {ADDRESS[self.name]}/24 dev eth0")[0] == 0

    def reaches(self, address, count=2):
        return self.run(f"ping -c {count} -i 0.2 -W 2 {address}")[0] == 0

    def send_file(self, other, port, kib=4000):
        """Random bytes to another guest over TCP; returns when they have come there unchanged."""
        self.run(f"dd if=/dev/urandom of=/tmp/sent bs=1k count={kib}")
        other.run(f"(sleep 600 | nc -l -p {port} > /tmp/got) &")
        self.run(f"(sleep 1; nc {ADDRESS[other.name]} {port} < /tmp/sent) &")
        wanted = re.search(r"[0-9a-f]{32}", self.run("md5sum < /tmp/sent")[1]).group()
        wait_until(lambda: wanted in other.run("md5sum < /tmp/got")[1], 60, "all has come", 0.5)

    def wreck(self):
        self.process.kill()
        self.process.wait()
        self.console.close()


def document(guests, rules=(), default="allow"):
    return {
        "ports": [{"name": name, "kind": guest.kind, "path": guest.socket, "segment": "blue",
                   "mac": MAC[name], "addresses": [ADDRESS[name]]}
                  for name, guest in guests.items()],
        "segments": [{"name": "blue"}],
        "groups": [{"name": name, "addresses": [ADDRESS[name]], "ports": [name]}
                   for name in guests],
        "firewall": {"default": default, "sections": [{"name": "test", "rules": list(rules)}]},
    }


def frame_sizes(switch, port, work):
    """Bytes of a frame while something is done, on average: (from the guest, to it)."""
    before = switch.port(port)
    work()
    after = switch.port(port)
    return tuple((after[f"{way}_bytes"] - before[f"{way}_bytes"])
                 / max(after[f"{way}_packets"] - before[f"{way}_packets"], 1)
                 for way in ("rx", "tx"))


class Peer:
    """Listens as QEMU would."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.listener.settimeout(20)
        self.take()

    def take(self):
        self.peer = self.listener.accept()[0]
        self.peer.settimeout(20)

    def send(self, frame):
        self.peer.sendall(struct.pack(">I", len(frame)) + frame)

    def read(self, n):
        """So many bytes; a socket with a time limit does not wait for all of them."""
        data = b""
        while len(data) < n:
            more = self.peer.recv(n - len(data))
            assert more, "the switch hung up"
            data += more
        return data

    def receive(self):
        return self.read(struct.unpack(">I", self.read(4))[0])


def frame(source, target, n):
    mac = bytes.fromhex((MAC[target] + MAC[source]).replace(":", ""))
    return mac + b"\x88\xb5" + bytes(i & 0xff for i in range(n))

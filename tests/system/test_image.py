# SPDX-License-Identifier: Apache-2.0
"""The system that cards, boards and servers boot: by UEFI from a disk larger than the image, on
both architectures; what its console says and takes; the same bytes when it is built again."""

import email.utils
import hashlib
import http.client
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
import time

import pytest

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
PATIENCE_S = 600  # emulated, on machines that do other things
MACHINES = {
    "amd64": ["qemu-system-x86_64", "-machine", "q35", "-cpu", "max",
              "-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"],
    "arm64": ["qemu-system-aarch64", "-machine", "virt,virtualization=on,gic-version=3",
              "-cpu", "cortex-a72", "-bios", "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"],
}


def image_of(arch):
    folder = os.path.join(ROOT, "build", "image", arch)
    if not os.path.exists(os.path.join(folder, "remora.img")):
        pytest.skip(f"no image for {arch}: image/build --arch {arch}")
    return folder


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Node:
    """A machine that boots a copy of the image, with its console."""

    def __init__(self, arch, folder, settings="", more=()):
        self.disk = os.path.join(folder, "disk.img")
        self.port = free_port()
        self.said = self.new = ""
        self.begun = 0
        subprocess.run(["cp", "--sparse=always", os.path.join(image_of(arch), "remora.img"),
                        self.disk], check=True)
        os.truncate(self.disk, 1 << 30)
        if settings:
            with open(os.path.join(folder, "remora.conf"), "w", encoding="utf-8") as file:
                file.write(settings)
            subprocess.run(["mcopy", "-o", "-m", "-i", f"{self.disk}@@1M", file.name,
                            "::remora.conf"], check=True)
        self.command = [*MACHINES[arch], "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1536",
                        "-nodefaults", "-display", "none", "-serial", "stdio",
                        "-drive", f"file={self.disk},if=none,id=d,format=raw",
                        "-device", "virtio-blk-pci,drive=d",
                        "-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{self.port}-:443",
                        "-device", "virtio-net-pci,netdev=n,romfile=", *more]
        self.process = None

    def start(self):
        self.new = ""
        self.begun = len(self.said)
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def cut_power(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None

    def read(self, patience):
        if select.select([self.process.stdout], [], [], patience)[0]:
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"the machine has ended: {self.said[-2000:]}"
            text = data.decode("utf-8", "replace").replace("\r", "")
            self.said += text
            self.new += text

    def said_since_start(self):
        return self.said[self.begun:]

    def wait_for(self, pattern):
        """What the console says from now on has to match."""
        end = time.monotonic() + PATIENCE_S
        while not (match := re.search(pattern, self.new)):
            assert time.monotonic() < end, f"no {pattern!r} but {self.said[-2000:]}"
            self.read(5)
        self.new = self.new[match.end():]
        return match

    def say(self, words):
        self.process.stdin.write(words.encode() + b"\n")
        self.process.stdin.flush()

    def wait_for_api(self):
        """The list of versions over HTTPS, which needs no login."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                c = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30,
                                                context=ssl._create_unverified_context())
                c.request("GET", "/sdk/vimServiceVersions.xml")
                answer = c.getresponse()
                self.date = email.utils.parsedate_to_datetime(answer.headers["Date"])
                body = answer.read()
                c.close()
                return body
            except OSError:
                assert time.monotonic() < end, self.said[-2000:]
                self.read(1)


@pytest.fixture
def node(request, tmp_path):
    nodes = []

    def make(arch, settings="", more=()):
        if shutil.which(MACHINES[arch][0]) is None:
            pytest.skip(f"no {MACHINES[arch][0]}")
        nodes.append(Node(arch, str(tmp_path), settings, more))
        nodes[-1].start()
        return nodes[-1]

    yield make
    for n in nodes:
        n.cut_power()


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_boots_by_uefi_and_says_where_it_is(node, arch):
    """First start on a disk larger than the image, settings from the boot partition; after its
    power was cut it is the same node."""
    n = node(arch, "hostname = edge-7\npassword = correct horse\nport = 443\n")
    n.wait_for(r"making the data partition")
    n.wait_for(r"Remora [0-9.]+ on edge-7\n")
    assert b"urn:vim25" in n.wait_for_api()
    n.wait_for(r"choose: ")
    n.say("")
    thumbprint = n.wait_for(r"SHA-256 +([0-9A-F:]{95})").group(1)
    n.cut_power()
    n.start()
    n.wait_for(r"Remora [0-9.]+ on edge-7\n")
    assert "making the data partition" not in n.said_since_start()
    assert n.wait_for(r"SHA-256 +([0-9A-F:]{95})").group(1) == thumbprint
    n.wait_for_api()


def test_wrong_settings_are_refused_on_the_console(node):
    """With the line and the reason; the node comes up with what it had, here nothing, and all is
    put right from its console."""
    n = node("arm64", "hostname = edge 7\n# fine\naddress = 10.0.2.15\ncolour = green\n")
    n.wait_for(r"line 1: \"hostname\": letters, digits and")
    n.wait_for(r"line 3: \"address\": .* such as 192\.168\.1\.7/24")
    n.wait_for(r"line 4: \"colour\": there is no such setting")
    n.wait_for(r"nothing of .* is applied")
    n.wait_for(r"choose: ")
    n.say("3")
    n.wait_for(r"new password of root: ")
    n.say("battery staple")
    n.wait_for(r"once more: ")
    n.say("battery staple")
    n.wait_for(r"  done\n")
    n.wait_for(r"choose: ")
    n.wait_for_api()
    n.say("1")
    n.wait_for(r"host name: |password: ")
    if "root's password" in n.said[-200:]:
        n.say("battery staple")
        n.wait_for(r"host name: ")
    n.say("edge-8")
    n.wait_for(r"Remora [0-9.]+ on edge-8\n")
    n.wait_for(r"choose: ")
    n.cut_power()
    n.start()
    n.wait_for(r"Remora [0-9.]+ on edge-8\n")
    assert "is applied" not in n.said_since_start()


def test_a_stranger_at_the_console_gets_nothing(node):
    n = node("arm64", "password = correct horse\n")
    n.wait_for(r"choose: ")
    n.wait_for_api()
    for choice in ("1", "5", "6"):
        n.say(choice)
        n.wait_for(r"root's password: ")
        n.say("wrong")
        n.wait_for(r"that is not the password")
        n.wait_for(r"choose: ")


def test_the_clock_does_not_go_back(node):
    """A machine that thinks that it is 2001 begins when the image was made, and after its power was
    cut where it was."""
    n = node("amd64", "password = correct horse\n", ["-rtc", "base=2001-01-02"])
    n.wait_for(r"the clock was behind: it is 2026-01-01 ")
    n.wait_for(r"choose: ")
    n.wait_for_api()
    assert n.date.year == 2026
    n.say("5")
    n.wait_for(r"root's password: ")
    n.say("correct horse")
    n.wait_for(r"# ")
    n.say("date -s 2031-02-03 && touch /data/remora/clock && sync && echo kept-$((6*7))")
    n.wait_for(r"kept-42")
    n.cut_power()
    n.start()
    n.wait_for(r"the clock was behind: it is 2031-02-03 ")
    n.wait_for_api()
    assert n.date.year == 2031


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_the_same_again(tmp_path):
    """Built twice, from the same programs and packages, in different folders."""
    first = image_of("arm64")
    again = subprocess.run([os.path.join(ROOT, "image", "build"), "--arch", "arm64", "--out",
                            str(tmp_path)], capture_output=True, text=True, check=False,
                           timeout=PATIENCE_S)
    assert again.returncode == 0, again.stderr
    for name in ("kernel", "initrd", "remora.img", "manifest"):
        assert digest(os.path.join(first, name)) == digest(tmp_path / name), name
    assert os.path.getsize(os.path.join(first, "remora.img")) < 300 << 20

# SPDX-License-Identifier: Apache-2.0
"""The lab with an emulated 64-bit Arm card: up, a guest under KVM on it, a ping over the overlay,
and the card's power pulled."""

import os
import shutil
import socket
import time

import pytest

from conftest import need
from daemon import build_folder
from test_lab import Lab

UP_S = 900  # under 2 minutes where nothing else runs
PULLS = int(os.environ.get("REMORA_PULLS", "1"))


@pytest.fixture(scope="module")
def lab():
    need("remora", "remora-hostd", "remora-centerd")
    if shutil.which("qemu-system-aarch64") is None:
        pytest.skip("no qemu-system-aarch64: tools/bootstrap image")
    if not os.path.exists(os.path.join(build_folder(), "image", "arm64", "remora.img")):
        pytest.skip("no image for arm64: image/build --arch arm64")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.10.1", 8443)) == 0:
            pytest.skip("another lab runs at 127.0.10.1:8443")
    it = Lab()
    try:
        it.out = it.remora("up", "--arch", "arm64", timeout=UP_S).stdout
        yield it
    finally:
        it.remora("down", check=False)
        shutil.rmtree(os.path.dirname(it.folder), ignore_errors=True)


def say(console, line, wanted, seconds):
    """Types a line at a console until it answers with what is wanted; what it said."""
    end, said = time.monotonic() + seconds, b""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(console)
        wire.settimeout(5)
        while wanted not in said and time.monotonic() < end:
            wire.sendall(line + b"\n")
            try:
                while wanted not in said:
                    data = wire.recv(4096)
                    if not data:
                        return said
                    said += data
            except TimeoutError:
                continue
    return said


def vms(lab):
    return {vm["name"]: vm for vm in lab.status()["vms"]}


def ping(lab):
    console = vms(lab)["edge-2"]["console"]
    say(console, b"root", b"# ", 60)
    return say(console, b"ping -c 3 10.1.0.11", b" bytes from 10.1.0.11: seq=", 120)


def test_guest_runs_under_kvm_on_the_card(lab):
    edge = vms(lab)["edge-1"]
    assert (edge["host"], edge["power"], edge["accel"]) == ("dpu-1", "poweredOn", "kvm")
    assert "edge-1 is at its login prompt on dpu-1" in lab.out


def test_ping_over_the_overlay(lab):
    assert b" bytes from 10.1.0.11: seq=" in ping(lab)


def test_another_architecture_is_refused(lab):
    done = lab.remora("up", "--arch", "amd64", check=False)
    assert done.returncode == 1 and "is another one, of arm64" in done.stdout


def test_power_of_the_card_is_pulled(lab):
    for _ in range(PULLS):
        lab.remora("kill", "dpu-1")
        assert {h["name"]: h["state"] for h in lab.status()["hosts"]}["dpu-1"] == "down"
        lab.remora("start", "dpu-1", timeout=UP_S)
        edge = vms(lab)["edge-1"]
        assert edge["host"] == "dpu-1"

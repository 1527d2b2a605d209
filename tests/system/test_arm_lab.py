# SPDX-License-Identifier: Apache-2.0
"""The lab with an emulated 64-bit Arm card: up, a guest under KVM on it, a ping over the overlay,
and the card's power pulled."""

import json
import os
import shutil
import socket
import time

import pytest

from conftest import need
from daemon import build_folder, wait_until
from power_clients import SILENCE_S, Node, Work
from test_lab import Lab
from test_survival import make_vm
from vmomi import Disconnect, connect, find, vim

UP_S = 900  # under 2 minutes where nothing else runs
PULLS = int(os.environ.get("REMORA_PULLS", "2"))


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


def test_console_of_a_vm_on_the_card(lab):
    assert "login: " in lab.remora("console", "edge-1", timeout=60).stdout
    assert vms(lab)["edge-1"]["console"].startswith("https://")


def test_ping_over_the_overlay(lab):
    assert b" bytes from 10.1.0.11: seq=" in ping(lab)


def test_another_architecture_is_refused(lab):
    done = lab.remora("up", "--arch", "amd64", check=False)
    assert done.returncode == 1 and "is another one, of arm64" in done.stdout


# ---- the card's power is pulled ----

def power_cycle(folder):
    """Everything in the card's memory is gone at once; like a power strip, it is on again after."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(30)
        wire.connect(os.path.join(folder, "nodes", "dpu-1", "qmp.sock"))
        lines = wire.makefile("rwb")
        lines.readline()  # the greeting
        for command in ("qmp_capabilities", "system_reset"):
            lines.write(json.dumps({"execute": command}).encode() + b"\n")
            lines.flush()
            while "return" not in (answer := json.loads(lines.readline())):
                assert "error" not in answer, answer


def take_away(lab):
    """Power off in the middle of a write, and on again later."""
    lab.remora("kill", "dpu-1")
    assert {h["name"]: h["state"] for h in lab.status()["hosts"]}["dpu-1"] == "down"
    lab.remora("start", "dpu-1", timeout=UP_S)


def facts(node, name):
    """What must be the same after a pull; None while the node is away."""
    try:
        si = connect(node)
    except Exception:  # whatever a node that boots does to a client
        return None
    try:
        vm = find(si, vim.VirtualMachine, name)
        host = vm.runtime.host
        return {"vm": vm._moId, "uuid": vm.config.instanceUuid, "host": host._moId,
                "power": vm.runtime.powerState, "state": host.runtime.connectionState,
                "booted": host.runtime.bootTime}
    except Exception:  # a host that is not there has no VM, or an old one
        return None
    finally:
        Disconnect(si)


def boots_anew(node, before):
    """Wherever `before` was taken: the host has booted since, and all else is as it was."""
    now = facts(node, "edge-1")
    return (now is not None and now["booted"] > before["booted"] and
            dict(now, booted=None) == dict(before, booted=None))


def pull(lab, card, center, number):
    """Every second time as a power strip does it, with nobody to start the card. The seconds
    until it answers with its VM running, until the manager shows it so, and until a ping."""
    before = [(node, facts(node, "edge-1")) for node in (card, center)]
    began = time.monotonic()
    if number % 2 == 1:
        power_cycle(lab.folder)
    else:
        take_away(lab)
    times = []
    for node, old in before:
        wait_until(lambda: boots_anew(node, old), UP_S, "edge-1 runs again as it was", 0.5)
        times.append(time.monotonic() - began)
    edge = vms(lab)["edge-1"]
    assert (edge["host"], edge["power"], edge["accel"]) == ("dpu-1", "poweredOn", "kvm")
    assert b" bytes from 10.1.0.11: seq=" in ping(lab), f"after pull {number}"
    times.append(time.monotonic() - began)
    assert facts(center, "idle")["power"] == "poweredOff"
    return times


def test_power_of_the_card_is_pulled(lab):
    """While its VM runs and clients work, at it and at the manager: it comes back by itself, the VM
    that was set to starts with it and is reached, and nothing that was acknowledged is lost."""
    status = lab.status()
    card = Node(next(host for host in status["hosts"] if host["name"] == "dpu-1"))
    center = Node(status["center"])
    socket.setdefaulttimeout(SILENCE_S)
    make_vm(card, "idle")
    wait_until(lambda: facts(center, "idle"), 60, "the manager shows the new VM")
    work, times = Work(card, center), []
    work.start()
    try:
        for number in range(PULLS):
            before = work.done()
            wait_until(lambda: work.goes_on(before), UP_S, "all clients get work done", 0.1)
            times.append(pull(lab, card, center, number))
            print(f"pull {number}: VM, manager, ping after",
                  " ".join(f"{seconds:.1f}" for seconds in times[-1]), "s", flush=True)
        before = work.done()
        wait_until(lambda: work.goes_on(before), UP_S, "all clients get work done", 0.1)
    finally:
        work.end(UP_S)
        socket.setdefaulttimeout(None)
    print("acknowledged:", work.acknowledged())
    work.check()

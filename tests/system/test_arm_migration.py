# SPDX-License-Identifier: Apache-2.0
"""A guest that runs under KVM on an emulated 64-bit Arm card moves to a second card and back, with a
TCP connection open; to a card with another processor it does not."""

import os
import re
import shutil
import socket

import pytest

from conftest import need
from daemon import build_folder, wait_until
from test_arm_lab import UP_S, ping, say, vms
from test_lab import Lab, ask_once, exit_status
from vmomi import Disconnect, find, run, vim, vmodl, wait_for_task

NAME, ADDRESS = "edge-1", "10.1.0.11"


def lab_with(cpu):
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
        it.remora("up", "--arch", "arm64", "--second-card", cpu, timeout=UP_S)
        yield it
    finally:
        it.remora("down", check=False)
        shutil.rmtree(os.path.dirname(it.folder), ignore_errors=True)


@pytest.fixture
def equal():
    yield from lab_with("cortex-a72")


@pytest.fixture
def unequal():
    yield from lab_with("neoverse-n1")


def move(lab, to):
    si = lab.connect()
    try:
        machine = find(si, vim.VirtualMachine, NAME)
        host = find(si, vim.HostSystem, to)
        run(si, machine.RelocateVM_Task(vim.vm.RelocateSpec(host=host,
                                                            datastore=host.datastore[0]),
                                        "defaultPriority"))
        assert find(si, vim.VirtualMachine, NAME).runtime.host == host
    finally:
        Disconnect(si)


def lines(lab):
    """What has come back through the connection."""
    return int(ask_once(vms(lab)["edge-2"]["console"],
                        "echo lines-$(wc -l < /tmp/echoed)-end", r"lines-(\d+)-end"))


def more_lines(lab):
    before = lines(lab)
    wait_until(lambda: lines(lab) > before + 5, 120, f"more than {before} lines", 1)


def connect(lab):
    """A connection from edge-2 to edge-1's echo service, with a line every now and then."""
    console = vms(lab)["edge-2"]["console"]
    say(console, b"root", b"# ", 60)
    assert exit_status(lab, "edge-2", f"for i in $(seq 60); do ping -c 1 -W 2 {ADDRESS} && break; "
                                      f"done; ping -c 1 -W 5 {ADDRESS}") == 0
    ask_once(console, f"(n=0; while sleep 0.2; do n=$((n+1)); echo $n; done | nc {ADDRESS} 7 "
                      "> /tmp/echoed) & echo open-$((6*7))", r"open-(42)")
    more_lines(lab)


def cancel(lab, to):
    """A move, while the guest's memory goes over, which takes long here."""
    si = lab.connect()
    try:
        machine, host = find(si, vim.VirtualMachine, NAME), find(si, vim.HostSystem, to)
        task = machine.MigrateVM_Task(None, host, "defaultPriority", None)
        wait_until(lambda: (task.info.progress or 0) >= 20, UP_S, "a fifth is over there", 0.2)
        task.CancelTask()
        with pytest.raises(vmodl.fault.RequestCanceled):
            wait_for_task(si, task)
    finally:
        Disconnect(si)


def places(lab):
    return [(vm["host"], vm["power"]) for vm in lab.status()["vms"] if vm["name"] == NAME]


def test_a_guest_moves_from_card_to_card_under_kvm(equal):
    connect(equal)
    cancel(equal, "dpu-3")
    wait_until(lambda: places(equal) == [("dpu-1", "poweredOn")], UP_S, "it is where it was", 1)
    more_lines(equal)
    for card in ("dpu-3", "dpu-1"):
        move(equal, card)
        edge = vms(equal)[NAME]
        assert (edge["host"], edge["power"], edge["accel"]) == (card, "poweredOn", "kvm")
        more_lines(equal)


def test_to_another_processor_it_does_not_move(unequal):
    with pytest.raises(vim.fault.CpuIncompatible) as refusal:
        move(unequal, "dpu-3")
    words = refusal.value.msg + str(refusal.value)
    assert re.search("Cortex-A72", words) and re.search("Neoverse-N1", words)
    edge = vms(unequal)[NAME]
    assert (edge["host"], edge["power"]) == ("dpu-1", "poweredOn")
    assert b" bytes from 10.1.0.11: seq=" in ping(unequal)

# SPDX-License-Identifier: Apache-2.0
"""VMs that QEMU runs move between two hosts while they run: with their disks, on a datastore that
both have, cancelled, and with either host killed on the way. In the end one machine has the guest,
never two and never none."""

import json
import os
import random
import signal
import socket
import threading
import time

import pytest
import requests

from daemon import wait_until
from test_migration_host import (
    KILLS, Move, ask, content_of, destroy, is_clean, make, place_of, power, switch_on)
from test_vm import disk, folder_of, scsi, spec_of
from vmomi import Disconnect, connect, find, run, vim, wait_for_task

pytestmark = pytest.mark.filterwarnings(
    "ignore::urllib3.exceptions.InsecureRequestWarning")


@pytest.fixture(scope="module")
def hosts(module_rig):
    """Two that have a datastore in common beside their own."""
    both = module_rig.host("one"), module_rig.host("two")
    os.mkdir(module_rig.path("shared"))
    for node in both:
        si = connect(node)
        host = find(si, vim.HostSystem, node.name)
        host.configManager.datastoreSystem.CreateLocalDatastore("common",
                                                                module_rig.path("shared"))
        Disconnect(si)
    return both


def running(node, name):
    return power(node, name) == "poweredOn"


def test_a_real_machine_moves(hosts):
    one, two = hosts
    content = make(one, "real", 32)
    switch_on(one, "real")
    move = Move(one, two).prepare("real", datastore="datastore1")
    assert len(one.machines()) == 1 and len(two.machines()) == 1
    said = move.start().end()
    assert said["state"] == "done", said
    print("downtime", said["downtime_us"], "total", said["total_us"])
    assert running(two, "real") and power(one, "real") is None
    assert not one.machines() and len(two.machines()) == 1
    back = Move(two, one).prepare("real", datastore="datastore1").start()
    assert back.end()["state"] == "done"
    assert running(one, "real") and not two.machines()
    si = connect(one)
    run(si, find(si, vim.VirtualMachine, "real").PowerOffVM_Task())
    Disconnect(si)
    assert content_of(one, "real") == content
    destroy(one, "real")


def make_shared(node, name):
    si = connect(node)
    spec = spec_of(name, deviceChange=[scsi(), disk(8 * 1024)])
    spec.files.vmPathName = "[common]"
    wait_for_task(si, folder_of(si).CreateVM_Task(
        spec, si.content.rootFolder.childEntity[0].hostFolder.childEntity[0].resourcePool))
    Disconnect(si)


def test_a_real_machine_on_a_shared_datastore(hosts):
    one, two = hosts
    make_shared(one, "kept")
    switch_on(one, "kept")
    said = Move(one, two).prepare("kept").start().end()
    assert said["state"] == "done", said
    assert running(two, "kept") and not one.machines()
    destroy(two, "kept")


def test_a_real_machine_stays_when_it_is_cancelled(hosts):
    one, two = hosts
    make(one, "real", 64)
    switch_on(one, "real")
    pid = one.machines()
    move = Move(one, two).prepare("real", datastore="datastore1")
    assert ask(two, "DELETE", move.id).status_code == 200
    wait_until(lambda: not two.machines(), 20, "what waited ends")
    move.start()
    assert move.end()["state"] == "failed"
    assert one.machines() == pid and running(one, "real")
    move = Move(one, two).prepare("real", datastore="datastore1").start()
    ask(one, "DELETE", move.id)
    if move.end()["state"] == "done":
        destroy(two, "real")
        return
    wait_until(lambda: not two.machines() and is_clean(two, "real"), 20, "nothing is left there")
    assert one.machines() == pid and running(one, "real")
    destroy(one, "real")


def monitor(node, command):
    """What the only machine of a host says to a command; nobody else may be connected to it."""
    (uuid,) = node.machines()
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(20)
        wire.connect(os.path.join(node.state, "run", f"vm-{uuid}.qmp"))
        lines = wire.makefile("r")
        assert "QMP" in json.loads(lines.readline())
        for word in ("qmp_capabilities", command):
            wire.sendall(json.dumps({"execute": word}).encode() + b"\n")
            said = {}
            while "return" not in said:
                said = json.loads(lines.readline())
                assert "error" not in said, said
    return said["return"]


def test_a_host_that_is_stopped_leaves_its_guest_running(hosts):
    """In good order, while the guest stands and its memory goes over, which here never ends."""
    one, two = hosts
    make_shared(one, "kept")
    switch_on(one, "kept")
    move = Move(one, two).prepare("kept")
    (waiting,) = two.machines().values()
    os.kill(waiting, signal.SIGSTOP)
    move.start()
    wait_until(lambda: ask(two, "GET", move.id).json()["state"] == "copying", 20,
               "the source has come")
    time.sleep(0.5)  # what the source's QEMU is told now nobody else hears
    one.stop()
    assert monitor(one, "query-status")["status"] == "running"
    os.kill(waiting, signal.SIGCONT)
    one.start()
    assert running(one, "kept") and len(one.machines()) == 1
    wait_until(lambda: not two.machines() and power(two, "kept") is None, 30,
               "nothing is left there")
    destroy(one, "kept")


def test_a_target_that_does_not_answer(hosts):
    """Nobody ends its connections, and nothing comes through: the guest runs on where it was."""
    one, two = hosts
    make_shared(one, "kept")
    switch_on(one, "kept")
    move = Move(one, two).prepare("kept")
    (waiting,) = two.machines().values()
    os.kill(waiting, signal.SIGSTOP)
    said = move.start().end()
    assert said["state"] == "failed" and "not answer" in said["error"]["reason"], said
    one.stop()
    assert monitor(one, "query-status")["status"] == "running"
    one.start()
    assert running(one, "kept") and len(one.machines()) == 1
    os.kill(waiting, signal.SIGCONT)
    wait_until(lambda: not two.machines() and power(two, "kept") is None, 30,
               "nothing is left there")
    destroy(one, "kept")


def freeze_when_written(path, pid):
    """Stops a process as soon as a file has been replaced."""
    before = os.stat(path).st_ino
    until = time.monotonic() + 30
    while os.stat(path).st_ino == before:
        assert time.monotonic() < until, f"{path} is as it was"
    os.kill(pid, signal.SIGSTOP)


def test_a_target_that_freezes_at_the_last_moment(hosts):
    """The guest is the target's by now, and its machine does not do what it is told."""
    one, two = hosts
    make(two, "other", 1)  # by which there is a list to watch
    (path,) = (os.path.join(folder, "vms.json") for folder, _, files in os.walk(two.state)
               if "vms.json" in files)
    make_shared(one, "kept")
    switch_on(one, "kept")
    move = Move(one, two).prepare("kept")
    (waiting,) = two.machines().values()
    watch = threading.Thread(target=freeze_when_written, args=(path, waiting))
    watch.start()
    try:
        said = move.start().end()
    finally:
        watch.join()
    assert said["state"] == "done", said
    assert running(two, "kept") and power(one, "kept") is None and not one.machines()
    os.kill(waiting, signal.SIGCONT)
    assert list(two.machines().values()) == [waiting]
    two.stop()
    wait_until(lambda: monitor(two, "query-status")["status"] == "running", 20, "the guest runs")
    two.start()
    destroy(two, "kept")
    destroy(two, "other")
    assert not two.machines()


@pytest.mark.parametrize("who", ["source", "target"])
def test_killed_while_a_real_machine_moves(hosts, who):
    """Whenever a host is killed, exactly one machine runs the guest in the end."""
    one, two = hosts
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    for n in range(KILLS):
        name = f"real-{who}-{n}"
        make(one, name, 16)
        switch_on(one, name)
        move = Move(one, two).prepare(name, datastore="datastore1")
        victim, other = (one, two) if who == "source" else (two, one)
        killer = threading.Timer(chance.random() * 1.0, victim.kill)
        killer.start()
        try:
            move.start()
        except (AssertionError, requests.RequestException):
            pass
        killer.join()
        victim.start()
        if ask(victim, "GET", move.id).status_code == 404:
            ask(other, "DELETE", move.id)
        here, _ = place_of(move, name)
        home, away = (one, two) if here else (two, one)
        print(name, "stays" if here else "moved")
        wait_until(lambda: running(home, name), 30, f"{name} runs")
        wait_until(lambda: not away.machines() and is_clean(away, name), 30, "nothing elsewhere")
        assert len(home.machines()) == 1
        destroy(home, name)
        move.forget()

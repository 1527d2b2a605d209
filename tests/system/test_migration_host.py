# SPDX-License-Identifier: Apache-2.0
"""VMs that are off move between two hosts, asked as a manager asks: with their disks, with a
datastore that both have, cancelled, refused, and with either host killed on the way."""

import os
import random
import socket
import threading
import time
import uuid

import pytest
import requests

from daemon import wait_until
from test_vm import create, disk, folder_of, scsi, spec_of
from vmomi import Disconnect, connect, find, run, vim, wait_for_task

pytestmark = pytest.mark.filterwarnings(
    "ignore::urllib3.exceptions.InsecureRequestWarning")
MIB = 1 << 20
KILLS = int(os.environ.get("REMORA_KILLS", "6"))
ENDED = ("done", "failed", "cancelled")


def ask(node, method, path, body=None, **query):
    return requests.request(
        method, f"https://{node.address}:{node.port}/remora/v1/migrations/{path}", json=body,
        auth=(node.user, node.password), params=query, verify=False, timeout=60)


class Move:
    """One migration, from here to there."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.id = str(uuid.uuid4())

    def claim(self, name):
        si = connect(self.source)
        moref = find(si, vim.VirtualMachine, name)._moId
        Disconnect(si)
        answer = ask(self.source, "PUT", self.id, {"role": "source", "vm": moref})
        assert answer.status_code == 200, answer.text
        self.description = answer.json()["description"]
        return self

    def take(self, **more):
        return ask(self.target, "PUT", self.id,
                   {"role": "target", "description": self.description, **more})

    def prepare(self, name, **more):
        self.claim(name)
        answer = self.take(**more)
        assert answer.status_code == 200, answer.text
        self.ticket = answer.json()["ticket"]
        return self

    def start(self):
        answer = ask(self.source, "POST", f"{self.id}/start", {"ticket": self.ticket})
        assert answer.status_code == 202, answer.text
        return self

    def end(self, node=None):
        """Waits for the end; what the source says of it."""
        version = 0
        until = time.monotonic() + 60
        while time.monotonic() < until:
            answer = ask(node or self.source, "GET", self.id, after=version)
            assert answer.status_code == 200, answer.text
            said = answer.json()
            if said["state"] in ENDED:
                return said
            version = said["version"]
        raise AssertionError(f"no end: {said}")

    def forget(self):
        for node in (self.source, self.target):
            assert ask(node, "DELETE", self.id).status_code in (200, 404)
            assert ask(node, "GET", self.id).status_code == 404


def names(node):
    si = connect(node)
    try:
        return [vm.name for vm in folder_of(si).childEntity or []]
    finally:
        Disconnect(si)


def store_of(node, store="datastore1"):
    si = connect(node)
    try:
        return find(si, vim.Datastore, store).info.url, folder(node, store)
    finally:
        Disconnect(si)


def folder(node, store="datastore1"):
    for root, folders, _ in os.walk(node.state):
        if store in folders:
            return os.path.join(root, store)
    raise AssertionError(f"no folder of {store}")


def make(node, name, size_mib=64):
    """A VM with a disk that has something here and there. What its disk has to be."""
    si = connect(node)
    create(si, name, deviceChange=[scsi(), disk(size_mib * 1024)],
           extraConfig=[vim.option.OptionValue(key="guestinfo.color", value="green")])
    Disconnect(si)
    content = bytearray(size_mib * MIB)
    for at in (0, 5 * MIB + 512, (size_mib - 1) * MIB):
        content[at:at + 100000] = random.randbytes(100000)
    with open(os.path.join(folder(node), name, f"{name}-flat.vmdk"), "r+b") as file:
        for at in (0, 5 * MIB + 512, (size_mib - 1) * MIB):
            file.seek(at)
            file.write(content[at:at + 100000])
    return bytes(content)


def content_of(node, name):
    with open(os.path.join(folder(node), name, f"{name}-flat.vmdk"), "rb") as file:
        return file.read()


def is_clean(node, name):
    return not os.path.exists(os.path.join(folder(node), name))


@pytest.fixture(scope="module")
def hosts(module_rig):
    return module_rig.host("one"), module_rig.host("two")


def test_a_vm_moves_with_its_disks(hosts):
    one, two = hosts
    content = make(one, "mover")
    si = connect(one)
    was = find(si, vim.VirtualMachine, "mover").config
    Disconnect(si)
    move = Move(one, two).prepare("mover", datastore="datastore1")
    assert "mover" in names(one) and "mover" not in names(two)
    assert move.start().end()["state"] == "done"
    assert "mover" not in names(one) and "mover" in names(two)
    assert content_of(two, "mover") == content
    wait_until(lambda: is_clean(one, "mover"), 10, "files at the source go")
    si = connect(two)
    now = find(si, vim.VirtualMachine, "mover").config
    assert (now.uuid, now.instanceUuid) == (was.uuid, was.instanceUuid)
    assert {o.key: o.value for o in now.extraConfig}["guestinfo.color"] == "green"
    disks = [[d.backing.uuid for d in c.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)]
             for c in (was, now)]
    assert disks[0] == disks[1]
    blocks = os.stat(os.path.join(folder(two), "mover", "mover-flat.vmdk")).st_blocks
    assert blocks * 512 < 8 * MIB  # holes stay holes
    run(si, find(si, vim.VirtualMachine, "mover").Destroy_Task())
    Disconnect(si)
    move.forget()


def test_while_it_moves_it_is_nobody_elses(hosts):
    one, two = hosts
    make(one, "busy", 8)
    move = Move(one, two).prepare("busy", datastore="datastore1")
    si = connect(one)
    vm = find(si, vim.VirtualMachine, "busy")
    with pytest.raises(vim.fault.TaskInProgress):
        wait_for_task(si, vm.PowerOnVM_Task())
    again = ask(one, "PUT", str(uuid.uuid4()), {"role": "source", "vm": vm._moId})
    assert again.status_code == 409 and again.json()["fault"] == "TaskInProgress"
    with pytest.raises(vim.fault.AlreadyExists):  # it has no reference to show yet
        other = connect(two)
        create(other, "busy")
    Disconnect(other)
    assert ask(one, "DELETE", move.id).json()["state"] == "cancelled"
    assert ask(two, "DELETE", move.id).status_code == 200
    wait_until(lambda: is_clean(two, "busy"), 10, "files at the target go")
    run(si, vm.Destroy_Task())
    Disconnect(si)
    assert names(two) == [] and names(one) == []


def test_a_datastore_that_both_have(hosts, module_rig):
    one, two = hosts
    shared = module_rig.path("shared")
    os.mkdir(shared)
    for node in hosts:
        si = connect(node)
        host = find(si, vim.HostSystem, node.name)
        host.configManager.datastoreSystem.CreateLocalDatastore("common", shared)
        Disconnect(si)
    si = connect(one)
    spec = spec_of("shared", deviceChange=[scsi(), disk(8 * 1024)])
    spec.files.vmPathName = "[common]"
    wait_for_task(si, folder_of(si).CreateVM_Task(
        spec, si.content.rootFolder.childEntity[0].hostFolder.childEntity[0].resourcePool))
    Disconnect(si)
    move = Move(one, two).prepare("shared").start()
    assert move.end()["state"] == "done"
    assert names(one) == [] and names(two) == ["shared"]
    assert os.path.exists(os.path.join(shared, "shared", "shared-flat.vmdk"))
    back = Move(two, one).prepare("shared").start()
    assert back.end()["state"] == "done"
    assert names(one) == ["shared"] and names(two) == []
    si = connect(one)
    run(si, find(si, vim.VirtualMachine, "shared").Destroy_Task())
    Disconnect(si)
    assert not os.path.exists(os.path.join(shared, "shared"))


def change(description, **more):
    return {**description, **more}


def test_what_a_target_refuses(hosts):
    one, two = hosts
    make(one, "refused", 8)
    move = Move(one, two).claim("refused")
    whole = move.description
    for description, fault in (
            (change(whole, cpu={**whole["cpu"], "arch": "riscv64"}), "CpuIncompatible"),
            (change(whole, name=""), "InvalidName"),
            (change(whole, version=2), "InvalidArgument"),
            (change(whole, vmx="\0" * 3), "InvalidArgument"),
            (change(whole, power="poweredOn"), "InvalidArgument"),
            (change(whole, disks=[]), "InvalidArgument"),
            (change(whole, disks=whole["disks"] * 2), "InvalidArgument"),
            (change(whole, disks=[{**whole["disks"][0], "bytes": 1}]), "InvalidArgument"),
            (change(whole, disks=[{**whole["disks"][0], "path": "../../x"}]), None),
            (change(whole, disks=[{**whole["disks"][0], "format": "eagerZeroed",
                                   "bytes": 1 << 45}]), "NoDiskSpace")):
        answer = ask(two, "PUT", move.id, {"role": "target", "description": description,
                                           "datastore": "datastore1"})
        assert 400 <= answer.status_code < 600 and answer.status_code != 404, answer.text
        assert answer.json()["reason"]
        assert fault is None or answer.json()["fault"] == fault, answer.text
    assert move.take(datastore="none").json()["fault"] == "InvalidDatastore"
    assert move.take().json()["fault"] == "InvalidDatastore"  # not shared
    assert names(two) == [] and is_clean(two, "refused")
    assert ask(two, "GET", move.id).status_code == 404
    assert ask(one, "DELETE", move.id).json()["state"] == "cancelled"
    # Nobody brings anything without the token.
    for method, what in (("GET", ""), ("POST", "/commit"), ("PUT", "/disks/2000?offset=0")):
        url = f"https://{two.address}:{two.port}/remora/v1/migrating/{move.id}{what}"
        assert requests.request(method, url, verify=False, data=b"x" * 512, timeout=20,
                                cookies={"vmware_soap_session": "0" * 64}).status_code == 404
    si = connect(one)
    run(si, find(si, vim.VirtualMachine, "refused").Destroy_Task())
    Disconnect(si)


def place_of(move, name):
    """Where the VM is, once both hosts know."""
    def decided():
        here, there = name in names(move.source), name in names(move.target)
        states = [ask(node, "GET", move.id) for node in (move.source, move.target)]
        under_way = any(s.status_code == 200 and s.json()["state"] not in ENDED for s in states)
        assert not (there and states[0].status_code == 404 and here)
        return [here, there] if here != there and not under_way else None
    return wait_until(decided, 30, "the VM is at one place")


@pytest.mark.parametrize("who", ["source", "target"])
def test_killed_on_the_way(hosts, who):
    one, two = hosts
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    for n in range(KILLS):
        name = f"killed-{who}-{n}"
        content = make(one, name, 32)
        move = Move(one, two).prepare(name, datastore="datastore1")
        victim = one if who == "source" else two
        killer = threading.Timer(chance.random() * 0.15, victim.kill)
        killer.start()
        try:
            move.start()
        except (AssertionError, requests.RequestException):
            pass
        killer.join()
        victim.start()
        # What a manager does that finds a host which knows nothing any more.
        for node in (one, two):
            said = ask(node, "GET", move.id)
            if said.status_code == 404:
                other = two if node is one else one
                ask(other, "DELETE", move.id)
        here, _ = place_of(move, name)
        home = one if here else two
        assert content_of(home, name) == content
        away = two if here else one
        wait_until(lambda: is_clean(away, name), 15, "files elsewhere go")
        si = connect(home)
        run(si, find(si, vim.VirtualMachine, name).Destroy_Task())
        Disconnect(si)
        move.forget()


# ---- of VMs that run; their machines only pretend ----

@pytest.fixture(scope="module")
def pretending(module_rig):
    return (module_rig.host("three", simulate=True), module_rig.host("four", simulate=True))


def switch_on(node, name):
    si = connect(node)
    run(si, find(si, vim.VirtualMachine, name).PowerOnVM_Task())
    Disconnect(si)


def power(node, name):
    si = connect(node)
    try:
        found = find(si, vim.VirtualMachine, name)
        return found and found.runtime.powerState
    finally:
        Disconnect(si)


def destroy(node, name):
    si = connect(node)
    thing = find(si, vim.VirtualMachine, name)
    if thing.runtime.powerState == "poweredOn":
        run(si, thing.PowerOffVM_Task())
    run(si, thing.Destroy_Task())
    Disconnect(si)


def test_a_vm_moves_while_it_runs(pretending):
    one, two = pretending
    make(one, "runner", 8)
    switch_on(one, "runner")
    move = Move(one, two).prepare("runner", datastore="datastore1")
    assert power(one, "runner") == "poweredOn"
    assert power(two, "runner") == "poweredOff"
    si = connect(two)
    with pytest.raises(vim.fault.TaskInProgress):
        wait_for_task(si, find(si, vim.VirtualMachine, "runner").PowerOnVM_Task())
    Disconnect(si)
    said = move.start().end()
    assert said["state"] == "done" and said["downtime_us"] > 0
    assert power(one, "runner") is None and power(two, "runner") == "poweredOn"
    wait_until(lambda: is_clean(one, "runner"), 10, "files at the source go")
    move.forget()
    back = Move(two, one).prepare("runner", datastore="datastore1").start()
    assert back.end()["state"] == "done"
    assert power(one, "runner") == "poweredOn"
    destroy(one, "runner")


def test_one_that_runs_is_cancelled(pretending):
    one, two = pretending
    make(one, "stays", 8)
    switch_on(one, "stays")
    move = Move(one, two).prepare("stays", datastore="datastore1")
    assert ask(one, "DELETE", move.id).json()["state"] == "cancelled"
    ask(two, "DELETE", move.id)
    wait_until(lambda: power(two, "stays") is None and is_clean(two, "stays"), 10,
               "nothing is left at the target")
    assert power(one, "stays") == "poweredOn"
    destroy(one, "stays")


def test_a_stranger_knocks(pretending):
    """Whoever connects to the place where a guest is awaited and has no token gets nowhere, and the
    guest comes all the same."""
    one, two = pretending
    make(one, "awaited", 8)
    switch_on(one, "awaited")
    move = Move(one, two).prepare("awaited", datastore="datastore1")
    strangers = [socket.create_connection((move.ticket["host"], move.ticket["stream_port"]))
                 for _ in range(12)]
    strangers[0].sendall(b"0" * 64)
    strangers[-1].settimeout(5)
    strangers[-1].sendall(b"1" * 64)
    try:
        assert strangers[-1].recv(1) == b""
    except ConnectionResetError:
        pass
    assert move.start().end()["state"] == "done"
    for stranger in strangers:
        stranger.close()
    destroy(two, "awaited")


def test_what_a_running_vm_needs(pretending):
    one, two = pretending
    make(one, "large", 8)
    switch_on(one, "large")
    move = Move(one, two).claim("large")
    whole = move.description
    for description, fault in (
            (change(whole, cpu={**whole["cpu"], "accel": "none"}), "CpuIncompatible"),
            (change(whole, issuer="none"), "InvalidArgument"),
            (change(whole, vmx=whole["vmx"].replace('memSize = "64"', 'memSize = "262144"')),
             "InsufficientMemoryResourcesFault")):
        answer = ask(two, "PUT", move.id, {"role": "target", "description": description,
                                           "datastore": "datastore1"})
        assert answer.status_code == 400 and answer.json()["fault"] == fault, answer.text
    assert ask(one, "DELETE", move.id).json()["state"] == "cancelled"
    assert names(two) == []
    destroy(one, "large")

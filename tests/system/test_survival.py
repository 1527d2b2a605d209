# SPDX-License-Identifier: Apache-2.0
"""kill -9 of hostd and of centerd, again and again, while clients work.

No machine stops, nothing that was acknowledged is lost, and the clients go on by connecting anew.
Real QEMU machines, without disks: what matters is that they stay the same processes.
"""

import threading
import time

import pytest

from conftest import add_hosts
from daemon import wait_until
from vmomi import Disconnect, connect, find, vim, wait_for_task

KILLS = 50
PAUSE_S = 0.25  # of work between two kills
RECONNECT_S = 60


class Client(threading.Thread):
    """Does one kind of work until it is told to stop, and keeps what was acknowledged."""

    RECONNECT_S = RECONNECT_S

    def __init__(self, node, prepare, step):
        super().__init__(daemon=True)
        self.node, self.prepare, self.step = node, prepare, step
        self.acknowledged, self.tried = [], []
        self.stop, self.failure, self.reconnects = threading.Event(), None, -1

    def connected(self):
        """A connection and what prepare() makes of it; tries until the node is back."""
        end = time.monotonic() + self.RECONNECT_S
        while True:
            try:
                si = connect(self.node)
                it = self.prepare(si)
                self.reconnects += 1
                return si, it
            except Exception:  # whatever a dying server does to a client
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def run(self):
        try:
            si, it = self.connected()
            number = 0
            while not self.stop.is_set():
                number += 1
                self.tried.append(number)
                try:
                    self.step(si, it, number)
                    self.acknowledged.append(number)
                except Exception:
                    si, it = self.connected()
            Disconnect(si)
        except Exception as failure:
            self.failure = failure


def make_vms(host, count):
    """Machines that run, on the host; their names."""
    si = connect(host)
    place = si.content.rootFolder.childEntity[0]
    pool = place.hostFolder.childEntity[0].resourcePool
    names = []
    for i in range(count):
        spec = vim.vm.ConfigSpec(name=f"runs-{i}", memoryMB=32, numCPUs=1, guestId="otherGuest",
                                 files=vim.vm.FileInfo(vmPathName="[datastore1]"))
        vm = wait_for_task(si, place.vmFolder.CreateVM_Task(config=spec, pool=pool))
        wait_for_task(si, vm.PowerOnVM_Task())
        names.append(spec.name)
    Disconnect(si)
    return names


def annotate(si, vm, number):
    wait_for_task(si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation=str(number))))


def make_folder(si, parent, number):
    parent.CreateFolder(f"folder-{number}")


def create_vm(si, place, number, name=None):
    spec = vim.vm.ConfigSpec(name=name or f"made-{number}", memoryMB=32, numCPUs=1, guestId="otherGuest",
                             files=vim.vm.FileInfo(vmPathName="[datastore1]"))
    pool = place.hostFolder.childEntity[0].resourcePool
    wait_for_task(si, place.vmFolder.CreateVM_Task(config=spec, pool=pool))


def make_vm(node, name):
    """One that is off."""
    si = connect(node)
    create_vm(si, si.content.rootFolder.childEntity[0], 0, name)
    Disconnect(si)


def vm_folder(si):
    return find(si, vim.Datacenter, "dc").vmFolder


@pytest.fixture
def site(rig):
    host, center = rig.host(), rig.center()
    names = make_vms(host, 2)
    add_hosts(center, "dc", host)
    return host, center, names


def names_in(folder):
    return {child.name for child in folder.childEntity}


def check_annotation(client, text):
    """The last one acknowledged, or one tried after it whose answer was lost."""
    last = client.acknowledged[-1]
    assert int(text) >= last, f"annotation {text}, but {last} was acknowledged"
    assert int(text) <= client.tried[-1]


def test_kill_under_load(site):
    host, center, names = site
    before = host.machines()
    assert len(before) == len(names)
    on_host = Client(host, lambda si: find(si, vim.VirtualMachine, names[0]), annotate)
    creator = Client(host, lambda si: si.content.rootFolder.childEntity[0], create_vm)
    on_center = Client(center, vm_folder, make_folder)
    through = Client(center, lambda si: find(si, vim.VirtualMachine, names[1]), annotate)
    clients = [on_host, creator, on_center, through]
    for client in clients:
        client.start()
    for i in range(KILLS):
        victim = host if i % 2 == 0 else center
        time.sleep(PAUSE_S)
        victim.kill()
        victim.start()
        assert host.machines() == before, f"after kill {i}"
    wait_until(lambda: all(client.reconnects > 0 for client in clients), RECONNECT_S,
               "all clients connected anew")
    for client in clients:
        client.stop.set()
    for client in clients:
        client.join(RECONNECT_S)
        assert client.failure is None and not client.is_alive(), client.failure
        assert client.acknowledged, "nothing was acknowledged in all that time"
    assert host.machines() == before
    check_end(host, center, names, clients)


def check_end(host, center, names, clients):
    on_host, creator, on_center, through = clients
    si = connect(host)
    check_annotation(on_host, find(si, vim.VirtualMachine, names[0]).config.annotation)
    check_annotation(through, find(si, vim.VirtualMachine, names[1]).config.annotation)
    have = names_in(si.content.rootFolder.childEntity[0].vmFolder)
    missing = {f"made-{number}" for number in creator.acknowledged} - have
    assert not missing, f"acknowledged VMs are lost on the host: {missing}"
    for name in names:
        vm = find(si, vim.VirtualMachine, name)
        assert vm.runtime.powerState == "poweredOn"
    Disconnect(si)
    si = connect(center)
    missing = {f"folder-{number}" for number in on_center.acknowledged} - names_in(vm_folder(si))
    assert not missing, f"acknowledged folders are lost: {missing}"
    # The manager comes to show what the host has.
    wanted = {f"made-{number}" for number in creator.acknowledged} | set(names)
    wait_until(lambda: wanted <= names_in(vm_folder(si)), 60, "the manager shows all VMs", 0.5)
    Disconnect(si)

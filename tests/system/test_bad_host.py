# SPDX-License-Identifier: Apache-2.0
"""A host that vanishes while it works for its manager: the task ends with a fault that says so, and
nothing is half done when the host is back."""

import contextlib
import os
import signal
import threading

import pytest

from conftest import add_hosts
from daemon import wait_until
from state import Unchanged, files
from test_vm import disk, scsi
from vmomi import Disconnect, connect, find, vim, vmodl, wait_for_task

GONE_S = 20
BACK_S = 30


class Site:
    """A manager with one host, which has a VM."""

    def __init__(self, rig):
        self.host, self.center = rig.host(), rig.center()
        add_hosts(self.center, "dc", self.host)
        self.si = connect(self.center)
        self.system = find(self.si, vim.HostSystem, self.host.name)
        self.folder = find(self.si, vim.Datacenter, "dc").vmFolder
        self.pool = self.system.parent.resourcePool
        self.vm = wait_for_task(self.si, self.create("vm"))

    def create(self, name, **more):
        spec = vim.vm.ConfigSpec(name=name, memoryMB=32, numCPUs=1, guestId="otherGuest",
                                 files=vim.vm.FileInfo(vmPathName="[datastore1]"), **more)
        return self.folder.CreateVM_Task(spec, self.pool)

    def state(self):
        return self.system.runtime.connectionState

    def wait(self, state, seconds):
        wait_until(lambda: self.state() == state, seconds, f"{self.host.name} is {state}", 0.05)

    def come_back(self):
        self.host.start()
        self.wait("connected", BACK_S)


@pytest.fixture(scope="module")
def site(module_rig):
    site = Site(module_rig)
    yield site
    Disconnect(site.si)


def assert_host_fault(fault, name):
    """One of those that clients know for a host that does not answer."""
    assert isinstance(fault, (vmodl.fault.HostCommunication, vim.fault.HostConnectFault)), fault
    assert name in fault.msg


OPERATIONS = {
    "create": lambda site: site.create("new", deviceChange=[scsi(), disk(1024)]),
    "change": lambda site: site.vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="late")),
    "power-on": lambda site: site.vm.PowerOnVM_Task(),
    "destroy": lambda site: site.vm.Destroy_Task(),
    "make-folder": lambda site: site.si.content.fileManager.MakeDirectory(
        "[datastore1] new", site.folder.parent),
    "search": lambda site: site.system.datastoreBrowser.SearchDatastore_Task("[datastore1]", None),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_while_it_is_frozen(site, name):
    """The request was sent, and nobody read it."""
    ended = []

    def work():
        """In a thread of its own, for what is no task waits for the host."""
        si = connect(site.center)
        try:
            result = OPERATIONS[name](site)
            ended.append(wait_for_task(si, vim.Task(result._moId, si._stub)))
        except vmodl.MethodFault as fault:
            ended.append(fault)
        finally:
            Disconnect(si)

    with Unchanged(site.si, site.host):
        os.kill(site.host.pid, signal.SIGSTOP)
        thread = threading.Thread(target=work)
        thread.start()
        try:
            thread.join(0.3)  # long enough to be under way; if not, it is refused all the same
            assert not ended
        finally:
            site.host.kill()
        thread.join(GONE_S)
        site.wait("notResponding", GONE_S)
        assert len(ended) == 1 and not thread.is_alive()
        assert_host_fault(ended[0], site.host.name)
        site.come_back()
    assert find(site.si, vim.VirtualMachine, "new") is None


BIG_KB = 4 << 20


def big_disk():
    change = disk(BIG_KB)
    change.device.backing.thinProvisioned = False
    change.device.backing.eagerlyScrub = True
    return change


def has_begun(site):
    """The host works on a new VM: something of it lies on the datastore."""
    with contextlib.suppress(OSError):
        return any("new" in name for name in files(site.host))


@pytest.mark.parametrize("to_do", ["create", "disk"])
def test_killed_while_it_works(site, to_do):
    """Some GiB of zeros are being written."""
    with Unchanged(site.si, site.host):
        if to_do == "create":
            task = site.create("new", deviceChange=[scsi(), big_disk()])
        else:
            spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
                adapterType="lsiLogic", diskType="eagerZeroedThick", capacityKb=BIG_KB)
            task = site.si.content.virtualDiskManager.CreateVirtualDisk_Task(
                "[datastore1] new.vmdk", site.folder.parent, spec)
        wait_until(lambda: has_begun(site), GONE_S, "work has begun", 0.001)
        site.host.kill()
        with pytest.raises(vmodl.MethodFault) as caught:
            wait_for_task(site.si, task)
        assert_host_fault(caught.value, site.host.name)
        site.wait("notResponding", GONE_S)
        site.come_back()
        wait_until(lambda: not has_begun(site), BACK_S, "the rest is cleared away", 0.05)
    on_host = connect(site.host)
    assert find(on_host, vim.VirtualMachine, "new") is None
    Disconnect(on_host)
    # The place is free again.
    task = site.create("new")
    wait_for_task(site.si, task)
    wait_for_task(site.si, find(site.si, vim.VirtualMachine, "new").Destroy_Task())


def test_what_is_asked_while_it_is_away(site):
    site.host.kill()
    site.wait("notResponding", GONE_S)
    for name in ("change", "power-on", "make-folder", "create"):
        with pytest.raises(vmodl.MethodFault) as caught:
            wait_for_task(site.si, OPERATIONS[name](site))
        assert_host_fault(caught.value, site.host.name)
    assert site.vm.config.annotation == "" and site.vm.runtime.connectionState == "disconnected"
    site.come_back()
    wait_for_task(site.si, site.vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="back")))
    assert site.vm.config.annotation == "back"

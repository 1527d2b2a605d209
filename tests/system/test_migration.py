# SPDX-License-Identifier: Apache-2.0
"""VMs that move between hosts by their manager: real hosts, real QEMU machines."""

import time

import pytest

from conftest import add_hosts
from daemon import wait_until
from vmomi import Disconnect, connect, find, vim, vmodl, wait_for_task

NAME = "moves"


class Site:
    """A manager with two hosts, and a VM on the first that runs."""

    def __init__(self, rig):
        self.hosts = [rig.host(name) for name in ("one", "two")]
        self.center = rig.center()
        self.names = add_hosts(self.center, "dc", *self.hosts)
        self.si = connect(self.center)

    def again(self):
        """Another connection to the manager, which was killed."""
        self.si = connect(self.center)

    def host(self, index):
        return find(self.si, vim.HostSystem, self.names[index])

    @property
    def vm(self):
        return find(self.si, vim.VirtualMachine, NAME)

    def make(self):
        pool = self.host(0).parent.resourcePool
        spec = vim.vm.ConfigSpec(name=NAME, memoryMB=64, numCPUs=1, guestId="otherGuest64",
                                 files=vim.vm.FileInfo(vmPathName="[datastore1]"))
        folder = find(self.si, vim.Datacenter, "dc").vmFolder
        vm = wait_for_task(self.si, folder.CreateVM_Task(spec, pool, self.host(0)))
        wait_for_task(self.si, vm.PowerOnVM_Task())
        return vm

    def move(self, index):
        return self.vm.MigrateVM_Task(None, self.host(index), "defaultPriority", None)

    def machines(self):
        """Guests on each host."""
        return [len(host.machines()) for host in self.hosts]

    def unmake(self):
        vm = self.vm
        if vm is not None:
            if vm.runtime.powerState == "poweredOn":
                wait_for_task(self.si, vm.PowerOffVM_Task())
            wait_for_task(self.si, vm.Destroy_Task())


@pytest.fixture(scope="module")
def site(module_rig):
    it = Site(module_rig)
    yield it
    Disconnect(it.si)


@pytest.fixture
def vm(site):
    yield site.make()
    site.unmake()


def fault_of(site, task):
    with pytest.raises(vmodl.MethodFault) as raised:
        wait_for_task(site.si, task)
    return raised.value


def refusal(begin):
    """The fault of a call that is not taken at all."""
    with pytest.raises(vmodl.MethodFault) as raised:
        begin()
    return raised.value


def test_refused_beforehand(site, vm):
    """What the manager knows it says at once; nothing has changed."""
    other = site.host(1)
    wrong = refusal(lambda: vm.MigrateVM_Task(site.host(0).parent.resourcePool, other,
                                              "defaultPriority", None))
    assert isinstance(wrong, vmodl.fault.InvalidArgument)
    off = refusal(lambda: vm.MigrateVM_Task(None, other, "defaultPriority", "poweredOff"))
    assert isinstance(off, vim.fault.InvalidPowerState)
    store = refusal(lambda: vm.RelocateVM_Task(vim.vm.RelocateSpec(
        host=other, datastore=site.host(0).datastore[0])))
    assert isinstance(store, vim.fault.InvalidDatastore) and "two" in store.msg
    site.hosts[1].stop()
    try:
        wait_until(lambda: other.runtime.connectionState == "notResponding", 30, "two is lost")
        away = refusal(lambda: site.move(1))
        assert isinstance(away, vmodl.fault.HostNotReachable)
        checker = site.si.content.vmProvisioningChecker
        (result,) = wait_for_task(site.si, checker.CheckMigrate_Task(vm, other, None, None, []))
        assert isinstance(result.error[0], vmodl.fault.HostNotReachable)
    finally:
        site.hosts[1].start()
    wait_until(lambda: other.runtime.connectionState == "connected", 60, "two is back")
    assert site.machines() == [1, 0] and vm.runtime.host == site.host(0)


def test_a_host_in_maintenance_takes_none(site, vm):
    other = site.host(1)
    wait_for_task(site.si, other.EnterMaintenanceMode_Task(0))
    try:
        assert isinstance(refusal(lambda: site.move(1)), vim.fault.InvalidHostState)
    finally:
        wait_for_task(site.si, other.ExitMaintenanceMode_Task(0))
    assert site.machines() == [1, 0]

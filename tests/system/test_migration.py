# SPDX-License-Identifier: Apache-2.0
"""VMs that move between hosts by their manager: real hosts, real QEMU machines."""

import os
import time

import pytest

from conftest import add_hosts
from daemon import wait_until
from vmomi import Disconnect, connect, find, vim, vmodl, wait_for_task

NAME = "moves"
DISK_MIB = 24
# While something is concluded, or a host that was killed is not found to be back yet.
BUSY = (vim.fault.InvalidState, vim.fault.TaskInProgress, vmodl.fault.HostNotReachable,
        vmodl.fault.HostCommunication)
MOMENTS_S = (0, 0.02, 0.05, 0.1, 0.2, 0.4)


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

    def make(self, *devices):
        pool = self.host(0).parent.resourcePool
        spec = vim.vm.ConfigSpec(name=NAME, memoryMB=64, numCPUs=1, guestId="otherGuest64",
                                 files=vim.vm.FileInfo(vmPathName="[datastore1]"),
                                 deviceChange=list(devices))
        folder = find(self.si, vim.Datacenter, "dc").vmFolder
        return wait_for_task(self.si, folder.CreateVM_Task(spec, pool, self.host(0)))

    def path(self, index, *names):
        return os.path.join(self.hosts[index].state, "datastores", "datastore1", *names)

    def owners(self):
        """Which hosts say themselves that they have the VM."""
        found = []
        for index, host in enumerate(self.hosts):
            si = connect(host)
            if find(si, vim.VirtualMachine, NAME) is not None:
                found.append(index)
            Disconnect(si)
        return found

    def settled(self):
        """The one host that has the VM, by its own account and the manager's; None: not yet."""
        owners, vm = self.owners(), self.vm
        at = vm.runtime.host.name if vm is not None else None
        return owners[0] if len(owners) == 1 and at == self.names[owners[0]] else None

    def move(self, index):
        return self.vm.MigrateVM_Task(None, self.host(index), "defaultPriority", None)

    def begin(self, index):
        """The same, as soon as what a killed manager has begun is concluded, and hosts that were
        killed are found to be back."""
        tasks = []

        def is_taken():
            try:
                tasks.append(self.move(index))
            except BUSY:
                return False
            return True
        wait_until(is_taken, 30, "the VM may be moved", 0.1)
        return tasks[0]

    def machines(self):
        """Guests on each host."""
        return [len(host.machines()) for host in self.hosts]

    def unmake(self):
        """Also while a migration is still being concluded."""
        def is_gone():
            vm = self.vm
            try:
                if vm is not None and vm.runtime.powerState == "poweredOn":
                    wait_for_task(self.si, vm.PowerOffVM_Task())
                if vm is not None:
                    wait_for_task(self.si, vm.Destroy_Task())
            except BUSY:
                return False
            return True
        wait_until(is_gone, 60, "the VM is gone", 0.1)


@pytest.fixture(scope="module")
def site(module_rig):
    it = Site(module_rig)
    yield it
    Disconnect(it.si)


@pytest.fixture
def vm(site):
    """One that runs."""
    it = site.make()
    wait_for_task(site.si, it.PowerOnVM_Task())
    yield it
    site.unmake()


def with_disk():
    controller = vim.vm.device.VirtualDeviceSpec(
        operation="add", device=vim.vm.device.ParaVirtualSCSIController(
            key=-100, busNumber=0, sharedBus="noSharing"))
    disk = vim.vm.device.VirtualDeviceSpec(
        operation="add", fileOperation="create", device=vim.vm.device.VirtualDisk(
            key=-1, unitNumber=0, controllerKey=-100, capacityInKB=DISK_MIB << 10,
            backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                diskMode="persistent", thinProvisioned=True, fileName="")))
    return controller, disk


@pytest.fixture
def off(site):
    """One that is off, with a disk that has something on it."""
    it = site.make(*with_disk())
    site.content = os.urandom(DISK_MIB << 20)
    with open(site.path(0, NAME, f"{NAME}-flat.vmdk"), "r+b") as disk:
        disk.write(site.content)
    yield it
    site.unmake()


def check_disk(site, index):
    with open(site.path(index, NAME, f"{NAME}-flat.vmdk"), "rb") as disk:
        assert disk.read() == site.content
    wait_until(lambda: not os.path.exists(site.path(1 - index, NAME)), 20,
               "the other host has removed its files", 0.05)


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


def test_one_that_runs_moves_and_runs_on(site, vm):
    reference = vm._moId
    for index in (1, 0):
        wait_for_task(site.si, site.move(index))
        wait_until(lambda index=index: site.machines() == [1 - index, index], 20,
                   "one machine runs", 0.1)
        it = site.vm
        assert it._moId == reference and it.runtime.host == site.host(index)
        assert it.runtime.powerState == "poweredOn"
        wait_until(lambda index=index: site.owners() == [index], 20, "the other has forgotten it",
                   0.1)


def test_one_that_runs_is_cancelled_at_any_moment(site, vm):
    stayed = 0
    for moment in MOMENTS_S:
        here = site.settled()
        task = site.begin(1 - here)
        time.sleep(moment)
        try:
            task.CancelTask()
        except vmodl.MethodFault:
            pass  # it was too late
        try:
            wait_for_task(site.si, task)
            there = 1 - here
        except vmodl.fault.RequestCanceled:
            there = here
            stayed += 1
        wait_until(lambda there=there: site.settled() == there, 20, "it is in one place", 0.1)
        wait_until(lambda there=there: site.machines() == [1 - there, there], 20,
                   "one machine runs", 0.1)
        assert site.vm.runtime.powerState == "poweredOn"
    assert stayed, "at once is early enough"


def test_one_that_runs_and_the_manager_is_killed(site, vm):
    for moment in MOMENTS_S:
        site.begin(1 - site.settled())
        time.sleep(moment)
        site.center.kill()
        site.center.start()
        site.again()
        wait_until(lambda: all(site.host(i).runtime.connectionState == "connected"
                               for i in (0, 1)), 60, "the manager has its hosts", 0.1)
        wait_until(lambda: site.settled() is not None and sum(site.machines()) == 1, 60,
                   "it runs in one place", 0.1)
        assert site.vm.runtime.powerState == "poweredOn"


def test_one_that_is_off_moves_with_its_disk(site, off):
    reference, uuid = off._moId, off.config.instanceUuid
    field = site.si.content.customFieldsManager.AddCustomFieldDef("owner", vim.VirtualMachine)
    off.SetCustomValue("owner", "me")
    for index in (1, 0):
        wait_for_task(site.si, site.move(index))
        vm = site.vm
        assert vm._moId == reference and vm.config.instanceUuid == uuid
        assert vm.runtime.host == site.host(index) and vm.customValue[0].value == "me"
        assert vm.resourcePool == site.host(index).parent.resourcePool
        wait_until(lambda: site.owners() == [index], 20, "the other host has forgotten it", 0.1)
        check_disk(site, index)
        wait_for_task(site.si, vm.PowerOnVM_Task())
        assert site.machines() == [1 - index, index]
        wait_for_task(site.si, vm.PowerOffVM_Task())
    site.si.content.customFieldsManager.RemoveCustomFieldDef(field.key)
    events = site.si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(
        entity=vim.event.EventFilterSpec.ByEntity(entity=off, recursion="self")))
    kinds = [type(event) for event in events]
    assert kinds.count(vim.event.VmMigratedEvent) == 2
    assert kinds.count(vim.event.VmBeingMigratedEvent) == 2
    # What its hosts say of its coming and going is no news.
    assert vim.event.VmRemovedEvent not in kinds and vim.event.VmRegisteredEvent not in kinds


def test_cancelled_at_any_moment_it_is_in_one_place(site, off):
    stayed = 0
    for moment in MOMENTS_S:
        here = site.settled()
        task = site.move(1 - here)
        time.sleep(moment)
        try:
            task.CancelTask()
        except vmodl.MethodFault:
            pass  # it was too late
        try:
            wait_for_task(site.si, task)
            there = 1 - here
        except vmodl.fault.RequestCanceled:
            there = here
            stayed += 1
        wait_until(lambda there=there: site.settled() == there, 20, "it is in one place", 0.1)
        check_disk(site, there)
    assert stayed, "at once is early enough"


def test_the_manager_is_killed_in_the_midst(site, off):
    reference = off._moId
    for moment in MOMENTS_S:
        site.begin(1 - site.settled())
        time.sleep(moment)
        site.center.kill()
        site.center.start()
        site.again()
        wait_until(lambda: all(site.host(i).runtime.connectionState == "connected"
                               for i in (0, 1)), 60, "the manager has its hosts", 0.1)
        wait_until(lambda: site.settled() is not None, 60, "it is in one place", 0.1)
        check_disk(site, site.settled())
        assert site.vm._moId == reference


def test_a_host_is_killed_in_the_midst(site, off):
    for moment in MOMENTS_S:
        for victim in site.hosts:
            wait_until(lambda: site.settled() is not None, 60, "it is in one place", 0.1)
            task = site.begin(1 - site.settled())
            time.sleep(moment)
            victim.kill()
            victim.start()
            wait_until(lambda: task.info.state in ("success", "error"), 120, "the task ends", 0.1)
            wait_until(lambda: all(site.host(i).runtime.connectionState == "connected"
                                   for i in (0, 1)), 60, "the manager has its hosts", 0.1)
            wait_until(lambda: site.settled() is not None, 60, "it is in one place", 0.1)
            check_disk(site, site.settled())
    site.begin(1 - site.settled())  # they are found to be back
    wait_until(lambda: site.vm.recentTask[-1].info.state == "success", 60, "it has moved", 0.1)

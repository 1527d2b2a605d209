# SPDX-License-Identifier: Apache-2.0
"""Operations that a manager hands on to its hosts: hundreds at once, those that come and go with
files, and those that nobody has built. The host runs VMs without QEMU."""

import threading
import time

import pytest

from conftest import add_hosts
from vmomi import Disconnect, collect, connect, find, vim, vmodl, wait_for_task

MANY = 300
CLIENTS = 6
END_S = 60


@pytest.fixture(scope="module")
def site(module_rig):
    center = module_rig.center()
    server = module_rig.host("server", simulate=True)
    assert add_hosts(center, "dc", server) == ["server"]
    si = connect(center)
    yield center, server, si
    Disconnect(si)


def place_of(si):
    host = find(si, vim.HostSystem, "server")
    dc = find(si, vim.Datacenter, "dc")
    return dc.vmFolder, host.parent.resourcePool, host


def config(name):
    return vim.vm.ConfigSpec(name=name, memoryMB=32, numCPUs=1, guestId="otherGuest",
                             files=vim.vm.FileInfo(vmPathName="[datastore1]"))


def make_vm(si, name):
    folder, pool, host = place_of(si)
    return wait_for_task(si, folder.CreateVM_Task(config=config(name), pool=pool, host=host))


def ended(si, ids):
    """The tasks by the state that they end in."""
    left, states = [vim.Task(i, si._stub) for i in ids], {}
    end = time.monotonic() + END_S
    while left and time.monotonic() < end:
        still = []
        for task in left:
            state = task.info.state
            if state in ("success", "error"):
                states.setdefault(state, []).append(task)
            else:
                still.append(task)
        left = still
    assert not left, f"{len(left)} of {len(ids)} tasks still {left[0].info.state}"
    return states


def succeed(si, ids):
    states = ended(si, ids)
    faults = {str(task.info.error.msg) for task in states.get("error", [])}
    assert len(states.get("success", [])) == MANY, faults
    return states["success"]


def begin_in_parallel(center, begin):
    """begin(connection, i) for each i below MANY, from several clients; the tasks' ids."""
    ids, lock = [], threading.Lock()

    def work(first):
        si = connect(center)
        for i in range(first, MANY, CLIENTS):
            task = begin(si, i)
            with lock:
                ids.append(task._moId)
        Disconnect(si)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == MANY
    return ids


def test_many_tasks_at_once(site):
    center, server, si = site
    folder, pool, host = place_of(si)

    def create(own, i):
        return vim.Folder(folder._moId, own._stub).CreateVM_Task(
            config=config(f"many-{i}"), pool=pool, host=host)

    def reconfigure(own, i):
        return vim.VirtualMachine(ids[i], own._stub).ReconfigVM_Task(
            vim.vm.ConfigSpec(annotation=f"note {i}"))

    def all_of_one(own, _):
        return vim.VirtualMachine(ids[0], own._stub).ReconfigVM_Task(
            vim.vm.ConfigSpec(annotation="note"))

    made = succeed(si, begin_in_parallel(center, create))
    ids = [task.info.result._moId for task in made]
    assert len(set(ids)) == MANY
    succeed(si, begin_in_parallel(center, reconfigure))
    notes = {vm.config.annotation for vm in collect(si, vim.VirtualMachine)}
    assert notes == {f"note {i}" for i in range(MANY)}
    direct = connect(server)
    assert {vm.name for vm in collect(direct, vim.VirtualMachine)} == {
        f"many-{i}" for i in range(MANY)}
    Disconnect(direct)
    # Of those on one VM one goes, and others are told so.
    states = ended(si, begin_in_parallel(center, all_of_one))
    assert states["success"]
    for task in states.get("error", []):
        assert isinstance(task.info.error, vim.fault.TaskInProgress), task.info.error


def test_unregister_and_register(site):
    _, server, si = site
    folder, pool, host = place_of(si)
    vm = make_vm(si, "wanderer")
    path = vm.config.files.vmPathName
    sub = folder.CreateFolder("registered")
    own_pool = pool.CreateResourcePool("own", vim.ResourceConfigSpec(
        cpuAllocation=allocation(), memoryAllocation=allocation()))
    vm.UnregisterVM()
    assert find(si, vim.VirtualMachine, "wanderer") is None
    vm = wait_for_task(si, sub.RegisterVM_Task(path=path, name="back", asTemplate=False,
                                               pool=own_pool, host=host))
    assert vm.name == "back" and vm.parent == sub and vm.resourcePool == own_pool
    with pytest.raises(vim.fault.AlreadyExists):
        wait_for_task(si, folder.RegisterVM_Task(path=path, asTemplate=False, pool=pool))
    vm.UnregisterVM()
    # Without a name it is the file's.
    vm = wait_for_task(si, folder.RegisterVM_Task(path=path, asTemplate=False, pool=pool))
    assert vm.parent == folder and vm.resourcePool == pool
    with pytest.raises(vim.fault.FileNotFound):
        wait_for_task(si, folder.RegisterVM_Task(path="[datastore1] none/none.vmx",
                                                 asTemplate=False, pool=pool))
    with pytest.raises(vmodl.MethodFault):
        wait_for_task(si, folder.RegisterVM_Task(path="[nowhere] none/none.vmx",
                                                 asTemplate=False, pool=pool))
    wait_for_task(si, vm.Destroy_Task())


def allocation():
    return vim.ResourceAllocationInfo(
        reservation=0, expandableReservation=True, limit=-1,
        shares=vim.SharesInfo(level="normal", shares=0))


def test_templates(site):
    _, _, si = site
    folder, pool, host = place_of(si)
    vm = make_vm(si, "model")
    vm.MarkAsTemplate()
    assert vm.config.template and vm.summary.config.template
    with pytest.raises(vmodl.MethodFault):
        wait_for_task(si, vm.PowerOnVM_Task())
    own_pool = pool.CreateResourcePool("for-models", vim.ResourceConfigSpec(
        cpuAllocation=allocation(), memoryAllocation=allocation()))
    vm.MarkAsVirtualMachine(pool=own_pool, host=host)
    assert not vm.config.template and vm.resourcePool == own_pool
    path = vm.config.files.vmPathName
    vm.UnregisterVM()
    vm = wait_for_task(si, folder.RegisterVM_Task(path=path, name="model", asTemplate=True,
                                                  host=host))
    assert vm.config.template
    wait_for_task(si, vm.Destroy_Task())


def test_moving_is_the_managers(site):
    _, _, si = site
    folder, pool, host = place_of(si)
    vm = make_vm(si, "mover")
    sub = folder.CreateFolder("moved")
    wait_for_task(si, vm.RelocateVM_Task(vim.vm.RelocateSpec(folder=sub)))
    assert vm.parent == sub
    wait_for_task(si, folder.MoveIntoFolder_Task([vm]))
    assert vm.parent == folder
    wait_for_task(si, vm.MigrateVM_Task(pool=pool, host=host, priority="defaultPriority"))
    wait_for_task(si, vm.Destroy_Task())


def unbuilt(vm, folder):
    relocate = vim.vm.RelocateSpec()
    return {
        "CloneVM_Task": lambda: vm.CloneVM_Task(
            folder, "copy", vim.vm.CloneSpec(location=relocate, powerOn=False, template=False)),
        "CreateSnapshot_Task": lambda: vm.CreateSnapshot_Task("s", "", False, False),
        "CreateSnapshotEx_Task": lambda: vm.CreateSnapshotEx_Task("s", "", False, None),
        "RevertToCurrentSnapshot_Task": vm.RevertToCurrentSnapshot_Task,
        "RemoveAllSnapshots_Task": vm.RemoveAllSnapshots_Task,
        "ConsolidateVMDisks_Task": vm.ConsolidateVMDisks_Task,
        "PromoteDisks_Task": lambda: vm.PromoteDisks_Task(True, []),
        "CreateScreenshot_Task": vm.CreateScreenshot_Task,
        "ExportVm": vm.ExportVm,
        "AcquireTicket": lambda: vm.AcquireTicket("webmks"),
        "MountToolsInstaller": vm.MountToolsInstaller,
        "CustomizeVM_Task": lambda: vm.CustomizeVM_Task(vim.vm.customization.Specification(
            identity=vim.vm.customization.IdentitySettings(),
            globalIPSettings=vim.vm.customization.GlobalIPSettings())),
    }


def test_what_is_not_built_says_so(site):
    _, _, si = site
    vm = make_vm(si, "plain")
    for name, begin in unbuilt(vm, place_of(si)[0]).items():
        with pytest.raises(vmodl.fault.NotSupported):
            result = begin()
            assert isinstance(result, vim.Task), f"{name} gave {result}"
            wait_for_task(si, result)
    assert find(si, vim.VirtualMachine, "copy") is None
    wait_for_task(si, vm.Destroy_Task())

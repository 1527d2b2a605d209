# SPDX-License-Identifier: Apache-2.0
"""A manager and its hosts as processes: hosts that stop, vanish and come back, managers that are
killed, and a DPU that runs on without its server."""

import os
import signal

import pytest

from conftest import add_hosts
from daemon import wait_until
from vmomi import Disconnect, connect, find, vim, vmodl, wait_for_task

QUICKLY_S = 10  # a host that has closed its connections
FROZEN_S = 20  # one that only stopped answering
BACK_S = 30


def state_of(si, name):
    return find(si, vim.HostSystem, name).runtime.connectionState


def wait_state(si, name, state, seconds):
    wait_until(lambda: state_of(si, name) == state, seconds, f"{name} is {state}", 0.1)


def make_vm(si, host_name, name, power_on=True):
    """A VM without disks on the host, through the manager."""
    host = find(si, vim.HostSystem, host_name)
    place = host.parent.parent.parent
    path = f"[{host.datastore[0].name}]"
    spec = vim.vm.ConfigSpec(name=name, memoryMB=32, numCPUs=1, guestId="otherGuest",
                             files=vim.vm.FileInfo(vmPathName=path))
    vm = wait_for_task(si, place.vmFolder.CreateVM_Task(config=spec, pool=host.parent.resourcePool,
                                                        host=host))
    assert vm.name == name and vm.runtime.host == host
    assert vm.config.files.vmPathName == f"{path} {name}/{name}.vmx"
    if power_on:
        wait_for_task(si, vm.PowerOnVM_Task())
    return vm


def annotate(si, vm, text):
    wait_for_task(si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation=text)))


@pytest.fixture
def site(rig):
    """A server, the DPU in it, and their manager."""
    center = rig.center()
    server, dpu = rig.pair()
    assert add_hosts(center, "dc", server, dpu) == ["server", "dpu"]
    si = connect(center)
    yield center, server, dpu, si
    Disconnect(si)


def test_dpu_runs_on_without_its_server(site):
    _, server, dpu, si = site
    vm = make_vm(si, "dpu", "edge-1")
    before = dpu.machines()
    assert len(before) == 1
    server.stop()
    wait_state(si, "server", "notResponding", QUICKLY_S)
    assert state_of(si, "dpu") == "connected"
    assert dpu.machines() == before
    annotate(si, vm, "the server is away")
    assert vm.config.annotation == "the server is away"
    assert vm.runtime.powerState == "poweredOn"
    server.start()
    wait_state(si, "server", "connected", BACK_S)
    assert dpu.machines() == before


def test_what_a_host_can_run_is_asked_through_the_manager(site):
    _, _, _, si = site
    for name in ("server", "dpu"):
        browser = find(si, vim.HostSystem, name).parent.environmentBrowser
        option = browser.QueryConfigOption()
        assert "otherGuest64" in [guest.id for guest in option.guestOSDescriptor]


def test_references_stay(site):
    center, server, _, si = site
    vm = make_vm(si, "server", "web-1")
    ids = (find(si, vim.HostSystem, "server")._moId, vm._moId)
    server.kill()
    wait_state(si, "server", "notResponding", QUICKLY_S)
    assert vm.runtime.connectionState == "disconnected"
    assert vm.runtime.powerState == "poweredOn"
    with pytest.raises(vmodl.fault.HostNotReachable):
        wait_for_task(si, vm.PowerOffVM_Task())
    # Killed and started while its host is away, the manager still shows what it saw last.
    center.kill()
    center.start()
    again = connect(center)
    vm = find(again, vim.VirtualMachine, "web-1")
    assert (find(again, vim.HostSystem, "server")._moId, vm._moId) == ids
    assert vm.runtime.powerState == "poweredOn"
    assert vm.summary.config.memorySizeMB == 32
    server.start()
    wait_state(again, "server", "connected", BACK_S)
    vm = find(again, vim.VirtualMachine, "web-1")
    assert vm._moId == ids[1] and vm.runtime.connectionState == "connected"
    annotate(again, vm, "back")
    Disconnect(again)


def test_host_that_is_frozen(site):
    _, server, _, si = site
    os.kill(server.pid, signal.SIGSTOP)
    try:
        wait_state(si, "server", "notResponding", FROZEN_S)
        assert state_of(si, "dpu") == "connected"
    finally:
        os.kill(server.pid, signal.SIGCONT)
    wait_state(si, "server", "connected", BACK_S)


def values_of(si, host_name):
    host = find(si, vim.HostSystem, host_name)
    names = {field.key: field.name for field in si.content.customFieldsManager.field}
    return {names[v.key]: v.value for v in host.customValue if v.value}


def test_pair_is_shown(site):
    center, _, _, si = site
    wait_until(lambda: values_of(si, "dpu").get("Remora.Server") == "server", BACK_S,
               "the DPU names its server", 0.1)
    assert values_of(si, "server")["Remora.Dpu"] == "dpu"
    center.kill()
    center.start()
    again = connect(center)
    assert values_of(again, "server")["Remora.Dpu"] == "dpu"
    Disconnect(again)


def messages(si):
    events = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec())
    return [event.fullFormattedMessage for event in events]


def test_events_come_once(site):
    center, server, _, si = site
    make_vm(si, "server", "web-1")
    powered = [m for m in messages(si) if "web-1" in m and "powered on" in m]
    assert len(powered) == 1, powered
    for _ in range(2):
        server.kill()
        center.kill()
        server.start()
        center.start()
        again = connect(center)
        wait_state(again, "server", "connected", BACK_S)
        assert [m for m in messages(again) if m == powered[0]] == powered
        Disconnect(again)


def test_vm_made_on_the_host_appears(site):
    _, server, _, si = site
    direct = connect(server)
    place = direct.content.rootFolder.childEntity[0]
    spec = vim.vm.ConfigSpec(name="by-hand", memoryMB=32, numCPUs=1, guestId="otherGuest",
                             files=vim.vm.FileInfo(vmPathName="[datastore1]"))
    vm = wait_for_task(direct, place.vmFolder.CreateVM_Task(
        config=spec, pool=place.hostFolder.childEntity[0].resourcePool))
    wait_until(lambda: find(si, vim.VirtualMachine, "by-hand"), QUICKLY_S, "the VM is shown", 0.1)
    wait_for_task(direct, vm.Destroy_Task())
    wait_until(lambda: find(si, vim.VirtualMachine, "by-hand") is None, QUICKLY_S,
               "the VM is gone", 0.1)
    Disconnect(direct)

# SPDX-License-Identifier: Apache-2.0
"""Virtual machines of one host, as unmodified clients make, change, run and remove them."""

import os
import re
import socket
import threading

import pytest

import daemon
from daemon import wait_until
from govc import Govc, Refused
from vmomi import Disconnect, connect, find, vim, vmodl, wait_for_task

GUEST_SIZE = "20MB"


@pytest.fixture(scope="module")
def node(module_rig):
    return module_rig.host(memory_mib=1024)


@pytest.fixture(scope="module")
def govc(node, module_rig):
    return Govc(node.url, node.user, node.password, module_rig.folder)


@pytest.fixture
def si(node):
    si = connect(node)
    yield si
    Disconnect(si)


def folder_of(si):
    return si.content.rootFolder.childEntity[0].vmFolder


def pool_of(si):
    return si.content.rootFolder.childEntity[0].hostFolder.childEntity[0].resourcePool


def spec_of(name, **more):
    files = vim.vm.FileInfo(vmPathName="[datastore1]")
    return vim.vm.ConfigSpec(name=name, files=files, numCPUs=1, memoryMB=64,
                             guestId="otherLinux64Guest", **more)


def create(si, name, **more):
    return wait_for_task(si, folder_of(si).CreateVM_Task(spec_of(name, **more), pool_of(si)))


def disk(kb, key=-101, controller=-100):
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(diskMode="persistent",
                                                            thinProvisioned=True)
    device = vim.vm.device.VirtualDisk(key=key, controllerKey=controller, unitNumber=0,
                                       capacityInKB=kb, backing=backing)
    return vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create",
                                           device=device)


def scsi():
    device = vim.vm.device.ParaVirtualSCSIController(key=-100, busNumber=0,
                                                     sharedBus="noSharing")
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=device)


def serial():
    device = vim.vm.device.VirtualSerialPort(key=-102, yieldOnPoll=True)
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=device)


def guest_image():
    path = os.path.join(daemon.build_folder(), "guest", "guest.raw")
    if not os.path.exists(path):
        pytest.skip(f"{path} is not built")
    return path


# ---- govc ----

def test_govc_makes_a_vm_and_shows_it(govc):
    govc("vm.create", "-on=false", "-c", "2", "-m", "128", "-disk", "10MB", "-net", "VM Network",
         "-net.adapter", "vmxnet3", "-firmware", "efi", "made")
    info = govc("vm.info", "made")
    assert "128MB" in info and "2 vCPU" in info and "poweredOff" in info
    devices = govc("device.ls", "-vm", "made")
    assert "disk-1000-0" in devices and "ethernet-0" in devices
    assert "VM Network" in govc("device.info", "-vm", "made", "ethernet-0")
    listing = govc("datastore.ls", "made")
    assert {"made.vmx", "made.vmdk", "made-flat.vmdk"} <= set(listing.split())
    assert "/ha-datacenter/vm/made" in govc("find", "/", "-type", "m")


def test_govc_changes_a_vm(govc):
    govc("vm.change", "-vm", "made", "-c", "1", "-m", "64", "-annotation", "two\nlines",
         "-e", "guestinfo.color=green", "-name", "changed")
    info = govc("vm.info", "-e", "changed")
    assert "64MB" in info and "guestinfo.color:  green" in info
    cdrom = govc("device.cdrom.add", "-vm", "changed").strip()
    assert cdrom in govc("device.ls", "-vm", "changed")
    govc("vm.disk.create", "-vm", "changed", "-name", "made/second", "-size", "20M")
    assert "made/second.vmdk" in govc("device.info", "-vm", "changed", "disk-*")
    govc("device.remove", "-vm", "changed", "disk-1000-1")
    assert "second.vmdk" not in govc("datastore.ls", "made")
    govc("device.serial.add", "-vm", "changed")
    with pytest.raises(Refused):
        govc("vm.change", "-vm", "changed", "-m", "3")
    with pytest.raises(Refused):
        govc("vm.create", "-on=false", "changed")


def test_govc_drives_power(govc):
    govc("vm.power", "-on", "changed")
    assert "poweredOn" in govc("vm.info", "changed")
    with pytest.raises(Refused, match="poweredOn"):
        govc("vm.power", "-on", "changed")
    with pytest.raises(Refused):
        govc("vm.change", "-vm", "changed", "-c", "2")
    govc("vm.power", "-suspend", "changed")
    assert "suspended" in govc("vm.info", "changed")
    govc("vm.power", "-on", "changed")
    govc("vm.power", "-reset", "changed")
    govc("vm.power", "-off", "changed")
    assert "poweredOff" in govc("vm.info", "changed")
    events = govc("events", "vm/changed")
    for word in ("powered on", "suspended", "powered off", "reset"):
        assert word in events


def test_govc_registers_and_destroys(govc):
    govc("vm.unregister", "changed")
    assert "changed" not in govc("ls", "vm")
    govc("vm.register", "-name", "back", "made/made.vmx")
    assert "green" in govc("vm.info", "-e", "back")
    with pytest.raises(Refused):
        govc("vm.register", "made/made.vmx")
    with pytest.raises(Refused):
        govc("vm.register", "no/such.vmx")
    govc("vm.destroy", "back")
    assert "back" not in govc("ls", "vm")
    assert "made" not in govc("datastore.ls")


# ---- pyvmomi ----

def test_faults_are_typed(si):
    vm = create(si, "typed")
    with pytest.raises(vim.fault.InvalidPowerState) as caught:
        wait_for_task(si, vm.PowerOffVM_Task())
    assert caught.value.existingState == "poweredOff"
    with pytest.raises(vim.fault.DuplicateName) as caught:
        create(si, "typed")
    assert caught.value.object == vm
    for name in ("", "..", "x" * 300):
        with pytest.raises(vim.fault.InvalidName):
            create(si, name)
    with pytest.raises(vim.fault.InvalidDatastore):
        spec = spec_of("nowhere")
        spec.files.vmPathName = "[nowhere]"
        wait_for_task(si, folder_of(si).CreateVM_Task(spec, pool_of(si)))
    with pytest.raises(vim.fault.ToolsUnavailable):
        wait_for_task(si, vm.PowerOnVM_Task())
        vm.ShutdownGuest()
    with pytest.raises(vim.fault.InvalidPowerState):
        wait_for_task(si, vm.Destroy_Task())
    wait_for_task(si, vm.PowerOffVM_Task())
    with pytest.raises(vim.fault.ConcurrentAccess):
        stale = vim.vm.ConfigSpec(changeVersion="2001-01-01T00:00:00Z", annotation="late")
        wait_for_task(si, vm.ReconfigVM_Task(stale))
    big = create(si, "big")
    wait_for_task(si, big.ReconfigVM_Task(vim.vm.ConfigSpec(memoryMB=4096)))
    with pytest.raises(vim.fault.InsufficientMemoryResourcesFault) as caught:
        wait_for_task(si, big.PowerOnVM_Task())
    assert caught.value.requested == 4096 << 20
    wait_for_task(si, big.Destroy_Task())
    wait_for_task(si, vm.Destroy_Task())
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        vm.PowerOnVM_Task()


def test_a_slash_in_a_name_is_escaped(si):
    vm = create(si, "a/b")
    assert vm.name == "a%2fb"
    assert "/" not in vm.config.files.vmPathName.split("] ")[1].split("/")[0]
    wait_for_task(si, vm.Destroy_Task())


def test_what_a_vm_shows(si):
    vm = create(si, "shown", deviceChange=[scsi(), disk(10240), serial()])
    assert vm.runtime.powerState == "poweredOff" and vm.runtime.bootTime is None
    assert vm.runtime.connectionState == "connected"
    assert vm.guest.toolsStatus == "toolsNotInstalled"
    assert vm.summary.config.numVirtualDisks == 1
    assert vm.summary.config.memorySizeMB == 64
    assert {f.type for f in vm.layoutEx.file} >= {"config", "diskDescriptor", "diskExtent"}
    assert vm.storage.perDatastoreUsage[0].datastore == vm.datastore[0]
    assert vm.resourceConfig.entity == vm
    assert "PowerOffVM_Task" in vm.disabledMethod
    assert vm.environmentBrowser is not None and vm.capability is not None
    ports = [d for d in vm.config.hardware.device
             if isinstance(d, vim.vm.device.VirtualSerialPort)]
    assert ports[0].backing.serviceURI == "unix:serial0.sock"
    wait_for_task(si, vm.PowerOnVM_Task())
    assert vm.runtime.bootTime is not None and vm.summary.runtime.powerState == "poweredOn"
    wait_for_task(si, vm.PowerOffVM_Task())
    wait_for_task(si, vm.Destroy_Task())


def test_waiting_clients_hear_of_power(node, si):
    vm = create(si, "heard")
    heard, ready = [], threading.Event()

    def listen():
        other = connect(node)
        collector = other.content.propertyCollector
        spec = vmodl.query.PropertyCollector.FilterSpec(
            objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=vm)],
            propSet=[vmodl.query.PropertyCollector.PropertySpec(
                type=vim.VirtualMachine, pathSet=["runtime.powerState"])])
        collector.CreateFilter(spec, True)
        version = collector.WaitForUpdates("").version
        ready.set()
        update = collector.WaitForUpdates(version)
        heard.extend(c.val for c in update.filterSet[0].objectSet[0].changeSet)
        Disconnect(other)

    thread = threading.Thread(target=listen)
    thread.start()
    assert ready.wait(30)
    wait_for_task(si, vm.PowerOnVM_Task())
    thread.join(30)
    assert heard == ["poweredOn"]
    wait_for_task(si, vm.PowerOffVM_Task())
    wait_for_task(si, vm.Destroy_Task())


# ---- real guests ----

def read_until(path, pattern, seconds, node):
    def found():
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                return re.search(pattern, log.read())
        except OSError:
            return None
    return wait_until(found, seconds, f"{pattern} on {path}\n{node.log_tail()}", 0.2)


def test_a_guest_boots_and_outlives_its_agent(node, govc, si):
    image = guest_image()
    govc("vm.create", "-on=false", "-m", "128", "-disk", GUEST_SIZE, "-net", "VM Network",
         "guest")
    govc("device.serial.add", "-vm", "guest")
    govc("datastore.upload", image, "guest/guest-flat.vmdk")
    govc("vm.power", "-on", "guest")
    folder = os.path.join(node.state, "datastores", "datastore1", "guest")
    read_until(os.path.join(folder, "serial0.log"), "login: ", 180, node)
    machines = node.machines()
    assert len(machines) == 1

    node.kill()
    assert node.machines() == machines
    node.start()
    assert "poweredOn" in govc("vm.info", "guest")
    assert node.machines() == machines
    with socket.socket(socket.AF_UNIX) as console:
        console.settimeout(30)
        console.connect(os.path.join(folder, "serial0.sock"))
        console.sendall(b"\n")
        text = b""
        while b"login: " not in text:
            text += console.recv(4096)
    again = connect(node)
    vm = find(again, vim.VirtualMachine, "guest")
    assert vm.runtime.bootTime is not None
    wait_for_task(again, vm.SuspendVM_Task())
    assert vm.runtime.powerState == "suspended" and not node.machines()
    Disconnect(again)
    node.stop()
    node.start()
    assert "suspended" in govc("vm.info", "guest")
    govc("vm.power", "-on", "guest")
    # A machine that dies is seen.
    node.end_machines()
    wait_until(lambda: "poweredOff" in govc("vm.info", "guest"), 20, "the VM is shown as off")
    govc("vm.destroy", "guest")
    assert not os.path.exists(folder)

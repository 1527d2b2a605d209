# SPDX-License-Identifier: Apache-2.0
"""virsh: esx:// on hosts, vpx:// on managers. The machine is made by govc, then virsh leads it."""

import re

from compat import HOSTS, Table
from virsh import Refused

VIRSH = Table("virsh", Refused)
row = VIRSH.row
VM = "compat-virsh"


def state(t):
    return t.virsh("domstate", VM).strip()


@row("connect, version")
def version(t):
    told = t.virsh.table("version")
    assert told["Running hypervisor"].startswith("VPX" if t.is_manager else "ESX") or \
        re.match(r"\w+ \d+\.\d+", told["Running hypervisor"])


@row("hostname")
def hostname(t):
    assert t.virsh("hostname").strip()


@row("nodeinfo")
def nodeinfo(t):
    told = t.virsh.table("nodeinfo")
    assert int(told["CPU(s)"]) >= 1 and int(told["Memory size"].split()[0]) > 0
    assert told["CPU model"] in ("x86_64", "aarch64") or told["CPU model"]


@row("capabilities")
def capabilities(t):
    assert "<capabilities>" in t.virsh("capabilities")


@row("list --all")
def list_all(t):
    t.govc("vm.create", "-on=false", "-m", "32", "-disk", "4MB", "-net.adapter", "vmxnet3",
           "-g", "otherGuest64", VM)
    assert re.search(rf"^\s*-\s+{VM}\s+shut off$", t.virsh("list", "--all"), re.M)


@row("dominfo", after="list --all")
def dominfo(t):
    told = t.virsh.table("dominfo", VM)
    assert told["Name"] == VM and told["State"] == "shut off"
    assert told["CPU(s)"] == "1" and told["Max memory"] == "32768 KiB"
    assert told["UUID"] == t.get(f"{t.vm_folder}/{VM}", "config.uuid")


@row("domuuid, domid", after="list --all")
def domuuid(t):
    uuid = t.virsh("domuuid", VM).strip()
    assert t.virsh("domname", uuid).strip() == VM


@row("dumpxml", after="list --all")
def dumpxml(t):
    text = t.virsh("dumpxml", VM)
    assert f"<name>{VM}</name>" in text and "<memory unit='KiB'>32768</memory>" in text
    assert f"<source file='[{t.datastore}] {VM}/{VM}.vmdk'/>" in text
    assert "<model type='vmxnet3'/>" in text


@row("start", after=("dominfo", "dumpxml"))
def start(t):
    t.virsh("start", VM)
    assert state(t) == "running"
    assert t.get(f"{t.vm_folder}/{VM}", "runtime.powerState") == "poweredOn"


@row("list", after="start")
def list_running(t):
    assert re.search(rf"^\s*\d+\s+{VM}\s+running$", t.virsh("list"), re.M)


@row("start (running)", after="start")
def start_twice(t):
    try:
        t.virsh("start", VM)
    except Refused as refused:
        assert "powered off" in str(refused) or "active" in str(refused)
    else:
        raise AssertionError("not refused")


@row("suspend", after="list")
def suspend(t):
    t.virsh("suspend", VM)
    assert state(t) in ("paused", "pmsuspended")
    assert t.get(f"{t.vm_folder}/{VM}", "runtime.powerState") == "suspended"


@row("resume", after="suspend")
def resume(t):
    t.virsh("resume", VM)
    assert state(t) == "running"


@row("reset / reboot", after="resume")
def reboot(t):
    """libvirt asks the guest's tools, which are not there."""
    try:
        t.virsh("reboot", VM)
    except Refused as refused:
        assert "tools" in str(refused).lower()
    assert state(t) == "running"


@row("destroy", after="reset / reboot")
def destroy(t):
    t.virsh("destroy", VM)
    assert state(t) == "shut off"


@row("setvcpus", after="destroy")
def set_vcpus(t):
    t.virsh("setvcpus", VM, "2")
    assert t.get(f"{t.vm_folder}/{VM}", "config.hardware.numCPU") == "2"


@row("schedinfo --set", after="destroy")
def schedinfo(t):
    t.virsh("schedinfo", VM, "--set", "limit=500")
    assert t.get(f"{t.vm_folder}/{VM}", "config.cpuAllocation.limit") == "500"
    assert t.virsh.table("schedinfo", VM)["limit"] == "500"


@row("domblklist, domiflist", after="list --all")
def device_lists(t):
    assert f"{VM}/{VM}.vmdk" in t.virsh("domblklist", VM)
    assert "VM Network" in t.virsh("domiflist", VM)


@row("autostart", on=HOSTS, after="destroy")
def autostart(t):
    t.virsh("autostart", VM)
    assert t.virsh.table("dominfo", VM)["Autostart"] == "enable"
    t.virsh("autostart", "--disable", VM)


@row("net-list")
def net_list(t):
    assert re.search(r"^\s*vSwitch0\s+active", t.virsh("net-list"), re.M)


@row("net-dumpxml", after="net-list")
def net_dumpxml(t):
    """A network is what libvirt calls a virtual switch; its port groups are in it."""
    text = t.virsh("net-dumpxml", "vSwitch0")
    assert "<name>vSwitch0</name>" in text and "<portgroup name='VM Network'" in text


@row("pool-list")
def pool_list(t):
    assert re.search(rf"^\s*{re.escape(t.datastore)}\s+active", t.virsh("pool-list"), re.M)


@row("pool-info", after="pool-list")
def pool_info(t):
    told = t.virsh.table("pool-info", t.datastore)
    assert told["State"] == "running" and float(told["Capacity"].split()[0]) > 0


@row("vol-list", after=("pool-list", "list --all"))
def vol_list(t):
    assert f"{VM}/{VM}.vmdk" in t.virsh("vol-list", t.datastore)


@row("vol-info", after="vol-list")
def vol_info(t):
    told = t.virsh.table("vol-info", "--pool", t.datastore, f"{VM}/{VM}.vmdk")
    assert told["Type"] == "file" and told["Capacity"].startswith("4.00 MiB")


@row("snapshot-create-as", after="list --all", missing="snapshots", refusal="not supported")
def snapshot(t):
    t.virsh("snapshot-create-as", VM, "one")


@row("vol-create-as, vol-delete", after="pool-list")
def vol_create(t):
    name = "compat-vol/compat.vmdk"
    t.virsh("vol-create-as", t.datastore, name, "4M", "--format", "vmdk")
    assert name in t.virsh("vol-list", t.datastore)
    t.virsh("vol-delete", "--pool", t.datastore, name)
    assert name not in t.virsh("vol-list", t.datastore)
    t.govc("datastore.rm", "compat-vol")


@row("undefine", after=("destroy", "setvcpus", "schedinfo --set", "autostart", "vol-info"))
def undefine(t):
    t.virsh("undefine", VM)
    assert VM not in t.virsh("list", "--all")
    t.govc("vm.register", f"{VM}/{VM}.vmx")
    t.govc("vm.destroy", VM)

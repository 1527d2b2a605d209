# SPDX-License-Identifier: Apache-2.0
"""govc: virtual machines and their devices."""

import re

import vmomi
from compat import HOSTS, MANAGERS, MOVES, NO_MOVES, REAL
from compat_govc import GOVC
from compat_govc_host import spare_adapter
from govc import table

row = GOVC.row


def expect_power(t, wanted):
    assert t.get(t.vm_path, "runtime.powerState") == wanted
    assert table(t.govc("vm.info", t.vm))["Power state"] == wanted


# ---- creating, looking, changing ----

@row("vm.create")
def vm_create(t):
    t.govc("vm.create", "-on=false", "-m", "64", "-c", "1", "-g", "otherGuest64", "-disk", "16MB",
           "-net.adapter", "vmxnet3", "-annotation", "made by govc", t.vm)
    assert t.vm_path in t.govc.lines("find", "/", "-type", "m")
    assert t.get(t.vm_path, "config.hardware.memoryMB") == "64"
    assert t.get(t.vm_path, "config.annotation") == "made by govc"
    assert {f"{t.vm}.vmx", f"{t.vm}.vmdk"} <= set(t.files(t.vm))


@row("vm.create (taken name)", after="vm.create")
def vm_create_twice(t):
    assert "already exists" in t.govc.refusal("vm.create", "-on=false", t.vm)


@row("vm.info", after="vm.create")
def vm_info(t):
    told = table(t.govc("vm.info", t.vm))
    assert told["Name"] == t.vm and told["Path"] == t.vm_path
    assert told["Memory"] == "64MB" and told["CPU"] == "1 vCPU(s)"
    assert told["Power state"] == "poweredOff" and told["Host"] == t.host_name
    assert re.fullmatch(r"[0-9a-f-]{36}", told["UUID"])


@row("vm.info -json", after="vm.create")
def vm_info_json(t):
    vm = t.govc.json("vm.info", t.vm)["VirtualMachines"][0]
    assert vm["Config"]["GuestId"] == "otherGuest64"
    assert vm["Config"]["Files"]["VmPathName"] == f"[{t.datastore}] {t.vm}/{t.vm}.vmx"
    assert vm["Summary"]["Config"]["NumVirtualDisks"] == 1


@row("vm.info -r", after="vm.create")
def vm_info_resources(t):
    told = table(t.govc("vm.info", "-r", t.vm))
    assert told["Network"] == "VM Network" and t.datastore in told["Storage"]


@row("vm.info -vm.uuid", after="vm.create")
def vm_info_uuid(t):
    uuid = t.get(t.vm_path, "config.uuid")
    assert table(t.govc("vm.info", "-vm.uuid", uuid))["Name"] == t.vm


@row("ls vm, find -type m", after="vm.create")
def vm_find(t):
    assert t.vm_path in t.govc.lines("ls", "vm")
    found = t.govc.lines("find", "/", "-type", "m", "-runtime.powerState", "poweredOff")
    assert t.vm_path in found


@row("object.collect -type m", after="vm.create")
def vm_collect(t):
    lines = t.govc.lines("object.collect", "-s", "-type", "m", "/", "name")
    assert t.vm in lines


@row("vm.change", after="vm.info")
def vm_change(t):
    t.govc("vm.change", "-vm", t.vm, "-m", "96", "-c", "2", "-annotation", "changed")
    assert t.get(t.vm_path, "config.hardware.memoryMB") == "96"
    assert t.get(t.vm_path, "config.hardware.numCPU") == "2"
    assert t.get(t.vm_path, "summary.config.annotation") == "changed"


@row("vm.change -e", after="vm.create")
def vm_change_extra(t):
    t.govc("vm.change", "-vm", t.vm, "-e", "guestinfo.compat=a value")
    assert re.search(r"guestinfo\.compat:\s+a value", t.govc("vm.info", "-e", t.vm))


@row("vm.change -cpu.limit, -mem.shares", after="vm.create")
def vm_change_allocation(t):
    t.govc("vm.change", "-vm", t.vm, "-cpu.limit", "800", "-mem.shares", "high")
    assert t.get(t.vm_path, "config.cpuAllocation.limit") == "800"
    assert t.get(t.vm_path, "config.memoryAllocation.shares.level") == "high"


@row("vm.change -name", after="vm.info -json")
def vm_change_name(t):
    t.govc("vm.change", "-vm", t.vm, "-name", f"{t.vm}-2")
    assert t.get(f"{t.vm_path}-2", "name") == f"{t.vm}-2"
    t.govc("object.rename", f"{t.vm_path}-2", t.vm)
    assert t.get(t.vm_path, "config.name") == t.vm


@row("vm.option.info", after="vm.create")
def vm_option_info(t):
    assert re.search(r"^otherGuest64\s", t.govc("vm.option.info", "-vm", t.vm), re.M)


@row("fields.set (machine)", on=MANAGERS, after="vm.create")
def fields_set_vm(t):
    t.govc("fields.set", "-add", "-type", "VirtualMachine", "compat-vm-field", "blue", t.vm_path)
    assert "blue" in t.govc("fields.info", t.vm_path)
    t.govc("fields.rm", "compat-vm-field")


# ---- moving ----

@row("vm.migrate -pool", on=MANAGERS, after="vm.create")
def migrate_pool(t):
    pool, before = f"{t.pool}/compat-move", t.get(t.vm_path, "resourcePool")
    t.govc("pool.create", pool)
    t.govc("vm.migrate", "-pool", pool, t.vm)
    assert t.get(t.vm_path, "resourcePool") != before
    assert t.get(pool, "vm") == t.govc("find", "-i", t.vm_path).strip()
    t.govc("vm.migrate", "-pool", t.pool, t.vm)
    assert t.get(t.vm_path, "resourcePool") == before
    t.govc("pool.destroy", pool)


@row("vm.migrate -host", on=MANAGERS, after="vm.create", missing=MOVES, refusal=NO_MOVES)
def migrate_host(t):
    reference = t.govc("find", "-i", t.vm_path).strip()
    other = next(path for path in t.govc.lines("find", "/", "-type", "h") if path != t.host)
    for host in (other, t.host):
        store = t.get(t.get(host, "datastore"), "name")
        t.govc("vm.migrate", "-host", host, "-pool", f"{host.rsplit('/', 1)[0]}/Resources",
               "-ds", store, t.vm)
        assert table(t.govc("vm.info", t.vm))["Host"] == host.rsplit("/", 1)[1]
        assert t.govc("find", "-i", t.vm_path).strip() == reference


# ---- devices ----

@row("device.ls", after="vm.create")
def device_ls(t):
    types = set(t.devices().values())
    assert {"VirtualIDEController", "VirtualDisk", "VirtualVmxnet3",
            "VirtualMachineVideoCard"} <= types


@row("device.info", after="vm.create")
def device_info(t):
    disk = t.device("disk-*")
    assert disk["Type"] == "VirtualDisk" and disk["CapacityInKB"] == 16384
    assert disk["Backing"]["FileName"].startswith(f"[{t.datastore}] {t.vm}/")
    assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", t.device("ethernet-*")["MacAddress"])


@row("device.cdrom.add", after="vm.create")
def cdrom_add(t):
    name = t.govc("device.cdrom.add", "-vm", t.vm).strip()
    assert t.devices()[name] == "VirtualCdrom"
    t.notes["cdrom"] = name


@row("device.cdrom.insert", after="device.cdrom.add")
def cdrom_insert(t):
    t.govc("datastore.upload", t.file("compat.iso", b"\0" * 65536), "compat.iso")
    t.govc("device.cdrom.insert", "-vm", t.vm, "-device", t.notes["cdrom"], "compat.iso")
    assert t.device("cdrom-*")["Backing"]["FileName"] == f"[{t.datastore}] compat.iso"


@row("device.cdrom.eject", after="device.cdrom.insert")
def cdrom_eject(t):
    t.govc("device.cdrom.eject", "-vm", t.vm, "-device", t.notes["cdrom"])
    assert "compat.iso" not in t.govc("device.info", "-vm", t.vm, "cdrom-*")
    t.govc("datastore.rm", "compat.iso")


@row("device.serial.add", after="vm.create")
def serial_add(t):
    name = t.govc("device.serial.add", "-vm", t.vm).strip()
    assert t.devices()[name] == "VirtualSerialPort"
    t.notes["serial"] = name


@row("device.serial.connect (file)", after="device.serial.add")
def serial_connect_file(t):
    t.govc("device.serial.connect", "-vm", t.vm, "-device", t.notes["serial"], "-")
    backing = t.device("serialport-*")["Backing"]
    assert backing["FileName"] == f"[{t.datastore}] {t.vm}/{t.notes['serial']}.log"


@row("device.serial.disconnect", after="device.serial.connect (file)")
def serial_disconnect(t):
    t.govc("device.serial.disconnect", "-vm", t.vm, "-device", t.notes["serial"])
    assert "FileName" not in t.device("serialport-*")["Backing"]


@row("device.scsi.add", after="vm.create")
def scsi_add(t):
    name = t.govc("device.scsi.add", "-vm", t.vm, "-type", "pvscsi").strip()
    assert t.devices()[name] == "ParaVirtualSCSIController"
    t.notes["scsi"] = name


@row("device.usb.add", after="vm.create", missing="USB controllers",
     refusal="VirtualUSBXHCIController")
def usb_add(t):
    name = t.govc("device.usb.add", "-vm", t.vm, "-type", "xhci").strip()
    assert t.devices()[name] == "VirtualUSBXHCIController"
    t.govc("device.remove", "-vm", t.vm, name)


@row("device.remove", after="device.scsi.add")
def device_remove(t):
    t.govc("device.remove", "-vm", t.vm, t.notes["scsi"])
    assert t.notes["scsi"] not in t.devices()


@row("device.boot", after="vm.create")
def device_boot(t):
    t.govc("device.boot", "-vm", t.vm, "-delay", "100", "-order", "disk,ethernet")
    assert t.get(t.vm_path, "config.bootOptions.bootDelay") == "100"
    t.govc("device.boot", "-vm", t.vm, "-delay", "0", "-order", "-")


@row("vm.disk.create", after=("vm.create", "vm.info -json"))
def disk_create(t):
    before = sum(kind == "VirtualDisk" for kind in t.devices().values())
    t.govc("vm.disk.create", "-vm", t.vm, "-name", f"{t.vm}/second", "-size", "8M")
    disks = [name for name, kind in t.devices().items() if kind == "VirtualDisk"]
    assert len(disks) == before + 1 and "second.vmdk" in t.files(t.vm)


@row("vm.disk.change", after="vm.disk.create")
def disk_change(t):
    name = f"[{t.datastore}] {t.vm}/second.vmdk"
    t.govc("vm.disk.change", "-vm", t.vm, "-disk.filePath", name, "-size", "12M")
    sizes = {d["Backing"]["FileName"]: d["CapacityInKB"] for d in
             t.govc.json("device.info", "-vm", t.vm, "disk-*")["Devices"]}
    assert sizes[name] == 12288


@row("vm.disk.attach -link=false", after="vm.create")
def disk_attach(t):
    t.govc("datastore.mkdir", "-p", "compat-disks")
    t.govc("datastore.disk.create", "-size", "4M", "compat-disks/shared.vmdk")
    t.govc("vm.disk.attach", "-vm", t.vm, "-link=false", "-disk", "compat-disks/shared.vmdk")
    name = f"[{t.datastore}] compat-disks/shared.vmdk"
    found = {d["Backing"]["FileName"]: d["Name"] for d in
             t.govc.json("device.info", "-vm", t.vm, "disk-*")["Devices"]}
    t.notes["attached"] = found[name]


@row("device.remove -keep", after="vm.disk.attach -link=false")
def device_remove_keep(t):
    t.govc("device.remove", "-vm", t.vm, "-keep", t.notes["attached"])
    assert "shared.vmdk" in t.files("compat-disks")
    t.govc("datastore.rm", "compat-disks")


@row("vm.network.add", after="vm.create")
def network_add(t):
    before = set(t.devices())
    t.govc("vm.network.add", "-vm", t.vm, "-net.adapter", "e1000e", "-net.address",
           "00:50:56:00:11:22")
    name = (set(t.devices()) - before).pop()
    assert t.devices()[name] == "VirtualE1000e"
    assert t.device(name)["MacAddress"] == "00:50:56:00:11:22"
    t.notes["ethernet"] = name


@row("vm.network.change", after="vm.network.add")
def network_change(t):
    t.govc("vm.network.change", "-vm", t.vm, "-net", f"{t.datacenter}/network/VM Network",
           "-net.adapter", "e1000e", "-net.address", "00:50:56:00:11:33", t.notes["ethernet"])
    assert t.device(t.notes["ethernet"])["MacAddress"] == "00:50:56:00:11:33"


@row("vm.network.change (dvs)", on=MANAGERS, after="vm.network.change")
def network_change_dvs(t):
    t.govc("dvs.create", "compat-vm-dvs")
    t.govc("dvs.portgroup.add", "-dvs", "compat-vm-dvs", "compat-vm-pg")
    words = ("vm.network.change", "-vm", t.vm, "-net.adapter", "e1000e", "-net.address",
             "00:50:56:00:11:33", "-net")
    assert "not a member" in t.govc.refusal(*words, "compat-vm-pg", t.notes["ethernet"])
    t.govc("dvs.add", "-dvs", "compat-vm-dvs", "-pnic", spare_adapter(t), t.host)
    t.govc(*words, "compat-vm-pg", t.notes["ethernet"])
    port = t.device(t.notes["ethernet"])["Backing"]["Port"]
    group = vmomi.find(t.si, vmomi.vim.dvs.DistributedVirtualPortgroup, "compat-vm-pg")
    assert port["PortKey"] in group.portKeys and [vm.name for vm in group.vm] == [t.vm]
    assert "compat-vm-pg" in t.govc.refusal("object.destroy", "network/compat-vm-pg")
    t.govc(*words, f"{t.datacenter}/network/VM Network", t.notes["ethernet"])
    t.govc("object.destroy", "network/compat-vm-dvs")
    assert "compat-vm-" not in t.govc("ls", "network")


# ---- power ----

@row("vm.power -on", after="vm.change")
def power_on(t):
    t.govc("vm.power", "-on", t.vm)
    expect_power(t, "poweredOn")
    assert table(t.govc("vm.info", t.vm))["Boot time"].startswith("20")


@row("vm.power -on (running)", after="vm.power -on")
def power_on_twice(t):
    assert re.search("[Pp]owered ?[Oo]n", t.govc.refusal("vm.power", "-on", t.vm))
    expect_power(t, "poweredOn")


@row("vm.destroy (running)", on=HOSTS, after="vm.power -on")
def destroy_running(t):
    assert t.govc.refusal("object.destroy", t.vm_path)
    expect_power(t, "poweredOn")


@row("device.disconnect, connect (running)", after=("vm.power -on", "vm.network.change"))
def device_connect(t):
    t.govc("device.disconnect", "-vm", t.vm, t.notes["ethernet"])
    assert t.device(t.notes["ethernet"])["Connectable"]["Connected"] is False
    t.govc("device.connect", "-vm", t.vm, t.notes["ethernet"])
    assert t.device(t.notes["ethernet"])["Connectable"]["Connected"] is True


@row("vm.power -suspend", after="vm.power -on")
def power_suspend(t):
    t.govc("vm.power", "-suspend", t.vm)
    expect_power(t, "suspended")


@row("vm.power -on (suspended)", after="vm.power -suspend")
def power_resume(t):
    t.govc("vm.power", "-on", t.vm)
    expect_power(t, "poweredOn")


@row("vm.power -reset", after="vm.power -on (suspended)")
def power_reset(t):
    t.govc("vm.power", "-reset", t.vm)
    expect_power(t, "poweredOn")


@row("vm.power -s", after="vm.power -on (suspended)")
def power_shutdown(t):
    """Asks the guest's tools: simulated guests have them."""
    if t.kind in REAL:
        assert "tools" in t.govc.refusal("vm.power", "-s", t.vm).lower()
    else:
        t.govc("vm.power", "-s", t.vm)
        t.wait_get(t.vm_path, "runtime.powerState", "poweredOff")
        t.govc("vm.power", "-on", t.vm)


@row("vm.power -off", after=("vm.power -reset", "vm.power -s"))
def power_off(t):
    t.govc("vm.power", "-off", t.vm)
    expect_power(t, "poweredOff")


@row("vm.power -M -on", on=MANAGERS, after="vm.power -off")
def power_on_multi(t):
    t.govc("vm.power", "-M", "-on", t.vm)
    t.wait_get(t.vm_path, "runtime.powerState", "poweredOn")
    t.govc("vm.power", "-off", "-force", t.vm)
    expect_power(t, "poweredOff")


@row("events PATH", after="vm.power -off")
def vm_events(t):
    told = t.govc("events", "-n", "100", t.vm_path)
    assert "powered on" in told.lower() and "powered off" in told.lower()


@row("events -type VmPoweredOnEvent", after="vm.power -off")
def vm_events_type(t):
    lines = t.govc.lines("events", "-type", "VmPoweredOnEvent", t.vm_path)
    assert lines and all("powered on" in line.lower() for line in lines)


@row("tasks (machine)", after="vm.power -off")
def vm_tasks(t):
    told = t.govc("tasks", "-n", "100", t.vm_path)
    assert "PowerOffVM" in told, told


@row("vm.question", after="vm.create")
def vm_question(t):
    assert "No pending question" in t.govc("vm.question", "-vm", t.vm)


@row("vm.ip -wait", after="vm.create")
def vm_ip(t):
    """No guest tools there: none within the time given."""
    assert t.govc("vm.ip", "-wait", "1s", t.vm).strip() == ""


# ---- names, templates, registering ----

@row("vm.markastemplate", after="vm.power -off")
def mark_template(t):
    t.govc("vm.markastemplate", t.vm)
    assert t.get(t.vm_path, "config.template") == "true"
    assert t.govc.refusal("vm.power", "-on", t.vm)


@row("vm.markasvm", after="vm.markastemplate")
def mark_vm(t):
    t.govc("vm.markasvm", "-host", t.host, "-pool", t.pool, t.vm)
    assert t.get(t.vm_path, "config.template") == "false"


@row("object.rename (machine)", after="vm.power -off")
def rename(t):
    t.govc("object.rename", t.vm_path, "compat vm/two")
    name = f"{t.vm_folder}/compat vm%2ftwo"
    assert name in t.govc.lines("ls", "vm")
    t.govc("object.rename", name, t.vm)


@row("object.mv (machine)", on=MANAGERS, after="object.rename (machine)")
def move(t):
    t.govc("folder.create", f"{t.vm_folder}/compat-home")
    t.govc("object.mv", t.vm_path, f"{t.vm_folder}/compat-home")
    assert t.govc.lines("ls", f"{t.vm_folder}/compat-home") == [
        f"{t.vm_folder}/compat-home/{t.vm}"]
    t.govc("object.mv", f"{t.vm_folder}/compat-home/{t.vm}", t.vm_folder)
    t.govc("object.destroy", f"{t.vm_folder}/compat-home")


@row("vm.unregister", after=("vm.markasvm", "object.rename (machine)", "vm.disk.change",
                             "vm.network.change", "events PATH", "tasks (machine)"))
def unregister(t):
    t.govc("vm.unregister", t.vm)
    assert t.vm_path not in t.govc.lines("find", "/", "-type", "m")
    assert f"{t.vm}.vmx" in t.files(t.vm)


@row("vm.register", after="vm.unregister")
def register(t):
    t.govc("vm.register", f"{t.vm}/{t.vm}.vmx")
    assert t.get(t.vm_path, "config.hardware.memoryMB") == "96"
    assert t.get(t.vm_path, "config.hardware.numCPU") == "2"
    assert {"VirtualDisk", "VirtualE1000e"} <= set(t.devices().values())


@row("vm.create -firmware efi")
def create_efi(t):
    t.govc("vm.create", "-on=false", "-m", "64", "-firmware", "efi", "-disk.controller", "pvscsi",
           "-disk", "4MB", "compat-efi")
    assert t.get(f"{t.vm_folder}/compat-efi", "config.firmware") == "efi"
    t.govc("vm.destroy", "compat-efi")


@row("vm.create -disk.controller nvme")
def create_nvme(t):
    t.govc("vm.create", "-on=false", "-m", "64", "-disk.controller", "nvme", "-disk", "4MB",
           "-on=true", "compat-nvme")
    assert "VirtualNVMEController" in t.devices("compat-nvme").values()
    t.govc("vm.destroy", "compat-nvme")


@row("vm.create -iso")
def create_iso(t):
    t.govc("datastore.upload", t.file("boot.iso", b"\0" * 4096), "compat-boot.iso")
    t.govc("vm.create", "-on=false", "-m", "64", "-iso", "compat-boot.iso", "compat-iso")
    assert t.device("cdrom-*", "compat-iso")["Backing"]["FileName"].endswith("compat-boot.iso")
    t.govc("vm.destroy", "compat-iso")
    assert "compat-boot.iso" in t.files("")
    t.govc("datastore.rm", "compat-boot.iso")


# ---- what later issues bring ----

LATER = {
    "snapshot.create": ("snapshots", ("snapshot.create", "-vm", "{vm}", "one")),
    "vm.clone": ("clones", ("vm.clone", "-vm", "{vm}", "-on=false", "compat-clone")),
    "vm.console": ("screens of machines", ("vm.console", "{vm}")),
    "vm.keystrokes": ("screens of machines", ("vm.keystrokes", "-vm", "{vm}", "-s", "x")),
    "vm.disk.attach -link": ("snapshots", ("vm.disk.attach", "-vm", "{vm}", "-disk",
                                           "{vm}/second.vmdk")),
    "export.ovf": ("export", ("export.ovf", "-vm", "{vm}", "{home}/ovf")),
    "guest.run": ("guest tools", ("guest.ls", "-vm", "{vm}", "-l", "user:pass", "/")),
}


@row("vm.destroy", after=("vm.register", "vm.create -disk.controller nvme"))
def destroy(t):
    t.govc("vm.destroy", t.vm)
    assert t.vm_path not in t.govc.lines("find", "/", "-type", "m")
    assert t.vm not in t.files("")

# SPDX-License-Identifier: Apache-2.0
"""govc: hosts, their networks, and datastores."""

import re

import vmomi
from compat import CENTER, MANAGERS, REAL, SIMULATE
from compat_govc import GOVC
from daemon import wait_until
from govc import table

row = GOVC.row


# ---- hosts ----

@row("host.info")
def host_info(t):
    told = table(t.govc("host.info", "-host", t.host))
    assert told["Path"] == t.host and told["State"] == "connected"
    assert re.fullmatch(r"[1-9]\d* CPUs @ \d+MHz", told["Logical CPUs"])
    assert int(told["Memory"].removesuffix("MB")) > 0


@row("host.info -json")
def host_info_json(t):
    host = t.govc.json("host.info", "-host", t.host)["HostSystems"][0]
    assert host["Hardware"]["SystemInfo"]["Uuid"] == host["Summary"]["Hardware"]["Uuid"]
    if t.kind in REAL:
        assert host["Summary"]["Hardware"]["Uuid"] == t.notes["host uuid"]


@row("host.vswitch.info")
def vswitch_info(t):
    assert table(t.govc("host.vswitch.info"))["Name"] == "vSwitch0"


@row("host.portgroup.info")
def portgroup_info(t):
    told = t.govc("host.portgroup.info")
    assert re.search(r"Name:\s+VM Network\nVirtual switch:\s+vSwitch0", told)


@row("host.portgroup.add")
def portgroup_add(t):
    t.govc("host.portgroup.add", "-vswitch", "vSwitch0", "-vlan", "301", "compat-net")
    assert re.search(r"Name:\s+compat-net\n.*\nVLAN ID:\s+301", t.govc("host.portgroup.info"))
    assert f"{t.datacenter}/network/compat-net" in t.govc.lines("ls", "network")


@row("host.portgroup.change", after="host.portgroup.add")
def portgroup_change(t):
    t.govc("host.portgroup.change", "-vlan-id", "302", "compat-net")
    assert re.search(r"Name:\s+compat-net\n.*\nVLAN ID:\s+302", t.govc("host.portgroup.info"))


@row("host.portgroup.remove", after="host.portgroup.change")
def portgroup_remove(t):
    t.govc("host.portgroup.remove", "compat-net")
    assert "compat-net" not in t.govc("host.portgroup.info")
    assert f"{t.datacenter}/network/compat-net" not in t.govc.lines("ls", "network")


@row("host.vswitch.add")
def vswitch_add(t):
    t.govc("host.vswitch.add", "-mtu", "9000", "compat-switch")
    assert re.search(r"Name:\s+compat-switch\n", t.govc("host.vswitch.info"))


@row("host.vswitch.remove", after="host.vswitch.add")
def vswitch_remove(t):
    t.govc("host.vswitch.remove", "compat-switch")
    assert "compat-switch" not in t.govc("host.vswitch.info")


@row("host.vnic.info")
def vnic_info(t):
    assert re.search(r"Device:\s+vmk0", t.govc("host.vnic.info"))


@row("host.option.ls")
def host_option_ls(t):
    assert t.govc.lines("host.option.ls")


@row("host.service.ls")
def service_ls(t):
    assert t.govc.lines("host.service.ls")


@row("host.storage.info")
def storage_info(t):
    assert "Name" in t.govc("host.storage.info")


@row("host.date.info")
def date_info(t):
    assert re.search(r"Current date and time:", t.govc("host.date.info"))


@row("host.autostart.info")
def autostart_info(t):
    t.govc("host.autostart.info")


@row("host.cert.info", missing="changing certificates through the API", refusal="not supported")
def cert_info(t):
    assert re.search(r"Subject:", t.govc("host.cert.info"))


@row("host.maintenance.enter")
def maintenance_enter(t):
    """It would wait for machines that run."""
    machines = [t.govc("ls", "-L", reference).strip()
                for reference in t.get(t.host, "vm").split(",") if reference]
    t.notes["running"] = [path for path in machines
                          if t.get(path, "runtime.powerState") == "poweredOn"]
    if t.notes["running"]:
        t.govc("vm.power", "-off", *t.notes["running"])
    t.govc("host.maintenance.enter", t.host)
    assert t.get(t.host, "runtime.inMaintenanceMode") == "true"
    assert t.govc.refusal("vm.create", "-on=true", "-m", "32", "compat-in-maintenance")
    if f"{t.vm_folder}/compat-in-maintenance" in t.govc.lines("ls", "vm"):
        t.govc("vm.destroy", "compat-in-maintenance")


@row("host.maintenance.exit", after="host.maintenance.enter")
def maintenance_exit(t):
    t.govc("host.maintenance.exit", t.host)
    assert t.get(t.host, "runtime.inMaintenanceMode") == "false"
    if t.notes["running"]:
        t.govc("vm.power", "-on", *t.notes["running"])


# ---- hosts of a manager ----

def spare_words(t):
    address, user, password, print_ = t.add_host
    return ("-hostname", address, "-username", user, "-password", password, "-thumbprint", print_)


def spare_path(t):
    return f"{t.datacenter}/host/{t.notes['spare']}/{t.notes['spare']}"


@row("host.add (wrong thumbprint)", on=(CENTER,))
def host_add_distrust(t):
    address, user, password, print_ = t.add_host
    other = ("00" if print_[:2] != "00" else "11") + print_[2:]
    refusal = t.govc.refusal("host.add", "-hostname", address, "-username", user, "-password",
                             password, "-thumbprint", other)
    assert re.search("thumbprint|certificate|SSL", refusal), refusal


@row("host.add (wrong password)", on=(CENTER,))
def host_add_wrong(t):
    address, user, _, print_ = t.add_host
    refusal = t.govc.refusal("host.add", "-hostname", address, "-username", user, "-password",
                             "wrong", "-thumbprint", print_)
    assert re.search("password|login", refusal), refusal


@row("host.add", on=(CENTER,), after=("host.add (wrong thumbprint)", "host.add (wrong password)"))
def host_add(t):
    before = set(t.govc.lines("find", "/", "-type", "h"))
    t.govc("host.add", *spare_words(t))
    path = (set(t.govc.lines("find", "/", "-type", "h")) - before).pop()
    t.notes["spare"] = path.rsplit("/", 1)[1]
    assert path == spare_path(t)
    assert t.get(path, "runtime.connectionState") == "connected"


@row("host.disconnect", on=(CENTER,), after="host.add")
def host_disconnect(t):
    t.govc("host.disconnect", spare_path(t))
    assert t.get(spare_path(t), "runtime.connectionState") == "disconnected"


@row("host.reconnect", on=(CENTER,), after="host.disconnect")
def host_reconnect(t):
    t.govc("host.reconnect", spare_path(t))
    assert t.get(spare_path(t), "runtime.connectionState") == "connected"


@row("host.remove", on=(CENTER,), after="host.reconnect")
def host_remove(t):
    t.govc("host.disconnect", spare_path(t))
    t.govc("host.remove", spare_path(t))
    assert spare_path(t) not in t.govc.lines("find", "/", "-type", "h")


@row("cluster.add", on=(CENTER,), after="host.remove")
def cluster_add(t):
    t.govc("cluster.create", "compat-full")
    t.govc("cluster.add", "-cluster", f"{t.datacenter}/host/compat-full", *spare_words(t))
    hosts = t.govc.lines("ls", "-t", "HostSystem", f"{t.datacenter}/host/compat-full")
    assert len(hosts) == 1 and t.get(hosts[0], "runtime.connectionState") == "connected"
    t.notes["cluster host"] = hosts[0]


@row("cluster.usage", on=MANAGERS, after="cluster.add")
def cluster_usage(t):
    name = "DC0_C0" if t.kind == SIMULATE else "compat-full"
    assert table(t.govc("cluster.usage", name))["CPU capacity"] != "0.0GHz"


@row("object.destroy (cluster with host)", on=(CENTER,), after="cluster.usage")
def cluster_destroy(t):
    t.govc("object.destroy", f"{t.datacenter}/host/compat-full")
    assert t.notes["cluster host"] not in t.govc.lines("find", "/", "-type", "h")


@row("dvs.create", on=MANAGERS)
def dvs_create(t):
    t.govc("dvs.create", "compat-dvs")
    assert f"{t.datacenter}/network/compat-dvs" in t.govc.lines("ls", "network")


def dvs_of(t, name="compat-dvs"):
    return vmomi.find(t.si, vmomi.vim.DistributedVirtualSwitch, name)


def spare_adapter(t):
    """An adapter of the host that no switch has."""
    host = vmomi.find(t.si, vmomi.vim.HostSystem, t.host_name)
    return host.config.network.pnic[-1].device


@row("dvs.add", on=MANAGERS, after="dvs.create")
def dvs_add(t):
    assert "vmnic0" in t.govc.refusal("dvs.add", "-dvs", "compat-dvs", "-pnic", "vmnic0", t.host)
    t.govc("dvs.add", "-dvs", "compat-dvs", "-pnic", spare_adapter(t), t.host)
    member = dvs_of(t).config.host[0]
    assert member.config.host.name == t.host_name
    assert member.config.backing.pnicSpec[0].pnicDevice == spare_adapter(t)
    wait_until(lambda: dvs_of(t).runtime.hostMemberRuntime[0].status == "up", 20, "it is up")


@row("dvs.portgroup.add", on=MANAGERS, after="dvs.create")
def dvs_portgroup_add(t):
    t.govc("dvs.portgroup.add", "-dvs", "compat-dvs", "-vlan", "12", "compat-dvpg")
    assert f"{t.datacenter}/network/compat-dvpg" in t.govc.lines("ls", "network")


@row("dvs.portgroup.change", on=MANAGERS, after="dvs.portgroup.add")
def dvs_portgroup_change(t):
    t.govc("dvs.portgroup.change", "-vlan", "13", "-nports", "4", "compat-dvpg")
    group = vmomi.find(t.si, vmomi.vim.dvs.DistributedVirtualPortgroup, "compat-dvpg")
    assert group.config.defaultPortConfig.vlan.vlanId == 13
    assert len(group.portKeys) == group.config.numPorts == 4
    assert "4095" in t.govc.refusal("dvs.portgroup.change", "-vlan", "4095", "compat-dvpg")


@row("dvs.portgroup.info", on=MANAGERS, after="dvs.portgroup.change")
def dvs_portgroup_info(t):
    told = t.govc("dvs.portgroup.info", "-pg", "compat-dvpg", "compat-dvs")
    assert told.count("PortgroupKey") == 4 and re.search(r"VlanId:\s+13", told)


@row("object.destroy (dvs)", on=MANAGERS, after=("dvs.add", "dvs.portgroup.info"))
def dvs_destroy(t):
    t.govc("object.destroy", "network/compat-dvpg")
    t.govc("object.destroy", "network/compat-dvs")
    assert "compat-dv" not in t.govc("ls", "network")


# ---- datastores ----

@row("datastore.info")
def datastore_info(t):
    told = table(t.govc("datastore.info", t.datastore))
    assert told["Name"] == t.datastore
    assert re.fullmatch(r"\d+\.\d GB", told["Capacity"])


@row("datastore.mkdir")
def datastore_mkdir(t):
    t.govc("datastore.mkdir", "-p", "compat/in")
    assert "in" in t.files("compat")


@row("datastore.upload", after="datastore.mkdir")
def datastore_upload(t):
    t.notes["content"] = bytes(range(256)) * 4096 + b"\nlast line\n"
    t.govc("datastore.upload", t.file("up.bin", t.notes["content"]), "compat/up load.bin")
    assert "up load.bin" in t.files("compat")


NO_HOST = {"GOVC_HOST": ""}  # with a host, govc goes to that host's port 443


@row("datastore.upload (from a pipe)", after="datastore.mkdir")
def datastore_upload_pipe(t):
    t.govc("datastore.upload", "-", "compat/piped.txt", stdin="one\ntwo\nthree\n")
    assert t.govc("datastore.download", "compat/piped.txt", "-", env=NO_HOST) == "one\ntwo\nthree\n"


@row("datastore.ls -l", after="datastore.upload")
def datastore_ls(t):
    told = t.govc("datastore.ls", "-l", "compat")
    assert re.search(r"^1\.0MB\s.*up load\.bin$", told, re.M)


@row("datastore.ls -R", after="datastore.upload")
def datastore_ls_recursive(t):
    assert "up load.bin" in t.govc("datastore.ls", "-R", "compat")


@row("datastore.download", after="datastore.upload")
def datastore_download(t):
    path = t.file("down.bin")
    t.govc("datastore.download", "compat/up load.bin", path, env=NO_HOST)
    with open(path, "rb") as down:
        assert down.read() == t.notes["content"]


@row("datastore.download (absent)", after="datastore.mkdir")
def datastore_download_absent(t):
    assert "404" in t.govc.refusal("datastore.download", "compat/nothing", "-",
                                   env=NO_HOST)


@row("datastore.tail", after="datastore.upload (from a pipe)")
def datastore_tail(t):
    for amount in (("-n", "1"), ("-c", "6")):
        assert t.govc("datastore.tail", *amount, "compat/piped.txt", env=NO_HOST) == "three\n"


@row("datastore.cp", after="datastore.upload")
def datastore_cp(t):
    t.govc("datastore.cp", "compat/up load.bin", "compat/in/copy.bin")
    assert {"up load.bin"} <= set(t.files("compat")) and "copy.bin" in t.files("compat/in")


@row("datastore.mv", after="datastore.cp")
def datastore_mv(t):
    t.govc("datastore.mv", "compat/in/copy.bin", "compat/moved.bin")
    assert "moved.bin" in t.files("compat") and t.files("compat/in") == []


@row("datastore.disk.create", after="datastore.mkdir")
def disk_create(t):
    t.govc("datastore.disk.create", "-size", "8M", "compat/disk.vmdk")
    assert "disk.vmdk" in t.files("compat")


@row("datastore.disk.info", after="datastore.disk.create")
def disk_info(t):
    told = table(t.govc("datastore.disk.info", "compat/disk.vmdk"))
    assert told["Name"] == "compat/disk.vmdk" and told["Type"] in ("thin", "preallocated")


@row("datastore.cp (disk)", after="datastore.disk.info")
def disk_cp(t):
    t.govc("datastore.cp", "compat/disk.vmdk", "compat/disk2.vmdk")
    assert "disk2.vmdk" in t.files("compat")


@row("datastore.disk.inflate", after="datastore.disk.info")
def disk_inflate(t):
    t.govc("datastore.disk.inflate", "compat/disk.vmdk")


@row("datastore.rm (disk)", after=("datastore.cp (disk)", "datastore.disk.inflate"))
def disk_rm(t):
    t.govc("datastore.rm", "compat/disk.vmdk")
    t.govc("datastore.rm", "compat/disk2.vmdk")
    assert not [name for name in t.files("compat") if "disk" in name]


@row("datastore.rm", after=("datastore.mv", "datastore.tail", "datastore.download",
                            "datastore.ls -l", "datastore.ls -R", "datastore.rm (disk)"))
def datastore_rm(t):
    t.govc("datastore.rm", "compat")
    assert "compat" not in t.files("")
    assert t.govc.refusal("datastore.rm", "compat")
    t.govc("datastore.rm", "-f", "compat")

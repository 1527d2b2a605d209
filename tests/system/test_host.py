# SPDX-License-Identifier: Apache-2.0
"""One host by itself: its inventory, datastores, networks, pools and what it says of itself, seen
by unmodified clients."""

import base64
import http.client
import json
import os
import socket
import ssl
import urllib.parse

import pytest

from daemon import wait_until
from govc import Govc
from vmomi import Disconnect, connect, vim, wait_for_task

DATASTORE = "datastore1"


@pytest.fixture(scope="module")
def node(module_rig):
    return module_rig.host()


@pytest.fixture(scope="module")
def govc(node, module_rig):
    return Govc(node.url, node.user, node.password, module_rig.folder)


@pytest.fixture
def si(node):
    si = connect(node)
    yield si
    Disconnect(si)


def host_of(si):
    return si.content.rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]


class Folder:
    """/folder of a host."""

    def __init__(self, node, user=None, password=None):
        self.node = node
        pair = f"{user or node.user}:{password or node.password}".encode()
        self.headers = {"Authorization": "Basic " + base64.b64encode(pair).decode()}

    def __call__(self, method, path, body=None, headers=None, query=None):
        query = query or {"dcPath": "ha-datacenter", "dsName": DATASTORE}
        link = http.client.HTTPSConnection(self.node.address, self.node.port, timeout=30,
                                           context=ssl._create_unverified_context())
        try:
            link.request(method, f"/folder{path}?{urllib.parse.urlencode(query)}", body,
                         {**self.headers, **(headers or {})})
            reply = link.getresponse()
            return reply.status, reply.read()
        finally:
            link.close()


# ---- inventory ----

def test_fixed_identifiers(si):
    content = si.content
    assert content.rootFolder._moId == "ha-folder-root"
    datacenter = content.rootFolder.childEntity[0]
    assert datacenter._moId == "ha-datacenter"
    assert {datacenter.vmFolder._moId, datacenter.hostFolder._moId,
            datacenter.datastoreFolder._moId, datacenter.networkFolder._moId} == {
                "ha-folder-vm", "ha-folder-host", "ha-folder-datastore", "ha-folder-network"}
    assert host_of(si)._moId == "ha-host"
    assert host_of(si).parent._moId == "ha-compute-res"
    assert host_of(si).parent.resourcePool._moId == "ha-root-pool"


def test_hardware_is_the_share(si):
    host = host_of(si)
    assert host.hardware.cpuInfo.numCpuThreads == 2
    assert host.hardware.memorySize == 2048 << 20
    assert host.summary.hardware.memorySize == host.hardware.memorySize
    assert sum(len(p.threadId) for p in host.hardware.cpuPkg) == 2
    assert host.runtime.connectionState == "connected"
    assert host.summary.runtime.connectionState == "connected"


def test_managers_that_are_named_exist(si):
    host = host_of(si)
    manager = host.configManager
    assert manager.networkSystem.networkInfo.vswitch[0].name == "vSwitch0"
    assert manager.datastoreSystem.datastore[0].name == DATASTORE
    assert manager.serviceSystem.serviceInfo.service[0].running
    assert manager.firewallSystem.firewallInfo is not None
    assert manager.dateTimeSystem.QueryDateTime() is not None
    assert manager.storageSystem.fileSystemVolumeInfo.mountInfo[0].volume.name == DATASTORE
    assert manager.autoStartManager.config.defaults.enabled is False
    options = {o.key: o.value for o in manager.advancedOption.setting}
    assert options["Remora.accel"] in ("kvm", "tcg")
    assert options["Remora.accelWhy"]


def test_connection_info_is_whole(si):
    info = host_of(si).QueryHostConnectionInfo()
    assert info.host.config.name == host_of(si).name
    assert [d.summary.name for d in info.datastore] == [DATASTORE]
    assert "VM Network" in [n.summary.name for n in info.network]


def test_what_vms_may_be_made_of(si):
    browser = host_of(si).parent.environmentBrowser
    option = browser.QueryConfigOption(None, None)
    assert "debian12_64Guest" in [g.id for g in option.guestOSDescriptor]
    target = browser.QueryConfigTarget(None)
    assert target.numCpus == 2
    assert [d.name for d in target.datastore] == [DATASTORE]
    assert "VM Network" in [n.name for n in target.network]


# ---- network ----

def test_port_groups_come_and_go(govc):
    govc("host.vswitch.add", "vSwitch7")
    govc("host.portgroup.add", "-vswitch", "vSwitch7", "-vlan", "7", "blue")
    assert "/ha-datacenter/network/blue" in govc.lines("ls", "network")
    assert "exists already" in govc.refusal("host.portgroup.add", "-vswitch", "vSwitch7", "blue")
    assert "vSwitch9" in govc.refusal("host.portgroup.add", "-vswitch", "vSwitch9", "red")
    assert "vmk0" in govc.refusal("host.portgroup.remove", "Management Network")
    govc("host.vswitch.remove", "vSwitch7")
    assert "/ha-datacenter/network/blue" not in govc.lines("ls", "network")


# ---- resource pools ----

def test_pools(govc):
    top = govc.lines("find", "/", "-type", "p")[0]
    govc("pool.create", f"{top}/a", f"{top}/a/b")
    govc("pool.change", "-cpu.limit", "500", f"{top}/a")
    assert "500MHz" in govc("pool.info", f"{top}/a")
    govc.refusal("pool.create", f"{top}/a")
    govc("pool.destroy", f"{top}/a")
    assert f"{top}/b" in govc.lines("find", "/", "-type", "p")
    govc("pool.destroy", f"{top}/b")
    govc.refusal("pool.destroy", top)


# ---- datastores ----

@pytest.fixture(scope="module")
def blob(module_rig):
    path = module_rig.path("blob")
    with open(path, "wb") as out:
        out.write(os.urandom(3_000_001))
    return path


def test_files_up_and_down(govc, blob, module_rig):
    govc("datastore.mkdir", "files")
    assert "files" in govc.refusal("datastore.mkdir", "files")
    govc("datastore.upload", blob, "files/a.bin")
    govc("datastore.cp", "files/a.bin", "files/b.bin")
    govc("datastore.mv", "files/b.bin", "files/c.bin")
    assert govc.lines("datastore.ls", "files") == ["a.bin", "c.bin"]
    copy = module_rig.path("copy")
    govc("datastore.download", "files/c.bin", copy)
    with open(blob, "rb") as one, open(copy, "rb") as other:
        assert one.read() == other.read()
    govc("datastore.rm", "files")
    govc.refusal("datastore.ls", "files")


def test_disks(govc, si):
    govc("datastore.mkdir", "disks")
    govc("datastore.disk.create", "-size", "8M", "disks/d.vmdk")
    govc.refusal("datastore.disk.create", "-size", "8M", "disks/d.vmdk")
    assert "thin" in govc("datastore.disk.info", "disks/d.vmdk")
    govc("datastore.disk.inflate", "disks/d.vmdk")
    assert "thin" not in govc("datastore.disk.info", "disks/d.vmdk")
    manager = si.content.virtualDiskManager
    path = f"[{DATASTORE}] disks/d.vmdk"
    uuid = manager.QueryVirtualDiskUuid(path)
    manager.SetVirtualDiskUuid(path, None, "60 00 c2 9a 00 11 22 33-44 55 66 77 88 99 aa bb")
    assert manager.QueryVirtualDiskUuid(path) != uuid
    wait_for_task(si, manager.ExtendVirtualDisk_Task(path, None, 16 << 10, False))
    assert manager.QueryVirtualDiskGeometry(path).cylinder == 16
    browser = host_of(si).datastore[0].browser
    flags = vim.host.DatastoreBrowser.VmDiskQuery.Details(
        diskType=True, capacityKb=True, hardwareVersion=False, diskExtents=True, thin=True)
    spec = vim.host.DatastoreBrowser.SearchSpec(
        query=[vim.host.DatastoreBrowser.VmDiskQuery(details=flags)])
    found = wait_for_task(si, browser.SearchDatastoreSubFolders_Task(f"[{DATASTORE}]", spec))
    disks = [f for folder in found for f in folder.file]
    assert [(d.path, d.capacityKb, list(d.diskExtents)) for d in disks] == [
        ("d.vmdk", 16 << 10, ["d-flat.vmdk"])]
    govc("datastore.rm", "disks/d.vmdk")
    assert govc.lines("datastore.ls", "disks") == []
    govc("datastore.rm", "disks")


@pytest.mark.parametrize("path", ["../out", "a/../../b", "a" * 300, "x\ty", ".remora-x"])
def test_paths_that_are_none(si, path):
    with pytest.raises(vim.fault.InvalidDatastore):
        si.content.fileManager.MakeDirectory(f"[{DATASTORE}] {path}")


def test_absent_folder_is_file_not_found(si):
    with pytest.raises(vim.fault.FileNotFound):
        wait_for_task(si, host_of(si).datastoreBrowser.SearchDatastore_Task(
            f"[{DATASTORE}] none", None))


# ---- /folder ----

def test_folder_serves_files(node, blob):
    folder = Folder(node)
    with open(blob, "rb") as file:
        data = file.read()
    assert folder("PUT", "/up.bin", data)[0] == 201
    assert folder("PUT", "/up.bin", data)[0] == 200
    assert folder("GET", "/up.bin") == (200, data)
    assert folder("GET", "/up.bin", headers={"Range": "bytes=10-19"}) == (206, data[10:20])
    assert folder("GET", "/up.bin", headers={"Range": "bytes=-5"}) == (206, data[-5:])
    assert folder("GET", "/up.bin", headers={"Range": "bytes=9999999-"})[0] == 416
    assert folder("HEAD", "/up.bin")[0] == 200
    assert b"up.bin" in folder("GET", "")[1]
    assert folder("DELETE", "/up.bin")[0] == 200
    assert folder("GET", "/up.bin")[0] == 404


def test_folder_refuses(node):
    folder = Folder(node)
    assert folder("GET", "/none")[0] == 404
    assert folder("GET", "/x", query={"dcPath": "other", "dsName": DATASTORE})[0] == 404
    assert folder("GET", "/x", query={"dcPath": "ha-datacenter", "dsName": "none"})[0] == 404
    assert folder("GET", "/../../etc/passwd")[0] == 400
    assert folder("GET", "/%2e%2e/%2e%2e/etc/passwd")[0] == 400
    assert folder("PUT", "/none/x", b"x")[0] == 404
    assert folder("DELETE", "/")[0] == 400
    assert Folder(node, password="wrong")("GET", "/")[0] == 401


def test_broken_upload_leaves_nothing(node, govc):
    link = http.client.HTTPSConnection(node.address, node.port, timeout=30,
                                       context=ssl._create_unverified_context())
    query = urllib.parse.urlencode({"dcPath": "ha-datacenter", "dsName": DATASTORE})
    link.putrequest("PUT", f"/folder/broken?{query}")
    for name, value in {**Folder(node).headers, "Content-Length": "3000000"}.items():
        link.putheader(name, value)
    link.endheaders(b"x" * 100000)
    parts = os.path.join(node.state, "datastores", DATASTORE)
    wait_until(lambda: any("part" in name for name in os.listdir(parts)), 20, "it has begun")
    link.close()
    wait_until(lambda: not any("part" in name for name in os.listdir(parts)), 20, "it is gone")
    assert "broken" not in govc.lines("datastore.ls")


# ---- maintenance, and what outlives the process ----

def test_maintenance_mode(govc, si):
    host = host_of(si)
    govc("host.maintenance.enter", host.name)
    assert host.runtime.inMaintenanceMode
    assert "maintenance" in govc.refusal("vm.create", "-on=false", "-m", "32", "nowhere")
    govc("host.maintenance.exit", host.name)
    assert not host.runtime.inMaintenanceMode


def test_all_of_it_survives_kill(rig):
    node = rig.host()
    govc = Govc(node.url, node.user, node.password, rig.folder)
    thumbprint = node.thumbprint()
    govc("host.portgroup.add", "-vswitch", "vSwitch0", "kept")
    govc("pool.create", "*/Resources/kept")
    govc("datastore.mkdir", "kept")
    before = govc.lines("find", "/")
    node.kill()
    node.start()
    assert node.thumbprint() == thumbprint
    assert sorted(govc.lines("find", "/")) == sorted(before)
    assert "kept" in govc.lines("datastore.ls")


# ---- a card in a server ----

class NewClient:
    """A client of vSphere 8.0.3, by hand: Debian's pyvmomi is too old to see cards."""

    def __init__(self, node):
        self.node = node
        self.cookie = ""
        self.ask("Login", "SessionManager", "ha-sessionmgr",
                 f"<userName>{node.user}</userName><password>{node.password}</password>")

    def ask(self, method, kind, name, content):
        link = http.client.HTTPSConnection(self.node.address, self.node.port, timeout=30,
                                           context=ssl._create_unverified_context())
        try:
            link.request("POST", "/sdk", (
                '<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>'
                f'<{method} xmlns="urn:vim25"><_this type="{kind}">{name}</_this>{content}'
                f"</{method}></Body></Envelope>"),
                {"SOAPAction": "urn:vim25/8.0.3.0", "Cookie": self.cookie})
            reply = link.getresponse()
            self.cookie = reply.headers.get("Set-Cookie", self.cookie).split(";")[0]
            text = reply.read().decode()
            assert reply.status == 200, text
            return text
        finally:
            link.close()

    def fetch(self, kind, name, prop):
        return self.ask("Fetch", kind, name, f"<prop>{prop}</prop>")


def test_server_shows_its_card(rig):
    server, dpu = rig.pair()
    with open(os.path.join(server.link, "card.json"), encoding="utf-8") as file:
        card = json.load(file)
    assert card["uuid"] == dpu.uuid
    client = NewClient(server)
    adapter = f"<dpuId>{card['dpu_id']}</dpuId>"
    wait_until(lambda: adapter in client.fetch("HostNetworkSystem", "networkSystem",
                                               "networkInfo"), 20, "an adapter of the card")
    assert adapter in client.fetch("HostSystem", "ha-host", "config")
    assert "<key>green</key>" in client.fetch("HostSystem", "ha-host", "runtime")
    dpu.kill()  # what is told is what the link says: the card's power is not the agent's
    assert "<key>green</key>" in client.fetch("HostSystem", "ha-host", "runtime")
    os.unlink(os.path.join(server.link, "card.json"))
    wait_until(lambda: "<key>unknown</key>" in client.fetch("HostSystem", "ha-host", "runtime"),
               20, "the card is gone")
    assert adapter in client.fetch("HostNetworkSystem", "networkSystem", "networkInfo")
    dpu.start()
    wait_until(lambda: "<key>green</key>" in client.fetch("HostSystem", "ha-host", "runtime"),
               20, "the card is back")


def test_card_says_what_it_is(rig):
    server, dpu = rig.pair()
    si = connect(dpu)
    try:
        info = {i.identifierType.key: i.identifierValue
                for i in host_of(si).hardware.systemInfo.otherIdentifyingInfo}
        assert info["RemoraRole"] == "dpu"
        assert info["RemoraServerUuid"] == server.uuid
    finally:
        Disconnect(si)


def test_it_is_served_wherever_it_has_an_address(rig):
    """Of both families, as at the first start of a node that nobody has configured."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    node = rig.host("everywhere")
    node.stop()
    node.options, node.address, node.port = ["--listen", f"[::]:{port}"], "127.0.0.1", port
    node.start()
    places = ["127.0.0.1"]
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        places.append("::1")
    except OSError:
        pass  # not all machines have it
    for place in places:
        node.address = place
        si = connect(node)
        try:
            assert si.content.sessionManager.currentSession.ipAddress == place
            nic = host_of(si).config.network.vnic[0].spec.ip
            assert nic.ipAddress not in ("0.0.0.0", "127.0.0.1")
        finally:
            Disconnect(si)

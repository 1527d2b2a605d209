# SPDX-License-Identifier: Apache-2.0
"""Files that have no place: uploads that are refused, at once or in the middle, and a datastore that
is full. Clients learn why, and nothing is left; on a host and through a manager."""

import base64
import http.client
import os
import ssl
import subprocess
import urllib.parse

import pytest

from conftest import add_hosts
from daemon import Node
from state import Unchanged
from test_vm import disk, scsi
from vmomi import Disconnect, connect, vim, vmodl, wait_for_task

SMALL_MB = 16
MIB = 1 << 20


class SmallNode(Node):
    """A host whose datastores have room for 16 MiB: a file system in memory that only it sees."""

    def spawn(self, command):
        top = os.path.join(self.state, "datastores")
        os.makedirs(top, mode=0o700, exist_ok=True)
        super().spawn(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                       f'mount -t tmpfs -o size={SMALL_MB}m tmpfs "$0" && exec "$@"', top,
                       *command])

    @property
    def seen_state(self):
        return f"/proc/{self.pid}/root{self.state}"


def may_unshare():
    try:
        return subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "mount", "-t",
                               "tmpfs", "tmpfs", "/mnt"], capture_output=True,
                              check=False).returncode == 0
    except OSError:
        return False


class Place:
    """An endpoint, the host behind it and where files go."""

    def __init__(self, node, host):
        self.node, self.host = node, host
        self.si = connect(node)
        self.dc = self.si.content.rootFolder.childEntity[0]
        self.pool = self.dc.hostFolder.childEntity[0].resourcePool
        pair = f"{node.user}:{node.password}"
        self.pair = pair
        self.login = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    def run(self, task):
        return wait_for_task(self.si, task)

    def path(self, name, datastore="datastore1", datacenter=None):
        query = {"dcPath": datacenter or self.dc.name, "dsName": datastore}
        return f"/folder/{name}?{urllib.parse.urlencode(query)}"

    def put(self, path, body, headers=None, method="PUT"):
        """Sends all of the body before it looks for an answer."""
        link = http.client.HTTPSConnection(self.node.address, self.node.port, timeout=30,
                                           context=ssl._create_unverified_context())
        try:
            link.request(method, path, body, {**self.login, **(headers or {})})
            reply = link.getresponse()
            return reply.status, reply.read().decode()
        finally:
            link.close()


def places(request, module_rig, host):
    node = host
    if request.param == "center":
        node = module_rig.center(f"center-{host.name}")
        add_hosts(node, "dc", host)
    it = Place(node, host)
    yield it
    Disconnect(it.si)


@pytest.fixture(scope="module")
def host(module_rig):
    return module_rig.host()


@pytest.fixture(scope="module")
def small_host(module_rig):
    if not may_unshare():
        pytest.skip("no file system of its own can be given to a process here")
    return module_rig.keep(SmallNode(module_rig.folder, "small", "server")).start()


@pytest.fixture(scope="module", params=["host", "center"])
def place(request, module_rig, host):
    yield from places(request, module_rig, host)


@pytest.fixture(scope="module", params=["host", "center"])
def small(request, module_rig, small_host):
    yield from places(request, module_rig, small_host)


# ---- uploads that are refused at once ----

@pytest.fixture(scope="module")
def large_file(module_rig):
    path = module_rig.path("large")
    with open(path, "wb") as out:
        out.truncate(200 * MIB)
    return path


REFUSED = {  # file, datastore, datacenter, user, status, what the answer names
    "folder": ("none/x", "datastore1", None, None, 404, '"none'),
    "datastore": ("x", "none", None, None, 404, '"none"'),
    "datacenter": ("x", "datastore1", "none", None, 404, '"none"'),
    "password": ("x", "datastore1", None, "root:wrong", 401, "password"),
    "name": (".remora-x", "datastore1", None, None, 400, ".remora-x"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("header", [None, "Expect:", "Transfer-Encoding: chunked"],
                         ids=["expect", "no-expect", "chunked"])
def test_large_upload_is_refused(place, large_file, name, header):
    """200 MiB, with curl as people call it, without waiting for permission, and in pieces."""
    path, datastore, datacenter, user, status, words = REFUSED[name]
    headers = [] if header is None else ["-H", header]
    with Unchanged(place.si, place.host):
        done = subprocess.run(
            ["curl", "-sSk", "-u", user or place.pair, "-X", "PUT", "-T", large_file, *headers,
             "-w", "\n%{http_code} %{size_upload}",
             f"https://{place.node.address}:{place.node.port}"
             + place.path(path, datastore, datacenter)],
            capture_output=True, text=True, timeout=60, check=False)
        text, codes = done.stdout.rsplit("\n", 1)
        got, sent = map(int, codes.split())
        assert (done.returncode, got) == (0, status), done.stderr
        assert words in text and len(text) < 500
    if header is None and not (place.node.is_manager and name in ("folder", "name")):
        assert sent == 0  # refused before the body; of those the manager asks the host


@pytest.mark.parametrize("pieces", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("name", ["folder", "datastore"])
def test_client_that_sends_all_first(place, name, pieces):
    path, datastore, datacenter, _, status, words = REFUSED[name]
    body = b"x" * (64 * MIB)
    got, text = place.put(place.path(path, datastore, datacenter), iter([body]) if pieces else body)
    assert got == status and words in text


# ---- no room ----

def no_space(small, function, name):
    with Unchanged(small.si, small.host), pytest.raises(vim.fault.NoDiskSpace) as caught:
        function()
    assert caught.value.datastore == "datastore1" and name in caught.value.file
    assert '"datastore1"' in caught.value.msg and "bytes are needed" in caught.value.msg


def eager(kb):
    change = disk(kb)
    change.device.backing.thinProvisioned = False
    change.device.backing.eagerlyScrub = True
    return change


def create_vm(small, name, *changes):
    spec = vim.vm.ConfigSpec(name=name, memoryMB=32, numCPUs=1, guestId="otherGuest",
                             files=vim.vm.FileInfo(vmPathName="[datastore1]"),
                             deviceChange=[scsi(), *changes])
    return small.run(small.dc.vmFolder.CreateVM_Task(spec, small.pool))


def create_disk(small, name, mib, kind="eagerZeroedThick"):
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
        adapterType="lsiLogic", diskType=kind, capacityKb=mib << 10)
    small.run(small.si.content.virtualDiskManager.CreateVirtualDisk_Task(
        f"[datastore1] {name}", small.dc, spec))


def delete(small, name):
    small.run(small.si.content.fileManager.DeleteDatastoreFile_Task(f"[datastore1] {name}",
                                                                    small.dc))


@pytest.mark.parametrize("kind", ["eagerZeroedThick", "preallocated"])
def test_disk_without_room(small, kind):
    no_space(small, lambda: create_disk(small, "big.vmdk", 2 * SMALL_MB, kind), "big.vmdk")


def test_machine_without_room(small):
    no_space(small, lambda: create_vm(small, "big", eager(2 * SMALL_MB << 10)), "big.vmdk")
    no_space(small, lambda: create_vm(small, "both", eager(9 << 10), unit(eager(9 << 10), 1)),
             "both_1.vmdk")


def unit(change, number):
    change.device.unitNumber = number
    change.device.key -= number
    return change


def test_changes_without_room(small):
    vm = create_vm(small, "vm", eager(4 << 10))
    try:
        more = unit(eager(2 * SMALL_MB << 10), 1)
        more.device.controllerKey = 1000
        no_space(small, lambda: small.run(vm.ReconfigVM_Task(vim.vm.ConfigSpec(
            deviceChange=[more]))), "vm_1.vmdk")
        longer = vim.vm.device.VirtualDeviceSpec(operation="edit", device=next(
            d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)))
        longer.device.capacityInBytes = None
        longer.device.capacityInKB = 2 * SMALL_MB << 10
        no_space(small, lambda: small.run(vm.ReconfigVM_Task(vim.vm.ConfigSpec(
            deviceChange=[longer]))), "vm.vmdk")
    finally:
        small.run(vm.Destroy_Task())


def test_copies_without_room(small):
    create_disk(small, "one.vmdk", SMALL_MB - 6)
    status, _ = small.put(small.path("one.bin"), b"x" * (4 * MIB))
    assert status == 201
    files, disks = small.si.content.fileManager, small.si.content.virtualDiskManager
    thick = vim.VirtualDiskManager.VirtualDiskSpec(adapterType="lsiLogic",
                                                   diskType="eagerZeroedThick")
    try:
        no_space(small, lambda: small.run(disks.CopyVirtualDisk_Task(
            "[datastore1] one.vmdk", small.dc, "[datastore1] two.vmdk", small.dc, thick)),
            "two.vmdk")
        no_space(small, lambda: small.run(files.CopyDatastoreFile_Task(
            "[datastore1] one.bin", small.dc, "[datastore1] two.bin", small.dc)), "two.bin")
        no_space(small, lambda: small.run(disks.ExtendVirtualDisk_Task(
            "[datastore1] one.vmdk", small.dc, 2 * SMALL_MB << 10, True)), "one.vmdk")
    finally:
        delete(small, "one.bin")
        small.run(disks.DeleteVirtualDisk_Task("[datastore1] one.vmdk", small.dc))


def zeros(size):
    return (bytes(MIB) for _ in range(size // MIB))


@pytest.mark.parametrize("name", ["said", "terabyte", "chunked"])
def test_upload_without_room(small, name):
    body, headers = {
        "said": (bytes(2 * SMALL_MB * MIB), {}),
        "terabyte": (b"", {"Content-Length": str(1 << 40)}),
        "chunked": (zeros(4 * SMALL_MB * MIB), {}),
    }[name]
    with Unchanged(small.si, small.host):
        status, text = small.put(small.path("up.bin"), body, headers)
        assert status == 507 and "up.bin" in text and "space" in text.lower() or "free" in text


def test_upload_over_another(small):
    """What was there stays when its successor does not fit."""
    assert small.put(small.path("kept.bin"), b"kept")[0] == 201
    with Unchanged(small.si, small.host):
        assert small.put(small.path("kept.bin"), zeros(4 * SMALL_MB * MIB))[0] == 507
    assert small.put(small.path("kept.bin"), None, method="GET") == (200, "kept")
    delete(small, "kept.bin")


def test_full_to_the_last_byte(small):
    """Nothing of a VM can be written any more; what is there stays, and can be taken away."""
    vm = create_vm(small, "full")
    filler = os.path.join(small.host.seen_state, "datastores", "datastore1", "filler")
    with open(filler, "wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            pass
    try:
        no_space(small, lambda: small.run(vm.ReconfigVM_Task(vim.vm.ConfigSpec(
            annotation="x" * 10_000))), "full.vmx")
        with Unchanged(small.si, small.host), pytest.raises(vmodl.MethodFault):
            create_vm(small, "other")
        with Unchanged(small.si, small.host), pytest.raises(vmodl.MethodFault):
            small.si.content.fileManager.MakeDirectory("[datastore1] a/b/c", small.dc, False)
        assert vm.config.annotation == ""
    finally:
        small.run(vm.Destroy_Task())
        os.unlink(filler)
    small.run(create_vm(small, "again").Destroy_Task())

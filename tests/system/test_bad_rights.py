# SPDX-License-Identifier: Apache-2.0
"""A user who may only look tries every method that changes something, on a host and through a
manager: each is refused with the privilege that it would take, and nothing changes."""

import datetime
import json
import os
import re

import pytest
from pyVmomi import VmomiSupport

from conftest import add_hosts
from state import Unchanged
from test_host import Folder
from vmomi import Disconnect, connect, find, vim, vmodl, wait_for_task

READER, PASSWORD = "reader", "Read-only-1!"
READ_ONLY_ROLE = -2
LOOKING = {"System.Anonymous", "System.View", "System.Read"}


def make_vm(si, name):
    place = si.content.rootFolder.childEntity[0]
    spec = vim.vm.ConfigSpec(name=name, memoryMB=32, numCPUs=1, guestId="otherGuest",
                             files=vim.vm.FileInfo(vmPathName="[datastore1]"))
    pool = place.hostFolder.childEntity[0].resourcePool
    return wait_for_task(si, place.vmFolder.CreateVM_Task(spec, pool))


def restrict(si, name):
    permission = vim.AuthorizationManager.Permission(principal=name, group=False, propagate=True,
                                                     roleId=READ_ONLY_ROLE)
    si.content.authorizationManager.SetEntityPermissions(si.content.rootFolder, [permission])


def add_user(center, name):
    """A second user of a manager, with the password of the first: the API makes none."""
    center.stop()
    path = os.path.join(center.state, "users.json")
    with open(path, encoding="utf-8") as file:
        users = json.load(file)
    users["users"].append({**users["users"][0], "name": name})
    with open(path, "w", encoding="utf-8") as file:
        json.dump(users, file)
    center.start()


class Stage:
    """An endpoint with a VM, its administrator and its reader."""

    def __init__(self, node, host, reader):
        self.node, self.host = node, host
        self.si = connect(node)
        restrict(self.si, reader[0])
        self.reader = connect(node, *reader)
        self.pair = reader

    def close(self):
        Disconnect(self.reader)
        Disconnect(self.si)


@pytest.fixture(scope="module")
def host(module_rig):
    node = module_rig.host()
    si = connect(node)
    make_vm(si, "vm-1")
    si.content.accountManager.CreateUser(vim.host.LocalAccountManager.AccountSpecification(
        id=READER, password=PASSWORD))
    Disconnect(si)
    return node


@pytest.fixture(scope="module", params=["host", "center"])
def stage(request, module_rig, host):
    if request.param == "host":
        stage = Stage(host, host, (READER, PASSWORD))
    else:
        center = module_rig.center()
        add_hosts(center, "dc", host)
        add_user(center, "reader@vsphere.local")
        stage = Stage(center, host, ("reader@vsphere.local", center.password))
    yield stage
    stage.close()


# ---- arguments that fit, for any method ----

def known_objects(si):
    """What a reader can reach: the managers, the entities, and what these name."""
    content = si.RetrieveContent()
    known = {}

    def add(it):
        if isinstance(it, VmomiSupport.ManagedObject) and str(it) not in known:
            known[str(it)] = it
            return True
        return False

    for prop in content._GetPropertyList():
        add(getattr(content, prop.name))
    view = content.viewManager.CreateContainerView(content.rootFolder, None, True)
    for entity in [content.rootFolder, *view.view]:
        add(entity)
        if isinstance(entity, vim.HostSystem):
            for prop in entity.configManager._GetPropertyList():
                add(getattr(entity.configManager, prop.name))
            add(entity.datastoreBrowser)
        if isinstance(entity, vim.Datastore):
            add(entity.browser)
    view.Destroy()
    return list(known.values())


def argument(kind, known, depth=0):
    """A value of a type, with no more in it than must be."""
    if issubclass(kind, list):
        return [argument(kind.Item, known, depth)] if hasattr(kind, "Item") else []
    if issubclass(kind, VmomiSupport.ManagedObject):
        return next((o for o in known if isinstance(o, kind)), None) or kind("none-1")
    if issubclass(kind, VmomiSupport.DataObject):
        made = kind()
        if isinstance(made, vim.option.OptionValue):
            made.value = "x"
        for prop in made._GetPropertyList():
            if not prop.flags & VmomiSupport.F_OPTIONAL and depth < 8:
                setattr(made, prop.name, argument(prop.type, known, depth + 1))
        return made
    if issubclass(kind, VmomiSupport.Enum):
        return next(v for v in vars(kind).values() if isinstance(v, kind))
    if issubclass(kind, bool):
        return False
    if issubclass(kind, datetime.datetime):
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    if kind is type:
        return vim.VirtualMachine
    if kind is object:
        return "x"
    if issubclass(kind, bytes):
        return kind(b"x")
    return kind("1")


def call(it, info, known):
    """The fault that a method ends with, also when only its task does; None: it succeeds."""
    arguments = [argument(p.type, known) if not p.flags & VmomiSupport.F_OPTIONAL else None
                 for p in info.params]
    try:
        result = getattr(it, info.name)(*arguments)
        if isinstance(result, vim.Task):
            while result.info.state in ("queued", "running"):
                pass
            return result.info.error
        return None
    except vmodl.MethodFault as fault:
        return fault


def schema_privileges():
    """{method: privileges that the schema names for it}; the schema is newer than pyvmomi's."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "schema",
                        "vim25.idl")
    named = {}
    with open(path, encoding="utf-8") as file:
        for name, privilege in re.findall(r"^  method (\w+) \[([^\]]*)\]", file.read(), re.M):
            named.setdefault(name, set()).add(privilege)
    return named


PRIVILEGES = schema_privileges()


def methods(it):
    return [info for info in it._GetMethodList() if info.wsdlName != "Logout"]


def kinds():
    return ["VirtualMachine", "HostSystem", "Datastore", "Network", "Folder", "Datacenter",
            "ResourcePool", "ComputeResource", "others"]


def of_kind(known, kind):
    if kind == "others":
        return [o for o in known if not isinstance(o, vim.ManagedEntity)]
    return [o for o in known if isinstance(o, getattr(vim, kind))]


@pytest.mark.parametrize("kind", kinds())
def test_every_method_that_names_a_privilege(stage, kind):
    known = known_objects(stage.reader)
    wrong, tried = [], 0
    with Unchanged(stage.si, stage.host):
        for it in of_kind(known, kind):
            for info in methods(it):
                if info.privId is None or PRIVILEGES[info.wsdlName] & LOOKING:
                    continue
                fault = call(it, info, known)
                tried += 1
                if isinstance(fault, vim.fault.NoPermission):
                    if (fault.privilegeId in PRIVILEGES[info.wsdlName]
                            and fault.privilegeId in fault.msg and fault.object is not None):
                        continue
                elif isinstance(fault, vmodl.fault.NotSupported) and info.wsdlName in fault.msg:
                    continue
                wrong.append(f"{it} {info.wsdlName} {info.privId}: {type(fault).__name__} "
                             f"{getattr(fault, 'privilegeId', '')} {getattr(fault, 'msg', '')}")
    assert not wrong, "\n".join(wrong)
    assert tried > 0


@pytest.mark.parametrize("kind", kinds())
def test_every_other_method_changes_nothing(stage, kind):
    """Those whose privilege depends on what they are to do. None succeeds but those that look."""
    known = known_objects(stage.reader)
    done = set()
    with Unchanged(stage.si, stage.host):
        for it in of_kind(known, kind):
            for info in methods(it):
                if info.privId is None and call(it, info, known) is None:
                    done.add(info.wsdlName)
    assert done <= {"RetrieveUserGroups", "RetrieveEntityPermissions"}


def spec_of(**more):
    return vim.vm.ConfigSpec(**more)


def device_change(device, **more):
    return vim.vm.ConfigSpec(deviceChange=[vim.vm.device.VirtualDeviceSpec(device=device, **more)])


def new_disk():
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(diskMode="persistent", fileName="")
    return vim.vm.device.VirtualDisk(key=-1, capacityInKB=1024, backing=backing, controllerKey=200,
                                     unitNumber=0)


CONFIG = "VirtualMachine.Config."
CHANGES = {
    "nothing": (vim.vm.ConfigSpec(), "Settings"),
    "name": (spec_of(name="x"), "Rename"),
    "annotation": (spec_of(annotation="x"), "Annotation"),
    "cpus": (spec_of(numCPUs=2), "CPUCount"),
    "memory": (spec_of(memoryMB=64), "Memory"),
    "option": (spec_of(extraConfig=[vim.option.OptionValue(key="a", value="b")]),
               "AdvancedConfig"),
    "shares": (spec_of(cpuAllocation=vim.ResourceAllocationInfo(limit=5)), "Resource"),
    "guest": (spec_of(guestId="otherGuest64"), "Settings"),
    "version": (spec_of(version="vmx-19"), "UpgradeVirtualHardware"),
    "managed-by": (spec_of(managedBy=vim.ext.ManagedByInfo(extensionKey="a", type="b")),
                   "ManagedBy"),
    "disk": (device_change(new_disk(), operation="add", fileOperation="create"), "AddNewDisk"),
    "old-disk": (device_change(new_disk(), operation="add"), "AddExistingDisk"),
    "no-disk": (device_change(new_disk(), operation="remove"), "RemoveDisk"),
    "adapter": (device_change(vim.vm.device.VirtualVmxnet3(key=-1), operation="add"),
                "AddRemoveDevice"),
    "edit": (device_change(vim.vm.device.VirtualVmxnet3(key=4000), operation="edit"),
             "EditDevice"),
}


def refused(stage, function, privilege):
    with Unchanged(stage.si, stage.host), pytest.raises(vim.fault.NoPermission) as caught:
        result = function()
        if isinstance(result, vim.Task):
            wait_for_task(stage.reader, result)
    assert caught.value.privilegeId == privilege and privilege in caught.value.msg
    return caught.value


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_a_vm(stage, change):
    spec, privilege = CHANGES[change]
    vm = find(stage.reader, vim.VirtualMachine, "vm-1")
    fault = refused(stage, lambda: vm.ReconfigVM_Task(spec), CONFIG + privilege)
    assert fault.object == vm


def test_entities(stage):
    """Methods of all entities, which take another privilege for each kind."""
    vm = find(stage.reader, vim.VirtualMachine, "vm-1")
    folder = vm.parent
    pool = vm.resourcePool
    refused(stage, lambda: vm.Rename_Task("x"), CONFIG + "Rename")
    refused(stage, vm.Destroy_Task, "VirtualMachine.Inventory.Delete")
    if stage.node.is_manager:
        refused(stage, lambda: vm.MigrateVM_Task(None, None, "defaultPriority"),
                "Resource.ColdMigrate")
        refused(stage, lambda: folder.CreateFolder("x"), "Folder.Create")
    refused(stage, lambda: folder.CreateVM_Task(
        spec_of(name="x", files=vim.vm.FileInfo(vmPathName="[datastore1]")), pool),
        "VirtualMachine.Inventory.Create")
    refused(stage, lambda: folder.RegisterVM_Task("[datastore1] vm-1/vm-1.vmx", "x", False, pool),
            "VirtualMachine.Inventory.Register")
    refused(stage, lambda: pool.CreateResourcePool("x", pool.config), "Resource.CreatePool")
    files = stage.reader.content.fileManager
    place = folder.parent
    for what in (lambda: files.MakeDirectory("[datastore1] x", place),
                 lambda: files.DeleteDatastoreFile_Task("[datastore1] vm-1/vm-1.vmx", place),
                 lambda: files.MoveDatastoreFile_Task("[datastore1] vm-1", place,
                                                      "[datastore1] x", place)):
        assert refused(stage, what, "Datastore.FileManagement").object == vm.datastore[0]


@pytest.mark.parametrize("method, path, status", [
    ("PUT", "/new", 403), ("PUT", "/vm-1/vm-1.vmx", 403), ("DELETE", "/vm-1/vm-1.vmx", 403),
    ("GET", "/vm-1/vm-1.vmx", 403)])
def test_files(stage, method, path, status):
    place = stage.si.content.rootFolder.childEntity[0].name
    query = {"dcPath": place, "dsName": "datastore1"}
    folder = Folder(stage.node, *stage.pair)
    with Unchanged(stage.si, stage.host):
        got, text = folder(method, path, b"x" * 3_000_000 if method == "PUT" else None, query=query)
        assert got == status
    assert b"privilege Datastore." in text and b'"datastore1"' in text


def test_no_permission_at_all(stage):
    """Not even looking is allowed any more, at once and in the session that is open."""
    vm = find(stage.reader, vim.VirtualMachine, "vm-1")
    root = stage.si.content.rootFolder
    manager = stage.si.content.authorizationManager
    manager.RemoveEntityPermission(root, stage.pair[0], False)
    try:
        refused(stage, vm.PowerOnVM_Task, "VirtualMachine.Interact.PowerOn")
        with pytest.raises(vim.fault.NoPermission) as caught:
            assert vm.name
        assert caught.value.privilegeId in ("System.View", "System.Read")
    finally:
        restrict(stage.si, stage.pair[0])
    assert vm.name == "vm-1"

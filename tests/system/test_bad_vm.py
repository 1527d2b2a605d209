# SPDX-License-Identifier: Apache-2.0
"""Virtual machines that cannot be: bad names, paths and sizes, .vmx files that lie, disks that are
cut, operations at the wrong time. Each is refused with the fault that clients know, says what is
wrong, and leaves everything as it was; on a host and through a manager."""

import os
import shutil

import pytest

from conftest import add_hosts
from state import Unchanged
from test_vm import disk, scsi
from vmomi import Disconnect, connect, vim, vmodl, wait_for_task


@pytest.fixture(scope="module")
def host(module_rig):
    return module_rig.host(memory_mib=1024)


class Place:
    """Where VMs are made at an endpoint."""

    def __init__(self, node, host):
        self.node, self.host = node, host
        self.si = connect(node)
        self.folder = self.si.content.rootFolder.childEntity[0].vmFolder
        compute = self.folder.parent.hostFolder.childEntity[0]
        self.pool = compute.resourcePool
        self.files = os.path.join(host.state, "datastores", "datastore1")

    def run(self, task):
        return wait_for_task(self.si, task)

    def create(self, name, path="[datastore1]", **more):
        spec = {"numCPUs": 1, "memoryMB": 32, "guestId": "otherGuest", **more}
        return self.run(self.folder.CreateVM_Task(vim.vm.ConfigSpec(
            name=name, files=vim.vm.FileInfo(vmPathName=path), **spec), self.pool))

    def register(self, path, name=None):
        return self.run(self.folder.RegisterVM_Task(path, name, False, self.pool))

    def refused(self, fault, function, *words):
        """The fault of a function that must raise one and change nothing."""
        with Unchanged(self.si, self.host):
            with pytest.raises(fault) as caught:
                function()
        for word in words:
            assert word in caught.value.msg
        assert len(caught.value.msg) < 600
        return caught.value


@pytest.fixture(scope="module", params=["host", "center"])
def place(request, module_rig, host):
    node = host
    if request.param == "center":
        node = module_rig.center()
        add_hosts(node, "dc", host)
    it = Place(node, host)
    yield it
    Disconnect(it.si)


@pytest.fixture(scope="module")
def vm(place):
    vm = place.create("vm", deviceChange=[scsi(), disk(1024)])
    yield vm
    if vm.runtime.powerState != "poweredOff":
        place.run(vm.PowerOffVM_Task())
    place.run(vm.Destroy_Task())
    assert not os.path.exists(os.path.join(place.files, "vm"))


# ---- names ----

NAMES = {  # a name that is none, what the message says
    "empty": ("", "a VM needs a name"), "dot": (".", "folders"), "dots": ("..", "folders"),
    "long": ("x" * 300, "at most 80 bytes"), "long-in-bytes": ("\u00e9" * 50, "at most 80 bytes"),
    "tab": ("a\tb", "control characters"), "line": ("a\nb", "control characters"),
    "delete": ("\x7f", "control characters"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_none(place, vm, name):
    name, words = NAMES[name]
    for function in (lambda: place.create(name), lambda: place.run(vm.Rename_Task(name)),
                     lambda: place.run(vm.ReconfigVM_Task(vim.vm.ConfigSpec(name=name))),
                     lambda: place.run(vm.Rename_Task(name))):
        fault = place.refused(vim.fault.InvalidName, function, words)
        assert fault.name and name.startswith(fault.name[:20]) or fault.name == name


@pytest.mark.parametrize("name, shown", [
    ("a/b", "a%2fb"), ("../x", "..%2fx"), ("a\\b", "a%5cb"), ("%2e%2e", "%252e%252e"),
    (" lead", " lead"), ("trail ", "trail "), ("...", "..."), ("[x] y", "[x] y"), ("-rf", "-rf")])
def test_names_that_only_look_bad(place, name, shown):
    """They stay within the datastore, and go again without a trace."""
    with Unchanged(place.si, place.host):
        vm = place.create(name, deviceChange=[scsi(), disk(1024)])
        assert vm.name == shown
        path = vm.config.files.vmPathName
        assert path.startswith("[datastore1] ") and "/.." not in path and "] .." not in path
        place.run(vm.PowerOnVM_Task())
        place.run(vm.PowerOffVM_Task())
        place.run(vm.Destroy_Task())


def test_name_that_is_taken(place, vm):
    fault = place.refused(vim.fault.DuplicateName, lambda: place.create("vm"), '"vm"')
    assert fault.object == vm and fault.name == "vm"


# ---- paths and sizes ----

PATHS = {
    "unknown": ("[nowhere]", vim.fault.InvalidDatastore, '"nowhere"'),
    "plain": ("datastore1", vim.fault.InvalidDatastorePath, '"datastore1"'),
    "up": ("[datastore1] ../x/x.vmx", vim.fault.InvalidDatastorePath, '".."'),
    "open": ("[", vim.fault.InvalidDatastorePath, "] is missing"),
    "there": ("[datastore1] vm/vm.vmx", vim.fault.FileAlreadyExists, "vm/vm.vmx"),
    "absent": ("[datastore1] no/such/place", vim.fault.FileNotFound, "no/such/place"),
    "deep": ("[datastore1] " + "d/" * 5000, vmodl.MethodFault, ""),
}


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_are_none(place, vm, path):
    path, fault, words = PATHS[path]
    place.refused(fault, lambda: place.create("pathless", path), words)


def test_control_bytes_cannot_come_in(place, vm):
    place.refused(vmodl.fault.InvalidRequest, lambda: place.create("a\0b"), "0x0")


SPECS = {
    "no-cpus": ({"numCPUs": 0}, vmodl.fault.InvalidArgument, "1 to 255"),
    "many-cpus": ({"numCPUs": 100_000}, vmodl.fault.InvalidArgument, "1 to 255"),
    "negative-memory": ({"memoryMB": -5}, vim.fault.MemorySizeNotSupported, "-5"),
    "little-memory": ({"memoryMB": 3}, vim.fault.MemorySizeNotSupported, "between 4 and"),
    "much-memory": ({"memoryMB": 1 << 40}, vim.fault.MemorySizeNotSupported, str(1 << 40)),
    "firmware": ({"firmware": "x"}, vmodl.fault.InvalidArgument, "configSpec.firmware"),
    "key": ({"extraConfig": [vim.option.OptionValue(key='a"b\n', value="x")]},
            vmodl.fault.InvalidArgument, "configSpec.extraConfig"),
    "version": ({"version": "vmx-999"}, vim.fault.VirtualHardwareVersionNotSupported, "vmx-999"),
    "controller": ({"deviceChange": [disk(1024, controller=777)]}, vim.fault.InvalidController,
                   "777"),
    "negative-disk": ({"deviceChange": [scsi(), disk(-5)]}, vim.fault.InvalidDeviceSpec,
                      "62 TB"),
    "huge-disk": ({"deviceChange": [scsi(), disk(1 << 60)]}, vim.fault.InvalidDeviceSpec,
                  "62 TB"),
    "unit-twice": ({"deviceChange": [scsi(), disk(1024), disk(1024)]},
                   vim.fault.InvalidDeviceSpec, "taken"),
}


@pytest.mark.parametrize("spec", SPECS)
def test_specs_that_cannot_be(place, vm, spec):
    spec, fault, words = SPECS[spec]
    place.refused(fault, lambda: place.create("impossible", **spec), words)
    if "deviceChange" not in spec:
        place.refused(fault, lambda: place.run(vm.ReconfigVM_Task(vim.vm.ConfigSpec(**spec))),
                      words)


# ---- operations at the wrong time ----

def test_power_in_the_wrong_state(place, vm):
    def refused(function, existing, wanted):
        fault = place.refused(vim.fault.InvalidPowerState, lambda: place.run(function()), '"vm"',
                              "powered")
        assert (fault.existingState, fault.requestedState) == (existing, wanted)

    refused(vm.PowerOffVM_Task, "poweredOff", "poweredOff")
    refused(vm.SuspendVM_Task, "poweredOff", "suspended")
    refused(vm.ResetVM_Task, "poweredOff", "poweredOn")
    place.run(vm.PowerOnVM_Task())
    try:
        pids = place.host.machines()
        refused(vm.PowerOnVM_Task, "poweredOn", "poweredOn")
        refused(vm.Destroy_Task, "poweredOn", "poweredOff")
        refused(lambda: vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=2)), "poweredOn",
                "poweredOff")
        place.refused(vim.fault.InvalidPowerState, vm.UnregisterVM, '"vm"')
        assert place.host.machines() == pids and len(pids) == 1
    finally:
        place.run(vm.PowerOffVM_Task())


def test_stale_change_version(place, vm):
    old = vm.config.changeVersion
    place.run(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="mine", changeVersion=old)))
    for stale in (old, "2001-01-01T00:00:00Z", "nonsense"):
        spec = vim.vm.ConfigSpec(annotation="yours", memoryMB=64, changeVersion=stale)
        place.refused(vim.fault.ConcurrentAccess, lambda: place.run(vm.ReconfigVM_Task(spec)),
                      stale, "changeVersion")
    assert vm.config.annotation == "mine" and vm.config.hardware.memoryMB == 32


def test_machine_that_is_gone(place):
    vm = place.create("short")
    place.run(vm.Destroy_Task())
    for function in (vm.PowerOnVM_Task, vm.Destroy_Task, vm.UnregisterVM, lambda: vm.name):
        fault = place.refused(vmodl.fault.ManagedObjectNotFound, function, vm._moId)
        assert fault.obj == vm


# ---- a .vmx that lies ----

VMX = ('config.version = "8"\nvirtualHW.version = "19"\ndisplayName = "bad"\n'
       'guestOS = "other"\nmemsize = "32"\nnumvcpus = "1"\n')
DISK = ('scsi0.present = "TRUE"\nscsi0.virtualDev = "pvscsi"\nscsi0:0.present = "TRUE"\n'
        'scsi0:0.deviceType = "scsi-hardDisk"\nscsi0:0.fileName = "{}"\n')

LIES = {  # the file, the fault, what its message names
    "text": ("a shopping list\n", vim.fault.InvalidFormat, "line 1: no '='"),
    "program": (b"\x7fELF\2\1\1" + bytes(4000), vim.fault.InvalidFormat, "NUL byte"),
    "no-utf8": (VMX.encode().replace(b'"bad"', b'"\xff\xfe"'), vim.fault.InvalidFormat,
                '"displayName" is not UTF-8'),
    "open-quote": (VMX + 'foo = "bar\n', vim.fault.InvalidFormat, "line 7: the closing quote"),
    "twice": (VMX + 'memsize = "64"\n', vim.fault.InvalidFormat, '"memsize" is there twice'),
    "10-mb": (VMX + "# " + "x" * (10 << 20), vim.fault.InvalidFormat, "more than 1048576 bytes"),
    "many-keys": (VMX + "".join(f'k{i} = "v"\n' for i in range(500_000)),
                  vim.fault.InvalidFormat, "more than 1048576 bytes"),
    "cpus": (VMX.replace('numvcpus = "1"', 'numvcpus = "100000"'), vim.fault.InvalidFormat,
             '"numvcpus" is "100000"'),
    "negative-memory": (VMX.replace('"32"', '"-4"'), vim.fault.InvalidFormat, '"-4"'),
    "no-number": (VMX.replace('"32"', '"lots"'), vim.fault.InvalidFormat, '"lots"'),
    "overflow": (VMX.replace('"32"', f'"{"9" * 30}"'), vim.fault.InvalidFormat, "from 4 to"),
    "hardware": (VMX.replace('"19"', '"999"'), vim.fault.InvalidFormat, '"virtualHW.version"'),
    "name": (VMX.replace('"bad"', '".."'), vim.fault.InvalidName, '".."'),
    "disk-outside": (VMX + DISK.format("/etc/passwd"), vim.fault.InvalidFormat, "/etc/passwd"),
    "disk-above": (VMX + DISK.format("../../../../etc/passwd"), vim.fault.InvalidFormat, '".."'),
    "disk-elsewhere": (VMX + DISK.format("/vmfs/volumes/other/x.vmdk"),
                       vim.fault.InvalidDatastorePath, '"other"'),
    "disk-itself": (VMX + DISK.format("bad.vmx"), vim.fault.CannotAccessFile, "end in .vmdk"),
    "disk-absent": (VMX + DISK.format("none.vmdk"), vim.fault.FileNotFound, "none.vmdk"),
}


@pytest.mark.parametrize("lie", LIES)
def test_vmx_that_lies(place, lie):
    content, fault, words = LIES[lie]
    folder = os.path.join(place.files, "bad")
    os.mkdir(folder)
    try:
        with open(os.path.join(folder, "bad.vmx"), "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        place.refused(fault, lambda: place.register("[datastore1] bad/bad.vmx"), words)
    finally:
        shutil.rmtree(folder)


def test_vmx_that_is_a_link(place):
    """Nothing outside the datastore is read, whatever lies in it."""
    folder = os.path.join(place.files, "bad")
    os.mkdir(folder)
    try:
        os.symlink("/etc/passwd", os.path.join(folder, "bad.vmx"))
        place.refused(vmodl.MethodFault, lambda: place.register("[datastore1] bad/bad.vmx"))
        os.unlink(os.path.join(folder, "bad.vmx"))
        os.mkfifo(os.path.join(folder, "bad.vmx"))
        with pytest.raises(vmodl.MethodFault):
            place.register("[datastore1] bad/bad.vmx")
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("path, fault", [
    ("[datastore1] none/none.vmx", vim.fault.FileNotFound),
    ("[datastore1] vm", vim.fault.InvalidDatastorePath),
    ("[none] a/a.vmx", vim.fault.InvalidDatastore),
    ("garbage", vim.fault.InvalidDatastorePath),
    ("[datastore1] ../../x.vmx", vim.fault.InvalidDatastorePath),
    ("[datastore1] vm/vm.vmx", vim.fault.AlreadyExists)])
def test_registering_what_is_none(place, vm, path, fault):
    place.refused(fault, lambda: place.register(path, "new"), '"')


# ---- disks that are cut ----

def cut(text, where=0.5):
    return text[:int(len(text) * where)]


DESCRIPTORS = {  # what becomes of the descriptor, the fault, what its message names
    "half": (cut, vim.fault.CannotAccessFile, '"vm.vmdk": line'),
    "head": (lambda text: cut(text, 0.1), vim.fault.CannotAccessFile, '"vm.vmdk"'),
    "empty": (lambda text: "", vim.fault.CannotAccessFile, "not a disk descriptor"),
    "junk": (lambda text: "\1\2" * 200, vim.fault.CannotAccessFile, "not a disk descriptor"),
    "large": (lambda text: text + "# " + "x" * (4 << 20), vim.fault.LimitExceeded,
              "more than 262144 bytes"),
    "outside": (lambda text: text.replace("vm-flat.vmdk", "/etc/passwd"),
                vim.fault.InvalidDatastorePath, '"/etc/passwd" has a slash'),
    "above": (lambda text: text.replace("vm-flat.vmdk", "../../../../../etc/passwd"),
              vim.fault.InvalidDatastorePath, "has a slash"),
    "itself": (lambda text: text.replace("vm-flat.vmdk", "vm.vmdk"), vim.fault.CannotAccessFile,
               "truncated"),
    "size": (lambda text: text.replace("RW 2048", "RW 4096"), vim.fault.CannotAccessFile,
             "truncated: it has 1048576 bytes, the descriptor wants 2097152"),
    "huge": (lambda text: text.replace("RW 2048", "RW 999999999999"), vim.fault.LimitExceeded,
             "larger than 62 TiB"),
    "negative": (lambda text: text.replace("RW 2048", "RW -1"), vim.fault.CannotAccessFile,
                 "not a number of sectors"),
    "absent": (lambda text: None, vim.fault.FileNotFound, '"vm.vmdk"'),
}


def refused_power_on(place, vm, fault, words):
    place.refused(fault, lambda: place.run(vm.PowerOnVM_Task()), words)
    assert vm.runtime.powerState == "poweredOff" and not place.host.machines()


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_descriptor_that_is_cut(place, vm, name):
    change, fault, words = DESCRIPTORS[name]
    path = os.path.join(place.files, "vm", "vm.vmdk")
    with open(path, encoding="utf-8") as file:
        whole = file.read()
    try:
        os.unlink(path)
        if change(whole) is not None:
            with open(path, "w", encoding="utf-8") as out:
                out.write(change(whole))
        refused_power_on(place, vm, fault, words)
    finally:
        with open(path, "w", encoding="utf-8") as out:
            out.write(whole)


@pytest.mark.parametrize("size", [0, 1000, (1 << 20) - 1, None])
def test_flat_file_that_is_short(place, vm, size):
    path = os.path.join(place.files, "vm", "vm-flat.vmdk")
    try:
        if size is None:
            os.unlink(path)
            refused_power_on(place, vm, vim.fault.FileNotFound, '"vm-flat.vmdk"')
        else:
            os.truncate(path, size)
            refused_power_on(place, vm, vim.fault.CannotAccessFile,
                             f"it has {size} bytes, the descriptor wants 1048576")
    finally:
        with open(path, "ab") as out:
            out.truncate(1 << 20)


def test_whole_again(place, vm):
    place.run(vm.PowerOnVM_Task())
    place.run(vm.PowerOffVM_Task())

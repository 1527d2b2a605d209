# SPDX-License-Identifier: Apache-2.0
"""pyvmomi 6.7.1: the idioms that its samples and nearly every script use."""

import datetime
import time

import vmomi
from compat import CENTER, HOSTS, MANAGERS, MOVES, NO_MOVES, REAL, Table
from vmomi import vim, vmodl

PYVMOMI = Table("pyvmomi 6.7.1", (vmodl.MethodFault,))
row = PYVMOMI.row
VM = "compat-py"
Collector = vmodl.query.PropertyCollector


def host_of(t):
    return vmomi.find(t.si, vim.HostSystem, t.host_name)


def vm_of(t):
    return vmomi.find(t.si, vim.VirtualMachine, VM)


def pool_of(t):
    return host_of(t).parent.resourcePool


def datacenter_of(t):
    return t.si.content.searchIndex.FindByInventoryPath(t.datacenter)


def raises(fault, function, *words, **more):
    try:
        function(*words, **more)
    except fault as raised:
        return raised
    raise AssertionError(f"{fault.__name__} was not raised")


def machine_spec(t, name, memory_mib=32, disks=1):
    """As create_vm.py of pyvmomi's community samples makes it."""
    spec = vim.vm.ConfigSpec(name=name, memoryMB=memory_mib, numCPUs=1, guestId="otherGuest64",
                             files=vim.vm.FileInfo(vmPathName=f"[{t.datastore}]"))
    controller = vim.vm.device.VirtualDeviceSpec(
        operation="add", device=vim.vm.device.ParaVirtualSCSIController(
            key=-100, busNumber=0, sharedBus="noSharing"))
    spec.deviceChange = [controller]
    for unit in range(disks):
        spec.deviceChange.append(vim.vm.device.VirtualDeviceSpec(
            operation="add", fileOperation="create", device=vim.vm.device.VirtualDisk(
                key=-(unit + 1), unitNumber=unit, controllerKey=-100, capacityInKB=4096,
                backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                    diskMode="persistent", thinProvisioned=True, fileName=""))))
    network = vmomi.find(t.si, vim.Network, "VM Network")
    spec.deviceChange.append(vim.vm.device.VirtualDeviceSpec(
        operation="add", device=vim.vm.device.VirtualVmxnet3(
            key=-50, addressType="generated",
            backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(
                network=network, deviceName="VM Network"))))
    return spec


# ---- sessions and content ----

@row("SmartConnect")
def smart_connect(t):
    assert t.si.content.about.apiType == ("VirtualCenter" if t.is_manager else "HostAgent")


@row("SmartConnect (wrong password)")
def smart_connect_wrong(t):
    fault = raises(vim.fault.InvalidLogin, vmomi.connect, t.node, password="wrong")
    assert fault.msg


@row("RetrieveContent, CurrentTime")
def content(t):
    content = t.si.RetrieveContent()
    assert isinstance(content.rootFolder, vim.Folder)
    off = t.si.CurrentTime() - datetime.datetime.now(datetime.timezone.utc)
    assert abs(off.total_seconds()) < 5


@row("sessionManager.currentSession")
def current_session(t):
    session = t.si.content.sessionManager.currentSession
    assert session.userName == t.node.user and session.ipAddress.startswith("127.")
    assert session.key in {s.key for s in t.si.content.sessionManager.sessionList}


@row("Disconnect")
def disconnect(t):
    si = vmomi.connect(t.node)
    root = si.content.rootFolder
    vmomi.Disconnect(si)
    raises(vim.fault.NotAuthenticated, lambda: root.name)


@row("session taken over by its cookie")
def cookie(t):
    other = vmomi.connect(t.node)
    stub = t.si._stub
    kept, stub.cookie = stub.cookie, other._stub.cookie
    try:
        key = vim.ServiceInstance("ServiceInstance", stub).content.sessionManager.currentSession.key
        assert key == other.content.sessionManager.currentSession.key
    finally:
        stub.cookie = kept
    vmomi.Disconnect(other)


# ---- the inventory ----

@row("attributes of managed objects (Fetch)")
def fetch(t):
    root = t.si.content.rootFolder
    assert root.parent is None
    datacenter = datacenter_of(t)
    assert datacenter.parent == root and datacenter.name == t.datacenter[1:]
    assert datacenter.vmFolder.childType and "VirtualMachine" in str(datacenter.vmFolder.childType)


@row("rootFolder.childEntity loops")
def child_entity(t):
    for datacenter in t.si.content.rootFolder.childEntity:
        for compute in datacenter.hostFolder.childEntity:
            assert isinstance(compute, vim.ComputeResource)
            assert all(isinstance(host, vim.HostSystem) for host in compute.host)
            assert compute.summary.numHosts == len(compute.host)


@row("ContainerView")
def container_view(t):
    for kind in (vim.HostSystem, vim.Datastore, vim.Network, vim.ResourcePool, vim.Folder):
        things = vmomi.collect(t.si, kind)
        assert things and all(isinstance(thing, kind) for thing in things)
        assert all(thing.name for thing in things)


@row("HostSystem attributes")
def host_attributes(t):
    host = host_of(t)
    assert host.runtime.connectionState == "connected"
    assert host.hardware.cpuInfo.numCpuCores >= 1
    assert host.hardware.memorySize > 0
    assert host.summary.hardware.uuid == host.hardware.systemInfo.uuid
    assert host.config.product.apiVersion
    assert t.datastore in [store.name for store in host.datastore]
    assert host.config.network.vswitch[0].name == "vSwitch0"
    assert [p.spec.name for p in host.config.network.portgroup].count("VM Network") == 1
    assert host.summary.quickStats.overallMemoryUsage is not None


@row("Datastore attributes")
def datastore_attributes(t):
    store = vmomi.find(t.si, vim.Datastore, t.datastore)
    assert 0 < store.summary.freeSpace <= store.summary.capacity
    assert store.summary.accessible and store.info.name == t.datastore
    assert store.host[0].mountInfo.accessMode == "readWrite"


# ---- property collector ----

@row("RetrieveProperties with PathSet")
def retrieve_properties(t):
    """The traversal of getallvms_fast and its kin."""
    content = t.si.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.HostSystem], True)
    spec = Collector.FilterSpec(
        objectSet=[Collector.ObjectSpec(obj=view, skip=True, selectSet=[Collector.TraversalSpec(
            name="traverseEntities", path="view", skip=False, type=view.__class__)])],
        propSet=[Collector.PropertySpec(type=vim.HostSystem, all=False, pathSet=[
            "name", "runtime.connectionState"])])
    found = {}
    for thing in content.propertyCollector.RetrieveContents([spec]):
        found[thing.obj] = {p.name: p.val for p in thing.propSet}
    assert found[host_of(t)] == {"name": t.host_name, "runtime.connectionState": "connected"}
    view.Destroy()


@row("RetrievePropertiesEx, ContinueRetrievePropertiesEx")
def retrieve_paged(t):
    content = t.si.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.ManagedEntity], True)
    spec = Collector.FilterSpec(
        objectSet=[Collector.ObjectSpec(obj=view, skip=True, selectSet=[Collector.TraversalSpec(
            name="all", path="view", skip=False, type=view.__class__)])],
        propSet=[Collector.PropertySpec(type=vim.ManagedEntity, pathSet=["name"])])
    collector, names = content.propertyCollector, []
    page = collector.RetrievePropertiesEx([spec], Collector.RetrieveOptions(maxObjects=3))
    assert len(page.objects) == 3
    while True:
        names += [thing.propSet[0].val for thing in page.objects]
        if not page.token:
            break
        page = collector.ContinueRetrievePropertiesEx(page.token)
    assert len(names) == len(view.view) and t.host_name in names
    view.Destroy()


@row("RetrieveProperties (no such property)")
def retrieve_invalid(t):
    spec = Collector.FilterSpec(
        objectSet=[Collector.ObjectSpec(obj=t.si.content.rootFolder)],
        propSet=[Collector.PropertySpec(type=vim.Folder, pathSet=["nothing"])])
    fault = raises(vmodl.query.InvalidProperty, t.si.content.propertyCollector.RetrieveContents,
                   [spec])
    assert fault.name == "nothing"


@row("WaitForUpdatesEx")
def wait_for_updates(t):
    content = t.si.content
    collector = content.propertyCollector.CreatePropertyCollector()
    pool = pool_of(t).CreateResourcePool("compat-py-pool", allocation())
    try:
        collector.CreateFilter(Collector.FilterSpec(
            objectSet=[Collector.ObjectSpec(obj=pool)],
            propSet=[Collector.PropertySpec(type=vim.ResourcePool, pathSet=["name"])]), False)
        first = collector.WaitForUpdatesEx("", Collector.WaitOptions(maxWaitSeconds=5))
        assert first.filterSet[0].objectSet[0].kind == "enter"
        assert collector.WaitForUpdatesEx(first.version,
                                          Collector.WaitOptions(maxWaitSeconds=0)) is None
        pool.UpdateConfig(name="compat-py-pool-2")
        second = collector.WaitForUpdatesEx(first.version,
                                            Collector.WaitOptions(maxWaitSeconds=10))
        change = second.filterSet[0].objectSet[0].changeSet[0]
        assert (change.name, change.op, change.val) == ("name", "assign", "compat-py-pool-2")
        pool.Destroy()
        third = collector.WaitForUpdatesEx(second.version,
                                           Collector.WaitOptions(maxWaitSeconds=10))
        assert third.filterSet[0].objectSet[0].kind == "leave"
        pool = None
    finally:
        collector.Destroy()
        if pool is not None:
            pool.Destroy()


@row("WaitForUpdatesEx (stale version)")
def wait_stale(t):
    collector = t.si.content.propertyCollector.CreatePropertyCollector()
    raises(vmodl.query.InvalidCollectorVersion, collector.WaitForUpdatesEx, "nonsense",
           Collector.WaitOptions(maxWaitSeconds=0))
    collector.Destroy()


def allocation():
    def one():
        return vim.ResourceAllocationInfo(
            reservation=0, limit=-1, expandableReservation=True,
            shares=vim.SharesInfo(level="normal", shares=4000))
    return vim.ResourceConfigSpec(cpuAllocation=one(), memoryAllocation=one())


# ---- machines ----

@row("CreateVM_Task, WaitForTask")
def create_vm(t):
    task = datacenter_of(t).vmFolder.CreateVM_Task(machine_spec(t, VM), pool_of(t))
    vm = vmomi.wait_for_task(t.si, task)
    assert isinstance(vm, vim.VirtualMachine) and vm.name == VM
    assert vm.runtime.powerState == "poweredOff" and vm.config.template is False
    assert [d.capacityInKB for d in vm.config.hardware.device
            if isinstance(d, vim.vm.device.VirtualDisk)] == [4096]
    assert task.info.descriptionId == "Folder.createVm" and task.info.completeTime


@row("CreateVM_Task (DuplicateName by class)", after="CreateVM_Task, WaitForTask")
def create_vm_twice(t):
    """The fault comes at once or, as vCenter's, out of the task."""
    fault = raises(vim.fault.DuplicateName, lambda: vmomi.run(
        t.si, datacenter_of(t).vmFolder.CreateVM_Task(machine_spec(t, VM), pool_of(t))))
    assert fault.name == VM and fault.object == vm_of(t) and fault.msg


@row("summary, config, guest, layoutEx", after="CreateVM_Task, WaitForTask")
def vm_attributes(t):
    vm = vm_of(t)
    assert vm.summary.config.memorySizeMB == 32 and vm.summary.config.numEthernetCards == 1
    assert vm.summary.config.vmPathName == f"[{t.datastore}] {VM}/{VM}.vmx"
    assert vm.summary.storage.committed is not None
    assert vm.guest.toolsRunningStatus in ("guestToolsNotRunning", None)
    assert any(f.name.endswith(".vmdk") for f in vm.layoutEx.file)
    assert vm.datastore[0].name == t.datastore and vm.network[0].name == "VM Network"
    assert vm.resourcePool == pool_of(t) and vm.parent == datacenter_of(t).vmFolder
    assert vm.runtime.host == host_of(t) and vm in host_of(t).vm


@row("SearchIndex", after="CreateVM_Task, WaitForTask")
def search_index(t):
    index, vm = t.si.content.searchIndex, vm_of(t)
    assert index.FindByUuid(None, vm.config.uuid, True) == vm
    assert index.FindByUuid(None, vm.config.instanceUuid, True, True) == vm
    assert index.FindByInventoryPath(f"{t.datacenter}/vm/{VM}") == vm
    assert index.FindChild(vm.parent, VM) == vm
    assert index.FindByDatastorePath(datacenter_of(t), vm.config.files.vmPathName) == vm
    assert index.FindByInventoryPath(f"{t.datacenter}/vm/nothing") is None
    assert index.FindAllByUuid(None, vm.config.uuid, True) == [vm]


@row("ReconfigVM_Task", after="CreateVM_Task, WaitForTask")
def reconfigure(t):
    vm = vm_of(t)
    spec = vim.vm.ConfigSpec(memoryMB=48, annotation="by pyvmomi", extraConfig=[
        vim.option.OptionValue(key="guestinfo.compat", value="yes")])
    vmomi.run(t.si, vm.ReconfigVM_Task(spec))
    assert vm.config.hardware.memoryMB == 48 and vm.config.annotation == "by pyvmomi"
    assert {o.key: o.value for o in vm.config.extraConfig}["guestinfo.compat"] == "yes"


@row("ReconfigVM_Task (devices)", after="ReconfigVM_Task")
def reconfigure_devices(t):
    vm = vm_of(t)
    controller = next(d for d in vm.config.hardware.device
                      if isinstance(d, vim.vm.device.VirtualSCSIController))
    disk = vim.vm.device.VirtualDeviceSpec(
        operation="add", fileOperation="create", device=vim.vm.device.VirtualDisk(
            key=-1, unitNumber=3, controllerKey=controller.key, capacityInKB=2048,
            backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                diskMode="persistent", thinProvisioned=True)))
    vmomi.run(t.si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[disk])))
    added = next(d for d in vm.config.hardware.device if getattr(d, "unitNumber", None) == 3 and
                 isinstance(d, vim.vm.device.VirtualDisk))
    assert added.capacityInKB == 2048 and added.controllerKey == controller.key
    gone = vim.vm.device.VirtualDeviceSpec(operation="remove", fileOperation="destroy",
                                           device=added)
    vmomi.run(t.si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[gone])))
    assert added.key not in [d.key for d in vm.config.hardware.device]


@row("ReconfigVM_Task (stale changeVersion)", after="ReconfigVM_Task")
def reconfigure_stale(t):
    vm = vm_of(t)
    version = vm.config.changeVersion
    vmomi.run(t.si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="by pyvmomi",
                                                         changeVersion=version)))
    raises(vim.fault.ConcurrentAccess, vmomi.run, t.si, vm.ReconfigVM_Task(
        vim.vm.ConfigSpec(annotation="too late", changeVersion=version)))
    assert vm.config.annotation == "by pyvmomi"


@row("PowerOnVM_Task", after="ReconfigVM_Task (devices)")
def power_on(t):
    vm = vm_of(t)
    vmomi.run(t.si, vm.PowerOnVM_Task())
    assert vm.runtime.powerState == vim.VirtualMachinePowerState.poweredOn
    assert vm.runtime.bootTime is not None


@row("PowerOnVM_Task (InvalidPowerState by class)", after="PowerOnVM_Task")
def power_on_twice(t):
    fault = raises(vim.fault.InvalidPowerState, vmomi.run, t.si, vm_of(t).PowerOnVM_Task())
    assert (fault.requestedState, fault.existingState) == ("poweredOn", "poweredOn")


@row("ShutdownGuest (ToolsUnavailable by class)", after="PowerOnVM_Task", on=REAL)
def shutdown_guest(t):
    raises(vim.fault.ToolsUnavailable, vm_of(t).ShutdownGuest)


@row("UnregisterVM (InvalidPowerState by class)", after="PowerOnVM_Task")
def unregister_running(t):
    raises(vim.fault.InvalidPowerState, vm_of(t).UnregisterVM)


@row("SuspendVM_Task, ResetVM_Task, PowerOffVM_Task",
     after=("PowerOnVM_Task (InvalidPowerState by class)",
            "UnregisterVM (InvalidPowerState by class)",
            "ShutdownGuest (ToolsUnavailable by class)"))
def power_others(t):
    vm = vm_of(t)
    vmomi.run(t.si, vm.SuspendVM_Task())
    assert vm.runtime.powerState == "suspended"
    vmomi.run(t.si, vm.PowerOnVM_Task())
    vmomi.run(t.si, vm.ResetVM_Task())
    assert vm.runtime.powerState == "poweredOn"
    vmomi.run(t.si, vm.PowerOffVM_Task())
    assert vm.runtime.powerState == "poweredOff"


@row("Datacenter.PowerOnMultiVM_Task", on=MANAGERS,
     after="SuspendVM_Task, ResetVM_Task, PowerOffVM_Task")
def power_on_multi(t):
    vm = vm_of(t)
    result = vmomi.run(t.si, datacenter_of(t).PowerOnMultiVM_Task([vm]))
    assert isinstance(result, vim.cluster.PowerOnVmResult) and result.attempted[0].vm == vm
    vmomi.run(t.si, result.attempted[0].task)
    assert vm.runtime.powerState == "poweredOn"
    vmomi.run(t.si, vm.PowerOffVM_Task())


# ---- events, tasks ----

@row("QueryEvents", after="PowerOnVM_Task")
def query_events(t):
    spec = vim.event.EventFilterSpec(
        entity=vim.event.EventFilterSpec.ByEntity(entity=vm_of(t), recursion="self"),
        eventTypeId=["VmPoweredOnEvent"])
    events = t.si.content.eventManager.QueryEvents(spec)
    assert events and all(isinstance(e, vim.event.VmPoweredOnEvent) for e in events)
    assert events[0].vm.vm == vm_of(t) and events[0].fullFormattedMessage


@row("CreateCollectorForEvents", after="PowerOnVM_Task")
def event_collector(t):
    collector = t.si.content.eventManager.CreateCollectorForEvents(vim.event.EventFilterSpec())
    try:
        collector.SetCollectorPageSize(5)
        assert 1 <= len(collector.latestPage) <= 5
        collector.RewindCollector()
        page = collector.ReadNextEvents(3)
        assert len(page) == 3 and page[0].key < page[-1].key
        assert collector.ReadPreviousEvents(10) is not None
    finally:
        collector.DestroyCollector()


@row("LogUserEvent")
def log_user_event(t):
    t.si.content.eventManager.LogUserEvent(t.si.content.rootFolder, "compat was here")
    spec = vim.event.EventFilterSpec(eventTypeId=["GeneralUserEvent"])
    assert any("compat was here" in e.fullFormattedMessage
               for e in t.si.content.eventManager.QueryEvents(spec))


@row("taskManager.recentTask", after="PowerOnVM_Task")
def recent_tasks(t):
    assert any(task.info.entityName == VM for task in t.si.content.taskManager.recentTask)


@row("CreateCollectorForTasks", after="PowerOnVM_Task")
def task_collector(t):
    spec = vim.TaskFilterSpec(
        entity=vim.TaskFilterSpec.ByEntity(entity=vm_of(t), recursion="all"))
    collector = t.si.content.taskManager.CreateCollectorForTasks(spec)
    try:
        tasks = collector.ReadNextTasks(50)
        assert any(task.descriptionId == "VirtualMachine.powerOn" and task.state == "success"
                   for task in tasks)
    finally:
        collector.DestroyCollector()


# ---- files ----

@row("SearchDatastore_Task", after="CreateVM_Task, WaitForTask")
def search_datastore(t):
    store = vmomi.find(t.si, vim.Datastore, t.datastore)
    spec = vim.host.DatastoreBrowser.SearchSpec(
        matchPattern=["*.vmdk"], query=[vim.host.DatastoreBrowser.VmDiskQuery()])
    found = vmomi.run(t.si, store.browser.SearchDatastore_Task(f"[{t.datastore}] {VM}", spec))
    assert [f.path for f in found.file] == [f"{VM}.vmdk"]


@row("FileManager MakeDirectory, DeleteDatastoreFile_Task")
def file_manager(t):
    files, where = t.si.content.fileManager, datacenter_of(t)
    name = f"[{t.datastore}] compat-py-folder"
    files.MakeDirectory(name, where, False)
    raises(vim.fault.FileAlreadyExists, files.MakeDirectory, name, where, False)
    vmomi.run(t.si, files.DeleteDatastoreFile_Task(name, where))
    raises(vim.fault.FileNotFound, vmomi.run, t.si,
           files.DeleteDatastoreFile_Task(name, where))


@row("VirtualDiskManager create, query, delete")
def disk_manager(t):
    disks, where = t.si.content.virtualDiskManager, datacenter_of(t)
    name = f"[{t.datastore}] compat-py.vmdk"
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
        diskType="thin", adapterType="lsiLogic", capacityKb=4096)
    vmomi.run(t.si, disks.CreateVirtualDisk_Task(name, where, spec))
    uuid = disks.QueryVirtualDiskUuid(name, where)
    assert len(uuid.replace(" ", "").replace("-", "")) == 32
    vmomi.run(t.si, disks.DeleteVirtualDisk_Task(name, where))


# ---- permissions, faults by class ----

@row("AuthorizationManager")
def authorization(t):
    manager = t.si.content.authorizationManager
    assert {-1, -2, -5} <= {role.roleId for role in manager.roleList}
    assert any(p.privId == "VirtualMachine.Interact.PowerOn" for p in manager.privilegeList)
    role = manager.AddAuthorizationRole("compat-py-role", ["VirtualMachine.Interact.PowerOn"])
    raises(vim.fault.AlreadyExists, manager.AddAuthorizationRole, "compat-py-role", [])
    manager.RemoveAuthorizationRole(role, False)
    raises(vim.fault.NotFound, manager.RemoveAuthorizationRole, role, False)


@row("ManagedObjectNotFound by class")
def not_found(t):
    ghost = vim.VirtualMachine("vm-424242", t.si._stub)
    fault = raises(vmodl.fault.ManagedObjectNotFound, lambda: ghost.name)
    assert fault.obj == ghost


@row("CreateDVS_Task, ReconfigureDvs_Task, Create-, ReconfigureDVPortgroup_Task", on=MANAGERS)
def distributed_switch(t):
    group, switch = vim.dvs.DistributedVirtualPortgroup, vim.dvs.VmwareDistributedVirtualSwitch
    spec = switch.ConfigSpec(
        name="compat-py-dvs", maxMtu=9000,
        uplinkPortPolicy=vim.DistributedVirtualSwitch.NameArrayUplinkPortPolicy(
            uplinkPortName=["up1", "up2"]),
        host=[vim.dvs.HostMember.ConfigSpec(operation="add", host=host_of(t))])
    folder = datacenter_of(t).networkFolder
    dvs = vmomi.run(t.si, folder.CreateDVS_Task(
        vim.DistributedVirtualSwitch.CreateSpec(configSpec=spec)))
    assert len(dvs.config.host[0].uplinkPortKey) == 2
    shaping = vim.dvs.DistributedVirtualPort.TrafficShapingPolicy(
        inherited=False, enabled=vim.BoolPolicy(inherited=False, value=True),
        averageBandwidth=vim.LongPolicy(inherited=False, value=10**9),
        peakBandwidth=vim.LongPolicy(inherited=False, value=10**9),
        burstSize=vim.LongPolicy(inherited=False, value=10**6))
    ranges = [vim.NumericRange(start=10, end=20)]
    pg = vmomi.run(t.si, dvs.CreateDVPortgroup_Task(group.ConfigSpec(
        name="compat-py-pg", type="earlyBinding", numPorts=3,
        defaultPortConfig=switch.VmwarePortConfigPolicy(
            vlan=switch.TrunkVlanSpec(inherited=False, vlanId=ranges),
            inShapingPolicy=shaping))))
    assert pg.config.defaultPortConfig.vlan.vlanId[0].end == 20
    assert pg.config.defaultPortConfig.outShapingPolicy.inherited
    shaping.peakBandwidth.value *= 2
    raised = raises(vmodl.fault.NotSupported, vmomi.run, t.si, pg.ReconfigureDVPortgroup_Task(
        group.ConfigSpec(configVersion=pg.config.configVersion,
                         defaultPortConfig=switch.VmwarePortConfigPolicy(
                             inShapingPolicy=shaping))))
    assert "peakBandwidth" in raised.msg
    change = switch.ConfigSpec(configVersion=dvs.config.configVersion,
                               host=[vim.dvs.HostMember.ConfigSpec(operation="remove",
                                                                   host=host_of(t))])
    vmomi.run(t.si, dvs.ReconfigureDvs_Task(change))
    assert not dvs.config.host and not pg.host
    vmomi.run(t.si, dvs.Destroy_Task())


@row("FetchDVPorts, FetchDVPortKeys, RefreshDVPortState", on=MANAGERS)
def distributed_ports(t):
    dvs = vmomi.run(t.si, datacenter_of(t).networkFolder.CreateDVS_Task(
        vim.DistributedVirtualSwitch.CreateSpec(
            configSpec=vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(name="compat-py-ports"))))
    group = vim.dvs.DistributedVirtualPortgroup
    pg = vmomi.run(t.si, dvs.CreateDVPortgroup_Task(
        group.ConfigSpec(name="compat-py-ports-pg", type="earlyBinding", numPorts=3)))
    criteria = vim.dvs.PortCriteria(portgroupKey=[pg.key], inside=True)
    assert list(dvs.FetchDVPortKeys(criteria)) == list(pg.portKeys)
    assert {port.portgroupKey for port in dvs.FetchDVPorts(criteria)} == {pg.key}
    assert not dvs.FetchDVPorts(vim.dvs.PortCriteria(connected=True))
    dvs.RefreshDVPortState(pg.portKeys)
    raises(vim.fault.NotFound, dvs.RefreshDVPortState, ["0"])
    vmomi.run(t.si, dvs.Destroy_Task())


@row("QueryAvailableDvsSpec, QueryCompatibleHostForNewDvs, QueryDvsConfigTarget", on=MANAGERS)
def distributed_queries(t):
    manager = t.si.content.dvSwitchManager
    assert "8.0.0" in [spec.version for spec in manager.QueryAvailableDvsSpec()]
    assert [spec.version for spec in manager.QueryAvailableDvsSpec(True)] == ["8.0.3"]
    assert host_of(t) in manager.QueryCompatibleHostForNewDvs(datacenter_of(t), True)
    assert not manager.QueryDvsFeatureCapability().networkResourceManagementSupported
    assert manager.QueryDvsConfigTarget() is not None


@row("CreateFolder, Rename_Task, MoveIntoFolder_Task, Destroy_Task", on=MANAGERS)
def folders(t):
    root = datacenter_of(t).vmFolder
    one = root.CreateFolder("compat-py-a")
    two = root.CreateFolder("compat-py-b")
    fault = raises(vim.fault.DuplicateName, root.CreateFolder, "compat-py-a")
    assert fault.object == one
    vmomi.run(t.si, one.Rename_Task("compat-py-c"))
    vmomi.run(t.si, two.MoveIntoFolder_Task([one]))
    assert one.parent == two and two.childEntity == [one]
    vmomi.run(t.si, two.Destroy_Task())
    raises(vmodl.fault.ManagedObjectNotFound, lambda: one.name)


@row("CreateFolder (NotSupported by class)", on=HOSTS)
def folders_host(t):
    raises(vmodl.fault.NotSupported, datacenter_of(t).vmFolder.CreateFolder, "compat-py")


def other_host(t):
    return next(host for host in vmomi.collect(t.si, vim.HostSystem) if host != host_of(t))


@row("CheckMigrate_Task, CheckRelocate_Task", on=MANAGERS, after="CreateVM_Task, WaitForTask")
def check_migrate(t):
    checker, vm = t.si.content.vmProvisioningChecker, vm_of(t)
    (here,) = vmomi.run(t.si, checker.CheckMigrate_Task(vm, host_of(t), None, None, []))
    assert here.vm == vm and here.host == host_of(t) and not here.error
    spec = vim.vm.RelocateSpec(host=other_host(t))
    (there,) = vmomi.run(t.si, checker.CheckRelocate_Task(vm, spec, []))
    assert there.host == other_host(t) and bool(there.error) == (t.kind != CENTER)
    wrong = vim.vm.RelocateSpec(host=host_of(t), pool=other_host(t).parent.resourcePool)
    if wrong.pool != pool_of(t):
        (result,) = vmomi.run(t.si, checker.CheckRelocate_Task(vm, wrong, []))
        assert isinstance(result.error[0], vmodl.fault.InvalidArgument)


@row("QueryVMotionCompatibility", on=MANAGERS, after="CreateVM_Task, WaitForTask")
def vmotion_compatibility(t):
    (here,) = t.si.QueryVMotionCompatibility(vm_of(t), [host_of(t)], None)
    assert here.host == host_of(t) and set(here.compatibility) == {"cpu", "software"}
    (here,) = t.si.QueryVMotionCompatibility(vm_of(t), [host_of(t)], ["cpu"])
    assert here.compatibility == ["cpu"]


@row("MigrateVM_Task (pool)", on=MANAGERS, after="CreateVM_Task, WaitForTask")
def migrate_pool(t):
    vm, pool = vm_of(t), pool_of(t)
    vmomi.run(t.si, vm.MigrateVM_Task(pool, None, "defaultPriority", None))
    assert vm.resourcePool == pool


@row("MigrateVM_Task, RelocateVM_Task (other host)", on=MANAGERS,
     after="CreateVM_Task, WaitForTask", missing=MOVES, refusal=NO_MOVES)
def migrate_host(t):
    vm, home, other = vm_of(t), host_of(t), other_host(t)
    vmomi.run(t.si, vm.MigrateVM_Task(None, other, "defaultPriority", None))
    assert vm.runtime.host == other and vm_of(t) == vm
    vmomi.run(t.si, vm.RelocateVM_Task(vim.vm.RelocateSpec(host=home)))
    assert vm.runtime.host == home and vm_of(t) == vm


@row("EnvironmentBrowser.QueryConfigOption", after="CreateVM_Task, WaitForTask")
def config_option(t):
    option = vm_of(t).environmentBrowser.QueryConfigOption(None, None)
    assert "otherGuest64" in [guest.id for guest in option.guestOSDescriptor]


@row("Rename_Task, MarkAsTemplate, UnregisterVM, RegisterVM_Task",
     after=("SuspendVM_Task, ResetVM_Task, PowerOffVM_Task", "SearchDatastore_Task",
            "ReconfigVM_Task (stale changeVersion)", "SearchIndex", "QueryEvents",
            "CreateCollectorForTasks", "taskManager.recentTask",
            "summary, config, guest, layoutEx"))
def template_and_register(t):
    vm = vm_of(t)
    vmomi.run(t.si, vm.Rename_Task(f"{VM}-2"))
    vmomi.run(t.si, vm.Rename_Task(VM))
    vm.MarkAsTemplate()
    assert vm.config.template is True
    vm.MarkAsVirtualMachine(pool_of(t), host_of(t))
    path, uuid = vm.config.files.vmPathName, vm.config.uuid
    vm.UnregisterVM()
    assert vm_of(t) is None
    vm = vmomi.run(t.si, datacenter_of(t).vmFolder.RegisterVM_Task(
        path, None, False, pool_of(t), None))
    assert vm.config.uuid == uuid and vm.config.annotation == "by pyvmomi"


@row("Destroy_Task", after="Rename_Task, MarkAsTemplate, UnregisterVM, RegisterVM_Task")
def destroy(t):
    vm = vm_of(t)
    vmomi.run(t.si, vm.Destroy_Task())
    raises(vmodl.fault.ManagedObjectNotFound, lambda: vm.name)
    assert vm_of(t) is None


@row("idle for a while, then go on")
def keep_alive(t):
    for _ in range(3):
        time.sleep(0.2)
        assert t.si.CurrentTime()

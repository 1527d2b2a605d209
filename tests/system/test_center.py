# SPDX-License-Identifier: Apache-2.0
"""The manager's own inventory through real clients: what it holds, refuses and keeps."""

import random
import threading
import time

import pytest

from conftest import connect_spec
from daemon import wait_until
from govc import Govc
from vmomi import Disconnect, connect, vim, vmodl, wait_for_task

KILLS = 50


@pytest.fixture
def center(rig):
    return rig.center()


@pytest.fixture
def si(center):
    it = connect(center)
    yield it
    Disconnect(it)


def child(folder, name):
    return next((x for x in folder.childEntity if x.name == name), None)


def cluster_spec(**more):
    return vim.cluster.ConfigSpecEx(**more)


def pool_spec(reservation=0, limit=-1, level="normal", shares=0):
    """`reservation` is of CPU."""
    def allocation(reserved):
        return vim.ResourceAllocationInfo(
            reservation=reserved, limit=limit, expandableReservation=True,
            shares=vim.SharesInfo(level=level, shares=shares))
    return vim.ResourceConfigSpec(cpuAllocation=allocation(reservation),
                                  memoryAllocation=allocation(0))


def test_about(si):
    about = si.content.about
    assert about.apiType == "VirtualCenter"
    assert about.productLineId == "vpx"
    assert si.content.rootFolder._moId == "group-d1"
    assert si.content.rootFolder.name == "Datacenters"
    assert list(si.content.rootFolder.childType) == ["Folder", "Datacenter"]


def test_folders_and_datacenters(si):
    root = si.content.rootFolder
    dc = root.CreateDatacenter("DC/1")
    assert dc.name == "DC%2f1"
    assert dc.parent == root
    assert sorted(f.name for f in (dc.vmFolder, dc.hostFolder, dc.datastoreFolder,
                                   dc.networkFolder)) == ["datastore", "host", "network", "vm"]
    with pytest.raises(vim.fault.DuplicateName) as refused:
        root.CreateDatacenter("DC/1")
    assert refused.value.object == dc
    with pytest.raises(vim.fault.InvalidName):
        root.CreateDatacenter("x" * 300)
    with pytest.raises(vmodl.fault.NotSupported):
        dc.vmFolder.CreateDatacenter("inner")
    inner = dc.vmFolder.CreateFolder("a").CreateFolder("b")
    assert si.content.searchIndex.FindByInventoryPath("DC%2f1/vm/a/b") == inner
    wait_for_task(si, inner.Rename("c"))
    assert si.content.searchIndex.FindByInventoryPath("DC%2f1/vm/a/b") is None
    wait_for_task(si, dc.vmFolder.MoveInto([inner]))
    assert inner.parent == dc.vmFolder
    with pytest.raises(vim.fault.InvalidFolder) as refused:
        wait_for_task(si, dc.hostFolder.MoveInto([inner]))
    assert refused.value.target == dc.hostFolder
    with pytest.raises(vmodl.fault.NotSupported):
        dc.vmFolder.Destroy()
    wait_for_task(si, dc.Destroy())
    assert len(root.childEntity) == 0
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        assert inner.name


def test_clusters(si):
    dc = si.content.rootFolder.CreateDatacenter("DC0")
    cluster = dc.hostFolder.CreateClusterEx("C0", cluster_spec(
        drsConfig=vim.cluster.DrsConfigInfo(enabled=True, vmotionRate=2)))
    assert cluster.resourcePool.name == "Resources"
    assert cluster.resourcePool.owner == cluster
    assert cluster.configurationEx.drsConfig.enabled
    assert cluster.configurationEx.drsConfig.vmotionRate == 2
    assert not cluster.configurationEx.dasConfig.enabled
    assert [x.severity for x in cluster.configIssue] == ["warning"]
    rule = vim.cluster.AntiAffinityRuleSpec(name="apart", enabled=True, vm=[
        vim.VirtualMachine("vm-404")])
    change = cluster_spec(rulesSpec=[vim.cluster.RuleSpec(operation="add", info=rule)])
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        wait_for_task(si, cluster.ReconfigureComputeResource_Task(change, True))
    group = cluster_spec(groupSpec=[vim.cluster.GroupSpec(
        operation="add", info=vim.cluster.VmGroup(name="g", vm=[]))])
    wait_for_task(si, cluster.ReconfigureComputeResource_Task(group, True))
    assert [x.name for x in cluster.configurationEx.group] == ["g"]
    with pytest.raises(vim.fault.DuplicateName):
        wait_for_task(si, cluster.ReconfigureComputeResource_Task(group, True))
    with pytest.raises(vmodl.fault.NotSupported):
        dc.hostFolder.CreateClusterEx("C1", cluster_spec(
            vsanConfig=vim.vsan.cluster.ConfigInfo(enabled=True)))
    assert child(dc.hostFolder, "C1") is None


def test_pools(si):
    dc = si.content.rootFolder.CreateDatacenter("DC0")
    root = dc.hostFolder.CreateClusterEx("C0", cluster_spec()).resourcePool
    pool = root.CreateResourcePool("p", pool_spec(level="high", limit=4000))
    assert pool.config.cpuAllocation.shares.shares == 8000
    assert pool.config.cpuAllocation.limit == 4000
    assert pool.summary.name == "p"
    with pytest.raises(vim.fault.InsufficientResourcesFault):
        root.CreateResourcePool("big", pool_spec(reservation=100))
    with pytest.raises(vmodl.fault.InvalidArgument):
        root.CreateResourcePool("odd", pool_spec(level="custom", shares=-5))
    old = pool.config
    pool.UpdateConfig("q", pool_spec(limit=5000))
    assert pool.name == "q"
    assert pool.config.cpuAllocation.limit == 5000
    stale = pool_spec()
    stale.changeVersion = old.changeVersion
    with pytest.raises(vim.fault.ConcurrentAccess):
        pool.UpdateConfig(None, stale)
    inner = pool.CreateResourcePool("inner", pool_spec())
    root.MoveIntoResourcePool([inner])
    assert inner.parent == root
    wait_for_task(si, pool.Destroy())
    assert [x.name for x in root.resourcePool] == ["inner"]
    root.DestroyChildren()
    assert len(root.resourcePool) == 0


def test_switches(si):
    dc = si.content.rootFolder.CreateDatacenter("DC0")
    spec = vim.DistributedVirtualSwitch.CreateSpec(
        configSpec=vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(name="DVS0", maxMtu=9000))
    dvs = wait_for_task(si, dc.networkFolder.CreateDVS_Task(spec))
    assert dvs.config.maxMtu == 9000
    assert len(dvs.config.uplinkPortgroup) == 1
    assert si.content.dvSwitchManager.QueryDvsByUuid(dvs.uuid) == dvs
    with pytest.raises(vim.fault.NotFound):
        si.content.dvSwitchManager.QueryDvsByUuid("no such")
    group = wait_for_task(si, dvs.CreateDVPortgroup_Task(
        vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name="pg", numPorts=4, type="earlyBinding")))
    assert group.config.distributedVirtualSwitch == dvs
    assert len(dvs.FetchDVPorts(vim.dvs.PortCriteria(portgroupKey=[group.key]))) == 4
    with pytest.raises(vim.fault.ConcurrentAccess):
        wait_for_task(si, dvs.ReconfigureDvs_Task(
            vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(configVersion="x")))
    wait_for_task(si, dvs.Destroy())
    assert len(dc.networkFolder.childEntity) == 0


def test_kept_over_restart(rig, center):
    govc = Govc(center.url, center.user, center.password, rig.folder, datacenter="DC0")
    govc("datacenter.create", "DC0")
    govc("cluster.create", "C0")
    govc("cluster.change", "-drs-enabled", "/DC0/host/C0")
    govc("pool.create", "-cpu.shares", "low", "/DC0/host/C0/Resources/p")
    govc("dvs.create", "DVS0")
    govc("dvs.portgroup.add", "-dvs", "DVS0", "-vlan", "7", "pg")
    govc("fields.add", "owner")
    govc("fields.set", "owner", "me", "/DC0/host/C0")
    govc("role.create", "look", "System.Read")
    found = sorted(govc.lines("find", "-l", "-i", "/"))
    events = govc.lines("events", "-n", "100")
    assert center.stop() == 0
    center.start()
    assert sorted(govc.lines("find", "-l", "-i", "/")) == found
    assert govc.get("/DC0/host/C0", "configurationEx.drsConfig.enabled") == "true"
    assert "me" in govc("fields.info", "/DC0/host/C0")
    assert "look" in govc("role.ls")
    assert [x for x in events if x in govc.lines("events", "-n", "1000")] == events
    si = connect(center)
    try:
        tasks = si.content.taskManager.CreateCollectorForTasks(vim.TaskFilterSpec())
        done = {x.descriptionId for x in tasks.ReadNextTasks(100)}
        assert {"Folder.createDistributedVirtualSwitch",
                "ClusterComputeResource.reconfigureEx"} <= done
    finally:
        Disconnect(si)


def vm_spec(name, datastore):
    return vim.vm.ConfigSpec(name=name, memoryMB=16, numCPUs=1, guestId="otherGuest64",
                             files=vim.vm.FileInfo(vmPathName=f"[{datastore}]"))


def test_hosts_in_clusters(rig, center, si):
    node = rig.host()
    dc = si.content.rootFolder.CreateDatacenter("DC0")
    cluster = dc.hostFolder.CreateClusterEx("C0", cluster_spec())
    host = wait_for_task(si, cluster.AddHost_Task(connect_spec(node), True))
    wait_until(lambda: cluster.summary.numEffectiveHosts == 1, 10, "the host counts")
    assert cluster.summary.totalMemory == host.summary.hardware.memorySize
    root = cluster.resourcePool
    have = root.config.cpuAllocation.reservation
    assert have == cluster.summary.effectiveCpu > 0
    pool = root.CreateResourcePool("p", pool_spec(reservation=have // 2))
    with pytest.raises(vim.fault.InsufficientResourcesFault) as refused:
        root.CreateResourcePool("q", pool_spec(reservation=have))
    assert refused.value.unreserved == have - have // 2

    folder = dc.vmFolder.CreateFolder("f")
    vm = wait_for_task(si, folder.CreateVM_Task(vm_spec("web", host.datastore[0].name), pool))
    assert (vm.parent, vm.resourcePool) == (folder, pool)
    root.MoveIntoResourcePool([vm])
    assert vm.resourcePool == root
    wait_for_task(si, dc.vmFolder.MoveInto([vm]))
    assert vm.parent == dc.vmFolder
    identity = vm._moId
    center.kill()
    center.start()
    again = connect(center)
    try:
        vm = again.content.searchIndex.FindByInventoryPath("DC0/vm/web")
        assert vm._moId == identity
        assert vm.resourcePool.name == "Resources"
        dc = vm.parent.parent
        other = dc.hostFolder.CreateClusterEx("C1", cluster_spec())
        cluster = next(x for x in dc.hostFolder.childEntity if x.name == "C0")
        host = cluster.host[0]
        wait_until(lambda: host.runtime.connectionState == "connected", 20, "the host is back")
        with pytest.raises(vim.fault.InvalidState):
            wait_for_task(again, other.MoveInto([host]))
        wait_for_task(again, host.EnterMaintenanceMode(10))
        wait_until(lambda: host.runtime.inMaintenanceMode, 10, "maintenance mode shows")
        wait_for_task(again, other.MoveInto([host]))
        assert (host.parent, vm.resourcePool) == (other, other.resourcePool)
        wait_for_task(again, dc.hostFolder.MoveInto([host]))
        assert host.parent.name == host.name
        wait_for_task(again, host.ExitMaintenanceMode(10))
        # The host leaves with its VM, which lives on.
        wait_for_task(again, dc.Destroy())
        assert len(again.content.rootFolder.childEntity) == 0
    finally:
        Disconnect(again)
    alone = connect(node)
    try:
        assert alone.content.searchIndex.FindByInventoryPath("ha-datacenter/vm/web")
    finally:
        Disconnect(alone)


class Writer(threading.Thread):
    """Makes things until the manager dies, and remembers what it was told is done."""

    def __init__(self, center, number):
        super().__init__(daemon=True)
        self.center = center
        self.number = number
        self.folders = set()
        self.datacenters = set()
        self.stopped = threading.Event()

    def run(self):
        try:
            si = connect(self.center)
            root = si.content.rootFolder
            for n in range(10000):
                name = f"f{self.number}-{n}"
                root.CreateFolder(name)
                self.folders.add(name)
                if n % 3 == 0:
                    name = f"d{self.number}-{n}"
                    dc = root.CreateDatacenter(name)
                    dc.hostFolder.CreateClusterEx("C", cluster_spec())
                    self.datacenters.add(name)
        except Exception:  # the manager was killed, in whatever the client was doing
            pass
        self.stopped.set()


def check_whole(si, writer):
    """All that was acknowledged is there, and nothing is there by half."""
    root = si.content.rootFolder
    children = {x.name: x for x in root.childEntity}
    assert writer.folders <= set(children)
    assert writer.datacenters <= set(children)
    for name in children:
        if not name.startswith("d"):
            continue
        dc = children[name]
        assert dc.vmFolder.name == "vm" and dc.networkFolder.name == "network"
        clusters = dc.hostFolder.childEntity
        assert all(x.resourcePool.name == "Resources" for x in clusters)
        assert name not in writer.datacenters or len(clusters) == 1


def tidy(si):
    for thing in si.content.rootFolder.childEntity:
        wait_for_task(si, thing.Destroy())


def test_killed_under_load(center):
    for number in range(KILLS):
        writer = Writer(center, number)
        writer.start()
        time.sleep(random.uniform(0.02, 0.25))
        center.kill()
        assert writer.stopped.wait(30)
        center.start()
        si = connect(center)
        check_whole(si, writer)
        if number % 5 == 4:
            tidy(si)
        Disconnect(si)

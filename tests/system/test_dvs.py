# SPDX-License-Identifier: Apache-2.0
"""Distributed switches with two hosts and a real guest on each, through the manager: who reaches
whom, while port groups change, cards move between them, and the manager is killed."""

import os
import shutil

import pytest

import daemon
from conftest import add_hosts, need
from daemon import wait_until
from govc import Govc, Refused
from test_host_network import Console
from vmomi import Disconnect, connect, find, run, vim, vmodl

ADDRESS = {"a": "10.1.0.10", "b": "10.1.0.11"}
DVS = vim.dvs.VmwareDistributedVirtualSwitch
GROUP = vim.dvs.DistributedVirtualPortgroup


class Site:
    """A manager with two hosts, whose switches are joined by a wire between an uplink of each."""

    def __init__(self, rig):
        wire = rig.path("wire.sock")
        self.center = rig.center()
        self.nodes = {
            "a": rig.host("host-a", switch=True, network={
                "uplinks": [{"kind": "memif", "path": wire, "server": True}]}),
            "b": rig.host("host-b", switch=True, network={
                "uplinks": [{"kind": "memif", "path": wire}]})}
        self.names = dict(zip(self.nodes, add_hosts(self.center, "DC0", *self.nodes.values())))
        self.folder = rig.folder
        self.si = connect(self.center)
        self.consoles = {}

    def again(self):
        self.si = connect(self.center)

    @property
    def govc(self):
        return Govc(self.center.url, self.center.user, self.center.password, self.folder,
                    datacenter="DC0")

    def run(self, task):
        return run(self.si, task)

    def find(self, kind, name):
        return find(self.si, kind, name)

    def host(self, name):
        return self.find(vim.HostSystem, self.names[name])

    def vm(self, name):
        return self.find(vim.VirtualMachine, name)

    @property
    def dvs(self):
        return self.find(vim.DistributedVirtualSwitch, "DVS0")

    def group(self, name):
        return self.find(GROUP, name)

    def uplink(self, name):
        """The adapter that is the end of the wire."""
        return next(nic.device for nic in self.host(name).config.network.pnic
                    if nic.driver == "memif")

    def card(self, name):
        return next(d for d in self.vm(name).config.hardware.device
                    if isinstance(d, vim.vm.device.VirtualEthernetCard))

    def connection(self, group, **more):
        return vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(
            port=vim.dvs.PortConnection(switchUuid=self.dvs.uuid, portgroupKey=group.key, **more))

    def make(self, name, group):
        image = os.path.join(daemon.build_folder(), "guest", "guest.raw")
        if not os.path.exists(image):
            pytest.skip(f"{image} is not built")
        host, add = self.host(name), vim.vm.device.VirtualDeviceSpec
        disk = vim.vm.device.VirtualDisk(
            key=-101, controllerKey=-103, unitNumber=0, capacityInKB=os.path.getsize(image) // 1024,
            backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                fileName="", diskMode="persistent", thinProvisioned=True))
        nic = vim.vm.device.VirtualVmxnet3(
            key=-110, backing=self.connection(self.group(group)), addressType="generated",
            connectable=vim.vm.device.VirtualDevice.ConnectInfo(
                startConnected=True, connected=True, allowGuestControl=True))
        spec = vim.vm.ConfigSpec(
            name=name, numCPUs=1, memoryMB=96, guestId="otherLinux64Guest",
            files=vim.vm.FileInfo(vmPathName=f"[{host.datastore[0].name}]"),
            deviceChange=[
                add(operation="add",
                    device=vim.vm.device.VirtualIDEController(key=-103, busNumber=0)),
                add(operation="add",
                    device=vim.vm.device.VirtualSerialPort(key=-102, yieldOnPoll=True)),
                add(operation="add", fileOperation="create", device=disk),
                add(operation="add", device=nic)])
        folder = self.find(vim.Datacenter, "DC0").vmFolder
        self.run(folder.CreateVM_Task(spec, host.parent.resourcePool))
        place = os.path.join(self.nodes[name].state, "datastores", "datastore1", name)
        shutil.copyfile(image, os.path.join(place, f"{name}-flat.vmdk"))
        self.run(self.vm(name).PowerOnVM_Task())
        self.consoles[name] = Console(os.path.join(place, "serial0.sock"), name)

    def change(self, name, card):
        self.run(self.vm(name).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[
            vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)])))

    def reconfigure(self, name, **setting):
        group = self.group(name)
        self.run(group.ReconfigureDVPortgroup_Task(GROUP.ConfigSpec(
            configVersion=group.config.configVersion, defaultPortConfig=DVS.VmwarePortConfigPolicy(
                **setting))))

    def members(self, *changes):
        self.run(self.dvs.ReconfigureDvs_Task(DVS.ConfigSpec(
            configVersion=self.dvs.config.configVersion, host=list(changes))))

    def status(self):
        return {member.config.host.name: member.status for member in self.dvs.config.host}

    def realized(self):
        wait_until(lambda: set(self.status().values()) == {"up"}, 20,
                   f"the hosts run the switch: {self.dvs.runtime}", 0.1)

    def reaches(self, count=2):
        return self.consoles["a"].reaches(ADDRESS["b"], count)

    def must_reach(self):
        """Sooner or later: other tests may have the machine."""
        wait_until(lambda: self.reaches(1), 30, "a reaches b")

    def port(self, name):
        """Of a VM's card."""
        key = self.card(name).backing.port.portKey
        return self.dvs.FetchDVPorts(vim.dvs.PortCriteria(portKey=[key]))[0]


def flag(value):
    return vim.BoolPolicy(inherited=False, value=value)


def drop(qualifier):
    traffic = vim.dvs.TrafficRule
    rule = traffic(description="no ping", sequence=10, direction="both", qualifier=[qualifier],
                   action=traffic.DropAction())
    return vim.dvs.DistributedVirtualPort.FilterPolicy(inherited=False, filterConfig=[
        vim.dvs.DistributedVirtualPort.TrafficFilterConfig(
            inherited=False, agentName="dvfilter-generic-vmware",
            trafficRuleset=vim.dvs.TrafficRuleset(enabled=True, rules=[rule]))])


@pytest.fixture(scope="module")
def site(module_rig):
    need("remora-hostd", "remora-centerd", "remora-switchd", "tools/govc")
    it = Site(module_rig)
    it.govc("dvs.create", "DVS0")
    for name in it.nodes:
        it.govc("dvs.add", "-dvs", "DVS0", "-pnic", it.uplink(name), it.names[name])
    it.govc("dvs.portgroup.add", "-dvs", "DVS0", "-vlan", "100", "blue")
    it.govc("dvs.portgroup.add", "-dvs", "DVS0", "-vlan", "200", "red")
    yield it
    Disconnect(it.si)


@pytest.fixture(scope="module")
def guests(site):
    for name in ADDRESS:
        site.make(name, "blue")
    for name, console in site.consoles.items():
        console.login()
        status, said = console.run(f"ip addr add {ADDRESS[name]}/24 dev eth0 && "
                                   "ip link set eth0 up")
        assert status == 0, said
    wait_until(site.reaches, 60, "a reaches b")
    return site


def test_hosts_are_members(site):
    site.realized()
    dvs = site.dvs
    assert {host.name for host in dvs.summary.hostMember} == set(site.names.values())
    assert {info.status for info in dvs.runtime.hostMemberRuntime} == {"up"}
    for member in dvs.config.host:
        assert len(member.uplinkPortKey) == 4
        assert member.config.backing.pnicSpec[0].uplinkPortKey == member.uplinkPortKey[0]
    uplinks = dvs.config.uplinkPortgroup[0]
    assert sorted(uplinks.portKeys) == sorted(
        key for member in dvs.config.host for key in member.uplinkPortKey)
    for name in site.nodes:
        assert {"blue", "red"} <= {net.name for net in site.host(name).network}
    ports = dvs.FetchDVPorts(vim.dvs.PortCriteria(uplinkPort=True, connected=True))
    assert {port.connectee.nicKey for port in ports} == {site.uplink(n) for n in site.nodes}
    assert all(port.state.runtimeInfo is not None for port in ports)


def test_what_clients_are_told(site):
    told = site.govc("dvs.portgroup.info", "DVS0")
    assert told.count("Portgroup") or "blue" in told
    site.govc("dvs.portgroup.change", "-vlan", "300", "red")
    assert site.group("red").config.defaultPortConfig.vlan.vlanId == 300
    site.govc("dvs.portgroup.change", "-vlan", "200", "red")
    manager = site.si.content.dvSwitchManager
    products = manager.QueryAvailableDvsSpec()
    assert "8.0.3" in [product.version for product in products]
    place = site.find(vim.Datacenter, "DC0")
    hosts = {site.host(name) for name in site.nodes}
    assert set(manager.QueryCompatibleHostForNewDvs(place, True)) == hosts
    assert not manager.QueryCompatibleHostForExistingDvs(place, True, site.dvs)


def test_guests_of_two_hosts_reach_each_other(guests):
    guests.must_reach()
    for name in ADDRESS:
        vm, group = guests.vm(name), guests.group("blue")
        assert group in vm.network and vm in group.vm
        backing = guests.card(name).backing.port
        assert backing.portKey in group.portKeys and backing.connectionCookie
        port = guests.port(name)
        assert port.connectee.connectedEntity == vm
        assert port.connectee.nicKey == str(guests.card(name).key)
        assert port.connectionCookie == backing.connectionCookie
        assert port.proxyHost == guests.host(name)
        assert port.state.runtimeInfo.linkUp
        assert port.state.runtimeInfo.vlanIds[0].start == 100
        assert port.state.stats.packetsInUnicast > 0 and port.state.stats.bytesOutUnicast > 0
    guests.dvs.RefreshDVPortState([guests.port("a").key])
    with pytest.raises(vim.fault.NotFound):
        guests.dvs.RefreshDVPortState(["1"])


def test_a_card_moves_while_its_vm_runs(guests):
    old = guests.port("a").key
    guests.govc("vm.network.change", "-vm", "a", "-net", "red", "ethernet-0")
    assert guests.vm("a") in guests.group("red").vm
    assert guests.vm("a") not in guests.group("blue").vm
    assert guests.port("a").key != old
    assert not guests.reaches(1)
    guests.govc("vm.network.change", "-vm", "b", "-net", "red", "ethernet-0")
    wait_until(lambda: guests.reaches(1), 30, "both are on the other port group")
    for name in ADDRESS:
        card = guests.card(name)
        card.backing = guests.connection(guests.group("blue"))
        guests.change(name, card)
    wait_until(lambda: guests.reaches(1), 30, "both are back")


def test_settings_hold_while_vms_run(guests):
    guests.reconfigure("blue", blocked=flag(True))
    guests.realized()
    assert not guests.reaches(1)
    guests.reconfigure("blue", blocked=flag(False))
    guests.realized()
    wait_until(lambda: guests.reaches(1), 30, "it is not blocked any more")
    guests.reconfigure("blue", filterPolicy=drop(vim.dvs.TrafficRule.IpQualifier(
        protocol=vim.IntExpression(value=1))))
    guests.realized()
    assert not guests.reaches(1)
    a, b = guests.consoles["a"], guests.consoles["b"]
    b.run("(echo hello | nc -l -p 5000) &")
    assert "hello" in a.run(f"sleep 1; nc -w 5 {ADDRESS['b']} 5000 < /dev/null")[1]
    mac = vim.dvs.TrafficRule.MacQualifier(
        sourceAddress=vim.SingleMac(address="02:00:00:00:00:01"))
    with pytest.raises(vmodl.fault.NotSupported) as caught:
        guests.reconfigure("blue", filterPolicy=drop(mac))
    assert "no ping" in caught.value.msg and "MAC" in caught.value.msg
    guests.reconfigure("blue", filterPolicy=vim.dvs.DistributedVirtualPort.FilterPolicy(
        inherited=True))
    guests.realized()
    wait_until(lambda: guests.reaches(1), 30, "the filter is gone")


def test_what_is_in_use_stays(guests):
    with pytest.raises(vim.fault.ResourceInUse) as caught:
        guests.run(guests.group("blue").Destroy())
    assert "blue" in caught.value.msg
    with pytest.raises(vim.fault.ResourceInUse):
        guests.run(guests.dvs.Destroy())
    leave = vim.dvs.HostMember.ConfigSpec(operation="remove", host=guests.host("a"))
    with pytest.raises(vim.fault.ResourceInUse) as caught:
        guests.members(leave)
    assert '"a"' in caught.value.msg
    edit = vim.dvs.HostMember.ConfigSpec(
        operation="edit", host=guests.host("a"), backing=vim.dvs.HostMember.PnicBacking(
            pnicSpec=[vim.dvs.HostMember.PnicSpec(pnicDevice="vmnic99")]))
    with pytest.raises(vmodl.fault.InvalidArgument) as caught:
        guests.members(edit)
    assert "vmnic99" in caught.value.msg
    with pytest.raises(Refused):
        guests.govc("object.destroy", "network/blue")


def test_a_host_that_is_no_member_is_refused(guests):
    guests.govc("dvs.create", "DVS1")
    guests.govc("dvs.portgroup.add", "-dvs", "DVS1", "green")
    green = guests.group("green")
    card = guests.card("a")
    card.backing = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(
        port=vim.dvs.PortConnection(switchUuid=green.config.distributedVirtualSwitch.uuid,
                                    portgroupKey=green.key))
    with pytest.raises(vim.fault.InvalidDeviceBacking) as caught:
        guests.change("a", card)
    assert "not a member" in caught.value.msg and "DVS1" in caught.value.msg
    guests.must_reach()
    guests.govc("object.destroy", "network/DVS1")


def test_the_manager_is_killed(guests):
    keys = {name: guests.port(name).key for name in ADDRESS}
    guests.center.kill()
    guests.must_reach()
    guests.center.start()
    guests.again()
    for name in ADDRESS:
        assert guests.vm(name) in guests.group("blue").vm
        assert guests.group("blue") in guests.vm(name).network
    wait_until(lambda: all(host.runtime.connectionState == "connected"
                           for host in guests.dvs.summary.hostMember), 30, "the hosts are back")
    guests.realized()
    assert {name: guests.port(name).key for name in ADDRESS} == keys
    guests.must_reach()
    guests.reconfigure("red", blocked=flag(True))
    guests.realized()
    guests.must_reach()

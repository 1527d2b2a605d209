# SPDX-License-Identifier: Apache-2.0
"""Virtual machines of a host on its port groups, through its switch: who reaches whom, also while
networks change, cards come and go, and hostd and the switch are killed."""

import os
import re
import shutil
import signal
import socket
import time

import pytest
import requests
from pyVmomi import vim

import daemon
import soap
from conftest import need
from daemon import is_running, wait_until
from vmomi import Disconnect, connect, find, run, vmodl

ADDRESS = {"a": "10.1.0.10", "b": "10.1.0.11"}
pytestmark = pytest.mark.filterwarnings(
    "ignore::urllib3.exceptions.InsecureRequestWarning")


class Console:
    """The serial console of a VM whose guest is the lab's."""

    def __init__(self, path, name):
        self.name = name
        self.text = ""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(0.2)
        self.socket.connect(path)

    def expect(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text, re.S)):
            assert time.monotonic() < end, f"{self.name}: no {pattern!r} in {self.text[-400:]!r}"
            try:
                self.text += self.socket.recv(4096).decode(errors="replace")
            except TimeoutError:
                pass
        before = self.text[:found.end()]
        self.text = self.text[found.end():]
        return before

    def run(self, command, seconds=60):
        self.socket.sendall(f"{command}\necho end:$?:\n".encode())
        said = self.expect(r"end:(\d+):", seconds)
        return int(re.search(r"end:(\d+):$", said).group(1)), said

    def login(self):
        self.socket.sendall(b"\n")
        self.expect("login:", 180)
        self.socket.sendall(b"root\n")
        self.expect("# ")

    def reaches(self, address, count=2):
        return self.run(f"ping -c {count} -i 0.2 -W 2 {address}")[0] == 0


class World:
    def __init__(self, node):
        self.node = node
        self.si = connect(node)
        self.consoles = {}

    def again(self):
        """hostd is another one."""
        self.si = connect(self.node)

    def vm(self, name):
        return find(self.si, vim.VirtualMachine, name)

    def run(self, task):
        return run(self.si, task)

    @property
    def network(self):
        host = self.si.content.rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]
        return host.configManager.networkSystem

    def folder(self, name):
        return os.path.join(self.node.state, "datastores", "datastore1", name)

    def make(self, name, kind, network):
        """kind None: vmxnet3 with uptv2Enabled."""
        center = self.si.content.rootFolder.childEntity[0]
        serial = vim.vm.device.VirtualSerialPort(key=-102, yieldOnPoll=True)
        ide = vim.vm.device.VirtualIDEController(key=-103, busNumber=0)
        disk = vim.vm.device.VirtualDisk(
            key=-101, controllerKey=-103, unitNumber=0, capacityInKB=self.image_kb(),
            backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                fileName="", diskMode="persistent", thinProvisioned=True))
        add = vim.vm.device.VirtualDeviceSpec
        spec = vim.vm.ConfigSpec(
            name=name, files=vim.vm.FileInfo(vmPathName="[datastore1]"), numCPUs=1, memoryMB=96,
            guestId="otherLinux64Guest",
            deviceChange=[add(operation="add", device=ide), add(operation="add", device=serial),
                          add(operation="add", fileOperation="create", device=disk)])
        pool = center.hostFolder.childEntity[0].resourcePool
        self.run(center.vmFolder.CreateVM_Task(spec, pool))
        self.add(name, kind, network)
        shutil.copyfile(self.image(), os.path.join(self.folder(name), f"{name}-flat.vmdk"))

    def image(self):
        path = os.path.join(daemon.build_folder(), "guest", "guest.raw")
        if not os.path.exists(path):
            pytest.skip(f"{path} is not built")
        return path

    def image_kb(self):
        return os.path.getsize(self.image()) // 1024

    def boot(self, name):
        self.run(self.vm(name).PowerOnVM_Task())
        console = Console(os.path.join(self.folder(name), "serial0.sock"), name)
        self.consoles[name] = console
        return console

    def cards(self, name):
        return [d for d in self.vm(name).config.hardware.device
                if isinstance(d, vim.vm.device.VirtualEthernetCard)]

    def change(self, name, operation, card):
        spec = vim.vm.ConfigSpec(deviceChange=[
            vim.vm.device.VirtualDeviceSpec(operation=operation, device=card)])
        self.run(self.vm(name).ReconfigVM_Task(spec))

    def add_virtio(self, name, network):
        """A card that this version of pyvmomi cannot speak of."""
        client = soap.Client(self.node)
        client.login()
        reply = client.method("ReconfigVM_Task", ("VirtualMachine", self.vm(name)._moId),
                              UPT_CARD.format(network), action='"urn:vim25/8.0.3.0"')
        task = reply.value(r'<returnval type="Task">([^<]+)<')
        client.close()
        self.run(vim.Task(task, self.si._stub))

    def add(self, name, kind, network):
        if kind is None:
            self.add_virtio(name, network)
        else:
            self.change(name, "add", card_of(kind, network))

    def move(self, name, network, index=0):
        card = self.cards(name)[index]
        card.backing = backing(network)
        self.change(name, "edit", card)

    def policy(self, method="GET", body=None):
        return requests.request(
            method, f"https://{self.node.address}:{self.node.port}/remora/v1/policy",
            auth=(self.node.user, self.node.password), json=body, verify=False, timeout=60)

    def port(self, name, index=0):
        vm = self.vm(name)
        wanted = f"{vm.config.instanceUuid}.{self.cards(name)[index].key}"
        return next((p for p in self.policy().json()["ports"] if p["port"] == wanted), None)

    def switch_started(self, old):
        return wait_until(lambda: (pid := self.node.switch_pid()) and pid != old and pid, 20,
                          "another switch runs")


UPT_CARD = """<spec><deviceChange><operation>add</operation>
<device xsi:type="VirtualVmxnet3"><key>-1</key>
<backing xsi:type="VirtualEthernetCardNetworkBackingInfo"><deviceName>{}</deviceName></backing>
<connectable><startConnected>true</startConnected><allowGuestControl>true</allowGuestControl>
<connected>true</connected></connectable>
<addressType>generated</addressType><uptv2Enabled>true</uptv2Enabled></device></deviceChange>
</spec>"""


def backing(network):
    return vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)


def card_of(kind, network):
    return kind(key=-110, backing=backing(network), addressType="generated",
                connectable=vim.vm.device.VirtualDevice.ConnectInfo(
                    startConnected=True, connected=True, allowGuestControl=True))


@pytest.fixture(scope="module")
def world(module_rig):
    need("remora-hostd", "remora-switchd")
    node = module_rig.host(switch=True)
    w = World(node)
    w.network.AddPortGroup(vim.host.PortGroup.Specification(
        name="blue", vlanId=100, vswitchName="vSwitch0", policy=vim.host.NetworkPolicy()))
    w.make("a", None, "blue")
    w.make("b", vim.vm.device.VirtualVmxnet3, "blue")
    for name in ADDRESS:
        w.boot(name)
    for name, console in w.consoles.items():
        console.login()
        status, said = console.run(f"ip addr add {ADDRESS[name]}/24 dev eth0 && "
                                   "ip link set eth0 up")
        assert status == 0, said + console.run("ip addr; lspci -nn; dmesg | tail -20")[1]
    yield w
    Disconnect(w.si)


def test_vms_of_a_port_group_reach_each_other(world):
    a, b = world.consoles["a"], world.consoles["b"]
    assert "virtio" in a.run("ls -l /sys/class/net/eth0/device/driver")[1]
    wait_until(lambda: a.reaches(ADDRESS["b"]), 60, "a reaches b")
    assert b.reaches(ADDRESS["a"])
    port = world.port("a")
    assert port["up"] and port["segment"] == "vSwitch0/100"
    assert port["rx_packets"] > 0 and port["tx_packets"] > 0


def upt(world, name):
    """runtime.device as a client of today reads it."""
    client = soap.Client(world.node)
    client.login()
    reply = client.method(
        "RetrievePropertiesEx", ("PropertyCollector", "ha-property-collector"),
        "<specSet><propSet><type>VirtualMachine</type><pathSet>runtime.device</pathSet></propSet>"
        f'<objectSet><obj type="VirtualMachine">{world.vm(name)._moId}</obj></objectSet></specSet>'
        "<options/>", action='"urn:vim25/8.0.3.0"')
    client.close()
    return reply.body.decode()


def test_what_the_switch_saw_is_shown(world):
    for name, address in ADDRESS.items():
        wait_until(lambda name=name, address=address:
                   world.vm(name).guest.ipAddress == address, 30,
                   f"{name} has {address}: {world.vm(name).guest}", 0.2)
        vm = world.vm(name)
        net = vm.guest.net[0]
        assert net.connected and net.network == "blue" and address in net.ipAddress
        assert net.macAddress == world.cards(name)[0].macAddress
        assert vm.summary.guest.ipAddress == address
    assert "<uptv2Active>true</uptv2Active>" in upt(world, "a")
    assert "uptv2Active" not in upt(world, "b")


def test_the_switch_counts_for_everybody(world):
    port = f"{world.vm('a').config.instanceUuid}.{world.cards('a')[0].key}"
    text = requests.get(f"https://{world.node.address}:{world.node.port}/metrics",
                        verify=False, timeout=20).text
    assert re.search(rf'^remora_switch_port_packets_total{{port="{port}",direction="rx"}} [1-9]',
                     text, re.M)
    assert f'label="a Network adapter 1"' in text
    families = re.findall(r"^# TYPE (\S+)", text, re.M)
    assert len(families) == len(set(families)) and "remora_vim_sessions" in families


def test_a_network_changes_while_the_vm_runs(world):
    a = world.consoles["a"]
    world.move("b", "VM Network")
    assert not a.reaches(ADDRESS["b"], 1)
    assert world.port("b")["segment"] == "vSwitch0/0"
    world.move("a", "VM Network")
    assert a.reaches(ADDRESS["b"])
    world.move("a", "blue")
    world.move("b", "blue")
    assert a.reaches(ADDRESS["b"])
    card = world.cards("b")[0]
    card.connectable.connected = False
    world.change("b", "edit", card)
    assert not a.reaches(ADDRESS["b"], 1)
    card.connectable.connected = True
    world.change("b", "edit", card)
    wait_until(lambda: a.reaches(ADDRESS["b"], 1), 30, "the link is there again")


def test_tcp_outlives_hostd_and_the_switch(world):
    a, b = world.consoles["a"], world.consoles["b"]
    b.run("(sleep 600 | nc -l -p 5000 > /tmp/got) &")
    a.run(f"(mkfifo /tmp/pipe; nc {ADDRESS['b']} 5000 < /tmp/pipe) & sleep 1")
    a.run("exec 3> /tmp/pipe; echo one >&3; sleep 1")
    assert "one" in b.run("cat /tmp/got")[1]
    pid = world.node.switch_pid()
    world.node.kill()
    assert a.reaches(ADDRESS["b"])
    assert is_running(pid)
    world.node.start()
    world.again()
    assert world.node.switch_pid() == pid
    assert a.reaches(ADDRESS["b"]) and b.reaches(ADDRESS["a"])
    os.kill(pid, signal.SIGKILL)
    other = world.switch_started(pid)
    wait_until(lambda: a.reaches(ADDRESS["b"], 1), 60, "the switch is back")
    a.run("echo two >&3")
    wait_until(lambda: "two" in b.run("cat /tmp/got")[1], 60, "the connection goes on", 0.5)
    # Both die; what comes first finds the other or starts it.
    world.node.kill()
    os.kill(other, signal.SIGKILL)
    world.node.start()
    world.again()
    world.switch_started(other)
    wait_until(lambda: a.reaches(ADDRESS["b"], 1), 60, "both are back")
    world.move("b", "VM Network")
    assert not a.reaches(ADDRESS["b"], 1)
    world.move("b", "blue")
    assert a.reaches(ADDRESS["b"])


@pytest.mark.parametrize("kind", [None, vim.vm.device.VirtualVmxnet3])
def test_cards_come_and_go_while_the_vm_runs(world, kind):
    a, b = world.consoles["a"], world.consoles["b"]
    world.add("a", kind, "blue")
    mac = world.cards("a")[1].macAddress
    find_card = f"grep -l {mac} /sys/class/net/*/address"
    wait_until(lambda: a.run(find_card)[0] == 0, 30, "the guest sees the card")
    name = re.search(r"/sys/class/net/(\w+)/address", a.run(find_card)[1].split("\n", 1)[1])[1]
    a.run(f"ip addr add 10.2.0.10/24 dev {name}; ip link set {name} up")
    b.run("ip addr add 10.2.0.11/24 dev eth0")
    wait_until(lambda: a.reaches("10.2.0.11", 1), 60, "the new card reaches the other VM")
    # It is found again, with its wire.
    world.node.kill()
    assert a.reaches("10.2.0.11")
    world.node.start()
    world.again()
    assert a.reaches("10.2.0.11")
    assert world.port("a", 1)["up"]
    world.change("a", "remove", world.cards("a")[1])
    assert a.run(find_card)[0] != 0
    assert len(world.cards("a")) == 1
    assert a.reaches(ADDRESS["b"])
    b.run("ip addr del 10.2.0.11/24 dev eth0")


def test_a_suspended_vm_comes_back_with_its_wires(world):
    a = world.consoles["a"]
    for name in ADDRESS:
        world.run(world.vm(name).SuspendVM_Task())
    for name in ADDRESS:
        world.run(world.vm(name).PowerOnVM_Task())
        world.consoles[name] = Console(os.path.join(world.folder(name), "serial0.sock"), name)
    a = world.consoles["a"]
    wait_until(lambda: a.reaches(ADDRESS["b"], 1), 60, "they reach each other again")


def test_a_policy_stops_traffic_and_is_kept(world):
    a = world.consoles["a"]
    uuid = "4c4c4544-0058-4b10-8051-b7c04f315a33"
    policy = {"generation": 1, "manager": uuid, "firewall": {"sections": [
        {"name": "s", "rules": [{"id": 7, "action": "drop",
                                 "services": [{"protocol": "icmp"}]}]}]}}
    assert a.reaches(ADDRESS["b"])
    assert world.policy("PUT", policy).json() == {"generation": 1}
    assert not a.reaches(ADDRESS["b"], 1)
    told = world.policy().json()
    assert told["realized"] and told["rules"][0]["id"] == 7 and told["rules"][0]["hits"] > 0
    world.node.kill()
    world.node.start()
    world.again()
    assert not a.reaches(ADDRESS["b"], 1)
    policy["generation"] = 0
    assert world.policy("PUT", policy).status_code == 400
    policy.update(generation=2, segments=[{"id": "x", "name": "x", "encapsulation": "geneve",
                                           "vni": 5, "router": "none"}])
    answer = world.policy("PUT", policy)
    assert answer.status_code == 400 and answer.json()["object"] == "segments[0].router"
    assert world.policy().json()["generation"] == 1
    del policy["segments"]
    policy["firewall"] = {}
    assert world.policy("PUT", policy).status_code == 200
    assert a.reaches(ADDRESS["b"])
    policy["generation"] = 1
    assert world.policy("PUT", policy).status_code == 409


def test_an_unknown_network_is_refused_by_name(world):
    card = world.cards("a")[0]
    card.backing = vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo(
        opaqueNetworkId="nowhere", opaqueNetworkType="nsx.LogicalSwitch")
    with pytest.raises(vim.fault.InvalidDeviceBacking) as caught:
        world.change("a", "edit", card)
    assert "nowhere" in str(caught.value)
    assert world.consoles["a"].reaches(ADDRESS["b"])


def test_an_overlay_segment_is_joined_while_the_vm_runs(world):
    a = world.consoles["a"]
    uuid = "4c4c4544-0058-4b10-8051-b7c04f315a33"
    policy = {"generation": 3, "manager": uuid, "segments": [
        {"id": "web", "name": "Web", "encapsulation": "geneve", "vni": 7}]}
    assert world.policy("PUT", policy).status_code == 200
    net = find(world.si, vim.OpaqueNetwork, "Web")
    assert net.summary.opaqueNetworkId == "web"
    assert net.summary.opaqueNetworkType == "nsx.LogicalSwitch"
    assert world.network.networkInfo.opaqueNetwork[0].opaqueNetworkName == "Web"
    for name in ADDRESS:
        card = world.cards(name)[0]
        card.backing = vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo(
            opaqueNetworkId="web", opaqueNetworkType="nsx.LogicalSwitch")
        world.change(name, "edit", card)
    assert a.reaches(ADDRESS["b"])
    assert world.port("a")["segment"] == "web"
    assert world.vm("a").network == [net] and world.vm("a") in net.vm
    assert world.vm("a").guest.net[0].network == "Web"
    with pytest.raises(vim.fault.NotSupported if hasattr(vim.fault, "NotSupported")
                       else vmodl.fault.NotSupported):
        net.DestroyNetwork()
    port = f"{world.vm('a').config.instanceUuid}.{world.cards('a')[0].key}"
    policy.update(generation=4, bindings=[{"port": port, "addresses": ["10.1.0.99"]}])
    assert world.policy("PUT", policy).status_code == 200
    assert not a.reaches(ADDRESS["b"], 1)
    del policy["bindings"]
    policy["generation"] = 5
    assert world.policy("PUT", policy).status_code == 200
    assert a.reaches(ADDRESS["b"])
    assert world.policy().json()["realized"]
    # A network that goes leaves the card without one.
    policy.update(generation=6, segments=[])
    assert world.policy("PUT", policy).status_code == 200
    assert not a.reaches(ADDRESS["b"], 1)
    assert world.vm("a").network == [] and find(world.si, vim.OpaqueNetwork, "Web") is None
    assert "vmNptIncompatibleNetwork" in upt(world, "a")
    for name in ADDRESS:
        world.move(name, "blue")
    assert a.reaches(ADDRESS["b"])


def test_a_distributed_switch_is_joined_while_the_vm_runs(world):
    a = world.consoles["a"]
    uuid = "50 11 22 33 44 55 66 77-88 99 aa bb cc dd ee ff"
    policy = {"generation": 7, "manager": "4c4c4544-0058-4b10-8051-b7c04f315a33", "switches": [
        {"uuid": uuid, "name": "DSwitch", "mtu": 1500, "uplinks": [], "offload": True,
         "portgroups": [
             {"key": "dvportgroup-1", "name": "green", "vlan": 200},
             {"key": "dvportgroup-2", "name": "quiet", "vlan": 200, "rules": [
                 {"id": 4503599627370496, "action": "drop",
                  "services": [{"protocol": "icmp"}]}]},
             {"key": "dvportgroup-3", "name": "up", "uplink": True}]}]}
    assert world.policy("PUT", policy).status_code == 200
    proxy = world.network.networkInfo.proxySwitch[0]
    assert proxy.dvsName == "DSwitch" and proxy.dvsUuid == uuid

    def join(name, key):
        card = world.cards(name)[0]
        card.backing = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(
            port=vim.dvs.PortConnection(switchUuid=uuid, portgroupKey=key))
        world.change(name, "edit", card)

    join("a", "dvportgroup-1")
    join("b", "dvportgroup-1")
    assert a.reaches(ADDRESS["b"])
    assert world.port("a")["segment"] == "DSwitch/200"
    join("b", "dvportgroup-2")
    assert not a.reaches(ADDRESS["b"], 1)
    for key in ("dvportgroup-3", "dvportgroup-4"):
        with pytest.raises(vim.fault.InvalidDeviceBacking):
            join("b", key)
    for name in ADDRESS:
        world.move(name, "blue")
    assert a.reaches(ADDRESS["b"])

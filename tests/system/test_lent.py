# SPDX-License-Identifier: Apache-2.0
"""A card lends a network function to a VM of its server, without a manager: what it wants is put
to both hosts here. The VM's port is on the card's switch, and nothing on the server's."""

import json
import os
import signal
import uuid

import pytest
from pyVmomi import vim

import soap
from conftest import need
from daemon import wait_until
from test_host_network import Console, World, upt
from vmomi import Disconnect, vmodl

ADDRESS = {"web": "10.1.0.21", "edge": "10.1.0.11"}
MANAGER = str(uuid.uuid4())
SEGMENT = {"id": "blue", "name": "blue", "encapsulation": "geneve", "vni": 5001}
pytestmark = pytest.mark.filterwarnings(
    "ignore::urllib3.exceptions.InsecureRequestWarning")

CARD = """<spec><deviceChange><operation>add</operation>
<device xsi:type="VirtualVmxnet3"><key>-1</key>
<backing xsi:type="VirtualEthernetCardOpaqueNetworkBackingInfo">
<opaqueNetworkId>blue</opaqueNetworkId>
<opaqueNetworkType>nsx.LogicalSwitch</opaqueNetworkType></backing>
<connectable><startConnected>true</startConnected><allowGuestControl>true</allowGuestControl>
<connected>true</connected></connectable>
<addressType>generated</addressType><uptv2Enabled>{}</uptv2Enabled></device></deviceChange>
</spec>"""


class Side(World):
    """A host with VMs on the segment."""

    def __init__(self, node):
        super().__init__(node)
        self.generation = 0

    def add(self, name, kind, network):
        client = soap.Client(self.node)
        client.login()
        reply = client.method("ReconfigVM_Task", ("VirtualMachine", self.vm(name)._moId),
                              CARD.format("true" if kind is None else "false"),
                              action='"urn:vim25/8.0.3.0"')
        task = reply.value(r'<returnval type="Task">([^<]+)<')
        client.close()
        self.run(vim.Task(task, self.si._stub))

    def put(self, **more):
        self.generation += 1
        return self.policy("PUT", {"generation": self.generation, "manager": MANAGER,
                                   "segments": [SEGMENT], **more})

    def name_of(self, name):
        return f"{self.vm(name).config.instanceUuid}.{self.cards(name)[0].key}"


class Site:
    def __init__(self, rig):
        link = rig.path("link")
        self.server = Side(rig.host("server", link=link, switch=True))
        self.dpu = Side(rig.host("dpu", "dpu", server=self.server.node, memory_mib=1024,
                                 switch=True, network={"functions": 1}))
        self.link = self.server.node.link
        for side in (self.server, self.dpu):
            wait_until(lambda side=side: side.put().status_code == 200, 20, "the switch is up")
        self.server.make("web", None, "blue")
        self.dpu.make("edge", None, "blue")

    def card(self):
        with open(os.path.join(self.link, "card.json"), encoding="utf-8") as file:
            return json.load(file)

    def lend(self, **more):
        mac = self.server.cards("web")[0].macAddress
        bindings = [{"port": side.name_of(name), "addresses": [ADDRESS[name]]}
                    for side, name in ((self.server, "web"), (self.dpu, "edge"))]
        answer = self.dpu.put(bindings=bindings, functions=[
            {"name": "net-0", "card": self.server.name_of("web"), "mac": mac, "label": "web",
             "segment": "blue", "connected": True}], **more)
        assert answer.status_code == 200, answer.text

    def port(self):
        wanted = self.server.name_of("web")
        return next(p for p in self.dpu.policy().json()["ports"] if p["port"] == wanted)

    def reaches(self, count=1):
        return self.server.consoles["web"].reaches(ADDRESS["edge"], count)


@pytest.fixture(scope="module")
def site(module_rig):
    need("remora-hostd", "remora-switchd")
    it = Site(module_rig)
    yield it
    Disconnect(it.server.si)
    Disconnect(it.dpu.si)


@pytest.fixture(scope="module")
def guests(site):
    site.lend()
    for side, name in ((site.server, "web"), (site.dpu, "edge")):
        side.boot(name)
    for side, name in ((site.server, "web"), (site.dpu, "edge")):
        side.consoles[name].login()
        status, said = side.consoles[name].run(
            f"ip addr add {ADDRESS[name]}/24 dev eth0; ip link set eth0 up")
        assert status == 0, said
    wait_until(site.reaches, 60, "the guests reach each other", 0.5)
    return site


def refused(side, name, operation):
    with pytest.raises(vmodl.MethodFault) as caught:
        side.run(operation(side.vm(name)))
    return caught.value.msg


def test_what_is_not_lent_is_refused(site):
    functions = site.card()["functions"]
    assert [f["name"] for f in functions] == ["net-0"] and "card" not in functions[0]
    assert site.dpu.policy().json()["functions"] == 1
    assert site.server.policy().json()["functions"] == 0
    said = refused(site.server, "web", lambda vm: vm.PowerOnVM_Task())
    assert "has not been given one of the 1 functions" in said
    one = {"card": site.server.name_of("web"), "mac": "00:50:56:00:00:01", "segment": "blue"}
    answer = site.dpu.put(functions=[{"name": "net-1", **one}])
    assert answer.status_code == 400
    assert answer.json()["object"] == "functions[0].name"
    assert "the 1 network functions" in answer.json()["reason"]
    answer = site.dpu.put(functions=[{"name": "net-0", **one}, {"name": "net-0", **one}])
    assert answer.status_code == 400
    assert site.server.put(functions=[{"name": "net-0", **one}]).status_code == 400


def test_the_port_is_on_the_card(guests):
    site = guests
    assert site.reaches(3)
    port = site.port()
    assert port["up"] and port["segment"] == "blue" and port["tx_packets"] > 0
    assert all(p["port"].startswith("vmnic") for p in site.server.policy().json()["ports"])
    assert site.card()["functions"][0]["card"] == site.server.name_of("web")
    wait_until(lambda: site.server.vm("web").guest.ipAddress == ADDRESS["web"], 30,
               "the server shows what the card's switch saw", 0.2)
    net = site.server.vm("web").guest.net[0]
    assert net.connected and net.network == "blue"
    assert "<uptv2Active>true</uptv2Active>" in upt(site.server, "web")


def test_forged_frames_end_on_the_card(guests):
    site, web = guests, guests.server.consoles["web"]
    before = site.port()["drops"]
    web.run("ip addr add 10.1.0.99/24 dev eth0")
    assert web.run(f"ping -c 2 -W 1 -I 10.1.0.99 {ADDRESS['edge']}")[0] != 0
    assert site.port()["drops"] > before
    web.run("ip addr del 10.1.0.99/24 dev eth0")
    mac = site.server.cards("web")[0].macAddress
    before = site.port()["drops"]
    web.run("ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:99; "
            "ip link set eth0 up")
    assert not site.reaches()
    assert site.port()["drops"] > before
    web.run(f"ip link set eth0 down; ip link set eth0 address {mac}; ip link set eth0 up")
    wait_until(site.reaches, 30, "the guests reach each other again", 0.5)


def test_rules_hold_on_the_card(guests):
    site = guests
    drop = {"sections": [{"name": "s", "rules": [
        {"id": 7, "name": "none", "action": "drop", "applied_to": ["web"]}]}]}
    site.lend(firewall=drop, groups=[{"name": "web", "ports": [site.server.name_of("web")]}])
    assert not site.reaches()
    site.lend()
    assert site.reaches()


def test_what_is_beyond_is_refused(guests):
    site = guests
    site.server.make("more", None, "blue")
    said = refused(site.server, "more", lambda vm: vm.PowerOnVM_Task())
    assert "which lends 1, and all of them are taken" in said
    site.server.make("slow", True, "blue")
    assert "uptv2Enabled" in refused(site.server, "slow", lambda vm: vm.PowerOnVM_Task())
    with pytest.raises(vmodl.MethodFault) as caught:
        site.server.add("web", None, "blue")
    assert "powered off" in caught.value.msg
    assert site.reaches()


def test_a_server_that_lies_harms_nobody(guests):
    """What it says of its VMs comes to the card by the manager: a MAC address, or a name, that the
    card's own VM has gets no port, and the policy holds all the same."""
    site = guests
    mine = {"mac": site.dpu.cards("edge")[0].macAddress, "card": site.dpu.name_of("edge")}
    theirs = {"mac": "00:50:56:00:00:99", "card": site.server.name_of("web")}
    for lie in ({**theirs, "mac": mine["mac"]}, {**theirs, "card": mine["card"]},
                {**theirs, "mac": "01:50:56:00:00:99"}):
        answer = site.dpu.put(functions=[{"name": "net-0", "segment": "blue", **lie}])
        assert answer.status_code == 200, answer.text
        ports = [p for p in site.dpu.policy().json()["ports"]
                 if not p["port"].startswith("vmnic")]
        assert [(p["port"], p["mac"]) for p in ports] == [(mine["card"], mine["mac"])]
        wait_until(lambda: "card" not in site.card()["functions"][0], 20, "nothing is lent")
    site.lend()
    wait_until(site.reaches, 30, "the guests reach each other again", 0.5)


def test_management_is_killed(guests):
    site = guests
    pid = site.server.node.switch_pid()
    site.server.node.kill()
    assert site.reaches(3)
    site.server.node.start()
    site.server.again()
    assert site.server.vm("web").runtime.powerState == "poweredOn"
    assert site.reaches(3) and site.server.node.switch_pid() == pid
    site.dpu.node.kill()
    assert site.reaches(3)
    site.dpu.node.start()
    site.dpu.again()
    assert site.reaches(3)
    assert site.card()["functions"][0]["card"] == site.server.name_of("web")
    os.kill(site.dpu.node.switch_pid(), signal.SIGKILL)
    wait_until(site.reaches, 60, "the card's switch is back", 0.5)


def test_it_comes_back_after_power_off(guests):
    site = guests
    site.server.run(site.server.vm("web").PowerOffVM_Task())
    assert os.listdir(os.path.join(site.link, "net-0")) == []
    wait_until(lambda: not site.port()["up"], 30, "the card sees that it is gone", 0.2)
    assert isinstance(site.server.boot("web"), Console)
    wait_until(lambda: site.port()["up"], 60, "the card has the VM again", 0.2)
    # What is taken back is refused from the next power-on on.
    assert site.dpu.put().status_code == 200
    wait_until(lambda: "card" not in site.card()["functions"][0], 20, "the function is free")
    assert not any(p["port"] == site.server.name_of("web")
                   for p in site.dpu.policy().json()["ports"])

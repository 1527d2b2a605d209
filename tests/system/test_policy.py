# SPDX-License-Identifier: Apache-2.0
"""Overlay segments and the firewall through the manager's policy interface: two hosts joined by a
wire, a VM on each, and what groups, rules, restarts and kills do to the traffic between them."""

import json
import os
import shutil
import subprocess
import threading
import time

import pytest
import requests
from pyVmomi import vim

import daemon
from conftest import add_hosts, need
from daemon import wait_until
from test_host_network import Console
from vmomi import Disconnect, connect, find, run

ADDRESS = {"a": "10.7.0.10", "b": "10.7.0.11"}
HOST = {"a": "host-1", "b": "host-2"}
SOON_S = 1.0  # "in force on every node within a second"
GROUPS = "/infra/domains/default/groups/"
POLICIES = "/infra/domains/default/security-policies/"
pytestmark = pytest.mark.filterwarnings(
    "ignore::urllib3.exceptions.InsecureRequestWarning")


class Site:
    def __init__(self, center, nodes):
        self.center = center
        self.nodes = nodes
        self.si = connect(center)
        self.consoles = {}

    def again(self):
        """The manager is another one."""
        self.si = connect(self.center)

    def ask(self, method, path, body=None, status=200, **query):
        answer = requests.request(
            method, f"https://{self.center.address}:{self.center.port}/policy/api/v1{path}",
            auth=(self.center.user, self.center.password), json=body, params=query, verify=False,
            timeout=60)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def status(self, path):
        return self.ask("GET", "/infra/realized-state/status", intent_path=path)[
            "consolidated_status"]["consolidated_status"]

    def logged(self, name):
        """Lines of rules that log, of the node that has a VM."""
        try:
            with open(os.path.join(self.nodes[HOST[name]].state, "switchd", "firewall.log"),
                      encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def realized(self, path, seconds=SOON_S):
        begin = time.monotonic()
        wait_until(lambda: self.status(path) == "SUCCESS", 30, f"{path} is realized")
        took = time.monotonic() - begin
        assert took < seconds, f"{path} took {took:.2f} s"
        return took

    def vm(self, name):
        return find(self.si, vim.VirtualMachine, name)

    def uuid(self, name):
        return self.vm(name).config.instanceUuid

    def tag(self, name, *tags):
        self.ask("POST", "/fabric/virtual-machines",
                 {"external_id": self.uuid(name), "tags": [{"scope": "tier", "tag": tag}
                                                           for tag in tags]}, action="update_tags")

    def members(self, group):
        found = self.ask("GET", f"{GROUPS}{group}/members/virtual-machines")["results"]
        return {vm["display_name"] for vm in found}

    def make(self, name, segment):
        """A VM with a card on the segment, made through the manager."""
        host = find(self.si, vim.HostSystem, HOST[name])
        add = vim.vm.device.VirtualDeviceSpec
        serial = vim.vm.device.VirtualSerialPort(key=-102, yieldOnPoll=True)
        ide = vim.vm.device.VirtualIDEController(key=-103, busNumber=0)
        disk = vim.vm.device.VirtualDisk(
            key=-101, controllerKey=-103, unitNumber=0,
            capacityInKB=os.path.getsize(image()) // 1024,
            backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                fileName="", diskMode="persistent", thinProvisioned=True))
        card = vim.vm.device.VirtualVmxnet3(
            key=-104, addressType="generated",
            backing=vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo(
                opaqueNetworkId=segment, opaqueNetworkType="nsx.LogicalSwitch"),
            connectable=vim.vm.device.VirtualDevice.ConnectInfo(
                startConnected=True, connected=True, allowGuestControl=True))
        spec = vim.vm.ConfigSpec(
            name=name, numCPUs=1, memoryMB=96,
            files=vim.vm.FileInfo(vmPathName=f"[{host.datastore[0].name}]"),
            guestId="otherLinux64Guest",
            deviceChange=[add(operation="add", device=ide), add(operation="add", device=serial),
                          add(operation="add", fileOperation="create", device=disk),
                          add(operation="add", device=card)])
        place = host.parent.parent.parent
        run(self.si, place.vmFolder.CreateVM_Task(spec, host.parent.resourcePool, host))
        folder = os.path.join(self.nodes[HOST[name]].state, "datastores", "datastore1", name)
        shutil.copyfile(image(), os.path.join(folder, f"{name}-flat.vmdk"))
        run(self.si, self.vm(name).PowerOnVM_Task())
        self.consoles[name] = Console(os.path.join(folder, "serial0.sock"), name)


def image():
    path = os.path.join(daemon.build_folder(), "guest", "guest.raw")
    if not os.path.exists(path):
        pytest.skip(f"{path} is not built")
    return path


def wire(rig, last, is_server):
    return {"uplinks": [{"kind": "memif", "path": rig.path("wire.sock"), "id": 0,
                         "server": is_server}], "endpoint": f"10.255.0.{last}/24"}


@pytest.fixture(scope="module")
def site(module_rig):
    need("remora-centerd", "remora-hostd", "remora-switchd")
    image()
    center = module_rig.center()
    one = module_rig.host("host-1", switch=True, network=wire(module_rig, 1, True))
    two = module_rig.host("host-2", switch=True, network=wire(module_rig, 2, False))
    add_hosts(center, "dc", one, two)
    it = Site(center, {"host-1": one, "host-2": two})
    it.ask("PUT", "/infra/segments/blue", {"subnets": [{"gateway_address": "10.7.0.1/24"}]})
    it.realized("/infra/segments/blue", 30)
    for name in ADDRESS:
        it.make(name, "blue")
    for name, console in it.consoles.items():
        console.login()
        status, said = console.run(f"ip addr add {ADDRESS[name]}/24 dev eth0 && "
                                   "ip link set eth0 up")
        assert status == 0, said
    yield it
    Disconnect(it.si)


def test_vms_of_a_segment_reach_each_other(site):
    a, b = site.consoles["a"], site.consoles["b"]
    wait_until(lambda: a.reaches(ADDRESS["b"], 1), 60, "a reaches b")
    assert b.reaches(ADDRESS["a"])
    wait_until(lambda: ADDRESS["b"] in [ip for nic in site.vm("b").guest.net
                                        for ip in nic.ipAddress], 30, "b's address is known")


def make_policy(site):
    for name in ("web", "db"):
        site.ask("PATCH", f"{GROUPS}{name}", {"expression": [
            {"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag",
             "operator": "EQUALS", "value": f"tier|{name}"}]})
    site.ask("PATCH", "/infra/services/ping", {"service_entries": [
        {"resource_type": "ICMPTypeServiceEntry", "protocol": "ICMPv4"}]})
    site.ask("PATCH", f"{POLICIES}stop", {"rules": [
        {"id": "ping", "action": "DROP", "source_groups": [f"{GROUPS}web"],
         "destination_groups": [f"{GROUPS}db"], "services": ["/infra/services/ping"],
         "scope": [f"{GROUPS}db"], "logged": True}]})


def test_a_rule_by_tag_stops_traffic_within_a_second(site):
    a = site.consoles["a"]
    make_policy(site)
    site.tag("a", "web")
    assert a.reaches(ADDRESS["b"])
    site.tag("b", "db")
    site.realized(f"{POLICIES}stop")
    assert site.members("web") == {"a"} and site.members("db") == {"b"}
    assert not a.reaches(ADDRESS["b"], 1)
    wait_until(lambda: site.logged("b"), 5, "the node of b has logged it")
    assert (' action=drop direction=in ' in site.logged("b")[0] and
            f'destination={ADDRESS["b"]} type=8 code=0 ' in site.logged("b")[0] and
            'label="b Network adapter 1"' in site.logged("b")[0])
    found = site.ask("GET", f"{POLICIES}stop/rules/ping/statistics")
    assert found["results"][0]["statistics"]["hit_count"] > 0
    # The other way is not forbidden, and neither is what is no ping.
    assert site.consoles["b"].reaches(ADDRESS["a"])
    site.tag("b")
    site.realized(f"{POLICIES}stop")
    wait_until(lambda: a.reaches(ADDRESS["b"], 1), 10, "a reaches b again")


def test_managers_die_and_traffic_goes_on(site):
    a = site.consoles["a"]
    make_policy(site)
    site.tag("a", "web")
    site.tag("b", "db")
    site.realized(f"{POLICIES}stop")
    for _ in range(2):
        site.center.kill()
        assert not a.reaches(ADDRESS["b"], 1)
        assert site.consoles["b"].reaches(ADDRESS["a"])
        site.center.start()
        site.again()
        site.realized(f"{POLICIES}stop", 30)
        assert not a.reaches(ADDRESS["b"], 1)
        assert site.consoles["b"].reaches(ADDRESS["a"])
    # A host's daemon that was away is given what changed meanwhile.
    site.nodes["host-2"].kill()
    site.ask("PATCH", f"{POLICIES}stop/rules/ping", {"action": "ALLOW"})
    assert site.status(f"{POLICIES}stop") == "IN_PROGRESS"
    assert not a.reaches(ADDRESS["b"], 1)
    site.nodes["host-2"].start()
    site.realized(f"{POLICIES}stop", 30)
    wait_until(lambda: a.reaches(ADDRESS["b"], 1), 10, "a reaches b again")
    site.ask("DELETE", f"{POLICIES}stop")


def test_a_bound_card_sends_from_no_other_address(site):
    a, b = site.consoles["a"], site.consoles["b"]
    key = next(d.key for d in site.vm("a").config.hardware.device
               if isinstance(d, vim.vm.device.VirtualEthernetCard))
    site.ask("PUT", "/infra/segments/blue/ports/a", {
        "attachment": {"id": f"{site.uuid('a')}.{key}"},
        "address_bindings": [{"ip_address": ADDRESS["a"]}]})
    site.realized("/infra/segments/blue/ports/a")
    assert a.reaches(ADDRESS["b"])
    a.run("ip addr add 10.7.0.66/24 dev eth0")
    status, _ = a.run(f"ping -c 1 -W 2 -I 10.7.0.66 {ADDRESS['b']}")
    assert status != 0
    site.ask("DELETE", "/infra/segments/blue/ports/a")
    wait_until(lambda: a.run(f"ping -c 1 -W 2 -I 10.7.0.66 {ADDRESS['b']}")[0] == 0, 30,
               "the card is free again")
    a.run("ip addr del 10.7.0.66/24 dev eth0")
    assert b.reaches(ADDRESS["a"])


def test_what_was_acknowledged_survives_a_kill(rig):
    center = rig.center()
    site = Site(center, {})
    acknowledged = []
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            try:
                site.ask("PATCH", f"{GROUPS}g{number}", {"description": str(number)})
            except (requests.RequestException, AssertionError):
                return
            acknowledged.append(number)

    for _ in range(3):
        del acknowledged[:]
        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: len(acknowledged) > 20, 30, "groups are made")
        center.kill()
        stop.set()
        thread.join()
        stop.clear()
        center.start()
        for number in acknowledged:
            assert site.ask("GET", f"{GROUPS}g{number}")["description"] == str(number)
            site.ask("DELETE", f"{GROUPS}g{number}")


def test_who_may_do_what(rig):
    center = rig.center()
    si = connect(center)
    url = f"https://{center.address}:{center.port}/policy/api/v1/infra/segments"
    assert requests.get(url, verify=False, timeout=30).status_code == 401
    cookie = si._stub.cookie.split(";")[0].split("=", 1)[1].strip('"')
    session = {"vmware_soap_session": cookie}
    assert requests.get(url, cookies=session, verify=False, timeout=30).status_code == 200
    put = requests.put(f"{url}/s", cookies=session, verify=False, timeout=30, data="{}",
                       headers={"Content-Type": "text/plain"})
    assert put.status_code == 415
    Disconnect(si)


def test_examples_of_the_page_run(rig):
    """Each block of the page that begins with `curl` or a variable, in one shell, in order."""
    center = rig.center()
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs",
                        "internals", "policy.md")
    with open(page, encoding="utf-8") as file:
        lines = [line[4:] for line in file.read().split("\n") if line.startswith("    ")]
    at = next(i for i, line in enumerate(lines) if line.startswith("POLICY="))
    script = "\n".join(lines[at:])
    script = script.replace("127.0.10.1:8443", f"{center.address}:{center.port}")
    script = script.replace("PASSWORD", center.password)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "httpStatus" not in done.stdout, done.stdout
    assert json.loads(done.stdout.strip().split("\n")[-1])["publish_status"] == "REALIZED"

# SPDX-License-Identifier: Apache-2.0
"""Clients that work at a card whose power is pulled, and what must be there when it is back.

Each thing a client makes goes through stages. What was acknowledged last and what was tried last
are kept; afterwards the thing has to be in one of the stages between the two, whole.
"""

import base64
import http.client
import ssl
import time

from test_survival import Client, annotate, check_annotation
from vmomi import Disconnect, connect, find, vim, wait_for_task

SILENCE_S = 60  # a client's limit for an answer: nothing ends its connections when the card resets
PAUSE_S = 0.2  # after each step: what there is to look through in the end stays small


class Stages:
    """What became of each thing, by its number."""

    def __init__(self, names):
        self.names, self.things, self.steps = names, {}, 0

    def go(self, number, work):
        """Does the next stage's work; it counts as acknowledged when that returns."""
        at = self.things.setdefault(number, [0, 0])
        at[1] = at[0] + 1
        result = work()
        at[0] = at[1]
        self.steps += 1
        return result

    def check(self, number, found):
        first, last = self.things[number]
        assert found in self.names[first:last + 1], (
            f"{self.names[1]} {number} is {found}, but {self.names[first]} was acknowledged and "
            f"{self.names[last]} tried")


class Pulled(Client):
    """A client whose node is away for as long as a card takes to boot."""

    RECONNECT_S = 900

    def __init__(self, node, prepare, step):
        super().__init__(node, prepare, self.slowly)
        self.work = step

    def slowly(self, si, it, number):
        self.work(si, it, number)
        time.sleep(PAUSE_S)


class Node:
    """One of the lab's as clients address it."""

    def __init__(self, entry):
        self.address, port = entry["url"].split("/")[2].split(":")
        self.port = int(port)
        self.user, self.password = entry["user"], entry["password"]


# ---- files of a datastore ----

def content_of(number):
    return f"{number} ".encode() * (1 + number * 997 % 20000)


def file_request(node, method, file, body=None):
    wire = http.client.HTTPSConnection(node.address, node.port, timeout=SILENCE_S,
                                       context=ssl._create_unverified_context())
    password = base64.b64encode(f"{node.user}:{node.password}".encode()).decode()
    try:
        wire.request(method, f"/folder/{file}?dcPath=ha-datacenter&dsName=datastore1",
                     body, {"Authorization": f"Basic {password}"})
        answer = wire.getresponse()
        return answer.status, answer.read()
    finally:
        wire.close()


class Files:
    def __init__(self, card):
        self.card, self.stages = card, Stages(["gone", "there"])

    def step(self, _si, _it, number):
        def upload():
            status, body = file_request(self.card, "PUT", f"upload-{number}", content_of(number))
            assert status in (200, 201), body

        self.stages.go(number, upload)

    def check(self, _si):
        for number in self.stages.things:
            status, body = file_request(self.card, "GET", f"upload-{number}")
            assert status == 404 or body == content_of(number), f"half of upload {number} is left"
            self.stages.check(number, "gone" if status == 404 else "there")


# ---- VMs ----

def datacenter(si):
    return si.content.rootFolder.childEntity[0]


def host_folder_children(place):
    return place.hostFolder.childEntity[0]


class Machines:
    """Each VM is made, configured, renamed, and every second one destroyed."""

    def __init__(self):
        self.stages = Stages(["gone", "made", "configured", "renamed", "destroyed"])
        self.identities = {}

    def step(self, si, place, number):
        spec = vim.vm.ConfigSpec(name=f"made-{number}", memoryMB=32, numCPUs=1,
                                 guestId="otherGuest",
                                 files=vim.vm.FileInfo(vmPathName="[datastore1]"))
        pool = host_folder_children(place).resourcePool
        go = self.stages.go
        vm = go(number, lambda: wait_for_task(
            si, place.vmFolder.CreateVM_Task(config=spec, pool=pool)))
        self.identities[number] = (vm._moId, vm.config.instanceUuid)
        change = vim.vm.ConfigSpec(memoryMB=40, annotation=str(number), extraConfig=[
            vim.option.OptionValue(key="test.number", value=str(number))])
        go(number, lambda: wait_for_task(si, vm.ReconfigVM_Task(change)))
        go(number, lambda: wait_for_task(si, vm.Rename_Task(f"kept-{number}")))
        if number % 2 == 0:
            go(number, lambda: wait_for_task(si, vm.Destroy_Task()))

    def found(self, vm, number):
        """The stage that the VM is in."""
        config = vm.config
        keys = {option.key: option.value for option in config.extraConfig}
        seen = (vm.name.split("-")[0], config.hardware.memoryMB, config.annotation or "",
                keys.get("test.number"))
        if number in self.identities:
            assert (vm._moId, config.instanceUuid) == self.identities[number], vm.name
        return {("made", 32, "", None): "made",
                ("made", 40, str(number), str(number)): "configured",
                ("kept", 40, str(number), str(number)): "renamed"}.get(seen, seen)

    def check(self, si):
        have = {}
        for vm in datacenter(si).vmFolder.childEntity:
            assert vm.runtime.connectionState == "connected", vm.name
            if vm.name.split("-")[0] in ("made", "kept"):
                number = int(vm.name.split("-")[1])
                assert number not in have, f"two VMs {number}"
                have[number] = self.found(vm, number)
        for number, (_first, last) in self.stages.things.items():
            gone = "destroyed" if last == 4 else "gone"
            self.stages.check(number, have.get(number, gone))
        assert not have.keys() - self.stages.things.keys()
        self.check_folders(si, have)

    def check_folders(self, si, have):
        """No folder of a VM is left that is not one's."""
        store = datacenter(si).datastore[0]
        spec = vim.host.DatastoreBrowser.SearchSpec(matchPattern=["made-*"])
        found = wait_for_task(si, store.browser.SearchDatastore_Task("[datastore1]", spec))
        folders = {int(file.path.split("-")[1]) for file in found.file}
        missing = have.keys() - folders
        assert not missing, f"VMs without a folder: {missing}"
        left = folders - have.keys()
        assert not left, f"folders of VMs that are gone: {left}"


class PortGroups:
    """Each is added, and all but every eighth removed: a host has 512 at most."""

    def __init__(self):
        self.stages = Stages(["gone", "added", "removed"])

    @staticmethod
    def network(si):
        return host_folder_children(datacenter(si)).host[0].configManager.networkSystem

    def step(self, _si, network, number):
        policy = vim.host.NetworkPolicy()
        spec = vim.host.PortGroup.Specification(name=f"group-{number}", vlanId=1 + number % 4000,
                                                vswitchName="vSwitch0", policy=policy)
        self.stages.go(number, lambda: network.AddPortGroup(spec))
        if number % 8 != 0:
            self.stages.go(number, lambda: network.RemovePortGroup(spec.name))

    def check(self, si):
        have = {group.spec.name: group.spec.vlanId
                for group in self.network(si).networkInfo.portgroup}
        for number, (_first, last) in self.stages.things.items():
            vlan = have.get(f"group-{number}")
            assert vlan in (None, 1 + number % 4000), f"half of port group {number}"
            gone = "removed" if last == 2 else "gone"
            self.stages.check(number, gone if vlan is None else "added")


# ---- all of them ----

class Work:
    """All clients; `card` is the node whose power is pulled, `center` its manager."""

    def __init__(self, card, center):
        self.card = card
        self.makers = {"VMs": Machines(), "port groups": PortGroups(), "files": Files(card)}
        vms, groups = self.makers["VMs"], self.makers["port groups"]
        self.clients = {
            "VMs": Pulled(card, datacenter, vms.step),
            "port groups": Pulled(card, groups.network, groups.step),
            "files": Pulled(card, lambda si: None, self.makers["files"].step),
            "notes": Pulled(card, lambda si: find(si, vim.VirtualMachine, "edge-1"), annotate),
            "notes by the manager": Pulled(
                center, lambda si: find(si, vim.VirtualMachine, "idle"), annotate),
        }

    def start(self):
        for client in self.clients.values():
            client.start()

    def done(self):
        return {name: len(client.acknowledged) for name, client in self.clients.items()}

    def goes_on(self, before):
        """Each client got more than one thing done since, or has failed."""
        return all(len(client.acknowledged) > before[name] + 1 or client.failure
                   for name, client in self.clients.items())

    def end(self, seconds):
        for client in self.clients.values():
            client.stop.set()
        end = time.monotonic() + seconds
        for client in self.clients.values():
            client.join(max(0, end - time.monotonic()))
        for name, client in self.clients.items():
            assert client.failure is None and not client.is_alive(), (name, client.failure)

    def acknowledged(self):
        return {name: self.makers[name].stages.steps if name in self.makers
                else len(client.acknowledged) for name, client in self.clients.items()}

    def check(self):
        """Nothing that was acknowledged is lost, nothing is half-made."""
        si = connect(self.card)
        try:
            for name, vm in (("notes", "edge-1"), ("notes by the manager", "idle")):
                check_annotation(self.clients[name],
                                 find(si, vim.VirtualMachine, vm).config.annotation)
            for maker in self.makers.values():
                maker.check(si)
        finally:
            Disconnect(si)

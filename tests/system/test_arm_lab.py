# SPDX-License-Identifier: Apache-2.0
"""The lab with an emulated 64-bit Arm card: up, a guest under KVM on it, a ping over the overlay,
and the card's power pulled."""

import base64
import http.client
import os
import shutil
import socket
import ssl
import time

import pytest

from conftest import need
from daemon import build_folder, wait_until
from test_lab import Lab
from test_survival import Client, annotate, check_annotation, create_vm, make_vm, names_in
from vmomi import Disconnect, connect, find, vim

UP_S = 900  # under 2 minutes where nothing else runs
PULLS = int(os.environ.get("REMORA_PULLS", "1"))


@pytest.fixture(scope="module")
def lab():
    need("remora", "remora-hostd", "remora-centerd")
    if shutil.which("qemu-system-aarch64") is None:
        pytest.skip("no qemu-system-aarch64: tools/bootstrap image")
    if not os.path.exists(os.path.join(build_folder(), "image", "arm64", "remora.img")):
        pytest.skip("no image for arm64: image/build --arch arm64")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.10.1", 8443)) == 0:
            pytest.skip("another lab runs at 127.0.10.1:8443")
    it = Lab()
    try:
        it.out = it.remora("up", "--arch", "arm64", timeout=UP_S).stdout
        yield it
    finally:
        it.remora("down", check=False)
        shutil.rmtree(os.path.dirname(it.folder), ignore_errors=True)


def say(console, line, wanted, seconds):
    """Types a line at a console until it answers with what is wanted; what it said."""
    end, said = time.monotonic() + seconds, b""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(console)
        wire.settimeout(5)
        while wanted not in said and time.monotonic() < end:
            wire.sendall(line + b"\n")
            try:
                while wanted not in said:
                    data = wire.recv(4096)
                    if not data:
                        return said
                    said += data
            except TimeoutError:
                continue
    return said


def vms(lab):
    return {vm["name"]: vm for vm in lab.status()["vms"]}


def ping(lab):
    console = vms(lab)["edge-2"]["console"]
    say(console, b"root", b"# ", 60)
    return say(console, b"ping -c 3 10.1.0.11", b" bytes from 10.1.0.11: seq=", 120)


def test_guest_runs_under_kvm_on_the_card(lab):
    edge = vms(lab)["edge-1"]
    assert (edge["host"], edge["power"], edge["accel"]) == ("dpu-1", "poweredOn", "kvm")
    assert "edge-1 is at its login prompt on dpu-1" in lab.out


def test_console_of_a_vm_on_the_card(lab):
    assert "login: " in lab.remora("console", "edge-1", timeout=60).stdout
    assert vms(lab)["edge-1"]["console"].startswith("https://")


def test_ping_over_the_overlay(lab):
    assert b" bytes from 10.1.0.11: seq=" in ping(lab)


def test_another_architecture_is_refused(lab):
    done = lab.remora("up", "--arch", "amd64", check=False)
    assert done.returncode == 1 and "is another one, of arm64" in done.stdout


# ---- the card's power is pulled ----

class Node:
    """One of the lab's as clients address it."""

    def __init__(self, entry):
        self.address, port = entry["url"].split("/")[2].split(":")
        self.port = int(port)
        self.user, self.password = entry["user"], entry["password"]


class Pulled(Client):
    """A client whose node is away for as long as a card takes to boot."""

    RECONNECT_S = UP_S


def content_of(number):
    return f"{number} ".encode() * (1 + number % 5000)


def file_request(node, method, number, body=None):
    wire = http.client.HTTPSConnection(node.address, node.port, timeout=60,
                                       context=ssl._create_unverified_context())
    password = base64.b64encode(f"{node.user}:{node.password}".encode()).decode()
    try:
        wire.request(method, f"/folder/upload-{number}?dcPath=ha-datacenter&dsName=datastore1",
                     body, {"Authorization": f"Basic {password}"})
        answer = wire.getresponse()
        return answer.status, answer.read()
    finally:
        wire.close()


def make_clients(card, center):
    def upload(_si, _it, number):
        status, body = file_request(card, "PUT", number, content_of(number))
        assert status in (200, 201), body

    return {
        "annotates": Pulled(card, lambda si: find(si, vim.VirtualMachine, "edge-1"), annotate),
        "creates": Pulled(card, lambda si: si.content.rootFolder.childEntity[0], create_vm),
        "uploads": Pulled(card, lambda si: None, upload),
        "manages": Pulled(center, lambda si: find(si, vim.VirtualMachine, "idle"), annotate),
    }


def check_nothing_is_lost(card, clients):
    si = connect(card)
    try:
        for client, name in (("annotates", "edge-1"), ("manages", "idle")):
            check_annotation(clients[client], find(si, vim.VirtualMachine, name).config.annotation)
        place = si.content.rootFolder.childEntity[0]
        have = names_in(place.vmFolder)
        creates, uploads = clients["creates"], clients["uploads"]
        missing = {f"made-{number}" for number in creates.acknowledged} - have
        assert not missing, f"acknowledged VMs are lost: {missing}"
        assert not {vm.name for vm in place.vmFolder.childEntity
                    if vm.runtime.connectionState != "connected"}
    finally:
        Disconnect(si)
    for number in uploads.tried:
        status, body = file_request(card, "GET", number)
        if number in uploads.acknowledged:
            assert (status, body) == (200, content_of(number)), number
        else:
            assert status == 404 or body == content_of(number), f"half of upload {number} is left"


def is_back(lab):
    edge = vms(lab)["edge-1"]
    return (edge["host"], edge["power"], edge["accel"]) == ("dpu-1", "poweredOn", "kvm")


def test_power_of_the_card_is_pulled(lab):
    """While its VM runs and clients work, at it and at the manager: it comes back by itself, its VM
    starts with it and is reached, and nothing that was acknowledged is lost."""
    status = lab.status()
    card = Node(next(host for host in status["hosts"] if host["name"] == "dpu-1"))
    make_vm(card, "idle")
    clients = make_clients(card, Node(status["center"]))
    for client in clients.values():
        client.start()
    try:
        for number in range(PULLS):
            done = {name: len(client.acknowledged) for name, client in clients.items()}
            wait_until(lambda: all(len(client.acknowledged) > done[name] + 2 or client.failure
                                   for name, client in clients.items()), UP_S,
                       "all clients get work done", 0.1)
            lab.remora("kill", "dpu-1")
            assert {h["name"]: h["state"] for h in lab.status()["hosts"]}["dpu-1"] == "down"
            lab.remora("start", "dpu-1", timeout=UP_S)
            wait_until(lambda: is_back(lab), UP_S, "edge-1 runs again", 1)
            assert b" bytes from 10.1.0.11: seq=" in ping(lab), f"after pull {number}"
    finally:
        for client in clients.values():
            client.stop.set()
        for client in clients.values():
            client.join(UP_S)
    for name, client in clients.items():
        assert client.failure is None and not client.is_alive(), (name, client.failure)
    print({name: (len(client.acknowledged), client.reconnects)
           for name, client in clients.items()})
    check_nothing_is_lost(card, clients)

# SPDX-License-Identifier: Apache-2.0
"""The console of a VM over HTTPS: seen, typed to, shown to several, refused, ended."""

import base64
import http.client
import os
import shutil
import socket
import ssl
import time

import pytest

import daemon
from daemon import wait_until
from test_bad_rights import restrict
from test_vm import create, disk, scsi, serial
from vmomi import Disconnect, connect, find, vim, wait_for_task

PROMPT = b"login: "
READER, PASSWORD = "onlooker", "Onlooker.1"


class Console:
    """One who looks, or one request to type."""

    def __init__(self, node, vm, method="GET", body=None, who=None, kind=None):
        user, password = who or (node.user, node.password)
        self.wire = http.client.HTTPSConnection(node.address, node.port, timeout=60,
                                                context=ssl._create_unverified_context())
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        head = {"Authorization": f"Basic {token}"}
        if method == "POST":
            head["Content-Type"] = kind or "application/octet-stream"
        self.wire.request(method, f"/remora/v1/consoles/{vm}", body, head)
        self.answer = self.wire.getresponse()
        self.status, self.said = self.answer.status, b""

    def text(self):
        self.said += self.answer.read()
        self.wire.close()
        return self.said.decode("utf-8", "replace")

    def until(self, wanted, seconds=180):
        end = time.monotonic() + seconds
        while wanted not in self.said:
            assert time.monotonic() < end, self.said[-500:]
            data = self.answer.read1(4096)
            assert data, self.said[-500:]
            self.said += data


def type_at(node, vm, line):
    done = Console(node, vm, "POST", line)
    assert (done.status, done.text()) == (204, "")


@pytest.fixture(scope="module")
def node(module_rig):
    return module_rig.host(memory_mib=1024)


@pytest.fixture(scope="module")
def si(node):
    si = connect(node)
    yield si
    Disconnect(si)


@pytest.fixture(scope="module")
def guest(node, si):
    image = os.path.join(daemon.build_folder(), "guest", "guest.raw")
    if not os.path.exists(image):
        pytest.skip(f"{image} is not built")
    vm = create(si, "seen", deviceChange=[scsi(), disk(20480), serial()])
    wait_for_task(si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(memoryMB=128)))
    shutil.copyfile(image, os.path.join(node.state, "datastores", "datastore1", "seen",
                                        "seen-flat.vmdk"))
    wait_for_task(si, vm.PowerOnVM_Task())
    return vm


def test_two_see_what_either_types(node, guest):
    first = Console(node, guest._moId)
    assert first.status == 200
    assert first.answer.getheader("Content-Type") == "application/octet-stream"
    first.until(PROMPT)
    second = Console(node, guest._moId)
    second.until(PROMPT, 10)  # the end of the log
    type_at(node, guest._moId, b"root\n")
    first.until(b"# ", 60)
    type_at(node, guest._moId, b"echo seen-$((40 + 2))\n")
    for one in (first, second):
        one.until(b"seen-42", 60)
        one.wire.close()


def test_the_socket_is_free_for_others_afterwards(node, guest):
    path = os.path.join(node.state, "datastores", "datastore1", "seen", "serial0.sock")
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(30)
        wire.connect(path)
        wire.sendall(b"echo local-$((1 + 1))\n")
        said = b""
        while b"local-2" not in said:
            said += wire.recv(4096)


def test_refusals(node, si, guest):
    name = guest._moId
    for vm, method, body, kind, status, word in (
            ("vm-999", "GET", None, None, 404, '"vm-999"'),
            ("ha-host", "GET", None, None, 404, '"ha-host"'),
            ("", "GET", None, None, 404, "/remora/v1/consoles/ID"),
            (name + "/more", "GET", None, None, 404, "/remora/v1/consoles/ID"),
            ("x" * 3000, "GET", None, None, 404, "xxx"),
            (name, "PUT", b"x", None, 405, "PUT"),
            (name, "POST", b"x", "text/plain", 415, "octet-stream"),
            (name, "POST", b"x" * 4097, None, 413, "4096")):
        done = Console(node, vm, method, body, kind=kind)
        assert done.status == status and word in done.text()
    assert Console(node, name, who=(node.user, "wrong")).status == 401
    si.content.accountManager.CreateUser(vim.host.LocalAccountManager.AccountSpecification(
        id=READER, password=PASSWORD))
    restrict(si, READER)
    for method in ("GET", "POST"):
        done = Console(node, name, method, b"x" if method == "POST" else None,
                       (READER, PASSWORD))
        assert done.status == 403
        assert "VirtualMachine.Interact.ConsoleInteract" in done.text()
    bare = create(si, "bare")
    done = Console(node, bare._moId)
    assert done.status == 409 and '"bare" is not powered on' in done.text()
    wait_for_task(si, bare.PowerOnVM_Task())
    done = Console(node, bare._moId)
    assert done.status == 404 and "no serial port" in done.text()
    wait_for_task(si, bare.PowerOffVM_Task())
    wait_for_task(si, bare.Destroy_Task())


def test_so_many_at_a_time(node, guest):
    shown = [Console(node, guest._moId) for _ in range(8)]
    assert {one.status for one in shown} == {200}
    more = Console(node, guest._moId)
    assert more.status == 503 and "limit 8" in more.text()
    shown.pop().wire.close()

    def has_room():
        one = Console(node, guest._moId)
        one.wire.close()
        return one.status == 200

    wait_until(has_room, 10, "room for another viewer", 0.2)
    for one in shown:
        one.wire.close()


def test_it_ends_with_its_agent_and_with_its_vm(node, guest):
    shown = Console(node, guest._moId)
    node.kill()
    with pytest.raises((http.client.HTTPException, OSError)):
        shown.answer.read()
    node.start()
    again = connect(node)
    vm = find(again, vim.VirtualMachine, "seen")
    shown = Console(node, vm._moId)
    assert shown.status == 200
    type_at(node, vm._moId, b"echo after-$((2 + 3))\n")
    shown.until(b"after-5", 60)
    wait_for_task(again, vm.PowerOffVM_Task())
    shown.text()  # a good end
    assert Console(node, vm._moId).status == 409
    Disconnect(again)

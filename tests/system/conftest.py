# SPDX-License-Identifier: Apache-2.0
"""Fixtures: nodes that live for one test or for the whole run. What a fixture starts it ends, and
it leaves no file behind."""

import os
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import daemon  # noqa: E402  (found beside this file)
from daemon import Node, Simulator, program  # noqa: E402
from vmomi import Disconnect, connect, vim, wait_for_task  # noqa: E402


def pytest_configure(config):
    """Ended in good order when told to end: fixtures clean up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def need(*names):
    for name in names:
        if not os.path.exists(program(name)):
            pytest.skip(f"{name} is not built in {daemon.build_folder()}")


class Rig:
    """A folder and the nodes that work in it. Its path is short: sockets have room for 107 bytes."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="remora-", dir="/tmp")
        self.processes = []

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def keep(self, process):
        self.processes.append(process)
        return process

    def host(self, name="host-1", role="server", **more):
        need("remora-hostd")
        return self.keep(Node(self.folder, name, role, **more)).start()

    def center(self, name="center"):
        need("remora-centerd")
        return self.keep(Node(self.folder, name, "manager")).start()

    def simulator(self, *options):
        need("remora")
        return self.keep(Simulator(self.folder, *options)).start()

    def pair(self, suffix="", **dpu):
        """A server and the DPU in it."""
        server = self.host(f"server{suffix}", link=self.path(f"link{suffix}"))
        return server, self.host(f"dpu{suffix}", "dpu", server=server, memory_mib=1024,
                                 **dpu)

    def close(self):
        for process in reversed(self.processes):
            process.wreck()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def rig():
    it = Rig()
    yield it
    it.close()


@pytest.fixture(scope="module")
def module_rig():
    it = Rig()
    yield it
    it.close()


def connect_spec(node, **more):
    return vim.host.ConnectSpec(hostName=node.address, port=node.port, userName=node.user,
                                password=node.password, sslThumbprint=node.thumbprint(),
                                force=False, **more)


def add_hosts(center, datacenter, *nodes):
    """Makes a datacenter with standalone hosts in it; the HostSystems' names."""
    si = connect(center)
    try:
        place = si.content.rootFolder.CreateDatacenter(datacenter)
        return [wait_for_task(si, place.hostFolder.AddStandaloneHost_Task(
            spec=connect_spec(node), addConnected=True)).host[0].name for node in nodes]
    finally:
        Disconnect(si)

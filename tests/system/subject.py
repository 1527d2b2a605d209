# SPDX-License-Identifier: Apache-2.0
"""An endpoint under trial, with what rows of compat tables need to know of it."""

import functools
import os
import time

import vmomi
from daemon import wait_until
from govc import Govc
from virsh import Virsh


class Subject:
    """kind: a column of the report. Paths are inventory paths as govc takes them; host is the one
    that machines are made on."""

    def __init__(self, kind, node, home, *, datacenter, host, datastore, add_host=None):
        self.kind = kind
        self.node = node
        self.home = os.path.join(home, kind.replace(" ", ""))
        os.makedirs(self.home, exist_ok=True)
        self.is_manager = node.is_manager
        self.datacenter = f"/{datacenter}"
        self.host = host
        self.host_name = host.rsplit("/", 1)[1]
        self.compute = host.rsplit("/", 1)[0]
        self.pool = f"{self.compute}/Resources"
        self.vm_folder = f"{self.datacenter}/vm"
        self.datastore = datastore
        self.vm = "compat-vm"
        self.vm_path = f"{self.vm_folder}/{self.vm}"
        self.add_host = add_host  # (address:port, user, password, thumbprint) of a spare host
        self.govc = Govc(node.url, node.user, node.password, self.home, datacenter=datacenter,
                         host=host, resource_pool=self.pool, datastore=datastore,
                         network=f"{self.datacenter}/network/VM Network")
        self.notes = {}  # what a row leaves for later ones

    @functools.cached_property
    def si(self):
        return vmomi.connect(self.node)

    @functools.cached_property
    def virsh(self):
        path = self.host.removeprefix("/").replace("/host/", "/", 1)
        parts = path.split("/")
        # A host outside clusters stands in a compute resource of its own name.
        if len(parts) == 3 and parts[1] == parts[2]:
            parts.pop()
        return Virsh(self.node, self.home, "/".join(parts) if self.is_manager else "")

    def file(self, name, content=b""):
        path = os.path.join(self.home, name)
        with open(path, "wb") as out:
            out.write(content)
        return path

    def get(self, path, name):
        return self.govc.get(path, name)

    def wait_get(self, path, name, wanted, seconds=20):
        wait_until(lambda: self.get(path, name) == wanted, seconds,
                   f"{path} {name} is {wanted}, last {self.get(path, name)!r}", 0.1)

    def devices(self, vm=None):
        """Device names and their types, as device.ls tells."""
        rows = (line.split(None, 2) for line in self.govc.lines("device.ls", "-vm", vm or self.vm))
        return {row[0]: row[1] for row in rows}

    def device(self, name, vm=None):
        """The first device of a pattern, as JSON."""
        return self.govc.json("device.info", "-vm", vm or self.vm, name)["Devices"][0]

    def files(self, folder):
        return self.govc.lines("datastore.ls", folder)

    def close(self):
        if "si" in self.__dict__:
            try:
                vmomi.Disconnect(self.si)
            except Exception:  # it may be gone already
                pass


def stamp():
    return time.monotonic_ns()

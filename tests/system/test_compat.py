# SPDX-License-Identifier: Apache-2.0
"""Each row of each table on each endpoint; at the end the report, see compat.py."""

import pytest

import compat
import compat_govc_host  # noqa: F401  (adds rows)
import compat_govc_vm  # noqa: F401
from compat_govc import GOVC
from compat_pyvmomi import PYVMOMI
from compat_virsh import VIRSH
from conftest import add_hosts
from subject import Subject

TABLES = (GOVC, PYVMOMI, VIRSH)
HOST_PATH = "/ha-datacenter/host/{0}/{0}"


class Stage:
    """The endpoints, each started when its first row runs, and the trials on them."""

    def __init__(self, rig):
        self.rig = rig
        self.subjects = {}
        self.trials = {}
        self.nodes = {}

    def pair(self):
        if "server" not in self.nodes:
            self.nodes["server"], self.nodes["dpu"] = self.rig.pair()
        return self.nodes

    def host_subject(self, kind):
        node = self.pair()[kind]
        subject = Subject(kind, node, self.rig.folder, datacenter="ha-datacenter",
                          host=HOST_PATH.format(node.name), datastore="datastore1")
        subject.notes["host uuid"] = node.uuid
        return subject

    def center_subject(self):
        """A manager of its own hosts; the rows make their machines on the DPU."""
        center = self.rig.center()
        wire = {"kind": "memif", "path": self.rig.path("c.sock"), "server": True}
        server, dpu = self.rig.pair("-c", switch=True, network={"uplinks": [wire]})
        spare = self.rig.host("spare", memory_mib=512)
        dpu_name = add_hosts(center, "lab", dpu, server)[0]
        subject = Subject(
            compat.CENTER, center, self.rig.folder, datacenter="lab",
            host=f"/lab/host/{dpu_name}/{dpu_name}", datastore="datastore1",
            add_host=(f"{spare.address}:{spare.port}", spare.user, spare.password, spare.thumbprint()))
        subject.notes["host uuid"] = dpu.uuid
        return subject

    def simulated(self, kind):
        """One that refuses other users, as the rows expect; without these options it lets all in."""
        user = ("--username", "user", "--password", "pass")
        if kind == compat.SIMULATE_ESX:
            return Subject(kind, self.rig.simulator("--esx", *user), self.rig.folder,
                           datacenter="ha-datacenter", datastore="LocalDS_0",
                           host=HOST_PATH.format("localhost.localdomain"))
        return Subject(kind, self.rig.simulator(*user), self.rig.folder, datacenter="DC0",
                       host="/DC0/host/DC0_H0/DC0_H0", datastore="LocalDS_0")

    def subject(self, kind):
        if kind not in self.subjects:
            try:
                if kind == compat.CENTER:
                    self.subjects[kind] = self.center_subject()
                elif kind in compat.REAL:
                    self.subjects[kind] = self.host_subject(kind)
                else:
                    self.subjects[kind] = self.simulated(kind)
            except BaseException as error:  # pytest's skip included: the same for all rows
                self.subjects[kind] = error
        if isinstance(self.subjects[kind], BaseException):
            raise self.subjects[kind]
        return self.subjects[kind]

    def trial(self, table, kind):
        subject = self.subject(kind)
        if (table, kind) not in self.trials:
            self.trials[table, kind] = compat.Trial(table, subject)
        return self.trials[table, kind]

    def finish(self):
        complete = len(self.trials) == len(TABLES) * len(compat.ENDPOINTS)
        if complete and compat.is_complete(self.trials.values()):
            compat.write_report(list(self.trials.values()))
        for subject in self.subjects.values():
            if isinstance(subject, Subject):
                subject.close()


@pytest.fixture(scope="module")
def stage(module_rig):
    it = Stage(module_rig)
    yield it
    it.finish()


def rows():
    for kind in compat.ENDPOINTS:
        for table in TABLES:
            for row in table.rows.values():
                if kind in row.on:
                    yield pytest.param(table, kind, row.command,
                                       id=f"{table.client.split()[0]}-{kind}-{row.command}")


@pytest.mark.parametrize("table, kind, command", rows())
def test_row(stage, table, kind, command):
    stage.trial(table, kind).run(command)

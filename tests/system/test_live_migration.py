# SPDX-License-Identifier: Apache-2.0
"""A guest that runs moves from one card of the lab to the other and back, with a connection open."""

import json
import os
import signal
import subprocess

import pytest

from daemon import program, wait_until
from test_lab import (INFRA, Lab, ask_once, count_lines, exit_status, lab, log_in, put_edges_only,  # noqa: F401
                      realized, rest)
from vmomi import Disconnect, collect, find, run, vim

NAME = "edge-1"


@pytest.fixture(scope="module")
def moving(lab):  # noqa: F811
    """The lab with a connection from edge-1 to edge-2, which only a rule's state lets through."""
    for vm in ("edge-1", "edge-2"):
        log_in(lab, vm)
    assert exit_status(lab, "edge-1", "for i in $(seq 60); do ping -c 1 -W 2 10.1.0.12 && break; "
                                      "sleep 0.5; done; ping -c 1 -W 2 10.1.0.12") == 0
    ask_once(lab.console("edge-2"), "(sleep 1200 | nc -l -p 5001 > /tmp/lines) & sleep 1; "
                                    "echo open-$((6*7))", "open-(42)")
    ask_once(lab.console("edge-1"), "(n=0; while sleep 0.1; do n=$((n+1)); echo $n; done | "
                                    "nc 10.1.0.12 5001) & sleep 1; echo open-$((6*7))",
             "open-(42)")
    return lab


def vm_of(si):
    return find(si, vim.VirtualMachine, NAME)


def host_of(si, name):
    return find(si, vim.HostSystem, name)


def move(lab_, name):
    si = lab_.connect()
    try:
        run(si, vm_of(si).MigrateVM_Task(None, host_of(si, name), "defaultPriority", None))
        assert vm_of(si).runtime.host == host_of(si, name)
        return vm_of(si)._moId
    finally:
        Disconnect(si)


def more_lines(lab_, before):
    """Lines that have come; waits for more, as TCP sends again what was lost while it moved."""
    counts = []

    def have_come():
        counts.append(count_lines(lab_))
        return counts[-1] > before + 5
    wait_until(have_come, 30, f"more than {before} lines", 0.3)
    return counts[-1]


def records(lab_, node):
    """What a card's switch knows of the connection: the state of each record."""
    said = subprocess.run([program("remora"), "switch", "--json", "--state",
                           f"{lab_.folder}/nodes/{node}/switchd", "show", "flows"], check=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=30).stdout
    return [flow["state"] for flow in json.loads(said) if flow["protocol"] == 6]


def test_a_connection_lives_on(moving):
    lines = count_lines(moving)
    reference = move(moving, "dpu-2")
    lines = more_lines(moving, lines)
    assert records(moving, "dpu-2") == ["open"]  # the one of before: where its other end is
    assert next(v for v in moving.status()["vms"] if v["name"] == NAME)["host"] == "dpu-2"
    assert move(moving, "dpu-1") == reference
    more_lines(moving, lines)
    assert records(moving, "dpu-2") == records(moving, "dpu-1") == ["open"]


def test_the_firewall_knows_it_still(moving):
    """Rules that let no new connection through: the open one is known at the new place."""
    policy, group = f"{INFRA}/domains/default/security-policies/edges", \
        f"{INFRA}/domains/default/groups/edges"
    put_edges_only(moving, policy, group)
    try:
        wait_until(lambda: realized(moving, policy), 30, "the policy is in force", 0.1)
        lines = count_lines(moving)
        for name in ("dpu-2", "dpu-1"):
            move(moving, name)
            lines = more_lines(moving, lines)
    finally:
        for path in (policy, group, f"{INFRA}/services/discard"):
            rest(moving, "DELETE", path)


def log_of(lab_, node):
    with open(f"{lab_.folder}/nodes/{node}/log", encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("is_under_way", [False, True], ids=["at_once", "under_way"])
def test_the_manager_is_killed_meanwhile(moving, is_under_way):
    """What has not been begun is cancelled, what has been the hosts end by themselves."""
    here = next(vm for vm in moving.status()["vms"] if vm["name"] == NAME)["host"]
    there = "dpu-2" if here == "dpu-1" else "dpu-1"
    lines, before = count_lines(moving), len(log_of(moving, here))
    si = moving.connect()
    vm_of(si).MigrateVM_Task(None, host_of(si, there), "defaultPriority", None)
    if is_under_way:
        wait_until(lambda: ": copying" in log_of(moving, here)[before:], 30, "it moves")
    with open(f"{moving.folder}/nodes/center/process", encoding="utf-8") as file:
        os.kill(int(file.read().split(":")[0]), signal.SIGKILL)
    if is_under_way:
        lines = more_lines(moving, lines)
    moving.remora("start", "center")

    def places():
        again = moving.connect()
        found = [v.runtime.host.name for v in collect(again, vim.VirtualMachine) if v.name == NAME]
        Disconnect(again)
        return found
    wanted = ([there],) if is_under_way else ([here], [there])
    wait_until(lambda: places() in wanted, 60, "it is in one place", 0.5)
    more_lines(moving, lines)

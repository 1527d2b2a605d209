# SPDX-License-Identifier: Apache-2.0
"""VMs that start with their host: after a boot only, in their order, set at the host or through
the manager."""

import os

import pytest

from conftest import add_hosts
from daemon import wait_until
from test_survival import create_vm
from vmomi import Disconnect, connect, find, vim, vmodl, wait_for_task

START_S = 30
NAMES = ["first", "second", "third", "never"]


def host_of(si):
    return find(si, vim.VirtualMachine, "first").runtime.host


def power_info(vm, order=-1, delay=-1, action="powerOn"):
    kind = vim.host.AutoStartManager.AutoPowerInfo
    return kind(key=vm, startOrder=order, startDelay=delay, startAction=action,
                waitForHeartbeat="systemDefault", stopDelay=-1, stopAction="systemDefault")


def reconfigure(si, infos=(), **defaults):
    manager = host_of(si).configManager.autoStartManager
    manager.ReconfigureAutostart(vim.host.AutoStartManager.Config(
        defaults=vim.host.AutoStartManager.SystemDefaults(**defaults), powerInfo=list(infos)))


def states(node):
    si = connect(node)
    try:
        return {name: find(si, vim.VirtualMachine, name).runtime.powerState for name in NAMES}
    finally:
        Disconnect(si)


def on(node):
    return {name for name, state in states(node).items() if state == "poweredOn"}


def boot(host):
    """All that ran is gone, and the node knows of no boot before."""
    host.kill()
    host.end_machines()
    os.unlink(os.path.join(host.state, "booted"))
    host.start()


@pytest.fixture
def site(rig):
    host, center = rig.host(), rig.center()
    si = connect(host)
    for name in NAMES:
        create_vm(si, si.content.rootFolder.childEntity[0], 0, name)
    Disconnect(si)
    add_hosts(center, "dc", host)
    return host, center


def test_set_through_the_manager(site):
    host, center = site
    si = connect(center)
    vms = {name: find(si, vim.VirtualMachine, name) for name in NAMES}
    reconfigure(si, [power_info(vms["second"], 2, 0), power_info(vms["first"], 1, 3),
                     power_info(vms["third"]), power_info(vms["never"], action="none")],
                enabled=True, startDelay=0)
    shown = host_of(si).configManager.autoStartManager.config
    assert shown.defaults.enabled
    assert {info.key for info in shown.powerInfo} <= set(vms.values())
    boot(host)
    # Those without an order are the last; the first one's delay holds up all others.
    wait_until(lambda: on(host), START_S, "the first VM starts")
    assert on(host) == {"first"}
    wait_until(lambda: on(host) == {"first", "second", "third"}, START_S, "all of them start")

    # A daemon that is started anew is no boot: what somebody turned off stays off.
    direct = connect(host)
    wait_for_task(direct, find(direct, vim.VirtualMachine, "second").PowerOffVM_Task())
    Disconnect(direct)
    machines = host.machines()
    host.kill()
    host.start()
    assert host.machines() == machines
    assert on(host) == {"first", "third"}
    Disconnect(si)


def test_off_is_off(site):
    host, _center = site
    si = connect(host)
    reconfigure(si, [power_info(find(si, vim.VirtualMachine, "first"))], enabled=False)
    Disconnect(si)
    boot(host)
    marker = os.path.join(host.state, "booted")
    wait_until(lambda: os.path.exists(marker), START_S, "the boot is noted")
    assert not on(host)


def test_unknown_action_is_refused(site):
    _host, center = site
    si = connect(center)
    with pytest.raises(vmodl.fault.InvalidArgument) as refused:
        reconfigure(si, [power_info(find(si, vim.VirtualMachine, "first"), action="dance")])
    assert "dance" in refused.value.msg
    assert not host_of(si).configManager.autoStartManager.config.powerInfo
    Disconnect(si)

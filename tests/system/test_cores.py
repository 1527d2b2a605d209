# SPDX-License-Identifier: Apache-2.0
"""Processors shared out between the planes and VMs, as the kernel sees it: /proc of the agent, the
switch and real machines, whose guests are busy and reach each other all the same; through kill -9
of the agent and starts with another plan. Takes about a minute, most of it guests that boot."""

import json
import os
import subprocess

import pytest

from conftest import need
from daemon import program, wait_until
from test_host_network import ADDRESS, World
from vmomi import vim

CPUS = sorted(os.sched_getaffinity(0))
NICE = 5  # of VMs
BUSY = "sh -c 'while :; do :; done' >/dev/null 2>&1 &"


def text_of(cpus):
    """As the kernel writes lists of neighbours."""
    assert cpus == list(range(cpus[0], cpus[-1] + 1))
    return str(cpus[0]) if len(cpus) == 1 else f"{cpus[0]}-{cpus[-1]}"


def threads(pid):
    """(processors, nice value) of each thread of a process; threads that end are left out."""
    found = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii") as status:
                lines = dict(line.split(":", 1) for line in status if ":" in line)
            with open(f"/proc/{pid}/task/{tid}/stat", encoding="ascii") as stat:
                nice = int(stat.read().rsplit(")", 1)[1].split()[16])
        except OSError:
            continue
        found.append((lines["Cpus_allowed_list"].strip(), nice))
    return found


def autogroup(pid):
    try:
        with open(f"/proc/{pid}/autogroup", encoding="ascii") as file:
            return int(file.read().rsplit(" ", 1)[1])
    except (OSError, IndexError):
        return None


def status(node):
    done = subprocess.run([program("remora"), "control",
                           os.path.join(node.state, "control.sock"), "status"],
                          check=True, timeout=20, capture_output=True, text=True)
    return json.loads(done.stdout)


def option(world, key):
    host = world.si.content.rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]
    return host.configManager.advancedOption.QueryOptions(key)[0].value


def compute(world):
    return world.si.content.rootFolder.childEntity[0].hostFolder.childEntity[0]


def switch_processes(node):
    """The active one, its standby and their keeper; not those that only hold memory for them."""
    out = subprocess.run(["pgrep", "-f", f"remora-switchd .*--state {node.state}/switchd "],
                         capture_output=True, text=True, check=False).stdout
    found = []
    for pid in out.split():
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                found += [int(pid)] if comm.read() == "remora-switchd\n" else []
        except OSError:
            continue
    return found


def again(world, *options, wrapper=()):
    """The agent is killed and starts with other options; machines and switch stay."""
    before = world.node.machines()
    world.node.kill()
    world.node.options, world.node.wrapper = list(options), list(wrapper)
    world.node.start()
    world.again()
    assert world.node.machines() == before
    return status(world.node)["cores"]


def switch_is_placed(node, planes):
    """Workers have one of the planes' processors, other threads all of them."""
    ones = {(str(cpu), 0) for cpu in planes}
    pids = switch_processes(node)
    return (len(pids) >= 2 and
            all(set(threads(pid)) <= {(text_of(planes), 0)} | ones for pid in pids) and
            all(threads(pid)[0] == (text_of(planes), 0) for pid in pids))


def check_places(node, planes, vms):
    """All threads are where they belong. A switch that takes over makes threads that run where it
    began; the agent looks every ten seconds."""
    for pid in node.machines().values():
        assert len(threads(pid)) > 1
        assert set(threads(pid)) == {(text_of(vms), NICE)}
        assert autogroup(pid) in (None, NICE)
    assert {cpus for cpus, _ in threads(node.pid)} == {text_of(planes)}
    wait_until(lambda: switch_is_placed(node, planes), 30, "the switch is where it belongs", 0.2)


def check_reached(world):
    assert world.consoles["a"].reaches(ADDRESS["b"])
    assert world.consoles["b"].reaches(ADDRESS["a"])


@pytest.fixture(scope="module")
def world(module_rig):
    need("remora-hostd", "remora-switchd", "remora")
    if len(CPUS) < 2 or len(CPUS) != os.cpu_count() or CPUS[-1] != len(CPUS) - 1:
        pytest.skip("needs a machine with two processors or more, all of them ours")
    w = World(module_rig.host(switch=True, cpus=len(CPUS), options=["--plane-cpus", "none"]))
    w.network.AddPortGroup(vim.host.PortGroup.Specification(
        name="blue", vlanId=100, vswitchName="vSwitch0", policy=vim.host.NetworkPolicy()))
    w.make("a", None, "blue")
    w.make("b", vim.vm.device.VirtualVmxnet3, "blue")
    for name in ADDRESS:
        w.boot(name)
    for name, console in w.consoles.items():
        console.login()
        assert console.run(f"ip addr add {ADDRESS[name]}/24 dev eth0 && "
                           f"ip link set eth0 up")[0] == 0
        console.run(BUSY)
    check_reached(w)
    return w


def test_together_vms_yield(world):
    cores = status(world.node)["cores"]
    assert cores["kind"] == "together" and cores["planes"] == cores["vms"] == text_of(CPUS)
    check_places(world.node, CPUS, CPUS)
    assert option(world, "Remora.cores") == cores["text"]
    with open(world.node.log, encoding="utf-8") as log:
        assert cores["text"] in log.read()
    summary, mhz = compute(world).summary, cores["vms_mhz"]
    assert 0 < summary.effectiveCpu == mhz < summary.totalCpu
    assert compute(world).resourcePool.runtime.cpu.maxUsage == mhz
    for machine in status(world.node)["machines"]:
        assert machine["cpus"] == text_of(CPUS) and machine["nice"] == NICE


def test_apart_no_vm_runs_where_the_planes_do(world):
    cores = again(world, "--plane-cpus", "1")
    planes, vms = CPUS[:1], CPUS[1:]
    assert (cores["kind"], cores["planes"], cores["vms"]) == ("apart", text_of(planes),
                                                             text_of(vms))
    check_places(world.node, planes, vms)
    check_reached(world)
    summary = compute(world).summary
    assert summary.effectiveCpu == summary.totalCpu * len(vms) // len(CPUS)
    # The next switch begins there, and so do the machines that are started now.
    old = world.node.switch_pid()
    os.kill(old, 9)
    world.switch_started(old)
    wait_until(lambda: len(switch_processes(world.node)) == 3, 20, "there is a standby again")
    world.run(world.vm("a").PowerOffVM_Task())
    console = world.boot("a")
    check_places(world.node, planes, vms)
    console.login()
    assert console.run(f"ip addr add {ADDRESS['a']}/24 dev eth0 && ip link set eth0 up")[0] == 0
    console.run(BUSY)
    check_reached(world)


def test_a_vm_has_no_more_than_what_vms_have(world):
    most = len(CPUS) - 1
    world.make("wide", None, "blue")
    vm = world.vm("wide")
    world.run(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=most + 1)))
    with pytest.raises(vim.fault.NotEnoughLogicalCpus, match="data planes") as caught:
        world.run(vm.PowerOnVM_Task())
    assert (caught.value.numCpuDest, caught.value.numCpuVm) == (most, most + 1)
    mhz = status(world.node)["cores"]["vms_mhz"]
    too_much = vim.ResourceAllocationInfo(reservation=mhz + 1)
    world.run(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=most, cpuAllocation=too_much)))
    with pytest.raises(vim.fault.InsufficientCpuResourcesFault, match="wide") as caught:
        world.run(vm.PowerOnVM_Task())
    assert (caught.value.requested, caught.value.unreserved) == (mhz + 1, mhz)
    world.run(vm.Destroy_Task())


def test_the_agents_own_limits_hold(world):
    last = CPUS[-1]
    cores = again(world, wrapper=["taskset", "-c", str(last)])
    assert (cores["kind"], cores["vms"]) == ("together", str(last))
    check_places(world.node, [last], [last])
    check_reached(world)


def test_what_cannot_be_had_is_told(world):
    cores = again(world, "--plane-cpus", text_of(CPUS))
    assert "left for VMs" in cores["trouble"] and cores["kind"] == "together"
    check_places(world.node, CPUS, CPUS)
    check_reached(world)
    done = subprocess.run([program("remora-hostd"), "--state", world.node.state + "-new",
                           "--plane-cpus", "some"], capture_output=True, text=True, timeout=20,
                          check=False)
    assert done.returncode != 0 and '--plane-cpus: "some"' in done.stderr

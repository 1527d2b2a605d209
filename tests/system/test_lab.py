# SPDX-License-Identifier: Apache-2.0
"""The lab as people use it: `remora lab up`, its VMs at their prompts, a server that is stopped."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request

import pytest

from conftest import need
from daemon import build_folder, program, wait_until
from vmomi import Disconnect, SmartConnect, collect, run, vim

LOCK_S = 600
INFRA = "/policy/api/v1/infra"


class Lab:
    def __init__(self):
        self.folder = os.path.join(tempfile.mkdtemp(prefix="remora-lab-", dir="/tmp"), "lab")

    def remora(self, *words, check=True, timeout=300):
        done = subprocess.run([program("remora"), "lab", *words], check=False, timeout=timeout,
                              env=dict(os.environ, REMORA_LAB=self.folder),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        assert not check or done.returncode == 0, done.stdout
        return done

    def status(self):
        return json.loads(self.remora("status", "--json").stdout)

    def processes(self):
        """pids whose command line names the lab's folder."""
        pids = []
        for name in os.listdir("/proc"):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if name.isdigit() and self.folder.encode() in file.read():
                        pids.append(int(name))
            except OSError:
                continue
        return pids

    def connect(self):
        center = self.status()["center"]
        host, port = center["url"].split("/")[2].split(":")
        return SmartConnect(host=host, port=int(port), user=center["user"],
                            pwd=center["password"], sslContext=ssl._create_unverified_context())

    def console(self, vm):
        for entry in self.status()["vms"]:
            if entry["name"] == vm:
                return entry["console"]
        raise AssertionError(f"no VM {vm}")


@pytest.fixture(scope="module")
def lab():
    need("remora", "remora-hostd", "remora-centerd", "tools/govc")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.10.1", 8443)) == 0:
            pytest.skip("another lab runs at 127.0.10.1:8443")
    it = Lab()
    try:
        it.out = it.remora("up").stdout
        yield it
    finally:
        it.remora("down", check=False)
        shutil.rmtree(os.path.dirname(it.folder), ignore_errors=True)


def ask(path, command, wanted):
    """Types a command at the VM's console and waits for the answer."""
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(path)
        console.settimeout(1)
        seen = ""
        end = time.monotonic() + 60
        while wanted not in seen:
            assert time.monotonic() < end, f"the console said: {seen[-300:]}"
            console.sendall(command.encode() + b"\n")
            try:
                while wanted not in seen:
                    seen += console.recv(4096).decode(errors="replace")
            except TimeoutError:
                pass
    return seen


def ask_once(path, command, pattern):
    """Types a command once; the first group of the pattern in what it prints."""
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(path)
        console.settimeout(1)
        console.sendall(command.encode() + b"\n")
        seen = ""
        end = time.monotonic() + 90
        while not (found := re.search(pattern, seen)):
            assert time.monotonic() < end, f"the console said: {seen[-300:]}"
            try:
                seen += console.recv(4096).decode(errors="replace")
            except TimeoutError:
                pass
    return found.group(1)


def answers(lab, vm, mark):
    """Whether the guest computes something for us: an echo of what was typed is not enough."""
    return ask(lab.console(vm), f"echo {mark}-$((6*7))", f"{mark}-42")


def log_in(lab, vm):
    ask(lab.console(vm), "root", "#")


def test_up_says_what_runs(lab):
    assert "edge-1 is at its login prompt on dpu-1" in lab.out
    status = lab.status()
    assert set(status["center"]) == {"url", "user", "password", "thumbprint"}
    assert status["center"]["url"].endswith("/sdk")
    assert {(h["name"], h["role"], h["state"]) for h in status["hosts"]} == {
        ("tor-1", "switch", "up"), ("server-1", "server", "up"), ("dpu-1", "dpu", "up"),
        ("server-2", "server", "up"), ("dpu-2", "dpu", "up")}
    vms = {vm["name"]: vm for vm in status["vms"]}
    assert {name: vm["host"] for name, vm in vms.items()} == {
        "edge-1": "dpu-1", "edge-2": "dpu-2", "web-1": "server-1"}
    for vm in vms.values():
        assert vm["power"] == "poweredOn" and vm["accel"] in ("kvm", "tcg")


def test_up_again_finds_it_running(lab):
    before = lab.processes()
    assert "is running" in lab.remora("up").stdout
    assert lab.processes() == before


def test_consoles_answer(lab):
    for vm in ("edge-1", "edge-2", "web-1"):
        log_in(lab, vm)
        answers(lab, vm, "first")
        assert "Linux" in ask(lab.console(vm), "uname -s", "Linux")


def rest(lab, method, path, body=None):
    """A request to the manager's policy interface, and what it answers."""
    center = lab.status()["center"]
    request = urllib.request.Request(
        center["url"].removesuffix("/sdk") + path, method=method,
        data=None if body is None else json.dumps(body).encode())
    account = f"{center['user']}:{center['password']}".encode()
    request.add_header("Authorization", "Basic " + base64.b64encode(account).decode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, context=ssl._create_unverified_context(),
                                timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def exit_status(lab, vm, command, console=None):
    """Of a command in the guest."""
    mark = f"status-{time.monotonic_ns()}"
    said = ask_once(console or lab.console(vm), f"{command}; echo {mark}-$?-", rf"{mark}-(\d+)-")
    return int(said)


def test_guests_of_two_cards_share_a_segment(lab):
    """Addresses by DHCP from the switch, frames in Geneve from card to card."""
    for vm, address, other in (("edge-1", "10.1.0.11", "10.1.0.12"),
                               ("edge-2", "10.1.0.12", "10.1.0.11")):
        assert exit_status(lab, vm, "for i in $(seq 60); do ip addr | grep -q "
                                    f"'inet {address}/24' && break; sleep 0.5; done; "
                                    f"ping -c 2 -W 2 {other}") == 0
    wanted = {"edge-1": "10.1.0.11", "edge-2": "10.1.0.12", "web-1": "10.1.0.21"}
    wait_until(lambda: {vm["name"]: vm["ip"] for vm in lab.status()["vms"]} == wanted, 60,
               "the hosts know their guests' addresses", 0.5)


def reaches(lab, vm, address, count=1, console=None):
    return exit_status(lab, vm, f"ping -c {count} -W 2 {address}", console) == 0


def test_the_servers_guest_is_on_its_cards_segment(lab):
    """By a function that the card lends; its port is on the card's switch, not on the server's."""
    wait_until(lambda: reaches(lab, "web-1", "10.1.0.12"), 60, "web-1 has its address", 0.5)
    assert reaches(lab, "web-1", "10.1.0.11")
    assert reaches(lab, "edge-1", "10.1.0.21") and reaches(lab, "edge-2", "10.1.0.21")
    shown = {node: subprocess.run(
        [program("remora"), "switch", "--state", f"{lab.folder}/nodes/{node}/switchd", "show",
         "ports"], capture_output=True, text=True, check=True, timeout=30).stdout
             for node in ("dpu-1", "server-1")}
    assert " web-1 " in shown["dpu-1"] and "web-1" not in shown["server-1"]
    # The server's agent is killed and comes back: nobody notices.
    console = lab.console("web-1")
    with open(f"{lab.folder}/nodes/server-1/process", encoding="utf-8") as file:
        os.kill(int(file.read().split(":")[0]), signal.SIGKILL)
    assert reaches(lab, "web-1", "10.1.0.12", 3, console) and reaches(lab, "edge-2", "10.1.0.21")
    lab.remora("start", "server-1")
    assert reaches(lab, "web-1", "10.1.0.12", 3, console) and reaches(lab, "edge-2", "10.1.0.21")
    wait_until(lambda: {vm["name"]: vm["power"] for vm in lab.status()["vms"]}.get("web-1") ==
               "poweredOn", 60, "the manager sees web-1 again", 0.5)


def test_a_rule_by_tag_stops_them(lab):
    """Set through the policy interface; a connection that runs stops with the others."""
    ask(lab.console("edge-2"), "(sleep 600 | nc -l -p 5000 > /tmp/got) & sleep 1", "# ")
    ask(lab.console("edge-1"), "mkfifo /tmp/pipe; (nc 10.1.0.12 5000 < /tmp/pipe) & exec 3>"
                               "/tmp/pipe; echo one >&3; echo sent-$((6*7))", "sent-42")

    def has(word):
        return exit_status(lab, "edge-2", f"grep -q {word} /tmp/got") == 0

    wait_until(lambda: has("one"), 30, "the connection is open", 0.5)
    machines = rest(lab, "GET", "/policy/api/v1/fabric/virtual-machines")["results"]
    numbers = {vm["display_name"]: vm["external_id"] for vm in machines}
    for vm in ("edge-1", "web-1"):
        rest(lab, "POST", "/policy/api/v1/fabric/virtual-machines?action=update_tags",
             {"external_id": numbers[vm], "tags": [{"scope": "zone", "tag": "quarantine"}]})
    group, policy = f"{INFRA}/domains/default/groups/bad", \
        f"{INFRA}/domains/default/security-policies/stop"
    rest(lab, "PATCH", group, {"expression": [{
        "resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag",
        "operator": "EQUALS", "value": "zone|quarantine"}]})
    rest(lab, "PATCH", policy, {"category": "Application"})
    rest(lab, "PATCH", f"{policy}/rules/all", {
        "source_groups": ["/infra/domains/default/groups/bad"], "destination_groups": ["ANY"],
        "services": ["ANY"], "action": "DROP"})

    def realized_everywhere(path):
        status = rest(lab, "GET", f"{INFRA}/realized-state/status?intent_path={path}")
        return status["consolidated_status"]["consolidated_status"] == "SUCCESS"

    try:
        wait_until(lambda: realized_everywhere(
            "/infra/domains/default/security-policies/stop"), 30, "the policy is in force", 0.05)
        assert exit_status(lab, "edge-1", "ping -c 1 -W 1 10.1.0.12") != 0
        assert not reaches(lab, "web-1", "10.1.0.12") and not reaches(lab, "web-1", "10.1.0.11")
        ask(lab.console("edge-1"), "echo two >&3; echo sent-$((6*8))", "sent-48")
        time.sleep(2)
        assert not has("two")
    finally:
        rest(lab, "DELETE", policy)
        rest(lab, "DELETE", group)
    wait_until(lambda: exit_status(lab, "edge-1", "ping -c 1 -W 1 10.1.0.12") == 0, 30,
               "they reach each other again", 0.5)
    assert reaches(lab, "web-1", "10.1.0.12")


CARDS = ("dpu-1", "dpu-2")


def start_pinging(lab, vm, other):
    """Numbered packets to another guest and back, 100 a second or so."""
    ask_once(lab.console(vm), f"ping -q -i 0.005 {other} > /dev/null 2>&1 & echo $! > /tmp/pinger; "
                              "echo pings-$((6*7))", r"pings-(42)\r")


def count_echoes(lab, vm):
    """What the guest's kernel counts; ping itself is not exact where it waits for a processor."""
    said = ask_once(lab.console(vm), "grep ^Icmp: /proc/net/snmp; echo end-",
                    r"(Icmp: In[\s\S]*)end-\r")
    names, values = (line.split()[1:] for line in said.splitlines() if line.startswith("Icmp:"))
    return {name: int(value) for name, value in zip(names, values)}


def compare_echoes(lab, before):
    """How many packets went from each guest to the other: all of them came, once, and so did all
    answers."""
    after = {vm: count_echoes(lab, vm) for vm in before}
    grown = {vm: {name: after[vm][name] - before[vm][name] for name in after[vm]} for vm in before}
    for vm, other in zip(before, reversed(before)):
        sent = grown[vm]["OutEchos"]
        assert (grown[other]["InEchos"], grown[other]["OutEchoReps"],
                grown[vm]["InEchoReps"]) == (sent, sent, sent), grown
    return [grown[vm]["OutEchos"] for vm in before]


def kill_management(lab):
    """kill -9 of the manager and of the cards' agents."""
    for node in ("center", *CARDS):
        with open(f"{lab.folder}/nodes/{node}/process", encoding="utf-8") as file:
            os.kill(int(file.read().split(":")[0]), signal.SIGKILL)


def switches(lab):
    """The cards' processes that forward, and what they run."""
    found = {}
    for card in CARDS:
        state = f"{lab.folder}/nodes/{card}/switchd"
        with open(f"{state}/switchd.pid", encoding="utf-8") as file:
            pid = int(file.read())
        status = subprocess.run([program("remora"), "switch", "--state", state, "status",
                                 "--json"], check=True, stdout=subprocess.PIPE, timeout=30)
        found[card] = pid, json.loads(status.stdout)["generation"]
    return found


def realized(lab, policy, nodes=CARDS):
    status = rest(lab, "GET", f"{INFRA}/realized-state/status?intent_path="
                  + policy.removeprefix("/policy/api/v1"))
    by_node = {node["display_name"]: node["status"] for node in
               status["consolidated_status_per_enforcement_point"][0].get("nodes", [])}
    return all(by_node.get(node) == "SUCCESS" for node in nodes)


def put_edges_only(lab, policy, group):
    """Only the two guests, known by their names, may talk, and only with each other."""
    rest(lab, "PATCH", group, {"expression": [{
        "resource_type": "Condition", "member_type": "VirtualMachine", "key": "Name",
        "operator": "STARTSWITH", "value": "edge-"}]})
    rest(lab, "PATCH", f"{INFRA}/services/discard", {"service_entries": [{
        "resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP",
        "destination_ports": ["9"]}]})
    rest(lab, "PATCH", policy, {"category": "Application"})
    edges = [group.removeprefix("/policy/api/v1")]
    rest(lab, "PATCH", f"{policy}/rules/let", {
        "sequence_number": 1, "source_groups": edges, "destination_groups": edges,
        "services": ["ANY"], "action": "ALLOW"})
    rest(lab, "PATCH", f"{policy}/rules/stop", {
        "sequence_number": 2, "source_groups": ["ANY"], "destination_groups": ["ANY"],
        "services": ["ANY"], "action": "DROP"})


def count_lines(lab, before=0):
    """Lines that came over the connection, each the number after the one before."""
    said = ask_once(lab.console("edge-2"), "cp /tmp/lines /tmp/now; seq $(wc -l < /tmp/now) | "
                    "cmp - /tmp/now; echo lines-$?-$(wc -l < /tmp/now)-", r"lines-(\d+-\d+)-")
    differs, count = (int(n) for n in said.split("-"))
    assert differs == 0 and count > before
    return count


def test_no_packet_is_lost_without_management(lab):
    """The agents of both cards and the manager are killed three times and come back, read again
    what they keep and give it to the switches anew: no packet is lost or doubled by that, nor
    while they are away, nor by what is changed when they are back. A connection lives on."""
    policy, group = f"{INFRA}/domains/default/security-policies/edges", \
        f"{INFRA}/domains/default/groups/edges"
    put_edges_only(lab, policy, group)
    wait_until(lambda: realized(lab, policy), 30, "the policy is in force", 0.1)
    ask_once(lab.console("edge-2"), "(sleep 600 | nc -l -p 5001 > /tmp/lines) & sleep 1; "
                                    "echo open-$((6*7))", "open-(42)")
    ask_once(lab.console("edge-1"), "(n=0; while sleep 0.1; do n=$((n+1)); echo $n; done | "
                                    "nc 10.1.0.12 5001) & sleep 1; echo open-$((6*7))",
             "open-(42)")
    echoes = {vm: count_echoes(lab, vm) for vm in ("edge-1", "edge-2")}
    start_pinging(lab, "edge-1", "10.1.0.12")
    start_pinging(lab, "edge-2", "10.1.0.11")
    before, lines = switches(lab), 0
    for n in range(3):
        kill_management(lab)
        time.sleep(1)
        for node in (*CARDS, "center"):
            lab.remora("start", node)
        wait_until(lambda: realized(lab, policy), 60, "all of it is in force again", 0.1)
        rest(lab, "PATCH", f"{policy}/rules/more-{n}", {
            "sequence_number": 0, "source_groups": ["ANY"], "destination_groups": ["ANY"],
            "services": ["/infra/services/discard"], "action": "REJECT"})
        wait_until(lambda: realized(lab, policy), 30, "the change is in force", 0.1)
        lines = count_lines(lab, lines)
    after = switches(lab)
    for card in CARDS:
        assert after[card][0] == before[card][0] and after[card][1] > before[card][1] + 3
    for vm in echoes:
        ask_once(lab.console(vm), "kill -INT $(cat /tmp/pinger); sleep 1; echo stopped-$((6*7))",
                 "stopped-(42)")
    counts = compare_echoes(lab, echoes)
    print(f"{counts} packets and their answers, {lines} lines over a connection")
    assert min(counts) > 300  # enough to notice; how many there are is up to the machine
    for path in (policy, group, f"{INFRA}/services/discard"):
        rest(lab, "DELETE", path)


def attach(command, env):
    """Runs a console in a terminal, waits until the guest has said something, and lets go."""
    ours, theirs = os.openpty()
    with subprocess.Popen(["bash", "-c", command], env=env, stdin=theirs, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        os.write(ours, b"\n")
        said = process.stdout.read(1)
        os.write(ours, b"\x1d")
        said += process.communicate(timeout=60)[0]
    os.close(ours)
    os.close(theirs)
    return process.returncode, said


def test_what_up_says_to_try(lab):
    """Each command as it is printed, govc being in the path."""
    lines = [line.strip() for line in lab.out.split("Try:")[1].splitlines() if line.strip()]
    setting, *commands = [re.sub(r"\s{2,}\(.*", "", line) for line in lines]
    assert setting.startswith("export GOVC_URL=") and len(commands) == 7
    env = {"PATH": f"{build_folder()}/tools:/usr/bin:/bin", "HOME": lab.folder,
           "REMORA_LAB": lab.folder}
    for command in commands:
        if " console " in command:
            status, said = attach(command, env)
        else:
            done = subprocess.run(["bash", "-c", f"{setting}; {command}"], env=env, timeout=60,
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False)
            status, said = done.returncode, done.stdout
        assert status == 0 and said, command
    lab.remora("up")  # the last one has stopped the server and web-1 with it


def test_the_card_is_paired(lab):
    si = lab.connect()
    hosts = {host.name: host for host in collect(si, vim.HostSystem)}
    identity = {info.identifierType.key: info.identifierValue
                for info in hosts["dpu-1"].hardware.systemInfo.otherIdentifyingInfo}
    assert identity["RemoraDpuId"]
    assert identity["RemoraServerUuid"] == hosts["server-1"].hardware.systemInfo.uuid
    Disconnect(si)


def state_of(si, name):
    for host in collect(si, vim.HostSystem):
        if host.name == name:
            return host.runtime.connectionState
    return None


def test_the_server_stops_and_the_card_runs_on(lab):
    answers(lab, "edge-1", "before")
    si = lab.connect()
    console = lab.console("edge-1")
    lab.remora("stop", "server-1")
    ask(console, "echo during-$((6*7))", "during-42")
    wait_until(lambda: state_of(si, "server-1") == "notResponding", 60,
               "the manager notices that server-1 is gone", 0.2)
    assert state_of(si, "dpu-1") == "connected"
    ask(console, "echo still-$((6*7))", "still-42")
    lab.remora("start", "server-1")
    wait_until(lambda: state_of(si, "server-1") == "connected", 60, "server-1 is back", 0.2)
    ask(console, "echo after-$((6*7))", "after-42")
    Disconnect(si)


def test_up_completes_what_is_half_done(lab):
    """As after an `up` that was stopped when web-1 had no disk yet."""
    si = lab.connect()
    vm = next(vm for vm in collect(si, vim.VirtualMachine) if vm.name == "web-1")
    if vm.runtime.powerState == "poweredOn":  # not after its server was stopped
        run(si, vm.PowerOff())
    disk = next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=disk)
    run(si, vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[change])))
    Disconnect(si)
    lab.remora("up")
    log_in(lab, "web-1")
    answers(lab, "web-1", "whole")


def test_down_leaves_nothing(lab):
    assert lab.processes()
    uuids = []
    for name in os.listdir(f"{lab.folder}/nodes"):
        if os.path.exists(path := f"{lab.folder}/nodes/{name}/node.json"):
            with open(path, encoding="utf-8") as file:
                uuids.append(json.load(file)["uuid"])
    lab.remora("down")
    wait_until(lambda: not lab.processes(), 20, "all processes are gone")
    assert not os.path.exists(lab.folder) and len(uuids) == 5
    assert not any(uuid in name for uuid in uuids for name in os.listdir("/dev/shm"))
    assert "there is no lab" in lab.remora("down").stdout

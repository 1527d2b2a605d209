# SPDX-License-Identifier: Apache-2.0
"""The switch changes hands while guests' TCP connections run through it: it is killed with -9, and
upgraded to another version and back. No connection may end. How long no packet passed is told, not
judged, for the machine may be busy.

REMORA_SURVIVAL=CONNECTIONS,NEW_A_SECOND,TIMES sets the size; the full one is 10000,1000,20."""

import os
import re
import shutil
import statistics
import subprocess
import time

import pytest

from conftest import need
from daemon import build_folder, program, wait_until
from switch_rig import ADDRESS, MAC, QEMU, Guest, Switch, compile_tool, document

SIZE = os.environ.get("REMORA_SURVIVAL", "500,50,4")
CONNECTIONS, NEW, TIMES = (int(word) for word in SIZE.split(","))
GAP_MS = 8  # shorter ones are the guests' own
SOURCE = os.path.join(os.path.dirname(__file__), "tcp_load.c")


class Load:
    """Connections from guest a to guest b, and a probe beside them."""

    def __init__(self, a, b):
        self.a, self.b = a, b

    def begin(self):
        for guest in (self.a, self.b):
            guest.get_tool("tcp_load")
            guest.run("cd /proc/sys/net/ipv4; echo 1024 65000 > ip_local_port_range; "
                      "echo 200000 > tcp_max_tw_buckets; echo 1 > tcp_tw_reuse; "
                      "echo 4096 > /proc/sys/net/core/somaxconn")
        self.b.run("(/tmp/tcp_load serve > /tmp/served 2>&1 &)")
        self.b.run(f"(/tmp/tcp_load gaps {GAP_MS} &)")
        self.a.run(f"(/tmp/tcp_load probe {ADDRESS['b']} 1000 &)")
        self.a.run(f"(/tmp/tcp_load live {ADDRESS['b']} {CONNECTIONS} {NEW} &)")

    def state(self):
        """Counts by name."""
        said = self.a.run("cat /tmp/live")[1]
        found = re.search(r"live \d+[a-z\d ]+", said)
        assert found, said
        words = found.group(0).split()
        return dict(zip(words[::2], (int(word) for word in words[1::2])))

    def longest_gap(self):
        """Milliseconds since the last time it was asked; 0: nothing that was longer than usual."""
        said = self.b.run("cat /tmp/gaps; : > /tmp/gaps")[1]
        return max([int(us) / 1000 for us in re.findall(r"gap (\d+) lost", said)], default=0)

    def resets(self):
        """Connections that were reset, and segments with RST sent, as the guests' kernels count
        them. A segment that comes twice to a connection both ends have closed is answered by RST:
        that ends nothing."""
        sums = []
        for guest in (self.a, self.b):
            lines = re.findall(r"^Tcp: (.*?)\r?$", guest.run("cat /proc/net/snmp")[1], re.M)
            tcp = dict(zip(lines[0].split(), lines[1].split()))
            sums.append((int(tcp["EstabResets"]), int(tcp["OutRsts"])))
        return sums


@pytest.fixture(scope="module")
def other_version(module_rig):
    """The same program, that says it is another version."""
    path = module_rig.path("remora-switchd-other")
    with open(program("remora-switchd"), "rb") as file:
        content = file.read()
    said = subprocess.run([program("remora-switchd"), "--version"], capture_output=True,
                          text=True, check=True).stdout.split()[1]
    with open(path, "wb") as file:
        file.write(content.replace(said.encode() + b"\0", b"9" + said[1:].encode() + b"\0"))
    os.chmod(path, 0o755)
    return path


@pytest.fixture(scope="module")
def world(module_rig):
    need("remora-switchd")
    need("remora")
    for path in (QEMU, os.path.join(build_folder(), "guest", "guest.raw")):
        if not os.path.exists(path):
            pytest.skip(f"there is no {path}")
    if shutil.which("cc") is None:
        pytest.skip("there is no compiler for the guests' load")
    tool = compile_tool(SOURCE, module_rig.path("tcp_load"))
    switch = module_rig.keep(Switch(module_rig, options=("--flows", "262144"))).start()
    guests = {name: module_rig.keep(Guest(module_rig, name, memory_mib=256 + CONNECTIONS // 16,
                                          tool=tool)) for name in MAC}
    rules = [{"id": 1, "action": "allow", "sources": ["a"],
              "services": [{"protocol": "tcp", "ports": ["5000-5007"]}]},
             {"id": 2, "action": "allow", "sources": ["a"],
              "services": [{"protocol": "udp", "ports": ["6000"]}]}]
    switch.apply(document(guests, rules, default="drop"))
    for guest in guests.values():
        guest.login()
    load = Load(guests["a"], guests["b"])
    load.begin()
    wait_until(lambda: guests["a"].run("ls /tmp/live")[0] == 0, 60, "the load has begun", 0.5)
    wait_until(lambda: load.state()["live"] == CONNECTIONS, 60 + CONNECTIONS / 100,
               "all connections live", 1)
    return switch, load


def is_whole(switch):
    """Another process stands by."""
    return switch.call("status", at="keeper.sock")["standby_is_ready"]


def wait_whole(switch):
    wait_until(lambda: is_whole(switch), 60, "a standby is ready", 0.1)


def upgrade(switch, binary):
    done = subprocess.run([program("remora"), "switch", "--state", switch.state, "upgrade",
                           "--binary", binary], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(load, before):
    """Connections all live, and go on."""
    def goes_on():
        now = load.state()
        assert now["lost"] == 0 and now["failed"] == 0 and now["live"] == CONNECTIONS, now
        return now["answers"] > before["answers"] + 20 and now["brief"] > before["brief"]
    wait_until(goes_on, 60, "connections go on", 0.2)


def tell(what, gaps):
    print(f"\n{what}: gap of min {min(gaps):.0f}, median {statistics.median(gaps):.0f}, "
          f"max {max(gaps):.0f} ms: " + " ".join(f"{gap:.0f}" for gap in gaps))


def test_a_kill_ends_no_connection(world):
    switch, load = world
    gaps = []
    for _ in range((TIMES + 1) // 2):
        wait_whole(switch)
        before = load.state()
        load.longest_gap()
        killed = switch.kill_active()
        wait_until(lambda killed=killed: switch.pid_in("switchd.pid") not in (None, killed), 20,
                   "another one took over")
        check(load, before)
        gaps.append(load.longest_gap())
    tell("kill -9", gaps)


def test_an_upgrade_ends_no_connection(world, other_version):
    switch, load = world
    gaps = []
    for n in range((TIMES + 1) // 2):
        wait_whole(switch)
        before = load.state()
        load.longest_gap()
        upgrade(switch, program("remora-switchd") if n % 2 else other_version)
        version = switch.call("plane.hello")["version"]
        assert version.startswith("9") == (n % 2 == 0)
        check(load, before)
        gaps.append(load.longest_gap())
    tell("upgrade", gaps)


def test_no_connection_was_reset(world):
    _, load = world
    time.sleep(3)
    now = load.state()
    assert now["lost"] == 0 and now["failed"] == 0 and now["live"] == CONNECTIONS
    resets = load.resets()
    assert [ended for ended, _ in resets] == [0, 0]
    print(f"\nRST sent by each guest: {[sent for _, sent in resets]}; {now['live']} connections live, {now['brief']} were opened and closed meanwhile, "
          f"{now['answers']} bytes answered")

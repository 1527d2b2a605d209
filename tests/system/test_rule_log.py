# SPDX-License-Identifier: Apache-2.0
"""Firewall rules that log: what is written of frames that pass a switch, and what shows it."""

import json
import os
import re
import socket
import struct
import subprocess
import time

import pytest

from conftest import need
from daemon import program, wait_until
from switch_rig import ADDRESS, MAC, Peer, Switch

FIN, SYN, RST, ACK = 1, 2, 4, 16
RULES = [
    {"id": 11, "name": "allow http", "action": "allow", "log": True, "direction": "in",
     "services": [{"protocol": "tcp", "ports": ["80"]}]},
    {"id": 12, "name": "drop \"telnet\"", "action": "drop", "log": True, "direction": "out",
     "services": [{"protocol": "tcp", "ports": ["23"]}]},
    {"id": 13, "name": "reject dns", "action": "reject", "log": True, "direction": "in",
     "services": [{"protocol": "udp", "ports": ["53"]}]},
    {"id": 14, "name": "echo", "action": "allow", "log": True,
     "services": [{"protocol": "icmp", "type": 8}]},
    {"id": 15, "name": "silent", "action": "drop", "services": [{"protocol": "tcp", "ports": ["24"]}]},
    {"id": 16, "name": "six", "action": "drop", "log": True, "ip": 6, "direction": "out",
     "services": [{"protocol": "tcp", "ports": ["25"]}]},
    {"id": 17, "name": "group", "action": "drop", "log": True, "direction": "in",
     "services": [{"protocol": "udp", "ports": ["5353"]}]},
]


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return 0xffff & ~total


def mac(name):
    return bytes.fromhex(MAC[name].replace(":", ""))


def ip4(source, target, proto, payload, to=None, group=None):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, proto, 0,
                       socket.inet_aton(ADDRESS[source]),
                       socket.inet_aton(group or to or ADDRESS[target]))
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    target_mac = b"\x01\x00\x5e\x00\x00\xfb" if group else mac(target)
    return target_mac + mac(source) + b"\x08\x00" + head + payload


def tcp(source_port, port, flags=SYN, seq=1, ack=0):
    return struct.pack(">HHIIBBHHH", source_port, port, seq, ack, 0x50, flags, 8192, 0, 0)


def udp(source_port, port, data=b"hello"):
    return struct.pack(">HHHH", source_port, port, 8 + len(data), 0) + data


def echo():
    text = struct.pack(">BBHHH", 8, 0, 0, 77, 1) + bytes(8)
    return text[:2] + struct.pack(">H", checksum(text)) + text[4:]


def ip6(source, target, payload):
    def address(name):
        return socket.inet_pton(socket.AF_INET6, "fd00::" + name)
    return (mac(target) + mac(source) + b"\x86\xdd" +
            struct.pack(">IHBB", 6 << 28, len(payload), 6, 64) + address(source) +
            address(target) + payload)


def document(rig, rules):
    return {"ports": [{"name": name, "label": f"guest {name}", "kind": "stream",
                       "path": rig.path(f"{name}.sock"), "segment": "blue", "mac": MAC[name],
                       "addresses": [ADDRESS[name], f"fd00::{name}"]} for name in MAC],
            "segments": [{"name": "blue"}],
            "firewall": {"default": "allow", "sections": [{"name": "web", "rules": rules}]}}


class World:
    def __init__(self, rig):
        need("remora-switchd", "remora")
        self.rig = rig
        self.switch = rig.keep(Switch(rig)).start()
        self.path = os.path.join(self.switch.state, "firewall.log")
        self.peers = {}
        self.apply(RULES)
        for name in MAC:
            self.peers[name] = Peer(rig.path(f"{name}.sock"))
        self.wait_until_up()

    def apply(self, rules):
        self.switch.apply(document(self.rig, rules))

    def wait_until_up(self):
        wait_until(lambda: all(self.switch.port(name)["up"] for name in MAC), 20, "all are up")

    def again(self):
        self.switch.kill()
        self.switch.start()
        for peer in self.peers.values():
            peer.take()
        self.wait_until_up()

    def send(self, source, frame):
        self.peers[source].send(frame)

    def lines(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def wait_for(self, n):
        """n lines, and no more of them soon after; without their time."""
        wait_until(lambda: len(self.lines()) >= n, 5, f"{n} lines are written")
        time.sleep(0.15)
        lines = self.lines()
        assert len(lines) == n, lines
        assert all(re.match(r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ", line)
                   for line in lines)
        return [line.split(" ", 1)[1] for line in lines]

    def log(self, *options):
        answer = subprocess.run([program("remora"), "switch", "--state", self.switch.state, "log",
                                 *options], capture_output=True, text=True, timeout=20, check=True)
        return answer.stdout.splitlines()

    def count(self, name, **labels):
        text = ",".join(f'{key}="{value}"' for key, value in labels.items())
        whole = f"{name}{{{text}}} " if text else name + " "
        for line in metrics(self.switch).splitlines():
            if line.startswith(whole):
                return int(float(line.rsplit(" ", 1)[1]))
        return 0


def metrics(switch):
    answer = switch.call("metrics")
    return answer if isinstance(answer, str) else answer["text"]


@pytest.fixture
def world(rig):
    return World(rig)


WEB = ('rule=11 name="web/allow http" action=allow direction=in port="b" label="guest b" '
       'protocol=tcp source=10.1.0.10 source_port=4000 destination=10.1.0.11 '
       'destination_port=80 size=54 flags=S suppressed=0')
TELNET = ('rule=12 name="web/drop \\"telnet\\"" action=drop direction=out port="a" '
          'label="guest a" protocol=tcp source=10.1.0.10 source_port=4000 '
          'destination=10.1.0.11 destination_port=23 size=54 flags=S suppressed=0')


def test_a_connection_is_logged_once(world):
    world.send("a", ip4("a", "b", 6, tcp(4000, 80)))
    world.peers["b"].receive()
    world.send("b", ip4("b", "a", 6, tcp(80, 4000, SYN | ACK, 9, 2)))
    world.peers["a"].receive()
    for n in range(20):
        world.send("a", ip4("a", "b", 6, tcp(4000, 80, ACK, 2, 10)))
        world.peers["b"].receive()
    assert world.wait_for(1) == [WEB]
    # Rules that stand elsewhere, or do not log any more: the connection has begun long ago.
    world.apply([{"id": 1, "action": "allow", "services": [{"protocol": 132}]}] + RULES)
    world.send("a", ip4("a", "b", 6, tcp(4000, 80, ACK, 2, 10)))
    world.peers["b"].receive()
    world.wait_for(1)
    # What ends it is told of.
    world.apply([dict(RULES[0], action="drop")] + RULES[1:])
    world.send("a", ip4("a", "b", 6, tcp(4000, 80, ACK, 2, 10)))
    assert "action=drop" in world.wait_for(2)[1]
    assert "flags=A " in world.lines()[1]


def test_what_rules_stop_is_logged_each_time(world):
    for _ in range(3):
        world.send("a", ip4("a", "b", 6, tcp(4000, 23)))
        world.send("a", ip4("a", "b", 6, tcp(4000, 24)))  # nobody wants to know
    assert world.wait_for(3) == [TELNET] * 3
    world.send("b", ip4("b", "a", 17, udp(999, 53)))
    assert world.wait_for(4)[3] == (
        'rule=13 name="web/reject dns" action=reject direction=in port="a" label="guest a" '
        'protocol=udp source=10.1.0.11 source_port=999 destination=10.1.0.10 '
        'destination_port=53 size=47 suppressed=0')
    world.send("a", ip6("a", "b", tcp(4000, 25)))
    line = world.wait_for(5)[4]
    assert "rule=16" in line and "source=fd00::a source_port=4000 destination=fd00::b" in line
    # Nobody on the segment lets it in.
    world.send("a", ip4("a", "b", 17, udp(5353, 5353), group="224.0.0.251"))
    line = world.wait_for(6)[5]
    assert "rule=17" in line and 'direction=in port="b"' in line and "224.0.0.251" in line


def test_both_ports_tell_of_one_connection(world):
    world.send("a", ip4("a", "b", 1, echo()))
    world.peers["b"].receive()
    lines = world.wait_for(2)
    assert 'direction=out port="a"' in lines[0] and 'direction=in port="b"' in lines[1]
    assert all("protocol=icmp" in line and "type=8 code=0 size=50 " in line for line in lines)
    world.send("a", ip4("a", "b", 1, echo()))
    world.wait_for(2)


def test_the_rate_is_bounded_and_what_is_left_out_counted(world):
    n = 6000
    one = struct.pack(">I", 54) + ip4("a", "b", 6, tcp(4000, 23))
    world.peers["a"].peer.sendall(one * n)
    world.send("b", ip4("b", "a", 17, udp(999, 53)))
    wait_until(lambda: world.switch.port("a")["drops"].get("firewall", 0) == n, 20, "all came")

    def told():
        return sum(int(line.rsplit("=", 1)[1]) for line in world.lines() if "event=" in line)

    def written():
        return sum("rule=12" in line for line in world.lines())
    wait_until(lambda: told() + written() == n, 5, "each is written or counted")
    assert 800 <= written() <= 3000
    assert sum("rule=13" in line for line in world.lines()) == 1, "a rule hides another"
    lost = sum(world.count("remora_switch_firewall_log_lost_total", reason=reason)
               for reason in ("ring", "rate", "file"))
    assert lost == told()
    assert world.count("remora_switch_firewall_log_lines_total") == written() + 1
    time.sleep(1)
    world.send("a", ip4("a", "b", 6, tcp(4000, 23)))
    wait_until(lambda: told() + written() == n + 1, 5, "it goes on")
    by_rule = sum(int(line.rsplit("=", 1)[1]) for line in world.lines() if "rule=12" in line)
    assert by_rule <= told()
    assert (by_rule > 0) == (world.count("remora_switch_firewall_log_lost_total",
                                         reason="rate") > 0)


def test_it_goes_on_after_a_kill(world):
    world.send("a", ip4("a", "b", 6, tcp(4000, 23)))
    world.wait_for(1)
    world.switch.kill()
    with open(world.path, "a", encoding="utf-8") as file:
        file.write("time=2026-01-01T00:00:00.0")  # where it was killed
    world.switch.start()
    for peer in world.peers.values():
        peer.take()
    world.wait_until_up()
    world.send("a", ip4("a", "b", 6, tcp(4000, 23)))
    assert world.wait_for(2) == [TELNET] * 2
    assert os.stat(world.path).st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_stops_nothing(world):
    os.mkdir(world.path)
    for _ in range(3):
        world.send("a", ip4("a", "b", 6, tcp(4000, 23)))
    world.send("a", ip4("a", "b", 6, tcp(4001, 80)))
    world.peers["b"].receive()
    wait_until(lambda: world.count("remora_switch_firewall_log_lost_total", reason="file") == 4,
               5, "they are counted")
    os.rmdir(world.path)
    wait_until(lambda: os.path.isfile(world.path), 5, "it is there again")
    assert world.wait_for(1)[0] == "event=suppressed records=4"


def test_a_file_has_a_bound(world):
    with open(world.path, "w", encoding="utf-8") as file:
        line = "time=2026-01-01T00:00:00.000000Z rule=1 name=\"\" suppressed=0\n"
        file.write(line * ((16 << 20) // len(line)))
    world.send("a", ip4("a", "b", 6, tcp(4000, 23)))
    wait_until(lambda: os.path.exists(world.path + ".1"), 5, "a new file begins")
    assert world.wait_for(1) == [TELNET]
    assert os.path.getsize(world.path + ".1") > (15 << 20)


def test_the_command_shows_it(world):
    answer = subprocess.run([program("remora"), "switch", "--state", world.switch.state, "log"],
                            capture_output=True, text=True, timeout=20, check=False)
    assert answer.returncode == 1 and "firewall.log" in answer.stderr
    world.send("a", ip4("a", "b", 6, tcp(4000, 23)))
    world.send("a", ip4("a", "b", 6, tcp(4000, 80)))
    world.peers["b"].receive()
    world.wait_for(2)
    assert world.log() == world.lines()
    assert [line.split(" ", 1)[1] for line in world.log("--rule", "11")] == [WEB]
    assert [line.split(" ", 1)[1] for line in world.log("--port", "a")] == [TELNET]
    assert [line.split(" ", 1)[1] for line in world.log("--port", "guest b")] == [WEB]
    shown = [json.loads(line) for line in world.log("--json")]
    assert shown[0].pop("time").endswith("Z")
    assert shown[0] == {
        "rule": 12, "name": 'web/drop "telnet"', "action": "drop", "direction": "out", "port": "a",
        "label": "guest a", "protocol": "tcp", "source": "10.1.0.10", "source_port": 4000,
        "destination": "10.1.0.11", "destination_port": 23, "size": 54, "flags": "S",
        "suppressed": 0}
    answer = subprocess.run([program("remora"), "switch", "log", "--rule", "x"],
                            capture_output=True, text=True, timeout=20, check=False)
    assert answer.returncode == 1 and "no number" in answer.stderr


def test_the_command_follows(world):
    follower = subprocess.Popen([program("remora"), "switch", "--state", world.switch.state, "log",
                                 "--follow", "--rule", "12"], stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(2):  # where there was no file yet, and over a change of files
            world.send("a", ip4("a", "b", 6, tcp(4000, 80)))
            world.send("a", ip4("a", "b", 6, tcp(4000, 23)))
            assert follower.stdout.readline().split(" ", 1)[1] == TELNET + "\n"
            os.rename(world.path, world.path + ".1")
    finally:
        follower.terminate()
        follower.wait(20)
        follower.stdout.close()

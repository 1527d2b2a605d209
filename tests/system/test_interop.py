# SPDX-License-Identifier: Apache-2.0
"""Tunnels to Open vSwitch, Debian's, with its userspace datapath: what we send it understands, and
we what it sends. Both are in a network namespace of the test's own, with a veth pair between."""

import os
import re
import shutil
import socket
import struct
import subprocess

import pytest

from conftest import need
from daemon import build_folder, wait_until
from switch_rig import Peer, Switch

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
US = {"mac": bytes.fromhex("02524d00000a"), "ip": "10.1.0.10"}
THEM = {"mac": bytes.fromhex("02524d00000b"), "ip": "10.1.0.20"}
OUR_END, THEIR_END = "10.255.0.1", "10.255.0.2"
VNI = 5001
UNDERLAY_MTU = 1700


class Space:
    """A network namespace, of a user namespace where we are no root."""

    def __init__(self):
        words = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
        self.holder = subprocess.Popen([*words, "sh", "-c", "echo ready; exec sleep 3600"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
        self.is_there = self.holder.stdout.readline() == b"ready\n"
        user = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        self.enter = ["nsenter", "-t", str(self.holder.pid), "-n", *user]

    def run(self, *words, env=None):
        done = subprocess.run([*self.enter, *words], stdin=subprocess.DEVNULL, text=True, env=env,
                              capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def wreck(self):
        self.holder.kill()
        self.holder.wait()


class OpenVSwitch:
    def __init__(self, space, folder):
        os.makedirs(folder)
        self.space, self.folder, self.processes = space, folder, []
        self.bin = os.path.join(build_folder(), "tools", "openvswitch")
        self.env = dict(os.environ, OVS_RUNDIR=folder, OVS_LOGDIR=folder, OVS_DBDIR=folder,
                        OVS_SYSCONFDIR=folder)
        space.run("ovsdb-tool", "create", f"{folder}/conf.db", SCHEMA, env=self.env)
        self.spawn("ovsdb-server", f"{folder}/conf.db", f"--remote=punix:{folder}/db.sock",
                   f"--unixctl={folder}/db.ctl", "-vconsole:off")
        wait_until(lambda: os.path.exists(f"{folder}/db.sock"), 20, "the database listens")
        self.vsctl("--no-wait", "init")
        self.spawn(f"{self.bin}/ovs-vswitchd", f"unix:{folder}/db.sock", "--disable-system",
                   f"--unixctl={folder}/vswitchd.ctl", "-vconsole:off")

    def spawn(self, *words):
        self.processes.append(subprocess.Popen([*self.space.enter, *words], env=self.env,
                                               stdin=subprocess.DEVNULL,
                                               stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL))

    def vsctl(self, *words):
        return self.space.run(f"{self.bin}/ovs-vsctl", f"--db=unix:{self.folder}/db.sock", "-t",
                              "20", *words, env=self.env)

    def wreck(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data[:len(data) // 2 * 2]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def echo(source, target, kind, content, number=7):
    """A frame with an ICMP echo request (8) or reply (0)."""
    icmp = struct.pack(">BBHHH", kind, 0, 0, number, 1) + content
    icmp = icmp[:2] + struct.pack(">H", checksum(icmp)) + icmp[4:]
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), number, 0x4000, 64, 1, 0,
                     socket.inet_aton(source["ip"]), socket.inet_aton(target["ip"]))
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return target["mac"] + source["mac"] + b"\x08\0" + ip + icmp


@pytest.fixture(scope="module", params=["geneve", "vxlan"])
def world(request, module_rig):
    need("remora-switchd")
    if shutil.which("ovsdb-server") is None or not os.path.exists(
            os.path.join(build_folder(), "tools", "openvswitch", "ovs-vswitchd")):
        pytest.skip("Open vSwitch is not there: tools/bootstrap test; tools/openvswitch")
    space = module_rig.keep(Space())
    if not space.is_there:
        pytest.skip("no network namespace may be made")
    kind = request.param
    for words in ("link add up0 type veth peer name up1", f"link set up0 mtu {UNDERLAY_MTU} up",
                  f"link set up1 mtu {UNDERLAY_MTU} up", "link set lo up"):
        space.run("ip", *words.split())
    ovs = module_rig.keep(OpenVSwitch(space, module_rig.path(f"ovs-{kind}")))
    mac = THEM["mac"].hex(":")
    ovs.vsctl("--", "add-br", "under", "--", "set", "bridge", "under", "datapath_type=netdev",
              "--", "add-port", "under", "up1",
              "--", "add-br", "inner", "--", "set", "bridge", "inner", "datapath_type=netdev",
              f'other-config:hwaddr="{mac}"',
              "--", "add-port", "inner", "tun", "--", "set", "interface", "tun", f"type={kind}",
              f"options:remote_ip={OUR_END}", f"options:key={VNI}")
    for words in (f"addr add {THEIR_END}/24 dev under", f"link set under mtu {UNDERLAY_MTU} up",
                  f"addr add {THEM['ip']}/24 dev inner", "link set inner mtu 1500 up"):
        space.run("ip", *words.split())
    switch = module_rig.keep(Switch(module_rig, f"switch-{kind}", space.enter)).start()
    path = module_rig.path(f"guest-{kind}.sock")
    switch.apply({
        "ports": [{"name": "up", "kind": "af_packet", "path": "up0", "mtu": UNDERLAY_MTU},
                  {"name": "guest", "kind": "stream", "path": path, "segment": "blue",
                   "mac": US["mac"].hex(":"), "addresses": [US["ip"]]}],
        "teams": [{"name": "tunnel", "ports": ["up"], "mtu": UNDERLAY_MTU,
                   "mac": "02:52:4d:fe:00:01", "address": f"{OUR_END}/24"}],
        "segments": [{"name": "blue", "team": "tunnel", "encapsulation": kind, "vni": VNI,
                      "flood": [THEIR_END],
                      "remotes": [{"mac": mac, "endpoint": THEIR_END}]}]})
    return space, switch, Peer(path), kind


def receive(guest, pattern):
    """The next frame that has the pattern."""
    while True:
        frame = guest.receive()
        if pattern in frame:
            return frame


@pytest.mark.parametrize("size", [0, 1, 56, 1000, 1472])
def test_what_we_send_is_answered(world, size):
    _, switch, guest, _ = world
    content = bytes(i & 0xff for i in range(size))
    answer = echo(THEM, US, 0, content)[34:]

    def is_answered():
        guest.send(echo(US, THEM, 8, content))
        guest.peer.settimeout(0.5)
        try:
            return receive(guest, answer)
        except TimeoutError:
            return False
        finally:
            guest.peer.settimeout(20)

    # The first ones ask who has which address, on both sides.
    frame = wait_until(is_answered, 30, "an answer has come", 0.1)
    assert frame[:12] == US["mac"] + THEM["mac"] and frame[26:34] == (
        socket.inet_aton(THEM["ip"]) + socket.inet_aton(US["ip"]))
    assert switch.port("up")["rx_packets"] > 0


def test_what_they_send_arrives(world):
    space, _, guest, _ = world
    ping = subprocess.Popen([*space.enter, "busybox", "ping", "-c", "3", "-i", "0.3",
                             "-s", "1400", US["ip"]],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    answered = 0
    while answered < 3:
        frame = guest.receive()
        if frame[12:14] == b"\x08\0" and frame[23] == 1 and frame[34] == 8:
            number, = struct.unpack(">H", frame[38:40])
            reply = echo(US, THEM, 0, frame[42:], number)
            icmp = b"\0\0\0\0" + frame[38:]
            icmp = icmp[:2] + struct.pack(">H", checksum(icmp)) + icmp[4:]
            guest.send(reply[:34] + icmp)
            answered += 1
    told = ping.communicate(timeout=20)[0]
    assert re.search(r"\b3 packets received", told), told


def test_another_network_s_packets_do_not_come_in(world):
    """Their end sends with an identifier that is no segment of ours."""
    space, switch, guest, kind = world
    before = switch.port("up")["drops"].get("tunnel_segment", 0)
    frame = echo(THEM, US, 8, b"stray")
    header = struct.pack(">BBHI", 0, 0, 0x6558, 77 << 8) if kind == "geneve" else struct.pack(
        ">II", 0x08000000, 77 << 8)
    port = 6081 if kind == "geneve" else 4789
    program = ("import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
               f"s.bind(('{THEIR_END}', 0)); "
               f"s.sendto(bytes.fromhex(sys.argv[1]), ('{OUR_END}', {port}))")
    space.run("/usr/bin/python3", "-c", program, (header + frame).hex())
    wait_until(lambda: switch.port("up")["drops"].get("tunnel_segment", 0) == before + 1, 20,
               "it is counted")
    guest.peer.settimeout(0.5)
    with pytest.raises(TimeoutError):
        receive(guest, b"stray")
    guest.peer.settimeout(20)

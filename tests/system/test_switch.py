# SPDX-License-Identifier: Apache-2.0
"""The switch with real guests: two virtual machines on one segment, whose network cards are
vhost-user. What passes is what the document says, also after the switch was killed."""

import json
import os
import re
import subprocess

import pytest

from conftest import need
from daemon import build_folder, program, wait_until
from switch_rig import ADDRESS, MAC, QEMU, Guest, Switch, document, frame_sizes


@pytest.fixture(scope="module")
def world(module_rig):
    """The switch and both guests, logged in, with an address each."""
    need("remora-switchd")
    if not os.path.exists(QEMU):
        pytest.skip("QEMU is not installed")
    if not os.path.exists(os.path.join(build_folder(), "guest", "guest.raw")):
        pytest.skip("the guest's disk is not built")
    switch = module_rig.keep(Switch(module_rig)).start()
    guests = {name: module_rig.keep(Guest(module_rig, name)) for name in MAC}
    switch.apply(document(guests))
    for guest in guests.values():
        guest.login()
    return switch, guests


def allow(number, **more):
    return {"id": number, "action": "allow", **more}


@pytest.fixture
def fresh(world):
    switch, guests = world
    switch.apply(document(guests))
    return switch, guests["a"], guests["b"], guests


def test_guests_of_a_segment_reach_each_other(fresh):
    switch, a, b, _ = fresh
    assert a.reaches(ADDRESS["b"]) and b.reaches(ADDRESS["a"])
    assert switch.port("a")["rx_packets"] > 0 and switch.port("a")["tx_packets"] > 0
    assert any(flow["from"] == ADDRESS["a"] and flow["protocol"] == 1
               for flow in switch.call("plane.show", what="flows"))


def test_guests_exchange_large_segments_whole(fresh):
    """Each may leave the cutting to others, and takes what is not cut: nobody cuts."""
    switch, a, b, _ = fresh
    assert frame_sizes(switch, "a", lambda: a.send_file(b, 7000))[0] > 3000
    assert frame_sizes(switch, "a", lambda: b.send_file(a, 7001))[1] > 3000


def test_a_guest_is_told_its_address(world):
    switch, guests = world
    a = guests["a"]
    wanted = document(guests)
    wanted["routers"] = [{"name": "router", "mac": "02:52:4d:ff:00:01"}]
    wanted["segments"][0].update(router="router", gateways=["10.1.0.254/24"], mtu=1400,
                                 dhcp={"lease_seconds": 600, "dns": ["10.1.0.53"]})
    a.run("ip addr flush dev eth0")
    switch.apply(wanted)
    try:
        assert a.run(f"for i in $(seq 150); do ip addr | grep {ADDRESS['a']}/24 && break; "
                     "sleep 0.2; done; grep 10.1.0.53 /etc/resolv.conf && "
                     "ip route | grep 'default via 10.1.0.254' && "
                     "grep 1400 /sys/class/net/eth0/mtu")[0] == 0
        assert a.reaches("10.1.0.254") and a.reaches(ADDRESS["b"])
    finally:
        a.run("ip link set eth0 mtu 1500")


def test_a_rule_stops_a_running_connection(fresh):
    switch, a, b, guests = fresh
    assert a.reaches(ADDRESS["b"])
    before = switch.port("a")["drops"].get("firewall", 0)
    switch.apply(document(guests, [{"id": 7, "action": "drop", "sources": ["a"]}]))
    assert not a.reaches(ADDRESS["b"], 1)
    assert switch.port("a")["drops"]["firewall"] > before
    switch.apply(document(guests, [allow(1, sources=["b"])], default="drop"))
    assert b.reaches(ADDRESS["a"])  # its answers belong to what b may begin
    assert not a.reaches(ADDRESS["b"], 1)


def test_a_guest_cannot_speak_for_another(fresh):
    switch, a, b, _ = fresh
    drops = switch.port("a")["drops"]
    a.run("ip addr add 10.1.0.77/24 dev eth0")
    assert a.run(f"ping -c 1 -W 1 -I 10.1.0.77 {ADDRESS['b']}")[0] != 0
    after = switch.port("a")["drops"]
    assert (after.get("guard_ip", 0) + after.get("guard_arp", 0)
            > drops.get("guard_ip", 0) + drops.get("guard_arp", 0))
    a.run("ip addr del 10.1.0.77/24 dev eth0")
    a.run("ip link set eth0 address 02:52:4d:00:00:99")
    assert not a.reaches(ADDRESS["b"], 1)
    assert switch.port("a")["drops"].get("guard_mac", 0) > drops.get("guard_mac", 0)
    a.run(f"ip link set eth0 address {MAC['a']}")
    assert a.reaches(ADDRESS["b"])


def test_a_connection_lives_on_when_the_switch_is_killed(fresh):
    switch, a, b, guests = fresh
    switch.apply(document(guests, [allow(1, services=[{"protocol": "tcp", "ports": ["5000"]}]),
                                   allow(2, services=[{"protocol": "icmp"}])], default="drop"))
    assert a.reaches(ADDRESS["b"])
    b.run("(sleep 600 | nc -l -p 5000 > /tmp/got) &")
    a.run(f"(mkfifo /tmp/pipe; nc {ADDRESS['b']} 5000 < /tmp/pipe) & sleep 1")
    a.run("exec 3> /tmp/pipe; echo one >&3; sleep 1")
    assert "one" in b.run("cat /tmp/got")[1]
    switch.kill()
    switch.start()
    assert switch.call("plane.status")["generation"] == switch.generation
    assert any(flow["protocol"] == 6 and flow.get("state") == "open"
               for flow in switch.call("plane.show", what="flows"))
    a.run("echo two >&3")
    wait_until(lambda: "two" in b.run("cat /tmp/got")[1], 60, "the other end has it", 0.5)
    assert switch.call("plane.status")["flows_judged_again"] > 0


def test_what_cannot_be_changes_nothing(fresh):
    switch, a, _, guests = fresh
    wrong = document(guests)
    wrong["ports"][1]["segment"] = "red"
    with pytest.raises(RuntimeError, match='ports\\[1\\].segment": there is no segment "red"'):
        switch.call("plane.apply", generation=switch.generation + 1, document=wrong)
    with pytest.raises(RuntimeError, match="older"):
        switch.call("plane.apply", generation=switch.generation - 1, document=document(guests))
    assert switch.call("plane.status")["generation"] == switch.generation
    assert a.reaches(ADDRESS["b"])


def test_explain_says_what_happens(fresh):
    switch, _, _, guests = fresh
    switch.apply(document(guests, [{"id": 9, "name": "no dns", "action": "drop",
                                    "services": [{"protocol": "udp", "ports": ["53"]}]}]))
    head = MAC["b"].replace(":", "") + MAC["a"].replace(":", "") + "0800"
    packet = "4500001c00004000401126bb0a01000a0a01000b"
    told = switch.call("plane.explain", port="a", frame=head + packet + "0400003500080000")
    assert told["fate"] == "drop" and told["reason"] == "firewall"
    assert any('rule 9 "test/no dns": drop' in stage["text"] for stage in told["stages"])
    told = switch.call("plane.explain", port="a", frame=head + packet + "0400003600080000")
    assert told["fate"] == "forward" and told["out"] == "port b"


def remora(switch, *words):
    return subprocess.run([program("remora"), "switch", "--state", switch.state, *words],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)


def test_the_command_line(fresh, tmp_path):
    switch, _, _, guests = fresh
    path = tmp_path / "document.json"
    path.write_text(json.dumps(document(guests, [{"id": 9, "name": "no web", "action": "drop",
                                                  "services": [{"protocol": "tcp",
                                                                "ports": ["80"]}]}])))
    done = remora(switch, "apply", str(path))
    assert done.returncode == 0, done.stderr
    switch.generation += 1
    assert f"{switch.generation}" in remora(switch, "status").stdout
    stages = json.loads(remora(switch, "status", "--json").stdout)["stages"]
    assert stages["poll"]["cycles"] > 0 and "first" in stages
    for what, word in (("ports", MAC["a"]), ("rules", "no web"), ("segments", "blue"),
                       ("flows", ""), ("macs", "")):
        table, told = remora(switch, "show", what), remora(switch, "show", what, "--json")
        assert table.returncode == 0 and table.stdout.splitlines()[0].isupper()
        assert word in told.stdout and isinstance(json.loads(told.stdout), list)
    done = remora(switch, "explain", "a", "--dst", ADDRESS["b"], "--proto", "tcp")
    assert 'rule 9 "test/no web": drop' in done.stdout and "drop: firewall" in done.stdout
    done = remora(switch, "explain", "a", "--dst", ADDRESS["b"], "--proto", "tcp",
                  "--dport", "81", "--sport", "5", "--src", ADDRESS["a"])
    assert "forward by port b" in done.stdout
    done = remora(switch, "explain", "a", "--dst", ADDRESS["b"], "--src", "10.1.0.99", "--json")
    assert json.loads(done.stdout)["reason"] == "guard_ip"
    for words, said in ((("show", "cows"), "ports, flows"),
                        (("explain", "z", "--hex", "00"), '"z"'),
                        (("explain", "a", "--dst", "10.9.9.9"), "--dst-mac"),
                        (("explain", "a"), "--hex"), (("apply", "/nowhere"), "/nowhere")):
        done = remora(switch, *words)
        assert done.returncode != 0 and said in done.stderr, done.stderr


def test_rules_are_counted_and_go_on_being_counted(fresh):
    switch, a, _, guests = fresh
    icmp = {"id": 21, "name": "ping", "action": "allow", "services": [{"protocol": "icmp"}]}
    switch.apply(document(guests, [icmp], default="drop"))
    assert a.reaches(ADDRESS["b"])
    before = {rule["id"]: rule for rule in switch.call("plane.show", what="rules")}
    assert before[21]["hits"] > 0
    other = {"id": 20, "action": "drop", "services": [{"protocol": "tcp"}]}
    turned = document(guests, [other, icmp], default="drop")
    turned["ports"].reverse()
    received = switch.port("a")["rx_packets"]
    switch.apply(turned)
    after = {rule["id"]: rule for rule in switch.call("plane.show", what="rules")}
    assert after[21]["hits"] >= before[21]["hits"] and after[20]["hits"] == 0
    assert received <= switch.port("a")["rx_packets"]
    text = switch.call("metrics")
    hits = re.search(r'^remora_switch_rule_hits_total\{rule="21",name="test/ping"\} (\d+)', text,
                     re.M)
    assert int(hits.group(1)) >= before[21]["hits"]
    assert re.search(r'^remora_switch_port_packets_total\{port="a",direction="rx"\} [1-9]', text,
                     re.M)
    switch.apply(document(guests, [other]))
    assert 'rule="21"' not in switch.call("metrics")


def dropped(switch, port, reason):
    return switch.port(port)["drops"].get(reason, 0)


def test_a_port_may_only_so_much(fresh):
    switch, a, b, guests = fresh
    limited = document(guests)
    limited["ports"][0].update(flows=1)
    switch.apply(limited)
    wait_until(lambda: a.run(f"ping -c 1 -W 1 {ADDRESS['b']}; true") and
               dropped(switch, "a", "flow_quota") > 0, 60, "the quota is met")
    assert b.reaches(ADDRESS["a"])  # the quota is of what a begins
    limited["ports"][0] = {**document(guests)["ports"][0], "new_flows_per_second": 1}
    switch.apply(limited)
    a.run(f"for i in 1 2 3 4 5 6; do ping -c 1 -W 1 {ADDRESS['b']} & done; sleep 3")
    assert dropped(switch, "a", "flow_rate") > 0


@pytest.mark.parametrize("way, port", [("from", "a"), ("to", "b")])
def test_a_port_has_a_rate(fresh, way, port):
    switch, a, _, guests = fresh
    limited = document(guests)
    item = next(p for p in limited["ports"] if p["name"] == port)
    item[way] = {"bits_per_second": 8000, "burst_bytes": 9018}
    before = dropped(switch, port, "qos")
    switch.apply(limited)
    lost = a.run(f"ping -c 20 -i 0.1 -W 1 -s 1400 {ADDRESS['b']}")[1]
    assert dropped(switch, port, "qos") > before
    assert 5 <= int(re.search(r"(\d+) packets received", lost).group(1)) <= 12
    switch.apply(document(guests))
    assert a.reaches(ADDRESS["b"])


def test_it_ends_in_good_order(world):
    switch, _ = world
    assert switch.stop() == 0 and switch.pid_in("switchd.pid") is None
    switch.start()

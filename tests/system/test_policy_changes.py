# SPDX-License-Identifier: Apache-2.0
"""A host's switch follows the manager's policy by what differs: it must always run what the whole
policy says, also after it was killed, after somebody else has given it another document, and after
a policy that was refused."""

import json
import os
import random
import re
import socket

import pytest
import requests

from conftest import need
from daemon import is_running, wait_until

pytestmark = pytest.mark.filterwarnings(
    "ignore::urllib3.exceptions.InsecureRequestWarning")
MANAGER = "4c4c4544-0058-4b10-8051-b7c04f315a33"


class World:
    def __init__(self, node):
        self.node = node
        self.state = os.path.join(node.state, "switchd")
        self.policy = {
            "generation": 0, "manager": MANAGER,
            "segments": [{"id": "web", "name": "web", "encapsulation": "geneve", "vni": 5001}],
            "groups": [{"name": f"g{n}", "addresses": [f"10.0.{n}.0/24"]} for n in range(8)],
            "firewall": {"default": "allow", "sections": [
                {"name": f"s{s}", "rules": [self.rule(s * 100 + n) for n in range(100)]}
                for s in range(5)]}}

    @staticmethod
    def rule(n):
        return {"id": 1001 + n, "name": f"r{n}", "sources": [f"g{n % 8}"], "action": "allow"}

    def call(self, method, **params):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(os.path.join(self.state, "control.sock"))
            s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                                  "params": params}).encode() + b"\n")
            return json.loads(s.makefile().readline())["result"]

    def put(self):
        self.policy["generation"] += 1
        return requests.put(
            f"https://{self.node.address}:{self.node.port}/remora/v1/policy", json=self.policy,
            auth=(self.node.user, self.node.password), verify=False, timeout=60)

    def put_when_it_answers(self):
        """After the switch was killed, until hostd has found the next one."""
        return wait_until(lambda: (answer := self.put()).status_code != 503 and answer, 20,
                          "the switch answers hostd", 0.1)

    def sections(self):
        return self.policy["firewall"]["sections"]

    def wanted(self):
        """Rules as plane.show tells them."""
        return [(rule["id"], f"{section['name']}/{rule['name']}", rule["action"])
                for section in self.sections() for rule in section["rules"]]

    def rules(self):
        return [(rule["id"], rule["name"], rule["action"])
                for rule in self.call("plane.show", what="rules")]

    def size_of_changes(self):
        try:
            return os.path.getsize(os.path.join(self.state, "plane.changes"))
        except FileNotFoundError:
            return 0

    def switch_again(self):
        """Kills the process that forwards; its successor reads what was kept."""
        pid = self.node.switch_pid()
        os.kill(pid, 9)
        wait_until(lambda: not is_running(pid) and self.node.switch_pid() not in (None, pid), 20,
                   "another one forwards")
        wait_until(self.is_answering, 20, "it answers")

    def is_answering(self):
        try:
            return bool(self.call("plane.status"))
        except OSError:
            return False


@pytest.fixture(scope="module")
def world(module_rig):
    need("remora-hostd", "remora-switchd")
    w = World(module_rig.host(switch=True))
    wait_until(lambda: w.put().status_code == 200, 20, "the switch takes a policy", 0.2)
    return w


def disturb(world, dice):
    """A few things about the policy become others."""
    sections = world.sections()
    rules = dice.choice(sections)["rules"]
    what = dice.randrange(7)
    if what == 0 and rules:
        dice.choice(rules)["action"] = dice.choice(["drop", "reject", "allow"])
    elif what == 1:
        dice.shuffle(sections)
    elif what == 2 and rules:
        rules.insert(dice.randrange(len(rules)), rules.pop(dice.randrange(len(rules))))
    elif what == 3 and rules:
        dice.choice(sections)["rules"].append(rules.pop())
    elif what == 4:
        new = world.rule(1000 + world.policy["generation"] * 10 + dice.randrange(10))
        if new["id"] not in [rule["id"] for section in sections for rule in section["rules"]]:
            rules.insert(dice.randrange(len(rules) + 1), new)
    elif what == 5:
        del rules[:dice.randrange(5)]
    else:
        dice.choice(world.policy["groups"])["addresses"] = [f"10.1.{dice.randrange(256)}.0/24"]


def groups_kept(world):
    """The groups that the switch has kept, by its document and the changes since."""
    with open(os.path.join(world.state, "plane.json"), encoding="utf-8") as file:
        kept = json.load(file)
    document = kept.get("document", kept)
    groups = {group["name"]: group["addresses"] for group in document["groups"]}
    if world.size_of_changes():
        with open(os.path.join(world.state, "plane.changes"), encoding="utf-8") as file:
            for line in file:
                for change in json.loads(line)["changes"]:
                    if "put_group" in change:
                        groups[change["put_group"]["name"]] = change["put_group"]["addresses"]
    return groups


def test_the_switch_follows(world):
    dice = random.Random(3)
    for n in range(60):
        for _ in range(1 + dice.randrange(3)):
            disturb(world, dice)
        before = world.size_of_changes()
        answer = world.put_when_it_answers()
        assert answer.status_code == 200, answer.text
        assert world.rules() == world.wanted(), n
        assert world.size_of_changes() >= before
        if n % 20 == 19:
            world.switch_again()
            assert world.rules() == world.wanted()
    assert world.size_of_changes() > 0  # it was not given whole documents
    assert groups_kept(world) == {group["name"]: group["addresses"]
                                  for group in world.policy["groups"]}


def test_what_is_refused_names_its_place_in_the_policy(world):
    rule = world.sections()[0]["rules"][0]
    before = world.rules()
    rule["sources"] = ["nobody"]
    answer = world.put()
    assert answer.status_code == 400
    assert re.fullmatch(r"firewall\.sections\[0\]\.rules\[0\]\.sources\[0\]",
                        answer.json()["object"]), answer.text
    assert world.rules() == before
    rule["sources"] = ["g1"]
    rule["action"] = "reject"
    size = world.size_of_changes()
    assert world.put().status_code == 200
    assert world.rules() == world.wanted()
    assert world.size_of_changes() > size  # what runs is known after a refusal, too


def test_a_policy_that_changes_nothing_is_in_force(world):
    generation = world.call("plane.status")["generation"]
    assert world.put().status_code == 200
    assert world.call("plane.status")["generation"] == generation
    assert world.rules() == world.wanted()


def test_somebody_else_gives_it_another_document(world):
    for rule in (None, 1001):
        generation = world.call("plane.status")["generation"] + 100
        world.call("plane.apply", generation=generation, document={})
        assert not world.rules()
        if rule is not None:
            world.sections()[0]["rules"][0]["action"] = "drop"
        assert world.put().status_code == 200
        assert world.rules() == world.wanted()
        assert world.call("plane.status")["generation"] > generation


def test_hostd_begins_with_the_whole(world):
    world.node.kill()
    world.node.start()
    world.sections()[0]["rules"][0]["action"] = "allow"
    wait_until(lambda: world.put().status_code == 200, 20, "hostd takes a policy", 0.2)
    assert world.rules() == world.wanted()

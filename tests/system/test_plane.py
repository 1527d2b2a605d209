# SPDX-License-Identifier: Apache-2.0
"""What the switch keeps: a plane document and the changes to it, over kill -9, and what it refuses."""

import os

import pytest

from switch_rig import Switch


@pytest.fixture
def switch(rig):
    s = Switch(rig)
    yield s.start()
    s.wreck()


DOCUMENT = {
    "segments": [{"name": "s"}],
    "groups": [{"name": "web", "addresses": ["10.1.0.0/24"]}],
    "firewall": {"default": "drop", "sections": [
        {"name": "one", "rules": [{"id": n, "action": "allow", "destinations": ["web"]}
                                  for n in range(1, 4)]},
        {"name": "two", "rules": []}]},
}


def change(switch, *changes, base=None):
    """Makes changes to what runs."""
    base = switch.generation if base is None else base
    switch.call("plane.change", base=base, generation=base + 1, changes=list(changes))
    switch.generation = base + 1


def rules(switch):
    return [(rule["id"], rule["name"], rule["action"])
            for rule in switch.call("plane.show", what="rules")]


def again(switch):
    switch.kill()
    switch.start()


def test_changes_are_kept(switch):
    switch.apply(DOCUMENT)
    change(switch, {"put_rule": {"id": 2, "name": "b", "action": "reject"}})
    change(switch, {"put_rule": {"id": 9, "name": "c", "action": "drop"}, "section": "two"},
           {"put_rule": {"id": 1, "action": "drop"}, "after": 9}, {"default": "allow"})
    wanted = [(2, "one/b", "reject"), (3, "one/", "allow"), (9, "two/c", "drop"),
              (1, "two/", "drop")]
    assert rules(switch) == wanted
    again(switch)
    assert rules(switch) == wanted
    assert switch.call("plane.status")["generation"] == switch.generation
    change(switch, {"remove_section": "one"})
    again(switch)
    assert rules(switch) == wanted[2:]


def test_a_line_without_end_was_never_acknowledged(switch):
    switch.apply(DOCUMENT)
    change(switch, {"remove_rule": 1})
    switch.kill()
    with open(os.path.join(switch.state, "plane.changes"), "ab") as file:
        file.write(b'{"generation":3,"changes":[{"remove_ru')
    switch.start()
    assert [rule[0] for rule in rules(switch)] == [2, 3]
    change(switch, {"remove_rule": 2})
    again(switch)
    assert [rule[0] for rule in rules(switch)] == [3]


def test_a_whole_document_ends_the_changes(switch):
    switch.apply(DOCUMENT)
    change(switch, {"remove_rule": 1})
    switch.apply(DOCUMENT)
    assert os.path.getsize(os.path.join(switch.state, "plane.changes")) == 0
    again(switch)
    assert [rule[0] for rule in rules(switch)] == [1, 2, 3]


def test_many_changes_become_a_document(switch):
    switch.apply(DOCUMENT)
    big = {"put_group": {"name": "big", "addresses": [f"10.2.{n // 256}.{n % 256}"
                                                      for n in range(20000)]}}
    for _ in range(6):
        change(switch, big)
    assert os.path.getsize(os.path.join(switch.state, "plane.changes")) < 1 << 20
    change(switch, {"put_rule": {"id": 7, "action": "drop", "sources": ["big"]}, "section": "two"})
    again(switch)
    assert [rule[0] for rule in rules(switch)] == [1, 2, 3, 7]
    assert switch.call("plane.status")["generation"] == switch.generation


@pytest.mark.parametrize("changes, base, said", [
    ([{"remove_rule": 1}], 5, "changes are of generation 5, but 1 runs"),
    ([{"remove_group": "web"}], 1, 'there is no group "web" any more'),
    ([{"remove_rule": 1}, {"remove_rule": 1}], 1, "there is no rule 1"),
    ([{"put_rule": {"id": 1, "action": "let"}}], 1, 'must be one of "allow", "drop", "reject"'),
    ([{"put_segment": {"name": "s", "router": "r"}}], 1, 'there is no router "r"'),
    ([], 1, "has 0 items; there may be 1 to 100000"),
])
def test_what_is_wrong_changes_nothing(switch, changes, base, said):
    switch.apply(DOCUMENT)
    before = rules(switch)
    with pytest.raises(RuntimeError) as error:
        change(switch, *changes, base=base)
    assert said in str(error.value)
    assert rules(switch) == before
    assert switch.call("plane.status")["generation"] == 1


def test_without_a_document_there_is_nothing_to_change(switch):
    with pytest.raises(RuntimeError, match="no document runs"):
        change(switch, {"default": "drop"}, base=0)

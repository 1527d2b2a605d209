# SPDX-License-Identifier: Apache-2.0
"""A manager whose database is not as it should be at the start: it says what is wrong with which
file, ends with status 1, and leaves the file as it is."""

import os
import shutil
import sqlite3
import subprocess

import pytest

from daemon import program
from vmomi import Disconnect, connect, find, vim

START_S = 20


def database_of(center):
    return os.path.join(center.state, "center.db")


def content(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.fixture
def stopped(rig):
    """A manager with something in its database, stopped."""
    center = rig.center()
    si = connect(center)
    for i in range(40):
        si.content.rootFolder.CreateDatacenter(f"dc-{i}")
    Disconnect(si)
    assert center.stop() == 0
    return center


def refused(center, *words):
    """The start fails and names the file and each word; what was there is there as before."""
    path = database_of(center)
    before = content(path) if os.path.isfile(path) else None
    done = subprocess.run([program("remora-centerd"), "--state", center.state], timeout=START_S,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    last = said.strip().splitlines()[-1]
    assert "center.db" in last, said
    for word in words:
        assert word in said, said
    if before is not None:
        assert content(path) == before
    return last


def starts_again(center, path_aside):
    shutil.copyfile(path_aside, database_of(center))
    center.start()
    si = connect(center)
    assert find(si, vim.Datacenter, "dc-39") is not None
    Disconnect(si)


@pytest.fixture
def aside(stopped, rig):
    path = rig.path("aside.db")
    shutil.copyfile(database_of(stopped), path)
    return path


def test_garbage(stopped, aside):
    with open(database_of(stopped), "wb") as file:
        file.write(b"This is a letter, no database.\n" * 500)
    refused(stopped, "not a database")
    starts_again(stopped, aside)


def test_damage_in_the_middle(stopped, aside):
    path = database_of(stopped)
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    refused(stopped, "malformed")
    starts_again(stopped, aside)


def test_cut_off(stopped, aside):
    with open(database_of(stopped), "r+b") as file:
        file.truncate(5000)
    refused(stopped)
    starts_again(stopped, aside)


def test_rows_that_do_not_fit_together(stopped, aside):
    database = sqlite3.connect(database_of(stopped))
    database.execute("UPDATE entity SET parent = 'group-d4711' WHERE name = 'dc-7'")
    database.commit()
    database.close()
    said = subprocess.run([program("remora-centerd"), "--state", stopped.state], timeout=START_S,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "group-d4711" in said.stderr + said.stdout
    starts_again(stopped, aside)


def test_newer_program(stopped, aside):
    database = sqlite3.connect(database_of(stopped))
    database.execute("PRAGMA user_version = 99")
    database.close()
    refused(stopped, "99")
    starts_again(stopped, aside)


def test_a_folder_in_its_place(stopped, aside):
    os.remove(database_of(stopped))
    os.mkdir(database_of(stopped))
    refused(stopped)
    os.rmdir(database_of(stopped))
    starts_again(stopped, aside)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_read_only(stopped, aside):
    os.chmod(database_of(stopped), 0o400)
    refused(stopped)
    os.chmod(database_of(stopped), 0o600)
    starts_again(stopped, aside)


def test_two_managers_of_one_folder(stopped):
    stopped.start()
    done = subprocess.run([program("remora-centerd"), "--state", stopped.state], timeout=START_S,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert stopped.is_answering()

# SPDX-License-Identifier: Apache-2.0
"""What holds a QEMU whose guest has taken it over, seen from the kernel: /proc of real machines,
under an agent that is root, one that is an ordinary user, and one that may make no namespaces."""

import json
import os
import re
import shutil
import stat
import subprocess

import pytest

import daemon
from conftest import Rig
from daemon import program, wait_until
from govc import Govc
from test_vm import GUEST_SIZE, guest_image, read_until
from vmomi import Disconnect, connect, find, vim, wait_for_task

NOBODY = 65534
UIDS = "1900070000-1900070099"
NAMESPACES = ("mnt", "pid", "ipc", "uts", "net")
NO_NAMESPACES = ("for n in user mnt pid ipc uts net; do "
                 "echo 0 > /proc/sys/user/max_${n}_namespaces || exit 1; done; exec \"$@\"")


def can(words, **options):
    try:
        return subprocess.run(words, check=False, stdin=subprocess.DEVNULL, timeout=20,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              **options).returncode == 0
    except OSError:
        return False


def as_root():
    if os.geteuid() != 0:
        pytest.skip("not root")
    return []


def as_user():
    """An ordinary user: ourselves or, where we are root, somebody else."""
    drop = []
    if os.geteuid() == 0:
        drop = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        if not can([*drop, program("remora-hostd"), "--version"]):
            pytest.skip(f"user {NOBODY} may not start {program('remora-hostd')}")
    if not can([*drop, "unshare", "--user", "--mount", "--pid", "--net", "true"]):
        pytest.skip("an ordinary user may make no namespaces here")
    return drop


def as_captive():
    """In a user namespace in which nobody may make another namespace of any kind."""
    drop = as_user()
    captive = [*drop, "unshare", "--user", "--map-root-user", "sh", "-c", NO_NAMESPACES, "sh"]
    if not can([*captive, "true"]):
        pytest.skip("namespaces cannot be forbidden to a process here")
    return captive


WRAPPERS = {"root": as_root, "user": as_user, "captive": as_captive}


class Host:
    """A node whose agent runs as `kind` says."""

    def __init__(self, kind):
        wrapper = WRAPPERS[kind]()
        self.kind = kind
        self.rig = Rig()
        self.node = daemon.Node(self.rig.folder, "host", "server", memory_mib=1024,
                                wrapper=wrapper)
        if wrapper and os.geteuid() == 0:
            for folder, _, names in os.walk(self.rig.folder):
                for path in [folder, *(os.path.join(folder, name) for name in names)]:
                    os.chown(path, NOBODY, NOBODY)
        self.rig.keep(self.node)
        self.node.start()
        self.govc = Govc(self.node.url, self.node.user, self.node.password, self.rig.folder)

    def store(self, *names):
        return os.path.join(self.node.state, "datastores", "datastore1", *names)

    def control(self):
        done = subprocess.run([program("remora"), "control",
                               os.path.join(self.node.state, "control.sock"), "status"],
                              check=True, timeout=20, capture_output=True, text=True)
        return json.loads(done.stdout)

    def log(self):
        with open(self.node.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def on(self, name):
        """Powers a VM on; its process."""
        before = set(self.node.machines().values())
        self.govc("vm.power", "-on", name)
        (pid,) = set(self.node.machines().values()) - before
        return pid

    def run_files(self):
        return [name for name in os.listdir(os.path.join(self.node.state, "run"))
                if name.startswith("vm-")]


@pytest.fixture(scope="module", params=list(WRAPPERS))
def host(request):
    it = Host(request.param)
    yield it
    it.rig.close()


@pytest.fixture(scope="module")
def made(host):
    """A VM with a disk, a drive with an image in it, a card and a serial port, and two images."""
    govc = host.govc
    govc("vm.create", "-on=false", "-m", "64", "-disk", "4MB", "-net", "VM Network", "made")
    govc("device.serial.add", "-vm", "made")
    for name in ("one.iso", "two.iso"):
        path = host.rig.path(name)
        with open(path, "wb") as image:
            image.write(b"\0" * (1 << 20))
        govc("datastore.upload", path, name)
    drive = govc("device.cdrom.add", "-vm", "made").strip()
    govc("device.cdrom.insert", "-vm", "made", "-device", drive, "one.iso")
    govc("device.connect", "-vm", "made", drive)
    return drive


@pytest.fixture
def running(host, made):
    pid = host.on("made")
    yield pid
    if host.node.machines():
        host.govc("vm.power", "-off", "made")


def proc(pid, *names):
    with open(os.path.join("/proc", str(pid), *names), encoding="utf-8") as file:
        return file.read()


def status(pid):
    return dict(line.split(":\t", 1) for line in proc(pid, "status").splitlines() if ":\t" in line)


def namespace(pid, name):
    return os.readlink(f"/proc/{pid}/ns/{name}")


def open_files(pid):
    """Regular files that a process holds open, but those that have no name."""
    paths = set()
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        path = os.readlink(os.path.join(folder, name))
        mode = os.stat(os.path.join(folder, name)).st_mode
        assert not stat.S_ISDIR(mode) and not stat.S_ISBLK(mode), path
        if stat.S_ISREG(mode) and not path.startswith("/memfd:"):
            paths.add(path)
    return paths


def limits(pid):
    rows = re.findall(r"^Max (.+?)  +(\S+) +(\S+)", proc(pid, "limits"), re.M)
    return {name: (soft, hard) for name, soft, hard in rows}


# ---- who it is and what it may ----

def test_no_privilege(host, running):
    it = status(running)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(it[name], 16) == 0, name
    assert it["NoNewPrivs"] == "1"
    assert it["Seccomp"] == "2"
    if host.kind != "user":
        assert int(it["CapBnd"], 16) == 0
    if host.kind == "root":
        assert it["Groups"].strip() == ""
        uids, gids = set(it["Uid"].split()), set(it["Gid"].split())
        assert len(uids) == 1 and uids == gids
        assert 1900000000 <= int(uids.pop()) < 1900065536


def test_limits(host, running):
    it = limits(running)
    assert it["core file size"] == ("0", "0")
    files = int(it["open files"][1])
    assert 1024 <= files < 2048 and it["open files"][0] == str(files)
    if host.kind != "captive":
        assert int(it["processes"][1]) < 1024


def test_two_machines_share_no_user(host, running):
    if host.kind != "root":
        pytest.skip("only root gives each machine a user")
    host.govc("vm.create", "-on=false", "-m", "32", "other")
    pid = host.on("other")
    mine, others = status(running)["Uid"].split()[0], status(pid)["Uid"].split()[0]
    assert mine != others
    for uid in (mine, others):
        assert os.path.exists(f"/run/remora/uids/{uid}")
    host.govc("vm.power", "-off", "other")
    host.govc("vm.destroy", "other")
    assert not os.path.exists(f"/run/remora/uids/{others}")


# ---- what it sees ----

def test_namespaces(host, running):
    agent = host.node.pid
    for name in NAMESPACES:
        apart = namespace(running, name) != namespace(agent, name)
        assert apart == (host.kind != "captive"), name
    assert (namespace(running, "user") != namespace(agent, "user")) == (host.kind == "user")
    if host.kind == "captive":
        return
    inside = status(running)["NSpid"].split()
    assert inside[0] == str(running) and inside[-1] == "1"
    devices = [line.split(":")[0].strip() for line in proc(running, "net/dev").splitlines()[2:]]
    assert devices in ([], ["lo"])


def test_files_in_sight(host, running):
    root = f"/proc/{running}/root"
    secrets = ["/etc/shadow", "/etc/passwd", "/root", "/home", "/proc", "/sys", "/tmp", "/run",
               "/usr/bin/env", "/dev/zero", "/dev/vda", host.node.state, host.store("made"),
               os.path.join(host.node.state, "key.pem"), host.rig.folder]
    if host.kind == "captive":
        assert os.path.exists(root + host.node.state)
        return
    for path in secrets:
        assert not os.path.lexists(root + path), path
    assert set(os.listdir(root)) <= {"dev", "etc", "lib", "lib64", "usr", "opt", "tls"}
    assert not os.listdir(root + "/tls")  # filled while it moves to another node
    assert set(os.listdir(root + "/dev")) <= {"kvm", "null", "urandom"}
    for mount in proc(running, "mountinfo").splitlines():
        words = mount.split()
        assert words[5].startswith("ro"), mount
        assert "nosuid" in words[5], mount
    assert os.stat(root + "/dev/null").st_rdev == os.stat("/dev/null").st_rdev


def test_only_its_own_files_are_open(host, running):
    run = os.path.join(host.node.state, "run")
    wanted = {host.store("made", "made-flat.vmdk"), host.store("made", "serial0.log"),
              host.store("one.iso")}
    more = {os.path.join(run, name) for name in host.run_files()}
    seen = open_files(running)
    assert wanted <= seen
    left = {path for path in seen - wanted - more if not path.startswith("/run/remora/uids/")}
    # Without a root of its own QEMU opens its firmware by name and closes it.
    assert not left


# ---- what hostd says ----

def test_hostd_says_what_confines(host, running):
    told = host.control()
    (machine,) = told["machines"]
    assert machine["name"] == "made" and machine["pid"] == running
    words = machine["confinement"]
    missing = told["confinement"].split("; without ")[1]
    assert "no capabilities" in words and "system-call filter" in words
    if host.kind == "root":
        assert f"user {status(running)['Uid'].split()[0]};" in words
    for name in ("mount", "pid", "ipc", "uts", "net"):
        here = f"{name} namespace" in words
        assert here == (host.kind != "captive")
        assert (f"{name} namespace (" in missing) == (host.kind == "captive")
    if host.kind == "captive":
        assert "machines see the file system of this node" in host.log()
    else:
        assert "machines are confined by" in host.log()
    assert f'"made": runs as process {running}, confined by {words}' in host.log()
    (record,) = [name for name in host.run_files() if name.endswith(".json")]
    with open(os.path.join(host.node.state, "run", record), encoding="utf-8") as file:
        assert json.load(file)["text"] == words


# ---- everything still works ----

def test_owners_stay_over_a_power_cycle(host, made):
    def owners():
        return {name: (it.st_uid, it.st_gid, it.st_mode) for name in os.listdir(host.store("made"))
                if name != "serial0.sock"
                for it in [os.stat(host.store("made", name))]}

    host.on("made")
    running = owners()
    host.govc("vm.power", "-off", "made")
    assert owners() == running
    assert {owner[0] for owner in running.values()} == {os.stat(host.node.state).st_uid}
    assert host.run_files() == []
    first = host.on("made")
    host.govc("vm.power", "-suspend", "made")
    assert not host.node.machines()
    assert host.on("made") != first
    host.govc("vm.power", "-reset", "made")
    host.govc("vm.power", "-off", "made")
    assert owners() == running
    assert host.run_files() == []


def test_media_change_while_it_runs(host, made, running):
    govc = host.govc
    govc("device.cdrom.insert", "-vm", "made", "-device", made, "two.iso")
    assert host.store("two.iso") in open_files(running)
    assert host.store("one.iso") not in open_files(running)
    govc("device.cdrom.eject", "-vm", "made", "-device", made)
    assert host.store("two.iso") not in open_files(running)
    govc("device.cdrom.insert", "-vm", "made", "-device", made, "one.iso")
    govc("device.connect", "-vm", "made", made)
    assert host.store("one.iso") in open_files(running)


def test_disks_come_and_go_while_it_runs(host, running):
    govc = host.govc
    govc("datastore.disk.create", "-size", "2M", "made/spare.vmdk")
    assert os.path.exists(host.store("made", "spare-flat.vmdk"))
    govc("datastore.disk.create", "-size", "2M", "made/wide.vmdk")
    si = connect(host.node)
    disks = si.content.virtualDiskManager
    center = si.content.rootFolder.childEntity[0]
    wait_for_task(si, disks.ExtendVirtualDisk_Task("[datastore1] made/wide.vmdk", center, 4096,
                                                   False))
    assert os.path.getsize(host.store("made", "wide-flat.vmdk")) == 4 << 20
    Disconnect(si)
    for name in ("spare", "wide"):
        govc("datastore.rm", f"made/{name}.vmdk")
        assert not os.path.exists(host.store("made", f"{name}-flat.vmdk"))
    assert daemon.is_running(running)


def test_killed_agent_finds_it_again(host, made, running):
    uid = status(running)["Uid"]
    words = host.control()["machines"][0]["confinement"]
    host.node.kill()
    assert daemon.is_running(running)
    host.node.start()
    wait_until(lambda: [m["pid"] for m in host.control()["machines"]] == [running], 20,
               "the machine is found again")
    assert host.control()["machines"][0]["confinement"] == words
    assert status(running)["Uid"] == uid
    host.govc("device.cdrom.insert", "-vm", "made", "-device", made, "two.iso")
    assert host.store("two.iso") in open_files(running)
    host.govc("device.cdrom.insert", "-vm", "made", "-device", made, "one.iso")
    host.govc("vm.power", "-off", "made")
    assert not daemon.is_running(running)
    assert host.run_files() == []
    assert not os.path.exists(f"/run/remora/uids/{uid.split()[0]}")


@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_a_guest_boots_and_goes_on_after_suspend(host, firmware):
    image = guest_image()
    name = f"guest-{firmware}"
    host.govc("vm.create", "-on=false", "-m", "256", "-disk", GUEST_SIZE, "-firmware", firmware,
              name)
    host.govc("device.serial.add", "-vm", name)
    host.govc("datastore.upload", image, f"{name}/{name}-flat.vmdk")
    host.on(name)
    read_until(host.store(name, "serial0.log"), "login: ", 180, host.node)
    host.node.kill()
    host.node.start()
    si = connect(host.node)
    machine = find(si, vim.VirtualMachine, name)
    wait_until(lambda: machine.runtime.powerState == "poweredOn", 20, "it is found running")
    wait_for_task(si, machine.SuspendVM_Task())
    wait_for_task(si, machine.PowerOnVM_Task())
    wait_for_task(si, machine.ResetVM_Task())
    wait_until(lambda: open(host.store(name, "serial0.log"), encoding="utf-8",
                            errors="replace").read().count("login: ") >= 2, 180,
               "it boots again after a reset")
    wait_for_task(si, machine.PowerOffVM_Task())
    wait_for_task(si, machine.Destroy_Task())
    Disconnect(si)


# ---- its user ----

def test_range_of_users():
    as_root()
    rig = Rig()
    try:
        node = daemon.Node(rig.folder, "host", "server", memory_mib=512)
        wrapper = os.path.join(rig.folder, "hostd")
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nprogram=$1; shift\nexec "$program" --vm-uids {UIDS} "$@"\n')
        os.chmod(wrapper, 0o700)
        node.wrapper = [wrapper]
        rig.keep(node)
        node.start()
        govc = Govc(node.url, node.user, node.password, rig.folder)
        govc("vm.create", "-on=false", "-m", "32", "small")
        govc("vm.power", "-on", "small")
        (pid,) = node.machines().values()
        assert 1900070000 <= int(status(pid)["Uid"].split()[0]) <= 1900070099
        govc("vm.power", "-off", "small")
    finally:
        rig.close()


def test_wrong_ranges_are_refused(tmp_path):
    if not shutil.which("timeout"):
        pytest.skip("no timeout")
    for text in ("0-5", "5", "2000-1000", "1000-4294967295"):
        done = subprocess.run(["timeout", "20", program("remora-hostd"), "--state", tmp_path,
                               "--listen", "127.0.0.1:0", "--vm-uids", text],
                              check=False, capture_output=True, text=True)
        assert done.returncode not in (0, 124)
        assert "--vm-uids" in done.stderr + done.stdout

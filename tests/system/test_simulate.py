# SPDX-License-Identifier: Apache-2.0
"""`remora simulate`: the inventory that scripts written against vcsim expect, and what can be done
with it."""

import os
import re
import signal
import ssl
import stat
import subprocess
import threading
from urllib.parse import quote

import pytest
from daemon import Simulator, build_folder, program, thumbprint, wait_until
from govc import Govc, Refused, table
from vmomi import Disconnect, collect, connect, find, vim, wait_for_task

MODELS = [
    ["-esx"],
    ["-esx", "-vm", "5", "-ds", "2"],
    [],
    ["-dc", "2"],
    ["-folder", "1"],
    ["-dc", "3", "-folder", "2"],
    ["-pool", "2"],
    ["-app", "1"],
    ["-standalone-host", "0"],
    ["-cluster", "0", "-standalone-host", "3"],
    ["-pg", "0"],
    ["-ds", "0", "-vm", "0"],
    ["-dc", "2", "-folder", "2", "-pool", "1", "-app", "1", "-cluster", "2", "-ds", "2", "-pg", "2",
     "-host", "2", "-standalone-host", "2", "-vm", "3"],
]


class Vcsim:
    """The simulator that scripts are written against, for the time of a with statement."""

    def __init__(self, folder, options):
        self.env = os.path.join(folder, "vcsim.env")
        self.options = options

    def __enter__(self):
        path = os.path.join(build_folder(), "tools", "vcsim")
        if not os.path.exists(path):
            pytest.skip("vcsim is not built: tools/govmomi")
        with open(self.env, "w", encoding="ascii"):
            pass
        self.process = subprocess.Popen([path, "-l", "127.0.0.1:0", "-E", self.env, *self.options],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        return wait_until(self.url, 30, "vcsim says where it is")

    def url(self):
        with open(self.env, encoding="ascii") as file:
            match = re.search(r"GOVC_URL=(\S+)", file.read())
        return match and match.group(1)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def govc_of(rig, simulator, **settings):
    return Govc(simulator.url, simulator.user, simulator.password, rig.folder, **settings)


def inventory(govc):
    """Types and paths; uplink port groups are named after identifiers, which differ."""
    lines = (re.sub(r"DVUplinks-\d+", "DVUplinks-N", line) for line in govc.lines("find", "-l", "/"))
    return sorted(tuple(line.split(None, 1)) for line in lines)


def machines(govc):
    """What scripts find out about machines."""
    found = {}
    for path in govc.lines("find", "/", "-type", "m"):
        info = table(govc("vm.info", "-r", path))
        place = {"pool": "resourcePool", "folder": "parent"}
        found[path] = {name: info[name] for name in
                       ("Name", "Path", "UUID", "Memory", "CPU", "Power state", "Storage", "Network")}
        found[path].update((key, govc("ls", "-L", govc.get(path, prop)).strip())
                           for key, prop in place.items())
    return found


def hosts(govc):
    """What scripts find hosts by."""
    return {path: [govc.get(path, name) for name in ("summary.config.name", "hardware.systemInfo.uuid",
                                                     "runtime.connectionState")]
            for path in govc.lines("find", "/", "-type", "h")}


@pytest.mark.parametrize("options", MODELS, ids=" ".join)
def test_inventory_is_vcsims(rig, options):
    with Vcsim(rig.folder, options) as url:
        theirs = Govc(url, "user", "pass", rig.folder)
        expected = inventory(theirs), machines(theirs), hosts(theirs)
    ours = govc_of(rig, rig.simulator(*options))
    assert (inventory(ours), machines(ours), hosts(ours)) == expected


def test_machines_of_a_cluster_are_dealt_out(rig):
    govc = govc_of(rig, rig.simulator("-vm", "6"))
    hosts = {govc.get(f"/DC0/vm/DC0_C0_RP0_VM{i}", "runtime.host") for i in range(6)}
    assert len(hosts) == 3
    assert govc.get("/DC0/host/DC0_C0/DC0_C0_H1", "vm").count("VirtualMachine:") == 2
    assert govc.get("/DC0/network/DC0_DVPG0", "vm").count("VirtualMachine:") == 12
    assert govc.get("/DC0/datastore/LocalDS_0", "vm").count("VirtualMachine:") == 12
    assert len(govc.json("object.collect", "/DC0/datastore/LocalDS_0", "host")[0]["Val"]
               ["DatastoreHostMount"]) == 4


def test_autostart_can_be_refused(rig):
    govc = govc_of(rig, rig.simulator("-autostart=false"))
    for path in govc.lines("find", "/", "-type", "m"):
        assert govc.get(path, "runtime.powerState") == "poweredOff"


def test_both_forms_of_options(rig):
    for options in (["-esx", "-vm", "3"], ["--esx", "--vm=3"], ["-esx=true", "--vm", "3"],
                    ["-esx=T", "-vm=3", "-trace=false", "-pod", "0", "-load="]):
        simulator = rig.simulator(*options)
        assert len(govc_of(rig, simulator).lines("find", "/", "-type", "m")) == 3
        assert simulator.stop() == 0


@pytest.mark.parametrize("options", [["--vm", "-1"], ["--vm"], ["--dc", "x"], ["--nonsense"],
                                     ["word"], ["--esx=perhaps"], ["--listen", "256.0.0.1:1"],
                                     ["--listen", "127.0.0.1:99999"], ["--log-level", "=="],
                                     ["--ds", "0"], ["--tlscert", "cert.pem"], ["-pod", "1"],
                                     ["-load", "folder"], ["-trace"], ["-api-version", "6.5"]])
def test_bad_options_are_refused(options):
    done = subprocess.run([program("remora"), "simulate", *options], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("remora simulate: ") and done.stdout == ""


# ---- where it says it is ----

def env_pattern(pid):
    return re.compile(rf"export GOVC_URL=https://user:pass@127\.0\.0\.1:(\d+)/sdk "
                      rf"GOVC_SIM_PID={pid}\n")


def start(rig, *options, stdout=subprocess.DEVNULL):
    process = subprocess.Popen([program("remora"), "simulate", "-l", "127.0.0.1:0", *options],
                               stdin=subprocess.DEVNULL, stdout=stdout, text=True)
    rig.keep(Ended(process))
    return process


class Ended:
    def __init__(self, process):
        self.process = process

    def wreck(self):
        self.process.kill()
        self.process.wait()


def test_says_where_it_is(rig):
    process = start(rig, "-esx", stdout=subprocess.PIPE)
    assert env_pattern(process.pid).fullmatch(process.stdout.readline())


def test_writes_where_it_is_to_a_new_file(rig):
    path = rig.path("env")
    process = start(rig, "-esx", "-E", path)
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path), 30, "the file is written")
    with open(path, encoding="ascii") as file:
        assert env_pattern(process.pid).fullmatch(file.read())
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


class FifoSimulator(Simulator):
    """Says where it is to a fifo."""

    def start(self):
        os.mkfifo(self.env_file)
        return super().start()


def fifo_simulator(rig):
    return rig.keep(FifoSimulator(rig.folder, "-esx")).start()


def test_serves_while_nobody_reads_the_fifo(rig):
    simulator = fifo_simulator(rig)
    assert govc_of(rig, simulator)("about")
    text = []

    def read():
        with open(simulator.env_file, encoding="ascii") as file:
            text.append(file.read())
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(30)
    assert f"GOVC_SIM_PID={simulator.pid}\n" in text[0]


def test_a_fifo_that_nobody_reads_does_not_keep_it(rig):
    assert fifo_simulator(rig).stop() == 0


def test_an_unwritable_file_is_told(rig):
    process = subprocess.run([program("remora"), "simulate", "-esx", "-l", "127.0.0.1:0", "-E",
                              rig.path("missing", "env")], stdin=subprocess.DEVNULL, text=True,
                             capture_output=True, timeout=30, check=False)
    assert process.returncode == 1 and "missing/env" in process.stderr


# ---- who may log in ----

def may_log_in(rig, simulator, user, password):
    try:
        return bool(Govc(simulator.url, user, password, rig.folder)("ls"))
    except Refused as refused:
        assert re.search("incorrect user name or password|[Ll]ogin", str(refused))
        return False


@pytest.mark.parametrize("options", [[], ["-esx"]], ids=["center", "esx"])
def test_everybody_may_log_in(rig, options):
    simulator = rig.simulator(*options)
    for user, password in (("user", "pass"), ("user", "word"), ("admin@vsphere.local", "x")):
        assert may_log_in(rig, simulator, user, password)
    assert not may_log_in(rig, simulator, "user", "")
    govc = Govc(simulator.url, "other", "any", rig.folder)
    govc("vm.power", "-off", govc.lines("find", "/", "-type", "m")[0])
    assert govc.json("session.ls")["CurrentSession"]["UserName"] == "other"


@pytest.mark.parametrize("options, user, password", [
    (["--username", "a@b", "--password", "p:/ q"], "a@b", "p:/ q"),
    (["-username", "bob"], "bob", "pass"),
    (["-password", "secret", "-esx"], "user", "secret")])
def test_logins_by_choice(rig, options, user, password):
    simulator = rig.simulator(*options)
    assert may_log_in(rig, simulator, user, password)
    for other in (("user", "pass"), (user, "wrong"), ("other", password)):
        assert not may_log_in(rig, simulator, *other)
    with open(simulator.env_file, encoding="ascii") as file:
        assert f"//{quote(user, '')}:{quote(password, '')}@" in file.read()


def test_a_certificate_of_ones_own(rig):
    cert, key = rig.path("cert.pem"), rig.path("key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                    "-out", cert, "-subj", "/CN=mine", "-days", "2"], check=True,
                   capture_output=True, timeout=60)
    simulator = rig.simulator("-esx", "-tlscert", cert, "-tlskey", key)
    with open(cert, encoding="ascii") as file:
        assert thumbprint(ssl.PEM_cert_to_DER_cert(file.read())) == simulator.thumbprint()
    assert os.path.exists(key)


# ---- what can be done ----

@pytest.fixture(params=["center", "esx"])
def place(request, rig):
    """A simulator of either kind, as govc sees it."""
    if request.param == "esx":
        return govc_of(rig, rig.simulator("-esx"), datacenter="/ha-datacenter",
                       host="localhost.localdomain", network="VM Network")
    return govc_of(rig, rig.simulator(), datacenter="/DC0", host="/DC0/host/DC0_C0/DC0_C0_H1",
                   resource_pool="/DC0/host/DC0_C0/Resources", network="DC0_DVPG0")


def test_what_can_run_is_asked(place):
    where = ["-host", place.env["GOVC_HOST"]]
    assert any(line.startswith("otherGuest ") for line in place.lines("vm.option.info", *where))


def test_life_of_a_machine(place):
    place("vm.create", "-on=false", "-c", "4", "-m", "512", "-disk", "1GB", "new")
    assert table(place("vm.info", "new"))["Power state"] == "poweredOff"
    place("vm.power", "-on", "new")
    assert place.get("vm/new", "runtime.powerState") == "poweredOn"
    assert place.refusal("vm.power", "-on", "new")
    place("vm.power", "-off", "new")
    place("vm.change", "-vm", "new", "-c", "2", "-m", "1024")
    info = table(place("vm.info", "new"))
    assert (info["CPU"], info["Memory"]) == ("2 vCPU(s)", "1024MB")
    place("vm.disk.create", "-vm", "new", "-name", "new/second", "-size", "1G")
    assert [line.split()[0] for line in place.lines("device.ls", "-vm", "new")
            if "VirtualDisk" in line] == ["disk-1000-0", "disk-1000-1"]
    assert "new.vmx" in place.lines("datastore.ls", "new")
    place("vm.destroy", "new")
    assert "new" not in place.lines("datastore.ls")
    assert place("find", "/", "-type", "m", "-name", "new") == ""


def test_machines_that_run_can_be_changed(place):
    """As scripts for simulators do; a real host refuses most of it."""
    vm = place.lines("find", "/", "-type", "m")[0]
    name = vm.rsplit("/", 1)[1]
    place("vm.change", "-vm", vm, "-c", "2", "-m", "64")
    place("vm.disk.create", "-vm", vm, "-name", f"{name}/second", "-size", "10M")
    place("vm.network.add", "-vm", vm, "-net", place.env["GOVC_NETWORK"])
    place("device.cdrom.add", "-vm", vm)
    kinds = [line.split()[1] for line in place.lines("device.ls", "-vm", vm)]
    assert [kinds.count(kind) for kind in ("VirtualDisk", "VirtualE1000", "VirtualCdrom")] == [2] * 3
    place("device.remove", "-vm", vm, "disk-1000-1")
    info = table(place("vm.info", "-e", vm))
    assert (info["CPU"], info["Memory"], info["Power state"]) == ("2 vCPU(s)", "64MB", "poweredOn")
    assert f"{name}.vmdk" in place.lines("datastore.ls", name)
    assert "second.vmdk" not in place.lines("datastore.ls", name)


def test_hosts_enter_maintenance_mode(place):
    """At once: nobody is there who would move the machines that run."""
    host = place.lines("find", "/", "-type", "h")[0]
    place("host.maintenance.enter", host)
    assert place.get(host, "runtime.inMaintenanceMode") == "true"
    place("host.maintenance.exit", host)
    assert place.get(host, "runtime.inMaintenanceMode") == "false"


def test_guests_have_the_address_they_are_given(place):
    vm = place.lines("find", "/", "-type", "m")[1]
    place("vm.change", "-vm", vm, "-e", "SET.guest.ipAddress=10.9.8.7",
          "-e", "SET.guest.hostName=guest.example")
    assert place("vm.ip", "-wait", "10s", vm).strip() == "10.9.8.7"
    for by in (("-vm.ip", "10.9.8.7"), ("-vm.dns", "guest.example")):
        assert table(place("vm.info", *by))["Path"] == vm
    assert place.get(vm, "summary.guest.ipAddress") == "10.9.8.7"


def test_power_of_what_was_there(place):
    for path in place.lines("find", "/", "-type", "m"):
        place("vm.power", "-off", path)
        assert place.get(path, "runtime.powerState") == "poweredOff"
        place("vm.power", "-on", path)
        place("vm.power", "-suspend", path)
        assert place.get(path, "runtime.powerState") == "suspended"
        place("vm.power", "-on", path)
        place("vm.destroy", path)
    assert place("find", "/", "-type", "m") == ""


def test_files_of_all_machines_are_on_the_datastore(place):
    names = [path.rsplit("/", 1)[1] for path in place.lines("find", "/", "-type", "m")]
    assert place.lines("datastore.ls") == sorted(names)
    for name in names:
        assert {f"{name}.vmx", f"{name}.vmdk"} <= set(place.lines("datastore.ls", name))


def test_pyvmomi(rig):
    for options in ([], ["-esx"]):
        simulator = rig.simulator(*options)
        si = connect(simulator)
        try:
            kind = "HostAgent" if options else "VirtualCenter"
            assert si.content.about.apiType == kind
            vms = collect(si, vim.VirtualMachine)
            assert len(vms) == (2 if options else 4)
            vm = find(si, vim.VirtualMachine, vms[0].name)
            assert vm.summary.config.memorySizeMB == 32
            wait_for_task(si, vm.PowerOff())
            assert vm.runtime.powerState == "poweredOff"
            assert vm.runtime.host.name in [h.name for h in collect(si, vim.HostSystem)]
        finally:
            Disconnect(si)


def test_ten_thousand_machines(rig):
    simulator = rig.simulator("--vm", "5000")
    govc = govc_of(rig, simulator)
    assert len(govc.lines("find", "/", "-type", "m")) == 10000
    info = table(govc("vm.info", "/DC0/vm/DC0_C0_RP0_VM4999"))
    assert info["Power state"] == "poweredOn"
    govc("vm.power", "-off", "/DC0/vm/DC0_C0_RP0_VM4999")
    assert simulator.stop() == 0


# ---- the end ----

def open_folders(pid):
    """Temporary folders of datastores that the process holds open."""
    links = (os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
    return {link for link in links if link.startswith("/tmp/remora-datastore-")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [[], ["-esx"]], ids=["center", "esx"])
def test_ends_and_leaves_nothing(rig, options, number):
    simulator = rig.simulator(*options)
    govc = govc_of(rig, simulator, datacenter="/ha-datacenter" if options else "/DC0")
    assert govc.lines("datastore.ls")
    folders = open_folders(simulator.pid)
    assert folders
    assert simulator.stop(number) == 0
    assert not [folder for folder in folders if os.path.exists(folder)]
    assert simulator.log_tail() == ""

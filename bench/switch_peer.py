# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch with DPDK, as Debian packages it, in a folder and a network namespace of its own.

Nothing of a system's own Open vSwitch is touched: database, sockets and logs are in the rig's
folder, and its interfaces and routes end with the namespace.
"""
import os
import shutil
import subprocess
import time

from switch_rig import Failed, end, read, until

VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


def absent():
    """Why it cannot run here, or None."""
    if os.geteuid() != 0:
        return "Open vSwitch with DPDK needs root"
    if not os.path.exists(VSWITCHD):
        return "Open vSwitch with DPDK is not installed (tools/bootstrap bench)"
    return None


def version():
    out = subprocess.run([VSWITCHD, "--version"], check=True, stdout=subprocess.PIPE,
                         text=True).stdout
    return "ovs-dpdk " + out.split("\n", 1)[0].rsplit(" ", 1)[1]


class Peer:
    worker = "pmd-"

    def __init__(self, rig):
        self.rig, self.process, self.database = rig, None, None
        self.folder = f"{rig.folder}/ovs"
        self.space = f"remora-bench-{os.getpid()}"
        self.environment = dict(os.environ, OVS_RUNDIR=self.folder, OVS_LOGDIR=self.folder,
                                OVS_DBDIR=self.folder, OVS_SYSCONFDIR=self.folder)

    def run(self, *command):
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=60)
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)[:200]}: {done.stdout.strip()[-300:]}")
        return done.stdout

    def vsctl(self, *words):
        return self.run("ovs-vsctl", f"--db=unix:{self.folder}/db.sock", "-t", "20", *words)

    def appctl(self, *words):
        return self.run("ovs-appctl", "-t", f"{self.folder}/vswitchd.ctl", *words)

    def flows(self, bridge, lines):
        path = f"{self.folder}/flows"
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        control = f"unix:{self.folder}/{bridge}.mgmt"
        self.run("ovs-ofctl", "del-flows", control)
        self.run("ovs-ofctl", "--bundle", "add-flows", control, path)

    def spawn(self, *command):
        return subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self, work):
        """Runs one of the works: see switch_work()."""
        os.makedirs(self.folder)
        self.run("ip", "netns", "add", self.space)
        self.run("ip", "-n", self.space, "link", "set", "lo", "up")
        self.run("ovsdb-tool", "create", f"{self.folder}/conf.db", SCHEMA)
        self.database = self.spawn(
            "ovsdb-server", f"{self.folder}/conf.db", f"--remote=punix:{self.folder}/db.sock",
            f"--unixctl={self.folder}/db.ctl", f"--log-file={self.folder}/db.log", "-vconsole:off")
        until(lambda: os.path.exists(f"{self.folder}/db.sock"))
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *[f"other_config:{pair}" for pair in (
            "dpdk-init=true", f"dpdk-lcore-mask={1 << self.rig.core:#x}",
            f"pmd-cpu-mask={1 << self.rig.switch_core:#x}",
            f'dpdk-extra="--in-memory --no-pci --file-prefix ovs{os.getpid()}"',
            f"dpdk-hugepage-dir={self.rig.huge}", "dpdk-socket-mem=1024",
            "n-handler-threads=1", "n-revalidator-threads=1")])
        self.start_daemon()
        self.switch_work(work)
        if not until(self.polls, 20):
            raise Failed("Open vSwitch has no data thread: " + self.tail())

    def start_daemon(self):
        self.process = self.spawn(
            "ip", "netns", "exec", self.space, "taskset", "-c", str(self.rig.core), VSWITCHD,
            f"unix:{self.folder}/db.sock", f"--unixctl={self.folder}/vswitchd.ctl",
            f"--log-file={self.folder}/vswitchd.log", "-vconsole:off")
        if not until(self.ready, 60, 0.02):
            raise Failed("Open vSwitch did not begin: " + self.tail())

    def restart(self, work):
        """After kill -9: the daemon anew, which knows bridge and ports, and its flows."""
        self.process.kill()
        self.process.wait()
        self.start_daemon()
        self.flows("br0", self.firewall(work, 2))

    def pid(self):
        return self.process.pid

    def tail(self):
        path = f"{self.folder}/vswitchd.log"
        return read(path)[-300:].strip() if os.path.exists(path) else "it wrote nothing"

    def ready(self):
        if self.process.poll() is not None:
            raise Failed("Open vSwitch ended: " + self.tail())
        try:
            self.appctl("version")
            return "true" in self.vsctl("get", "Open_vSwitch", ".", "dpdk_initialized")
        except Failed:
            return False

    def polls(self):
        tasks = f"/proc/{self.process.pid}/task"
        return any(read(f"{tasks}/{task}/comm").startswith(self.worker)
                   for task in os.listdir(tasks))

    def port(self, bridge, name, path, number):
        return ["--", "add-port", bridge, name, "--", "set", "interface", name,
                "type=dpdkvhostuserclient", f"options:vhost-server-path={path}",
                f"ofport_request={number}"]

    def bridge(self, name, *more):
        return ["--", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", *more]

    def switch_work(self, work):
        """A bridge with both ports, or with A and a tunnel whose underlay bridge has B."""
        out = 2
        if work.tunnel:
            out = 3
            self.tunnel()
        else:
            self.vsctl(*self.bridge("br0", "fail-mode=secure"),
                       *self.port("br0", "a", self.rig.a, 1), *self.port("br0", "b", self.rig.b, 2))
            time.sleep(1)
        if work.rules is not None:
            self.appctl("dpctl/ct-set-maxconns", "8000000")
            self.flows("br0", self.firewall(work, out))
        elif work.learning:
            self.flows("br0", ["actions=NORMAL"])
        else:
            self.flows("br0", [f"in_port=1,actions=output:{out}", f"in_port={out},actions=output:1"])

    def tunnel(self):
        self.vsctl(*self.bridge("under", "other_config:hwaddr=02:00:00:00:0c:01"),
                   *self.port("under", "b", self.rig.b, 2),
                   *self.bridge("br0", "fail-mode=secure"), *self.port("br0", "a", self.rig.a, 1),
                   "--", "add-port", "br0", "tunnel", "--", "set", "interface", "tunnel",
                   "type=geneve", "options:remote_ip=172.16.0.2", "options:local_ip=172.16.0.1",
                   "options:key=100", "ofport_request=3")
        time.sleep(1)
        self.run("ip", "-n", self.space, "addr", "add", "172.16.0.1/24", "dev", "under")
        self.run("ip", "-n", self.space, "link", "set", "under", "up")
        time.sleep(0.5)
        self.appctl("tnl/neigh/set", "under", "172.16.0.2", "02:00:00:00:0c:02")
        self.flows("under", ["actions=NORMAL"])

    def firewall(self, work, out):
        """Nothing passes but known connections and those that a rule lets begin."""
        lines = ["table=0,priority=100,arp,actions=NORMAL",
                 "table=0,priority=50,ip,ct_state=-trk,actions=ct(table=1,zone=1)",
                 "table=1,priority=200,ip,ct_state=+inv+trk,actions=drop",
                 f"table=1,priority=150,ip,ct_state=+est+trk,in_port=1,actions=output:{out}",
                 f"table=1,priority=150,ip,ct_state=+est+trk,in_port={out},actions=output:1",
                 "table=1,priority=150,ip,ct_state=+rel+trk,actions=NORMAL"]
        for source, destination, port in self.rig.rules(work.rules):
            match = "" if source.endswith("/0") else f",nw_src={source}"
            lines.append(f"table=1,priority=100,ct_state=+new+trk,in_port=1,{work.protocol}{match},"
                         f"nw_dst={destination},tp_dst={port},"
                         f"actions=ct(commit,zone=1),output:{out}")
        return lines

    def pid(self):
        return self.process.pid

    def connections(self):
        return int(self.appctl("dpctl/ct-get-nconns").split()[0])

    def memory(self):
        """Resident bytes, without huge pages, which hold no connections."""
        line = [line for line in read(f"/proc/{self.process.pid}/status").splitlines()
                if line.startswith("VmRSS")][0]
        return int(line.split()[1]) * 1024

    def stop(self):
        end(self.process)
        end(self.database)
        self.process = self.database = None
        subprocess.run(["ip", "netns", "del", self.space], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)

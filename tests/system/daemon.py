# SPDX-License-Identifier: Apache-2.0
"""Nodes for tests: remora-hostd and remora-centerd as processes of their own, each at port 8443 of
a loopback address of its own, with its state in a folder of its own; and `remora simulate`.

A node's machines outlive its daemon, so a node is left with `wreck()`: it ends the daemon and each
machine that the node's run folder names, by pid, and nothing else.
"""

import hashlib
import itertools
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import time
import uuid

PORT = 8443
PASSWORD = "Rig-pass-1!"
READY_S = 30
STOP_S = 20
ADMINISTRATOR = "administrator@vsphere.local"


def build_folder():
    return os.environ.get("REMORA_BUILD") or os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")


def program(name):
    return os.path.join(build_folder(), name)


def addresses():
    """Loopback addresses whose port 8443 is free, of a network that no other run has taken; not
    the lab's 127.0.10.x."""
    network = random.randrange(32, 224)
    for last in itertools.count(1):
        address = f"127.0.{network}.{last % 250 + 1}"
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address, PORT))
            except OSError:
                network = random.randrange(32, 224)
                continue
        yield address


ADDRESSES = addresses()


def wait_until(condition, seconds, what, pause_s=0.02):
    """Waits for a condition to hold and returns its value; fails with `what` when it does not."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause_s)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def certificate_of(address, port, timeout_s=5):
    context = ssl._create_unverified_context()
    with socket.create_connection((address, port), timeout=timeout_s) as plain:
        with context.wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True)


def thumbprint(certificate, algorithm="sha1"):
    digest = hashlib.new(algorithm, certificate).hexdigest().upper()
    return ":".join(digest[i:i + 2] for i in range(0, len(digest), 2))


class Process:
    """A daemon that serves HTTPS at `address:port`."""

    def __init__(self, address=None, port=PORT):
        self.address = address or next(ADDRESSES)
        self.port = port
        self.process = None
        self.log = None

    @property
    def url(self):
        return f"https://{self.address}:{self.port}/sdk"

    @property
    def pid(self):
        return self.process.pid

    def spawn(self, command):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)

    def is_answering(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.process.args[0]} ended with {self.process.returncode}:\n"
                                 + self.log_tail())
        try:
            certificate_of(self.address, self.port)
            return True
        except OSError:
            return False

    def wait_ready(self):
        wait_until(self.is_answering, READY_S, f"{self.url} answers:\n{self.log_tail()}", 0.01)

    def log_tail(self, lines=30):
        if not self.log or not os.path.exists(self.log):
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def thumbprint(self, algorithm="sha1"):
        return thumbprint(certificate_of(self.address, self.port), algorithm)

    def stop(self, number=signal.SIGTERM):
        """Ends the daemon; its exit status, or None when it did not run."""
        if self.process is None or self.process.poll() is not None:
            return None
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"pid {self.pid} did not end within {STOP_S} s") from None

    def kill(self):
        return self.stop(signal.SIGKILL)

    def wreck(self):
        try:
            self.stop()
        except AssertionError:
            pass


class Node(Process):
    """remora-hostd (role server or dpu) or remora-centerd (role manager)."""

    def __init__(self, folder, name, role, link=None, server=None, cpus=2, memory_mib=2048,
                 simulate=False, wrapper=(), switch=False, network=None, options=()):
        super().__init__()
        self.name = name
        self.wrapper = list(wrapper)  # words before the program's, which end as that program
        self.options = list(options)  # more of the command line
        self.role = role
        self.state = os.path.join(folder, name)
        self.link = link
        self.simulate = simulate  # VMs without QEMU
        self.switch = switch  # network cards have wires
        self.network = network or {}  # uplinks, endpoint of node.json
        self.log = os.path.join(folder, f"{name}.log")
        self.password_file = os.path.join(folder, "password")
        self.user = ADMINISTRATOR if role == "manager" else "root"
        self.password = PASSWORD
        self.uuid = str(uuid.uuid4())
        self.write_identity(server, cpus, memory_mib)

    def write_identity(self, server, cpus, memory_mib):
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        identity = {"uuid": self.uuid, "name": self.name, "role": self.role,
                    "address": self.address, "port": self.port, "cpus": cpus,
                    "memory_mib": memory_mib}
        if self.link:
            os.makedirs(self.link, mode=0o700, exist_ok=True)
        identity.update(self.network)
        if server is not None:
            identity.update(server_uuid=server.uuid, link=server.link)
        with open(os.path.join(self.state, "node.json"), "w", encoding="utf-8") as out:
            json.dump(identity, out)
        with open(self.password_file, "w", encoding="utf-8",
                  opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write(self.password + "\n")

    @property
    def is_manager(self):
        return self.role == "manager"

    def start(self):
        command = [program("remora-centerd" if self.is_manager else "remora-hostd"),
                   "--state", self.state, "--password-file", self.password_file]
        if self.role == "server" and self.link:
            command += ["--link", self.link]
        if self.simulate:
            command += ["--simulate"]
        elif not self.is_manager and not self.switch:
            command += ["--no-switch"]
        self.spawn(self.wrapper + command + self.options)
        self.wait_ready()
        return self

    def machines(self):
        """The pids of the machines that the run folder names and that do run."""
        run = os.path.join(self.state, "run")
        pids = {}
        for name in os.listdir(run) if os.path.isdir(run) else []:
            if not (name.startswith("vm-") and name.endswith(".pid")):
                continue
            try:
                with open(os.path.join(run, name), encoding="ascii") as file:
                    pid = int(file.read().split()[0])
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    is_ours = name[3:-4].encode() in file.read()
            except (OSError, ValueError, IndexError):
                continue
            if is_ours and is_running(pid):
                pids[name[3:-4]] = pid
        return pids

    def end_machines(self):
        pids = self.machines().values()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            wait_until(lambda pid=pid: not is_running(pid), STOP_S, f"pid {pid} ends")

    def switch_pid(self):
        """Of the process that is the switch of the state folder; None where there is none."""
        try:
            with open(os.path.join(self.state, "switchd", "switchd.pid"),
                      encoding="ascii") as file:
                pid = int(file.read())
        except (OSError, ValueError):
            return None
        return pid if is_running(pid) else None

    def end_switch(self):
        """Its keeper first, which would start others."""
        state = os.path.join(self.state, "switchd")
        for words in ("remora-switchd ", "remora-switchd --part=standby "):
            out = subprocess.run(["pgrep", "-f", f"{words}--state {state} "],
                                 capture_output=True, text=True, check=False).stdout.split()
            for pid in [int(word) for word in out] if self.switch else []:
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda pid=pid: not is_running(pid), STOP_S, f"pid {pid} ends")

    def wreck(self):
        super().wreck()
        self.end_machines()
        self.end_switch()


class Simulator(Process):
    """`remora simulate`, which needs no state."""

    def __init__(self, folder, *options):
        super().__init__()
        self.name = "simulate"
        self.options = options
        self.user = "user"
        self.password = "pass"
        self.log = os.path.join(folder, f"simulate-{self.address}.log")
        self.env_file = os.path.join(folder, f"simulate-{self.address}.env")
        self.is_manager = not any(option.lstrip("-") == "esx" for option in options)

    def start(self):
        self.spawn([program("remora"), "simulate", *self.options, "--listen",
                    f"{self.address}:{self.port}", "-E", self.env_file])
        self.wait_ready()
        return self

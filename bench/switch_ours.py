# SPDX-License-Identifier: Apache-2.0
"""remora-switchd with the document that a work of the benchmark asks for."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from switch_rig import Failed, end, read, until

MAC_A, MAC_B = "02:00:00:00:0a:01", "02:00:00:00:0b:01"


def firewall(rig, work):
    """Groups by the prefix that they hold, and the firewall's rules."""
    groups, rules = {}, []

    def group(prefix):
        groups.setdefault(prefix, {"name": prefix, "addresses": [prefix]})
        return [prefix]
    for number, (source, destination, port) in enumerate(rig.rules(work.rules), 1):
        rule = {"id": number, "action": "allow", "destinations": group(destination),
                "services": [{"protocol": work.protocol, "ports": [port]}]}
        if not source.endswith("/0"):
            rule["sources"] = group(source)
        rules.append(rule)
    return list(groups.values()), {"default": "drop", "sections": [{"name": "all", "rules": rules}]}


def document(rig, work):
    guest = {"guard": {"any_address": True}, "segment": "s", "kind": "vhost"}
    made = {"mode": "performance", "segments": [{"name": "s"}],
            "ports": [dict(guest, name="a", path=rig.a, mac=MAC_A)]}
    if work.tunnel:
        made["ports"].append({"name": "b", "kind": "vhost", "path": rig.b})
        made["teams"] = [{"name": "t", "ports": ["b"], "mac": "02:00:00:00:0c:01",
                          "address": "172.16.0.1/24"}]
        made["segments"][0].update(team="t", encapsulation="geneve", vni=100,
                                   remotes=[{"mac": MAC_B, "endpoint": "172.16.0.2"}])
    else:
        made["ports"].append(dict(guest, name="b", path=rig.b, mac=MAC_B))
    if work.rules:
        made["groups"], made["firewall"] = firewall(rig, work)
    return made


class Ours:
    worker = ".*worker"

    def __init__(self, rig, build, flows):
        self.rig, self.build, self.flows = rig, build, flows
        self.process, self.socket, self.generation = None, None, 0
        self.state = f"{rig.folder}/state"
        self.records = f"{rig.huge or self.state}/flows.0"

    def start(self, work, standby=False):
        command = [f"{self.build}/remora-switchd", "--state", self.state, "--cores",
                   str(self.rig.switch_core), "--flows", str(self.flows)]
        command += [] if standby else ["--no-standby"]
        if self.rig.huge:
            command += ["--flows-folder", self.rig.huge, "--huge-folder", self.rig.huge]
        with open(f"{self.rig.folder}/switchd.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        if not until(self.connect):
            raise Failed("remora-switchd did not begin: " + self.tail())
        self.apply(document(self.rig, work))

    def has_standby(self):
        with socket.socket(socket.AF_UNIX) as keeper:
            keeper.connect(f"{self.state}/keeper.sock")
            keeper.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "status"}\n')
            with keeper.makefile("r", encoding="utf-8") as answers:
                return json.loads(answers.readline())["result"]["standby_is_ready"]

    def hand_over(self, how):
        """Another process forwards when this returns."""
        before = self.pid()
        if how == "kill":
            os.kill(before, signal.SIGKILL)
        else:
            self.connect()
            self.call("plane.upgrade", {})
        if not until(lambda: self.pid() != before):
            raise Failed("nobody took over: " + self.tail())

    def pid(self):
        """Of the process that forwards."""
        return int(read(f"{self.state}/switchd.pid"))

    def tail(self):
        return read(f"{self.rig.folder}/switchd.log")[-300:].strip()

    def connect(self):
        if self.process.poll() is not None:
            raise Failed("remora-switchd ended: " + self.tail())
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(f"{self.state}/control.sock")
        except OSError:
            self.socket.close()
            return False
        self.answers = self.socket.makefile("r", encoding="utf-8")
        return True

    def call(self, method, parameters):
        """Result, and when the request began to be sent and was answered."""
        text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters},
                          separators=(",", ":")).encode() + b"\n"
        begin = time.monotonic()
        self.socket.sendall(text)
        answer = json.loads(self.answers.readline() or '{"error": "it hung up"}')
        if "error" in answer:
            raise Failed(f"{method}: {str(answer['error'])[:300]}")
        return answer["result"], begin, time.monotonic()

    def apply(self, made):
        self.generation += 1
        return self.call("plane.apply", {"generation": self.generation, "document": made})[1:]

    def change(self, changes):
        """When the request began to be sent and was answered."""
        base, self.generation = self.generation, self.generation + 1
        return self.call("plane.change", {"base": base, "generation": self.generation,
                                          "changes": changes})[1:]

    def stages(self):
        """Cycles and packets by stage of the worker, in the turns that it looks at itself."""
        return self.call("plane.status", {})[0]["stages"]

    def pid(self):
        return int(read(f"{self.state}/switchd.pid"))

    def record_size(self):
        """Bytes of memory for one connection, with its part of the index."""
        return os.stat(self.records).st_size / self.flows

    def stop(self):
        if self.socket is not None:
            self.socket.close()
        end(self.process)
        self.process = self.socket = None
        self.generation = 0
        if os.path.exists(self.records):
            os.unlink(self.records)
        shutil.rmtree(self.state, ignore_errors=True)

# SPDX-License-Identifier: Apache-2.0
"""Debian's virsh against a host (esx://) or the manager (vpx://). libvirt takes the password from a
file that LIBVIRT_AUTH_FILE names."""

import os
import subprocess
from urllib.parse import quote

TIMEOUT_S = 60


class Refused(Exception):
    """virsh said no."""


class Virsh:
    def __init__(self, node, home, path=""):
        """path: for the manager DATACENTER/HOST (of a cluster: DATACENTER/CLUSTER/HOST)."""
        scheme = "vpx" if node.is_manager else "esx"
        self.uri = (f"{scheme}://{quote(node.user)}@{node.address}:{node.port}/"
                    f"{quote(path)}?no_verify=1")
        auth = os.path.join(home, f"libvirt-{node.name}-{node.port}.conf")
        with open(auth, "w", encoding="utf-8",
                  opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write(f"[credentials-node]\nusername={node.user}\npassword={node.password}\n"
                      f"[auth-esx-{node.address}]\ncredentials=node\n")  # vpx:// too
        self.env = {"HOME": home, "XDG_RUNTIME_DIR": home, "PATH": "/usr/bin:/bin", "TZ": "UTC",
                    "LANG": "C", "LIBVIRT_AUTH_FILE": auth}

    def __call__(self, *words):
        """What the command prints; raises Refused. libvirt's own warnings are left out."""
        done = subprocess.run(["virsh", "-q", "-c", self.uri, *words], env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise Refused("\n".join(line for line in done.stderr.splitlines()
                                    if line.startswith("error")) or done.stderr)
        return done.stdout

    def table(self, *words):
        pairs = (line.split(":", 1) for line in self(*words).splitlines() if ":" in line)
        return {name.strip(): value.strip() for name, value in pairs}

# SPDX-License-Identifier: Apache-2.0
"""govc, unmodified, against one endpoint."""

import contextlib
import json
import os
import subprocess
import threading

from daemon import build_folder

TIMEOUT_S = 60


def find_program():
    return os.path.join(build_folder(), "tools", "govc")


class Refused(Exception):
    """govc said no; the text is what it wrote to standard error."""


@contextlib.contextmanager
def bounded(process, seconds=20):
    """Ends a process that is read from, when it says nothing for too long, and in any case."""
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


class Govc:
    """One endpoint as govc sees it. `settings` become GOVC_… variables: datacenter="lab"."""

    def __init__(self, url, user, password, home, **settings):
        self.env = {
            "HOME": home, "PATH": "/usr/bin:/bin", "TZ": "UTC", "GOVC_URL": url,
            "GOVC_USERNAME": user, "GOVC_PASSWORD": password, "GOVC_INSECURE": "1",
            "GOVC_PERSIST_SESSION": "false",
        }
        self.set(**settings)

    def set(self, **settings):
        self.env.update({f"GOVC_{name.upper()}": value for name, value in settings.items()})

    def popen(self, *words, **options):
        return subprocess.Popen([find_program(), *map(str, words)], env=self.env, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **options)

    def __call__(self, *words, env=None, stdin=None, timeout_s=TIMEOUT_S):
        """What the command prints; raises Refused when it fails."""
        done = subprocess.run([find_program(), *map(str, words)], env={**self.env, **(env or {})},
                              input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout_s, check=False)
        if done.returncode != 0:
            raise Refused((done.stderr or done.stdout).strip() or f"status {done.returncode}")
        return done.stdout

    def json(self, *words):
        return json.loads(self(words[0], "-json", *words[1:]))

    def lines(self, *words):
        return self(*words).splitlines()

    def get(self, path, name):
        """One property of an object, as text."""
        return self("object.collect", "-s", path, name).strip()

    def refusal(self, *words, **options):
        """The words of a command's refusal; fails when the command succeeds."""
        try:
            out = self(*words, **options)
        except Refused as refused:
            return str(refused)
        raise AssertionError(f"govc {' '.join(map(str, words))} was not refused: {out[:200]}")


def table(text):
    """`Name:   value` lines as a dictionary; later lines of the same name win."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}

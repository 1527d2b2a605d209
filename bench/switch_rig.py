# SPDX-License-Identifier: Apache-2.0
"""What both switches are measured on: huge pages, two sockets, the generator on the first core.

    with Rig(build) as rig:
        switch.start(...)
        rig.measure(switch, ["--flows", "1000"])

A switch has `pid()`, the process that forwards, and `worker`, a regular expression for the name of
its data thread. It is the client of rig.a and rig.b; the generator makes these sockets anew each time.
"""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

PAGES = 1536  # of 2 MB
PAGES_FILE = "/proc/sys/vm/nr_hugepages"


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def until(what, seconds=20, step=0.05):
    """What a call gives once it is true; None when time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(step)
    return None


def end(process):
    """Ends a process that we have started."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Failed(Exception):
    pass


class Rig:
    def __init__(self, build, samples, polite):
        self.generator = os.path.join(build, "src/switch/switch_gen")
        self.samples, self.polite = samples, polite
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise Failed("two cores are needed: one generates, one is the switch's")
        self.core, self.switch_core = cores[0], cores[-1]
        self.huge, self.pages, self.running = None, None, None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="remora-bench-")
        self.a, self.b = f"{self.folder}/a.sock", f"{self.folder}/b.sock"
        if os.geteuid() == 0:
            try:
                self.take_pages()
            except BaseException:
                self.__exit__()
                raise
        return self

    def take_pages(self):
        before = int(read(PAGES_FILE))
        if before < PAGES:
            self.pages = before
            with open(PAGES_FILE, "w", encoding="ascii") as file:
                file.write(str(PAGES))
            if int(read(PAGES_FILE)) < PAGES:
                raise Failed(f"no {PAGES} huge pages: memory is too small or in pieces")
        huge = f"{self.folder}/huge"
        os.mkdir(huge)
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "nodev", huge],
                       check=True)
        self.huge = huge

    def __exit__(self, *_):
        end(self.running)
        if self.huge:
            for name in os.listdir(self.huge):
                os.unlink(f"{self.huge}/{name}")
            # What has died a moment ago may still hold pages of it.
            until(lambda: subprocess.run(["umount", self.huge], check=False,
                                         stderr=subprocess.DEVNULL).returncode == 0, 5)
        if self.pages is not None:
            with open(PAGES_FILE, "w", encoding="ascii") as file:
                file.write(str(self.pages))
        shutil.rmtree(self.folder, ignore_errors=True)

    def rules(self, number):
        """(source, destination, port) of the rules that flows of `number` rules meet."""
        text = subprocess.run([self.generator, "--print-rules", str(number)], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        return [tuple(line.split(",")) for line in text.split()]

    def generate(self, switch, options):
        """Starts the generator; its process."""
        for path in (self.a, self.b):
            if os.path.exists(path):
                os.unlink(path)
        memory = ["--in-memory", "--single-file-segments", "--huge-dir", self.huge] \
            if self.huge else ["--no-huge", "-m", "256", "--no-shconf"]
        command = [self.generator, "-l", str(self.core), "--no-pci", "--log-level=4",
                   "--file-prefix", f"gen{os.getpid()}", *memory]
        for i, path in enumerate((self.a, self.b)):
            command += ["--vdev", f"virtio_user{i},path={path},server=1,queue_size=1024"]
        command += ["--", *options]
        pid = switch.pid()
        threads = {int(task): read(f"/proc/{pid}/task/{task}/comm").strip()
                   for task in os.listdir(f"/proc/{pid}/task")}
        for task, name in threads.items():
            command += ["--watch" if re.match(switch.worker, name) else "--ahead", str(task)]
        if self.polite:
            command += ["--polite"]
        self.log = open(f"{self.folder}/generator.log", "w+", encoding="utf-8")
        self.running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self.log,
                                        stdout=subprocess.PIPE, text=True)
        return self.running

    def measure(self, switch, options):
        """The generator's samples of a switch that runs."""
        process = self.generate(switch, [*options, "--samples", str(self.samples)])
        try:
            out = process.communicate(timeout=120)[0]
        except subprocess.TimeoutExpired as error:
            raise Failed("the generator did not come to an end") from error
        finally:
            end(process)
            self.log.close()
        if process.returncode != 0:
            raise Failed(f"the generator: {read(self.log.name)[-300:].strip()}")
        return json.loads(out.strip().splitlines()[-1])

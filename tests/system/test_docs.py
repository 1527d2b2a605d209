# SPDX-License-Identifier: Apache-2.0
"""What the documentation says: files that it names are there, options are the same in the program,
its man page and the completion, examples run, and what is installed works from where it is."""

import glob
import os
import re
import shutil
import subprocess

import pytest

from conftest import need
from daemon import build_folder, program, wait_until

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
PAGES = sorted(os.path.relpath(path, ROOT) for pattern in
               ("*.md", "docs/*.md", "docs/internals/*.md", "tests/*.md")
               for path in glob.glob(os.path.join(ROOT, pattern)))
MANUALS = {"remora": "remora.1", "remora-hostd": "remora-hostd.8",
           "remora-centerd": "remora-centerd.8", "remora-switchd": "remora-switchd.8"}
SUBCOMMANDS = ("control", "lab", "node", "simulate", "switch")


def read(*names):
    with open(os.path.join(ROOT, *names), encoding="utf-8") as file:
        return file.read()


def run(*words, **options):
    settings = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 60,
                "check": False, **options}
    return subprocess.run(list(words), **settings)


# ---- files that are named ----

def is_there(page, name):
    """As a path from the root or from the page; a file alone may lie anywhere in the sources."""
    places = [ROOT, os.path.dirname(os.path.join(ROOT, page))]
    if any(glob.glob(os.path.join(place, name)) for place in places):
        return True
    return "/" not in name and bool(glob.glob(os.path.join(ROOT, "src", "*", name)))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = read(page)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    assert [name for name in links if "://" not in name and not is_there(page, name)] == []


# Not in this tree: what comes with time, what is made, what is an example.
ELSEWHERE = re.compile(r"src/volume\b|.*_test\.c$|(util|common|misc)\.c$")


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/STATE.md"])
def test_files_that_are_named_are_there(page):
    text = re.sub(r"^( {4}|```).*$", "", read(page), flags=re.M)
    named = set()
    for words in re.findall(r"`([^`\n]+)`", text):
        named.update(re.findall(r"^(?:src|docs|lab|schema|tests|tools|bench|packaging)/[\w./-]+$"
                                r"|^(?:\w+/)*\w+\.[ch]$", words))
    missing = [name for name in sorted(named) if not ELSEWHERE.match(name) and
               not is_there(page, name) and not is_there(page, os.path.join("src", name))]
    assert missing == []


# ---- options ----

def manual(name):
    return read("docs", "man", MANUALS[name])


def options_of_manual(text):
    """--word and -E, as the page marks them up."""
    words = re.findall(r"\bFl ((?:-)?[A-Za-z][a-z-]*)", text)
    return {f"-{word}" for word in words}


def options_of_help(text):
    return set(re.findall(r"(?<![\w-])(--[a-z][a-z-]*|-[A-Za-z]\b)", text))


def test_every_subcommand_answers_help():
    need("remora")
    usage = run(program("remora"), "--help")
    assert usage.returncode == 0 and usage.stderr == ""
    for name in SUBCOMMANDS:
        assert re.search(rf"^  {name} ", usage.stdout, re.M)
        answer = run(program("remora"), name, "--help")
        assert answer.returncode == 0 and f"remora {name}" in answer.stdout


@pytest.mark.parametrize("name", ["remora-hostd", "remora-centerd", "remora-switchd"])
def test_options_of_daemons(name):
    need(name)
    usage = options_of_help(run(program(name), "--help").stdout)
    assert usage == options_of_manual(manual(name))
    source = read("src", *{"remora-hostd": ("host", "hostd.c"),
                           "remora-centerd": ("center", "centerd.c"),
                           "remora-switchd": ("switch", "switchd.c")}[name])
    parsed = {f"--{option}" for option in
              re.findall(r'\{ "([a-z-]+)", (?:required|no)_argument', source)}
    assert not parsed or usage == parsed
    for option in usage - {"--help"}:
        answer = run(program(name), option, "x", "--help")
        assert "unrecognized" not in answer.stderr and answer.returncode == 0


def completion(*words):
    """What the shell offers after these words, the last of them being under the cursor."""
    script = ("source packaging/remora.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _remora; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    return set(run("bash", "-c", script, "bash", *words, cwd=ROOT).stdout.split())


def test_options_of_simulate():
    need("remora")
    usage = options_of_help(run(program("remora"), "simulate", "--help").stdout) - {"-l"}
    named = {re.sub("=.*", "", word) for word in completion("remora", "simulate", "-")}
    assert named == usage
    synopsis = manual("remora").split(".Sh DESCRIPTION")[0]
    assert options_of_manual(synopsis) - {"--json", "--state", "--binary", "--arch", "--second-card"} == usage
    described = manual("remora").split(".Ss The simulator")[1].split(".Ss ")[0]
    assert options_of_manual(described) == usage | {"-l"}
    for option in usage - {"--esx", "--autostart", "--tls"}:
        answer = run(program("remora"), "simulate", option)
        assert "needs a value" in answer.stderr, option


def test_options_of_switch():
    need("remora")
    usage = run(program("remora"), "switch", "--help").stdout
    options = options_of_help(usage)
    assert completion("remora", "switch", "-") == options
    described = manual("remora").split(".Ss The switch")[1].split(".Sh ")[0]
    assert options_of_manual(described) == options
    commands = completion("remora", "switch", "")
    assert commands == set(re.findall(r"^  ([a-z]+) ", usage, re.M))
    for name in commands:
        assert re.search(rf"\.It Cm {name}\b", described)
    for option in options - {"--json", "--follow"}:
        answer = run(program("remora"), "switch", "status", option)
        assert answer.returncode == 2 and "needs a value" in answer.stderr, option
    answer = run(program("remora"), "switch", "--state", "/nowhere", "status")
    assert answer.returncode == 1 and "is remora-switchd running" in answer.stderr


def test_commands_are_completed():
    need("remora")
    assert completion("remora", "") == set(SUBCOMMANDS)
    usage = run(program("remora"), "lab", "--help").stdout
    commands = completion("remora", "lab", "")
    assert commands == set(re.findall(r"\b(up|down|status|console|start|stop|kill)\b", usage))
    for name in commands:
        assert re.search(rf"\.It Cm .*\b{name}\b", manual("remora"))
        assert re.search(rf"Cm lab Cm .*\b{name}\b", manual("remora").split(".Sh DESC")[0])


@pytest.mark.parametrize("name", MANUALS)
def test_manuals_are_well_formed(name):
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    path = os.path.join(ROOT, "docs", "man", MANUALS[name])
    report = run("mandoc", "-T", "lint", "-W", "warning", path)
    assert report.returncode == 0, report.stdout
    for other, section in re.findall(r"\.Xr (remora\S*) (\d)", manual(name)):
        assert os.path.exists(os.path.join(ROOT, "docs", "man", f"{other}.{section}"))


# ---- examples ----

def test_make_knows_the_commands_of_the_readme():
    text = read("README.md") + read("CONTRIBUTING.md")
    targets = set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", text, re.M))
    assert {"lab", "test", "lab-down"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", read("Makefile"), re.M)


def examples(text):
    """The commands of each literal block that has prompts."""
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.M | re.S)
    return [[line[2:] for line in block.splitlines() if line.startswith("$ ")] for block in blocks]


def test_examples_with_the_simulator(tmp_path):
    """As they stand, in a shell."""
    need("remora", "tools/govc")
    commands = [block for block in examples(manual("remora"))
                if any("remora simulate" in line for line in block)]
    assert commands
    env = {"PATH": f"{build_folder()}:{build_folder()}/tools:/usr/bin:/bin", "HOME": str(tmp_path),
           "GOVC_INSECURE": "1"}
    for block in commands:
        script = "set -e\n" + "\n".join(block) + "\nwait\n"
        done = run("bash", "-c", script, env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 10000


def test_examples_of_control(rig):
    """Each command that the page names is one that a daemon has."""
    text = manual("remora").split(".Ss Daemons")[1].split(".Ss ")[0]
    named = set(re.findall(r"^\.Cm ([a-z.]+)(?: ,)?$", text, re.M))
    assert {"version", "metrics", "log.set"} <= named
    levels = re.search(r"^\.Ql (\{.*\})", text, re.M).group(1)
    sockets = [os.path.join(node.state, "control.sock") for node in (rig.host(), rig.center())]
    for socket in sockets:
        known = run(program("remora"), "control", socket).stdout
        for name in named:
            assert f'"{name}"' in known
    done = run(program("remora"), "control", sockets[0], "log.set", levels)
    assert done.returncode == 0 and "qmp=debug" in done.stdout, done.stderr


# ---- what is installed ----

INSTALLED = """
bin/remora bin/remora-hostd bin/remora-centerd bin/remora-switchd
share/man/man1/remora.1 share/man/man8/remora-hostd.8 share/man/man8/remora-centerd.8
share/man/man8/remora-switchd.8
share/bash-completion/completions/remora share/remora/guest/build share/remora/guest/root/init
lib/systemd/system/remora-hostd.service lib/systemd/system/remora-centerd.service
lib/sysusers.d/remora.conf
""".split()


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    need("remora", "remora-hostd", "remora-centerd", "build.ninja")
    top = tmp_path_factory.mktemp("install")
    done = run("meson", "install", "-C", build_folder(), "--no-rebuild",
               env={**os.environ, "DESTDIR": str(top)}, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    yield os.path.join(top, "usr", "local")
    shutil.rmtree(top)


def test_all_is_installed(installed):
    found = {os.path.relpath(os.path.join(place, name), installed)
             for place, _, names in os.walk(installed) for name in names}
    assert set(INSTALLED) <= found
    for name in ("bin/remora", "share/remora/guest/build", "share/remora/guest/root/init"):
        assert os.access(os.path.join(installed, name), os.X_OK)
    for name in (name for name in INSTALLED if name.endswith(".service")):
        with open(os.path.join(installed, name), encoding="ascii") as file:
            unit = file.read()
        start = re.search(r"^ExecStart=/usr/local/(\S+) --state (\S+)$", unit, re.M)
        assert start.group(1) in found and "@" not in unit
        assert f"StateDirectory={start.group(2).removeprefix('/var/lib/')}\n" in unit


def test_installed_programs_run(installed, tmp_path):
    """Without the sources beside them."""
    for name in MANUALS:
        done = run(os.path.join(installed, "bin", name), "--version")
        assert done.returncode == 0 and done.stdout.startswith(f"{name} ")
    env = tmp_path / "env"
    with subprocess.Popen([os.path.join(installed, "bin", "remora"), "simulate", "-l",
                           "127.0.0.1:0", "-E", env], stdin=subprocess.DEVNULL) as process:
        wait_until(lambda: env.exists() and env.stat().st_size, 30, "it says where it is")
        process.terminate()
        assert process.wait(30) == 0

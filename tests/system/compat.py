# SPDX-License-Identifier: Apache-2.0
"""What unmodified clients can do with each endpoint: tables of commands, and the report.

A table (compat_govc.py, compat_pyvmomi.py, compat_virsh.py) holds rows: a client's command and a
function that runs it and looks at the state it should have reached. A row runs once on each
endpoint, after the rows it builds upon, in any selection of tests. What an endpoint knowingly lacks
is said in the row and tried all the same: it must be refused clearly, and when it is not refused
any more the row fails, so that the report cannot grow stale.

The report docs/COMPATIBILITY.md is written at the end of a run in which every row of every table
was tried on every endpoint. It holds nothing that differs between two runs of the same code.
"""

import os
import re

CENTER, SERVER, DPU = "centerd", "server", "dpu"
SIMULATE, SIMULATE_ESX = "simulate", "simulate --esx"
ENDPOINTS = (CENTER, SERVER, DPU, SIMULATE, SIMULATE_ESX)
MANAGERS = (CENTER, SIMULATE)
HOSTS = (SERVER, DPU, SIMULATE_ESX)
REAL = (CENTER, SERVER, DPU)
# To another host: why not, and how that is said.
MOVES = {SIMULATE: "hosts of one process move no machines"}
NO_MOVES = r"moves none|takes no part in migrations"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REPORT = os.path.join(ROOT, "docs", "COMPATIBILITY.md")


class Row:
    def __init__(self, command, check, on, after, missing, refusal):
        self.command = command
        self.check = check
        self.on = on
        self.after = after
        self.missing = missing if isinstance(missing, dict) else dict.fromkeys(on, missing)
        self.refusal = refusal


class Table:
    """The rows of one client, in the order they are tried. `refused`: the client's exceptions."""

    def __init__(self, client, refused):
        self.client = client
        self.refused = refused
        self.rows = {}

    def row(self, command, on=ENDPOINTS, after=(), missing=None, refusal=None):
        """Adds a row. on: the endpoints it makes sense for. after: rows to run before. missing: why
        it is refused, or that by endpoint; refusal: what the refusal must look like."""
        names = (after,) if isinstance(after, str) else after
        for name in names:
            assert name in self.rows, f"{command}: no row {name} before it"

        def add(check):
            assert command not in self.rows, f"{command}: twice"
            self.rows[command] = Row(command, check, on, names, missing, refusal)
            return check
        return add


class Trial:
    """One table on one endpoint."""

    def __init__(self, table, subject):
        self.table = table
        self.subject = subject
        self.outcomes = {}  # command: None, or the exception

    def run(self, command):
        if command not in self.outcomes:
            try:
                self.attempt(self.table.rows[command])
                self.outcomes[command] = None
            except Exception as error:  # the reason of any failure is kept and shown
                self.outcomes[command] = error
        if self.outcomes[command] is not None:
            raise self.outcomes[command]

    def attempt(self, row):
        for name in row.after:
            if self.subject.kind in self.table.rows[name].on:
                try:
                    self.run(name)
                except Exception as error:
                    raise AssertionError(f"{name}, which this builds upon, failed: "
                                         f"{type(error).__name__}") from None
        if row.missing.get(self.subject.kind) is None:
            row.check(self.subject)
            return
        try:
            row.check(self.subject)
        except self.table.refused as refused:
            if not re.search(row.refusal, f"{type(refused).__name__} {refused}"):
                raise AssertionError(f"refused, but not clearly: {refused}") from None
            return
        raise AssertionError(f"{row.command} is said to be missing, but it passes")


def cell(trial, row):
    if trial.subject.kind not in row.on:
        return "n/a"
    if trial.outcomes.get(row.command) is not None:
        return "**fails**"
    return "passes" if row.missing.get(trial.subject.kind) is None else "refused"


def gaps(row):
    reasons = {}
    for kind in row.on:
        if row.missing.get(kind) is not None:
            reasons.setdefault(row.missing[kind], []).append(kind)
    return "; ".join(reason if len(kinds) == len(row.on) else f"{', '.join(kinds)}: {reason}"
                     for reason, kinds in reasons.items())


def report(trials):
    """The page, from the trials of all tables on all endpoints."""
    lines = [
        "# What unmodified clients can do",
        "",
        "Written by the system tests (`tests/run`): each line is a command or an idiom of a client",
        "that was run against each endpoint, and whose result was looked at. Endpoints: *centerd*",
        "with a server and its DPU added, *server* and *dpu* for the hosts themselves, *simulate*",
        "for `remora simulate` as a data centre and as a single host. **passes**: did what it",
        "should. **refused**: not there yet; the client gets a clear fault and the last column says",
        "why. **n/a**: makes no sense there (a host has no clusters).",
        "",
    ]
    tables = list(dict.fromkeys(trial.table for trial in trials))
    for table in tables:
        ours = sorted((t for t in trials if t.table is table),
                      key=lambda t: ENDPOINTS.index(t.subject.kind))
        kinds = [trial.subject.kind for trial in ours]
        lines += [f"## {table.client}", "", f"| command | {' | '.join(kinds)} | what is missing |",
                  "|---|" + "---|" * (len(kinds) + 1)]
        for row in table.rows.values():
            cells = [cell(trial, row) for trial in ours]
            lines.append(f"| `{row.command}` | {' | '.join(cells)} | {gaps(row)} |".replace(
                "|  |", "| |"))
        passed = sum(cell(trial, row) == "passes" for trial in ours for row in table.rows.values())
        lines += ["", f"{passed} passes.", ""]
    return "\n".join(lines)


def is_complete(trials):
    return bool(trials) and all(
        set(trial.outcomes) == {row.command for row in trial.table.rows.values()
                                if trial.subject.kind in row.on} for trial in trials)


def write_report(trials, path=REPORT):
    text = report(trials)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as old:
            if old.read() == text:
                return
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)

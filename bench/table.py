# SPDX-License-Identifier: Apache-2.0
"""The rows of a benchmark: prints them as a table and writes build/bench/PART.json.

    table = Table("api")
    table.add("find/10k", "CPU s", ours=[0.11, 0.10, 0.12], peer="vcsim 0.24.2",
              peers=[1.9, 2.0, 2.1], aim=10, better="less")
    table.finish()

Samples come in any order and number and are kept as [min, median, max]. The ratio is that of the
medians and always says how many times better ours is: peer / ours where less is better, ours /
peer where more is. A row without a peer carries nulls, and so does one that could not be measured.
`aim` is the ratio hoped for.
"""

import json
import os
import statistics

COLUMNS = ("name", "unit", "ours", "peer", "peers", "ratio", "aim")


def spread(samples):
    """[min, median, max] of the samples, None for none."""
    if not samples:
        return None
    return [min(samples), statistics.median(samples), max(samples)]


def round_to(number, digits=4):
    return float(f"{number:.{digits}g}")


def ratio_of(ours, peers, better):
    if ours is None or peers is None:
        return None
    good, bad = (peers[1], ours[1]) if better == "less" else (ours[1], peers[1])
    return round_to(good / bad, 3) if bad > 0 else None


def show(value):
    if value is None:
        return "-"
    if isinstance(value, list):
        return " / ".join(f"{number:g}" for number in value)
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


class Table:
    def __init__(self, part, build=None):
        self.part = part
        self.build = build or os.environ.get("REMORA_BUILD", "build")
        self.rows = []

    def add(self, name, unit, ours, peer=None, peers=None, aim=None, better="less"):
        if better not in ("less", "more"):
            raise ValueError(f'better is "{better}": "less" or "more"')
        ours, peers = spread(ours), spread(peers)
        if peers is None:
            peer = None
        elif peer is None:
            raise ValueError(f'row "{name}" has samples of a peer without a name')
        self.rows.append({
            "name": name, "unit": unit, "ours": ours and [round_to(number) for number in ours],
            "peer": peer, "peers": peers and [round_to(number) for number in peers],
            "ratio": ratio_of(ours, peers, better), "aim": aim,
        })

    def text(self):
        """The table; of three numbers with slashes, min / median / max."""
        cells = [COLUMNS] + [[show(row[column]) for column in COLUMNS] for row in self.rows]
        widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                         for line in cells)

    def finish(self):
        """Prints the table and writes the file, whole or not at all."""
        print(self.text(), flush=True)
        folder = os.path.join(self.build, "bench")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{self.part}.json")
        with open(path + ".tmp", "w", encoding="utf-8") as file:
            json.dump(self.rows, file, indent=1)
            file.write("\n")
        os.replace(path + ".tmp", path)
        below = [row["name"] for row in self.rows
                 if row["aim"] and row["ratio"] and row["ratio"] < row["aim"]]
        print(f"{path}: {len(self.rows)} rows" +
              (f"; below the aim: {', '.join(below)}" if below else ""), flush=True)

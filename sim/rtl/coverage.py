"""Coverage of the RTL: the counts of Verilator during the tests, merged over all runs and summarized by module.

`make coverage` sets `NARROWGAUGE_RTL_COVERAGE`, the folder to which every simulation writes its counts, runs the
tests of the RTL, and prints the report: `python -m narrowgauge.sim.rtl.coverage FOLDER`. A line that no test can reach
has the reason next to it, in a comment that begins with `uncovered:`.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError

VARIABLE = "NARROWGAUGE_RTL_COVERAGE"
"""Environment variable: the folder for counts."""

KINDS = ("line", "branch", "toggle")
"""Kinds of counts: executed blocks, taken branches, and edges of each bit of each signal."""

_MARK = "uncovered:"
_FIELDS = re.compile("\x01([^\x02]+)\x02([^\x01']*)")


@dataclass(frozen=True, order=True)
class Point:
    """A coverage point, of all instances of its module.

    Attributes:
        module: its name, which is the name of its file.
        kind: one of `KINDS`.
        line: of the source, from 1.
        what: the branch or the bit.
    """

    module: str
    kind: str
    line: int
    what: str


@dataclass(frozen=True)
class Gap:
    """A line with a block or a branch that was not reached.

    Attributes:
        point: that was not reached.
        text: the line.
        reason: from its comment; "" if there is none.
    """

    point: Point
    text: str
    reason: str


def folder() -> Path | None:
    """The folder for counts; None if the variable is not set."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def new_file(counts: Path) -> Path:
    """A new file for the counts of a simulation."""
    counts.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".dat", dir=counts)
    os.close(handle)
    return Path(name)


def read_counts(files: Iterable[Path]) -> Counter[Point]:
    """The counts of several runs, added up. The format is that of `verilator_coverage`."""
    found: Counter[Point] = Counter()
    for file in files:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if not line.startswith("C '"):
                    continue
                description, _, count = line.rpartition("' ")
                fields = dict(_FIELDS.findall(description))
                module = fields["page"].rpartition("/")[2]
                # A module with other parameters has a suffix.
                point = Point(module.split("__")[0], fields["t"], int(fields["l"]), fields["o"])
                found[point] += int(count)
    return found


def gaps(counts: Counter[Point], sources: Path) -> list[Gap]:
    """The lines and branches that were not reached, with the text of the sources."""
    found = []
    for point in sorted(point for point, count in counts.items() if not count and point.kind != "toggle"):
        path = sources / f"{point.module}.sv"
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8").splitlines()[point.line - 1]
        _, mark, reason = text.partition(_MARK)
        found.append(Gap(point, text.strip(), reason.strip() if mark else ""))
    return found


def untoggled(counts: Counter[Point]) -> dict[tuple[str, str], list[str]]:
    """By module and signal, the bits without a rising or without a falling edge; "" for a signal of one bit."""
    found: dict[tuple[str, str], list[str]] = {}
    for point in sorted(point for point, count in counts.items() if not count and point.kind == "toggle"):
        name, _, bit = point.what.rpartition(":")[0].partition("[")
        bits = found.setdefault((point.module, name), [])
        if bit.rstrip("]") not in bits:
            bits.append(bit.rstrip("]"))
    return found


def main() -> None:
    """Prints the coverage by module, and the points that were not reached."""
    from rich.console import Console
    from rich.table import Table

    from ...hw.synthesis.sources import RTL

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="with the counts of the runs, *.dat")
    parser.add_argument(
        "--toggles", action="store_true", help="also list the signals with bits that do not toggle"
    )
    args = parser.parse_args()
    files = sorted(args.folder.glob("*.dat"))
    if not files:
        raise UserError("the folder has no counts; run `make coverage`.")
    counts = read_counts(files)
    modules = {path.stem for path in RTL.glob("*.sv")}
    total: Counter[tuple[str, str]] = Counter()
    reached: Counter[tuple[str, str]] = Counter()
    for point, count in counts.items():
        if point.module in modules:
            for name in (point.module, "all"):
                total[name, point.kind] += 1
                reached[name, point.kind] += count > 0
    table = Table("module", *KINDS, title=f"coverage of {len(files)} runs", title_justify="left")
    for name in (*sorted({name for name, _ in total} - {"all"}), "all"):
        cells = [
            f"{reached[name, kind] / total[name, kind]:.1%} of {total[name, kind]:,}"
            if total[name, kind]
            else ""
            for kind in KINDS
        ]
        table.add_row(name, *cells)
    console = Console(width=140)
    console.print(table)
    for gap in gaps(counts, RTL):
        where = f"{gap.point.module}.sv:{gap.point.line} ({gap.point.kind}, {gap.point.what})"
        console.print(
            f"{where}: {gap.reason or 'NO REASON GIVEN: ' + gap.text}", highlight=False, markup=False
        )
    if args.toggles:
        for (module, name), bits in untoggled(counts).items():
            if module in modules:
                console.print(f"{module}.{name}: {', '.join(bits) or 'all'}", highlight=False, markup=False)


if __name__ == "__main__":
    main()

"""Coverage of the RTL: what Verilator counted while tests ran, merged over all runs and summed up by module.

`make coverage` sets `NARROWGAUGE_RTL_COVERAGE`, a folder into which every simulation then writes its counts, runs the
tests of the RTL, and prints the report: `python -m narrowgauge.sim.rtl.coverage FOLDER`. A line that no test can reach
has its reason next to it, in a comment that begins with `uncovered:`.
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
"""What is counted: executed blocks, taken branches, and edges of each bit of each signal."""

_MARK = "uncovered:"
_FIELDS = re.compile("\x01([^\x02]+)\x02([^\x01']*)")


@dataclass(frozen=True, order=True)
class Point:
    """One thing that is counted, wherever its module is instantiated.

    Attributes:
        module: name of the module, which is that of its file.
        kind: one of `KINDS`.
        line: of the source, from 1.
        what: branch or bit.
    """

    module: str
    kind: str
    line: int
    what: str


@dataclass(frozen=True)
class Gap:
    """A line with a block or a branch that nothing reached.

    Attributes:
        point: what was not reached.
        text: the line.
        reason: from its comment, "" where it has none.
    """

    point: Point
    text: str
    reason: str


def folder() -> Path | None:
    """Where simulations are to write their counts, if anywhere."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def new_file(counts: Path) -> Path:
    """A file for the counts of one more simulation."""
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
    """Lines and branches that were never reached, with the text of the sources."""
    found = []
    for point in sorted(point for point, count in counts.items() if not count and point.kind != "toggle"):
        path = sources / f"{point.module}.sv"
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8").splitlines()[point.line - 1]
        _, mark, reason = text.partition(_MARK)
        found.append(Gap(point, text.strip(), reason.strip() if mark else ""))
    return found


def still(counts: Counter[Point]) -> dict[tuple[str, str], list[str]]:
    """By module and signal, the bits that never went one of their two ways; "" for a signal of one bit."""
    found: dict[tuple[str, str], list[str]] = {}
    for point in sorted(point for point, count in counts.items() if not count and point.kind == "toggle"):
        name, _, bit = point.what.rpartition(":")[0].partition("[")
        bits = found.setdefault((point.module, name), [])
        if bit.rstrip("]") not in bits:
            bits.append(bit.rstrip("]"))
    return found


def main() -> None:
    """Prints shares by module, and what was never reached."""
    from rich.console import Console
    from rich.table import Table

    from .verilate import RTL

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="with the counts of the runs, *.dat")
    parser.add_argument("--toggles", action="store_true", help="also list the signals whose bits stand still")
    args = parser.parse_args()
    files = sorted(args.folder.glob("*.dat"))
    if not files:
        raise UserError("there are no counts in the folder; run `make coverage`.")
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
        for (module, name), bits in still(counts).items():
            if module in modules:
                console.print(f"{module}.{name}: {', '.join(bits) or 'whole'}", highlight=False, markup=False)


if __name__ == "__main__":
    main()

"""Generates the files that must agree with `hw.isa`: two C++ headers, a SystemVerilog package, the document tables.

    python -m narrowgauge.hw.isa.generate [--check]

writes `hls/src/isa.hpp`, `hls/src/decode.hpp`, `hw/rtl/ng_isa_pkg.sv` and the tables of `docs/isa.md` in the source
tree; with --check it writes nothing and lists the files that are out of date.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ...files import write_atomic
from . import generate_cpp, generate_sv, generate_tables

_ROOT = Path(__file__).resolve().parents[2]


def outputs(root: Path) -> dict[Path, str]:
    """The content of each generated file in the source tree `root`."""
    document = root / "docs" / "isa.md"
    return {
        root / "hls" / "src" / "isa.hpp": generate_cpp.constants(),
        root / "hls" / "src" / "decode.hpp": generate_cpp.decoder(),
        root / "hw" / "rtl" / "ng_isa_pkg.sv": generate_sv.package(),
        document: generate_tables.document(document.read_text(encoding="utf-8")),
    }


def outdated(root: Path) -> list[Path]:
    """The generated files that are missing or out of date."""
    return [
        path
        for path, content in outputs(root).items()
        # As bytes: reading text would accept other line ends.
        if not path.is_file() or path.read_bytes() != content.encode()
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Writes or checks the files; returns 1 if the check lists a file."""
    parser = argparse.ArgumentParser(prog="narrowgauge.hw.isa.generate", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="list the files that are out of date; write nothing"
    )
    args = parser.parse_args(argv)
    try:
        content = outputs(_ROOT)
    except (OSError, ValueError) as error:
        parser.error(f"the tables can't be updated: {error}")
    stale = outdated(_ROOT)
    for path in stale:
        if args.check:
            print(f"{path.relative_to(_ROOT)} is out of date: run python -m narrowgauge.hw.isa.generate")
        else:
            write_atomic(path, content[path])
            print(f"wrote {path.relative_to(_ROOT)}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())

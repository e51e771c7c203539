"""The second front end of `make lint`: slang reads the RTL in strict mode, with all of its warnings.

    python tests/support/slang.py

An error, a warning that is not in `ALLOWED`, and an entry of `ALLOWED` that nothing needs are findings: one line each,
and exit status 1. slang is the front end that is closest to the standard, so what it accepts without `--compat` is
what other tools are written for.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from narrowgauge.hw.synthesis.sources import WRAPPER, sources

ALLOWED = {
    "case-enum-explicit": "a default stands for the values that need nothing",
    "case-redundant-default": "a default that no value reaches keeps the logic defined for damaged instructions",
    "empty-output-connection": "counters and queues have outputs that only some users need",
    "packed-array-conv": "a word of a memory is an array of lanes in the units and a vector in the memory",
    "sign-conversion": "two's complement numbers of equal width change their type, never their bits",
    "arith-op-mismatch": "as sign-conversion: sums are modulo 2^n",
    "bitwise-op-mismatch": "as sign-conversion: masks have no sign",
    "sign-compare": "a constant that is cast to a width is signed; it is compared for equality, or is a loop's bound",
    "unused-package-parameter": "ng_isa_pkg is the whole instruction set; the engine does not need every constant",
    "unused-package-subroutine": "ng_isa_pkg is generated for benches, too",
    "unused-but-set-variable": "names of instructions for waveforms",
}
"""Warnings that are accepted, and why. An error is never accepted."""

CONFIGURATIONS: tuple[Mapping[str, int], ...] = (
    {"Lanes": 8},
    {"Lanes": 16, "PackDsp": 1, "LutColumns": 1},
    {"Lanes": 32, "PackDsp": 1, "UltraRam": 0xF, "LutRam": 0x40},
)
"""Parameters of the top module with which the RTL is elaborated; together they reach every generate branch."""

_LINE = re.compile(
    r"(?P<place>\S+:\d+:\d+): (?P<kind>error|warning): (?P<text>.*?)(?: \[-W(?P<name>[\w-]+)\])?$"
)


_SLANG = """
import sys
from pyslang.driver import Driver
driver = Driver()
driver.addStandardArgs()
if not driver.parseCommandLine(sys.argv[1]) or not driver.processOptions():
    sys.exit(2)
driver.parseAllSources()
driver.runFullCompilation()
"""
"""slang as a program: it prints its diagnostics on the error output of the process."""


def diagnostics(files: Sequence[Path], top: str, parameters: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """The warnings and errors of slang: their names ("error" for an error) and their lines.

    Raises:
        RuntimeError: slang did not run.
    """
    generics = " ".join(f"-G {name}={value}" for name, value in parameters.items())
    names = " ".join(f'"{file}"' for file in files)
    # Without unrolling of loops, so that each variable has one process that writes it, as tools require.
    options = (
        "--std 1800-2017 --max-loop-analysis-steps 1 -Weverything --error-limit 0 --color-diagnostics=false"
    )
    arguments = f"slang {options} --top {top} {generics}"
    done = subprocess.run(
        [sys.executable, "-c", _SLANG, f"{arguments} {names}"], capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    if done.returncode or "Build " not in output:
        raise RuntimeError(f"slang failed:\n{output[-2000:]}")
    for line in output.splitlines():
        if match := _LINE.match(line):
            name = "error" if match["kind"] == "error" else match["name"] or "warning"
            yield name, line


def findings(files: Sequence[Path] | None = None, top: str = WRAPPER.stem) -> list[str]:
    """What must be corrected, each in a line; empty if the RTL is clean.

    Args:
        files: SystemVerilog files, packages first; None for the RTL.
        top: the top module.
    """
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for parameters in CONFIGURATIONS if files is None else ({},):
        for name, line in diagnostics(files or [*sources(), WRAPPER], top, parameters):
            seen[name] += 1
            if name not in ALLOWED:
                found.add(line)
    if files is None:
        found |= {f"{name} is allowed, but nothing needs it" for name in ALLOWED.keys() - seen.keys()}
    return sorted(found)


def main() -> int:
    """Prints the findings; 1 if there are any."""
    for line in (lines := findings()):
        print(line)
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())

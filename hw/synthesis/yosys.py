"""Runs yosys: from SystemVerilog to the primitives of a Xilinx family, each module once."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...compilecache import cache_folder
from ...files import write_atomic
from ...toolchain import Nextpnr, Yosys, find_mapper, find_yosys
from .design import Design, Module, read_design
from .paths import Netlist, netlist_of
from .sources import WRAPPER, sources

FAMILIES = ("xcup", "xc7")
"""UltraScale+ and 7-series, as `synth_xilinx` names them."""

Progress = Callable[[str], None]
"""A function that is called with a short description of each step."""

_STEP = re.compile(
    r"^[\d.]+\. Executing (\w+)|Info: (?:    )?((?:at iteration|Routing|Packing|Creating)[^:;]*)"
)
"""A pass of yosys, or a step of nextpnr."""

_INNER = re.compile(r"\w+\$x[0-9a-f]{16}")
_SCRIPT = 2
"""Incremented when the commands below change, so that older results are not used."""


@dataclass(frozen=True)
class Figures:
    """A module after synthesis, without the modules in it.

    Attributes:
        cells: number of each primitive.
        netlist: its paths.
    """

    cells: Mapping[str, int]
    netlist: Netlist


def elaborate(top: str, parameters: Mapping[str, int], progress: Progress = lambda _: None) -> Design:
    """The design below a top module.

    Args:
        top: a module of the RTL.
        parameters: parameters of the top module.
        progress: called with a description of each step.

    Raises:
        UserError: yosys is missing.
    """
    progress("starting yosys; the first time takes minutes")
    yosys = find_yosys()
    generics = " ".join(f"-G {name}={value}" for name, value in parameters.items())
    with tempfile.TemporaryDirectory() as folder:
        paths = [*sources(), WRAPPER]
        for path in paths:
            shutil.copy(path, folder)
        files = " ".join(path.name for path in paths)
        _run(
            yosys,
            f"""
            read_slang --threads 1 --ignore-assertions --keep-hierarchy -D SYNTHESIS --top {top} {generics} {files}
            hierarchy -top {top}
            bwmuxmap
            opt_clean
            write_rtlil design.il
            """,
            Path(folder),
            progress,
        )
        return read_design(Path(folder, "design.il").read_text(encoding="utf-8"), top)


def synthesize(design: Design, family: str, progress: Progress = lambda _: None) -> dict[str, Figures]:
    """Figures of each module of a design by its name, each synthesized separately.

    Args:
        design: the result of `elaborate`.
        family: one of `FAMILIES`.
        progress: called with a description of each step.

    Raises:
        UserError: yosys is missing.
    """
    version = find_mapper().version
    entries = {name: _entry(module.digest, family, version) for name, module in design.modules.items()}
    missing = [module for name, module in design.modules.items() if not entries[name].is_file()]
    for number, chunk in enumerate(chunks := _chunks(missing), 1):
        needed = {name for module in chunk for _, name in module.inner} - {module.name for module in chunk}
        text = "".join(module.text() for module in chunk)
        text += "".join(design.modules[name].shell() for name in sorted(needed))
        types = ", ".join(sorted({module.type for module in chunk})[:3])
        report = _prefixed(progress, f"{family}, part {number} of {len(chunks)} ({types})")
        figures = _map(text + _holder(chunk), _HOLDER, family, "", report)
        for module in chunk:
            _write(entries[module.name], figures[module.name])
    return {name: _read(entry) for name, entry in entries.items()}


def synthesize_flat(design: Design, family: str, progress: Progress = lambda _: None) -> Figures:
    """Figures of the whole design, synthesized without module boundaries.

    Args:
        design, family, progress: see `synthesize`.

    Raises:
        UserError: yosys is missing.
    """
    top = design.modules[design.top]
    entry = _entry(f"flat {top.name}", family, find_mapper().version)
    if not entry.is_file():
        text = "".join(module.text() for module in design.modules.values())
        report = _prefixed(progress, f"{family}, as one")
        _write(entry, _map(text, top.name, family, "-flatten", report)[top.name])
    return _read(entry)


_LARGE = 250_000
"""Modules of at least this many characters get a separate run: the time of some passes is modules times size."""

_HOLDER = "narrowgauge_holder"


def _prefixed(progress: Progress, what: str) -> Progress:
    return lambda text: progress(f"{what}: {text}")


def _chunks(modules: Iterable[Module]) -> list[list[Module]]:
    """Groups of modules that share a run of yosys: all small ones first, then each large one, the largest last."""
    small: list[Module] = []
    large: list[Module] = []
    for module in modules:
        (large if len(module.body) > _LARGE else small).append(module)
    large.sort(key=lambda module: len(module.body))
    return [chunk for chunk in (small, *([module] for module in large)) if chunk]


def _holder(modules: Iterable[Module]) -> str:
    """A top module with an instance of each module, so that none is removed as unused."""
    cells = (f"  attribute \\keep 1\n  cell \\{m.name} \\{m.name}\n  end\n" for m in modules)
    return f"module \\{_HOLDER}\n{''.join(cells)}end\n"


def _entry(what: str, family: str, version: str) -> Path:
    """The file in the cache for a module's figures."""
    digest = hashlib.sha256("\0".join((what, family, version, str(_SCRIPT))).encode()).hexdigest()
    return cache_folder("synthesis") / f"{digest[:32]}.json.gz"


def _write(entry: Path, figures: Figures) -> None:
    record = {"cells": figures.cells, "netlist": figures.netlist.record()}
    write_atomic(entry, gzip.compress(json.dumps(record, separators=(",", ":")).encode(), 3, mtime=0))


def _read(entry: Path) -> Figures:
    record = json.loads(gzip.decompress(entry.read_bytes()))
    return Figures(record["cells"], Netlist.from_record(record["netlist"]))


def _map(rtlil: str, top: str, family: str, options: str, progress: Progress) -> dict[str, Figures]:
    """Synthesizes a design in RTLIL and returns the figures of each of its modules."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "design.il").write_text(rtlil, encoding="utf-8")
        _run(
            find_mapper(),
            f"""
            read_rtlil design.il
            synth_xilinx -family {family} -top {top} -noiopad -noclkbuf {options}
            write_json netlist.json
            """,
            Path(folder),
            progress,
        )
        netlist = json.loads(Path(folder, "netlist.json").read_bytes())
    modules = {
        name: module
        for name, module in netlist["modules"].items()
        if not {"blackbox", "whitebox"} & module["attributes"].keys()
    }
    return {
        name: Figures(
            dict(Counter(c["type"] for c in module["cells"].values() if not _INNER.fullmatch(c["type"]))),
            netlist_of(module, {cell for cell, c in module["cells"].items() if _INNER.fullmatch(c["type"])}),
        )
        for name, module in modules.items()
    }


def _run(yosys: Yosys, script: str, folder: Path, progress: Progress) -> None:
    """Runs a script in a folder and reports the names of the passes.

    Raises:
        RuntimeError: yosys failed.
    """
    lines = "\n".join(line.strip() for line in script.strip().splitlines())
    Path(folder, "script.ys").write_text(f"{lines}\n", encoding="utf-8")
    run_tool(yosys, ["-Q", "-T", "-s", "script.ys"], folder, progress)


def run_tool(tool: Yosys | Nextpnr, arguments: Sequence[str], folder: Path, progress: Progress) -> None:
    """Runs yosys or nextpnr in a folder and reports the steps.

    Args:
        tool: the tool.
        arguments: its arguments.
        folder: its working folder.
        progress: called with the name of each step.

    Raises:
        RuntimeError: the tool failed.
    """
    last: deque[str] = deque(maxlen=40)
    with subprocess.Popen(
        [*tool.command, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last.append(line)
                if match := _STEP.match(line):
                    progress((match[1] or match[2]).lower())
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise RuntimeError(f"{tool.version} failed:\n{''.join(last)}")

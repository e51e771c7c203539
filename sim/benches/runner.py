"""Builds a module of the RTL with Verilator or Icarus Verilog and cocotb, and runs its bench."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...compilecache import execute, plain_path
from ..rtl import coverage
from ..rtl.verilate import RTL, Watch, verilated, watch_of
from . import icarus
from .setup import Setup, Values

HERE = Path(__file__).resolve().parent

SEED = "NARROWGAUGE_BENCH_SEED"
"""Environment variable with the seed of all benches; the default is 1."""

_PACKAGES = ("ng_isa_pkg", "ng_pkg")


def sources(top: str, *checks: str, rtl: Path = RTL) -> list[Path]:
    """The files that `top` and `checks` need, packages first: modules of the folder `rtl`, or of this one."""
    paths: dict[str, Path] = {}

    def visit(name: str) -> None:
        candidates = (folder / f"{name}{suffix}" for folder in (rtl, HERE) for suffix in (".sv", ".v"))
        path = next((path for path in candidates if path.is_file()), None)
        if path is None or name in paths:
            return
        paths[name] = path
        for used in re.findall(r"\bng_\w+", re.sub(r"//.*", "", paths[name].read_text(encoding="utf-8"))):
            visit(used)

    for name in (*_PACKAGES, top, *checks):
        visit(name)
    return list(paths.values())


def _options(top: str, watch: Watch) -> list[str]:
    """Options of every build. Of these, only `watch` changes the objects of Verilator's run-time library."""
    from cocotb_tools import config

    libraries = plain_path(Path(config.libs_dir))
    return [
        *("--prefix", "Vtop", "--top-module", top, "--vpi", "--public-flat-rw", "--assert"),
        *("--x-assign", "unique", "--x-initial", "unique"),
        *("--timescale", "1ns/1ps", "-Wno-fatal", "-Wno-lint"),
        *watch.value,
        *("-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"),
    ]


def _run_time(watch: Watch) -> Path:
    """Verilator's run-time library with its VPI as one object, compiled once for all benches."""

    def join(work: Path) -> None:
        objects = sorted(str(path.relative_to(work)) for path in (work / "obj").glob("verilated*.o"))
        execute(["g++", "-r", "-o", "run_time.o", *objects], work)

    options = [*_options("ng_none", watch), "-j", "2"]
    return verilated("benches", "run_time.o", options, [HERE / "ng_none.sv", _main()], "", join)


def _main() -> Path:
    """The main program of cocotb's simulations with Verilator."""
    from cocotb_tools import config

    return Path(config.share_dir) / "lib" / "verilator" / "verilator.cpp"


def build(
    top: str,
    parameters: Mapping[str, int | str],
    *,
    checks: Sequence[str] = (),
    watch: Watch = Watch.NOTHING,
    rtl: Path = RTL,
) -> Path:
    """The folder with the simulation of `top` with these parameters, compiled when it is not in the cache.

    Args:
        top: the top module.
        parameters: of the top module.
        checks: modules in this folder that bind themselves to the design.
        watch: what is recorded.
        rtl: the folder of the RTL.

    Raises:
        UserError: Verilator, g++ or make is missing, or the sources don't compile.
    """
    values = [f"-G{name}={value}" for name, value in parameters.items()]
    # The run-time library is linked, not compiled.
    make = "VM_GLOBAL_FAST= OPT_FAST=-O1 OPT_SLOW=-O0"
    files = [_main(), _run_time(watch), *sources(top, *checks, rtl=rtl)]
    return verilated("benches", top, [*_options(top, watch), *values, "-j", "1"], files, make).parent


def run_bench(
    module: str,
    parameters: Values | None = None,
    seed: int | None = None,
    *,
    setup: Setup | None = None,
    waves: Path | None = None,
    environ: Mapping[str, str] | None = None,
    simulator: str = "verilator",
    plusargs: Sequence[str] = (),
    rtl: Path = RTL,
) -> None:
    """Runs all tests of `bench_<module>.py`.

    Args:
        module: a module of the RTL; its bench is `bench_<module>.py`.
        parameters: values of the parameters of the top module; the bench sees them in the simulated design.
        seed: of the bench's random numbers and of the registers' values before reset; None takes that of `SEED`.
        setup: of the bench: its top module and checks; None for the module itself without checks.
        waves: file to which all signals are written, .fst or .vcd; compiles another simulation.
        environ: further variables of the bench's environment.
        plusargs: further plusargs of the simulation.
        rtl: the folder of the RTL.
        simulator: "verilator", or "icarus" for the second simulator, which neither checks assertions nor writes waves.

    Raises:
        UserError: the simulator is missing.
        AssertionError: a test of the bench failed, or an assertion in the RTL did; the message has the end of the log.
    """
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    if seed is None:
        seed = int(os.environ.get(SEED, "1"))
    setup = setup or Setup()
    name = setup.top or module
    values = dict(parameters or {})
    counts = coverage.folder()
    watch = watch_of(waves)
    if simulator == "icarus":
        folder = icarus.build(name, values, sources(name, rtl=rtl))
    else:
        folder = build(name, values, checks=setup.checks, watch=watch, rtl=rtl)
    options = [f"+verilator+seed+{seed}", "+verilator+rand+reset+2", *plusargs]
    if watch is Watch.COVERAGE and counts is not None:
        options.append(f"+verilator+coverage+file+{coverage.new_file(counts)}")
    with tempfile.TemporaryDirectory() as work:
        log, results = Path(work, "log"), Path(work, "results.xml")
        runner: Any = get_runner(simulator)
        sound = True
        try:
            runner.test(
                test_module=f"narrowgauge.sim.benches.bench_{module}", hdl_toplevel=name,
                hdl_toplevel_lang="verilog", build_dir=folder, test_dir=work,
                seed=seed, results_xml=str(results), log_file=log,
                test_args=["--trace", "--trace-file", str(waves.resolve())] if waves else [],
                # Registers start with random values.
                plusargs=options,
                extra_env={"COCOTB_ANSI_OUTPUT": "0", "PYTHONPATH": os.pathsep.join(sys.path), **(environ or {})},
            )  # fmt: skip
        except (RuntimeError, SystemExit):
            sound = False
        tests, failed = get_results(results) if results.is_file() else (0, 0)
        if not sound or failed or not tests:
            tail = log.read_text(errors="replace")[-8000:] if log.is_file() else "no log"
            raise AssertionError(
                f"bench {module} {values}: {failed} of {tests} tests failed; {SEED}={seed} repeats it.\n{tail}"
            )

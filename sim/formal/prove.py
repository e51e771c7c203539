"""Proves the properties of a module of the RTL: from reset, by induction, and that its covers are reached."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...toolchain import find_smtbmc, with_scripts
from ..rtl.verilate import RTL

_HERE = Path(__file__).resolve().parent

_SCRIPT = """\
read_verilog -formal -DSYNTHESIS -sv module.sv
hierarchy -check -top {module} {parameters}
prep -top {module}
async2sync
dffunmap
stat
write_smt2 -wires module.smt2
"""


@dataclass(frozen=True)
class Proof:
    """The result of a proof.

    Attributes:
        bounded: no assertion fails in the first cycles after reset.
        inductive: assertions that hold for some cycles hold in the next one: with `bounded`, always.
        covered: every cover statement is reached.
        log: output of the tools.
    """

    bounded: bool
    inductive: bool
    covered: bool
    log: str

    @property
    def proven(self) -> bool:
        """All three."""
        return self.bounded and self.inductive and self.covered


def source(module: str) -> str:
    """The text of a module of the RTL."""
    return (RTL / f"{module}.sv").read_text(encoding="utf-8")


def prove(
    module: str, parameters: Mapping[str, int], depth: int, *, text: str | None = None, full: bool = True
) -> Proof:
    """Tries to prove all assertions in a module and in its properties.

    Args:
        module: name of a module with properties in `<module>.svh`.
        parameters: values of its parameters.
        depth: cycles of the bounded proof and within which covers are reached.
        text: the module's text, if it is not that of the RTL.
        full: whether to try the induction and the covers too; without it they count as failed.

    Raises:
        UserError: a tool is missing.
        RuntimeError: yosys cannot read the module.
    """
    yosys, smtbmc = find_smtbmc()
    body = source(module) if text is None else text
    properties = (_HERE / f"{module}.svh").read_text(encoding="utf-8")
    whole, places = re.subn(r"\bendmodule\b", lambda _: properties + "endmodule", body)
    if places != 1:
        raise ValueError(f"{module}.sv must hold exactly one module, got {places}")
    values = " ".join(f"-chparam {name} {value}" for name, value in parameters.items())
    with tempfile.TemporaryDirectory() as work:
        Path(work, "module.sv").write_text(whole, encoding="utf-8")
        Path(work, "script.ys").write_text(_SCRIPT.format(module=module, parameters=values))

        def run(*command: str) -> tuple[bool, str]:
            ended = subprocess.run(
                command,
                cwd=work,
                env=with_scripts(),
                capture_output=True,
                text=True,
                check=False,
            )
            return ended.returncode == 0, f"$ {' '.join(command)}\n{(ended.stdout + ended.stderr)[-6000:]}\n"

        read, log = run(yosys, "-s", "script.ys")
        if not read:
            raise RuntimeError(log)
        solve = (smtbmc, "-s", "z3", "--presat")
        checks: dict[str, tuple[str, ...]] = {"bounded": ("-t", str(depth))}
        if full:
            checks |= {"inductive": ("-i", "-t", "3"), "covered": ("-c", "-t", str(depth))}
        done = {name: run(*solve, *options, "module.smt2") for name, options in checks.items()}
    held = {name: name in done and done[name][0] for name in ("bounded", "inductive", "covered")}
    return Proof(**held, log="".join(log for _, log in done.values()))

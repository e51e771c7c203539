"""Cycles of the RTL, counted by its own registers, against the cost model; and how fast its simulation is.

`python benchmarks/rtl_cycles.py` needs Verilator; the models are those of `bench_engine.py`, whole, N = 16.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from bench_engine import LANES, LENGTHS, VOCABULARY, frozen, sized
from rich.console import Console
from rich.table import Table

from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.host import pack_indices
from narrowgauge.hw.program import to_bytes
from narrowgauge.hw.timing import simulate
from narrowgauge.model.presets import preset
from narrowgauge.sim.engine import Engine
from narrowgauge.sim.hls_level import roomy
from narrowgauge.sim.rtl_engine import RtlEngine


def main() -> None:
    """Prints one row a program and length; the results are compared with those of the program simulator."""
    table = Table(title=f"N = {LANES}", title_justify="left")
    for heading in (
        "model",
        "in flight",
        "tokens",
        "cycles",
        "of the model",
        "array busy",
        "cycles/s simulated",
    ):
        table.add_column(heading, justify="right" if table.columns else "left")
    configs = {
        "paper-2enc-hw": preset("paper-2enc-hw").model,
        "bert-base, 1 of its 12 layers": replace(preset("bert-base").model, layers=1),
    }
    for name, config in configs.items():
        graph = frozen(sized(config))
        for in_flight in (1, 2):
            compiled = compile_graph(graph, lanes=LANES, sentences=in_flight)
            rtl = RtlEngine(roomy(compiled.program.parameters))
            simulator = Engine(roomy(compiled.program.parameters))
            for engine in (rtl, simulator):
                engine.load_program(to_bytes(compiled.program))
                engine.init(compiled.image)
            for length in LENGTHS:
                ids = np.random.default_rng(length).integers(0, VOCABULARY, length).astype(np.int32)
                lengths = [length] * in_flight
                packet = pack_indices(compiled.inputs, ids, None) * in_flight
                started = time.perf_counter()
                results = rtl.run(packet, lengths)
                seconds = time.perf_counter() - started
                if results != simulator.run(packet, lengths):
                    raise SystemExit("the RTL's results are not those of the simulator")
                cycles = rtl.counters["CYCLES"]
                table.add_row(
                    name,
                    str(in_flight),
                    str(length),
                    f"{cycles:,}",
                    f"{cycles / simulate(compiled.program, lengths).cycles:.4f}",
                    f"{rtl.counters['ARRAY_BUSY'] / cycles:.1%}",
                    f"{cycles / seconds:,.0f}",
                )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

"""The planter of faults itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from narrowgauge.sim.rtl.verilate import RTL

pytest.importorskip("pyslang")

from narrowgauge.tests.support import faults
from narrowgauge.tests.support.faults import PLUSARG, planted

MODULE = """
module ng_x #(
  parameter int unsigned Width = 4 + 4
) (
  input  logic       clk_i,
  input  logic [7:0] a_i,
  output logic [7:0] b_o
);
  logic [7:0] b_q;
  assign b_o = a_i > 8'd3 ? b_q : '0;
  if (Width == 3) begin : gen_x
  end
  always_ff @(posedge clk_i) begin
    for (int n = 0; n < 8; n++) if (a_i[n]) b_q <= a_i + 8'd1;
  end
  assert property (@(posedge clk_i) a_i == b_o);
endmodule
"""


def test_faults_are_in_the_logic_alone() -> None:
    assert [(fault.line, fault.text) for fault in faults.faults(MODULE)] == [
        (10, "a_i > 8'd3 ? '0 : b_q"),
        (10, "a_i > 8'd3 ? b_q : '1"),
        (10, "a_i > 8'h4 ? b_q : '0"),
        (10, "a_i >= 8'd3 ? b_q : '0"),
        (14, "!(a_i[n])"),
        (14, ""),
        (14, "a_i + 8'h2"),
        (14, "a_i - 8'd1"),
    ]


@pytest.mark.parametrize("path", sorted(RTL.glob("ng_[!ip]*.sv")), ids=lambda path: path.stem)
def test_a_planted_module_holds_every_fault_and_the_original(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    chosen = faults.faults(source)
    assert len({(fault.start, fault.end, fault.text) for fault in chosen}) == len(chosen)
    text = planted(source, chosen)
    for number, fault in enumerate(chosen, 1):
        assert fault.text != source[fault.start : fault.end]
        place = (
            f"({PLUSARG} == {number} ? ({fault.text}) : " if fault.text else f"if ({PLUSARG} != {number}) "
        )
        assert text.count(place) == 1


@pytest.mark.slow
def test_the_bench_of_the_queue_notices_every_fault() -> None:
    assert faults.main(["ng_fifo", "--runs", "1"]) == 0

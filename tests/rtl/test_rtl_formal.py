"""Proofs of the stream primitives and of the loop counters; each planted fault must be refuted."""

from __future__ import annotations

import pytest

from narrowgauge.errors import UserError
from narrowgauge.sim.formal.prove import prove, source
from narrowgauge.toolchain import find_smtbmc

try:
    find_smtbmc()
except UserError as _missing:
    pytest.skip(str(_missing), allow_module_level=True)


@pytest.mark.parametrize(
    ("width", "depth", "cycles"),
    [(1, 2, 8), (8, 4, 12), (2, 8, 14)],
)
def test_fifo(width: int, depth: int, cycles: int) -> None:
    proof = prove("ng_fifo", {"Width": width, "Depth": depth}, cycles)
    assert proof.proven, proof.log


@pytest.mark.parametrize("width", [1, 8, 64])
def test_skid(width: int) -> None:
    proof = prove("ng_skid", {"Width": width}, 8)
    assert proof.proven, proof.log


@pytest.mark.slow
def test_loops() -> None:
    proof = prove("ng_loops", {}, 12)
    assert proof.proven, proof.log


FAULTS = {
    "ng_fifo": {
        "never full": ("(tail_q - head_q) != CountBits'(Depth)", "1'b1"),
        "full too early": ("!= CountBits'(Depth)", "< CountBits'(Depth - 1)"),
        "full while one goes": ("!= CountBits'(Depth);", "!= CountBits'(Depth) || ready_i;"),
        "never empty": ("assign valid_o = head_q != tail_q", "assign valid_o = 1'b1"),
        "goes twice": ("if (pop) head_q", "if (pop && !push) head_q"),
        "goes unasked": ("assign pop     = valid_o && ready_i", "assign pop     = valid_o"),
        "comes unasked": ("if (push) tail_q", "if (ready_o) tail_q"),
        "written late": ("if (push) words[tail_q", "if (push && !pop) words[tail_q"),
        "wrong word": ("words[head_q[PtrBits-1:0]]", "words[tail_q[PtrBits-1:0] - 1'b1]"),
        "half a reset": ("head_q <= '0;\n", ""),
    },
    "ng_skid": {
        "always ready": ("assign ready_o = ready_q", "assign ready_o = 1'b1"),
        "never ready while stalled": ("assign ready_o = ready_q", "assign ready_o = !valid_q"),
        "spare word lost": ("valid_q <= !ready_q || valid_i", "valid_q <= valid_i"),
        "spare word twice": ("ready_q <= 1'b1;\n      end else if", "end else if"),
        "spare word overwritten": ("if (ready_q) spare_q", "spare_q"),
        "overtaken": ("ready_q ? data_i : spare_q", "data_i"),
        "unstable": ("if (!valid_q || ready_i) data_q", "data_q"),
        "no reset": ("valid_q <= 1'b0;\n", ""),
    },
    "ng_loops": {
        "too long": ("topk_q    <= nk_i - 13'd1", "topk_q    <= nk_i + 13'd1"),
        "tail forgotten": ("left_q  <= next_last2 ? tail_q : topk_q", "left_q  <= topk_q"),
        "last too late": ("last0_q <= i0_q == before0_q", "last0_q <= i0_q > before0_q"),
        "loop 2 goes on": ("if (lastk_q && last2_q) begin", "if (lastk_q) begin"),
        "two loops at once": ("lastk_q && last2_q && !last1_q,", "lastk_q && last2_q,"),
    },
}


@pytest.mark.parametrize(
    ("module", "fault"), [(module, fault) for module in FAULTS for fault in FAULTS[module]]
)
def test_faults_are_refuted(module: str, fault: str) -> None:
    """By a trace from reset, not only by a failed induction."""
    before, after = FAULTS[module][fault]
    text = source(module)
    assert text.count(before) == 1, "the module was changed: update the planted fault"
    parameters = {"ng_fifo": {"Width": 2, "Depth": 4}, "ng_skid": {"Width": 2}, "ng_loops": {}}[module]
    proof = prove(module, parameters, 10, text=text.replace(before, after), full=False)
    assert not proof.bounded
    assert "Assert failed" in proof.log

"""The findings of slang, the second front end of `make lint`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyslang")

from narrowgauge.tests.support import slang


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("logic q; initial q = 0; always_ff @(posedge c) q <= 1;", "multiple-always-assigns"),
        ("logic [3:0] q; assign q = {c, c};", "width-expand"),
        ("logic q; always_comb if (c) q = 1;", "inferred-latch"),
        ("typedef enum logic {A, B} e; e q; assign q = 1'b0;", "error"),
    ],
)
def test_a_fault_is_a_finding(text: str, finding: str, tmp_path: Path) -> None:
    file = tmp_path / "m.sv"
    file.write_text(f"module m (input logic c, output logic o);\n  {text}\n  assign o = ^q;\nendmodule\n")
    (line, *_) = [line for line in slang.findings([file], "m") if finding in line]
    assert "/m.sv:2:" in line
    file.write_text("module m (input logic c, output logic o);\n  assign o = c;\nendmodule\n")
    assert slang.findings([file], "m") == []

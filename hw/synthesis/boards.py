"""Supported boards: the part, its capacities, and an engine that fits it.

Capacities are those of the whole device, from the vendor's data sheets. An engine may take only a part of them
(`USABLE`), because the DMA, the interconnect and a card's shell (Alveo) need some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ...errors import UserError
from ..isa import Memory, Parameters
from .silicon import Silicon

USABLE: Mapping[str, int] = MappingProxyType({"lut": 100, "ff": 100, "dsp": 90, "bram36": 85, "uram": 90})
"""Percent of each resource of a board that an engine may take, by the names in `Board`.

The DMA and the AXI interconnect need block RAMs for their buffers, and a device whose columns of block RAM, UltraRAM
or DSPs are full leaves the placer no choice of a place near the logic. Counts of LUTs and flip-flops are estimates
that are too high (see docs/synthesis.md), so that they need no reserve of their own.
"""


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        name: the argument of `--board`.
        title: the vendor's name of the board.
        part: the part name in Vivado.
        family: the family for yosys' `synth_xilinx`: "xc7" for 7-series, "xcup" for UltraScale+.
        lut, ff, dsp, bram36, uram: capacities; a block RAM of 36 Kb counts 1, one of 18 Kb counts 0.5.
        source: the data sheet of these figures.
        engine: an engine that fits the board. Models are compiled for it, without a new synthesis.
        silicon: the silicon options of that engine.
        period: target clock period in ns for the vendor's tools.
    """

    name: str
    title: str
    part: str
    family: str
    lut: int
    ff: int
    dsp: int
    bram36: int
    uram: int
    source: str
    engine: Parameters
    silicon: Silicon
    period: float

    def limit(self, resource: str) -> int:
        """The amount of a resource that an engine may take.

        Args:
            resource: a key of `USABLE`.
        """
        capacity: int = getattr(self, resource)
        return capacity * USABLE[resource] // 100


_DS190 = "DS190, Zynq-7000 SoC Data Sheet: Overview"
_DS891 = "DS891, Zynq UltraScale+ MPSoC Data Sheet: Overview"
_DS965 = "DS965, Alveo U50 Data Center Accelerator Cards Data Sheet"
_DS987 = "DS987, Kria K26 SOM Data Sheet"

_SMALL = Parameters(
    lanes=16, weight_depth=10240, kv_depth=3072, act_depth=3072, vector_depth=2560, score_depth=128,
    wide_depth=1536, stat_depth=16, bias_depth=10240, norm_depth=4096, table_depth=2048, exp_depth=1024,
    index_depth=64, program_depth=1024,
)  # fmt: skip
_MEDIUM = Parameters(
    lanes=16, weight_depth=18432, kv_depth=4608, act_depth=6144, vector_depth=4096, score_depth=256,
    wide_depth=2560, stat_depth=32, bias_depth=12288, norm_depth=6144, table_depth=2048, exp_depth=1024,
    index_depth=128, program_depth=1024,
)  # fmt: skip
_LARGE = Parameters(
    lanes=32, weight_depth=40960, kv_depth=4096, act_depth=8192, vector_depth=4096, score_depth=512,
    wide_depth=2048, stat_depth=32, bias_depth=32768, norm_depth=12288, table_depth=2048, exp_depth=1024,
    index_depth=128, program_depth=1024,
)  # fmt: skip
_LARGER = Parameters(
    lanes=32, weight_depth=65536, kv_depth=8192, act_depth=12288, vector_depth=8192, score_depth=1024,
    wide_depth=4096, stat_depth=32, bias_depth=65536, norm_depth=16384, table_depth=2048, exp_depth=1024,
    index_depth=256, program_depth=2048,
)  # fmt: skip
_LARGEST = Parameters(
    lanes=32, weight_depth=262144, kv_depth=16384, act_depth=32768, vector_depth=16384, score_depth=1024,
    wide_depth=8192, stat_depth=64, bias_depth=131072, norm_depth=32768, table_depth=4096, exp_depth=2048,
    index_depth=512, program_depth=4096,
)  # fmt: skip

# SCORE and INDEX are so shallow that most of their block RAMs would be empty. On PYNQ-Z2 a column of the array is in
# LUTs, to stay below the limit of DSPs.
_SMALL_SILICON = Silicon(pack_dsp=True, lut_columns=1, luts=frozenset({Memory.SCORE}))
_MEDIUM_SILICON = Silicon(pack_dsp=True, luts=frozenset({Memory.SCORE, Memory.INDEX}))
_LARGE_SILICON = Silicon(
    pack_dsp=True, ultra=frozenset({Memory.WEIGHT, Memory.KV, Memory.ACT, Memory.VECTOR})
)
# More words of WEIGHT fit if KV is in block RAM.
_LARGER_SILICON = Silicon(pack_dsp=True, ultra=frozenset({Memory.WEIGHT, Memory.ACT, Memory.VECTOR}))

BOARDS = (
    Board(
        "pynq-z2", "PYNQ-Z2", "xc7z020clg400-1", "xc7", 53200, 106400, 220, 140, 0, _DS190,
        _SMALL, _SMALL_SILICON, 10.0,
    ),
    Board(
        "aup-zu3", "AUP-ZU3", "xczu3eg-sfvc784-2-e", "xcup", 70560, 141120, 360, 216, 0, _DS891,
        _MEDIUM, _MEDIUM_SILICON, 5.0,
    ),
    Board(
        "ultra96-v2", "Ultra96-V2", "xczu3eg-sbva484-1-i", "xcup", 70560, 141120, 360, 216, 0, _DS891,
        _MEDIUM, _MEDIUM_SILICON, 5.0,
    ),
    Board(
        "kv260", "KV260", "xck26-sfvc784-2LV-c", "xcup", 117120, 234240, 1248, 144, 64, _DS987,
        _LARGE, _LARGE_SILICON, 5.0,
    ),
    Board(
        "zcu104", "ZCU104", "xczu7ev-ffvc1156-2-e", "xcup", 230400, 460800, 1728, 312, 96, _DS891,
        _LARGER, _LARGER_SILICON, 5.0,
    ),
    Board(
        "u50", "Alveo U50", "xcu50-fsvh2104-2-e", "xcup", 871680, 1743360, 5952, 1344, 640, _DS965,
        _LARGEST, _LARGE_SILICON, 5.0,
    ),
)  # fmt: skip
"""All boards, the smallest first."""


def find_board(name: str) -> Board:
    """The board with this name, ignoring case.

    Raises:
        UserError: there is no such board.
    """
    for board in BOARDS:
        if board.name == name.lower():
            return board
    raise UserError(f"there is no board {name}; choose from {', '.join(board.name for board in BOARDS)}.")

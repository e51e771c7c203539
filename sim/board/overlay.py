"""The overlay of a virtual board: a .hwh as Vivado writes it for the block design, and an empty .bit."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Template
from xml.sax.saxutils import quoteattr

from ...files import write_atomic
from ...hw.isa import Parameters
from ...hw.synthesis.silicon import PLAIN, Silicon
from ...hw.synthesis.sources import top_parameters
from .design import DESIGNS, LENGTH_BITS, RANGE
from .memory import MAPS

_TEMPLATE = Path(__file__).with_name("templates") / "overlay.hwh"

_MARK = b"narrowgauge virtual board"


def overlay_files(
    folder: Path,
    parameters: Parameters,
    *,
    silicon: Silicon = PLAIN,
    family: str = "zynq",
    address_bits: int | None = None,
) -> Path:
    """Writes the overlay of a virtual board.

    Args:
        folder: where to write the files. Their names hold a hash of their content, as pynq may keep what it has read of
            a file for another one of the same name (PYNQ issue 1409).
        parameters, silicon: of the engine.
        family: "zynq" or "zynqmp".
        address_bits: of the addresses of the DMA; None for those of the block design.

    Returns:
        The .bit file; the .hwh file is next to it.
    """
    values = _values(family, address_bits, top_parameters(parameters, silicon))
    hwh = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(values).encode()
    bitstream = _bitstream(values["device"])
    bit = folder / f"narrowgauge-{hashlib.sha256(bitstream + hwh).hexdigest()[:12]}.bit"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(bit.with_suffix(".hwh"), hwh)
    write_atomic(bit, bitstream)
    return bit


def is_virtual(bit: Path) -> bool:
    """Whether a bitstream is one of a virtual board."""
    return _MARK in bit.read_bytes()[:256]


def _values(family: str, address_bits: int | None, parameters: Mapping[str, int]) -> dict[str, str]:
    """The values of the template."""
    design = DESIGNS[family]
    return {
        **design.names,
        "engine_base": f"0x{design.engine:08X}",
        "engine_high": f"0x{design.engine + RANGE - 1:08X}",
        "dma_base": f"0x{design.dma:08X}",
        "dma_high": f"0x{design.dma + RANGE - 1:08X}",
        "address_bits": str(design.address_bits if address_bits is None else address_bits),
        "length_bits": str(LENGTH_BITS),
        "parameters": _rows("PARAMETER", ({"NAME": n, "VALUE": str(v)} for n, v in parameters.items())),
        "settings": _rows("PARAMETER", ({"NAME": n, "VALUE": v} for n, v in design.settings.items())),
        "memory": _rows("MEMRANGE", _ranges(family)),
    }


def _ranges(family: str) -> Iterator[dict[str, str]]:
    """The memory that each channel of the DMA reaches."""
    for channel in ("M_AXI_MM2S", "M_AXI_S2MM"):
        for number, region in enumerate(MAPS[family].dram):
            yield {
                "ADDRESSBLOCK": f"DDR{number}",
                "BASENAME": "C_BASEADDR",
                "BASEVALUE": f"0x{region.start:08X}",
                "HIGHNAME": "C_HIGHADDR",
                "HIGHVALUE": f"0x{region.start + region.size - 1:08X}",
                "INSTANCE": "ps",
                "IS_DATA": "TRUE",
                "IS_INSTRUCTION": "TRUE",
                "MASTERBUSINTERFACE": channel,
                "MEMTYPE": "MEMORY",
                "SLAVEBUSINTERFACE": DESIGNS[family].names["port"],
            }


def _rows(tag: str, rows: Iterable[Mapping[str, str]]) -> str:
    """Elements without content, one per line."""
    lines = (" ".join((tag, *(f"{name}={quoteattr(value)}" for name, value in row.items()))) for row in rows)
    return "".join(f"        <{line}/>\n" for line in lines)


def _bitstream(part: str) -> bytes:
    """A .bit file: its header names the design, the part, date and time; its content configures nothing."""
    fields = {"a": f"{_MARK.decode()};Version=virtual", "b": part, "c": "1970/01/01", "d": "00:00:00"}
    header = bytes.fromhex("0009 0ff00ff00ff00ff000 0001")
    for name, text in fields.items():
        content = f"{text}\0".encode()
        header += name.encode() + struct.pack(">H", len(content)) + content
    data = _MARK + bytes(-len(_MARK) % 4)
    return header + b"e" + struct.pack(">I", len(data)) + data

"""Names for waveforms, which GTKWave shows next to the numbers of instructions."""

from __future__ import annotations

from pathlib import Path

from ...errors import printable
from ...files import write_atomic
from ...hw.host.build import EngineBuild
from ...hw.isa import Unit

_TOP = "TOP.ng_engine"
# Flags of a trace in a GTKWave save file: hexadecimal, right-justified, translated by a file.
_TRANSLATED = "@2022"
_PLAIN = "@22"
_HEADING = "@200"


def write_names(waves: Path, build: EngineBuild) -> None:
    """Writes `NAME.gtkw` next to the waveforms, and for each unit `NAME.UNIT.txt`: its instructions and their layers.

    `gtkwave NAME.gtkw` shows the instructions of the three units and the streams. The opcodes have their names in the
    FST file itself, for any viewer.
    """
    units = zip(Unit, build.program.lists()[1:], build.layers, strict=True)
    lines = [f'[dumpfile] "{waves.name}"', _HEADING, "-instructions"]
    for unit, instructions, layers in units:
        file = waves.with_suffix(f".{unit.name.lower()}.txt")
        rows = [
            f"{number:04X} {number} {type(instruction).__name__.upper()} {printable(layer)}\n"
            for number, (instruction, layer) in enumerate(zip(instructions, layers, strict=True))
        ]
        write_atomic(file, "".join(rows))
        scope = f"{_TOP}.u_core.u_program.gen_sequencer[{int(unit)}]"
        lines += [
            _TRANSLATED,
            f"^1 {file.name}",
            f"{scope}.taken_number[13:0]",
            _PLAIN,
            f"{scope}.taken[2:0]",
        ]
    lines += [_HEADING, "-streams", _PLAIN]
    for port, sent, taken in (("s_axis", "i", "o"), ("m_axis", "o", "i")):
        names = (f"tvalid_{sent}", f"tready_{taken}", f"tdata_{sent}[63:0]", f"tlast_{sent}")
        lines += [f"{_TOP}.{port}_{name}" for name in names]
    write_atomic(waves.with_suffix(".gtkw"), "\n".join(lines) + "\n")

"""`narrowgauge disasm`: a program as text, on request with the cycles in which each instruction runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .common import Commands, add_command, positive_int, write_report

if TYPE_CHECKING:
    from ..hw.compiler.timing import Timeline
    from ..hw.isa.program import Program


def add_parser(commands: Commands) -> None:
    """Adds `disasm` to the sub-commands."""
    parser = add_command(commands, "disasm", run, "show a program of the engine, instruction by instruction")
    parser.add_argument(
        "program", type=Path, metavar="BUILD|FILE", help="folder of a build, or a program file"
    )
    parser.add_argument(
        "--times",
        type=_lengths,
        metavar="LENGTH",
        help="add the cycles of a run with LENGTH tokens, from the cost model (two sentences: LENGTH,LENGTH)",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the listing, from which the assembler makes the same program; always 0."""
    from ..hw.isa import assembler
    from ..hw.isa.program import read_program

    path = args.program / "program.bin" if args.program.is_dir() else args.program
    if args.program.is_dir() and not path.is_file():
        raise UserError(
            f"{args.program} holds no program.bin; give a folder that `narrowgauge export` wrote."
        )
    program = read_program(path)
    timeline = None
    if args.times:
        from ..hw.compiler import timing

        timeline = timing.simulate(program, args.times)
    text = assembler.disassemble(program)
    print(_timed(text, timeline) if timeline else text, end="")
    write_report(args, _report(program, timeline))
    return 0


def _lengths(text: str) -> tuple[int, ...]:
    """The type of `--times`: tokens of each sentence, with commas between."""
    return tuple(positive_int(length) for length in text.split(","))


def _timed(text: str, timeline: Timeline) -> str:
    """The listing with the cycles of each instruction of a run in its comment."""
    from ..hw.isa import LISTS, Unit

    events = {(event.unit, event.number): event for event in timeline.events}
    lines = []
    unit: Unit | None = None
    number = 0
    for line in text.splitlines():
        if line[1:] in LISTS:
            unit = None if line == ".init" else Unit[line[1:].upper()]
            number = 0
        elif line and not line.startswith(".") and unit is not None:
            event = events[unit, number]
            number += 1
            cycles = "skipped" if event.skipped else f"cycles {event.start} to {event.end}"
            line += f": {cycles}" + (f", waited {event.waited}" if event.waited else "")
        lines.append(line)
    lines += ["", f"# {timeline.cycles} cycles, array busy in {timeline.utilization:.1%}"]
    for unit in Unit:
        usage = timeline.usage(unit)
        lines.append(
            f"# {unit.name.lower()}: busy {usage.busy}, waiting for tokens {usage.wait}, for a drain {usage.drain_wait}"
        )
    return "\n".join(lines) + "\n"


def _report(program: Program, timeline: Timeline | None) -> dict[str, Any]:
    from dataclasses import asdict

    from ..hw.isa import LISTS, OPCODES

    def plain(instruction: Any) -> dict[str, Any]:
        fields = {
            name: value.name if hasattr(value, "name") else value for name, value in vars(instruction).items()
        }
        return {"opcode": OPCODES[type(instruction)].name, **fields}

    report: dict[str, Any] = {
        "parameters": asdict(program.parameters),
        "max_length": program.max_length,
        "sentences": program.sentences,
        "image_crc": program.image_crc,
        **{name: [plain(i) for i in found] for name, found in zip(LISTS, program.lists(), strict=True)},
    }
    if timeline:
        report |= {"lengths": timeline.lengths, "cycles": timeline.cycles, "events": timeline.rows()}
    return report

"""Random lists of the three units in PROGRAM memory, and the expected `issue_t` of each instruction."""

from __future__ import annotations

import random
from typing import Any

from ...hw import isa
from ...hw.isa import Unit
from .common import pack
from .instructions import ISSUE, KINDS, NUMBER_BITS, PLACE, changed, place, random_fields, sound, word

WIDTH = isa.INSTRUCTION_BITS


def draw(rng: random.Random, unit: Unit, init: bool) -> int:
    """A random instruction of the unit as a word of PROGRAM, often invalid."""
    kind = isa.Load if init and rng.random() < 0.8 else rng.choice(KINDS[unit])
    how = rng.random()
    if how < 0.1:
        kind = rng.choice(list(isa.OPCODES))
    instruction = random_fields(rng, kind)
    # A third of the blocks and sentences are skipped.
    instruction = changed(instruction, block=rng.choice((0, 0, 1, 2, rng.randrange(64))))
    bits = word(instruction)
    if how > 0.5:
        field = rng.choice(isa.fields(kind))
        mask = (1 << field.width) - 1
        new = rng.choice((0, 1, mask, mask >> 1, rng.getrandbits(field.width)))
        bits = bits & ~(mask << field.low) | (new & mask) << field.low
    if how > 0.9:
        bits ^= 1 << rng.randrange(WIDTH)
    return bits


class Lists:
    """A command's lists in a PROGRAM memory whose other words are random.

    Attributes:
        init: whether the command is INIT: the stream unit's list alone.
        program: the words of PROGRAM.
        counts, bases: of the list of each unit.
        taken: instructions that each unit has taken so far.
        kinds: units and whether the fields of an instruction that they took were in range.
    """

    def __init__(self, rng: random.Random, lanes: int, depth: int, init: bool) -> None:
        self.lanes, self.init = lanes, init
        self.lengths = [rng.choice((1, lanes, lanes + 1, 512, rng.randint(1, 512))) for _ in range(2)]
        self.sentences = rng.randint(1, 2)
        self.counts = [rng.choice((0, 1, 4, 5, rng.randint(0, depth // 3))) for _ in Unit]
        self.bases = [0, self.counts[0], self.counts[0] + self.counts[1]]
        if init:
            self.counts[:2] = [0, 0]
        self.program = [rng.getrandbits(WIDTH) for _ in range(depth)]
        for unit in Unit:
            for number in range(self.counts[unit]):
                self.program[self.bases[unit] + number] = draw(rng, unit, init)
        self.taken = [0, 0, 0]
        self.kinds: set[tuple[Unit, bool]] = set()

    def show(self, dut: Any) -> None:
        """Drives the inputs that a command sets."""
        dut.init_i.value, dut.sentences_i.value = self.init, self.sentences
        dut.bases_i.value, dut.counts_i.value = pack(self.bases, NUMBER_BITS), pack(self.counts, NUMBER_BITS)
        dut.lengths_i.value = pack(self.lengths, len(dut.lengths_i) // 2)

    def take(self, valid: int, ready: int, issues: int) -> None:
        """One cycle: checks the instruction that each ready unit takes.

        Args:
            valid, ready: a bit per unit.
            issues: `ng_pkg::issue_t` of each unit.
        """
        for unit in Unit:
            if not (valid & ready) >> unit & 1:
                continue
            issue = ISSUE.unpack(issues >> ISSUE.width * unit & (1 << ISSUE.width) - 1)
            number = self.taken[unit]
            assert number < self.counts[unit], "more than the list"
            bits = self.program[self.bases[unit] + number]
            assert (issue["instruction"], issue["number"]) == (bits, number)
            good = sound(unit, bits, self.init)
            assert issue["ok"] == good, (unit, hex(bits))
            self.taken[unit] += 1
            self.kinds.add((unit, good))
            if not good:
                continue
            instruction = isa.decode(bits.to_bytes(WIDTH // 8, "little"))
            where = place(instruction, tuple(self.lengths[: self.sentences]), self.lanes)
            skipped = not self.init and where is None
            assert issue["skipped"] == skipped
            at = PLACE.unpack(issue["place"])
            if self.init:
                assert at["length"] == 0 and at["sentence"] == instruction.sentence
            elif not skipped:
                assert at == where

    @property
    def over(self) -> bool:
        """Whether all instructions were taken."""
        return self.taken == self.counts


ALL_KINDS = {(unit, good) for unit in Unit for good in (True, False)}
"""The kinds that a bench must have covered at its end."""

"""ng_sequencer: the list of each unit in order, with what is known of each instruction, whatever memory and unit do."""

from __future__ import annotations

import random
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw import isa
from ...hw.isa import Unit
from .common import STALLS, bench, generator, pack, start, value
from .instructions import KINDS, NUMBER_BITS, PLACE, changed, place, random_fields, sound, word

WIDTH = isa.INSTRUCTION_BITS


def draw(rng: random.Random, unit: Unit, init: bool) -> int:
    """An instruction of the unit, often with something wrong in it."""
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


@bench(120_000)
async def lists(dut: Any) -> None:
    """All three lists; the memory grants one request a cycle, each unit takes its instructions when it likes."""
    rng = generator()
    lanes, depth = int(dut.Lanes.value), int(dut.ProgDepth.value)
    address_bits = len(dut.addr_o) // 3
    await start(dut)
    kinds = set()
    for turn in range(60):
        init = turn % 5 == 4
        lengths = [rng.choice((1, lanes, lanes + 1, 512, rng.randint(1, 512))) for _ in range(2)]
        sentences = rng.randint(1, 2)
        counts = [rng.choice((0, 1, 4, 5, rng.randint(0, depth // 3))) for _ in range(3)]
        bases = [0, counts[0], counts[0] + counts[1]]
        if init:
            counts[:2] = [0, 0]
        program = [rng.getrandbits(WIDTH) for _ in range(depth)]
        for unit in Unit:
            for number in range(counts[unit]):
                program[bases[unit] + number] = draw(rng, unit, init)
        dut.rst_ni.value = 0
        dut.init_i.value, dut.sentences_i.value = init, sentences
        dut.base_i.value, dut.count_i.value = pack(bases, NUMBER_BITS), pack(counts, NUMBER_BITS)
        dut.lengths_i.value = pack(lengths, len(dut.lengths_i) // 2)
        dut.allow_i.value = dut.rvalid_i.value = dut.ready_i.value = 0
        await RisingEdge(dut.clk_i)
        await RisingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        taken = [0, 0, 0]
        latency = rng.choice((1, 2, 5))
        pipe: list[tuple[int, int]] = [(-1, 0)] * latency
        grants, stalls = rng.choice(STALLS), [rng.choice(STALLS) for _ in Unit]
        ready = [0, 0, 0]
        for _ in range(3000):
            who, data = pipe.pop(0)
            dut.rvalid_i.value = 1 << who if who >= 0 else 0
            dut.rdata_i.value = pack(
                [data if who == unit else rng.getrandbits(WIDTH) for unit in Unit], WIDTH
            )
            ready = [int(rng.random() >= stalls[unit]) for unit in Unit]
            dut.ready_i.value = pack(ready, 1)
            dut.allow_i.value = 0 if rng.random() < grants else rng.getrandbits(3)
            await FallingEdge(dut.clk_i)
            granted = value(dut.gnt_o).bit_length() - 1
            if granted >= 0:
                address = value(dut.addr_o) >> address_bits * granted & (1 << address_bits) - 1
                pipe.append((granted, program[address]))
            else:
                pipe.append((-1, 0))
            for unit in Unit:
                if not (value(dut.valid_o) >> unit & 1 and ready[unit]):
                    continue
                number = taken[unit]
                assert number < counts[unit], "more than the list"
                bits = program[bases[unit] + number]
                assert value(dut.instruction_o) >> WIDTH * unit & (1 << WIDTH) - 1 == bits
                assert value(dut.number_o) >> NUMBER_BITS * unit & (1 << NUMBER_BITS) - 1 == number
                good = sound(unit, bits, init)
                assert value(dut.ok_o) >> unit & 1 == good, (unit, hex(bits))
                taken[unit] += 1
                kinds.add((unit, good))
                if not good:
                    continue
                instruction = isa.decode(bits.to_bytes(WIDTH // 8, "little"))
                where = place(instruction, tuple(lengths[:sentences]), lanes)
                skipped = not init and where is None
                assert value(dut.skipped_o) >> unit & 1 == skipped
                found = PLACE.unpack(value(dut.place_o) >> PLACE.width * unit & (1 << PLACE.width) - 1)
                if init:
                    assert found["length"] == 0 and found["sentence"] == instruction.sentence
                elif not skipped:
                    assert found == where
            await RisingEdge(dut.clk_i)
            if taken == counts:
                break
        assert taken == counts
        await FallingEdge(dut.clk_i)
        assert value(dut.valid_o) == 0
        await RisingEdge(dut.clk_i)
    assert kinds == {(unit, good) for unit in Unit for good in (True, False)}


@bench(5_000)
async def one_a_cycle(dut: Any) -> None:
    """A list alone, by a memory of two cycles: once filled, the sequencer gives an instruction in every cycle."""
    rng = generator()
    depth = int(dut.ProgDepth.value)
    address_bits = len(dut.addr_o) // 3
    await start(dut)
    for unit in Unit:
        counts = [depth if other is unit else 0 for other in Unit]
        program = [draw(rng, unit, False) for _ in range(depth)]
        dut.rst_ni.value = 0
        dut.sentences_i.value, dut.count_i.value = 2, pack(counts, NUMBER_BITS)
        dut.ready_i.value = dut.rvalid_i.value = 0
        dut.allow_i.value = 7
        await RisingEdge(dut.clk_i)
        await RisingEdge(dut.clk_i)
        dut.rst_ni.value, dut.ready_i.value = 1, 7
        pipe: list[int | None] = [None, None]
        found: list[int] = []
        first = 0
        for now in range(2 * depth):
            data = pipe.pop(0)
            dut.rvalid_i.value = 0 if data is None else 1 << unit
            dut.rdata_i.value = (data or 0) << WIDTH * unit
            await FallingEdge(dut.clk_i)
            granted = value(dut.gnt_o)
            address = value(dut.addr_o) >> address_bits * unit & (1 << address_bits) - 1
            pipe.append(program[address] if granted else None)
            if value(dut.valid_o):
                first = first or now
                found.append(value(dut.instruction_o) >> WIDTH * unit & (1 << WIDTH) - 1)
            await RisingEdge(dut.clk_i)
            if len(found) == depth:
                break
        assert found == program and now == first + depth - 1

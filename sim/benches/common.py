"""What the benches share: clock and reset, streams with random stalls, packed arrays.

The clock rises every `PERIOD` ns. Inputs change right after the rising edge, outputs are sampled at the falling edge:
by then everything has settled, also outputs that depend on inputs combinationally.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.handle import ArrayObject, Immediate
from cocotb.triggers import FallingEdge, RisingEdge, Timer

PERIOD = 10
"""Nanoseconds of a clock cycle."""

STALLS = (0.0, 0.1, 0.5, 0.9)
"""Chances of a stall in a cycle, from which benches choose."""


def bench(cycles: int) -> Callable[[Any], Any]:
    """A test of a bench, with a limit in clock cycles, so that a hang is a failure."""
    return cocotb.test(timeout_time=cycles * PERIOD, timeout_unit="ns")


def generator(name: str = "") -> random.Random:
    """Random numbers from the seed of the bench and from `name`."""
    return random.Random(f"{os.environ.get('COCOTB_RANDOM_SEED', '1')} {name}")


async def start(dut: Any, *, reset: bool = True, **inputs: int) -> None:
    """Starts the clock and resets; all inputs are 0 except those given by name. Returns right after a rising edge.

    Args:
        dut: has `clk_i` and, with `reset`, `rst_ni`.
        reset: whether the module has a reset.
        inputs: values of inputs, by name without their `_i`.
    """
    for handle in dut:
        name = handle._name
        if name.endswith("_i") and name != "clk_i":
            handle.value = [0] * len(handle) if isinstance(handle, ArrayObject) else 0
    for name, value in inputs.items():
        getattr(dut, f"{name}_i").value = value
    # Registers and the clock are random until the first edge; the reset must be asserted before it.
    dut.clk_i.value = Immediate(0)
    if reset:
        # Icarus Verilog does not pass on a value that is written immediately at time 0.
        dut.rst_ni.value = 0 if cocotb.SIM_NAME.startswith("Icarus") else Immediate(0)
    await Timer(PERIOD, "ns")
    Clock(dut.clk_i, PERIOD, "ns").start()
    if reset:
        await cycles(dut, 3)
        dut.rst_ni.value = 1
    await RisingEdge(dut.clk_i)


async def cycles(dut: Any, number: int) -> None:
    """Waits for a number of rising edges."""
    for _ in range(number):
        await RisingEdge(dut.clk_i)


async def reset_midway(dut: Any, output: str) -> None:
    """Starts an operation, resets in each of its first 16 cycles, and checks that an output stays 0."""
    for cycle in range(16):
        dut.start_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        await cycles(dut, cycle)
        dut.rst_ni.value = 0
        await RisingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        for _ in range(25):
            await FallingEdge(dut.clk_i)
            assert not int(getattr(dut, output).value), cycle
            await RisingEdge(dut.clk_i)


def value(handle: Any) -> int:
    """An output as an unsigned integer. Call it at the falling edge."""
    return int(handle.value)


def lanes(handle: Any, count: int, bits: int, *, signed: bool = False) -> list[int]:
    """The elements of a packed array, element 0 (the lowest bits) first."""
    word = int(handle.value)
    mask = (1 << bits) - 1
    elements = [word >> bits * lane & mask for lane in range(count)]
    return [v - (v >> bits - 1 << bits) for v in elements] if signed else elements


def pack(values: Iterable[int], bits: int) -> int:
    """The bits of a packed array; element 0 is the lowest. Negative values in two's complement."""
    word = 0
    for lane, element in enumerate(values):
        word |= (element & (1 << bits) - 1) << bits * lane
    return word


class Source:
    """Drives a stream: a word is held until it is taken; random pauses before each word.

    Args:
        dut: the module.
        valid, ready: names of its ports.
        payload: names of the ports of a word, or one name.
        stall: chance that a pause goes on for another cycle.
        rng: random numbers.
        noise: whether the payload is random while valid is 0.

    Attributes:
        stall: may be changed at any time.
        sent: words that were taken so far.
    """

    def __init__(
        self, dut: Any, valid: str, ready: str, payload: str | Sequence[str], *,
        stall: float = 0.0, rng: random.Random | None = None, noise: bool = True,
    ) -> None:  # fmt: skip
        self._dut = dut
        self._valid, self._ready = getattr(dut, valid), getattr(dut, ready)
        self._single = isinstance(payload, str)
        names = [payload] if isinstance(payload, str) else payload
        self._payload = [getattr(dut, name) for name in names]
        self._rng = rng or generator(valid)
        self._noise = noise
        self._words: deque[Any] = deque()
        self.stall = stall
        self.sent: list[Any] = []
        self._valid.value = 0
        cocotb.start_soon(self._drive())

    def send(self, words: Iterable[Any]) -> None:
        """Queues words: integers, or tuples of them where there are several ports."""
        self._words.extend(words)

    async def empty(self) -> None:
        """Waits until all words were taken."""
        while self._words:
            await RisingEdge(self._dut.clk_i)

    def _show(self, word: Any) -> None:
        for handle, element in zip(self._payload, [word] if self._single else word, strict=True):
            handle.value = element

    async def _drive(self) -> None:
        while True:
            if not self._words or self._rng.random() < self.stall:
                self._valid.value = 0
                if self._noise:
                    for handle in self._payload:
                        handle.value = self._rng.getrandbits(len(handle))
                await RisingEdge(self._dut.clk_i)
                continue
            self._valid.value = 1
            self._show(self._words[0])
            while True:
                await FallingEdge(self._dut.clk_i)
                taken = int(self._ready.value)
                await RisingEdge(self._dut.clk_i)
                if taken:
                    break
            self.sent.append(self._words.popleft())


class Sink:
    """Takes a stream's words, with random stalls; fails if a word is withdrawn or changed before it was taken.

    Args:
        dut: the module.
        valid, ready: names of its ports.
        payload: names of the ports of a word, or one name.
        stall: chance in every cycle that no word is taken.
        rng: random numbers.

    Attributes:
        stall: may be changed at any time.
        words: what was taken so far: integers, or tuples of them where there are several ports.
    """

    def __init__(
        self, dut: Any, valid: str, ready: str, payload: str | Sequence[str], *,
        stall: float = 0.0, rng: random.Random | None = None,
    ) -> None:  # fmt: skip
        self._dut = dut
        self._valid, self._ready = getattr(dut, valid), getattr(dut, ready)
        self._single = isinstance(payload, str)
        names = [payload] if isinstance(payload, str) else payload
        self._payload = [getattr(dut, name) for name in names]
        self._rng = rng or generator(ready)
        self.stall = stall
        self.words: list[Any] = []
        cocotb.start_soon(self._watch())

    async def wait(self, count: int) -> None:
        """Waits until `count` words were taken in all."""
        while len(self.words) < count:
            await RisingEdge(self._dut.clk_i)

    async def _watch(self) -> None:
        held: Any = None
        while True:
            ready = int(self._rng.random() >= self.stall)
            self._ready.value = ready
            await FallingEdge(self._dut.clk_i)
            word: Any = None
            if int(self._valid.value):
                elements = tuple(int(handle.value) for handle in self._payload)
                word = elements[0] if self._single else elements
            assert held is None or word == held, (
                f"{self._valid._name}: {held} was followed by {word} without being taken"
            )
            held = None if ready else word
            if ready and word is not None:
                self.words.append(word)
            await RisingEdge(self._dut.clk_i)

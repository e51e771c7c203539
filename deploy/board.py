"""The driver of the engine on a board, over stock classes of pynq: `Overlay`, `DefaultIP`, `MMIO`, `DMA`, `allocate`.

These are the same in pynq 3.1 and 4.0. `docs/isa.md`, sections 2 and 9, says what the engine does, and
`hw.host.engine.Engine` is the interface that `Board` implements. Needs numpy and pynq only. Nothing here depends on
whether the device is virtual.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pynq
from pynq.pl_server.device import Device

from ..errors import LOG
from ..hw import isa
from ..hw.host.engine import (
    Closing,
    OnWrite,
    length_registers,
    padded,
    refused,
    results_of,
    stopped,
    where_of,
)
from ..hw.isa import BEAT_BYTES, MEMORIES, Command, Error, Memory, Store, Unit
from ..hw.isa.program import from_bytes
from .dma import DMA_TYPE, Buffer, Deadline, Dma, DriverError, Steps, finish
from .interrupt import find_interrupt
from .overlay import (
    ENGINE_TYPE,
    check_addresses,
    find_bitfile,
    find_ip,
    load_overlay,
    lock_device,
    unlock_device,
)
from .registers import CLEAR, DONE, ERROR, IDLE, EngineIP

_SECONDS = 10.0
"""The usual time limit of a command."""

_LONGEST = 86_400.0
"""The longest time limit."""

_PAUSE = 1e-4
"""Seconds between two looks at the registers in asynchronous use without an interrupt."""


class _Link:
    """What a board holds: the overlay, the engine, the DMA, the buffers, and the lock on the device.

    Attributes:
        overlay: of pynq.
        engine, dma: see `EngineIP` and `Dma`.
        sending, receiving: the buffers of the channels.
    """

    def __init__(self, overlay: Any, engine: EngineIP, dma: Dma, lock: int) -> None:
        self.overlay = overlay
        self.engine = engine
        self.dma = dma
        self.sending = Buffer(overlay.device, dma.check_buffer)
        self.receiving = Buffer(overlay.device, dma.check_buffer)
        self._lock = lock
        self._process = os.getpid()

    @property
    def ours(self) -> bool:
        """Whether this process opened the board; one that was forked from it must not use it."""
        return os.getpid() == self._process

    def release(self) -> None:
        """Ends what is in progress, frees the buffers and gives the device back."""
        if not self.ours:
            # The memory belongs to the process that allocated it.
            self.dma.keep(self.sending, self.receiving)
            return
        try:
            # With another overlay, this DMA is gone, and nothing may be at its address.
            if (self.dma.send.active or self.dma.receive.active) and self.overlay.is_loaded():
                self.engine.set("CONTROL", CLEAR)
                finish(self.dma.reset())
            self.sending.free()
            self.receiving.free()
        except DriverError as error:
            self.dma.keep(self.sending, self.receiving)
            LOG.warning("The buffers of the board are not freed: %s", error)
        finally:
            unlock_device(self._lock)


class Board(Closing):
    """The engine of an overlay. Implements `hw.host.engine.Engine`.

    It takes packets whose last beat carries TLAST, since the DMA sends no others, and of at least one beat. It never
    calls `on_write`: the memories can't be observed.

    Several threads may use it: their commands take turns. Another process, or another `Board` in this one, is refused
    the device.

    After a `DriverError` or a `ProgramError`, call `clear` before the next command. If the error came from RUN, program
    and constants are intact according to `docs/isa.md`; where the board itself is in doubt, load both again.

    Args:
        overlay: loaded; see `open`.
        timeout: seconds after which a command that has not ended is given up, at most a day.
        interrupt: False: poll. None: wait for the interrupt of the engine in asynchronous use if the overlay has one,
            and poll otherwise. True: wait for it in other use as well, where no event loop runs in the thread. pynq
            connects the interrupt to the event loop in which the board is opened; in others, the driver polls.

    Attributes:
        parameters, error, where, packet, counters: see `Engine`.
        timeout: see above.

    Raises:
        DriverError: the overlay is not one with this engine and its DMA, they do not react, the device is in use, or
            the time limit is out of range.
    """

    def __init__(
        self,
        overlay: pynq.Overlay,
        *,
        timeout: float = _SECONDS,
        interrupt: bool | None = None,
        _lock: int | None = None,
    ) -> None:
        lock = lock_device(overlay.device) if _lock is None else _lock
        try:
            engine, dma = self._open(overlay, timeout)
        except BaseException:
            unlock_device(lock)
            raise
        self._link = _Link(overlay, engine, dma, lock)
        super().__init__(self._link.release)
        self.timeout = timeout
        self.error = Error.NONE
        self.where: tuple[Unit, int] | None = None
        self.packet = b""
        self._counters: Mapping[str, int] | None = {}
        self._failed = False
        self._room = BEAT_BYTES
        self._busy = threading.Lock()
        try:
            self.parameters = engine.parameters
            self._interrupt = find_interrupt(overlay, engine, interrupt)
            self._always = interrupt is True
            self._loop = None if self._interrupt is None else _current_loop(idle=self._always)
            finish(self._recover())
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls,
        path: str | Path,
        device: Any = None,
        *,
        timeout: float = _SECONDS,
        interrupt: bool | None = None,
    ) -> Board:
        """Loads an overlay into a device, and opens its engine.

        Args:
            path: a .bit file with a .hwh file next to it, or a folder with these.
            device: of pynq; None for the active one.
            timeout, interrupt: see the class.

        Raises:
            DriverError: see the class; or there is no bitstream, or no device.
        """
        bitfile = find_bitfile(Path(path))
        if device is None:
            try:
                device = Device.active_device
            except RuntimeError:
                raise DriverError(
                    "pynq has found no device; run this on a board, as root, or use the virtual board."
                ) from None
        lock = lock_device(device)
        try:
            overlay = load_overlay(bitfile, device)
        except BaseException:
            unlock_device(lock)
            raise
        return cls(overlay, timeout=timeout, interrupt=interrupt, _lock=lock)

    @property
    def overlay(self) -> Any:
        """The overlay, of pynq."""
        return self._link.overlay

    @property
    def max_bytes(self) -> int:
        """The longest transfer of the DMA, and so the longest packet."""
        return self._link.dma.max_bytes

    @property
    def has_interrupt(self) -> bool:
        """Whether the driver can wait for the interrupt of the engine."""
        return self._interrupt is not None

    @property
    def clock_mhz(self) -> float | None:
        """The clock of the engine, as the processing system provides it; None if pynq can't tell."""
        try:
            return float(pynq.Clocks.fclk0_mhz)
        except (AttributeError, RuntimeError, ValueError):
            return None

    @property
    def counters(self) -> Mapping[str, int]:
        """See `Engine.counters`; they are read from the engine when they are asked for."""
        if self._counters is None:
            with self._turn():
                self._check_usable()
                self._counters = {name: self._link.engine.get(name) for name, _ in isa.COUNTERS}
        return self._counters

    def load_program(self, packet: bytes, *, last: bool = True) -> None:
        """See `Engine.load_program`."""
        self._execute(Command.PROGRAM, packet, last)
        # The engine has accepted it, so it can be read.
        stores = [one for one in from_bytes(packet).stream if isinstance(one, Store)]
        beats = sum(store.count for store in stores) * MEMORIES[Memory.WIDE].beats(self.parameters.lanes)
        self._room = (beats + 1) * BEAT_BYTES

    def init(self, packet: bytes, *, last: bool = True) -> None:
        """See `Engine.init`."""
        self._execute(Command.INIT, packet, last)

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        """See `Engine.run`.

        Raises:
            DriverError: the packet is empty, has no TLAST or is too long for the DMA; the DMA stopped with an error;
                the command did not end within `timeout`; or the last one failed and `clear` was not called.
        """
        return results_of(self._execute(Command.RUN, packet, last, lengths))

    async def run_async(self, packet: bytes, lengths: Sequence[int]) -> bytes:
        """`run` for use in an event loop: other tasks run while it waits, for the interrupt if the board has one."""
        while not self._busy.acquire(blocking=False):
            await asyncio.sleep(_PAUSE)
        try:
            steps = self._steps(Command.RUN, packet, True, lengths)
            return results_of(await self._finish_async(steps))
        finally:
            self._busy.release()

    def clear(self) -> None:
        """See `Engine.clear`: brings engine and DMA from any state to idle, by the recovery of docs/isa.md, section 2.

        Raises:
            DriverError: they do not become idle.
        """
        with self._turn():
            self._check_usable()
            finish(self._recover())

    def close(self) -> None:
        """See `Engine.close`."""
        with self._turn():
            super().close()

    def _open(self, overlay: Any, timeout: float) -> tuple[EngineIP, Dma]:
        if not 0 < timeout <= _LONGEST:
            raise DriverError(
                f"the time limit must be above 0 s and at most {_LONGEST:g} s, got {timeout:g} s."
            )
        engine_name, engine = find_ip(overlay, ENGINE_TYPE)
        dma_name, description = find_ip(overlay, DMA_TYPE)
        check_addresses(overlay)
        try:
            dma = Dma(description, overlay.device, lambda: getattr(overlay, dma_name), timeout)
            found = getattr(overlay, engine_name)
        except OSError as error:
            raise DriverError(
                f"the registers of the overlay can't be reached ({error}); run as root."
            ) from None
        # pynq has bound another class if the overlay was made before this module was imported.
        return found if isinstance(found, EngineIP) else EngineIP({**engine, "device": overlay.device}), dma

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Waits for the commands of other threads."""
        # In the thread of an event loop, the command that is waited for may be one of that loop.
        if not self._busy.acquire(timeout=2 * self.timeout):
            raise DriverError("the board is busy with another command; wait for its end.")
        try:
            yield
        finally:
            self._busy.release()

    def _check_usable(self) -> None:
        self._check_open()
        if not self._link.ours:
            raise DriverError(
                "another process opened this board, and this one was forked from it; open it here."
            )
        if not self._link.overlay.is_loaded():
            raise DriverError("another overlay has been loaded into the device; open the board again.")

    def _execute(
        self, command: Command, packet: bytes, last: bool, lengths: Sequence[int] | None = None
    ) -> bytes:
        with self._turn():
            steps = self._steps(command, packet, last, lengths)
            loop = self._loop if self._always else None
            if loop is not None and loop is _current_loop(idle=True) and not loop.is_running():
                task = loop.create_task(self._finish_async(steps))
                try:
                    return loop.run_until_complete(task)
                finally:
                    # A signal ends the loop, but not the task: it would go on in the loop of the next command.
                    task.cancel()
            return finish(steps)  # type: ignore[no-any-return]

    async def _finish_async(self, steps: Steps) -> bytes:
        """`finish`, in an event loop."""
        deadline = Deadline(self.timeout)
        try:
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                if self._interrupt is None or asyncio.get_running_loop() is not self._loop:
                    await asyncio.sleep(_PAUSE)
                else:
                    await self._interrupted(deadline)
        finally:
            steps.close()

    async def _interrupted(self, deadline: Deadline) -> None:
        """Waits for the interrupt.

        Raises:
            DriverError: it does not come in time.
        """
        try:
            await asyncio.wait_for(self._interrupt.wait(), deadline.left)
        except asyncio.TimeoutError:
            status = self._link.engine.get("STATUS")
            if status & (DONE | ERROR):
                raise DriverError(
                    f"the engine has ended, and its interrupt did not come within {self.timeout:g} s; open the board "
                    "with interrupt=False."
                ) from None

    def _steps(self, command: Command, packet: bytes, last: bool, lengths: Sequence[int] | None) -> Steps:
        """One command: it yields while it waits, and returns the packet that the engine sent."""
        self._check_usable()
        if self.error:
            raise refused()
        if self._failed:
            raise DriverError("the last command failed; clear the board first.")
        beats = padded(packet)
        if not beats or not last:
            raise DriverError("a packet must have at least one beat, and TLAST: the DMA sends no others.")
        link = self._link
        link.dma.check_length(max(len(beats), self._room if command is Command.RUN else 0))
        self.packet, self._counters = b"", None
        self._failed = True
        sending = link.sending.part(len(beats))
        sending[:] = np.frombuffer(beats, np.uint8)
        engine, dma = link.engine, link.dma
        if command is Command.RUN:
            receiving = link.receiving.part(self._room)
            dma.receive.start(receiving)
            assert lengths is not None
            engine.set("SENTENCES", len(lengths))
            for number, length in enumerate(length_registers(lengths)):
                engine.set(f"LENGTH{number}", length)
        engine.set("INTERRUPT", 1)
        engine.set("INTERRUPT_ENABLE", int(self._interrupt is not None))
        engine.set("CONTROL", command)
        dma.send.start(sending)
        deadline = Deadline(self.timeout)
        while not self._ended(command):
            if deadline.passed:
                raise self._late(command)
            yield
        if command is Command.RUN:
            size = dma.receive.finish()
            self.packet = receiving[:size].tobytes()
        engine.set("INTERRUPT", 1)
        status = engine.get("STATUS")
        if status & ERROR:
            self.error, self.where = self._error_of(status), where_of(engine.get("ERROR_WHERE"))
            raise stopped(self.error, self.where)
        dma.send.finish()
        self._failed = False
        return self.packet

    def _ended(self, command: Command) -> bool:
        """Whether the engine shows the end of the command, and its packet has arrived.

        Raises:
            DriverError: the DMA has stopped with an error.
        """
        dma = self._link.dma
        sent = dma.send.over
        if command is Command.RUN and not dma.receive.over:
            return False
        status = self._link.engine.get("STATUS")
        return bool(status & ERROR) or (bool(status & DONE) and sent)

    def _error_of(self, status: int) -> Error:
        code = status >> 8 & 0xFF
        try:
            return Error(code)
        except ValueError:
            raise DriverError(
                f"the register STATUS of the engine must show a known error, got {code}; load the overlay again."
            ) from None

    def _late(self, command: Command) -> DriverError:
        """The error for a command that has not ended in time: what each part is waiting for."""
        status = self._link.engine.get("STATUS")
        if status & ERROR:
            state = f"the engine has stopped with {self._error_of(status).name}"
        elif status & DONE:
            state = "the engine has ended"
        else:
            state = "the engine is still busy"
        waits = []
        if not self._link.dma.send.over:
            waits.append("its packet has not been taken")
        if command is Command.RUN and not self._link.dma.receive.over:
            waits.append("its results have not arrived")
        return DriverError(
            f"{command.name} did not end within {self.timeout:g} s: {', and '.join([state, *waits])}; repeat the "
            "sentence, or give a longer timeout."
        )

    def _recover(self) -> Steps:
        """The recovery of docs/isa.md, section 2; the numbers are those of its steps."""
        engine, dma = self._link.engine, self._link.dma
        self._failed = True
        # 1.
        engine.set("CONTROL", CLEAR)
        # 2.
        deadline = Deadline(self.timeout)
        with contextlib.suppress(DriverError):
            while dma.send.active:
                if dma.send.over:
                    dma.send.finish()
                elif deadline.passed:
                    break
                else:
                    yield
        # A receive that is pending may be the one that failed.
        if dma.send.active or dma.receive.active:
            yield from dma.reset()
        # 3.
        engine.set("CONTROL", CLEAR)
        engine.set("CONTROL", CLEAR)
        # 4.
        deadline = Deadline(self.timeout)
        while not engine.get("STATUS") & IDLE:
            if deadline.passed:
                raise DriverError("the engine does not become idle after clear; load the overlay again.")
            try:
                if dma.receive.active and dma.receive.over:
                    dma.receive.finish()
                if not dma.receive.active:
                    dma.receive.start(self._link.receiving.part(self._room))
            except DriverError:
                yield from dma.reset()
            yield
        # A pending receive, or beats that the DMA accepted before one was started, would spoil the next RUN.
        yield from dma.reset()
        engine.set("INTERRUPT", 1)
        self.error, self.where, self._failed = Error.NONE, None, False
        self._counters = {}


def _current_loop(*, idle: bool) -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread; with `idle`, or else one that it could run. None if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    try:
        return asyncio.get_event_loop_policy().get_event_loop() if idle else None
    except RuntimeError:
        return None

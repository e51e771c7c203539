"""The ports of a Verilated engine as a host sees them: registers, and a DMA with a send and a receive channel."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from enum import IntFlag
from functools import partial
from pathlib import Path
from typing import Any

from ...compilecache import load
from ...hw import isa
from ...hw.host.engine import Closing, padded, record_type
from ...hw.isa import BEAT_BYTES, Parameters
from ...hw.synthesis.silicon import PLAIN, Silicon
from . import coverage
from .verilate import Watch, build_library, watch_of

CLEAR = 1 << 31
"""CONTROL.clear."""

IDLE, DONE, ERROR = 1, 2, 4
"""Bits of STATUS."""

NEVER = (1 << 64) - 1
"""For `Bus.hold`: the channel does not stop."""

_REGISTERS = {register.name: register.address for register in isa.REGISTERS}


class Until(IntFlag):
    """What `Bus.step` waits for."""

    RAISED = 1
    """The interrupt has been raised during the call."""
    SENT = 2
    """The send channel has sent its packet."""
    RECEIVED = 4
    """The receive channel has received a packet."""


class Bus(Closing):
    """A Verilated engine in this process, with a host's side of its ports.

    Every cycle checks that an output beat stays until it is taken; see `broken`.

    Args:
        parameters: what the engine is built with.
        waves: a file for waveforms of all signals, .fst or .vcd, complete when the engine is closed; see
            `verilate.waves_in`.
        silicon: the resources that it is built of; no result and no cycle depends on them.

    Raises:
        UserError: Verilator, g++ or make is missing, or a header that waveforms need.
    """

    def __init__(
        self, parameters: Parameters, *, waves: Path | None = None, silicon: Silicon = PLAIN
    ) -> None:
        self.parameters = parameters
        watch = watch_of(waves)
        self._lib = _library(build_library(parameters, watch, silicon))
        self._model = self._lib.ng_new()
        counts = coverage.folder() if watch is Watch.COVERAGE else None
        super().__init__(partial(_free, self._lib, self._model, counts))
        if waves is not None:
            self._lib.ng_waves(self._model, str(waves).encode())

    @property
    def cycles(self) -> int:
        """Clock cycles simulated so far."""
        return int(self._call("cycles"))

    def write(self, register: str, value: int) -> None:
        """Writes a register."""
        self.write_at(_REGISTERS[register], value)

    def write_at(self, address: int, value: int) -> None:
        """Writes 32 bits to a byte address."""
        self._call("write", address, value)

    def write_later(self, cycle: int, register: str, value: int) -> None:
        """Writes a register during the next call of `step`.

        Args:
            cycle: after the start of that call, not less than that of the previous call of this function. A write after
                the end of `step` is lost.
            register, value: the name of the register and its new value.
        """
        self._call("write_later", cycle, _REGISTERS[register], value)

    def read(self, register: str) -> int:
        """Reads a register."""
        return self.read_at(_REGISTERS[register])

    def read_at(self, address: int) -> int:
        """Reads 32 bits from a byte address."""
        return int(self._call("read", address))

    def reset(self) -> None:
        """Four cycles of `rst_ni`, and a reset of both channels.

        The engine is then as after power-on, except that memories keep their content.
        """
        self._call("reset")

    def stall(self, chances: Sequence[int], seed: int) -> None:
        """Lets the streams stall at random.

        Args:
            chances: the probabilities, in 256, that a cycle offers no new input beat, and that it accepts no output
                beat.
            seed: of the random numbers.
        """
        self._call("stalls", *chances, seed)

    def send(self, packet: bytes, *, last: bool = True) -> None:
        """Starts the send channel; see `hw.host.engine.Engine` for `packet` and `last`."""
        beats = padded(packet)
        self._call("send", beats, len(beats) // BEAT_BYTES, last)

    def hold(self, *, send: int = NEVER, receive: int = NEVER) -> None:
        """Stops the channels after these numbers of beats of their packets, until another call."""
        self._call("hold", send, receive)

    def accept_early(self, beats: int) -> None:
        """Lets the receive channel accept this number of beats before it is started; its reset discards them."""
        self._call("early", beats)

    def receive(self) -> None:
        """Starts the receive channel: it receives one packet."""
        self._call("receive")

    def stop_send(self) -> None:
        """Resets the send channel: the rest of its packet is not sent, and a beat that is offered is withdrawn."""
        self._call("stop_send")

    def stop_receive(self) -> None:
        """Resets the receive channel: it accepts no further beat."""
        self._call("stop_receive")

    @property
    def sending(self) -> bool:
        """Whether the send channel has beats left."""
        return bool(self._call("sending"))

    @property
    def sent(self) -> int:
        """The number of beats of the send channel's packet that were taken."""
        return int(self._call("sent"))

    @property
    def receiving(self) -> bool:
        """Whether the receive channel has been started and its packet has not ended."""
        return bool(self._call("receiving"))

    @property
    def received(self) -> bytes:
        """The beats that the receive channel has received since it was started."""
        count = ctypes.c_uint64()
        data = self._call("received", ctypes.byref(count))
        return ctypes.string_at(data, BEAT_BYTES * count.value) if count.value else b""

    @property
    def received_beats(self) -> int:
        """The number of beats in `received`."""
        count = ctypes.c_uint64()
        self._call("received", ctypes.byref(count))
        return count.value

    @property
    def packets(self) -> int:
        """The number of output beats with TLAST that were taken."""
        return int(self._call("packets"))

    @property
    def ended(self) -> int:
        """The cycle in which the last of these was taken."""
        return int(self._call("ended"))

    @property
    def raised(self) -> int:
        """The first cycle in which the interrupt was raised, the last time."""
        return int(self._call("raised"))

    @property
    def interrupt(self) -> bool:
        """Whether the interrupt is raised."""
        return bool(self._call("interrupt"))

    @property
    def broken(self) -> str | None:
        """The first rule of the ports that the engine broke, if any."""
        text = self._call("broken")
        return None if text is None else text.decode()

    def step(self, cycles: int, until: Until = Until(0)) -> bool:  # noqa: B008 - an immutable number
        """Simulates some cycles.

        Args:
            cycles: how many, at most.
            until: conditions; it ends when all hold. None: it simulates all cycles.

        Returns:
            Whether the conditions hold; False if there are none.
        """
        return bool(self._call("step", cycles, int(until)))

    def advance(self, cycles: int) -> bool:
        """Simulates some cycles, or fewer: up to a change of the interrupt, or of what a channel does.

        Returns:
            Whether there was such a change.
        """
        return bool(self._call("pass", cycles))

    def watch(self, watches: bool) -> None:
        """Starts or ends the record of written words."""
        self._call("watch", watches)

    @property
    def records(self) -> bytes:
        """The words written since `watch`: `record_type` of each."""
        count = self._call("records")
        size = record_type(self.parameters.lanes).itemsize
        return ctypes.string_at(self._call("record"), count * size) if count else b""

    def _call(self, name: str, *arguments: Any) -> Any:
        self._check_open()
        return getattr(self._lib, f"ng_{name}")(self._model, *arguments)


def _library(path: Path) -> ctypes.CDLL:
    """The shared library with the types of its functions."""
    p, u32, u64, i = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int
    types: dict[str, tuple[Any, list[Any]]] = {
        "new": (p, []),
        "write": (None, [u32, u32]),
        "write_later": (None, [u64, u32, u32]),
        "read": (u32, [u32]),
        "stalls": (None, [u32, u32, u32]),
        "send": (None, [ctypes.c_char_p, u64, i]),
        "received": (p, [ctypes.POINTER(u64)]),
        "broken": (ctypes.c_char_p, []),
        "watch": (None, [i]),
        "record": (p, []),
        "step": (i, [u64, i]),
        "hold": (None, [u64, u64]),
        "pass": (i, [u64]),
        "early": (None, [u64]),
        **{name: (None, [ctypes.c_char_p]) for name in ("waves", "coverage")},
        **{name: (None, []) for name in ("delete", "reset", "receive", "stop_send", "stop_receive")},
        **{name: (i, []) for name in ("sending", "receiving", "interrupt")},
        **{name: (u64, []) for name in ("cycles", "sent", "packets", "ended", "raised", "records")},
    }
    library = load(path)
    for name, (result, arguments) in types.items():
        function = getattr(library, f"ng_{name}")
        function.restype = result
        function.argtypes = arguments if name == "new" else [p, *arguments]
    return library


def _free(lib: ctypes.CDLL, model: int, counts: Path | None) -> None:
    """Completes waveforms and coverage counts, and frees the simulation."""
    if counts is not None:
        lib.ng_coverage(model, str(coverage.new_file(counts)).encode())
    lib.ng_delete(model)

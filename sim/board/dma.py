"""A model of Xilinx's AXI DMA 7.1 in direct register mode, after its product guide PG021.

Both channels are 64 bits wide, without data realignment engine and without scatter-gather. The DMA is connected to the
streams of a Verilated engine, and to the memory of a board.

Where PG021 leaves a behaviour undefined, the model is strict: an address that is not a multiple of 8 is an internal
error; a channel with an error stays halted until the DMA is reset; LENGTH has no effect during a transfer.
Limits: the interrupt outputs are not connected, as in the block design; a packet to the engine is read from memory when
its transfer starts, and a packet from the engine is written when its transfer ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ...hw.isa import BEAT_BYTES
from ..rtl.bus import NEVER, Bus
from .faults import MM2S, S2MM, Corrupts, DmaError, Fails, Fault, Faults, LosesLast, Stalls, Truncates
from .memory import DecodeError, Memory

CONTROL, STATUS, ADDRESS, ADDRESS_MSB, LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28
"""Registers of a channel."""

OFFSETS = {MM2S: 0x00, S2MM: 0x30}
"""Where the registers of each channel are."""

RUN, RESET, COMPLETE_ENABLE, ERROR_ENABLE = 1 << 0, 1 << 2, 1 << 12, 1 << 14
"""Bits of DMACR: RS, Reset, IOC_IrqEn, Err_IrqEn."""

HALTED, IDLE, COMPLETE, ERROR = 1 << 0, 1 << 1, 1 << 12, 1 << 14
"""Bits of DMASR: Halted, Idle, IOC_Irq, Err_Irq. The error bits are `faults.DmaError`."""

# IRQThreshold is 1, the reserved bit 1 reads as 1; neither matters without scatter-gather.
_CONTROL_RESET = 0x10002
_CONTROL_BITS = RUN | COMPLETE_ENABLE | ERROR_ENABLE | 1 << 3 | 1 << 13 | 0xFFFF0000
_DELAY = 1 << 13
_INTERRUPTS = COMPLETE | _DELAY | ERROR
_ERRORS = DmaError.INTERNAL | DmaError.SLAVE | DmaError.DECODE
_RESET_CYCLES = 32
# "In the absence of any setup, AXI DMA will pull the s_axis_s2mm_tready signal Low after taking in four beats."
_EARLY_BEATS = 4

_Kind = TypeVar("_Kind", bound=Fault)


@dataclass
class _Channel:
    """The registers of a channel, and its transfer.

    Attributes:
        control, status, address, length: the registers; Halted and Idle are in `status`.
        start, room: first address and bytes of the buffer, while a transfer is in progress; else `room` is 0.
        faults: of the transfer.
    """

    name: str
    control: int = _CONTROL_RESET
    status: int = HALTED
    address: int = 0
    length: int = 0
    start: int = 0
    room: int = 0
    faults: list[Fault] = field(default_factory=list)


class Dma:
    """The DMA of a virtual board.

    Args:
        bus: whose streams it drives.
        memory: that it reads and writes.
        address_bits: of its addresses.
        length_bits: of a length.
        faults: that its transfers have.
    """

    def __init__(self, bus: Bus, memory: Memory, address_bits: int, length_bits: int, faults: Faults) -> None:
        self._bus = bus
        self._memory = memory
        self._address_mask = (1 << address_bits) - 1
        self._length_mask = (1 << length_bits) - 1
        self._faults = faults
        self._channels = {name: _Channel(name) for name in OFFSETS}
        self._reset_until = 0
        bus.accept_early(_EARLY_BEATS)

    def read(self, offset: int) -> int:
        """A register; 0 where there is none."""
        channel, register = self._at(offset)
        if register == CONTROL:
            return channel.control | (RESET if self._resets else 0)
        values = {
            STATUS: channel.status,
            ADDRESS: channel.address & 0xFFFFFFFF,
            ADDRESS_MSB: channel.address >> 32,
            LENGTH: channel.length,
        }
        return values.get(register, 0)

    def write(self, offset: int, value: int) -> None:
        """Writes a register; nothing happens where there is none, or during a reset."""
        if self._resets:
            return
        channel, register = self._at(offset)
        if register == CONTROL:
            self._control(channel, value)
        elif register == STATUS:
            channel.status &= ~(value & _INTERRUPTS)
        elif register == ADDRESS:
            channel.address = (channel.address >> 32 << 32 | value) & self._address_mask
        elif register == ADDRESS_MSB:
            channel.address = (value << 32 | channel.address & 0xFFFFFFFF) & self._address_mask
        elif register == LENGTH and not channel.status & HALTED and not channel.room:
            self._start(channel, value & self._length_mask)

    def reset(self) -> None:
        """A reset of the whole DMA: both channels are halted, and their transfers are lost."""
        for channel in self._channels.values():
            self._stop(channel)
            self._channels[channel.name] = _Channel(channel.name)
        self._bus.stop_send()
        self._bus.stop_receive()
        self._reset_until = self._bus.cycles + _RESET_CYCLES

    def update(self) -> None:
        """Ends the transfers that have ended on the streams. Call it after each simulated time."""
        bus = self._bus
        send, receive = self._channels[MM2S], self._channels[S2MM]
        if send.room and _first(send, Stalls) is None:
            fault = _first(send, Fails)
            if fault is not None and bus.sent >= fault.after:
                self._fail(send, fault.error)
            elif not bus.sending:
                self._complete(send, send.room)
        if receive.room and _first(receive, Stalls) is None:
            self._receive(receive)

    @property
    def _resets(self) -> bool:
        return self._bus.cycles < self._reset_until

    def _at(self, offset: int) -> tuple[_Channel, int]:
        name = S2MM if offset >= OFFSETS[S2MM] else MM2S
        return self._channels[name], offset - OFFSETS[name]

    def _control(self, channel: _Channel, value: int) -> None:
        if value & RESET:
            self.reset()
            return
        channel.control = value & _CONTROL_BITS | 1 << 1
        if channel.status & _ERRORS:
            channel.control &= ~RUN
        elif value & RUN:
            channel.status &= ~HALTED
        elif not channel.room:
            # Otherwise the channel halts when the transfer has ended.
            channel.status = channel.status & ~IDLE | HALTED

    def _start(self, channel: _Channel, length: int) -> None:
        """A length has been written to a channel that runs."""
        channel.length = length
        if length == 0 or channel.address % BEAT_BYTES:
            self._fail(channel, DmaError.INTERNAL)
            return
        try:
            self._memory.check(channel.address, length)
        except DecodeError:
            self._fail(channel, DmaError.DECODE)
            return
        channel.status &= ~IDLE
        channel.start, channel.room = channel.address, length
        channel.faults = self._faults.take(channel.name)
        self._memory.uses(channel.name, channel.address, length)
        if channel.name == MM2S:
            self._send(channel)
        else:
            self._hold()
            self._bus.receive()

    def _send(self, channel: _Channel) -> None:
        """Reads the packet, and offers its beats to the engine."""
        beats = -(-channel.room // BEAT_BYTES)
        packet = self._memory.read(channel.start, beats * BEAT_BYTES)
        for fault in channel.faults:
            if isinstance(fault, Truncates):
                packet = packet[: fault.beats * BEAT_BYTES]
        self._hold()
        self._bus.send(_corrupted(packet, channel.faults), last=_first(channel, LosesLast) is None)

    def _hold(self) -> None:
        """Stops the streams where the transfers in progress stop them."""
        send, receive = self._channels[MM2S], self._channels[S2MM]
        room = receive.room // BEAT_BYTES if receive.room else NEVER
        self._bus.hold(send=_stop_of(send), receive=min(_stop_of(receive), room))

    def _receive(self, channel: _Channel) -> None:
        """Looks at the packet that a channel receives."""
        bus = self._bus
        count = bus.received_beats
        fails, short = _first(channel, Fails), _first(channel, Truncates)
        if fails is not None and count >= fails.after:
            self._fail(channel, fails.error)
        elif short is not None and count >= short.beats:
            bus.stop_receive()
            self._complete(channel, short.beats * BEAT_BYTES)
        elif not bus.receiving and _first(channel, LosesLast) is None:
            self._complete(channel, count * BEAT_BYTES)
        elif count >= channel.room // BEAT_BYTES:
            # The buffer is full, and the packet has not ended.
            self._fail(channel, DmaError.INTERNAL)

    def _complete(self, channel: _Channel, length: int) -> None:
        """A transfer of some bytes has ended."""
        self._store(channel, length)
        channel.room = 0
        if channel.name == S2MM:
            channel.length = length
        channel.status |= IDLE | COMPLETE
        if not channel.control & RUN:
            channel.status = channel.status & ~IDLE | HALTED
        self._memory.releases(channel.name)

    def _fail(self, channel: _Channel, error: DmaError) -> None:
        """A channel halts with an error."""
        self._stop(channel)
        channel.status = channel.status & ~IDLE | HALTED | ERROR | error
        channel.control &= ~RUN

    def _stop(self, channel: _Channel) -> None:
        """Ends a transfer that is not complete; what has been received is in memory."""
        if not channel.room:
            return
        if channel.name == MM2S:
            self._bus.stop_send()
        else:
            self._bus.stop_receive()
            self._store(channel, channel.room)
        channel.room = 0
        self._memory.releases(channel.name)

    def _store(self, channel: _Channel, most: int) -> None:
        """Writes what a channel has received, at most some bytes."""
        if channel.name == S2MM:
            received = _corrupted(self._bus.received, channel.faults)[:most]
            if received:
                self._memory.write(channel.start, received)


def _first(channel: _Channel, kind: type[_Kind]) -> _Kind | None:
    """The first fault of a kind that the transfer has, if any."""
    return next((fault for fault in channel.faults if isinstance(fault, kind)), None)


def _stop_of(channel: _Channel) -> int:
    """The number of beats after which the faults of the transfer stop the stream."""
    stops = [fault.after for fault in channel.faults if isinstance(fault, Fails | Stalls)]
    if channel.name == S2MM:
        stops += [fault.beats for fault in channel.faults if isinstance(fault, Truncates)]
    return min(stops, default=NEVER)


def _corrupted(packet: bytes, faults: list[Fault]) -> bytes:
    """The packet with the bits inverted that the faults say."""
    beats = np.frombuffer(packet, "<u8").copy()
    for fault in faults:
        if isinstance(fault, Corrupts) and -len(beats) <= fault.beat < len(beats):
            beats[fault.beat] ^= np.uint64(fault.mask)
    return beats.tobytes()

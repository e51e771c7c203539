"""The engine in its wrapper: commands over AXI4-Lite and AXI4-Stream, with random stalls on all channels.

The scenario (`scenario.py`) holds the commands and their expected outcomes. `bench_ng_engine_checks` checks the
protocol of the outputs. During each command the host polls STATUS, so that registers and streams are used together.
Each RUN must send one packet, whatever becomes of it, and each clear must leave the engine idle.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, with_timeout
from cocotb.utils import get_sim_time
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from ...hw import isa
from ...hw.synthesis.sources import top_parameters
from .common import PERIOD, bench, cycles, generator, start
from .scenario import ENGINE, Step, read
from .setup import Setup

SETUP = Setup((top_parameters(ENGINE),), top="narrowgauge", checks=("bench_ng_engine_checks",))

REGISTERS = {register.name: register.address for register in isa.REGISTERS}
LIMIT = 60_000
"""Cycles after which a command is considered to hang."""

IDLE, DONE, ERROR = 1, 2, 4


class Pins:
    """Clock, reset and interrupt of the wrapper, by their names in the modules of the engine."""

    def __init__(self, dut: Any) -> None:
        self.clk_i, self.rst_ni, self.interrupt_o = dut.aclk, dut.aresetn, dut.interrupt

    def __iter__(self) -> Iterator[Any]:
        """The inputs that must be driven: none, as the AXI models drive all."""
        return iter(())


class Host:
    """The AXI models and the commands.

    Attributes:
        stall: chance in a cycle that a channel stands still.
        latencies: cycles from the write of a command to its interrupt that the counter CYCLES leaves out.
        packets: compared so far.
    """

    def __init__(self, dut: Any, pins: Pins) -> None:
        self._dut, self._pins = dut, pins
        self.stall = 0.0
        self.latencies: set[int] = set()
        self.packets = 0
        self._blocked = False
        clock, reset = pins.clk_i, pins.rst_ni
        self._axil = AxiLiteMaster(
            AxiLiteBus.from_prefix(dut, "s_axi"), clock, reset, reset_active_level=False
        )
        source, sink = AxiStreamBus.from_prefix(dut, "s_axis"), AxiStreamBus.from_prefix(dut, "m_axis")
        self._source = AxiStreamSource(source, clock, reset, reset_active_level=False, byte_size=64)
        self._sink = AxiStreamSink(sink, clock, reset, reset_active_level=False, byte_size=64)
        # The models log every access.
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
        write, read_ = self._axil.write_if, self._axil.read_if
        channels = (write.aw_channel, write.w_channel, write.b_channel, read_.ar_channel, read_.r_channel)
        for number, channel in enumerate((*channels, self._source, self._sink)):
            pauses = self._pauses(generator(f"stalls of channel {number}"), channel is self._sink)
            channel.set_pause_generator(pauses)

    def _pauses(self, rng: random.Random, results: bool) -> Iterator[bool]:
        while True:
            yield rng.random() < self.stall or (results and self._blocked)

    async def write(self, register: str, value: int) -> None:
        """Writes a register."""
        await self._axil.write_dword(REGISTERS[register], value)

    async def read(self, register: str) -> int:
        """Reads a register."""
        return int(await self._axil.read_dword(REGISTERS[register]))

    async def clear(self) -> None:
        """CONTROL.clear; the rest of the packet and the results that are still sent are taken."""
        await self.write("CONTROL", 1 << 31)
        self._blocked = False
        await self._until_idle()

    async def abandon(self, first: bool) -> None:
        """Resets the sending side within the packet, with a clear before (`first`) and two after it."""
        if first:
            await self.write("CONTROL", 1 << 31)
        self._source.assert_reset(True)
        self._source.clear()
        await cycles(self._pins, 2)
        self._source.assert_reset(False)
        await self.write("CONTROL", 1 << 31)
        await self.write("CONTROL", 1 << 31)
        self._blocked = False
        await self._until_idle()

    async def _until_idle(self) -> None:
        for _ in range(LIMIT):
            status = await self.read("STATUS")
            assert status & ~DONE in (0, IDLE), status
            if status:
                break
        else:
            raise AssertionError("not idle after a clear")
        assert await self.read("ERROR_WHERE") == 0

    async def reset(self) -> None:
        """Resets the engine and the AXI models."""
        self._pins.rst_ni.value = 0
        for stream in (self._source, self._sink):
            stream.clear()
        await cycles(self._pins, 3)
        self._pins.rst_ni.value = 1
        await cycles(self._pins, 2)
        assert await self.read("STATUS") == IDLE
        for name in (
            "ERROR_WHERE",
            "TIMEOUT",
            "SENTENCES",
            "LENGTH0",
            "LENGTH1",
            "INTERRUPT",
            "INTERRUPT_ENABLE",
        ):
            assert await self.read(name) == 0, name

    async def play(self, step: Step) -> None:
        """Runs a command, from its registers to its outcome."""
        self.stall = step.stall
        packet = bytes.fromhex(step.packet)
        beats = [int.from_bytes(packet[at : at + 8], "little") for at in range(0, len(packet), 8)]
        await self.write("SENTENCES", len(step.lengths))
        for number, length in enumerate(step.lengths[: isa.SENTENCES]):
            await self.write(f"LENGTH{number}", length)
        await self.write("TIMEOUT", step.timeout)
        await self.write("INTERRUPT_ENABLE", int(not step.quiet))
        self._blocked = step.blocked
        if not step.command:
            self._source.send_nowait(AxiStreamFrame(beats))
            await self._stop(step)
            return
        begun = cocotb.start_soon(self._taken("CONTROL"))
        if not step.timeout and beats and not step.writes:
            self._source.send_nowait(AxiStreamFrame(beats))
        await self.write("CONTROL", step.command)
        began = await begun
        # By now the start has cleared what a command that was stopped may have left pending.
        await cycles(self._pins, 4)
        if step.stop:
            await self._stop(step)
            return
        if step.writes:
            await self._write_over(step.writes, beats)
        polls = cocotb.start_soon(self._poll())
        if step.blocked and not step.code:
            await self._not_done()
        if step.quiet:
            await self._enable_late()
        elif not int(self._pins.interrupt_o.value):
            await with_timeout(RisingEdge(self._pins.interrupt_o), LIMIT * PERIOD, "ns")
        took = int((get_sim_time("ns") - began) // PERIOD)
        polls.cancel()
        await self._axil.wait()
        if step.timeout and beats:
            self._source.send_nowait(AxiStreamFrame(beats))
        await self._outcome(step, took)

    async def _stop(self, step: Step) -> None:
        """Stops a command; a RUN that was cleared has sent all its results, or some of them and a closing beat."""
        await cycles(self._pins, step.after)
        if step.stop == "reset":
            await self.reset()
            return
        await (self.clear() if step.stop == "clear" else self.abandon(first=step.after % 2 == 0))
        await with_timeout(self._source.wait(), LIMIT * PERIOD, "ns")
        if step.command == isa.Command.RUN:
            done = await self.read("STATUS") & DONE
            # It may have failed before it was stopped.
            await self._packet(step, {0, step.code}, complete=bool(done))

    async def _packet(self, step: Step, codes: set[int], *, complete: bool) -> None:
        """Receives the packet of a RUN: its results, or (if not `complete`) some of them and a closing beat."""
        frame = await with_timeout(self._sink.recv(), LIMIT * PERIOD, "ns")
        packet = b"".join(int(beat).to_bytes(8, "little") for beat in frame.tdata)
        results = bytes.fromhex(step.results)
        closings = [isa.closing_beat(isa.Error(code)) for code in codes]
        if complete:
            assert packet == (results or closings[0]), packet.hex()
        elif 0 not in codes or packet != results:
            assert packet[-8:] in closings and results.startswith(packet[:-8]), packet.hex()
        assert self._sink.empty() and self._sink.idle()
        self.packets += 1

    async def _not_done(self) -> None:
        """A RUN whose results wait is not done, however long; then they are taken."""
        while not int(self._dut.m_axis_tvalid.value):
            await RisingEdge(self._pins.clk_i)
        await cycles(self._pins, 200)
        assert await self.read("STATUS") == 0 and not int(self._pins.interrupt_o.value)
        self._blocked = False

    async def _enable_late(self) -> None:
        """An interrupt that is enabled after the end of a command is not raised for it."""
        while not await self.read("STATUS") & (DONE | ERROR):
            pass
        await self.write("INTERRUPT_ENABLE", 1)
        for _ in range(20):
            await RisingEdge(self._pins.clk_i)
            assert not int(self._pins.interrupt_o.value)

    async def _write_over(self, writes: Sequence[tuple[str, int]], beats: list[int]) -> None:
        """Writes registers during a command: half of them before its packet is sent, half while it is sent."""
        held: dict[str, int] = {}
        for number, (register, data) in enumerate(writes):
            if number == len(writes) // 2:
                self._source.send_nowait(AxiStreamFrame(beats))
            await self.write(register, data)
            held[register] = data
        for register in held.keys() & {"SENTENCES", "LENGTH0", "LENGTH1", "TIMEOUT"}:
            assert await self.read(register) == held[register], register
        await self.write("INTERRUPT_ENABLE", 1)

    async def _outcome(self, step: Step, took: int) -> None:
        status = await self.read("STATUS")
        assert await self.read("INTERRUPT") == int(not step.quiet)
        if not step.writes:
            await self.write("INTERRUPT", 1)
            assert await self.read("INTERRUPT") == 0
        if step.code:
            assert status == ERROR | step.code << 8, (status, step.code)
            self._blocked = False
            assert await self.read("ERROR_WHERE") == step.where
            # The rest of the packet is dropped, and commands are ignored until the clear.
            await with_timeout(self._source.wait(), LIMIT * PERIOD, "ns")
            await self.write("CONTROL", 3)
            assert await self.read("STATUS") == ERROR | step.code << 8
            assert await self.read("ERROR_WHERE") == step.where
            await self.clear()
            assert await self.read("STATUS") == IDLE
            if step.command == isa.Command.RUN:
                await self._packet(step, {step.code}, complete=False)
            assert self._sink.empty() and self._sink.idle()
            return
        assert status == IDLE | DONE, status
        assert await self.read("ERROR_WHERE") == 0
        counters = {name: await self.read(name) for name, _ in isa.COUNTERS}
        assert counters == {name: await self.read(name) for name, _ in isa.COUNTERS}, "counters went on"
        if not step.writes and not step.quiet and not step.blocked:
            self.latencies.add(took - counters["CYCLES"])
        for parts in (
            ("ARRAY_BUSY", "ARRAY_WAIT", "ARRAY_DRAIN", "ARRAY_STALL"),
            ("VECTOR_BUSY", "VECTOR_WAIT"),
            ("STREAM_BUSY", "STREAM_WAIT"),
        ):
            assert sum(counters[part] for part in parts) <= counters["CYCLES"], counters
        if step.busy is not None:
            assert counters["ARRAY_BUSY"] == step.busy, counters
        # The host has taken the last beat.
        if step.command == isa.Command.RUN:
            assert not self._sink.empty()
            await self._packet(step, {0}, complete=True)
        assert self._sink.empty() and self._sink.idle() and self._source.idle()

    async def _taken(self, register: str) -> float:
        """Waits until a register write is accepted."""
        dut = self._dut
        while True:
            await FallingEdge(self._pins.clk_i)
            if (
                int(dut.s_axi_awvalid.value)
                and int(dut.s_axi_awready.value)
                and int(dut.s_axi_awaddr.value) == REGISTERS[register]
            ):
                return float(get_sim_time("ns"))

    async def _poll(self) -> None:
        while True:
            assert await self.read("STATUS") & ~0xFF00 in (0, IDLE | DONE, ERROR)


@bench(3_000_000)
async def scenario(dut: Any) -> None:
    """All steps of the scenario, one after the other on one engine."""
    pins = Pins(dut)
    # The AXI models read the outputs from their first cycle on, which in a four-state simulator are unknown before the
    # reset.
    for name in ("s_axi_awvalid", "s_axi_wvalid", "s_axi_arvalid", "s_axis_tvalid"):
        getattr(dut, name).value = 0
    await start(pins)
    host = Host(dut, pins)
    await cycles(pins, 2)
    steps = read()
    for step in steps:
        await host.play(step)
    assert len(host.latencies) <= 1 and host.latencies <= set(range(6)), host.latencies
    assert host.packets == sum(step.command == isa.Command.RUN and step.stop != "reset" for step in steps)

"""The engine in its wrapper: commands over AXI4-Lite and AXI4-Stream, with random stalls on all channels.

The scenario (`scenario.py`) holds the commands and their expected outcomes. `bench_ng_engine_checks` checks the
protocol of the outputs. During each command the host polls STATUS, so that registers and streams are used together.
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
    """

    def __init__(self, dut: Any, pins: Pins) -> None:
        self._dut, self._pins = dut, pins
        self.stall = 0.0
        self.latencies: set[int] = set()
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
            channel.set_pause_generator(self._pauses(generator(f"stalls of channel {number}")))

    def _pauses(self, rng: random.Random) -> Iterator[bool]:
        while True:
            yield rng.random() < self.stall

    async def write(self, register: str, value: int) -> None:
        """Writes a register."""
        await self._axil.write_dword(REGISTERS[register], value)

    async def read(self, register: str) -> int:
        """Reads a register."""
        return int(await self._axil.read_dword(REGISTERS[register]))

    async def clear(self) -> None:
        """CONTROL.clear; the host's DMA restarts as well."""
        for stream in (self._source, self._sink):
            stream.assert_reset(True)
            stream.clear()
        await self.write("CONTROL", 1 << 31)
        await cycles(self._pins, 2)
        for stream in (self._source, self._sink):
            stream.assert_reset(False)
        # A command that had already ended is done.
        assert await self.read("STATUS") & ~DONE == IDLE
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
        await self.write("INTERRUPT_ENABLE", 1)
        await self.write("INTERRUPT", 1)
        begun = cocotb.start_soon(self._taken("CONTROL"))
        if not step.timeout and beats and not step.writes:
            self._source.send_nowait(AxiStreamFrame(beats))
        await self.write("CONTROL", step.command)
        began = await begun
        if step.stop:
            await cycles(self._pins, step.after)
            await (self.clear() if step.stop == "clear" else self.reset())
            return
        if step.writes:
            await self._write_over(step.writes, beats)
        polls = cocotb.start_soon(self._poll())
        if not int(self._pins.interrupt_o.value):
            await with_timeout(RisingEdge(self._pins.interrupt_o), LIMIT * PERIOD, "ns")
        took = int((get_sim_time("ns") - began) // PERIOD)
        polls.cancel()
        await self._axil.wait()
        if step.timeout and beats:
            self._source.send_nowait(AxiStreamFrame(beats))
        await self._outcome(step, took)

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
        assert await self.read("INTERRUPT") == 1
        await self.write("INTERRUPT", 1)
        assert await self.read("INTERRUPT") == 0
        if step.code:
            assert status == ERROR | step.code << 8, (status, step.code)
            assert await self.read("ERROR_WHERE") == step.where
            # The rest of the packet is dropped, and commands are ignored until the clear.
            await with_timeout(self._source.wait(), LIMIT * PERIOD, "ns")
            await self.write("CONTROL", 3)
            assert await self.read("STATUS") == ERROR | step.code << 8
            assert await self.read("ERROR_WHERE") == step.where
            await self.clear()
            assert await self.read("STATUS") == IDLE
            return
        assert status == IDLE | DONE, status
        assert await self.read("ERROR_WHERE") == 0
        counters = {name: await self.read(name) for name, _ in isa.COUNTERS}
        assert counters == {name: await self.read(name) for name, _ in isa.COUNTERS}, "counters went on"
        if not step.writes:
            self.latencies.add(took - counters["CYCLES"])
        for parts in (
            ("ARRAY_BUSY", "ARRAY_WAIT", "ARRAY_DRAIN", "ARRAY_STALL"),
            ("VECTOR_BUSY", "VECTOR_WAIT"),
            ("STREAM_BUSY", "STREAM_WAIT"),
        ):
            assert sum(counters[part] for part in parts) <= counters["CYCLES"], counters
        if step.busy is not None:
            assert counters["ARRAY_BUSY"] == step.busy, counters
        # The interrupt may come before the host has taken the last beat.
        results = b""
        if step.results:
            frame = await with_timeout(self._sink.recv(), LIMIT * PERIOD, "ns")
            results = b"".join(int(beat).to_bytes(8, "little") for beat in frame.tdata)
        assert results.hex() == step.results
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
    for step in read():
        await host.play(step)
    assert len(host.latencies) <= 1 and host.latencies <= set(range(5)), host.latencies

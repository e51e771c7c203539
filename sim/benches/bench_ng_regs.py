"""ng_regs: every register over AXI4-Lite with stalls, and cycle by cycle against a model of the registers."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiLiteReadBus, AxiLiteWriteBus
from cocotbext.axi.axil_channels import AxiLiteARBus, AxiLiteAWBus, AxiLiteBBus, AxiLiteRBus, AxiLiteWBus

from ...fixedpoint import ACC_BITS
from ...hw import isa
from ...hw.isa import Memory, Parameters
from .common import bench, cycles, generator, lanes, start, value
from .setup import Setup, depths

ENGINE = Parameters(**{f"{memory.name.lower()}_depth": 40 + 2 * memory for memory in Memory})
"""No two memories have the same depth."""

SETUP = Setup(({"Lanes": 16, "Depths": depths(ENGINE)},))

ADDRESSES = {register.name: register.address for register in isa.REGISTERS}
HOLDERS = ("TIMEOUT", "SENTENCES", "LENGTH0", "LENGTH1")
COUNTERS = [name for name, _ in isa.COUNTERS]
WORD = 0xFFFFFFFF


def _bus(kind: Any, dut: Any, inputs: str, outputs: str) -> Any:
    """A channel whose ports are called name_i and name_o."""
    names = {name: f"{name}_i" for name in inputs.split()} | {name: f"{name}_o" for name in outputs.split()}
    bus: Any = type(kind.__name__, (kind,), {"_signals": names, "_optional_signals": []})
    return bus.from_entity(dut)


def master(dut: Any) -> AxiLiteMaster:
    """The AXI model on the module's ports."""
    write = AxiLiteWriteBus(
        _bus(AxiLiteAWBus, dut, "awaddr awvalid", "awready"),
        _bus(AxiLiteWBus, dut, "wdata wstrb wvalid", "wready"),
        _bus(AxiLiteBBus, dut, "bready", "bvalid"),
    )
    read = AxiLiteReadBus(
        _bus(AxiLiteARBus, dut, "araddr arvalid", "arready"), _bus(AxiLiteRBus, dut, "rready", "rdata rvalid")
    )
    logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
    return AxiLiteMaster(AxiLiteBus(write, read), dut.clk_i, dut.rst_ni, reset_active_level=False)


def constants(dut: Any) -> dict[str, int]:
    """The constant registers."""
    depths = lanes(dut.Depths, len(Memory), 32)
    return {
        "ID": isa.ENGINE_ID, "VERSION": isa.ISA_VERSION, "CONTROL": 0, "LANES": int(dut.Lanes.value),
        "ACC_BITS": ACC_BITS,
        **{f"{memory.name}_DEPTH": depths[memory] for memory in Memory},
    }  # fmt: skip


@bench(40_000)
async def every_register(dut: Any) -> None:
    """Reads and writes by the AXI model, all channels stalled, also both at once."""
    rng = generator()
    axil = master(dut)
    await start(dut)
    write, read = axil.write_if, axil.read_if

    def pauses(stall: float) -> Iterator[bool]:
        while True:
            yield rng.random() < stall

    fixed = constants(dut)
    assert len({fixed[f"{memory.name}_DEPTH"] for memory in Memory}) == len(Memory), "depths tell nothing"
    for stall in (0.0, 0.3, 0.8):
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            channel.set_pause_generator(pauses(stall))
        code, status, where = rng.getrandbits(8), rng.getrandbits(3), rng.getrandbits(32)
        dut.code_i.value, dut.where_i.value = code, where
        dut.idle_i.value, dut.done_i.value, dut.error_i.value = status & 1, status >> 1 & 1, status >> 2
        await cycles(dut, 1)
        held = {name: rng.getrandbits(32) for name in HOLDERS}
        expected = {**fixed, **held, "STATUS": code << 8 | status, "ERROR_WHERE": where, "INTERRUPT": 0}
        expected |= {"INTERRUPT_ENABLE": 1, **dict.fromkeys(COUNTERS, 0)}
        for name, word in {
            **held,
            "INTERRUPT_ENABLE": 1,
            "ID": 5,
            "STATUS": 7,
            "LANES": 3,
            "CYCLES": 9,
        }.items():
            await axil.write_dword(ADDRESSES[name], word)
        assert set(expected) == set(ADDRESSES)
        for name, address in ADDRESSES.items():
            assert await axil.read_dword(address) == expected[name], name
        # Bytes of a register, and a read of another one at the same time.
        for _ in range(20):
            name, other, at, count = (
                rng.choice(HOLDERS),
                rng.choice(list(ADDRESSES)),
                rng.randrange(4),
                rng.randint(1, 4),
            )
            data = rng.randbytes(min(count, 4 - at))
            reading = cocotb.start_soon(axil.read(ADDRESSES[other], 4)) if other != name else None
            await axil.write(ADDRESSES[name] + at, data)
            old = held[name].to_bytes(4, "little")
            held[name] = int.from_bytes(old[:at] + data + old[at + len(data) :], "little")
            if reading:
                want = held[other] if other in held else expected[other]
                assert int.from_bytes((await reading).data, "little") == want, other
            assert await axil.read_dword(ADDRESSES[name]) == held[name], name
        # Addresses without a register.
        for address in (0x2C, 0x3C, 0x7C, 0xA8, 0xFC):
            await axil.write_dword(address, rng.getrandbits(32))
            assert await axil.read_dword(address) == 0


class Model:
    """A model of the registers, after docs/isa.md."""

    def __init__(self, fixed: dict[str, int]) -> None:
        self.fixed = fixed
        self.held = dict.fromkeys(HOLDERS, 0)
        self.enable = self.pending = self.interrupt = self.count = 0
        self.counters = [0] * len(COUNTERS)
        self.start = self.clear = 0
        self.command: int | None = None

    def read(self, address: int, inputs: dict[str, int]) -> int:
        """The word that a read returns."""
        name = next((name for name, at in ADDRESSES.items() if at == address & ~3), None)
        if name is None:
            return 0
        if name == "STATUS":
            return inputs["code"] << 8 | inputs["error"] << 2 | inputs["done"] << 1 | inputs["idle"]
        if name in COUNTERS:
            return self.counters[COUNTERS.index(name)]
        special = {"ERROR_WHERE": inputs["where"], "INTERRUPT_ENABLE": self.enable, "INTERRUPT": self.pending}
        return {**self.fixed, **self.held, **special}[name]

    def cycle(self, write: tuple[int, int, int] | None, inputs: dict[str, int]) -> None:
        """The end of a cycle, with a write (address, data, strobes) or without one."""
        self.start = self.clear = 0
        self.interrupt = self.enable & self.pending
        # A command that starts clears what is pending, also the end of the one before in the same cycle; an end is
        # pending if the interrupt is enabled.
        if inputs["starts"]:
            self.pending = 0
        ends = int(inputs["ends"] and self.enable and not inputs["starts"])
        self.pending |= ends
        count, self.count = self.count, inputs["count"]
        for number in range(len(COUNTERS)):
            if inputs["starts"]:
                self.counters[number] = 0
            elif count >> number & 1:
                self.counters[number] = min(WORD, self.counters[number] + 1)
        if write is None:
            return
        address, data, strobes = write
        mask = sum(0xFF << 8 * n for n in range(4) if strobes >> n & 1)
        name = next((name for name, at in ADDRESSES.items() if at == address & ~3), None)
        if name in self.held:
            self.held[name] = self.held[name] & ~mask | data & mask
        elif name == "INTERRUPT_ENABLE" and mask & 1:
            self.enable = data & 1
        elif name == "INTERRUPT" and data & mask & 1:
            self.pending = ends
        elif name == "CONTROL":
            self.clear = (data & mask) >> 31
            self.start = mask & 1 and not self.clear
            self.command = data & 7


def _inputs(dut: Any, rng: random.Random) -> dict[str, int]:
    inputs = {
        "code": rng.getrandbits(8), "where": rng.getrandbits(32), "idle": rng.getrandbits(1),
        "done": rng.getrandbits(1),
        "error": rng.getrandbits(1), "ends": int(rng.random() < 0.1), "starts": int(rng.random() < 0.05),
        "count": rng.getrandbits(len(COUNTERS)),
    }  # fmt: skip
    for name, word in inputs.items():
        getattr(dut, f"{name}_i").value = word
    return inputs


@bench(20_000)
async def every_cycle(dut: Any) -> None:
    """Random accesses, a write and a read in the same cycle among them; every output in every cycle."""
    rng = generator()
    await start(dut)
    model = Model(constants(dut))
    addresses = [*ADDRESSES.values(), 0x2C, 0xFC]
    special = [ADDRESSES["CONTROL"], ADDRESSES["INTERRUPT"]]
    # What each register between a request and its response holds.
    writes = reads = responses = False
    reading: int | None = None
    data: int | None = None
    aw = w = ar = False
    accesses = 0
    for number in range(8_000):
        if number % 1000 == 999:
            # Whatever the registers hold, a reset of one cycle clears them.
            for name in ("rst_ni", "awvalid_i", "wvalid_i", "arvalid_i"):
                getattr(dut, name).value = 0
            await RisingEdge(dut.clk_i)
            dut.rst_ni.value = 1
            model, data, reading = Model(constants(dut)), None, None
            aw = w = ar = writes = reads = responses = False
        inputs = _inputs(dut, rng)
        busy = number % 4000 < 2000
        if not aw:
            aw = rng.random() < (0.7 if busy else 0.2)
            # CONTROL and INTERRUPT have the most effects.
            target = rng.choice(special if rng.random() < 0.3 else addresses)
            dut.awaddr_i.value = target | rng.choice((0, 0, 1, 3))
        if not w:
            w = rng.random() < (0.7 if busy else 0.3)
            dut.wdata_i.value = rng.choice((0, 1, 1 << 31, WORD, rng.getrandbits(32)))
            dut.wstrb_i.value = rng.choice((15, 15, rng.getrandbits(4)))
        if not ar:
            ar = rng.random() < 0.6
            dut.araddr_i.value = rng.choice(addresses) | rng.choice((0, 0, 2))
        dut.awvalid_i.value, dut.wvalid_i.value, dut.arvalid_i.value = aw, w, ar
        dut.bready_i.value, dut.rready_i.value = rng.random() < 0.7, rng.random() < 0.7
        if rng.random() < 0.002:
            # Near the end of their range.
            dut.counters_q.value = sum((WORD - 3) << 32 * n for n in range(len(COUNTERS)))
            model.counters = [WORD - 3] * len(COUNTERS)
        await FallingEdge(dut.clk_i)
        assert value(dut.start_o) == model.start and value(dut.clear_o) == model.clear, number
        if model.start:
            assert value(dut.command_o) == model.command
        assert value(dut.interrupt_o) == model.interrupt, number
        outputs = (value(dut.timeout_o), value(dut.sentences_o), *lanes(dut.lengths_o, 2, 32))
        assert outputs == tuple(model.held.values()), number
        assert value(dut.bvalid_o) == responses and value(dut.rvalid_o) == (data is not None), number
        if data is not None:
            assert value(dut.rdata_o) == data, number
        # An access is accepted in the cycle after its request, as soon as the response of the previous one is.
        assert value(dut.awready_o) == value(dut.wready_o) == writes, number
        assert value(dut.arready_o) == reads, number
        write = (value(dut.awaddr_i), value(dut.wdata_i), value(dut.wstrb_i)) if writes else None
        answered, read = value(dut.bready_i), value(dut.rready_i)
        wrote, asked = writes, reads
        writes = aw and w and not wrote and bool(answered or not responses)
        reads = ar and not asked and reading is None and bool(read or data is None)
        responses = wrote or (responses and not answered)
        if reading is not None:
            data = model.read(reading, inputs)
        elif read:
            data = None
        reading = value(dut.araddr_i) if asked else None
        aw, w, ar = aw and not wrote, w and not wrote, ar and not asked
        accesses += wrote + asked
        model.cycle(write, inputs)
        await RisingEdge(dut.clk_i)
    assert accesses > 2000, accesses

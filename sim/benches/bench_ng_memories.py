"""ng_memories: every memory through all of its ports, and the arbitration of shared ports."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw.isa import MEMORIES, Memory, Parameters, Space
from . import structs
from .common import bench, generator, pack, start, value
from .setup import Setup, depths


def _unequal(lanes: int) -> dict[str, int | str]:
    """Few words, so that all are written often; no two memories have the same depth."""
    engine = Parameters(lanes=lanes, **{f"{memory.name.lower()}_depth": 4 + 2 * memory for memory in Memory})
    return {"Lanes": lanes, "Depths": depths(engine)}


SETUP = Setup((_unequal(8),), slow=(_unequal(16), _unequal(32)))

OP = structs.struct("op_t")
WORD, LOOKUP, INDEX = (structs.number(f"{kind}Latency") for kind in ("Word", "Lookup", "Index"))
LOADED = (Memory.WEIGHT, Memory.BIAS, Memory.NORM, Memory.TABLE, Memory.EXP, Memory.INDEX)
DRAINED = (Space.KV, Space.ACT, Space.SCORE, Space.WIDE)


REFUSED = {Memory.WEIGHT: "residual, load", Memory.TABLE: "table, load", Memory.EXP: "exp, load"}
"""Why a LOAD may be refused, by its memory."""

CLASHES = (
    *REFUSED.values(), "residual, feed of VECTOR", "residual, vector unit", "residual, store", "vector unit, store",
    "load of WEIGHT, feed",
)  # fmt: skip
"""Two users of one port in one cycle."""


class Memories:
    """The words that were written, and those that must be read.

    Attributes:
        now: the cycle.
        stat: address of the last read of STAT, which the vector unit keeps.
        checked: words that were compared, by port.
    """

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.lanes = int(dut.Lanes.value)
        depths = int(dut.Depths.value)
        self.depths = {memory: depths >> 32 * memory & (1 << 32) - 1 for memory in Memory}
        self.bits = {memory: MEMORIES[memory].bits(self.lanes) for memory in Memory}
        self._words: dict[tuple[Memory, int], int] = {}
        self._reads: list[tuple[str, int, int, Memory, list[int]]] = []
        self._writes: list[tuple[Memory, int, int]] = []
        self._expected: dict[int, list[tuple[str, int, int, int]]] = {}
        self.now = 0
        self.stat = 0
        self.checked: Counter[str] = Counter()

    def address(self, memory: Memory) -> int:
        """A random address of a memory, more often one of the ends."""
        last = self.depths[memory] - 1
        return self.rng.choice((0, last, self.rng.randint(0, last)))

    def read(
        self, port: str, memory: Memory, addresses: list[int], latency: int = WORD, first: int = 0
    ) -> None:
        """Words are read in this cycle; they appear `latency` cycles later on a port, from its word `first` on."""
        self._reads.append((port, latency, first, memory, addresses))

    def write(self, memory: Memory, address: int, word: int) -> None:
        """A word is written in this cycle."""
        self._writes.append((memory, address, word))

    def check(self) -> None:
        """The middle of a cycle: compares the words that were read."""
        for name, low, width, word in self._expected.pop(self.now, ()):
            bits = value(getattr(self.dut, name)) >> low & (1 << width) - 1
            assert bits == word, f"{name}, bits from {low}, cycle {self.now}"
            self.checked[name] += 1

    def end(self) -> None:
        """The end of a cycle: reads take their words, then writes take effect."""
        writes = {(memory, address) for memory, address, _ in self._writes}
        for port, latency, first, memory, addresses in self._reads:
            for place, address in enumerate(addresses):
                # A read of a word that is written in the same cycle is undefined.
                if (memory, address) in writes or (memory, address) not in self._words:
                    continue
                width, word = self.bits[memory], self._words[memory, address]
                entry = port, (first + place) * width, width, word
                self._expected.setdefault(self.now + latency, []).append(entry)
        for memory, address, word in self._writes:
            self._words[memory, address] = word
        self._reads, self._writes = [], []
        self.now += 1


@bench(40_000)
async def ports(dut: Any) -> None:
    """Random requests on all ports at once, dense and sparse."""
    rng = generator()
    await start(dut)
    m = Memories(dut, rng)
    seen: Counter[str] = Counter()
    for now in range(9000):
        busy = (1.0, 0.6, 0.2)[now // 100 % 3]
        seen.update(await cycle(dut, rng, m, busy))
    ports = (
        "weight_a",
        "weight_b",
        "kv",
        "act",
        "vector",
        "wide",
        "bias",
        "norm",
        "table",
        "exp",
        "score",
        "stat",
        "index",
    )
    assert min(m.checked[f"{name}_o"] for name in ports) > 300, m.checked
    assert min(seen[name] for name in CLASHES) > 30, seen


async def cycle(dut: Any, rng: random.Random, m: Memories, busy: float) -> list[str]:
    """A cycle with random requests; returns the clashes of users in it."""

    def asks() -> bool:
        return rng.random() < busy

    for handle in dut:
        if handle._name.endswith("_i") and handle._name not in ("clk_i", "rst_ni"):
            handle.value = rng.getrandbits(len(handle))
    clashes = []

    # The drain, which is always granted.
    residual = rng.choice((Space.WEIGHT, Space.VECTOR, Space.WIDE)) if asks() else None
    dut.residual_valid_i.value = residual is not None
    if residual is not None:
        memory = Memory(residual)
        address = m.address(memory)
        dut.residual_space_i.value, dut.residual_addr_i.value = residual, address
        port = {Memory.WEIGHT: "weight_b_o", Memory.VECTOR: "vector_o", Memory.WIDE: "wide_o"}[memory]
        m.read(port, memory, [address])
    dut.bias_re_i.value = bias = asks()
    if bias:
        dut.bias_addr_i.value = address = m.address(Memory.BIAS)
        m.read("bias_o", Memory.BIAS, [address])
    lookups = {}
    for name, memory in (("table", Memory.TABLE), ("exp", Memory.EXP)):
        lookups[memory] = asks()
        getattr(dut, f"{name}_re_i").value = lookups[memory]
        if lookups[memory]:
            addresses = [m.address(memory) for _ in range(m.lanes)]
            handle = getattr(dut, f"{name}_addr_i")
            handle.value = pack(addresses, len(handle) // m.lanes)
            m.read(f"{name}_o", memory, addresses, LOOKUP)
    dut.write_valid_i.value = writes = asks()
    if writes:
        space = rng.choice(DRAINED)
        address, word = m.address(Memory(space)), rng.getrandbits(16 * m.lanes)
        dut.write_space_i.value, dut.write_addr_i.value, dut.write_i.value = space, address, word
        lanes = [word >> 16 * lane for lane in range(m.lanes)]
        m.write(Memory(space), address, word if space is Space.WIDE else pack(lanes, 8))
    dut.stat_we_i.value = writes = asks()
    if writes:
        address, word = m.address(Memory.STAT), rng.getrandbits(m.bits[Memory.STAT])
        dut.stat_waddr_i.value, dut.stat_i.value = address, word
        m.write(Memory.STAT, address, word)

    # The vector unit and STORE.
    dut.stat_re_i.value = reads = asks()
    if reads:
        m.stat = m.address(Memory.STAT)
        m.read("stat_o", Memory.STAT, [m.stat], 1)
    dut.stat_raddr_i.value = m.stat
    dut.score_re_i.value = reads = asks()
    if reads:
        dut.score_addr_i.value = address = m.address(Memory.SCORE)
        m.read("score_o", Memory.SCORE, [address])
    dut.vector_we_i.value = writes = asks()
    if writes:
        address, word = m.address(Memory.VECTOR), rng.getrandbits(m.bits[Memory.VECTOR])
        dut.vector_waddr_i.value, dut.vector_i.value = address, word
        m.write(Memory.VECTOR, address, word)
    norm, store = asks(), asks()
    dut.vector_wide_re_i.value, dut.store_re_i.value = norm, store
    wide_address, norm_address, store_address = (
        m.address(x) for x in (Memory.WIDE, Memory.NORM, Memory.WIDE)
    )
    dut.vector_wide_addr_i.value, dut.norm_addr_i.value = wide_address, norm_address
    dut.store_addr_i.value = store_address
    norm_granted = norm and residual is not Space.WIDE
    store_granted = store and residual is not Space.WIDE and not norm
    if norm_granted:
        m.read("wide_o", Memory.WIDE, [wide_address])
        m.read("norm_o", Memory.NORM, [norm_address])
    if store_granted:
        m.read("wide_o", Memory.WIDE, [store_address])
    clashes += ["residual, vector unit"] * (norm and residual is Space.WIDE)
    clashes += ["residual, store"] * (store and residual is Space.WIDE) + ["vector unit, store"] * (
        norm and store
    )

    # LOAD.
    load = rng.choice(LOADED) if asks() else None
    dut.load_valid_i.value = load is not None
    load_granted = False
    if load is not None:
        address, word = m.address(load), rng.getrandbits(len(dut.load_i))
        dut.load_memory_i.value, dut.load_addr_i.value, dut.load_i.value = load, address, word
        refused = {Memory.WEIGHT: residual is Space.WEIGHT, **lookups}.get(load, False)
        load_granted = not refused
        if load_granted:
            m.write(load, address, word & (1 << m.bits[load]) - 1)
        if refused:
            clashes.append(REFUSED[load])

    # The feed, which does not read a busy port.
    weight_busy = residual is Space.WEIGHT or load is Memory.WEIGHT
    vector_busy = residual is Space.VECTOR
    a_space = rng.choice((Space.WEIGHT, Space.KV, Space.IDENTITY))
    b_space = rng.choice((Space.WEIGHT, Space.ACT, Space.VECTOR))
    blocked = (b_space is Space.WEIGHT and weight_busy) or (b_space is Space.VECTOR and vector_busy)
    feeds = asks()
    clashes += ["load of WEIGHT, feed"] * (feeds and b_space is Space.WEIGHT and load is Memory.WEIGHT)
    clashes += ["residual, feed of VECTOR"] * (feeds and b_space is Space.VECTOR and vector_busy)
    # An operation that reads nothing is not blocked.
    reads = feeds and not blocked
    dut.op_valid_i.value = feeds and (reads or rng.random() < 0.5)
    dut.op_i.value = OP.pack(
        a_space=a_space, b_space=b_space, reads=reads, k=rng.getrandbits(13), number=rng.getrandbits(10)
    )
    a_address, b_address = (
        m.address(Memory(s)) if s is not Space.IDENTITY else 0 for s in (a_space, b_space)
    )
    dut.a_addr_i.value, dut.b_addr_i.value = a_address, b_address
    if reads:
        if a_space is not Space.IDENTITY:
            m.read({Space.WEIGHT: "weight_a_o", Space.KV: "kv_o"}[a_space], Memory(a_space), [a_address])
        port = {Space.WEIGHT: "weight_b_o", Space.ACT: "act_o", Space.VECTOR: "vector_o"}[b_space]
        m.read(port, Memory(b_space), [b_address])
    index = [asks(), asks()]
    addresses = [m.address(Memory.INDEX), m.address(Memory.INDEX)]
    dut.index_re_i.value = pack(index, 1)
    dut.index_addr_i.value = pack(addresses, len(dut.index_addr_i) // 2)
    for side in range(2):
        if index[side]:
            m.read("index_o", Memory.INDEX, [addresses[side]], INDEX, side)

    await FallingEdge(dut.clk_i)
    assert value(dut.weight_b_busy_o) == weight_busy and value(dut.vector_busy_o) == vector_busy
    assert value(dut.vector_wide_gnt_o) == norm_granted and value(dut.store_gnt_o) == store_granted
    assert load is None or value(dut.load_gnt_o) == load_granted, load
    m.check()
    await RisingEdge(dut.clk_i)
    m.end()
    return clashes

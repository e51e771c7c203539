"""An engine written from `docs/isa.md` alone: one lane, one word, one beat at a time, in Python's integers.

Tests compare every executor with it. It shares nothing with them but names and encodings, and is slow on purpose. Where
the document leaves something open, a comment that begins with "Open:" states the reading.
"""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Iterator, Sequence

from ...hw import isa
from ...hw.isa import (
    Contract,
    Count,
    Error,
    Indexed,
    Instruction,
    LayerNorm,
    Load,
    Memory,
    Parameters,
    Softmax,
    Space,
    Stat,
    Store,
    Unit,
)
from ...hw.isa.program import ProgramError
from .units import Statistic, drained, gathered, layer_norm, softmax, vector_error, wrap

STEPS = 6000
"""Words that a command may multiply or write before it is `TooLong`."""


class TooLong(Exception):  # noqa: N818 - it is no error of the program
    """The program takes too long in this interpreter."""


class Packet:
    """The beats of a command's packet."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def word(self, beats: int) -> int:
        """The next word; the packet must hold all its beats."""
        if self.at + 8 * beats > len(self.data):
            raise EOFError
        value = int.from_bytes(self.data[self.at : self.at + 8 * beats], "little")
        self.at += 8 * beats
        return value

    @property
    def over(self) -> bool:
        """Whether all beats were read."""
        return self.at >= len(self.data)


class Oracle:
    """One engine: memories, a program, an image, and the error that stopped it."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.n = parameters.lanes
        self.memory: dict[Memory, list[list[int]]] = {}
        for memory in Memory:
            lanes = self.n if isa.MEMORIES[memory].lane_bits else 1
            self.memory[memory] = [[0] * lanes for _ in range(parameters.depth(memory))]
        self.stat = [Statistic() for _ in range(parameters.stat_depth)]
        self.lists: dict[str, list[bytes]] | None = None
        self.has_image = False
        self.header: dict[str, int] = {}
        self.packet = b""
        """The packet that the last RUN sent."""
        self.writes: dict[tuple[Unit, int], dict[tuple[Memory, int], list[int]]] = {}
        """The words that each instruction of the last RUN wrote, without those of LOAD and STAT."""
        self.before: dict[tuple[Unit, int], dict[tuple[Memory, int], list[int]]] = {}
        """The same before the table, if there is one, modulo 256."""
        self.hazards = 0
        """Number of words that a CONTRACT of the last command read after it had written them: they are undefined."""

    def fill(self, rng: random.Random) -> None:
        """Fills the memories with random words, as at power-on."""
        for memory, words in self.memory.items():
            kind = isa.MEMORIES[memory]
            for word in words:
                word[:] = (
                    [wrap(rng.getrandbits(64), kind.lane_bits) for _ in word] if kind.lane_bits else word
                )

    # Commands

    def load_program(self, packet: bytes) -> None:
        """PROGRAM. Like `init` and `run` it raises ProgramError with the error that docs/isa.md states."""
        self.lists, self.has_image = None, False
        if len(packet) < 4 * len(isa.HEADER):
            raise ProgramError(Error.TRUNCATED, "the header is not complete")
        words = struct.unpack_from(f"<{len(isa.HEADER)}I", packet)
        header = dict(zip((name for name, _ in isa.HEADER), words, strict=True))
        if header["magic"] != isa.PROGRAM_MAGIC:
            raise ProgramError(Error.MAGIC, "magic")
        if header["version"] != isa.ISA_VERSION:
            raise ProgramError(Error.VERSION, "version")
        counts = [header[f"{name}_count"] for name in isa.LISTS]
        sound = (
            header["lanes"] == self.n
            and header["acc_bits"] == 32
            and header["index_depth"] % 2 == 0
            and all(1 <= header[f"{m.name.lower()}_depth"] <= self.parameters.depth(m) for m in Memory)
            and sum(counts) <= self.parameters.program_depth
            and 1 <= header["max_length"] <= 512
            and 1 <= header["sentences"] <= 2
        )
        if not sound:
            raise ProgramError(Error.PARAMETER, "parameters")
        end = 4 * len(isa.HEADER) + 64 * sum(counts)
        if len(packet) < end + 8:
            raise ProgramError(Error.TRUNCATED, "instructions are missing")
        if len(packet) > end + 8:
            raise ProgramError(Error.OVERRUN, "the packet has more beats")
        if struct.unpack_from("<Q", packet, end)[0] != zlib.crc32(packet[:end]):
            raise ProgramError(Error.PROGRAM_CRC, "CRC")
        self.header = header
        self.lists = {}
        at = 4 * len(isa.HEADER)
        for name, count in zip(isa.LISTS, counts, strict=True):
            self.lists[name] = [packet[at + 64 * i : at + 64 * i + 64] for i in range(count)]
            at += 64 * count

    def init(self, packet: bytes) -> None:
        """INIT, with the image and its CRC."""
        if self.lists is None:
            raise ProgramError(Error.COMMAND, "no program")
        self.has_image = False
        command = _Command(self, packet, None, {Unit.STREAM: self.lists["init"]}, bytearray())
        command.execute()
        if zlib.crc32(packet) != self.header["image_crc"]:
            raise ProgramError(Error.IMAGE_CRC, "image")
        self.has_image = True

    def run(self, packet: bytes, lengths: Sequence[int]) -> bytes:
        """RUN; returns the results."""
        output = bytearray()
        try:
            if self.lists is None or not self.has_image:
                raise ProgramError(Error.COMMAND, "no image")
            longest = self.header["max_length"]
            if not 1 <= len(lengths) <= self.header["sentences"] or not all(
                1 <= n <= longest for n in lengths
            ):
                raise ProgramError(Error.LENGTH, "lengths")
            lists = {unit: self.lists[unit.name.lower()] for unit in Unit}
            _Command(self, packet, list(lengths), lists, output).execute()
        except ProgramError as error:
            # The beat that is held back until it is known whether it is the last one is dropped.
            self.packet = bytes(output[:-8]) + isa.closing_beat(error.error)
            raise
        self.packet = bytes(output) or isa.closing_beat(Error.NONE)
        return bytes(output)

    def clear(self) -> None:
        """Ends the error state. The oracle has none, so nothing changes."""


class _Command:
    """An INIT or RUN that is executed."""

    def __init__(
        self,
        engine: Oracle,
        packet: bytes,
        lengths: list[int] | None,
        lists: dict[Unit, list[bytes]],
        output: bytearray,
    ) -> None:
        self.engine = engine
        self.n = engine.n
        self.packet = Packet(packet)
        self.lengths = lengths
        self.lists = lists
        self.retired = dict.fromkeys(Unit, 0)
        self.output = output
        self.kept: list[list[int]] | None = None
        self.steps = 0
        self.at: tuple[Unit, int] = (Unit.ARRAY, 0)
        engine.writes, engine.before = {}, {}
        engine.hazards = 0

    # Order

    def execute(self) -> None:
        """Executes one instruction per unit in turn until all lists are done."""
        while pending := [unit for unit in Unit if self.retired[unit] < len(self.lists.get(unit, []))]:
            moved = [self.turn(unit) for unit in pending]
            if not any(moved):
                raise ProgramError(Error.DEADLOCK, "deadlock", pending[0], self.retired[pending[0]])
        if not self.packet.data or not self.packet.over:
            raise ProgramError(Error.OVERRUN, "the packet has more beats")

    def turn(self, unit: Unit) -> bool:
        """One instruction of a unit, if its waits are met."""
        number = self.retired[unit]
        self.at = unit, number
        try:
            instruction = isa.decode(self.lists[unit][number])
        except isa.FieldError:
            raise self.fault(Error.FIELD) from None
        allowed: dict[Unit, tuple[type, ...]] = {
            Unit.ARRAY: (Contract,),
            Unit.VECTOR: (Softmax, LayerNorm),
            Unit.STREAM: (Load, Store) if self.lengths is not None else (Load,),
        }
        if not isinstance(instruction, allowed[unit]):
            raise self.fault(Error.FIELD)
        if not self.skipped(instruction):
            waits = zip(Unit, isa.waits(instruction), strict=True)
            if any(self.retired[other] < wait for other, wait in waits):
                return False
            if isinstance(instruction, Contract):
                self.contract(instruction)
            elif isinstance(instruction, Softmax):
                self.softmax(instruction)
            elif isinstance(instruction, LayerNorm):
                self.layer_norm(instruction)
            elif isinstance(instruction, Load):
                self.load(instruction)
            else:
                self.store(instruction)
        self.retired[unit] += 1
        return True

    def skipped(self, instruction: Instruction) -> bool:
        if self.lengths is None:
            return False
        s = instruction.sentence
        return s >= len(self.lengths) or self.n * instruction.block >= self.lengths[s]

    def fault(self, error: Error) -> ProgramError:
        return ProgramError(error, error.name, *self.at)

    # Memories

    def read(self, memory: Memory, address: int) -> list[int]:
        words = self.engine.memory[memory]
        if address >= len(words):
            raise self.fault(Error.ADDRESS)
        return words[address]

    def write(self, memory: Memory, address: int, lanes: list[int]) -> None:
        words = self.engine.memory[memory]
        if address >= len(words):
            raise self.fault(Error.ADDRESS)
        bits = isa.MEMORIES[memory].lane_bits
        words[address] = [wrap(lane, bits) if bits else lane for lane in lanes]
        if self.at[0] is not Unit.STREAM:
            self.engine.writes.setdefault(self.at, {})[memory, address] = words[address]
        self.step()

    def step(self) -> None:
        self.steps += 1
        if self.steps > STEPS:
            raise TooLong

    def statistic(self, slot: int) -> Statistic:
        if slot >= len(self.engine.stat):
            raise self.fault(Error.ADDRESS)
        return self.engine.stat[slot]

    def table(self, memory: Memory, number: int) -> list[int]:
        """The 256 words of a table, all of which must be in range."""
        return [self.read(memory, 256 * number + i)[0] for i in range(256)]

    # CONTRACT

    def contract(self, c: Contract) -> None:
        assert self.lengths is not None
        n = self.n
        length = self.lengths[c.sentence]
        tokens = min(n, length - n * c.block)
        n0 = tokens if c.n0_source == Count.TOKENS else c.n0
        n2 = math.ceil(length / n) if c.n2_source == Count.BLOCKS else c.n2
        counts = {Count.CONST: None, Count.LENGTH: length, Count.TOKENS: tokens}
        nk = c.nk if counts[c.nk_source] is None else counts[c.nk_source]
        rows = c.rows if counts[c.rows_source] is None else counts[c.rows_source]
        assert nk is not None and rows is not None
        table = self.table(Memory.TABLE, c.table_id) if c.has_table else None
        if c.stat != Stat.NONE:
            self.statistic(c.stat_slot)
        resumed, self.kept = self.kept, None
        words: list[list[int]] = []
        mine: set[tuple[Memory, int]] = set()

        def residual(memory: Memory, address: int) -> list[int]:
            # Open: a residual that this CONTRACT has drained. Taken as undefined, like an operand.
            self.engine.hazards += (memory, address) in mine
            return self.read(memory, address)

        for i0, i1, i2 in _loops(n0, c.n1, n2):
            acc = resumed or [[0] * n for _ in range(n)]
            resumed = None
            self.step()
            for k in range(nk):
                self.step()
                a = self.operand(c, "a", i0, i1, i2, k, length, mine)
                b = self.operand(c, "b", i0, i1, i2, k, length, mine)
                acc = [[wrap(acc[i][j] + a[i] * b[j], 32) for j in range(n)] for i in range(n)]
            if c.keep:
                self.kept = acc
                return
            for word in drained(c, (i0, i1, i2), acc, rows, residual, table):
                place = Memory(c.c_space), c.c_base + word.offset
                if table is not None:
                    self.engine.before.setdefault(self.at, {})[place] = [x % 256 for x in word.before]
                self.write(*place, word.lanes)
                mine.add(place)
                words.append(word.lanes)
        if c.stat != Stat.NONE:
            self.engine.stat[c.stat_slot] = gathered(c.stat, words, n)

    def operand(
        self,
        c: Contract,
        side: str,
        i0: int,
        i1: int,
        i2: int,
        k: int,
        length: int,
        mine: set[tuple[Memory, int]],
    ) -> list[int]:
        space: Space = getattr(c, f"{side}_space")
        if space == Space.IDENTITY:
            # Open: an index without an address. Taken as not read.
            return [1 if lane == k else 0 for lane in range(self.n)]
        address = getattr(c, f"{side}_base") + self.index(c, side, i0, k)
        for name, i in (("stride0", i0), ("stride1", i1), ("stride2", i2), ("stridek", k)):
            address += i * getattr(c, f"{side}_{name}")
        lanes = self.read(Memory(space), address)
        self.engine.hazards += (Memory(space), address) in mine
        return [lane % 256 for lane in lanes] if side == "b" and c.b_unsigned else lanes

    def index(self, c: Contract, side: str, i0: int, k: int) -> int:
        indexed = getattr(c, f"{side}_indexed")
        if indexed == Indexed.NONE:
            return 0
        token = self.n * c.block + (i0 if indexed == Indexed.LOOP0 else k)
        half = self.engine.parameters.index_depth // 2
        if token >= half:
            raise self.fault(Error.ADDRESS)
        word = self.read(Memory.INDEX, half * c.sentence + token)[0]
        column: int = (word >> 16 * getattr(c, f"{side}_column")) & 0xFFFF
        stride: int = getattr(c, f"{side}_index_stride")
        return column * stride

    # The vector unit

    def softmax(self, i: Softmax) -> None:
        assert self.lengths is not None
        n = self.lengths[i.sentence]
        self.check(i, n)
        scores = [self.read(Memory.SCORE, i.source + k) for k in range(n)]
        table = self.table(Memory.EXP, i.exp_id)
        for k, word in enumerate(softmax(scores, self.engine.stat[i.stat_slot].largest, table)):
            self.write(Memory.VECTOR, i.target + k, word)

    def layer_norm(self, i: LayerNorm) -> None:
        assert self.lengths is not None
        self.check(i, self.lengths[i.sentence])
        x = [self.read(Memory.WIDE, i.source + f) for f in range(i.count)]
        norm = [self.read(Memory.NORM, i.norm_base + f)[0] for f in range(i.count)]
        factors = [(wrap(word, 32), wrap(word >> 32, 12)) for word in norm]
        for f, word in enumerate(layer_norm(i, x, self.engine.stat[i.stat_slot], factors)):
            self.write(Memory.VECTOR, i.target + f, word)

    def check(self, i: Softmax | LayerNorm, length: int) -> None:
        depths = {memory: len(words) for memory, words in self.engine.memory.items()}
        error = vector_error(i, length, self.engine.stat, depths)
        if error is not Error.NONE:
            raise self.fault(error)

    # The stream unit

    def load(self, i: Load) -> None:
        length = self.lengths[i.sentence] if self.lengths else 0
        n = length if i.count_source == Count.LENGTH else i.count
        depth = len(self.engine.memory[i.memory])
        base, end = i.base, depth
        if i.memory == Memory.INDEX:
            base, end = i.base + i.sentence * depth // 2, depth // 2 * (i.sentence + 1)
        # Open: a LOAD that is both out of range and truncated. Taken as ADDRESS, before a beat is read.
        if n and base + n > end:
            raise self.fault(Error.ADDRESS)
        if self.packet.data and self.packet.over:
            raise self.fault(Error.TRUNCATED)
        kind = isa.MEMORIES[i.memory]
        for k in range(n):
            try:
                word = self.packet.word(kind.beats(self.n))
            except EOFError:
                raise self.fault(Error.TRUNCATED) from None
            if kind.lane_bits:
                lanes = [(word >> kind.lane_bits * lane) % (1 << kind.lane_bits) for lane in range(self.n)]
            else:
                lanes = [word % (1 << kind.word_bits)]
            self.write(i.memory, base + k, lanes)

    def store(self, i: Store) -> None:
        # Open: how many results of a STORE that is out of range are sent. Taken as none.
        words = []
        for k in range(i.count):
            self.step()
            words.append(self.read(Memory.WIDE, i.base + k))
        for word in words:
            for lane in word:
                self.output += (lane % 65536).to_bytes(2, "little")


def _loops(n0: int, n1: int, n2: int) -> Iterator[tuple[int, int, int]]:
    for i0 in range(n0):
        for i1 in range(n1):
            for i2 in range(n2):
                yield i0, i1, i2

"""Random programs for a small engine, and random damage to them."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from narrowgauge.hw import isa
from narrowgauge.hw.isa import (
    Contract,
    Count,
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
)
from narrowgauge.hw.isa.program import Program, to_bytes

SMALL = Parameters(
    lanes=8,
    weight_depth=160,
    kv_depth=96,
    act_depth=96,
    vector_depth=72,
    score_depth=40,
    wide_depth=88,
    stat_depth=6,
    bias_depth=80,
    norm_depth=48,
    table_depth=600,
    exp_depth=512,
    index_depth=40,
    program_depth=64,
)
"""Shallow memories, not all of a round size, so that random addresses reach the ends."""

MAX_LENGTH = 20

CONSTANTS = (Memory.WEIGHT, Memory.BIAS, Memory.NORM, Memory.TABLE, Memory.EXP)
"""Memories that INIT fills."""


@dataclass(frozen=True)
class Case:
    """The inputs of an engine: packets as bytes, and the lengths of the run."""

    program: bytes
    image: bytes
    packet: bytes
    lengths: tuple[int, ...]


def random_case(rng: random.Random, parameters: Parameters = SMALL, washed: bool = False) -> Case:
    """A random case, most parts of which are valid.

    Args:
        rng: where chance comes from.
        parameters: of the engine.
        washed: whether it writes every word first, so that nothing depends on what the memories held before.
    """
    builder = _Builder(rng, parameters, washed)
    program = builder.program()
    return Case(to_bytes(program), builder.image, builder.packet, builder.lengths)


class _Builder:
    """Instructions in an order in which they can run, so that their waits can be met."""

    def __init__(self, rng: random.Random, parameters: Parameters, washed: bool) -> None:
        self.rng = rng
        self.washed = washed
        self.parameters = parameters
        self.n = parameters.lanes
        self.sentences = rng.choice([1, 1, 2])
        self.max_length = rng.randint(1, MAX_LENGTH)
        self.lengths = tuple(rng.randint(1, self.max_length) for _ in range(rng.randint(1, self.sentences)))
        self.array: list[Instruction] = []
        self.vector: list[Instruction] = []
        self.stream: list[Instruction] = []
        self.image = b""
        self.packet = b""

    def program(self) -> Program:
        init = self.init()
        for sentence in range(self.sentences):
            self.index(sentence)
        if self.washed:
            self.wash()
        makers: list[Callable[[], None]] = [self.contract] * 6 + [
            self.softmax,
            self.layer_norm,
            self.store,
            self.load,
            self.keep,
        ]
        for _ in range(self.rng.randint(1, 9)):
            self.rng.choice(makers)()
        # At the end, all words that the array wrote.
        waits = {"wait_array": len(self.array), "wait_vector": len(self.vector)}
        self.stream.append(Store(**waits, count=self.parameters.wide_depth))
        depths = {
            f"{m.name.lower()}_depth": self.rng.choice([d := self.parameters.depth(m), max(2, d // 4 * 2)])
            for m in Memory
            if m is not Memory.PROGRAM
        }
        return Program(
            replace(self.parameters, **depths),
            self.max_length,
            self.sentences,
            tuple(init),
            tuple(self.array),
            tuple(self.vector),
            tuple(self.stream),
            zlib.crc32(self.image),
        )

    # What is loaded

    def words(self, memory: Memory, count: int) -> bytes:
        if memory not in (Memory.BIAS, Memory.NORM):
            return self.rng.randbytes(8 * isa.MEMORIES[memory].beats(self.n) * count)
        # Numbers of all magnitudes: sums with those of 32 bits nearly always saturate.
        found = b""
        for _ in range(count):
            low = (
                self.rng.getrandbits(32) >> self.rng.choice([0, 12, 16, 20]) if self.rng.random() < 0.9 else 0
            )
            low = -low if self.rng.random() < 0.5 else low
            found += struct.pack("<II", low % 2**32, self.rng.getrandbits(32))
        return found

    def init(self) -> list[Instruction]:
        loads: list[Instruction] = []
        for memory in CONSTANTS:
            depth = self.parameters.depth(memory)
            base = 0 if self.washed else self.rng.choice([0, 0, 0, self.rng.randrange(depth)])
            count = depth - base
            if self.rng.random() < 0.1 and not self.washed:
                continue
            first = self.rng.randint(0, count) if self.rng.random() < 0.3 else count
            wait = len(loads) if self.rng.random() < 0.5 else 0
            block = self.rng.choice([0, 0, 63])
            loads.append(Load(memory=memory, base=base, count=first, wait_stream=wait, block=block))
            if first < count:
                loads.append(Load(memory=memory, base=base + first, count=count - first))
            self.image += self.words(memory, count)
        return loads

    def index(self, sentence: int) -> None:
        count, source = (
            (0, Count.LENGTH) if self.rng.random() < 0.8 else (self.rng.randint(0, 22), Count.CONST)
        )
        if self.washed:
            count, source = self.parameters.index_depth // 2, Count.CONST
        load = Load(sentence=sentence, memory=Memory.INDEX, count=count, count_source=source)
        self.stream.append(load)
        if sentence < len(self.lengths):
            words = count if source == Count.CONST else self.lengths[sentence]
            columns = [self.rng.choice([0, 1, 2, 3, self.rng.randint(0, 12)]) for _ in range(8 * words)]
            if self.rng.random() < 0.05 and columns:
                columns[self.rng.randrange(len(columns))] = 65535
            self.packet += struct.pack(f"<{len(columns)}H", *columns)

    def wash(self) -> None:
        for space in (Space.ACT, Space.KV, Space.SCORE, Space.WIDE):
            rows = self.parameters.depth(Memory(space))
            tiles = -(-rows // self.n)
            self.array.append(Contract(n2=tiles, nk=0, rows=rows, c_space=space, c_stride2=self.n, bits=8))
        depth, size = self.parameters.vector_depth, self.parameters.vector_depth // 3
        self.array.append(Contract(n2=-(-size // self.n), nk=0, rows=size, c_stridew=0, stat=Stat.SUMS))
        for target in range(0, depth, size):
            self.vector.append(LayerNorm(size=size, count=size, target=target, wait_array=5))

    # What instructions share

    def token(self, **more: Any) -> dict[str, Any]:
        """Sentence, block, waits."""
        rng = self.rng
        fields: dict[str, Any] = {
            "sentence": rng.randrange(self.sentences),
            "block": rng.choice([0, 0, 0, 1, 2]),
        }
        for name, instructions in (("array", self.array), ("vector", self.vector), ("stream", self.stream)):
            fields[f"wait_{name}"] = rng.choice(
                [len(instructions), len(instructions), 0, rng.randint(0, len(instructions))]
            )
        if rng.random() < 0.01:
            fields[f"wait_{rng.choice(('array', 'vector', 'stream'))}"] += rng.choice([1, 2, 500])
        return {**fields, **more}

    def length(self, fields: dict[str, Any]) -> int:
        """The length of an instruction's sentence; any length if the instruction is skipped."""
        s = fields["sentence"]
        return self.lengths[s] if s < len(self.lengths) else 1

    def base(self, memory: Memory, extent: int) -> int:
        """An address that nearly always has `extent` words up to the end of the memory."""
        depth = self.parameters.depth(memory)
        room = max(0, depth - extent)
        return (
            min(depth - 1, room + self.rng.choice([1, 3]))
            if self.rng.random() < 0.01
            else self.rng.randint(0, room)
        )

    def written(self, memory: Memory) -> list[int]:
        """Addresses of a memory that were written."""
        found = [c.c_base for c in self.array if isinstance(c, Contract) and Memory(c.c_space) is memory]
        if memory is Memory.VECTOR:
            found += [i.target for i in self.vector if isinstance(i, (Softmax, LayerNorm))]
        return found

    def filled(self, spaces: tuple[Space, ...]) -> tuple[Space, ...]:
        """The spaces in which words were written; WEIGHT is loaded."""
        return tuple(s for s in spaces if s in (Space.WEIGHT, Space.IDENTITY) or self.written(Memory(s)))

    def source(self, memory: Memory, extent: int) -> int:
        """An address to read from, one that was written if possible."""
        known = [base for base in self.written(memory) if base + extent <= self.parameters.depth(memory)]
        return self.rng.choice(known) if known and self.rng.random() < 0.7 else self.base(memory, extent)

    # Instructions

    def contract(self, **given: Any) -> None:
        rng = self.rng
        f = self.token(**given)
        length = self.length(f)
        tokens = max(1, min(self.n, length - self.n * f["block"]))
        f.setdefault("n0", rng.choice([1, 1, 2, 3, 0 if rng.random() < 0.1 else 1]))
        f.setdefault("n0_source", rng.choice([Count.CONST] * 4 + [Count.TOKENS]))
        f.setdefault("n1", rng.choice([1, 1, 2, 0 if rng.random() < 0.1 else 1]))
        f.setdefault("n2", rng.choice([1, 1, 2, 3, 0 if rng.random() < 0.1 else 1]))
        f.setdefault("n2_source", rng.choice([Count.CONST] * 4 + [Count.BLOCKS]))
        # Results that are neither 0 nor saturated, so that arithmetic errors are visible.
        plain = rng.random() < 0.7
        f["nk"] = rng.choice([3, 5, 8, 11] if plain else [0, 1, 2, 5, 8, 11])
        f["nk_source"] = rng.choice([Count.CONST] * 4 + [Count.LENGTH, Count.TOKENS])
        f.setdefault("rows", rng.choice([0, 1, 7, 8, 9, 16, 20, 30]))
        f.setdefault("rows_source", rng.choice([Count.CONST] * 4 + [Count.LENGTH, Count.TOKENS]))
        counts = {Count.LENGTH: length, Count.TOKENS: tokens, Count.BLOCKS: -(-length // self.n)}
        n0, n2 = counts.get(f["n0_source"], f["n0"]), counts.get(f["n2_source"], f["n2"])
        nk, rows = counts.get(f["nk_source"], f["nk"]), counts.get(f["rows_source"], f["rows"])
        loops = (n0, f["n1"], n2)
        a, b = (
            (Space.WEIGHT, Space.WEIGHT, Space.KV, Space.IDENTITY),
            (Space.ACT, Space.ACT, Space.VECTOR, Space.WEIGHT),
        )
        self.operand(f, "a", self.filled(a) if plain else a, (*loops, nk))
        self.operand(f, "b", self.filled(b) if plain else b, (*loops, nk))
        f["b_unsigned"] = rng.randrange(2)
        f["columns"] = rng.randrange(2)
        f.setdefault(
            "c_space", rng.choice([Space.ACT, Space.ACT, Space.KV, Space.SCORE, Space.WIDE, Space.WIDE])
        )
        extent = self.strides(
            f, "c", ("stride0", "stride1", "stride2", "stridew"), (*loops, min(self.n, rows))
        )
        f["c_base"] = self.base(Memory(f["c_space"]), extent)
        if rng.random() < 0.5:
            f |= {"bias": 1, "bias_base": self.base(Memory.BIAS, max(extent, self.n * f["n1"]))}
        f["acc_shift"] = 0 if plain else rng.choice([0, 1, 5, 31])
        if rng.random() < 0.5:
            f["residual_space"] = rng.choice([Space.VECTOR, Space.WEIGHT, Space.WIDE])
            f["residual_base"] = self.source(Memory(f["residual_space"]), extent)
            if f["residual_space"] == f["c_space"] and rng.random() < 0.5:
                f["residual_base"] = f["c_base"]
            f["residual_shift"] = rng.choice([0, 1, 4, 9] if plain else [0, 9, 20, 31])
        wide = f["c_space"] == Space.WIDE
        f["shift"] = rng.choice(
            ([2, 3, 4] if wide else [8, 9, 10, 11]) if plain else [0, 1, 6, 12, 31, -1, -4, -31]
        )
        f["bits"] = rng.choice([8, 8, 8, 2, 4, 7] + ([16] * 9 + [12] if wide else []))
        f["is_unsigned"] = int(rng.random() < 0.25)
        if rng.random() < 0.25:
            f |= {
                "has_table": 1,
                "bits": 8,
                "table_id": rng.choice([0, 1, 1, 2 if rng.random() < 0.1 else 0]),
            }
        if "stat" not in f and rng.random() < 0.3:
            f |= {"stat": rng.choice([Stat.SUMS, Stat.MAX]), "stat_slot": self.slot()}
        self.array.append(Contract(**f))

    def slot(self) -> int:
        return self.rng.randrange(self.parameters.stat_depth + (self.rng.random() < 0.03))

    def operand(
        self, f: dict[str, Any], side: str, spaces: tuple[Space, ...], counts: tuple[int, ...]
    ) -> None:
        rng = self.rng
        space = rng.choice(spaces)
        extent = self.strides(f, side, ("stride0", "stride1", "stride2", "stridek"), counts)
        if rng.random() < 0.3:
            f[f"{side}_indexed"] = rng.choice([Indexed.LOOP0, Indexed.LOOPK])
            f[f"{side}_column"] = rng.randrange(8)
            f[f"{side}_index_stride"] = stride = rng.choice([0, 1, 2])
            extent += 12 * stride
        f[f"{side}_space"] = space
        f[f"{side}_base"] = 0 if space is Space.IDENTITY else self.source(Memory(space), extent)

    def strides(self, f: dict[str, Any], side: str, names: tuple[str, ...], counts: tuple[int, ...]) -> int:
        """Random strides, and the number of words from the first to the last that they reach."""
        extent = 1
        for name, count in zip(names, counts, strict=True):
            stride = self.rng.choice([0, 1, 1, 2, 3, self.n])
            if extent + stride * max(0, count - 1) > 60:
                stride = self.rng.choice([0, 1])
            f[f"{side}_{name}"] = stride
            extent += stride * max(0, count - 1)
        return extent

    def keep(self) -> None:
        """A tile that two or three instructions accumulate."""
        where = {"sentence": self.rng.randrange(self.sentences), "block": 0}
        single = {"n0": 1, "n1": 1, "n2": 1, "n0_source": Count.CONST, "n2_source": Count.CONST}
        for _ in range(self.rng.randint(1, 2)):
            self.contract(keep=1, **where, **single)
        if self.rng.random() < 0.9:
            self.contract(**where)

    def softmax(self) -> None:
        """The maxima of a block's scores, then their softmax."""
        f = self.token()
        slot = self.slot()
        self.contract(
            sentence=f["sentence"],
            block=f["block"],
            n0=1,
            n0_source=Count.CONST,
            n1=1,
            n2_source=Count.BLOCKS,
            rows_source=Count.LENGTH,
            c_space=Space.SCORE if self.rng.random() < 0.9 else Space.WIDE,
            stat=Stat.MAX,
            stat_slot=slot,
        )
        f["wait_array"] = len(self.array) if self.rng.random() < 0.97 else 0
        length = self.length(f)
        self.vector.append(
            Softmax(
                **f,
                source=self.base(Memory.SCORE, length),
                target=self.base(Memory.VECTOR, length),
                exp_id=int(self.rng.random() < 0.5),
                stat_slot=slot if self.rng.random() < 0.97 else self.slot(),
            )
        )

    def layer_norm(self) -> None:
        """The sums of a block's features, then their LayerNorm in one or two parts."""
        f = self.token()
        slot = self.slot()
        size = self.rng.choice([1, 2, 8, 13, 24])
        self.contract(
            sentence=f["sentence"],
            block=f["block"],
            n0=1,
            n0_source=Count.CONST,
            n1=1,
            n2=-(-size // self.n),
            n2_source=Count.CONST,
            rows=size,
            rows_source=Count.CONST,
            c_space=self.rng.choice([Space.WIDE, Space.WIDE, Space.WIDE, Space.ACT]),
            stat=Stat.SUMS,
            stat_slot=slot,
        )
        f["wait_array"] = len(self.array)
        for _ in range(self.rng.randint(1, 2)):
            count = self.rng.choice([size, self.rng.randint(1, 24)])
            last = self.array[-1]
            assert isinstance(last, Contract)
            known = last.c_space == Space.WIDE and count <= size and self.rng.random() < 0.7
            self.vector.append(
                LayerNorm(
                    **f,
                    size=size if self.rng.random() < 0.97 else size + 1,
                    count=count,
                    source=last.c_base if known else self.base(Memory.WIDE, count),
                    target=self.base(Memory.VECTOR, count),
                    norm_base=self.base(Memory.NORM, count),
                    shift=self.rng.choice([0, 3, 11, 17, 20, 31, -2, -31]),
                    bits=self.rng.choice([8, 8, 2, 5]),
                    stat_slot=slot,
                )
            )

    def load(self) -> None:
        """Constants that the run loads, nearly always after all earlier instructions; a CONTRACT waits for them."""
        f = self.token()
        if self.rng.random() < 0.95:
            f |= {"wait_array": len(self.array), "wait_vector": len(self.vector)}
        memory, count = self.rng.choice(CONSTANTS), self.rng.choice([1, 8, 20])
        self.stream.append(Load(**f, memory=memory, base=self.base(memory, count), count=count))
        if f["sentence"] < len(self.lengths) and self.n * f["block"] < self.length(f):
            self.packet += self.words(memory, count)
        self.contract(wait_stream=len(self.stream))

    def store(self) -> None:
        f = self.token()
        depth = self.parameters.wide_depth
        count = self.rng.choice([0, 1, 20, depth, depth])
        self.stream.append(Store(**f, base=self.source(Memory.WIDE, count), count=count))


def damaged(rng: random.Random, case: Case) -> Case:
    """The case, damaged or at least changed."""
    return rng.choice((_header, _instruction, _instruction, _instruction, _size, _bit, _lengths))(rng, case)


def _sealed(program: bytes) -> bytes:
    """The program with a valid CRC."""
    return program[:-8] + struct.pack("<Q", zlib.crc32(program[:-8]))


def _header(rng: random.Random, case: Case) -> Case:
    if len(case.program) < 4 * len(isa.HEADER):
        return case
    word = rng.randrange(len(isa.HEADER))
    old = struct.unpack_from("<I", case.program, 4 * word)[0]
    new = rng.choice(
        [0, 1, old + 1, max(0, old - 1), old + 2, old ^ 1 << rng.randrange(32), rng.getrandbits(32)]
    )
    program = case.program[: 4 * word] + struct.pack("<I", new % 2**32) + case.program[4 * word + 4 :]
    return replace(case, program=_sealed(program) if rng.random() < 0.9 else program)


def _instruction(rng: random.Random, case: Case) -> Case:
    start = 4 * len(isa.HEADER)
    count = (len(case.program) - start - 8) // 64
    if count < 1:
        return case
    at = start + 64 * rng.randrange(count)
    word = int.from_bytes(case.program[at : at + 64], "little")
    kind = next((kind for kind, code in isa.OPCODES.items() if code == word % 8), Contract)
    field = rng.choice(isa.fields(kind))
    how = rng.randrange(4)
    if how == 0:
        word ^= 1 << rng.randrange(512)
    elif how == 1:
        word ^= 1 << (field.low + rng.randrange(field.width))
    else:
        mask = (1 << field.width) - 1
        old = word >> field.low & mask
        value = (
            rng.choice([0, 1, mask, old + 1, old - 1, rng.getrandbits(field.width), rng.randrange(30)]) & mask
        )
        word = word & ~(mask << field.low) | value << field.low
    return replace(
        case, program=_sealed(case.program[:at] + word.to_bytes(64, "little") + case.program[at + 64 :])
    )


def _size(rng: random.Random, case: Case) -> Case:
    """A packet that is a few beats shorter or longer."""
    name = rng.choice(("program", "image", "packet"))
    data: bytes = getattr(case, name)
    beats = len(data) // 8
    if rng.random() < 0.5 and beats > 1:
        data = data[: 8 * rng.choice([rng.randrange(1, beats), beats - 1])]
    else:
        data += rng.randbytes(8 * rng.choice([1, 2, 9]))
    changes: dict[str, Any] = {name: data}
    if name == "image" and rng.random() < 0.5:
        at = 4 * [word for word, _ in isa.HEADER].index("image_crc")
        program = case.program[:at] + struct.pack("<I", zlib.crc32(data)) + case.program[at + 4 :]
        changes["program"] = _sealed(program)
    return replace(case, **changes)


def _bit(rng: random.Random, case: Case) -> Case:
    """A packet with one bit inverted."""
    name = rng.choice(("program", "image", "packet"))
    data = bytearray(getattr(case, name))
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    changes: dict[str, Any] = {name: bytes(data)}
    return replace(case, **changes)


def _lengths(rng: random.Random, case: Case) -> Case:
    lengths = list(case.lengths or (1,))
    how = rng.randrange(4)
    if how == 0:
        lengths[rng.randrange(len(lengths))] = rng.choice([0, MAX_LENGTH + 1, 512, 513, 65535])
    elif how == 1:
        lengths[rng.randrange(len(lengths))] = rng.randint(1, MAX_LENGTH)
    elif how == 2:
        lengths = lengths + lengths
    else:
        lengths = []
    return replace(case, lengths=tuple(lengths))

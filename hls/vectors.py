"""Test vectors of the single units, computed with numpy and `fixedpoint` from what instructions mean."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..fixedpoint import Format, IntArray, exp_table, layer_norm, requantize, softmax
from ..hw import isa
from ..hw.isa import (
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
)


@dataclass
class UnitCase:
    """One test of a unit: a list of instructions, what the memories hold before, and what is expected after.

    Attributes:
        instructions: the unit's list.
        lengths: tokens of each sentence.
        packet: beats of the input stream.
        before, after: (memory, address, numbers of the word), lanes or fields.
        status: of the unit's kernel, 0 for done.
        results: beats of the output stream.
    """

    instructions: list[Instruction]
    lengths: tuple[int, ...]
    packet: bytes = b""
    before: list[tuple[Memory, int, IntArray]] = field(default_factory=list)
    after: list[tuple[Memory, int, IntArray]] = field(default_factory=list)
    status: int = 0
    results: bytes = b""

    def put(self, memory: Memory, base: int, words: IntArray) -> None:
        """Words (n, numbers) before."""
        self.before += [(memory, base + i, word) for i, word in enumerate(words)]

    def expect(self, memory: Memory, addresses: IntArray, words: IntArray) -> None:
        """Words (n, numbers) after."""
        self.after += [(memory, int(at), word) for at, word in zip(addresses, words, strict=True)]

    def numbers(self) -> list[int]:
        """What the testbenches read, see `tb_common.hpp`."""
        lengths = list(self.lengths) + [0] * (isa.SENTENCES - len(self.lengths))
        program = b"".join(map(isa.encode, self.instructions))
        found = [0, len(self.lengths), *lengths, *_listed(_beats(program)), *_listed(_beats(self.packet))]
        found += _words(self.before)
        found.append(self.status)
        found += _words(self.after)
        return found + _listed(_beats(self.results))


def failed(number: int, error: Error) -> int:
    """The status of a unit that stopped at an instruction."""
    return number << 16 | error << 8 | 1


def pack_cases(cases: list[UnitCase]) -> bytes:
    """The file of a unit's testbench."""
    numbers = [len(cases)]
    for case in cases:
        numbers += case.numbers()
    return np.array(numbers, "<i8").tobytes()


def _beats(data: bytes) -> list[int]:
    beats: list[int] = np.frombuffer(data, "<i8").tolist()
    return beats


def _listed(numbers: list[int]) -> list[int]:
    return [len(numbers), *numbers]


def _words(words: list[tuple[Memory, int, IntArray]]) -> list[int]:
    found = [len(words)]
    for memory, address, word in words:
        found += [int(memory), address, *_listed(np.asarray(word).tolist())]
    return found


def unit_vectors(parameters: Parameters, seed: int = 0) -> dict[str, bytes]:
    """Files of the three units' testbenches, by unit.

    Args:
        parameters: of the engine; memories of a few words are enough.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    return {
        "array": pack_cases(array_cases(parameters, rng)),
        "vector": pack_cases(vector_cases(parameters, rng)),
        "stream": pack_cases(stream_cases(parameters, rng)),
    }


def _at_most(parameters: Parameters, want: int, *memories: Memory) -> int:
    return min([want, *(parameters.depth(memory) for memory in memories)])


def array_cases(parameters: Parameters, rng: np.random.Generator) -> list[UnitCase]:
    """CONTRACT by rows into WIDE with sums, by columns into KV from unsigned operands, and an address out of range."""
    n = parameters.lanes
    cases = []
    for columns in (False, True):
        nk = _at_most(parameters, 5, Memory.WEIGHT, Memory.ACT)
        target = Memory.KV if columns else Memory.WIDE
        words = _at_most(parameters, n - 1, target, Memory.BIAS)
        bits = 8 if columns else 16
        biased = parameters.bias_depth >= n
        c = Contract(
            nk=nk,
            a_stridek=1,
            b_stridek=1,
            b_unsigned=int(columns),
            columns=int(columns),
            rows=words,
            c_space=Space(target),
            bias=int(biased),
            shift=int(rng.integers(1, 6)),
            bits=bits,
            stat=Stat.SUMS,
        )
        case = UnitCase([c], (n,))
        a, b = rng.integers(-128, 128, (2, nk, n))
        bias = rng.integers(-(1 << 12), 1 << 12, n if columns else words)
        case.put(Memory.WEIGHT, 0, a)
        case.put(Memory.ACT, 0, b)
        case.put(Memory.BIAS, 0, bias[: parameters.bias_depth, None])
        acc = a.T @ (b % 256 if columns else b)
        rows = (acc.T if columns else acc)[:words]
        if biased:
            rows = rows + (bias if columns else bias[:, None])
        q = requantize(rows, c.shift, Format(bits, 0))
        case.expect(target, np.arange(words), q)
        gathered = np.concatenate(
            [[int(Stat.SUMS), words], q.sum(axis=0), (q * q).sum(axis=0), _low8(q).max(axis=0)]
        )
        case.expect(Memory.STAT, np.zeros(1, int), gathered[None])
        cases.append(case)
    beyond = Contract(a_base=parameters.weight_depth - 1, nk=2, a_stridek=1)
    cases.append(UnitCase([beyond], (1,), status=failed(0, Error.ADDRESS)))
    skipped = Contract(sentence=1, a_base=parameters.weight_depth - 1, nk=2, a_stridek=1)
    cases.append(UnitCase([skipped], (1,)))
    half = parameters.index_depth // isa.SENTENCES
    late = Contract(n0=half + 1, a_indexed=Indexed.LOOP0)
    cases.append(UnitCase([skipped, late], (1,), status=failed(1, Error.ADDRESS)))
    return cases


def _low8(q: IntArray) -> IntArray:
    return q.astype(np.int8).astype(np.int64)


def _stat(
    kind: Stat,
    count: int,
    lanes: int,
    sums: IntArray | None,
    squares: IntArray | None,
    largest: IntArray | None,
) -> IntArray:
    zeros = np.zeros(lanes, np.int64)
    parts = [zeros if part is None else part for part in (sums, squares, largest)]
    return np.concatenate([[int(kind), count], *parts])[None]


def vector_cases(parameters: Parameters, rng: np.random.Generator) -> list[UnitCase]:
    """SOFTMAX and LAYERNORM, extreme lanes among them, and statistics that do not fit."""
    n = parameters.lanes
    cases = []
    length = _at_most(parameters, n + 3, Memory.SCORE, Memory.VECTOR)
    if parameters.exp_depth >= 256:
        case = UnitCase([Softmax(wait_vector=0)], (length,))
        scores = rng.integers(-128, 128, (length, n))
        scores[:, 0] = -128
        scores[:, 1] = np.where(np.arange(length) == 0, 127, -128)
        table = exp_table(int(rng.integers(2, 7)))
        case.put(Memory.EXP, 0, table[:, None])
        case.put(Memory.SCORE, 0, scores)
        case.put(Memory.STAT, 0, _stat(Stat.MAX, length, n, None, None, scores.max(axis=0)))
        p = softmax(scores.T, table).T
        case.expect(Memory.VECTOR, np.arange(length), _low8(p))
        cases.append(case)
        wrong = UnitCase([Softmax()], (length,), status=failed(0, Error.STAT))
        wrong.put(Memory.STAT, 0, _stat(Stat.MAX, length + 1, n, None, None, None))
        cases.append(wrong)
    size = _at_most(parameters, 3 * n + 1, Memory.WIDE, Memory.NORM, Memory.VECTOR)
    x = rng.integers(-(1 << 15), 1 << 15, (size, n))
    x[:, 0] = 1234
    x[:, 1] = np.where(np.arange(size) % 2 == 0, 32767, -32768)
    x[:, 2] = np.where(np.arange(size) == 0, 1, 0)
    gamma = rng.integers(-2048, 2048, size)
    beta = rng.integers(-(1 << 20), 1 << 20, size)
    shift = int(rng.integers(14, 20))
    case = UnitCase([LayerNorm(size=size, count=size, shift=shift)], (n,))
    case.put(Memory.WIDE, 0, x)
    case.put(Memory.NORM, 0, np.stack([beta, gamma], axis=1))
    case.put(Memory.STAT, 0, _stat(Stat.SUMS, size, n, x.sum(axis=0), (x * x).sum(axis=0), None))
    # requantize's shift is 12 + gamma_frac - frac: so the target's frac says the shift.
    y = layer_norm(x.T, gamma, beta, 0, Format(8, 12 - shift)).T
    case.expect(Memory.VECTOR, np.arange(size), y)
    cases.append(case)
    wrong = UnitCase([LayerNorm(size=size, count=size)], (n,), status=failed(0, Error.STAT))
    wrong.put(Memory.STAT, 0, _stat(Stat.MAX, size, n, None, None, None))
    cases.append(wrong)
    return cases


def stream_cases(parameters: Parameters, rng: np.random.Generator) -> list[UnitCase]:
    """LOAD into each memory, STORE, and a packet that ends too soon."""
    n = parameters.lanes
    case = UnitCase([], (min(3, parameters.index_depth // isa.SENTENCES),))
    for memory in (Memory.WEIGHT, Memory.BIAS, Memory.NORM, Memory.TABLE, Memory.EXP, Memory.INDEX):
        kind = isa.MEMORIES[memory]
        count = case.lengths[0] if memory is Memory.INDEX else _at_most(parameters, 3, memory)
        source = Count.LENGTH if memory is Memory.INDEX else Count.CONST
        case.instructions.append(Load(memory=memory, count=count, count_source=source))
        data = rng.integers(0, 256, (count, kind.beats(n) * isa.BEAT_BYTES), np.uint8)
        case.packet += data.tobytes()
        case.expect(memory, np.arange(count), _loaded(memory, n, data))
    count = _at_most(parameters, 3, Memory.WIDE)
    words = rng.integers(-(1 << 15), 1 << 15, (count, n))
    case.put(Memory.WIDE, 0, words)
    case.instructions.append(Store(count=count))
    case.results = words.astype("<i2").tobytes()
    short = UnitCase(
        [Load(memory=Memory.BIAS, count=1), Load(memory=Memory.BIAS, count=1)], (1,), packet=bytes(8)
    )
    short.status = failed(1, Error.TRUNCATED)
    short.results = isa.closing_beat(Error.TRUNCATED)
    return [case, short]


def _loaded(memory: Memory, lanes: int, data: IntArray) -> IntArray:
    """Numbers of words that came as bytes."""
    if memory is Memory.WEIGHT:
        return data[:, :lanes].view(np.int8).astype(np.int64)
    if memory is Memory.INDEX:
        return data.view("<u2").astype(np.int64)
    low = data.view("<i8").astype(np.int64)
    if memory is Memory.BIAS:
        return _signed(low, 32)
    if memory is Memory.NORM:
        return np.concatenate([_signed(low, 32), _signed(low >> 32, 12)], axis=1)
    return _signed(low, 8) if memory is Memory.TABLE else low & 0x7FFF


def _signed(a: IntArray, bits: int) -> IntArray:
    half = 1 << (bits - 1)
    return ((a + half) & ((1 << bits) - 1)) - half

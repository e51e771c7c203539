"""The program simulator: commands, errors and their order, restart, strict mode, captures, the host's side."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import Format
from narrowgauge.graph import Graph, Metadata, Value
from narrowgauge.hw import isa
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.host.capture import Capture
from narrowgauge.hw.host.packets import IndexColumn, Output, pack_indices, unpack_outputs
from narrowgauge.hw.host.views import Axis, View
from narrowgauge.hw.isa import (
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
from narrowgauge.hw.isa.program import Program, ProgramError, to_bytes
from narrowgauge.sim.engine import contract as engine_contract
from narrowgauge.sim.engine.hazards import HazardError
from narrowgauge.sim.engine.simulator import ProgramSimulator, TooLongError
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels.engine import EngineLevel

from ..support.graphs import random_graph, random_sentences

N = 8
ENGINE = Parameters(
    lanes=N,
    weight_depth=64,
    kv_depth=48,
    act_depth=40,
    vector_depth=56,
    score_depth=24,
    wide_depth=32,
    stat_depth=4,
    bias_depth=72,
    norm_depth=80,
    table_depth=512,
    exp_depth=256,
    index_depth=40,
    program_depth=64,
)
MAX_LENGTH = 20
ROWS = 16
IMAGE = np.random.default_rng(5).integers(-128, 128, (ROWS, N)).astype(np.int8)
INIT = (Load(memory=Memory.WEIGHT, count=ROWS),)

INDICES = Load(memory=Memory.INDEX, count_source=Count.LENGTH)
LOOKUP = Contract(
    wait_stream=1,
    nk_source=Count.TOKENS,
    a_space=Space.IDENTITY,
    b_space=Space.WEIGHT,
    b_indexed=Indexed.LOOPK,
    b_index_stride=1,
    columns=1,
    rows=N,
    c_space=Space.WIDE,
    bits=16,
)
ANSWER = Store(wait_array=1, count=N)


def program(
    array: Sequence[Instruction] = (LOOKUP,),
    vector: Sequence[Instruction] = (),
    stream: Sequence[Instruction] = (INDICES, ANSWER),
    **fields: Any,
) -> Program:
    """The program that answers with the row of IMAGE of each token of block 0, unless told otherwise."""
    whole: dict[str, Any] = {
        "parameters": ENGINE,
        "max_length": MAX_LENGTH,
        "sentences": 1,
        "init": INIT,
        "image_crc": zlib.crc32(IMAGE.tobytes()),
    }
    return Program(array=tuple(array), vector=tuple(vector), stream=tuple(stream), **{**whole, **fields})


def ready(one: Program, strict: bool = False) -> ProgramSimulator:
    engine = ProgramSimulator(ENGINE, strict=strict)
    engine.load_program(to_bytes(one))
    engine.init(IMAGE.tobytes())
    return engine


def packet(ids: Sequence[int]) -> bytes:
    return pack_indices([IndexColumn("tokens", 1, 1 << 16)], np.array(ids), None)


def rows(beats: bytes, tokens: int) -> list[list[int]]:
    """Lanes of the words of a STORE, of the tokens that are there."""
    words = [struct.unpack_from(f"<{N}h", beats, 2 * N * w) for w in range(len(beats) // (2 * N))]
    return [[word[lane] for word in words] for lane in range(tokens)]


def fails(
    engine: ProgramSimulator, command: Callable[[], Any], error: Error, where: tuple[Unit, int] | None = None
) -> None:
    """The command ends in this error, says so everywhere, and the engine takes nothing until it is cleared."""
    with pytest.raises(ProgramError) as caught:
        command()
    assert (caught.value.error, engine.error, engine.where) == (error, error, where)
    if where is not None:
        assert (caught.value.unit, caught.value.number) == where
    with pytest.raises(ProgramError) as caught:
        engine.run(packet([1]), [1])
    assert caught.value.error is Error.COMMAND
    engine.clear()
    assert (engine.error, engine.where) == (Error.NONE, None)


IDS = [3, 0, 15, 7, 7]


def works(engine: ProgramSimulator) -> None:
    assert rows(engine.run(packet(IDS), [len(IDS)]), len(IDS)) == IMAGE[IDS].tolist()


def test_a_run_gives_the_rows_of_the_image() -> None:
    engine = ready(program(), strict=True)
    for ids in (IDS, [9], list(range(N))):
        assert rows(engine.run(packet(ids), [len(ids)]), len(ids)) == IMAGE[ids].tolist()


def header(**words: int) -> bytes:
    """The program with other words in its header and a CRC that is right."""
    data = bytearray(to_bytes(program()))
    names = [name for name, _ in isa.HEADER]
    for name, value in words.items():
        struct.pack_into("<I", data, 4 * names.index(name), value)
    return bytes(data[:-8]) + struct.pack("<Q", zlib.crc32(data[:-8]))


GOOD = to_bytes(program())
COUNTS = {"init_count": 1 << 31, "array_count": 1 << 31}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", Error.TRUNCATED),
        (GOOD[:120], Error.TRUNCATED),
        (header(magic=1)[:120], Error.TRUNCATED),
        (header(magic=1, version=2), Error.MAGIC),
        (header(version=2, lanes=16), Error.VERSION),
        (header(lanes=16), Error.PARAMETER),
        (header(lanes=7), Error.PARAMETER),
        (header(acc_bits=31), Error.PARAMETER),
        *((header(**{f"{m.name.lower()}_depth": ENGINE.depth(m) + 2}), Error.PARAMETER) for m in Memory),
        *((header(**{f"{m.name.lower()}_depth": 0}), Error.PARAMETER) for m in Memory),
        (header(index_depth=39), Error.PARAMETER),
        (header(max_length=0), Error.PARAMETER),
        (header(max_length=513), Error.PARAMETER),
        (header(sentences=0), Error.PARAMETER),
        (header(sentences=3), Error.PARAMETER),
        (header(**COUNTS), Error.PARAMETER),
        (header(array_count=62), Error.PARAMETER),
        (header(array_count=61), Error.TRUNCATED),
        (header(array_count=0), Error.OVERRUN),
        (GOOD[:-8], Error.TRUNCATED),
        (GOOD + bytes(8), Error.OVERRUN),
        (GOOD + b"\1", Error.OVERRUN),
        (GOOD[:200] + b"\xff" + GOOD[201:], Error.PROGRAM_CRC),
        (GOOD[:-1] + b"\1", Error.PROGRAM_CRC),
    ],
)
def test_program_errors_in_their_order(data: bytes, error: Error) -> None:
    engine = ready(program())
    fails(engine, lambda: engine.load_program(data), error)
    fails(engine, lambda: engine.init(IMAGE.tobytes()), Error.COMMAND)
    engine.load_program(GOOD)
    fails(engine, lambda: engine.run(packet(IDS), [len(IDS)]), Error.COMMAND)
    engine.init(IMAGE.tobytes())
    works(engine)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_program_that_needs_less_is_taken(depth: int) -> None:
    least = {f"{m.name.lower()}_depth": 2 for m in Memory}
    ProgramSimulator(ENGINE).load_program(header(**{**least, "kv_depth": depth, "program_depth": 3}))


@pytest.mark.parametrize("damaged", [False, True])
def test_a_program_without_tlast_goes_on(damaged: bool) -> None:
    data = GOOD[:-8] + bytes(8) if damaged else GOOD
    engine = ProgramSimulator(ENGINE)
    fails(engine, lambda: engine.load_program(data, last=False), Error.OVERRUN)
    fails(engine, lambda: engine.load_program(GOOD[:-8], last=False), Error.TRUNCATED)


def test_commands_come_in_their_order() -> None:
    engine = ProgramSimulator(ENGINE)
    fails(engine, lambda: engine.init(IMAGE.tobytes()), Error.COMMAND)
    fails(engine, lambda: engine.run(packet(IDS), [len(IDS)]), Error.COMMAND)
    engine.load_program(GOOD)
    fails(engine, lambda: engine.run(packet(IDS), [len(IDS)]), Error.COMMAND)
    engine.init(IMAGE.tobytes())
    works(engine)
    engine.load_program(GOOD)
    fails(engine, lambda: engine.run(packet(IDS), [len(IDS)]), Error.COMMAND)


@pytest.mark.parametrize(
    ("image", "last", "error", "where"),
    [
        (IMAGE.tobytes()[:-8], True, Error.TRUNCATED, (Unit.STREAM, 0)),
        (IMAGE.tobytes()[:-8], False, Error.TRUNCATED, (Unit.STREAM, 0)),
        (b"", True, Error.TRUNCATED, (Unit.STREAM, 0)),
        (IMAGE.tobytes() + b"\0", True, Error.OVERRUN, None),
        (bytes(ROWS * N), False, Error.OVERRUN, None),
        (bytes(ROWS * N), True, Error.IMAGE_CRC, None),
    ],
)
def test_init_errors(image: bytes, last: bool, error: Error, where: tuple[Unit, int] | None) -> None:
    engine = ready(program())
    fails(engine, lambda: engine.init(image, last=last), error, where)
    fails(engine, lambda: engine.run(packet(IDS), [len(IDS)]), Error.COMMAND)
    engine.init(IMAGE.tobytes())
    works(engine)


@pytest.mark.parametrize(
    ("init", "error", "number"),
    [
        ((replace(INIT[0], count=ROWS - 1), Load(memory=Memory.WEIGHT, base=63, count=2)), Error.ADDRESS, 1),
        ((replace(INIT[0], wait_array=1),), Error.DEADLOCK, 0),
        ((INIT[0], replace(INIT[0], wait_stream=2)), Error.DEADLOCK, 1),
        ((INIT[0], Store()), Error.FIELD, 1),
        ((INIT[0], INIT[0]), Error.TRUNCATED, 1),
        ((INIT[0], replace(INIT[0], count=0)), Error.TRUNCATED, 1),
    ],
)
def test_init_errors_of_instructions(init: tuple[Instruction, ...], error: Error, number: int) -> None:
    engine = ProgramSimulator(ENGINE)
    engine.load_program(to_bytes(program(init=init)))
    fails(engine, lambda: engine.init(IMAGE.tobytes()), error, (Unit.STREAM, number))


def test_init_skips_nothing_and_its_lengths_are_zero() -> None:
    init = (
        replace(INIT[0], sentence=1, block=63),
        Load(memory=Memory.WEIGHT, base=60, count=9, count_source=Count.LENGTH),
    )
    engine = ProgramSimulator(ENGINE)
    engine.load_program(to_bytes(program(init=init[::-1])))
    engine.init(IMAGE.tobytes())
    works(engine)


@pytest.mark.parametrize("lengths", [[], [0], [MAX_LENGTH + 1], [1, 1], [-1]])
def test_lengths_are_checked(lengths: list[int]) -> None:
    engine = ready(program())
    fails(engine, lambda: engine.run(packet(IDS), lengths), Error.LENGTH)
    works(engine)


def other_bits(instruction: Instruction) -> bytes:
    """An instruction with a reserved bit set."""
    data = bytearray(isa.encode(instruction))
    data[-1] = 0x80
    return bytes(data)


def with_raw(one: Program, unit: Unit, number: int, raw: bytes) -> bytes:
    """The program with one instruction replaced by any bytes."""
    data = bytearray(to_bytes(one)[:-8])
    place = sum(map(len, one.lists()[: 1 + unit])) + number
    start = 4 * len(isa.HEADER) + 64 * place
    data[start : start + 64] = raw
    return bytes(data) + struct.pack("<Q", zlib.crc32(data))


@pytest.mark.parametrize(
    ("unit", "number", "raw", "where"),
    [
        (Unit.ARRAY, 0, other_bits(LOOKUP), (Unit.ARRAY, 0)),
        (Unit.ARRAY, 0, isa.encode(ANSWER), (Unit.ARRAY, 0)),
        (Unit.ARRAY, 0, bytes(64), (Unit.ARRAY, 0)),
        # Read before its waits, which are never met, and though it is skipped.
        (Unit.STREAM, 1, other_bits(replace(ANSWER, wait_vector=9)), (Unit.STREAM, 1)),
        (Unit.STREAM, 1, other_bits(replace(ANSWER, sentence=1)), (Unit.STREAM, 1)),
        (Unit.STREAM, 1, isa.encode(LOOKUP), (Unit.STREAM, 1)),
    ],
)
def test_fields_are_checked_when_an_instruction_is_read(
    unit: Unit, number: int, raw: bytes, where: tuple[Unit, int]
) -> None:
    engine = ready(program())
    engine.load_program(with_raw(program(), unit, number, raw))
    engine.init(IMAGE.tobytes())
    fails(engine, lambda: engine.run(packet(IDS), [len(IDS)]), Error.FIELD, where)


def test_an_instruction_that_is_never_read_has_no_field() -> None:
    # The one before it can't start.
    one = program(stream=(INDICES, replace(ANSWER, wait_vector=1), ANSWER))
    engine = ProgramSimulator(ENGINE)
    engine.load_program(with_raw(one, Unit.STREAM, 2, bytes(64)))
    engine.init(IMAGE.tobytes())
    fails(engine, lambda: engine.run(packet(IDS), [len(IDS)]), Error.DEADLOCK, (Unit.STREAM, 1))


PLAIN = Contract(wait_stream=1, nk=3, a_stridek=1, b_stridek=1, rows=N)
BOUNDARIES: list[tuple[Contract, str, int]] = [
    (PLAIN, "a_base", 64 - 3),
    (replace(PLAIN, a_space=Space.KV), "a_base", 48 - 3),
    (PLAIN, "b_base", 40 - 3),
    (replace(PLAIN, b_space=Space.VECTOR), "b_base", 56 - 3),
    (replace(PLAIN, b_space=Space.WEIGHT, keep=1), "b_base", 64 - 3),
    (replace(PLAIN, a_stride2=7, n2=3), "a_base", 64 - 3 - 14),
    (replace(PLAIN, b_stride0=7, b_stride1=2, n0=3, n1=2), "b_base", 40 - 3 - 16),
    (replace(PLAIN, n0_source=Count.TOKENS, b_stride0=3), "b_base", 40 - 3 - 12),
    (replace(PLAIN, n0=2, a_indexed=Indexed.LOOP0, a_index_stride=2), "a_base", 64 - 3 - 6),
    (replace(PLAIN, rows=0, a_indexed=Indexed.LOOPK, a_index_stride=1), "a_base", 64 - 1 - 17 - 2),
    (replace(PLAIN, c_space=Space.ACT), "c_base", 40 - N),
    (replace(PLAIN, c_space=Space.KV), "c_base", 48 - N),
    (replace(PLAIN, c_space=Space.SCORE), "c_base", 24 - N),
    (replace(PLAIN, c_space=Space.WIDE), "c_base", 32 - N),
    (replace(PLAIN, n2=2, rows=N + 3, c_stride2=10), "c_base", 40 - 13),
    (replace(PLAIN, n2=2, rows=N + 3, c_stride2=2), "c_base", 40 - N),
    (replace(PLAIN, rows_source=Count.LENGTH, n0=2, c_stride0=9), "c_base", 40 - 9 - 5),
    (replace(PLAIN, bias=1), "bias_base", 72 - N),
    (replace(PLAIN, bias=1, columns=1, n1=3), "bias_base", 72 - 3 * N),
    (replace(PLAIN, residual_space=Space.VECTOR), "residual_base", 56 - N),
    (replace(PLAIN, residual_space=Space.WEIGHT), "residual_base", 64 - N),
    (replace(PLAIN, residual_space=Space.WIDE), "residual_base", 32 - N),
    (replace(PLAIN, has_table=1), "table_id", 1),
    (replace(PLAIN, stat=Stat.SUMS), "stat_slot", 3),
]


@pytest.mark.parametrize(("contract", "name", "highest"), BOUNDARIES)
def test_every_address_of_contract_is_checked(contract: Contract, name: str, highest: int) -> None:
    ids = [3, 0, 17, 7, 7]
    changes: dict[str, Any] = {name: highest}
    inside = ready(program([replace(contract, **changes)]))
    inside.run(packet(ids), [5])
    changes = {name: highest + 1}
    outside = ready(program([replace(contract, **changes)]))
    fails(outside, lambda: outside.run(packet(ids), [5]), Error.ADDRESS, (Unit.ARRAY, 0))


@pytest.mark.parametrize(
    "changes",
    [
        {"a_base": 64, "nk": 0, "a_stridek": 9},
        {"a_base": 64, "n1": 0},
        {"c_base": 40, "rows": 0},
        {"c_base": 40, "keep": 1},
        {"bias": 1, "bias_base": 72, "rows": 0},
        {"a_space": Space.IDENTITY, "a_base": 64, "a_indexed": Indexed.LOOP0, "n0": 21},
        {"sentence": 1, "a_base": 64},
        {"block": 1, "a_base": 64},
    ],
)
def test_words_that_are_not_touched_have_no_address(changes: dict[str, Any]) -> None:
    engine = ready(program([replace(PLAIN, **changes)]))
    engine.run(packet(IDS), [5])


@pytest.mark.parametrize(
    "indexed", [{"n0": 21, "a_indexed": Indexed.LOOP0}, {"nk": 21, "b_indexed": Indexed.LOOPK}]
)
def test_a_sentence_has_its_half_of_the_indices(indexed: dict[str, Any]) -> None:
    base: dict[str, Any] = {"a_stridek": 0, "b_stridek": 0}
    engine = ready(program([replace(PLAIN, **base, **{k: v - (v == 21) for k, v in indexed.items()})]))
    engine.run(packet(IDS), [5])
    engine = ready(program([replace(PLAIN, **base, **indexed)]))
    fails(engine, lambda: engine.run(packet(IDS), [5]), Error.ADDRESS, (Unit.ARRAY, 0))
    # Beyond the half lies the other sentence's.
    late = ready(program(stream=(replace(INDICES, base=17), ANSWER)))
    fails(late, lambda: late.run(packet(IDS), [5]), Error.ADDRESS, (Unit.STREAM, 0))


MAXIMA = replace(PLAIN, rows_source=Count.LENGTH, c_space=Space.SCORE, stat=Stat.MAX)
SUMS = replace(PLAIN, c_space=Space.WIDE, bits=16, stat=Stat.SUMS)
SOFTMAX = Softmax(wait_array=1)
NORM = LayerNorm(wait_array=1, size=N, count=N)


@pytest.mark.parametrize(
    ("array", "vector", "error"),
    [
        (MAXIMA, SOFTMAX, Error.NONE),
        (MAXIMA, replace(SOFTMAX, source=19, target=51), Error.NONE),
        (MAXIMA, replace(SOFTMAX, source=20), Error.ADDRESS),
        (MAXIMA, replace(SOFTMAX, target=52), Error.ADDRESS),
        (MAXIMA, replace(SOFTMAX, exp_id=1), Error.ADDRESS),
        (SUMS, SOFTMAX, Error.STAT),
        (replace(MAXIMA, rows_source=Count.CONST), SOFTMAX, Error.STAT),
        (MAXIMA, replace(SOFTMAX, stat_slot=1), Error.STAT),
        # Slot and table come before the statistic, and the statistic before the words.
        (SUMS, replace(SOFTMAX, stat_slot=4), Error.ADDRESS),
        (SUMS, replace(SOFTMAX, exp_id=1), Error.ADDRESS),
        (SUMS, replace(SOFTMAX, source=20), Error.STAT),
        (SUMS, NORM, Error.NONE),
        (SUMS, replace(NORM, count=3, source=29, target=53, norm_base=77), Error.NONE),
        (SUMS, replace(NORM, source=25), Error.ADDRESS),
        (SUMS, replace(NORM, target=49), Error.ADDRESS),
        (SUMS, replace(NORM, norm_base=73), Error.ADDRESS),
        (MAXIMA, NORM, Error.STAT),
        (SUMS, replace(NORM, size=N - 1), Error.STAT),
        (SUMS, replace(NORM, stat_slot=4, size=3), Error.ADDRESS),
        (SUMS, replace(NORM, source=25, size=3), Error.STAT),
    ],
)
def test_the_vector_unit_checks_statistics_and_addresses(array: Contract, vector: Any, error: Error) -> None:
    engine = ready(program([array], [vector]))
    if error is Error.NONE:
        engine.run(packet(IDS), [5])
    else:
        fails(engine, lambda: engine.run(packet(IDS), [5]), error, (Unit.VECTOR, 0))


@pytest.mark.parametrize(
    ("stream", "last", "error", "where"),
    [
        ((INDICES, replace(ANSWER, base=25)), True, Error.ADDRESS, (Unit.STREAM, 1)),
        ((INDICES, INDICES), True, Error.TRUNCATED, (Unit.STREAM, 1)),
        ((replace(INDICES, count_source=Count.CONST, count=6),), True, Error.TRUNCATED, (Unit.STREAM, 0)),
        ((replace(INDICES, count_source=Count.CONST, count=6),), False, Error.TRUNCATED, (Unit.STREAM, 0)),
        ((replace(INDICES, count_source=Count.CONST, count=21),), True, Error.ADDRESS, (Unit.STREAM, 0)),
        ((replace(INDICES, count_source=Count.CONST, count=4), ANSWER), True, Error.OVERRUN, None),
        ((INDICES, ANSWER), False, Error.OVERRUN, None),
    ],
)
def test_stream_errors(
    stream: tuple[Instruction, ...], last: bool, error: Error, where: tuple[Unit, int] | None
) -> None:
    engine = ready(program(stream=stream))
    fails(engine, lambda: engine.run(packet(IDS), [5], last=last), error, where)
    engine.load_program(GOOD)
    engine.init(IMAGE.tobytes())
    works(engine)


def test_a_deadlock_names_the_first_unit_that_is_not_done() -> None:
    engine = ready(program(vector=[replace(SOFTMAX, wait_array=2)]))
    fails(engine, lambda: engine.run(packet(IDS), [5]), Error.DEADLOCK, (Unit.VECTOR, 0))
    circle = ready(program([replace(LOOKUP, wait_stream=2)]))
    fails(circle, lambda: circle.run(packet(IDS), [5]), Error.DEADLOCK, (Unit.ARRAY, 0))


def test_units_take_turns_and_the_first_fault_counts() -> None:
    # The stream's second turn comes after the array's second.
    bad = replace(PLAIN, wait_stream=0, a_base=64)
    good = replace(bad, a_base=0)
    broken = replace(ANSWER, wait_array=0, base=25)
    for array, where in (([good, bad], (Unit.ARRAY, 1)), ([good, good, bad], (Unit.STREAM, 1))):
        engine = ready(program(array, stream=(INDICES, broken)))
        fails(engine, partial(engine.run, packet(IDS), [5]), Error.ADDRESS, where)


def test_a_run_after_an_error_is_as_good_as_any() -> None:
    engine = ready(program())
    for _ in range(2):
        fails(engine, lambda: engine.run(packet([9, 64]), [2]), Error.ADDRESS, (Unit.ARRAY, 0))
        works(engine)
        fails(engine, lambda: engine.run(packet([9]), [2]), Error.TRUNCATED, (Unit.STREAM, 0))
        works(engine)


def test_kept_accumulators_are_not_left_for_the_next_run() -> None:
    kept = replace(LOOKUP, keep=1)
    engine = ready(
        program([kept, replace(LOOKUP, wait_array=1)], stream=(INDICES, replace(ANSWER, wait_array=2)))
    )
    for _ in range(2):
        assert rows(engine.run(packet(IDS), [5]), 5) == (2 * IMAGE[IDS].astype(int)).tolist()
    engine.load_program(to_bytes(program([LOOKUP, kept])))
    engine.init(IMAGE.tobytes())
    works(engine)
    works(engine)


def test_an_instruction_reads_what_its_earlier_tiles_drained() -> None:
    # Each of four tiles adds a row of the image to the same word, then to the adjacent words.
    sums = replace(
        LOOKUP, n1=4, nk=1, nk_source=Count.CONST, b_indexed=Indexed.NONE, b_stride1=1, columns=0, rows=1
    )
    sums = replace(sums, residual_space=Space.WIDE)
    chain = replace(sums, c_base=1, c_stride1=1)
    for contract, expected in (
        (sums, [IMAGE[:4].astype(int).sum(axis=0)]),
        (chain, np.cumsum(IMAGE[:4].astype(int), axis=0)),
    ):
        clear = replace(LOOKUP, nk=0, nk_source=Count.CONST)
        one = program(
            [clear, replace(contract, wait_array=1)],
            stream=(INDICES, Store(wait_array=2, base=contract.c_base, count=len(expected))),
        )
        beats = ready(one).run(packet(IDS), [5])
        assert np.frombuffer(beats, "<i2").reshape(-1, N).tolist() == np.array(expected).tolist()
        strict = ready(one, strict=True)
        if contract is chain:
            fails(strict, partial(strict.run, packet(IDS), [5]), Error.NONE, (Unit.ARRAY, 1))


def test_an_instruction_in_pieces_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        names = (
            "n0",
            "n1",
            "n2",
            "nk",
            "rows",
            "a_stride1",
            "a_stride2",
            "b_stride0",
            "b_stride1",
            "b_stridek",
        )
        drawn: dict[str, Any] = {name: int(rng.integers(1, 4)) for name in names}
        contract = replace(
            LOOKUP,
            **{**drawn, "rows": drawn["rows"] * 5, "a_space": Space.WEIGHT, "a_stridek": 1},
            nk_source=Count.CONST,
            c_stride0=int(rng.integers(0, 4)),
            c_stride1=int(rng.integers(0, 4)),
            c_stride2=int(rng.integers(0, 3)),
            columns=int(rng.integers(2)),
            stat=Stat.SUMS,
            b_indexed=Indexed(int(rng.integers(2))),
        )
        one = program([contract], [replace(NORM, size=1)], (INDICES, replace(ANSWER, count=32)))
        results = []
        for numbers in (1, 3 * N * N, 1 << 23):
            monkeypatch.setattr(engine_contract, "_PIECE_NUMBERS", numbers)
            engine = ready(one)
            fails(engine, partial(engine.run, packet(IDS), [5]), Error.STAT, (Unit.VECTOR, 0))
            written: list[Any] = []
            engine = ready(replace(one, vector=()))
            beats = engine.run(packet(IDS), [5], lambda *what, w=written: w.append(what))
            (only,) = written
            results.append((beats, only[:3], only[3].tolist(), only[4].tolist()))
        assert results[0] == results[1] == results[2]


def contract(**fields: Any) -> Contract:
    """One word of ACT or elsewhere, out of the image alone."""
    whole: dict[str, Any] = {"b_space": Space.WEIGHT, "rows": 1, "wait_stream": 1}
    return Contract(**{**whole, **fields})


def to_wide(**fields: Any) -> Contract:
    """One word of WIDE, and its statistic."""
    return contract(c_space=Space.WIDE, stat=Stat.SUMS, **fields)


def from_act(**fields: Any) -> Contract:
    """One word of ACT out of another."""
    return contract(b_space=Space.ACT, c_base=9, **fields)


def norm(**fields: Any) -> LayerNorm:
    """One word of VECTOR out of what `to_wide` gives."""
    whole: dict[str, Any] = {"size": 1, "count": 1, "wait_array": 1}
    return LayerNorm(**{**whole, **fields})


ONE_WEIGHT = Load(memory=Memory.WEIGHT, count=1)
FROM_VECTOR = contract(b_space=Space.VECTOR)
FROM_WIDE = contract(residual_space=Space.WIDE)
Place = tuple[Unit, int, "tuple[Unit, int] | None", Memory, int]


@pytest.mark.parametrize(
    ("array", "vector", "stream", "place"),
    [
        # Words that nothing has written.
        ([from_act()], [], [], (Unit.ARRAY, 0, None, Memory.ACT, 0)),
        ([contract(b_base=ROWS)], [], [], (Unit.ARRAY, 0, None, Memory.WEIGHT, ROWS)),
        ([contract(a_space=Space.KV, a_base=3)], [], [], (Unit.ARRAY, 0, None, Memory.KV, 3)),
        ([contract(bias=1, bias_base=2)], [], [], (Unit.ARRAY, 0, None, Memory.BIAS, 2)),
        ([contract(has_table=1)], [], [], (Unit.ARRAY, 0, None, Memory.TABLE, 0)),
        ([FROM_WIDE], [], [], (Unit.ARRAY, 0, None, Memory.WIDE, 0)),
        ([contract(nk=6, b_indexed=Indexed.LOOPK)], [], [], (Unit.ARRAY, 0, None, Memory.INDEX, 5)),
        ([], [], [Store(base=7)], (Unit.STREAM, 1, None, Memory.WIDE, 7)),
        ([to_wide()], [norm(norm_base=1)], [], (Unit.VECTOR, 0, None, Memory.NORM, 1)),
        # The array: what was drained needs a token; the order of drains does not, nor do words read before.
        ([contract(), from_act()], [], [], (Unit.ARRAY, 1, (Unit.ARRAY, 0), Memory.ACT, 0)),
        ([contract(), from_act(wait_array=1)], [], [], None),
        (
            [contract()] * 2 + [from_act(wait_array=1)],
            [],
            [],
            (Unit.ARRAY, 2, (Unit.ARRAY, 1), Memory.ACT, 0),
        ),
        ([contract(), from_act(wait_array=1), contract()], [], [], None),
        ([to_wide(), FROM_WIDE], [], [], (Unit.ARRAY, 1, (Unit.ARRAY, 0), Memory.WIDE, 0)),
        ([to_wide(), replace(FROM_WIDE, wait_array=1)], [], [], None),
        # Reads of what another unit writes.
        (
            [to_wide()],
            [norm(wait_array=0, wait_stream=1)],
            [],
            (Unit.VECTOR, 0, (Unit.ARRAY, 0), Memory.STAT, 0),
        ),
        ([to_wide(), FROM_VECTOR], [norm()], [], (Unit.ARRAY, 1, (Unit.VECTOR, 0), Memory.VECTOR, 0)),
        ([to_wide(), replace(FROM_VECTOR, wait_vector=1)], [norm()], [], None),
        ([to_wide()], [], [Store(count=1, wait_stream=1)], (Unit.STREAM, 1, (Unit.ARRAY, 0), Memory.WIDE, 0)),
        (
            [contract(), contract()],
            [],
            [replace(ONE_WEIGHT, wait_array=1)],
            (Unit.ARRAY, 1, (Unit.STREAM, 1), Memory.WEIGHT, 0),
        ),
        ([contract(), contract(wait_stream=2)], [], [replace(ONE_WEIGHT, wait_array=1)], None),
        # What one knows through another.
        ([to_wide()], [norm()], [Store(count=1, wait_vector=1)], None),
        ([to_wide(), replace(FROM_WIDE, wait_vector=1)], [norm()], [], None),
        ([to_wide(), contract(wait_vector=1), FROM_VECTOR], [norm()], [], None),
        ([to_wide()], [norm(), norm(target=1, wait_array=0)], [Store(count=1, wait_vector=2)], None),
        # A skipped instruction has waited for nothing, and retires after those before it.
        (
            [to_wide()],
            [norm(block=1)],
            [Store(count=1, wait_vector=1)],
            (Unit.STREAM, 1, (Unit.ARRAY, 0), Memory.WIDE, 0),
        ),
        ([to_wide(), contract(block=1)], [], [Store(count=1, wait_array=2)], None),
        # Writes over what another unit still reads.
        ([to_wide(), to_wide(stat_slot=1)], [norm()], [], (Unit.ARRAY, 1, (Unit.VECTOR, 0), Memory.WIDE, 0)),
        ([to_wide(), to_wide(c_base=1)], [norm()], [], (Unit.ARRAY, 1, (Unit.VECTOR, 0), Memory.STAT, 0)),
        ([to_wide(), to_wide(wait_vector=1)], [norm()], [], None),
        ([contract()], [], [ONE_WEIGHT], (Unit.STREAM, 1, (Unit.ARRAY, 0), Memory.WEIGHT, 0)),
        ([contract()], [], [replace(ONE_WEIGHT, wait_array=1)], None),
    ],
)
def test_hazards_are_found_in_strict_mode_alone(
    array: list[Contract], vector: list[Instruction], stream: list[Instruction], place: Place | None
) -> None:
    image = IMAGE.tobytes() + bytes(8)
    one = program(
        array,
        vector,
        [INDICES, *stream],
        init=(*INIT, Load(memory=Memory.NORM, count=1)),
        image_crc=zlib.crc32(image),
    )
    sent = packet(IDS) + (bytes(8) if any(isinstance(i, Load) for i in stream) else b"")
    for strict in (False, True):
        engine = ProgramSimulator(ENGINE, strict=strict)
        engine.load_program(to_bytes(one))
        for _ in range(2):
            engine.init(image)
            if strict and place is not None:
                with pytest.raises(HazardError) as caught:
                    engine.run(sent, [len(IDS)])
                found = caught.value
                assert (found.unit, found.number, found.other, found.memory, found.address) == place
                assert (engine.error, engine.where) == (Error.NONE, place[:2])
                engine.clear()
            else:
                engine.run(sent, [len(IDS)])


def test_words_of_another_run_or_program_are_not_written() -> None:
    one = program([contract(sentence=1), from_act(wait_array=1)], stream=(INDICES,), sentences=2)
    both = replace(one, stream=(INDICES, replace(INDICES, sentence=1)))
    engine = ready(both, strict=True)
    engine.run(packet(IDS) * 2, [5, 5])
    with pytest.raises(HazardError, match="never written: word 0 of ACT"):
        engine.run(packet(IDS), [5])
    engine.clear()
    engine.load_program(to_bytes(replace(both, init=(Load(memory=Memory.WEIGHT, base=1, count=ROWS),))))
    engine.init(IMAGE.tobytes())
    with pytest.raises(HazardError, match="never written: word 0 of WEIGHT"):
        engine.run(packet(IDS) * 2, [5, 5])


def test_a_command_of_too_many_steps_is_given_up() -> None:
    endless = replace(LOOKUP, n0=4095, n0_source=Count.CONST, n1=4095, nk=8191)
    engine = ProgramSimulator(ENGINE, most_steps=1 << 20)
    engine.load_program(to_bytes(program([replace(endless, nk_source=Count.CONST, b_indexed=Indexed.NONE)])))
    engine.init(IMAGE.tobytes())
    with pytest.raises(TooLongError):
        engine.run(packet(IDS), [5])
    engine.clear()
    engine.load_program(GOOD)
    engine.init(IMAGE.tobytes())
    works(engine)


# A graph that is nothing but values, for captures.
VALUES = {
    "x": Value("x", Format(8, 0, signed=False), ("T", 3)),
    "y": Value("y", Format(16, 0), (4,)),
}
GRAPH = Graph((), VALUES, {}, {}, Metadata("none", MAX_LENGTH))


def view(value: str, number: int, base: int, axes: tuple[Axis, ...], **fields: Any) -> View:
    return View(
        value, Unit.ARRAY, number, 0, Memory.ACT, base, (0,) * len(VALUES[value].dims), axes, **fields
    )


def test_a_capture_puts_words_where_the_views_say() -> None:
    # Feature f of token t: block t // N at 10 * block, word 2 * f, lane t % N; 2 blocks are seen, 11 tokens are there.
    axes = (Axis(2, 10, 0, (N, 0)), Axis(N, 0, 1, (1, 0)), Axis(3, 2, 0, (0, 1)))
    capture = Capture(GRAPH, [view("x", 0, 5, axes)], [11])
    rng = np.random.default_rng(1)
    addresses = rng.permutation(np.arange(5, 25))
    words = rng.integers(-128, 128, (20, N)).astype(np.int8)
    capture(Unit.ARRAY, 1, Memory.ACT, addresses, words, None)
    assert capture.values() == [{}]
    capture(Unit.ARRAY, 0, Memory.ACT, addresses, words, None)
    found = capture.values()[0]["x"]
    at = {int(a): word for a, word in zip(addresses, words, strict=True)}
    assert found.dtype == np.uint8
    assert found.tolist() == [
        [int(at[5 + 10 * (t // N) + 2 * f][t % N]) % 256 for f in range(3)] for t in range(11)
    ]


def test_a_capture_gives_complete_values_from_before_the_table_of_the_last_word() -> None:
    parts = [view("y", number, 3, (Axis(2, 1, 0, (1,)),), before_table=bool(number)) for number in range(2)]
    parts[1] = replace(parts[1], origin=(2,))
    capture = Capture(GRAPH, [*parts, replace(parts[0], sentence=1)], [1])
    words = np.arange(3 * N).reshape(3, N).astype(np.int8)
    addresses = np.array([3, 4, 3])
    capture(Unit.ARRAY, 0, Memory.ACT, addresses, words, 300 + words.astype(np.int32))
    assert capture.values() == [{}]
    capture(Unit.ARRAY, 1, Memory.ACT, addresses, words, 300 + words.astype(np.int32))
    assert capture.values()[0]["y"].tolist() == [2 * N, N, 300 + 2 * N, 300 + N]


@pytest.mark.parametrize("memory", [Memory.ACT, Memory.KV])
def test_a_view_of_words_that_are_not_written_is_a_defect(memory: Memory) -> None:
    base = 3 if memory is Memory.KV else 2
    capture = Capture(GRAPH, [view("y", 0, base, (Axis(4, 1, 0, (1,)),))], [1])
    with pytest.raises(UserError, match="does not write all words that they name for 'y'"):
        capture(Unit.ARRAY, 0, memory, np.arange(3, 7), np.zeros((4, N), np.int8), None)


@given(
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 1)), min_size=1, max_size=20),
    st.lists(st.sampled_from([(20, 3), (4, 5), (1, 4), (1, 60)]), max_size=6),
)
def test_indices_are_digits_of_ids(ids: list[tuple[int, int]], digits: list[tuple[int, int]]) -> None:
    columns = [IndexColumn("segments", 1, 2), *(IndexColumn("tokens", d, m) for d, m in [*digits, (1, 60)])]
    tokens, segments = np.array(ids, np.int32).T
    expected = b""
    for token, segment in ids:
        words = [segment, *(token // c.divisor % c.modulus for c in columns[1:])]
        expected += struct.pack("<8H", *words, *[0] * (8 - len(words)))
    assert pack_indices(columns, tokens, segments) == expected


@pytest.mark.parametrize(
    ("tokens", "segments", "message"),
    [
        ([3, 60, 2], [0, 0, 0], "the token ids of the model are 0 to 59, got 60"),
        ([3, -1, 2], [0, 0, 0], "the token ids of the model are 0 to 59, got -1"),
        ([3, 1, 2], [0, 2, 0], "the segment ids of the model are 0 to 1, got 2"),
        ([3, 1, 2], [0, 1], "expected 3 segment ids, one per token, got 2"),
        ([3, 1, 2], None, "expected 3 segment ids, one per token, got none"),
    ],
)
def test_ids_out_of_range_are_refused(tokens: list[int], segments: list[int] | None, message: str) -> None:
    columns = [IndexColumn("tokens", 20, 3), IndexColumn("tokens", 1, 20), IndexColumn("segments", 1, 2)]
    with pytest.raises(UserError, match=message):
        pack_indices(columns, np.array(tokens), None if segments is None else np.array(segments))


def test_outputs_are_unpacked_in_the_order_of_their_blocks() -> None:
    lengths = [N + 3, 2]
    slots = [Output("slots", "s", s, b, 3, True) for s, b in ((1, 0), (0, 1), (1, 1), (0, 0))]
    outputs = [slots[0], Output("intent", "i", 0, 0, 2, False), *slots[1:]]
    logits = np.random.default_rng(2).integers(-(1 << 15), 1 << 15, (2, 2 * N, 3))
    beats = b""
    for output in outputs:
        if output.block * N < lengths[output.sentence]:
            for word in range(output.words):
                for lane in range(N):
                    beats += struct.pack("<h", logits[output.sentence, N * output.block + lane, word])
    first, second = unpack_outputs(outputs, N, lengths, beats)
    assert first["slots"].tolist() == logits[0, : N + 3].tolist()
    assert second["slots"].tolist() == logits[1, :2].tolist()
    assert first["intent"].tolist() == logits[0, 0, :2].tolist()
    assert set(second) == {"slots"}
    for wrong in (beats[:-2], beats + bytes(8)):
        with pytest.raises(UserError, match="load the program of this build"):
            unpack_outputs(outputs, N, lengths, wrong)


@pytest.mark.parametrize("seed", range(6))
def test_predictions_are_the_golden_models(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    compiled = compile_graph(graph, lanes=8, sentences=1 + seed % 2)
    level = EngineLevel(graph, compiled, ProgramSimulator(compiled.program.parameters))
    sentences = random_sentences(rng, graph, 5)
    golden = GoldenModel(graph, threads=1).predict(sentences)
    found = level.predict(sentences)
    for task, logits in golden.items():
        assert [one.tolist() for one in found[task]] == [one.tolist() for one in logits]

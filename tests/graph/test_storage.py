"""Constants as bytes: packing is exact, and the reported sizes match the file."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest

from narrowgauge.fixedpoint import Format
from narrowgauge.graph import Embedding, Linear, TTMEmbedding
from narrowgauge.graph.describe import describe
from narrowgauge.graph.onnx_io import model_bytes, write_build
from narrowgauge.graph.storage import is_packed, pack, stored_bytes, unpack
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels.compare import verify_levels
from narrowgauge.sim.levels.onnx import OnnxLevel

from ..support.graphs import random_graph, random_sentences


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("signed", [True, False])
def test_packed_integers_are_unpacked_again(bits: int, signed: bool) -> None:
    rng = np.random.default_rng(bits)
    fmt = Format(bits, 0, signed)
    each = 8 // bits
    for count in (*range(1, 70), 1000):
        data = rng.integers(fmt.lo, fmt.hi + 1, count).astype(fmt.dtype)
        packed = pack(data, fmt)
        assert packed.dtype == np.uint8 and packed.shape == (math.ceil(count / each),)
        assert packed.size == stored_bytes(fmt, count)
        # Lowest bits first, in two's complement, in plain Python.
        number = sum((int(q) & ((1 << bits) - 1)) << (k * bits) for k, q in enumerate(data))
        assert packed.tobytes() == number.to_bytes(packed.size, "little")
        found = unpack(packed, fmt, count)
        assert found.dtype == fmt.dtype and np.array_equal(found, data)
        for wrong in (packed[:-1], np.append(packed, np.uint8(0))):
            with pytest.raises(ValueError, match="bytes"):
                unpack(wrong, fmt, count)
        if count % each:
            packed[-1] |= 0x80
            with pytest.raises(ValueError, match="must be 0"):
                unpack(packed, fmt, count)


def test_the_first_integer_is_in_the_lowest_bits() -> None:
    assert pack(np.array([1, -1, -8], np.int8), Format(4, 3)).tolist() == [0xF1, 0x08]
    assert pack(np.array([1, -1, -2, 0, 1], np.int8), Format(2, 0)).tolist() == [0b00101101, 0b01]


@pytest.mark.parametrize("bits", [2, 4, 8, 16, 32])
def test_other_formats_take_the_bytes_of_their_type(bits: int) -> None:
    fmt = Format(bits, 0)
    assert is_packed(fmt) is (bits < 8)
    assert stored_bytes(fmt, 24) == 3 * bits


@pytest.mark.parametrize("bits", [8, 4, 2, None])
@pytest.mark.parametrize("ttm", [False, True])
def test_the_sizes_that_are_told_are_those_in_the_file(bits: int | None, ttm: bool) -> None:
    rng = np.random.default_rng(20 + (bits or 0))
    graph = random_graph(rng, bits=bits, ttm=ttm, layers=1, extremes=0.0)
    weights = [node for node in graph.nodes if isinstance(node, Linear | TTMEmbedding)]
    cores = {core for node in weights for core in node.cores}
    cores |= {node.table for node in graph.nodes if isinstance(node, Embedding)}
    widths = {graph.fmt(core).bits for core in cores}
    assert widths == ({bits} if bits else {2, 4, 8})
    model = onnx.load_from_string(model_bytes(graph))
    in_file = {
        tensor.name.removesuffix(".packed"): len(tensor.raw_data) for tensor in model.graph.initializer
    }
    sizes = describe(graph).sizes
    assert sizes.constants == sum(in_file.values()) == sum(layer.bytes for layer in describe(graph).layers)
    assert sizes.cores == sum(in_file[core] for core in cores)
    assert sizes.cores == sum(
        math.ceil(graph.constants[core].size * graph.fmt(core).bits / 8) for core in cores
    )
    unpacked = {call.output[0] for call in model.graph.node if call.op_type.startswith("Unpack")}
    assert unpacked == {name for name in graph.constants if graph.fmt(name).bits < 8}
    sentences = random_sentences(rng, graph, 5)
    results = verify_levels(
        graph, [GoldenModel(graph), OnnxLevel(model_bytes(graph), graph, threads=1)], sentences
    )
    assert all(result.equal for result in results)
    assert results[1].tensors == len(graph.merged()) + 5 * len(graph.activations())


def test_a_file_of_narrow_cores_is_smaller_by_what_they_save(tmp_path) -> None:
    found = {}
    for bits in (8, 4, 2):
        graph = random_graph(
            np.random.default_rng(1),
            bits=bits,
            layers=2,
            features=48,
            heads=2,
            kind="dense",
            ffn=64,
            ttm=False,
        )
        write_build(graph, tmp_path / str(bits))
        found[bits] = describe(graph).sizes.cores, (tmp_path / str(bits) / "model.onnx").stat().st_size
    cores, sizes = ({bits: pair[k] for bits, pair in found.items()} for k in (0, 1))
    assert 2 * cores[4] - 99 < cores[8] <= 2 * cores[4] and 2 * cores[2] - 99 < cores[4] <= 2 * cores[2]
    # A packed constant adds a call and a longer name: some hundred bytes.
    calls = 200 * 30 + 6000
    assert sizes[8] - sizes[4] > cores[8] - cores[4] - calls
    assert sizes[4] - sizes[2] > cores[4] - cores[2] - 1000

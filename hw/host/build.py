"""A compiled model: what the compiler returns, and what the folder of a build holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...text.frontend import Frontend
from ..isa import Memory, Parameters
from ..isa.program import Program
from .packets import IndexColumn, Output
from .views import View

PROGRAM_FILE = "program.bin"
IMAGE_FILE = "weights.bin"
STREAM_FILE = "stream.bin"
ENGINE_FILE = "engine.json"
HLS_FOLDER = "hls"
VIVADO_FOLDER = "vivado"
DEPLOY_FOLDER = "deploy"


@dataclass(frozen=True)
class Options:
    """The options of `compile_graph` that a model was compiled with; the same options give the same program.

    Attributes:
        lanes, sentences, max_length, engine, tight, weight_words: see `compile_graph`.
    """

    lanes: int
    sentences: int
    max_length: int
    engine: Parameters | None
    tight: bool
    weight_words: int | None


@dataclass(frozen=True)
class EngineBuild:
    """A compiled model, with everything that a host needs to run it.

    Attributes:
        options: of the compiler.
        program: the instructions.
        image: the packet of INIT: the constants that stay in the engine.
        stream: the end of the packet of every RUN, after the index words: the constants that do not fit.
        views: where each value of the graph is written.
        inputs: the index columns of a token.
        outputs: the beats that the host receives, in the order of the STOREs.
        layers: for each unit, the layer of each of its instructions.
        peak: for each memory, the buffers in it when it is fullest, and their words.
        frontend: text to token ids, and logits to names; None for a graph without vocabulary or labels.
        model: SHA-256 of the `model.onnx` that it was compiled from, in hexadecimal; "" until it is written.
    """

    options: Options
    program: Program
    image: bytes
    stream: bytes
    views: tuple[View, ...]
    inputs: tuple[IndexColumn, ...]
    outputs: tuple[Output, ...]
    layers: tuple[tuple[str, ...], ...]
    peak: Mapping[Memory, tuple[tuple[str, int], ...]]
    frontend: Frontend | None = None
    model: str = ""

    @property
    def engine(self) -> Parameters:
        """The engine that it was compiled for: the one in the options, or else one that the program fits."""
        return self.options.engine or engine_for(self.program, self.options.tight)


def engine_for(program: Program, tight: bool = False) -> Parameters:
    """An engine that a program fits.

    Its depths are powers of two, at least 16, which leaves room for other models; with `tight`, multiples of 16.
    """
    needs = program.parameters

    def rounded(depth: int) -> int:
        return -(-depth // 16) * 16 if tight else max(16, 1 << (depth - 1).bit_length())

    depths = {f"{memory.name.lower()}_depth": rounded(needs.depth(memory)) for memory in Memory}
    return Parameters(needs.lanes, **depths)

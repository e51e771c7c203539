"""A model for an engine: what the compiler gives, and what a build's folder holds."""

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


@dataclass(frozen=True)
class Options:
    """What a model was compiled for: with these, `compile_graph` gives the same program again.

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
    """A compiled model, with all that a host needs to run it.

    Attributes:
        options: what it was compiled for.
        program: its instructions.
        image: what INIT loads: the constants that stay in the engine, in beats.
        stream: what every RUN loads after its index words: the constants that find no room, in beats.
        views: where each value of the graph is written.
        inputs: what the host sends of each token.
        outputs: what the host receives, in the order of the STOREs.
        layers: by unit, the layer that each instruction belongs to.
        peak: what lies in each memory when it is fullest: buffers and their words.
        frontend: text to token ids, and logits to names; None for a graph without vocabulary or labels.
        model: SHA-256 of the `model.onnx` that it was compiled from, in hexadecimal; "" before it is in a folder.
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
        """The engine that it is for: the one that was given to the compiler, or one that the program fits."""
        return self.options.engine or engine_for(self.program, self.options.tight)


def engine_for(program: Program, tight: bool = False) -> Parameters:
    """An engine that a program fits, with depths that are powers of two, from 16 words on: room for other models.

    A `tight` one has the next multiples of 16 instead.
    """
    needs = program.parameters

    def rounded(depth: int) -> int:
        return -(-depth // 16) * 16 if tight else max(16, 1 << (depth - 1).bit_length())

    depths = {f"{memory.name.lower()}_depth": rounded(needs.depth(memory)) for memory in Memory}
    return Parameters(needs.lanes, **depths)

"""The program simulator as a level of the verification ladder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from threadpoolctl import ThreadpoolController

from ..fixedpoint import IntArray
from ..graph import Graph
from ..graph.level import Sentence
from ..hw.host import IndexColumn, Output, run_packet, unpack_outputs
from ..hw.isa import Parameters
from ..hw.program import Program, to_bytes
from ..hw.views import View, fused
from .capture import Capture
from .engine import Engine, OnWrite


class CompiledModel(Protocol):
    """What an engine needs of a model: as the compiler gives it, or as it is read from a build."""

    @property
    def program(self) -> Program:
        """The instructions."""
        ...

    @property
    def image(self) -> bytes:
        """What INIT loads."""
        ...

    @property
    def stream(self) -> bytes:
        """What every RUN loads after its index words."""
        ...

    @property
    def views(self) -> Sequence[View]:
        """Where the values of the graph are written."""
        ...

    @property
    def inputs(self) -> Sequence[IndexColumn]:
        """What the host sends of each token."""
        ...

    @property
    def outputs(self) -> Sequence[Output]:
        """What the host receives."""
        ...


class EngineLike(Protocol):
    """What executes programs: the simulator, the C++ sources, the RTL."""

    def load_program(self, packet: bytes) -> None:
        """The command PROGRAM."""
        ...

    def init(self, packet: bytes) -> None:
        """The command INIT."""
        ...

    def run(self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None) -> bytes:
        """The command RUN."""
        ...


class ProgramLevel:
    """The compiled program, executed by the program simulator. Implements `graph.level.Level`.

    Args:
        graph: the model.
        compiled: its program.
        engine: what the engine is built with; the least that the program needs if it is None.
        strict: see `Engine`.

    Raises:
        ProgramError: program or image are not sound.
    """

    name = "program"

    def __init__(
        self, graph: Graph, compiled: CompiledModel, engine: Parameters | None = None, strict: bool = False
    ) -> None:
        self._start(graph, compiled, Engine(engine or compiled.program.parameters, strict))

    def _start(self, graph: Graph, compiled: CompiledModel, engine: EngineLike) -> None:
        self.graph = graph
        self.compiled = compiled
        self.fused = fused(graph, compiled.views)
        self._engine = engine
        self._engine.load_program(to_bytes(compiled.program))
        self._engine.init(compiled.image)
        self._blas = ThreadpoolController()

    def run(self, sentences: Sequence[Sentence]) -> dict[str, list[IntArray]]:
        """Every activation that the program holds, see `Level.run`.

        Raises:
            UserError: a sentence is empty, too long, or has ids that the model has no row for.
        """
        found: list[dict[str, IntArray]] = [{} for _ in sentences]
        for numbers in self._runs(sentences):
            capture = Capture(self.graph, self.compiled.views, [len(sentences[i].tokens) for i in numbers])
            self._execute([sentences[i] for i in numbers], capture)
            for i, values in zip(numbers, capture.values(), strict=True):
                found[i] = values
        return {
            name: [values[name] for values in found]
            for name in self.graph.activations()
            if all(name in values for values in found)
        }

    def predict(self, sentences: Sequence[Sentence]) -> dict[str, list[IntArray]]:
        """What the engine sends: the outputs, by their names in `Graph.outputs`.

        Raises:
            UserError: a sentence is empty, too long, or has ids that the model has no row for.
        """
        found: list[dict[str, IntArray]] = [{} for _ in sentences]
        for numbers in self._runs(sentences):
            for i, logits in zip(numbers, self._execute([sentences[i] for i in numbers], None), strict=True):
                found[i] = logits
        return {task: [logits[task] for logits in found] for task in self.graph.outputs}

    def merged(self) -> Mapping[str, IntArray]:
        """Nothing: products of constants are part of the image. See `Level.merged`."""
        return {}

    def _runs(self, sentences: Sequence[Sentence]) -> Iterator[list[int]]:
        """Numbers of the sentences of each run, by length: what depends on the length alone is kept from run to run."""
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i].tokens))
        together = self.compiled.program.sentences
        for start in range(0, len(order), together):
            yield order[start : start + together]

    def _execute(self, sentences: Sequence[Sentence], on_write: OnWrite | None) -> list[dict[str, IntArray]]:
        lengths = [len(sentence.tokens) for sentence in sentences]
        inputs = [(sentence.tokens, sentence.segments) for sentence in sentences]
        packet = run_packet(self.compiled.inputs, inputs, self.compiled.stream)
        # The products of a tile are too small for threads.
        with self._blas.limit(limits=1, user_api="blas"):
            beats = self._engine.run(packet, lengths, on_write)
        return unpack_outputs(self.compiled.outputs, self.compiled.program.parameters.lanes, lengths, beats)

"""The program simulator as a level of the verification ladder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from threadpoolctl import ThreadpoolController

from ...errors import UserError
from ...fixedpoint import IntArray
from ...graph import Graph
from ...graph.level import Results, Sentence
from ...hw.host.build import EngineBuild
from ...hw.host.capture import Capture
from ...hw.host.packets import run_packet, unpack_outputs
from ...hw.host.views import View
from ...hw.isa import Parameters, Store
from ...hw.isa.program import to_bytes
from ..engine.engine import Engine, OnWrite


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
    on_engine = True

    def __init__(
        self, graph: Graph, compiled: EngineBuild, engine: Parameters | None = None, strict: bool = False
    ) -> None:
        self._start(graph, compiled, Engine(engine or compiled.program.parameters, strict))

    def _start(self, graph: Graph, compiled: EngineBuild, engine: EngineLike) -> None:
        self.graph = graph
        self.compiled = compiled
        _check_views(graph, compiled.views)
        self._engine = engine
        self._engine.load_program(to_bytes(compiled.program))
        self._engine.init(compiled.image)
        self._blas = ThreadpoolController()

    def execute(self, sentences: Sequence[Sentence]) -> Results:
        """Every activation that the views show whole, and every output as the host decodes what the engine sends.

        Raises:
            UserError: a sentence is empty, too long, or has ids that the model has no row for; or the views are not
                those of the program.
        """
        values: list[dict[str, IntArray]] = [{} for _ in sentences]
        outputs: list[dict[str, IntArray]] = [{} for _ in sentences]
        for numbers in self._runs(sentences):
            capture = Capture(self.graph, self.compiled.views, [len(sentences[i].tokens) for i in numbers])
            decoded = self._execute([sentences[i] for i in numbers], capture)
            for i, found, logits in zip(numbers, capture.values(), decoded, strict=True):
                values[i], outputs[i] = found, logits
        return Results(_present(self.graph.activations(), values), _present(self.graph.outputs, outputs))

    def run(self, sentences: Sequence[Sentence]) -> Mapping[str, Sequence[IntArray]]:
        """`Results.values` of `execute`."""
        return self.execute(sentences).values

    def predict(self, sentences: Sequence[Sentence]) -> dict[str, list[IntArray]]:
        """What the engine sends: the outputs, by their names in `Graph.outputs`.

        Raises:
            UserError: a sentence is empty, too long, or has ids that the model has no row for; or the outputs of the
                build are not what the program stores: nothing else would show it here.
        """
        _check_outputs(self.graph, self.compiled)
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
        per_run = self.compiled.program.sentences
        for start in range(0, len(order), per_run):
            yield order[start : start + per_run]

    def _execute(self, sentences: Sequence[Sentence], on_write: OnWrite | None) -> list[dict[str, IntArray]]:
        lengths = [len(sentence.tokens) for sentence in sentences]
        inputs = [(sentence.tokens, sentence.segments) for sentence in sentences]
        packet = run_packet(self.compiled.inputs, inputs, self.compiled.stream)
        # The products of a tile are too small for threads.
        with self._blas.limit(limits=1, user_api="blas"):
            beats = self._engine.run(packet, lengths, on_write)
        return unpack_outputs(self.compiled.outputs, self.compiled.program.parameters.lanes, lengths, beats)


def _present(names: Iterable[str], found: Sequence[Mapping[str, IntArray]]) -> dict[str, list[IntArray]]:
    """By name, what every sentence has a value for."""
    return {name: [one[name] for one in found] for name in names if all(name in one for one in found)}


def _check_views(graph: Graph, views: Sequence[View]) -> None:
    """Checks that the views are of values of the graph.

    Raises:
        UserError: one is not.
    """
    dims = {name: len(value.dims) for name, value in graph.values.items()}
    for value, rank in dict.fromkeys((view.value, len(view.origin)) for view in views):
        if dims.get(value) != rank:
            raise UserError(
                f"engine.json must show values of the model with their dimensions, got {value[:60]!r} with {rank}; "
                "compile the model again."
            )


def _check_outputs(graph: Graph, compiled: EngineBuild) -> None:
    """Checks that what the host takes for the outputs is what the program stores, and what the graph has.

    Raises:
        UserError: it is not.
    """
    stores = [i for i in compiled.program.stream if isinstance(i, Store)]
    described = [(output.sentence, output.block, output.words) for output in compiled.outputs]
    features = {task: graph.values[value].dims for task, value in graph.outputs.items()}
    if (
        described != [(store.sentence, store.block, store.count) for store in stores]
        or {output.task: output.value for output in compiled.outputs} != dict(graph.outputs)
        or any(
            (output.words, output.per_token) != (features[output.task][-1], len(features[output.task]) == 2)
            for output in compiled.outputs
        )
    ):
        raise UserError(
            "the outputs in engine.json are not what the program stores; compile the model again."
        )

"""An engine as a level of the verification ladder: sentences to packets, written words to values, beats to logits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...errors import UserError
from ...fixedpoint import IntArray
from ...graph import Graph
from ...graph.level import Results, Sentence
from ...hw.host.build import EngineBuild
from ...hw.host.capture import Capture
from ...hw.host.engine import Engine
from ...hw.host.session import Session
from ...hw.host.views import View
from ...hw.isa import Store


class EngineLevel:
    """A build's program, executed by an engine. Implements `graph.level.Predictor`.

    The level owns the engine: closing the level, with `close` or as a context manager, closes the engine.

    Args:
        graph: the model.
        build: its program.
        engine: what executes it; the level loads the program and the image.
        name: of the level.

    Raises:
        ProgramError: program or image are not sound.
        UserError: the views are not of values of the graph.
    """

    on_engine = True

    def __init__(self, graph: Graph, build: EngineBuild, engine: Engine, name: str = "engine") -> None:
        self.name = name
        self.graph = graph
        self._build = build
        self._engine = engine
        try:
            _check_views(graph, build.views)
            self._session = Session(build, engine)
        except BaseException:
            engine.close()
            raise

    def execute(self, sentences: Sequence[Sentence]) -> Results:
        """Every activation that the views show completely, and every output as the host decodes it from the beats.

        Raises:
            UserError: a sentence is empty or too long, or has an id that is not in the model's vocabulary; or the views
                do not fit the program.
        """
        values: list[dict[str, IntArray]] = [{} for _ in sentences]
        outputs: list[dict[str, IntArray]] = [{} for _ in sentences]
        inputs, lengths = _inputs(sentences)
        for numbers in self._session.groups(lengths):
            capture = Capture(self.graph, self._build.views, [lengths[i] for i in numbers])
            decoded = self._session.run([inputs[i] for i in numbers], capture)
            for i, shown, logits in zip(numbers, capture.values(), decoded, strict=True):
                values[i], outputs[i] = shown, logits
        return Results(_present(self.graph.activations(), values), _present(self.graph.outputs, outputs))

    def run(self, sentences: Sequence[Sentence]) -> Mapping[str, Sequence[IntArray]]:
        """`Results.values` of `execute`."""
        return self.execute(sentences).values

    def predict(self, sentences: Sequence[Sentence]) -> dict[str, list[IntArray]]:
        """The outputs by their names in `Graph.outputs`, as the host decodes them from the beats.

        Raises:
            UserError: a sentence is empty or too long, or has an id that is not in the model's vocabulary; or the
                outputs of the build are not those that the program stores, which no comparison would reveal here.
        """
        _check_outputs(self.graph, self._build)
        return self._session.predict(_inputs(sentences)[0])

    def merged(self) -> Mapping[str, IntArray]:
        """Empty: products of constants are part of the image. See `Level.merged`."""
        return {}

    def close(self) -> None:
        """Closes the engine."""
        self._engine.close()

    def __enter__(self) -> EngineLevel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _inputs(sentences: Sequence[Sentence]) -> tuple[list[tuple[IntArray, IntArray | None]], list[int]]:
    """Token ids and segment ids of each sentence, and its tokens."""
    return [(one.tokens, one.segments) for one in sentences], [len(one.tokens) for one in sentences]


def _present(names: Iterable[str], sentences: Sequence[Mapping[str, IntArray]]) -> dict[str, list[IntArray]]:
    """By name, the values that every sentence has."""
    return {name: [one[name] for one in sentences] for name in names if all(name in one for one in sentences)}


def _check_views(graph: Graph, views: Sequence[View]) -> None:
    """Checks that every view is of a value of the graph.

    Raises:
        UserError: a view is not.
    """
    dims = {name: len(value.dims) for name, value in graph.values.items()}
    for value, rank in dict.fromkeys((view.value, len(view.origin)) for view in views):
        if dims.get(value) != rank:
            raise UserError(
                f"engine.json must show values of the model with their dimensions, got {value[:60]!r} with {rank}; "
                "compile the model again."
            )


def _check_outputs(graph: Graph, build: EngineBuild) -> None:
    """Checks that the outputs that the host decodes are those that the program stores and that the graph has.

    Raises:
        UserError: they are not.
    """
    stores = [i for i in build.program.stream if isinstance(i, Store)]
    described = [(output.sentence, output.block, output.words) for output in build.outputs]
    features = {task: graph.values[value].dims for task, value in graph.outputs.items()}
    if (
        described != [(store.sentence, store.block, store.count) for store in stores]
        or {output.task: output.value for output in build.outputs} != dict(graph.outputs)
        or any(
            (output.words, output.per_token) != (features[output.task][-1], len(features[output.task]) == 2)
            for output in build.outputs
        )
    ):
        raise UserError(
            "the outputs in engine.json must be those that the program stores; compile the model again."
        )

"""Sentences through an engine that has loaded a build: token ids in, logits out. Needs numpy only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...fixedpoint import IntArray
from ..isa.program import to_bytes
from .build import EngineBuild
from .engine import Engine, OnWrite
from .packets import run_packet, unpack_outputs


class Session:
    """An engine with the program and the constants of a build.

    Args:
        build: what it runs.
        engine: what runs it. It stays open. A session ends when something else loads a program into the engine: its
            answers would be those of that program.

    Raises:
        ProgramError: the engine refuses program or image.
    """

    def __init__(self, build: EngineBuild, engine: Engine) -> None:
        self._build = build
        self._engine = engine
        engine.load_program(to_bytes(build.program))
        engine.init(build.image)

    def groups(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """The sentences of each run, by their positions in `lengths`.

        They are ordered by length: what depends on the length alone is kept from run to run.
        """
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        per_run = self._build.program.sentences
        for start in range(0, len(order), per_run):
            yield order[start : start + per_run]

    def run(
        self, sentences: Sequence[tuple[IntArray, IntArray | None]], on_write: OnWrite | None = None
    ) -> list[dict[str, IntArray]]:
        """One RUN.

        Args:
            sentences: token ids and segment ids of each, of shape (T,); at most as many as the program takes.
            on_write: see `OnWrite`.

        Returns:
            For each sentence its logits by task, see `unpack_outputs`.

        Raises:
            UserError: a sentence is empty, too long, or has ids that the model has no row for.
        """
        build = self._build
        lengths = [len(tokens) for tokens, _ in sentences]
        beats = self._engine.run(run_packet(build.inputs, sentences, build.stream), lengths, on_write)
        return unpack_outputs(build.outputs, build.program.parameters.lanes, lengths, beats)

    def runs(
        self, sentences: Sequence[tuple[IntArray, IntArray | None]]
    ) -> Iterator[tuple[list[int], list[dict[str, IntArray]]]]:
        """Any number of sentences, one RUN after the other.

        Yields:
            After each RUN, the positions of its sentences and what `run` returns for them. Until the next one, the
            engine has the packet and the counters of this RUN.

        Raises:
            UserError: see `run`.
        """
        for group in self.groups([len(tokens) for tokens, _ in sentences]):
            yield group, self.run([sentences[at] for at in group])

    def predict(self, sentences: Sequence[tuple[IntArray, IntArray | None]]) -> dict[str, list[IntArray]]:
        """The logits of any number of sentences: by task, one array for each sentence in its place.

        Raises:
            UserError: see `run`.
        """
        logits: list[dict[str, IntArray]] = [{} for _ in sentences]
        for group, found in self.runs(sentences):
            for at, one in zip(group, found, strict=True):
                logits[at] = one
        tasks = dict.fromkeys(output.task for output in self._build.outputs)
        return {task: [one[task] for one in logits] for task in tasks}

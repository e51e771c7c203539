"""The ONNX level: `model.onnx` executed by onnxruntime, without any arithmetic of this package.

onnxruntime is given what this version writes for the graph (`model_bytes`) and not the file: the reader accepts a file
only if the two are the same model, and a library in C++ need not be trusted with what came from outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

from ...errors import refusing
from ...fixedpoint import IntArray
from ...graph import QUERIES, SEGMENTS, TOKENS, Graph
from ...graph.check import LENGTHS
from ...graph.level import Results, Sentence
from ...graph.onnx_write import value_infos
from ..threads import thread_count

GROUP_TOKENS = 1024
"""The largest number of tokens, including padding, of the sentences that are executed together."""

_ERRORS_ONLY = 3


class OnnxLevel:
    """A model file in onnxruntime on the CPU.

    Sentences run in groups of similar length, padded to the longest of their group.

    Args:
        model: `model_bytes` of the graph.
        graph: whose names, dims and outputs are asked for.
        threads: of onnxruntime; 2, or fewer where `limited_threads` says so, when it is None.
    """

    name = "onnx"
    on_engine = False

    def __init__(self, model: bytes, graph: Graph, threads: int | None = None) -> None:
        self._content = model
        self._graph = graph
        self._threads = threads or min(2, thread_count())
        self._sessions: dict[bool, onnxruntime.InferenceSession] = {}

    def execute(self, sentences: Sequence[Sentence]) -> Results:
        """Every activation, from the model with every value as an output, and the outputs, from the model as it is."""
        return Results(self.run(sentences), self.predict(sentences))

    def run(self, sentences: Sequence[Sentence]) -> Mapping[str, Sequence[IntArray]]:
        """Every activation of every sentence, see `Results.values`."""
        return self._execute(self._graph.activations(), sentences, every_value=True)

    def merged(self) -> Mapping[str, IntArray]:
        """The products of constants, see `Level`."""
        names = self._graph.merged()
        if not names:
            return {}
        token = Sentence(np.zeros(1, np.int32), np.zeros(1, np.int32) if self._graph.segments else None)
        results = self._run(True, names, [token])
        return dict(zip(names, results, strict=True))

    def predict(self, sentences: Sequence[Sentence]) -> dict[str, list[IntArray]]:
        """The logits by task, one array per sentence, from the model as it is, without further outputs."""
        names = tuple(dict.fromkeys(self._graph.outputs.values()))
        results = self._execute(names, sentences, every_value=False)
        return {task: results[name] for task, name in self._graph.outputs.items()}

    def _execute(
        self, names: Sequence[str], sentences: Sequence[Sentence], every_value: bool
    ) -> dict[str, list[IntArray]]:
        results: dict[str, list[Any]] = {name: [None] * len(sentences) for name in names}
        for group in _groups([len(sentence.tokens) for sentence in sentences]):
            outputs = self._run(every_value, names, [sentences[i] for i in group])
            for name, batch in zip(names, outputs, strict=True):
                dims = self._graph.values[name].dims
                for row, i in zip(batch, group, strict=True):
                    length = len(sentences[i].tokens)
                    valid = tuple(slice(length if d == QUERIES else None) for d in dims)
                    results[name][i] = row[valid].copy()
        return results

    def _run(self, every_value: bool, names: Sequence[str], sentences: Sequence[Sentence]) -> list[IntArray]:
        """Values of a batch of sentences.

        Raises:
            UserError: onnxruntime does not load or execute the model, with whatever exception of its own.
        """
        inputs = self._inputs(sentences)
        with refusing(
            "onnxruntime can't execute the model", "install a version that `narrowgauge doctor` accepts"
        ):
            results: list[IntArray] = self._session(every_value).run(list(names), inputs)
        return results

    def _inputs(self, sentences: Sequence[Sentence]) -> dict[str, IntArray]:
        lengths = np.array([len(sentence.tokens) for sentence in sentences], np.int64)
        shape = (len(sentences), int(lengths.max()))
        inputs = {TOKENS: np.zeros(shape, np.int64), LENGTHS: lengths}
        if self._graph.segments:
            inputs[SEGMENTS] = np.zeros(shape, np.int64)
        for row, sentence in enumerate(sentences):
            inputs[TOKENS][row, : lengths[row]] = sentence.tokens
            if self._graph.segments and sentence.segments is not None:
                inputs[SEGMENTS][row, : lengths[row]] = sentence.segments
        return inputs

    def _session(self, every_value: bool) -> onnxruntime.InferenceSession:
        if every_value not in self._sessions:
            content = self._with_every_value() if every_value else self._content
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.inter_op_num_threads = 1
            options.log_severity_level = _ERRORS_ONLY
            self._sessions[every_value] = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[every_value]

    def _with_every_value(self) -> bytes:
        """The model with every value as an output."""
        model = onnx.load_from_string(self._content)
        present = {output.name for output in model.graph.output}
        infos = value_infos(self._graph)
        model.graph.output.extend(info for name, info in infos.items() if name not in present)
        model.graph.ClearField("value_info")
        content: bytes = model.SerializeToString()
        return content


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of sentences to run together: of similar length, at most `GROUP_TOKENS` tokens with padding."""
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        # Lengths ascend: the group would be padded to this sentence.
        if group and (lengths[i] * (len(group) + 1) > GROUP_TOKENS or lengths[i] > 1.5 * lengths[group[0]]):
            yield group
            group = []
        group.append(i)
    if group:
        yield group

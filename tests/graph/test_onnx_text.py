"""The documentation in `model.onnx`: onnx, onnxruntime and the texts of the file suffice to classify a sentence.

The reader below is written from the model's doc string alone.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from narrowgauge.graph import Metadata
from narrowgauge.graph.onnx_io import model_bytes, write_build
from narrowgauge.graph.onnx_read import parse_model
from narrowgauge.model.config import EmbeddingConfig, LinearConfig, ModelConfig
from narrowgauge.model.freeze import freeze
from narrowgauge.sim.levels.predict import predict
from narrowgauge.text import (
    Corpus,
    Example,
    Labels,
    Splitter,
    Tokenizer,
    WordTokenizer,
    load,
)
from narrowgauge.text.frontend import Prediction
from narrowgauge.text.train_wordpiece import train_word_piece

from ..support.graphs import random_graph
from ..support.models import random_model
from ..text.test_text import SENTENCES

MOST = 10


class Reader:
    """Computes an answer as the doc string of the model describes."""

    def __init__(self, path: Path) -> None:
        model = onnx.load(str(path))
        self.text: str = model.doc_string
        header = json.loads({entry.key: entry.value for entry in model.metadata_props}["header"])
        self.metadata: dict[str, Any] = header["metadata"]
        self.backend: Any = None
        self.words: list[str] = []
        self.pairs = "segments" in {entry.name for entry in model.graph.input}
        self.outputs: dict[str, str] = header["outputs"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def ids(self, word: str) -> list[int]:
        k = self.metadata["tokenizer"]
        if len(word) > k["longest_word"]:
            return [k["specials"]["[UNK]"]]
        word = unicodedata.normalize("NFC", word)
        if k["kind"] == "wordpiece":
            if self.backend is None:
                self.backend = pytest.importorskip("tokenizers").Tokenizer.from_str(
                    json.dumps(k["tokenizer"])
                )
            structure = [k["specials"][name] for name in ("[PAD]", "[CLS]", "[SEP]")]
            found = self.backend.encode(word, add_special_tokens=False).ids
            return [k["specials"]["[UNK]"] if index in structure else index for index in found] or [
                k["specials"]["[UNK]"]
            ]
        if k["lowercase"]:
            word = unicodedata.normalize("NFC", word.lower())
        return [4 + k["tokens"].index(word) if word in k["tokens"] else 1]

    def answer(self, *sentences: str) -> tuple[str, tuple[str, ...] | None, tuple[int, ...]]:
        """The label, the tags of the words of the first sentence that were not truncated, and the logits of the label.

        `words` are these words.
        """
        k, labels, most = self.metadata["tokenizer"], self.metadata["labels"], self.metadata["max_length"]
        split = [re.findall(k["word_pattern"], sentence) for sentence in sentences]
        tokens = [[index for word in words for index in self.ids(word)] for words in split]
        row = [2, *tokens[0]][:most]
        segments = [0] * len(row)
        kept = len(row) - 1
        if self.pairs:
            a, b = len(tokens[0]), len(tokens[1])
            kept = a if a + b <= most - 2 else min(a, max(most - 2 - b, (most - 1) // 2))
            second = tokens[1][: most - 2 - kept]
            row = [2, *tokens[0][:kept], 3, *second]
            segments = [0] * (kept + 2) + [1] * len(second)
        feed = {"tokens": [row], "lengths": [len(row)], "segments": [segments]}
        names = [entry.name for entry in self.session.get_inputs()]
        inputs = {name: np.array(feed[name], np.int64) for name in names}
        found = {task: self.session.run([name], inputs)[0] for task, name in self.outputs.items()}
        label = labels["intents"][int(np.argmax(found["label"][0]))]
        starts = [1 + sum(len(self.ids(word)) for word in split[0][:at]) for at in range(len(split[0]))]
        starts = [start for start in starts if start <= kept]
        self.words = split[0][: len(starts)]
        tags = None
        if labels["slots"]:
            tags = tuple(labels["slots"][int(np.argmax(found["slots"][0][start]))] for start in starts)
        return label, tags, tuple(found["label"][0].tolist())


def build(folder: Path, corpus: Corpus, tokenizer: Tokenizer) -> Path:
    """A model with random weights: its answers are arbitrary and differ from sentence to sentence."""
    labels = Labels.from_examples(corpus.train)
    linear = LinearConfig(rank=4, modes=2)
    config = ModelConfig(
        dim=16,
        layers=1,
        heads=2,
        ffn=16,
        max_length=MOST,
        vocab_size=tokenizer.vocab_size,
        labels=len(labels.intents),
        tags=len(labels.slots),
        segments=corpus.has_pairs,
        embedding=EmbeddingConfig(kind="dense"),
        attention=linear,
        feedforward=linear,
        pooler=linear,
    )
    model = random_model(np.random.default_rng(3), config)
    write_build(freeze(model, "model", tokenizer.to_json(), labels.to_json()), folder)
    return folder


def tokenizer_of(kind: str, examples: Sequence[Example], splitter: Splitter) -> Tokenizer:
    if kind == "word":
        return WordTokenizer.train(examples, splitter=splitter, lowercase=splitter == "whitespace")
    pytest.importorskip("tokenizers")
    return train_word_piece(examples, splitter=splitter, vocab_size=300)


@pytest.mark.parametrize(
    ("kind", "splitter", "count"),
    [("word", "whitespace", 100), ("word", "punctuation", 10), ("wordpiece", "punctuation", 10)],
)
def test_a_sentence_is_read_with_what_the_file_says(
    kind: str, splitter: Splitter, count: int, tmp_path: Path
) -> None:
    corpus = load("voice", splitter)
    folder = build(tmp_path, corpus, tokenizer_of(kind, corpus.train[:1500], splitter))
    reader = Reader(folder / "model.onnx")
    voice = [" ".join(example.words) for example in corpus.test[:count]]
    answers = []
    for sentence in (*voice, *SENTENCES, "x" * 300 + " jazz", "Play the MUSIC " * 9):
        answers.append(reader.answer(sentence))
        assert predict(folder, [sentence]) == [Prediction(tuple(reader.words), *answers[-1])]
    assert len({logits for _, _, logits in answers}) > len(answers) // 2
    assert len({tag for _, tags, _ in answers for tag in tags or ()}) > 2
    for fact in ("0 is [PAD], 1 is [UNK], 2 is [CLS], 3 is [SEP]", f"at most {MOST} tokens", "first token"):
        assert fact in reader.text
    assert ("id is 4 + i" in reader.text) == (kind == "word")
    assert ("lower-cased" in reader.text) == (kind == "word" and splitter == "whitespace")
    assert f"the splitter '{splitter}'" in reader.text


def test_a_pair_is_read_with_what_the_file_says(tmp_path: Path) -> None:
    texts = [" ".join(example.words) for example in load("voice").test[:16]]
    examples = tuple(
        Example(tuple(first.split()), str(at % 3), pair=tuple(second.split()))
        for at, (first, second) in enumerate(pairwise(texts))
    )
    corpus = Corpus("pairs", examples, (), (), "punctuation")
    folder = build(tmp_path, corpus, tokenizer_of("word", examples, "punctuation"))
    reader = Reader(folder / "model.onnx")
    answers = []
    for pair in (*pairwise(texts), ("play", texts[0] * 3), (texts[0] * 3, "play"), ("play", "it")):
        answers.append(reader.answer(*pair))
        assert predict(folder, [pair]) == [Prediction(tuple(reader.words), *answers[-1])]
    assert len({logits for _, _, logits in answers}) > len(answers) // 2
    assert "[CLS] and [SEP] included" in reader.text


@pytest.mark.parametrize(
    "tokenizer",
    [
        {},
        {"kind": ["word"]},
        {"specials": [1]},
        {"specials": {"\x1b": ["\x1b"]}, "words": "\x1b"},
        {"lowercase": "yes", "words": {}},
    ],
)
def test_any_metadata_has_a_text(tokenizer: dict[str, Any]) -> None:
    """The reader writes the model again, whatever an edited header contains."""
    graph = random_graph(np.random.default_rng(0))
    metadata = Metadata("\x1b\x1b", graph.metadata.max_length, 0, tokenizer)
    content = model_bytes(replace(graph, metadata=metadata))
    assert parse_model(content)[0].metadata == metadata

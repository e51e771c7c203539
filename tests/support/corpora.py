"""Small corpora of generated sentences in the layout seq.in, seq.out, label."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from narrowgauge.text import Corpus

ROOMS = ("kitchen", "hall", "cellar", "attic", "old barn")
TEMPLATES = (
    ("light", "switch on the light in the {}"),
    ("light", "make the {} bright"),
    ("music", "play a song in the {}"),
    ("music", "i want music in the {} now"),
)


def has_slots(corpus: Corpus) -> bool:
    """Whether the training sentences carry slot tags."""
    return any(example.slots is not None for example in corpus.train)


def write_splits(folder: Path, write: Callable[[Path, int, int], None], *counts: int) -> str:
    """Writes train, dev and test with `counts` sentences, seeds 0 to 2, by one of the writers below; the folder."""
    for seed, (split, count) in enumerate(zip(("train", "dev", "test"), counts, strict=True)):
        write(folder / split, seed, count)
    return str(folder)


def write_rooms(folder: Path, seed: int, count: int) -> None:
    """Sentences with an intent and a room each, in the layout seq.in, seq.out, label."""
    rng = np.random.default_rng(seed)
    lines: list[tuple[str, str, str]] = []
    for _ in range(count):
        intent, template = TEMPLATES[rng.integers(len(TEMPLATES))]
        room = ROOMS[rng.integers(len(ROOMS))]
        words, tags = [], []
        for word in template.split():
            if word == "{}":
                words += room.split()
                tags += ["B-room"] + ["I-room"] * (len(room.split()) - 1)
            else:
                words.append(word)
                tags.append("O")
        lines.append((" ".join(words), " ".join(tags), intent))
    _write(folder, lines)


def write_verbs(folder: Path, seed: int, count: int, unheard: bool = False) -> None:
    """Sentences "VERB a .. b the THING x .. y" whose intent is the verb and whose slot is the thing.

    Args:
        folder: of the split.
        seed: of the sentences.
        count: of sentences.
        unheard: adds one that is too long, of an intent and tags that no other has.
    """
    generator = random.Random(seed)
    lines: list[tuple[str, str, str]] = []
    for _ in range(count):
        verb = generator.choice(["play", "stop", "find"])
        thing = generator.choice(["song", "lamp"])
        words = [verb, *generator.choices("abcd", k=generator.randint(0, 3)), "the", thing]
        tags = ["O"] * (len(words) - 1) + [f"B-{thing}"]
        if generator.random() < 0.5:
            words.append("please" + generator.choice("xyz"))
            tags.append(f"I-{thing}")
        lines.append((" ".join(words), " ".join(tags), verb))
    if unheard:
        lines.append(("dance " * 20, "B-dance " * 20, "dance"))
    _write(folder, lines)


def _write(folder: Path, lines: Sequence[tuple[str, str, str]]) -> None:
    """Writes a split: its sentences, tags and labels."""
    folder.mkdir(parents=True)
    for name, column in zip(("seq.in", "seq.out", "label"), zip(*lines, strict=True), strict=True):
        (folder / name).write_text("\n".join(column) + "\n")

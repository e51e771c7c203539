"""The built-in corpus: sentences for a voice assistant at home and in the car, generated from a seed.

Templates and slot values of dev and test do not occur in train, so that a model cannot memorize them. It must
generalize from the words that indicate an intent, the words around a slot, and the words that slot values consist
of. Many names in test are words that do not occur in train.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from ..corpus import SPLITS, Corpus, Example
from .away import AWAY
from .home import CLOSERS, COMMAND_OPENERS, HOME, OPENERS
from .lexicon import ALIASES, PARTS, VALUES

INTENTS = {**HOME, **AWAY}

SIZES = {"train": 5200, "dev": 500, "test": 700}
"""Sentences per split. The numbers per intent differ by at most one, and no sentence occurs twice."""

DEFAULT_SEED = 2026

_POOL_SIZE = 300
_POOL_DRAWS = 1000
_SHARES = {"train": 0.7, "dev": 0.1, "test": 0.2}

_CHOICE = re.compile(r"\(([^()]*)\)")
_REFERENCE = re.compile(r"\{(\w+)\}")

T = TypeVar("T")


@dataclass(frozen=True)
class Utterance:
    """A sentence and its origin.

    Attributes:
        example: The sentence with its labels.
        template: The template with its alternatives chosen and its slots in braces.
        values: Pairs of slot and value, in the order of the sentence.
    """

    example: Example
    template: str
    values: tuple[tuple[str, str], ...]


@cache
def voice_corpus(seed: int = DEFAULT_SEED) -> Corpus:
    """The corpus "voice": intents and slots, 5,200 / 500 / 700 sentences."""
    splits = generate(seed)
    train, dev, test = (tuple(item.example for item in splits[split]) for split in SPLITS)
    return Corpus("voice", train, dev, test, "whitespace")


def generate(seed: int = DEFAULT_SEED) -> dict[str, tuple[Utterance, ...]]:
    """The sentences of each split; they depend on `seed` alone, not on the version of Python."""
    rng = random.Random(seed)
    pools = {slot: value_pools(slot, rng) for slot in VALUES}
    seen: set[tuple[str, ...]] = set()
    return {
        split: _utterances(split, {slot: pool[split] for slot, pool in pools.items()}, seen, rng)
        for split in SPLITS
    }


def value_pools(slot: str, rng: random.Random) -> dict[str, tuple[str, ...]]:
    """Values of `slot` for each split; the splits have no value in common."""
    values: dict[str, None] = {}
    for _ in range(_POOL_DRAWS):
        values[_expand(_pick(VALUES[slot], rng), rng)] = None
        if len(values) == _POOL_SIZE:
            break
    # In the order of drawing, the likely values of a small set come first.
    shuffled = sorted(values, key=lambda _: rng.random())
    first, second = (
        round(len(shuffled) * share) for share in (_SHARES["train"], _SHARES["train"] + _SHARES["dev"])
    )
    return dict(
        zip(SPLITS, map(tuple, (shuffled[:first], shuffled[first:second], shuffled[second:])), strict=True)
    )


def _utterances(
    split: str, values: dict[str, tuple[str, ...]], seen: set[tuple[str, ...]], rng: random.Random
) -> tuple[Utterance, ...]:
    intents = sorted(INTENTS)
    utterances: list[Utterance] = []
    while len(utterances) < SIZES[split]:
        intent = intents[len(utterances) % len(intents)]
        utterance = _utterance(intent, _pick(getattr(INTENTS[intent], split), rng), values, rng)
        if utterance.example.words not in seen:
            seen.add(utterance.example.words)
            utterances.append(utterance)
    return tuple(sorted(utterances, key=lambda _: rng.random()))


def _utterance(
    intent: str, template: str, values: dict[str, tuple[str, ...]], rng: random.Random
) -> Utterance:
    is_command = template.startswith("~")
    body = _resolve(template.removeprefix("~"), rng)
    words: list[str] = []
    tags: list[str] = []
    used: list[tuple[str, str]] = []
    opener = _pick(OPENERS, rng), _pick(COMMAND_OPENERS, rng) if is_command else ""
    for field in (*opener, *body.split(), _pick(CLOSERS, rng)):
        reference = _REFERENCE.fullmatch(field)
        if reference is None:
            words += field.split()
            tags += ["O"] * len(field.split())
            continue
        slot = reference[1]
        pool = values[ALIASES.get(slot, slot)]
        value = _pick(pool, rng)
        while any(value == old for _, old in used):
            value = _pick(pool, rng)
        used.append((slot, value))
        words += value.split()
        tags += [f"B-{slot}", *[f"I-{slot}"] * (len(value.split()) - 1)]
    return Utterance(Example(tuple(words), intent, tuple(tags)), body, tuple(used))


def _expand(pattern: str, rng: random.Random) -> str:
    """A value of `pattern`: alternatives chosen and parts filled in, until none remains."""
    while "{" in pattern or "(" in pattern:
        pattern = _REFERENCE.sub(lambda match: _pick(PARTS[match[1]], rng), _resolve(pattern, rng))
    return pattern


def _resolve(pattern: str, rng: random.Random) -> str:
    """`pattern` with one alternative of each "(a|b)" chosen, and single spaces."""
    return " ".join(_CHOICE.sub(lambda match: _pick(match[1].split("|"), rng), pattern).split())


def _pick(options: Sequence[T], rng: random.Random) -> T:
    # random() is the only method of `random.Random` with the same results in every version of Python.
    return options[int(rng.random() * len(options))]

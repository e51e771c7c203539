"""A model without an engine, and a server of a model on a free port, for tests of the page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from narrowgauge.deploy.model import Answer
from narrowgauge.deploy.serve import Limits, serve
from narrowgauge.hw.host.build import EngineBuild
from narrowgauge.hw.isa import COUNTERS
from narrowgauge.text.frontend import Text

FREE = Limits(rate=1e6, burst=1000000)
"""Limits for tests of other things than the rate."""


class Fake:
    """A model that answers at once, without an engine.

    Args:
        build: of which it reads words and names.
        before: called in each run.
    """

    level = "board"

    def __init__(self, build: EngineBuild, before: Callable[[], None] = lambda: None) -> None:
        self.build = build
        self.before = before
        self.running = self.most = self.runs = 0

    def predict(self, texts: list[Text], strict: bool = False) -> list[Answer]:
        assert self.build.frontend is not None
        self.running += 1
        self.most = max(self.most, self.running)
        self.runs += 1
        try:
            self.before()
            split = self.build.frontend.encode(texts, strict=strict)
        finally:
            self.running -= 1
        labels = self.build.frontend.labels
        words = split.examples[0].words
        slots = (
            tuple(labels.slots[at % len(labels.slots)] for at in range(len(words))) if labels.slots else None
        )
        logits = tuple(range(-3, len(labels.intents) - 3))
        counters = {name: 10 * at for at, (name, _) in enumerate(COUNTERS)} | {"CYCLES": 200}
        return [Answer(words, labels.intents[-1], slots, logits, self.level, 0.25, counters)]


@contextmanager
def serving(model: Any, limits: Limits = FREE) -> Iterator[str]:
    """The address of a server of a model. The thread of the server ends with the process."""
    found: list[str] = []
    started = threading.Event()

    def tell(address: str) -> None:
        found.append(address)
        started.set()

    arguments = (model, "127.0.0.1", 0, limits)
    threading.Thread(target=serve, args=arguments, kwargs={"started": tell}, daemon=True).start()
    assert started.wait(20)
    yield found[0]

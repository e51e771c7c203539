"""Random whole models and sentences, built directly as integer graphs: what every level is tested with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from narrowgauge.fixedpoint import GAMMA_BITS, NORM_FRAC, PROB_BITS, Format, exp_table, function_table
from narrowgauge.graph import (
    POSITIONS,
    SEGMENTS,
    TOKENS,
    Add,
    Context,
    Dim,
    Embedding,
    First,
    Graph,
    LayerNorm,
    Linear,
    LinearKind,
    Metadata,
    Node,
    Plan,
    Scores,
    Softmax,
    Table,
    TTMEmbedding,
    Value,
    linear_steps,
)
from narrowgauge.graph.level import Sentence

IntArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Options:
    """What `random_graph` draws unless it is given; `None` for a linear kind or plan draws one per layer."""

    features: int
    heads: int
    layers: int
    ffn: int
    vocabulary: int
    max_length: int
    segments: bool
    ttm: bool
    kind: LinearKind | None = None
    plan: Plan | None = None
    bits: int | None = None
    extremes: float = 0.1
    rank: int | None = None

    @classmethod
    def draw(cls, rng: np.random.Generator, overrides: dict[str, Any]) -> Options:
        unknown = set(overrides) - {f.name for f in fields(cls)}
        if unknown:
            raise TypeError(f"random_graph has no options {sorted(unknown)}")
        heads = overrides.get("heads", int(rng.integers(1, 5)))
        drawn = {
            "features": heads * int(rng.integers(-(-6 // heads), 48 // heads + 1)),
            "heads": heads,
            "layers": int(rng.integers(0, 3)),
            "ffn": int(rng.integers(1, 60)),
            "vocabulary": int(rng.integers(5, 61)),
            "max_length": int(rng.integers(2, 13)),
            "segments": bool(rng.random() < 0.4),
            "ttm": bool(rng.random() < 0.6),
        }
        return cls(**{**drawn, **overrides})


@dataclass
class _Builder:
    """Collects nodes and values, and a rough standard deviation of each value to choose shifts by."""

    rng: np.random.Generator
    options: Options
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, IntArray] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def fmt(self, name: str) -> Format:
        return self.values[name].fmt

    def value(self, name: str, fmt: Format, dims: tuple[Dim, ...], spread: float) -> str:
        assert name not in self.values
        self.values[name] = Value(name, fmt, dims)
        self.spread[name] = max(spread, 0.5)
        return name

    def constant(self, name: str, fmt: Format, data: IntArray) -> str:
        self.constants[name] = data.astype(fmt.dtype)
        return self.value(name, fmt, data.shape, float(np.sqrt(np.mean(data.astype(np.float64) ** 2))))

    def weights(self, name: str, fmt: Format, shape: tuple[int, ...]) -> str:
        """A constant: mostly random, at times at an end of its range or zero throughout."""
        data = self.rng.integers(fmt.lo, fmt.hi + 1, shape)
        if self.chance(self.options.extremes):
            data = np.full(shape, self.pick(fmt.lo, fmt.hi, 0))
        elif self.chance(self.options.extremes):
            data = np.where(self.rng.random(shape) < 0.5, fmt.lo, fmt.hi)
        return self.constant(name, fmt, data)

    def rank(self) -> int:
        return self.options.rank or int(self.rng.integers(1, 7))

    def weight_format(self) -> Format:
        bits = self.options.bits or self.pick(8, 8, 4, 2)
        return Format(bits, int(self.rng.integers(-2, 10)))

    def shift_for(self, spread: float, bits: int) -> int:
        """The shift that takes an accumulator to a quarter of the range of `bits`, with jitter."""
        target = 2.0 ** (bits - 1) / 4
        jitter = self.pick(-1, 0, 0, 0, 1) if not self.chance(0.1) else self.pick(-3, 3)
        return round(math.log2(max(spread, 1.0) / target)) + int(jitter)

    def requantized(self, name: str, bits: int, frac: int, dims: tuple[Dim, ...], spread: float) -> int:
        """Adds a value requantized from an accumulator of `frac` fraction bits; returns the shift."""
        shift = self.shift_for(spread, bits)
        limit = 2.0 ** (bits - 1) / 2
        self.value(name, Format(bits, frac - shift), dims, min(math.ldexp(spread, -shift), limit))
        return shift

    def linear(
        self,
        name: str,
        source: str,
        size: int,
        bits: int = 8,
        frac: int | None = None,
        residual: str | None = None,
    ) -> str:
        """A linear layer of random kind.

        Args:
            name: of the layer and its output.
            source: the value read.
            size: features written.
            bits: of the output.
            frac: of the output; drawn when it is None. A residual decides it otherwise.
            residual: the value added.
        """
        rng, options = self.rng, self.options
        kind = options.kind or self.pick("dense", "lowrank", "tt", "tt")
        plan: Plan = options.plan or self.pick("merged", "cores")
        dims = self.values[source].dims
        inputs = dims[-1]
        assert isinstance(inputs, int)
        count = {"dense": 1, "lowrank": 2}.get(kind) or int(rng.integers(2, 8))
        split = int(rng.integers(1, count)) if kind == "tt" else 0

        if kind == "dense":
            shapes: list[tuple[int, ...]] = [(size, inputs)]
        elif kind == "lowrank":
            r = self.rank()
            shapes = [(size, r), (r, inputs)]
        else:
            modes = [*factors(rng, size, split), *factors(rng, inputs, count - split)]
            ranks = [1, *(self.rank() for _ in range(count - 1)), 1]
            shapes = [(ranks[k], modes[k], ranks[k + 1]) for k in range(count)]
        cores = tuple(
            self.weights(f"{name}.core{k}", self.weight_format(), shape) for k, shape in enumerate(shapes)
        )
        mids = tuple(f"{name}.mid{k}" for k in range(count - 1))
        bias = f"{name}.bias" if self.chance(0.8) else None
        node = Linear(kind, source, cores, split, plan, mids, name, bias, residual)
        steps = linear_steps(node, {core: self.constants[core].shape for core in cores})
        from_first_core = [cores[0]]
        for step in steps[:-1]:
            spread = self.spread[step.lhs] * self.spread[step.rhs] * math.sqrt(step.inner)
            if step.kind == "merge":
                left, right = self.values[step.lhs].dims, self.values[step.rhs].dims
                product = (left[0], int(left[1]) * int(right[1]), right[2])
                if step.lhs == from_first_core[-1]:
                    from_first_core.append(step.output)
                    product = (1, step.rows, right[2])
                self.requantized(
                    step.output, 8, self.fmt(step.lhs).frac + self.fmt(step.rhs).frac, product, spread
                )
            else:
                width = math.prod(int(d) for d in self.values[step.lhs].dims if d != "T")
                mid_dims = (*dims[:-1], width // step.inner * step.rows)
                self.requantized(
                    step.output, 8, self.fmt(step.lhs).frac + self.fmt(step.rhs).frac, mid_dims, spread
                )
        # The last accumulator's fraction bits follow from the output's; the first core, and what is merged
        # from it, take up the difference.
        last = steps[-1]
        spread = self.spread[last.lhs] * self.spread[last.rhs] * math.sqrt(last.inner)
        shift = self.shift_for(spread, bits)
        if residual is not None:
            # The two terms are of one size, more or less.
            real = self.spread[residual] * self.fmt(residual).scale
            frac = round(math.log2(2.0 ** (bits - 1) / 4 / real)) + int(rng.integers(-1, 2))
            spread *= 1.5
        elif frac is None:
            frac = int(rng.integers(1, 8))
        accumulator_frac = frac + shift
        delta = accumulator_frac - self.fmt(last.lhs).frac - self.fmt(last.rhs).frac
        for value_name in from_first_core:
            value = self.values[value_name]
            fmt = Format(value.fmt.bits, value.fmt.frac + delta, value.fmt.signed)
            self.values[value_name] = Value(value_name, fmt, value.dims)
        if bias is not None:
            high = max(1, int(spread))
            data = rng.integers(-high, high + 1, size)
            self.constant(bias, Format(32, accumulator_frac), data)
        limit = 2.0 ** (bits - 1) / 2
        self.value(name, Format(bits, frac), (*dims[:-1], size), min(math.ldexp(spread, -shift), limit))
        self.nodes.append(node)
        return name

    def embedding(self, name: str, index: str, rows: int, ttm: bool) -> str:
        rng, size = self.rng, self.options.features
        if not ttm:
            table = self.weights(f"{name}.table", self.weight_format(), (rows, size))
            self.nodes.append(Embedding(table, index, name))
            return self.value(name, self.fmt(table), ("T", size), self.spread[table])
        count = int(rng.integers(2, 5))
        vocabulary_modes = cover(rng, rows, count)
        modes = factors(rng, size, count)
        ranks = [1, *(self.rank() for _ in range(count - 1)), 1]
        cores = tuple(
            self.weights(
                f"{name}.core{k}",
                self.weight_format(),
                (ranks[k], vocabulary_modes[k], modes[k], ranks[k + 1]),
            )
            for k in range(count)
        )
        mids = tuple(f"{name}.mid{k}" for k in range(count - 2))
        left, width = cores[0], modes[0]
        for k, output in enumerate((*mids, name), 1):
            width *= modes[k]
            spread = self.spread[left] * self.spread[cores[k]] * math.sqrt(ranks[k])
            frac = self.fmt(left).frac + self.fmt(cores[k]).frac
            self.requantized(output, 8, frac, ("T", width * ranks[k + 1]), spread)
            left = output
        self.nodes.append(TTMEmbedding(cores, index, mids, name))
        return name

    def add(self, name: str, inputs: list[str]) -> str:
        frac = max(self.fmt(i).frac for i in inputs)
        parts = [math.ldexp(self.spread[i], frac - self.fmt(i).frac) for i in inputs]
        self.requantized(name, 16, frac, self.values[inputs[0]].dims, math.sqrt(sum(p * p for p in parts)))
        self.nodes.append(Add(tuple(inputs), name))
        return name

    def norm(self, name: str, source: str) -> str:
        dims = self.values[source].dims
        size = int(dims[-1])
        gamma_frac = int(self.rng.integers(4, 12))
        gamma = self.weights(f"{name}.gamma", Format(GAMMA_BITS, gamma_frac), (size,))
        spread = self.spread[gamma] * 2.0**NORM_FRAC
        frac = NORM_FRAC + gamma_frac
        high = int(spread) + 1
        beta = self.constant(f"{name}.beta", Format(32, frac), self.rng.integers(-high, high + 1, size))
        self.requantized(name, 8, frac, dims, 1.2 * spread)
        self.nodes.append(LayerNorm(source, gamma, beta, name))
        return name

    def table(self, name: str, source: str, function: str) -> str:
        value = self.values[source]
        signed = function != "relu" or self.chance(0.3)
        frac = 7 if function == "tanh" else value.fmt.frac + int(self.rng.integers(-1, 2))
        fmt = Format(8, frac, signed)
        data = function_table(function, value.fmt, fmt)
        table = self.constant(f"{name}.table", fmt, data)
        self.value(name, fmt, value.dims, self.spread[table])
        self.nodes.append(Table(source, table, function, name))
        return name

    def attention(self, name: str, source: str) -> str:
        heads, size = self.options.heads, self.options.features
        query = self.linear(f"{name}.query", source, size)
        key = self.linear(f"{name}.key", source, size)
        value = self.linear(f"{name}.value", source, size)
        head_shift = math.floor(math.log2(size / heads) / 2 + 0.5)
        spread = self.spread[query] * self.spread[key] * math.sqrt(size / heads)
        frac = self.fmt(query).frac + self.fmt(key).frac + head_shift
        scores = f"{name}.scores"
        self.requantized(scores, 8, frac, (heads, "T", "T"), spread)
        self.nodes.append(Scores(query, key, heads, head_shift, scores))
        table = self.constant(f"{scores}.table", Format(16, 15), exp_table(self.fmt(scores).frac))
        probabilities = self.value(
            f"{name}.probabilities", Format(PROB_BITS, PROB_BITS, signed=False), (heads, "T", "T"), 64.0
        )
        self.nodes.append(Softmax(scores, table, probabilities))
        context = f"{name}.context"
        self.requantized(
            context, 8, PROB_BITS + self.fmt(value).frac, ("T", size), 128.0 * self.spread[value]
        )
        self.nodes.append(Context(probabilities, value, heads, context))
        return context

    def encoder(self, name: str, source: str, wide: str) -> str:
        size, ffn = self.options.features, self.options.ffn
        context = self.attention(f"{name}.attention", source)
        residual = wide if self.chance(0.15) else source
        added = self.linear(f"{name}.attention.output", context, size, 16, residual=residual)
        normed = self.norm(f"{name}.attention.norm", added)
        inner = self.linear(f"{name}.ffn.up", normed, ffn, frac=int(self.rng.integers(3, 7)))
        active = self.table(f"{name}.ffn.activation", inner, self.pick("gelu", "gelu", "relu", "tanh"))
        added = self.linear(f"{name}.ffn.down", active, size, 16, residual=normed)
        return self.norm(f"{name}.ffn.norm", added)


def factors(rng: np.random.Generator, size: int, count: int) -> list[int]:
    """`count` random modes, some perhaps 1, whose product is `size`."""
    modes = [1] * count
    divisor = 2
    while size > 1:
        if size % divisor:
            divisor += 1
            continue
        size //= divisor
        modes[int(rng.integers(count))] *= divisor
    return modes


def cover(rng: np.random.Generator, size: int, count: int) -> list[int]:
    """`count` random modes whose product is `size` or somewhat more."""
    modes = [1] * count
    while math.prod(modes) < size:
        modes[int(rng.integers(count))] += 1
    return modes


def random_graph(rng: np.random.Generator, **overrides: Any) -> Graph:
    """A small, valid, random transformer with joint intent and slot heads.

    Args:
        rng: where everything is drawn from.
        overrides: fields of `Options` to set rather than draw.
    """
    options = Options.draw(rng, overrides)
    b = _Builder(rng, options)
    parts = [
        b.embedding("embedding.token", TOKENS, options.vocabulary, options.ttm),
        b.embedding("embedding.position", POSITIONS, options.max_length + int(rng.integers(0, 3)), False),
    ]
    if options.segments:
        parts.append(b.embedding("embedding.segment", SEGMENTS, 2, False))
    # Parts of one size, more or less: only then is an exact alignment sure to fit.
    for part in parts:
        _rescale(b, part, int(rng.integers(-2, 3)))
    total = b.add("embedding.sum", parts)
    x = b.norm("embedding.norm", total)
    for layer in range(options.layers):
        x = b.encoder(f"encoder.{layer}", x, total)
    first = b.value("intent.first", b.fmt(x), (options.features,), b.spread[x])
    b.nodes.append(First(x, first))
    pooled = b.linear("intent.pooler", first, int(rng.integers(1, options.features + 1)), frac=5)
    active = b.table("intent.activation", pooled, "tanh")
    intent = b.linear("intent.logits", active, int(rng.integers(1, 9)), 16)
    slots = b.linear("slots.logits", x, int(rng.integers(1, 9)), 16)
    return Graph(
        nodes=tuple(b.nodes),
        values=b.values,
        constants=b.constants,
        outputs={"intent": intent, "slots": slots},
        metadata=Metadata("random", options.max_length),
        segments=options.segments,
    )


def _rescale(b: _Builder, part: str, log2_real: int) -> None:
    """Moves the point of an embedding so that its real spread is about 2^`log2_real`."""
    delta = round(math.log2(b.spread[part])) - log2_real - b.fmt(part).frac
    node = next(n for n in b.nodes if isinstance(n, Embedding | TTMEmbedding) and n.output == part)
    names = (part, node.table) if isinstance(node, Embedding) else (part, node.cores[-1])
    for name in names:
        value = b.values[name]
        b.values[name] = Value(name, Format(value.fmt.bits, value.fmt.frac + delta), value.dims)


def random_sentences(rng: np.random.Generator, graph: Graph, count: int) -> list[Sentence]:
    """`count` sentences: the first has one token, the second the most that the model takes."""
    rows = token_rows(graph)
    lengths = [
        1,
        graph.metadata.max_length,
        *rng.integers(1, graph.metadata.max_length + 1, max(count - 2, 0)),
    ]
    return [
        Sentence(
            rng.integers(0, rows, length).astype(np.int32),
            rng.integers(0, 2, length).astype(np.int32) if graph.segments else None,
        )
        for length in lengths[:count]
    ]


def token_rows(graph: Graph) -> int:
    """How many token ids the graph's embedding has rows for, padding included."""
    for node in graph.nodes:
        if isinstance(node, Embedding) and node.index == TOKENS:
            return int(graph.constants[node.table].shape[0])
        if isinstance(node, TTMEmbedding) and node.index == TOKENS:
            return math.prod(int(graph.constants[core].shape[1]) for core in node.cores)
    raise AssertionError("the graph reads no tokens")

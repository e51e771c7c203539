"""The levels of the verification ladder by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import UserError
from ...graph import Graph
from ...graph.level import Level, Predictor
from ...graph.onnx_io import model_bytes
from ...hw.host.folder import read_engine
from ..golden.model import GoldenModel
from . import ENGINES, LEVELS
from .engine import EngineLevel
from .engines import open_engine


def make_predictor(name: str, build: Path, graph: Graph, *, stalls: bool = False) -> Predictor:
    """A level that needs no training run. Its packages are imported when it is asked for.

    Args:
        name: one of `LEVELS`, but not "torch".
        build: folder of an export.
        graph: the model that was read from it.
        stalls: let the streams of the RTL stall at random.

    Raises:
        UserError: there is no such level, or something that it needs is missing.
    """
    if name == "golden":
        return GoldenModel(graph)
    if name == "onnx":
        from .onnx import OnnxLevel

        return OnnxLevel(model_bytes(graph), graph)
    if name in ENGINES:
        compiled = read_engine(build)
        engine = open_engine(name, compiled.program.parameters, stalls=stalls)
        return EngineLevel(graph, compiled, engine, name)
    raise UserError(f"there is no level {name!r}; choose from {', '.join(LEVELS)}.")


def make_level(
    name: str, build: Path, graph: Graph, *, run: Path | None = None, stalls: bool = False
) -> Level:
    """A level by its name.

    Args:
        name: one of `LEVELS`.
        build, graph, stalls: see `make_predictor`.
        run: the training run that the build was frozen from: for the level torch.

    Raises:
        UserError: there is no such level, something it needs is missing, or the run is not the build's.
    """
    if name != "torch":
        return make_predictor(name, build, graph, stalls=stalls)
    if run is None:
        raise UserError("the level torch needs the training run; give it with --run.")
    from ...model.checkpoint import load_run
    from ...model.freeze import freeze
    from ...model.level import TorchLevel

    loaded = load_run(run, "quantized")
    if loaded.tokenizer.to_json() != dict(graph.metadata.tokenizer):
        raise UserError(
            f"the vocabulary of {run} is not that of {build}; give the run that it was exported from."
        )
    if loaded.labels.to_json() != dict(graph.metadata.labels):
        raise UserError(
            f"the labels of {run} are not those of {build}; give the run that it was exported from."
        )
    if _structure(freeze(loaded.model)) != _structure(graph):
        raise UserError(f"the model of {run} is not that of {build}; give the run that it was exported from.")
    return TorchLevel(loaded.model, graph)


def _structure(graph: Graph) -> tuple[Any, ...]:
    """Layers and sizes of a model, which must agree before integers can be compared."""
    return graph.nodes, {name: value.dims for name, value in graph.values.items()}

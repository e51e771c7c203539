"""`narrowgauge export`: a trained run to a build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import UserError
from ..graph import Graph, Linear, node_outputs
from ..graph.bounds import prove
from ..graph.describe import Description, ModelSizes, describe
from ..graph.onnx_io import write_build
from ..graph.onnx_write import build_model
from .checkpoint import DATA, METRICS, Run, load_run, read_record
from .config import to_dict
from .freeze import freeze
from .transformer import Transformer


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        parameters: numbers stored in all layers.
        sizes: of the model.
        widest: bits that the largest accumulator of a linear layer can need, sign included; at most 32.
        widest_value: the value that it is requantized to.
    """

    parameters: int
    sizes: ModelSizes
    widest: int
    widest_value: str


def freeze_run(path: Path) -> tuple[Run, Graph]:
    """A run and the graph that its quantized model is frozen to.

    Raises:
        UserError: the run has no quantized stage, or can't be read.
    """
    if path.is_dir() and (path / "config.json").exists() and not (path / "quantized.safetensors").exists():
        raise UserError(
            f"{path} has no quantized weights; train it with --qat-epochs of at least 1 before this step."
        )
    run = load_run(path, "quantized")
    provenance: dict[str, Any] = {
        "narrowgauge": __version__,
        "config": to_dict(run.config),
        # Where the data lay is of the machine that trained.
        "data": {key: value for key, value in read_record(path / DATA).items() if key != "source"},
    }
    if (path / METRICS).exists():
        provenance["scores"] = read_record(path / METRICS).get("scores")
    graph = freeze(run.model, run.config.name, run.tokenizer.to_json(), run.labels.to_json(), provenance)
    return run, graph


def check_exportable(model: Transformer) -> None:
    """Checks that a model, quantized, can be exported as it is: formats, shifts, ranges, accumulators.

    Raises:
        UserError: it can't; the sentence says what is in the way.
    """
    graph = freeze(model)
    prove(graph)
    build_model(graph)


def export_run(run: Path, folder: Path) -> ExportReport:
    """Freezes the run in `run`, proves that no accumulator overflows, and writes the model into a build's folder.

    Raises:
        UserError: the run can't be read, or an accumulator can overflow.
    """
    _, graph = freeze_run(run)
    bounds = prove(graph)
    write_build(graph, folder, bounds)
    description: Description = describe(graph)
    linear = (name for node in graph.nodes if isinstance(node, Linear) for name in node_outputs(node))
    widest = max((bounds[name] for name in linear), key=lambda bound: bound.magnitude)
    return ExportReport(
        description.parameters,
        description.sizes,
        widest.bits,
        widest.value,
    )

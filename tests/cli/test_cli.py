"""The command line: fast help, one sentence for invalid usage, reports, and all kinds of messages."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnxruntime.capi.onnxruntime_pybind11_state import Fail
from safetensors import SafetensorError

from narrowgauge import __version__
from narrowgauge.cli import common, doctor, main, verify
from narrowgauge.errors import UserError
from narrowgauge.hw import isa
from narrowgauge.sim.levels import LEVELS

COMMANDS = (
    "train",
    "eval",
    "export",
    "compile",
    "verify",
    "run",
    "describe",
    "plan",
    "disasm",
    "boards",
    "synth",
    "doctor",
)
HEAVY = (
    "torch",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pydantic",
    "rich",
    "tokenizers",
    "safetensors",
)


def test_the_lanes_are_those_of_the_instruction_set() -> None:
    assert common.LANES == isa.LANES


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from narrowgauge.cli import main
try:
    main({arguments!r})
except SystemExit as exit:
    assert exit.code == 0, exit.code
heavy = sorted(set({HEAVY!r}) & set(sys.modules))
assert not heavy, heavy
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert tuple(name for name in listed if name != "COMMAND") == COMMANDS


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"narrowgauge {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["doctor", "--no-such-option"],
        ["doctor", "--js", "file"],
        ["train", "--data", "voice", "--out", "x"],
        ["train", "--data", "voice", "--out", "x", "--preset", "voice", "--config", "x.toml"],
        ["train", "--data", "voice", "--out", "x", "--preset", "voice", "--epochs", "-1"],
        ["train", "--data", "voice", "--out", "x", "--preset", "voice", "--batch-size", "0"],
        ["train", "--data", "voice", "--out", "x", "--preset", "voice", "--lr", "nan"],
        ["synth", "--vivado", "x", "--set", f"A={1 << 31}"],
        ["synth", "--vivado", "x", "--set", "A=" + "9" * 5000],
        ["compile", "x", "--weight-words", "9" * 30],
        ["compile", "x", "--weight-words", "nan"],
        ["compile", "x", "--max-length", "8192.5"],
        ["disasm", "x", "--times", "3,nan"],
        ["synth", "--vivado", "x", "--period", "nan"],
        ["synth", "--vivado", "x", "--period", "inf"],
        ["synth", "--vivado", "x", "--period", "0.1"],
        ["synth", "--vivado", "x", "--period", "1e9"],
        ["train", "--data", "voice", "--out", "x", "--preset", "voice", "--format", "sparse"],
        ["eval", "x"],
        ["eval", "x", "--data", "voice", "--limit", "0"],
        ["export", "x"],
        ["verify", "x", "--data", "voice", "--levels", "golden,magic"],
        ["verify", "x", "--data", "voice", "--levels", "golden"],
        ["verify", "x", "--data", "voice", "--levels", ""],
        ["run", "x"],
        ["describe"],
        ["describe", "x", "--fo\x1b[31mo\nbar"],
        ["x" * 5000],
        ["train", "--data", "voice", "--out", "x", "--preset", "voice", "--seed", "9" * 5000],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_bad_usage_is_one_line_and_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("narrowgauge")
    assert captured.err.count("\n") == 1 and captured.err[:-1].isprintable() and len(captured.err) <= 300


class Panic(BaseException):
    """An exception as raised by pyo3 for a panic in Rust code."""

    __module__ = "pyo3_runtime"


def outcome(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit status and standard error of a command that raises `error`."""

    def run(args: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(doctor, "run", run)
    return main(["doctor"]), capsys.readouterr().err


def test_a_user_error_is_its_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = UserError("x is not y; make it y.")
    assert outcome(error, monkeypatch, capsys) == (2, "narrowgauge: x is not y; make it y.\n")


def test_a_missing_package_is_told_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, message = outcome(ModuleNotFoundError(name="onnxruntime.capi"), monkeypatch, capsys)
    assert status == 2
    assert message == "narrowgauge: onnxruntime is not installed; install it with: pip install -e '.[sim]'\n"


@pytest.mark.parametrize(
    ("words", "package", "get"),
    [
        (["describe", "build"], "onnx", "pip install -e '.[sim]'"),
        (["describe", "build"], "torch", "pip install torch=="),
        (["describe", "build"], "tokenizers", "pip install -e '.[train]'"),
        (["export", "run", "--out", "build"], "onnx", "pip install -e '.[train]'"),
        (["synth"], "rich", "pip install -e '.[synth]'"),
        (["plan", "build"], "rich", "pip install -e '.[sim]'"),
    ],
)
def test_the_extra_is_that_of_the_command(
    words: list[str],
    package: str,
    get: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """A command that needs no PyTorch does not ask for an extra that installs it."""

    def run(args: argparse.Namespace) -> int:
        raise ModuleNotFoundError(name=package)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.import_module(f"narrowgauge.cli.{words[0]}"), "run", run)
    assert main(words) == 2
    assert f"{package} is not installed; install it with: {get}" in capsys.readouterr().err


def test_a_path_without_permission_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, message = outcome(PermissionError(13, "Permission denied", "some/file"), monkeypatch, capsys)
    assert status == 2
    assert message.startswith("narrowgauge: some/file: Permission denied; ")


def test_a_rename_that_fails_is_told_with_the_name_that_was_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = IsADirectoryError(21, "Is a directory", ".out.tmp", None, "out")
    status, message = outcome(error, monkeypatch, capsys)
    assert (status, message.partition(";")[0]) == (2, "narrowgauge: out: Is a directory")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device"), "No space left on device; "),
        (shutil.Error([("a", "b", "[Errno 28] No space left")]), "[Errno 28] No space left; "),
        (shutil.Error("a and b are the same file"), "a and b are the same file; "),
        (MemoryError(), "out of memory"),
        (SafetensorError("header too large\nmore"), "safetensors refused its input: header too large; "),
        (Fail("bad [/model]"), "onnxruntime refused its input: bad [/model]; "),
        (Panic("index out of bounds"), "a package in Rust refused its input: index out of bounds; "),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_other_packages_and_the_system_raise_is_told(
    error: BaseException,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, said = outcome(error, monkeypatch, capsys)
    assert status == 2 and said.count("\n") == 1
    assert said.startswith(f"narrowgauge: {message}")


def test_a_message_is_one_printable_line_of_bounded_length(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = outcome(UserError("a\nb\x1b[31m" + "c" * 1000), monkeypatch, capsys)
    assert status == 2 and said.startswith(r"narrowgauge: a\nb\x1b[31m") and len(said) <= 300


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_the_output_lacks_are_escaped(encoding: str) -> None:
    script = """
import sys
from rich.table import Table
from narrowgauge.cli import doctor, main
from narrowgauge.cli.common import console
def run(args):
    print("Zürich \u0141ód\u017a")
    table = Table("name"); table.add_row("\u0141\u00f3d\u017a [/bold] :smile:")
    console().print(table)
    return 0
doctor.run = run
sys.exit(main(["doctor"]))
"""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    text = result.stdout.decode(encoding)
    assert r"\u0141" in text and "[/bold] :smile:" in text


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_the_output_is_told(unbuffered: str) -> None:
    script = "import sys; from narrowgauge.cli import main; sys.exit(main(sys.argv[1:]))"
    for options, output in (([], "/dev/full"), (["--json", "/dev/full"], os.devnull)):
        with Path(output).open("w") as stream:
            result = subprocess.run(
                [sys.executable, "-c", script, "doctor", *options],
                env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
                stdout=stream,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert result.returncode == 2, result.stderr
        assert result.stderr.count("\n") == 1 and "No space left on device" in result.stderr
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_closed_output_is_no_error() -> None:
    script = (
        "import sys; from narrowgauge.cli import main; sys.exit(main(['doctor', '--for', 'plots']) and 0)"
    )
    result = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{script}" >&-'], capture_output=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize("error_output", [">/dev/full", ">&-"])
def test_bad_input_exits_with_2_where_nobody_can_be_told(error_output: str, tmp_path: Path) -> None:
    script = "import sys; from narrowgauge.cli import main; sys.exit(main(sys.argv[1:]))"
    result = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{script}" describe "{tmp_path}/none" 2{error_output}'],
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, b"")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["doctor", "--json", "file/report.json"], "cannot be written"),
        (["doctor", "--json", "folder"], "must be a file"),
        (["doctor", "--json", "x" * 300], "File name too long"),
        (["run", "build", "x", "--waves", "folder"], "must be a file"),
        (["export", "run", "--out", "file"], "must be a folder"),
        (["export", "run", "--out", "file/build"], "cannot be written"),
        (["train", "--data", "voice", "--preset", "voice", "--out", "file"], "must be a folder"),
        (["synth", "--vivado", "file"], "must be a folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value)[:30],
)
def test_what_cannot_be_written_is_told_before_the_work(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(args: argparse.Namespace) -> int:
        raise AssertionError("the work has begun")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.import_module(f"narrowgauge.cli.{arguments[0]}"), "run", work)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


@pytest.mark.parametrize(
    "options", [["--board", "kv260", "--lanes", "16"], ["--engine", "e.json", "--lanes", "8"]]
)
def test_lanes_of_a_given_engine_cannot_be_chosen(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", "build", *options]) == 2
    assert "leave --lanes out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (["export", "run", "--out", "never", "--no-engine"], ["--lanes", "8"]),
        (["export", "run", "--out", "never", "--no-engine"], ["--board", "kv260"]),
        (["export", "run", "--out", "never", "--no-engine"], ["--engine", "e.json"]),
        (["export", "run", "--out", "never", "--no-engine"], ["--tight"]),
        (["export", "run", "--out", "never", "--no-engine"], ["--weight-words", "9"]),
        (["export", "run", "--out", "never", "--no-engine"], ["--sentences", "1"]),
        (["export", "run", "--out", "never", "--no-engine"], ["--max-length", "9"]),
        (["export", "run", "--out", "never", "--no-engine"], ["--vectors", "voice"]),
        (["export", "run", "--out", "never", "--no-engine"], ["--no-hls"]),
        (["compile", "build", "--no-hls"], ["--vectors", "voice"]),
        (["synth"], ["--period", "5"]),
        (["synth", "--vivado", "never"], ["--flatten"]),
        (["synth", "--vivado", "never"], ["--family", "xc7"]),
    ],
    ids=lambda words: words[0].lstrip("-"),
)
def test_an_option_without_effect_is_refused(
    command: list[str],
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, *options]) == 2
    assert f"leave {options[0]} out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["x" * 300, "file/report.json"])
def test_a_report_that_cannot_be_written_is_told(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["doctor", "--json", str(tmp_path / file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_argument_that_is_no_text_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "build", os.fsdecode(b"caf\xe9")]) == 2
    assert "must be valid UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("code", ["LOG.warning('one\\n\\x1btwo')", "warnings.warn('one\\n\\x1btwo')"])
def test_a_warning_is_one_line(code: str) -> None:
    script = f"""
import sys, warnings
from narrowgauge.cli import doctor, main
from narrowgauge.errors import LOG
doctor.run = lambda args: {code} or LOG.info("a note") or 0
sys.exit(main(["doctor"]) or main(["doctor"]))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")
    warning, note = result.stderr.splitlines()[:2]
    assert warning.startswith("narrowgauge: warning: one") and warning.endswith(r"\x1btwo")
    assert result.stderr.splitlines() == [warning, note] * 2 and note == "narrowgauge: a note"


def test_an_interrupt_exits_as_shells_expect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(KeyboardInterrupt(), monkeypatch, capsys) == (130, "")


@pytest.mark.parametrize("error", [ModuleNotFoundError(name="no_such_module"), ValueError("a defect")])
def test_a_defect_keeps_its_traceback_and_is_no_verdict(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = outcome(error, monkeypatch, capsys)
    assert status == 70
    assert said.startswith("Traceback") and "in run" in said and f"{type(error).__name__}" in said
    assert said.splitlines()[-1].startswith(f"narrowgauge: internal error ({type(error).__name__})")


def test_a_file_that_is_opened_does_not_become_the_standard_output_that_is_closed(tmp_path: Path) -> None:
    script = """
import os, sys
from narrowgauge.cli import doctor, main
def run(args):
    with open(sys.argv[1], "wb") as stream:
        assert stream.fileno() > 2
        os.write(1, b"what a library prints")
    return 0
doctor.run = run
sys.exit(main(["doctor"]))
"""
    command = f"{shlex.join([sys.executable, '-c', script, str(tmp_path / 'file')])} <&- >&-"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "file").read_bytes() == b""


def test_help_that_finds_no_room_is_told() -> None:
    script = "import sys; from narrowgauge.cli import main; sys.exit(main(['--help']))"
    with Path("/dev/full").open("w") as stream:
        result = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONUNBUFFERED": ""},  # argparse discards text that it cannot print
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "No space left on device" in result.stderr


@pytest.mark.parametrize("argument", ["\x1b[31m\nx", "--\x1b[31m\nx", "x" * 1000])
def test_bad_usage_is_told_on_one_printable_line(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    for before in ([], ["doctor"], ["synth", "--period"], ["verify", "--limit"]):
        with pytest.raises(SystemExit) as stop:
            main([*before, argument])
        assert stop.value.code == 2
        said = capsys.readouterr().err
        assert said.endswith("\n") and said[:-1].isprintable() and len(said) <= 300


@pytest.mark.parametrize("output", ["print", "common.console().print"])
def test_a_reader_that_leaves_is_no_error(output: str) -> None:
    code = f"""
import sys
from narrowgauge.cli import common, doctor, main
doctor.run = lambda args: {output}("text") or 0
sys.exit(main(["doctor"]))
"""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [sys.executable, "-c", code],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


def test_verify_does_not_take_torch_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "x", "--data", "voice", "--levels", "golden,torch"]) == 2
    assert "--run" in capsys.readouterr().err


@given(chosen=st.lists(st.sampled_from(LEVELS), min_size=1, max_size=6))
def test_levels_keep_their_order_without_repeats(chosen: list[str]) -> None:
    expected = sorted(set(chosen), key=chosen.index)
    if len(expected) < 2:
        with pytest.raises(argparse.ArgumentTypeError):
            verify.parse_levels(",".join(chosen))
    else:
        assert list(verify.parse_levels(" , ".join(chosen))) == expected


@given(value=st.integers(-3, 3) | st.integers())
def test_integer_arguments(value: int) -> None:
    for least, read in ((0, common.non_negative_int), (1, common.positive_int)):
        if value >= least:
            assert read(str(value)) == value
        else:
            with pytest.raises(argparse.ArgumentTypeError):
                read(str(value))


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3"])
def test_integer_arguments_refuse_what_is_no_integer(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        common.positive_int(text)


@given(value=st.floats())
def test_float_arguments(value: float) -> None:
    if 0 < value < float("inf"):
        assert common.positive_float(repr(value)) == value
    else:
        with pytest.raises(argparse.ArgumentTypeError):
            common.positive_float(repr(value))


@pytest.mark.parametrize("command", ["describe", "eval"])
def test_a_model_that_is_no_folder_is_told(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    arguments = [command, str(missing)] + (["--data", "voice"] if command == "eval" else [])
    assert main(arguments) == 2
    assert str(missing) in capsys.readouterr().err


@pytest.mark.parametrize("there", ["model.onnx", "manifest.json"])
def test_a_build_that_has_lost_a_file_is_no_run(there: str, tmp_path: Path) -> None:
    assert not common.is_build(tmp_path)
    (tmp_path / there).symlink_to("nothing")
    assert common.is_build(tmp_path)


@dataclass(frozen=True)
class Report:
    path: Path
    shape: tuple[int, ...]
    loss: np.float64
    counts: dict[str, np.int64]


def test_reports_become_json(tmp_path: Path) -> None:
    report = Report(Path("a/b"), (2, 3), np.float64(0.5), {"x": np.int64(7)})
    file = tmp_path / "report.json"
    common.write_report(argparse.Namespace(json=file), {"report": report, "array": np.arange(3)})
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "report": {"path": "a/b", "shape": [2, 3], "loss": 0.5, "counts": {"x": 7}},
        "array": [0, 1, 2],
    }
